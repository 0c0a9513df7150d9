//! Correlations: matches of rules, joined by group and event time.
//!
//! ```text
//! match of a rule -> observe -> queue, ordered by event time
//! watermark -> advance -> each match and each window's end before it, in order -> groups -> Fired
//!                             ^------------- outer correlations ------------------------'
//! ```
//!
//! Time is event time, and nothing is decided before the watermark has passed it: the same matches give the same
//! alerts in whatever order they come, as long as they come before the watermark does. Points `T…` are those of
//! Pythia's policy on what Sigma leaves open about timing.
//!
//! All state is bounded ([`CorrelationLimits`]), and whatever a limit costs is counted ([`CorrelationCounts`]).

mod group;
mod measure;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use event::ViewKind;
use sigma::{Attributes, Correlation, Diagnostic, SourceTarget};
use smallvec::SmallVec;

use crate::alert::RuleText;
use crate::enrich::{EventIdentity, RULE_BYTES_MAX, rule_text};
use crate::lint;
use crate::plan::RuleIdx;
use group::{Group, Groups};
use measure::Rule as MeasureRule;

/// Number of a correlation within its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CorrelationIdx(pub u32);

/// All running correlations, compiled. Immutable and shared between threads.
#[derive(Debug, Default)]
pub struct Correlations {
    all: Vec<Compiled>,
    /// By number of the rule.
    read: Vec<ReadRule>,
}

/// What correlations know of a rule.
#[derive(Debug)]
pub(crate) struct ReadRule {
    /// What identifies it in alerts.
    pub(crate) key: Arc<str>,
    /// Its title.
    pub(crate) title: Arc<str>,
    /// The fields that the correlations which read it and all around them ask for.
    pub(crate) fields: Vec<Arc<str>>,
    /// Those that read it, as which of their sources.
    feeds: Vec<Feed>,
}

impl ReadRule {
    pub(crate) fn new(attributes: &Attributes, fields: Vec<Arc<str>>) -> Self {
        Self {
            key: attributes.key().into(),
            title: attributes.title.as_str().into(),
            fields,
            feeds: Vec::new(),
        }
    }
}

/// A correlation that reads something, and as which of its sources.
#[derive(Clone, Copy, Debug)]
struct Feed {
    correlation: CorrelationIdx,
    source: u32,
}

#[derive(Debug)]
struct Compiled {
    correlation: Correlation,
    /// Its attributes, as all of its alerts carry them.
    text: Arc<RuleText>,
    measure: MeasureRule,
    /// The same for the same correlation of the same rules, in whatever plan.
    identity: String,
    /// How many correlations lie below it, at most: those are decided first.
    depth: u32,
    /// The correlations that read this one.
    feeds: Vec<Feed>,
}

/// What bounds the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorrelationLimits {
    /// Groups of one correlation; beyond, the one without an event for the longest time is given up.
    pub groups: usize,
    /// Events of one group within its timespan; beyond, the oldest is given up.
    pub events: usize,
    /// Matches that wait for the watermark; beyond, it is moved on to the oldest of them.
    pub waiting: usize,
}

impl CorrelationLimits {
    /// 200,000 groups, 10,000 events, 262,144 matches.
    pub const USUAL: Self = Self {
        groups: 200_000,
        events: 10_000,
        waiting: 1 << 18,
    };
}

/// A match of a rule, as correlations see it.
#[derive(Clone, Debug)]
pub struct RuleHit {
    /// The rule.
    pub rule: RuleIdx,
    /// Event time, milliseconds since the epoch.
    pub time_ms: i64,
    /// Those of [`Correlations::fields`] that the event has, with their canonical texts.
    pub facts: Facts,
    /// What an alert says of it.
    pub evidence: Arc<Evidence>,
}

/// Fields and their values.
pub type Facts = Arc<[(Arc<str>, Arc<str>)]>;

/// One event behind a correlation's alert, and what matched it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Title of the rule or correlation that matched.
    pub title: Arc<str>,
    /// The event.
    pub event: Arc<EventBrief>,
    id: EvidenceId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum EvidenceId {
    Known(Box<str>),
    /// That of an alert of the rule of this key: made where it is asked for, since most evidence gets into no alert.
    Rule(Arc<str>),
}

/// What correlations remember of an event, the same for all rules that match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBrief {
    /// Event time, milliseconds since the epoch.
    pub time_ms: i64,
    /// The host's name.
    pub host: Option<Arc<str>>,
    /// The one value that says most about what happened, cut to 256 bytes.
    pub summary: Option<Box<str>>,
    /// Where the event was read, as [`crate::AlertSource`] shows it; `None` for a correlation.
    pub source: Option<crate::AlertSource>,
    /// What ids are made of, beside the rule; unused where they are known.
    pub(crate) identity: EventIdentity,
}

impl Evidence {
    /// That a rule matched an event.
    pub(crate) fn of_rule(rule: &ReadRule, event: Arc<EventBrief>) -> Self {
        Self {
            title: Arc::clone(&rule.title),
            event,
            id: EvidenceId::Rule(Arc::clone(&rule.key)),
        }
    }

    /// The same under an id of its own.
    pub(crate) fn known(id: String, title: Arc<str>, event: EventBrief) -> Self {
        Self {
            title,
            event: Arc::new(event),
            id: EvidenceId::Known(id.into()),
        }
    }

    /// The id that the match has as an alert, whether or not it is given as one.
    pub fn alert_id(&self) -> String {
        match &self.id {
            EvidenceId::Known(id) => id.to_string(),
            EvidenceId::Rule(key) => self.event.identity.alert_id(key),
        }
    }
}

/// Events that an alert lists, at most: the last ones.
pub const EVIDENCE_MAX: usize = 16;

/// A correlation that came to hold.
#[derive(Clone, Debug)]
pub struct Fired {
    /// The correlation.
    pub correlation: CorrelationIdx,
    /// Match time, milliseconds since the epoch: of the event that made it hold, or the window's end (T7).
    pub time_ms: i64,
    /// How many times before it came to hold in this group at this very time.
    pub again: u32,
    /// The group, in the order of `group-by`.
    pub group: Facts,
    /// The number that the condition is about: a count, a sum, ...; canonical decimal text.
    pub number: Option<String>,
    /// The window, milliseconds since the epoch, both ends included.
    pub window_ms: (i64, i64),
    /// Events of the group in the window, of which [`Fired::evidence`] lists the last.
    pub events: u64,
    /// At most [`EVIDENCE_MAX`], oldest first.
    pub evidence: Vec<Arc<Evidence>>,
    /// What the event that completed it says, for those around (T10).
    facts: Facts,
}

/// How near a group is to the condition of its correlation, for people.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The group, in the order of `group-by`.
    pub group: Facts,
    /// The number that the condition is about; `None` where there is none.
    pub number: Option<String>,
    /// The window, milliseconds since the epoch, both ends included.
    pub window_ms: (i64, i64),
    /// Events of the group in the window.
    pub events: u64,
    /// Of temporal types how many events of each source there are in the window.
    pub seen: Vec<u32>,
}

/// What was counted of one correlation since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CorrelationCounts {
    /// Matches that it took in.
    pub taken: u64,
    /// Matches that came after the watermark had passed their time, and count nowhere (T3).
    pub late_dropped: u64,
    /// Matches without one of the fields of `group-by`, which join no group (T5).
    pub without_group: u64,
    /// Groups given up for others.
    pub groups_evicted: u64,
    /// Events given up within their timespan.
    pub events_evicted: u64,
    /// How often it came to hold.
    pub fired: u64,
}

/// Correlations on their way into a plan, of which each stands behind those that it reads.
#[derive(Debug)]
pub(crate) struct Drafts {
    all: Vec<Draft>,
}

#[derive(Debug)]
struct Draft {
    correlation: Correlation,
    measure: MeasureRule,
    text: RuleText,
    /// Why it cannot run, whatever else does.
    fault: Option<String>,
}

/// Of what nobody hears: it only feeds correlations, and none of them runs.
pub(crate) const USELESS: &str =
    "the correlations that read it do not run, and it does not alert by itself (`generate: true`)";

impl Drafts {
    pub(crate) fn new(correlations: Vec<Correlation>) -> Self {
        let draft = |correlation: Correlation| {
            let text = rule_text(&correlation.attributes);
            let bytes = serde_json::to_string(&text).map_or(usize::MAX, |json| json.len());
            let too_long = (bytes > RULE_BYTES_MAX).then(|| {
                format!(
                    "its describing attributes take more than {RULE_BYTES_MAX} bytes of every alert"
                )
            });
            Draft {
                measure: MeasureRule::new(&correlation),
                fault: correlation.not_running.clone().or(too_long),
                text,
                correlation,
            }
        };
        Self {
            all: correlations.into_iter().map(draft).collect(),
        }
    }

    /// By rule, the fields that the correlations which read it and all around them ask for; of those without a fault.
    pub(crate) fn fields(&self, rules: usize) -> Vec<Vec<Arc<str>>> {
        let mut of_rules = vec![Vec::new(); rules];
        let mut of_inner: Vec<Vec<Arc<str>>> = vec![Vec::new(); self.all.len()];
        // From the outermost inwards.
        for (place, draft) in self.all.iter().enumerate().rev() {
            if draft.fault.is_some() {
                continue;
            }
            let mut above = std::mem::take(&mut of_inner[place]);
            above.extend_from_slice(draft.measure.fields());
            each_once(&mut above);
            for source in &draft.correlation.sources {
                let asked = match source.target {
                    SourceTarget::Rule(rule) => &mut of_rules[rule],
                    SourceTarget::Correlation(inner) => &mut of_inner[inner],
                };
                asked.extend_from_slice(&source.group_by);
                asked.extend_from_slice(&above);
            }
        }
        of_rules.iter_mut().for_each(each_once);
        of_rules
    }

    /// Fields that correlations ask of matches and that these never have. `kind` tells the views of a loaded rule.
    pub(crate) fn unfed(&self, kind: impl Fn(usize) -> Option<ViewKind>) -> Vec<Diagnostic> {
        let mut told = Vec::new();
        for draft in &self.all {
            for source in &draft.correlation.sources {
                let SourceTarget::Rule(rule) = source.target else {
                    continue;
                };
                let Some(kind) = kind(rule) else { continue };
                let fields = source.group_by.iter().chain(draft.measure.fields());
                told.extend(fields.filter_map(|field| {
                    lint::correlation_field(&draft.correlation, &source.name, field, kind)
                }));
            }
        }
        told
    }

    /// For each the reason why it does not run, if it does not; `runs` tells which of the loaded rules do.
    pub(crate) fn reasons(&self, runs: impl Fn(usize) -> bool) -> Vec<Option<String>> {
        let mut reasons: Vec<Option<String>> = Vec::with_capacity(self.all.len());
        for draft in &self.all {
            let idle = draft
                .correlation
                .sources
                .iter()
                .filter(|source| match source.target {
                    SourceTarget::Rule(rule) => !runs(rule),
                    SourceTarget::Correlation(inner) => reasons[inner].is_some(),
                });
            let idle: Vec<&str> = idle.map(|source| &*source.name).collect();
            reasons.push(match &draft.fault {
                Some(fault) => Some(fault.clone()),
                None if idle.is_empty() => None,
                None => Some(format!("what it reads does not run: {}", idle.join(", "))),
            });
        }
        let mut is_read = vec![false; self.all.len()];
        // From the outermost inwards.
        for (place, draft) in self.all.iter().enumerate().rev() {
            if reasons[place].is_none() && !draft.correlation.alerts && !is_read[place] {
                reasons[place] = Some(USELESS.into());
            }
            if reasons[place].is_none() {
                for source in &draft.correlation.sources {
                    if let SourceTarget::Correlation(inner) = source.target {
                        is_read[inner] = true;
                    }
                }
            }
        }
        reasons
    }

    /// Which of so many rules are read by one that has no such reason.
    pub(crate) fn read(&self, reasons: &[Option<String>], rules: usize) -> Vec<bool> {
        let mut is_read = vec![false; rules];
        let running = self
            .all
            .iter()
            .zip(reasons)
            .filter(|(_, reason)| reason.is_none());
        for source in running.flat_map(|(draft, _)| &draft.correlation.sources) {
            if let SourceTarget::Rule(rule) = source.target {
                is_read[rule] = true;
            }
        }
        is_read
    }

    /// Those without a reason, compiled, and the others with theirs. `running` tells the number of a loaded rule in the
    /// plan; by that number `version` tells the rule's key and text, and `read` the rest.
    pub(crate) fn link(
        self,
        reasons: Vec<Option<String>>,
        running: impl Fn(usize) -> Option<RuleIdx>,
        version: impl Fn(RuleIdx) -> String,
        read: Vec<ReadRule>,
    ) -> (Correlations, Vec<(Correlation, String)>) {
        let mut compiled = Correlations {
            all: Vec::new(),
            read,
        };
        let mut refused = Vec::new();
        let mut places: Vec<Option<CorrelationIdx>> = Vec::new();
        for (draft, reason) in self.all.into_iter().zip(reasons) {
            places.push(match reason {
                Some(reason) => {
                    refused.push((draft.correlation, reason));
                    None
                }
                None => Some(compiled.add(draft, &running, &version, &places)),
            });
        }
        (compiled, refused)
    }
}

fn each_once(fields: &mut Vec<Arc<str>>) {
    fields.sort_unstable();
    fields.dedup();
}

impl Correlations {
    fn add(
        &mut self,
        draft: Draft,
        running: &impl Fn(usize) -> Option<RuleIdx>,
        version: &impl Fn(RuleIdx) -> String,
        places: &[Option<CorrelationIdx>],
    ) -> CorrelationIdx {
        let index = CorrelationIdx(number(self.all.len()));
        let mut depth = 0;
        let attributes = &draft.correlation.attributes;
        let mut identity = vec![attributes.key().to_owned(), attributes.version.clone()];
        for (source, read) in (0..).zip(&draft.correlation.sources) {
            let feed = Feed {
                correlation: index,
                source,
            };
            match read.target {
                SourceTarget::Rule(rule) => {
                    let rule = running(rule).expect("what does not run was refused");
                    identity.push(version(rule));
                    self.read[rule.0 as usize].feeds.push(feed);
                }
                SourceTarget::Correlation(place) => {
                    let inner = places[place].expect("what does not run was refused");
                    let inner = &mut self.all[inner.0 as usize];
                    inner.feeds.push(feed);
                    identity.push(inner.identity.clone());
                    depth = depth.max(inner.depth + 1);
                }
            }
        }
        let parts = identity.iter().map(String::as_bytes);
        self.all.push(Compiled {
            measure: draft.measure,
            identity: crate::enrich::id_of(parts),
            text: Arc::new(draft.text),
            correlation: draft.correlation,
            depth,
            feeds: Vec::new(),
        });
        index
    }

    fn of(&self, index: CorrelationIdx) -> &Compiled {
        &self.all[index.0 as usize]
    }

    /// How far back events must be read to know the state of all, in milliseconds of event time: whether a condition
    /// held at the event before, a timespan ago at most, is told by the timespan before that.
    pub fn replay_ms(&self) -> i64 {
        let mut below = vec![0_i64; self.all.len()];
        let mut longest = 0;
        // Each stands behind those that it reads.
        for (index, compiled) in self.all.iter().enumerate() {
            let own = compiled.correlation.timespan_ms.saturating_mul(2);
            let span = own.saturating_add(below[index]);
            longest = longest.max(span);
            for outer in &compiled.feeds {
                let below = &mut below[outer.correlation.0 as usize];
                *below = span.max(*below);
            }
        }
        longest
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them; [`CorrelationIdx`] counts them.
    pub fn all(&self) -> impl Iterator<Item = &Correlation> {
        self.all.iter().map(|compiled| &compiled.correlation)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The correlation of this number.
    pub fn correlation(&self, index: CorrelationIdx) -> &Correlation {
        &self.of(index).correlation
    }

    pub(crate) fn text(&self, index: CorrelationIdx) -> &Arc<RuleText> {
        &self.of(index).text
    }

    /// The fields that a match of the rule must bring; `None` if no correlation reads it.
    pub fn fields(&self, rule: RuleIdx) -> Option<&[Arc<str>]> {
        self.read(rule).map(|read| read.fields.as_slice())
    }

    /// What is known of a rule; `None` if no correlation reads it.
    pub(crate) fn read(&self, rule: RuleIdx) -> Option<&ReadRule> {
        let read = self.read.get(rule.0 as usize);
        read.filter(|read| !read.feeds.is_empty())
    }
}

/// The state of all correlations. Belongs to one thread.
#[derive(Debug)]
pub struct Correlator {
    correlations: Arc<Correlations>,
    limits: CorrelationLimits,
    groups: Vec<Groups>,
    counts: Vec<CorrelationCounts>,
    queue: BinaryHeap<Reverse<Task>>,
    watermark_ms: i64,
    /// Where the watermark was when groups were last forgotten.
    forgotten_ms: i64,
    tasks: u64,
    watermark_forced: u64,
}

/// How far the watermark moves from one look for groups to forget to the next.
const FORGET_EVERY_MS: i64 = 1_000;

/// Something to be done once the watermark is behind `time_ms`.
#[derive(Debug)]
struct Task {
    time_ms: i64,
    depth: u32,
    /// Of equal times the matches go first, then what ends then.
    is_end: bool,
    number: u64,
    correlation: CorrelationIdx,
    what: What,
}

#[derive(Debug)]
enum What {
    Match {
        source: u32,
        facts: Facts,
        evidence: Arc<Evidence>,
    },
    /// The window of a group closes (T7).
    End { group: Arc<[Arc<str>]> },
}

impl Task {
    fn order(&self) -> (i64, u32, bool, u64) {
        (self.time_ms, self.depth, self.is_end, self.number)
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Task {}

impl Ord for Task {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Task {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Correlator {
    /// Empty state.
    pub fn new(correlations: Arc<Correlations>, limits: CorrelationLimits) -> Self {
        Self {
            groups: correlations.all.iter().map(|_| Groups::default()).collect(),
            counts: vec![CorrelationCounts::default(); correlations.len()],
            queue: BinaryHeap::new(),
            watermark_ms: i64::MIN,
            forgotten_ms: i64::MIN,
            tasks: 0,
            watermark_forced: 0,
            correlations,
            limits,
        }
    }

    /// Takes in what rules matched one event, in any order of events. Nothing fires before [`Correlator::advance`].
    pub fn observe(&mut self, hits: &[RuleHit]) {
        if hits.is_empty() {
            return;
        }
        let correlations = Arc::clone(&self.correlations);
        let feeds = |hit: &RuleHit| {
            correlations
                .read(hit.rule)
                .map_or(&[][..], |read| &read.feeds)
        };
        let fed = hits
            .iter()
            .flat_map(|hit| feeds(hit).iter().map(move |feed| (*feed, hit)));
        let mut fed: SmallVec<[(Feed, &RuleHit); 8]> = fed.collect();
        // T8: one event may be several steps of an order.
        fed.sort_by_key(|(feed, _)| (feed.correlation, feed.source));
        for (feed, hit) in fed {
            if hit.time_ms < self.watermark_ms {
                self.counts[feed.correlation.0 as usize].late_dropped += 1;
                continue;
            }
            self.queue(feed, hit);
        }
    }

    fn queue(&mut self, feed: Feed, hit: &RuleHit) {
        let what = What::Match {
            source: feed.source,
            facts: Arc::clone(&hit.facts),
            evidence: Arc::clone(&hit.evidence),
        };
        self.push(hit.time_ms, feed.correlation, what);
    }

    fn push(&mut self, time_ms: i64, correlation: CorrelationIdx, what: What) {
        self.tasks += 1;
        self.queue.push(Reverse(Task {
            time_ms,
            depth: self.correlations.of(correlation).depth,
            is_end: matches!(what, What::End { .. }),
            number: self.tasks,
            correlation,
            what,
        }));
    }

    /// No event before `watermark_ms` is waited for any more: decides all that lies before it. A watermark never
    /// goes back.
    pub fn advance(&mut self, watermark_ms: i64, fired: &mut Vec<Fired>) {
        self.watermark_ms = self.watermark_ms.max(watermark_ms);
        self.work(fired);
        while self.queue.len() > self.limits.waiting {
            let Some(Reverse(oldest)) = self.queue.peek() else {
                break;
            };
            self.watermark_ms = oldest.time_ms.saturating_add(1);
            self.watermark_forced += 1;
            self.work(fired);
        }
    }

    /// There are no more events: decides everything and closes all windows.
    pub fn finish(&mut self, fired: &mut Vec<Fired>) {
        self.advance(i64::MAX, fired);
    }

    fn work(&mut self, fired: &mut Vec<Fired>) {
        while let Some(Reverse(task)) = self.queue.peek()
            && task.time_ms < self.watermark_ms
            && let Some(Reverse(task)) = self.queue.pop()
        {
            self.perform(task, fired);
        }
        if self.watermark_ms < self.forgotten_ms.saturating_add(FORGET_EVERY_MS) {
            return;
        }
        self.forgotten_ms = self.watermark_ms;
        for (groups, compiled) in self.groups.iter_mut().zip(&self.correlations.all) {
            let timespan = compiled.correlation.timespan_ms;
            groups.forget_before(self.watermark_ms.saturating_sub(timespan));
        }
    }

    fn perform(&mut self, task: Task, fired: &mut Vec<Fired>) {
        let correlations = Arc::clone(&self.correlations);
        let index = task.correlation.0 as usize;
        let Compiled {
            correlation,
            measure,
            feeds,
            ..
        } = &correlations.all[index];
        let (groups, counts) = (&mut self.groups[index], &mut self.counts[index]);
        let now = task.time_ms;
        let (key, held) = match task.what {
            What::Match {
                source,
                facts,
                evidence,
            } => {
                let read = &correlation.sources[source as usize];
                let Some(key) = group_of(&read.group_by, &facts) else {
                    counts.without_group += 1;
                    return;
                };
                counts.taken += 1;
                let (group, evicted) = groups.of(&key, now, self.limits.groups, measure);
                counts.groups_evicted += u64::from(evicted);
                let value = measure.value(&facts);
                group.note(evidence, facts);
                let timespan = correlation.timespan_ms;
                let from = now.saturating_sub(timespan);
                let opened = measure
                    .decides_at_end()
                    .then(|| group.open_window(now, timespan));
                if opened.is_none() {
                    group.measure.forget_before(from);
                }
                counts.events_evicted += group.measure.add(now, source, value, self.limits.events);
                match opened {
                    Some(Some(end)) => {
                        let group = key.as_slice().into();
                        return self.push(end, task.correlation, What::End { group });
                    }
                    Some(None) => return,
                    None => {
                        let held = group.transition(now, timespan, measure);
                        (key, held.then_some((from, now)))
                    }
                }
            }
            What::End { group } => {
                let key = Key::from(&*group);
                let ends = |group: &&mut Group| group.window.is_some_and(|(_, end)| end == now);
                let Some(group) = groups.get(&key, now).filter(ends) else {
                    return;
                };
                let held = group.end_window(correlation.timespan_ms, measure);
                (key, held)
            }
        };
        let Some(window_ms) = held else { return };
        let Some(group) = groups.get(&key, now) else {
            return;
        };
        counts.fired += 1;
        let alert = group.fire(task.correlation, correlation, &key, now, window_ms, measure);
        if !feeds.is_empty() {
            let hit = inner_hit(correlation, &alert);
            for feed in feeds {
                self.queue(*feed, &hit);
            }
        }
        if correlation.alerts {
            fired.push(alert);
        }
    }

    /// Goes on with these correlations: the state of those that are the same, of the same rules, stays; the others
    /// begin anew.
    pub fn renew(&mut self, correlations: &Arc<Correlations>) {
        if Arc::ptr_eq(correlations, &self.correlations) {
            return;
        }
        let old = std::mem::replace(&mut self.correlations, Arc::clone(correlations));
        let numbers: HashMap<&str, CorrelationIdx> = (0..)
            .map(CorrelationIdx)
            .zip(&correlations.all)
            .map(|(index, compiled)| (compiled.identity.as_str(), index))
            .collect();
        let renewed = |index: usize| numbers.get(old.all[index].identity.as_str()).copied();
        let groups = std::mem::take(&mut self.groups);
        self.groups = correlations.all.iter().map(|_| Groups::default()).collect();
        for (index, groups) in groups.into_iter().enumerate() {
            if let Some(new) = renewed(index) {
                self.groups[new.0 as usize] = groups;
            }
        }
        let tasks = std::mem::take(&mut self.queue).into_iter();
        self.queue = tasks
            .filter_map(|Reverse(task)| {
                let correlation = renewed(task.correlation.0 as usize)?;
                let depth = correlations.of(correlation).depth;
                Some(Reverse(Task {
                    depth,
                    correlation,
                    ..task
                }))
            })
            .collect();
        self.counts = vec![CorrelationCounts::default(); correlations.len()];
    }

    /// What was counted since the last call, by correlation.
    pub fn take_counts(&mut self) -> Vec<CorrelationCounts> {
        let none = vec![CorrelationCounts::default(); self.counts.len()];
        std::mem::replace(&mut self.counts, none)
    }

    /// How often the watermark was moved on because too many matches waited for it, since the last call.
    pub fn take_forced(&mut self) -> u64 {
        std::mem::take(&mut self.watermark_forced)
    }

    /// Where the groups of a correlation stand that had an event or a window's end at this time. Costs a look at every
    /// group.
    pub fn standings(&self, correlation: CorrelationIdx, time_ms: i64) -> Vec<Standing> {
        let Compiled {
            correlation: of,
            measure,
            ..
        } = self.correlations.of(correlation);
        self.groups[correlation.0 as usize].standings(time_ms, of, measure)
    }

    /// Live groups, by correlation.
    pub fn groups(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().map(Groups::len)
    }

    /// What the watermark is: nothing before it is waited for.
    pub fn watermark_ms(&self) -> i64 {
        self.watermark_ms
    }
}

/// What a correlation that came to hold is to those around it (T10).
fn inner_hit(correlation: &Correlation, alert: &Fired) -> RuleHit {
    let attributes = &correlation.attributes;
    let last = alert.evidence.last().map(|last| &last.event);
    let brief = EventBrief {
        time_ms: alert.time_ms,
        host: last.and_then(|last| last.host.clone()),
        summary: last.and_then(|last| last.summary.clone()),
        source: None,
        identity: EventIdentity::default(),
    };
    let title = attributes.title.as_str().into();
    RuleHit {
        // Of no rule; nobody asks.
        rule: RuleIdx(u32::MAX),
        time_ms: alert.time_ms,
        // The group's values, else those of the event that completed it.
        facts: alert.group.iter().chain(&*alert.facts).cloned().collect(),
        evidence: Arc::new(Evidence::known(
            alert.alert_id(attributes.key()),
            title,
            brief,
        )),
    }
}

/// The values of a group, on the way to it.
type Key = SmallVec<[Arc<str>; 4]>;

/// The group that an event belongs to; none if it lacks one of the fields (T5).
fn group_of(fields: &[Arc<str>], facts: &Facts) -> Option<Key> {
    fields.iter().map(|field| fact(facts, field)).collect()
}

/// The value of a field; the first of several counts.
fn fact(facts: &Facts, field: &str) -> Option<Arc<str>> {
    let found = facts.iter().find(|(name, _)| **name == *field);
    found.map(|(_, value)| Arc::clone(value))
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a plan has fewer than 2^32 correlations")
}

impl Fired {
    /// The alert's id: a version 5 UUID over the correlation's key, the group and the match time, the same wherever
    /// and however often it is evaluated.
    pub fn alert_id(&self, key: &str) -> String {
        let mut parts: Vec<Vec<u8>> = vec![key.as_bytes().to_vec()];
        for (name, value) in &*self.group {
            parts.push(name.as_bytes().to_vec());
            parts.push(value.as_bytes().to_vec());
        }
        parts.push(self.time_ms.to_le_bytes().to_vec());
        parts.push(self.again.to_le_bytes().to_vec());
        crate::enrich::id_of(parts.iter().map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests;
