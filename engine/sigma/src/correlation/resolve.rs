//! A [`Draft`] to a [`Correlation`], once it is known what its references name.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::codes::{ALIAS_RULE, CONDITION_RULES, SAME_RULE};
use crate::context::Context;
use crate::correlation::read::{Alias, Draft, DraftCondition};
use crate::references::Reference;
use crate::suggest::did_you_mean;
use crate::{
    Condition, Correlation, CorrelationCondition, CorrelationKind, CorrelationSource, Place, Seen,
    SourceTarget,
};

/// Words of one correlation for which a name alike is searched; each costs a look at all sources.
const SUGGESTIONS_MAX: usize = 10;

/// An entry of `rules` with what it names.
pub(crate) struct Resolved {
    pub(crate) reference: Reference,
    pub(crate) target: SourceTarget,
    /// Id and name of the target.
    pub(crate) words: [Option<String>; 2],
}

/// All faults are reported; `None` if there is one, also an earlier one.
pub(crate) fn correlation(
    draft: Draft,
    resolved: &[Resolved],
    context: &mut Context<'_>,
) -> Option<Correlation> {
    let kind = draft.kind?;
    let (mut sources, places) = sources(&kind, resolved, &draft.group_by, context);
    let names = Names::new(resolved, &sources);
    alias(&draft.aliases, &names, &mut sources, context);
    let condition = match draft.condition? {
        DraftCondition::Bounds(bounds) => CorrelationCondition::Bounds(bounds),
        DraftCondition::AllSeen => CorrelationCondition::Seen(all_of(sources.len())),
        DraftCondition::Rules(condition, used) => {
            let used = used_sources(&used, &names, &sources, &places, context)?;
            CorrelationCondition::Seen(seen(&condition, &used))
        }
    };
    if context.has_errors() {
        return None;
    }
    Some(Correlation {
        attributes: draft.attributes?,
        kind,
        sources,
        timespan_ms: draft.timespan_ms?,
        group_by: draft.group_by,
        condition,
        alerts: true,
        not_running: draft.not_running,
    })
}

/// The sources and where they are written. One that is listed twice counts once, but a sequence may ask for it again.
fn sources(
    kind: &CorrelationKind,
    resolved: &[Resolved],
    group_by: &[Arc<str>],
    context: &mut Context<'_>,
) -> (Vec<CorrelationSource>, Vec<Place>) {
    let mut first: HashMap<SourceTarget, &Reference> = HashMap::new();
    let (mut sources, mut places) = (Vec::new(), Vec::new());
    for entry in resolved {
        match first.entry(entry.target) {
            Entry::Occupied(other) if *kind != CorrelationKind::TemporalOrdered => {
                let message = format!("`{}` is listed a second time", entry.reference.name);
                let Reference { name, place } = other.get();
                let help = format!(
                    "it counts once; as `{name}` it stands at {}:{}",
                    place.line, place.column
                );
                context.report_with_help(SAME_RULE.at(&entry.reference.place, message), help);
                continue;
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(slot) => {
                slot.insert(&entry.reference);
            }
        }
        sources.push(CorrelationSource {
            name: Arc::clone(&entry.reference.name),
            target: entry.target,
            group_by: group_by.to_vec(),
        });
        places.push(entry.reference.place.clone());
    }
    (sources, places)
}

/// The sources by all words that name them.
struct Names<'a> {
    targets: HashMap<&'a str, SourceTarget>,
    sources: HashMap<SourceTarget, Vec<usize>>,
    suggestions: Cell<usize>,
}

impl<'a> Names<'a> {
    fn new(resolved: &'a [Resolved], sources: &[CorrelationSource]) -> Self {
        let mut names = Self {
            targets: HashMap::new(),
            sources: HashMap::new(),
            suggestions: Cell::new(0),
        };
        for entry in resolved {
            let words = entry.words.iter().flatten().map(String::as_str);
            for word in words.chain([&*entry.reference.name]) {
                names.targets.entry(word).or_insert(entry.target);
            }
        }
        for (at, source) in sources.iter().enumerate() {
            names.sources.entry(source.target).or_default().push(at);
        }
        names
    }

    /// All places of a rule among the sources; none if it is not one of them.
    fn find(&self, word: &str) -> &[usize] {
        let target = self.targets.get(word);
        target
            .and_then(|target| self.sources.get(target))
            .map_or(&[], Vec::as_slice)
    }

    /// "Did you mean" over the names as they are written; the first words have it.
    fn suggest(&self, word: &str, sources: &[CorrelationSource]) -> Option<String> {
        if self.suggestions.get() == SUGGESTIONS_MAX {
            return None;
        }
        self.suggestions.set(self.suggestions.get() + 1);
        did_you_mean(word, sources.iter().map(|source| &*source.name))
    }
}

/// Puts the fields of aliases in the place of what they stand for.
fn alias(
    aliases: &[Alias],
    names: &Names<'_>,
    sources: &mut [CorrelationSource],
    context: &mut Context<'_>,
) {
    let mut taken = HashMap::new();
    for alias in aliases {
        let found = names.find(&alias.source.name);
        let [first, ..] = found else {
            let message = format!("the correlation does not list `{}`", alias.source.name);
            let mut fault = ALIAS_RULE.at(&alias.source.place, message);
            fault.help = names
                .suggest(&alias.source.name, sources)
                .or_else(|| Some("an alias names rules of `rules`".to_owned()));
            context.report(fault);
            continue;
        };
        let Some(position) = alias.group_by else {
            continue;
        };
        if let Some(other) = taken.insert((*first, position), &alias.source.place) {
            let message = format!("`{}` has this alias twice", alias.source.name);
            let help = format!("the first is at {}:{}", other.line, other.column);
            context.report_with_help(ALIAS_RULE.at(&alias.source.place, message), help);
            continue;
        }
        for at in found {
            if let Some(field) = sources[*at].group_by.get_mut(position) {
                *field = Arc::clone(&alias.field);
            }
        }
    }
}

/// Which source each name of a boolean condition is. The condition has to name all of them and no other.
fn used_sources(
    used: &[Reference],
    names: &Names<'_>,
    sources: &[CorrelationSource],
    places: &[Place],
    context: &mut Context<'_>,
) -> Option<Vec<usize>> {
    let mut is_used = vec![false; sources.len()];
    let mut found = Vec::new();
    for Reference { name, place } in used {
        let all = names.find(name);
        for at in all {
            is_used[*at] = true;
        }
        if let Some(at) = all.first() {
            found.push(*at);
            continue;
        }
        let mut fault = CONDITION_RULES.at(place, format!("`rules` does not list `{name}`"));
        fault.help = names
            .suggest(name, sources)
            .or_else(|| Some("list it, or take it out of the condition".to_owned()));
        context.report(fault);
    }
    let unused = sources.iter().zip(places).zip(is_used);
    for ((source, place), _) in unused.filter(|(_, is_used)| !is_used) {
        let message = format!("the condition does not name `{}`", source.name);
        let help = "use it in the condition, or take it out of `rules`";
        context.report_with_help(CONDITION_RULES.at(place, message), help);
    }
    (found.len() == used.len()).then_some(found)
}

fn all_of(sources: usize) -> Seen {
    match sources {
        1 => Seen::Source(0),
        _ => Seen::And((0..sources).map(Seen::Source).collect()),
    }
}

/// A condition over names as one over sources; `used` is which source each name is.
fn seen(condition: &Condition, used: &[usize]) -> Seen {
    let all = |terms: &[Condition]| terms.iter().map(|term| seen(term, used)).collect();
    match condition {
        // INVARIANT: the parser counts the names that it hands out with the condition.
        Condition::Selection(idx) => Seen::Source(used[idx.0 as usize]),
        Condition::And(terms) => Seen::And(all(terms)),
        Condition::Or(terms) => Seen::Or(all(terms)),
        Condition::Not(term) => Seen::Not(Box::new(seen(term, used))),
    }
}
