//! The date in a field, for the modifiers `minute` to `year` (policy M23): ISO 8601, or seconds or
//! milliseconds since the epoch; converted to UTC, and taken as UTC where no offset is given.

use sigma::TimePart;

/// Above this an epoch number counts milliseconds.
const MILLISECONDS_FROM: i64 = 1_000_000_000_000;

/// That number of the date, or `None` if the text is no date.
pub(crate) fn part(text: &[u8], part: TimePart) -> Option<i64> {
    let seconds = seconds(std::str::from_utf8(text).ok()?)?;
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = civil(days);
    Some(match part {
        TimePart::Minute => seconds.rem_euclid(3600) / 60,
        TimePart::Hour => seconds.rem_euclid(86_400) / 3600,
        TimePart::Day => day,
        TimePart::Week => iso_week(days),
        TimePart::Month => month,
        TimePart::Year => year,
    })
}

/// RFC 3339 with milliseconds, UTC.
pub(crate) fn rfc3339(time_ms: i64) -> String {
    let (year, month, day) = civil(time_ms.div_euclid(86_400_000));
    let ms = time_ms.rem_euclid(86_400_000);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

fn seconds(text: &str) -> Option<i64> {
    let is_whole = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (epoch, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if is_whole(epoch) && is_whole(fraction) {
        let epoch: i64 = epoch.parse().ok()?;
        return Some(if epoch > MILLISECONDS_FROM {
            epoch / 1000
        } else {
            epoch
        });
    }
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let (year, month_day) = date.split_once('-')?;
    let (month, day) = month_day.split_once('-')?;
    let (year, month, day) = (
        number(year, 4, 0..=9999)?,
        number(month, 2, 1..=12)?,
        number(day, 2, 1..=31)?,
    );
    let days = days(year, month, day);
    // The 31st of a shorter month is no date.
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(days * 86_400 + time.map_or(Some(0), time_of_day)?)
}

/// `HH:MM[:SS[.fraction]]` with an optional offset, as seconds UTC since that midnight.
fn time_of_day(text: &str) -> Option<i64> {
    let (clock, offset) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) => (text.get(..at)?, offset(text.get(at..)?)?),
        None => (text, 0),
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut pieces = clock.split(':');
    let hour = number(pieces.next()?, 2, 0..=23)?;
    let minute = number(pieces.next()?, 2, 0..=59)?;
    let second = pieces
        .next()
        .map_or(Some(0), |text| number(text, 2, 0..=60))?;
    if pieces.next().is_some() {
        return None;
    }
    Some(hour * 3600 + minute * 60 + second - offset)
}

/// `Z`, `+02`, `+0200`, `+02:00` in seconds.
fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.get(1..)?.split(':').collect();
    let hours = number(digits.get(..2)?, 2, 0..=23)?;
    let minutes = match digits.get(2..)? {
        "" => 0,
        minutes => number(minutes, 2, 0..=59)?,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

fn number(text: &str, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|value| plain && range.contains(value))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years start in March here, so
/// that the leap day is the last of its year and months follow the pattern 31 30 31 30 31.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// The reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

/// Week of the ISO year: week 1 holds the year's first Thursday.
fn iso_week(at: i64) -> i64 {
    let thursday = at - (at + 3).rem_euclid(7) + 3;
    (thursday - days(civil(thursday).0, 1, 1)) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<[i64; 6]> {
        let all = [
            TimePart::Minute,
            TimePart::Hour,
            TimePart::Day,
            TimePart::Week,
            TimePart::Month,
            TimePart::Year,
        ];
        let found: Vec<i64> = all
            .into_iter()
            .filter_map(|which| part(text.as_bytes(), which))
            .collect();
        found.try_into().ok()
    }

    #[test]
    fn dates_are_read_in_every_accepted_form() {
        let expected = Some([40, 8, 24, 48, 11, 2026]);
        for text in [
            "2026-11-24T08:40:59Z",
            "2026-11-24 08:40",
            "2026-11-24T10:40:59.123+02:00",
            "2026-11-24t03:10:59-0530",
            "1795509659",
            "1795509659123",
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
        assert_eq!(parts("2026-11-24"), Some([0, 0, 24, 48, 11, 2026]));
        assert_eq!(
            parts("1999-12-31T23:59:60+00"),
            Some([0, 0, 1, 52, 1, 2000])
        );
        assert_eq!(parts("0"), Some([0, 0, 1, 1, 1, 1970]));
    }

    #[test]
    fn times_are_written_with_milliseconds() {
        assert_eq!(rfc3339(1_795_509_659_007), "2026-11-24T08:40:59.007Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn iso_weeks_belong_to_the_year_of_their_thursday() {
        for (date, week) in [
            ("2021-01-03", 53),
            ("2021-01-04", 1),
            ("2024-12-30", 1),
            ("2020-02-29", 9),
        ] {
            assert_eq!(part(date.as_bytes(), TimePart::Week), Some(week), "{date}");
        }
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "soon",
            "2026-02-30",
            "2026-13-01",
            "26-01-01",
            "2026-01-01T25:00",
            "2026-01-01T10",
            "-5",
            "1e9",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }
}
