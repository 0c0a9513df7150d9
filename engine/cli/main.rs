//! The program `pythia`: parses the command line, wires the crates, prints.

mod args;
mod check;
mod codes;
mod config;
mod conformance;
mod costs;
mod demo;
mod dlq;
mod doctor;
mod explain;
mod explained;
mod fields;
mod input;
mod new;
mod policy;
mod reload;
mod rules;
mod run;
mod scan;
mod show;
mod test;
mod topics;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser as _};
use console::printing::{err, escaped, out};
use tikv_jemallocator::Jemalloc;

use crate::args::{Arguments, Command};

/// For librdkafka's buffers too. What glibc's allocator holds grows over days where large and small messages are freed by
/// other threads than those that made them; this one gives it back.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok,
    /// Something was found: errors in rules, cases that do not hold, matches under `--fail-on-match`, a fault in the cluster, letters
    /// that cannot be replayed.
    Findings,
}

/// An error that decides the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Wrong usage or configuration: 2.
    #[error("{0}")]
    Usage(String),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(mut error) => {
            // What the help hides is not suggested either; clap does not ask.
            let hidden = ContextValue::String("--without".to_owned());
            if error.get(ContextKind::SuggestedArg) == Some(&hidden) {
                error.remove(ContextKind::SuggestedArg);
            }
            // Help and version are no mistakes; clap knows the stream and the code.
            let code = error.exit_code();
            error.print().ok();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    match dispatch(&arguments) {
        Ok(Exit::Ok) => ExitCode::SUCCESS,
        Ok(Exit::Findings) => ExitCode::from(1),
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            let text = causes.join(": ");
            let text: Vec<String> = text.lines().map(escaped).collect();
            err(&format!("error: {}\n", text.join("\n")));
            let usage = error.downcast_ref::<Failure>().is_some();
            ExitCode::from(if usage { 2 } else { 3 })
        }
    }
}

fn dispatch(arguments: &Arguments) -> anyhow::Result<Exit> {
    let common = &arguments.common;
    let has_annotations = matches!(arguments.command, Command::Check(_) | Command::Test(_));
    if common.is_github() && !has_annotations {
        let what = "annotations (--output github) are of `pythia check` and `pythia test`";
        return Err(Failure::Usage(what.into()).into());
    }
    match &arguments.command {
        Command::Demo(demo) => demo::run(common, demo),
        Command::Run(run) => run::run(common, run),
        Command::Scan(scan) => scan::run(common, scan),
        Command::Check(check) => check::run(common, check),
        Command::Test(test) => test::run(common, test),
        Command::New(new) => new::run(common, new),
        Command::Explain(explain) => explain::run(common, explain),
        Command::Fields(fields) => fields::run(common, fields),
        Command::Dlq(what) => dlq::run(common, what),
        Command::Topics(what) => topics::run(common, what),
        Command::Doctor(doctor) => doctor::run(common, doctor),
        Command::Policy => policy::run(common),
        Command::Conformance => conformance::run(common),
        Command::Config(what) => config::run(common, *what),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "pythia", &mut text);
            out(&text)?;
            Ok(Exit::Ok)
        }
        Command::Man { command } => {
            let mut page = Arguments::command();
            page.build();
            if let Some(name) = command {
                let Some(found) = page.find_subcommand(name) else {
                    return Err(Failure::Usage(format!("there is no command {name:?}")).into());
                };
                page = found.clone();
            }
            let mut text = Vec::new();
            clap_mangen::Man::new(page).render(&mut text)?;
            out(&text)?;
            Ok(Exit::Ok)
        }
    }
}
