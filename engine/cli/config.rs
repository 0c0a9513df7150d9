//! `pythia config`: what is in force, and an example. Also how every command gets its settings.

use std::path::Path;

use anyhow::Result;
use console::printing::{Output, out, table};
use console::settings::{self, Config, Layers};

use crate::args::{self, Common};
use crate::{Exit, Failure};

/// Reads the configuration of all layers; all mistakes are one error.
pub(crate) fn load(common: &Common, flags: Vec<(String, String, String)>) -> Result<Config> {
    let text = match &common.config {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?,
        ),
    };
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let layers = Layers {
        file: common.config.clone(),
        text,
        variables: variables.collect(),
        flags,
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
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

pub(crate) fn run(common: &Common, what: args::Config) -> Result<Exit> {
    match what {
        args::Config::Example => {
            out(&settings::example());
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
                    out(&table(&["setting", "value", "from"], &rows));
                }
                Output::Json => {
                    out(&format!("{}\n", serde_json::to_string_pretty(&shown)?));
                }
                Output::Jsonl => {
                    for setting in shown {
                        out(&format!("{}\n", serde_json::to_string(&setting)?));
                    }
                }
            }
        }
    }
    Ok(Exit::Ok)
}
