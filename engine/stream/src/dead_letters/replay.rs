//! Sending dead letters back to where they came from: key, value and foreign headers as they were, none of
//! the headers that the engine added but the count of attempts.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::{Extent, GROUPS_MAX, Letter, Reading, Selection, is_final, is_ours, partitions};
use crate::batch::readable;
use crate::options::{Options, without_value};
use crate::sink::ATTEMPT;
use crate::{Connection, OperatorError, Stop};

/// Longest wait before the stop is looked at again.
const SLICE: Duration = Duration::from_millis(50);

/// How to send.
#[derive(Clone, Debug)]
pub struct Replay {
    /// This topic instead of the one that each letter came from.
    pub to: Option<String>,
    /// Lines per second, at least 1.
    pub rate: u32,
    /// Say what would be sent, and send nothing.
    pub dry_run: bool,
}

/// Why a letter is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// The engine kept only a part of the line.
    Cut,
    /// It does not say which topic it came from.
    NoSource,
    /// That topic is not there, or must not be described.
    NoTopic,
    /// It would go to the alerts or to the dead letters.
    Output,
    /// A header's name is no text and cannot be passed on.
    HeaderName,
}

impl Refused {
    /// One word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::NoSource => "no_source",
            Self::NoTopic => "no_topic",
            Self::Output => "output_topic",
            Self::HeaderName => "header_name",
        }
    }

    /// For people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Cut => "only a part of the line was kept, too large for the dead-letter topic",
            Self::NoSource => "no header says which topic it came from: name one with --to",
            Self::NoTopic => "its topic is not there, or may not be described",
            Self::Output => "it would go to the topic of the alerts or of the dead letters",
            Self::HeaderName => "a header's name is no text and cannot be passed on",
        }
    }
}

/// What became of the dead letters: `selected = sent + refused + failed`, unless it was ended early.
#[derive(Debug, Default)]
pub struct Replayed {
    /// How far the topic was read. To go on from there sends what was not delivered once more, and what was sent
    /// behind it, and what [`Replay::to`] was not there for.
    pub extent: Extent,
    /// Delivered, or to be sent in a dry run, by topic.
    pub sent: BTreeMap<String, u64>,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Not sent.
    pub refused: BTreeMap<Refused, u64>,
    /// Sent and not delivered.
    pub failed: u64,
    /// The first failure.
    pub error: Option<KafkaError>,
    /// The stop was set before the end.
    pub stopped: bool,
    /// What ended it: the topic could not be read on, or the brokers did not say whether a letter's topic is there.
    pub fault: Option<OperatorError>,
}

/// Sends the selected dead letters back and waits for the delivery of all. An error means that nothing was sent.
pub fn replay(
    connection: &Connection,
    options: &Options,
    selection: &Selection,
    how: &Replay,
    stop: &Stop,
) -> Result<Replayed, OperatorError> {
    let created = options
        .producer()
        .create_with_context(Deliveries::default());
    let producer: BaseProducer<Deliveries> = created.map_err(|source| OperatorError::Client {
        source: without_value(source),
    })?;
    let mut replayed = Replayed::default();
    let mut targets = Targets {
        connection,
        outputs: [&options.alerts, &options.dead_letters],
        known: BTreeMap::new(),
    };
    let begun = Instant::now();
    let mut sent = 0;
    let mut fault = None;
    // By partition, the first that would have gone to a topic that is not there and that the operator named.
    let mut refused_from = BTreeMap::new();
    let mut reading = Reading::new(connection, &options.dead_letters, selection)?;
    let ended = reading.run(stop, |letter| {
        let target = match targets.of(letter, how.to.as_deref()) {
            Ok(Ok(target)) => target,
            Ok(Err(refused)) => {
                *replayed.refused.entry(refused).or_default() += 1;
                if how.to.is_some() && refused == Refused::NoTopic {
                    let Sent {
                        partition, offset, ..
                    } = Sent::new(letter);
                    refused_from.entry(partition).or_insert(offset);
                }
                return ControlFlow::Continue(());
            }
            Err(error) => {
                fault = Some(error);
                return ControlFlow::Break(());
            }
        };
        if how.dry_run {
            let mut counted = producer.context().deliveries();
            counted.count(&target.topic, Sent::new(letter).bytes);
            return ControlFlow::Continue(());
        }
        wait_until(&producer, begun + due(sent, how.rate), stop);
        sent += 1;
        send(&producer, letter, &target);
        ControlFlow::Continue(())
    });
    // What is on its way ends by the producer's own `message.timeout.ms`.
    while producer.in_flight_count() > 0 {
        producer.poll(SLICE);
    }
    let deliveries = std::mem::take(&mut *producer.context().deliveries());
    replayed.stopped = stop.is_set() && reading.has_more();
    replayed.extent = reading.extent;
    for (partition, first) in refused_from.into_iter().chain(deliveries.failed_from) {
        let next = replayed.extent.next.entry(partition).or_insert(first);
        *next = first.min(*next);
    }
    replayed.sent = deliveries.sent;
    replayed.bytes = deliveries.bytes;
    replayed.failed = deliveries.failed;
    replayed.error = deliveries.error;
    replayed.fault = fault.or(ended.err());
    Ok(replayed)
}

/// When the letter after so many is due, at this rate.
fn due(sent: u64, rate: u32) -> Duration {
    Duration::from_nanos(sent.saturating_mul(1_000_000_000) / u64::from(rate.max(1)))
}

fn wait_until(producer: &BaseProducer<Deliveries>, due: Instant, stop: &Stop) {
    producer.poll(Duration::ZERO);
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.is_set() {
            return;
        }
        producer.poll(left.min(SLICE));
    }
}

/// Where a letter goes.
struct Target {
    topic: String,
    /// The partition that it came from, where that is still there: its host's lines stay together, whatever
    /// the shipper spreads them by.
    partition: Option<i32>,
}

struct Targets<'a> {
    connection: &'a Connection,
    outputs: [&'a str; 2],
    /// Partitions of the topics asked for so far; none: not there.
    known: BTreeMap<String, Vec<i32>>,
}

impl Targets<'_> {
    /// Where this letter goes; `Err`: the brokers do not say whether its topic is there.
    fn of(
        &mut self,
        letter: &Letter<'_>,
        to: Option<&str>,
    ) -> Result<Result<Target, Refused>, OperatorError> {
        let topic = match to.or(letter.topic.as_deref()) {
            _ if letter.cut => return Ok(Err(Refused::Cut)),
            _ if letter.unreadable => return Ok(Err(Refused::HeaderName)),
            None => return Ok(Err(Refused::NoSource)),
            Some(topic) if self.outputs.contains(&topic) => return Ok(Err(Refused::Output)),
            Some(topic) => topic,
        };
        let there = self.partitions(topic)?;
        if there.is_empty() {
            return Ok(Err(Refused::NoTopic));
        }
        let came_from = letter.topic.as_deref() == Some(topic);
        let partition = letter.partition.filter(|p| came_from && there.contains(p));
        Ok(Ok(Target {
            topic: topic.to_owned(),
            partition,
        }))
    }

    /// The topic's partitions; none if it is not there, or if letters name more topics than anyone reads.
    fn partitions(&mut self, topic: &str) -> Result<&[i32], OperatorError> {
        if !self.known.contains_key(topic) {
            if self.known.len() >= GROUPS_MAX {
                return Ok(&[]);
            }
            let there = match partitions(self.connection, topic) {
                Ok(there) => there,
                Err(error) if is_final(&error) => Vec::new(),
                Err(source) => {
                    let topic = topic.to_owned();
                    return Err(OperatorError::Topic { topic, source });
                }
            };
            self.known.insert(topic.to_owned(), there);
        }
        Ok(&self.known[topic])
    }
}

/// A letter on its way: where it lies, and the bytes of its key and value.
#[derive(Clone, Copy, Debug)]
struct Sent {
    partition: i32,
    offset: i64,
    bytes: u64,
}

impl Sent {
    fn new(letter: &Letter<'_>) -> Self {
        let message = letter.message;
        Self {
            partition: message.partition(),
            offset: message.offset(),
            bytes: (message.payload_len() + message.key_len()) as u64,
        }
    }
}

fn send(producer: &BaseProducer<Deliveries>, letter: &Letter<'_>, target: &Target) {
    let headers = letter.message.headers().into_iter().flat_map(readable);
    let kept = headers.filter(|header| !is_ours(header.key) || header.key == ATTEMPT);
    let headers = kept.fold(OwnedHeaders::new(), OwnedHeaders::insert);
    let sent = Sent::new(letter);
    let mut record = BaseRecord::with_opaque_to(&target.topic, Box::new(sent)).headers(headers);
    record.partition = target.partition;
    record.key = letter.message.key();
    record.payload = letter.message.payload();
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((error, back))
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
            {
                record = back;
                producer.poll(SLICE);
            }
            Err((error, _)) => return producer.context().deliveries().fail(sent, error),
        }
    }
}

#[derive(Debug, Default)]
struct Counted {
    sent: BTreeMap<String, u64>,
    bytes: u64,
    failed: u64,
    /// By partition, the first that was not delivered.
    failed_from: BTreeMap<i32, i64>,
    error: Option<KafkaError>,
}

impl Counted {
    fn count(&mut self, topic: &str, bytes: u64) {
        self.bytes += bytes;
        match self.sent.get_mut(topic) {
            Some(sent) => *sent += 1,
            None => {
                self.sent.insert(topic.to_owned(), 1);
            }
        }
    }

    fn fail(&mut self, sent: Sent, error: KafkaError) {
        self.failed += 1;
        let first = self.failed_from.entry(sent.partition);
        let first = first.or_insert(sent.offset);
        *first = sent.offset.min(*first);
        self.error.get_or_insert(error);
    }
}

/// Counts what is delivered.
#[derive(Debug, Default)]
struct Deliveries(Mutex<Counted>);

impl Deliveries {
    fn deliveries(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        match result {
            Ok(message) => self.deliveries().count(message.topic(), sent.bytes),
            Err((error, _)) => self.deliveries().fail(*sent, error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_due_at_the_rate() {
        assert_eq!(due(0, 10), Duration::ZERO);
        assert_eq!(due(25, 10), Duration::from_millis(2_500));
        assert_eq!(due(1, 0), Duration::from_secs(1));
        assert_eq!(due(u64::MAX, 1), Duration::from_nanos(u64::MAX));
    }
}
