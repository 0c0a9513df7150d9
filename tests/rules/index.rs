//! The index of the starter rules, `rules/INDEX.md`. Takes what an index tells of each rule, and gives the text:
//! coverage by tactic of ATT&CK, the rules by tactic and technique, and which audit rules they need.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sigma::{Level, Rule};

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
    path: String,
    title: String,
    level: Level,
    /// Category or service of the log source.
    view: String,
    /// Which audit rules or settings it lives on.
    needs: String,
    /// Names of tactics as in tags.
    tactics: Vec<String>,
    /// `T1059.004`.
    techniques: Vec<String>,
    /// Alerts on the recorded host.
    alerts: usize,
}

impl Entry {
    pub(super) fn new(path: &str, rule: &Rule, alerts: usize) -> Self {
        let source = &rule.logsource;
        let view = source.category.as_deref().or(source.service.as_deref());
        let view = view.unwrap_or_else(|| panic!("{path}: a category or a service"));
        let needs = source.definition.as_deref().unwrap_or_else(|| {
            standard_needs(view)
                .unwrap_or_else(|| panic!("{path}: `definition` says what {view} needs"))
        });
        let tags = rule
            .attributes
            .tags
            .iter()
            .filter_map(|t| t.strip_prefix("attack."));
        let (techniques, tactics): (Vec<&str>, Vec<&str>) =
            tags.partition(|tag| tag.starts_with("t1"));
        Self {
            path: path.to_owned(),
            title: rule.attributes.title.clone(),
            level: rule.attributes.level.expect("a level"),
            view: view.to_owned(),
            needs: needs.to_owned(),
            tactics: tactics.into_iter().map(str::to_owned).collect(),
            techniques: techniques.into_iter().map(str::to_uppercase).collect(),
            alerts,
        }
    }

    fn link(&self) -> String {
        format!("[{}]({})", self.title, self.path)
    }
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
    writeln!(
        page,
        "{} rules name {} techniques of MITRE ATT&CK. A rule stands under each of its tactics. Alerts are those on `tests/data/fleet.jsonl.zst`, the \
         record of a busy host with staged attacks: {alerts} alerts on {events_with_alerts} of {events} events.\n",
        entries.len(),
        techniques.len(),
    )
    .expect("a string takes text");
    page += &coverage(entries, &table);
    page += &log_sources(entries);
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
                entry.alerts
            )
            .expect("a string takes text");
        }
    }
    page += "\n## Rules that need more than their log source's audit rules\n\n| rule | needs |\n|---|---|\n";
    for entry in entries {
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
        "## Coverage\n\n| tactic | rules | techniques | high | medium | low | alerts |\n|---|---|---|---|---|---|---|\n",
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
    let count = |wanted: &[Level]| of.iter().filter(|e| wanted.contains(&e.level)).count();
    format!(
        "| {name} | {} | {techniques} | {} | {} | {} | {} |\n",
        of.len(),
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
        let needs = standard_needs(view).unwrap_or("see below");
        writeln!(text, "| {view} | {count} | {needs} |").expect("a string takes text");
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
