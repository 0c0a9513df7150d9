//! Rules that change while lines flow, members come and go, and dead letters are replayed: from a volume as
//! Kubernetes mounts it, and on SIGHUP.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::producer::Producer as _;
use serde_json::Value;

use super::assert_adds_up;
use super::fleet::{self, Pythia, Sent, Setting, Told};
use super::harness::Broker;

/// The flow ends by itself behind so many lines.
const LINES_MAX: usize = 1_000_000;

/// Lines are sent so many at a time: enough that a swap mostly finds a worker in the middle of a batch.
const PIECE: usize = 5_000;
const PIECE_EVERY: Duration = Duration::from_millis(200);

/// One line in so many is a marker; rules match nothing else, and some only some of them.
const MARKED: usize = 20;

/// One line in so many is a marker that is too long for the second instance.
const LONG: usize = 500;

/// One line in so many is cut off, and no event for anyone.
const CUT: usize = 5_000;

const HOSTS: usize = 16;

/// The file in the volume.
const FILE: &str = "rules.yml";

/// The first line of each host starts the process that is the parent of all others there.
fn line(n: usize) -> Sent {
    let parent = r#"{"ID":"1700000000.100:1","SYSCALL":{"PID":{"EVENT_ID":"1700000000.100:1","comm":"sh","exe":"/bin/sh"}},"EXECVE":{"argc":2,"ARGV":["sh","/opt/job"]}}"#;
    if n < HOSTS {
        let host = format!("web-{n:02}");
        let line = parent.into();
        return Sent { host, line };
    }
    let arguments = if n.is_multiple_of(LONG) {
        format!(r#""marker","{n}","{}""#, "x".repeat(1024))
    } else if n.is_multiple_of(MARKED) {
        format!(r#""marker","{n}""#)
    } else {
        format!(r#""other","{n}""#)
    };
    let mut line = format!(
        r#"{{"ID":"1700000001.000:{n}","SYSCALL":{{"PPID":{{"EVENT_ID":"1700000000.100:1","comm":"sh","exe":"/bin/sh"}}}},"EXECVE":{{"argc":2,"ARGV":[{arguments}]}}}}"#
    );
    if is_cut(n) {
        line.truncate(line.len() - 2);
    }
    Sent {
        host: format!("web-{:02}", n / MARKED % HOSTS),
        line: line.into_bytes(),
    }
}

fn is_cut(n: usize) -> bool {
    n % CUT == CUT - 1
}

fn is_marker(line: &[u8]) -> bool {
    line.windows(6).any(|word| word == b"marker")
}

fn is_long(line: &[u8]) -> bool {
    line.len() > 1024
}

/// Lines that are sent until it is told to stop.
struct Flow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Flow {
    fn start(broker: &Broker, topic: &str) -> Self {
        let (topic, producer) = (topic.to_owned(), fleet::producer(broker));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while sent < LINES_MAX && !stopped.load(Ordering::Relaxed) {
                for n in sent..sent + PIECE {
                    fleet::send(&producer, &topic, &line(n));
                }
                producer
                    .flush(Duration::from_secs(30))
                    .expect("all lines are delivered");
                sent += PIECE;
                thread::sleep(PIECE_EVERY);
            }
            sent
        });
        Self { stop, thread }
    }

    /// How many lines were sent.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("all lines were sent")
    }
}

/// The rules of one version. Versions differ in ids, in their number and in what they read and match: under some
/// a marker has no alert. The parent's command line is known from the process cache alone.
fn version(number: usize) -> Vec<String> {
    let bodies = [
        "logsource: {product: linux, category: process_creation}
detection: {s: {CommandLine|startswith: 'marker ', ParentCommandLine|endswith: '/opt/job'}, condition: s}",
        "logsource: {product: linux, service: laurel}
detection: {s: {EXECVE.ARGV: marker}, condition: s}",
        "logsource: {product: linux, category: process_creation}
detection: {s: {ParentImage|endswith: /sh, CommandLine|re: '^marker [0-9]*[048]0$'}, condition: s}",
        "logsource: {product: linux, service: auditd}
detection: {s: {type: EXECVE, a0: marker, a1|endswith: '00'}, condition: s}",
    ];
    let bodies = bodies.iter().cycle().skip(number).take(2 + number % 2);
    let rule = |(n, body): (usize, &&str)| {
        format!("title: Rule {number} {n}\nid: reload-{number}-{n}\nlevel: low\n{body}\n")
    };
    bodies.enumerate().map(rule).collect()
}

/// A volume of rules as the kubelet fills it: the file is a link into `..data`, which is a link to the
/// version and is swapped by a rename.
struct Volume(PathBuf);

impl Volume {
    fn new(folder: PathBuf, rules: &[String]) -> Self {
        fs::create_dir(&folder).expect("a folder");
        symlink(Path::new("..data").join(FILE), folder.join(FILE)).expect("a link");
        let volume = Self(folder);
        volume.swap(0, rules);
        volume
    }

    fn swap(&self, number: usize, rules: &[String]) {
        let version = format!("..version_{number}");
        fs::create_dir(self.0.join(&version)).expect("a folder");
        fs::write(self.0.join(&version).join(FILE), rules.join("---\n")).expect("a file");
        let link = self.0.join("..data_tmp");
        symlink(version, &link).expect("a link");
        fs::rename(link, self.0.join("..data")).expect("renamed");
    }

    /// Writes over the file that lies there.
    fn write_over(&self, rules: &[String]) {
        fs::write(self.0.join(FILE), rules.join("---\n")).expect("a file");
    }
}

/// The hash of what lies there now, as `check` tells it.
fn check(rules: &Path) -> String {
    let mut command = fleet::pythia();
    command.args(["check", "--output", "json"]).arg(rules);
    let output = command.output().expect("pythia starts");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    told["ruleset"].as_str().expect("a hash").to_owned()
}

fn wait_for(pythia: &mut Pythia, what: &str, reached: impl Fn(&Pythia) -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !reached(pythia) {
        pythia.assert_running();
        assert!(Instant::now() < deadline, "{what}: still not");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until lines are evaluated under this ruleset.
fn wait_until_used(pythia: &mut Pythia, hash: &str) {
    wait_for(pythia, &format!("ruleset {hash} in use"), |pythia| {
        let said = pythia.said("evaluated_under");
        said.iter().any(|said| said["ruleset"] == hash)
    });
}

fn reloads(pythia: &Pythia, result: &str) -> Option<f64> {
    let series = format!("pythia_ruleset_reloads_total{{result=\"{result}\"}}");
    pythia.metric(&series)
}

#[test]
fn reloads_a_rebalance_and_a_replay_under_flow_lose_double_and_mix_nothing() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "reload");
    let volume = Volume::new(setting.folder.path().join("volume"), &version(0));
    setting.rules.clone_from(&volume.0);
    // Rulesets that are to be in use once, by hash: a copy of each.
    let mut versions = BTreeMap::new();
    // What lies there now is one of them: its hash.
    let mut keep = |setting: &Setting| {
        let hash = check(&setting.rules);
        let folder = setting.folder.path().join(&hash);
        fs::create_dir(&folder).expect("a folder");
        fs::copy(setting.rules.join(FILE), folder.join(FILE)).expect("a copy");
        versions.insert(hash.clone(), folder);
        hash
    };
    let first_hash = keep(&setting);

    // The second instance loads rules on SIGHUP alone, and refuses long lines.
    let small = "[engine]\nthreads = 1\nbatch_bytes = \"128KiB\"\n";
    let by_looks = format!("{small}[rules]\nreload_interval = \"200ms\"\n");
    let by_signal =
        format!("{small}[rules]\nreload_interval = \"0s\"\n[limits]\nline_bytes = \"1KiB\"\n");
    let flow = Flow::start(broker, &setting.input);
    let mut one = setting.start("one", &by_looks);
    wait_until_used(&mut one, &first_hash);

    // 1: a swap.
    volume.swap(1, &version(1));
    let hash = keep(&setting);
    wait_until_used(&mut one, &hash);
    // 2: a swap to a file with a broken rule, which stops no other.
    let mut rules = version(2);
    rules.push("title: Broken\nid: reload-2-x\nlogsource: {product: linux\n".to_owned());
    volume.swap(2, &rules);
    let hash = keep(&setting);
    wait_until_used(&mut one, &hash);
    assert_eq!(one.metric(r#"pythia_rules{state="failed"}"#), Some(1.0));
    assert_eq!(one.said("rule_failed").len(), 1);
    // 3: nothing but broken rules: those in use stay.
    volume.swap(3, &["title: [\n".to_owned()]);
    wait_for(&mut one, "a failed reload", |one| {
        reloads(one, "failed") > Some(0.0)
    });
    let failed = one.said("reload_failed");
    assert_eq!(
        (failed.len(), &failed[0]["in_use"]),
        (1, &Value::from(hash))
    );

    // 4: a swap to good ones; the second instance starts with them.
    volume.swap(4, &version(4));
    let hash = keep(&setting);
    let mut two = setting.start("two", &by_signal);
    wait_until_used(&mut one, &hash);
    wait_until_used(&mut two, &hash);
    // 5: written over, and SIGHUP.
    volume.write_over(&version(5));
    two.signal("-HUP");
    let hash = keep(&setting);
    wait_until_used(&mut one, &hash);
    wait_until_used(&mut two, &hash);
    // 6: SIGHUP, and nothing has changed.
    let unchanged = reloads(&one, "unchanged");
    one.signal("-HUP");
    wait_for(&mut one, "SIGHUP is answered", |one| {
        reloads(one, "unchanged") > unchanged
    });
    // 7: a swap that only the first instance sees, before the second leaves.
    volume.swap(7, &version(7));
    let hash = keep(&setting);
    wait_until_used(&mut one, &hash);
    assert_eq!(reloads(&two, "ok"), Some(1.0), "no interval, no look");
    // While dead letters come back, some of them to the second instance, it leaves.
    let mut replay = setting.command(&["dlq", "replay", "--rate", "15", "--output", "json"], "");
    let replay = replay.stdout(Stdio::piped()).stderr(Stdio::piped());
    let replay = replay.spawn().expect("pythia starts");
    wait_for(
        &mut two,
        "a letter that was replayed and refused again",
        |_| {
            let letters = fleet::read_all(broker, &setting.dead_letters);
            let mut attempts = letters
                .iter()
                .map(|letter| &letter.headers["pythia.error.attempt"]);
            attempts.any(|attempt| attempt == "2")
        },
    );
    let mut summary = two.end();
    // 8: the folder is gone for a while.
    let away = setting.folder.path().join("away");
    fs::rename(&volume.0, &away).expect("renamed");
    one.signal("-HUP");
    wait_for(&mut one, "a failed reload", |one| {
        one.said("reload_failed").len() > 1
    });
    fs::rename(&away, &volume.0).expect("renamed");
    // 9, 10: swaps.
    for number in [9, 10] {
        volume.swap(number, &version(number));
        let hash = keep(&setting);
        wait_until_used(&mut one, &hash);
    }
    // What was refused while the replay went on comes back too: nobody is left whom it is too long for.
    let replayed = told_by(&replay.wait_with_output().expect("pythia ends"));
    let next = replayed["next"].as_str().expect("a text");
    let rest = ["dlq", "replay", "--reason", "oversize", "--from", next];
    let mut rest = setting.command(&rest, "");
    let rest = rest.args(["--output", "json"]).output();
    let rest = told_by(&rest.expect("pythia runs"));
    let last_hash = check(&setting.rules);
    let lines = flow.stop();
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let (_, metrics) = one.page("/metrics");
    let info: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("pythia_ruleset_info"))
        .collect();
    assert_eq!(
        info,
        [format!("pythia_ruleset_info{{hash=\"{last_hash}\"}} 1")]
    );
    assert!(
        metrics.contains("pythia_ruleset_last_reload_successful 1\n"),
        "{metrics}"
    );
    // One more that the end comes upon.
    volume.swap(11, &version(11));
    one.signal("-HUP");
    summary.extend(one.end());

    let came_back = [&replayed, &rest].map(|told| told["sent"][&setting.input].as_u64());
    assert!(came_back[0] > Some(0), "{replayed:#}");
    let came_back: u64 = came_back.into_iter().flatten().sum();
    let refused = fleet::read_all(broker, &setting.dead_letters).len();
    let read = lines + usize::try_from(came_back).expect("a small number");
    assert_adds_up(&summary, read, refused);
    let said = [one.said("evaluated_under"), two.said("evaluated_under")].concat();
    assert_each_line_has_one_ruleset(broker, &setting, &versions, &said, lines);
}

/// What a command that ended well tells as JSON.
fn told_by(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Every line that was read is a dead letter without alerts, or has exactly the alerts that `scan` tells of it under
/// the ruleset that the log names for its offset, which its alerts name too. Each long marker was evaluated once.
fn assert_each_line_has_one_ruleset(
    broker: &Broker,
    setting: &Setting,
    versions: &BTreeMap<String, PathBuf>,
    said: &[Value],
    lines: usize,
) {
    let sent = (0..lines).filter(|n| !is_cut(*n)).map(|n| (n, line(n)));
    let told = sent.filter(|(n, sent)| *n < HOSTS || is_marker(&sent.line));
    let told: Vec<Sent> = told.map(|(_, sent)| sent).collect();
    let number = |value: &Value| value.as_i64().expect("a number");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    // By ruleset, host and line.
    let mut expected: BTreeMap<(&str, String, String), Vec<Told>> = BTreeMap::new();
    for (hash, folder) in versions {
        // In the order of their ids.
        for told in setting.scan_with(folder, &told).into_values() {
            let line = (
                hash.as_str(),
                text(&told.body["host"]),
                text(&told.body["event"]),
            );
            expected.entry(line).or_default().push(told);
        }
    }
    let mut begins: BTreeMap<i64, BTreeMap<i64, String>> = BTreeMap::new();
    for said in said {
        let partition = begins.entry(number(&said["partition"])).or_default();
        partition.insert(number(&said["from_offset"]), text(&said["ruleset"]));
    }
    let mut alerts: BTreeMap<(i64, i64), Vec<(String, Told)>> = BTreeMap::new();
    for record in fleet::read_all(broker, &setting.alerts) {
        let body = record.json();
        let (source, hash) = (&body["source"], text(&body["engine"]["ruleset"]));
        let at = (number(&source["partition"]), number(&source["offset"]));
        assert_eq!(record.headers["ruleset"], hash);
        assert!(record.headers["ruleset_loaded"].starts_with("20"));
        let of_line = alerts.entry(at).or_default();
        of_line.push((hash, Told::new(body)));
    }
    let mut refused = setting.dead_letters(broker);
    let (mut used, mut long, mut silent) = (BTreeSet::new(), BTreeSet::new(), 0);
    for record in fleet::read_all(broker, &setting.input) {
        let at = (i64::from(record.partition), record.offset);
        let begun = begins[&at.0].range(..=at.1).next_back();
        let (_, logged) = begun.expect("the log tells where a ruleset begins");
        let (hashes, mut found): (Vec<String>, Vec<Told>) =
            alerts.remove(&at).unwrap_or_default().into_iter().unzip();
        assert!(
            hashes.iter().all(|hash| hash == logged),
            "{at:?}: {hashes:?}, {logged}"
        );
        found.sort_by(|a, b| a.id.cmp(&b.id));
        if refused.remove(&(record.partition, record.offset)).is_some() {
            assert!(found.is_empty(), "{at:?} is refused and has alerts");
            continue;
        }
        let utf8 = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let is_marker = is_marker(&record.value);
        if is_long(&record.value) {
            assert!(
                long.insert(record.value.clone()),
                "{at:?} is evaluated twice"
            );
        }
        let line = (logged.as_str(), utf8(record.key), utf8(record.value));
        let expected = expected.get(&line).map_or(&[][..], Vec::as_slice);
        assert_eq!(found, expected, "{at:?}: run, scan");
        if is_marker {
            used.insert(logged.clone());
            silent += usize::from(found.is_empty());
        }
    }
    assert!(
        alerts.is_empty() && refused.is_empty(),
        "no other line has any"
    );
    assert!(used.iter().eq(versions.keys()), "all were used: {used:?}");
    assert!(silent > 0, "some markers have no alert under some ruleset");
    let sent = told.iter().filter(|sent| is_long(&sent.line)).count();
    assert_eq!(long.len(), sent, "long markers that were evaluated");
}
