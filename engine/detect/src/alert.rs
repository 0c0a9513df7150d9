//! The alert in Pythia's native form, `schemas/alert.v1.json`: the only serialised form that this crate knows.
//!
//! Text of events may hold any bytes. What is no UTF-8 stands as `\xff`, byte by byte; a backslash of the event stays
//! one backslash, so such a text is for people. The exact bytes stand in `event`, in Laurel's own encoding.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use sigma::{CorrelationKind, Level, Status};

use crate::Source;

/// One alert: one rule that matched one event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Alert {
    /// A version 5 UUID over the rule's id, the host and a hash of the event's text. The same rule on the same event of the
    /// same host has the same id, wherever and however often it is evaluated.
    pub alert_id: String,
    /// Event time, RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// Effective level: the rule's, or `medium` where it has none.
    pub level: &'static str,
    /// The rule that matched.
    pub rule: AlertRule,
    /// What matched: every view of the event that the rule matched, with the selections and values that made it match.
    /// Limited to 2 KiB, unless set otherwise.
    pub why: Vec<WhyView>,
    /// Views, matches or the ends of long values were left out of `why`.
    #[serde(skip_serializing_if = "is_false")]
    pub why_truncated: bool,
    /// The host's name, as the line, its envelope or its Kafka record gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What the inventory says of the host.
    pub asset: AlertAsset,
    /// The process that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Arc<AlertProcess>>,
    /// Long texts of `host`, `process` or `rule.fields` were cut (they end in `…`), or left out.
    #[serde(skip_serializing_if = "is_false")]
    pub texts_truncated: bool,
    /// The Laurel object's text as it came, after the envelope was opened: JSON within a JSON string. Member names that
    /// were written with escapes stand plain. Absent in alerts of correlations.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub event: Arc<str>,
    /// `event` has been cut to 900 KB or what was set instead (as encoded here), or further, to keep the alert below 1 MB.
    #[serde(skip_serializing_if = "is_false")]
    pub event_truncated: bool,
    /// Of a correlation: its group, its window and the events behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<AlertCorrelation>,
    /// What was cut, guessed or missing when the event was decoded.
    #[serde(skip_serializing_if = "AlertFlags::is_empty")]
    pub flags: AlertFlags,
    /// Where the event was read. Absent in alerts of correlations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<AlertSource>,
    /// Who made this alert.
    pub engine: AlertEngine,
    /// On the last alert of an event that more rules matched than the limit allows: how many alerts were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts_left_out: Option<u32>,
}

/// The rule as its author wrote it, and the values of the fields that the author wants to see.
#[derive(Clone, Debug, JsonSchema)]
pub struct AlertRule {
    /// Everything that is the same in all alerts of the rule.
    #[serde(flatten)]
    pub text: Arc<RuleText>,
    /// The fields that the rule lists under `fields`, with their values in the views that matched.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Vec<String>>,
}

impl Serialize for AlertRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct WithFields<'a> {
            #[serde(flatten)]
            text: &'a RuleText,
            fields: &'a BTreeMap<String, Vec<String>>,
        }
        let Self { text, fields } = self;
        match &text.json {
            Some(json) if fields.is_empty() => json.serialize(serializer),
            _ => WithFields { text, fields }.serialize(serializer),
        }
    }
}

/// The attributes of a rule.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RuleText {
    /// All that follows as JSON, written once for all alerts.
    #[serde(skip)]
    pub(crate) json: Option<Box<RawValue>>,
    /// `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `title`.
    pub title: String,
    /// `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `level`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Hash of the rule's text, hex.
    pub version: String,
    /// `description`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `tags`, as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// MITRE ATT&CK, from the tags.
    #[serde(skip_serializing_if = "Attack::is_empty")]
    pub attack: Attack,
    /// `author`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// `date`, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// `modified`, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// `license`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// `references`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// `related`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<RelatedRule>,
    /// `falsepositives`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub falsepositives: Vec<String>,
    /// `scope`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Attributes that Sigma does not name.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub custom: serde_json::Map<String, serde_json::Value>,
}

/// One entry of `related`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RelatedRule {
    /// The other rule's id.
    pub id: String,
    /// How it is related: `derived`, `obsolete`, `merged`, `renamed` or `similar`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// MITRE ATT&CK references of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attack {
    /// Tactics, such as `defense-evasion`.
    pub tactics: Vec<String>,
    /// Techniques and sub-techniques, such as `T1059.004`.
    pub techniques: Vec<String>,
}

/// One view of the event that the rule matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WhyView {
    /// The view: `process_creation`, `file_event`, `file_delete`, `file_rename`, `network_connection`, `auditd` or `laurel`.
    pub view: &'static str,
    /// The record or element it was made from, such as `PATH[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The selections that the condition asks for and that held.
    pub selections: Vec<WhySelection>,
}

/// One selection that held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WhySelection {
    /// Its name.
    pub name: String,
    /// What made it hold.
    pub matches: Vec<WhyMatch>,
}

/// One value of a rule that held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WhyMatch {
    /// The field, as the rule names it; absent for a keyword.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where in the event the value stands, with array indices: `EXECVE.ARGV[2]`. Absent where it stands in no
    /// single place, or where the field is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The event's value; absent where the field is missing. A long one is cut around the match, with `…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the rule asks for, such as `contains 'use Socket'`.
    pub matcher: String,
}

/// What the inventory says of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertAsset {
    /// Whether the host was found in an inventory.
    pub resolved: bool,
    /// Why not, or how far: `unknown` where there is no inventory.
    pub state: &'static str,
}

impl AlertAsset {
    /// No inventory says anything.
    pub fn unknown() -> Self {
        Self {
            resolved: false,
            state: "unknown",
        }
    }
}

/// The process that acted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertProcess {
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// Parent's process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ppid: Option<u64>,
    /// Executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Command line: the arguments joined by blanks; of an event that executes nothing, that of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Login id: who logged in, whoever the user is now; 4294967295 if nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auid: Option<u64>,
    /// Login session; 4294967295 if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// Terminal; `(none)` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// Process labels that Laurel gave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Id of the container it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The systemd services it belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Who started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<AlertParent>,
    /// The parent's parent and so on, as far as their starts have been seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<AlertAncestor>,
}

/// The parent of the process that acted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertParent {
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// Executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The kernel's short name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Command line, if its start has been seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
}

/// A process further up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertAncestor {
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// Executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
}

/// What was cut, guessed or missing when the event was decoded. Present where true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertFlags {
    /// Laurel left arguments out.
    #[serde(skip_serializing_if = "is_false")]
    pub argv_truncated: bool,
    /// Positions of arguments are guessed from blanks.
    #[serde(skip_serializing_if = "is_false")]
    pub argv_split_guess: bool,
    /// A limit on records or arguments was reached: rules saw only what fits.
    #[serde(skip_serializing_if = "is_false")]
    pub limit_reached: bool,
}

impl AlertFlags {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the event was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AlertSource {
    /// A Kafka record.
    Kafka {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
    /// A line of a file, or of stdin (`-`).
    File {
        /// Path as given.
        file: String,
        /// Line, from 1.
        line: u64,
    },
}

impl AlertSource {
    pub(crate) fn of(source: Source<'_>) -> Self {
        match source {
            Source::Kafka {
                topic,
                partition,
                offset,
            } => Self::Kafka {
                topic: topic.to_owned(),
                partition,
                offset,
            },
            Source::File { file, line } => Self::File {
                file: file.to_owned(),
                line,
            },
        }
    }
}

/// What a correlation found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertCorrelation {
    /// `type`, such as `event_count`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The values of `group-by` that all its events share.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub group: BTreeMap<Arc<str>, Arc<str>>,
    /// The number that the condition is about: a count, a sum, ...; a decimal number as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Start of the window, RFC 3339; belongs to it.
    pub from: String,
    /// End of the window, RFC 3339; belongs to it.
    pub to: String,
    /// How many events of the group lie in the window.
    pub event_count: u64,
    /// The last of them, at most 16, oldest first.
    pub events: Vec<AlertEvidence>,
}

/// An event behind a correlation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertEvidence {
    /// The id that the match has as an alert, whether or not it was given as one.
    pub alert_id: String,
    /// Title of the rule, or of the correlation, that matched.
    pub title: Arc<str>,
    /// Event time, RFC 3339.
    pub time: String,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// The command line, else the executable; at most 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Box<str>>,
    /// Where the event was read; absent for a correlation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<AlertSource>,
}

/// Who made the alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertEngine {
    /// Pythia's version.
    pub version: &'static str,
    /// Hash of the ruleset, hex.
    pub ruleset: Arc<str>,
}

impl Alert {
    /// The alert as one line of JSON. Members are always in the same order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names are strings and numbers are finite")
    }

    /// Appends what [`Alert::to_json`] gives.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("names are strings and numbers are finite");
    }

    /// The rule's title.
    pub fn title(&self) -> &str {
        &self.rule.text.title
    }

    /// What identifies the rule: its id, else its name, else its title.
    pub fn rule_key(&self) -> &str {
        let text = &self.rule.text;
        text.id
            .as_deref()
            .or(text.name.as_deref())
            .unwrap_or(&text.title)
    }

    /// The one value that says most about what happened: the command line, else the first value that matched.
    pub fn main_value(&self) -> Option<&str> {
        let matched = || {
            let selections = self.why.iter().flat_map(|view| &view.selections);
            selections
                .flat_map(|selection| &selection.matches)
                .find_map(|found| found.value.as_deref())
        };
        let group = || {
            let first = self.correlation.as_ref()?.events.last()?;
            first.summary.as_deref()
        };
        let command_line = self
            .process
            .as_ref()
            .and_then(|process| process.command_line.as_deref());
        command_line.or_else(matched).or_else(group)
    }
}

/// The JSON schema of [`Alert`], generated from the type: the content of `schemas/alert.v1.json`.
pub fn alert_schema() -> String {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Alert>();
    schema.insert("title".into(), "Pythia alert, version 1".into());
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A text of an event for people: bytes that are no UTF-8 as `\xff`.
pub(crate) fn shown(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a string takes any text");
        }
    }
    out.into()
}

/// Sigma's word for a level.
pub(crate) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Informational => "informational",
        Level::Low => "low",
        Level::Medium => "medium",
        Level::High => "high",
        Level::Critical => "critical",
    }
}

/// Sigma's word for a correlation's type.
pub(crate) fn type_name(kind: &CorrelationKind) -> &'static str {
    match kind {
        CorrelationKind::EventCount => "event_count",
        CorrelationKind::ValueCount(_) => "value_count",
        CorrelationKind::ValueSum(_) => "value_sum",
        CorrelationKind::ValueAvg(_) => "value_avg",
        CorrelationKind::ValuePercentile(..) => "value_percentile",
        CorrelationKind::Temporal => "temporal",
        CorrelationKind::TemporalOrdered => "temporal_ordered",
    }
}

/// Sigma's word for a status.
pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Stable => "stable",
        Status::Test => "test",
        Status::Experimental => "experimental",
        Status::Deprecated => "deprecated",
        Status::Unsupported => "unsupported",
    }
}

impl Attack {
    /// From a rule's tags.
    pub(crate) fn from_tags(tags: &[String]) -> Self {
        let mut attack = Self::default();
        for name in tags.iter().filter_map(|tag| tag.strip_prefix("attack.")) {
            match name.as_bytes() {
                [b't' | b'T', b'0'..=b'9', ..] => attack.techniques.push(name.to_uppercase()),
                // Groups and software.
                [b'g' | b's' | b'G' | b'S', b'0'..=b'9', ..] => {}
                _ => attack.tactics.push(name.replace('_', "-")),
            }
        }
        attack
    }

    fn is_empty(&self) -> bool {
        self.tactics.is_empty() && self.techniques.is_empty()
    }
}
