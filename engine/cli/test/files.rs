//! Which rules and which fixtures the paths of a command line mean.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{Failure, rules};

/// The files that paths lead to: rules, and fixtures beside them.
pub(super) struct Found {
    pub(super) rules: Vec<PathBuf>,
    pub(super) fixtures: Vec<PathBuf>,
}

impl Found {
    /// A folder stands for all rules and fixtures in it, a rule for itself and its fixture, a fixture for itself and
    /// its rule.
    pub(super) fn below(paths: &[PathBuf]) -> Result<Self> {
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.iter().cloned().partition(|path| path.is_dir());
        let (mut fixtures, missing) = rules::find_fixtures(&folders);
        if !missing.is_empty() {
            let missing = format!("fixtures cannot be read\n{}", missing.join("\n"));
            return Err(Failure::Usage(missing).into());
        }
        let mut rules = folders;
        for file in files {
            if rules::is_fixture(&file) {
                // One that is not there is a mistake of the command line; without a rule, of its author.
                std::fs::metadata(&file)
                    .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
                rules.extend(rule_of(&file));
                fixtures.push(file);
            } else {
                fixtures.extend(fixture_of(&file));
                rules.push(file);
            }
        }
        fixtures.sort();
        fixtures.dedup();
        // A rule that a path names and another leads to is one.
        let (mut found, unlisted) = rules::find(&rules);
        found.sort();
        found.dedup();
        if unlisted.is_empty() {
            rules = found;
        }
        Ok(Self { rules, fixtures })
    }
}

/// The fixture beside a rule file, if there is one.
fn fixture_of(rule: &Path) -> Option<PathBuf> {
    let names = ["test.yml", "test.yaml"].map(|end| rule.with_extension(end));
    names.into_iter().find(|path| path.is_file())
}

/// The rule file beside a fixture, if there is one.
pub(super) fn rule_of(fixture: &Path) -> Option<PathBuf> {
    let stem = fixture.with_extension("");
    let names = ["yml", "yaml"].map(|end| stem.with_extension(end));
    names.into_iter().find(|path| path.is_file())
}
