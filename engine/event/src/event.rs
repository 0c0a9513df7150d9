//! The normalised event: what the rest of the engine reads of one line.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::fill::Views;
use crate::lineage;
use crate::normal::{FROM_CACHE, FROM_HOST, NONE, Normal, bytes};
use crate::symbol::Known;
use crate::text::{decimal, decode_into};
use crate::{Kind, ProcessCache, Profile, Span, Tape, Value, View};

/// Laurel's `ID`: `<epoch s>.<ms>:<serial>`. Not unique even on one host (a user record and a kernel
/// event may share one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Event time, milliseconds since the epoch, UTC.
    pub time_ms: i64,
    /// Kernel serial, restarting at boot.
    pub serial: u64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, ms) = (self.time_ms / 1000, self.time_ms % 1000);
        write!(f, "{seconds}.{ms:03}:{}", self.serial)
    }
}

/// What was cut, guessed or missing while this event was decoded; stands in the alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Laurel left arguments out (`execve-argv-limit-bytes`).
    pub argv_truncated: bool,
    /// Argument positions come from splitting `ARGV_STR` at blanks.
    pub argv_split_guess: bool,
    /// A limit on records, arguments or directory names was reached: rules saw only what fits.
    pub limit_reached: bool,
}

/// One decoded event. Borrows the line and the decoder's scratch.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) normal: &'a Normal,
    pub(crate) views: &'a Views,
    pub(crate) profile: &'a Profile,
    pub(crate) cache: &'a ProcessCache,
    pub(crate) host: Option<&'a [u8]>,
    /// The host as the process cache knows it.
    pub(crate) scope: Option<&'a [u8]>,
}

/// One argument of an executed program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument<'a> {
    /// Its index in `EXECVE.ARGV`.
    pub index: usize,
    /// Its text, decoded.
    pub text: &'a [u8],
    /// Its node, for [`Event::node_path`].
    pub node: u32,
}

/// The acting process, as far as the event and the process cache tell. Texts are bytes as the kernel
/// logged them, decoded; numbers are absent where the line has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process<'a> {
    /// Process id.
    pub pid: Option<u64>,
    /// The parent's process id.
    pub ppid: Option<u64>,
    /// Executable.
    pub exe: Option<Cow<'a, [u8]>>,
    /// Command line: what was executed, else what the process cache or PROCTITLE knows.
    pub command_line: Option<Cow<'a, [u8]>>,
    /// Working directory.
    pub cwd: Option<Cow<'a, [u8]>>,
    /// Name of the user.
    pub user: Option<Cow<'a, [u8]>>,
    /// Login id; 4294967295 if nobody logged in.
    pub auid: Option<u64>,
    /// Session; 4294967295 if there is none.
    pub session: Option<u64>,
    /// Terminal; `(none)` without one.
    pub tty: Option<Cow<'a, [u8]>>,
    /// Laurel's process labels.
    pub labels: Vec<Cow<'a, [u8]>>,
    /// Id of the container it runs in.
    pub container: Option<Cow<'a, [u8]>>,
    /// The systemd services it belongs to.
    pub services: Vec<Cow<'a, [u8]>>,
    /// Who started it.
    pub parent: Option<Parent<'a>>,
    /// The parent's parent and so on, as far as the process cache knows them; at most
    /// [`Process::ANCESTORS_MAX`].
    pub ancestors: Vec<Ancestor<'a>>,
}

impl Process<'_> {
    /// How many ancestors are told.
    pub const ANCESTORS_MAX: usize = 8;
}

/// The parent of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent<'a> {
    /// Process id.
    pub pid: Option<u64>,
    /// Executable.
    pub exe: Option<Cow<'a, [u8]>>,
    /// The kernel's short name of it, cut at 15 bytes.
    pub comm: Option<Cow<'a, [u8]>>,
    /// Command line, if the process cache knows it.
    pub command_line: Option<Cow<'a, [u8]>>,
}

/// A process further up, known from the process cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor<'a> {
    /// Id of the first event of its image.
    pub key: EventId,
    /// Process id.
    pub pid: Option<u64>,
    /// Executable; empty where unknown.
    pub exe: &'a [u8],
    /// Command line.
    pub command_line: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    /// The event's id.
    pub fn id(&self) -> EventId {
        self.normal.id
    }

    /// The host's name as the line or its envelope gives it, else what [`crate::Origin`] offered.
    pub fn host(&self) -> Option<&'a [u8]> {
        self.host
    }

    /// The Laurel object's text as it came, after the envelope was opened; member names that were written
    /// with escapes stand plain. Spans point into it.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// What was cut, guessed or missing.
    pub fn flags(&self) -> Flags {
        self.normal.flags
    }

    /// All views of this event that some loaded rule reads, in document order within a kind.
    pub fn views(&self) -> &'a [View] {
        &self.views.views
    }

    /// The values of a view, in no promised order.
    pub fn values(&self, view: &View) -> &'a [Value] {
        &self.views.values[view.values.0 as usize..view.values.1 as usize]
    }

    /// The bytes of a span; empty for [`Span::NONE`].
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        bytes(self.text, &self.normal.arena, span)
    }

    /// Where a value stands in the normalised event, see [`Event::node_path`]; empty for what stands
    /// nowhere.
    pub fn path(&self, value: &Value) -> String {
        self.node_path(value.node).unwrap_or_default()
    }

    /// Where the node of a value or a view stands in the normalised event: `SYSCALL.exe`,
    /// `PATH[1].name`, `EXECVE.ARGV` for a joined command line; `process_cache` and `host` for what
    /// comes from there. `None` for the event as a whole and for what stands nowhere.
    pub fn node_path(&self, node: u32) -> Option<String> {
        match node {
            FROM_CACHE => Some("process_cache".into()),
            FROM_HOST => Some("host".into()),
            NONE | Tape::ROOT => None,
            node => Some(self.path_of(node)),
        }
    }

    /// The arguments of the executed program; none if the event is no exec. Those that Laurel left out
    /// are missing, and the others keep their index.
    pub fn arguments(&self) -> Vec<Argument<'a>> {
        self.arguments_of(self.normal.member(self.normal.execve, Known::Argv))
    }

    /// The arguments that a command line was joined from, by the node of its value; none where the
    /// node is no array.
    pub fn arguments_of(&self, node: u32) -> Vec<Argument<'a>> {
        if self.normal.kind(node) != Kind::Array {
            return vec![];
        }
        let mut elements = self.normal.children(node);
        let mut arguments = vec![];
        let mut index = 0;
        while let Some(element) = elements.next(self.normal) {
            let node = self.normal.node(element);
            let text = match node.kind {
                Kind::Object | Kind::Array => None,
                Kind::Null => Some(&b""[..]),
                _ => Some(self.bytes(node.value)),
            };
            arguments.extend(text.map(|text| Argument {
                index,
                text,
                node: element,
            }));
            index += 1;
        }
        arguments
    }

    /// The acting process. For events that matched: allocates.
    pub fn process(&self) -> Process<'a> {
        let normal = self.normal;
        // User-space records carry pid, uid, auid and ses themselves.
        let record = if normal.syscall == NONE {
            normal
                .records
                .iter()
                .map(|record| record.node)
                .find(|&node| normal.member(node, Known::PidNumber) != NONE)
        } else {
            Some(normal.syscall)
        };
        let Some(record) = record else {
            return Process {
                command_line: normal.command_line.map(|line| self.bytes(line.text).into()),
                cwd: self.text_of(normal.member(normal.cwd, Known::CwdPath)),
                container: self.text_of(lineage::container(normal)),
                ..Process::default()
            };
        };
        let member = |name| normal.member(record, name);
        let process = member(Known::Pid);
        let own = self
            .key(normal.member(process, Known::EventId))
            .and_then(|key| self.remembered(key));
        let exe = self.text_of(member(Known::Exe));
        let message = member(Known::Msg);
        let command_line = normal
            .command_line
            .map(|line| Cow::from(self.bytes(line.text)))
            .or_else(|| own.and_then(|own| own.command_line).map(Cow::from))
            .or_else(|| self.joined_title());
        let (parent, ancestors) = self.lineage(own.and_then(|own| own.parent));
        Process {
            pid: self.number_of(member(Known::PidNumber)),
            ppid: self.number_of(member(Known::PpidNumber)),
            exe: exe.or_else(|| self.text_of(normal.member(message, Known::Exe))),
            command_line,
            cwd: self.text_of(normal.member(normal.cwd, Known::CwdPath)),
            user: self.user(record),
            auid: self.number_of(member(Known::Auid)),
            session: self.number_of(member(Known::Ses)),
            tty: self.text_of(member(Known::Tty)),
            labels: self.texts_of(member(Known::Labels)),
            container: self.text_of(lineage::container(normal)),
            services: self.texts_of(normal.member(process, Known::SystemdService)),
            parent,
            ancestors,
        }
    }

    /// The value that says most about what happened: the command line of the acting process, else its executable, as
    /// [`Event::process`] has them.
    pub fn telling(&self) -> Option<Cow<'a, [u8]>> {
        // Without the way up to all ancestors.
        if let Some(line) = self.normal.command_line {
            return Some(self.bytes(line.text).into());
        }
        let process = self.process();
        process.command_line.or(process.exe)
    }

    fn user(&self, record: u32) -> Option<Cow<'a, [u8]>> {
        let name = self.text_of(self.normal.member(record, Known::UidName));
        name.or_else(|| {
            let number = self.number_of(self.normal.member(record, Known::Uid))?;
            let (_, name) = self
                .profile
                .users
                .iter()
                .find(|(uid, _)| u64::from(*uid) == number)?;
            Some(name.as_bytes().into())
        })
    }

    /// The parent, from the event or the process cache, and whoever is known above it.
    fn lineage(
        &self,
        remembered_parent: Option<EventId>,
    ) -> (Option<Parent<'a>>, Vec<Ancestor<'a>>) {
        let told = lineage::parent(self.normal);
        let key = self.key(told.event_id).or(remembered_parent);
        let known = key.and_then(|key| self.remembered(key));
        let parent = Parent {
            pid: self.number_of(told.pid),
            exe: self.text_of(told.exe).or_else(|| {
                known
                    .map(|known| known.exe)
                    .filter(|exe| !exe.is_empty())
                    .map(Cow::from)
            }),
            comm: self.text_of(told.comm),
            command_line: known.and_then(|known| known.command_line).map(Cow::from),
        };
        let mut ancestors = vec![];
        let mut next = known.and_then(|known| known.parent);
        while let Some(key) = next
            && let Some(known) = self.remembered(key)
            && ancestors.len() < Process::ANCESTORS_MAX
        {
            let (pid, exe, command_line) = (known.pid, known.exe, known.command_line);
            ancestors.push(Ancestor {
                key,
                pid,
                exe,
                command_line,
            });
            next = known.parent;
        }
        ((parent != Parent::default()).then_some(parent), ancestors)
    }

    fn remembered(&self, key: EventId) -> Option<crate::process::Remembered<'a>> {
        self.cache.get(self.scope?, key, self.normal.id.time_ms)
    }

    fn key(&self, node: u32) -> Option<EventId> {
        crate::normalise::event_id(&self.text_of(node)?)
    }

    fn joined_title(&self) -> Option<Cow<'a, [u8]>> {
        if let Some(title) = self.normal.title {
            return Some(self.bytes(title.text).into());
        }
        let argv = self.normal.member(self.normal.proctitle, Known::Argv);
        if argv == NONE {
            return self.text_of(self.normal.member(self.normal.proctitle, Known::ArgvStr));
        }
        Some(self.texts_of(argv).join(&b' ').into())
    }

    /// The decoded text of a scalar that is not `null`.
    fn text_of(&self, node: u32) -> Option<Cow<'a, [u8]>> {
        let node = self.normal.tape.nodes.get(node as usize)?;
        match node.kind {
            Kind::Null | Kind::Object | Kind::Array => None,
            _ if node.coded => {
                let mut decoded = vec![];
                decode_into(self.bytes(node.value), &mut decoded);
                Some(decoded.into())
            }
            _ => Some(self.bytes(node.value).into()),
        }
    }

    fn texts_of(&self, list: u32) -> Vec<Cow<'a, [u8]>> {
        let mut elements = self.normal.children(list);
        std::iter::from_fn(|| elements.next(self.normal))
            .filter_map(|element| self.text_of(element))
            .collect()
    }

    fn number_of(&self, node: u32) -> Option<u64> {
        decimal(&self.text_of(node)?)
    }

    fn path_of(&self, node: u32) -> String {
        let mut path = String::with_capacity(32);
        self.write_path(node, &mut path);
        path
    }

    fn write_path(&self, node: u32, path: &mut String) {
        let Some(parent) = self.parent_of(node) else {
            return;
        };
        self.write_path(parent, path);
        let key = self.normal.node(node).key;
        if key != Span::NONE {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&String::from_utf8_lossy(self.bytes(key)));
            return;
        }
        let mut elements = self.normal.tape.children(parent);
        if let Some(index) = elements.position(|element| element == node) {
            write!(path, "[{index}]").expect("a string takes any text");
        }
    }

    /// The container that a node lies in, or was added to.
    fn parent_of(&self, node: u32) -> Option<u32> {
        let around = (0..node)
            .rev()
            .find(|&before| self.normal.node(before).next > node);
        around.or_else(|| {
            let added = self
                .normal
                .extras
                .iter()
                .find(|extra| (extra.nodes.0..extra.nodes.1).contains(&node))?;
            Some(added.parent)
        })
    }
}
