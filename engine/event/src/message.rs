//! The `msg` of user-space records: text into members (N6), and what Laurel's hex bug did to members
//! (N7).

use crate::normal::{Normal, arena_span, piece};
use crate::symbol::{Known, Symbol, Symbols};
use crate::text::{hex_digit, hex_into};
use crate::{Counts, Kind, Span};

/// Members of a `msg` text; one with more stays text.
const MEMBERS_MAX: usize = 256;

/// Members that hold numbers, so that their hex-decoded text can be told from the true one.
const NUMBERS: [Known; 8] = [
    Known::ContainerId,
    Known::NewGid,
    Known::Sauid,
    Known::Spid,
    Known::Suid,
    Known::Rport,
    Known::Lport,
    Known::Ksize,
];
/// Members that hold printable text without blanks.
const NAMES: [Known; 3] = [Known::Hostname, Known::Addr, Known::Terminal];

/// N6: turns a `msg` that is text into an object; leaves it as it is where it is no list of `k=v`.
pub(crate) fn parse(text: &[u8], normal: &mut Normal, symbols: &Symbols, msg: u32) {
    let whole = normal.text(text, msg);
    let (inner, pairs) = {
        let bytes = normal.bytes(text, whole);
        let inner = unquoted(bytes);
        let bytes = &bytes[inner.0..inner.1];
        let pairs = Pairs { bytes, at: 0 };
        let readable = pairs
            .take(MEMBERS_MAX + 1)
            .try_fold(0, |count, pair| pair.map(|_| count + 1));
        match readable {
            Some(count @ 1..=MEMBERS_MAX) => (inner, count),
            _ => return,
        }
    };
    let inner = piece(whole, inner.0, inner.1);
    let first = normal.next_node();
    let mut at = 0;
    for _ in 0..pairs {
        let mut reader = Pairs {
            bytes: normal.bytes(text, inner),
            at,
        };
        let Some(Some(pair)) = reader.next() else {
            break;
        };
        at = reader.at;
        push_pair(text, normal, symbols, inner, first, &pair);
    }
    normal.tape.nodes[msg as usize].kind = Kind::Object;
    normal.adopt(msg, first, true);
}

/// Appends one member; an earlier one of the same name no longer counts.
fn push_pair(
    text: &[u8],
    normal: &mut Normal,
    symbols: &Symbols,
    inner: Span,
    first: u32,
    pair: &Pair,
) {
    let key = piece(inner, pair.key.0, pair.key.1);
    let mut value = piece(inner, pair.value.0, pair.value.1);
    let name = normal.bytes(text, key);
    let symbol = symbols.find(name);
    let bare = normal.bytes(text, value);
    let kind = if !pair.quoted && matches!(bare, b"?" | b"(null)") {
        Kind::Null
    } else {
        Kind::String
    };
    if !pair.quoted && matches!(name, b"acct" | b"cmd" | b"cwd" | b"exe") && is_hex(bare) {
        value = hex_decoded(text, normal, value);
    }
    for earlier in first..normal.next_node() {
        let other = normal.node(earlier).key;
        if normal.bytes(text, other) == normal.bytes(text, key) {
            normal.tape.nodes[earlier as usize].symbol = Symbol::DEAD;
        }
    }
    normal.push(symbol, key, kind, value);
}

/// Whether a bare value is one that the kernel's untrusted-string rule wrote as hex. Only asked for
/// members that hold such strings: a plain one of them would stand in quotes.
fn is_hex(bare: &[u8]) -> bool {
    !bare.is_empty()
        && bare.len().is_multiple_of(2)
        && bare.iter().all(|digit| hex_digit(*digit).is_some())
}

fn hex_decoded(text: &[u8], normal: &mut Normal, value: Span) -> Span {
    let from = normal.arena.len();
    for at in (0..value.len as usize).step_by(2) {
        let digits = normal.bytes(text, piece(value, at, at + 2));
        let byte = digits.iter().fold(0, |byte, digit| {
            byte << 4 | hex_digit(*digit).unwrap_or_default()
        });
        normal.arena.push(byte);
    }
    arena_span(from, normal.arena.len())
}

/// The part within blanks and an optional pair of outer apostrophes.
fn unquoted(bytes: &[u8]) -> (usize, usize) {
    let trim = |from: usize, to: usize| {
        let inside = &bytes[from..to];
        let start = from + inside.len() - inside.trim_ascii_start().len();
        (start, start + inside.trim_ascii().len())
    };
    let (from, to) = trim(0, bytes.len());
    match &bytes[from..to] {
        [b'\'', .., b'\''] => trim(from + 1, to - 1),
        _ => (from, to),
    }
}

/// Where a member stands in the text.
struct Pair {
    key: (usize, usize),
    value: (usize, usize),
    quoted: bool,
}

/// Reads `k=v k="v"`; gives `None` for the piece that is no such pair.
struct Pairs<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Pairs<'_> {
    type Item = Option<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        self.at += rest.len() - rest.trim_ascii_start().len();
        if self.at == self.bytes.len() {
            return None;
        }
        let pair = self.pair();
        if pair.is_none() {
            self.at = self.bytes.len();
        }
        Some(pair)
    }
}

impl Pairs<'_> {
    fn pair(&mut self) -> Option<Pair> {
        let rest = &self.bytes[self.at..];
        let equals = rest
            .iter()
            .position(|byte| matches!(byte, b'=' | b' ' | b'"' | b'\''))?;
        if equals == 0 || rest[equals] != b'=' {
            return None;
        }
        let key = (self.at, self.at + equals);
        let from = key.1 + 1;
        let value = &self.bytes[from..];
        let quoted = value.first() == Some(&b'"');
        let (from, to) = if quoted {
            let length = value[1..].iter().position(|byte| *byte == b'"')?;
            (from + 1, from + 1 + length)
        } else {
            (
                from,
                from + value
                    .iter()
                    .position(u8::is_ascii_whitespace)
                    .unwrap_or(value.len()),
            )
        };
        self.at = to + usize::from(quoted);
        let ended = self.bytes.get(self.at).is_none_or(u8::is_ascii_whitespace);
        ended.then_some(Pair {
            key,
            value: (from, to),
            quoted,
        })
    }
}

/// N7 for the members of a `msg` that came as an object.
pub(crate) fn repair(text: &[u8], normal: &mut Normal, msg: u32, counts: &mut Counts) {
    let mut members = normal.children(msg);
    while let Some(member) = members.next(normal) {
        let symbol = normal.symbol(member);
        if NUMBERS.iter().any(|number| number.symbol() == symbol) {
            repair_number(text, normal, member, counts);
        } else if NAMES.iter().any(|name| name.symbol() == symbol) {
            repair_name(text, normal, member);
        }
    }
}

/// Takes a number back that was decoded as if it were hex: decoded digits of odd length cannot have
/// been, everything else is printed as hex and taken if that is a number.
pub(crate) fn repair_number(text: &[u8], normal: &mut Normal, member: u32, counts: &mut Counts) {
    if normal.kind(member) != Kind::String {
        return;
    }
    let value = normal.text(text, member);
    let bytes = normal.bytes(text, value);
    if bytes.is_empty() || bytes.len() % 2 == 1 && bytes.iter().all(u8::is_ascii_digit) {
        return;
    }
    let printed = printed_as_hex(text, normal, value);
    if normal.bytes(text, printed).iter().all(u8::is_ascii_digit) {
        normal.tape.nodes[member as usize].value = printed;
    } else {
        counts.hex_unrepaired += 1;
    }
}

fn repair_name(text: &[u8], normal: &mut Normal, member: u32) {
    if normal.kind(member) != Kind::String {
        return;
    }
    let value = normal.text(text, member);
    if normal
        .bytes(text, value)
        .iter()
        .any(|byte| !(0x21..=0x7e).contains(byte))
    {
        normal.tape.nodes[member as usize].value = printed_as_hex(text, normal, value);
    }
}

fn printed_as_hex(text: &[u8], normal: &mut Normal, value: Span) -> Span {
    let from = normal.arena.len();
    for at in 0..value.len as usize {
        let byte = normal.bytes(text, piece(value, at, at + 1))[0];
        hex_into(&[byte], &mut normal.arena);
    }
    arena_span(from, normal.arena.len())
}
