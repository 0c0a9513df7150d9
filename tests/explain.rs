//! `pythia explain`: rules as compiled, on an event, and what keeps them from matching; correlations on a file.
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use std::sync::Arc;

use detect::{Explainer, Line, Need, Source};
use event::{Origin, ProcessCache, Profile};
use expect_test::{Expect, expect, expect_file};
use serde_json::Value;

use crate::authors::{exec, within};
use crate::cli::{Folder, Ran, run, steers};
use crate::rules::{read_lines, root, starter_rules};

fn check(ran: &Ran, code: i32, out: &Expect) {
    assert_eq!((ran.code, &*ran.err), (Some(code), ""), "{}", ran.out);
    out.assert_eq(&ran.out);
}

fn explain(folder: &Folder, arguments: &[&str]) -> Ran {
    let arguments = [&["explain", "--output", "table"], arguments].concat();
    within(folder, &arguments)
}

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    let arguments = [&["explain", "--output", "json"], arguments].concat();
    serde_json::from_str(&within(folder, &arguments).out).expect("one document")
}

#[test]
fn a_rule_is_shown_as_compiled_with_all_modifiers_applied() {
    let folder = Folder::new();
    folder.write(
        "a.yml",
        "title: All of it
id: a
logsource: {product: linux, category: process_creation}
detection:
  sel_a:
    CommandLine|contains|all: ['Foo', '-x']
    CommandLine|windash|contains: ' -enc '
    CommandLine|base64offset|contains: 'secret'
  sel_b:
    - Image|endswith: [/a, /b, /c, /d, /e, /f, /g, /h, /i, /j, /k, /l]
      User|cased: Root
    - ParentImage|re|i: '^/opt/.*sh$'
      CurrentDirectory|neq: /
  sel_c:
    CommandLine|windash|contains|all: ['-f', 'x']
    ParentProcessId|gte: 1000
    User|fieldref: LogonId
  filter_one: {User: 'a*b?'}
  condition: 1 of sel_* and not 1 of filter_*
---
title: Only here
id: f
logsource: {product: linux}
filter:
  rules: [a]
  job: {User: backup}
  condition: not job
",
    );
    check(
        &explain(&folder, &["a.yml"]),
        0,
        &expect![[r#"
            All of it
              a.yml:1
              runs on process_creation

              condition: (sel_a or sel_b or sel_c) and not filter_one
              and filter f: not f: job

              sel_a (line 5)
                CommandLine|contains|all: all of 2
                  contains 'Foo'
                  contains '-x'
                CommandLine|windash|contains: any of 5
                  contains ' -enc '
                  contains ' /enc '
                  contains ' –enc '
                  contains ' —enc '
                  contains ' ―enc '
                CommandLine|base64offset|contains: any of 3
                  contains 'c2VjcmV0'
                  contains 'NlY3Jld'
                  contains 'zZWNyZX'

              sel_b (line 9)
                any of 2 maps
                  - Image|endswith: any of 12
                      endswith '/a'
                      endswith '/b'
                      endswith '/c'
                      endswith '/d'
                      endswith '/e'
                      endswith '/f'
                      endswith '/g'
                      endswith '/h'
                      endswith '/i'
                      endswith '/j'
                      and 2 more
                    User|cased: is (cased) 'Root'
                  - ParentImage|re|i: re|i '^/opt/.*sh$'
                    CurrentDirectory|neq: not is '/'

              sel_c (line 14)
                CommandLine|windash|contains|all: all of 2
                  any of 5
                    contains '-f'
                    contains '/f'
                    contains '–f'
                    contains '—f'
                    contains '―f'
                  contains 'x'
                ParentProcessId|gte: >= 1000
                User|fieldref: equals the field LogonId

              filter_one (line 18)
                User: is like 'a*b?'

              f: job (line 26)
                User: is 'backup'

              case: letters match in either case, but as written in `cased` texts

              fields
                field            from                                      note
                CommandLine      EXECVE.ARGV, EXECVE.ARGV_STR              arguments joined by one blank, percent codes decoded; there are no quotes
                CurrentDirectory CWD.cwd                                   without a slash at its end
                Image            SYSCALL.exe, PATH[0].name, SYSCALL.SCRIPT any of: the executable (also without ` (deleted)`), the file as invoked (absolute), the script
                LogonId          SYSCALL.uid                               the user's number (0 is root), as Sysmon for Linux has it
                ParentImage      SYSCALL.SPAWNED_BY.exe, SYSCALL.PPID.exe  the parent, or the image before this one in the same process
                ParentProcessId  SYSCALL.ppid
                User             SYSCALL.UID, SYSCALL.uid                  the name, else what the profile says of the number (0 is root)

              how it is found
                in views of process_creation, one for each program that starts:
                  those with one of these 21 literals are verified; asks 32 comparisons, 2 wildcard patterns, 1 regular expression
                    field       literal             found in
                    CommandLine contains 'c2vjcmv0' automaton of the field
                    CommandLine contains 'nly3jld'  automaton of the field
                    CommandLine contains 'zzwnyzx'  automaton of the field
                    Image       endswith '/a'       suffixes by two bytes
                    Image       endswith '/b'       suffixes by two bytes
                    Image       endswith '/c'       suffixes by two bytes
                    Image       endswith '/d'       suffixes by two bytes
                    Image       endswith '/e'       suffixes by two bytes
                    Image       endswith '/f'       suffixes by two bytes
                    Image       endswith '/g'       suffixes by two bytes
                    and 11 more
        "#]],
    );
    let told = json(&folder, &["a.yml"]);
    let found = &told[0]["found"][0];
    assert_eq!(
        (&found["cost"], &found["record"]),
        (&"literal".into(), &"other".into())
    );
    let shown = explain(&folder, &["-v", "a.yml"]).out;
    assert!(
        shown.contains("endswith '/l'") && !shown.contains("more"),
        "{shown}"
    );
    let cut = explain(&folder, &["a.yml"]).out;
    assert!(!cut.contains("      endswith '/l'"), "{cut}");
    let members = |value: &Value| -> Vec<String> {
        let members = value.as_object().expect("an object").keys();
        members.cloned().collect()
    };
    expect![[r#"
        ["alerts", "condition", "fields", "file", "filters", "found", "id", "line", "selections", "title", "view", "witness"]
        ["cost", "literals", "record", "tests", "views"]
        ["all", "field", "line", "matchers", "negated", "written"]
        {"and":[{"or":[{"selection":"sel_a"},{"selection":"sel_b"},{"selection":"sel_c"}]},{"not":{"selection":"filter_one"}}]}
    "#]].assert_eq(&format!(
        "{:?}\n{:?}\n{:?}\n{}\n",
        members(&told[0]),
        members(found),
        members(&told[0]["selections"][0]["search"]["all"][0]),
        told[0]["condition"],
    ));
}

#[test]
fn what_the_engine_looks_for_is_told_by_record_type() {
    let folder = Folder::new();
    folder.write(
        "a.yml",
        "title: A path or an address
logsource: {product: linux, service: auditd}
detection:
  a: {type: PATH, name|startswith: /etc/}
  b: {type: SOCKADDR}
  c: {addr|cidr: 10.0.0.0/8}
  condition: a or (b and c)
",
    );
    check(
        &explain(&folder, &["a.yml"]),
        0,
        &expect![[r#"
            A path or an address
              a.yml:1
              runs on auditd

              condition: a or (b and c)

              a (line 4)
                type: is 'PATH'
                name|startswith: startswith '/etc/'

              b (line 5)
                type: is 'SOCKADDR'

              c (line 6)
                addr|cidr: cidr 10.0.0.0/8

              case: letters match in either case

              fields
                field from                note
                addr  USER_LOGIN.msg.addr printed as hex where it was decoded by mistake
                name  PATH.name           as logged, and absolute where it is relative; any of both
                type  the record's name   letters of either case

              how it is found
                in views of auditd, one for each path (PATH; two or three where a program starts):
                  those with this literal are verified; asks 1 comparison
                    field literal            found in
                    name  startswith '/etc/' prefixes by two bytes
                in views of auditd, one for each record of any other type:
                  those with this literal are verified; asks 2 comparisons
                    field literal           found in
                    type  equals 'sockaddr' hash of values
        "#]],
    );
}

/// A lost literal would cost speed alone, and no other test would tell.
#[test]
fn what_starter_rules_are_found_by_stays() {
    let mut told = String::new();
    for folder in ["audit_tampering", "kernel", "reverse_shell", "web_server"] {
        let ran = run(&[
            "explain",
            "--output",
            "json",
            &format!("rules/linux/{folder}"),
        ]);
        let rules: Value = serde_json::from_str(&ran.out).expect("one document");
        for rule in rules.as_array().expect("a list") {
            // Those of correlations whose other rules lie elsewhere do not run.
            if rule.get("found").is_none() {
                continue;
            }
            told += &format!("{}\n", rule["file"].as_str().expect("a path"));
            for found in rule["found"].as_array().expect("a list") {
                let [cost, record] =
                    ["cost", "record"].map(|key| found[key].as_str().expect("a word"));
                told += &format!("  {record}: {cost}");
                for literal in found["literals"].as_array().into_iter().flatten() {
                    let [field, operator, text] = ["field", "operator", "text"]
                        .map(|key| literal[key].as_str().unwrap_or("any text"));
                    told += &format!("; {field} {operator} '{text}'");
                }
                told += "\n";
            }
        }
    }
    expect_file!["explain/found.txt"].assert_eq(&told);
}

#[test]
fn a_rule_that_does_not_run_is_shown_with_the_reason() {
    let folder = Folder::new();
    folder.write(
        "a.yml",
        "title: Elsewhere
logsource: {product: windows, category: process_creation}
detection: {a: {Image: x}, condition: a}
",
    );
    folder.write("e.jsonl", exec(r#""perl""#));
    check(
        &explain(&folder, &["a.yml"]),
        0,
        &expect![[r#"
        Elsewhere
          a.yml:1
          does not run: no view feeds product windows, category process_creation: the events come from Linux hosts (line 1)

          condition: a

          a (line 3)
            Image: is 'x'

          case: letters match in either case
    "#]],
    );
    check(
        &explain(&folder, &["--why-not", "a.yml", "e.jsonl"]),
        0,
        &expect![[r#"
            Elsewhere
              a.yml:1
              does not run: no view feeds product windows, category process_creation: the events come from Linux hosts (line 1)
        "#]],
    );
}

/// One rule for each trap, on one event.
#[test]
fn why_not_names_the_least_in_the_way_and_the_usual_traps() {
    let folder = Folder::new();
    let event = r#"{"ID":"1700000000.123:1","SYSCALL":{"success":"yes","exe":"/usr/bin/perl","UID":"www-data"},"EXECVE":{"ARGV":["perl","-e","Socket.new"]},"CWD":{"cwd":"/srv/App"},"PATH":[{"item":0,"name":"/usr/bin/perl"},{"item":1,"name":"/lib64/ld-linux-x86-64.so.2"}],"NEW":{"data":"token-77"}}"#;
    folder.write("e.jsonl", event);
    for (name, detection) in [
        (
            "case",
            "{a: {CurrentDirectory|cased: /SRV/app}, condition: a}",
        ),
        ("regex", "{a: {CommandLine|re: 'socket'}, condition: a}"),
        ("directory", "{a: {Image: /opt/perl}, condition: a}"),
        ("within", "{a: {CommandLine: 'perl -e'}, condition: a}"),
        (
            "field",
            "{a: {ParentCommandLine|contains: 'socket.new'}, b: {Image|endswith: /perl}, condition: a and b}",
        ),
        ("view", "{a: {Image|contains: ld-linux}, condition: a}"),
        (
            "coded",
            "{a: {CommandLine|endswith: 'Socket%2enew'}, condition: a}",
        ),
        (
            "quoted",
            "{a: {CommandLine|contains: \"-e 'Socket.new'\"}, condition: a}",
        ),
        ("path", "{a: {Image|contains: token-77}, condition: a}"),
        (
            "unfed",
            "{a: {Imag: perl}, b: {User: root}, condition: a or b}",
        ),
        (
            "nearest",
            "{a: {User: root, LogonId: 5}, b: {User: adm}, c: {User: sys}, condition: 1 of them}",
        ),
        ("neq", "{a: {User|neq: www-data}, condition: a}"),
        (
            "excluded",
            "{a: {Image|endswith: /perl}, filter_app: {CurrentDirectory|startswith: [/srv, /opt]}, condition: a and not 1 of filter_*}",
        ),
        (
            "all",
            "{a: {CommandLine|contains|all: [perl, fork, STDIN]}, condition: a}",
        ),
    ] {
        folder.write(
            &format!("{name}.yml"),
            format!("title: {name}\nid: {name}\nlogsource: {{product: linux, category: process_creation}}\ndetection: {detection}\n"),
        );
    }
    folder.write(
        "filter.yml",
        "title: Apps of ours
id: ours
logsource: {product: linux}
filter:
  rules: [filtered]
  app: {CurrentDirectory: /srv/app}
  condition: not app
---
title: filtered
id: filtered
logsource: {product: linux, category: process_creation}
detection: {a: {Image|endswith: /perl}, condition: a}
",
    );
    check(
        &explain(&folder, &["--why-not", ".", "e.jsonl"]),
        0,
        &expect![[r#"
            all
              ./all.yml:1
              does not match

              process_creation: does not match, 2 items away
                a (line 4): CommandLine: saw 'perl -e Socket.new', wanted contains 'fork' and contains 'STDIN'

            case
              ./case.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): CurrentDirectory: saw '/srv/App', wanted is (cased) '/SRV/app'
                  hint: only the case of letters differs from '/srv/App'; the same without `cased` takes either

            coded
              ./coded.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): CommandLine: saw 'perl -e Socket.new', wanted endswith 'Socket%2enew'
                  hint: values are compared decoded; 'Socket.new' is met

            directory
              ./directory.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): Image: saw '/usr/bin/perl', wanted is '/opt/perl'
                  hint: only the directory differs; `endswith: '/perl'` asks for the name in any

            excluded
              ./excluded.yml:1
              does not match

              process_creation: does not match, 1 item away
                filter_app holds, and must not: CurrentDirectory: saw '/srv/App', met startswith '/srv'

            field
              ./field.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): ParentCommandLine: it is missing, wanted contains 'socket.new'
                  hint: the event has no such field (missing where the parent's start has not been seen)
                  hint: the field CommandLine of this view has it: 'perl -e Socket.new'

            filtered
              ./filter.yml:9
              does not match

              process_creation: does not match, 1 item away
                the filter ours excludes it: CurrentDirectory: saw '/srv/App', met is '/srv/app'

            nearest
              ./nearest.yml:1
              does not match

              process_creation: does not match, 1 item away
                any one of these is in the way:
                  b (line 4): User: saw 'www-data', wanted is 'adm'
                  c (line 4): User: saw 'www-data', wanted is 'sys'

            neq
              ./neq.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): User: saw 'www-data', wanted not (is 'www-data')

            path
              ./path.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): Image: saw '/usr/bin/perl', wanted contains 'token-77'
                  hint: it stands in NEW.data: 'token-77'

            quoted
              ./quoted.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): CommandLine: saw 'perl -e Socket.new', wanted contains '-e 'Socket.new''
                  hint: arguments are joined without the quotes of a shell; '-e Socket.new' is met

            regex
              ./regex.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): CommandLine: saw 'perl -e Socket.new', wanted re 'socket'
                  hint: only the case of letters differs from 'perl -e Socket.new'; `re|i` takes either

            unfed
              ./unfed.yml:1
              does not match

              process_creation: does not match, 1 item away
                any one of these is in the way:
                  a (line 4): Imag: no view of process_creation carries this field, wanted is 'perl'
                    hint: did you mean `Image`?
                  b (line 4): User: saw 'www-data', wanted is 'root'

            view
              ./view.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): Image: saw '/usr/bin/perl', wanted contains 'ld-linux'
                  hint: the field name of auditd PATH[1] has it: '/lib64/ld-linux-x86-64.so.2'

            within
              ./within.yml:1
              does not match

              process_creation: does not match, 1 item away
                a (line 4): CommandLine: saw 'perl -e Socket.new', wanted is 'perl -e'
                  hint: 'perl -e Socket.new' contains it; `contains` asks for that
        "#]],
    );
    let told = json(&folder, &["--why-not", "case.yml", "e.jsonl"]);
    assert_eq!(told[0]["views"][0]["needs"]["hints"][0]["hint"], "case");
    let told = json(&folder, &["filter.yml", "e.jsonl"]);
    assert_eq!(told[0]["views"][0]["needs"]["filter"], "ours");
    assert_eq!(told[0]["views"][0]["needs"]["to_hold"], false);
}

/// How many items a need names, at least.
fn least(need: &Need<'_>) -> usize {
    match need {
        Need::All(parts) => parts.iter().map(least).sum(),
        Need::Any(parts) => parts.iter().map(least).min().unwrap_or(0),
        Need::Item { item, to_hold, .. } if *to_hold && item.all && !item.negated => item
            .matchers
            .iter()
            .filter(|matcher| !matcher.holds)
            .count(),
        Need::Item { .. } => 1,
    }
}

/// Of the starter rules on recorded events: what is in the way is as many items as the view is away, each the wrong way round.
#[test]
fn what_is_in_the_way_is_as_much_as_the_distance_says() {
    let profile = Arc::new(Profile::laurel());
    let recorded = read_lines(&root().join("tests/data/fleet.jsonl.zst"));
    let recorded: Vec<&[u8]> = recorded.split(|byte| *byte == b'\n').collect();
    let mut views = 0;
    for (path, rule) in starter_rules() {
        let mut explainer = Explainer::new(Arc::new(rule), Arc::clone(&profile)).expect("a view");
        let mut cache = ProcessCache::new(1 << 20, i64::MAX);
        for bytes in recorded.iter().step_by(97) {
            let line = Line {
                bytes,
                origin: Origin::default(),
                source: Source::File { file: "-", line: 1 },
            };
            for view in explainer.explain(&line, &mut cache).expect("an event") {
                views += 1;
                let needs = view.needs();
                assert_eq!(
                    needs.as_ref().map_or(0, least),
                    view.distance,
                    "{}",
                    path.display()
                );
                assert_eq!(needs.is_none(), view.holds);
            }
        }
    }
    assert!(views > 1000, "{views}");
}

#[test]
fn a_rule_of_auditd_that_asks_two_records_at_once_is_told_so() {
    let folder = Folder::new();
    folder.write(
        "a.yml",
        "title: A
logsource: {product: linux, service: auditd}
detection:
  a: {type: EXECVE, a0: perl, name|startswith: /tmp/}
  condition: a
",
    );
    folder.write("e.jsonl", exec(r#""perl","/tmp/x""#));
    check(
        &explain(&folder, &["--why-not", "a.yml", "e.jsonl"]),
        0,
        &expect![[r#"
            A
              a.yml:1
              does not match

              auditd EXECVE: does not match, 1 item away
                a (line 4): name: it is missing, wanted startswith '/tmp/'
                  hint: records of type PATH carry this field; a rule of auditd is judged on one record at a time
                  hint: the field ARGV of this view has it: '/tmp/x'

              and 1 view further away
        "#]],
    );
}

#[test]
fn why_not_of_a_rule_that_matches_says_so_and_ends_with_1() {
    let folder = Folder::new();
    folder.write(
        "a.yml",
        "title: A\nlogsource: {product: linux, category: process_creation}\ndetection: {a: {Image|endswith: /perl}, condition: a}\n",
    );
    folder.write("e.jsonl", exec(r#""perl","-e","1""#));
    check(
        &explain(&folder, &["--why-not", "a.yml", "e.jsonl"]),
        1,
        &expect![[r#"
            A
              a.yml:1
              matches
        "#]],
    );
    check(
        &explain(&folder, &["a.yml", "e.jsonl"]),
        0,
        &expect![[r#"
            A
              a.yml:1
              runs on process_creation, found by a literal
              matches

              process_creation: matches
                a holds, decides
                  true  Image: saw '/usr/bin/perl', met endswith '/perl'
        "#]],
    );
    let ran = explain(&folder, &["--why-not", "a.yml"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(ran.err.contains("EVENT"), "{}", ran.err);
}

#[test]
fn an_event_that_the_log_source_does_not_see_names_those_that_do() {
    let folder = Folder::new();
    folder.write(
        "a.yml",
        "title: A\nlogsource: {product: linux, category: file_event}\ndetection: {a: {TargetFilename: /x}, condition: a}\n",
    );
    folder.write("e.jsonl", exec(r#""perl""#));
    check(
        &explain(&folder, &["--why-not", "a.yml", "e.jsonl"]),
        0,
        &expect![[r#"
            A
              a.yml:1
              does not match
              the event gives no view of file_event; it is seen by process_creation, auditd, laurel
        "#]],
    );
}

#[test]
fn a_correlation_tells_how_far_its_groups_came() {
    let folder = Folder::new();
    folder.write(
        "base.yml",
        "title: Failed login
name: failed_login
logsource: {product: linux, service: auditd}
detection: {a: {type: USER_LOGIN, res: failed}, condition: a}
---
title: Login
name: login
logsource: {product: linux, service: auditd}
detection: {a: {type: USER_LOGIN, res: success}, condition: a}
",
    );
    folder.write(
        "brute.yml",
        "title: Many failed logins
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [host, acct]
  timespan: 1m
  condition: {gte: 3}
---
title: A login after failed ones
correlation:
  type: temporal_ordered
  rules: [failed_login, login]
  group-by: [account]
  aliases: {account: {failed_login: acct, login: acct}}
  timespan: 1h
",
    );
    let login = |second: u32, host: &str, res: &str| {
        format!(
            r#"{{"ID":"17000000{second}.123:1","NODE":"{host}","USER_LOGIN":{{"pid":7,"msg":{{"op":"login","acct":"bob","res":"{res}"}}}}}}"#
        ) + "\n"
    };
    let lines = [
        login(10, "web-01", "failed"),
        login(50, "web-01", "failed"),
        login(30, "web-02", "failed"),
        login(80, "web-01", "failed"),
    ];
    folder.write("short.jsonl", lines.concat());
    let arguments = ["--rules", "base.yml", "brute.yml"];
    check(
        &explain(&folder, &arguments),
        0,
        &expect![[r#"
        Many failed logins
          brute.yml:1
          correlation event_count of failed_login
          grouped by host, acct
          within 1m
          condition: gte 3
          runs in `pythia scan` and in `pythia run`

        A login after failed ones
          brute.yml:9
          correlation temporal_ordered of failed_login, login
          grouped by account
            account is acct of failed_login
            account is acct of login
          within 1h
          condition: failed_login and login
          runs in `pythia scan`, not in `pythia run`: `pythia run` evaluates only what is grouped by `host`: the events of one host come to one instance, those of other groups to several; add `host` to `group-by`, or evaluate it with `pythia scan`
    "#]],
    );
    check(
        &explain(&folder, &[&arguments[..], &["short.jsonl"]].concat()),
        0,
        &expect![[r#"
            Many failed logins
              brute.yml:1
              correlation event_count of failed_login
              grouped by host, acct
              within 1m
              condition: gte 3
              runs in `pythia scan` and in `pythia run`

              does not fire
              matched: Failed login, 4 times
              2 groups
                host web-01, acct bob: came to 2 (gte 3 is asked), 2 events, window 2023-11-14T22:13:40Z to 2023-11-14T22:14:40Z
                host web-02, acct bob: came to 1 (gte 3 is asked), 1 event, window 2023-11-14T22:12:50Z to 2023-11-14T22:13:50Z

            A login after failed ones
              brute.yml:9
              correlation temporal_ordered of failed_login, login
              grouped by account
                account is acct of failed_login
                account is acct of login
              within 1h
              condition: failed_login and login
              runs in `pythia scan`, not in `pythia run`: `pythia run` evaluates only what is grouped by `host`: the events of one host come to one instance, those of other groups to several; add `host` to `group-by`, or evaluate it with `pythia scan`

              does not fire
              matched: Failed login, 4 times
              1 group
                account bob: saw 1 of 2 rules, 4 events, window 2023-11-14T21:14:40Z to 2023-11-14T22:14:40Z, without login
        "#]],
    );
    let more = [
        login(20, "web-01", "failed"),
        login(90, "web-01", "success"),
    ];
    folder.write("long.jsonl", lines.concat() + &more.concat());
    let ran = explain(
        &folder,
        &[&arguments[..], &["--why-not", "long.jsonl"]].concat(),
    );
    check(
        &ran,
        1,
        &expect![[r#"
            Many failed logins
              brute.yml:1
              correlation event_count of failed_login
              grouped by host, acct
              within 1m
              condition: gte 3
              runs in `pythia scan` and in `pythia run`

              fires 1 time
              matched: Failed login, 5 times
              2 groups
                host web-01, acct bob: came to 3 (gte 3 is asked), 3 events, window 2023-11-14T22:13:40Z to 2023-11-14T22:14:40Z
                host web-02, acct bob: came to 1 (gte 3 is asked), 1 event, window 2023-11-14T22:12:50Z to 2023-11-14T22:13:50Z
              fired: host web-01, acct bob at 2023-11-14T22:14:10Z, window 2023-11-14T22:13:10Z to 2023-11-14T22:14:10Z

            A login after failed ones
              brute.yml:9
              correlation temporal_ordered of failed_login, login
              grouped by account
                account is acct of failed_login
                account is acct of login
              within 1h
              condition: failed_login and login
              runs in `pythia scan`, not in `pythia run`: `pythia run` evaluates only what is grouped by `host`: the events of one host come to one instance, those of other groups to several; add `host` to `group-by`, or evaluate it with `pythia scan`

              fires 1 time
              matched: Failed login, 5 times
              matched: Login, 1 time
              1 group
                account bob: saw 2 of 2 rules, 6 events, window 2023-11-14T21:14:50Z to 2023-11-14T22:14:50Z
              fired: account bob at 2023-11-14T22:14:50Z, window 2023-11-14T21:14:50Z to 2023-11-14T22:14:50Z
        "#]],
    );
    let told = json(&folder, &[&arguments[..], &["long.jsonl"]].concat());
    assert_eq!(told[0]["fired"][0]["number"], "3");
    assert_eq!(
        told[0]["correlation"]["not_running_in_service"],
        Value::Null
    );
    assert!(told[1]["correlation"]["not_running_in_service"].is_string());
    // A rule that lies in both is loaded once.
    let ran = explain(&folder, &["--rules", "base.yml", "base.yml", "short.jsonl"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{}", ran.out);
    let ran = explain(&folder, &["--rules", "brute.yml", "base.yml"]);
    assert!(
        ran.out.contains("alerts through correlations alone"),
        "{}",
        ran.out
    );
    // Without the rules it cannot even load.
    let ran = explain(&folder, &["brute.yml"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    expect![[r#"
        3 errors in rules; `pythia check` shows all
        error: brute.yml: no rule to explain; `pythia check brute.yml` says why (what a correlation reads is named with --rules)
    "#]]
    .assert_eq(&ran.err);
}

#[test]
fn nothing_of_an_event_or_a_rule_steers_the_terminal() {
    let folder = Folder::new();
    let hostile = "\\u001b[31mred\\u202e";
    folder.write(
        "a.yml",
        format!(
            "title: \"{hostile}\"\nid: \"{hostile}\"\nlogsource: {{product: linux, category: process_creation}}\n\
             detection:\n  \"a\": {{CommandLine|contains: \"x{hostile}\", \"b{hostile}\": 1}}\n  b: {{User: \"{hostile}\"}}\n  \
             condition: a or b\n"
        ),
    );
    folder.write("e.jsonl", exec(&format!("\"perl\",\"y{hostile}\"")));
    for arguments in [
        &["a.yml"][..],
        &["a.yml", "e.jsonl"],
        &["--why-not", "a.yml", "e.jsonl"],
        &["-v", "a.yml", "e.jsonl"],
    ] {
        let ran = explain(&folder, arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(
            ran.out.contains("red") && !steers(&ran.out),
            "{:?}",
            ran.out
        );
    }
}

#[test]
fn the_lines_before_tell_every_rule_who_the_parent_is() {
    let folder = Folder::new();
    let parent = r#"{"ID":"1700000000.023:1","SYSCALL":{"success":"yes","pid":900,"exe":"/usr/bin/bash","PID":{"EVENT_ID":"1700000000.023:1"}},"EXECVE":{"ARGV":["bash","/opt/job.sh"]}}"#;
    let child = r#"{"ID":"1700000000.123:2","SYSCALL":{"success":"yes","pid":901,"ppid":900,"exe":"/usr/bin/perl","PPID":{"EVENT_ID":"1700000000.023:1"}},"EXECVE":{"ARGV":["perl"]}}"#;
    folder.write("e.jsonl", format!("{parent}\n\n{child}\n{parent}\n"));
    for name in ["a", "b"] {
        folder.write(
            &format!("{name}.yml"),
            format!("title: {name}\nlogsource: {{product: linux, category: process_creation}}\ndetection: {{a: {{ParentCommandLine: 'bash /opt/job.sh'}}, condition: a}}\n"),
        );
    }
    let told = json(&folder, &[".", "e.jsonl:3"]);
    assert_eq!([&told[0]["matches"], &told[1]["matches"]], [true, true]);
    let told = json(&folder, &[".", "e.jsonl"]);
    assert_eq!([&told[0]["matches"], &told[1]["matches"]], [false, false]);
}
