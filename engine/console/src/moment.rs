//! Points in time as people write and read them: `2h` ago, or RFC 3339.

use jiff::Timestamp;

use crate::settings::parse_duration;

/// `2h`, `1d12h`: so long before `now_ms`; else a time of RFC 3339, such as `2026-11-24T08:30:00Z`. In
/// milliseconds since the epoch; `None` if it is neither, or lies outside of what can be said.
pub fn parse(text: &str, now_ms: i64) -> Option<i64> {
    if let Some(ago) = parse_duration(text) {
        return now_ms.checked_sub(i64::try_from(ago.as_millis()).ok()?);
    }
    let time: Timestamp = text.trim().parse().ok()?;
    Some(time.as_millisecond())
}

/// The time in RFC 3339, to the second; `None` where it lies outside of what can be said.
pub fn rfc3339(ms: i64) -> Option<String> {
    let seconds = Timestamp::from_second(ms.div_euclid(1000)).ok()?;
    Some(seconds.to_string())
}

/// How long ago it was, in one unit; what lies ahead is `now`.
pub fn ago(ms: i64, now_ms: i64) -> String {
    let seconds = now_ms.saturating_sub(ms).max(0) / 1000;
    match seconds {
        0 => "now".to_owned(),
        1..120 => format!("{seconds}s ago"),
        120..7_200 => format!("{}m ago", seconds / 60),
        7_200..172_800 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_or_a_date() {
        let now = 1_700_000_000_000;
        assert_eq!(parse("2h", now), Some(now - 7_200_000));
        assert_eq!(parse("1d12h", now), Some(now - 129_600_000));
        assert_eq!(parse("2023-11-14T22:13:20Z", 0), Some(now));
        assert_eq!(parse("2023-11-15T00:13:20.5+02:00", 0), Some(now + 500));
        for neither in [
            "",
            "2",
            "yesterday",
            "2023-11-14",
            "-2h",
            "h",
            "2023-11-14T22:13:20",
        ] {
            assert_eq!(parse(neither, now), None, "{neither}");
        }
        assert_eq!(rfc3339(now + 999).as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [
            0,
            999,
            1_000,
            119_000,
            120_000,
            7_200_000,
            172_800_000,
            -5_000,
        ];
        let told: Vec<String> = ages
            .iter()
            .map(|age| ago(1_000_000_000 - age, 1_000_000_000))
            .collect();
        let expected = [
            "now", "now", "1s ago", "119s ago", "2m ago", "2h ago", "2d ago", "now",
        ];
        assert_eq!(told, expected);
    }
}
