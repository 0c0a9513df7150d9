//! The fields that views carry, in one table: where each comes from, what normalisation does, an example. What people are
//! shown, what misspelt fields are compared with, and for the mapped views what can be asked for at all.
//!
//! Of records and of the native view any member may be asked for; the table has those that Laurel and auditd are known to
//! write.

use std::borrow::Cow;

use crate::ViewKind;
use crate::field::Mapped;

/// A field that views of a kind carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownField {
    /// Its name, as rules write it.
    pub name: Cow<'static, str>,
    /// The types of the records that carry it; empty where it does not depend on one.
    pub records: &'static [&'static str],
    /// Where Laurel has it; several places for one field are told apart by commas.
    pub source: Cow<'static, str>,
    /// What normalisation does, and what is special about it; may be empty.
    pub note: &'static str,
    /// A value.
    pub example: &'static str,
}

/// The fields of views of this kind, in the order of their importance.
pub fn known_fields(kind: ViewKind) -> Vec<KnownField> {
    match kind {
        ViewKind::Record => {
            let named = RECORD.iter().filter(|member| !member.name.is_empty());
            named.map(Member::of_record).collect()
        }
        ViewKind::Native => {
            let members = RECORD.iter().filter_map(Member::of_event);
            NATIVE.iter().map(Path::field).chain(members).collect()
        }
        _ => mapped(kind).iter().map(Row::field).collect(),
    }
}

/// Whether the table has a field of views of this kind: of the native view also members that several types of records share.
pub fn is_known_field(kind: ViewKind, name: &str) -> bool {
    match kind {
        ViewKind::Record => {
            let mut members = RECORD.iter();
            !name.is_empty() && members.any(|member| member.name == name)
        }
        ViewKind::Native => {
            let of_record = |(record, path): (&str, &str)| {
                let mut members = RECORD.iter();
                members.any(|member| member.path == path && member.records.contains(&record))
            };
            NATIVE.iter().any(|path| path.name == name)
                || name.split_once('.').is_some_and(of_record)
        }
        _ => find(kind, name).is_some(),
    }
}

/// The mapped field of this name in views of this kind.
pub(crate) fn find(kind: ViewKind, name: &str) -> Option<Mapped> {
    let rows = mapped(kind).iter();
    rows.into_iter().find(|row| row.1 == name).map(|row| row.0)
}

/// A field of a mapped view: what it is, name, source, note, example.
struct Row(
    Mapped,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

impl Row {
    fn field(&self) -> KnownField {
        let Self(_, name, source, note, example) = *self;
        KnownField {
            name: name.into(),
            records: &[],
            source: source.into(),
            note,
            example,
        }
    }
}

fn mapped(kind: ViewKind) -> &'static [Row] {
    match kind {
        ViewKind::ProcessCreation => PROCESS_CREATION,
        ViewKind::FileEvent => FILE_EVENT,
        ViewKind::FileDelete => FILE_DELETE,
        ViewKind::FileRename => FILE_RENAME,
        ViewKind::NetworkConnection => NETWORK_CONNECTION,
        ViewKind::Record | ViewKind::Native => &[],
    }
}

const EXE: &str = "SYSCALL.exe";
const USER_SOURCE: &str = "SYSCALL.UID, SYSCALL.uid";
const USER_NOTE: &str = "the name, else what the profile says of the number (0 is root)";
const TITLE: &str = "PROCTITLE.ARGV";
const TITLE_NOTE: &str = "of the acting process, joined by blanks; the kernel cuts it at 128 bytes";
const PATH_NOTE: &str = "made absolute with CWD; `<dirfd>/name` below an unknown directory";
const LABELS: &str = "SYSCALL.LABELS";
const LABELS_NOTE: &str = "Laurel's labels of the acting process; any of them";
const HOST: &str = "NODE, envelope, Kafka key";

const PROCESS_CREATION: &[Row] = &[
    Row(
        Mapped::Image,
        "Image",
        "SYSCALL.exe, PATH[0].name, SYSCALL.SCRIPT",
        "any of: the executable (also without ` (deleted)`), the file as invoked (absolute), the script",
        "/usr/bin/perl5.36",
    ),
    Row(
        Mapped::CommandLine,
        "CommandLine",
        "EXECVE.ARGV, EXECVE.ARGV_STR",
        "arguments joined by one blank, percent codes decoded; there are no quotes",
        "perl -e print 1+1",
    ),
    Row(
        Mapped::ParentImage,
        "ParentImage",
        "SYSCALL.SPAWNED_BY.exe, SYSCALL.PPID.exe",
        "the parent, or the image before this one in the same process",
        "/usr/bin/bash",
    ),
    Row(
        Mapped::ParentCommandLine,
        "ParentCommandLine",
        "process cache",
        "missing where the parent's start has not been seen",
        "bash /opt/job.sh",
    ),
    Row(Mapped::User, "User", USER_SOURCE, USER_NOTE, "www-data"),
    Row(
        Mapped::CurrentDirectory,
        "CurrentDirectory",
        "CWD.cwd",
        "without a slash at its end",
        "/srv/app",
    ),
    Row(
        Mapped::LogonId,
        "LogonId",
        "SYSCALL.uid",
        "the user's number (0 is root), as Sysmon for Linux has it",
        "33",
    ),
    Row(Mapped::ProcessId, "ProcessId", "SYSCALL.pid", "", "912"),
    Row(
        Mapped::ParentProcessId,
        "ParentProcessId",
        "SYSCALL.ppid",
        "",
        "900",
    ),
    Row(
        Mapped::ProcessGuid,
        "ProcessGuid",
        "SYSCALL.PID",
        "id of the first event of the process image; else start time and process id",
        "1700000000.123:2",
    ),
    Row(
        Mapped::ParentProcessGuid,
        "ParentProcessGuid",
        "SYSCALL.SPAWNED_BY, SYSCALL.PPID",
        "the same of the parent",
        "1700000000.023:1",
    ),
    Row(
        Mapped::Hashes,
        "Hashes",
        "SYSCALL.EXE_HASH",
        "needs exe-hash in Laurel 0.8",
        "SHA256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ),
    Row(
        Mapped::Sha256,
        "sha256",
        "SYSCALL.EXE_HASH",
        "needs exe-hash in Laurel 0.8",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ),
    Row(
        Mapped::ProcessLabels,
        "process.labels",
        LABELS,
        LABELS_NOTE,
        "webapp",
    ),
    Row(Mapped::Host, "host", HOST, "", "web-01"),
];

const FILE_EVENT: &[Row] = &[
    Row(
        Mapped::TargetFilename,
        "TargetFilename",
        "PATH[].name where nametype is CREATE",
        PATH_NOTE,
        "/etc/cron.d/job",
    ),
    Row(Mapped::Image, "Image", EXE, "", "/usr/bin/tee"),
    Row(
        Mapped::CommandLine,
        "CommandLine",
        TITLE,
        TITLE_NOTE,
        "tee job",
    ),
    Row(Mapped::User, "User", USER_SOURCE, USER_NOTE, "root"),
    Row(
        Mapped::ProcessLabels,
        "process.labels",
        LABELS,
        LABELS_NOTE,
        "webapp",
    ),
    Row(Mapped::Host, "host", HOST, "", "web-01"),
];

const FILE_DELETE: &[Row] = &[
    Row(
        Mapped::TargetFilename,
        "TargetFilename",
        "PATH[].name where nametype is DELETE, of unlink, unlinkat, rmdir",
        PATH_NOTE,
        "/var/log/auth.log",
    ),
    Row(Mapped::Image, "Image", EXE, "", "/usr/bin/rm"),
    Row(
        Mapped::CommandLine,
        "CommandLine",
        TITLE,
        TITLE_NOTE,
        "rm /var/log/auth.log",
    ),
    Row(Mapped::User, "User", USER_SOURCE, USER_NOTE, "root"),
    Row(
        Mapped::ProcessLabels,
        "process.labels",
        LABELS,
        LABELS_NOTE,
        "webapp",
    ),
    Row(Mapped::Host, "host", HOST, "", "web-01"),
];

const FILE_RENAME: &[Row] = &[
    Row(
        Mapped::SourceFilename,
        "SourceFilename",
        "first PATH[].name where nametype is DELETE",
        PATH_NOTE,
        "/tmp/.x",
    ),
    Row(
        Mapped::TargetFilename,
        "TargetFilename",
        "PATH[].name where nametype is CREATE",
        PATH_NOTE,
        "/usr/bin/sshd",
    ),
    Row(Mapped::Image, "Image", EXE, "", "/usr/bin/mv"),
    Row(
        Mapped::CommandLine,
        "CommandLine",
        TITLE,
        TITLE_NOTE,
        "mv /tmp/.x /usr/bin/sshd",
    ),
    Row(Mapped::User, "User", USER_SOURCE, USER_NOTE, "root"),
    Row(
        Mapped::ProcessLabels,
        "process.labels",
        LABELS,
        LABELS_NOTE,
        "webapp",
    ),
    Row(Mapped::Host, "host", HOST, "", "web-01"),
];

const NETWORK_CONNECTION: &[Row] = &[
    Row(
        Mapped::Initiated,
        "Initiated",
        "SYSCALL.SYSCALL",
        "true for connect, sendto and sendmsg (also in progress), false for accept",
        "true",
    ),
    Row(
        Mapped::DestinationIp,
        "DestinationIp",
        "SOCKADDR[].SADDR.addr, SOCKADDR[].saddr",
        "where Initiated is true; IPv4 within IPv6 becomes IPv4. There are no names of hosts",
        "192.0.2.7",
    ),
    Row(
        Mapped::DestinationPort,
        "DestinationPort",
        "SOCKADDR[].SADDR.port, SOCKADDR[].saddr",
        "where Initiated is true",
        "4444",
    ),
    Row(
        Mapped::SourceIp,
        "SourceIp",
        "SOCKADDR[].SADDR.addr, SOCKADDR[].saddr",
        "where Initiated is false: the peer",
        "198.51.100.9",
    ),
    Row(
        Mapped::SourcePort,
        "SourcePort",
        "SOCKADDR[].SADDR.port, SOCKADDR[].saddr",
        "where Initiated is false: the peer's",
        "50122",
    ),
    Row(Mapped::Image, "Image", EXE, "", "/usr/bin/nc.openbsd"),
    Row(Mapped::User, "User", USER_SOURCE, USER_NOTE, "www-data"),
    Row(
        Mapped::ProcessLabels,
        "process.labels",
        LABELS,
        LABELS_NOTE,
        "webapp",
    ),
    Row(Mapped::Host, "host", HOST, "", "web-01"),
];

/// A member of records: under which name rules of `service: auditd` have it (empty: under none), and where it stands below
/// the record.
struct Member {
    name: &'static str,
    records: &'static [&'static str],
    path: &'static str,
    note: &'static str,
    example: &'static str,
}

impl Member {
    fn of_record(&self) -> KnownField {
        let record = self.records.first().copied();
        KnownField {
            name: self.name.into(),
            records: self.records,
            source: match (record, self.path) {
                (Some(record), path) if !path.is_empty() => format!("{record}.{path}").into(),
                _ => self.note_of_source().into(),
            },
            note: self.note,
            example: self.example,
        }
    }

    /// The same in the native view, under the first of its types. Arguments have no names of their own there.
    fn of_event(&self) -> Option<KnownField> {
        let is_argument = self.path == "ARGV" && self.name != "ARGV";
        let record = self.records.first();
        let record = record.filter(|_| !self.path.is_empty() && !is_argument)?;
        let name = format!("{record}.{}", self.path);
        if NATIVE.iter().any(|path| path.name == name) {
            return None;
        }
        Some(KnownField {
            source: name.clone().into(),
            name: name.into(),
            records: self.records,
            note: "",
            example: self.example,
        })
    }

    fn note_of_source(&self) -> &'static str {
        match self.name {
            "type" => "the record's name",
            "host" => HOST,
            _ => LABELS,
        }
    }
}

macro_rules! members {
    ($($records:ident { $($name:literal $path:literal $example:literal $note:literal;)* })*) => {
        &[$($(Member {
            name: $name,
            records: $records,
            path: $path,
            note: $note,
            example: $example,
        },)*)*]
    };
}

const ANY: &[&str] = &[];
const SYSCALL: &[&str] = &["SYSCALL"];
const SYSCALL_AND_CONFIG: &[&str] = &["SYSCALL", "CONFIG_CHANGE"];
const EXECVE: &[&str] = &["EXECVE"];
const PROCTITLE_RECORD: &[&str] = &["PROCTITLE"];
const CWD: &[&str] = &["CWD"];
const PATH: &[&str] = &["PATH"];
const SOCKADDR: &[&str] = &["SOCKADDR"];
const CONFIG_CHANGE: &[&str] = &["CONFIG_CHANGE"];
const LOGIN: &[&str] = &["LOGIN"];
const OBJ_PID: &[&str] = &["OBJ_PID"];
const BPRM_FCAPS: &[&str] = &["BPRM_FCAPS"];
const DAEMON: &[&str] = &["DAEMON_START", "DAEMON_END"];
/// Types of records that processes write through the kernel, with their message.
const USER: &[&str] = &[
    "USER_LOGIN",
    "USER_AUTH",
    "USER_ACCT",
    "USER_START",
    "USER_END",
    "USER_CHAUTHTOK",
    "USER_ERR",
    "CRED_ACQ",
    "CRED_DISP",
    "CRED_REFR",
    "ADD_USER",
    "DEL_USER",
    "ADD_GROUP",
    "DEL_GROUP",
    "USER_CMD",
    "SERVICE_START",
    "SERVICE_STOP",
];
const ACCOUNT: &[&str] = &[
    "ADD_USER",
    "DEL_USER",
    "ADD_GROUP",
    "DEL_GROUP",
    "USER_CHAUTHTOK",
];
const COMMAND: &[&str] = &["USER_CMD"];
const SERVICE: &[&str] = &["SERVICE_START", "SERVICE_STOP"];
const PAM: &[&str] = &[
    "USER_START",
    "USER_END",
    "USER_AUTH",
    "USER_ACCT",
    "USER_ERR",
    "USER_CHAUTHTOK",
    "CRED_ACQ",
    "CRED_DISP",
    "CRED_REFR",
];

const RECORD: &[Member] = members! {
    ANY {
        "type" "" "SYSCALL" "letters of either case";
        "process.labels" "" "webapp" "Laurel's labels of the acting process, in every record of the event; any of them";
        "host" "" "web-01" "";
    }
    SYSCALL {
        "SYSCALL" "SYSCALL" "execve" "the call's name; from its number where Laurel does not translate";
        "a0" "ARGV" "55d0" "hex digits without 0x, and so numbers of a rule are hex too; a1, a2, a3 likewise";
        "a1" "ARGV" "55e0" "";
        "a2" "ARGV" "55f0" "";
        "a3" "ARGV" "8" "";
        "exe" "exe" "/usr/bin/perl5.36" "the executable; ` (deleted)` stays";
        "comm" "comm" "perl" "cut at 15 bytes";
    }
    SYSCALL_AND_CONFIG {
        "key" "key" "exec" "the audit rule's keys, one by one; any of them";
    }
    SYSCALL {
        "success" "success" "yes" "";
        "exit" "exit" "0" "";
        "syscall" "syscall" "59" "";
        "arch" "arch" "0xc000003e" "";
        "ARCH" "ARCH" "x86_64" "";
        "items" "items" "1" "";
        "ppid" "ppid" "900" "";
        "pid" "pid" "912" "";
        "auid" "auid" "1001" "who logged in; 4294967295 if nobody did";
        "uid" "uid" "33" "";
        "gid" "gid" "33" "";
        "euid" "euid" "33" "";
        "suid" "suid" "33" "";
        "fsuid" "fsuid" "33" "";
        "egid" "egid" "33" "";
        "sgid" "sgid" "33" "";
        "fsgid" "fsgid" "33" "";
        "tty" "tty" "pts0" "`(none)` without one";
        "ses" "ses" "7" "";
        "subj" "subj" "unconfined" "";
        "AUID" "AUID" "alice" "`unset` if nobody logged in";
        "UID" "UID" "www-data" "";
        "GID" "GID" "www-data" "";
        "EUID" "EUID" "www-data" "";
        "SUID" "SUID" "www-data" "";
        "FSUID" "FSUID" "www-data" "";
        "EGID" "EGID" "www-data" "";
        "SGID" "SGID" "www-data" "";
        "FSGID" "FSGID" "www-data" "";
        "UID_GROUPS" "UID_GROUPS" "adm" "any of them";
        "LABELS" "LABELS" "webapp" "any of them";
        "SCRIPT" "SCRIPT" "/srv/app/run.pl" "the script, where a `#!` file was started";
        "EXE_HASH" "EXE_HASH" "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" "SHA-256";
    }
    EXECVE {
        "a0" "ARGV" "perl" "the arguments; a1, a2 and so on likewise";
        "a1" "ARGV" "-e" "";
        "a2" "ARGV" "print 1+1" "";
        "argc" "argc" "3" "";
        "ARGV" "ARGV" "-e" "any argument";
        "ARGV_STR" "ARGV_STR" "ls -l" "instead of ARGV, where Laurel writes execve-argv as a string";
    }
    PROCTITLE_RECORD {
        "ARGV" "ARGV" "print 1+1" "any argument; the kernel cuts all of them at 128 bytes";
    }
    CWD {
        "cwd" "cwd" "/srv/app" "";
    }
    PATH {
        "name" "name" "/srv/app/run.pl" "as logged, and absolute where it is relative; any of both";
        "nametype" "nametype" "CREATE" "NORMAL, PARENT, CREATE, DELETE or UNKNOWN";
        "item" "item" "0" "";
        "inode" "inode" "247" "";
        "dev" "dev" "fe:00" "";
        "mode" "mode" "0o100755" "";
        "ouid" "ouid" "0" "";
        "ogid" "ogid" "0" "";
        "OUID" "OUID" "root" "";
        "OGID" "OGID" "root" "";
        "rdev" "rdev" "00:00" "";
        "cap_fp" "cap_fp" "0x0" "";
        "cap_fi" "cap_fi" "0x0" "";
        "cap_fe" "cap_fe" "0" "";
        "cap_fver" "cap_fver" "0x0" "";
        "cap_frootid" "cap_frootid" "0" "";
    }
    SOCKADDR {
        "saddr" "saddr" "\u{1}\0/run/docker.sock" "raw; the address itself is read by network_connection and laurel";
    }
    CONFIG_CHANGE {
        "op" "op" "set" "";
        "list" "list" "4" "";
        "res" "res" "1" "";
        "old" "old" "2" "";
        "audit_enabled" "audit_enabled" "0" "";
        "audit_backlog_limit" "audit_backlog_limit" "8192" "";
        "audit_failure" "audit_failure" "1" "";
        "auid" "auid" "1001" "";
        "ses" "ses" "7" "";
        "AUID" "AUID" "alice" "";
    }
    LOGIN {
        "pid" "pid" "77" "";
        "uid" "uid" "0" "";
        "auid" "auid" "1001" "";
        "old-auid" "old-auid" "4294967295" "";
        "tty" "tty" "(none)" "";
        "ses" "ses" "7" "";
        "old-ses" "old-ses" "4294967295" "";
        "res" "res" "1" "";
        "UID" "UID" "root" "";
        "AUID" "AUID" "alice" "";
        "OLD-AUID" "OLD-AUID" "unset" "";
        "" "PID.EVENT_ID" "1700000000.123:2" "";
        "" "PID.START_TIME" "1699990000.500" "";
    }
    OBJ_PID {
        "opid" "opid" "700" "the process that a signal or trace is aimed at";
        "ocomm" "ocomm" "sshd" "";
        "oauid" "oauid" "4294967295" "";
        "ouid" "ouid" "0" "";
        "oses" "oses" "4294967295" "";
        "OAUID" "OAUID" "unset" "";
        "OUID" "OUID" "root" "";
    }
    BPRM_FCAPS {
        "fver" "fver" "0x0" "capabilities before and after a program starts";
        "fp" "fp" "0x0" "";
        "fi" "fi" "0x0" "";
        "fe" "fe" "0" "";
        "old_pp" "old_pp" "0x0" "";
        "old_pi" "old_pi" "0x0" "";
        "old_pe" "old_pe" "0x0" "";
        "old_pa" "old_pa" "0x0" "";
        "pp" "pp" "0x1ff" "";
        "pi" "pi" "0x0" "";
        "pe" "pe" "0x1ff" "";
        "pa" "pa" "0x0" "";
        "frootid" "frootid" "0" "";
    }
    USER {
        "op" "msg.op" "login" "";
        "acct" "msg.acct" "bob" "";
        "exe" "msg.exe" "/usr/sbin/sshd" "";
        "hostname" "msg.hostname" "198.51.100.9" "printed as hex where it was decoded by mistake";
        "addr" "msg.addr" "198.51.100.9" "printed as hex where it was decoded by mistake";
        "terminal" "msg.terminal" "sshd" "";
        "res" "msg.res" "failed" "success or failed";
        "pid" "pid" "77" "";
        "uid" "uid" "0" "";
        "auid" "auid" "4294967295" "";
        "ses" "ses" "4294967295" "";
        "UID" "UID" "root" "";
        "AUID" "AUID" "unset" "";
        "" "PID.EVENT_ID" "1700000000.123:2" "";
        "" "PID.START_TIME" "1699990000.500" "";
    }
    PAM {
        "grantors" "msg.grantors" "pam_unix" "";
    }
    ACCOUNT {
        "id" "msg.id" "1001" "mended where it was decoded by mistake";
    }
    COMMAND {
        "cmd" "msg.cmd" "id -u" "the command that sudo runs";
        "cwd" "msg.cwd" "/home/bob" "";
    }
    SERVICE {
        "unit" "msg.unit" "auditd" "";
        "comm" "msg.comm" "systemd" "";
    }
    DAEMON {
        "op" "op" "start" "";
        "ver" "ver" "3.0.9" "";
        "format" "format" "enriched" "";
        "kernel" "kernel" "6.1.0-13-amd64" "";
        "auid" "auid" "4294967295" "";
        "pid" "pid" "500" "";
        "uid" "uid" "0" "";
        "ses" "ses" "4294967295" "";
        "res" "res" "success" "";
        "UID" "UID" "root" "";
        "AUID" "AUID" "unset" "";
        "" "PID.EVENT_ID" "1700000000.123:2" "";
        "" "PID.START_TIME" "1699990000.500" "";
    }
};

/// A path of the native view that is no plain member of a record.
struct Path {
    name: &'static str,
    source: &'static str,
    note: &'static str,
    example: &'static str,
}

impl Path {
    fn field(&self) -> KnownField {
        KnownField {
            name: self.name.into(),
            records: &[],
            source: match self.source {
                "" => self.name.into(),
                source => source.into(),
            },
            note: self.note,
            example: self.example,
        }
    }
}

macro_rules! paths {
    ($($name:literal $source:literal $example:literal $note:literal;)*) => {
        &[$(Path { name: $name, source: $source, note: $note, example: $example },)*]
    };
}

const NATIVE: &[Path] = paths! {
    "EXECVE.cmdline" "EXECVE.ARGV, EXECVE.ARGV_STR" "perl -e print 1+1" "arguments joined by one blank; not in the line itself";
    "process.labels" "SYSCALL.LABELS" "webapp" "Laurel's labels of the acting process; any of them";
    "host" "NODE, envelope, Kafka key" "web-01" "";
    "ID" "" "1700000000.123:2" "time and serial";
    "NODE" "" "web-01" "";
    "SYSCALL.ARGV" "" "0x55d0" "any of the four, in hex";
    "SYSCALL.PID.EVENT_ID" "" "1700000000.123:2" "first event of the process image";
    "SYSCALL.PID.START_TIME" "" "1699999000.500" "instead, for processes older than Laurel";
    "SYSCALL.PID.systemd_service" "" "tomcat" "any of them, without .service";
    "SYSCALL.PID.container.id" "" "825cf8eb54d9" "";
    "SYSCALL.PPID.EVENT_ID" "" "1700000000.023:1" "";
    "SYSCALL.PPID.START_TIME" "" "1699990000.500" "";
    "SYSCALL.PPID.exe" "" "/usr/bin/bash" "before Laurel 0.8, or with ppid-verbose";
    "SYSCALL.PPID.comm" "" "bash" "before Laurel 0.8, or with ppid-verbose";
    "SYSCALL.PPID.ppid" "" "1" "before Laurel 0.8, or with ppid-verbose";
    "SYSCALL.PPID.systemd_service" "" "cron" "any of them";
    "SYSCALL.PPID.container.id" "" "825cf8eb54d9" "";
    "SYSCALL.SPAWNED_BY.EVENT_ID" "" "1700000000.023:1" "the parent, or the image before this one";
    "SYSCALL.SPAWNED_BY.START_TIME" "" "1699990000.500" "";
    "SYSCALL.SPAWNED_BY.pid" "" "900" "";
    "SYSCALL.SPAWNED_BY.comm" "" "bash" "";
    "SYSCALL.SPAWNED_BY.exe" "" "/usr/bin/bash" "";
    "EXECVE.ENV.LD_PRELOAD" "" "/tmp/x.so" "variables that Laurel is told to keep";
    "EXECVE.ENV.LD_LIBRARY_PATH" "" "/tmp" "variables that Laurel is told to keep";
    "SOCKADDR.SADDR.saddr_fam" "" "inet" "read from the raw address where Laurel does not translate; inet, inet6, local, netlink ...";
    "SOCKADDR.SADDR.addr" "" "192.0.2.7" "IPv4 within IPv6 becomes IPv4";
    "SOCKADDR.SADDR.port" "" "4444" "";
    "SOCKADDR.SADDR.path" "" "/run/docker.sock" "of the family local";
    "SOCKADDR.SADDR.flowinfo" "" "0" "of the family inet6";
    "SOCKADDR.SADDR.scope_id" "" "0" "of the family inet6";
    "SOCKADDR.SADDR.pid" "" "3" "of the family netlink";
    "SOCKADDR.SADDR.groups" "" "1" "of the family netlink";
    "OBJ_PID.OPID.EVENT_ID" "" "1700000000.011:9" "";
    "OBJ_PID.OPID.START_TIME" "" "1699990000.500" "";
    "OBJ_PID.OPID.exe" "" "/usr/sbin/sshd" "";
    "OBJ_PID.OPID.comm" "" "sshd" "";
    "OBJ_PID.OPID.ppid" "" "1" "";
    "CONTAINER_INFO.ID" "" "825cf8eb54d9" "Laurel 0.5";
};

#[cfg(test)]
mod tests;
