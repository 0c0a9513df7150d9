//! What a source looks like: envelopes, host chain, prefix, limits. Plain data, no defaults of its own
//! but Laurel's.

/// Limits of one line; a hit is a dead letter or a flag and a counter, never a silent cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest line in bytes; above: dead letter `oversize`.
    pub line_bytes: usize,
    /// Deepest nesting of JSON containers; above: dead letter `invalid_json`.
    pub nesting: usize,
    /// Records per event; above: evaluated on what fits, flagged, counted.
    pub records: usize,
    /// Arguments per EXECVE or PROCTITLE; above: evaluated on what fits, flagged, counted.
    pub arguments: usize,
}

/// How to read the lines of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// JSON pointer (`/a/b`) to the host's name in the envelope, tried before every other.
    pub host_pointer: Option<String>,
    /// Dotted paths under which a shipper may have put the Laurel line, tried in order.
    pub envelope: Vec<String>,
    /// Laurel's `enrich.prefix`, if configured; else it is detected (N13).
    pub prefix: Option<String>,
    /// Names of numeric user ids, used where the line carries no translated name.
    pub users: Vec<(u32, String)>,
    /// The limits.
    pub limits: Limits,
}

impl Profile {
    /// Whether the way to the event or to the host's name leads over a member of this name.
    pub(crate) fn names(&self, name: &[u8]) -> bool {
        let paths = self.envelope.iter().chain(&self.host_pointer);
        paths
            .flat_map(|path| path.split(['.', '/']))
            .any(|step| step.as_bytes() == name)
    }

    /// Laurel 0.5 to 0.8.2 behind any of the usual shippers.
    pub fn laurel() -> Self {
        Self {
            host_pointer: None,
            envelope: ["message", "log", "event.original", "laurel", "json"]
                .map(String::from)
                .to_vec(),
            prefix: None,
            users: vec![(0, "root".into())],
            limits: Limits {
                line_bytes: 8 << 20,
                nesting: 64,
                records: 4096,
                arguments: 65_536,
            },
        }
    }
}
