//! Strings of the line as the bytes they stand for (N2): JSON escapes, then Laurel's percent codes,
//! each exactly once.

use crate::scan::{BLOCK, Escapes};

/// Appends the bytes that a JSON string's inside stands for.
///
/// `+` stays, a malformed code such as `%zz` stays as it is, half a surrogate pair becomes U+FFFD.
pub(crate) fn decode_into(raw: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    unescape_into(raw, out);
    percent_decode(out, from);
}

/// Appends the inside of a JSON string without its escapes.
///
/// A line in a shipper's string has an escape every few bytes. So they are found block by block, as the
/// scanner does it, and what lies between two of them is copied as one vector, too long: what is too much
/// is written over by what follows.
pub(crate) fn unescape_into(raw: &[u8], out: &mut Vec<u8>) {
    if memchr::memchr(b'\\', raw).is_none() {
        return out.extend_from_slice(raw);
    }
    let (mut read, mut write) = (0, out.len());
    out.resize(write + raw.len() + VECTOR, 0);
    let mut escapes = Escapes::default();
    for (index, rest) in raw.chunks(BLOCK).enumerate() {
        for at in escapes.starts(rest).map(|bit| index * BLOCK + bit) {
            // The second half of a surrogate pair has been read with the first.
            if at >= read {
                write += copy(&raw[read..], at - read, &mut out[write..]);
                read = unescape_one(raw, at, out, &mut write);
            }
        }
    }
    let rest = &raw[read..];
    out[write..write + rest.len()].copy_from_slice(rest);
    out.truncate(write + rest.len());
}

/// Bytes that are copied at once.
const VECTOR: usize = 16;

/// Copies the first `len` bytes, which is also what it returns, and maybe more up to [`VECTOR`].
#[inline]
fn copy(from: &[u8], len: usize, to: &mut [u8]) -> usize {
    match (from.first_chunk::<VECTOR>(), to.first_chunk_mut()) {
        (Some(vector), Some(to)) if len <= VECTOR => *to = *vector,
        _ => to[..len].copy_from_slice(&from[..len]),
    }
    len
}

/// Writes what the escape at `at` stands for; returns where it ends. What it stands for is never longer.
#[inline]
fn unescape_one(raw: &[u8], at: usize, out: &mut [u8], write: &mut usize) -> usize {
    let byte = match raw.get(at + 1) {
        None => return at + 1,
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'u') => return unescape_unicode(raw, at + 2, out, write),
        Some(&other) => other,
    };
    out[*write] = byte;
    *write += 1;
    at + 2
}

/// Writes what the digits at `at`, behind `\u`, stand for; returns where they end, or the second half of
/// a pair does.
#[cold]
fn unescape_unicode(raw: &[u8], at: usize, out: &mut [u8], write: &mut usize) -> usize {
    let Some(first) = hex_unit(&raw[at..]) else {
        return at;
    };
    let mut end = at + 4;
    let mut code = first;
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = raw[end..].strip_prefix(b"\\u").and_then(hex_unit)
        && (0xdc00..0xe000).contains(&second)
    {
        code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        end += 6;
    }
    let decoded = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    *write += decoded.encode_utf8(&mut out[*write..]).len();
    end
}

fn hex_unit(digits: &[u8]) -> Option<u32> {
    digits
        .first_chunk::<4>()?
        .iter()
        .try_fold(0, |unit, digit| {
            Some(unit << 4 | u32::from(hex_digit(*digit)?))
        })
}

/// Value of a hex digit of either case.
pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Replaces the percent codes in `out` from byte `from` on by their bytes.
fn percent_decode(out: &mut Vec<u8>, from: usize) {
    let Some(first) = memchr::memchr(b'%', &out[from..]) else {
        return;
    };
    let (mut read, mut write) = (from + first, from + first);
    while let Some(&byte) = out.get(read) {
        let code = |at| out.get(at).copied().and_then(hex_digit);
        let decoded = match (byte, code(read + 1), code(read + 2)) {
            (b'%', Some(high), Some(low)) => Some(high << 4 | low),
            _ => None,
        };
        out[write] = decoded.unwrap_or(byte);
        read += if decoded.is_some() { 3 } else { 1 };
        write += 1;
    }
    out.truncate(write);
}

/// Appends bytes as lower-case hex digits.
pub(crate) fn hex_into(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// An unsigned decimal number that fills the whole text and has no sign, blank or leading garbage.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decimal, decode_into, unescape_into};

    fn decoded(raw: &str) -> Vec<u8> {
        let mut out = b"before".to_vec();
        decode_into(raw.as_bytes(), &mut out);
        out.split_off(6)
    }

    #[test]
    fn codes_are_decoded_exactly_once() {
        for (raw, expected) in [
            ("date %2b%25s", &b"date +%s"[..]),
            ("two%0alines", b"two\nlines"),
            ("%2525", b"%25"),
            ("a+b", b"a+b"),
            ("%zz %1 %", b"%zz %1 %"),
            ("%%41", b"%A"),
            ("%ca%FE", b"\xca\xfe"),
            ("%efbb%00", b"\xefbb\0"),
        ] {
            assert_eq!(decoded(raw), expected, "{raw}");
        }
    }

    #[test]
    fn json_escapes_come_off_before_the_codes() {
        for (raw, expected) in [
            (r#"say \"hi\" \\ \/"#, &br#"say "hi" \ /"#[..]),
            (r"\n\t\r\b\f", b"\n\t\r\x08\x0c"),
            (r"\u00e9\ud83d\ude00", "\u{e9}\u{1f600}".as_bytes()),
            (r"\u002541", b"A"),
            (r"%\u00341", b"A"),
            (r"\ud83d!", "\u{fffd}!".as_bytes()),
            (r"\\u0041", br"\u0041"),
        ] {
            assert_eq!(decoded(raw), expected, "{raw}");
        }
    }

    #[test]
    fn decimals_are_digits_alone() {
        assert_eq!(decimal(b"4294967295"), Some(4_294_967_295));
        for text in ["", "-1", "+1", " 1", "1.0", "18446744073709551616"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    /// What `serde_json` makes of the inside of a string.
    fn unescaped(raw: &str) -> String {
        serde_json::from_str(&format!("\"{raw}\"")).unwrap()
    }

    #[test]
    fn escapes_count_over_the_borders_of_blocks() {
        for pad in 0..130 {
            for escape in [
                "\\\\",
                "\\\"",
                "\\n",
                "\\u00e9",
                "\\ud83d\\ude00",
                "\\\\\\\\\\\\",
            ] {
                let raw = ["a".repeat(pad), escape.into(), "b".into(), escape.repeat(9)].concat();
                let mut out = vec![];
                unescape_into(raw.as_bytes(), &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), unescaped(&raw), "{raw}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn any_string_is_unescaped_like_serde_json_does(
            pieces in prop::collection::vec("[a-z%]{0,30}|\\\\[\"\\\\/bfnrt]|\\\\u00[0-7][0-9a-fA-F]|\\\\ud83d\\\\ude00|ü", 0..30)
        ) {
            let raw = pieces.concat();
            let mut out = b"before".to_vec();
            unescape_into(raw.as_bytes(), &mut out);
            prop_assert_eq!(String::from_utf8(out.split_off(6)).unwrap(), unescaped(&raw));
        }
    }
}
