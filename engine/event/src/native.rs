//! The native view (`service: laurel`): the normalised event under its own paths.

use crate::field::Asked;
use crate::fill::{Filler, Place};
use crate::normal::{NONE, Record};
use crate::symbol::{Known, Symbol};
use crate::{Kind, RecordClass, Tape, ValueKind, ViewKind};

const KEY: Symbol = Known::Key.symbol();
const NAME: Symbol = Known::Name.symbol();

impl Filler<'_> {
    /// The event as one view.
    pub(crate) fn native_view(&mut self) {
        let from = self.begin();
        let mut next = 0;
        let mut members = self.normal.children(Tape::ROOT);
        while let Some(member) = members.next(self.normal) {
            let first = next;
            while self
                .normal
                .records
                .get(next)
                .is_some_and(|record| record.member == member)
            {
                self.native_record(self.normal.records[next], next);
                next += 1;
            }
            if first == next && self.is_of_event(member) {
                self.native_member(member);
            }
        }
        self.native_virtuals();
        self.end(ViewKind::Native, RecordClass::Other, Tape::ROOT, from);
    }

    /// Whether a root member that holds no record belongs to the event: a shipper's own members may
    /// stand beside it.
    fn is_of_event(&self, member: u32) -> bool {
        let normal = &*self.normal;
        let own = [
            normal.id_node,
            normal.node_node,
            normal.container_info,
            normal.parent_info,
        ];
        let is_empty_record = || {
            let key = normal.node(member).key;
            normal.kind(member) == Kind::Array
                && normal.children(member).next(normal).is_none()
                && crate::normalise::is_record_name(normal.bytes(self.text, key))
        };
        own.contains(&member) || is_empty_record()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "records are limited far below"
    )]
    fn native_record(&mut self, record: Record, index: usize) {
        let place = Place {
            node: record.node,
            element: index as u32 + 1,
        };
        if let Some(step) = self.fields.native.steps[0].below(record.name) {
            self.visit_record(step, record, place);
        }
        if let Some(slot) = self.fields.keywords(ViewKind::Native) {
            self.put_record_leaves(slot, place);
        }
    }

    fn visit_record(&mut self, step: u32, record: Record, place: Place) {
        let fields = self.fields;
        let step = &fields.native.steps[step as usize];
        if let Some(slot) = step.slot {
            self.put_node(slot, place);
        }
        let from = self.begin();
        let mut has_literal = false;
        let mut members = self.normal.children(record.node);
        while let Some(member) = members.next(self.normal) {
            let name = self.normal.symbol(member);
            let below = match step.asked(name) {
                Asked::No => continue,
                Asked::Below(below) => below,
                Asked::Literal => {
                    has_literal = true;
                    continue;
                }
            };
            let place = Place {
                node: member,
                ..place
            };
            match fields.native.steps[below as usize].slot {
                Some(slot) if name == KEY => self.put_keys(slot, place),
                Some(slot) if name == NAME && record.class == RecordClass::Path => {
                    self.put_node(slot, place);
                    self.put_absolute(slot, record.node, place.element);
                }
                _ => self.visit(below, place),
            }
        }
        if has_literal {
            self.literals(step, record.node, place.element, from);
        }
    }

    fn native_member(&mut self, member: u32) {
        let place = Place::at(member);
        if let Some(step) = self.fields.native.steps[0].below(self.normal.symbol(member)) {
            self.visit(step, place);
        }
        if let Some(slot) = self.fields.keywords(ViewKind::Native) {
            self.put_leaves(slot, place);
        }
    }

    /// Adds what the paths from this step on find at a node; arrays are looked through.
    fn visit(&mut self, index: u32, place: Place) {
        let fields = self.fields;
        let step = &fields.native.steps[index as usize];
        if let Some(slot) = step.slot {
            self.put_node(slot, place);
        }
        if !step.next.is_empty() || !step.literals.is_empty() {
            self.visit_below(index, place);
        }
    }

    fn visit_below(&mut self, index: u32, place: Place) {
        let fields = self.fields;
        let step = &fields.native.steps[index as usize];
        let from = self.begin();
        let mut children = self.normal.children(place.node);
        match self.normal.kind(place.node) {
            Kind::Object => {
                let mut has_literal = false;
                while let Some(node) = children.next(self.normal) {
                    match step.asked(self.normal.symbol(node)) {
                        Asked::No => {}
                        Asked::Below(below) => self.visit(below, Place { node, ..place }),
                        Asked::Literal => has_literal = true,
                    }
                }
                if has_literal {
                    self.literals(step, place.node, place.element, from);
                }
            }
            Kind::Array => {
                while let Some(node) = children.next(self.normal) {
                    self.visit_below(index, Place { node, ..place });
                }
            }
            _ => {}
        }
    }

    /// Where an object has a member whose name is the whole rest of a path, that member alone counts,
    /// not what the path's parts found below the object.
    fn literals(&mut self, step: &crate::field::Step, object: u32, element: u32, from: usize) {
        for (name, slot) in &step.literals {
            let mut members = self.normal.children(object);
            while let Some(node) = members.next(self.normal) {
                if self.normal.symbol(node) == *name {
                    let mut at = 0;
                    self.out.values.retain(|value| {
                        at += 1;
                        at <= from || value.slot != *slot
                    });
                    self.put_node(*slot, Place { node, element });
                }
            }
        }
    }

    /// What stands under no path of the line: command line, host, labels.
    fn native_virtuals(&mut self) {
        let element_of = |node: u32, filler: &Self| {
            let index = filler
                .normal
                .records
                .iter()
                .position(|record| record.node == node);
            index.map_or(0, |index| u32::try_from(index + 1).unwrap_or(u32::MAX))
        };
        if let Some(line) = self.normal.command_line {
            let place = Place {
                node: line.node,
                element: element_of(self.normal.execve, self),
            };
            let slots = [
                self.fields.native.command_line,
                self.fields.keywords(ViewKind::Native),
            ];
            for slot in slots.into_iter().flatten() {
                self.put(slot, ValueKind::Text, line.text, place);
            }
        }
        if let Some(slot) = self.fields.native.labels
            && self.normal.syscall != NONE
        {
            let element = element_of(self.normal.syscall, self);
            self.put_labels(slot, element);
        }
        if let Some(slot) = self.fields.native.host {
            self.put_host(slot);
        }
    }
}
