//! `correlation` to a [`Draft`]: all that one document tells by itself. `resolve` then says what its references are.

use std::collections::HashSet;
use std::sync::Arc;

use crate::codes::{
    BOOLEAN_CONDITION, BOUND, CORRELATION_KEY, CORRELATION_TYPE, LIMIT, NEVER_HOLDS, NO_EFFECT,
    NUMBER_RADIX, TIMESPAN, UNUSED_ALIAS, VALUE_FIELD, WINDOW, WRONG_TYPE,
};
use crate::condition;
use crate::context::{Context, string};
use crate::correlation::timespan;
use crate::document::{attributes, boolean, check_taxonomy, find, major, report_missing};
use crate::references::{self, REFERENCES_MAX, Reference};
use crate::suggest::did_you_mean;
use crate::yaml::{Entry, Kind, Node, NumberForm};
use crate::{
    Attributes, Bound, BoundOperator, Condition, CorrelationKind, Place, canonical_decimal,
};

/// Fields of `group-by`, of one `field`, and aliases.
const FIELDS_MAX: usize = 32;

const KEYS: [&str; 9] = [
    "type",
    "rules",
    "group-by",
    "timespan",
    "condition",
    "aliases",
    "generate",
    "window",
    "gap",
];
const TYPES: [(&str, Type); 10] = [
    ("event_count", Type::EventCount),
    ("value_count", Type::ValueCount),
    ("value_sum", Type::ValueSum),
    ("value_avg", Type::ValueAvg),
    ("value_percentile", Type::ValuePercentile),
    ("value_median", Type::ValueMedian),
    ("temporal", Type::Temporal),
    ("temporal_ordered", Type::TemporalOrdered),
    // Names that pySigma has for the temporal types with a boolean condition.
    ("temporal_extended", Type::Temporal),
    ("temporal_ordered_extended", Type::TemporalOrdered),
];
const OPERATORS: [(&str, BoundOperator); 6] = [
    ("gt", BoundOperator::Gt),
    ("gte", BoundOperator::Gte),
    ("lt", BoundOperator::Lt),
    ("lte", BoundOperator::Lte),
    ("eq", BoundOperator::Eq),
    ("neq", BoundOperator::Neq),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    EventCount,
    ValueCount,
    ValueSum,
    ValueAvg,
    ValuePercentile,
    ValueMedian,
    Temporal,
    TemporalOrdered,
}

impl Type {
    fn is_temporal(self) -> bool {
        matches!(self, Self::Temporal | Self::TemporalOrdered)
    }

    fn is_of_values(self) -> bool {
        self != Self::EventCount && !self.is_temporal()
    }
}

/// A correlation whose references are words yet. What is `None` has been reported.
pub(crate) struct Draft {
    pub(crate) attributes: Option<Attributes>,
    pub(crate) major: u64,
    pub(crate) generate: bool,
    pub(crate) kind: Option<CorrelationKind>,
    pub(crate) sources: Vec<Reference>,
    pub(crate) timespan_ms: Option<i64>,
    pub(crate) group_by: Vec<Arc<str>>,
    pub(crate) aliases: Vec<Alias>,
    pub(crate) condition: Option<DraftCondition>,
    pub(crate) not_running: Option<String>,
}

/// One field of one rule that stands for an entry of `group-by`.
pub(crate) struct Alias {
    /// The entry's place in `group-by`; `None` if it is not there.
    pub(crate) group_by: Option<usize>,
    pub(crate) source: Reference,
    pub(crate) field: Arc<str>,
}

/// `condition`.
pub(crate) enum DraftCondition {
    Bounds(Vec<Bound>),
    /// A condition over these names, which its terms count.
    Rules(Condition, Vec<Reference>),
    /// None: all sources are seen.
    AllSeen,
}

/// Reads a correlation; `version` is the hash of its text. All faults are reported, and with one there may be no
/// draft.
pub(crate) fn read(root: &Node, version: String, context: &mut Context<'_>) -> Option<Draft> {
    let entries = root.as_mapping()?;
    let major = major(entries, context);
    let attributes = attributes(root, entries, version, context);
    check_taxonomy(entries, context);
    if let Some(entry) = find(entries, "logsource") {
        let message = "a correlation has no log source";
        let help = "remove it; the rules that are correlated have theirs";
        context.report_with_help(NO_EFFECT.at(&entry.place, message), help);
    }
    let entry = find(entries, "correlation")?;
    let Some(lines) = entry.value.as_mapping() else {
        let message = format!(
            "`correlation` must be a map, this is {}",
            entry.value.kind_name()
        );
        context.report(WRONG_TYPE.at(&entry.value.place, message));
        return None;
    };
    warn_of_unknown(lines, context);
    let body = Body {
        lines,
        place: &entry.place,
    };
    let kind = body.kind(context);
    let group_by = body.group_by(context).unwrap_or_default();
    let rules = find(lines, "rules").map(|entry| references::read(entry, context));
    let condition = body.condition(kind, context);
    let sources = match (rules, &condition) {
        (Some(rules), _) => rules.unwrap_or_default(),
        // SIGMA: the names of a boolean condition are the rules where there is no list.
        (None, Some(DraftCondition::Rules(_, names))) => names.clone(),
        (None, None) if body.has_text_condition() => Vec::new(),
        (None, _) => {
            report_missing("rules", lines, &entry.place, context);
            Vec::new()
        }
    };
    Some(Draft {
        attributes,
        major,
        generate: generate(entries, lines, context),
        kind: kind.and_then(|kind| body.correlation_kind(kind, context)),
        sources,
        timespan_ms: body.timespan(context),
        aliases: body.aliases(&group_by, context),
        group_by,
        condition,
        not_running: body.not_running(context),
    })
}

fn warn_of_unknown(lines: &[Entry], context: &mut Context<'_>) {
    for line in lines.iter().filter(|line| !KEYS.contains(&&*line.key)) {
        let message = format!("`{}` is not known in a correlation", line.key);
        let help = match &*line.key {
            "timeframe" => Some("did you mean `timespan`?".to_owned()),
            "field" | "percentile" => Some("it belongs into `condition`".to_owned()),
            key => did_you_mean(key, KEYS),
        };
        let help = help.unwrap_or_else(|| "it has no effect; remove it".to_owned());
        context.report_with_help(CORRELATION_KEY.at(&line.place, message), help);
    }
}

/// SIGMA: `generate` stands at top level or in `correlation`.
fn generate(entries: &[Entry], lines: &[Entry], context: &mut Context<'_>) -> bool {
    let outer = find(entries, "generate");
    let inner = find(lines, "generate");
    if let (Some(outer), Some(_)) = (outer, inner) {
        let message = "`generate` stands in `correlation` too, whose value is used";
        context.report(NO_EFFECT.at(&outer.place, message));
    }
    let outer = outer.and_then(|entry| boolean(entry, context));
    let inner = inner.and_then(|entry| boolean(entry, context));
    inner.or(outer).unwrap_or(false)
}

/// The lines of `correlation`, and where that word stands.
struct Body<'a> {
    lines: &'a [Entry],
    place: &'a Place,
}

impl Body<'_> {
    fn kind(&self, context: &mut Context<'_>) -> Option<Type> {
        let Some(entry) = find(self.lines, "type") else {
            report_missing("type", self.lines, self.place, context);
            return None;
        };
        let names = TYPES.map(|(name, _)| name);
        let Some(word) = string(&entry.value) else {
            let message = format!(
                "the type of a correlation must be a string, this is {}",
                entry.value.kind_name()
            );
            let help = format!("the types are {}", names.join(", "));
            context.report_with_help(CORRELATION_TYPE.at(&entry.value.place, message), help);
            return None;
        };
        let found = TYPES.into_iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let message = format!("there is no type `{word}` of correlations");
            let help = did_you_mean(word, names)
                .unwrap_or_else(|| format!("the types are {}", names.join(", ")));
            context.report_with_help(CORRELATION_TYPE.at(&entry.value.place, message), help);
        }
        found.map(|(_, kind)| kind)
    }

    /// The type with what its condition says of fields. Warns of what says nothing in this type.
    fn correlation_kind(&self, kind: Type, context: &mut Context<'_>) -> Option<CorrelationKind> {
        let condition = find(self.lines, "condition");
        let lines = condition.and_then(|entry| entry.value.as_mapping());
        let field = find(lines.unwrap_or_default(), "field");
        let percentile = find(lines.unwrap_or_default(), "percentile");
        let percent = percentile.map(|entry| read_percentile(entry, context));
        let unused = [
            field.filter(|_| !kind.is_of_values()),
            percentile.filter(|_| kind != Type::ValuePercentile),
        ];
        for entry in unused.into_iter().flatten() {
            let message = format!("`{}` has no effect in this type of correlation", entry.key);
            context.report(NO_EFFECT.at(&entry.place, message));
        }
        match kind {
            Type::EventCount => return Some(CorrelationKind::EventCount),
            Type::Temporal => return Some(CorrelationKind::Temporal),
            Type::TemporalOrdered => return Some(CorrelationKind::TemporalOrdered),
            _ => {}
        }
        let Some(entry) = field else {
            // Without any condition its absence is what is told.
            if let Some(condition) = condition.filter(|_| lines.is_some()) {
                let message = "the condition does not say which `field` the values are of";
                let help = "add a line `field: name of the field`";
                context.report_with_help(VALUE_FIELD.at(&condition.place, message), help);
            }
            return None;
        };
        self.warn_of_aliased_field(&entry.value, context);
        let mut fields = field_names(entry, context)?;
        if kind == Type::ValueCount {
            return Some(CorrelationKind::ValueCount(fields));
        }
        if fields.len() > 1 {
            let message = "only `value_count` takes several fields";
            let help = "name one, or count combinations with `type: value_count`";
            context.report_with_help(VALUE_FIELD.at(&entry.value.place, message), help);
            return None;
        }
        let field = fields.pop()?;
        Some(match kind {
            Type::ValueSum => CorrelationKind::ValueSum(field),
            Type::ValueAvg => CorrelationKind::ValueAvg(field),
            Type::ValueMedian => CorrelationKind::ValuePercentile(field, 50),
            _ => CorrelationKind::ValuePercentile(field, percent.unwrap_or(Some(50))?),
        })
    }

    /// SIGMA: aliases are for `group-by`.
    fn warn_of_aliased_field(&self, node: &Node, context: &mut Context<'_>) {
        let aliases = find(self.lines, "aliases").and_then(|entry| entry.value.as_mapping());
        let names = match &node.kind {
            Kind::Sequence(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for node in names {
            let Some(name) = string(node) else { continue };
            if find(aliases.unwrap_or_default(), name).is_some() {
                let message =
                    format!("`{name}` is taken as a field of the events, not as the alias");
                let help = "aliases stand in `group-by` only; name a field that all rules have";
                context.report_with_help(NO_EFFECT.at(&node.place, message), help);
            }
        }
    }

    fn group_by(&self, context: &mut Context<'_>) -> Option<Vec<Arc<str>>> {
        let fields = field_names(find(self.lines, "group-by")?, context)?;
        Some(fields)
    }

    fn timespan(&self, context: &mut Context<'_>) -> Option<i64> {
        let Some(entry) = find(self.lines, "timespan") else {
            report_missing("timespan", self.lines, self.place, context);
            return None;
        };
        let node = &entry.value;
        let (message, help) = match &node.kind {
            Kind::String(text) => match timespan::read(text) {
                Ok(timespan_ms) => return Some(timespan_ms),
                Err(fault) => (fault.message(text), timespan::HELP.to_owned()),
            },
            Kind::Number(number) => (
                format!("the timespan `{}` has no unit", number.written),
                format!("write `{}s` if these are seconds", number.written),
            ),
            _ => (
                format!("a timespan must be a string, this is {}", node.kind_name()),
                timespan::HELP.to_owned(),
            ),
        };
        context.report_with_help(TIMESPAN.at(&node.place, message), help);
        None
    }

    fn has_text_condition(&self) -> bool {
        find(self.lines, "condition").is_some_and(|entry| entry.value.as_str().is_some())
    }

    fn condition(&self, kind: Option<Type>, context: &mut Context<'_>) -> Option<DraftCondition> {
        let Some(entry) = find(self.lines, "condition") else {
            // SIGMA: temporal types go without one.
            if kind.is_some_and(Type::is_temporal) {
                return Some(DraftCondition::AllSeen);
            }
            if kind.is_some() {
                report_missing("condition", self.lines, self.place, context);
            }
            return None;
        };
        let node = &entry.value;
        match &node.kind {
            Kind::Mapping(lines) => bounds(lines, entry, context).map(DraftCondition::Bounds),
            Kind::String(text) if kind.is_none_or(Type::is_temporal) => {
                if text.trim().is_empty() {
                    context.report(BOUND.at(&node.place, "the condition is empty"));
                    return None;
                }
                let (condition, names) = condition::parse_rules(text, &node.place, context)?;
                if names.len() > REFERENCES_MAX {
                    let message = format!("the condition has more than {REFERENCES_MAX} rules");
                    context.report(LIMIT.at(&node.place, message));
                    return None;
                }
                Some(DraftCondition::Rules(condition, names))
            }
            Kind::String(_) => {
                let message = "a condition over rules needs a temporal type";
                let help =
                    "write `type: temporal`, or an operator with a number, such as `gte: 10`";
                context.report_with_help(BOOLEAN_CONDITION.at(&node.place, message), help);
                None
            }
            _ => {
                let message = format!(
                    "the condition of a correlation must be a map or a string, this is {}",
                    node.kind_name()
                );
                let help = "write an operator with a number, such as `gte: 10`";
                context.report_with_help(BOUND.at(&node.place, message), help);
                None
            }
        }
    }

    fn aliases(&self, group_by: &[Arc<str>], context: &mut Context<'_>) -> Vec<Alias> {
        let Some(entry) = find(self.lines, "aliases") else {
            return Vec::new();
        };
        let Some(lines) = entry.value.as_mapping() else {
            report_alias_shape("`aliases` must be a map", &entry.value, context);
            return Vec::new();
        };
        if lines.len() > FIELDS_MAX {
            let message = format!("there are more than {FIELDS_MAX} aliases");
            context.report(LIMIT.at(&entry.place, message));
            return Vec::new();
        }
        let mut aliases = Vec::new();
        for line in lines {
            let position = group_by.iter().position(|field| *field == line.key);
            if position.is_none() {
                let message = format!("`group-by` does not use the alias `{}`", line.key);
                let help = did_you_mean(&line.key, group_by.iter().map(AsRef::as_ref));
                context.report(UNUSED_ALIAS.at(&line.place, message).or_help(help));
            }
            let Some(fields) = line.value.as_mapping() else {
                report_alias_shape("an alias must be a map", &line.value, context);
                continue;
            };
            for field in fields {
                let Some(name) = field.value.as_str().filter(|name| !name.is_empty()) else {
                    report_alias_shape("an alias must name a field", &field.value, context);
                    continue;
                };
                aliases.push(Alias {
                    group_by: position,
                    source: Reference {
                        name: Arc::clone(&field.key),
                        place: field.place.clone(),
                    },
                    field: Arc::clone(name),
                });
            }
        }
        aliases
    }

    /// Windows of other engines; a correlation that asks for one is never evaluated as if it did not.
    fn not_running(&self, context: &mut Context<'_>) -> Option<String> {
        let is_sliding = |entry: &Entry| string(&entry.value) == Some("sliding");
        let window = find(self.lines, "window").filter(|entry| !is_sliding(entry));
        let mut reason = None;
        for entry in [window, find(self.lines, "gap")].into_iter().flatten() {
            let message = format!("`{}: {}` is not evaluated", entry.key, short(&entry.value));
            let help = "remove the line: windows slide; as it stands, the correlation is listed as not running";
            context.report_with_help(WINDOW.at(&entry.place, message.clone()), help);
            reason.get_or_insert(message);
        }
        reason
    }
}

/// One name of a field or a list of them; not empty, none twice.
fn field_names(entry: &Entry, context: &mut Context<'_>) -> Option<Vec<Arc<str>>> {
    let nodes = match &entry.value.kind {
        Kind::Sequence(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    if nodes.is_empty() {
        let message = format!("`{}` is an empty list", entry.key);
        let help = "remove it, or name the fields";
        context.report_with_help(WRONG_TYPE.at(&entry.value.place, message), help);
        return None;
    }
    if nodes.len() > FIELDS_MAX {
        let message = format!("`{}` has more than {FIELDS_MAX} fields", entry.key);
        context.report(LIMIT.at(&entry.place, message));
        return None;
    }
    let mut names = Vec::new();
    let mut known = HashSet::new();
    let mut sound = true;
    for node in nodes {
        let Some(name) = node.as_str().filter(|name| !name.trim().is_empty()) else {
            let kind = node
                .as_str()
                .map_or(node.kind_name(), |_| "an empty string");
            let message = format!("`{}` must name fields, this is {kind}", entry.key);
            context.report(WRONG_TYPE.at(&node.place, message));
            sound = false;
            continue;
        };
        if known.insert(name) {
            names.push(Arc::clone(name));
        } else {
            let message = format!("`{name}` stands a second time in `{}`", entry.key);
            context.report(NO_EFFECT.at(&node.place, message));
        }
    }
    sound.then_some(names)
}

fn read_percentile(entry: &Entry, context: &mut Context<'_>) -> Option<u8> {
    let percent = match &entry.value.kind {
        Kind::Number(number) => number
            .canonical
            .parse()
            .ok()
            .filter(|percent| *percent <= 100),
        _ => None,
    };
    if percent.is_none() {
        let message = "a percentile must be a whole number from 0 to 100";
        let help = "write a number such as `percentile: 95`";
        context.report_with_help(BOUND.at(&entry.value.place, message), help);
    }
    percent
}

/// The operators of a condition; not empty.
fn bounds(lines: &[Entry], entry: &Entry, context: &mut Context<'_>) -> Option<Vec<Bound>> {
    let names = OPERATORS.map(|(name, _)| name);
    let mut bounds = Vec::new();
    let mut sound = true;
    for line in lines {
        if matches!(&*line.key, "field" | "percentile") {
            continue;
        }
        let operator = OPERATORS.into_iter().find(|(name, _)| *name == &*line.key);
        let Some((_, operator)) = operator else {
            let message = format!("there is no operator `{}`", line.key);
            let known = names.into_iter().chain(["field", "percentile"]);
            let help = did_you_mean(&line.key, known)
                .unwrap_or_else(|| format!("the operators are {}", names.join(", ")));
            context.report_with_help(BOUND.at(&line.place, message), help);
            sound = false;
            continue;
        };
        match number(line, context) {
            Some(number) => bounds.push(Bound { operator, number }),
            None => sound = false,
        }
    }
    if !sound {
        return None;
    }
    if bounds.is_empty() {
        let help = format!("add one of {}, such as `gte: 10`", names.join(", "));
        let message = "the condition has no operator";
        context.report_with_help(BOUND.at(&entry.place, message), help);
        return None;
    }
    if never_holds(&bounds) {
        let message = "no number meets these bounds";
        context.report(NEVER_HOLDS.at(&entry.place, message));
    }
    Some(bounds)
}

/// The number of an operator, as canonical decimal text.
fn number(line: &Entry, context: &mut Context<'_>) -> Option<Arc<str>> {
    let node = &line.value;
    if let Kind::Number(number) = &node.kind {
        if number.form == NumberForm::Radix {
            let message = format!("`{}` is the number {}", number.written, number.canonical);
            let help = format!("write `{}` if it is meant", number.canonical);
            context.report_with_help(NUMBER_RADIX.at(&node.place, message), help);
        }
        return Some(Arc::clone(&number.canonical));
    }
    let message = format!(
        "`{}` needs a number, this is {}",
        line.key,
        node.kind_name()
    );
    let is_quoted = string(node).is_some_and(|text| canonical_decimal(text).is_some());
    let help = is_quoted.then_some("remove the quotes");
    context.report(BOUND.at(&node.place, message).or_help(help));
    None
}

/// Whether bounds exclude each other for certain; rounding may hide that, but never makes it up.
fn never_holds(bounds: &[Bound]) -> bool {
    use BoundOperator::{Eq, Gt, Gte, Lt, Lte, Neq};
    let value = |bound: &Bound| bound.number.parse::<f64>().unwrap_or(f64::NAN);
    bounds.iter().any(|low| {
        bounds
            .iter()
            .any(|high| match (low.operator, high.operator) {
                (Gt | Gte | Eq, Lt | Lte | Eq) if value(low) > value(high) => true,
                (Gt, Lt | Lte | Eq) | (Gte | Eq, Lt) | (Eq, Neq) => low.number == high.number,
                _ => false,
            })
    })
}

fn report_alias_shape(expected: &str, node: &Node, context: &mut Context<'_>) {
    let kind = node.as_str().filter(|text| text.is_empty());
    let kind = kind.map_or(node.kind_name(), |_| "an empty string");
    let message = format!("{expected}, this is {kind}");
    let help = "write `aliases: {alias: {name of a rule: its field}}`";
    context.report_with_help(WRONG_TYPE.at(&node.place, message), help);
}

/// The beginning of a value.
fn short(node: &Node) -> String {
    const CHARS_MAX: usize = 40;
    let text = string(node).map_or_else(|| node.to_json(), str::to_owned);
    let line = text.split(char::is_control).next().unwrap_or_default();
    if line.chars().count() <= CHARS_MAX {
        return line.to_owned();
    }
    line.chars().take(CHARS_MAX).chain(['…']).collect()
}
