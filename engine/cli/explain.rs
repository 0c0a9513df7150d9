//! `pythia explain`: rules on one event: how each runs, and which of its values decide, seen against asked.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use console::printing::{Output, Paint, escaped, out, out_json};
use detect::{ExplainedView, Explainer, Line, NotRunning, Plan, RuleIdx, Source, view_name};
use event::{Origin, ProcessCache};
use serde_json::{Value, json};
use sigma::Attributes;

use crate::args::{Common, Explain};
use crate::input::{Lines, Next};
use crate::{Exit, Failure, config, explained, new, rules, scan};

/// Most views of a rule that are shown: the nearest to a match.
const VIEWS_MAX: usize = 3;

/// The lines of a file up to the one that is explained.
struct Captured {
    name: String,
    lines: Vec<Vec<u8>>,
}

pub(crate) fn run(common: &Common, explain: &Explain) -> Result<Exit> {
    let config = config::load(common, Vec::new())?;
    let profile = Arc::new(scan::profile(&config));
    let loaded = rules::load_only(std::slice::from_ref(&explain.rule), common.options())?;
    let (path, number) = new::position(&explain.event);
    let captured = Captured::read(&path, number, profile.limits.line_bytes)?;
    let cache_bytes = config.size("process_cache.bytes");
    let paint = Paint::stdout();
    let (mut text, mut entries) = (String::new(), Vec::new());
    let plan = &loaded.compiled.plan;
    for (number, rule) in (0..).map(RuleIdx).zip(plan.rules()) {
        let mut explainer = Explainer::new(Arc::clone(rule), Arc::clone(&profile))
            .map_err(|reason| Failure::Usage(reason.clone()))?;
        let mut cache = ProcessCache::new(cache_bytes, i64::MAX);
        let views = captured.explain(&mut explainer, &mut cache)?;
        text += &shown(plan, number, &views, paint);
        entries.push(entry(plan, number, &views));
    }
    for NotRunning {
        rule,
        place,
        reason,
        ..
    } in &loaded.compiled.not_running
    {
        let (attributes, line) = (&rule.attributes, place.line);
        text += &format!(
            "{}\n  does not run: {} (line {line})\n\n",
            paint.bold(&escaped(&attributes.title)),
            escaped(reason)
        );
        entries
            .push(json!({ "id": attributes.id, "title": attributes.title, "not_running": reason }));
    }
    if entries.is_empty() {
        let rule = explain.rule.display();
        let what = format!("{rule}: no rule to explain; `pythia check {rule}` says why");
        return Err(Failure::Usage(what).into());
    }
    match common.output() {
        Output::Table => out(text.trim_end_matches('\n'))
            .and_then(|_| out("\n"))
            .map(|_| ())?,
        Output::Json => {
            out_json(&format!("{}\n", serde_json::to_string_pretty(&entries)?))?;
        }
        Output::Jsonl => {
            let lines = entries.iter().map(|entry| format!("{entry}\n"));
            out_json(&lines.collect::<String>())?;
        }
    }
    Ok(Exit::Ok)
}

impl Captured {
    /// All lines up to the one of this number; without a number the first that is not blank.
    fn read(path: &Path, number: Option<u64>, limit: usize) -> Result<Self> {
        let name = path.display().to_string();
        let mut lines =
            Lines::open(path, limit).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let mut read = Vec::new();
        loop {
            let bytes = match lines.next().with_context(|| name.clone())? {
                Next::Line(bytes) => bytes.trim_ascii().to_vec(),
                Next::Oversize(..) => Vec::new(),
                Next::Drained => continue,
                Next::End => break,
            };
            let is_it = match number {
                Some(number) => number == read.len() as u64 + 1,
                None => !bytes.is_empty(),
            };
            read.push(bytes);
            if is_it {
                return Ok(Self { name, lines: read });
            }
        }
        let what = match number {
            Some(number) => format!("{name} has no line {number}, only {}", read.len()),
            None => format!("{name} has no event"),
        };
        Err(Failure::Usage(what).into())
    }

    /// The rule on the last line; the process cache learns of those before.
    fn explain(
        &self,
        explainer: &mut Explainer,
        cache: &mut ProcessCache,
    ) -> Result<Vec<ExplainedView>> {
        let mut views = Ok(Vec::new());
        for (bytes, number) in self.lines.iter().zip(1..) {
            let line = Line {
                bytes,
                origin: Origin {
                    host: None,
                    scope: Some(b"explain"),
                },
                source: Source::File {
                    file: &self.name,
                    line: number,
                },
            };
            views = explainer.explain(&line, cache);
        }
        views.map_err(|fault| {
            let (name, line) = (&self.name, self.lines.len());
            Failure::Usage(format!("{name}:{line}: no event: {}", fault.code())).into()
        })
    }
}

fn matches(views: &[ExplainedView]) -> bool {
    views.iter().any(|view| view.holds)
}

/// One rule for people.
fn shown(plan: &Plan, index: RuleIdx, views: &[ExplainedView], paint: Paint) -> String {
    let rule = plan.rule(index);
    let Attributes { title, place, .. } = &rule.attributes;
    let facts = plan.facts(index);
    let found = if facts.witness {
        "found by a literal"
    } else {
        "no literal to find it by, so verified on every view"
    };
    let verdict = if matches(views) {
        "matches"
    } else {
        "does not match"
    };
    let mut text = format!(
        "{}\n  {}:{}\n  runs on {}, {found}\n",
        paint.bold(&escaped(title)),
        escaped(&place.file),
        place.line,
        view_name(facts.view)
    );
    for filter in &rule.filters {
        text += &format!("  filter {}\n", escaped(&filter.key));
    }
    text += &format!("  {}\n", paint.state_of(matches(views), verdict));
    if views.is_empty() {
        let view = view_name(facts.view);
        text +=
            &format!("  the event gives no view of {view}; `pythia fields` lists what feeds it\n");
    }
    for view in views.iter().take(VIEWS_MAX) {
        let verdict = match (view.holds, view.distance) {
            (true, _) => "matches".to_owned(),
            (false, items) => format!(
                "does not match, {} away",
                config::count(items as u64, "item")
            ),
        };
        text += &format!("\n  {}: {verdict}\n", explained::name(view));
        text += &explained::selections(view, "    ", paint);
    }
    if views.len() > VIEWS_MAX {
        let more = config::count((views.len() - VIEWS_MAX) as u64, "view");
        text += &format!("\n  and {more} further away\n");
    }
    text + "\n"
}

/// One rule for programs.
fn entry(plan: &Plan, index: RuleIdx, views: &[ExplainedView]) -> Value {
    let rule = plan.rule(index);
    let Attributes {
        id, title, place, ..
    } = &rule.attributes;
    let facts = plan.facts(index);
    let filters = rule.filters.iter().map(|filter| &*filter.key);
    json!({
        "id": id, "title": title, "file": &*place.file, "line": place.line,
        "view": view_name(facts.view), "witness": facts.witness,
        "filters": filters.collect::<Vec<&str>>(),
        "matches": matches(views),
        "views": views.iter().map(explained::json).collect::<Vec<_>>(),
    })
}
