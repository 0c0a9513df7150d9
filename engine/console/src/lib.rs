//! What every program shows and reads alike: settings, printing, diagnostics, progress, logs.
//!
//! Knows no Kafka, no Arrow, no matching: a Kafka setting is a name and a text here, and what it means
//! is judged by the crate that uses it.

pub mod diagnostics;
pub mod github;
pub mod logs;
pub mod moment;
pub mod printing;
pub mod progress;
pub mod settings;
