//! One Laurel line to one normalised [`Event`] and the views that Sigma rules see of it.
//!
//! Takes bytes and a [`Profile`]; gives spans into these bytes or into a reused arena. No I/O, no
//! clock, no threads, no knowledge of rules, labels or Kafka.

#![warn(clippy::disallowed_methods)]

mod address;
mod command_line;
mod decode;
mod envelope;
mod event;
mod fallback;
mod field;
mod file_name;
mod fill;
#[cfg(test)]
mod harness;
mod index;
mod lineage;
mod mapped;
mod message;
mod native;
mod normal;
mod normalise;
mod process;
mod profile;
mod record;
mod scan;
mod symbol;
mod syscall;
mod syscall_tables;
mod tape;
#[cfg(test)]
mod tests;
mod text;
mod view;

pub use decode::{Counts, Decoder, Fault, Origin};
pub use event::{Ancestor, Argument, Event, EventId, Flags, Parent, Process};
pub use field::{Fields, Slot};
pub use process::ProcessCache;
pub use profile::{Limits, Profile};
pub use tape::{Children, Kind, Node, Span, Tape};
pub use view::{RecordClass, Value, ValueKind, View, ViewKind};
