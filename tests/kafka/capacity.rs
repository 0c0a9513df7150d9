//! Memory, latency and idle cost of `pythia run` against a real broker: minutes each, measured with a clock, so
//! they are started by hand, one at a time, with an optimised program:
//!
//! ```sh
//! cargo build --release
//! PYTHIA_TEST_PROGRAM=target/release/pythia cargo test --test tests capacity -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `docs/operating.md` tells what they gave. With `PYTHIA_BENCH_RULES`, a checkout of the public Sigma rules, the first
//! one runs those for Linux.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::fleet::{self, BUSY, Pythia, Sent, Setting};
use super::harness::Broker;

const HOSTS: usize = 40;

/// Seconds from one life of the sample to the next; it lasts 82.
const LIFE_SECONDS: usize = 100;

/// Records of the sample with the places of their times, so that each life of it has processes of its own.
struct Sample {
    lines: Vec<Line>,
    hosts: Vec<String>,
}

struct Line {
    bytes: Vec<u8>,
    /// Where seconds since 1970 stand, ten digits each, and what they are.
    seconds: Vec<(usize, usize)>,
}

impl Sample {
    fn new() -> Self {
        let line = |sent: Sent| Line {
            seconds: seconds(&sent.line),
            bytes: sent.line,
        };
        Self {
            lines: fleet::recorded(fleet::SAMPLE_LINES)
                .into_iter()
                .map(line)
                .collect(),
            hosts: (0..HOSTS).map(|host| format!("web-{host:02}")).collect(),
        }
    }

    /// Host and line of this number: the hosts take turns, each lives through the sample again and again. Each is
    /// at another place of it, so that lines beside each other compress as those of a fleet do.
    fn line(&mut self, number: usize) -> (&str, &[u8]) {
        let host = number % HOSTS;
        let turn = number / HOSTS + host * self.lines.len() / HOSTS;
        let (life, at) = (turn / self.lines.len(), turn % self.lines.len());
        let line = &mut self.lines[at];
        for (place, seconds) in &line.seconds {
            let text = format!("{:010}", seconds + life * LIFE_SECONDS);
            line.bytes[*place..place + 10].copy_from_slice(text.as_bytes());
        }
        (&self.hosts[host], &line.bytes)
    }

    fn produce(&mut self, producer: &BaseProducer, topic: &str, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let (host, line) = self.line(number);
            fleet::send_line(producer, topic, host, line);
        }
        producer
            .flush(Duration::from_mins(1))
            .expect("all lines are delivered");
    }
}

/// Places of texts such as `"1795420994.135`.
fn seconds(line: &[u8]) -> Vec<(usize, usize)> {
    let is_time = |window: &[u8]| {
        window[0] == b'"' && window[11] == b'.' && window[1..11].iter().all(u8::is_ascii_digit)
    };
    let windows = line.windows(12).enumerate();
    let times = windows.filter(|(_, window)| is_time(window));
    times
        .map(|(at, window)| {
            let digits = std::str::from_utf8(&window[1..11]).expect("digits");
            (at + 1, digits.parse().expect("digits"))
        })
        .collect()
}

fn producer(broker: &Broker) -> BaseProducer {
    let mut config = broker.client();
    config
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("message.max.bytes", "16000000");
    config.create().expect("a producer needs no broker")
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug)]
struct Usage {
    rss_bytes: usize,
    peak_bytes: usize,
    /// User and system time of all threads.
    cpu: Duration,
}

fn usage(pythia: &Pythia) -> Usage {
    let read = |name: &str| {
        fs::read_to_string(format!("/proc/{}/{name}", pythia.id())).expect("it still runs")
    };
    let status = read("status");
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.expect("a size").parse::<usize>().expect("KiB") * 1024
    };
    let stat = read("stat");
    // Behind the name, which may hold blanks: user and system time are fields 14 and 15, in hundredths.
    let behind_name = stat.rsplit(')').next().expect("fields");
    let ticks: u64 = behind_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum();
    Usage {
        rss_bytes: bytes("VmRSS:"),
        peak_bytes: bytes("VmHWM:"),
        cpu: Duration::from_millis(ticks * 10),
    }
}

fn seconds_between(earlier: Duration, later: Duration) -> f64 {
    later.saturating_sub(earlier).as_secs_f64()
}

fn mib(bytes: usize) -> usize {
    bytes >> 20
}

fn lines(pythia: &Pythia) -> usize {
    let lines = pythia.metric("pythia_lines_total").unwrap_or(0.0);
    format!("{lines}").parse().expect("a whole number")
}

#[test]
#[ignore = "takes minutes, with an optimised program: by hand"]
fn memory_is_level_over_five_million_lines() {
    const LINES: usize = 5_000_000;
    /// Memory goes up and down with the queues: its mean over so many lines from the first million on is
    /// held against its mean over the last ones.
    const SPAN: usize = 500_000;
    let Some(broker) = Broker::own("memory", "") else {
        return;
    };
    let mut setting = Setting::new(&broker, "memory");
    if let Some(rules) = std::env::var_os("PYTHIA_BENCH_RULES") {
        setting.rules = Path::new(&rules).join("rules/linux");
    }
    Sample::new().produce(&producer(&broker), &setting.input, 0..LINES);
    // A cache that is full before a million lines, as it is after some days in service.
    let more = "[process_cache]\nbytes = \"32MiB\"\n[engine]\nthreads = 2\n";
    let pythia = setting.start("one", more);
    let mut samples: Vec<(usize, Duration, Usage)> = Vec::new();
    let begun = Instant::now();
    while samples.last().is_none_or(|(lines, ..)| *lines < LINES) {
        samples.push((lines(&pythia), begun.elapsed(), usage(&pythia)));
        thread::sleep(BUSY);
    }
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    let evicted = pythia.metric("pythia_process_cache_evicted_total");
    pythia.stop();

    let from = |lines: usize| samples.partition_point(|(at, ..)| *at < lines);
    let mean = |lines: usize| {
        let span = &samples[from(lines)..from(lines + SPAN)];
        let sum: usize = span.iter().map(|(_, _, usage)| usage.rss_bytes).sum();
        sum / span.len()
    };
    for at in (0..LINES).step_by(SPAN) {
        println!("from {at} lines on: RSS {} MiB", mib(mean(at)));
    }
    let (first, last) = (&samples[from(LINES / 5)], &samples[from(LINES)]);
    let count = f64::from(u32::try_from(last.0 - first.0).expect("millions"));
    println!(
        "peak {} MiB; {:.2} us of CPU per line, {:.0} lines/s; {evicted:?} processes evicted",
        mib(last.2.peak_bytes),
        seconds_between(first.2.cpu, last.2.cpu) * 1e6 / count,
        count / seconds_between(first.1, last.1),
    );
    let (early, late) = (mean(LINES / 5), mean(LINES - SPAN));
    assert!(late * 100 < early * 105, "{early} bytes, then {late}");
    assert!(last.2.peak_bytes < bound(32 << 20, 4096));
}

/// What `docs/operating.md`, "Memory", gives as the bound, for this much process cache and lines up to this long; one
/// broker, two threads, all other settings as they are.
fn bound(cache_bytes: usize, line_bytes: usize) -> usize {
    const MIB: usize = 1 << 20;
    let (program, in_flight, fetched) = (64 * MIB, 2 * 64 * MIB, 2 * 64 * MIB);
    let (answers, sending) = (10 * 4 * MIB, 2 * 64 * MIB);
    program + cache_bytes + in_flight + fetched + answers + sending + 2 * 16 * line_bytes
}

/// Half of what producer, broker and service do together on this machine.
#[test]
#[ignore = "takes minutes, with an optimised program: by hand"]
fn an_alert_comes_within_100_ms_at_half_load() {
    const FIRST: usize = 2_000_000;
    const SECONDS: usize = 70;
    /// What goes to the producer at once.
    const TICK: Duration = Duration::from_millis(2);
    let Some(broker) = Broker::own("latency", "") else {
        return;
    };
    let setting = Setting::new(&broker, "latency");
    let mut sample = Sample::new();
    let producer = producer(&broker);
    let pythia = setting.start("one", "");
    pythia.wait_for_log(r#""event":"assigned""#);
    let begun = Instant::now();
    sample.produce(&producer, &setting.input, 0..FIRST);
    while lines(&pythia) < FIRST {
        thread::sleep(BUSY);
    }
    let most = FIRST * 1000 / usize::try_from(begun.elapsed().as_millis()).expect("seconds");
    let rate = most / 2;
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);

    let reading = Reading::start(&broker, &setting.alerts);
    let at_first = usage(&pythia);
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_secs(SECONDS as u64) {
        let due = rate * usize::try_from(begun.elapsed().as_millis()).expect("seconds") / 1000;
        while sent < due {
            let (host, line) = sample.line(FIRST + sent);
            let mut line = line.to_vec();
            stamp(&mut line);
            fleet::send_line(&producer, &setting.input, host, &line);
            sent += 1;
        }
        producer.poll(Duration::ZERO);
        thread::sleep(TICK);
    }
    let took = begun.elapsed();
    let cpu = seconds_between(at_first.cpu, usage(&pythia).cpu);
    producer
        .flush(Duration::from_mins(1))
        .expect("all lines are delivered");
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    pythia.stop();
    let (read, made): (Vec<u128>, Vec<u128>) = reading.finish().into_iter().unzip();
    let (read, made) = (Shares::new(read), Shares::new(made));
    println!(
        "at most {most} lines/s; then {} lines/s for {took:?}, {:.2} us of CPU per line; {} alerts",
        sent / usize::try_from(took.as_secs()).expect("seconds"),
        cpu * 1e6 / f64::from(u32::try_from(sent).expect("millions")),
        read.0.len(),
    );
    println!("ms until the alert is made: {made}; until it is read: {read}");
    assert!(read.0.len() > 1_000 && read.at(990) < 100);
}

/// Values in order.
struct Shares(Vec<u128>);

impl Shares {
    fn new(mut values: Vec<u128>) -> Self {
        values.sort_unstable();
        Self(values)
    }

    /// So many thousandths of the values are not above this one.
    fn at(&self, permille: usize) -> u128 {
        self.0[(self.0.len() - 1) * permille / 1000]
    }
}

impl std::fmt::Display for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p90, p99, max] = [500, 900, 990, 1000].map(|permille| self.at(permille));
        write!(f, "p50 {p50}, p90 {p90}, p99 {p99}, max {max}")
    }
}

/// The line's own time becomes now, to the millisecond.
fn stamp(line: &mut [u8]) {
    let at = br#"{"ID":""#.len();
    let now = now_ms();
    let text = format!("{:010}.{:03}", now / 1000, now % 1000);
    line[at..at + text.len()].copy_from_slice(text.as_bytes());
}

fn now_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis()
}

/// Reads alerts as they come, on a thread of its own.
struct Reading {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<(u128, u128)>>,
}

impl Reading {
    fn start(broker: &Broker, topic: &str) -> Self {
        let mut config = broker.client();
        config
            .set("group.id", "latency.reader")
            .set("auto.offset.reset", "error");
        let consumer: BaseConsumer = config.create().expect("a consumer needs no broker");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..2 {
            let (_, end) = consumer
                .fetch_watermarks(topic, partition, Duration::from_secs(20))
                .expect("watermarks");
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(end))
                .expect("a valid offset");
        }
        consumer.assign(&assignment).expect("an assignment");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut waited = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                    let now = now_ms();
                    let Some(sent) = sent_ms(message.payload().unwrap_or_default()) else {
                        continue;
                    };
                    let written = message.timestamp().to_millis().unwrap_or_default();
                    let written = u128::try_from(written).unwrap_or_default();
                    waited.push((now.saturating_sub(sent), written.saturating_sub(sent)));
                }
            }
            waited
        });
        Self { stop, thread }
    }

    /// Milliseconds from sending a line to reading its alert, and to the alert's being made, of each alert.
    fn finish(self) -> Vec<(u128, u128)> {
        thread::sleep(Duration::from_secs(1));
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it reads to the end")
    }
}

/// When the event of an alert was stamped; `None` for a correlation, which waits for what comes late, and has none.
fn sent_ms(alert: &[u8]) -> Option<u128> {
    let alert: Value = serde_json::from_slice(alert).expect("an alert");
    let event = alert["event"].as_str();
    assert_eq!(event.is_none(), alert.get("correlation").is_some());
    let event = event?;
    let id = event
        .strip_prefix(r#"{"ID":""#)
        .expect("the id comes first");
    let (seconds, rest) = id.split_once('.').expect("a point");
    let ms: u128 = rest
        .get(..3)
        .and_then(|ms| ms.parse().ok())
        .expect("milliseconds");
    Some(seconds.parse::<u128>().expect("seconds") * 1000 + ms)
}

#[test]
#[ignore = "takes a minute, with an optimised program: by hand"]
fn an_idle_service_takes_less_than_two_hundredths_of_a_core() {
    let Some(broker) = Broker::own("idle", "") else {
        return;
    };
    let setting = Setting::new(&broker, "idle");
    fleet::produce(&broker, &setting.input, &fleet::recorded(20_000));
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    thread::sleep(Duration::from_secs(3));
    let (before, begun) = (usage(&pythia).cpu, Instant::now());
    thread::sleep(Duration::from_secs(30));
    let used = seconds_between(before, usage(&pythia).cpu);
    let share = used / begun.elapsed().as_secs_f64();
    println!("idle: {:.2} % of a core", share * 100.0);
    assert!(share < 0.02);
    pythia.stop();
}

/// Some of the longest lines that are taken: they match, they match nothing, they are no events.
#[test]
#[ignore = "takes minutes, with an optimised program: by hand"]
fn the_longest_lines_stay_within_the_bound() {
    const LINES: usize = 400;
    /// The default of `limits.line_bytes`, less what stands around the ballast.
    const BALLAST: usize = (8 << 20) - 300;
    let Some(broker) = Broker::own("longest", "socket.request.max.bytes=200000000\n") else {
        return;
    };
    let setting = Setting::new(&broker, "longest");
    let producer = producer(&broker);
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut ballast = String::with_capacity(BALLAST);
    while ballast.len() < BALLAST {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        ballast.push(char::from(b'a' + u8::try_from(noise % 26).expect("small")));
    }
    for number in 0..LINES {
        let arguments = match number % 4 {
            0 => format!(r#""perl","-e","use Socket; exec","{ballast}""#),
            1 => format!(r#""{}x""#, "x\",\"".repeat(BALLAST / 4 - 10)),
            2 => format!(r#""cat","{ballast}""#),
            _ => format!(r#""cat","{ballast}"#),
        };
        let line = format!(
            r#"{{"ID":"17000{number:05}.123:{number}","EXECVE":{{"argc":4,"ARGV":[{arguments}]}}}}"#
        );
        let host = format!("web-{number:02}");
        fleet::send_line(&producer, &setting.input, &host, line.as_bytes());
        producer
            .flush(Duration::from_mins(1))
            .expect("the line is delivered");
    }
    let more = "[process_cache]\nbytes = \"1MiB\"\n[engine]\nthreads = 2\n";
    let pythia = setting.start("one", more);
    let begun = Instant::now();
    while lines(&pythia) < LINES {
        thread::sleep(BUSY);
    }
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    let used = usage(&pythia);
    println!(
        "{LINES} lines of 8 MiB in {:?}, {:?} of CPU: RSS {} MiB, peak {} MiB, {} dead letters, {} alerts, in flight {}",
        begun.elapsed(),
        used.cpu,
        mib(used.rss_bytes),
        mib(used.peak_bytes),
        pythia.metric("pythia_dlq_total").unwrap_or(0.0),
        pythia.metric("pythia_alerts_total").unwrap_or(0.0),
        pythia.metric("pythia_kafka_in_flight_bytes").unwrap_or(0.0),
    );
    assert!(used.peak_bytes < bound(1 << 20, 8 << 20));
    pythia.stop();
}
