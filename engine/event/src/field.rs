//! Field names to slots: which fields of which view the loaded rules read.
//!
//! Filled once while a plan is compiled, then shared and immutable; the decoder extracts nothing that
//! has no slot here.

use crate::ViewKind;

/// Number of a field within its view kind, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

/// The fields that the loaded rules read, by view kind.
#[derive(Clone, Debug, Default)]
pub struct Fields {}

impl Fields {
    /// The slot of `field` in views of this kind, made on first use; `None` if nothing ever feeds a
    /// field of that name there, so that the rule can be folded.
    pub fn want(&mut self, _kind: ViewKind, _field: &str) -> Option<Slot> {
        None
    }

    /// The slot under which every leaf text of a view is put for keyword search.
    pub fn want_keywords(&mut self, _kind: ViewKind) -> Slot {
        Slot(0)
    }

    /// The field's name, as rules write it.
    pub fn name(&self, _kind: ViewKind, _slot: Slot) -> &str {
        ""
    }

    /// How many slots views of this kind have.
    pub fn len(&self, _kind: ViewKind) -> usize {
        0
    }
}
