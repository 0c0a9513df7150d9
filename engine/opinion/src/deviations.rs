//! The one table of where `sigma-rust` reads rules otherwise than the specification or our policy.
//!
//! The differential test explains every difference by a line of it, and shows for each line that its example still
//! deviates and that what it advises is read alike by both.

use serde_json::Value;
use sigma::{Field, Matcher, Part, Quantifier, Rule};

use crate::cell::{Cell, their};

/// A known deviation.
#[derive(Debug)]
pub struct Deviation {
    /// Its name, never given another meaning.
    pub id: &'static str,
    /// What `sigma-rust` does.
    pub does: &'static str,
    /// What Sigma says, and where it is silent our policy.
    pub sigma: &'static str,
    /// Points of the policy that decide; empty where the specification does.
    pub points: &'static [&'static str],
    /// What to write to be read alike by both.
    pub instead: &'static str,
    /// Where it shows.
    pub applies: Applies,
    /// A smallest rule and event that show it.
    pub example: Example,
}

/// Where a deviation shows.
#[derive(Clone, Copy, Debug)]
pub enum Applies {
    /// An item on an event.
    Item(fn(&Cell<'_>) -> bool),
    /// A rule, and its text.
    Rule(fn(&Rule, &str) -> bool),
    /// It refuses the rule, or panics, with one of these in its words.
    Refusal(&'static [&'static str]),
}

/// An example: rules as [`rule_text`] reads them, the event is JSON.
#[derive(Debug)]
pub struct Example {
    /// The rule.
    pub rule: &'static str,
    /// The event.
    pub event: &'static str,
    /// Whether we match it. `sigma-rust` says the contrary, or refuses the rule.
    pub ours: bool,
    /// A rule that both read as we read the first one; `None` where there is none.
    pub instead: Option<&'static str>,
}

/// The table.
pub static DEVIATIONS: &[Deviation] = &[
    Deviation {
        id: "list",
        does: "matches nothing of a field that has several values",
        sigma: "any element may match, and items below one list of objects meet in one element",
        points: &["M4", "M5b"],
        instead: "read a field of one value where there is one, such as CommandLine instead of EXECVE.ARGV; else no spelling helps, and the other engine needs events of one value",
        applies: Applies::Item(|cell| {
            cell.listed
                || cell
                    .matchers()
                    .any(|matcher| reference(cell, matcher).is_some_and(Value::is_array))
        }),
        example: Example {
            rule: "s: {f: a}\ncondition: s",
            event: r#"{"f": ["a", "b"]}"#,
            ours: true,
            instead: None,
        },
    },
    Deviation {
        id: "path",
        does: "finds a dotted name only where no part but the last has a dot of its own",
        sigma: "a member of exactly this name first, then a path; names with dots count at any level",
        points: &["M5"],
        instead: "name the field as the event does",
        applies: Applies::Item(|cell| !cell.listed && cell.values.first().copied() != cell.theirs),
        example: Example {
            rule: "s: {a.b.c: x}\ncondition: s",
            event: r#"{"a.b": {"c": "x"}}"#,
            ours: true,
            instead: None,
        },
    },
    Deviation {
        id: "null-missing",
        does: "does not match `null` where the field is missing",
        sigma: "a missing field is null",
        points: &["M1"],
        instead: "write `field|exists: false` for a field that is missing",
        applies: Applies::Item(|cell| {
            cell.values.is_empty() && cell.matchers().any(|matcher| *matcher == Matcher::Null)
        }),
        example: Example {
            rule: "s: {f: null}\ncondition: s",
            event: r#"{"g": "a"}"#,
            ours: true,
            instead: Some("s: {f|exists: false}\ncondition: s"),
        },
    },
    Deviation {
        id: "null-text",
        does: "takes null for the empty text",
        sigma: "null is a type of its own: no text matches it, not even `''` or `*`",
        points: &["M1"],
        instead: "ask beside it for one character at least, as in `?*`",
        applies: Applies::Item(|cell| {
            let is_open = |matcher: &Matcher| match matcher {
                Matcher::Text(pattern) => pattern.parts.iter().all(|part| *part == Part::Any),
                Matcher::Regex(_) => true,
                _ => false,
            };
            cell.values.iter().any(|value| value.is_null()) && cell.matchers().any(is_open)
        }),
        example: Example {
            rule: "s: {f: '*'}\ncondition: s",
            event: r#"{"f": null}"#,
            ours: false,
            instead: Some("s: {f: '?*'}\ncondition: s"),
        },
    },
    Deviation {
        id: "number",
        does: "compares a number only with a number of its own kind, and a fraction without its last zeros",
        sigma: "numbers compare by their text, as written or in canonical form",
        points: &["M6", "M24", "M25"],
        instead: "put a number in quotes where the event has text; there is no way for both where it has a fraction",
        applies: Applies::Item(|cell| {
            cell.values.iter().any(|value| {
                cell.matchers()
                    .any(|matcher| is_of_other_kind(cell, matcher, value))
            })
        }),
        example: Example {
            rule: "s: {f: 4625}\ncondition: s",
            event: r#"{"f": "4625"}"#,
            ours: true,
            instead: Some("s: {f: '4625'}\ncondition: s"),
        },
    },
    Deviation {
        id: "boolean",
        does: "compares `true` and `false` only with booleans",
        sigma: "a boolean is also its text in any case",
        points: &["M7"],
        instead: "put it in quotes",
        applies: Applies::Item(|cell| {
            let is_text = cell.values.iter().any(|value| value.is_string());
            is_text
                && cell
                    .matchers()
                    .any(|matcher| matches!(matcher, Matcher::Bool(_)))
        }),
        example: Example {
            rule: "s: {f: true}\ncondition: s",
            event: r#"{"f": "True"}"#,
            ours: true,
            instead: Some("s: {f: 'true'}\ncondition: s"),
        },
    },
    Deviation {
        id: "exists-false",
        does: "takes a field of value `false` for one that `exists: false` means",
        sigma: "`exists` asks for presence alone",
        points: &[],
        instead: "negate `exists: true`",
        applies: Applies::Item(|cell| {
            let is_false = cell
                .values
                .iter()
                .any(|value| **value == Value::Bool(false));
            is_false
                && cell
                    .matchers()
                    .any(|matcher| *matcher == Matcher::Exists(false))
        }),
        example: Example {
            rule: "s: {f|exists: false}\ncondition: s",
            event: r#"{"f": false}"#,
            ours: false,
            instead: Some("s: {f|exists: true}\ncondition: not s"),
        },
    },
    Deviation {
        id: "keyword",
        does: "compares a keyword with whole values",
        sigma: "a keyword is looked for anywhere in a value",
        points: &["M8"],
        instead: "write `'*word*'`",
        applies: Applies::Item(|cell| {
            cell.item.field == Field::Keywords && cell.item.quantifier == Quantifier::Any
        }),
        example: Example {
            rule: "s: [evil]\ncondition: s",
            event: r#"{"f": "an evil thing"}"#,
            ours: true,
            instead: Some("s: ['*evil*']\ncondition: s"),
        },
    },
    Deviation {
        id: "keyword-all",
        does: "looks for a field without a name where `|all` has none",
        sigma: "all of these keywords are in the event",
        points: &["M8"],
        instead: "write a selection for each keyword and join them with `and`",
        applies: Applies::Item(|cell| {
            cell.item.field == Field::Keywords && cell.item.quantifier == Quantifier::All
        }),
        example: Example {
            rule: "s: {'|all': [an, evil]}\ncondition: s",
            event: r#"{"f": "an evil thing"}"#,
            ours: true,
            instead: Some("a: ['*an*']\nb: ['*evil*']\ncondition: a and b"),
        },
    },
    Deviation {
        id: "fieldref",
        does: "compares two fields by type and by case, and stops at the first field of a list that is missing",
        sigma: "as a plain match: case counts only with `cased`, numbers are text, a missing field is no match",
        points: &["M3", "M16"],
        instead: "there is no way for both but `fieldref|contains`, which asks for less",
        applies: Applies::Item(|cell| {
            cell.matchers()
                .any(|matcher| is_other_reference(cell, matcher))
        }),
        example: Example {
            rule: "s: {f|fieldref: g}\ncondition: s",
            event: r#"{"f": "Root", "g": "root"}"#,
            ours: true,
            instead: None,
        },
    },
    Deviation {
        id: "wildcard",
        does: "takes the first place that fits behind `*` and does not look for another where a `?` follows",
        sigma: "`*` is any run of characters, whatever follows",
        points: &[],
        instead: "use `re`",
        applies: Applies::Item(|cell| {
            cell.patterns().any(|pattern| {
                let any = pattern.parts.iter().position(|part| *part == Part::Any);
                any.is_some_and(|any| {
                    pattern
                        .parts
                        .iter()
                        .skip(any)
                        .any(|part| *part == Part::One)
                })
            })
        }),
        example: Example {
            rule: "s: {f: '*ab?'}\ncondition: s",
            event: r#"{"f": "abxabc"}"#,
            ours: true,
            instead: Some("s: {f|re: '(?is)ab.$'}\ncondition: s"),
        },
    },
    Deviation {
        id: "case",
        does: "compares lower case forms, of which some have several characters and some are not shared",
        sigma: "Unicode simple case folding on both sides",
        points: &["M18"],
        instead: "list both spellings",
        applies: Applies::Item(|cell| {
            let in_values = cell.values.iter().filter_map(|value| value.as_str());
            let references = cell
                .matchers()
                .filter_map(|matcher| reference(cell, matcher)?.as_str());
            let in_patterns = cell.patterns().flat_map(|pattern| &pattern.parts);
            let in_patterns = in_patterns.filter_map(|part| match part {
                Part::Text(text) => std::str::from_utf8(text).ok(),
                Part::One | Part::Any => None,
            });
            let mut texts = in_values.chain(references).chain(in_patterns);
            texts.any(|text| text.chars().any(folds_otherwise))
        }),
        example: Example {
            rule: "s: {f: 'ſh'}\ncondition: s",
            event: r#"{"f": "SH"}"#,
            ours: true,
            instead: Some("s: {f: ['ſh', sh]}\ncondition: s"),
        },
    },
    Deviation {
        id: "base64",
        does: "cuts the last character where Base64 ends with `=`, and of texts in UTF-16 takes other offsets",
        sigma: "`base64` is the whole text with its `=`; `base64offset` shifts by 0, 1 and 2 bytes",
        points: &["M20"],
        instead: "write the encoded text itself",
        applies: Applies::Rule(|_, text| text.contains("|base64")),
        example: Example {
            rule: "s: {f|base64: ab}\ncondition: s",
            event: r#"{"f": "YWI="}"#,
            ours: true,
            instead: Some("s: {f: 'YWI='}\ncondition: s"),
        },
    },
    Deviation {
        id: "windash",
        does: "changes one dash at a time, behind blanks alone",
        sigma: "each dash that starts a word is any of the five characters, independently",
        points: &["M19"],
        instead: "list the spellings",
        applies: Applies::Rule(|_, text| text.contains("|windash")),
        example: Example {
            rule: "s: {f|windash: a -b -c}\ncondition: s",
            event: r#"{"f": "a /b /c"}"#,
            ours: true,
            instead: Some("s: {f: ['a -b -c', 'a /b /c']}\ncondition: s"),
        },
    },
    Deviation {
        id: "them",
        does: "counts selections whose name starts with `_` for `them` and for patterns",
        sigma: "they are left out, unless the pattern starts with `_`",
        points: &[],
        instead: "name the selections that are meant",
        applies: Applies::Rule(|rule, _| {
            rule.detection
                .selections
                .iter()
                .any(|selection| selection.name.starts_with('_'))
        }),
        example: Example {
            rule: "s: {f: a}\n_t: {f: b}\ncondition: 1 of them",
            event: r#"{"f": "b"}"#,
            ours: false,
            instead: Some("s: {f: a}\n_t: {f: b}\ncondition: s"),
        },
    },
    Deviation {
        id: "yaml",
        does: "reads `0b11` as a number",
        sigma: "YAML 1.2, in which it is a text",
        points: &[],
        instead: "put it in quotes",
        applies: Applies::Rule(|_, text| has_binary(text)),
        example: Example {
            rule: "s: {f: 0b11}\ncondition: s",
            event: r#"{"f": "0b11"}"#,
            ours: true,
            instead: Some("s: {f: '0b11'}\ncondition: s"),
        },
    },
    Deviation {
        id: "filter",
        does: "knows no filters",
        sigma: "a filter adds its condition to the rules that it names",
        points: &["F1"],
        instead: "write the condition of the filter into the rule",
        applies: Applies::Rule(|rule, _| !rule.filters.is_empty()),
        example: Example {
            rule: "title: rule\nlogsource: {service: laurel}\ndetection: {s: {f: a}, condition: s}\n---\ntitle: filter\nlogsource: {service: laurel}\nfilter: {rules: any, t: {g: b}, condition: not t}",
            event: r#"{"f": "a", "g": "b"}"#,
            ours: false,
            instead: Some("s: {f: a}\nt: {g: b}\ncondition: s and not t"),
        },
    },
    Deviation {
        id: "modifier",
        does: "refuses the modifiers `neq`, `expand`, those of dates, and `i`, `m`, `s` of `re`",
        sigma: "they are part of it",
        points: &[],
        instead: "negate a selection instead of `neq`; write `(?i)` into the regular expression",
        applies: Applies::Refusal(&["Unknown field modifier"]),
        example: Example {
            rule: "s: {f|neq: a}\ncondition: s",
            event: r#"{"f": "b"}"#,
            ours: true,
            instead: Some("s: {f: a}\ncondition: not s"),
        },
    },
    Deviation {
        id: "any-of",
        does: "refuses `any of` and other conditions that it cannot read",
        sigma: "`any of` is `1 of`",
        points: &["M12"],
        instead: "write `1 of`",
        applies: Applies::Refusal(&["Encountered invalid operator"]),
        example: Example {
            rule: "s: {f: a}\ncondition: any of s*",
            event: r#"{"f": "a"}"#,
            ours: true,
            instead: Some("s: {f: a}\ncondition: 1 of s*"),
        },
    },
    Deviation {
        id: "condition-list",
        does: "refuses a list of conditions",
        sigma: "one of them holds",
        points: &[],
        instead: "join them with `or`",
        applies: Applies::Refusal(&["expected a string"]),
        example: Example {
            rule: "s: {f: a}\nt: {f: b}\ncondition: [s, t]",
            event: r#"{"f": "a"}"#,
            ours: true,
            instead: Some("s: {f: a}\nt: {f: b}\ncondition: s or t"),
        },
    },
    Deviation {
        id: "number-anchored",
        does: "refuses `contains`, `startswith` and `endswith` with anything but text",
        sigma: "a number is taken as its text",
        points: &["M10"],
        instead: "put it in quotes",
        applies: Applies::Refusal(&["must be used with string values"]),
        example: Example {
            rule: "s: {f|contains: 46}\ncondition: s",
            event: r#"{"f": "4625"}"#,
            ours: true,
            instead: Some("s: {f|contains: '46'}\ncondition: s"),
        },
    },
    Deviation {
        id: "bare",
        does: "refuses a selection that is one text or number",
        sigma: "one keyword, or a `timeframe` that older rules left over",
        points: &[],
        instead: "put the keyword in a list",
        applies: Applies::Refusal(&["it must be a list or dictionary"]),
        example: Example {
            rule: "s: evil\ncondition: s",
            event: r#"{"f": "evil"}"#,
            ours: true,
            instead: Some("s: [evil]\ncondition: s"),
        },
    },
    Deviation {
        id: "mixed",
        does: "refuses a list of both keywords and maps",
        sigma: "any of them holds",
        points: &[],
        instead: "write two selections and join them with `or`",
        applies: Applies::Refusal(&["Invalid keyword selection", "Mixing keyword selection"]),
        example: Example {
            rule: "s: [evil, {f: a}]\ncondition: s",
            event: r#"{"f": "a"}"#,
            ours: true,
            instead: Some("s: ['*evil*']\nt: {f: a}\ncondition: s or t"),
        },
    },
    Deviation {
        id: "word",
        does: "takes `all` and `1` for the beginning of a selector wherever they stand",
        sigma: "a name may be any word but an operator",
        points: &[],
        instead: "name the selection otherwise",
        applies: Applies::Refusal(&["Encountered unexpected token"]),
        example: Example {
            rule: "all: {f: a}\ncondition: all",
            event: r#"{"f": "a"}"#,
            ours: true,
            instead: Some("s: {f: a}\ncondition: s"),
        },
    },
    Deviation {
        id: "field-name",
        does: "refuses a field whose name is a number or a boolean",
        sigma: "a field has the name as written",
        points: &[],
        instead: "put the name in quotes",
        applies: Applies::Refusal(&["Field names must be string"]),
        example: Example {
            rule: "s: {1: a}\ncondition: s",
            event: r#"{"1": "a"}"#,
            ours: true,
            instead: Some("s: {'1': a}\ncondition: s"),
        },
    },
    Deviation {
        id: "encoded-twice",
        does: "refuses an encoding after another",
        sigma: "encodings follow one another",
        points: &[],
        instead: "write the encoded text itself",
        applies: Applies::Refusal(&["are conflicting"]),
        example: Example {
            rule: "s: {f|base64|base64: hi}\ncondition: s",
            event: r#"{"f": "YUdrPQ=="}"#,
            ours: true,
            instead: Some("s: {f: 'YUdrPQ=='}\ncondition: s"),
        },
    },
    Deviation {
        id: "dash",
        does: "panics at a dash beyond ASCII in `windash`",
        sigma: "it is one of the five",
        points: &["M19"],
        instead: "write `-`, or list the spellings",
        applies: Applies::Refusal(&["character boundary"]),
        example: Example {
            rule: "s: {f|windash: '–x'}\ncondition: s",
            event: r#"{"f": "-x"}"#,
            ours: true,
            instead: Some("s: {f: '-x'}\ncondition: s"),
        },
    },
    Deviation {
        id: "attribute",
        does: "refuses a rule for one attribute that it cannot read",
        sigma: "the rule loads without that attribute",
        points: &["M21"],
        instead: "mend the attribute; `pythia check` names it",
        applies: Applies::Refusal(&["unknown variant", "invalid type: "]),
        example: Example {
            rule: "title: rule\nlogsource: {service: laurel}\ndetection: {s: {f: a}, condition: s}\nlevel: severe",
            event: r#"{"f": "a"}"#,
            ours: true,
            instead: None,
        },
    },
    Deviation {
        id: "collection",
        does: "knows no `action`, and reads one document",
        sigma: "`global`, `reset` and `repeat` join documents",
        points: &[],
        instead: "write the rule out",
        applies: Applies::Refusal(&["missing field"]),
        example: Example {
            rule: "action: global\nlogsource: {service: laurel}\n---\ntitle: rule\ndetection: {s: {f: a}, condition: s}",
            event: r#"{"f": "a"}"#,
            ours: true,
            instead: None,
        },
    },
];

/// The value of the field that a `fieldref` names, as `sigma-rust` finds it.
fn reference<'a>(cell: &Cell<'a>, matcher: &Matcher) -> Option<&'a Value> {
    match matcher {
        Matcher::FieldRef { field, .. } => their(cell.event, field),
        _ => None,
    }
}

fn is_of_other_kind(cell: &Cell<'_>, matcher: &Matcher, value: &Value) -> bool {
    let is_fraction = value.is_f64();
    match matcher {
        Matcher::Number(text) => match value {
            // As written the rule's number may have a fraction too: `3.0`.
            Value::Number(number) => {
                is_fraction || number.to_string() != **text || has_fraction(cell.text)
            }
            Value::String(_) => true,
            _ => false,
        },
        Matcher::Compare(_, text) => {
            value.as_i64().is_none() || text.parse::<i64>().is_err() || has_fraction(cell.text)
        }
        Matcher::Text(_) | Matcher::Regex(_) => is_fraction,
        _ => false,
    }
}

/// Whether a text has a number such as `0b11` where a value may begin.
fn has_binary(text: &str) -> bool {
    let mut windows = text.as_bytes().windows(4);
    windows.any(|bytes| matches!(bytes, [b' ' | b'\t' | b'[' | b',', b'0', b'b', b'0' | b'1']))
}

/// Whether some number in a text has a point or an exponent.
fn has_fraction(text: &str) -> bool {
    let pairs = text.as_bytes().windows(2);
    let mut pairs = pairs.filter(|pair| pair[0].is_ascii_digit());
    pairs.any(|pair| matches!(pair[1], b'.' | b'e' | b'E'))
}

/// Whether the two fields are not both texts that are the same, or texts that differ in any case.
fn is_other_reference(cell: &Cell<'_>, matcher: &Matcher) -> bool {
    let Matcher::FieldRef { prefix, suffix, .. } = matcher else {
        return false;
    };
    let both = (cell.theirs, reference(cell, matcher));
    match both {
        (Some(Value::String(own)), Some(Value::String(other))) => {
            let anchored = *prefix || *suffix;
            !anchored && own != other && own.to_lowercase() == other.to_lowercase()
        }
        _ => true,
    }
}

/// Whether a character has another lower case form than those that it is equal to without regard to case.
fn folds_otherwise(c: char) -> bool {
    let upper: String = c.to_uppercase().collect();
    !c.is_ascii() && upper.to_lowercase() != c.to_lowercase().collect::<String>()
}

/// The rule file that an example stands for: a whole one, or what stands below `detection`.
pub fn rule_text(rule: &str) -> String {
    if rule.contains("title: ") {
        return rule.to_owned();
    }
    let lines = rule.lines().map(|line| format!("  {line}\n"));
    let lines: String = lines.collect();
    format!("title: rule\nlogsource: {{service: laurel}}\ndetection:\n{lines}")
}
