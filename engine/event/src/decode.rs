//! Line to event: opens the envelope, scans, normalises, fills the views' slots.

use std::sync::Arc;

use crate::envelope::{Opened, Opener};
use crate::fill::{self, Filler, Views};
use crate::index::Index;
use crate::lineage;
use crate::normal::Normal;
use crate::normalise::{event_id, normalise};
use crate::process::Opened as OpenedProcess;
use crate::symbol::Known;
use crate::text::decimal;
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
    profile: Arc<Profile>,
    fields: Arc<Fields>,
    normal: Normal,
    index: Index,
    opener: Opener,
    views: Views,
    counts: Counts,
}

impl Decoder {
    /// A decoder for lines of this profile that extracts just these fields.
    pub fn new(profile: Arc<Profile>, fields: Arc<Fields>) -> Self {
        Self {
            profile,
            fields,
            normal: Normal::default(),
            index: Index::default(),
            opener: Opener::default(),
            views: Views::default(),
            counts: Counts::default(),
        }
    }

    /// The same with the fast path for lines of a known shape on or off. It moves speed, never results: off, it
    /// is one thing less to suspect.
    #[must_use]
    pub fn with_fast_path(mut self, on: bool) -> Self {
        self.opener.scanners.is_anchored_off = !on;
        self
    }

    /// Decodes one line (no line break). The event borrows the line and this decoder until the next
    /// call; the cache learns of the event's process.
    ///
    /// # Errors
    ///
    /// Why the line is no event.
    pub fn decode<'a>(
        &'a mut self,
        line: &'a [u8],
        origin: &Origin<'a>,
        cache: &'a mut ProcessCache,
    ) -> Result<Event<'a>, Fault> {
        let Self {
            profile,
            fields,
            normal,
            index,
            opener,
            views,
            counts,
        } = self;
        let Opened { text, tape, host } = opener.open(line, fields, profile, origin)?;
        std::mem::swap(tape, &mut normal.tape);
        normalise(text, normal, &fields.symbols, index, profile, counts);
        let id = normal.tape.nodes.get(normal.id_node as usize);
        let id = id.and_then(|id| event_id(id.value.of(text)));
        normal.id = id.ok_or(Fault::BadId)?;
        counts.no_host += u64::from(host.is_none());
        let scope = host.or(origin.scope);
        let mut filler = Filler {
            text,
            normal,
            fields,
            profile,
            host,
            scope,
            cache,
            counts,
            out: views,
        };
        filler.run();
        if let Some(scope) = scope {
            remember(text, normal, profile, scope, cache, counts);
        }
        Ok(Event {
            text,
            normal,
            views,
            profile,
            cache,
            host,
            scope,
        })
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        let fallback = std::mem::take(&mut self.opener.scanners.rescued);
        Counts {
            fallback,
            ..std::mem::take(&mut self.counts)
        }
    }
}

/// Opens an entry in the process cache for the first event of a process image: every one whose
/// `PID.EVENT_ID` equals its own `ID`.
fn remember(
    text: &[u8],
    normal: &mut Normal,
    profile: &Profile,
    scope: &[u8],
    cache: &mut ProcessCache,
    counts: &mut Counts,
) {
    let key = normal.member(normal.of_syscall(Known::Pid), Known::EventId);
    if !lineage::is_own(text, normal, key) {
        return;
    }
    let parent = lineage::parent(normal);
    let parent_key = lineage::key(text, normal, parent.event_id);
    let exe = normal.of_syscall(Known::Exe);
    let exe = normal.text(text, exe);
    let pid = normal.of_syscall(Known::PidNumber);
    let pid = normal.text(text, pid);
    let executed = normal.command_line.map(|line| line.text);
    // A process that was forked and has not executed anything runs its parent's program.
    let inherited = match (executed, parent_key) {
        (None, Some(key)) => {
            let known = cache.get(scope, key, normal.id.time_ms);
            known
                .and_then(|known| known.command_line)
                .map(|line| normal.store(line))
        }
        _ => None,
    };
    let command_line = executed.or(inherited).or_else(|| {
        let title = fill::title(text, normal, profile, counts)?;
        Some(title.text)
    });
    let opened = OpenedProcess {
        parent: parent_key,
        pid: decimal(normal.bytes(text, pid)),
        exe: normal.bytes(text, exe),
        command_line: command_line.map(|line| normal.bytes(text, line)),
    };
    cache.open(scope, normal.id, &opened);
}
