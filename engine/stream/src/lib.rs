//! The Kafka service: lines in, alerts out, offsets through a ledger. The only crate that knows Kafka.
//!
//! [`serve`] runs one instance until it is told to [`Stop`]. It is handed compiled plans through
//! [`Rulesets`]; it knows no YAML and no command line. What operators do beside it goes through a
//! [`Connection`]: [`dead_letters`], [`admin`] and [`doctor`].

pub mod admin;
mod batch;
mod clocks;
mod connection;
mod core;
mod correlating;
pub mod dead_letters;
pub mod doctor;
pub mod embedded;
mod http;
mod ledger;
mod options;
mod rule_costs;
mod ruleset;
mod serve;
mod sink;
mod source;
mod telemetry;
mod topics;
mod worker;

pub use clocks::{CLOCKS, MEASURE_EVERY};
pub use connection::{Connection, OperatorError, Unreachable};
pub use correlating::CorrelationOptions;
pub use http::listen;
pub use ledger::{Admission, BatchId, Counts, Ledger, Outcome, PartitionId};
pub use options::{
    GroupProtocol, Input, OWNED_PROPERTIES, Options, Pem, Security, Start, builtin_features,
    pattern_fault,
};
pub use ruleset::{Idle, Reload, Ruleset, Rulesets};
pub use serve::{PartitionSummary, ServeError, Stop, serve};
pub use telemetry::Telemetry;
