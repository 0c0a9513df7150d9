//! The source: one consumer on one thread. What happens when partitions come and go is here: where they
//! start, what is counted as lost, what is drained and committed before they leave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Offset, Statistics};

use crate::core::{Beginning, Core};
use crate::ledger::PartitionId;
use crate::options::{Options, Start};
use crate::ruleset::Rulesets;
use crate::telemetry::{Telemetry, ends, now_ms};
use crate::{ServeError, Stop};

/// How long a broker may take to answer while partitions are assigned, per question.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How often a question is repeated before the assignment fails.
const QUESTIONS: usize = 20;

/// Every how many asynchronous commits all offsets are sent, not only those that have grown.
const REPEAT_COMMITS: usize = 10;

/// How long the broker may take to say what is committed before the offsets are sent once more.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The broker answers, and has other offsets.
const NOT_COMMITTED: KafkaError = KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset);

/// A consumer whose callbacks know the core.
pub(crate) type Source = BaseConsumer<Assignments>;

/// The consumer's context: its callbacks run inside `poll`, on the polling thread.
#[derive(Debug)]
pub(crate) struct Assignments {
    core: Mutex<Core>,
    /// Asynchronous commits so far.
    commits: AtomicUsize,
    start: Start,
    rulesets: Arc<Rulesets>,
    warmup: Duration,
    lateness_ms: i64,
    drain_within: Duration,
    outputs: [String; 2],
    stop: Stop,
    telemetry: Arc<Telemetry>,
}

impl Assignments {
    pub(crate) fn new(
        options: &Options,
        core: Core,
        rulesets: Arc<Rulesets>,
        telemetry: Arc<Telemetry>,
        stop: Stop,
    ) -> Self {
        Self {
            core: Mutex::new(core),
            commits: AtomicUsize::new(0),
            start: options.start,
            rulesets,
            warmup: options.warmup,
            lateness_ms: options.correlations.lateness_ms,
            drain_within: options.drain_deadline(),
            outputs: [options.alerts.clone(), options.dead_letters.clone()],
            stop,
            telemetry,
        }
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core
            .lock()
            .expect("the polling thread is the only one that locks it")
    }

    /// Sends off what has grown, without waiting. Nobody tells whether it arrives: librdkafka answers
    /// asynchronous commits to a callback alone, and the client's event interface has none. So every
    /// [`REPEAT_COMMITS`]th time all offsets are sent, and [`Assignments::commit_surely`] asks.
    pub(crate) fn commit(&self, core: &mut Core, consumer: &Source) {
        let sent = self.commits.fetch_add(1, Ordering::Relaxed);
        if sent % REPEAT_COMMITS == REPEAT_COMMITS - 1 {
            core.ledger.recommit();
        }
        core.skip_markers();
        let offsets = core.ledger.commit();
        if offsets.is_empty() {
            return;
        }
        if let Err(error) = consumer.commit(&core.topics.list(&offsets), CommitMode::Async) {
            core.ledger.recommit();
            self.telemetry.commit_error(&error);
        }
    }

    /// Commits everything and asks the broker whether it knows. A synchronous commit would wait for a
    /// broker that is away for as long as a session.
    pub(crate) fn commit_surely(&self, core: &mut Core, consumer: &Source, within: Duration) {
        let begun = Instant::now();
        let deadline = begun + within;
        core.ledger.recommit();
        core.skip_markers();
        let offsets = core.ledger.commit();
        if offsets.is_empty() {
            return;
        }
        let list = core.topics.list(&offsets);
        loop {
            let sent = consumer.commit(&list, CommitMode::Async);
            let left = deadline.saturating_duration_since(Instant::now());
            let known = sent.and_then(|()| {
                let answer = consumer.committed_offsets(list.clone(), left.min(ASK_AGAIN))?;
                Ok(answer == list)
            });
            if matches!(known, Ok(true)) {
                let took = begun.elapsed().as_secs_f64();
                self.telemetry.commit_seconds.observe(took);
                return;
            }
            if left.is_zero() || consumer.client().fatal_error().is_some() {
                let error = known.err();
                self.telemetry.commit_error(&error.unwrap_or(NOT_COMMITTED));
                core.ledger.recommit();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn assign(&self, consumer: &Source, list: &mut TopicPartitionList) -> KafkaResult<()> {
        let beginnings = self.beginnings(consumer, list)?;
        let core = &mut *self.core();
        let mut topics = beginnings.iter().map(|((topic, _), _)| topic);
        if let Some(topic) = topics.find(|topic| self.outputs.contains(topic)) {
            let topic = topic.clone();
            core.fault.get_or_insert(ServeError::OwnOutput { topic });
        }
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
        for (partition, beginning) in partitions {
            core.assign(partition, beginning);
        }
        core.share_caches();
        self.telemetry.joined();
        pause_or_resume(core.paused, consumer, &list)
    }

    fn revoke(&self, consumer: &Source, list: &TopicPartitionList) -> KafkaResult<()> {
        let core = &mut *self.core();
        let partitions: Vec<PartitionId> = list
            .elements()
            .iter()
            .map(|element| core.topics.id(element.topic(), element.partition()))
            .collect();
        // Another member may have lost partitions already; what it has read is not ours to commit.
        let drained = if consumer.assignment_lost() {
            false
        } else {
            let drained = core.drain(&partitions, self.drain_within);
            let within = core.before_the_end(self.drain_within / 4);
            self.commit_surely(core, consumer, within);
            drained
        };
        for partition in partitions {
            core.revoke(partition, drained);
        }
        core.share_caches();
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
        let committed = self.patiently(|| committed_offsets(consumer, list))?;
        let mut beginnings = Vec::new();
        for element in committed.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let (low, high) =
                self.patiently(|| consumer.fetch_watermarks(topic, partition, ANSWER_WITHIN))?;
            let mut beginning = begin(element.offset(), low, high, self.start);
            if let Offset::Offset(offset) = element.offset()
                && offset > high
            {
                self.telemetry.beyond_end(topic, partition, offset, high);
            }
            if let Some(warm) = self.warmup_offset(consumer, topic, partition, beginning.start) {
                beginning.from = warm.max(low);
            }
            beginnings.push(((topic.to_owned(), partition), beginning));
        }
        Ok(beginnings)
    }

    /// The first offset of the warm-up, below `start`; a broker that cannot tell costs the warm-up, nothing
    /// else.
    fn warmup_offset(
        &self,
        consumer: &Source,
        topic: &str,
        partition: i32,
        start: i64,
    ) -> Option<i64> {
        let ask = |time_ms: i64| {
            let mut times = TopicPartitionList::new();
            times
                .add_partition_offset(topic, partition, Offset::Offset(time_ms.max(0)))
                .ok()?;
            let answer = consumer.offsets_for_times(times, ANSWER_WITHIN).ok()?;
            match answer.find_partition(topic, partition)?.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            }
        };
        let warmup = self.warmup_ms();
        (warmup > 0)
            .then(|| warmup_offset(ask, now_ms(), warmup, start))
            .flatten()
    }

    /// How far back a partition is read again: for the process cache, and for the state of the correlations that run now.
    fn warmup_ms(&self) -> i64 {
        let cache = i64::try_from(self.warmup.as_millis()).unwrap_or(i64::MAX);
        let ruleset = self.rulesets.current();
        let correlations = ruleset.plan().correlations();
        let replay = if correlations.is_empty() {
            0
        } else {
            correlations.replay_ms().saturating_add(self.lateness_ms)
        };
        cache.max(replay).min(LOOK_BACK_MS)
    }

    /// Asks again while the broker is away, unless the service is to end.
    fn patiently<T>(&self, question: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            match question() {
                Err(_) if tries < QUESTIONS && !self.stop.is_set() => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                answer => return answer,
            }
        }
    }

    /// The position of some partition does not exist: retention overtook it, or its topic was cut or made
    /// anew. It goes on at the low watermark; records that are gone are counted.
    pub(crate) fn restart_out_of_range(&self, consumer: &Source) -> KafkaResult<()> {
        let core = &mut *self.core();
        core.flush_all();
        for partition in core.ledger.assigned() {
            let topic = Arc::clone(core.topics.name(partition));
            let (low, high) = self.patiently(|| {
                consumer.fetch_watermarks(&topic, partition.partition, ANSWER_WITHIN)
            })?;
            let Some(next) = core.ledger.next(partition) else {
                continue;
            };
            if next < low {
                core.overtaken(partition, next, low);
            } else if next > high {
                self.telemetry
                    .beyond_end(&topic, partition.partition, next, high);
                // All that is known of it goes, the end that was reached too.
                core.revoke(partition, false);
                core.assign(
                    partition,
                    Beginning {
                        start: low,
                        from: low,
                        lost: 0,
                        committed: false,
                    },
                );
            } else {
                continue;
            }
            let list = core.topics.list(&[(partition, low)]);
            if let RebalanceProtocol::Cooperative = consumer.rebalance_protocol() {
                consumer.incremental_unassign(&list)?;
                consumer.incremental_assign(&list)?;
            } else {
                consumer.assign(&core.topics.list(&core.ledger.positions()))?;
            }
            pause_or_resume(core.paused, consumer, &list)?;
        }
        Ok(())
    }
}

/// A partition that was paused when it was given up comes back paused: each assignment says anew which it is
/// to be.
fn pause_or_resume(paused: bool, consumer: &Source, list: &TopicPartitionList) -> KafkaResult<()> {
    if paused {
        consumer.pause(list)
    } else {
        consumer.resume(list)
    }
}

/// How far back the time of a lagging partition's start is looked for, and how far back from there lines are read again.
const LOOK_BACK_MS: i64 = 7 * 24 * 3600 * 1000;

/// What the group has committed. An offset that the broker could not tell is an error and not the same as
/// none: a partition that starts at its end because of it would skip lines.
fn committed_offsets(
    consumer: &Source,
    list: &TopicPartitionList,
) -> KafkaResult<TopicPartitionList> {
    let committed = consumer.committed_offsets(list.clone(), ANSWER_WITHIN)?;
    for element in committed.elements() {
        element.error()?;
    }
    Ok(committed)
}

/// Where a partition starts that holds the offsets from `low` to below `high`.
fn begin(committed: Offset, low: i64, high: i64, start: Start) -> Beginning {
    let (start, lost, committed) = match (committed, start) {
        (Offset::Offset(offset), _) if offset < low => (low, low - offset, false),
        // The topic was cut or made anew: what the group knew of it means nothing.
        (Offset::Offset(offset), _) if offset > high => (low, 0, false),
        (Offset::Offset(offset), _) => (offset, 0, true),
        (_, Start::Earliest) => (low, 0, false),
        (_, Start::Latest) => (high, 0, false),
    };
    Beginning {
        start,
        from: start,
        lost,
        committed,
    }
}

/// The first offset of the last `warmup` milliseconds before `start` was written; `None` if there is nothing
/// to read before `start`. `ask` gives the first offset written at or after a time.
///
/// A consumer that keeps up starts at about now. One that lags starts in the past: when, is found by
/// halving the time, some 15 questions.
fn warmup_offset(
    ask: impl Fn(i64) -> Option<i64>,
    now_ms: i64,
    warmup_ms: i64,
    start: i64,
) -> Option<i64> {
    let below_start = |time_ms: i64| ask(time_ms).filter(|offset| *offset < start);
    let mut after = now_ms - warmup_ms;
    if let Some(offset) = below_start(after) {
        return Some(offset);
    }
    let mut before = now_ms - LOOK_BACK_MS;
    below_start(before)?;
    while after - before > warmup_ms / 10 {
        let middle = before + (after - before) / 2;
        if below_start(middle).is_some() {
            before = middle;
        } else {
            after = middle;
        }
    }
    below_start(after - warmup_ms)
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

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_millis(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// (start, lost, committed)
    fn started(committed: Offset, low: i64, high: i64, start: Start) -> (i64, i64, bool) {
        let beginning = begin(committed, low, high, start);
        assert_eq!(beginning.from, beginning.start);
        (beginning.start, beginning.lost, beginning.committed)
    }

    #[test]
    fn a_partition_starts_where_the_group_left_it_and_counts_what_is_gone() {
        let committed = Offset::Offset(70);
        for start in [Start::Earliest, Start::Latest] {
            assert_eq!(started(committed, 50, 100, start), (70, 0, true));
            assert_eq!(started(committed, 70, 70, start), (70, 0, true));
            assert_eq!(started(committed, 85, 100, start), (85, 15, false));
            // A topic that was made anew is read from its beginning.
            assert_eq!(started(committed, 0, 10, start), (0, 0, false));
        }
        assert_eq!(
            started(Offset::Invalid, 50, 100, Start::Earliest),
            (50, 0, false)
        );
        assert_eq!(
            started(Offset::Invalid, 50, 100, Start::Latest),
            (100, 0, false)
        );
    }

    /// One record a second since the epoch, up to and including `last`.
    fn a_record_a_second(last: i64) -> impl Fn(i64) -> Option<i64> {
        move |time_ms| Some((time_ms.max(0) + 999) / 1000).filter(|offset| *offset <= last)
    }

    #[test]
    fn the_process_cache_is_warmed_by_what_was_written_before_the_start() {
        let now = 1_000_000 * 1000;
        let ask = a_record_a_second(1_000_000);
        let keeping_up = warmup_offset(&ask, now, HOUR, 999_990);
        assert_eq!(keeping_up, Some(1_000_000 - 3600));
        // A day behind: the hour before the start, give or take a tenth.
        let lagging = warmup_offset(&ask, now, HOUR, 1_000_000 - 86_400).expect("a warm-up");
        let hour = 1_000_000 - 86_400 - lagging;
        assert!((3240..=3600).contains(&hour), "{hour} s");
    }

    #[test]
    fn there_is_no_warm_up_where_nothing_lies_before_the_start() {
        let now = 1_000_000 * 1000;
        assert_eq!(warmup_offset(|_| None, now, HOUR, 50), None);
        assert_eq!(warmup_offset(|_| Some(50), now, HOUR, 50), None);
        // The last record is older than the warm-up and has been read.
        let ask = a_record_a_second(900_000);
        let silent = warmup_offset(&ask, now, HOUR, 900_001).expect("what was written last");
        assert!(
            (900_001 - 3600..=900_001 - 3240).contains(&silent),
            "{silent}"
        );
    }
}
