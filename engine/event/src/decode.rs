//! Line to event: opens the envelope, scans, normalises, fills the views' slots.

use std::sync::Arc;

use crate::{Event, Fields, ProcessCache, Profile};

/// Why a line is no event; each is a dead-letter reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The JSON text ends early.
    Truncated,
    /// The text is no JSON, or nested too deeply, or no valid UTF-8.
    InvalidJson,
    /// Valid JSON, but no Laurel event at the root or at any of the profile's paths.
    NoEvent,
    /// There is an `ID`, but not of Laurel's form.
    BadId,
    /// Longer than the limit.
    Oversize,
    /// A complete event and something behind it.
    TrailingData,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 6] = [
        Self::Truncated,
        Self::InvalidJson,
        Self::NoEvent,
        Self::BadId,
        Self::Oversize,
        Self::TrailingData,
    ];

    /// The reason as it stands in dead-letter headers and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::InvalidJson => "invalid_json",
            Self::NoEvent => "no_event",
            Self::BadId => "bad_id",
            Self::Oversize => "oversize",
            Self::TrailingData => "trailing_data",
        }
    }
}

/// What is known of a line beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Host name from a Kafka header or key, or given by the user: used where the line carries none.
    pub host: Option<&'a [u8]>,
    /// Scope of the process cache where no host is known at all (a scanned file's name). Without host
    /// and scope the event skips the process cache.
    pub scope: Option<&'a [u8]>,
}

/// What happened while lines were decoded; read and reset once per batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines the scanner refused and the fallback read.
    pub fallback: u64,
    /// Events in which a member name stood twice.
    pub duplicate_keys: u64,
    /// Events without any host.
    pub no_host: u64,
    /// Syscall numbers without a name in the tables.
    pub unknown_syscall: u64,
    /// Members damaged by Laurel's hex bug that could not be repaired.
    pub hex_unrepaired: u64,
    /// User names without a number under drop-raw.
    pub user_without_number: u64,
    /// Process-creation views whose parent was not in the cache.
    pub parent_missing: u64,
    /// Events of which rules saw only a part because a limit was reached.
    pub limit_reached: u64,
}

/// Decodes lines one after the other into the same scratch memory.
#[derive(Debug)]
pub struct Decoder {
    _fields: Arc<Fields>,
    _profile: Arc<Profile>,
}

impl Decoder {
    /// A decoder for lines of this profile that extracts just these fields.
    pub fn new(profile: Arc<Profile>, fields: Arc<Fields>) -> Self {
        Self {
            _fields: fields,
            _profile: profile,
        }
    }

    /// Decodes one line (no line break). The event borrows the line and this decoder until the next
    /// call; the cache learns of the event's process.
    pub fn decode<'a>(
        &'a mut self,
        _line: &'a [u8],
        _origin: &Origin<'a>,
        _cache: &'a mut ProcessCache,
    ) -> Result<Event<'a>, Fault> {
        Err(Fault::NoEvent)
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        Counts::default()
    }
}
