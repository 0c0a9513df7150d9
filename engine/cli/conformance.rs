//! `pythia conformance`: the neutral protocol by which Sigma engines are compared. JSON lines in, JSON lines out:
//!
//! ```text
//! {"id", "kind": "match", "rule", "event", "placeholders"?}           -> {"id", "result": true | false}
//! {"id", "kind": "load" | "error", "rule"}                            -> {"id", "result": "loaded"}
//! {"id", "kind": "correlation", "rule", "events": [{"ts", "event"}]}  -> {"id", "alerts": [{"title", "group", "index"}]}
//! ```
//!
//! or `{"id", "error"}`. Each request is a rule set of its own; log sources route nowhere, fields are taken as they are
//! named. The loader and the matcher are those of all other commands.

use std::io::{self, BufRead as _};

use anyhow::Result;
use console::printing::out;
use detect::{CorrelationLimits, Correlator, JsonDetector, Options};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sigma::{Placeholders, Severity, SourceFile};

use crate::Exit;
use crate::args::Common;

/// Events may come so much later than others, in milliseconds: the default of `correlation.lateness`.
const LATENESS_MS: i64 = 30_000;

#[derive(Deserialize)]
struct Request {
    id: Value,
    kind: String,
    rule: String,
    #[serde(default)]
    event: Value,
    #[serde(default)]
    events: Vec<Timed>,
    #[serde(default)]
    placeholders: Placeholders,
}

#[derive(Deserialize)]
struct Timed {
    /// Seconds since the epoch.
    ts: f64,
    event: Value,
}

pub(crate) fn run(common: &Common) -> Result<Exit> {
    let options = common.options();
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                let mut answer =
                    answer(&request, options).unwrap_or_else(|error| json!({ "error": error }));
                answer["id"] = request.id;
                answer
            }
            Err(error) => json!({ "id": null, "error": format!("no request: {error}") }),
        };
        if !out(&format!("{answer}\n"))? {
            break;
        }
    }
    Ok(Exit::Ok)
}

fn answer(request: &Request, options: Options) -> Result<Value, String> {
    let file = SourceFile {
        name: "rule.yml".into(),
        text: request.rule.as_str().into(),
    };
    let loading = sigma::Options {
        placeholders: request.placeholders.clone(),
        any_taxonomy: true,
    };
    let loaded = sigma::load_with(&[file], &loading);
    let mut errors = loaded.diagnostics.iter();
    if let Some(error) = errors.find(|found| found.severity == Severity::Error) {
        let place = &error.place;
        let message = &error.message;
        return Err(format!(
            "{}:{}: {}: {message}",
            place.line, place.column, error.code
        ));
    }
    let (mut rules, mut correlations) = (loaded.rules, loaded.correlations);
    if request.kind != "correlation" {
        // What rules match by themselves, whoever reads them.
        correlations.clear();
        for rule in &mut rules {
            rule.alerts = true;
        }
    }
    let (mut detector, not_running) = JsonDetector::new(rules, correlations, options);
    if let Some(refused) = not_running.iter().find(|rule| rule.always.is_none()) {
        return Err(refused.reason.clone());
    }
    match request.kind.as_str() {
        "match" => Ok(json!({ "result": detector.matches(&request.event) })),
        "load" | "error" => Ok(json!({ "result": "loaded" })),
        "correlation" => Ok(json!({ "alerts": correlate(&mut detector, &request.events) })),
        other => Err(format!("there is no kind {other:?}")),
    }
}

fn correlate(detector: &mut JsonDetector, events: &[Timed]) -> Vec<Value> {
    let correlations = std::sync::Arc::clone(detector.correlations());
    let mut correlator = Correlator::new(correlations, CorrelationLimits::USUAL);
    let (mut fired, mut newest) = (Vec::new(), i64::MIN);
    for (place, timed) in events.iter().enumerate() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "times beyond the range are its ends"
        )]
        let time_ms = (timed.ts * 1000.0).round() as i64;
        correlator.observe(&detector.hits(&timed.event, time_ms, place));
        newest = newest.max(time_ms);
        correlator.advance(newest.saturating_sub(LATENESS_MS), &mut fired);
    }
    correlator.finish(&mut fired);
    let alert = |fired: &detect::Fired| {
        let correlation = detector.correlations().correlation(fired.correlation);
        let group = fired.group.iter();
        let group: Map<String, Value> = group
            .map(|(name, value)| (name.to_string(), (&**value).into()))
            .collect();
        let last = fired.evidence.last();
        let index = last.and_then(|event| event.alert_id().parse::<usize>().ok());
        json!({ "title": correlation.attributes.title, "group": group, "index": index })
    };
    fired.iter().map(alert).collect()
}
