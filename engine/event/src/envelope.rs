//! Opens a line: cuts what a shipper put before the JSON, finds the Laurel event in the envelope, and
//! finds the host's name in the event, the envelope or the syslog header.
//!
//! ```text
//! {"ID":..,"SYSCALL":{..}}                                      Laurel itself
//! @cee: {"ID":..}                                               Laurel's line-prefix
//! <13>Nov 24 08:35:15 web-01 laurel: {"ID":..}                  syslog header
//! {"host":"web-01","message":"{\"ID\":..}"}                     Vector, Filebeat, rsyslog, Fluent Bit
//! {"host":{"name":"web-01"},"@timestamp":..,"ID":..}            Filebeat's ndjson at the root
//! {"host":..,"laurel":{"ID":..}}                                below a member
//! ```
//!
//! A string that holds JSON is unescaped into a buffer and read again, up to [`UNWRAPS`] deep. A text whose
//! member names are written with escapes (`"\\u0049D"`; Laurel never does, a program that writes the line
//! anew may) is written into the buffer with plain names, so that all behind compares names as bytes.

use crate::anchored::Anchored;
use crate::normalise::event_id;
use crate::symbol::Known;
use crate::text::{decimal, decode_into, unescape_into};
use crate::{Fault, Fields, Kind, Node, Origin, Profile, Span, Tape, scan};

/// How many envelopes may lie around an event, one in the other.
const UNWRAPS: usize = 2;

/// Bytes that a buffer keeps room for between lines.
const KEPT_BYTES: usize = 1 << 20;

/// An event that was found in a line.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    /// The Laurel object's text as it came but for escaped member names, in the line or in the opener's
    /// buffer.
    pub(crate) text: &'a [u8],
    /// The tape of just this text; its root is an object.
    pub(crate) tape: &'a mut Tape,
    /// Name of the host, decoded and not empty.
    pub(crate) host: Option<&'a [u8]>,
}

/// Opens one line after the other in the same memory.
#[derive(Debug, Default)]
pub(crate) struct Opener {
    /// Texts that are being read: the line, then a string in it, then a string in that.
    layers: [Layer; UNWRAPS + 1],
    /// The objects looked at on the way to the event, outermost first.
    way: Vec<Members>,
    host: Vec<u8>,
    pub(crate) scanners: Scanners,
}

/// The ways to read a text onto a tape, fastest first.
#[derive(Debug, Default)]
pub(crate) struct Scanners {
    anchored: Anchored,
    /// The first way is not taken.
    pub(crate) is_anchored_off: bool,
    /// Texts that the scanner refused and the fallback read; taken by the decoder.
    pub(crate) rescued: u64,
}

/// One text and the tape of its JSON.
#[derive(Debug, Default)]
struct Layer {
    /// The text, unless it is the line itself.
    text: Vec<u8>,
    /// Whether it is not the line itself.
    owned: bool,
    /// Where its JSON begins; before that lies a header.
    start: usize,
    tape: Tape,
}

/// What an object on the way says of itself and its host; nodes of `layer`'s tape.
#[derive(Clone, Copy, Debug, Default)]
struct Members {
    layer: usize,
    node: u32,
    id: Option<u32>,
    laurel_node: Option<u32>,
    /// The places of a host's name, in the order in which they count.
    hosts: [Option<u32>; 6],
}

const HOST_NAME: usize = 0;
const HOST_HOSTNAME: usize = 1;
const HOST: usize = 2;
const AGENT_HOSTNAME: usize = 3;
const AGENT_NAME: usize = 4;
const HOSTNAME: usize = 5;

impl Opener {
    /// Finds the event and the host's name in `line`, which may be of any length.
    pub(crate) fn open<'a>(
        &'a mut self,
        line: &'a [u8],
        fields: &Fields,
        profile: &Profile,
        origin: &Origin<'a>,
    ) -> Result<Opened<'a>, Fault> {
        if line.len() > profile.limits.line_bytes {
            return Err(Fault::Oversize);
        }
        self.way.clear();
        let start = match line.first() {
            Some(b'{') => 0,
            _ => memchr::memchr(b'{', line).ok_or(Fault::InvalidJson)?,
        };
        let layer = &mut self.layers[0];
        (layer.start, layer.owned) = (start, false);
        layer.read(line, fields, profile, &mut self.scanners)?;
        self.search(line, fields, profile, 0, Tape::ROOT)?;
        let named = self.find_host(line, profile).is_some();
        let Members { layer, node, .. } = *self.way.last().ok_or(Fault::NoEvent)?;
        let host = if named {
            Some(self.host.as_slice())
        } else {
            origin.host.filter(|host| !host.is_empty())
        };
        let Layer {
            text,
            owned,
            start,
            tape,
        } = &mut self.layers[layer];
        let event = tape.narrow(node);
        let text = if *owned { text } else { line };
        let text = event.of(&text[*start..]);
        Ok(Opened { text, tape, host })
    }

    /// The JSON of a layer, which the spans of its tape point into.
    fn json<'a>(&'a self, line: &'a [u8], layer: usize) -> &'a [u8] {
        let layer = &self.layers[layer];
        &layer.whole(line)[layer.start..]
    }

    /// Looks for the event in the object at `node` and, along the profile's paths, below it. On success the
    /// event's object is the last on the way.
    ///
    /// Fault: [`Fault::BadId`] if there is an `ID`, else what is wrong with the first candidate.
    fn search(
        &mut self,
        line: &[u8],
        fields: &Fields,
        profile: &Profile,
        layer: usize,
        node: u32,
    ) -> Result<(), Fault> {
        let members = self.members(line, layer, node);
        let depth = self.way.len();
        self.way.push(members);
        let mut fault = match members.id {
            Some(id) if self.is_id(line, layer, id) => return Ok(()),
            Some(_) => Fault::BadId,
            None => Fault::NoEvent,
        };
        for path in &profile.envelope {
            if depth == UNWRAPS {
                break;
            }
            let Some(candidate) =
                self.layers[layer]
                    .tape
                    .at_path(self.json(line, layer), node, path)
            else {
                continue;
            };
            let opened = match self.layers[layer].tape.node(candidate).kind {
                Kind::Object => self.search(line, fields, profile, layer, candidate),
                Kind::String => self
                    .read_string(line, fields, profile, layer, candidate)
                    .and_then(|inner| self.search(line, fields, profile, inner, Tape::ROOT)),
                _ => continue,
            };
            match opened {
                Ok(()) => return Ok(()),
                Err(inner) if fault == Fault::NoEvent => fault = inner,
                Err(_) => {}
            }
        }
        self.way.truncate(depth);
        Err(fault)
    }

    /// Reads the JSON in the string at `node` into the next layer. A string that does not look like an
    /// object at all is no candidate: [`Fault::NoEvent`].
    fn read_string(
        &mut self,
        line: &[u8],
        fields: &Fields,
        profile: &Profile,
        layer: usize,
        node: u32,
    ) -> Result<usize, Fault> {
        let mut text = std::mem::take(&mut self.layers[layer + 1].text);
        text.clear();
        text.shrink_to(KEPT_BYTES);
        unescape_into(
            self.layers[layer].tape.value(self.json(line, layer), node),
            &mut text,
        );
        let inner = &mut self.layers[layer + 1];
        (inner.text, inner.owned) = (text, true);
        inner.start = memchr::memchr(b'{', &inner.text).ok_or(Fault::NoEvent)?;
        let json = &inner.text[inner.start..];
        let looks_like_json = matches!(json.get(1), None | Some(b'"' | b' '));
        let read = inner.read(line, fields, profile, &mut self.scanners);
        read.map_err(|fault| {
            if looks_like_json {
                fault
            } else {
                Fault::NoEvent
            }
        })?;
        Ok(layer + 1)
    }

    /// Whether the node is a string of the form `<seconds>.<3 digits>:<serial>`.
    fn is_id(&self, line: &[u8], layer: usize, node: u32) -> bool {
        let tape = &self.layers[layer].tape;
        tape.node(node).kind == Kind::String && is_id(tape.value(self.json(line, layer), node))
    }

    /// Notes what the object at `node` says of its event and host; of equal names the last one counts.
    fn members(&self, line: &[u8], layer: usize, node: u32) -> Members {
        let (json, tape) = (self.json(line, layer), &self.layers[layer].tape);
        let mut found = Members {
            layer,
            node,
            ..Members::default()
        };
        for member in tape.children(node) {
            if tape.is_named && Known::is_record(tape.node(member).symbol) {
                continue;
            }
            let below = |name: &[u8]| tape.member(json, member, name);
            match tape.key(json, member) {
                b"ID" => found.id = Some(member),
                b"NODE" => found.laurel_node = Some(member),
                b"host" => {
                    found.hosts[HOST] = Some(member);
                    found.hosts[HOST_NAME] = below(b"name");
                    found.hosts[HOST_HOSTNAME] = below(b"hostname");
                }
                b"agent" => {
                    found.hosts[AGENT_HOSTNAME] = below(b"hostname");
                    found.hosts[AGENT_NAME] = below(b"name");
                }
                b"host.name" => found.hosts[HOST_NAME] = Some(member),
                b"host.hostname" => found.hosts[HOST_HOSTNAME] = Some(member),
                b"agent.hostname" => found.hosts[AGENT_HOSTNAME] = Some(member),
                b"agent.name" => found.hosts[AGENT_NAME] = Some(member),
                b"hostname" => found.hosts[HOSTNAME] = Some(member),
                _ => {}
            }
        }
        found
    }

    /// Puts the host's name into `host`: from the profile's pointer, from `NODE`, from the members that
    /// shippers write, nearest envelope first, since an outer one may tell of a relay, and last from the
    /// headers, nearest first.
    fn find_host(&mut self, line: &[u8], profile: &Profile) -> Option<()> {
        let mut host = std::mem::take(&mut self.host);
        let found = self.write_host(line, profile, &mut host);
        self.host = host;
        found
    }

    fn write_host(&self, line: &[u8], profile: &Profile, host: &mut Vec<u8>) -> Option<()> {
        let event = self.way.last()?;
        let tape = |members: &Members| &self.layers[members.layer].tape;
        let json = |members: &Members| self.json(line, members.layer);
        if let Some(pointer) = &profile.host_pointer {
            for members in &self.way {
                let node = tape(members).at_pointer(json(members), members.node, pointer);
                if write_string(tape(members), json(members), node, host).is_some() {
                    return Some(());
                }
            }
        }
        if let Some(()) = write_laurel_node(tape(event), json(event), event.laurel_node, host) {
            return Some(());
        }
        for members in self.way.iter().rev() {
            for node in members.hosts {
                if write_string(tape(members), json(members), node, host).is_some() {
                    return Some(());
                }
            }
        }
        let header = |layer: usize| {
            let layer = &self.layers[layer];
            header_host(&layer.whole(line)[..layer.start])
        };
        let name = (0..=event.layer).rev().find_map(header)?;
        host.clear();
        host.extend_from_slice(name);
        Some(())
    }
}

impl Layer {
    /// The text with its header.
    fn whole<'a>(&'a self, line: &'a [u8]) -> &'a [u8] {
        if self.owned { &self.text } else { line }
    }

    /// Reads the JSON onto the tape; where names are escaped, again with plain ones.
    fn read(
        &mut self,
        line: &[u8],
        fields: &Fields,
        profile: &Profile,
        scanners: &mut Scanners,
    ) -> Result<(), Fault> {
        let text = if self.owned { &self.text } else { line };
        let (header, json) = text.split_at(self.start);
        let (limits, rescued) = (&profile.limits, &mut scanners.rescued);
        let anchored = &mut scanners.anchored;
        if !scanners.is_anchored_off
            && anchored
                .fill(json, &mut self.tape, fields, profile)
                .is_some()
        {
            // No name on this path is escaped.
            return Ok(());
        }
        scan::read(json, &mut self.tape, limits, rescued)?;
        let Some(plain) = plain_names(json, &self.tape) else {
            return Ok(());
        };
        self.text = [header, &plain].concat();
        self.owned = true;
        scan::read(&plain, &mut self.tape, limits, rescued)
    }
}

/// The text with its member names unescaped; `None` if none is escaped. A name that cannot stand in a JSON
/// string without an escape stays as it is.
fn plain_names(json: &[u8], tape: &Tape) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', json)?;
    let is_escaped = |node: &&Node| node.key != Span::NONE && node.key.of(json).contains(&b'\\');
    let mut escaped = tape.nodes.iter().filter(is_escaped).peekable();
    escaped.peek()?;
    let (mut plain, mut read) = (Vec::with_capacity(json.len()), 0);
    for node in escaped {
        let (from, raw) = (node.key.offset as usize, node.key.of(json));
        let mut name = Vec::new();
        unescape_into(raw, &mut name);
        let fits = name
            .iter()
            .all(|byte| *byte >= b' ' && !matches!(byte, b'"' | b'\\'));
        plain.extend_from_slice(&json[read..from]);
        plain.extend_from_slice(if fits { &name } else { raw });
        read = from + raw.len();
    }
    plain.extend_from_slice(&json[read..]);
    Some(plain)
}

/// Whether this is an id as Laurel writes it: `^\d+\.\d{3}:\d+$`.
pub(crate) fn is_id(id: &[u8]) -> bool {
    event_id(id).is_some() || has_form_of_id(id)
}

fn has_form_of_id(id: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let Some(dot) = memchr::memchr(b'.', id) else {
        return false;
    };
    let (seconds, rest) = (&id[..dot], &id[dot + 1..]);
    digits(seconds)
        && rest.split_at_checked(3).is_some_and(|(ms, serial)| {
            digits(ms)
                && serial
                    .split_first()
                    .is_some_and(|(&colon, serial)| colon == b':' && digits(serial))
        })
}

/// Writes a shipper's string, if the node is one and not empty. Shippers do not percent-encode.
fn write_string(tape: &Tape, json: &[u8], node: Option<u32>, host: &mut Vec<u8>) -> Option<()> {
    let node = node.filter(|&node| tape.node(node).kind == Kind::String)?;
    host.clear();
    unescape_into(tape.value(json, node), host);
    (!host.is_empty()).then_some(())
}

/// Writes `NODE` (N3): Laurel's string, or the bytes of the name as an array of numbers (0.6.0).
fn write_laurel_node(
    tape: &Tape,
    json: &[u8],
    node: Option<u32>,
    host: &mut Vec<u8>,
) -> Option<()> {
    let node = node?;
    host.clear();
    match tape.node(node).kind {
        Kind::String => decode_into(tape.value(json, node), host),
        Kind::Array => {
            for element in tape.children(node) {
                let number = decimal(tape.value(json, element))?;
                host.push(u8::try_from(number).ok()?);
            }
        }
        _ => return None,
    }
    (!host.is_empty()).then_some(())
}

/// The host in a syslog header as rsyslog and syslog-ng write it: an optional `<priority>` and version,
/// a time stamp (`Nov 24 08:35:15` or ISO 8601), the host. `None` where the form is another.
fn header_host(header: &[u8]) -> Option<&[u8]> {
    let mut rest = header.trim_ascii_start();
    if let Some(behind) = rest.strip_prefix(b"<") {
        let end = memchr::memchr(b'>', behind)?;
        rest = &behind[end + 1..];
    }
    let mut words = rest
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty());
    let mut time = words.next()?;
    if time.len() <= 2 && decimal(time).is_some() {
        time = words.next()?;
    }
    if is_month(time) {
        decimal(words.next()?)?;
        is_clock(words.next()?).then_some(())?;
    } else {
        is_iso_time(time).then_some(())?;
    }
    words
        .next()
        .filter(|host| *host != b"-" && !host.ends_with(b":"))
}

fn is_month(word: &[u8]) -> bool {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    MONTHS.iter().any(|month| month.as_slice() == word)
}

/// `hh:mm:ss`, with or without a fraction.
fn is_clock(word: &[u8]) -> bool {
    word.len() >= 8 && [2, 5].iter().all(|&at| word[at] == b':') && word[0].is_ascii_digit()
}

/// `yyyy-mm-ddThh:mm:ss` and whatever follows.
fn is_iso_time(word: &[u8]) -> bool {
    word.get(4) == Some(&b'-')
        && word.get(7) == Some(&b'-')
        && word.get(10) == Some(&b'T')
        && is_clock(&word[11..])
        && word[0].is_ascii_digit()
}

#[cfg(test)]
mod tests;
