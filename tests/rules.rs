//! The starter rules keep their word: each loads without a remark, runs, has its text complete and its
//! cases beside it, and each case holds. On the recorded events the engine finds what a slow check in
//! another language finds.

mod index;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use detect::{Alert, CorrelationLimits, Correlator, Detector, Line, Options, Plan, Source};
use event::{Origin, ProcessCache, Profile};
use expect_test::expect_file;
use serde_json::Value;
use sigma::{
    Attributes, Case, Correlation, CorrelationSource, Expect, Fixture, Rule, SourceFile,
    SourceTarget,
};

use crate::cli;

use index::Entry;

/// Alerts on more of the recorded events than this, and analysts switch rules off. Attacks lie closer together on the
/// short recording, which is a part of the long one.
const EVENTS_WITH_ALERTS_PERCENT_MAX: usize = 1;
const EVENTS_WITH_ALERTS_PERCENT_MAX_SHORT: usize = 2;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where public rules and longer recordings lie, if they do.
fn shared() -> PathBuf {
    let named = std::env::var_os("PYTHIA_SHARED").map(PathBuf::from);
    named.unwrap_or_else(|| root().join("../shared"))
}

/// Files below a folder that end in `.yml`, sorted.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of rules") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn is_fixture(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".test.yml")
}

fn source(path: &Path) -> SourceFile {
    let text = std::fs::read_to_string(path).expect("a readable file");
    SourceFile {
        name: path.to_string_lossy().into(),
        text: text.into(),
    }
}

/// Path below `rules/` and rule, one each.
pub(crate) fn starter_rules() -> Vec<(PathBuf, Rule)> {
    let rules = Pack::load().rules.into_iter();
    rules.map(|rule| (below(&rule.attributes), rule)).collect()
}

/// The starter rules and correlations, as one load gives them.
struct Pack {
    rules: Vec<Rule>,
    correlations: Vec<Correlation>,
}

impl Pack {
    /// All of them, each in a file of its own, without a remark.
    fn load() -> Self {
        let paths = yaml_files(&root().join("rules"));
        let paths = paths.iter().filter(|p| !is_fixture(p));
        let files: Vec<SourceFile> = paths.map(|path| source(path)).collect();
        let loaded = sigma::load(&files);
        assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
        let pack = Self {
            rules: loaded.rules,
            correlations: loaded.correlations,
        };
        let named: BTreeSet<PathBuf> = pack.all().into_iter().map(|(path, _)| path).collect();
        let all = pack.rules.len() + pack.correlations.len();
        assert_eq!((named.len(), all), (files.len(), files.len()));
        pack
    }

    /// Path below `rules/` and attributes of each rule and each correlation.
    fn all(&self) -> Vec<(PathBuf, &Attributes)> {
        let rules = self.rules.iter().map(|rule| &rule.attributes);
        let correlations = self.correlations.iter().map(|one| &one.attributes);
        let all = rules.chain(correlations);
        all.map(|attributes| (below(attributes), attributes))
            .collect()
    }

    /// A detector of these, all of which must run.
    fn detector(&self) -> Detector {
        let (rules, correlations) = (self.rules.clone(), self.correlations.clone());
        let compiled = Plan::compile_all(rules, correlations, Options::ALL);
        let rules = compiled.not_running.iter();
        let rules = rules.map(|n| format!("{}: {}", n.rule.attributes.title, n.reason));
        let correlations = compiled.correlations_not_running.iter();
        let correlations =
            correlations.map(|(one, reason)| format!("{}: {reason}", one.attributes.title));
        let reasons: Vec<String> = rules.chain(correlations).collect();
        assert_eq!(reasons, Vec::<String>::new());
        assert!(
            compiled.diagnostics.is_empty(),
            "{:#?}",
            compiled.diagnostics
        );
        Detector::new(Arc::new(compiled.plan), Arc::new(Profile::laurel()))
    }
}

/// Its file's path below `rules/`.
fn below(attributes: &Attributes) -> PathBuf {
    let path = Path::new(&*attributes.place.file);
    let folder = root().join("rules");
    path.strip_prefix(folder).expect("below rules/").to_owned()
}

/// The alerts of some lines of one host, in order, each with the number of its line from 0; those of correlations stand
/// behind the last line, without a number.
fn alerts(
    detector: &mut Detector,
    lines: &[u8],
    host: Option<&str>,
) -> Vec<(Option<usize>, Alert)> {
    let correlations = Arc::clone(detector.plan().correlations());
    let mut correlator = Correlator::new(correlations, CorrelationLimits::USUAL);
    let mut cache = ProcessCache::new(256 << 20, 24 * 3_600_000);
    let mut found = Vec::new();
    let lines = lines.split(|b| *b == b'\n').enumerate();
    for (number, bytes) in lines.filter(|(_, bytes)| !bytes.is_empty()) {
        let line = Line {
            bytes,
            origin: Origin {
                host: host.map(str::as_bytes),
                scope: Some(b"test"),
            },
            source: Source::File {
                file: "test",
                line: number as u64 + 1,
            },
        };
        let mut alerts = Vec::new();
        detector
            .run(&line, &mut cache, &mut alerts)
            .unwrap_or_else(|fault| panic!("line {number}: {}", fault.code()));
        correlator.observe(detector.hits());
        found.extend(alerts.into_iter().map(|alert| (Some(number), alert)));
    }
    let mut fired = Vec::new();
    correlator.finish(&mut fired);
    let plan = detector.plan();
    found.extend(
        fired
            .iter()
            .map(|fired| (None, plan.correlation_alert(fired))),
    );
    found
}

pub(crate) fn read_lines(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_some_and(|e| e == "zst") {
        zstd::decode_all(&bytes[..]).expect("zstd")
    } else {
        bytes
    }
}

#[test]
fn every_case_of_every_starter_rule_holds() {
    let ran = cli::run(&["test", "--require-fixtures", "--output", "json", "rules"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let report: Value = serde_json::from_str(&ran.out).expect("one document");
    let files = Pack::load().all().len() as u64;
    assert!(
        report["totals"]["cases"].as_u64() > Some(2 * files),
        "{report}"
    );
}

#[test]
fn every_starter_rule_has_an_alert_and_a_near_miss() {
    let pack = Pack::load();
    let correlations: BTreeSet<PathBuf> = pack
        .correlations
        .iter()
        .map(|one| below(&one.attributes))
        .collect();
    for (below, _) in pack.all() {
        let path = root().join("rules").join(&below).with_extension("test.yml");
        let fixture = Fixture::read(&source(&path));
        let silent = |case: &&Case| case.expect == Expect::Silent;
        let near_misses = fixture.cases.iter().filter(silent).count();
        let alerts = fixture.cases.len() - near_misses;
        // Too few or too late, another group, another order.
        let least = if correlations.contains(&below) { 3 } else { 1 };
        let at = path.display();
        assert!(
            near_misses >= least && alerts > 0,
            "{at}: {alerts} alert, {near_misses} silent"
        );
    }
}

#[test]
fn every_starter_rule_tells_an_analyst_what_it_is() {
    let mut ids = BTreeMap::new();
    for (path, attributes) in Pack::load().all() {
        let at = path.display();
        let id = attributes.id.as_deref().expect("an id");
        let is_v4 =
            id.len() == 36 && id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]);
        assert!(is_v4, "{at}: {id} is no version 4 UUID");
        assert_eq!(
            ids.insert(id.to_owned(), path.clone()),
            None,
            "{at}: {id} twice"
        );
        assert!(
            attributes.level.is_some() && attributes.status.is_some(),
            "{at}: level and status"
        );
        assert!(
            attributes.author.is_some() && attributes.date.is_some(),
            "{at}: author and date"
        );
        let description = attributes.description.as_ref();
        assert!(
            description.is_some_and(|d| d.len() > 60),
            "{at}: description"
        );
        assert!(!attributes.references.is_empty(), "{at}: references");
        assert!(
            !attributes.falsepositives.is_empty(),
            "{at}: falsepositives"
        );
        let technique = |tag: &String| tag.starts_with("attack.t1");
        assert!(
            attributes.tags.iter().any(technique),
            "{at}: an ATT&CK technique"
        );
        assert!(
            attributes.tags.iter().any(|t| !technique(t)),
            "{at}: an ATT&CK tactic"
        );
    }
}

#[test]
fn starter_correlations_run_in_the_service() {
    let compiled = cli::run(&["check", "--rules", "rules", "--output", "json"]);
    let report: Value = serde_json::from_str(&compiled.out).expect("one document");
    let correlations = report["correlations"].as_array().expect("a list");
    assert!(correlations.len() >= 8, "{correlations:#?}");
    let idle = correlations.iter().filter(|one| one["running"] != true);
    assert_eq!(idle.collect::<Vec<_>>(), Vec::<&Value>::new());
    // The service leaves out what is not grouped by host.
    for one in Pack::load().correlations {
        let by_host = one.group_by.iter().any(|field| &**field == "host");
        assert!(by_host, "{}", one.attributes.title);
    }
}

/// Alerts by key of their rule or correlation, and the number of events with any. The alert of a correlation counts as
/// an event more.
fn alerts_by_rule(pack: &Pack, lines: &[u8]) -> (BTreeMap<String, usize>, usize) {
    let mut detector = pack.detector();
    let mut counts = BTreeMap::new();
    let mut events = BTreeSet::new();
    let mut of_correlations = 0;
    for (number, alert) in alerts(&mut detector, lines, Some("recorded")) {
        *counts.entry(alert.rule_key().to_owned()).or_default() += 1;
        match number {
            Some(number) => {
                events.insert(number);
            }
            None => of_correlations += 1,
        }
    }
    (counts, events.len() + of_correlations)
}

fn entries(pack: &Pack, counts: &BTreeMap<String, usize>) -> Vec<Entry> {
    let alerts = |attributes: &Attributes| {
        let count = counts.get(attributes.key()).copied();
        count.unwrap_or_default()
    };
    let path = |attributes: &Attributes| below(attributes).to_string_lossy().replace('\\', "/");
    let rules = pack.rules.iter().map(|rule| {
        let of = &rule.attributes;
        Entry::new(&path(of), rule, alerts(of))
    });
    let correlations = pack.correlations.iter().map(|one| {
        let of = &one.attributes;
        let read = |source: &CorrelationSource| match source.target {
            SourceTarget::Rule(rule) => path(&pack.rules[rule].attributes),
            SourceTarget::Correlation(inner) => path(&pack.correlations[inner].attributes),
        };
        let reads = one.sources.iter().map(read).collect();
        Entry::of_correlation(&path(of), one, reads, alerts(of))
    });
    let mut all: Vec<Entry> = rules.chain(correlations).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn count_lines(lines: &[u8]) -> usize {
    let lines = lines.split(|b| *b == b'\n');
    lines.filter(|line| !line.is_empty()).count()
}

#[test]
fn the_index_of_the_starter_rules_is_fresh() {
    let pack = Pack::load();
    let fleet = read_lines(&root().join("tests/data/fleet.jsonl.zst"));
    let (counts, events) = alerts_by_rule(&pack, &fleet);
    let page = index::page(&entries(&pack, &counts), count_lines(&fleet), events);
    expect_file![root().join("rules/INDEX.md")].assert_eq(&page);
}

#[test]
fn tags_of_starter_rules_agree_with_attack() {
    let faults = index::faults(&entries(&Pack::load(), &BTreeMap::new()));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn starter_rules_are_quiet_on_a_busy_host() {
    let pack = Pack::load();
    let short = root().join("tests/data/fleet.jsonl.zst");
    let long = shared().join("data/laurel/live-a.jsonl.zst");
    let mut recordings = vec![(short, EVENTS_WITH_ALERTS_PERCENT_MAX_SHORT)];
    recordings.extend(
        long.is_file()
            .then_some((long, EVENTS_WITH_ALERTS_PERCENT_MAX)),
    );
    for (recording, percent_max) in recordings {
        let at = recording.display();
        let lines = read_lines(&recording);
        let (counts, events) = alerts_by_rule(&pack, &lines);
        assert!(
            counts.len() >= 10,
            "{at}: the recorded attacks are seen: {counts:#?}"
        );
        let of_correlations = pack.correlations.iter();
        let seen = of_correlations.filter(|one| counts.contains_key(one.attributes.key()));
        assert!(seen.count() > 0, "{at}: correlations see them too");
        let events_max = count_lines(&lines) * percent_max / 100;
        assert!(events <= events_max, "{at}: alerts on {events} events");
        for (below, attributes) in pack.all() {
            let count = counts.get(attributes.key()).copied().unwrap_or_default();
            let path = below.to_string_lossy();
            let is_justified = index::JUSTIFIED.iter().any(|(of, _)| *of == path);
            assert!(
                count <= index::ALERTS_PER_RULE_MAX || is_justified,
                "{at}: {path}: {count} alerts"
            );
        }
    }
}

#[test]
fn the_engine_finds_what_a_slow_check_finds() {
    let python = Command::new("python3").args(["-c", "import yaml"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs Python 3 with PyYAML"
        );
        eprintln!("skipped: needs Python 3 with PyYAML");
        return;
    }
    let corpus = shared().join("data/sigmahq");
    let mut folders = vec![root().join("rules")];
    let public = ["rules", "rules-threat-hunting", "rules-emerging-threats"];
    folders.extend(
        public
            .map(|f| corpus.join(f))
            .into_iter()
            .filter(|f| f.is_dir()),
    );

    let files: Vec<SourceFile> = folders
        .iter()
        .flat_map(|folder| yaml_files(folder))
        .filter(|path| !is_fixture(path))
        .map(|path| source(&path))
        .collect();
    let mut rules = sigma::load(&files).rules;
    rules.retain(|rule| rule.logsource.product.as_deref() == Some("linux"));
    // It knows no correlations: what only feeds them is matched like any other.
    for rule in &mut rules {
        rule.alerts = true;
    }
    let plan = Arc::new(Plan::compile(rules).plan);
    let mut detector = Detector::new(plan, Arc::new(Profile::laurel()));

    for name in ["fleet.jsonl.zst", "container.jsonl.zst"] {
        let data = root().join("tests/data").join(name);
        let mut engine = BTreeMap::<String, Vec<usize>>::new();
        for (number, alert) in alerts(&mut detector, &read_lines(&data), None) {
            engine
                .entry(alert.rule_key().to_owned())
                .or_default()
                .extend(number);
        }
        assert_eq!(engine, slow_check(&folders, &data), "{name}");
    }
}

/// Rule id and the numbers of the lines it matches, of rules that match any.
fn slow_check(folders: &[PathBuf], data: &Path) -> BTreeMap<String, Vec<usize>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("result.json");
    let mut command = Command::new("python3");
    command
        .arg(root().join("tests/oracle/slow_check.py"))
        .arg("--quiet")
        .arg("--json")
        .arg(&json);
    for folder in folders {
        command.arg("--rules").arg(folder);
    }
    // Plain lines, so that the check needs no program to decompress.
    let plain = folder.path().join("lines.jsonl");
    std::fs::write(&plain, read_lines(data)).expect("a temporary file");
    let output = command.arg(&plain).output().expect("python3 runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let result: Value =
        serde_json::from_slice(&std::fs::read(&json).expect("a result")).expect("JSON");
    let hits = result["hits"].as_object().expect("`hits` is a map");
    let numbers = |lines: &Value| -> Vec<usize> {
        serde_json::from_value(lines.clone()).expect("a list of line numbers")
    };
    let found = hits
        .iter()
        .map(|(rule, lines)| (rule.clone(), numbers(lines)));
    found.filter(|(_, lines)| !lines.is_empty()).collect()
}
