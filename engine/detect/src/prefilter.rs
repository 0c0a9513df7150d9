//! Finds which literals stand in a view's values: exact values in a hash, prefixes and suffixes in buckets by
//! their outer bytes, and only what may stand anywhere in an automaton, one for each slot.
//!
//! Values and literals are folded, so a hit is exact. What the caller makes of it may only be an
//! over-approximation of the rules that match.

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, MatchKind};
use event::Slot;
use std::collections::HashMap;

use crate::witness::{Literal, Shape};

/// Number of a literal within its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LiteralIdx(pub(crate) u32);

/// The literals of all slots of a section.
#[derive(Debug, Default)]
pub(crate) struct Prefilter {
    slots: Vec<SlotFilter>,
}

/// What looks for a literal, from the cheapest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A hash of whole values.
    Hash,
    /// Prefixes by their first two bytes.
    Prefixes,
    /// Suffixes by their last two bytes.
    Suffixes,
    /// The automaton of the field: it reads the whole value.
    Automaton,
}

/// The literals of one slot.
#[derive(Debug, Default)]
struct SlotFilter {
    exact: HashMap<Box<[u8]>, LiteralIdx, foldhash::fast::FixedState>,
    /// Bit n: some exact literal is n bytes long (63: or longer). Most values need no hash.
    lengths: u64,
    prefixes: Buckets,
    suffixes: Buckets,
    automaton: Option<AhoCorasick>,
    /// By pattern of the automaton.
    contained: Vec<(Shape, LiteralIdx)>,
}

/// Prefixes or suffixes by their two outermost bytes.
#[derive(Debug, Default)]
struct Buckets {
    /// Start of each bucket in `items`; one more than there are buckets. Empty if there are no items.
    starts: Vec<u32>,
    /// How many buckets, less one: a power of two, less one.
    mask: usize,
    items: Vec<(Box<[u8]>, LiteralIdx)>,
    /// Of a single byte.
    short: Vec<(u8, LiteralIdx)>,
}

/// Buckets, at most; few literals have fewer.
const BUCKETS_MAX: usize = 1024;

impl Prefilter {
    /// A filter for these literals. With `split` off all go through the automaton, as a check of the rest.
    pub(crate) fn new(literals: &[Literal], slots: usize, split: bool) -> Self {
        let mut by_slot: Vec<Vec<(LiteralIdx, &Literal)>> = vec![Vec::new(); slots];
        for (index, literal) in (0..).map(LiteralIdx).zip(literals) {
            by_slot[usize::from(literal.slot.0)].push((index, literal));
        }
        Self {
            slots: by_slot
                .into_iter()
                .map(|literals| SlotFilter::new(&literals, split))
                .collect(),
        }
    }

    /// Whether any literal of this slot is looked for.
    pub(crate) fn looks_at(&self, slot: Slot) -> bool {
        let filter = &self.slots[usize::from(slot.0)];
        filter.automaton.is_some()
            || filter.lengths != 0
            || !filter.prefixes.is_empty()
            || !filter.suffixes.is_empty()
    }

    /// Which of its parts looks for a literal; `None` if none does.
    pub(crate) fn store_of(&self, literal: &Literal) -> Option<Store> {
        let filter = self.slots.get(usize::from(literal.slot.0))?;
        let text = &*literal.text;
        let found = match literal.shape {
            Shape::Exact if filter.exact.contains_key(text) => Store::Hash,
            Shape::Prefix if filter.prefixes.has(text) => Store::Prefixes,
            Shape::Suffix if filter.suffixes.has(text) => Store::Suffixes,
            _ if filter.automaton.is_some() => Store::Automaton,
            _ => return None,
        };
        Some(found)
    }

    /// Reports every literal that stands in this folded value, some more than once.
    pub(crate) fn find(&self, slot: Slot, value: &[u8], mut report: impl FnMut(LiteralIdx)) {
        let filter = &self.slots[usize::from(slot.0)];
        if filter.lengths >> value.len().min(63) & 1 == 1
            && let Some(literal) = filter.exact.get(value)
        {
            report(*literal);
        }
        if !filter.prefixes.is_empty() {
            let outer = (value.first().copied(), value.get(1).copied());
            filter
                .prefixes
                .find(outer, |literal| value.starts_with(literal), &mut report);
        }
        if !filter.suffixes.is_empty() {
            let outer = (
                value.last().copied(),
                value.len().checked_sub(2).map(|at| value[at]),
            );
            filter
                .suffixes
                .find(outer, |literal| value.ends_with(literal), &mut report);
        }
        if let Some(automaton) = &filter.automaton {
            let mut state = OverlappingState::start();
            loop {
                automaton.find_overlapping(value, &mut state);
                let Some(found) = state.get_match() else {
                    break;
                };
                let (shape, literal) = filter.contained[found.pattern().as_usize()];
                let stands = match shape {
                    Shape::Exact => found.start() == 0 && found.end() == value.len(),
                    Shape::Prefix => found.start() == 0,
                    Shape::Suffix => found.end() == value.len(),
                    Shape::Contains => true,
                };
                if stands {
                    report(literal);
                }
            }
        }
    }

    /// Bytes held by the automata.
    pub(crate) fn automaton_bytes(&self) -> usize {
        self.slots
            .iter()
            .filter_map(|slot| slot.automaton.as_ref())
            .map(AhoCorasick::memory_usage)
            .sum()
    }
}

impl SlotFilter {
    fn new(literals: &[(LiteralIdx, &Literal)], split: bool) -> Self {
        let mut filter = Self::default();
        let (mut prefixes, mut suffixes, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        for &(index, literal) in literals {
            match literal.shape {
                // The empty text is a value, but no pattern.
                Shape::Exact if split || literal.text.is_empty() => {
                    filter.lengths |= 1 << literal.text.len().min(63);
                    filter.exact.insert(literal.text.clone(), index);
                }
                Shape::Prefix if split => prefixes.push((index, literal)),
                Shape::Suffix if split => suffixes.push((index, literal)),
                shape => {
                    filter.contained.push((shape, index));
                    patterns.push(&literal.text);
                }
            }
        }
        filter.prefixes = Buckets::new(&prefixes, |text| (text[0], text.get(1).copied()));
        filter.suffixes = Buckets::new(&suffixes, |text| {
            (
                text[text.len() - 1],
                text.len().checked_sub(2).map(|at| text[at]),
            )
        });
        if !patterns.is_empty() {
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .build(patterns);
            // It counts states and patterns with 31 bits; rule files of that size do not load.
            filter.automaton = Some(automaton.expect("fewer than 2^31 bytes of literals"));
        }
        filter
    }
}

impl Buckets {
    /// `outer` gives the outermost byte of a literal and the one beside it.
    fn new(literals: &[(LiteralIdx, &Literal)], outer: impl Fn(&[u8]) -> (u8, Option<u8>)) -> Self {
        let mut buckets = Self::default();
        let mut sorted: Vec<(usize, &[u8], LiteralIdx)> = Vec::new();
        for &(index, literal) in literals {
            match outer(&literal.text) {
                (only, None) => buckets.short.push((only, index)),
                (first, Some(second)) => sorted.push((hash(first, second), &literal.text, index)),
            }
        }
        if sorted.is_empty() {
            return buckets;
        }
        let count = (2 * sorted.len()).next_power_of_two().min(BUCKETS_MAX);
        buckets.mask = count - 1;
        for item in &mut sorted {
            item.0 &= buckets.mask;
        }
        sorted.sort_unstable();
        buckets.starts = (0..=count)
            .map(|bucket| sorted.partition_point(|item| item.0 < bucket))
            .map(|start| u32::try_from(start).expect("a plan has fewer than 2^32 literals"))
            .collect();
        buckets.items = sorted
            .into_iter()
            .map(|(_, text, index)| (text.into(), index))
            .collect();
        buckets
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.short.is_empty()
    }

    fn has(&self, text: &[u8]) -> bool {
        match text {
            [only] => self.short.iter().any(|(byte, _)| byte == only),
            _ => self.items.iter().any(|(item, _)| **item == *text),
        }
    }

    fn find(
        &self,
        outer: (Option<u8>, Option<u8>),
        stands: impl Fn(&[u8]) -> bool,
        report: &mut impl FnMut(LiteralIdx),
    ) {
        let (Some(first), second) = outer else { return };
        for (only, literal) in &self.short {
            if *only == first {
                report(*literal);
            }
        }
        if let Some(second) = second
            && !self.items.is_empty()
        {
            let bucket = hash(first, second) & self.mask;
            let (from, to) = (
                self.starts[bucket] as usize,
                self.starts[bucket + 1] as usize,
            );
            for (text, literal) in &self.items[from..to] {
                if stands(text) {
                    report(*literal);
                }
            }
        }
    }
}

fn hash(first: u8, second: u8) -> usize {
    let mixed = (u32::from(first) << 8 | u32::from(second)).wrapping_mul(0x9e37_79b1);
    (mixed >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(literals: &[(Shape, &str)], value: &str, split: bool) -> Vec<u32> {
        let literals: Vec<Literal> = literals
            .iter()
            .map(|(shape, text)| Literal {
                slot: Slot(1),
                shape: *shape,
                text: text.as_bytes().into(),
            })
            .collect();
        let filter = Prefilter::new(&literals, 2, split);
        assert!(filter.looks_at(Slot(1)) && !filter.looks_at(Slot(0)));
        let mut found = Vec::new();
        filter.find(Slot(1), value.as_bytes(), |literal| found.push(literal.0));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn every_literal_that_stands_in_a_value_is_found_split_or_not() {
        use Shape::{Contains, Exact, Prefix, Suffix};
        let literals = [
            (Exact, ""),
            (Exact, "aba"),
            (Prefix, "a"),
            (Prefix, "ab"),
            (Suffix, "a"),
            (Suffix, "ba"),
            (Contains, "b"),
            (Contains, "bab"),
            (Contains, "aba"),
            (Exact, "ab"),
        ];
        for split in [true, false] {
            assert_eq!(found(&literals, "", split), [0]);
            assert_eq!(found(&literals, "aba", split), [1, 2, 3, 4, 5, 6, 8]);
            assert_eq!(found(&literals, "ababa", split), [2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(found(&literals, "a", split), [2, 4]);
            assert_eq!(found(&literals, "x", split), [0; 0]);
        }
    }
}
