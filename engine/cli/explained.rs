//! A rule on one view for people, as lines, and for programs, as JSON. Every text that is shown is escaped.

use console::printing::{Paint, escaped, shortened};
use detect::{
    ConditionForm, ExplainedCondition, ExplainedItem, ExplainedSelection, ExplainedView, Hint,
    Need, Wanted,
};
use serde_json::{Value, json};
use sigma::SelectionIdx;

/// Longest value shown, in characters.
const VALUE: usize = 120;
/// Most of several things in the way that are shown; `-v` shows all.
const NEEDS_MAX: usize = 5;
/// Most values of a field, and most values of a rule, that a line shows.
const SHOWN_MAX: usize = 3;

/// Where the view was made from: `process_creation`, `auditd PATH[1]`.
pub(crate) fn name(view: &ExplainedView) -> String {
    match &view.record {
        Some(record) if view.view == "auditd" => format!("{} {}", view.view, escaped(record)),
        _ => view.view.to_owned(),
    }
}

/// A line for each selection. Below those that decide stand the values that did: of a view that the rule matches the
/// values that made it match, else what keeps it from that.
pub(crate) fn selections(view: &ExplainedView, indent: &str, paint: Paint) -> String {
    let decisive = view.decisive();
    let mut text = String::new();
    for (index, selection) in (0..).map(SelectionIdx).zip(&view.selections) {
        let mut name = escaped(&selection.name);
        let decides = decisive.contains(&index);
        if decides {
            name = paint.state_of(view.holds, &name);
        }
        text += &format!("{indent}{name} {}\n", state(selection));
        if decides {
            let search = &selection.search;
            let held = selection.holds;
            let items = if held {
                search.holding()
            } else {
                search.failing()
            };
            for item in items {
                text += &format!("{indent}  {}\n", line(view, item, held));
            }
        }
    }
    text
}

/// Every selection with every item, those that decide first: of a selection the items that are as it is.
pub(crate) fn tree(view: &ExplainedView, indent: &str, verbose: bool, paint: Paint) -> String {
    let decisive = view.decisive();
    let all = || (0..).map(SelectionIdx).zip(&view.selections);
    let decides = all().filter(|(index, _)| decisive.contains(index));
    let others = all().filter(|(index, _)| !decisive.contains(index));
    let mut text = String::new();
    for (index, selection) in decides.chain(others) {
        let mut name = escaped(&selection.name);
        if decisive.contains(&index) {
            name = paint.state_of(view.holds, &name);
        }
        let note = if decisive.contains(&index) {
            ", decides"
        } else {
            ""
        };
        text += &format!("{indent}{name} {}{note}\n", state(selection));
        let mut items = selection.search.items();
        items.sort_by_key(|item| item.holds != selection.holds);
        for item in items {
            let state = if item.holds { "true " } else { "false" };
            let shown = line(view, item, item.holds);
            text += &format!("{indent}  {state} {shown}\n");
            if verbose {
                text += &matchers(item, &format!("{indent}        "));
            }
        }
    }
    text
}

/// Every value of the rule by itself.
fn matchers(item: &ExplainedItem, indent: &str) -> String {
    let line = |matcher: &detect::ExplainedMatcher| {
        let state = if matcher.holds { "true " } else { "false" };
        let by = matcher.by.as_ref().map_or_else(String::new, |by| {
            let path = by
                .path
                .as_deref()
                .map(|path| format!(" in {}", escaped(path)));
            format!(
                ": '{}'{}",
                shortened(&escaped(&by.text), VALUE),
                path.unwrap_or_default()
            )
        });
        format!("{indent}{state} {}{by}\n", escaped(&matcher.text))
    };
    if item.matchers.len() < 2 {
        return String::new();
    }
    item.matchers.iter().map(line).collect()
}

/// The least that would have to be otherwise for the rule to match.
pub(crate) fn needs(view: &ExplainedView, indent: &str, verbose: bool) -> String {
    view.needs()
        .map_or_else(String::new, |need| need_text(view, &need, indent, verbose))
}

fn need_text(view: &ExplainedView, need: &Need<'_>, indent: &str, verbose: bool) -> String {
    let parts = |parts: &[Need<'_>], word: &str| {
        let inner = format!("{indent}  ");
        let shown_max = if verbose { usize::MAX } else { NEEDS_MAX };
        let mut text = format!("{indent}{word}\n");
        for part in parts.iter().take(shown_max) {
            text += &need_text(view, part, &inner, verbose);
        }
        match parts.len().saturating_sub(shown_max) {
            0 => text,
            more => text + &format!("{inner}and {more} more\n"),
        }
    };
    match need {
        Need::All(all) => parts(all, "all of these are in the way:"),
        Need::Any(any) => parts(any, "any one of these is in the way:"),
        Need::Item {
            selection,
            item,
            to_hold,
        } => {
            let name = escaped(&selection.name);
            let name = match (to_hold, &selection.filter) {
                (true, _) => format!("{name} (line {})", item.place.line),
                (false, None) => format!("{name} holds, and must not"),
                (false, Some(filter)) => format!("the filter {} excludes it", escaped(filter)),
            };
            let mut text = format!("{indent}{name}: {}\n", line(view, item, !to_hold));
            for hint in view.hints(item) {
                text += &format!("{indent}  hint: {}\n", escaped(&hint.to_string()));
            }
            text
        }
    }
}

/// What is to be said of a selection.
fn state(selection: &ExplainedSelection) -> &'static str {
    match (selection.wanted, selection.holds) {
        (Wanted::ToFail, true) => "holds, and must not",
        (Wanted::ToFail, false) => "does not hold, as it must",
        (_, true) => "holds",
        (_, false) => "does not hold",
    }
}

/// `CommandLine: saw 'perl -e 1', wanted contains 'use Socket'`.
fn line(view: &ExplainedView, item: &ExplainedItem, held: bool) -> String {
    let field = item.field.as_deref().map_or("any text".into(), escaped);
    let word = if held { "met" } else { "wanted" };
    format!(
        "{field}: {}, {word} {}",
        saw(view, item, held),
        asked(item, held)
    )
}

/// The values that decided: those that were met, else all that were there.
fn saw(view: &ExplainedView, item: &ExplainedItem, held: bool) -> String {
    let mut values: Vec<&str> = Vec::new();
    if held && !item.negated {
        for by in item.matchers.iter().filter_map(|m| m.by.as_ref()) {
            if !values.contains(&&*by.text) {
                values.push(&by.text);
            }
        }
    } else {
        values.extend(item.seen.iter().map(|seen| &*seen.text));
    }
    if !item.fed && item.field.is_some() {
        return format!("no view of {} carries this field", view.view);
    }
    if values.is_empty() {
        return "it is missing".into();
    }
    let more = values.len().saturating_sub(SHOWN_MAX);
    let more = more + if held { 0 } else { item.seen_left_out };
    let shown = values.iter().take(SHOWN_MAX);
    let shown: Vec<String> = shown
        .map(|value| format!("'{}'", shortened(&escaped(value), VALUE)))
        .collect();
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("saw {}{more}", shown.join(", "))
}

/// What the rule asks for, as far as it decided.
fn asked(item: &ExplainedItem, held: bool) -> String {
    let wanted = |met: bool| -> Vec<&str> {
        let matchers = item.matchers.iter().filter(|m| m.holds == met);
        matchers.map(|matcher| &*matcher.text).collect()
    };
    let (texts, word) = match (item.negated, held) {
        (false, true) => (wanted(true), " and "),
        (false, false) => (wanted(false), if item.all { " and " } else { " or " }),
        (true, true) => (wanted(false), " or "),
        (true, false) => (wanted(true), " or "),
    };
    let mut shown: Vec<String> = texts.iter().take(SHOWN_MAX).map(|t| escaped(t)).collect();
    if texts.len() > SHOWN_MAX {
        shown.push(format!("{} more", texts.len() - SHOWN_MAX));
    }
    let shown = shown.join(word);
    if item.negated {
        format!("not ({shown})")
    } else {
        shown
    }
}

/// The same for programs, with every item and matcher.
pub(crate) fn json(view: &ExplainedView) -> Value {
    let selections = view.selections.iter().map(|selection| {
        json!({
            "name": &*selection.name,
            "line": selection.place.line,
            "holds": selection.holds,
            "filter": selection.filter.as_deref(),
            "wanted": match selection.wanted {
                Wanted::ToHold => "to hold",
                Wanted::ToFail => "to fail",
                Wanted::Either => "either",
            },
            "items": selection.search.items().into_iter().map(item_json).collect::<Vec<_>>(),
        })
    });
    json!({
        "view": view.view,
        "record": view.record,
        "holds": view.holds,
        "distance": view.distance,
        "condition": condition_json(&view.condition, view),
        "selections": selections.collect::<Vec<_>>(),
        "needs": view.needs().map(|need| need_json(view, &need)),
    })
}

fn need_json(view: &ExplainedView, need: &Need<'_>) -> Value {
    let all = |parts: &[Need<'_>]| -> Vec<Value> {
        parts.iter().map(|part| need_json(view, part)).collect()
    };
    match need {
        Need::All(parts) => json!({ "all": all(parts) }),
        Need::Any(parts) => json!({ "any": all(parts) }),
        Need::Item {
            selection,
            item,
            to_hold,
        } => json!({
            "selection": &*selection.name,
            "filter": selection.filter.as_deref(),
            "to_hold": to_hold,
            "item": item_json(item),
            "hints": view.hints(item).iter().map(hint_json).collect::<Vec<_>>(),
        }),
    }
}

fn hint_json(hint: &Hint) -> Value {
    json!({ "hint": hint.code(), "text": hint.to_string() })
}

fn condition_json(condition: &ExplainedCondition, view: &ExplainedView) -> Value {
    let all = |parts: &[ExplainedCondition]| -> Vec<Value> {
        let json = |part| condition_json(part, view);
        parts.iter().map(json).collect()
    };
    let (key, of) = match &condition.form {
        ConditionForm::Selection(index) => {
            ("selection", json!(&*view.selections[index.0 as usize].name))
        }
        ConditionForm::And(parts) => ("and", all(parts).into()),
        ConditionForm::Or(parts) => ("or", all(parts).into()),
        ConditionForm::Not(part) => ("not", condition_json(part, view)),
    };
    json!({ "holds": condition.holds, key: of })
}

fn item_json(item: &ExplainedItem) -> Value {
    let seen = item.seen.iter();
    let matchers = item.matchers.iter().map(|matcher| {
        json!({
            "matcher": matcher.text,
            "holds": matcher.holds,
            "value": matcher.by.as_ref().map(|by| &by.text),
            "path": matcher.by.as_ref().and_then(|by| by.path.as_ref()),
        })
    });
    json!({
        "field": item.field.as_deref(),
        "line": item.place.line,
        "fed": item.fed,
        "negated": item.negated,
        "all": item.all,
        "holds": item.holds,
        "seen": seen
            .map(|seen| json!({ "value": seen.text, "path": seen.path }))
            .collect::<Vec<_>>(),
        "seen_left_out": item.seen_left_out,
        "matchers": matchers.collect::<Vec<_>>(),
    })
}
