//! Why a rule matched: the values that made it, for alerts. Works on matches alone, so it may take its time.

use std::cell::RefCell;

use event::{Value, ValueKind};
use sigma::{Field, Matcher, Part, Pattern, Quantifier};

use crate::alert::{WhyMatch, WhySelection, WhyView, shown};
use crate::enrich::Cutter;
use crate::expression::{Tests, normal};
use crate::matcher::{Test, Text};
use crate::plan::{Plan, RuleIdx};
use crate::reference::{Hit, Judge, Walk};
use crate::route::view_name;
use crate::subject::Subject;
use crate::text::{fold_into, folded};

/// Most bytes of one value.
const VALUE_BYTES_MAX: usize = 256;
/// Most bytes of one matcher's text.
const MATCHER_BYTES_MAX: usize = 128;

/// What `why` says, and whether it was cut.
#[derive(Debug, Default)]
pub(crate) struct Why {
    pub(crate) views: Vec<WhyView>,
    pub(crate) truncated: bool,
    bytes: usize,
    /// Most bytes of JSON.
    limit: usize,
}

/// Compares texts by the plan's compiled tests.
struct Fast<'a> {
    tests: &'a Tests,
    /// The text asked of last, and folded: a value is held against many matchers in a row.
    last: RefCell<(Vec<u8>, Vec<u8>)>,
}

impl Judge for Fast<'_> {
    fn holds(&self, matcher: &Matcher, kind: ValueKind, raw: &[u8]) -> bool {
        let mut last = self.last.borrow_mut();
        let (known, folded) = &mut *last;
        if known != raw {
            known.clear();
            known.extend_from_slice(raw);
            folded.clear();
            fold_into(folded, raw);
        }
        let text = Text { kind, raw, folded };
        if let Some(test) = self.tests.of(matcher) {
            return test.holds(text);
        }
        let matcher = normal(matcher.clone());
        match self.tests.known(&matcher) {
            Some(test) => test.holds(text),
            None => Test::new(&matcher).is_ok_and(|test| test.holds(text)),
        }
    }
}

impl Why {
    /// Of one rule on those views of an event that it matched.
    pub(crate) fn of<'s>(
        plan: &Plan,
        rule: RuleIdx,
        views: impl Iterator<Item = Subject<'s>>,
        limit: usize,
    ) -> Self {
        let mut why = Self {
            limit,
            ..Self::default()
        };
        let judge = Fast {
            tests: plan.tests(),
            last: RefCell::default(),
        };
        for view in views {
            // Less than this holds no match.
            if !why.views.is_empty() && why.bytes + 100 > why.limit {
                why.truncated = true;
                break;
            }
            why.add_view(plan, rule, view, &judge);
        }
        why
    }

    fn add_view(&mut self, plan: &Plan, rule: RuleIdx, subject: Subject<'_>, judge: &Fast<'_>) {
        let walk = Walk {
            rule: plan.rule(rule),
            names: plan.names(rule),
            subject,
            judge,
        };
        let mut shown_view = WhyView {
            view: view_name(subject.kind),
            record: subject.source.path(subject.node),
            selections: Vec::new(),
        };
        self.bytes += size(&shown_view);
        let hits = walk.explain();
        let name_of = |hit: &Hit<'_>| {
            let selections = &walk.rule.detection.selections;
            &*selections[hit.selection.0 as usize].name
        };
        // Every selection shows one match before any shows a second, so that the limit hides none of them.
        let is_first = |at: usize| {
            hits[..at]
                .iter()
                .all(|hit| hit.selection != hits[at].selection)
        };
        let (firsts, others): (Vec<usize>, Vec<usize>) =
            (0..hits.len()).partition(|at| is_first(*at));
        for at in firsts.iter().chain(&others) {
            let (found, cut) = shown_match(&hits[*at], &subject);
            let name = name_of(&hits[*at]);
            let known = shown_view
                .selections
                .iter_mut()
                .find(|selection| selection.name == name);
            let more = size(&found) + if known.is_none() { name.len() + 24 } else { 1 };
            // The first match of all stands there in any case.
            if self.bytes + more > self.limit && !(self.views.is_empty() && *at == firsts[0]) {
                self.truncated = true;
                break;
            }
            self.bytes += more;
            self.truncated |= cut;
            match known {
                Some(selection) => selection.matches.push(found),
                None => shown_view.selections.push(WhySelection {
                    name: name.to_owned(),
                    matches: vec![found],
                }),
            }
        }
        self.views.push(shown_view);
    }
}

/// Bytes of JSON.
fn size(of: &impl serde::Serialize) -> usize {
    let mut size = Size(0);
    serde_json::to_writer(&mut size, of).map_or(0, |()| size.0)
}

/// Counts what is written.
struct Size(usize);

impl std::io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One hit for people, and whether its value was cut.
fn shown_match(hit: &Hit<'_>, subject: &Subject<'_>) -> (WhyMatch, bool) {
    let value = hit
        .value
        .map(|value| &subject.values[value])
        .filter(|value| value.kind != ValueKind::Container);
    let raw = value.map(|value| {
        if value.kind == ValueKind::Null {
            &b"null"[..]
        } else {
            subject.raw(value)
        }
    });
    let (shown_value, cut) = raw.map_or((None, false), |raw| {
        let (text, cut) = window(raw, hit.matcher);
        (Some(text), cut)
    });
    let found = WhyMatch {
        field: match &hit.item.field {
            Field::Named(name) => Some(name.to_string()),
            Field::Keywords => None,
        },
        path: value.and_then(|value| place(hit.matcher, subject, value)),
        value: shown_value,
        matcher: match hit.matcher {
            Some(matcher) => describe(matcher),
            None => negated(&hit.item.matchers, hit.item.quantifier),
        },
    };
    (found, cut)
}

/// Where the value stands; for arguments that were joined to a command line the one that the matched piece lies
/// in, if it lies in one.
fn place(matcher: Option<&Matcher>, subject: &Subject<'_>, value: &Value) -> Option<String> {
    let within = match matcher {
        Some(Matcher::Text(pattern)) => argument(pattern, &subject.source.arguments(value.node)),
        _ => None,
    };
    subject.source.path(within.unwrap_or(value.node))
}

/// The node of the argument that holds what the pattern matched in all of them joined.
fn argument(pattern: &Pattern, arguments: &[(u32, &[u8])]) -> Option<u32> {
    let piece = piece(pattern)?;
    let (first, last) = (arguments.first()?, arguments.last()?);
    let found = match (pattern.parts.first()?, pattern.parts.last()?) {
        (Part::Any, Part::Any) => arguments
            .iter()
            .find(|(_, text)| memchr::memmem::find(&folded(text), &piece).is_some()),
        (Part::Any, _) => Some(last).filter(|(_, text)| folded(text).ends_with(&piece)),
        (_, Part::Any) => Some(first).filter(|(_, text)| folded(text).starts_with(&piece)),
        _ => Some(first).filter(|_| arguments.len() == 1),
    };
    found.map(|(node, _)| *node)
}

/// The folded text of a pattern that is one text with wildcards around it at most.
fn piece(pattern: &Pattern) -> Option<Vec<u8>> {
    let mut texts = pattern.parts.iter().filter(|part| **part != Part::Any);
    match (texts.next(), texts.next()) {
        (Some(Part::Text(text)), None) => Some(folded(text)),
        _ => None,
    }
}

/// The value, or the part of it around the match.
pub(crate) fn window(raw: &[u8], matcher: Option<&Matcher>) -> (String, bool) {
    if raw.len() <= VALUE_BYTES_MAX {
        let mut cutter = Cutter::default();
        return (cutter.text(raw, 2 * VALUE_BYTES_MAX), cutter.cut);
    }
    let found = match matcher {
        Some(Matcher::Text(pattern)) => {
            // Positions agree with the raw text wherever folding keeps lengths; else the window is a little off.
            piece(pattern).and_then(|piece| memchr::memmem::find(&folded(raw), &piece))
        }
        _ => None,
    };
    let from = found
        .unwrap_or(0)
        .saturating_sub(VALUE_BYTES_MAX / 4)
        .min(raw.len());
    let to = (from + VALUE_BYTES_MAX).min(raw.len());
    let (from, to) = (boundary(raw, from), boundary(raw, to));
    let (before, behind) = (
        if from > 0 { "…" } else { "" },
        if to < raw.len() { "…" } else { "" },
    );
    let piece = Cutter::default().text(&raw[from..to], 2 * VALUE_BYTES_MAX);
    (format!("{before}{piece}{behind}"), true)
}

/// The next place at or behind `at` that is not within a code point.
fn boundary(text: &[u8], at: usize) -> usize {
    (at..text.len())
        .take(4)
        .find(|at| text[*at] & 0xc0 != 0x80)
        .unwrap_or(at.min(text.len()))
}

/// A matcher in the words of Sigma, for people; a long one is cut, with `…`.
pub(crate) fn describe(matcher: &Matcher) -> String {
    short(described(matcher))
}

/// A matcher in the words of Sigma with its modifiers applied, for people. Of a value with variants
/// ([`Matcher::AnyOf`]) the first three; ask of each for all.
///
/// ```
/// let text = "
/// title: Perl
/// logsource: {product: linux, category: process_creation}
/// detection: {selection: {CommandLine|contains: 'use Socket'}, condition: selection}
/// ";
/// let file = sigma::SourceFile { name: "perl.yml".into(), text: text.into() };
/// let loaded = sigma::load(&[file]);
/// let sigma::Search::Map(items) = &loaded.rules[0].detection.selections[0].search else { panic!() };
/// assert_eq!(detect::described(&items[0].matchers[0]), "contains 'use Socket'");
/// ```
pub fn described(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Text(pattern) => described_pattern(pattern),
        Matcher::Regex(regex) => {
            let flags = [
                (regex.ignore_case, 'i'),
                (regex.multi_line, 'm'),
                (regex.dot_all, 's'),
            ];
            let flags: String = flags
                .into_iter()
                .filter(|flag| flag.0)
                .map(|flag| flag.1)
                .collect();
            if flags.is_empty() {
                format!("re '{}'", regex.source)
            } else {
                format!("re|{flags} '{}'", regex.source)
            }
        }
        Matcher::Cidr(network) => format!("cidr {network}"),
        Matcher::Null => "is null or missing".into(),
        Matcher::Number(number) => format!("is {number}"),
        Matcher::Bool(value) => format!("is {value}"),
        Matcher::Exists(true) => "exists".into(),
        Matcher::Exists(false) => "is missing".into(),
        Matcher::Compare(comparison, number) => {
            let sign = match comparison {
                sigma::Comparison::Lt => "<",
                sigma::Comparison::Lte => "<=",
                sigma::Comparison::Gt => ">",
                sigma::Comparison::Gte => ">=",
            };
            format!("{sign} {number}")
        }
        Matcher::FieldRef {
            field,
            prefix,
            suffix,
            cased,
        } => {
            format!(
                "{}{} the field {field}",
                verb(*suffix, *prefix),
                if *cased { " (cased)" } else { "" }
            )
        }
        Matcher::Time(part, number) => {
            format!("{} is {number}", format!("{part:?}").to_lowercase())
        }
        Matcher::AnyOf(variants) => variants
            .iter()
            .take(3)
            .map(described)
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn described_pattern(pattern: &Pattern) -> String {
    let cased = if pattern.cased { " (cased)" } else { "" };
    match &pattern.parts[..] {
        [] => "is ''".into(),
        [Part::Text(text)] => format!("is{cased} '{}'", shown(text)),
        [Part::Text(text), Part::Any] => format!("startswith{cased} '{}'", shown(text)),
        [Part::Any, Part::Text(text)] => format!("endswith{cased} '{}'", shown(text)),
        [Part::Any, Part::Text(text), Part::Any] => format!("contains{cased} '{}'", shown(text)),
        parts => {
            let parts = parts.iter().map(|part| match part {
                Part::Text(text) => shown(text),
                Part::One => "?".into(),
                Part::Any => "*".into(),
            });
            format!("is like{cased} '{}'", parts.collect::<String>())
        }
    }
}

fn verb(suffix: bool, prefix: bool) -> &'static str {
    match (suffix, prefix) {
        (false, false) => "equals",
        (false, true) => "startswith",
        (true, false) => "endswith",
        (true, true) => "contains",
    }
}

fn negated(matchers: &[Matcher], quantifier: Quantifier) -> String {
    let word = if quantifier == Quantifier::All {
        " and "
    } else {
        " or "
    };
    short(format!(
        "not ({})",
        matchers
            .iter()
            .take(3)
            .map(describe)
            .collect::<Vec<_>>()
            .join(word)
    ))
}

fn short(text: String) -> String {
    if text.len() <= MATCHER_BYTES_MAX {
        return text;
    }
    let end = (0..=MATCHER_BYTES_MAX)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use event::{RecordClass, Span, ViewKind};
    use sigma::{Condition, Search, SelectionIdx};

    use super::*;
    use crate::handmade::{item, like, re, rule};
    use crate::subject::Source;

    const WHY_BYTES: usize = 2048;

    /// A command line joined from arguments, each a node behind the one of their array.
    struct Joined {
        line: Vec<u8>,
        arguments: Vec<&'static str>,
    }

    impl Source for Joined {
        fn bytes(&self, span: Span) -> &[u8] {
            &self.line[span.offset as usize..(span.offset + span.len) as usize]
        }

        fn path(&self, node: u32) -> Option<String> {
            match node {
                7 => Some("EXECVE.ARGV".into()),
                8.. => Some(format!("EXECVE.ARGV[{}]", node - 8)),
                _ => None,
            }
        }

        fn arguments(&self, node: u32) -> Vec<(u32, &[u8])> {
            let arguments = (8..).zip(self.arguments.iter().map(|argument| argument.as_bytes()));
            arguments.filter(|_| node == 7).collect()
        }
    }

    fn why(searches: Vec<Search>, condition: Condition, arguments: Vec<&'static str>) -> Why {
        let plan = Plan::compile(vec![rule(
            ViewKind::ProcessCreation,
            0,
            searches,
            condition,
        )])
        .plan;
        let joined = Joined {
            line: arguments.join(" ").into_bytes(),
            arguments,
        };
        let span = Span {
            offset: 0,
            len: u32::try_from(joined.line.len()).unwrap(),
        };
        let slot = plan.names(RuleIdx(0)).named("CommandLine").unwrap();
        let values = [Value {
            slot,
            kind: ValueKind::Text,
            span,
            element: 0,
            node: 7,
        }];
        let subject = Subject {
            kind: ViewKind::ProcessCreation,
            class: RecordClass::Other,
            values: &values,
            node: 3,
            source: &joined,
        };
        Why::of(&plan, RuleIdx(0), std::iter::once(subject), WHY_BYTES)
    }

    fn line(matcher: Matcher) -> Search {
        Search::Map(vec![item("CommandLine", vec![matcher])])
    }

    fn only(matcher: Matcher, arguments: Vec<&'static str>) -> WhyMatch {
        let why = why(
            vec![line(matcher)],
            Condition::Selection(SelectionIdx(0)),
            arguments,
        );
        why.views[0].selections[0].matches[0].clone()
    }

    #[test]
    fn a_match_within_one_argument_points_at_that_argument() {
        let perl = || vec!["perl", "-e", "use Socket;$i=1"];
        let found = only(like("*USE socket*"), perl());
        assert_eq!(found.path.as_deref(), Some("EXECVE.ARGV[2]"));
        assert_eq!(found.value.as_deref(), Some("perl -e use Socket;$i=1"));
        assert_eq!(found.matcher, "contains 'USE socket'");
        let shell = || vec!["x/sh", "-c", "/sh"];
        assert_eq!(
            only(like("*/sh"), shell()).path.as_deref(),
            Some("EXECVE.ARGV[2]")
        );
        assert_eq!(
            only(like("X/*"), shell()).path.as_deref(),
            Some("EXECVE.ARGV[0]")
        );
        assert_eq!(
            only(like("/sh"), vec!["/sh"]).path.as_deref(),
            Some("EXECVE.ARGV[0]")
        );
        // Across the blank between two arguments, or by a regular expression: the array.
        assert_eq!(
            only(like("*-e use*"), perl()).path.as_deref(),
            Some("EXECVE.ARGV")
        );
        assert_eq!(
            only(re("S.cket"), perl()).path.as_deref(),
            Some("EXECVE.ARGV")
        );
    }

    #[test]
    fn only_selections_that_the_condition_asks_for_are_named() {
        let condition = Condition::And(vec![
            Condition::Selection(SelectionIdx(0)),
            Condition::Not(Box::new(Condition::Selection(SelectionIdx(1)))),
            Condition::Or(vec![
                Condition::Selection(SelectionIdx(2)),
                Condition::Selection(SelectionIdx(0)),
            ]),
        ]);
        let why = why(
            vec![
                line(like("perl*")),
                line(like("*ruby*")),
                line(like("*python*")),
            ],
            condition,
            vec!["perl"],
        );
        let names: Vec<&str> = why.views[0]
            .selections
            .iter()
            .map(|selection| selection.name.as_str())
            .collect();
        assert_eq!(names, ["sel0"]);
        assert!(!why.truncated);
    }

    #[test]
    fn long_values_are_cut_around_the_match_and_say_so() {
        let long: &'static str =
            String::leak(format!("{}needle{}", "é".repeat(900), "x".repeat(900)));
        let why = why(
            vec![line(like("*needle*"))],
            Condition::Selection(SelectionIdx(0)),
            vec![long],
        );
        let value = why.views[0].selections[0].matches[0].value.clone().unwrap();
        assert!(
            value.starts_with('…') && value.ends_with('…') && value.contains("needle"),
            "{value}"
        );
        assert!(why.truncated && value.len() < 300);
    }

    #[test]
    fn why_stays_within_its_limit() {
        let matchers = (0..200)
            .map(|number| like(&format!("*a{}*", "*".repeat(number % 2))))
            .collect::<Vec<_>>();
        let searches = vec![Search::Any(matchers.into_iter().map(line).collect())];
        let why = why(
            searches,
            Condition::Selection(SelectionIdx(0)),
            vec!["a", "b"],
        );
        let size = serde_json::to_string(&why.views).unwrap().len();
        assert!(
            why.truncated && size <= WHY_BYTES && size > WHY_BYTES / 2,
            "{size}"
        );
    }

    #[test]
    fn matchers_are_described_in_the_words_of_sigma() {
        for (matcher, text) in [
            (like("/bin/sh"), "is '/bin/sh'"),
            (like("/bin/*"), "startswith '/bin/'"),
            (like("*/sh"), "endswith '/sh'"),
            (like("a?c*"), "is like 'a?c*'"),
            (like(""), "is ''"),
            (Matcher::Null, "is null or missing"),
            (re("^a"), "re '^a'"),
        ] {
            assert_eq!(describe(&matcher), text);
        }
    }
}
