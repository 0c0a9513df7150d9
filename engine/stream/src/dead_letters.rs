//! The dead-letter topic for operators: what lies there, by reason and by source, and sending it back to the
//! topics that it came from.
//!
//! Reads from given offsets, a time or the beginning to the end that was found at the start, in bounded memory:
//! counts and one short example for each reason. Nothing is committed and nothing is deleted; how far it came is
//! told by partition, so that the next reading can go on from there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::batch::readable;
use crate::sink::{ATTEMPT, LEFT_OUT, OURS, VALUE_BYTES};
use crate::{Connection, OperatorError, Stop};

mod replay;

pub use replay::{Refused, Replay, Replayed, replay};

/// Groups that are counted apart, of reasons and of sources; the rest is counted together.
const GROUPS_MAX: usize = 1_000;

/// Bytes of a value that are kept as an example.
const EXAMPLE_BYTES: usize = 200;

/// Bytes of a text in a header that are looked at.
const TEXT_BYTES: usize = 200;

/// Name of the group of all that is counted together.
const OTHERS: &str = "(others)";

/// Longest wait of one poll.
const POLL: Duration = Duration::from_millis(200);

/// Which dead letters.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Codes such as `truncated`; empty: all.
    pub reasons: Vec<String>,
    /// Written at this time or later, in milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Written before this time.
    pub until_ms: Option<i64>,
    /// By partition, the offset at which reading starts. Other partitions are read from `since_ms` on, or from
    /// their beginning.
    pub from: BTreeMap<i32, i64>,
    /// Records that are read at most, selected or not.
    pub limit: u64,
}

/// How far the reading came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Records read.
    pub read: u64,
    /// Those of them that were selected.
    pub selected: u64,
    /// The limit ended it; more lies there.
    pub limited: bool,
    /// By partition, all of them, the offset to go on from ([`Selection::from`]): what lies before it is done.
    pub next: BTreeMap<i32, i64>,
}

/// One dead letter, as the engine wrote it or, on a topic that others write to, as anyone did.
pub(crate) struct Letter<'a> {
    pub(crate) message: &'a BorrowedMessage<'a>,
    code: Cow<'a, str>,
    stage: Cow<'a, str>,
    topic: Option<Cow<'a, str>>,
    partition: Option<i32>,
    attempt: u32,
    /// The engine kept only a part of it.
    cut: bool,
    /// Some header's name is no text, and the client cannot pass it on.
    unreadable: bool,
}

impl<'a> Letter<'a> {
    fn new(message: &'a BorrowedMessage<'a>) -> Self {
        let mut letter = Self {
            message,
            code: "".into(),
            stage: "".into(),
            topic: None,
            partition: None,
            attempt: 1,
            cut: false,
            unreadable: false,
        };
        let Some(headers) = message.headers() else {
            return letter;
        };
        let mut names = 0;
        for header in readable(headers) {
            names += 1;
            let bytes = header.value.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES)]);
            match header.key {
                "pythia.error.code" => letter.code = text,
                "pythia.error.stage" => letter.stage = text,
                "pythia.source.topic" => letter.topic = Some(text).filter(|text| !text.is_empty()),
                "pythia.source.partition" => letter.partition = text.parse().ok(),
                ATTEMPT => letter.attempt = text.parse().unwrap_or(1),
                VALUE_BYTES | LEFT_OUT => letter.cut = true,
                _ => {}
            }
        }
        letter.unreadable = names < rdkafka::message::Headers::count(headers);
        letter
    }
}

/// What some dead letters have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub letters: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// When the oldest was written, in milliseconds since the epoch.
    pub oldest_ms: Option<i64>,
    /// When the newest was written.
    pub newest_ms: Option<i64>,
    /// Of how many the engine kept only a part.
    pub cut: u64,
    /// How many have been dead letters before, and were replayed.
    pub again: u64,
    /// The newest of them: where it lies on the dead-letter topic, and the beginning of its value.
    pub example: Option<Example>,
}

/// One dead letter of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Partition of the dead-letter topic.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
    /// The beginning of its value; what is no UTF-8 is replaced.
    pub value: String,
}

/// What lies on the dead-letter topic.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// How far it was read.
    pub extent: Extent,
    /// By code and stage.
    pub reasons: BTreeMap<(String, String), Group>,
    /// By topic and partition that they came from; no partition where none is told.
    pub sources: BTreeMap<(String, Option<i32>), Group>,
}

/// Reads the dead-letter topic and counts.
pub fn list(
    connection: &Connection,
    topic: &str,
    selection: &Selection,
) -> Result<Overview, OperatorError> {
    let mut overview = Overview::default();
    let Overview {
        reasons, sources, ..
    } = &mut overview;
    let mut reading = Reading::new(connection, topic, selection)?;
    reading.run(&Stop::new(), |letter| {
        let reason = (letter.code.to_string(), letter.stage.to_string());
        let others = (OTHERS.to_owned(), String::new());
        group(reasons, reason, others).add(letter, true);
        let name = letter.topic.as_deref().unwrap_or_default().to_owned();
        let others = (OTHERS.to_owned(), None);
        group(sources, (name, letter.partition), others).add(letter, false);
        ControlFlow::Continue(())
    })?;
    overview.extent = reading.extent;
    Ok(overview)
}

/// The group of this key; once there are too many, the one of all others.
fn group<K: Ord>(groups: &mut BTreeMap<K, Group>, key: K, others: K) -> &mut Group {
    let full = groups.len() >= GROUPS_MAX && !groups.contains_key(&key);
    groups.entry(if full { others } else { key }).or_default()
}

impl Group {
    fn add(&mut self, letter: &Letter<'_>, with_example: bool) {
        let message = letter.message;
        let value = message.payload().unwrap_or_default();
        let time = message.timestamp().to_millis();
        self.letters += 1;
        self.bytes += (value.len() + message.key_len()) as u64;
        self.cut += u64::from(letter.cut);
        self.again += u64::from(letter.attempt > 1);
        self.oldest_ms = [self.oldest_ms, time].into_iter().flatten().min();
        if with_example && (self.example.is_none() || time >= self.newest_ms) {
            let beginning = &value[..value.len().min(EXAMPLE_BYTES)];
            self.example = Some(Example {
                partition: message.partition(),
                offset: message.offset(),
                value: String::from_utf8_lossy(beginning).into_owned(),
            });
        }
        self.newest_ms = self.newest_ms.max(time);
    }
}

/// A dead-letter topic that is read from the selection's start to the end as it was found.
pub(crate) struct Reading<'a> {
    connection: &'a Connection,
    topic: &'a str,
    selection: &'a Selection,
    /// By partition, one behind the last record to read.
    ends: BTreeMap<i32, i64>,
    /// How far it came.
    pub(crate) extent: Extent,
}

impl<'a> Reading<'a> {
    /// Finds starts and ends, and reads nothing yet.
    pub(crate) fn new(
        connection: &'a Connection,
        topic: &'a str,
        selection: &'a Selection,
    ) -> Result<Self, OperatorError> {
        let fault = |source| OperatorError::Topic {
            topic: topic.to_owned(),
            source,
        };
        let (next, ends) = range(connection, topic, selection).map_err(fault)?;
        for (&partition, &offset) in &selection.from {
            if ends.get(&partition).is_none_or(|end| offset > *end) {
                return Err(OperatorError::NoOffset {
                    topic: topic.to_owned(),
                    partition,
                    offset,
                });
            }
        }
        Ok(Self {
            connection,
            topic,
            selection,
            ends,
            extent: Extent {
                next,
                ..Extent::default()
            },
        })
    }

    /// Hands on what is selected, until all is read, the limit is reached, `stop` is set or `each` breaks off:
    /// its letter then counts as not done.
    pub(crate) fn run(
        &mut self,
        stop: &Stop,
        mut each: impl FnMut(&Letter<'_>) -> ControlFlow<()>,
    ) -> Result<(), OperatorError> {
        let fault = |source| OperatorError::Topic {
            topic: self.topic.to_owned(),
            source,
        };
        let consumer = &self.connection.consumer;
        consumer
            .assign(&self.assignment().map_err(fault)?)
            .map_err(fault)?;
        let mut heard = Instant::now();
        while self.has_more() && !stop.is_set() {
            if heard.elapsed() > self.connection.timeout {
                return Err(OperatorError::Silent {
                    topic: self.topic.to_owned(),
                    seconds: self.connection.timeout.as_secs(),
                });
            }
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(&end) = self.ends.get(&partition) else {
                        continue;
                    };
                    if offset >= end {
                        self.extent.next.insert(partition, end);
                        continue;
                    }
                    if self.extent.read == self.selection.limit {
                        self.extent.limited = true;
                        break;
                    }
                    self.extent.read += 1;
                    let letter = Letter::new(&message);
                    if self.selection.holds(&letter) {
                        self.extent.selected += 1;
                        if each(&letter).is_break() {
                            break;
                        }
                    }
                    self.extent.next.insert(partition, offset + 1);
                    // Handing on may have taken its time.
                    heard = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    if let Some(&end) = self.ends.get(&partition) {
                        self.extent.next.insert(partition, end);
                    }
                    heard = Instant::now();
                }
                Some(Err(error)) if is_final(&error) => return Err(fault(error)),
                // A broker that is away: it may come back in time.
                Some(Err(_)) | None => {}
            }
        }
        consumer.unassign().map_err(fault)
    }

    /// Whether some partition is not read to its end.
    pub(crate) fn has_more(&self) -> bool {
        self.open().next().is_some()
    }

    /// Partitions that are not read to their end, and where they are to be read on.
    fn open(&self) -> impl Iterator<Item = (i32, i64)> {
        let next = self.extent.next.iter();
        let open = next.filter(|(partition, next)| **next < self.ends[*partition]);
        open.map(|(partition, next)| (*partition, *next))
    }

    fn assignment(&self) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, next) in self.open() {
            list.add_partition_offset(self.topic, partition, Offset::Offset(next))?;
        }
        Ok(list)
    }
}

impl Selection {
    fn holds(&self, letter: &Letter<'_>) -> bool {
        let time = letter.message.timestamp().to_millis().unwrap_or(i64::MAX);
        (self.reasons.is_empty() || self.reasons.iter().any(|code| *code == letter.code))
            && self.since_ms.is_none_or(|since| time >= since)
            && self.until_ms.is_none_or(|until| time < until)
    }
}

/// Errors that asking again does not mend.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::Authentication
        )
    )
}

/// An offset by partition.
type Offsets = BTreeMap<i32, i64>;

/// Of each partition, where it is read from and its end.
fn range(
    connection: &Connection,
    topic: &str,
    selection: &Selection,
) -> Result<(Offsets, Offsets), KafkaError> {
    let (consumer, timeout) = (&connection.consumer, connection.timeout);
    let (mut starts, mut ends) = (Offsets::new(), Offsets::new());
    let mut times = TopicPartitionList::new();
    for partition in partitions(connection, topic)? {
        let (low, high) = consumer.fetch_watermarks(topic, partition, timeout)?;
        let from = selection.from.get(&partition);
        // What retention has deleted since is gone.
        starts.insert(partition, from.map_or(low, |from| low.max(*from)));
        ends.insert(partition, high);
        if let Some(since) = selection.since_ms
            && from.is_none()
            && low < high
        {
            times.add_partition_offset(topic, partition, Offset::Offset(since.max(0)))?;
        }
    }
    if times.count() > 0 {
        for found in consumer.offsets_for_times(times, timeout)?.elements() {
            found.error()?;
            let end = ends[&found.partition()];
            let start = match found.offset() {
                Offset::Offset(offset) => offset.min(end),
                // All of it is older.
                _ => end,
            };
            starts.insert(found.partition(), start);
        }
    }
    Ok((starts, ends))
}

/// The partitions of a topic that is there and may be described.
pub(crate) fn partitions(connection: &Connection, topic: &str) -> Result<Vec<i32>, KafkaError> {
    let metadata = connection.metadata(Some(topic))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic));
    };
    if let Some(error) = found.error() {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    let partitions = found.partitions().iter();
    Ok(partitions
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect())
}

/// Whether a header is one that the engine wrote about the dead letter.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_bounded_and_the_rest_is_counted_together() {
        let mut groups = BTreeMap::new();
        for n in 0..GROUPS_MAX + 50 {
            group(&mut groups, n.to_string(), OTHERS.to_owned()).letters += 1;
        }
        group(&mut groups, "7".to_owned(), OTHERS.to_owned()).letters += 1;
        assert_eq!(groups.len(), GROUPS_MAX + 1);
        assert_eq!(groups[OTHERS].letters, 50);
        assert_eq!(groups["7"].letters, 2);
    }
}
