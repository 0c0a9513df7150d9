//! Pythia against a real Apache Kafka: `pythia run` as a child process, held against `pythia scan` of
//! the same lines.

mod capacity;
mod correlations;
mod dlq;
mod doctor;
mod faults;
mod fleet;
mod harness;
mod poison;
mod reload;
mod safety;
mod topics;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use fleet::{PARTITIONS, Record, Sent, Setting};
use harness::Broker;
use rdkafka::producer::Producer as _;
use serde_json::Value;

const LINES: usize = 20_000;

#[test]
fn run_gives_the_alerts_of_scan_and_every_line_is_accounted_for() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "parity");
    let (sent, refused) = with_hostile(fleet::recorded_and_over(LINES));
    fleet::produce(broker, &setting.input, &sent);
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    assert_metrics(&pythia, &sent, &refused, setting.scan(&sent).len());
    let summary = pythia.stop();

    assert_same_alerts(broker, &setting, &sent, 1);
    assert_same_dead_letters(broker, &setting, &refused);
    assert_adds_up(&summary, sent.len(), refused.len());
    for record in fleet::read_all(broker, &setting.alerts) {
        let alert = record.json();
        assert_eq!(
            record.key,
            alert["host"].as_str().unwrap_or_default().as_bytes(),
            "key = host"
        );
        assert_eq!(
            record.headers["ce_id"],
            alert["alert_id"].as_str().expect("an id")
        );
        assert_eq!(record.headers["ce_specversion"], "1.0");
        assert_eq!(
            record.headers["rule_id"],
            alert["rule"]["id"].as_str().expect("a rule")
        );
        let source = match &alert["correlation"] {
            Value::Null => &alert["source"],
            correlation => &correlation["events"][0]["source"],
        };
        assert_eq!(source["topic"], setting.input.as_str());
    }
}

#[test]
fn five_kills_in_mid_stream_lose_nothing() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "kills");
    let (sent, refused) = with_hostile(fleet::recorded_and_over(LINES));
    let feeding = Feeding::start(
        broker,
        &setting.input,
        sent.clone(),
        Duration::from_secs(15),
    );
    let mut pythia = setting.start("one", "");
    for kill in 1..=5 {
        let share = kill * LINES / 7;
        fleet::wait_for(
            broker,
            &setting.input,
            &setting.group,
            "some lines are committed",
            |progress| {
                let committed: i64 = progress.iter().map(|(at, _)| at).sum();
                committed >= i64::try_from(share).expect("a small number")
            },
        );
        pythia.assert_running();
        pythia.kill();
        pythia = setting.start("one", "");
    }
    feeding.finish();
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();

    assert_same_alerts(broker, &setting, &sent, 6);
    assert_same_dead_letters(broker, &setting, &refused);
}

#[test]
fn a_broker_that_is_away_for_ten_seconds_costs_nothing() {
    let Some(broker) = Broker::own("away", "") else {
        return;
    };
    let setting = Setting::new(&broker, "away");
    let sent = fleet::recorded_and_over(LINES);
    let feeding = Feeding::start(
        &broker,
        &setting.input,
        sent.clone(),
        Duration::from_secs(10),
    );
    let mut pythia = setting.start("one", "");
    fleet::wait_for(
        &broker,
        &setting.input,
        &setting.group,
        "some lines are committed",
        |progress| progress.iter().any(|(at, _)| *at > 100),
    );
    broker.kill();
    thread::sleep(Duration::from_secs(10));
    pythia.assert_running();
    broker.restart();
    feeding.finish();
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    pythia.stop();
    assert_same_alerts(&broker, &setting, &sent, 2);
}

#[test]
fn a_second_instance_comes_and_goes_while_lines_flow() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "second");
    let (sent, refused) = with_hostile(fleet::recorded_and_over(LINES));
    let feeding = Feeding::start(
        broker,
        &setting.input,
        sent.clone(),
        Duration::from_secs(20),
    );
    let mut first = setting.start("one", "");
    let committed = |share: usize| {
        fleet::wait_for(
            broker,
            &setting.input,
            &setting.group,
            "some lines are committed",
            |progress| {
                let committed: i64 = progress.iter().map(|(at, _)| at).sum();
                committed >= i64::try_from(share).expect("a small number")
            },
        );
    };
    committed(LINES / 5);
    let mut second = setting.start("two", "");
    committed(LINES / 2);
    first.assert_running();
    second.assert_running();
    let left = second.stop();
    assert!(
        left.iter()
            .any(|partition| partition["read"].as_u64() > Some(0)),
        "the second instance read lines: {left:?}"
    );
    feeding.finish();
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    first.stop();
    assert_same_alerts(broker, &setting, &sent, 2);
    assert_same_dead_letters(broker, &setting, &refused);
}

#[test]
fn a_lost_range_is_counted_and_skipped() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "lost");
    let sent = fleet::recorded(4_000);
    fleet::produce(broker, &setting.input, &sent);
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();

    fleet::produce(broker, &setting.input, &sent);
    let ends = fleet::progress(broker, &setting.input, &setting.group);
    let lost: i64 = ends
        .iter()
        .map(|(committed, end)| (end - committed) / 2)
        .sum();
    let mut below = rdkafka::TopicPartitionList::new();
    for (partition, (committed, end)) in (0..PARTITIONS).zip(&ends) {
        let offset = rdkafka::Offset::Offset(committed + (end - committed) / 2);
        below
            .add_partition_offset(&setting.input, partition, offset)
            .expect("a valid offset");
    }
    let options = rdkafka::admin::AdminOptions::new();
    harness::block_on(broker.admin().delete_records(&below, &options))
        .expect("records are deleted");

    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let summary = pythia.stop();
    let counted: i64 = summary
        .iter()
        .map(|p| p["lost"].as_i64().expect("a number"))
        .sum();
    assert_eq!(counted, lost, "{summary:?}");
    assert!(lost > 0);
}

/// Spreads the hostile lines over the stream; gives all lines and the hostile ones with their reasons.
fn with_hostile(mut sent: Vec<Sent>) -> (Vec<Sent>, Vec<(&'static str, Vec<u8>)>) {
    let hostile = fleet::hostile();
    for (n, (_, line)) in hostile.iter().enumerate() {
        let at = (n + 1) * sent.len() / (hostile.len() + 2);
        let host = sent[at].host.clone();
        sent.insert(
            at,
            Sent {
                host,
                line: line.clone(),
            },
        );
    }
    (sent, hostile)
}

/// Ids, rules and all that the alerts tell are those of `scan`, parents from the process cache too; each alert lies on the topic at most `copies` times.
fn assert_same_alerts(broker: &Broker, setting: &Setting, sent: &[Sent], copies: usize) {
    let expected = setting.scan(sent);
    let found = setting.alerts(broker);
    let by_rule = |rules: Vec<&String>| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for rule in rules {
            *counts.entry(rule.clone()).or_default() += 1;
        }
        counts
    };
    let (run, scan) = (
        found.values().map(|(told, _)| &told.rule),
        expected.values().map(|told| &told.rule),
    );
    assert_eq!(
        by_rule(run.collect()),
        by_rule(scan.collect()),
        "alerts by rule: run, scan"
    );
    let ids: Vec<&String> = found.keys().collect();
    assert_eq!(
        ids,
        expected.keys().collect::<Vec<_>>(),
        "alert ids: run, scan"
    );
    for (id, (told, _)) in &found {
        assert_eq!(told.body, expected[id].body, "alert {id}: run, scan");
    }
    let most = found.values().map(|(_, count)| *count).max().unwrap_or(0);
    assert!(most <= copies, "an alert lies there {most} times");
}

/// The dead letters are exactly the hostile records of the input, each with its reason and its bytes.
fn assert_same_dead_letters(
    broker: &Broker,
    setting: &Setting,
    refused: &[(&'static str, Vec<u8>)],
) {
    let reason = |record: &Record| {
        refused
            .iter()
            .find(|(_, line)| *line == record.value)
            .map(|(reason, _)| *reason)
    };
    let input = fleet::read_all(broker, &setting.input);
    let expected: BTreeMap<(i32, i64), String> = input
        .iter()
        .filter_map(|r| Some(((r.partition, r.offset), reason(r)?.to_owned())))
        .collect();
    assert_eq!(expected.len(), refused.len());
    assert_eq!(setting.dead_letters(broker), expected);
    for letter in fleet::read_all(broker, &setting.dead_letters) {
        assert!(
            reason(&letter).is_some(),
            "the original bytes lie on the dead-letter topic: {:?}",
            letter.headers
        );
        assert!(!letter.key.is_empty(), "the original key too");
    }
}

/// The pages tell what has happened.
fn assert_metrics(
    pythia: &fleet::Pythia,
    sent: &[Sent],
    refused: &[(&'static str, Vec<u8>)],
    alerts: usize,
) {
    assert_eq!(pythia.page("/healthz").0, 200);
    assert_eq!(pythia.page("/readyz").0, 200);
    assert_eq!(pythia.page("/nothing").0, 404);
    let count = |n: usize| Some(f64::from(u32::try_from(n).expect("a small number")));
    assert_eq!(pythia.metric("pythia_lines_total"), count(sent.len()));
    assert_eq!(
        pythia.metric("pythia_events_total"),
        count(sent.len() - refused.len())
    );
    assert_eq!(pythia.metric("pythia_dlq_total"), count(refused.len()));
    assert_eq!(pythia.metric("pythia_alerts_total"), count(alerts));
    // What only feeds correlations matches and does not alert.
    assert!(pythia.metric("pythia_matches_total") > count(alerts));
    let candidates = pythia.metric("pythia_rule_candidates_total");
    assert!(candidates >= pythia.metric("pythia_matches_total"));
    assert!(pythia.metric("pythia_rule_verifications_total") >= candidates);
    assert!(pythia.metric("pythia_rule_last_match_timestamp_seconds") > Some(1.7e9));
    assert!(pythia.metric("pythia_engine_cpu_seconds_total") > Some(0.0));
    assert_eq!(pythia.metric("pythia_kafka_assigned_partitions"), count(4));
    assert_eq!(pythia.metric("pythia_ruleset_info"), Some(1.0));
    assert!(pythia.metric("pythia_kafka_lag_seconds") > Some(0.0));
    assert!(pythia.metric("pythia_views_total") > Some(0.0));
    let bytes = sent
        .iter()
        .map(|sent| sent.line.len() + sent.host.len())
        .sum::<usize>();
    assert_eq!(pythia.metric("pythia_bytes_total"), count(bytes));
    let lag = (0..100).find_map(|_| {
        thread::sleep(Duration::from_millis(100));
        pythia.metric("pythia_kafka_lag")
    });
    assert_eq!(lag, Some(0.0), "everything is committed");
}

/// At a clean stop, per partition: read = evaluated + dead-lettered + dropped.
fn assert_adds_up(summary: &[Value], read: usize, dead: usize) {
    let number = |partition: &Value, name: &str| {
        partition[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {partition}"))
    };
    for p in summary {
        let sum = number(p, "evaluated") + number(p, "dead_lettered") + number(p, "dropped");
        assert_eq!(number(p, "read"), sum, "{p}");
    }
    let total = |name: &str| summary.iter().map(|p| number(p, name)).sum::<u64>();
    assert_eq!(total("read"), read as u64, "{summary:?}");
    assert_eq!(total("dead_lettered"), dead as u64, "{summary:?}");
}

/// Sends lines evenly over some time, from a thread of its own.
struct Feeding(thread::JoinHandle<()>);

impl Feeding {
    fn start(broker: &Broker, topic: &str, sent: Vec<Sent>, over: Duration) -> Self {
        let (topic, producer) = (topic.to_owned(), fleet::producer(broker));
        Self(thread::spawn(move || {
            let pieces = 100;
            for piece in sent.chunks(sent.len().div_ceil(pieces)) {
                for sent in piece {
                    fleet::send(&producer, &topic, sent);
                }
                producer
                    .flush(Duration::from_secs(30))
                    .expect("all lines are delivered");
                thread::sleep(over / u32::try_from(pieces).expect("a small number"));
            }
        }))
    }

    fn finish(self) {
        self.0.join().expect("all lines were sent");
    }
}
