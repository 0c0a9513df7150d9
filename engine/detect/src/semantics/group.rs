//! The files of the corpus: text to [`Group`]s. The form is described in `tests/data/semantics/README.md`; whatever
//! does not keep to it panics with its place, so that no expectation is overlooked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sigma::yaml::{self, Kind, Node};
use sigma::{Placeholders, SourceFile};

use crate::correlate::CorrelationLimits;

/// A file of the corpus.
pub(super) struct File {
    pub(super) name: String,
    pub(super) groups: Vec<Group>,
}

/// Cases that show one clause.
pub(super) struct Group {
    /// Ids of policy points or a part of the specification, a colon, what the cases show.
    pub(super) clause: String,
    /// File and line.
    pub(super) place: String,
    /// Rule files that all have the same meaning.
    pub(super) texts: Vec<String>,
    pub(super) placeholders: Placeholders,
    /// Codes of all diagnostics.
    pub(super) codes: BTreeSet<String>,
    pub(super) expected: Expected,
}

pub(super) enum Expected {
    /// The rules are refused.
    Refused,
    /// The rules match some events and are silent on others.
    Verdicts {
        /// The events are Laurel's and the rules see the view of their log source.
        laurel: bool,
        events: Vec<Judged>,
    },
    /// The correlations fire.
    Sequences(Vec<Sequence>),
}

/// An event, and whether the rules match it.
pub(super) struct Judged {
    pub(super) event: Event,
    pub(super) matches: bool,
    pub(super) place: String,
}

/// An event as it was written and as a value.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) text: String,
    pub(super) value: Value,
}

/// Events in the order in which they come, and what fires.
pub(super) struct Sequence {
    pub(super) place: String,
    /// Event times are milliseconds.
    pub(super) events: Vec<(i64, Value)>,
    pub(super) lateness_ms: i64,
    pub(super) limits: CorrelationLimits,
    pub(super) fires: Vec<Firing>,
    /// Counters that are not zero, by name.
    pub(super) counts: BTreeMap<String, u64>,
}

/// Match time in milliseconds, title and group.
pub(super) type Firing = (i64, String, Value);

const LATENESS_MS: i64 = 30_000;

impl Group {
    /// How many cases it has: events judged, sequences, refused rules.
    pub(super) fn cases(&self) -> usize {
        let each = match &self.expected {
            Expected::Refused => 1,
            Expected::Verdicts { events, .. } => events.len(),
            Expected::Sequences(sequences) => sequences.len(),
        };
        each * self.texts.len()
    }
}

/// All files, by name.
#[expect(clippy::disallowed_methods, reason = "the corpus lies in files")]
pub(super) fn files() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/semantics");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort();
    let file = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        file(name, text)
    };
    paths.iter().map(file).collect()
}

fn file(name: String, text: String) -> File {
    let source = SourceFile {
        name: name.as_str().into(),
        text: text.into(),
    };
    let documents = yaml::read(&source);
    let [document] = &documents[..] else {
        panic!("{name} must be one document")
    };
    assert!(
        document.diagnostics.is_empty(),
        "{:#?}",
        document.diagnostics
    );
    let root = document.root.as_ref().unwrap();
    let groups = list(root).iter().map(group).collect();
    File { name, groups }
}

fn group(node: &Node) -> Group {
    let place = place(node);
    let mut group = Group {
        clause: String::new(),
        place: place.clone(),
        texts: Vec::new(),
        placeholders: Placeholders::new(),
        codes: BTreeSet::new(),
        expected: Expected::Sequences(Vec::new()),
    };
    let (mut events, mut sequences) = (Vec::new(), Vec::new());
    let (mut refused, mut laurel) = (false, false);
    for (key, value) in lines(node) {
        match key {
            "clause" => group.clause = text(value),
            "item" | "detection" | "rules" | "correlation" => {
                group.texts = texts(value).iter().map(|text| whole(key, text)).collect();
            }
            "placeholders" => {
                let values = |(name, value): (&str, &Node)| (name.to_owned(), texts(value));
                group.placeholders = lines(value).map(values).collect();
            }
            "warning" => group.codes.extend(texts(value)),
            "error" => {
                refused = true;
                group.codes.extend(texts(value));
            }
            "laurel" => laurel = value.to_json() == "true",
            "match" | "silent" => events.extend(list(value).iter().map(|node| Judged {
                event: event(node),
                matches: key == "match",
                place: self::place(node),
            })),
            "sequences" => sequences = list(value).iter().map(sequence).collect(),
            _ => panic!("{place}: `{key}` means nothing"),
        }
    }
    let forms = [refused, !events.is_empty(), !sequences.is_empty()];
    let count = forms.iter().filter(|form| **form).count();
    assert_eq!(count, 1, "{place}: either error, events or sequences");
    assert!(!group.texts.is_empty(), "{place}: no rule");
    group.expected = match forms {
        [true, ..] => Expected::Refused,
        [_, true, _] => Expected::Verdicts { laurel, events },
        _ => Expected::Sequences(sequences),
    };
    group
}

/// The rule file that a short form stands for.
fn whole(form: &str, text: &str) -> String {
    let indented = |spaces: usize| {
        let blank = " ".repeat(spaces);
        let lines = text.lines().map(|line| [&blank, line, "\n"].concat());
        lines.collect::<String>()
    };
    let rule = "title: rule\nlogsource: {service: laurel}\ndetection:\n";
    match form {
        "item" => format!(
            "{rule}  selection:\n{}  condition: selection\n",
            indented(4)
        ),
        "detection" => format!("{rule}{}", indented(2)),
        "correlation" => {
            let base = |name| {
                format!(
                    "title: {name}\nname: {name}\nlogsource: {{service: laurel}}\ndetection: {{selection: {{on: {name}}}, condition: selection}}\n---\n"
                )
            };
            let rules: String = ["a", "b", "c", "d"].map(base).concat();
            format!("{rules}title: correlation\ncorrelation:\n{}", indented(2))
        }
        _ => text.to_owned(),
    }
}

fn sequence(node: &Node) -> Sequence {
    let place = place(node);
    let mut sequence = Sequence {
        place: place.clone(),
        events: Vec::new(),
        lateness_ms: LATENESS_MS,
        limits: CorrelationLimits::USUAL,
        fires: Vec::new(),
        counts: BTreeMap::new(),
    };
    for (key, value) in lines(node) {
        match key {
            "events" => {
                let timed = |node: &Node| match list(node) {
                    [time, node] => (milliseconds(time), event(node).value),
                    _ => panic!("{}: an event is [seconds, {{..}}]", self::place(node)),
                };
                sequence.events = list(value).iter().map(timed).collect();
            }
            "fires" => {
                let firing = |node: &Node| match list(node) {
                    [time, group] => (milliseconds(time), "correlation".into(), json(group)),
                    [time, group, title] => (milliseconds(time), text(title), json(group)),
                    _ => panic!("{}: [seconds, {{group}}, title?]", self::place(node)),
                };
                sequence.fires = list(value).iter().map(firing).collect();
                sequence.fires.sort_by_key(|firing| format!("{firing:?}"));
            }
            "lateness" => sequence.lateness_ms = milliseconds(value),
            "limits" => {
                for (name, value) in lines(value) {
                    let number = usize::try_from(number(value)).unwrap();
                    match name {
                        "groups" => sequence.limits.groups = number,
                        "events" => sequence.limits.events = number,
                        "waiting" => sequence.limits.waiting = number,
                        _ => panic!("{place}: there is no limit `{name}`"),
                    }
                }
            }
            "counts" => {
                let count = |(name, value): (&str, &Node)| (name.to_owned(), number(value));
                sequence.counts = lines(value).map(count).collect();
            }
            _ => panic!("{place}: `{key}` means nothing"),
        }
    }
    sequence
}

/// A map, or JSON text where what YAML makes of it would not be the same.
fn event(node: &Node) -> Event {
    let text = node
        .as_str()
        .map_or_else(|| node.to_json(), ToString::to_string);
    let value = serde_json::from_str(&text);
    Event {
        value: value.unwrap_or_else(|error| panic!("{}: {error}", place(node))),
        text,
    }
}

fn place(node: &Node) -> String {
    format!("{}:{}", node.place.file, node.place.line)
}

fn lines(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = node.as_mapping();
    let entries = entries.unwrap_or_else(|| panic!("{}: not a map", place(node)));
    entries.iter().map(|entry| (&*entry.key, &entry.value))
}

fn list(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::Sequence(nodes) => nodes,
        _ => panic!("{}: not a list", place(node)),
    }
}

fn text(node: &Node) -> String {
    let text = node.as_str();
    text.unwrap_or_else(|| panic!("{}: not a text", place(node)))
        .to_string()
}

/// A text, or a list of them.
fn texts(node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::Sequence(nodes) => nodes.iter().map(text).collect(),
        _ => vec![text(node)],
    }
}

fn json(node: &Node) -> Value {
    serde_json::from_str(&node.to_json()).unwrap()
}

fn number(node: &Node) -> u64 {
    node.to_json().parse().unwrap()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "times of the corpus are small"
)]
fn milliseconds(node: &Node) -> i64 {
    let seconds: f64 = node.to_json().parse().unwrap();
    (seconds * 1000.0).round() as i64
}
