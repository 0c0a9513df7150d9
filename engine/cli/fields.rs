//! `pythia fields`: what rules of a log source can ask for, where it comes from, an example of each.

use anyhow::Result;
use console::printing::{Output, Paint, escaped, out, out_json, shortened, table};
use detect::view_name;
use event::{KnownField, ViewKind, known_fields};
use serde_json::{Value, json};

use crate::Exit;
use crate::args::{Common, Fields};

/// Longest example shown, in characters.
const EXAMPLE: usize = 30;

pub(crate) fn run(common: &Common, fields: &Fields) -> Result<Exit> {
    let asked = |kind: &ViewKind| {
        let asked = fields.logsource.as_deref();
        asked.is_none_or(|name| name == view_name(*kind))
    };
    let kinds: Vec<ViewKind> = ViewKind::ALL.into_iter().filter(asked).collect();
    match common.output() {
        Output::Table => {
            let texts: Vec<String> = kinds.into_iter().map(text).collect();
            out(&texts.join("\n"))?
        }
        Output::Json => {
            let fields: Vec<Value> = kinds.into_iter().flat_map(json_of).collect();
            out_json(&format!("{}\n", serde_json::to_string_pretty(&fields)?))?
        }
        Output::Jsonl => {
            let lines = kinds.into_iter().flat_map(json_of);
            let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
            out_json(&(lines.join("\n") + "\n"))?
        }
    };
    Ok(Exit::Ok)
}

/// The log source as rules write it, and which events it sees.
fn about(kind: ViewKind) -> (&'static str, &'static str) {
    match kind {
        ViewKind::ProcessCreation => ("category: process_creation", "a program that starts"),
        ViewKind::FileEvent => ("category: file_event", "a file that is created"),
        ViewKind::FileDelete => ("category: file_delete", "a file that is deleted"),
        ViewKind::FileRename => ("category: file_rename", "a file that is renamed"),
        ViewKind::NetworkConnection => (
            "category: network_connection",
            "an internet address that is connected to, or connects",
        ),
        ViewKind::Record => (
            "service: auditd",
            "one audit record; members of any other type can be asked for as well",
        ),
        ViewKind::Native => (
            "service: laurel",
            "the whole event by its paths; arrays of records are looked through, and items below one array hold on one \
             element. Any other member can be asked for as well",
        ),
    }
}

fn text(kind: ViewKind) -> String {
    let (source, sees) = about(kind);
    let mut header = vec!["field", "example", "from", "note"];
    if kind == ViewKind::Record {
        header.insert(1, "record");
    }
    let row = |field: KnownField| {
        let example = shortened(&escaped(field.example), EXAMPLE);
        let mut row = vec![field.name.into_owned(), example];
        row.extend([field.source.into_owned(), field.note.to_owned()]);
        if kind == ViewKind::Record {
            row.insert(1, records(field.records));
        }
        row
    };
    let rows: Vec<Vec<String>> = known_fields(kind).into_iter().map(row).collect();
    let title = Paint::stdout().bold(source);
    format!("{title}: {sees}\n{}", table(&header, &rows))
}

/// The first types, and how many more.
fn records(types: &[&str]) -> String {
    match types {
        [] => "any".to_owned(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one}, {two}"),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}

fn json_of(kind: ViewKind) -> impl Iterator<Item = Value> {
    known_fields(kind).into_iter().map(move |field| {
        json!({
            "logsource": view_name(kind),
            "field": field.name,
            "records": field.records,
            "from": field.source,
            "note": field.note,
            "example": field.example,
        })
    })
}
