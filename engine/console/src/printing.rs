//! Everything that is printed: escaping, tables, colours, and the two streams.
//!
//! Text of events is hostile. [`escaped`] makes control and direction characters visible before any of it
//! reaches a terminal or a log.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
}

impl Output {
    /// What was asked for, else a table on a terminal and lines of JSON into a pipe.
    pub fn or_by_terminal(asked: Option<Self>) -> Self {
        let default = if io::stdout().is_terminal() {
            Self::Table
        } else {
            Self::Jsonl
        };
        asked.unwrap_or(default)
    }
}

/// The text with every character that could steer a terminal, hide text or turn its direction written as
/// `\u{..}`: C0 and C1 controls, DEL, bidi marks, embeddings, overrides and isolates, line and paragraph
/// separators, zero-width characters and tags. Tab and line break are among them.
pub fn escaped(text: &str) -> String {
    if !text.chars().any(is_dangerous) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_dangerous(c) => {
                write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a string takes text");
            }
            c => out.push(c),
        }
    }
    out
}

/// The same for JSON text: such characters stand in its strings alone, and become `\\uXXXX`, which means the same.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let acts = |c: char| is_dangerous(c) && c != '\n';
    if !json.chars().any(acts) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if acts(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a string takes text");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// The text with every such character but line breaks and tabs replaced by a harmless one of the same
/// length in bytes, for printers that count bytes.
pub(crate) fn neutralised(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => c,
        c if !is_dangerous(c) => c,
        c => match c.len_utf8() {
            1 => '?',
            2 => '\u{bf}',
            3 => '\u{fffd}',
            _ => '\u{1f7e8}',
        },
    };
    text.chars().map(harmless).collect()
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text cut to about `max` characters, with `…` where something is missing.
pub fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

/// A plain table; cells are escaped here.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|cell| (*cell).to_owned()));
    for row in rows {
        table.add_row(row.iter().map(|cell| escaped(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n") + "\n"
}

/// A line of a check list.
#[derive(Clone, Copy, Debug)]
pub struct CheckLine<'a> {
    /// `ok`, `warn` or `fail`.
    pub state: &'a str,
    /// What was looked at.
    pub name: &'a str,
    /// What was found.
    pub found: &'a str,
    /// What mends it; stands below the line.
    pub cure: Option<&'a str>,
}

/// A check list as a table; texts are escaped here.
pub fn checks(lines: &[CheckLine<'_>], paint: Paint) -> String {
    let cells = |line: &CheckLine<'_>| {
        let cells = [line.state, line.name, line.found];
        cells.map(str::to_owned).to_vec()
    };
    let rows: Vec<Vec<String>> = lines.iter().map(cells).collect();
    let table = table(&["state", "check", "found"], &rows);
    // Escaped cells hold no line breaks: a row is a line.
    let mut rows = table.lines();
    let mut text = rows.next().unwrap_or_default().to_owned() + "\n";
    for (row, line) in rows.zip(lines) {
        let rest = row.strip_prefix(line.state).unwrap_or(row);
        text += &format!("{}{rest}\n", paint.state(line.state));
        if let Some(cure) = line.cure {
            text += &format!("      cure: {}\n", escaped(cure));
        }
    }
    text
}

/// Colours of the terminal, or none: not a terminal, or `NO_COLOR`.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// For standard output.
    pub fn stdout() -> Self {
        Self(
            io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        )
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self(
            io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        )
    }

    /// No colours at all.
    pub fn none() -> Self {
        Self(false)
    }

    /// Whether there are colours.
    pub fn is_on(self) -> bool {
        self.0
    }

    /// Bold.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Faint.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// In the colour of a level of Sigma.
    pub fn level(self, level: &str) -> String {
        let code = match level {
            "critical" => "1;35",
            "high" => "1;31",
            "medium" => "1;33",
            "low" => "1;36",
            _ => "1",
        };
        self.with(code, level)
    }

    /// In the colour of a check's state.
    pub fn state(self, state: &str) -> String {
        let code = match state {
            "ok" => "32",
            "warn" => "1;33",
            "note" => "36",
            _ => "1;31",
        };
        self.with(code, state)
    }

    /// In the colour of what is as it should be, or is not.
    pub fn state_of(self, good: bool, text: &str) -> String {
        self.with(if good { "32" } else { "1;31" }, text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Writes to standard output, at once. `false`: nobody reads any more (a closed pipe), and the caller should
/// end quietly. Anything else that keeps the text from its reader, such as a full disk, is an error.
pub fn out(text: &(impl AsRef<[u8]> + ?Sized)) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_ref())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("standard output cannot be written: {error}"),
        )),
    }
}

/// Writes JSON to standard output as [`out`] does, escaped where a terminal shows it.
pub fn out_json(json: &(impl AsRef<[u8]> + ?Sized)) -> io::Result<bool> {
    if io::stdout().is_terminal() {
        out(&*escaped_json(&String::from_utf8_lossy(json.as_ref())))
    } else {
        out(json)
    }
}

/// Writes to standard error; a closed one is nobody's business.
pub fn err(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_made_visible() {
        assert_eq!(escaped("plain äöü 漢字 🦀"), "plain äöü 漢字 🦀");
        assert_eq!(escaped("\u{1b}[31mred\u{7}"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(
            escaped("a\u{202e}b\u{2066}c\u{200b}d\u{feff}"),
            "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{feff}"
        );
        assert_eq!(
            escaped("\u{9b}31m\u{7f}\u{2028}"),
            "\\u{9b}31m\\u{7f}\\u{2028}"
        );
        assert_eq!(escaped("one\ntwo\tthree\r"), "one\\ntwo\\tthree\\r");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "a\u{202e}\u{9b}31m\u{7f}\u{e0041} \u{1b} ä";
        let json = serde_json::to_string(text).expect("JSON") + "\n";
        let shown = escaped_json(&json);
        assert_eq!(
            shown,
            "\"a\\u202e\\u009b31m\\u007f\\udb40\\udc41 \\u001b ä\"\n"
        );
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
        assert_eq!(escaped_json("{}\n"), "{}\n");
    }

    #[test]
    fn a_neutralised_text_keeps_its_length() {
        let text = "a\u{9b}b\u{202e}c\u{1b}d\u{e0001}e\r\n\tf";
        let harmless = neutralised(text);
        assert_eq!(harmless.len(), text.len());
        assert_eq!(harmless, "a\u{bf}b\u{fffd}c?d\u{1f7e8}e?\n\tf");
    }

    #[test]
    fn a_check_list_has_the_cure_below_its_line() {
        let line = |state, name, found, cure| CheckLine {
            state,
            name,
            found,
            cure,
        };
        let lines = [
            line("ok", "brokers", "3 answer", None),
            line("fail", "topic a", "no\nsuch \u{1b}[31m", Some("make it")),
        ];
        let text = checks(&lines, Paint::none());
        let expected = "state check   found\n\
                        ok    brokers 3 answer\n\
                        fail  topic a no\\nsuch \\u{1b}[31m\n      cure: make it\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöü", 2), "äö…");
    }
}
