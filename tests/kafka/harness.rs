//! A real Apache Kafka (`KRaft`, one node) for the tests: assembled with Maven into a cache outside the
//! repository, started on free ports, killed with the test process.
//!
//! `PYTHIA_TEST_CACHE` names another cache folder, `PYTHIA_TEST_KAFKA=host:port` a broker that runs
//! already. Without Java 17 and Maven the tests say so and are skipped; under `CI=true` they fail.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

/// The pinned version; `tests/kafka/README.md` says why.
const VERSION: &str = "4.2.1";

const POM: &str = include_str!("pom.xml");

const LOG4J: &str = "rootLogger.level=INFO
rootLogger.appenderRef.o.ref=O
appender.o.type=Console
appender.o.name=O
appender.o.layout.type=PatternLayout
appender.o.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
";

/// How long a broker may take until it answers a metadata request.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A broker: one that this process started, or one that was named from outside.
#[derive(Debug)]
pub(crate) struct Broker {
    bootstrap: String,
    node: Option<Mutex<Node>>,
}

/// A node started here, its folder and its process.
#[derive(Debug)]
struct Node {
    folder: PathBuf,
    libraries: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Broker {
    /// The broker that all tests of this binary share; `None` if there is none and the test is to be
    /// skipped (which has been said).
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match env::var("PYTHIA_TEST_KAFKA") {
            Ok(bootstrap) => Some(Self {
                bootstrap,
                node: None,
            }),
            Err(_) => Self::own("shared", ""),
        });
        if shared.is_none() {
            skip();
        }
        shared.as_ref()
    }

    /// A broker of the test's own, for tests that stop it or need other settings; `None` as above.
    pub(crate) fn own(name: &str, properties: &str) -> Option<Self> {
        let Ok(libraries) = libraries() else {
            skip();
            return None;
        };
        let mut last = String::new();
        for _ in 0..3 {
            match Node::start(name, properties, libraries) {
                Ok(node) => {
                    let bootstrap = format!("127.0.0.1:{}", node.port);
                    return Some(Self {
                        bootstrap,
                        node: Some(Mutex::new(node)),
                    });
                }
                Err(error) => last = error,
            }
        }
        panic!("no broker after three tries: {last}");
    }

    /// `host:port`.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Kills the node at once (SIGKILL); its data stays.
    pub(crate) fn kill(&self) {
        self.node()
            .lock()
            .expect("no test panicked with the node")
            .kill();
    }

    /// Starts a killed node on the same ports and data, and waits until it answers.
    pub(crate) fn restart(&self) {
        let mut node = self.node().lock().expect("no test panicked with the node");
        node.run()
            .unwrap_or_else(|error| panic!("the broker does not come back: {error}"));
    }

    /// Creates a topic and waits until it has its leaders.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let created =
            block_on(self.admin().create_topics(&[topic], &options)).expect("the broker answers");
        for result in created {
            result.unwrap_or_else(|(topic, error)| panic!("topic {topic}: {error}"));
        }
    }

    /// Runs one of Kafka's own tools against the plain listener, such as `AclCommand`.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let node = self.node().lock().expect("no test panicked with the node");
        let mut command = node.java(&[class, "--bootstrap-server", &self.bootstrap]);
        let output = command.args(arguments).output().expect("java runs");
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class} {arguments:?}: {text}");
    }

    /// An administrator's client.
    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client()
            .create()
            .expect("an admin client needs no broker")
    }

    /// The settings that every client of this broker needs.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    fn node(&self) -> &Mutex<Node> {
        self.node
            .as_ref()
            .expect("only a broker of our own is stopped")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            let mut node = node.lock().expect("no test panicked with the node");
            node.kill();
            fs::remove_dir_all(&node.folder).ok();
        }
    }
}

impl Node {
    /// Formats and starts a node with these settings on top of the usual ones.
    fn start(name: &str, properties: &str, libraries: &Path) -> Result<Self, String> {
        let folder = fresh_folder(name);
        let [port, controller] = free_ports();
        let mut text = node_properties(&folder, port, controller);
        for line in properties.lines() {
            match line.strip_prefix("extra.listener=") {
                Some(listener) => text = with_listener(&text, listener),
                None => text += &format!("{line}\n"),
            }
        }
        fs::write(folder.join("node.properties"), text).map_err(|e| e.to_string())?;
        fs::write(folder.join("log4j2.properties"), LOG4J).map_err(|e| e.to_string())?;
        let id = "cHl0aGlhLXRlc3RzLTAwMQ";
        let mut node = Self {
            folder,
            libraries: libraries.to_owned(),
            port,
            child: None,
        };
        let format = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            id,
            "-c",
            "node.properties",
        ];
        let output = node.java(&format).output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!(
                "formatting failed: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        node.run()?;
        Ok(node)
    }

    /// Starts the process and waits until a metadata request is answered.
    fn run(&mut self) -> Result<(), String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("node.log"));
        let log = log.map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let mut command = self.java(&["kafka.Kafka", "node.properties"]);
        command.stdout(log).stderr(errors).stdin(Stdio::null());
        self.child = Some(spawn(command)?);
        let deadline = Instant::now() + READY_WITHIN;
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", format!("127.0.0.1:{}", self.port))
            .set("reconnect.backoff.max.ms", "200")
            .create()
            .map_err(|e| e.to_string())?;
        while Instant::now() < deadline {
            let child = self.child.as_mut().expect("it was just started");
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("the broker ended with {status}\n{}", self.story()));
            }
            match consumer.fetch_metadata(None, Duration::from_millis(500)) {
                Ok(metadata) if !metadata.brokers().is_empty() => return Ok(()),
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
        let story = self.story();
        self.kill();
        Err(format!("no metadata within {READY_WITHIN:?}\n{story}"))
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    fn java(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        // The node dies with the thread that started it; see `spawn`.
        command.args(["--pdeathsig", "KILL", "java"]);
        command.args([
            "-Xms256m",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
        ]);
        command.arg("-Djava.net.preferIPv4Stack=true");
        command.arg(format!(
            "-Dlog4j2.configurationFile={}",
            self.folder.join("log4j2.properties").display()
        ));
        command
            .arg("-cp")
            .arg(self.libraries.join("*"))
            .args(arguments)
            .current_dir(&self.folder);
        command
    }

    /// Settings and the last lines of the log, for a failure's message.
    fn story(&self) -> String {
        let log = fs::read_to_string(self.folder.join("node.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(60)..)
            .unwrap_or_default()
            .join("\n");
        let properties =
            fs::read_to_string(self.folder.join("node.properties")).unwrap_or_default();
        format!("{properties}\n{tail}")
    }
}

fn node_properties(folder: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
group.consumer.min.heartbeat.interval.ms=500
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=6000
log.retention.check.interval.ms=2000
",
        folder.join("data").display()
    )
}

/// The properties with one more listener (`extra.listener` of a test), advertised too.
fn with_listener(properties: &str, listener: &str) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some(("listeners" | "advertised.listeners", _)) => format!("{line},{listener}\n"),
        _ => format!("{line}\n"),
    };
    properties.lines().map(line).collect()
}

/// Starts a process from a thread that lives as long as this process: the death signal that `setpriv`
/// asks for is bound to the starting thread, and test threads come and go.
fn spawn(command: Command) -> Result<Child, String> {
    type Request = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: LazyLock<Mutex<Sender<Request>>> = LazyLock::new(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, answer) in requests {
                answer.send(command.spawn()).ok();
            }
        });
        Mutex::new(sender)
    });
    let (sender, answer) = mpsc::channel();
    let spawner = SPAWNER.lock().expect("the spawner never panics");
    spawner
        .send((command, sender))
        .expect("the spawner lives on");
    drop(spawner);
    answer
        .recv()
        .expect("the spawner answers")
        .map_err(|e| e.to_string())
}

/// Says that the test is skipped, or fails where that is no choice.
fn skip() {
    let why = libraries().expect_err("libraries are there, so why skip");
    let message = format!("skipped: needs Java 17 and Maven ({why})");
    assert!(
        env::var("CI").as_deref() != Ok("true"),
        "real Kafka is required under CI=true; {message}"
    );
    // Straight to the terminal: the test harness keeps what passing tests print.
    writeln!(std::io::stderr(), "{message}").ok();
}

/// The folder with Kafka's jars, assembled on first use, or why there is none.
fn libraries() -> Result<&'static Path, &'static str> {
    static LIBRARIES: LazyLock<Result<PathBuf, String>> = LazyLock::new(assemble);
    LIBRARIES.as_deref().map_err(String::as_str)
}

fn assemble() -> Result<PathBuf, String> {
    let java = java_major().ok_or("found no java")?;
    if java < 17 {
        return Err(format!("found java {java}"));
    }
    Command::new("mvn")
        .arg("-version")
        .output()
        .map_err(|_| "found no mvn")?;
    let cache = cache_folder().join(format!("kafka-{VERSION}-{:08x}", checksum(POM)));
    fs::create_dir_all(cache.parent().expect("a folder in the cache"))
        .map_err(|e| e.to_string())?;
    let lock = File::create(cache.with_extension("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if cache.is_dir() {
        return Ok(cache);
    }
    let building = cache.with_extension("building");
    fs::remove_dir_all(&building).ok();
    fs::create_dir_all(&building).map_err(|e| e.to_string())?;
    fs::write(building.join("pom.xml"), POM).map_err(|e| e.to_string())?;
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-q", "-f"]).arg(building.join("pom.xml"));
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", building.display()));
    let output = maven.output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        panic!(
            "Maven cannot assemble Kafka {VERSION}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::rename(&building, &cache).map_err(|e| e.to_string())?;
    Ok(cache)
}

/// `java -version` says `... version "17.0.15" ...` on stderr.
fn java_major() -> Option<u32> {
    let output = Command::new("java").arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let quoted = text.split('"').nth(1)?;
    quoted.split('.').next()?.parse().ok()
}

fn cache_folder() -> PathBuf {
    let home = || env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
    let cache =
        || env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from);
    env::var_os("PYTHIA_TEST_CACHE").map_or_else(|| cache().join("pythia-test"), PathBuf::from)
}

/// FNV-1a: names a folder after the content that made it.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A new folder for a node's data. Folders that earlier test processes left behind are removed.
fn fresh_folder(name: &str) -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let pid = file_name
            .strip_prefix("kafka-")
            .and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let folder = base.join(format!("kafka-{}-{name}", std::process::id()));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).expect("the build folder takes a folder");
    folder
}

/// Two ports that were free a moment ago; voters and advertised listeners need numbers beforehand.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound socket").port())
}

/// Runs one future of the admin client to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}
