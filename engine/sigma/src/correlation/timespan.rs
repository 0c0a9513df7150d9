//! `timespan`: a whole number with a unit, to milliseconds.

/// How a timespan is written.
pub(super) const HELP: &str = "write a whole number and one of s, m, h, d, w, M, y, such as `5m`";

const YEAR_MS: i64 = 31_556_952_000;
/// Longer ones are refused, so that times of day can be added without a thought.
const MAX_MS: i64 = 100 * YEAR_MS;

/// Why a text is no timespan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax,
    Zero,
    TooLong,
}

/// Milliseconds of a timespan; above 0, at most 100 years.
///
/// SIGMA: `s`, `m`, `h` and `d`. As pySigma reads them, `w` is a week, `M` and `y` are the mean month and year of the
/// Gregorian calendar.
pub(super) fn read(text: &str) -> Result<i64, Fault> {
    let unit = text.chars().next_back().ok_or(Fault::Syntax)?;
    let unit_ms = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        'w' => 604_800_000,
        'M' => YEAR_MS / 12,
        'y' => YEAR_MS,
        _ => return Err(Fault::Syntax),
    };
    let digits = text.strip_suffix(unit).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    let number: i64 = digits.parse().map_err(|_| Fault::TooLong)?;
    if number == 0 {
        return Err(Fault::Zero);
    }
    let timespan_ms = number.checked_mul(unit_ms).ok_or(Fault::TooLong)?;
    (timespan_ms <= MAX_MS)
        .then_some(timespan_ms)
        .ok_or(Fault::TooLong)
}

impl Fault {
    pub(super) fn message(self, text: &str) -> String {
        match self {
            Self::Syntax => format!("`{text}` is not a timespan"),
            Self::Zero => "a timespan must be longer than nothing".to_owned(),
            Self::TooLong => format!("the timespan `{text}` is longer than 100 years"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, MAX_MS, read};

    #[test]
    fn a_timespan_is_a_number_with_a_unit() {
        let cases = [
            ("1s", 1_000),
            ("90s", 90_000),
            ("05m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("1M", 2_629_746_000),
            ("1y", 31_556_952_000),
            ("100y", MAX_MS),
        ];
        for (text, timespan_ms) in cases {
            assert_eq!(read(text), Ok(timespan_ms), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "", "5", "m", "5min", "1h30m", "-5m", "1.5h", "5 m", " 5m", "5D", "٣m", "5é",
        ] {
            assert_eq!(read(text), Err(Fault::Syntax), "{text:?}");
        }
        assert_eq!(read("0s"), Err(Fault::Zero));
        for text in ["101y", "99999999999999999999s", "9223372036854775807y"] {
            assert_eq!(read(text), Err(Fault::TooLong), "{text}");
        }
    }
}
