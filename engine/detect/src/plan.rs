//! All rules compiled into one immutable plan.

use std::sync::Arc;

use event::Fields;
use sigma::{Diagnostic, Rule};

/// Number of a rule within its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIdx(pub u32);

/// A rule that loaded and does not run, and why.
#[derive(Clone, Debug)]
pub struct NotRunning {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Whether some view feeds its log source at all.
    pub routed: bool,
    /// The reason, for people.
    pub reason: String,
}

/// What compiling gives.
#[derive(Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// Loaded rules that are not in it.
    pub not_running: Vec<NotRunning>,
    /// Warnings on rules that are in it.
    pub diagnostics: Vec<Diagnostic>,
}

/// All running rules, compiled. Immutable and shared between threads.
#[derive(Debug)]
pub struct Plan {
    rules: Vec<Arc<Rule>>,
    fields: Arc<Fields>,
    hash: String,
}

impl Plan {
    /// Compiles rules. Never fails as a whole: what cannot run is listed.
    pub fn compile(_rules: Vec<Rule>) -> Compiled {
        let plan = Self { rules: Vec::new(), fields: Arc::new(Fields::default()), hash: String::new() };
        Compiled { plan, not_running: Vec::new(), diagnostics: Vec::new() }
    }

    /// The running rules; [`RuleIdx`] counts them.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The fields that these rules read.
    pub fn fields(&self) -> Arc<Fields> {
        Arc::clone(&self.fields)
    }

    /// Hash of the ruleset, hex: the same for the same rules in any order of files.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}
