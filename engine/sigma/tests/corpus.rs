//! Every rule of the public `SigmaHQ` corpus loads, where the corpus is at hand.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use sigma::{Diagnostic, Loaded, Severity, SourceFile, load};

/// The folder of shared data: `PYTHIA_SHARED`, or `shared` beside the repository.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PYTHIA_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    Some(root.join(path)).filter(|path| path.exists())
}

fn read_files(folder: &Path, files: &mut Vec<SourceFile>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            let name = path.to_string_lossy().into();
            files.push(SourceFile {
                name,
                text: std::fs::read_to_string(&path).unwrap().into(),
            });
        }
    }
}

/// The folders of the corpus, or `None`, said aloud, where there are none.
fn load_folders(folders: &[&str]) -> Option<(usize, Loaded)> {
    let Some(corpus) = shared("data/sigmahq") else {
        println!("skipped: the SigmaHQ corpus is not at hand");
        return None;
    };
    let mut files = Vec::new();
    for folder in folders {
        read_files(&corpus.join(folder), &mut files);
    }
    let start = Instant::now();
    let loaded = load(&files);
    println!("{} files loaded in {:?}", files.len(), start.elapsed());
    Some((files.len(), loaded))
}

#[test]
fn every_active_rule_loads_but_those_with_placeholders() {
    let folders = ["rules", "rules-threat-hunting", "rules-emerging-threats"];
    let Some((files, loaded)) = load_folders(&folders) else {
        return;
    };
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .collect();
    // Two rules for CVE-2026-54121 leave it to the reader to say which domain controllers there are.
    let is_expected =
        |error: &Diagnostic| error.code == "R040" && error.message.contains("%known_cdcs%");
    assert!(errors.iter().all(|error| is_expected(error)), "{errors:#?}");
    assert!(files > 3_000);
    assert_eq!(loaded.rules.len(), files - errors.len());
}

#[test]
fn a_rule_with_an_unresolved_placeholder_is_rejected_by_name() {
    let Some((files, loaded)) = load_folders(&["rules-placeholder"]) else {
        return;
    };
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .collect();
    assert!(files > 0 && loaded.rules.is_empty());
    for error in errors {
        assert_eq!(error.code, "R040", "{error:#?}");
        assert!(
            error.message.contains('%') && error.rule.is_some(),
            "{error:#?}"
        );
    }
}
