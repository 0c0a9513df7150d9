//! The service: one thread that polls, some that evaluate, and the end.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use event::Profile;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::core::Core;
use crate::ledger::{Counts, PartitionId};
use crate::options::{Input, Options, without_value};
use crate::ruleset::Rulesets;
use crate::sink::Sink;
use crate::source::{Assignments, Source};
use crate::telemetry::Telemetry;
use crate::worker::{self, Shared};

/// Longest wait for a record while batches are open; they are handed out when none comes.
const POLL: Duration = Duration::from_millis(10);

/// Longest wait for a record while none is.
const POLL_IDLE: Duration = Duration::from_millis(100);

/// Longest time that a line waits in an open batch while its worker is busy or records come without a pause;
/// longer batches cost less per line.
const LINGER: Duration = Duration::from_millis(50);

/// How long a full instance waits for its workers without polling before it pauses partitions: pausing
/// throws away what was fetched, not polling costs nothing.
const WAIT_BEFORE_PAUSE: Duration = Duration::from_secs(1);

/// How long a seek may take.
const SEEK_WITHIN: Duration = Duration::from_secs(10);

/// Without an answer of the group for so long, the log says so: a broker that does not know the group
/// protocol gives no error.
const ANSWER_OF_GROUP_WITHIN: Duration = Duration::from_mins(1);

/// What closing the consumer gets even if the deadline is over.
const CLOSE_AT_LEAST: Duration = Duration::from_millis(500);

/// A drain that took all the time leaves this for the last commit.
const LAST_COMMIT_WITHIN: Duration = Duration::from_secs(1);

/// A faulty service still delivers and commits what it can within this time.
const FAULT_DRAIN: Duration = Duration::from_secs(5);

/// Why the service ended other than by its stop signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A client cannot be made from these settings.
    #[error("the Kafka settings are refused")]
    Client {
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// Partitions could not be taken over.
    #[error("partitions could not be taken over or given up")]
    Assignment {
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// What Pythia writes would be read as events.
    #[error("alerts or dead letters go to topic {topic}, which kafka.input reads as events")]
    OwnOutput {
        /// Topic.
        topic: String,
    },
    /// An alert or a dead letter cannot be delivered; its line stays uncommitted.
    #[error("a record for topic {topic} cannot be delivered; its lines will be read again")]
    Undelivered {
        /// Topic.
        topic: String,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// The consumer cannot go on, for example because another member uses its `group.instance.id`.
    #[error("the consumer cannot go on")]
    Fatal {
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// A worker thread ended.
    #[error("a worker thread has ended; the log says why")]
    WorkerDied,
    /// The polling thread panicked: a programmer's error, here or in the client library.
    #[error("the polling thread has panicked; the message stands above")]
    Panicked,
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// Asks a running service to end. Cloned freely; setting it is safe in a signal handler's thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<OnceLock<Instant>>);

impl Stop {
    /// Not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The service is to end.
    pub fn set(&self) {
        self.0.set(Instant::now()).ok();
    }

    /// Whether it is.
    pub fn is_set(&self) -> bool {
        self.since().is_some()
    }

    /// When it was first set: the deadline counts from there, not from when that was noticed.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

/// What became of all lines of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSummary {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Lines by fate; at a clean stop `read = evaluated + dead_lettered + dropped`.
    pub counts: Counts,
    /// Records that were deleted before they were read.
    pub lost: i64,
}

/// Reads, evaluates and delivers until the stop is set or it cannot go on. Blocks; the calling thread is
/// the one that polls. A ruleset that replaces the current one meanwhile is taken up between two batches.
pub fn serve(
    options: &Options,
    rulesets: Arc<Rulesets>,
    profile: Arc<Profile>,
    telemetry: &Arc<Telemetry>,
    stop: &Stop,
) -> Result<Vec<PartitionSummary>, ServeError> {
    // What librdkafka refuses may be a secret in the wrong place.
    let client = |source| ServeError::Client {
        source: without_value(source),
    };
    let (report_sender, reports) = mpsc::channel();
    let sink = Sink::new(options, report_sender.clone(), Arc::clone(telemetry)).map_err(client)?;
    let cache_max_age_ms =
        i64::try_from(options.process_cache_max_age.as_millis()).unwrap_or(i64::MAX);
    let telemetry = Arc::clone(telemetry);
    let shared = Arc::new(Shared {
        rulesets: Arc::clone(&rulesets),
        profile,
        sink,
        telemetry: Arc::clone(&telemetry),
        cache_max_age_ms,
        limits: options.limits,
        correlations: options.correlations,
    });
    let (tasks, threads) = start_workers(options.threads.max(1), &shared, &report_sender)?;
    let core = Core::new(options, tasks, reports, Arc::clone(&shared), stop.clone());
    let assignments = Assignments::new(
        options,
        core,
        rulesets,
        Arc::clone(&telemetry),
        stop.clone(),
    );
    let consumer: Source = options
        .consumer()
        .create_with_context(assignments)
        .map_err(client)?;
    match &options.input {
        Input::Topics(topics) => {
            consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Input::Pattern(pattern) => consumer.subscribe(&[pattern]),
    }
    .map_err(client)?;

    let polled = || poll_until_stop(&consumer, options, &telemetry, &threads, stop);
    let Ok(ended) = panic::catch_unwind(AssertUnwindSafe(polled)) else {
        telemetry.failed();
        // Closing the consumer would call back into the state that the panic left behind, and hang. Nothing
        // more is committed; the lines in flight are read again by the next owner.
        std::mem::forget(consumer);
        return Err(ServeError::Panicked);
    };
    if ended.is_err() {
        telemetry.failed();
    }
    let within = match (&ended, stop.since()) {
        (Ok(()), Some(since)) => options.shutdown_deadline.saturating_sub(since.elapsed()),
        _ => FAULT_DRAIN,
    };
    let summary = shut_down(consumer, &shared, threads, within);
    for partition in &summary {
        Telemetry::summary(
            &partition.topic,
            partition.partition,
            &partition.counts,
            partition.lost,
        );
    }
    ended.map(|()| summary)
}

type Threads = Vec<JoinHandle<()>>;

fn start_workers(
    count: usize,
    shared: &Arc<Shared>,
    reports: &mpsc::Sender<worker::Report>,
) -> Result<(Vec<mpsc::Sender<worker::Task>>, Threads), ServeError> {
    let mut senders = Vec::new();
    let mut threads = Vec::new();
    for number in 0..count {
        let (sender, tasks) = mpsc::channel();
        let (shared, reports) = (Arc::clone(shared), reports.clone());
        let builder = thread::Builder::new().name(format!("pythia-work-{number}"));
        let thread = builder.spawn(move || worker::work(number, &shared, &tasks, &reports));
        threads.push(thread.map_err(ServeError::Thread)?);
        senders.push(sender);
    }
    Ok((senders, threads))
}

fn poll_until_stop(
    consumer: &Source,
    options: &Options,
    telemetry: &Telemetry,
    threads: &Threads,
    stop: &Stop,
) -> Result<(), ServeError> {
    let assignments = consumer.context();
    let mut committed = Instant::now();
    let mut joined_by = Some(Instant::now() + ANSWER_OF_GROUP_WITHIN);
    let mut flushed = Instant::now();
    let mut full_since = None;
    while !stop.is_set() {
        let now = Instant::now();
        {
            let core = &mut *assignments.core();
            core.take_reports();
            if let Some(fault) = core.fault.take() {
                return Err(fault);
            }
            if threads.iter().any(JoinHandle::is_finished) {
                return Err(ServeError::WorkerDied);
            }
            if now - flushed >= LINGER {
                core.flush_all();
                flushed = now;
            }
            if now - committed >= options.commit_interval {
                assignments.commit(core, consumer);
                committed = now;
                if joined_by.is_some_and(|by| now > by) {
                    telemetry.warn_unless_joined();
                    joined_by = None;
                }
            }
            if hold_back(core, consumer, options, telemetry, &mut full_since) {
                continue;
            }
        }
        telemetry.polled();
        let polled = match consumer.poll(Duration::ZERO) {
            // Nothing more has been fetched: who waits for more now waits for nothing.
            None => {
                let waiting = assignments.core().flush_idle();
                consumer.poll(if waiting { POLL } else { POLL_IDLE })
            }
            polled => polled,
        };
        match polled {
            Some(Ok(message)) => {
                let enough = assignments.core().record(&message);
                if let Some((partition, offset)) = enough {
                    skip_to(consumer, assignments, telemetry, partition, offset);
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                at_end(consumer, assignments, partition);
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                return Err(ServeError::Fatal { source: error });
            }
            Some(Err(error))
                if matches!(
                    error.rdkafka_error_code(),
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::LogTruncation)
                ) =>
            {
                telemetry.poll_error(&error);
                if let Err(source) = assignments.restart_out_of_range(consumer)
                    && !stop.is_set()
                {
                    return Err(ServeError::Assignment { source });
                }
            }
            Some(Err(error)) => telemetry.poll_error(&error),
            None => {
                assignments.core().flush_all();
                flushed = now;
            }
        }
    }
    Ok(())
}

/// The warm-up has read enough. Where the client cannot seek, the records up to the start come and are
/// dropped one by one.
fn skip_to(
    consumer: &Source,
    assignments: &Assignments,
    telemetry: &Telemetry,
    partition: PartitionId,
    offset: i64,
) {
    let topic = Arc::clone(assignments.core().topics.name(partition));
    let offset = rdkafka::Offset::Offset(offset);
    if let Err(error) = consumer.seek(&topic, partition.partition, offset, SEEK_WITHIN) {
        telemetry.poll_error(&error);
    }
}

/// Back-pressure: whether nothing may be polled now. Waits for workers a while without polling, then
/// pauses all partitions and goes on polling for the group's sake.
fn hold_back(
    core: &mut Core,
    consumer: &Source,
    options: &Options,
    telemetry: &Telemetry,
    full_since: &mut Option<Instant>,
) -> bool {
    let (limit, used) = (options.in_flight_bytes as u64, core.in_flight_bytes());
    telemetry
        .in_flight_bytes
        .set(i64::try_from(used).unwrap_or(i64::MAX));
    if core.paused {
        if used <= limit / 2 {
            pause(core, consumer, telemetry, false);
        } else {
            core.wait(Duration::from_millis(100));
        }
        return false;
    }
    if used < limit {
        *full_since = None;
        return false;
    }
    let since = *full_since.get_or_insert_with(Instant::now);
    if since.elapsed() < WAIT_BEFORE_PAUSE {
        core.wait(Duration::from_millis(100));
        return true;
    }
    *full_since = None;
    pause(core, consumer, telemetry, true);
    false
}

fn pause(core: &mut Core, consumer: &Source, telemetry: &Telemetry, paused: bool) {
    let assigned: Vec<_> = core
        .ledger
        .assigned()
        .into_iter()
        .map(|partition| (partition, 0))
        .collect();
    let list = core.topics.list(&assigned);
    let done = if paused {
        consumer.pause(&list)
    } else {
        consumer.resume(&list)
    };
    core.paused = paused;
    telemetry.paused.set(i64::from(paused));
    if let Err(error) = done {
        telemetry.poll_error(&error);
    }
}

/// The client names only the partition's number: every topic's partition of that number is looked at.
fn at_end(consumer: &Source, assignments: &Assignments, partition: i32) {
    let Ok(positions) = consumer.position() else {
        return;
    };
    let core = &mut *assignments.core();
    for element in positions
        .elements()
        .iter()
        .filter(|element| element.partition() == partition)
    {
        if let rdkafka::Offset::Offset(position) = element.offset() {
            core.at_end(element.topic(), partition, position);
        }
    }
}

/// Drains, commits, leaves the group, ends the workers.
fn shut_down(
    consumer: Source,
    shared: &Shared,
    threads: Threads,
    within: Duration,
) -> Vec<PartitionSummary> {
    let deadline = Instant::now() + within;
    let left = || deadline.saturating_duration_since(Instant::now());
    let assignments = consumer.context();
    let summary = {
        let core = &mut *assignments.core();
        core.flush_all();
        let assigned = core.ledger.assigned();
        // The last quarter is for committing and leaving.
        if !core.drain(&assigned, within * 3 / 4) {
            shared.sink.abandon();
        }
        assignments.commit_surely(core, &consumer, left().max(LAST_COMMIT_WITHIN));
        for partition in assigned {
            let drained = core.ledger.drained(partition);
            core.revoke(partition, drained);
        }
        core.dismiss_workers();
        summary(core)
    };
    consumer.unsubscribe();
    let is_assigned = || {
        consumer
            .assignment()
            .is_ok_and(|assignment| assignment.count() > 0)
    };
    while is_assigned() && !left().is_zero() {
        consumer.poll(POLL);
    }
    shared.sink.flush(left());
    while !threads.iter().all(JoinHandle::is_finished) && !left().is_zero() {
        thread::sleep(POLL);
    }
    for thread in threads {
        // One that is still busy ends with the process; its batch is not committed.
        if thread.is_finished() && thread.join().is_err() {
            tracing::error!(event = "worker_died");
        }
    }
    // Closing a consumer can hang on a broker that is away: it gets its time on a thread of its own.
    let (sender, closed) = mpsc::channel();
    let closing = thread::Builder::new()
        .name("pythia-close".into())
        .spawn(move || {
            drop(consumer);
            sender.send(()).ok();
        });
    if closing.is_ok() {
        closed.recv_timeout(left().max(CLOSE_AT_LEAST)).ok();
    }
    summary
}

fn summary(core: &Core) -> Vec<PartitionSummary> {
    let counts: BTreeMap<_, Counts> = core.ledger.counts().clone();
    counts
        .into_iter()
        .map(|(id, counts)| PartitionSummary {
            topic: Arc::clone(core.topics.name(id)),
            partition: id.partition,
            counts,
            lost: core.lost.get(&id).copied().unwrap_or(0),
        })
        .collect()
}
