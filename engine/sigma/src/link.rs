//! Documents to one another, once all files are read: references, the order of correlations, filters into rules.

use std::borrow::Cow;

use crate::codes::{
    CIRCULAR, FILTER_LOG_SOURCE, FILTER_RULE, IDLE_FILTER, LIMIT, REJECTED_REFERENCE, UNKNOWN_RULE,
    VERSION_MIX,
};
use crate::context::Context;
use crate::correlation::chain;
use crate::correlation::read::Draft as CorrelationDraft;
use crate::correlation::resolve::{self, Resolved};
use crate::filter::apply::{self, APPLIED_VALUES_MAX, BySource};
use crate::filter::read::{Draft as FilterDraft, Rules};
use crate::references::{Index, Named, Reference};
use crate::{Diagnostic, Loaded, Rule, SourceTarget};

/// A document as far as it can be read alone.
pub(crate) struct Document<'a> {
    pub(crate) context: Context<'a>,
    /// Id or title, for diagnostics.
    pub(crate) label: Option<String>,
    pub(crate) body: Body,
}

/// What a document gave.
pub(crate) enum Body {
    /// Nothing: it has errors or is an `action`.
    None,
    /// A rule in [`Loaded::rules`].
    Rule(Linked),
    /// Perhaps one with errors, whose references are checked nevertheless.
    Correlation(Box<CorrelationDraft>),
    /// A correlation in [`Loaded::correlations`].
    LoadedCorrelation(Linked),
    /// Sound; it becomes one of [`Loaded::filters`] unless it reaches too much.
    Filter(Box<FilterDraft>),
}

/// What others ask of a loaded document.
#[derive(Clone, Copy)]
pub(crate) struct Linked {
    /// Its place in the list of its kind.
    pub(crate) at: usize,
    /// `generate`.
    pub(crate) generate: bool,
    /// Major number of the version of Sigma that it is written for.
    pub(crate) major: u64,
}

/// Links all documents; sound correlations and filters get into `loaded`.
pub(crate) fn link(documents: &mut [Document<'_>], index: &mut Index, loaded: &mut Loaded) {
    link_correlations(documents, index, loaded);
    link_filters(documents, index, loaded);
}

fn link_correlations(documents: &mut [Document<'_>], index: &mut Index, loaded: &mut Loaded) {
    // Correlations are numbered among themselves here; `numbers` are the documents'.
    let mut numbers = Vec::new();
    let mut number_of = vec![None; documents.len()];
    for (at, document) in documents.iter().enumerate() {
        if matches!(document.body, Body::Correlation(_)) {
            number_of[at] = Some(numbers.len());
            numbers.push(at);
        }
    }
    let mut targets = Vec::with_capacity(numbers.len());
    let mut reads = Vec::with_capacity(numbers.len());
    for at in &numbers {
        let found = find_sources(*at, documents, index);
        reads.push(
            found
                .iter()
                .flatten()
                .filter_map(|at| number_of[*at])
                .collect(),
        );
        targets.push(found);
    }
    let order = chain::order(&reads);
    for circle in &order.circles {
        for (place, number) in circle.iter().enumerate() {
            let next = circle[(place + 1) % circle.len()];
            report_circle(
                numbers[*number],
                numbers[next],
                circle.len(),
                &targets[*number],
                documents,
            );
        }
    }
    for number in order.sorted.iter().chain(&order.behind) {
        link_correlation(numbers[*number], &targets[*number], documents, loaded);
    }
    for other in targets.iter().flatten().flatten() {
        silence(&documents[*other].body, loaded);
    }
}

/// SIGMA: only the outermost correlation alerts, and what says that it does. What a rejected one reads was not meant to
/// alert by itself either: it is told that it does not run.
fn silence(read: &Body, loaded: &mut Loaded) {
    match read {
        Body::Rule(linked) => loaded.rules[linked.at].alerts = linked.generate,
        Body::LoadedCorrelation(linked) => {
            loaded.correlations[linked.at].alerts = linked.generate;
        }
        _ => {}
    }
}

/// Loads a correlation if it and all that it reads are sound.
fn link_correlation(
    at: usize,
    targets: &[Option<usize>],
    documents: &mut [Document<'_>],
    loaded: &mut Loaded,
) {
    let Body::Correlation(draft) = std::mem::replace(&mut documents[at].body, Body::None) else {
        return;
    };
    let Some(resolved) = resolve_sources(at, &draft, targets, documents, loaded) else {
        return;
    };
    let linked = Linked {
        at: loaded.correlations.len(),
        generate: draft.generate,
        major: draft.major,
    };
    let context = &mut documents[at].context;
    let Some(correlation) = resolve::correlation(*draft, &resolved, context) else {
        return;
    };
    documents[at].body = Body::LoadedCorrelation(linked);
    loaded.correlations.push(correlation);
}

/// The documents that a correlation reads; `None` for what is not there, which is reported.
fn find_sources(
    at: usize,
    documents: &mut [Document<'_>],
    index: &mut Index,
) -> Vec<Option<usize>> {
    let Body::Correlation(draft) = &documents[at].body else {
        return Vec::new();
    };
    let mut found = Vec::with_capacity(draft.sources.len());
    let mut faults = Vec::new();
    for reference in &draft.sources {
        let Reference { name, place } = reference;
        let fault = match index.find(name) {
            Named::Document(other) if matches!(documents[other].body, Body::Filter(_)) => {
                UNKNOWN_RULE.at(
                    place,
                    format!("`{name}` is a filter, which cannot be correlated"),
                )
            }
            Named::Document(other) => {
                found.push(Some(other));
                continue;
            }
            Named::Rejected(other) if other == at => {
                CIRCULAR.at(place, format!("`{name}` is this correlation itself"))
            }
            Named::Rejected(other) => rejected(reference, &documents[other].context),
            Named::Unknown => {
                let message = format!("there is no rule or correlation `{name}`");
                UNKNOWN_RULE.at(place, message).or_help(index.suggest(name))
            }
        };
        found.push(None);
        faults.push(fault);
    }
    documents[at].context.report_all(faults);
    found
}

/// What keeps a document from being loaded.
fn first_error(context: &Context<'_>) -> String {
    match context.reports.first_error() {
        Some(error) => format!(
            "mend its error {} at {}:{}:{} first",
            error.code, error.place.file, error.place.line, error.place.column
        ),
        None => "mend its errors first".to_owned(),
    }
}

fn report_circle(
    at: usize,
    next: usize,
    length: usize,
    targets: &[Option<usize>],
    documents: &mut [Document<'_>],
) {
    let Document { context, body, .. } = &mut documents[at];
    let Body::Correlation(draft) = body else {
        return;
    };
    let entry = targets.iter().position(|target| *target == Some(next));
    let Some(reference) = entry.and_then(|entry| draft.sources.get(entry)) else {
        return;
    };
    let message = match length {
        1 => format!("`{}` is this correlation itself", reference.name),
        _ => format!("through `{}` the correlation reads itself", reference.name),
    };
    let mut fault = CIRCULAR.at(&reference.place, message);
    if length > 1 {
        fault.help = Some(format!(
            "{length} correlations read each other in a circle; take one of the references out"
        ));
    }
    context.report(fault);
}

/// What a correlation reads; `None` where some of it is missing.
fn resolve_sources(
    at: usize,
    draft: &CorrelationDraft,
    targets: &[Option<usize>],
    documents: &mut [Document<'_>],
    loaded: &Loaded,
) -> Option<Vec<Resolved>> {
    let mut resolved = Vec::with_capacity(targets.len());
    let mut faults = Vec::new();
    for (reference, target) in draft.sources.iter().zip(targets) {
        let Some(other) = *target else { continue };
        let (linked, target, attributes) = match documents[other].body {
            Body::Rule(linked) => {
                let attributes = &loaded.rules[linked.at].attributes;
                (linked, SourceTarget::Rule(linked.at), attributes)
            }
            Body::LoadedCorrelation(linked) => {
                let attributes = &loaded.correlations[linked.at].attributes;
                (linked, SourceTarget::Correlation(linked.at), attributes)
            }
            _ => {
                faults.push(rejected(reference, &documents[other].context));
                continue;
            }
        };
        faults.extend(version_mix(reference, draft.major, linked.major));
        resolved.push(Resolved {
            reference: reference.clone(),
            target,
            words: [attributes.id.clone(), attributes.name.clone()],
        });
    }
    let context = &mut documents[at].context;
    context.report_all(faults);
    let is_whole = !resolved.is_empty() && resolved.len() == targets.len();
    is_whole.then_some(resolved)
}

fn rejected(reference: &Reference, other: &Context<'_>) -> Diagnostic {
    let message = format!("`{}` is not loaded, so neither is this", reference.name);
    let mut fault = REJECTED_REFERENCE.at(&reference.place, message);
    fault.help = Some(first_error(other));
    fault
}

/// SIGMA: a correlation or filter and its rules are meant to be of one major version.
fn version_mix(reference: &Reference, own: u64, other: u64) -> Option<Diagnostic> {
    let message = format!(
        "`{}` is written for Sigma {other}, this for Sigma {own}",
        reference.name
    );
    (own != other).then(|| VERSION_MIX.at(&reference.place, message))
}

fn link_filters(documents: &mut [Document<'_>], index: &mut Index, loaded: &mut Loaded) {
    let linked = documents
        .iter()
        .filter_map(|document| match &document.body {
            Body::Rule(linked) => Some(linked.major),
            _ => None,
        });
    let majors: Vec<u64> = linked.collect();
    let mut by_source = None;
    let mut applied = 0;
    for at in 0..documents.len() {
        let Body::Filter(draft) = &documents[at].body else {
            continue;
        };
        let (reached, mut faults) = match &draft.rules {
            Rules::Any => {
                let by_source = by_source.get_or_insert_with(|| BySource::new(&loaded.rules));
                (Cow::Borrowed(by_source.find(&draft.logsource)), Vec::new())
            }
            Rules::Named(references) => {
                let (reached, faults) = named_rules(draft, references, documents, index, loaded);
                (Cow::Owned(reached), faults)
            }
        };
        let place = &draft.place;
        let added = apply::weight(draft).saturating_mul(reached.len());
        let fits = added <= APPLIED_VALUES_MAX - applied;
        if !fits {
            let message = format!("filters add more than {APPLIED_VALUES_MAX} values to rules");
            let mut fault = LIMIT.at(place, message);
            fault.help = Some("let it reach fewer rules, or look for less".to_owned());
            faults.push(fault);
        } else if reached.is_empty() {
            let mut fault = IDLE_FILTER.at(place, "the filter reaches no rule");
            let help = "mend `rules` or the log source: it applies to rules that the one names and that have the other";
            fault.help = Some(help.to_owned());
            faults.push(fault);
        } else if let Some(other) = reached.iter().find(|rule| majors[**rule] != draft.major) {
            let reference = Reference {
                name: loaded.rules[*other].attributes.key().into(),
                place: place.clone(),
            };
            faults.extend(version_mix(&reference, draft.major, majors[*other]));
        }
        documents[at].context.report_all(faults);
        let body = std::mem::replace(&mut documents[at].body, Body::None);
        if let Body::Filter(draft) = body
            && fits
        {
            applied += added;
            let filter = apply::apply(*draft, &reached, &mut loaded.rules);
            loaded.filters.push(filter);
        }
    }
}

/// The rules that a filter names and that have its log source, in ascending order, and what is to be said of the others: one file of
/// filters may serve sites with different rules, so that none of it is an error.
fn named_rules(
    draft: &FilterDraft,
    references: &[Reference],
    documents: &[Document<'_>],
    index: &mut Index,
    loaded: &Loaded,
) -> (Vec<usize>, Vec<Diagnostic>) {
    let mut reached = Vec::new();
    let mut faults = Vec::new();
    for reference in references {
        let Reference { name, place } = reference;
        let (message, help) = match index.find(name) {
            Named::Document(other) => match &documents[other].body {
                Body::Rule(linked) => {
                    let rule = &loaded.rules[linked.at];
                    if apply::holds(&rule.logsource, &draft.logsource) {
                        reached.push(linked.at);
                    } else {
                        faults.push(other_log_source(reference, rule));
                    }
                    continue;
                }
                Body::LoadedCorrelation(_) => (
                    format!("`{name}` is a correlation, which no filter reaches"),
                    Some("name the rules that it reads".to_owned()),
                ),
                Body::Filter(_) => (format!("`{name}` is a filter"), None),
                _ => (
                    format!("`{name}` is not loaded"),
                    Some(first_error(&documents[other].context)),
                ),
            },
            Named::Rejected(other) => (
                format!("`{name}` is not loaded"),
                Some(first_error(&documents[other].context)),
            ),
            Named::Unknown if &**name == "any" => (
                "no rule is called `any`".to_owned(),
                Some("write `rules: any` for all rules of the log source".to_owned()),
            ),
            Named::Unknown => (format!("there is no rule `{name}`"), index.suggest(name)),
        };
        faults.push(FILTER_RULE.at(place, message).or_help(help));
    }
    reached.sort_unstable();
    reached.dedup();
    (reached, faults)
}

fn other_log_source(reference: &Reference, rule: &Rule) -> Diagnostic {
    let message = format!("`{}` is a rule for another log source", reference.name);
    let mut fault = FILTER_LOG_SOURCE.at(&reference.place, message);
    let given = [
        ("category", &rule.logsource.category),
        ("product", &rule.logsource.product),
        ("service", &rule.logsource.service),
    ];
    let given: Vec<String> = given
        .into_iter()
        .filter_map(|(key, value)| Some(format!("`{key}: {}`", value.as_ref()?)))
        .collect();
    fault.help = Some(format!(
        "the rule has {}; let the filter have no more",
        given.join(", ")
    ));
    fault
}
