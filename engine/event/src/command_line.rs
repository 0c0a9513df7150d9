//! Command lines from argument vectors (N12), of EXECVE and PROCTITLE alike.

use crate::normal::{CommandLine, NONE, Normal, arena_span, piece};
use crate::symbol::{Known, Symbol};
use crate::text::decode_into;
use crate::{Counts, Kind, Span};

/// How Laurel marks left-out arguments in `ARGV_STR`.
const SKIPPED: &[u8] = b"<<< Skipped: args=";

/// The joined command line of an EXECVE or PROCTITLE object; `None` without arguments in any form.
///
/// Each argument is decoded into the arena once, as part of the joined text, and its node then points
/// there. Where only `ARGV_STR` is there, the record gets an `ARGV` of its pieces between blanks.
pub(crate) fn join(
    text: &[u8],
    normal: &mut Normal,
    record: u32,
    arguments_max: usize,
    counts: &mut Counts,
) -> Option<CommandLine> {
    let argv = normal.member(record, Known::Argv);
    if normal.kind(argv) == Kind::Array {
        limit(normal, argv, arguments_max, counts);
        return Some(join_array(text, normal, argv));
    }
    let whole = normal.member(record, Known::ArgvStr);
    if normal.kind(whole) != Kind::String {
        return None;
    }
    let line = normal.text(text, whole);
    normal.flags.argv_split_guess = true;
    normal.flags.argv_truncated |=
        memchr::memmem::find(normal.bytes(text, line), SKIPPED).is_some();
    split(text, normal, record, line, arguments_max, counts);
    Some(CommandLine {
        text: line,
        node: whole,
    })
}

/// Retires the arguments beyond the limit.
fn limit(normal: &mut Normal, argv: u32, arguments_max: usize, counts: &mut Counts) {
    let mut elements = normal.children(argv);
    let mut count = 0;
    while let Some(element) = elements.next(normal) {
        count += 1;
        if count > arguments_max {
            normal.tape.nodes[element as usize].symbol = Symbol::DEAD;
        }
    }
    if count > arguments_max {
        limit_reached(normal, counts);
    }
}

/// Flags the event; it is counted once.
pub(crate) fn limit_reached(normal: &mut Normal, counts: &mut Counts) {
    counts.limit_reached += u64::from(!normal.flags.limit_reached);
    normal.flags.limit_reached = true;
}

fn join_array(text: &[u8], normal: &mut Normal, argv: u32) -> CommandLine {
    let from = normal.arena.len();
    let mut elements = normal.children(argv);
    let mut first = true;
    while let Some(element) = elements.next(normal) {
        if !first {
            normal.arena.push(b' ');
        }
        first = false;
        append_argument(text, normal, element);
    }
    CommandLine {
        text: arena_span(from, normal.arena.len()),
        node: argv,
    }
}

fn append_argument(text: &[u8], normal: &mut Normal, element: u32) {
    let node = normal.node(element);
    let from = normal.arena.len();
    match node.kind {
        Kind::Null | Kind::Array => {}
        Kind::Object => append_skipped(text, normal, element),
        Kind::Number | Kind::Bool => normal.append(text, node.value),
        Kind::String => {
            if node.coded {
                decode_into(node.value.of(text), &mut normal.arena);
            } else {
                normal.append(text, node.value);
            }
            let argument = &mut normal.tape.nodes[element as usize];
            argument.value = arena_span(from, normal.arena.len());
            argument.coded = false;
        }
    }
}

/// Writes `{"skipped_args":7,"skipped_bytes":329}` as `ARGV_STR` would have it.
fn append_skipped(text: &[u8], normal: &mut Normal, element: u32) {
    normal.flags.argv_truncated = true;
    let count = |name| {
        let member = normal.member(element, name);
        if member == NONE {
            Span::NONE
        } else {
            normal.node(member).value
        }
    };
    let (args, bytes) = (count(Known::SkippedArgs), count(Known::SkippedBytes));
    normal.arena.extend_from_slice(SKIPPED);
    normal.append(text, args);
    normal.arena.extend_from_slice(b", bytes=");
    normal.append(text, bytes);
    normal.arena.extend_from_slice(b" >>>");
}

/// Gives the record an `ARGV` of the line's pieces between single blanks. Laurel's mark of left-out
/// arguments is one piece, an object as in a true `ARGV`.
fn split(
    text: &[u8],
    normal: &mut Normal,
    record: u32,
    line: Span,
    arguments_max: usize,
    counts: &mut Counts,
) {
    let argv = normal.push_known(Known::Argv, Kind::Array, line);
    let (mut from, length) = (0, line.len as usize);
    for position in 0.. {
        if position == arguments_max {
            limit_reached(normal, counts);
            break;
        }
        let rest = normal.bytes(text, piece(line, from, length));
        let (kind, end) = match skipped_mark(rest) {
            Some(end) => (Kind::Object, Some(end)),
            None => (Kind::String, memchr::memchr(b' ', rest)),
        };
        let to = end.map_or(length, |end| from + end);
        normal.push(Symbol::ELEMENT, Span::NONE, kind, piece(line, from, to));
        if to == length {
            break;
        }
        from = to + 1;
    }
    normal.close(argv);
    normal.adopt(record, argv, false);
}

/// Length of the mark of left-out arguments that the text begins with.
fn skipped_mark(text: &[u8]) -> Option<usize> {
    const END: &[u8] = b" >>>";
    let behind = text.strip_prefix(SKIPPED)?;
    let end = behind.iter().take(64).position(|byte| *byte == b'>')?;
    let mark = SKIPPED.len() + end + 3;
    (text.get(..mark)?.ends_with(END) && matches!(text.get(mark), None | Some(b' ')))
        .then_some(mark)
}
