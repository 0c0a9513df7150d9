//! What authors and operators wait for: all rules of a case loaded and compiled by `pythia check`, and a thousand
//! fixtures through `pythia test`. Seconds of CPU and peak memory of whole processes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::Deserialize;

use crate::case::Loaded;
use crate::report::Report;

/// The argument that makes this program start another one and tell what that took.
pub(crate) const USAGE: &str = "usage-of";

/// Fixtures, each beside a rule of its own and with two cases.
const FIXTURES: usize = 1_000;

/// Adds `loading` and `loading peak`.
pub(crate) fn rules(report: &mut Report, loaded: &Loaded, rounds: usize) {
    let folders = loaded.rule_folders();
    let mut arguments = vec!["check".to_owned(), "--quiet".to_owned()];
    for folder in &folders {
        arguments.extend(["--rules".to_owned(), folder.display().to_string()]);
    }
    for _ in 0..rounds {
        let spent = spent(&arguments);
        report.add("loading", "s", spent.seconds);
        report.add("loading peak", "MB", spent.peak_mb);
    }
}

/// Adds `thousand fixtures`.
pub(crate) fn fixtures(report: &mut Report, rounds: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..FIXTURES {
        write_rule(folder.path(), number);
    }
    let path = folder.path().display().to_string();
    let mut told = Command::new(env!("CARGO_BIN_EXE_pythia"));
    let told = told
        .args(["test", "--quiet", "--output", "json", &path])
        .output();
    let told: Told = serde_json::from_slice(&told.expect("pythia starts").stdout).expect("JSON");
    report.expect("cases that pass", told.totals.passed, 2 * FIXTURES as u64);
    let arguments = ["test", "--quiet", &path].map(str::to_owned);
    for _ in 0..rounds {
        let spent = spent(&arguments);
        report.add("thousand fixtures", "s", spent.seconds);
        report.add("thousand fixtures peak", "MB", spent.peak_mb);
    }
}

/// A rule for one word, a line that has it and one that has another.
fn write_rule(folder: &Path, number: usize) {
    let rule = format!(
        "title: Word {number}\nid: 00000000-0000-4000-8000-{number:012}\n\
         logsource: {{product: linux, category: process_creation}}\n\
         detection:\n  selection:\n    CommandLine|contains: 'word-{number}-'\n  condition: selection\n"
    );
    let mut cases = String::from("cases:\n");
    for (name, word, expect) in [("it", number, "alert"), ("another", number + 1, "silent")] {
        let line = format!(
            r#"{{"ID":"1700000000.{milli:03}:{number}","SYSCALL":{{"syscall":59,"ARCH":"x86_64","SYSCALL":"execve","success":"yes","pid":900,"ppid":1,"uid":0,"exe":"/bin/echo","UID":"root"}},"EXECVE":{{"argc":2,"ARGV":["echo","word-{word}-"]}}}}"#,
            milli = number % 1000,
        );
        writeln!(
            cases,
            "  - name: {name}\n    event: |-\n      {line}\n    expect: {expect}"
        )
        .expect("text");
    }
    let write = |ending: &str, text: &str| {
        let path = folder.join(format!("word_{number}.{ending}"));
        fs::write(path, text).expect("the folder takes a file");
    };
    write("yml", &rule);
    write("test.yml", &cases);
}

/// What `pythia test` tells in JSON, as far as it is asked.
#[derive(Deserialize)]
struct Told {
    totals: Totals,
}

#[derive(Deserialize)]
struct Totals {
    passed: u64,
}

struct Spent {
    /// User and system time.
    seconds: f64,
    peak_mb: f64,
}

/// What `pythia` takes with these arguments. A program between the two makes sure that no other child is counted.
fn spent(arguments: &[String]) -> Spent {
    let this = std::env::current_exe().expect("Linux tells");
    let mut command = Command::new(this);
    let output = command.arg(USAGE).args(arguments).output();
    let output = output.expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    let (Some(Some(seconds)), Some(Some(peak_mb))) = (numbers.next(), numbers.next()) else {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    };
    Spent { seconds, peak_mb }
}

/// Starts `pythia` and gives its seconds of CPU and its peak memory in MB.
pub(crate) fn usage_of(arguments: &[String]) -> String {
    let nowhere = File::options().write(true).open("/dev/null");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pythia"));
    command.args(arguments);
    command.stdout(nowhere.expect("/dev/null opens"));
    let status = command.status().expect("pythia starts");
    // `check` finds mistakes in rules of others.
    assert!(status.code().is_some_and(|code| code < 2), "{status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("Linux tells of children");
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    format!("{} {}\n", us as f64 / 1e6, usage.max_rss() as f64 / 1e3)
}
