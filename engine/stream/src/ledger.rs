//! Which offset may be committed now: a pure state machine, no Kafka, no clock.
//!
//! Lines are taken in batches, one partition each. A batch is *done* when it has been evaluated and all
//! that it produced is delivered. The committable offset of a partition is the end of the last batch of
//! its unbroken done prefix, never more. A failed delivery leaves its batch open for good: the offset
//! stays, and the lines are read again by whoever owns the partition next.
//!
//! INVARIANT: every line that was taken is evaluated, dead-lettered or dropped by a named limit once its
//! batch is done; the counts of a partition add up whenever nothing is in flight.

use std::collections::{BTreeMap, VecDeque};

/// Below every offset: the next commit hands out whatever is committable.
const NOT_COMMITTED: i64 = -1;

/// A partition of a topic; topics are numbered by the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// Number of the topic.
    pub topic: u32,
    /// Partition.
    pub partition: i32,
}

/// Number of a batch, unique in the process; results of a batch whose partition has gone are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// What became of the lines of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Lines that all rules were evaluated on.
    pub evaluated: u64,
    /// Lines on the dead-letter topic.
    pub dead_lettered: u64,
    /// Lines dropped by a named limit.
    pub dropped: u64,
    /// Records handed to the producer: alerts and dead letters.
    pub produced: u64,
}

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Take it.
    Take,
    /// It was taken before in this assignment: drop and count it.
    Redelivered,
    /// Its partition is not ours (any more): ignore it.
    Foreign,
}

/// Lines of a partition since this process first had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines taken.
    pub read: u64,
    /// See [`Outcome`].
    pub evaluated: u64,
    /// See [`Outcome`].
    pub dead_lettered: u64,
    /// See [`Outcome`].
    pub dropped: u64,
    /// Lines taken whose fate was not known when their partition went away; they are read again.
    pub unfinished: u64,
    /// Records seen twice in one assignment.
    pub redelivered: u64,
}

/// All partitions.
#[derive(Debug, Default)]
pub struct Ledger {
    open: BTreeMap<PartitionId, Open>,
    counts: BTreeMap<PartitionId, Counts>,
    in_flight_bytes: u64,
}

/// An assigned partition.
#[derive(Debug)]
struct Open {
    /// The lowest offset that has not been taken.
    next: i64,
    /// What may be committed, and whether it has been handed out.
    committable: i64,
    committed: i64,
    batches: VecDeque<Batch>,
}

#[derive(Debug)]
struct Batch {
    id: BatchId,
    end: i64,
    lines: u64,
    bytes: u64,
    outcome: Option<Outcome>,
    delivered: u64,
    failed: bool,
}

impl Batch {
    fn done(&self) -> bool {
        !self.failed
            && self
                .outcome
                .is_some_and(|outcome| outcome.produced == self.delivered)
    }
}

impl Ledger {
    /// A partition is ours: lines count from `start` on, records are read from `from` on (below `start` for
    /// warm-up). `committed`: the group has `start` already; else the next commit says it, so that an
    /// instance that ends before its first line does not leave the choice to the next one. A partition
    /// that was ours already begins anew.
    pub fn assign(&mut self, partition: PartitionId, start: i64, from: i64, committed: bool) {
        self.revoke(partition);
        self.counts.entry(partition).or_default();
        let open = Open {
            next: from,
            committable: start,
            committed: if committed { start } else { NOT_COMMITTED },
            batches: VecDeque::new(),
        };
        self.open.insert(partition, open);
    }

    /// Reading goes on at this offset; what lies between is not wanted (the rest of a warm-up) or gone.
    pub fn jump(&mut self, partition: PartitionId, offset: i64) {
        if let Some(open) = self.open.get_mut(&partition) {
            open.next = open.next.max(offset);
        }
    }

    /// Whether a record is new. Gaps are legal: transaction markers and compacted records.
    pub fn admit(&mut self, partition: PartitionId, offset: i64) -> Admission {
        let Some(open) = self.open.get_mut(&partition) else {
            return Admission::Foreign;
        };
        if offset < open.next {
            self.counts.entry(partition).or_default().redelivered += 1;
            return Admission::Redelivered;
        }
        open.next = offset + 1;
        Admission::Take
    }

    /// A batch of admitted lines is handed to a worker. `end` is one above its last offset.
    pub fn take(&mut self, partition: PartitionId, id: BatchId, end: i64, lines: u64, bytes: u64) {
        self.counts.entry(partition).or_default().read += lines;
        let open = self
            .open
            .get_mut(&partition)
            .expect("only lines of assigned partitions are admitted");
        self.in_flight_bytes += bytes;
        let batch = Batch {
            id,
            end,
            lines,
            bytes,
            outcome: None,
            delivered: 0,
            failed: false,
        };
        open.batches.push_back(batch);
    }

    /// A worker is through with a batch.
    pub fn evaluated(&mut self, partition: PartitionId, id: BatchId, outcome: Outcome) {
        let Some(batch) = self.batch(partition, id) else {
            return;
        };
        assert_eq!(
            batch.lines,
            outcome.evaluated + outcome.dead_lettered + outcome.dropped,
            "a worker accounts for every line"
        );
        batch.outcome = Some(outcome);
        self.advance(partition);
    }

    /// One record of a batch is on its topic.
    pub fn delivered(&mut self, partition: PartitionId, id: BatchId) {
        let Some(batch) = self.batch(partition, id) else {
            return;
        };
        batch.delivered += 1;
        self.advance(partition);
    }

    /// One record of a batch can not be delivered: the partition does not go on beyond it.
    pub fn failed(&mut self, partition: PartitionId, id: BatchId) {
        if let Some(batch) = self.batch(partition, id) {
            batch.failed = true;
        }
    }

    /// The partition was read up to here without records (markers of transactions at its end).
    pub fn skip_to(&mut self, partition: PartitionId, position: i64) {
        if let Some(open) = self.open.get_mut(&partition)
            && open.batches.is_empty()
            && position > open.committable
        {
            open.next = open.next.max(position);
            open.committable = position;
        }
    }

    /// Offsets to commit now: those that grew since the last call.
    pub fn commit(&mut self) -> Vec<(PartitionId, i64)> {
        let grown = self
            .open
            .iter_mut()
            .filter(|(_, open)| open.committable > open.committed);
        let handed_out = grown.map(|(partition, open)| {
            open.committed = open.committable;
            (*partition, open.committed)
        });
        handed_out.collect()
    }

    /// A commit failed: the next [`Ledger::commit`] hands out every offset again.
    pub fn recommit(&mut self) {
        for open in self.open.values_mut() {
            open.committed = NOT_COMMITTED;
        }
    }

    /// A partition is not ours any more. What is in flight counts as unfinished.
    pub fn revoke(&mut self, partition: PartitionId) {
        if let Some(open) = self.open.remove(&partition) {
            self.in_flight_bytes -= open.batches.iter().map(|batch| batch.bytes).sum::<u64>();
            let unfinished: u64 = open
                .batches
                .iter()
                .filter(|b| b.outcome.is_none())
                .map(|b| b.lines)
                .sum();
            self.counts.entry(partition).or_default().unfinished += unfinished;
            // Evaluated but not delivered: the lines are read again, yet here they were accounted for.
            for outcome in open.batches.iter().filter_map(|batch| batch.outcome) {
                self.count(partition, outcome);
            }
        }
    }

    /// Whether nothing of the partition is in flight.
    pub fn drained(&self, partition: PartitionId) -> bool {
        self.open
            .get(&partition)
            .is_none_or(|open| open.batches.is_empty())
    }

    /// Bytes of lines in flight, of all partitions.
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Assigned partitions, in order.
    pub fn assigned(&self) -> Vec<PartitionId> {
        self.open.keys().copied().collect()
    }

    /// The offset below which everything is delivered.
    pub fn committable(&self, partition: PartitionId) -> Option<i64> {
        self.open.get(&partition).map(|open| open.committable)
    }

    /// The lowest offset that has not been taken.
    pub fn next(&self, partition: PartitionId) -> Option<i64> {
        self.open.get(&partition).map(|open| open.next)
    }

    /// Every assigned partition with the lowest offset that has not been taken.
    pub fn positions(&self) -> Vec<(PartitionId, i64)> {
        let open = self.open.iter();
        open.map(|(partition, open)| (*partition, open.next))
            .collect()
    }

    /// Counts of every partition that this process has had.
    pub fn counts(&self) -> &BTreeMap<PartitionId, Counts> {
        &self.counts
    }

    fn batch(&mut self, partition: PartitionId, id: BatchId) -> Option<&mut Batch> {
        self.open
            .get_mut(&partition)?
            .batches
            .iter_mut()
            .find(|batch| batch.id == id)
    }

    fn advance(&mut self, partition: PartitionId) {
        while let Some(open) = self.open.get_mut(&partition)
            && let Some(batch) = open.batches.pop_front_if(|batch| batch.done())
        {
            open.committable = batch.end;
            self.in_flight_bytes -= batch.bytes;
            self.count(
                partition,
                batch.outcome.expect("a done batch has its outcome"),
            );
        }
    }

    fn count(&mut self, partition: PartitionId, outcome: Outcome) {
        let counts = self.counts.entry(partition).or_default();
        counts.evaluated += outcome.evaluated;
        counts.dead_lettered += outcome.dead_lettered;
        counts.dropped += outcome.dropped;
    }
}
