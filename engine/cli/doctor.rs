//! `pythia doctor`: whether the cluster is as the service needs it.

use std::sync::Arc;

use anyhow::Result;
use console::printing::{CheckLine, Output, Paint, checks, err, out, out_json};
use serde_json::{Value, json};
use stream::doctor::{Check, Patient, State, examine};

use crate::args::{Common, Doctor};
use crate::config::count;
use crate::{Exit, run, scan};

pub(crate) fn run(common: &Common, doctor: &Doctor) -> Result<Exit> {
    let config = run::settings(common, &doctor.kafka)?;
    let options = run::options(&config);
    let patient = Patient {
        profile: Arc::new(scan::profile(&config)),
        line_bytes: config.size("limits.line_bytes") as u64,
        event_bytes: config.size("limits.event_bytes") as u64,
        sample: doctor.sample,
        timeout: doctor.timeout,
    };
    let found = examine(&options, &patient);
    let number = |state| found.iter().filter(|check| check.state == state).count();
    let (fails, warnings) = (number(State::Fail), number(State::Warn));
    match common.output() {
        Output::Table => out(&text(&found))?,
        Output::Json => out_json(&format!(
            "{}\n",
            serde_json::to_string_pretty(&json(&found, fails, warnings))?
        ))?,
        Output::Jsonl => out_json(&format!("{}\n", json(&found, fails, warnings)))?,
    };
    if !common.quiet {
        let (checks, fails) = (count(found.len(), "check"), count(fails, "fault"));
        err(&format!(
            "{checks}: {fails}, {}\n",
            count(warnings, "warning")
        ));
    }
    Ok(if fails > 0 { Exit::Findings } else { Exit::Ok })
}

fn text(found: &[Check]) -> String {
    let lines: Vec<CheckLine<'_>> = found
        .iter()
        .map(|check| CheckLine {
            state: check.state.word(),
            name: &check.name,
            found: &check.found,
            cure: check.cure.as_deref(),
        })
        .collect();
    checks(&lines, Paint::stdout())
}

fn json(found: &[Check], fails: usize, warnings: usize) -> Value {
    let checks = found.iter().map(|check| {
        json!({
            "check": check.name, "state": check.state.word(), "found": check.found, "cure": check.cure,
        })
    });
    json!({
        "totals": { "checks": found.len(), "fail": fails, "warn": warnings },
        "checks": checks.collect::<Vec<_>>(),
    })
}
