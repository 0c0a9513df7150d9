//! `pythia explain`: rules as compiled; on an event, which of its values decide, seen against asked, or what keeps a rule
//! from matching; correlations on a file of events.

mod captured;
mod compiled;
mod correlated;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use console::printing::{Output, Paint, err, escaped, out, out_json};
use detect::{Detector, ExplainedView, Explainer, NotRunning, Plan, RuleIdx, view_name};
use event::{ProcessCache, Profile};
use serde_json::{Value, json};
use sigma::{Attributes, Rule, Severity, SourceFile};

use crate::args::{Common, Explain};
use crate::rules::Rules;
use crate::{Exit, Failure, config, explained, rules, scan};
use captured::Captured;
use compiled::Source;

/// Most views of a rule that are shown: the nearest to a match.
const VIEWS_MAX: usize = 3;

pub(crate) fn run(common: &Common, explain: &Explain) -> Result<Exit> {
    let config = config::load(common, Vec::new())?;
    let profile = Arc::new(scan::profile(&config));
    let loaded = Loaded::new(common, explain)?;
    let captured = match &explain.event {
        Some(event) => Some(Captured::read(event, explain, profile.limits.line_bytes)?),
        None => None,
    };
    let mut told = Told {
        text: String::new(),
        entries: Vec::new(),
        paint: Paint::stdout(),
        verbose: common.verbose,
        why_not: explain.why_not,
        reasons: 0,
    };
    let cache_bytes = config.size("process_cache.bytes");
    let plan = &loaded.plan;
    let mut cache = captured.as_ref().map(|captured| {
        let detector = Detector::new(Arc::clone(plan), Arc::clone(&profile));
        captured.processes(detector, cache_bytes)
    });
    for index in loaded.running() {
        match captured.as_ref().zip(cache.as_mut()) {
            Some((captured, cache)) => {
                let rule = Arc::clone(&plan.rules()[index.0 as usize]);
                let on = OnEvent::new(rule, &profile, captured, cache)?;
                told.on_event(plan, index, &on);
            }
            None => told.compiled(&loaded.source(), plan, index),
        }
    }
    for idle in loaded.not_running() {
        told.not_running(&loaded.source(), idle, captured.is_none());
    }
    let limits = scan::correlation_limits(&config);
    for one in loaded.correlations(common)? {
        let on = captured.as_ref().and_then(|captured| {
            correlated::on(plan, &profile, &one, captured, (cache_bytes, limits))
        });
        told.correlation(&one, on.as_ref());
    }
    if told.entries.is_empty() {
        let rule = explain.rule.display();
        let what = format!(
            "{rule}: no rule to explain; `pythia check {rule}` says why (what a correlation reads is named with --rules)"
        );
        return Err(Failure::Usage(what).into());
    }
    told.print(common)?;
    let found = !explain.why_not || told.reasons > 0;
    Ok(if found { Exit::Ok } else { Exit::Findings })
}

/// The rules of the file or folder that is explained, compiled with those of `--rules`, which correlations may read.
struct Loaded {
    plan: Arc<Plan>,
    not_running: Vec<NotRunning>,
    correlations_not_running: Vec<(sigma::Correlation, String)>,
    files: Vec<SourceFile>,
    paths: Vec<PathBuf>,
    /// Names of the files that are explained.
    explained: Vec<String>,
}

impl Loaded {
    fn new(common: &Common, explain: &Explain) -> Result<Self> {
        let own = std::slice::from_ref(&explain.rule);
        let mut paths = own.to_vec();
        let (explained, _) = rules::find(own);
        // What lies in both is loaded once.
        let known: Vec<PathBuf> = explained
            .iter()
            .filter_map(|p| p.canonicalize().ok())
            .collect();
        let (others, _) = rules::find(&common.rules);
        paths.extend(others.into_iter().filter(|path| {
            let path = path.canonicalize();
            path.map_or(true, |path| !known.contains(&path))
        }));
        let names = explained
            .iter()
            .map(|path| path.to_string_lossy().into_owned());
        let rules = rules::load_only(&paths, &common.loading())?;
        let errors = rules.count(Severity::Error);
        if errors > 0 && !common.quiet {
            let errors = config::count(errors as u64, "error");
            err(&format!("{errors} in rules; `pythia check` shows all\n"));
        }
        let Rules {
            files, compiled, ..
        } = rules;
        Ok(Self {
            plan: Arc::new(compiled.plan),
            not_running: compiled.not_running,
            correlations_not_running: compiled.correlations_not_running,
            files,
            explained: names.collect(),
            paths,
        })
    }

    fn is_explained(&self, attributes: &Attributes) -> bool {
        self.explained
            .iter()
            .any(|name| **name == *attributes.place.file)
    }

    fn running(&self) -> impl Iterator<Item = RuleIdx> {
        let rules = (0..).map(RuleIdx).zip(self.plan.rules());
        rules
            .filter(|(_, rule)| self.is_explained(&rule.attributes))
            .map(|(index, _)| index)
    }

    fn not_running(&self) -> impl Iterator<Item = &NotRunning> {
        let idle = self.not_running.iter();
        idle.filter(|idle| self.is_explained(&idle.rule.attributes))
    }

    /// The correlations, and who does not evaluate each, and why.
    fn correlations(&self, common: &Common) -> Result<Vec<correlated::Correlation>> {
        let running = (0..).zip(self.plan.correlations().all());
        let running = running.map(|(number, of)| (of, Some(detect::CorrelationIdx(number)), None));
        let idle = self.correlations_not_running.iter();
        let idle = idle.map(|(of, reason)| (of, None, Some(reason.clone())));
        let all = running.chain(idle);
        let mut all = all
            .filter(|(of, ..)| self.is_explained(&of.attributes))
            .peekable();
        if all.peek().is_none() {
            return Ok(Vec::new());
        }
        // What the service does not evaluate is known where rules are compiled for it.
        let service = rules::load_only_by(&self.paths, &common.loading(), rules::By::Service)?;
        let refused = service.compiled.correlations_not_running;
        let with = |(of, index, reason): (&sigma::Correlation, _, _)| {
            let refused = refused.iter().find(|(refused, _)| {
                let (a, b) = (&refused.attributes.place, &of.attributes.place);
                (&a.file, a.bytes) == (&b.file, b.bytes)
            });
            correlated::Correlation {
                of: of.clone(),
                index,
                reason,
                service: refused.map(|(_, reason)| reason.clone()),
            }
        };
        Ok(all.map(with).collect())
    }

    fn source(&self) -> Source<'_> {
        Source(&self.files)
    }
}

/// A rule on an event.
struct OnEvent {
    views: Vec<ExplainedView>,
    seen_by: Vec<&'static str>,
}

impl OnEvent {
    fn new(
        rule: Arc<Rule>,
        profile: &Arc<Profile>,
        captured: &Captured,
        cache: &mut ProcessCache,
    ) -> Result<Self> {
        let mut explainer =
            Explainer::with_hints(rule, Arc::clone(profile)).map_err(Failure::Usage)?;
        let views = captured.explain(&mut explainer, cache)?;
        let seen_by = explainer.seen_by();
        Ok(Self { views, seen_by })
    }

    fn matches(&self) -> bool {
        self.views.iter().any(|view| view.holds)
    }
}

/// What is said, in both forms.
struct Told {
    text: String,
    entries: Vec<Value>,
    paint: Paint,
    verbose: bool,
    why_not: bool,
    /// Rules of which `--why-not` says something.
    reasons: usize,
}

impl Told {
    fn compiled(&mut self, source: &Source<'_>, plan: &Plan, index: RuleIdx) {
        let rule = plan.rule(index);
        self.text += &head(&rule.attributes, self.paint);
        self.text += &source.text(rule, Some((plan, index)), self.verbose, self.paint);
        self.text += "\n";
        let mut entry = about(&rule.attributes);
        merge(&mut entry, source.json(rule, Some((plan, index))));
        self.entries.push(entry);
    }

    fn not_running(&mut self, source: &Source<'_>, idle: &NotRunning, whole: bool) {
        let NotRunning {
            rule,
            place,
            reason,
            ..
        } = idle;
        self.reasons += 1;
        self.text += &head(&rule.attributes, self.paint);
        let state = self.paint.state_of(false, "does not run");
        self.text += &format!("  {state}: {} (line {})\n", escaped(reason), place.line);
        let mut entry = about(&rule.attributes);
        merge(&mut entry, json!({ "not_running": reason }));
        if whole {
            self.text += &source.text(rule, None, self.verbose, self.paint);
            merge(&mut entry, source.json(rule, None));
        }
        self.text += "\n";
        self.entries.push(entry);
    }

    fn on_event(&mut self, plan: &Plan, index: RuleIdx, on: &OnEvent) {
        let rule = plan.rule(index);
        let facts = plan.facts(index);
        let view = view_name(facts.view);
        self.reasons += usize::from(!on.matches());
        self.text += &head(&rule.attributes, self.paint);
        if !self.why_not {
            let found = if facts.witness {
                "found by a literal"
            } else {
                "no literal to find it by, so verified on every view"
            };
            self.text += &format!("  runs on {view}, {found}\n");
        }
        let verdict = if on.matches() {
            "matches"
        } else {
            "does not match"
        };
        self.text += &format!("  {}\n", self.paint.state_of(on.matches(), verdict));
        if on.views.is_empty() {
            let others = match &on.seen_by[..] {
                [] => "no log source sees it".to_owned(),
                seen => format!("it is seen by {}", seen.join(", ")),
            };
            self.text += &format!("  the event gives no view of {view}; {others}\n");
        }
        if !(self.why_not && on.matches()) {
            self.views(&on.views);
        }
        self.text += "\n";
        let mut entry = about(&rule.attributes);
        merge(
            &mut entry,
            json!({
                "view": view, "witness": facts.witness,
                "filters": Source::filters(rule),
                "matches": on.matches(),
                "seen_by": on.seen_by,
                "views": on.views.iter().map(explained::json).collect::<Vec<_>>(),
            }),
        );
        self.entries.push(entry);
    }

    fn views(&mut self, views: &[ExplainedView]) {
        // What is further away is of no use to somebody who asks what is in the way.
        let is_near = |view: &&ExplainedView| {
            !self.why_not || self.verbose || view.distance == views[0].distance
        };
        let near = views.iter().filter(is_near).count().min(VIEWS_MAX);
        for view in &views[..near] {
            let verdict = match (view.holds, view.distance) {
                (true, _) => "matches".to_owned(),
                (false, items) => format!(
                    "does not match, {} away",
                    config::count(items as u64, "item")
                ),
            };
            self.text += &format!("\n  {}: {verdict}\n", explained::name(view));
            self.text += &if self.why_not {
                explained::needs(view, "    ", self.verbose)
            } else {
                explained::tree(view, "    ", self.verbose, self.paint)
            };
        }
        if views.len() > near {
            let more = config::count((views.len() - near) as u64, "view");
            self.text += &format!("\n  and {more} further away\n");
        }
    }

    fn correlation(&mut self, one: &correlated::Correlation, on: Option<&correlated::OnEvents>) {
        self.reasons += usize::from(!on.is_some_and(correlated::OnEvents::fired));
        self.text += &head(&one.of.attributes, self.paint);
        self.text += &one.text(self.paint);
        let mut entry = about(&one.of.attributes);
        merge(&mut entry, one.json());
        if let Some(on) = on {
            self.text += &on.text(one, self.paint);
            merge(&mut entry, on.json());
        }
        self.text += "\n";
        self.entries.push(entry);
    }

    fn print(&self, common: &Common) -> Result<()> {
        match common.output() {
            Output::Table => out(&format!("{}\n", self.text.trim_end_matches('\n')))?,
            Output::Json => {
                let document = serde_json::to_string_pretty(&self.entries)?;
                out_json(&format!("{document}\n"))?
            }
            Output::Jsonl => {
                let lines = self.entries.iter().map(|entry| format!("{entry}\n"));
                out_json(&lines.collect::<String>())?
            }
        };
        Ok(())
    }
}

fn head(attributes: &Attributes, paint: Paint) -> String {
    let Attributes { title, place, .. } = attributes;
    let (title, file) = (paint.bold(&escaped(title)), escaped(&place.file));
    format!("{title}\n  {file}:{}\n", place.line)
}

fn about(attributes: &Attributes) -> Value {
    let Attributes {
        id, title, place, ..
    } = attributes;
    json!({ "id": id, "title": title, "file": &*place.file, "line": place.line })
}

/// Adds the members of another object.
fn merge(entry: &mut Value, other: Value) {
    if let (Value::Object(entry), Value::Object(other)) = (entry, other) {
        entry.extend(other);
    }
}
