//! The kinds of settings and the texts they are written in: durations (`10m`), sizes (`64MiB`), lists.

use std::fmt;
use std::time::Duration;

/// What a setting may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Any text; empty means unset.
    Text,
    /// A text that must not be empty.
    Name,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some texts: an array, or one text with commas.
    List,
    /// Some `host:port`: an array, or one text with commas.
    Brokers,
    /// A list of topics, or one text that starts with `^`: a regular expression of topics.
    Topics,
    /// A whole number, from and to.
    Whole(u64, u64),
    /// A size in bytes, from and to.
    Size(u64, u64),
    /// A duration, from and to, in milliseconds.
    Length(u64, u64),
    /// An address and port to listen on; empty means off.
    Address,
    /// The path of a PEM file, or PEM text.
    Pem,
    /// The path of a file that must exist.
    File,
    /// Names to texts, numbers or booleans; merged name by name.
    Map,
    /// Numeric user ids to names; merged id by id.
    Users,
}

/// A setting as one layer gives it, before its kind is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// A TOML string, or any text of the environment or the command line.
    Text(String),
    /// A TOML integer.
    Number(i64),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML float, by its text.
    Float(String),
    /// A TOML array; what is no text in it has become text.
    List(Vec<String>),
    /// A TOML table where a value was expected.
    Table,
}

/// A setting that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Text.
    Text(String),
    /// Texts in order.
    List(Vec<String>),
    /// A number of things.
    Whole(u64),
    /// Bytes.
    Size(u64),
    /// A duration.
    Length(Duration),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => write!(f, "{items:?}"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Size(bytes) => write!(f, "\"{}\"", size_text(*bytes)),
            Self::Length(duration) => write!(f, "\"{}\"", duration_text(*duration)),
        }
    }
}

/// What is wrong with a value, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) message: String,
    pub(super) help: String,
}

fn bad<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Bad> {
    Err(Bad {
        message: message.into(),
        help: help.into(),
    })
}

/// Reads a raw value as this kind. The value itself is never repeated in the message of a secret: the
/// caller leaves it out there.
pub(super) fn parse(kind: Kind, raw: &Raw) -> Result<Value, Bad> {
    match kind {
        Kind::Text | Kind::Pem | Kind::File => text(raw).map(Value::Text),
        Kind::Name => match text(raw)? {
            empty if empty.trim().is_empty() => bad("must not be empty", "write a name"),
            name => Ok(Value::Text(name)),
        },
        Kind::Choice(words) => choice(words, raw),
        Kind::List => list(raw).map(Value::List),
        Kind::Brokers => brokers(raw),
        Kind::Topics => topics(raw),
        Kind::Whole(from, to) => whole(raw, from, to),
        Kind::Size(from, to) => size(raw, from, to),
        Kind::Length(from, to) => length(raw, from, to),
        Kind::Address => address(raw),
        Kind::Map | Kind::Users => scalar(raw).map(Value::Text),
    }
}

fn text(raw: &Raw) -> Result<String, Bad> {
    match raw {
        Raw::Text(text) => Ok(text.clone()),
        other => bad(
            format!("is {}, not a text", describe(other)),
            "put it in quotes",
        ),
    }
}

fn scalar(raw: &Raw) -> Result<String, Bad> {
    match raw {
        Raw::Text(text) | Raw::Float(text) => Ok(text.clone()),
        Raw::Number(number) => Ok(number.to_string()),
        Raw::Bool(flag) => Ok(flag.to_string()),
        other => bad(
            format!("is {}, not a single value", describe(other)),
            "write a text, a number, true or false",
        ),
    }
}

fn choice(words: &[&str], raw: &Raw) -> Result<Value, Bad> {
    let given = text(raw)?;
    if words.contains(&given.as_str()) {
        return Ok(Value::Text(given));
    }
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.is_empty())
        .collect();
    let all = words.join(", ");
    let help = match nearest(&given, words.into_iter()) {
        Some(word) => format!("did you mean {word:?}? It may be {all}"),
        None => format!("it may be {all}"),
    };
    bad(format!("{given:?} is none of the words known here"), help)
}

fn list(raw: &Raw) -> Result<Vec<String>, Bad> {
    let items: Vec<String> = match raw {
        Raw::List(items) => items.iter().map(|item| item.trim().to_owned()).collect(),
        Raw::Text(text) if text.trim().is_empty() => Vec::new(),
        Raw::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        other => {
            return bad(
                format!("is {}, not a list", describe(other)),
                "write [\"one\", \"two\"]",
            );
        }
    };
    if items.iter().any(String::is_empty) {
        return bad(
            "holds an empty item",
            "remove the empty text or the doubled comma",
        );
    }
    Ok(items)
}

/// The client takes a port modulo 65,536, and any word for its default: neither is what was meant.
fn brokers(raw: &Raw) -> Result<Value, Bad> {
    let brokers = list(raw)?;
    let wrong = brokers.iter().find(|broker| {
        let port = port(broker).map(str::parse::<u16>);
        port.is_some_and(|port| port.unwrap_or(0) == 0)
    });
    match wrong {
        Some(broker) => bad(
            format!("{broker:?} has no port from 1 to 65535"),
            "write host:port, such as \"kafka:9092\"",
        ),
        None => Ok(Value::List(brokers)),
    }
}

/// What stands where a port stands: `host:port`, `ssl://host:port`, `[::1]:port`; not in `host` and `::1`.
fn port(broker: &str) -> Option<&str> {
    let address = broker.rsplit("://").next().unwrap_or(broker);
    let (host, port) = address.rsplit_once(':')?;
    (!host.contains(':') || host.ends_with(']')).then_some(port)
}

fn topics(raw: &Raw) -> Result<Value, Bad> {
    if let Raw::Text(text) = raw
        && text.starts_with('^')
    {
        // A regular expression may hold commas: it is no list.
        return Ok(Value::List(vec![text.clone()]));
    }
    let topics = list(raw)?;
    if topics.is_empty() {
        return bad(
            "names no topic",
            "write [\"topic\"], or \"^regex\" for every topic that it matches",
        );
    }
    if topics.len() > 1 && topics.iter().any(|topic| topic.starts_with('^')) {
        return bad(
            "mixes topics and a regular expression",
            "write either topics or one text that starts with ^",
        );
    }
    Ok(Value::List(topics))
}

fn whole(raw: &Raw, from: u64, to: u64) -> Result<Value, Bad> {
    let number = match raw {
        Raw::Number(number) => u64::try_from(*number).ok(),
        Raw::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if (from..=to).contains(&number) => Ok(Value::Whole(number)),
        Some(number) => bad(
            format!("{number} is out of range"),
            format!("write a number from {from} to {to}"),
        ),
        None => bad(
            format!("{} is no whole number", show(raw)),
            format!("write a number from {from} to {to}"),
        ),
    }
}

fn size(raw: &Raw, from: u64, to: u64) -> Result<Value, Bad> {
    let bytes = match raw {
        Raw::Number(number) => u64::try_from(*number).ok(),
        Raw::Text(text) => parse_size(text),
        _ => None,
    };
    let help = || {
        format!(
            "write a size from \"{}\" to \"{}\"",
            size_text(from),
            size_text(to)
        )
    };
    match bytes {
        Some(bytes) if (from..=to).contains(&bytes) => Ok(Value::Size(bytes)),
        Some(bytes) => bad(format!("{} is out of range", size_text(bytes)), help()),
        None => bad(
            format!("{} is no size", show(raw)),
            format!("{}; units are B KB MB GB KiB MiB GiB", help()),
        ),
    }
}

fn length(raw: &Raw, from: u64, to: u64) -> Result<Value, Bad> {
    let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
    let help = || {
        format!(
            "write a duration from \"{}\" to \"{}\"",
            duration_text(from),
            duration_text(to)
        )
    };
    let duration = match raw {
        Raw::Text(text) => parse_duration(text),
        _ => None,
    };
    match duration {
        Some(duration) if (from..=to).contains(&duration) => Ok(Value::Length(duration)),
        Some(duration) => bad(
            format!("{} is out of range", duration_text(duration)),
            help(),
        ),
        None => bad(
            format!("{} is no duration", show(raw)),
            format!("{}; units are ms s m h d", help()),
        ),
    }
}

fn address(raw: &Raw) -> Result<Value, Bad> {
    let given = text(raw)?;
    if given.is_empty() || given.parse::<std::net::SocketAddr>().is_ok() {
        return Ok(Value::Text(given));
    }
    bad(
        format!("{given:?} is no address"),
        "write an IP address and a port, such as \"127.0.0.1:9464\", or \"\" for off",
    )
}

fn describe(raw: &Raw) -> &'static str {
    match raw {
        Raw::Text(_) => "a text",
        Raw::Number(_) | Raw::Float(_) => "a number",
        Raw::Bool(_) => "true or false",
        Raw::List(_) => "a list",
        Raw::Table => "a table",
    }
}

fn show(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) => format!("{text:?}"),
        Raw::Number(number) => number.to_string(),
        Raw::Float(text) => text.clone(),
        Raw::Bool(flag) => flag.to_string(),
        Raw::List(items) => format!("{items:?}"),
        Raw::Table => "a table".to_owned(),
    }
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// `64MiB`, `900 KB`, `4096`: bytes; `None` if it is nothing of the kind or too large for 64 bits.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, factor) = SIZE_UNITS
        .iter()
        .find_map(|(unit, factor)| Some((strip_suffix_ignoring_case(text, unit)?, *factor)))
        .unwrap_or((text, 1));
    digits(number.trim_end())?.checked_mul(factor)
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (head, tail) = (text.get(..at)?, text.get(at..)?);
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

fn digits(text: &str) -> Option<u64> {
    // `u64::from_str` accepts a leading plus sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A size in its largest exact unit.
pub fn size_text(bytes: u64) -> String {
    let exact = SIZE_UNITS
        .iter()
        .find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    exact.map_or_else(
        || format!("{bytes}B"),
        |(unit, factor)| format!("{}{unit}", bytes / factor),
    )
}

const DURATION_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// `10m`, `1h30m`, `500ms`: a duration; `None` without a unit or if it is nothing of the kind.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, behind) = behind.split_at(
            behind
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(behind.len()),
        );
        let factor = DURATION_UNITS
            .iter()
            .find(|known| known.0 == unit.trim())?
            .1;
        total = total.checked_add(digits(number)?.checked_mul(factor)?)?;
        rest = behind;
    }
    Some(Duration::from_millis(total))
}

/// A duration in its largest exact unit.
pub(super) fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let exact = DURATION_UNITS
        .iter()
        .find(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor));
    exact.map_or_else(
        || "0s".to_owned(),
        |(unit, factor)| format!("{}{unit}", ms / factor),
    )
}

/// The candidate most like `given`, if one is like it at all.
pub(super) fn nearest<'a>(
    given: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let best = candidates
        .map(|candidate| (distance(given, candidate), candidate))
        .min()?;
    (best.0 <= (given.len() / 4).max(2)).then_some(best.1)
}

/// Edits (insert, remove, replace) from one text to the other, ignoring case.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.to_lowercase().chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        assert_eq!(parse_size("64MiB"), Some(67_108_864));
        assert_eq!(parse_size("900 KB"), Some(900_000));
        assert_eq!(parse_size("8mib"), Some(8_388_608));
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("7B"), Some(7));
        for wrong in [
            "",
            "MiB",
            "-1",
            "+1",
            "1.5MiB",
            "1XB",
            "99999999999GiB",
            "1 2",
        ] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_may_be_combined() {
        assert_eq!(parse_duration("10m"), Some(Duration::from_mins(10)));
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
        for wrong in [
            "",
            "10",
            "m",
            "-5s",
            "1.5h",
            "5 parsecs",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_of_sizes_and_durations_read_back() {
        for bytes in [0, 1, 1000, 1024, 900_000, 1 << 20, 64 << 20, 1_500] {
            assert_eq!(parse_size(&size_text(bytes)), Some(bytes));
        }
        for ms in [0, 1, 999, 1000, 90_000, 86_400_000] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&duration_text(duration)), Some(duration));
        }
    }

    #[test]
    fn a_word_is_suggested_only_if_it_is_alike() {
        let words = ["kafka.brokers", "kafka.group", "engine.threads"];
        assert_eq!(
            nearest("kafak.brokers", words.into_iter()),
            Some("kafka.brokers")
        );
        assert_eq!(
            nearest("engine.thread", words.into_iter()),
            Some("engine.threads")
        );
        assert_eq!(nearest("something.else", words.into_iter()), None);
    }

    #[test]
    fn a_broker_has_a_port_or_none() {
        let parsed = |text: &str| parse(Kind::Brokers, &Raw::Text(text.to_owned()));
        for good in [
            "a",
            "a:1",
            "a:65535,b:9092",
            "ssl://a:9093",
            "[::1]:9092",
            "::1",
        ] {
            assert!(parsed(good).is_ok(), "{good}");
        }
        for wrong in [
            "a:65536",
            "a:74528",
            "a:0",
            "a:",
            "a:kafka",
            "a:9092/x",
            "a:-1",
            "a:9092,b:99999",
            "ssl://a:70000",
            "[::1]:70000",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_regex_of_topics_may_hold_commas_and_is_not_mixed_with_topics() {
        let regex = Raw::Text("^laurel-.{1,3}$".to_owned());
        assert_eq!(
            parse(Kind::Topics, &regex),
            Ok(Value::List(vec!["^laurel-.{1,3}$".to_owned()]))
        );
        let mixed = Raw::List(vec!["laurel".to_owned(), "^x".to_owned()]);
        assert!(parse(Kind::Topics, &mixed).is_err());
        assert!(parse(Kind::Topics, &Raw::List(Vec::new())).is_err());
    }
}
