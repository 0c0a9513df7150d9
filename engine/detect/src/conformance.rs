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

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the cases may be read only where they lie"
)]
fn undisputed_cases_of_public_engines_come_out() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("PYTHIA_SHARED").map_or(beside, PathBuf::from);
    let Ok(cases) = std::fs::read_to_string(shared.join("conformance/cases.jsonl")) else {
        eprintln!(
            "skipped: there are no conformance cases in {}",
            shared.display()
        );
        return;
    };
    let (mut judged, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in cases
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
    {
        if case["kind"] != "match" || case["disputed"] == true || case.get("placeholders").is_some()
        {
            continue;
        }
        let file = SourceFile {
            name: "case.yml".into(),
            text: case["rule"].as_str().unwrap().into(),
        };
        let loaded = sigma::load(&[file]);
        let errors = loaded
            .diagnostics
            .iter()
            .filter(|found| found.severity == sigma::Severity::Error);
        let codes: Vec<&str> = errors.map(|error| error.code).collect();
        if !codes.is_empty() {
            // Correlations and filters are refused as a whole.
            assert!(
                codes.contains(&"R016"),
                "{} {:#?}",
                case["id"],
                loaded.diagnostics
            );
            refused += 1;
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
    eprintln!("{judged} cases judged, {refused} use what is not supported yet");
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}
