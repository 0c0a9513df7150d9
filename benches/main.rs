//! What decoding, the engine, `pythia scan` and `pythia run` cost, as multiples of a JSON parse of the
//! same lines in the same process. `README.md` says how to run this and how to read it.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of lines, bytes and nanoseconds are far below 2^52"
)]
#![expect(
    clippy::panic,
    reason = "a bench that cannot read its case ends with the reason"
)]

mod baseline;
mod case;
mod clock;
mod correlations;
mod crowd;
mod engine;
#[path = "../tests/kafka/harness.rs"]
#[expect(dead_code, reason = "the tests ask for the rest")]
mod harness;
mod instructions;
mod loading;
mod report;
mod scan;
mod service;

use std::process::ExitCode;

use case::Case;
use report::{Report, say};

/// Rounds, unless `--rounds` says otherwise.
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let value = |word: &str| {
        let at = arguments.iter().position(|argument| argument == word)?;
        arguments.get(at + 1)
    };
    let number = |word: &str, otherwise: usize| {
        value(word).map_or(otherwise, |n| n.parse().expect("a number"))
    };
    let (rounds, record) = (number("--rounds", ROUNDS), has("--record"));
    let ok = match arguments.first().map(String::as_str) {
        // What this program starts itself as.
        Some(instructions::COUNTED) => {
            instructions::be_counted();
            true
        }
        Some(loading::USAGE) => {
            say(&loading::usage_of(&arguments[1..]));
            true
        }
        Some(service::CONSUMER) => {
            service::consume(&arguments[1], arguments[2].parse().expect("a number"));
            true
        }
        Some("service") => {
            let case = value("--case").map_or(service::CASE, String::as_str);
            let lines = number("--lines", service::LINES);
            let rounds = number("--rounds", service::ROUNDS);
            service::measure(case, rounds, lines, record).unwrap_or(true)
        }
        _ if has("--instructions") => instructions::measure(record),
        _ => cases(rounds, value("--case"), record),
    };
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Every case whose corpus and rules are there, or the one that was asked for.
fn cases(rounds: usize, only: Option<&String>, record: bool) -> bool {
    let mut ok = true;
    let mut ran = 0;
    for (name, case) in Case::all() {
        if only.is_some_and(|only| *only != name) {
            continue;
        }
        let loaded = match case.load(&name) {
            Ok(loaded) => loaded,
            Err(missing) => {
                say(&format!("{name}\n  skipped: {missing}\n"));
                continue;
            }
        };
        let mut report: Report = engine::measure(&loaded, rounds);
        baseline::measure(&mut report, &loaded);
        if loaded.case.limits.contains_key("scan") {
            scan::measure(&mut report, &loaded, rounds);
        }
        if loaded.case.limits.contains_key("correlations") {
            correlations::measure(&mut report, &loaded, rounds);
        }
        if loaded.case.limits.contains_key("loading") {
            loading::rules(&mut report, &loaded, rounds);
        }
        if loaded.case.limits.contains_key("thousand fixtures") {
            loading::fixtures(&mut report, rounds);
        }
        ok &= report.judge(&loaded.case);
        ran += 1;
        if record {
            report.record(&loaded.case);
        }
    }
    assert!(ran > 0, "no case could run");
    ok
}
