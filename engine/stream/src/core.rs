//! What the consumer's thread knows and decides between two polls: open batches, warm-up, back-pressure,
//! what came back from workers and producer. The ledger decides on offsets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message as _};

use crate::batch::{Batch, Buffers};
use crate::ledger::{Admission, BatchId, Ledger, PartitionId};
use crate::sink::{Origin, Retried, Undelivered};
use crate::telemetry::Telemetry;
use crate::topics::Topics;
use crate::worker::{Report, Shared, Task};
use crate::{ServeError, Stop};

/// A partition whose process cache is being filled.
#[derive(Clone, Copy, Debug)]
struct Warmup {
    start: i64,
    bytes_left: u64,
}

/// Where a partition starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// Lines count from here on.
    pub(crate) start: i64,
    /// Records are read from here on.
    pub(crate) from: i64,
    /// Records that were deleted before they were read.
    pub(crate) lost: i64,
    /// The group has `start` committed already.
    pub(crate) committed: bool,
}

/// State between two polls.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) ledger: Ledger,
    pub(crate) topics: Topics,
    pub(crate) lost: BTreeMap<PartitionId, i64>,
    pub(crate) fault: Option<ServeError>,
    /// Whether partitions are paused: every assignment has to say it again.
    pub(crate) paused: bool,
    open: BTreeMap<PartitionId, Batch>,
    /// Memory of the open batches, and of those with warm-up lines that a worker has not read yet.
    open_bytes: u64,
    warming_bytes: u64,
    warmups: BTreeMap<PartitionId, Warmup>,
    /// Ends that were reached behind the last record taken: what lies between holds no records.
    ends: BTreeMap<PartitionId, i64>,
    /// Records that found the producer's queue full when they were tried again.
    waiting: Vec<(Origin, Undelivered)>,
    /// Memory of batches that are done, for those to come: taken from the allocator anew each time, pieces of
    /// this size leave more and more holes behind.
    spare: Vec<Buffers>,
    spare_bytes: u64,
    in_flight_limit: u64,
    next_batch: u64,
    batch_bytes: usize,
    warmup_bytes: u64,
    cache_bytes: usize,
    shutdown_deadline: Duration,
    stop: Stop,
    workers: Vec<Sender<Task>>,
    /// The worker of each partition that is ours.
    placed: BTreeMap<PartitionId, usize>,
    /// Batches that each worker has not reported on yet.
    tasks: Vec<usize>,
    reports: Receiver<Report>,
    shared: Arc<Shared>,
    telemetry: Arc<Telemetry>,
}

impl Core {
    pub(crate) fn new(
        options: &crate::Options,
        workers: Vec<Sender<Task>>,
        reports: Receiver<Report>,
        shared: Arc<Shared>,
        stop: Stop,
    ) -> Self {
        Self {
            ledger: Ledger::default(),
            topics: Topics::default(),
            lost: BTreeMap::new(),
            fault: None,
            paused: false,
            open: BTreeMap::new(),
            open_bytes: 0,
            warming_bytes: 0,
            warmups: BTreeMap::new(),
            ends: BTreeMap::new(),
            waiting: Vec::new(),
            spare: Vec::new(),
            spare_bytes: 0,
            in_flight_limit: options.in_flight_bytes as u64,
            next_batch: 0,
            batch_bytes: options.batch_bytes,
            warmup_bytes: options.warmup_bytes,
            cache_bytes: options.process_cache_bytes,
            shutdown_deadline: options.shutdown_deadline,
            stop,
            tasks: vec![0; workers.len()],
            workers,
            placed: BTreeMap::new(),
            reports,
            telemetry: Arc::clone(&shared.telemetry),
            shared,
        }
    }

    /// Takes one record. `Some`: the warm-up of this partition has read enough; go on at that offset.
    pub(crate) fn record(&mut self, message: &BorrowedMessage<'_>) -> Option<(PartitionId, i64)> {
        let partition = self.topics.id(message.topic(), message.partition());
        match self.ledger.admit(partition, message.offset()) {
            Admission::Take => {}
            Admission::Redelivered => {
                self.telemetry.redelivered.inc();
                return None;
            }
            Admission::Foreign => return None,
        }
        self.ends.remove(&partition);
        let mut enough = None;
        let mut warmup = false;
        if let Some(state) = self.warmups.get_mut(&partition) {
            warmup = message.offset() < state.start;
            let bytes = message.payload_len() as u64;
            state.bytes_left = state.bytes_left.saturating_sub(bytes);
            if warmup && state.bytes_left == 0 {
                enough = Some((partition, state.start));
                self.ledger.jump(partition, state.start);
                let unread = state.start - message.offset() - 1;
                if unread > 0 {
                    let ruleset = self.shared.rulesets.current();
                    let correlated = !ruleset.plan().correlations().is_empty();
                    self.telemetry.warmup_cut(
                        message.topic(),
                        partition.partition,
                        unread,
                        correlated,
                    );
                }
            }
            if !warmup || enough.is_some() {
                self.warmups.remove(&partition);
                self.flush(partition);
            }
        }
        let batch = self.open.entry(partition).or_insert_with(|| {
            self.next_batch += 1;
            let topic = Arc::clone(self.topics.name(partition));
            let buffers = self.spare.pop().unwrap_or_default();
            self.spare_bytes -= buffers.bytes() as u64;
            Batch::new(BatchId(self.next_batch), partition, topic, warmup, buffers)
        });
        let before = batch.memory();
        batch.push(message);
        let memory = batch.memory();
        self.open_bytes += (memory - before) as u64;
        if memory >= self.batch_bytes || enough.is_some() {
            self.flush(partition);
        }
        enough
    }

    /// Hands the open batch of a partition to its worker.
    fn flush(&mut self, partition: PartitionId) {
        let Some(batch) = self.close(partition) else {
            return;
        };
        let (lines, bytes) = (batch.records.len() as u64, batch.memory() as u64);
        if batch.warmup {
            self.warming_bytes += bytes;
        } else {
            self.ledger
                .take(partition, batch.id, batch.end(), lines, bytes);
        }
        self.tell(partition, Task::Batch(batch));
    }

    fn close(&mut self, partition: PartitionId) -> Option<Batch> {
        let batch = self.open.remove(&partition)?;
        self.open_bytes -= batch.memory() as u64;
        Some(batch)
    }

    /// Bytes of lines taken and not yet delivered, and of warm-up lines not yet read.
    pub(crate) fn in_flight_bytes(&self) -> u64 {
        self.ledger.in_flight_bytes() + self.open_bytes + self.warming_bytes
    }

    pub(crate) fn flush_all(&mut self) {
        while let Some(partition) = self.open.keys().next().copied() {
            self.flush(partition);
        }
    }

    /// Hands out what is open for workers that have nothing to do; whether something stays open.
    pub(crate) fn flush_idle(&mut self) -> bool {
        let idle = |partition: &&PartitionId| self.tasks[self.placed[*partition]] == 0;
        let partitions: Vec<PartitionId> = self.open.keys().filter(idle).copied().collect();
        for partition in partitions {
            self.flush(partition);
        }
        !self.open.is_empty()
    }

    /// A partition is ours.
    pub(crate) fn assign(&mut self, partition: PartitionId, beginning: Beginning) {
        let Beginning {
            start,
            from,
            lost,
            committed,
        } = beginning;
        self.ledger.assign(partition, start, from, committed);
        if from < start {
            self.warmups.insert(
                partition,
                Warmup {
                    start,
                    bytes_left: self.warmup_bytes,
                },
            );
        }
        let topic = Arc::clone(self.topics.name(partition));
        if lost > 0 {
            self.lose(partition, lost);
        }
        self.telemetry.assigned(
            &topic,
            partition.partition,
            start,
            (from < start).then_some(from),
        );
        let worker = least_laden(self.placed.values(), self.tasks.len());
        self.placed.insert(partition, worker);
        self.tell(partition, Task::Assign(partition, self.cache_share()));
    }

    /// Bytes of one partition's process cache: all of them share what the instance may have.
    fn cache_share(&self) -> usize {
        self.cache_bytes / self.ledger.assigned().len().max(1)
    }

    /// Partitions have come or gone: their caches share anew.
    pub(crate) fn share_caches(&mut self) {
        let share = self.cache_share();
        for worker in &self.workers {
            if worker.send(Task::Share(share)).is_err() {
                self.fault.get_or_insert(ServeError::WorkerDied);
            }
        }
    }

    /// Retention has overtaken this partition: it goes on at `low`. Lines that would only have warmed up
    /// are not lost.
    pub(crate) fn overtaken(&mut self, partition: PartitionId, next: i64, low: i64) {
        let warmup = self.warmups.get(&partition);
        let counted = warmup.map_or(next, |warmup| warmup.start.max(next));
        if counted < low {
            self.lose(partition, low - counted);
        }
        self.ledger.jump(partition, low);
    }

    /// Records of this partition were deleted before they were read.
    pub(crate) fn lose(&mut self, partition: PartitionId, records: i64) {
        *self.lost.entry(partition).or_default() += records;
        self.telemetry
            .lost(self.topics.name(partition), partition.partition, records);
    }

    /// The end of a partition was read: markers of transactions behind its last record need no line to be
    /// committed.
    pub(crate) fn at_end(&mut self, topic: &str, partition: i32, position: i64) {
        let partition = self.topics.id(topic, partition);
        self.ends.insert(partition, position);
    }

    /// Moves over markers at the ends of partitions of which nothing is in flight.
    pub(crate) fn skip_markers(&mut self) {
        for (partition, position) in &self.ends {
            if !self.open.contains_key(partition) {
                self.ledger.skip_to(*partition, *position);
            }
        }
    }

    /// This time, or what a service that is to end has left.
    pub(crate) fn before_the_end(&self, within: Duration) -> Duration {
        self.stop.since().map_or(within, |since| {
            within.min(self.shutdown_deadline.saturating_sub(since.elapsed()))
        })
    }

    /// Hands out what is open and waits for what is in flight: whether all came back in time.
    pub(crate) fn drain(&mut self, partitions: &[PartitionId], within: Duration) -> bool {
        for partition in partitions {
            self.flush(*partition);
        }
        let deadline = Instant::now() + within;
        let drained = |core: &Self| {
            partitions
                .iter()
                .all(|partition| core.ledger.drained(*partition))
        };
        while !drained(self) {
            // Once the service is to end, the last quarter of its time is for committing and leaving.
            let deadline = self.stop.since().map_or(deadline, |since| {
                deadline.min(since + self.shutdown_deadline * 3 / 4)
            });
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.fault.is_some() {
                return false;
            }
            self.wait(left.min(Duration::from_millis(50)));
        }
        true
    }

    /// A partition is not ours any more.
    pub(crate) fn revoke(&mut self, partition: PartitionId, drained: bool) {
        self.close(partition);
        self.warmups.remove(&partition);
        self.ends.remove(&partition);
        self.ledger.revoke(partition);
        self.tell(partition, Task::Revoke(partition));
        self.placed.remove(&partition);
        let topic = Arc::clone(self.topics.name(partition));
        self.telemetry.revoked(&topic, partition.partition, drained);
    }

    /// Takes what has come back so far.
    pub(crate) fn take_reports(&mut self) {
        for (origin, undelivered) in std::mem::take(&mut self.waiting) {
            self.retry(undelivered, origin);
        }
        while let Ok(report) = self.reports.try_recv() {
            self.apply(report);
        }
    }

    /// Waits for something to come back.
    pub(crate) fn wait(&mut self, within: Duration) {
        if let Ok(report) = self.reports.recv_timeout(within) {
            self.apply(report);
        }
        self.take_reports();
    }

    /// No more tasks: the workers end.
    pub(crate) fn dismiss_workers(&mut self) {
        self.workers.clear();
    }

    fn apply(&mut self, report: Report) {
        match report {
            Report::Evaluated(worker, partition, batch, outcome, buffers) => {
                self.tasks[worker] -= 1;
                self.keep(buffers);
                self.ledger.evaluated(partition, batch, outcome);
            }
            Report::Warmed(worker, bytes, buffers) => {
                self.tasks[worker] -= 1;
                self.keep(buffers);
                self.warming_bytes -= bytes;
            }
            Report::Delivered(partition, batch) => self.ledger.delivered(partition, batch),
            Report::Undelivered(partition, batch, undelivered) => {
                self.retry(undelivered, Origin { partition, batch });
            }
        }
    }

    /// Keeps the memory of a batch within what may be in flight.
    fn keep(&mut self, buffers: Buffers) {
        let bytes = buffers.bytes() as u64;
        if self.in_flight_bytes() + self.spare_bytes + bytes <= self.in_flight_limit {
            self.spare_bytes += bytes;
            self.spare.push(buffers);
        }
    }

    fn retry(&mut self, undelivered: Undelivered, origin: Origin) {
        let topic = undelivered.topic().to_owned();
        let cut = match self.shared.sink.retry(undelivered, origin) {
            Ok(Retried::Sent { cut }) => cut,
            Ok(Retried::Waits(undelivered, cut)) => {
                self.waiting.push((origin, undelivered));
                cut
            }
            Err(source) => {
                self.ledger.failed(origin.partition, origin.batch);
                self.telemetry.undelivered(&topic, &source);
                let fault = ServeError::Undelivered { topic, source };
                self.fault.get_or_insert(fault);
                return;
            }
        };
        if cut {
            self.telemetry.cut(&topic);
        }
    }

    fn tell(&mut self, partition: PartitionId, task: Task) {
        // None is left at the end; what was never ours needs none.
        let Some(&worker) = self.placed.get(&partition) else {
            return;
        };
        if self.workers.is_empty() {
            return;
        }
        self.tasks[worker] += usize::from(matches!(task, Task::Batch(_)));
        if self.workers[worker].send(task).is_err() {
            self.fault.get_or_insert(ServeError::WorkerDied);
        }
    }
}

/// The worker that has the fewest partitions. By their numbers they would not spread: of six instances each has
/// every sixth, the even ones or the odd ones.
fn least_laden<'a>(placed: impl Iterator<Item = &'a usize>, workers: usize) -> usize {
    let mut partitions = vec![0; workers];
    for worker in placed {
        partitions[*worker] += 1;
    }
    let fewest = (0..workers).min_by_key(|worker| partitions[*worker]);
    fewest.expect("there is a worker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_spread_over_workers_as_they_come_and_go() {
        let mut placed: BTreeMap<i32, usize> = BTreeMap::new();
        let mut place = |partitions: [i32; 4]| {
            placed.retain(|partition, _| partitions.contains(partition));
            for partition in partitions {
                let worker = least_laden(placed.values(), 2);
                placed.entry(partition).or_insert(worker);
            }
            placed.values().filter(|worker| **worker == 0).count()
        };
        assert_eq!(place([0, 6, 12, 18]), 2);
        assert_eq!(place([0, 12, 24, 30]), 2);
        assert_eq!(place([1, 7, 24, 30]), 2);
    }
}
