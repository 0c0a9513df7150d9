//! Sections 1 and 3 of the format description by hand-written lines: each shape, and what views see
//! of it.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes its texts with them"
)]

use expect_test::{Expect, expect};

use super::Bench;
use crate::{Limits, Profile, RecordClass, ViewKind};

/// What every field of these views says, and from where.
fn check(wanted: &[(ViewKind, &str)], line: &str, expected: &Expect) {
    expected.assert_eq(&Bench::new(Profile::laurel(), wanted).show(line));
}

fn record(fields: &[&'static str]) -> Vec<(ViewKind, &'static str)> {
    fields
        .iter()
        .map(|field| (ViewKind::Record, *field))
        .collect()
}

fn native(fields: &[&'static str]) -> Vec<(ViewKind, &'static str)> {
    fields
        .iter()
        .map(|field| (ViewKind::Native, *field))
        .collect()
}

/// The example of the format description.
const EXAMPLE: &str = r##"{"ID":"1700000000.123:4711","NODE":"web-01.corp.example","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"items":2,"ppid":900,"pid":912,"auid":4294967295,"uid":33,"gid":33,"euid":33,"suid":33,"fsuid":33,"egid":33,"sgid":33,"fsgid":33,"tty":"(none)","ses":4294967295,"comm":"run.sh","exe":"/usr/bin/dash","key":"exec%01www","ARGV":["0x7ffd10","0x7ffd20","0x7ffd30","0x8"],"ARCH":"x86_64","SYSCALL":"execve","PID":{"EVENT_ID":"1700000000.123:4711","container":{"id":"cafe"},"systemd_service":["tomcat"]},"UID":"www-data","AUID":"unset","UID_GROUPS":["www-data","#2001"],"LABELS":["weblogic"],"SCRIPT":"/srv/app/run.sh","EXE_HASH":"beef","PPID":{"START_TIME":"1699990000.500"},"SPAWNED_BY":{"START_TIME":"1699990000.500","pid":900,"comm":"java","exe":"/usr/bin/java"}},"EXECVE":{"argc":4,"ARGV":["/bin/sh","./run.sh","date %2b%25s","two%0alines"],"ENV":{"LD_PRELOAD":"/tmp/x.so"}},"CWD":{"cwd":"/srv/app"},"PATH":[{"item":0,"name":"./run.sh","inode":247,"dev":"fe:00","mode":"0o100755","ouid":0,"ogid":0,"rdev":"00:00","nametype":"NORMAL","cap_fp":"0x0","cap_fe":0,"OUID":"root","OGID":"root"}],"PROCTITLE":{"ARGV":["/bin/sh","./run.sh","date %2b%25s","two%0alines"]}}"##;

#[test]
fn an_exec_is_a_process_creation_with_all_its_fields() {
    let mut bench = Bench::mapped();
    expect![[r#"
        ProcessCreation
          CommandLine: "/bin/sh ./run.sh date +%s two\nlines" <EXECVE.ARGV>
          CurrentDirectory: "/srv/app" <CWD.cwd>
          Hashes: "SHA256=beef" <SYSCALL.EXE_HASH>
          Image: "/usr/bin/dash" <SYSCALL.exe> | "/srv/app/run.sh" <PATH[0].name>
          LogonId: 33 <SYSCALL.uid>
          ParentImage: "/usr/bin/java" <SYSCALL.SPAWNED_BY.exe>
          ParentProcessGuid: "1699990000.500/900" <SYSCALL.SPAWNED_BY.START_TIME>
          ParentProcessId: 900 <SYSCALL.ppid>
          ProcessGuid: "1700000000.123:4711" <SYSCALL.PID.EVENT_ID>
          ProcessId: 912 <SYSCALL.pid>
          User: "www-data" <SYSCALL.UID>
          host: "web-01.corp.example" <host>
          process.labels: "weblogic" <SYSCALL.LABELS[0]>
          sha256: "beef" <SYSCALL.EXE_HASH>
    "#]]
    .assert_eq(&bench.show(EXAMPLE));
    let event = bench.decode(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(
        (event.id().time_ms, event.id().serial),
        (1_700_000_000_123, 4_711)
    );
    assert_eq!(event.id().to_string(), "1700000000.123:4711");
    assert_eq!(event.host(), Some(&b"web-01.corp.example"[..]));
    assert_eq!(event.text(), EXAMPLE.as_bytes());
    let process = event.process();
    let text = |text: Option<&[u8]>| text.map(|text| String::from_utf8(text.to_vec()).unwrap());
    let texts = [
        (process.exe.as_deref(), Some("/usr/bin/dash")),
        (
            process.command_line.as_deref(),
            Some("/bin/sh ./run.sh date +%s two\nlines"),
        ),
        (process.cwd.as_deref(), Some("/srv/app")),
        (process.user.as_deref(), Some("www-data")),
        (process.tty.as_deref(), Some("(none)")),
        (process.container.as_deref(), Some("cafe")),
    ];
    for (found, expected) in texts {
        assert_eq!(text(found).as_deref(), expected);
    }
    let numbers = (process.pid, process.ppid, process.auid, process.session);
    assert_eq!(
        numbers,
        (
            Some(912),
            Some(900),
            Some(4_294_967_295),
            Some(4_294_967_295)
        )
    );
    assert_eq!(
        (process.labels, process.services),
        (vec![b"weblogic"[..].into()], vec![b"tomcat"[..].into()])
    );
    let parent = process.parent.unwrap();
    assert_eq!(
        (parent.pid, text(parent.exe.as_deref()).as_deref()),
        (Some(900), Some("/usr/bin/java"))
    );
    assert_eq!(
        (text(parent.comm.as_deref()).as_deref(), parent.command_line),
        (Some("java"), None)
    );
    assert!(process.ancestors.is_empty());
}

#[test]
fn each_record_is_a_view_of_its_own_members() {
    let fields = [
        "type",
        "a0",
        "a1",
        "a2",
        "a3",
        "a4",
        "name",
        "nametype",
        "exe",
        "key",
        "SYSCALL",
        "uid",
        "cwd",
        "ouid",
        "argc",
        "cap_fe",
        "mode",
        "process.labels",
        "host",
        "UID_GROUPS",
        "PID",
    ];
    check(
        &record(&fields),
        EXAMPLE,
        &expect![[r##"
        Record Syscall
          PID: .. <SYSCALL.PID>
          SYSCALL: "execve" <SYSCALL.SYSCALL>
          UID_GROUPS: "www-data" <SYSCALL.UID_GROUPS[0]> | "#2001" <SYSCALL.UID_GROUPS[1]>
          a0: "7ffd10" <SYSCALL.ARGV[0]>
          a1: "7ffd20" <SYSCALL.ARGV[1]>
          a2: "7ffd30" <SYSCALL.ARGV[2]>
          a3: "8" <SYSCALL.ARGV[3]>
          exe: "/usr/bin/dash" <SYSCALL.exe>
          host: "web-01.corp.example" <host>
          key: "exec" <SYSCALL.key> | "www" <SYSCALL.key>
          process.labels: "weblogic" <SYSCALL.LABELS[0]>
          type: "SYSCALL" <SYSCALL>
          uid: 33 <SYSCALL.uid>
        Record Execve
          a0: "/bin/sh" <EXECVE.ARGV[0]>
          a1: "./run.sh" <EXECVE.ARGV[1]>
          a2: "date +%s" <EXECVE.ARGV[2]>
          a3: "two\nlines" <EXECVE.ARGV[3]>
          argc: 4 <EXECVE.argc>
          host: "web-01.corp.example" <host>
          process.labels: "weblogic" <SYSCALL.LABELS[0]>
          type: "EXECVE" <EXECVE>
        Record Other
          cwd: "/srv/app" <CWD.cwd>
          host: "web-01.corp.example" <host>
          process.labels: "weblogic" <SYSCALL.LABELS[0]>
          type: "CWD" <CWD>
        Record Path
          cap_fe: 0 <PATH[0].cap_fe>
          host: "web-01.corp.example" <host>
          mode: "0o100755" <PATH[0].mode>
          name: "./run.sh" <PATH[0].name> | "/srv/app/run.sh" <PATH[0].name>
          nametype: "NORMAL" <PATH[0].nametype>
          ouid: 0 <PATH[0].ouid>
          process.labels: "weblogic" <SYSCALL.LABELS[0]>
          type: "PATH" <PATH[0]>
        Record Other
          host: "web-01.corp.example" <host>
          process.labels: "weblogic" <SYSCALL.LABELS[0]>
          type: "PROCTITLE" <PROCTITLE>
    "##]],
    );
}

#[test]
fn keywords_of_records_are_arguments_or_every_value() {
    check(
        &record(&["<keywords>"]),
        EXAMPLE,
        &expect![[r##"
            Record Syscall
              keywords: "0xc000003e" <SYSCALL.arch> | 59 <SYSCALL.syscall> | "yes" <SYSCALL.success> | 0 <SYSCALL.exit> | 2 <SYSCALL.items> | 900 <SYSCALL.ppid> | 912 <SYSCALL.pid> | 4294967295 <SYSCALL.auid> | 33 <SYSCALL.uid> | 33 <SYSCALL.gid> | 33 <SYSCALL.euid> | 33 <SYSCALL.suid> | 33 <SYSCALL.fsuid> | 33 <SYSCALL.egid> | 33 <SYSCALL.sgid> | 33 <SYSCALL.fsgid> | "(none)" <SYSCALL.tty> | 4294967295 <SYSCALL.ses> | "run.sh" <SYSCALL.comm> | "/usr/bin/dash" <SYSCALL.exe> | "exec" <SYSCALL.key> | "www" <SYSCALL.key> | "0x7ffd10" <SYSCALL.ARGV[0]> | "0x7ffd20" <SYSCALL.ARGV[1]> | "0x7ffd30" <SYSCALL.ARGV[2]> | "0x8" <SYSCALL.ARGV[3]> | "x86_64" <SYSCALL.ARCH> | "execve" <SYSCALL.SYSCALL> | "1700000000.123:4711" <SYSCALL.PID.EVENT_ID> | "cafe" <SYSCALL.PID.container.id> | "tomcat" <SYSCALL.PID.systemd_service[0]> | "www-data" <SYSCALL.UID> | "unset" <SYSCALL.AUID> | "www-data" <SYSCALL.UID_GROUPS[0]> | "#2001" <SYSCALL.UID_GROUPS[1]> | "weblogic" <SYSCALL.LABELS[0]> | "/srv/app/run.sh" <SYSCALL.SCRIPT> | "beef" <SYSCALL.EXE_HASH> | "1699990000.500" <SYSCALL.PPID.START_TIME> | "1699990000.500" <SYSCALL.SPAWNED_BY.START_TIME> | 900 <SYSCALL.SPAWNED_BY.pid> | "java" <SYSCALL.SPAWNED_BY.comm> | "/usr/bin/java" <SYSCALL.SPAWNED_BY.exe>
            Record Execve
              keywords: "/bin/sh ./run.sh date +%s two\nlines" <EXECVE.ARGV>
            Record Other
              keywords: "/srv/app" <CWD.cwd>
            Record Path
              keywords: 0 <PATH[0].item> | "./run.sh" <PATH[0].name> | 247 <PATH[0].inode> | "fe:00" <PATH[0].dev> | "0o100755" <PATH[0].mode> | 0 <PATH[0].ouid> | 0 <PATH[0].ogid> | "00:00" <PATH[0].rdev> | "NORMAL" <PATH[0].nametype> | "0x0" <PATH[0].cap_fp> | 0 <PATH[0].cap_fe> | "root" <PATH[0].OUID> | "root" <PATH[0].OGID>
            Record Other
              keywords: "/bin/sh" <PROCTITLE.ARGV[0]> | "./run.sh" <PROCTITLE.ARGV[1]> | "date +%s" <PROCTITLE.ARGV[2]> | "two\nlines" <PROCTITLE.ARGV[3]>
        "##]],
    );
}

#[test]
fn native_paths_are_laurel_s_own() {
    let fields = [
        "ID",
        "NODE",
        "SYSCALL.exe",
        "SYSCALL.key",
        "SYSCALL.PID.container.id",
        "SYSCALL.PID.systemd_service",
        "EXECVE.ARGV",
        "EXECVE.cmdline",
        "EXECVE.ENV.LD_PRELOAD",
        "PATH.name",
        "PATH.nametype",
        "PATH",
        "SYSCALL.LABELS",
        "process.labels",
        "host",
        "syscall.exe",
        "exe",
        "SYSCALL.SPAWNED_BY.exe",
        "SYSCALL.SYSCALL",
        "SYSCALL.syscall",
        "EXECVE",
    ];
    check(
        &native(&fields),
        EXAMPLE,
        &expect![[r#"
        Native
          EXECVE#2: .. <EXECVE>
          EXECVE.ARGV#2: "/bin/sh" <EXECVE.ARGV[0]> | "./run.sh" <EXECVE.ARGV[1]> | "date +%s" <EXECVE.ARGV[2]> | "two\nlines" <EXECVE.ARGV[3]>
          EXECVE.ENV.LD_PRELOAD#2: "/tmp/x.so" <EXECVE.ENV.LD_PRELOAD>
          EXECVE.cmdline#2: "/bin/sh ./run.sh date +%s two\nlines" <EXECVE.ARGV>
          ID: "1700000000.123:4711" <ID>
          NODE: "web-01.corp.example" <NODE>
          PATH#4: .. <PATH[0]>
          PATH.name#4: "./run.sh" <PATH[0].name> | "/srv/app/run.sh" <PATH[0].name>
          PATH.nametype#4: "NORMAL" <PATH[0].nametype>
          SYSCALL.LABELS#1: "weblogic" <SYSCALL.LABELS[0]>
          SYSCALL.PID.container.id#1: "cafe" <SYSCALL.PID.container.id>
          SYSCALL.PID.systemd_service#1: "tomcat" <SYSCALL.PID.systemd_service[0]>
          SYSCALL.SPAWNED_BY.exe#1: "/usr/bin/java" <SYSCALL.SPAWNED_BY.exe>
          SYSCALL.SYSCALL#1: "execve" <SYSCALL.SYSCALL>
          SYSCALL.exe#1: "/usr/bin/dash" <SYSCALL.exe>
          SYSCALL.key#1: "exec" <SYSCALL.key> | "www" <SYSCALL.key>
          SYSCALL.syscall#1: 59 <SYSCALL.syscall>
          host: "web-01.corp.example" <host>
          process.labels#1: "weblogic" <SYSCALL.LABELS[0]>
    "#]],
    );
}

#[test]
fn native_keywords_are_every_value_and_the_command_line() {
    let line = r#"{"ID":"1.000:1","@timestamp":"not of the event","SYSCALL":{"exe":"/x","items":2,"key":null},"EXECVE":{"argc":2,"ARGV":["a","b%20c"]},"PATH":[{"name":"p"}]}"#;
    check(
        &native(&["<keywords>"]),
        line,
        &expect![[r#"
        Native
          keywords: "1.000:1" <ID>
          keywords#1: "/x" <SYSCALL.exe> | 2 <SYSCALL.items>
          keywords#2: 2 <EXECVE.argc> | "a" <EXECVE.ARGV[0]> | "b c" <EXECVE.ARGV[1]> | "a b c" <EXECVE.ARGV>
          keywords#3: "p" <PATH[0].name>
    "#]],
    );
}

#[test]
fn values_below_one_array_carry_their_element() {
    let line = r#"{"ID":"1.000:1","PATH":[{"name":"/a","nametype":"NORMAL"},{"nametype":"CREATE"},{"name":"/c"}],"AVC":[{"denied":["read","write"]}],"OBJ_PID":[]}"#;
    let fields = native(&[
        "PATH.name",
        "PATH.nametype",
        "AVC.denied",
        "PATH",
        "OBJ_PID",
        "OBJ_PID.opid",
    ]);
    check(
        &fields,
        line,
        &expect![[r#"
        Native
          AVC.denied#4: "read" <AVC[0].denied[0]> | "write" <AVC[0].denied[1]>
          OBJ_PID: .. <OBJ_PID>
          PATH#1: .. <PATH[0]>
          PATH#2: .. <PATH[1]>
          PATH#3: .. <PATH[2]>
          PATH.name#1: "/a" <PATH[0].name>
          PATH.name#3: "/c" <PATH[2].name>
          PATH.nametype#1: "NORMAL" <PATH[0].nametype>
          PATH.nametype#2: "CREATE" <PATH[1].nametype>
    "#]],
    );
}

#[test]
fn a_literal_member_name_comes_before_a_path() {
    let line = r#"{"ID":"1.000:1","X":{"a":{"b":"path","c":"kept"},"a.b":"literal"},"Y":{"a":{"b":"path"}},"X.a.b":{"z":1}}"#;
    check(
        &native(&["X.a.b", "X.a.c", "Y.a.b", "X.a"]),
        line,
        &expect![[r#"
            Native
              X.a#1: .. <X.a>
              X.a.b#1: "literal" <X.a.b>
              X.a.c#1: "kept" <X.a.c>
              Y.a.b#2: "path" <Y.a.b>
        "#]],
    );
}

#[test]
fn records_may_be_objects_or_arrays_of_any_name() {
    let line = r#"{"ID":"1.000:1","UNKNOWN[1340]":{"x":1},"UNKNOWN[]":{"x":2},"BPF":[{"x":3},{"x":4}],"lower":{"x":5},"_X":{"x":6},"CONTAINER_INFO":{"ID":"c"},"PARENT_INFO":{"x":7},"EMPTY":[],"TEXT":"x","LIST":[1,{"x":8}],"N0_1":{"x":9}}"#;
    check(
        &record(&["type", "x"]),
        line,
        &expect![[r#"
        Record Other
          type: "UNKNOWN[1340]" <UNKNOWN[1340]>
          x: 1 <UNKNOWN[1340].x>
        Record Other
          type: "BPF" <BPF[0]>
          x: 3 <BPF[0].x>
        Record Other
          type: "BPF" <BPF[1]>
          x: 4 <BPF[1].x>
        Record Other
          type: "LIST" <LIST[1]>
          x: 8 <LIST[1].x>
        Record Other
          type: "N0_1" <N0_1>
          x: 9 <N0_1.x>
    "#]],
    );
}

#[test]
fn lone_records_are_events_too() {
    for line in [
        r#"{"ID":"1.000:1","CWD":{"cwd":"/"}}"#,
        r#"{"ID":"1.000:1","EXECVE":{"argc":1,"ARGV":["id"]}}"#,
        r#"{"ID":"1.000:1"}"#,
    ] {
        let shown = Bench::mapped().show(line);
        assert_eq!(
            shown.contains("CommandLine: \"id\""),
            line.contains("EXECVE"),
            "{shown}"
        );
    }
}

#[test]
fn a_failed_exec_is_no_process_creation() {
    for (success, expected) in [("no", 0), ("yes", 1)] {
        let line = format!(
            r#"{{"ID":"1.000:1","SYSCALL":{{"success":"{success}"}},"EXECVE":{{"ARGV":["x"]}}}}"#
        );
        let mut bench = Bench::mapped();
        assert_eq!(
            bench.decode(line.as_bytes()).unwrap().views().len(),
            expected
        );
    }
}

#[test]
fn the_last_of_equal_names_counts() {
    let line = r#"{"ID":"1.000:1","SYSCALL":{"AUID":"a","exe":"/first","exe":"/second","AUID":"b"},"SYSCALL":{"exe":"/third","comm":"x","comm":"y"}}"#;
    let mut bench = Bench::new(
        Profile::laurel(),
        &record(&["exe", "comm", "AUID", "<keywords>"]),
    );
    expect![[r#"
        Record Syscall
          comm: "y" <SYSCALL.comm>
          exe: "/third" <SYSCALL.exe>
          keywords: "/third" <SYSCALL.exe> | "y" <SYSCALL.comm>
    "#]]
    .assert_eq(&bench.show(line));
    assert_eq!(bench.counts().duplicate_keys, 1, "one event");
    assert_eq!(bench.counts(), crate::Counts::default(), "taken");
}

#[test]
fn node_may_be_an_array_of_bytes() {
    let line = r#"{"ID":"1.000:1","NODE":[119,101,98,45,48,49],"CWD":{"cwd":"/"}}"#;
    let mut bench = Bench::new(Profile::laurel(), &native(&["NODE", "host"]));
    expect![[r#"
        Native
          NODE: "web-01" <NODE>
          host: "web-01" <host>
    "#]]
    .assert_eq(&bench.show(line));
    assert_eq!(
        bench.decode(line.as_bytes()).unwrap().host(),
        Some(&b"web-01"[..])
    );
}

#[test]
fn keys_are_a_list_and_null_is_none() {
    for (key, expected) in [
        (
            r#""exec%01www""#,
            expect![[r#"
            Record Syscall
              key: "exec" <SYSCALL.key> | "www" <SYSCALL.key>
            Record Other
              key: "exec" <CONFIG_CHANGE[0].key> | "www" <CONFIG_CHANGE[0].key>
            Native
              SYSCALL.key#1: "exec" <SYSCALL.key> | "www" <SYSCALL.key>
        "#]],
        ),
        (
            r#""one""#,
            expect![[r#"
            Record Syscall
              key: "one" <SYSCALL.key>
            Record Other
              key: "one" <CONFIG_CHANGE[0].key>
            Native
              SYSCALL.key#1: "one" <SYSCALL.key>
        "#]],
        ),
        (
            "null",
            expect![[r#"
            Record Syscall
            Record Other
            Native
        "#]],
        ),
        (
            r#""(null)ARCH=x86_64 SYSCALL=execve""#,
            expect![[r#"
            Record Syscall
            Record Other
            Native
        "#]],
        ),
    ] {
        let line = format!(
            r#"{{"ID":"1.000:1","SYSCALL":{{"key":{key}}},"CONFIG_CHANGE":[{{"key":{key}}}]}}"#
        );
        let mut wanted = record(&["key"]);
        wanted.extend(native(&["SYSCALL.key"]));
        check(&wanted, &line, &expected);
    }
}

#[test]
fn msg_text_becomes_members() {
    let fields = record(&[
        "type", "op", "acct", "exe", "hostname", "res", "unit", "cmd", "msg", "pid",
    ]);
    for (msg, expected) in [
        (
            r#""op=PAM:session_open acct=\"root\" exe=\"/usr/sbin/sshd\" hostname=? res=success""#,
            expect![[r#"
                Record Other
                  acct: "root" <USER_TEST.msg.acct>
                  exe: "/usr/sbin/sshd" <USER_TEST.msg.exe>
                  hostname: null <USER_TEST.msg.hostname>
                  msg: .. <USER_TEST.msg>
                  op: "PAM:session_open" <USER_TEST.msg.op>
                  pid: 1 <USER_TEST.pid>
                  res: "success" <USER_TEST.msg.res>
                  type: "USER_TEST" <USER_TEST>
            "#]],
        ),
        (
            r#""'unit=tomcat comm=\"systemd\" hostname=(null) res=failed'""#,
            expect![[r#"
                Record Other
                  hostname: null <USER_TEST.msg.hostname>
                  msg: .. <USER_TEST.msg>
                  pid: 1 <USER_TEST.pid>
                  res: "failed" <USER_TEST.msg.res>
                  type: "USER_TEST" <USER_TEST>
                  unit: "tomcat" <USER_TEST.msg.unit>
            "#]],
        ),
        (
            r#"" op=x pid=7 acct=\"a b\"""#,
            expect![[r#"
            Record Other
              acct: "a b" <USER_TEST.msg.acct>
              msg: .. <USER_TEST.msg>
              op: "x" <USER_TEST.msg.op>
              pid: 1 <USER_TEST.pid>
              type: "USER_TEST" <USER_TEST>
        "#]],
        ),
        (
            r#""cmd=6C73202D6C acct=root op=cafe""#,
            expect![[r#"
            Record Other
              acct: "root" <USER_TEST.msg.acct>
              cmd: "ls -l" <USER_TEST.msg.cmd>
              msg: .. <USER_TEST.msg>
              op: "cafe" <USER_TEST.msg.op>
              pid: 1 <USER_TEST.pid>
              type: "USER_TEST" <USER_TEST>
        "#]],
        ),
        (
            r#""op=one op=two""#,
            expect![[r#"
            Record Other
              msg: .. <USER_TEST.msg>
              op: "two" <USER_TEST.msg.op>
              pid: 1 <USER_TEST.pid>
              type: "USER_TEST" <USER_TEST>
        "#]],
        ),
        (
            r#""kernel 5.10 booted""#,
            expect![[r#"
            Record Other
              msg: "kernel 5.10 booted" <USER_TEST.msg>
              pid: 1 <USER_TEST.pid>
              type: "USER_TEST" <USER_TEST>
        "#]],
        ),
        (
            r#""op=add user to group acct=\"x\"""#,
            expect![[r#"
            Record Other
              msg: "op=add user to group acct=\"x\"" <USER_TEST.msg>
              pid: 1 <USER_TEST.pid>
              type: "USER_TEST" <USER_TEST>
        "#]],
        ),
        (
            r#""""#,
            expect![[r#"
            Record Other
              msg: "" <USER_TEST.msg>
              pid: 1 <USER_TEST.pid>
              type: "USER_TEST" <USER_TEST>
        "#]],
        ),
    ] {
        let line = format!(r#"{{"ID":"1.000:1","USER_TEST":{{"pid":1,"msg":{msg}}}}}"#);
        check(&fields, &line, &expected);
    }
}

#[test]
fn members_of_msg_yield_to_the_record_s_own() {
    let line = r#"{"ID":"1.000:1","USER_LOGIN":{"pid":77,"exe":"/own","msg":{"exe":"/message","acct":"bob","hostname":null,"id":"0"}}}"#;
    let mut wanted = record(&["exe", "acct", "hostname", "id", "msg"]);
    wanted.extend(native(&[
        "USER_LOGIN.msg.acct",
        "USER_LOGIN.msg.exe",
        "USER_LOGIN.exe",
    ]));
    check(
        &wanted,
        line,
        &expect![[r#"
        Record Other
          acct: "bob" <USER_LOGIN.msg.acct>
          exe: "/own" <USER_LOGIN.exe>
          hostname: null <USER_LOGIN.msg.hostname>
          id: "0" <USER_LOGIN.msg.id>
          msg: .. <USER_LOGIN.msg>
        Native
          USER_LOGIN.exe#1: "/own" <USER_LOGIN.exe>
          USER_LOGIN.msg.acct#1: "bob" <USER_LOGIN.msg.acct>
          USER_LOGIN.msg.exe#1: "/message" <USER_LOGIN.msg.exe>
    "#]],
    );
}

#[test]
fn members_that_laurel_took_for_hex_are_repaired() {
    let line = r#"{"ID":"1.000:1","ADD_USER":{"msg":{"id":"%10%01","lport":"\"","rport":"7","suid":"100","ksize":"%c0%ff","spid":"31","new_gid":null,"hostname":"%ca%fe","addr":"?","terminal":"/dev/pts/0","acct":"%ca%fe"}},"CONFIG_CHANGE":[{"old":"d","key":"x"},{"old":1}]}"#;
    let fields = [
        "id", "lport", "rport", "suid", "ksize", "spid", "new_gid", "hostname", "addr", "terminal",
        "acct", "old",
    ];
    let mut bench = Bench::new(Profile::laurel(), &record(&fields));
    expect![[r#"
        Record Other
          acct: "��" <ADD_USER.msg.acct>
          addr: "?" <ADD_USER.msg.addr>
          hostname: "cafe" <ADD_USER.msg.hostname>
          id: "1001" <ADD_USER.msg.id>
          ksize: "��" <ADD_USER.msg.ksize>
          lport: "22" <ADD_USER.msg.lport>
          new_gid: null <ADD_USER.msg.new_gid>
          rport: "7" <ADD_USER.msg.rport>
          spid: "3331" <ADD_USER.msg.spid>
          suid: "100" <ADD_USER.msg.suid>
          terminal: "/dev/pts/0" <ADD_USER.msg.terminal>
        Record Other
          old: "64" <CONFIG_CHANGE[0].old>
        Record Other
          old: 1 <CONFIG_CHANGE[1].old>
    "#]]
    .assert_eq(&bench.show(line));
    assert_eq!(bench.counts().hex_unrepaired, 1, "ksize: c0ff is no number");
}

#[test]
fn socket_addresses_of_all_forms_are_one_object() {
    let fields = native(&[
        "SOCKADDR.SADDR.saddr_fam",
        "SOCKADDR.SADDR.addr",
        "SOCKADDR.SADDR.port",
        "SOCKADDR.SADDR.path",
        "SOCKADDR.SADDR.pid",
        "SOCKADDR.SADDR.scope_id",
    ]);
    for (element, expected) in [
        (
            r#"{"SADDR":{"saddr_fam":"inet","addr":"192.0.2.9","port":443}}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.addr#1: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  SOCKADDR.SADDR.port#1: 443 <SOCKADDR[0].SADDR.port>
                  SOCKADDR.SADDR.saddr_fam#1: "inet" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"saddr":"%02%00%01%bb%c0%00%02%09%00%00%00%00%00%00%00%00","SADDR":"{saddr_fam=inet laddr=192.0.2.9 lport=443}"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.addr#1: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  SOCKADDR.SADDR.port#1: 443 <SOCKADDR[0].SADDR.port>
                  SOCKADDR.SADDR.saddr_fam#1: "inet" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"saddr":"%02%00%01%bb%c0%00%02%09%00%00%00%00%00%00%00%00"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.addr#1: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  SOCKADDR.SADDR.port#1: 443 <SOCKADDR[0].SADDR.port>
                  SOCKADDR.SADDR.saddr_fam#1: "inet" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"saddr":"%02%00%01%bb%c0%00%02%09","SADDR":"unknown family(7)"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.addr#1: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  SOCKADDR.SADDR.port#1: 443 <SOCKADDR[0].SADDR.port>
                  SOCKADDR.SADDR.saddr_fam#1: "inet" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"SADDR":{"saddr_fam":"inet6","addr":"::ffff:192.0.2.9","port":443,"flowinfo":0,"scope_id":0}}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.addr#1: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  SOCKADDR.SADDR.port#1: 443 <SOCKADDR[0].SADDR.port>
                  SOCKADDR.SADDR.saddr_fam#1: "inet6" <SOCKADDR[0].SADDR.saddr_fam>
                  SOCKADDR.SADDR.scope_id#1: 0 <SOCKADDR[0].SADDR.scope_id>
            "#]],
        ),
        (
            r#"{"SADDR":"{saddr_fam=inet6 laddr=::ffff:192.0.2.9 lport=443}"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.addr#1: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  SOCKADDR.SADDR.port#1: 443 <SOCKADDR[0].SADDR.port>
                  SOCKADDR.SADDR.saddr_fam#1: "inet6" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"saddr":"%0a%00%00%16%00%00%00%00 %01%0d%b8%00%00%00%00%00%00%00%00%00%00%00%01%02%00%00%00"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.addr#1: "2001:db8::1" <SOCKADDR[0].SADDR.addr>
                  SOCKADDR.SADDR.port#1: 22 <SOCKADDR[0].SADDR.port>
                  SOCKADDR.SADDR.saddr_fam#1: "inet6" <SOCKADDR[0].SADDR.saddr_fam>
                  SOCKADDR.SADDR.scope_id#1: 2 <SOCKADDR[0].SADDR.scope_id>
            "#]],
        ),
        (
            r#"{"saddr":"%01%00/run/nscd/socket%00junk"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.path#1: "/run/nscd/socket" <SOCKADDR[0].SADDR.path>
                  SOCKADDR.SADDR.saddr_fam#1: "local" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"saddr":"%01%00%00abstract%00"}"#,
            expect![[r#"
            Native
              SOCKADDR.SADDR.path#1: "\0abstract" <SOCKADDR[0].SADDR.path>
              SOCKADDR.SADDR.saddr_fam#1: "local" <SOCKADDR[0].SADDR.saddr_fam>
        "#]],
        ),
        (
            r#"{"SADDR":"{saddr_fam=local path=/run/a b}"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.path#1: "/run/a b" <SOCKADDR[0].SADDR.path>
                  SOCKADDR.SADDR.saddr_fam#1: "local" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"SADDR":"{saddr_fam=netlink nlnk-fam=16 nlnk-pid=7}"}"#,
            expect![[r#"
                Native
                  SOCKADDR.SADDR.pid#1: 7 <SOCKADDR[0].SADDR.pid>
                  SOCKADDR.SADDR.saddr_fam#1: "netlink" <SOCKADDR[0].SADDR.saddr_fam>
            "#]],
        ),
        (
            r#"{"saddr":"%00%00%00%00"}"#,
            expect![[r#"
            Native
        "#]],
        ),
        (
            r#"{"saddr":"%02"}"#,
            expect![[r#"
            Native
        "#]],
        ),
    ] {
        check(
            &fields,
            &format!(r#"{{"ID":"1.000:1","SOCKADDR":[{element}]}}"#),
            &expected,
        );
    }
}

#[test]
fn only_internet_addresses_of_connecting_calls_are_connections() {
    let inet = r#""SOCKADDR":[{"SADDR":{"saddr_fam":"inet","addr":"192.0.2.9","port":443}}]"#;
    let local = r#""SOCKADDR":[{"SADDR":{"saddr_fam":"local","path":"/run/x"}}]"#;
    for (syscall, sockaddr, expected) in [
        (
            r#""SYSCALL":"connect","success":"yes","exit":0,"exe":"/usr/bin/curl","uid":0"#,
            inet,
            expect![[r#"
                NetworkConnection
                  DestinationIp: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  DestinationPort: 443 <SOCKADDR[0].SADDR.port>
                  Image: "/usr/bin/curl" <SYSCALL.exe>
                  Initiated: "true" <SYSCALL.SYSCALL>
                  User: "root" <SYSCALL.uid>
            "#]],
        ),
        (
            r#""SYSCALL":"connect","success":"no","exit":-115"#,
            inet,
            expect![[r#"
                NetworkConnection
                  DestinationIp: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  DestinationPort: 443 <SOCKADDR[0].SADDR.port>
                  Initiated: "true" <SYSCALL.SYSCALL>
            "#]],
        ),
        (
            r#""SYSCALL":"connect","success":"no","exit":-111"#,
            inet,
            expect![[""]],
        ),
        (
            r#""SYSCALL":"sendto","success":"yes""#,
            inet,
            expect![[r#"
            NetworkConnection
              DestinationIp: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
              DestinationPort: 443 <SOCKADDR[0].SADDR.port>
              Initiated: "true" <SYSCALL.SYSCALL>
        "#]],
        ),
        (
            r#""SYSCALL":"accept4","success":"yes""#,
            inet,
            expect![[r#"
                NetworkConnection
                  Initiated: "false" <SYSCALL.SYSCALL>
                  SourceIp: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  SourcePort: 443 <SOCKADDR[0].SADDR.port>
            "#]],
        ),
        (
            r#""SYSCALL":"accept","success":"no","exit":-115"#,
            inet,
            expect![[""]],
        ),
        (r#""SYSCALL":"bind","success":"yes""#, inet, expect![[""]]),
        (
            r#""SYSCALL":"connect","success":"yes""#,
            local,
            expect![[""]],
        ),
        (
            r#""arch":"0x40000003","syscall":102,"ARGV":["0x3","0xff"],"success":"yes""#,
            inet,
            expect![[r#"
                NetworkConnection
                  DestinationIp: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  DestinationPort: 443 <SOCKADDR[0].SADDR.port>
                  Initiated: "true" <SYSCALL.SYSCALL>
            "#]],
        ),
        (
            r#""arch":"0xc00000b7","syscall":203,"success":"yes""#,
            inet,
            expect![[r#"
                NetworkConnection
                  DestinationIp: "192.0.2.9" <SOCKADDR[0].SADDR.addr>
                  DestinationPort: 443 <SOCKADDR[0].SADDR.port>
                  Initiated: "true" <SYSCALL.SYSCALL>
            "#]],
        ),
    ] {
        let line = format!(r#"{{"ID":"1.000:1","SYSCALL":{{{syscall}}},{sockaddr}}}"#);
        expected.assert_eq(&Bench::mapped().show(&line));
    }
}

#[test]
fn syscalls_have_their_names() {
    for (syscall, unknown, expected) in [
        (
            r#""arch":"0xc000003e","syscall":59,"SYSCALL":"execve""#,
            0,
            expect![[r#"
                Record Syscall
                  SYSCALL: "execve" <SYSCALL.SYSCALL>
                Native
                  SYSCALL.SYSCALL#1: "execve" <SYSCALL.SYSCALL>
            "#]],
        ),
        (
            r#""arch":"0xc000003e","syscall":59"#,
            0,
            expect![[r#"
            Record Syscall
              SYSCALL: "execve" <SYSCALL.SYSCALL>
            Native
              SYSCALL.SYSCALL#1: "execve" <SYSCALL.SYSCALL>
        "#]],
        ),
        (
            r#""arch":"0xc00000b7","syscall":221"#,
            0,
            expect![[r#"
            Record Syscall
              SYSCALL: "execve" <SYSCALL.SYSCALL>
            Native
              SYSCALL.SYSCALL#1: "execve" <SYSCALL.SYSCALL>
        "#]],
        ),
        (
            r#""arch":"0x40000003","syscall":102,"ARGV":["0x3","0x0"]"#,
            0,
            expect![[r#"
                Record Syscall
                  SYSCALL: "socketcall" <SYSCALL.SYSCALL> | "connect" <SYSCALL.SYSCALL>
                Native
                  SYSCALL.SYSCALL#1: "socketcall" <SYSCALL.SYSCALL> | "connect" <SYSCALL.SYSCALL>
            "#]],
        ),
        (
            r#""arch":"0x40000003","syscall":102,"ARCH":"i386","SYSCALL":"socketcall","ARGV":["0x12"]"#,
            0,
            expect![[r#"
                Record Syscall
                  SYSCALL: "socketcall" <SYSCALL.SYSCALL> | "accept4" <SYSCALL.SYSCALL>
                Native
                  SYSCALL.SYSCALL#1: "socketcall" <SYSCALL.SYSCALL> | "accept4" <SYSCALL.SYSCALL>
            "#]],
        ),
        (
            r#""arch":"0xc000003e","syscall":9999"#,
            1,
            expect![[r#"
            Record Syscall
            Native
        "#]],
        ),
        (
            r#""arch":"0xc0000015","syscall":59"#,
            1,
            expect![[r#"
            Record Syscall
            Native
        "#]],
        ),
        (
            r#""x_arch":"x86_64","x_syscall":"openat","arch":"0xc000003e","syscall":257"#,
            0,
            expect![[r#"
                Record Syscall
                  SYSCALL: "openat" <SYSCALL.SYSCALL>
                Native
                  SYSCALL.SYSCALL#1: "openat" <SYSCALL.SYSCALL>
            "#]],
        ),
    ] {
        let line = format!(r#"{{"ID":"1.000:1","SYSCALL":{{{syscall}}}}}"#);
        let mut wanted = record(&["SYSCALL"]);
        wanted.extend(native(&["SYSCALL.SYSCALL"]));
        let mut bench = Bench::new(Profile::laurel(), &wanted);
        expected.assert_eq(&bench.show(&line));
        assert_eq!(bench.counts().unknown_syscall, unknown, "{syscall}");
    }
}

#[test]
fn relative_names_get_their_directory_or_say_that_it_is_unknown() {
    let named = |syscall: &str, argv: &str, name: &str, cwd: &str| {
        let line = format!(
            r#"{{"ID":"1.000:1","SYSCALL":{{"SYSCALL":"{syscall}","ARGV":[{argv}],"success":"yes"}},{cwd}"PATH":[{{"name":"{name}","nametype":"CREATE"}}]}}"#
        );
        let mut bench = Bench::new(
            Profile::laurel(),
            &[
                (ViewKind::FileEvent, "TargetFilename"),
                (ViewKind::Record, "name"),
            ],
        );
        let event = bench.decode(line.as_bytes()).unwrap();
        let texts = |view: usize| {
            let values = event.values(&event.views()[view]).iter();
            values
                .map(|value| String::from_utf8_lossy(event.bytes(value.span)).into_owned())
                .collect::<Vec<_>>()
        };
        let mut records = event
            .views()
            .iter()
            .enumerate()
            .filter(|(_, view)| view.kind == ViewKind::Record);
        let path = records
            .rfind(|(_, view)| view.class == RecordClass::Path)
            .unwrap()
            .0;
        (texts(0), texts(path))
    };
    let cwd = r#""CWD":{"cwd":"/srv/a%70p"},"#;
    let here = r#""0xffffff9c","0x1""#;
    for (syscall, argv, name, cwd, absolute) in [
        ("open", "", "./x", cwd, "/srv/app/x"),
        ("open", "", "../x/%41", cwd, "/srv/x/A"),
        ("open", "", "/abs/../x", cwd, "/abs/../x"),
        ("open", "", "x", "", "x"),
        (
            "open",
            "",
            "x",
            r#""CWD":{"cwd":"(unreachable)/srv"},"#,
            "x",
        ),
        ("openat", here, "x", cwd, "/srv/app/x"),
        ("openat", r#""0xffffffffffffff9c""#, "x", cwd, "/srv/app/x"),
        ("openat", r#""0x5""#, "x", cwd, "<dirfd>/x"),
        ("openat", r#""0x5""#, "/x", cwd, "/x"),
        ("openat", "", "x", cwd, "<dirfd>/x"),
        ("stat", r#""0x5""#, "x", cwd, "/srv/app/x"),
        (
            "symlinkat",
            r#""0x7fff0000","0xffffff9c""#,
            "x",
            cwd,
            "/srv/app/x",
        ),
        ("symlinkat", r#""0xffffff9c","0x5""#, "x", cwd, "<dirfd>/x"),
        (
            "renameat2",
            r#""0xffffff9c","0x1","0x5","0x1""#,
            "x",
            cwd,
            "<dirfd>/x",
        ),
        (
            "renameat2",
            r#""0xffffff9c","0x1","0xffffff9c","0x1""#,
            "x",
            cwd,
            "/srv/app/x",
        ),
    ] {
        let (target, record) = named(syscall, argv, name, cwd);
        assert_eq!(target, [absolute], "{syscall} {argv} {name}");
        let logged = name.replace("%41", "A");
        let both = [logged, absolute.to_owned()];
        let distinct = if both[0] == both[1] {
            &both[..1]
        } else {
            &both[..]
        };
        assert_eq!(record, distinct, "{syscall} {argv} {name}");
    }
}

#[test]
fn file_views_follow_nametype_and_call() {
    let rename = r#"{"ID":"1.000:1","SYSCALL":{"SYSCALL":"rename","success":"yes","exe":"/usr/bin/mv","UID":"bob"},"CWD":{"cwd":"/w"},"PATH":[{"name":"/w","nametype":"PARENT"},{"name":"/t","nametype":"PARENT"},{"name":"old","nametype":"DELETE"},{"name":"/t/gone","nametype":"DELETE"},{"name":"/t/new","nametype":"CREATE"}],"PROCTITLE":{"ARGV":["mv","old","/t/new"]}}"#;
    expect![[r#"
        FileEvent
          CommandLine: "mv old /t/new" <PROCTITLE.ARGV>
          Image: "/usr/bin/mv" <SYSCALL.exe>
          TargetFilename: "/t/new" <PATH[4].name>
          User: "bob" <SYSCALL.UID>
        FileRename
          CommandLine: "mv old /t/new" <PROCTITLE.ARGV>
          Image: "/usr/bin/mv" <SYSCALL.exe>
          SourceFilename: "/w/old" <PATH[2].name>
          TargetFilename: "/t/new" <PATH[4].name>
          User: "bob" <SYSCALL.UID>
    "#]]
    .assert_eq(&Bench::mapped().show(rename));
    let unlink = rename.replace(
        r#""SYSCALL":"rename""#,
        r#""arch":"0xc000003e","syscall":87"#,
    );
    expect![[r#"
        FileDelete
          CommandLine: "mv old /t/new" <PROCTITLE.ARGV>
          Image: "/usr/bin/mv" <SYSCALL.exe>
          TargetFilename: "/w/old" <PATH[2].name>
          User: "bob" <SYSCALL.UID>
        FileDelete
          CommandLine: "mv old /t/new" <PROCTITLE.ARGV>
          Image: "/usr/bin/mv" <SYSCALL.exe>
          TargetFilename: "/t/gone" <PATH[3].name>
          User: "bob" <SYSCALL.UID>
        FileEvent
          CommandLine: "mv old /t/new" <PROCTITLE.ARGV>
          Image: "/usr/bin/mv" <SYSCALL.exe>
          TargetFilename: "/t/new" <PATH[4].name>
          User: "bob" <SYSCALL.UID>
    "#]]
    .assert_eq(&Bench::mapped().show(&unlink));
    let nameless =
        r#"{"ID":"1.000:1","SYSCALL":{"SYSCALL":"renameat2","success":"yes","exe":"/x"}}"#;
    expect![[r#"
        FileRename
          Image: "/x" <SYSCALL.exe>
    "#]]
    .assert_eq(&Bench::mapped().show(nameless));
    let failed = rename.replace("yes", "no");
    expect![[""]].assert_eq(&Bench::mapped().show(&failed));
    let alone = r#"{"ID":"1.000:1","PATH":[{"name":"/x","nametype":"CREATE"}]}"#;
    expect![[""]].assert_eq(&Bench::mapped().show(alone));
}

#[test]
fn arguments_may_be_left_out_or_come_as_one_text() {
    let mut fields = record(&["a0", "a1", "a2", "a3", "<keywords>"]);
    fields.push((ViewKind::ProcessCreation, "CommandLine"));
    fields.extend(native(&["EXECVE.ARGV", "EXECVE.cmdline"]));
    for (execve, truncated, guess, expected) in [
        (
            r#""argc":9,"ARGV":["tar","c",{"skipped_args":7,"skipped_bytes":329},"z"]"#,
            true,
            false,
            expect![[r#"
                ProcessCreation
                  CommandLine: "tar c <<< Skipped: args=7, bytes=329 >>> z" <EXECVE.ARGV>
                Record Execve
                  a0: "tar" <EXECVE.ARGV[0]>
                  a1: "c" <EXECVE.ARGV[1]>
                  a3: "z" <EXECVE.ARGV[3]>
                  keywords: "tar c <<< Skipped: args=7, bytes=329 >>> z" <EXECVE.ARGV>
                Native
                  EXECVE.ARGV#1: "tar" <EXECVE.ARGV[0]> | "c" <EXECVE.ARGV[1]> | .. <EXECVE.ARGV[2]> | "z" <EXECVE.ARGV[3]>
                  EXECVE.cmdline#1: "tar c <<< Skipped: args=7, bytes=329 >>> z" <EXECVE.ARGV>
            "#]],
        ),
        (
            r#""argc":9,"ARGV_STR":"tar c <<< Skipped: args=7, bytes=329 >>> z""#,
            true,
            true,
            expect![[r#"
                ProcessCreation
                  CommandLine: "tar c <<< Skipped: args=7, bytes=329 >>> z" <EXECVE.ARGV_STR>
                Record Execve
                  a0: "tar" <EXECVE.ARGV[0]>
                  a1: "c" <EXECVE.ARGV[1]>
                  a3: "z" <EXECVE.ARGV[3]>
                  keywords: "tar c <<< Skipped: args=7, bytes=329 >>> z" <EXECVE.ARGV_STR>
                Native
                  EXECVE.ARGV#1: "tar" <EXECVE.ARGV[0]> | "c" <EXECVE.ARGV[1]> | .. <EXECVE.ARGV[2]> | "z" <EXECVE.ARGV[3]>
                  EXECVE.cmdline#1: "tar c <<< Skipped: args=7, bytes=329 >>> z" <EXECVE.ARGV_STR>
            "#]],
        ),
        (
            r#""argc":3,"ARGV":["a",null,"c d"]"#,
            false,
            false,
            expect![[r#"
                ProcessCreation
                  CommandLine: "a  c d" <EXECVE.ARGV>
                Record Execve
                  a0: "a" <EXECVE.ARGV[0]>
                  a1: null <EXECVE.ARGV[1]>
                  a2: "c d" <EXECVE.ARGV[2]>
                  keywords: "a  c d" <EXECVE.ARGV>
                Native
                  EXECVE.ARGV#1: "a" <EXECVE.ARGV[0]> | null <EXECVE.ARGV[1]> | "c d" <EXECVE.ARGV[2]>
                  EXECVE.cmdline#1: "a  c d" <EXECVE.ARGV>
            "#]],
        ),
        (
            r#""argc":3,"ARGV_STR":"a  c%20d""#,
            false,
            true,
            expect![[r#"
                ProcessCreation
                  CommandLine: "a  c d" <EXECVE.ARGV_STR>
                Record Execve
                  a0: "a" <EXECVE.ARGV[0]>
                  a1: "" <EXECVE.ARGV[1]>
                  a2: "c" <EXECVE.ARGV[2]>
                  a3: "d" <EXECVE.ARGV[3]>
                  keywords: "a  c d" <EXECVE.ARGV_STR>
                Native
                  EXECVE.ARGV#1: "a" <EXECVE.ARGV[0]> | "" <EXECVE.ARGV[1]> | "c" <EXECVE.ARGV[2]> | "d" <EXECVE.ARGV[3]>
                  EXECVE.cmdline#1: "a  c d" <EXECVE.ARGV_STR>
            "#]],
        ),
        (
            r#""argc":2,"ARGV":["a","b"],"ARGV_STR":"a b""#,
            false,
            false,
            expect![[r#"
                ProcessCreation
                  CommandLine: "a b" <EXECVE.ARGV>
                Record Execve
                  a0: "a" <EXECVE.ARGV[0]>
                  a1: "b" <EXECVE.ARGV[1]>
                  keywords: "a b" <EXECVE.ARGV>
                Native
                  EXECVE.ARGV#1: "a" <EXECVE.ARGV[0]> | "b" <EXECVE.ARGV[1]>
                  EXECVE.cmdline#1: "a b" <EXECVE.ARGV>
            "#]],
        ),
        (
            r#""argc":0,"ARGV":[]"#,
            false,
            false,
            expect![[r#"
            ProcessCreation
              CommandLine: "" <EXECVE.ARGV>
            Record Execve
              keywords: "" <EXECVE.ARGV>
            Native
              EXECVE.ARGV#1: .. <EXECVE.ARGV>
              EXECVE.cmdline#1: "" <EXECVE.ARGV>
        "#]],
        ),
    ] {
        let line = format!(r#"{{"ID":"1.000:1","EXECVE":{{{execve}}}}}"#);
        let mut bench = Bench::new(Profile::laurel(), &fields);
        expected.assert_eq(&bench.show(&line));
        let flags = bench.decode(line.as_bytes()).unwrap().flags();
        assert_eq!(
            (flags.argv_truncated, flags.argv_split_guess),
            (truncated, guess),
            "{execve}"
        );
    }
}

#[test]
fn dropped_numbers_come_back_from_names() {
    let line = r#"{"ID":"1.000:1","SYSCALL":{"success":"yes","UID":"root","AUID":"unset","EUID":"unknown(33)","GID":"www-data"},"EXECVE":{"ARGV":["id"]},"PATH":[{"OUID":"root","OGID":"unknown(7)"}],"USER_LOGIN":{"UID":"bob","auid":4,"AUID":"root"}}"#;
    let mut fields = record(&["uid", "auid", "euid", "gid", "ouid", "ogid"]);
    fields.extend([
        (ViewKind::ProcessCreation, "LogonId"),
        (ViewKind::ProcessCreation, "User"),
    ]);
    fields.extend(native(&["SYSCALL.uid"]));
    let mut bench = Bench::new(Profile::laurel(), &fields);
    expect![[r#"
        ProcessCreation
          LogonId: 0 <SYSCALL.uid>
          User: "root" <SYSCALL.UID>
        Record Syscall
          auid: 4294967295 <SYSCALL.auid>
          euid: 33 <SYSCALL.euid>
          uid: 0 <SYSCALL.uid>
        Record Execve
        Record Path
          ogid: 7 <PATH[0].ogid>
          ouid: 0 <PATH[0].ouid>
        Record Other
          auid: 4 <USER_LOGIN.auid>
        Native
          SYSCALL.uid#1: 0 <SYSCALL.uid>
    "#]]
    .assert_eq(&bench.show(line));
    assert_eq!(bench.counts().user_without_number, 2, "www-data, bob");
}

#[test]
fn numbers_have_names_from_the_profile() {
    let profile = Profile {
        users: vec![(0, "root".into()), (33, "web".into())],
        ..Profile::laurel()
    };
    for (uid, expected) in [("0", Some("root")), ("33", Some("web")), ("34", None)] {
        let line =
            format!(r#"{{"ID":"1.000:1","SYSCALL":{{"uid":{uid}}},"EXECVE":{{"ARGV":["id"]}}}}"#);
        let mut bench = Bench::new(profile.clone(), &[(ViewKind::ProcessCreation, "User")]);
        let event = bench.decode(line.as_bytes()).unwrap();
        let user = event
            .values(&event.views()[0])
            .first()
            .map(|value| event.bytes(value.span));
        assert_eq!(user, expected.map(str::as_bytes));
        assert_eq!(event.process().user.as_deref(), expected.map(str::as_bytes));
    }
}

#[test]
fn a_prefix_is_taken_off_wherever_it_stands() {
    let line = r#"{"ID":"1.000:1","SYSCALL":{"arch":"0xc000003e","syscall":59,"pid":9,"ppid":8,"uid":33,"enriched_arch":"x86_64","enriched_syscall":"execve","enriched_pid":{"EVENT_ID":"1.000:1"},"enriched_ppid":{"EVENT_ID":"0.900:1","exe":"/usr/bin/dash"},"enriched_uid":"www-data","AUID":"kept","enriched_auid":"other"},"PATH":[{"name":"x","enriched_ouid":"root"}],"OBJ_PID":[{"opid":7,"enriched_opid":{"comm":"sh"}}]}"#;
    let fields = [
        "SYSCALL.ARCH",
        "SYSCALL.SYSCALL",
        "SYSCALL.PID.EVENT_ID",
        "SYSCALL.PPID.exe",
        "SYSCALL.UID",
        "SYSCALL.AUID",
        "PATH.OUID",
        "OBJ_PID.OPID.comm",
    ];
    check(
        &native(&fields),
        line,
        &expect![[r#"
        Native
          OBJ_PID.OPID.comm#3: "sh" <OBJ_PID[0].OPID.comm>
          PATH.OUID#2: "root" <PATH[0].OUID>
          SYSCALL.ARCH#1: "x86_64" <SYSCALL.ARCH>
          SYSCALL.AUID#1: "kept" <SYSCALL.AUID>
          SYSCALL.PID.EVENT_ID#1: "1.000:1" <SYSCALL.PID.EVENT_ID>
          SYSCALL.PPID.exe#1: "/usr/bin/dash" <SYSCALL.PPID.exe>
          SYSCALL.SYSCALL#1: "execve" <SYSCALL.SYSCALL>
          SYSCALL.UID#1: "www-data" <SYSCALL.UID>
    "#]],
    );
    let dropped = r#"{"ID":"1.000:1","SYSCALL":{"x_syscall":"open","x_uid":"root","x_euid":"unknown(7)"},"PATH":[{"x_ouid":"root"}]}"#;
    let fields = native(&["SYSCALL.uid", "SYSCALL.euid", "SYSCALL.UID", "PATH.ouid"]);
    check(
        &fields,
        dropped,
        &expect![[r#"
        Native
          PATH.ouid#2: 0 <PATH[0].ouid>
          SYSCALL.UID#1: "root" <SYSCALL.UID>
          SYSCALL.euid#1: 7 <SYSCALL.euid>
          SYSCALL.uid#1: 0 <SYSCALL.uid>
    "#]],
    );
    let configured = Profile {
        prefix: Some("x_".into()),
        ..Profile::laurel()
    };
    let line = r#"{"ID":"1.000:1","USER_LOGIN":{"pid":7,"uid":0,"x_uid":"root","x_pid":{"START_TIME":"0.900"}}}"#;
    let fields = native(&["USER_LOGIN.UID", "USER_LOGIN.PID.START_TIME"]);
    let with = Bench::new(configured, &fields).show(line);
    expect![[r#"
        Native
          USER_LOGIN.PID.START_TIME#1: "0.900" <USER_LOGIN.PID.START_TIME>
          USER_LOGIN.UID#1: "root" <USER_LOGIN.UID>
    "#]]
    .assert_eq(&with);
    assert_eq!(
        Bench::new(Profile::laurel(), &fields).show(line),
        with,
        "detected by the object under x_pid"
    );
}

#[test]
fn the_parent_is_spawned_by_as_a_whole() {
    let fields =
        ["ParentImage", "ParentProcessGuid"].map(|field| (ViewKind::ProcessCreation, field));
    for (syscall, expected) in [
        (
            r#""ppid":5,"SPAWNED_BY":{"EVENT_ID":"0.900:1","comm":"java"},"PPID":{"EVENT_ID":"0.800:1","exe":"/bin/sh"}"#,
            expect![[r#"
                ProcessCreation
                  ParentProcessGuid: "0.900:1" <SYSCALL.SPAWNED_BY.EVENT_ID>
            "#]],
        ),
        (
            r#""ppid":5,"PPID":{"EVENT_ID":"0.800:1","exe":"/bin/sh"}"#,
            expect![[r#"
                ProcessCreation
                  ParentImage: "/bin/sh" <SYSCALL.PPID.exe>
                  ParentProcessGuid: "0.800:1" <SYSCALL.PPID.EVENT_ID>
            "#]],
        ),
        (
            r#""ppid":5,"PPID":{"comm":"sh","exe":"/bin/sh","ppid":1}"#,
            expect![[r#"
                ProcessCreation
                  ParentImage: "/bin/sh" <SYSCALL.PPID.exe>
            "#]],
        ),
        (
            r#""ppid":5,"PPID":{"START_TIME":"0.700"}"#,
            expect![[r#"
            ProcessCreation
              ParentProcessGuid: "0.700/5" <SYSCALL.PPID.START_TIME>
        "#]],
        ),
        (
            r#""ppid":5"#,
            expect![[r#"
            ProcessCreation
        "#]],
        ),
    ] {
        let line =
            format!(r#"{{"ID":"1.000:1","SYSCALL":{{{syscall}}},"EXECVE":{{"ARGV":["id"]}}}}"#);
        check(&fields, &line, &expected);
    }
}

#[test]
fn executables_have_all_their_names() {
    let line = r#"{"ID":"1.000:1","SYSCALL":{"exe":"/usr/bin/dash (deleted)","SCRIPT":"/tmp/x.sh"},"EXECVE":{"ARGV":["x"]},"CWD":{"cwd":"/tmp"},"PATH":[{"name":"./x.sh"},{"name":"/lib64/ld-linux-x86-64.so.2"}]}"#;
    check(
        &[
            (ViewKind::ProcessCreation, "Image"),
            (ViewKind::ProcessCreation, "<keywords>"),
        ],
        line,
        &expect![[r#"
            ProcessCreation
              Image: "/usr/bin/dash (deleted)" <SYSCALL.exe> | "/usr/bin/dash" <SYSCALL.exe> | "/tmp/x.sh" <PATH[0].name>
              keywords: "/usr/bin/dash (deleted)" <SYSCALL.exe> | "/usr/bin/dash" <SYSCALL.exe> | "/tmp/x.sh" <PATH[0].name> | "x" <EXECVE.ARGV> | "/tmp" <CWD.cwd>
        "#]],
    );
}

#[test]
fn limits_are_flagged_and_counted_and_rules_see_what_fits() {
    let limits = Limits {
        records: 2,
        arguments: 3,
        ..Profile::laurel().limits
    };
    let profile = Profile {
        limits,
        ..Profile::laurel()
    };
    for (line, expected) in [
        (
            r#"{"ID":"1.000:1","PATH":[{"name":"/a"},{"name":"/b"},{"name":"/c"}],"CWD":{"cwd":"/"}}"#,
            expect![[r#"
                Record Path
                  name: "/a" <PATH[0].name>
                Record Path
                  name: "/b" <PATH[1].name>
                Native
            "#]],
        ),
        (
            r#"{"ID":"1.000:1","EXECVE":{"argc":5,"ARGV":["a","b","c","d","e"]}}"#,
            expect![[r#"
                Record Execve
                  a2: "c" <EXECVE.ARGV[2]>
                Native
                  EXECVE.ARGV#1: "a" <EXECVE.ARGV[0]> | "b" <EXECVE.ARGV[1]> | "c" <EXECVE.ARGV[2]>
                  EXECVE.cmdline#1: "a b c" <EXECVE.ARGV>
            "#]],
        ),
        (
            r#"{"ID":"1.000:1","EXECVE":{"argc":5,"ARGV_STR":"a b c d e"}}"#,
            expect![[r#"
                Record Execve
                  a2: "c" <EXECVE.ARGV[2]>
                Native
                  EXECVE.ARGV#1: "a" <EXECVE.ARGV[0]> | "b" <EXECVE.ARGV[1]> | "c" <EXECVE.ARGV[2]>
                  EXECVE.cmdline#1: "a b c d e" <EXECVE.ARGV_STR>
            "#]],
        ),
    ] {
        let mut fields = record(&["name", "a2", "a3", "cwd"]);
        fields.extend(native(&["EXECVE.ARGV", "EXECVE.cmdline"]));
        let mut bench = Bench::new(profile.clone(), &fields);
        expected.assert_eq(&bench.show(line));
        assert!(bench.decode(line.as_bytes()).unwrap().flags().limit_reached);
        assert_eq!(
            bench.counts().limit_reached,
            2,
            "once for each of two lines"
        );
    }
}

#[test]
fn a_view_is_built_only_where_it_is_wanted() {
    let mut bench = Bench::new(Profile::laurel(), &[]);
    assert_eq!(bench.decode(EXAMPLE.as_bytes()).unwrap().views().len(), 0);
    let mut bench = Bench::new(Profile::laurel(), &[(ViewKind::ProcessCreation, "<view>")]);
    let event = bench.decode(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(event.views().len(), 1);
    assert!(event.values(&event.views()[0]).is_empty());
    let mut fields = crate::Fields::default();
    let exe = fields.want(ViewKind::Record, "exe");
    let name = fields.want(ViewKind::Record, "name");
    fields.want(ViewKind::Record, "nametype");
    fields.want_class(RecordClass::Path, exe.into_iter().chain(name));
    let mut decoder = crate::Decoder::new(Profile::laurel().into(), fields.into());
    let mut cache = crate::ProcessCache::new(1 << 20, 1);
    let event = decoder
        .decode(EXAMPLE.as_bytes(), &crate::Origin::default(), &mut cache)
        .unwrap();
    assert!(
        event
            .views()
            .iter()
            .all(|view| view.class == RecordClass::Path)
    );
    assert_eq!(event.views().len(), 1);
}

#[test]
fn parents_are_remembered_by_host_and_event_id() {
    let exec = |id: &str, parent: &str, argv: &str| {
        format!(
            r#"{{"ID":"{id}","NODE":"h","SYSCALL":{{"pid":2,"exe":"/x","PID":{{"EVENT_ID":"{id}"}},"SPAWNED_BY":{{"EVENT_ID":"{parent}","exe":"/p"}}}},"EXECVE":{{"ARGV":["{argv}"]}}}}"#
        )
    };
    let fork = |id: &str, parent: &str, title: &str| {
        format!(
            r#"{{"ID":"{id}","NODE":"h","SYSCALL":{{"pid":3,"exe":"/x","PID":{{"EVENT_ID":"{id}"}},"SPAWNED_BY":{{"EVENT_ID":"{parent}"}}}},"PROCTITLE":{{"ARGV":["{title}"]}}}}"#
        )
    };
    let mut bench = Bench::new(
        Profile::laurel(),
        &[(ViewKind::ProcessCreation, "ParentCommandLine")],
    );
    for (line, expected) in [
        (exec("1.000:1", "0.500:1", "first"), None),
        (exec("1.000:2", "1.000:1", "second"), Some("first")),
        // A fork without an exec inherits, an event of an unknown parent is known by its title.
        (fork("1.000:3", "1.000:2", "title"), None),
        (exec("1.000:4", "1.000:3", "fourth"), Some("second")),
        (fork("1.000:5", "0.100:9", "title"), None),
        (exec("1.000:6", "1.000:5", "sixth"), Some("title")),
        (
            exec("1.000:6", "1.000:5", "sixth").replace(r#""NODE":"h""#, r#""NODE":"other""#),
            None,
        ),
    ] {
        let event = bench.decode(line.as_bytes()).unwrap();
        let view = event.views().first();
        let found = view.and_then(|view| event.values(view).first().copied());
        let text = found.map(|value| String::from_utf8_lossy(event.bytes(value.span)).into_owned());
        assert_eq!(text.as_deref(), expected, "{line}");
        assert!(found.is_none_or(|value| event.path(&value) == "process_cache"));
    }
    assert_eq!(bench.counts().parent_missing, 2);
    let line = exec("1.000:9", "1.000:4", "ninth");
    let event = bench.decode(line.as_bytes()).unwrap();
    let process = event.process();
    assert_eq!(
        process.parent.unwrap().command_line.as_deref(),
        Some(&b"fourth"[..])
    );
    let ancestors: Vec<_> = process
        .ancestors
        .iter()
        .map(|ancestor| ancestor.command_line.unwrap())
        .collect();
    assert_eq!(ancestors, [&b"second"[..], b"second", b"first"]);
}
