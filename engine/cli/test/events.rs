//! The lines of a case, from its fixture or from a file.

use std::path::Path;

use detect::{Line, Source};
use event::{Fault, Origin};
use sigma::{Case, Events, Fixture};

use super::Mistake;
use crate::input::{Lines, Next};

/// How the lines of a case were read.
pub(super) enum Read {
    /// So many, all of them events.
    Lines(u64),
    /// The first that is none.
    Fault(u64, Fault),
}

/// Hands every line that is not blank to `run`, until one is no event.
pub(super) fn each_line(
    case: &Case,
    fixture: &Path,
    limit: usize,
    mut run: impl FnMut(&Line<'_>) -> Result<(), Fault>,
) -> Result<Read, Mistake> {
    let (mut number, mut events) = (0, 0);
    let mut take = |bytes: &[u8], len: u64, file: &str| {
        number += 1;
        if len > limit as u64 {
            return Some(Read::Fault(number, Fault::Oversize));
        }
        if bytes.trim_ascii().is_empty() {
            return None;
        }
        events += 1;
        let line = Line {
            bytes,
            origin: Origin {
                host: case.host.as_deref().map(str::as_bytes),
                scope: Some(b"test"),
            },
            source: Source::File { file, line: number },
        };
        let fault = run(&line).err()?;
        Some(Read::Fault(number, fault))
    };
    match &case.events {
        Events::Lines(lines) => {
            let file = fixture.to_string_lossy();
            for line in lines.text.split('\n') {
                if let Some(fault) = take(line.as_bytes(), line.len() as u64, &file) {
                    return Ok(fault);
                }
            }
        }
        Events::File(named) => {
            let unreadable = |error: std::io::Error| -> Mistake {
                Fixture::unreadable(named, &error.to_string()).into()
            };
            let path = fixture.with_file_name(&*named.text);
            let file = path.to_string_lossy();
            let mut lines = Lines::open(&path, limit).map_err(unreadable)?;
            loop {
                let (bytes, len) = match lines.next().map_err(unreadable)? {
                    Next::Line(bytes) => (bytes, bytes.len() as u64),
                    Next::Oversize(start, len) => (start, len),
                    Next::Drained => continue,
                    Next::End => break,
                };
                if let Some(fault) = take(bytes, len, &file) {
                    return Ok(fault);
                }
            }
        }
    }
    Ok(Read::Lines(events))
}
