//! What the service is told: plain data, no defaults of its own.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

/// librdkafka properties that the engine decides. Raw settings must not touch them: offsets, start and
/// delivery rest on them.
pub const OWNED_PROPERTIES: &[&str] = &[
    "acks",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "metadata.broker.list",
    "request.required.acks",
    "statistics.interval.ms",
    "transactional.id",
];

/// Which topics are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// These topics.
    Topics(Vec<String>),
    /// Every topic whose name matches this regular expression; it starts with `^`.
    Pattern(String),
}

/// Where a partition without a committed offset starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Earliest,
    /// At the end.
    Latest,
}

/// How the group shares partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The classic protocol with cooperative-sticky assignment.
    Classic,
    /// KIP-848; needs Kafka 4.0.
    Consumer,
}

/// Transport and authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.
    pub protocol: String,
    /// CA certificates.
    pub ca: Option<Pem>,
    /// Client certificate.
    pub certificate: Option<Pem>,
    /// The certificate's key.
    pub key: Option<Pem>,
    /// The key's password.
    pub key_password: Option<String>,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: Option<String>,
    /// User.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
}

/// PEM text, or the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Text(String),
    /// A file.
    File(PathBuf),
}

/// Everything that [`crate::serve`] is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// Consumer group.
    pub group: String,
    /// What is read.
    pub input: Input,
    /// Where it starts.
    pub start: Start,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// How partitions are shared.
    pub group_protocol: GroupProtocol,
    /// Transport and authentication.
    pub security: Security,
    /// Raw properties of both clients, applied after everything else but the owned ones.
    pub raw: Vec<(String, String)>,
    /// Raw properties of the consumer.
    pub raw_consumer: Vec<(String, String)>,
    /// Raw properties of the producer.
    pub raw_producer: Vec<(String, String)>,
    /// Topic for alerts.
    pub alerts: String,
    /// Topic for dead letters.
    pub dead_letters: String,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Bytes of lines per batch.
    pub batch_bytes: usize,
    /// Bytes of lines taken and not yet delivered; above: back-pressure.
    pub in_flight_bytes: usize,
    /// What limits the alerts of an event.
    pub limits: detect::Limits,
    /// How often offsets are committed.
    pub commit_interval: Duration,
    /// Longest time from the stop signal to the end.
    pub shutdown_deadline: Duration,
    /// Bytes of the process caches of all partitions together.
    pub process_cache_bytes: usize,
    /// How long a process is remembered, in event time.
    pub process_cache_max_age: Duration,
    /// How far before its start a partition is read to fill the process cache; zero: not at all.
    pub warmup: Duration,
    /// Bytes read for that per partition at most.
    pub warmup_bytes: u64,
}

impl Options {
    /// Properties of the consumer.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.message.max.bytes", "4194304")
            .set("queued.max.messages.kbytes", "131072")
            .set("topic.metadata.refresh.interval.ms", "30000");
        match self.group_protocol {
            GroupProtocol::Classic => config
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", "45000")
                .set("heartbeat.interval.ms", "3000"),
            GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
        };
        apply(&mut config, &self.raw);
        apply(&mut config, &self.raw_consumer);
        if let Some(instance) = &self.group_instance_id {
            config.set("group.instance.id", instance);
        }
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("statistics.interval.ms", "5000");
        config
    }

    /// Properties of the producer.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.kbytes", "65536")
            .set("message.max.bytes", "33554432");
        apply(&mut config, &self.raw);
        apply(&mut config, &self.raw_producer);
        config.set("enable.idempotence", "true").set("acks", "all");
        config
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", "pythia")
            .set("reconnect.backoff.max.ms", "1000")
            .set("security.protocol", &self.security.protocol);
        self.security.apply(&mut config);
        config
    }

    /// How long revoked partitions may take to drain: below half of the session, so that the group
    /// does not lose patience.
    pub(crate) fn drain_deadline(&self) -> Duration {
        let both = self.raw_consumer.iter().chain(&self.raw);
        let session = both
            .filter(|(key, _)| key == "session.timeout.ms")
            .find_map(|(_, value)| value.parse().ok());
        Duration::from_millis(session.unwrap_or(45_000) * 2 / 5)
    }
}

impl Security {
    fn apply(&self, config: &mut ClientConfig) {
        let pems = [
            ("ssl.ca", &self.ca),
            ("ssl.certificate", &self.certificate),
            ("ssl.key", &self.key),
        ];
        for (name, pem) in pems {
            match pem {
                Some(Pem::Text(text)) => config.set(format!("{name}.pem"), text),
                Some(Pem::File(path)) => {
                    config.set(format!("{name}.location"), path.to_string_lossy())
                }
                None => continue,
            };
        }
        let texts = [
            ("ssl.key.password", &self.key_password),
            ("sasl.mechanism", &self.mechanism),
            ("sasl.username", &self.username),
            ("sasl.password", &self.password),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                config.set(name, text);
            }
        }
    }
}

fn apply(config: &mut ClientConfig, raw: &[(String, String)]) {
    for (key, value) in raw {
        config.set(key, value);
    }
}

/// What librdkafka was built with, such as `ssl` and `zstd`.
pub fn builtin_features() -> Vec<String> {
    let native = ClientConfig::new().create_native_config();
    let features = native.and_then(|config| config.get("builtin.features"));
    features
        .unwrap_or_default()
        .split(',')
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_can_do_tls_scram_and_the_codecs_of_shippers() {
        let features = builtin_features();
        for needed in [
            "ssl",
            "sasl_scram",
            "sasl_plain",
            "zstd",
            "lz4",
            "gzip",
            "snappy",
        ] {
            assert!(
                features.iter().any(|f| f == needed),
                "{needed} is missing in {features:?}"
            );
        }
    }
}
