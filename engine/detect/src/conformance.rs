//! Cases of public Sigma engines, read from the shared data where it lies beside the repository: what the
//! parser makes of their rules, judged by the reference evaluator and by the plan.

use std::path::{Path, PathBuf};

use event::ViewKind;
use serde_json::Value;
use sigma::{LogSource, Rule, SourceFile};

use crate::json::Flat;
use crate::plan::{Options, Plan};
use crate::reference::{Names, Slow, Walk};

fn matches(rules: Vec<Rule>, event: &Value, options: Options) -> (bool, bool) {
    let native = LogSource {
        service: Some("laurel".into()),
        ..LogSource::default()
    };
    let rules: Vec<Rule> = rules
        .into_iter()
        .map(|rule| Rule {
            logsource: native.clone(),
            // Whoever reads it.
            alerts: true,
            ..rule
        })
        .collect();
    let compiled = Plan::compile_with(rules.clone(), options);
    let mut fields = (*compiled.plan.fields()).clone();
    let names: Vec<Names> = rules
        .iter()
        .map(|rule| Names::resolve(rule, ViewKind::Native, &mut fields))
        .collect();
    let flat = Flat::new(event, &fields);
    let subject = flat.subject();
    let meant = rules.iter().zip(&names).any(|(rule, names)| {
        Walk {
            rule,
            names,
            subject,
            judge: &Slow::new(rule),
        }
        .matches()
    });
    let mut found = compiled
        .not_running
        .iter()
        .any(|rule| rule.always == Some(true));
    let (mut scratch, mut costs) = (compiled.plan.scratch(), compiled.plan.costs());
    compiled
        .plan
        .matches(&subject, &mut scratch, &mut costs, |_| found = true);
    (meant, found)
}

/// The cases where they lie beside the repository; said aloud where they do not. Those on which engines differ are
/// left out.
fn undisputed_cases() -> Vec<Value> {
    let mut cases = cases();
    cases.retain(|case| case["disputed"] != true);
    cases
}

#[expect(
    clippy::disallowed_methods,
    reason = "the cases may be read only where they lie"
)]
fn cases() -> Vec<Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("PYTHIA_SHARED").map_or(beside, PathBuf::from);
    let Ok(cases) = std::fs::read_to_string(shared.join("conformance/cases.jsonl")) else {
        eprintln!(
            "skipped: there are no conformance cases in {}",
            shared.display()
        );
        return Vec::new();
    };
    let cases = cases
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    cases.collect()
}

/// Words by which a disputed case says what it depends on, and the point of the policy.
const DEPENDS_ON: [(&str, &str); 15] = [
    ("missing_null", "M1"),
    ("missing referenced field", "M3"),
    ("nested", "M5"),
    ("kw_wild_anchor", "M8"),
    ("numeric value", "M10"),
    ("doesn't match any detection", "M11"),
    ("upper-case operators", "M12"),
    ("fieldref_ci", "M16"),
    ("fieldref value", "M16"),
    ("dash character", "M19"),
    ("padding", "M20"),
    ("metadata strictness", "M21"),
    ("cmp_str", "M24"),
    ("boundary_inclusive", "T2"),
    ("missing_group_skips", "T5"),
];

#[test]
fn the_policy_counts_the_disputed_cases_that_depend_on_each_point() {
    let mut disputed = cases();
    disputed.retain(|case| case["disputed"] == true);
    if disputed.is_empty() {
        return;
    }
    for point in sigma::policy() {
        let depends = |case: &&Value| {
            let told = format!("{} {}", case["sensitive_to"], case["reason"]);
            let mut words = DEPENDS_ON.iter().filter(|(_, id)| *id == point.id);
            words.any(|(word, _)| told.contains(word))
        };
        let count = disputed.iter().filter(depends).count();
        assert_eq!(count, point.disputed as usize, "{}", point.id);
    }
}

/// Names are literal in the cases, whatever taxonomy they are of.
fn load(case: &Value) -> sigma::Loaded {
    let file = SourceFile {
        name: "case.yml".into(),
        text: case["rule"].as_str().unwrap().into(),
    };
    let options = sigma::Options {
        any_taxonomy: true,
        ..sigma::Options::default()
    };
    sigma::load_with(&[file], &options)
}

fn errors(loaded: &sigma::Loaded) -> Vec<&sigma::Diagnostic> {
    let errors = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity == sigma::Severity::Error);
    errors.collect()
}

#[test]
fn undisputed_documents_of_public_engines_load_or_are_refused() {
    let mut wrong = Vec::new();
    for case in undisputed_cases() {
        if case.get("placeholders").is_some() {
            continue;
        }
        let loaded = load(&case);
        let errors = errors(&loaded);
        if errors.is_empty() == (case["kind"] == "error") {
            wrong.push(format!("{} {errors:#?}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}

#[test]
fn undisputed_cases_of_public_engines_come_out() {
    let (mut judged, mut filtered, mut wrong) = (0, 0, Vec::new());
    for case in undisputed_cases() {
        if case["kind"] != "match" || case.get("placeholders").is_some() {
            continue;
        }
        let loaded = load(&case);
        if loaded.rules.iter().any(|rule| !rule.filters.is_empty()) {
            filtered += 1;
            continue;
        }
        judged += 1;
        let expected = case["expected"] == true;
        for options in Options::variants() {
            let (meant, found) = matches(loaded.rules.clone(), &case["event"], options);
            if (meant, found) != (expected, expected) {
                wrong.push((case["id"].clone(), meant, found, expected));
                break;
            }
        }
    }
    eprintln!("{judged} cases judged, {filtered} have filters");
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}
