//! The client of the operator's commands: reaches the brokers within a bounded time, or says why not.
//!
//! It reads without being a member of the group and never commits. librdkafka tells why a connection fails
//! to a callback alone, and runs that only while the client is polled.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::options::{Options, without_value};

/// One question to the brokers; between two of them the callbacks run.
const SLICE: Duration = Duration::from_millis(500);

/// All brokers may be down for so long before they are given up: a name with several addresses is tried
/// address by address.
const ALL_DOWN: Duration = Duration::from_secs(3);

/// How long a port may take to be opened, where the client has said nothing of it.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Why an operator's command cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// A client cannot be made from these settings.
    #[error("the Kafka settings are refused")]
    Client {
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// No broker answers.
    #[error("no broker answers: {}; {}", .0.cause, .0.cure)]
    Unreachable(Unreachable),
    /// A topic cannot be read or described.
    #[error("topic {topic}")]
    Topic {
        /// Topic.
        topic: String,
        /// What the broker says.
        #[source]
        source: KafkaError,
    },
    /// Reading cannot start there.
    #[error("topic {topic} has no offset {offset} in partition {partition}")]
    NoOffset {
        /// Topic.
        topic: String,
        /// Partition, which may not be there at all.
        partition: i32,
        /// Beyond its end.
        offset: i64,
    },
    /// Nothing came for too long, though the end was not reached.
    #[error("topic {topic}: nothing came for {seconds} s, though its end is not reached")]
    Silent {
        /// Topic.
        topic: String,
        /// How long it was waited.
        seconds: u64,
    },
}

/// Why no broker answers, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// What the client was told, or that it was told nothing.
    pub cause: String,
    /// What mends it.
    pub cure: &'static str,
}

/// What the client says beside its answers: the first reason of each kind of error.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<(RDKafkaErrorCode, String)>>);

impl Heard {
    pub(crate) fn hear(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let mut heard = self.list();
        if let Some(code) = code
            && code != RDKafkaErrorCode::PartitionEOF
            && heard.iter().all(|(known, _)| *known != code)
        {
            heard.push((code, reason.to_owned()));
        }
    }

    pub(crate) fn list(&self) -> MutexGuard<'_, Vec<(RDKafkaErrorCode, String)>> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl ClientContext for Heard {
    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(&error, reason);
    }
}

impl ConsumerContext for Heard {}

/// A client that has reached the brokers.
pub struct Connection {
    pub(crate) consumer: BaseConsumer<Heard>,
    pub(crate) timeout: Duration,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Asks until some broker answers; `timeout` bounds this question and each later one.
    pub fn new(options: &Options, timeout: Duration) -> Result<Self, OperatorError> {
        let created = options.reader().create_with_context(Heard::default());
        let consumer: BaseConsumer<Heard> = created.map_err(|source| OperatorError::Client {
            source: without_value(source),
        })?;
        reach(&consumer, options, timeout).map_err(OperatorError::Unreachable)?;
        Ok(Self { consumer, timeout })
    }

    /// What the brokers know of this topic, or of all.
    pub(crate) fn metadata(&self, topic: Option<&str>) -> Result<Metadata, KafkaError> {
        self.consumer.fetch_metadata(topic, self.timeout)
    }
}

fn reach(
    consumer: &BaseConsumer<Heard>,
    options: &Options,
    timeout: Duration,
) -> Result<(), Unreachable> {
    let begun = Instant::now();
    loop {
        let left = timeout.saturating_sub(begun.elapsed());
        let answer = consumer.fetch_metadata(Some(&options.alerts), SLICE.min(left));
        if answer.is_ok_and(|metadata| !metadata.brokers().is_empty()) {
            return Ok(());
        }
        while consumer.poll(Duration::ZERO).is_some() {}
        let heard = consumer.context().list();
        let is_down = heard.iter().any(|(code, _)| match code {
            // Asking once more would be the same question.
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL => true,
            RDKafkaErrorCode::AllBrokersDown => begun.elapsed() >= ALL_DOWN,
            _ => false,
        });
        if is_down || left.is_zero() {
            return Err(told(&heard).unwrap_or_else(|| guessed(options)));
        }
    }
}

/// The most telling of what was heard. An address that is tried beside the right one may say less; that
/// all brokers are down says nothing.
fn told(heard: &[(RDKafkaErrorCode, String)]) -> Option<Unreachable> {
    let telling = [
        RDKafkaErrorCode::Authentication,
        RDKafkaErrorCode::SSL,
        RDKafkaErrorCode::Resolve,
        RDKafkaErrorCode::BrokerTransportFailure,
    ];
    let mut telling = telling.iter();
    let found = telling.find_map(|wanted| heard.iter().find(|(code, _)| code == wanted));
    found.map(|(code, reason)| Unreachable {
        cause: reason.clone(),
        cure: cure(*code, reason),
    })
}

/// The client often says nothing of a broker that hangs up or is silent: whether the port can be reached at
/// all tells a wrong port from a wrong protocol.
fn guessed(options: &Options) -> Unreachable {
    let Some(broker) = options.brokers.first() else {
        return Unreachable {
            cause: "there is no broker to ask".to_owned(),
            cure: "name some in kafka.brokers",
        };
    };
    let address = broker.rsplit("://").next().unwrap_or(broker);
    let connected = address.to_socket_addrs().and_then(|mut addresses| {
        let address = addresses.next().ok_or(std::io::ErrorKind::NotFound)?;
        TcpStream::connect_timeout(&address, CONNECT_WITHIN)
    });
    match connected {
        Ok(_) => Unreachable {
            cause: format!(
                "{address} takes connections, and nobody answers there by {}",
                options.security.protocol
            ),
            cure: "the port speaks another protocol: check kafka.security.protocol and the port",
        },
        Err(error) => Unreachable {
            cause: format!("{address}: {error}"),
            cure: "check hosts and ports in kafka.brokers, and firewalls on the way",
        },
    }
}

/// Words of librdkafka and OpenSSL, and what mends what they mean; the first that fits.
const CURES: &[(&str, &str)] = &[
    (
        "mechanism handshake failed",
        "the port has no such login: check kafka.security.mechanism and protocol",
    ),
    (
        "mismatch",
        "the broker's certificate bears other names: use one of them in kafka.brokers",
    ),
    (
        "certificate verify failed",
        "kafka.security.ca must hold the certificate of the authority that signed the broker's",
    ),
    (
        "alert bad certificate",
        "the broker wants a client certificate that it trusts: kafka.security.certificate and key",
    ),
    (
        "certificate required",
        "the broker wants a client certificate that it trusts: kafka.security.certificate and key",
    ),
    (
        "connection refused",
        "nothing listens there: check hosts and ports in kafka.brokers, and that the brokers run",
    ),
    (
        "failed to resolve",
        "the name is not known here: check kafka.brokers and DNS",
    ),
    (
        "timed out",
        "check hosts and ports in kafka.brokers, and firewalls on the way",
    ),
    (
        "plaintext broker listener",
        "the port speaks no TLS: check kafka.security.protocol and the port",
    ),
    (
        "ssl handshake failed",
        "the port speaks no TLS that fits: check kafka.security.protocol and the port",
    ),
    (
        "disconnected",
        "the broker hangs up: it speaks another protocol, check kafka.security.protocol and the port",
    ),
    (
        "apiversion",
        "the broker hangs up: it speaks another protocol, check kafka.security.protocol and the port",
    ),
];

fn cure(code: RDKafkaErrorCode, reason: &str) -> &'static str {
    let reason = reason.to_lowercase();
    let known = CURES.iter().find(|(words, _)| reason.contains(words));
    match (known, code) {
        (Some((_, cure)), _) => cure,
        (None, RDKafkaErrorCode::Authentication) => {
            "check kafka.security.username and password, and that the broker knows this user"
        }
        _ => "check kafka.brokers and [kafka.security]",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_reason_is_told_with_its_cure() {
        use RDKafkaErrorCode::{AllBrokersDown, Authentication, BrokerTransportFailure};
        let heard = [
            (BrokerTransportFailure, "a:1: Connection refused".to_owned()),
            (AllBrokersDown, "2/2 brokers are down".to_owned()),
            (Authentication, "Invalid username or password".to_owned()),
        ];
        let password = told(&heard).expect("a reason");
        assert_eq!(password.cause, "Invalid username or password");
        assert!(password.cure.contains("password"), "{password:?}");
        let refused = told(&heard[..2]).expect("a reason");
        assert!(refused.cure.starts_with("nothing listens"), "{refused:?}");
        assert_eq!(told(&heard[1..2]), None);
    }
}
