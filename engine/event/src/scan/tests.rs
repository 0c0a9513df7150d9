//! The scanner against `serde_json` and the fallback: on recorded, written, generated and damaged lines.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{fill, read, rescue};
use crate::harness::{limits, lines, scanner_agrees};
use crate::{Fault, Limits, Profile, Tape};

fn fault(text: &[u8]) -> Fault {
    fill(text, &mut Tape::default(), &Profile::laurel().limits).expect_err("the text is refused")
}

#[test]
fn written_lines_are_read_like_serde_json_reads_them() {
    for line in lines() {
        scanner_agrees(line.as_bytes());
        fill(line.as_bytes(), &mut Tape::default(), &limits()).unwrap();
    }
}

/// Every `.jsonl` and `.jsonl.zst` below `folder`; none if there is no such folder.
#[expect(clippy::disallowed_methods, reason = "tests may read the recordings")]
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy();
        let name = name.strip_suffix(".zst").unwrap_or(&name);
        if path.is_dir() {
            found.extend(recordings(&path));
        } else if Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            found.push(path);
        }
    }
    found
}

#[test]
#[expect(clippy::disallowed_methods, reason = "tests may read the recordings")]
fn recorded_lines_are_read_like_serde_json_reads_them_without_the_fallback() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared =
        std::env::var_os("PYTHIA_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let mut paths = recordings(&root.join("tests/data"));
    assert!(
        !paths.is_empty(),
        "the repository has recordings of its own"
    );
    paths.extend(recordings(&shared.join("data/laurel")));
    for path in paths {
        let file = fs::read(&path).unwrap();
        let packed = path.extension().is_some_and(|extension| extension == "zst");
        let text = if packed {
            zstd::decode_all(&*file).unwrap()
        } else {
            file
        };
        for line in text
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            assert_eq!(
                fill(line, &mut Tape::default(), &limits()),
                Ok(()),
                "{}",
                path.display()
            );
            scanner_agrees(line);
        }
    }
}

#[test]
fn a_line_cut_anywhere_is_truncated() {
    for line in lines().into_iter().map(str::trim) {
        for end in 0..line.len() {
            assert_eq!(
                fault(&line.as_bytes()[..end]),
                Fault::Truncated,
                "{end}: {line}"
            );
        }
    }
}

#[test]
fn a_line_without_any_one_byte_is_read_alike() {
    for line in lines() {
        for at in 0..line.len() {
            let mut text = line.as_bytes().to_vec();
            text.remove(at);
            scanner_agrees(&text);
        }
    }
}

#[test]
fn bytes_behind_the_object_are_trailing_data() {
    for (rest, expected) in [
        ("x", Fault::TrailingData),
        ("}", Fault::TrailingData),
        (" {}", Fault::TrailingData),
        ("\0", Fault::TrailingData),
        ("\u{feff}", Fault::TrailingData),
    ] {
        assert_eq!(
            fault(format!("{{\"a\":1}}{rest}").as_bytes()),
            expected,
            "{rest:?}"
        );
    }
    fill(b"{\"a\":1} \t\r\n", &mut Tape::default(), &limits()).unwrap();
}

#[test]
fn only_objects_are_read() {
    for (text, expected) in [
        ("", Fault::Truncated),
        (" \t ", Fault::Truncated),
        ("[{}]", Fault::InvalidJson),
        ("\"{}\"", Fault::InvalidJson),
        ("null", Fault::InvalidJson),
        ("\0{}", Fault::InvalidJson),
    ] {
        assert_eq!(fault(text.as_bytes()), expected, "{text:?}");
        scanner_agrees(text.as_bytes());
    }
}

#[test]
fn strings_numbers_and_literals_follow_the_grammar_wherever_they_stand() {
    let values = [
        "0",
        "-0",
        "1",
        "-1",
        "10",
        "01",
        "-01",
        "00",
        "-",
        "+1",
        "1.",
        "1.0",
        ".5",
        "1.e1",
        "1e",
        "1e+",
        "1e-2",
        "1E+2",
        "1e1.5",
        "123456789012345",
        "1234567890123456",
        "12345678901234567890",
        "0x10",
        "0e0",
        "0.0e-0",
        "1 2",
        "-a",
        "Infinity",
        "NaN",
        "true",
        "tru",
        "truee",
        "True",
        "false",
        "fals",
        "null",
        "nul",
        "nulll",
        r#""""#,
        r#""\"""#,
        r#""\\""#,
        r#""\\\""#,
        r#""\\\\""#,
        r#""\x""#,
        r#""\u""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u+123""#,
        r#""\u0000""#,
        r#""\uD83E\uDD80""#,
        r#""\ud83e""#,
        r#""\ud83ex""#,
        r#""\ud83e\n""#,
        r#""\ud83e\u0041""#,
        r#""\udd80""#,
        r#""\ud83e\ud83e\udd80""#,
        "\"\t\"",
        "\"\0\"",
        "\"\u{1f}\"",
        "\"\u{7f}\"",
        "\"ü\"",
        "\"\u{feff}\"",
        "'a'",
        "a",
        "\"a",
        "a\"",
        "\\\"a\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "[}",
        "{]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" \"b\"}",
        "[[]]]",
        "",
    ];
    for value in values {
        // Pads shift the value over the borders of vectors and blocks.
        for pad in (0..70).chain([120, 127, 128, 129]) {
            let pad = "p".repeat(pad);
            scanner_agrees(format!(r#"{{"{pad}":{value},"z":1}}"#).as_bytes());
            scanner_agrees(format!(r#"{{"{pad}":[{value}]}}"#).as_bytes());
            scanner_agrees(format!(r#"{{"{pad}":{value}"#).as_bytes());
        }
    }
}

#[test]
fn backslashes_before_a_quote_count_over_the_borders_of_blocks() {
    for pad in 0..130 {
        for backslashes in 0..6 {
            let (pad, backslashes) = ("p".repeat(pad), "\\".repeat(backslashes));
            scanner_agrees(format!(r#"{{"{pad}{backslashes}":1}}"#).as_bytes());
            scanner_agrees(
                format!(r#"{{"a":"{pad}{backslashes}","b":"{backslashes}"}}"#).as_bytes(),
            );
        }
    }
}

#[test]
fn a_string_is_coded_exactly_if_it_holds_a_backslash_or_a_percent_sign() {
    for length in [0, 1, 15, 63, 64, 65, 200] {
        for at in 0..=length {
            for (mark, coded) in [("%41", true), ("\\n", true), ("ü", false), ("x", false)] {
                let string = ["a".repeat(at), mark.into(), "b".repeat(length - at)].concat();
                let text = format!(r#"{{"p":"before %25","a":"{string}","n":"%25 behind"}}"#);
                let mut tape = Tape::default();
                fill(text.as_bytes(), &mut tape, &limits()).unwrap();
                assert_eq!(tape.node(2).coded, coded, "{text}");
            }
        }
    }
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| {
        format!(
            "{{\"a\":{}{}}}",
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    };
    let limits = Profile::laurel().limits;
    assert_eq!(
        fill(nested(64).as_bytes(), &mut Tape::default(), &limits),
        Ok(())
    );
    assert_eq!(fault(nested(65).as_bytes()), Fault::InvalidJson);
    assert_eq!(fault(nested(10_000).as_bytes()), Fault::InvalidJson);
    assert_eq!(
        fault("{\"a\":".repeat(10_000).as_bytes()),
        Fault::InvalidJson
    );
    // The scanner does not recurse, so that a high limit is no danger.
    let high = Limits {
        nesting: usize::MAX,
        ..limits
    };
    assert_eq!(
        fill(nested(1_000_000).as_bytes(), &mut Tape::default(), &high),
        Ok(())
    );
    scanner_agrees(nested(127).as_bytes());
    scanner_agrees(nested(128).as_bytes());
}

#[test]
fn hostile_bytes_are_refused_in_time() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(1 << 20)
    .collect();
    assert_eq!(fault(&noise), Fault::InvalidJson);
    assert_eq!(
        fault(&[b"{\"a\":\"", noise.as_slice()].concat()),
        Fault::InvalidJson
    );
    assert_eq!(fault(&vec![0; 1 << 20]), Fault::InvalidJson);
    for text in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"\xc3\":1}",
        b"{\"a\":1\xc3\xbc}",
        b"{\"a\":\"\0\"}",
        b"{\0}",
    ] {
        assert_eq!(fault(text), Fault::InvalidJson);
        scanner_agrees(text);
    }
    let long = format!(
        r#"{{"ID":"1.000:1","EXECVE":{{"ARGV":["{}"]}}}}"#,
        "%0aü\\n".repeat(400_000)
    );
    assert!(long.len() > 3_000_000 - 500_000);
    scanner_agrees(long.as_bytes());
    let many = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(500_000));
    scanner_agrees(many.as_bytes());
}

#[test]
fn a_tape_gives_back_the_memory_of_a_huge_line() {
    let mut tape = Tape::default();
    fill(
        format!(r#"{{"a":[{}1]}}"#, "1,".repeat(500_000)).as_bytes(),
        &mut tape,
        &limits(),
    )
    .unwrap();
    assert!(tape.nodes.capacity() > crate::tape::KEPT_NODES);
    fill(b"{}", &mut tape, &limits()).unwrap();
    assert!(tape.nodes.capacity() <= crate::tape::KEPT_NODES);
}

#[test]
fn equal_names_stay_on_the_tape_and_the_last_one_is_the_member() {
    let text = br#"{"UID":"root","uid":0,"UID":"wurzel"}"#;
    let mut tape = Tape::default();
    fill(text, &mut tape, &limits()).unwrap();
    assert_eq!(tape.children(Tape::ROOT).count(), 3);
    let member = tape.member(text, Tape::ROOT, b"UID").unwrap();
    assert_eq!(tape.value(text, member), b"wurzel");
}

#[test]
fn a_wrong_refusal_is_rescued_and_counted_and_a_right_one_stands() {
    let (mut rescued, mut tape) = (0, Tape::default());
    assert_eq!(
        read(b"{\"a\":1", &mut tape, &limits(), &mut rescued),
        Err(Fault::Truncated)
    );
    assert_eq!(
        read(b"{\"a\":1}", &mut tape, &limits(), &mut rescued),
        Ok(())
    );
    assert_eq!(rescued, 0);
    assert_eq!(
        rescue(
            Fault::InvalidJson,
            b"{\"a\":[2]}",
            &mut tape,
            &limits(),
            &mut rescued
        ),
        Ok(())
    );
    assert_eq!((rescued, tape.nodes.len()), (1, 3));
}

/// Text with all that is special to JSON, to percent codes and to blocks.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z/._ -]{0,20}",
        1 => "[\\\\\"%{}\\[\\],:\u{0}-\u{1f}\u{7f}ü東🦀]{1,3}",
        1 => "%[0-9a-f]{2}",
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn any_object() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        4 => any_text().prop_map(Value::String),
        2 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ];
    let value = scalar.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((any_text(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::vec((any_text(), value), 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// An event with records as Laurel has them, percent-encoded or not.
fn any_event() -> impl Strategy<Value = Value> {
    let path = (0..4_u32, any_text(), "NORMAL|PARENT|CREATE|DELETE")
        .prop_map(|(item, name, nametype)| json!({"item": item, "name": name, "nametype": nametype, "ouid": 0}));
    let records = (
        any::<u32>(),
        any_text(),
        prop::collection::vec(any_text(), 0..6),
        prop::collection::vec(path, 0..5),
        prop::option::of(any_text()),
    );
    records.prop_map(|(serial, exe, argv, paths, node)| {
        let mut event = Map::new();
        event.insert("ID".into(), format!("1700000000.123:{serial}").into());
        event.extend(node.map(|node| ("NODE".into(), node.into())));
        event.insert(
            "SYSCALL".into(),
            json!({"syscall": 59, "pid": serial, "exe": exe, "key": null, "exit": -2}),
        );
        event.insert("EXECVE".into(), json!({"argc": argv.len(), "ARGV": argv}));
        event.insert("PATH".into(), paths.into());
        Value::Object(event)
    })
}

/// One damage to a line, at a place given as a share of its length.
#[derive(Clone, Debug)]
enum Damage {
    Set(u8),
    Insert(u8),
    Delete(usize),
    Repeat(usize),
    Cut,
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let byte = || {
        prop_oneof![
            prop::sample::select(b"\"\\%{}[]:, \n\0u01-.et\x80\xc3".to_vec()),
            any::<u8>()
        ]
    };
    prop_oneof![
        byte().prop_map(Damage::Set),
        byte().prop_map(Damage::Insert),
        (1..20_usize).prop_map(Damage::Delete),
        (1..80_usize).prop_map(Damage::Repeat),
        Just(Damage::Cut),
    ]
}

fn damaged(mut text: Vec<u8>, damages: Vec<(prop::sample::Index, Damage)>) -> Vec<u8> {
    for (place, damage) in damages {
        let at = place.index(text.len() + 1);
        let until = |count: usize| (at + count).min(text.len());
        match damage {
            Damage::Set(byte) => {
                if let Some(old) = text.get_mut(at) {
                    *old = byte;
                }
            }
            Damage::Insert(byte) => text.insert(at, byte),
            Damage::Delete(count) => drop(text.drain(at..until(count))),
            Damage::Repeat(count) => {
                let piece = text[at..until(count)].to_vec();
                text.splice(at..at, piece);
            }
            Damage::Cut => text.truncate(at),
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_json_is_read_like_serde_json_reads_it(value in any_object()) {
        scanner_agrees(value.to_string().as_bytes());
        scanner_agrees(format!("{value:#}").as_bytes());
    }

    #[test]
    fn any_event_is_read_like_serde_json_reads_it(event in any_event()) {
        scanner_agrees(event.to_string().as_bytes());
    }

    #[test]
    fn a_damaged_line_is_read_or_refused_like_serde_json_does(
        line in prop::sample::select(lines()),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any_damage()), 1..4),
    ) {
        scanner_agrees(&damaged(line.as_bytes().to_vec(), damages));
    }

    #[test]
    fn a_damaged_event_is_read_or_refused_like_serde_json_does(
        event in any_event(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any_damage()), 1..4),
    ) {
        scanner_agrees(&damaged(event.to_string().into_bytes(), damages));
    }

    #[test]
    fn any_bytes_are_read_or_refused_like_serde_json_does(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        scanner_agrees(&bytes);
        scanner_agrees(&[b"{\"a\":", bytes.as_slice()].concat());
    }
}
