//! What people are told of a rule that matches, and of one that nearly does.

use std::fmt::Write as _;
use std::sync::Arc;

use detect::{
    ConditionForm, ExplainedCondition, ExplainedItem, ExplainedView, Explainer, Line, Source,
    Wanted,
};
use event::{Origin, ProcessCache, Profile};
use expect_test::{Expect, expect};
use sigma::{SelectionIdx, SourceFile};

/// Every view, nearest first, as lines.
fn check(rule: &str, lines: &[&str], expected: &Expect) {
    let file = SourceFile {
        name: "rule.yml".into(),
        text: rule.into(),
    };
    let mut loaded = sigma::load(&[file]);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    let rule = Arc::new(loaded.rules.remove(0));
    let mut explainer = Explainer::new(rule, Arc::new(Profile::laurel())).expect("it is routed");
    let mut cache = ProcessCache::new(1 << 20, 3_600_000);
    let mut text = String::new();
    for (number, line) in (1..).zip(lines) {
        let line = Line {
            bytes: line.as_bytes(),
            origin: Origin {
                host: Some(b"web-01"),
                scope: None,
            },
            source: Source::File {
                file: "a.jsonl",
                line: number,
            },
        };
        for view in explainer.explain(&line, &mut cache).expect("an event") {
            show(&view, &mut text);
        }
    }
    expected.assert_eq(&text);
}

fn show(view: &ExplainedView, text: &mut String) {
    let record = view.record.as_deref().unwrap_or("-");
    let condition = shown(&view.condition);
    writeln!(
        text,
        "{} {record} distance {}: {condition}",
        view.view, view.distance
    )
    .unwrap();
    let decisive = view.decisive();
    for (index, selection) in (0..).zip(&view.selections) {
        let decides = decisive.contains(&SelectionIdx(index));
        let decides = if decides { " decides" } else { "" };
        let wanted = match selection.wanted {
            Wanted::ToHold => "to hold",
            Wanted::ToFail => "to fail",
            Wanted::Either => "either",
        };
        writeln!(
            text,
            "  {} {} ({wanted}){decides}",
            selection.name, selection.holds
        )
        .unwrap();
        for item in selection.search.items() {
            show_item(item, text);
        }
    }
}

fn shown(condition: &ExplainedCondition) -> String {
    let all = |parts: &[ExplainedCondition]| {
        let parts: Vec<String> = parts.iter().map(shown).collect();
        parts.join(" ")
    };
    let form = match &condition.form {
        ConditionForm::Selection(index) => index.0.to_string(),
        ConditionForm::And(parts) => format!("(and {})", all(parts)),
        ConditionForm::Or(parts) => format!("(or {})", all(parts)),
        ConditionForm::Not(part) => format!("(not {})", shown(part)),
    };
    format!("{form}={}", if condition.holds { "t" } else { "f" })
}

fn show_item(item: &ExplainedItem, text: &mut String) {
    let field = item.field.as_deref().unwrap_or("keywords");
    let fed = if item.fed { "" } else { " unfed" };
    let seen: Vec<&str> = item.seen.iter().map(|seen| &*seen.text).collect();
    writeln!(
        text,
        "    {}:{} {field}{fed} {} saw {seen:?}",
        item.place.line, item.place.column, item.holds
    )
    .unwrap();
    for matcher in &item.matchers {
        let by = matcher.by.as_ref();
        let by = by.map(|by| format!(" by {} {:?}", by.path.as_deref().unwrap_or("-"), by.text));
        writeln!(
            text,
            "      {} {}{}",
            matcher.text,
            matcher.holds,
            by.unwrap_or_default()
        )
        .unwrap();
    }
}

const EXEC: &str = r#"{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl"},"EXECVE":{"argc":3,"ARGV":["perl","-e","1"]}}"#;

#[test]
fn a_near_miss_names_what_is_missing_and_which_filter_holds() {
    check(
        "title: A
logsource: {product: linux, category: process_creation}
detection:
  perl:
    Image|endswith: /perl
    CommandLine|contains|all: [' -e ', 'use Socket', 'exec']
  filter:
    ParentImage: null
    OriginalName|startswith: x
  other: {User: [root, www-data]}
  condition: perl and not filter or other
",
        &[EXEC],
        &expect![[r#"
            process_creation EXECVE distance 1: (or (and 0=f (not 1=f)=t)=f 2=f)=f
              perl false (to hold)
                5:5 Image true saw ["/usr/bin/perl"]
                  endswith '/perl' true by SYSCALL.exe "/usr/bin/perl"
                6:5 CommandLine false saw ["perl -e 1"]
                  contains ' -e ' true by EXECVE.ARGV "perl -e 1"
                  contains 'use Socket' false
                  contains 'exec' false
              filter false (to fail)
                8:5 ParentImage true saw []
                  is null or missing true
                9:5 OriginalName unfed false saw []
                  startswith 'x' false
              other false (to hold) decides
                10:11 User false saw []
                  is 'root' false
                  is 'www-data' false
        "#]],
    );
}

#[test]
fn of_an_array_the_element_is_told_that_most_items_hold_on() {
    check(
        "title: A
logsource: {product: linux, service: laurel}
detection:
  created:
    PATH.nametype: CREATE
    PATH.name|startswith: /etc/cron
    SYSCALL.key: wr_cron
  condition: created
",
        &[
            r#"{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","key":"wr_cron%01all"},"PATH":[{"nametype":"PARENT","name":"/etc/cron.d/"},{"nametype":"CREATE","name":"/etc/passwd"},{"nametype":"DELETE","name":"/tmp/x"}]}"#,
        ],
        &expect![[r#"
            laurel - distance 1: 0=f
              created false (to hold) decides
                5:5 PATH.nametype false saw ["PARENT"]
                  is 'CREATE' false
                6:5 PATH.name true saw ["/etc/cron.d/"]
                  startswith '/etc/cron' true by PATH[0].name "/etc/cron.d/"
                7:5 SYSCALL.key true saw ["wr_cron", "all"]
                  is 'wr_cron' true by SYSCALL.key "wr_cron"
        "#]],
    );
}

#[test]
fn the_nearest_record_comes_first_and_others_follow() {
    check(
        "title: A
logsource: {product: linux, service: auditd}
detection:
  path: {type: PATH, name|endswith: .service, nametype: CREATE}
  condition: path
",
        &[
            r#"{"ID":"1700000000.123:1","SYSCALL":{"success":"yes"},"PATH":[{"nametype":"PARENT","name":"/etc"},{"nametype":"CREATE","name":"/etc/a.timer"}]}"#,
        ],
        &expect![[r#"
            auditd PATH[1] distance 1: 0=f
              path false (to hold) decides
                4:10 type true saw ["PATH"]
                  is 'PATH' true by PATH[1] "PATH"
                4:22 name false saw ["/etc/a.timer"]
                  endswith '.service' false
                4:47 nametype true saw ["CREATE"]
                  is 'CREATE' true by PATH[1].nametype "CREATE"
            auditd PATH[0] distance 2: 0=f
              path false (to hold) decides
                4:10 type true saw ["PATH"]
                  is 'PATH' true by PATH[0] "PATH"
                4:22 name false saw ["/etc"]
                  endswith '.service' false
                4:47 nametype false saw ["PARENT"]
                  is 'CREATE' false
            auditd SYSCALL distance 3: 0=f
              path false (to hold) decides
                4:10 type false saw ["SYSCALL"]
                  is 'PATH' false
                4:22 name false saw []
                  endswith '.service' false
                4:47 nametype false saw []
                  is 'CREATE' false
        "#]],
    );
}

#[test]
fn an_event_without_such_a_view_gives_none_and_the_parent_is_remembered() {
    let child = r#"{"ID":"1700000001.000:2","SYSCALL":{"success":"yes","exe":"/bin/sh","PPID":{"EVENT_ID":"1700000000.123:1"},"SPAWNED_BY":{"EVENT_ID":"1700000000.123:1"}},"EXECVE":{"argc":1,"ARGV":["sh"]}}"#;
    let parent = EXEC.replace(
        r#""success":"yes","#,
        r#""success":"yes","PID":{"EVENT_ID":"1700000000.123:1"},"#,
    );
    check(
        "title: A
logsource: {product: linux, category: process_creation}
detection:
  s: {ParentCommandLine|startswith: perl}
  condition: s
",
        &[
            r#"{"ID":"1700000000.000:9","USER_LOGIN":{"pid":7,"msg":{"res":"failed"}}}"#,
            &parent,
            child,
        ],
        &expect![[r#"
            process_creation EXECVE distance 1: 0=f
              s false (to hold) decides
                4:7 ParentCommandLine false saw []
                  startswith 'perl' false
            process_creation EXECVE distance 0: 0=t
              s true (to hold) decides
                4:7 ParentCommandLine true saw ["perl -e 1"]
                  startswith 'perl' true by process_cache "perl -e 1"
        "#]],
    );
}
