//! Topics for operators: what they are to be, what they are, and making those that are missing.
//!
//! What exists is compared and never changed: retention or size of a topic may be as they are for a reason
//! that stands nowhere here.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::options::{Input, Options, without_value};
use crate::{Connection, OperatorError};

/// Bytes that the largest alert takes with key and headers: Kafka's own default for a topic.
pub(crate) const ALERT_RECORD_BYTES: u64 = 1_048_588;

/// Bytes that a dead letter takes beside the record that it keeps: our headers, and the frame of a batch.
pub(crate) const LETTER_HEADROOM_BYTES: u64 = 16 * 1024;

/// The settings of a topic that matter here.
const SETTINGS: [&str; 5] = [
    "cleanup.policy",
    "compression.type",
    "max.message.bytes",
    "retention.ms",
    "min.insync.replicas",
];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Of topics that are made; told of others where it was asked for.
    pub partitions: Asked<i32>,
    /// `None`: the broker's default.
    pub replication: Option<i32>,
    /// `None`: 2 with three replicas or more, else the broker's default.
    pub min_insync: Option<i32>,
    /// How long records are kept.
    pub retention: Duration,
    /// The topics of `kafka.input` too.
    pub with_input: bool,
    /// The longest line that is evaluated.
    pub line_bytes: u64,
}

/// A value, and whether it was asked for or is a default.
#[derive(Clone, Copy, Debug)]
pub struct Asked<T> {
    /// Value.
    pub value: T,
    /// Asked for by name.
    pub by_name: bool,
}

/// A topic: as it is where it exists, else as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Name.
    pub topic: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas; `None`: the broker's default.
    pub replication: Option<i32>,
    /// Settings of the topic; none where they may not be read.
    pub settings: Vec<(&'static str, String)>,
}

/// What is with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Created,
    /// It is not there, and could be made: nothing stands against it.
    WouldCreate,
    /// It is there; what differs from what was wanted.
    Exists(Vec<Difference>),
    /// It is there, and its settings may not be read: the right to describe them is missing.
    Unknown,
    /// It cannot be made: the broker's word.
    Refused(String),
}

/// A setting of a topic that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Such as `retention.ms`.
    pub setting: &'static str,
    /// As it is.
    pub is: String,
    /// As it was wanted.
    pub wanted: String,
}

/// Makes the topics that are missing, or with `dry_run` asks the broker whether it would.
pub fn create_topics(
    connection: &Connection,
    options: &Options,
    wishes: &Wishes,
    dry_run: bool,
) -> Result<Vec<(Shape, Outcome)>, OperatorError> {
    let admin = Admin::new(connection, options)?;
    let line_bytes = admin.largest_input(options).unwrap_or(wishes.line_bytes);
    let mut outcomes = Vec::new();
    for wanted in wanted(options, wishes, line_bytes) {
        let topic = wanted.topic.clone();
        let outcome = ensure(&admin, wanted, wishes, dry_run);
        outcomes.push(outcome.map_err(|source| OperatorError::Topic { topic, source })?);
    }
    Ok(outcomes)
}

fn ensure(
    admin: &Admin<'_>,
    wanted: Shape,
    wishes: &Wishes,
    dry_run: bool,
) -> Result<(Shape, Outcome), KafkaError> {
    let mut found = admin.describe(&wanted.topic)?;
    if found.is_none() {
        if let Some(outcome) = admin.create(&wanted, dry_run)? {
            return Ok((wanted, outcome));
        }
        found = admin.describe(&wanted.topic)?;
    }
    let Some(found) = found else {
        let reason = "somebody else makes it at this moment: ask again";
        return Ok((wanted, Outcome::Refused(reason.to_owned())));
    };
    let outcome = compare(&wanted, &found, wishes);
    Ok((found.shape(wanted.topic), outcome))
}

/// The topics that the settings name, as they are to be.
fn wanted(options: &Options, wishes: &Wishes, input_bytes: u64) -> Vec<Shape> {
    let min_insync = wishes
        .min_insync
        .or_else(|| wishes.replication.filter(|n| *n >= 3).map(|_| 2));
    let topic = |name: &str, max_bytes: u64| {
        let values = [
            Some("delete".to_owned()),
            Some("producer".to_owned()),
            Some(max_bytes.to_string()),
            Some(wishes.retention.as_millis().to_string()),
            min_insync.map(|n| n.to_string()),
        ];
        let settings = SETTINGS.into_iter().zip(values);
        let settings = settings
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        Shape {
            topic: name.to_owned(),
            partitions: wishes.partitions.value,
            replication: wishes.replication,
            settings,
        }
    };
    let mut topics = vec![
        topic(&options.alerts, ALERT_RECORD_BYTES),
        topic(&options.dead_letters, input_bytes + LETTER_HEADROOM_BYTES),
    ];
    if let (true, Input::Topics(inputs)) = (wishes.with_input, &options.input) {
        topics.extend(inputs.iter().map(|name| topic(name, wishes.line_bytes)));
    }
    topics
}

fn compare(wanted: &Shape, found: &Topic, wishes: &Wishes) -> Outcome {
    let Some(settings) = &found.settings else {
        return Outcome::Unknown;
    };
    let mut differences = Vec::new();
    let mut differs = |setting, is: String, wanted: String| {
        if is != wanted {
            differences.push(Difference {
                setting,
                is,
                wanted,
            });
        }
    };
    // Where no number was asked for, any that is there is as good.
    if wishes.partitions.by_name {
        let is = found.partitions.len().to_string();
        differs("partitions", is, wanted.partitions.to_string());
    }
    if let Some(replication) = wanted.replication {
        let is = found.replication().to_string();
        differs("replication.factor", is, replication.to_string());
    }
    for (name, value) in &wanted.settings {
        let is = settings.get(*name).cloned().unwrap_or_default();
        let has_room = |is: &str| is.parse::<u64>().ok() >= value.parse().ok();
        if *name == "max.message.bytes" && has_room(&is) {
            continue;
        }
        differs(name, is, value.clone());
    }
    Outcome::Exists(differences)
}

/// A topic as it is.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Partition>,
    /// By name; `None` where they may not be read.
    pub(crate) settings: Option<BTreeMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) id: i32,
    pub(crate) has_leader: bool,
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
}

impl Topic {
    /// Replicas of the partition that has the fewest.
    pub(crate) fn replication(&self) -> usize {
        let replicas = self.partitions.iter().map(|partition| partition.replicas);
        replicas.min().unwrap_or(0)
    }

    fn shape(&self, topic: String) -> Shape {
        let known = self.settings.as_ref();
        let setting = |name| Some((name, known?.get(name)?.clone()));
        Shape {
            topic,
            partitions: i32::try_from(self.partitions.len()).unwrap_or(i32::MAX),
            replication: i32::try_from(self.replication()).ok(),
            settings: SETTINGS.into_iter().filter_map(setting).collect(),
        }
    }

    /// A setting that is a number, where it may be known.
    pub(crate) fn number(&self, setting: &str) -> Option<i64> {
        self.settings.as_ref()?.get(setting)?.parse().ok()
    }
}

/// A client for questions about topics.
pub(crate) struct Admin<'a> {
    connection: &'a Connection,
    client: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Admin<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        options: &Options,
    ) -> Result<Self, OperatorError> {
        let client = options.administrator().create();
        // The client's own thread does the work; this one only waits.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without timers and sockets needs nothing");
        Ok(Self {
            connection,
            client: client.map_err(|source| OperatorError::Client {
                source: without_value(source),
            })?,
            runtime,
        })
    }

    /// The topic; `None` if it is not there.
    pub(crate) fn describe(&self, name: &str) -> Result<Option<Topic>, KafkaError> {
        let metadata = self.connection.metadata(Some(name))?;
        let found = metadata.topics().iter().find(|found| found.name() == name);
        let partitions = match found.map(|found| (found.error(), found.partitions())) {
            None => return Ok(None),
            Some((None, partitions)) => partitions,
            Some((Some(error), _)) => match error.into() {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                    return Ok(None);
                }
                error => return Err(KafkaError::MetadataFetch(error)),
            },
        };
        let partitions = partitions.iter().map(|partition| Partition {
            id: partition.id(),
            has_leader: partition.leader() >= 0,
            replicas: partition.replicas().len(),
            in_sync: partition.isr().len(),
        });
        Ok(Some(Topic {
            partitions: partitions.collect(),
            settings: self.settings(name)?,
        }))
    }

    fn settings(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, KafkaError> {
        let topic = ResourceSpecifier::Topic(name);
        let question = self.client.describe_configs([&topic], &self.patience());
        let answers = self.runtime.block_on(question)?;
        let entries = answers
            .into_iter()
            .flatten()
            .flat_map(|topic| topic.entries);
        let settings: BTreeMap<String, String> = entries
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect();
        // The client passes on no error of a single topic: one that is denied has no settings at all.
        Ok(Some(settings).filter(|settings| !settings.is_empty()))
    }

    /// What came of making it; `None`: somebody was quicker.
    fn create(&self, wanted: &Shape, dry_run: bool) -> Result<Option<Outcome>, KafkaError> {
        // -1 is the broker's default.
        let replication = TopicReplication::Fixed(wanted.replication.unwrap_or(-1));
        let mut topic = NewTopic::new(&wanted.topic, wanted.partitions, replication);
        for (name, value) in &wanted.settings {
            topic = topic.set(name, value);
        }
        let how = self.patience().validate_only(dry_run);
        let answers = self
            .runtime
            .block_on(self.client.create_topics([&topic], &how))?;
        let done = if dry_run {
            Outcome::WouldCreate
        } else {
            Outcome::Created
        };
        Ok(Some(match answers.into_iter().next() {
            Some(Ok(_)) => done,
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => return Ok(None),
            Some(Err((_, error))) => Outcome::Refused(error.to_string()),
            None => Outcome::Refused("the broker gave no answer for it".to_owned()),
        }))
    }

    /// The longest record that the input topics take, where they are there and may be described.
    pub(crate) fn largest_input(&self, options: &Options) -> Option<u64> {
        let Input::Topics(inputs) = &options.input else {
            return None;
        };
        let bytes = |topic: &String| {
            let found = self.describe(topic).ok()??;
            u64::try_from(found.number("max.message.bytes")?).ok()
        };
        inputs.iter().filter_map(bytes).max()
    }

    fn patience(&self) -> AdminOptions {
        let timeout = Some(self.connection.timeout);
        AdminOptions::new()
            .request_timeout(timeout)
            .operation_timeout(timeout)
    }
}
