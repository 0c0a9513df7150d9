//! One view against one section: candidates by the pre-filter, then each candidate's program, lazily.

use crate::cost::{Costs, Step};
use crate::expression::{PredicateIdx, Question};
use crate::matcher::{Test, Text};
use crate::plan::{Options, RuleIdx};
use crate::prefilter::LiteralIdx;
use crate::reference::referenced;
use crate::section::{Node, NodeIdx, Section};
use crate::subject::{Subject, Texts, has_text};
use crate::value_cache::ValueCache;

/// Memory that is used again for every view; belongs to one thread.
#[derive(Debug)]
pub(crate) struct Scratch {
    texts: Texts,
    candidates: Vec<u32>,
    literals: Vec<LiteralIdx>,
    /// Literals of one value.
    found: Vec<LiteralIdx>,
    known: ValueCache,
    elements: Vec<u32>,
    /// The current view's number; what bears another is not about this view.
    view: u32,
    marks: Vec<Marks>,
}

/// Marks of one section, each the number of the view they were made for.
#[derive(Debug)]
struct Marks {
    literals: Vec<u32>,
    rules: Vec<u32>,
    /// Twice the view's number, plus one where the predicate holds.
    predicates: Vec<u32>,
}

/// View numbers stay below half of the range of their marks.
const VIEWS_MAX: u32 = (u32::MAX >> 1) - 1;

impl Scratch {
    pub(crate) fn new(sections: &[Section]) -> Self {
        let marks = sections.iter().map(|section| Marks {
            literals: vec![0; section.literals()],
            rules: vec![0; section.rules.len()],
            predicates: vec![0; section.predicates.len()],
        });
        Self {
            texts: Texts::default(),
            candidates: Vec::new(),
            literals: Vec::new(),
            found: Vec::new(),
            known: ValueCache::new(sections.iter().map(|section| section.wanted.len())),
            elements: Vec::new(),
            view: 0,
            marks: marks.collect(),
        }
    }

    fn next_view(&mut self) {
        if self.view == VIEWS_MAX {
            for marks in &mut self.marks {
                marks.literals.fill(0);
                marks.rules.fill(0);
                marks.predicates.fill(0);
            }
            self.view = 0;
        }
        self.view += 1;
    }
}

/// Calls `matched` once for every rule of the section (number `index` of the plan) that matches the view; what that costs
/// is noted in `costs`.
pub(crate) fn evaluate(
    section: &Section,
    index: usize,
    subject: &Subject<'_>,
    options: Options,
    scratch: &mut Scratch,
    costs: &mut Costs,
    mut matched: impl FnMut(RuleIdx),
) {
    scratch.next_view();
    let Scratch {
        texts,
        candidates,
        literals,
        found: in_value,
        known,
        elements,
        view,
        marks,
    } = scratch;
    let marks = &mut marks[index];
    texts.fill(subject, &section.wanted);
    candidates.clear();
    candidates.extend_from_slice(&section.always);
    literals.clear();
    let mut report = |literal: LiteralIdx| {
        let mark = &mut marks.literals[literal.0 as usize];
        if *mark != *view {
            *mark = *view;
            literals.push(literal);
        }
    };
    for text in 0..texts.len() {
        let (value, raw) = texts.raw(subject, text);
        let slot = value.slot;
        if !section.prefilter.looks_at(slot) || !has_text(value.kind) {
            continue;
        }
        let key = if options.value_cache {
            known.key(index, slot, raw)
        } else {
            None
        };
        let Some(key) = key else {
            let folded = texts.folded(subject, text);
            section.prefilter.find(slot, folded, &mut report);
            continue;
        };
        if let Some(literals) = known.get(key, raw) {
            literals.iter().copied().for_each(&mut report);
            continue;
        }
        in_value.clear();
        let folded = texts.folded(subject, text);
        section
            .prefilter
            .find(slot, folded, |literal| in_value.push(literal));
        in_value.sort_unstable();
        in_value.dedup();
        in_value.iter().copied().for_each(&mut report);
        known.put(key, texts.raw(subject, text).1, in_value);
    }
    for &literal in literals.iter() {
        for &rule in section.raised(literal) {
            let mark = &mut marks.rules[rule as usize];
            if *mark != *view {
                *mark = *view;
                candidates.push(rule);
            }
        }
        if let Some(predicate) = section.proves[literal.0 as usize] {
            marks.predicates[predicate.0 as usize] = *view * 2 + 1;
        }
    }
    if candidates.is_empty() {
        costs.step(Step::Search);
        return;
    }
    texts.fold_all(subject);
    costs.step(Step::Search);
    let mut run = Run {
        section,
        subject,
        texts,
        elements,
        predicates: &mut marks.predicates,
        view: *view,
        options,
    };
    for &candidate in candidates.iter() {
        let at = candidate as usize;
        let holds = run.holds(section.roots[at], None);
        let rule = section.rules[at];
        costs.verified(rule);
        if !holds {
            continue;
        }
        let mut filters = section.filters[at].iter();
        match filters.find(|(_, filter)| !run.holds(*filter, None)) {
            Some((filter, _)) => costs.suppressed(rule, *filter),
            None => matched(rule),
        }
    }
}

/// The programs of one section on one view.
struct Run<'a> {
    section: &'a Section,
    subject: &'a Subject<'a>,
    texts: &'a Texts,
    elements: &'a mut Vec<u32>,
    predicates: &'a mut [u32],
    view: u32,
    options: Options,
}

impl Run<'_> {
    /// `element`: the one element of an array that the values must lie in.
    fn holds(&mut self, node: NodeIdx, element: Option<u32>) -> bool {
        match self.section.nodes[node.0 as usize] {
            Node::Constant(value) => value,
            Node::Predicate(predicate) => self.predicate(predicate, element),
            Node::And { first, len } => {
                (first.0..first.0 + len).all(|at| self.holds(NodeIdx(at), element))
            }
            Node::Or { first, len } => {
                (first.0..first.0 + len).any(|at| self.holds(NodeIdx(at), element))
            }
            Node::Not(inner) => !self.holds(inner, element),
            Node::Element { slots, inner } => self.any_element(slots, inner),
        }
    }

    fn any_element(&mut self, (from, to): (u32, u32), inner: NodeIdx) -> bool {
        let mut elements = std::mem::take(self.elements);
        elements.clear();
        for slot in &self.section.element_slots[from as usize..to as usize] {
            elements.extend(self.texts.elements(self.subject, *slot));
        }
        elements.sort_unstable();
        elements.dedup();
        // 0 is no element: it counts only where there is no other.
        if elements.len() > 1 && elements[0] == 0 {
            elements.remove(0);
        }
        if elements.is_empty() {
            elements.push(0);
        }
        let holds = elements
            .iter()
            .any(|element| self.holds(inner, Some(*element)));
        *self.elements = elements;
        holds
    }

    fn predicate(&mut self, predicate: PredicateIdx, element: Option<u32>) -> bool {
        if element.is_some() || !self.options.memo {
            return self.ask(predicate, element);
        }
        let mark = self.predicates[predicate.0 as usize];
        if mark >> 1 == self.view {
            return mark & 1 == 1;
        }
        let holds = self.ask(predicate, None);
        self.predicates[predicate.0 as usize] = self.view * 2 + u32::from(holds);
        holds
    }

    fn ask(&self, predicate: PredicateIdx, element: Option<u32>) -> bool {
        let predicate = &self.section.predicates[predicate.0 as usize];
        let mut values = self.texts.of(self.subject, predicate.slot, element);
        match &predicate.question {
            Question::Any(test) => values.any(|text| has_text(text.kind) && test.holds(text)),
            Question::Null => {
                let mut missing = true;
                values.any(|text| {
                    missing = false;
                    text.kind == event::ValueKind::Null
                }) || missing
            }
            Question::Exists(wanted) => values.next().is_some() == *wanted,
            Question::Other {
                other,
                same_array,
                prefix,
                suffix,
                cased,
            } => {
                let within = element.filter(|_| *same_array);
                values.filter(|text| has_text(text.kind)).any(|text| {
                    self.texts
                        .of(self.subject, *other, within)
                        .filter(|other| has_text(other.kind))
                        .any(|other| goes_with(text, other, *prefix, *suffix, *cased))
                })
            }
        }
    }
}

/// Whether a text equals, starts with, ends with or contains another.
fn goes_with(text: Text<'_>, other: Text<'_>, prefix: bool, suffix: bool, cased: bool) -> bool {
    // Bytes that are no code point must not be found within one.
    if std::str::from_utf8(other.raw).is_err() {
        return Test::new(&referenced(other.raw, prefix, suffix, cased))
            .is_ok_and(|test| test.holds(text));
    }
    let (text, other) = if cased {
        (text.raw, other.raw)
    } else {
        (text.folded, other.folded)
    };
    match (suffix, prefix) {
        (false, false) => text == other,
        (false, true) => text.starts_with(other),
        (true, false) => text.ends_with(other),
        (true, true) => memchr::memmem::find(text, other).is_some(),
    }
}
