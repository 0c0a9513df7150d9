//! The whole process `pythia scan`: user and system time, alerts written to nowhere, held against the
//! parse of the same lines.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use detect::Options;

use crate::case::Loaded;
use crate::clock::timed_children;
use crate::engine::{Bench, compile};
use crate::report::Report;

/// How often the corpus is given to one process, so that its start does not hide the lines.
const COPIES: usize = 10;

/// Adds `scan`, the cost of a line in a process that has started, and what the start costs.
pub(crate) fn measure(report: &mut Report, loaded: &Loaded, rounds: usize) {
    let bench = Bench::new(loaded);
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = folder.path().join("corpus.jsonl");
    let empty = folder.path().join("empty.jsonl");
    fs::write(&corpus, &loaded.text).expect("the folder takes a file");
    fs::write(&empty, "").expect("the folder takes a file");
    let rules = folder.path().join("rules");
    loaded.write_rules(compile(loaded, Options::ALL).rules(), &rules);

    let output = command(&rules, &corpus, 1).output().expect("pythia starts");
    let alerts = output.stdout.split(|byte| *byte == b'\n').count() as u64 - 1;
    report.expect("alerts of scan", alerts, loaded.case.alerts);

    for _ in 0..rounds {
        let floor = bench.floor();
        let start = spent(command(&rules, &empty, 1));
        let once = spent(command(&rules, &corpus, 1));
        let often = spent(command(&rules, &corpus, COPIES));
        report.add("scan", "x", (often - start) / COPIES as f64 / floor);
        report.add("scan with its start", "x", once / floor);
        report.add("start of scan alone", "ms", start / 1e6);
    }
}

fn command(rules: &Path, file: &Path, copies: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pythia"));
    command.args(["scan", "--quiet", "--output", "jsonl", "--rules"]);
    command.arg(rules).args(std::iter::repeat_n(file, copies));
    command
}

/// Nanoseconds of CPU of the whole process.
fn spent(mut command: Command) -> f64 {
    let nowhere = File::options().write(true).open("/dev/null");
    command.stdout(nowhere.expect("/dev/null opens"));
    command.stderr(Stdio::inherit());
    let (ns, status) = timed_children(|| command.status().expect("pythia starts"));
    assert!(status.success(), "scan ended with {status}");
    ns
}
