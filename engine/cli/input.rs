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
}

/// What the next line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It lies in the buffer, without its line break.
    Line,
    /// It was longer than the limit: so many bytes, of which the buffer holds the first.
    Oversize(u64),
    /// There is none.
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
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
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
        })
    }

    /// Bytes taken from the file so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Reads the next line into the buffer.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Next> {
        line.clear();
        let mut bytes = 0_u64;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Ok(match bytes {
                    0 => Next::End,
                    bytes if bytes > self.limit as u64 => Next::Oversize(bytes),
                    _ => Next::Line,
                });
            }
            let end = memchr::memchr(b'\n', available);
            let piece = &available[..end.unwrap_or(available.len())];
            bytes += piece.len() as u64;
            let room = self.limit.saturating_sub(line.len()).min(piece.len());
            line.extend_from_slice(&piece[..room]);
            let used = piece.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(if bytes > self.limit as u64 {
                    Next::Oversize(bytes)
                } else {
                    Next::Line
                });
            }
        }
    }
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
