//! The rules of `SigmaHQ` for Linux, where the shared data lies beside the repository; the tests pass without it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use detect::{Alert, Compiled, Detector, Line, Options, Plan, Reference, Source};
use event::{Fault, Origin, ProcessCache, Profile};
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
        ..
    } = Plan::compile(rules);
    assert_eq!(plan.rules().len(), 218);
    assert_eq!(not_running.iter().filter(|rule| !rule.routed).count(), 27);
    let never: Vec<_> = not_running.iter().filter(|rule| rule.routed).collect();
    assert_eq!(never.len(), 3);
    for rule in never {
        assert!(
            rule.reason.contains("`DestinationHostname`"),
            "{}: {}",
            rule.rule.attributes.title,
            rule.reason
        );
    }
    // Programs of Linux that are named as those of Windows are: `\bash`, `\node`.
    let impossible = diagnostics.iter().filter(|told| told.code == "P004");
    assert_eq!(impossible.count(), 2);
    let unfed = diagnostics.iter().filter(|told| told.code == "P001");
    assert_eq!(unfed.count(), 3);
    let costly: Vec<_> = diagnostics
        .iter()
        .filter(|told| !matches!(told.code, "P001" | "P004"))
        .collect();
    let [costly] = costly[..] else {
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

/// The lines of a file.
fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let lines = text.split(|byte| *byte == b'\n');
    let numbered = (1..).zip(lines).filter(|(_, bytes)| !bytes.is_empty());
    numbered.map(|(number, bytes)| line(bytes, number))
}

fn detector(rules: Vec<sigma::Rule>, options: Options) -> Detector {
    let plan = Plan::compile_with(rules, options).plan;
    Detector::new(Arc::new(plan), Arc::new(Profile::laurel()))
}

/// The keys of rules that match a line.
fn found<'d>(
    detector: &'d mut Detector,
    line: &Line<'_>,
    cache: &mut ProcessCache,
) -> Result<BTreeSet<&'d str>, Fault> {
    let rules = detector.matching(line, cache)?;
    let plan = detector.plan();
    Ok(rules
        .iter()
        .map(|rule| plan.rule(*rule).attributes.key())
        .collect())
}

/// All rules on 23,830 recorded events, rule by rule, with every optimisation on and off.
#[test]
fn the_plan_finds_on_recorded_events_what_the_reference_finds() {
    let Some(shared) = shared() else { return };
    let text = live(&shared);
    let rules = linux(&shared);
    let mut reference = Reference::new(rules.clone(), Arc::new(Profile::laurel()));
    let mut known = cache();
    let variants = Options::variants();
    let mut detectors = variants.map(|options| (detector(rules.clone(), options), cache()));
    let (mut events, mut matches) = (0, 0);
    for line in lines(&text) {
        let expected = reference.run(&line, &mut known).unwrap();
        for (detector, cache) in &mut detectors {
            let mut alerts = Vec::new();
            detector.run(&line, cache, &mut alerts).unwrap();
            let mut found: Vec<&str> = alerts.iter().map(Alert::rule_key).collect();
            found.sort_unstable();
            assert!(
                found.iter().eq(&expected),
                "{:?}: {found:?} {expected:?}",
                line.source
            );
        }
        events += 1;
        matches += expected.len();
    }
    assert_eq!(events, 23_830);
    // An independent reading of the same rules and events, rule by rule: `tests/oracle/slow_check.py`.
    assert_eq!(matches, 2927);
}

/// Every other recording, by name: four versions of Laurel, four configurations, other people's events.
fn other_recordings(shared: &Path) -> Vec<(String, Vec<u8>)> {
    let mut recordings = Vec::new();
    for folder in ["", "versions", "configs", "third-party"] {
        for entry in std::fs::read_dir(shared.join("data/laurel").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == "live-a.jsonl.zst" {
                continue;
            }
            if name.ends_with(".jsonl.zst") {
                let bytes = std::fs::read(&path).unwrap();
                recordings.push((name.into_owned(), zstd::decode_all(&bytes[..]).unwrap()));
            } else if name.ends_with(".jsonl") {
                recordings.push((name.into_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    recordings
}

#[test]
fn the_plan_agrees_with_the_reference_on_every_version_and_configuration() {
    let Some(shared) = shared() else { return };
    let rules = linux(&shared);
    let (mut events, mut matches) = (0, 0);
    for (name, text) in other_recordings(&shared) {
        let mut reference = Reference::new(rules.clone(), Arc::new(Profile::laurel()));
        let mut detector = detector(rules.clone(), Options::ALL);
        let mut caches = (cache(), cache());
        for line in lines(&text) {
            let expected = reference.run(&line, &mut caches.0);
            let found = found(&mut detector, &line, &mut caches.1);
            assert_eq!(found, expected, "{name} {:?}", line.source);
            events += usize::from(found.is_ok());
            matches += found.map_or(0, |rules| rules.len());
        }
    }
    assert!(
        events > 5000 && matches > 500,
        "{events} events, {matches} matches"
    );
}

/// Of each line of each recording: its alerts as they are written, or why there are none.
type Judged = Vec<Vec<Result<Vec<String>, Fault>>>;

fn judged(detector: &mut Detector, recordings: &[(String, Vec<u8>)]) -> Judged {
    let mut of_line = |line: &Line<'_>, cache: &mut ProcessCache| {
        let mut alerts = Vec::new();
        detector.run(line, cache, &mut alerts)?;
        let texts = alerts.iter().map(serde_json::to_string);
        Ok(texts.map(|text| text.expect("an alert is JSON")).collect())
    };
    let recordings = recordings.iter().map(|(_, text)| {
        let mut known = cache();
        let lines = lines(text).map(|line| of_line(&line, &mut known));
        lines.collect()
    });
    recordings.collect()
}

/// The alerts of all recordings are the same, byte for byte, under each of these options as under `Options::ALL`.
fn agree(shared: &Path, recordings: &[(String, Vec<u8>)], variants: &[Options]) {
    let rules = linux(shared);
    let expected = judged(&mut detector(rules.clone(), Options::ALL), recordings);
    let alerts = expected.iter().flatten().flatten().flatten().count();
    assert!(alerts > 500, "{alerts} alerts");
    for options in variants {
        let found = judged(&mut detector(rules.clone(), *options), recordings);
        for ((name, _), (found, expected)) in recordings.iter().zip(found.iter().zip(&expected)) {
            for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_eq!(
                    found, expected,
                    "{name}, line with content {n}, {options:?}"
                );
            }
            assert_eq!(found.len(), expected.len(), "{name} {options:?}");
        }
    }
}

#[test]
fn no_optimisation_changes_an_alert_of_any_version_or_configuration() {
    let Some(shared) = shared() else { return };
    agree(&shared, &other_recordings(&shared), &Options::variants());
}

/// Two optimisations may be right alone and wrong together.
#[test]
#[ignore = "takes a minute: by hand, after work on an optimisation"]
fn no_combination_of_optimisations_changes_an_alert() {
    let Some(shared) = shared() else { return };
    let mut recordings = other_recordings(&shared);
    // Laurel's own; those of third parties are not packed.
    recordings.retain(|(name, _)| name.ends_with(".jsonl.zst"));
    let combinations: Vec<Options> = (0..1_u32 << Options::NAMES.len())
        .map(|off| {
            let names = Options::NAMES.iter().enumerate();
            let off = names.filter(|(bit, _)| off >> bit & 1 == 1);
            off.fold(Options::ALL, |options, (_, name)| {
                options.without(name).expect("it is of `NAMES`")
            })
        })
        .collect();
    assert_eq!(combinations.len(), 128);
    agree(&shared, &recordings, &combinations);
}

/// A plan extracts what its rules read and leaves out the rest: so each rule alone, where most is left out.
#[test]
fn each_rule_alone_finds_what_the_reference_finds() {
    let Some(shared) = shared() else { return };
    let rules = linux(&shared);
    for (name, text) in other_recordings(&shared) {
        let mut reference = Reference::new(rules.clone(), Arc::new(Profile::laurel()));
        let mut known = cache();
        let expected: Vec<Result<BTreeSet<String>, Fault>> = lines(&text)
            .map(|line| {
                let found = reference.run(&line, &mut known)?;
                Ok(found.into_iter().map(str::to_owned).collect())
            })
            .collect();
        for rule in &rules {
            let mut detector = detector(vec![rule.clone()], Options::ALL);
            let mut known = cache();
            for (line, expected) in lines(&text).zip(&expected) {
                let found = found(&mut detector, &line, &mut known);
                let found = found.map(|rules| !rules.is_empty());
                let expected = expected
                    .as_ref()
                    .map(|rules| rules.contains(rule.attributes.key()));
                assert_eq!(
                    found,
                    expected.map_err(|fault| *fault),
                    "{name} {:?} {}",
                    line.source,
                    rule.attributes.key()
                );
            }
        }
    }
}
