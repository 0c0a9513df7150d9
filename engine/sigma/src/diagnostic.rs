//! Diagnostics on what a person wrote: code, place, what is wrong, how to mend it.

use std::sync::Arc;

use crate::codes::MORE_FAULTS;

/// How bad it is. An error keeps its document from running; a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is not active.
    Error,
    /// Active, reported.
    Warning,
}

/// A place in a source file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Byte range in the file's text, for carets.
    pub bytes: (u32, u32),
}

/// Diagnostics of one document; of each severity at most [`Reports::MAX`] are kept, the rest is counted.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Reports {
    /// A person reads no more at once, and a hostile file could otherwise have millions.
    pub(crate) const MAX: usize = 100;

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= Self::MAX {
            self.list.push(diagnostic);
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    pub(crate) fn first_error(&self) -> Option<&Diagnostic> {
        self.list
            .iter()
            .find(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The list, with a word at its last place about what is not in it.
    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        let more = self.errors.saturating_sub(Self::MAX) + self.warnings.saturating_sub(Self::MAX);
        if let Some(last) = self.list.last().filter(|_| more > 0) {
            let message = match more {
                1 => "the document has one more fault, which is not listed".to_owned(),
                more => format!("the document has {more} more faults, which are not listed"),
            };
            let note = MORE_FAULTS.at(&last.place, message);
            self.list.push(note);
        }
        self.list
    }
}

impl From<Vec<Diagnostic>> for Reports {
    fn from(list: Vec<Diagnostic>) -> Self {
        let mut reports = Self::default();
        for diagnostic in list {
            reports.push(diagnostic);
        }
        reports
    }
}

/// One thing to say about one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, such as `R012`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The words under the carets, if they add anything.
    pub label: Option<String>,
    /// How to mend it.
    pub help: Option<String>,
    /// Id or title of the rule, if known.
    pub rule: Option<String>,
}

impl Diagnostic {
    /// With a cure for just this place, if there is one; else it keeps that of its code.
    pub(crate) fn or_help(mut self, help: Option<impl Into<String>>) -> Self {
        if let Some(help) = help {
            self.help = Some(help.into());
        }
        self
    }
}
