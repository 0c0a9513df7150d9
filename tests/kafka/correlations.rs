//! Correlations in the service: by host, over a restart in the middle of a window, held against `pythia scan`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{self, BUSY, Sent, Setting, Told};
use super::harness::Broker;

const RULES: &str = r"
title: Somebody asks who they are
id: 0b1f6f0a-52c5-4d4e-8f4b-0f5c3c1f8a01
name: asks
logsource: {product: linux, category: process_creation}
detection:
  selection: {CommandLine: whoami}
  condition: selection
---
title: Asked three times in a minute
id: 0b1f6f0a-52c5-4d4e-8f4b-0f5c3c1f8a02
correlation:
  type: event_count
  rules: asks
  group-by: host
  timespan: 1m
  condition: {gte: 3}
level: high
---
title: Somebody lists users
id: 0b1f6f0a-52c5-4d4e-8f4b-0f5c3c1f8a03
name: lists
logsource: {product: linux, category: process_creation}
detection:
  selection: {CommandLine: 'getent passwd'}
  condition: selection
---
title: Users were listed all over the fleet
id: 0b1f6f0a-52c5-4d4e-8f4b-0f5c3c1f8a04
correlation:
  type: event_count
  rules: lists
  group-by: User
  timespan: 1m
  condition: {gte: 2}
level: high
";

/// A program that a host starts so many seconds after the first of all.
fn exec(host: &str, seconds: u32, arguments: &[&str]) -> Sent {
    let arguments = serde_json::to_string(arguments).expect("JSON");
    let (time, serial) = (1_700_000_000 + seconds, seconds + 1);
    let line =
        format!(r#"{{"ID":"{time}.500:{serial}","EXECVE":{{"argc":1,"ARGV":{arguments}}}}}"#);
    Sent {
        host: host.into(),
        line: line.into_bytes(),
    }
}

#[test]
fn correlations_by_host_go_on_after_a_restart_and_give_what_scan_gives() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "correlations");
    setting.rules = setting.folder.path().join("rules");
    fs::create_dir(&setting.rules).expect("a folder");
    fs::write(setting.rules.join("rules.yml"), RULES).expect("a file");
    let ask = |host: &str, seconds| exec(host, seconds, &["whoami"]);
    let list = |host: &str, seconds| exec(host, seconds, &["getent", "passwd"]);
    // Two of three before the restart, one of them late.
    let before = [
        ask("web-01", 30),
        ask("web-02", 0),
        ask("web-01", 10),
        ask("web-02", 20),
        list("web-01", 30),
        list("web-02", 30),
    ];
    // The third, and then something that moves the watermark on; `web-02` asks too late for a third time.
    let behind = [
        ask("web-01", 50),
        ask("web-02", 90),
        exec("web-01", 200, &["true"]),
        exec("web-02", 200, &["true"]),
    ];

    fleet::produce(broker, &setting.input, &before);
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let log = pythia.log();
    assert!(
        log.contains("Users were listed all over the fleet"),
        "{log}"
    );
    assert!(log.contains("grouped by `host`"), "{log}");
    pythia.stop();
    assert_eq!(setting.alerts(broker).len(), 0, "nothing holds yet");

    fleet::produce(broker, &setting.input, &behind);
    let pythia = setting.start("two", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    let fired = pythia.metric(
        "pythia_correlation_total{correlation=\"0b1f6f0a-52c5-4d4e-8f4b-0f5c3c1f8a02\",outcome=\"fired\"}",
    );
    assert_eq!(fired, Some(1.0), "{}", pythia.log());
    pythia.stop();

    let given = setting.alerts(broker);
    let sent: Vec<Sent> = before.into_iter().chain(behind).collect();
    let expected = setting.scan(&sent);
    assert_eq!(given.len(), 1);
    for (id, (told, count)) in given {
        // The service does without the correlation that is not by host: its ruleset is another one.
        let without_engine = |told: &Told| {
            let mut body = told.body.clone();
            body.as_object_mut().expect("an object").remove("engine");
            body
        };
        assert_eq!(without_engine(&told), without_engine(&expected[&id]));
        assert_eq!(count, 1);
        let found = &told.body["correlation"];
        assert_eq!(
            (&found["group"]["host"], &found["event_count"]),
            (&"web-01".into(), &3.into())
        );
        assert_eq!(told.body["time"], "2023-11-14T22:14:10.500Z");
        assert_eq!(told.body["host"], "web-01");
    }
}

/// How far back lines are read again is asked of the rules that run when a partition comes, not of those at the start.
#[test]
fn correlations_that_a_reload_brought_are_replayed_where_a_partition_comes_back() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "replay");
    setting.rules = setting.folder.path().join("rules");
    fs::create_dir(&setting.rules).expect("a folder");
    let file = setting.rules.join("rules.yml");
    let (base, _) = RULES.split_once("---").expect("a correlation");
    fs::write(&file, base).expect("a file");
    let asks: Vec<Sent> = (0..60)
        .map(|n| exec(&format!("web-{}", n % 20), n, &["whoami"]))
        .collect();
    fleet::produce(broker, &setting.input, &asks);
    // One line fits into the warm-up: it is cut, and says so.
    let more = "[process_cache]\nwarmup = \"0s\"\nwarmup_bytes = \"1B\"\n[rules]\nreload_interval = \"200ms\"\n";

    let one = setting.start("one", more);
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    fs::write(&file, RULES).expect("a file");
    wait_until("the reload", || {
        one.metric("pythia_ruleset_reloads_total{result=\"ok\"}") == Some(1.0)
    });
    let warm = one
        .said("assigned")
        .iter()
        .any(|said| !said["warm_from"].is_null());
    assert!(!warm, "no rule asks for a replay: {}", one.log());

    let two = setting.start("two", more);
    two.wait_for_log(r#""event":"assigned""#);
    two.stop();
    wait_until("a partition that came back", || {
        let said = one.said("assigned");
        said.iter().any(|said| !said["warm_from"].is_null())
    });
    wait_until("the cut", || !one.said("warmup_cut").is_empty());
    let cut = &one.said("warmup_cut")[0];
    assert!(cut["unread"].as_i64() > Some(0), "{cut}");
    one.stop();
}

fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !reached() {
        assert!(Instant::now() < deadline, "{what}: still not");
        thread::sleep(BUSY);
    }
}
