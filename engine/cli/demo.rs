//! `pythia demo`: recorded events as a small fleet through an embedded broker, alerts in the terminal.
//!
//! The service that runs here is the one of `pythia run`; only the broker lies in the process.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use console::printing::{Output, Paint, err, escaped, out, out_json, shortened};
use console::settings::{self, Layers};
use serde_json::Value;
use stream::embedded::{Broker, Reader, Sender};
use stream::{Options, Rulesets, Stop, Telemetry};

use crate::args::{Common, Demo};
use crate::scan::profile;
use crate::{Exit, rules, run as service};

/// Recorded events of one host.
const RECORDED: &[u8] = include_bytes!("../../tests/data/fleet.jsonl.zst");

/// The fleet.
const HOSTS: [&str; 4] = ["web-01", "web-02", "db-01", "build-01"];

/// The seconds that were asked for begin with the first event, or after this.
const FIRST_EVENT_WITHIN: Duration = Duration::from_secs(15);
const LAST_ALERTS_WITHIN: Duration = Duration::from_secs(5);

const INPUT: &str = "laurel";
const ALERTS: &str = "pythia.alerts";
const DEAD_LETTERS: &str = "pythia.dlq";
const PARTITIONS: i32 = 16;

pub(crate) fn run(common: &Common, demo: &Demo) -> Result<Exit> {
    let rules = rules::load_to_run(common, &common.rules, rules::By::Service)?;
    let idle = rules.idle();
    let plan = Arc::new(rules.compiled.plan);
    let paint = Paint::stdout();
    if !common.quiet {
        err(&format!(
            "{} rules, an embedded broker, {} hosts that live through recorded attacks, {} events/s\n\n",
            plan.rules().len(),
            HOSTS.len(),
            demo.rate
        ));
    }
    let topics = [(INPUT, PARTITIONS), (ALERTS, 1), (DEAD_LETTERS, 1)];
    let broker = Broker::start(&topics).context("the embedded broker does not start")?;
    let (options, profile) = options(&broker)?;
    let telemetry = Arc::new(Telemetry::new());
    let stop = Stop::new();
    service::handle_signals(&stop, service::READ_AGAIN, None)?;
    let rulesets = Arc::new(Rulesets::new(plan, idle, Arc::clone(&telemetry)));
    let sent = Arc::new(AtomicU64::new(0));

    let serving = {
        let (telemetry, stop) = (Arc::clone(&telemetry), stop.clone());
        let serve = move || stream::serve(&options, rulesets, profile, &telemetry, &stop);
        thread::Builder::new()
            .name("pythia-serve".into())
            .spawn(serve)?
    };
    let sending = {
        let (address, stop, sent, rate) =
            (broker.address(), stop.clone(), Arc::clone(&sent), demo.rate);
        thread::Builder::new()
            .name("pythia-fleet".into())
            .spawn(move || replay(&address, rate, &stop, &sent))?
    };
    let reader = Reader::new(&broker.address(), ALERTS, 1)?;
    let live = Live {
        telemetry: &telemetry,
        sent: &sent,
        stop: &stop,
        paint,
    };
    let mut shown = BTreeMap::new();
    let watched = watch(common, demo, &reader, &live, &mut shown);

    stop.set();
    sending
        .join()
        .map_err(|_| anyhow!("the fleet's thread has failed"))??;
    let summary = serving
        .join()
        .map_err(|_| anyhow!("the service's thread has failed"))??;
    let read = watched?;
    let last = Instant::now();
    // What was on its way when the time was up.
    while read && last.elapsed() < LAST_ALERTS_WITHIN {
        match reader.next(Duration::from_millis(300)) {
            Some(value) if show(common, &value, paint, &mut shown)? => {}
            _ => break,
        }
    }
    let read: u64 = summary.iter().map(|partition| partition.counts.read).sum();
    let dead: u64 = summary
        .iter()
        .map(|partition| partition.counts.dead_lettered)
        .sum();
    if !common.quiet {
        err(&ending(read, dead, &shown));
    }
    Ok(Exit::Ok)
}

/// The service's own options, with a broker in the process.
fn options(broker: &Broker) -> Result<(Options, Arc<event::Profile>)> {
    let texts = [
        ("kafka.brokers", broker.address()),
        ("kafka.input", INPUT.to_owned()),
        ("output.alerts", ALERTS.to_owned()),
        ("output.dead_letters", DEAD_LETTERS.to_owned()),
        // The mock knows no timestamps to start from.
        ("process_cache.warmup", "0s".to_owned()),
    ];
    let flags = texts
        .map(|(key, value)| ("demo".to_owned(), key.to_owned(), value))
        .to_vec();
    let layers = Layers {
        flags,
        ..Layers::default()
    };
    let config =
        settings::load(&layers, |path| std::fs::read_to_string(path)).map_err(|mistakes| {
            anyhow!(
                "{}",
                mistakes
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n")
            )
        })?;
    let mut options = service::options(&config);
    options.raw_consumer = Broker::consumer_properties();
    Ok((options, Arc::new(profile(&config))))
}

struct Live<'a> {
    telemetry: &'a Telemetry,
    sent: &'a AtomicU64,
    stop: &'a Stop,
    paint: Paint,
}

/// Shows alerts as they come, and a live line; counts alerts by rule. `false`: nobody reads any more.
fn watch(
    common: &Common,
    demo: &Demo,
    reader: &Reader,
    live: &Live<'_>,
    shown: &mut BTreeMap<String, u64>,
) -> Result<bool> {
    let waiting = Instant::now();
    let mut started = None;
    let until = (demo.seconds > 0).then(|| Duration::from_secs(demo.seconds));
    let on_terminal = stderr().is_terminal();
    let mut last = (Instant::now(), 0);
    while !live.stop.is_set() {
        // The time runs from the first event on: joining its consumer group takes the service seconds.
        if started.is_none()
            && (live.telemetry.evaluated() > 0 || waiting.elapsed() > FIRST_EVENT_WITHIN)
        {
            started = Some(Instant::now());
        }
        let over = |started: Instant| until.is_some_and(|until| started.elapsed() >= until);
        if started.is_some_and(over) {
            break;
        }
        if let Some(value) = reader.next(Duration::from_millis(50)) {
            if on_terminal {
                err("\r\u{1b}[K");
            }
            if !show(common, &value, live.paint, shown)? {
                return Ok(false);
            }
        }
        let pace = Duration::from_millis(if on_terminal { 250 } else { 5_000 });
        if last.0.elapsed() >= pace && !common.quiet {
            last = status(live, shown, last, on_terminal);
        }
    }
    if on_terminal {
        err("\r\u{1b}[K");
    }
    Ok(true)
}

/// Shows and counts one alert.
fn show(
    common: &Common,
    value: &[u8],
    paint: Paint,
    shown: &mut BTreeMap<String, u64>,
) -> Result<bool> {
    let alert: Value = serde_json::from_slice(value).context("an alert is JSON")?;
    let title = alert["rule"]["title"].as_str().unwrap_or_default();
    let times = shown.entry(title.to_owned()).or_default();
    *times += 1;
    let text = match common.output {
        Some(_) if common.output() != Output::Table => return Ok(out_json(&format!("{alert}\n"))?),
        // The same story again and again is told once a rule and host, and counted.
        _ if *times > HOSTS.len() as u64 => String::new(),
        _ => block(&alert, paint),
    };
    Ok(out(&text)?)
}

/// The live line: events/s, alerts, lag.
fn status(
    live: &Live<'_>,
    shown: &BTreeMap<String, u64>,
    last: (Instant, u64),
    on_terminal: bool,
) -> (Instant, u64) {
    let evaluated = live.telemetry.evaluated();
    let seconds = last.0.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = (evaluated - last.1) as f64 / seconds;
    let lag = live.sent.load(Ordering::Relaxed).saturating_sub(evaluated);
    let alerts: u64 = shown.values().sum();
    let line = format!("{evaluated} events, {rate:.0} events/s, {alerts} alerts, lag {lag}");
    err(&if on_terminal {
        format!("\r\u{1b}[K{line}")
    } else {
        format!("{line}\n")
    });
    (Instant::now(), evaluated)
}

fn block(alert: &Value, paint: Paint) -> String {
    let text = |value: &Value| shortened(&escaped(value.as_str().unwrap_or_default()), 160);
    let mut block = format!(
        "{} {} {} on {}\n",
        paint.faint(&text(&alert["time"])),
        paint.level(&text(&alert["level"])),
        paint.bold(&text(&alert["rule"]["title"])),
        paint.bold(&text(&alert["host"]))
    );
    let process = &alert["process"];
    for (name, value) in [
        ("command", &process["command_line"]),
        ("user", &process["user"]),
        ("parent", &process["parent"]["exe"]),
    ] {
        if value.is_string() {
            block += &format!("  {name:<8} {}\n", text(value));
        }
    }
    block + "\n"
}

fn ending(read: u64, dead: u64, shown: &BTreeMap<String, u64>) -> String {
    let alerts: u64 = shown.values().sum();
    let mut text = format!(
        "\n{read} events read, {dead} dead letters, {alerts} alerts from {} rules\n",
        shown.len()
    );
    let mut ranked: Vec<(&String, &u64)> = shown.iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (title, count) in ranked.iter().take(12) {
        text += &format!("  {count:>6} {}\n", escaped(title));
    }
    text + "\nNext:\n  \
        pythia scan FILE...                      the same rules on Laurel lines of yours\n  \
        pythia check                             what the rules need and which run\n  \
        pythia config example > pythia.toml      then: pythia run --config pythia.toml\n"
}

/// Sends the recorded events as every host, at this rate, with fresh times, until the stop.
fn replay(address: &str, rate: u64, stop: &Stop, sent: &AtomicU64) -> Result<()> {
    let mut text = String::new();
    zstd::stream::Decoder::new(RECORDED)?.read_to_string(&mut text)?;
    let lines: Vec<&str> = text.lines().collect();
    let times = || {
        lines
            .iter()
            .filter_map(|line| id_ms(line.strip_prefix("{\"ID\":\"")?))
    };
    let first = times().min().context("the recording has times")?;
    let last = times().max().context("the recording has times")?;
    let round_ms = lines.len() as u64 * HOSTS.len() as u64 * 1_000 / rate;
    let sender = Sender::new(address, INPUT)?;
    let started = Instant::now();
    for round in 0.. {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        // A round takes as long as it takes to send it: event times are those of sending.
        let clock = Clock {
            first,
            span: (last - first).max(1),
            start: u64::try_from(now)?,
            round: round_ms.max(1),
        };
        for line in &lines {
            for (number, host) in (0_u64..).zip(HOSTS) {
                if stop.is_set() {
                    sender.flush(Duration::from_secs(5)).ok();
                    return Ok(());
                }
                // Serials differ from host to host and round to round, as on a real fleet.
                let fresh = retimed(line, clock, round * 10 + number);
                sender.send(host, fresh.as_bytes())?;
                let count = sent.fetch_add(1, Ordering::Relaxed) + 1;
                let due = Duration::from_secs_f64(to_float(count) / to_float(rate));
                if let Some(early) = due.checked_sub(started.elapsed()) {
                    thread::sleep(early);
                }
            }
        }
    }
    Ok(())
}

/// Recorded times to fresh ones, all in milliseconds since the epoch.
#[derive(Clone, Copy)]
struct Clock {
    first: u64,
    span: u64,
    start: u64,
    round: u64,
}

impl Clock {
    fn fresh(self, recorded: u64) -> u64 {
        let Self {
            first,
            span,
            start,
            round,
        } = self;
        match recorded.checked_sub(first) {
            Some(since) => start + since * round / span,
            None => start - (first - recorded).min(start),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a pace, not an account")]
fn to_float(n: u64) -> f64 {
    n as f64
}

/// The time of an id (`<s>.<ms>:<serial>`) or of a start time (`<s>.<ms>`).
fn id_ms(id: &str) -> Option<u64> {
    let (seconds, rest) = id.split_once('.')?;
    let ms: u64 = rest.get(..3)?.parse().ok()?;
    Some(seconds.parse::<u64>().ok()? * 1_000 + ms)
}

/// Gives every id and start time of a line (`"ID":"…"`, `"EVENT_ID":"…"`, `"START_TIME":"…"`) its fresh time,
/// and serials a number in front: the same id becomes the same again, so that parents are still found.
fn retimed(line: &str, clock: Clock, number: u64) -> String {
    let mut out = String::with_capacity(line.len() + 32);
    let mut rest = line;
    while let Some((before, behind)) = ["\"ID\":\"", "EVENT_ID\":\"", "START_TIME\":\""]
        .iter()
        .filter_map(|name| rest.find(name).map(|at| at + name.len()))
        .min()
        .and_then(|at| rest.split_at_checked(at))
    {
        out.push_str(before);
        let end = behind.find('"').unwrap_or(behind.len());
        let (id, after) = behind.split_at_checked(end).unwrap_or((behind, ""));
        match id_ms(id) {
            None => out.push_str(id),
            Some(recorded) => {
                let fresh = clock.fresh(recorded);
                out += &format!("{}.{:03}", fresh / 1_000, fresh % 1_000);
                if let Some((_, serial)) = id.split_once(':') {
                    out += &format!(":{number}{serial:0>8}");
                }
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retimed_line_keeps_its_kinship() {
        let line = r#"{"ID":"100.004:7","SYSCALL":{"PID":{"EVENT_ID":"100.004:7"},"PPID":{"START_TIME":"90.500"}}}"#;
        let fresh = r#"{"ID":"1000.002:300000007","SYSCALL":{"PID":{"EVENT_ID":"1000.002:300000007"},"PPID":{"START_TIME":"990.500"}}}"#;
        let clock = Clock {
            first: 100_000,
            span: 1_000,
            start: 1_000_000,
            round: 500,
        };
        assert_eq!(retimed(line, clock, 3), fresh);
    }
}
