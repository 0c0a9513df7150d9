//! Diagnostics on what a person wrote, as a compiler shows them, or as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};
use sigma::{Diagnostic, Severity, SourceFile};

use crate::printing::{Paint, escaped, neutralised};

/// Shows diagnostics beside the lines that they speak of.
#[derive(Debug)]
pub struct Shower {
    texts: BTreeMap<Arc<str>, String>,
    renderer: Renderer,
}

impl Shower {
    /// For diagnostics on these files.
    pub fn new(files: &[SourceFile], paint: Paint) -> Self {
        let texts = files
            .iter()
            .map(|file| (Arc::clone(&file.name), neutralised(&file.text)))
            .collect();
        let renderer = if paint.is_on() {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        Self { texts, renderer }
    }

    /// One diagnostic: code, message, place, the line with carets, help.
    pub fn text(&self, diagnostic: &Diagnostic) -> String {
        let Diagnostic {
            code,
            severity,
            place,
            message,
            label,
            help,
            ..
        } = diagnostic;
        let level = match severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let file = escaped(&place.file);
        let message = escaped(message);
        let title = level.primary_title(&message).id(*code);
        let source = self.texts.get(&place.file).map_or("", String::as_str);
        let (from, to) = (place.bytes.0 as usize, place.bytes.1 as usize);
        let (from, to) = (
            from.min(source.len()),
            to.clamp(from.min(source.len()), source.len()),
        );
        // Of what stands on several lines the first is shown.
        let first_line = source.get(from..to).and_then(|text| text.find('\n'));
        let to = first_line.map_or(to, |length| from + length);
        let whole = source.get(from..to).is_some();
        let label = label.as_deref().map(escaped);
        let mut group = annotate_snippets::Group::with_title(title);
        if whole {
            let annotation = AnnotationKind::Primary.span(from..to);
            let annotation = match &label {
                Some(label) => annotation.label(label.as_str()),
                None => annotation,
            };
            group = group.element(
                Snippet::source(source)
                    .path(file.as_str())
                    .annotation(annotation),
            );
        }
        let help = help.as_deref().map(escaped);
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        format!("{}\n", self.renderer.render(&[group]))
    }
}

/// A diagnostic for programs.
pub fn to_json(diagnostic: &Diagnostic) -> Value {
    let Diagnostic {
        code,
        severity,
        place,
        message,
        label,
        help,
        rule,
    } = diagnostic;
    json!({
        "code": code,
        "severity": match severity { Severity::Error => "error", Severity::Warning => "warning" },
        "file": &*place.file,
        "line": place.line,
        "column": place.column,
        "message": message,
        "label": label,
        "help": help,
        "rule": rule,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_diagnostic_shows_place_carets_and_help() {
        let text = "title: A\ndetection:\n  sel:\n    Image|contians: x\n  condition: sel\nlogsource: {product: linux}\n";
        let files = [SourceFile {
            name: "a.yml".into(),
            text: text.into(),
        }];
        let loaded = sigma::load(&files);
        let shower = Shower::new(&files, Paint::none());
        let shown: String = loaded.diagnostics.iter().map(|d| shower.text(d)).collect();
        expect![[r"
            error[R034]: there is no modifier `contians`
             --> a.yml:4:11
              |
            4 |     Image|contians: x
              |           ^^^^^^^^
              |
              = help: did you mean `contains`?
        "]]
        .assert_eq(&shown);
    }
}
