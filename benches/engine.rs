//! The engine on one thread and on two, held against the parse of the same lines in the same round.
//!
//! Every pass starts with empty process caches and new scratch memory; the plan is compiled once.

use std::panic;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use detect::{Detector, Options, Plan};
use event::{Decoder, Profile};

use crate::case::{Case, Loaded, ORIGIN, cache, line_of};
use crate::clock::timed;
use crate::report::Report;

/// Rounds of what is measured for comparison only.
const ROUNDS_BESIDE: usize = 3;

/// Lines and how they are read.
pub(crate) struct Bench<'a> {
    pub(crate) lines: Vec<&'a [u8]>,
    pub(crate) profile: Arc<Profile>,
}

/// One pass over all lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// CPU time of the thread.
    pub(crate) ns: f64,
    /// Alerts, or pairs of event and rule that matches it.
    pub(crate) alerts: u64,
    pub(crate) dead_letters: u64,
}

/// Runs everything in turn, `rounds` times after one for warming up.
pub(crate) fn measure(loaded: &Loaded, rounds: usize) -> Report {
    let case = &loaded.case;
    let mut report = Report::new(&loaded.name);
    let bench = Bench::new(loaded);
    let lines = bench.lines.len() as f64;
    let plan = compile(loaded, Options::ALL);
    report.add("lines", "", lines);
    report.add("rules", "", plan.rules().len() as f64);
    report.expect("rules", plan.rules().len() as u64, case.running as u64);
    let base = case.base.as_ref().map(|name| base_of(name));
    for round in 0..=rounds {
        let floor = bench.floor();
        let decode = bench.decode(&plan);
        let engine = bench.matches(&plan);
        let alerts = bench.alerts(&plan);
        let before = base.as_ref().map(|base| bench.matches(base));
        let two = case.limits.contains_key("speedup");
        let two = two.then(|| bench.on_two_threads(&plan));
        if round == 0 {
            expect(&mut report, case, "matches", engine);
            expect(&mut report, case, "alerts", alerts);
            report.add("alerts given", "", alerts.alerts as f64);
            continue;
        }
        report.add("floor", "us/line", floor / 1e3 / lines);
        report.add("decode", "x", decode / floor);
        report.add("engine", "x", engine.ns / floor);
        report.add("engine with alerts", "x", alerts.ns / floor);
        if let Some(before) = before {
            report.add("growth", "times base", engine.ns / before.ns);
        }
        if let Some(two) = two {
            report.add("speedup", "of CPU", 2.0 * engine.ns / two.cpu_ns);
            report.add("speedup in wall time", "", two.wall_speedup);
        }
    }
    beside(&mut report, loaded, &bench, rounds.min(ROUNDS_BESIDE));
    report
}

/// What stands beside the figures: another JSON parser, and each optimisation off.
fn beside(report: &mut Report, loaded: &Loaded, bench: &Bench<'_>, rounds: usize) {
    let variants = Options::variants().map(|options| (off(options), options));
    let variants = variants.into_iter().filter(|(off, _)| !off.is_empty());
    let variants: Vec<(String, Arc<Plan>)> = variants
        .map(|(off, options)| (off, compile(loaded, options)))
        .collect();
    for _ in 0..rounds {
        let floor = bench.floor();
        report.add("serde_json::Value", "x", bench.serde_json() / floor);
        for (off, plan) in &variants {
            let pass = bench.matches(plan);
            let name = format!("engine without {off}");
            expect(report, &loaded.case, &name, pass);
            report.add(&name, "x", pass.ns / floor);
        }
    }
}

/// The options that are off, by name: empty if none is, `any` if all are.
fn off(options: Options) -> String {
    let text = format!("{options:?}");
    let pairs: Vec<(&str, &str)> = text
        .trim_start_matches("Options {")
        .trim_end_matches('}')
        .split(',')
        .filter_map(|pair| pair.trim().split_once(": "))
        .collect();
    let off = pairs.iter().filter(|(_, value)| value.trim() == "false");
    let off: Vec<&str> = off.map(|(name, _)| *name).collect();
    if off.len() == pairs.len() {
        return "any".into();
    }
    off.join("+")
}

fn expect(report: &mut Report, case: &Case, what: &str, pass: Pass) {
    report.expect(what, pass.alerts, case.alerts);
    report.expect("dead letters", pass.dead_letters, case.dead_letters);
}

fn base_of(name: &str) -> Arc<Plan> {
    let loaded = Case::named(name).load(name);
    let loaded = loaded.unwrap_or_else(|missing| panic!("the base {name} {missing}"));
    compile(&loaded, Options::ALL)
}

/// The plan of a case.
pub(crate) fn compile(loaded: &Loaded, options: Options) -> Arc<Plan> {
    Arc::new(Plan::compile_with(loaded.rules(), options).plan)
}

impl<'a> Bench<'a> {
    pub(crate) fn new(loaded: &'a Loaded) -> Self {
        Self {
            lines: loaded.lines(),
            profile: Arc::new(Profile::laurel()),
        }
    }

    /// The unit of all figures, in nanoseconds: the sonic-rs DOM parse.
    pub(crate) fn floor(&self) -> f64 {
        let parses = |line: &&&[u8]| sonic_rs::from_slice::<sonic_rs::Value>(line).is_ok();
        timed(|| self.lines.iter().filter(parses).count()).0
    }

    fn serde_json(&self) -> f64 {
        let parses = |line: &&&[u8]| serde_json::from_slice::<serde_json::Value>(line).is_ok();
        timed(|| self.lines.iter().filter(parses).count()).0
    }

    /// Decoding with all views that the plan's rules read.
    fn decode(&self, plan: &Plan) -> f64 {
        let mut decoder = Decoder::new(Arc::clone(&self.profile), plan.fields());
        let mut cache = cache();
        let decode = |line: &&&[u8]| decoder.decode(line, &ORIGIN, &mut cache).is_ok();
        timed(|| self.lines.iter().filter(decode).count()).0
    }

    /// The engine up to the rules that match, without alerts.
    pub(crate) fn matches(&self, plan: &Arc<Plan>) -> Pass {
        let mut detector = Detector::new(Arc::clone(plan), Arc::clone(&self.profile));
        let mut cache = cache();
        let (ns, (alerts, dead_letters)) = timed(|| {
            let (mut matches, mut faults) = (0, 0);
            for (line, number) in self.lines.iter().zip(1..) {
                match detector.matching(&line_of(line, number), &mut cache) {
                    Ok(rules) => matches += rules.len() as u64,
                    Err(_) => faults += 1,
                }
            }
            (matches, faults)
        });
        Pass {
            ns,
            alerts,
            dead_letters,
        }
    }

    /// The engine with its alerts built, and dropped.
    pub(crate) fn alerts(&self, plan: &Arc<Plan>) -> Pass {
        let mut detector = Detector::new(Arc::clone(plan), Arc::clone(&self.profile));
        let mut cache = cache();
        let mut found = Vec::new();
        let (ns, (alerts, dead_letters)) = timed(|| {
            let (mut alerts, mut faults) = (0, 0);
            for (line, number) in self.lines.iter().zip(1..) {
                let line = line_of(line, number);
                faults += u64::from(detector.run(&line, &mut cache, &mut found).is_err());
                alerts += found.len() as u64;
                found.clear();
            }
            (alerts, faults)
        });
        Pass {
            ns,
            alerts,
            dead_letters,
        }
    }

    /// Two threads, each with all lines, a detector and a cache of its own, against one.
    fn on_two_threads(&self, plan: &Arc<Plan>) -> OnTwo {
        let one = Instant::now();
        self.matches(plan);
        let one = one.elapsed();
        let start = Barrier::new(3);
        let (cpu_ns, two) = thread::scope(|scope| {
            let threads = [(); 2].map(|()| {
                scope.spawn(|| {
                    start.wait();
                    self.matches(plan).ns
                })
            });
            start.wait();
            let wall = Instant::now();
            let cpu =
                threads.map(|thread| thread.join().unwrap_or_else(|e| panic::resume_unwind(e)));
            (cpu[0].max(cpu[1]), wall.elapsed())
        });
        OnTwo {
            cpu_ns,
            wall_speedup: 2.0 * one.as_secs_f64() / two.as_secs_f64(),
        }
    }
}

struct OnTwo {
    /// CPU time of the slower thread.
    cpu_ns: f64,
    /// Lines per wall second of both threads together, as a multiple of one thread alone.
    wall_speedup: f64,
}
