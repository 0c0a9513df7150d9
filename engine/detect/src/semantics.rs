//! The corpus of Sigma's semantics, `tests/data/semantics`: every case by the reference evaluator, by the plan with
//! every optimisation, with each one off and with none, alone and together with all other rules of its file.

mod group;
mod second;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{Fields, Origin, ProcessCache, Profile, ViewKind};
use serde_json::Value;
use sigma::{Correlation, LogSource, Rule, Severity, SourceFile, SourceTarget};

use crate::correlate::{CorrelationCounts, CorrelationIdx, Correlator, Fired};
use crate::json::{Flat, JsonDetector};
use crate::plan::{Options, Plan};
use crate::reference::{Names, Reference, Slow, Walk};
use crate::{Detector, Line, Source};
use group::{Event, Expected, Firing, Group, Sequence};

/// The corpus never shrinks below this.
const CASES_MIN: usize = 1_400;

/// What a clause may name that is not a policy point: the parts of the specification, and the views of this engine.
const PARTS: [&str; 7] = [
    "Rules",
    "Modifiers",
    "Correlations",
    "Filters",
    "Collections",
    "YAML",
    "Views",
];

/// For each event, the ids of the rules that match it.
type Verdicts = Vec<BTreeSet<String>>;

/// Loads one rule file of a group; its diagnostics must be those that the group names.
fn load(group: &Group, text: &str) -> Result<sigma::Loaded, String> {
    let file = SourceFile {
        name: "rules.yml".into(),
        text: text.into(),
    };
    let options = sigma::Options {
        placeholders: group.placeholders.clone(),
        any_taxonomy: false,
    };
    let loaded = sigma::load_with(&[file], &options);
    let diagnostics = &loaded.diagnostics;
    let codes: BTreeSet<&str> = diagnostics.iter().map(|found| found.code).collect();
    let has_errors = diagnostics
        .iter()
        .any(|found| found.severity == Severity::Error);
    let refused = matches!(group.expected, Expected::Refused);
    if codes.iter().eq(&group.codes) && has_errors == refused {
        return Ok(loaded);
    }
    let told = diagnostics.iter();
    let told: Vec<String> = told
        .map(|found| format!("{} {}", found.code, found.message))
        .collect();
    Err(format!("{} {}\n{text}{told:#?}", group.place, group.clause))
}

/// All that is wrong, at once.
#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The rules under ids that start with this prefix, each to be evaluated for itself.
fn numbered(rules: Vec<Rule>, prefix: &str) -> Vec<Rule> {
    let numbered = |(number, mut rule): (usize, Rule)| {
        rule.attributes.id = Some(format!("{prefix}{number}"));
        rule.alerts = true;
        rule
    };
    rules.into_iter().enumerate().map(numbered).collect()
}

/// The rules in the view that takes names as they are.
fn unrouted(rules: &[Rule]) -> Vec<Rule> {
    let anything = LogSource {
        service: Some("laurel".into()),
        ..LogSource::default()
    };
    let unrouted = |rule: &Rule| Rule {
        logsource: anything.clone(),
        ..rule.clone()
    };
    rules.iter().map(unrouted).collect()
}

fn meant(rules: &[Rule], events: &[Event], laurel: bool) -> Verdicts {
    if laurel {
        let mut reference = Reference::new(rules.to_vec(), Arc::new(Profile::laurel()));
        let verdict = |event: &Event| {
            let found = reference.run(&line(event), &mut cache()).unwrap();
            found.into_iter().map(str::to_owned).collect()
        };
        return events.iter().map(verdict).collect();
    }
    let mut fields = Fields::default();
    let resolve = |rule| Names::resolve(rule, ViewKind::Native, &mut fields);
    let names: Vec<Names> = rules.iter().map(resolve).collect();
    let judges: Vec<Slow> = rules.iter().map(Slow::new).collect();
    let verdict = |event: &Event| {
        let flat = Flat::new(&event.value, &fields);
        let walks = rules.iter().zip(&names).zip(&judges);
        let walks = walks.map(|((rule, names), judge)| Walk {
            rule,
            names,
            subject: flat.subject(),
            judge,
        });
        let matching = walks.filter(Walk::matches);
        matching
            .map(|walk| walk.rule.attributes.key().to_owned())
            .collect()
    };
    events.iter().map(verdict).collect()
}

fn found(rules: &[Rule], events: &[Event], laurel: bool, options: Options) -> Verdicts {
    let rules = if laurel {
        rules.to_vec()
    } else {
        unrouted(rules)
    };
    let compiled = Plan::compile_with(rules, options);
    let mut always = BTreeSet::new();
    for rule in &compiled.not_running {
        match rule.always {
            Some(true) => {
                always.insert(rule.rule.attributes.key().to_owned());
            }
            Some(false) => {}
            None => panic!("{}", rule.reason),
        }
    }
    let plan = Arc::new(compiled.plan);
    let mut detector = Detector::new(Arc::clone(&plan), Arc::new(Profile::laurel()));
    let (mut scratch, mut costs) = (plan.scratch(), plan.costs());
    let verdict = |event: &Event| {
        let rules = if laurel {
            detector.matching(&line(event), &mut cache()).unwrap()
        } else {
            let flat = Flat::new(&event.value, &plan.fields());
            let mut rules = Vec::new();
            let found = |rule| rules.push(rule);
            plan.matches(&flat.subject(), &mut scratch, &mut costs, found);
            rules
        };
        let keys = rules.iter().map(|rule| plan.rule(*rule).attributes.key());
        keys.map(str::to_owned).chain(always.clone()).collect()
    };
    events.iter().map(verdict).collect()
}

fn line(event: &Event) -> Line<'_> {
    Line {
        bytes: event.text.as_bytes(),
        origin: Origin::default(),
        source: Source::File {
            file: "corpus",
            line: 1,
        },
    }
}

fn cache() -> ProcessCache {
    ProcessCache::new(1 << 20, 3_600_000)
}

#[test]
fn every_case_comes_out_by_the_reference_and_by_every_plan() {
    let mut wrong = Vec::new();
    for file in group::files() {
        // All rules of the file in one plan, Laurel's events apart.
        let mut all = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for (number, group) in file.groups.iter().enumerate() {
            let Expected::Verdicts { laurel, events } = &group.expected else {
                continue;
            };
            for (variant, text) in group.texts.iter().enumerate() {
                let prefix = format!("{number}.{variant}.");
                let rules = match load(group, text) {
                    Ok(loaded) => numbered(loaded.rules, &prefix),
                    Err(told) => {
                        wrong.push(told);
                        continue;
                    }
                };
                let written: Vec<Event> =
                    events.iter().map(|judged| judged.event.clone()).collect();
                let meant = meant(&rules, &written, *laurel);
                for (judged, meant) in events.iter().zip(&meant) {
                    if meant.is_empty() == judged.matches {
                        let event = &judged.event.text;
                        wrong.push(format!(
                            "{} {}\n{text}{event}: match: {}",
                            judged.place, group.clause, !judged.matches
                        ));
                    }
                }
                for options in Options::variants() {
                    let found = found(&rules, &written, *laurel, options);
                    if found != meant {
                        let place = &group.place;
                        wrong.push(format!("{place} {text}{options:?}: {found:?} {meant:?}"));
                    }
                }
                let (together, written_together) = &mut all[usize::from(*laurel)];
                together.extend(rules);
                written_together.extend(written);
            }
        }
        for (laurel, (rules, events)) in [false, true].into_iter().zip(&all) {
            let meant = meant(rules, events, laurel);
            for options in Options::variants() {
                let found = found(rules, events, laurel, options);
                for ((event, found), meant) in events.iter().zip(found).zip(&meant) {
                    if found != *meant {
                        let (name, text) = (&file.name, &event.text);
                        let told = format!("{name} {text} {options:?}: {found:?} {meant:?}");
                        wrong.push(told);
                    }
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_refused_rule_is_refused_for_its_reason() {
    let files = group::files();
    let groups = files.iter().flat_map(|file| &file.groups);
    let refused = groups.filter(|group| matches!(group.expected, Expected::Refused));
    let texts = refused.flat_map(|group| group.texts.iter().map(move |text| (group, text)));
    let wrong = texts.filter_map(|(group, text)| load(group, text).err());
    assert_none(&wrong.collect::<Vec<_>>());
}

/// Rules and the correlations that read them.
#[derive(Default)]
struct Set {
    rules: Vec<Rule>,
    correlations: Vec<Correlation>,
}

impl Set {
    /// Puts another set behind this one.
    fn extend(&mut self, other: Self) {
        let (rules, correlations) = (self.rules.len(), self.correlations.len());
        self.rules.extend(other.rules);
        self.correlations
            .extend(other.correlations.into_iter().map(|mut correlation| {
                for source in &mut correlation.sources {
                    match &mut source.target {
                        SourceTarget::Rule(number) => *number += rules,
                        SourceTarget::Correlation(number) => *number += correlations,
                    }
                }
                correlation
            }));
    }

    fn detector(&self, options: Options) -> JsonDetector {
        let (rules, correlations) = (self.rules.clone(), self.correlations.clone());
        let (detector, not_running) = JsonDetector::new(rules, correlations, options);
        assert!(
            not_running.iter().all(|rule| rule.routed),
            "{not_running:#?}"
        );
        detector
    }
}

/// What the correlations under ids with this prefix give of events in this order, and the counters that are not zero.
fn correlate(
    detector: &mut JsonDetector,
    prefix: &str,
    sequence: &Sequence,
    events: &[(i64, Value)],
    lateness_ms: i64,
) -> (Vec<Firing>, BTreeSet<String>, BTreeMap<String, u64>) {
    let correlations = Arc::clone(detector.correlations());
    let attributes = |index: CorrelationIdx| &correlations.correlation(index).attributes;
    let is_own = |index: CorrelationIdx| attributes(index).key().starts_with(prefix);
    let mut correlator = Correlator::new(Arc::clone(&correlations), sequence.limits);
    let (mut all, mut newest) = (Vec::new(), i64::MIN);
    for (place, (time_ms, event)) in events.iter().enumerate() {
        correlator.observe(&detector.hits(event, *time_ms, place));
        newest = newest.max(*time_ms);
        correlator.advance(newest.saturating_sub(lateness_ms), &mut all);
    }
    correlator.finish(&mut all);
    all.retain(|fired| is_own(fired.correlation));
    let firing = |fired: &Fired| {
        let group = fired.group.iter();
        let group = group.map(|(name, value)| (name.to_string(), Value::from(&**value)));
        let title = attributes(fired.correlation).title.clone();
        (fired.time_ms, title, group.collect())
    };
    let mut firings: Vec<Firing> = all.iter().map(firing).collect();
    firings.sort_by_key(|firing| format!("{firing:?}"));
    let id = |fired: &Fired| fired.alert_id(attributes(fired.correlation).key());
    let ids: BTreeSet<String> = all.iter().map(id).collect();
    assert_eq!(ids.len(), firings.len(), "{}: ids", sequence.place);
    let counts = correlator.take_counts();
    let own = (0..).map(CorrelationIdx).zip(counts);
    let own = own.filter(|(index, _)| is_own(*index));
    let mut sums = BTreeMap::new();
    for (_, counts) in own {
        for (name, count) in costs(counts).into_iter().filter(|(_, count)| *count > 0) {
            *sums.entry(name.to_owned()).or_default() += count;
        }
    }
    (firings, ids, sums)
}

/// The counters that tell of what was not correlated.
fn costs(counts: CorrelationCounts) -> [(&'static str, u64); 4] {
    [
        ("late_dropped", counts.late_dropped),
        ("without_group", counts.without_group),
        ("groups_evicted", counts.groups_evicted),
        ("events_evicted", counts.events_evicted),
    ]
}

/// Each sequence as it stands; and, as far as nothing comes too late and no limit is reached, in event time and
/// against it, equal times in their order.
fn check_sequence(
    detector: &mut JsonDetector,
    prefix: &str,
    sequence: &Sequence,
    what: &str,
) -> Result<(), String> {
    let place = &sequence.place;
    let (fires, ids, counts) = correlate(
        detector,
        prefix,
        sequence,
        &sequence.events,
        sequence.lateness_ms,
    );
    if (&fires, &counts) != (&sequence.fires, &sequence.counts) {
        return Err(format!("{place} {what}: {fires:?} {counts:?}"));
    }
    if counts.keys().any(|name| name != "without_group") {
        return Ok(());
    }
    let mut events = sequence.events.clone();
    events.sort_by_key(|(time_ms, _)| *time_ms);
    let forwards = events.clone();
    events.sort_by_key(|(time_ms, _)| std::cmp::Reverse(*time_ms));
    for events in [forwards, events] {
        let (other, other_ids, _) = correlate(detector, prefix, sequence, &events, i64::MAX / 4);
        if (&other, other_ids) != (&fires, ids.clone()) {
            return Err(format!("{place} {what}: in another order {other:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_sequence_fires_as_it_should_in_every_plan_and_order() {
    let mut wrong = Vec::new();
    for file in group::files() {
        let mut all = Set::default();
        let mut sequences = Vec::new();
        for (number, group) in file.groups.iter().enumerate() {
            let Expected::Sequences(own) = &group.expected else {
                continue;
            };
            for (variant, text) in group.texts.iter().enumerate() {
                let prefix = format!("{number}.{variant}.");
                let loaded = match load(group, text) {
                    Ok(loaded) => loaded,
                    Err(told) => {
                        wrong.push(told);
                        continue;
                    }
                };
                let mut set = Set {
                    rules: loaded.rules,
                    correlations: loaded.correlations,
                };
                for (number, correlation) in set.correlations.iter_mut().enumerate() {
                    correlation.attributes.id = Some(format!("{prefix}{number}"));
                }
                base_rules_agree(&set.rules, own);
                for options in Options::variants() {
                    let mut detector = set.detector(options);
                    for sequence in own {
                        let checked =
                            check_sequence(&mut detector, &prefix, sequence, &group.clause);
                        wrong.extend(checked.err());
                    }
                }
                all.extend(set);
                sequences.extend(own.iter().map(|sequence| (prefix.clone(), sequence)));
            }
        }
        let mut detector = all.detector(Options::ALL);
        for (prefix, sequence) in sequences {
            let checked = check_sequence(&mut detector, &prefix, sequence, "with all others");
            wrong.extend(checked.err());
        }
    }
    assert_none(&wrong);
}

/// The rules below correlations match the same events by the reference.
fn base_rules_agree(rules: &[Rule], sequences: &[Sequence]) {
    let rules = numbered(rules.to_vec(), "");
    let events = sequences.iter().flat_map(|sequence| &sequence.events);
    let event = |(_, value): &(i64, Value)| Event {
        text: value.to_string(),
        value: value.clone(),
    };
    let events: Vec<Event> = events.map(event).collect();
    let found = found(&rules, &events, false, Options::ALL);
    assert_eq!(found, meant(&rules, &events, false));
}

#[test]
fn every_policy_point_and_enough_cases_are_in_the_corpus() {
    let policy: BTreeSet<String> = sigma::policy().into_iter().map(|point| point.id).collect();
    let mut shown = BTreeSet::new();
    let mut cases = 0;
    for file in group::files() {
        for group in &file.groups {
            let head = group.clause.split_once(": ").map(|(head, _)| head);
            let head = head.unwrap_or_else(|| panic!("{}: `of: what`", group.place));
            let names: Vec<&str> = head.split(", ").collect();
            let is_id = |name: &str| {
                let mut chars = name.chars();
                chars.next().is_some_and(|c| "MTF".contains(c))
                    && chars.next().is_some_and(|c| c.is_ascii_digit())
            };
            let known = |name: &&str| policy.contains(*name) || !is_id(name);
            assert!(
                names.iter().all(known) && (is_id(names[0]) || PARTS.contains(&names[0])),
                "{}: there is no {head}",
                group.place
            );
            shown.extend(names.iter().map(|name| (*name).to_owned()));
            cases += group.cases();
            both_ways(group);
        }
    }
    let missing: Vec<&String> = policy.difference(&shown).collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
    assert!(cases >= CASES_MIN, "{cases} cases");
    eprintln!("{cases} cases");
}

/// A clause is shown by what holds and by what does not.
fn both_ways(group: &Group) {
    let outcomes: BTreeSet<bool> = match &group.expected {
        Expected::Refused => return,
        Expected::Verdicts { events, .. } => events.iter().map(|judged| judged.matches).collect(),
        Expected::Sequences(sequences) => {
            let fires = sequences.iter().map(|sequence| !sequence.fires.is_empty());
            fires.collect()
        }
    };
    assert_eq!(outcomes.len(), 2, "{}: one way only", group.place);
}
