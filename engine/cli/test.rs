//! `pythia test`: the fixtures beside rules, each case with the rules of its file, compiled as in `scan`; of correlations
//! with all that was loaded.

mod correlated;
mod events;
mod files;
mod report;
mod second;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use console::progress::Progress;
use detect::{
    Alert, Compiled, CorrelationLimits, Detector, ExplainedView, Explainer, Limits, Options, Plan,
    Source, view_name,
};
use event::{Decoder, Fields, ProcessCache, Profile, ViewKind};
use serde_json::Value;
use sigma::{Attributes, Case, Diagnostic, Expect, Fixture, Rule, Severity, SourceFile};

use crate::args::{Common, Test};
use crate::rules::{self, Rules};
use crate::{Exit, Failure, config, scan};
use events::{Read, each_line};
use files::{Found, rule_of};
use second::{Said, Seconds};

/// Views of a wrong case that are told, the nearest first; the others are counted.
const VIEWS_MAX: usize = 3;
/// Views of a wrong case that are kept to find the nearest among them: a case may name a long recording.
const KEPT_MAX: usize = 1000;

pub(crate) fn run(common: &Common, test: &Test) -> Result<Exit> {
    let started = Instant::now();
    let config = config::load(common, Vec::new())?;
    let mut paths = [test.paths.as_slice(), &common.rules].concat();
    if paths.is_empty() {
        paths = scan::rule_paths(common, &config);
    }
    if paths.is_empty() {
        let what = "name the folder or the file of the rules: `pythia test rules/`";
        return Err(Failure::Usage(what.into()).into());
    }
    let found = Found::below(&paths)?;
    let loaded = rules::load_only(&found.rules, &common.loading())?;
    let without_fixture = without_fixture(&loaded, &found.fixtures);
    let Rules {
        files,
        compiled,
        diagnostics,
        ..
    } = loaded;
    let idle = idle(&compiled);
    let max_age = config.length("process_cache.max_age").as_millis();
    let runner = Runner {
        plan: Arc::new(compiled.plan),
        second_opinion: test.second_opinion,
        files: files.clone(),
        idle,
        correlation_limits: scan::correlation_limits(&config),
        options: common.options(),
        profile: Arc::new(scan::profile(&config)),
        // A file may have more rules than an event may have alerts.
        limits: Limits {
            alerts_per_event: usize::MAX,
            ..scan::limits(&config)
        },
        cache_bytes: config.size("process_cache.bytes"),
        cache_age_ms: i64::try_from(max_age).unwrap_or(i64::MAX),
    };
    let mut report = Report {
        diagnostics,
        files,
        without_fixture,
        ..Report::default()
    };
    let sizes = found.fixtures.iter().map(|path| bytes_of(path));
    let mut progress = Progress::bytes(Some(sizes.sum()), common.quiet);
    let mut done = 0;
    for fixture in &found.fixtures {
        progress.on(&fixture.to_string_lossy());
        report.fixture(fixture, &runner, &test.only);
        done += bytes_of(fixture);
        progress.at(done);
    }
    progress.done();
    report.elapsed = started.elapsed();
    report
        .diagnostics
        .retain(|diagnostic| diagnostic.severity == Severity::Error || diagnostic.code >= "T");
    report.diagnostics.sort_by(|a, b| a.place.cmp(&b.place));
    if report.results.is_empty() && report.diagnostics.is_empty() && !test.require_fixtures {
        let what = if test.only.is_empty() {
            "there is no fixture (.test.yml) beside these rules"
        } else {
            "no case is of that name"
        };
        return Err(Failure::Usage(what.into()).into());
    }
    report.show(common, test)?;
    Ok(if report.is_good(test.require_fixtures) {
        Exit::Ok
    } else {
        Exit::Findings
    })
}

fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Files of rules that have no fixture, with how many loaded rules they hold.
fn without_fixture(rules: &Rules, fixtures: &[PathBuf]) -> BTreeMap<String, usize> {
    let tested: BTreeSet<String> = fixtures
        .iter()
        .filter_map(|fixture| rule_of(fixture))
        .map(|rule| rule.to_string_lossy().into_owned())
        .collect();
    let mut without = BTreeMap::new();
    let Compiled {
        plan,
        not_running,
        correlations_not_running,
        ..
    } = &rules.compiled;
    let running = plan.rules().iter().map(|rule| &rule.attributes);
    let idle = not_running.iter().map(|idle| &idle.rule.attributes);
    let correlations = plan.correlations().all().map(|one| &one.attributes);
    let idle_correlations = correlations_not_running
        .iter()
        .map(|(one, _)| &one.attributes);
    let rules = running.chain(idle);
    for attributes in rules.chain(correlations).chain(idle_correlations) {
        let file = &*attributes.place.file;
        if !tested.contains(file) {
            *without.entry(file.to_owned()).or_default() += 1;
        }
    }
    without
}

/// Rules and correlations that do not run: their file, their title and why.
fn idle(compiled: &Compiled) -> Vec<(Arc<str>, String)> {
    let told = |attributes: &Attributes, reason: &str| {
        let file = Arc::clone(&attributes.place.file);
        (file, format!("{}: {reason}", attributes.title))
    };
    let rules = compiled.not_running.iter();
    let rules = rules.map(|idle| told(&idle.rule.attributes, &idle.reason));
    let correlations = compiled.correlations_not_running.iter();
    let correlations = correlations.map(|(one, reason)| told(&one.attributes, reason));
    rules.chain(correlations).collect()
}

/// What is the same for all cases.
struct Runner {
    /// Everything that was loaded and runs.
    plan: Arc<Plan>,
    /// Whether a second opinion is wanted.
    second_opinion: bool,
    /// The rule files.
    files: Vec<SourceFile>,
    /// What does not run: file, and title with the reason.
    idle: Vec<(Arc<str>, String)>,
    correlation_limits: CorrelationLimits,
    options: Options,
    profile: Arc<Profile>,
    limits: Limits,
    cache_bytes: usize,
    cache_age_ms: i64,
}

/// The rules of one file, ready to evaluate.
struct Suite<'a> {
    runner: &'a Runner,
    fixture: &'a Path,
    rules: Vec<Arc<Rule>>,
    correlations: Vec<Attributes>,
    /// Why rules of the file do not run.
    idle: Vec<String>,
    /// Of its rules alone.
    detector: Detector,
    seconds: Seconds,
}

/// What a case is about.
struct Meant {
    rules: Vec<Arc<Rule>>,
    /// Keys of these and of correlations.
    keys: Vec<String>,
    /// The title, if it is one.
    title: Option<String>,
    /// Whether there are correlations among them.
    correlated: bool,
}

/// A case, and what came of it.
struct Outcome {
    case: Case,
    /// The rule file.
    rule_file: String,
    /// Title of the rule, where the case is about one.
    title: Option<String>,
    /// What is wrong; `None`: the case holds.
    wrong: Option<Wrong>,
    /// The second opinion on each of its rules, where one is wanted.
    second: Vec<Said>,
}

/// A mistake in a fixture: its case can be neither right nor wrong.
type Mistake = Box<Diagnostic>;

/// The title of a case's rule, where it is about one, and what is wrong.
type Verdict = (Option<String>, Option<Wrong>);

/// Why a case does not hold.
#[derive(Default)]
struct Wrong {
    message: String,
    /// What the rule saw, the nearest to what was expected first.
    views: Vec<NearView>,
    /// How many more views there are.
    left_out: usize,
}

/// A view of a line that a rule was held against.
struct NearView {
    line: u64,
    title: String,
    view: ExplainedView,
}

/// Everything that is reported.
#[derive(Default)]
struct Report {
    results: Vec<Outcome>,
    /// Errors in rules, and mistakes in fixtures.
    diagnostics: Vec<Diagnostic>,
    files: Vec<SourceFile>,
    /// Rule file, and how many rules it holds.
    without_fixture: BTreeMap<String, usize>,
    elapsed: std::time::Duration,
}

impl Report {
    fn fixture(&mut self, path: &Path, runner: &Runner, only: &[String]) {
        let file = match rules::read_one(path) {
            Ok(Ok(file)) => file,
            Ok(Err(fault)) => {
                let (file, diagnostic) = *fault;
                self.files.push(file);
                self.diagnostics.push(diagnostic);
                return;
            }
            Err(error) => {
                let text = String::new().into();
                let name = path.to_string_lossy().into();
                let file = SourceFile { name, text };
                let mut diagnostic = Fixture::alone(&file, "");
                diagnostic.message = format!("the fixture cannot be read: {error}");
                diagnostic.help = Some("look at the file and its permissions".to_owned());
                self.diagnostics.push(diagnostic);
                return;
            }
        };
        self.files.push(file.clone());
        let fixture = Fixture::read(&file);
        self.diagnostics.extend(fixture.diagnostics);
        let Some(rule) = rule_of(path) else {
            let rule = path.with_extension("").with_extension("yml");
            let fault = Fixture::alone(&file, &rule.to_string_lossy());
            self.diagnostics.push(fault);
            return;
        };
        let rule_file = rule.to_string_lossy().into_owned();
        let mut suite = Suite::new(runner, path, &rule_file);
        for case in fixture.cases {
            let texts = [&rule_file, &*case.name].into_iter().chain(suite.titles());
            let texts: Vec<String> = texts.map(str::to_lowercase).collect();
            let named =
                |only: &String| texts.iter().any(|text| text.contains(&only.to_lowercase()));
            if !only.is_empty() && !only.iter().any(named) {
                continue;
            }
            let ran = suite.case(&case);
            let told = ran.and_then(|verdict| Ok((verdict, suite.second(&case)?)));
            match told {
                Err(diagnostic) => self.diagnostics.push(*diagnostic),
                Ok(((title, wrong), second)) => self.results.push(Outcome {
                    case,
                    rule_file: rule_file.clone(),
                    title,
                    wrong,
                    second,
                }),
            }
        }
    }

    fn failed(&self) -> usize {
        let results = self.results.iter();
        results.filter(|result| result.wrong.is_some()).count()
    }

    /// Mistakes of such a kind that some case or rule could not be looked at.
    fn errors(&self) -> usize {
        let errors = self.diagnostics.iter();
        errors.filter(|d| d.severity == Severity::Error).count()
    }

    fn is_good(&self, require_fixtures: bool) -> bool {
        let complete = !require_fixtures || self.without_fixture.is_empty();
        self.failed() == 0 && self.errors() == 0 && complete
    }
}

impl<'a> Suite<'a> {
    fn new(runner: &'a Runner, fixture: &'a Path, rule_file: &str) -> Self {
        let own = |attributes: &Attributes| *attributes.place.file == *rule_file;
        let running = runner.plan.rules().iter();
        let running = running.filter(|rule| own(&rule.attributes));
        let running: Vec<Arc<Rule>> = running.cloned().collect();
        let correlations = runner.plan.correlations().all();
        let correlations = correlations.map(|one| &one.attributes);
        // A case asks what a rule matches, also of one that only feeds a correlation.
        let alerting = |rule: &Arc<Rule>| Rule {
            alerts: true,
            ..(**rule).clone()
        };
        let plan = Plan::compile_with(running.iter().map(alerting).collect(), runner.options);
        let idle = runner.idle.iter().filter(|(file, _)| **file == *rule_file);
        Self {
            runner,
            fixture,
            correlations: correlations.filter(|a| own(a)).cloned().collect(),
            idle: idle.map(|(_, told)| told.clone()).collect(),
            detector: Detector::new(Arc::new(plan.plan), Arc::clone(&runner.profile))
                .with_limits(runner.limits),
            rules: running,
            seconds: Seconds::default(),
        }
    }

    /// Of everything in the file that runs.
    fn titles(&self) -> Vec<&str> {
        let rules = self.rules.iter().map(|rule| &rule.attributes);
        let all = rules.chain(&self.correlations);
        all.map(|attributes| &*attributes.title).collect()
    }

    /// What the case names; where it names nothing, everything in the file.
    fn meant(&self, case: &Case) -> Result<Meant, Mistake> {
        let is_meant = |attributes: &Attributes| {
            let Some(named) = &case.rule else { return true };
            let names = [&attributes.id, &attributes.name];
            let mut names = names.into_iter().flatten();
            attributes.title == *named.text || names.any(|name| **name == *named.text)
        };
        let rules = self.rules.iter().filter(|rule| is_meant(&rule.attributes));
        let rules: Vec<Arc<Rule>> = rules.cloned().collect();
        let correlations = self.correlations.iter().filter(|a| is_meant(a));
        let correlations: Vec<&Attributes> = correlations.collect();
        let all = rules.iter().map(|rule| &rule.attributes);
        let all: Vec<&Attributes> = all.chain(correlations.iter().copied()).collect();
        if all.is_empty()
            && self.idle.is_empty()
            && let Some(named) = &case.rule
        {
            return Err(Fixture::no_such_rule(named, &self.titles()).into());
        }
        Ok(Meant {
            keys: all.iter().map(|a| a.key().to_owned()).collect(),
            title: match &all[..] {
                [one] => Some(one.title.clone()),
                _ => None,
            },
            correlated: !correlations.is_empty(),
            rules,
        })
    }

    /// Runs one case.
    fn case(&mut self, case: &Case) -> Result<Verdict, Mistake> {
        let meant = self.meant(case)?;
        let title = meant.title;
        if meant.keys.is_empty() {
            let message = if self.idle.is_empty() {
                "no rule of the file loads".to_owned()
            } else {
                format!("the rule does not run: {}", self.idle.join("; "))
            };
            return Ok((title, Some(Wrong::new(message))));
        }
        let mut alerts = Vec::new();
        let (lines, matched) = if meant.correlated {
            let (lines, matched) =
                correlated::alerts(self.runner, self.fixture, case, &mut alerts)?;
            (lines, Some(matched))
        } else {
            (self.alerts(case, &mut alerts)?, None)
        };
        alerts.retain(|alert| meant.keys.iter().any(|key| key == alert.rule_key()));
        let message = match (lines, &case.expect) {
            (Read::Fault(line, fault), _) => {
                let code = fault.code();
                return Ok((
                    title,
                    Some(Wrong::new(format!("line {line} is no event: {code}"))),
                ));
            }
            (Read::Lines(0), _) => {
                return Ok((title, Some(Wrong::new("there is no line in it".to_owned()))));
            }
            (Read::Lines(_), Expect::Silent) if alerts.is_empty() => None,
            (Read::Lines(_), Expect::Silent) => Some("is to stay silent, and alerts".to_owned()),
            (Read::Lines(_), Expect::Alert(_)) if alerts.is_empty() => {
                Some("is to alert, and stays silent".to_owned())
            }
            (Read::Lines(_), Expect::Alert(part)) => {
                let missing = part
                    .as_deref()
                    .and_then(|part| missing_in_all(part, &alerts));
                return Ok((title, missing.map(Wrong::new)));
            }
        };
        let Some(message) = message else {
            return Ok((title, None));
        };
        if let Some(matched) = matched {
            let matched = correlated::told(&matched);
            let message = format!("{message}; of what correlations read matched: {matched}");
            return Ok((title, Some(Wrong::new(message))));
        }
        let is_silent = case.expect == Expect::Silent;
        let (views, left_out) = self.views(case, &meant.rules, is_silent)?;
        let message = if views.is_empty() && !is_silent {
            let seen = self.log_sources(case)?.join(", ");
            format!("{message}: its log source sees none of this; others do: {seen}")
        } else {
            message
        };
        let wrong = Wrong {
            message,
            views,
            left_out,
        };
        Ok((title, Some(wrong)))
    }

    /// The second opinion on what the case names, where one is wanted.
    fn second(&mut self, case: &Case) -> Result<Vec<Said>, Mistake> {
        if !self.runner.second_opinion {
            return Ok(Vec::new());
        }
        let meant = self.meant(case)?;
        let correlations = self.correlations.iter();
        let correlations = correlations.filter(|a| meant.keys.iter().any(|key| key == a.key()));
        let titles: Vec<String> = correlations.map(|a| a.title.clone()).collect();
        let case = (self.fixture, case);
        self.seconds.ask(self.runner, case, &meant.rules, &titles)
    }

    /// All alerts of the case's lines.
    fn alerts(&mut self, case: &Case, alerts: &mut Vec<Alert>) -> Result<Read, Mistake> {
        let mut cache = self.runner.cache();
        let detector = &mut self.detector;
        let limit = self.runner.profile.limits.line_bytes;
        each_line(case, self.fixture, limit, |line| {
            detector.run(line, &mut cache, alerts)
        })
    }

    /// The log sources that see something of the case's lines.
    fn log_sources(&self, case: &Case) -> Result<Vec<&'static str>, Mistake> {
        let mut fields = Fields::default();
        for kind in ViewKind::ALL {
            fields.want_view(kind);
        }
        let profile = Arc::clone(&self.runner.profile);
        let limit = profile.limits.line_bytes;
        let mut decoder = Decoder::new(profile, Arc::new(fields));
        let mut cache = self.runner.cache();
        let mut seen = [false; ViewKind::ALL.len()];
        each_line(case, self.fixture, limit, |line| {
            let event = decoder.decode(line.bytes, &line.origin, &mut cache)?;
            for view in event.views() {
                seen[view.kind as usize] = true;
            }
            Ok(())
        })?;
        let kinds = ViewKind::ALL.into_iter();
        let seen = kinds.filter(|kind| seen[*kind as usize]);
        Ok(seen.map(view_name).collect())
    }

    /// What the rules saw of the case's lines: all that matches, or what nearly does, the nearest first; and how many
    /// there are beyond what is told.
    fn views(
        &self,
        case: &Case,
        rules: &[Arc<Rule>],
        matching: bool,
    ) -> Result<(Vec<NearView>, usize), Mistake> {
        let (mut kept, mut seen) = (Vec::new(), 0);
        for rule in rules {
            let profile = Arc::clone(&self.runner.profile);
            let Ok(mut explainer) = Explainer::new(Arc::clone(rule), profile) else {
                continue;
            };
            let mut cache = self.runner.cache();
            let limit = self.runner.profile.limits.line_bytes;
            each_line(case, self.fixture, limit, |line| {
                let Source::File { line: number, .. } = line.source else {
                    return Ok(());
                };
                let views = explainer.explain(line, &mut cache)?;
                let views = views.into_iter().filter(|view| view.holds == matching);
                let before = kept.len();
                kept.extend(views.map(|view| NearView {
                    line: number,
                    title: rule.attributes.title.clone(),
                    view,
                }));
                seen += kept.len() - before;
                if kept.len() > KEPT_MAX {
                    kept.sort_by_key(|near| near.view.distance);
                    kept.truncate(VIEWS_MAX);
                }
                Ok(())
            })?;
        }
        kept.sort_by_key(|near| near.view.distance);
        kept.truncate(VIEWS_MAX);
        let left_out = seen - kept.len();
        Ok((kept, left_out))
    }
}

impl Runner {
    /// An empty process cache: cases know nothing of each other.
    fn cache(&self) -> ProcessCache {
        ProcessCache::new(self.cache_bytes, self.cache_age_ms)
    }
}

impl Wrong {
    fn new(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }
}

/// What the last alert lacks, if no alert has all of `part`, which is JSON.
fn missing_in_all(part: &str, alerts: &[Alert]) -> Option<String> {
    // YAML has numbers that JSON's reader refuses.
    let part: Value = match serde_json::from_str(part) {
        Ok(part) => part,
        Err(error) => {
            return Some(format!(
                "`alert` is nothing that an alert can have: {error}"
            ));
        }
    };
    let mut last = None;
    for alert in alerts {
        let alert = serde_json::from_str(&alert.to_json()).expect("alerts are JSON");
        last = Some(missing(&part, &alert, "alert")?);
    }
    last
}

/// What of `expected` is not in `actual`: maps by key, lists by element in any order, the rest by value.
fn missing(expected: &Value, actual: &Value, path: &str) -> Option<String> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            expected.iter().find_map(|(key, value)| {
                let path = format!("{path}.{key}");
                match actual.get(key) {
                    Some(actual) => missing(value, actual, &path),
                    None => Some(format!("{path} is absent")),
                }
            })
        }
        (Value::Array(expected), Value::Array(actual)) => expected.iter().find_map(|value| {
            let found = actual.iter().any(|a| missing(value, a, path).is_none());
            (!found).then(|| format!("{path} has no {value}"))
        }),
        _ => (expected != actual).then(|| format!("{path} is {actual}, not {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::missing;

    #[test]
    fn a_part_of_an_alert_is_compared_by_key_by_element_and_by_value() {
        let alert = json!({"level": "high", "process": {"pid": 7, "labels": ["a", "b"]}});
        let told = |part| missing(&part, &alert, "alert");
        assert_eq!(told(json!({})), None);
        assert_eq!(
            told(json!({"process": {"labels": ["b"]}, "level": "high"})),
            None
        );
        for (part, expected) in [
            (json!({"rule": {}}), "alert.rule is absent"),
            (
                json!({"level": "low"}),
                "alert.level is \"high\", not \"low\"",
            ),
            (
                json!({"process": {"pid": "7"}}),
                "alert.process.pid is 7, not \"7\"",
            ),
            (
                json!({"process": {"labels": ["c"]}}),
                "alert.process.labels has no \"c\"",
            ),
            (
                json!({"level": {"a": 1}}),
                "alert.level is \"high\", not {\"a\":1}",
            ),
        ] {
            assert_eq!(told(part).as_deref(), Some(expected));
        }
    }
}
