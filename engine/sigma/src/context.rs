//! What the readers of one document share: its file, the placeholders, and the diagnostics so far.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostic::Reports;
use crate::yaml::Node;
use crate::{Diagnostic, Place, SourceFile};

/// Values of `%name%` by name, for `expand`. A name with an empty list is known and matches nothing.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// What loading may rely on beyond the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Values for `expand`; a placeholder that is not listed rejects its rule.
    pub placeholders: Placeholders,
    /// Fields are looked up as the rules write them, so that rules of any `taxonomy` load. Otherwise only
    /// `sigma` does, since no other is mapped.
    pub any_taxonomy: bool,
}

pub(crate) struct Context<'a> {
    pub(crate) file: &'a SourceFile,
    /// What the document is, in a word for messages.
    pub(crate) noun: &'static str,
    pub(crate) options: &'a Options,
    pub(crate) reports: Reports,
}

impl Context<'_> {
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.reports.push(diagnostic);
    }

    pub(crate) fn report_with_help(&mut self, mut diagnostic: Diagnostic, help: impl Into<String>) {
        diagnostic.help = Some(help.into());
        self.reports.push(diagnostic);
    }

    pub(crate) fn report_all(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in diagnostics {
            self.reports.push(diagnostic);
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.reports.has_errors()
    }

    /// The place of a part of a scalar. Falls back to the whole scalar where its text is not in the file as
    /// it stands, as in folded blocks or after escapes.
    pub(crate) fn inside(&self, place: &Place, text: &str, part: Range<usize>) -> Place {
        self.find_inside(place, text, part)
            .unwrap_or_else(|| place.clone())
    }

    fn find_inside(&self, place: &Place, text: &str, part: Range<usize>) -> Option<Place> {
        let start = usize::try_from(place.bytes.0).ok()?;
        let source = self.file.text.get(start..)?;
        let quote = usize::from(source.starts_with(['"', '\'']));
        if !source.get(quote..)?.starts_with(text) {
            return None;
        }
        let before = text.get(..part.start)?;
        if before.contains(['\n', '\r']) {
            return None;
        }
        let column = u32::try_from(quote + before.chars().count()).ok()?;
        let from = u32::try_from(start + quote + part.start).ok()?;
        let length = u32::try_from(part.len()).ok()?;
        Some(Place {
            column: place.column + column,
            bytes: (from, from + length),
            ..place.clone()
        })
    }
}

/// The text of a string node with its place, for messages about words in it.
pub(crate) fn string(node: &Node) -> Option<&str> {
    node.as_str().map(AsRef::as_ref)
}
