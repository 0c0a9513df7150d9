//! What a rule means: the slow, obvious evaluator, straight from the parsed rule over a view's values. It is
//! the authority that the compiled plan is held against, and it says for alerts and explanations which
//! value made which part of a rule hold.
//!
//! How single texts are compared is a [`Judge`]'s business: [`Slow`] compares code point by code point, and
//! the plan's own tests stand in for it where an alert is explained.
//!
//! Clauses (`M…`) are those of Pythia's policy on what Sigma leaves open.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use event::{Decoder, Fault, Fields, ProcessCache, Profile, Slot, ValueKind, ViewKind};
use foldhash::fast::FixedState;
use sigma::{
    Condition, Field, Item, Matcher, Part, Pattern, Quantifier, Regex, Rule, Search, SelectionIdx,
};
use smallvec::SmallVec;

use crate::Line;
use crate::date;
use crate::matcher::{Test, Text, address, compare};
use crate::number::{Decimal, canonical_if_other};
use crate::route::route;
use crate::subject::{Subject, has_text};
use crate::text::{Unit, representative, units};

/// The slots of a rule's fields in one kind of views; `None` for a field that nothing feeds there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    slots: HashMap<Arc<str>, Option<Slot>, FixedState>,
    keywords: Option<Slot>,
}

impl Names {
    /// Asks for every field that the rule reads.
    pub(crate) fn resolve(rule: &Rule, kind: ViewKind, fields: &mut Fields) -> Self {
        let mut names = Self::default();
        for selection in &rule.detection.selections {
            names.search(&selection.search, kind, fields);
        }
        for field in &rule.attributes.fields {
            names.want(&Arc::from(field.as_str()), kind, fields);
        }
        names
    }

    fn search(&mut self, search: &Search, kind: ViewKind, fields: &mut Fields) {
        match search {
            Search::Any(searches) => searches
                .iter()
                .for_each(|search| self.search(search, kind, fields)),
            Search::Map(items) => {
                for item in items {
                    self.item(item, kind, fields);
                }
                for (array, items) in by_array(items, kind) {
                    if let Some(array) = array
                        && items.iter().all(|item| holds_without_values(item))
                    {
                        self.want(&Arc::from(array), kind, fields);
                    }
                }
            }
        }
    }

    fn item(&mut self, item: &Item, kind: ViewKind, fields: &mut Fields) {
        match &item.field {
            Field::Keywords => self.keywords = Some(fields.want_keywords(kind)),
            Field::Named(name) => self.want(name, kind, fields),
        }
        for matcher in item.matchers.iter().flat_map(alternatives) {
            if let Matcher::FieldRef { field, .. } = matcher {
                self.want(field, kind, fields);
            }
        }
    }

    /// Asks for one field more.
    pub(crate) fn want(&mut self, name: &Arc<str>, kind: ViewKind, fields: &mut Fields) {
        self.slots
            .entry(Arc::clone(name))
            .or_insert_with(|| fields.want(kind, name));
    }

    /// The slot of a field, if anything feeds it.
    pub(crate) fn slot(&self, field: &Field) -> Option<Slot> {
        match field {
            Field::Keywords => self.keywords,
            Field::Named(name) => self.named(name),
        }
    }

    /// The slot of a field by its name.
    pub(crate) fn named(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).copied().flatten()
    }
}

/// The matchers that one value of a rule stands for: one, or the variants of [`Matcher::AnyOf`].
pub(crate) fn alternatives(matcher: &Matcher) -> &[Matcher] {
    match matcher {
        Matcher::AnyOf(variants) => variants,
        one => std::slice::from_ref(one),
    }
}

/// The member whose elements a field lies in, if it is an array of objects (M5b): known by its name alone, because only the
/// native view holds several elements at once. Items of one map below the same member are judged element by element.
/// INVARIANT: the values below one member lie all in elements of it, or all outside of any.
pub(crate) fn array_of(field: &Field, kind: ViewKind) -> Option<&str> {
    match field {
        Field::Named(name) if kind == ViewKind::Native => name.split_once('.').map(|path| path.0),
        _ => None,
    }
}

/// The items of a map by the array they lie below, in the order of first mention.
pub(crate) fn by_array(items: &[Item], kind: ViewKind) -> Vec<(Option<&str>, Vec<&Item>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Item>)> = Vec::new();
    for item in items {
        let array = array_of(&item.field, kind);
        match groups.iter_mut().find(|group| group.0 == array) {
            Some(group) => group.1.push(item),
            None => groups.push((array, vec![item])),
        }
    }
    groups
}

/// Whether an item may hold on an element that has none of its fields. Where all items below an array do, the
/// array itself is asked for, to know its elements.
pub(crate) fn holds_without_values(item: &Item) -> bool {
    let missing = |matcher: &Matcher| {
        let mut variants = alternatives(matcher).iter();
        variants.any(|variant| matches!(variant, Matcher::Null | Matcher::Exists(false)))
    };
    let any_or_all = match item.quantifier {
        Quantifier::Any => item.matchers.iter().any(missing),
        Quantifier::All => item.matchers.iter().all(missing),
    };
    any_or_all != item.negated
}

/// A keyword is looked for anywhere in a text (M8): its pattern is open at both ends, whether its author
/// used wildcards or not.
pub(crate) fn keyword(matcher: &Matcher) -> Matcher {
    let open = |parts: &[Part], cased: bool| {
        let mut open = vec![Part::Any];
        open.extend(
            parts
                .iter()
                .filter(|part| !matches!(part, Part::Text(text) if text.is_empty()))
                .cloned(),
        );
        open.push(Part::Any);
        open.dedup_by(|a, b| *a == Part::Any && *b == Part::Any);
        Matcher::Text(Pattern { parts: open, cased })
    };
    match matcher {
        Matcher::Text(pattern) => open(&pattern.parts, pattern.cased),
        Matcher::Number(text) => open(&[Part::Text(text.as_bytes().into())], false),
        Matcher::Bool(value) => open(&[Part::Text(value.to_string().into_bytes().into())], false),
        other => other.clone(),
    }
}

/// The pattern that a `fieldref` makes of the other field's text (M16).
pub(crate) fn referenced(text: &[u8], prefix: bool, suffix: bool, cased: bool) -> Matcher {
    let mut parts = Vec::new();
    if suffix {
        parts.push(Part::Any);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    if prefix && parts.last() != Some(&Part::Any) {
        parts.push(Part::Any);
    }
    Matcher::Text(Pattern { parts, cased })
}

/// Decides on single texts. Asked only about texts, numbers and booleans, and never about `null`, `exists`,
/// `fieldref` and variants.
pub(crate) trait Judge {
    /// Whether the matcher holds for this text.
    fn holds(&self, matcher: &Matcher, kind: ValueKind, text: &[u8]) -> bool;
}

/// One matcher that held.
#[derive(Clone, Debug)]
pub(crate) struct Hit<'r> {
    /// The selection.
    pub(crate) selection: SelectionIdx,
    /// The item.
    pub(crate) item: &'r Item,
    /// The matcher; `None` where the item holds because its matchers do not (`neq`).
    pub(crate) matcher: Option<&'r Matcher>,
    /// Index of the value among the view's values; `None` where the field is missing.
    pub(crate) value: Option<usize>,
}

/// One rule on one view.
pub(crate) struct Walk<'r, 's, J> {
    /// The rule.
    pub(crate) rule: &'r Rule,
    /// Its fields.
    pub(crate) names: &'s Names,
    /// The view.
    pub(crate) subject: Subject<'s>,
    /// Who compares texts.
    pub(crate) judge: &'s J,
}

/// Whether a matcher holds, and what for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It does not.
    No,
    /// The field is missing.
    Missing,
    /// This value.
    By(usize),
}

/// The element that the items below one array are being judged on.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'r> {
    /// The array's name.
    pub(crate) array: &'r str,
    /// See [`event::Value::element`].
    pub(crate) element: u32,
}

impl<'r, J: Judge> Walk<'r, '_, J> {
    /// Whether the rule matches the view.
    pub(crate) fn matches(&self) -> bool {
        let mut filters = self.rule.filters.iter();
        self.condition(&self.rule.detection.condition)
            && filters.all(|filter| self.condition(&filter.condition))
    }

    /// Which values made the selections hold that the condition asks for, where the rule matches the view.
    pub(crate) fn explain(&self) -> Vec<Hit<'r>> {
        let mut hits = Vec::new();
        let mut asked = BTreeSet::new();
        positive(&self.rule.detection.condition, true, &mut asked);
        for selection in asked {
            self.search(self.search_of(selection), selection, &mut Some(&mut hits));
        }
        hits
    }

    /// Whether one selection holds.
    pub(crate) fn selection(&self, selection: SelectionIdx) -> bool {
        self.search(self.search_of(selection), selection, &mut None)
    }

    fn search_of(&self, selection: SelectionIdx) -> &'r Search {
        &self.rule.detection.selections[selection.0 as usize].search
    }

    fn condition(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Selection(selection) => self.selection(*selection),
            Condition::And(conditions) => {
                conditions.iter().all(|condition| self.condition(condition))
            }
            Condition::Or(conditions) => {
                conditions.iter().any(|condition| self.condition(condition))
            }
            Condition::Not(condition) => !self.condition(condition),
        }
    }

    fn search(
        &self,
        search: &'r Search,
        selection: SelectionIdx,
        hits: &mut Option<&mut Vec<Hit<'r>>>,
    ) -> bool {
        match search {
            Search::Map(items) => self.map(items, selection, hits),
            Search::Any(searches) if hits.is_none() => searches
                .iter()
                .any(|search| self.search(search, selection, hits)),
            // To explain, every alternative that holds counts, not the first alone.
            Search::Any(searches) => {
                searches
                    .iter()
                    .filter(|search| self.search(search, selection, hits))
                    .count()
                    > 0
            }
        }
    }

    fn map(
        &self,
        items: &'r [Item],
        selection: SelectionIdx,
        hits: &mut Option<&mut Vec<Hit<'r>>>,
    ) -> bool {
        // Only the native view has arrays.
        if self.subject.kind != ViewKind::Native {
            return self.all_hold(items, None, selection, hits);
        }
        let before = hits.as_ref().map_or(0, |hits| hits.len());
        let holds =
            by_array(items, self.subject.kind)
                .into_iter()
                .all(|(array, items)| match array {
                    None => self.all_hold(items, None, selection, hits),
                    Some(array) => self.elements(array, &items).into_iter().any(|element| {
                        let scope = Some(Scope { array, element });
                        self.all_hold(items.iter().copied(), scope, selection, hits)
                    }),
                });
        if let Some(hits) = hits
            && !holds
        {
            hits.truncate(before);
        }
        holds
    }

    fn all_hold(
        &self,
        items: impl IntoIterator<Item = &'r Item>,
        scope: Option<Scope<'r>>,
        selection: SelectionIdx,
        hits: &mut Option<&mut Vec<Hit<'r>>>,
    ) -> bool {
        let before = hits.as_ref().map_or(0, |hits| hits.len());
        let holds = items
            .into_iter()
            .all(|item| self.item(item, scope, selection, hits));
        if let Some(hits) = hits
            && !holds
        {
            hits.truncate(before);
        }
        holds
    }

    /// The elements to judge these items on. 0 stands for no element: the member is an object, empty or
    /// missing.
    pub(crate) fn elements(&self, array: &str, items: &[&Item]) -> BTreeSet<u32> {
        let slots: Vec<Slot> = items
            .iter()
            .filter_map(|item| self.names.slot(&item.field))
            .chain(
                items
                    .iter()
                    .all(|item| holds_without_values(item))
                    .then(|| self.names.named(array))
                    .flatten(),
            )
            .collect();
        let mut elements: BTreeSet<u32> = self
            .subject
            .values
            .iter()
            .filter(|value| slots.contains(&value.slot))
            .map(|value| value.element)
            .collect();
        if elements.len() > 1 {
            elements.remove(&0);
        }
        if elements.is_empty() {
            elements.insert(0);
        }
        elements
    }

    fn item(
        &self,
        item: &'r Item,
        scope: Option<Scope<'r>>,
        selection: SelectionIdx,
        hits: &mut Option<&mut Vec<Hit<'r>>>,
    ) -> bool {
        let values = self.values(&item.field, scope);
        let before = hits.as_ref().map_or(0, |hits| hits.len());
        let explains = hits.is_some();
        let mut hold = |matcher: &'r Matcher| {
            let value = match self.matcher(item, matcher, &values, scope) {
                Held::No => return false,
                Held::Missing => None,
                Held::By(value) => Some(value),
            };
            if let Some(hits) = hits {
                hits.push(Hit {
                    selection,
                    item,
                    matcher: Some(matcher),
                    value,
                });
            }
            true
        };
        let mut matchers = item.matchers.iter();
        let found_any_or_all = match item.quantifier {
            Quantifier::All => matchers.all(hold),
            // To explain, every matcher that holds counts.
            Quantifier::Any if explains => matchers.filter(|matcher| hold(matcher)).count() > 0,
            Quantifier::Any => matchers.any(hold),
        };
        let holds = found_any_or_all != item.negated;
        if let Some(hits) = hits
            && (item.negated || !holds)
        {
            hits.truncate(before);
            hits.extend(holds.then(|| Hit {
                selection,
                item,
                matcher: None,
                value: values.first().copied(),
            }));
        }
        holds
    }

    /// Indices of a field's values; below the array that is judged element by element only those of the
    /// element.
    pub(crate) fn values(&self, field: &Field, scope: Option<Scope<'_>>) -> SmallVec<[usize; 8]> {
        let Some(slot) = self.names.slot(field) else {
            return SmallVec::new();
        };
        let within = scope.filter(|scope| array_of(field, self.subject.kind) == Some(scope.array));
        let values = self.subject.values.iter().enumerate();
        values
            .filter(|(_, value)| {
                value.slot == slot && within.is_none_or(|scope| scope.element == value.element)
            })
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether a matcher of an item holds for these of its values.
    pub(crate) fn matcher(
        &self,
        item: &Item,
        matcher: &Matcher,
        values: &[usize],
        scope: Option<Scope<'_>>,
    ) -> Held {
        match matcher {
            Matcher::AnyOf(variants) => variants
                .iter()
                .map(|variant| self.matcher(item, variant, values, scope))
                .find(|held| *held != Held::No)
                .unwrap_or(Held::No),
            // M1; an empty array is present, and none of its elements is null.
            Matcher::Null if values.is_empty() => Held::Missing,
            Matcher::Null => first(values, |value| {
                self.subject.values[value].kind == ValueKind::Null
            }),
            Matcher::Exists(wanted) => match (values.first(), wanted) {
                (Some(value), true) => Held::By(*value),
                (None, false) => Held::Missing,
                _ => Held::No,
            },
            Matcher::FieldRef {
                field,
                prefix,
                suffix,
                cased,
            } => {
                let others = self.values(&Field::Named(Arc::clone(field)), scope);
                let others: Vec<Cow<'_, [u8]>> = others
                    .into_iter()
                    .flat_map(|other| self.texts(other))
                    .collect();
                first(values, |value| {
                    others.iter().any(|other| {
                        self.text_holds(&referenced(other, *prefix, *suffix, *cased), value)
                    })
                })
            }
            matcher if item.field == Field::Keywords => {
                let matcher = keyword(matcher);
                first(values, |value| self.text_holds(&matcher, value))
            }
            matcher => first(values, |value| self.text_holds(matcher, value)),
        }
    }

    fn text_holds(&self, matcher: &Matcher, value: usize) -> bool {
        let kind = self.subject.values[value].kind;
        self.texts(value)
            .any(|text| self.judge.holds(matcher, kind, &text))
    }

    /// The texts that a value may be compared by: none for `null` and containers, two for a number that is
    /// not written in its canonical form (M6).
    fn texts(&self, value: usize) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let value = &self.subject.values[value];
        let raw = self.subject.raw(value);
        let canonical = (value.kind == ValueKind::Number)
            .then(|| canonical_if_other(raw))
            .flatten();
        let written = has_text(value.kind).then_some(Cow::Borrowed(raw));
        written.into_iter().chain(canonical.map(Cow::Owned))
    }
}

fn first(values: &[usize], holds: impl Fn(usize) -> bool) -> Held {
    let found = values.iter().copied().find(|value| holds(*value));
    found.map_or(Held::No, Held::By)
}

/// Selections that the condition asks to hold, where it is `wanted` itself; else those that it asks to fail.
pub(crate) fn positive(condition: &Condition, wanted: bool, found: &mut BTreeSet<SelectionIdx>) {
    match condition {
        Condition::Selection(selection) if wanted => {
            found.insert(*selection);
        }
        Condition::Selection(_) => {}
        Condition::And(conditions) | Condition::Or(conditions) => {
            for condition in conditions {
                positive(condition, wanted, found);
            }
        }
        Condition::Not(condition) => positive(condition, !wanted, found),
    }
}

/// Compares texts code point by code point, each folded on its own.
#[derive(Debug, Default)]
pub(crate) struct Slow {
    regexes: BTreeMap<(Arc<str>, [bool; 3]), Test>,
}

impl Slow {
    /// Ready for the matchers of a rule.
    pub(crate) fn new(rule: &Rule) -> Self {
        let mut slow = Self::default();
        for selection in &rule.detection.selections {
            slow.learn(&selection.search);
        }
        slow
    }

    fn learn(&mut self, search: &Search) {
        match search {
            Search::Any(searches) => searches.iter().for_each(|search| self.learn(search)),
            Search::Map(items) => {
                for matcher in items
                    .iter()
                    .flat_map(|item| &item.matchers)
                    .flat_map(alternatives)
                {
                    if let Matcher::Regex(regex) = matcher
                        && let Ok(test) = Test::new(matcher)
                    {
                        self.regexes.insert(key(regex), test);
                    }
                }
            }
        }
    }
}

fn key(regex: &Regex) -> (Arc<str>, [bool; 3]) {
    (
        Arc::clone(&regex.source),
        [regex.ignore_case, regex.multi_line, regex.dot_all],
    )
}

impl Judge for Slow {
    fn holds(&self, matcher: &Matcher, kind: ValueKind, text: &[u8]) -> bool {
        match matcher {
            Matcher::Text(pattern) => pattern_holds(pattern, text),
            Matcher::Regex(regex) => self.regexes.get(&key(regex)).is_some_and(|test| {
                test.holds(Text {
                    kind,
                    raw: text,
                    folded: &[],
                })
            }),
            Matcher::Cidr(network) => {
                address(text).is_some_and(|address| network.contains(&address))
            }
            Matcher::Number(number) => text == number.as_bytes(),
            Matcher::Bool(value) => {
                kind != ValueKind::Number && text.eq_ignore_ascii_case(value.to_string().as_bytes())
            }
            Matcher::Compare(comparison, bound) => {
                match (kind, Decimal::parse(text), Decimal::parse(bound.as_bytes())) {
                    (ValueKind::Bool, _, _) => false,
                    (_, Some(value), Some(bound)) => compare(*comparison, &value, &bound),
                    _ => false,
                }
            }
            Matcher::Time(part, number) => date::part(text, *part) == Some(*number),
            Matcher::AnyOf(_) | Matcher::Null | Matcher::Exists(_) | Matcher::FieldRef { .. } => {
                false
            }
        }
    }
}

/// Which prefixes of the text the pattern so far can end at, part by part.
fn pattern_holds(pattern: &Pattern, text: &[u8]) -> bool {
    let text: Vec<Unit> = same_case(text, pattern.cased);
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for part in &pattern.parts {
        let mut next = vec![false; text.len() + 1];
        let step = match part {
            Part::Any => {
                let first = ends.iter().position(|end| *end).unwrap_or(ends.len());
                next[first..].fill(true);
                ends = next;
                continue;
            }
            Part::One => None,
            Part::Text(literal) => Some(same_case(literal, pattern.cased)),
        };
        for at in (0..ends.len()).filter(|at| ends[*at]) {
            let len = step.as_ref().map_or(1, Vec::len);
            let holds = text
                .get(at..at + len)
                .is_some_and(|piece| step.as_ref().is_none_or(|step| step == piece));
            if holds {
                next[at + len] = true;
            }
        }
        ends = next;
    }
    ends[text.len()]
}

fn same_case(text: &[u8], cased: bool) -> Vec<Unit> {
    if cased {
        return units(text).collect();
    }
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for point in chunk.valid().chars() {
            let point = if point.is_ascii() {
                point.to_ascii_lowercase()
            } else {
                representative(point)
            };
            out.extend(units(point.encode_utf8(&mut [0; 4]).as_bytes()));
        }
        out.extend(
            chunk
                .invalid()
                .iter()
                .flat_map(|byte| units(std::slice::from_ref(byte))),
        );
    }
    out
}

/// Evaluates lines by the reference evaluator alone: what [`Detector`](crate::Detector) must agree with. Slow.
///
/// It shares nothing with any plan: it extracts everything from a line, without the fast path.
#[derive(Debug)]
pub struct Reference {
    rules: Vec<Meant>,
    decoder: Decoder,
}

/// A rule, and what it takes to evaluate it.
#[derive(Debug)]
struct Meant {
    rule: Rule,
    kind: ViewKind,
    names: Names,
    judge: Slow,
}

impl Reference {
    /// For these rules; those whose log source no view feeds match nothing.
    pub fn new(rules: Vec<Rule>, profile: Arc<Profile>) -> Self {
        let mut fields = Fields::default();
        for kind in ViewKind::ALL {
            // All that has a text is extracted, whether rules read it or not.
            fields.want_keywords(kind);
        }
        let fed = rules
            .into_iter()
            .filter_map(|rule| Some((route(&rule.logsource).ok()?, rule)));
        let rules = fed
            .map(|(kind, rule)| Meant {
                names: Names::resolve(&rule, kind, &mut fields),
                judge: Slow::new(&rule),
                kind,
                rule,
            })
            .collect();
        Self {
            rules,
            decoder: Decoder::new(profile, Arc::new(fields)).with_fast_path(false),
        }
    }

    /// The keys of the rules that match any view of the line.
    pub fn run(
        &mut self,
        line: &Line<'_>,
        cache: &mut ProcessCache,
    ) -> Result<BTreeSet<&str>, Fault> {
        let event = self.decoder.decode(line.bytes, &line.origin, cache)?;
        let matches = |meant: &&Meant| {
            let mut views = event.views().iter().filter(|view| view.kind == meant.kind);
            views.any(|view| {
                Walk {
                    rule: &meant.rule,
                    names: &meant.names,
                    subject: Subject::new(&event, view),
                    judge: &meant.judge,
                }
                .matches()
            })
        };
        let found = self.rules.iter().filter(matches);
        Ok(found.map(|meant| meant.rule.attributes.key()).collect())
    }
}
