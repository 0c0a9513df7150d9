//! YAML 1.2.2, core schema, as a tree in which every node knows its place. Takes a file's text, gives
//! its documents; a broken document stops neither the others nor the caller. Used for rules and for
//! whatever else people write beside them (fixtures, profiles).
//!
//! Limits: [`FILE_BYTES_MAX`], [`NESTING_MAX`], [`ALIAS_BYTES_MAX`]. Time is linear in the text and in
//! what aliases add.

use std::borrow::Cow;
use std::collections::{HashMap, hash_map};
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::codes::{DUPLICATE_KEY, LIMIT, YAML_SYNTAX, YAML_TAG};
use crate::diagnostic::Reports;
use crate::number::canonical_decimal;
use crate::{Diagnostic, Place, SourceFile};

/// Larger files are refused.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// Deeper lists and maps are refused.
pub const NESTING_MAX: usize = 64;
/// What all anchors and aliases of a document may copy, each node counted as 64 bytes and its text.
pub const ALIAS_BYTES_MAX: usize = 4 << 20;

/// YAML's blanks and line ends; other white space of Unicode is text.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// From its first to its last character.
    pub place: Place,
}

/// The values of YAML's core schema.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`; `yes`, `no`, `on` and `off` are strings.
    Bool(bool),
    /// An unquoted number.
    Number(Number),
    /// Any other scalar, dates included.
    String(Arc<str>),
    /// A list.
    Sequence(Vec<Node>),
    /// A map in file order, without duplicate keys.
    Mapping(Vec<Entry>),
}

/// A number, exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// As it stands in the file.
    pub written: Arc<str>,
    /// See [`canonical_decimal`].
    pub canonical: Arc<str>,
    /// How it was written.
    pub form: NumberForm,
}

/// How a number was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberForm {
    /// As one writes numbers.
    Decimal,
    /// With leading zeros, as in `00000429`: an identifier rather than a number.
    LeadingZeros,
    /// Hexadecimal or octal.
    Radix,
}

/// A line of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key's text as it was written, of whatever type.
    pub key: Arc<str>,
    /// Where the key stands.
    pub place: Place,
    /// What it is mapped to.
    pub value: Node,
}

/// A document of a file.
#[derive(Debug)]
pub struct Document {
    /// Its content; `None` where that could not be read. Empty documents are not listed at all.
    pub root: Option<Node>,
    /// Its part of the file's text, including comments before it.
    pub bytes: Range<usize>,
    /// What is wrong with it as YAML: errors, and at most a warning that there are more of them.
    pub diagnostics: Vec<Diagnostic>,
}

impl Node {
    /// The value as one word for messages.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a map",
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&Arc<str>> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The lines of a map.
    pub fn as_mapping(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.as_mapping()?;
        entries
            .iter()
            .find(|entry| &*entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The value as JSON text, with the keys in file order.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json);
        json
    }

    fn write_json(&self, json: &mut String) {
        match &self.kind {
            Kind::Null => json.push_str("null"),
            Kind::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Kind::Number(number) if number.form == NumberForm::LeadingZeros => {
                write_json_string(&number.written, json);
            }
            Kind::Number(number) => json.push_str(&number.canonical),
            Kind::String(text) => write_json_string(text, json),
            Kind::Sequence(nodes) => {
                json.push('[');
                for (at, node) in nodes.iter().enumerate() {
                    if at > 0 {
                        json.push(',');
                    }
                    node.write_json(json);
                }
                json.push(']');
            }
            Kind::Mapping(entries) => {
                json.push('{');
                for (at, entry) in entries.iter().enumerate() {
                    if at > 0 {
                        json.push(',');
                    }
                    write_json_string(&entry.key, json);
                    json.push(':');
                    entry.value.write_json(json);
                }
                json.push('}');
            }
        }
    }

    /// Memory that a copy takes, roughly and at least 64 bytes a node.
    pub(crate) fn weight(&self) -> usize {
        64 + match &self.kind {
            Kind::String(text) => text.len(),
            Kind::Sequence(nodes) => nodes.iter().map(Self::weight).sum(),
            Kind::Mapping(entries) => entries
                .iter()
                .map(|entry| entry.key.len() + entry.value.weight())
                .sum(),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => 0,
        }
    }

    /// How many lists and maps lie inside one another.
    fn depth(&self) -> usize {
        match &self.kind {
            Kind::Sequence(nodes) => 1 + nodes.iter().map(Self::depth).max().unwrap_or(0),
            Kind::Mapping(entries) => {
                1 + entries
                    .iter()
                    .map(|entry| entry.value.depth())
                    .max()
                    .unwrap_or(0)
            }
            _ => 0,
        }
    }
}

const HEX: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
];

fn write_json_string(text: &str, json: &mut String) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if c < ' ' => {
                json.push_str("\\u00");
                json.extend(
                    [u32::from(c) >> 4, u32::from(c) & 0xf].map(|digit| HEX[digit as usize]),
                );
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

/// Reads all documents of a file.
///
/// ```
/// use sigma::{SourceFile, yaml};
/// let text = "title: one\n---\ntitle: [two\n---\ntitle: three\n";
/// let file = SourceFile { name: "a.yml".into(), text: text.into() };
/// let documents = yaml::read(&file);
/// assert_eq!(documents.len(), 3);
/// assert_eq!(documents[1].diagnostics[0].place.line, 3);
/// assert_eq!(documents[2].root.as_ref().unwrap().get("title").unwrap().place.column, 8);
/// ```
pub fn read(file: &SourceFile) -> Vec<Document> {
    if file.text.len() > FILE_BYTES_MAX {
        let place = Place {
            file: Arc::clone(&file.name),
            line: 1,
            column: 1,
            bytes: (0, 0),
        };
        let message = format!("the file has {} bytes", file.text.len());
        let mut fault = LIMIT.at(&place, message);
        fault.help = Some(format!(
            "files of up to {FILE_BYTES_MAX} bytes are read; split it"
        ));
        return vec![Document {
            root: None,
            bytes: 0..file.text.len(),
            diagnostics: vec![fault],
        }];
    }
    let mut documents = Vec::new();
    let mut line = 1;
    for bytes in split(&file.text) {
        let text = file.text.get(bytes.clone()).unwrap_or_default();
        Composer::new(file, text, bytes.start, line).compose(&mut documents);
        line += line_breaks(text);
    }
    documents
}

/// Cuts a file before each `---` line and after each `...` line. At the start of a line these are
/// document markers wherever they stand (YAML 1.2.2, 9.1.2), so each piece is read by a parser of its own
/// and an error ends with its piece. Comments and directives stay with the document below them.
fn split(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut has_content = false;
    let starts: Vec<usize> = line_starts(text).map(|at| at.max(start)).collect();
    for (at, &from) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(text.len());
        let line = text.get(from..end).unwrap_or_default();
        if has_content && is_marker(line, "---") {
            pieces.push(start..from);
            start = from;
        }
        let trimmed = line.trim_matches(BLANK);
        has_content |= !(trimmed.is_empty() || trimmed.starts_with('#') || line.starts_with('%'));
        if is_marker(line, "...") {
            pieces.push(start..end);
            start = end;
            has_content = false;
        }
    }
    pieces.push(start..text.len());
    pieces
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn line_breaks(text: &str) -> u32 {
    narrow(line_starts(text).count() - 1)
}

/// The first byte of each line. Lines end with LF, CR LF or CR (YAML 1.2.2, 5.4).
fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let ends_line = |at: &usize| match bytes[*at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    std::iter::once(0).chain((0..bytes.len()).filter(ends_line).map(|at| at + 1))
}

/// From character numbers, which the parser gives, to byte numbers.
struct Offsets {
    /// Bytes before every 64th character; empty if the text is ASCII.
    steps: Vec<usize>,
}

impl Offsets {
    const STEP: usize = 64;

    fn of(text: &str) -> Self {
        let steps = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices()
                .step_by(Self::STEP)
                .map(|(byte, _)| byte)
                .collect()
        };
        Self { steps }
    }

    fn byte(&self, text: &str, character: usize) -> usize {
        if self.steps.is_empty() {
            return character.min(text.len());
        }
        let Some(step) = self.steps.get(character / Self::STEP) else {
            return text.len();
        };
        let rest = text.get(*step..).unwrap_or_default();
        rest.char_indices()
            .nth(character % Self::STEP)
            .map_or(text.len(), |(byte, _)| step + byte)
    }
}

/// Builds the trees of one piece of a file from the parser's events.
struct Composer<'a> {
    file: &'a SourceFile,
    text: &'a str,
    offsets: Offsets,
    /// Bytes and lines of the file before `text`; the line counts from 1.
    start: (usize, u32),
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    alias_bytes: usize,
    reports: Reports,
}

/// A document that cannot be read further; boxed because it is rare and large.
type Stop = Box<Diagnostic>;

impl<'a> Composer<'a> {
    fn new(file: &'a SourceFile, text: &'a str, start: usize, line: u32) -> Self {
        // The parser takes NUL for the end of the text; it is looked for beforehand in `compose`.
        Self {
            file,
            text,
            offsets: Offsets::of(text),
            start: (start, line),
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
            alias_bytes: 0,
            reports: Reports::default(),
        }
    }

    fn compose(mut self, documents: &mut Vec<Document>) {
        let bytes = self.start.0..self.start.0 + self.text.trim_end_matches(BLANK).len();
        loop {
            let result = self.document();
            let mut reports = std::mem::take(&mut self.reports);
            match result {
                Ok(None) => return,
                Ok(Some(root)) => {
                    let is_empty = matches!(root.kind, Kind::Null) && reports.is_empty();
                    if !is_empty {
                        documents.push(Document {
                            root: Some(root),
                            bytes: bytes.clone(),
                            diagnostics: reports.into_list(),
                        });
                    }
                }
                Err(stop) => {
                    reports.push(*stop);
                    documents.push(Document {
                        root: None,
                        bytes,
                        diagnostics: reports.into_list(),
                    });
                    return;
                }
            }
        }
    }

    /// The next document of the piece, `None` at its end.
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        if let Some(nul) = self.text.find('\0') {
            return Err(self.nul_at(nul));
        }
        loop {
            let (event, _) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(_) => {
                    self.anchors.clear();
                    self.alias_bytes = 0;
                    let (event, span) = self.next()?;
                    return self.node(event, span, 0).map(Some);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax_error(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let place = self.place(span);
                let kind = self.scalar(&text, style, tag.as_deref(), &place);
                self.anchored(anchor, Node { kind, place })
            }
            Event::SequenceStart(anchor, tag) => {
                let place = self.place(span);
                self.check_collection(tag.as_deref(), "seq", depth, &place)?;
                let node = self.sequence(place, depth)?;
                self.anchored(anchor, node)
            }
            Event::MappingStart(anchor, tag) => {
                let place = self.place(span);
                self.check_collection(tag.as_deref(), "map", depth, &place)?;
                let node = self.mapping(place, depth)?;
                self.anchored(anchor, node)
            }
            Event::Alias(anchor) => self.alias(anchor, span, depth),
            _ => Err(Box::new(
                YAML_SYNTAX.at(&self.place(span), "a value is missing here"),
            )),
        }
    }

    fn sequence(&mut self, mut place: Place, depth: usize) -> Result<Node, Stop> {
        let mut nodes = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                self.close(&mut place, span);
                break;
            }
            nodes.push(self.node(event, span, depth + 1)?);
        }
        if let Some(last) = nodes.last() {
            place.bytes.1 = place.bytes.1.max(last.place.bytes.1);
        }
        Ok(Node {
            kind: Kind::Sequence(nodes),
            place,
        })
    }

    /// A list or map in flow style ends with its bracket; in block style with its last value.
    fn close(&self, place: &mut Place, span: Span) {
        let end = self.place(span).bytes;
        let bracket = self.file.text.get(end.0 as usize..end.1 as usize);
        if matches!(bracket, Some("]" | "}")) {
            place.bytes.1 = end.1;
        }
    }

    fn mapping(&mut self, mut place: Place, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        // Key to line.
        let mut seen: HashMap<Arc<str>, u32> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                self.close(&mut place, span);
                break;
            }
            let (key, key_place) = self.key(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match seen.entry(Arc::clone(&key)) {
                hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(key_place.line);
                    entries.push(Entry {
                        key,
                        place: key_place,
                        value,
                    });
                }
                hash_map::Entry::Occupied(first) => {
                    self.report_duplicate(&key, *first.get(), &key_place);
                }
            }
        }
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            place.bytes.0 = place.bytes.0.min(first.place.bytes.0);
            place.bytes.1 = place
                .bytes
                .1
                .max(last.value.place.bytes.1)
                .max(last.place.bytes.1);
        }
        Ok(Node {
            kind: Kind::Mapping(entries),
            place,
        })
    }

    fn report_duplicate(&mut self, key: &str, first: u32, place: &Place) {
        let mut fault =
            DUPLICATE_KEY.at(place, format!("the key `{key}` stands here a second time"));
        fault.help = Some(format!(
            "the first is in line {first}; join the two or rename one"
        ));
        self.reports.push(fault);
    }

    fn report_merge_key(&mut self, place: &Place) {
        let mut fault = YAML_SYNTAX.at(place, "merge keys are not part of YAML 1.2");
        fault.help = Some("write the merged lines out; aliases of whole values do work".to_owned());
        self.reports.push(fault);
    }

    /// Keys are scalars or aliases of scalars.
    fn key(&mut self, event: Event<'a>, span: Span) -> Result<(Arc<str>, Place), Stop> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if text == "<<" && style == ScalarStyle::Plain {
                    self.report_merge_key(&place);
                }
                let kind = self.scalar(&text, style, tag.as_deref(), &place);
                self.anchored(
                    anchor,
                    Node {
                        kind,
                        place: place.clone(),
                    },
                )?;
                Ok((text.into(), place))
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor);
                let text = target.and_then(|node| match &node.kind {
                    Kind::String(text) => Some(Arc::clone(text)),
                    Kind::Number(number) => Some(Arc::clone(&number.written)),
                    _ => None,
                });
                match text {
                    Some(text) => Ok((text, place)),
                    None => Err(Box::new(
                        YAML_SYNTAX.at(&place, "this alias does not stand for text, as a key must"),
                    )),
                }
            }
            _ => Err(Box::new(
                YAML_SYNTAX.at(&place, "a list or map stands as the key of a map"),
            )),
        }
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Result<Node, Stop> {
        if anchor != 0 {
            self.count_copy(&node, &node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Counts a copy before it is made: aliases of aliases grow exponentially.
    fn count_copy(&mut self, node: &Node, place: &Place) -> Result<(), Stop> {
        self.alias_bytes = self.alias_bytes.saturating_add(node.weight());
        if self.alias_bytes > ALIAS_BYTES_MAX {
            let message = format!("anchors and aliases copy more than {ALIAS_BYTES_MAX} bytes");
            return Err(Box::new(LIMIT.at(place, message)));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Node, Stop> {
        let place = self.place(span);
        let Some(target) = self.anchors.remove(&anchor) else {
            let message = "this alias stands inside of what it names";
            return Err(Box::new(YAML_SYNTAX.at(&place, message)));
        };
        self.count_copy(&target, &place)?;
        if depth + target.depth() > NESTING_MAX {
            return Err(Box::new(too_deep(&place)));
        }
        let kind = target.kind.clone();
        self.anchors.insert(anchor, target);
        Ok(Node { kind, place })
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: &Place) -> Kind {
        let Some(tag) = tag else {
            return if style == ScalarStyle::Plain {
                plain(text)
            } else {
                Kind::String(text.into())
            };
        };
        // `!` alone, the non-specific tag, makes any scalar a string.
        let is_string = tag.is_yaml_core_schema() && tag.suffix == "str" || is_non_specific(tag);
        let kind = if is_string {
            Kind::String(text.into())
        } else {
            plain(text)
        };
        let fits = is_string
            || tag.is_yaml_core_schema()
                && match kind {
                    Kind::Null => tag.suffix == "null",
                    Kind::Bool(_) => tag.suffix == "bool",
                    Kind::Number(_) => tag.suffix == "int" || tag.suffix == "float",
                    _ => false,
                };
        if !fits {
            self.reports.push(YAML_TAG.at(place, tag_message(tag)));
        }
        kind
    }

    fn check_collection(
        &mut self,
        tag: Option<&Tag>,
        name: &str,
        depth: usize,
        place: &Place,
    ) -> Result<(), Stop> {
        if depth >= NESTING_MAX {
            return Err(Box::new(too_deep(place)));
        }
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == name || is_non_specific(tag))
        {
            self.reports.push(YAML_TAG.at(place, tag_message(tag)));
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        let from = self.offsets.byte(self.text, span.start.index());
        let end = self.text.trim_end_matches(BLANK).len();
        if from > end {
            // Nothing, where the text ends: the parser puts it below the last line.
            return self.place_at(end);
        }
        let to = self.offsets.byte(self.text, span.end.index()).max(from);
        // Block scalars reach to the next token.
        let length = self
            .text
            .get(from..to)
            .map_or(0, |text| text.trim_end_matches(BLANK).len());
        Place {
            file: Arc::clone(&self.file.name),
            line: self
                .start
                .1
                .saturating_add(narrow(span.start.line().saturating_sub(1))),
            column: narrow(span.start.col() + 1),
            bytes: (
                narrow(self.start.0 + from),
                narrow(self.start.0 + from + length),
            ),
        }
    }

    fn nul_at(&self, byte: usize) -> Stop {
        let place = self.place_at(byte);
        let fault = YAML_SYNTAX.at(&place, "a NUL character, which YAML does not allow");
        Box::new(fault.or_help(Some("remove it")))
    }

    /// The parser reports what is missing at the end of the text one line below it; that is moved to the
    /// last word.
    fn syntax_error(&self, error: &ScanError) -> Stop {
        let line = error.marker().line().saturating_sub(1);
        let start = line_starts(self.text).nth(line).unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        let column = rest.char_indices().nth(error.marker().col());
        let byte = start + column.map_or(rest.len(), |(byte, _)| byte);
        let place = self.place_at(byte.min(self.text.trim_end_matches(BLANK).len()));
        Box::new(YAML_SYNTAX.at(&place, format!("not YAML: {}", error.info())))
    }

    /// An empty place at a byte of the text.
    fn place_at(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or_default();
        let start = line_starts(before).last().unwrap_or(0);
        let column = before.get(start..).unwrap_or_default().chars().count();
        let at = narrow(self.start.0 + byte);
        Place {
            file: Arc::clone(&self.file.name),
            line: self.start.1 + line_breaks(before),
            column: narrow(column + 1),
            bytes: (at, at),
        }
    }
}

fn too_deep(place: &Place) -> Diagnostic {
    LIMIT.at(
        place,
        format!("lists and maps lie more than {NESTING_MAX} deep"),
    )
}

fn tag_message(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() {
        format!("the tag `!!{}` does not fit this value", tag.suffix)
    } else {
        format!("the tag `{tag}` is not of YAML's core schema")
    }
}

fn is_non_specific(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty()
}

/// Files are bounded far below 4 GiB.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A plain scalar by the core schema (YAML 1.2.2, 10.3.2), except that `.inf`, `.nan` and numbers with
/// gigantic exponents stay text: no rule means them as numbers.
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let Some((canonical, form)) = number(text) else {
        return Kind::String(text.into());
    };
    Kind::Number(Number {
        written: text.into(),
        canonical: canonical.into(),
        form,
    })
}

fn number(text: &str) -> Option<(Cow<'_, str>, NumberForm)> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.trim_start_matches(['-', '+']);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let canonical = canonical_decimal(text)?;
    let is_integer = unsigned.bytes().all(|byte| byte.is_ascii_digit());
    let form = if is_integer && unsigned.len() > 1 && unsigned.starts_with('0') {
        NumberForm::LeadingZeros
    } else {
        NumberForm::Decimal
    };
    Some((canonical.into(), form))
}

fn radix(digits: &str, radix: u32) -> Option<(Cow<'_, str>, NumberForm)> {
    // `from_str_radix` would accept a sign.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u128::from_str_radix(digits, radix).ok()?;
    Some((value.to_string().into(), NumberForm::Radix))
}
