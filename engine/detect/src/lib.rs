//! Rules to one [`Plan`]; lines to [`Alert`]s. Pure: no I/O, no clock, no threads.
//!
//! In reading order: `route` gives each rule its view, `expression` folds its condition, `witness` chooses what to look
//! for, `section` lays everything out, `plan` holds it together. For an event [`Detector::run`] decodes, `prefilter` finds
//! candidates, `evaluate` decides, `why` and `enrich` make the alert; `correlate` joins matches in
//! event time; `cost` counts what each rule takes. `reference` says
//! what a rule means, slowly, and `explain` tells it for one event; `sought` tells what the plan looks for.
//!
//! ```
//! use std::sync::Arc;
//!
//! use detect::{Detector, Line, Plan, Source};
//! use event::{Origin, ProcessCache, Profile};
//!
//! let rule = "
//! title: Perl opens a socket
//! logsource: {product: linux, category: process_creation}
//! detection:
//!   selection: {CommandLine|contains: 'use Socket'}
//!   condition: selection
//! ";
//! let file = sigma::SourceFile { name: "perl.yml".into(), text: rule.into() };
//! let plan = Plan::compile(sigma::load(&[file]).rules).plan;
//! let mut detector = Detector::new(Arc::new(plan), Arc::new(Profile::laurel()));
//!
//! let bytes = br#"{"ID":"1700000000.123:1","EXECVE":{"argc":3,"ARGV":["perl","-e","use Socket"]}}"#;
//! let source = Source::File { file: "-", line: 1 };
//! let line = Line { bytes, origin: Origin::default(), source };
//! let mut cache = ProcessCache::new(1 << 20, 3_600_000);
//! let mut alerts = Vec::new();
//! detector.run(&line, &mut cache, &mut alerts).expect("an event");
//! assert_eq!(alerts[0].title(), "Perl opens a socket");
//! ```

#![warn(clippy::disallowed_methods)]

#[cfg(any(test, feature = "fuzzing"))]
mod agreement;
mod alert;
#[cfg(test)]
mod conformance;
mod correlate;
mod cost;
mod date;
mod enrich;
mod evaluate;
mod explain;
mod expression;
#[cfg(any(test, feature = "fuzzing"))]
mod handmade;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod harness;
mod json;
mod lint;
mod matcher;
mod number;
mod plan;
mod prefilter;
mod reference;
mod route;
mod section;
#[cfg(test)]
mod semantics;
mod sought;
mod subject;
mod text;
mod value_cache;
mod why;
mod witness;

pub use alert::{Alert, AlertSource, alert_schema};
pub use correlate::{
    CorrelationCounts, CorrelationIdx, CorrelationLimits, Correlations, Correlator, EVIDENCE_MAX,
    EventBrief, Evidence, Facts as CorrelationFacts, Fired, RuleHit, Standing,
};
pub use cost::{Clocks, RuleCost, SharedCost};
pub use explain::{
    ConditionForm, ExplainedCondition, ExplainedItem, ExplainedMatcher, ExplainedSearch,
    ExplainedSelection, ExplainedView, Explainer, FlatView, Need, SeenValue, Wanted, hint::Hint,
};
pub use json::JsonDetector;
pub use lint::CODES;
pub use plan::{Compiled, Facts, NotRunning, Options, Plan, RuleIdx};
pub use prefilter::Store;
pub use reference::Reference;
pub use route::view_name;
pub use sought::{Sought, SoughtLiteral, TestCounts};
pub use why::described;

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::sync::Arc;

use crate::cost::{Costs, Step};
use crate::enrich::{EventIdentity, Shared, effective_level};
use crate::evaluate::Scratch;
use crate::subject::Subject;
use event::{Decoder, Event, Fault, Origin, ProcessCache, Profile, ViewKind};

/// Where a line came from; stands in its alerts.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A Kafka record.
    Kafka {
        /// Topic.
        topic: &'a str,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
    /// A line of a file or of stdin (`-`).
    File {
        /// Path as given.
        file: &'a str,
        /// Line, from 1.
        line: u64,
    },
}

/// One line to evaluate.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The bytes, without the line break.
    pub bytes: &'a [u8],
    /// What is known of it beside its bytes.
    pub origin: Origin<'a>,
    /// Where it came from.
    pub source: Source<'a>,
}

/// What limits the alerts of an event. Nothing is cut without a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most alerts of one event; the rest is counted by rule, and the last alert says how many.
    pub alerts_per_event: usize,
    /// Most bytes of JSON in `why`; at most 256 KiB, so that an alert fits into a message of Kafka.
    pub why_bytes: usize,
    /// Most bytes of `event`, as encoded there; at most 900 KB, for the same reason.
    pub event_bytes: usize,
}

impl Limits {
    /// 64 alerts, 2 KiB, 900 KB.
    pub const USUAL: Self = Self {
        alerts_per_event: 64,
        why_bytes: 2048,
        event_bytes: 900_000,
    };
}

/// Evaluates lines one after the other; one per worker thread, each with scratch memory of its own.
#[derive(Debug)]
pub struct Detector {
    plan: Arc<Plan>,
    limits: Limits,
    decoder: Decoder,
    scratch: Scratch,
    /// Rule and number of the view, of the current event.
    matches: Vec<(RuleIdx, u32)>,
    /// What rules that correlations read matched in the current event, and its time.
    hits: Vec<RuleHit>,
    time_ms: Option<i64>,
    costs: Costs,
    dropped: Tally,
    newest_ms: Option<i64>,
    /// Views evaluated, by number of their kind.
    views: [u64; ViewKind::ALL.len()],
}

impl Detector {
    /// A detector for this plan and profile, with [`Limits::USUAL`].
    pub fn new(plan: Arc<Plan>, profile: Arc<Profile>) -> Self {
        let rules = plan.rules().len();
        Self {
            decoder: Decoder::new(profile, plan.fields()).with_fast_path(plan.options().fast_path),
            scratch: plan.scratch(),
            matches: Vec::new(),
            hits: Vec::new(),
            time_ms: None,
            costs: plan.costs(),
            dropped: Tally::new(rules),
            newest_ms: None,
            views: [0; ViewKind::ALL.len()],
            limits: Limits::USUAL,
            plan,
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same, measuring what rules cost in one event of so many, on average; without it no time is measured.
    #[must_use]
    pub fn with_clocks(mut self, clocks: Clocks, every: u32) -> Self {
        self.costs.sample(clocks, every);
        self
    }

    /// The plan in use.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Evaluates one line and appends its alerts: one for each rule that matches any of its views, the most
    /// severe first. A fault means that the line belongs on the dead-letter topic.
    pub fn run(
        &mut self,
        line: &Line<'_>,
        cache: &mut ProcessCache,
        alerts: &mut Vec<Alert>,
    ) -> Result<(), Fault> {
        self.costs.begin();
        self.hits.clear();
        self.time_ms = None;
        let event = self.decoder.decode(line.bytes, &line.origin, cache)?;
        self.costs.step(Step::Decode);
        let time_ms = event.id().time_ms;
        self.time_ms = Some(time_ms);
        self.newest_ms = self.newest_ms.max(self.time_ms);
        for view in event.views() {
            self.views[view.kind as usize] += 1;
        }
        let (scratch, costs) = (&mut self.scratch, &mut self.costs);
        find(&self.plan, &event, scratch, costs, &mut self.matches);
        if self.matches.is_empty() {
            self.costs.end();
            return Ok(());
        }
        let plan = &self.plan;
        self.matches.sort_unstable_by_key(|(rule, view)| {
            (
                Reverse(effective_level(&plan.rule(*rule).attributes)),
                *rule,
                *view,
            )
        });
        let (mut shared, mut brief) = (None, None);
        let identity = OnceCell::new();
        let identity = || identity.get_or_init(|| EventIdentity::of(&event)).clone();
        self.costs.step(Step::Alert);
        let before = alerts.len();
        for views in self.matches.chunk_by(|a, b| a.0 == b.0) {
            let rule = views[0].0;
            self.costs.matched(rule, time_ms);
            if let Some(read) = plan.correlations().read(rule) {
                let view = Subject::new(&event, &event.views()[views[0].1 as usize]);
                let brief =
                    brief.get_or_insert_with(|| Arc::new(enrich::brief(&event, line, identity())));
                self.hits.push(enrich::hit(plan, rule, read, brief, &view));
            }
            if !plan.rule(rule).alerts {
                continue;
            }
            let shared =
                shared.get_or_insert_with(|| Shared::new(&event, line, self.limits, identity()));
            if alerts.len() - before == self.limits.alerts_per_event.max(1) {
                self.dropped.add(rule);
                if let Some(last) = alerts.last_mut() {
                    *last.alerts_left_out.get_or_insert(0) += 1;
                }
                continue;
            }
            let views = views
                .iter()
                .map(|(_, view)| Subject::new(&event, &event.views()[*view as usize]));
            alerts.push(shared.alert(plan, rule, views));
            self.costs.step(Step::Rule(rule));
        }
        self.costs.end();
        Ok(())
    }

    /// Event time of the last [`Detector::run`], milliseconds since the epoch; `None` after a fault.
    pub fn time_ms(&self) -> Option<i64> {
        self.time_ms
    }

    /// What rules that correlations read matched in the event of the last [`Detector::run`]: for
    /// [`Correlator::observe`].
    pub fn hits(&self) -> &[RuleHit] {
        &self.hits
    }

    /// The rules that match a line, in order, without alerts: for those who only want to know. Matches are not counted.
    pub fn matching(
        &mut self,
        line: &Line<'_>,
        cache: &mut ProcessCache,
    ) -> Result<Vec<RuleIdx>, Fault> {
        self.costs.begin();
        let event = self.decoder.decode(line.bytes, &line.origin, cache)?;
        let (scratch, costs) = (&mut self.scratch, &mut self.costs);
        find(&self.plan, &event, scratch, costs, &mut self.matches);
        let mut rules: Vec<RuleIdx> = self.matches.iter().map(|(rule, _)| *rule).collect();
        rules.sort_unstable();
        rules.dedup();
        Ok(rules)
    }

    /// Lets the process cache learn of a line that is not to be evaluated (warm-up after an
    /// assignment). Faults are ignored: the line was judged when it was first read.
    pub fn warm(&mut self, line: &Line<'_>, cache: &mut ProcessCache) {
        self.decoder.decode(line.bytes, &line.origin, cache).ok();
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        let (rules, shared) = self.costs.take();
        Counts {
            decode: self.decoder.take_counts(),
            rules,
            shared,
            suppressed: self.costs.take_suppressed(),
            alerts_dropped: self.dropped.take(),
            newest_ms: self.newest_ms.take(),
            views: std::mem::take(&mut self.views),
        }
    }
}

impl Plan {
    /// The alert of a correlation that came to hold.
    pub fn correlation_alert(&self, fired: &Fired) -> Alert {
        enrich::correlation_alert(self, fired)
    }
}

/// All matches of rules and views of an event; views by their number.
fn find(
    plan: &Plan,
    event: &Event<'_>,
    scratch: &mut Scratch,
    costs: &mut Costs,
    matches: &mut Vec<(RuleIdx, u32)>,
) {
    matches.clear();
    for (number, view) in (0..).zip(event.views()) {
        plan.matches(&Subject::new(event, view), scratch, costs, |rule| {
            matches.push((rule, number));
        });
    }
}

/// Counters of a batch.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// What the decoder counted.
    pub decode: event::Counts,
    /// What rules cost and what came of them, in order; only rules that were verified.
    pub rules: Vec<RuleCost>,
    /// What no single rule causes.
    pub shared: SharedCost,
    /// Views that a rule would have matched but for a filter: rule, number of the filter among its own, and how many.
    pub suppressed: Vec<(RuleIdx, u32, u64)>,
    /// Alerts left out by the limit on alerts per event, by rule.
    pub alerts_dropped: Vec<(RuleIdx, u64)>,
    /// The newest event time, milliseconds since the epoch.
    pub newest_ms: Option<i64>,
    /// Views evaluated, in the order of [`event::ViewKind::ALL`]; kinds that no rule reads are not made.
    pub views: [u64; ViewKind::ALL.len()],
}

/// A counter for each rule; those at zero cost nothing.
#[derive(Debug)]
struct Tally {
    counts: Vec<u64>,
    touched: Vec<RuleIdx>,
}

impl Tally {
    fn new(rules: usize) -> Self {
        Self {
            counts: vec![0; rules],
            touched: Vec::new(),
        }
    }

    fn add(&mut self, rule: RuleIdx) {
        let count = &mut self.counts[rule.0 as usize];
        if *count == 0 {
            self.touched.push(rule);
        }
        *count += 1;
    }

    fn take(&mut self) -> Vec<(RuleIdx, u64)> {
        self.touched.sort_unstable();
        self.touched
            .drain(..)
            .map(|rule| (rule, std::mem::take(&mut self.counts[rule.0 as usize])))
            .collect()
    }
}
