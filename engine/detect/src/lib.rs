//! Rules to one [`Plan`]; lines to [`Alert`]s. Pure: no I/O, no clock, no threads.

#![warn(clippy::disallowed_methods)]

mod alert;
mod plan;

pub use alert::Alert;
pub use plan::{Compiled, NotRunning, Plan, RuleIdx};

use std::sync::Arc;

use event::{Decoder, Fault, Origin, ProcessCache, Profile};

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

/// Evaluates lines one after the other; one per worker thread, each with scratch memory of its own.
#[derive(Debug)]
pub struct Detector {
    plan: Arc<Plan>,
    decoder: Decoder,
}

impl Detector {
    /// A detector for this plan and profile.
    pub fn new(plan: Arc<Plan>, profile: Arc<Profile>) -> Self {
        let decoder = Decoder::new(profile, plan.fields());
        Self { plan, decoder }
    }

    /// The plan in use.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Evaluates one line and appends its alerts. A fault means that the line belongs on the
    /// dead-letter topic.
    pub fn run(&mut self, line: &Line<'_>, cache: &mut ProcessCache, _alerts: &mut Vec<Alert>) -> Result<(), Fault> {
        let _event = self.decoder.decode(line.bytes, &line.origin, cache)?;
        Ok(())
    }

    /// Lets the process cache learn of a line that is not to be evaluated (warm-up after an
    /// assignment). Faults are ignored: the line was judged when it was first read.
    pub fn warm(&mut self, line: &Line<'_>, cache: &mut ProcessCache) {
        // A fault is no news here: the line was judged when it was first read.
        let _ = self.decoder.decode(line.bytes, &line.origin, cache).is_ok();
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        Counts { decode: self.decoder.take_counts(), ..Counts::default() }
    }
}

/// Counters of a batch.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// What the decoder counted.
    pub decode: event::Counts,
    /// Matches (rule and event) by rule, only rules that matched.
    pub matches: Vec<(RuleIdx, u64)>,
    /// Alerts left out by the limit on alerts per event, by rule.
    pub alerts_dropped: Vec<(RuleIdx, u64)>,
}
