//! The ruleset in use: whoever loads rules hands it over whole, each worker takes it up between two batches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use detect::Plan;
use jiff::Timestamp;

use crate::telemetry::Telemetry;

/// A compiled plan, and since when it is in use.
#[derive(Debug)]
pub struct Ruleset {
    plan: Arc<Plan>,
    loaded: Timestamp,
}

impl Ruleset {
    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Hash of the rules that run, hex.
    pub fn hash(&self) -> &str {
        self.plan.hash()
    }

    /// When it came into use.
    pub fn loaded(&self) -> Timestamp {
        self.loaded
    }

    fn new(plan: Arc<Plan>) -> Arc<Self> {
        let loaded = Timestamp::now();
        Arc::new(Self { plan, loaded })
    }
}

/// Rules that were read and are not in the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// They loaded, and cannot run.
    pub not_running: usize,
    /// They did not load.
    pub failed: usize,
}

/// The ruleset in use, shared by whoever loads rules and by all workers.
#[derive(Debug)]
pub struct Rulesets {
    current: Mutex<Arc<Ruleset>>,
    /// Why the last attempt to replace it failed, if it did.
    failure: Mutex<Option<String>>,
    telemetry: Arc<Telemetry>,
}

impl Rulesets {
    /// This plan is in use from now on.
    pub fn new(plan: Arc<Plan>, idle: Idle, telemetry: Arc<Telemetry>) -> Self {
        let ruleset = Ruleset::new(plan);
        telemetry.ruleset(&ruleset, idle);
        Self {
            current: Mutex::new(ruleset),
            failure: Mutex::new(None),
            telemetry,
        }
    }

    /// The ruleset that the next batch is evaluated under.
    pub fn current(&self) -> Arc<Ruleset> {
        Arc::clone(&lock(&self.current))
    }

    /// Every batch that begins from now on is evaluated under this plan; those that have begun end under
    /// the one they began with. A plan of the same rules as now takes no one's place.
    pub fn replace(&self, plan: Arc<Plan>, idle: Idle) -> Reload {
        lock(&self.failure).take();
        let before = self.current();
        if plan.hash() == before.hash() {
            self.telemetry.reload_changed_nothing(&before, idle);
            return Reload::Unchanged;
        }
        let change = Change::new(before.plan(), &plan);
        let ruleset = Ruleset::new(plan);
        *lock(&self.current) = Arc::clone(&ruleset);
        self.telemetry.reloaded(&ruleset, idle, change);
        Reload::Ok
    }

    /// New rules could not be loaded: those in use stay. `reason` says how to mend it, too; while it is the
    /// same again and again, each time counts and the first is logged.
    pub fn keep(&self, reason: &str) {
        let last = lock(&self.failure).replace(reason.to_owned());
        let is_new = last.as_deref() != Some(reason);
        self.telemetry
            .reload_failed(&self.current(), is_new.then_some(reason));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it is held")
}

/// What became of an attempt to load rules anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Other rules are in use now.
    Ok,
    /// They are the rules that are in use.
    Unchanged,
    /// They could not be loaded; the rules in use stay.
    Failed,
}

impl Reload {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Unchanged, Self::Failed];

    /// As it stands in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// What a new ruleset changes, in rules that run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// They did not run before.
    pub(crate) added: usize,
    /// They do not run any more.
    pub(crate) removed: usize,
    /// Their text is another.
    pub(crate) changed: usize,
}

impl Change {
    fn new(before: &Plan, after: &Plan) -> Self {
        let mut old: BTreeMap<&str, &str> = versions(before).collect();
        let mut change = Self::default();
        for (key, version) in versions(after) {
            match old.remove(key) {
                None => change.added += 1,
                Some(before) => change.changed += usize::from(before != version),
            }
        }
        change.removed = old.len();
        change
    }
}

/// Key and content hash of each running rule.
fn versions(plan: &Plan) -> impl Iterator<Item = (&str, &str)> {
    let rules = plan.rules().iter();
    rules.map(|rule| (rule.attributes.key(), rule.attributes.version.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules by id and the word they look for.
    fn plan(rules: &[(&str, &str)]) -> Arc<Plan> {
        let file = |(id, word): &(&str, &str)| {
            sigma::SourceFile {
            name: (*id).into(),
            text: format!(
                "title: {id}\nid: {id}\nlevel: low\nlogsource: {{product: linux, category: process_creation}}\n\
                 detection: {{s: {{CommandLine|contains: {word}}}, condition: s}}\n"
            )
            .into(),
        }
        };
        let files: Vec<_> = rules.iter().map(file).collect();
        let plan = Plan::compile(sigma::load(&files).rules).plan;
        assert_eq!(plan.rules().len(), rules.len());
        Arc::new(plan)
    }

    fn metric(telemetry: &Telemetry, name: &str) -> Option<f64> {
        let text = telemetry.render();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok())
    }

    #[test]
    fn a_change_is_told_in_rules() {
        let before = plan(&[("a", "one"), ("b", "two"), ("c", "three")]);
        let after = plan(&[("b", "two"), ("c", "four"), ("d", "one"), ("e", "one")]);
        let told = Change {
            added: 2,
            removed: 1,
            changed: 1,
        };
        assert_eq!(Change::new(&before, &after), told);
        assert_eq!(Change::new(&after, &after), Change::default());
    }

    #[test]
    fn the_ruleset_in_use_is_told_and_stays_when_another_fails() {
        let telemetry = Arc::new(Telemetry::new());
        let idle = Idle {
            not_running: 1,
            failed: 2,
        };
        let first = plan(&[("a", "one")]);
        let rulesets = Rulesets::new(Arc::clone(&first), idle, Arc::clone(&telemetry));
        let begun = rulesets.current();
        let of = |plan: &Plan| format!("pythia_ruleset_info{{hash=\"{}\"}}", plan.hash());
        assert_eq!(metric(&telemetry, &of(&first)), Some(1.0));
        assert_eq!(
            metric(&telemetry, "pythia_rules{state=\"failed\"}"),
            Some(2.0)
        );
        let loaded = metric(&telemetry, "pythia_ruleset_loaded_timestamp_seconds");
        assert!(loaded > Some(1.7e9), "{loaded:?}");

        rulesets.keep("no such folder");
        assert!(Arc::ptr_eq(&begun, &rulesets.current()));
        let last = "pythia_ruleset_last_reload_successful";
        assert_eq!(metric(&telemetry, last), Some(0.0));

        let same = rulesets.replace(plan(&[("a", "one")]), Idle::default());
        assert_eq!(same, Reload::Unchanged);
        assert!(Arc::ptr_eq(&begun, &rulesets.current()));
        assert_eq!(metric(&telemetry, last), Some(1.0));
        assert_eq!(
            metric(&telemetry, "pythia_rules{state=\"failed\"}"),
            Some(0.0)
        );

        let second = plan(&[("a", "two"), ("b", "two")]);
        let replaced = rulesets.replace(Arc::clone(&second), Idle::default());
        assert_eq!(replaced, Reload::Ok);
        assert_eq!(rulesets.current().hash(), second.hash());
        assert_eq!(begun.hash(), first.hash(), "what has begun ends under it");
        assert_eq!(metric(&telemetry, &of(&second)), Some(1.0));
        assert_eq!(metric(&telemetry, &of(&first)), None, "only the current");
        for outcome in Reload::ALL {
            let code = outcome.code();
            let name = format!("pythia_ruleset_reloads_total{{result=\"{code}\"}}");
            assert_eq!(metric(&telemetry, &name), Some(1.0), "{code}");
        }
    }
}
