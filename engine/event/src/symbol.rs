//! Member names as small numbers: each name on a tape is looked up once, everything behind compares
//! numbers.
//!
//! A name gets a number because the normalisation knows it ([`Known`]) or because a loaded rule reads
//! it; all others are [`Symbol::OTHER`]. Names are case-sensitive: `syscall` and `SYSCALL` stand side
//! by side in one record.

/// Number of a member name, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(u16);

impl Symbol {
    /// A name that nobody asked for.
    pub(crate) const OTHER: Self = Self(u16::MAX);
    /// No name: the element of an array, or the root.
    pub(crate) const ELEMENT: Self = Self(u16::MAX - 1);
    /// A node that no longer counts: overridden by a later member of its name, or beyond a limit.
    pub(crate) const DEAD: Self = Self(u16::MAX - 2);
    /// How many names fit.
    const MAX: usize = u16::MAX as usize - 2;

    /// Index for tables by symbol; the three special ones lie far above every table's end.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Names that normalisation and mapped views read.
macro_rules! known {
    ($($variant:ident $text:literal,)*) => {
        /// The member names that the code itself reads; their symbols are the first ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        #[expect(dead_code, reason = "ids are told apart by their places in the table")]
        pub(crate) enum Known { $($variant,)* }

        impl Known {
            /// Their texts, by number.
            pub(crate) const TEXTS: &[&str] = &[$($text,)*];
        }
    };
}

known! {
    // Translated ids, and below the raw ones in the same order (N14).
    UidName "UID", AuidName "AUID", EuidName "EUID", SuidName "SUID", FsuidName "FSUID",
    GidName "GID", EgidName "EGID", SgidName "SGID", FsgidName "FSGID", OuidName "OUID",
    OgidName "OGID", OauidName "OAUID", OldAuidName "OLD-AUID",
    Uid "uid", Auid "auid", Euid "euid", Suid "suid", Fsuid "fsuid", Gid "gid", Egid "egid",
    Sgid "sgid", Fsgid "fsgid", Ouid "ouid", Ogid "ogid", Oauid "oauid", OldAuid "old-auid",
    // Members of the event.
    Id "ID", Node "NODE", Syscall "SYSCALL", Execve "EXECVE", Cwd "CWD", Proctitle "PROCTITLE",
    Path "PATH", Sockaddr "SOCKADDR", ConfigChange "CONFIG_CHANGE",
    ContainerInfo "CONTAINER_INFO", ParentInfo "PARENT_INFO",
    // Members of records.
    ArchName "ARCH", SyscallNumber "syscall", ArchNumber "arch", Success "success", Exit "exit", Exe "exe",
    Comm "comm", Tty "tty", Ses "ses", PidNumber "pid", PpidNumber "ppid", Key "key",
    Argv "ARGV", ArgvStr "ARGV_STR", Argc "argc", Pid "PID", Ppid "PPID",
    SpawnedBy "SPAWNED_BY", Script "SCRIPT", Labels "LABELS", ExeHash "EXE_HASH",
    EventId "EVENT_ID", StartTime "START_TIME", Container "container",
    SystemdService "systemd_service", ContainerId "id", CwdPath "cwd", Name "name",
    Nametype "nametype", RawAddress "saddr", Address "SADDR", Family "saddr_fam", Addr "addr",
    Port "port", Flowinfo "flowinfo", ScopeId "scope_id", SocketPath "path", Msg "msg", Old "old", SkippedArgs "skipped_args", SkippedBytes "skipped_bytes",
    Hostname "hostname", Terminal "terminal", NewGid "new_gid", Sauid "sauid", Spid "spid",
    Rport "rport", Lport "lport", Ksize "ksize",
}

impl Known {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::TEXTS.len();
    /// How many kinds of ids have a translated and a raw name; the first two blocks of the table.
    pub(crate) const IDS: usize = 13;

    /// Whether it names audit records.
    pub(crate) fn is_record(name: Symbol) -> bool {
        const FIRST: usize = Known::Syscall as usize;
        const LAST: usize = Known::ConfigChange as usize;
        (FIRST..=LAST).contains(&name.index())
    }

    /// Its symbol.
    pub(crate) const fn symbol(self) -> Symbol {
        Symbol(self as u16)
    }

    /// Its text.
    pub(crate) const fn text(self) -> &'static str {
        Self::TEXTS[self as usize]
    }
}

/// A member name as the two words it is compared by: its first and its last eight bytes, which hold all
/// of a name of up to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    head: u64,
    tail: u64,
    len: u32,
}

impl Name {
    /// The longest name that its words hold whole.
    const WHOLE: u32 = 16;

    /// The words of a name.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "spans have lengths of 32 bits"
    )]
    pub(crate) fn of(name: &[u8]) -> Self {
        let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => short(name),
        };
        let len = name.len() as u32;
        Self { head, tail, len }
    }

    /// Whether two names are the same; `texts` gives both where the words do not hold all of them.
    pub(crate) fn is<'a>(self, other: Self, texts: impl FnOnce() -> (&'a [u8], &'a [u8])) -> bool {
        self == other
            && (self.len <= Self::WHOLE || {
                let (one, two) = texts();
                one == two
            })
    }

    /// Well mixed bits of the words.
    pub(crate) fn hash(self) -> u64 {
        let words = self.head ^ self.tail.rotate_left(29) ^ (u64::from(self.len) << 59);
        let mixed = words.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
}

/// The words of a name of fewer than eight bytes.
fn short(name: &[u8]) -> (u64, u64) {
    match (name.first_chunk::<4>(), name.last_chunk::<4>(), name) {
        (Some(head), Some(tail), _) => (
            u32::from_le_bytes(*head).into(),
            u32::from_le_bytes(*tail).into(),
        ),
        (_, _, [first, .., last]) => (
            u64::from(*first),
            u64::from(name[name.len() / 2]) << 8 | u64::from(*last),
        ),
        (_, _, [only]) => (u64::from(*only), 0),
        _ => (0, 0),
    }
}

/// The names that have a number.
#[derive(Clone, Debug)]
pub(crate) struct Symbols {
    names: Vec<Box<[u8]>>,
    /// Open addressing by hash, at most half full.
    table: Vec<(Name, Symbol)>,
}

/// A place of the table that is free.
const FREE: (Name, Symbol) = (
    Name {
        head: 0,
        tail: 0,
        len: 0,
    },
    Symbol::OTHER,
);

impl Symbols {
    /// Just the known names.
    pub(crate) fn new() -> Self {
        let mut symbols = Self {
            names: vec![],
            table: vec![FREE; 512],
        };
        for text in Known::TEXTS {
            symbols.intern(text.as_bytes());
        }
        symbols
    }

    /// How many names have a number.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of a name, given to it now if need be; [`Symbol::OTHER`] once no number is left.
    pub(crate) fn intern(&mut self, name: &[u8]) -> Symbol {
        let found = self.find(name);
        if found != Symbol::OTHER || self.names.len() == Symbol::MAX {
            return found;
        }
        self.names.push(name.into());
        if self.names.len() * 2 > self.table.len() {
            self.table = vec![FREE; self.table.len() * 2];
            for index in 0..self.names.len() {
                self.insert(index);
            }
        } else {
            self.insert(self.names.len() - 1);
        }
        self.find(name)
    }

    /// The number of a name.
    pub(crate) fn find(&self, name: &[u8]) -> Symbol {
        let words = Name::of(name);
        self.find_words(words, words.hash(), name)
    }

    /// The number of a name of these words and their hash.
    #[inline]
    pub(crate) fn find_words(&self, words: Name, hash: u64, name: &[u8]) -> Symbol {
        let mask = self.table.len() - 1;
        let mut at = bucket(hash, mask);
        loop {
            let (known, symbol) = self.table[at];
            if symbol == Symbol::OTHER || words.is(known, || (name, &*self.names[symbol.index()])) {
                return symbol;
            }
            at = (at + 1) & mask;
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most Symbol::MAX names are interned"
    )]
    fn insert(&mut self, index: usize) {
        let words = Name::of(&self.names[index]);
        let mask = self.table.len() - 1;
        let mut at = bucket(words.hash(), mask);
        while self.table[at].1 != Symbol::OTHER {
            at = (at + 1) & mask;
        }
        self.table[at] = (words, Symbol(index as u16));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only the masked low bits count"
)]
fn bucket(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

#[cfg(test)]
mod tests {
    use super::{Known, Symbol, Symbols};

    #[test]
    fn every_name_keeps_its_own_number() {
        let mut symbols = Symbols::new();
        for (index, text) in Known::TEXTS.iter().enumerate() {
            assert_eq!(symbols.find(text.as_bytes()).index(), index, "{text}");
        }
        let more: Vec<_> = (0..5_000).map(|i| format!("member{i}")).collect();
        let numbers: Vec<_> = more
            .iter()
            .map(|name| symbols.intern(name.as_bytes()))
            .collect();
        for (name, number) in more.iter().zip(numbers) {
            assert_eq!(symbols.intern(name.as_bytes()), number, "{name}");
        }
        assert_eq!(symbols.len(), Known::COUNT + more.len());
        assert_eq!(symbols.find(b"absent"), Symbol::OTHER);
        assert_eq!(symbols.find(b"syscall"), Known::SyscallNumber.symbol());
        assert_eq!(symbols.find(b"SYSCALL"), Known::Syscall.symbol());
    }

    #[test]
    fn translated_and_raw_ids_stand_in_the_same_order() {
        for id in 0..Known::IDS {
            assert_eq!(
                Known::TEXTS[id].to_lowercase(),
                Known::TEXTS[id + Known::IDS]
            );
        }
    }
}
