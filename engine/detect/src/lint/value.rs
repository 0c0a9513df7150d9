//! Values that the field they are asked of never has: what each field can hold, as far as it is certain, and whether a
//! value of a rule can be a part of that.

use std::collections::BTreeSet;

use event::{ValueKind, ViewKind, is_known_field};
use sigma::{Diagnostic, Field, Item, Matcher, Part, Pattern, Place, Rule, Search};

use super::{CONTRADICTION, IMPOSSIBLE, diagnostic};
use crate::matcher::{Test, Text};
use crate::text::folded;

/// The kernel cuts the name of a program.
const COMM_BYTES_MAX: usize = 15;

/// What a field can hold.
#[derive(Clone, Copy)]
enum Form {
    /// These letters alone, at most so many.
    Letters(&'static [u8], usize),
    /// The same behind these letters.
    Behind(&'static [u8], &'static [u8]),
    /// One of these words.
    Words(&'static [&'static str]),
    /// A word: not digits alone.
    Word,
    /// An account's name, which may be of digits, and is never 0.
    Account,
    /// An absolute path.
    Path,
    /// An absolute path without a slash at its end.
    Folder,
    /// At most so many bytes.
    Short(usize),
}

const HEX: &[u8] = b"0123456789abcdef";
const NUMBER: Form = Form::Letters(b"0123456789", 20);
const SIGNED: Form = Form::Letters(b"-0123456789", 20);
const PORT: Form = Form::Letters(b"0123456789", 5);
const ADDRESS: Form = Form::Letters(b"0123456789abcdef.:", 45);

/// A form, and what to tell of it: what the field holds, and what to write instead.
type Known = (Form, &'static str, &'static str);

const PATH_KNOWN: Known = (
    Form::Path,
    "an absolute path with slashes",
    "write the whole path, or `endswith` with a slash before the name, such as `/curl`",
);

/// What fields of the mapped views can hold.
fn of_mapped(name: &str) -> Option<Known> {
    Some(match name {
        "Image" | "ParentImage" | "TargetFilename" | "SourceFilename" => PATH_KNOWN,
        "CurrentDirectory" => (
            Form::Folder,
            "an absolute path without a slash at its end",
            "write it so, such as `/tmp`",
        ),
        "ProcessId" | "ParentProcessId" => (NUMBER, "a decimal number", "write it as one"),
        "LogonId" => (
            NUMBER,
            "the number of the user",
            "write the number, 0 for root; `User` has the name",
        ),
        "User" => (
            Form::Account,
            "the name of the user",
            "write the name, such as `root`; `LogonId` of process_creation has the number",
        ),
        "DestinationPort" | "SourcePort" => (
            PORT,
            "the number of the port",
            "write the number, such as 443",
        ),
        "DestinationIp" | "SourceIp" => (
            ADDRESS,
            "an address, never a name",
            "write the address, or a network with `cidr`",
        ),
        "Initiated" => (
            Form::Words(&["true", "false"]),
            "`true` or `false`",
            "write one of them",
        ),
        "sha256" => (
            Form::Letters(HEX, 64),
            "64 hex digits",
            "write the SHA-256 of the file",
        ),
        "Hashes" => (
            Form::Behind(b"SHA256=", HEX),
            "`SHA256=` and 64 hex digits, of no other algorithm",
            "write the SHA-256 of the file",
        ),
        "ProcessGuid" | "ParentProcessGuid" => (
            Form::Letters(b"0123456789.:/", 64),
            "the id of an event, such as `1700000000.123:2`",
            "write one, or use `ProcessId`",
        ),
        _ => return None,
    })
}

/// What members of records can hold. LAUREL: numbers are decimal, but for those written `0x` and `0o`.
fn of_member(name: &str) -> Option<Known> {
    Some(match name {
        "type" => (
            Form::Word,
            "the name of the record's type",
            "write the name, such as `SYSCALL`",
        ),
        "success" => (
            Form::Words(&["yes", "no"]),
            "`yes` or `no`",
            "write one of them",
        ),
        "nametype" => (
            Form::Words(&["NORMAL", "PARENT", "CREATE", "DELETE", "UNKNOWN"]),
            "one of NORMAL, PARENT, CREATE, DELETE, UNKNOWN",
            "write one of them",
        ),
        "arch" => (
            Form::Behind(b"0x", HEX),
            "hex digits behind `0x`",
            "write them so, such as `0xc000003e`, or ask `ARCH` for `x86_64`",
        ),
        "syscall" => (
            NUMBER,
            "the number of the call",
            "ask `SYSCALL` for the name",
        ),
        "SYSCALL" => (
            Form::Word,
            "the name of the call",
            "write the name, or ask `syscall` for the number",
        ),
        "exit" => (
            SIGNED,
            "a decimal number",
            "write the number, such as -13 for EACCES",
        ),
        "uid" | "gid" | "euid" | "suid" | "fsuid" | "egid" | "sgid" | "fsgid" | "auid" | "ouid"
        | "ogid" | "oauid" => (
            SIGNED,
            "a number",
            "write the number (4294967295 where it is unset), or ask the field in upper case for the name",
        ),
        "pid" | "ppid" | "ses" | "items" | "item" | "argc" | "inode" | "opid" | "oses" => {
            (SIGNED, "a decimal number", "write it as one")
        }
        "mode" => (
            Form::Behind(b"0o", b"01234567"),
            "octal digits behind `0o`",
            "write them so and quote them, such as '0o100755'",
        ),
        "comm" | "ocomm" => (
            Form::Short(COMM_BYTES_MAX),
            "at most 15 bytes: the kernel cuts the name",
            "write its first 15 bytes, or ask `exe`",
        ),
        "exe" => PATH_KNOWN,
        _ => return None,
    })
}

const ARGUMENT: Known = (
    Form::Letters(HEX, 16),
    "hex digits without `0x` in SYSCALL records",
    "write them so, such as `7f`; the arguments of a program are those of `type: EXECVE`",
);
const ARGUMENTS: Known = (
    Form::Behind(b"0x", HEX),
    "hex digits behind `0x`",
    "write them so, such as `0x7f`",
);

/// What a field can hold in a view of this kind, beside these items.
fn known(kind: ViewKind, name: &str, items: &[Item]) -> Option<Known> {
    match kind {
        ViewKind::Record if matches!(name, "a0" | "a1" | "a2" | "a3") => {
            items.iter().any(is_syscall).then_some(ARGUMENT)
        }
        ViewKind::Record => of_member(name),
        // Whatever is named otherwise may hold anything.
        ViewKind::Native if !is_known_field(kind, name) => None,
        ViewKind::Native => {
            let (record, member) = name.rsplit_once('.')?;
            match (record, member) {
                ("SYSCALL", "ARGV") => Some(ARGUMENTS),
                ("SOCKADDR.SADDR", "port") => of_mapped("DestinationPort"),
                ("SOCKADDR.SADDR", "addr") => of_mapped("DestinationIp"),
                // What a program is given may have any name and value.
                ("EXECVE.ENV", _) => None,
                (_, member) => of_member(member),
            }
        }
        _ => of_mapped(name),
    }
}

/// `type: SYSCALL`.
fn is_syscall(item: &Item) -> bool {
    let is_type = matches!(&item.field, Field::Named(name) if &**name == "type");
    let mut exact = exact_values(item).into_iter().flatten();
    is_type && exact.all(|value| value == b"syscall") && exact_values(item).is_some()
}

/// The values of a rule that cannot match, and the lines of it that contradict each other.
pub(crate) fn impossible(rule: &Rule, kind: ViewKind) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for selection in &rule.detection.selections {
        search(&selection.search, rule, kind, &mut found);
    }
    found
}

fn search(of: &Search, rule: &Rule, kind: ViewKind, found: &mut Vec<Diagnostic>) {
    match of {
        Search::Any(searches) => {
            for of in searches {
                search(of, rule, kind, found);
            }
        }
        Search::Map(items) => {
            for item in items {
                values(item, items, rule, kind, found);
            }
            contradictions(items, rule, kind, found);
        }
    }
}

fn values(item: &Item, items: &[Item], rule: &Rule, kind: ViewKind, found: &mut Vec<Diagnostic>) {
    let Field::Named(name) = &item.field else {
        raw_keywords(item, rule, kind, found);
        return;
    };
    let Some((form, holds, cure)) = known(kind, name, items) else {
        return;
    };
    let is_linux = rule.logsource.product.as_deref() == Some("linux") || kind == ViewKind::Record;
    let mut at = 0;
    while at < item.matchers.len() {
        let place = item.places.get(at).unwrap_or(&item.place);
        // A number is looked for by its canonical text and by the one written.
        let same = item.places.iter().skip(at).take_while(|own| *own == place);
        let next = at + same.count().max(1);
        let variants = &item.matchers[at..next.min(item.matchers.len())];
        at = next;
        if variants
            .iter()
            .any(|matcher| is_possible(matcher, form, is_linux))
        {
            continue;
        }
        let message = format!("`{name}` never has this value: it is {holds}");
        found.push(diagnostic(&IMPOSSIBLE, rule, place, message, cure));
    }
}

/// Keywords as auditd writes lines, of which Laurel makes members and values.
fn raw_keywords(item: &Item, rule: &Rule, kind: ViewKind, found: &mut Vec<Diagnostic>) {
    if !matches!(kind, ViewKind::Record | ViewKind::Native) {
        return;
    }
    for (at, matcher) in item.matchers.iter().enumerate() {
        let Matcher::Text(pattern) = matcher else {
            continue;
        };
        let is_raw = |part: &Part| match part {
            Part::Text(text) => is_raw(text),
            Part::One | Part::Any => false,
        };
        if pattern.parts.iter().any(is_raw) {
            let place = item.places.get(at).unwrap_or(&item.place);
            let message = "this is how auditd writes a line; events have members with values, in which it stands by \
                           chance, as in an argument";
            let cure = "ask the field, such as `type: EXECVE` or `success: 'no'`";
            found.push(diagnostic(
                &IMPOSSIBLE,
                rule,
                place,
                message.to_owned(),
                cure,
            ));
        }
    }
}

/// `type=EXECVE`, `success=no`, `msg=audit(`.
fn is_raw(text: &[u8]) -> bool {
    let is_type = text.strip_prefix(b"type=").is_some_and(|name| {
        name.len() > 2 && name.iter().all(|c| c.is_ascii_uppercase() || *c == b'_')
    });
    is_type || matches!(text, b"success=yes" | b"success=no") || text.starts_with(b"msg=audit(")
}

/// Whether some text of this form may pass a matcher; true unless it is certain that none does.
fn is_possible(matcher: &Matcher, form: Form, is_linux: bool) -> bool {
    match matcher {
        Matcher::AnyOf(variants) => {
            variants.is_empty()
                || variants
                    .iter()
                    .any(|variant| is_possible(variant, form, is_linux))
        }
        Matcher::Text(pattern) => pattern.parts.is_empty() || may_hold(pattern, form, is_linux),
        Matcher::Number(text) => may_hold(&exact(text.as_bytes()), form, is_linux),
        Matcher::Bool(value) => {
            let text = if *value { "true" } else { "false" };
            may_hold(&exact(text.as_bytes()), form, is_linux)
        }
        _ => true,
    }
}

fn exact(text: &[u8]) -> Pattern {
    Pattern {
        parts: vec![Part::Text(text.into())],
        cased: false,
    }
}

fn may_hold(pattern: &Pattern, form: Form, is_linux: bool) -> bool {
    let text_of = |part: &Part| match part {
        Part::Text(text) if pattern.cased => Some(text.to_vec()),
        Part::Text(text) => Some(folded(text)),
        Part::One | Part::Any => None,
    };
    let texts: Vec<Vec<u8>> = pattern.parts.iter().filter_map(text_of).collect();
    let first = pattern.parts.first().and_then(text_of);
    let last = pattern.parts.last().and_then(text_of);
    let whole = texts.first().filter(|_| pattern.parts.len() == 1);
    let only = |letters: &[u8]| {
        texts
            .iter()
            .flatten()
            .all(|letter| letters.contains(letter))
    };
    let length: usize = texts.iter().map(Vec::len).sum();
    match form {
        Form::Letters(letters, most) => only(letters) && length <= most,
        Form::Behind(head, letters) => {
            let head = if pattern.cased {
                head.to_vec()
            } else {
                folded(head)
            };
            only(&[&head, letters].concat())
                && first.is_none_or(|first| first.starts_with(&head) || head.starts_with(&first))
        }
        Form::Words(words) => words.iter().any(|word| passes(pattern, word)),
        Form::Word => !whole.is_some_and(|whole| whole.iter().all(u8::is_ascii_digit)),
        Form::Account => whole.is_none_or(|whole| whole != b"0"),
        Form::Short(most) => length <= most,
        Form::Path | Form::Folder => {
            let is_folder = matches!(form, Form::Folder);
            let ends_with_slash = last.is_some_and(|last| last.len() > 1 && last.ends_with(b"/"));
            let is_refused = is_folder && ends_with_slash
                || is_linux && texts.iter().any(|text| is_windows_path(text));
            !is_refused
                && whole.is_none_or(|whole| whole.contains(&b'/'))
                // Below a directory that is not known a path is `<dirfd>/name`.
                && first.is_none_or(|first| first.starts_with(b"/") || first.starts_with(b"<"))
        }
    }
}

/// `\curl`, `c:\windows`: backslashes and no slash. Names of systemd hold `\x2d`.
fn is_windows_path(text: &[u8]) -> bool {
    let is_drive = matches!(text, [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic());
    let is_folder =
        matches!(text, [b'\\', letter, ..] if letter.is_ascii_alphanumeric() && *letter != b'x');
    (is_drive || is_folder) && !text.contains(&b'/')
}

fn passes(pattern: &Pattern, word: &str) -> bool {
    let test = Test::new(&Matcher::Text(pattern.clone()));
    let text = Text {
        kind: ValueKind::Text,
        raw: word.as_bytes(),
        folded: &folded(word.as_bytes()),
    };
    test.is_ok_and(|test| test.holds(text))
}

/// Lines of one map that demand different values of a field that has one.
fn contradictions(items: &[Item], rule: &Rule, kind: ViewKind, found: &mut Vec<Diagnostic>) {
    let mut demanded: Vec<(&str, BTreeSet<Vec<u8>>)> = Vec::new();
    for item in items {
        let Field::Named(name) = &item.field else {
            continue;
        };
        if !is_single(kind, name) {
            continue;
        }
        let before = demanded.len();
        let mut refused = false;
        for values in exact_sets(item) {
            let mut same = demanded.iter().filter(|(other, _)| *other == &**name);
            refused |= same.any(|(_, other)| other.is_disjoint(&values));
            demanded.push((name, values));
        }
        if refused {
            demanded.truncate(before);
            let message = format!("`{name}` has one value and cannot be all of these at once");
            let help = "let one of them be enough: a list of values without `all`";
            found.push(diagnostic(&CONTRADICTION, rule, &item.place, message, help));
        }
    }
}

/// Whether a field has at most one value in a view.
fn is_single(kind: ViewKind, name: &str) -> bool {
    match kind {
        ViewKind::Native => false,
        ViewKind::Record => of_member(name).is_some(),
        ViewKind::ProcessCreation if name == "Image" => false,
        _ => {
            of_mapped(name).is_some()
                || matches!(name, "CommandLine" | "ParentCommandLine" | "host")
        }
    }
}

/// Sets of texts of each of which the field must have one.
fn exact_sets(item: &Item) -> Vec<BTreeSet<Vec<u8>>> {
    match (item.quantifier, exact_values(item)) {
        (_, None) => Vec::new(),
        (sigma::Quantifier::Any, Some(values)) => vec![values.into_iter().collect()],
        (sigma::Quantifier::All, Some(values)) => {
            values.into_iter().map(|value| [value].into()).collect()
        }
    }
}

/// The folded texts that an item asks for, if it asks for whole texts only.
fn exact_values(item: &Item) -> Option<Vec<Vec<u8>>> {
    let exact = |matcher: &Matcher| match matcher {
        Matcher::Text(Pattern { parts, .. }) => match &parts[..] {
            [Part::Text(text)] => Some(folded(text)),
            _ => None,
        },
        Matcher::Number(text) => Some(text.as_bytes().to_vec()),
        _ => None,
    };
    if item.negated {
        return None;
    }
    item.matchers.iter().map(exact).collect()
}

/// Where the first regular expression stands of which no two fixed characters are certain.
pub(crate) fn loose_regex(search: &Search) -> Option<&Place> {
    match search {
        Search::Any(searches) => searches.iter().find_map(loose_regex),
        Search::Map(items) => items.iter().find_map(|item| {
            let mut matchers = item.matchers.iter();
            let at = matchers.position(|matcher| match matcher {
                Matcher::Regex(regex) => crate::witness::of_regex(regex).is_none(),
                _ => false,
            })?;
            Some(item.places.get(at).unwrap_or(&item.place))
        }),
    }
}
