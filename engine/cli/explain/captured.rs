//! The lines of a file or of stdin up to the one that is explained, kept in memory.

use std::path::Path;

use anyhow::{Context as _, Result};
use detect::{Detector, ExplainedView, Explainer, Line, Source};
use event::{Origin, ProcessCache};

use crate::args::Explain;
use crate::input::{Lines, Next};
use crate::{Failure, new};

/// Most bytes of lines that are kept.
const BYTES_MAX: usize = 1 << 28;

/// See the file's head.
pub(super) struct Captured {
    name: String,
    host: Option<String>,
    lines: Vec<Vec<u8>>,
    /// Index of the line that is explained.
    at: usize,
}

impl Captured {
    /// The lines up to that of the number given; without one all of them, and the first that is not blank is explained.
    pub(super) fn read(event: &Path, explain: &Explain, limit: usize) -> Result<Self> {
        let (path, number) = new::position(event);
        let name = path.display().to_string();
        let mut lines = Lines::open(&path, limit)
            .map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let (mut read, mut bytes_read) = (Vec::new(), 0);
        while number != Some(read.len() as u64) {
            let bytes = match lines.next().with_context(|| name.clone())? {
                Next::Line(bytes) => bytes.trim_ascii().to_vec(),
                Next::Oversize(..) => Vec::new(),
                Next::Drained => continue,
                Next::End => break,
            };
            bytes_read += bytes.len();
            if bytes_read > BYTES_MAX {
                let what = format!(
                    "{name} has more than {} MiB up to there; cut the part that matters out of it",
                    BYTES_MAX >> 20
                );
                return Err(Failure::Usage(what).into());
            }
            read.push(bytes);
        }
        let at = match number {
            Some(number) if number == read.len() as u64 => Some(read.len() - 1),
            Some(_) => None,
            None => read.iter().position(|line| !line.is_empty()),
        };
        let Some(at) = at else {
            let what = match number {
                Some(number) => format!("{name} has no line {number}, only {}", read.len()),
                None => format!("{name} has no event"),
            };
            return Err(Failure::Usage(what).into());
        };
        Ok(Self {
            name,
            host: explain.host.clone(),
            lines: read,
            at,
        })
    }

    /// What the lines before the one that is explained tell of processes.
    pub(super) fn processes(&self, mut detector: Detector, bytes: usize) -> ProcessCache {
        let mut cache = ProcessCache::new(bytes, i64::MAX);
        for line in self.lines().take(self.at) {
            detector.warm(&line, &mut cache);
        }
        cache
    }

    /// The rule on the line that is explained.
    pub(super) fn explain(
        &self,
        explainer: &mut Explainer,
        cache: &mut ProcessCache,
    ) -> Result<Vec<ExplainedView>> {
        let line = self.line(self.at);
        explainer.explain(&line, cache).map_err(|fault| {
            let (name, line) = (&self.name, self.at + 1);
            Failure::Usage(format!("{name}:{line}: no event: {}", fault.code())).into()
        })
    }

    /// All lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        (0..self.lines.len()).map(|at| self.line(at))
    }

    fn line(&self, at: usize) -> Line<'_> {
        Line {
            bytes: &self.lines[at],
            origin: Origin {
                host: self.host.as_deref().map(str::as_bytes),
                scope: Some(b"explain"),
            },
            source: Source::File {
                file: &self.name,
                line: at as u64 + 1,
            },
        }
    }
}
