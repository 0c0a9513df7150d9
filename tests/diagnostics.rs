//! Every mistake as its author is shown it: for each code the smallest file that has it, and what the program says of it,
//! under expectation. A folder that holds them all shows every one, and the sound rule among them runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{expect, expect_file};
use serde_json::Value;
use sigma::Code;

use crate::cli::{Folder, Ran, pythia, ran};

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
        let shown = shown(code, &text);
        assert!(shown.contains('^'), "no carets: {shown}");
        expect_file![golden].assert_eq(&shown);
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
    let lines: Vec<String> = all.iter().filter(first).map(Value::to_string).collect();
    expect_file![folder().join("diagnostics.jsonl")].assert_eq(&(lines.join("\n") + "\n"));

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

#[test]
fn annotations_of_hostile_files_end_where_they_should() {
    let folder = Folder::new();
    let name = "a,b%0A::error::c\u{1b}[2J.yml";
    let title = r#""t::error::x\r\n::warning file=y::%25""#;
    let rule = format!(
        "title: {title}\nlogsource: {{product: linux, category: process_creation}}\ndetection: {{selection: {{Imäge|endwith: /nc}}, condition: selektion}}\n"
    );
    folder.write(name, format!("{rule}---\n{rule}"));
    let within = |arguments: &[&str]| ran(pythia(arguments).current_dir(folder.path(".")));
    let checked = within(&["check", "--output", "github", "."]);
    assert_eq!(checked.code, Some(1));
    expect![[r"
        ::error file=./a%2Cb%250A%3A%3Aerror%3A%3Ac\u{1b}[2J.yml,line=3,col=31,endLine=3,endColumn=38,title=R034::there is no modifier `endwith`%0Ahelp: did you mean `endswith`?
        ::error file=./a%2Cb%250A%3A%3Aerror%3A%3Ac\u{1b}[2J.yml,line=3,col=57,endLine=3,endColumn=66,title=R052::there is no selection `selektion`%0Ahelp: did you mean `selection`?
        ::error file=./a%2Cb%250A%3A%3Aerror%3A%3Ac\u{1b}[2J.yml,line=7,col=31,endLine=7,endColumn=38,title=R034::there is no modifier `endwith`%0Ahelp: did you mean `endswith`?
        ::error file=./a%2Cb%250A%3A%3Aerror%3A%3Ac\u{1b}[2J.yml,line=7,col=57,endLine=7,endColumn=66,title=R052::there is no selection `selektion`%0Ahelp: did you mean `selection`?
    "]]
    .assert_eq(&checked.out);
    assert!(
        checked.err.starts_with("1 file: 0 rules loaded, "),
        "{}",
        checked.err
    );

    let sound = rule
        .replace("endwith", "endswith")
        .replace("selektion", "selection");
    let sound = sound.replace("Imäge", "Image");
    folder.write("t.yml", format!("{sound}---\n{sound}"));
    let checked = within(&["check", "--output", "github", "t.yml"]);
    assert_eq!(checked.code, Some(0));
    expect![[r"
        ::warning file=t.yml,line=5,col=1,endLine=5,endColumn=46,title=R024::a rule before it is known as `t::error::x%0D%0A::warning file=y::%2525` too%0Ahelp: give each an `id`; the first is at t.yml:1
    "]]
    .assert_eq(&checked.out);
    folder.write(
        "t.test.yml",
        r#"cases:
  - name: "n::error::x\n,y=%"
    event: '{"ID":"1700000000.123:1","EXECVE":{"argc":1,"ARGV":["ls"]}}'
    expect: alert
"#,
    );
    let tested = within(&["test", "--output", "github", "t.yml"]);
    assert_eq!(tested.code, Some(1));
    expect![[r"
        ::error file=t.test.yml,line=2,col=11,endLine=2,endColumn=30,title=case%3A n%3A%3Aerror%3A%3Ax%0A%2Cy=%25::is to alert, and stays silent
    "]]
    .assert_eq(&tested.out);
    let refused = within(&["scan", "--output", "github", "t.yml"]);
    assert_eq!(refused.code, Some(2));
}

#[test]
fn a_code_is_explained_and_an_unknown_one_answered_with_the_nearest() {
    let by_number = within(&["check", "--explain", "r003"]);
    assert_eq!(by_number.code, Some(0));
    expect![[r"
        ### R003 duplicate-key

        Error. A map has the same key twice. Parsers keep one of the two without a word, and the rule would look for half of
        what it says. Join the values in one list, or name the second selection otherwise.

        ```yaml
        # bad
        Image|endswith: /nc
        Image|endswith: /ncat
        # good
        Image|endswith: [/nc, /ncat]
        ```
    "]]
    .assert_eq(&by_number.out);
    let by_name = within(&["check", "--explain", "duplicate-key"]);
    assert_eq!(by_name.out, by_number.out);
    let unknown = within(&["check", "--explain", "R016"]);
    assert_eq!(unknown.code, Some(2));
    expect![[r#"
        error: there is no diagnostic "R016"; the nearest is R015 duplicate-name
    "#]]
    .assert_eq(&unknown.err);
}

#[test]
fn the_summary_counts_by_code_where_more_is_asked_for() {
    let file = "R105-covered-value.yml";
    let counted = "by code: R105 2\n";
    let verbose = within(&["check", "-v", "--output", "table", file]);
    assert!(verbose.out.contains(counted), "{}", verbose.out);
    let plain = within(&["check", "--output", "table", file]);
    assert!(!plain.out.contains(counted), "{}", plain.out);
}
