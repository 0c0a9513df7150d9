//! Witnesses: literals of which one must stand in a view wherever a rule can match it.
//!
//! A rule such as `Image ends with /perl and (CommandLine contains -e or …)` can match only where `Image` ends with
//! `/perl`; to look for that one suffix is enough to know whether the rule must be evaluated at all. Any
//! necessary predicate would do, or any set of predicates of which one is necessary; the one that common
//! values pass least often is chosen. Regular expressions and wildcards give the literals that every match of
//! theirs contains.
//!
//! All literals are folded and all values are folded before they are searched, so a literal that stands in
//! a value in some case stands there as it is.

use event::Slot;
use regex_syntax::hir::{Class, Hir, HirKind};
use sigma::{Matcher, Part, Pattern, Regex};

use crate::expression::{Expression, Predicate};
use crate::matcher::syntax_of;
use crate::text::{fold, folded};

/// Where in a value a literal must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// It is the value.
    Exact,
    /// At the start.
    Prefix,
    /// At the end.
    Suffix,
    /// Anywhere.
    Contains,
}

/// A folded text in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Literal {
    pub(crate) slot: Slot,
    pub(crate) shape: Shape,
    pub(crate) text: Box<[u8]>,
}

impl Literal {
    /// Whether it stands in this folded text.
    pub(crate) fn stands_in(&self, text: &[u8]) -> bool {
        match self.shape {
            Shape::Exact => *text == *self.text,
            Shape::Prefix => text.starts_with(&self.text),
            Shape::Suffix => text.ends_with(&self.text),
            Shape::Contains => memchr::memmem::find(text, &self.text).is_some(),
        }
    }
}

/// Most literals that one regular expression may ask for.
const ALTERNATIVES_MAX: usize = 64;

/// Values of everyday Linux events with their rough share of all values. A witness that one of them passes
/// makes its rule a candidate that often. A hint: it moves speed, never results.
const COMMON: [(&[u8], f64); 30] = [
    (b"/usr/bin/bash", 0.2),
    (b"/bin/bash", 0.1),
    (b"bash", 0.1),
    (b"/usr/bin/dash", 0.2),
    (b"/bin/sh", 0.2),
    (b"sh", 0.2),
    (b"-c", 0.1),
    (b"/usr/bin/", 0.5),
    (b"/etc/", 0.1),
    (b"/usr/bin/grep", 0.05),
    (b"/usr/bin/cat", 0.05),
    (b"/usr/bin/sed", 0.05),
    (b"/usr/bin/mawk", 0.05),
    (b"/usr/bin/ps", 0.05),
    (b"/usr/bin/sudo", 0.05),
    (b"/usr/bin/python3.11", 0.05),
    (b"/usr/sbin/sshd", 0.05),
    (b"/usr/lib/systemd/systemd", 0.05),
    (b"/tmp/", 0.05),
    (b"normal", 0.5),
    (b"parent", 0.3),
    (b"create", 0.1),
    (b"delete", 0.1),
    (b"yes", 0.9),
    (b"no", 0.1),
    (b"root", 0.5),
    (b"0", 0.5),
    (b"execve", 0.3),
    (b"openat", 0.2),
    (b"(none)", 0.3),
];

/// The cheapest witness of a condition; `None` if it may hold where none of its literals stands.
pub(crate) fn witness(
    condition: &Expression,
    predicates: &[Predicate],
    required: bool,
) -> Option<Vec<Literal>> {
    cheapest(condition, predicates, required).map(|(_, literals)| literals)
}

fn cheapest(
    condition: &Expression,
    predicates: &[Predicate],
    required: bool,
) -> Option<(f64, Vec<Literal>)> {
    match condition {
        Expression::Constant(_) | Expression::Not(_) => None,
        Expression::Predicate(index) => {
            let literals = literals(&predicates[index.0 as usize], required)?;
            Some((literals.iter().map(cost).sum(), literals))
        }
        Expression::Element(_, inner) => cheapest(inner, predicates, required),
        Expression::And(parts) => {
            let witnesses = parts
                .iter()
                .filter_map(|part| cheapest(part, predicates, required));
            witnesses.min_by(|a, b| a.0.total_cmp(&b.0))
        }
        Expression::Or(parts) => {
            let mut all = (0.0, Vec::new());
            for part in parts {
                let (cost, literals) = cheapest(part, predicates, required)?;
                all.0 += cost;
                all.1.extend(literals);
            }
            Some(all)
        }
    }
}

/// Rough share of values that a literal stands in.
fn cost(literal: &Literal) -> f64 {
    let len = f64::from(u32::try_from(literal.text.len()).unwrap_or(u32::MAX));
    let rare = match literal.shape {
        Shape::Exact => 0.002 / (1.0 + len),
        Shape::Prefix | Shape::Suffix => 0.05 / (1.0 + len),
        Shape::Contains => 0.5_f64.powf(len.min(12.0)),
    };
    let common: f64 = COMMON
        .iter()
        .filter(|(text, _)| literal.stands_in(text))
        .map(|(_, share)| share)
        .sum();
    rare + common
}

/// Literals of which one stands in some value of the slot wherever the predicate holds.
fn literals(predicate: &Predicate, required: bool) -> Option<Vec<Literal>> {
    let literal = |shape, text: &[u8]| Literal {
        slot: predicate.slot,
        shape,
        text: text.into(),
    };
    match &predicate.matcher {
        Matcher::Text(pattern) => {
            let inner = pattern
                .parts
                .iter()
                .filter(|part| matches!(part, Part::Text(_)))
                .count()
                > 1
                || pattern.parts.contains(&Part::One);
            if inner && !required {
                return None;
            }
            of_pattern(pattern, &literal).map(|literal| vec![literal])
        }
        Matcher::Number(text) => Some(vec![literal(Shape::Exact, text.as_bytes())]),
        Matcher::Bool(value) => Some(vec![literal(Shape::Exact, value.to_string().as_bytes())]),
        // A stray byte of the value counts as U+FFFD there, which the value does not hold.
        Matcher::Regex(regex) if required && !regex.source.contains('\u{fffd}') => {
            let texts = of_regex(regex)?;
            Some(
                texts
                    .iter()
                    .map(|text| literal(Shape::Contains, text))
                    .collect(),
            )
        }
        Matcher::Regex(_)
        | Matcher::Cidr(_)
        | Matcher::AnyOf(_)
        | Matcher::Null
        | Matcher::Exists(_)
        | Matcher::Compare(..)
        | Matcher::FieldRef { .. }
        | Matcher::Time(..) => None,
    }
}

fn of_pattern(pattern: &Pattern, literal: &impl Fn(Shape, &[u8]) -> Literal) -> Option<Literal> {
    if pattern.parts.is_empty() {
        return Some(literal(Shape::Exact, b""));
    }
    let last = pattern.parts.len() - 1;
    let pieces = pattern
        .parts
        .iter()
        .enumerate()
        .filter_map(|(at, part)| match part {
            Part::Text(text) if !text.is_empty() => {
                let shape = match (at == 0, at == last) {
                    (true, true) => Shape::Exact,
                    (true, false) => Shape::Prefix,
                    (false, true) => Shape::Suffix,
                    (false, false) => Shape::Contains,
                };
                Some(literal(shape, &folded(text)))
            }
            _ => None,
        });
    pieces.min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// Folded texts of which one stands in whatever the regular expression matches, each worth looking for.
pub(crate) fn of_regex(regex: &Regex) -> Option<Vec<Vec<u8>>> {
    let syntax = syntax_of(regex);
    let hir = regex_syntax::ParserBuilder::new()
        .utf8(syntax.get_utf8())
        .unicode(syntax.get_unicode())
        .case_insensitive(syntax.get_case_insensitive())
        .multi_line(syntax.get_multi_line())
        .dot_matches_new_line(syntax.get_dot_matches_new_line())
        .build()
        .parse(&regex.source)
        .ok()?;
    required(&hir).filter(|texts| texts.iter().all(|text| worthwhile(text)))
}

/// A single letter or digit stands nearly everywhere.
fn worthwhile(text: &[u8]) -> bool {
    text.len() >= 2 || matches!(text, [byte] if !byte.is_ascii_alphanumeric())
}

/// Texts of which one stands, folded, in every match.
fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(_) | HirKind::Class(_) => run(hir)
            .and_then(|text| usable(&text))
            .map(|text| vec![text]),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Repetition(_) => None,
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(required(branch)?);
            }
            (all.len() <= ALTERNATIVES_MAX).then_some(all)
        }
        HirKind::Concat(parts) => required_of_sequence(parts),
    }
}

/// The best of the runs of single characters in a sequence, and of what its other parts require.
fn required_of_sequence(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    let mut found: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut open = Vec::new();
    for part in parts {
        if matches!(part.kind(), HirKind::Look(_) | HirKind::Empty) {
            // Of no width: what stands on both sides of it is adjacent.
            continue;
        }
        if let Some(text) = run(part) {
            open.extend(text);
            continue;
        }
        found.extend(usable(&std::mem::take(&mut open)).map(|text| vec![text]));
        found.extend(required(part));
    }
    found.extend(usable(&open).map(|text| vec![text]));
    // The longest shortest text; of equal ones the smaller set.
    found.into_iter().max_by_key(|texts| {
        (
            texts.iter().map(Vec::len).min().unwrap_or(0),
            std::cmp::Reverse(texts.len()),
        )
    })
}

/// The one text that this piece matches, but for case: a literal, or a class whose members are all case
/// variants of one another.
fn run(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => run(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            let mut points = class
                .iter()
                .flat_map(|range| range.start()..=range.end())
                .take(9)
                .map(fold);
            let first = points.next()?;
            points
                .all(|point| point == first)
                .then(|| first.to_string().into_bytes())
        }
        _ => None,
    }
}

/// Only whole code points can be looked for in a folded text.
fn usable(text: &[u8]) -> Option<Vec<u8>> {
    (!text.is_empty() && std::str::from_utf8(text).is_ok()).then(|| folded(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Option<Vec<String>> {
        let regex = Regex {
            source: source.into(),
            ignore_case: false,
            multi_line: false,
            dot_all: false,
        };
        let texts = of_regex(&regex)?;
        Some(
            texts
                .into_iter()
                .map(|text| String::from_utf8(text).unwrap())
                .collect(),
        )
    }

    #[test]
    fn regular_expressions_give_what_every_match_contains() {
        for (source, texts) in [
            ("CurL", &["curl"][..]),
            (r"^a.*/dev/tcp/\d+", &["/dev/tcp/"]),
            ("(?i)Kiss", &["kiss"]),
            (r"(?:wget|curl)\s.+\|\s*sh", &["wget", "curl"]),
            (r"x{2,}(ab)+", &["ab"]),
            (r"ab\bcd$", &["abcd"]),
            ("é\u{212a}", &["ék"]),
        ] {
            let texts: Vec<String> = texts
                .iter()
                .map(|text| String::from_utf8(folded(text.as_bytes())).unwrap())
                .collect();
            assert_eq!(of(source), Some(texts), "{source}");
        }
    }

    #[test]
    fn what_may_be_absent_is_no_witness() {
        for source in [
            r"(foo)?",
            r"(foo|\d+)",
            r"[a-z]+",
            "a",
            r"(?-u:\xff)\d",
            ".*",
            "(foo){0,2}",
        ] {
            assert_eq!(of(source), None, "{source}");
        }
    }
}
