//! What an item of a rule meets in an event: the values of its field as we find them, and as `sigma-rust` does.

use serde_json::Value;
use sigma::{Field, Item, Matcher, Pattern, Rule, Search};

/// One item on one event.
#[derive(Debug)]
pub struct Cell<'a> {
    pub(crate) item: &'a Item,
    /// The rule's text.
    pub(crate) text: &'a str,
    pub(crate) event: &'a Value,
    /// Ours: of lists each element.
    pub(crate) values: Vec<&'a Value>,
    /// Whether a list was met on the way.
    pub(crate) listed: bool,
    /// What `sigma-rust` finds.
    pub(crate) theirs: Option<&'a Value>,
}

/// All items of a rule.
pub(crate) fn cells<'a>(rule: &'a Rule, text: &'a str, event: &'a Value) -> Vec<Cell<'a>> {
    let mut items = Vec::new();
    for selection in &rule.detection.selections {
        collect(&selection.search, &mut items);
    }
    let cell = |item| Cell::new(item, text, event);
    items.into_iter().map(cell).collect()
}

fn collect<'a>(search: &'a Search, items: &mut Vec<&'a Item>) {
    match search {
        Search::Map(map) => items.extend(map),
        Search::Any(searches) => searches.iter().for_each(|search| collect(search, items)),
    }
}

impl<'a> Cell<'a> {
    fn new(item: &'a Item, text: &'a str, event: &'a Value) -> Self {
        let (mut values, mut listed, mut theirs) = (Vec::new(), false, None);
        if let Field::Named(name) = &item.field {
            find(event, name, &mut values, &mut listed);
            theirs = their(event, name);
        }
        Self {
            item,
            text,
            event,
            values,
            listed,
            theirs,
        }
    }

    /// Its matchers, of several variants each.
    pub(crate) fn matchers(&self) -> impl Iterator<Item = &Matcher> {
        self.item.matchers.iter().flat_map(|matcher| match matcher {
            Matcher::AnyOf(variants) => &variants[..],
            one => std::slice::from_ref(one),
        })
    }

    /// Its patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.matchers().filter_map(|matcher| match matcher {
            Matcher::Text(pattern) => Some(pattern),
            _ => None,
        })
    }
}

/// Policy M5: a member of this name, else a path; lists are crossed.
fn find<'a>(at: &'a Value, path: &str, found: &mut Vec<&'a Value>, listed: &mut bool) {
    match at {
        Value::Object(members) => {
            if let Some(value) = members.get(path) {
                leaves(value, found, listed);
                return;
            }
            for (dot, _) in path.match_indices('.') {
                let (first, rest) = path.split_at(dot);
                if let Some(member) = members.get(first) {
                    find(member, rest.trim_start_matches('.'), found, listed);
                }
            }
        }
        Value::Array(elements) => {
            *listed = true;
            let each = elements.iter();
            each.for_each(|element| find(element, path, found, listed));
        }
        _ => {}
    }
}

fn leaves<'a>(value: &'a Value, found: &mut Vec<&'a Value>, listed: &mut bool) {
    match value {
        Value::Array(elements) => {
            *listed = true;
            let each = elements.iter();
            each.for_each(|element| leaves(element, found, listed));
        }
        value => found.push(value),
    }
}

/// The way of `sigma-rust`: the whole name, else its first part and the whole rest, and so on.
pub(crate) fn their<'a>(event: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(value) = event.get(name) {
        return Some(value);
    }
    let (mut at, mut name) = (event, name);
    while let Some((head, tail)) = name.split_once('.') {
        let member = at.get(head).filter(|member| member.is_object())?;
        if let Some(value) = member.get(tail) {
            return Some(value);
        }
        (at, name) = (member, tail);
    }
    None
}
