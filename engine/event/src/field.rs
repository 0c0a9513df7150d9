//! Field names to slots: which fields of which view the loaded rules read.
//!
//! Filled once while a plan is compiled, then shared and immutable; the decoder extracts nothing that
//! has no slot here.

use std::collections::HashMap;

use crate::known_fields;
use crate::symbol::{Known, Symbol, Symbols};
use crate::{RecordClass, ViewKind};

/// Number of a field within its view kind, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

/// Members of audit records that are left out where no rule reads them, see [`Fields::is_idle`]. None may
/// end in `arch`, `syscall`, `pid` or `uid`: from such names Laurel's prefix is told (N13).
const IDLE: &[&str] = &[
    "item",
    "items",
    "inode",
    "dev",
    "mode",
    "rdev",
    "obj",
    "subj",
    "cap_fp",
    "cap_fi",
    "cap_fe",
    "cap_fver",
    "cap_frootid",
    "fver",
    "fp",
    "fi",
    "fe",
    "frootid",
    "old_pp",
    "old_pi",
    "old_pe",
    "old_pa",
    "pp",
    "pi",
    "pe",
    "pa",
];

/// The bit of a translated id's name, or higher by [`Known::IDS`] the bit of a raw one's; [`MESSAGE`] and
/// [`PREFIXED`]; 0 for other names.
pub(crate) fn ids_of(name: &[u8]) -> u32 {
    let known = Known::TEXTS
        .iter()
        .position(|known| known.as_bytes() == name);
    match known {
        Some(id) if id < 2 * Known::IDS => 1 << id,
        Some(id) if id == Known::Msg as usize => MESSAGE,
        None if suffix_of_translated(name).is_some() => PREFIXED,
        _ => 0,
    }
}

/// The translated name, in lower case, that a longer one ends in (N13).
pub(crate) fn suffix_of_translated(name: &[u8]) -> Option<&'static [u8]> {
    [&b"uid"[..], b"pid", b"arch", b"syscall"]
        .into_iter()
        .find(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
}

/// The bits of ids.
pub(crate) const ALL_IDS: u32 = (1 << (2 * Known::IDS)) - 1;
/// The bit of `msg` (N6, N7).
pub(crate) const MESSAGE: u32 = 1 << 29;
/// The bit of a name that may carry Laurel's prefix before a translated one (N13).
pub(crate) const PREFIXED: u32 = 1 << 30;
/// Some record has a translated id without its raw one (N14).
pub(crate) const MISSING_ID: u32 = 1 << 31;

/// Whether a translated id stands without its raw one (N14).
pub(crate) fn missing_ids(ids: u32) -> bool {
    ids & !(ids >> Known::IDS) & ((1 << Known::IDS) - 1) != 0
}

/// Ids that alerts tell: user and audit user.
const KEPT_IDS: u32 = {
    let translated = 1 << Known::UidName as u32 | 1 << Known::AuidName as u32;
    translated | translated << Known::IDS
};

/// Argument positions that have names of their own (`a0` ...).
const ARGUMENTS_MAX: usize = 65_536;

/// The fields that the loaded rules read, by view kind.
#[derive(Clone, Debug)]
pub struct Fields {
    kinds: [Kind; ViewKind::ALL.len()],
    pub(crate) symbols: Symbols,
    pub(crate) record: RecordFields,
    pub(crate) native: NativeFields,
}

/// What is read of views of one kind.
#[derive(Clone, Debug, Default)]
struct Kind {
    wanted: bool,
    names: Vec<Box<str>>,
    slots: HashMap<Box<str>, Slot>,
    keywords: Option<Slot>,
    /// Slots of the mapped fields; empty for record and native views.
    mapped: [Option<Slot>; Mapped::COUNT],
}

/// Fields of the five kinds of views that are made of many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mapped {
    Image,
    CommandLine,
    CurrentDirectory,
    ParentImage,
    ParentCommandLine,
    User,
    LogonId,
    ProcessId,
    ParentProcessId,
    ProcessGuid,
    ParentProcessGuid,
    Hashes,
    Sha256,
    TargetFilename,
    SourceFilename,
    Initiated,
    DestinationIp,
    DestinationPort,
    SourceIp,
    SourcePort,
    ProcessLabels,
    Host,
}

impl Mapped {
    pub(crate) const COUNT: usize = Self::Host as usize + 1;
}

/// What is read of record views.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordFields {
    /// By the symbol of a member's name.
    by_symbol: Vec<Option<Slot>>,
    /// `a0` ... of EXECVE and SYSCALL.
    pub(crate) arguments: Vec<Option<Slot>>,
    pub(crate) record_type: Option<Slot>,
    pub(crate) labels: Option<Slot>,
    pub(crate) host: Option<Slot>,
    /// Types of records that are views although nothing else of them is read; all are, if not told.
    pub(crate) lone_types: Option<Vec<Symbol>>,
    /// The classes to be built, one bit each; 0 means all, with every slot.
    classes: u8,
    /// By class and slot: what the rules read there.
    read_in: [Vec<bool>; RecordClass::COUNT],
    /// By class: what of `by_symbol` the rules read there.
    by_symbol_in: [Vec<Option<Slot>>; RecordClass::COUNT],
}

impl RecordFields {
    /// The slot of a member in records of any class.
    pub(crate) fn slot(&self, name: Symbol) -> Option<Slot> {
        self.by_symbol.get(name.index()).copied().flatten()
    }

    /// By the symbol of a member: its slot in records of this class, if some rule reads it there.
    #[inline]
    pub(crate) fn slots_in(&self, class: RecordClass) -> &[Option<Slot>] {
        if self.classes == 0 {
            &self.by_symbol
        } else {
            &self.by_symbol_in[class as usize]
        }
    }

    /// Whether views of this class are built.
    pub(crate) fn is_wanted(&self, class: RecordClass) -> bool {
        self.classes == 0 || self.classes & 1 << class as u8 != 0
    }

    /// Whether some rule reads this slot in records of this class.
    ///
    /// PERF: keywords are what this is for. Nearly every rule with keywords asks for one record type as well;
    /// without this every scalar of every record became a value (87 per recorded event instead of 19).
    #[inline]
    pub(crate) fn reads(&self, class: RecordClass, slot: Slot) -> bool {
        self.classes == 0
            || self.read_in[class as usize]
                .get(usize::from(slot.0))
                .is_some_and(|read| *read)
    }
}

/// What is read of native views: the wanted paths as a tree.
#[derive(Clone, Debug)]
pub(crate) struct NativeFields {
    /// The root is 0.
    pub(crate) steps: Vec<Step>,
    pub(crate) command_line: Option<Slot>,
    pub(crate) labels: Option<Slot>,
    pub(crate) host: Option<Slot>,
}

/// One step of wanted paths, below it the next ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) slot: Option<Slot>,
    pub(crate) next: Vec<(Symbol, u32)>,
    /// Names that are the whole rest of a dotted path: where such a member exists, the path is not
    /// followed by its parts.
    pub(crate) literals: Vec<(Symbol, Slot)>,
    /// PERF: by symbol, one more than the place in `next`, or [`Step::LITERAL`]; an object has some forty members, and
    /// few of them are asked for.
    table: Vec<u8>,
    /// Some name has no place in the table.
    is_beyond: bool,
}

/// What a step says of a member's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nobody asks for it.
    No,
    /// Paths go on at this step.
    Below(u32),
    /// It is one of [`Step::literals`].
    Literal,
}

impl Step {
    const LITERAL: u8 = u8::MAX;
    /// Symbols in a table.
    const TABLE_MAX: usize = 1 << 12;

    /// What is asked of a member of this name.
    pub(crate) fn asked(&self, name: Symbol) -> Asked {
        match self.table.get(name.index()) {
            Some(&Self::LITERAL) => Asked::Literal,
            Some(&place @ 1..) => Asked::Below(self.next[usize::from(place) - 1].1),
            _ if self.is_beyond => self.look_for(name),
            _ => Asked::No,
        }
    }

    fn look_for(&self, name: Symbol) -> Asked {
        if let Some(step) = self.below(name) {
            return Asked::Below(step);
        }
        let is_it = |(known, _): &(Symbol, Slot)| *known == name;
        if self.literals.iter().any(is_it) {
            Asked::Literal
        } else {
            Asked::No
        }
    }

    /// The step below, by member name.
    pub(crate) fn below(&self, name: Symbol) -> Option<u32> {
        self.next
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, step)| *step)
    }

    fn add_below(&mut self, name: Symbol, step: u32) {
        self.next.push((name, step));
        let place = u8::try_from(self.next.len());
        self.note(name, place.ok().filter(|place| *place < Self::LITERAL));
    }

    fn add_literal(&mut self, name: Symbol, slot: Slot) {
        self.literals.push((name, slot));
        self.note(name, Some(Self::LITERAL));
    }

    fn note(&mut self, name: Symbol, mark: Option<u8>) {
        let index = name.index();
        let (Some(mark), true) = (mark, index < Self::TABLE_MAX) else {
            self.is_beyond = true;
            return;
        };
        if self.table.len() <= index {
            self.table.resize(index + 1, 0);
        }
        self.table[index] = mark;
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            kinds: std::array::from_fn(|_| Kind::default()),
            symbols: Symbols::new(),
            record: RecordFields::default(),
            native: NativeFields {
                steps: vec![Step::default()],
                command_line: None,
                labels: None,
                host: None,
            },
        }
    }
}

impl Fields {
    /// The slot of `field` in views of this kind, made on first use; `None` if nothing ever feeds a
    /// field of that name there, so that the rule can be folded.
    ///
    /// Of records and native views any name may be wanted. They are also `None` once a kind has 65,535
    /// fields.
    pub fn want(&mut self, kind: ViewKind, field: &str) -> Option<Slot> {
        if let Some(slot) = self.kinds[kind as usize].slots.get(field) {
            return Some(*slot);
        }
        match kind {
            ViewKind::Record => self.want_member(field),
            ViewKind::Native => self.want_path(field),
            _ => {
                let mapped = known_fields::find(kind, field)?;
                let slot = self.add(kind, field)?;
                self.kinds[kind as usize].mapped[mapped as usize] = Some(slot);
                Some(slot)
            }
        }
    }

    /// The slot under which every leaf text of a view is put for keyword search.
    pub fn want_keywords(&mut self, kind: ViewKind) -> Slot {
        let next = self.kinds[kind as usize].names.len();
        if let Some(slot) = self.kinds[kind as usize].keywords {
            return slot;
        }
        // Kept free by `add`, so that it always fits.
        let slot = Slot(u16::try_from(next).unwrap_or(u16::MAX));
        let fields = &mut self.kinds[kind as usize];
        fields.names.push("keywords".into());
        fields.keywords = Some(slot);
        fields.wanted = true;
        slot
    }

    /// Has views of this kind built even if no field of them is read: for rules that test just that
    /// such a view exists, or what the asset inventory knows.
    pub fn want_view(&mut self, kind: ViewKind) {
        self.kinds[kind as usize].wanted = true;
    }

    /// Has only those record views built whose class was named here, with just these slots; all are, while
    /// none was. Their type is always there.
    pub fn want_class(&mut self, class: RecordClass, slots: impl IntoIterator<Item = Slot>) {
        self.record.classes |= 1 << class as u8;
        for slot in slots {
            let at = usize::from(slot.0);
            let read = &mut self.record.read_in[class as usize];
            read.resize(read.len().max(at + 1), false);
            read[at] = true;
            let name = self
                .symbols
                .find(self.name(ViewKind::Record, slot).as_bytes());
            if self.record.slot(name) == Some(slot) {
                put(
                    &mut self.record.by_symbol_in[class as usize],
                    name.index(),
                    slot,
                );
            }
        }
    }

    /// Whether nothing reads a scalar of this name in a record: one of auditd's usual names that neither
    /// rules nor normalisation nor alerts ask for. Other names may be more than they look like (N13).
    pub(crate) fn is_idle(&self, name: &[u8]) -> bool {
        let record = |slot| {
            let classes = [RecordClass::Syscall, RecordClass::Path, RecordClass::Other];
            classes.iter().any(|class| self.record.reads(*class, slot))
        };
        let ids = ids_of(name);
        let is_read = |symbol: Symbol| {
            self.record.slot(symbol).is_some()
                || self
                    .native
                    .steps
                    .iter()
                    .any(|step| step.below(symbol).is_some())
        };
        // Of ids a translated and a raw one are kept or left out together.
        let idle_id = ids & ALL_IDS != 0 && ids & KEPT_IDS == 0 && {
            let id = (ids | ids >> Known::IDS).trailing_zeros() as usize;
            [id, id + Known::IDS]
                .iter()
                .all(|name| !is_read(self.symbols.find(Known::TEXTS[*name].as_bytes())))
        };
        let idle = IDLE.iter().any(|idle| idle.as_bytes() == name)
            && self.symbols.find(name) == Symbol::OTHER;
        (idle || idle_id)
            && self.keywords(ViewKind::Native).is_none()
            && !self.keywords(ViewKind::Record).is_some_and(record)
    }

    /// Has those records of class `Other` that hold nothing but their type made into views only where their
    /// type is one of these (letters of either case); all are, before this is said.
    pub fn want_lone_types<'a>(&mut self, types: impl IntoIterator<Item = &'a Box<[u8]>>) {
        let names = types
            .into_iter()
            .map(|name| self.symbols.intern(&name.to_ascii_uppercase()));
        self.record.lone_types = Some(names.collect());
    }

    /// The field's name, as rules write it; empty for a slot that was never given.
    pub fn name(&self, kind: ViewKind, slot: Slot) -> &str {
        self.kinds[kind as usize]
            .names
            .get(usize::from(slot.0))
            .map_or("", |name| name)
    }

    /// How many slots views of this kind have.
    pub fn len(&self, kind: ViewKind) -> usize {
        self.kinds[kind as usize].names.len()
    }

    /// Whether views of this kind are built at all.
    pub(crate) fn is_wanted(&self, kind: ViewKind) -> bool {
        self.kinds[kind as usize].wanted
    }

    /// The slot of a mapped field.
    pub(crate) fn mapped(&self, kind: ViewKind, field: Mapped) -> Option<Slot> {
        self.kinds[kind as usize].mapped[field as usize]
    }

    /// The slot for keyword search.
    pub fn keywords(&self, kind: ViewKind) -> Option<Slot> {
        self.kinds[kind as usize].keywords
    }

    fn add(&mut self, kind: ViewKind, field: &str) -> Option<Slot> {
        let fields = &mut self.kinds[kind as usize];
        let slot = u16::try_from(fields.names.len())
            .ok()
            .filter(|slot| *slot < u16::MAX)
            .map(Slot)?;
        fields.names.push(field.into());
        fields.slots.insert(field.into(), slot);
        fields.wanted = true;
        Some(slot)
    }

    fn want_member(&mut self, field: &str) -> Option<Slot> {
        let symbol = self.intern(field)?;
        let slot = self.add(ViewKind::Record, field)?;
        let record = &mut self.record;
        match field {
            "type" => {
                record.record_type = Some(slot);
                return Some(slot);
            }
            "process.labels" => record.labels = Some(slot),
            "host" => record.host = Some(slot),
            _ => {}
        }
        if let Some(position) = argument_position(field) {
            put(&mut record.arguments, position, slot);
        }
        put(&mut record.by_symbol, symbol.index(), slot);
        Some(slot)
    }

    fn want_path(&mut self, field: &str) -> Option<Slot> {
        if field.split('.').any(str::is_empty) {
            return None;
        }
        // Every part and every rest gets its symbol first, so that a full table leaves no half path.
        let mut rest = Some(field);
        while let Some(path) = rest {
            self.intern(path)?;
            let split = path.split_once('.');
            if let Some((part, _)) = split {
                self.intern(part)?;
            }
            rest = split.map(|(_, rest)| rest);
        }
        let slot = self.add(ViewKind::Native, field)?;
        match field {
            "EXECVE.cmdline" => self.native.command_line = Some(slot),
            "process.labels" => self.native.labels = Some(slot),
            "host" => self.native.host = Some(slot),
            _ => self.add_path(field, slot),
        }
        Some(slot)
    }

    fn add_path(&mut self, field: &str, slot: Slot) {
        let (mut at, mut path) = (0, field);
        while let Some((part, rest)) = path.split_once('.') {
            let literal = self.symbols.intern(path.as_bytes());
            self.native.steps[at].add_literal(literal, slot);
            at = self.step_below(at, part);
            path = rest;
        }
        at = self.step_below(at, path);
        self.native.steps[at].slot = Some(slot);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "65,535 paths of bounded rules have fewer steps"
    )]
    fn step_below(&mut self, at: usize, part: &str) -> usize {
        let name = self.symbols.intern(part.as_bytes());
        if let Some(step) = self.native.steps[at].below(name) {
            return step as usize;
        }
        let step = self.native.steps.len();
        self.native.steps.push(Step::default());
        self.native.steps[at].add_below(name, step as u32);
        step
    }

    fn intern(&mut self, name: &str) -> Option<Symbol> {
        let symbol = self.symbols.intern(name.as_bytes());
        (symbol != Symbol::OTHER).then_some(symbol)
    }
}

fn put(slots: &mut Vec<Option<Slot>>, index: usize, slot: Slot) {
    if slots.len() <= index {
        slots.resize(index + 1, None);
    }
    slots[index] = Some(slot);
}

/// The position that `a0`, `a1` ... name.
fn argument_position(field: &str) -> Option<usize> {
    let digits = field.strip_prefix('a')?;
    let plain = digits == "0"
        || !digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit());
    let position = digits.parse().ok()?;
    (plain && position < ARGUMENTS_MAX).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::{Fields, Slot, argument_position};
    use crate::ViewKind;

    #[test]
    fn a_field_keeps_its_slot_and_its_name() {
        let mut fields = Fields::default();
        for kind in ViewKind::ALL {
            let image = fields.want(kind, "Image");
            assert_eq!(image, Some(Slot(0)), "{kind:?}");
            let keywords = fields.want_keywords(kind);
            assert_eq!((keywords, fields.want_keywords(kind)), (Slot(1), Slot(1)));
            assert_eq!(fields.want(kind, "User"), Some(Slot(2)));
            assert_eq!(fields.want(kind, "Image"), image);
            assert_eq!((fields.len(kind), fields.name(kind, Slot(2))), (3, "User"));
        }
    }

    #[test]
    fn a_field_that_nothing_feeds_has_no_slot() {
        let mut fields = Fields::default();
        for (kind, field) in [
            (ViewKind::ProcessCreation, "OriginalFileName"),
            (ViewKind::ProcessCreation, "TargetFilename"),
            (ViewKind::ProcessCreation, "image"),
            (ViewKind::NetworkConnection, "DestinationHostname"),
            (ViewKind::NetworkConnection, "CommandLine"),
            (ViewKind::FileEvent, "SourceFilename"),
            (ViewKind::FileEvent, "ParentImage"),
            (ViewKind::Native, ""),
            (ViewKind::Native, "PATH..name"),
        ] {
            assert_eq!(fields.want(kind, field), None, "{kind:?} {field}");
            assert_eq!(fields.len(kind), 0);
        }
        assert!(
            fields
                .want(ViewKind::FileRename, "SourceFilename")
                .is_some()
        );
        assert!(fields.want(ViewKind::Record, "whatever").is_some());
        assert!(
            fields
                .want(ViewKind::Native, "UNKNOWN[1340].what.ever")
                .is_some()
        );
    }

    #[test]
    fn argument_names_are_plain_numbers() {
        assert_eq!(
            ["a0", "a7", "a65535"].map(argument_position),
            [Some(0), Some(7), Some(65_535)]
        );
        assert_eq!(
            ["a", "a00", "a65536", "a-1", "auid", "A0", "a+1"].map(argument_position),
            [None; 7]
        );
    }
}
