//! `pythia run`: the service. Startup in named steps: settings, logs, rules, http, stream.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use console::settings::Config;
use console::{logs, printing};
use stream::{GroupProtocol, Input, Options, Pem, Security, ServeError, Start, Stop, Telemetry};

use crate::args::{Common, Run};
use crate::scan::{limits, profile, rule_paths};
use crate::{Exit, Failure, config, rules};

/// Settings without which there is no service.
const NEEDED: &[(&str, &str)] = &[(
    "kafka.brokers",
    "write [kafka] brokers = [\"host:9092\"], set PYTHIA__KAFKA__BROKERS, or use --brokers",
)];

pub(crate) fn run(common: &Common, run: &Run) -> Result<Exit> {
    // Settings.
    let flags = [
        ("--brokers", "kafka.brokers", &run.brokers),
        ("--input", "kafka.input", &run.input),
        ("--group", "kafka.group", &run.group),
    ];
    let flags = flags
        .into_iter()
        .filter_map(|(flag, key, value)| Some((flag.into(), key.into(), value.clone()?)));
    let config = config::load_with(common, flags.collect(), NEEDED)?;
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

    // Rules.
    let rules = rules::load_to_run(common, &rule_paths(common, &config))?;
    let plan = Arc::new(rules.compiled.plan);
    tracing::info!(
        event = "rules",
        running = plan.rules().len(),
        not_running = rules.compiled.not_running.len(),
        errors = rules
            .diagnostics
            .iter()
            .filter(|d| d.severity == sigma::Severity::Error)
            .count(),
    );

    // Metrics and health.
    let telemetry = Arc::new(Telemetry::new());
    if let Some(listen) = config.text_if_set("http.listen") {
        let address: SocketAddr = listen.parse().context("http.listen")?;
        let bound = stream::listen(address, Arc::clone(&telemetry))
            .with_context(|| format!("http.listen {listen}"))?;
        tracing::info!(event = "http", address = %bound);
    }

    // The stream, until a signal.
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    stream::serve(
        &options,
        plan,
        Arc::new(profile(&config)),
        &telemetry,
        &stop,
    )
    .map_err(|error| match error {
        // A property that librdkafka does not know, a certificate that is none: the configuration's fault.
        ServeError::Client { source } => {
            Failure::Usage(format!("the Kafka settings are refused: {source}")).into()
        }
        fault => anyhow::Error::from(fault),
    })?;
    Ok(Exit::Ok)
}

/// SIGTERM and SIGINT ask for a clean end; the second of them ends at once.
pub(crate) fn stop_on_signals(stop: &Stop) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("pythia-signals".into())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let (Ok(mut terminate), Ok(mut interrupt)) = (
                    signal(SignalKind::terminate()),
                    signal(SignalKind::interrupt()),
                ) else {
                    return;
                };
                for asked in 1.. {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                    if asked > 1 {
                        printing::err("stopped at once; lines in flight will be read again\n");
                        end_at_once();
                    }
                    stop.set();
                }
            });
        })?;
    Ok(())
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
