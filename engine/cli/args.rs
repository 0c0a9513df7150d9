//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::rules::Loading;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use console::printing::Output;
use console::settings::parse_duration;
use detect::{Options, view_name};
use event::ViewKind;

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
    /// Values for `%name%` in rules: a YAML file of `name: value` or `name: [value, value]` lines
    #[arg(long, value_name = "FILE", global = true, env = "PYTHIA_PLACEHOLDERS")]
    pub(crate) placeholders: Option<PathBuf>,
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
    /// Switch an optimisation of the engine off (may be repeated): results stay, for hunting down a fault
    #[arg(long, value_name = "NAME", global = true, hide = true, value_parser = PossibleValuesParser::new(Options::NAMES))]
    pub(crate) without: Vec<String>,
}

/// Words for [`Output`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OutputWord {
    Table,
    Json,
    Jsonl,
    /// Annotations of GitHub Actions, of `check` and `test` alone
    Github,
}

impl Common {
    /// How rules are loaded.
    pub(crate) fn loading(&self) -> Loading {
        Loading {
            options: self.options(),
            placeholders: self.placeholders.clone(),
        }
    }

    /// The engine's optimisations.
    pub(crate) fn options(&self) -> Options {
        let names = self.without.iter();
        names.fold(Options::ALL, |options, name| {
            options.without(name).expect("clap takes `NAMES` alone")
        })
    }

    /// Whether annotations of GitHub Actions are asked for.
    pub(crate) fn is_github(&self) -> bool {
        matches!(self.output, Some(OutputWord::Github))
    }

    pub(crate) fn output(&self) -> Output {
        Output::or_by_terminal(self.output.map(|word| match word {
            // Those who have annotations ask for them first.
            OutputWord::Table | OutputWord::Github => Output::Table,
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
    /// Run the fixtures beside rules: each case that does not hold, and what its rule saw
    #[command(after_help = TEST_EXAMPLES)]
    Test(Test),
    /// Make a rule and its fixture from a captured event
    #[command(after_help = NEW_EXAMPLES)]
    New(New),
    /// A rule as compiled; or on an event: which values decide, seen against asked; or what keeps it from matching
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// The fields of each log source: where they come from, what becomes of them, an example
    #[command(after_help = FIELDS_EXAMPLES)]
    Fields(Fields),
    /// What Pythia does on each point that the Sigma specification leaves open
    #[command(after_help = POLICY_EXAMPLES)]
    Policy,
    /// The configuration in force, and an example of it
    #[command(subcommand, after_help = CONFIG_EXAMPLES)]
    Config(Config),
    /// Dead letters: what lies there, and sending it back
    #[command(subcommand, after_help = DLQ_EXAMPLES)]
    Dlq(Dlq),
    /// The topics that the service writes
    #[command(subcommand, after_help = TOPICS_EXAMPLES)]
    Topics(Topics),
    /// Ask the brokers all that the service needs of them: each fault with its cause and its cure
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Answer requests of the neutral conformance protocol: JSON lines in, JSON lines out
    #[command(hide = true)]
    Conformance,
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
  1  something was found: errors in rules (check), cases that do not hold (test), matches (scan
     --fail-on-match), a fault (doctor), letters that cannot be replayed (dlq replay), topics that differ
     from what was asked for (topics create)
  2  wrong usage, configuration or rule paths
  3  a fault at run time: a file, a topic or the output cannot be read or written";

const POLICY_EXAMPLES: &str = "Examples:
  pythia policy --output table
  pythia policy --output json | jq '.[] | select(.id == \"M5b\")'";

const CONFIG_EXAMPLES: &str = "Examples:
  pythia config example > pythia.toml
  pythia config show --config pythia.toml";

const DLQ_EXAMPLES: &str = "Examples:
  pythia dlq list --config pythia.toml --since 24h
  pythia dlq replay --config pythia.toml --reason oversize --since 24h --dry-run";

const DLQ_LIST_EXAMPLES: &str = "Examples:
  pythia dlq list --config pythia.toml
  pythia dlq list --brokers kafka:9092 --reason truncated --since 2026-11-24T08:00:00Z --output json";

const DLQ_REPLAY_EXAMPLES: &str =
    "Letters stay where they are: the same replay again sends the same lines again, and gives
alerts of the same ids. A letter that was cut, too large for its topic, is not sent.
Stopped by Ctrl-C, --limit or a fault it tells the --from to go on with.

Examples:
  pythia dlq replay --config pythia.toml --reason oversize --since 24h --dry-run
  pythia dlq replay --config pythia.toml --reason oversize --since 24h --rate 200
  pythia dlq replay --config pythia.toml --reason oversize --rate 200 --from 0:4711,1:0
  pythia dlq replay --config pythia.toml --to laurel.mended";

const TOPICS_EXAMPLES: &str = "Examples:
  pythia topics create --config pythia.toml --dry-run
  pythia topics create --config pythia.toml --partitions 12 --replication-factor 3";

const DOCTOR_EXAMPLES: &str =
    "Leaves no record, no offset and no member of the group behind. The brokers' clock is not
looked at: no answer of theirs carries it.

Examples:
  pythia doctor --config pythia.toml
  pythia doctor --config pythia.toml --output json | jq '.checks[] | select(.state == \"fail\")'";

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
  pythia scan --rules rules/ --fail-on-match sample.jsonl
  pythia scan --rules rules/ --profile-rules sample.jsonl > /dev/null";

const CHECK_EXAMPLES: &str = "Examples:
  pythia check rules/
  pythia check --output json rules/ | jq .totals
  pythia check --explain R012";

const TEST_EXAMPLES: &str = "The fixture of x.yml is x.test.yml beside it:

cases:
  - name: what is special about it
    event: |-                     # lines of Laurel, or event_file: captured.jsonl
      {\"ID\":\"1700000000.123:1\", ...}
    host: web-01                  # for lines that carry none (optional)
    rule: Title                   # which rule of a file with several (optional)
    expect: alert                 # or silent
    alert: {level: high}          # what the alert must have (optional)

Examples:
  pythia test rules/
  pythia test rules/linux/reverse_shell/perl.yml --only socket
  pythia test rules/ --require-fixtures --junit target/rules.xml
  pythia test rules/ --output json | jq '.cases[] | select(.state == \"failed\")'";

const NEW_EXAMPLES: &str = "The rule asks for what tells most about the event; other things that the event says stand beside it as
comments. It matches its event at once; whether it should match more or less is the author's to say.

Examples:
  pythia new --event captured.jsonl
  pythia new --event /var/log/laurel/audit.log:4711 --title 'Perl opens a socket' --out rules/linux/mine
  grep 'nc -e' captured.jsonl | pythia new --event -";

const EXPLAIN_EXAMPLES: &str = "Without an event: selections with their modifiers applied, the condition, filters, fields and where they come
from, and what the engine looks for to find the rule. Rules of other files that a correlation reads are named
with --rules. See docs/explain.md.

Exit codes: 0; with --why-not 1 if every rule matches; 2 for wrong usage, or an event or a rule that is not there.

Examples:
  pythia explain rules/linux/reverse_shell/perl.yml
  pythia explain rules/linux/reverse_shell/perl.yml sample.jsonl:7
  pythia explain --why-not my-rule.yml sample.jsonl:7
  pythia explain my-rule.yml - < event.json
  pythia explain rules/linux/web_server sample.jsonl --output json | jq '.[] | select(.matches) | .title'";

const FIELDS_EXAMPLES: &str = "Examples:
  pythia fields process_creation
  pythia fields auditd --output table | grep SYSCALL
  pythia fields --output json | jq -r '.[] | select(.from | contains(\"SPAWNED_BY\")) | .field'";

/// Log sources as rules name them.
fn log_sources() -> PossibleValuesParser {
    PossibleValuesParser::new(ViewKind::ALL.map(view_name))
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The event: a file and the number of its line; without a number its first. `-` is stdin
    #[arg(long, value_name = "FILE[:LINE]")]
    pub(crate) event: PathBuf,
    /// Title of the rule, from which its file is named; else made from the event
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Folder for the two files, made if need be
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Log source of the rule; else the first of these that sees the event, a rename before its file events
    #[arg(long, value_name = "NAME", value_parser = log_sources())]
    pub(crate) logsource: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Rule file, or a folder of rules
    #[arg(value_name = "RULE")]
    pub(crate) rule: PathBuf,
    /// The event: a file and the number of its line; without a number its first, and for a correlation all of them. `-` is
    /// stdin. The lines before tell who the parents are
    #[arg(value_name = "EVENT[:LINE]")]
    pub(crate) event: Option<PathBuf>,
    /// Only what keeps the rule from matching the event, with hints
    #[arg(long, requires = "event")]
    pub(crate) why_not: bool,
    /// Host name for lines that carry none
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// Category or service; without it all
    #[arg(value_name = "LOGSOURCE", value_parser = log_sources())]
    pub(crate) logsource: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Folders, rule files or fixtures, like --rules
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only cases with this in their name, their rule's title or its path, in letters of either case (may be repeated)
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Vec<String>,
    /// Say where `sigma-rust`, another engine for Sigma, reads a rule otherwise, and what to write to be read alike by both;
    /// the exit code is not touched
    #[arg(long)]
    pub(crate) second_opinion: bool,
    /// Exit with 1 if a rule has no fixture
    #[arg(long)]
    pub(crate) require_fixtures: bool,
    /// Write the results to this file in `JUnit`'s form
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

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
    #[command(flatten)]
    pub(crate) kafka: Kafka,
}

/// Where Kafka is; all else of it stands in the configuration.
#[derive(Debug, Args)]
pub(crate) struct Kafka {
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
    /// Show on stderr which rules take the processor's time, and what comes of it
    #[arg(long)]
    pub(crate) profile_rules: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Rule files and directories, like --rules
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Exit with 1 on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print what a diagnostic means and how to mend it, such as R012 or metadata, and check nothing
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "strict"])]
    pub(crate) explain: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// Count the dead letters by reason and by source, with an example of each reason
    #[command(after_help = DLQ_LIST_EXAMPLES)]
    List(DlqList),
    /// Send dead letters back to the topics that they came from
    #[command(after_help = DLQ_REPLAY_EXAMPLES)]
    Replay(DlqReplay),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct Letters {
    /// Brokers, comma-separated (`kafka.brokers`)
    #[arg(long)]
    pub(crate) brokers: Option<String>,
    /// Only letters of this reason, such as truncated (may be repeated)
    #[arg(long, value_name = "CODE")]
    pub(crate) reason: Vec<String>,
    /// Only letters written since then: a duration ago (2h), or a time (2026-11-24T08:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only letters written before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Offsets to start at, as the command before told them; other partitions are read from --since on
    #[arg(long, value_name = "PARTITION:OFFSET,..", value_delimiter = ',', value_parser = position)]
    pub(crate) from: Vec<(i32, i64)>,
    /// Most records read from the topic, of whatever reason
    #[arg(long, value_name = "LINES", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// How long the brokers may take for an answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct DlqList {
    #[command(flatten)]
    pub(crate) letters: Letters,
}

#[derive(Debug, Args)]
pub(crate) struct DlqReplay {
    #[command(flatten)]
    pub(crate) letters: Letters,
    /// Send all of them to this topic instead
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: Option<String>,
    /// Lines per second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Make the topics for alerts and dead letters; those that exist are compared and not changed
    #[command(after_help = TOPICS_EXAMPLES)]
    Create(TopicsCreate),
}

#[derive(Debug, Args)]
pub(crate) struct TopicsCreate {
    #[command(flatten)]
    pub(crate) kafka: Kafka,
    /// Partitions of each topic [default: 6]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub(crate) partitions: Option<i32>,
    /// Replicas of each partition [default: the broker's]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub(crate) replication_factor: Option<i32>,
    /// Replicas that must have a record before it counts as written [default: 2 with three replicas or more, else the broker's]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub(crate) min_insync_replicas: Option<i32>,
    /// How long records are kept
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = retention)]
    pub(crate) retention: Duration,
    /// The topics of `kafka.input` too
    #[arg(long)]
    pub(crate) with_input: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long the brokers may take for an answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) kafka: Kafka,
    /// How long each question may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// Newest lines of each input partition that are looked at for their hosts
    #[arg(long, value_name = "LINES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) sample: u32,
}

/// `PARTITION:OFFSET`.
fn position(text: &str) -> Result<(i32, i64), String> {
    let parsed = text.split_once(':').and_then(|(partition, offset)| {
        let offset = offset.parse::<i64>().ok().filter(|offset| *offset >= 0)?;
        Some((partition.parse().ok()?, offset))
    });
    parsed.ok_or_else(|| "write a partition and an offset in it, such as 0:4711".to_owned())
}

/// From a second to five minutes.
fn timeout(text: &str) -> Result<Duration, String> {
    duration(
        text,
        Duration::from_secs(1),
        Duration::from_mins(5),
        "1s to 5m",
    )
}

/// From a minute to ten years.
fn retention(text: &str) -> Result<Duration, String> {
    let decade = Duration::from_hours(24 * 3650);
    duration(text, Duration::from_mins(1), decade, "1m to 3650d")
}

fn duration(text: &str, from: Duration, to: Duration, range: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| (from..=to).contains(duration))
        .ok_or_else(|| format!("write a duration from {range}"))
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Config {
    /// Every setting in force and where it came from; secrets are not printed
    Show,
    /// An annotated configuration file with all defaults
    Example,
}
