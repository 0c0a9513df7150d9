//! Every mistake as its author is shown it: for each code the smallest file that has it, and what the program says of it,
//! under expectation. A folder that holds them all shows every one, and the sound rule among them runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::Value;
use sigma::Code;

use crate::cli::{Ran, pythia, ran};

/// Codes that cannot be shown without others beside them.
const BESIDE: [(&str, &str); 2] = [("R006", "R003"), ("R026", "R034")];

pub(crate) fn codes() -> impl Iterator<Item = &'static Code> {
    sigma::CODES.iter().chain(detect::CODES)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/diagnostics")
}

/// The name of the file that shows a code, and whether it is a mistake in a fixture.
fn file_of(code: &Code) -> (String, bool) {
    let file = format!("{}-{}.yml", code.code, code.name);
    (file, code.code.starts_with('T'))
}

/// Runs within the folder, so that names of files are short.
fn within(arguments: &[&str]) -> Ran {
    ran(pythia(arguments).current_dir(folder()))
}

/// The diagnostics of one code, as a terminal shows them.
fn shown(code: &Code, output: &str) -> String {
    let begin = [
        format!("error[{}]", code.code),
        format!("warning[{}]", code.code),
    ];
    let is_begin = |line: &str| begin.iter().any(|begin| line.starts_with(begin.as_str()));
    let mut shown = String::new();
    let mut inside = false;
    for line in output.lines() {
        inside = !line.is_empty() && (inside || is_begin(line));
        if inside {
            shown += line;
            shown.push('\n');
        } else if !shown.is_empty() && !shown.ends_with("\n\n") {
            shown.push('\n');
        }
    }
    shown.trim_end().to_owned() + "\n"
}

fn diagnostics(ran: &Ran) -> Vec<Value> {
    let document: Value = serde_json::from_str(&ran.out).expect("JSON");
    document["diagnostics"].as_array().expect("a list").clone()
}

#[test]
fn every_code_shows_place_and_cure() {
    for code in codes() {
        let (file, is_of_fixture) = file_of(code);
        assert!(
            folder().join(&file).exists(),
            "no file shows {}: {file}",
            code.code
        );
        let command = if is_of_fixture { "test" } else { "check" };
        let told = diagnostics(&within(&[command, "--output", "json", &file]));
        let (own, others): (Vec<_>, Vec<_>) = told.iter().partition(|one| one["code"] == code.code);
        assert!(!own.is_empty(), "{file} does not show its code: {told:#?}");
        for other in others {
            let other = other["code"].as_str().expect("a code");
            assert!(
                BESIDE.contains(&(code.code, other)),
                "{file} shows {other} too"
            );
        }
        for one in own {
            assert!(
                one["line"].as_u64() > Some(0) && one["column"].as_u64() > Some(0),
                "{one}"
            );
            assert!(
                one["help"].as_str().is_some_and(|help| !help.is_empty()),
                "{one}"
            );
        }
        let text = within(&[command, "--output", "table", &file]).out;
        let golden = folder().join(&file).with_extension("txt");
        expect_file![golden].assert_eq(&shown(code, &text));
    }
}

#[test]
fn a_folder_of_every_mistake_shows_them_all_and_stops_nothing_else() {
    let checked = within(&["check", "--output", "json", "."]);
    assert_eq!(checked.code, Some(1));
    let tested = within(&["test", "--output", "json", "."]);
    assert_eq!(tested.code, Some(1));
    let of_rules = diagnostics(&checked);
    let of_fixtures = diagnostics(&tested).into_iter();
    let of_fixtures = of_fixtures.filter(|one| one["code"].as_str() >= Some("T"));
    let place = |one: &Value| {
        let number = |key: &str| one[key].as_u64().expect("a number");
        let file = one["file"].as_str().expect("a file").to_owned();
        (file, number("line"), number("column"))
    };
    assert!(of_rules.is_sorted_by_key(place), "by file, line and column");
    let all: Vec<Value> = of_rules.into_iter().chain(of_fixtures).collect();
    let told: BTreeSet<&str> = all.iter().filter_map(|one| one["code"].as_str()).collect();
    assert_eq!(told, codes().map(|code| code.code).collect::<BTreeSet<_>>());
    // A hundred times the same says no more than once.
    let mut seen = BTreeSet::new();
    let first = |one: &&Value| seen.insert((one["code"].to_string(), one["file"].to_string()));
    let lines: String = all
        .iter()
        .filter(first)
        .map(|one| format!("{one}\n"))
        .collect();
    expect_file![folder().join("diagnostics.jsonl")].assert_eq(&lines);

    let document: Value = serde_json::from_str(&checked.out).expect("JSON");
    let running = document["running"].as_array().expect("a list");
    let title = "Sound among the mistakes";
    assert!(
        running.iter().any(|rule| rule["title"] == title),
        "{running:#?}"
    );
    let tested: Value = serde_json::from_str(&tested.out).expect("JSON");
    let cases = tested["cases"].as_array().expect("a list").iter();
    let sound: Vec<&Value> = cases
        .filter(|case| case["rule_file"] == "./sound.yml")
        .collect();
    assert_eq!(sound.len(), 2, "{tested:#}");
    assert!(
        sound.iter().all(|case| case["state"] == "passed"),
        "{sound:#?}"
    );
}

#[test]
fn every_file_of_the_folder_shows_a_code() {
    let of_codes: BTreeMap<String, &Code> = codes().map(|code| (file_of(code).0, code)).collect();
    for entry in fs::read_dir(folder()).expect("a folder") {
        let name = entry.expect("a file").file_name();
        let name = name.to_string_lossy();
        let rule = name.replace(".test.yml", ".yml").replace(".txt", ".yml");
        let is_other = matches!(&*rule, "sound.yml" | "diagnostics.jsonl");
        assert!(
            is_other || of_codes.contains_key(&rule),
            "{name} shows no code"
        );
    }
}
