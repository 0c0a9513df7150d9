//! Wiring against librdkafka's mock cluster: back-pressure through a sink that is away, and what the mock
//! cannot prove. Delivery across crashes is proven on a real broker, in the tests of the whole program.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use detect::Plan;
use event::Profile;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use stream::embedded::{Reader, Sender};
use stream::{
    GroupProtocol, Idle, Input, Options, PartitionSummary, Rulesets, Security, ServeError, Start,
    Stop, Telemetry,
};

const LINES: usize = 3_000;

/// Matches every process that is called `work`.
const RULE: &str = "
title: Work
id: 0b9b7a55-6a5c-4b0f-9d3d-6f6f0d7d0001
level: low
logsource: {product: linux, category: process_creation}
detection: {work: {CommandLine|startswith: work}, condition: work}
";

fn rulesets(telemetry: &Arc<Telemetry>) -> Arc<Rulesets> {
    let file = sigma::SourceFile {
        name: "work.yml".into(),
        text: RULE.into(),
    };
    let compiled = Plan::compile(sigma::load(&[file]).rules);
    assert_eq!(compiled.plan.rules().len(), 1);
    let plan = Arc::new(compiled.plan);
    Arc::new(Rulesets::new(plan, Idle::default(), Arc::clone(telemetry)))
}

fn options(brokers: &str) -> Options {
    let raw = [
        ("fetch.wait.max.ms", "10"),
        ("heartbeat.interval.ms", "200"),
        ("session.timeout.ms", "6000"),
    ];
    Options {
        brokers: vec![brokers.to_owned()],
        group: "pythia".into(),
        input: Input::Topics(vec!["laurel".into()]),
        start: Start::Earliest,
        group_instance_id: None,
        group_protocol: GroupProtocol::Classic,
        security: Security {
            protocol: "plaintext".into(),
            ..Security::default()
        },
        raw: Vec::new(),
        raw_consumer: raw
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        raw_producer: Vec::new(),
        alerts: "alerts".into(),
        dead_letters: "dead".into(),
        threads: 2,
        batch_bytes: 4_096,
        in_flight_bytes: 65_536,
        limits: detect::Limits::USUAL,
        commit_interval: Duration::from_millis(200),
        shutdown_deadline: Duration::from_secs(2),
        process_cache_bytes: 1 << 20,
        process_cache_max_age: Duration::from_hours(1),
        warmup: Duration::ZERO,
        warmup_bytes: 0,
        correlations: stream::CorrelationOptions {
            lateness_ms: 30_000,
            limits: detect::CorrelationLimits::USUAL,
        },
    }
}

/// A service on a thread.
struct Service {
    telemetry: Arc<Telemetry>,
    stop: Stop,
    thread: JoinHandle<Result<Vec<PartitionSummary>, ServeError>>,
}

impl Service {
    fn start(brokers: &str) -> Self {
        let (telemetry, stop, options) =
            (Arc::new(Telemetry::new()), Stop::new(), options(brokers));
        let thread = {
            let (telemetry, stop) = (Arc::clone(&telemetry), stop.clone());
            let profile = Arc::new(Profile::laurel());
            thread::spawn(move || {
                let rulesets = rulesets(&telemetry);
                stream::serve(&options, rulesets, profile, &telemetry, &stop)
            })
        };
        Self {
            telemetry,
            stop,
            thread,
        }
    }

    fn metric(&self, name: &str) -> i64 {
        let text = self.telemetry.render();
        let line = text.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0)
    }

    fn wait(&self, what: &str, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while !enough(self) {
            assert!(
                Instant::now() < deadline,
                "{what}: still not\n{}",
                self.telemetry.render()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(self) -> Vec<PartitionSummary> {
        self.stop.set();
        self.thread
            .join()
            .expect("the service does not panic")
            .expect("the service ends well")
    }
}

fn line(n: usize) -> String {
    format!(
        r#"{{"ID":"1700000000.000:{n}","EXECVE":{{"argc":2,"ARGV":["work","{n}"]}},"CWD":{{"cwd":"/srv/work"}}}}"#
    )
}

/// Partitions are paused while alerts cannot be delivered; they move to another member and come back
/// while they are paused, and flow again when the sink is back.
#[test]
fn a_paused_partition_that_is_revoked_and_comes_back_flows_again() {
    let cluster: MockCluster<'static, DefaultProducerContext> =
        MockCluster::new(2).expect("a mock cluster");
    for (topic, partitions) in [("laurel", 4), ("alerts", 1), ("dead", 1)] {
        cluster.create_topic(topic, partitions, 1).expect("a topic");
        for partition in 0..partitions {
            let leader = if topic == "alerts" { 2 } else { 1 };
            cluster
                .partition_leader(topic, partition, Some(leader))
                .expect("a leader");
        }
    }
    cluster
        .coordinator(rdkafka::mocking::MockCoordinator::Group("pythia".into()), 1)
        .expect("a coordinator");
    let brokers = cluster.bootstrap_servers();
    let sender = Sender::new(&brokers, "laurel").expect("a producer");
    for n in 0..LINES {
        sender
            .send(&format!("host-{}", n % 16), line(n).as_bytes())
            .expect("a line is sent");
    }
    sender
        .flush(Duration::from_secs(20))
        .expect("all lines are delivered");
    cluster.broker_down(2).expect("a broker goes");

    let first = Service::start(&brokers);
    first.wait("the first is full and pauses", |s| {
        s.metric("pythia_kafka_paused") == 1
    });
    let taken = first.metric("pythia_lines_total");
    assert!(
        taken < i64::try_from(LINES).expect("small"),
        "back-pressure holds lines back: {taken} were taken"
    );
    let second = Service::start(&brokers);
    second.wait("the second gets partitions", |s| {
        s.metric("pythia_kafka_assigned_partitions") == 2
    });
    first.wait("the first gives them up", |s| {
        s.metric("pythia_kafka_assigned_partitions") == 2
    });
    second.end();
    first.wait("the first gets them back", |s| {
        s.metric("pythia_kafka_assigned_partitions") == 4
    });
    assert_eq!(
        first.metric("pythia_kafka_paused"),
        1,
        "the sink is still away"
    );

    cluster.broker_up(2).expect("the broker comes back");
    let reader = Reader::new(&brokers, "alerts", 1).expect("a reader");
    let mut ids = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_mins(1);
    while ids.len() < LINES {
        assert!(
            Instant::now() < deadline,
            "{} of {LINES} alerts\n{}",
            ids.len(),
            first.telemetry.render()
        );
        if let Some(value) = reader.next(Duration::from_millis(200)) {
            let alert: serde_json::Value = serde_json::from_slice(&value).expect("an alert");
            ids.insert(alert["alert_id"].as_str().expect("an id").to_owned());
        }
    }
    first.wait("everything is through", |s| {
        s.metric("pythia_kafka_in_flight_bytes") == 0
    });
    let summary = first.end();
    for partition in &summary {
        let counts = partition.counts;
        let sum = counts.evaluated + counts.dead_lettered + counts.dropped + counts.unfinished;
        assert_eq!(counts.read, sum, "{partition:?}");
    }
}

/// So that nobody builds a proof on it.
#[test]
fn the_mock_knows_no_times() {
    let cluster: MockCluster<'static, DefaultProducerContext> =
        MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("laurel", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    let sender = Sender::new(&brokers, "laurel").expect("a producer");
    sender.send("host", b"{}").expect("a line is sent");
    sender
        .flush(Duration::from_secs(20))
        .expect("it is delivered");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", "times")
        .create()
        .expect("a consumer");
    let mut times = TopicPartitionList::new();
    times
        .add_partition_offset("laurel", 0, Offset::Offset(0))
        .expect("a valid offset");
    let offsets = consumer
        .offsets_for_times(times, Duration::from_secs(10))
        .expect("it answers");
    assert_eq!(
        offsets.elements()[0].offset(),
        Offset::End,
        "the warm-up cannot be tested here"
    );
}
