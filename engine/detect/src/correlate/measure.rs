//! What a correlation's condition is about, kept up to date event by event: nothing is counted anew.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::RandomState;
use sigma::{Bound, BoundOperator, Correlation, CorrelationCondition, CorrelationKind, Seen};

use super::{Facts, fact};

/// Numbers are exact to so many decimal places; further ones are cut.
const PLACES: u32 = 9;
const ONE: i128 = 10_i128.pow(PLACES);
/// Numbers count as this at most, 10^20, so that sums of them cannot overflow.
const NUMBER_MAX: i128 = 10_i128.pow(20 + PLACES);

/// Condition and type of a correlation, compiled.
#[derive(Debug)]
pub(super) struct Rule {
    kind: Kind,
    /// The fields whose values count.
    fields: Vec<Arc<str>>,
    condition: Condition,
    sources: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Events,
    Distinct,
    Sum,
    Mean,
    Percentile(u8),
    Sources,
    OrderedSources,
}

#[derive(Debug)]
enum Condition {
    Bounds(Vec<(BoundOperator, i128)>),
    Seen(Seen),
}

/// The events of one group within the timespan, as far as the condition asks.
#[derive(Debug)]
pub(super) struct Measure {
    events: VecDeque<Event>,
    kept: Kept,
}

/// What is kept beside the events, so that nothing is counted anew.
///
/// PERF: there may be hundreds of thousands of these; each has only what its type asks for.
#[derive(Debug)]
enum Kept {
    Nothing,
    /// How often each value is there.
    Distinct(HashMap<Arc<[Arc<str>]>, u32, RandomState>),
    Numbers(Box<Numbers>),
    Sources(Box<Sources>),
}

#[derive(Debug, Default)]
struct Numbers {
    sum: i128,
    len: u64,
    /// How often each number is there, in order, where the order counts.
    sorted: Option<BTreeMap<i128, u32>>,
}

#[derive(Debug)]
struct Sources {
    /// How many events of each source are there.
    seen: Vec<u32>,
    /// For each source the latest start of a chain of events of all sources up to it, in order (T8); empty where the
    /// order does not count.
    chains: Vec<Option<i64>>,
}

#[derive(Debug)]
struct Event {
    time_ms: i64,
    source: u32,
    value: Value,
}

/// What an event adds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Texts(Arc<[Arc<str>]>),
    /// Boxed: most events have none, and each would take its room.
    Number(Box<i128>),
}

impl Rule {
    pub(super) fn new(correlation: &Correlation) -> Self {
        let (kind, fields) = match &correlation.kind {
            CorrelationKind::EventCount => (Kind::Events, vec![]),
            CorrelationKind::ValueCount(fields) => (Kind::Distinct, fields.clone()),
            CorrelationKind::ValueSum(field) => (Kind::Sum, vec![Arc::clone(field)]),
            CorrelationKind::ValueAvg(field) => (Kind::Mean, vec![Arc::clone(field)]),
            CorrelationKind::ValuePercentile(field, percent) => {
                (Kind::Percentile(*percent), vec![Arc::clone(field)])
            }
            CorrelationKind::Temporal => (Kind::Sources, vec![]),
            CorrelationKind::TemporalOrdered => (Kind::OrderedSources, vec![]),
        };
        let condition = match &correlation.condition {
            CorrelationCondition::Bounds(bounds) => Condition::Bounds(
                bounds
                    .iter()
                    .map(|Bound { operator, number }| {
                        (*operator, parse(number).unwrap_or_default())
                    })
                    .collect(),
            ),
            CorrelationCondition::Seen(seen) => Condition::Seen(seen.clone()),
        };
        Self {
            kind,
            fields,
            condition,
            sources: correlation.sources.len(),
        }
    }

    /// The fields that an event must bring to count.
    pub(super) fn fields(&self) -> &[Arc<str>] {
        &self.fields
    }

    /// T7: without a lower bound it may hold too early; it is decided when the window is over.
    pub(super) fn decides_at_end(&self) -> bool {
        match &self.condition {
            Condition::Bounds(bounds) => !bounds
                .iter()
                .any(|(operator, _)| matches!(operator, BoundOperator::Gt | BoundOperator::Gte)),
            Condition::Seen(seen) => has_not(seen),
        }
    }

    pub(super) fn measure(&self) -> Measure {
        let sources = |chains: usize| {
            Kept::Sources(Box::new(Sources {
                seen: vec![0; self.sources],
                chains: vec![None; chains],
            }))
        };
        let numbers = |sorted| {
            Kept::Numbers(Box::new(Numbers {
                sorted,
                ..Numbers::default()
            }))
        };
        Measure {
            events: VecDeque::with_capacity(1),
            kept: match self.kind {
                Kind::Events => Kept::Nothing,
                Kind::Distinct => Kept::Distinct(HashMap::default()),
                Kind::Sum | Kind::Mean => numbers(None),
                Kind::Percentile(_) => numbers(Some(BTreeMap::new())),
                Kind::Sources => sources(0),
                Kind::OrderedSources => sources(self.sources),
            },
        }
    }

    /// What an event of these facts adds (T9): one that lacks a field, or whose value is no number where numbers
    /// count, adds nothing.
    pub(super) fn value(&self, facts: &Facts) -> Value {
        match self.kind {
            Kind::Events | Kind::Sources | Kind::OrderedSources => Value::None,
            Kind::Distinct => {
                let texts = self.fields.iter().map(|field| fact(facts, field));
                texts
                    .collect::<Option<_>>()
                    .map_or(Value::None, Value::Texts)
            }
            Kind::Sum | Kind::Mean | Kind::Percentile(_) => self
                .fields
                .first()
                .and_then(|field| parse(&fact(facts, field)?))
                .map_or(Value::None, |number| Value::Number(number.into())),
        }
    }

    /// Whether the condition holds of the events from `from_ms` on.
    pub(super) fn holds(&self, measure: &Measure, from_ms: i64) -> bool {
        match &self.condition {
            Condition::Bounds(bounds) => bounds.iter().all(|(operator, bound)| {
                // A mean is compared as the sum with a multiple of the bound: exact.
                let times = match (self.kind, &measure.kept) {
                    (Kind::Mean, Kept::Numbers(numbers)) => i128::from(numbers.len),
                    _ => 1,
                };
                self.raw(measure, from_ms).is_some_and(|value| {
                    let order = value.cmp(&bound.saturating_mul(times));
                    match operator {
                        BoundOperator::Gt => order.is_gt(),
                        BoundOperator::Gte => order.is_ge(),
                        BoundOperator::Lt => order.is_lt(),
                        BoundOperator::Lte => order.is_le(),
                        BoundOperator::Eq => order.is_eq(),
                        BoundOperator::Neq => order.is_ne(),
                    }
                })
            }),
            Condition::Seen(seen) => {
                let Kept::Sources(sources) = &measure.kept else {
                    return false;
                };
                let is_seen = |source: usize| sources.seen[source] > 0;
                holds_of(seen, &is_seen)
                    && (self.kind != Kind::OrderedSources || measure.is_in_order(sources, from_ms))
            }
        }
    }

    /// The number to compare, of a mean the sum; `None` where there is none.
    fn raw(&self, measure: &Measure, from_ms: i64) -> Option<i128> {
        match &measure.kept {
            Kept::Nothing => Some(count(measure.events.len())),
            Kept::Distinct(distinct) => Some(count(distinct.len())),
            Kept::Numbers(numbers) => match self.kind {
                Kind::Percentile(percent) => numbers.percentile(percent),
                _ => (numbers.len > 0).then_some(numbers.sum),
            },
            Kept::Sources(sources) => Some(count(match self.kind {
                Kind::OrderedSources => sources.chain_len(from_ms),
                _ => sources.seen.iter().filter(|count| **count > 0).count(),
            })),
        }
    }

    /// The number that the condition is about, for people.
    pub(super) fn number(&self, measure: &Measure, from_ms: i64) -> Option<String> {
        let value = self.raw(measure, from_ms)?;
        Some(shown(match (self.kind, &measure.kept) {
            (Kind::Mean, Kept::Numbers(numbers)) => value / i128::from(numbers.len.max(1)),
            _ => value,
        }))
    }
}

impl Measure {
    /// How many events there are.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// How many events of each source there are; empty where the condition does not ask for sources.
    pub(super) fn seen(&self) -> &[u32] {
        match &self.kept {
            Kept::Sources(sources) => &sources.seen,
            _ => &[],
        }
    }

    /// Forgets all.
    pub(super) fn restart(&mut self) {
        self.events.clear();
        match &mut self.kept {
            Kept::Nothing => {}
            Kept::Distinct(distinct) => distinct.clear(),
            Kept::Numbers(numbers) => {
                (numbers.sum, numbers.len) = (0, 0);
                numbers.sorted.iter_mut().for_each(BTreeMap::clear);
            }
            Kept::Sources(sources) => {
                sources.seen.fill(0);
                sources.chains.fill(None);
            }
        }
    }

    /// Adds an event, not before those that are there; gives how many were given up for it.
    pub(super) fn add(&mut self, time_ms: i64, source: u32, value: Value, limit: usize) -> u64 {
        let mut evicted = 0;
        while self.events.len() >= limit.max(1) {
            self.forget_first();
            evicted += 1;
        }
        match (&mut self.kept, &value) {
            (Kept::Distinct(distinct), Value::Texts(texts)) => {
                *distinct.entry(Arc::clone(texts)).or_default() += 1;
            }
            (Kept::Numbers(numbers), Value::Number(number)) => numbers.add(**number),
            (Kept::Sources(sources), _) => sources.add(time_ms, source as usize),
            _ => {}
        }
        self.events.push_back(Event {
            time_ms,
            source,
            value,
        });
        evicted
    }

    /// Forgets the events before a time.
    pub(super) fn forget_before(&mut self, time_ms: i64) {
        while self
            .events
            .front()
            .is_some_and(|event| event.time_ms < time_ms)
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(event) = self.events.pop_front() else {
            return;
        };
        match (&mut self.kept, event.value) {
            (Kept::Distinct(distinct), Value::Texts(texts)) => {
                if let Some(count) = distinct.get_mut(&texts) {
                    *count -= 1;
                    if *count == 0 {
                        distinct.remove(&texts);
                    }
                }
            }
            (Kept::Numbers(numbers), Value::Number(number)) => numbers.forget(*number),
            (Kept::Sources(sources), _) => sources.seen[event.source as usize] -= 1,
            _ => {}
        }
    }

    /// Whether the sources that were seen since `from_ms` have events in their order.
    fn is_in_order(&self, sources: &Sources, from_ms: i64) -> bool {
        // PERF: with all of them there it is one look; the events of a group may be ten thousand.
        if sources.seen.iter().all(|count| *count > 0) {
            return sources.chain_len(from_ms) == sources.seen.len();
        }
        self.is_in_order_by_events(sources, from_ms)
    }

    fn is_in_order_by_events(&self, sources: &Sources, from_ms: i64) -> bool {
        let seen = &sources.seen;
        let mut wanted = (0..seen.len()).filter(|source| seen[*source] > 0);
        let mut next = wanted.next();
        for event in self.events.iter().filter(|event| event.time_ms >= from_ms) {
            if next == Some(event.source as usize) {
                next = wanted.next();
            }
        }
        next.is_none()
    }
}

impl Numbers {
    fn add(&mut self, number: i128) {
        self.sum += number;
        self.len += 1;
        if let Some(sorted) = &mut self.sorted {
            *sorted.entry(number).or_default() += 1;
        }
    }

    fn forget(&mut self, number: i128) {
        self.sum -= number;
        self.len -= 1;
        if let Some(sorted) = &mut self.sorted
            && let Some(count) = sorted.get_mut(&number)
        {
            *count -= 1;
            if *count == 0 {
                sorted.remove(&number);
            }
        }
    }

    /// T9: nearest rank.
    fn percentile(&self, percent: u8) -> Option<i128> {
        let rank = (u64::from(percent) * self.len).div_ceil(100).max(1);
        let mut below = 0;
        let mut sorted = self.sorted.iter().flatten();
        let found = sorted.find(|(_, count)| {
            below += u64::from(**count);
            below >= rank
        });
        found.map(|(number, _)| *number)
    }
}

impl Sources {
    fn add(&mut self, time_ms: i64, source: usize) {
        self.seen[source] += 1;
        if source < self.chains.len() {
            let start = match source.checked_sub(1) {
                None => Some(time_ms),
                Some(before) => self.chains[before],
            };
            self.chains[source] = self.chains[source].max(start);
        }
    }

    /// How many sources, from the first on, have events in order since `from_ms`.
    fn chain_len(&self, from_ms: i64) -> usize {
        let whole = |start: &Option<i64>| start.is_some_and(|start| start >= from_ms);
        self.chains.iter().rposition(whole).map_or(0, |at| at + 1)
    }
}

fn has_not(seen: &Seen) -> bool {
    match seen {
        Seen::Source(_) => false,
        Seen::And(parts) | Seen::Or(parts) => parts.iter().any(has_not),
        Seen::Not(_) => true,
    }
}

fn holds_of(seen: &Seen, is_seen: &impl Fn(usize) -> bool) -> bool {
    match seen {
        Seen::Source(source) => is_seen(*source),
        Seen::And(parts) => parts.iter().all(|part| holds_of(part, is_seen)),
        Seen::Or(parts) => parts.iter().any(|part| holds_of(part, is_seen)),
        Seen::Not(part) => !holds_of(part, is_seen),
    }
}

fn count(count: usize) -> i128 {
    i128::try_from(count)
        .unwrap_or(NUMBER_MAX)
        .saturating_mul(ONE)
}

/// A decimal number in units of 10^-9; `None` if the text is none.
pub(super) fn parse(text: &str) -> Option<i128> {
    let canonical = sigma::canonical_decimal(text)?;
    let (negative, digits) = match canonical.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, canonical.as_str()),
    };
    let (int, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !int
        .bytes()
        .chain(fraction.bytes())
        .all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let int = if int.len() > 20 {
        NUMBER_MAX
    } else {
        int.parse::<i128>().ok()? * ONE
    };
    let fraction: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let value = int.saturating_add(fraction).min(NUMBER_MAX);
    Some(if negative { -value } else { value })
}

fn shown(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let (int, fraction) = (value.abs() / ONE, value.abs() % ONE);
    let fraction = format!("{fraction:09}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{int}"),
        fraction => format!("{sign}{int}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_order_is_found_without_a_look_at_all_events(
            events in prop::collection::vec((0..30_i64, 0..3_u32), 0..20),
        ) {
            let mut measure = Measure {
                events: VecDeque::new(),
                kept: Kept::Sources(Box::new(Sources { seen: vec![0; 3], chains: vec![None; 3] })),
            };
            let mut now = 0;
            for (pause, source) in events {
                now += pause;
                measure.forget_before(now - 60);
                measure.add(now, source, Value::None, usize::MAX);
                let Kept::Sources(sources) = &measure.kept else { unreachable!() };
                prop_assert_eq!(
                    measure.is_in_order(sources, now - 60),
                    measure.is_in_order_by_events(sources, now - 60)
                );
            }
        }
    }
}
