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
        let mut places = self.inside_all(place, text, [part]);
        places.pop().unwrap_or_else(|| place.clone())
    }

    /// The place of each part of a scalar, as [`Context::inside`] gives it, in one pass. The parts ascend.
    pub(crate) fn inside_all(
        &self,
        place: &Place,
        text: &str,
        parts: impl IntoIterator<Item = Range<usize>>,
    ) -> Vec<Place> {
        let mut cursor = self.text_at(place, text);
        parts
            .into_iter()
            .map(|part| {
                let found = cursor.as_mut().and_then(|cursor| cursor.place(place, part));
                found.unwrap_or_else(|| place.clone())
            })
            .collect()
    }

    /// Where the text of a scalar begins, if it stands in the file as it is.
    fn text_at<'t>(&self, place: &Place, text: &'t str) -> Option<Cursor<'t>> {
        let start = usize::try_from(place.bytes.0).ok()?;
        let source = self.file.text.get(start..)?;
        let quote = usize::from(source.starts_with(['"', '\'']));
        source.get(quote..)?.starts_with(text).then_some(Cursor {
            text,
            start: start + quote,
            counted: 0,
            chars: quote,
        })
    }
}

/// A way through the text of a scalar that counts its characters once.
struct Cursor<'t> {
    text: &'t str,
    /// Where the text starts in its file.
    start: usize,
    /// Bytes of the text that are counted.
    counted: usize,
    /// Characters of them, and the quote before them.
    chars: usize,
}

impl Cursor<'_> {
    /// The place of a part behind what is counted; none on later lines.
    fn place(&mut self, place: &Place, part: Range<usize>) -> Option<Place> {
        let between = self.text.get(self.counted..part.start)?;
        if between.contains(['\n', '\r']) {
            return None;
        }
        self.counted = part.start;
        self.chars += between.chars().count();
        let column = u32::try_from(self.chars).ok()?;
        let from = u32::try_from(self.start + part.start).ok()?;
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
