//! `pythia scan`: events from files or stdin to alerts, no Kafka.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use console::printing::{Output, Paint, err, escaped, out, out_json};
use console::progress::Progress;
use console::settings::Config;
use detect::{Alert, CorrelationLimits, Correlator, Detector, Fired, Limits, Line, Source};
use event::{Fault, Origin, ProcessCache, Profile};
use serde_json::json;

use crate::args::{Common, Scan};
use crate::config::{self, count};
use crate::input::{Lines, Next};
use crate::{Exit, Failure, costs, rules, show};

/// Bytes of alerts that are kept before they are written.
const UNWRITTEN_MAX: usize = 1 << 16;

pub(crate) fn run(common: &Common, scan: &Scan) -> Result<Exit> {
    let config = config::load(common, Vec::new())?;
    refuse_files(scan)?;
    let rules = rules::load_to_run(common, &rule_paths(common, &config), rules::By::Scan)?;
    let profile = Arc::new(profile(&config));
    let mut detector = Detector::new(Arc::new(rules.compiled.plan), Arc::clone(&profile))
        .with_limits(limits(&config));
    if scan.profile_rules {
        detector = detector.with_clocks(stream::CLOCKS, stream::MEASURE_EVERY);
    }
    let dead_letters = match &scan.dead_letters {
        None => None,
        Some(path) => Some(BufWriter::new(
            File::create(path).with_context(|| path.display().to_string())?,
        )),
    };
    let max_age = config.length("process_cache.max_age").as_millis();
    let max_age_ms = i64::try_from(max_age).unwrap_or(i64::MAX);
    let correlations = Arc::clone(detector.plan().correlations());
    let mut scanner = Scanner {
        correlator: Correlator::new(correlations, correlation_limits(&config)),
        fired: Vec::new(),
        correlated: Vec::new(),
        watermark: Watermark {
            lateness_ms: milliseconds(config.length("correlation.lateness")),
            // Files of several hosts tell of the same time one after the other.
            moves: scan.files.len() == 1,
            now_ms: now_ms(),
            newest_ms: i64::MIN,
        },
        detector,
        cache: ProcessCache::new(config.size("process_cache.bytes"), max_age_ms),
        limit: profile.limits.line_bytes,
        host: scan.host.clone(),
        output: common.output(),
        paint: Paint::stdout(),
        dead_letters,
        totals: Totals::default(),
        alerts: Vec::new(),
        unwritten: Vec::new(),
        all: Vec::new(),
        progress: Progress::bytes(total_bytes(&scan.files), common.quiet),
        read_before: 0,
    };
    let started = Instant::now();
    let mut unread = Vec::new();
    let mut read = true;
    for file in &scan.files {
        match scanner.file(file) {
            Ok(true) => {}
            // Nobody reads the alerts any more.
            Ok(false) => {
                read = false;
                break;
            }
            Err(Trouble::Reading(error)) => unread.push(format!("{}: {error}", file.display())),
            Err(Trouble::Writing(error)) => {
                // What was found before stands in any case.
                scanner.write().ok();
                return Err(error);
            }
        }
    }
    if read {
        scanner.correlator.finish(&mut scanner.fired);
        scanner.take_alerts();
        scanner.note_correlations();
        read = scanner.write()?;
    }
    scanner.progress.done();
    let matched = scanner.totals.alerts > 0;
    if scanner.output == Output::Json {
        out_json(&format!(
            "{}\n",
            serde_json::to_string_pretty(&scanner.all)?
        ))?;
    }
    if let Some(file) = &mut scanner.dead_letters {
        file.flush().context("the dead letters cannot be written")?;
    }
    let counts = scanner.detector.take_counts();
    if !common.quiet && read {
        scanner.totals.in_part = counts.decode.limit_reached;
        err(&scanner.summary(started));
    }
    if scan.profile_rules && read {
        err(&costs::text(
            scanner.detector.plan(),
            &counts,
            common.verbose,
        ));
    }
    if !unread.is_empty() {
        anyhow::bail!("not everything was read\n{}", unread.join("\n"));
    }
    Ok(if scan.fail_on_match && matched {
        Exit::Findings
    } else {
        Exit::Ok
    })
}

/// Refuses files that cannot be meant: stdin twice, and dead letters that would overwrite their own input.
fn refuse_files(scan: &Scan) -> Result<()> {
    let mut mistakes = Vec::new();
    let stdin = scan.files.iter().filter(|file| file.as_os_str() == "-");
    if stdin.count() > 1 {
        mistakes.push("`-` is given twice; stdin can be read once".to_owned());
    }
    let same = |file: &PathBuf| file.canonicalize().ok();
    let target = scan.dead_letters.as_ref().and_then(same);
    if let Some(input) = scan
        .files
        .iter()
        .find(|file| target.is_some() && same(file) == target)
    {
        let input = input.display();
        mistakes.push(format!(
            "--dead-letters {input}: would overwrite its own input"
        ));
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(Failure::Usage(mistakes.join("\n")).into())
}

/// `--rules`, else the configuration's; none: the starter rules.
pub(crate) fn rule_paths(common: &Common, config: &Config) -> Vec<PathBuf> {
    if !common.rules.is_empty() {
        return common.rules.clone();
    }
    config
        .list("rules.paths")
        .iter()
        .map(PathBuf::from)
        .collect()
}

/// The source profile that the configuration describes.
pub(crate) fn profile(config: &Config) -> Profile {
    let mut profile = Profile::laurel();
    profile.host_pointer = config.text_if_set("source.host_pointer");
    profile.envelope = config.list("source.envelope").to_vec();
    profile.prefix = config.text_if_set("source.prefix");
    let users = config.map("source.users").into_iter();
    profile.users = users
        .filter_map(|(id, name)| Some((id.parse().ok()?, name)))
        .collect();
    profile.limits.line_bytes = config.size("limits.line_bytes");
    profile.limits.nesting = config.whole("limits.nesting");
    profile.limits.records = config.whole("limits.records");
    profile.limits.arguments = config.whole("limits.arguments");
    profile
}

pub(crate) fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// What the configuration says about the state of correlations.
pub(crate) fn correlation_limits(config: &Config) -> CorrelationLimits {
    CorrelationLimits {
        groups: config.whole("correlation.groups"),
        events: config.whole("correlation.events"),
        waiting: config.whole("correlation.waiting"),
    }
}

/// What the configuration says about the alerts of an event.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        alerts_per_event: config.whole("limits.alerts_per_event"),
        why_bytes: config.size("limits.why_bytes"),
        event_bytes: config.size("limits.event_bytes"),
    }
}

fn total_bytes(files: &[PathBuf]) -> Option<u64> {
    files
        .iter()
        .map(|file| {
            std::fs::metadata(file)
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|m| m.len())
        })
        .sum()
}

/// What became of the lines: `lines = evaluated + dead letters + blank`.
#[derive(Debug, Default)]
struct Totals {
    files: usize,
    lines: u64,
    blank: u64,
    bytes: u64,
    evaluated: u64,
    dead: BTreeMap<Fault, u64>,
    alerts: u64,
    left_out: u64,
    /// Events of which rules saw only a part, by the limits on records and arguments.
    in_part: u64,
    rules: BTreeMap<String, u64>,
}

/// Why a file ends early. What cannot be read leaves the other files; what cannot be written ends all.
enum Trouble {
    Reading(std::io::Error),
    Writing(anyhow::Error),
}

/// Up to which event time all events are there (policy T3).
struct Watermark {
    lateness_ms: i64,
    /// Whether it moves before the end of the input.
    moves: bool,
    /// When the scan began: an event dated later than now does not make the others late.
    now_ms: i64,
    newest_ms: i64,
}

impl Watermark {
    /// After an event of this time.
    fn after(&mut self, time_ms: i64) -> i64 {
        self.newest_ms = self.newest_ms.max(time_ms.min(self.now_ms));
        self.newest_ms.saturating_sub(self.lateness_ms)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

struct Scanner {
    detector: Detector,
    correlator: Correlator,
    fired: Vec<Fired>,
    /// What they could not take in.
    correlated: Vec<String>,
    watermark: Watermark,
    cache: ProcessCache,
    limit: usize,
    host: Option<String>,
    output: Output,
    paint: Paint,
    dead_letters: Option<BufWriter<File>>,
    totals: Totals,
    alerts: Vec<Alert>,
    /// Alerts as text; written before the input is waited for, so that they stand there as soon as their lines do.
    unwritten: Vec<u8>,
    /// Alerts kept for the one document of `--output json`.
    all: Vec<Alert>,
    progress: Progress,
    read_before: u64,
}

impl Scanner {
    /// Scans one file. `false`: nobody reads the output any more.
    fn file(&mut self, path: &Path) -> Result<bool, Trouble> {
        let name = path.to_string_lossy().into_owned();
        let mut lines = Lines::open(path, self.limit).map_err(Trouble::Reading)?;
        self.progress.on(&name);
        self.totals.files += 1;
        // A file without any host is one host of its own; a known host goes on from file to file.
        let scope = format!("file {name}");
        let host = self.host.clone();
        let mut number = 0;
        loop {
            let (bytes, len) = match lines.next().map_err(Trouble::Reading)? {
                Next::Line(bytes) => (bytes, bytes.len() as u64),
                Next::Oversize(start, bytes) => (start, bytes),
                Next::Drained => {
                    self.progress.at(self.read_before + lines.taken());
                    if !self.write().map_err(Trouble::Writing)? {
                        return Ok(false);
                    }
                    continue;
                }
                Next::End => break,
            };
            number += 1;
            self.totals.lines += 1;
            self.totals.bytes += len;
            if len > bytes.len() as u64 {
                self.dead_letter(&name, number, Fault::Oversize, bytes, len)
                    .map_err(Trouble::Writing)?;
                continue;
            }
            if bytes.trim_ascii().is_empty() {
                self.totals.blank += 1;
                continue;
            }
            let origin = Origin {
                host: host.as_deref().map(str::as_bytes),
                scope: Some(scope.as_bytes()),
            };
            let source = Source::File {
                file: &name,
                line: number,
            };
            let line = Line {
                bytes,
                origin,
                source,
            };
            match self.detector.run(&line, &mut self.cache, &mut self.alerts) {
                Ok(()) => {
                    self.totals.evaluated += 1;
                    self.correlate();
                }
                Err(fault) => {
                    self.dead_letter(&name, number, fault, bytes, len)
                        .map_err(Trouble::Writing)?;
                }
            }
            self.take_alerts();
            if self.unwritten.len() > UNWRITTEN_MAX && !self.write().map_err(Trouble::Writing)? {
                return Ok(false);
            }
        }
        self.read_before += lines.taken();
        Ok(true)
    }

    /// Hands the last event's matches to the correlations.
    fn correlate(&mut self) {
        if self.detector.plan().correlations().is_empty() {
            return;
        }
        self.correlator.observe(self.detector.hits());
        let watermark = match self.detector.time_ms() {
            Some(time) if self.watermark.moves => self.watermark.after(time),
            _ => i64::MIN,
        };
        self.correlator.advance(watermark, &mut self.fired);
    }

    fn take_alerts(&mut self) {
        let plan = self.detector.plan();
        let fired = self.fired.drain(..);
        self.alerts
            .extend(fired.map(|fired| plan.correlation_alert(&fired)));
        let text = &mut self.unwritten;
        for alert in self.alerts.drain(..) {
            self.totals.alerts += 1;
            self.totals.left_out += u64::from(alert.alerts_left_out.unwrap_or(0));
            match self.totals.rules.get_mut(alert.title()) {
                Some(count) => *count += 1,
                None => {
                    self.totals.rules.insert(alert.title().to_owned(), 1);
                }
            }
            match self.output {
                Output::Jsonl => {
                    alert.write_json(text);
                    text.push(b'\n');
                }
                Output::Table => {
                    writeln!(text, "{}", show::alert(&alert, self.paint))
                        .expect("memory takes all");
                }
                Output::Json => self.all.push(alert),
            }
        }
    }

    /// Writes what is unwritten. `false`: nobody reads the output any more.
    fn write(&mut self) -> Result<bool> {
        if self.unwritten.is_empty() {
            return Ok(true);
        }
        let text = std::mem::take(&mut self.unwritten);
        let table = self.output == Output::Table;
        let write = || if table { out(&text) } else { out_json(&text) };
        let written = self.progress.aside(write)?;
        self.unwritten = text;
        self.unwritten.clear();
        Ok(written)
    }

    fn dead_letter(
        &mut self,
        file: &str,
        line: u64,
        fault: Fault,
        bytes: &[u8],
        len: u64,
    ) -> Result<()> {
        *self.totals.dead.entry(fault).or_default() += 1;
        let Some(out) = &mut self.dead_letters else {
            return Ok(());
        };
        let mut letter =
            json!({ "file": file, "line": line, "reason": fault.code(), "bytes": len });
        match std::str::from_utf8(bytes) {
            Ok(text) => letter["text"] = text.into(),
            Err(_) => letter["hex"] = hex(bytes).into(),
        }
        writeln!(out, "{letter}").context("the dead letters cannot be written")
    }

    /// What correlations could not take in, for the summary.
    fn note_correlations(&mut self) {
        let plan = Arc::clone(self.detector.plan());
        for (correlation, counts) in plan.correlations().all().zip(self.correlator.take_counts()) {
            let title = &correlation.attributes.title;
            for (number, what) in [
                (
                    counts.late_dropped,
                    "matches came too late (`correlation.lateness`)",
                ),
                (
                    counts.without_group,
                    if correlation.group_by.iter().any(|field| &**field == "host") {
                        "matches without the fields of `group-by`; lines that name no host get one by --host"
                    } else {
                        "matches without the fields of `group-by`"
                    },
                ),
                (
                    counts.groups_evicted,
                    "groups given up (`correlation.groups`)",
                ),
                (
                    counts.events_evicted,
                    "events given up (`correlation.events`)",
                ),
            ] {
                if number > 0 {
                    self.correlated
                        .push(format!("correlation {title}: {number} {what}"));
                }
            }
        }
        let forced = self.correlator.take_forced();
        if forced > 0 {
            self.correlated.push(format!(
                "correlations: decided early {forced} times (`correlation.waiting`)"
            ));
        }
    }

    fn summary(&self, started: Instant) -> String {
        let Totals {
            files,
            lines,
            blank,
            bytes,
            evaluated,
            dead,
            alerts,
            left_out,
            in_part,
            rules,
        } = &self.totals;
        let seconds = started.elapsed().as_secs_f64().max(1e-9);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let (megabytes, per_second) = (*bytes as f64 / 1e6, *lines as f64 / seconds);
        let refused: u64 = dead.values().sum();
        let mut text = format!(
            "{}: {}, {megabytes:.1} MB in {seconds:.2} s ({:.0} MB/s, {per_second:.0} lines/s)\n\
             {} = {evaluated} evaluated + {} + {blank} blank\n",
            count(*files, "file"),
            count(*lines, "line"),
            megabytes / seconds,
            count(*lines, "line"),
            count(refused, "dead letter"),
        );
        for (fault, count) in dead {
            writeln!(text, "  dead letter {}: {count}", fault.code()).expect("a string takes text");
        }
        if *in_part > 0 {
            let events = count(*in_part, "event");
            writeln!(
                text,
                "{events} seen only in part by rules: limits on records and arguments"
            )
            .expect("a string takes text");
        }
        for line in &self.correlated {
            writeln!(text, "{line}").expect("a string takes text");
        }
        let alerts = count(*alerts, "alert");
        writeln!(text, "{alerts} from {}", count(rules.len(), "rule"))
            .expect("a string takes text");
        if *left_out > 0 {
            writeln!(
                text,
                "{} left out by the limit per event",
                count(*left_out, "alert")
            )
            .expect("a string takes text");
        }
        let mut ranked: Vec<(&String, &u64)> = rules.iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (rule, count) in ranked.iter().take(10) {
            writeln!(text, "  {count:>6} {}", escaped(rule)).expect("a string takes text");
        }
        if ranked.len() > 10 {
            writeln!(text, "  and {} more rules", ranked.len() - 10).expect("a string takes text");
        }
        text
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes text");
            text
        })
}
