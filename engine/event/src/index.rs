//! Gives every node of a tape its symbol, and retires members whose name stands again later in the
//! same object (N1: the last one wins).

use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::symbol::{Symbol, Symbols, hash};
use crate::{Kind, Span, Tape};

/// Members of an object up to which its names are compared pairwise where their hashes collide; wider
/// objects use a table, so that no line can make this quadratic.
const NARROW: u32 = 64;

/// Scratch memory of [`Index::run`].
#[derive(Debug, Default)]
pub(crate) struct Index {
    open: Vec<Object>,
    /// Members of all wide objects of the line.
    wide: HashTable<Member>,
}

/// An object whose members are being read.
#[derive(Debug)]
struct Object {
    node: u32,
    end: u32,
    members: u32,
    /// Which of 512 hash values its members' names have had.
    seen: [u64; 8],
}

#[derive(Clone, Copy, Debug)]
struct Member {
    hash: u64,
    object: u32,
    node: u32,
}

impl Index {
    /// Writes `found`, one symbol per node of the tape; true if any name stood twice in its object.
    #[expect(clippy::cast_possible_truncation, reason = "nodes are numbered by u32")]
    pub(crate) fn run(
        &mut self,
        text: &[u8],
        tape: &mut Tape,
        symbols: &Symbols,
        found: &mut Vec<Symbol>,
    ) -> bool {
        found.clear();
        found.reserve(tape.nodes.len());
        self.open.clear();
        self.wide.clear();
        let mut duplicates = false;
        for index in 0..tape.nodes.len() as u32 {
            let node = tape.nodes[index as usize];
            let mut symbol = Symbol::ELEMENT;
            if node.key != Span::NONE {
                let name = node.key.of(text);
                let hash = hash(name);
                symbol = symbols.find(hash, name);
                if let Some(earlier) = self.earlier(text, tape, found, index, hash) {
                    found[earlier as usize] = Symbol::DEAD;
                    duplicates = true;
                }
            }
            found.push(symbol);
            if node.kind == Kind::Object {
                self.open.push(Object {
                    node: index,
                    end: node.next,
                    members: 0,
                    seen: [0; 8],
                });
            }
        }
        duplicates
    }

    /// The member before `index` that has the same name in the same object and still counts.
    fn earlier(
        &mut self,
        text: &[u8],
        tape: &Tape,
        found: &[Symbol],
        index: u32,
        hash: u64,
    ) -> Option<u32> {
        while self.open.last().is_some_and(|object| object.end <= index) {
            self.open.pop();
        }
        let object = self.open.last_mut()?;
        object.members += 1;
        if object.members > NARROW {
            let (node, members) = (object.node, object.members);
            return self.earlier_in_wide(text, tape, found, node, members, index);
        }
        let bit = hash >> 20;
        let word = &mut object.seen[(bit >> 6 & 7) as usize];
        let seen = *word & 1 << (bit & 63) != 0;
        *word |= 1 << (bit & 63);
        if !seen {
            return None;
        }
        let name = tape.key(text, index);
        tape.children(object.node)
            .take_while(|&member| member < index)
            .find(|&member| {
                found[member as usize] != Symbol::DEAD && tape.key(text, member) == name
            })
    }

    fn earlier_in_wide(
        &mut self,
        text: &[u8],
        tape: &Tape,
        found: &[Symbol],
        object: u32,
        members: u32,
        index: u32,
    ) -> Option<u32> {
        if members == NARROW + 1 {
            for member in tape.children(object).take_while(|&member| member < index) {
                if found[member as usize] != Symbol::DEAD {
                    self.put(text, tape, object, member);
                }
            }
        }
        self.put(text, tape, object, index)
    }

    /// Puts a member into the table; gives the one of the same name that it replaces.
    fn put(&mut self, text: &[u8], tape: &Tape, object: u32, node: u32) -> Option<u32> {
        let name = tape.key(text, node);
        let hash = FixedState::with_seed(object.into()).hash_one(name);
        let member = Member { hash, object, node };
        let same = |other: &Member| other.object == object && tape.key(text, other.node) == name;
        if let Some(entry) = self.wide.find_mut(hash, same) {
            return Some(std::mem::replace(entry, member).node);
        }
        self.wide.insert_unique(hash, member, |other| other.hash);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Index;
    use crate::symbol::{Symbol, Symbols};
    use crate::{Profile, Tape, fallback};

    fn dead(text: &str) -> Vec<String> {
        let mut tape = Tape::default();
        fallback::fill(text.as_bytes(), &mut tape, &Profile::laurel().limits).unwrap();
        let mut found = vec![];
        let any = Index::default().run(text.as_bytes(), &mut tape, &Symbols::new(), &mut found);
        let dead: Vec<_> = (0..tape.nodes.len())
            .filter(|&node| found[node] == Symbol::DEAD)
            .map(|node| {
                let value = tape.nodes[node].value;
                String::from_utf8_lossy(value.of(text.as_bytes())).into_owned()
            })
            .collect();
        assert_eq!(any, !dead.is_empty());
        dead
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        assert_eq!(dead(r#"{"a":1,"b":2,"a":3,"a":4}"#), ["1", "3"]);
        assert_eq!(dead(r#"{"a":{"x":1,"x":2},"b":{"x":3}}"#), ["1"]);
        assert_eq!(
            dead(r#"{"a":[{"x":1},{"x":2}],"x":{"a":3},"":1,"A":5}"#),
            Vec::<String>::new()
        );
        assert_eq!(dead(r#"{"":1,"":2}"#), ["1"]);
    }

    #[test]
    fn wide_objects_are_read_in_linear_time() {
        let members: Vec<_> = (0..100_000).map(|i| format!(r#""m{i}":{i}"#)).collect();
        let text = format!(
            r#"{{{},"m3":"again","m90":"again","m3":"last"}}"#,
            members.join(",")
        );
        assert_eq!(dead(&text), ["3", "90", "again"]);
        let text = format!(r#"{{"m1":"first",{}}}"#, members.join(","));
        assert_eq!(dead(&text), ["first"]);
    }
}
