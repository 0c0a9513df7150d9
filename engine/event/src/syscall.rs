//! Syscall numbers to names (N10), and the groups of calls that views and path names depend on.

use crate::syscall_tables::{AARCH64, I386, X86_64};

/// Number of i386 `socketcall`, whose first argument says which call it stands for.
const SOCKETCALL: u64 = 102;
/// The calls behind `socketcall`, by its first argument (`linux/net.h`); nothing is 0.
const SOCKET_CALLS: [&str; 21] = [
    "",
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// Name of a syscall by `arch` as logged (`0xc000003e`) and number; `None` for other architectures and
/// for numbers the tables lack.
pub(crate) fn name(arch: &[u8], number: u64) -> Option<&'static str> {
    let table = match arch {
        b"0xc000003e" => X86_64,
        b"0xc00000b7" => AARCH64,
        b"0x40000003" => I386,
        _ => return None,
    };
    let number = u16::try_from(number).ok()?;
    let at = table.binary_search_by_key(&number, |entry| entry.0).ok()?;
    Some(table[at].1)
}

/// Whether this is i386's `socketcall`, by name or by number.
pub(crate) fn is_socketcall(arch: &[u8], number: Option<u64>, name: &[u8]) -> bool {
    name == b"socketcall" || arch == b"0x40000003" && number == Some(SOCKETCALL)
}

/// The call behind `socketcall` by its first argument as logged (`0x3`).
pub(crate) fn socket_call(argument: &[u8]) -> Option<&'static str> {
    let digits = std::str::from_utf8(argument.strip_prefix(b"0x")?).ok()?;
    let number = usize::from_str_radix(digits, 16).ok()?;
    SOCKET_CALLS
        .get(number)
        .copied()
        .filter(|name| !name.is_empty())
}

/// What a view makes of a syscall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// unlink, unlinkat, rmdir.
    Delete,
    /// rename, renameat, renameat2.
    Rename,
    /// connect, sendto, sendmsg.
    Connect,
    /// accept, accept4.
    Accept,
    /// Any other, and none at all.
    Other,
}

impl Call {
    /// The group of the call of this name.
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"unlink" | b"unlinkat" | b"rmdir" => Self::Delete,
            b"rename" | b"renameat" | b"renameat2" => Self::Rename,
            b"connect" | b"sendto" | b"sendmsg" => Self::Connect,
            b"accept" | b"accept4" => Self::Accept,
            _ => Self::Other,
        }
    }
}

/// Which of the arguments 0 to 3 are directory descriptors that relative names start from (N9); empty
/// for calls without any. A list, not a test for `at`: `stat` and `shmat` end in it too.
pub(crate) fn directory_arguments(name: &[u8]) -> &'static [usize] {
    match name {
        b"renameat" | b"renameat2" | b"linkat" => &[0, 2],
        b"symlinkat" => &[1],
        b"openat" | b"openat2" | b"unlinkat" | b"mkdirat" | b"mknodat" | b"readlinkat"
        | b"fchmodat" | b"fchmodat2" | b"fchownat" | b"faccessat" | b"faccessat2"
        | b"newfstatat" | b"fstatat64" | b"statx" | b"utimensat" | b"futimesat" | b"execveat"
        | b"name_to_handle_at" => &[0],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{name, socket_call};
    use crate::syscall_tables::{AARCH64, I386, X86_64};

    /// `x86_64`, `aarch64`, `i386`; the spot checks of the format description.
    const KNOWN: &[(&str, [Option<u64>; 3])] = &[
        ("execve", [Some(59), Some(221), Some(11)]),
        ("execveat", [Some(322), Some(281), Some(358)]),
        ("connect", [Some(42), Some(203), Some(362)]),
        ("accept", [Some(43), Some(202), None]),
        ("accept4", [Some(288), Some(242), Some(364)]),
        ("socket", [Some(41), Some(198), Some(359)]),
        ("open", [Some(2), None, Some(5)]),
        ("creat", [Some(85), None, Some(8)]),
        ("openat", [Some(257), Some(56), Some(295)]),
        ("openat2", [Some(437), Some(437), Some(437)]),
        ("unlink", [Some(87), None, Some(10)]),
        ("unlinkat", [Some(263), Some(35), Some(301)]),
        ("rename", [Some(82), None, Some(38)]),
        ("renameat", [Some(264), Some(38), Some(302)]),
        ("renameat2", [Some(316), Some(276), Some(353)]),
        ("rmdir", [Some(84), None, Some(40)]),
        ("mkdir", [Some(83), None, Some(39)]),
        ("linkat", [Some(265), Some(37), Some(303)]),
        ("clone", [Some(56), Some(220), Some(120)]),
        ("clone3", [Some(435), Some(435), Some(435)]),
        ("ptrace", [Some(101), Some(117), Some(26)]),
        ("bpf", [Some(321), Some(280), Some(357)]),
        ("memfd_create", [Some(319), Some(279), Some(356)]),
        ("init_module", [Some(175), Some(105), Some(128)]),
        ("finit_module", [Some(313), Some(273), Some(350)]),
        ("personality", [Some(135), Some(92), Some(136)]),
        ("sysinfo", [Some(99), Some(179), Some(116)]),
        ("syslog", [Some(103), Some(116), Some(103)]),
        ("mknod", [Some(133), None, Some(14)]),
        ("socketcall", [None, None, Some(102)]),
    ];

    #[test]
    fn numbers_have_the_kernel_s_names() {
        let architectures = [
            (&b"0xc000003e"[..], X86_64),
            (b"0xc00000b7", AARCH64),
            (b"0x40000003", I386),
        ];
        for (call, numbers) in KNOWN {
            for ((arch, table), number) in architectures.into_iter().zip(numbers) {
                match number {
                    Some(number) => assert_eq!(name(arch, *number), Some(*call)),
                    None => assert!(table.iter().all(|entry| entry.1 != *call), "{call}"),
                }
            }
        }
    }

    #[test]
    fn tables_are_sorted_and_complete_up_to_the_common_numbers() {
        for table in [X86_64, AARCH64, I386] {
            assert!(table.is_sorted_by(|a, b| a.0 < b.0));
            let common = table
                .iter()
                .filter(|entry| entry.0 >= 424)
                .map(|entry| entry.0);
            assert!(common.eq(424..=469));
        }
    }

    #[test]
    fn unknown_numbers_and_architectures_have_no_name() {
        for (arch, number) in [
            (&b"0xc000003e"[..], 9999),
            (b"0xc000003e", 1 << 40),
            (b"0xc0000015", 1),
        ] {
            assert_eq!(name(arch, number), None);
        }
    }

    #[test]
    fn socketcall_s_first_argument_names_the_call() {
        let calls = ["0x1", "0x3", "0x5", "0x12", "0x0", "0x99", "3"];
        assert_eq!(
            calls.map(|argument| socket_call(argument.as_bytes())),
            [
                Some("socket"),
                Some("connect"),
                Some("accept"),
                Some("accept4"),
                None,
                None,
                None
            ]
        );
    }
}
