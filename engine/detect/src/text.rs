//! Texts as Sigma compares them: code points under Unicode simple case folding, and single bytes where a
//! text is no UTF-8. Everything here works on bytes and allocates only when a table is first built.
//!
//! The matcher never compares two foldings: each value is folded once per view with [`fold_into`], each
//! literal once when the plan is compiled, and from there on bytes are compared as they are. That makes
//! the shared literal matchers exact for every script, with no slow path beside them. `K` (KELVIN SIGN)
//! and `ſ` fold to the ASCII letters `k` and `s`.

use std::sync::LazyLock;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// Behind the last code point with a case variant (Adlam ends at U+1E943).
const LAST_CASED: u32 = 0x1_F000;

/// Code point to its representative, sorted; only those that are not their own. Built from the tables of
/// `regex-syntax`, so patterns and regular expressions fold alike.
static FOLDS: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let mut folds = Vec::with_capacity(1500);
    for code in 0x80..LAST_CASED {
        let Some(point) = char::from_u32(code) else {
            continue;
        };
        // Without a mapping to either case there is no simple folding: a cheap test for most.
        if point.to_lowercase().eq([point]) && point.to_uppercase().eq([point]) {
            continue;
        }
        let representative = representative(point);
        if representative != point {
            folds.push((point, representative));
        }
    }
    folds
});

/// The one code point that stands for all case variants of this one: the ASCII lower-case letter if
/// there is one among them, else the smallest. Slow; the table holds its results.
pub(crate) fn representative(point: char) -> char {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(point, point)]);
    class.case_fold_simple();
    let variants = || class.iter().flat_map(|range| range.start()..=range.end());
    variants()
        .find(char::is_ascii_lowercase)
        .or_else(|| variants().next())
        .unwrap_or(point)
}

/// [`representative`], by table.
pub(crate) fn fold(point: char) -> char {
    if point.is_ascii() {
        return point.to_ascii_lowercase();
    }
    // Most of the non-ASCII text in the world: ideographs, kana, hangul.
    if ('\u{2e00}'..'\u{a640}').contains(&point) {
        return point;
    }
    FOLDS
        .binary_search_by_key(&point, |fold| fold.0)
        .map_or(point, |at| FOLDS[at].1)
}

/// Appends the folding of a text. Bytes that are no UTF-8 stay as they are; they never join their
/// neighbours to something that is, because folding turns whole code points into whole code points.
#[inline]
pub(crate) fn fold_into(out: &mut Vec<u8>, text: &[u8]) {
    if !fold_ascii_into(out, text) {
        fold_any_into(out, text);
    }
}

/// Appends the folding of a text that is ASCII; false, and nothing is appended, if it is not.
///
/// PERF: eight bytes at a time, the last eight twice where they do not come out even. Values are short, and a
/// loop by bytes took a fifth of all matching.
#[inline]
fn fold_ascii_into(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let from = out.len();
    let (words, rest) = text.as_chunks::<8>();
    let mut seen = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        seen |= word;
        out.extend_from_slice(&lower(word).to_le_bytes());
    }
    if let (false, Some(last)) = (rest.is_empty(), text.last_chunk::<8>()) {
        let word = u64::from_le_bytes(*last);
        seen |= word;
        out.truncate(from + text.len() - 8);
        out.extend_from_slice(&lower(word).to_le_bytes());
    } else if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        let word = u64::from_le_bytes(word);
        seen |= word;
        out.extend_from_slice(&lower(word).to_le_bytes());
        out.truncate(from + text.len());
    }
    let is_ascii = seen & (0x80 * EACH) == 0;
    if !is_ascii {
        out.truncate(from);
    }
    is_ascii
}

/// A one in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Eight ASCII bytes in lower case; other bytes give anything.
#[inline]
fn lower(word: u64) -> u64 {
    // The highest bit of each byte: is it at least `A`, is it above `Z`?
    let from_a = word.wrapping_add((0x80 - 0x41) * EACH);
    let above_z = word.wrapping_add((0x80 - 0x5b) * EACH);
    word | (from_a & !above_z & (0x80 * EACH)) >> 2
}

fn fold_any_into(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for point in chunk.valid().chars() {
            out.extend_from_slice(fold(point).encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(chunk.invalid());
    }
}

/// The folding of a text, as a new one.
pub(crate) fn folded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    fold_into(&mut out, text);
    out
}

/// What `?` stands for: a code point, or a byte that is part of none (numbered behind the code points).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Unit(u32);

/// The unit at the start of a text and its length in bytes; `None` at the end.
pub(crate) fn first_unit(text: &[u8]) -> Option<(Unit, usize)> {
    let &first = text.first()?;
    let len = match first {
        0..0x80 => return Some((Unit(u32::from(first)), 1)),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => 0,
    };
    let point = text
        .get(..len)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|point| point.chars().next());
    Some(
        point.map_or((Unit(0x11_0000 + u32::from(first)), 1), |point| {
            (Unit(point as u32), len)
        }),
    )
}

/// All units of a text.
pub(crate) fn units(mut text: &[u8]) -> impl Iterator<Item = Unit> + '_ {
    std::iter::from_fn(move || {
        let (unit, len) = first_unit(text)?;
        text = &text[len..];
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        String::from_utf8(folded(text.as_bytes())).unwrap()
    }

    #[test]
    fn folding_is_unicode_simple_case_folding() {
        // CaseFolding.txt, statuses C and S.
        assert_eq!(text("ABCxyz09_"), "abcxyz09_");
        assert_eq!(text("\u{212a}\u{17f}"), "ks");
        for (a, b) in [
            ("ÄÖÜ", "äöü"),
            ("Σ", "ς"),
            ("σ", "ς"),
            ("ẞ", "ß"),
            ("µ", "μ"),
            ("Ꭰ", "ꭰ"),
            ("Å", "å"),
        ] {
            assert_eq!(text(a), text(b), "{a} {b}");
        }
        // Full and Turkic foldings are not simple ones.
        for (a, b) in [("ß", "ss"), ("İ", "i"), ("ı", "i"), ("ﬁ", "fi")] {
            assert_ne!(text(a), text(b), "{a} {b}");
        }
    }

    #[test]
    fn ascii_of_any_length_folds_like_byte_by_byte() {
        let all: Vec<u8> = (0..128).collect();
        for from in 0..all.len() {
            for to in from..all.len() {
                let piece = &all[from..to];
                assert_eq!(folded(piece), piece.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn the_table_holds_every_code_point_that_folds() {
        for point in ('\u{80}'..'\u{2e00}').chain('\u{a640}'..'\u{1f000}') {
            assert_eq!(fold(point), representative(point), "{point:?}");
        }
        // The two blocks that are not looked up have no case at all.
        for (from, to) in [('\u{2e00}', '\u{a63f}'), ('\u{1f000}', char::MAX)] {
            let mut class = ClassUnicode::new([ClassUnicodeRange::new(from, to)]);
            class.case_fold_simple();
            assert_eq!(class, ClassUnicode::new([ClassUnicodeRange::new(from, to)]));
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_compare_as_themselves() {
        assert_eq!(folded(b"A\xffB\xe2\x82"), b"a\xffb\xe2\x82");
        // A stray lead byte before a code point that folds to another length stays stray.
        assert_eq!(folded("x\u{17f}".as_bytes()), b"xs");
        assert_eq!(folded(b"\xe2\xc5\xbf\x82"), b"\xe2s\x82");
        assert_eq!(units(b"\xe2\xc5\xbf\x82").count(), 3);
        assert_eq!(units("a€\u{1f600}".as_bytes()).count(), 3);
        assert_eq!(units(b"\xe2\x82\xac\xe2\x82").count(), 3);
        assert_eq!(units(b"\xc0\x80\xed\xa0\x80\xf5").count(), 6);
    }
}
