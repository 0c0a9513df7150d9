//! Names of PATH records as absolute paths (N9).

use crate::command_line::limit_reached;
use crate::normal::{Normal, arena_span};
use crate::symbol::Known;
use crate::syscall::directory_arguments;
use crate::{Counts, Span};

/// What a relative name is prefixed with where its directory is unknown.
const UNKNOWN_DIRECTORY: &[u8] = b"<dirfd>/";
/// Longest working directory that names are joined to: twice the kernel's `PATH_MAX`. It bounds what
/// a hostile line of many names can make of one long directory.
const DIRECTORY_MAX: u32 = 8192;

/// What relative names of an event start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// This directory, as decoded.
    Directory(Span),
    /// A directory known only by its descriptor.
    Descriptor,
    /// Nobody knows: names stay as logged.
    None,
}

/// What relative names of this event start from.
pub(crate) fn base(text: &[u8], normal: &mut Normal) -> Base {
    let call = normal.bytes(text, normal.call);
    let directories = directory_arguments(call);
    if directories
        .iter()
        .any(|&argument| !is_current_directory(text, normal, argument))
    {
        return Base::Descriptor;
    }
    let cwd = normal.member(normal.cwd, Known::CwdPath);
    let directory = normal.text(text, cwd);
    // The kernel writes `(unreachable)/..` for a directory outside of the process's root.
    if normal.bytes(text, directory).starts_with(b"/") {
        Base::Directory(directory)
    } else {
        Base::None
    }
}

/// Whether an argument of the syscall is `AT_FDCWD`. One that was not logged is not known to be.
fn is_current_directory(text: &[u8], normal: &Normal, argument: usize) -> bool {
    let mut arguments = normal.children(normal.of_syscall(Known::Argv));
    let mut at = 0;
    while let Some(element) = arguments.next(normal) {
        if at == argument {
            let value = normal.bytes(text, normal.node(element).value);
            return matches!(value, b"0xffffff9c" | b"0xffffffffffffff9c");
        }
        at += 1;
    }
    false
}

/// The absolute form of a decoded name; the name itself where it is absolute, empty, or starts
/// nowhere known.
pub(crate) fn absolute(
    text: &[u8],
    normal: &mut Normal,
    base: Base,
    name: Span,
    counts: &mut Counts,
) -> Span {
    if matches!(normal.bytes(text, name).first(), None | Some(b'/')) {
        return name;
    }
    let from = normal.arena.len();
    match base {
        Base::None => return name,
        Base::Descriptor => {
            normal.arena.extend_from_slice(UNKNOWN_DIRECTORY);
            normal.append(text, name);
        }
        Base::Directory(directory) if directory.len > DIRECTORY_MAX => {
            limit_reached(normal, counts);
            return name;
        }
        Base::Directory(directory) => {
            normal.append(text, directory);
            normal.arena.push(b'/');
            normal.append(text, name);
            resolve(&mut normal.arena, from);
        }
    }
    arena_span(from, normal.arena.len())
}

/// Resolves empty, `.` and `..` components of the absolute path in `arena` from byte `from` on, by
/// their names alone, in place. The result does not end with a slash, except for the root.
fn resolve(arena: &mut Vec<u8>, from: usize) {
    let end = arena.len();
    let (mut read, mut write) = (from, from);
    while read < end {
        let length = memchr::memchr(b'/', &arena[read..end]).unwrap_or(end - read);
        match &arena[read..read + length] {
            b"" | b"." => {}
            b".." => {
                write = from + memchr::memrchr(b'/', &arena[from..write]).unwrap_or(0);
            }
            // There is room for the slash: the path is absolute, so one was read before.
            _ => {
                arena[write] = b'/';
                arena.copy_within(read..read + length, write + 1);
                write += 1 + length;
            }
        }
        read += length + 1;
    }
    arena.truncate(write);
    if write == from {
        arena.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    fn resolved(path: &str) -> String {
        let mut arena = b"before".to_vec();
        arena.extend_from_slice(path.as_bytes());
        resolve(&mut arena, 6);
        String::from_utf8(arena.split_off(6)).unwrap()
    }

    #[test]
    fn dots_are_resolved_by_their_names_alone() {
        for (path, expected) in [
            ("/srv/app/./run.sh", "/srv/app/run.sh"),
            ("/srv/app/../x", "/srv/x"),
            ("/srv//app//x", "/srv/app/x"),
            ("/a/../../../etc/passwd", "/etc/passwd"),
            ("/a/..", "/"),
            ("//", "/"),
            ("/home/u/.", "/home/u"),
            ("/a/..b/...", "/a/..b/..."),
            ("/a/b/", "/a/b"),
        ] {
            assert_eq!(resolved(path), expected, "{path}");
        }
    }
}
