//! The index of the starter rules, `rules/INDEX.md`. Takes what an index tells of each rule, and gives the text:
//! coverage by tactic of ATT&CK, the rules by tactic and technique, and which audit rules they need.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sigma::{
    Attributes, BoundOperator, Correlation, CorrelationCondition, CorrelationKind, Level, Rule,
};

/// More alerts of one rule than this on recorded events need a word of justification in [`JUSTIFIED`].
pub(super) const ALERTS_PER_RULE_MAX: usize = 50;

/// Path below `rules/`, and why more alerts than [`ALERTS_PER_RULE_MAX`] are right.
pub(super) const JUSTIFIED: [(&str, &str); 0] = [];

/// Tactics that a host can show, in the order of an attack.
const TACTICS: [(&str, &str); 12] = [
    ("initial-access", "Initial access"),
    ("execution", "Execution"),
    ("persistence", "Persistence"),
    ("privilege-escalation", "Privilege escalation"),
    ("defense-evasion", "Defense evasion"),
    ("credential-access", "Credential access"),
    ("discovery", "Discovery"),
    ("lateral-movement", "Lateral movement"),
    ("collection", "Collection"),
    ("command-and-control", "Command and control"),
    ("exfiltration", "Exfiltration"),
    ("impact", "Impact"),
];

/// What the index tells of a rule.
pub(super) struct Entry {
    /// Below `rules/`, with `/`.
    pub(super) path: String,
    title: String,
    level: Level,
    /// Category or service of the log source; `correlation`.
    view: String,
    /// Which audit rules or settings it lives on.
    needs: String,
    /// Names of tactics as in tags.
    tactics: Vec<String>,
    /// `T1059.004`.
    techniques: Vec<String>,
    /// Alerts on the recorded host.
    alerts: usize,
    /// Whether it alerts by itself.
    speaks: bool,
    /// What a correlation joins.
    joins: Option<Joins>,
}

struct Joins {
    kind: &'static str,
    group: String,
    timespan: String,
    /// `10 events`.
    fires_at: String,
    /// Paths below `rules/`.
    reads: Vec<String>,
}

/// The log source of correlations, in tables.
const CORRELATION: &str = "correlation";

impl Entry {
    pub(super) fn new(path: &str, rule: &Rule, alerts: usize) -> Self {
        let source = &rule.logsource;
        let view = source.category.as_deref().or(source.service.as_deref());
        let view = view.unwrap_or_else(|| panic!("{path}: a category or a service"));
        let needs = source.definition.as_deref().unwrap_or_else(|| {
            standard_needs(view)
                .unwrap_or_else(|| panic!("{path}: `definition` says what {view} needs"))
        });
        Self {
            view: view.to_owned(),
            needs: needs.to_owned(),
            speaks: rule.alerts,
            ..Self::of(path, &rule.attributes, alerts)
        }
    }

    /// A correlation that reads the documents at these paths.
    pub(super) fn of_correlation(
        path: &str,
        one: &Correlation,
        reads: Vec<String>,
        alerts: usize,
    ) -> Self {
        let group: Vec<&str> = one.group_by.iter().map(|field| &**field).collect();
        let joins = Joins {
            kind: kind(&one.kind),
            group: group.join(", "),
            timespan: timespan(one.timespan_ms),
            fires_at: fires_at(one),
            reads,
        };
        Self {
            speaks: one.alerts,
            joins: Some(joins),
            ..Self::of(path, &one.attributes, alerts)
        }
    }

    fn of(path: &str, attributes: &Attributes, alerts: usize) -> Self {
        let tags = attributes.tags.iter();
        let tags = tags.filter_map(|t| t.strip_prefix("attack."));
        let (techniques, tactics): (Vec<&str>, Vec<&str>) =
            tags.partition(|tag| tag.starts_with("t1"));
        Self {
            path: path.to_owned(),
            title: attributes.title.clone(),
            level: attributes.level.expect("a level"),
            view: CORRELATION.to_owned(),
            needs: String::new(),
            tactics: tactics.into_iter().map(str::to_owned).collect(),
            techniques: techniques.into_iter().map(str::to_uppercase).collect(),
            alerts,
            speaks: true,
            joins: None,
        }
    }

    /// How many alerts, or a stroke where there can be none.
    fn shown_alerts(&self) -> String {
        if self.speaks {
            self.alerts.to_string()
        } else {
            "-".to_owned()
        }
    }

    fn link(&self) -> String {
        format!("[{}]({})", self.title, self.path)
    }
}

fn kind(kind: &CorrelationKind) -> &'static str {
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

fn timespan(ms: i64) -> String {
    match ms / 1000 {
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn fires_at(one: &Correlation) -> String {
    let CorrelationCondition::Bounds(bounds) = &one.condition else {
        return "all".to_owned();
    };
    let bound = |bound: &sigma::Bound| match bound.operator {
        BoundOperator::Gte => bound.number.to_string(),
        operator => panic!("{}: {operator:?}", one.attributes.title),
    };
    let bounds: Vec<String> = bounds.iter().map(bound).collect();
    let what = match &one.kind {
        CorrelationKind::ValueCount(fields) => format!("different {}", fields.join(", ")),
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => "of them".to_owned(),
        _ => "events".to_owned(),
    };
    format!("{} {what}", bounds.join(", "))
}

fn standard_needs(view: &str) -> Option<&'static str> {
    match view {
        "process_creation" => Some("execve catch-all"),
        "file_event" => Some("file watch or file-creating calls"),
        _ => None,
    }
}

/// Where tags and ATT&CK disagree: a tactic without a technique of it, a technique of no tactic of the rule,
/// names that the table does not know.
pub(super) fn faults(entries: &[Entry]) -> Vec<String> {
    let table = table();
    let mut faults = Vec::new();
    for entry in entries {
        for id in &entry.techniques {
            match table.get(id.as_str()) {
                None => faults.push(format!("{}: {id} is not in the table", entry.path)),
                Some((_, of)) if !entry.tactics.iter().any(|t| of.contains(t.as_str())) => {
                    faults.push(format!("{}: {id} belongs to {of:?}", entry.path));
                }
                Some(_) => {}
            }
        }
        for tactic in &entry.tactics {
            let known = TACTICS.iter().any(|(tag, _)| tag == tactic);
            if !known || techniques_of(entry, tactic, &table).next().is_none() {
                faults.push(format!("{}: no technique of {tactic}", entry.path));
            }
        }
    }
    let used: BTreeSet<&String> = entries.iter().flat_map(|e| &e.techniques).collect();
    let unused = table.keys().filter(|id| !used.contains(id));
    faults.extend(unused.map(|id| format!("{id} stands in the table and in no rule")));
    faults
}

/// The page. `events` are those of the recorded host, `events_with_alerts` those that some rule matches.
pub(super) fn page(entries: &[Entry], events: usize, events_with_alerts: usize) -> String {
    let table = table();
    let mut page = String::from(
        "# Index of the starter rules\n\n\
         Written by a test from the rules and from recorded events (`UPDATE_EXPECT=1 cargo test --test tests rules`); do not edit it.\n\n",
    );
    let alerts: usize = entries.iter().map(|e| e.alerts).sum();
    let techniques: BTreeSet<&String> = entries.iter().flat_map(|e| &e.techniques).collect();
    let correlations = entries.iter().filter(|e| e.joins.is_some()).count();
    let feeding = entries.iter().filter(|e| !e.speaks).count();
    writeln!(
        page,
        "{} rules, of which {feeding} only feed correlations, and {correlations} correlations name {} techniques of MITRE ATT&CK. Each stands under each of \
         its tactics. Alerts are those on `tests/data/fleet.jsonl.zst`, the record of a busy host with staged attacks: {alerts} alerts on \
         {events_with_alerts} of {events} events, each alert of a correlation counted as an event.\n",
        entries.len() - correlations,
        techniques.len(),
    )
    .expect("a string takes text");
    page += &coverage(entries, &table);
    page += &log_sources(entries);
    page += &joined(entries);
    for (tag, name) in TACTICS {
        write!(page, "\n## {name}\n\n").expect("a string takes text");
        page += "| technique | rule | level | log source | alerts |\n|---|---|---|---|---|\n";
        let mut rows = Vec::new();
        for entry in entries
            .iter()
            .filter(|e| e.tactics.iter().any(|t| t == tag))
        {
            rows.extend(techniques_of(entry, tag, &table).map(|id| (id, entry)));
        }
        rows.sort_by_key(|(id, entry)| (*id, &entry.path));
        for (id, entry) in rows {
            let name = table.get(id).map_or("", |(name, _)| name.as_str());
            let address = id.replace('.', "/");
            writeln!(
                page,
                "| [{id}](https://attack.mitre.org/techniques/{address}/) {name} | {} | {} | {} | {} |",
                entry.link(),
                level(entry.level),
                entry.view,
                entry.shown_alerts()
            )
            .expect("a string takes text");
        }
    }
    page += "\n## Rules that need more than their log source's audit rules\n\n| rule | needs |\n|---|---|\n";
    for entry in entries.iter().filter(|e| e.joins.is_none()) {
        if standard_needs(&entry.view) != Some(entry.needs.as_str()) {
            writeln!(page, "| {} | {} |", entry.link(), entry.needs).expect("a string takes text");
        }
    }
    write!(
        page,
        "\n## Rules with more than {ALERTS_PER_RULE_MAX} alerts\n\n"
    )
    .expect("a string takes text");
    if JUSTIFIED.is_empty() {
        page += "None.\n";
    }
    for (path, why) in JUSTIFIED {
        writeln!(page, "- `{path}`: {why}").expect("a string takes text");
    }
    page
}

fn coverage(entries: &[Entry], table: &Table) -> String {
    let mut text = String::from(
        "## Coverage\n\n| tactic | rules | correlations | techniques | high | medium | low | alerts |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (tag, name) in TACTICS {
        let of: Vec<&Entry> = entries
            .iter()
            .filter(|e| e.tactics.iter().any(|t| t == tag))
            .collect();
        let techniques: BTreeSet<&str> = of
            .iter()
            .flat_map(|e| techniques_of(e, tag, table))
            .collect();
        let anchor = name.to_lowercase().replace(' ', "-");
        text += &row(&format!("[{name}](#{anchor})"), &of, techniques.len());
    }
    let all: Vec<&Entry> = entries.iter().collect();
    let techniques: BTreeSet<&String> = entries.iter().flat_map(|e| &e.techniques).collect();
    text + &row("all, each once", &all, techniques.len())
}

fn row(name: &str, of: &[&Entry], techniques: usize) -> String {
    let correlations = of.iter().filter(|e| e.joins.is_some()).count();
    let count = |wanted: &[Level]| {
        of.iter()
            .filter(|e| e.speaks && wanted.contains(&e.level))
            .count()
    };
    format!(
        "| {name} | {} | {correlations} | {techniques} | {} | {} | {} | {} |\n",
        of.len() - correlations,
        count(&[Level::High, Level::Critical]),
        count(&[Level::Medium]),
        count(&[Level::Low, Level::Informational]),
        of.iter().map(|e| e.alerts).sum::<usize>()
    )
}

fn log_sources(entries: &[Entry]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for entry in entries {
        *counts.entry(&entry.view).or_default() += 1;
    }
    let mut text = String::from("\n| log source | rules | needs |\n|---|---|---|\n");
    for (view, count) in counts {
        let otherwise = match view {
            CORRELATION => "what its rules need",
            _ => "see below",
        };
        let needs = standard_needs(view).unwrap_or(otherwise);
        writeln!(text, "| {view} | {count} | {needs} |").expect("a string takes text");
    }
    text
}

/// What joins the matches of rules. Which tactics they cover stands with those.
fn joined(entries: &[Entry]) -> String {
    let mut text = String::from(
        "\n## Correlations\n\nAll run in `pythia run` as in `pythia scan`, since all are grouped by `host`. A rule that only feeds them has `-` for its alerts.\n\n\
         | correlation | level | type | fires at | within | group | reads | alerts |\n|---|---|---|---|---|---|---|---|\n",
    );
    for entry in entries {
        let Some(joins) = &entry.joins else { continue };
        let titled = |path: &String| {
            let read = entries.iter().find(|e| e.path == *path);
            read.map_or_else(|| path.clone(), Entry::link)
        };
        let reads: Vec<String> = joins.reads.iter().map(titled).collect();
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            entry.link(),
            level(entry.level),
            joins.kind,
            joins.fires_at,
            joins.timespan,
            joins.group,
            reads.join("; "),
            entry.shown_alerts()
        )
        .expect("a string takes text");
    }
    text
}

/// The techniques of a rule that ATT&CK counts to this tactic.
fn techniques_of<'a>(
    entry: &'a Entry,
    tactic: &'a str,
    table: &'a Table,
) -> impl Iterator<Item = &'a str> {
    let of = move |id: &&'a str| table.get(*id).is_some_and(|(_, of)| of.contains(tactic));
    entry.techniques.iter().map(String::as_str).filter(of)
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Informational => "informational",
        Level::Low => "low",
        Level::Medium => "medium",
        Level::High => "high",
        Level::Critical => "critical",
    }
}

/// Id of a technique to its name and tactics.
type Table = BTreeMap<String, (String, BTreeSet<String>)>;

/// The techniques that rules name, from `tests/rules/attack.csv`.
fn table() -> Table {
    let path = super::root().join("tests/rules/attack.csv");
    let text = std::fs::read_to_string(path).expect("tests/rules/attack.csv");
    let parse = |line: &str| {
        let mut cells = line.splitn(3, ',').map(str::to_owned);
        let mut cell = || {
            cells
                .next()
                .unwrap_or_else(|| panic!("three cells in {line}"))
        };
        let (id, tactics, name) = (cell(), cell(), cell());
        (id, (name, tactics.split(' ').map(str::to_owned).collect()))
    };
    text.lines().skip(1).map(parse).collect()
}
