//! A worker: one thread that evaluates the batches of some partitions, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use detect::{Alert, Detector, Line, Plan, Source};
use event::{Origin, ProcessCache, Profile};

use crate::batch::{Batch, Record};
use crate::ledger::{BatchId, Outcome, PartitionId};
use crate::sink::{Origin as RecordOrigin, Sink, Undelivered};
use crate::telemetry::Telemetry;

/// What a worker is told, in order.
#[derive(Debug)]
pub(crate) enum Task {
    /// A partition is ours: its process cache starts empty, with this many bytes.
    Assign(PartitionId, usize),
    /// Lines to evaluate.
    Batch(Batch),
    /// The partition is gone: forget its processes.
    Revoke(PartitionId),
}

/// What comes back to the thread that owns the consumer.
#[derive(Debug)]
pub(crate) enum Report {
    /// A batch is through; its records may still be on their way.
    Evaluated(PartitionId, BatchId, Outcome),
    /// One record of a batch is on its topic.
    Delivered(PartitionId, BatchId),
    /// One record of a batch is not.
    Undelivered(PartitionId, BatchId, Undelivered),
}

/// What every worker shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) sink: Sink,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) cache_max_age_ms: i64,
    pub(crate) limits: detect::Limits,
}

/// Works until the sender of tasks is dropped.
pub(crate) fn work(shared: &Shared, tasks: &Receiver<Task>, reports: &Sender<Report>) {
    let mut worker = Worker {
        detector: Detector::new(Arc::clone(&shared.plan), Arc::clone(&shared.profile))
            .with_limits(shared.limits),
        caches: BTreeMap::new(),
        alerts: Vec::new(),
        shared,
    };
    for task in tasks {
        match task {
            Task::Assign(partition, bytes) => {
                let cache = ProcessCache::new(bytes, shared.cache_max_age_ms);
                worker.caches.insert(partition, cache);
            }
            Task::Revoke(partition) => {
                worker.caches.remove(&partition);
            }
            Task::Batch(batch) if batch.warmup => worker.warm(&batch),
            Task::Batch(batch) => {
                let outcome = worker.evaluate(&batch);
                // The receiver goes away only at the end of the process.
                if reports
                    .send(Report::Evaluated(batch.partition, batch.id, outcome))
                    .is_err()
                {
                    return;
                }
            }
        }
    }
}

struct Worker<'a> {
    detector: Detector,
    caches: BTreeMap<PartitionId, ProcessCache>,
    alerts: Vec<Alert>,
    shared: &'a Shared,
}

impl Worker<'_> {
    fn evaluate(&mut self, batch: &Batch) -> Outcome {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let telemetry = &self.shared.telemetry;
        let Some(cache) = self.caches.get_mut(&batch.partition) else {
            unreachable!("a batch comes behind the assignment of its partition");
        };
        let evicted = cache.evicted();
        for record in &batch.records {
            let line = line(batch, record);
            let origin = RecordOrigin {
                batch: batch.id,
                partition: batch.partition,
            };
            match self.detector.run(&line, cache, &mut self.alerts) {
                Ok(()) => outcome.evaluated += 1,
                Err(fault) => {
                    outcome.dead_lettered += 1;
                    outcome.produced += self.shared.sink.dead_letter(batch, record, fault, origin);
                    telemetry.dead_letter(fault);
                }
            }
            for alert in self.alerts.drain(..) {
                outcome.produced += self.shared.sink.alert(&alert, &line.source, origin);
                telemetry.alerts.inc();
            }
        }
        telemetry.cache_evicted.inc_by(cache.evicted() - evicted);
        telemetry.batch(batch, &outcome, start.elapsed());
        let counts = self.detector.take_counts();
        telemetry.counts(self.detector.plan(), &counts);
        outcome
    }

    fn warm(&mut self, batch: &Batch) {
        let Some(cache) = self.caches.get_mut(&batch.partition) else {
            return;
        };
        for record in &batch.records {
            self.detector.warm(&line(batch, record), cache);
        }
        // What warming up counts was counted when the lines were first read.
        let counts = self.detector.take_counts();
        drop(counts);
        self.shared
            .telemetry
            .warmup_lines
            .inc_by(batch.records.len() as u64);
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
