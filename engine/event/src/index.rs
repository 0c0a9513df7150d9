//! Gives every node of a tape its symbol, and retires members whose name stands again later in the
//! same object (N1: the last one wins).

use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::symbol::{Name, Symbol, Symbols};
use crate::{Kind, Span, Tape};

/// Members of an object up to which its names are compared pairwise where their hashes collide; wider
/// objects use a table, so that no line can make this quadratic.
const NARROW: usize = 64;

/// Scratch memory of [`Index::run`].
#[derive(Debug, Default)]
pub(crate) struct Index {
    open: Vec<Object>,
    /// Hashes of the names of all members so far of the open objects, outermost first.
    hashes: Vec<u64>,
    /// Members of all wide objects of the line.
    wide: HashTable<Member>,
}

/// An object whose members are being read.
#[derive(Debug)]
struct Object {
    node: u32,
    end: u32,
    /// Where its hashes begin.
    first: usize,
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
    /// Writes the symbol of each node; true if any name stood twice in its object.
    #[expect(clippy::cast_possible_truncation, reason = "nodes are numbered by u32")]
    pub(crate) fn run(&mut self, text: &[u8], tape: &mut Tape, symbols: &Symbols) -> bool {
        self.open.clear();
        self.hashes.clear();
        self.wide.clear();
        let mut duplicates = false;
        for index in 0..tape.nodes.len() as u32 {
            let node = tape.node(index);
            let mut symbol = Symbol::ELEMENT;
            if node.key != Span::NONE {
                let name = node.key.of(text);
                let words = Name::of(name);
                let hash = words.hash();
                symbol = symbols.find_words(words, hash, name);
                if self.may_be_known(index, hash)
                    && let Some(earlier) = self.earlier(text, tape, index, hash)
                {
                    tape.nodes[earlier as usize].symbol = Symbol::DEAD;
                    duplicates = true;
                }
            }
            tape.nodes[index as usize].symbol = symbol;
            if node.kind == Kind::Object {
                let first = self.hashes.len();
                self.open.push(Object {
                    node: index,
                    end: node.next,
                    first,
                    seen: [0; 8],
                });
            }
        }
        duplicates
    }

    /// Notes a member's hash; false if no member before it in its object can have the same name.
    #[inline]
    fn may_be_known(&mut self, index: u32, hash: u64) -> bool {
        while let Some(object) = self.open.last()
            && object.end <= index
        {
            self.hashes.truncate(object.first);
            self.open.pop();
        }
        let Some(object) = self.open.last_mut() else {
            return false;
        };
        self.hashes.push(hash);
        let bit = hash >> 20;
        let word = &mut object.seen[(bit >> 6 & 7) as usize];
        let seen = *word & 1 << (bit & 63) != 0;
        *word |= 1 << (bit & 63);
        seen || self.hashes.len() - object.first > NARROW
    }

    /// The member before `index` that has the same name in the same object and still counts.
    #[cold]
    fn earlier(&mut self, text: &[u8], tape: &Tape, index: u32, hash: u64) -> Option<u32> {
        let object = self.open.last()?;
        let (node, members) = (object.node, self.hashes.len() - object.first);
        if members > NARROW {
            return self.earlier_in_wide(text, tape, node, members, index);
        }
        let (_, before) = self.hashes[object.first..].split_last()?;
        if !before.contains(&hash) {
            return None;
        }
        let name = tape.key(text, index);
        tape.children(node)
            .take_while(|&member| member < index)
            .find(|&member| {
                tape.node(member).symbol != Symbol::DEAD && tape.key(text, member) == name
            })
    }

    fn earlier_in_wide(
        &mut self,
        text: &[u8],
        tape: &Tape,
        object: u32,
        members: usize,
        index: u32,
    ) -> Option<u32> {
        if members == NARROW + 1 {
            for member in tape.children(object).take_while(|&member| member < index) {
                if tape.node(member).symbol != Symbol::DEAD {
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
        let any = Index::default().run(text.as_bytes(), &mut tape, &Symbols::new());
        let dead: Vec<_> = (0..tape.nodes.len())
            .filter(|&node| tape.nodes[node].symbol == Symbol::DEAD)
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
