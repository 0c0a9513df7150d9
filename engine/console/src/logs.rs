//! The program's own log, on stderr: for people or as JSON.
//!
//! Text of events may stand in fields; both forms escape what could steer a terminal.

use std::io::{self, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeVisitor;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::printing::{escaped, escaped_json};

/// The filter that a level or a list of directives describes.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("{level:?} is no level: {error}"))
}

/// Starts logging. `Err`: the level is no level and no list of directives.
pub fn start(json: bool, level: &str) -> Result<(), String> {
    // The client library repeats itself several times a second while brokers are away; the service
    // says the same once. Directives and debugging bring it back.
    let quiet = ["error", "warn", "info"].contains(&level);
    let directives = if quiet {
        format!("{level},librdkafka=off")
    } else {
        level.to_owned()
    };
    let filter = filter(&directives)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // What cannot be written (a full disk, a pipe that nobody reads) would be reported to stderr too, in vain
        // and with a panic: a log that is lost must not end the program.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // A second start (in one test process) changes nothing.
    if json {
        let builder = builder.with_writer(|| Escaping(io::stderr()));
        builder.json().with_target(false).try_init().ok();
    } else {
        builder
            .with_ansi(false)
            .with_target(false)
            .fmt_fields(Fields)
            .try_init()
            .ok();
    }
    Ok(())
}

/// Writes lines of JSON, one a call, with what steers a terminal escaped.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(json) => self.0.write_all(escaped_json(json).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `name=value` pairs with escaped values.
#[derive(Debug)]
struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(
        &self,
        writer: Writer<'writer>,
        fields: R,
    ) -> std::fmt::Result {
        let mut visitor = self.make_visitor(writer);
        fields.record(&mut visitor);
        visitor.result
    }
}

impl<'writer> MakeVisitor<Writer<'writer>> for Fields {
    type Visitor = Pairs<'writer>;

    fn make_visitor(&self, writer: Writer<'writer>) -> Self::Visitor {
        Pairs {
            writer,
            first: true,
            result: Ok(()),
        }
    }
}

#[derive(Debug)]
struct Pairs<'writer> {
    writer: Writer<'writer>,
    first: bool,
    result: std::fmt::Result,
}

impl Pairs<'_> {
    fn pair(&mut self, name: &str, value: &str) {
        let blank = if std::mem::take(&mut self.first) {
            ""
        } else {
            " "
        };
        let value = escaped(value);
        let written = if matches!(name, "message" | "event") {
            write!(self.writer, "{blank}{value}")
        } else {
            write!(self.writer, "{blank}{name}={value}")
        };
        self.result = self.result.and(written);
    }
}

impl Visit for Pairs<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.pair(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.pair(field.name(), &format!("{value:?}"));
    }
}
