//! `pythia config`: what is in force, and an example. Also how every command gets its settings.

use std::fmt::Display;
use std::path::Path;

use anyhow::Result;
use console::printing::{Output, out, out_json, table};
use console::settings::{self, Config, Layers};

use crate::args::{self, Common};
use crate::{Exit, Failure};

/// Reads the configuration of all layers; all mistakes are one error.
pub(crate) fn load(common: &Common, flags: Vec<(String, String, String)>) -> Result<Config> {
    load_with(common, flags, &[])
}

/// The same for a command that cannot do without some settings: name and help of each.
pub(crate) fn load_with(
    common: &Common,
    flags: Vec<(String, String, String)>,
    needed: &'static [(&'static str, &'static str)],
) -> Result<Config> {
    let text = match &common.config {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?,
        ),
    };
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with("PYTHIA__") => {
                return Err(Failure::Usage(format!("{name}: its value is not UTF-8")).into());
            }
            Err(_) => {}
        }
    }
    let layers = Layers {
        file: common.config.clone(),
        text,
        variables,
        flags,
        owned: stream::OWNED_PROPERTIES,
        pattern_fault: Some(stream::pattern_fault),
        needed,
    };
    let config = settings::load(&layers, |path: &Path| std::fs::read_to_string(path)).map_err(
        |mistakes| {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Failure::Usage(format!(
                "{} in the configuration\n{}",
                count(mistakes.len(), "mistake"),
                lines.join("\n")
            ))
        },
    )?;
    Ok(config)
}

/// `1 mistake`, `2 mistakes`.
pub(crate) fn count<N: Copy + Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    let plural = if n == N::from(1) { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

pub(crate) fn run(common: &Common, what: args::Config) -> Result<Exit> {
    match what {
        args::Config::Example => {
            out(&settings::example())?;
        }
        args::Config::Show => {
            let config = load(common, Vec::new())?;
            let shown = config.shown();
            match common.output() {
                Output::Table => {
                    let rows: Vec<Vec<String>> = shown
                        .into_iter()
                        .map(|setting| vec![setting.key, setting.value.to_string(), setting.origin])
                        .collect();
                    out(&table(&["setting", "value", "from"], &rows))?;
                }
                Output::Json => {
                    out_json(&format!("{}\n", serde_json::to_string_pretty(&shown)?))?;
                }
                Output::Jsonl => {
                    let mut lines = String::new();
                    for setting in shown {
                        lines += &(serde_json::to_string(&setting)? + "\n");
                    }
                    out_json(&lines)?;
                }
            }
        }
    }
    Ok(Exit::Ok)
}
