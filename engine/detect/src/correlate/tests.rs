//! Correlations by hand, and against a slow one that looks at all events of a group anew each time.

use proptest::prelude::*;
use sigma::{Bound, BoundOperator, CorrelationCondition, CorrelationKind, CorrelationSource, Seen};

use super::*;
use crate::handmade::attributes;

const MINUTE: i64 = 60_000;

/// An event: its time in milliseconds, the rules that it matches, the value of `host` and that of `value`.
type Event = (i64, Vec<u32>, Option<&'static str>, Option<String>);

fn correlation(
    kind: CorrelationKind,
    sources: &[SourceTarget],
    condition: CorrelationCondition,
) -> Correlation {
    let source = |target: &SourceTarget| CorrelationSource {
        name: "source".into(),
        target: *target,
        group_by: vec!["host".into()],
    };
    Correlation {
        attributes: attributes(0),
        kind,
        sources: sources.iter().map(source).collect(),
        timespan_ms: MINUTE,
        group_by: vec!["host".into()],
        condition,
        alerts: true,
        not_running: None,
    }
}

fn bounds(all: &[(BoundOperator, &str)]) -> CorrelationCondition {
    let bound = |(operator, number): &(BoundOperator, &str)| Bound {
        operator: *operator,
        number: (*number).into(),
    };
    CorrelationCondition::Bounds(all.iter().map(bound).collect())
}

fn counted(all: &[(BoundOperator, &str)]) -> Correlation {
    correlation(
        CorrelationKind::EventCount,
        &[SourceTarget::Rule(0)],
        bounds(all),
    )
}

fn compile(all: Vec<Correlation>) -> Arc<Correlations> {
    let drafts = Drafts::new(all);
    let (reasons, fields) = (drafts.reasons(|_| true), drafts.fields(3));
    let read = fields
        .into_iter()
        .map(|fields| ReadRule::new(&attributes(0), fields))
        .collect();
    let running = |rule| Some(RuleIdx(number(rule)));
    let (compiled, refused) = drafts.link(reasons, running, |rule| format!("{rule:?}"), read);
    assert!(refused.is_empty(), "{refused:?}");
    Arc::new(compiled)
}

fn hits(event: &Event) -> Vec<RuleHit> {
    let (time_ms, rules, host, value) = event;
    let mut facts = Vec::new();
    facts.extend(host.map(|host| ("host".into(), host.into())));
    facts.extend(
        value
            .as_ref()
            .map(|value| ("value".into(), value.as_str().into())),
    );
    let brief = EventBrief {
        time_ms: *time_ms,
        host: None,
        summary: None,
        source: None,
        identity: EventIdentity::default(),
    };
    let evidence = Arc::new(Evidence::known(format!("{time_ms}"), "rule".into(), brief));
    let hit = |rule: &u32| RuleHit {
        rule: RuleIdx(*rule),
        time_ms: *time_ms,
        facts: facts.as_slice().into(),
        evidence: Arc::clone(&evidence),
    };
    rules.iter().map(hit).collect()
}

/// What fires when events come in this order, the watermark `lateness` behind the newest of them: correlation, time,
/// number of times at that time and group; and how many came too late for some correlation.
fn run(
    plan: &Arc<Correlations>,
    events: &[Event],
    lateness: i64,
) -> (Vec<(u32, i64, u32, String)>, u64) {
    let mut correlator = Correlator::new(Arc::clone(plan), CorrelationLimits::USUAL);
    let (mut fired, mut newest) = (Vec::new(), i64::MIN);
    for event in events {
        correlator.observe(&hits(event));
        newest = newest.max(event.0);
        correlator.advance(newest.saturating_sub(lateness), &mut fired);
    }
    correlator.finish(&mut fired);
    let late = correlator
        .take_counts()
        .iter()
        .map(|counts| counts.late_dropped)
        .sum();
    let group = |fired: &Fired| {
        let values = fired.group.iter().map(|(_, value)| value.to_string());
        values.collect::<Vec<_>>().join(" ")
    };
    let fired = fired.iter().map(|fired| {
        (
            fired.correlation.0,
            fired.time_ms,
            fired.again,
            group(fired),
        )
    });
    (fired.collect(), late)
}

fn times(plan: &Arc<Correlations>, seconds: &[i64]) -> Vec<i64> {
    let events: Vec<Event> = seconds
        .iter()
        .map(|at| (at * 1000, vec![0], Some("a"), None))
        .collect();
    let (fired, late) = run(plan, &events, 1000 * MINUTE);
    assert_eq!(late, 0);
    fired.into_iter().map(|(_, time, ..)| time / 1000).collect()
}

fn three_in_a_minute() -> Arc<Correlations> {
    compile(vec![counted(&[(BoundOperator::Gte, "3")])])
}

#[test]
fn events_are_counted_by_their_time_not_by_their_coming() {
    let event = |seconds: i64| (seconds * 1000, vec![0], Some("a"), None);
    let plan = three_in_a_minute();
    // 65 seconds lie between the first and the last.
    let (fired, late) = run(&plan, &[event(100), event(50), event(115)], 120_000);
    assert_eq!((fired.len(), late), (0, 0));
    let late_one = [event(100), event(60), event(115)];
    let (fired, late) = run(&plan, &late_one, 120_000);
    assert_eq!(fired, [(0, 115_000, 0, "a".into())]);
    assert_eq!(late, 0);
    assert_eq!(run(&plan, &late_one, 5_000), (vec![], 1));
    // As late as is allowed is not too late.
    assert_eq!(run(&plan, &late_one, 40_000).1, 0);
    assert_eq!(run(&plan, &late_one, 39_999).1, 1);
}

#[test]
fn both_edges_of_a_window_belong_to_it() {
    let plan = three_in_a_minute();
    assert_eq!(times(&plan, &[0, 30, 60]), [60]);
    assert_eq!(times(&plan, &[0, 30, 61]), [0_i64; 0]);
}

#[test]
fn it_fires_when_it_comes_to_hold_and_again_after_it_did_not() {
    let plan = three_in_a_minute();
    assert_eq!(times(&plan, &[0, 1, 2, 3, 30, 60]), [2]);
    assert_eq!(times(&plan, &[0, 1, 2, 90, 91, 92]), [2, 92]);
    // It holds at the last event of the first three, and at the first within a timespan of that.
    assert_eq!(times(&plan, &[0, 1, 2, 62, 63, 64]), [2, 64]);
    let range = compile(vec![counted(&[
        (BoundOperator::Gt, "2"),
        (BoundOperator::Lte, "5"),
    ])]);
    assert_eq!(times(&range, &[0, 1, 2, 3, 4, 5, 6]), [2]);
}

#[test]
fn without_a_lower_bound_it_is_decided_at_the_end_of_the_window() {
    let few = compile(vec![counted(&[(BoundOperator::Lt, "3")])]);
    assert_eq!(times(&few, &[10]), [70]);
    assert_eq!(times(&few, &[10, 20, 30]), [0_i64; 0]);
    // Windows at most a timespan apart are one run.
    assert_eq!(times(&few, &[0, 61, 130, 300]), [60, 360]);
    // A window in which it does not hold ends the run.
    assert_eq!(times(&few, &[0, 61, 62, 63, 130]), [60, 190]);
    assert_eq!(times(&few, &[]), [0_i64; 0]);
    let exactly = compile(vec![counted(&[(BoundOperator::Eq, "2")])]);
    assert_eq!(times(&exactly, &[0, 60]), [60]);
    assert_eq!(times(&exactly, &[0, 60, 60]), [0_i64; 0]);
}

#[test]
fn an_event_without_the_group_joins_none() {
    let plan = three_in_a_minute();
    let mut correlator = Correlator::new(plan, CorrelationLimits::USUAL);
    let mut fired = Vec::new();
    for time in 0..3 {
        correlator.observe(&hits(&(time, vec![0], None, None)));
    }
    correlator.finish(&mut fired);
    let counts = correlator.take_counts()[0];
    assert_eq!((fired.len(), counts.without_group, counts.taken), (0, 3, 0));
}

#[test]
fn sources_must_come_in_order_and_one_event_may_be_several() {
    let sources = [
        SourceTarget::Rule(0),
        SourceTarget::Rule(1),
        SourceTarget::Rule(2),
    ];
    let all = bounds(&[(BoundOperator::Gte, "3")]);
    let ordered = compile(vec![correlation(
        CorrelationKind::TemporalOrdered,
        &sources,
        all.clone(),
    )]);
    let unordered = compile(vec![correlation(CorrelationKind::Temporal, &sources, all)]);
    let events = |rules: &[(i64, &[u32])]| -> Vec<Event> {
        let event = |(time, rules): &(i64, &[u32])| (*time, rules.to_vec(), Some("a"), None);
        rules.iter().map(event).collect()
    };
    let fires = |plan: &Arc<Correlations>, rules: &[(i64, &[u32])]| {
        run(plan, &events(rules), MINUTE).0.len()
    };
    for (rules, in_order, in_any) in [
        (&[(0, &[0][..]), (1, &[1]), (2, &[2])][..], 1, 1),
        (&[(0, &[1]), (1, &[0]), (2, &[2])], 0, 1),
        // Of equal times the one that came first is the first.
        (&[(0, &[0]), (0, &[1]), (0, &[2])], 1, 1),
        (&[(0, &[1]), (0, &[0]), (0, &[2])], 0, 1),
        (&[(0, &[2, 1, 0])], 1, 1),
        (&[(0, &[1, 0]), (1, &[2])], 1, 1),
        // The chain must lie within the timespan as a whole.
        (&[(0, &[0]), (30_000, &[1]), (60_001, &[2])], 0, 0),
        (
            &[(0, &[0]), (30_000, &[1]), (40_000, &[0]), (60_001, &[2])],
            0,
            1,
        ),
    ] {
        assert_eq!(
            (fires(&ordered, rules), fires(&unordered, rules)),
            (in_order, in_any),
            "{rules:?}"
        );
    }
}

#[test]
fn a_boolean_condition_says_who_must_be_there_and_who_must_not() {
    let sources = [
        SourceTarget::Rule(0),
        SourceTarget::Rule(1),
        SourceTarget::Rule(2),
    ];
    let either = Seen::Or(vec![Seen::Source(1), Seen::Source(2)]);
    let seen = CorrelationCondition::Seen(Seen::And(vec![Seen::Source(0), either]));
    let plan = compile(vec![correlation(CorrelationKind::Temporal, &sources, seen)]);
    let event = |time: i64, rule: u32| (time, vec![rule], Some("a"), None);
    assert_eq!(
        run(&plan, &[event(0, 0), event(5, 2)], MINUTE).0,
        [(0, 5, 0, "a".into())]
    );
    assert_eq!(run(&plan, &[event(0, 1), event(5, 2)], MINUTE).0, []);
    let absent = Seen::And(vec![Seen::Source(0), Seen::Not(Box::new(Seen::Source(1)))]);
    let plan = compile(vec![correlation(
        CorrelationKind::Temporal,
        &sources[..2],
        CorrelationCondition::Seen(absent),
    )]);
    assert_eq!(
        run(&plan, &[event(7, 0)], MINUTE).0,
        [(0, MINUTE + 7, 0, "a".into())]
    );
    assert_eq!(
        run(&plan, &[event(7, 0), event(MINUTE + 7, 1)], 2 * MINUTE).0,
        []
    );
}

#[test]
fn values_are_counted_summed_and_ranked_exactly() {
    use BoundOperator::{Gt, Gte};

    let value = |kind: CorrelationKind, condition: &[(BoundOperator, &str)], values: &[&str]| {
        let plan = compile(vec![correlation(
            kind,
            &[SourceTarget::Rule(0)],
            bounds(condition),
        )]);
        let event = |(at, value): (usize, &&str)| {
            let value = (!value.is_empty()).then(|| (*value).to_owned());
            (i64::try_from(at).unwrap(), vec![0], Some("a"), value)
        };
        let events: Vec<Event> = values.iter().enumerate().map(event).collect();
        run(&plan, &events, MINUTE)
            .0
            .into_iter()
            .map(|(_, time, ..)| time)
            .collect::<Vec<_>>()
    };
    let field = || "value".into();
    let distinct = CorrelationKind::ValueCount(vec![field()]);
    assert_eq!(
        value(distinct, &[(Gte, "3")], &["x", "y", "x", "", "z"]),
        [4]
    );
    let sum = CorrelationKind::ValueSum(field());
    assert_eq!(
        value(sum.clone(), &[(Gte, "0.3")], &["0.1", "no number", "0.2"]),
        [2]
    );
    assert_eq!(value(sum, &[(Gt, "0.3")], &["0.1", "0.2"]), [0_i64; 0]);
    let mean = CorrelationKind::ValueAvg(field());
    assert_eq!(value(mean.clone(), &[(Gt, "2.5")], &["2", "3", "4"]), [2]);
    assert_eq!(value(mean, &[(Gte, "-1")], &["none"]), [0_i64; 0]);
    let median = CorrelationKind::ValuePercentile(field(), 50);
    assert_eq!(value(median.clone(), &[(Gte, "7")], &["1", "7", "9"]), [2]);
    assert_eq!(value(median, &[(Gte, "7")], &["1", "7"]), [0_i64; 0]);
    let high = CorrelationKind::ValuePercentile(field(), 99);
    assert_eq!(value(high, &[(Gte, "7")], &["1", "7"]), [1]);
}

#[test]
fn an_outer_correlation_reads_inner_ones_at_their_match_time() {
    let mut inner = counted(&[(BoundOperator::Gte, "2")]);
    inner.alerts = false;
    let outer = correlation(
        CorrelationKind::TemporalOrdered,
        &[SourceTarget::Correlation(0), SourceTarget::Rule(1)],
        bounds(&[(BoundOperator::Gte, "2")]),
    );
    let plan = compile(vec![inner, outer]);
    assert_eq!(plan.replay_ms(), 4 * MINUTE);
    let event = |time: i64, rule: u32| (time, vec![rule], Some("a"), None);
    let (fired, _) = run(&plan, &[event(0, 0), event(5, 0), event(9, 1)], MINUTE);
    assert_eq!(fired, [(1, 9, 0, "a".into())]);
    let (fired, _) = run(&plan, &[event(0, 0), event(3, 1), event(5, 0)], MINUTE);
    assert_eq!(fired, []);
}

#[test]
fn an_outer_correlation_has_a_group_of_its_own() {
    let mut inner = counted(&[(BoundOperator::Gte, "2")]);
    inner.alerts = false;
    let mut outer = correlation(
        CorrelationKind::EventCount,
        &[SourceTarget::Correlation(0)],
        bounds(&[(BoundOperator::Gte, "2")]),
    );
    outer.group_by = vec!["value".into()];
    outer.sources[0].group_by = vec!["value".into()];
    let plan = compile(vec![inner, outer]);
    assert_eq!(
        plan.fields(RuleIdx(0)).unwrap(),
        [Arc::from("host"), Arc::from("value")]
    );
    let event = |time: i64, host, value: &str| (time, vec![0], Some(host), Some(value.to_owned()));
    let events = [
        event(0, "a", "u"),
        event(1, "a", "v"),
        event(2, "b", "u"),
        event(3, "b", "v"),
    ];
    assert_eq!(run(&plan, &events, MINUTE).0, [(1, 3, 0, "v".into())]);
}

#[test]
fn limits_hold_and_are_counted() {
    let limits = CorrelationLimits {
        groups: 2,
        events: 3,
        waiting: 4,
    };
    let plan = three_in_a_minute();
    let mut correlator = Correlator::new(plan, limits);
    let mut fired = Vec::new();
    for (time, host) in [
        (0, "a"),
        (1, "b"),
        (2, "a"),
        (3, "c"),
        (4, "a"),
        (5, "a"),
        (6, "a"),
    ] {
        correlator.observe(&hits(&(time, vec![0], Some(host), None)));
    }
    correlator.advance(0, &mut fired);
    assert!(correlator.take_forced() > 0 && correlator.queue.len() <= 4);
    correlator.observe(&hits(&(0, vec![0], Some("a"), None)));
    correlator.finish(&mut fired);
    let counts = correlator.take_counts()[0];
    assert_eq!(
        (
            counts.late_dropped,
            counts.groups_evicted,
            counts.events_evicted
        ),
        (1, 1, 2)
    );
    assert_eq!((fired.len(), counts.fired), (1, 1));
    assert_eq!(
        correlator.groups().collect::<Vec<_>>(),
        [0],
        "all are forgotten at the end"
    );
}

#[test]
fn what_is_the_same_in_the_next_plan_goes_on() {
    let four = || counted(&[(BoundOperator::Gte, "4")]);
    let mut three = counted(&[(BoundOperator::Gte, "3")]);
    three.attributes = attributes(1);
    let (old, new) = (compile(vec![four(), three.clone()]), compile(vec![three]));
    let mut correlator = Correlator::new(old, CorrelationLimits::USUAL);
    let mut fired = Vec::new();
    let mut event = |correlator: &mut Correlator, time: i64| {
        correlator.observe(&hits(&(time, vec![0], Some("a"), None)));
        correlator.advance(time - 1, &mut fired);
    };
    event(&mut correlator, 0);
    event(&mut correlator, 5);
    correlator.renew(&new);
    event(&mut correlator, 9);
    correlator.finish(&mut fired);
    let fired: Vec<_> = fired
        .iter()
        .map(|fired| (fired.correlation.0, fired.time_ms))
        .collect();
    assert_eq!(fired, [(0, 9)]);
    // What is written anew begins anew.
    let mut changed = counted(&[(BoundOperator::Gte, "3")]);
    changed.attributes = attributes(1);
    changed.attributes.version = "other".into();
    correlator.renew(&compile(vec![changed]));
    assert_eq!(correlator.groups().collect::<Vec<_>>(), [0]);
}

/// The policy's words once more, over all events of each group at once.
fn slow(correlation: &Correlation, events: &[Event]) -> Vec<(u32, i64, u32, String)> {
    let rule = MeasureRule::new(correlation);
    let mut sorted: Vec<(i64, u32, Facts)> = Vec::new();
    for event in events {
        let mut rules = event.1.clone();
        rules.sort_unstable();
        let facts = |rule: u32| {
            hits(event)
                .into_iter()
                .find(|hit| hit.rule.0 == rule)
                .unwrap()
                .facts
        };
        sorted.extend(rules.into_iter().map(|rule| (event.0, rule, facts(rule))));
    }
    sorted.sort_by_key(|(time, ..)| *time);
    let mut fired = Vec::new();
    for host in ["a", "b"] {
        let of_host =
            |(_, _, facts): &&(i64, u32, Facts)| fact(facts, "host").as_deref() == Some(host);
        let group: Vec<_> = sorted.iter().filter(of_host).collect();
        let holds = |from: i64, upto: usize, to: i64| {
            let mut measure = rule.measure();
            for (time, source, facts) in group[..upto]
                .iter()
                .filter(|(time, ..)| *time >= from && *time <= to)
            {
                measure.add(*time, *source, rule.value(facts), usize::MAX);
            }
            rule.holds(&measure, from)
        };
        let mut times: Vec<i64> = Vec::new();
        if rule.decides_at_end() {
            let (mut held, mut end) = (false, i64::MIN);
            for (start, ..) in &group {
                if *start <= end {
                    continue;
                }
                let holds = holds(*start, group.len(), start + correlation.timespan_ms);
                if holds && !(held && start.saturating_sub(end) <= correlation.timespan_ms) {
                    times.push(start + correlation.timespan_ms);
                }
                (held, end) = (holds, start + correlation.timespan_ms);
            }
        } else {
            let mut held = false;
            for (at, (now, ..)) in group.iter().enumerate() {
                let gap = at > 0 && now - group[at - 1].0 > correlation.timespan_ms;
                let holds = holds(now - correlation.timespan_ms, at + 1, *now);
                if holds && (gap || !held) {
                    times.push(*now);
                }
                held = holds;
            }
        }
        let again = |at: usize| {
            number(
                times[..at]
                    .iter()
                    .filter(|time| **time == times[at])
                    .count(),
            )
        };
        fired.extend((0..times.len()).map(|at| (0, times[at], again(at), host.to_owned())));
    }
    fired.sort();
    fired
}

fn any_condition() -> impl Strategy<Value = CorrelationCondition> {
    use BoundOperator::{Eq, Gt, Gte, Lt, Lte, Neq};
    let bound = (
        prop::sample::select(vec![Gt, Gte, Lt, Lte, Eq, Neq]),
        0..5_u8,
    )
        .prop_map(|(operator, number)| Bound {
            operator,
            number: number.to_string().into(),
        });
    prop::collection::vec(bound, 1..3).prop_map(CorrelationCondition::Bounds)
}

fn any_correlation() -> impl Strategy<Value = Correlation> {
    let field = || -> Arc<str> { "value".into() };
    let kind = prop::sample::select(vec![
        CorrelationKind::EventCount,
        CorrelationKind::ValueCount(vec![field()]),
        CorrelationKind::ValueSum(field()),
        CorrelationKind::ValueAvg(field()),
        CorrelationKind::ValuePercentile(field(), 50),
        CorrelationKind::Temporal,
        CorrelationKind::TemporalOrdered,
    ]);
    let seen = prop::sample::select(vec![
        Seen::And(vec![Seen::Source(0), Seen::Source(1), Seen::Source(2)]),
        Seen::Or(vec![
            Seen::Source(2),
            Seen::And(vec![Seen::Source(0), Seen::Source(1)]),
        ]),
        Seen::And(vec![Seen::Source(0), Seen::Not(Box::new(Seen::Source(1)))]),
    ]);
    (kind, any_condition(), seen, any::<bool>()).prop_map(|(kind, condition, seen, boolean)| {
        let sources = [
            SourceTarget::Rule(0),
            SourceTarget::Rule(1),
            SourceTarget::Rule(2),
        ];
        let is_temporal = matches!(
            kind,
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered
        );
        let condition = if is_temporal && boolean {
            CorrelationCondition::Seen(seen)
        } else {
            condition
        };
        correlation(kind, &sources, condition)
    })
}

/// Steps of 10 s make gaps and edges of the minute likely.
fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let rules = prop::sample::subsequence(vec![0, 1, 2], 1..3);
    let event = (0..40_i64, rules, any::<bool>(), prop::option::of(0..4_u8)).prop_map(
        |(time, rules, host, value)| {
            (
                time * 10_000,
                rules,
                Some(if host { "a" } else { "b" }),
                value.map(|value| value.to_string()),
            )
        },
    );
    prop::collection::vec(event, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn it_is_what_the_policy_says(correlation in any_correlation(), events in any_events()) {
        let plan = compile(vec![correlation.clone()]);
        let (mut fired, late) = run(&plan, &events, 400_000);
        fired.sort();
        prop_assert_eq!(late, 0);
        prop_assert_eq!(fired, slow(&correlation, &events));
    }

    #[test]
    fn the_order_of_coming_does_not_matter_within_the_lateness(
        correlation in any_correlation(),
        events in any_events(),
        seed in prop::collection::vec(any::<prop::sample::Index>(), 30),
    ) {
        // Of equal times the order of coming counts (T8): they are told apart.
        let mut events: Vec<Event> = events.into_iter().zip(0..).map(|(event, at)| (event.0 + at, event.1, event.2, event.3)).collect();
        let plan = compile(vec![correlation]);
        let (mut first, _) = run(&plan, &events, 400_000);
        for (at, index) in seed.iter().enumerate().take(events.len()) {
            let other = index.index(events.len());
            events.swap(at, other);
        }
        let (mut second, late) = run(&plan, &events, 400_000);
        first.sort();
        second.sort();
        prop_assert_eq!((first, 0), (second, late));
    }
}
