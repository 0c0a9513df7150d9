//! Which process acted and who started it (N11), and where it ran (N15).

use crate::normal::{NONE, Normal};
use crate::normalise::event_id;
use crate::symbol::Known;
use crate::{EventId, Kind};

/// Nodes that name a process's parent; [`NONE`] for what is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// `EVENT_ID` or `START_TIME` of the parent.
    pub(crate) event_id: u32,
    pub(crate) start_time: u32,
    pub(crate) pid: u32,
    pub(crate) comm: u32,
    pub(crate) exe: u32,
}

/// N11: `SPAWNED_BY` as a whole object, else `PPID`; the process id falls back to `SYSCALL.ppid`.
pub(crate) fn parent(normal: &Normal) -> Parent {
    let ppid = normal.of_syscall(Known::PpidNumber);
    let spawned_by = normal.of_syscall(Known::SpawnedBy);
    let source = match normal.kind(spawned_by) {
        Kind::Object => spawned_by,
        _ => normal.of_syscall(Known::Ppid),
    };
    let pid = normal.member(source, Known::PidNumber);
    Parent {
        event_id: normal.member(source, Known::EventId),
        start_time: normal.member(source, Known::StartTime),
        pid: if pid == NONE { ppid } else { pid },
        comm: normal.member(source, Known::Comm),
        exe: normal.member(source, Known::Exe),
    }
}

/// The process key that a node holds.
pub(crate) fn key(text: &[u8], normal: &mut Normal, node: u32) -> Option<EventId> {
    if normal.kind(node) != Kind::String {
        return None;
    }
    event_id(normal.text_bytes(text, node))
}

/// Whether a node holds the event's own id.
pub(crate) fn is_own(text: &[u8], normal: &mut Normal, node: u32) -> bool {
    if normal.kind(node) != Kind::String {
        return false;
    }
    let (own, other) = (
        normal.node(normal.id_node).value.of(text),
        normal.node(node).value.of(text),
    );
    // Nearly all differ in seconds or serial, and then there is nothing to be read.
    let is_plain = |id: &[u8]| id.len() > 15 && id[10] == b'.' && id[14] == b':' && id[15] != b'0';
    if own.len() == other.len() && is_plain(own) && is_plain(other) {
        return own == other;
    }
    key(text, normal, node) == Some(normal.id)
}

/// N15: the node of the container's id.
pub(crate) fn container(normal: &Normal) -> u32 {
    let pid = normal.of_syscall(Known::Pid);
    let id = normal.member(normal.member(pid, Known::Container), Known::ContainerId);
    if id != NONE {
        return id;
    }
    normal.member(normal.container_info, Known::Id)
}
