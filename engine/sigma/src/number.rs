//! Decimal numbers as exact text: no float ever touches a number of a rule (policy M6, M24).

/// Exponents beyond this are not written out; 400 covers every finite `f64`.
const EXPONENT_MAX: i64 = 400;

/// The canonical text of a decimal number: no plus sign, no leading or trailing zeros, no exponent, no
/// `-0`. Two numbers are equal exactly if their canonical texts are.
///
/// `None` where `text` is not `[-+]? digits [. digits] [e exponent]` (a bare leading or trailing point
/// counts as YAML allows it), or where writing out its exponent would take more than 400 digits.
///
/// ```
/// assert_eq!(sigma::canonical_decimal("+04.50e1").as_deref(), Some("45"));
/// assert_eq!(sigma::canonical_decimal("18446744073709551615").as_deref(), Some("18446744073709551615"));
/// assert_eq!(sigma::canonical_decimal("0x17"), None);
/// ```
pub fn canonical_decimal(text: &str) -> Option<String> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).ok()? + exponent;
    Some(write_out(negative, &digits, point))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !is_digits(digits) {
        return None;
    }
    text.parse()
        .ok()
        .filter(|exponent: &i64| exponent.abs() <= EXPONENT_MAX)
}

/// `digits` with the decimal point after the first `point` of them (which may lie outside).
fn write_out(negative: bool, digits: &str, point: i64) -> String {
    let mut whole = String::new();
    let mut fraction = String::new();
    for _ in point..0 {
        fraction.push('0');
    }
    for (at, digit) in (0_i64..).zip(digits.chars()) {
        if at < point {
            whole.push(digit);
        } else {
            fraction.push(digit);
        }
    }
    for _ in i64::try_from(digits.len()).unwrap_or(i64::MAX)..point {
        whole.push('0');
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative && !(whole.is_empty() && fraction.is_empty()) {
        "-"
    } else {
        ""
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::canonical_decimal;

    #[test]
    fn equal_numbers_have_one_text() {
        let same = [
            ("3", "3.0"),
            ("4625", "04625"),
            ("-0", "0.00"),
            ("1e3", "1000"),
            ("12.5e-3", ".0125"),
            ("-7.", "-7"),
            ("+1", "1"),
        ];
        for (left, right) in same {
            assert!(canonical_decimal(left).is_some(), "{left}");
            assert_eq!(
                canonical_decimal(left),
                canonical_decimal(right),
                "{left} {right}"
            );
        }
    }

    #[test]
    fn integers_stay_exact_beyond_the_range_of_floats() {
        let (odd, even) = ("9007199254740993", "9007199254740992");
        assert_eq!(canonical_decimal(odd).as_deref(), Some(odd));
        assert_ne!(canonical_decimal(odd), canonical_decimal(even));
    }

    #[test]
    fn what_is_no_decimal_number_has_no_text() {
        for text in [
            "", "-", ".", "e5", "1e", "0x10", "1_000", "1 ", "NaN", ".inf", "1e9999", "٣",
        ] {
            assert_eq!(canonical_decimal(text), None, "{text:?}");
        }
    }
}
