//! The sink: alerts and dead letters to their topics. Each delivery, good or bad, comes back as a report.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use detect::{Alert, Source};
use event::Fault;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Statistics};
use serde_json::Value;

use crate::batch::{Batch, Record, readable};
use crate::ledger::{BatchId, PartitionId};
use crate::options::Options;
use crate::ruleset::Ruleset;
use crate::telemetry::Telemetry;
use crate::worker::Report;

/// What the names of our own headers begin with; no other header of a dead letter is ours.
pub(crate) const OURS: &str = "pythia.";

/// How often this line has become a dead letter. A replay keeps this one of our headers, so that the next
/// dead letter counts on.
pub(crate) const ATTEMPT: &str = "pythia.error.attempt";

/// On a dead letter whose value was cut: how many bytes it had.
pub(crate) const VALUE_BYTES: &str = "pythia.value.bytes";

/// On a dead letter that was still too large: what else was left out.
pub(crate) const LEFT_OUT: &str = "pythia.left_out";

/// How long a full queue is waited for before it is tried again.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// Why a line is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no event.
    Fault(Fault),
    /// The engine has a bug that this line meets.
    Panic,
}

impl Refusal {
    /// As it stands in headers and metrics.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.code(),
            Self::Panic => "engine_panic",
        }
    }

    fn stage(self) -> &'static str {
        match self {
            Self::Fault(_) => "decode",
            Self::Panic => "engine",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Fault(fault) => reason(fault),
            Self::Panic => "the engine has a bug that this line meets: please report it",
        }
    }
}

/// What a record was made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) partition: PartitionId,
    pub(crate) batch: BatchId,
}

/// A record that is not on its topic.
#[derive(Debug)]
pub(crate) struct Undelivered {
    pub(crate) error: KafkaError,
    record: Outgoing,
    /// It was in a batch of its own: no other record is to blame.
    alone: bool,
}

impl Undelivered {
    /// Refused before it was on its way: the client looks at the size of the record alone.
    fn by_client(error: KafkaError, record: Outgoing, alone: bool) -> Self {
        Self {
            alone: alone || too_large(&error),
            error,
            record,
        }
    }

    /// The topic it was meant for.
    pub(crate) fn topic(&self) -> &str {
        &self.record.topic
    }
}

/// What became of a retry; `cut` where the record lost a part.
#[derive(Debug)]
pub(crate) enum Retried {
    /// It is on its way again.
    Sent { cut: bool },
    /// The queue is full, or the client finds it too large: later.
    Waits(Undelivered, bool),
}

/// A record on its way out, owned: it can be sent again, cut.
#[derive(Clone, Debug)]
struct Outgoing {
    topic: Arc<str>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: OwnedHeaders,
}

/// Sends records; shared by all workers.
pub(crate) struct Sink {
    producer: ThreadedProducer<Deliveries>,
    /// Sends each record in a batch of its own; made when it is first needed. A broker that finds a batch
    /// too large refuses all records in it, and does not say which one is to blame.
    single: OnceLock<ThreadedProducer<Deliveries>>,
    single_config: ClientConfig,
    telemetry: Arc<Telemetry>,
    alerts: Arc<str>,
    dead_letters: Arc<str>,
    reports: Sender<Report>,
    /// At the end of a shutdown nobody waits for a full queue any more.
    abandoned: AtomicBool,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("alerts", &self.alerts)
            .finish_non_exhaustive()
    }
}

impl Sink {
    pub(crate) fn new(
        options: &Options,
        reports: Sender<Report>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, KafkaError> {
        let context = Deliveries {
            reports: reports.clone(),
            telemetry: Arc::clone(&telemetry),
            alone: false,
        };
        Ok(Self {
            producer: options.producer().create_with_context(context)?,
            single: OnceLock::new(),
            single_config: options.single_producer(),
            telemetry,
            alerts: options.alerts.as_str().into(),
            dead_letters: options.dead_letters.as_str().into(),
            reports,
            abandoned: AtomicBool::new(false),
        })
    }

    /// Sends an alert. Key: host. Headers: `CloudEvents` binary mode. Gives the number of records: 1.
    pub(crate) fn alert(
        &self,
        alert: &Alert,
        source: &Source<'_>,
        ruleset: &Ruleset,
        origin: Origin,
    ) -> u64 {
        let Source::Kafka {
            topic,
            partition,
            offset,
        } = *source
        else {
            unreachable!("the service reads Kafka");
        };
        let (partition, offset) = (partition.to_string(), offset.to_string());
        // Not in the alert itself, which is the same whenever its rules were loaded.
        let loaded = format!("{:.3}", ruleset.loaded());
        let mut headers = OwnedHeaders::new();
        let texts = [
            ("ce_specversion", Some("1.0")),
            ("ce_id", Some(alert.alert_id.as_str())),
            ("ce_type", Some("pythia.alert.v1")),
            ("ce_source", Some("pythia")),
            ("ce_subject", alert.host.as_deref()),
            ("ce_time", Some(alert.time.as_str())),
            ("content-type", Some("application/json")),
            ("rule_id", Some(alert.rule_key())),
            ("severity", Some(alert.level)),
            ("ruleset", Some(ruleset.hash())),
            ("ruleset_loaded", Some(loaded.as_str())),
            ("source_topic", Some(topic)),
            ("source_partition", Some(partition.as_str())),
            ("source_offset", Some(offset.as_str())),
        ];
        for (key, value) in texts {
            if value.is_some() {
                headers = headers.insert(Header { key, value });
            }
        }
        let record = Outgoing {
            topic: Arc::clone(&self.alerts),
            key: alert.host.as_ref().map(|host| host.as_bytes().to_vec()),
            value: Some(alert.to_json().into_bytes()),
            headers,
        };
        self.send(record, origin);
        1
    }

    /// Sends a dead letter: key, value and headers as they came, and why. Gives the number of records: 1.
    pub(crate) fn dead_letter(
        &self,
        batch: &Batch,
        record: &Record,
        refusal: Refusal,
        origin: Origin,
    ) -> u64 {
        let coordinates = [
            ("pythia.error.code", refusal.code().to_owned()),
            ("pythia.error.reason", refusal.reason().to_owned()),
            ("pythia.error.stage", refusal.stage().to_owned()),
            (ATTEMPT, attempt(record.headers.as_ref()).to_string()),
            ("pythia.source.topic", batch.topic.to_string()),
            (
                "pythia.source.partition",
                batch.partition.partition.to_string(),
            ),
            ("pythia.source.offset", record.offset.to_string()),
            (
                "pythia.source.timestamp",
                record
                    .timestamp
                    .map(|ms| ms.to_string())
                    .unwrap_or_default(),
            ),
            (
                "pythia.engine.version",
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        ];
        let mut headers = foreign(record.headers.clone());
        for (key, value) in &coordinates {
            headers = headers.insert(Header {
                key,
                value: Some(value),
            });
        }
        let record = Outgoing {
            topic: Arc::clone(&self.dead_letters),
            key: batch.key(record).map(<[u8]>::to_vec),
            value: batch.value(record).map(<[u8]>::to_vec),
            headers,
        };
        self.send(record, origin);
        1
    }

    /// Tries a record again that waited for room in the queue, or that its topic found too large: first as it
    /// is, in a batch of its own, then with half of its event or line. Does not wait itself: the thread that
    /// polls calls it. `Err`: it cannot be delivered.
    pub(crate) fn retry(
        &self,
        undelivered: Undelivered,
        origin: Origin,
    ) -> Result<Retried, KafkaError> {
        let Undelivered {
            error,
            mut record,
            mut alone,
        } = undelivered;
        let waited = queue_is_full(&error) && !self.is_abandoned();
        if !waited && !too_large(&error) {
            return Err(error);
        }
        let cut = !waited && alone;
        if cut {
            let smaller = if record.topic == self.alerts {
                cut_alert(&record)
            } else {
                cut_dead_letter(&record)
            };
            record = smaller.ok_or(error)?;
        }
        alone |= !waited;
        let producer = if alone {
            self.single()?
        } else {
            &self.producer
        };
        let Err(error) = send_with(producer, &record, origin) else {
            return Ok(Retried::Sent { cut });
        };
        // Both come again as if they had been reported.
        if queue_is_full(&error) || too_large(&error) {
            let undelivered = Undelivered::by_client(error, record, alone);
            return Ok(Retried::Waits(undelivered, cut));
        }
        Err(error)
    }

    /// Waits until everything is delivered or the time is over.
    pub(crate) fn flush(&self, within: Duration) {
        // A record that is still on its way keeps its batch open: the ledger knows.
        let begun = Instant::now();
        self.producer.flush(within).ok();
        if let Some(single) = self.single.get() {
            single.flush(within.saturating_sub(begun.elapsed())).ok();
        }
    }

    /// From now on a full queue is an undelivered record, and workers leave what they have.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits for deliveries any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    fn send(&self, record: Outgoing, origin: Origin) {
        loop {
            let Err(error) = send_with(&self.producer, &record, origin) else {
                return;
            };
            if queue_is_full(&error) && !self.is_abandoned() {
                std::thread::sleep(FULL_QUEUE_PAUSE);
                continue;
            }
            let undelivered = Undelivered::by_client(error, record, false);
            let report = Report::Undelivered(origin.partition, origin.batch, undelivered);
            // The receiver goes away only at the end of the process.
            self.reports.send(report).ok();
            return;
        }
    }

    /// Called by the polling thread alone, so that there is never a second one.
    fn single(&self) -> Result<&ThreadedProducer<Deliveries>, KafkaError> {
        if let Some(single) = self.single.get() {
            return Ok(single);
        }
        let context = Deliveries {
            reports: self.reports.clone(),
            telemetry: Arc::clone(&self.telemetry),
            alone: true,
        };
        let single = self.single_config.create_with_context(context)?;
        Ok(self.single.get_or_init(|| single))
    }
}

fn send_with(
    producer: &ThreadedProducer<Deliveries>,
    record: &Outgoing,
    origin: Origin,
) -> Result<(), KafkaError> {
    let base =
        BaseRecord::with_opaque_to(&record.topic, Box::new(origin)).headers(record.headers.clone());
    let base = match &record.key {
        Some(key) => base.key(key.as_slice()),
        None => base,
    };
    let base = match &record.value {
        Some(value) => base.payload(value.as_slice()),
        None => base,
    };
    producer.send(base).map_err(|(error, _)| error)
}

/// Turns delivery reports into [`Report`]s; runs on the producer's own thread.
struct Deliveries {
    reports: Sender<Report>,
    telemetry: Arc<Telemetry>,
    /// Whether each record is in a batch of its own.
    alone: bool,
}

impl ClientContext for Deliveries {
    fn stats(&self, statistics: Statistics) {
        let bytes = i64::try_from(statistics.msg_size).unwrap_or(i64::MAX);
        self.telemetry.queue_bytes.set(bytes);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.telemetry.client_error("producer", &error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Origin>;

    fn delivery(&self, result: &DeliveryResult<'_>, origin: Box<Origin>) {
        let report = match result {
            Ok(_) => Report::Delivered(origin.partition, origin.batch),
            Err((error, message)) => {
                let record = Outgoing {
                    topic: message.topic().into(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: message
                        .headers()
                        .map(BorrowedHeaders::detach)
                        .unwrap_or_default(),
                };
                Report::Undelivered(
                    origin.partition,
                    origin.batch,
                    Undelivered {
                        error: error.clone(),
                        record,
                        alone: self.alone,
                    },
                )
            }
        };
        self.reports.send(report).ok();
    }
}

fn queue_is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

fn too_large(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)
    )
}

/// The alert with half of its event text; `None` if there is none left to cut.
fn cut_alert(record: &Outgoing) -> Option<Outgoing> {
    let mut alert: Value = serde_json::from_slice(record.value.as_ref()?).ok()?;
    let event = alert["event"].as_str().filter(|event| !event.is_empty())?;
    let half = event.floor_char_boundary(event.len() / 2);
    let event = event.get(..half)?.to_owned();
    alert["event"] = event.into();
    alert["event_truncated"] = true.into();
    let value = serde_json::to_vec(&alert).ok()?;
    Some(Outgoing {
        value: Some(value),
        ..record.clone()
    })
}

/// The dead letter with the first half of its value; a header says how long it was. Without a value to cut,
/// its key and its own headers go, and a header says so. `None` if nothing is left but what we added.
fn cut_dead_letter(record: &Outgoing) -> Option<Outgoing> {
    match record.value.as_deref() {
        Some(value) if !value.is_empty() => {
            let headers = record.headers.clone();
            let headers = if has_header(&headers, VALUE_BYTES) {
                headers
            } else {
                let bytes = value.len().to_string();
                headers.insert(Header {
                    key: VALUE_BYTES,
                    value: Some(&bytes),
                })
            };
            Some(Outgoing {
                value: Some(value[..value.len() / 2].to_vec()),
                headers,
                ..record.clone()
            })
        }
        _ if has_header(&record.headers, LEFT_OUT) => None,
        _ => {
            let mut headers = OwnedHeaders::new().insert(Header {
                key: LEFT_OUT,
                value: Some("key, headers"),
            });
            for header in readable(&record.headers) {
                if header.key.starts_with(OURS) {
                    headers = headers.insert(header);
                }
            }
            Some(Outgoing {
                key: None,
                headers,
                ..record.clone()
            })
        }
    }
}

/// Number of the dead letter that is written now: one above what the record of a replay carries.
fn attempt(headers: Option<&OwnedHeaders>) -> u32 {
    let carried = headers.and_then(|headers| {
        let header = readable(headers).find(|header| header.key == ATTEMPT)?;
        std::str::from_utf8(header.value?).ok()?.parse::<u32>().ok()
    });
    carried.unwrap_or(0).saturating_add(1)
}

/// The headers without those that bear our names: what a dead letter says of itself is ours alone, and
/// whoever writes to the input must not say it. Kept untouched where there are none.
fn foreign(headers: Option<OwnedHeaders>) -> OwnedHeaders {
    let Some(headers) = headers else {
        return OwnedHeaders::new();
    };
    if !readable(&headers).any(|header| header.key.starts_with(OURS)) {
        return headers;
    }
    let theirs = readable(&headers).filter(|header| !header.key.starts_with(OURS));
    theirs.fold(OwnedHeaders::new(), OwnedHeaders::insert)
}

fn has_header(headers: &OwnedHeaders, key: &str) -> bool {
    readable(headers).any(|header| header.key == key)
}

/// The reason in words.
fn reason(fault: Fault) -> &'static str {
    match fault {
        Fault::Truncated => "the JSON text ends early",
        Fault::InvalidJson => "no JSON, nested too deeply, or no valid UTF-8",
        Fault::NoEvent => "no Laurel event at the root or in a known envelope",
        Fault::BadId => "the event's ID is not of Laurel's form",
        Fault::Oversize => "longer than the limit on lines",
        Fault::TrailingData => "something stands behind a complete event",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::message::Headers as _;

    fn dead_letter(value: &[u8]) -> Outgoing {
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "trace",
                value: Some("x"),
            })
            .insert(Header {
                key: "pythia.error.code",
                value: Some("truncated"),
            });
        Outgoing {
            topic: "dlq".into(),
            key: Some(b"host".to_vec()),
            value: Some(value.to_vec()),
            headers,
        }
    }

    fn names(record: &Outgoing) -> Vec<&str> {
        record.headers.iter().map(|header| header.key).collect()
    }

    #[test]
    fn a_dead_letter_that_is_too_large_keeps_its_head_and_says_how_long_it_was() {
        let once = cut_dead_letter(&dead_letter(b"0123456789")).expect("smaller");
        let twice = cut_dead_letter(&once).expect("smaller");
        assert_eq!(twice.value.as_deref(), Some(&b"01"[..]));
        assert_eq!(twice.key.as_deref(), Some(&b"host"[..]));
        assert_eq!(names(&twice), ["trace", "pythia.error.code", VALUE_BYTES]);
        let bytes = twice.headers.get(2);
        assert_eq!(bytes.value, Some(&b"10"[..]));
    }

    #[test]
    fn the_attempts_of_a_line_are_counted_on_and_strangers_say_nothing_in_our_name() {
        let with = |value: &str| {
            let header = Header {
                key: ATTEMPT,
                value: Some(value),
            };
            dead_letter(b"").headers.insert(header)
        };
        assert_eq!(attempt(None), 1);
        assert_eq!(attempt(Some(&dead_letter(b"").headers)), 1);
        assert_eq!(attempt(Some(&with("3"))), 4);
        assert_eq!(attempt(Some(&with("many"))), 1);
        assert_eq!(attempt(Some(&with("4294967295"))), u32::MAX);
        let record = Outgoing {
            headers: foreign(Some(with("3"))),
            ..dead_letter(b"")
        };
        assert_eq!(names(&record), ["trace"]);
    }

    #[test]
    fn cutting_a_dead_letter_comes_to_an_end() {
        let mut record = dead_letter(&vec![b'x'; 1 << 20]);
        let mut cuts = 0;
        while let Some(smaller) = cut_dead_letter(&record) {
            record = smaller;
            cuts += 1;
            assert!(
                cuts < 30,
                "a record that cannot be cut any more is cut again"
            );
        }
        assert_eq!(record.key, None);
        assert_eq!(names(&record), [LEFT_OUT, "pythia.error.code", VALUE_BYTES]);
    }

    #[test]
    fn an_alert_that_is_too_large_keeps_everything_but_the_end_of_its_event() {
        let alert = serde_json::json!({"alert_id": "a", "event": "äöü", "level": "high"});
        let record = Outgoing {
            value: Some(serde_json::to_vec(&alert).unwrap()),
            ..dead_letter(b"")
        };
        let cut = cut_alert(&record).expect("smaller");
        let value: Value = serde_json::from_slice(cut.value.as_ref().unwrap()).unwrap();
        let expected = serde_json::json!(
            {"alert_id": "a", "event": "ä", "event_truncated": true, "level": "high"}
        );
        assert_eq!(value, expected);
    }
}
