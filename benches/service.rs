//! `pythia run` on a real broker: user and system time of the whole process for each event, beside a bare
//! consumer of the same topic and the engine on the same lines, all in the same round.
//!
//! The service starts on a full topic and reads it to its end. What it spent until its partitions were
//! assigned (reading and compiling rules) is no part of the figure.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use detect::Options;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::case::Case;
use crate::clock::{cpu_of, timed_children};
use crate::engine::{Bench, compile};
use crate::harness::Broker;
use crate::report::{Report, say};

/// The case whose lines and rules are used, unless `--case` says otherwise.
pub(crate) const CASE: &str = "public-linux";

/// Lines on the topic, unless `--lines` says otherwise; rounded up to whole copies of the corpus, each of
/// a host of its own.
pub(crate) const LINES: usize = 500_000;

/// Rounds, unless `--rounds` says otherwise.
pub(crate) const ROUNDS: usize = 3;

/// The argument that makes this program the bare consumer: broker and number of records follow.
pub(crate) const CONSUMER: &str = "consumer";

const INPUT: &str = "bench.laurel";
const ALERTS: &str = "bench.alerts";
const DEAD_LETTERS: &str = "bench.dlq";
const PARTITIONS: i32 = 2;

/// A service that has not read everything by then is broken.
const DEADLINE: Duration = Duration::from_mins(5);

/// Measures and judges; `None` where the machine or the data lack something, which has been said.
pub(crate) fn measure(case: &str, rounds: usize, lines: usize, record: bool) -> Option<bool> {
    let name = format!("service of {case}");
    let loaded = match Case::named(case).load(&name) {
        Ok(loaded) => loaded,
        Err(missing) => {
            say(&format!("{name}\n  skipped: {missing}\n"));
            return None;
        }
    };
    let broker = Broker::own("bench", "")?;
    for (topic, partitions) in [(INPUT, PARTITIONS), (ALERTS, PARTITIONS), (DEAD_LETTERS, 1)] {
        broker.create_topic(topic, partitions, &[("max.message.bytes", "16000000")]);
    }
    let bench = Bench::new(&loaded);
    let copies = lines
        .div_ceil(bench.lines.len())
        .next_multiple_of(PARTITIONS as usize);
    produce(&broker, &bench.lines, copies);
    let records = copies * bench.lines.len();
    let events = records as f64;
    let plan = compile(&loaded, Options::ALL);
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules");
    loaded.write_rules(plan.rules(), &rules);

    let mut report = Report::new(&name);
    report.add("lines", "", events);
    report.add("rules", "", plan.rules().len() as f64);
    for round in 0..rounds {
        let service = |threads: usize| {
            let setting = Setting {
                broker: &broker,
                rules: &rules,
                folder: folder.path(),
                threads,
                name: format!("bench-{round}-{threads}"),
            };
            setting.run() / events
        };
        let per_line = |ns: f64| ns / bench.lines.len() as f64;
        let floor = per_line(bench.floor());
        let alerts = bench.alerts(&plan);
        let (engine, with_alerts) = (per_line(bench.matches(&plan).ns), per_line(alerts.ns));
        report.expect("alerts", alerts.alerts, loaded.case.alerts);
        let consumer = bare_consumer(&broker, records) / events;
        let (one, two) = (service(1), service(2));
        for (name, ns) in [
            ("floor", floor),
            ("bare consumer", consumer),
            ("engine alone", engine),
            ("engine alone with alerts", with_alerts),
            ("service with one worker", one),
            ("service with two workers", two),
        ] {
            report.add(name, "us/line", ns / 1e3);
        }
        report.add("beyond the consumer", "x engine", (one - consumer) / engine);
        let name = "beyond the consumer with alerts";
        report.add(name, "x engine", (one - consumer) / with_alerts);
        report.add("two workers", "x one", two / one);
    }
    let given = (rounds * 2 * copies) as u64 * loaded.case.alerts;
    report.expect("alerts on the topic", records_on(&broker, ALERTS), given);
    if record {
        report.record(&loaded.case);
    }
    Some(report.judge(&loaded.case))
}

/// Each copy of the lines is one host and lies on one partition; the hosts take turns.
fn produce(broker: &Broker, lines: &[&[u8]], copies: usize) {
    let mut config = broker.client();
    config.set("compression.type", "lz4").set("linger.ms", "50");
    config.set("batch.size", "1000000");
    let producer: BaseProducer = config.create().expect("a producer needs no broker");
    let hosts: Vec<String> = (0..copies).map(|host| format!("web-{host:03}")).collect();
    for line in lines {
        for (host, partition) in hosts.iter().zip((0..PARTITIONS).cycle()) {
            let record = BaseRecord::to(INPUT).key(host).payload(*line);
            let mut record = record.partition(partition);
            while let Err((error, back)) = producer.send(record) {
                assert!(error.to_string().contains("QueueFull"), "{error}");
                producer.poll(Duration::from_millis(20));
                record = back;
            }
        }
    }
    let delivered = producer.flush(Duration::from_mins(2));
    delivered.expect("all lines are delivered");
}

/// CPU time of a process that only consumes the topic, in nanoseconds.
fn bare_consumer(broker: &Broker, records: usize) -> f64 {
    let this = std::env::current_exe().expect("Linux tells");
    let mut command = Command::new(this);
    command.args([CONSUMER, broker.bootstrap(), &records.to_string()]);
    let (ns, status) = timed_children(|| command.status().expect("it starts"));
    assert!(status.success(), "the bare consumer ended with {status}");
    ns
}

/// What the bare consumer does: polls that many records and looks at none.
pub(crate) fn consume(bootstrap: &str, records: u64) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bare");
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer needs no broker");
    consumer.assign(&whole(INPUT)).expect("an assignment");
    let start = Instant::now();
    let mut read = 0;
    while read < records {
        assert!(start.elapsed() < DEADLINE, "{read} of {records} records");
        let record = consumer.poll(Duration::from_millis(100));
        read += u64::from(matches!(record, Some(Ok(_))));
    }
}

fn whole(topic: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let added = list.add_partition_offset(topic, partition, Offset::Beginning);
        added.expect("a valid offset");
    }
    list
}

/// Records between both ends of a topic.
fn records_on(broker: &Broker, topic: &str) -> u64 {
    let consumer = broker.client().create();
    let consumer: BaseConsumer = consumer.expect("a consumer needs no broker");
    let count = |partition| {
        let ends = consumer.fetch_watermarks(topic, partition, Duration::from_secs(20));
        let (low, high) = ends.expect("the broker answers");
        u64::try_from(high - low).expect("ends are in order")
    };
    (0..PARTITIONS).map(count).sum()
}

/// One run of the service, in a group of its own.
struct Setting<'a> {
    broker: &'a Broker,
    rules: &'a Path,
    folder: &'a Path,
    threads: usize,
    name: String,
}

impl Setting<'_> {
    /// CPU time from the assignment of the partitions to the last commit, in nanoseconds.
    fn run(&self) -> f64 {
        let (mut child, log) = self.start();
        let start = Instant::now();
        let wait = |child: &mut Child, enough: &dyn Fn() -> bool| {
            while !enough() {
                let ended = child.try_wait().expect("a child of ours");
                let log = || fs::read_to_string(&log).unwrap_or_default();
                assert!(ended.is_none(), "the service ended\n{}", log());
                assert!(start.elapsed() < DEADLINE, "it does not get on\n{}", log());
                thread::sleep(Duration::from_millis(10));
            }
        };
        let assigned = || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.matches(r#""event":"assigned""#).count() == PARTITIONS as usize
        };
        wait(&mut child, &assigned);
        let before = cpu_of(child.id());
        let consumer = self.broker.client().set("group.id", &self.name).create();
        let consumer: BaseConsumer = consumer.expect("a consumer needs no broker");
        wait(&mut child, &|| is_through(&consumer).unwrap_or(false));
        let spent = cpu_of(child.id()) - before;
        let pid = i32::try_from(child.id()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it still runs");
        let status = child.wait().expect("a child of ours");
        assert!(status.success(), "the service ended with {status}");
        spent
    }

    fn start(&self) -> (Child, PathBuf) {
        let Self { name, threads, .. } = self;
        let config = format!(
            "[kafka]\nbrokers = [{:?}]\ngroup = {name:?}\ninput = [{INPUT:?}]\nstart = \"earliest\"\n\
             [output]\nalerts = {ALERTS:?}\ndead_letters = {DEAD_LETTERS:?}\n\
             [engine]\nthreads = {threads}\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n",
            self.broker.bootstrap()
        );
        let path = self.folder.join(format!("{name}.toml"));
        fs::write(&path, config).expect("there is room for a file");
        let log = self.folder.join(format!("{name}.log"));
        let file = File::create(&log).expect("there is room for a file");
        let errors = file.try_clone().expect("a second handle");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pythia"));
        command.args(["run", "--config"]).arg(path);
        command.arg("--rules").arg(self.rules);
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        (command.spawn().expect("pythia starts"), log)
    }
}

/// Whether everything that lies on the topic is committed.
fn is_through(consumer: &BaseConsumer) -> Result<bool, KafkaError> {
    let timeout = Duration::from_secs(5);
    let committed = consumer.committed_offsets(whole(INPUT), timeout)?;
    for element in committed.elements() {
        let (_, end) = consumer.fetch_watermarks(INPUT, element.partition(), timeout)?;
        if element.offset() != Offset::Offset(end) {
            return Ok(false);
        }
    }
    Ok(true)
}
