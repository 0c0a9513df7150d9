//! The detector against [`Reference`], on generated rules and lines: what a plan does not extract, no rule of it
//! needs, and the fast path reads what the scanner reads.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use event::{Origin, ProcessCache, Profile};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;
use sigma::Rule;

use super::{KINDS, Pool, pool, rules, text};
use crate::plan::{Compiled, Options, Plan};
use crate::{Detector, Line, Reference, Source};

/// Lines that each generated ruleset is compared on.
const LINES: usize = 8;

/// The lines come so often to one detector: it learns from those before, and what it expects from some is not what
/// comes then.
const TIMES: usize = 12;

/// Text as Laurel writes it: control characters, `%` and bytes that are no UTF-8 as `%xx`.
fn coded(text: &[u8]) -> String {
    let mut out = String::new();
    for chunk in text.utf8_chunks() {
        for point in chunk.valid().chars() {
            if point.is_ascii_control() || point == '%' {
                write!(out, "%{:02x}", u32::from(point)).unwrap();
            } else {
                out.push(point);
            }
        }
        for byte in chunk.invalid() {
            write!(out, "%{byte:02x}").unwrap();
        }
    }
    out
}

/// A line with some of the records SYSCALL, EXECVE, PATH, and one of another type.
pub(crate) fn line(pool: &Pool) -> impl Strategy<Value = String> + use<> {
    let text = || text(pool).prop_map(|text| coded(&text));
    let number = || prop::sample::select(&[0, 1, 3, 1000][..]);
    let syscall = (text(), text(), number(), number()).prop_map(|(exe, key, pid, uid)| {
        json!({
            "arch": "0xc000003e", "syscall": 59, "success": "yes", "exit": 0, "items": 2, "ppid": 1, "pid": pid,
            "auid": 1000, "uid": uid, "gid": 0, "euid": 0, "comm": "sh", "exe": exe, "key": key, "ARCH": "x86_64",
            "SYSCALL": "execve", "UID": "root", "ARGV": ["0xab", "0x1", "0x0", "0x3"],
        })
    });
    let execve = prop::collection::vec(text(), 1..4)
        .prop_map(|argv| json!({ "argc": argv.len(), "ARGV": argv }));
    let nametype = prop::sample::select(&["NORMAL", "CREATE", "DELETE"][..]);
    let path = (text(), nametype).prop_map(|(name, nametype)| {
        json!({
            "item": 0, "name": name, "inode": 11, "dev": "08:01", "mode": "0o100755", "ouid": 0, "ogid": 0,
            "rdev": "00:00", "nametype": nametype, "cap_fp": "0x0", "cap_fi": "0x0", "OUID": "root",
        })
    });
    let paths = prop::collection::vec(path, 0..3).prop_map(|paths| json!(paths));
    let name = prop::sample::select(&["USER_CMD", "CWD", "TTY", "MMAP"][..]);
    let other = (name, text(), text())
        .prop_map(|(name, a0, key)| (name, json!({ "pid": 1, "a0": a0, "key": key })));
    let records = (
        prop::option::of(syscall),
        prop::option::of(execve),
        prop::option::of(paths),
        prop::option::of(other),
    );
    records.prop_map(|(syscall, execve, paths, other)| {
        // In Laurel's order, which a map of JSON would not keep.
        let mut line = r#"{"ID":"1700000000.123:1""#.to_owned();
        let records = [("SYSCALL", syscall), ("EXECVE", execve), ("PATH", paths)].into_iter();
        let records = records.filter_map(|(name, record)| Some((name, record?)));
        for (name, record) in records.chain(other) {
            write!(line, r#","{name}":{record}"#).unwrap();
        }
        line + "}"
    })
}

fn rules_and_lines() -> impl Strategy<Value = (Vec<Rule>, Vec<String>)> {
    (prop::sample::select(&KINDS[..]), pool()).prop_flat_map(|((kind, fields), pool)| {
        let lines = prop::collection::vec(line(&pool), LINES);
        (rules(kind, fields, &pool), lines)
    })
}

/// By line, the keys of the rules that `run` finds there. No host and no scope: the process cache stays out of it.
fn found(
    lines: &[String],
    mut run: impl FnMut(&Line<'_>, &mut ProcessCache) -> BTreeSet<String>,
) -> Vec<BTreeSet<String>> {
    let mut cache = ProcessCache::new(1 << 16, 1000);
    let line = |text: &String| {
        let line = Line {
            bytes: text.as_bytes(),
            origin: Origin::default(),
            source: Source::File { file: "-", line: 1 },
        };
        run(&line, &mut cache)
    };
    lines.iter().map(line).collect()
}

fn meant(rules: &[Rule], lines: &[String]) -> Vec<BTreeSet<String>> {
    let mut reference = Reference::new(rules.to_vec(), Arc::new(Profile::laurel()));
    found(lines, |line, cache| {
        let keys = reference.run(line, cache).expect("an event");
        keys.into_iter().map(str::to_owned).collect()
    })
}

fn detected(plan: Plan, lines: &[String]) -> Vec<BTreeSet<String>> {
    let mut detector = Detector::new(Arc::new(plan), Arc::new(Profile::laurel()));
    found(lines, |line, cache| {
        let rules = detector.matching(line, cache).expect("an event");
        let plan = detector.plan();
        let keys = rules
            .iter()
            .map(|rule| plan.rule(*rule).attributes.key().to_owned());
        keys.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// With every optimisation on and off the detector finds in a line what the reference finds in it.
    #[test]
    fn a_line_is_read_and_judged_as_the_reference_does((rules, lines) in rules_and_lines()) {
        agree(&rules, &lines);
    }
}

/// What a detector finds in these lines, with every optimisation on and off, is what the reference finds.
pub(crate) fn agree(rules: &[Rule], lines: &[String]) {
    let expected = meant(rules, lines);
    let often: Vec<String> = lines
        .iter()
        .cycle()
        .take(lines.len() * TIMES)
        .cloned()
        .collect();
    for options in Options::variants() {
        let Compiled {
            plan, not_running, ..
        } = Plan::compile_with(rules.to_vec(), options);
        let stopped = not_running.iter();
        let stopped: BTreeSet<&str> = stopped.map(|rule| rule.rule.attributes.key()).collect();
        for (at, found) in detected(plan, &often).iter().enumerate() {
            let (expected, line) = (&expected[at % lines.len()], &often[at]);
            let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
            let running: BTreeSet<&str> = &expected - &stopped;
            assert!(
                found.iter().eq(&running),
                "{options:?} {at} {line}: {found:?} {running:?}"
            );
        }
    }
}

/// The generator is worth its time: a good part of what it makes matches.
#[test]
fn generated_rules_match_lines_often_enough() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut all, mut found) = (0, 0);
    for _ in 0..100 {
        let (rules, lines) = rules_and_lines().new_tree(&mut runner).unwrap().current();
        all += rules.len() * lines.len();
        found += meant(&rules, &lines)
            .iter()
            .map(BTreeSet::len)
            .sum::<usize>();
    }
    assert!(found * 8 > all && found * 8 < all * 7, "{found} of {all}");
}
