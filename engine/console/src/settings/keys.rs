//! The table of all settings: name, kind, default, words. The example file, the check for unknown
//! names, the defaults and `config show` all come from it, so they cannot disagree.

use super::value::Kind;

/// One setting.
#[derive(Debug)]
pub(super) struct Key {
    /// Section and name, joined by dots.
    pub(super) path: &'static str,
    /// What it may hold.
    pub(super) kind: Kind,
    /// Default as TOML; `None` where there is none.
    pub(super) default: Option<&'static str>,
    /// Never printed.
    pub(super) secret: bool,
    /// What it does, for the example file; a sentence or two.
    pub(super) about: &'static str,
    /// What stands in the example where there is no default.
    pub(super) example: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some(default),
        secret: false,
        about,
        example: "",
    }
}

const fn secret(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some("\"\""),
        secret: true,
        about,
        example: "",
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;

/// Words about each section, in the order of the example file.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("kafka", "Where events come from and alerts go to."),
    (
        "kafka.security",
        "TLS and login. Secrets are better given as files or as PYTHIA__KAFKA__SECURITY__... variables.",
    ),
    (
        "kafka.librdkafka",
        "Raw librdkafka properties for consumer and producer, applied last. Those that the engine owns are refused.",
    ),
    (
        "kafka.consumer",
        "Raw librdkafka properties of the consumer alone.",
    ),
    (
        "kafka.producer",
        "Raw librdkafka properties of the producer alone.",
    ),
    ("output", "What is written, and where."),
    ("rules", "Which rules run."),
    ("engine", "Work and memory."),
    (
        "process_cache",
        "What is remembered of processes, for the command lines of parents.",
    ),
    ("correlation", "What correlations wait for and remember."),
    ("source", "How the lines look."),
    (
        "source.users",
        "Names of numeric user ids, for lines that carry no translated names.",
    ),
    (
        "limits",
        "Nothing is unbounded. What a limit cuts is flagged and counted.",
    ),
    ("http", "Metrics and health."),
    ("log", "The program's own log, on stderr."),
];

/// Every setting, in the order of the example file.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "kafka.brokers",
        kind: Kind::Brokers,
        default: None,
        secret: false,
        about: "Brokers to ask first. Needed by `pythia run`.",
        example: "[\"localhost:9092\"]",
    },
    key(
        "kafka.group",
        Kind::Name,
        "\"pythia\"",
        "Consumer group; instances with the same group share the partitions.",
    ),
    key(
        "kafka.input",
        Kind::Topics,
        "[\"laurel\"]",
        "Topics to read: a list, or one text that starts with ^, a regular expression of topics.",
    ),
    key(
        "kafka.start",
        Kind::Choice(&["earliest", "latest"]),
        "\"earliest\"",
        "Where to begin on a partition without a committed offset: earliest | latest.",
    ),
    key(
        "kafka.group_protocol",
        Kind::Choice(&["classic", "consumer"]),
        "\"classic\"",
        "classic (cooperative-sticky) | consumer (KIP-848, brokers from 4.0).",
    ),
    key(
        "kafka.group_instance_id",
        Kind::Text,
        "\"\"",
        "Name of this instance for static membership, such as the pod's name: a quick restart then moves no partition.",
    ),
    key(
        "kafka.delivery",
        Kind::Choice(&["at_least_once", "exactly_once"]),
        "\"at_least_once\"",
        "at_least_once: an alert may come twice after a crash, with the same alert_id. exactly_once is not built yet and refused.",
    ),
    key(
        "kafka.security.protocol",
        Kind::Choice(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]),
        "\"plaintext\"",
        "plaintext | ssl | sasl_plaintext | sasl_ssl.",
    ),
    key(
        "kafka.security.ca",
        Kind::Pem,
        "\"\"",
        "Certificates of the authorities to trust: path of a PEM file, or PEM text.",
    ),
    key(
        "kafka.security.certificate",
        Kind::Pem,
        "\"\"",
        "Own certificate: path of a PEM file, or PEM text.",
    ),
    secret(
        "kafka.security.key",
        Kind::Pem,
        "Own private key: path of a PEM file, or PEM text.",
    ),
    secret(
        "kafka.security.key_password",
        Kind::Text,
        "Password of the private key.",
    ),
    key(
        "kafka.security.key_password_file",
        Kind::File,
        "\"\"",
        "File that holds the password of the private key.",
    ),
    key(
        "kafka.security.mechanism",
        Kind::Choice(&["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        "\"\"",
        "Login with sasl_*: PLAIN | SCRAM-SHA-256 | SCRAM-SHA-512.",
    ),
    key(
        "kafka.security.username",
        Kind::Text,
        "\"\"",
        "Name for the login.",
    ),
    secret(
        "kafka.security.password",
        Kind::Text,
        "Password for the login.",
    ),
    key(
        "kafka.security.password_file",
        Kind::File,
        "\"\"",
        "File that holds the password; a trailing line break is cut.",
    ),
    key(
        "kafka.librdkafka",
        Kind::Map,
        "\"socket.keepalive.enable\" = true",
        "",
    ),
    key(
        "kafka.consumer",
        Kind::Map,
        "\"session.timeout.ms\" = 45000",
        "",
    ),
    key(
        "kafka.producer",
        Kind::Map,
        "\"compression.type\" = \"lz4\"",
        "",
    ),
    key(
        "output.alerts",
        Kind::Name,
        "\"pythia.alerts\"",
        "Topic of the alerts.",
    ),
    key(
        "output.dead_letters",
        Kind::Name,
        "\"pythia.dlq\"",
        "Topic of the lines that are no events, with the reason in headers.",
    ),
    key(
        "output.format",
        Kind::Choice(&["native", "ocsf"]),
        "\"native\"",
        "Form of the alerts. ocsf is not built yet and refused.",
    ),
    key(
        "rules.paths",
        Kind::List,
        "[]",
        "Rule files and directories, from the working directory. Empty: the starter rules that the program carries.",
    ),
    key(
        "rules.reload_interval",
        Kind::Length(0, DAY),
        "\"10s\"",
        "How often `pythia run` looks whether rule files have changed; it loads them once they have rested for a second. 0s: on SIGHUP alone.",
    ),
    key(
        "engine.threads",
        Kind::Whole(0, 1024),
        "0",
        "Worker threads; 0: one per core.",
    ),
    key(
        "engine.batch_bytes",
        Kind::Size(4 * KIB, GIB),
        "\"4MiB\"",
        "Bytes of lines that are handed to a worker at once.",
    ),
    key(
        "engine.in_flight_bytes",
        Kind::Size(MIB, 64 * GIB),
        "\"64MiB\"",
        "Bytes of lines that were read and whose alerts are not delivered yet; above it reading waits.",
    ),
    key(
        "engine.commit_interval",
        Kind::Length(100, 5 * MINUTE),
        "\"1s\"",
        "How often offsets are committed.",
    ),
    key(
        "engine.shutdown_deadline",
        Kind::Length(SECOND, 10 * MINUTE),
        "\"20s\"",
        "After SIGTERM the program has ended by then, whatever happens.",
    ),
    key(
        "process_cache.bytes",
        Kind::Size(MIB, 1024 * GIB),
        "\"256MiB\"",
        "Memory for all hosts of this instance; the oldest entries go first, counted.",
    ),
    key(
        "process_cache.max_age",
        Kind::Length(MINUTE, 365 * DAY),
        "\"24h\"",
        "How long a process is remembered, in event time.",
    ),
    key(
        "process_cache.warmup",
        Kind::Length(0, DAY),
        "\"10m\"",
        "How far before the start offset lines are read again when a partition is assigned; 0s: not at all.",
    ),
    key(
        "process_cache.warmup_bytes",
        Kind::Size(0, 1024 * GIB),
        "\"1GiB\"",
        "At most so much is read again, per partition.",
    ),
    key(
        "correlation.lateness",
        Kind::Length(0, DAY),
        "\"30s\"",
        "How much later than others an event may come and still count in correlations, in event time.",
    ),
    key(
        "correlation.groups",
        Kind::Whole(1, 100_000_000),
        "200000",
        "Groups of one correlation; above: the one without an event for the longest time is given up, counted.",
    ),
    key(
        "correlation.events",
        Kind::Whole(1, 100_000_000),
        "10000",
        "Events of one group within its timespan; above: the oldest is given up, counted.",
    ),
    key(
        "correlation.waiting",
        Kind::Whole(1, 100_000_000),
        "262144",
        "Matches that wait for later events; above: the oldest are decided at once, and later ones may be dropped, counted.",
    ),
    key(
        "source.host_pointer",
        Kind::Text,
        "\"\"",
        "JSON pointer (/a/b) to the host's name in the shipper's envelope, tried before all others.",
    ),
    key(
        "source.envelope",
        Kind::List,
        "[\"message\", \"log\", \"event.original\", \"laurel\", \"json\"]",
        "Dotted paths where a shipper may have put the Laurel line, tried in this order.",
    ),
    key(
        "source.prefix",
        Kind::Text,
        "\"\"",
        "Laurel's enrich.prefix; empty: found out by itself.",
    ),
    key("source.users", Kind::Users, "0 = \"root\"", ""),
    key(
        "limits.line_bytes",
        Kind::Size(KIB, GIB),
        "\"8MiB\"",
        "Longest line; above: dead letter `oversize`.",
    ),
    key(
        "limits.nesting",
        Kind::Whole(4, 1024),
        "64",
        "Deepest nesting of JSON; above: dead letter `invalid_json`.",
    ),
    key(
        "limits.records",
        Kind::Whole(1, 1_000_000),
        "4096",
        "Audit records per event; above: rules see what fits, flagged.",
    ),
    key(
        "limits.arguments",
        Kind::Whole(1, 10_000_000),
        "65536",
        "Arguments per command line; above: rules see what fits, flagged.",
    ),
    key(
        "limits.alerts_per_event",
        Kind::Whole(1, 100_000),
        "64",
        "Alerts per event, the most severe first; the rest is counted per rule.",
    ),
    key(
        "limits.why_bytes",
        Kind::Size(256, 256 * KIB),
        "\"2KiB\"",
        "Size of `why` in an alert; above: cut, flagged.",
    ),
    key(
        "limits.event_bytes",
        Kind::Size(KIB, 900_000),
        "\"900KB\"",
        "Size of `event` in an alert; above: cut, flagged. The whole alert stays below 1 MB in any case.",
    ),
    key(
        "http.listen",
        Kind::Address,
        "\"127.0.0.1:9464\"",
        "Address of /metrics, /healthz and /readyz; empty: off. There is no login: open it to trusted networks only.",
    ),
    key(
        "log.format",
        Kind::Choice(&["human", "json"]),
        "\"human\"",
        "human | json.",
    ),
    key(
        "log.level",
        Kind::Name,
        "\"info\"",
        "error | warn | info | debug | trace, or directives such as \"info,librdkafka=debug\".",
    ),
];

/// The setting of this name, or the map that this name is an entry of.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| match key.kind {
        Kind::Map | Kind::Users => path
            .strip_prefix(key.path)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|name| !name.is_empty()),
        _ => key.path == path,
    })
}

/// The annotated configuration file: every setting with its default.
pub fn example() -> String {
    let mut text = String::from(
        "# Configuration of pythia. Every line shows the default; what you leave out stays as it is here.\n\
         # Stronger than this file: variables such as PYTHIA__KAFKA__BROKERS, and flags.\n\
         # Durations: 500ms 10s 5m 24h 7d. Sizes: KiB MiB GiB, KB MB GB.\n",
    );
    for (section, about) in SECTIONS {
        text.push_str(&format!("\n# {about}\n[{section}]\n"));
        let inside = |path: &str| {
            path.strip_prefix(section)
                .and_then(|rest| rest.strip_prefix('.'))
                .map(str::to_owned)
        };
        for key in KEYS {
            match key.kind {
                Kind::Users if key.path == *section => {
                    text.push_str(&format!("{}\n", key.default.unwrap_or_default()));
                }
                // These are examples, not defaults.
                Kind::Map if key.path == *section => {
                    text.push_str(&format!("# {}\n", key.default.unwrap_or_default()));
                }
                Kind::Map | Kind::Users => {}
                _ => {
                    let Some(name) = inside(key.path).filter(|name| !name.contains('.')) else {
                        continue;
                    };
                    text.push_str(&format!("# {}\n", key.about));
                    match key.default {
                        Some(default) => text.push_str(&format!("{name} = {default}\n")),
                        None => text.push_str(&format!("# {name} = {}\n", key.example)),
                    }
                }
            }
        }
    }
    text
}
