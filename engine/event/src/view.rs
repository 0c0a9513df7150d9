//! Views: the virtual events that a Sigma log source sees of one Laurel event.

use crate::{Slot, Span};

/// The kinds of views; each Sigma log source is routed to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ViewKind {
    /// `category: process_creation`: one for a successful execve or execveat.
    ProcessCreation,
    /// `category: file_event`: one per PATH element that was created.
    FileEvent,
    /// `category: file_delete`: one per PATH element that was deleted.
    FileDelete,
    /// `category: file_rename`: one per rename.
    FileRename,
    /// `category: network_connection`: one per internet socket address.
    NetworkConnection,
    /// `service: auditd`: one per audit record, arrays exploded.
    Record,
    /// `service: laurel`: the whole event under its real Laurel paths.
    Native,
}

impl ViewKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::ProcessCreation,
        Self::FileEvent,
        Self::FileDelete,
        Self::FileRename,
        Self::NetworkConnection,
        Self::Record,
        Self::Native,
    ];
}

/// The record types for which the plan is specialised; only [`ViewKind::Record`] has more than `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordClass {
    /// A SYSCALL record.
    Syscall,
    /// An EXECVE record.
    Execve,
    /// One element of PATH.
    Path,
    /// Any other record type, and every view that is not a record.
    Other,
}

impl RecordClass {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Other as usize + 1;
}

/// What a value is, beside its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Text, decoded.
    Text,
    /// A JSON number, as written.
    Number,
    /// A JSON boolean, as written.
    Bool,
    /// `null`: present without a value; the span is [`Span::NONE`].
    Null,
    /// An object or array: present, but no scalar; the span is [`Span::NONE`].
    Container,
}

/// One value of one slot of a view. A slot may have several values (any of them may match) or none
/// (the field is missing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The field.
    pub slot: Slot,
    /// What it is.
    pub kind: ValueKind,
    /// Its text, ready to compare.
    pub span: Span,
    /// Which element of an array of objects it lies in, for items that must hold on the same element;
    /// 0 outside of any. Only [`ViewKind::Native`] has others.
    pub element: u32,
    /// The tape node that it was read from, for [`crate::Event::path`]; `u32::MAX` where it stands in
    /// no single place of the line.
    pub node: u32,
}

/// One virtual event: a kind and a range of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its kind.
    pub kind: ViewKind,
    /// Its record type, as far as plans tell them apart.
    pub class: RecordClass,
    /// First value and one behind the last, for [`crate::Event::values`].
    pub values: (u32, u32),
    /// The tape node of the record (or PATH element, or SOCKADDR element) it was made from.
    pub node: u32,
}
