//! A Sigma detection rule after parsing: modifiers resolved, condition resolved, places kept.

use std::sync::Arc;

use crate::Place;

/// Number of a selection within its rule, in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelectionIdx(pub u32);

/// `level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Sigma's")]
pub enum Level {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Sigma's")]
pub enum Status {
    Stable,
    Test,
    Experimental,
    Deprecated,
    Unsupported,
}

/// `logsource`. Values are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Sigma's")]
pub struct LogSource {
    pub category: Option<String>,
    pub product: Option<String>,
    pub service: Option<String>,
    pub definition: Option<String>,
    /// Other keys, as JSON text by name, in file order.
    pub custom: Vec<(String, String)>,
    /// Where the values of category, product and service stand.
    pub places: [Option<Place>; 3],
}

/// One entry of `related`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The other rule's id.
    pub id: String,
    /// `type`: derived, obsolete, merged, renamed or similar.
    pub kind: String,
}

/// What every document says of itself.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Where its document starts.
    pub place: Place,
    /// Hex of the content hash of the document's text (SHA-256, first 16 bytes).
    pub version: String,
    /// `title`.
    pub title: String,
    /// `id`, any string.
    pub id: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `related`.
    pub related: Vec<Related>,
    /// `status`.
    pub status: Option<Status>,
    /// `level`.
    pub level: Option<Level>,
    /// `description`.
    pub description: Option<String>,
    /// `author`, as written.
    pub author: Option<String>,
    /// `license`.
    pub license: Option<String>,
    /// `date`, as written.
    pub date: Option<String>,
    /// `modified`, as written.
    pub modified: Option<String>,
    /// `references`.
    pub references: Vec<String>,
    /// `tags`, as written: `attack.t1059`.
    pub tags: Vec<String>,
    /// `fields`.
    pub fields: Vec<String>,
    /// `falsepositives`.
    pub falsepositives: Vec<String>,
    /// `scope`.
    pub scope: Vec<String>,
    /// Attributes that Sigma does not name, as JSON text by name, in file order.
    pub custom: Vec<(String, String)>,
}

impl Attributes {
    /// What identifies the document in alerts: its id, else its name, else its title.
    pub fn key(&self) -> &str {
        self.id
            .as_deref()
            .or(self.name.as_deref())
            .unwrap_or(&self.title)
    }
}

/// One detection rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it says of itself.
    pub attributes: Attributes,
    /// `logsource`.
    pub logsource: LogSource,
    /// `detection`.
    pub detection: Detection,
    /// Filters that apply to it: it matches where its own condition holds and all of theirs do.
    pub filters: Vec<AppliedFilter>,
    /// Whether it alerts by itself: not where a correlation reads it, loaded or rejected, unless it says `generate: true`.
    pub alerts: bool,
}

/// A filter on one rule. Its selections stand behind the rule's own, under names that tell whose they are.
#[derive(Clone, Debug)]
pub struct AppliedFilter {
    /// Id, name or title of the filter.
    pub key: Arc<str>,
    /// Hash of the filter's text, as [`Attributes::version`].
    pub version: String,
    /// What must hold beside the rule's own condition (policy F1).
    pub condition: Condition,
}

/// `detection`: named selections and what combines them.
#[derive(Clone, Debug)]
pub struct Detection {
    /// In file order; [`SelectionIdx`] counts them.
    pub selections: Vec<Selection>,
    /// The condition; a list of conditions has become one `Or`.
    pub condition: Condition,
}

/// A named search identifier.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Its name.
    pub name: Arc<str>,
    /// Where the name stands.
    pub place: Place,
    /// What it searches.
    pub search: Search,
}

/// The body of a selection.
#[derive(Clone, Debug)]
pub enum Search {
    /// A map: all of these on the same view, and for fields below one array of objects on the same
    /// element.
    Map(Vec<Item>),
    /// A list: any of these.
    Any(Vec<Self>),
}

/// One line of a map, or one keyword list.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is looked at.
    pub field: Field,
    /// `neq`: the item holds where the rest of it does not.
    pub negated: bool,
    /// Whether one matcher is enough.
    pub quantifier: Quantifier,
    /// What is looked for; not empty.
    pub matchers: Vec<Matcher>,
    /// Where the field's name (or the keyword) stands.
    pub place: Place,
    /// Where the value of each matcher stands.
    pub places: Vec<Place>,
}

/// What an item looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A field of the view.
    Named(Arc<str>),
    /// No field: every leaf value of the view. The patterns carry their `*` at both ends (policy M8).
    Keywords,
}

/// Any or all of an item's matchers. With arrays, `All` may be spread over elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Quantifier {
    Any,
    All,
}

/// One value of an item with its modifiers applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// Text with wildcards, anchors already written into the pattern. A number or boolean of the rule
    /// that is compared by its text is one of these too.
    Text(Pattern),
    /// `re`.
    Regex(Regex),
    /// `cidr`: canonical network text such as `10.0.0.0/8`.
    Cidr(ipnet::IpNet),
    /// `null`: missing or null.
    Null,
    /// A number of the rule, in canonical decimal text: equals a number or numeric text of the event
    /// (policy M6).
    Number(Arc<str>),
    /// A boolean of the rule: equals a JSON boolean or its text in any case (policy M7).
    Bool(bool),
    /// `exists`.
    Exists(bool),
    /// `lt`, `lte`, `gt`, `gte` against a decimal text.
    Compare(Comparison, Arc<str>),
    /// `fieldref`: another field of the same view, joined with these anchors.
    FieldRef {
        /// The other field.
        field: Arc<str>,
        /// `startswith` or `contains`: anything may follow it.
        prefix: bool,
        /// `endswith` or `contains`: anything may precede it.
        suffix: bool,
        /// `cased`.
        cased: bool,
    },
    /// `minute`, `hour`, `day`, `week`, `month`, `year` of a date in the field.
    Time(TimePart, i64),
    /// Any of these: the variants of *one* value (`windash`, `base64offset`, `expand`) where all values
    /// of the item must be met. Not nested. Empty: holds nowhere (`expand` of an empty table).
    AnyOf(Vec<Self>),
}

/// Numeric comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Sigma's")]
pub enum Comparison {
    Lt,
    Lte,
    Gt,
    Gte,
}

/// Part of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Sigma's")]
pub enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// A text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// In order; no two `Text` and no two `Any` stand side by side. Empty: the empty text.
    pub parts: Vec<Part>,
    /// `cased`: compared as written; else both sides by Unicode simple case folding.
    pub cased: bool,
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// These bytes (not UTF-8 only after `utf16*` without a base64).
    Text(Arc<[u8]>),
    /// `?`: exactly one code point.
    One,
    /// `*`: any run, also none.
    Any,
}

/// A regular expression in the dialect of the `regex` crates: unanchored, case-sensitive unless told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Regex {
    /// The source, checked to compile.
    pub source: Arc<str>,
    /// `i`.
    pub ignore_case: bool,
    /// `m`.
    pub multi_line: bool,
    /// `s`.
    pub dot_all: bool,
}

/// `condition`, selectors such as `1 of x*` already spread out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A selection holds.
    Selection(SelectionIdx),
    /// All hold; not empty.
    And(Vec<Self>),
    /// One holds; not empty.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
}
