//! What authors are told of a fixture, and that a mistake takes out its own case alone.
#![cfg(test)]
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#![expect(
    clippy::string_slice,
    clippy::format_push_string,
    reason = "a panic fails the test; speed does not matter"
)]

use expect_test::{Expect, expect};
use sigma::{Diagnostic, Events, Fixture, SourceFile};

fn read(text: &str) -> Fixture {
    Fixture::read(&file(text))
}

fn file(text: &str) -> SourceFile {
    SourceFile {
        name: "x.test.yml".into(),
        text: text.into(),
    }
}

fn show(text: &str, diagnostic: &Diagnostic) -> String {
    let place = &diagnostic.place;
    let source = &text[place.bytes.0 as usize..place.bytes.1 as usize];
    let source = source.lines().next().unwrap_or_default();
    let mut lines = format!(
        "{}:{}: {} `{source}`\n  {}\n",
        place.line, place.column, diagnostic.code, diagnostic.message
    );
    if let Some(help) = &diagnostic.help {
        lines += &format!("  help: {help}\n");
    }
    lines
}

fn check(text: &str, expected: &Expect) {
    let fixture = read(text);
    let mut shown: String = fixture.diagnostics.iter().map(|d| show(text, d)).collect();
    shown += &format!("{} well formed\n", fixture.cases.len());
    expected.assert_eq(&shown);
}

#[test]
fn a_whole_fixture_is_read() {
    let fixture = read(
        "cases:
  - name: an event
    event: |-
      {\"ID\":1}
      {\"ID\":2}
    host: 42
    rule: A
    expect: alert
    alert: {level: high, process: {labels: [a]}}
  - name: a file
    event_file: x.jsonl
    expect: silent
",
    );
    assert!(fixture.diagnostics.is_empty(), "{:#?}", fixture.diagnostics);
    let [first, second] = &fixture.cases[..] else {
        panic!("two cases, not {}", fixture.cases.len())
    };
    assert!(
        matches!(&first.events, Events::Lines(lines) if &*lines.text == "{\"ID\":1}\n{\"ID\":2}")
    );
    assert_eq!(first.host.as_deref(), Some("42"));
    assert_eq!(first.rule.as_ref().map(|rule| &*rule.text), Some("A"));
    let part = r#"{"level":"high","process":{"labels":["a"]}}"#;
    assert_eq!(first.expect, sigma::Expect::Alert(Some(part.to_owned())));
    assert!(matches!(&second.events, Events::File(file) if &*file.text == "x.jsonl"));
    assert_eq!(second.expect, sigma::Expect::Silent);
}

#[test]
fn each_mistake_has_its_place_and_its_cure() {
    check(
        "",
        &expect![[r#"
        1:1: T001 ``
          the fixture is empty
          help: write a list of cases: `cases: [{name: .., event: .., expect: alert}]`
        0 well formed
    "#]],
    );
    check(
        "- name: a\n",
        &expect![[r#"
            1:1: T001 `- name: a`
              a fixture must be a map with `cases`, this is a list
              help: write a list of cases: `cases: [{name: .., event: .., expect: alert}]`
            0 well formed
        "#]],
    );
    check(
        "case: []\n",
        &expect![[r#"
        1:1: T002 `case`
          there is no key `case`
          help: did you mean `cases`?
        1:1: T001 `case: []`
          there is no `cases`
          help: write a list of cases: `cases: [{name: .., event: .., expect: alert}]`
        0 well formed
    "#]],
    );
    check(
        "cases: {}\n",
        &expect![[r#"
            1:8: T001 `{}`
              `cases` must be a list, this is a map
              help: write a list of cases: `cases: [{name: .., event: .., expect: alert}]`
            0 well formed
        "#]],
    );
    check(
        "cases:
  - name: good
    event: x
    expect: silent
  - nothing
  - nam: a
    event: {ID: 1}
    expect: alarm
  - event: x
    event_file: y
    expect: allert
  - name: ''
    host: [a]
  - name: c
    event: x
    expect: silent
    alert: {level: high}
  - name: d
    event: x
    expect: alert
    alert: high
  - name: good
    event: y
    expect: alert
",
        &expect![[r#"
            5:5: T001 `nothing`
              a case must be a map, this is a string
              help: write a list of cases: `cases: [{name: .., event: .., expect: alert}]`
            6:5: T002 `nam`
              there is no key `nam`
              help: did you mean `name`?
            6:5: T003 `nam: a`
              the case has no `name`
              help: say in a few words what is special about it
            7:12: T001 `{ID: 1}`
              `event` is a text, not a map
              help: write the line as it is, indented, below `event: |-`
            8:13: T004 `alarm`
              `alarm` is nothing to expect
              help: write `expect: alert` or `expect: silent`
            9:5: T003 `event: x`
              the case has no `name`
              help: say in a few words what is special about it
            10:5: T003 `event_file`
              the case has both `event` and `event_file`
              help: keep one of them
            11:13: T004 `allert`
              `allert` is nothing to expect
              help: did you mean `alert`?
            12:5: T003 `name: ''`
              the case has no event
              help: write a line of Laurel below `event: |-`, or name a file of lines with `event_file`
            12:5: T003 `name: ''`
              the case has no `expect`
              help: write `expect: alert` or `expect: silent`
            12:11: T001 `''`
              `name` is empty
              help: fill it in
            13:11: T001 `[a]`
              `host` is a text, not a list
              help: put it in quotes
            17:5: T004 `alert`
              `alert` says nothing of a case that is to stay silent
              help: take it out
            21:12: T001 `high`
              `alert` is a map, not a string
              help: write what the alert must have, such as `alert: {level: high}`
            22:11: T005 `good`
              the case on line 2 has the same name
              help: give each case a name of its own
            2 well formed
        "#]],
    );
    check(
        "cases: [{name: a, name: b}]\n",
        &expect![[r#"
        1:9: T003 `{name: a, name: b}`
          the case has no event
          help: write a line of Laurel below `event: |-`, or name a file of lines with `event_file`
        1:9: T003 `{name: a, name: b}`
          the case has no `expect`
          help: write `expect: alert` or `expect: silent`
        1:19: R003 `name`
          the key `name` stands here a second time
          help: the first is in line 1; join the two or rename one
        0 well formed
    "#]],
    );
}

#[test]
fn what_stands_beside_a_fixture_is_told_too() {
    let text = "cases:\n  - {name: a, rule: Prl, event_file: a.jsonl, expect: alert}\n";
    let case = read(text).cases.remove(0);
    let rule = case.rule.expect("a rule");
    let Events::File(events) = case.events else {
        panic!("a file")
    };
    let shown = [
        Fixture::alone(&file(text), "x.yml"),
        Fixture::no_such_rule(&rule, &["Perl", "Python"]),
        Fixture::no_such_rule(&rule, &["Ruby"]),
        Fixture::unreadable(&events, "no such file"),
    ];
    let shown: String = shown.iter().map(|d| show(text, d)).collect();
    expect![[r#"
        1:1: T006 ``
          there is no rule file x.yml
          help: call the fixture as its rule file is called, with `.test`
        2:21: T006 `Prl`
          the rule file has no rule `Prl`
          help: did you mean `Perl`?
        2:21: T006 `Prl`
          the rule file has no rule `Prl`
          help: it has Ruby
        2:38: T007 `a.jsonl`
          a.jsonl cannot be read: no such file
          help: the path is relative to the fixture
    "#]]
    .assert_eq(&shown);
}
