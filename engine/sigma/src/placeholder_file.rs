//! A file that gives values to placeholders: a map of name to one value or a list of values.
//!
//! ```yaml
//! Administrators: [alice, bob]
//! JumpServers: jump-01
//! ```

use crate::codes::WRONG_TYPE;
use crate::context::Placeholders;
use crate::yaml::{self, Kind, Node};
use crate::{Diagnostic, Severity, SourceFile};

const HELP: &str = "write `Name: value` or `Name: [value, value]`, a line for each placeholder";

/// Reads such a file; all its mistakes, in file order, if there are any.
///
/// ```
/// let text = "Administrators: [alice, bob]\nPort: 22\n";
/// let file = sigma::SourceFile { name: "placeholders.yml".into(), text: text.into() };
/// let values = sigma::read_placeholders(&file).expect("no mistake");
/// assert_eq!(values["Administrators"], ["alice", "bob"]);
/// assert_eq!(values["Port"], ["22"]);
/// ```
pub fn read_placeholders(file: &SourceFile) -> Result<Placeholders, Vec<Diagnostic>> {
    let mut values = Placeholders::new();
    let mut mistakes = Vec::new();
    for document in yaml::read(file) {
        let errors = document.diagnostics.into_iter();
        mistakes.extend(errors.filter(|one| one.severity == Severity::Error));
        let Some(root) = document.root else { continue };
        let Some(entries) = root.as_mapping() else {
            mistakes.push(wrong(&root, "the file is"));
            continue;
        };
        for entry in entries {
            let texts = match &entry.value.kind {
                Kind::Sequence(nodes) => nodes.iter().map(text).collect(),
                _ => text(&entry.value).map(|text| vec![text]),
            };
            match texts {
                Ok(texts) => values
                    .entry(entry.key.to_string())
                    .or_default()
                    .extend(texts),
                Err(node) => mistakes.push(wrong(node, &format!("`{}` has", entry.key))),
            }
        }
    }
    mistakes.sort_by(|one, other| one.place.cmp(&other.place));
    if mistakes.is_empty() {
        Ok(values)
    } else {
        Err(mistakes)
    }
}

/// The text of a scalar, as it is written.
fn text(node: &Node) -> Result<String, &Node> {
    match &node.kind {
        Kind::String(text) => Ok(text.to_string()),
        Kind::Number(number) => Ok(number.written.to_string()),
        Kind::Bool(value) => Ok(value.to_string()),
        Kind::Null | Kind::Sequence(_) | Kind::Mapping(_) => Err(node),
    }
}

fn wrong(node: &Node, what: &str) -> Diagnostic {
    let message = format!(
        "{what} {} where values of placeholders are expected",
        node.kind_name()
    );
    let mut diagnostic = WRONG_TYPE.at(&node.place, message);
    diagnostic.help = Some(HELP.into());
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let read = |text: &str| {
            let name = "placeholders.yml".into();
            read_placeholders(&SourceFile {
                name,
                text: text.into(),
            })
        };
        let mistakes = read("a: {b: c}\nd: ok\ne: [f, null]\ng:\n").expect_err("three mistakes");
        let places: Vec<_> = mistakes
            .iter()
            .map(|one| (one.place.line, one.place.column))
            .collect();
        assert_eq!(places, [(1, 4), (3, 8), (4, 2)]);
        assert_eq!(read("- a\n").expect_err("a list").len(), 1);
        assert_eq!(read("a: [\n").expect_err("no YAML").len(), 1);
        let values = read("a: []\n---\nb: 0x10\n").expect("two documents");
        assert_eq!((values["a"].len(), &*values["b"][0]), (0, "0x10"));
    }
}
