//! The decoder against `serde_json`: every leaf of an event is found with its bytes, and no line
//! whatever makes it panic.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::recorded::{fixtures, shared_lines};
use super::{Bench, MAPPED};
use crate::anchored::Anchored;
use crate::harness::{self, fast_path_agrees, reading};
use crate::{Profile, ValueKind, ViewKind};

/// Reads everything that can be read of an event.
fn bench() -> Bench {
    let mut wanted: Vec<_> = MAPPED
        .iter()
        .flat_map(|field| ViewKind::ALL[..5].iter().map(move |kind| (*kind, *field)))
        .collect();
    wanted.extend(ViewKind::ALL.map(|kind| (kind, "<keywords>")));
    for field in [
        "type", "a0", "a1", "a2", "a7", "name", "key", "exe", "SYSCALL", "uid", "acct", "msg",
        "host",
    ] {
        wanted.push((ViewKind::Record, field));
    }
    for path in [
        "PATH.name",
        "SYSCALL.key",
        "EXECVE.ARGV",
        "EXECVE.cmdline",
        "A.b.c",
        "SOCKADDR.SADDR.addr",
        "host",
    ] {
        wanted.push((ViewKind::Native, path));
    }
    Bench::new(Profile::laurel(), &wanted)
}

/// A line is refused, or everything of its event can be read; spans lie within texts, and what the
/// views hold does not depend on what was decoded before.
fn everything_can_be_read(bench: &mut Bench, line: &[u8]) {
    let shown = |bench: &mut Bench| {
        let fields = std::sync::Arc::clone(&bench.fields);
        bench.forget_processes();
        let event = bench.decode(line).ok()?;
        event.process();
        for argument in event.arguments() {
            event
                .node_path(argument.node)
                .expect("an argument stands somewhere");
        }
        for view in event.views() {
            event.node_path(view.node);
        }
        Some((super::show(&fields, &event), event.id(), event.flags()))
    };
    assert_eq!(
        shown(bench),
        shown(&mut self::bench()),
        "{}",
        String::from_utf8_lossy(line)
    );
}

/// Leaves of an event that normalisation changes nothing of, as `kind:bytes`, sorted; `None` if it does.
fn leaves(line: &str) -> Option<Vec<Vec<u8>>> {
    const CHANGED: [&str; 6] = [
        "\"msg\"",
        "\"saddr\"",
        "\"SADDR\":\"",
        "CONFIG_CHANGE",
        "\\u",
        "ffff:",
    ];
    if CHANGED.iter().any(|mark| line.contains(mark)) {
        return None;
    }
    let root: Json = serde_json::from_str(line.get(line.find('{')?..)?).ok()?;
    let mut found = vec![];
    for (name, member) in root.as_object()? {
        let is_record = name != "ID" && name != "NODE" && is_record_name(name);
        match member {
            Json::Object(record) if is_record => record_leaves(name, record, &mut found)?,
            Json::Array(records) if is_record => {
                for record in records.iter().filter_map(Json::as_object) {
                    record_leaves(name, record, &mut found)?;
                }
            }
            Json::String(_) if name == "ID" || name == "NODE" => leaf(member, &mut found),
            _ if name == "NODE" => return None,
            _ => {}
        }
    }
    let argv = &root["EXECVE"]["ARGV"];
    if let Some(argv) = argv.as_array() {
        if argv.iter().any(|argument| !argument.is_string()) {
            return None;
        }
        let arguments: Vec<_> = argv
            .iter()
            .map(|argument| percent_decoded(argument.as_str().unwrap()))
            .collect();
        found.push([b"Text:".to_vec(), arguments.join(&b' ')].concat());
    }
    found.sort();
    Some(found)
}

fn record_leaves(
    name: &str,
    record: &serde_json::Map<String, Json>,
    found: &mut Vec<Vec<u8>>,
) -> Option<()> {
    let names: BTreeSet<_> = record.keys().map(String::as_str).collect();
    let is_dropped =
        |upper: &&str| upper.ends_with("ID") && !names.contains(upper.to_lowercase().as_str());
    let changed = name == "SYSCALL" && !names.contains("SYSCALL")
        || names.iter().any(is_dropped)
        || names.contains("ARGV_STR")
        || names.iter().any(|name| name.starts_with("enriched_"));
    if changed {
        return None;
    }
    for (name, value) in record {
        match value {
            Json::String(key) if name == "key" => {
                let keys = percent_decoded(key);
                for key in keys.split(|byte| *byte == 1).filter(|key| !key.is_empty()) {
                    found.push([b"Text:", key].concat());
                }
            }
            _ => leaf(value, found),
        }
    }
    Some(())
}

fn leaf(value: &Json, found: &mut Vec<Vec<u8>>) {
    match value {
        Json::Null => {}
        Json::Bool(value) => found.push(format!("Bool:{value}").into_bytes()),
        Json::Number(value) => found.push(format!("Number:{value}").into_bytes()),
        Json::String(value) => found.push([b"Text:".to_vec(), percent_decoded(value)].concat()),
        Json::Array(values) => values.iter().for_each(|value| leaf(value, found)),
        Json::Object(values) => values.values().for_each(|value| leaf(value, found)),
    }
}

fn is_record_name(name: &str) -> bool {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let unknown = name
        .strip_prefix("UNKNOWN[")
        .and_then(|rest| rest.strip_suffix(']'));
    plain && name.starts_with(|c: char| c.is_ascii_uppercase())
        || unknown
            .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

/// The slow and obvious way.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = vec![];
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let code = (byte == b'%')
            .then(|| behind.get(..2))
            .flatten()
            .filter(|code| code.iter().all(u8::is_ascii_hexdigit))
            .and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        out.push(code.unwrap_or(byte));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    out
}

/// What the native view offers to keyword search.
fn keywords(bench: &mut Bench, line: &str) -> Option<Vec<Vec<u8>>> {
    let event = bench.decode(line.as_bytes()).ok()?;
    let view = event
        .views()
        .iter()
        .find(|view| view.kind == ViewKind::Native)?;
    let mut found: Vec<_> = event
        .values(view)
        .iter()
        .map(|value| {
            let bytes = event.bytes(value.span);
            let shown = match value.kind {
                // In the writing of the oracle.
                ValueKind::Number => serde_json::from_slice::<Json>(bytes)
                    .unwrap()
                    .to_string()
                    .into_bytes(),
                _ => bytes.to_vec(),
            };
            [format!("{:?}:", value.kind).into_bytes(), shown].concat()
        })
        .collect();
    found.sort();
    Some(found)
}

#[test]
fn every_leaf_of_recorded_events_is_found() {
    let mut bench = Bench::new(Profile::laurel(), &[(ViewKind::Native, "<keywords>")]);
    let (mut compared, mut all) = (0, 0);
    for line in fixtures().into_iter().chain(shared_lines()) {
        all += 1;
        if let Some(expected) = leaves(&line) {
            compared += 1;
            assert_eq!(
                keywords(&mut bench, &line).as_ref(),
                Some(&expected),
                "{line}"
            );
        }
    }
    assert!(
        compared * 10 > all * 8,
        "only {compared} of {all} lines were compared"
    );
}

#[test]
fn everything_of_recorded_events_can_be_read() {
    let mut bench = bench();
    for line in fixtures().iter().step_by(7) {
        everything_can_be_read(&mut bench, line.as_bytes());
    }
}

/// Lines with as many shapes as there are: recorded ones, and those written by hand for the scanner.
fn seeds() -> Vec<Vec<u8>> {
    let recorded = fixtures().into_iter().step_by(97).map(String::into_bytes);
    let written = harness::lines()
        .into_iter()
        .map(|line| line.as_bytes().to_vec());
    recorded.chain(written).collect()
}

/// One damage: bytes are overwritten, taken out, or put in.
fn any_damage() -> impl Strategy<Value = (prop::sample::Index, u8, Vec<u8>)> {
    let tokens = [
        "\"", "\\", "{}", "[]", "null", "%", "%0", "%01", "\\u0025", "0", ",", ":", "-", "\u{ff}",
        "'", "=",
    ];
    let piece = prop_oneof![
        prop::sample::select(tokens.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..3),
    ];
    (any::<prop::sample::Index>(), 0..8_u8, piece)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_damaged_line_is_refused_or_read_whole(
        seed in prop::sample::select(seeds()),
        damages in prop::collection::vec(any_damage(), 0..5),
    ) {
        let mut line = seed;
        for (at, out, piece) in damages {
            let from = at.index(line.len() + 1);
            let to = (from + usize::from(out)).min(line.len());
            line.splice(from..to, piece);
        }
        everything_can_be_read(&mut bench(), &line);
    }

    /// Several lines, which teach the fast path.
    #[test]
    fn damaged_lines_are_read_alike_by_every_path(
        picks in prop::collection::vec(
            (prop::sample::select(seeds()), prop::collection::vec(any_damage(), 0..3)),
            1..6,
        ),
    ) {
        let mut lines = Vec::new();
        for (mut line, damages) in picks {
            for (at, out, piece) in damages {
                let from = at.index(line.len() + 1);
                let to = (from + usize::from(out)).min(line.len());
                line.splice(from..to, piece);
            }
            lines.push(line);
        }
        harness::line(&lines.join(&b'\n'));
    }

    #[test]
    fn any_bytes_are_refused_or_read_whole(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        everything_can_be_read(&mut bench(), &bytes);
        harness::line(&bytes);
    }
}

/// All but a few recorded lines take the fast path, and it reads what the scanner reads.
#[test]
fn recorded_lines_take_the_fast_path() {
    let lines: Vec<_> = fixtures().into_iter().chain(shared_lines()).collect();
    let mut anchored = Anchored::default();
    let fast = lines
        .iter()
        .filter(|line| fast_path_agrees(&mut anchored, line.as_bytes()))
        .count();
    assert!(fast * 1000 > lines.len() * 995, "{fast} of {}", lines.len());
}

/// Members out of turn are few, or the line is the scanner's: no line makes the fast path quadratic.
#[test]
fn a_wide_object_out_of_turn_is_read_in_linear_time() {
    let mut anchored = Anchored::default();
    let pairs = |count: usize| r#""a":1,"b":2,"#.repeat(count);
    let line = |count: usize| format!(r#"{{"X":{{{}"c":3}}}}"#, pairs(count));
    assert!(fast_path_agrees(&mut anchored, line(1).as_bytes()));
    assert!(fast_path_agrees(&mut anchored, line(20).as_bytes()));
    assert!(!fast_path_agrees(&mut anchored, line(80_000).as_bytes()));
}

/// The event with its members, and those of its records, in another order, some left out, some twice.
fn rearranged(line: &[u8], choices: &[prop::sample::Index]) -> Option<Vec<u8>> {
    let root: serde_json::Map<String, Json> = serde_json::from_slice(line).ok()?;
    let mut choices = choices.iter().cycle();
    let mut rearrange = |members: Vec<String>| {
        let mut members = members;
        for _ in 0..2 {
            if let (Some(choice), false) = (choices.next(), members.is_empty()) {
                let at = choice.index(members.len());
                match choice.index(5) {
                    0 => drop(members.remove(at)),
                    1 => members.rotate_left(at),
                    2 => members.swap(0, at),
                    3 => members.push(members[at].clone()),
                    _ => {}
                }
            }
        }
        format!("{{{}}}", members.join(","))
    };
    let pair = |name: &str, value: String| format!("{}:{value}", Json::from(name));
    let records = root.iter().map(|(name, value)| match value {
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| pair(name, value.to_string()));
            pair(name, rearrange(members.collect()))
        }
        other => pair(name, other.to_string()),
    });
    let records = records.collect();
    Some(rearrange(records).into_bytes())
}

/// The fast path after enough lines of each seed to have learned which values stay.
static PRIMED: LazyLock<Anchored> = LazyLock::new(|| {
    let mut anchored = Anchored::default();
    for _ in 0..24 {
        for seed in seeds() {
            fast_path_agrees(&mut anchored, &seed);
        }
    }
    anchored
});

proptest! {
    #![proptest_config(ProptestConfig {
        // `PROPTEST_CASES` may ask for more.
        cases: ProptestConfig::default().cases.max(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What was learned from some lines never makes others read differently.
    #[test]
    fn the_fast_path_reads_what_the_scanner_reads(
        is_primed in any::<bool>(),
        picks in prop::collection::vec(
            (
                prop::sample::select(seeds()),
                prop::collection::vec(any::<prop::sample::Index>(), 0..6),
                prop::collection::vec(any_damage(), 0..2),
            ),
            1..24,
        ),
    ) {
        let mut anchored = if is_primed { PRIMED.clone() } else { Anchored::default() };
        for (seed, choices, damages) in &picks {
            let mut line = seed.clone();
            if !choices.is_empty() && let Some(text) = rearranged(&line, choices) {
                line = text;
            }
            for (at, out, piece) in damages {
                let from = at.index(line.len() + 1);
                let to = (from + usize::from(*out)).min(line.len());
                line.splice(from..to, piece.clone());
            }
            // Twice, since the second time it is known.
            for text in [&line, seed, &line] {
                fast_path_agrees(&mut anchored, text);
            }
        }
    }
}

/// Rules that read little, so that the fast path leaves out much.
const FEW: [&[(ViewKind, &str)]; 4] = [
    &[
        (ViewKind::ProcessCreation, "CommandLine"),
        (ViewKind::FileEvent, "TargetFilename"),
    ],
    &[
        (ViewKind::Record, "type"),
        (ViewKind::Record, "a0"),
        (ViewKind::Record, "name"),
        (ViewKind::Record, "ouid"),
    ],
    &[
        (ViewKind::Native, "PATH.mode"),
        (ViewKind::Native, "SYSCALL.items"),
        (ViewKind::Native, "SYSCALL.PID.EVENT_ID"),
    ],
    &[
        (ViewKind::Record, "<keywords>"),
        (ViewKind::ProcessCreation, "<keywords>"),
    ],
];

fn readings_of(bench: &mut Bench, line: &[u8]) -> Option<String> {
    reading(&mut bench.decoder, &mut bench.cache, line)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The fast path leaves out what nobody reads, and nothing else: hosts of any configuration, in any mixture.
    #[test]
    fn what_the_fast_path_leaves_out_is_read_by_nobody(
        wanted in prop::sample::select(FEW.to_vec()),
        picks in prop::collection::vec(
            (
                prop::sample::select(seeds()),
                prop::collection::vec(any::<prop::sample::Index>(), 0..4),
                any::<bool>(),
            ),
            1..16,
        ),
    ) {
        let mut fast = Bench::new(Profile::laurel(), wanted);
        let mut slow = Bench::new(Profile::laurel(), wanted);
        slow.decoder = slow.decoder.with_fast_path(false);
        for (seed, choices, is_prefixed) in &picks {
            let mut line = seed.clone();
            if !choices.is_empty() && let Some(text) = rearranged(&line, choices) {
                line = text;
            }
            if *is_prefixed {
                let text = String::from_utf8_lossy(&line).into_owned();
                let names = ["UID", "AUID", "OUID", "GID", "OGID", "PID"];
                let prefixed = names.iter().fold(text, |text, name| {
                    text.replace(&format!("\"{name}\":"), &format!("\"enr_{}\":", name.to_lowercase()))
                });
                line = prefixed.into_bytes();
            }
            for text in [&line, seed, &line] {
                let (fast, slow) = (readings_of(&mut fast, text), readings_of(&mut slow, text));
                prop_assert_eq!(fast, slow, "{}", String::from_utf8_lossy(text));
            }
        }
    }
}
