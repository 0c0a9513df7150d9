//! Numbers as Sigma compares them: exact decimals, whatever their size; no floating point anywhere.

use std::cmp::Ordering;

/// Longest decimal text that is written out from an exponent; a number beyond compares as it is written.
const DIGITS_MAX: i64 = 400;

/// A decimal number, split and trimmed: `int` without leading, `fraction` without trailing zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    int: Vec<u8>,
    fraction: Vec<u8>,
}

impl Decimal {
    /// Reads `-12.50`, `007`, `1e3`. `None` for anything else, also for blanks, `+`, hexadecimal and exponents that would
    /// take more than some hundred digits.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let (int, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
            Some(at) if at + 1 < mantissa.len() => (&mantissa[..at], &mantissa[at + 1..]),
            Some(_) => return None,
            None => (mantissa, &[][..]),
        };
        if int.is_empty() || !int.iter().chain(fraction).all(u8::is_ascii_digit) {
            return None;
        }
        let (mut int, mut fraction) = (int.to_vec(), fraction.to_vec());
        shift(&mut int, &mut fraction, exponent)?;
        int.drain(..int.iter().take_while(|&&digit| digit == b'0').count());
        fraction.truncate(
            fraction.len()
                - fraction
                    .iter()
                    .rev()
                    .take_while(|&&digit| digit == b'0')
                    .count(),
        );
        Some(Self {
            negative: negative && !(int.is_empty() && fraction.is_empty()),
            int,
            fraction,
        })
    }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Moves the point `by` digits to the right.
fn shift(int: &mut Vec<u8>, fraction: &mut Vec<u8>, by: i64) -> Option<()> {
    if by.abs() > DIGITS_MAX {
        return None;
    }
    for _ in 0..by.abs() {
        if by > 0 {
            int.push(if fraction.is_empty() {
                b'0'
            } else {
                fraction.remove(0)
            });
        } else {
            fraction.insert(0, int.pop().unwrap_or(b'0'));
        }
    }
    Some(())
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = || {
            self.int
                .len()
                .cmp(&other.int.len())
                .then_with(|| self.int.cmp(&other.int))
                .then_with(|| self.fraction.cmp(&other.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => size(),
            (true, true) => size().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The canonical text of a JSON number where it differs from how the number is written: `3` for `3.0`,
/// `1000` for `1e3`. `None` for nearly every number of an audit event, without an allocation.
pub(crate) fn canonical_if_other(written: &[u8]) -> Option<Vec<u8>> {
    let digits = written.strip_prefix(b"-").unwrap_or(written);
    let plain = digits.iter().all(u8::is_ascii_digit)
        && !(digits.first() == Some(&b'0') && written.len() > 1);
    if plain {
        return None;
    }
    let text = std::str::from_utf8(written).ok()?;
    sigma::canonical_decimal(text)
        .map(String::into_bytes)
        .filter(|text| text != written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_decimal_numbers_are_numbers() {
        for number in [
            "3",
            "3.0",
            "-0",
            "007",
            "1e3",
            "12.5E-1",
            "18446744073709551616",
        ] {
            assert!(Decimal::parse(number.as_bytes()).is_some(), "{number}");
        }
        for other in [
            "", "-", "+1", "1.", ".5", "0x1f", "1e", "1e1000", " 1", "1 ", "1e5.0", "١", "1e+-3",
        ] {
            assert!(Decimal::parse(other.as_bytes()).is_none(), "{other}");
        }
        for (one, other) in [
            ("3", "3.0"),
            ("-0", "0.0"),
            ("007", "7"),
            ("1e3", "1000"),
            ("12.5E-1", "1.25"),
        ] {
            assert_eq!(
                Decimal::parse(one.as_bytes()),
                Decimal::parse(other.as_bytes())
            );
        }
    }

    #[test]
    fn numbers_compare_exactly() {
        let less = |a: &str, b: &str| Decimal::parse(a.as_bytes()) < Decimal::parse(b.as_bytes());
        for pair in [
            "-10 -9",
            "-1 0",
            "9 10",
            "1.09 1.1",
            "18446744073709551615 18446744073709551616",
            "0.5 1",
        ] {
            let (a, b) = pair.split_once(' ').unwrap();
            assert!(less(a, b) && !less(b, a) && !less(a, a), "{pair}");
        }
    }

    #[test]
    fn only_odd_spellings_have_a_second_text() {
        for plain in ["0", "1", "-1", "4294967295"] {
            assert_eq!(canonical_if_other(plain.as_bytes()), None);
        }
        assert_eq!(canonical_if_other(b"3.0").as_deref(), Some(&b"3"[..]));
        assert_eq!(canonical_if_other(b"-0").as_deref(), Some(&b"0"[..]));
        assert_eq!(canonical_if_other(b"2.5"), None);
    }
}
