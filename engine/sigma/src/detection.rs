//! `detection`, and `filter` alike: search identifiers to [`Selection`]s, then the condition over them.

use std::sync::Arc;

use crate::codes::{
    ALL_WITH_ONE_VALUE, ARRAY_SYNTAX, CONDITION_MISSING, CONDITION_SYNTAX, EMPTY_SELECTION,
    EMPTY_VALUES, LIMIT, NO_SELECTION, NULL_IN_LIST, TIMEFRAME, VALUE_SHAPE, WRONG_TYPE,
};
use crate::condition::{self, Names};
use crate::context::{Context, string};
use crate::lint;
use crate::modifier::Chain;
use crate::yaml::{Entry, Kind, Node};
use crate::{Condition, Detection, Field, Item, Matcher, Place, Quantifier, Search, Selection};

/// Selections of one rule; the condition costs their number for each of its words.
const SELECTIONS_MAX: usize = 1_000;
/// Entries of a list of conditions.
const CONDITIONS_MAX: usize = 100;

/// Reads `detection` or `filter`. All faults are reported; `None` if one of them is an error.
///
/// SIGMA: a `filter` differs in that it holds `rules`, and that its condition is one string.
pub(crate) fn read(entry: &Entry, context: &mut Context<'_>) -> Option<Detection> {
    let Some(entries) = entry.value.as_mapping() else {
        let message = format!(
            "`{}` must be a map, this is {}",
            entry.key,
            entry.value.kind_name()
        );
        context.report(WRONG_TYPE.at(&entry.value.place, message));
        return None;
    };
    let is_filter = &*entry.key == "filter";
    let mut selections = Vec::new();
    let mut names = Vec::new();
    let mut condition = None;
    for line in entries {
        match &*line.key {
            "condition" => condition = Some(line),
            "timeframe" => warn_of_timeframe(line, context),
            "rules" if is_filter => {}
            _ => {
                names.push(&*line.key);
                selections.push(selection(line, context));
            }
        }
    }
    if names.is_empty() {
        let message = format!(
            "the {} has no search identifier beside the condition",
            entry.key
        );
        context.report(NO_SELECTION.at(&entry.place, message));
        return None;
    }
    if names.len() > SELECTIONS_MAX {
        let message = format!(
            "the {} has more than {SELECTIONS_MAX} selections",
            entry.key
        );
        context.report(LIMIT.at(&entry.place, message));
        return None;
    }
    let Some(line) = condition else {
        let message = format!("the {} has no `condition`", entry.key);
        context.report(CONDITION_MISSING.at(&entry.place, message));
        return None;
    };
    let names = Names::new(names);
    let condition = if is_filter {
        condition_text(&line.value, &names, context)
    } else {
        conditions(line, &names, context)
    }?;
    let selections: Vec<Selection> = selections.into_iter().collect::<Option<_>>()?;
    lint::condition(
        &selections,
        &condition,
        &line.value.place,
        is_filter,
        context,
    );
    Some(Detection {
        selections,
        condition,
    })
}

fn warn_of_timeframe(line: &Entry, context: &mut Context<'_>) {
    let diagnostic = TIMEFRAME.at(
        &line.place,
        "`timeframe` has no effect and is not a search identifier",
    );
    context.report_with_help(
        diagnostic,
        "remove it, or write a correlation with a `timespan`",
    );
}

fn selection(line: &Entry, context: &mut Context<'_>) -> Option<Selection> {
    let search = search(line, context)?;
    Some(Selection {
        name: Arc::clone(&line.key),
        place: line.place.clone(),
        search,
    })
}

fn search(line: &Entry, context: &mut Context<'_>) -> Option<Search> {
    match &line.value.kind {
        Kind::Mapping(entries) => map(entries, &line.value.place, &line.key, context),
        Kind::Sequence(nodes) => list(nodes, line, context),
        Kind::Null => {
            report_empty(&line.key, &line.place, context);
            None
        }
        _ => keywords(&[&line.value], context).map(|item| Search::Map(vec![item])),
    }
}

fn report_empty(name: &str, place: &Place, context: &mut Context<'_>) {
    context.report(EMPTY_SELECTION.at(place, format!("`{name}` holds nothing to look for")));
}

/// Maps and keywords of a list; the keywords become one item.
fn list(nodes: &[Node], line: &Entry, context: &mut Context<'_>) -> Option<Search> {
    if nodes.is_empty() {
        report_empty(&line.key, &line.place, context);
        return None;
    }
    let mut searches = Vec::new();
    let mut words = Vec::new();
    let mut sound = true;
    for node in nodes {
        match &node.kind {
            Kind::Mapping(entries) => match map(entries, &node.place, &line.key, context) {
                Some(search) => searches.push(search),
                None => sound = false,
            },
            Kind::Sequence(_) => {
                context.report(VALUE_SHAPE.at(
                    &node.place,
                    "a list stands inside of a list of alternatives",
                ));
                sound = false;
            }
            _ => words.push(node),
        }
    }
    if !words.is_empty() {
        match keywords(&words, context) {
            Some(item) => searches.push(Search::Map(vec![item])),
            None => sound = false,
        }
    }
    if !sound {
        return None;
    }
    match searches.pop() {
        Some(only) if searches.is_empty() => Some(only),
        last => Some(Search::Any(searches.into_iter().chain(last).collect())),
    }
}

fn keywords(words: &[&Node], context: &mut Context<'_>) -> Option<Item> {
    let chain = Chain::plain(true);
    let place = words.first()?.place.clone();
    let values = lower_all(&chain, words, context)?;
    lint::value::values(&chain, words, &values, context);
    Some(item(&chain, Field::Keywords, words, values, place))
}

fn map(entries: &[Entry], place: &Place, name: &str, context: &mut Context<'_>) -> Option<Search> {
    if entries.is_empty() {
        report_empty(name, place, context);
        return None;
    }
    // Every line is read, so that all faults are told.
    let items: Vec<Option<Item>> = entries.iter().map(|line| map_line(line, context)).collect();
    let items: Vec<Item> = items.into_iter().collect::<Option<_>>()?;
    lint::map(&items, context);
    Some(Search::Map(items))
}

fn map_line(line: &Entry, context: &mut Context<'_>) -> Option<Item> {
    let chain = Chain::read(&line.key, &line.place, context);
    let name = line.key.split('|').next().unwrap_or_default();
    warn_of_array_syntax(name, line, context);
    let single = [&line.value];
    let nodes: Vec<&Node> = match &line.value.kind {
        Kind::Sequence(nodes) => nodes.iter().collect(),
        _ => single.to_vec(),
    };
    if nodes.is_empty() {
        context.report(EMPTY_VALUES.at(
            &line.place,
            format!("`{}` has an empty list of values", line.key),
        ));
        return None;
    }
    let chain = chain?;
    if nodes.len() > 1 {
        warn_of_null(&nodes, context);
    } else if chain.all && !chain.expand {
        let at = line.key.rfind("|all").map_or(0, |bar| bar + 1);
        let place = context.inside(&line.place, &line.key, at..at + "all".len());
        let diagnostic = ALL_WITH_ONE_VALUE.at(&place, "`all` has only one value to demand");
        context.report_with_help(diagnostic, "remove `all`, or add values");
    }
    let values = lower_all(&chain, &nodes, context)?;
    lint::value::values(&chain, &nodes, &values, context);
    let field = if chain.is_keyword {
        Field::Keywords
    } else {
        Field::Named(name.into())
    };
    Some(item(&chain, field, &nodes, values, line.place.clone()))
}

/// The variants of each value, in order.
fn lower_all(
    chain: &Chain,
    nodes: &[&Node],
    context: &mut Context<'_>,
) -> Option<Vec<Vec<Matcher>>> {
    let values: Vec<_> = nodes
        .iter()
        .map(|node| chain.lower(node, context))
        .collect();
    values.into_iter().collect()
}

fn item(
    chain: &Chain,
    field: Field,
    nodes: &[&Node],
    values: Vec<Vec<Matcher>>,
    place: Place,
) -> Item {
    let is_all = chain.all;
    let of_value = |(node, variants): (&&Node, &Vec<Matcher>)| {
        let matchers = if is_all { 1 } else { variants.len() };
        std::iter::repeat_n(node.place.clone(), matchers)
    };
    let places = nodes.iter().zip(&values).flat_map(of_value).collect();
    let (quantifier, mut matchers) = if is_all {
        (Quantifier::All, values.into_iter().map(any_of).collect())
    } else {
        (Quantifier::Any, values.concat())
    };
    if matchers.is_empty() {
        matchers = vec![Matcher::AnyOf(Vec::new())];
    }
    Item {
        field,
        negated: chain.neq,
        quantifier,
        matchers,
        place,
        places,
    }
}

fn any_of(mut variants: Vec<Matcher>) -> Matcher {
    match variants.pop() {
        Some(only) if variants.is_empty() => only,
        last => Matcher::AnyOf(variants.into_iter().chain(last).collect()),
    }
}

fn warn_of_null(nodes: &[&Node], context: &mut Context<'_>) {
    for node in nodes.iter().filter(|node| matches!(node.kind, Kind::Null)) {
        let diagnostic = NULL_IN_LIST.at(&node.place, "`null` stands among other values");
        context.report_with_help(diagnostic, "put it into a selection of its own");
    }
}

/// Only what would be array matching in Sigma 3 is worth a word.
fn warn_of_array_syntax(name: &str, line: &Entry, context: &mut Context<'_>) {
    let is_selector = |text: &str| {
        matches!(text, "any" | "all" | "all_or_empty" | "none") || text.parse::<i32>().is_ok()
    };
    let mut brackets = name
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']'));
    if brackets.any(|(inside, _)| is_selector(inside)) {
        let message = format!("`{name}` is taken as the literal name of a field");
        let diagnostic = ARRAY_SYNTAX.at(&line.place, message);
        context.report_with_help(
            diagnostic,
            "array matching begins with Sigma 3; a path crosses arrays without brackets",
        );
    }
}

/// A condition, or a list of them, of which one must hold.
fn conditions(line: &Entry, names: &Names<'_>, context: &mut Context<'_>) -> Option<Condition> {
    let single = [&line.value];
    let nodes: Vec<&Node> = match &line.value.kind {
        Kind::Sequence(nodes) => nodes.iter().collect(),
        _ => single.to_vec(),
    };
    if nodes.len() > CONDITIONS_MAX {
        let message = format!("the list has more than {CONDITIONS_MAX} conditions");
        context.report(LIMIT.at(&line.place, message));
        return None;
    }
    let conditions: Vec<Option<Condition>> = nodes
        .iter()
        .map(|node| condition_text(node, names, context))
        .collect();
    let mut conditions: Vec<Condition> = conditions.into_iter().collect::<Option<_>>()?;
    match conditions.pop() {
        Some(only) if conditions.is_empty() => Some(only),
        Some(last) => Some(Condition::Or(
            conditions.into_iter().chain([last]).collect(),
        )),
        None => {
            context.report(CONDITION_MISSING.at(&line.place, "the list of conditions is empty"));
            None
        }
    }
}

fn condition_text(node: &Node, names: &Names<'_>, context: &mut Context<'_>) -> Option<Condition> {
    // A selection may be named `1`, which YAML takes for a number.
    let text = match &node.kind {
        Kind::Number(number) => Some(&*number.written),
        _ => string(node),
    };
    match text {
        Some(text) if text.trim().is_empty() => {
            context.report(CONDITION_MISSING.at(&node.place, "the condition is empty"));
            None
        }
        Some(text) => condition::parse(text, &node.place, names, context),
        None if matches!(node.kind, Kind::Null) => {
            context.report(CONDITION_MISSING.at(&node.place, "the condition is empty"));
            None
        }
        None => {
            let message = format!("a condition must be a string, this is {}", node.kind_name());
            context.report(CONDITION_SYNTAX.at(&node.place, message));
            None
        }
    }
}
