//! The part of a plan for one kind of views and one record type: rules as a flat program over numbered
//! predicates, and the pre-filter that finds which of them to run.

use event::Slot;
use sigma::Matcher;
use std::collections::HashMap;

use crate::expression::{Expression, Predicate, PredicateIdx, Predicates, Question};
use crate::matcher::Test;
use crate::plan::{Options, RuleIdx};
use crate::prefilter::{LiteralIdx, Prefilter};
use crate::witness::{Literal, Shape};

/// Number of a node within its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeIdx(pub(crate) u32);

/// A step of a rule's program. The parts of a node lie in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    Constant(bool),
    Predicate(PredicateIdx),
    And {
        first: NodeIdx,
        len: u32,
    },
    Or {
        first: NodeIdx,
        len: u32,
    },
    Not(NodeIdx),
    /// Its slots are a piece of [`Section::element_slots`].
    Element {
        slots: (u32, u32),
        inner: NodeIdx,
    },
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Section {
    /// The rules that can match here; all else is indexed by place in this list.
    pub(crate) rules: Vec<RuleIdx>,
    pub(crate) roots: Vec<NodeIdx>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) element_slots: Vec<Slot>,
    pub(crate) predicates: Vec<Predicate>,
    /// By slot: whether anything here reads it.
    pub(crate) wanted: Vec<bool>,
    pub(crate) prefilter: Prefilter,
    /// What the pre-filter looks for, by [`LiteralIdx`]; for people.
    pub(crate) literals: Vec<Literal>,
    /// By literal: which rules become candidates where it stands.
    pub(crate) raises: Vec<Vec<u32>>,
    /// By literal: the predicate that it proves, if that asks for nothing else.
    pub(crate) proves: Vec<Option<PredicateIdx>>,
    /// Rules without a witness.
    pub(crate) always: Vec<u32>,
    /// By rule: its filters, each with its number in [`sigma::Rule::filters`].
    pub(crate) filters: Vec<Vec<(u32, NodeIdx)>>,
}

/// A rule as it is in one section.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    pub(crate) rule: RuleIdx,
    /// Its own condition.
    pub(crate) condition: Expression,
    /// Those of its filters that must hold beside it, each with its number.
    pub(crate) filters: Vec<(u32, Expression)>,
    /// What it is found by.
    pub(crate) witness: Option<Vec<Literal>>,
}

impl Section {
    /// Lays out the rules of a section. `slots`: how many there are in views of this kind.
    pub(crate) fn new(
        rules: Vec<Folded>,
        predicates: Predicates,
        slots: usize,
        options: Options,
    ) -> Self {
        let mut section = Self {
            rules: Vec::with_capacity(rules.len()),
            roots: Vec::with_capacity(rules.len()),
            nodes: Vec::new(),
            element_slots: Vec::new(),
            predicates: predicates.all,
            wanted: vec![false; slots],
            prefilter: Prefilter::default(),
            literals: Vec::new(),
            raises: Vec::new(),
            proves: Vec::new(),
            always: Vec::new(),
            filters: Vec::with_capacity(rules.len()),
        };
        let mut literals: Vec<Literal> = Vec::new();
        let mut known: HashMap<Literal, usize> = HashMap::new();
        for (at, folded) in (0..).zip(rules) {
            let Folded {
                rule,
                condition,
                filters,
                witness,
            } = folded;
            let root = section.root(&condition);
            section.rules.push(rule);
            section.roots.push(root);
            let filters = filters.iter();
            let filters = filters.map(|(number, filter)| (*number, section.root(filter)));
            let filters = filters.collect();
            section.filters.push(filters);
            match witness {
                Some(witness) if options.prefilter => {
                    for literal in witness {
                        let index = *known.entry(literal).or_insert_with_key(|literal| {
                            literals.push(literal.clone());
                            section.raises.push(Vec::new());
                            literals.len() - 1
                        });
                        if section.raises[index].last() != Some(&at) {
                            section.raises[index].push(at);
                        }
                    }
                }
                _ => section.always.push(at),
            }
        }
        let proofs = section.proofs();
        section.proves = literals
            .iter()
            .map(|literal| proofs.get(literal).copied())
            .collect();
        section.prefilter = Prefilter::new(&literals, slots, options.split);
        section.literals = literals;
        for predicate in &mut section.predicates {
            predicate.matcher = Matcher::Null;
        }
        section.nodes.shrink_to_fit();
        section.predicates.shrink_to_fit();
        section
    }

    fn root(&mut self, condition: &Expression) -> NodeIdx {
        let root = self.push(Node::Constant(false));
        self.lay_out(root, condition);
        root
    }

    fn push(&mut self, node: Node) -> NodeIdx {
        self.nodes.push(node);
        NodeIdx(u32::try_from(self.nodes.len() - 1).expect("a plan has fewer than 2^32 nodes"))
    }

    fn lay_out(&mut self, at: NodeIdx, condition: &Expression) {
        let node = match condition {
            Expression::Constant(value) => Node::Constant(*value),
            Expression::Predicate(index) => {
                self.want(*index);
                Node::Predicate(*index)
            }
            Expression::And(parts) => self.row(parts, |first, len| Node::And { first, len }),
            Expression::Or(parts) => self.row(parts, |first, len| Node::Or { first, len }),
            Expression::Not(inner) => {
                let child = self.push(Node::Constant(false));
                self.lay_out(child, inner);
                Node::Not(child)
            }
            Expression::Element(slots, inner) => {
                let from = self.element_slots.len();
                for slot in slots {
                    self.wanted[usize::from(slot.0)] = true;
                    self.element_slots.push(*slot);
                }
                let child = self.push(Node::Constant(false));
                self.lay_out(child, inner);
                let index =
                    |at: usize| u32::try_from(at).expect("a plan has fewer than 2^32 slots");
                Node::Element {
                    slots: (index(from), index(from + slots.len())),
                    inner: child,
                }
            }
        };
        self.nodes[at.0 as usize] = node;
    }

    fn row(&mut self, parts: &[Expression], node: impl Fn(NodeIdx, u32) -> Node) -> Node {
        let children: Vec<NodeIdx> = parts
            .iter()
            .map(|_| self.push(Node::Constant(false)))
            .collect();
        // What is cheap decides first.
        let mut parts: Vec<&Expression> = parts.iter().collect();
        parts.sort_by_cached_key(|part| self.cost(part));
        for (child, part) in children.iter().zip(parts) {
            self.lay_out(*child, part);
        }
        node(
            children[0],
            u32::try_from(children.len()).expect("a condition has fewer than 2^32 parts"),
        )
    }

    /// What it takes to decide, roughly, in comparisons of a literal.
    fn cost(&self, condition: &Expression) -> u32 {
        match condition {
            Expression::Constant(_) => 0,
            Expression::Predicate(index) => match &self.predicates[index.0 as usize].question {
                Question::Null | Question::Exists(_) => 1,
                Question::Other { .. } => 4,
                Question::Any(test) => match &**test {
                    Test::Exact(_)
                    | Test::Prefix(_)
                    | Test::Suffix(_)
                    | Test::Bool(_)
                    | Test::Anything
                    | Test::Never => 1,
                    Test::Contains(_) | Test::Cidr(_) | Test::Compare(..) | Test::Time(..) => 4,
                    Test::Wild(_) => 8,
                    Test::Regex(_) => 32,
                },
            },
            Expression::And(parts) | Expression::Or(parts) => parts
                .iter()
                .map(|part| self.cost(part))
                .fold(0, u32::saturating_add),
            Expression::Not(inner) => self.cost(inner),
            Expression::Element(_, inner) => self.cost(inner).saturating_mul(2),
        }
    }

    fn want(&mut self, predicate: PredicateIdx) {
        let Predicate { slot, question, .. } = &self.predicates[predicate.0 as usize];
        self.wanted[usize::from(slot.0)] = true;
        if let Question::Other { other, .. } = question {
            self.wanted[usize::from(other.0)] = true;
        }
    }

    /// Predicates that ask just whether a literal stands in a slot.
    fn proofs(&self) -> HashMap<Literal, PredicateIdx> {
        let mut proofs = HashMap::new();
        for (index, predicate) in (0..).map(PredicateIdx).zip(&self.predicates) {
            let Question::Any(test) = &predicate.question else {
                continue;
            };
            let (shape, text) = match &**test {
                Test::Exact(text) => (Shape::Exact, &**text),
                Test::Prefix(text) => (Shape::Prefix, &**text),
                Test::Suffix(text) => (Shape::Suffix, &**text),
                Test::Contains(finder) => (Shape::Contains, finder.needle()),
                _ => continue,
            };
            proofs.insert(
                Literal {
                    slot: predicate.slot,
                    shape,
                    text: text.into(),
                },
                index,
            );
        }
        proofs
    }

    /// How many literals the pre-filter looks for.
    pub(crate) fn literals(&self) -> usize {
        self.raises.len()
    }

    /// The rules that become candidates by this literal.
    pub(crate) fn raised(&self, literal: LiteralIdx) -> &[u32] {
        &self.raises[literal.0 as usize]
    }
}
