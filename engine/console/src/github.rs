//! Diagnostics as workflow commands of GitHub Actions, which become annotations beside the lines of a change.

use std::collections::BTreeMap;

use sigma::{Diagnostic, Place, Severity, SourceFile};

use crate::printing::escaped;

/// Texts of files, by which places get their ends.
#[derive(Debug)]
pub struct Texts<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Texts<'a> {
    /// Of these files.
    pub fn new(files: &'a [SourceFile]) -> Self {
        let texts = files.iter().map(|file| (&*file.name, &*file.text));
        Self(texts.collect())
    }

    /// A diagnostic as a command.
    pub fn annotation(&self, diagnostic: &Diagnostic) -> String {
        annotation(diagnostic, self.of(&diagnostic.place))
    }

    /// An error at a place, with a title.
    pub fn error(&self, place: &Place, title: &str, message: &str) -> String {
        command_at("error", place, self.of(place), title, message)
    }

    fn of(&self, place: &Place) -> &str {
        self.0.get(&*place.file).copied().unwrap_or_default()
    }
}

/// One line: `::error file=a.yml,line=1,col=2,...::message`. The end is that of the place on its first line; `text` is
/// the file's.
fn annotation(diagnostic: &Diagnostic, text: &str) -> String {
    let Diagnostic {
        code,
        severity,
        place,
        message,
        label: _,
        help,
        rule: _,
    } = diagnostic;
    let message = match help {
        Some(help) => format!("{message}\nhelp: {help}"),
        None => message.clone(),
    };
    let command = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    command_at(command, place, text, code, &message)
}

/// A command (`error`, `warning`) at a place; an empty `text` makes it a place of no width.
fn command_at(command: &str, place: &Place, text: &str, title: &str, message: &str) -> String {
    let Place {
        file, line, column, ..
    } = place;
    let end = column.saturating_add(width(place, text));
    let (file, title, message) = (property(file), property(title), data(message));
    format!(
        "::{command} file={file},line={line},col={column},endLine={line},endColumn={end},title={title}::{message}\n"
    )
}

/// Characters of a place on its first line.
fn width(place: &Place, text: &str) -> u32 {
    let (from, to) = (place.bytes.0 as usize, place.bytes.1 as usize);
    let part = text.get(from..to).unwrap_or_default();
    let line = part.lines().next().unwrap_or_default();
    u32::try_from(line.chars().count()).unwrap_or(u32::MAX)
}

/// What stands behind `::`.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25");
    escaped(&text.replace('\r', "%0D").replace('\n', "%0A"))
}

/// What stands behind a `=`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nothing_ends_a_command_early_or_begins_another() {
        let text = "title: a\u{1b}[2J\n";
        let place = Place {
            file: Arc::from("a,line=9::b\r\n::error::%0A\u{1b}.yml"),
            line: 1,
            column: 8,
            bytes: (7, 13),
        };
        let shown = command_at("error", &place, text, "x,y:z", "100 %\n::warning::b\u{7}");
        assert_eq!(
            shown,
            "::error file=a%2Cline=9%3A%3Ab%0D%0A%3A%3Aerror%3A%3A%250A\\u{1b}.yml,line=1,col=8,endLine=1,endColumn=13,\
             title=x%2Cy%3Az::100 %25%0A::warning::b\\u{7}\n"
        );
    }

    #[test]
    fn a_place_ends_on_its_first_line_in_characters() {
        let place = Place {
            file: "a.yml".into(),
            line: 1,
            column: 1,
            bytes: (0, 12),
        };
        let shown = command_at("warning", &place, "äöü\nxyz\nzzz", "R001", "m");
        assert_eq!(
            shown,
            "::warning file=a.yml,line=1,col=1,endLine=1,endColumn=4,title=R001::m\n"
        );
    }
}
