//! What the pre-filter found in values that were seen before.
//!
//! Most values of a fleet come again and again: executables, parents, directories, users. A value that is known
//! here is neither folded nor searched. Bounded: a table of fixed size, whose entries hold their values; a new
//! value takes the place of the old one. Values are compared by their bytes, never by their hash alone.

use std::hash::BuildHasher as _;

use event::Slot;
use foldhash::fast::FixedState;

use crate::prefilter::LiteralIdx;

/// Entries; 128 bytes each, so that the table stays in a second-level cache.
const ENTRIES: usize = 1024;
/// Longer values are not kept.
const KEY_MAX: usize = 94;
/// Values in which more literals stand are not kept.
const LITERALS_MAX: usize = 4;
/// After so many look-ups it is judged whether a slot's values come again.
const TRIAL: u32 = 2048;
/// So many values of a slot whose values seldom come again are searched before the next trial.
const PAUSE: u32 = 1 << 16;

/// The table; belongs to one thread and one plan.
#[derive(Debug)]
pub(crate) struct ValueCache {
    entries: Box<[Entry]>,
    /// By section, then slot.
    slots: Vec<Vec<Trial>>,
}

/// PERF: all that is asked of a short value lies in one cache line.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Entry {
    hash: u64,
    /// Section and slot; [`FREE`] at first.
    place: u32,
    len: u8,
    count: u8,
    key: [u8; KEY_MAX],
    literals: [LiteralIdx; LITERALS_MAX],
}

const FREE: u32 = u32::MAX;

/// Whether it pays to remember the values of a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    looked_up: u32,
    found: u32,
    /// Values to be searched before the next trial.
    pause: u32,
}

/// Where a value has its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    hash: u64,
    place: u32,
}

impl ValueCache {
    /// An empty cache for sections with so many slots.
    pub(crate) fn new(slots: impl Iterator<Item = usize>) -> Self {
        let free = Entry {
            hash: 0,
            place: FREE,
            len: 0,
            count: 0,
            key: [0; KEY_MAX],
            literals: [LiteralIdx(0); LITERALS_MAX],
        };
        Self {
            entries: vec![free; ENTRIES].into(),
            slots: slots.map(|slots| vec![Trial::default(); slots]).collect(),
        }
    }

    /// The key for a value of this slot; `None` if it is not to be kept.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seven kinds of views have few sections"
    )]
    pub(crate) fn key(&mut self, section: usize, slot: Slot, value: &[u8]) -> Option<Key> {
        let trial = &mut self.slots[section][usize::from(slot.0)];
        if value.len() > KEY_MAX || trial.is_pausing() {
            return None;
        }
        let place = (section as u32) << 16 | u32::from(slot.0);
        let hash = FixedState::with_seed(u64::from(place)).hash_one(value);
        Some(Key { hash, place })
    }

    /// The literals that stand in a value, if it is known.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "any bits of a hash will do"
    )]
    pub(crate) fn get(&mut self, key: Key, value: &[u8]) -> Option<&[LiteralIdx]> {
        let entry = &self.entries[key.hash as usize % ENTRIES];
        let is_known = entry.hash == key.hash
            && entry.place == key.place
            && entry.key.get(..usize::from(entry.len)) == Some(value);
        let slots = &mut self.slots[(key.place >> 16) as usize];
        slots[(key.place & 0xffff) as usize].note(is_known);
        is_known.then(|| &entry.literals[..usize::from(entry.count)])
    }

    /// Remembers what stands in a value.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "any bits of a hash will do; values and lists are short"
    )]
    pub(crate) fn put(&mut self, key: Key, value: &[u8], found: &[LiteralIdx]) {
        if found.len() > LITERALS_MAX {
            return;
        }
        let entry = &mut self.entries[key.hash as usize % ENTRIES];
        (entry.hash, entry.place) = (key.hash, key.place);
        (entry.len, entry.count) = (value.len() as u8, found.len() as u8);
        entry.key[..value.len()].copy_from_slice(value);
        entry.literals[..found.len()].copy_from_slice(found);
    }
}

impl Trial {
    fn is_pausing(&mut self) -> bool {
        if self.pause == 0 {
            return false;
        }
        self.pause -= 1;
        true
    }

    /// A slot of which fewer than half of the values are known pauses.
    fn note(&mut self, found: bool) {
        self.looked_up += 1;
        self.found += u32::from(found);
        if self.looked_up == TRIAL {
            let pays = self.found * 2 >= TRIAL;
            *self = Self {
                pause: if pays { 0 } else { PAUSE },
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use event::Slot;

    use super::{KEY_MAX, LITERALS_MAX, PAUSE, TRIAL, ValueCache};
    use crate::prefilter::LiteralIdx;

    fn known(cache: &mut ValueCache, section: usize, slot: u16, value: &[u8]) -> Option<Vec<u32>> {
        let key = cache.key(section, Slot(slot), value)?;
        Some(cache.get(key, value)?.iter().map(|found| found.0).collect())
    }

    fn learn(cache: &mut ValueCache, section: usize, slot: u16, value: &[u8], found: &[u32]) {
        let found: Vec<_> = found.iter().copied().map(LiteralIdx).collect();
        if let Some(key) = cache.key(section, Slot(slot), value) {
            cache.put(key, value, &found);
        }
    }

    #[test]
    fn a_value_is_known_in_its_slot_of_its_section_alone() {
        let mut cache = ValueCache::new([2, 2].into_iter());
        learn(&mut cache, 0, 1, b"/bin/sh", &[3, 5]);
        learn(&mut cache, 1, 1, b"/bin/sh", &[]);
        assert_eq!(known(&mut cache, 0, 1, b"/bin/sh"), Some(vec![3, 5]));
        assert_eq!(known(&mut cache, 1, 1, b"/bin/sh"), Some(vec![]));
        assert_eq!(known(&mut cache, 0, 0, b"/bin/sh"), None);
        assert_eq!(known(&mut cache, 0, 1, b"/bin/s"), None);
        assert_eq!(known(&mut cache, 0, 1, b""), None);
        learn(&mut cache, 0, 1, b"", &[1]);
        assert_eq!(known(&mut cache, 0, 1, b""), Some(vec![1]));
    }

    #[test]
    fn long_values_and_long_lists_are_not_kept() {
        let mut cache = ValueCache::new([1].into_iter());
        let long = vec![b'a'; KEY_MAX + 1];
        learn(&mut cache, 0, 0, &long, &[]);
        assert_eq!(known(&mut cache, 0, 0, &long), None);
        learn(&mut cache, 0, 0, &long[1..], &[7]);
        assert_eq!(known(&mut cache, 0, 0, &long[1..]), Some(vec![7]));
        let many: Vec<u32> = (0..).take(LITERALS_MAX + 1).collect();
        learn(&mut cache, 0, 0, b"x", &many);
        assert_eq!(known(&mut cache, 0, 0, b"x"), None);
    }

    #[test]
    fn values_that_never_come_again_are_soon_not_looked_up() {
        let mut cache = ValueCache::new([1].into_iter());
        for value in 0..TRIAL {
            assert!(cache.key(0, Slot(0), b"").is_some());
            assert_eq!(known(&mut cache, 0, 0, &value.to_le_bytes()), None);
        }
        for _ in 0..PAUSE {
            assert!(cache.key(0, Slot(0), b"").is_none());
        }
        assert!(cache.key(0, Slot(0), b"").is_some());
    }
}
