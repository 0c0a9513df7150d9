//! What goes wrong around the service: topics that are missing or too small, retention that overtakes it,
//! brokers that are away, members of the same name, transactions in the input.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::fleet::{self, PARTITIONS, Sent, Setting};
use super::harness::{self, Broker};

/// Lines that give an alert: a Perl one-liner that opens a network shell, with this much ballast.
fn shells(count: usize, ballast: usize) -> Vec<Sent> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letters = |len: usize| -> String {
        let mut letter = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            char::from(b'a' + u8::try_from(noise % 26).expect("small"))
        };
        (0..len).map(|_| letter()).collect()
    };
    let mut line = |n: usize| {
        let ballast = letters(ballast);
        format!(
            r#"{{"ID":"17000000{n:02}.123:{n}","EXECVE":{{"argc":4,"ARGV":["perl","-e","use Socket; exec","{ballast}"]}}}}"#
        )
    };
    (0..count)
        .map(|n| Sent {
            host: "web-01".into(),
            line: line(n).into_bytes(),
        })
        .collect()
}

#[test]
fn a_missing_alerts_topic_ends_the_service_and_commits_nothing_beyond() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "missing");
    setting.alerts = "missing.nowhere".into();
    fleet::produce(broker, &setting.input, &shells(3, 0));
    let quick = "[kafka.producer]\n\"topic.metadata.propagation.max.ms\" = 500\n\"message.timeout.ms\" = 5000\n";
    let mut pythia = setting.start("one", quick);
    assert_eq!(
        pythia.wait_for_end(Duration::from_secs(40)),
        3,
        "{}",
        pythia.log()
    );
    assert!(
        pythia.log().contains("missing.nowhere cannot be delivered"),
        "{}",
        pythia.log()
    );
    let committed: i64 = fleet::progress(broker, &setting.input, &setting.group)
        .iter()
        .map(|(at, _)| at)
        .sum();
    assert_eq!(
        committed, 0,
        "no line whose alert is not delivered is committed"
    );
}

/// Nobody takes the alerts for longer than the producer's patience: the service ends, and whoever starts it
/// again loses nothing.
#[test]
fn an_alert_that_times_out_ends_the_service_and_its_line_is_read_again() {
    let Some(broker) = Broker::own("patience", "") else {
        return;
    };
    let setting = Setting::new(&broker, "patience");
    let sent = shells(3, 0);
    fleet::produce(&broker, &setting.input, &sent);
    // The alerts are in the producer's queue, and not on their way yet, when the broker goes.
    let lingering = "[kafka.producer]\n\"linger.ms\" = 3000\n\"message.timeout.ms\" = 6000\n";
    let mut pythia = setting.start("one", lingering);
    while pythia.metric("pythia_alerts_total") < Some(3.0) {
        thread::sleep(fleet::BUSY);
    }
    broker.kill();
    let ended = pythia.wait_for_end(Duration::from_secs(40));
    assert_eq!(ended, 3, "{}", pythia.log());
    let log = pythia.log();
    assert!(log.contains("patience.alerts cannot be delivered"), "{log}");
    broker.restart();
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    pythia.stop();
    assert_eq!(setting.alerts(&broker).len(), setting.scan(&sent).len());
}

#[test]
fn a_record_too_large_for_its_topic_is_cut_and_arrives() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "large");
    setting.alerts = "large.small-alerts".into();
    setting.dead_letters = "large.small-dlq".into();
    for topic in [&setting.alerts, &setting.dead_letters] {
        broker.create_topic(topic, 1, &[("max.message.bytes", "40000")]);
    }
    let mut sent = shells(2, 300_000);
    let broken = format!(
        "{{\"ID\":{}",
        String::from_utf8_lossy(&shells(1, 300_000)[0].line)
    );
    sent.push(Sent {
        host: "web-01".into(),
        line: broken.clone().into_bytes(),
    });
    fleet::produce(broker, &setting.input, &sent);
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let cuts = pythia.metric(r#"pythia_limits_total{limit="message_bytes"}"#);
    assert!(cuts >= Some(3.0), "each cut counts: {cuts:?}");
    pythia.stop();
    let alerts = fleet::read_all(broker, &setting.alerts);
    assert_eq!(alerts.len(), 2);
    for alert in alerts {
        let alert = alert.json();
        assert_eq!(alert["event_truncated"], true);
        let event = alert["event"].as_str().expect("a text");
        assert!(
            event.len() > 1_000 && event.starts_with(r#"{"ID":"17000000"#),
            "{} bytes are left",
            event.len()
        );
    }
    let letters = fleet::read_all(broker, &setting.dead_letters);
    assert_eq!(letters.len(), 1);
    assert_eq!(
        letters[0].headers["pythia.value.bytes"],
        broken.len().to_string()
    );
    assert!(
        letters[0].value.len() > 1_000 && broken.as_bytes().starts_with(&letters[0].value),
        "its head is kept"
    );
}

#[test]
fn retention_that_overtakes_a_running_consumer_is_counted() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "overtaken");
    let sent = fleet::recorded(2_000);
    fleet::produce(broker, &setting.input, &sent);
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.signal("-STOP");
    fleet::produce(broker, &setting.input, &sent);
    let ends = fleet::progress(broker, &setting.input, &setting.group);
    let mut below = TopicPartitionList::new();
    for (partition, (_, end)) in (0..PARTITIONS).zip(&ends) {
        below
            .add_partition_offset(&setting.input, partition, Offset::Offset(*end))
            .expect("a valid offset");
    }
    harness::block_on(broker.admin().delete_records(&below, &AdminOptions::new()))
        .expect("records are deleted");
    pythia.signal("-CONT");
    fleet::produce(broker, &setting.input, &sent);
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let summary = pythia.stop();
    let total = |name: &str| {
        summary
            .iter()
            .map(|p| p[name].as_i64().expect("a number"))
            .sum::<i64>()
    };
    // What the client had fetched before it was stopped is read, not lost: together they are all lines.
    assert_eq!(total("read") + total("lost"), 6_000, "{summary:?}");
    assert!(total("lost") > 0, "{summary:?}");
}

#[test]
fn the_shutdown_deadline_holds_while_the_broker_is_away() {
    let Some(broker) = Broker::own("deadline", "") else {
        return;
    };
    let setting = Setting::new(&broker, "deadline");
    fleet::produce(&broker, &setting.input, &fleet::recorded(2_000));
    let mut pythia = setting.start("one", "[engine]\nshutdown_deadline = \"3s\"\n");
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    fleet::produce(&broker, &setting.input, &shells(50, 0));
    broker.kill();
    thread::sleep(Duration::from_secs(1));
    let asked = Instant::now();
    pythia.signal("-TERM");
    pythia.wait_for_end(Duration::from_secs(12));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        asked.elapsed()
    );
}

#[test]
fn a_second_member_of_the_same_name_ends_the_first() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "twice");
    fleet::produce(broker, &setting.input, &fleet::recorded(500));
    let mut first = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let second = setting.start("one", "");
    assert_eq!(
        first.wait_for_end(Duration::from_secs(40)),
        3,
        "{}",
        first.log()
    );
    fleet::produce(broker, &setting.input, &fleet::recorded(500));
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    second.stop();
}

#[test]
fn topics_are_found_by_a_regular_expression() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "regex");
    let topic = setting.input.clone();
    broker.create_topic("regex.other", PARTITIONS, &[]);
    fleet::produce(broker, &topic, &shells(5, 0));
    fleet::produce(broker, "regex.other", &shells(7, 0));
    setting.input = "^regex\\\\.lau.*".into();
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &topic, &setting.group);
    let summary = pythia.stop();
    assert!(
        summary
            .iter()
            .all(|partition| partition["topic"] == topic.as_str()),
        "{summary:?}"
    );
    assert_eq!(
        summary
            .iter()
            .map(|p| p["read"].as_u64().expect("a number"))
            .sum::<u64>(),
        5
    );
}

#[test]
fn the_new_group_protocol_works_too() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "kip848");
    let sent = shells(20, 0);
    fleet::produce(broker, &setting.input, &sent);
    let pythia = setting.start_with_protocol("consumer");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();
    assert_eq!(setting.alerts(broker).len(), setting.scan(&sent).len());
}

#[test]
fn aborted_lines_are_not_read_and_markers_leave_no_lag() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "transactions");
    let mut config = broker.client();
    config
        .set("transactional.id", "transactions.producer")
        .set("transaction.timeout.ms", "10000");
    let producer: BaseProducer = config.create().expect("a producer needs no broker");
    let timeout = Duration::from_secs(20);
    producer
        .init_transactions(timeout)
        .expect("the coordinator answers");
    let lines = shells(9, 0);
    for (n, lines) in lines.chunks(3).enumerate() {
        producer.begin_transaction().expect("a transaction");
        for sent in lines {
            fleet::send(&producer, &setting.input, sent);
        }
        producer.flush(timeout).expect("all lines are delivered");
        match n {
            1 => producer.abort_transaction(timeout).expect("it aborts"),
            _ => producer.commit_transaction(timeout).expect("it commits"),
        }
    }
    let pythia = setting.start("one", "");
    // The end of the partition is a marker: it is committed too.
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let summary = pythia.stop();
    assert_eq!(
        summary
            .iter()
            .map(|p| p["read"].as_u64().expect("a number"))
            .sum::<u64>(),
        6,
        "{summary:?}"
    );
}

/// The group has read up to behind the parent's start, hours ago. Who goes on there reads the minutes
/// before that offset once more, not the last minutes of now, so that the child's alert names its parent.
#[test]
fn a_partition_that_lags_for_hours_knows_the_processes_from_before_its_start() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "warmup");
    let parent = r#"{"ID":"1700000000.100:10","SYSCALL":{"PID":{"EVENT_ID":"1700000000.100:10","comm":"sh","exe":"/bin/sh"}},"EXECVE":{"argc":2,"ARGV":["sh","/opt/job"]}}"#;
    let child = r#"{"ID":"1700000060.200:11","SYSCALL":{"PPID":{"EVENT_ID":"1700000000.100:10","comm":"sh","exe":"/bin/sh"}},"EXECVE":{"argc":3,"ARGV":["perl","-e","use Socket; exec"]}}"#;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now =
        i64::try_from(now.expect("after 1970").as_millis()).expect("before the year 292 million");
    let minutes_ago = |minutes: i64| now - minutes * 60_000;
    let producer = fleet::producer(broker);
    for (line, minutes) in [(parent, 180), (child, 179), ("{}", 90)] {
        let record = BaseRecord::to(&setting.input).key("web-01").payload(line);
        let sent = producer.send(record.timestamp(minutes_ago(minutes)));
        sent.map_err(|(error, _)| error).expect("sent");
        producer.flush(Duration::from_secs(20)).expect("delivered");
    }
    let records = fleet::read_all(broker, &setting.input);
    let mut behind_parent = TopicPartitionList::new();
    behind_parent
        .add_partition_offset(&setting.input, records[0].partition, Offset::Offset(1))
        .expect("a valid offset");
    let mut group = broker.client();
    let group: BaseConsumer = group
        .set("group.id", &setting.group)
        .create()
        .expect("a consumer");
    group
        .commit(&behind_parent, CommitMode::Sync)
        .expect("an empty group takes offsets");
    drop(group);

    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    assert_eq!(pythia.metric("pythia_warmup_lines_total"), Some(1.0));
    let summary = pythia.stop();
    let read: u64 = summary.iter().filter_map(|p| p["read"].as_u64()).sum();
    assert_eq!(read, 2, "warm-up lines do not count as read");
    let alerts = fleet::read_all(broker, &setting.alerts);
    let parents: Vec<_> = alerts
        .iter()
        .map(|alert| alert.json()["process"]["parent"]["command_line"].clone())
        .collect();
    assert!(!parents.is_empty());
    assert!(parents.iter().all(|p| p == "sh /opt/job"), "{parents:?}");
}
