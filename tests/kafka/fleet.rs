//! A fleet for the Kafka tests: recorded lines spread over hosts, `pythia` as a child process, and what
//! came out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::harness::Broker;

/// Partitions of every input topic.
pub(crate) const PARTITIONS: i32 = 4;

/// How long a loop that waits for something rests.
pub(crate) const BUSY: Duration = Duration::from_millis(20);

/// One line to send: its host is the key.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) host: String,
    pub(crate) line: Vec<u8>,
}

/// Lines of the sample.
pub(crate) const SAMPLE_LINES: usize = 5_430;

/// `count` recorded lines: several hosts that all live through the sample, taking turns.
pub(crate) fn recorded(count: usize) -> Vec<Sent> {
    let raw = fs::read(sample()).expect("the sample lies in tests/data");
    let mut text = Vec::new();
    let mut decoder = zstd::stream::Decoder::new(raw.as_slice()).expect("a zstd frame");
    decoder.read_to_end(&mut text).expect("a whole zstd frame");
    let lines: Vec<&[u8]> = text
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let hosts = count.div_ceil(lines.len());
    let sent = |n: usize| Sent {
        host: format!("web-{:02}", n % hosts),
        line: lines[n / hosts].to_vec(),
    };
    (0..count).map(sent).collect()
}

/// The same, and behind it an event of each host an hour later, by which `run` knows that nothing of before is to come:
/// until then it decides no correlation of the last half minute, as `scan` does at the end of its file.
pub(crate) fn recorded_and_over(count: usize) -> Vec<Sent> {
    let mut sent = recorded(count);
    let hosts: BTreeSet<String> = sent.iter().map(|sent| sent.host.clone()).collect();
    let line = br#"{"ID":"1795425000.000:1","EXECVE":{"argc":1,"ARGV":["true"]}}"#;
    sent.extend(hosts.into_iter().map(|host| Sent {
        host,
        line: line.to_vec(),
    }));
    sent
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fleet.jsonl.zst")
}

/// Lines that are no events, each with the reason it must be refused for.
pub(crate) fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let event = |body: &str| format!(r#"{{"ID":"1700000000.123:4711",{body}}}"#).into_bytes();
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        u8::try_from(noise >> 56).expect("eight bits")
    };
    let random: Vec<u8> = (0..1_000_000)
        .map(|_| random())
        .filter(|b| *b != b'\n')
        .collect();
    vec![
        ("invalid_json", random),
        (
            "truncated",
            [
                &br#"{"ID":"1700000000.123:4711","EXECVE":{"ARGV":[""#[..],
                &[b'a'; 3_000_000],
            ]
            .concat(),
        ),
        (
            "truncated",
            br#"{"ID":"1700000000.123:4711","SYSCALL":{"arch":"0xc000"#.to_vec(),
        ),
        (
            "truncated",
            br#"{"ID":"1700000000.123:4711","CWD":{"cwd":"/ro"#.to_vec(),
        ),
        (
            "invalid_json",
            event(&format!(
                r#""PATH":{}1{}"#,
                "[".repeat(10_000),
                "]".repeat(10_000)
            )),
        ),
        (
            "invalid_json",
            [
                event(r#""CWD":{"cwd":"/a"#),
                vec![0xff, 0xfe],
                b"\"}}".to_vec(),
            ]
            .concat(),
        ),
        ("invalid_json", event("\"CWD\":{\"cwd\":\"/a\0b\"}")),
        (
            "no_event",
            br#"{"message":"no audit event at all"}"#.to_vec(),
        ),
        (
            "bad_id",
            br#"{"ID":"yesterday","CWD":{"cwd":"/"}}"#.to_vec(),
        ),
        (
            "trailing_data",
            [event(r#""CWD":{"cwd":"/"}"#), br#"{"ID":"#.to_vec()].concat(),
        ),
    ]
}

/// Sends lines in order and waits for the delivery of all.
pub(crate) fn produce(broker: &Broker, topic: &str, sent: &[Sent]) {
    let producer: BaseProducer = producer(broker);
    for sent in sent {
        send(&producer, topic, sent);
    }
    producer
        .flush(Duration::from_mins(1))
        .expect("all lines are delivered");
}

pub(crate) fn producer(broker: &Broker) -> BaseProducer {
    let mut config = broker.client();
    config
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "16000000")
        .set("linger.ms", "5");
    config.set("compression.type", "lz4");
    config.create().expect("a producer needs no broker")
}

pub(crate) fn send(producer: &BaseProducer, topic: &str, sent: &Sent) {
    send_line(producer, topic, &sent.host, &sent.line);
}

pub(crate) fn send_line(producer: &BaseProducer, topic: &str, host: &str, line: &[u8]) {
    let mut record = BaseRecord::to(topic).key(host).payload(line);
    while let Err((error, back)) = producer.send(record) {
        assert!(error.to_string().contains("QueueFull"), "{error}");
        producer.poll(BUSY);
        record = back;
    }
}

/// One record of a topic.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Record {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.value).expect("the value is JSON")
    }
}

/// Everything that lies on a topic now; what comes while it is read is left out, or not.
pub(crate) fn read_all(broker: &Broker, topic: &str) -> Vec<Record> {
    let mut config = broker.client();
    config
        .set("group.id", "reader")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false");
    config
        .set("fetch.message.max.bytes", "16000000")
        .set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create().expect("a consumer needs no broker");
    // Ends by partition: a topic that grows may never be read to what is its end then.
    let mut open = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a valid offset");
        let (_, end) = consumer
            .fetch_watermarks(topic, partition, Duration::from_secs(20))
            .expect("watermarks");
        open.insert(partition, end);
    }
    consumer.assign(&assignment).expect("an assignment");
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut records = Vec::new();
    while !open.is_empty() {
        assert!(
            Instant::now() < deadline,
            "the end of {topic} is not reached"
        );
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let record = record(&message);
                if open
                    .get(&record.partition)
                    .is_some_and(|end| record.offset + 1 >= *end)
                {
                    open.remove(&record.partition);
                }
                records.push(record);
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            _ => {}
        }
    }
    records
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().unwrap_or_default().to_vec(),
        headers: headers.map(|h| (h.key.to_owned(), text(h.value))).collect(),
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = consumer
        .fetch_metadata(Some(topic), Duration::from_secs(20))
        .expect("the broker answers");
    metadata.topics()[0]
        .partitions()
        .iter()
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect()
}

/// Committed offset and end of each partition.
pub(crate) fn progress(broker: &Broker, topic: &str, group: &str) -> Vec<(i64, i64)> {
    let mut config: ClientConfig = broker.client();
    config.set("group.id", group);
    let consumer: BaseConsumer = config.create().expect("a consumer needs no broker");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, PARTITIONS - 1);
    let timeout = Duration::from_secs(20);
    let deadline = Instant::now() + Duration::from_mins(1);
    // A coordinator that has just started answers only when it has read its own topic.
    let committed = loop {
        match consumer.committed_offsets(list.clone(), timeout) {
            Ok(committed) => break committed,
            Err(error) => assert!(
                Instant::now() < deadline,
                "the coordinator does not answer: {error}"
            ),
        }
        thread::sleep(Duration::from_millis(200));
    };
    let both = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let (_, high) = consumer
            .fetch_watermarks(topic, element.partition(), timeout)
            .expect("watermarks");
        (element.offset().to_raw().unwrap_or(0).max(0), high)
    };
    committed.elements().iter().map(both).collect()
}

/// Waits until everything that lies on the topic is committed.
pub(crate) fn wait_until_committed(broker: &Broker, topic: &str, group: &str) {
    wait_for(broker, topic, group, "everything is committed", |done| {
        done.iter().all(|(at, end)| at == end)
    });
}

/// Waits until the group's progress is as `enough` says.
pub(crate) fn wait_for(
    broker: &Broker,
    topic: &str,
    group: &str,
    what: &str,
    enough: impl Fn(&[(i64, i64)]) -> bool,
) {
    let deadline = Instant::now() + Duration::from_secs(150);
    loop {
        let progress = progress(broker, topic, group);
        if enough(&progress) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: still not; committed and end by partition: {progress:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// Topics and settings of one test, all with its name.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) input: String,
    pub(crate) alerts: String,
    pub(crate) dead_letters: String,
    pub(crate) group: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) bootstrap: String,
    /// Rules that are run and scanned with.
    pub(crate) rules: PathBuf,
}

impl Setting {
    pub(crate) fn new(broker: &Broker, name: &str) -> Self {
        let setting = Self {
            input: format!("{name}.laurel"),
            alerts: format!("{name}.alerts"),
            dead_letters: format!("{name}.dlq"),
            group: format!("{name}.group"),
            folder: tempfile::tempdir().expect("a folder"),
            bootstrap: broker.bootstrap().to_owned(),
            rules: rules(),
        };
        let size = [("max.message.bytes", "16000000")];
        let topics = [
            (&setting.input, PARTITIONS),
            (&setting.alerts, 2),
            (&setting.dead_letters, 1),
        ];
        for (topic, partitions) in topics {
            broker.create_topic(topic, partitions, &size);
        }
        setting
    }

    /// Starts `pythia run` with `more` settings; its log goes to a file of the test.
    pub(crate) fn start(&self, instance: &str, more: &str) -> Pythia {
        let input = if self.input.starts_with('^') {
            format!("\"{}\"", self.input)
        } else {
            format!("[{:?}]", self.input)
        };
        let config = format!(
            "[kafka]\nbrokers = [{:?}]\ngroup = {:?}\ninput = {input}\nstart = \"earliest\"\ngroup_instance_id = {instance:?}\n\
             [kafka.consumer]\n\"session.timeout.ms\" = 6000\n\"heartbeat.interval.ms\" = 500\n\
             [output]\nalerts = {:?}\ndead_letters = {:?}\n",
            self.bootstrap, self.group, self.alerts, self.dead_letters
        );
        self.start_with(instance, &config, more)
    }

    /// `pythia` with these arguments and the settings of `start`, to be run to its end.
    pub(crate) fn command(&self, arguments: &[&str], more: &str) -> Command {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("command-{number}.toml"));
        let config = format!(
            "[kafka]\nbrokers = [{:?}]\ngroup = {:?}\ninput = [{:?}]\n[output]\nalerts = {:?}\ndead_letters = {:?}\n{more}",
            self.bootstrap, self.group, self.input, self.alerts, self.dead_letters
        );
        fs::write(&path, config).expect("the folder takes a file");
        let mut command = pythia();
        command.args(arguments).arg("--config").arg(&path);
        command.stdin(Stdio::null());
        command
    }

    fn start_with(&self, instance: &str, config: &str, more: &str) -> Pythia {
        let config =
            format!("{config}[http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n{more}");
        let path = self.folder.path().join(format!("pythia-{instance}.toml"));
        fs::write(&path, config).expect("the folder takes a file");
        let log = self.folder.path().join(format!("pythia-{instance}.log"));
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the folder takes a file");
        let out = file.try_clone().expect("a second handle");
        let mut command = pythia();
        command
            .args(["run", "--config"])
            .arg(&path)
            .arg("--rules")
            .arg(&self.rules);
        command.stdin(Stdio::null()).stdout(out).stderr(file);
        Pythia {
            child: command.spawn().expect("pythia starts"),
            log,
        }
    }

    /// Starts it with another group protocol, which knows no session settings on the client's side.
    pub(crate) fn start_with_protocol(&self, protocol: &str) -> Pythia {
        let config = format!(
            "[kafka]\nbrokers = [{:?}]\ngroup = {:?}\ninput = [{:?}]\ngroup_protocol = {protocol:?}\n\
             [output]\nalerts = {:?}\ndead_letters = {:?}\n",
            self.bootstrap, self.group, self.input, self.alerts, self.dead_letters
        );
        self.start_with("protocol", &config, "")
    }

    /// What `pythia scan --host` gives for these lines, host by host: by alert id.
    pub(crate) fn scan(&self, sent: &[Sent]) -> BTreeMap<String, Told> {
        self.scan_with(&self.rules, sent)
    }

    /// The same with other rules.
    pub(crate) fn scan_with(&self, rules: &Path, sent: &[Sent]) -> BTreeMap<String, Told> {
        let mut hosts: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for sent in sent {
            let text = hosts.entry(&sent.host).or_default();
            text.extend_from_slice(&sent.line);
            text.push(b'\n');
        }
        let mut alerts = BTreeMap::new();
        for (host, text) in hosts {
            let path = self.folder.path().join(format!("{host}.jsonl"));
            fs::write(&path, text).expect("the folder takes a file");
            let mut command = pythia();
            command
                .args(["scan", "--output", "jsonl", "--host", host, "--rules"])
                .arg(rules)
                .arg(&path);
            let output = command.output().expect("pythia starts");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            for line in output
                .stdout
                .split(|b| *b == b'\n')
                .filter(|line| !line.is_empty())
            {
                let told = Told::new(serde_json::from_slice(line).expect("a line of JSON"));
                alerts.insert(told.id.clone(), told);
            }
        }
        assert!(!alerts.is_empty(), "the sample holds something to find");
        alerts
    }

    /// Every alert on the topic by its id, and how often it lies there. Doubles tell the same.
    pub(crate) fn alerts(&self, broker: &Broker) -> BTreeMap<String, (Told, usize)> {
        let mut alerts: BTreeMap<String, (Told, usize)> = BTreeMap::new();
        for record in read_all(broker, &self.alerts) {
            let told = Told::new(record.json());
            let (first, count) = alerts
                .entry(told.id.clone())
                .or_insert_with(|| (told.clone(), 0));
            assert_eq!(*first, told, "two alerts of one id tell the same");
            *count += 1;
        }
        alerts
    }

    /// Source partition and offset of every dead letter, with its reason.
    pub(crate) fn dead_letters(&self, broker: &Broker) -> BTreeMap<(i32, i64), String> {
        let source = |record: &Record, part: &str| -> i64 {
            record.headers[&format!("pythia.source.{part}")]
                .parse()
                .expect("a number")
        };
        let entry = |record: Record| {
            let partition = i32::try_from(source(&record, "partition")).expect("a partition");
            (
                (partition, source(&record, "offset")),
                record.headers["pythia.error.code"].clone(),
            )
        };
        read_all(broker, &self.dead_letters)
            .into_iter()
            .map(entry)
            .collect()
    }
}

/// An alert without where its line was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) rule: String,
    pub(crate) body: Value,
}

impl Told {
    pub(crate) fn new(mut body: Value) -> Self {
        let text = |value: &Value| {
            value
                .as_str()
                .unwrap_or_else(|| panic!("no alert: {value}"))
                .to_owned()
        };
        let (id, rule) = (text(&body["alert_id"]), text(&body["rule"]["id"]));
        let remove_source = |body: &mut Value| {
            body.as_object_mut().expect("an object").remove("source");
        };
        remove_source(&mut body);
        let events = body.pointer_mut("/correlation/events");
        let events = events.and_then(Value::as_array_mut);
        events.into_iter().flatten().for_each(remove_source);
        Self { id, rule, body }
    }
}

/// The program: the one built with the tests, or an optimised one that `PYTHIA_TEST_PROGRAM` names.
pub(crate) fn pythia() -> Command {
    let named = std::env::var_os("PYTHIA_TEST_PROGRAM");
    Command::new(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_pythia").into()))
}

pub(crate) fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

/// A running `pythia run`; killed if the test fails.
#[derive(Debug)]
pub(crate) struct Pythia {
    child: Child,
    log: PathBuf,
}

impl Pythia {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, then the clean end: the summary that the service logs for each partition.
    pub(crate) fn stop(mut self) -> Vec<Value> {
        self.end()
    }

    /// The same, and its log can still be read.
    pub(crate) fn end(&mut self) -> Vec<Value> {
        self.signal("-TERM");
        let deadline = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "no end within the deadline\n{}",
                self.log()
            );
            thread::sleep(BUSY);
        };
        assert!(status.success(), "ended with {status}\n{}", self.log());
        self.said("partition_summary")
    }

    /// Waits for the end that the program comes to by itself; its exit code.
    pub(crate) fn wait_for_end(&mut self, within: Duration) -> i32 {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code().expect("it ends by itself");
            }
            assert!(Instant::now() < deadline, "no end within {within:?}");
            thread::sleep(BUSY);
        }
    }

    /// SIGHUP, SIGTERM, SIGSTOP or SIGCONT, and on.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args([name, &pid])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// Waits until the log holds this text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "the log never says {text:?}");
            thread::sleep(BUSY);
        }
    }

    /// Status and body of one of its pages.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        self.wait_for_log(r#""event":"http""#);
        let address = self.said("http")[0]["address"]
            .as_str()
            .expect("a text")
            .to_owned();
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: pythia\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("a request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer comes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        (status, body.to_owned())
    }

    /// Sum of all series of a metric.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.page("/metrics");
        let series = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values: Vec<f64> = series
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails with the log if it has ended.
    pub(crate) fn assert_running(&mut self) {
        let ended = self.child.try_wait().expect("a child of ours");
        assert!(ended.is_none(), "ended with {ended:?}\n{}", self.log());
    }

    /// What the log says of this event, each time.
    pub(crate) fn said(&self, event: &str) -> Vec<Value> {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let said = lines
            .filter(|line| line["fields"]["event"] == event)
            .map(|line| line["fields"].clone());
        said.collect()
    }
}

impl Drop for Pythia {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
