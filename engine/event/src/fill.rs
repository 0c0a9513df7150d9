//! Fills the slots of all views that some loaded rule reads, from one normalised event. What the
//! three families of views share; the families themselves are `mapped`, `record` and `native`.

use crate::command_line::{self, limit_reached};
use crate::field::Mapped;
use crate::file_name;
use crate::normal::{CommandLine, FROM_HOST, Normal, PathName, empty, piece};
use crate::symbol::Known;
use crate::{
    Counts, Fields, Kind, ProcessCache, Profile, RecordClass, Slot, Span, Value, ValueKind, View,
    ViewKind,
};

/// Labels of one process.
const LABELS_MAX: usize = 256;

/// The views of one event and their values; reused.
#[derive(Debug, Default)]
pub(crate) struct Views {
    pub(crate) views: Vec<View>,
    pub(crate) values: Vec<Value>,
}

/// Everything that filling reads and writes.
pub(crate) struct Filler<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) normal: &'a mut Normal,
    pub(crate) fields: &'a Fields,
    pub(crate) profile: &'a Profile,
    pub(crate) host: Option<&'a [u8]>,
    /// The host as the process cache knows it: its name, or the scope that stands for one.
    pub(crate) scope: Option<&'a [u8]>,
    pub(crate) cache: &'a ProcessCache,
    pub(crate) counts: &'a mut Counts,
    pub(crate) out: &'a mut Views,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) node: u32,
    /// See [`Value::element`].
    pub(crate) element: u32,
}

impl Place {
    /// A node outside of any element.
    pub(crate) fn at(node: u32) -> Self {
        Self { node, element: 0 }
    }
}

impl Filler<'_> {
    /// Builds every wanted view, in document order within a kind.
    pub(crate) fn run(&mut self) {
        empty(&mut self.out.views);
        empty(&mut self.out.values);
        if self.reads_paths() {
            self.find_paths();
        }
        self.mapped_views();
        if self.fields.is_wanted(ViewKind::Record) {
            self.record_views();
        }
        if self.fields.is_wanted(ViewKind::Native) {
            self.native_view();
        }
    }

    /// Starts a view; its values follow.
    pub(crate) fn begin(&self) -> usize {
        self.out.values.len()
    }

    /// Ends the view whose values began at `from`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "values are fewer than the bytes of a line and its names"
    )]
    pub(crate) fn end(&mut self, kind: ViewKind, class: RecordClass, node: u32, from: usize) {
        let values = (from as u32, self.out.values.len() as u32);
        self.out.views.push(View {
            kind,
            class,
            values,
            node,
        });
    }

    /// Adds a value.
    pub(crate) fn put(&mut self, slot: Slot, kind: ValueKind, span: Span, place: Place) {
        let Place { node, element } = place;
        self.out.values.push(Value {
            slot,
            kind,
            span,
            element,
            node,
        });
    }

    /// Adds what a node holds: a scalar as it is, of an array each element, of an object just that it
    /// is there.
    pub(crate) fn put_node(&mut self, slot: Slot, place: Place) {
        let kind = match self.normal.kind(place.node) {
            Kind::Null => ValueKind::Null,
            Kind::Bool => ValueKind::Bool,
            Kind::Number => ValueKind::Number,
            Kind::String => ValueKind::Text,
            Kind::Object => ValueKind::Container,
            Kind::Array => return self.put_elements(slot, place),
        };
        let span = self.normal.text(self.text, place.node);
        self.put(slot, kind, span, place);
    }

    fn put_elements(&mut self, slot: Slot, place: Place) {
        let mut elements = self.normal.children(place.node);
        let mut any = false;
        while let Some(node) = elements.next(self.normal) {
            any = true;
            self.put_node(slot, Place { node, ..place });
        }
        if !any {
            self.put(slot, ValueKind::Container, Span::NONE, place);
        }
    }

    /// Adds every scalar below a node but `null`, for keyword search.
    pub(crate) fn put_leaves(&mut self, slot: Slot, place: Place) {
        let kind = match self.normal.kind(place.node) {
            Kind::Null => return,
            Kind::Bool => ValueKind::Bool,
            Kind::Number => ValueKind::Number,
            Kind::String => ValueKind::Text,
            Kind::Object | Kind::Array => {
                let mut children = self.normal.children(place.node);
                while let Some(node) = children.next(self.normal) {
                    self.put_leaves(slot, Place { node, ..place });
                }
                return;
            }
        };
        let span = self.normal.text(self.text, place.node);
        self.put(slot, kind, span, place);
    }

    /// Adds every scalar of a record but `null`, for keyword search; keys one by one.
    pub(crate) fn put_record_leaves(&mut self, slot: Slot, place: Place) {
        let mut members = self.normal.children(place.node);
        while let Some(node) = members.next(self.normal) {
            let place = Place { node, ..place };
            if self.normal.symbol(node) == Known::Key.symbol() {
                self.put_keys(slot, place);
            } else {
                self.put_leaves(slot, place);
            }
        }
    }

    /// N4: adds the keys of an audit rule, which Laurel joins by byte 0x01. `null`, and what a lost
    /// separator makes of it (`(null)ARCH=..`), is no key at all.
    pub(crate) fn put_keys(&mut self, slot: Slot, place: Place) {
        if self.normal.kind(place.node) != Kind::String {
            if self.normal.kind(place.node) != Kind::Null {
                self.put_node(slot, place);
            }
            return;
        }
        let whole = self.normal.text(self.text, place.node);
        if self.normal.bytes(self.text, whole).starts_with(b"(null)") {
            return;
        }
        let (mut from, length) = (0, whole.len as usize);
        while from < length {
            let rest = self.normal.bytes(self.text, piece(whole, from, length));
            let to = memchr::memchr(1, rest).map_or(length, |at| from + at);
            if to > from {
                self.put(slot, ValueKind::Text, piece(whole, from, to), place);
            }
            from = to + 1;
        }
    }

    /// Adds the process's labels. They stand in every view, so their number is limited.
    pub(crate) fn put_labels(&mut self, slot: Slot, element: u32) {
        let mut labels = self.normal.children(self.normal.of_syscall(Known::Labels));
        let mut count = 0;
        while let Some(node) = labels.next(self.normal) {
            if count == LABELS_MAX {
                limit_reached(self.normal, self.counts);
                break;
            }
            self.put_node(slot, Place { node, element });
            count += 1;
        }
    }

    /// Adds the host's name.
    pub(crate) fn put_host(&mut self, slot: Slot) {
        let Some(host) = self.host else { return };
        if self.normal.host == Span::NONE {
            self.normal.host = self.normal.store(host);
        }
        self.put(
            slot,
            ValueKind::Text,
            self.normal.host,
            Place::at(FROM_HOST),
        );
    }

    /// The command line of PROCTITLE.
    pub(crate) fn title(&mut self) -> Option<CommandLine> {
        title(self.text, self.normal, self.profile, self.counts)
    }

    fn reads_paths(&self) -> bool {
        const FILES: [ViewKind; 3] = [
            ViewKind::FileEvent,
            ViewKind::FileDelete,
            ViewKind::FileRename,
        ];
        let name = Known::Name.symbol();
        self.fields
            .mapped(ViewKind::ProcessCreation, Mapped::Image)
            .is_some()
            || self.fields.keywords(ViewKind::ProcessCreation).is_some()
            || FILES.iter().any(|kind| self.fields.is_wanted(*kind))
            || self.fields.record.slot(name).is_some()
            || self
                .fields
                .native
                .steps
                .iter()
                .any(|step| step.below(name).is_some())
    }

    /// Lists the PATH records' names in both forms.
    fn find_paths(&mut self) {
        let mut base = None;
        for index in 0..self.normal.records.len() {
            let record = self.normal.records[index];
            if record.class != RecordClass::Path {
                continue;
            }
            let node = self.normal.member(record.node, Known::Name);
            let logged = self.normal.text(self.text, node);
            let base = *base.get_or_insert_with(|| file_name::base(self.text, self.normal));
            let absolute = if self.normal.kind(node) == Kind::String {
                file_name::absolute(self.text, self.normal, base, logged, self.counts)
            } else {
                logged
            };
            self.normal.paths.push(PathName {
                record: record.node,
                node,
                logged,
                absolute,
            });
        }
    }
}

/// The command line of PROCTITLE, joined on first use.
pub(crate) fn title(
    text: &[u8],
    normal: &mut Normal,
    profile: &Profile,
    counts: &mut Counts,
) -> Option<CommandLine> {
    if normal.is_title_read {
        return normal.title;
    }
    let title = command_line::join(
        text,
        normal,
        normal.proctitle,
        profile.limits.arguments,
        counts,
    );
    (normal.title, normal.is_title_read) = (title, true);
    title
}
