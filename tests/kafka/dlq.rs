//! `pythia dlq`: what lies on the dead-letter topic is told, and goes back to where it came from.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::Value;

use super::fleet::{self, Sent, Setting};
use super::harness::Broker;

/// A reverse shell, longer than a kilobyte: a dead letter below a limit of 1 KiB, an alert above it.
fn long_shell(n: usize) -> Sent {
    let ballast = "x".repeat(2_000);
    let line = format!(
        r#"{{"ID":"17000000{n:02}.123:{n}","EXECVE":{{"argc":4,"ARGV":["perl","-e","use Socket; exec","{ballast}"]}}}}"#
    );
    Sent {
        host: format!("web-{n:02}"),
        line: line.into_bytes(),
    }
}

fn sent(line: &[u8]) -> Sent {
    Sent {
        host: "web-01".into(),
        line: line.to_vec(),
    }
}

/// Exit code, standard output as JSON, standard error.
fn ran(command: &mut Command) -> (Option<i32>, Value, String) {
    let output = command
        .args(["--output", "json"])
        .output()
        .expect("pythia runs");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), json, err)
}

/// What a letter keeps of its record: partition, key, value, a header.
type Kept = (i32, Vec<u8>, Vec<u8>, Option<String>);

const SHORT_LINES: &str = "[limits]\nline_bytes = \"1KiB\"\n";

/// Lines that a limit refused are judged when they come back under a higher one, and count on when they are
/// refused again.
#[test]
fn a_dead_letter_goes_back_and_is_judged_again() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "roundtrip");
    let mut lines: Vec<Sent> = (0..5).map(long_shell).collect();
    lines.push(sent(br#"{"ID":"1700000000.123:4711","CWD":{"cwd":"/ro"#));
    let producer = fleet::producer(broker);
    for line in &lines {
        let headers = OwnedHeaders::new().insert(Header {
            key: "trace",
            value: Some("\u{e9}"),
        });
        // Nobody outside says how often a line was refused, or where it came from.
        let headers = headers.insert(Header {
            key: "pythia.source.topic",
            value: Some("elsewhere"),
        });
        let record = BaseRecord::to(&setting.input)
            .key(&line.host)
            .payload(&line.line);
        producer
            .send(record.headers(headers))
            .map_err(|(error, _)| error)
            .expect("it is queued");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");
    let pythia = setting.start("one", SHORT_LINES);
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();

    let (code, told, _) = ran(&mut setting.command(&["dlq", "list"], ""));
    assert_eq!(code, Some(0));
    assert_eq!(told["read"], 6, "{told:#}");
    let reasons: Vec<(&Value, &Value, &Value)> = told["reasons"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| (&group["reason"], &group["stage"], &group["letters"]))
        .collect();
    assert_eq!(
        format!("{reasons:?}"),
        r#"[(String("oversize"), String("decode"), Number(5)), (String("truncated"), String("decode"), Number(1))]"#
    );
    let from = told["sources"].as_array().expect("a list");
    assert!(
        from.iter()
            .all(|source| source["topic"] == setting.input.as_str()),
        "{told:#}"
    );
    assert_eq!(
        from.iter()
            .map(|source| source["letters"].as_u64().expect("a number"))
            .sum::<u64>(),
        6
    );

    // Refused again: the letters say that it is the second time, and hold the same bytes.
    let replay = ["dlq", "replay", "--reason", "oversize"];
    let (code, done, err) = ran(&mut setting.command(&replay, ""));
    assert_eq!(
        (code, &done["sent"][&setting.input]),
        (Some(0), &Value::from(5)),
        "{done:#} {err}"
    );
    let pythia = setting.start("one", SHORT_LINES);
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();
    let letters = fleet::read_all(broker, &setting.dead_letters);
    let of_attempt = |attempt: &str| -> Vec<Kept> {
        let mut found: Vec<_> = letters
            .iter()
            .filter(|letter| letter.headers["pythia.error.attempt"] == attempt)
            .filter(|letter| letter.headers["pythia.error.code"] == "oversize")
            .map(|letter| {
                let partition = letter.headers["pythia.source.partition"].parse();
                (
                    partition.expect("a number"),
                    letter.key.clone(),
                    letter.value.clone(),
                    letter.headers.get("trace").cloned(),
                )
            })
            .collect();
        found.sort();
        found
    };
    assert_eq!(of_attempt("1").len(), 5);
    assert_eq!(
        of_attempt("1"),
        of_attempt("2"),
        "same partition, key, value, foreign header"
    );
    assert!(
        letters
            .iter()
            .all(|letter| letter.headers["trace"] == "\u{e9}")
    );
    let (_, told, _) = ran(&mut setting.command(&["dlq", "list", "--reason", "oversize"], ""));
    assert_eq!(
        (&told["selected"], &told["reasons"][0]["again"]),
        (&10.into(), &5.into()),
        "{told:#}"
    );

    // Under the usual limit they are events.
    let (code, done, _) = ran(&mut setting.command(&replay, ""));
    assert_eq!(
        (code, &done["sent"][&setting.input]),
        (Some(0), &Value::from(10))
    );
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();
    let alerts = setting.alerts(broker);
    assert_eq!(alerts.len(), setting.scan(&lines[..5]).len());
    assert_eq!(
        fleet::read_all(broker, &setting.dead_letters).len(),
        11,
        "none again"
    );
    for record in fleet::read_all(broker, &setting.input).iter().skip(6) {
        let ours: Vec<&String> = record
            .headers
            .keys()
            .filter(|key| key.starts_with("pythia."))
            .collect();
        assert!(
            ours.len() <= 1
                && ours
                    .iter()
                    .all(|key| *key == "pythia.error.attempt" || *key == "pythia.source.topic"),
            "{ours:?}"
        );
    }
}

#[test]
fn filters_rate_limit_and_dry_run_of_a_replay() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "filters");
    let mut lines: Vec<Sent> = (0..30).map(|_| sent(b"no event")).collect();
    lines.push(sent(br#"{"ID":"yesterday","CWD":{"cwd":"/"}}"#));
    lines.push(sent("\u{1b}[31m\u{202e}no event".as_bytes()));
    fleet::produce(broker, &setting.input, &lines);
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();
    let before = fleet::read_all(broker, &setting.input).len();

    let list = |more: &[&str]| ran(&mut setting.command(&[&["dlq", "list"], more].concat(), ""));
    assert_eq!(list(&["--reason", "bad_id"]).1["selected"], 1);
    assert_eq!(
        list(&["--reason", "bad_id", "--reason", "invalid_json"]).1["selected"],
        32
    );
    assert_eq!(list(&["--reason", "nothing"]).1["selected"], 0);
    for command in ["list", "replay"] {
        let arguments = ["dlq", command, "--reason", "nothing", "--output", "table"];
        let output = setting.command(&arguments, "").output();
        let text = String::from_utf8(output.expect("pythia runs").stdout).expect("UTF-8");
        assert_eq!(text, "none selected; 32 letters looked at\n");
    }
    assert_eq!(list(&["--since", "1h"]).1["selected"], 32);
    assert_eq!(list(&["--until", "1h"]).1["selected"], 0);
    assert_eq!(list(&["--since", "2999-01-01T00:00:00Z"]).1["read"], 0);
    let (_, limited, err) = list(&["--limit", "10"]);
    assert_eq!(
        (&limited["read"], &limited["limit_reached"]),
        (&10.into(), &true.into())
    );
    assert!(err.contains("--limit 10 was reached"), "{err}");
    let (_, whole, err) = list(&["--limit", "32"]);
    assert_eq!(
        (&whole["read"], &whole["limit_reached"]),
        (&32.into(), &false.into())
    );
    assert!(!err.contains("reached"), "{err}");
    let (code, _, err) = list(&["--since", "yesterday"]);
    assert_eq!(code, Some(2), "{err}");
    let mut table = setting.command(&["dlq", "list", "--output", "table"], "");
    let table = String::from_utf8(table.output().expect("pythia runs").stdout).expect("UTF-8");
    assert!(
        table.contains("\\u{1b}[31m\\u{202e}no event") && !table.contains('\u{1b}'),
        "{table}"
    );
    assert!(
        table.starts_with("reason       stage  letters bytes cut again oldest"),
        "{table}"
    );

    let replay =
        |more: &[&str]| ran(&mut setting.command(&[&["dlq", "replay"], more].concat(), ""));
    let (code, would, _) = replay(&["--dry-run"]);
    assert_eq!(
        (code, &would["sent"][&setting.input]),
        (Some(0), &32.into()),
        "{would:#}"
    );
    assert_eq!(
        fleet::read_all(broker, &setting.input).len(),
        before,
        "a dry run sends nothing"
    );

    let begun = Instant::now();
    let (code, done, _) = replay(&["--reason", "invalid_json", "--rate", "10"]);
    assert_eq!(
        (code, &done["sent"][&setting.input]),
        (Some(0), &31.into()),
        "{done:#}"
    );
    let took = begun.elapsed();
    assert!(
        (3..15).contains(&took.as_secs()),
        "31 lines at 10 a second took {took:?}"
    );

    // Stopped by a signal it waits for what it has sent, and says so.
    let mut slow = setting.command(&["dlq", "replay", "--rate", "5"], "");
    let (code, told, _) = interrupted(&mut slow, "-TERM", |_| {
        thread::sleep(Duration::from_secs(3));
    });
    let sent = told["sent"][&setting.input]
        .as_u64()
        .expect("some are sent");
    assert_eq!(
        (code, &told["stopped"]),
        (Some(3), &true.into()),
        "{told:#}"
    );
    assert!((1..32).contains(&sent), "{told:#}");
    let lines = fleet::read_all(broker, &setting.input).len() - before - 31;
    assert_eq!(lines as u64, sent, "what is told is what arrived");

    broker.create_topic("filters.other", 1, &[]);
    let (code, done, _) = replay(&["--to", "filters.other", "--reason", "bad_id"]);
    assert_eq!(
        (code, &done["sent"]["filters.other"]),
        (Some(0), &1.into()),
        "{done:#}"
    );
    assert_eq!(fleet::read_all(broker, "filters.other").len(), 1);
    let (code, _, err) = replay(&["--to", &setting.dead_letters]);
    assert_eq!(code, Some(2), "{err}");
    let (code, done, _) = replay(&["--to", "filters.nowhere", "--reason", "bad_id"]);
    assert_eq!(
        (code, &done["refused"]["no_topic"]),
        (Some(1), &1.into()),
        "{done:#}"
    );
}

/// Puts letters on a topic of dead letters, taking turns between two partitions.
fn put_letters(broker: &Broker, setting: &Setting, letters: &[(&str, Vec<u8>)]) {
    let producer = fleet::producer(broker);
    for (partition, (code, value)) in (0..2).cycle().zip(letters) {
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let headers = OwnedHeaders::new()
            .insert(header("pythia.error.code", *code))
            .insert(header("pythia.source.topic", setting.input.as_str()));
        let record = BaseRecord::<str, [u8]>::to(&setting.dead_letters)
            .partition(partition)
            .payload(value);
        producer
            .send(record.headers(headers))
            .map_err(|(error, _)| error)
            .expect("it is queued");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");
}

/// The values on a topic, in order of their content.
fn values(broker: &Broker, topic: &str) -> Vec<Vec<u8>> {
    let records = fleet::read_all(broker, topic).into_iter();
    let mut values: Vec<Vec<u8>> = records.map(|record| record.value).collect();
    values.sort();
    values
}

/// Waits until the process handles SIGTERM, which is before it reads anything.
fn wait_until_handled(pid: u32) {
    const TERM: u64 = 1 << (15 - 1);
    let deadline = Instant::now() + Duration::from_secs(30);
    let handled = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))?;
        Some(u64::from_str_radix(caught.trim(), 16).ok()? & TERM != 0)
    };
    while handled() != Some(true) {
        assert!(Instant::now() < deadline, "SIGTERM is not handled");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a replay, sends it a signal when it is time, and gives what it tells.
fn interrupted(
    command: &mut Command,
    signal: &str,
    wait: impl FnOnce(u32),
) -> (Option<i32>, Value, String) {
    let child = command
        .args(["--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pythia starts");
    wait(child.id());
    let pid = child.id().to_string();
    Command::new("kill")
        .args([signal, &pid])
        .status()
        .expect("kill runs");
    let output = child.wait_with_output().expect("pythia ends");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), told, err)
}

/// Ended by a limit, by a signal or by a failure, a replay says where to go on; going on there, every letter is
/// sent once, or where one failed at least once.
#[test]
fn a_replay_goes_on_where_it_ended() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "goon");
    setting.dead_letters = "goon.two-partitions".into();
    broker.create_topic(&setting.dead_letters, 2, &[]);
    let letter = |n: usize| {
        let code = if n.is_multiple_of(3) {
            "oversize"
        } else {
            "no_event"
        };
        (code, format!("{n:04}").into_bytes())
    };
    let letters: Vec<_> = (0..61).map(letter).collect();
    put_letters(broker, &setting, &letters);
    let of = |code: &str| -> Vec<Vec<u8>> {
        let chosen = letters.iter().filter(|letter| letter.0 == code);
        chosen.map(|letter| letter.1.clone()).collect()
    };
    let replay = |more: &[&str]| setting.command(&[&["dlq", "replay"], more].concat(), "");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();

    // By a limit, again and again: it counts from where the reading starts.
    let mut from = "0:0".to_owned();
    for round in 1.. {
        let more = ["--reason", "no_event", "--limit", "25", "--from", &from];
        let (code, told, err) = ran(&mut replay(&more));
        assert_eq!(code, Some(0), "{told:#} {err}");
        from = text(&told["next"]);
        assert!(
            err.contains(&format!("go on with --from {from}\n")),
            "{err}"
        );
        if told["limit_reached"] == false {
            assert_eq!((round, from.as_str()), (3, "0:31,1:30"), "{told:#}");
            break;
        }
        assert_eq!(told["read"], 25);
    }
    assert_eq!(values(broker, &setting.input), of("no_event"));
    // Nothing is left, until something comes.
    let (_, told, _) = ran(&mut replay(&["--from", &from]));
    assert_eq!(
        (&told["read"], &told["next"]),
        (&0.into(), &from.clone().into())
    );

    // By Ctrl-C in the middle of sending.
    let other = "goon.other";
    broker.create_topic(other, 1, &[]);
    let more = ["--reason", "oversize", "--to", other];
    let slow = [&more[..], &["--rate", "1"]].concat();
    let (code, told, err) = interrupted(&mut replay(&slow), "-INT", |_| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while values(broker, other).is_empty() {
            assert!(Instant::now() < deadline, "nothing is sent");
        }
    });
    from = text(&told["next"]);
    assert_eq!(
        (code, &told["stopped"]),
        (Some(3), &true.into()),
        "{told:#}"
    );
    assert!(
        err.contains(&format!("go on with --from {from}\n")) && err.contains("stopped by a signal"),
        "{err}"
    );
    let sent = values(broker, other).len();
    assert!(0 < sent && sent < of("oversize").len(), "{sent}");
    let (code, _, err) = ran(&mut replay(&[&more[..], &["--from", &from]].concat()));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(values(broker, other), of("oversize"));

    // By letters that the topic does not take: from the first of them on.
    let narrow = "goon.narrow";
    broker.create_topic(narrow, 1, &[("max.message.bytes", "1000")]);
    let mut noise = 1_u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    let large: Vec<u8> = (0..5_000).map(|_| random()).collect();
    let late = ["a", "b", "c", "d", "large", "large", "g", "h"].map(|name| match name {
        "large" => ("late", large.clone()),
        small => ("late", small.as_bytes().to_vec()),
    });
    put_letters(broker, &setting, &late);
    let more = ["--reason", "late", "--to", narrow, "--rate", "10"];
    let (code, told, err) = ran(&mut replay(&more));
    assert_eq!(
        (code, &told["failed"]),
        (Some(3), &2.into()),
        "{told:#} {err}"
    );
    // 61 letters before and one behind the other: `a` lies in partition 0, which already has 31.
    assert_eq!(told["next"], "0:33,1:32", "{told:#}");
    assert!(
        err.contains("go on with --from 0:33,1:32\n") && err.contains("2 letters not delivered"),
        "{err}"
    );
    let wide = ["--reason", "late", "--to", other, "--from", "0:33,1:32"];
    let (code, told, err) = ran(&mut replay(&wide));
    assert_eq!((code, &told["sent"][other]), (Some(0), &4.into()), "{err}");

    // By a target that is not there: from the first letter on that was for it.
    let more = ["--reason", "late", "--to", "goon.nowhere"];
    let (code, told, err) = ran(&mut replay(&more));
    assert_eq!(
        (code, &told["refused"]["no_topic"], &told["next"]),
        (Some(1), &8.into(), &"0:31,1:30".into()),
        "{told:#} {err}"
    );
    // A limit is told whatever is asked for, and the place before the output, which may fail.
    let more = ["--reason", "late", "--to", other, "--limit", "2", "--quiet"];
    let (code, told, err) = ran(&mut replay(&more));
    let go_on = format!(
        "--limit 2 was reached: more lies there; go on with --from {}\n",
        text(&told["next"])
    );
    assert_eq!((code, err), (Some(0), go_on), "{told:#}");
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut unheard = replay(&["--reason", "late", "--to", other]);
    unheard.stdout(full.expect("it is there"));
    let output = unheard.output().expect("pythia runs");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("go on with --from 0:35,1:34\n"), "{err}");
    // Nothing was done, nothing is to be gone on with.
    for more in [&["--dry-run"][..], &["--dry-run", "--limit", "2"]] {
        let (code, told, err) = ran(&mut replay(more));
        assert_eq!((code, &told["next"]), (Some(0), &Value::Null), "{told:#}");
        assert_eq!(err.contains("was reached"), more.len() > 1, "{err}");
        assert!(!err.contains("go on"), "{err}");
    }

    // What cannot be a place to start at.
    for (from, says) in [
        ("0:99", "has no offset 99 in partition 0"),
        ("7:0", "has no offset 0 in partition 7"),
        ("0:1,0:2", "partition 0 stands there twice"),
        ("0:-1", "such as 0:4711"),
    ] {
        let (code, _, err) = ran(&mut replay(&["--from", from]));
        assert_eq!(code, Some(2), "{from}: {err}");
        assert!(err.contains(says), "{from}: {err}");
    }
}

/// Reading letters that are not selected, a replay can be stopped too.
#[test]
fn a_replay_that_finds_nothing_can_be_stopped() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "unselected");
    setting.dead_letters = "unselected.two-partitions".into();
    broker.create_topic(&setting.dead_letters, 2, &[]);
    let letters = vec![("no_event", b"no event".to_vec()); 50_000];
    put_letters(broker, &setting, &letters);
    let mut command = setting.command(&["dlq", "replay", "--reason", "oversize"], "");
    let (code, told, err) = interrupted(&mut command, "-TERM", wait_until_handled);
    assert_eq!(
        (code, &told["stopped"]),
        (Some(3), &true.into()),
        "{told:#} {err}"
    );
    let read = told["read"].as_u64().expect("a number");
    assert!(read < 50_000, "{told:#}");
    let next = told["next"].as_str().expect("a text");
    let next = next
        .split(',')
        .map(|place| place.split_once(':').expect("a place").1);
    let next: u64 = next
        .map(|offset| offset.parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(next, read, "{told:#}");
}

/// What cannot go back as it was, or must not go where it says, stays, is counted and told.
#[test]
fn letters_that_cannot_be_replayed_are_counted() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "refused");
    setting.dead_letters = "refused.small-dlq".into();
    broker.create_topic(&setting.dead_letters, 1, &[("max.message.bytes", "40000")]);
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_be_bytes()[3]
    };
    let large: Vec<u8> = (0..100_000).map(|_| byte()).collect();
    // One after the other: a batch that is too large is cut in all its records.
    let pythia = setting.start("one", "");
    for line in [large.as_slice(), b"no event"] {
        fleet::produce(broker, &setting.input, &[sent(line)]);
        fleet::wait_until_committed(broker, &setting.input, &setting.group);
    }
    pythia.stop();
    // Letters of strangers: one without a source, one that would forge an alert.
    let producer = fleet::producer(broker);
    let forged = OwnedHeaders::new().insert(Header {
        key: "pythia.source.topic",
        value: Some(&setting.alerts),
    });
    for headers in [OwnedHeaders::new(), forged] {
        let record = BaseRecord::<str, str>::to(&setting.dead_letters).payload("{}");
        producer
            .send(record.headers(headers))
            .map_err(|(error, _)| error)
            .expect("it is queued");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");

    let (code, done, _) = ran(&mut setting.command(&["dlq", "replay"], ""));
    assert_eq!(code, Some(1), "{done:#}");
    assert_eq!(
        done["refused"],
        serde_json::json!({"cut": 1, "no_source": 1, "output_topic": 1})
    );
    assert_eq!(
        done["sent"],
        serde_json::json!({ setting.input.as_str(): 1 })
    );
    assert!(fleet::read_all(broker, &setting.alerts).is_empty());
    let mut dry = setting.command(&["dlq", "replay", "--dry-run", "--output", "table"], "");
    let output = dry.output().expect("pythia runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    expect_test::expect![[r"
        letters outcome
        1       would be sent to refused.laurel
        1       refused: only a part of the line was kept, too large for the dead-letter topic
        1       refused: no header says which topic it came from: name one with --to
        1       refused: it would go to the topic of the alerts or of the dead letters
    "]]
    .assert_eq(&text);
}

#[test]
fn a_dead_letter_topic_that_is_missing_is_named() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "nodlq");
    setting.dead_letters = "nodlq.nowhere".into();
    let (code, _, err) = ran(&mut setting.command(&["dlq", "list"], ""));
    assert_eq!(code, Some(3));
    assert!(
        err.contains("topic nodlq.nowhere") && err.contains("Unknown topic"),
        "{err}"
    );
}
