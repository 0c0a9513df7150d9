//! The flat form of one JSON text: every member and element as one [`Node`], in document order.
//!
//! The scanner and the fallback both write a tape, so everything behind them is written once and the
//! two can be compared node by node.
//!
//! ```text
//! {"ID":"1.000:1","PATH":[{"item":0}]}
//!
//! node  key   value          next
//! 0     -     {"ID":...}     5     the root
//! 1     ID    1.000:1        2
//! 2     PATH  [{"item":0}]   5     array: elements are nodes 3 .. 5
//! 3     -     {"item":0}     5     object: members are nodes 4 .. 5
//! 4     item  0              5
//! ```

use crate::symbol::Symbol;

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
    pub const NONE: Self = Self {
        offset: u32::MAX,
        len: 0,
    };
    /// The bit of `offset` that selects the arena.
    pub const ARENA: u32 = 1 << 31;

    /// The piece of the line from byte `from` up to, but not including, byte `to`.
    ///
    /// Both must lie below [`Span::ARENA`]: the scanner and the fallback refuse longer texts.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "texts of 2 GiB and more are refused before"
    )]
    pub(crate) fn new(from: usize, to: usize) -> Self {
        debug_assert!(
            from <= to && to < Self::ARENA as usize,
            "span within the text"
        );
        Self {
            offset: from as u32,
            len: (to - from) as u32,
        }
    }

    /// The bytes of a span of the line itself; empty for [`Span::NONE`] and outside of `text`.
    pub fn of(self, text: &[u8]) -> &[u8] {
        let from = self.offset as usize;
        text.get(from..from.saturating_add(self.len as usize))
            .unwrap_or_default()
    }
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
    /// The member's name between its quotes, or [`Span::NONE`] for an element and for the root. As
    /// written: an escape in a name is not decoded (Laurel writes none).
    pub key: Span,
    /// The value as written.
    pub value: Span,
    /// What the value is.
    pub kind: Kind,
    /// The string holds a backslash or a percent sign: it must be decoded before it is compared.
    pub coded: bool,
    /// Number of the member's name, once [`crate::Decoder`] has looked it up.
    pub(crate) symbol: Symbol,
    /// Index of the node behind this one and all below it.
    pub next: u32,
}

/// The nodes of one JSON text; node 0 is the root. Reused from line to line.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// Nodes in document order.
    pub nodes: Vec<Node>,
    /// Whether every node has the symbol of its name, and earlier ones of equal names in one object are
    /// [`Symbol::DEAD`].
    pub(crate) is_named: bool,
    /// Of a named tape: whether some name stood twice in an object.
    pub(crate) duplicates: bool,
    /// Of a named tape: what the names in its records ask for, bits of [`crate::field::ids_of`].
    pub(crate) ids: u32,
}

/// Nodes that a tape keeps room for between lines (1.5 MiB). More than that only a line far beyond the
/// usual needs, and its memory is given back.
pub(crate) const KEPT_NODES: usize = 1 << 16;

impl Tape {
    /// Index of the root, present whenever a text was read without a fault.
    pub const ROOT: u32 = 0;

    /// Forgets the last text, keeps the memory.
    pub(crate) fn restart(&mut self) {
        self.nodes.clear();
        if self.nodes.capacity() > KEPT_NODES {
            self.nodes.shrink_to(KEPT_NODES);
        }
        (self.is_named, self.duplicates, self.ids) = (false, false, 0);
    }

    /// The node at `index`, which must come from this tape.
    pub fn node(&self, index: u32) -> Node {
        self.nodes[index as usize]
    }

    /// Indices of the members or elements of the node at `parent`, in document order; none for a
    /// scalar.
    pub fn children(&self, parent: u32) -> Children<'_> {
        Children {
            nodes: &self.nodes,
            at: parent + 1,
            end: self.node(parent).next,
        }
    }

    /// The last member of the object at `parent` with this name as written (N1: the last one wins).
    pub fn member(&self, text: &[u8], parent: u32, name: &[u8]) -> Option<u32> {
        if self.node(parent).kind != Kind::Object {
            return None;
        }
        self.children(parent)
            .filter(|&child| self.key(text, child) == name)
            .last()
    }

    /// The node below the object at `parent` that a dotted path names. A member whose own name is the
    /// whole path goes first, as some shippers flatten their objects.
    pub(crate) fn at_path(&self, text: &[u8], parent: u32, path: &str) -> Option<u32> {
        self.member(text, parent, path.as_bytes()).or_else(|| {
            let (first, rest) = path.split_once('.')?;
            self.at_path(text, self.member(text, parent, first.as_bytes())?, rest)
        })
    }

    /// The node that a JSON pointer (RFC 6901) names from the node at `from` on.
    pub(crate) fn at_pointer(&self, text: &[u8], from: u32, pointer: &str) -> Option<u32> {
        let mut tokens = pointer.split('/');
        tokens.next().filter(|before| before.is_empty())?;
        tokens.try_fold(from, |node, token| match self.node(node).kind {
            Kind::Object if token.contains('~') => self.member(
                text,
                node,
                token.replace("~1", "/").replace("~0", "~").as_bytes(),
            ),
            Kind::Object => self.member(text, node, token.as_bytes()),
            Kind::Array => self.children(node).nth(token.parse().ok()?),
            _ => None,
        })
    }

    /// Drops all but the node at `index` and what lies below it, which becomes the root of a text of its
    /// own; returns where that text lies in the old one.
    pub(crate) fn narrow(&mut self, index: u32) -> Span {
        let text = self.node(index).value;
        if index == Self::ROOT {
            return text;
        }
        self.nodes.truncate(self.node(index).next as usize);
        self.nodes.drain(..index as usize);
        self.nodes[0].key = Span::NONE;
        if self.is_named {
            self.nodes[0].symbol = Symbol::ELEMENT;
        }
        self.duplicates &= self.nodes.iter().any(|node| node.symbol == Symbol::DEAD);
        let moved = |span: Span| {
            if span == Span::NONE {
                span
            } else {
                Span {
                    offset: span.offset - text.offset,
                    ..span
                }
            }
        };
        for node in &mut self.nodes {
            *node = Node {
                key: moved(node.key),
                value: moved(node.value),
                next: node.next - index,
                ..*node
            };
        }
        text
    }

    /// Name of the node at `index` as written; empty for elements and the root.
    pub fn key<'t>(&self, text: &'t [u8], index: u32) -> &'t [u8] {
        self.node(index).key.of(text)
    }

    /// Value of the node at `index` as written; a string without its quotes.
    pub fn value<'t>(&self, text: &'t [u8], index: u32) -> &'t [u8] {
        self.node(index).value.of(text)
    }
}

/// Walks over the members or elements of one node, see [`Tape::children`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    nodes: &'a [Node],
    at: u32,
    end: u32,
}

impl Iterator for Children<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.at >= self.end {
            return None;
        }
        let here = self.at;
        self.at = self.nodes[here as usize].next;
        Some(here)
    }
}
