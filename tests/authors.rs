//! The program as authors of rules meet it: their fixtures, the fields of a log source, a rule from an event.
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use std::fs;

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::cli::{Folder, Ran, pythia, run, steers};

/// Runs with the folder as working directory, so that paths are the same everywhere.
pub(crate) fn within(folder: &Folder, arguments: &[&str]) -> Ran {
    let output = pythia(arguments)
        .current_dir(folder.path("."))
        .output()
        .expect("pythia runs");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// Output without what the clock says.
fn timeless(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" in ") {
        Some((before, seconds)) if seconds.ends_with(" s") => before.to_owned(),
        _ => match line.split_once(" time=\"") {
            Some((before, _)) => before.to_owned() + ">",
            None => line.to_owned(),
        },
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[track_caller]
fn check(ran: &Ran, code: i32, out: &Expect, err: &Expect) {
    out.assert_eq(&timeless(&ran.out));
    err.assert_eq(&timeless(&ran.err));
    assert_eq!(ran.code, Some(code));
}

const PERL: &str = "title: Perl opens a socket
id: 7f7f6a5e-0f4b-4b2e-9a55-1f1f2ed5a001
logsource: {product: linux, category: process_creation}
detection:
  perl: {Image|endswith: /perl}
  socket: {CommandLine|contains: ['use Socket', 'IO::Socket', '-MSocket', sockaddr_in]}
  filter: {ParentImage|endswith: /munin}
  condition: perl and socket and not filter
level: high
";

/// A program that starts, with these arguments as JSON strings.
pub(crate) fn exec(arguments: &str) -> String {
    let head = r#"{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl","SPAWNED_BY":{"exe":"/usr/sbin/munin"}},"EXECVE":{"ARGV":["#;
    format!("{head}{arguments}]}}}}")
}

#[test]
fn a_case_that_does_not_hold_tells_what_its_rule_saw() {
    let folder = Folder::new();
    folder.write("perl.yml", PERL);
    let (plain, by_parent) = (
        exec(r#""perl","-e","1""#),
        exec(r#""perl","-e","use Socket""#),
    );
    let alert = by_parent.replace("munin", "bash");
    folder.write(
        "perl.test.yml",
        format!(
            "cases:
  - name: holds
    event: '{alert}'
    expect: alert
    alert: {{level: high, process: {{exe: /usr/bin/perl}}}}
  - {{name: no socket, event: '{plain}', expect: alert}}
  - {{name: by munin, event: '{by_parent}', expect: alert}}
  - {{name: silent, event: '{alert}', expect: silent}}
  - {{name: another level, event: '{alert}', expect: alert, alert: {{level: low}}}}
  - {{name: no such number, event: '{alert}', expect: alert, alert: {{process: {{pid: 1e999}}}}}}
  - {{name: no such view, event: '{{\"ID\":\"1700000000.123:1\"}}', expect: alert}}
  - {{name: no event, event: '{{\"ID\":\"17', expect: silent}}
"
        ),
    );
    check(
        &within(&folder, &["test", "--output", "table", "."]),
        1,
        &expect![[r#"
            fail ./perl.test.yml:6: no socket
                 rule: Perl opens a socket
                 is to alert, and stays silent
                 nearest: process_creation of line 1
                   perl holds
                   socket does not hold
                     CommandLine: saw 'perl -e 1', wanted contains 'use Socket' or contains 'IO::Socket' or contains '-MSocket' or 1 more
                   filter holds, and must not
                     ParentImage: saw '/usr/sbin/munin', met endswith '/munin'

            fail ./perl.test.yml:7: by munin
                 rule: Perl opens a socket
                 is to alert, and stays silent
                 nearest: process_creation of line 1
                   perl holds
                   socket holds
                   filter holds, and must not
                     ParentImage: saw '/usr/sbin/munin', met endswith '/munin'

            fail ./perl.test.yml:8: silent
                 rule: Perl opens a socket
                 is to stay silent, and alerts
                 matches: process_creation of line 1
                   perl holds
                     Image: saw '/usr/bin/perl', met endswith '/perl'
                   socket holds
                     CommandLine: saw 'perl -e use Socket', met contains 'use Socket'
                   filter does not hold, as it must
                     ParentImage: saw '/usr/sbin/bash', wanted endswith '/munin'

            fail ./perl.test.yml:9: another level
                 rule: Perl opens a socket
                 alert.level is "high", not "low"

            fail ./perl.test.yml:10: no such number
                 rule: Perl opens a socket
                 alert.process.pid is absent

            fail ./perl.test.yml:11: no such view
                 rule: Perl opens a socket
                 is to alert, and stays silent: its log source sees none of this; others do: laurel

            fail ./perl.test.yml:12: no event
                 rule: Perl opens a socket
                 line 1 is no event: truncated

            fail: 8 cases: 1 passed, 7 failed
        "#]],
        &expect![[r#""#]],
    );
    let ran = within(&folder, &["test", "--output", "json", "perl.yml"]);
    let report: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!(report["totals"]["passed"], 1);
    assert_eq!(report["totals"]["failed"], 7);
    let near = &report["cases"][1]["views"][0];
    assert_eq!(
        (&near["event_line"], &near["distance"]),
        (&1.into(), &2.into())
    );
    assert_eq!(near["condition"]["and"][2]["not"]["selection"], "filter");
    let item = &near["selections"][1]["items"][0];
    assert_eq!(item["seen"][0]["value"], "perl -e 1");
    assert_eq!(item["seen"][0]["path"], "EXECVE.ARGV");
    assert_eq!(item["matchers"][0]["matcher"], "contains 'use Socket'");
    assert_eq!(item["matchers"][0]["holds"], false);
    // Into a pipe a case is a line, and people read the sum on stderr.
    let ran = within(&folder, &["test", "perl.test.yml", "--only", "HOLDS"]);
    assert_eq!(ran.code, Some(0));
    let case: Value = serde_json::from_str(&ran.out).expect("one line");
    assert_eq!(
        (&case["name"], &case["state"]),
        (&"holds".into(), &"passed".into())
    );
    expect![[r#"
        ok: 1 case: 1 passed, 0 failed
    "#]]
    .assert_eq(&timeless(&ran.err));
}

#[test]
fn mistakes_in_fixtures_have_places_and_leave_the_other_cases() {
    let folder = Folder::new();
    folder.write("perl.yml", PERL);
    folder.write("alone.test.yml", "cases: []\n");
    let alert = exec(r#""perl","-e","use Socket""#).replace("munin", "bash");
    folder.write(
        "perl.test.yml",
        format!(
            "cases:
  - {{name: good, event: '{alert}', expect: alert}}
  - {{name: bad, evnt: '{alert}', expect: alarm}}
  - {{name: file, event_file: none.jsonl, expect: alert}}
  - {{name: other, rule: Python, event: '{alert}', expect: alert}}
"
        ),
    );
    check(
        &within(&folder, &["test", "--output", "table", "."]),
        1,
        &expect![[r#"
            error[T006]: there is no rule file ./alone.yml
             --> ./alone.test.yml:1:1
              |
            1 | cases: []
              | ^
              |
              = help: call the fixture as its rule file is called, with `.test`

            error[T003]: the case has no event
             --> ./perl.test.yml:3:5
              |
            3 |   - {name: bad, evnt: '{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl","SPAWNED_BY":{"exe":"/usr/sbin/bash"}},"EXECVE":{"ARGV":["perl","-e","use Socket"]}}', expect: alarm}
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: write a line of Laurel below `event: |-`, or name a file of lines with `event_file`

            error[T002]: there is no key `evnt`
             --> ./perl.test.yml:3:17
              |
            3 |   - {name: bad, evnt: '{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl","SPAWNED_BY":{"exe":"/usr/sbin/bash"...
              |                 ^^^^
              |
              = help: did you mean `event`?

            error[T004]: `alarm` is nothing to expect
             --> ./perl.test.yml:3:193
              |
            3 | ...sh"}},"EXECVE":{"ARGV":["perl","-e","use Socket"]}}', expect: alarm}
              |                                                                  ^^^^^
              |
              = help: write `expect: alert` or `expect: silent`

            error[T007]: none.jsonl cannot be read: No such file or directory (os error 2)
             --> ./perl.test.yml:4:30
              |
            4 |   - {name: file, event_file: none.jsonl, expect: alert}
              |                              ^^^^^^^^^^
              |
              = help: the path is relative to the fixture

            error[T006]: the rule file has no rule `Python`
             --> ./perl.test.yml:5:25
              |
            5 |   - {name: other, rule: Python, event: '{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl","SPAWNED_BY":{"exe"...
              |                         ^^^^^^
              |
              = help: it has Perl opens a socket

            fail: 1 case: 1 passed, 0 failed, 6 errors in rules and fixtures
        "#]],
        &expect![[r#""#]],
    );
    let ran = within(&folder, &["test", "--output", "json", "perl.yml"]);
    let report: Value = serde_json::from_str(&ran.out).expect("one document");
    let codes = report["diagnostics"].as_array().expect("a list");
    let codes: Vec<&Value> = codes.iter().map(|d| &d["code"]).collect();
    assert_eq!(codes, ["T003", "T002", "T004", "T007", "T006"]);
}

#[test]
fn a_rule_that_does_not_run_fails_its_cases_and_says_why() {
    let folder = Folder::new();
    let event = exec(r#""perl""#);
    let case = format!("cases: [{{name: a, event: '{event}', expect: silent}}]\n");
    folder.write(
        "broken.yml",
        PERL.replace("condition: perl", "condition: prl"),
    );
    folder.write("broken.test.yml", &case);
    folder.write("sshd.yml", "title: B\nlogsource: {product: linux, service: sshd}\ndetection: {a: {b: c}, condition: a}\n");
    folder.write("sshd.test.yml", &case);
    check(
        &within(&folder, &["test", "--output", "table", "."]),
        1,
        &expect![[r#"
            error[R052]: there is no selection `prl`
             --> ./broken.yml:8:14
              |
            8 |   condition: prl and socket and not filter
              |              ^^^
              |
              = help: did you mean `perl`?

            fail ./broken.test.yml:1: a
                 no rule of the file loads

            fail ./sshd.test.yml:1: a
                 the rule does not run: B: no view feeds product linux, service sshd: audit events do not hold it

            fail: 2 cases: 0 passed, 2 failed, 1 error in rules and fixtures
        "#]],
        &expect![[r#""#]],
    );
}

#[test]
fn rules_without_a_fixture_are_told_and_can_be_forbidden() {
    let folder = Folder::new();
    folder.write("perl.yml", PERL);
    let event = exec(r#""perl""#);
    folder.write(
        "perl.test.yml",
        format!("cases: [{{name: a, event: '{event}', expect: silent}}]\n"),
    );
    folder.write("b.yml", PERL.replace("a001", "a002").replace("Perl", "B"));
    check(
        &within(&folder, &["test", "--output", "table", "."]),
        0,
        &expect![[r#"
            1 rule without a fixture; -v lists them
            ok: 1 case: 1 passed, 0 failed
        "#]],
        &expect![[r#""#]],
    );
    check(
        &within(
            &folder,
            &["test", "--output", "table", ".", "--require-fixtures"],
        ),
        1,
        &expect![[r#"
            1 rule without a fixture:
              ./b.yml
            fail: 1 case: 1 passed, 0 failed
        "#]],
        &expect![[r#""#]],
    );
    check(
        &within(&folder, &["test", "b.yml"]),
        2,
        &expect![[r#""#]],
        &expect![[r#"
            error: there is no fixture (.test.yml) beside these rules
        "#]],
    );
    check(
        &within(&folder, &["test", ".", "--only", "nothing"]),
        2,
        &expect![[r#""#]],
        &expect![[r#"
            error: no case is of that name
        "#]],
    );
    check(
        &within(&folder, &["test"]),
        2,
        &expect![[r#""#]],
        &expect![[r#"
            error: name the folder or the file of the rules: `pythia test rules/`
        "#]],
    );
}

#[test]
fn a_case_may_name_a_recording_and_one_of_several_rules() {
    let folder = Folder::new();
    let fleet = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/fleet.jsonl.zst");
    fs::copy(fleet, folder.path("fleet.jsonl.zst")).expect("a copy");
    let rule = |title: &str, detection: &str| {
        format!(
            "title: {title}\nlogsource: {{product: linux, category: process_creation}}\ndetection: {detection}\n"
        )
    };
    let rules = [
        rule(
            "By monitor.sh",
            "{a: {ParentCommandLine|contains: /opt/ops/monitor.sh}, condition: a}",
        ),
        rule(
            "Never",
            "{a: {Image: /no/such}, b: {User: monitor}, condition: a and b}",
        ),
    ];
    folder.write("two.yml", rules.join("---\n"));
    folder.write(
        "two.test.yml",
        "cases:
  - {name: parents are known, rule: By monitor.sh, event_file: fleet.jsonl.zst, expect: alert, alert: {host: web-01}, host: web-01}
  - {name: never, rule: Never, event_file: fleet.jsonl.zst, expect: silent}
  - {name: any, event_file: fleet.jsonl.zst, expect: alert}
  - {name: never either, rule: Never, event_file: fleet.jsonl.zst, expect: alert}
",
    );
    check(
        &within(&folder, &["test", "--output", "table", "two.yml"]),
        1,
        &expect![[r#"
            fail two.test.yml:5: never either
                 rule: Never
                 is to alert, and stays silent
                 nearest: process_creation of line 1
                   a does not hold
                     Image: saw '/usr/bin/bash', '/bin/bash', wanted is '/no/such'
                   b holds
                 next: process_creation of line 2
                   a does not hold
                     Image: saw '/usr/bin/dash', '/usr/bin/sh', wanted is '/no/such'
                   b holds
                 next: process_creation of line 20
                   a does not hold
                     Image: saw '/usr/bin/ss', wanted is '/no/such'
                   b holds
                 and 1345 views more

            fail: 4 cases: 3 passed, 1 failed
        "#]],
        &expect![[r#""#]],
    );
}

#[test]
fn junit_is_written_and_hostile_names_are_harmless() {
    let folder = Folder::new();
    folder.write("perl.yml", PERL);
    folder.write("b.yml", PERL.replace("a001", "a002").replace("Perl", "B"));
    let event = exec(r#""perl","%1b[31m\u202e","<&>""#);
    folder.write(
        "perl.test.yml",
        format!(
            "cases:
  - {{name: \"<b>&\\\"\\e[31m\\u202e\", event: '{event}', expect: alert}}
  - {{name: good, event: '{event}', expect: silent}}
  - {{name: bad, expect: silent}}
"
        ),
    );
    let ran = within(
        &folder,
        &[
            "test",
            ".",
            "--output",
            "table",
            "--junit",
            "out.xml",
            "--require-fixtures",
        ],
    );
    assert_eq!(ran.code, Some(1));
    assert!(!steers(&ran.out) && !steers(&ran.err), "{ran:?}");
    let xml = fs::read_to_string(folder.path("out.xml")).expect("it is written");
    assert!(!steers(&xml), "{xml}");
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="pythia test">
          <testsuite name="./perl.yml" tests="2" failures="1" errors="0">
            <testcase classname="Perl opens a socket" name="&lt;b&gt;&amp;&quot;\u{1b}[31m\u{202e}" file="./perl.test.yml" line="2"><failure message="is to alert, and stays silent">fail ./perl.test.yml:2: &lt;b&gt;&amp;&quot;\u{1b}[31m\u{202e}
             rule: Perl opens a socket
             is to alert, and stays silent
             nearest: process_creation of line 1
               perl holds
               socket does not hold
                 CommandLine: saw 'perl \u{1b}[31m\u{202e} &lt;&amp;&gt;', wanted contains 'use Socket' or contains 'IO::Socket' or contains '-MSocket' or 1 more
               filter holds, and must not
                 ParentImage: saw '/usr/sbin/munin', met endswith '/munin'

        </failure></testcase>
            <testcase classname="Perl opens a socket" name="good" file="./perl.test.yml" line="3"/>
          </testsuite>
          <testsuite name="./perl.test.yml" tests="1" failures="0" errors="1">
            <testcase classname="./perl.test.yml" name="4:5"><error message="T003: the case has no event"/></testcase>
          </testsuite>
          <testsuite name="./b.yml" tests="1" failures="1" errors="0">
            <testcase classname="./b.yml" name="fixture"><failure message="there is no fixture"/></testcase>
          </testsuite>
        </testsuites>
    "#]].assert_eq(&timeless(&xml));
    let ran = within(&folder, &["test", ".", "--junit", "no/such/out.xml"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
}

#[test]
fn starter_rules_pass_from_any_place_that_names_them() {
    for path in [
        "rules",
        "rules/linux/reverse_shell/perl.yml",
        "rules/linux/reverse_shell/perl.test.yml",
    ] {
        let ran = run(&["test", "--output", "table", "-q", path]);
        assert_eq!(
            (ran.code, &*ran.out, &*ran.err),
            (Some(0), "", ""),
            "{path}"
        );
    }
}

#[test]
fn a_captured_event_becomes_a_rule_that_loads_without_a_remark_and_passes() {
    let folder = Folder::new();
    let unquoted = exec(r#""perl","-e","print \"it's 100%25 * ? \\\\\"""#);
    let event = unquoted.replace("munin", "bash");
    folder.write("a.jsonl", format!("\n{}\n{event}\n", exec(r#""perl""#)));
    let ran = within(
        &folder,
        &[
            "new",
            "--event",
            "a.jsonl:3",
            "--out",
            "my/rules",
            "--output",
            "table",
        ],
    );
    expect![[r#"
        wrote my/rules/execution_of_perl.yml and my/rules/execution_of_perl.test.yml
        next: say what it means, add a near miss, and run `pythia test my/rules/execution_of_perl.yml`
    "#]].assert_eq(&ran.out);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    let read = |name: &str| fs::read_to_string(folder.path(name)).expect("it is written");
    let rule = read("my/rules/execution_of_perl.yml");
    let lines = rule
        .lines()
        .filter(|line| !line.starts_with("id: ") && !line.starts_with("date: "));
    let lines: Vec<&str> = lines.collect();
    expect![[r#"
        title: 'Execution of perl'
        status: experimental
        # What it means if this happens, and what to do about it.
        description: 'Made from the event at a.jsonl:3.'
        # references:
        #     - https://attack.mitre.org/techniques/T1059/
        # author: you
        # tags:
        #     - attack.execution
        #     - attack.t1059
        logsource:
            product: linux
            category: process_creation
        detection:
            selection:
                Image|endswith: '/perl'
                CommandLine|contains|all:
                    - ' -e'
                    - 'print "it''s 100% \* \? \\\\"'
                # What else the event says:
                # ParentImage|endswith: '/bash'
                # CommandLine: 'perl -e print "it''s 100% \* \? \\\\"'
            condition: selection
        falsepositives:
            - Unknown
        level: medium
    "#]]
    .assert_eq(&(lines.join("\n") + "\n"));
    expect![[r#"
        cases:
          - name: 'captured at a.jsonl:3'
            event: |-
              {"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl","SPAWNED_BY":{"exe":"/usr/sbin/bash"}},"EXECVE":{"ARGV":["perl","-e","print \"it's 100%25 * ? \\\\\""]}}
            expect: alert
          # A near miss keeps the rule honest: what looks alike and is allowed. Capture one, or change this copy until the rule
          # must not match, and take the signs away.
          # - name: the same program, doing something else
          #   event: |-
          #     {"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl","SPAWNED_BY":{"exe":"/usr/sbin/bash"}},"EXECVE":{"ARGV":["perl","-e","print \"it's 100%25 * ? \\\\\""]}}
          #   expect: silent
    "#]].assert_eq(&read("my/rules/execution_of_perl.test.yml"));
    let ran = within(&folder, &["check", "--strict", "--output", "json", "my"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    let checked: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!(checked["running"][0]["witness"], true);
    let ran = within(&folder, &["test", "--require-fixtures", "my"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    // Nothing is written over, and then nothing is written.
    fs::remove_file(folder.path("my/rules/execution_of_perl.yml")).expect("it is there");
    let ran = within(
        &folder,
        &["new", "--event", "a.jsonl:3", "--out", "my/rules"],
    );
    check(
        &ran,
        2,
        &expect![[r#""#]],
        &expect![[r#"
        error: my/rules/execution_of_perl.test.yml exists; give another --title or --out
    "#]],
    );
    assert!(!std::path::Path::new(&folder.path("my/rules/execution_of_perl.yml")).exists());
    // Each has an id of its own.
    let told = |title: &str| -> Value {
        let ran = within(&folder, &["new", "--event", "a.jsonl", "--title", title]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str(&ran.out).expect("one line")
    };
    let (one, two) = (told("It's: a #1 title"), told("B"));
    assert_eq!(one["rule"], "./it_s_a_1_title.yml");
    assert_eq!(two["logsource"], "process_creation");
    assert_ne!(one["id"], two["id"]);
    let id = one["id"].as_str().expect("a text");
    assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
    let ran = within(
        &folder,
        &["test", "--require-fixtures", "it_s_a_1_title.yml", "b.yml"],
    );
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

#[test]
fn what_is_no_event_becomes_no_rule() {
    let folder = Folder::new();
    let event = exec(r#""perl""#);
    folder.write("a.jsonl", format!("{event}\nnonsense\n"));
    let wrong = |arguments: &[&str]| {
        let ran = within(&folder, &[&["new"], arguments].concat());
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{arguments:?}");
        ran.err
    };
    let told = [
        wrong(&["--event", "a.jsonl:2"]),
        wrong(&["--event", "a.jsonl:9"]),
        wrong(&["--event", "none.jsonl"]),
        wrong(&["--event", "a.jsonl", "--logsource", "file_event"]),
        wrong(&["--event", "a.jsonl", "--title", "a\u{1b}[31m"]),
    ];
    expect![[r#"
        error: a.jsonl:2: the line is no event: invalid_json
        error: a.jsonl has 2 lines, and no such event
        error: none.jsonl: No such file or directory (os error 2)
        error: a.jsonl:1: the event is none of file_event; it is seen by process_creation, auditd, laurel
        error: --title: write some words on one line, without control characters
    "#]].assert_eq(&told.concat());
    let left = fs::read_dir(folder.path(".")).expect("a folder").count();
    assert_eq!(left, 1);
}

#[test]
fn fields_are_told_by_log_source() {
    let ran = run(&["fields", "network_connection", "--output", "table"]);
    check(
        &ran,
        0,
        &expect![[r#"
        category: network_connection: an internet address that is connected to, or connects
        field           example             from                                    note
        Initiated       true                SYSCALL.SYSCALL                         true for connect, sendto and sendmsg (also in progress), false for accept
        DestinationIp   192.0.2.7           SOCKADDR[].SADDR.addr, SOCKADDR[].saddr where Initiated is true; IPv4 within IPv6 becomes IPv4. There are no names of hosts
        DestinationPort 4444                SOCKADDR[].SADDR.port, SOCKADDR[].saddr where Initiated is true
        SourceIp        198.51.100.9        SOCKADDR[].SADDR.addr, SOCKADDR[].saddr where Initiated is false: the peer
        SourcePort      50122               SOCKADDR[].SADDR.port, SOCKADDR[].saddr where Initiated is false: the peer's
        Image           /usr/bin/nc.openbsd SYSCALL.exe
        User            www-data            SYSCALL.UID, SYSCALL.uid                the name, else what the profile says of the number (0 is root)
        process.labels  webapp              SYSCALL.LABELS                          Laurel's labels of the acting process; any of them
        host            web-01              NODE, envelope, Kafka key
    "#]],
        &expect![[r#""#]],
    );
    let ran = run(&["fields"]);
    let fields: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |logsource: &str| {
        fields
            .iter()
            .filter(|field| field["logsource"] == logsource)
            .count()
    };
    assert_eq!([of("process_creation"), of("file_rename")], [15, 7]);
    assert!(of("auditd") > 100 && of("laurel") > 100);
    let document = run(&["fields", "--output", "json"]);
    let document: Vec<Value> = serde_json::from_str(&document.out).expect("one document");
    assert_eq!(document, fields);
    let ran = run(&["fields", "process_creaton"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("process_creation"), "{}", ran.err);
}

#[test]
fn a_misspelt_field_is_compared_with_those_that_there_are() {
    let folder = Folder::new();
    let rule = |title: &str, detection: &str| {
        format!(
            "title: {title}\nlogsource: {{product: linux, category: process_creation}}\ndetection: {detection}\n"
        )
    };
    folder.write(
        "a.yml",
        rule("A", "{a: {Imge|endswith: /sh}, condition: a}"),
    );
    folder.write(
        "b.yml",
        rule(
            "B",
            "{a: {image|endswith: /sh}, b: {User: root}, condition: a or b}",
        ),
    );
    folder.write(
        "c.yml",
        rule(
            "C",
            "{a: {OriginalFileName: sh}, b: {User: root}, condition: a or b}",
        ),
    );
    let of_service = |service: &str, detection: &str| {
        rule(service, detection)
            .replace("category: process_creation", &format!("service: {service}"))
    };
    folder.write(
        "d.yml",
        of_service(
            "auditd",
            "{a: {type: PATH, nametyp: CREATE, a12: x, AVC.denied: x}, condition: a}",
        ),
    );
    folder.write(
        "e.yml",
        of_service(
            "laurel",
            "{a: {SYSCALL.key: x, SYSCAL.exe: x, AVC.denied: x, USER_AUTH.msg.acct: x}, condition: a}",
        ),
    );
    let ran = within(&folder, &["check", "--output", "table", "."]);
    check(
        &ran,
        0,
        &expect![[r#"
            warning[P001]: nothing feeds `Imge` in views of process_creation
             --> ./a.yml:3:17
              |
            3 | detection: {a: {Imge|endswith: /sh}, condition: a}
              |                 ^^^^^^^^^^^^^
              |
              = help: did you mean `Image`? As it stands, the rule does not run

            warning[P001]: nothing feeds `image` in views of process_creation
             --> ./b.yml:3:17
              |
            3 | detection: {a: {image|endswith: /sh}, b: {User: root}, condition: a or b}
              |                 ^^^^^^^^^^^^^^
              |
              = help: did you mean `Image`? As it stands, the rule runs, and the field counts as missing

            warning[P001]: nothing feeds `OriginalFileName` in views of process_creation
             --> ./c.yml:3:17
              |
            3 | detection: {a: {OriginalFileName: sh}, b: {User: root}, condition: a or b}
              |                 ^^^^^^^^^^^^^^^^
              |
              = help: the rule runs, and the field counts as missing; `pythia fields process_creation` lists those that there are

            warning[P003]: no record is known to have `nametyp`
             --> ./d.yml:3:29
              |
            3 | detection: {a: {type: PATH, nametyp: CREATE, a12: x, AVC.denied: x}, condition: a}
              |                             ^^^^^^^
              |
              = help: did you mean `nametype`?

            warning[P003]: no record is known to have `SYSCAL.exe`
             --> ./e.yml:3:33
              |
            3 | detection: {a: {SYSCALL.key: x, SYSCAL.exe: x, AVC.denied: x, USER_AUTH.msg.acct: x}, condition: a}
              |                                 ^^^^^^^^^^
              |
              = help: did you mean `SYSCALL.exe`?

            Not running
              ./a.yml:3:17: A: it would never match: nothing feeds `Imge` in views of process_creation; did you mean `Image`?

            Running
              auditd: 1 rule
              laurel: 1 rule
              process_creation: 2 rules

            5 files: 5 rules loaded, 0 failed to load; 0 errors, 5 warnings
            4 running, 1 not running
            product linux: 5 rules, 5 routed, 4 running, 1 listed as not running
        "#]],
        &expect![[r#""#]],
    );
}

#[test]
fn a_correlation_is_tested_with_the_rules_that_it_reads() {
    let folder = Folder::new();
    folder.write(
        "failed.yml",
        "title: Failed login
name: failed_login
logsource: {product: linux, service: auditd}
detection: {a: {type: USER_LOGIN, res: failed}, condition: a}
",
    );
    folder.write(
        "brute.yml",
        "title: Many failed logins
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [host]
  timespan: 1m
  condition: {gte: 3}
level: high
",
    );
    let login = |second: u32, res: &str| {
        format!(
            r#"      {{"ID":"17000000{second}.123:1","USER_LOGIN":{{"pid":7,"msg":{{"op":"login","acct":"bob","res":"{res}"}}}}}}"#
        ) + "\n"
    };
    let case = |name: &str, logins: &[(u32, &str)], expect: &str| {
        let lines = logins.iter().map(|(second, res)| login(*second, res));
        let lines: String = lines.collect();
        format!("  - name: {name}\n    host: web-01\n    event: |-\n{lines}    expect: {expect}\n")
    };
    let three = [(10, "failed"), (30, "failed"), (20, "failed")];
    let cases = [
        case(
            "three, one of them late",
            &three,
            "alert\n    alert: {level: high}",
        ),
        case(
            "two, and one that is let in",
            &[(10, "failed"), (20, "success"), (30, "failed")],
            "silent",
        ),
        case("two", &three[..2], "alert"),
        case("three of one minute", &three, "silent"),
    ];
    folder.write("brute.test.yml", format!("cases:\n{}", cases.concat()));
    let cases = [
        case("one", &three[..1], "alert"),
        case("let in", &[(10, "success")], "silent"),
    ];
    folder.write("failed.test.yml", format!("cases:\n{}", cases.concat()));
    check(
        &within(
            &folder,
            &["test", "--output", "table", "--require-fixtures", "."],
        ),
        1,
        &expect![[r#"
            fail ./brute.test.yml:17: two
                 rule: Many failed logins
                 is to alert, and stays silent; of what correlations read matched: Failed login 2 times

            fail ./brute.test.yml:23: three of one minute
                 rule: Many failed logins
                 is to stay silent, and alerts; of what correlations read matched: Failed login 3 times

            fail: 6 cases: 4 passed, 2 failed
        "#]],
        &expect![[r#""#]],
    );
}

#[test]
fn a_second_opinion_says_where_another_engine_reads_a_rule_otherwise_and_fails_nothing() {
    let folder = Folder::new();
    folder.write(
        "user.yml",
        "title: No user
logsource: {product: linux, category: process_creation}
detection: {selection: {User: null, CommandLine|contains: socket}, condition: selection}
---
title: Not munin
logsource: {product: linux, category: process_creation}
detection: {selection: {ParentImage|endswith|neq: /munin}, condition: selection}
---
title: Twice
correlation: {type: event_count, rules: [No user], timespan: 1m, condition: {gte: 2}}
"
        .replace("No user\n", "No user\nname: No user\n"),
    );
    let (other, one) = (
        exec(r#""perl","-e","1""#),
        exec(r#""perl","-e","use socket""#),
    );
    folder.write(
        "user.test.yml",
        format!(
            "cases:
  - {{name: no socket, event: '{other}', rule: No user, expect: silent}}
  - {{name: a socket, event: '{one}', rule: No user, expect: alert}}
  - {{name: munin, event: '{one}', rule: Not munin, expect: silent}}
  - {{name: once, event: '{one}', rule: Twice, expect: silent}}
"
        ),
    );
    check(
        &within(
            &folder,
            &["test", "--second-opinion", "--output", "table", "."],
        ),
        0,
        &expect![[r#"
            note ./user.test.yml:3: a socket
                 rule: No user
                 sigma-rust 0.7 stays silent, Pythia matches
                   null-missing: it does not match `null` where the field is missing
                   Sigma: a missing field is null (policy M1)
                   to be read alike: write `field|exists: false` for a field that is missing
            note ./user.test.yml:4: munin
                 rule: Not munin
                 sigma-rust 0.7 cannot read the rule: Unknown field modifier 'neq' provided at line 2 column 1
                   modifier: it refuses the modifiers `neq`, `expand`, those of dates, and `i`, `m`, `s` of `re`
                   Sigma: they are part of it
                   to be read alike: negate a selection instead of `neq`; write `(?i)` into the regular expression
            note ./user.test.yml:5: once
                 rule: Twice
                 sigma-rust 0.7 knows no correlations
            second opinion of sigma-rust 0.7: 1 read alike, 1 otherwise, 1 not at all, 1 correlation beyond it
            ok: 4 cases: 4 passed, 0 failed
        "#]],
        &expect![[r#""#]],
    );
    let ran = within(
        &folder,
        &[
            "test",
            "--second-opinion",
            "--junit",
            "r.xml",
            "--output",
            "json",
            ".",
        ],
    );
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    let said = json["cases"].as_array().expect("cases").iter();
    let states = said.map(|case| {
        case["second_opinion"][0]["state"]
            .as_str()
            .expect("a state")
    });
    let states: Vec<&str> = states.collect();
    assert_eq!(states, ["alike", "differs", "refused", "out_of_scope"]);
    let junit = fs::read_to_string(folder.path("r.xml")).expect("a file");
    assert_eq!(junit.matches("<system-out>").count(), 3, "{junit}");
    assert!(junit.contains("failures=\"0\""), "{junit}");
}

/// Each difference over the rules of the repository has its explanation.
#[test]
fn the_second_opinion_on_our_rules_is_explained() {
    let ran = run(&["test", "--second-opinion", "--output", "json", "rules"]);
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    let cases = json["cases"].as_array().expect("cases").iter();
    let mut judged = 0;
    for said in cases.flat_map(|case| case["second_opinion"].as_array().expect("a list")) {
        let state = said["state"].as_str().expect("a state");
        let explained = said["reasons"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        let is_fine = matches!(state, "alike" | "out_of_scope");
        assert!(is_fine || explained, "{said:#}");
        judged += 1;
    }
    assert!(judged > 100, "{judged}");
}

/// Values of placeholders come from a file; its mistakes are told all at once.
#[test]
fn placeholders_have_values_from_a_file() {
    let folder = Folder::new();
    let rule = folder.write(
        "rule.yml",
        "title: Administrators list users\nlogsource: {product: linux, category: process_creation}\ndetection:\n  \
         selection:\n    CommandLine: id\n    User|expand: '%Administrators%'\n  condition: selection\n",
    );
    let event = folder.write(
        "event.jsonl",
        r#"{"ID":"1700000000.123:1","SYSCALL":{"uid":1000,"UID":"alice"},"EXECVE":{"argc":1,"ARGV":["id"]}}"#,
    );
    let values = folder.write("values.yml", "Administrators: [alice, bob]\n");
    let scan = |more: &[&str]| {
        let arguments = [
            &["scan", "--output", "jsonl", "--rules", &rule],
            more,
            &[&event],
        ]
        .concat();
        run(&arguments)
    };
    let without = scan(&[]);
    assert_eq!(without.code, Some(2));
    assert!(
        without.err.contains("--placeholders FILE"),
        "{}",
        without.err
    );
    let with = scan(&["--placeholders", &values]);
    assert_eq!(
        (with.code, with.out.lines().count()),
        (Some(0), 1),
        "{}",
        with.err
    );
    let broken = folder.write("broken.yml", "Administrators: {alice: bob}\nOthers:\n");
    let refused = run(&["check", "--placeholders", &broken, &rule]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .err
            .contains("broken.yml:1:17: `Administrators` has a map"),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("broken.yml:2:7: `Others` has null"),
        "{}",
        refused.err
    );
}

/// What cannot be read in a folder is told, and stops no other rule; paths that overlap load a rule once.
#[test]
fn a_link_to_nothing_and_a_pipe_stop_no_other_rule() {
    let folder = Folder::new();
    let rule = "title: T\nid: 3e0f9b52-6d6e-4c8c-8f0e-5b8a52a3c001\nlogsource: {product: linux, category: process_creation}\n\
                detection: {selection: {CommandLine: id}, condition: selection}\n";
    let rules = std::path::PathBuf::from(folder.path("rules"));
    fs::create_dir(&rules).expect("a folder");
    let path = folder.write("rules/sound.yml", rule);
    std::os::unix::fs::symlink("/no/such/file.yml", rules.join("dangling.yml")).expect("a link");
    let pipe = rules.join("pipe.yml");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let rules = rules.display().to_string();
    let ran = run(&["check", "--output", "table", &rules, &path]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for part in [
        "dangling.yml:1:1",
        "the file cannot be read: No such file or directory",
        "the file cannot be read: it is no file",
        "1 running, 0 not running",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains("R014"), "{}", ran.out);
    let named = run(&["check", &format!("{rules}/dangling.yml")]);
    assert_eq!(named.code, Some(2), "{}", named.out);
}
