//! The alert in Pythia's native form, `schemas/alert.v1.json`.

use schemars::JsonSchema;
use serde::Serialize;

/// One alert: one rule that matched one event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Alert {
    /// UUIDv5 over rule id, host key or empty, and a 128-bit hash of the event's text.
    pub alert_id: String,
    /// Event time, RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// Effective level.
    pub level: String,
}
