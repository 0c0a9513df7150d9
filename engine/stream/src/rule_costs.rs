//! What each rule costs, as `/metrics` tells it. The costliest rules have series of their own, the rest shares one, so that
//! a large ruleset does not make thousands of series.
//!
//! Batches add to totals under a lock, once each; who has series is decided when somebody reads them. Every series only
//! grows: a rule that gets its own starts from zero, and what it cost before stays with the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use detect::{Plan, RuleCost, SharedCost};
use prometheus::{CounterVec, GaugeVec, IntCounterVec, Registry};

use crate::telemetry::{counters, float_counters, gauges, seconds};

/// So many rules have series of their own.
const OWN_SERIES_MAX: usize = 100;

/// Label of the series that all others share.
const OTHERS: &str = "(others)";

/// The metrics, and what they are made from.
#[derive(Debug)]
pub(crate) struct RuleCosts {
    totals: Mutex<Totals>,
    own_series_max: usize,
    cpu: CounterVec,
    candidates: IntCounterVec,
    verifications: IntCounterVec,
    last_match: GaugeVec,
    engine_cpu: CounterVec,
}

#[derive(Debug, Default)]
struct Totals {
    /// By the rule's key.
    rules: BTreeMap<String, Total>,
    /// Not yet told.
    shared: SharedCost,
}

/// Of one rule that was verified at least once.
#[derive(Debug, Default)]
struct Total {
    cpu_ns: u64,
    last_match_ms: Option<i64>,
    has_series: bool,
    untold: Untold,
}

/// What came since the metrics were last brought up to date.
#[derive(Debug, Default)]
struct Untold {
    cpu_ns: u64,
    candidates: u64,
    verifications: u64,
}

impl RuleCosts {
    pub(crate) fn new(r: &Registry) -> Self {
        Self {
            totals: Mutex::default(),
            own_series_max: OWN_SERIES_MAX,
            cpu: float_counters(
                r,
                "pythia_rule_cpu_seconds_total",
                "Processor time for verifying a rule and making its alerts, estimated from a sample",
                &["rule"],
            ),
            candidates: counters(
                r,
                "pythia_rule_candidates_total",
                "Events in which a rule was verified: its literals stood there, or it has none",
                &["rule"],
            ),
            verifications: counters(
                r,
                "pythia_rule_verifications_total",
                "Views on which a rule was verified",
                &["rule"],
            ),
            last_match: gauges(
                r,
                "pythia_rule_last_match_timestamp_seconds",
                "Event time of the latest event that a rule matched, in seconds since 1970",
                &["rule"],
            ),
            engine_cpu: float_counters(
                r,
                "pythia_engine_cpu_seconds_total",
                "Processor time of the engine, estimated from a sample: decode, search (for candidates), rules (all of \
                 pythia_rule_cpu_seconds_total), alerts (what those of one event share)",
                &["step"],
            ),
        }
    }

    /// Adds what a batch has cost.
    pub(crate) fn add(&self, plan: &Plan, rules: &[RuleCost], shared: &SharedCost) {
        let mut totals = self.lock();
        for cost in rules {
            let key = plan.rule(cost.rule).attributes.key();
            if !totals.rules.contains_key(key) {
                totals.rules.insert(key.to_owned(), Total::default());
            }
            let Some(total) = totals.rules.get_mut(key) else {
                continue;
            };
            total.cpu_ns += cost.cpu_ns;
            total.last_match_ms = total.last_match_ms.max(cost.last_match_ms);
            total.untold.cpu_ns += cost.cpu_ns;
            total.untold.candidates += cost.candidates;
            total.untold.verifications += cost.verifications;
        }
        totals.shared.decode_ns += shared.decode_ns;
        totals.shared.search_ns += shared.search_ns;
        totals.shared.alert_ns += shared.alert_ns;
    }

    /// Forgets rules that do not run any more, with their series.
    pub(crate) fn keep(&self, plan: &Plan) {
        let running: BTreeSet<&str> = plan
            .rules()
            .iter()
            .map(|rule| rule.attributes.key())
            .collect();
        self.lock().rules.retain(|key, total| {
            let stays = running.contains(key.as_str());
            if !stays && total.has_series {
                self.end_series(key);
            }
            stays
        });
    }

    /// Brings the metrics up to date.
    pub(crate) fn tell(&self) {
        let mut totals = self.lock();
        self.choose(&mut totals.rules);
        let mut all_ns = 0;
        let mut last_of_others = None;
        for (key, total) in &mut totals.rules {
            let untold = std::mem::take(&mut total.untold);
            all_ns += untold.cpu_ns;
            let rule = [if total.has_series { key } else { OTHERS }];
            let cpu = self.cpu.with_label_values(&rule);
            cpu.inc_by(seconds_of_ns(untold.cpu_ns));
            let candidates = self.candidates.with_label_values(&rule);
            candidates.inc_by(untold.candidates);
            let verifications = self.verifications.with_label_values(&rule);
            verifications.inc_by(untold.verifications);
            if !total.has_series {
                last_of_others = last_of_others.max(total.last_match_ms);
            } else if let Some(ms) = total.last_match_ms {
                self.last_match.with_label_values(&rule).set(seconds(ms));
            }
        }
        if let Some(ms) = last_of_others {
            self.last_match
                .with_label_values(&[OTHERS])
                .set(seconds(ms));
        }
        let shared = std::mem::take(&mut totals.shared);
        for (step, ns) in [
            ("decode", shared.decode_ns),
            ("search", shared.search_ns),
            ("rules", all_ns),
            ("alerts", shared.alert_ns),
        ] {
            let cpu = self.engine_cpu.with_label_values(&[step]);
            cpu.inc_by(seconds_of_ns(ns));
        }
    }

    /// Decides which rules have series of their own: the costliest so far. One takes another's place only when it has cost
    /// twice as much, so that two of a kind do not take turns.
    fn choose(&self, rules: &mut BTreeMap<String, Total>) {
        let mut ranked: Vec<_> = rules.iter_mut().collect();
        ranked.sort_by_key(|(_, total)| {
            let weight = if total.has_series { 2 } else { 1 };
            Reverse((total.cpu_ns.saturating_mul(weight), total.has_series))
        });
        for (rank, (key, total)) in ranked.into_iter().enumerate() {
            let had_series = std::mem::replace(&mut total.has_series, rank < self.own_series_max);
            if had_series && !total.has_series {
                self.end_series(key);
            }
        }
    }

    fn end_series(&self, rule: &str) {
        // Not there: nothing was told of it yet.
        self.cpu.remove_label_values(&[rule]).ok();
        self.candidates.remove_label_values(&[rule]).ok();
        self.verifications.remove_label_values(&[rule]).ok();
        self.last_match.remove_label_values(&[rule]).ok();
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().expect("nothing panics while it is held")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds of a hundred days are below 2^53"
)]
fn seconds_of_ns(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use detect::RuleIdx;
    use prometheus::{Encoder as _, TextEncoder};

    use super::*;

    const RULES: u32 = 5;

    /// Rules `r0` to `r4`, or some of them.
    fn plan(rules: &[u32]) -> Plan {
        let file = |number: &u32| sigma::SourceFile {
            name: number.to_string().into(),
            text: format!(
                "title: r{number}\nlogsource: {{product: linux, category: process_creation}}\n\
                 detection: {{s: {{CommandLine|contains: nosuch}}, condition: s}}\n"
            )
            .into(),
        };
        let files: Vec<_> = rules.iter().map(file).collect();
        let plan = Plan::compile(sigma::load(&files).rules).plan;
        assert_eq!(plan.rules().len(), rules.len());
        plan
    }

    struct Told {
        registry: Registry,
        costs: RuleCosts,
        plan: Plan,
    }

    impl Told {
        /// With room for two series.
        fn new() -> Self {
            let registry = Registry::new();
            let costs = RuleCosts {
                own_series_max: 2,
                ..RuleCosts::new(&registry)
            };
            Self {
                registry,
                costs,
                plan: plan(&[0, 1, 2, 3, 4]),
            }
        }

        /// Every rule was a candidate once; they have cost so many seconds.
        fn batch(&self, seconds: [u64; RULES as usize]) {
            let rules: Vec<RuleCost> = (0..RULES)
                .zip(seconds)
                .map(|(rule, seconds)| RuleCost {
                    rule: RuleIdx(rule),
                    candidates: 1,
                    verifications: 3,
                    matches: 1,
                    last_match_ms: (rule % 2 == 0).then_some(i64::from(rule) * 1000),
                    cpu_ns: seconds * 1_000_000_000,
                })
                .collect();
            let shared = SharedCost {
                decode_ns: 2_000_000_000,
                search_ns: 1_500_000_000,
                ..SharedCost::default()
            };
            self.costs.add(&self.plan, &rules, &shared);
        }

        /// The series of this metric.
        fn told(&self, metric: &str) -> Vec<String> {
            self.costs.tell();
            let mut text = Vec::new();
            TextEncoder::new()
                .encode(&self.registry.gather(), &mut text)
                .expect("metrics encode");
            let text = String::from_utf8(text).expect("metrics are text");
            let lines = text.lines().filter_map(|line| line.strip_prefix(metric));
            lines
                .map(|line| line.replace("rule=", "").replace(['{', '}', '"'], ""))
                .collect()
        }
    }

    const CPU: &str = "pythia_rule_cpu_seconds_total";

    #[test]
    fn the_costliest_rules_have_series_and_the_rest_shares_one() {
        let told = Told::new();
        told.batch([1, 9, 2, 8, 3]);
        assert_eq!(told.told(CPU), ["(others) 6", "r1 9", "r3 8"]);
        let candidates = told.told("pythia_rule_candidates_total");
        assert_eq!(candidates, ["(others) 3", "r1 1", "r3 1"]);
        let verifications = told.told("pythia_rule_verifications_total");
        assert_eq!(verifications, ["(others) 9", "r1 3", "r3 3"]);
        let last = told.told("pythia_rule_last_match_timestamp_seconds");
        assert_eq!(last, ["(others) 4"], "the other two never matched");
        let engine = told.told("pythia_engine_cpu_seconds_total");
        assert_eq!(
            engine,
            [
                "step=alerts 0",
                "step=decode 2",
                "step=rules 23",
                "step=search 1.5"
            ]
        );
    }

    #[test]
    fn a_rule_that_becomes_costly_takes_the_place_of_another_and_no_counter_falls() {
        let told = Told::new();
        told.batch([1, 9, 2, 8, 3]);
        told.told(CPU);
        told.batch([0, 0, 0, 0, 13]);
        assert_eq!(
            told.told(CPU),
            ["(others) 19", "r1 9", "r3 8"],
            "16 is not more than twice 8"
        );
        told.batch([0, 0, 0, 0, 1]);
        assert_eq!(told.told(CPU), ["(others) 19", "r1 9", "r4 1"]);
        told.batch([0, 1, 0, 4, 5]);
        assert_eq!(told.told(CPU), ["(others) 23", "r1 10", "r4 6"]);
    }

    #[test]
    fn rules_that_do_not_run_any_more_have_no_series() {
        let told = Told::new();
        told.batch([1, 9, 2, 8, 3]);
        told.told(CPU);
        told.costs.keep(&plan(&[2, 3, 4]));
        assert_eq!(told.told(CPU), ["(others) 6", "r3 8", "r4 0"]);
    }
}
