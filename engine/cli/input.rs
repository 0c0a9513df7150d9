//! Lines of a file or of stdin: plain, gzip or zstd by content, in bounded memory.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

const BUFFER: usize = 1 << 18;

/// A source of lines.
pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    /// Bytes taken from the file, before unpacking.
    taken: Rc<Cell<u64>>,
    limit: usize,
    /// Bytes in the reader's buffer, and how many of them the last line took.
    left: usize,
    used: usize,
    /// A line that comes in pieces: its first bytes, how many it has, and whether it was given out.
    line: Vec<u8>,
    bytes: u64,
    given: bool,
    /// It was said that the buffer is read to its end.
    drained: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A line, without its line break.
    Line(&'a [u8]),
    /// One that is longer than the limit: its first bytes, and how many it has.
    Oversize(&'a [u8], u64),
    /// All that was read is given out: the next call reads on, and may wait.
    Drained,
    /// Nothing.
    End,
}

impl Lines {
    /// Opens a file, or stdin for `-`. Lines above `limit` bytes are not kept whole.
    pub(crate) fn open(path: &Path, limit: usize) -> io::Result<Self> {
        let taken = Rc::new(Cell::new(0));
        let raw: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path)?)
        };
        let counted = Counted {
            inner: raw,
            taken: Rc::clone(&taken),
        };
        let mut counted = counted;
        let start = first_bytes(&mut counted)?;
        let reader =
            BufReader::with_capacity(BUFFER, io::Cursor::new(start.clone()).chain(counted));
        // Both are announced by their first bytes, whatever the file is called.
        let reader: Box<dyn BufRead> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::with_capacity(
                BUFFER,
                MultiGzDecoder::new(reader),
            ))
        } else if is_zstd(&start) {
            Box::new(BufReader::with_capacity(
                BUFFER,
                zstd::stream::Decoder::with_buffer(reader)?,
            ))
        } else {
            Box::new(reader)
        };
        Ok(Self {
            reader,
            taken,
            limit,
            left: 0,
            used: 0,
            line: Vec::new(),
            bytes: 0,
            given: false,
            drained: false,
        })
    }

    /// Bytes taken from the file so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// The next line. One that lies whole in the reader's buffer is not copied.
    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        self.consume(self.used);
        self.used = 0;
        if std::mem::take(&mut self.given) {
            self.line.clear();
            self.bytes = 0;
        }
        loop {
            if self.left == 0 && !self.drained {
                self.drained = true;
                return Ok(Next::Drained);
            }
            self.drained = false;
            let available = self.reader.fill_buf()?;
            self.left = available.len();
            let end = memchr::memchr(b'\n', available);
            let piece = end.unwrap_or(self.left);
            if end.is_some() && self.bytes == 0 && piece <= self.limit {
                self.used = piece + 1;
                return Ok(Next::Line(&self.reader.fill_buf()?[..piece]));
            }
            self.bytes += piece as u64;
            let room = self.limit.saturating_sub(self.line.len()).min(piece);
            self.line.extend_from_slice(&available[..room]);
            let is_end = end.is_some() || available.is_empty();
            self.consume(piece + usize::from(end.is_some()));
            if is_end {
                self.given = true;
                return Ok(match self.bytes {
                    0 if end.is_none() => Next::End,
                    bytes if bytes > self.limit as u64 => Next::Oversize(&self.line, bytes),
                    _ => Next::Line(&self.line),
                });
            }
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.left -= bytes;
    }
}

/// A frame, or one to be skipped, with which pzstd begins.
fn is_zstd(start: &[u8]) -> bool {
    start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The first four bytes, or fewer if there are no more. A pipe may give them one by one.
fn first_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(4);
    reader.take(4).read_to_end(&mut start)?;
    Ok(start)
}

struct Counted {
    inner: Box<dyn Read>,
    taken: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.taken.set(self.taken.get() + read as u64);
        Ok(read)
    }
}
