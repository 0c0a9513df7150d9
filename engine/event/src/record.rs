//! The record views (`service: auditd`): one per audit record, each with just its own members.

use crate::fill::{Filler, Place};
use crate::normal::{NONE, Record, piece};
use crate::symbol::{Known, Symbol};
use crate::{Kind, RecordClass, Slot, Value, ValueKind, ViewKind};

const KEY: Symbol = Known::Key.symbol();
const NAME: Symbol = Known::Name.symbol();
const MSG: Symbol = Known::Msg.symbol();

impl Filler<'_> {
    /// One view per record of a wanted class.
    pub(crate) fn record_views(&mut self) {
        for index in 0..self.normal.records.len() {
            let record = self.normal.records[index];
            if self.fields.record.is_wanted(record.class) {
                let from = self.begin();
                self.record(record);
                if self.is_for_nobody(record, from) {
                    self.out.values.truncate(from);
                } else {
                    self.end(ViewKind::Record, record.class, record.node, from);
                }
            }
        }
    }

    /// Whether the view whose values began at `from` holds nothing but a type that no rule waits for.
    fn is_for_nobody(&self, record: Record, from: usize) -> bool {
        let fields = &self.fields.record;
        let is_type = |value: &Value| Some(value.slot) == fields.record_type;
        record.class == RecordClass::Other
            && fields
                .lone_types
                .as_ref()
                .is_some_and(|types| !types.contains(&record.name))
            && self.out.values[from..].iter().all(is_type)
    }

    fn record(&mut self, record: Record) {
        let here = Place::at(record.node);
        if let Some(slot) = self.fields.record.record_type {
            let name = self.normal.node(record.member).key;
            self.put(slot, ValueKind::Text, name, here);
        }
        self.record_members(record);
        match record.class {
            RecordClass::Execve => self.execve_arguments(),
            RecordClass::Syscall => self.syscall_arguments(),
            RecordClass::Path | RecordClass::Other => {}
        }
        let fields = &self.fields.record;
        let is_read = |slot: &Slot| fields.reads(record.class, *slot);
        if let Some(slot) = fields.labels.filter(is_read) {
            self.put_labels(slot, 0);
        }
        if let Some(slot) = fields.host.filter(is_read) {
            self.put_host(slot);
        }
        if let Some(slot) = self.fields.keywords(ViewKind::Record).filter(is_read) {
            if record.class != RecordClass::Execve {
                self.put_record_leaves(slot, here);
            } else if let Some(line) = self.normal.command_line {
                // Not the members: a keyword must not hit the counter `argc`.
                self.put(slot, ValueKind::Text, line.text, Place::at(line.node));
            }
        }
    }

    fn record_members(&mut self, record: Record) {
        let mut msg = NONE;
        let fields = self.fields;
        let slots = fields.record.slots_in(record.class);
        let mut members = self.normal.children(record.node);
        while let Some((member, name)) = members.next_by_table(self.normal) {
            if name == MSG && self.normal.kind(member) == Kind::Object {
                msg = member;
            }
            let Some(&Some(slot)) = slots.get(name.index()) else {
                continue;
            };
            if name == KEY {
                self.put_keys(slot, Place::at(member));
                continue;
            }
            if self.is_no_argument(record, slot, member) {
                continue;
            }
            self.put_node(slot, Place::at(member));
            if name == NAME && record.class == RecordClass::Path {
                self.put_absolute(slot, record.node, 0);
            }
        }
        if msg != NONE {
            self.message_members(record, msg);
        }
    }

    /// Whether a member is named like one of SYSCALL's arguments and cannot be one: they are hex digits, and plans
    /// rely on that.
    fn is_no_argument(&mut self, record: Record, slot: Slot, member: u32) -> bool {
        let arguments = &self.fields.record.arguments;
        if record.class != RecordClass::Syscall
            || !arguments.iter().take(4).any(|a| *a == Some(slot))
        {
            return false;
        }
        let text = self.normal.text_bytes(self.text, member);
        text.is_empty() || !text.iter().all(u8::is_ascii_hexdigit)
    }

    /// Members of `msg`, unless the record has one of that name itself.
    fn message_members(&mut self, record: Record, msg: u32) {
        let fields = self.fields;
        let slots = fields.record.slots_in(record.class);
        let mut members = self.normal.children(msg);
        while let Some(member) = members.next(self.normal) {
            let name = self.normal.symbol(member);
            let Some(&Some(slot)) = slots.get(name.index()) else {
                continue;
            };
            let mut own = self.normal.children(record.node);
            let mut is_own = false;
            while let Some(other) = own.next(self.normal) {
                is_own |= self.normal.symbol(other) == name;
            }
            if !is_own && !self.is_no_argument(record, slot, member) {
                self.put_node(slot, Place::at(member));
            }
        }
    }

    /// Adds the N9 form of a relative PATH name.
    pub(crate) fn put_absolute(&mut self, slot: Slot, record: u32, element: u32) {
        let path = self
            .normal
            .paths
            .iter()
            .find(|path| path.record == record)
            .copied();
        if let Some(path) = path
            && path.absolute != path.logged
        {
            self.put(
                slot,
                ValueKind::Text,
                path.absolute,
                Place {
                    node: path.node,
                    element,
                },
            );
        }
    }

    /// `a0` to `aN` of EXECVE: the arguments. Those that Laurel left out have no value.
    fn execve_arguments(&mut self) {
        let argv = self.normal.member(self.normal.execve, Known::Argv);
        let mut elements = self.normal.children(argv);
        for index in 0..self.fields.record.arguments.len() {
            let Some(element) = elements.next(self.normal) else {
                break;
            };
            if let Some(slot) = self.fields.record.arguments[index]
                && self.fields.record.reads(RecordClass::Execve, slot)
                && self.normal.kind(element) != Kind::Object
            {
                self.put_node(slot, Place::at(element));
            }
        }
    }

    /// `a0` to `a3` of SYSCALL: hex digits as auditd writes them, without Laurel's `0x`. Anything else is none of
    /// the kernel's arguments, and plans rely on that.
    fn syscall_arguments(&mut self) {
        let argv = self.normal.of_syscall(Known::Argv);
        let mut elements = self.normal.children(argv);
        for index in 0..self.fields.record.arguments.len().min(4) {
            let Some(element) = elements.next(self.normal) else {
                break;
            };
            let slot = self.fields.record.arguments[index]
                .filter(|slot| self.fields.record.reads(RecordClass::Syscall, *slot));
            let Some(slot) = slot else { continue };
            let span = self.normal.text(self.text, element);
            let prefix = if self.normal.bytes(self.text, span).starts_with(b"0x") {
                2
            } else {
                0
            };
            let digits = piece(span, prefix.min(span.len as usize), span.len as usize);
            let is_hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
            if self.normal.kind(element) == Kind::String
                && is_hex(self.normal.bytes(self.text, digits))
            {
                self.put(slot, ValueKind::Text, digits, Place::at(element));
            }
        }
    }
}
