//! Cost of decoding and of the whole engine, as multiples of a JSON parse of the same lines.
//!
//! `cargo bench` runs every case of `benches/cases` whose corpus is there. The unit is the sonic-rs DOM
//! parse of the same lines in the same process; each round runs floor, decoder and engine in turn, and
//! a figure is the median over the rounds of the ratio within a round. The first pass, with empty
//! process caches, is what counts: every round starts anew. A case names the alerts it must give: wrong
//! but fast fails. `-- --rounds N` sets the rounds, `-- --record` appends to `benches/record`.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of lines and bytes are far below 2^52"
)]
#![expect(
    clippy::panic,
    reason = "a bench that cannot read its case ends with the reason"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use detect::{Detector, Line, Plan, Source};
use event::{Decoder, Origin, ProcessCache, Profile};
use serde::Deserialize;
use sigma::SourceFile;

/// One file of `benches/cases`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Lines, `.zst` or plain, relative to the repository; `$NAME/..` starts with that variable.
    corpus: String,
    /// Rule folders, written like the corpus.
    rules: Vec<String>,
    /// Alerts that one pass must give.
    alerts: u64,
    /// Dead letters that one pass must give.
    #[serde(default)]
    dead_letters: u64,
    /// The case fails above these multiples of the floor.
    decode_max: f64,
    /// See `decode_max`.
    engine_max: f64,
}

struct Measured {
    lines: usize,
    bytes: usize,
    rules: usize,
    floor_us: f64,
    decode: f64,
    engine: f64,
    alerts: u64,
    dead_letters: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .and_then(|at| arguments.get(at + 1))
    };
    let rounds = value("--rounds").and_then(|n| n.parse().ok()).unwrap_or(7);
    let record = arguments.iter().any(|a| a == "--record");
    let mut ok = true;
    let mut ran = 0;
    say("case                    lines  rules  floor us  decode x  engine x  MB/s  alerts\n");
    for path in sorted(&root().join("benches/cases")) {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let case: Case = toml::from_str(&read_text(&path)).expect("a case is TOML as `Case` says");
        let (Some(corpus), Some(rules)) = (
            place(&case.corpus),
            case.rules.iter().map(|r| place(r)).collect(),
        ) else {
            say(&format!(
                "{name:<20} skipped: needs {} and {}\n",
                case.corpus,
                case.rules.join(", ")
            ));
            continue;
        };
        let measured = measure(&read_corpus(&corpus), rules, rounds);
        ok &= judge(&name, &case, &measured);
        ran += 1;
        if record {
            append(&name, &measured);
        }
    }
    assert!(ran > 0, "no case could run");
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs floor, decoder and engine in turn, `rounds` times after one for warming up.
fn measure(text: &[u8], rules: Vec<PathBuf>, rounds: usize) -> Measured {
    let lines: Vec<&[u8]> = text
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let plan = Arc::new(Plan::compile(load(rules)).plan);
    let profile = Arc::new(Profile::laurel());
    let mut decoder = Decoder::new(Arc::clone(&profile), plan.fields());
    let mut detector = Detector::new(Arc::clone(&plan), profile);
    let (mut floors, mut decodes, mut engines) = (Vec::new(), Vec::new(), Vec::new());
    let (mut alerts, mut dead_letters) = (0, 0);
    for round in 0..=rounds {
        let floor = timed(|| {
            lines
                .iter()
                .filter(|line| sonic_rs::from_slice::<sonic_rs::Value>(line).is_ok())
                .count()
        });
        let mut cache = cache();
        let origin = Origin {
            host: None,
            scope: Some(b"bench"),
        };
        let decode = timed(|| {
            lines
                .iter()
                .filter(|line| decoder.decode(line, &origin, &mut cache).is_ok())
                .count()
        });
        let mut cache = self::cache();
        let mut found = Vec::new();
        (alerts, dead_letters) = (0, 0);
        let engine = timed(|| {
            for (line, number) in lines.iter().zip(1..) {
                let line = Line {
                    bytes: line,
                    origin,
                    source: Source::File {
                        file: "bench",
                        line: number,
                    },
                };
                dead_letters += u64::from(detector.run(&line, &mut cache, &mut found).is_err());
                alerts += found.len() as u64;
                found.clear();
            }
        });
        if round > 0 {
            floors.push(floor);
            decodes.push(decode / floor);
            engines.push(engine / floor);
        }
    }
    Measured {
        lines: lines.len(),
        bytes: text.len(),
        rules: plan.rules().len(),
        floor_us: median(&mut floors) / 1e3 / lines.len() as f64,
        decode: median(&mut decodes),
        engine: median(&mut engines),
        alerts,
        dead_letters,
    }
}

fn judge(name: &str, case: &Case, m: &Measured) -> bool {
    let megabytes = m.bytes as f64 / (m.floor_us * m.engine * m.lines as f64);
    let mut line = format!(
        "{name:<20} {:>8} {:>6} {:>9.3} {:>9.2} {:>9.2} {megabytes:>5.0} {:>7}",
        m.lines, m.rules, m.floor_us, m.decode, m.engine, m.alerts
    );
    let mut ok = true;
    let mut fail = |why: String| {
        ok = false;
        write!(line, "  FAILS: {why}").expect("a string takes text");
    };
    if m.alerts != case.alerts {
        fail(format!("{} alerts, {} expected", m.alerts, case.alerts));
    }
    if m.dead_letters != case.dead_letters {
        fail(format!(
            "{} dead letters, {} expected",
            m.dead_letters, case.dead_letters
        ));
    }
    if m.decode > case.decode_max {
        fail(format!("decode above {} x", case.decode_max));
    }
    if m.engine > case.engine_max {
        fail(format!("engine above {} x", case.engine_max));
    }
    line.push('\n');
    say(&line);
    ok
}

/// Nanoseconds that this thread was on a CPU while `work` ran; the machine may be shared.
fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = cpu_ns();
    std::hint::black_box(work());
    (cpu_ns() - start) as f64
}

fn cpu_ns() -> u64 {
    let text =
        fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with scheduler statistics");
    text.split(' ')
        .next()
        .and_then(|ns| ns.parse().ok())
        .expect("nanoseconds come first")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cache() -> ProcessCache {
    ProcessCache::new(256 << 20, 24 * 3600 * 1000)
}

fn load(folders: Vec<PathBuf>) -> Vec<sigma::Rule> {
    let mut files = Vec::new();
    let mut open = folders;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(sorted(&path));
        } else if path.to_string_lossy().ends_with(".yml")
            && !path.to_string_lossy().ends_with(".test.yml")
        {
            files.push(SourceFile {
                name: path.to_string_lossy().into(),
                text: read_text(&path).into(),
            });
        }
    }
    sigma::load(&files).rules
}

fn append(name: &str, m: &Measured) {
    let path = root().join("benches/record/engine.csv");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the record opens");
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let date = output("date", &["-u", "+%F"]);
    let processor = read_text(Path::new("/proc/cpuinfo"));
    let processor = processor
        .lines()
        .find_map(|l| l.strip_prefix("model name\t: "))
        .unwrap_or("unknown");
    writeln!(
        file,
        "{date},{commit},{processor},{name},{},{},{:.3},{:.2},{:.2},{}",
        m.lines, m.rules, m.floor_us, m.decode, m.engine, m.alerts
    )
    .expect("the record is written");
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .expect("the program runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path that a case means, if it exists.
fn place(written: &str) -> Option<PathBuf> {
    let path = match written.strip_prefix('$') {
        Some(rest) => {
            let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
            Path::new(&std::env::var_os(name)?).join(below)
        }
        None => root().join(written),
    };
    path.exists().then_some(path)
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder entry").path())
        .collect();
    paths.sort();
    paths
}

fn read_text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read_corpus(path: &Path) -> Vec<u8> {
    let raw = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_none_or(|e| e != "zst") {
        return raw;
    }
    let mut text = Vec::new();
    let mut decoder = zstd::stream::Decoder::new(raw.as_slice()).expect("a zstd frame");
    decoder.read_to_end(&mut text).expect("a whole zstd frame");
    text
}

fn say(text: &str) {
    std::io::stdout()
        .write_all(text.as_bytes())
        .expect("stdout takes text");
}
