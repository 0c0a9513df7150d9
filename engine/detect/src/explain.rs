//! One rule on one event, told in full: for each view what every selection, item and matcher saw and whether it held.
//! For people who ask why a rule matches, or why it does not. Evaluates with the reference evaluator on a decoder of its
//! own that extracts everything the rule reads, so that views which the plan never builds are told too. Slow.

use std::cmp::Reverse;
pub(crate) mod hint;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{Decoder, Fault, Fields, ProcessCache, Profile, ValueKind, ViewKind};
use sigma::{Condition, Field, Item, Matcher, Place, Quantifier, Rule, Search, SelectionIdx};

use crate::Line;
use crate::explain::hint::{Hint, Hinter};
use crate::reference::{Held, Names, Scope, Slow, Walk, by_array, positive};
use crate::route::{route, view_name};
use crate::subject::Subject;
use crate::why::{describe, window};

/// Most values of one field that an item tells; the others are counted.
const VALUES_MAX: usize = 16;

/// Views of one event with hints: those nearest to a match.
const HINTED_VIEWS_MAX: usize = 8;

/// Explains one rule on events.
///
/// ```
/// use std::sync::Arc;
/// use detect::{Explainer, Line, Source};
/// use event::{Origin, ProcessCache, Profile};
///
/// let rule = "
/// title: Perl opens a socket
/// logsource: {product: linux, category: process_creation}
/// detection:
///   selection: {CommandLine|contains: 'use Socket'}
///   condition: selection
/// ";
/// let file = sigma::SourceFile { name: "perl.yml".into(), text: rule.into() };
/// let rule = Arc::new(sigma::load(&[file]).rules.remove(0));
/// let mut explainer = Explainer::new(rule, Arc::new(Profile::laurel())).expect("views feed it");
///
/// let bytes = br#"{"ID":"1700000000.123:1","EXECVE":{"argc":3,"ARGV":["perl","-e","1"]}}"#;
/// let line = Line { bytes, origin: Origin::default(), source: Source::File { file: "-", line: 1 } };
/// let mut cache = ProcessCache::new(1 << 20, 3_600_000);
/// let views = explainer.explain(&line, &mut cache).expect("an event");
/// let selection = &views[0].selections[0];
/// assert!(!selection.holds);
/// let item = selection.search.items()[0];
/// assert_eq!(item.seen[0].text, "perl -e 1");
/// assert_eq!(item.matchers[0].text, "contains 'use Socket'");
/// ```
#[derive(Debug)]
pub struct Explainer {
    rule: Arc<Rule>,
    kind: ViewKind,
    names: Names,
    judge: Slow,
    decoder: Decoder,
    hinter: Option<Hinter>,
    seen_by: BTreeSet<ViewKind>,
    fields: Arc<Fields>,
}

/// A rule on one view of an event.
#[derive(Clone, Debug)]
pub struct ExplainedView {
    /// The view's name, see [`view_name`].
    pub view: &'static str,
    /// The record or element it was made from, such as `PATH[1]`.
    pub record: Option<String>,
    /// Whether the rule matches it.
    pub holds: bool,
    /// How many items would have to turn out otherwise for a match, at least; 0 where it holds.
    pub distance: usize,
    /// What combines the selections; filters on the rule are its last parts.
    pub condition: ExplainedCondition,
    /// Every selection of the rule, as [`SelectionIdx`] counts them.
    pub selections: Vec<ExplainedSelection>,
    /// Why items that keep the rule from matching may not be as they are to be, by [`ExplainedItem::place`]; only of an
    /// [`Explainer::with_hints`].
    hints: BTreeMap<Place, Vec<Hint>>,
}

/// A condition, and whether it holds.
#[derive(Clone, Debug)]
pub struct ExplainedCondition {
    /// Whether it holds.
    pub holds: bool,
    /// What it is made of.
    pub form: ConditionForm,
}

/// What a condition is made of.
#[derive(Clone, Debug)]
pub enum ConditionForm {
    /// A selection.
    Selection(SelectionIdx),
    /// All of these.
    And(Vec<ExplainedCondition>),
    /// Any of these.
    Or(Vec<ExplainedCondition>),
    /// Not this.
    Not(Box<ExplainedCondition>),
}

/// What would have to be otherwise.
#[derive(Clone, Debug)]
pub enum Need<'v> {
    /// All of these.
    All(Vec<Self>),
    /// One of these; equally near.
    Any(Vec<Self>),
    /// An item.
    Item {
        /// Its selection.
        selection: &'v ExplainedSelection,
        /// The item.
        item: &'v ExplainedItem,
        /// Whether it would have to hold; else it holds, and would have to fail.
        to_hold: bool,
    },
}

/// What the condition asks of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To hold.
    ToHold,
    /// To fail.
    ToFail,
    /// Both in different places, or nothing at all.
    Either,
}

/// A selection, and whether it holds.
#[derive(Clone, Debug)]
pub struct ExplainedSelection {
    /// Its name.
    pub name: Arc<str>,
    /// Where the name stands.
    pub place: Place,
    /// Whether it holds.
    pub holds: bool,
    /// What the condition asks of it.
    pub wanted: Wanted,
    /// The filter that it belongs to: its id, name or title; `None` for those of the rule itself.
    pub filter: Option<Arc<str>>,
    /// What it searches.
    pub search: ExplainedSearch,
}

/// The body of a selection.
#[derive(Clone, Debug)]
pub enum ExplainedSearch {
    /// All of these hold.
    All(Vec<ExplainedItem>),
    /// Any of these holds.
    Any(Vec<Self>),
}

/// One line of a map, or one list of keywords.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states"
)]
pub struct ExplainedItem {
    /// The field; `None` for keywords.
    pub field: Option<Arc<str>>,
    /// Where the field's name (or the keyword) stands.
    pub place: Place,
    /// Whether anything ever feeds the field in views of this kind.
    pub fed: bool,
    /// `neq`: it holds where its matchers do not.
    pub negated: bool,
    /// Whether all of its matchers must hold; else any.
    pub all: bool,
    /// Whether it holds.
    pub holds: bool,
    /// The field's values, 16 at most; none where it is missing.
    pub seen: Vec<SeenValue>,
    /// How many values more there are.
    pub seen_left_out: usize,
    /// Each value of the rule.
    pub matchers: Vec<ExplainedMatcher>,
}

/// A value of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenValue {
    /// Its text; a long one is cut, with `…`.
    pub text: String,
    /// Where in the event it stands: `EXECVE.ARGV[2]`, `process_cache`; `None` where in no single place.
    pub path: Option<String>,
}

/// A value of the rule.
#[derive(Clone, Debug)]
pub struct ExplainedMatcher {
    /// What is asked for, such as `contains 'use Socket'`.
    pub text: String,
    /// Whether some value of the field meets it.
    pub holds: bool,
    /// The value that meets it; `None` where it is met by the field's absence.
    pub by: Option<SeenValue>,
}

impl ExplainedView {
    /// The selections that decide, in file order: where the rule matches those that make it match, else those that
    /// keep it from matching; of alternatives that all fail the nearest.
    pub fn decisive(&self) -> BTreeSet<SelectionIdx> {
        let mut found = BTreeSet::new();
        self.reasons(&self.condition, &mut found);
        found
    }

    /// Adds the selections through which the condition is what it is.
    fn reasons(&self, condition: &ExplainedCondition, found: &mut BTreeSet<SelectionIdx>) {
        match &condition.form {
            ConditionForm::Selection(index) => {
                found.insert(*index);
            }
            ConditionForm::Not(part) => self.reasons(part, found),
            ConditionForm::Or(parts) if !condition.holds => {
                let distance = |part| distance(part, true, &self.selections);
                let nearest = parts.iter().map(distance).min();
                for part in parts.iter().filter(|part| Some(distance(part)) == nearest) {
                    self.reasons(part, found);
                }
            }
            ConditionForm::And(parts) | ConditionForm::Or(parts) => {
                for part in parts.iter().filter(|part| part.holds == condition.holds) {
                    self.reasons(part, found);
                }
            }
        }
    }
}

impl ExplainedView {
    /// The least that would have to be otherwise for the rule to match; `None` where it matches.
    pub fn needs(&self) -> Option<Need<'_>> {
        (!self.holds).then(|| self.need(&self.condition, true))
    }

    /// What may be the reason that an item is not as it is to be, the likeliest first.
    pub fn hints(&self, item: &ExplainedItem) -> &[Hint] {
        self.hints.get(&item.place).map_or(&[], Vec::as_slice)
    }

    /// What makes a condition that is not as wanted so.
    fn need(&self, condition: &ExplainedCondition, wanted: bool) -> Need<'_> {
        let parts = |parts: &[ExplainedCondition]| -> Vec<(usize, Need<'_>)> {
            let wrong = parts.iter().filter(|part| part.holds != wanted);
            let need = |part| {
                let distance = distance(part, wanted, &self.selections);
                (distance, self.need(part, wanted))
            };
            wrong.map(need).collect()
        };
        match &condition.form {
            ConditionForm::Selection(index) => {
                let selection = &self.selections[index.0 as usize];
                selection.need(&selection.search, wanted)
            }
            ConditionForm::Not(part) => self.need(part, !wanted),
            ConditionForm::And(of) if wanted => Need::all(parts(of)),
            ConditionForm::Or(of) if !wanted => Need::all(parts(of)),
            ConditionForm::And(of) | ConditionForm::Or(of) => Need::nearest(parts(of)),
        }
    }
}

impl ExplainedSelection {
    fn need<'v>(&'v self, search: &'v ExplainedSearch, wanted: bool) -> Need<'v> {
        let item = |item: &'v ExplainedItem| {
            let distance = if wanted { item.distance() } else { 1 };
            let need = Need::Item {
                selection: self,
                item,
                to_hold: wanted,
            };
            (distance, need)
        };
        match search {
            ExplainedSearch::All(items) if wanted => {
                Need::all(items.iter().filter(|item| !item.holds).map(item).collect())
            }
            ExplainedSearch::All(items) => Need::nearest(items.iter().map(item).collect()),
            ExplainedSearch::Any(of) => {
                let wrong = of.iter().filter(|search| search.holds() != wanted);
                let need = |search: &'v ExplainedSearch| {
                    let distance = if wanted {
                        search.distance()
                    } else {
                        search.excess()
                    };
                    (distance, self.need(search, wanted))
                };
                let parts = wrong.map(need).collect();
                if wanted {
                    Need::nearest(parts)
                } else {
                    Need::all(parts)
                }
            }
        }
    }
}

impl<'v> Need<'v> {
    fn all(parts: Vec<(usize, Self)>) -> Self {
        let mut flat = Vec::new();
        for (_, part) in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 {
            flat.swap_remove(0)
        } else {
            Self::All(flat)
        }
    }

    /// Of alternatives those at the smallest distance.
    fn nearest(parts: Vec<(usize, Self)>) -> Self {
        let least = parts.iter().map(|(distance, _)| *distance).min();
        let mut flat = Vec::new();
        for (_, part) in parts.into_iter().filter(|part| Some(part.0) == least) {
            match part {
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 {
            flat.swap_remove(0)
        } else {
            Self::Any(flat)
        }
    }

    /// Every item in it.
    pub fn items(&self) -> Vec<&'v ExplainedItem> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::items).collect(),
            Self::Item { item, .. } => vec![item],
        }
    }
}

impl ExplainedSearch {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        match self {
            Self::All(items) => items.iter().all(|item| item.holds),
            Self::Any(searches) => searches.iter().any(Self::holds),
        }
    }

    /// The items that keep it from holding; of alternatives those of the nearest. Empty where it holds.
    pub fn failing(&self) -> Vec<&ExplainedItem> {
        match self {
            Self::All(items) => items.iter().filter(|item| !item.holds).collect(),
            Self::Any(searches) => {
                let nearest = searches.iter().min_by_key(|search| search.distance());
                nearest.map(Self::failing).unwrap_or_default()
            }
        }
    }

    /// The items that make it hold; of alternatives those of all that hold. Empty where it fails.
    pub fn holding(&self) -> Vec<&ExplainedItem> {
        match self {
            Self::All(items) if self.holds() => items.iter().collect(),
            Self::All(_) => Vec::new(),
            Self::Any(searches) => searches.iter().flat_map(Self::holding).collect(),
        }
    }

    /// All items, in file order.
    pub fn items(&self) -> Vec<&ExplainedItem> {
        match self {
            Self::All(items) => items.iter().collect(),
            Self::Any(searches) => searches.iter().flat_map(Self::items).collect(),
        }
    }

    /// Items that keep it from holding, at least; 0 where it holds.
    fn distance(&self) -> usize {
        match self {
            Self::All(items) => items.iter().map(ExplainedItem::distance).sum(),
            Self::Any(searches) => searches.iter().map(Self::distance).min().unwrap_or(1),
        }
    }
}

impl ExplainedSearch {
    /// Items that keep it from failing, at least: one of each alternative that holds.
    fn excess(&self) -> usize {
        match self {
            Self::All(_) => usize::from(self.holds()),
            Self::Any(searches) => searches.iter().map(Self::excess).sum(),
        }
    }
}

impl ExplainedItem {
    /// Of an item that asks for all of its values each that is missing counts.
    fn distance(&self) -> usize {
        if self.holds {
            return 0;
        }
        if self.all && !self.negated {
            return self.matchers.iter().filter(|m| !m.holds).count().max(1);
        }
        1
    }
}

impl Explainer {
    /// For this rule; an error says why no view feeds its log source.
    pub fn new(rule: Arc<Rule>, profile: Arc<Profile>) -> Result<Self, String> {
        let kind = route(&rule.logsource)?;
        let mut fields = Fields::default();
        let names = Names::resolve(&rule, kind, &mut fields);
        fields.want_view(kind);
        let fields = Arc::new(fields);
        Ok(Self {
            names,
            judge: Slow::new(&rule),
            decoder: Decoder::new(profile, Arc::clone(&fields)),
            fields,
            rule,
            kind,
            hinter: None,
            seen_by: BTreeSet::new(),
        })
    }

    /// The same with hints on what keeps the rule from matching, [`ExplainedView::hints`], and with
    /// [`Explainer::seen_by`]. Decodes all that is known of
    /// the event, and looks for each value of the rule that is not met everywhere else.
    pub fn with_hints(rule: Arc<Rule>, profile: Arc<Profile>) -> Result<Self, String> {
        let mut explainer = Self::new(rule, Arc::clone(&profile))?;
        let mut fields = Fields::default();
        explainer.names = Names::resolve(&explainer.rule, explainer.kind, &mut fields);
        explainer.hinter = Some(Hinter::new(&mut fields));
        explainer.decoder = Decoder::new(profile, Arc::new(fields));
        Ok(explainer)
    }

    /// The rule on each view of the line that its log source sees, the nearest to a match first. Empty if the event
    /// gives no such view. The process cache learns of the line, so that lines are best explained in their order.
    pub fn explain(
        &mut self,
        line: &Line<'_>,
        cache: &mut ProcessCache,
    ) -> Result<Vec<ExplainedView>, Fault> {
        let event = self.decoder.decode(line.bytes, &line.origin, cache)?;
        self.seen_by = event.views().iter().map(|view| view.kind).collect();
        let views = event.views().iter().filter(|view| view.kind == self.kind);
        let walk = |view| Walk {
            rule: &self.rule,
            names: &self.names,
            subject: Subject::new(&event, view),
            judge: &self.judge,
        };
        let mut views: Vec<_> = views
            .map(|view| (explained_view(&walk(view)), view))
            .collect();
        views.sort_by_key(|(explained, _)| (explained.distance, Reverse(kept(explained))));
        if let Some(hinter) = &self.hinter {
            for (explained, view) in views.iter_mut().take(HINTED_VIEWS_MAX) {
                explained.hints = hinter.hints(&walk(view), explained, &event);
            }
        }
        Ok(views.into_iter().map(|(explained, _)| explained).collect())
    }

    /// The log sources that see something of the event of the last [`Explainer::explain`]; all of them only of an
    /// explainer [`Explainer::with_hints`].
    pub fn seen_by(&self) -> Vec<&'static str> {
        self.seen_by.iter().copied().map(view_name).collect()
    }
}

/// One view of an event as a flat object, and whether the rule holds on it: what engines are asked that know neither
/// Laurel nor views.
#[derive(Clone, Debug)]
pub struct FlatView {
    /// The kind of view.
    pub view: &'static str,
    /// By name each field that the rule reads; one that is missing is not there, one of several values or below an
    /// array of objects is a list. Bytes that are no UTF-8 are replaced. What keywords search beside is the list `keywords`.
    pub fields: serde_json::Value,
    /// Whether the rule holds, by the reference evaluator.
    pub holds: bool,
}

impl Explainer {
    /// All views of the line that the rule's log source sees, as [`Explainer::explain`] finds them, in the order of the
    /// event.
    pub fn flat_views(
        &mut self,
        line: &Line<'_>,
        cache: &mut ProcessCache,
    ) -> Result<Vec<FlatView>, Fault> {
        let event = self.decoder.decode(line.bytes, &line.origin, cache)?;
        let views = event.views().iter().filter(|view| view.kind == self.kind);
        let flat = |view| {
            let subject = Subject::new(&event, view);
            let walk = Walk {
                rule: &self.rule,
                names: &self.names,
                subject,
                judge: &self.judge,
            };
            FlatView {
                view: view_name(view.kind),
                fields: flattened(&subject, &self.fields),
                holds: walk.matches(),
            }
        };
        Ok(views.map(flat).collect())
    }
}

/// The values of a view by name.
pub(crate) fn flattened(subject: &Subject<'_>, fields: &Fields) -> serde_json::Value {
    use serde_json::Value as Json;
    let mut members = serde_json::Map::new();
    let keywords = fields.keywords(subject.kind);
    for value in subject.values {
        let text = String::from_utf8_lossy(subject.raw(value));
        let json = match value.kind {
            ValueKind::Null => Json::Null,
            ValueKind::Container => Json::Array(Vec::new()),
            ValueKind::Bool => Json::Bool(text == "true"),
            ValueKind::Number => serde_json::from_str(&text).unwrap_or_else(|_| text.into()),
            ValueKind::Text => text.into(),
        };
        if Some(value.slot) == keywords {
            let list = members
                .entry("keywords")
                .or_insert_with(|| Vec::<Json>::new().into());
            if let Json::Array(list) = list {
                list.push(json);
            }
            continue;
        }
        // Below an array of objects even one value is a list: which element it is of counts (M5b).
        let is_list = value.element > 0;
        match members.entry(fields.name(subject.kind, value.slot)) {
            serde_json::map::Entry::Vacant(entry) => {
                entry.insert(if is_list { vec![json].into() } else { json });
            }
            serde_json::map::Entry::Occupied(mut entry) => match entry.get_mut() {
                Json::Array(list) if is_list || !list.is_empty() => list.push(json),
                single => *single = vec![single.take(), json].into(),
            },
        }
    }
    members.into()
}

/// How many selections are as the condition wants them.
fn kept(view: &ExplainedView) -> usize {
    let as_wanted = |selection: &&ExplainedSelection| match selection.wanted {
        Wanted::ToHold => selection.holds,
        Wanted::ToFail => !selection.holds,
        Wanted::Either => false,
    };
    view.selections.iter().filter(as_wanted).count()
}

/// The rule on one view.
pub(crate) fn explained_view(walk: &Walk<'_, '_, Slow>) -> ExplainedView {
    let rule = walk.rule;
    let filters = rule.filters.iter().map(|filter| &filter.condition);
    let conditions: Vec<&Condition> = std::iter::once(&rule.detection.condition)
        .chain(filters)
        .collect();
    let (mut to_hold, mut to_fail) = (BTreeSet::new(), BTreeSet::new());
    for condition in &conditions {
        positive(condition, true, &mut to_hold);
        positive(condition, false, &mut to_fail);
    }
    let mut selections: Vec<ExplainedSelection> = (0..)
        .map(SelectionIdx)
        .zip(&rule.detection.selections)
        .map(|(index, selection)| {
            let search = explained_search(walk, &selection.search);
            ExplainedSelection {
                name: Arc::clone(&selection.name),
                place: selection.place.clone(),
                holds: search.holds(),
                wanted: match (to_hold.contains(&index), to_fail.contains(&index)) {
                    (true, false) => Wanted::ToHold,
                    (false, true) => Wanted::ToFail,
                    _ => Wanted::Either,
                },
                filter: None,
                search,
            }
        })
        .collect();
    for filter in &rule.filters {
        for index in selections_of(&filter.condition) {
            selections[index.0 as usize].filter = Some(Arc::clone(&filter.key));
        }
    }
    let explain = |condition: &&Condition| explained_condition(condition, &selections);
    let mut parts: Vec<ExplainedCondition> = conditions.iter().map(explain).collect();
    let condition = if parts.len() == 1 {
        parts.swap_remove(0)
    } else {
        all_of(parts)
    };
    ExplainedView {
        view: view_name(walk.subject.kind),
        record: walk.subject.source.path(walk.subject.node),
        holds: condition.holds,
        distance: distance(&condition, true, &selections),
        condition,
        selections,
        hints: BTreeMap::new(),
    }
}

/// The selections that a condition names, each once.
fn selections_of(condition: &Condition) -> BTreeSet<SelectionIdx> {
    let mut found = BTreeSet::new();
    positive(condition, true, &mut found);
    positive(condition, false, &mut found);
    found
}

fn all_of(parts: Vec<ExplainedCondition>) -> ExplainedCondition {
    ExplainedCondition {
        holds: parts.iter().all(|part| part.holds),
        form: ConditionForm::And(parts),
    }
}

fn explained_condition(
    condition: &Condition,
    selections: &[ExplainedSelection],
) -> ExplainedCondition {
    let all = |parts: &[Condition]| -> Vec<ExplainedCondition> {
        let explain = |part| explained_condition(part, selections);
        parts.iter().map(explain).collect()
    };
    match condition {
        Condition::Selection(index) => ExplainedCondition {
            holds: selections[index.0 as usize].holds,
            form: ConditionForm::Selection(*index),
        },
        Condition::And(parts) => all_of(all(parts)),
        Condition::Or(parts) => {
            let parts = all(parts);
            ExplainedCondition {
                holds: parts.iter().any(|part| part.holds),
                form: ConditionForm::Or(parts),
            }
        }
        Condition::Not(part) => {
            let part = explained_condition(part, selections);
            ExplainedCondition {
                holds: !part.holds,
                form: ConditionForm::Not(Box::new(part)),
            }
        }
    }
}

/// How many items would have to turn out otherwise for the condition to be as wanted, at least.
fn distance(
    condition: &ExplainedCondition,
    wanted: bool,
    selections: &[ExplainedSelection],
) -> usize {
    if condition.holds == wanted {
        return 0;
    }
    let each = |parts: &[ExplainedCondition]| -> Vec<usize> {
        let distance = |part| distance(part, wanted, selections);
        parts.iter().map(distance).collect()
    };
    match &condition.form {
        ConditionForm::Selection(index) if wanted => selections[index.0 as usize].search.distance(),
        ConditionForm::Selection(index) => selections[index.0 as usize].search.excess(),
        ConditionForm::Not(part) => distance(part, !wanted, selections),
        ConditionForm::And(parts) if wanted => each(parts).iter().sum(),
        ConditionForm::Or(parts) if !wanted => each(parts).iter().sum(),
        ConditionForm::And(parts) | ConditionForm::Or(parts) => {
            each(parts).into_iter().min().unwrap_or(0)
        }
    }
}

fn explained_search(walk: &Walk<'_, '_, Slow>, search: &Search) -> ExplainedSearch {
    match search {
        Search::Any(searches) => {
            let explain = |search| explained_search(walk, search);
            ExplainedSearch::Any(searches.iter().map(explain).collect())
        }
        Search::Map(items) => ExplainedSearch::All(explained_map(walk, items)),
    }
}

/// Items below one array on the element that most of them hold on.
fn explained_map(walk: &Walk<'_, '_, Slow>, items: &[Item]) -> Vec<ExplainedItem> {
    let mut explained = Vec::new();
    for (array, items) in by_array(items, walk.subject.kind) {
        let on = |scope: Option<Scope<'_>>| -> Vec<ExplainedItem> {
            let explain = |item: &&Item| explained_item(walk, item, scope);
            items.iter().map(explain).collect()
        };
        let Some(array) = array else {
            explained.extend(on(None));
            continue;
        };
        let elements = walk.elements(array, &items).into_iter();
        let nearest = elements
            .map(|element| on(Some(Scope { array, element })))
            .min_by_key(|items| items.iter().map(ExplainedItem::distance).sum::<usize>());
        explained.extend(nearest.unwrap_or_default());
    }
    // As the author wrote them, not by array.
    explained.sort_by_key(|item| item.place.bytes);
    explained
}

fn explained_item(
    walk: &Walk<'_, '_, Slow>,
    item: &Item,
    scope: Option<Scope<'_>>,
) -> ExplainedItem {
    let values = walk.values(&item.field, scope);
    let explain = |matcher: &Matcher| {
        let held = walk.matcher(item, matcher, &values, scope);
        ExplainedMatcher {
            text: describe(matcher),
            holds: held != Held::No,
            by: match held {
                Held::By(value) => Some(seen(walk, value, Some(matcher))),
                Held::No | Held::Missing => None,
            },
        }
    };
    let matchers: Vec<ExplainedMatcher> = item.matchers.iter().map(explain).collect();
    let all = item.quantifier == Quantifier::All;
    let found = if all {
        matchers.iter().all(|matcher| matcher.holds)
    } else {
        matchers.iter().any(|matcher| matcher.holds)
    };
    ExplainedItem {
        field: match &item.field {
            Field::Named(name) => Some(Arc::clone(name)),
            Field::Keywords => None,
        },
        place: item.place.clone(),
        fed: walk.names.slot(&item.field).is_some(),
        negated: item.negated,
        all,
        holds: found != item.negated,
        seen: values
            .iter()
            .take(VALUES_MAX)
            .map(|value| seen(walk, *value, None))
            .collect(),
        seen_left_out: values.len().saturating_sub(VALUES_MAX),
        matchers,
    }
}

fn seen(walk: &Walk<'_, '_, Slow>, value: usize, matcher: Option<&Matcher>) -> SeenValue {
    let value = &walk.subject.values[value];
    SeenValue {
        text: match value.kind {
            ValueKind::Null => "null".into(),
            ValueKind::Container => "an object or a list".into(),
            _ => window(walk.subject.raw(value), matcher).0,
        },
        path: walk.subject.source.path(value.node),
    }
}
