//! Bodies of the property tests and fuzz targets, and the lines they start from.
//!
//! Each takes any bytes whatever and panics where a promise is broken.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::anchored::Anchored;
use crate::envelope::{Opener, is_id};
use crate::index::Index;
use crate::{
    Decoder, Fault, Fields, Kind, Limits, Origin, ProcessCache, Profile, Tape, ViewKind, fallback,
    scan,
};

/// Lines as Laurel writes them, one of each shape that matters to reading JSON: written by hand after
/// Laurel's manual, 0.5 to 0.8.2.
pub fn lines() -> Vec<&'static str> {
    include_str!("harness/lines.jsonl").lines().collect()
}

/// Most lines that one input of [`line`] holds; each is read several times.
const LINES_MAX: usize = 16;

/// The body of the fuzz target `line`: the bytes as lines, one after the other. Scanner, fallback and `serde_json` read each
/// alike, what is opened is whole, and a decoder with the fast path gives what one without gives, whatever both read before.
pub fn line(bytes: &[u8]) {
    let fields = everything_mapped();
    let decoder = |fast| {
        let decoder = Decoder::new(Arc::new(Profile::laurel()), Arc::clone(&fields));
        (
            decoder.with_fast_path(fast),
            ProcessCache::new(1 << 20, 3_600_000),
        )
    };
    let (mut fast, mut slow, mut anchored) = (decoder(true), decoder(false), Anchored::default());
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(LINES_MAX).collect();
    for line in &lines {
        scanner_agrees(line);
        opened_is_whole(line);
    }
    // What the first round taught the fast path is put to use in the second.
    for line in lines.iter().chain(&lines) {
        fast_path_agrees(&mut anchored, line);
        let readings = (
            reading(&mut fast.0, &mut fast.1, line),
            reading(&mut slow.0, &mut slow.1, line),
        );
        assert_eq!(readings.0, readings.1, "{}", String::from_utf8_lossy(line));
    }
}

/// Fields of rules that read whatever each kind of view may hold.
fn everything_mapped() -> Arc<Fields> {
    let mut fields = Fields::default();
    for kind in ViewKind::ALL {
        fields.want_keywords(kind);
        for known in crate::known_fields(kind) {
            fields.want(kind, &known.name);
        }
    }
    for field in ["type", "a0", "a1", "name", "key", "exe", "msg"] {
        fields.want(ViewKind::Record, field);
    }
    for path in [
        "PATH.name",
        "SYSCALL.key",
        "EXECVE.ARGV",
        "SOCKADDR.SADDR.addr",
    ] {
        fields.want(ViewKind::Native, path);
    }
    Arc::new(fields)
}

/// Everything that views, alerts and counters say of a line; `None` where it is no event.
pub(crate) fn reading(
    decoder: &mut Decoder,
    cache: &mut ProcessCache,
    line: &[u8],
) -> Option<String> {
    let origin = Origin {
        host: None,
        scope: Some(b"test"),
    };
    let said = decoder.decode(line, &origin, cache).ok().map(|event| {
        let views = event.views().iter().map(|view| {
            let values = event.values(view).iter();
            let values = values.map(|value| {
                let text = event.bytes(value.span).escape_ascii().to_string();
                (
                    value.slot,
                    value.kind,
                    value.element,
                    event.path(value),
                    text,
                )
            });
            (
                view.kind,
                view.class,
                event.node_path(view.node),
                values.collect::<Vec<_>>(),
            )
        });
        let views: Vec<_> = views.collect();
        let arguments = event.arguments();
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| {
                (
                    argument.index,
                    argument.text,
                    event.node_path(argument.node),
                )
            })
            .collect();
        let (id, process, flags) = (event.id(), event.process(), event.flags());
        format!("{id:?}{views:?}{process:?}{arguments:?}{flags:?}")
    });
    let mut counts = decoder.take_counts();
    // Of a name that nobody reads it need not be known that it stood twice.
    counts.duplicate_keys = 0;
    counts.fallback = 0;
    said.map(|said| format!("{said}{counts:?}"))
}

/// Limits under which scanner, fallback and `serde_json` nest equally deep.
pub(crate) fn limits() -> Limits {
    Limits {
        nesting: 127,
        ..Profile::laurel().limits
    }
}

/// The scanner reads `text` exactly as `serde_json` and the fallback do, or refuses it like them.
pub(crate) fn scanner_agrees(text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    let mut own = Tape::default();
    let verdict = scan::fill(text, &mut own, &limits());
    let oracle = match serde_json::from_slice::<Value>(text) {
        // The tape keeps numbers as written, so 1e999 is fine for it and no f64 of serde_json.
        Err(error) if error.to_string().starts_with("number out of range") => return,
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(Fault::InvalidJson),
        Err(error) => Err(fault_of(text, &error)),
    };
    let value = verdict.map(|()| value_of(&own, text, Tape::ROOT));
    match (&value, &oracle) {
        // serde_json counts the missing quote as part of a cut `\u`; no JSON begins like that.
        (Err(Fault::InvalidJson), Err(Fault::Truncated)) if shown.contains("\\u") => {}
        _ => assert_eq!(value, oracle, "{shown}"),
    }

    let mut other = Tape::default();
    let fallback = fallback::fill(text, &mut other, &limits());
    assert_eq!(verdict.is_ok(), fallback.is_ok(), "{fallback:?}: {shown}");
    if verdict.is_ok() {
        assert_eq!(own.nodes, other.nodes, "{shown}");
    }
}

/// What the fast path reads of a text, after all texts it read before, is what the scanner reads; gives
/// whether it read it at all.
pub(crate) fn fast_path_agrees(anchored: &mut Anchored, text: &[u8]) -> bool {
    let (mut fast, mut slow, fields) = (Tape::default(), Tape::default(), everything());
    let read = anchored.fill(text, &mut fast, &fields, &Profile::laurel());
    if read.is_none() {
        return false;
    }
    let shown = String::from_utf8_lossy(text);
    let verdict = scan::fill(text, &mut slow, &Profile::laurel().limits);
    assert_eq!(verdict, Ok(()), "{shown}");
    let duplicates = Index::default().run(text, &mut slow, &fields.symbols);
    assert_eq!(fast.duplicates, duplicates, "{shown}");
    assert_eq!(fast.nodes, slow.nodes, "{shown}");
    true
}

/// Fields of rules that read every scalar.
fn everything() -> Fields {
    let mut fields = Fields::default();
    fields.want_keywords(ViewKind::Native);
    fields
}

/// A line is opened or refused without a panic, and what is opened is whole: an object with an id, whose
/// tape is the one of its own text.
pub(crate) fn opened_is_whole(line: &[u8]) {
    let (mut opener, fields) = (Opener::default(), everything());
    let Ok(opened) = opener.open(line, &fields, &Profile::laurel(), &Origin::default()) else {
        return;
    };
    let mut tape = Tape::default();
    scan::fill(opened.text, &mut tape, &Profile::laurel().limits)
        .expect("the event is JSON of its own");
    if opened.tape.is_named {
        Index::default().run(opened.text, &mut tape, &fields.symbols);
    }
    assert_eq!(
        tape.nodes,
        opened.tape.nodes,
        "{}",
        String::from_utf8_lossy(line)
    );
    let id = tape
        .member(opened.text, Tape::ROOT, b"ID")
        .expect("an event has an id");
    assert!(is_id(tape.value(opened.text, id)));
    assert_ne!(opened.host, Some(&b""[..]));
}

/// The fault behind an error of `serde_json`.
fn fault_of(text: &[u8], error: &serde_json::Error) -> Fault {
    let begins_otherwise = text
        .trim_ascii_start()
        .first()
        .is_some_and(|&byte| byte != b'{');
    match std::str::from_utf8(text) {
        _ if begins_otherwise => Fault::InvalidJson,
        Err(broken) if broken.error_len().is_some() => Fault::InvalidJson,
        _ if error.is_eof() => Fault::Truncated,
        _ if error.to_string().starts_with("trailing characters") => Fault::TrailingData,
        _ => Fault::InvalidJson,
    }
}

/// The tree below a node as `serde_json` has it: of equal names the last one wins.
pub(crate) fn value_of(tape: &Tape, text: &[u8], node: u32) -> Value {
    let members = || tape.children(node);
    match tape.node(node).kind {
        Kind::Object => {
            let named = |child| (unescape(tape.key(text, child)), value_of(tape, text, child));
            Value::Object(members().map(named).collect::<Map<_, _>>())
        }
        Kind::Array => Value::Array(members().map(|child| value_of(tape, text, child)).collect()),
        Kind::String => Value::String(unescape(tape.value(text, node))),
        Kind::Number | Kind::Bool | Kind::Null => {
            serde_json::from_slice(tape.value(text, node)).expect("a scalar as written")
        }
    }
}

fn unescape(raw: &[u8]) -> String {
    serde_json::from_slice(&[b"\"", raw, b"\""].concat()).expect("a string as written")
}
