//! Recorded events: the counts that the format description gives of them, and that one input gives
//! the same views whatever version and configuration of Laurel wrote it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Bench;
use crate::{Profile, ViewKind};

/// A folder of recorded data, if this machine has it.
fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    #[expect(clippy::disallowed_methods, reason = "tests may look where data lies")]
    let folder = std::env::var("PYTHIA_SHARED").map_or_else(|_| beside(), PathBuf::from);
    let folder = folder.join("data/laurel");
    if !folder.is_dir() {
        eprintln!("skipped: no recorded data in {}", folder.display());
    }
    folder.is_dir().then_some(folder)
}

#[expect(clippy::disallowed_methods, reason = "tests may read files")]
fn lines(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::Decoder::new(&*bytes)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text.lines().map(str::to_owned).collect()
}

/// Views by kind, and how often each field of process creation had a value.
fn census(lines: &[String]) -> (BTreeMap<ViewKind, usize>, BTreeMap<String, usize>) {
    let mut wanted: Vec<_> = super::MAPPED
        .into_iter()
        .flat_map(|field| ViewKind::ALL.map(|kind| (kind, field)))
        .filter(|(kind, _)| *kind < ViewKind::Record)
        .collect();
    wanted.push((ViewKind::Record, "<view>"));
    let mut bench = Bench::new(Profile::laurel(), &wanted);
    let fields = std::sync::Arc::clone(&bench.fields);
    let (mut views, mut filled) = (BTreeMap::new(), BTreeMap::new());
    for line in lines {
        let event = bench
            .decode(line.as_bytes())
            .unwrap_or_else(|fault| panic!("{fault:?}: {line}"));
        for view in event.views() {
            *views.entry(view.kind).or_default() += 1;
            if view.kind != ViewKind::ProcessCreation {
                continue;
            }
            let mut names: Vec<_> = event.values(view).iter().map(|value| value.slot).collect();
            names.sort_unstable();
            names.dedup();
            for slot in names {
                *filled
                    .entry(fields.name(view.kind, slot).to_owned())
                    .or_default() += 1;
            }
        }
    }
    let counts = bench.counts();
    filled.insert(
        "(parent missing)".into(),
        usize::try_from(counts.parent_missing).unwrap(),
    );
    (views, filled)
}

#[test]
fn live_a_gives_the_reference_counts() {
    let Some(folder) = shared() else { return };
    let lines = lines(&folder.join("live-a.jsonl.zst"));
    let (views, filled) = census(&lines);
    let expected = [
        (ViewKind::ProcessCreation, 5_229),
        (ViewKind::FileEvent, 2_581),
        (ViewKind::FileDelete, 2_393),
        (ViewKind::FileRename, 2_564),
        (ViewKind::NetworkConnection, 20),
        (ViewKind::Record, 100_886),
    ];
    assert_eq!(views, BTreeMap::from(expected));
    assert_eq!(filled["ParentCommandLine"], 5_187);
    assert_eq!(filled["(parent missing)"], 5_229 - 5_187);
    let coded = lines.iter().filter(|line| has_code(line)).count();
    assert_eq!(coded, 2_635);
}

fn has_code(line: &str) -> bool {
    line.match_indices('%').any(|(at, _)| {
        line.as_bytes()[at + 1..]
            .first_chunk::<2>()
            .is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    })
}

#[test]
fn executables_are_invoked_by_other_names_as_often_as_the_reference_says() {
    let Some(folder) = shared() else { return };
    let mut bench = Bench::new(Profile::laurel(), &[(ViewKind::ProcessCreation, "Image")]);
    let mut unlike = 0;
    for line in lines(&folder.join("live-a.jsonl.zst")) {
        let event = bench.decode(line.as_bytes()).unwrap();
        for view in event.views() {
            let base = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
            let value_of = |wanted: &str| {
                let mut values = event.values(view).iter();
                let value = values.find(|value| event.path(value) == wanted)?;
                base(event.bytes(value.span))
            };
            let (exe, invoked) = (value_of("SYSCALL.exe"), value_of("PATH[0].name"));
            unlike += usize::from(invoked.is_some() && exe != invoked);
        }
    }
    assert_eq!(unlike, 680);
}

#[test]
fn live_c_gives_the_reference_counts() {
    let Some(folder) = shared() else { return };
    let (views, _) = census(&lines(&folder.join("live-c-container.jsonl.zst")));
    assert_eq!(
        (
            views[&ViewKind::ProcessCreation],
            views[&ViewKind::NetworkConnection]
        ),
        (153, 27)
    );
}

#[test]
fn every_third_party_line_is_an_event() {
    let Some(folder) = shared() else { return };
    let mut wanted: Vec<_> = ViewKind::ALL
        .into_iter()
        .map(|kind| (kind, "<keywords>"))
        .collect();
    wanted.extend(
        ["PATH.name", "EXECVE.ARGV", "EXECVE.cmdline"].map(|path| (ViewKind::Native, path)),
    );
    wanted.extend(["name", "key", "a0", "exe", "type"].map(|name| (ViewKind::Record, name)));
    #[expect(clippy::disallowed_methods, reason = "tests may read folders")]
    let files = std::fs::read_dir(folder.join("third-party")).unwrap();
    for file in files {
        let mut bench = Bench::new(Profile::laurel(), &wanted);
        for line in lines(&file.unwrap().path()) {
            let event = bench
                .decode(line.as_bytes())
                .unwrap_or_else(|fault| panic!("{fault:?}: {line}"));
            for view in event.views() {
                for value in event.values(view) {
                    event.bytes(value.span);
                    event.path(value);
                }
            }
            event.process();
            event.arguments();
        }
    }
}

/// The repository's own copy of the same input through versions and configurations of Laurel.
fn fixture(name: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    lines(&folder.join(format!("{name}.jsonl.zst")))
}

/// Every recorded event of the repository.
pub(super) fn fixtures() -> Vec<String> {
    let names = [
        "fleet",
        "container",
        "versions/laurel-0.5.6",
        "versions/laurel-0.6.5",
        "versions/laurel-0.7.3",
        "configs/base",
        "configs/alt",
        "configs/prefix",
    ];
    names.into_iter().flat_map(fixture).collect()
}

/// Every recorded event that lies beside the repository.
pub(super) fn shared_lines() -> Vec<String> {
    shared().map_or_else(Vec::new, |folder| lines(&folder.join("live-a.jsonl.zst")))
}

/// What views say of each event, without the places that values came from, by event id.
fn readings(lines: &[String]) -> Vec<(String, Vec<String>)> {
    let mut wanted: Vec<_> = super::MAPPED
        .into_iter()
        .flat_map(|field| ViewKind::ALL[..5].iter().map(move |kind| (*kind, field)))
        .collect();
    wanted.extend(RECORD_FIELDS.map(|field| (ViewKind::Record, field)));
    wanted.extend(NATIVE_FIELDS.map(|field| (ViewKind::Native, field)));
    let mut bench = Bench::new(Profile::laurel(), &wanted);
    lines
        .iter()
        .map(|line| {
            let shown = bench.show(line);
            let id = line.split('"').nth(3).unwrap().to_owned();
            let mut kind = String::new();
            let mut views: Vec<String> = vec![];
            for line in shown.lines() {
                if let Some(field) = line.strip_prefix("  ") {
                    let place = without_places(field);
                    views.push(format!("{kind} {place}"));
                } else {
                    line.clone_into(&mut kind);
                }
            }
            (id, views)
        })
        .collect()
}

/// Takes `<SYSCALL.exe>` off each value.
fn without_places(field: &str) -> String {
    let values = field
        .split(" | ")
        .map(|value| value.rsplit_once(" <").map_or(value, |(value, _)| value));
    values.collect::<Vec<_>>().join(" | ")
}

const RECORD_FIELDS: [&str; 22] = [
    "type", "a0", "a1", "a2", "a3", "a4", "name", "nametype", "exe", "comm", "key", "SYSCALL",
    "uid", "euid", "auid", "tty", "success", "cwd", "ouid", "unit", "acct", "res",
];
const NATIVE_FIELDS: [&str; 24] = [
    "SYSCALL.exe",
    "SYSCALL.comm",
    "SYSCALL.key",
    "SYSCALL.SYSCALL",
    "SYSCALL.ARCH",
    "SYSCALL.UID",
    "SYSCALL.AUID",
    "SYSCALL.uid",
    "SYSCALL.LABELS",
    "SYSCALL.PID.EVENT_ID",
    "EXECVE.ARGV",
    "EXECVE.cmdline",
    "PATH.name",
    "PATH.nametype",
    "PATH.OUID",
    "SOCKADDR.SADDR.addr",
    "SOCKADDR.SADDR.port",
    "SOCKADDR.SADDR.saddr_fam",
    "SYSCALL.SPAWNED_BY.exe",
    "SYSCALL.PPID.exe",
    "SYSCALL.PPID.EVENT_ID",
    "SYSCALL.UID_GROUPS",
    "BPF.prog-id",
    "SOCKADDR.saddr",
];

/// Differences between two readings as `field: how often`.
fn differences(
    a: &[(String, Vec<String>)],
    b: &[(String, Vec<String>)],
) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    assert_eq!(a.len(), b.len());
    for ((id, a), (other, b)) in a.iter().zip(b) {
        assert_eq!(id, other);
        let name = |line: &String| line.split(": ").next().unwrap().to_owned();
        let only = |of: &[String], than: &[String]| {
            of.iter()
                .filter(|line| !than.contains(line))
                .map(name)
                .collect::<std::collections::BTreeSet<_>>()
        };
        for field in only(a, b).union(&only(b, a)) {
            *found.entry(field.clone()).or_default() += 1;
        }
    }
    found
}

/// The differences of each variant from `reference`, which must be just those of the table.
fn check_variants(reference: &str, variants: &[(&str, &[(&str, usize)])]) {
    let reference = readings(&fixture(reference));
    for (variant, expected) in variants {
        let found = differences(&reference, &readings(&fixture(variant)));
        let expected = expected
            .iter()
            .map(|(field, count)| ((*field).to_owned(), *count));
        assert_eq!(found, expected.collect(), "{variant}");
    }
}

#[test]
fn four_versions_give_the_same_views() {
    // Until 0.8.0 the parent's program stands in PPID, later in SPAWNED_BY: views read both, native
    // paths are Laurel's own.
    const PARENT: &[(&str, usize)] = &[
        ("Native SYSCALL.PPID.exe#1", 9),
        ("Native SYSCALL.SPAWNED_BY.exe#1", 9),
    ];
    const OLDEST: &[(&str, usize)] = &[
        // For one input 0.5.6 may name another event as the first one of a process.
        ("Native SYSCALL.PID.EVENT_ID#1", 249),
        ("Native SYSCALL.PPID.EVENT_ID#1", 249),
        ("ProcessCreation ParentProcessGuid", 9),
        // As above; 0.5.6 also tells the parent's program in events other than execs.
        ("Native SYSCALL.PPID.exe#1", 249),
        ("Native SYSCALL.SPAWNED_BY.exe#1", 9),
        // New in 0.6.0.
        ("Native SYSCALL.UID_GROUPS#1", 230),
    ];
    check_variants(
        "versions/laurel-0.8.2",
        &[
            ("versions/laurel-0.5.6", OLDEST),
            // 400 events with equal names: the last one is right.
            ("versions/laurel-0.6.5", PARENT),
            ("versions/laurel-0.7.3", PARENT),
        ],
    );
}

#[test]
fn four_configurations_give_the_same_views() {
    // `ppid-verbose` adds the parent's program to PPID. Ids were translated on another machine than
    // the one recorded, which does not know 33: `unknown(33)` in place of `www-data`.
    const ELSEWHERE: &[(&str, usize)] = &[
        ("Native SYSCALL.PPID.exe#1", 217),
        ("Native SYSCALL.UID#1", 273),
        ("NetworkConnection User", 13),
        ("ProcessCreation User", 82),
    ];
    // Without `universal` the raw address stays beside its text form.
    const RAW: &[(&str, usize)] = &[("Native SOCKADDR.saddr#2", 111)];
    check_variants(
        "configs/prod",
        &[
            ("configs/base", RAW),
            // ARGV_STR beside ARGV, and no raw ids: numbers come back from `unknown(33)`.
            ("configs/alt", ELSEWHERE),
            ("configs/prefix", ELSEWHERE),
        ],
    );
}
