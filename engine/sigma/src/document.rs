//! One document of a rule file: its attributes, except that `detection` has a file of its own.
//!
//! Policy M21: a malformed attribute that only describes is a warning, and the rule runs without it. A
//! rule that cannot be named (`title`, `name`) or whose meaning is open is an error.

use crate::codes::{
    ATTRIBUTE_NAME, DATE_SLASHES, LOG_SOURCE, LOG_SOURCE_SPELLING, METADATA, MISSING_ATTRIBUTE,
    MIXED_DOCUMENT, SIGMA_VERSION, TAXONOMY, WRONG_TYPE,
};
use crate::context::{Context, string};
use crate::detection;
use crate::suggest::{closest, did_you_mean};
use crate::yaml::{Entry, Kind, Node};
use crate::{Attributes, Level, LogSource, Place, Related, Rule, Status};

const TITLE_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 65_535;
/// The major version of Sigma that is implemented.
const SIGMA_MAJOR: u64 = 2;

/// The attributes that have a place of their own in [`Attributes`].
const ATTRIBUTES: [&str; 17] = [
    "title",
    "id",
    "name",
    "related",
    "status",
    "description",
    "license",
    "author",
    "references",
    "reference",
    "date",
    "modified",
    "fields",
    "tags",
    "level",
    "falsepositives",
    "scope",
];
/// The attributes that tell what a document does; which of them it has makes its kind.
const BODIES: [&str; 4] = ["logsource", "detection", "correlation", "filter"];
/// Further words of Sigma; what a document says with them is kept like its own attributes.
const WORDS: [&str; 4] = ["taxonomy", "sigma-version", "action", "generate"];
/// How attributes that must be there look.
const EXAMPLES: [(&str, &str); 9] = [
    ("title", "title: Netcat listens"),
    (
        "logsource",
        "logsource: {product: linux, category: process_creation}",
    ),
    (
        "detection",
        "detection: {selection: {Image|endswith: /nc}, condition: selection}",
    ),
    (
        "filter",
        "filter: {rules: any, selection: {User: root}, condition: not selection}",
    ),
    ("type", "type: event_count"),
    ("rules", "rules: [name of a rule]"),
    ("timespan", "timespan: 5m"),
    ("group-by", "group-by: [host]"),
    ("condition", "condition: {gte: 10}"),
];
const NAMESPACES: [&str; 7] = ["attack", "car", "cve", "d3fend", "detection", "stp", "tlp"];
const RELATIONS: [&str; 5] = ["derived", "obsolete", "merged", "renamed", "similar"];

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    Rule,
    Correlation,
    Filter,
}

impl DocumentKind {
    /// The word for it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Correlation => "correlation",
            Self::Filter => "filter",
        }
    }
}

/// What a document is; `None`, and an error, where it is two things at once.
pub(crate) fn kind(entries: &[Entry], context: &mut Context<'_>) -> Option<DocumentKind> {
    let bodies: Vec<&Entry> = entries
        .iter()
        .filter(|entry| matches!(&*entry.key, "detection" | "correlation" | "filter"))
        .collect();
    if let [first, second, ..] = bodies.as_slice() {
        let message = format!(
            "a document has either a `{}` or a `{}`, not both",
            first.key, second.key
        );
        let help = "write two documents, with a line `---` between them";
        context.report_with_help(MIXED_DOCUMENT.at(&second.place, message), help);
        return None;
    }
    Some(match bodies.first().map(|entry| &*entry.key) {
        Some("correlation") => DocumentKind::Correlation,
        Some("filter") => DocumentKind::Filter,
        _ => DocumentKind::Rule,
    })
}

/// A rule, and what only other documents ask of it.
pub(crate) struct ReadRule {
    pub(crate) rule: Rule,
    /// `generate`.
    pub(crate) generate: bool,
    /// Major number of the version of Sigma that it is written for.
    pub(crate) major: u64,
}

/// Reads a detection rule; `version` is the hash of its text. All faults are reported; `None` if one of
/// them is an error.
pub(crate) fn rule(root: &Node, version: String, context: &mut Context<'_>) -> Option<ReadRule> {
    let entries = root.as_mapping()?;
    let major = major(entries, context);
    let attributes = attributes(root, entries, version, context);
    check_taxonomy(entries, context);
    let logsource = log_source(entries, &root.place, context);
    let generate = find(entries, "generate").and_then(|entry| boolean(entry, context));
    let detection = if let Some(entry) = find(entries, "detection") {
        detection::read(entry, context)
    } else {
        report_missing("detection", entries, &root.place, context);
        None
    };
    let rule = Rule {
        attributes: attributes?,
        logsource: logsource?,
        detection: detection?,
        filters: Vec::new(),
        alerts: true,
    };
    if context.has_errors() {
        return None;
    }
    Some(ReadRule {
        rule,
        generate: generate.unwrap_or(false),
        major,
    })
}

/// What a document of any kind says of itself; `None` where it has no title or its name is none.
pub(crate) fn attributes(
    root: &Node,
    entries: &[Entry],
    version: String,
    context: &mut Context<'_>,
) -> Option<Attributes> {
    let title = title(entries, &root.place, context);
    let name = name(entries, context);
    let references = [
        strings(entries, "references", context),
        strings(entries, "reference", context),
    ]
    .concat();
    Some(Attributes {
        place: root.place.clone(),
        version,
        title: title?,
        id: text(entries, "id", context),
        name: name?,
        related: related(entries, context),
        status: word(
            entries,
            "status",
            status_of,
            "stable, test, experimental, deprecated or unsupported",
            context,
        ),
        level: word(
            entries,
            "level",
            level_of,
            "informational, low, medium, high or critical",
            context,
        ),
        description: description(entries, context),
        author: text(entries, "author", context),
        license: text(entries, "license", context),
        date: date(entries, "date", context),
        modified: date(entries, "modified", context),
        references,
        tags: tags(entries, context),
        fields: strings(entries, "fields", context),
        falsepositives: strings(entries, "falsepositives", context),
        scope: strings(entries, "scope", context),
        custom: custom(entries, context),
    })
}

pub(crate) fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| &*entry.key == key)
}

/// The major version of Sigma that a document is written for.
///
/// SIGMA: 2.1 does not know the attribute; only the major number counts, and its absence means 2.
pub(crate) fn major(entries: &[Entry], context: &mut Context<'_>) -> u64 {
    let Some(entry) = find(entries, "sigma-version") else {
        return SIGMA_MAJOR;
    };
    let written = match &entry.value.kind {
        Kind::String(text) => text,
        Kind::Number(number) => &number.written,
        _ => "",
    };
    let major = written
        .split('.')
        .next()
        .and_then(|major| major.parse::<u64>().ok());
    match major {
        Some(major) if (1..=SIGMA_MAJOR).contains(&major) => major,
        _ => {
            let message = format!("version `{written}` of Sigma is not implemented");
            context.report_with_help(
                SIGMA_VERSION.at(&entry.value.place, message),
                format!("write it for version {SIGMA_MAJOR}, the newest that is implemented"),
            );
            SIGMA_MAJOR
        }
    }
}

/// An attribute that is true or false; anything else is an error.
pub(crate) fn boolean(entry: &Entry, context: &mut Context<'_>) -> Option<bool> {
    if let Kind::Bool(value) = entry.value.kind {
        return Some(value);
    }
    let message = format!(
        "`{}` must be true or false, this is {}",
        entry.key,
        entry.value.kind_name()
    );
    let help = "write `true` or `false` without quotes";
    context.report_with_help(WRONG_TYPE.at(&entry.value.place, message), help);
    None
}

/// An attribute that a document cannot do without.
pub(crate) fn report_missing(
    attribute: &str,
    entries: &[Entry],
    place: &Place,
    context: &mut Context<'_>,
) {
    let message = format!("the {} has no `{attribute}`", context.noun);
    let unknown = entries
        .iter()
        .map(|entry| &*entry.key)
        .filter(|key| !is_known(key));
    let help = closest(attribute, unknown).map(|key| format!("is `{key}` meant to be it?"));
    let example = EXAMPLES.iter().find(|(name, _)| *name == attribute);
    let help = help.or_else(|| example.map(|(_, line)| format!("add a line such as `{line}`")));
    context.report(MISSING_ATTRIBUTE.at(place, message).or_help(help));
}

fn is_known(key: &str) -> bool {
    ATTRIBUTES.contains(&key) || BODIES.contains(&key)
}

fn title(entries: &[Entry], place: &Place, context: &mut Context<'_>) -> Option<String> {
    let Some(entry) = find(entries, "title") else {
        report_missing("title", entries, place, context);
        return None;
    };
    let Some(title) = string(&entry.value).filter(|title| !title.trim().is_empty()) else {
        let message = format!(
            "the title must be a non-empty string, this is {}",
            entry.value.kind_name()
        );
        context.report(WRONG_TYPE.at(&entry.place, message));
        return None;
    };
    let length = title.chars().count();
    if length > TITLE_CHARS_MAX {
        let message = format!("the title has {length} characters, {TITLE_CHARS_MAX} are allowed");
        let help = "shorten it, and move the details into `description`";
        context.report_with_help(METADATA.at(&entry.value.place, message), help);
    }
    Some(title.to_owned())
}

/// The outer `None` is an error.
#[expect(
    clippy::option_option,
    reason = "an error and an absent value are different things"
)]
fn name(entries: &[Entry], context: &mut Context<'_>) -> Option<Option<String>> {
    let Some(entry) = find(entries, "name") else {
        return Some(None);
    };
    if let Some(name) = string(&entry.value).filter(|name| !name.is_empty()) {
        return Some(Some(name.to_owned()));
    }
    let message = format!(
        "the name must be a non-empty string, this is {}",
        entry.value.kind_name()
    );
    let help = format!(
        "other documents refer to the {} by it; quote it or remove it",
        context.noun
    );
    context.report_with_help(WRONG_TYPE.at(&entry.value.place, message), help);
    None
}

/// Field names of another taxonomy would mean other fields.
pub(crate) fn check_taxonomy(entries: &[Entry], context: &mut Context<'_>) {
    let Some(entry) = find(entries, "taxonomy") else {
        return;
    };
    match string(&entry.value) {
        Some("sigma") => {}
        Some(other) if context.options.any_taxonomy && !other.is_empty() => {}
        Some(other) => {
            let message = format!("the taxonomy `{other}` is not mapped");
            let help = "only `sigma` is known; translate the field names";
            context.report_with_help(TAXONOMY.at(&entry.value.place, message), help);
        }
        None => {
            let message = format!(
                "the taxonomy must be a string, this is {}",
                entry.value.kind_name()
            );
            context.report(TAXONOMY.at(&entry.value.place, message));
        }
    }
}

/// A malformed describing attribute, which the rule does without.
fn report_bad(attribute: &str, expected: &str, node: &Node, context: &mut Context<'_>) {
    report_bad_with_cure(attribute, expected, node, None, context);
}

fn report_bad_with_cure(
    attribute: &str,
    expected: &str,
    node: &Node,
    cure: Option<String>,
    context: &mut Context<'_>,
) {
    let mut diagnostic = METADATA.at(&node.place, format!("`{attribute}` must be {expected}"));
    if string(node).is_none() {
        diagnostic.label = Some(format!("this is {}", node.kind_name()));
    }
    let noun = context.noun;
    diagnostic.help = Some(match cure {
        Some(cure) => format!("{cure} As it stands, the {noun} is loaded without it"),
        None => format!("mend it or remove it; the {noun} is loaded without it"),
    });
    context.report(diagnostic);
}

/// A string attribute; an empty value counts as absent.
fn text(entries: &[Entry], attribute: &str, context: &mut Context<'_>) -> Option<String> {
    let node = &find(entries, attribute)?.value;
    match &node.kind {
        Kind::String(text) => Some(text.as_ref().to_owned()),
        Kind::Null => None,
        _ => {
            report_bad(attribute, "a string", node, context);
            None
        }
    }
}

fn description(entries: &[Entry], context: &mut Context<'_>) -> Option<String> {
    let description = text(entries, "description", context)?;
    if description.chars().count() <= DESCRIPTION_CHARS_MAX {
        return Some(description);
    }
    let node = &find(entries, "description")?.value;
    report_bad(
        "description",
        &format!("at most {DESCRIPTION_CHARS_MAX} characters long"),
        node,
        context,
    );
    None
}

/// A list of strings; an empty value counts as absent, an element that is no string is left out.
fn strings(entries: &[Entry], attribute: &str, context: &mut Context<'_>) -> Vec<String> {
    let Some(entry) = find(entries, attribute) else {
        return Vec::new();
    };
    let mut strings = Vec::new();
    match &entry.value.kind {
        Kind::Null => {}
        Kind::Sequence(nodes) => {
            for node in nodes {
                match scalar_text(node) {
                    Some(text) => strings.push(text),
                    None => report_bad(attribute, "a list of strings", node, context),
                }
            }
        }
        _ => report_bad(attribute, "a list of strings", &entry.value, context),
    }
    strings
}

/// Elements such as `fields: [4688]` are clear enough.
fn scalar_text(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::String(text) => Some(text.as_ref().to_owned()),
        Kind::Number(number) => Some(number.written.as_ref().to_owned()),
        _ => None,
    }
}

fn tags(entries: &[Entry], context: &mut Context<'_>) -> Vec<String> {
    let tags = strings(entries, "tags", context);
    let Some(Kind::Sequence(nodes)) = find(entries, "tags").map(|entry| &entry.value.kind) else {
        return tags;
    };
    for node in nodes {
        let Some(tag) = string(node) else { continue };
        let mut parts = tag.split('.');
        let namespace = parts.next().unwrap_or_default();
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
                })
        };
        if !(tag.contains('.') && tag.split('.').all(is_part)) {
            let message = format!("the tag `{tag}` is not `namespace.value` in lower case");
            let help = "write a namespace, a dot and a word, such as `attack.t1059`";
            context.report_with_help(METADATA.at(&node.place, message), help);
        } else if !NAMESPACES.contains(&namespace) {
            let message = format!("Sigma has no tag namespace `{namespace}`");
            let help = did_you_mean(namespace, NAMESPACES)
                .unwrap_or_else(|| format!("the namespaces are {}", NAMESPACES.join(", ")));
            context.report_with_help(METADATA.at(&node.place, message), help);
        }
    }
    tags
}

fn word<T>(
    entries: &[Entry],
    attribute: &str,
    read: fn(&str) -> Option<T>,
    expected: &str,
    context: &mut Context<'_>,
) -> Option<T> {
    let node = &find(entries, attribute)?.value;
    let value = string(node).and_then(read);
    if value.is_none() {
        let known = expected.split(", ");
        let cure = string(node).and_then(|word| did_you_mean(word, known));
        let expected = format!("one of {expected}");
        report_bad_with_cure(attribute, &expected, node, cure, context);
    }
    value
}

fn status_of(word: &str) -> Option<Status> {
    Some(match word {
        "stable" => Status::Stable,
        "test" => Status::Test,
        "experimental" => Status::Experimental,
        "deprecated" => Status::Deprecated,
        "unsupported" => Status::Unsupported,
        _ => return None,
    })
}

fn level_of(word: &str) -> Option<Level> {
    Some(match word {
        "informational" => Level::Informational,
        "low" => Level::Low,
        "medium" => Level::Medium,
        "high" => Level::High,
        "critical" => Level::Critical,
        _ => return None,
    })
}

fn date(entries: &[Entry], attribute: &str, context: &mut Context<'_>) -> Option<String> {
    let node = &find(entries, attribute)?.value;
    match string(node) {
        Some(date) if is_date(date, '-') => Some(date.to_owned()),
        Some(date) if is_date(date, '/') => {
            let diagnostic = DATE_SLASHES.at(
                &node.place,
                format!("`{attribute}` is written with slashes"),
            );
            context.report_with_help(diagnostic, format!("write {}", date.replace('/', "-")));
            Some(date.to_owned())
        }
        _ => {
            report_bad(attribute, "a date YYYY-MM-DD", node, context);
            None
        }
    }
}

fn is_date(text: &str, separator: char) -> bool {
    let digits = |text: &str, length: usize| {
        (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u32>().ok())
    };
    let parts: Vec<&str> = text.split(separator).collect();
    let &[year, month, day] = parts.as_slice() else {
        return false;
    };
    let (Some(Some(year)), Some(Some(month)), Some(Some(day))) =
        (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month) && (1..=days).contains(&day)
}

fn related(entries: &[Entry], context: &mut Context<'_>) -> Vec<Related> {
    let Some(entry) = find(entries, "related") else {
        return Vec::new();
    };
    let expected = "a list of maps with `id` and `type`";
    let mut related = Vec::new();
    match &entry.value.kind {
        Kind::Null => {}
        Kind::Sequence(nodes) => {
            for node in nodes {
                let id = node.get("id").and_then(string);
                let kind = node.get("type").and_then(string);
                match (id, kind) {
                    (Some(id), Some(kind)) if RELATIONS.contains(&kind) => {
                        related.push(Related {
                            id: id.to_owned(),
                            kind: kind.to_owned(),
                        });
                    }
                    (Some(_), Some(kind)) => {
                        let place = node.get("type").unwrap_or(node);
                        let expected = format!("of a type among {}", RELATIONS.join(", "));
                        let cure = did_you_mean(kind, RELATIONS);
                        report_bad_with_cure("related", &expected, place, cure, context);
                    }
                    _ => report_bad("related", expected, node, context),
                }
            }
        }
        _ => report_bad("related", expected, &entry.value, context),
    }
    related
}

pub(crate) fn log_source(
    entries: &[Entry],
    place: &Place,
    context: &mut Context<'_>,
) -> Option<LogSource> {
    let Some(entry) = find(entries, "logsource") else {
        report_missing("logsource", entries, place, context);
        return None;
    };
    let help = "name at least one of `category`, `product`, `service`";
    let Some(lines) = entry.value.as_mapping() else {
        let message = format!(
            "the log source must be a map, this is {}",
            entry.value.kind_name()
        );
        context.report_with_help(LOG_SOURCE.at(&entry.place, message), help);
        return None;
    };
    if lines.is_empty() {
        context.report_with_help(LOG_SOURCE.at(&entry.place, "the log source is empty"), help);
        return None;
    }
    let mut source = LogSource::default();
    let mut sound = true;
    for line in lines {
        let (slot, at) = match &*line.key {
            "category" => (&mut source.category, 0),
            "product" => (&mut source.product, 1),
            "service" => (&mut source.service, 2),
            "definition" => {
                source.definition = text(lines, "definition", context);
                continue;
            }
            key => {
                let known = ["category", "product", "service", "definition"];
                if let Some(help) = did_you_mean(key, known) {
                    let message = format!("the log source has a custom key `{key}`");
                    context.report_with_help(ATTRIBUTE_NAME.at(&line.place, message), help);
                }
                source.custom.push((key.to_owned(), line.value.to_json()));
                continue;
            }
        };
        match log_source_value(line, context) {
            Some(value) => {
                *slot = value;
                source.places[at] = Some(line.value.place.clone());
            }
            None => sound = false,
        }
    }
    sound.then_some(source)
}

/// The outer `None` is an error, the inner one an empty value.
#[expect(
    clippy::option_option,
    reason = "an error and an absent value are different things"
)]
fn log_source_value(line: &Entry, context: &mut Context<'_>) -> Option<Option<String>> {
    let value = match &line.value.kind {
        Kind::Null => return Some(None),
        Kind::String(value) if !value.is_empty() => value,
        _ => {
            let message = format!(
                "`{}` must be a non-empty string, this is {}",
                line.key,
                line.value.kind_name()
            );
            context.report(LOG_SOURCE.at(&line.value.place, message));
            return None;
        }
    };
    let lower = value.to_lowercase();
    if lower != **value || value.contains(char::is_whitespace) {
        let message = format!("`{value}` is not spelt as log sources are");
        let spelt = lower.split_whitespace().collect::<Vec<_>>().join("_");
        context.report_with_help(
            LOG_SOURCE_SPELLING.at(&line.value.place, message),
            format!("write `{spelt}`"),
        );
    }
    Some(Some(lower))
}

/// What Sigma does not name, with a word about names that look misspelt.
fn custom(entries: &[Entry], context: &mut Context<'_>) -> Vec<(String, String)> {
    let unknown = entries.iter().filter(|entry| !is_known(&entry.key));
    let mut custom = Vec::new();
    for entry in unknown {
        let is_word = WORDS.contains(&&*entry.key);
        let known = ATTRIBUTES.into_iter().chain(BODIES).chain(WORDS);
        if let Some(help) = did_you_mean(&entry.key, known.filter(|_| !is_word)) {
            let message = format!("`{}` is taken for an attribute of your own", entry.key);
            context.report_with_help(ATTRIBUTE_NAME.at(&entry.place, message), help);
        }
        custom.push((entry.key.as_ref().to_owned(), entry.value.to_json()));
    }
    custom
}
