//! From a match to an alert: the rule's text, what matched, the process, and an id that any repetition gives again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Event, Slot, Value, ValueKind, ViewKind};
use serde_json::value::to_raw_value;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use sigma::{Attributes, Level};
use smallvec::SmallVec;
use uuid::{Builder, Uuid};

use crate::alert::{
    Alert, AlertAncestor, AlertAsset, AlertCorrelation, AlertEngine, AlertEvidence, AlertFlags,
    AlertParent, AlertProcess, AlertRule, AlertSource, Attack, RelatedRule, RuleText, level_name,
    shown, status_name, type_name,
};
use crate::correlate::{EventBrief, Evidence, Fired, ReadRule, RuleHit};
use crate::date::rfc3339;
use crate::number::canonical_if_other;
use crate::plan::{Plan, RuleIdx};
use crate::subject::Subject;
use crate::why::Why;
use crate::{Limits, Line};

/// Name space of alert ids. Fixed for ever: another one would give every alert a second id.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f0c_63a1_6b0e_4d1e_9c57_2f1a_d84b_7e30);

/// Most bytes of an alert as JSON: Kafka's default limit of a message, less room for key and headers.
const ALERT_BYTES_MAX: usize = 1_000_000;
/// Most bytes that the attributes of a rule may take; above, the rule is refused.
pub(crate) const RULE_BYTES_MAX: usize = 256 * 1024;
/// Most bytes that all else but `why` may take: a sum of the limits below.
const REST_BYTES_MAX: usize = 96 * 1024;

/// Most bytes of one command line.
const COMMAND_LINE_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of one command line of an ancestor.
const ANCESTOR_BYTES_MAX: usize = 1024;
/// Most bytes of any other text, such as a path.
const TEXT_BYTES_MAX: usize = 1024;
/// Most labels, and most services.
const NAMES_MAX: usize = 16;
/// Most values in all of the rule's `fields` together, and most bytes of one of them.
const FIELD_VALUES_MAX: usize = 32;
const FIELD_BYTES_MAX: usize = 256;

/// Level of a rule without one.
const LEVEL: Level = Level::Medium;

/// The level that decides: the rule's own, or medium.
pub(crate) fn effective_level(attributes: &Attributes) -> Level {
    attributes.level.unwrap_or(LEVEL)
}

/// What all alerts of one event share.
pub(crate) struct Shared {
    time: String,
    host: Option<String>,
    identity: EventIdentity,
    process: Option<Arc<AlertProcess>>,
    texts_cut: bool,
    event: Arc<str>,
    event_bytes: usize,
    flags: AlertFlags,
    source: AlertSource,
    limits: Limits,
}

impl Shared {
    pub(crate) fn new(
        event: &Event<'_>,
        line: &Line<'_>,
        limits: Limits,
        identity: EventIdentity,
    ) -> Self {
        let text: Arc<str> = shown(event.text()).into();
        let flags = event.flags();
        let mut cutter = Cutter::default();
        Self {
            time: rfc3339(event.id().time_ms),
            host: event.host().map(|host| cutter.text(host, TEXT_BYTES_MAX)),
            identity,
            process: process(event, &mut cutter).map(Arc::new),
            texts_cut: cutter.cut,
            event_bytes: encoded_bytes(&text, roomy(limits)),
            event: text,
            limits,
            flags: AlertFlags {
                argv_truncated: flags.argv_truncated,
                argv_split_guess: flags.argv_split_guess,
                limit_reached: flags.limit_reached,
            },
            source: AlertSource::of(line.source),
        }
    }

    /// The alert of one rule on those views that it matched.
    pub(crate) fn alert<'s>(
        &self,
        plan: &Plan,
        rule: RuleIdx,
        views: impl Iterator<Item = Subject<'s>> + Clone,
    ) -> Alert {
        let why = Why::of(plan, rule, views.clone(), self.limits.why_bytes);
        let mut cutter = Cutter {
            cut: self.texts_cut,
        };
        let mut alert = Alert {
            alert_id: self.identity.alert_id(plan.rule(rule).attributes.key()),
            time: self.time.clone(),
            level: level_name(effective_level(&plan.rule(rule).attributes)),
            rule: AlertRule {
                text: Arc::clone(plan.text(rule)),
                fields: fields(plan, rule, views, &mut cutter),
            },
            why: why.views,
            why_truncated: why.truncated,
            host: self.host.clone(),
            asset: AlertAsset::unknown(),
            process: self.process.clone(),
            texts_truncated: cutter.cut,
            event: Arc::clone(&self.event),
            event_truncated: false,
            correlation: None,
            flags: self.flags,
            source: Some(self.source.clone()),
            engine: AlertEngine {
                version: env!("CARGO_PKG_VERSION"),
                ruleset: Arc::clone(plan.shared_hash()),
            },
            alerts_left_out: None,
        };
        (alert.event, alert.event_truncated) = self.event_within(&mut alert);
        alert
    }

    /// The event's text, cut so that the alert stays within its limit, and whether it was cut.
    fn event_within(&self, rest: &mut Alert) -> (Arc<str>, bool) {
        let mut limit = self.limits.event_bytes;
        if self.event_bytes + rest_bytes_max(self.limits) > ALERT_BYTES_MAX {
            rest.event = "".into();
            limit = limit.min(ALERT_BYTES_MAX.saturating_sub(rest.to_json().len()));
        }
        if self.event_bytes <= limit {
            return (Arc::clone(&self.event), false);
        }
        (cut_to(&self.event, limit).into(), true)
    }
}

/// What ids of an event's alerts are made of beside the rule: its host and a hash of its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventIdentity {
    host: Arc<[u8]>,
    text_hash: [u8; 16],
}

impl EventIdentity {
    /// PERF: hashing takes about a microsecond; once for each event that matches.
    pub(crate) fn of(event: &Event<'_>) -> Self {
        Self {
            host: event.host().unwrap_or_default().into(),
            text_hash: text_hash(event.text()),
        }
    }

    pub(crate) fn alert_id(&self, rule: &str) -> String {
        alert_id(rule, &self.host, &self.text_hash)
    }
}

/// Most bytes of [`EventBrief::summary`].
const SUMMARY_BYTES_MAX: usize = 256;

/// What correlations remember of an event.
pub(crate) fn brief(event: &Event<'_>, line: &Line<'_>, identity: EventIdentity) -> EventBrief {
    let mut cutter = Cutter::default();
    let host = event.host().map(|host| cutter.text(host, TEXT_BYTES_MAX));
    let telling = event.telling();
    EventBrief {
        time_ms: event.id().time_ms,
        host: host.map(Into::into),
        summary: telling.map(|text| cutter.text(&text, SUMMARY_BYTES_MAX).into()),
        source: Some(AlertSource::of(line.source)),
        identity,
    }
}

/// The match of a rule that correlations read, on this view.
pub(crate) fn hit(
    plan: &Plan,
    rule: RuleIdx,
    read: &ReadRule,
    event: &Arc<EventBrief>,
    view: &Subject<'_>,
) -> RuleHit {
    let value = |field: &Arc<str>| {
        let slot = plan.names(rule).named(field)?;
        Some((Arc::clone(field), canonical_value(view, slot)?))
    };
    RuleHit {
        rule,
        time_ms: event.time_ms,
        facts: read.fields.iter().filter_map(value).collect(),
        evidence: Arc::new(Evidence::of_rule(read, Arc::clone(event))),
    }
}

/// T5: the canonical text of a field, several values of the event's own arrays as JSON; `None` if it is missing or null.
fn canonical_value(view: &Subject<'_>, slot: Slot) -> Option<Arc<str>> {
    let text = |value: &Value| match canonical_if_other(view.raw(value)) {
        Some(canonical) if value.kind == ValueKind::Number => shown(&canonical).into_owned().into(),
        _ => shown(view.raw(value)),
    };
    let values = view.values.iter().filter(|value| {
        value.slot == slot && !matches!(value.kind, ValueKind::Null | ValueKind::Container)
    });
    let texts: SmallVec<[Cow<'_, str>; 1]> = match view.kind {
        // Their fields have one value, or other names for the same (`Image`): the first counts.
        ViewKind::Record | ViewKind::Native => values.map(text).collect(),
        _ => values.take(1).map(text).collect(),
    };
    match &texts[..] {
        [] => None,
        [only] => Some(bounded(only)),
        several => serde_json::to_string(several)
            .ok()
            .map(|json| bounded(&json)),
    }
}

/// Most bytes of a value that correlations keep; attackers choose what stands in events.
const CORRELATED_BYTES_MAX: usize = 1024;

/// The text; of a longer one the start and a hash of the whole, so that different texts stay different.
fn bounded(text: &str) -> Arc<str> {
    if text.len() <= CORRELATED_BYTES_MAX {
        return text.into();
    }
    let hash = Uuid::from_bytes(text_hash(text.as_bytes())).simple();
    format!("{}… sha256:{hash}", cut_to(text, CORRELATED_BYTES_MAX)).into()
}

/// 128 bits that nobody can aim at: attackers choose what stands in events.
fn text_hash(text: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(text)[..16]);
    hash
}

fn alert_id(rule: &str, host: &[u8], text_hash: &[u8; 16]) -> String {
    id_of([rule.as_bytes(), host, text_hash].into_iter())
}

/// Each part with its length before it, so that no two lists give one name.
pub(crate) fn id_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    // A version 5 UUID as `Uuid::new_v5` makes it (RFC 9562, 5.5), but that SHA-1 runs in hardware here.
    let mut hash = Sha1::new_with_prefix(NAMESPACE);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_sha1_bytes(bytes).into_uuid().to_string()
}

/// Bytes that a code point takes within a JSON string.
fn encoded(point: char) -> usize {
    match point {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..' ' => 6,
        point => point.len_utf8(),
    }
}

/// The most that [`encoded`] gives for each byte of a text.
const ENCODED_MAX: usize = 6;

/// Most bytes of an alert beside its event.
fn rest_bytes_max(limits: Limits) -> usize {
    RULE_BYTES_MAX + REST_BYTES_MAX + limits.why_bytes
}

/// Up to this size an event fits for certain, and its size need not be known exactly.
fn roomy(limits: Limits) -> usize {
    let beside = ALERT_BYTES_MAX.saturating_sub(rest_bytes_max(limits));
    limits.event_bytes.min(beside)
}

/// Bytes that a text takes within a JSON string; an upper bound if that lies within `rough`.
///
/// PERF: code point by code point, sizes and cuts took an eighth of the time of an alert.
fn encoded_bytes(text: &str, rough: usize) -> usize {
    match text.len() * ENCODED_MAX {
        bound if bound <= rough => bound,
        _ => text.chars().map(encoded).sum(),
    }
}

/// The start of a text that takes at most `limit` bytes within a JSON string.
fn cut_to(text: &str, limit: usize) -> &str {
    if text.len() * ENCODED_MAX <= limit {
        return text;
    }
    let mut bytes = 0;
    for (at, point) in text.char_indices() {
        bytes += encoded(point);
        if bytes > limit {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// Shows texts within limits and remembers whether it cut any.
#[derive(Default)]
pub(crate) struct Cutter {
    pub(crate) cut: bool,
}

impl Cutter {
    /// The text for people, at most `limit` bytes of JSON and a mark where it was cut.
    pub(crate) fn text(&mut self, text: &[u8], limit: usize) -> String {
        // Showing takes no fewer bytes than there are.
        let text = shown(text.get(..limit + 4).unwrap_or(text));
        let kept = cut_to(&text, limit);
        if kept.len() == text.len() {
            return text.into_owned();
        }
        self.cut = true;
        format!("{kept}…")
    }

    fn texts(&mut self, texts: &[Cow<'_, [u8]>]) -> Vec<String> {
        self.cut |= texts.len() > NAMES_MAX;
        texts
            .iter()
            .take(NAMES_MAX)
            .map(|text| self.text(text, TEXT_BYTES_MAX))
            .collect()
    }
}

fn process(event: &Event<'_>, cutter: &mut Cutter) -> Option<AlertProcess> {
    let process = event.process();
    let found = AlertProcess {
        pid: process.pid,
        ppid: process.ppid,
        exe: process.exe.map(|text| cutter.text(&text, TEXT_BYTES_MAX)),
        command_line: process
            .command_line
            .map(|text| cutter.text(&text, COMMAND_LINE_BYTES_MAX)),
        cwd: process.cwd.map(|text| cutter.text(&text, TEXT_BYTES_MAX)),
        user: process.user.map(|text| cutter.text(&text, TEXT_BYTES_MAX)),
        auid: process.auid,
        session: process.session,
        tty: process.tty.map(|text| cutter.text(&text, TEXT_BYTES_MAX)),
        labels: cutter.texts(&process.labels),
        container: process
            .container
            .map(|text| cutter.text(&text, TEXT_BYTES_MAX)),
        services: cutter.texts(&process.services),
        parent: process.parent.map(|parent| AlertParent {
            pid: parent.pid,
            exe: parent.exe.map(|text| cutter.text(&text, TEXT_BYTES_MAX)),
            comm: parent.comm.map(|text| cutter.text(&text, TEXT_BYTES_MAX)),
            command_line: parent
                .command_line
                .map(|text| cutter.text(&text, COMMAND_LINE_BYTES_MAX)),
        }),
        ancestors: process
            .ancestors
            .iter()
            .map(|ancestor| AlertAncestor {
                pid: ancestor.pid,
                exe: (!ancestor.exe.is_empty())
                    .then(|| cutter.text(ancestor.exe, ANCESTOR_BYTES_MAX)),
                command_line: ancestor
                    .command_line
                    .map(|text| cutter.text(text, ANCESTOR_BYTES_MAX)),
            })
            .collect(),
    };
    (found != AlertProcess::default()).then_some(found)
}

/// Values of the fields that the rule's author wants to see, each once.
fn fields<'s>(
    plan: &Plan,
    rule: RuleIdx,
    views: impl Iterator<Item = Subject<'s>>,
    cutter: &mut Cutter,
) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::new();
    let mut count = 0;
    let wanted = &plan.rule(rule).attributes.fields;
    if wanted.is_empty() {
        return fields;
    }
    for view in views {
        for field in wanted {
            let Some(slot) = plan.names(rule).named(field) else {
                continue;
            };
            for value in view.values.iter().filter(|value| value.slot == slot) {
                if matches!(value.kind, ValueKind::Null | ValueKind::Container) {
                    continue;
                }
                if count == FIELD_VALUES_MAX {
                    cutter.cut = true;
                    return fields;
                }
                let values: &mut Vec<String> = fields.entry(field.clone()).or_default();
                let text = cutter.text(view.raw(value), FIELD_BYTES_MAX);
                if !values.contains(&text) {
                    values.push(text);
                    count += 1;
                }
            }
        }
    }
    fields
}

/// The alert of a correlation. It has no event of its own: `correlation` lists those behind it.
pub(crate) fn correlation_alert(plan: &Plan, fired: &Fired) -> Alert {
    let correlation = plan.correlations().correlation(fired.correlation);
    let attributes = &correlation.attributes;
    let of_group = fired.group.iter().find(|(name, _)| &**name == "host");
    let hosts = || {
        let mut hosts = fired.evidence.iter().map(|one| one.event.host.clone());
        let first = hosts.next()?;
        hosts.all(|host| host == first).then_some(first).flatten()
    };
    let host = of_group.map(|(_, host)| Arc::clone(host)).or_else(hosts);
    let event = |Evidence { title, event, .. }: &Evidence, alert_id: String| AlertEvidence {
        alert_id,
        title: Arc::clone(title),
        time: rfc3339(event.time_ms),
        host: event.host.clone(),
        summary: event.summary.clone(),
        source: event.source.clone(),
    };
    Alert {
        alert_id: fired.alert_id(attributes.key()),
        time: rfc3339(fired.time_ms),
        level: level_name(effective_level(attributes)),
        rule: AlertRule {
            text: Arc::clone(plan.correlations().text(fired.correlation)),
            fields: BTreeMap::new(),
        },
        why: Vec::new(),
        why_truncated: false,
        host: host.map(|host| host.as_ref().to_owned()),
        asset: AlertAsset::unknown(),
        process: None,
        texts_truncated: false,
        event: "".into(),
        event_truncated: false,
        correlation: Some(AlertCorrelation {
            kind: type_name(&correlation.kind),
            group: fired.group.iter().cloned().collect(),
            value: fired.number.clone(),
            from: rfc3339(fired.window_ms.0),
            to: rfc3339(fired.window_ms.1),
            event_count: fired.events,
            events: fired
                .evidence
                .iter()
                .map(|one| event(one, one.alert_id()))
                .collect(),
        }),
        flags: AlertFlags::default(),
        source: None,
        engine: AlertEngine {
            version: env!("CARGO_PKG_VERSION"),
            ruleset: Arc::clone(plan.shared_hash()),
        },
        alerts_left_out: None,
    }
}

/// The attributes of a rule, as all of its alerts carry them.
pub(crate) fn rule_text(attributes: &Attributes) -> RuleText {
    let custom = attributes.custom.iter().map(|(name, json)| {
        let value =
            serde_json::from_str(json).unwrap_or_else(|_| serde_json::Value::String(json.clone()));
        (name.clone(), value)
    });
    let mut text = RuleText {
        json: None,
        id: attributes.id.clone(),
        title: attributes.title.clone(),
        name: attributes.name.clone(),
        level: attributes.level.map(|level| level_name(level).to_owned()),
        status: attributes
            .status
            .map(|status| status_name(status).to_owned()),
        version: attributes.version.clone(),
        description: attributes.description.clone(),
        tags: attributes.tags.clone(),
        attack: Attack::from_tags(&attributes.tags),
        author: attributes.author.clone(),
        date: attributes.date.clone(),
        modified: attributes.modified.clone(),
        license: attributes.license.clone(),
        references: attributes.references.clone(),
        related: attributes
            .related
            .iter()
            .map(|related| RelatedRule {
                id: related.id.clone(),
                kind: related.kind.clone(),
            })
            .collect(),
        falsepositives: attributes.falsepositives.clone(),
        scope: attributes.scope.clone(),
        custom: custom.collect(),
    };
    text.json = to_raw_value(&text).ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_id_tells_rule_host_and_event_apart() {
        let hash = text_hash(b"{}");
        let id = alert_id("rule", b"host", &hash);
        assert_eq!(id, alert_id("rule", b"host", &hash));
        let parsed = Uuid::parse_str(&id).unwrap();
        assert_eq!(parsed.get_version_num(), 5);
        for other in [
            alert_id("ruleh", b"ost", &hash),
            alert_id("rul", b"ehost", &hash),
            alert_id("rule", b"", &hash),
            alert_id("rule", b"host", &text_hash(b"{} ")),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn long_values_of_correlations_are_bounded_and_stay_apart() {
        let long = "a".repeat(1 << 20);
        let (one, other) = (bounded(&(long.clone() + "b")), bounded(&(long + "c")));
        assert_ne!(one, other);
        assert!(one.len() < 2 * CORRELATED_BYTES_MAX);
        assert_eq!(&*bounded("short"), "short");
    }

    #[test]
    fn texts_are_cut_by_their_encoded_size() {
        for unit in ["a", "\"", "\u{1}", "é", "\n", "€", "\u{7f}"] {
            let text = unit.repeat(1000);
            let mut cutter = Cutter::default();
            let kept = cutter.text(text.as_bytes(), 500);
            let encoded = serde_json::to_string(&kept).unwrap().len() - "\"…\"".len();
            assert!(
                cutter.cut && encoded <= 500 && encoded + 6 > 500,
                "{unit:?} {encoded}"
            );
            assert_eq!(
                encoded_bytes(&text, 0),
                serde_json::to_string(&text).unwrap().len() - 2
            );
        }
        let mut cutter = Cutter::default();
        assert_eq!(cutter.text(b"short", 5), "short");
        assert!(!cutter.cut);
        assert_eq!(cutter.text(b"\xff\xff", 5), "\\xff…");
    }
}
