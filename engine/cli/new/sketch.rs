//! What a rule of an event asks for: its log source, the values that tell most, and the rest as suggestions.

use std::sync::Arc;

use console::printing::escaped;
use detect::view_name;
use event::{Decoder, Event, Fields, Origin, ProcessCache, Profile, View, ViewKind, known_fields};

/// Longest piece of a command line that a rule asks for, in characters; of a longer one its start.
const PIECE_MAX: usize = 60;
/// Longest value that stands in a rule, in characters; a longer one is left out.
const VALUE_MAX: usize = 200;

/// Most things that are suggested of an event without a call.
const SUGGESTIONS_MAX: usize = 6;

/// The log sources that an event is tried for, in this order. A rename is a file event and a deletion as well.
const TRIED: [ViewKind; 7] = [
    ViewKind::ProcessCreation,
    ViewKind::NetworkConnection,
    ViewKind::FileRename,
    ViewKind::FileDelete,
    ViewKind::FileEvent,
    ViewKind::Record,
    ViewKind::Native,
];

/// Members of records that say what happened, and those that say to whom and where.
const TELLING: [&str; 9] = [
    "SYSCALL",
    "op",
    "cmd",
    "unit",
    "res",
    "key",
    "nametype",
    "SYSCALL.SYSCALL",
    "SYSCALL.key",
];
const FURTHER: [&str; 14] = [
    "exe",
    "comm",
    "acct",
    "addr",
    "terminal",
    "hostname",
    "id",
    "auid",
    "uid",
    "success",
    "SYSCALL.exe",
    "SYSCALL.LABELS",
    "SYSCALL.UID",
    "EXECVE.cmdline",
];

/// A line of a selection: a field with its modifiers, and its values as they stand in YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    field: String,
    values: Vec<String>,
}

/// The making of a rule.
#[derive(Debug)]
pub(super) struct Sketch {
    /// The log source.
    pub(super) kind: ViewKind,
    /// A title in case there is no better one.
    pub(super) title: String,
    asked: Vec<Line>,
    suggested: Vec<Line>,
}

impl Sketch {
    /// Of a line; an error says what is wrong with it.
    pub(super) fn of(
        line: &[u8],
        profile: &Arc<Profile>,
        logsource: Option<&str>,
    ) -> Result<Self, String> {
        let mut fields = Fields::default();
        for kind in ViewKind::ALL {
            fields.want_view(kind);
            for field in known_fields(kind) {
                fields.want(kind, &field.name);
            }
        }
        for name in members() {
            fields.want(ViewKind::Native, &name);
        }
        let fields = Arc::new(fields);
        let mut decoder = Decoder::new(Arc::clone(profile), Arc::clone(&fields));
        let mut cache = ProcessCache::new(1 << 20, 3_600_000);
        let event = decoder
            .decode(line, &Origin::default(), &mut cache)
            .map_err(|fault| format!("the line is no event: {}", fault.code()))?;
        let seen = |kind: ViewKind| event.views().iter().any(|view| view.kind == kind);
        let kind = match logsource {
            None => TRIED.into_iter().find(|kind| seen(*kind)),
            Some(name) => {
                let asked = TRIED.into_iter().find(|kind| view_name(*kind) == name);
                asked.filter(|kind| seen(*kind))
            }
        };
        let kind = kind.ok_or_else(|| {
            let seen = TRIED.into_iter().filter(|kind| seen(*kind)).map(view_name);
            let seen: Vec<&str> = seen.collect();
            format!(
                "the event is none of {}; it is seen by {}",
                logsource.unwrap_or("them"),
                seen.join(", ")
            )
        })?;
        let views = event.views().iter().filter(|view| view.kind == kind);
        let seen = views.map(|view| Seen {
            event: &event,
            fields: &fields,
            view,
        });
        // Of records the one that says most: SYSCALL and its companions stand beside any other.
        let view = seen.min_by_key(Seen::rank).expect("the kind has a view");
        let mut sketch = Self {
            kind,
            title: String::new(),
            asked: Vec::new(),
            suggested: Vec::new(),
        };
        match kind {
            ViewKind::ProcessCreation => sketch.process(&view),
            ViewKind::FileEvent | ViewKind::FileDelete | ViewKind::FileRename => sketch.file(&view),
            ViewKind::NetworkConnection => sketch.network(&view),
            ViewKind::Record | ViewKind::Native => sketch.record(&view),
        }
        if sketch.asked.is_empty() {
            return Err("nothing in the event can stand in a rule; write it by hand".into());
        }
        Ok(sketch)
    }

    /// The body of the selection in YAML, a line each, with what is suggested as comments.
    pub(super) fn selection(&self) -> String {
        let mut text = String::new();
        for Line { field, values } in &self.asked {
            match &values[..] {
                [value] => text += &format!("        {field}: {value}\n"),
                values => {
                    text += &format!("        {field}:\n");
                    for value in values {
                        text += &format!("            - {value}\n");
                    }
                }
            }
        }
        if !self.suggested.is_empty() {
            text += "        # What else the event says:\n";
        }
        for Line { field, values } in &self.suggested {
            text += &format!("        # {field}: {}\n", values.join(", "));
        }
        text
    }

    fn process(&mut self, view: &Seen<'_>) {
        let arguments = view.event.arguments();
        let arguments: Vec<String> = arguments.iter().filter_map(|a| text(a.text)).collect();
        let program = view.first("Image").or_else(|| arguments.first().cloned());
        self.title = format!(
            "Execution of {}",
            program.as_deref().map_or("a program", base)
        );
        if let Some(image) = view.first("Image") {
            self.ask_end("Image", &image);
        }
        let own = arguments.get(1..).unwrap_or_default();
        let mut pieces: Vec<String> = Vec::new();
        let is_option = |argument: &&String| argument.starts_with('-') && argument.len() > 1;
        // Behind the program's name an argument has a blank before it.
        let option = own
            .iter()
            .find(is_option)
            .map(|option| format!(" {option}"));
        pieces.extend(option.as_deref().map(start));
        let word = own.iter().filter(|argument| !is_option(argument));
        // Names tell more than addresses and numbers do.
        let letters = |word: &String| word.chars().any(char::is_alphabetic);
        let word = word.max_by_key(|word| (letters(word), word.len()));
        pieces.extend(word.filter(|word| word.len() > 1).map(|word| start(word)));
        if self.asked.is_empty() && pieces.is_empty() {
            pieces.extend(arguments.first().map(|name| start(name)));
        }
        match &pieces[..] {
            [] => {}
            [one] => self.ask("CommandLine|contains", one),
            _ => self.asked.push(Line {
                field: "CommandLine|contains|all".into(),
                values: pieces.iter().map(|piece| quoted(&literal(piece))).collect(),
            }),
        }
        if self.asked.is_empty()
            && let Some(line) = view.first("CommandLine")
        {
            self.ask("CommandLine|contains", &start(&line));
        }
        if let Some(parent) = view.first("ParentImage") {
            self.suggest("ParentImage|endswith", &end(&parent));
        }
        self.suggest_all(
            view,
            &["CommandLine", "User", "CurrentDirectory", "process.labels"],
        );
    }

    fn file(&mut self, view: &Seen<'_>) {
        let target = view
            .first("TargetFilename")
            .or_else(|| view.first("SourceFilename"));
        let name = target.as_deref().map_or("a file", base);
        let what = match view.view.kind {
            ViewKind::FileEvent => "Creation",
            ViewKind::FileDelete => "Deletion",
            _ => "Renaming",
        };
        self.title = format!("{what} of {name}");
        if let Some(target) = view.first("TargetFilename") {
            match target.rsplit_once('/') {
                // What lies below an unknown directory has no beginning to ask for.
                Some((folder, _)) if folder.starts_with('/') => {
                    self.ask("TargetFilename|startswith", &format!("{folder}/"));
                    self.suggest("TargetFilename|endswith", &end(&target));
                }
                _ => self.ask_end("TargetFilename", &target),
            }
        }
        if let Some(source) = view.first("SourceFilename") {
            self.suggest("SourceFilename", &source);
        }
        if let Some(image) = view.first("Image") {
            self.ask_end("Image", &image);
        }
        self.suggest_all(view, &["CommandLine", "User", "process.labels"]);
    }

    fn network(&mut self, view: &Seen<'_>) {
        let image = view.first("Image");
        let program = image.as_deref().map_or("a program", base);
        self.title = match view.first("Initiated").as_deref() {
            Some("true") => format!("Connection by {program}"),
            _ => format!("Connection to {program}"),
        };
        if let Some(image) = &image {
            self.ask_end("Image", image);
        }
        for field in ["Initiated", "DestinationPort"] {
            if let Some(value) = view.first(field) {
                self.ask(field, &value);
            }
        }
        self.suggest_all(
            view,
            &[
                "DestinationIp",
                "SourceIp",
                "SourcePort",
                "User",
                "process.labels",
            ],
        );
    }

    fn record(&mut self, view: &Seen<'_>) {
        let is_native = view.view.kind == ViewKind::Native;
        let record = view.first("type").unwrap_or_default();
        self.title = if is_native {
            "Event".to_owned()
        } else {
            format!("Record {record}")
        };
        if !is_native {
            self.ask("type", &record);
        }
        for field in TELLING {
            if let Some(value) = view.first(field) {
                self.ask(field, &value);
                if field.ends_with("SYSCALL") {
                    self.title = format!("Call of {value}");
                }
            }
        }
        if let Some((field, value)) = view.executable() {
            self.ask_end(field, &value);
        }
        if is_native && self.asked.is_empty() {
            self.members(view);
            let record = self
                .asked
                .first()
                .and_then(|line| line.field.split('.').next());
            self.title = format!("Event with {}", record.unwrap_or("records"));
        }
        if let Some(name) = view.first("name") {
            self.suggest("name", &name);
        }
        self.suggest_all(view, &FURTHER);
    }

    /// Of an event without a call: what its records say happened, else anything that they say.
    fn members(&mut self, view: &Seen<'_>) {
        let is_telling = |name: &String| {
            name.rsplit('.')
                .next()
                .is_some_and(|n| TELLING.contains(&n))
        };
        let (telling, further): (Vec<String>, Vec<String>) = members().partition(is_telling);
        for name in &telling {
            if let Some(value) = view.first(name) {
                self.ask(name, &value);
            }
        }
        let said = further
            .iter()
            .filter_map(|name| Some((name, view.first(name)?)));
        for (name, value) in said.take(SUGGESTIONS_MAX) {
            if self.asked.is_empty() {
                self.ask(name, &value);
            } else {
                self.suggest(name, &value);
            }
        }
    }

    fn ask(&mut self, field: &str, value: &str) {
        if !value.is_empty() && value.chars().count() <= VALUE_MAX {
            self.asked.push(Line {
                field: field.to_owned(),
                values: vec![quoted(&literal(value))],
            });
        }
    }

    /// Asks for the last part of a path.
    fn ask_end(&mut self, field: &str, path: &str) {
        self.ask(&format!("{field}|endswith"), &end(path));
    }

    fn suggest(&mut self, field: &str, value: &str) {
        let is_asked = self.asked.iter().any(|line| line.field == field);
        if !is_asked && value.chars().count() <= VALUE_MAX {
            self.suggested.push(Line {
                field: field.to_owned(),
                values: vec![quoted(&literal(value))],
            });
        }
    }

    fn suggest_all(&mut self, view: &Seen<'_>, fields: &[&str]) {
        for field in fields {
            if let Some(value) = view.first(field) {
                self.suggest(field, &value);
            }
        }
    }
}

/// Members of records by their paths in the native view, under every type of record that has them.
fn members() -> impl Iterator<Item = String> {
    known_fields(ViewKind::Native)
        .into_iter()
        .flat_map(|field| {
            let member = field.name.split_once('.').map(|(_, rest)| rest.to_owned());
            let records = field.records.iter();
            records.filter_map(move |record| Some(format!("{record}.{}", member.as_ref()?)))
        })
}

/// A view that a rule is made of.
struct Seen<'a> {
    event: &'a Event<'a>,
    fields: &'a Fields,
    view: &'a View,
}

impl Seen<'_> {
    /// The first value of a field that can stand in a rule.
    fn first(&self, field: &str) -> Option<String> {
        let values = self.event.values(self.view).iter();
        let mut named =
            values.filter(|value| self.fields.name(self.view.kind, value.slot) == field);
        named.find_map(|value| text(self.event.bytes(value.span)))
    }

    /// The executable and its field, in views that are made of records.
    fn executable(&self) -> Option<(&'static str, String)> {
        let mut fields = ["exe", "SYSCALL.exe"].into_iter();
        fields.find_map(|field| Some((field, self.first(field)?)))
    }

    /// Records that stand beside others come later.
    fn rank(&self) -> usize {
        const COMPANIONS: [&str; 6] = ["SYSCALL", "EXECVE", "PATH", "SOCKADDR", "PROCTITLE", "CWD"];
        let record = self.first("type").unwrap_or_default();
        let place = COMPANIONS
            .iter()
            .position(|companion| **companion == record);
        place.map_or(0, |place| place + 1)
    }
}

/// A text that can stand in a rule as it is.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_plain = !text.trim().is_empty() && escaped(text) == text;
    is_plain.then(|| text.to_owned())
}

/// The last part of a path.
fn base(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/')
        .next()
        .filter(|base| !base.is_empty())
        .unwrap_or(path)
}

/// The last part of a path with the slash before it; of what is none, all of it.
fn end(path: &str) -> String {
    let at = path.rfind('/').unwrap_or(0);
    path.get(at..).unwrap_or(path).to_owned()
}

/// The first characters.
fn start(text: &str) -> String {
    text.chars().take(PIECE_MAX).collect()
}

/// The value as Sigma reads it without wildcards.
fn literal(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | '*' | '?') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The value as YAML reads it, in single quotes.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
