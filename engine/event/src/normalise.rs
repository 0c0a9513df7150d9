//! One tape to one normalised event: the steps N1 to N15 of the format description that concern the
//! event as a whole. The raw line stays as it is; what changes are nodes of the tape.
//!
//! | step | where |
//! |---|---|
//! | N1 duplicate names | `index` |
//! | N2 percent codes | `text`, on first use of each string |
//! | N3 `NODE` | `envelope` |
//! | N4 `key` as a list | the views, on use |
//! | N5 numbers as text | the matcher |
//! | N6, N7 `msg` | `message` |
//! | N8 addresses | `address` |
//! | N9 file names | `file_name`, on use |
//! | N10 syscall name, N13 prefix, N14 ids | here |
//! | N11 parent, N15 container | `lineage` |
//! | N12 command line | `command_line` |

use crate::command_line::{self, limit_reached};
use crate::field::{MESSAGE, MISSING_ID, PREFIXED, missing_ids, suffix_of_translated};
use crate::index::Index;
use crate::normal::{NONE, Normal, Record, arena_span, piece};
use crate::symbol::{Known, Symbol, Symbols};
use crate::text::decimal;
use crate::{
    Counts, EventId, Kind, Limits, Profile, RecordClass, Span, Tape, address, message, syscall,
};

/// What an unset audit id is as a number.
const UNSET: u64 = 4_294_967_295;
/// Translated members of one record; Laurel writes about 15.
const TRANSLATIONS_MAX: usize = 64;

/// Reads Laurel's `ID`, `<epoch s>.<3-digit ms>:<serial>`; `None` for any other form.
pub(crate) fn event_id(text: &[u8]) -> Option<EventId> {
    event_id_of_our_time(text).or_else(|| any_event_id(text))
}

/// The same for ids with ten digits of seconds, which is all from 2001 to 2286.
fn event_id_of_our_time(text: &[u8]) -> Option<EventId> {
    let (stamp, serial) = text.split_first_chunk::<15>()?;
    let (eight, rest) = stamp.split_first_chunk::<8>()?;
    let [s8, s9, b'.', m0, m1, m2, b':'] = rest else {
        return None;
    };
    let mut time = eight_digits(*eight)?;
    for digit in [s8, s9, m0, m1, m2] {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        time = time * 10 + u64::from(digit);
    }
    Some(EventId {
        time_ms: i64::try_from(time).ok()?,
        serial: decimal(serial)?,
    })
}

/// The number that eight digits write; `None` for other bytes.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let digits = u64::from_le_bytes(digits) ^ (0x30 * EACH);
    // Adding 118 to a byte above 9 reaches its highest bit.
    if (digits | digits.wrapping_add(0x76 * EACH)) & (0x80 * EACH) != 0 {
        return None;
    }
    // Pairs, then fours, then all: each step adds ten, a hundred, ten thousand times the earlier half.
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

fn any_event_id(text: &[u8]) -> Option<EventId> {
    let point = memchr::memchr(b'.', text)?;
    let (seconds, rest) = (decimal(&text[..point])?, &text[point + 1..]);
    let (milliseconds, rest) = rest.split_first_chunk::<3>()?;
    let serial = decimal(rest.strip_prefix(b":")?)?;
    let time_ms = seconds
        .checked_mul(1000)?
        .checked_add(decimal(milliseconds)?)?;
    Some(EventId {
        time_ms: i64::try_from(time_ms).ok()?,
        serial,
    })
}

/// Whether a member of the event holds audit records, by its name: `[A-Z][A-Z0-9_]*` or `UNKNOWN[n]`.
pub(crate) fn is_record_name(name: &[u8]) -> bool {
    let is_upper = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let is_unknown = || {
        let number = name
            .strip_prefix(b"UNKNOWN[")
            .and_then(|rest| rest.strip_suffix(b"]"));
        number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    };
    name.first().is_some_and(u8::is_ascii_uppercase) && name.iter().all(is_upper) || is_unknown()
}

/// Normalises the event on the tape of `normal`, whose root is the Laurel object.
pub(crate) fn normalise(
    text: &[u8],
    normal: &mut Normal,
    symbols: &Symbols,
    index: &mut Index,
    profile: &Profile,
    counts: &mut Counts,
) {
    normal.reset();
    let tape = &mut normal.tape;
    let (duplicates, mut names) = if tape.is_named {
        (tape.duplicates, tape.ids)
    } else {
        (index.run(text, tape, symbols), u32::MAX)
    };
    counts.duplicate_keys += u64::from(duplicates);
    let mut pass = Pass {
        text,
        normal,
        symbols,
        profile,
        counts,
    };
    pass.find_records(&profile.limits);
    if names & PREFIXED != 0 || profile.prefix.is_some() {
        pass.undo_prefix();
        // There may be other names now.
        names = u32::MAX;
    }
    pass.note_syscall();
    for index in 0..pass.normal.records.len() {
        pass.normalise_record(pass.normal.records[index], names);
    }
    pass.name_syscall();
    let execve = pass.normal.execve;
    let line = command_line::join(text, normal, execve, profile.limits.arguments, counts);
    normal.command_line = line;
}

struct Pass<'a> {
    text: &'a [u8],
    normal: &'a mut Normal,
    symbols: &'a Symbols,
    profile: &'a Profile,
    counts: &'a mut Counts,
}

impl Pass<'_> {
    /// Finds the event's members and lists its records.
    fn find_records(&mut self, limits: &Limits) {
        const ID: Symbol = Known::Id.symbol();
        const NODE: Symbol = Known::Node.symbol();
        const CONTAINER_INFO: Symbol = Known::ContainerInfo.symbol();
        const PARENT_INFO: Symbol = Known::ParentInfo.symbol();
        let mut members = self.normal.children(Tape::ROOT);
        while let Some(member) = members.next(self.normal) {
            let (name, node) = (self.normal.symbol(member), self.normal.node(member));
            match name {
                ID => self.normal.id_node = member,
                NODE => self.set_node(member),
                CONTAINER_INFO => self.normal.container_info = member,
                PARENT_INFO => self.normal.parent_info = member,
                _ if !Known::is_record(name) && !is_record_name(node.key.of(self.text)) => {}
                _ if node.kind == Kind::Object => self.add_record(member, member, name, limits),
                _ if node.kind == Kind::Array => {
                    let mut elements = self.normal.children(member);
                    while let Some(element) = elements.next(self.normal) {
                        if self.normal.kind(element) == Kind::Object {
                            self.add_record(element, member, name, limits);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// N3: a `NODE` of byte numbers becomes text.
    fn set_node(&mut self, member: u32) {
        self.normal.node_node = member;
        if self.normal.kind(member) != Kind::Array {
            return;
        }
        let from = self.normal.arena.len();
        let mut elements = self.normal.children(member);
        while let Some(element) = elements.next(self.normal) {
            let number = decimal(self.normal.node(element).value.of(self.text));
            let Some(byte) = number.and_then(|number| u8::try_from(number).ok()) else {
                return;
            };
            self.normal.arena.push(byte);
        }
        let value = arena_span(from, self.normal.arena.len());
        let node = &mut self.normal.tape.nodes[member as usize];
        (node.kind, node.value) = (Kind::String, value);
    }

    fn add_record(&mut self, node: u32, member: u32, name: Symbol, limits: &Limits) {
        const SYSCALL: Symbol = Known::Syscall.symbol();
        const EXECVE: Symbol = Known::Execve.symbol();
        const PATH: Symbol = Known::Path.symbol();
        const CWD: Symbol = Known::Cwd.symbol();
        const PROCTITLE: Symbol = Known::Proctitle.symbol();
        if self.normal.records.len() == limits.records {
            limit_reached(self.normal, self.counts);
            return;
        }
        let mut class = RecordClass::Other;
        match name {
            SYSCALL => {
                self.normal.syscall = node;
                class = RecordClass::Syscall;
            }
            EXECVE => {
                self.normal.execve = node;
                class = RecordClass::Execve;
            }
            PATH => class = RecordClass::Path,
            CWD => self.normal.cwd = node,
            PROCTITLE => self.normal.proctitle = node,
            _ => {}
        }
        self.normal.records.push(Record {
            node,
            member,
            name,
            class,
        });
    }

    /// N13: gives members that carry Laurel's configured prefix their upper-case names back. One that
    /// auditd translated as well keeps auditd's.
    fn undo_prefix(&mut self) {
        let Some(prefix) = self.prefix() else { return };
        for index in 0..self.normal.records.len() {
            let record = self.normal.records[index].node;
            let mut renamed = 0;
            let mut members = self.normal.children(record);
            while let Some(member) = members.next(self.normal) {
                let key = self.normal.node(member).key;
                let prefix_bytes = self.normal.bytes(self.text, prefix);
                // A name of auditd's own that happens to begin like the prefix is no translation.
                let own = self.normal.symbol(member).index() < Known::COUNT;
                if own || key.len <= prefix.len || !key.of(self.text).starts_with(prefix_bytes) {
                    continue;
                }
                if renamed == TRANSLATIONS_MAX {
                    limit_reached(self.normal, self.counts);
                    break;
                }
                renamed += 1;
                let rest = piece(key, prefix.len as usize, key.len as usize);
                self.rename(record, member, rest);
            }
        }
    }

    fn rename(&mut self, record: u32, member: u32, rest: Span) {
        let from = self.normal.arena.len();
        let upper = rest.of(self.text).iter().map(u8::to_ascii_uppercase);
        self.normal.arena.extend(upper);
        let key = arena_span(from, self.normal.arena.len());
        let name = self.normal.bytes(self.text, key);
        let symbol = self.symbols.find(name);
        let mut others = self.normal.children(record);
        while symbol != Symbol::OTHER
            && let Some(other) = others.next(self.normal)
        {
            if self.normal.symbol(other) == symbol {
                return;
            }
        }
        self.normal.tape.nodes[member as usize].key = key;
        self.normal.tape.nodes[member as usize].symbol = symbol;
    }

    /// The prefix that translated members carry: the configured one, else the common one of `arch`,
    /// `syscall`, `pid` and `uid` in SYSCALL. Only strings and objects are translations.
    fn prefix(&mut self) -> Option<Span> {
        if let Some(prefix) = &self.profile.prefix {
            return (!prefix.is_empty()).then(|| self.normal.store(prefix.as_bytes()));
        }
        if self.normal.syscall == NONE {
            return self.prefix_of_pid();
        }
        self.common_prefix(self.normal.syscall, |kind, _| {
            matches!(kind, Kind::String | Kind::Object)
        })
    }

    /// Without SYSCALL: what stands before `pid` in the name of an object, in a record that has a `pid` of its
    /// own (`USER_*` events).
    fn prefix_of_pid(&self) -> Option<Span> {
        const PID: Symbol = Known::PidNumber.symbol();
        let record = self.normal.records.first()?.node;
        let mut members = self.normal.children(record);
        let mut has_pid = false;
        while let Some(member) = members.next(self.normal) {
            has_pid |= self.normal.symbol(member) == PID;
        }
        if !has_pid {
            return None;
        }
        self.common_prefix(record, |kind, suffix| {
            kind == Kind::Object && suffix == b"pid"
        })
    }

    /// The shortest prefix before one of the four names, if all others start with it too.
    fn common_prefix(&self, record: u32, accepts: impl Fn(Kind, &[u8]) -> bool) -> Option<Span> {
        let candidate = |member: u32| {
            if self.normal.symbol(member).index() < Known::COUNT {
                return None;
            }
            let node = self.normal.node(member);
            let name = node.key.of(self.text);
            if !matches!(name.last(), Some(b'd' | b'h' | b'l')) {
                return None;
            }
            let suffix = suffix_of_translated(name)?;
            accepts(node.kind, suffix).then(|| piece(node.key, 0, name.len() - suffix.len()))
        };
        let mut shortest: Option<Span> = None;
        let mut members = self.normal.children(record);
        while let Some(member) = members.next(self.normal) {
            if let Some(prefix) = candidate(member)
                && shortest.is_none_or(|shortest| prefix.len < shortest.len)
            {
                shortest = Some(prefix);
            }
        }
        let prefix = shortest?.of(self.text);
        let mut members = self.normal.children(record);
        while let Some(member) = members.next(self.normal) {
            if candidate(member).is_some_and(|other| !other.of(self.text).starts_with(prefix)) {
                return None;
            }
        }
        shortest
    }

    /// The steps that concern the members of one record.
    fn normalise_record(&mut self, record: Record, names: u32) {
        let mut msg = NONE;
        if names & (MISSING_ID | MESSAGE) != 0 {
            msg = self.normalise_names(record);
        }
        if msg != NONE {
            match self.normal.kind(msg) {
                Kind::String => message::parse(self.text, self.normal, self.symbols, msg),
                Kind::Object => message::repair(self.text, self.normal, msg, self.counts),
                _ => {}
            }
        }
        if record.name == Known::ConfigChange.symbol() {
            let old = self.normal.member(record.node, Known::Old);
            message::repair_number(self.text, self.normal, old, self.counts);
        } else if record.name == Known::Sockaddr.symbol() {
            address::normalise(self.text, self.normal, record.node);
        }
    }

    /// Restores ids; gives the member `msg`.
    fn normalise_names(&mut self, record: Record) -> u32 {
        const MSG: Symbol = Known::Msg.symbol();
        let (mut ids, mut msg) = (0_u32, NONE);
        let mut members = self.normal.children(record.node);
        while let Some(member) = members.next(self.normal) {
            let symbol = self.normal.symbol(member);
            if symbol.index() < 2 * Known::IDS {
                ids |= 1 << symbol.index();
            }
            if symbol == MSG {
                msg = member;
            }
        }
        if missing_ids(ids) {
            self.restore_ids(record.node, ids & !(ids >> Known::IDS));
        }
        msg
    }

    /// Notes the members of SYSCALL by name.
    fn note_syscall(&mut self) {
        let mut members = self.normal.children(self.normal.syscall);
        while let Some((member, symbol)) = members.next_by_table(self.normal) {
            if let Some(place) = self.normal.members.get_mut(symbol.index()) {
                *place = member;
            }
        }
    }

    /// N14: gives the record the numeric ids that `translate.drop-raw` left out, as far as the names
    /// tell them.
    fn restore_ids(&mut self, record: u32, missing: u32) {
        let mut members = self.normal.children(record);
        let first = self.normal.next_node();
        while let Some(member) = members.next(self.normal) {
            let id = self.normal.symbol(member).index();
            if id >= Known::IDS
                || missing & 1 << id == 0
                || self.normal.kind(member) != Kind::String
            {
                continue;
            }
            let number = match self.normal.text_bytes(self.text, member) {
                b"root" => Some(0),
                b"unset" => Some(UNSET),
                name => name
                    .strip_prefix(b"unknown(")
                    .and_then(|rest| rest.strip_suffix(b")"))
                    .and_then(decimal),
            };
            let Some(number) = number else {
                self.counts.user_without_number += 1;
                continue;
            };
            let value = self.normal.store_number(number);
            let name = Known::TEXTS[id + Known::IDS].as_bytes();
            let key = self.normal.store(name);
            let symbol = self.symbols.find(name);
            let node = self.normal.push(symbol, key, Kind::Number, value);
            if record == self.normal.syscall {
                self.normal.members[symbol.index()] = node;
            }
        }
        self.normal.adopt(record, first, false);
    }

    /// N10: gives SYSCALL the name of its call where it came as a number, and behind i386's
    /// `socketcall` that of the call it stands for beside it.
    fn name_syscall(&mut self) {
        if self.normal.syscall == NONE {
            return;
        }
        let arch = self.normal.of_syscall(Known::ArchNumber);
        let arch = self.normal.text(self.text, arch);
        let number = self.normal.of_syscall(Known::SyscallNumber);
        let number = self.normal.text(self.text, number);
        let number = decimal(self.normal.bytes(self.text, number));
        let given = self.normal.of_syscall(Known::Syscall);
        let mut call = self.normal.text(self.text, given);
        if call.len == 0 {
            let Some(number) = number else { return };
            let Some(name) = syscall::name(self.normal.bytes(self.text, arch), number) else {
                self.counts.unknown_syscall += 1;
                return;
            };
            call = self.add_syscall_name(name);
        }
        self.normal.call = call;
        let (name, arch) = (
            self.normal.bytes(self.text, call),
            self.normal.bytes(self.text, arch),
        );
        if !syscall::is_socketcall(arch, number, name) {
            return;
        }
        let argv = self.normal.of_syscall(Known::Argv);
        let Some(argument) = self.normal.children(argv).next(self.normal) else {
            return;
        };
        let argument = self.normal.node(argument).value;
        if let Some(behind) = syscall::socket_call(self.normal.bytes(self.text, argument)) {
            self.normal.call = self.add_syscall_name(behind);
        }
    }

    fn add_syscall_name(&mut self, name: &str) -> Span {
        let value = self.normal.store(name.as_bytes());
        let node = self.normal.push_known(Known::Syscall, Kind::String, value);
        self.normal.adopt(self.normal.syscall, node, false);
        if self.normal.of_syscall(Known::Syscall) == NONE {
            self.normal.members[Known::Syscall as usize] = node;
        }
        value
    }
}
