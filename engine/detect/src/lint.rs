//! Warnings on rules that run: what of them never matches, and what makes them costly.

mod value;

pub(crate) use value::impossible;

use std::collections::{BTreeMap, BTreeSet};

use event::{RecordClass, ViewKind, is_known_field, known_fields};
use sigma::{
    Code, Condition, Correlation, Diagnostic, Field, Place, Rule, Search, SelectionIdx, Severity,
    did_you_mean,
};

use crate::expression::Unfed;
use crate::route::{self, view_name};

const UNFED: Code = Code {
    code: "P001",
    name: "unfed-field",
    severity: Severity::Warning,
    explanation: "A rule reads a field that nothing feeds in its views; the field counts as missing",
    cure: "name a field that `pythia fields` lists",
};

const NO_WITNESS: Code = Code {
    code: "P002",
    name: "no-witness",
    severity: Severity::Warning,
    explanation: "A rule may match where none of its literals stands; it is verified on every view of its log source",
    cure: "add what every match must contain, such as a program's name or a piece of an argument",
};

const MISSPELT: Code = Code {
    code: "P003",
    name: "misspelt-field",
    severity: Severity::Warning,
    explanation: "A rule reads a member of audit records that Laurel is not known to write, and nearly one that it does",
    cure: "mend the name",
};

const IMPOSSIBLE: Code = Code {
    code: "P004",
    name: "impossible-value",
    severity: Severity::Warning,
    explanation: "A rule asks a field for a value that it never has",
    cure: "write the value as the field has it",
};

const CONTRADICTION: Code = Code {
    code: "P005",
    name: "two-values",
    severity: Severity::Warning,
    explanation: "A selection demands two values at once of a field that has one",
    cure: "let one of them be enough",
};

const LOG_SOURCE: Code = Code {
    code: "P006",
    name: "misspelt-log-source",
    severity: Severity::Warning,
    explanation: "No view feeds the rule's log source, which is nearly one that there is",
    cure: "mend the word",
};

const IDLE: Code = Code {
    code: "P007",
    name: "idle-rule",
    severity: Severity::Warning,
    explanation: "A rule loads, views feed its log source, and it does not run: it never matches, or always does, or is \
                  too large",
    cure: "mend what the message names; a match must depend on the event",
};

const CORRELATION_FIELD: Code = Code {
    code: "P008",
    name: "correlation-field",
    severity: Severity::Warning,
    explanation: "A correlation groups or counts by a field that events of one of its rules never have; they join no group, or count for \
                  nothing",
    cure: "name a field that `pythia fields` lists, or give the rule's own name of it by `aliases`",
};

/// Every code that compiling can report.
pub static CODES: &[Code] = &[
    UNFED,
    NO_WITNESS,
    MISSPELT,
    IMPOSSIBLE,
    CONTRADICTION,
    LOG_SOURCE,
    IDLE,
    CORRELATION_FIELD,
];

/// No view feeds the rule's log source, and it is nearly one that there is.
pub(crate) fn log_source(rule: &Rule) -> Option<Diagnostic> {
    let (value, place, cure) = route::misspelt(&rule.logsource)?;
    let place = place.unwrap_or(&rule.attributes.place);
    let message = format!("no view feeds `{value}`, so the rule does not run");
    Some(diagnostic(&LOG_SOURCE, rule, place, message, &cure))
}

/// The fields that a rule reads and nothing feeds, each at its first place.
pub(crate) fn unfed(
    rule: &Rule,
    unfed: &BTreeSet<Unfed>,
    kind: ViewKind,
    runs: bool,
) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    for Unfed { field, place } in unfed {
        let known = first.entry(field).or_insert(place);
        *known = place.min(*known);
    }
    let known = known_fields(kind);
    let view = view_name(kind);
    let outcome = if runs {
        "the rule runs, and the field counts as missing"
    } else {
        "the rule does not run"
    };
    let fault = |(name, place): (&str, &Place)| {
        let message = format!("nothing feeds `{name}` in views of {view}");
        let help = match did_you_mean(name, known.iter().map(|field| &*field.name)) {
            Some(cure) => format!("{cure} As it stands, {outcome}"),
            None => format!("{outcome}; `pythia fields {view}` lists those that there are"),
        };
        diagnostic(&UNFED, rule, place, message, &help)
    };
    first.into_iter().map(fault).collect()
}

/// The correlation asks events of a rule for a field that views of this kind are not known to have.
pub(crate) fn correlation_field(
    correlation: &Correlation,
    rule: &str,
    field: &str,
    kind: ViewKind,
) -> Option<Diagnostic> {
    let is_open = matches!(kind, ViewKind::Record | ViewKind::Native);
    if is_known_field(kind, field) || field == "host" || is_argument(field) {
        return None;
    }
    let known = known_fields(kind);
    let meant = did_you_mean(field, known.iter().map(|field| &*field.name));
    // Of records any member may be asked for.
    if is_open && meant.is_none() {
        return None;
    }
    let view = view_name(kind);
    let cure = CORRELATION_FIELD.cure;
    Some(Diagnostic {
        code: CORRELATION_FIELD.code,
        severity: CORRELATION_FIELD.severity,
        place: correlation.attributes.place.clone(),
        message: format!(
            "matches of `{rule}` have no `{field}`, since nothing feeds it in views of {view}"
        ),
        label: None,
        help: Some(meant.unwrap_or_else(|| cure.to_owned())),
        rule: Some(correlation.attributes.key().to_owned()),
    })
}

/// The rule does not run, and no other warning says why.
pub(crate) fn idle(rule: &Rule, place: &Place, reason: &str) -> Diagnostic {
    let message = format!("the rule does not run: {reason}");
    diagnostic(&IDLE, rule, place, message, IDLE.cure)
}

/// Members that the rule reads and that are nearly ones that there are. Of records any member may be asked for, so that
/// one that is like no other may well exist.
pub(crate) fn misspelt(rule: &Rule, kind: ViewKind) -> Vec<Diagnostic> {
    if !matches!(kind, ViewKind::Record | ViewKind::Native) {
        return Vec::new();
    }
    let mut read = BTreeMap::new();
    for selection in &rule.detection.selections {
        read_by(&selection.search, &mut read);
    }
    read.retain(|name, _| !is_known_field(kind, name) && !is_argument(name));
    if read.is_empty() {
        return Vec::new();
    }
    let known = known_fields(kind);
    let fault = |(name, place): (&str, &Place)| {
        let cure = did_you_mean(name, known.iter().map(|field| &*field.name))?;
        let message = format!("no record is known to have `{name}`");
        Some(diagnostic(&MISSPELT, rule, place, message, &cure))
    };
    read.into_iter().filter_map(fault).collect()
}

/// The fields that a search reads, each with its first place.
fn read_by<'r>(search: &'r Search, read: &mut BTreeMap<&'r str, &'r Place>) {
    match search {
        Search::Any(searches) => searches.iter().for_each(|search| read_by(search, read)),
        Search::Map(items) => {
            for item in items {
                if let Field::Named(name) = &item.field {
                    read.entry(name).or_insert(&item.place);
                }
            }
        }
    }
}

/// `a4`: an argument of a program, of which there may be any number.
fn is_argument(name: &str) -> bool {
    let digits = name.strip_prefix('a').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The rule has no witness in views of this kind and these record types. `has_witness` says which of its
/// selections has one by itself.
pub(crate) fn no_witness(
    rule: &Rule,
    kind: ViewKind,
    classes: &[RecordClass],
    has_witness: &impl Fn(SelectionIdx) -> bool,
) -> Diagnostic {
    let detection = &rule.detection;
    let culprit = culprit(&detection.condition, has_witness).unwrap_or(SelectionIdx(0));
    let culprit = &detection.selections[culprit.0 as usize];
    let regex = value::loose_regex(&culprit.search);
    let (place, why) = match regex {
        Some(place) => (
            place,
            "no two fixed characters in a row stand in every match of this regular expression",
        ),
        None => (
            &culprit.place,
            "the rule may match where none of its literals stands",
        ),
    };
    let message = format!(
        "{why}, so it is verified on every view of {}: {}",
        view_name(kind),
        views(kind, classes)
    );
    let help = "add what every match must contain, such as a program's name or a piece of an argument: a value outside of \
                `not`, or in a regular expression two fixed characters in a row; `pythia scan --profile-rules` measures what \
                the rule costs";
    diagnostic(&NO_WITNESS, rule, place, message, help)
}

/// How many views of a kind there are.
pub(crate) fn views(kind: ViewKind, classes: &[RecordClass]) -> String {
    match kind {
        ViewKind::ProcessCreation => "one for each program that starts".into(),
        ViewKind::FileEvent => "one for each file that is created".into(),
        ViewKind::FileDelete => "one for each file that is deleted".into(),
        ViewKind::FileRename => "one for each file that is renamed".into(),
        ViewKind::NetworkConnection => "one for each internet address of an event".into(),
        ViewKind::Native => "one for each event".into(),
        ViewKind::Record => {
            let of = |class: &RecordClass| match class {
                RecordClass::Syscall => "one for each event (SYSCALL)",
                RecordClass::Execve => "one for each program that starts (EXECVE)",
                RecordClass::Path => {
                    "one for each path (PATH; two or three where a program starts)"
                }
                RecordClass::Other => "one for each record of any other type",
            };
            let views: Vec<&str> = classes.iter().map(of).collect();
            views.join(", ")
        }
    }
}

/// The first selection that keeps a condition from having a witness; `None` if it has one.
fn culprit(
    condition: &Condition,
    has_witness: &impl Fn(SelectionIdx) -> bool,
) -> Option<SelectionIdx> {
    match condition {
        Condition::Selection(selection) => (!has_witness(*selection)).then_some(*selection),
        Condition::And(parts) => {
            let culprits = parts.iter().map(|part| culprit(part, has_witness));
            let culprits: Option<Vec<_>> = culprits.collect();
            culprits?.first().copied()
        }
        Condition::Or(parts) => parts.iter().find_map(|part| culprit(part, has_witness)),
        Condition::Not(part) => first(part),
    }
}

fn first(condition: &Condition) -> Option<SelectionIdx> {
    match condition {
        Condition::Selection(selection) => Some(*selection),
        Condition::And(parts) | Condition::Or(parts) => parts.first().and_then(first),
        Condition::Not(part) => first(part),
    }
}

fn diagnostic(code: &Code, rule: &Rule, place: &Place, message: String, help: &str) -> Diagnostic {
    Diagnostic {
        code: code.code,
        severity: code.severity,
        place: place.clone(),
        message,
        label: None,
        help: Some(help.to_owned()),
        rule: Some(rule.attributes.key().to_owned()),
    }
}

/// The field that was meant, if one of these is nearly one that there is.
pub(crate) fn cure(unfed: &BTreeSet<Unfed>, kind: ViewKind) -> Option<String> {
    let known = known_fields(kind);
    let mut names: BTreeSet<&str> = unfed.iter().map(|unfed| &*unfed.field).collect();
    let only = names.len() == 1;
    let mut cures = std::iter::from_fn(|| names.pop_first()).filter_map(|name| {
        let cure = did_you_mean(name, known.iter().map(|field| &*field.name))?;
        Some(if only {
            cure
        } else {
            format!("`{name}`: {cure}")
        })
    });
    cures.next()
}

/// Where the rule first reads a field that nothing feeds.
pub(crate) fn first_place(unfed: &BTreeSet<Unfed>) -> Option<&Place> {
    unfed.iter().map(|unfed| &unfed.place).min()
}

/// Names of fields, each once, in backticks.
pub(crate) fn names_of(unfed: &BTreeSet<Unfed>) -> Vec<String> {
    let names: BTreeSet<&str> = unfed.iter().map(|unfed| &*unfed.field).collect();
    names.into_iter().map(|name| format!("`{name}`")).collect()
}
