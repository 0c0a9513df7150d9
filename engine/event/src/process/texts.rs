//! The texts of the cache's entries, in chunks: a new process costs no allocation of its own.
//!
//! Texts are appended; as entries go oldest first, whole chunks come free and are used again: a cache that is full takes
//! no more memory.

use std::collections::VecDeque;

/// Spare chunks that stay.
const SPARE_MAX: usize = 4;

/// Where a text lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    chunk: u64,
    from: u32,
    len: u32,
}

#[derive(Debug)]
pub(super) struct Texts {
    chunks: VecDeque<Chunk>,
    /// Number of the first chunk.
    first: u64,
    /// Memory of chunks that came free.
    spare: Vec<Vec<u8>>,
    chunk_bytes: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    /// Never grows beyond what it was made for.
    bytes: Vec<u8>,
    /// Texts in it that are still used.
    used: u32,
}

impl Texts {
    /// No texts, in chunks of so many bytes; a longer text has a chunk of its own.
    pub(super) fn new(chunk_bytes: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            first: 0,
            spare: Vec::new(),
            chunk_bytes,
            bytes: 0,
        }
    }

    /// Bytes of a usual chunk.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Memory of all chunks in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The most that one more text can add to [`Texts::bytes`].
    pub(super) fn cost(&self, len: usize) -> usize {
        self.chunk_bytes.max(len)
    }

    /// Keeps two pieces as one text.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "texts are pieces of a line, which is shorter than 2 GiB; so are chunks"
    )]
    pub(super) fn put(&mut self, pieces: [&[u8]; 2]) -> Text {
        let len = pieces[0].len() + pieces[1].len();
        let fits = |chunk: &Chunk| chunk.bytes.capacity() - chunk.bytes.len() >= len;
        if !self.chunks.back().is_some_and(fits) {
            self.add_chunk(len);
        }
        let number = self.first + self.chunks.len() as u64 - 1;
        let chunk = self.chunks.back_mut().expect("one was added if need be");
        let from = chunk.bytes.len() as u32;
        for piece in pieces {
            chunk.bytes.extend_from_slice(piece);
        }
        chunk.used += 1;
        Text {
            chunk: number,
            from,
            len: len as u32,
        }
    }

    pub(super) fn get(&self, text: Text) -> &[u8] {
        let from = text.from as usize;
        &self.chunk(text).bytes[from..from + text.len as usize]
    }

    /// A text is no longer used.
    pub(super) fn remove(&mut self, text: Text) {
        let last = self.first + self.chunks.len() as u64 - 1;
        let chunk = &mut self.chunks[index(self.first, text)];
        chunk.used -= 1;
        if chunk.used > 0 {
            return;
        }
        if text.chunk == last {
            chunk.bytes.clear();
            if chunk.bytes.capacity() > self.chunk_bytes {
                self.bytes -= std::mem::take(&mut chunk.bytes).capacity();
            }
            return;
        }
        let mut bytes = std::mem::take(&mut chunk.bytes);
        if bytes.capacity() == self.chunk_bytes {
            bytes.clear();
            self.spare.push(bytes);
        } else {
            self.bytes -= bytes.capacity();
        }
        while self.chunks.len() > 1 && self.chunks[0].used == 0 {
            self.chunks.pop_front();
            self.first += 1;
        }
    }

    /// Gives one spare chunk back and keeps some, for times of longer texts; whether there was one to give.
    pub(super) fn shrink(&mut self) -> bool {
        if self.spare.len() <= SPARE_MAX {
            return false;
        }
        let given = self.spare.pop().map_or(0, |bytes| bytes.capacity());
        self.bytes -= given;
        true
    }

    /// Memory that the next usual chunk takes: none if a spare one lies there.
    pub(super) fn next_chunk(&self) -> usize {
        if self.spare.is_empty() {
            self.chunk_bytes
        } else {
            0
        }
    }

    fn add_chunk(&mut self, len: usize) {
        let fits = |bytes: &Vec<u8>| bytes.capacity() >= len;
        let bytes = if self.spare.last().is_some_and(fits) {
            self.spare.pop().unwrap_or_default()
        } else {
            let bytes = Vec::with_capacity(self.cost(len));
            self.bytes += bytes.capacity();
            bytes
        };
        // The last one so far is closed, and may have come free before.
        if let Some(last) = self.chunks.back_mut()
            && last.used == 0
        {
            self.bytes -= std::mem::take(&mut last.bytes).capacity();
        }
        self.chunks.push_back(Chunk { bytes, used: 0 });
        while self.chunks.len() > 1 && self.chunks[0].used == 0 {
            self.chunks.pop_front();
            self.first += 1;
        }
    }

    fn chunk(&self, text: Text) -> &Chunk {
        &self.chunks[index(self.first, text)]
    }
}

/// Index of a text's chunk. Numbers count up from the first; there are never more chunks than memory holds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "an index into what lies in memory"
)]
fn index(first: u64, text: Text) -> usize {
    (text.chunk - first) as usize
}

#[cfg(test)]
mod tests {
    use super::{SPARE_MAX, Text, Texts};

    #[test]
    fn texts_stay_what_they_are_and_memory_comes_back() {
        let mut texts = Texts::new(64);
        let mut kept: Vec<(Text, Vec<u8>)> = vec![];
        for round in 0_usize..1_000 {
            let len = round * 7 % 50 + if round % 97 == 0 { 100 } else { 0 };
            let long = vec![u8::try_from(round % 251).unwrap(); len];
            kept.push((texts.put([b"ab", &long]), [b"ab", &long[..]].concat()));
            // Mostly the oldest go, now and then one from the middle.
            while kept.len() > 20 {
                let index = if round % 5 == 0 { 7 } else { 0 };
                texts.remove(kept.remove(index).0);
            }
            for (text, expected) in &kept {
                assert_eq!(texts.get(*text), expected);
            }
            assert!(texts.bytes() < 6_000, "{} bytes", texts.bytes());
        }
        for (text, _) in kept {
            texts.remove(text);
        }
        while texts.shrink() {}
        assert!(
            texts.bytes() <= 64 * (SPARE_MAX + 1),
            "{} bytes",
            texts.bytes()
        );
    }
}
