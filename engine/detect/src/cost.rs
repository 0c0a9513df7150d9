//! What each rule costs: how often it is looked at, exactly, and the processor time that this takes, from a sample.
//!
//! Counting is an increment for each rule verified. Time is measured in one event of so many, and given as an estimate for
//! all. This crate has no clock: whoever wants times hands over two. One is quick, and is read between all
//! steps of a sampled event; it goes on while the thread waits for a processor. The other counts
//! what the thread has had of one; it is read at both ends of the event, and where the two disagree the event is left out.

use std::collections::BTreeMap;

use crate::plan::RuleIdx;

/// Two clocks, in nanoseconds since whenever.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Monotonic; costs a few nanoseconds.
    pub time: fn() -> u64,
    /// Processor time of this thread; may cost more.
    pub processor: fn() -> u64,
}

/// What one rule has cost, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleCost {
    /// The rule.
    pub rule: RuleIdx,
    /// Events in which it was verified on some view: its witness stood there, or it has none.
    pub candidates: u64,
    /// Views on which it was verified.
    pub verifications: u64,
    /// Events that it matched.
    pub matches: u64,
    /// Event time of the latest of them, in milliseconds since the epoch.
    pub last_match_ms: Option<i64>,
    /// Processor time for verifying it and for what its alerts do not share with others, in nanoseconds: an estimate.
    /// What several rules ask of a view is counted for the one that asks first.
    pub cpu_ns: u64,
}

/// Processor time of what no single rule causes, in nanoseconds: estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedCost {
    /// Decoding lines and filling views.
    pub decode_ns: u64,
    /// Looking for literals, which gives the candidates.
    pub search_ns: u64,
    /// What the alerts of one event have in common.
    pub alert_ns: u64,
    /// Events that were measured.
    pub sampled: u64,
}

/// A step of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Decode,
    Search,
    Rule(RuleIdx),
    Alert,
}

/// The quick clock may be ahead of the other by so much in one event; beyond that the thread has waited.
const WAITED_NS: u64 = 20_000;

/// Steps of an event for which there is room at first: more than all but the largest have.
const STEPS: usize = 512;

/// The counters of one detector.
#[derive(Debug)]
pub(crate) struct Costs {
    rules: Vec<Counter>,
    touched: Vec<RuleIdx>,
    /// By rule and number of its filter.
    suppressed: BTreeMap<(RuleIdx, u32), u64>,
    /// Number of the current event.
    event: u64,
    shared: SharedCost,
    sampler: Option<Sampler>,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    cost: RuleCost,
    /// The event that it was last a candidate in.
    event: u64,
}

impl Costs {
    pub(crate) fn new(rules: usize) -> Self {
        let counter = |rule| Counter {
            cost: RuleCost::none(rule),
            event: 0,
        };
        Self {
            rules: (0..).map(RuleIdx).take(rules).map(counter).collect(),
            touched: Vec::with_capacity(rules),
            suppressed: BTreeMap::new(),
            event: 0,
            shared: SharedCost::default(),
            sampler: None,
        }
    }

    /// From now on one event of so many is measured, on average.
    pub(crate) fn sample(&mut self, clocks: Clocks, every: u32) {
        self.sampler = Some(Sampler::new(clocks, every.max(1)));
    }

    /// An event begins.
    pub(crate) fn begin(&mut self) {
        self.event += 1;
        if let Some(sampler) = &mut self.sampler {
            sampler.begin();
        }
    }

    /// What was done since the last step, or since the event began, was this.
    #[inline]
    pub(crate) fn step(&mut self, step: Step) {
        if let Some(sampler) = &mut self.sampler
            && sampler.is_measuring
        {
            sampler.step(step);
        }
    }

    /// A rule was verified on a view.
    #[inline]
    pub(crate) fn verified(&mut self, rule: RuleIdx) {
        let Counter { cost, event } = &mut self.rules[rule.0 as usize];
        if cost.verifications == 0 {
            self.touched.push(rule);
        }
        cost.verifications += 1;
        if *event != self.event {
            *event = self.event;
            cost.candidates += 1;
        }
        self.step(Step::Rule(rule));
    }

    /// A rule's own condition held on a view, and this filter of it kept it from matching there.
    pub(crate) fn suppressed(&mut self, rule: RuleIdx, filter: u32) {
        *self.suppressed.entry((rule, filter)).or_default() += 1;
    }

    /// What filters kept from matching since the last call, in views.
    pub(crate) fn take_suppressed(&mut self) -> Vec<(RuleIdx, u32, u64)> {
        let suppressed = std::mem::take(&mut self.suppressed).into_iter();
        suppressed
            .map(|((rule, filter), count)| (rule, filter, count))
            .collect()
    }

    /// A rule matches the event, of this time; it was verified before.
    pub(crate) fn matched(&mut self, rule: RuleIdx, time_ms: i64) {
        let cost = &mut self.rules[rule.0 as usize].cost;
        cost.matches += 1;
        cost.last_match_ms = cost.last_match_ms.max(Some(time_ms));
    }

    /// The event is through. One that does not come so far (a fault) is counted, and not measured.
    #[inline]
    pub(crate) fn end(&mut self) {
        let Some(sampler) = &mut self.sampler else {
            return;
        };
        if !sampler.is_measuring || !sampler.end() {
            return;
        }
        self.shared.sampled += 1;
        for &(step, ns) in &sampler.steps {
            let ns = ns * u64::from(sampler.every);
            match step {
                Step::Decode => self.shared.decode_ns += ns,
                Step::Search => self.shared.search_ns += ns,
                Step::Alert => self.shared.alert_ns += ns,
                Step::Rule(rule) => self.rules[rule.0 as usize].cost.cpu_ns += ns,
            }
        }
    }

    /// What was counted since the last call, only rules that were verified, in order.
    pub(crate) fn take(&mut self) -> (Vec<RuleCost>, SharedCost) {
        self.touched.sort_unstable();
        let take = |rule: RuleIdx| {
            let cost = &mut self.rules[rule.0 as usize].cost;
            std::mem::replace(cost, RuleCost::none(rule))
        };
        let rules = self.touched.drain(..).map(take).collect();
        (rules, std::mem::take(&mut self.shared))
    }
}

impl RuleCost {
    fn none(rule: RuleIdx) -> Self {
        Self {
            rule,
            candidates: 0,
            verifications: 0,
            matches: 0,
            last_match_ms: None,
            cpu_ns: 0,
        }
    }
}

/// Measures one event of so many.
#[derive(Debug)]
struct Sampler {
    clocks: Clocks,
    every: u32,
    /// What reading the quick clock costs: in each step once.
    overhead_ns: u64,
    /// Events until the next that is measured.
    left: u32,
    /// State of the generator that says how many.
    random: u32,
    is_measuring: bool,
    /// Both clocks at the beginning of the event, and the quick one at the last step.
    began_ns: u64,
    processor_ns: u64,
    last_ns: u64,
    /// Kept until the end, when it shows whether the thread has waited.
    steps: Vec<(Step, u64)>,
}

impl Sampler {
    fn new(clocks: Clocks, every: u32) -> Self {
        let mut sampler = Self {
            clocks,
            every,
            overhead_ns: overhead(clocks.time),
            left: 0,
            random: 0x9e37_79b9,
            is_measuring: false,
            began_ns: 0,
            processor_ns: 0,
            last_ns: 0,
            steps: Vec::with_capacity(STEPS),
        };
        sampler.left = sampler.gap();
        sampler
    }

    fn begin(&mut self) {
        self.left -= 1;
        self.is_measuring = self.left == 0;
        if self.is_measuring {
            self.left = self.gap();
            self.steps.clear();
            self.processor_ns = (self.clocks.processor)();
            self.began_ns = (self.clocks.time)();
            self.last_ns = self.began_ns;
        }
    }

    fn step(&mut self, step: Step) {
        let now = (self.clocks.time)();
        let took = now.saturating_sub(self.last_ns);
        self.last_ns = now;
        self.steps
            .push((step, took.saturating_sub(self.overhead_ns)));
    }

    /// Whether the event's steps are to be believed.
    fn end(&mut self) -> bool {
        self.is_measuring = false;
        let processor = (self.clocks.processor)().saturating_sub(self.processor_ns);
        let time = self.last_ns.saturating_sub(self.began_ns);
        time <= processor.saturating_add(WAITED_NS)
    }

    /// From 1 to twice `every` less 1, so `every` on average: an even pace could keep step with the events (xorshift, Marsaglia).
    fn gap(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        1 + self.random % self.every.saturating_mul(2).saturating_sub(1)
    }
}

/// What reading a clock costs, by its own measure.
fn overhead(clock: fn() -> u64) -> u64 {
    let read = |_| {
        let before = clock();
        clock().saturating_sub(before)
    };
    (0..64).map(read).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static TIME: Cell<u64> = const { Cell::new(0) };
        static PROCESSOR: Cell<u64> = const { Cell::new(0) };
    }

    /// Reading it costs ten nanoseconds.
    const CLOCKS: Clocks = Clocks {
        time: || TIME.replace(TIME.get() + 10),
        processor: || PROCESSOR.get(),
    };

    fn passes(ns: u64) {
        TIME.set(TIME.get() + ns);
        PROCESSOR.set(PROCESSOR.get() + ns);
    }

    fn costs(every: u32) -> Costs {
        let mut costs = Costs::new(3);
        costs.sample(CLOCKS, every);
        costs
    }

    /// Rule 1 on two views, of which the second matches.
    fn event(costs: &mut Costs, waits_ns: u64) {
        costs.begin();
        passes(100);
        costs.step(Step::Decode);
        for _ in 0..2 {
            passes(20);
            costs.step(Step::Search);
            passes(7);
            TIME.set(TIME.get() + waits_ns);
            costs.verified(RuleIdx(1));
        }
        costs.matched(RuleIdx(1), 5);
        passes(50);
        costs.step(Step::Alert);
        passes(30);
        costs.step(Step::Rule(RuleIdx(1)));
        costs.end();
    }

    fn rule(candidates: u64, cpu_ns: u64) -> RuleCost {
        RuleCost {
            rule: RuleIdx(1),
            candidates,
            verifications: candidates * 2,
            matches: candidates,
            last_match_ms: Some(5),
            cpu_ns,
        }
    }

    #[test]
    fn every_event_is_counted_and_its_steps_are_told_apart() {
        let mut costs = costs(1);
        event(&mut costs, 0);
        let shared = SharedCost {
            decode_ns: 100,
            search_ns: 40,
            alert_ns: 50,
            sampled: 1,
        };
        assert_eq!(costs.take(), (vec![rule(1, 44)], shared));
        assert_eq!(costs.take(), (vec![], SharedCost::default()));
    }

    #[test]
    fn a_sample_gives_an_estimate_for_all() {
        let mut costs = costs(8);
        for _ in 0..80_000 {
            event(&mut costs, 0);
        }
        let (rules, shared) = costs.take();
        assert!((9_700..10_300).contains(&shared.sampled), "{shared:?}");
        assert_eq!(shared.decode_ns, shared.sampled * 8 * 100);
        assert_eq!(rules, [rule(80_000, shared.sampled * 8 * 44)]);
    }

    #[test]
    fn an_event_whose_thread_has_waited_is_not_measured() {
        let mut costs = costs(1);
        event(&mut costs, WAITED_NS);
        assert_eq!(costs.take(), (vec![rule(1, 0)], SharedCost::default()));
        event(&mut costs, 0);
        assert_eq!(costs.take().1.sampled, 1);
    }

    #[test]
    fn a_fault_leaves_nothing_behind() {
        let mut costs = costs(1);
        costs.begin();
        passes(1000);
        event(&mut costs, 0);
        let (rules, shared) = costs.take();
        assert_eq!((shared.decode_ns, rules[0].cpu_ns), (100, 44));
    }

    #[test]
    fn without_clocks_all_is_counted_and_nothing_measured() {
        let mut costs = Costs::new(3);
        event(&mut costs, 0);
        assert_eq!(costs.take(), (vec![rule(1, 0)], SharedCost::default()));
    }
}
