//! Strings of the line as the bytes they stand for (N2): JSON escapes, then Laurel's percent codes,
//! each exactly once.

/// Appends the bytes that a JSON string's inside stands for.
///
/// `+` stays, a malformed code such as `%zz` stays as it is, half a surrogate pair becomes U+FFFD.
pub(crate) fn decode_into(raw: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    unescape_into(raw, out);
    percent_decode(out, from);
}

/// Appends the inside of a JSON string without its escapes.
pub(crate) fn unescape_into(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((&escape, behind)) = rest.split_first() else {
            return;
        };
        rest = behind;
        match escape {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => rest = unescape_unicode(rest, out),
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}

/// Appends what the digits behind `\u` stand for; gives what is left behind them, and behind the
/// second half of a pair.
fn unescape_unicode<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some(first) = hex_unit(digits) else {
        return digits;
    };
    let mut rest = &digits[4..];
    let mut code = first;
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = rest.strip_prefix(b"\\u").and_then(hex_unit)
        && (0xdc00..0xe000).contains(&second)
    {
        code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        rest = &rest[6..];
    }
    let decoded = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
    rest
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
    use super::{decimal, decode_into};

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
}
