//! What the service is told: plain data, no defaults of its own.

use crate::CorrelationOptions;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use regex_automata::meta::Regex;

/// librdkafka properties that the engine decides. Raw settings must not touch them: offsets, start and
/// delivery rest on them.
pub const OWNED_PROPERTIES: &[&str] = &[
    "acks",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.report.only.error",
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
    "offset.store.method",
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
    /// How far before its start a partition is read to fill the process cache and the windows of correlations; zero: not
    /// at all.
    pub warmup: Duration,
    /// Bytes read for that per partition at most.
    pub warmup_bytes: u64,
    /// What correlations wait for and remember.
    pub correlations: CorrelationOptions,
}

impl Options {
    /// Topics that are written and also named as input: every dead letter would be read again and die
    /// again. A pattern leaves them out by itself.
    pub fn output_topics_read(&self) -> Vec<&str> {
        let Input::Topics(topics) = &self.input else {
            return Vec::new();
        };
        let outputs = [self.alerts.as_str(), self.dead_letters.as_str()];
        outputs
            .into_iter()
            .filter(|output| topics.iter().any(|topic| topic == output))
            .collect()
    }

    /// Properties of the consumer.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.wait.max.ms", "100")
            // The queue's limit is looked at before a fetch, and all brokers answer at once: an answer counts
            // as it is unpacked, some ten times as much.
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.max.bytes", "4194304")
            .set("queued.max.messages.kbytes", "65536")
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
        if let Input::Pattern(_) = self.input {
            let literal = |topic: &str| format!("^{}$", topic.replace('.', "\\."));
            let mut ignored = vec![literal(&self.alerts), literal(&self.dead_letters)];
            ignored.extend(config.get("topic.blacklist").map(str::to_owned));
            config.set("topic.blacklist", ignored.join(","));
        }
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
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("statistics.interval.ms", "5000");
        config
    }

    /// The same for records that are sent one by one; few, so that their statistics tell nothing.
    pub(crate) fn single_producer(&self) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("batch.num.messages", "1")
            .set("statistics.interval.ms", "0");
        config
    }

    /// Properties of the consumer of the operator's commands: it reads what it is told to and is no member
    /// of the group, whose name it bears because that is the one it may use.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", "16384");
        apply(&mut config, &self.raw);
        apply(&mut config, &self.raw_consumer);
        config
            .set("allow.auto.create.topics", "false")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("statistics.interval.ms", "0");
        config
    }

    /// Properties of the client that asks about topics and makes them.
    pub(crate) fn administrator(&self) -> ClientConfig {
        let mut config = self.client();
        apply(&mut config, &self.raw);
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

/// What librdkafka refuses may be a secret in the wrong place: the error without the refused value.
pub(crate) fn without_value(error: KafkaError) -> KafkaError {
    match error {
        KafkaError::ClientConfig(result, what, key, _) => {
            KafkaError::ClientConfig(result, what, key, "<its value>".to_owned())
        }
        other => other,
    }
}

fn apply(config: &mut ClientConfig, raw: &[(String, String)]) {
    for (key, value) in raw {
        config.set(key, value);
    }
}

/// What is wrong with a regular expression of topics: the client's word, which subscribes by it, or ours, by which
/// the doctor finds the same topics.
pub fn pattern_fault(pattern: &str) -> Option<String> {
    if let Err(error) = Regex::new(pattern) {
        let cause = error.syntax_error().map(ToString::to_string);
        let cause = cause.unwrap_or_else(|| error.to_string());
        // Lines above show where it is, which a pattern of one line does not need.
        let last = cause.lines().last().unwrap_or_default();
        return Some(last.trim_start_matches("error: ").to_owned());
    }
    // The client reads lists of patterns, split at commas, without being started.
    if pattern.contains(',') {
        return None;
    }
    let mut config = ClientConfig::new();
    match config
        .set("topic.blacklist", pattern)
        .create_native_config()
    {
        Err(KafkaError::ClientConfig(_, said, ..)) => Some(said),
        Err(error) => Some(error.to_string()),
        Ok(_) => None,
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

    fn options() -> Options {
        Options {
            brokers: vec!["a:9092".into(), "b:9092".into()],
            group: "g".into(),
            input: Input::Topics(vec!["laurel".into()]),
            start: Start::Earliest,
            group_instance_id: None,
            group_protocol: GroupProtocol::Classic,
            security: Security {
                protocol: "plaintext".into(),
                ..Security::default()
            },
            raw: Vec::new(),
            raw_consumer: Vec::new(),
            raw_producer: Vec::new(),
            alerts: "pythia.alerts".into(),
            dead_letters: "pythia.dlq".into(),
            threads: 1,
            batch_bytes: 1,
            in_flight_bytes: 1,
            commit_interval: Duration::from_secs(1),
            shutdown_deadline: Duration::from_secs(1),
            process_cache_bytes: 1,
            process_cache_max_age: Duration::from_secs(1),
            warmup: Duration::ZERO,
            warmup_bytes: 0,
            limits: detect::Limits::USUAL,
            correlations: CorrelationOptions {
                lateness_ms: 30_000,
                limits: detect::CorrelationLimits::USUAL,
            },
        }
    }

    fn raw(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_pattern_is_judged_by_the_client_and_by_us() {
        for good in ["^laurel", "^laurel-.{1,3}$", "^(a|b)[0-9]+$"] {
            assert_eq!(pattern_fault(good), None);
        }
        for wrong in ["^[", "^(", "^a{3,1}", "^(?:a|b)", "^(?i)laurel", r"^(a)\1"] {
            let fault = pattern_fault(wrong).expect(wrong);
            assert!(!fault.contains('\n'), "{fault}");
        }
        assert_eq!(
            pattern_fault("^[").as_deref(),
            Some("unclosed character class")
        );
    }

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

    #[test]
    fn properties_that_offsets_and_delivery_rest_on_are_owned_by_the_engine() {
        for owned in [
            "acks",
            "auto.offset.reset",
            "delivery.report.only.error",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.idempotence",
            "enable.partition.eof",
            "group.id",
            "isolation.level",
            "transactional.id",
        ] {
            assert!(OWNED_PROPERTIES.contains(&owned), "{owned}");
        }
        for free in ["linger.ms", "session.timeout.ms", "socket.keepalive.enable"] {
            assert!(!OWNED_PROPERTIES.contains(&free), "{free}");
        }
    }

    #[test]
    fn raw_properties_win_over_ours_and_the_clients_accept_every_one_of_them() {
        let mut options = options();
        options.raw_consumer = raw(&[("session.timeout.ms", "6000")]);
        options.raw_producer = raw(&[("linger.ms", "50")]);
        let (consumer, producer) = (options.consumer(), options.producer());
        assert_eq!(consumer.get("session.timeout.ms"), Some("6000"));
        assert_eq!(producer.get("linger.ms"), Some("50"));
        assert_eq!(consumer.get("bootstrap.servers"), Some("a:9092,b:9092"));
        consumer.create_native_config().expect("valid");
        producer.create_native_config().expect("valid");
        let single = options.single_producer();
        single.create_native_config().expect("valid");
        options.group_protocol = GroupProtocol::Consumer;
        options.raw_consumer.clear();
        options
            .consumer()
            .create::<rdkafka::consumer::BaseConsumer>()
            .expect("KIP-848 refuses session.timeout.ms and a strategy: neither is set");
    }

    #[test]
    fn revoked_partitions_drain_within_less_than_half_of_the_session() {
        let mut options = options();
        assert!(options.drain_deadline() < Duration::from_millis(22_500));
        options.raw_consumer = raw(&[("session.timeout.ms", "6000")]);
        assert!(options.drain_deadline() < Duration::from_secs(3));
    }

    #[test]
    fn a_pattern_never_reads_what_pythia_writes() {
        let mut options = options();
        options.input = Input::Pattern("^.*".into());
        let ignored = |options: &Options| {
            let config = options.consumer();
            config.get("topic.blacklist").map(str::to_owned)
        };
        let ours = r"^pythia\.alerts$,^pythia\.dlq$";
        assert_eq!(ignored(&options).as_deref(), Some(ours));
        options.raw_consumer = raw(&[("topic.blacklist", "^test")]);
        assert_eq!(ignored(&options), Some(format!("{ours},^test")));
        assert!(options.output_topics_read().is_empty());
        options.input = Input::Topics(vec!["laurel".into(), "pythia.dlq".into()]);
        assert_eq!(options.output_topics_read(), ["pythia.dlq"]);
    }

    #[test]
    fn secrets_and_certificates_reach_the_client_as_text_or_file() {
        let mut options = options();
        options.security = Security {
            protocol: "sasl_ssl".into(),
            ca: Some(Pem::File("/etc/ca.pem".into())),
            certificate: Some(Pem::Text("-----BEGIN".into())),
            mechanism: Some("SCRAM-SHA-512".into()),
            username: Some("u".into()),
            password: Some("p".into()),
            ..Security::default()
        };
        for config in [options.consumer(), options.producer()] {
            assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
            assert_eq!(config.get("ssl.ca.location"), Some("/etc/ca.pem"));
            assert_eq!(config.get("ssl.certificate.pem"), Some("-----BEGIN"));
            assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
            assert_eq!(config.get("sasl.username"), Some("u"));
            assert_eq!(config.get("sasl.password"), Some("p"));
        }
    }
}
