//! Settings: defaults, then the TOML file, then `PYTHIA__SECTION__KEY`, then flags; the stronger wins.
//!
//! Every mistake of every layer is found in one go, each with its place and its cure. [`Config`] holds
//! what is in force, checked; [`Config::shown`] says where each setting came from, and never a secret.

mod keys;
mod value;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{FileFormat, Source as _, ValueKind};

use crate::logs;

use self::keys::{KEYS, Key, find};
use self::value::{Bad, Kind, Raw, Value, nearest, parse};

pub use self::keys::example;
pub use self::value::{parse_duration, parse_size, size_text};

/// What all environment variables of settings start with.
const PREFIX: &str = "PYTHIA__";

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The program.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl Origin {
    /// The stronger layer wins.
    fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Variable(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Which layer says it.
    pub origin: Origin,
    /// The setting, such as `kafka.brokers`; empty if the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            key,
            message,
            help,
        } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "{origin}: {key}{colon}{message}\n  help: {help}")
    }
}

/// Where the settings are looked for.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Its text.
    pub text: Option<String>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// Flag, setting, value.
    pub flags: Vec<(String, String, String)>,
    /// Raw Kafka properties that the engine decides and a user must not.
    pub owned: &'static [&'static str],
    /// Says what is wrong with a regular expression of topics; `None`: it is not looked at.
    pub pattern_fault: Option<fn(&str) -> Option<String>>,
    /// Settings that must not be empty, with the help for each.
    pub needed: &'static [(&'static str, &'static str)],
}

/// One setting as it is in force, for people and programs.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Shown {
    /// The setting, such as `kafka.brokers`.
    pub key: String,
    /// Its value; a secret is `<secret>`.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: String,
}

/// Every setting, checked.
#[derive(Clone)]
pub struct Config {
    values: BTreeMap<String, (Value, Origin)>,
    /// The key's password and the login's, from setting or file.
    key_password: Option<String>,
    password: Option<String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shown()).finish()
    }
}

/// Reads all layers. `read_file` reads the files that settings name (passwords).
pub fn load(
    layers: &Layers,
    read_file: impl Fn(&Path) -> std::io::Result<String>,
) -> Result<Config, Vec<Mistake>> {
    let mut loading = Loading {
        values: BTreeMap::new(),
        mistakes: Vec::new(),
    };
    loading.defaults();
    loading.file(layers);
    for (name, text) in &layers.variables {
        if let Some(rest) = name.strip_prefix(PREFIX) {
            loading.set(
                &path_of(rest),
                &Raw::Text(text.clone()),
                &Origin::Variable(name.clone()),
            );
        }
    }
    for (flag, path, text) in &layers.flags {
        loading.set(path, &Raw::Text(text.clone()), &Origin::Flag(flag.clone()));
    }
    let password = loading.secret("kafka.security.password", &read_file);
    let key_password = loading.secret("kafka.security.key_password", &read_file);
    let Loading {
        values,
        mut mistakes,
    } = loading;
    let config = Config {
        values,
        key_password,
        password,
    };
    config.cross_check(layers, &mut mistakes);
    mistakes.sort();
    mistakes.dedup();
    if mistakes.is_empty() {
        Ok(config)
    } else {
        Err(mistakes)
    }
}

/// The setting that a variable means. Shells allow no dots in names, and no property of librdkafka has an
/// underscore: `KAFKA__CONSUMER__SESSION_TIMEOUT_MS` is `kafka.consumer.session.timeout.ms`.
fn path_of(variable: &str) -> String {
    let path = variable.to_lowercase().replace("__", ".");
    match find(&path) {
        Some(key) if matches!(key.kind, Kind::Map) => {
            let property = path.strip_prefix(key.path).unwrap_or_default();
            format!("{}{}", key.path, property.replace('_', "."))
        }
        _ => path,
    }
}

struct Loading {
    values: BTreeMap<String, (Value, Origin)>,
    mistakes: Vec<Mistake>,
}

impl Loading {
    fn defaults(&mut self) {
        for key in KEYS {
            if let (Some(default), false) = (key.default, matches!(key.kind, Kind::Map)) {
                let text = match key.kind {
                    Kind::Users => format!("[{}]\n{default}", key.path),
                    _ => format!("{} = {default}", key.path),
                };
                self.table(&text, &Origin::Default);
            }
        }
    }

    fn file(&mut self, layers: &Layers) {
        if let (Some(path), Some(text)) = (&layers.file, &layers.text) {
            self.table(text, &Origin::File(path.clone()));
        }
    }

    /// One TOML text. The crate `config` reads it; its own merging would split `session.timeout.ms`.
    fn table(&mut self, text: &str, origin: &Origin) {
        match config::File::from_str(text, FileFormat::Toml).collect() {
            Ok(table) => {
                let mut entries: Vec<_> = table.into_iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                for (name, value) in entries {
                    self.entry(&name, value, origin);
                }
            }
            Err(error) => {
                let message = format!("is no TOML: {}", without_excerpt(&error.to_string()));
                self.mistake(
                    origin,
                    "",
                    Bad {
                        message,
                        help: "mend the syntax at that place".into(),
                    },
                );
            }
        }
    }

    fn entry(&mut self, path: &str, value: config::Value, origin: &Origin) {
        let is_section = KEYS.iter().any(|key| {
            key.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
                || (key.path == path && matches!(key.kind, Kind::Map | Kind::Users))
        });
        match value.kind {
            ValueKind::Table(table) if is_section => {
                let mut entries: Vec<_> = table.into_iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                for (name, value) in entries {
                    self.entry(&format!("{path}.{name}"), value, origin);
                }
            }
            kind => self.set(path, &raw(kind), origin),
        }
    }

    fn set(&mut self, path: &str, raw: &Raw, origin: &Origin) {
        let Some(key) = find(path) else {
            if keys::SECTIONS.iter().any(|section| section.0 == path) {
                let help = format!("write [{path}] and the settings below it");
                let message = "is a section, no setting".into();
                self.mistake(origin, path, Bad { message, help });
                return;
            }
            let known = KEYS
                .iter()
                .map(|key| key.path)
                .chain(keys::SECTIONS.iter().map(|section| section.0));
            let help = match nearest(path, known) {
                Some(near) => format!("did you mean {near}?"),
                None => "`pythia config example` lists every setting".to_owned(),
            };
            self.mistake(
                origin,
                path,
                Bad {
                    message: "there is no such setting".into(),
                    help,
                },
            );
            return;
        };
        match parse(key.kind, raw) {
            Ok(value) => match refused(key, &value) {
                Some(bad) => self.mistake(origin, path, bad),
                None => {
                    self.values.insert(path.to_owned(), (value, origin.clone()));
                }
            },
            Err(bad) if key.secret => {
                let message = "is not what it should be".to_owned();
                self.mistake(
                    origin,
                    path,
                    Bad {
                        message,
                        help: bad.help,
                    },
                );
            }
            Err(bad) => self.mistake(origin, path, bad),
        }
    }

    /// A secret from its setting or from the file that `<key>_file` names.
    fn secret(
        &mut self,
        path: &str,
        read_file: &impl Fn(&Path) -> std::io::Result<String>,
    ) -> Option<String> {
        let text = |values: &BTreeMap<String, (Value, Origin)>, path: &str| match values.get(path) {
            Some((Value::Text(text), origin)) if !text.is_empty() => {
                Some((text.clone(), origin.clone()))
            }
            _ => None,
        };
        let file_key = format!("{path}_file");
        let direct = text(&self.values, path);
        let Some((file, origin)) = text(&self.values, &file_key) else {
            return direct.map(|(text, _)| text);
        };
        let mut bad = |message: String, help: &str| {
            let help = help.to_owned();
            self.mistake(&origin, &file_key, Bad { message, help });
        };
        if let Some((text, direct)) = direct {
            match direct.strength().cmp(&origin.strength()) {
                Ordering::Greater => return Some(text),
                Ordering::Equal => bad(
                    format!("is given together with {path}"),
                    "give one of the two",
                ),
                Ordering::Less => {}
            }
        }
        match read_file(Path::new(&file)) {
            Ok(text) if text.trim().is_empty() => {
                bad(format!("{file} is empty"), "put the secret into it");
                None
            }
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                bad(format!("{file}: {error}"), "name a file that can be read");
                None
            }
        }
    }

    fn mistake(&mut self, origin: &Origin, key: &str, bad: Bad) {
        let Bad { message, help } = bad;
        self.mistakes.push(Mistake {
            origin: origin.clone(),
            key: key.to_owned(),
            message,
            help,
        });
    }
}

fn raw(kind: ValueKind) -> Raw {
    match kind {
        ValueKind::String(text) => Raw::Text(text),
        ValueKind::Boolean(flag) => Raw::Bool(flag),
        ValueKind::I64(number) => Raw::Number(number),
        ValueKind::Float(number) => Raw::Float(number.to_string()),
        ValueKind::Array(items) => {
            Raw::List(items.into_iter().map(|item| item.to_string()).collect())
        }
        ValueKind::Table(_) => Raw::Table,
        other => Raw::Text(other.to_string()),
    }
}

/// What is wrong with a TOML text and where, without the line itself: a secret may stand there.
fn without_excerpt(error: &str) -> String {
    let is_excerpt = |line: &str| {
        let line = line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
        line.starts_with('|')
    };
    let said: Vec<&str> = error.lines().filter(|line| !is_excerpt(line)).collect();
    said.join(": ")
}

/// Words that are known and not built.
fn refused(key: &Key, value: &Value) -> Option<Bad> {
    let Value::Text(text) = value else {
        return None;
    };
    let instead = match (key.path, text.as_str()) {
        ("kafka.delivery", "exactly_once") => "at_least_once",
        ("output.format", "ocsf") => "native",
        _ => return None,
    };
    Some(Bad {
        message: format!("{text:?} is not built yet"),
        help: format!("write {instead:?}"),
    })
}

impl Config {
    fn cross_check(&self, layers: &Layers, mistakes: &mut Vec<Mistake>) {
        // What is wrong by itself gives no second mistake.
        let faulty: BTreeSet<String> = mistakes.iter().map(|mistake| mistake.key.clone()).collect();
        let mut mistake = |key: &str, message: &str, help: &str| {
            if faulty.contains(key) || faulty.contains(&format!("{key}_file")) {
                return;
            }
            let origin = self
                .values
                .get(key)
                .map_or(Origin::Default, |(_, origin)| origin.clone());
            let (message, help) = (message.to_owned(), help.to_owned());
            mistakes.push(Mistake {
                origin,
                key: key.to_owned(),
                message,
                help,
            });
        };
        let protocol = self.text("kafka.security.protocol");
        let sasl = protocol.starts_with("sasl");
        let given = |key: &str| !self.text(key).is_empty();
        if sasl && !given("kafka.security.mechanism") {
            mistake(
                "kafka.security.mechanism",
                "is missing",
                "sasl needs PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            );
        }
        if sasl && !given("kafka.security.username") {
            mistake("kafka.security.username", "is missing", "sasl needs a name");
        }
        if sasl && self.password.is_none() {
            mistake(
                "kafka.security.password",
                "is missing",
                "sasl needs password or password_file",
            );
        }
        let login = given("kafka.security.mechanism")
            || given("kafka.security.username")
            || self.password.is_some();
        if !sasl && login {
            mistake(
                "kafka.security.protocol",
                "is not sasl_*, but a mechanism, username or password is set",
                "write sasl_ssl, or unset them",
            );
        }
        if given("kafka.security.certificate") != given("kafka.security.key") {
            mistake(
                "kafka.security.certificate",
                "and kafka.security.key belong together",
                "give both or none",
            );
        }
        let tls = protocol.ends_with("ssl");
        if !tls && (given("kafka.security.ca") || given("kafka.security.certificate")) {
            mistake(
                "kafka.security.protocol",
                "has no TLS, but certificates are set",
                "write ssl or sasl_ssl",
            );
        }
        for (key, help) in [
            (
                "engine.batch_bytes",
                "a batch must fit into what is in flight",
            ),
            (
                "limits.line_bytes",
                "the longest line must fit into what is in flight",
            ),
        ] {
            let text = |key: &str| size_text(self.size(key) as u64);
            if self.size(key) > self.size("engine.in_flight_bytes") {
                let (bytes, in_flight) = (text(key), text("engine.in_flight_bytes"));
                let message = format!("is {bytes}, above engine.in_flight_bytes ({in_flight})");
                mistake(key, &message, help);
            }
        }
        if self.text("output.alerts") == self.text("output.dead_letters") {
            mistake(
                "output.dead_letters",
                "is the topic of the alerts",
                "name a topic of its own",
            );
        }
        for (key, help) in layers.needed {
            let (text, list) = match self.values.get(*key) {
                Some((Value::Text(text), _)) => (text.is_empty(), true),
                Some((Value::List(items), _)) => (true, items.is_empty()),
                Some(_) => (false, false),
                None => (true, true),
            };
            if text && list {
                mistake(key, "is missing", help);
            }
        }
        for section in ["kafka.librdkafka", "kafka.consumer", "kafka.producer"] {
            for (name, _) in self.map(section) {
                if layers.owned.contains(&name.as_str()) {
                    let help = "remove it; [kafka] has a setting for what may be chosen";
                    mistake(
                        &format!("{section}.{name}"),
                        "the engine decides this",
                        help,
                    );
                }
            }
        }
        if let Err(error) = logs::filter(self.text("log.level")) {
            mistake(
                "log.level",
                &error,
                "write info, or directives such as \"info,librdkafka=debug\"",
            );
        }
        if given("source.host_pointer") && !self.text("source.host_pointer").starts_with('/') {
            mistake(
                "source.host_pointer",
                "is no JSON pointer",
                "begin with a slash: /host/name",
            );
        }
        let input = self.list("kafka.input");
        let pattern = input.first().filter(|topic| topic.starts_with('^'));
        if let (Some(pattern), Some(fault_of)) = (pattern, layers.pattern_fault)
            && let Some(fault) = fault_of(pattern)
        {
            mistake(
                "kafka.input",
                &format!("{pattern:?} is no regular expression: {fault}"),
                "mend it, or name the topics",
            );
        }
        for key in ["output.alerts", "output.dead_letters"] {
            if input.iter().any(|topic| topic == self.text(key)) {
                mistake(
                    key,
                    "is read as input too",
                    "alerts must not be read as events",
                );
            }
        }
        for (key, _) in self.map("source.users") {
            if key.parse::<u32>().is_err() {
                mistake(
                    &format!("source.users.{key}"),
                    "is no user id",
                    "write a number, such as 0 = \"root\"",
                );
            }
        }
    }

    /// Every setting, where it came from, in order. No secret is in it.
    pub fn shown(&self) -> Vec<Shown> {
        let entries = self.values.iter().map(|(path, (value, origin))| {
            let secret = find(path).is_some_and(|key| key.secret)
                || path.contains("password")
                || hides(path);
            let empty = matches!(value, Value::Text(text) if text.is_empty());
            let value = match value {
                _ if secret && !empty && !path.ends_with("_file") => "<secret>".into(),
                Value::Text(text) => text.clone().into(),
                Value::List(items) => items.clone().into(),
                Value::Whole(number) => (*number).into(),
                other => other.to_string().trim_matches('"').to_owned().into(),
            };
            Shown {
                key: path.clone(),
                value,
                origin: origin.to_string(),
            }
        });
        entries.collect()
    }

    /// A text; empty if unset.
    ///
    /// # Panics
    ///
    /// If the setting is not a text: the caller names a setting that does not exist.
    pub fn text(&self, path: &str) -> &str {
        match self.values.get(path) {
            Some((Value::Text(text), _)) => text,
            None => "",
            Some((other, _)) => unreachable!("{path} is {other}"),
        }
    }

    /// A text, if it is set.
    pub fn text_if_set(&self, path: &str) -> Option<String> {
        Some(self.text(path))
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    /// A list.
    ///
    /// # Panics
    ///
    /// As [`Config::text`].
    pub fn list(&self, path: &str) -> &[String] {
        match self.values.get(path) {
            Some((Value::List(items), _)) => items,
            None => &[],
            Some((other, _)) => unreachable!("{path} is {other}"),
        }
    }

    /// A number of things.
    ///
    /// # Panics
    ///
    /// As [`Config::text`].
    pub fn whole(&self, path: &str) -> usize {
        match self.values.get(path) {
            Some((Value::Whole(number), _)) => usize::try_from(*number).unwrap_or(usize::MAX),
            other => unreachable!("{path} is {other:?}"),
        }
    }

    /// Bytes.
    ///
    /// # Panics
    ///
    /// As [`Config::text`].
    pub fn size(&self, path: &str) -> usize {
        match self.values.get(path) {
            Some((Value::Size(bytes), _)) => usize::try_from(*bytes).unwrap_or(usize::MAX),
            other => unreachable!("{path} is {other:?}"),
        }
    }

    /// A duration.
    ///
    /// # Panics
    ///
    /// As [`Config::text`].
    pub fn length(&self, path: &str) -> Duration {
        match self.values.get(path) {
            Some((Value::Length(duration), _)) => *duration,
            other => unreachable!("{path} is {other:?}"),
        }
    }

    /// Names and texts of a map, in order.
    pub fn map(&self, path: &str) -> Vec<(String, String)> {
        let entries = self.values.iter().filter_map(|(key, (value, _))| {
            let name = key.strip_prefix(path)?.strip_prefix('.')?;
            match value {
                Value::Text(text) => Some((name.to_owned(), text.clone())),
                _ => None,
            }
        });
        entries.collect()
    }

    /// The password of the login.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The password of the private key.
    pub fn key_password(&self) -> Option<&str> {
        self.key_password.as_deref()
    }
}

/// Raw properties that hold secrets.
fn hides(path: &str) -> bool {
    let raw = ["kafka.librdkafka.", "kafka.consumer.", "kafka.producer."];
    let secret = [
        "password",
        "passphrase",
        "secret",
        "token",
        "key.pem",
        "oauthbearer.config",
        "sasl.jaas",
    ];
    raw.iter().any(|section| path.starts_with(section))
        && secret.iter().any(|word| path.contains(word))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn layers(text: &str) -> Layers {
        Layers {
            file: Some("pythia.toml".into()),
            text: Some(text.into()),
            ..Layers::default()
        }
    }

    fn no_file(path: &Path) -> std::io::Result<String> {
        match path.to_str() {
            Some("/run/password") => Ok("from the file\n".into()),
            Some("/run/empty") => Ok("\n".into()),
            _ => Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "not found",
            )),
        }
    }

    fn mistakes(layers: &Layers) -> String {
        let mistakes = load(layers, no_file).expect_err("there are mistakes");
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        lines.join("\n") + "\n"
    }

    #[test]
    fn the_stronger_layer_wins_and_says_so() {
        let mut layers =
            layers("[kafka]\ngroup = \"file\"\nbrokers = [\"f:1\"]\n[engine]\nthreads = 3\n");
        layers.variables = vec![
            ("PYTHIA__KAFKA__GROUP".into(), "variable".into()),
            ("PYTHIA__KAFKA__BROKERS".into(), "a:1, b:2".into()),
            ("HOME".into(), "/root".into()),
        ];
        layers.flags = vec![("--group".into(), "kafka.group".into(), "flag".into())];
        let config = load(&layers, no_file).expect("no mistakes");
        assert_eq!(config.text("kafka.group"), "flag");
        assert_eq!(config.list("kafka.brokers"), ["a:1", "b:2"]);
        assert_eq!(config.whole("engine.threads"), 3);
        assert_eq!(
            config.length("engine.commit_interval"),
            Duration::from_secs(1)
        );
        let origin = |key: &str| {
            config
                .shown()
                .into_iter()
                .find(|s| s.key == key)
                .expect("shown")
                .origin
        };
        assert_eq!(origin("kafka.group"), "--group");
        assert_eq!(origin("kafka.brokers"), "PYTHIA__KAFKA__BROKERS");
        assert_eq!(origin("engine.threads"), "pythia.toml");
        assert_eq!(origin("log.level"), "default");
    }

    #[test]
    fn every_mistake_is_listed_at_once() {
        let mut layers = layers(
            "[kafka]\ngruop = \"x\"\ndelivery = \"exactly_once\"\ninput = [\"a\", \"^b\"]\n\
             [engine]\nthreads = \"many\"\nbatch_bytes = \"4 elephants\"\ncommit_interval = 5\n\
             [kafka.security]\nprotocol = \"sasl_ssl\"\npassword_file = \"/nowhere\"\n[nothing]\nx = 1\n",
        );
        layers.variables = vec![("PYTHIA__LOG__FORMAT".into(), "xml".into())];
        expect![[r#"
            default: kafka.security.mechanism: is missing
              help: sasl needs PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
            default: kafka.security.username: is missing
              help: sasl needs a name
            pythia.toml: engine.batch_bytes: "4 elephants" is no size
              help: write a size from "4KiB" to "1GiB"; units are B KB MB GB KiB MiB GiB
            pythia.toml: engine.commit_interval: 5 is no duration
              help: write a duration from "100ms" to "5m"; units are ms s m h d
            pythia.toml: engine.threads: "many" is no whole number
              help: write a number from 0 to 1024
            pythia.toml: kafka.delivery: "exactly_once" is not built yet
              help: write "at_least_once"
            pythia.toml: kafka.gruop: there is no such setting
              help: did you mean kafka.group?
            pythia.toml: kafka.input: mixes topics and a regular expression
              help: write either topics or one text that starts with ^
            pythia.toml: kafka.security.password_file: /nowhere: not found
              help: name a file that can be read
            pythia.toml: nothing: there is no such setting
              help: `pythia config example` lists every setting
            PYTHIA__LOG__FORMAT: log.format: "xml" is none of the words known here
              help: it may be human, json
        "#]]
        .assert_eq(&mistakes(&layers));
    }

    #[test]
    fn what_does_not_fit_into_what_is_in_flight_is_refused() {
        let layers =
            layers("[engine]\nin_flight_bytes = \"2MiB\"\n[limits]\nline_bytes = \"3MB\"\n");
        expect![[r"
            default: engine.batch_bytes: is 4MiB, above engine.in_flight_bytes (2MiB)
              help: a batch must fit into what is in flight
            pythia.toml: limits.line_bytes: is 3MB, above engine.in_flight_bytes (2MiB)
              help: the longest line must fit into what is in flight
        "]]
        .assert_eq(&mistakes(&layers));
    }

    #[test]
    fn secrets_come_from_files_and_are_never_shown() {
        let layers = layers(
            "[kafka.security]\nprotocol = \"sasl_ssl\"\nmechanism = \"PLAIN\"\nusername = \"u\"\npassword_file = \"/run/password\"\n\
             certificate = \"c.pem\"\nkey = \"-----BEGIN hidden\"\nkey_password = \"hidden\"\n\
             [kafka.librdkafka]\n\"ssl.keystore.password\" = \"hidden\"\n\
             \"sasl.oauthbearer.assertion.private.key.passphrase\" = \"hidden\"\n",
        );
        let config = load(&layers, no_file).expect("no mistakes");
        assert_eq!(config.password(), Some("from the file"));
        assert_eq!(config.key_password(), Some("hidden"));
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("hidden") && !shown.contains("from the file"),
            "{shown}"
        );
        assert!(shown.contains("<secret>"));
    }

    #[test]
    fn the_stronger_layer_gives_the_secret_and_an_empty_file_is_a_mistake() {
        let sasl =
            "[kafka.security]\nprotocol = \"sasl_ssl\"\nmechanism = \"PLAIN\"\nusername = \"u\"\n";
        let mut stronger = layers(&format!("{sasl}password_file = \"/run/password\"\n"));
        let variable = (
            "PYTHIA__KAFKA__SECURITY__PASSWORD".to_owned(),
            "from the variable".to_owned(),
        );
        stronger.variables.push(variable);
        let config = load(&stronger, no_file).expect("no mistakes");
        assert_eq!(config.password(), Some("from the variable"));
        let empty = layers(&format!("{sasl}password_file = \"/run/empty\"\n"));
        expect![[r"
            pythia.toml: kafka.security.password_file: /run/empty is empty
              help: put the secret into it
        "]]
        .assert_eq(&mistakes(&empty));
    }

    #[test]
    fn raw_properties_keep_their_dotted_names() {
        let layers =
            layers("[kafka.consumer]\n\"session.timeout.ms\" = 6000\n\"check.crcs\" = true\n");
        let config = load(&layers, no_file).expect("no mistakes");
        let expected = [("check.crcs", "true"), ("session.timeout.ms", "6000")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(config.map("kafka.consumer"), expected);
    }

    #[test]
    fn raw_properties_come_from_variables_that_a_shell_can_set() {
        let mut layers = layers("[kafka.consumer]\n\"session.timeout.ms\" = 6000\n");
        let variable = |name: &str, value: &str| (format!("PYTHIA__KAFKA__{name}"), value.into());
        layers.variables = vec![
            variable("CONSUMER__SESSION_TIMEOUT_MS", "7000"),
            variable("LIBRDKAFKA__client.rack", "a"),
        ];
        let config = load(&layers, no_file).expect("no mistakes");
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(
            config.map("kafka.consumer"),
            pair("session.timeout.ms", "7000")
        );
        assert_eq!(config.map("kafka.librdkafka"), pair("client.rack", "a"));
        assert_eq!(config.text("kafka.group"), "pythia");

        layers.owned = &["enable.auto.commit"];
        layers.variables = vec![variable("CONSUMER__ENABLE_AUTO_COMMIT", "true")];
        expect![[r"
            PYTHIA__KAFKA__CONSUMER__ENABLE_AUTO_COMMIT: kafka.consumer.enable.auto.commit: the engine decides this
              help: remove it; [kafka] has a setting for what may be chosen
        "]]
        .assert_eq(&mistakes(&layers));
    }

    #[test]
    fn a_login_that_the_protocol_would_leave_out_is_a_mistake() {
        for login in [
            "mechanism = \"PLAIN\"",
            "username = \"u\"",
            "password = \"p\"",
        ] {
            let text = mistakes(&layers(&format!("[kafka.security]\n{login}\n")));
            assert!(
                text.contains("kafka.security.protocol: is not sasl_*"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_example_holds_the_defaults() {
        let defaults = load(&Layers::default(), no_file).expect("no mistakes");
        let example = load(&layers(&example()), no_file).expect("no mistakes");
        let values = |config: &Config| {
            config
                .shown()
                .into_iter()
                .map(|s| (s.key, s.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&example), values(&defaults));
    }

    #[test]
    fn a_broken_file_is_one_mistake_with_its_place() {
        let text = mistakes(&layers("[kafka\ngroup = 1\n"));
        assert!(
            text.contains("is no TOML") && text.contains("line 1"),
            "{text}"
        );
    }
}
