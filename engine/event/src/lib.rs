//! One Laurel line to one normalised [`Event`] and the views that Sigma rules see of it.
//!
//! Takes bytes and a [`Profile`]; gives spans into these bytes or into a reused arena. No I/O, no
//! clock, no threads, no knowledge of rules, labels or Kafka.

#![warn(clippy::disallowed_methods)]

mod decode;
mod envelope;
mod event;
mod fallback;
mod field;
#[cfg(test)]
mod harness;
mod process;
mod profile;
mod scan;
mod tape;
mod text;
mod view;

pub use decode::{Counts, Decoder, Fault, Origin};
pub use event::{Event, EventId, Flags};
pub use field::{Fields, Slot};
pub use process::ProcessCache;
pub use profile::{Limits, Profile};
pub use tape::{Children, Kind, Node, Span, Tape};
pub use view::{RecordClass, Value, ValueKind, View, ViewKind};
