//! One line, a Perl reverse shell, through the stops of ARCHITECTURE.md, "Life of an event": what goes in and
//! what comes out of each. Read it from top to bottom; the tour cannot rot, since it runs.
//!
//! Kafka itself is not here: stops 1, 2 and 9 are threads around the rest, and `tests/kafka.rs` shows them at work.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use detect::{Alert, Detector, Line, Plan, RuleIdx, Source, view_name};
use event::{Decoder, Event, Fault, Origin, ProcessCache, Profile, ValueKind, ViewKind};
use expect_test::{Expect, expect};
use serde_json::json;
use sigma::SourceFile;
use stream::{Admission, BatchId, Ledger, Outcome, PartitionId};

use crate::cli::SEED;

/// The record as a shipper put it on the topic: its key is the host.
const TOPIC: &str = "laurel";
const HOST: &[u8] = b"web-01";
const OFFSET: i64 = 41;

fn check(found: &str, expected: &Expect) {
    expected.assert_eq(found);
}

/// The prelude, once per ruleset: YAML to rules to the plan that all workers share.
fn plan() -> Arc<Plan> {
    let rules = [
        "reverse_shell/perl.yml",
        "web_server/one_liner_by_process_label.yml",
    ];
    let files = rules.map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("rules/linux")
            .join(name);
        SourceFile {
            name: name.into(),
            text: fs::read_to_string(path).expect("the rule ships").into(),
        }
    });
    let loaded = sigma::load(&files);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let compiled = Plan::compile(loaded.rules);
    assert!(
        compiled.not_running.is_empty(),
        "{:?}",
        compiled.not_running
    );
    Arc::new(compiled.plan)
}

fn cache() -> ProcessCache {
    ProcessCache::new(1 << 20, 86_400_000)
}

fn line(bytes: &[u8]) -> Line<'_> {
    Line {
        bytes,
        origin: Origin {
            host: Some(HOST),
            scope: None,
        },
        source: Source::Kafka {
            topic: TOPIC,
            partition: 3,
            offset: OFFSET,
        },
    }
}

/// Every view of an event with its values: field, value, and where in the line it stands.
fn views(event: &Event<'_>, plan: &Plan) -> String {
    let fields = plan.fields();
    let mut text = String::new();
    for view in event.views() {
        writeln!(text, "{}", view_name(view.kind)).expect("a string takes text");
        for value in event.values(view) {
            let shown = match value.kind {
                ValueKind::Null | ValueKind::Container => format!("({:?})", value.kind),
                _ => String::from_utf8_lossy(event.bytes(value.span)).into_owned(),
            };
            let shown: String = shown.chars().take(40).collect();
            let name = fields.name(view.kind, value.slot);
            writeln!(text, "  {name} = {shown}  <- {}", event.path(value))
                .expect("a string takes text");
        }
    }
    text
}

/// Prelude: a plan knows of each rule which view it is evaluated on, and whether a literal finds it.
#[test]
fn prelude_rules_become_a_plan() {
    let plan = plan();
    let mut text = String::new();
    for (number, rule) in (0..).zip(plan.rules()) {
        let facts = plan.facts(RuleIdx(number));
        let found = if facts.witness {
            "by a witness"
        } else {
            "by looking at every view"
        };
        writeln!(
            text,
            "{}: {}, found {found}",
            rule.attributes.title,
            view_name(facts.view)
        )
        .expect("a string takes text");
    }
    check(
        &text,
        &expect![[r"
        Perl One-Liner Opens a Network Shell: process_creation, found by a witness
        Process Labelled as Web Application Runs a Shell or a Code One-Liner: laurel, found by a witness
    "]],
    );
    // Only what these rules read is taken from a line.
    let read = |kind| plan.fields().len(kind);
    check(
        &format!(
            "{} {} {}",
            read(ViewKind::ProcessCreation),
            read(ViewKind::Native),
            read(ViewKind::Record)
        ),
        &expect!["1 3 0"],
    );
}

/// Stops 1 and 2: the ledger admits the record; it lies in a batch of its partition, for that partition's worker.
#[test]
fn stop_1_the_ledger_admits_a_record_once() {
    let partition = PartitionId {
        topic: 0,
        partition: 3,
    };
    let mut ledger = Ledger::default();
    assert_eq!(ledger.admit(partition, OFFSET), Admission::Foreign);
    ledger.assign(partition, OFFSET, OFFSET, true);
    assert_eq!(ledger.admit(partition, OFFSET), Admission::Take);
    ledger.take(partition, BatchId(1), OFFSET + 1, 1, SEED.len() as u64);
    assert_eq!(ledger.admit(partition, OFFSET), Admission::Redelivered);
    assert_eq!(ledger.in_flight_bytes(), SEED.len() as u64);
}

/// Stop 4: whatever the shipper wrapped it in, the event's own text comes out; what is no event is a fault.
#[test]
fn stop_4_the_envelope_is_opened() {
    let plan = plan();
    let mut decoder = Decoder::new(Arc::new(Profile::laurel()), plan.fields());
    let mut text_of = |bytes: &[u8]| {
        let mut cache = cache();
        let event = decoder.decode(bytes, &line(bytes).origin, &mut cache)?;
        let host = String::from_utf8_lossy(event.host().unwrap_or_default()).into_owned();
        Ok::<_, Fault>((host, String::from_utf8_lossy(event.text()).into_owned()))
    };
    let own = |host: &str| Ok((host.to_owned(), SEED.to_owned()));
    assert_eq!(text_of(SEED.as_bytes()), own("web-01"));
    let syslog = format!("<13>Nov 24 10:00:00 web-02 laurel: @cee: {SEED}");
    assert_eq!(
        text_of(syslog.as_bytes()).map(|(_, text)| text),
        Ok(SEED.to_owned())
    );
    let beat = json!({"host": {"name": "web-02"}, "message": SEED}).to_string();
    assert_eq!(text_of(beat.as_bytes()), own("web-02"));
    assert_eq!(text_of(&SEED.as_bytes()[..200]), Err(Fault::Truncated));
    assert_eq!(text_of(b"{\"ID\":\"yesterday\"}"), Err(Fault::BadId));
}

/// Stop 5: the event is normalised, and the slots of its views are filled.
#[test]
fn stop_5_views_are_filled() {
    let plan = plan();
    let mut decoder = Decoder::new(Arc::new(Profile::laurel()), plan.fields());
    let mut cache = cache();
    let event = decoder
        .decode(SEED.as_bytes(), &line(SEED.as_bytes()).origin, &mut cache)
        .expect("an event");
    assert_eq!(event.id().time_ms, 1_626_611_363_720);
    check(
        &views(&event, &plan),
        &expect![[r#"
        process_creation
          CommandLine = perl -e use Socket;$i="10.0.0.1";$p=1234  <- EXECVE.ARGV
        laurel
          SYSCALL.LABELS = weblogic  <- SYSCALL.LABELS[0]
          EXECVE.cmdline = perl -e use Socket;$i="10.0.0.1";$p=1234  <- EXECVE.ARGV
    "#]],
    );
}

/// Stops 6 and 7: candidates by their literals, then the exact conditions; a near miss stays silent.
#[test]
fn stop_7_conditions_decide() {
    let plan = plan();
    let mut detector = Detector::new(Arc::clone(&plan), Arc::new(Profile::laurel()));
    let mut titles = |bytes: &str| {
        let rules = detector
            .matching(&line(bytes.as_bytes()), &mut cache())
            .expect("an event");
        let titles: Vec<&str> = rules
            .into_iter()
            .map(|rule| &*plan.rule(rule).attributes.title)
            .collect();
        titles.join("\n")
    };
    check(
        &titles(SEED),
        &expect![[r"
        Perl One-Liner Opens a Network Shell
        Process Labelled as Web Application Runs a Shell or a Code One-Liner"]],
    );
    // Another label, and a socket of its own that no command is handed to.
    let near = SEED
        .replace("weblogic", "backup")
        .replace("exec(", "print(")
        .replace("STD", "X");
    check(&titles(&near), &expect![""]);
}

/// Stops 3 and 8: the spine gives the alerts, with context and an id that any repetition gives again.
#[test]
fn stop_8_an_alert_carries_its_context() {
    let mut detector = Detector::new(plan(), Arc::new(Profile::laurel()));
    let mut run = || {
        let mut alerts: Vec<Alert> = Vec::new();
        detector
            .run(&line(SEED.as_bytes()), &mut cache(), &mut alerts)
            .expect("an event");
        alerts
    };
    let alerts = run();
    let texts = |alerts: &[Alert]| alerts.iter().map(Alert::to_json).collect::<Vec<_>>();
    assert_eq!(texts(&alerts), texts(&run()));
    let alert: serde_json::Value = serde_json::from_str(&alerts[0].to_json()).expect("JSON");
    assert_eq!(alert["event"], SEED);
    let matched: Vec<String> = alert["why"][0]["selections"]
        .as_array()
        .expect("selections")
        .iter()
        .map(|selection| {
            let first = &selection["matches"][0];
            format!(
                "{}: {} {}",
                selection["name"], first["path"], first["matcher"]
            )
            .replace('"', "")
        })
        .collect();
    let subset = json!({
        "alert_id": alert["alert_id"],
        "time": alert["time"],
        "level": alert["level"],
        "title": alert["rule"]["title"],
        "techniques": alert["rule"]["attack"]["techniques"],
        "host": alert["host"],
        "labels": alert["process"]["labels"],
        "parent": alert["process"]["parent"],
        "why": matched,
        "source": alert["source"],
    });
    check(
        &serde_json::to_string_pretty(&subset).expect("JSON"),
        &expect![[r#"
            {
              "alert_id": "830c452c-a49f-550d-8048-84d07272ace2",
              "host": "web-01",
              "labels": [
                "weblogic"
              ],
              "level": "high",
              "parent": {
                "comm": "sh",
                "exe": "/bin/sh"
              },
              "source": {
                "offset": 41,
                "partition": 3,
                "topic": "laurel"
              },
              "techniques": [
                "T1059",
                "T1095"
              ],
              "time": "2021-07-18T12:29:23.720Z",
              "title": "Perl One-Liner Opens a Network Shell",
              "why": [
                "interpreter: EXECVE.ARGV[0] contains 'perl'",
                "inline: EXECVE.ARGV re '\\\\s-[A-Za-z0-9:]*[eE]\\\\s'",
                "socket: EXECVE.ARGV[2] contains 'use Socket'",
                "handover: EXECVE.ARGV[2] contains 'exec'"
              ]
            }"#]],
    );
}

/// Stops 9 and 10: the offset behind the line may be committed once both alerts are delivered, not before.
#[test]
fn stop_10_the_offset_waits_for_the_alerts() {
    let partition = PartitionId {
        topic: 0,
        partition: 3,
    };
    let mut ledger = Ledger::default();
    ledger.assign(partition, OFFSET, OFFSET, true);
    ledger.take(partition, BatchId(1), OFFSET + 1, 1, SEED.len() as u64);
    let mut story = format!("taken: {:?}\n", ledger.commit());
    let outcome = Outcome {
        evaluated: 1,
        produced: 2,
        ..Outcome::default()
    };
    ledger.evaluated(partition, BatchId(1), outcome);
    writeln!(story, "evaluated: {:?}", ledger.commit()).expect("a string takes text");
    ledger.delivered(partition, BatchId(1));
    writeln!(story, "one alert delivered: {:?}", ledger.commit()).expect("a string takes text");
    ledger.delivered(partition, BatchId(1));
    let committed: Vec<i64> = ledger
        .commit()
        .into_iter()
        .map(|(_, offset)| offset)
        .collect();
    writeln!(story, "both delivered: {committed:?}").expect("a string takes text");
    check(
        &story,
        &expect![[r"
        taken: []
        evaluated: []
        one alert delivered: []
        both delivered: [42]
    "]],
    );
    let counts = ledger.counts()[&partition];
    assert_eq!(
        counts.read,
        counts.evaluated + counts.dead_lettered + counts.dropped
    );
    assert_eq!(ledger.in_flight_bytes(), 0);
}
