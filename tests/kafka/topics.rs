//! `pythia topics create`: makes what is missing, compares what is there.

use expect_test::expect;
use serde_json::Value;

use super::fleet::{self, Setting};
use super::harness::Broker;

fn ran(setting: &Setting, more: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["topics", "create", "--output", "table"], more].concat();
    let output = setting
        .command(&arguments, "")
        .output()
        .expect("pythia runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn missing_topics_are_made_once_and_differences_are_told() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "topics");
    setting.input = "topics.made.laurel".into();
    setting.alerts = "topics.made.alerts".into();
    setting.dead_letters = "topics.made.dlq".into();

    let (code, text, err) = ran(
        &setting,
        &["--dry-run", "--with-input", "--replication-factor", "1"],
    );
    assert_eq!(code, Some(0), "{err}");
    expect![[r"
        topic              outcome          partitions replicas settings
        topics.made.alerts would be created 6          1        cleanup.policy=delete compression.type=producer max.message.bytes=1048588 retention.ms=604800000
        topics.made.dlq    would be created 6          1        cleanup.policy=delete compression.type=producer max.message.bytes=8404992 retention.ms=604800000
        topics.made.laurel would be created 6          1        cleanup.policy=delete compression.type=producer max.message.bytes=8388608 retention.ms=604800000
    "]]
    .assert_eq(&text);
    let (_, again, _) = ran(
        &setting,
        &["--dry-run", "--with-input", "--replication-factor", "1"],
    );
    assert_eq!(again, text, "a dry run makes nothing");

    let (code, text, err) = ran(&setting, &["--partitions", "3"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(text.matches(" created ").count(), 2, "{text}");
    assert!(
        !text.contains("laurel"),
        "input topics only when asked for: {text}"
    );
    assert!(fleet::read_all(broker, &setting.alerts).is_empty());

    // What is there is shown as it is, not as it would be made.
    let (code, text, err) = ran(&setting, &[]);
    assert_eq!(code, Some(0), "{text}{err}");
    expect![[r"
        topic              outcome partitions replicas settings
        topics.made.alerts exists  3          1        cleanup.policy=delete compression.type=producer max.message.bytes=1048588 retention.ms=604800000 min.insync.replicas=1
        topics.made.dlq    exists  3          1        cleanup.policy=delete compression.type=producer max.message.bytes=8404992 retention.ms=604800000 min.insync.replicas=1
    "]]
    .assert_eq(&text);

    let (code, text, err) = ran(&setting, &["--partitions", "5", "--retention", "30d"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(err.contains("not changed"), "{err}");
    let rows: Vec<&str> = text.lines().filter(|row| row.contains("differs")).collect();
    let as_it_is = |row: &&str| row.contains(" 3  ") && row.contains("retention.ms=604800000");
    assert_eq!(rows.iter().filter(|row| as_it_is(row)).count(), 2, "{text}");
    let told: Vec<&str> = text.lines().filter(|line| line.contains(": ")).collect();
    expect![[r#"
        [
            "topics.made.alerts: partitions is 3, asked for was 5",
            "topics.made.alerts: retention.ms is 604800000, asked for was 2592000000",
            "topics.made.dlq: partitions is 3, asked for was 5",
            "topics.made.dlq: retention.ms is 604800000, asked for was 2592000000",
        ]
    "#]]
    .assert_debug_eq(&told);
    let (code, _, _) = ran(&setting, &[]);
    assert_eq!(code, Some(0), "nothing was changed");

    let mut json = setting.command(
        &["topics", "create", "--with-input", "--output", "json"],
        "",
    );
    let output = json.output().expect("pythia runs");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let outcomes: Vec<&str> = json["topics"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|topic| topic["outcome"].as_str())
        .collect();
    // The dead letters were to have room for lines of 8 MiB before the input was there.
    assert_eq!(outcomes, ["exists", "exists", "created"], "{json:#}");
}

#[test]
fn what_the_broker_refuses_is_told_in_a_dry_run_too() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "toomany");
    setting.alerts = "toomany.made.alerts".into();
    for more in [&["--dry-run"][..], &[]] {
        let (code, text, err) = ran(&setting, &[&["--replication-factor", "3"], more].concat());
        assert_eq!(code, Some(3), "{text}");
        assert!(
            err.contains("toomany.made.alerts") && err.contains("replication factor"),
            "{err}"
        );
    }
}

#[test]
fn a_pattern_names_no_topic_to_make() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "patterned");
    let (code, _, err) = ran(&setting, &["--with-input", "--input", "^patterned.*"]);
    assert_eq!(code, Some(2), "{err}");
}
