//! The scanner: one pass over a JSON text that checks all of it and writes every member to the tape.
//!
//! The text is looked at in blocks of 64 bytes, as four vectors of 16. Each block gives two bit masks: its
//! quotes, and its *marks*, bytes that need a second look inside a string (backslash, percent sign,
//! control bytes, everything beyond ASCII). From there on a string costs two bits taken off the mask of
//! quotes; its bytes are only read if a mark lies between them. That matters because Laurel's lines are
//! strings for the most part: searching quote after quote would make each search wait for the one
//! before, while taking bits off a mask lets the processor work ahead.
//!
//! All between the strings is read byte by byte with the grammar of RFC 8259, so a text passes exactly
//! if it is valid. Blanks between tokens are accepted, off the fast path.
//!
//! A refused text goes to sonic-rs once more ([`read`]), so that a mistake in here loses no event.

#![expect(
    clippy::inline_always,
    reason = "only as one function does the state of the scan stay in registers: recorded lines take a third \
              more time with plain `inline`; for the same reason no function that is kept apart takes `self`"
)]

use wide::{bytemuck, i8x16, u8x16};

use crate::symbol::Symbol;
use crate::{Fault, Kind, Limits, Node, Span, Tape, fallback};

/// Bytes per block: as many as a mask has bits.
pub(crate) const BLOCK: usize = 64;

/// Reads one JSON object, with nothing but blanks around it, onto the tape: by the scanner, and where
/// that refuses by sonic-rs, which adds one to `rescued` if it can read the text after all.
///
/// On a fault the tape's content is undefined.
pub(crate) fn read(
    text: &[u8],
    tape: &mut Tape,
    limits: &Limits,
    rescued: &mut u64,
) -> Result<(), Fault> {
    fill(text, tape, limits).or_else(|fault| rescue(fault, text, tape, limits, rescued))
}

/// Lets sonic-rs read what the scanner refused with this fault, which stands if sonic-rs refuses too.
#[cold]
fn rescue(
    fault: Fault,
    text: &[u8],
    tape: &mut Tape,
    limits: &Limits,
    rescued: &mut u64,
) -> Result<(), Fault> {
    fallback::fill(text, tape, limits).map_err(|_| fault)?;
    *rescued += 1;
    Ok(())
}

/// Reads one JSON object, with nothing but blanks around it, onto the tape.
///
/// The fault is [`Fault::Truncated`] if valid JSON could begin with `text`, [`Fault::TrailingData`] if it
/// begins with a whole object and goes on with something else, and [`Fault::InvalidJson`] otherwise, as
/// well as for invalid UTF-8 anywhere and for nesting beyond the limit. On a fault the tape's content is
/// undefined.
pub(crate) fn fill(text: &[u8], tape: &mut Tape, limits: &Limits) -> Result<(), Fault> {
    if text.len() >= Span::ARENA as usize {
        return Err(Fault::Oversize);
    }
    tape.restart();
    let mut scanner = Scanner {
        text,
        quotes: Quotes::new(text),
        beyond_ascii: false,
        nodes: &mut tape.nodes,
    };
    let end = scanner.object(limits.nesting);
    let beyond_ascii = scanner.beyond_ascii;
    match end {
        Ok(end) if !is_blank(&text[end..]) => Err(refuse(text, Fault::TrailingData)),
        Ok(_) if beyond_ascii => fallback::checked_text(text).map(drop),
        Ok(_) => Ok(()),
        Err(fault) => Err(refuse(text, fault)),
    }
}

/// The fault to report: invalid UTF-8 anywhere outdoes what the grammar found.
#[cold]
fn refuse(text: &[u8], fault: Fault) -> Fault {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_some() => Fault::InvalidJson,
        _ => fault,
    }
}

pub(crate) fn is_blank(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

struct Scanner<'a, 't> {
    text: &'a [u8],
    quotes: Quotes<'a>,
    /// A string holds bytes beyond ASCII, so UTF-8 is still to be checked. Outside of strings the
    /// grammar lets none pass.
    beyond_ascii: bool,
    nodes: &'t mut Vec<Node>,
}

impl Scanner<'_, '_> {
    /// Reads the object that is the whole text; returns where it ends.
    ///
    /// No recursion: while a container is open, its node's `next` holds the index of the container
    /// around it, which is `u32::MAX` for the root.
    fn object(&mut self, nesting: usize) -> Result<usize, Fault> {
        let (first, mut at) = self.token(0)?;
        if first != b'{' || nesting == 0 {
            return Err(Fault::InvalidJson);
        }
        let mut parent = self.push_open(Span::NONE, at, Kind::Object, u32::MAX);
        let mut in_object = true;
        let mut depth = 1;
        at += 1;
        let (second, begin) = self.token(at)?;
        if second == b'}' {
            self.close(parent, begin);
            return Ok(begin + 1);
        }
        loop {
            // An entry begins.
            let mut key = Span::NONE;
            if in_object {
                (key, at) = self.key(at)?;
            }
            let (first, begin) = self.token(at)?;
            at = match first {
                b'"' => self.string(key, begin)?,
                b'0'..=b'9' | b'-' => self.number(key, begin)?,
                b'{' | b'[' => {
                    let (kind, closing) = if first == b'{' {
                        (Kind::Object, b'}')
                    } else {
                        (Kind::Array, b']')
                    };
                    if depth == nesting {
                        return Err(Fault::InvalidJson);
                    }
                    let node = self.push_open(key, begin, kind, parent);
                    let (inner, end) = self.token(begin + 1)?;
                    if inner != closing {
                        (parent, in_object, depth, at) =
                            (node, kind == Kind::Object, depth + 1, end);
                        continue;
                    }
                    self.close(node, end);
                    end + 1
                }
                b't' => self.literal(key, begin, b"true", Kind::Bool)?,
                b'f' => self.literal(key, begin, b"false", Kind::Bool)?,
                b'n' => self.literal(key, begin, b"null", Kind::Null)?,
                _ => return Err(Fault::InvalidJson),
            };
            // An entry has ended, and with it perhaps the containers around it.
            loop {
                let (byte, begin) = self.token(at)?;
                at = begin + 1;
                match byte {
                    b',' => break,
                    b'}' if in_object => {}
                    b']' if !in_object => {}
                    _ => return Err(Fault::InvalidJson),
                }
                parent = self.close(parent, begin);
                let Some(around) = self.nodes.get(parent as usize) else {
                    return Ok(at);
                };
                in_object = around.kind == Kind::Object;
                depth -= 1;
            }
        }
    }

    /// The next byte from `at` on that is no blank, and where it stands.
    #[inline(always)]
    fn token(&self, at: usize) -> Result<(u8, usize), Fault> {
        match self.text.get(at) {
            Some(&byte) if byte > b' ' => Ok((byte, at)),
            _ => token_behind_blanks(self.text, at),
        }
    }

    /// The member's name that must come next, and where its value may begin.
    #[inline(always)]
    fn key(&mut self, at: usize) -> Result<(Span, usize), Fault> {
        let (quote, begin) = self.token(at)?;
        if quote != b'"' {
            return Err(Fault::InvalidJson);
        }
        let (from, to, _) = self.between_quotes(begin)?;
        let (colon, at) = self.token(to + 1)?;
        if colon != b':' {
            return Err(Fault::InvalidJson);
        }
        Ok((Span::new(from, to), at + 1))
    }

    /// Writes the string whose opening quote stands at `at`; returns where it ends.
    #[inline(always)]
    fn string(&mut self, key: Span, at: usize) -> Result<usize, Fault> {
        let (from, to, coded) = self.between_quotes(at)?;
        self.push(Node {
            key,
            value: Span::new(from, to),
            kind: Kind::String,
            coded,
            symbol: Symbol::OTHER,
            next: 0,
        });
        Ok(to + 1)
    }

    /// What lies between the quote at `at` and the next: from, to, and whether it is coded.
    #[inline(always)]
    fn between_quotes(&mut self, at: usize) -> Result<(usize, usize, bool), Fault> {
        // The grammar has seen every byte since the last string, so the next quote is the one at `at`.
        let opening = self.quotes.next();
        debug_assert_eq!(opening, Some(at), "quotes and grammar are in step");
        let from = at + 1;
        let Some(to) = self.quotes.next() else {
            inspect(&self.text[from..])?;
            return Err(Fault::Truncated);
        };
        if !self.quotes.marked(from, to) {
            return Ok((from, to, false));
        }
        let seen = inspect(&self.text[from..to])?;
        self.beyond_ascii |= seen.beyond_ascii;
        if seen.cut_escape {
            return Err(Fault::InvalidJson);
        }
        Ok((from, to, seen.coded))
    }

    /// Writes the number at `at`; returns where it ends.
    #[inline(always)]
    fn number(&mut self, key: Span, at: usize) -> Result<usize, Fault> {
        let end = match small_number(self.text, at) {
            Some(end) => end,
            None => number(self.text, at)?,
        };
        self.push(Node {
            key,
            value: Span::new(at, end),
            kind: Kind::Number,
            coded: false,
            symbol: Symbol::OTHER,
            next: 0,
        });
        Ok(end)
    }

    /// Writes the literal that must stand at `at`; returns where it ends.
    #[inline(always)]
    fn literal(
        &mut self,
        key: Span,
        at: usize,
        literal: &[u8],
        kind: Kind,
    ) -> Result<usize, Fault> {
        let end = at + literal.len();
        if self.text.get(at..end) != Some(literal) {
            let cut = literal.starts_with(&self.text[at..]);
            return Err(if cut {
                Fault::Truncated
            } else {
                Fault::InvalidJson
            });
        }
        self.push(Node {
            key,
            value: Span::new(at, end),
            kind,
            coded: false,
            symbol: Symbol::OTHER,
            next: 0,
        });
        Ok(end)
    }

    /// Writes the node of a scalar.
    #[inline(always)]
    fn push(&mut self, node: Node) {
        let next = self.len() + 1;
        self.nodes.push(Node { next, ..node });
    }

    /// Writes the node of a container that begins at `at`.
    #[inline(always)]
    fn push_open(&mut self, key: Span, at: usize, kind: Kind, parent: u32) -> u32 {
        let index = self.len();
        self.nodes.push(Node {
            key,
            value: Span::new(at, at),
            kind,
            coded: false,
            symbol: Symbol::OTHER,
            next: parent,
        });
        index
    }

    /// Ends the container of this node at its closing bracket; returns the container around it.
    #[inline(always)]
    fn close(&mut self, index: u32, bracket: usize) -> u32 {
        let next = self.len();
        let node = &mut self.nodes[index as usize];
        let parent = node.next;
        node.next = next;
        node.value = Span::new(node.value.offset as usize, bracket + 1);
        parent
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "fewer nodes than bytes of text, which are below 2 GiB"
    )]
    #[inline(always)]
    fn len(&self) -> u32 {
        self.nodes.len() as u32
    }
}

#[cold]
fn token_behind_blanks(text: &[u8], at: usize) -> Result<(u8, usize), Fault> {
    let rest = text.get(at..).unwrap_or_default();
    let blanks = rest.iter().take_while(|&&byte| is_blank(&[byte])).count();
    let &byte = rest.get(blanks).ok_or(Fault::Truncated)?;
    Ok((byte, at + blanks))
}

/// Gives the positions of the unescaped quotes of a text one after the other, and says whether a piece
/// behind the latest block's end holds marks.
struct Quotes<'a> {
    text: &'a [u8],
    /// Where the current block begins.
    base: usize,
    /// Quotes of the current block that have not been given yet.
    left: u64,
    /// Marks of the current block.
    marks: u64,
    /// One behind the last mark of the blocks before the current one; 0 if there is none.
    marked_before: usize,
    escapes: Escapes,
}

impl<'a> Quotes<'a> {
    fn new(text: &'a [u8]) -> Self {
        let mut quotes = Self {
            text,
            base: 0,
            left: 0,
            marks: 0,
            marked_before: 0,
            escapes: Escapes { open: false },
        };
        quotes.load();
        quotes
    }

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            let base = self.base + BLOCK;
            if base >= self.text.len() {
                return None;
            }
            if self.marks != 0 {
                self.marked_before = base - self.marks.leading_zeros() as usize;
            }
            self.base = base;
            self.load();
        }
        let at = self.base + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(at)
    }

    /// Whether a mark lies in `from..to`, where `to` is the quote given last.
    #[inline(always)]
    fn marked(&self, from: usize, to: usize) -> bool {
        if self.marks == 0 && self.marked_before <= from {
            return false;
        }
        let below_to = (1_u64 << (to - self.base)) - 1;
        let from_on = u64::MAX << from.saturating_sub(self.base);
        self.marked_before > from || self.marks & below_to & from_on != 0
    }

    /// Reads the block at `base`.
    #[inline(always)]
    fn load(&mut self) {
        let rest = &self.text[self.base..];
        match rest.first_chunk() {
            Some(block) => self.take(block),
            None => self.take(&padded(rest)),
        }
    }

    #[inline(always)]
    fn take(&mut self, block: &Block) {
        (self.left, self.marks) = quotes_and_marks(block);
        if self.marks != 0 || self.escapes.open {
            let first = u64::from(self.escapes.open);
            self.left &= !(self.escapes.mask(block) << 1 | first);
        }
    }
}

pub(crate) type Block = [u8; BLOCK];

/// The last, shorter block of a text, filled up with blanks.
pub(crate) fn padded(rest: &[u8]) -> Block {
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// One bit for each byte of the block that passes the test.
#[inline(always)]
fn mask(block: &Block, test: impl Fn(u8x16) -> u8x16) -> u64 {
    let (vectors, _) = block.as_chunks::<16>();
    let bits = vectors
        .iter()
        .map(|&vector| u64::from(test(u8x16::new(vector)).to_bitmask()));
    bits.zip([0, 16, 32, 48])
        .fold(0, |mask, (bits, shift)| mask | bits << shift)
}

/// The quotes of a block, escaped ones too, and its marks.
#[inline(always)]
pub(crate) fn quotes_and_marks(block: &Block) -> (u64, u64) {
    let is_marked = |bytes: u8x16| is_byte(bytes, b'\\') | is_byte(bytes, b'%') | is_odd(bytes);
    let quotes = mask(block, |bytes| is_byte(bytes, b'"'));
    let (vectors, _) = block.as_chunks::<16>();
    let any = vectors.iter().fold(u8x16::ZERO, |any, vector| {
        any | is_marked(u8x16::new(*vector))
    });
    // Few blocks have any, and where they are is dearer to tell.
    let marks = if any.to_bitmask() == 0 {
        0
    } else {
        mask(block, is_marked)
    };
    (quotes, marks)
}

#[inline(always)]
fn is_byte(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// Control bytes and bytes beyond ASCII: as signed numbers, both lie below the blank.
#[inline(always)]
fn is_odd(bytes: u8x16) -> u8x16 {
    bytemuck::cast(bytemuck::cast::<_, i8x16>(bytes).simd_lt(i8x16::splat(0x20)))
}

/// Finds escapes in one block of a text after the other.
#[derive(Default)]
pub(crate) struct Escapes {
    /// The block before ended in a backslash that escapes the first byte of the next.
    pub(crate) open: bool,
}

impl Escapes {
    /// Offsets of the backslashes that begin an escape in the next block of the text, which is shorter than
    /// [`BLOCK`] only at the text's end.
    #[inline]
    pub(crate) fn starts(&mut self, block: &[u8]) -> impl Iterator<Item = usize> + use<> {
        let mut starts = self.mask(&block.try_into().unwrap_or_else(|_| padded(block)));
        std::iter::from_fn(move || {
            let bit = starts.trailing_zeros() as usize;
            starts &= starts.wrapping_sub(1);
            (bit < BLOCK).then_some(bit)
        })
    }

    /// The same as a mask: every other backslash of each row of them.
    #[inline]
    pub(crate) fn mask(&mut self, block: &Block) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let backslashes = mask(block, |bytes| is_byte(bytes, b'\\')) & !u64::from(self.open);
        let firsts = backslashes & !(backslashes << 1);
        // Adding its first bit to a row clears the row, so this finds the rows that begin on an even bit.
        let even_rows = backslashes & !backslashes.wrapping_add(firsts & EVEN);
        let starts = even_rows & EVEN | backslashes & !even_rows & !EVEN;
        self.open = starts >> (BLOCK - 1) != 0;
        starts
    }
}

/// What [`inspect`] found in a string.
pub(crate) struct Seen {
    pub(crate) coded: bool,
    pub(crate) beyond_ascii: bool,
    /// The text ends within an escape.
    pub(crate) cut_escape: bool,
}

/// Checks the bytes of a string between its quotes: control bytes and wrong escapes are refused.
///
/// Block by block, since a line in a shipper's string has an escape every few bytes.
pub(crate) fn inspect(string: &[u8]) -> Result<Seen, Fault> {
    let mut seen = Seen {
        coded: false,
        beyond_ascii: false,
        cut_escape: false,
    };
    let mut escapes = Escapes { open: false };
    // Where the second half of a surrogate pair begins, which was checked with the first.
    let mut second_half = None;
    for (index, rest) in string.chunks(BLOCK).enumerate() {
        let block = rest.try_into().unwrap_or_else(|_| padded(rest));
        let beyond_ascii = mask(&block, |bytes| bytes);
        if mask(&block, is_odd) & !beyond_ascii != 0 {
            return Err(Fault::InvalidJson);
        }
        let mut starts = escapes.mask(&block);
        seen.coded |= starts != 0 || mask(&block, |bytes| is_byte(bytes, b'%')) != 0;
        seen.beyond_ascii |= beyond_ascii != 0;
        while starts != 0 {
            let at = index * BLOCK + starts.trailing_zeros() as usize;
            starts &= starts - 1;
            match string.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
                Some(b'u') if second_half == Some(at) => {}
                Some(b'u') => match unicode_escape(&string[at + 2..])? {
                    Unicode::Single => {}
                    Unicode::Pair => second_half = Some(at + 6),
                    Unicode::Cut => seen.cut_escape = true,
                },
                Some(_) => return Err(Fault::InvalidJson),
                None => seen.cut_escape = true,
            }
        }
    }
    Ok(seen)
}

/// What a `\u` begins.
enum Unicode {
    Single,
    /// Two escapes that together write one character.
    Pair,
    /// The text ends within it.
    Cut,
}

/// What the text behind a `\u` makes of it. A surrogate must be half of a pair, since a lone one is no
/// character.
fn unicode_escape(text: &[u8]) -> Result<Unicode, Fault> {
    match hex4(text)? {
        None => Ok(Unicode::Cut),
        Some(0xd800..0xdc00) => second_half(&text[4..]),
        Some(0xdc00..0xe000) => Err(Fault::InvalidJson),
        Some(_) => Ok(Unicode::Single),
    }
}

/// Whether `text`, which follows the first half of a pair, begins with the second.
fn second_half(text: &[u8]) -> Result<Unicode, Fault> {
    let Some(digits) = text.strip_prefix(br"\u") else {
        return if br"\u".starts_with(text) {
            Ok(Unicode::Cut)
        } else {
            Err(Fault::InvalidJson)
        };
    };
    match hex4(digits)? {
        None => Ok(Unicode::Cut),
        Some(0xdc00..0xe000) => Ok(Unicode::Pair),
        Some(_) => Err(Fault::InvalidJson),
    }
}

/// The number that the first four bytes write in hex; `None` if the text ends before the fourth.
fn hex4(text: &[u8]) -> Result<Option<u32>, Fault> {
    let digits = &text[..text.len().min(4)];
    let mut number = 0;
    for &digit in digits {
        number = number * 16 + char::from(digit).to_digit(16).ok_or(Fault::InvalidJson)?;
    }
    Ok((digits.len() == 4).then_some(number))
}

/// End of the number that must stand at `at`; `None` if there is none.
#[inline(always)]
pub(crate) fn number_end(text: &[u8], at: usize) -> Option<usize> {
    let digits = at + usize::from(text.get(at) == Some(&b'-'));
    small_number(text, digits).or_else(|| number(text, at).ok())
}

/// End of the number at `at` if it is one of the usual: digits alone, at most 15, with 16 bytes of
/// text from there on. `None` says nothing: [`number`] decides.
#[inline(always)]
fn small_number(text: &[u8], at: usize) -> Option<usize> {
    let bytes = u8x16::new(*text.get(at..)?.first_chunk()?);
    let digits = bytes - u8x16::splat(b'0');
    let other = !digits.simd_eq(digits.min(u8x16::splat(9))).to_bitmask();
    let len = other.trailing_zeros() as usize;
    let leading_zero = len > 1 && text[at] == b'0';
    if len == 0 || len > 15 || leading_zero || matches!(text[at + len], b'.' | b'e' | b'E') {
        return None;
    }
    Some(at + len)
}

/// End of the number at `at`: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
fn number(text: &[u8], at: usize) -> Result<usize, Fault> {
    let byte = |at: usize| text.get(at).copied();
    let digits = |at: usize| {
        let count = text
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take_while(|digit| digit.is_ascii_digit())
            .count();
        match (count, byte(at)) {
            (0, None) => Err(Fault::Truncated),
            (0, Some(_)) => Err(Fault::InvalidJson),
            _ => Ok(at + count),
        }
    };
    let from = at + usize::from(byte(at) == Some(b'-'));
    let mut at = digits(from)?;
    if byte(from) == Some(b'0') && at > from + 1 {
        return Err(Fault::InvalidJson);
    }
    if byte(at) == Some(b'.') {
        at = digits(at + 1)?;
    }
    if matches!(byte(at), Some(b'e' | b'E')) {
        at += 1;
        at = digits(at + usize::from(matches!(byte(at), Some(b'+' | b'-'))))?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests;
