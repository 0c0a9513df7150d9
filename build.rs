//! Puts the starter rules into the program: a list of names and texts, in order of names.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let rules = root.join("rules");
    println!("cargo::rerun-if-changed={}", rules.display());
    let mut files = Vec::new();
    collect(&rules, &mut files);
    files.sort();
    let mut code = String::from("&[\n");
    for file in files {
        let name = file
            .strip_prefix(&root)
            .expect("it lies below the root")
            .display()
            .to_string();
        let path = file.display().to_string();
        writeln!(code, "    ({name:?}, include_str!({path:?})),").expect("a string takes text");
    }
    code.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("starter_rules.rs"), code).expect("the build folder takes a file");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of the starter rules") {
        let path = entry.expect("an entry of it").path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={name}");
            collect(&path, files);
        } else if name.ends_with(".yml") && !name.ends_with(".test.yml") {
            files.push(path);
        }
    }
}
