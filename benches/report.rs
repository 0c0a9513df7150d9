//! What a case measured: figures against their limits, counts against what is expected; printed and
//! recorded.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::case::{Case, Limit, read_text, root};

/// The figures of one case, in the order in which they are printed.
pub(crate) struct Report {
    name: String,
    figures: Vec<Figure>,
    /// Counts that are not as expected.
    wrong: Vec<String>,
}

struct Figure {
    name: String,
    unit: &'static str,
    samples: Vec<f64>,
}

impl Report {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            figures: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Adds what one round gave for a figure.
    pub(crate) fn add(&mut self, name: &str, unit: &'static str, value: f64) {
        if let Some(figure) = self.figures.iter_mut().find(|figure| figure.name == name) {
            figure.samples.push(value);
            return;
        }
        self.figures.push(Figure {
            name: name.to_owned(),
            unit,
            samples: vec![value],
        });
    }

    /// Holds a count against the expected one.
    pub(crate) fn expect(&mut self, what: &str, count: u64, expected: u64) {
        let wrong = format!("{what}: {count}, {expected} expected");
        if count != expected && !self.wrong.contains(&wrong) {
            self.wrong.push(wrong);
        }
    }

    /// Prints the figures; whether counts are right and limits hold.
    pub(crate) fn judge(&self, case: &Case) -> bool {
        let mut text = format!("{}\n", self.name);
        let mut ok = self.wrong.is_empty();
        for figure in &self.figures {
            let value = figure.median();
            let (name, unit) = (&figure.name, figure.unit);
            write!(text, "  {name:<32} {} {unit:<12}", short(value)).expect("text");
            if let Some(limit) = case.limits.get(name) {
                let (holds, verdict) = limit.judge(value);
                ok &= holds;
                write!(text, " {verdict}").expect("text");
            }
            text.push('\n');
        }
        for wrong in &self.wrong {
            writeln!(text, "  FAILS: {wrong}").expect("text");
        }
        say(&text);
        ok
    }

    /// Appends the figures to the record: date, commit, processor, case, figure, value, unit, target.
    pub(crate) fn record(&self, case: &Case) {
        for figure in &self.figures {
            let target = case.limits.get(&figure.name);
            let target = target.map_or_else(String::new, |limit| limit.target.to_string());
            let (name, value) = (&figure.name, short(figure.median()));
            let (value, unit) = (value.trim(), figure.unit);
            append(
                "figures.csv",
                &format!("{},{name},{value},{unit},{target}", self.name),
            );
        }
    }
}

impl Figure {
    fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

impl Limit {
    /// Whether the case may pass with this value, and what is to be said of it.
    fn judge(&self, value: f64) -> (bool, String) {
        let Self {
            target,
            fail,
            known_above,
        } = *self;
        let above = |limit: f64| {
            if fail < target {
                value < limit
            } else {
                value > limit
            }
        };
        let limits = format!("target {target}, fails beyond {fail}");
        match known_above {
            _ if !above(target) => (true, format!("ok ({limits})")),
            _ if !above(fail) => (true, format!("beyond target ({limits})")),
            Some(known) if !above(known) => {
                (true, format!("beyond target ({limits}, for now {known})"))
            }
            Some(known) => (false, format!("FAILS ({limits}, for now {known})")),
            None => (false, format!("FAILS ({limits})")),
        }
    }
}

/// Appends a line to a file of `benches/record`, behind date, commit and processor.
pub(crate) fn append(file: &str, line: &str) {
    let path = root().join("benches/record").join(file);
    let file = fs::OpenOptions::new().append(true).open(path);
    let mut file = file.expect("the record lies in the repository");
    let date = output("date", &["-u", "+%F"]);
    let mut commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let changed = ["status", "--short", ".", ":!benches/record"];
    if !output("git", &changed).is_empty() {
        commit += "-dirty";
    }
    let processor = read_text(Path::new("/proc/cpuinfo"));
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("unknown");
    writeln!(file, "{date},{commit},{processor},{line}").expect("the record is written");
}

fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(root()).output();
    let output = output.expect("the program runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Three significant digits at least, whole numbers whole.
fn short(value: f64) -> String {
    if value.fract() == 0.0 || value >= 1000.0 {
        format!("{value:>9.0}")
    } else {
        format!("{value:>9.3}")
    }
}

pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).expect("stdout takes text");
    out.flush().expect("stdout takes text");
}
