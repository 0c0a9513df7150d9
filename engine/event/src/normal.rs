//! The normalised event as scratch memory: the tape with symbols for its names, members that
//! normalisation added, and where the records lie.
//!
//! Filled by `normalise`, read by the views and by the alert's side of [`crate::Event`]. All memory is
//! reused from line to line.

use crate::symbol::{Known, Symbol};
use crate::text::decode_into;
use crate::{EventId, Flags, Kind, Node, RecordClass, Span, Tape};

/// No node.
pub(crate) const NONE: u32 = u32::MAX;
/// Stands for a node where a value comes from the process cache.
pub(crate) const FROM_CACHE: u32 = u32::MAX - 1;
/// Stands for a node where a value is the host's name.
pub(crate) const FROM_HOST: u32 = u32::MAX - 2;

/// Members that stand elsewhere on the tape than behind their parent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    pub(crate) parent: u32,
    /// The first node and one behind the last.
    pub(crate) nodes: (u32, u32),
    /// The next extra of the same parent.
    next: u32,
    /// The parent's own members no longer count; only in the first extra of a parent.
    replaces: bool,
}

/// One audit record: the object of a member, or one object of a member's array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// The object.
    pub(crate) node: u32,
    /// The event's member it lies in.
    pub(crate) member: u32,
    /// The member's name.
    pub(crate) name: Symbol,
    pub(crate) class: RecordClass,
}

/// A joined command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommandLine {
    pub(crate) text: Span,
    /// The array or string it was made from.
    pub(crate) node: u32,
}

/// The name of a PATH record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathName {
    /// The record's node.
    pub(crate) record: u32,
    /// The member `name`.
    pub(crate) node: u32,
    pub(crate) logged: Span,
    /// The form of N9; the same span where that is the name as logged.
    pub(crate) absolute: Span,
}

/// One normalised event.
#[derive(Debug)]
pub(crate) struct Normal {
    pub(crate) tape: Tape,
    pub(crate) arena: Vec<u8>,
    pub(crate) extras: Vec<Extra>,
    /// First extra by parent; shorter than the tape where the rest have none.
    extra_of: Vec<u32>,
    /// In document order; the ordinal of an element is its index here, plus one.
    pub(crate) records: Vec<Record>,
    /// The SYSCALL, EXECVE, CWD and PROCTITLE objects.
    pub(crate) syscall: u32,
    pub(crate) execve: u32,
    pub(crate) cwd: u32,
    pub(crate) proctitle: u32,
    /// `CONTAINER_INFO`: not a record.
    pub(crate) container_info: u32,
    pub(crate) parent_info: u32,
    pub(crate) id_node: u32,
    pub(crate) node_node: u32,
    /// Members of SYSCALL by known name.
    pub(crate) members: [u32; Known::COUNT],
    /// Name of the syscall that views go by: behind i386's `socketcall` the call itself.
    pub(crate) call: Span,
    /// The executed command line, and the elements of its arguments.
    pub(crate) command_line: Option<CommandLine>,
    /// PROCTITLE's, once somebody asked for it.
    pub(crate) title: Option<CommandLine>,
    pub(crate) is_title_read: bool,
    /// Names of the PATH records, if a loaded rule reads them.
    pub(crate) paths: Vec<PathName>,
    /// The host's name in the arena, once somebody asked for it.
    pub(crate) host: Span,
    pub(crate) id: EventId,
    pub(crate) flags: Flags,
}

impl Default for Normal {
    fn default() -> Self {
        Self {
            tape: Tape::default(),
            arena: vec![],
            extras: vec![],
            extra_of: vec![],
            records: vec![],
            syscall: NONE,
            execve: NONE,
            cwd: NONE,
            proctitle: NONE,
            container_info: NONE,
            parent_info: NONE,
            id_node: NONE,
            node_node: NONE,
            members: [NONE; Known::COUNT],
            call: Span::NONE,
            command_line: None,
            title: None,
            is_title_read: false,
            paths: vec![],
            host: Span::NONE,
            id: EventId {
                time_ms: 0,
                serial: 0,
            },
            flags: Flags::default(),
        }
    }
}

impl Normal {
    /// Forgets the last event, keeps the memory and the tape that the next one was read to. Memory
    /// beyond what usual lines need is given back.
    pub(crate) fn reset(&mut self) {
        // PERF: each by itself; moving the whole out and in took a twentieth of decoding.
        let Self {
            tape: _,
            arena,
            extras,
            extra_of,
            records,
            syscall,
            execve,
            cwd,
            proctitle,
            container_info,
            parent_info,
            id_node,
            node_node,
            members,
            call,
            command_line,
            title,
            is_title_read,
            paths,
            host,
            id: _,
            flags,
        } = self;
        empty(arena);
        empty(extras);
        empty(extra_of);
        empty(records);
        empty(paths);
        for node in [
            syscall,
            execve,
            cwd,
            proctitle,
            container_info,
            parent_info,
            id_node,
            node_node,
        ] {
            *node = NONE;
        }
        *members = [NONE; Known::COUNT];
        (*call, *host) = (Span::NONE, Span::NONE);
        (*command_line, *title, *is_title_read) = (None, None, false);
        *flags = Flags::default();
    }

    /// The node at `index`.
    pub(crate) fn node(&self, index: u32) -> Node {
        self.tape.nodes[index as usize]
    }

    /// The kind of the node at `index`; [`Kind::Null`] for no node.
    pub(crate) fn kind(&self, index: u32) -> Kind {
        self.tape
            .nodes
            .get(index as usize)
            .map_or(Kind::Null, |node| node.kind)
    }

    /// The symbol of the node's name.
    pub(crate) fn symbol(&self, index: u32) -> Symbol {
        self.tape.nodes[index as usize].symbol
    }

    /// A walk over the members or elements of a node that count.
    pub(crate) fn children(&self, parent: u32) -> Cursor {
        let Some(node) = self.tape.nodes.get(parent as usize) else {
            return Cursor {
                at: 0,
                end: 0,
                extra: NONE,
            };
        };
        let extra = self.extra_of.get(parent as usize).copied().unwrap_or(NONE);
        let replaced = self
            .extras
            .get(extra as usize)
            .is_some_and(|extra| extra.replaces);
        let at = if replaced { node.next } else { parent + 1 };
        Cursor {
            at,
            end: node.next,
            extra,
        }
    }

    /// The member of this name, [`NONE`] if the node has none or is no object.
    pub(crate) fn member(&self, parent: u32, name: Known) -> u32 {
        if self.kind(parent) != Kind::Object {
            return NONE;
        }
        let mut children = self.children(parent);
        while let Some(child) = children.next(self) {
            if self.symbol(child) == name.symbol() {
                return child;
            }
        }
        NONE
    }

    /// The member of SYSCALL of this name, [`NONE`] if there is none.
    pub(crate) fn of_syscall(&self, name: Known) -> u32 {
        self.members[name as usize]
    }

    /// The bytes of a span of the line or the arena.
    pub(crate) fn bytes<'a>(&'a self, text: &'a [u8], span: Span) -> &'a [u8] {
        bytes(text, &self.arena, span)
    }

    /// The scalar's text, decoded at most once: the result is remembered in the node. [`Span::NONE`]
    /// for no node, `null` and containers.
    pub(crate) fn text(&mut self, text: &[u8], index: u32) -> Span {
        let Some(node) = self.tape.nodes.get_mut(index as usize) else {
            return Span::NONE;
        };
        match node.kind {
            Kind::Null | Kind::Object | Kind::Array => Span::NONE,
            Kind::Number | Kind::Bool => node.value,
            Kind::String => {
                if node.coded {
                    let from = self.arena.len();
                    decode_into(node.value.of(text), &mut self.arena);
                    node.value = arena_span(from, self.arena.len());
                    node.coded = false;
                }
                node.value
            }
        }
    }

    /// The bytes of [`Normal::text`].
    pub(crate) fn text_bytes<'a>(&'a mut self, text: &'a [u8], index: u32) -> &'a [u8] {
        let span = self.text(text, index);
        self.bytes(text, span)
    }

    /// Appends the bytes of a span to the arena.
    pub(crate) fn append(&mut self, text: &[u8], span: Span) {
        if span == Span::NONE {
            return;
        }
        let from = (span.offset & !Span::ARENA) as usize;
        let range = from..from + span.len as usize;
        if span.offset & Span::ARENA == 0 {
            self.arena.extend_from_slice(&text[range]);
        } else {
            self.arena.extend_from_within(range);
        }
    }

    /// Puts bytes into the arena.
    pub(crate) fn store(&mut self, bytes: &[u8]) -> Span {
        let from = self.arena.len();
        self.arena.extend_from_slice(bytes);
        arena_span(from, self.arena.len())
    }

    /// Puts the text of a number into the arena.
    pub(crate) fn store_number(&mut self, number: u64) -> Span {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            if rest == 0 {
                return self.store(&digits[at..]);
            }
        }
    }

    /// Appends a node to the tape, not yet a child of any.
    pub(crate) fn push(&mut self, name: Symbol, key: Span, kind: Kind, value: Span) -> u32 {
        let index = self.next_node();
        self.tape.nodes.push(Node {
            key,
            value,
            kind,
            coded: false,
            symbol: name,
            next: index + 1,
        });
        index
    }

    /// The index that the next appended node gets.
    pub(crate) fn next_node(&self) -> u32 {
        u32::try_from(self.tape.nodes.len()).expect("a line of 2 GiB has fewer nodes")
    }

    /// Appends a node of a known name.
    pub(crate) fn push_known(&mut self, name: Known, kind: Kind, value: Span) -> u32 {
        let key = self.store(name.text().as_bytes());
        self.push(name.symbol(), key, kind, value)
    }

    /// Makes the nodes from `first` to the end of the tape members of `parent`.
    pub(crate) fn adopt(&mut self, parent: u32, first: u32, replaces: bool) {
        let nodes = (first, self.next_node());
        if nodes.0 == nodes.1 && !replaces {
            return;
        }
        let index = u32::try_from(self.extras.len()).expect("extras are fewer than nodes");
        self.extras.push(Extra {
            parent,
            nodes,
            next: NONE,
            replaces,
        });
        if self.extra_of.len() <= parent as usize {
            self.extra_of.resize(parent as usize + 1, NONE);
        }
        let mut last = self.extra_of[parent as usize];
        if last == NONE {
            self.extra_of[parent as usize] = index;
            return;
        }
        // A parent has a handful at most: its number names, its call, its arguments.
        while self.extras[last as usize].next != NONE {
            last = self.extras[last as usize].next;
        }
        self.extras[last as usize].next = index;
    }

    /// Ends an appended container: all nodes behind it are its own.
    pub(crate) fn close(&mut self, container: u32) {
        self.tape.nodes[container as usize].next = self.next_node();
    }
}

/// Elements that scratch memory keeps room for between lines. More only a line far beyond the usual
/// needs.
const KEPT: usize = 1 << 16;

/// Empties a list and keeps the usual part of its memory.
pub(crate) fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    if list.capacity() > KEPT {
        list.shrink_to(KEPT);
    }
}

/// The bytes of a span of the line or of an arena.
pub(crate) fn bytes<'a>(text: &'a [u8], arena: &'a [u8], span: Span) -> &'a [u8] {
    if span == Span::NONE {
        return &[];
    }
    let from = (span.offset & !Span::ARENA) as usize;
    let source = if span.offset & Span::ARENA == 0 {
        text
    } else {
        arena
    };
    &source[from..from + span.len as usize]
}

/// The piece of the arena from byte `from` up to `to`.
pub(crate) fn arena_span(from: usize, to: usize) -> Span {
    let span = Span::new(from, to);
    Span {
        offset: span.offset | Span::ARENA,
        ..span
    }
}

/// A piece of a span.
#[expect(
    clippy::cast_possible_truncation,
    reason = "pieces lie within a span, whose length is 32 bits"
)]
pub(crate) fn piece(span: Span, from: usize, to: usize) -> Span {
    debug_assert!(
        from <= to && to <= span.len as usize,
        "a piece lies within its span"
    );
    Span {
        offset: span.offset + from as u32,
        len: (to - from) as u32,
    }
}

/// Walks over the children of one node while the event may be changed; see [`Normal::children`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    at: u32,
    end: u32,
    /// The extra to go on with.
    extra: u32,
}

impl Cursor {
    /// The next child with its symbol, also if it no longer counts: then the symbol is [`Symbol::DEAD`], which no
    /// table holds.
    #[inline]
    pub(crate) fn next_by_table(&mut self, normal: &Normal) -> Option<(u32, Symbol)> {
        loop {
            if self.at < self.end {
                let here = self.at;
                let node = normal.tape.nodes.get(here as usize)?;
                self.at = node.next;
                return Some((here, node.symbol));
            }
            let extra = normal.extras.get(self.extra as usize)?;
            (self.at, self.end) = extra.nodes;
            self.extra = extra.next;
        }
    }

    /// The next child that counts.
    pub(crate) fn next(&mut self, normal: &Normal) -> Option<u32> {
        loop {
            while self.at < self.end {
                let here = self.at;
                self.at = normal.tape.nodes[here as usize].next;
                if normal.tape.nodes[here as usize].symbol != Symbol::DEAD {
                    return Some(here);
                }
            }
            let extra = normal.extras.get(self.extra as usize)?;
            (self.at, self.end) = extra.nodes;
            self.extra = extra.next;
        }
    }
}
