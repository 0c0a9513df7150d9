//! The table of `pythia scan --profile-rules`: what each rule costs, and what comes of it.

use console::moment;
use console::printing::{shortened, table};
use detect::{Counts, Plan, RuleCost};

use crate::config::count;

/// So many of the costliest rows are shown; with `-v` all.
const ROWS: usize = 30;

/// Longest title that stands whole, in characters.
const TITLE: usize = 70;

/// Costliest first. Rules that were never looked at are only counted.
pub(crate) fn text(plan: &Plan, counts: &Counts, all: bool) -> String {
    let shared = counts.shared;
    let mut rows: Vec<(u64, Vec<String>)> = counts
        .rules
        .iter()
        .map(|cost| (cost.cpu_ns, row(plan, cost)))
        .collect();
    for (ns, what) in [
        (shared.decode_ns, "(decoding)"),
        (shared.search_ns, "(looking for candidates)"),
        (shared.alert_ns, "(what alerts of an event share)"),
    ] {
        let dashes = ["-"; 5].map(str::to_owned);
        rows.push((ns, [vec![what.to_owned()], dashes.to_vec()].concat()));
    }
    let total: u64 = rows.iter().map(|(ns, _)| ns).sum();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let more = rows
        .len()
        .saturating_sub(if all { rows.len() } else { ROWS });
    let shown: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(ns, row)| [vec![share(ns, total)], row].concat())
        .take(if all { usize::MAX } else { ROWS })
        .collect();
    let mut text = format!(
        "Processor time of the engine (not of reading and printing), from a sample of {}\n",
        count(shared.sampled, "event")
    );
    let header = [
        "share",
        "rule",
        "candidates",
        "verifications",
        "hits",
        "last hit",
        "witness",
    ];
    text += &table(&header, &shown);
    if more > 0 {
        text += &format!("and {more} more; -v shows all\n");
    }
    let untouched = plan.rules().len() - counts.rules.len();
    text += &format!("{} never looked at\n", count(untouched, "rule"));
    text
}

fn row(plan: &Plan, cost: &RuleCost) -> Vec<String> {
    let RuleCost {
        rule,
        candidates,
        verifications,
        matches,
        last_match_ms,
        cpu_ns: _,
    } = cost;
    let last = last_match_ms.and_then(moment::rfc3339);
    let witness = if plan.facts(*rule).witness {
        "yes"
    } else {
        "no"
    };
    vec![
        shortened(&plan.rule(*rule).attributes.title, TITLE),
        candidates.to_string(),
        verifications.to_string(),
        matches.to_string(),
        last.unwrap_or_else(|| "-".to_owned()),
        witness.to_owned(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(ns: u64, total: u64) -> String {
    format!("{:.1}%", ns as f64 * 100.0 / total.max(1) as f64)
}
