//! Diagnostics on what a person wrote: code, place, what is wrong, how to mend it.

use std::sync::Arc;

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
