//! Hints: the usual traps behind a value that is not met. Takes an item that keeps a rule from matching, with the whole
//! event decoded; tries what nearly is what the rule asks for, and looks where else it stands.

use std::collections::{BTreeMap, BTreeSet};

use event::{Event, Fields, KnownField, Slot, View, ViewKind, known_fields};
use sigma::{Field, Item, Matcher, Part, Pattern, Place, Regex, Search, did_you_mean};

use super::{ExplainedItem, ExplainedView};
use crate::expression::normal;
use crate::matcher::{Test, Text};
use crate::reference::{Slow, Walk, alternatives, keyword};
use crate::route::view_name;
use crate::subject::{Subject, has_text};
use crate::text::folded;
use crate::why::window;
use crate::witness::of_regex;

/// Most hints on one item.
const HINTS_MAX: usize = 3;
/// Values of an item that are tried: a list of thousands of names is not compared with everything.
const MATCHERS_MAX: usize = 256;
/// Types of records that a hint names.
const RECORDS_MAX: usize = 4;
/// Shorter texts stand in too many places to say anything.
const TEXT_MIN: usize = 3;

/// What may be the reason that an item is not as it is to be. Its text is for people and not escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing feeds the field in views of this kind.
    Unfed {
        /// The view.
        view: &'static str,
        /// The field that may be meant.
        cure: Option<String>,
    },
    /// The field is missing.
    Missing {
        /// What is known of the field.
        note: &'static str,
    },
    /// Records of other types carry the field.
    OtherRecord {
        /// Their types.
        records: String,
    },
    /// The value would be met but for the case of its letters.
    Case {
        /// The value.
        value: String,
        /// What takes letters of either case.
        cure: &'static str,
    },
    /// The value would be met but for what stands before its last `/`.
    LeadingPath {
        /// What to ask for instead.
        name: String,
    },
    /// The rule asks for percent codes, and values are decoded.
    PercentCode {
        /// What to ask for instead.
        text: String,
    },
    /// The rule asks for quotes, and arguments have none.
    Quotes {
        /// What to ask for instead.
        text: String,
    },
    /// The value contains what it is asked to be, to start or to end with.
    Within {
        /// The value.
        value: String,
    },
    /// The value stands in another field of the view.
    OtherField {
        /// The field.
        field: String,
        /// The value.
        value: String,
    },
    /// The value stands in another view of the event.
    OtherView {
        /// The view.
        view: &'static str,
        /// The record or element it was made from.
        record: Option<String>,
        /// The field.
        field: String,
        /// The value.
        value: String,
    },
    /// The value stands somewhere in the event.
    Elsewhere {
        /// Where.
        path: String,
        /// The value.
        value: String,
    },
}

impl Hint {
    /// A name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unfed { .. } => "unfed",
            Self::Missing { .. } => "missing",
            Self::OtherRecord { .. } => "other_record",
            Self::Case { .. } => "case",
            Self::LeadingPath { .. } => "leading_path",
            Self::PercentCode { .. } => "percent_code",
            Self::Quotes { .. } => "quotes",
            Self::Within { .. } => "within",
            Self::OtherField { .. } => "other_field",
            Self::OtherView { .. } => "other_view",
            Self::Elsewhere { .. } => "elsewhere",
        }
    }
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unfed {
                cure: Some(cure), ..
            } => f.write_str(cure),
            Self::Unfed { view, cure: None } => {
                write!(f, "`pythia fields {view}` lists the fields that there are")
            }
            Self::Missing { note: "" } => write!(f, "the event has no such field"),
            Self::Missing { note } => write!(f, "the event has no such field ({note})"),
            Self::OtherRecord { records } => write!(
                f,
                "records of type {records} carry this field; a rule of auditd is judged on one record at a time"
            ),
            Self::Case { value, cure } => write!(
                f,
                "only the case of letters differs from '{value}'; {cure} takes either"
            ),
            Self::LeadingPath { name } => write!(
                f,
                "only the directory differs; `endswith: '{name}'` asks for the name in any"
            ),
            Self::PercentCode { text } => {
                write!(f, "values are compared decoded; '{text}' is met")
            }
            Self::Quotes { text } => write!(
                f,
                "arguments are joined without the quotes of a shell; '{text}' is met"
            ),
            Self::Within { value } => {
                write!(f, "'{value}' contains it; `contains` asks for that")
            }
            Self::OtherField { field, value } => {
                write!(f, "the field {field} of this view has it: '{value}'")
            }
            Self::OtherView {
                view,
                record,
                field,
                value,
            } => {
                let record = record.as_deref().map(|record| format!(" {record}"));
                let record = record.filter(|_| *view == "auditd").unwrap_or_default();
                write!(f, "the field {field} of {view}{record} has it: '{value}'")
            }
            Self::Elsewhere { path, value } => write!(f, "it stands in {path}: '{value}'"),
        }
    }
}

/// The names of all that an event may hold, by view.
#[derive(Debug)]
pub(super) struct Hinter {
    names: BTreeMap<(ViewKind, Slot), String>,
}

impl Hinter {
    /// Asks for everything that is known.
    pub(super) fn new(fields: &mut Fields) -> Self {
        let mut names = BTreeMap::new();
        for kind in ViewKind::ALL {
            fields.want_view(kind);
            for field in known_fields(kind) {
                if let Some(slot) = fields.want(kind, &field.name) {
                    names.insert((kind, slot), field.name.into_owned());
                }
            }
        }
        fields.want_keywords(ViewKind::Native);
        Self { names }
    }

    /// Hints on the items that would have to hold, by their places.
    pub(super) fn hints(
        &self,
        walk: &Walk<'_, '_, Slow>,
        view: &ExplainedView,
        event: &Event<'_>,
    ) -> BTreeMap<Place, Vec<Hint>> {
        let mut hints = BTreeMap::new();
        let wanted = view.needs().map(|need| need.items()).unwrap_or_default();
        let missed: Vec<&ExplainedItem> = wanted.into_iter().filter(|item| !item.holds).collect();
        for selection in &walk.rule.detection.selections {
            each_item(&selection.search, &mut |item| {
                let missed = missed.iter().find(|missed| missed.place == item.place);
                if let Some(missed) = missed.filter(|_| !item.negated) {
                    let found = Missed {
                        walk,
                        item,
                        event,
                        names: &self.names,
                    }
                    .hints(missed);
                    hints.insert(item.place.clone(), found);
                }
            });
        }
        hints
    }
}

fn each_item<'r>(search: &'r Search, run: &mut impl FnMut(&'r Item)) {
    match search {
        Search::Any(searches) => searches.iter().for_each(|search| each_item(search, run)),
        Search::Map(items) => items.iter().for_each(run),
    }
}

/// An item that does not hold.
struct Missed<'h, 'w> {
    walk: &'h Walk<'w, 'w, Slow>,
    item: &'h Item,
    event: &'h Event<'h>,
    names: &'h BTreeMap<(ViewKind, Slot), String>,
}

impl Missed<'_, '_> {
    fn hints(&self, explained: &ExplainedItem) -> Vec<Hint> {
        let kind = self.walk.subject.kind;
        let known = known_fields(kind);
        let mut hints = Vec::new();
        if let Field::Named(name) = &self.item.field {
            if !explained.fed {
                let cure = did_you_mean(name, known.iter().map(|field| &*field.name));
                let is_slip = cure.is_some();
                let view = view_name(kind);
                hints.push(Hint::Unfed { view, cure });
                if is_slip {
                    return hints;
                }
            } else if explained.seen.is_empty() {
                hints.push(self.missing(name, &known));
            }
        }
        let own = self.walk.names.slot(&self.item.field);
        let missed = self.item.matchers.iter().zip(&explained.matchers);
        let missed = missed.filter(|(_, explained)| !explained.holds);
        for matcher in missed.take(MATCHERS_MAX).flat_map(|(m, _)| alternatives(m)) {
            if hints.len() >= HINTS_MAX {
                break;
            }
            let hint = own
                .and_then(|slot| self.nearly(matcher, slot))
                .or_else(|| self.elsewhere(matcher, own));
            hints.extend(hint.filter(|hint| !hints.contains(hint)));
        }
        hints
    }

    /// Why the field may be missing.
    fn missing(&self, name: &str, known: &[KnownField]) -> Hint {
        let subject = &self.walk.subject;
        let fields = || known.iter().filter(|field| field.name == name);
        // `PATH[1]` is one of PATH.
        let record = subject.source.path(subject.node).unwrap_or_default();
        let record = record.split('[').next().unwrap_or_default();
        let types: BTreeSet<&str> = fields().flat_map(|field| field.records).copied().collect();
        if subject.kind == ViewKind::Record && !types.is_empty() && !types.contains(record) {
            let shown: Vec<&str> = types.iter().copied().take(RECORDS_MAX).collect();
            let more = if types.len() > RECORDS_MAX {
                " and others"
            } else {
                ""
            };
            let records = shown.join(", ") + more;
            return Hint::OtherRecord { records };
        }
        let note = fields().find(|field| !field.note.is_empty());
        Hint::Missing {
            note: note.map_or("", |field| field.note),
        }
    }

    /// A value of the field that something close to the matcher meets.
    fn nearly(&self, matcher: &Matcher, slot: Slot) -> Option<Hint> {
        let subject = &self.walk.subject;
        let values = subject.values.iter().filter(|value| value.slot == slot);
        let values = values.filter(|value| has_text(value.kind));
        let texts: Vec<&[u8]> = values.map(|value| subject.raw(value)).collect();
        let found = |asked: Asked| {
            let text = texts.iter().find(|raw| asked.met_by(raw))?;
            Some(asked.shown(text))
        };
        if let Some(value) = in_any_case(matcher).and_then(Asked::new).and_then(found) {
            let cure = match matcher {
                Matcher::Regex(_) => "`re|i`",
                _ => "the same without `cased`",
            };
            return Some(Hint::Case { value, cure });
        }
        if let Some((other, name)) = in_any_directory(matcher)
            && Asked::new(other).and_then(found).is_some()
        {
            return Some(Hint::LeadingPath { name });
        }
        if let Some((other, text)) = rewritten(matcher, decoded)
            && Asked::new(other).and_then(found).is_some()
        {
            return Some(Hint::PercentCode { text });
        }
        if let Some((other, text)) = rewritten(matcher, without_quotes)
            && Asked::new(other).and_then(found).is_some()
        {
            return Some(Hint::Quotes { text });
        }
        if !matches!(matcher, Matcher::Text(_)) || !says_something(matcher) {
            return None;
        }
        // Of a pattern that is open at both ends this is the same, and met by none.
        let value = Asked::new(keyword(matcher)).and_then(found)?;
        Some(Hint::Within { value })
    }

    /// Where else in the event a value meets the matcher: nearest first.
    fn elsewhere(&self, matcher: &Matcher, own: Option<Slot>) -> Option<Hint> {
        if !says_something(matcher) {
            return None;
        }
        let asked = Asked::new(match self.item.field {
            Field::Keywords => keyword(matcher),
            Field::Named(_) => matcher.clone(),
        })?;
        let subject = &self.walk.subject;
        if let Some((field, value)) = self.field_with(&asked, subject, own) {
            return Some(Hint::OtherField { field, value });
        }
        let mut views: Vec<&View> = self.event.views().iter().collect();
        views.retain(|view| (view.kind, view.node) != (subject.kind, subject.node));
        views.sort_by_key(|view| view.kind != subject.kind);
        for view in &views {
            let other = Subject::new(self.event, view);
            if let Some((field, value)) = self.field_with(&asked, &other, None) {
                let (view, record) = (view_name(view.kind), other.source.path(view.node));
                return Some(Hint::OtherView {
                    view,
                    record,
                    field,
                    value,
                });
            }
        }
        let mut values = views.iter().flat_map(|view| self.event.values(view));
        values.find_map(|value| {
            let raw = self.event.bytes(value.span);
            let path = self.event.node_path(value.node)?;
            asked.met_by(raw).then(|| Hint::Elsewhere {
                path,
                value: asked.shown(raw),
            })
        })
    }

    /// The first known field of a view, but for this one, with a value that meets what is asked.
    fn field_with(
        &self,
        asked: &Asked,
        subject: &Subject<'_>,
        but: Option<Slot>,
    ) -> Option<(String, String)> {
        let values = subject.values.iter();
        let mut values = values.filter(|value| has_text(value.kind) && Some(value.slot) != but);
        values.find_map(|value| {
            let name = self.names.get(&(subject.kind, value.slot))?;
            let raw = subject.raw(value);
            asked.met_by(raw).then(|| (name.clone(), asked.shown(raw)))
        })
    }
}

/// A matcher that looks at single texts.
struct Asked {
    matcher: Matcher,
    test: Test,
}

impl Asked {
    fn new(matcher: Matcher) -> Option<Self> {
        let matcher = normal(matcher);
        let test = Test::new(&matcher).ok()?;
        Some(Self { matcher, test })
    }

    fn met_by(&self, raw: &[u8]) -> bool {
        self.test.holds(Text {
            kind: event::ValueKind::Text,
            raw,
            folded: &folded(raw),
        })
    }

    /// The text around what meets it.
    fn shown(&self, raw: &[u8]) -> String {
        window(raw, Some(&self.matcher)).0
    }
}

/// The same regardless of case, if case counts in it.
fn in_any_case(matcher: &Matcher) -> Option<Matcher> {
    match matcher {
        Matcher::Text(pattern) if pattern.cased => Some(Matcher::Text(Pattern {
            cased: false,
            ..pattern.clone()
        })),
        Matcher::Regex(regex) if !regex.ignore_case => Some(Matcher::Regex(Regex {
            ignore_case: true,
            ..regex.clone()
        })),
        _ => None,
    }
}

/// The last name of a path, in any directory, and as a rule would write it.
fn in_any_directory(matcher: &Matcher) -> Option<(Matcher, String)> {
    let Matcher::Text(pattern) = matcher else {
        return None;
    };
    let ([Part::Text(text)] | [Part::Any, Part::Text(text)]) = &pattern.parts[..] else {
        return None;
    };
    let text = std::str::from_utf8(text).ok()?;
    let name = text.rsplit('/').next().filter(|name| !name.is_empty())?;
    let name = format!("/{name}");
    let parts = vec![Part::Any, Part::Text(name.as_bytes().into())];
    let other = Matcher::Text(Pattern {
        parts,
        cased: pattern.cased,
    });
    Some((other, name))
}

/// A pattern with its texts written anew, and the first of those that changed; `None` if none does.
fn rewritten(matcher: &Matcher, rewrite: impl Fn(&[u8]) -> Vec<u8>) -> Option<(Matcher, String)> {
    let Matcher::Text(pattern) = matcher else {
        return None;
    };
    let mut changed = None;
    let parts = pattern.parts.iter().map(|part| match part {
        Part::Text(text) => {
            let new = rewrite(text);
            if new != **text {
                changed.get_or_insert_with(|| String::from_utf8_lossy(&new).into_owned());
            }
            Part::Text(new.into())
        }
        other => other.clone(),
    });
    let other = Pattern {
        parts: parts.collect(),
        cased: pattern.cased,
    };
    Some((Matcher::Text(other), changed?))
}

/// Without its percent codes: `+` for `%2b`.
fn decoded(text: &[u8]) -> Vec<u8> {
    let code = |text: &[u8]| {
        let digits = text.strip_prefix(b"%")?.get(..2)?;
        u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let code = code(&text[at..]);
        out.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    out
}

fn without_quotes(text: &[u8]) -> Vec<u8> {
    let bytes = text.iter().copied();
    bytes.filter(|byte| !matches!(byte, b'"' | b'\'')).collect()
}

/// Whether finding it elsewhere means something.
fn says_something(matcher: &Matcher) -> bool {
    match matcher {
        Matcher::Text(pattern) => pattern
            .parts
            .iter()
            .any(|part| matches!(part, Part::Text(text) if text.len() >= TEXT_MIN)),
        Matcher::Regex(regex) => of_regex(regex).is_some(),
        Matcher::Cidr(_) => true,
        _ => false,
    }
}
