//! Sigma YAML to [`Rule`]s, [`Correlation`]s, [`Filter`]s and [`Diagnostic`]s: parsing, checking, resolving
//! modifiers and references. No I/O: it is handed names and texts. Knows nothing of labels, plans or directories.
//!
//! In reading order: [`yaml`] gives each document as a tree with places, `load` goes through the
//! documents, `action` gives them what they inherit, `document` reads the attributes of one, `detection` its
//! selections, `modifier` the values of one item with `pattern` and `placeholder`, `condition` what combines the
//! selections, `lint` what of them makes a rule mean something else than was thought; `correlation` and `filter` read the other kinds of documents. When all files are read, `link` finds
//! with `references` what they ask of each other. Whatever is wrong becomes a [`Diagnostic`] with a code of
//! [`CODES`].

#![warn(clippy::disallowed_methods)]

mod action;
mod codes;
mod condition;
mod context;
mod correlation;
mod detection;
mod diagnostic;
mod document;
mod filter;
mod fixture;
#[doc(hidden)]
pub mod harness;
mod link;
mod lint;
mod load;
mod modifier;
mod number;
mod pattern;
mod placeholder;
mod placeholder_file;
mod policy;
mod references;
mod rule;
mod suggest;
pub mod yaml;

pub use codes::{CODES, Code};
pub use context::{Options, Placeholders};
pub use correlation::{
    Bound, BoundOperator, Correlation, CorrelationCondition, CorrelationKind, CorrelationSource,
    Seen, SourceTarget,
};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use filter::Filter;
pub use fixture::{Case, Events, Expect, Fixture, Named};
pub use load::{load, load_with};
pub use number::canonical_decimal;
pub use placeholder_file::read_placeholders;
pub use policy::{PolicyPoint, policy};
pub use rule::{
    AppliedFilter, Attributes, Comparison, Condition, Detection, Field, Item, Level, LogSource,
    Matcher, Part, Pattern, Quantifier, Regex, Related, Rule, Search, Selection, SelectionIdx,
    Status, TimePart,
};
pub use suggest::did_you_mean;

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
    /// Rules that loaded, in file order, with the filters that reach them.
    pub rules: Vec<Rule>,
    /// Correlations that loaded, each behind those that it reads.
    pub correlations: Vec<Correlation>,
    /// Filters that loaded, in file order, whether or not they reach a rule.
    pub filters: Vec<Filter>,
    /// All mistakes of all files, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}
