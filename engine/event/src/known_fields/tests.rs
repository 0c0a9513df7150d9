//! The table is true: the decoder feeds every field of it with its example, and feeds no other.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{is_known_field, known_fields};
use crate::normal::{FROM_HOST, NONE};
use crate::{Decoder, Fields, Origin, ProcessCache, Profile, Slot, ValueKind, ViewKind};

const EXAMPLES: &str = include_str!("examples.jsonl");

/// Decodes lines in their order, asking for these fields; calls `view` with the values of each view of this kind, each with
/// its slot, text and path.
fn decode(
    kind: ViewKind,
    fields: Fields,
    lines: &[u8],
    mut view: impl FnMut(&[(Slot, ValueKind, String, u32, Option<String>)]),
) {
    let mut decoder = Decoder::new(Arc::new(Profile::laurel()), Arc::new(fields));
    let mut cache = ProcessCache::new(1 << 20, 3_600_000);
    let lines = lines.split(|byte| *byte == b'\n');
    for line in lines.filter(|line| !line.is_empty()) {
        let event = decoder.decode(line, &Origin::default(), &mut cache);
        let event = event.expect("an event");
        for of_kind in event.views().iter().filter(|view| view.kind == kind) {
            let values = event.values(of_kind).iter().map(|value| {
                let text = String::from_utf8_lossy(event.bytes(value.span)).into_owned();
                (
                    value.slot,
                    value.kind,
                    text,
                    value.node,
                    event.node_path(value.node),
                )
            });
            view(&values.collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_field_of_the_table_is_fed_with_its_example() {
    let mut wrong = Vec::new();
    for kind in ViewKind::ALL {
        let known = known_fields(kind);
        assert!(known.len() >= 6, "{kind:?}");
        for field in known {
            let mut fields = Fields::default();
            let slot = fields.want(kind, &field.name).expect("the table has it");
            let record_type = fields.want(kind, "type");
            let mut seen = BTreeSet::new();
            decode(kind, fields, EXAMPLES.as_bytes(), |values| {
                let of = |slot| values.iter().filter(move |value| Some(value.0) == slot);
                let told = of(record_type).map(|value| &*value.2).next();
                let is_carrier = kind != ViewKind::Record
                    || field.records.is_empty()
                    || told.is_some_and(|told| field.records.contains(&told));
                if is_carrier {
                    seen.extend(of(Some(slot)).map(|value| value.2.clone()));
                }
            });
            if !seen.contains(field.example) {
                wrong.push(format!("{kind:?} {}: {seen:?}", field.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_field_is_twice_in_the_table() {
    for kind in ViewKind::ALL {
        let mut known = BTreeSet::new();
        for field in known_fields(kind) {
            assert!(is_known_field(kind, &field.name), "{kind:?} {}", field.name);
            let key = (field.name.clone(), field.records.first());
            assert!(known.insert(key), "{kind:?} {} twice", field.name);
        }
    }
    for field in known_fields(ViewKind::Record) {
        let end = field.source.rsplit('.').next();
        let is_plain = !field.records.is_empty() && end != Some("ARGV");
        assert!(!is_plain || end == Some(&*field.name), "{field:?}");
    }
    assert!(is_known_field(ViewKind::Native, "USER_AUTH.msg.acct"));
    for name in ["", "PATH", "USER_AUTH.acct", "CWD.exe", "SYSCALL.sgids"] {
        assert!(!is_known_field(ViewKind::Native, name), "{name}");
    }
    assert!(!is_known_field(ViewKind::Record, "") && !is_known_field(ViewKind::Record, "exee"));
}

/// What a keyword is looked for in is everything that a view holds.
#[test]
fn every_value_of_a_mapped_view_is_of_some_field_of_the_table() {
    for kind in ViewKind::ALL.into_iter().take(5) {
        let mut fields = Fields::default();
        for field in known_fields(kind) {
            fields.want(kind, &field.name).expect("the table has it");
        }
        let keywords = fields.want_keywords(kind);
        let mut views = 0;
        decode(kind, fields, EXAMPLES.as_bytes(), |values| {
            views += 1;
            for value in values.iter().filter(|value| value.0 == keywords) {
                let named = |other: &&(Slot, _, String, u32, _)| {
                    other.0 != keywords && (&other.2, other.3) == (&value.2, value.3)
                };
                assert!(values.iter().find(named).is_some(), "{kind:?} {value:?}");
            }
        });
        assert!(views > 0, "{kind:?}");
    }
}

#[test]
fn every_member_of_recorded_events_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let files = [
        "fleet",
        "container",
        "versions/laurel-0.5.6",
        "configs/base",
        "configs/alt",
    ];
    let (mut missing, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        #[expect(clippy::disallowed_methods, reason = "tests may read files")]
        let file = std::fs::read(folder.join(format!("{file}.jsonl.zst"))).expect("a recording");
        let lines = zstd::decode_all(&file[..]).expect("zstd");
        let mut fields = Fields::default();
        fields.want_keywords(ViewKind::Native);
        decode(ViewKind::Native, fields, &lines, |values| {
            for (.., node, path) in values.iter().filter(|v| v.3 != FROM_HOST && v.3 != NONE) {
                let path = path.as_deref().unwrap_or_default();
                let path = without_indices(path);
                let is_new = seen.insert(path.clone());
                if is_new && !is_known_field(ViewKind::Native, &path) {
                    missing.insert(format!("{path} ({node})"));
                }
            }
        });
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(seen.len() > 150, "{}", seen.len());
}

/// `PATH[1].name` is `PATH.name` to rules.
fn without_indices(path: &str) -> String {
    let mut parts = path.split('[');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        name += part.split_once(']').map_or(part, |(_, rest)| rest);
    }
    name
}
