//! Why a rule matched: the values that made it, for alerts. Works on matches alone, so it may take its time.

use event::{Value, ValueKind};
use sigma::{Field, Matcher, Part, Pattern, Quantifier};

use crate::alert::{WhyMatch, WhySelection, WhyView, shown};
use crate::expression::{Tests, normal};
use crate::matcher::{Test, Text};
use crate::plan::{Plan, RuleIdx};
use crate::reference::{Hit, Judge, Walk};
use crate::route::view_name;
use crate::subject::Subject;
use crate::text::folded;

/// Most bytes of JSON in `why`.
const WHY_BYTES_MAX: usize = 2048;
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
}

/// Compares texts by the plan's compiled tests.
struct Fast<'a>(&'a Tests);

impl Judge for Fast<'_> {
    fn holds(&self, matcher: &Matcher, kind: ValueKind, raw: &[u8]) -> bool {
        let matcher = normal(matcher.clone());
        let text = Text {
            kind,
            raw,
            folded: &folded(raw),
        };
        match self.0.known(&matcher) {
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
    ) -> Self {
        let mut why = Self::default();
        for view in views {
            // Less than this holds no match.
            if why.bytes + 100 > WHY_BYTES_MAX {
                why.truncated = true;
                break;
            }
            why.add_view(plan, rule, view);
        }
        why
    }

    fn add_view(&mut self, plan: &Plan, rule: RuleIdx, subject: Subject<'_>) {
        let walk = Walk {
            rule: plan.rule(rule),
            names: plan.names(rule),
            subject,
            judge: &Fast(plan.tests()),
        };
        let mut shown_view = WhyView {
            view: view_name(subject.kind).into(),
            record: subject.source.path(subject.node),
            selections: Vec::new(),
        };
        self.bytes += size(&shown_view);
        for hit in walk.explain() {
            let (found, cut) = shown_match(&hit, &subject);
            let name = &walk.rule.detection.selections[hit.selection.0 as usize].name;
            let opens = shown_view
                .selections
                .last()
                .is_none_or(|last| *last.name != **name);
            let more = size(&found) + if opens { name.len() + 24 } else { 1 };
            // The first match of all stands there in any case.
            if self.bytes + more > WHY_BYTES_MAX
                && !(self.views.is_empty() && shown_view.selections.is_empty())
            {
                self.truncated = true;
                break;
            }
            self.bytes += more;
            self.truncated |= cut;
            if opens {
                shown_view.selections.push(WhySelection {
                    name: name.to_string(),
                    matches: Vec::new(),
                });
            }
            if let Some(selection) = shown_view.selections.last_mut() {
                selection.matches.push(found);
            }
        }
        self.views.push(shown_view);
    }
}

fn size(of: &impl serde::Serialize) -> usize {
    serde_json::to_string(of).map_or(0, |text| text.len())
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
    let source = subject.source;
    let argument = match matcher {
        Some(Matcher::Text(pattern)) => piece(pattern).and_then(|piece| {
            let mut contains = |text: &[u8]| memchr::memmem::find(&folded(text), &piece).is_some();
            source.argument(value.node, &mut contains)
        }),
        _ => None,
    };
    argument.or_else(|| source.path(value.node))
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
fn window(raw: &[u8], matcher: Option<&Matcher>) -> (String, bool) {
    if raw.len() <= VALUE_BYTES_MAX {
        return (shown(raw), false);
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
        .min(raw.len() - VALUE_BYTES_MAX);
    let (from, to) = (boundary(raw, from), boundary(raw, from + VALUE_BYTES_MAX));
    let (before, behind) = (
        if from > 0 { "…" } else { "" },
        if to < raw.len() { "…" } else { "" },
    );
    (format!("{before}{}{behind}", shown(&raw[from..to])), true)
}

/// The next place at or behind `at` that is not within a code point.
fn boundary(text: &[u8], at: usize) -> usize {
    (at..text.len())
        .take(4)
        .find(|at| text[*at] & 0xc0 != 0x80)
        .unwrap_or(at.min(text.len()))
}

/// A matcher in the words of Sigma, for people.
pub(crate) fn describe(matcher: &Matcher) -> String {
    let text = match matcher {
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
            .map(describe)
            .collect::<Vec<_>>()
            .join(" or "),
    };
    short(text)
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
