//! The neutral cases of public Sigma engines, judged by their own judge where they lie beside the repository: their
//! licences keep them out of it.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn every_undisputed_case_of_public_engines_comes_out() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("PYTHIA_SHARED").map_or(beside, PathBuf::from);
    let judge = shared.join("conformance/judge.py");
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    if !judge.exists() || !has_python {
        eprintln!("skipped: needs python3 and {}", judge.display());
        return;
    }
    let output = Command::new("python3")
        .arg(judge)
        .args(["--show-fail", "20", "--cmd"])
        .arg(concat!(env!("CARGO_BIN_EXE_pythia"), " conformance"))
        .output()
        .expect("python3 starts");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    let total = report.lines().find(|line| line.starts_with("TOTAL"));
    eprintln!("{}", total.expect("the judge tells the total"));
}
