//! `pythia dlq`: what lies on the dead-letter topic, and sending it back.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use console::moment;
use console::printing::{Output, err, escaped, out, out_json, shortened, table};
use serde_json::{Value, json};
use stream::dead_letters::{self, Extent, Group, Overview, Replay, Replayed, Selection};
use stream::{Connection, Options, Stop};

use crate::args::{Common, Dlq, DlqList, DlqReplay, Kafka, Letters};
use crate::config::count;
use crate::{Exit, Failure, run};

/// Characters of an example in a table.
const EXAMPLE: usize = 60;

pub(crate) fn run(common: &Common, dlq: &Dlq) -> Result<Exit> {
    match dlq {
        Dlq::List(list) => self::list(common, list),
        Dlq::Replay(replay) => self::replay(common, replay),
    }
}

fn list(common: &Common, list: &DlqList) -> Result<Exit> {
    let (options, selection) = selection(common, &list.letters)?;
    let connection =
        Connection::new(&options, list.letters.timeout).map_err(run::operator_error)?;
    let topic = &options.dead_letters;
    let overview =
        dead_letters::list(&connection, topic, &selection).map_err(run::operator_error)?;
    match common.output() {
        Output::Table => out(&text(&overview, &selection))?,
        Output::Json => out_json(&format!(
            "{}\n",
            serde_json::to_string_pretty(&json(topic, &overview))?
        ))?,
        Output::Jsonl => out_json(&format!("{}\n", json(topic, &overview)))?,
    };
    if !common.quiet {
        err(&extent(topic, &overview.extent));
    }
    if overview.extent.limited {
        err(&limited(selection.limit, Some(&overview.extent)));
    }
    Ok(Exit::Ok)
}

fn replay(common: &Common, replay: &DlqReplay) -> Result<Exit> {
    let (options, selection) = selection(common, &replay.letters)?;
    let outputs = [&options.alerts, &options.dead_letters];
    if let Some(to) = replay.to.as_ref().filter(|to| outputs.contains(to)) {
        let mistake = format!("--to {to}: pythia writes this topic and does not read it");
        return Err(Failure::Usage(mistake).into());
    }
    let how = Replay {
        to: replay.to.clone(),
        rate: replay.rate,
        dry_run: replay.dry_run,
    };
    let stop = Stop::new();
    run::handle_signals(&stop, "lines on their way may arrive or not", None)?;
    let connection =
        Connection::new(&options, replay.letters.timeout).map_err(run::operator_error)?;
    let replayed = dead_letters::replay(&connection, &options, &selection, &how, &stop)
        .map_err(run::operator_error)?;
    // Before the output, which may fail: these places stand nowhere else.
    let topic = &options.dead_letters;
    err(&afterwards(common, topic, &selection, &how, &replayed));
    match common.output() {
        Output::Table => out(&sent_text(&replayed, &selection, how.dry_run))?,
        Output::Json => out_json(&format!(
            "{}\n",
            serde_json::to_string_pretty(&sent_json(&replayed, how.dry_run))?
        ))?,
        Output::Jsonl => out_json(&format!("{}\n", sent_json(&replayed, how.dry_run)))?,
    };
    if let Some(fault) = replayed.fault {
        return Err(anyhow::Error::from(fault).context("not all letters were sent"));
    }
    if let Some(error) = replayed.error {
        let failed = count(replayed.failed, "letter");
        return Err(anyhow::Error::from(error).context(format!("{failed} not delivered")));
    }
    if replayed.stopped {
        anyhow::bail!("stopped by a signal");
    }
    let refused = !replayed.refused.is_empty();
    Ok(if refused { Exit::Findings } else { Exit::Ok })
}

/// What is said beside the outcome: how far it came and, if anything was sent, where to go on.
fn afterwards(
    common: &Common,
    topic: &str,
    selection: &Selection,
    how: &Replay,
    replayed: &Replayed,
) -> String {
    let mut text = String::new();
    if !common.quiet {
        text += &extent(topic, &replayed.extent);
    }
    let extent = Some(&replayed.extent).filter(|_| !how.dry_run);
    let is_early = replayed.fault.is_some() || replayed.error.is_some() || replayed.stopped;
    match extent {
        _ if replayed.extent.limited => text += &limited(selection.limit, extent),
        Some(extent) if is_early => text += &format!("go on with --from {}\n", from(extent)),
        Some(extent) if !common.quiet => {
            text += &format!(
                "for letters still to come go on with --from {}\n",
                from(extent)
            );
        }
        _ => {}
    }
    text
}

fn selection(common: &Common, letters: &Letters) -> Result<(Options, Selection)> {
    let kafka = Kafka {
        brokers: letters.brokers.clone(),
        input: None,
        group: None,
    };
    let config = run::settings(common, &kafka)?;
    let now = now_ms();
    let time = |flag: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => moment::parse(text, now).map(Some).ok_or_else(|| {
            let help = "write a duration (2h) or a time (2026-11-24T08:00:00Z)";
            Failure::Usage(format!("{flag} {text:?}: {help}"))
        }),
    };
    let mut from = BTreeMap::new();
    for (partition, offset) in &letters.from {
        if from.insert(*partition, *offset).is_some() {
            let mistake = format!("--from: partition {partition} stands there twice");
            return Err(Failure::Usage(mistake).into());
        }
    }
    let selection = Selection {
        from,
        reasons: letters.reason.clone(),
        since_ms: time("--since", &letters.since)?,
        until_ms: time("--until", &letters.until)?,
        limit: letters.limit,
    };
    if let (Some(since), Some(until)) = (selection.since_ms, selection.until_ms)
        && until <= since
    {
        let mistake = "--until is not later than --since: no letter can be selected";
        return Err(Failure::Usage(mistake.to_owned()).into());
    }
    Ok((run::options(&config), selection))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn extent(topic: &str, extent: &Extent) -> String {
    let (topic, records) = (escaped(topic), count(extent.read, "record"));
    format!("{topic}: {records}, {} selected\n", extent.selected)
}

/// The limit ended it; `None`: nothing was done, and there is nothing to go on with.
fn limited(limit: u64, extent: Option<&Extent>) -> String {
    let go_on = extent.map(|extent| format!("; go on with --from {}", from(extent)));
    let go_on = go_on.unwrap_or_default();
    format!("--limit {limit} was reached: more lies there{go_on}\n")
}

/// Where there is nothing to show. Reasons are texts that other versions and other programs write too: one that
/// nobody wrote is no mistake.
fn nothing(selection: &Selection, extent: &Extent) -> String {
    let is_all = selection.reasons.is_empty()
        && selection.since_ms.is_none()
        && selection.until_ms.is_none()
        && selection.from.is_empty();
    if is_all {
        return "no dead letters\n".to_owned();
    }
    let read = count(extent.read, "letter");
    format!("none selected; {read} looked at\n")
}

/// Where to go on, as `--from` takes it.
fn from(extent: &Extent) -> String {
    let next = extent.next.iter();
    let next: Vec<String> = next
        .map(|(partition, offset)| format!("{partition}:{offset}"))
        .collect();
    next.join(",")
}

fn text(overview: &Overview, selection: &Selection) -> String {
    let now = now_ms();
    let when = |ms: Option<i64>| ms.map_or_else(|| "?".to_owned(), |ms| moment::ago(ms, now));
    let counts = |group: &Group| {
        [
            group.letters.to_string(),
            group.bytes.to_string(),
            group.cut.to_string(),
            group.again.to_string(),
            when(group.oldest_ms),
            when(group.newest_ms),
        ]
    };
    let reasons = overview.reasons.iter().map(|((code, stage), group)| {
        let example = group.example.as_ref().map_or_else(String::new, |example| {
            let value = shortened(&escaped(&example.value), EXAMPLE);
            format!("{}@{} {value}", example.partition, example.offset)
        });
        let mut row = vec![named(code), stage.clone()];
        row.extend(counts(group));
        row.push(example);
        row
    });
    let sources = overview.sources.iter().map(|((topic, partition), group)| {
        let partition = partition.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let mut row = vec![named(topic), partition];
        row.extend(counts(group));
        row
    });
    let reasons: Vec<Vec<String>> = reasons.collect();
    if reasons.is_empty() {
        return nothing(selection, &overview.extent);
    }
    let header = [
        "reason", "stage", "letters", "bytes", "cut", "again", "oldest", "newest", "example",
    ];
    let by_reason = table(&header, &reasons);
    let header = [
        "from",
        "partition",
        "letters",
        "bytes",
        "cut",
        "again",
        "oldest",
        "newest",
    ];
    let sources: Vec<Vec<String>> = sources.collect();
    format!("{by_reason}\n{}", table(&header, &sources))
}

fn named(text: &str) -> String {
    if text.is_empty() { "?" } else { text }.to_owned()
}

fn json(topic: &str, overview: &Overview) -> Value {
    let group = |mut body: Value, group: &Group| {
        let time = |ms: Option<i64>| ms.and_then(moment::rfc3339);
        body["letters"] = group.letters.into();
        body["bytes"] = group.bytes.into();
        body["cut"] = group.cut.into();
        body["again"] = group.again.into();
        body["oldest"] = time(group.oldest_ms).into();
        body["newest"] = time(group.newest_ms).into();
        if let Some(example) = &group.example {
            body["example"] = json!({
                "partition": example.partition, "offset": example.offset, "value": example.value,
            });
        }
        body
    };
    let reasons = overview
        .reasons
        .iter()
        .map(|((code, stage), counted)| group(json!({ "reason": code, "stage": stage }), counted));
    let sources = overview
        .sources
        .iter()
        .map(|((topic, partition), counted)| {
            group(json!({ "topic": topic, "partition": partition }), counted)
        });
    json!({
        "topic": topic,
        "read": overview.extent.read,
        "selected": overview.extent.selected,
        "limit_reached": overview.extent.limited,
        "next": from(&overview.extent),
        "reasons": reasons.collect::<Vec<_>>(),
        "sources": sources.collect::<Vec<_>>(),
    })
}

fn sent_text(replayed: &Replayed, selection: &Selection, dry_run: bool) -> String {
    let done = if dry_run { "would be sent" } else { "sent" };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |letters: u64, outcome: String| rows.push(vec![letters.to_string(), outcome]);
    for (topic, letters) in &replayed.sent {
        row(*letters, format!("{done} to {topic}"));
    }
    for (refused, letters) in &replayed.refused {
        row(*letters, format!("refused: {}", refused.reason()));
    }
    if replayed.failed > 0 {
        row(replayed.failed, "not delivered".to_owned());
    }
    if rows.is_empty() {
        return match replayed.extent.selected {
            0 => nothing(selection, &replayed.extent),
            _ => "none sent\n".to_owned(),
        };
    }
    table(&["letters", "outcome"], &rows)
}

fn sent_json(replayed: &Replayed, dry_run: bool) -> Value {
    let refused: serde_json::Map<String, Value> = replayed
        .refused
        .iter()
        .map(|(refused, letters)| (refused.code().to_owned(), (*letters).into()))
        .collect();
    let mut sent = json!({
        "dry_run": dry_run,
        "read": replayed.extent.read,
        "selected": replayed.extent.selected,
        "limit_reached": replayed.extent.limited,
        "sent": replayed.sent,
        "bytes": replayed.bytes,
        "refused": refused,
        "failed": replayed.failed,
        "stopped": replayed.stopped,
    });
    // A dry run did nothing that could be gone on with.
    if !dry_run {
        sent["next"] = from(&replayed.extent).into();
    }
    sent
}
