//! Our reference against `sigma-rust`: on the corpus, on generated rules and views, and where the shared data lies beside
//! the repository on the rules of `SigmaHQ` for Linux. Every difference must have a line in the table of [`opinion`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::{Fields, Profile, ViewKind};
use opinion::{Applies, DEVIATIONS, Second};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::{Map, Value, json};
use sigma::{
    Comparison, Condition, Field, Item, Matcher, Part, Quantifier, Rule, Search, SourceFile,
};

use super::group::{self, Expected};
use super::{assert_none, cache, line, load};
use crate::agreement::{KINDS, pool, rules, view};
use crate::explain::{Explainer, flattened};
use crate::handmade::lay_out;
use crate::json::Flat;
use crate::reference::{Names, Slow, Walk};
use crate::subject::Subject;
use crate::{Line, Options, Plan, Source};

/// What came of comparisons: how often each line of the table explains one, and what none explains.
#[derive(Default)]
struct Tally {
    alike: usize,
    explained: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

/// A rule of ours, its text, and what `sigma-rust` made of it.
struct Pair<'a> {
    rule: &'a Rule,
    text: &'a str,
    second: Second,
}

impl<'a> Pair<'a> {
    /// `None` where `sigma-rust` refuses the rule.
    fn new(rule: &'a Rule, text: &'a str, tally: &mut Tally) -> Option<Self> {
        match Second::load(text) {
            Ok(second) => Some(Self { rule, text, second }),
            Err(error) => {
                tally.refused(&error, text);
                None
            }
        }
    }

    /// Its verdict on an event against ours.
    fn compare(&self, event: &Value, ours: bool, tally: &mut Tally) {
        let theirs = match self.second.matches(event) {
            Ok(theirs) => theirs,
            Err(panicked) => return tally.refused(&panicked, self.text),
        };
        if ours == theirs {
            tally.alike += 1;
            return;
        }
        let reasons = opinion::explaining(self.rule, self.text, event);
        if reasons.is_empty() {
            let text = self.text;
            tally
                .wrong
                .push(format!("{text}\n{event}\nours: {ours}, theirs: {theirs}\n"));
        }
        for reason in reasons {
            *tally.explained.entry(reason.id).or_default() += 1;
        }
    }
}

impl Tally {
    fn refused(&mut self, error: &str, text: &str) {
        match opinion::refusing(error) {
            Some(known) => *self.explained.entry(known.id).or_default() += 1,
            None => self.wrong.push(format!("{text}\n{error}\n")),
        }
    }

    /// Nothing is unexplained, and enough is alike for the comparison to be worth something.
    fn check(&self, what: &str, alike_min: usize) {
        eprintln!("{what}: {} alike, {:?}", self.alike, self.explained);
        assert_none(&self.wrong);
        assert!(self.alike >= alike_min, "{what}: {} alike", self.alike);
    }
}

/// What the rule means for a JSON object.
fn holds(rule: &Rule, event: &Value) -> bool {
    let mut fields = Fields::default();
    let names = Names::resolve(rule, ViewKind::Native, &mut fields);
    let flat = Flat::new(event, &fields);
    let walk = Walk {
        rule,
        names: &names,
        subject: flat.subject(),
        judge: &Slow::new(rule),
    };
    walk.matches()
}

/// The only rule of a file.
fn only_rule(text: &str) -> Rule {
    let file = SourceFile {
        name: "rule.yml".into(),
        text: text.into(),
    };
    let mut loaded = sigma::load(&[file]);
    assert_eq!(loaded.rules.len(), 1, "{text}{:#?}", loaded.diagnostics);
    loaded.rules.remove(0)
}

#[test]
fn every_known_deviation_is_still_one_and_what_it_advises_is_read_alike() {
    let policy = sigma::policy();
    for deviation in DEVIATIONS {
        let (id, example) = (deviation.id, &deviation.example);
        for point in deviation.points {
            assert!(policy.iter().any(|known| known.id == *point), "{id}");
        }
        let text = opinion::rule_text(example.rule);
        let event: Value = serde_json::from_str(example.event).unwrap();
        let rule = only_rule(&text);
        assert_eq!(holds(&rule, &event), example.ours, "{id}: ours");
        let first = opinion::document_at(&text, rule.attributes.place.bytes.0);
        match (deviation.applies, Second::load(first)) {
            (Applies::Refusal(_), Err(error)) => {
                assert_eq!(opinion::refusing(&error).map(|known| known.id), Some(id));
            }
            (Applies::Refusal(_), Ok(second)) => {
                let told = second.matches(&event).expect_err(id);
                assert_eq!(opinion::refusing(&told).map(|known| known.id), Some(id));
            }
            (_, second) => {
                let theirs = second.unwrap().matches(&event);
                assert_eq!(theirs, Ok(!example.ours), "{id}: sigma-rust mended it");
                let reasons = opinion::explaining(&rule, first, &event);
                assert!(reasons.iter().any(|reason| reason.id == id), "{id}");
            }
        }
        if let Some(instead) = example.instead {
            let text = opinion::rule_text(instead);
            assert_eq!(holds(&only_rule(&text), &event), example.ours, "{id}");
            let theirs = Second::load(&text).unwrap().matches(&event);
            assert_eq!(theirs, Ok(example.ours), "{id}: instead");
        }
    }
}

#[test]
fn the_corpus_is_read_alike_but_for_known_deviations() {
    let mut tally = Tally::default();
    let files = group::files();
    for group in files.iter().flat_map(|file| &file.groups) {
        let Expected::Verdicts { laurel, events } = &group.expected else {
            continue;
        };
        for text in &group.texts {
            let loaded = load(group, text).unwrap();
            for rule in &loaded.rules {
                let own = opinion::document_at(text, rule.attributes.place.bytes.0);
                let Some(pair) = Pair::new(rule, own, &mut tally) else {
                    continue;
                };
                for judged in events {
                    if *laurel {
                        compare_views(&pair, &line(&judged.event), &mut tally);
                    } else {
                        let event = &judged.event.value;
                        pair.compare(event, holds(rule, event), &mut tally);
                    }
                }
            }
        }
    }
    tally.check("corpus", 700);
}

/// All views of a line that the rule sees.
fn compare_views(pair: &Pair<'_>, line: &Line<'_>, tally: &mut Tally) {
    let rule = Arc::new(pair.rule.clone());
    let mut explainer = Explainer::new(rule, Arc::new(Profile::laurel())).unwrap();
    for view in explainer.flat_views(line, &mut cache()).unwrap() {
        pair.compare(&view.fields, view.holds, tally);
    }
}

/// Generated rules, written as YAML as far as both engines have words for them.
#[test]
fn generated_rules_are_read_alike_but_for_known_deviations() {
    let mut tally = Tally::default();
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    };
    // A second; `PROPTEST_CASES` may ask for more.
    let rulesets = config.cases.max(1000);
    let mut runner = TestRunner::new(config);
    for _ in 0..rulesets {
        let case =
            (prop::sample::select(&KINDS[..]), pool()).prop_flat_map(|((kind, names), pool)| {
                let views = prop::collection::vec(view(kind, names, &pool), 8);
                (rules(kind, names, &pool), views)
            });
        let (rules, views) = case.new_tree(&mut runner).unwrap().current();
        for rule in &rules {
            let Some(text) = written(rule) else { continue };
            let rule = only_rule(&text);
            let Some(pair) = Pair::new(&rule, &text, &mut tally) else {
                continue;
            };
            for view in &views {
                let mut fields = Fields::default();
                let names = Names::resolve(&rule, view.kind, &mut fields);
                let (buffer, values) = lay_out(view, &mut fields);
                let subject = Subject {
                    kind: view.kind,
                    class: view.class,
                    values: &values,
                    node: 0,
                    source: &buffer,
                };
                // What is no UTF-8 has no place in its events.
                if values
                    .iter()
                    .any(|value| std::str::from_utf8(subject.raw(value)).is_err())
                {
                    continue;
                }
                let walk = Walk {
                    rule: &rule,
                    names: &names,
                    subject,
                    judge: &Slow::new(&rule),
                };
                pair.compare(&flattened(&subject, &fields), walk.matches(), &mut tally);
            }
        }
    }
    tally.check("generated", 9_000);
}

/// The rule's text, where it has one. What has no words is left out of it, so that the text is another rule.
fn written(rule: &Rule) -> Option<String> {
    let mut detection = Map::new();
    for selection in &rule.detection.selections {
        detection.insert(
            selection.name.to_string(),
            written_search(&selection.search)?,
        );
    }
    detection.insert(
        "condition".into(),
        written_condition(&rule.detection.condition).into(),
    );
    let source = &rule.logsource;
    let logsource = [
        ("product", &source.product),
        ("category", &source.category),
        ("service", &source.service),
    ];
    let logsource = logsource
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())));
    let logsource: Map<String, Value> = logsource.collect();
    Some(json!({"title": "rule", "logsource": logsource, "detection": detection}).to_string())
}

fn written_condition(condition: &Condition) -> String {
    let join = |parts: &[Condition], word: &str| {
        let parts: Vec<String> = parts.iter().map(written_condition).collect();
        format!("({})", parts.join(word))
    };
    match condition {
        Condition::Selection(index) => format!("sel{}", index.0),
        Condition::And(parts) => join(parts, " and "),
        Condition::Or(parts) => join(parts, " or "),
        Condition::Not(part) => format!("not {}", written_condition(part)),
    }
}

fn written_search(search: &Search) -> Option<Value> {
    let maps: Vec<&[Item]> = match search {
        Search::Map(items) => vec![items],
        Search::Any(searches) => {
            let maps = searches.iter().filter_map(|search| match search {
                Search::Map(items) => Some(&items[..]),
                Search::Any(_) => None,
            });
            maps.collect()
        }
    };
    if let [
        [
            Item {
                field: Field::Keywords,
                matchers,
                ..
            },
            ..,
        ],
    ] = &maps[..]
    {
        let is_word = |matcher: &&Matcher| {
            matches!(
                matcher,
                Matcher::Text(_) | Matcher::Number(_) | Matcher::Bool(_)
            )
        };
        let words: Vec<Matcher> = matchers.iter().filter(is_word).cloned().collect();
        let (modifiers, words) = written_values(&words)?;
        return modifiers.is_empty().then(|| words.into());
    }
    let written = |items: &&[Item]| {
        let named = items.iter().filter_map(written_item);
        let map: Map<String, Value> = named.collect();
        (!map.is_empty()).then(|| map.into())
    };
    let maps: Vec<Value> = maps.iter().filter_map(written).collect();
    (!maps.is_empty()).then(|| maps.into())
}

fn written_item(item: &Item) -> Option<(String, Value)> {
    let Field::Named(name) = &item.field else {
        return None;
    };
    let (modifiers, mut values) = written_values(&item.matchers)?;
    let all = item.quantifier == Quantifier::All && values.len() > 1;
    let all = if all { "|all" } else { "" };
    let value = if values.len() == 1 {
        values.remove(0)
    } else {
        values.into()
    };
    Some((format!("{name}{modifiers}{all}"), value))
}

/// Modifiers, and the values of those matchers that have the same as the first.
fn written_values(matchers: &[Matcher]) -> Option<(String, Vec<Value>)> {
    let written = |matcher: &Matcher| -> Option<(String, Value)> {
        Some(match matcher {
            Matcher::Text(pattern) => {
                let mut text = String::new();
                for part in &pattern.parts {
                    match part {
                        Part::Any => text.push('*'),
                        Part::One => text.push('?'),
                        Part::Text(part) => {
                            for c in std::str::from_utf8(part).ok()?.chars() {
                                if matches!(c, '*' | '?' | '\\') {
                                    text.push('\\');
                                }
                                text.push(c);
                            }
                        }
                    }
                }
                let modifiers = if pattern.cased { "|cased" } else { "" };
                (modifiers.into(), text.into())
            }
            Matcher::Regex(regex) if regex.source.contains("(?-u") => return None,
            Matcher::Regex(regex) => ("|re".into(), (*regex.source).into()),
            Matcher::Cidr(net) => ("|cidr".into(), net.to_string().into()),
            Matcher::Null => (String::new(), Value::Null),
            Matcher::Number(text) => (String::new(), serde_json::from_str(text).ok()?),
            Matcher::Bool(value) => (String::new(), (*value).into()),
            Matcher::Exists(value) => ("|exists".into(), (*value).into()),
            Matcher::Compare(Comparison::Gte, text) => {
                ("|gte".into(), serde_json::from_str(text).ok()?)
            }
            Matcher::FieldRef {
                field,
                prefix,
                suffix,
                cased,
            } => {
                let anchor = match (prefix, suffix) {
                    (true, true) => "|contains",
                    (true, false) => "|startswith",
                    (false, true) => "|endswith",
                    (false, false) => "",
                };
                let cased = if *cased { "|cased" } else { "" };
                (format!("|fieldref{anchor}{cased}"), (**field).into())
            }
            _ => return None,
        })
    };
    let mut written: Vec<(String, Value)> = matchers.iter().filter_map(written).collect();
    let modifiers = written.first()?.0.clone();
    written.retain(|(other, _)| *other == modifiers);
    if modifiers == "|exists" {
        written.truncate(1);
    }
    let values = written.into_iter().map(|(_, value)| value);
    Some((modifiers, values.collect()))
}

/// The folder of shared data, if it is there.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("PYTHIA_SHARED").map_or(beside, PathBuf::from);
    let found = shared.join("data/sigmahq").is_dir();
    if !found {
        eprintln!("skipped: there is no shared data at {}", shared.display());
    }
    found.then_some(shared)
}

#[expect(clippy::disallowed_methods, reason = "rules lie in files")]
fn rule_files(folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rule_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(SourceFile {
                name: path.display().to_string().into(),
                text: std::fs::read_to_string(&path).unwrap().into(),
            });
        }
    }
}

/// Lines that each rule is compared on beside those that it matches.
const LINES: usize = 100;
/// Lines that a rule matches, of which so many are compared.
const MATCHING: usize = 10;

#[test]
#[expect(clippy::disallowed_methods, reason = "events lie in files")]
fn the_rules_of_sigmahq_are_read_alike_but_for_known_deviations() {
    let Some(shared) = shared() else { return };
    let mut files = Vec::new();
    rule_files(&shared.join("data/sigmahq/rules/linux"), &mut files);
    let packed = std::fs::read(shared.join("data/laurel/live-a.jsonl.zst")).unwrap();
    let text = zstd::decode_all(&packed[..]).unwrap();
    let lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let line = |number: usize| Line {
        bytes: lines[number],
        origin: event::Origin {
            host: Some(b"live"),
            ..event::Origin::default()
        },
        source: Source::File {
            file: "live",
            line: 1,
        },
    };
    let plan = Arc::new(Plan::compile_with(sigma::load(&files).rules, Options::ALL).plan);
    let mut detector = crate::Detector::new(Arc::clone(&plan), Arc::new(Profile::laurel()));
    let mut matching: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut processes = cache();
    for number in 0..lines.len() {
        for rule in detector.matching(&line(number), &mut processes).unwrap() {
            matching.entry(rule.0).or_default().push(number);
        }
    }
    let mut tally = Tally::default();
    for (number, rule) in (0..).zip(plan.rules()) {
        let place = &rule.attributes.place;
        let file = files.iter().find(|file| file.name == place.file).unwrap();
        let Some(pair) = Pair::new(rule, &file.text, &mut tally) else {
            continue;
        };
        let mut explainer = Explainer::new(Arc::clone(rule), Arc::new(Profile::laurel())).unwrap();
        let found = matching.get(&number).into_iter().flatten().copied();
        let every = (0..lines.len()).step_by(lines.len() / LINES);
        for number in found.take(MATCHING).chain(every) {
            for view in explainer.flat_views(&line(number), &mut cache()).unwrap() {
                pair.compare(&view.fields, view.holds, &mut tally);
            }
        }
    }
    tally.check("SigmaHQ", 10_000);
}
