//! The rules of `SigmaHQ` for Linux, where the shared data lies beside the repository; the tests pass without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use detect::{Compiled, Plan};
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
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
}
