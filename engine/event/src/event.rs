//! The normalised event: what the rest of the engine reads of one line.

use crate::{Span, Value, View};

/// Laurel's `ID`: `<epoch s>.<ms>:<serial>`. Not unique even on one host (a user record and a kernel
/// event may share one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Event time, milliseconds since the epoch, UTC.
    pub time_ms: i64,
    /// Kernel serial, restarting at boot.
    pub serial: u64,
}

/// What was cut, guessed or missing while this event was decoded; stands in the alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Laurel left arguments out (`execve-argv-limit-bytes`).
    pub argv_truncated: bool,
    /// Argument positions come from splitting ARGV_STR at blanks.
    pub argv_split_guess: bool,
    /// A limit on records or arguments was reached: rules saw only what fits.
    pub limit_reached: bool,
}

/// One decoded event. Borrows the line and the decoder's scratch.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) arena: &'a [u8],
    pub(crate) views: &'a [View],
    pub(crate) values: &'a [Value],
    pub(crate) id: EventId,
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) flags: Flags,
}

impl<'a> Event<'a> {
    /// The event's id.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The host's name as the line or its envelope gives it, else what [`crate::Origin`] offered.
    pub fn host(&self) -> Option<&'a [u8]> {
        self.host
    }

    /// The Laurel object's text as it came, after the envelope was opened. Spans point into it.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// What was cut, guessed or missing.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// All views of this event that some loaded rule reads, in document order.
    pub fn views(&self) -> &'a [View] {
        self.views
    }

    /// The values of a view, in no promised order.
    pub fn values(&self, view: &View) -> &'a [Value] {
        &self.values[view.values.0 as usize..view.values.1 as usize]
    }

    /// The bytes of a span; empty for [`Span::NONE`].
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        if span == Span::NONE {
            return &[];
        }
        let from = (span.offset & !Span::ARENA) as usize;
        let source = if span.offset & Span::ARENA == 0 {
            self.text
        } else {
            self.arena
        };
        &source[from..from + span.len as usize]
    }
}
