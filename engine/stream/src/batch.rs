//! A batch: consecutive records of one partition, copied once out of the client's memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rdkafka::message::{
    BorrowedHeaders, BorrowedMessage, Header, Headers, Message as _, OwnedHeaders,
};

use crate::ledger::{BatchId, PartitionId};

/// Names of record headers that may carry the host, first found.
const HOST_HEADERS: [&str; 3] = ["host", "hostname", "host.name"];

/// The headers whose names are text. Kafka takes any bytes as a name; the client panics on those that
/// are no UTF-8 and offers no other way to read them, and one such record must not end the service.
pub(crate) fn readable<H: Headers>(headers: &H) -> impl Iterator<Item = Header<'_, &[u8]>> {
    (0..headers.count()).filter_map(|index| {
        let read = AssertUnwindSafe(|| headers.try_get(index));
        catch_unwind(read).ok().flatten()
    })
}

/// A piece of a batch's arena.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: usize,
    len: usize,
}

/// One record of a batch.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    /// Milliseconds since the epoch, as the record carries it.
    pub(crate) timestamp: Option<i64>,
    value: Option<Piece>,
    key: Option<Piece>,
    host: Option<Piece>,
    /// Kept for the dead-letter topic.
    pub(crate) headers: Option<OwnedHeaders>,
}

/// Memory of a batch that is used again by another one.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    records: Vec<Record>,
    arena: Vec<u8>,
}

impl Buffers {
    /// Bytes that they keep.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.capacity() + self.records.capacity() * size_of::<Record>()
    }
}

/// Consecutive records of one partition.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) id: BatchId,
    pub(crate) partition: PartitionId,
    pub(crate) topic: Arc<str>,
    /// Lines before the start offset: they fill the process cache and are not evaluated.
    pub(crate) warmup: bool,
    pub(crate) records: Vec<Record>,
    arena: Vec<u8>,
    header_bytes: usize,
}

impl Batch {
    pub(crate) fn new(
        id: BatchId,
        partition: PartitionId,
        topic: Arc<str>,
        warmup: bool,
        buffers: Buffers,
    ) -> Self {
        let Buffers { records, arena } = buffers;
        Self {
            id,
            partition,
            topic,
            warmup,
            records,
            arena,
            header_bytes: 0,
        }
    }

    /// Its memory, empty.
    pub(crate) fn into_buffers(mut self) -> Buffers {
        self.records.clear();
        self.arena.clear();
        Buffers {
            records: self.records,
            arena: self.arena,
        }
    }

    /// Copies a record in.
    pub(crate) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let value = message.payload().map(|value| self.store(value));
        let key = message.key().map(|key| self.store(key));
        let headers = message.headers();
        let host = headers.and_then(|headers| {
            HOST_HEADERS.iter().find_map(|name| {
                readable(headers)
                    .find(|h| h.key == *name)
                    .and_then(|h| h.value)
            })
        });
        let host = host.map(|host| self.store(host));
        self.header_bytes += headers.map_or(0, header_bytes);
        let headers = headers.map(BorrowedHeaders::detach);
        let timestamp = message.timestamp().to_millis();
        self.records.push(Record {
            offset: message.offset(),
            timestamp,
            value,
            key,
            host,
            headers,
        });
    }

    /// Bytes of all values and keys.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Bytes that the batch keeps: limits count these, so that records without bytes are bounded too.
    pub(crate) fn memory(&self) -> usize {
        self.arena.len() + self.header_bytes + self.records.len() * size_of::<Record>()
    }

    /// The first offset.
    pub(crate) fn begin(&self) -> i64 {
        self.records.first().map_or(0, |record| record.offset)
    }

    /// One above the last offset.
    pub(crate) fn end(&self) -> i64 {
        self.records.last().map_or(0, |record| record.offset + 1)
    }

    /// The line: without the line break that some shippers leave at its end.
    pub(crate) fn line(&self, record: &Record) -> &[u8] {
        self.value(record).unwrap_or_default().trim_ascii_end()
    }

    /// The value as it came.
    pub(crate) fn value(&self, record: &Record) -> Option<&[u8]> {
        record.value.map(|value| self.piece(value))
    }

    /// The key as it came.
    pub(crate) fn key(&self, record: &Record) -> Option<&[u8]> {
        record.key.map(|key| self.piece(key))
    }

    /// What the record says of the host beside its line: a header, else the key.
    pub(crate) fn host(&self, record: &Record) -> Option<&[u8]> {
        record
            .host
            .or(record.key)
            .map(|host| self.piece(host))
            .filter(|host| !host.is_empty())
    }

    fn store(&mut self, bytes: &[u8]) -> Piece {
        let from = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Piece {
            from,
            len: bytes.len(),
        }
    }

    fn piece(&self, piece: Piece) -> &[u8] {
        &self.arena[piece.from..piece.from + piece.len]
    }
}

fn header_bytes(headers: &BorrowedHeaders) -> usize {
    let bytes = |header: Header<'_, &[u8]>| header.key.len() + header.value.map_or(0, <[u8]>::len);
    readable(headers).map(bytes).sum()
}
