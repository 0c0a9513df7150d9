//! `pythia policy`: what Pythia does on each point that the Sigma specification leaves open.

use anyhow::Result;
use console::printing::{Output, out, out_json, table};
use serde_json::json;

use crate::Exit;
use crate::args::Common;

pub(crate) fn run(common: &Common) -> Result<Exit> {
    let policy = sigma::policy();
    let value = |point: &sigma::PolicyPoint| {
        let sigma::PolicyPoint {
            id,
            point,
            pythia,
            disputed,
        } = point;
        json!({ "id": id, "point": point, "pythia": pythia, "disputed": disputed })
    };
    match common.output() {
        Output::Table => {
            let row = |point: sigma::PolicyPoint| vec![point.id, point.point, point.pythia];
            let rows: Vec<Vec<String>> = policy.into_iter().map(row).collect();
            out(&table(&["id", "open point", "what Pythia does"], &rows))?;
        }
        Output::Json => {
            let values: Vec<_> = policy.iter().map(value).collect();
            out_json(&format!("{}\n", serde_json::to_string_pretty(&values)?))?;
        }
        Output::Jsonl => {
            let lines = policy.iter().map(|point| format!("{}\n", value(point)));
            out_json(&lines.collect::<Vec<_>>().concat())?;
        }
    }
    Ok(Exit::Ok)
}
