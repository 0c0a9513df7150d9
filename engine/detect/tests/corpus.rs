//! The rules of `SigmaHQ` for Linux, where the shared data lies beside the repository; the tests pass without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use detect::{Alert, Compiled, Detector, Line, Options, Plan, Reference, Source};
use event::{Origin, ProcessCache, Profile};
use sigma::SourceFile;

/// The folder of shared data: `PYTHIA_SHARED`, or `shared` beside the repository.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("PYTHIA_SHARED").map_or(beside, PathBuf::from);
    let found = folder.join("data").is_dir();
    if !found {
        eprintln!("skipped: there is no shared data at {}", folder.display());
    }
    found.then_some(folder)
}

/// Every rule file of the three folders of rules that are meant to run.
fn rule_files(shared: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for folder in ["rules", "rules-threat-hunting", "rules-emerging-threats"] {
        collect(&shared.join("data/sigmahq").join(folder), &mut files);
    }
    files.sort_by(|a: &SourceFile, b| a.name.cmp(&b.name));
    files
}

fn collect(folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            let text: Arc<str> = std::fs::read_to_string(&path).unwrap().into();
            files.push(SourceFile {
                name: path.display().to_string().into(),
                text,
            });
        }
    }
}

fn linux(shared: &Path) -> Vec<sigma::Rule> {
    let rules = sigma::load(&rule_files(shared)).rules;
    rules
        .into_iter()
        .filter(|rule| rule.logsource.product.as_deref() == Some("linux"))
        .collect()
}

/// Counts of `laurel.md` 3.6: 248 rules, 221 of them on audit data, 218 of which can match.
#[test]
fn every_linux_rule_runs_or_says_why_not() {
    let Some(shared) = shared() else { return };
    let rules = linux(&shared);
    assert_eq!(rules.len(), 248);
    let Compiled {
        plan,
        not_running,
        diagnostics,
    } = Plan::compile(rules);
    assert_eq!(plan.rules().len(), 218);
    assert_eq!(not_running.iter().filter(|rule| !rule.routed).count(), 27);
    let never: Vec<_> = not_running.iter().filter(|rule| rule.routed).collect();
    assert_eq!(never.len(), 3);
    for rule in never {
        assert!(
            rule.reason.contains("`DestinationHostname`"),
            "{}: {}",
            rule.rule.title,
            rule.reason
        );
    }
    let [costly] = &diagnostics[..] else {
        panic!("{diagnostics:#?}")
    };
    // `[^/]{100,}$`: nothing fixed stands in it.
    assert_eq!(costly.code, "P002");
    let name = "file_event_lnx_susp_long_filename_pattern.yml";
    assert!(costly.place.file.ends_with(name), "{costly:#?}");
}

fn live(shared: &Path) -> Vec<u8> {
    let packed = std::fs::read(shared.join("data/laurel/live-a.jsonl.zst")).unwrap();
    zstd::decode_all(&packed[..]).unwrap()
}

/// One line of a recorded file of one host.
fn line(bytes: &[u8], number: u64) -> Line<'_> {
    let origin = Origin {
        host: Some(b"live"),
        ..Origin::default()
    };
    Line {
        bytes,
        origin,
        source: Source::File {
            file: "live",
            line: number,
        },
    }
}

fn cache() -> ProcessCache {
    ProcessCache::new(256 << 20, 24 * 3_600_000)
}

/// All rules on 23,830 recorded events, rule by rule, with every optimisation on and off.
#[test]
fn the_plan_finds_on_recorded_events_what_the_reference_finds() {
    let Some(shared) = shared() else { return };
    let text = live(&shared);
    let rules = linux(&shared);
    let profile = Arc::new(Profile::laurel());
    let plans = Options::variants()
        .map(|options| Arc::new(Plan::compile_with(rules.clone(), options).plan));
    let mut reference = (
        Reference::new(Arc::clone(&plans[0]), Arc::clone(&profile)),
        cache(),
    );
    let mut detectors = plans.map(|plan| (Detector::new(plan, Arc::clone(&profile)), cache()));
    let plan = Arc::clone(detectors[0].0.plan());
    let (mut events, mut matches) = (0, 0);
    for (number, bytes) in (1..).zip(
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty()),
    ) {
        let line = line(bytes, number);
        let expected = reference.0.run(&line, &mut reference.1).unwrap();
        let mut expected: Vec<&str> = expected.iter().map(|rule| plan.rule(*rule).key()).collect();
        expected.sort_unstable();
        for (detector, cache) in &mut detectors {
            let mut alerts = Vec::new();
            detector.run(&line, cache, &mut alerts).unwrap();
            let mut found: Vec<&str> = alerts.iter().map(Alert::rule_key).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "line {number}");
        }
        events += 1;
        matches += expected.len();
    }
    assert_eq!(events, 23_830);
    // An independent reading of the same rules and events, rule by rule: `tests/oracle/slow_check.py`.
    assert_eq!(matches, 2927);
}

/// Every other recording: four versions of Laurel, four configurations, other people's events.
#[test]
fn the_plan_agrees_with_the_reference_on_every_version_and_configuration() {
    let Some(shared) = shared() else { return };
    let profile = Arc::new(Profile::laurel());
    let plan = Arc::new(Plan::compile(linux(&shared)).plan);
    let (mut events, mut matches) = (0, 0);
    for folder in ["", "versions", "configs", "third-party"] {
        for entry in std::fs::read_dir(shared.join("data/laurel").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let text = match std::fs::read(&path) {
                Ok(bytes) if name.ends_with(".jsonl.zst") && name != "live-a.jsonl.zst" => {
                    zstd::decode_all(&bytes[..]).unwrap()
                }
                Ok(bytes)
                    if path
                        .extension()
                        .is_some_and(|extension| extension == "jsonl") =>
                {
                    bytes
                }
                _ => continue,
            };
            let mut reference = (
                Reference::new(Arc::clone(&plan), Arc::clone(&profile)),
                cache(),
            );
            let mut detector = (
                Detector::new(Arc::clone(&plan), Arc::clone(&profile)),
                cache(),
            );
            for (number, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
                let line = line(bytes, number);
                let expected = reference.0.run(&line, &mut reference.1);
                let found = detector.0.matching(&line, &mut detector.1);
                assert_eq!(found, expected, "{name} line {number}");
                events += usize::from(found.is_ok());
                matches += found.map_or(0, |rules| rules.len());
            }
        }
    }
    assert!(
        events > 5000 && matches > 500,
        "{events} events, {matches} matches"
    );
}
