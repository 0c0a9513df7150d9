//! Socket addresses in their three forms (N8): Laurel's object, auditd's text, the raw bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Kind;
use crate::Span;
use crate::normal::{NONE, Normal, piece};
use crate::symbol::Known;
use crate::text::decimal;

/// Longest text of an IP address.
const IP_TEXT_MAX: usize = 45;

/// A raw address as read from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raw {
    Inet {
        addr: Ipv4Addr,
        port: u16,
    },
    Inet6 {
        addr: Ipv6Addr,
        port: u16,
        flowinfo: u32,
        scope_id: u32,
    },
    /// Where the path lies within the bytes.
    Local {
        from: usize,
        to: usize,
    },
}

/// Gives an element of SOCKADDR the object form under `SADDR`, whatever form it came in; leaves it as
/// it is if none can be read. IPv4-mapped IPv6 addresses become IPv4.
pub(crate) fn normalise(text: &[u8], normal: &mut Normal, element: u32) {
    let address = normal.member(element, Known::Address);
    match normal.kind(address) {
        Kind::Object => {
            let addr = normal.member(address, Known::Addr);
            unmap(text, normal, addr);
            return;
        }
        Kind::String if parse_text(text, normal, address) => return,
        _ => {}
    }
    let raw = normal.member(element, Known::RawAddress);
    if normal.kind(raw) == Kind::String {
        let bytes = normal.text(text, raw);
        parse_raw(text, normal, element, address, bytes);
    }
}

/// The address as text in canonical form, IPv4 for a mapped one; `None` if it is no IP address.
pub(crate) fn ip(text: &[u8]) -> Option<IpAddr> {
    if text.len() > IP_TEXT_MAX {
        return None;
    }
    let addr: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(addr.to_canonical())
}

/// Writes the canonical text of an address over the node's value where it differs.
fn unmap(text: &[u8], normal: &mut Normal, addr: u32) {
    if normal.kind(addr) != Kind::String {
        return;
    }
    let value = normal.text(text, addr);
    if let Some(ip) = ip(normal.bytes(text, value)) {
        let printed = store_ip(normal, ip);
        if normal.bytes(text, printed) == normal.bytes(text, value) {
            normal
                .arena
                .truncate((printed.offset & !Span::ARENA) as usize);
        } else {
            normal.tape.nodes[addr as usize].value = printed;
        }
    }
}

fn store_ip(normal: &mut Normal, ip: IpAddr) -> Span {
    use std::io::Write as _;
    let from = normal.arena.len();
    write!(normal.arena, "{ip}").expect("memory can be written to");
    crate::normal::arena_span(from, normal.arena.len())
}

/// Reads auditd's `{saddr_fam=inet laddr=192.0.2.9 lport=443}` and puts its members below `address`.
fn parse_text(text: &[u8], normal: &mut Normal, address: u32) -> bool {
    let whole = normal.text(text, address);
    let bytes = normal.bytes(text, whole);
    let Some(inner) = bytes
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"))
    else {
        return false;
    };
    let Some(rest) = inner.strip_prefix(b"saddr_fam=") else {
        return false;
    };
    let length = rest
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(rest.len());
    let (from, to) = (b"{saddr_fam=".len(), b"{saddr_fam=".len() + length);
    let family = piece(whole, from, to);
    let value_of = |normal: &Normal, key: &[u8]| {
        let bytes = normal.bytes(text, whole);
        let at = memchr::memmem::find(&bytes[to..], key)? + to + key.len();
        let length = bytes[at..]
            .iter()
            .position(|byte| matches!(byte, b' ' | b'}'))?;
        Some(piece(whole, at, at + length))
    };
    let first = normal.next_node();
    match normal.bytes(text, family) {
        b"inet" | b"inet6" => {
            let (Some(addr), Some(port)) =
                (value_of(normal, b" laddr="), value_of(normal, b" lport="))
            else {
                return false;
            };
            if ip(normal.bytes(text, addr)).is_none() || decimal(normal.bytes(text, port)).is_none()
            {
                return false;
            }
            normal.push_known(Known::Family, Kind::String, family);
            let addr = normal.push_known(Known::Addr, Kind::String, addr);
            unmap(text, normal, addr);
            normal.push_known(Known::Port, Kind::Number, port);
        }
        b"local" => {
            // A path may hold blanks and braces: everything up to the last one is its own.
            let bytes = normal.bytes(text, whole);
            if !bytes[to..].starts_with(b" path=") {
                return false;
            }
            let path = piece(whole, to + b" path=".len(), bytes.len() - 1);
            normal.push_known(Known::Family, Kind::String, family);
            normal.push_known(Known::SocketPath, Kind::String, path);
        }
        b"netlink" => {
            let pid = value_of(normal, b" nlnk-pid=");
            normal.push_known(Known::Family, Kind::String, family);
            if let Some(pid) = pid {
                normal.push_known(Known::PidNumber, Kind::Number, pid);
            }
        }
        _ => return false,
    }
    normal.tape.nodes[address as usize].kind = Kind::Object;
    normal.adopt(address, first, true);
    true
}

/// Reads the raw bytes and puts an object below the element, in place of a `SADDR` that could not be
/// read.
fn parse_raw(text: &[u8], normal: &mut Normal, element: u32, address: u32, span: Span) {
    let Some(raw) = read_raw(normal.bytes(text, span)) else {
        return;
    };
    if address != NONE {
        normal.tape.nodes[address as usize].symbol = crate::symbol::Symbol::DEAD;
    }
    let object = normal.push_known(Known::Address, Kind::Object, span);
    match raw {
        Raw::Inet { addr, port } => {
            push_text(normal, Known::Family, b"inet");
            push_ip(normal, addr.into());
            push_number(normal, Known::Port, port.into());
        }
        Raw::Inet6 {
            addr,
            port,
            flowinfo,
            scope_id,
        } => {
            push_text(normal, Known::Family, b"inet6");
            push_ip(normal, IpAddr::from(addr).to_canonical());
            push_number(normal, Known::Port, port.into());
            push_number(normal, Known::Flowinfo, flowinfo.into());
            push_number(normal, Known::ScopeId, scope_id.into());
        }
        Raw::Local { from, to } => {
            push_text(normal, Known::Family, b"local");
            let path = piece(span, from, to);
            normal.push_known(Known::SocketPath, Kind::String, path);
        }
    }
    normal.close(object);
    normal.adopt(element, object, false);
}

fn push_text(normal: &mut Normal, name: Known, value: &[u8]) {
    let value = normal.store(value);
    normal.push_known(name, Kind::String, value);
}

fn push_number(normal: &mut Normal, name: Known, value: u64) {
    let value = normal.store_number(value);
    normal.push_known(name, Kind::Number, value);
}

fn push_ip(normal: &mut Normal, ip: IpAddr) {
    let value = store_ip(normal, ip);
    normal.push_known(Known::Addr, Kind::String, value);
}

/// Family as u16 of the sending host, little-endian on all three architectures; port big-endian.
fn read_raw(bytes: &[u8]) -> Option<Raw> {
    let family = u16::from_le_bytes(*bytes.first_chunk()?);
    let at = |from: usize| bytes.get(from..)?.first_chunk::<4>().copied();
    let port = || Some(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?));
    match family {
        1 => {
            let path = bytes.get(2..)?;
            // A leading NUL marks an abstract name; it stays a part of it.
            let named = usize::from(path.first() == Some(&0));
            let end = path[named..]
                .iter()
                .position(|byte| *byte == 0)
                .map_or(path.len(), |at| named + at);
            Some(Raw::Local {
                from: 2,
                to: 2 + end,
            })
        }
        2 => Some(Raw::Inet {
            addr: at(4)?.into(),
            port: port()?,
        }),
        10 => Some(Raw::Inet6 {
            addr: Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?),
            port: port()?,
            flowinfo: u32::from_be_bytes(at(4)?),
            scope_id: at(24).map_or(0, u32::from_le_bytes),
        }),
        _ => None,
    }
}
