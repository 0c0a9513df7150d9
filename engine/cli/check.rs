//! `pythia check`: every mistake in the rules, what runs, what does not and why.

use std::collections::BTreeMap;

use anyhow::Result;
use console::diagnostics::{Shower, to_json};
use console::github::Texts;
use console::printing::{Output, Paint, err, escaped, out, out_json};
use detect::{NotRunning, view_name};
use serde_json::{Value, json};
use sigma::{Attributes, Correlation, Diagnostic, Filter, LogSource, Place, Rule, Severity};

use crate::args::{Check, Common};
use crate::codes;
use crate::config;
use crate::rules::{self, Rules};
use crate::{Exit, Failure};

/// The diagnostic of a placeholder without values: such a rule is well formed, and rejected.
const PLACEHOLDER: &str = "R040";

pub(crate) fn run(common: &Common, check: &Check) -> Result<Exit> {
    if let Some(code) = &check.explain {
        return codes::explain(code);
    }
    let mut paths = common.rules.clone();
    paths.extend(check.paths.iter().cloned());
    if paths.is_empty() {
        paths = config::load(common, Vec::new())?
            .list("rules.paths")
            .iter()
            .map(Into::into)
            .collect();
    }
    let rules = rules::load(&paths, &common.loading(), rules::By::Scan)?;
    if rules.files.is_empty() {
        let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        let what = "there is no rule file (.yml, .yaml) in";
        return Err(Failure::Usage(format!("{what} {}", paths.join(", "))).into());
    }
    let totals = Totals::new(&rules);
    match common.output() {
        Output::Table if common.is_github() => annotations(common, &rules, &totals)?,
        Output::Table => out(&text(common, &rules, &totals))?,
        Output::Json => out_json(&format!(
            "{}\n",
            serde_json::to_string_pretty(&json(&rules, &totals))?
        ))?,
        Output::Jsonl => out_json(&format!("{}\n", json(&rules, &totals)))?,
    };
    let bad = totals.errors > 0 || (check.strict && totals.warnings > 0);
    Ok(if bad { Exit::Findings } else { Exit::Ok })
}

#[derive(Debug, Default)]
struct Totals {
    files: usize,
    loaded: usize,
    failed: usize,
    rejected: usize,
    errors: usize,
    warnings: usize,
    running: usize,
    not_running: usize,
    linux: Linux,
}

/// Rules for `product: linux`.
#[derive(Debug, Default)]
struct Linux {
    loaded: usize,
    routed: usize,
    running: usize,
    listed: usize,
}

impl Totals {
    fn new(rules: &Rules) -> Self {
        let is_error = |d: &&Diagnostic| d.severity == Severity::Error;
        let mut failed = BTreeMap::new();
        for diagnostic in rules.diagnostics.iter().filter(is_error) {
            // One document is one entry, however many mistakes it has.
            let document = (diagnostic.place.file.clone(), diagnostic.rule.clone());
            let only_placeholder = failed.entry(document).or_insert(true);
            *only_placeholder &= diagnostic.code == PLACEHOLDER;
        }
        let rejected = failed
            .values()
            .filter(|only_placeholder| **only_placeholder)
            .count();
        let running = rules.compiled.plan.rules();
        let is_linux = |rule: &Rule| rule.logsource.product.as_deref() == Some("linux");
        let listed: Vec<&NotRunning> = rules
            .compiled
            .not_running
            .iter()
            .filter(|n| is_linux(&n.rule))
            .collect();
        let linux_running = running.iter().filter(|rule| is_linux(rule)).count();
        Self {
            files: rules.files.len(),
            loaded: rules.loaded,
            failed: failed.len() - rejected,
            rejected,
            errors: rules.count(Severity::Error),
            warnings: rules.count(Severity::Warning),
            running: running.len(),
            not_running: rules.compiled.not_running.len(),
            linux: Linux {
                loaded: linux_running + listed.len(),
                routed: linux_running + listed.iter().filter(|n| n.routed).count(),
                running: linux_running,
                listed: listed.len(),
            },
        }
    }
}

/// Diagnostics as annotations; the summary goes to stderr.
fn annotations(common: &Common, rules: &Rules, totals: &Totals) -> std::io::Result<bool> {
    let texts = Texts::new(&rules.files);
    let lines = rules.diagnostics.iter().map(|one| texts.annotation(one));
    let read = out(&lines.collect::<String>())?;
    if !common.quiet {
        err(&(summary(totals) + &others(rules)));
    }
    Ok(read)
}

fn text(common: &Common, rules: &Rules, totals: &Totals) -> String {
    let paint = Paint::stdout();
    let shower = Shower::new(&rules.files, paint);
    let mut text = String::new();
    for diagnostic in &rules.diagnostics {
        text += &shower.text(diagnostic);
        text.push('\n');
    }
    let routed: Vec<&NotRunning> = rules
        .compiled
        .not_running
        .iter()
        .filter(|n| n.routed)
        .collect();
    let correlations = &rules.compiled.correlations_not_running;
    if !routed.is_empty() || !correlations.is_empty() {
        text += &paint.bold("Not running\n");
        for not_running in routed {
            text += &line(
                &not_running.rule.attributes,
                &not_running.place,
                &not_running.reason,
            );
        }
        for (correlation, reason) in correlations {
            let attributes = &correlation.attributes;
            text += &line(attributes, &attributes.place, reason);
        }
        text.push('\n');
    }
    text += &routed_nowhere(common, rules, paint);
    text += &running(common, rules, paint);
    text += &summary(totals);
    if common.verbose {
        text += &by_code(rules);
    }
    text + &others(rules)
}

fn line(attributes: &Attributes, place: &Place, reason: &str) -> String {
    format!(
        "  {}:{}:{}: {}: {}\n",
        escaped(&place.file),
        place.line,
        place.column,
        escaped(&attributes.title),
        escaped(reason)
    )
}

/// Rules whose log source no view feeds: by log source, each rule with `-v`, those for linux always.
fn routed_nowhere(common: &Common, rules: &Rules, paint: Paint) -> String {
    let mut sources: BTreeMap<String, Vec<&NotRunning>> = BTreeMap::new();
    for not_running in rules.compiled.not_running.iter().filter(|n| !n.routed) {
        sources
            .entry(source_name(&not_running.rule.logsource))
            .or_default()
            .push(not_running);
    }
    if sources.is_empty() {
        return String::new();
    }
    let mut text = paint.bold("Routed nowhere: no view of audit events feeds these log sources\n");
    for (source, rules) in sources {
        text += &format!(
            "  {}: {}\n",
            escaped(&source),
            config::count(rules.len(), "rule")
        );
        let is_linux = rules[0].rule.logsource.product.as_deref() == Some("linux");
        if common.verbose || is_linux {
            for not_running in rules {
                let NotRunning {
                    rule,
                    place,
                    reason,
                    ..
                } = not_running;
                text += &format!("  {}", line(&rule.attributes, place, reason));
            }
        }
    }
    text + "\n"
}

fn running(common: &Common, rules: &Rules, paint: Paint) -> String {
    let plan = &rules.compiled.plan;
    let mut views: BTreeMap<&str, usize> = BTreeMap::new();
    let mut list = String::new();
    for (number, rule) in (0..).zip(plan.rules()) {
        let facts = plan.facts(detect::RuleIdx(number));
        *views.entry(view_name(facts.view)).or_default() += 1;
        if common.verbose {
            let witness = if facts.witness {
                ""
            } else {
                " (no literal to find it by)"
            };
            list += &format!(
                "  {}: {}{witness}\n",
                view_name(facts.view),
                escaped(&rule.attributes.title)
            );
        }
    }
    let mut text = paint.bold("Running\n");
    for (view, count) in views {
        text += &format!("  {view}: {}\n", config::count(count, "rule"));
    }
    text + &list + "\n"
}

fn summary(totals: &Totals) -> String {
    let Totals {
        files,
        loaded,
        failed,
        rejected,
        errors,
        warnings,
        running,
        not_running,
        linux,
    } = totals;
    let Linux {
        loaded: linux_loaded,
        routed,
        running: linux_running,
        listed,
    } = linux;
    let rejected = match rejected {
        0 => String::new(),
        n => format!(", {n} rejected for placeholders without values"),
    };
    format!(
        "{}: {} loaded, {failed} failed to load{rejected}; {}, {}\n\
         {running} running, {not_running} not running\n\
         product linux: {}, {routed} routed, {linux_running} running, {listed} listed as not running\n",
        config::count(*files, "file"),
        config::count(*loaded, "rule"),
        config::count(*errors, "error"),
        config::count(*warnings, "warning"),
        config::count(*linux_loaded, "rule"),
    )
}

/// How many diagnostics there are of each code.
fn by_code(rules: &Rules) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for diagnostic in &rules.diagnostics {
        *counts.entry(diagnostic.code).or_default() += 1;
    }
    if counts.is_empty() {
        return String::new();
    }
    let counts = counts.iter().map(|(code, count)| format!("{code} {count}"));
    format!("by code: {}\n", counts.collect::<Vec<_>>().join(", "))
}

/// Correlations and filters, if there are any.
fn others(rules: &Rules) -> String {
    let running = rules.compiled.plan.correlations().len();
    let idle = rules.compiled.correlations_not_running.len();
    let mut text = String::new();
    if running + idle > 0 {
        let correlations = config::count(running + idle, "correlation");
        text += &format!("{correlations}: {running} running, {idle} not running\n");
    }
    if !rules.filters.is_empty() {
        let idle = rules
            .filters
            .iter()
            .filter(|filter| filter.reached.is_empty());
        let filters = config::count(rules.filters.len(), "filter");
        text += &format!("{filters}, of which {} reach no rule\n", idle.count());
    }
    text
}

fn source_name(source: &LogSource) -> String {
    let parts = [
        ("product", &source.product),
        ("category", &source.category),
        ("service", &source.service),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
        .collect();
    parts.join(", ")
}

fn correlations(rules: &Rules) -> Vec<Value> {
    let entry = |correlation: &Correlation, reason: Option<&String>| {
        let attributes = &correlation.attributes;
        json!({
            "id": attributes.id, "title": attributes.title, "file": &*attributes.place.file, "line": attributes.place.line,
            "running": reason.is_none(), "reason": reason,
        })
    };
    let running = rules.compiled.plan.correlations().all();
    let idle = rules.compiled.correlations_not_running.iter();
    running
        .map(|correlation| entry(correlation, None))
        .chain(idle.map(|(correlation, reason)| entry(correlation, Some(reason))))
        .collect()
}

fn filters(rules: &Rules) -> Vec<Value> {
    let entry = |filter: &Filter| {
        let attributes = &filter.attributes;
        json!({
            "id": attributes.id, "title": attributes.title, "file": &*attributes.place.file, "line": attributes.place.line,
            "rules": filter.reached.iter().map(|rule| &**rule).collect::<Vec<&str>>(),
        })
    };
    rules.filters.iter().map(entry).collect()
}

fn json(rules: &Rules, totals: &Totals) -> Value {
    let plan = &rules.compiled.plan;
    let running: Vec<Value> = (0..)
        .zip(plan.rules())
        .map(|(number, rule)| {
            let facts = plan.facts(detect::RuleIdx(number));
            json!({
                "id": rule.attributes.id, "title": rule.attributes.title, "file": &*rule.attributes.place.file, "line": rule.attributes.place.line,
                "view": view_name(facts.view), "witness": facts.witness,
            })
        })
        .collect();
    let not_running: Vec<Value> = rules
        .compiled
        .not_running
        .iter()
        .map(
            |NotRunning {
                 rule,
                 place,
                 routed,
                 reason,
                 ..
             }| {
                json!({
                    "id": rule.attributes.id, "title": rule.attributes.title, "file": &*place.file, "line": place.line,
                    "column": place.column, "routed": routed, "reason": reason,
                    "logsource": source_name(&rule.logsource),
                })
            },
        )
        .collect();
    json!({
        "totals": {
            "files": totals.files, "loaded": totals.loaded, "failed": totals.failed, "rejected": totals.rejected,
            "errors": totals.errors, "warnings": totals.warnings,
            "running": totals.running, "not_running": totals.not_running,
            "linux": {
                "loaded": totals.linux.loaded, "routed": totals.linux.routed,
                "running": totals.linux.running, "listed": totals.linux.listed,
            },
        },
        "correlations": correlations(rules),
        "filters": filters(rules),
        "ruleset": plan.hash(),
        "running": running,
        "not_running": not_running,
        "diagnostics": rules.diagnostics.iter().map(to_json).collect::<Vec<_>>(),
    })
}
