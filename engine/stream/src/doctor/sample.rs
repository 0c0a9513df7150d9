//! The newest lines of a topic, and which hosts they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use event::{Decoder, Origin, ProcessCache};
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::Connection;
use crate::admin::Topic;
use crate::batch::{Batch, Buffers};
use crate::ledger::{BatchId, PartitionId};

/// Lines of all partitions together.
const LINES_MAX: u32 = 20_000;

/// Bytes of the process cache, which decoding wants and nobody reads here.
const CACHE_BYTES: usize = 1 << 20;

const POLL: Duration = Duration::from_millis(200);

/// Why the lines were not read.
#[derive(Debug)]
pub(super) enum Unread {
    Kafka(KafkaError),
    /// Nothing came for the whole timeout.
    Silent,
}

impl From<KafkaError> for Unread {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// Hands on the newest `count` lines of each partition that has a leader, as they are now.
pub(super) fn newest(
    connection: &Connection,
    topic: &str,
    found: &Topic,
    count: u32,
    mut each: impl FnMut(&BorrowedMessage<'_>),
) -> Result<(), Unread> {
    let consumer = &connection.consumer;
    let led: Vec<i32> = found
        .partitions
        .iter()
        .filter(|partition| partition.has_leader)
        .map(|partition| partition.id)
        .collect();
    let partitions = u32::try_from(led.len()).unwrap_or(u32::MAX).max(1);
    let count = i64::from(count.min(LINES_MAX / partitions).max(1));
    let mut starts = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for partition in led {
        let (low, high) = consumer.fetch_watermarks(topic, partition, connection.timeout)?;
        let start = Offset::Offset(low.max(high - count));
        starts.add_partition_offset(topic, partition, start)?;
        ends.insert(partition, high);
    }
    consumer.assign(&starts)?;
    let mut heard = Instant::now();
    // An empty partition ends too: its end is told to those alone who may read it.
    while !ends.is_empty() {
        if heard.elapsed() > connection.timeout {
            return Err(Unread::Silent);
        }
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let Some(end) = ends.get(&message.partition()) else {
                    continue;
                };
                if message.offset() + 1 >= *end {
                    ends.remove(&message.partition());
                }
                each(&message);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                heard = Instant::now();
                ends.remove(&partition);
            }
            Some(Err(error))
                if error.rdkafka_error_code()
                    == Some(RDKafkaErrorCode::TopicAuthorizationFailed) =>
            {
                return Err(error.into());
            }
            _ => {}
        }
    }
    consumer.unassign()?;
    Ok(())
}

/// On which partitions each host's lines lie.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) partitions: BTreeMap<Vec<u8>, BTreeSet<i32>>,
}

impl Hosts {
    /// Counts a line, and its host as the engine sees it.
    pub(super) fn add(&mut self, decoder: &mut Decoder, message: &BorrowedMessage<'_>) {
        self.lines += 1;
        let partition = PartitionId {
            topic: 0,
            partition: message.partition(),
        };
        let topic = message.topic().into();
        let mut batch = Batch::new(BatchId(0), partition, topic, false, Buffers::default());
        batch.push(message);
        let record = &batch.records[0];
        let origin = Origin {
            host: batch.host(record),
            scope: None,
        };
        let mut cache = ProcessCache::new(CACHE_BYTES, 0);
        let Ok(event) = decoder.decode(batch.line(record), &origin, &mut cache) else {
            return;
        };
        self.events += 1;
        if let Some(host) = event.host() {
            let partitions = self.partitions.entry(host.to_vec()).or_default();
            partitions.insert(message.partition());
        }
    }

    /// The hosts on more than one partition, those on most first.
    pub(super) fn spread(&self) -> Vec<(&[u8], &BTreeSet<i32>)> {
        let all = self.partitions.iter();
        let mut spread: Vec<_> = all
            .filter(|(_, partitions)| partitions.len() > 1)
            .map(|(host, partitions)| (host.as_slice(), partitions))
            .collect();
        spread.sort_by_key(|(host, partitions)| (std::cmp::Reverse(partitions.len()), *host));
        spread
    }
}
