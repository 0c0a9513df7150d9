#!/usr/bin/env python3
"""Which recorded Laurel events does each Sigma rule match? The plainest possible answer, to hold the engine against.

What it is: an independent second reading of the event views and of Sigma, written from the descriptions alone, in another
style and another language than the engine: `json.loads`, one dictionary per view, every rule tried on every view. Nothing is
compiled, nothing is skipped. It is slow on purpose (about a minute for 24,000 events and 220 rules).

What it takes: Laurel lines (plain, or `.zst` through the program `zstd`) and Sigma rules (files or folders).
What it gives: how often each view occurs, how many rules are routed, running and listed (with the reason), and per rule
the number of matching events; with `--ids` also their 0-based line numbers; with `--json FILE` all of it as one object; with `--views
FILE` every view with its fields.
What it needs: Python 3.9 and PyYAML.
What it leaves out: shippers' envelopes (each line is a Laurel object, perhaps behind a prefix), correlations, filters,
the modifiers that no Linux rule uses (windash, base64*, utf16*, expand, fieldref, dates), system call numbers that no view
asks for.

    tests/oracle/slow_check.py --rules rules/ tests/data/fleet.jsonl.zst
    tests/oracle/slow_check.py --rules rules/ --json out.json --ids tests/data/container.jsonl.zst

Where the descriptions leave a choice, a comment that starts with CHOICE says which one was taken here.
"""

import argparse
import collections
import decimal
import ipaddress
import json
import operator
import pathlib
import re
import subprocess
import sys

import yaml

# ---------------------------------------------------------------------------------------------------------------
# Values. Numbers keep their text: no float ever gets between a log and a rule.


class Number(str):
    """A number of JSON or YAML, as it was written."""

    def canonical(self):
        text = str(self)
        if re.fullmatch(r"[+-]?\d+", text):
            return str(int(text))
        match = re.fullmatch(r"([+-]?)(\d*)\.(\d*)", text)
        if match:
            sign, whole, part = match.groups()
            whole, part = whole.lstrip("0") or "0", part.rstrip("0")
            body = f"{whole}.{part}" if part else whole
            return body if sign != "-" or body == "0" else f"-{body}"
        return text  # CHOICE: exponents are compared as written


def texts(value):
    """The texts by which a scalar may be compared; empty for null and for what is no scalar."""
    if value is None or isinstance(value, (dict, list)):
        return []
    if value is True or value is False:
        return ["true" if value else "false"]
    if isinstance(value, Number):
        return list(dict.fromkeys([str(value), value.canonical()]))
    return [value]


def fold(text):
    """Simple case folding: one character stays one character, so that `?` keeps its meaning."""
    if text.isascii():
        return text.lower()
    return "".join(fold_char(c) for c in text)


def fold_char(char):
    for candidate in (char.casefold(), char.lower()):
        if len(candidate) == 1:
            return candidate
    return char


def percent_decode(text):
    """%xx becomes the byte; bytes that are no UTF-8 become lone surrogates, one each; `%zz` and `+` stay."""
    if "%" not in text:
        return text
    raw = re.sub(
        rb"%([0-9a-fA-F]{2})",
        lambda m: bytes([int(m.group(1), 16)]),
        text.encode("utf-8", "surrogatepass"),
    )
    return raw.decode("utf-8", "surrogateescape")


def decode_strings(value):
    if isinstance(value, Number) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return percent_decode(value)
    if isinstance(value, list):
        return [decode_strings(v) for v in value]
    return {k: decode_strings(v) for k, v in value.items()}


# ---------------------------------------------------------------------------------------------------------------
# One line -> one normalised event {id, host, records: {type: [object, ...]}, arrays: types that were arrays}.

ARCH = {"0xc000003e": "x86_64", "0xc00000b7": "aarch64", "0x40000003": "i386"}
# Calls that a view or a rule asks for by name, by number on x86_64, aarch64, i386 (None: absent).
CALLS = {
    "execve": (59, 221, 11), "execveat": (322, 281, 358), "connect": (42, 203, 362), "accept": (43, 202, None),
    "accept4": (288, 242, 364), "sendto": (44, 206, 369), "sendmsg": (46, 211, 370), "socketcall": (None, None, 102),
    "open": (2, None, 5), "creat": (85, None, 8), "openat": (257, 56, 295), "openat2": (437, 437, 437),
    "unlink": (87, None, 10), "unlinkat": (263, 35, 301), "rename": (82, None, 38), "renameat": (264, 38, 302),
    "renameat2": (316, 276, 353), "rmdir": (84, None, 40), "mkdir": (83, None, 39), "mkdirat": (258, 34, 296),
    "mknod": (133, None, 14), "mknodat": (259, 33, 297), "link": (86, None, 9), "linkat": (265, 37, 303),
    "symlink": (88, None, 83), "symlinkat": (266, 36, 304), "readlinkat": (267, 78, 305), "chmod": (90, None, 15),
    "fchmodat": (268, 53, 306), "fchmodat2": (452, 452, 452), "fchownat": (260, 54, 298),
    "faccessat": (269, 48, 307), "faccessat2": (439, 439, 439), "newfstatat": (262, 79, None),
    "fstatat64": (None, None, 300), "statx": (332, 291, 383), "utimensat": (280, 88, 320),
    "futimesat": (261, None, 299), "name_to_handle_at": (303, 264, 341), "clone": (56, 220, 120),
    "clone3": (435, 435, 435), "fork": (57, None, 2), "vfork": (58, None, 190), "ptrace": (101, 117, 26),
    "bpf": (321, 280, 357), "memfd_create": (319, 279, 356), "init_module": (175, 105, 128),
    "finit_module": (313, 273, 350), "delete_module": (176, 106, 129), "personality": (135, 92, 136),
    "sysinfo": (99, 179, 116), "syslog": (103, 116, 103), "socket": (41, 198, 359), "mount": (165, 40, 21),
    "sethostname": (170, 161, 74), "setdomainname": (171, 162, 121), "kill": (62, 129, 37), "uname": (63, 160, 122),
    "splice": (275, 76, 313), "write": (1, 64, 4), "read": (0, 63, 3),
}
NUMBER_TO_CALL = {
    arch: {str(numbers[i]): name for name, numbers in CALLS.items() if numbers[i] is not None}
    for i, arch in enumerate(("x86_64", "aarch64", "i386"))
}
SOCKETCALL = {"1": "socket", "3": "connect", "5": "accept", "b": "sendto", "10": "sendmsg", "12": "accept4"}

HEX_BUG_NUMBERS = {"id", "new_gid", "sauid", "spid", "suid", "rport", "lport", "ksize"}
HEX_BUG_TEXTS = {"hostname", "addr", "terminal"}
ID = re.compile(r"^\d+\.\d{3}:\d+$")
RECORD = re.compile(r"^([A-Z][A-Z0-9_]*|UNKNOWN\[\d+\])$")


def read_event(line):
    """None if the line is no Laurel event."""
    start = line.find(b"{")
    if start < 0:
        return None
    try:
        root = json.loads(line[start:], parse_int=Number, parse_float=Number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(root.get("ID"), str) or not ID.match(root["ID"]):
        return None
    event = {"id": root["ID"], "host": node(root.get("NODE")), "records": {}, "arrays": set()}
    for name, value in root.items():
        if not RECORD.match(name) or name in ("ID", "NODE"):
            continue
        if isinstance(value, dict):
            event["records"][name] = [decode_strings(value)]
        elif isinstance(value, list) and all(isinstance(v, dict) for v in value):
            event["records"][name] = [decode_strings(v) for v in value]
            event["arrays"].add(name)
    normalise(event)
    return event


def node(value):
    if isinstance(value, str):
        return percent_decode(value)
    if isinstance(value, list):
        return bytes(int(v) for v in value).decode("utf-8", "surrogateescape")
    return None


def normalise(event):
    prefix = translation_prefix(one(event, "SYSCALL"))
    for kind, records in event["records"].items():
        for record in records:
            if prefix:
                for name in [n for n in record if n.startswith(prefix)]:
                    record[name[len(prefix):].upper()] = record.pop(name)
            numbers_from_names(record)
            if "key" in record:
                record["key"] = split_key(record["key"])
            if isinstance(record.get("msg"), dict):
                repair_hex_bug(record["msg"], HEX_BUG_NUMBERS, HEX_BUG_TEXTS)
            elif isinstance(record.get("msg"), str) and not isinstance(record["msg"], Number):
                record["msg"] = parse_msg(record["msg"])
            if kind == "CONFIG_CHANGE":
                repair_hex_bug(record, {"old"}, set())


def one(event, kind):
    records = event["records"].get(kind)
    return records[0] if records else None


def translation_prefix(syscall):
    # CHOICE: each event is looked at by itself, so a record without a SYSCALL beside it keeps prefixed names.
    for name in syscall or ():
        if name.endswith("arch") and name != "arch":
            prefix = name[: -len("arch")]
            if all(prefix + n in syscall for n in ("syscall", "pid", "uid")):
                return prefix
    return ""


def numbers_from_names(record):
    """Raw ids may be dropped in favour of names; what can be told back is told back."""
    for name in [n for n in record if re.fullmatch(r"[A-Z]*(UID|GID)", n)]:
        value, raw = record[name], name.lower()
        if raw in record or not isinstance(value, str):
            continue
        unknown = re.fullmatch(r"unknown\((\d+)\)", value)
        if value == "root":
            record[raw] = Number("0")
        elif value == "unset":
            record[raw] = Number("4294967295")
        elif unknown:
            record[raw] = Number(unknown.group(1))


def split_key(value):
    if not isinstance(value, str) or value.startswith("(null)"):
        return []
    return value.split("\x01")


def repair_hex_bug(record, numbers, plain):
    for name, value in record.items():
        if not isinstance(value, str) or isinstance(value, Number):
            continue
        raw = value.encode("utf-8", "surrogateescape")
        if name in numbers:
            if not (value.isascii() and value.isdigit() and len(value) % 2 == 1) and raw.hex().isdigit():
                record[name] = raw.hex()
        elif name in plain and any(b < 0x21 or b > 0x7E for b in raw):
            record[name] = raw.hex()


def parse_msg(text):
    body = text.strip()
    if len(body) > 1 and body[0] == body[-1] == "'":
        body = body[1:-1]
    found, rest = {}, body
    while rest.strip():
        match = re.match(r"\s*([A-Za-z_][\w-]*)=(\"([^\"]*)\"|(\S*))", rest)
        if not match:
            return text
        name, whole, quoted, bare = match.groups()
        value = quoted if quoted is not None else bare
        found[name] = None if quoted is None and value in ("?", "(null)") else value
        rest = rest[match.end():]
    return found or text


def call_name(syscall):
    if not syscall:
        return None
    name = syscall.get("SYSCALL")
    if not isinstance(name, str):
        arch = syscall.get("ARCH") or ARCH.get(syscall.get("arch"))
        name = NUMBER_TO_CALL.get(arch, {}).get(str(syscall.get("syscall")))
    return name


def socket_call(syscall):
    name = call_name(syscall)
    if name == "socketcall":
        return SOCKETCALL.get(bare_hex(argument(syscall, 0)), name)
    return name


def argument(syscall, index):
    argv = (syscall or {}).get("ARGV")
    return argv[index] if isinstance(argv, list) and index < len(argv) else None


def bare_hex(text):
    return text[2:] if isinstance(text, str) and text.startswith("0x") else text


AT_CALLS = set(
    "openat openat2 unlinkat renameat renameat2 mkdirat mknodat linkat symlinkat readlinkat fchmodat fchmodat2 fchownat "
    "faccessat faccessat2 newfstatat fstatat64 statx utimensat futimesat execveat name_to_handle_at".split()
)
AT_FDCWD = {"0xffffff9c", "0xffffffffffffff9c"}


def through_directory_fd(syscall):
    name = call_name(syscall)
    if name not in AT_CALLS:
        return False
    positions = [1] if name == "symlinkat" else [0, 2] if name in ("renameat", "renameat2", "linkat") else [0]
    values = [argument(syscall, p) for p in positions]
    return any(v is not None and v not in AT_FDCWD for v in values)


def full_name(event, name):
    """The absolute form of a PATH name, or the name itself where there is none."""
    if not isinstance(name, str) or name.startswith("/"):
        return name
    if through_directory_fd(one(event, "SYSCALL")):
        return "<dirfd>/" + name
    cwd = (one(event, "CWD") or {}).get("cwd")
    # CHOICE: a CWD that is not absolute is no help; the name stays as logged.
    if not isinstance(cwd, str) or not cwd.startswith("/"):
        return name
    parts = []
    for part in (cwd + "/" + name).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def argument_texts(record):
    """Arguments of EXECVE or PROCTITLE, as text; positions are a guess where only the joined form exists."""
    argv = record.get("ARGV")
    if isinstance(argv, list):
        return [argument_text(a) for a in argv]
    joined = record.get("ARGV_STR")
    return joined.split() if isinstance(joined, str) else []


def argument_text(value):
    if isinstance(value, dict):
        return f"<<< Skipped: args={value.get('skipped_args')}, bytes={value.get('skipped_bytes')} >>>"
    return "" if value is None else texts(value)[0]


def command_line(record):
    if record is None:
        return None
    if isinstance(record.get("ARGV"), list):
        return " ".join(argument_text(a) for a in record["ARGV"])
    return record.get("ARGV_STR")


def parent(syscall):
    """{key, pid, exe, comm} of the parent: SPAWNED_BY as a whole, else PPID."""
    source = next((s for s in (syscall.get("SPAWNED_BY"), syscall.get("PPID")) if isinstance(s, dict)), {})
    return {"key": process_key(source), "event": source.get("EVENT_ID"), "exe": source.get("exe"),
            "pid": source.get("pid") or syscall.get("ppid")}


def process_key(source):
    return source.get("EVENT_ID") or source.get("START_TIME")


# ---------------------------------------------------------------------------------------------------------------
# One event -> views. A view is {field: [values]}; a field without values is absent.


class ProcessCache:
    """(host, id of the event that started a process image) -> its command line. Unbounded here."""

    def __init__(self):
        self.lines = {}

    def learn(self, event):
        syscall = one(event, "SYSCALL") or {}
        own = syscall.get("PID")
        if not isinstance(own, dict) or own.get("EVENT_ID") != event["id"]:
            return
        line = command_line(one(event, "EXECVE"))
        if line is None:
            line = self.lines.get((event["host"], parent(syscall)["event"]))
        if line is None:
            line = command_line(one(event, "PROCTITLE"))
        self.lines[(event["host"], event["id"])] = line

    def parent_line(self, event):
        return self.lines.get((event["host"], parent(one(event, "SYSCALL") or {})["event"]))


def view(**fields):
    return {n: v for n, v in ((n, [x for x in many(v) if x is not None]) for n, v in fields.items()) if v}


def many(value):
    return value if isinstance(value, list) else [value]


def user(syscall):
    name = syscall.get("UID")
    if name is None and texts(syscall.get("uid")) == ["0"]:
        name = "root"
    return name


def process_creation(event, cache):
    execve, syscall = one(event, "EXECVE"), one(event, "SYSCALL") or {}
    if execve is None or syscall.get("success") == "no":
        return []
    path = one(event, "PATH") or {}
    exe = syscall.get("exe")
    images = [exe, full_name(event, path.get("name")), syscall.get("SCRIPT")]
    if isinstance(exe, str) and exe.endswith(" (deleted)"):
        images.append(exe[: -len(" (deleted)")])
    up, digest = parent(syscall), syscall.get("EXE_HASH")
    own = syscall.get("PID")
    return [view(
        Image=images, CommandLine=command_line(execve), CurrentDirectory=(one(event, "CWD") or {}).get("cwd"),
        ParentImage=up["exe"], ParentCommandLine=cache.parent_line(event), User=user(syscall),
        LogonId=syscall.get("uid"), ProcessId=syscall.get("pid"), ParentProcessId=syscall.get("ppid"),
        ProcessGuid=process_key(own) if isinstance(own, dict) else None, ParentProcessGuid=up["key"],
        Hashes=f"SHA256={digest}" if digest else None, sha256=digest,
    )]


def file_views(event):
    """(file_event, file_delete, file_rename)"""
    syscall = one(event, "SYSCALL")
    if syscall is None or syscall.get("success") != "yes":
        return [], [], []
    name = call_name(syscall)
    common = {"Image": syscall.get("exe"), "User": user(syscall), "CommandLine": command_line(one(event, "PROCTITLE"))}
    paths = event["records"].get("PATH", [])
    named = {kind: [full_name(event, p.get("name")) for p in paths if p.get("nametype") == kind]
             for kind in ("CREATE", "DELETE")}
    created = [view(TargetFilename=n, **common) for n in named["CREATE"]]
    deleted = [view(TargetFilename=n, **common) for n in named["DELETE"]] if name in ("unlink", "unlinkat", "rmdir") else []
    renamed = []
    if name in ("rename", "renameat", "renameat2"):
        # CHOICE: a successful rename without PATH records is still one view, without names.
        renamed = [view(SourceFilename=(named["DELETE"] or [None])[0], TargetFilename=(named["CREATE"] or [None])[0], **common)]
    return created, deleted, renamed


def socket_address(record):
    """(address, port) of an internet socket address in any of its three forms, else None."""
    form = record.get("SADDR")
    if isinstance(form, dict):
        family, address, port = form.get("saddr_fam"), form.get("addr"), form.get("port")
    elif isinstance(form, str) and form.startswith("{"):
        parts = dict(p.split("=", 1) for p in form.strip("{}").split() if "=" in p)
        family, address, port = parts.get("saddr_fam"), parts.get("laddr"), parts.get("lport")
    elif isinstance(record.get("saddr"), str):
        family, address, port = raw_address(record["saddr"].encode("utf-8", "surrogateescape"))
    else:
        return None
    if family not in ("inet", "inet6") or not isinstance(address, str):
        return None
    try:
        ip = ipaddress.ip_address(address)
        address = str(getattr(ip, "ipv4_mapped", None) or ip)
    except ValueError:
        pass
    return address, Number(texts(port)[0]) if texts(port) else None


def raw_address(raw):
    family = int.from_bytes(raw[:2], "little")  # all three architectures here are little-endian
    if family == 2 and len(raw) >= 8:
        return "inet", str(ipaddress.IPv4Address(raw[4:8])), Number(int.from_bytes(raw[2:4], "big"))
    if family == 10 and len(raw) >= 24:
        return "inet6", str(ipaddress.IPv6Address(raw[8:24])), Number(int.from_bytes(raw[2:4], "big"))
    return None, None, None


def network_connection(event):
    syscall = one(event, "SYSCALL")
    if syscall is None:
        return []
    name, views = socket_call(syscall), []
    done = syscall.get("success") == "yes"
    for record in event["records"].get("SOCKADDR", []):
        address = socket_address(record)
        if address is None:
            continue
        common = {"Image": syscall.get("exe"), "User": user(syscall)}
        if name in ("connect", "sendto", "sendmsg") and (done or texts(syscall.get("exit")) == ["-115"]):
            views.append(view(Initiated="true", DestinationIp=address[0], DestinationPort=address[1], **common))
        elif name in ("accept", "accept4") and done:
            views.append(view(Initiated="false", SourceIp=address[0], SourcePort=address[1], **common))
    return views


NO_RECORDS = ("CONTAINER_INFO", "PARENT_INFO")


def audit_records(event):
    """The event as auditd saw it: [(fields, texts for keywords)], one per record."""
    found = []
    for kind, records in event["records"].items():
        if kind in NO_RECORDS:
            continue
        for record in records:
            fields = dict(record)
            if isinstance(record.get("msg"), dict):
                fields = {**record["msg"], **fields}
            if kind == "EXECVE":
                # CHOICE: positions after skipped arguments count the skip as one argument.
                fields.update({f"a{i}": a for i, a in enumerate(argument_texts(record))})
            if kind == "SYSCALL":
                argv = record.get("ARGV") or []
                fields.update({f"a{i}": bare_hex(a) for i, a in enumerate(argv)})
                fields["SYSCALL"] = call_name(record)
            if kind == "PATH":
                fields["name"] = list(dict.fromkeys([record.get("name"), full_name(event, record.get("name"))]))
            fields["type"] = kind
            keywords = [command_line(record) or ""] if kind == "EXECVE" else list(leaves(record))
            found.append((view(**fields), keywords))
    return found


def leaves(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from leaves(v)
    elif isinstance(value, list):
        for v in value:
            yield from leaves(v)
    else:
        yield from texts(value)


# ---------------------------------------------------------------------------------------------------------------
# Sigma: YAML 1.2 scalars, patterns, items, selections, conditions.


class RuleLoader(yaml.SafeLoader):
    """PyYAML with the core schema of YAML 1.2: dates, `yes` and `007` stay text, numbers keep theirs."""


RuleLoader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^([-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+)$", "-+0123456789"),
    ("float", r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+)$", "-+0123456789."),
):
    RuleLoader.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(pattern), list(first))


def number_node(loader, node):
    text = loader.construct_scalar(node)
    base = {"0x": 16, "0o": 8}.get(text[:2])
    return Number(int(text, base)) if base else Number(text)


RuleLoader.add_constructor("tag:yaml.org,2002:int", number_node)
RuleLoader.add_constructor("tag:yaml.org,2002:float", number_node)

ANY_RUN, ANY_ONE = object(), object()


def pattern_tokens(text):
    tokens, i = [], 0
    while i < len(text):
        char, following = text[i], text[i + 1 : i + 2]
        if char == "\\" and following in ("*", "?", "\\") and following:
            tokens.append(following)
            i += 2
            continue
        tokens.append({"*": ANY_RUN, "?": ANY_ONE}.get(char, char))
        i += 1
    return tokens


def text_test(tokens, cased):
    """A predicate on one text. Anchors are already wildcards at the ends."""
    if not cased:
        tokens = [t if t is ANY_RUN or t is ANY_ONE else fold_char(t) for t in tokens]
    prepare = (lambda s: s) if cased else fold
    head = bool(tokens) and tokens[0] is ANY_RUN
    tail = len(tokens) > 1 and tokens[-1] is ANY_RUN
    middle = tokens[1 if head else 0 : -1 if tail else None]
    if all(isinstance(t, str) for t in middle):
        literal = "".join(middle)
        if head and tail:
            return lambda s: literal in prepare(s)
        if head:
            return lambda s: prepare(s).endswith(literal)
        if tail:
            return lambda s: prepare(s).startswith(literal)
        return lambda s: prepare(s) == literal
    source = "".join(".*" if t is ANY_RUN else "." if t is ANY_ONE else re.escape(t) for t in tokens)
    compiled = re.compile(source, re.S)
    return lambda s: compiled.fullmatch(prepare(s)) is not None


def regex_test(source, flags):
    """Unanchored, case-sensitive. `$` is the very end, as in other dialects, not before a last line feed."""
    if "m" not in flags:
        source = re.sub(r"(\\.|\[\^?\]?[^\]]*\])|\$", lambda m: m.group(1) or r"\Z", source)
    compiled = re.compile(source, sum({"i": re.I, "m": re.M, "s": re.S}[f] for f in set(flags)))
    return lambda s: compiled.search(s) is not None


ALIASES = {"ignorecase": "i", "multiline": "m", "dotall": "s"}
KNOWN = set("contains startswith endswith all re i m s cidr exists neq cased lt lte gt gte".split())


class Unsupported(Exception):
    pass


class Item:
    """One line of a selection: field (None: keywords) against values. `holds(values, present)`."""

    def __init__(self, name, values):
        self.field, *modifiers = name.split("|")
        self.field = self.field or None
        self.modifiers = [ALIASES.get(m, m) for m in modifiers]
        unknown = [m for m in self.modifiers if m not in KNOWN]
        if unknown:
            raise Unsupported(f"modifier {unknown[0]}")
        self.every = "all" in self.modifiers
        self.negated = "neq" in self.modifiers
        self.exists = None
        values = values if isinstance(values, list) else [values]
        if "exists" in self.modifiers:
            self.exists = values[0]
        self.wants_null = any(v is None for v in values) and self.exists is None
        self.tests = [] if self.exists is not None else [self.value_test(v) for v in values if v is not None]

    def value_test(self, value):
        text = texts(value)[0]
        if "re" in self.modifiers:
            return regex_test(text, [m for m in self.modifiers if m in "ims"])
        if "cidr" in self.modifiers:
            return cidr_test(ipaddress.ip_network(text))
        order = [m for m in self.modifiers if m in ("lt", "lte", "gt", "gte")]
        if order:
            return order_test(order[0], text)
        tokens = pattern_tokens(text)
        if self.field is None or "contains" in self.modifiers:
            tokens = [ANY_RUN, *tokens, ANY_RUN]
        elif "startswith" in self.modifiers:
            tokens = [*tokens, ANY_RUN]
        elif "endswith" in self.modifiers:
            tokens = [ANY_RUN, *tokens]
        if isinstance(value, Number) and not {"contains", "startswith", "endswith"} & set(self.modifiers):
            plain = {fold(t) for t in texts(value)}
            if self.field is not None:
                return lambda s: fold(s) in plain
        return text_test(squeeze(tokens), "cased" in self.modifiers)

    def holds(self, values):
        """`values`: the field's values, None if the field is missing."""
        if self.exists is not None:
            return (values is not None) == self.exists
        if values is None or all(v is None for v in values):
            found = self.wants_null
        else:
            all_texts = [t for v in values for t in texts(v)]
            hits = [any(test(t) for t in all_texts) for test in self.tests]
            if self.wants_null:
                hits.append(any(v is None for v in values))
            found = all(hits) if self.every else any(hits)
        return found != self.negated

    def folded(self):
        """What the item is if its field never exists."""
        return self.holds(None)


def squeeze(tokens):
    out = []
    for token in tokens:
        if not (token is ANY_RUN and out and out[-1] is ANY_RUN):
            out.append(token)
    return out


def cidr_test(network):
    def test(text):
        try:
            return ipaddress.ip_address(text) in network
        except ValueError:
            return False
    return test


def order_test(name, bound):
    limit = decimal.Decimal(bound)
    compare = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}[name]

    def test(text):
        try:
            return compare(decimal.Decimal(text), limit)
        except decimal.InvalidOperation:
            return False
    return test


# A selection is a nested tuple: ("map", [items]) | ("keywords", item) | ("or", [selections]).


def selection(body):
    if isinstance(body, dict):
        plain = [Item(name, value) for name, value in body.items() if name.split("|")[0]]
        keyless = [("keywords", Item(name, value)) for name, value in body.items() if not name.split("|")[0]]
        parts = ([("map", plain)] if plain else []) + keyless
        return parts[0] if len(parts) == 1 else ("and", parts)
    if isinstance(body, list):
        maps = [selection(b) for b in body if isinstance(b, dict)]
        words = [b for b in body if not isinstance(b, dict)]
        return ("or", maps + ([("keywords", Item("", words))] if words else []))
    return ("keywords", Item("", [body]))


TOKEN = re.compile(r"\s*([()]|[^\s()]+)")


def condition(text, names):
    """Text -> ("or"|"and", [..]), ("not", x) or ("is", identifier)."""
    tokens = TOKEN.findall(text)
    tokens.append(None)
    place = [0]

    def peek():
        return tokens[place[0]]

    def take():
        place[0] += 1
        return tokens[place[0] - 1]

    def either():
        parts = [both()]
        while peek() == "or":
            take()
            parts.append(both())
        return ("or", parts)

    def both():
        parts = [negation()]
        while peek() == "and":
            take()
            parts.append(negation())
        return ("and", parts)

    def negation():
        if peek() == "not":
            take()
            return ("not", negation())
        return atom()

    def atom():
        token = take()
        if token == "(":
            inner = either()
            if take() != ")":
                raise ValueError("unbalanced bracket")
            return inner
        if token in ("1", "any", "all") and peek() == "of":
            take()
            target = take()
            chosen = [n for n in names if target and selected(target, n)]
            if not chosen:
                raise ValueError("selector matches nothing")
            return ("and" if token == "all" else "or", [("is", n) for n in chosen])
        if token not in names:
            raise ValueError(f"unknown identifier {token}")
        return ("is", token)

    tree = either()
    if peek() is not None:
        raise ValueError(f"unexpected {peek()}")
    return tree


def selected(pattern, name):
    if pattern == "them":
        return not name.startswith("_")
    if name.startswith("_") and not pattern.startswith("_"):
        return False
    return re.fullmatch(pattern.replace("*", ".*"), name) is not None


# Three-valued logic (True, False, None = depends on the event) serves both for events and for folding.


def logic(kind, parts):
    parts = list(parts)
    if kind == "not":
        return None if parts[0] is None else not parts[0]
    decisive = kind == "or"
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def tree_value(tree, leaf):
    kind, content = tree
    if kind == "is":
        return leaf(content)
    if kind == "not":
        return logic("not", [tree_value(content, leaf)])
    decisive = kind == "or"
    values = []
    for part in content:
        value = tree_value(part, leaf)
        if value is decisive:
            return decisive
        values.append(value)
    return logic(kind, values)


class Rule:
    def __init__(self, path, document):
        self.path, self.title = str(path), document.get("title")
        self.id = document.get("id") or self.title
        self.logsource = document["logsource"]
        detection = dict(document["detection"])
        text = detection.pop("condition")
        detection.pop("timeframe", None)
        self.selections = {name: selection(body) for name, body in detection.items()}
        conditions = text if isinstance(text, list) else [text]
        self.tree = ("or", [condition(c, list(self.selections)) for c in conditions])

    def value(self, item_value, map_value=None):
        """Evaluate with `item_value(item)` for each item; `map_value(items)` may take whole maps."""
        def of_selection(sel):
            kind, content = sel
            if kind == "map":
                if map_value:
                    return map_value(content)
                return logic("and", (item_value(i) for i in content))
            if kind == "keywords":
                return item_value(content)
            return logic(kind, [of_selection(s) for s in content])

        known = {}

        def leaf(name):
            if name not in known:
                known[name] = of_selection(self.selections[name])
            return known[name]

        return tree_value(self.tree, leaf)

    def items(self):
        def walk(sel):
            kind, content = sel
            if kind == "map":
                yield from content
            elif kind == "keywords":
                yield content
            else:
                for s in content:
                    yield from walk(s)
        for sel in self.selections.values():
            yield from walk(sel)


# ---------------------------------------------------------------------------------------------------------------
# Routing.

COMMON_FILE = {"Image", "User", "CommandLine", "TargetFilename"}
FED = {
    "process_creation": set(
        "Image CommandLine CurrentDirectory ParentImage ParentCommandLine User LogonId ProcessId ParentProcessId "
        "ProcessGuid ParentProcessGuid Hashes sha256".split()
    ),
    "file_event": COMMON_FILE,
    "file_delete": COMMON_FILE,
    "file_rename": COMMON_FILE | {"SourceFilename"},
    "network_connection": set("Initiated DestinationIp DestinationPort SourceIp SourcePort Image User".split()),
    "records": None,  # any member of any record
    "native": None,
}


def route(rule):
    source = rule.logsource
    if source.get("product") != "linux":
        return None
    if source.get("category") in FED and source.get("service") is None:
        return source["category"]
    if source.get("category") is None:
        return {"auditd": "records", "laurel": "native"}.get(source.get("service"))
    return None


def why_not_running(rule, target):
    if target is None:
        return "no view feeds this log source"
    fed = FED[target]
    missing = {i.field for i in rule.items() if i.field and fed is not None and i.field not in fed}
    folded = rule.value(lambda i: i.folded() if i.field in missing else None)
    if folded is None:
        return None
    return f"always {str(folded).lower()} without {', '.join(sorted(missing))}"


# ---------------------------------------------------------------------------------------------------------------
# Evaluation.


def matches_view(rule, fields):
    return rule.value(lambda i: i.holds(fields.get(i.field)) if i.field else keyword_holds(i, flat(fields)))


def flat(fields):
    return [t for values in fields.values() for v in values for t in texts(v)]


def keyword_holds(item, words):
    hits = (any(test(w) for w in words) for test in item.tests)
    return all(hits) if item.every else any(hits)


def matches_record(rule, fields, words):
    return rule.value(lambda i: i.holds(fields.get(i.field)) if i.field else keyword_holds(i, words))


def native_lookup(event, path):
    """(record type or None, function from a record to the values below it or None)"""
    kind, _, rest = path.partition(".")
    return kind, lambda record: descend(record, rest)


def descend(value, path):
    """All values at a path: literal name first, then dotted; arrays are crossed. None if there is none."""
    if isinstance(value, list):
        found = [f for f in (descend(v, path) for v in value) if f is not None]
        return [x for f in found for x in f] or None
    if path == "":
        return [value]
    if not isinstance(value, dict):
        return None
    if path in value:
        last = value[path]
        return (last or None) if isinstance(last, list) else [last]
    for cut in (i for i, c in enumerate(path) if c == "."):
        if path[:cut] in value:
            found = descend(value[path[:cut]], path[cut + 1 :])
            if found is not None:
                return found
    return None


def matches_native(rule, event):
    records = event["records"]

    def values_of(item, element):
        if item.field == "host":
            return [event["host"]] if event["host"] is not None else None
        if item.field == "ID":
            return [event["id"]]
        if item.field == "NODE":
            return [event["host"]] if event["host"] is not None else None
        if item.field == "EXECVE.cmdline":
            line = command_line(one(event, "EXECVE"))
            return None if line is None else [line]
        kind, rest = item.field.partition(".")[0], item.field.partition(".")[2]
        if kind not in records:
            return None
        return descend(element if element is not None else records[kind][0], rest)

    def whole_map(items):
        groups = collections.defaultdict(list)
        for item in items:
            kind = (item.field or "").partition(".")[0]
            groups[kind if kind in event["arrays"] else None].append(item)
        for kind, members in groups.items():
            elements = records[kind] if kind else [None]
            if kind and not elements:
                elements = [{}]
            if not any(all(i.holds(values_of(i, e)) for i in members) for e in elements):
                return False
        return True

    def keyword_item(item):
        words = [w for rs in records.values() for w in leaves(rs)] + [command_line(one(event, "EXECVE")) or ""]
        return keyword_holds(item, words)

    return rule.value(keyword_item, whole_map)


def evaluate(rules, lines, seen=lambda number, target, fields: None):
    """-> (hits: rule id -> [line number], counts of views and curiosities); `seen` is told of every view."""
    by_target = collections.defaultdict(list)
    for rule in rules:
        by_target[route(rule)].append(rule)
    cache, hits, counts = ProcessCache(), {r.id: [] for r in rules}, collections.Counter()
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        counts["lines"] += 1
        counts["percent_coded_lines"] += bool(re.search(rb"%[0-9a-f]{2}", line))
        event = read_event(line)
        if event is None:
            counts["no_event"] += 1
            continue
        created, deleted, renamed = file_views(event)
        views = {
            "process_creation": process_creation(event, cache), "file_event": created, "file_delete": deleted,
            "file_rename": renamed, "network_connection": network_connection(event),
        }
        for target, found in views.items():
            counts[target] += len(found)
            for fields in found:
                seen(number, target, fields)
            for rule in by_target[target] if found else ():
                if any(matches_view(rule, v) for v in found):
                    hits[rule.id].append(number)
        curiosities(event, views["process_creation"], counts)
        records = audit_records(event)
        counts["records"] += len(records)
        for fields, _ in records:
            seen(number, "records", fields)
        for rule in by_target["records"]:
            if any(matches_record(rule, fields, words) for fields, words in records):
                hits[rule.id].append(number)
        for rule in by_target["native"]:
            if matches_native(rule, event):
                hits[rule.id].append(number)
        cache.learn(event)
    return hits, counts


def curiosities(event, process, counts):
    if "EXECVE" in event["records"]:
        counts["execve"] += 1
    if process:
        counts["parent_command_line_found"] += "ParentCommandLine" in process[0]
        exe = (one(event, "SYSCALL") or {}).get("exe")
        invoked = (one(event, "PATH") or {}).get("name")
        if isinstance(exe, str) and isinstance(invoked, str):
            counts["exe_unlike_invoked"] += exe.rsplit("/", 1)[-1] != invoked.rsplit("/", 1)[-1]


# ---------------------------------------------------------------------------------------------------------------
# Command line.


def read_lines(path):
    if path == "-":
        return sys.stdin.buffer.read().split(b"\n")
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout.split(b"\n")
    return pathlib.Path(path).read_bytes().split(b"\n")


def load_rules(paths, only_linux):
    rules, failed = [], []
    for start in map(pathlib.Path, paths):
        files = sorted(start.rglob("*.yml")) if start.is_dir() else [start]
        for file in (f for f in files if not f.name.endswith(".test.yml")):
            try:
                for document in yaml.load_all(file.read_text(encoding="utf-8"), RuleLoader):
                    if not document or "correlation" in document or "filter" in document:
                        continue
                    if only_linux and document.get("logsource", {}).get("product") != "linux":
                        continue
                    rules.append(Rule(file, document))
            except (ValueError, KeyError, Unsupported, yaml.YAMLError, re.error) as fault:
                failed.append((str(file), f"{type(fault).__name__}: {fault}"))
    return rules, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="Laurel lines, .zst or plain, - for stdin")
    parser.add_argument("--rules", action="append", required=True, help="Sigma file or folder; may be repeated")
    parser.add_argument("--ids", action="store_true", help="print line numbers of the matches")
    parser.add_argument("--json", help="write everything to this file")
    parser.add_argument("--views", help="write every view to this file, one JSON object a line")
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    rules, failed = load_rules(args.rules, only_linux=True)
    listed = {r.id: why_not_running(r, route(r)) for r in rules}
    running = [r for r in rules if listed[r.id] is None]
    summary = {
        "rules": len(rules), "routed": sum(route(r) is not None for r in rules), "running": len(running),
        "listed": sum(reason is not None for reason in listed.values()), "failed": failed,
    }
    lines = [line for path in args.files for line in strip_last(read_lines(path))]
    if args.views:
        with open(args.views, "w", encoding="utf-8", errors="surrogateescape") as out:
            def seen(number, target, fields):
                row = {"line": number, "view": target, "fields": fields}
                out.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")

            hits, counts = evaluate(running, lines, seen)
    else:
        hits, counts = evaluate(running, lines)
    if args.json:
        result = {"summary": summary, "views": dict(counts), "hits": hits,
                  "not_running": {r.id: listed[r.id] for r in rules if listed[r.id]}}
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if args.quiet:
        return
    print("rules", json.dumps(summary))
    print("views", json.dumps(dict(counts)))
    for rule in rules:
        if listed[rule.id]:
            print(f"not running  {rule.title}: {listed[rule.id]}")
    for rule in sorted(running, key=lambda r: (-len(hits[r.id]), r.title)):
        if hits[rule.id]:
            print(f"{len(hits[rule.id]):6}  {rule.id}  {rule.title}" + (f"  {hits[rule.id]}" if args.ids else ""))
    total = sum(len(h) for h in hits.values())
    events = len({n for h in hits.values() for n in h})
    print(f"{sum(bool(h) for h in hits.values())} rules matched, {total} matches on {events} events")


def strip_last(lines):
    return lines[:-1] if lines and not lines[-1] else lines


if __name__ == "__main__":
    main()
