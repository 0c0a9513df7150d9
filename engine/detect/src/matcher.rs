//! One value of a rule, compiled: does it hold for one text of an event? What looks at whole fields
//! (`null`, `exists`, `fieldref`, any and all) is decided by the callers.

use std::net::IpAddr;
use std::sync::Arc;

use event::ValueKind;
use memchr::memmem::Finder;
use regex_automata::meta;
use regex_automata::util::syntax;
use sigma::{Comparison, Matcher, Part, Pattern, Regex, TimePart};

use crate::date;
use crate::number::Decimal;
use crate::text::{Unit, first_unit, folded, units};

/// Largest compiled form of a regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A text of an event, both ways it may be compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// What the value is in the event.
    pub(crate) kind: ValueKind,
    /// As the event has it.
    pub(crate) raw: &'a [u8],
    /// Its [`folded`] form.
    pub(crate) folded: &'a [u8],
}

/// A compiled test of one text.
#[derive(Debug)]
pub(crate) enum Test {
    /// Equal to this folded text.
    Exact(Box<[u8]>),
    /// Starts with this folded text.
    Prefix(Box<[u8]>),
    /// Ends with this folded text.
    Suffix(Box<[u8]>),
    /// Contains this folded text.
    Contains(Box<Finder<'static>>),
    /// Any text at all.
    Anything,
    /// Wildcards inside, or case-sensitive, or no UTF-8: unit by unit.
    Wild(Wild),
    /// `re`.
    Regex(Box<meta::Regex>),
    /// `cidr`.
    Cidr(ipnet::IpNet),
    /// A boolean or its text.
    Bool(bool),
    /// `lt` and its kin.
    Compare(Comparison, Decimal),
    /// Part of a date.
    Time(TimePart, i64),
    /// Never: what a rule cannot mean for a single text.
    Never,
}

/// A pattern with wildcards, as units.
#[derive(Debug)]
pub(crate) struct Wild {
    tokens: Box<[Token]>,
    cased: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Unit(Unit),
    One,
    Any,
}

/// The regular expression is too large, or none.
#[derive(Debug)]
pub(crate) struct RegexRefused(pub(crate) String);

impl Test {
    /// Compiles the part of a matcher that looks at single texts.
    pub(crate) fn new(matcher: &Matcher) -> Result<Self, RegexRefused> {
        Ok(match matcher {
            Matcher::Text(pattern) => Self::pattern(pattern),
            Matcher::Regex(regex) => Self::Regex(Box::new(compile_regex(regex)?)),
            Matcher::Cidr(network) => Self::Cidr(*network),
            // A number of the event has its canonical text beside the written one (M6).
            Matcher::Number(text) => Self::Exact(text.as_bytes().into()),
            Matcher::Bool(value) => Self::Bool(*value),
            Matcher::Compare(comparison, text) => Decimal::parse(text.as_bytes())
                .map_or(Self::Never, |number| Self::Compare(*comparison, number)),
            Matcher::Time(part, number) => Self::Time(*part, *number),
            Matcher::AnyOf(_) | Matcher::Null | Matcher::Exists(_) | Matcher::FieldRef { .. } => {
                Self::Never
            }
        })
    }

    fn pattern(pattern: &Pattern) -> Self {
        let literal = |text: &Arc<[u8]>| folded(text).into_boxed_slice();
        if pattern.cased || pattern.parts.iter().any(no_utf8) {
            return Self::Wild(Wild::new(pattern));
        }
        match &pattern.parts[..] {
            [] => Self::Exact(Box::new([])),
            [Part::Any] => Self::Anything,
            [Part::Text(text)] => Self::Exact(literal(text)),
            [Part::Text(text), Part::Any] => Self::Prefix(literal(text)),
            [Part::Any, Part::Text(text)] => Self::Suffix(literal(text)),
            [Part::Any, Part::Text(text), Part::Any] => {
                Self::Contains(Box::new(Finder::new(&literal(text)).into_owned()))
            }
            _ => Self::Wild(Wild::new(pattern)),
        }
    }

    /// Whether it holds for this text.
    pub(crate) fn holds(&self, text: Text<'_>) -> bool {
        match self {
            Self::Exact(literal) => *text.folded == **literal,
            Self::Prefix(literal) => text.folded.starts_with(literal),
            Self::Suffix(literal) => text.folded.ends_with(literal),
            Self::Contains(finder) => finder.find(text.folded).is_some(),
            Self::Anything => true,
            Self::Wild(wild) => wild.holds(if wild.cased { text.raw } else { text.folded }),
            Self::Regex(regex) => regex_holds(regex, text.raw),
            Self::Cidr(network) => {
                address(text.raw).is_some_and(|address| network.contains(&address))
            }
            Self::Bool(value) => {
                text.kind != ValueKind::Number
                    && text.folded == if *value { &b"true"[..] } else { &b"false"[..] }
            }
            Self::Compare(comparison, number) => {
                text.kind != ValueKind::Bool
                    && Decimal::parse(text.raw)
                        .is_some_and(|value| compare(*comparison, &value, number))
            }
            Self::Time(part, number) => date::part(text.raw, *part) == Some(*number),
            Self::Never => false,
        }
    }
}

fn no_utf8(part: &Part) -> bool {
    matches!(part, Part::Text(text) if std::str::from_utf8(text).is_err())
}

/// An IPv4-mapped IPv6 address is an IPv6 address: it lies in no IPv4 network.
pub(crate) fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(crate) fn compare(comparison: Comparison, value: &Decimal, bound: &Decimal) -> bool {
    match comparison {
        Comparison::Lt => value < bound,
        Comparison::Lte => value <= bound,
        Comparison::Gt => value > bound,
        Comparison::Gte => value >= bound,
    }
}

/// A byte that is no UTF-8 stands as one U+FFFD, as `?` of a wildcard takes it: else `.` and `[^x]` would stop
/// at it, and one such byte in an argument would hide the whole from a rule.
fn regex_holds(regex: &meta::Regex, raw: &[u8]) -> bool {
    if std::str::from_utf8(raw).is_ok() {
        return regex.is_match(raw);
    }
    let mut text = String::with_capacity(raw.len() + 16);
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    regex.is_match(text.as_bytes())
}

/// Bytes in, Unicode on; a match may lie among bytes that are no UTF-8. Limited to [`REGEX_BYTES_MAX`].
fn compile_regex(regex: &Regex) -> Result<meta::Regex, RegexRefused> {
    let config = meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(REGEX_BYTES_MAX))
        .which_captures(regex_automata::nfa::thompson::WhichCaptures::None);
    meta::Builder::new()
        .configure(config)
        .syntax(syntax_of(regex))
        .build(&regex.source)
        .map_err(|error| {
            RegexRefused(match error.size_limit() {
                Some(limit) => format!(
                    "the regular expression `{}` compiles to more than {limit} bytes",
                    regex.source
                ),
                None => format!(
                    "the regular expression `{}` does not compile: {error}",
                    regex.source
                ),
            })
        })
}

/// How the source of a rule's regular expression is read.
pub(crate) fn syntax_of(regex: &Regex) -> syntax::Config {
    syntax::Config::new()
        .utf8(false)
        .unicode(true)
        .case_insensitive(regex.ignore_case)
        .multi_line(regex.multi_line)
        .dot_matches_new_line(regex.dot_all)
}

impl Wild {
    fn new(pattern: &Pattern) -> Self {
        let mut tokens = Vec::new();
        for part in &pattern.parts {
            match part {
                Part::Text(text) if pattern.cased => tokens.extend(units(text).map(Token::Unit)),
                Part::Text(text) => tokens.extend(units(&folded(text)).map(Token::Unit)),
                Part::One => tokens.push(Token::One),
                Part::Any => tokens.push(Token::Any),
            }
        }
        Self {
            tokens: tokens.into(),
            cased: pattern.cased,
        }
    }

    /// Walks both; on a mismatch the last `*` takes one unit more. Going back to an earlier `*` is never
    /// needed, so this costs at most the product of the lengths.
    fn holds(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while let Some((unit, len)) = first_unit(&text[at..]) {
            match self.tokens.get(token) {
                Some(Token::Any) => {
                    token += 1;
                    retry = Some((token, at));
                }
                Some(Token::One) => (token, at) = (token + 1, at + len),
                Some(Token::Unit(wanted)) if *wanted == unit => (token, at) = (token + 1, at + len),
                _ => {
                    let Some((behind_any, from)) = retry else {
                        return false;
                    };
                    let Some((_, len)) = first_unit(&text[from..]) else {
                        return false;
                    };
                    (token, at) = (behind_any, from + len);
                    retry = Some((behind_any, at));
                }
            }
        }
        self.tokens[token..].iter().all(|rest| *rest == Token::Any)
    }
}
