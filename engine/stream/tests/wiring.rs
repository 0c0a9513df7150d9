//! The service on librdkafka's mock broker: wiring, rebalances, injected errors, offsets that wait for the
//! sink. Delivery across crashes is proven on a real broker, in the tests of the whole program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use detect::Plan;
use event::Profile;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use stream::{
    GroupProtocol, Idle, Input, Options, PartitionSummary, Rulesets, Security, ServeError, Start,
    Stop, Telemetry, serve,
};

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_mins(1);

const RULE: &str = "\
title: Evil
id: 5c1a4f2e-7d0b-4b0f-9a57-0c2f6a9d1e11
status: test
description: Any command line with the word
author: Pythia
date: 2026-01-01
logsource: {product: linux, category: process_creation}
detection: {selection: {CommandLine|contains: evil}, condition: selection}
level: high
";

fn rulesets(telemetry: &Arc<Telemetry>) -> Arc<Rulesets> {
    let file = sigma::SourceFile {
        name: "evil.yml".into(),
        text: RULE.into(),
    };
    let compiled = Plan::compile(sigma::load(&[file]).rules);
    assert!(compiled.not_running.is_empty(), "{compiled:?}");
    let plan = Arc::new(compiled.plan);
    Arc::new(Rulesets::new(plan, Idle::default(), Arc::clone(telemetry)))
}

/// A line that the rule matches; its serial makes it one of its kind.
fn line(serial: usize) -> String {
    format!(
        r#"{{"ID":"1626611363.720:{serial}","SYSCALL":{{"PPID":{{"exe":"/bin/sh"}}}},"EXECVE":{{"argc":2,"ARGV":["sh","evil"]}}}}"#
    )
}

/// A broker with the three topics.
struct Kafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Kafka {
    fn start() -> Self {
        let cluster = MockCluster::new(1).expect("a mock broker");
        for (topic, partitions) in [("laurel", PARTITIONS), ("alerts", 1), ("dlq", 1)] {
            cluster.create_topic(topic, partitions, 1).expect("a topic");
        }
        Self { cluster }
    }

    /// Without a leader nothing can be written to the alerts.
    fn alerts_have_a_leader(&self, leader: bool) {
        let broker = leader.then_some(1);
        let set = self.cluster.partition_leader("alerts", 0, broker);
        set.expect("the topic exists");
    }

    fn client(&self, group: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", group)
            .set("fetch.wait.max.ms", "10");
        config
    }

    fn produce(&self, values: impl Iterator<Item = (i32, Vec<u8>)>) {
        let mut config = self.client("none");
        let producer: BaseProducer = config.remove("group.id").create().expect("a producer");
        for (partition, value) in values {
            let key = format!("host-{partition}");
            let record = BaseRecord::to("laurel").key(&key).payload(&value);
            let sent = producer.send(record.partition(partition));
            sent.map_err(|(error, _)| error).expect("sent");
        }
        producer.flush(PATIENCE).expect("delivered");
    }

    fn produce_lines(&self, serials: std::ops::Range<usize>) {
        self.produce(serials.map(|n| (spread(n), line(n).into_bytes())));
    }

    /// (value, headers) of all records of an output topic, until `enough` or out of patience.
    fn read(&self, topic: &str, enough: impl Fn(&[Written]) -> bool) -> Vec<Written> {
        let consumer: BaseConsumer = self.client("reader").create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning)
            .expect("valid");
        consumer.assign(&list).expect("assigned");
        let until = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        while !enough(&records) {
            assert!(
                Instant::now() < until,
                "{} records on {topic}",
                records.len()
            );
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                let headers = message.headers().expect("headers");
                let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                records.push(Written {
                    key: message.key().map(text),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: headers
                        .iter()
                        .map(|h| (h.key.to_owned(), text(h.value.unwrap_or_default())))
                        .collect(),
                });
            }
        }
        records
    }

    /// The serials of the lines that alerts lie there for, as soon as there are `lines` of them.
    fn alerted(&self, lines: usize) -> BTreeSet<String> {
        let ids = |records: &[Written]| -> BTreeSet<String> {
            records.iter().map(|r| r.headers["ce_id"].clone()).collect()
        };
        ids(&self.read("alerts", |records| ids(records).len() >= lines))
    }

    /// What the group has committed, all partitions together.
    fn committed(&self, group: &str) -> i64 {
        let consumer: BaseConsumer = self.client(group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range("laurel", 0, PARTITIONS - 1);
        let committed = consumer
            .committed_offsets(list, PATIENCE)
            .expect("an answer");
        let offsets = committed
            .elements()
            .iter()
            .map(|e| e.offset().to_raw())
            .collect::<Vec<_>>();
        offsets
            .into_iter()
            .flatten()
            .map(|offset| offset.max(0))
            .sum()
    }
}

#[derive(Debug)]
struct Written {
    key: Option<String>,
    value: Option<Vec<u8>>,
    headers: BTreeMap<String, String>,
}

fn spread(n: usize) -> i32 {
    i32::try_from(n).expect("a small number") % PARTITIONS
}

fn options(kafka: &Kafka, group: &str) -> Options {
    let raw = [
        ("fetch.wait.max.ms", "10"),
        ("heartbeat.interval.ms", "200"),
        ("session.timeout.ms", "6000"),
    ];
    Options {
        brokers: vec![kafka.cluster.bootstrap_servers()],
        group: group.into(),
        input: Input::Topics(vec!["laurel".into()]),
        start: Start::Earliest,
        group_instance_id: None,
        group_protocol: GroupProtocol::Classic,
        security: Security {
            protocol: "plaintext".into(),
            ..Security::default()
        },
        raw: Vec::new(),
        raw_consumer: raw.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
        raw_producer: Vec::new(),
        alerts: "alerts".into(),
        dead_letters: "dlq".into(),
        threads: 2,
        batch_bytes: 4 << 20,
        in_flight_bytes: 64 << 20,
        commit_interval: Duration::from_millis(200),
        shutdown_deadline: Duration::from_secs(20),
        process_cache_bytes: 1 << 20,
        process_cache_max_age: Duration::from_hours(24),
        warmup: Duration::from_mins(10),
        warmup_bytes: 1 << 20,
        correlations: stream::CorrelationOptions {
            lateness_ms: 30_000,
            limits: detect::CorrelationLimits::USUAL,
        },
        limits: detect::Limits::USUAL,
    }
}

/// A running instance.
struct Service {
    stop: Stop,
    telemetry: Arc<Telemetry>,
    thread: JoinHandle<Result<Vec<PartitionSummary>, ServeError>>,
}

impl Service {
    fn start(options: Options) -> Self {
        let (stop, telemetry) = (Stop::new(), Arc::new(Telemetry::new()));
        let told = (stop.clone(), Arc::clone(&telemetry));
        let profile = Arc::new(Profile::laurel());
        let thread = thread::spawn(move || {
            let rulesets = rulesets(&told.1);
            serve(&options, rulesets, profile, &told.1, &told.0)
        });
        Self {
            stop,
            telemetry,
            thread,
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.telemetry.render();
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        let value = line.and_then(|line| line.split(' ').nth(1));
        value.unwrap_or("0").parse().expect("a number")
    }

    fn wait_for(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !reached(self) {
            assert!(!self.thread.is_finished(), "the service has ended");
            assert!(
                Instant::now() < until,
                "{what}\n{}",
                self.telemetry.render()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_partitions(&self, partitions: i32) {
        let name = "pythia_kafka_assigned_partitions";
        self.wait_for("partitions", |s| {
            (s.metric(name) - f64::from(partitions)).abs() < 0.5
        });
    }

    /// A clean stop: everything that was read is accounted for.
    fn stop(self) -> Vec<PartitionSummary> {
        self.stop.set();
        let summary = self.thread.join().expect("no panic").expect("a clean stop");
        for partition in &summary {
            let counts = partition.counts;
            let sum = counts.evaluated + counts.dead_lettered + counts.dropped;
            assert_eq!(counts.read, sum, "{partition:?}");
            assert_eq!(counts.unfinished, 0, "{partition:?}");
        }
        summary
    }
}

fn read(summary: &[PartitionSummary]) -> u64 {
    summary.iter().map(|partition| partition.counts.read).sum()
}

#[test]
fn lines_become_alerts_or_dead_letters_and_are_read_once() {
    let kafka = Kafka::start();
    kafka.produce_lines(0..200);
    let hostile: [&[u8]; 3] = [b"{\"ID\":\"1626611363.7", b"\xff\x00\xfe", b"{}"];
    kafka.produce(hostile.iter().map(|value| (1, value.to_vec())));
    let service = Service::start(options(&kafka, "g"));
    service.wait_for("ready", |s| s.telemetry.ready().is_ok());
    assert_eq!(kafka.alerted(200).len(), 200);
    let dead = kafka.read("dlq", |records| records.len() >= hostile.len());
    let summary = service.stop();
    assert_eq!(read(&summary), 203);
    assert_eq!(
        summary.iter().map(|p| p.counts.dead_lettered).sum::<u64>(),
        3
    );

    for (record, value) in dead.iter().zip(hostile) {
        assert_eq!(record.value.as_deref(), Some(value), "the original bytes");
        assert_eq!(record.key.as_deref(), Some("host-1"), "the original key");
        assert_eq!(record.headers["pythia.source.topic"], "laurel");
        assert_eq!(record.headers["pythia.source.partition"], "1");
    }
    let codes: Vec<&str> = dead
        .iter()
        .map(|r| r.headers["pythia.error.code"].as_str())
        .collect();
    assert_eq!(codes, ["truncated", "invalid_json", "no_event"]);
    assert_eq!(kafka.committed("g"), 203);

    let again = Service::start(options(&kafka, "g"));
    again.wait_for_partitions(PARTITIONS);
    assert_eq!(
        read(&again.stop()),
        0,
        "what is committed is not read again"
    );
}

#[test]
fn errors_of_the_broker_cost_no_alert() {
    let kafka = Kafka::start();
    let transient = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    let unstable = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 3];
    kafka
        .cluster
        .request_errors(RDKafkaApiKey::OffsetCommit, &unstable);
    kafka.produce_lines(0..100);
    kafka
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &transient);
    let service = Service::start(options(&kafka, "g"));
    assert_eq!(kafka.alerted(100).len(), 100);
    // What the summary counts begins anew where a stalled machine costs the member its partitions for a while.
    service.stop();
    assert_eq!(kafka.committed("g"), 100);
}

#[test]
fn partitions_move_to_a_second_instance_and_back_without_a_loss() {
    let kafka = Kafka::start();
    let first = Service::start(options(&kafka, "g"));
    first.wait_for_partitions(PARTITIONS);
    kafka.produce_lines(0..100);
    let second = Service::start(options(&kafka, "g"));
    first.wait_for_partitions(PARTITIONS / 2);
    second.wait_for_partitions(PARTITIONS / 2);
    kafka.produce_lines(100..200);
    assert_eq!(kafka.alerted(200).len(), 200);
    let by_second = read(&second.stop());
    assert!(by_second >= 50, "{by_second}");
    first.wait_for_partitions(PARTITIONS);
    kafka.produce_lines(200..300);
    assert_eq!(kafka.alerted(300).len(), 300);
    let all = by_second + read(&first.stop());
    assert_eq!(all, 300, "a drained rebalance reads no line twice");
    assert_eq!(kafka.committed("g"), 300);
}

#[test]
fn offsets_wait_for_the_sink_and_a_paused_partition_that_comes_back_flows_again() {
    let kafka = Kafka::start();
    kafka.alerts_have_a_leader(false);
    kafka.produce_lines(0..400);
    let small = || Options {
        batch_bytes: 1000,
        in_flight_bytes: 10_000,
        ..options(&kafka, "g")
    };
    let first = Service::start(small());
    first.wait_for("back-pressure", |s| s.metric("pythia_kafka_paused") > 0.5);
    assert_eq!(
        kafka.committed("g"),
        0,
        "no alert is delivered, no offset committed"
    );
    let taken = first.metric("pythia_kafka_in_flight_bytes");
    assert!(taken < 30_000.0, "{taken} bytes taken, the limit is 10,000");

    // Two partitions leave while paused.
    let second = Service::start(small());
    second.wait_for_partitions(PARTITIONS / 2);
    first.wait_for_partitions(PARTITIONS / 2);
    kafka.alerts_have_a_leader(true);
    first.wait_for("the pause ends", |s| s.metric("pythia_kafka_paused") < 0.5);
    assert_eq!(kafka.alerted(400).len(), 400);
    second.stop();
    first.wait_for_partitions(PARTITIONS);
    kafka.produce_lines(400..500);
    assert_eq!(
        kafka.alerted(500).len(),
        500,
        "partitions that came back flow"
    );
    first.stop.set();
    first
        .thread
        .join()
        .expect("no panic")
        .expect("a clean stop");
    assert_eq!(kafka.committed("g"), 500);
}

#[test]
fn lines_written_while_nobody_runs_are_read_though_the_first_start_was_at_the_end() {
    let kafka = Kafka::start();
    kafka.produce_lines(0..50);
    let latest = || Options {
        start: Start::Latest,
        ..options(&kafka, "g")
    };
    let first = Service::start(latest());
    first.wait_for_partitions(PARTITIONS);
    assert_eq!(read(&first.stop()), 0);
    kafka.produce_lines(50..80);
    let second = Service::start(latest());
    assert_eq!(kafka.alerted(30).len(), 30);
    assert_eq!(read(&second.stop()), 30);
}

#[test]
fn a_pattern_reads_every_topic_but_the_outputs() {
    let kafka = Kafka::start();
    kafka.produce_lines(0..20);
    kafka.produce([(0, b"no event".to_vec())].into_iter());
    let service = Service::start(Options {
        input: Input::Pattern("^.*".into()),
        ..options(&kafka, "g")
    });
    service.wait_for_partitions(PARTITIONS);
    assert_eq!(kafka.alerted(20).len(), 20);
    kafka.read("dlq", |records| !records.is_empty());
    let summary = service.stop();
    let topics: BTreeSet<&str> = summary.iter().map(|partition| &*partition.topic).collect();
    assert_eq!(topics, BTreeSet::from(["laurel"]));
    assert_eq!(read(&summary), 21);
}

/// So that nobody builds a proof about transactions on it.
#[test]
fn the_mock_shows_aborted_records_to_readers_of_committed_ones() {
    let kafka = Kafka::start();
    let mut config = kafka.client("none");
    config.remove("group.id").set("transactional.id", "t");
    let producer: BaseProducer = config.create().expect("a producer");
    producer
        .init_transactions(PATIENCE)
        .expect("it knows transactions");
    producer.begin_transaction().expect("a transaction");
    let record = BaseRecord::<(), str>::to("alerts").payload("aborted");
    let headers = rdkafka::message::OwnedHeaders::new();
    let sent = producer.send(record.headers(headers));
    sent.map_err(|(error, _)| error).expect("sent");
    producer.flush(PATIENCE).expect("written");
    producer.abort_transaction(PATIENCE).expect("aborted");
    let mut config = kafka.client("gaps");
    config.set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("alerts", 0, Offset::Beginning)
        .expect("valid");
    consumer.assign(&list).expect("assigned");
    let until = Instant::now() + PATIENCE;
    let seen = loop {
        assert!(
            Instant::now() < until,
            "the aborted record is hidden: say so in this test"
        );
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            break message.payload().map(<[u8]>::to_vec);
        }
    };
    assert_eq!(seen.as_deref(), Some(&b"aborted"[..]));
}
