//! Memory: what a rule holds, and what is allocated for an event that matches nothing.
//!
//! In a binary of its own, because its allocator counts and takes its time. `README.md` says how to run
//! it and how to read it.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of lines and bytes are far below 2^52"
)]
#![expect(
    clippy::panic,
    reason = "a bench that cannot read its case ends with the reason"
)]

#[expect(dead_code, reason = "the other binary asks for the rest")]
mod case;
#[expect(dead_code, reason = "the other binary asks for the rest")]
mod crowd;
mod report;

use std::process::ExitCode;
use std::sync::Arc;

use case::{Case, Loaded, line_of};
use crowd::Crowd;
use detect::{Detector, Plan};
use dhat::HeapStats;
use event::{Origin, ProcessCache, Profile};
use report::{Report, say};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Words that ask for something else, of the other binary.
const NOT_HERE: [&str; 2] = ["service", "--instructions"];

/// With empty caches and without scratch memory; its alerts are the expected ones.
const FIRST_PASS: &str = "allocations in the first pass";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    if NOT_HERE.into_iter().any(has) {
        return ExitCode::SUCCESS;
    }
    let only = arguments.iter().position(|argument| argument == "--case");
    let only = only.and_then(|at| arguments.get(at + 1));
    let mut ok = true;
    for (name, case) in Case::all() {
        if only.is_some_and(|only| *only != name) {
            continue;
        }
        match case.load(&name) {
            Ok(loaded) => {
                let report = measure(&loaded);
                ok &= report.judge(&loaded.case);
                if has("--record") {
                    report.record(&loaded.case);
                }
            }
            Err(missing) => say(&format!("{name}\n  skipped: {missing}\n")),
        }
    }
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn measure(loaded: &Loaded) -> Report {
    let mut report = Report::new(&loaded.name);
    let profiler = dhat::Profiler::builder().testing().build();

    let before = HeapStats::get().curr_bytes;
    let rules = loaded.rules();
    let plan = Arc::new(Plan::compile(rules).plan);
    let mut detector = Detector::new(Arc::clone(&plan), Arc::new(Profile::laurel()));
    let held = HeapStats::get().curr_bytes - before;
    let running = plan.rules().len();
    report.expect("rules", running as u64, loaded.case.running as u64);
    report.add("bytes per rule", "", held as f64 / running as f64);
    // What the plan holds of the rules as they were read, for alerts; the rest is there to match with.
    let before = HeapStats::get().curr_bytes;
    let copies: Vec<sigma::Rule> = plan.rules().iter().map(|rule| (**rule).clone()).collect();
    let copied = HeapStats::get().curr_bytes - before;
    drop(copies);
    report.add(
        "of these the rule as read",
        "",
        copied as f64 / running as f64,
    );

    // Full after the first pass, as one is after some hours of service: from then on what goes makes room.
    let mut cache = ProcessCache::new(128 << 10, 24 * 3600 * 1000);
    for (name, host) in [
        (FIRST_PASS, "one"),
        ("allocations", "one"),
        ("allocations for another host", "another"),
    ] {
        let pass = pass(loaded, &mut detector, &mut cache, host);
        report.add(name, "per event", pass.blocks as f64 / pass.silent as f64);
        if name == FIRST_PASS {
            report.expect("alerts", pass.alerts, loaded.case.alerts);
            report.expect("dead letters", pass.dead_letters, loaded.case.dead_letters);
        }
    }
    if loaded.case.limits.contains_key("bytes per group") {
        let lines = crowd::lines(&loaded.text);
        let [joined, alone, _] = crowd::plans(loaded).map(|plan| {
            let before = HeapStats::get().curr_bytes;
            let crowd = Crowd::new(&plan, &lines);
            (HeapStats::get().curr_bytes - before, crowd.groups())
        });
        let held = joined.0 - alone.0;
        report.add("bytes per group", "", held as f64 / joined.1 as f64);
    }
    drop(profiler);
    report
}

/// One pass over all lines.
#[derive(Default)]
struct Pass {
    /// Blocks allocated for lines that give no alert.
    blocks: u64,
    /// How many lines these are.
    silent: u64,
    alerts: u64,
    dead_letters: u64,
}

fn pass(loaded: &Loaded, detector: &mut Detector, cache: &mut ProcessCache, host: &str) -> Pass {
    let mut alerts = Vec::new();
    let mut pass = Pass::default();
    for (bytes, number) in loaded.lines().into_iter().zip(1..) {
        let mut line = line_of(bytes, number);
        line.origin = Origin {
            host: None,
            scope: Some(host.as_bytes()),
        };
        let before = HeapStats::get().total_blocks;
        let result = detector.run(&line, cache, &mut alerts);
        let blocks = HeapStats::get().total_blocks - before;
        match result {
            Err(_) => pass.dead_letters += 1,
            Ok(()) if alerts.is_empty() => {
                pass.blocks += blocks;
                pass.silent += 1;
            }
            Ok(()) => pass.alerts += alerts.len() as u64,
        }
        alerts.clear();
    }
    pass
}
