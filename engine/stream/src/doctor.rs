//! The doctor: asks the brokers everything that the service needs of them, and says of each fault what it
//! is and what mends it.
//!
//! Leaves nothing behind. Reading is tried by reading. Writing is tried by a produce request that asks for
//! an impossible number of acknowledgements: the broker checks whether the topic may be written before it
//! refuses that, and stores nothing. The group is tried by committing an offset of a partition that no topic
//! has: the broker checks the group before it refuses that. So neither the group's members nor any reader
//! of the topics notices.
//!
//! What it does not ask: the brokers' clock, which no answer carries.

use std::sync::Arc;
use std::time::Duration;

use event::{Decoder, Fields, Profile};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use regex_automata::meta::Regex;

use crate::admin::{Admin, Topic};
use crate::options::{GroupProtocol, Input, Options, builtin_features};
use crate::{Connection, OperatorError};

mod probe;
mod sample;

/// Features of the client library without which some cluster or some shipper cannot be read.
const FEATURES: [&str; 4] = ["ssl", "sasl_scram", "zstd", "lz4"];

/// A shorter retention is told: an outage of a day would lose records.
const RETENTION_MS: i64 = 24 * 3600 * 1000;

/// Bytes that an alert may have beside its event, and with it at most: as the engine bounds them.
const ALERT_REST_BYTES: u64 = 96 * 1024;
const ALERT_BYTES: u64 = 1_000_000;

/// Topics of a pattern that are looked at.
const TOPICS_MAX: usize = 20;

/// What the doctor is told beside the service's options.
#[derive(Clone, Debug)]
pub struct Patient {
    /// How lines look.
    pub profile: Arc<Profile>,
    /// The longest line that is evaluated.
    pub line_bytes: u64,
    /// The longest event in an alert.
    pub event_bytes: u64,
    /// Newest lines of each partition that are looked at for hosts.
    pub sample: u32,
    /// How long each question may take.
    pub timeout: Duration,
}

/// What came out of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Ok,
    /// The service runs, with a reservation.
    Warn,
    /// The service does not run, or loses something.
    Fail,
}

impl State {
    /// `ok`, `warn`, `fail`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, such as `topic laurel`.
    pub name: String,
    /// What came out.
    pub state: State,
    /// What was found; of a fault: its cause.
    pub found: String,
    /// What mends it; `None` if all is well.
    pub cure: Option<String>,
}

#[derive(Debug, Default)]
struct Report(Vec<Check>);

impl Report {
    fn ok(&mut self, name: impl Into<String>, found: impl Into<String>) {
        self.add(name, State::Ok, found, None);
    }

    fn warn(&mut self, name: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) {
        self.add(name, State::Warn, found, Some(cure.into()));
    }

    fn fail(&mut self, name: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) {
        self.add(name, State::Fail, found, Some(cure.into()));
    }

    fn add(
        &mut self,
        name: impl Into<String>,
        state: State,
        found: impl Into<String>,
        cure: Option<String>,
    ) {
        self.0.push(Check {
            name: name.into(),
            state,
            found: found.into(),
            cure,
        });
    }
}

/// Looks at everything, in the order in which the service needs it.
pub fn examine(options: &Options, patient: &Patient) -> Vec<Check> {
    let mut report = Report::default();
    features(&mut report);
    let connection = match Connection::new(options, patient.timeout) {
        Ok(connection) => connection,
        Err(OperatorError::Unreachable(why)) => {
            report.fail("brokers", why.cause, why.cure);
            return report.0;
        }
        Err(error) => {
            let cure = "check [kafka.librdkafka], [kafka.consumer] and [kafka.security]";
            report.fail("brokers", told(&error), cure);
            return report.0;
        }
    };
    let brokers = brokers(&connection, options, &mut report);
    let admin = match Admin::new(&connection, options) {
        Ok(admin) => admin,
        Err(error) => {
            report.fail("brokers", told(&error), "check [kafka.librdkafka]");
            return report.0;
        }
    };
    let mut examination = Examination {
        options,
        patient,
        connection: &connection,
        admin: &admin,
        brokers,
        report,
    };
    examination.topics();
    examination.group();
    examination.report.0
}

fn features(report: &mut Report) {
    let built = builtin_features();
    let missing: Vec<&str> = FEATURES
        .into_iter()
        .filter(|needed| !built.iter().any(|feature| feature == needed))
        .collect();
    if missing.is_empty() {
        report.ok("client library", built.join(", "));
    } else {
        let found = format!("built without {}", missing.join(", "));
        report.fail(
            "client library",
            found,
            "build pythia with its own Cargo.toml",
        );
    }
}

/// How many brokers there are.
fn brokers(connection: &Connection, options: &Options, report: &mut Report) -> usize {
    let metadata = match connection.metadata(Some(&options.alerts)) {
        Ok(metadata) => metadata,
        Err(error) => {
            report.fail(
                "brokers",
                error.to_string(),
                "ask again: they answered just now",
            );
            return 0;
        }
    };
    let addresses: Vec<String> = metadata
        .brokers()
        .iter()
        .map(|broker| format!("{}:{}", broker.host(), broker.port()))
        .collect();
    let found = format!("{} answer: {}", addresses.len(), addresses.join(", "));
    if addresses.len() == 1 {
        let found = format!("1 answers: {}; while it is away nothing runs", addresses[0]);
        report.warn(
            "brokers",
            found,
            "run three, with three replicas of each topic",
        );
    } else {
        report.ok("brokers", found);
    }
    addresses.len()
}

struct Examination<'a> {
    options: &'a Options,
    patient: &'a Patient,
    connection: &'a Connection,
    admin: &'a Admin<'a>,
    brokers: usize,
    report: Report,
}

impl Examination<'_> {
    fn topics(&mut self) {
        let inputs = self.inputs();
        let mut largest = None;
        for topic in &inputs {
            let Some(found) = self.topic(
                topic,
                "Read",
                "mend kafka.input, or run: pythia topics create --with-input",
            ) else {
                continue;
            };
            largest = largest.max(found.number("max.message.bytes"));
            self.settings(topic, &found);
            self.input_size(topic, &found);
            self.lines(topic, &found);
        }
        let outputs = [&self.options.alerts, &self.options.dead_letters];
        for topic in outputs {
            let Some(found) = self.topic(topic, "Write", "run: pythia topics create") else {
                continue;
            };
            self.settings(topic, &found);
            if *topic == self.options.alerts {
                self.alert_size(topic, &found);
            } else {
                self.letter_size(topic, &found, largest);
            }
            self.in_sync(topic, &found);
            self.write(topic, &found);
        }
        self.idempotence();
    }

    /// The topics that are read. Those of a pattern are found by our own regular expressions, which differ
    /// from the client's only in what no topic's name needs.
    fn inputs(&mut self) -> Vec<String> {
        let pattern = match &self.options.input {
            Input::Topics(topics) => return topics.clone(),
            Input::Pattern(pattern) => pattern,
        };
        let name = format!("input {pattern}");
        let regex = match Regex::new(pattern) {
            Ok(regex) => regex,
            Err(error) => {
                self.report
                    .fail(name, error.to_string(), "mend kafka.input");
                return Vec::new();
            }
        };
        let metadata = match self.connection.metadata(None) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.report.fail(name, said(&error), "ask again");
                return Vec::new();
            }
        };
        let outputs = [&self.options.alerts, &self.options.dead_letters];
        let mut topics: Vec<String> = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned())
            .filter(|topic| regex.is_match(topic) && !outputs.contains(&topic))
            .collect();
        topics.sort();
        let count = topics.len();
        topics.truncate(TOPICS_MAX);
        match count {
            0 => self.report.fail(
                name,
                "no topic that this user may describe has such a name",
                "mend kafka.input, or allow Describe on the topics",
            ),
            _ if count > TOPICS_MAX => {
                let found = format!("{count} topics; the first {TOPICS_MAX} are looked at");
                self.report.ok(name, found);
            }
            _ => self.report.ok(name, self::count(count, "topic")),
        }
        topics
    }

    /// Whether the topic is there with a leader for each partition.
    fn topic(&mut self, topic: &str, right: &str, create: &str) -> Option<Topic> {
        let name = format!("topic {topic}");
        let found = match self.admin.describe(topic) {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.report.fail(name, "it is not there", create);
                return None;
            }
            Err(error) if is_denied(&error) => {
                let cure = format!("allow this user Describe and {right} on topic {topic}");
                self.report.fail(name, said(&error), cure);
                return None;
            }
            Err(error) => {
                self.report.fail(name, said(&error), REACH);
                return None;
            }
        };
        let partitions = found.partitions.len();
        let orphans = found.partitions.iter().filter(|p| !p.has_leader).count();
        let says = format!(
            "{}, {}",
            count(partitions, "partition"),
            count(found.replication(), "replica")
        );
        if orphans > 0 {
            let cure = "start the brokers that hold them";
            let says = format!("{says}; {} without a leader", count(orphans, "partition"));
            self.report.fail(name, says, cure);
        } else if found.replication() == 1 && self.brokers > 1 {
            let cure = "give it three replicas";
            let says = format!("{says}; what its broker loses is lost");
            self.report.warn(name, says, cure);
        } else {
            self.report.ok(name, says);
        }
        Some(found)
    }

    /// `cleanup.policy` and `retention.ms`.
    fn settings(&mut self, topic: &str, found: &Topic) {
        let name = format!("settings of {topic}");
        let Some(settings) = &found.settings else {
            let cure = format!("allow this user DescribeConfigs on topic {topic}");
            let found = "they may not be read, and sizes are not compared";
            self.report.warn(name, found, cure);
            return;
        };
        let policy = settings.get("cleanup.policy").map_or("", String::as_str);
        let retention = found.number("retention.ms").unwrap_or(-1);
        let says = format!("cleanup.policy={policy} retention.ms={retention}");
        if policy.contains("compact") {
            let says = format!("{says}: of each host only the newest record stays");
            self.report
                .fail(name, says, "set cleanup.policy=delete on it");
        } else if (0..RETENTION_MS).contains(&retention) {
            let says = format!("{says}: an outage of a day loses records");
            let cure = format!("set retention.ms={RETENTION_MS} or more on it");
            self.report.warn(name, says, cure);
        } else {
            self.report.ok(name, says);
        }
    }

    fn input_size(&mut self, topic: &str, found: &Topic) {
        let Some(max) = size(found) else { return };
        let name = format!("record size of {topic}");
        let limit = self.patient.line_bytes;
        if max > limit {
            let says = format!("max.message.bytes={max}: lines above {limit} are dead letters");
            let cure = "raise limits.line_bytes, or lower the topic's max.message.bytes";
            self.report.warn(name, says, cure);
        } else {
            self.report.ok(name, format!("max.message.bytes={max}"));
        }
    }

    fn alert_size(&mut self, topic: &str, found: &Topic) {
        let Some(max) = size(found) else { return };
        let name = format!("record size of {topic}");
        let needed = (self.patient.event_bytes + ALERT_REST_BYTES).min(ALERT_BYTES);
        if max < needed {
            let says = format!("max.message.bytes={max}: an alert may have {needed}, and is cut");
            let cure = format!("set max.message.bytes={needed} on it, or lower limits.event_bytes");
            self.report.fail(name, says, cure);
        } else {
            self.report.ok(name, format!("max.message.bytes={max}"));
        }
    }

    /// Dead letters are to keep the whole record, or they cannot be replayed.
    fn letter_size(&mut self, topic: &str, found: &Topic, largest_input: Option<i64>) {
        let Some(max) = size(found) else { return };
        let name = format!("record size of {topic}");
        let says = format!("max.message.bytes={max}");
        let needed = largest_input.and_then(|bytes| u64::try_from(bytes).ok());
        let producer = self.options.producer();
        let sent: u64 = producer
            .get("message.max.bytes")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(u64::MAX);
        match needed {
            Some(needed) if max < needed => {
                let says = format!("{says}: the input takes {needed}, longer lines are kept cut");
                let cure = format!("set max.message.bytes={needed} on it");
                self.report.fail(name, says, cure);
            }
            Some(needed) if sent < needed => {
                let says = format!("the producer sends {sent}: the input takes {needed}");
                let cure = "raise message.max.bytes in [kafka.producer]";
                self.report.warn(name, says, cure);
            }
            _ => self.report.ok(name, says),
        }
    }

    /// Whether `acks=all` can be had.
    fn in_sync(&mut self, topic: &str, found: &Topic) {
        let Some(min) = found
            .number("min.insync.replicas")
            .and_then(|min| usize::try_from(min).ok())
        else {
            return;
        };
        let name = format!("replicas of {topic}");
        let in_sync = found.partitions.iter().map(|partition| partition.in_sync);
        let in_sync = in_sync.min().unwrap_or(0);
        let replicas = found.replication();
        let says = format!("{in_sync} of {replicas} in sync, min.insync.replicas={min}");
        if replicas < min {
            let cure = format!("give it {min} replicas, or lower min.insync.replicas");
            self.report
                .fail(name, says + ": nothing can be written", cure);
        } else if in_sync < min {
            let cure = "start the brokers that are away";
            self.report
                .fail(name, says + ": nothing can be written", cure);
        } else if replicas == min && replicas > 1 {
            let cure = "give it one more replica, or lower min.insync.replicas";
            self.report
                .warn(name, says + ": no broker may be away", cure);
        } else {
            self.report.ok(name, says);
        }
    }

    /// Reads the newest lines: the right to read, whether they are events, and their hosts.
    fn lines(&mut self, topic: &str, found: &Topic) {
        let name = format!("read {topic}");
        let profile = Arc::clone(&self.patient.profile);
        let mut decoder = Decoder::new(profile, Arc::new(Fields::default()));
        let mut hosts = sample::Hosts::default();
        let read = sample::newest(
            self.connection,
            topic,
            found,
            self.patient.sample,
            |message| {
                hosts.add(&mut decoder, message);
            },
        );
        match read {
            Ok(()) => {}
            Err(sample::Unread::Kafka(error)) if is_denied(&error) => {
                let cure = format!("allow this user Read on topic {topic}");
                self.report.fail(name, said(&error), cure);
                return;
            }
            Err(sample::Unread::Kafka(error)) => {
                self.report.fail(name, said(&error), REACH);
                return;
            }
            Err(sample::Unread::Silent) => {
                let seconds = self.patient.timeout.as_secs();
                let said = self.connection.consumer.context().list();
                let reason = said.last().map_or("", |(_, reason)| reason);
                let says = format!("nothing came within {seconds} s {reason}");
                drop(said);
                self.report.fail(name, says, REACH);
                return;
            }
        }
        let says = format!(
            "{} newest lines, {} of them events",
            hosts.lines, hosts.events
        );
        if hosts.lines > 0 && hosts.events == 0 {
            let cure = "check that shippers send Laurel's lines there, and source.envelope";
            self.report.warn(name, says, cure);
        } else {
            self.report.ok(name, says);
        }
        if found.partitions.len() > 1 && hosts.events > 0 {
            self.hosts(topic, &hosts);
        }
    }

    fn hosts(&mut self, topic: &str, hosts: &sample::Hosts) {
        let name = format!("hosts of {topic}");
        let spread = hosts.spread();
        let all = hosts.partitions.len();
        let Some((host, partitions)) = spread.first() else {
            let says = format!("{}, each on one partition", count(all, "host"));
            self.report.ok(name, says);
            return;
        };
        let host = String::from_utf8_lossy(host);
        let list: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        let says = format!(
            "unkeyed input: {} of {all} hosts lie on several partitions, such as {host} on {}",
            spread.len(),
            list.join(", ")
        );
        let cure = "shippers must send the host as the record's key: parents of processes are not found otherwise";
        self.report.warn(name, says, cure);
    }

    /// The right to write, and that the broker takes records at all.
    fn write(&mut self, topic: &str, found: &Topic) {
        let name = format!("write {topic}");
        let Some(partition) = found.partitions.iter().find(|p| p.has_leader) else {
            return;
        };
        match probe::write(self.options, topic, partition.id, self.patient.timeout) {
            Ok(probe::Written::Refused) => self.report.ok(name, "allowed"),
            Ok(probe::Written::Stored) => {
                let cure = "readers of the topic skip it: it has no key and no value";
                self.report
                    .warn(name, "allowed; the probe was stored", cure);
            }
            Err(error) if is_denied(&error) => {
                let cure = format!("allow this user Write on topic {topic}");
                self.report.fail(name, said(&error), cure);
            }
            Err(error) => self.report.fail(name, said(&error), REACH),
        }
    }

    /// The service's producer gets its identity from the broker, for which old ones want a right of its own.
    fn idempotence(&mut self) {
        match probe::identity(self.options, self.patient.timeout) {
            Ok(()) => self
                .report
                .ok("producer", "idempotent, acks=all: not refused"),
            Err(probe::Identity::Client(error)) => {
                let cure = "check [kafka.producer]";
                self.report.fail("producer", told(&error), cure);
            }
            Err(probe::Identity::Denied(reason)) => {
                let cure = "allow Write on the output topics; before Kafka 3.0 also IdempotentWrite on the cluster";
                self.report.fail("producer", reason, cure);
            }
        }
    }

    fn group(&mut self) {
        let group = &self.options.group;
        let name = format!("group {group}");
        let topic = match &self.options.input {
            Input::Topics(topics) => topics.first().unwrap_or(&self.options.alerts),
            Input::Pattern(_) => &self.options.alerts,
        };
        match probe::group(self.connection, topic) {
            Ok(()) => self.report.ok(name, "allowed"),
            Err(error) if is_denied(&error) => {
                let cure = format!("allow this user Read on group {group}");
                self.report.fail(name, said(&error), cure);
                return;
            }
            Err(error) => {
                self.report.fail(name, said(&error), REACH);
                return;
            }
        }
        if self.options.group_protocol == GroupProtocol::Consumer {
            let timeout = self.patient.timeout;
            match probe::join(self.options, topic, timeout) {
                Ok(()) => self.report.ok("group protocol", "consumer (KIP-848)"),
                Err(error) => {
                    let says = match error {
                        Some(error) => said(&error),
                        None => format!("no answer to KIP-848 within {} s", timeout.as_secs()),
                    };
                    let cure =
                        "it needs brokers from Kafka 4.0: write kafka.group_protocol = \"classic\"";
                    self.report.fail("group protocol", says, cure);
                }
            }
        }
    }
}

/// The brokers that were asked first answer; the one that was asked here does not.
const REACH: &str =
    "check that each broker is reached from here under the address that it advertises";

/// The longest record that the topic takes, where it may be known.
fn size(found: &Topic) -> Option<u64> {
    u64::try_from(found.number("max.message.bytes")?).ok()
}

fn is_denied(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
        )
    )
}

/// What the broker says, without the name of the client's call.
fn said(error: &KafkaError) -> String {
    let code = error.rdkafka_error_code();
    code.map_or_else(|| error.to_string(), |code| code.to_string())
}

/// `1 host`, `2 hosts`.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// An error with its cause.
fn told(error: &OperatorError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
