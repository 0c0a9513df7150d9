//! What a plan looks for to find a rule, and what verifying it then takes: read out of the compiled sections, for people.

use std::collections::BTreeSet;
use std::sync::Arc;

use event::RecordClass;

use crate::expression::{PredicateIdx, Question};
use crate::lint::views;
use crate::matcher::Test;
use crate::plan::{Plan, RuleIdx};
use crate::prefilter::Store;
use crate::section::{Node, NodeIdx, Section};
use crate::witness::Shape;

/// How a rule is found and verified in views of one record type.
#[derive(Clone, Debug)]
pub struct Sought {
    /// The record type; `Other` for views that are no records.
    pub class: RecordClass,
    /// Which views these are, and how many there are of them.
    pub views: String,
    /// The literals of which one stands in every view that the rule matches; `None`: there are none, and the rule is
    /// verified on every such view.
    pub literals: Option<Vec<SoughtLiteral>>,
    /// What verifying a candidate asks, each question once.
    pub tests: TestCounts,
}

/// A literal that the pre-filter looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoughtLiteral {
    /// The field whose values it is looked for in; `None`: in all texts of the view.
    pub field: Option<Arc<str>>,
    /// `equals`, `startswith`, `endswith` or `contains`.
    pub operator: &'static str,
    /// Its text, letters folded as values are.
    pub text: String,
    /// What looks for it.
    pub store: Option<Store>,
}

/// Questions by what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCounts {
    /// Regular expressions, the dearest; asked last.
    pub regexes: usize,
    /// Wildcards inside of a text, and texts compared as written: unit by unit.
    pub wildcards: usize,
    /// All else: literals, numbers, addresses, presence, other fields.
    pub others: usize,
}

impl Plan {
    /// How a rule is found and verified, by record type.
    pub fn sought(&self, rule: RuleIdx) -> Vec<Sought> {
        let kind = self.facts(rule).view;
        let sought = |(class, section): (RecordClass, &Section)| {
            let at = section.rules.iter().position(|other| *other == rule)?;
            let mut asked = BTreeSet::new();
            section.ask(section.roots[at], &mut asked);
            for (_, filter) in &section.filters[at] {
                section.ask(*filter, &mut asked);
            }
            Some(Sought {
                class,
                views: views(kind, &[class]),
                literals: self.literals_of(section, u32::try_from(at).ok()?, rule),
                tests: section.count(&asked),
            })
        };
        self.sections_of(rule).filter_map(sought).collect()
    }

    fn literals_of(&self, section: &Section, at: u32, rule: RuleIdx) -> Option<Vec<SoughtLiteral>> {
        if section.always.contains(&at) {
            return None;
        }
        let kind = self.facts(rule).view;
        let fields = self.fields();
        let literals = section.literals.iter().zip(&section.raises);
        let literals = literals.filter(|(_, raised)| raised.contains(&at));
        let sought = literals.map(|(literal, _)| SoughtLiteral {
            field: (fields.keywords(kind) != Some(literal.slot))
                .then(|| fields.name(kind, literal.slot).into()),
            operator: match literal.shape {
                Shape::Exact => "equals",
                Shape::Prefix => "startswith",
                Shape::Suffix => "endswith",
                Shape::Contains => "contains",
            },
            text: String::from_utf8_lossy(&literal.text).into_owned(),
            store: section.prefilter.store_of(literal),
        });
        Some(sought.collect())
    }
}

impl Section {
    /// Adds every predicate below a node.
    fn ask(&self, node: NodeIdx, asked: &mut BTreeSet<PredicateIdx>) {
        match self.nodes[node.0 as usize] {
            Node::Constant(_) => {}
            Node::Predicate(index) => {
                asked.insert(index);
            }
            Node::And { first, len } | Node::Or { first, len } => {
                for part in first.0..first.0 + len {
                    self.ask(NodeIdx(part), asked);
                }
            }
            Node::Not(inner) | Node::Element { inner, .. } => self.ask(inner, asked),
        }
    }

    fn count(&self, asked: &BTreeSet<PredicateIdx>) -> TestCounts {
        let mut counts = TestCounts::default();
        for index in asked {
            let count = match &self.predicates[index.0 as usize].question {
                Question::Any(test) => match **test {
                    Test::Regex(_) => &mut counts.regexes,
                    Test::Wild(_) => &mut counts.wildcards,
                    _ => &mut counts.others,
                },
                Question::Null | Question::Exists(_) | Question::Other { .. } => &mut counts.others,
            };
            *count += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};

    use super::*;
    use crate::plan::Options;

    fn check(options: Options, logsource: &str, detection: &str, expected: &Expect) {
        let text = format!("title: A\nlogsource: {{{logsource}}}\ndetection: {detection}\n");
        let file = sigma::SourceFile {
            name: "a.yml".into(),
            text: text.into(),
        };
        let plan = Plan::compile_with(sigma::load(&[file]).rules, options).plan;
        let mut told = String::new();
        for Sought {
            class,
            literals,
            tests,
            ..
        } in plan.sought(RuleIdx(0))
        {
            writeln!(told, "{class:?} {tests:?}").expect("a string");
            let Some(literals) = literals else {
                told += "  every view\n";
                continue;
            };
            for SoughtLiteral {
                field,
                operator,
                text,
                store,
            } in literals
            {
                writeln!(told, "  {field:?} {operator} {text:?} {store:?}").expect("a string");
            }
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn what_is_told_is_what_the_pre_filter_holds() {
        let detection = "{a: {Image|endswith: [/NC, /x], CommandLine|contains: ' -e '}, b: {User: [root, bob]}, \
                         c: {CommandLine|re: 'foo\\d+bar'}, condition: a or b or c}";
        check(
            Options::ALL,
            "category: process_creation",
            detection,
            &expect![[r#"
                Other TestCounts { regexes: 1, wildcards: 0, others: 5 }
                  Some("Image") endswith "/nc" Some(Suffixes)
                  Some("Image") endswith "/x" Some(Suffixes)
                  Some("User") equals "root" Some(Hash)
                  Some("User") equals "bob" Some(Hash)
                  Some("CommandLine") contains "bar" Some(Automaton)
            "#]],
        );
        let together = Options::ALL.without("split").expect("it is one");
        check(
            together,
            "category: process_creation",
            "{a: {Image|endswith: /nc}, condition: a}",
            &expect![[r#"
                Other TestCounts { regexes: 0, wildcards: 0, others: 1 }
                  Some("Image") endswith "/nc" Some(Automaton)
            "#]],
        );
    }

    #[test]
    fn a_rule_without_a_literal_is_verified_on_every_view_of_the_types_it_can_match() {
        check(
            Options::ALL,
            "product: linux, service: auditd",
            "{a: {type: [PATH, EXECVE]}, b: {a1|cased|contains: X*y}, c: {name: 'z'}, condition: a and not b or c}",
            &expect![[r#"
                Syscall TestCounts { regexes: 0, wildcards: 0, others: 1 }
                  Some("name") equals "z" Some(Hash)
                Execve TestCounts { regexes: 0, wildcards: 1, others: 1 }
                  every view
                Path TestCounts { regexes: 0, wildcards: 1, others: 1 }
                  every view
                Other TestCounts { regexes: 0, wildcards: 0, others: 1 }
                  Some("name") equals "z" Some(Hash)
            "#]],
        );
        check(
            Options::ALL,
            "service: laurel",
            "{a: ['foo', 'bar'], condition: a}",
            &expect![[r#"
                Other TestCounts { regexes: 0, wildcards: 0, others: 2 }
                  None contains "foo" Some(Automaton)
                  None contains "bar" Some(Automaton)
            "#]],
        );
    }
}
