//! What makes a well-formed rule mean something else than its author thinks, as far as the text alone tells: warnings on
//! its condition and its selections; `value` has those on single values. What fields can hold is known elsewhere.

pub(crate) mod value;

use crate::codes::{
    ALWAYS_OR_NEVER, CONTRADICTION, FILTER_KEPT, NO_INFLUENCE, SAME_SELECTION, UNUSED_SELECTION,
};
use crate::context::Context;
use crate::{Condition, Field, Item, Matcher, Place, Search, Selection, SelectionIdx};

/// Selections up to which a condition is tried with all their outcomes (2^12).
const TRIED_MAX: usize = 12;
/// Words of a condition that is tried so.
const WORDS_MAX: usize = 256;
/// Selections up to which each is compared with each.
const COMPARED_MAX: usize = 100;

/// Warns of what a condition, which stands at `place`, makes of its selections.
pub(crate) fn condition(
    selections: &[Selection],
    condition: &Condition,
    place: &Place,
    is_filter: bool,
    context: &mut Context<'_>,
) {
    let mut uses = vec![Use::default(); selections.len()];
    note_uses(condition, false, &mut uses);
    for (selection, seen) in selections.iter().zip(&uses) {
        let name = &selection.name;
        if !seen.plain && !seen.negated && !name.starts_with('_') {
            let message = format!("the condition never looks at `{name}`");
            context.report(UNUSED_SELECTION.at(&selection.place, message));
        }
        if seen.plain && !seen.negated && !is_filter && name.starts_with("filter") {
            let message = format!("the rule demands what `{name}` selects, as `not` is missing");
            let help = format!(
                "write `not {name}` to leave it out, or give it a name such as `selection_{name}`"
            );
            context.report_with_help(FILTER_KEPT.at(&selection.place, message), help);
        }
    }
    warn_of_outcomes(selections, condition, place, context);
    warn_of_same(selections, &uses, context);
}

/// How a condition looks at a selection.
#[derive(Clone, Copy, Default)]
struct Use {
    /// Under an even number of `not`.
    plain: bool,
    /// Under an odd one.
    negated: bool,
}

fn note_uses(condition: &Condition, is_negated: bool, uses: &mut [Use]) {
    match condition {
        Condition::Selection(selection) => {
            let seen = &mut uses[selection.0 as usize];
            seen.plain |= !is_negated;
            seen.negated |= is_negated;
        }
        Condition::And(terms) | Condition::Or(terms) => {
            for term in terms {
                note_uses(term, is_negated, uses);
            }
        }
        Condition::Not(term) => note_uses(term, !is_negated, uses),
    }
}

/// Tries every outcome of the selections: whether the condition can be both true and false, and whether each selection
/// can turn it.
fn warn_of_outcomes(
    selections: &[Selection],
    condition: &Condition,
    place: &Place,
    context: &mut Context<'_>,
) {
    let mut read = Vec::new();
    note_read(condition, &mut read);
    let words = read.len();
    read.sort_unstable();
    read.dedup();
    // Where each stands once, each can turn the condition.
    if read.len() == words || read.len() > TRIED_MAX || words > WORDS_MAX {
        return;
    }
    let outcomes: Vec<bool> = (0..1_usize << read.len())
        .map(|outcome| holds(condition, &read, outcome))
        .collect();
    if outcomes.iter().all(|holds| *holds == outcomes[0]) {
        let message = if outcomes[0] {
            "the condition always holds, whatever its selections select"
        } else {
            "the condition never holds, whatever its selections select"
        };
        context.report(ALWAYS_OR_NEVER.at(place, message));
        return;
    }
    for (bit, selection) in read.iter().enumerate() {
        let turns = (0..outcomes.len()).any(|at| outcomes[at] != outcomes[at ^ (1 << bit)]);
        if !turns {
            let Selection { name, place, .. } = &selections[selection.0 as usize];
            let message = format!("whether `{name}` holds or not, the condition gives the same");
            context.report(NO_INFLUENCE.at(place, message));
        }
    }
}

/// Every selection that a condition reads, as often as it does.
fn note_read(condition: &Condition, read: &mut Vec<SelectionIdx>) {
    match condition {
        Condition::Selection(selection) => read.push(*selection),
        Condition::And(terms) | Condition::Or(terms) => {
            for term in terms {
                note_read(term, read);
            }
        }
        Condition::Not(term) => note_read(term, read),
    }
}

/// What a condition gives where the selections at the bits of `outcome` hold and no other of these.
fn holds(condition: &Condition, selections: &[SelectionIdx], outcome: usize) -> bool {
    match condition {
        Condition::Selection(selection) => {
            let bit = selections.binary_search(selection).unwrap_or_default();
            outcome & (1 << bit) != 0
        }
        Condition::And(terms) => terms.iter().all(|term| holds(term, selections, outcome)),
        Condition::Or(terms) => terms.iter().any(|term| holds(term, selections, outcome)),
        Condition::Not(term) => !holds(term, selections, outcome),
    }
}

fn warn_of_same(selections: &[Selection], uses: &[Use], context: &mut Context<'_>) {
    let used = selections.iter().zip(uses);
    let used = used.filter(|(_, seen)| seen.plain || seen.negated);
    let used: Vec<&Selection> = used.map(|(selection, _)| selection).collect();
    if used.len() > COMPARED_MAX {
        return;
    }
    for (at, selection) in used.iter().enumerate() {
        let mut before = used[..at].iter();
        let Some(first) = before.find(|first| is_same(&first.search, &selection.search)) else {
            continue;
        };
        let message = format!("`{}` selects the same as `{}`", selection.name, first.name);
        context.report(SAME_SELECTION.at(&selection.place, message));
    }
}

/// Whether two searches ask the same, line by line.
fn is_same(left: &Search, right: &Search) -> bool {
    match (left, right) {
        (Search::Map(left), Search::Map(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| is_same_item(l, r))
        }
        (Search::Any(left), Search::Any(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| is_same(l, r))
        }
        _ => false,
    }
}

fn is_same_item(left: &Item, right: &Item) -> bool {
    left.field == right.field
        && left.negated == right.negated
        && left.quantifier == right.quantifier
        && left.matchers == right.matchers
}

/// Warns of a map that demands a field to be missing and to have a value.
pub(crate) fn map(items: &[Item], context: &mut Context<'_>) {
    for item in items.iter().filter(|item| demands_absence(item)) {
        let Field::Named(name) = &item.field else {
            continue;
        };
        let same = items.iter().filter(|other| other.field == item.field);
        if let Some(other) = same.into_iter().find(|other| demands_value(other)) {
            let message = format!("`{name}` must be missing here and have a value beside it");
            let (line, column) = (other.place.line, other.place.column);
            let help = format!(
                "the value is asked for at {line}:{column}; put one of the two into a selection of its own and join them with `or`"
            );
            context.report_with_help(CONTRADICTION.at(&item.place, message), help);
        }
    }
}

fn demands_absence(item: &Item) -> bool {
    let is_absence = |matcher: &Matcher| matches!(matcher, Matcher::Null | Matcher::Exists(false));
    !item.negated && item.matchers.iter().all(is_absence)
}

fn demands_value(item: &Item) -> bool {
    let is_value = |matcher: &Matcher| {
        !matches!(
            matcher,
            Matcher::Null | Matcher::Exists(_) | Matcher::AnyOf(_)
        )
    };
    !item.negated && item.matchers.iter().all(is_value)
}
