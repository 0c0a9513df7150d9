//! Runs: members in a row that say again what they said before.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::{Anchored, NEVER, number};
use crate::{Node, Span, Tape};

/// Texts of one run that are remembered.
const VARIANTS_MAX: usize = 8;
/// Runs that are remembered, of up to 20 KiB each.
const RUNS_MAX: usize = 1 << 10;
/// Longest text of a run, in bytes.
const TEXT_MAX: usize = 512;
/// Members of a run, at least: comparing two one by one costs as little.
const STEPS_MIN: usize = 2;
/// How often a run may be looked for in vain, one time after the other.
const MISSES_MAX: u8 = 32;

/// Members in a row whose values seldom change.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// The last one found first.
    pub(super) variants: Vec<Variant>,
    misses: u8,
    /// Memory of variants that were given up.
    spare: Vec<Variant>,
}

/// One text of a run and what it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Variant {
    /// From the comma or brace before the first member up to the end of the last one's value.
    pub(super) text: Vec<u8>,
    /// Their nodes, with offsets from the start of the text.
    nodes: Vec<Node>,
    /// The last member.
    pub(super) last: u32,
    pub(super) ids: u32,
}

impl Run {
    /// Nothing was learned yet; the memory for all variants is there, so that learning takes none in service.
    fn new() -> Self {
        let variant = || Variant {
            text: Vec::with_capacity(TEXT_MAX),
            nodes: Vec::with_capacity(TEXT_MAX / 16),
            ..Variant::default()
        };
        let mut spare = Vec::with_capacity(VARIANTS_MAX);
        spare.resize_with(VARIANTS_MAX, variant);
        Self {
            variants: Vec::with_capacity(VARIANTS_MAX),
            misses: 0,
            spare,
        }
    }

    /// The variant that stands at `at`.
    #[inline]
    pub(super) fn find(&mut self, text: &[u8], at: usize) -> Option<&Variant> {
        let rest = &text[at..];
        let found = self
            .variants
            .iter()
            .position(|variant| rest.starts_with(&variant.text));
        let Some(found) = found else {
            self.misses += 1;
            if self.misses > MISSES_MAX {
                // Learned anew if it comes back.
                self.spare.append(&mut self.variants);
                self.misses = 0;
            }
            return None;
        };
        self.misses = 0;
        if found > 0 {
            self.variants.swap(found, found - 1);
        }
        self.variants.get(found.saturating_sub(1))
    }
}

impl Variant {
    /// Writes the nodes of a run that stands at `at`.
    #[inline]
    pub(super) fn emit(&self, tape: &mut Tape, at: usize) {
        let (mut next, at) = (number(tape.nodes.len()), number(at));
        tape.nodes.extend(self.nodes.iter().map(|node| {
            next += 1;
            Node {
                key: moved(node.key, at),
                value: moved(node.value, at),
                next,
                ..*node
            }
        }));
    }
}

fn moved(span: Span, by: u32) -> Span {
    Span {
        offset: span.offset.wrapping_add(by),
        ..span
    }
}

/// A member with a scalar, as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) member: u32,
    pub(super) object: u32,
    pub(super) node: Option<u32>,
    /// What its name and value say of ids.
    pub(super) ids: u32,
    /// Whether it may be part of a run.
    pub(super) fits: bool,
    /// From the comma or brace before its name to behind its value.
    pub(super) text: (usize, usize),
}

/// Whether a member keeps its values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    /// Hashes of the last values that were new, the last one first.
    values: [u32; VARIANTS_MAX],
    /// Rises by one with each known value, falls by four with each new one.
    pub(super) score: u8,
}

impl Recent {
    const SCORE_MAX: u8 = 16;
    const STEADY: u8 = 8;

    fn note(&mut self, value: u32) {
        if self.values.contains(&value) {
            self.score = Self::SCORE_MAX.min(self.score + 1);
        } else {
            self.score = self.score.saturating_sub(4);
            self.values.rotate_right(1);
            self.values[0] = value;
        }
    }
}

impl Anchored {
    /// Learns from the trail of a line which members keep their values, and the runs of such.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "any bits of a hash will do"
    )]
    pub(super) fn learn_runs(&mut self, text: &[u8], tape: &Tape) {
        let trail = std::mem::take(&mut self.trail);
        for step in &trail {
            let value = &text[step.text.0..step.text.1];
            let hash = FixedState::default().hash_one(value) as u32;
            self.learned[step.member as usize].recent.note(hash);
        }
        let joins = |before: &Step, step: &Step| {
            before.object == step.object && before.text.1 == step.text.0
        };
        let mut rest = &trail[..];
        while !rest.is_empty() {
            let end = (1..rest.len())
                .find(|&at| !joins(&rest[at - 1], &rest[at]) || !self.is_steady(&rest[at]))
                .unwrap_or(rest.len());
            let (row, behind) = rest.split_at(end);
            rest = behind;
            let (first, last) = (row[0], row[row.len() - 1]);
            let len = last.text.1 - first.text.0;
            if row.len() >= STEPS_MIN && len <= TEXT_MAX && self.is_steady(&first) {
                self.learn_run(row, text, tape);
            }
        }
        self.trail = trail;
    }

    fn is_steady(&self, step: &Step) -> bool {
        step.fits && self.learned[step.member as usize].recent.score >= Recent::STEADY
    }

    fn learn_run(&mut self, row: &[Step], text: &[u8], tape: &Tape) {
        let (first, last) = (row[0], row[row.len() - 1]);
        let begin = first.text.0;
        let text = &text[begin..last.text.1];
        let member = &mut self.members[first.member as usize];
        if member.run == NEVER {
            if self.runs.len() == RUNS_MAX {
                return;
            }
            member.run = number(self.runs.len());
            self.runs.push(Run::new());
        }
        let run = &mut self.runs[member.run as usize];
        let known = &mut run.variants;
        if known.iter().any(|variant| variant.text == text) {
            return;
        }
        // Where all are in use, the one found longest ago makes room.
        let unused = run.spare.pop().or_else(|| known.pop());
        let Some(mut variant) = unused else {
            return;
        };
        variant.text.clear();
        variant.text.extend_from_slice(text);
        let back = 0_u32.wrapping_sub(number(begin));
        let nodes = row.iter().filter_map(|step| step.node).map(|index| {
            let node = tape.node(index);
            Node {
                key: moved(node.key, back),
                value: moved(node.value, back),
                ..node
            }
        });
        variant.nodes.clear();
        variant.nodes.extend(nodes);
        variant.last = last.member;
        variant.ids = row.iter().fold(0, |ids, step| ids | step.ids);
        known.insert(0, variant);
    }
}
