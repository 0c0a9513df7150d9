//! One Laurel line to one normalised [`Event`] and the views that Sigma rules see of it.
//!
//! Takes bytes and a [`Profile`]; gives spans into these bytes or into a reused arena. No I/O, no
//! clock, no threads, no knowledge of rules, labels or Kafka.
//!
//! A line goes through `envelope` (where is the Laurel object, what host) and `scan` (the tape of its
//! nodes) (`anchored` on the fast path), then `normalise` (names to symbols, the steps N1 to N15 of the format description), then
//! `fill` (values into the slots of the views: `mapped`, `record`, `native`), all called by `decode`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use event::{Decoder, Fields, Origin, ProcessCache, Profile, ViewKind};
//!
//! let mut fields = Fields::default();
//! let command_line = fields.want(ViewKind::ProcessCreation, "CommandLine").expect("views feed it");
//! assert_eq!(fields.want(ViewKind::ProcessCreation, "OriginalFileName"), None);
//!
//! let mut decoder = Decoder::new(Arc::new(Profile::laurel()), Arc::new(fields));
//! let mut cache = ProcessCache::new(256 << 20, 86_400_000);
//! let line = br#"{"ID":"1626611363.720:348501","EXECVE":{"argc":2,"ARGV":["date","%2b%25s"]}}"#;
//! let event = decoder.decode(line, &Origin::default(), &mut cache).expect("a Laurel event");
//!
//! let value = event.values(&event.views()[0])[0];
//! assert_eq!(value.slot, command_line);
//! assert_eq!(event.bytes(value.span), b"date +%s");
//! assert_eq!(event.path(&value), "EXECVE.ARGV");
//! ```

#![warn(clippy::disallowed_methods)]

mod address;
mod anchored;
mod command_line;
mod decode;
mod envelope;
mod event;
mod fallback;
mod field;
mod file_name;
mod fill;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod harness;
mod index;
mod known_fields;
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
pub use known_fields::{KnownField, is_known_field, known_fields};
pub use process::ProcessCache;
pub use profile::{Limits, Profile};
pub use tape::{Children, Kind, Node, Span, Tape};
pub use view::{RecordClass, Value, ValueKind, View, ViewKind};
