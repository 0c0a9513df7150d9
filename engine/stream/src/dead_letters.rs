//! The dead-letter topic for operators: what lies there, by reason and by source, and sending it back to the
//! topics that it came from.
//!
//! Reads from a time or the beginning to the end that was found at the start, in bounded memory: counts and
//! one short example for each reason. Nothing is committed and nothing is deleted.

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
use crate::{Connection, OperatorError};

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
    /// Records that are read at most, selected or not.
    pub limit: u64,
}

/// How far the reading came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Records read.
    pub read: u64,
    /// Those of them that were selected.
    pub selected: u64,
    /// The limit ended it; more lies there.
    pub limited: bool,
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
    let extent = read(connection, topic, selection, |letter| {
        let reason = (letter.code.to_string(), letter.stage.to_string());
        let others = (OTHERS.to_owned(), String::new());
        group(reasons, reason, others).add(letter, true);
        let name = letter.topic.as_deref().unwrap_or_default().to_owned();
        let others = (OTHERS.to_owned(), None);
        group(sources, (name, letter.partition), others).add(letter, false);
        ControlFlow::Continue(())
    })?;
    overview.extent = extent;
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

/// Reads from the selection's start to the end as it is now, and hands on what is selected.
pub(crate) fn read(
    connection: &Connection,
    topic: &str,
    selection: &Selection,
    mut each: impl FnMut(&Letter<'_>) -> ControlFlow<()>,
) -> Result<Extent, OperatorError> {
    let fault = |source| OperatorError::Topic {
        topic: topic.to_owned(),
        source,
    };
    let (starts, mut ends) = range(connection, topic, selection.since_ms).map_err(fault)?;
    let consumer = &connection.consumer;
    consumer.assign(&starts).map_err(fault)?;
    let mut extent = Extent::default();
    let mut heard = Instant::now();
    while !ends.is_empty() {
        if heard.elapsed() > connection.timeout {
            return Err(OperatorError::Silent {
                topic: topic.to_owned(),
                seconds: connection.timeout.as_secs(),
            });
        }
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let Some(end) = ends.get(&message.partition()) else {
                    continue;
                };
                let left = end - message.offset();
                if left <= 1 {
                    ends.remove(&message.partition());
                }
                if left < 1 {
                    continue;
                }
                if extent.read == selection.limit {
                    extent.limited = true;
                    break;
                }
                extent.read += 1;
                let letter = Letter::new(&message);
                if selection.holds(&letter) {
                    extent.selected += 1;
                    if each(&letter).is_break() {
                        break;
                    }
                }
                // Handing on may have taken its time.
                heard = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.remove(&partition);
                heard = Instant::now();
            }
            Some(Err(error)) if is_final(&error) => return Err(fault(error)),
            // A broker that is away: it may come back in time.
            Some(Err(_)) | None => {}
        }
    }
    consumer.unassign().map_err(fault)?;
    Ok(extent)
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

type Range = (TopicPartitionList, BTreeMap<i32, i64>);

/// Where each partition is read from, and the end of each that holds anything from there on.
fn range(connection: &Connection, topic: &str, since_ms: Option<i64>) -> Result<Range, KafkaError> {
    let timeout = connection.timeout;
    let (mut starts, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    let mut times = TopicPartitionList::new();
    for partition in partitions(connection, topic)? {
        let (low, high) = connection
            .consumer
            .fetch_watermarks(topic, partition, timeout)?;
        if low < high {
            ends.insert(partition, high);
            starts.add_partition_offset(topic, partition, Offset::Offset(low))?;
            if let Some(since) = since_ms {
                times.add_partition_offset(topic, partition, Offset::Offset(since.max(0)))?;
            }
        }
    }
    if times.count() == 0 {
        return Ok((starts, ends));
    }
    let mut starts = TopicPartitionList::new();
    for found in connection
        .consumer
        .offsets_for_times(times, timeout)?
        .elements()
    {
        found.error()?;
        let end = ends.get(&found.partition()).copied().unwrap_or(0);
        match found.offset() {
            Offset::Offset(offset) if offset < end => {
                starts.add_partition_offset(topic, found.partition(), found.offset())?;
            }
            // All of it is older.
            _ => {
                ends.remove(&found.partition());
            }
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
