//! One view as the matching core sees it: values by slot, and where their bytes lie.

use event::{Event, RecordClass, Slot, Span, Value, ValueKind, View, ViewKind};

use crate::matcher::Text;
use crate::number::canonical_if_other;
use crate::text::fold_into;

/// What the matching core asks of an event: the bytes behind spans, and for alerts where nodes stand.
pub(crate) trait Source {
    /// The bytes of a span.
    fn bytes(&self, span: Span) -> &[u8];

    /// The path of a node, such as `EXECVE.ARGV[2]`.
    fn path(&self, node: u32) -> Option<String>;

    /// Where a node is an array of arguments that were joined to one text: each with its own node.
    fn arguments(&self, node: u32) -> Vec<(u32, &[u8])>;
}

impl Source for Event<'_> {
    fn bytes(&self, span: Span) -> &[u8] {
        Event::bytes(self, span)
    }

    fn path(&self, node: u32) -> Option<String> {
        self.node_path(node)
    }

    fn arguments(&self, node: u32) -> Vec<(u32, &[u8])> {
        self.arguments_of(node)
            .into_iter()
            .map(|argument| (argument.node, argument.text))
            .collect()
    }
}

/// A view to be matched.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The view's kind.
    pub(crate) kind: ViewKind,
    /// Its record type.
    pub(crate) class: RecordClass,
    /// Its values.
    pub(crate) values: &'a [Value],
    /// The node it was made from.
    pub(crate) node: u32,
    /// Their bytes.
    pub(crate) source: &'a dyn Source,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = self.values.iter().map(|value| {
            let text = String::from_utf8_lossy(self.source.bytes(value.span)).into_owned();
            (value.slot.0, value.kind, value.element, text)
        });
        write!(f, "{:?} {:?} ", self.kind, self.class)?;
        f.debug_list().entries(values).finish()
    }
}

impl<'a> Subject<'a> {
    /// A view of an event.
    pub(crate) fn new(event: &'a Event<'a>, view: &View) -> Self {
        Self {
            kind: view.kind,
            class: view.class,
            values: event.values(view),
            node: view.node,
            source: event,
        }
    }

    /// The bytes of a value.
    pub(crate) fn raw(&self, value: &Value) -> &'a [u8] {
        self.source.bytes(value.span)
    }
}

/// No entry: the end of a chain.
const END: u32 = u32::MAX;

/// The texts of one view, found by slot; folded once somebody compares them. Scratch memory: filled anew for
/// each view, without an allocation once it has grown.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    folded: Vec<u8>,
    entries: Vec<Entry>,
    /// First entry of each slot.
    heads: Vec<u32>,
    /// Slots that have entries, to be cleared.
    touched: Vec<Slot>,
}

/// One text of one value; a number that is not written in its canonical form has two.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Index among the view's values.
    value: u32,
    next: u32,
    /// Where in `folded` it lies; [`END`] before it is folded.
    from: u32,
    to: u32,
    /// The canonical text of a number: stands in `folded` alone.
    canonical: bool,
}

impl Texts {
    /// Takes in the values of those slots that `wanted` marks.
    pub(crate) fn fill(&mut self, subject: &Subject<'_>, wanted: &[bool]) {
        self.folded.clear();
        self.entries.clear();
        self.heads.resize(self.heads.len().max(wanted.len()), END);
        for slot in self.touched.drain(..) {
            self.heads[usize::from(slot.0)] = END;
        }
        for (index, value) in subject.values.iter().enumerate() {
            if !wanted
                .get(usize::from(value.slot.0))
                .is_some_and(|wanted| *wanted)
            {
                continue;
            }
            self.push(value.slot, index, None);
            if value.kind == ValueKind::Number
                && let Some(canonical) = canonical_if_other(subject.raw(value))
            {
                let from = self.folded.len();
                self.folded.extend_from_slice(&canonical);
                self.push(value.slot, index, Some(from));
            }
        }
    }

    /// How many texts there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value of the text at `index` and its bytes: raw, but for the canonical text of a number.
    pub(crate) fn raw<'a>(&'a self, subject: &Subject<'a>, index: usize) -> (&'a Value, &'a [u8]) {
        let entry = &self.entries[index];
        let value = &subject.values[entry.value as usize];
        let raw = if entry.canonical {
            &self.folded[entry.from as usize..entry.to as usize]
        } else {
            subject.raw(value)
        };
        (value, raw)
    }

    /// The text at `index`, folded now if it was not before.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an event is far smaller than 4 GiB: spans are 31 bits"
    )]
    pub(crate) fn folded(&mut self, subject: &Subject<'_>, index: usize) -> &[u8] {
        let entry = &mut self.entries[index];
        if entry.from == END {
            entry.from = self.folded.len() as u32;
            fold_into(
                &mut self.folded,
                subject.raw(&subject.values[entry.value as usize]),
            );
            entry.to = self.folded.len() as u32;
        }
        &self.folded[entry.from as usize..entry.to as usize]
    }

    /// Folds what was not folded before; only then [`Texts::of`] may be asked.
    pub(crate) fn fold_all(&mut self, subject: &Subject<'_>) {
        for index in 0..self.entries.len() {
            self.folded(subject, index);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "an event is far smaller than 4 GiB: spans are 31 bits"
    )]
    fn push(&mut self, slot: Slot, value: usize, canonical: Option<usize>) {
        let head = &mut self.heads[usize::from(slot.0)];
        if *head == END {
            self.touched.push(slot);
        }
        let from = canonical.map_or(END, |from| from as u32);
        let (value, to) = (value as u32, self.folded.len() as u32);
        self.entries.push(Entry {
            value,
            next: *head,
            from,
            to,
            canonical: canonical.is_some(),
        });
        *head = self.entries.len() as u32 - 1;
    }

    /// The values of a slot, each with its text; `null` and containers too, with an empty one. Only the
    /// values within one element of an array, if one is given.
    pub(crate) fn of<'a>(
        &'a self,
        subject: &'a Subject<'_>,
        slot: Slot,
        element: Option<u32>,
    ) -> impl Iterator<Item = Text<'a>> + 'a {
        let mut at = self.heads.get(usize::from(slot.0)).copied().unwrap_or(END);
        std::iter::from_fn(move || {
            loop {
                let entry = self.entries.get(at as usize)?;
                at = entry.next;
                let value = &subject.values[entry.value as usize];
                if element.is_some_and(|element| element != value.element) {
                    continue;
                }
                let folded = &self.folded[entry.from as usize..entry.to as usize];
                let raw = if entry.canonical {
                    folded
                } else {
                    subject.raw(value)
                };
                return Some(Text {
                    kind: value.kind,
                    raw,
                    folded,
                });
            }
        })
    }

    /// The elements in which a slot has values.
    pub(crate) fn elements<'a>(
        &'a self,
        subject: &'a Subject<'_>,
        slot: Slot,
    ) -> impl Iterator<Item = u32> + 'a {
        let mut at = self.heads.get(usize::from(slot.0)).copied().unwrap_or(END);
        std::iter::from_fn(move || {
            let entry = self.entries.get(at as usize)?;
            at = entry.next;
            Some(subject.values[entry.value as usize].element)
        })
    }
}

/// Whether a value has a text to compare.
pub(crate) fn has_text(kind: ValueKind) -> bool {
    !matches!(kind, ValueKind::Null | ValueKind::Container)
}
