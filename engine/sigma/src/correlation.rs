//! A Sigma correlation after parsing: its references resolved, its condition checked.
//!
//! SIGMA: sigma-correlation-rules-specification.md of 2.1.0, with boolean conditions of temporal correlations
//! (approved for 2.2). What the text leaves open is decided by the policy's points `T…`.

pub(crate) mod chain;
pub(crate) mod read;
pub(crate) mod resolve;
mod timespan;

use std::sync::Arc;

use crate::Attributes;

/// One correlation.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What it says of itself.
    pub attributes: Attributes,
    /// `type`.
    pub kind: CorrelationKind,
    /// `rules`: what it correlates, in the order of the list; not empty. Only [`CorrelationKind::TemporalOrdered`] may
    /// have two with one target.
    pub sources: Vec<CorrelationSource>,
    /// `timespan`, in milliseconds; above 0.
    pub timespan_ms: i64,
    /// `group-by`: the fields or aliases, none twice, that events of a group share; empty: all events are one group.
    pub group_by: Vec<Arc<str>>,
    /// `condition`.
    pub condition: CorrelationCondition,
    /// Whether it alerts by itself: not where another correlation reads it, loaded or rejected, unless it
    /// says `generate: true`.
    pub alerts: bool,
    /// Why it cannot be evaluated though it is sound, such as a `window` that other engines know.
    pub not_running: Option<String>,
}

/// `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorrelationKind {
    /// `event_count`: how many events.
    EventCount,
    /// `value_count`: how many different values, or tuples of values, of these fields.
    ValueCount(Vec<Arc<str>>),
    /// `value_sum`: the sum of a field's numbers.
    ValueSum(Arc<str>),
    /// `value_avg`: their mean.
    ValueAvg(Arc<str>),
    /// `value_percentile` and `value_median`: the number that so many percent of them do not exceed (nearest rank).
    ValuePercentile(Arc<str>, u8),
    /// `temporal`: events of all sources, or as a boolean condition says.
    Temporal,
    /// `temporal_ordered`: the same, in the order of the sources.
    TemporalOrdered,
}

/// One entry of `rules`.
#[derive(Clone, Debug)]
pub struct CorrelationSource {
    /// As written: an id or a name.
    pub name: Arc<str>,
    /// What it names.
    pub target: SourceTarget,
    /// `aliases`: the field that stands for an entry of [`Correlation::group_by`] in events of this source; as long as
    /// that list, and the entry itself where there is no alias.
    pub group_by: Vec<Arc<str>>,
}

/// What a correlation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceTarget {
    /// The rule at this place of [`crate::Loaded::rules`].
    Rule(usize),
    /// The correlation at this place of [`crate::Loaded::correlations`], which stands before the one that reads it.
    Correlation(usize),
}

/// What must hold of the events of a group within the timespan.
#[derive(Clone, Debug, PartialEq)]
pub enum CorrelationCondition {
    /// Bounds on a number, all of them; of a temporal type, on how many of the sources were seen. Not empty.
    Bounds(Vec<Bound>),
    /// Which sources must have been seen, and which not; only of temporal types, and all of them where the document
    /// has no condition.
    Seen(Seen),
}

/// One operator of a condition with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The operator.
    pub operator: BoundOperator,
    /// The number, canonical decimal text (see [`crate::canonical_decimal`]).
    pub number: Arc<str>,
}

/// An operator of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Sigma's")]
pub enum BoundOperator {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Neq,
}

/// A boolean condition over the sources of a correlation, by their place in [`Correlation::sources`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An event of this source is there. Of several with one target the first is meant.
    Source(usize),
    /// All hold; not empty.
    And(Vec<Self>),
    /// One holds; not empty.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
}
