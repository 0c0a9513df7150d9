//! A worker: one thread that evaluates the batches of some partitions, in order.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use detect::{Alert, Detector, Line, Source};
use event::{Fault, Origin, ProcessCache, Profile};

use crate::batch::{Batch, Buffers, Record};
use crate::clocks::{CLOCKS, MEASURE_EVERY};
use crate::correlating::{Correlating, CorrelationOptions};
use crate::ledger::{BatchId, Outcome, PartitionId};
use crate::ruleset::{Ruleset, Rulesets};
use crate::sink::{Origin as RecordOrigin, Refusal, Sink, Undelivered};
use crate::telemetry::Telemetry;

/// What a worker is told, in order.
#[derive(Debug)]
pub(crate) enum Task {
    /// A partition is ours: its process cache starts empty, with this many bytes.
    Assign(PartitionId, usize),
    /// From now on each process cache may have this many bytes: partitions have come or gone.
    Share(usize),
    /// Lines to evaluate.
    Batch(Batch),
    /// The partition is gone: forget its processes.
    Revoke(PartitionId),
}

/// What comes back to the thread that owns the consumer.
#[derive(Debug)]
pub(crate) enum Report {
    /// A batch is through the worker of this number; its records may still be on their way.
    Evaluated(usize, PartitionId, BatchId, Outcome, Buffers),
    /// So many bytes of warm-up lines have been read by the worker of this number.
    Warmed(usize, u64, Buffers),
    /// One record of a batch is on its topic.
    Delivered(PartitionId, BatchId),
    /// One record of a batch is not.
    Undelivered(PartitionId, BatchId, Undelivered),
}

/// What every worker shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rulesets: Arc<Rulesets>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) sink: Sink,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) cache_max_age_ms: i64,
    pub(crate) limits: detect::Limits,
    pub(crate) correlations: CorrelationOptions,
}

/// Works until the sender of tasks is dropped; `number` is this worker's.
pub(crate) fn work(
    number: usize,
    shared: &Shared,
    tasks: &Receiver<Task>,
    reports: &Sender<Report>,
) {
    let ruleset = shared.rulesets.current();
    let mut worker = Worker {
        detector: detector(shared, &ruleset),
        ruleset,
        partitions: BTreeMap::new(),
        alerts: Vec::new(),
        shared,
    };
    for task in tasks {
        if shared.sink.is_abandoned() {
            continue;
        }
        match task {
            Task::Assign(partition, bytes) => {
                let cache = ProcessCache::new(bytes, shared.cache_max_age_ms);
                let hash = String::new();
                let plan = worker.detector.plan();
                let correlating = Correlating::new(plan, shared.correlations);
                let state = Partition {
                    cache,
                    correlating,
                    hash,
                };
                worker.partitions.insert(partition, state);
            }
            Task::Share(bytes) => {
                for partition in worker.partitions.values_mut() {
                    partition.cache.set_max_bytes(bytes);
                }
            }
            Task::Revoke(partition) => {
                worker.partitions.remove(&partition);
            }
            Task::Batch(batch) if batch.warmup => {
                worker.warm(&batch);
                let bytes = batch.memory() as u64;
                let warmed = Report::Warmed(number, bytes, batch.into_buffers());
                if reports.send(warmed).is_err() {
                    return;
                }
            }
            Task::Batch(batch) => {
                let outcome = worker.evaluate(&batch);
                let (partition, id) = (batch.partition, batch.id);
                let buffers = batch.into_buffers();
                let evaluated = Report::Evaluated(number, partition, id, outcome, buffers);
                // The receiver goes away only at the end of the process.
                if reports.send(evaluated).is_err() {
                    return;
                }
            }
        }
    }
}

struct Worker<'a> {
    /// The ruleset of the current batch, and its detector.
    ruleset: Arc<Ruleset>,
    detector: Detector,
    partitions: BTreeMap<PartitionId, Partition>,
    alerts: Vec<Alert>,
    shared: &'a Shared,
}

/// What is kept of a partition from batch to batch, whatever the ruleset.
struct Partition {
    cache: ProcessCache,
    correlating: Correlating,
    /// Of the ruleset that its last batch was evaluated under; empty before the first.
    hash: String,
}

impl Worker<'_> {
    /// Takes up the ruleset in use. INVARIANT: between two batches only, so that every batch, and with it
    /// every event, is evaluated under one ruleset.
    fn take_up_ruleset(&mut self) {
        let current = self.shared.rulesets.current();
        if !Arc::ptr_eq(&current, &self.ruleset) {
            self.detector = detector(self.shared, &current);
            self.ruleset = current;
        }
    }

    fn evaluate(&mut self, batch: &Batch) -> Outcome {
        let start = Instant::now();
        self.take_up_ruleset();
        let mut outcome = Outcome::default();
        let telemetry = &self.shared.telemetry;
        let Some(Partition {
            cache,
            correlating,
            hash,
        }) = self.partitions.get_mut(&batch.partition)
        else {
            unreachable!("a batch comes behind the assignment of its partition");
        };
        if hash != self.ruleset.hash() {
            self.ruleset.hash().clone_into(hash);
            Telemetry::evaluated_under(batch, hash);
        }
        let evicted = cache.evicted();
        correlating.begin(self.detector.plan());
        for record in &batch.records {
            let line = line(batch, record);
            let origin = RecordOrigin {
                batch: batch.id,
                partition: batch.partition,
            };
            match guarded(|| self.detector.run(&line, cache, &mut self.alerts)) {
                Ok(()) => {
                    outcome.evaluated += 1;
                    correlating.event(&self.detector, &mut self.alerts);
                }
                Err(refusal) => {
                    outcome.dead_lettered += 1;
                    outcome.produced +=
                        self.shared.sink.dead_letter(batch, record, refusal, origin);
                    telemetry.dead_letter(refusal);
                    if refusal == Refusal::Panic {
                        self.alerts.clear();
                        self.detector = detector(self.shared, &self.ruleset);
                    }
                }
            }
            for alert in self.alerts.drain(..) {
                outcome.produced +=
                    self.shared
                        .sink
                        .alert(&alert, &line.source, &self.ruleset, origin);
                telemetry.alerts.inc();
            }
        }
        correlating.end(self.detector.plan(), telemetry);
        telemetry.cache_evicted.inc_by(cache.evicted() - evicted);
        telemetry.batch(batch, &outcome, start.elapsed());
        let counts = self.detector.take_counts();
        telemetry.counts(self.detector.plan(), &counts);
        outcome
    }

    fn warm(&mut self, batch: &Batch) {
        self.take_up_ruleset();
        let Some(Partition {
            cache, correlating, ..
        }) = self.partitions.get_mut(&batch.partition)
        else {
            return;
        };
        let correlates = !self.detector.plan().correlations().is_empty();
        correlating.begin(self.detector.plan());
        for record in &batch.records {
            let line = line(batch, record);
            let warmed = guarded(|| {
                if correlates {
                    self.detector.run(&line, cache, &mut self.alerts).ok();
                    correlating.event(&self.detector, &mut self.alerts);
                } else {
                    self.detector.warm(&line, cache);
                }
                Ok(())
            });
            // They were given when the lines were first read.
            self.alerts.clear();
            if warmed.is_err() {
                // The line was judged when it was first read.
                self.detector = detector(self.shared, &self.ruleset);
            }
        }
        correlating.end_warmup();
        // What warming up counts was counted when the lines were first read.
        let counts = self.detector.take_counts();
        drop(counts);
        self.shared
            .telemetry
            .warmup_lines
            .inc_by(batch.records.len() as u64);
    }
}

fn detector(shared: &Shared, ruleset: &Ruleset) -> Detector {
    Detector::new(Arc::clone(ruleset.plan()), Arc::clone(&shared.profile))
        .with_limits(shared.limits)
        .with_clocks(CLOCKS, MEASURE_EVERY)
}

/// Runs the engine on one line. A panic must not stop the service: the line would be read again after
/// every restart, and whoever can write a log line could hold up the partition for good.
fn guarded(run: impl FnOnce() -> Result<(), Fault>) -> Result<(), Refusal> {
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(ran) => ran.map_err(Refusal::Fault),
        Err(_) => Err(Refusal::Panic),
    }
}

fn line<'a>(batch: &'a Batch, record: &Record) -> Line<'a> {
    Line {
        bytes: batch.line(record),
        origin: Origin {
            host: batch.host(record),
            scope: None,
        },
        source: Source::Kafka {
            topic: &batch.topic,
            partition: batch.partition.partition,
            offset: record.offset,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_the_engine_is_a_dead_letter() {
        assert_eq!(guarded(|| Ok(())), Ok(()));
        let fault = guarded(|| Err(Fault::BadId));
        assert_eq!(fault, Err(Refusal::Fault(Fault::BadId)));
        assert_eq!(guarded(|| panic!("a bug")), Err(Refusal::Panic));
    }
}
