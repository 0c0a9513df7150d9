//! Requests that prove a right and leave nothing behind; the doctor says why they do.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::connection::Heard;
use crate::options::{Options, without_value};
use crate::{Connection, OperatorError};

/// A partition that no topic has.
const NO_PARTITION: i32 = i32::MAX - 1;

/// No broker knows what two acknowledgements are: it is one, all or none.
const IMPOSSIBLE_ACKS: &str = "2";

/// One question for the group's coordinator.
const COORDINATOR: Duration = Duration::from_millis(500);

const SLICE: Duration = Duration::from_millis(50);

/// How long an answer to the producer's question for its identity is waited for: a refusal comes at once,
/// and what is granted is not told.
const IDENTITY_WITHIN: Duration = Duration::from_secs(2);

/// What the broker did with the probe that it was allowed to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It refused the acknowledgements.
    Refused,
    /// It stored it: no Apache Kafka does.
    Stored,
}

/// Whether this topic may be written.
pub(super) fn write(
    options: &Options,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Written, KafkaError> {
    let mut config = options.producer();
    config
        .set("enable.idempotence", "false")
        .set("acks", IMPOSSIBLE_ACKS)
        .set("message.timeout.ms", timeout.as_millis().to_string());
    let producer: BaseProducer<Answer> = config
        .create_with_context(Answer::default())
        .map_err(without_value)?;
    let record = BaseRecord::<(), ()>::to(topic).partition(partition);
    producer.send(record).map_err(|(error, _)| error)?;
    // Ends by the record's own timeout.
    while producer.in_flight_count() > 0 {
        producer.poll(SLICE);
    }
    let mut answer = producer.context().0.lock().expect("nobody panics with it");
    match answer.take() {
        None => Ok(Written::Stored),
        Some(error)
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::InvalidRequiredAcks) =>
        {
            Ok(Written::Refused)
        }
        Some(error) => Err(error),
    }
}

/// The error of the only record.
#[derive(Debug, Default)]
struct Answer(Mutex<Option<KafkaError>>);

impl ClientContext for Answer {}

impl ProducerContext for Answer {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let error = result.as_ref().err().map(|(error, _)| error.clone());
        *self.0.lock().expect("nobody panics with it") = error;
    }
}

/// Why the service's producer would not run.
#[derive(Debug)]
pub(super) enum Identity {
    /// It cannot be made from these settings.
    Client(OperatorError),
    /// The broker gives it no identity.
    Denied(String),
}

/// Whether the service's own producer is refused.
pub(super) fn identity(options: &Options, timeout: Duration) -> Result<(), Identity> {
    let created = options.producer().create();
    let producer: BaseProducer = created.map_err(|source| {
        Identity::Client(OperatorError::Client {
            source: without_value(source),
        })
    })?;
    let begun = Instant::now();
    while begun.elapsed() < timeout.min(IDENTITY_WITHIN) {
        producer.poll(SLICE);
        if let Some((_, reason)) = producer.client().fatal_error() {
            return Err(Identity::Denied(reason));
        }
    }
    Ok(())
}

/// Whether the group may be used.
pub(super) fn group(connection: &Connection, topic: &str) -> Result<(), KafkaError> {
    let consumer = &connection.consumer;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, NO_PARTITION, rdkafka::Offset::Offset(0))?;
    // Finds the coordinator, within bounds; the commit has none of its own. That the group is denied is told
    // to the callback alone.
    let begun = Instant::now();
    loop {
        let left = connection.timeout.saturating_sub(begun.elapsed());
        let Err(error) = consumer.committed_offsets(list.clone(), left.min(COORDINATOR)) else {
            break;
        };
        while consumer.poll(Duration::ZERO).is_some() {}
        let heard = consumer.context().list();
        let denied = RDKafkaErrorCode::GroupAuthorizationFailed;
        if heard.iter().any(|(code, _)| *code == denied) {
            return Err(KafkaError::OffsetFetch(denied));
        }
        if left.is_zero() {
            return Err(error);
        }
    }
    match consumer.commit(&list, CommitMode::Sync) {
        Ok(()) => Ok(()),
        Err(error) => match error.rdkafka_error_code() {
            // Refused after the group was allowed.
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed,
            ) => Ok(()),
            _ => Err(error),
        },
    }
}

/// Whether the brokers know the group protocol: joins a group of its own. `Err(None)`: no answer.
pub(super) fn join(
    options: &Options,
    topic: &str,
    timeout: Duration,
) -> Result<(), Option<KafkaError>> {
    let mut config = options.consumer();
    config.set("group.id", format!("{}.doctor", options.group));
    config.remove("group.instance.id");
    let consumer: BaseConsumer<Heard> = config
        .create_with_context(Heard::default())
        .map_err(without_value)?;
    consumer.subscribe(&[topic])?;
    let begun = Instant::now();
    let is_assigned = || consumer.assignment().is_ok_and(|list| list.count() > 0);
    let mut answer = Err(None);
    while begun.elapsed() < timeout && answer == Err(None) {
        match consumer.poll(SLICE) {
            _ if is_assigned() => answer = Ok(()),
            // The group is asked for by a request that only such brokers know.
            Some(Err(error))
                if error.rdkafka_error_code()
                    == Some(RDKafkaErrorCode::GroupAuthorizationFailed) =>
            {
                answer = Ok(());
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => answer = Err(Some(error)),
            _ => {}
        }
    }
    consumer.unsubscribe();
    while is_assigned() && begun.elapsed() < timeout * 2 {
        consumer.poll(SLICE);
    }
    answer
}
