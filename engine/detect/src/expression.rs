//! A rule's condition over one kind of views and one record type, as a tree of predicates with everything
//! folded that can be decided before any event is seen.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use event::{RecordClass, Slot, ViewKind};
use sigma::{Condition, Field, Item, Matcher, Part, Pattern, Place, Quantifier, Rule, Search};

use crate::matcher::{RegexRefused, Test, Text};
use crate::reference::{Names, alternatives, array_of, by_array, holds_without_values, keyword};
use crate::text::folded;

/// Number of a predicate within its [`Section`](crate::section::Section).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PredicateIdx(pub(crate) u32);

/// A condition, folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Decided.
    Constant(bool),
    /// A predicate holds.
    Predicate(PredicateIdx),
    /// All hold; at least two.
    And(Vec<Self>),
    /// One holds; at least two.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// It holds within one element of an array of objects; the elements are those that these slots have
    /// values in.
    Element(Vec<Slot>, Box<Self>),
}

impl Expression {
    /// All of them.
    pub(crate) fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::join(parts, false)
    }

    /// Any of them.
    pub(crate) fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::join(parts, true)
    }

    /// `decisive` is the constant that decides the whole: false for and, true for or.
    fn join(parts: impl IntoIterator<Item = Self>, decisive: bool) -> Self {
        let mut kept = Vec::new();
        // Value lists are long: each predicate is looked up, not searched for.
        let mut known = HashSet::new();
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::And(inner) if !decisive => inner,
            Self::Or(inner) if decisive => inner,
            other => vec![other],
        });
        for part in flat {
            match part {
                Self::Constant(value) if value == decisive => return Self::Constant(decisive),
                Self::Constant(_) => {}
                Self::Predicate(index) if !known.insert(index) => {}
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::Constant(!decisive),
            1 => kept.swap_remove(0),
            _ if decisive => Self::Or(kept),
            _ => Self::And(kept),
        }
    }

    /// Adds every slot that it reads.
    pub(crate) fn slots_into(&self, predicates: &[Predicate], slots: &mut BTreeSet<Slot>) {
        match self {
            Self::Constant(_) => {}
            Self::Predicate(index) => {
                let Predicate { slot, question, .. } = &predicates[index.0 as usize];
                slots.insert(*slot);
                if let Question::Other { other, .. } = question {
                    slots.insert(*other);
                }
            }
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.slots_into(predicates, slots);
                }
            }
            Self::Not(inner) => inner.slots_into(predicates, slots),
            Self::Element(elements, inner) => {
                slots.extend(elements);
                inner.slots_into(predicates, slots);
            }
        }
    }

    /// The opposite.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

/// What a predicate asks of a view.
#[derive(Clone, Debug)]
pub(crate) struct Predicate {
    /// The field.
    pub(crate) slot: Slot,
    /// What is asked of its values.
    pub(crate) question: Question,
    /// The matcher as the rule has it (keywords opened, letters folded), for witnesses; [`Matcher::Null`] once
    /// the section is laid out.
    pub(crate) matcher: Matcher,
}

/// See [`Predicate`].
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Whether any value passes this test.
    Any(Arc<Test>),
    /// Whether the field is missing or `null`.
    Null,
    /// Whether the field is present.
    Exists(bool),
    /// Whether any value goes with any value of another field.
    Other {
        /// The other field.
        other: Slot,
        /// Both lie below one array: they must lie in the same element.
        same_array: bool,
        /// Anything may follow the other's text.
        prefix: bool,
        /// Anything may precede it.
        suffix: bool,
        /// Compared as written.
        cased: bool,
    },
}

/// Tests by matcher, shared by all predicates of a plan: each literal and each regular expression is
/// compiled once.
#[derive(Debug, Default)]
pub(crate) struct Tests {
    known: HashMap<Matcher, Arc<Test>>,
    /// By the address of a matcher within a rule of the plan, which keeps its rules in place.
    by_address: HashMap<usize, Arc<Test>, foldhash::fast::FixedState>,
}

impl Tests {
    /// Notes the tests of the matchers within these rules. Only what others ask for, who make matchers of their own
    /// from those of keywords, is still found by matcher.
    pub(crate) fn finish(&mut self, rules: &[Arc<Rule>]) {
        let mut asked = HashMap::new();
        for selection in rules.iter().flat_map(|rule| &rule.detection.selections) {
            self.note_search(&selection.search, &mut asked);
        }
        self.known = asked;
        self.by_address.shrink_to_fit();
    }

    fn note_search(&mut self, search: &Search, asked: &mut HashMap<Matcher, Arc<Test>>) {
        match search {
            Search::Any(searches) => searches
                .iter()
                .for_each(|search| self.note_search(search, asked)),
            Search::Map(items) => {
                for item in items {
                    for matcher in item.matchers.iter().flat_map(alternatives) {
                        self.note_matcher(item, matcher, asked);
                    }
                }
            }
        }
    }

    fn note_matcher(
        &mut self,
        item: &Item,
        matcher: &Matcher,
        asked: &mut HashMap<Matcher, Arc<Test>>,
    ) {
        let is_keyword = item.field == Field::Keywords;
        let matcher_asked = normal(if is_keyword {
            keyword(matcher)
        } else {
            matcher.clone()
        });
        let Some(test) = self.known.get(&matcher_asked) else {
            return;
        };
        if is_keyword {
            asked.insert(matcher_asked, Arc::clone(test));
        } else {
            self.by_address
                .insert(std::ptr::from_ref(matcher).addr(), Arc::clone(test));
        }
    }

    /// The test of a matcher that lies in a rule of the plan.
    pub(crate) fn of(&self, matcher: &Matcher) -> Option<&Test> {
        let test = self.by_address.get(&std::ptr::from_ref(matcher).addr())?;
        Some(test)
    }

    /// The test of a matcher, if some predicate of the plan has it.
    pub(crate) fn known(&self, matcher: &Matcher) -> Option<&Test> {
        self.known.get(matcher).map(|test| &**test)
    }

    /// The test of a matcher.
    pub(crate) fn get(&mut self, matcher: &Matcher) -> Result<Arc<Test>, RegexRefused> {
        if let Some(test) = self.known.get(matcher) {
            return Ok(Arc::clone(test));
        }
        let test = Arc::new(Test::new(matcher)?);
        self.known.insert(matcher.clone(), Arc::clone(&test));
        Ok(test)
    }
}

/// A key under which equal predicates of a section are one.
type Key = (Slot, Matcher, Option<(Slot, bool)>);

/// The predicates of one section, each once.
#[derive(Debug, Default)]
pub(crate) struct Predicates {
    /// By [`PredicateIdx`].
    pub(crate) all: Vec<Predicate>,
    known: HashMap<Key, PredicateIdx>,
}

/// A field that the rule reads and that nothing feeds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unfed {
    /// Its name.
    pub(crate) field: Arc<str>,
    /// Where the rule reads it.
    pub(crate) place: Place,
}

/// Translates one rule for one kind and class.
pub(crate) struct Builder<'a> {
    /// Kind of the views.
    pub(crate) kind: ViewKind,
    /// Their record type.
    pub(crate) class: RecordClass,
    /// Whether `type` is decided here.
    pub(crate) specialise: bool,
    /// The rule's fields.
    pub(crate) names: &'a Names,
    /// Where its predicates go.
    pub(crate) predicates: &'a mut Predicates,
    /// Where its tests go.
    pub(crate) tests: &'a mut Tests,
    /// Fields found unfed.
    pub(crate) unfed: BTreeSet<Unfed>,
}

impl Builder<'_> {
    /// The rule's selections, folded.
    pub(crate) fn selections(&mut self, rule: &Rule) -> Result<Vec<Expression>, RegexRefused> {
        let selections = rule.detection.selections.iter();
        selections
            .map(|selection| self.search(&selection.search))
            .collect()
    }

    fn search(&mut self, search: &Search) -> Result<Expression, RegexRefused> {
        match search {
            Search::Map(items) => self.map(items),
            Search::Any(searches) => {
                let searches: Vec<_> = searches
                    .iter()
                    .map(|search| self.search(search))
                    .collect::<Result<_, _>>()?;
                Ok(Expression::or(searches))
            }
        }
    }

    fn map(&mut self, items: &[Item]) -> Result<Expression, RegexRefused> {
        let mut groups = Vec::new();
        for (array, items) in by_array(items, self.kind) {
            let parts: Vec<_> = items
                .iter()
                .map(|item| self.item(item))
                .collect::<Result<_, _>>()?;
            let all = Expression::and(parts);
            groups.push(match array {
                Some(array) if needs_element(&items, &all, self.kind) => {
                    let fields = items.iter().filter_map(|item| self.names.slot(&item.field));
                    let mut slots: Vec<Slot> = fields.collect();
                    if items.iter().all(|item| holds_without_values(item)) {
                        slots.extend(self.names.named(array));
                    }
                    Expression::Element(slots, Box::new(all))
                }
                _ => all,
            });
        }
        Ok(Expression::and(groups))
    }

    fn item(&mut self, item: &Item) -> Result<Expression, RegexRefused> {
        let slot = self.names.slot(&item.field);
        if slot.is_none()
            && let Field::Named(field) = &item.field
        {
            self.unfed.insert(Unfed {
                field: Arc::clone(field),
                place: item.place.clone(),
            });
        }
        let matchers: Vec<_> = item
            .matchers
            .iter()
            .map(|matcher| self.matcher(item, slot, matcher))
            .collect::<Result<_, _>>()?;
        let holds = match item.quantifier {
            Quantifier::Any => Expression::or(matchers),
            Quantifier::All => Expression::and(matchers),
        };
        Ok(if item.negated { holds.not() } else { holds })
    }

    fn matcher(
        &mut self,
        item: &Item,
        slot: Option<Slot>,
        matcher: &Matcher,
    ) -> Result<Expression, RegexRefused> {
        if let Matcher::AnyOf(variants) = matcher {
            let variants = variants
                .iter()
                .map(|variant| self.matcher(item, slot, variant));
            return Ok(Expression::or(variants.collect::<Result<Vec<_>, _>>()?));
        }
        let Some(slot) = slot else {
            return Ok(Expression::Constant(matches!(
                matcher,
                Matcher::Null | Matcher::Exists(false)
            )));
        };
        let matcher = match item.field {
            Field::Keywords => normal(keyword(matcher)),
            Field::Named(_) => normal(matcher.clone()),
        };
        let mut other_slot = None;
        let question = match &matcher {
            Matcher::Null => Question::Null,
            Matcher::Exists(wanted) => Question::Exists(*wanted),
            Matcher::FieldRef {
                field,
                prefix,
                suffix,
                cased,
            } => {
                let Some(other) = self.names.named(field) else {
                    self.unfed.insert(Unfed {
                        field: Arc::clone(field),
                        place: item.place.clone(),
                    });
                    return Ok(Expression::Constant(false));
                };
                let array = array_of(&item.field, self.kind);
                let same_array = array.is_some()
                    && array == array_of(&Field::Named(Arc::clone(field)), self.kind);
                other_slot = Some((other, same_array));
                Question::Other {
                    other,
                    same_array,
                    prefix: *prefix,
                    suffix: *suffix,
                    cased: *cased,
                }
            }
            matcher => Question::Any(self.tests.get(matcher)?),
        };
        if let Some(decided) = self.decided(item, &question) {
            return Ok(Expression::Constant(decided));
        }
        let key = (slot, matcher, other_slot);
        if let Some(known) = self.predicates.known.get(&key) {
            return Ok(Expression::Predicate(*known));
        }
        let index = PredicateIdx(
            u32::try_from(self.predicates.all.len()).expect("a plan has fewer than 2^32 values"),
        );
        self.predicates.all.push(Predicate {
            slot,
            question,
            matcher: key.1.clone(),
        });
        self.predicates.known.insert(key, index);
        Ok(Expression::Predicate(index))
    }

    /// What is known before any event is seen: the type of records, and that SYSCALL's arguments are hex digits.
    fn decided(&self, item: &Item, question: &Question) -> Option<bool> {
        self.decided_by_type(item, question)
            .or_else(|| self.decided_by_domain(item, question))
    }

    /// `a0` to `a3` of SYSCALL are written in hex: a literal with any other letter is found in none of them.
    fn decided_by_domain(&self, item: &Item, question: &Question) -> Option<bool> {
        let is_argument = matches!(&item.field, Field::Named(name) if matches!(&**name, "a0" | "a1" | "a2" | "a3"));
        if !self.specialise || self.class != RecordClass::Syscall || !is_argument {
            return None;
        }
        let Question::Any(test) = question else {
            return None;
        };
        let literal = match &**test {
            Test::Exact(literal) | Test::Prefix(literal) | Test::Suffix(literal) => literal,
            Test::Contains(finder) => finder.needle(),
            _ => return None,
        };
        (!literal.iter().all(u8::is_ascii_hexdigit)).then_some(false)
    }

    /// `type` is known for the record types that plans tell apart; for all others it is none of these.
    fn decided_by_type(&self, item: &Item, question: &Question) -> Option<bool> {
        let is_type = matches!(&item.field, Field::Named(name) if &**name == "type");
        if !self.specialise || self.kind != ViewKind::Record || !is_type {
            return None;
        }
        let holds = |name: &str, test: &Test| {
            let (raw, folded) = (name.as_bytes(), folded(name.as_bytes()));
            test.holds(Text {
                kind: event::ValueKind::Text,
                raw,
                folded: &folded,
            })
        };
        match (question, type_name(self.class)) {
            (Question::Any(test), Some(name)) => Some(holds(name, test)),
            (Question::Null, Some(_)) => Some(false),
            (Question::Exists(wanted), Some(_)) => Some(*wanted),
            (Question::Any(test), None) if matches!(**test, Test::Exact(_)) => {
                let apart = [RecordClass::Syscall, RecordClass::Execve, RecordClass::Path];
                apart
                    .into_iter()
                    .filter_map(type_name)
                    .any(|name| holds(name, test))
                    .then_some(false)
            }
            _ => None,
        }
    }
}

/// The record type of a class; `None` where the class holds many.
fn type_name(class: RecordClass) -> Option<&'static str> {
    match class {
        RecordClass::Syscall => Some("SYSCALL"),
        RecordClass::Execve => Some("EXECVE"),
        RecordClass::Path => Some("PATH"),
        RecordClass::Other => None,
    }
}

/// What combines folded selections, folded.
pub(crate) fn condition(of: &Condition, selections: &[Expression]) -> Expression {
    match of {
        Condition::Selection(selection) => selections[selection.0 as usize].clone(),
        Condition::And(parts) => {
            Expression::and(parts.iter().map(|part| condition(part, selections)))
        }
        Condition::Or(parts) => {
            Expression::or(parts.iter().map(|part| condition(part, selections)))
        }
        Condition::Not(part) => condition(part, selections).not(),
    }
}

/// Whether items below one array must be judged element by element. One value is always within one
/// element, so a single predicate about single values need not.
fn needs_element(items: &[&Item], all: &Expression, kind: ViewKind) -> bool {
    let single_value = |item: &Item| {
        !item.negated
            && item
                .matchers
                .iter()
                .flat_map(alternatives)
                .all(|matcher| match matcher {
                    Matcher::Null | Matcher::Exists(_) => false,
                    Matcher::FieldRef { field, .. } => {
                        array_of(&Field::Named(Arc::clone(field)), kind).is_none()
                    }
                    _ => true,
                })
            && (item.quantifier == Quantifier::Any || item.matchers.len() == 1)
    };
    match (all, items) {
        (Expression::Constant(_), _) => false,
        (_, [item]) => !single_value(item),
        _ => true,
    }
}

/// Letters folded, so that `/BIN/sh` and `/bin/sh` are one predicate.
pub(crate) fn normal(matcher: Matcher) -> Matcher {
    match matcher {
        Matcher::Text(pattern) if !pattern.cased => {
            let parts = pattern.parts.into_iter().map(|part| match part {
                Part::Text(text) => Part::Text(folded(&text).into()),
                other => other,
            });
            Matcher::Text(Pattern {
                parts: parts.collect(),
                cased: false,
            })
        }
        other => other,
    }
}
