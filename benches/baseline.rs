//! `sigma-rust` on the rules that it can hold, over a sample of the same lines.
//!
//! Its matcher knows neither views nor routing nor lists, so it is handed what our decoder makes: for
//! each view one flat event with the fields that rules read, made beforehand, and only the rules of that
//! view's log source. Its figure is therefore matching alone.

use std::collections::{BTreeSet, HashMap};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use detect::{Options, Plan, RuleIdx};
use event::{Decoder, Fields, ValueKind, View, ViewKind};
use sigma_rust::{Event, Rule};

use crate::case::{Loaded, ORIGIN, cache};
use crate::clock::timed;
use crate::engine::{Bench, compile};
use crate::report::Report;

/// Lines of the sample, taken at even distances: it may need milliseconds for each.
const LINES: usize = 400;

const ROUNDS: usize = 3;

/// Adds its figures to the report.
pub(crate) fn measure(report: &mut Report, loaded: &Loaded) {
    let plan = compile(loaded, Options::ALL);
    let rules = quietly(|| held(&plan, loaded));
    let count: usize = rules.values().map(Vec::len).sum();
    let all = Bench::new(loaded);
    let every = all.lines.len().div_ceil(LINES);
    let sample = Bench {
        lines: all.lines.iter().copied().step_by(every).collect(),
        profile: Arc::clone(&all.profile),
    };
    let lines = events(&plan, &sample);
    let ours = sample.matches(&plan).alerts;
    for _ in 0..ROUNDS {
        let floor = all.floor() / all.lines.len() as f64;
        let pass = || lines.iter().map(|line| matching(line, &rules)).sum();
        let (ns, found): (f64, usize) = quietly(|| timed(pass));
        report.add("sigma-rust", "x", ns / lines.len() as f64 / floor);
        report.add(
            "matches of sigma-rust",
            "by ours",
            found as f64 / ours as f64,
        );
    }
    report.add("rules that sigma-rust holds", "", count as f64);
}

/// How many rules match any view of a line.
fn matching(views: &[(ViewKind, Event)], rules: &HashMap<ViewKind, Vec<Rule>>) -> usize {
    let mut found = BTreeSet::new();
    for (kind, event) in views {
        let rules = rules.get(kind).into_iter().flatten().enumerate();
        let matching = rules.filter(|(_, rule)| matches(rule, event));
        found.extend(matching.map(|(number, _)| (*kind, number)));
    }
    found.len()
}

/// The running rules that it parses, by the view that feeds them.
fn held(plan: &Plan, loaded: &Loaded) -> HashMap<ViewKind, Vec<Rule>> {
    let mut held: HashMap<ViewKind, Vec<Rule>> = HashMap::new();
    for (rule, number) in plan.rules().iter().zip(0..) {
        let text = loaded.text_of(rule);
        let parsed = panic::catch_unwind(|| sigma_rust::rule_from_yaml(text));
        if let Ok(Ok(parsed)) = parsed {
            let kind = plan.facts(RuleIdx(number)).view;
            held.entry(kind).or_default().push(parsed);
        }
    }
    held
}

/// By line, one flat event for each view. Of a field with several values it gets the first.
fn events(plan: &Plan, bench: &Bench<'_>) -> Vec<Vec<(ViewKind, Event)>> {
    let fields = plan.fields();
    let mut decoder = Decoder::new(Arc::clone(&bench.profile), Arc::clone(&fields));
    let mut cache = cache();
    let flat = |line: &&[u8]| {
        let event = decoder.decode(line, &ORIGIN, &mut cache).ok()?;
        let views = event.views().iter();
        Some(
            views
                .map(|view| (view.kind, flat(&event, view, &fields)))
                .collect(),
        )
    };
    bench.lines.iter().filter_map(flat).collect()
}

fn flat(event: &event::Event<'_>, view: &View, fields: &Fields) -> Event {
    let mut flat = Event::new();
    for value in event.values(view).iter().rev() {
        let name = fields.name(view.kind, value.slot);
        let text = String::from_utf8_lossy(event.bytes(value.span));
        match (value.kind, text.parse::<i64>()) {
            (ValueKind::Null, _) => flat.insert(name, None),
            (ValueKind::Number, Ok(number)) => flat.insert(name, number),
            _ => flat.insert(name, text.into_owned()),
        }
    }
    flat
}

/// It panics on some values; that counts as no match.
fn matches(rule: &Rule, event: &Event) -> bool {
    panic::catch_unwind(AssertUnwindSafe(|| rule.is_match(event))).unwrap_or(false)
}

/// Without the messages of the panics that are caught.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = work();
    panic::set_hook(hook);
    result
}
