//! Borders and tidiness of the repository, held by a test: which crate may know which, which files
//! must stand beside which. A failure says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crate of this workspace, and the crates of this workspace that it may know.
const LAYERS: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("sigma", &[]),
    ("detect", &["event", "sigma"]),
    ("stream", &["detect", "event"]),
    ("console", &["sigma"]),
    ("opinion", &["sigma"]),
    (
        "pythia",
        &["console", "detect", "event", "opinion", "sigma", "stream"],
    ),
];

/// Third-party crate that stands for an outside world, and the only crate that may depend on it.
const WORLDS: &[(&str, &str)] = &[
    ("rdkafka", "stream"),
    ("prometheus", "stream"),
    ("axum", "stream"),
    ("sonic-rs", "event"),
    ("wide", "event"),
    ("saphyr-parser", "sigma"),
    ("aho-corasick", "detect"),
    ("sigma-rust", "opinion"),
    ("config", "console"),
    ("indicatif", "console"),
    ("annotate-snippets", "console"),
    ("comfy-table", "console"),
    ("tracing-subscriber", "console"),
    ("clap", "pythia"),
    ("anyhow", "pythia"),
];

/// Crates without I/O, clock, threads or environment.
const PURE: &[&str] = &["event", "sigma", "detect", "opinion"];

/// Licences that may be linked into a binary under Apache-2.0.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "LLVM-exception",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Normal (not dev, not build) dependencies of each workspace crate.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let names = package["dependencies"].as_array().expect("dependencies");
            let normal = names.iter().filter(|d| d["kind"].is_null());
            let names = normal.map(|d| text(&d["name"])).collect();
            (text(&package["name"]), names)
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Files of the repository that git tracks or would track, relative to its root.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(root())
        .output()
        .expect("git runs");
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let paths = names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from);
    paths.filter(|path| root().join(path).is_file()).collect()
}

fn with_extension(extension: &str) -> Vec<PathBuf> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn layers_hold() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = LAYERS.iter().map(|layer| layer.0).collect();
    for (name, uses) in &dependencies {
        let allowed = LAYERS.iter().find(|layer| layer.0 == name);
        let (_, allowed) = allowed.unwrap_or_else(|| {
            panic!("crate {name} has no line in LAYERS: add it and to ARCHITECTURE.md")
        });
        for used in uses.iter().filter(|used| ours.contains(used.as_str())) {
            assert!(
                allowed.contains(&used.as_str()),
                "{name} must not know {used}: see the layer table in ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn each_outside_world_has_one_crate() {
    let dependencies = dependencies();
    for (world, owner) in WORLDS {
        for (name, uses) in &dependencies {
            assert!(
                !uses.contains(*world) || name == owner,
                "{name} must not depend on {world}: go through {owner}"
            );
        }
    }
}

#[test]
fn pure_crates_warn_of_outside_calls() {
    for name in PURE {
        let lib = read(&Path::new("engine").join(name).join("src/lib.rs"));
        assert!(
            lib.contains("#![warn(clippy::disallowed_methods)]"),
            "engine/{name}/src/lib.rs must have #![warn(clippy::disallowed_methods)]"
        );
    }
}

#[test]
fn every_source_file_says_what_it_is() {
    for path in with_extension("rs") {
        let text = read(&path);
        let first = text
            .lines()
            .find(|line| !line.starts_with("#![") && !line.is_empty());
        let says = first.is_some_and(|line| line.starts_with("//!"));
        assert!(
            says,
            "{} must open with //!: what it is, takes, gives, must not do",
            path.display()
        );
    }
}

#[test]
fn every_rule_has_a_fixture() {
    let rules = with_extension("yml")
        .into_iter()
        .filter(|path| path.starts_with("rules"));
    let mut count = 0;
    for path in rules.filter(|path| !path.to_string_lossy().ends_with(".test.yml")) {
        let fixture = path.with_extension("test.yml");
        assert!(
            root().join(&fixture).is_file(),
            "{} needs {} beside it",
            path.display(),
            fixture.display()
        );
        count += 1;
    }
    assert!(count >= 10, "only {count} rules found below rules/");
}

#[test]
fn no_file_is_over_a_megabyte() {
    for path in files() {
        let bytes = std::fs::metadata(root().join(&path))
            .expect("a tracked file")
            .len();
        assert!(
            bytes <= 1 << 20,
            "{} has {bytes} bytes: shrink it or make it in the test",
            path.display()
        );
    }
}

#[test]
fn dependencies_have_licences_that_fit() {
    let metadata = metadata(&[]);
    for package in metadata["packages"].as_array().expect("packages") {
        let name = text(&package["name"]);
        let licence = package["license"].as_str().unwrap_or_default();
        let alternatives = licence.replace('/', " OR ").replace(['(', ')'], " ");
        let fits = alternatives.split(" OR ").any(|all| {
            let mut parts = all
                .split(" AND ")
                .flat_map(|part| part.split(" WITH "))
                .map(str::trim)
                .peekable();
            parts.peek().is_some() && parts.all(|part| LICENCES.contains(&part))
        });
        assert!(
            fits,
            "{name}: licence `{licence}` is not on the list in tests/tidy.rs"
        );
    }
}
