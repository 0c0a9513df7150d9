//! The groups of one correlation: found by their values, given up in the order of their last events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::RandomState;
use sigma::Correlation;

use super::measure::{Measure, Rule};
use super::{CorrelationIdx, EVIDENCE_MAX, Evidence, Facts, Fired, Standing};

/// What is known of one group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) measure: Measure,
    /// The window that is open (T7), both ends included.
    pub(super) window: Option<(i64, i64)>,
    /// Whether the condition held when it was last looked at.
    holds: bool,
    /// When that was: the last event, or the end of the last window.
    last_ms: i64,
    /// When it fired last, and how many times at that time.
    fired: Option<(i64, u32)>,
    evidence: VecDeque<Arc<Evidence>>,
    /// Of the last event.
    facts: Facts,
}

impl Group {
    fn new(rule: &Rule, now: i64) -> Self {
        Self {
            measure: rule.measure(),
            window: None,
            holds: false,
            last_ms: now,
            fired: None,
            evidence: VecDeque::new(),
            facts: Arc::default(),
        }
    }

    /// Remembers an event for the alert.
    pub(super) fn note(&mut self, evidence: Arc<Evidence>, facts: Facts) {
        if self.evidence.len() == EVIDENCE_MAX {
            self.evidence.pop_front();
        }
        self.evidence.push_back(evidence);
        self.facts = facts;
    }

    /// T7: opens a window unless one is open; gives where it ends.
    pub(super) fn open_window(&mut self, now: i64, timespan_ms: i64) -> Option<i64> {
        if self.window.is_some() {
            return None;
        }
        let end = now.saturating_add(timespan_ms);
        self.window = Some((now, end));
        self.measure.restart();
        Some(end)
    }

    /// T4: whether the condition holds now and did not at the event before. More than the timespan without an event
    /// counts as not holding.
    pub(super) fn transition(&mut self, now: i64, timespan_ms: i64, rule: &Rule) -> bool {
        let held = self.holds && now.saturating_sub(self.last_ms) <= timespan_ms;
        self.holds = rule.holds(&self.measure, now.saturating_sub(timespan_ms));
        self.last_ms = now;
        self.holds && !held
    }

    /// T7: closes the open window; gives it if the condition holds there and did not in the one before, as far as
    /// that ended at most a timespan before this one began.
    pub(super) fn end_window(&mut self, timespan_ms: i64, rule: &Rule) -> Option<(i64, i64)> {
        let window = self.window.take()?;
        let held = self.holds && window.0.saturating_sub(self.last_ms) <= timespan_ms;
        self.holds = rule.holds(&self.measure, window.0);
        self.last_ms = window.1;
        (self.holds && !held).then_some(window)
    }

    /// Where it stands, for people.
    fn standing(&self, correlation: &Correlation, key: &[Arc<str>], rule: &Rule) -> Standing {
        let from = self.last_ms.saturating_sub(correlation.timespan_ms);
        let window_ms = self.window.unwrap_or((from, self.last_ms));
        let names = correlation.group_by.iter().cloned();
        Standing {
            group: names.zip(key.iter().cloned()).collect(),
            number: rule.number(&self.measure, window_ms.0),
            window_ms,
            events: self.measure.events() as u64,
            seen: self.measure.seen().to_vec(),
        }
    }

    pub(super) fn fire(
        &mut self,
        index: CorrelationIdx,
        correlation: &Correlation,
        key: &[Arc<str>],
        now: i64,
        window_ms: (i64, i64),
        rule: &Rule,
    ) -> Fired {
        let again = match self.fired {
            Some((time, again)) if time == now => again + 1,
            _ => 0,
        };
        self.fired = Some((now, again));
        let names = correlation.group_by.iter().cloned();
        let within = |evidence: &&Arc<Evidence>| evidence.event.time_ms >= window_ms.0;
        Fired {
            correlation: index,
            time_ms: now,
            again,
            group: names.zip(key.iter().cloned()).collect(),
            number: rule.number(&self.measure, window_ms.0),
            window_ms,
            events: self.measure.events() as u64,
            evidence: self.evidence.iter().filter(within).cloned().collect(),
            facts: Arc::clone(&self.facts),
        }
    }
}

const NONE: usize = usize::MAX;

/// All groups of one correlation.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_key: HashMap<Arc<[Arc<str>]>, usize, RandomState>,
    entries: Vec<Entry>,
    free: Vec<usize>,
    /// The entry touched first and the one touched last, as a list through [`Entry::before`] and [`Entry::behind`].
    ends: Option<(usize, usize)>,
}

#[derive(Debug)]
struct Entry {
    key: Arc<[Arc<str>]>,
    group: Group,
    touched_ms: i64,
    before: usize,
    behind: usize,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Where the groups stand whose last event was then, in the order of their values.
    pub(super) fn standings(
        &self,
        time_ms: i64,
        correlation: &Correlation,
        rule: &Rule,
    ) -> Vec<Standing> {
        let mut at: Vec<&usize> = self.by_key.values().collect();
        at.retain(|at| self.entries[**at].touched_ms == time_ms);
        at.sort_unstable_by_key(|at| &self.entries[**at].key);
        let standing = |at: &usize| {
            let Entry { key, group, .. } = &self.entries[*at];
            group.standing(correlation, key, rule)
        };
        at.into_iter().map(standing).collect()
    }

    /// The group of this key, made if there is none; and whether another was given up for it.
    pub(super) fn of(
        &mut self,
        key: &[Arc<str>],
        now: i64,
        limit: usize,
        rule: &Rule,
    ) -> (&mut Group, bool) {
        if let Some(&at) = self.by_key.get(key) {
            self.touch(at, now);
            return (&mut self.entries[at].group, false);
        }
        let evicted = self.by_key.len() >= limit.max(1);
        if evicted && let Some((first, _)) = self.ends {
            self.remove(first);
        }
        let key: Arc<[Arc<str>]> = key.into();
        let entry = Entry {
            key: Arc::clone(&key),
            group: Group::new(rule, now),
            touched_ms: now,
            before: NONE,
            behind: NONE,
        };
        let at = if let Some(at) = self.free.pop() {
            self.entries[at] = entry;
            at
        } else {
            self.entries.push(entry);
            self.entries.len() - 1
        };
        self.by_key.insert(key, at);
        self.append(at);
        (&mut self.entries[at].group, evicted)
    }

    /// The group of this key, if it is still there.
    pub(super) fn get(&mut self, key: &[Arc<str>], now: i64) -> Option<&mut Group> {
        let at = *self.by_key.get(key)?;
        self.touch(at, now);
        Some(&mut self.entries[at].group)
    }

    /// Forgets the groups whose last event or window's end lies before this time and that have no open window.
    pub(super) fn forget_before(&mut self, time_ms: i64) {
        while let Some((first, _)) = self.ends {
            let entry = &self.entries[first];
            if entry.touched_ms >= time_ms || entry.group.window.is_some() {
                break;
            }
            self.remove(first);
        }
    }

    fn touch(&mut self, at: usize, now: i64) {
        self.entries[at].touched_ms = now;
        if self.ends.is_some_and(|(_, last)| last == at) {
            return;
        }
        self.unlink(at);
        self.append(at);
    }

    fn append(&mut self, at: usize) {
        self.ends = Some(match self.ends {
            None => {
                (self.entries[at].before, self.entries[at].behind) = (NONE, NONE);
                (at, at)
            }
            Some((first, last)) => {
                self.entries[last].behind = at;
                (self.entries[at].before, self.entries[at].behind) = (last, NONE);
                (first, at)
            }
        });
    }

    fn unlink(&mut self, at: usize) {
        let Some((first, last)) = self.ends else {
            return;
        };
        let Entry { before, behind, .. } = self.entries[at];
        if before != NONE {
            self.entries[before].behind = behind;
        }
        if behind != NONE {
            self.entries[behind].before = before;
        }
        let first = if first == at { behind } else { first };
        let last = if last == at { before } else { last };
        self.ends = (first != NONE).then_some((first, last));
    }

    fn remove(&mut self, at: usize) {
        self.unlink(at);
        let entry = &mut self.entries[at];
        self.by_key.remove(&entry.key);
        entry.group.measure.restart();
        entry.group.evidence = VecDeque::new();
        entry.group.facts = Arc::default();
        self.free.push(at);
    }
}
