//! The five kinds of views whose fields are named after Sysmon's and come from many members:
//! process creation, file events, network connections.

use crate::field::Mapped;
use crate::fill::{Filler, Place};
use crate::lineage;
use crate::normal::{FROM_CACHE, NONE, PathName, arena_span, piece};
use crate::symbol::Known;
use crate::syscall::Call;
use crate::text::decimal;
use crate::{Kind, RecordClass, Span, ValueKind, ViewKind};

/// Laurel's mark behind the path of an executable that is no longer there.
const DELETED: &[u8] = b" (deleted)";
/// `EINPROGRESS`: a connection that is being made without waiting for it.
const IN_PROGRESS: &[u8] = b"-115";

impl Filler<'_> {
    /// Builds all wanted views of the five kinds.
    pub(crate) fn mapped_views(&mut self) {
        let success = self.normal.of_syscall(Known::Success);
        let success = self.normal.text(self.text, success);
        let success = self.normal.bytes(self.text, success);
        let (succeeded, failed) = (success == b"yes", success == b"no");
        if self.fields.is_wanted(ViewKind::ProcessCreation) && self.normal.execve != NONE && !failed
        {
            self.process_creation();
        }
        if self.normal.syscall == NONE {
            return;
        }
        let call = Call::of(self.normal.bytes(self.text, self.normal.call));
        if succeeded {
            self.file_views(call);
        }
        if self.fields.is_wanted(ViewKind::NetworkConnection) {
            self.network_connections(call, succeeded);
        }
    }

    fn process_creation(&mut self) {
        const KIND: ViewKind = ViewKind::ProcessCreation;
        let from = self.begin();
        self.image_aliases(from);
        if let Some(line) = self.normal.command_line {
            self.field(
                KIND,
                Mapped::CommandLine,
                ValueKind::Text,
                line.text,
                line.node,
            );
        }
        let cwd = self.normal.member(self.normal.cwd, Known::CwdPath);
        self.member(KIND, Mapped::CurrentDirectory, cwd);
        let parent = lineage::parent(self.normal);
        self.member(KIND, Mapped::ParentImage, parent.exe);
        self.parent_command_line(parent.event_id);
        self.member(KIND, Mapped::LogonId, self.normal.of_syscall(Known::Uid));
        self.member(
            KIND,
            Mapped::ProcessId,
            self.normal.of_syscall(Known::PidNumber),
        );
        self.member(
            KIND,
            Mapped::ParentProcessId,
            self.normal.of_syscall(Known::PpidNumber),
        );
        let pid = self.normal.of_syscall(Known::Pid);
        let (event_id, start_time) = (
            self.normal.member(pid, Known::EventId),
            self.normal.member(pid, Known::StartTime),
        );
        self.process_key(
            Mapped::ProcessGuid,
            event_id,
            start_time,
            self.normal.of_syscall(Known::PidNumber),
        );
        self.process_key(
            Mapped::ParentProcessGuid,
            parent.event_id,
            parent.start_time,
            parent.pid,
        );
        self.hashes();
        self.common(KIND);
        self.end(KIND, RecordClass::Other, self.normal.execve, from);
    }

    /// Image: the executable, also without the mark of a deleted one; the file as it was invoked; the
    /// script. Each text once.
    fn image_aliases(&mut self, from: usize) {
        const KIND: ViewKind = ViewKind::ProcessCreation;
        let exe = self.normal.of_syscall(Known::Exe);
        self.alias(exe, None, from);
        let span = self.normal.text(self.text, exe);
        if self.normal.bytes(self.text, span).ends_with(DELETED) {
            let kept = piece(span, 0, span.len as usize - DELETED.len());
            self.alias(exe, Some(kept), from);
        }
        if self.fields.mapped(KIND, Mapped::Image).is_none() && self.fields.keywords(KIND).is_none()
        {
            return;
        }
        if let Some(invoked) = self.normal.paths.first().copied() {
            self.alias(invoked.node, Some(invoked.absolute), from);
        }
        self.alias(self.normal.of_syscall(Known::Script), None, from);
    }

    fn alias(&mut self, node: u32, text: Option<Span>, from: usize) {
        if self.normal.kind(node) != Kind::String {
            return;
        }
        let span = text.unwrap_or_else(|| self.normal.text(self.text, node));
        let new = self.normal.bytes(self.text, span);
        let known = self.out.values[from..]
            .iter()
            .any(|value| self.normal.bytes(self.text, value.span) == new);
        if !known {
            self.field(
                ViewKind::ProcessCreation,
                Mapped::Image,
                ValueKind::Text,
                span,
                node,
            );
        }
    }

    fn parent_command_line(&mut self, key: u32) {
        const KIND: ViewKind = ViewKind::ProcessCreation;
        if !self.reads(KIND, Mapped::ParentCommandLine) {
            return;
        }
        let key = lineage::key(self.text, self.normal, key);
        let cache = self.cache;
        let known = self
            .scope
            .zip(key)
            .and_then(|(scope, key)| cache.get(scope, key, self.normal.id.time_ms))
            .and_then(|parent| parent.command_line);
        let Some(command_line) = known else {
            self.counts.parent_missing += 1;
            return;
        };
        let span = self.normal.store(command_line);
        self.field(
            KIND,
            Mapped::ParentCommandLine,
            ValueKind::Text,
            span,
            FROM_CACHE,
        );
    }

    /// A process key as text: the event id, or start time and process id of a process older than Laurel.
    fn process_key(&mut self, field: Mapped, event_id: u32, start_time: u32, pid: u32) {
        if !self.reads(ViewKind::ProcessCreation, field) {
            return;
        }
        if event_id != NONE {
            return self.member(ViewKind::ProcessCreation, field, event_id);
        }
        let (start, pid) = (
            self.normal.text(self.text, start_time),
            self.normal.text(self.text, pid),
        );
        if start == Span::NONE || pid == Span::NONE {
            return;
        }
        let from = self.normal.arena.len();
        self.normal.append(self.text, start);
        self.normal.arena.push(b'/');
        self.normal.append(self.text, pid);
        let key = arena_span(from, self.normal.arena.len());
        self.field(
            ViewKind::ProcessCreation,
            field,
            ValueKind::Text,
            key,
            start_time,
        );
    }

    fn hashes(&mut self) {
        const KIND: ViewKind = ViewKind::ProcessCreation;
        let hash = self.normal.of_syscall(Known::ExeHash);
        self.member(KIND, Mapped::Sha256, hash);
        if self.normal.kind(hash) == Kind::String && self.reads(KIND, Mapped::Hashes) {
            let digest = self.normal.text(self.text, hash);
            let from = self.normal.arena.len();
            self.normal.arena.extend_from_slice(b"SHA256=");
            self.normal.append(self.text, digest);
            let span = arena_span(from, self.normal.arena.len());
            self.field(KIND, Mapped::Hashes, ValueKind::Text, span, hash);
        }
    }

    /// The views of files that a successful call created, deleted or renamed.
    fn file_views(&mut self, call: Call) {
        for index in 0..self.normal.paths.len() {
            let path = self.normal.paths[index];
            let kind = match self.nametype(path) {
                b"CREATE" => ViewKind::FileEvent,
                b"DELETE" if call == Call::Delete => ViewKind::FileDelete,
                _ => continue,
            };
            if self.fields.is_wanted(kind) {
                let from = self.begin();
                self.file(kind, Mapped::TargetFilename, path);
                self.file_common(kind);
                self.end(kind, RecordClass::Other, path.record, from);
            }
        }
        if call == Call::Rename && self.fields.is_wanted(ViewKind::FileRename) {
            self.file_rename();
        }
    }

    fn file_rename(&mut self) {
        const KIND: ViewKind = ViewKind::FileRename;
        let find = |nametype: &[u8]| {
            self.normal
                .paths
                .iter()
                .copied()
                .find(|path| self.nametype(*path) == nametype)
        };
        let (source, target) = (find(b"DELETE"), find(b"CREATE"));
        let from = self.begin();
        if let Some(source) = source {
            self.file(KIND, Mapped::SourceFilename, source);
        }
        if let Some(target) = target {
            self.file(KIND, Mapped::TargetFilename, target);
        }
        self.file_common(KIND);
        self.end(KIND, RecordClass::Other, self.normal.syscall, from);
    }

    fn nametype(&self, path: PathName) -> &[u8] {
        let nametype = self.normal.member(path.record, Known::Nametype);
        match self.normal.kind(nametype) {
            Kind::String => self
                .normal
                .bytes(self.text, self.normal.node(nametype).value),
            _ => b"",
        }
    }

    fn file(&mut self, kind: ViewKind, field: Mapped, path: PathName) {
        if self.normal.kind(path.node) == Kind::String {
            self.field(kind, field, ValueKind::Text, path.absolute, path.node);
        }
    }

    fn file_common(&mut self, kind: ViewKind) {
        self.member(kind, Mapped::Image, self.normal.of_syscall(Known::Exe));
        if self.reads(kind, Mapped::CommandLine)
            && let Some(line) = self.title()
        {
            self.field(
                kind,
                Mapped::CommandLine,
                ValueKind::Text,
                line.text,
                line.node,
            );
        }
        self.common(kind);
    }

    fn network_connections(&mut self, call: Call, succeeded: bool) {
        let initiated = match call {
            Call::Connect => {
                let exit = self.normal.of_syscall(Known::Exit);
                let exit = self.normal.text(self.text, exit);
                if !succeeded && self.normal.bytes(self.text, exit) != IN_PROGRESS {
                    return;
                }
                true
            }
            Call::Accept if succeeded => false,
            _ => return,
        };
        for index in 0..self.normal.records.len() {
            let record = self.normal.records[index];
            if record.name == Known::Sockaddr.symbol() {
                self.network_connection(record.node, initiated);
            }
        }
    }

    fn network_connection(&mut self, element: u32, initiated: bool) {
        const KIND: ViewKind = ViewKind::NetworkConnection;
        let sockaddr = self.normal.member(element, Known::Address);
        let family = self.normal.member(sockaddr, Known::Family);
        let family = self.normal.text(self.text, family);
        if !matches!(self.normal.bytes(self.text, family), b"inet" | b"inet6") {
            return;
        }
        let from = self.begin();
        let (flag, ip, port) = if initiated {
            (&b"true"[..], Mapped::DestinationIp, Mapped::DestinationPort)
        } else {
            (&b"false"[..], Mapped::SourceIp, Mapped::SourcePort)
        };
        if self.reads(KIND, Mapped::Initiated) {
            let span = self.normal.store(flag);
            let call = self.normal.of_syscall(Known::Syscall);
            self.field(KIND, Mapped::Initiated, ValueKind::Text, span, call);
        }
        self.member(KIND, ip, self.normal.member(sockaddr, Known::Addr));
        self.member(KIND, port, self.normal.member(sockaddr, Known::Port));
        self.member(KIND, Mapped::Image, self.normal.of_syscall(Known::Exe));
        self.common(KIND);
        self.end(KIND, RecordClass::Other, element, from);
    }

    /// What every mapped view has: user, host, the process's labels.
    fn common(&mut self, kind: ViewKind) {
        if self.reads(kind, Mapped::User) {
            self.user(kind);
        }
        if let Some(slot) = self.fields.mapped(kind, Mapped::ProcessLabels) {
            self.put_labels(slot, 0);
        }
        if let Some(slot) = self.fields.mapped(kind, Mapped::Host) {
            self.put_host(slot);
        }
    }

    /// The translated user, else the profile's name of the number.
    fn user(&mut self, kind: ViewKind) {
        let name = self.normal.of_syscall(Known::UidName);
        if self.normal.kind(name) == Kind::String {
            return self.member(kind, Mapped::User, name);
        }
        let uid = self.normal.of_syscall(Known::Uid);
        let number = self.normal.text(self.text, uid);
        let number = decimal(self.normal.bytes(self.text, number));
        let profile = self.profile;
        let known = profile
            .users
            .iter()
            .find(|(user, _)| Some(u64::from(*user)) == number);
        if let Some((_, name)) = known {
            let span = self.normal.store(name.as_bytes());
            self.field(kind, Mapped::User, ValueKind::Text, span, uid);
        }
    }

    /// Whether anybody reads the field.
    fn reads(&self, kind: ViewKind, field: Mapped) -> bool {
        self.fields.mapped(kind, field).is_some() || self.fields.keywords(kind).is_some()
    }

    /// Adds a value of a field, and to the keywords of the view.
    fn field(&mut self, kind: ViewKind, field: Mapped, value: ValueKind, span: Span, node: u32) {
        if let Some(slot) = self.fields.mapped(kind, field) {
            self.put(slot, value, span, Place::at(node));
        }
        if let Some(slot) = self.fields.keywords(kind)
            && value != ValueKind::Null
        {
            self.put(slot, value, span, Place::at(node));
        }
    }

    /// Adds the value of a member that is a scalar.
    fn member(&mut self, kind: ViewKind, field: Mapped, node: u32) {
        if node == NONE || !self.reads(kind, field) {
            return;
        }
        let value = match self.normal.kind(node) {
            Kind::String => ValueKind::Text,
            Kind::Number => ValueKind::Number,
            Kind::Bool => ValueKind::Bool,
            Kind::Null => ValueKind::Null,
            Kind::Object | Kind::Array => return,
        };
        let span = self.normal.text(self.text, node);
        self.field(kind, field, value, span, node);
    }
}
