//! Fixtures: the cases beside a rule file, `x.test.yml` beside `x.yml`. Reads and checks their form; running them is
//! not done here.
//!
//! ```yaml
//! cases:
//!   - name: what is special about it
//!     event: '{"ID":"1700000000.123:1", ...}'   # lines of Laurel; or `event_file: captured.jsonl`
//!     host: web-01                              # for lines that carry no host
//!     rule: title                               # which rule of the file; all of them without it
//!     expect: alert                             # or silent
//!     alert: {level: high}                      # a part of the alert
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codes::{
    CASE_FILE, CASE_MISSING, CASE_NAME, CASE_RULE, CASE_VALUE, FIXTURE_KEY, FIXTURE_SHAPE,
};
use crate::suggest::did_you_mean;
use crate::yaml::{self, Entry, Kind, Node};
use crate::{Code, Diagnostic, Place, SourceFile};

const KEYS: [&str; 7] = [
    "name",
    "event",
    "event_file",
    "host",
    "rule",
    "expect",
    "alert",
];

/// What a fixture gives: its cases, and what is to be said of the file.
#[derive(Debug, Default)]
pub struct Fixture {
    /// Cases that are well formed, in file order.
    pub cases: Vec<Case>,
    /// All mistakes, in file order. A mistake takes its own case out, and no other.
    pub diagnostics: Vec<Diagnostic>,
}

/// One case: events, and what is expected of the rule.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: Arc<str>,
    /// Where the name stands.
    pub place: Place,
    /// Its events.
    pub events: Events,
    /// Host of lines that carry none.
    pub host: Option<Arc<str>>,
    /// Which rule of the file is meant, by id, name or title; without it any of them.
    pub rule: Option<Named>,
    /// What is expected.
    pub expect: Expect,
}

/// The events of a case.
#[derive(Clone, Debug)]
pub enum Events {
    /// Lines within the fixture.
    Lines(Named),
    /// A file of lines, its path relative to the fixture.
    File(Named),
}

/// A text, and where it stands.
#[derive(Clone, Debug)]
pub struct Named {
    /// The text.
    pub text: Arc<str>,
    /// Its place.
    pub place: Place,
}

/// What a case expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// That some line alerts; with JSON text, that one of these alerts has all of it.
    Alert(Option<String>),
    /// That no line alerts.
    Silent,
}

impl Fixture {
    /// Reads a fixture.
    ///
    /// ```
    /// use sigma::{Fixture, SourceFile};
    /// let text = "cases:\n  - {name: a, event: '{}', expect: alert}\n  - {name: b, event: '{}', expect: alarm}\n";
    /// let fixture = Fixture::read(&SourceFile { name: "x.test.yml".into(), text: text.into() });
    /// assert_eq!(fixture.cases.len(), 1);
    /// assert_eq!(fixture.diagnostics[0].place.line, 3);
    /// ```
    pub fn read(file: &SourceFile) -> Self {
        let mut fixture = Self::default();
        let documents = yaml::read(file);
        if documents.is_empty() {
            let place = Place {
                file: Arc::clone(&file.name),
                line: 1,
                column: 1,
                bytes: (0, 0),
            };
            fixture.report(&FIXTURE_SHAPE, &place, "the fixture is empty", HELP);
        }
        for document in documents {
            fixture.diagnostics.extend(document.diagnostics);
            if let Some(root) = document.root {
                fixture.document(&root);
            }
        }
        let mut known: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for case in &fixture.cases {
            if let Some(line) = known.insert(Arc::clone(&case.name), case.place.line) {
                let message = format!("the case on line {line} has the same name");
                fixture.diagnostics.push(CASE_NAME.at(&case.place, message));
            }
        }
        fixture
            .diagnostics
            .sort_by(|left, right| left.place.cmp(&right.place));
        fixture
    }

    /// What is to be said of a fixture without a rule file of that name beside it.
    pub fn alone(file: &SourceFile, rule: &str) -> Diagnostic {
        let place = Place {
            file: Arc::clone(&file.name),
            line: 1,
            column: 1,
            bytes: (0, 0),
        };
        let mut diagnostic = CASE_RULE.at(&place, format!("there is no rule file {rule}"));
        diagnostic.help = Some("call the fixture as its rule file is called, with `.test`".into());
        diagnostic
    }

    /// What is to be said of a case whose rule is none of these, which its file has.
    pub fn no_such_rule(rule: &Named, titles: &[&str]) -> Diagnostic {
        let message = format!("the rule file has no rule `{}`", rule.text);
        let mut diagnostic = CASE_RULE.at(&rule.place, message);
        let help = did_you_mean(&rule.text, titles.iter().copied());
        diagnostic.help = Some(help.unwrap_or_else(|| format!("it has {}", titles.join(", "))));
        diagnostic
    }

    /// What is to be said of a case whose file of events cannot be read, and why.
    pub fn unreadable(file: &Named, why: &str) -> Diagnostic {
        let message = format!("{} cannot be read: {why}", file.text);
        let mut diagnostic = CASE_FILE.at(&file.place, message);
        diagnostic.help = Some("the path is relative to the fixture".into());
        diagnostic
    }

    fn document(&mut self, root: &Node) {
        let Some(entries) = root.as_mapping() else {
            let message = format!(
                "a fixture must be a map with `cases`, this is {}",
                root.kind_name()
            );
            self.report(&FIXTURE_SHAPE, &root.place, message, HELP);
            return;
        };
        self.check_keys(entries, &["cases"]);
        let Some(cases) = root.get("cases") else {
            self.report(&FIXTURE_SHAPE, &root.place, "there is no `cases`", HELP);
            return;
        };
        let Kind::Sequence(cases) = &cases.kind else {
            let message = format!("`cases` must be a list, this is {}", cases.kind_name());
            self.report(&FIXTURE_SHAPE, &cases.place, message, HELP);
            return;
        };
        for case in cases {
            let before = self.errors();
            let read = self.case(case);
            self.cases.extend(read.filter(|_| self.errors() == before));
        }
    }

    fn case(&mut self, node: &Node) -> Option<Case> {
        let Some(entries) = node.as_mapping() else {
            let message = format!("a case must be a map, this is {}", node.kind_name());
            self.report(&FIXTURE_SHAPE, &node.place, message, HELP);
            return None;
        };
        self.check_keys(entries, &KEYS);
        let name = self.text(entries, "name");
        if find(entries, "name").is_none() {
            let help = "say in a few words what is special about it";
            self.report(&CASE_MISSING, &node.place, "the case has no `name`", help);
        }
        let events = self.events(entries, &node.place);
        let expect = self.expect(entries, &node.place);
        let host = self.text(entries, "host").map(|host| host.text);
        let rule = self.text(entries, "rule");
        let name = name?;
        Some(Case {
            name: name.text,
            place: name.place,
            events: events?,
            host,
            rule,
            expect: expect?,
        })
    }

    fn events(&mut self, entries: &[Entry], place: &Place) -> Option<Events> {
        let lines = self.text(entries, "event");
        let file = self.text(entries, "event_file");
        match (find(entries, "event"), find(entries, "event_file")) {
            (Some(_), None) => lines.map(Events::Lines),
            (None, Some(_)) => file.map(Events::File),
            (Some(_), Some(second)) => {
                let message = "the case has both `event` and `event_file`";
                self.report(&CASE_MISSING, &second.place, message, "keep one of them");
                None
            }
            (None, None) => {
                let help = "write a line of Laurel below `event: |-`, or name a file of lines with `event_file`";
                self.report(&CASE_MISSING, place, "the case has no event", help);
                None
            }
        }
    }

    fn expect(&mut self, entries: &[Entry], place: &Place) -> Option<Expect> {
        const WORDS: [&str; 2] = ["alert", "silent"];
        let help = "write `expect: alert` or `expect: silent`";
        if find(entries, "expect").is_none() {
            self.report(&CASE_MISSING, place, "the case has no `expect`", help);
        }
        let word = self.text(entries, "expect")?;
        let part = find(entries, "alert");
        match (&*word.text, part) {
            ("alert", None) => Some(Expect::Alert(None)),
            ("alert", Some(part)) => {
                if part.value.as_mapping().is_none() {
                    let message = format!("`alert` is a map, not {}", part.value.kind_name());
                    let help = "write what the alert must have, such as `alert: {level: high}`";
                    self.report(&FIXTURE_SHAPE, &part.value.place, message, help);
                    return None;
                }
                Some(Expect::Alert(Some(part.value.to_json())))
            }
            ("silent", None) => Some(Expect::Silent),
            ("silent", Some(part)) => {
                let message = "`alert` says nothing of a case that is to stay silent";
                self.report(&CASE_VALUE, &part.place, message, "take it out");
                None
            }
            (other, _) => {
                let help = did_you_mean(other, WORDS).unwrap_or_else(|| help.to_owned());
                let message = format!("`{other}` is nothing to expect");
                self.report(&CASE_VALUE, &word.place, message, help);
                None
            }
        }
    }

    /// The text under a key, if it is there; a number counts as one, as in `host: 42`.
    fn text(&mut self, entries: &[Entry], key: &str) -> Option<Named> {
        let value = &find(entries, key)?.value;
        let text = match &value.kind {
            Kind::String(text) if !text.trim().is_empty() => Arc::clone(text),
            Kind::Number(number) => Arc::clone(&number.written),
            Kind::String(_) => {
                let message = format!("`{key}` is empty");
                self.report(&FIXTURE_SHAPE, &value.place, message, "fill it in");
                return None;
            }
            _ => {
                let message = format!("`{key}` is a text, not {}", value.kind_name());
                let help = if key == "event" {
                    "write the line as it is, indented, below `event: |-`"
                } else {
                    "put it in quotes"
                };
                self.report(&FIXTURE_SHAPE, &value.place, message, help);
                return None;
            }
        };
        let place = value.place.clone();
        Some(Named { text, place })
    }

    fn check_keys(&mut self, entries: &[Entry], known: &[&str]) {
        for entry in entries.iter().filter(|e| !known.contains(&&*e.key)) {
            let help = did_you_mean(&entry.key, known.iter().copied())
                .unwrap_or_else(|| format!("there are {}", known.join(", ")));
            let message = format!("there is no key `{}`", entry.key);
            self.report(&FIXTURE_KEY, &entry.place, message, help);
        }
    }

    fn report(
        &mut self,
        code: &Code,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mut diagnostic = code.at(place, message);
        diagnostic.help = Some(help.into());
        self.diagnostics.push(diagnostic);
    }

    fn errors(&self) -> usize {
        let errors = self.diagnostics.iter();
        errors
            .filter(|d| d.severity == crate::Severity::Error)
            .count()
    }
}

const HELP: &str = "write a list of cases: `cases: [{name: .., event: .., expect: alert}]`";

fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| &*entry.key == key)
}
