//! A correlation: what it reads and asks for, who evaluates it; and on a file of events what its rules matched, how far
//! its groups came and when it fired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use console::moment;
use console::printing::{Paint, escaped, shortened};
use detect::{
    CorrelationCounts, CorrelationFacts, CorrelationIdx, CorrelationLimits, Correlator, Detector,
    Fired, Plan, RuleHit, Standing,
};
use event::{ProcessCache, Profile};
use serde_json::{Value, json};
use sigma::{BoundOperator, CorrelationCondition, CorrelationKind, Seen};

use super::captured::Captured;
use crate::config::count;

/// Groups that are told, the nearest first, and times at which it fired.
const SHOWN_MAX: usize = 3;
/// Longest value of a group shown, in characters.
const VALUE: usize = 80;

/// A correlation that is explained.
pub(super) struct Correlation {
    pub(super) of: sigma::Correlation,
    /// Its number in the plan, if it runs.
    pub(super) index: Option<CorrelationIdx>,
    /// Why nobody evaluates it.
    pub(super) reason: Option<String>,
    /// Why the service does not.
    pub(super) service: Option<String>,
}

/// A correlation on a file of events.
pub(super) struct OnEvents {
    /// How often each rule that some correlation of the plan reads matched, by title.
    matched: BTreeMap<String, u64>,
    counts: CorrelationCounts,
    /// The furthest that each group came, the nearest to the condition first.
    groups: Vec<Standing>,
    fired: Vec<Fired>,
    /// Lines that are no events.
    faults: u64,
}

/// Runs all lines in the order of their times. `None` if the correlation does not run.
pub(super) fn on(
    plan: &Arc<Plan>,
    profile: &Arc<Profile>,
    one: &Correlation,
    captured: &Captured,
    (cache_bytes, limits): (usize, CorrelationLimits),
) -> Option<OnEvents> {
    let index = one.index?;
    let mut cache = ProcessCache::new(cache_bytes, i64::MAX);
    let mut detector = Detector::new(Arc::clone(plan), Arc::clone(profile));
    let (mut hits, mut faults) = (Vec::new(), 0);
    for line in captured.lines().filter(|line| !line.bytes.is_empty()) {
        match detector.run(&line, &mut cache, &mut Vec::new()) {
            Ok(()) => hits.extend_from_slice(detector.hits()),
            Err(_) => faults += 1,
        }
    }
    // All events are there: nothing is late.
    hits.sort_by_key(|hit| hit.time_ms);
    let mut on = OnEvents {
        matched: BTreeMap::new(),
        counts: CorrelationCounts::default(),
        groups: Vec::new(),
        fired: Vec::new(),
        faults,
    };
    let read = read_by(plan, &one.of);
    for hit in &hits {
        let rule = &plan.rule(hit.rule).attributes;
        let names = [&rule.id, &rule.name].into_iter().flatten();
        if names.into_iter().any(|name| read.contains(&**name)) {
            *on.matched.entry(rule.title.clone()).or_default() += 1;
        }
    }
    on.correlate(plan, index, &hits, limits);
    Some(on)
}

/// Ids and names of all that a correlation reads, and that is read by what it reads.
fn read_by<'p>(plan: &'p Plan, of: &'p sigma::Correlation) -> BTreeSet<&'p str> {
    let mut read = BTreeSet::new();
    let mut open = vec![of];
    while let Some(of) = open.pop() {
        for name in of.sources.iter().map(|source| &*source.name) {
            let is_named = |other: &&sigma::Correlation| {
                let names = [&other.attributes.id, &other.attributes.name];
                names.into_iter().flatten().any(|other| **other == *name)
            };
            if read.insert(name) {
                open.extend(plan.correlations().all().find(is_named));
            }
        }
    }
    read
}

impl OnEvents {
    fn correlate(
        &mut self,
        plan: &Plan,
        index: CorrelationIdx,
        hits: &[RuleHit],
        limits: CorrelationLimits,
    ) {
        let mut correlator = Correlator::new(Arc::clone(plan.correlations()), limits);
        let mut fired = Vec::new();
        let mut furthest: BTreeMap<CorrelationFacts, Standing> = BTreeMap::new();
        for at_once in hits.chunk_by(|a, b| a.time_ms == b.time_ms) {
            let time_ms = at_once[0].time_ms;
            correlator.observe(at_once);
            correlator.advance(time_ms.saturating_add(1), &mut fired);
            for standing in correlator.standings(index, time_ms) {
                let known = furthest.get(&standing.group);
                if known.is_none_or(|known| reach(known) <= reach(&standing)) {
                    furthest.insert(standing.group.clone(), standing);
                }
            }
        }
        correlator.finish(&mut fired);
        fired.retain(|fired| fired.correlation == index);
        self.fired = fired;
        self.counts = correlator.take_counts().swap_remove(index.0 as usize);
        self.groups = furthest.into_values().collect();
        self.groups.sort_by(|a, b| reach(b).total_cmp(&reach(a)));
    }

    pub(super) fn fired(&self) -> bool {
        self.counts.fired > 0
    }

    pub(super) fn text(&self, one: &Correlation, paint: Paint) -> String {
        let (word, times) = if self.fired() {
            ("fires", count(self.counts.fired, "time"))
        } else {
            ("does not fire", String::new())
        };
        let mut text = format!("\n  {} {times}", paint.state_of(self.fired(), word));
        text = text.trim_end().to_owned() + "\n";
        let matched = self.matched.iter();
        for (title, times) in matched {
            text += &format!("  matched: {}, {}\n", escaped(title), count(*times, "time"));
        }
        if self.matched.is_empty() {
            text += "  matched: none of the rules that it reads; explain those on the event that should match\n";
        }
        if self.counts.without_group > 0 {
            let fields: Vec<&str> = one.of.group_by.iter().map(|field| &**field).collect();
            text += &format!(
                "  {} in no group: a field of `group-by` is missing ({})\n",
                count(self.counts.without_group, "match"),
                escaped(&fields.join(", "))
            );
        }
        if self.faults > 0 {
            text += &format!("  {} no events\n", count(self.faults, "line"));
        }
        text += &format!("  {}\n", count(self.groups.len(), "group"));
        for standing in self.groups.iter().take(SHOWN_MAX) {
            text += &format!("    {}\n", reached(standing, &one.of));
        }
        if self.groups.len() > SHOWN_MAX {
            text += &format!(
                "    and {} that came less far\n",
                self.groups.len() - SHOWN_MAX
            );
        }
        for fired in self.fired.iter().take(SHOWN_MAX) {
            text += &format!(
                "  fired: {} at {}, window {}\n",
                group(&fired.group),
                time(fired.time_ms),
                window(fired.window_ms)
            );
        }
        if self.fired.len() > SHOWN_MAX {
            text += &format!("  and {} more\n", self.fired.len() - SHOWN_MAX);
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let groups = self.groups.iter().map(|standing| {
            json!({
                "group": facts(&standing.group), "number": standing.number, "events": standing.events,
                "seen": standing.seen, "window_ms": [standing.window_ms.0, standing.window_ms.1],
            })
        });
        let fired = self.fired.iter().map(|fired| {
            json!({
                "group": facts(&fired.group), "number": fired.number, "events": fired.events,
                "time_ms": fired.time_ms, "window_ms": [fired.window_ms.0, fired.window_ms.1],
            })
        });
        json!({
            "matches": self.fired(),
            "matched": self.matched,
            "without_group": self.counts.without_group,
            "faults": self.faults,
            "groups": groups.collect::<Vec<_>>(),
            "fired": fired.collect::<Vec<_>>(),
        })
    }
}

impl Correlation {
    pub(super) fn text(&self, paint: Paint) -> String {
        let of = &self.of;
        let names: Vec<&str> = of.sources.iter().map(|source| &*source.name).collect();
        let mut text = format!(
            "  correlation {} of {}\n",
            kind(&of.kind),
            escaped(&names.join(", "))
        );
        let by: Vec<&str> = of.group_by.iter().map(|field| &**field).collect();
        let by = if by.is_empty() {
            "nothing: one group".to_owned()
        } else {
            escaped(&by.join(", "))
        };
        text += &format!("  grouped by {by}\n");
        for source in &of.sources {
            let aliases = of.group_by.iter().zip(&source.group_by);
            for (alias, field) in aliases.filter(|(alias, field)| alias != field) {
                let (alias, field) = (escaped(alias), escaped(field));
                text += &format!("    {alias} is {field} of {}\n", escaped(&source.name));
            }
        }
        text += &format!("  within {}\n", span(of.timespan_ms));
        text += &format!("  condition: {}\n", escaped(&condition(of)));
        text += &match (&self.reason, &self.service) {
            (Some(reason), _) => {
                format!(
                    "  {}: {}\n",
                    paint.state_of(false, "does not run"),
                    escaped(reason)
                )
            }
            (None, Some(reason)) => {
                format!(
                    "  runs in `pythia scan`, not in `pythia run`: {}\n",
                    escaped(reason)
                )
            }
            (None, None) => "  runs in `pythia scan` and in `pythia run`\n".to_owned(),
        };
        if !of.alerts {
            text += "  feeds another correlation, and does not alert by itself\n";
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let of = &self.of;
        let source = |source: &sigma::CorrelationSource| {
            let group_by = source.group_by.iter().map(|field| &**field);
            json!({ "name": &*source.name, "group_by": group_by.collect::<Vec<_>>() })
        };
        json!({
            "correlation": {
                "type": kind(&of.kind),
                "rules": of.sources.iter().map(source).collect::<Vec<_>>(),
                "group_by": of.group_by.iter().map(|field| &**field).collect::<Vec<_>>(),
                "timespan_ms": of.timespan_ms,
                "condition": condition(of),
                "alerts": of.alerts,
                "not_running": self.reason,
                "not_running_in_service": self.service,
            },
        })
    }
}

/// How far a group came, to compare groups by: the number that the condition is about, else the events.
#[expect(clippy::cast_precision_loss, reason = "an order for people")]
fn reach(standing: &Standing) -> f64 {
    let number = standing.number.as_deref();
    let number = number.and_then(|number| number.parse().ok());
    let seen = standing.seen.iter().filter(|seen| **seen > 0).count();
    number.unwrap_or(if standing.seen.is_empty() {
        standing.events as f64
    } else {
        seen as f64
    })
}

/// `host web-01: came to 2 (gte 3 is asked), 2 events, window ...`
fn reached(standing: &Standing, of: &sigma::Correlation) -> String {
    let came = match (&of.condition, &standing.number) {
        (CorrelationCondition::Bounds(_), Some(number)) => {
            format!("came to {number} ({} is asked)", condition(of))
        }
        (CorrelationCondition::Bounds(_), None) => "has no number".to_owned(),
        (CorrelationCondition::Seen(_), _) => {
            let seen = standing.seen.iter().filter(|seen| **seen > 0).count();
            format!("saw {seen} of {}", count(of.sources.len(), "rule"))
        }
    };
    let mut text = format!(
        "{}: {came}, {}, window {}",
        group(&standing.group),
        count(standing.events, "event"),
        window(standing.window_ms)
    );
    let missing = standing.seen.iter().zip(&of.sources);
    let missing = missing.filter(|(seen, _)| **seen == 0);
    let missing: Vec<String> = missing.map(|(_, source)| escaped(&source.name)).collect();
    if !missing.is_empty() {
        text += &format!(", without {}", missing.join(", "));
    }
    text
}

fn group(group: &CorrelationFacts) -> String {
    if group.is_empty() {
        return "all events".to_owned();
    }
    let values = group
        .iter()
        .map(|(name, value)| format!("{} {}", escaped(name), shortened(&escaped(value), VALUE)));
    values.collect::<Vec<_>>().join(", ")
}

fn facts(group: &CorrelationFacts) -> Value {
    let members = group.iter();
    members
        .map(|(name, value)| (name.to_string(), Value::from(&**value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn window((from, to): (i64, i64)) -> String {
    format!("{} to {}", time(from), time(to))
}

fn time(ms: i64) -> String {
    moment::rfc3339(ms).unwrap_or_else(|| format!("{ms} ms"))
}

/// The longest unit that divides it.
fn span(ms: i64) -> String {
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let unit = units.iter().find(|(unit, _)| ms % unit == 0);
    unit.map_or_else(
        || format!("{ms} ms"),
        |(unit, name)| format!("{}{name}", ms / unit),
    )
}

fn kind(kind: &CorrelationKind) -> String {
    let fields = |fields: &[Arc<str>]| fields.join(", ");
    match kind {
        CorrelationKind::EventCount => "event_count".to_owned(),
        CorrelationKind::ValueCount(of) => format!("value_count ({})", escaped(&fields(of))),
        CorrelationKind::ValueSum(field) => format!("value_sum ({})", escaped(field)),
        CorrelationKind::ValueAvg(field) => format!("value_avg ({})", escaped(field)),
        CorrelationKind::ValuePercentile(field, percent) => {
            format!("value_percentile ({}, {percent})", escaped(field))
        }
        CorrelationKind::Temporal => "temporal".to_owned(),
        CorrelationKind::TemporalOrdered => "temporal_ordered".to_owned(),
    }
}

fn condition(of: &sigma::Correlation) -> String {
    match &of.condition {
        CorrelationCondition::Bounds(bounds) => {
            let bound = |bound: &sigma::Bound| {
                let operator = match bound.operator {
                    BoundOperator::Gt => "gt",
                    BoundOperator::Gte => "gte",
                    BoundOperator::Lt => "lt",
                    BoundOperator::Lte => "lte",
                    BoundOperator::Eq => "eq",
                    BoundOperator::Neq => "neq",
                };
                format!("{operator} {}", bound.number)
            };
            bounds.iter().map(bound).collect::<Vec<_>>().join(" and ")
        }
        CorrelationCondition::Seen(seen) => seen_text(seen, of, true),
    }
}

fn seen_text(seen: &Seen, of: &sigma::Correlation, outer: bool) -> String {
    let join = |parts: &[Seen], word: &str| {
        let parts = parts.iter().map(|part| seen_text(part, of, false));
        let joined = parts.collect::<Vec<_>>().join(word);
        if outer { joined } else { format!("({joined})") }
    };
    match seen {
        Seen::Source(source) => of.sources[*source].name.to_string(),
        Seen::And(parts) => join(parts, " and "),
        Seen::Or(parts) => join(parts, " or "),
        Seen::Not(part) => format!("not {}", seen_text(part, of, false)),
    }
}
