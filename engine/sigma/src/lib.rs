//! Sigma YAML to [`Rule`]s and [`Diagnostic`]s: parsing, checking, resolving modifiers. No I/O: it is
//! handed names and texts. Knows nothing of labels, plans or directories.

#![warn(clippy::disallowed_methods)]

mod diagnostic;
mod rule;

pub use diagnostic::{Diagnostic, Place, Severity};
pub use rule::{
    Comparison, Condition, Detection, Field, Item, Level, LogSource, Matcher, Part, Pattern,
    Quantifier, Regex, Related, Rule, Search, Selection, SelectionIdx, Status, TimePart,
};

use std::sync::Arc;

/// One rule file as it was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Path or other name, as shown in diagnostics.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

/// Everything that loading gives: rules, and what is to be said of the files.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Rules that loaded, in file order.
    pub rules: Vec<Rule>,
    /// All mistakes of all files, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads rules. Never fails as a whole: a broken document becomes diagnostics and stops no other.
pub fn load(_files: &[SourceFile]) -> Loaded {
    Loaded::default()
}
