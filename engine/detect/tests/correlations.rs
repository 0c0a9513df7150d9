//! Correlations as they are loaded: what runs, what does not and why, whatever the documents say.

use detect::{Compiled, Options, Plan};
use sigma::SourceFile;

fn compile(text: &str) -> Compiled {
    let file = SourceFile {
        name: "rules.yml".into(),
        text: text.into(),
    };
    let loaded = sigma::load(&[file]);
    Plan::compile_all(loaded.rules, loaded.correlations, Options::ALL)
}

fn rule(name: &str) -> String {
    format!(
        "title: {name}\nname: {name}\nlogsource: {{product: linux, category: process_creation}}\n\
         detection: {{s: {{Image: /bin/{name}}}, condition: s}}\n---\n"
    )
}

fn correlation(name: &str, lines: &str) -> String {
    format!(
        "title: {name}\nname: {name}\ncorrelation: {{type: temporal, timespan: 1m, {lines}}}\n---\n"
    )
}

/// Titles of rules and correlations that run, and of those that do not, each with its reason.
fn outcome(text: &str) -> (Vec<String>, Vec<String>) {
    let compiled = compile(text);
    let rules = compiled.plan.rules().iter().map(|rule| &rule.attributes);
    let correlations = compiled.plan.correlations().all();
    let running = rules.chain(correlations.map(|one| &one.attributes));
    let running = running.map(|attributes| attributes.title.clone());
    let rules = compiled.not_running.iter();
    let rules = rules.map(|idle| format!("{}: {}", idle.rule.attributes.title, idle.reason));
    let correlations = compiled.correlations_not_running.iter();
    let correlations =
        correlations.map(|(one, reason)| format!("{}: {reason}", one.attributes.title));
    (running.collect(), rules.chain(correlations).collect())
}

const USELESS: &str =
    "the correlations that read it do not run, and it does not alert by itself (`generate: true`)";

#[test]
fn what_only_feeds_a_correlation_that_does_not_run_is_listed_whatever_is_wrong_with_that() {
    for outer in [
        // Sound, and not to be evaluated.
        correlation("outer", "rules: [one, inner, loud], window: tumbling"),
        // Rejected.
        correlation("outer", "rules: [one, inner, loud, nothing]"),
    ] {
        let text = [
            rule("one"),
            rule("two"),
            rule("loud").replace("logsource", "generate: true\nlogsource"),
            rule("alone"),
            correlation("inner", "rules: two"),
            outer,
        ];
        let (running, idle) = outcome(&text.concat());
        assert_eq!(running, ["loud", "alone"], "{idle:#?}");
        for name in ["one", "two", "inner"] {
            assert!(idle.contains(&format!("{name}: {USELESS}")), "{idle:#?}");
        }
    }
}

#[test]
fn an_inner_correlation_that_alerts_runs_without_those_around_it() {
    let text = [
        rule("one"),
        correlation("inner", "rules: one, generate: true"),
        correlation("outer", "rules: [inner, nothing]"),
    ];
    let (running, idle) = outcome(&text.concat());
    assert_eq!(
        (running, idle),
        (vec!["one".into(), "inner".into()], vec![])
    );
}

/// Each reads the one before twice, so that there are 2^60 ways from the last to the first.
#[test]
fn a_chain_that_branches_and_joins_costs_no_more_than_its_length() {
    let mut text = rule("c0");
    for number in 1..=60 {
        let before = number - 1;
        text += &format!(
            "title: c{number}\nname: c{number}\n\
             correlation: {{type: temporal_ordered, timespan: 1m, rules: [c{before}, c{before}]}}\n---\n"
        );
    }
    let (running, idle) = outcome(&text);
    assert_eq!((running.len(), idle.len()), (61, 0), "{idle:#?}");
}
