//! The number of machine instructions of one pass of the engine, counted by valgrind: the same on a busy
//! machine and an idle one, so that a check of a change can hold it against the last record.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use detect::{Options, Plan};

use crate::case::{Case, Loaded, root};
use crate::engine::{Bench, Pass, compile};
use crate::report::{append, say};

/// The case that ships with the repository, lines and rules.
const CASE: &str = "own-rules";

/// How much more than the last record is an error.
const GROWTH_MAX: f64 = 1.10;

/// The argument that makes this program the one that is counted.
pub(crate) const COUNTED: &str = "counted-pass";

/// Counts, says how it compares, and records it if asked. Whether it is within the limit; a new
/// record always is.
pub(crate) fn measure(record: bool) -> bool {
    let counted = count();
    let last = last();
    let change = (counted as f64 / last as f64 - 1.0) * 100.0;
    let ok = record || counted as f64 <= last as f64 * GROWTH_MAX;
    say(&format!(
        "{CASE}\n  instructions {counted}, {last} at the last record ({change:+.1} %){}\n",
        if ok {
            ""
        } else {
            "\n  FAILS: more than a tenth above the last record; see benches/README.md"
        }
    ));
    if record {
        append("instructions.csv", &format!("{CASE},{counted}"));
    }
    ok
}

/// What runs below valgrind: everything is prepared, only `counted_pass` is counted.
pub(crate) fn be_counted() {
    let loaded = load();
    let plan = compile(&loaded, Options::ALL);
    let pass = counted_pass(&Bench::new(&loaded), &plan);
    assert_eq!(pass.alerts, loaded.case.alerts, "wrong but fast is no gain");
}

/// Its name is what valgrind looks for.
#[inline(never)]
fn counted_pass(bench: &Bench<'_>, plan: &Arc<Plan>) -> Pass {
    std::hint::black_box(bench.matches(plan))
}

fn count() -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("callgrind.out");
    let this = std::env::current_exe().expect("Linux tells");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--toggle-collect=*counted_pass*"]);
    valgrind.arg(format!("--callgrind-out-file={}", profile.display()));
    let output = valgrind.arg(this).arg(COUNTED).output();
    let output = output.expect("valgrind is installed (apt-get install valgrind)");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(profile).expect("callgrind leaves a profile");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total
        .filter(|total| *total > 0)
        .expect("callgrind found `counted_pass`")
}

/// The count of the last line of the record.
fn last() -> u64 {
    let path = root().join("benches/record/instructions.csv");
    let text = fs::read_to_string(path).expect("the record lies in the repository");
    let count = text.lines().last().and_then(|line| line.rsplit(',').next());
    count
        .and_then(|count| count.parse().ok())
        .expect("the record ends with a count")
}

fn load() -> Loaded {
    let loaded = Case::named(CASE).load(CASE);
    loaded.unwrap_or_else(|missing| panic!("{CASE} {missing}"))
}
