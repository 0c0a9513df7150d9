//! Filters into rules: which rules each reaches, and their selections behind the rules' own.

use std::collections::HashMap;
use std::sync::Arc;

use crate::filter::read::Draft;
use crate::{
    AppliedFilter, Condition, Filter, LogSource, Matcher, Rule, Search, Selection, SelectionIdx,
};

/// Values to look for, and terms of conditions, that all filters together may add to rules.
pub(crate) const APPLIED_VALUES_MAX: usize = 1_000_000;

/// The rules by every log source that holds theirs, so that `rules: any` costs one look-up.
pub(crate) struct BySource(HashMap<[Option<String>; 3], Vec<usize>>);

impl BySource {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut by_source: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            let key = key(&rule.logsource);
            let given: u8 = (0..3)
                .filter(|bit| key[*bit].is_some())
                .map(|bit| 1 << bit)
                .sum();
            // Every subset of what the rule's log source gives.
            for subset in (0..8_u8).filter(|subset| subset & !given == 0) {
                let mut part = key.clone();
                for (bit, value) in part.iter_mut().enumerate() {
                    if subset & (1 << bit) == 0 {
                        *value = None;
                    }
                }
                by_source.entry(part).or_default().push(at);
            }
        }
        Self(by_source)
    }

    /// The rules whose log source has all that this one has, in ascending order.
    pub(crate) fn find(&self, logsource: &LogSource) -> &[usize] {
        self.0.get(&key(logsource)).map_or(&[], Vec::as_slice)
    }
}

fn key(logsource: &LogSource) -> [Option<String>; 3] {
    [
        logsource.category.clone(),
        logsource.product.clone(),
        logsource.service.clone(),
    ]
}

/// Whether a rule's log source has every category, product and service of a filter's.
pub(crate) fn holds(rule: &LogSource, filter: &LogSource) -> bool {
    let pairs = [
        (&rule.category, &filter.category),
        (&rule.product, &filter.product),
        (&rule.service, &filter.service),
    ];
    pairs
        .into_iter()
        .all(|(rule, filter)| filter.is_none() || rule == filter)
}

/// Values and terms that the filter adds to each rule that it reaches; at least 1.
pub(crate) fn weight(draft: &Draft) -> usize {
    let selections = draft.detection.selections.iter();
    let values: usize = selections
        .map(|selection| search_weight(&selection.search))
        .sum();
    values + condition_weight(&draft.detection.condition)
}

fn condition_weight(condition: &Condition) -> usize {
    match condition {
        Condition::Selection(_) => 1,
        Condition::And(terms) | Condition::Or(terms) => terms.iter().map(condition_weight).sum(),
        Condition::Not(term) => condition_weight(term),
    }
}

fn search_weight(search: &Search) -> usize {
    match search {
        Search::Map(items) => items
            .iter()
            .flat_map(|item| &item.matchers)
            .map(|matcher| match matcher {
                Matcher::AnyOf(variants) => 1 + variants.len(),
                _ => 1,
            })
            .sum(),
        Search::Any(searches) => searches.iter().map(search_weight).sum(),
    }
}

/// Puts a filter into the rules at these places.
///
/// SIGMA: its identifiers have a name space of their own: its condition was read over its own selections, and is over
/// the same ones here.
pub(crate) fn apply(draft: Draft, reached: &[usize], rules: &mut [Rule]) -> Filter {
    let key: Arc<str> = draft.attributes.key().into();
    let selections: Vec<Selection> = draft
        .detection
        .selections
        .into_iter()
        .map(|selection| Selection {
            name: format!("{key}: {}", selection.name).into(),
            ..selection
        })
        .collect();
    let mut keys = Vec::with_capacity(reached.len());
    for at in reached {
        let rule = &mut rules[*at];
        let offset = u32::try_from(rule.detection.selections.len())
            .expect("all filters together add fewer selections than that");
        rule.detection.selections.extend_from_slice(&selections);
        rule.filters.push(AppliedFilter {
            key: Arc::clone(&key),
            version: draft.attributes.version.clone(),
            condition: shifted(&draft.detection.condition, offset),
        });
        keys.push(rule.attributes.key().into());
    }
    Filter {
        attributes: draft.attributes,
        reached: keys,
    }
}

fn shifted(condition: &Condition, offset: u32) -> Condition {
    let all = |terms: &[Condition]| terms.iter().map(|term| shifted(term, offset)).collect();
    match condition {
        Condition::Selection(SelectionIdx(idx)) => Condition::Selection(SelectionIdx(idx + offset)),
        Condition::And(terms) => Condition::And(all(terms)),
        Condition::Or(terms) => Condition::Or(all(terms)),
        Condition::Not(term) => Condition::Not(Box::new(shifted(term, offset))),
    }
}
