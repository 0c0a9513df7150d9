//! Cases of correlations: under everything that was loaded, as `scan` evaluates several files, since correlations read
//! rules of other files. What a case holds is all there when it is decided, in whatever order its lines are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use detect::{Alert, Correlator, Detector};
use sigma::Case;

use super::events::{Read, each_line};
use super::{Mistake, Runner};

/// How often the rules that correlations read matched, by title.
pub(super) type Matched = BTreeMap<String, u64>;

/// All alerts of the case's lines, and what the correlations read.
pub(super) fn alerts(
    runner: &Runner,
    fixture: &Path,
    case: &Case,
    alerts: &mut Vec<Alert>,
) -> Result<(Read, Matched), Mistake> {
    let plan = &runner.plan;
    let mut detector =
        Detector::new(Arc::clone(plan), Arc::clone(&runner.profile)).with_limits(runner.limits);
    let mut correlator =
        Correlator::new(Arc::clone(plan.correlations()), runner.correlation_limits);
    let (mut cache, mut matched) = (runner.cache(), Matched::new());
    let limit = runner.profile.limits.line_bytes;
    let read = each_line(case, fixture, limit, |line| {
        detector.run(line, &mut cache, alerts)?;
        correlator.observe(detector.hits());
        for hit in detector.hits() {
            let title = &plan.rule(hit.rule).attributes.title;
            *matched.entry(title.clone()).or_default() += 1;
        }
        Ok(())
    })?;
    let mut fired = Vec::new();
    correlator.finish(&mut fired);
    alerts.extend(fired.iter().map(|fired| plan.correlation_alert(fired)));
    Ok((read, matched))
}

/// `Failed login 2 times, Login once`.
pub(super) fn told(matched: &Matched) -> String {
    let told = matched.iter().map(|(title, times)| match times {
        1 => format!("{title} once"),
        times => format!("{title} {times} times"),
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        "nothing".to_owned()
    } else {
        told.join(", ")
    }
}
