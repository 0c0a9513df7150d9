//! From a match to an alert: the rule's text, what matched, the process, and an id that any repetition gives again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Event, ValueKind};
use sha2::{Digest as _, Sha256};
use sigma::{Level, Rule};
use uuid::Uuid;

use crate::alert::{
    Alert, AlertAncestor, AlertAsset, AlertEngine, AlertFlags, AlertParent, AlertProcess,
    AlertRule, AlertSource, Attack, RelatedRule, RuleText, level_name, shown, status_name,
};
use crate::date::rfc3339;
use crate::plan::{Plan, RuleIdx};
use crate::subject::Subject;
use crate::why::Why;
use crate::{Line, Source};

/// Name space of alert ids. Fixed for ever: another one would give every alert a second id.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f0c_63a1_6b0e_4d1e_9c57_2f1a_d84b_7e30);

/// Most bytes that the event's text may take within the alert, as encoded there.
const EVENT_BYTES_MAX: usize = 900 * 1024;

/// Level of a rule without one.
const LEVEL: Level = Level::Medium;

/// The level that decides: the rule's own, or medium.
pub(crate) fn effective_level(rule: &Rule) -> Level {
    rule.level.unwrap_or(LEVEL)
}

/// What all alerts of one event share.
pub(crate) struct Shared {
    time: String,
    host: Option<String>,
    host_key: Vec<u8>,
    text_hash: [u8; 16],
    process: Option<AlertProcess>,
    event: String,
    event_truncated: bool,
    flags: AlertFlags,
    source: AlertSource,
}

impl Shared {
    pub(crate) fn new(event: &Event<'_>, line: &Line<'_>) -> Self {
        let (text, event_truncated) = embedded(event.text());
        let flags = event.flags();
        Self {
            time: rfc3339(event.id().time_ms),
            host: event.host().map(shown),
            host_key: event.host().unwrap_or_default().to_vec(),
            text_hash: text_hash(event.text()),
            process: process(event),
            event: text,
            event_truncated,
            flags: AlertFlags {
                argv_truncated: flags.argv_truncated,
                argv_split_guess: flags.argv_split_guess,
                limit_reached: flags.limit_reached,
            },
            source: match line.source {
                Source::Kafka {
                    topic,
                    partition,
                    offset,
                } => AlertSource::Kafka {
                    topic: topic.to_owned(),
                    partition,
                    offset,
                },
                Source::File { file, line } => AlertSource::File {
                    file: file.to_owned(),
                    line,
                },
            },
        }
    }

    /// The alert of one rule on those views that it matched.
    pub(crate) fn alert<'s>(
        &self,
        plan: &Plan,
        rule: RuleIdx,
        views: impl Iterator<Item = Subject<'s>> + Clone,
    ) -> Alert {
        let why = Why::of(plan, rule, views.clone());
        Alert {
            alert_id: alert_id(plan.rule(rule).key(), &self.host_key, &self.text_hash),
            time: self.time.clone(),
            level: level_name(effective_level(plan.rule(rule))).to_owned(),
            rule: AlertRule {
                text: Arc::clone(plan.text(rule)),
                fields: fields(plan, rule, views),
            },
            why: why.views,
            why_truncated: why.truncated,
            host: self.host.clone(),
            asset: AlertAsset::unknown(),
            process: self.process.clone(),
            event: self.event.clone(),
            event_truncated: self.event_truncated,
            flags: self.flags,
            source: self.source.clone(),
            engine: AlertEngine {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ruleset: plan.hash().to_owned(),
            },
            alerts_left_out: None,
        }
    }
}

/// 128 bits that nobody can aim at: attackers choose what stands in events.
fn text_hash(text: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(text)[..16]);
    hash
}

/// Each part with its length before it, so that no two triples give one name.
fn alert_id(rule: &str, host: &[u8], text_hash: &[u8; 16]) -> String {
    let mut name = Vec::with_capacity(rule.len() + host.len() + 40);
    for part in [rule.as_bytes(), host, text_hash] {
        name.extend_from_slice(&(part.len() as u64).to_le_bytes());
        name.extend_from_slice(part);
    }
    Uuid::new_v5(&NAMESPACE, &name).to_string()
}

/// The event's text as far as its encoded form fits into the alert, and whether it was cut.
fn embedded(text: &[u8]) -> (String, bool) {
    let text = shown(text);
    let mut bytes = 2;
    for (at, point) in text.char_indices() {
        bytes += match point {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..' ' => 6,
            point => point.len_utf8(),
        };
        if bytes > EVENT_BYTES_MAX {
            return (text.get(..at).unwrap_or_default().to_owned(), true);
        }
    }
    (text, false)
}

fn process(event: &Event<'_>) -> Option<AlertProcess> {
    let process = event.process();
    let text = |text: Option<Cow<'_, [u8]>>| text.map(|text| shown(&text));
    let texts = |texts: Vec<Cow<'_, [u8]>>| texts.iter().map(|text| shown(text)).collect();
    let found = AlertProcess {
        pid: process.pid,
        ppid: process.ppid,
        exe: text(process.exe),
        command_line: text(process.command_line),
        cwd: text(process.cwd),
        user: text(process.user),
        auid: process.auid,
        session: process.session,
        tty: text(process.tty),
        labels: texts(process.labels),
        container: text(process.container),
        services: texts(process.services),
        parent: process.parent.map(|parent| AlertParent {
            pid: parent.pid,
            exe: text(parent.exe),
            comm: text(parent.comm),
            command_line: text(parent.command_line),
        }),
        ancestors: process
            .ancestors
            .iter()
            .map(|ancestor| AlertAncestor {
                pid: ancestor.pid,
                exe: (!ancestor.exe.is_empty()).then(|| shown(ancestor.exe)),
                command_line: ancestor.command_line.map(shown),
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
) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::new();
    let wanted = &plan.rule(rule).fields;
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
                let values: &mut Vec<String> = fields.entry(field.clone()).or_default();
                let text = shown(view.raw(value));
                if !values.contains(&text) && values.len() < VALUES_MAX {
                    values.push(text);
                }
            }
        }
    }
    fields
}

/// Most values of one field in an alert; all of them stand in `event`.
const VALUES_MAX: usize = 16;

/// The attributes of a rule, as all of its alerts carry them.
pub(crate) fn rule_text(rule: &Rule) -> RuleText {
    let custom = rule.custom.iter().map(|(name, json)| {
        let value =
            serde_json::from_str(json).unwrap_or_else(|_| serde_json::Value::String(json.clone()));
        (name.clone(), value)
    });
    RuleText {
        id: rule.id.clone(),
        title: rule.title.clone(),
        name: rule.name.clone(),
        level: rule.level.map(|level| level_name(level).to_owned()),
        status: rule.status.map(|status| status_name(status).to_owned()),
        version: rule.version.clone(),
        description: rule.description.clone(),
        tags: rule.tags.clone(),
        attack: Attack::from_tags(&rule.tags),
        author: rule.author.clone(),
        date: rule.date.clone(),
        modified: rule.modified.clone(),
        license: rule.license.clone(),
        references: rule.references.clone(),
        related: rule
            .related
            .iter()
            .map(|related| RelatedRule {
                id: related.id.clone(),
                kind: related.kind.clone(),
            })
            .collect(),
        falsepositives: rule.falsepositives.clone(),
        scope: rule.scope.clone(),
        custom: custom.collect(),
    }
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
    fn the_event_is_cut_by_its_encoded_size() {
        for unit in ["a", "\"", "\u{1}", "é", "\n"] {
            let text = unit.repeat(EVENT_BYTES_MAX);
            let (kept, cut) = embedded(text.as_bytes());
            let encoded = serde_json::to_string(&kept).unwrap().len();
            assert!(
                cut && encoded <= EVENT_BYTES_MAX && encoded + 6 > EVENT_BYTES_MAX,
                "{unit:?} {encoded}"
            );
        }
        assert_eq!(embedded(b"{\"a\":1}"), ("{\"a\":1}".to_owned(), false));
    }
}
