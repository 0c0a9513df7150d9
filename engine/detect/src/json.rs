//! Any JSON object as an event, under the names that rules use: for events that are not Laurel's, and for what asks a
//! rule's meaning without a log source. Slow beside [`Detector`](crate::Detector): the same plan, but no decoder.
//!
//! SIGMA: a field is a member of this name, else a path (policy M5); paths cross arrays, and of one array of objects
//! the same element counts for all items of a map (M5b). Keywords are looked for in every scalar (M8).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Fields, RecordClass, Slot, Span, Value as Slotted, ValueKind, ViewKind};
use serde_json::Value;
use sigma::{LogSource, Rule};

use crate::correlate::{Correlations, EventBrief, Evidence, RuleHit};
use crate::cost::Costs;
use crate::enrich::EventIdentity;
use crate::evaluate::Scratch;
use crate::plan::{Compiled, Options, Plan, RuleIdx};
use crate::subject::{Source, Subject};

/// Rules on JSON objects.
#[derive(Debug)]
pub struct JsonDetector {
    plan: Arc<Plan>,
    /// Rules that match every event, whatever it is, and for that reason are not in the plan.
    always: bool,
    scratch: Scratch,
    costs: Costs,
}

impl JsonDetector {
    /// All these rules, whatever their log source.
    pub fn new(
        rules: Vec<Rule>,
        correlations: Vec<sigma::Correlation>,
        options: Options,
    ) -> (Self, Vec<crate::NotRunning>) {
        // The view that takes names as they are.
        let anything = LogSource {
            service: Some("laurel".into()),
            ..LogSource::default()
        };
        let unrouted = |rule| Rule {
            logsource: anything.clone(),
            // What matches is asked here, not what alerts: no rule is left out because only correlations read it.
            alerts: true,
            ..rule
        };
        let rules = rules.into_iter().map(unrouted).collect();
        let Compiled {
            plan, not_running, ..
        } = Plan::compile_all(rules, correlations, options);
        let detector = Self {
            always: not_running.iter().any(|rule| rule.always == Some(true)),
            scratch: plan.scratch(),
            costs: plan.costs(),
            plan: Arc::new(plan),
        };
        (detector, not_running)
    }

    /// Whether any rule matches.
    pub fn matches(&mut self, event: &Value) -> bool {
        self.always || !self.matching(event).is_empty()
    }

    /// The rules of the plan that match, in order.
    pub fn matching(&mut self, event: &Value) -> Vec<RuleIdx> {
        let flat = Flat::new(event, &self.plan.fields());
        let mut found = Vec::new();
        let Self {
            plan,
            scratch,
            costs,
            ..
        } = self;
        plan.matches(&flat.subject(), scratch, costs, |rule| found.push(rule));
        found.sort_unstable();
        found
    }

    /// What correlations read of an event at this time; its place among all events is its id.
    pub fn hits(&mut self, event: &Value, time_ms: i64, place: usize) -> Vec<RuleHit> {
        let matching = self.matching(event);
        let correlations = self.plan.correlations();
        let hit = |rule: RuleIdx| {
            let facts = correlations.fields(rule)?;
            let fact =
                |field: &Arc<str>| Some((Arc::clone(field), canonical(member(event, field)?)?));
            let brief = EventBrief {
                time_ms,
                host: None,
                summary: None,
                source: None,
                identity: EventIdentity::default(),
            };
            let title = self.plan.text(rule).title.as_str().into();
            Some(RuleHit {
                rule,
                time_ms,
                facts: facts.iter().filter_map(fact).collect(),
                evidence: Arc::new(Evidence::known(place.to_string(), title, brief)),
            })
        };
        matching.into_iter().filter_map(hit).collect()
    }

    /// The correlations.
    pub fn correlations(&self) -> &Arc<Correlations> {
        self.plan.correlations()
    }
}

/// The first value of a field.
fn member<'v>(event: &'v Value, path: &str) -> Option<&'v Value> {
    match event {
        Value::Object(members) => members.get(path).or_else(|| {
            let mut dots = path.match_indices('.');
            dots.find_map(|(at, _)| member(members.get(path.get(..at)?)?, path.get(at + 1..)?))
        }),
        Value::Array(elements) => elements.iter().find_map(|element| member(element, path)),
        _ => None,
    }
}

/// T5: the text that a value is grouped by.
fn canonical(value: &Value) -> Option<Arc<str>> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => {
            let text = number.to_string();
            sigma::canonical_decimal(&text).unwrap_or(text).into()
        }
        other => other.to_string().into(),
    })
}

/// One event as a view of a plan.
pub(crate) struct Flat {
    bytes: Vec<u8>,
    values: Vec<Slotted>,
}

impl Flat {
    pub(crate) fn new(event: &Value, fields: &Fields) -> Self {
        let mut flat = Self {
            bytes: Vec::new(),
            values: Vec::new(),
        };
        let keywords = fields.keywords(ViewKind::Native);
        let slots = 0..fields.len(ViewKind::Native);
        let mut members: BTreeMap<&str, Vec<Path<'_>>> = BTreeMap::new();
        for slot in slots.filter_map(|slot| u16::try_from(slot).ok()).map(Slot) {
            if Some(slot) == keywords {
                flat.leaves(slot, event);
                continue;
            }
            let name = fields.name(ViewKind::Native, slot);
            let member = name.split_once('.').map_or(name, |(member, _)| member);
            members.entry(member).or_default().push((slot, name));
        }
        for paths in members.values() {
            let rows = rows(event, paths);
            let is_array = rows.len() > 1 || rows.iter().any(|row| row.in_array);
            for (number, row) in (1..).zip(rows) {
                for (slot, value) in row.values {
                    flat.put(slot, value, if is_array { number } else { 0 });
                }
            }
        }
        flat.values.sort_by_key(|value| value.slot.0);
        flat
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            kind: ViewKind::Native,
            class: RecordClass::Other,
            values: &self.values,
            node: 0,
            source: self,
        }
    }

    fn leaves(&mut self, slot: Slot, at: &Value) {
        match at {
            Value::Array(elements) => elements.iter().for_each(|value| self.leaves(slot, value)),
            Value::Object(members) => members.values().for_each(|value| self.leaves(slot, value)),
            leaf => self.put(slot, leaf, 0),
        }
    }

    fn put(&mut self, slot: Slot, value: &Value, element: u32) {
        let (kind, text): (_, Cow<'_, str>) = match value {
            Value::Null => (ValueKind::Null, "".into()),
            Value::Bool(value) => (ValueKind::Bool, value.to_string().into()),
            Value::Number(number) => (ValueKind::Number, number.to_string().into()),
            Value::String(text) => (ValueKind::Text, text.into()),
            Value::Array(elements) if !elements.is_empty() => {
                let elements = elements.iter();
                return elements.for_each(|value| self.put(slot, value, element));
            }
            Value::Array(_) | Value::Object(_) => (ValueKind::Container, "".into()),
        };
        let span = match kind {
            ValueKind::Null | ValueKind::Container => Span::NONE,
            _ => self.push(text.as_bytes()),
        };
        self.values.push(Slotted {
            slot,
            kind,
            span,
            element,
            node: u32::MAX,
        });
    }

    /// A text beyond the first 2 GiB is left out: whole events are smaller.
    fn push(&mut self, text: &[u8]) -> Span {
        let from = self.bytes.len();
        let (Ok(offset), Ok(len)) = (u32::try_from(from), u32::try_from(text.len())) else {
            return Span::NONE;
        };
        self.bytes.extend_from_slice(text);
        Span { offset, len }
    }
}

/// A field, and what is left of its name.
type Path<'a> = (Slot, &'a str);

/// One element of each array of objects on the way to some fields: the values that M5b takes together.
#[derive(Clone, Default)]
struct Row<'v> {
    values: Vec<(Slot, &'v Value)>,
    in_array: bool,
}

/// Rows below one member of an event; combinations beyond are not looked at.
const ROWS_MAX: usize = 10_000;

/// Whether an array is one of objects: of one of plain values every value is the field's own (M4), none a row.
fn has_objects(elements: &[Value]) -> bool {
    elements.iter().any(|element| match element {
        Value::Object(_) => true,
        Value::Array(elements) => has_objects(elements),
        _ => false,
    })
}

/// What these paths find: of an array of objects the rows of each element, of an object each combination of those of its
/// members. There is always one.
fn rows<'v>(at: &'v Value, paths: &[Path<'_>]) -> Vec<Row<'v>> {
    match at {
        Value::Array(elements) if has_objects(elements) => {
            let rows = elements.iter().flat_map(|element| rows(element, paths));
            let in_array = |row| Row {
                in_array: true,
                ..row
            };
            rows.map(in_array).take(ROWS_MAX).collect()
        }
        Value::Object(members) => {
            let mut own = Row::default();
            let mut below: BTreeMap<&str, Vec<Path<'_>>> = BTreeMap::new();
            for (slot, path) in paths {
                match members.get(*path) {
                    // The array itself, asked for to know its elements.
                    Some(Value::Array(_)) if !path.contains('.') => {
                        below.entry(path).or_default().push((*slot, ""));
                    }
                    Some(value) => own.values.push((*slot, value)),
                    None if path.is_empty() => own.values.push((*slot, at)),
                    None => {
                        for (at, _) in path.match_indices('.') {
                            let (first, rest) = path.split_at(at);
                            let rest = rest.strip_prefix('.').unwrap_or(rest);
                            below.entry(first).or_default().push((*slot, rest));
                        }
                    }
                }
            }
            let below = below.into_iter();
            let below = below.filter_map(|(name, paths)| Some((members.get(name)?, paths)));
            below.fold(vec![own], |so_far, (member, paths)| {
                combined(&so_far, &rows(member, &paths))
            })
        }
        _ => {
            let whole = paths.iter().filter(|(_, rest)| rest.is_empty());
            let values = whole.map(|(slot, _)| (*slot, at)).collect();
            vec![Row {
                values,
                in_array: false,
            }]
        }
    }
}

fn combined<'v>(left: &[Row<'v>], right: &[Row<'v>]) -> Vec<Row<'v>> {
    let pairs = left.iter().flat_map(|left| {
        right.iter().map(move |right| Row {
            values: [&left.values[..], &right.values[..]].concat(),
            in_array: left.in_array || right.in_array,
        })
    });
    pairs.take(ROWS_MAX).collect()
}

impl Source for Flat {
    fn bytes(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    fn path(&self, _node: u32) -> Option<String> {
        None
    }

    fn arguments(&self, _node: u32) -> Vec<(u32, &[u8])> {
        Vec::new()
    }
}
