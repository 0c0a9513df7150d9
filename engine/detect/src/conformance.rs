//! Cases of public Sigma engines, read from the shared data where it lies beside the repository: what the
//! parser makes of their rules, judged by the reference evaluator and by the plan.

use std::path::{Path, PathBuf};

use event::{Fields, RecordClass, Span, Value as Slotted, ValueKind, ViewKind};
use serde_json::Value;
use sigma::{LogSource, Rule, SourceFile};

use crate::handmade::Buffer;
use crate::plan::{Options, Plan};
use crate::reference::{Names, Slow, Walk};
use crate::subject::Subject;

/// The event of a case under the names that a rule uses: literal first, then a path (policy M5).
struct Flat<'a> {
    event: &'a Value,
    buffer: Buffer,
    values: Vec<Slotted>,
}

impl Flat<'_> {
    fn put(&mut self, slot: event::Slot, value: &Value, element: u32) {
        let (kind, text) = match value {
            Value::Null => (ValueKind::Null, String::new()),
            Value::Bool(value) => (ValueKind::Bool, value.to_string()),
            Value::Number(number) => (ValueKind::Number, number.to_string()),
            Value::String(text) => (ValueKind::Text, text.clone()),
            Value::Array(elements) if elements.is_empty() => (ValueKind::Container, String::new()),
            Value::Array(elements) => {
                return elements
                    .iter()
                    .for_each(|value| self.put(slot, value, element));
            }
            Value::Object(_) => (ValueKind::Container, String::new()),
        };
        let span = match kind {
            ValueKind::Null | ValueKind::Container => Span::NONE,
            _ => self.buffer.push(text.as_bytes()),
        };
        self.values.push(Slotted {
            slot,
            kind,
            span,
            element,
            node: u32::MAX,
        });
    }

    fn find(&mut self, slot: event::Slot, at: &Value, path: &str, element: u32) {
        match at {
            Value::Array(elements) => {
                for (number, value) in (1..).zip(elements) {
                    let element = if element == 0 { number } else { element };
                    self.find(slot, value, path, element);
                }
            }
            Value::Object(members) => {
                if let Some(value) = members.get(path) {
                    return self.put(slot, value, element);
                }
                for (at, _) in path.match_indices('.') {
                    let (first, rest) = (path.get(..at).unwrap(), path.get(at + 1..).unwrap());
                    if let Some(value) = members.get(first) {
                        self.find(slot, value, rest, element);
                    }
                }
            }
            _ => {}
        }
    }

    fn leaves(&mut self, slot: event::Slot, at: &Value) {
        match at {
            Value::Array(elements) => elements.iter().for_each(|value| self.leaves(slot, value)),
            Value::Object(members) => members.values().for_each(|value| self.leaves(slot, value)),
            leaf => self.put(slot, leaf, 0),
        }
    }
}

fn flat<'a>(event: &'a Value, fields: &mut Fields) -> Flat<'a> {
    let mut flat = Flat {
        event,
        buffer: Buffer::default(),
        values: Vec::new(),
    };
    let keywords = fields.want_keywords(ViewKind::Native);
    for slot in
        (0..fields.len(ViewKind::Native)).map(|slot| event::Slot(u16::try_from(slot).unwrap()))
    {
        if slot == keywords {
            flat.leaves(slot, flat.event);
        } else {
            let name = fields.name(ViewKind::Native, slot).to_owned();
            flat.find(slot, flat.event, &name, 0);
        }
    }
    flat
}

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
    let flat = flat(event, &mut fields);
    let subject = Subject {
        kind: ViewKind::Native,
        class: RecordClass::Other,
        values: &flat.values,
        node: 0,
        source: &flat.buffer,
    };
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
        .any(|rule| rule.reason.contains("match everything"));
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
