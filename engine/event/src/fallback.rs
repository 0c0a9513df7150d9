//! The slow, obvious reader: sonic-rs decides whether a text is JSON, then its lazy iterators give the
//! pieces that become tape nodes.
//!
//! Reads every line that the own scanner refuses, so that a mistake there never loses an event, and
//! serves as its oracle in tests. Nothing here is tuned.

use sonic_rs::{ArrayJsonIter, Deserialize as _, Deserializer, ObjectJsonIter};

use crate::symbol::Symbol;
use crate::{Fault, Kind, Limits, Node, Span, Tape};

/// Deepest nesting this reader follows whatever the limits say: sonic-rs recurses once per level.
const MAX_NESTING: usize = 128;

/// Reads `text`, one JSON object with nothing but blanks around it, onto the tape.
///
/// On a fault the tape's content is undefined, and the fault is only roughly right (sonic-rs takes many
/// early ends for mistakes): the scanner's own is the one to report.
pub(crate) fn fill(text: &[u8], tape: &mut Tape, limits: &Limits) -> Result<(), Fault> {
    tape.restart();
    let text = checked_text(text)?;
    if !nesting_within(text.as_bytes(), limits.nesting.min(MAX_NESTING)) {
        return Err(Fault::InvalidJson);
    }
    check_json(text)?;
    write_nodes(text, tape)
}

/// The text as UTF-8. Cut within a last character it ended early; any other damage is no JSON.
pub(crate) fn checked_text(text: &[u8]) -> Result<&str, Fault> {
    if text.len() >= Span::ARENA as usize {
        return Err(Fault::Oversize);
    }
    std::str::from_utf8(text).map_err(|error| match error.error_len() {
        None => Fault::Truncated,
        Some(_) => Fault::InvalidJson,
    })
}

/// Whether no container of the first value lies deeper than `limit`. Right for valid JSON; on other
/// texts it is right up to the first mistake, and no parser goes on behind that.
fn nesting_within(text: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b'}' | b']' if depth <= 1 => return true,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    true
}

/// Strict verdict of sonic-rs on the whole text.
fn check_json(text: &str) -> Result<(), Fault> {
    let mut deserializer = Deserializer::from_str(text);
    sonic_rs::Value::deserialize(&mut deserializer).map_err(|error| {
        if error.is_eof() {
            Fault::Truncated
        } else {
            Fault::InvalidJson
        }
    })?;
    deserializer.end().map_err(|_| Fault::TrailingData)
}

/// A container that is being read: its node and what sonic-rs has not yet given of it.
enum Open<'a> {
    Object(u32, ObjectJsonIter<'a>),
    Array(u32, ArrayJsonIter<'a>),
}

impl Open<'_> {
    /// Whether another entry follows, and how long its value is; the error is a contradiction.
    fn next_len(&mut self) -> Result<Option<usize>, sonic_rs::Error> {
        let value = match self {
            Self::Object(_, members) => members.next().transpose()?.map(|(_, value)| value),
            Self::Array(_, elements) => elements.next().transpose()?,
        };
        Ok(value.map(|value| value.as_raw_str().len()))
    }
}

/// Writes the nodes of a text that is known to be valid: a fault if the root is no object, or if sonic-rs
/// contradicts itself.
fn write_nodes(text: &str, tape: &mut Tape) -> Result<(), Fault> {
    let mut writer = Writer { text, at: 0, tape };
    writer.skip_blanks();
    let root = text.trim_ascii();
    if !root.starts_with('{') {
        return Err(Fault::InvalidJson);
    }
    let mut open = vec![];
    open.extend(writer.push(Span::NONE, root.len())?);
    while let Some(last) = open.last_mut() {
        if let Some(len) = last.next_len().map_err(|_| Fault::InvalidJson)? {
            let key = match last {
                Open::Object(..) => writer.key()?,
                Open::Array(..) => Span::NONE,
            };
            let pushed = writer.push(key, len)?;
            open.extend(pushed);
        } else {
            let (Open::Object(node, _) | Open::Array(node, _)) = *last;
            writer.close(node);
            open.pop();
        }
    }
    Ok(())
}

/// Follows in the text what sonic-rs reports, to learn where it stands.
struct Writer<'a, 't> {
    text: &'a str,
    at: usize,
    tape: &'t mut Tape,
}

impl<'a> Writer<'a, '_> {
    /// Goes behind blanks and the comma or colon between two tokens of valid JSON.
    fn skip_blanks(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = rest
            .iter()
            .take_while(|byte| b" \t\n\r,:".contains(byte))
            .count();
        self.at += blanks;
    }

    /// The member's name that comes next; ends behind its colon.
    fn key(&mut self) -> Result<Span, Fault> {
        self.skip_blanks();
        let from = self.at + 1;
        let mut to = from;
        loop {
            match self.text.as_bytes().get(to).ok_or(Fault::InvalidJson)? {
                b'"' => break,
                b'\\' => to += 2,
                _ => to += 1,
            }
        }
        self.at = to + 1;
        Ok(Span::new(from, to))
    }

    /// Writes the node of the value of `len` bytes that comes next; for a container also what is to
    /// be read of it, and the position stays behind its opening bracket.
    fn push(&mut self, key: Span, len: usize) -> Result<Option<Open<'a>>, Fault> {
        self.skip_blanks();
        let raw = self
            .text
            .get(self.at..self.at + len)
            .ok_or(Fault::InvalidJson)?;
        let index = u32::try_from(self.tape.nodes.len()).map_err(|_| Fault::Oversize)?;
        let (kind, open) = match raw.as_bytes().first().ok_or(Fault::InvalidJson)? {
            b'"' => (Kind::String, None),
            b'{' => (
                Kind::Object,
                Some(Open::Object(index, sonic_rs::to_object_iter(raw))),
            ),
            b'[' => (
                Kind::Array,
                Some(Open::Array(index, sonic_rs::to_array_iter(raw))),
            ),
            b't' | b'f' => (Kind::Bool, None),
            b'n' => (Kind::Null, None),
            _ => (Kind::Number, None),
        };
        let quote = usize::from(kind == Kind::String);
        self.tape.nodes.push(Node {
            key,
            value: Span::new(self.at + quote, self.at + len - quote),
            kind,
            coded: kind == Kind::String && raw.contains(['\\', '%']),
            symbol: Symbol::OTHER,
            next: index + 1,
        });
        self.at += if open.is_some() { 1 } else { len };
        Ok(open)
    }

    /// Ends the container of this node, whose entries have all been written.
    fn close(&mut self, node: u32) {
        let next = self.tape.nodes.len();
        let node = &mut self.tape.nodes[node as usize];
        node.next = u32::try_from(next).unwrap_or(u32::MAX);
        self.at = (node.value.offset + node.value.len) as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::fill;
    use crate::{Fault, Kind, Node, Profile, Tape};

    fn read(text: &str) -> Result<Tape, Fault> {
        let mut tape = Tape::default();
        fill(text.as_bytes(), &mut tape, &Profile::laurel().limits)?;
        Ok(tape)
    }

    #[test]
    fn every_member_and_element_is_a_node_with_its_raw_text() {
        let text = r#" {"a" : "x\"%41", "b":[1, {"c":null} ,[]], "d":{} ,"e":true} "#;
        let tape = read(text).unwrap();
        let seen: Vec<_> = (0..tape.nodes.len())
            .map(|node| u32::try_from(node).unwrap())
            .map(|node| {
                let text_of = |bytes| std::str::from_utf8(bytes).unwrap();
                let Node {
                    kind, coded, next, ..
                } = tape.node(node);
                (
                    text_of(tape.key(text.as_bytes(), node)),
                    text_of(tape.value(text.as_bytes(), node)),
                    kind,
                    coded,
                    next,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("", text.trim(), Kind::Object, false, 9),
                ("a", r#"x\"%41"#, Kind::String, true, 2),
                ("b", r#"[1, {"c":null} ,[]]"#, Kind::Array, false, 7),
                ("", "1", Kind::Number, false, 4),
                ("", r#"{"c":null}"#, Kind::Object, false, 6),
                ("c", "null", Kind::Null, false, 6),
                ("", "[]", Kind::Array, false, 7),
                ("d", "{}", Kind::Object, false, 8),
                ("e", "true", Kind::Bool, false, 9),
            ]
        );
    }

    #[test]
    fn only_one_whole_object_is_read() {
        for text in [
            "",
            " ",
            r#"{"a":1"#,
            r#"{"a":01}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1,}"#,
            "[1]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in [r#"{"a":1}x"#, r#"{"a":1}{}"#] {
            assert_eq!(read(text).unwrap_err(), Fault::TrailingData, "{text}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        assert!(read(&nested(64)).is_ok());
        assert_eq!(read(&nested(65)).unwrap_err(), Fault::InvalidJson);
        assert_eq!(read(&nested(10_000)).unwrap_err(), Fault::InvalidJson);
    }
}
