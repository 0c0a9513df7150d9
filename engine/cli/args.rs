//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use console::printing::Output;

/// Central detection engine for Linux fleets: Laurel audit events, Sigma rules as one plan, alerts with context.
#[derive(Debug, Parser)]
#[command(
    name = "pythia",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The same everywhere.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Rule file or directory (may be repeated). Without it: `[rules] paths` of the configuration, else the starter rules that
    /// the program carries
    #[arg(long = "rules", value_name = "PATH", global = true)]
    pub(crate) rules: Vec<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", global = true, env = "PYTHIA_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Form of the results: a table on a terminal, jsonl into a pipe
    #[arg(long, value_enum, global = true)]
    pub(crate) output: Option<OutputWord>,
    /// Say less: no summary, no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

/// Words for [`Output`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OutputWord {
    Table,
    Json,
    Jsonl,
}

impl Common {
    pub(crate) fn output(&self) -> Output {
        Output::or_by_terminal(self.output.map(|word| match word {
            OutputWord::Table => Output::Table,
            OutputWord::Json => Output::Json,
            OutputWord::Jsonl => Output::Jsonl,
        }))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it at work: an embedded broker, recorded events as a small fleet, alerts in the terminal
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// The service: events from Kafka, alerts to Kafka
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Events from files or stdin to alerts
    #[command(after_help = SCAN_EXAMPLES)]
    Scan(Scan),
    /// Load rules: every mistake, what runs, what does not and why
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// The configuration in force, and an example of it
    #[command(subcommand, after_help = CONFIG_EXAMPLES)]
    Config(Config),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of the program or of one command
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The command
        command: Option<String>,
    },
}

const EXAMPLES: &str = "Examples:
  pythia demo
  pythia scan /var/log/laurel/audit.log
  pythia check rules/

Exit codes:
  0  all is well
  1  something was found: errors in rules (check), matches (scan --fail-on-match)
  2  wrong usage, configuration or rule paths
  3  a fault at run time: a file, a topic or the output cannot be read or written";

const CONFIG_EXAMPLES: &str = "Examples:
  pythia config example > pythia.toml
  pythia config show --config pythia.toml";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  pythia completions bash > /etc/bash_completion.d/pythia
  source <(pythia completions zsh)";

const MAN_EXAMPLES: &str = "Examples:
  pythia man | man -l -
  pythia man scan > pythia-scan.1";

const DEMO_EXAMPLES: &str = "Examples:
  pythia demo                          half a minute, then a summary
  pythia demo --seconds 10 --rate 5000
  pythia demo --rules my-rules/";

const RUN_EXAMPLES: &str = "Examples:
  pythia config example > pythia.toml
  pythia run --config pythia.toml
  PYTHIA__KAFKA__BROKERS=kafka:9092 pythia run --rules rules/";

const SCAN_EXAMPLES: &str = "Examples:
  pythia scan /var/log/laurel/audit.log.1 /var/log/laurel/audit.log
  zstd -dc archive.jsonl.zst | pythia scan --host web-01 - | jq .rule.title
  pythia scan --rules rules/ --fail-on-match sample.jsonl";

const CHECK_EXAMPLES: &str = "Examples:
  pythia check rules/
  pythia check --output json rules/ | jq .totals";

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How long; 0: until Ctrl-C
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// Events per second
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Brokers, comma-separated (`kafka.brokers`)
    #[arg(long)]
    pub(crate) brokers: Option<String>,
    /// Input topics, comma-separated, or ^regex (`kafka.input`)
    #[arg(long)]
    pub(crate) input: Option<String>,
    /// Consumer group (`kafka.group`)
    #[arg(long)]
    pub(crate) group: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Files (plain, gzip or zstd, by content), or `-` for stdin; older ones first, so that parents are known
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Host name for lines that carry none
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Write refused lines and their reasons to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(crate) dead_letters: Option<PathBuf>,
    /// Exit with 1 if anything matched
    #[arg(long)]
    pub(crate) fail_on_match: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Rule files and directories, like --rules
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Exit with 1 on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Config {
    /// Every setting in force and where it came from; secrets are not printed
    Show,
    /// An annotated configuration file with all defaults
    Example,
}
