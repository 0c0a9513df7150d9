//! `pythia run`: the service. Startup in named steps: settings, logs, signals, rules, http, stream.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};

use anyhow::{Context as _, Result};
use console::settings::Config;
use console::{logs, printing};
use stream::{
    CorrelationOptions, GroupProtocol, Input, OperatorError, Options, Pem, Rulesets, Security,
    ServeError, Start, Stop, Telemetry,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{Common, Kafka, Run};
use crate::reload::{self, Watcher};
use crate::scan::{correlation_limits, limits, milliseconds, profile, rule_paths};
use crate::{Exit, Failure, config, rules};

/// Settings without which there is no service.
const NEEDED: &[(&str, &str)] = &[(
    "kafka.brokers",
    "write [kafka] brokers = [\"host:9092\"], set PYTHIA__KAFKA__BROKERS, or use --brokers",
)];

/// What becomes of lines that a service leaves at once.
pub(crate) const READ_AGAIN: &str = "lines in flight will be read again";

pub(crate) fn run(common: &Common, run: &Run) -> Result<Exit> {
    // Settings.
    let config = settings(common, &run.kafka)?;
    let options = options(&config);
    if let Some(topic) = options.output_topics_read().first() {
        let help = "every dead letter would be read again: name other topics";
        let mistake = format!("kafka.input: {topic} is written by pythia\n  help: {help}");
        return Err(Failure::Usage(mistake).into());
    }

    // Logs.
    let level = if common.verbose {
        "debug"
    } else {
        config.text("log.level")
    };
    logs::start(config.text("log.format") == "json", level)
        .map_err(|error| Failure::Usage(format!("log.level: {error}")))?;

    // Signals.
    let stop = Stop::new();
    // One that waits is enough: it is answered by what lies there then.
    let (hang_up, hang_ups) = mpsc::sync_channel(1);
    handle_signals(&stop, READ_AGAIN, Some(hang_up))?;

    // Rules.
    let paths = rule_paths(common, &config);
    let fingerprint = reload::fingerprint(&reload::watched(&paths, &common.loading()));
    let rules = rules::load_to_run(common, &paths, rules::By::Service)?;
    reload::log_idle(&rules);
    let idle = rules.idle();
    let telemetry = Arc::new(Telemetry::new());
    let plan = Arc::new(rules.compiled.plan);
    let rulesets = Arc::new(Rulesets::new(plan, idle, Arc::clone(&telemetry)));
    let watcher = Watcher::new(
        paths,
        common.loading(),
        fingerprint,
        Arc::clone(&rulesets),
        stop.clone(),
    );
    watcher.start(config.length("rules.reload_interval"), hang_ups)?;

    // Metrics and health.
    if let Some(listen) = config.text_if_set("http.listen") {
        let address: SocketAddr = listen.parse().context("http.listen")?;
        let bound = stream::listen(address, Arc::clone(&telemetry))
            .with_context(|| format!("http.listen {listen}"))?;
        tracing::info!(event = "http", address = %bound);
    }

    // The stream, until a signal.
    let profile = Arc::new(profile(&config));
    stream::serve(&options, rulesets, profile, &telemetry, &stop).map_err(|error| match error {
        ServeError::Client { source } => refused(&source),
        fault => anyhow::Error::from(fault),
    })?;
    Ok(Exit::Ok)
}

/// The settings of a command that talks to Kafka.
pub(crate) fn settings(common: &Common, kafka: &Kafka) -> Result<Config> {
    let flags = [
        ("--brokers", "kafka.brokers", &kafka.brokers),
        ("--input", "kafka.input", &kafka.input),
        ("--group", "kafka.group", &kafka.group),
    ];
    let flags = flags
        .into_iter()
        .filter_map(|(flag, key, value)| Some((flag.into(), key.into(), value.clone()?)));
    config::load_with(common, flags.collect(), NEEDED)
}

/// A property that librdkafka does not know, a certificate that is none: the configuration's fault.
fn refused(source: &impl Display) -> anyhow::Error {
    Failure::Usage(format!("the Kafka settings are refused: {source}")).into()
}

/// The error of an operator's command with the exit code that it deserves.
pub(crate) fn operator_error(error: OperatorError) -> anyhow::Error {
    match error {
        OperatorError::Client { source } => refused(&source),
        beyond @ OperatorError::NoOffset { .. } => Failure::Usage(beyond.to_string()).into(),
        other => other.into(),
    }
}

/// SIGTERM and SIGINT ask for a clean end; the second of them ends at once and says what becomes of the rest.
/// SIGHUP is handed on; where nobody takes it, it ends the program as always.
pub(crate) fn handle_signals(
    stop: &Stop,
    rest: &'static str,
    hang_up: Option<SyncSender<()>>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = match hang_up {
        None => None,
        Some(sender) => Some((signal(SignalKind::hangup())?, sender)),
    };
    drop(entered);
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("pythia-signals".into())
        .spawn(move || {
            runtime.block_on(async {
                let mut asked = false;
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                        () = hung_up(&mut hang_up) => continue,
                    }
                    if asked {
                        printing::err(&format!("stopped at once; {rest}\n"));
                        end_at_once();
                    }
                    asked = true;
                    stop.set();
                }
            });
        })?;
    Ok(())
}

/// Hands one SIGHUP on; never ends where nobody takes it.
async fn hung_up(hang_up: &mut Option<(Signal, SyncSender<()>)>) {
    match hang_up {
        Some((signal, sender)) => {
            signal.recv().await;
            sender.try_send(()).ok();
        }
        None => std::future::pending().await,
    }
}

#[expect(
    clippy::exit,
    reason = "the second signal asks for just that; nothing is lost, offsets wait for delivery"
)]
fn end_at_once() {
    std::process::exit(3);
}

/// The stream's options from the settings.
pub(crate) fn options(config: &Config) -> Options {
    let input = config.list("kafka.input").to_vec();
    let pattern = input
        .first()
        .filter(|topic| topic.starts_with('^'))
        .cloned();
    let threads = match config.whole("engine.threads") {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    Options {
        brokers: config.list("kafka.brokers").to_vec(),
        group: config.text("kafka.group").to_owned(),
        input: pattern.map_or(Input::Topics(input), Input::Pattern),
        start: if config.text("kafka.start") == "latest" {
            Start::Latest
        } else {
            Start::Earliest
        },
        group_instance_id: config.text_if_set("kafka.group_instance_id"),
        group_protocol: match config.text("kafka.group_protocol") {
            "consumer" => GroupProtocol::Consumer,
            _ => GroupProtocol::Classic,
        },
        security: security(config),
        raw: config.map("kafka.librdkafka"),
        raw_consumer: config.map("kafka.consumer"),
        raw_producer: config.map("kafka.producer"),
        alerts: config.text("output.alerts").to_owned(),
        dead_letters: config.text("output.dead_letters").to_owned(),
        threads,
        batch_bytes: config.size("engine.batch_bytes"),
        in_flight_bytes: config.size("engine.in_flight_bytes"),
        limits: limits(config),
        commit_interval: config.length("engine.commit_interval"),
        shutdown_deadline: config.length("engine.shutdown_deadline"),
        process_cache_bytes: config.size("process_cache.bytes"),
        process_cache_max_age: config.length("process_cache.max_age"),
        warmup: config.length("process_cache.warmup"),
        warmup_bytes: config.size("process_cache.warmup_bytes") as u64,
        correlations: CorrelationOptions {
            lateness_ms: milliseconds(config.length("correlation.lateness")),
            limits: correlation_limits(config),
        },
    }
}

fn security(config: &Config) -> Security {
    let pem = |key: &str| {
        let text = config.text_if_set(key)?;
        Some(if text.starts_with("-----BEGIN") {
            Pem::Text(text)
        } else {
            Pem::File(PathBuf::from(text))
        })
    };
    Security {
        protocol: config.text("kafka.security.protocol").to_owned(),
        ca: pem("kafka.security.ca"),
        certificate: pem("kafka.security.certificate"),
        key: pem("kafka.security.key"),
        key_password: config.key_password().map(str::to_owned),
        mechanism: config.text_if_set("kafka.security.mechanism"),
        username: config.text_if_set("kafka.security.username"),
        password: config.password().map(str::to_owned),
    }
}
