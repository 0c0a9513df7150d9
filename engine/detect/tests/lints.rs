//! Values that a field never has, and lines that contradict each other: what is told, and what is sound.

use detect::Plan;
use sigma::{SourceFile, load};

/// The codes and columns that these lines of a selection are told, in views of this log source.
fn told(logsource: &str, lines: &[&str]) -> Vec<String> {
    let lines = lines.join("\n    ");
    let text = format!(
        "title: T\nlogsource: {{{logsource}}}\ndetection:\n  s:\n    {lines}\n  t: {{host: h}}\n  condition: s or t\n"
    );
    let file = SourceFile {
        name: "rule.yml".into(),
        text: text.into(),
    };
    let loaded = load(&[file]);
    assert_eq!(loaded.rules.len(), 1, "{lines}: {:#?}", loaded.diagnostics);
    let compiled = Plan::compile(loaded.rules);
    let told = compiled.diagnostics.iter();
    let told = told.filter(|told| told.code != "P002");
    told.map(|told| {
        format!(
            "{} {}:{}",
            told.code,
            told.place.line - 4,
            told.place.column
        )
    })
    .collect()
}

const PROCESS: &str = "product: linux, category: process_creation";
const NETWORK: &str = "product: linux, category: network_connection";
const FILE: &str = "product: linux, category: file_event";
const AUDITD: &str = "product: linux, service: auditd";
const LAUREL: &str = "product: linux, service: laurel";

#[test]
fn values_that_a_field_never_has_are_told() {
    let cases: &[(&str, &str)] = &[
        (PROCESS, "Image: curl"),
        (PROCESS, r"Image|endswith: '\curl'"),
        (PROCESS, "Image|startswith: tmp/"),
        (PROCESS, r"ParentImage: 'C:\Windows\explorer.exe'"),
        (PROCESS, "CurrentDirectory: /tmp/"),
        (PROCESS, "CurrentDirectory|endswith: /tmp/"),
        (PROCESS, "User: 0"),
        (PROCESS, "LogonId: root"),
        (PROCESS, "LogonId: '0x3e7'"),
        (PROCESS, "ProcessId: '0x10'"),
        (PROCESS, "Hashes|contains: 'MD5='"),
        (PROCESS, "sha256: 'zz'"),
        (PROCESS, "sha256|cased: 'AB'"),
        (PROCESS, "ProcessGuid: '{ab}'"),
        (FILE, "TargetFilename: passwd"),
        (NETWORK, "DestinationPort: https"),
        (NETWORK, "DestinationPort: 123456"),
        (NETWORK, "DestinationIp: localhost"),
        (NETWORK, "DestinationIp|endswith: .example.org"),
        (NETWORK, "Initiated: 'yes'"),
        (AUDITD, "type: 1309"),
        (AUDITD, "success: 'true'"),
        (AUDITD, "success: true"),
        (AUDITD, "success: 1"),
        (AUDITD, "nametype: CREATED"),
        (AUDITD, "nametype|cased: create"),
        (AUDITD, "arch: b64"),
        (AUDITD, "arch: c000003e"),
        (AUDITD, "syscall: execve"),
        (AUDITD, "SYSCALL: 59"),
        (AUDITD, "exit: EACCES"),
        (AUDITD, "auid: unset"),
        (AUDITD, "uid: root"),
        (AUDITD, "mode: '0100755'"),
        (AUDITD, "comm: systemd-networkd"),
        (AUDITD, "comm|startswith: systemd-networkd"),
        (AUDITD, "exe: bash"),
        (LAUREL, "SYSCALL.success: 'true'"),
        (LAUREL, "SYSCALL.ARGV: 7f"),
        (LAUREL, "SYSCALL.SPAWNED_BY.comm: systemd-networkd"),
        (LAUREL, "SYSCALL.SPAWNED_BY.exe: java"),
        (LAUREL, "SOCKADDR.SADDR.port: https"),
    ];
    for (logsource, line) in cases {
        let column = 5 + line.find(": ").unwrap() + 2;
        assert_eq!(
            told(logsource, &[line]),
            [format!("P004 1:{column}")],
            "{line}"
        );
    }
    assert_eq!(
        told(
            AUDITD,
            &["'|contains': [type=EXECVE, success=no, 'msg=audit(']"]
        ),
        ["P004 1:19", "P004 1:32", "P004 1:44"]
    );
    assert_eq!(told(AUDITD, &["type: SYSCALL", "a1: '0x7f'"]), ["P004 2:9"]);
    assert_eq!(
        told(PROCESS, &["Image: [/bin/sh, sh, bash]"]),
        ["P004 1:22", "P004 1:26"]
    );
}

#[test]
fn values_that_a_field_may_have_are_not_told() {
    let cases: &[(&str, &[&str])] = &[
        (PROCESS, &["Image: /usr/bin/curl"]),
        (PROCESS, &["Image: '*curl'"]),
        (PROCESS, &["Image|endswith: curl"]),
        (PROCESS, &["Image|contains: cur"]),
        (PROCESS, &["Image|startswith: '/'"]),
        (PROCESS, &["Image: ''"]),
        (PROCESS, &["Image|re: curl"]),
        (PROCESS, &[r"Image|contains: '\x2d'"]),
        (PROCESS, &[r"Image|endswith: '/a\b'"]),
        (PROCESS, &["CurrentDirectory: /"]),
        (PROCESS, &["CurrentDirectory|contains: /tmp/"]),
        (PROCESS, &["User: www-data"]),
        (PROCESS, &["User|contains: 0"]),
        (PROCESS, &["LogonId: 0"]),
        (PROCESS, &["LogonId|gt: 1000"]),
        (PROCESS, &["Hashes|contains: 'SHA256=AB'"]),
        (PROCESS, &["Hashes|contains: '9F86'"]),
        (PROCESS, &["Hashes|contains|cased: 'SHA256=9f86'"]),
        // The number of a person may be the name of the account.
        (PROCESS, &["User: 4711"]),
        (
            AUDITD,
            &["'|contains': ['type=x', 'a type=EXECVE', success]"],
        ),
        (PROCESS, &["'|contains': success=yes"]),
        (PROCESS, &["sha256: 'AB*'"]),
        (PROCESS, &["ParentCommandLine: curl"]),
        // A rule of any product may name programs of Windows beside others.
        (
            "category: process_creation",
            &[r"Image|endswith: ['\curl.exe', /curl]"],
        ),
        (FILE, &["TargetFilename|startswith: '<dirfd>/'"]),
        (NETWORK, &["DestinationPort: 443"]),
        (NETWORK, &["DestinationPort|endswith: '443'"]),
        (NETWORK, &["DestinationIp: '2001:DB8::1'"]),
        (NETWORK, &["DestinationIp|startswith: '10.'"]),
        (NETWORK, &["DestinationIp|cidr: 10.0.0.0/8"]),
        (NETWORK, &["Initiated: 'TRUE'"]),
        (NETWORK, &["Initiated: true"]),
        (AUDITD, &["type: execve"]),
        (AUDITD, &["success: 'YES'"]),
        (AUDITD, &["success|startswith: 'y'"]),
        (AUDITD, &["nametype: create"]),
        (AUDITD, &["arch: '0xC000003E'"]),
        (AUDITD, &["syscall: [59, '322']"]),
        (AUDITD, &["SYSCALL: execve"]),
        (AUDITD, &["exit: -13"]),
        (AUDITD, &["auid: 4294967295"]),
        (AUDITD, &["AUID: unset"]),
        (AUDITD, &["mode|startswith: '0o1'"]),
        (AUDITD, &["comm: systemd-network"]),
        (AUDITD, &["comm|contains: systemd"]),
        (AUDITD, &["exe|endswith: bash"]),
        (AUDITD, &["type: SYSCALL", "a1: 7F"]),
        (AUDITD, &["type: EXECVE", "a1: '0x7f'"]),
        (AUDITD, &["type: [SYSCALL, EXECVE]", "a1: '0x7f'"]),
        (AUDITD, &["a1: '0x7f'"]),
        (LAUREL, &["SYSCALL.ARGV: '0x7f'"]),
        (LAUREL, &["EXECVE.ENV.LD_PRELOAD: x.so"]),
    ];
    for (logsource, lines) in cases {
        assert_eq!(told(logsource, lines), [""; 0], "{lines:?}");
    }
}

#[test]
fn two_values_of_a_field_that_has_one_are_told() {
    assert_eq!(told(PROCESS, &["CommandLine|all: [ls, id]"]), ["P005 1:5"]);
    assert_eq!(
        told(PROCESS, &["User: root", "User|cased: bob"]),
        ["P005 2:5"]
    );
    assert_eq!(told(AUDITD, &["SYSCALL|all: [open, openat]"]), ["P005 1:5"]);
    let sound: &[(&str, &[&str])] = &[
        // The executable, the file as it was invoked, the script.
        (PROCESS, &["Image|all: [/bin/sh, /usr/bin/dash]"]),
        (PROCESS, &["process.labels|all: [a, b]"]),
        (PROCESS, &["CommandLine|all: [ls, LS]"]),
        (PROCESS, &["CommandLine|contains|all: [ls, id]"]),
        (PROCESS, &["CommandLine: [ls, id]"]),
        (PROCESS, &["User: [root, bob]", "User|cased: bob"]),
        (PROCESS, &["User: root", "User|neq: bob"]),
        (AUDITD, &["key|all: [exec, susp]"]),
        (AUDITD, &["name|all: [/etc/passwd, passwd]"]),
    ];
    for (logsource, lines) in sound {
        assert_eq!(told(logsource, lines), [""; 0], "{lines:?}");
    }
}

/// A field that is misspelt kills this rule, or several do: each is told, and so is any other reason.
#[test]
fn what_keeps_a_rule_from_running_is_told() {
    let told = |logsource: &str, detection: &str| {
        let text = format!("title: T\nlogsource: {{{logsource}}}\ndetection: {{{detection}}}\n");
        let file = SourceFile {
            name: "rule.yml".into(),
            text: text.into(),
        };
        let compiled = Plan::compile(load(&[file]).rules);
        assert_eq!(compiled.not_running.len(), 1, "{detection}");
        let told = compiled.diagnostics.iter();
        told.map(|told| format!("{} {}", told.code, told.place.column))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(PROCESS, "s: {Imag: /a}, condition: s"), ["P001 17"]);
    assert_eq!(
        told(PROCESS, "s: {Usr: root, Imag: /a}, condition: s"),
        ["P001 28", "P001 17"]
    );
    let two = "s: {type: SYSCALL}, t: {type: PATH}, condition: s and t";
    assert_eq!(told(AUDITD, two), ["P007 1"]);
    let windows = "product: windows, service: sysmon";
    assert_eq!(told(windows, "s: {Imag: /a}, condition: s"), [""; 0]);
}
