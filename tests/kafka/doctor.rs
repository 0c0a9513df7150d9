//! `pythia doctor`: a healthy cluster has no fault; each fault is named with its cause and its cure, and
//! looking leaves nothing behind.

use std::time::Duration;

use expect_test::expect;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::Value;

use super::fleet::{self, Setting};
use super::harness::Broker;
use super::safety;

/// Exit code and checks.
fn examined(setting: &Setting, more: &str) -> (Option<i32>, Vec<Value>) {
    let mut command = setting.command(&["doctor", "--output", "json", "--timeout", "5s"], more);
    let output = command.output().expect("pythia runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    let checks = json["checks"].as_array().expect("a list").clone();
    assert!(!text.contains("secret"), "no password is told: {text}");
    (output.status.code(), checks)
}

fn text<'a>(check: &'a Value, part: &str) -> &'a str {
    check[part].as_str().unwrap_or_default()
}

/// The checks that are not all well, one a line.
fn troubles(checks: &[Value], state: &str) -> String {
    let bad = checks.iter().filter(|check| check["state"] == state);
    let line = |check: &Value| {
        let [name, found, cure] = ["check", "found", "cure"].map(|part| text(check, part));
        format!("{name}: {found} -> {cure}\n")
    };
    bad.map(line).collect::<Vec<_>>().concat()
}

#[test]
fn a_healthy_cluster_has_no_fault_and_is_left_as_it_was() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "healthy");
    fleet::produce(broker, &setting.input, &fleet::recorded(12_000));
    let mut command = setting.command(&["doctor", "--output", "table"], "");
    let output = command.output().expect("pythia runs");
    let shown = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{shown}");
    let shown = shown.replace(broker.bootstrap(), "127.0.0.1:9092");
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    expect![[r"
        state check                         found
        ok    client library                gzip, snappy, ssl, sasl, regex, lz4, sasl_plain, sasl_scram, plugins, zstd, sasl_oauthbearer
        warn  brokers                       1 answers: 127.0.0.1:9092; while it is away nothing runs
              cure: run three, with three replicas of each topic
        ok    topic healthy.laurel          4 partitions, 1 replica
        ok    settings of healthy.laurel    cleanup.policy=delete retention.ms=604800000
        warn  record size of healthy.laurel max.message.bytes=16000000: lines above 8388608 are dead letters
              cure: raise limits.line_bytes, or lower the topic's max.message.bytes
        ok    read healthy.laurel           400 newest lines, 400 of them events
        ok    hosts of healthy.laurel       3 hosts, each on one partition
        ok    topic healthy.alerts          2 partitions, 1 replica
        ok    settings of healthy.alerts    cleanup.policy=delete retention.ms=604800000
        ok    record size of healthy.alerts max.message.bytes=16000000
        ok    replicas of healthy.alerts    1 of 1 in sync, min.insync.replicas=1
        ok    write healthy.alerts          allowed
        ok    topic healthy.dlq             1 partition, 1 replica
        ok    settings of healthy.dlq       cleanup.policy=delete retention.ms=604800000
        ok    record size of healthy.dlq    max.message.bytes=16000000
        ok    replicas of healthy.dlq       1 of 1 in sync, min.insync.replicas=1
        ok    write healthy.dlq             allowed
        ok    producer                      idempotent, acks=all: not refused
        ok    group healthy.group           allowed
    "]]
    .assert_eq(&(shown.join("\n") + "\n"));

    let mut command = setting.command(&["doctor", "--output", "json", "-q"], "");
    command.env("PYTHIA__KAFKA__INPUT", r"^healthy\.(lau|al).*");
    let output = command.output().expect("pythia runs");
    let shown = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        shown.contains("input ^healthy") && shown.contains("1 topic\""),
        "{shown}"
    );
    assert!(shown.contains("read healthy.laurel") && !shown.contains("read healthy.alerts"));

    // The probes are written to the first partition.
    let consumer: BaseConsumer = broker.client().create().expect("a consumer");
    for topic in [&setting.alerts, &setting.dead_letters] {
        let ends = consumer.fetch_watermarks(topic, 0, Duration::from_secs(20));
        assert_eq!(ends.expect("watermarks"), (0, 0), "{topic} has no record");
    }
    let progress = fleet::progress(broker, &setting.input, &setting.group);
    assert!(
        progress.iter().all(|(committed, _)| *committed == 0),
        "{progress:?}"
    );
    let groups = consumer.fetch_group_list(Some(&setting.group), Duration::from_secs(20));
    let groups = groups.expect("the broker answers");
    assert!(
        groups
            .groups()
            .iter()
            .all(|group| group.members().is_empty()),
        "no member"
    );
}

#[test]
fn hosts_on_several_partitions_are_unkeyed_input() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "unkeyed");
    let producer = fleet::producer(broker);
    for (n, sent) in (0..).zip(fleet::recorded(400)) {
        let record = BaseRecord::to(&setting.input)
            .key("web-01")
            .payload(&sent.line);
        let record = record.partition(n % fleet::PARTITIONS);
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("sent");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");
    let (code, checks) = examined(&setting, "");
    assert_eq!(code, Some(0));
    let warned = troubles(&checks, "warn");
    let told = "hosts of unkeyed.laurel: unkeyed input: 1 of 1 hosts lie on several partitions, such as web-01 on 0, 1, 2, 3";
    assert!(warned.contains(told), "{warned}");
}

#[test]
fn a_wrong_port_is_named() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "wrongport");
    // No other test's broker can get this one.
    setting.bootstrap = "127.0.0.1:1".into();
    let (code, checks) = examined(&setting, "");
    assert_eq!(code, Some(1));
    let fails = troubles(&checks, "fail");
    assert!(
        fails.contains(&setting.bootstrap) && fails.contains("Connection refused"),
        "{fails}"
    );
    assert!(
        fails.contains("check hosts and ports in kafka.brokers"),
        "{fails}"
    );
    // The other commands say the same.
    let mut list = setting.command(&["dlq", "list", "--timeout", "5s"], "");
    let output = list.output().expect("pythia runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(
        err.contains("Connection refused") && err.contains("kafka.brokers"),
        "{err}"
    );

    setting.bootstrap = broker.bootstrap().to_owned();
    let (code, checks) = examined(&setting, "[kafka.security]\nprotocol = \"ssl\"\n");
    assert_eq!(code, Some(1));
    let fails = troubles(&checks, "fail");
    assert!(
        fails.contains("check kafka.security.protocol and the port"),
        "{fails}"
    );
}

#[test]
fn topics_that_are_missing_too_small_or_not_writable_are_named() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "faulty");
    setting.input = "faulty.nowhere".into();
    setting.alerts = "faulty.small".into();
    setting.dead_letters = "faulty.insync".into();
    broker.create_topic(
        &setting.alerts,
        1,
        &[
            ("max.message.bytes", "100000"),
            ("cleanup.policy", "compact"),
            ("retention.ms", "60000"),
        ],
    );
    broker.create_topic(
        &setting.dead_letters,
        1,
        &[("min.insync.replicas", "2"), ("retention.ms", "60000")],
    );
    let (code, checks) = examined(&setting, "");
    assert_eq!(code, Some(1));
    expect![[r"
        topic faulty.nowhere: it is not there -> mend kafka.input, or run: pythia topics create --with-input
        settings of faulty.small: cleanup.policy=compact retention.ms=60000: of each host only the newest record stays -> set cleanup.policy=delete on it
        record size of faulty.small: max.message.bytes=100000: an alert may have 998304, and is cut -> set max.message.bytes=998304 on it, or lower limits.event_bytes
        replicas of faulty.insync: 1 of 1 in sync, min.insync.replicas=2: nothing can be written -> give it 2 replicas, or lower min.insync.replicas
    "]]
    .assert_eq(&troubles(&checks, "fail"));
    let warned = troubles(&checks, "warn");
    assert!(warned.contains("settings of faulty.insync: cleanup.policy=delete retention.ms=60000: an outage of a day loses records"), "{warned}");

    // Dead letters keep less than the input takes.
    setting.input = "faulty.laurel".into();
    setting.dead_letters = "faulty.smalldlq".into();
    broker.create_topic(&setting.dead_letters, 1, &[("max.message.bytes", "40000")]);
    let (code, checks) = examined(&setting, "");
    assert_eq!(code, Some(1));
    let fails = troubles(&checks, "fail");
    let told = "record size of faulty.smalldlq: max.message.bytes=40000: the input takes 16000000, longer lines are kept cut -> set max.message.bytes=16000000 on it";
    assert!(fails.contains(told), "{fails}");
}

#[test]
fn wrong_passwords_strange_certificates_and_missing_rights_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = safety::free_port();
    let properties = safety::secured(folder.path(), port)
        + "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:ANONYMOUS\n";
    let Some(broker) = Broker::own("doctor", &properties) else {
        return;
    };
    let mut setting = Setting::new(&broker, "doctor");
    fleet::produce(&broker, &setting.input, &fleet::recorded(200));
    setting.bootstrap = format!("127.0.0.1:{port}");
    let path = folder.path().display();
    let security = |password: &str, ca: &str| {
        format!(
            "[kafka.security]\nprotocol = \"sasl_ssl\"\nca = \"{path}/{ca}\"\nmechanism = \"PLAIN\"\nusername = \"pythia\"\npassword = {password:?}\n"
        )
    };
    let (code, checks) = examined(&setting, &security("secret2", "ca.pem"));
    assert_eq!(code, Some(1));
    let fails = troubles(&checks, "fail");
    assert!(fails.contains("Invalid username or password"), "{fails}");
    assert!(
        fails.contains("check kafka.security.username and password"),
        "{fails}"
    );

    let (code, checks) = examined(&setting, &security("secret1", "broker.crt"));
    assert_eq!(code, Some(1));
    let fails = troubles(&checks, "fail");
    assert!(fails.contains("certificate verify failed"), "{fails}");
    assert!(fails.contains("kafka.security.ca must hold"), "{fails}");

    let (code, checks) = examined(&setting, "");
    assert_eq!(code, Some(1));
    let fails = troubles(&checks, "fail");
    assert!(
        fails.contains("check kafka.security.protocol"),
        "plaintext to a TLS port: {fails}"
    );

    let right = security("secret1", "ca.pem");
    let (code, checks) = examined(&setting, &right);
    assert_eq!(code, Some(1));
    let fails = |checks: &[Value]| {
        let address = format!("127.0.0.1:{port}");
        troubles(checks, "fail").replace(&address, "127.0.0.1:9092")
    };
    expect![[r"
        topic doctor.laurel: TopicAuthorizationFailed (Broker: Topic authorization failed) -> allow this user Describe and Read on topic doctor.laurel
        topic doctor.alerts: TopicAuthorizationFailed (Broker: Topic authorization failed) -> allow this user Describe and Write on topic doctor.alerts
        topic doctor.dlq: TopicAuthorizationFailed (Broker: Topic authorization failed) -> allow this user Describe and Write on topic doctor.dlq
        producer: Failed to acquire idempotence PID from broker sasl_ssl://127.0.0.1:9092/1: Broker: Cluster authorization failed -> allow Write on the output topics; before Kafka 3.0 also IdempotentWrite on the cluster
        group doctor.group: GroupAuthorizationFailed (Broker: Group authorization failed) -> allow this user Read on group doctor.group
    "]]
    .assert_eq(&fails(&checks));

    let allow = |what: &[&str]| {
        let arguments = [&["--add", "--allow-principal", "User:pythia"], what].concat();
        broker.tool("org.apache.kafka.tools.AclCommand", &arguments);
    };
    let prefixed = ["--topic", "doctor.", "--resource-pattern-type", "prefixed"];
    allow(&[&["--operation", "Describe"][..], &prefixed].concat());
    let (code, checks) = examined(&setting, &right);
    assert_eq!(code, Some(1));
    expect![[r"
        read doctor.laurel: TopicAuthorizationFailed (Broker: Topic authorization failed) -> allow this user Read on topic doctor.laurel
        write doctor.alerts: TopicAuthorizationFailed (Broker: Topic authorization failed) -> allow this user Write on topic doctor.alerts
        write doctor.dlq: TopicAuthorizationFailed (Broker: Topic authorization failed) -> allow this user Write on topic doctor.dlq
        producer: Failed to acquire idempotence PID from broker sasl_ssl://127.0.0.1:9092/1: Broker: Cluster authorization failed -> allow Write on the output topics; before Kafka 3.0 also IdempotentWrite on the cluster
        group doctor.group: GroupAuthorizationFailed (Broker: Group authorization failed) -> allow this user Read on group doctor.group
    "]]
    .assert_eq(&fails(&checks));

    // The least set of rights: what the service needs, and nothing else.
    allow(&[
        "--operation",
        "Read",
        "--topic",
        &setting.input,
        "--group",
        &setting.group,
    ]);
    allow(&[
        "--operation",
        "Write",
        "--topic",
        &setting.alerts,
        "--topic",
        &setting.dead_letters,
    ]);
    let (code, checks) = examined(&setting, &right);
    assert_eq!(code, Some(0), "{}", troubles(&checks, "fail"));
    let warned = troubles(&checks, "warn");
    assert!(
        warned.contains("allow this user DescribeConfigs on topic doctor.laurel"),
        "{warned}"
    );
    // And the service does run with them.
    let pythia = setting.start("one", &right);
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    // Whoever looks at the group of a running service does not disturb it.
    let rebalances = pythia.metric("pythia_kafka_rebalances_total");
    let (code, checks) = examined(&setting, &right);
    assert_eq!(code, Some(0), "{}", fails(&checks));
    assert_eq!(pythia.metric("pythia_kafka_rebalances_total"), rebalances);
    assert_eq!(pythia.metric("pythia_kafka_assigned_partitions"), Some(4.0));
    pythia.stop();
}

#[test]
fn brokers_without_the_new_group_protocol_are_named() {
    let Some(old) = Broker::own(
        "oldgroups",
        "group.coordinator.rebalance.protocols=classic\n",
    ) else {
        return;
    };
    let examined = |broker: &Broker, name: &str| {
        let setting = Setting::new(broker, name);
        let mut command = setting.command(&["doctor", "--output", "json", "--timeout", "5s"], "");
        command.env("PYTHIA__KAFKA__GROUP_PROTOCOL", "consumer");
        let output = command.output().expect("pythia runs");
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let checks = json["checks"].as_array().expect("a list").clone();
        let protocol = checks
            .into_iter()
            .find(|check| check["check"] == "group protocol");
        (output.status.code(), protocol.expect("it is looked at"))
    };
    let (code, check) = examined(&old, "oldgroups");
    assert_eq!(code, Some(1), "{check}");
    assert!(text(&check, "cure").contains("Kafka 4.0"), "{check}");
    let new = Broker::shared().expect("Java and Maven are there");
    let (code, check) = examined(new, "newgroups");
    assert_eq!((code, &check["state"]), (Some(0), &"ok".into()), "{check}");
}
