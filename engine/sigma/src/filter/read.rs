//! `filter` to a [`Draft`]: all that one document tells by itself. `apply` then puts it into rules.

use crate::codes::{FILTER_WITHOUT_NOT, WRONG_TYPE};
use crate::context::{Context, string};
use crate::detection;
use crate::document::{attributes, check_taxonomy, find, log_source, major, report_missing};
use crate::references::{self, Reference};
use crate::yaml::{Entry, Node};
use crate::{Attributes, Condition, Detection, LogSource, Place, Search, SelectionIdx};

/// A sound filter whose references are words yet.
pub(crate) struct Draft {
    pub(crate) attributes: Attributes,
    pub(crate) major: u64,
    pub(crate) logsource: LogSource,
    pub(crate) detection: Detection,
    pub(crate) rules: Rules,
    /// Where `rules` stands.
    pub(crate) place: Place,
}

/// `rules`.
pub(crate) enum Rules {
    /// `any`: those of the log source.
    Any,
    /// These, as far as they have the log source.
    Named(Vec<Reference>),
}

/// Reads a filter; `version` is the hash of its text. All faults are reported; `None` if one of them is an error.
pub(crate) fn read(root: &Node, version: String, context: &mut Context<'_>) -> Option<Draft> {
    let entries = root.as_mapping()?;
    let major = major(entries, context);
    let attributes = attributes(root, entries, version, context);
    check_taxonomy(entries, context);
    let logsource = log_source(entries, &root.place, context);
    let entry = find(entries, "filter")?;
    let detection = detection::read(entry, context);
    let lines = entry.value.as_mapping()?;
    let line = find(lines, "rules");
    if line.is_none() {
        report_missing("rules", lines, &entry.place, context);
    }
    let rules = line.and_then(|line| rules(line, context));
    let (detection, line) = (detection?, line?);
    warn_without_not(&detection, lines, context);
    let draft = Draft {
        attributes: attributes?,
        major,
        logsource: logsource?,
        detection,
        rules: rules?,
        place: line.place.clone(),
    };
    (!context.has_errors()).then_some(draft)
}

fn rules(line: &Entry, context: &mut Context<'_>) -> Option<Rules> {
    if string(&line.value) == Some("any") {
        return Some(Rules::Any);
    }
    if line.value.as_mapping().is_some() {
        let message = "`rules` must be `any` or a list of ids and names, this is a map";
        context.report(WRONG_TYPE.at(&line.value.place, message));
        return None;
    }
    references::read(line, context).map(Rules::Named)
}

/// Policy F1: what the condition selects is kept, and a filter is written to remove something.
fn warn_without_not(detection: &Detection, lines: &[Entry], context: &mut Context<'_>) {
    if negates(&detection.condition, detection) {
        return;
    }
    let Some(line) = find(lines, "condition") else {
        return;
    };
    let message = "the filter keeps only what its condition selects, and removes all else";
    let text = string(&line.value).unwrap_or_default().trim();
    let is_word = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let help = if is_word {
        format!("to remove what `{text}` selects, write `not {text}`")
    } else {
        "to remove what it selects, write `not` before it".to_owned()
    };
    context.report_with_help(FILTER_WITHOUT_NOT.at(&line.value.place, message), help);
}

/// Whether anything is negated, by `not` or by `neq`.
fn negates(condition: &Condition, detection: &Detection) -> bool {
    match condition {
        Condition::Not(_) => true,
        Condition::And(terms) | Condition::Or(terms) => {
            terms.iter().any(|term| negates(term, detection))
        }
        Condition::Selection(SelectionIdx(idx)) => detection
            .selections
            .get(*idx as usize)
            .is_some_and(|selection| has_neq(&selection.search)),
    }
}

fn has_neq(search: &Search) -> bool {
    match search {
        Search::Map(items) => items.iter().any(|item| item.negated),
        Search::Any(searches) => searches.iter().any(has_neq),
    }
}
