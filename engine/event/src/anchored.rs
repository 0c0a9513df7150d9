//! The fast path of the scanner: lines whose members come in an order that was seen before.
//!
//! Laurel writes the members of a record in one order, line after line. So the objects of each place in a
//! line have a *shape*: for every member what came next last time, as the bytes to compare in one step, from
//! the comma before the name to the quote or bracket that opens the value. Where they stand, the text is valid
//! so far, and the symbol is known without a look-up. A member that comes out of turn is looked up, or learned,
//! and is the one expected from then on.
//!
//! ```text
//! shape of SYSCALL      start -> {"arch":" -> ,"syscall": -> ,"success":" -> .. -> }
//! shape of SYSCALL.PID  start -> {"EVENT_ID":" -> }      (or {"START_TIME":", second in line)
//! ```
//!
//! Strings end where one bit mask of all quotes of the line says, made beforehand; every value is checked
//! against the whole grammar. Everything unusual (blanks, escaped names, more names than a shape holds, any
//! mistake) is not for this path: it says so, and [`crate::scan::fill`] reads the line again from its start.
//! The two give the same tape, but for scalars that nobody reads ([`Fields::is_idle`]): this path leaves
//! them out.
//!
//! No name stands twice in an object along the expected members: what is expected next always has a higher
//! rank. A name that is new takes its rank right behind the one before it, so that ranks follow the order in
//! which members come. Once one comes against it, all that follow are looked for among those before them.

//!
//! Most members say what they said in the line before: user ids, capabilities, modes. Where several such
//! members stand in a row, they are a [`runs::Run`]: compared as a whole, and their nodes copied.

#![expect(
    clippy::inline_always,
    reason = "only as one function does the state of the walk stay in registers"
)]

mod runs;

use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use wide::u8x16;

use runs::{Recent, Run, Step};

use crate::field::{ALL_IDS, MISSING_ID, PREFIXED, ids_of, missing_ids};
use crate::normalise::is_record_name;
use crate::scan::{self, BLOCK, Block, Escapes};
use crate::symbol::Symbol;
use crate::{Fields, Kind, Node, Profile, Span, Tape, fallback};

/// Longer texts are for the scanner.
const TEXT_MAX: usize = 1 << 20;
/// Members of one shape.
const STEPS_MAX: usize = 512;
/// Members of all shapes.
const MEMBERS_MAX: usize = 1 << 14;
/// Members of one object that may come out of turn: each is looked for among all before it.
const STRAYS_MAX: u32 = 64;
/// Longer names are not learned.
const NAME_MAX: usize = 64;
/// Lines refused for want of room in the shapes after which all of them are learned anew.
const RELEARN: u32 = 1 << 10;
/// Of so many lines one goes step by step, to learn which members keep their values.
const LEARN_EACH: u32 = 64;
/// At the start all lines do.
const LEARN_FIRST: u32 = 64;
/// Bytes of a member that are compared in one step.
const HEAD: usize = 16;

/// Stands nowhere: nothing was learned yet.
const NEVER: u32 = 0;
/// The end of an object behind a member, and right behind its start.
const END: u32 = 1;
const EMPTY: u32 = 2;
/// What the first member of the root follows.
const ROOT: u32 = 3;

/// What was learned from the lines before, and scratch memory.
#[derive(Clone, Debug)]
pub(crate) struct Anchored {
    members: Vec<Member>,
    /// Of each member what only learning needs.
    learned: Vec<Learned>,
    /// Members by shape and text.
    table: HashTable<u32>,
    /// Whether numeric ids must be known because some line had translated ones alone (N14).
    keeps_ids: bool,
    /// Lines refused since the shapes were full.
    refused: u32,
    /// Of the first nothing is asked.
    runs: Vec<Run>,
    lines: u32,
    masks: Vec<Masks>,
    open: Vec<Container>,
    trail: Vec<Step>,
}

/// One step through an object: a member up to its value, or the object's end.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// `,"name":"`, its first 16 bytes, and which of them count; bits beyond them, so that it is never
    /// found, if it is longer.
    head: u8x16,
    mask: u32,
    /// Bytes up to a string's first one, or up to where another value begins.
    len: u32,
    name_len: u32,
    /// What came next, the last one first.
    next: [u32; 2],
    /// The run that begins here; [`NEVER`] if none was learned.
    run: u32,
    /// What the first member of the objects in its value follows; [`NEVER`] before the first of them.
    below: u32,
    /// What its name says of ids, see [`ids_of`].
    ids: u32,
    /// What it says as well where a number or literal is expected and something else stands.
    text_ids: u32,
    symbol: Symbol,
    value: Opening,
    /// Whether a scalar gets a node.
    keeps: bool,
}

/// What opens a member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    String,
    /// A number or literal.
    Plain,
    Object,
    Array,
    /// There is no value: the object ends.
    End,
}

#[derive(Clone, Debug)]
struct Learned {
    /// `,"name":"` whole.
    text: Box<[u8]>,
    /// The start of its shape; of a start itself.
    start: u32,
    /// Order of its name among those of its shape, from 1; of a start, 0.
    rank: u16,
    /// Of a start: whether its objects may be audit records, by the name before them.
    is_record: bool,
    /// Of a start: whether they lie in no other such object, so that idle members may be left out.
    is_outer: bool,
    /// Of a start: all members of its shape.
    members: Vec<u32>,
    recent: Recent,
}

/// An object or array that is being read.
#[derive(Clone, Copy, Debug)]
struct Container {
    node: u32,
    /// The last member read; of an array, what the first member of an object in it follows.
    last: u32,
    ids: u32,
    /// All bits; none once a member came out of turn, so that nothing is expected any more.
    in_turn: u32,
    /// Members from the first one out of turn on.
    strays: u32,
    is_object: bool,
}

/// Of one block of the text.
#[derive(Clone, Copy, Debug)]
struct Masks {
    /// Quotes that begin or end a string.
    quotes: u64,
    /// Bytes that need a second look inside a string, see [`scan`].
    marks: u64,
}

/// For whom a text is read.
#[derive(Clone, Copy)]
struct Readers<'a> {
    fields: &'a Fields,
    profile: &'a Profile,
}

impl Default for Anchored {
    fn default() -> Self {
        let mut anchored = Self {
            members: vec![],
            learned: vec![],
            table: HashTable::new(),
            keeps_ids: false,
            refused: 0,
            runs: vec![],
            lines: 0,
            masks: vec![],
            open: vec![],
            trail: vec![],
        };
        anchored.forget();
        anchored
    }
}

impl Anchored {
    /// Reads one JSON object onto the tape, with the symbols of all its names. `None`: the text is not for
    /// this path, and the tape's content is undefined.
    pub(crate) fn fill(
        &mut self,
        text: &[u8],
        tape: &mut Tape,
        fields: &Fields,
        profile: &Profile,
    ) -> Option<()> {
        if text.first() != Some(&b'{') || text.len() > TEXT_MAX {
            return None;
        }
        if self.refused >= RELEARN {
            self.forget();
        }
        let mut masks = std::mem::take(&mut self.masks);
        let marked = find_quotes(text, &mut masks);
        tape.restart();
        let values = Values {
            text,
            masks: &masks,
            next_mark: if marked { 0 } else { usize::MAX },
            beyond_ascii: false,
        };
        let readers = Readers { fields, profile };
        self.lines = self.lines.wrapping_add(1);
        let learns = self.lines.is_multiple_of(LEARN_EACH) || self.lines < LEARN_FIRST;
        let read = if learns {
            self.walk::<true>(values, tape, readers)
        } else {
            self.walk::<false>(values, tape, readers)
        };
        self.masks = masks;
        let Read { end, beyond_ascii } = read?;
        if learns && !beyond_ascii && !tape.duplicates {
            self.learn_runs(text, tape);
        }
        if !scan::is_blank(&text[end..]) || beyond_ascii && fallback::checked_text(text).is_err() {
            return None;
        }
        tape.is_named = true;
        Some(())
    }

    /// Forgets all shapes.
    fn forget(&mut self) {
        self.members.clear();
        self.learned.clear();
        self.table.clear();
        self.runs.clear();
        self.runs.push(Run::default());
        self.refused = 0;
        self.add(Member::new(b"", Opening::Plain), b"", NEVER, 0);
        self.members[NEVER as usize].mask = u32::MAX;
        self.add(Member::new(b"}", Opening::End), b"}", NEVER, 0);
        self.add(Member::new(b"{}", Opening::End), b"{}", NEVER, 0);
        self.start(false, false);
    }

    fn add(&mut self, member: Member, text: &[u8], start: u32, rank: u16) -> u32 {
        self.members.push(member);
        self.learned.push(Learned {
            text: text.into(),
            start,
            rank,
            is_record: false,
            is_outer: false,
            members: vec![],
            recent: Recent::default(),
        });
        number(self.members.len() - 1)
    }

    /// The start of a new shape.
    fn start(&mut self, is_record: bool, is_outer: bool) -> u32 {
        let start = self.add(Member::new(b"", Opening::Plain), b"", NEVER, 0);
        let learned = &mut self.learned[start as usize];
        (learned.start, learned.is_record, learned.is_outer) = (start, is_record, is_outer);
        start
    }

    /// Reads the object at the text's start; gives what lies behind it.
    ///
    /// With `LEARNS` it goes step by step and leaves a trail for [`Anchored::learn_runs`].
    fn walk<const LEARNS: bool>(
        &mut self,
        mut values: Values<'_>,
        tape: &mut Tape,
        readers: Readers<'_>,
    ) -> Option<Read> {
        let text = values.text;
        let nesting = readers.profile.limits.nesting;
        if nesting == 0 {
            return None;
        }
        self.open.clear();
        self.trail.clear();
        tape.nodes
            .push(container(Span::NONE, Symbol::ELEMENT, Kind::Object, 0));
        let mut top = Container {
            node: Tape::ROOT,
            last: ROOT,
            ids: 0,
            in_turn: u32::MAX,
            strays: 0,
            is_object: true,
        };
        let mut expected = self.members[ROOT as usize].next[0];
        let mut at = 0;
        loop {
            // The values of an object, until one of them is an object or array, or it ends.
            let (mut opened, mut key, mut symbol, mut below) =
                (Opening::End, Span::NONE, Symbol::ELEMENT, top.last);
            if top.is_object {
                loop {
                    let mut member = self.members.get(expected as usize)?;
                    if !LEARNS
                        && member.run != NEVER
                        && let Some(run) = self.runs[member.run as usize].find(text, at)
                    {
                        run.emit(tape, at);
                        at += run.text.len();
                        top.last = run.last;
                        top.ids |= run.ids;
                        expected = self.members[run.last as usize].next[0] & top.in_turn;
                        continue;
                    }
                    if !member.stands(text, at) {
                        let in_turn;
                        (expected, in_turn) = self.find(values, at, top, tape, readers)?;
                        if !in_turn {
                            top.in_turn = 0;
                            top.strays += 1;
                            if top.strays > STRAYS_MAX {
                                return None;
                            }
                        }
                        member = &self.members[expected as usize];
                    }
                    let begin = at;
                    key = Span::new(at + 2, at + 2 + member.name_len as usize);
                    at += member.len as usize;
                    top.last = expected;
                    expected = member.next[0] & top.in_turn;
                    let mut opening = member.value;
                    let mut ids = member.ids;
                    if opening == Opening::Plain {
                        opening = values.opening(&mut at)?;
                        if opening != Opening::Plain {
                            ids |= member.text_ids;
                        }
                    }
                    top.ids |= ids;
                    let (value, kind, mut coded);
                    match opening {
                        Opening::String => {
                            coded = false;
                            let to = values.string(at, &mut coded)?;
                            (value, kind) = (Span::new(at, to), Kind::String);
                            at = to + 1;
                        }
                        Opening::Plain => {
                            let end;
                            (kind, end) = values.plain(at)?;
                            (value, coded) = (Span::new(at, end), false);
                            at = end;
                        }
                        container => {
                            (opened, symbol, below) = (container, member.symbol, member.below);
                            break;
                        }
                    }
                    if LEARNS {
                        self.trail.push(Step {
                            member: top.last,
                            object: top.node,
                            node: member.keeps.then(|| number(tape.nodes.len())),
                            ids,
                            fits: top.in_turn != 0 && !coded,
                            text: (begin, at),
                        });
                    }
                    if member.keeps {
                        push(tape, member.symbol, key, kind, value, coded);
                    }
                }
            }
            // The values of an array, likewise.
            if !top.is_object {
                loop {
                    match *text.get(at)? {
                        b'"' => {
                            let mut coded = false;
                            let to = values.string(at + 1, &mut coded)?;
                            let value = Span::new(at + 1, to);
                            push(
                                tape,
                                Symbol::ELEMENT,
                                Span::NONE,
                                Kind::String,
                                value,
                                coded,
                            );
                            at = to + 1;
                        }
                        b'{' => {
                            opened = Opening::Object;
                            break;
                        }
                        b'[' => {
                            opened = Opening::Array;
                            break;
                        }
                        _ => {
                            let (kind, end) = values.plain(at)?;
                            let value = Span::new(at, end);
                            push(tape, Symbol::ELEMENT, Span::NONE, kind, value, false);
                            at = end;
                        }
                    }
                    match *text.get(at)? {
                        b',' => at += 1,
                        b']' => {
                            at += 1;
                            break;
                        }
                        _ => return None,
                    }
                }
            }
            if opened != Opening::End {
                if self.open.len() + 1 == nesting {
                    return None;
                }
                let is_object = opened == Opening::Object;
                if below == NEVER {
                    below = self.shape_below(top.last)?;
                }
                let kind = if is_object { Kind::Object } else { Kind::Array };
                let node = number(tape.nodes.len());
                tape.nodes.push(container(key, symbol, kind, at));
                self.open.push(top);
                top = Container {
                    node,
                    last: below,
                    ids: 0,
                    in_turn: u32::MAX,
                    strays: 0,
                    is_object,
                };
                if is_object {
                    expected = self.members[below as usize].next[0];
                    continue;
                }
                at += 1;
                if *text.get(at)? != b']' {
                    continue;
                }
                at += 1;
            }
            // The container has ended, and with it perhaps arrays around it.
            loop {
                close(tape, top.node, at);
                if top.ids != 0 {
                    self.note_ids(tape, top.ids)?;
                }
                let Some(around) = self.open.pop() else {
                    return Some(values.end(at));
                };
                top = around;
                if top.is_object {
                    expected = self.members[top.last as usize].next[0] & top.in_turn;
                    break;
                }
                let byte = *text.get(at)?;
                at += 1;
                match byte {
                    b',' => break,
                    b']' => {}
                    _ => return None,
                }
            }
        }
    }

    /// Notes what the names of a record say. `None`: nodes that are needed were left out.
    #[inline(always)]
    fn note_ids(&mut self, tape: &mut Tape, ids: u32) -> Option<()> {
        tape.ids |= ids & !ALL_IDS;
        if missing_ids(ids) {
            tape.ids |= MISSING_ID;
        }
        // A prefixed name may turn out to be a translated id as well.
        if tape.ids & (MISSING_ID | PREFIXED) != 0 && !self.keeps_ids {
            self.forget();
            self.keeps_ids = true;
            return None;
        }
        Some(())
    }

    /// What stands at `at` in the object and is not what came next last time; and whether it came in turn.
    ///
    /// PERF: takes and gives values, no references, so that the walk's state stays in registers.
    #[inline(never)]
    fn find(
        &mut self,
        values: Values<'_>,
        at: usize,
        object: Container,
        tape: &mut Tape,
        readers: Readers<'_>,
    ) -> Option<(u32, bool)> {
        let last = object.last as usize;
        let [first, second] = self.members[last].next;
        let rest = values.text.get(at..)?;
        let stands = |member: u32| {
            let step = &self.learned[member as usize].text;
            member & object.in_turn != NEVER && rest.starts_with(step)
        };
        if stands(first) {
            return Some((first, true));
        }
        let found = if stands(second) {
            second
        } else {
            self.look_up(values, at, last, readers)?
        };
        let member = &self.members[found as usize];
        if member.value == Opening::End {
            if object.in_turn == 0 {
                return Some((found, true));
            }
        } else if self.learned[found as usize].rank <= self.learned[last].rank
            || object.in_turn == 0
        {
            let name = Span::new(at + 2, at + 2 + member.name_len as usize);
            retire(values.text, tape, object.node, name);
            return Some((found, false));
        }
        self.members[last].next = [found, first];
        Some((found, true))
    }

    fn look_up(
        &mut self,
        values: Values<'_>,
        at: usize,
        last: usize,
        readers: Readers<'_>,
    ) -> Option<u32> {
        let text = values.text;
        let start = self.learned[last].start;
        let is_first = start as usize == last;
        let (before, from) = (*text.get(at)?, at + 2);
        match (before, *text.get(at + 1).unwrap_or(&b' ')) {
            (b'}', _) if !is_first => return Some(END),
            (b'{', b'}') if is_first => return Some(EMPTY),
            (b'{', b'"') if is_first => {}
            (b',', b'"') if !is_first => {}
            _ => return None,
        }
        let to = values.quote(from)?;
        if to - from > NAME_MAX || has_mark(values.masks, from, to) || *text.get(to + 1)? != b':' {
            return None;
        }
        let (value, end) = match *text.get(to + 2)? {
            b'"' => (Opening::String, to + 3),
            b'{' => (Opening::Object, to + 3),
            b'[' => (Opening::Array, to + 3),
            _ => (Opening::Plain, to + 2),
        };
        let step = &text[at..end];
        let hash = hash_in(start, step);
        let learned = &self.learned;
        let is = |&index: &u32| {
            let learned = &learned[index as usize];
            learned.start == start && *learned.text == *step
        };
        match self.table.find(hash, is) {
            Some(index) => Some(*index),
            None => self.learn(step, &text[from..to], value, last, hash, readers),
        }
    }

    fn learn(
        &mut self,
        step: &[u8],
        name: &[u8],
        value: Opening,
        last: usize,
        hash: u64,
        readers: Readers<'_>,
    ) -> Option<u32> {
        let Readers { fields, profile } = readers;
        let start = self.learned[last].start;
        let shape = &mut self.learned[start as usize];
        if shape.members.len() == STEPS_MAX || self.members.len() >= MEMBERS_MAX {
            self.refused += 1;
            return None;
        }
        let (is_record, is_outer) = (shape.is_record, shape.is_outer);
        let members = std::mem::take(&mut shape.members);
        let rank = self.rank_of(name, &members, last);
        let idle = is_outer
            && fields.is_idle(name)
            && !profile.names(name)
            && !(self.keeps_ids && ids_of(name) & ALL_IDS != 0);
        let member = Member {
            symbol: fields.symbols.find(name),
            keeps: !idle,
            // A number is no translated name, whatever it is called: `opid` is auditd's own.
            ids: match (is_record, value) {
                (false, _) => 0,
                (true, Opening::Plain) => ids_of(name) & !PREFIXED,
                (true, _) => ids_of(name),
            },
            text_ids: if is_record {
                ids_of(name) & PREFIXED
            } else {
                0
            },
            name_len: number(name.len()),
            ..Member::new(step, value)
        };
        let index = self.add(member, step, start, rank);
        self.learned[start as usize].members = [&members[..], &[index]].concat();
        self.table.insert_unique(hash, index, |&other| {
            let other = &self.learned[other as usize];
            hash_in(other.start, &other.text)
        });
        Some(index)
    }

    /// The rank for a name that was read behind the member `last`: the one it has, with another kind of value
    /// or as the first member, else the next one, and those behind it move up.
    fn rank_of(&mut self, name: &[u8], members: &[u32], last: usize) -> u16 {
        let learned = |index: u32| &self.learned[index as usize];
        let same = |index: &&u32| name_in(&learned(**index).text) == name;
        if let Some(known) = members.iter().find(same) {
            return learned(*known).rank;
        }
        let before = self.learned[last].rank;
        for index in members {
            let learned = &mut self.learned[*index as usize];
            learned.rank += u16::from(learned.rank > before);
        }
        before + 1
    }

    /// What the first member of the objects below a member follows, made on first use.
    fn shape_below(&mut self, member: u32) -> Option<u32> {
        if self.members.len() >= MEMBERS_MAX {
            self.refused += 1;
            return None;
        }
        let name = name_in(&self.learned[member as usize].text);
        let is_record = is_record_name(name);
        let around = &self.learned[self.learned[member as usize].start as usize];
        let is_outer = is_record && !around.is_record;
        let start = self.start(is_record, is_outer);
        self.members[member as usize].below = start;
        Some(start)
    }
}

impl Member {
    fn new(step: &[u8], value: Opening) -> Self {
        let mut head = [0; HEAD];
        let first = &step[..step.len().min(HEAD)];
        head[..first.len()].copy_from_slice(first);
        let bracket = usize::from(matches!(value, Opening::Object | Opening::Array));
        Self {
            head: u8x16::new(head),
            mask: if step.len() > HEAD {
                u32::MAX
            } else {
                (1 << step.len()) - 1
            },
            len: number(step.len() - bracket),
            name_len: 0,
            next: [NEVER; 2],
            run: NEVER,
            below: NEVER,
            ids: 0,
            text_ids: 0,
            symbol: Symbol::OTHER,
            value,
            keeps: false,
        }
    }

    /// Whether it stands at `at`. Of one longer than its head, and near the text's end, this says no.
    #[inline(always)]
    fn stands(&self, text: &[u8], at: usize) -> bool {
        let Some(head) = text.get(at..).and_then(<[u8]>::first_chunk) else {
            return false;
        };
        let same = u8x16::new(*head).simd_eq(self.head).to_bitmask();
        same & self.mask == self.mask
    }
}

/// The name in `,"name":"`; empty where there is none.
fn name_in(step: &[u8]) -> &[u8] {
    let rest = step.get(2..).unwrap_or_default();
    let end = memchr::memchr(b'"', rest).unwrap_or(0);
    &rest[..end]
}

/// The strings of one text.
#[derive(Clone, Copy)]
struct Values<'a> {
    text: &'a [u8],
    masks: &'a [Masks],
    /// Where the first mark stands that was not looked at yet; far behind the text if there is none.
    next_mark: usize,
    /// A string holds bytes beyond ASCII, so UTF-8 is still to be checked.
    beyond_ascii: bool,
}

/// A text was read up to `end`.
struct Read {
    end: usize,
    beyond_ascii: bool,
}

impl Values<'_> {
    /// Where the first quote from `from` on stands.
    #[inline(always)]
    fn quote(&self, from: usize) -> Option<usize> {
        let block = from / BLOCK;
        // Two blocks at once: whether a string crosses from one to the next, no branch could tell.
        let [low, high] = self.masks.get(block..)?.first_chunk()?;
        let both = u128::from(high.quotes) << BLOCK | u128::from(low.quotes);
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
        let left = (both >> (from % BLOCK)) as u64;
        if left != 0 {
            return Some(from + left.trailing_zeros() as usize);
        }
        quote_behind(self.masks, block + 1)
    }

    /// Where the string that begins at `from` ends, and whether it is coded.
    #[inline(always)]
    fn string(&mut self, from: usize, coded: &mut bool) -> Option<usize> {
        let to = self.quote(from)?;
        if to > self.next_mark {
            (*self, *coded) = self.inspect(from, to)?;
        }
        Some(to)
    }

    /// What opens the value at `at`, which goes behind a string's quote. Before it stands a name that had a
    /// number or literal the last time.
    #[inline(always)]
    fn opening(&self, at: &mut usize) -> Option<Opening> {
        Some(match self.text.get(*at)? {
            b'0'..=b'9' => Opening::Plain,
            b'"' => {
                *at += 1;
                Opening::String
            }
            b'{' => Opening::Object,
            b'[' => Opening::Array,
            _ => Opening::Plain,
        })
    }

    /// Kind and end of the number or literal at `at`.
    #[inline(always)]
    fn plain(&self, at: usize) -> Option<(Kind, usize)> {
        let first = *self.text.get(at)?;
        if first.is_ascii_digit() || first == b'-' {
            return Some((Kind::Number, scan::number_end(self.text, at)?));
        }
        let rest = &self.text[at..];
        let literals = [
            (&b"null"[..], Kind::Null),
            (b"true", Kind::Bool),
            (b"false", Kind::Bool),
        ];
        let (literal, kind) = literals
            .into_iter()
            .find(|(literal, _)| rest.starts_with(literal))?;
        Some((kind, at + literal.len()))
    }

    /// The same after the marks before `to` were looked at, and whether the string is coded.
    #[inline(never)]
    fn inspect(mut self, from: usize, to: usize) -> Option<(Self, bool)> {
        if self.next_mark < from {
            self.next_mark = mark_from(self.masks, from);
        }
        if self.next_mark >= to {
            return Some((self, false));
        }
        let seen = scan::inspect(&self.text[from..to]).ok()?;
        if seen.cut_escape {
            return None;
        }
        self.beyond_ascii |= seen.beyond_ascii;
        self.next_mark = mark_from(self.masks, to);
        Some((self, seen.coded))
    }

    fn end(&self, end: usize) -> Read {
        Read {
            end,
            beyond_ascii: self.beyond_ascii,
        }
    }
}

/// Where the first quote from this block on stands.
#[inline(never)]
fn quote_behind(masks: &[Masks], block: usize) -> Option<usize> {
    let (skipped, found) = masks
        .get(block..)?
        .iter()
        .enumerate()
        .find(|(_, masks)| masks.quotes != 0)?;
    Some((block + skipped) * BLOCK + found.quotes.trailing_zeros() as usize)
}

/// Whether a mark lies in `from..to`; looks at no more than that.
fn has_mark(masks: &[Masks], from: usize, to: usize) -> bool {
    let upto = masks.len().min(to / BLOCK + 1);
    mark_from(&masks[..upto], from) < to
}

/// Where the first mark from `from` on stands; far behind the text if there is none.
fn mark_from(masks: &[Masks], from: usize) -> usize {
    let first = from / BLOCK;
    let mut kept = u64::MAX << (from % BLOCK);
    for (block, masks) in masks.iter().enumerate().skip(first) {
        let marks = masks.marks & kept;
        if marks != 0 {
            return block * BLOCK + marks.trailing_zeros() as usize;
        }
        kept = u64::MAX;
    }
    usize::MAX
}

/// Writes the masks of all blocks; whether any byte is marked.
fn find_quotes(text: &[u8], masks: &mut Vec<Masks>) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let last = (!rest.is_empty()).then(|| scan::padded(rest));
    let mut escapes = Escapes::default();
    let mut marked = false;
    let mut masks_of = |block: &Block| {
        let masks = masks_of(block, &mut escapes);
        marked |= masks.marks != 0;
        masks
    };
    masks.clear();
    masks.extend(blocks.iter().map(&mut masks_of));
    masks.extend(last.as_ref().map(masks_of));
    // So that every block has one behind it.
    masks.push(Masks {
        quotes: 0,
        marks: 0,
    });
    marked
}

#[inline(always)]
fn masks_of(block: &Block, escapes: &mut Escapes) -> Masks {
    let (mut quotes, marks) = scan::quotes_and_marks(block);
    if marks != 0 || escapes.open {
        let first = u64::from(escapes.open);
        quotes &= !(escapes.mask(block) << 1 | first);
    }
    Masks { quotes, marks }
}

/// Writes the node of a scalar.
#[inline(always)]
fn push(tape: &mut Tape, symbol: Symbol, key: Span, kind: Kind, value: Span, coded: bool) {
    let next = number(tape.nodes.len()) + 1;
    tape.nodes.push(Node {
        key,
        value,
        kind,
        coded,
        symbol,
        next,
    });
}

/// The node of a container that begins at `at`.
#[inline(always)]
fn container(key: Span, symbol: Symbol, kind: Kind, at: usize) -> Node {
    Node {
        key,
        value: Span::new(at, at),
        kind,
        coded: false,
        symbol,
        next: 0,
    }
}

/// Ends the container of this node, which reaches up to `end`.
#[inline(always)]
fn close(tape: &mut Tape, index: u32, end: usize) {
    let next = number(tape.nodes.len());
    let node = &mut tape.nodes[index as usize];
    node.next = next;
    node.value = Span::new(node.value.offset as usize, end);
}

/// N1: a member of this name that the open object has already no longer counts.
fn retire(text: &[u8], tape: &mut Tape, object: u32, key: Span) {
    let mut at = object as usize + 1;
    while let Some(node) = tape.nodes.get_mut(at) {
        if node.key.of(text) == key.of(text) && node.symbol != Symbol::DEAD {
            node.symbol = Symbol::DEAD;
            tape.duplicates = true;
        }
        at = node.next as usize;
    }
}

fn hash_in(shape: u32, step: &[u8]) -> u64 {
    FixedState::with_seed(shape.into()).hash_one(step)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "nodes and members are fewer than the bytes of a text of 1 MiB"
)]
#[inline(always)]
fn number(index: usize) -> u32 {
    index as u32
}
