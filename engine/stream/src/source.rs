//! The source: one consumer on one thread. What happens when partitions come and go is here: where they
//! start, what is counted as lost, what is drained and committed before they leave.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Offset, Statistics};

use crate::ServeError;
use crate::core::{Beginning, Core};
use crate::ledger::PartitionId;
use crate::options::{Options, Start};
use crate::telemetry::{Telemetry, ends, now_ms};

/// How long a broker may take to answer while partitions are assigned, per question.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How often a question is repeated before the assignment fails.
const QUESTIONS: usize = 6;

/// A consumer whose callbacks know the core.
pub(crate) type Source = BaseConsumer<Assignments>;

/// The consumer's context: its callbacks run inside `poll`, on the polling thread.
#[derive(Debug)]
pub(crate) struct Assignments {
    core: Mutex<Core>,
    /// A commit failed. Not behind the lock: the callback may run while it is held.
    recommit: AtomicBool,
    /// Asynchronous commits that have not been answered.
    committing: AtomicUsize,
    start: Start,
    warmup: Duration,
    drain_within: Duration,
    telemetry: Arc<Telemetry>,
}

impl Assignments {
    pub(crate) fn new(options: &Options, core: Core, telemetry: Arc<Telemetry>) -> Self {
        Self {
            core: Mutex::new(core),
            recommit: AtomicBool::new(false),
            committing: AtomicUsize::new(0),
            start: options.start,
            warmup: options.warmup,
            drain_within: options.drain_deadline(),
            telemetry,
        }
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core
            .lock()
            .expect("the polling thread is the only one that locks it")
    }

    /// Commits what has grown. Asynchronous commits that fail are repeated with the next.
    pub(crate) fn commit(&self, core: &mut Core, consumer: &Source, mode: CommitMode) {
        if self.recommit.swap(false, Ordering::Relaxed) {
            core.ledger.recommit();
        }
        core.skip_markers();
        let offsets = core.ledger.commit();
        if offsets.is_empty() {
            return;
        }
        let asynchronous = matches!(mode, CommitMode::Async);
        match consumer.commit(&core.topics.list(&offsets), mode) {
            Ok(()) if asynchronous => {
                self.committing.fetch_add(1, Ordering::Relaxed);
            }
            Ok(()) => {}
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            Err(error) => {
                self.recommit.store(true, Ordering::Relaxed);
                self.telemetry.commit_error(&error);
            }
        }
    }

    /// Whether an asynchronous commit has not been answered; answers come with a poll.
    pub(crate) fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Relaxed) > 0
    }

    fn assign(&self, consumer: &Source, list: &mut TopicPartitionList) -> KafkaResult<()> {
        let beginnings = self.beginnings(consumer, list)?;
        let core = &mut *self.core();
        let partitions: Vec<(PartitionId, Beginning)> = beginnings
            .into_iter()
            .map(|((topic, partition), beginning)| (core.topics.id(&topic, partition), beginning))
            .collect();
        let from: Vec<(PartitionId, i64)> = partitions
            .iter()
            .map(|(p, beginning)| (*p, beginning.from))
            .collect();
        let list = core.topics.list(&from);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list)?,
            _ => consumer.assign(&list)?,
        }
        let assigned = core.ledger.assigned().len() + partitions.len();
        for (partition, beginning) in partitions {
            core.assign(partition, beginning, assigned);
        }
        self.telemetry.joined();
        // A partition that was paused when it was revoked comes back paused.
        if core.paused {
            consumer.pause(&list)
        } else {
            consumer.resume(&list)
        }
    }

    fn revoke(&self, consumer: &Source, list: &TopicPartitionList) -> KafkaResult<()> {
        let core = &mut *self.core();
        let partitions: Vec<PartitionId> = list
            .elements()
            .iter()
            .map(|element| core.topics.id(element.topic(), element.partition()))
            .collect();
        let drained = core.drain(&partitions, self.drain_within);
        // Another member may have them already; what it has read is not ours to commit.
        if !consumer.assignment_lost() {
            self.commit(core, consumer, CommitMode::Sync);
        }
        for partition in partitions {
            core.revoke(partition, drained);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }

    /// Where each partition starts.
    fn beginnings(
        &self,
        consumer: &Source,
        list: &TopicPartitionList,
    ) -> KafkaResult<Vec<((String, i32), Beginning)>> {
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        let committed = patiently(|| consumer.committed_offsets(list.clone(), ANSWER_WITHIN))?;
        let warm = self.warmup_offsets(consumer, list);
        let mut beginnings = Vec::new();
        for element in committed.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let (low, high) =
                patiently(|| consumer.fetch_watermarks(topic, partition, ANSWER_WITHIN))?;
            let fresh = match self.start {
                Start::Earliest => low,
                Start::Latest => high,
            };
            let (start, lost, committed) = match element.offset() {
                Offset::Offset(offset) if offset < low => (low, low - offset, true),
                // The topic was made anew: what the group knew of it means nothing.
                Offset::Offset(offset) if offset > high => {
                    self.telemetry.beyond_end(topic, partition, offset, high);
                    (low, 0, false)
                }
                Offset::Offset(offset) => (offset, 0, true),
                _ => (fresh, 0, false),
            };
            let warm = warm
                .as_ref()
                .and_then(|warm| warm.find_partition(topic, partition));
            let from = match warm.map(|element| element.offset()) {
                Some(Offset::Offset(offset)) if offset < start => offset.max(low),
                _ => start,
            };
            beginnings.push((
                (topic.to_owned(), partition),
                Beginning {
                    start,
                    from,
                    lost,
                    committed,
                },
            ));
        }
        Ok(beginnings)
    }

    /// The first offsets of the warm-up; a broker that cannot tell costs the warm-up, nothing else.
    fn warmup_offsets(
        &self,
        consumer: &Source,
        list: &TopicPartitionList,
    ) -> Option<TopicPartitionList> {
        if self.warmup.is_zero() {
            return None;
        }
        let since = now_ms() - i64::try_from(self.warmup.as_millis()).unwrap_or(i64::MAX);
        let mut times = TopicPartitionList::new();
        for element in list.elements() {
            times
                .add_partition_offset(
                    element.topic(),
                    element.partition(),
                    Offset::Offset(since.max(0)),
                )
                .ok()?;
        }
        consumer.offsets_for_times(times, ANSWER_WITHIN).ok()
    }

    /// Retention overtook a running consumer: the partition goes on at its low watermark, and the gap is
    /// counted.
    pub(crate) fn restart_overtaken(&self, consumer: &Source) -> KafkaResult<()> {
        let core = &mut *self.core();
        core.flush_all();
        for partition in core.ledger.assigned() {
            let topic = Arc::clone(core.topics.name(partition));
            let (low, _) = patiently(|| {
                consumer.fetch_watermarks(&topic, partition.partition, ANSWER_WITHIN)
            })?;
            let Some(next) = core.ledger.next(partition).filter(|next| *next < low) else {
                continue;
            };
            core.lose(partition, low - next);
            core.ledger.jump(partition, low);
            consumer.incremental_unassign(&core.topics.list(&[(partition, next)]))?;
            consumer.incremental_assign(&core.topics.list(&[(partition, low)]))?;
        }
        Ok(())
    }
}

/// Asks again while the broker is away.
fn patiently<T>(question: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let mut tries = 0;
    loop {
        tries += 1;
        match question() {
            Err(_) if tries < QUESTIONS => std::thread::sleep(Duration::from_millis(200)),
            answer => return answer,
        }
    }
}

impl ClientContext for Assignments {
    fn stats(&self, statistics: Statistics) {
        let core = &mut *self.core();
        for (topic, partition, end) in ends(&statistics) {
            let id = core.topics.id(topic, partition);
            if let Some(committable) = core.ledger.committable(id) {
                self.telemetry
                    .lag(topic, partition, (end - committable).max(0));
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // An end of a partition is no error; it comes from `poll` as well.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.telemetry.client_error("consumer", &error, reason);
    }
}

impl ConsumerContext for Assignments {
    fn rebalance(&self, consumer: &Source, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.telemetry.rebalances.inc();
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            other => Err(KafkaError::Rebalance(other.into())),
        };
        let core = &mut *self.core();
        if let Err(source) = done {
            core.fault.get_or_insert(ServeError::Assignment { source });
        }
        self.telemetry
            .assigned
            .set(i64::try_from(core.ledger.assigned().len()).unwrap_or(i64::MAX));
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        // Synchronous commits are answered here too, and were not counted.
        let less = |pending: usize| pending.checked_sub(1);
        self.committing
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .ok();
        if let Err(error) = result
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset)
        {
            self.recommit.store(true, Ordering::Relaxed);
            self.telemetry.commit_error(&error);
        }
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_millis(100))
    }
}
