//! Numbers for topic names, so that a partition is a small `Copy` value everywhere else.

use std::sync::Arc;

use rdkafka::Offset;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::ledger::PartitionId;

/// Every topic that this process has had partitions of.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    names: Vec<Arc<str>>,
}

impl Topics {
    /// The partition's number, made on first use.
    pub(crate) fn id(&mut self, topic: &str, partition: i32) -> PartitionId {
        let known = self.names.iter().position(|name| **name == *topic);
        let number = known.unwrap_or_else(|| {
            self.names.push(topic.into());
            self.names.len() - 1
        });
        PartitionId {
            topic: u32::try_from(number).expect("fewer topics than 2^32"),
            partition,
        }
    }

    pub(crate) fn name(&self, partition: PartitionId) -> &Arc<str> {
        &self.names[partition.topic as usize]
    }

    /// Partitions with offsets as the client wants them.
    pub(crate) fn list(&self, offsets: &[(PartitionId, i64)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            list.add_partition_offset(
                self.name(*partition),
                partition.partition,
                Offset::Offset(*offset),
            )
            .expect("an offset that Kafka gave is valid");
        }
        list
    }
}
