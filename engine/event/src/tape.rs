//! The flat form of one JSON text: every member and element as one [`Node`], in document order.
//!
//! The scanner and the fallback both write a tape, so everything behind them is written once and the
//! two can be compared node by node.

/// A piece of the line, or of the arena where the text had to be decoded. Length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset; the top bit says that it counts from the start of the arena.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// No text at all.
    pub const NONE: Self = Self { offset: u32::MAX, len: 0 };
    /// The bit of `offset` that selects the arena.
    pub const ARENA: u32 = 1 << 31;
}

/// What kind of JSON value a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string; its span lies between the quotes, still escaped and percent-encoded.
    String,
    /// A number, as written.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// An object; its span includes the braces. Members follow as nodes.
    Object,
    /// An array; its span includes the brackets. Elements follow as nodes.
    Array,
}

/// One member of an object or element of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The member's name between its quotes, or [`Span::NONE`] for an element and for the root.
    pub key: Span,
    /// The value as written.
    pub value: Span,
    /// What the value is.
    pub kind: Kind,
    /// The string holds a backslash or a percent sign: it must be decoded before it is compared.
    pub coded: bool,
    /// Index of the node behind this one and all below it.
    pub next: u32,
}

/// The nodes of one JSON text; node 0 is the root. Reused from line to line.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// Nodes in document order.
    pub nodes: Vec<Node>,
}
