//! The ledger under a seeded simulation: batches, deliveries, failures, failed commits, revocations,
//! redelivered records and crashes in any order. A failure prints its seed.

use std::collections::{BTreeMap, BTreeSet};

use stream::{Admission, BatchId, Ledger, Outcome, PartitionId};

const SEEDS: u64 = 1_000;
const PARTITIONS: i32 = 3;
const RECORDS: i64 = 40;

/// A small generator (xorshift), so that a seed is a whole story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.roll(len as u64)).expect("an index")
    }
}

/// One record of the input: how many records it makes (alerts, or one dead letter).
#[derive(Clone, Copy, Debug)]
struct Input {
    offset: i64,
    makes: u64,
    dead: bool,
}

#[derive(Clone, Debug)]
struct Working {
    partition: PartitionId,
    id: BatchId,
    inputs: Vec<Input>,
    sent: bool,
}

/// What one record of the output stands for: input partition, input offset, number.
type Output = (PartitionId, i64, u64);

/// The world around a ledger: what lies on the broker, and what is on its way.
struct World {
    dice: Dice,
    input: BTreeMap<PartitionId, Vec<Input>>,
    committed: BTreeMap<PartitionId, i64>,
    delivered: BTreeSet<Output>,
    ledger: Ledger,
    position: BTreeMap<PartitionId, i64>,
    working: Vec<Working>,
    on_the_way: Vec<(PartitionId, BatchId, Output)>,
    next_batch: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut input = BTreeMap::new();
        for partition in (0..PARTITIONS).map(|partition| PartitionId {
            topic: 0,
            partition,
        }) {
            let mut offset = i64::try_from(dice.roll(5)).expect("small");
            let mut records = Vec::new();
            for _ in 0..RECORDS {
                // Gaps: transaction markers, compaction.
                offset += 1 + i64::from(dice.roll(6) == 0);
                let dead = dice.roll(10) == 0;
                let makes = if dead {
                    1
                } else {
                    dice.roll(5).saturating_sub(2)
                };
                records.push(Input {
                    offset,
                    makes,
                    dead,
                });
            }
            input.insert(partition, records);
        }
        let committed = input.keys().map(|partition| (*partition, 0)).collect();
        let mut world = Self {
            dice,
            input,
            committed,
            delivered: BTreeSet::new(),
            ledger: Ledger::default(),
            position: BTreeMap::new(),
            working: Vec::new(),
            on_the_way: Vec::new(),
            next_batch: 0,
        };
        world.start();
        world
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.input.keys().copied().collect()
    }

    fn start(&mut self) {
        for partition in self.partitions() {
            self.assign(partition);
        }
    }

    fn assign(&mut self, partition: PartitionId) {
        let start = self.committed[&partition];
        let committed = self.dice.roll(2) == 0;
        self.ledger.assign(partition, start, start, committed);
        self.position.insert(partition, start);
    }

    fn read(&mut self) {
        let partitions = self.partitions();
        let partition = partitions[self.dice.index(partitions.len())];
        let Some(position) = self.position.get(&partition).copied() else {
            return;
        };
        let wanted = 1 + self.dice.index(5);
        let mut inputs: Vec<Input> = Vec::new();
        for record in self.input[&partition]
            .iter()
            .filter(|r| r.offset >= position)
            .take(wanted)
        {
            assert_eq!(self.ledger.admit(partition, record.offset), Admission::Take);
            inputs.push(*record);
            if self.dice.roll(8) == 0 {
                let again = self.ledger.admit(partition, record.offset);
                assert_eq!(
                    again,
                    Admission::Redelivered,
                    "a record twice in one assignment is dropped"
                );
            }
        }
        let Some(last) = inputs.last() else { return };
        self.next_batch += 1;
        let id = BatchId(self.next_batch);
        let lines = inputs.len() as u64;
        self.ledger
            .take(partition, id, last.offset + 1, lines, lines * 100);
        self.position.insert(partition, last.offset + 1);
        self.working.push(Working {
            partition,
            id,
            inputs,
            sent: false,
        });
    }

    /// A worker hands its records to the producer first and reports later; deliveries may come between.
    fn work(&mut self) {
        if self.working.is_empty() {
            return;
        }
        let at = self.dice.index(self.working.len());
        if !self.working[at].sent {
            let work = &mut self.working[at];
            work.sent = true;
            for input in &work.inputs {
                let outputs = (0..input.makes)
                    .map(|n| (work.partition, work.id, (work.partition, input.offset, n)));
                self.on_the_way.extend(outputs);
            }
            return;
        }
        let work = self.working.remove(at);
        let dead_lettered = work.inputs.iter().filter(|input| input.dead).count() as u64;
        let outcome = Outcome {
            evaluated: work.inputs.len() as u64 - dead_lettered,
            dead_lettered,
            dropped: 0,
            produced: work.inputs.iter().map(|input| input.makes).sum(),
        };
        self.ledger.evaluated(work.partition, work.id, outcome);
    }

    fn deliver(&mut self) {
        if self.on_the_way.is_empty() {
            return;
        }
        let at = self.dice.index(self.on_the_way.len());
        let (partition, id, output) = self.on_the_way.swap_remove(at);
        self.delivered.insert(output);
        self.ledger.delivered(partition, id);
    }

    /// A record cannot be delivered: the process gives up, as the service does.
    fn fail(&mut self) {
        if self.on_the_way.is_empty() {
            return;
        }
        let at = self.dice.index(self.on_the_way.len());
        let (partition, id, _) = self.on_the_way.swap_remove(at);
        self.ledger.failed(partition, id);
        self.commit();
        self.crash();
    }

    fn commit(&mut self) {
        if self.dice.roll(5) == 0 {
            // The commit does not reach the broker.
            self.ledger.commit();
            self.ledger.recommit();
            return;
        }
        for (partition, offset) in self.ledger.commit() {
            self.check_committable(partition, offset);
            let committed = self
                .committed
                .get_mut(&partition)
                .expect("an assigned partition");
            assert!(offset >= *committed, "a committed offset never goes back");
            *committed = offset;
        }
    }

    /// INVARIANT: below a committed offset every record is delivered.
    fn check_committable(&self, partition: PartitionId, offset: i64) {
        for input in self.input[&partition]
            .iter()
            .filter(|input| input.offset < offset)
        {
            for n in 0..input.makes {
                let output = (partition, input.offset, n);
                assert!(
                    self.delivered.contains(&output),
                    "{output:?} is below {offset} and not delivered"
                );
            }
        }
    }

    fn revoke(&mut self) {
        let partitions = self.partitions();
        let partition = partitions[self.dice.index(partitions.len())];
        if self.dice.roll(2) == 0 {
            self.drain(partition);
        }
        self.commit();
        self.ledger.revoke(partition);
        self.check_counts(partition);
        assert_eq!(
            self.ledger.admit(partition, i64::MAX - 1),
            Admission::Foreign
        );
        self.assign(partition);
    }

    fn drain(&mut self, partition: PartitionId) {
        for _ in 0..10_000 {
            if self.ledger.drained(partition) {
                return;
            }
            self.work();
            self.deliver();
        }
        unreachable!("the partition does not drain");
    }

    /// Everything in memory is gone; records on their way arrive or not.
    fn crash(&mut self) {
        let on_the_way = std::mem::take(&mut self.on_the_way);
        let arriving = on_the_way
            .into_iter()
            .filter(|_| self.dice.0.is_multiple_of(2));
        self.delivered.extend(arriving.map(|(_, _, output)| output));
        self.working.clear();
        self.ledger = Ledger::default();
        self.start();
    }

    /// INVARIANT: with nothing in flight the counts of a partition add up.
    fn check_counts(&self, partition: PartitionId) {
        let counts = self.ledger.counts()[&partition];
        let sum = counts.evaluated + counts.dead_lettered + counts.dropped + counts.unfinished;
        assert_eq!(counts.read, sum, "{counts:?}");
    }

    fn finished(&self) -> bool {
        self.partitions().iter().all(|partition| {
            let last = self.input[partition].last().expect("records").offset;
            self.committed[partition] == last + 1
        })
    }

    fn step(&mut self) {
        match self.dice.roll(40) {
            0..=9 => self.read(),
            10..=19 => self.work(),
            20..=33 => self.deliver(),
            34..=37 => self.commit(),
            38 => match self.dice.roll(6) {
                0 => self.crash(),
                1 => self.fail(),
                _ => self.revoke(),
            },
            _ => self.ledger.recommit(),
        }
    }
}

/// Runs one story to its end.
fn story(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..200_000 {
        if world.finished() {
            return world;
        }
        world.step();
    }
    unreachable!("the story does not end");
}

fn with_seeds(check: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in 1..=SEEDS {
        let told = std::panic::catch_unwind(|| check(seed));
        assert!(told.is_ok(), "seed {seed} fails: the message stands above");
    }
}

#[test]
fn every_line_is_accounted_for() {
    with_seeds(|seed| {
        let world = story(seed);
        for (partition, records) in &world.input {
            for input in records {
                for n in 0..input.makes {
                    let output = (*partition, input.offset, n);
                    assert!(
                        world.delivered.contains(&output),
                        "{output:?} was never delivered"
                    );
                }
            }
        }
        for partition in world.partitions() {
            assert!(
                world.ledger.drained(partition),
                "committed to the end, so nothing is in flight"
            );
            world.check_counts(partition);
        }
        assert_eq!(world.ledger.in_flight_bytes(), 0);
    });
}

#[test]
fn a_partition_that_begins_anew_forgets_what_was_in_flight() {
    let partition = PartitionId {
        topic: 0,
        partition: 0,
    };
    let mut ledger = Ledger::default();
    ledger.assign(partition, 100, 100, true);
    ledger.admit(partition, 100);
    ledger.take(partition, BatchId(1), 101, 1, 10);
    assert_eq!(ledger.in_flight_bytes(), 10);
    ledger.assign(partition, 0, 0, false);
    assert_eq!(ledger.in_flight_bytes(), 0);
    assert_eq!(ledger.counts()[&partition].unfinished, 1);
    let late = Outcome {
        evaluated: 1,
        ..Outcome::default()
    };
    ledger.evaluated(partition, BatchId(1), late);
    assert_eq!(ledger.commit(), [(partition, 0)]);
}

#[test]
fn offset_waits_for_delivery() {
    let partition = PartitionId {
        topic: 0,
        partition: 0,
    };
    let mut ledger = Ledger::default();
    ledger.assign(partition, 10, 10, true);
    let outcome = |produced| Outcome {
        evaluated: 2,
        produced,
        ..Outcome::default()
    };
    for (batch, end) in [(1, 12), (2, 14), (3, 16)] {
        ledger.admit(partition, end - 2);
        ledger.admit(partition, end - 1);
        ledger.take(partition, BatchId(batch), end, 2, 100);
    }
    ledger.evaluated(partition, BatchId(2), outcome(0));
    assert_eq!(ledger.commit(), [], "the second batch waits for the first");
    ledger.evaluated(partition, BatchId(1), outcome(2));
    ledger.delivered(partition, BatchId(1));
    assert_eq!(
        ledger.commit(),
        [],
        "one alert of the first batch is on its way"
    );
    ledger.delivered(partition, BatchId(1));
    assert_eq!(ledger.commit(), [(partition, 14)]);
    ledger.delivered(partition, BatchId(3));
    assert_eq!(
        ledger.commit(),
        [],
        "delivered, but the worker has not said how many there are"
    );
    ledger.evaluated(partition, BatchId(3), outcome(2));
    ledger.failed(partition, BatchId(3));
    ledger.delivered(partition, BatchId(3));
    assert_eq!(
        ledger.commit(),
        [],
        "a failed delivery holds the offset for good"
    );
}

#[test]
fn markers_at_the_end_of_a_partition_are_committed_too() {
    let partition = PartitionId {
        topic: 0,
        partition: 0,
    };
    let mut ledger = Ledger::default();
    ledger.assign(partition, 0, 0, true);
    ledger.admit(partition, 4);
    ledger.take(partition, BatchId(1), 5, 1, 10);
    ledger.skip_to(partition, 6);
    assert_eq!(ledger.commit(), [], "a batch is in flight");
    ledger.evaluated(
        partition,
        BatchId(1),
        Outcome {
            evaluated: 1,
            ..Outcome::default()
        },
    );
    assert_eq!(ledger.commit(), [(partition, 5)]);
    ledger.skip_to(partition, 6);
    assert_eq!(ledger.commit(), [(partition, 6)]);
}

#[test]
fn the_start_is_committed_where_the_group_has_no_offset_yet() {
    let partition = PartitionId {
        topic: 0,
        partition: 0,
    };
    let mut ledger = Ledger::default();
    ledger.assign(partition, 7, 3, false);
    assert_eq!(ledger.commit(), [(partition, 7)]);
    assert_eq!(ledger.commit(), []);
}
