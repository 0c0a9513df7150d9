//! The process cache: command line, executable and parent of the processes seen on each host.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

mod texts;

use texts::{Text, Texts};

use crate::EventId;

/// What an allocation costs beside its bytes, roughly.
const ALLOCATION: usize = 16;
/// What an entry costs in tables and queue, beside itself: two index slots at half load and one number.
const BOOKKEEPING: usize = 2 * (size_of::<u32>() + 1) + size_of::<u32>();

/// Bounded by bytes and age; keyed by host and the event id of the process. Oldest entries go first,
/// counted. One cache serves one partition, so it can be dropped with it.
///
/// Age is event time between an entry and the event that asks, so a host with a wrong clock harms no
/// other. A process keeps one entry, however many of its lines come again.
#[derive(Debug)]
pub struct ProcessCache {
    hosts: Slab<Host>,
    host_table: HashTable<u32>,
    entries: Slab<Entry>,
    entry_table: HashTable<u32>,
    /// Entries in the order they were opened.
    order: VecDeque<u32>,
    texts: Texts,
    hasher: RandomState,
    bytes: usize,
    max_bytes: usize,
    max_age_ms: i64,
    evicted: u64,
}

/// A host that has entries.
#[derive(Debug)]
struct Host {
    name: Box<[u8]>,
    entries: u32,
    newest_ms: i64,
}

/// One process image.
#[derive(Debug)]
struct Entry {
    host: u32,
    key: EventId,
    parent: Option<EventId>,
    pid: Option<u64>,
    /// The executable, then the command line.
    text: Text,
    exe_len: u32,
    /// Whether a command line is known; it may be empty.
    has_command_line: bool,
}

/// What is known of a process when its entry is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened<'a> {
    pub(crate) parent: Option<EventId>,
    pub(crate) pid: Option<u64>,
    pub(crate) exe: &'a [u8],
    pub(crate) command_line: Option<&'a [u8]>,
}

/// A process that the cache knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered<'a> {
    /// Id of the first event of this process image.
    pub(crate) key: EventId,
    /// Key of the parent, where one was told.
    pub(crate) parent: Option<EventId>,
    /// Process id, where one was told.
    pub(crate) pid: Option<u64>,
    /// Executable; empty where unknown.
    pub(crate) exe: &'a [u8],
    /// Command line.
    pub(crate) command_line: Option<&'a [u8]>,
}

impl ProcessCache {
    /// An empty cache of at most `max_bytes`, entries living `max_age_ms` of event time.
    pub fn new(max_bytes: usize, max_age_ms: i64) -> Self {
        Self {
            hosts: Slab::default(),
            host_table: HashTable::new(),
            entries: Slab::default(),
            entry_table: HashTable::new(),
            order: VecDeque::new(),
            texts: Texts::new(chunk_bytes(max_bytes)),
            hasher: RandomState::default(),
            bytes: 0,
            max_bytes,
            max_age_ms,
            evicted: 0,
        }
    }

    /// Gives it another limit; the oldest entries go at once if it is lower.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        if chunk_bytes(max_bytes) != self.texts.chunk_bytes() {
            self.repack();
        }
        self.evict();
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Memory of the entries and hosts held, bookkeeping included, in bytes. Never above the limit.
    pub fn bytes(&self) -> usize {
        self.bytes + self.texts.bytes()
    }

    /// Entries that had to go since the cache was made, for size or for age.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The process of this key on this host, if it was seen within the age limit before `now_ms`, the
    /// time of the event that asks.
    pub(crate) fn get(&self, host: &[u8], key: EventId, now_ms: i64) -> Option<Remembered<'_>> {
        let host = self.find_host(host)?;
        let entry = self.entries.get(self.find_entry(host, key)?);
        if now_ms.saturating_sub(entry.key.time_ms) > self.max_age_ms {
            return None;
        }
        let text = self.texts.get(entry.text);
        let (exe, command_line) = text.split_at(entry.exe_len as usize);
        Some(Remembered {
            key,
            parent: entry.parent,
            pid: entry.pid,
            exe,
            command_line: entry.has_command_line.then_some(command_line),
        })
    }

    /// Opens the entry of a process, in place of one of the same key, and lets the oldest go that no
    /// longer fit. A process too large for the whole cache is counted as evicted at once.
    pub(crate) fn open(&mut self, host: &[u8], key: EventId, opened: &Opened<'_>) {
        let command_line = opened.command_line.unwrap_or_default();
        let Ok(exe_len) = u32::try_from(opened.exe.len()) else {
            return;
        };
        let len = opened.exe.len() + command_line.len();
        if ENTRY_BYTES + self.texts.cost(len) + host_bytes(host) > self.max_bytes {
            self.evicted += 1;
            return;
        }
        let host = self.host(host);
        let text = self.texts.put([opened.exe, command_line]);
        let entry = Entry {
            host,
            key,
            parent: opened.parent,
            pid: opened.pid,
            text,
            exe_len,
            has_command_line: opened.command_line.is_some(),
        };
        let state = self.hosts.get_mut(host);
        state.newest_ms = state.newest_ms.max(key.time_ms);
        self.bytes += ENTRY_BYTES;
        if let Some(index) = self.find_entry(host, key) {
            let replaced = std::mem::replace(self.entries.get_mut(index), entry);
            self.bytes -= ENTRY_BYTES;
            self.texts.remove(replaced.text);
        } else {
            self.hosts.get_mut(host).entries += 1;
            let index = self.entries.insert(entry);
            let hash = self.hasher.hash_one((host, key));
            let (entries, hasher) = (&self.entries, &self.hasher);
            self.entry_table.insert_unique(hash, index, |&index| {
                let entry = entries.get(index);
                hasher.hash_one((entry.host, entry.key))
            });
            self.order.push_back(index);
        }
        self.evict();
    }

    /// Lets the oldest entries go while they are too many or too old for their host.
    fn evict(&mut self) {
        while let Some(&oldest) = self.order.front() {
            let entry = self.entries.get(oldest);
            let newest_ms = self.hosts.get(entry.host).newest_ms;
            let aged = newest_ms.saturating_sub(entry.key.time_ms) > self.max_age_ms;
            if !aged {
                while self.bytes() > self.max_bytes && self.texts.shrink() {}
                // With the room for one chunk more, which is there already in a cache that has been full once.
                let ahead = match self.texts.next_chunk() {
                    chunk if chunk <= self.max_bytes / 16 => chunk,
                    _ => 0,
                };
                if self.bytes() + ahead <= self.max_bytes {
                    return;
                }
            }
            self.order.pop_front();
            self.remove(oldest);
            self.evicted += 1;
        }
    }

    fn remove(&mut self, index: u32) {
        let entry = self.entries.remove(index);
        let hash = self.hasher.hash_one((entry.host, entry.key));
        if let Ok(found) = self.entry_table.find_entry(hash, |&other| other == index) {
            found.remove();
        }
        self.bytes -= ENTRY_BYTES;
        let host = self.hosts.get_mut(entry.host);
        host.entries -= 1;
        if host.entries == 0 {
            let hash = self.hasher.hash_one(&*host.name);
            self.bytes -= host_bytes(&host.name);
            if let Ok(found) = self
                .host_table
                .find_entry(hash, |&other| other == entry.host)
            {
                found.remove();
            }
            self.hosts.remove(entry.host);
        }
        self.texts.remove(entry.text);
    }

    /// Puts all texts into chunks of the size that goes with the limit.
    fn repack(&mut self) {
        let mut texts = Texts::new(chunk_bytes(self.max_bytes));
        for index in &self.order {
            let entry = self.entries.get_mut(*index);
            entry.text = texts.put([self.texts.get(entry.text), b""]);
        }
        self.texts = texts;
    }

    fn find_entry(&self, host: u32, key: EventId) -> Option<u32> {
        let hash = self.hasher.hash_one((host, key));
        let same = |&index: &u32| {
            let entry = self.entries.get(index);
            (entry.host, entry.key) == (host, key)
        };
        self.entry_table.find(hash, same).copied()
    }

    fn find_host(&self, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.host_table
            .find(hash, |&index| *self.hosts.get(index).name == *name)
            .copied()
    }

    /// The number of a host, made now if need be.
    fn host(&mut self, name: &[u8]) -> u32 {
        if let Some(index) = self.find_host(name) {
            return index;
        }
        self.bytes += host_bytes(name);
        let index = self.hosts.insert(Host {
            name: name.into(),
            entries: 0,
            newest_ms: i64::MIN,
        });
        let (hosts, hasher) = (&self.hosts, &self.hasher);
        let hash = hasher.hash_one(name);
        self.host_table.insert_unique(hash, index, |&index| {
            hasher.hash_one(&*hosts.get(index).name)
        });
        index
    }
}

/// What an entry costs beside its text; twice its size, because the slab grows by doubling.
const ENTRY_BYTES: usize = 2 * size_of::<Option<Entry>>() + BOOKKEEPING;

/// Size of the chunks that texts lie in: a small part of the limit, since a chunk comes free as a whole.
fn chunk_bytes(max_bytes: usize) -> usize {
    (max_bytes / 64).clamp(128, 64 << 10)
}

fn host_bytes(name: &[u8]) -> usize {
    2 * size_of::<Option<Host>>() + BOOKKEEPING + ALLOCATION + name.len()
}

/// Values under numbers that stay the same until they are removed, and are then used again.
#[derive(Debug)]
struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            values: vec![],
            free: vec![],
        }
    }
}

impl<T> Slab<T> {
    fn insert(&mut self, value: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.values[index as usize] = Some(value);
            return index;
        }
        self.values.push(Some(value));
        // So that removing takes no memory.
        self.free
            .reserve_exact(self.values.capacity() - self.free.len());
        u32::try_from(self.values.len() - 1)
            .expect("entries of over 100 bytes each fill memory first")
    }

    fn get(&self, index: u32) -> &T {
        self.values[index as usize]
            .as_ref()
            .expect("numbers of removed values are not kept")
    }

    fn get_mut(&mut self, index: u32) -> &mut T {
        self.values[index as usize]
            .as_mut()
            .expect("numbers of removed values are not kept")
    }

    fn remove(&mut self, index: u32) -> T {
        self.free.push(index);
        self.values[index as usize]
            .take()
            .expect("numbers of removed values are not kept")
    }
}

#[cfg(test)]
mod tests {
    use super::{Opened, ProcessCache};
    use crate::EventId;

    const DAY_MS: i64 = 86_400_000;

    fn id(time_ms: i64, serial: u64) -> EventId {
        EventId { time_ms, serial }
    }

    fn open(cache: &mut ProcessCache, host: &str, key: EventId, command_line: &str) {
        let opened = Opened {
            parent: None,
            pid: None,
            exe: b"/x",
            command_line: Some(command_line.as_bytes()),
        };
        cache.open(host.as_bytes(), key, &opened);
    }

    fn command_line(cache: &ProcessCache, host: &str, key: EventId, now_ms: i64) -> Option<String> {
        let known = cache.get(host.as_bytes(), key, now_ms)?;
        Some(String::from_utf8(known.command_line?.to_vec()).unwrap())
    }

    #[test]
    fn hosts_do_not_see_each_other() {
        let mut cache = ProcessCache::new(1 << 20, DAY_MS);
        open(&mut cache, "web-01", id(1, 7), "one");
        open(&mut cache, "web-02", id(1, 7), "two");
        assert_eq!(
            command_line(&cache, "web-01", id(1, 7), 5).as_deref(),
            Some("one")
        );
        assert_eq!(
            command_line(&cache, "web-02", id(1, 7), 5).as_deref(),
            Some("two")
        );
        assert_eq!(command_line(&cache, "web-03", id(1, 7), 5), None);
        assert_eq!(command_line(&cache, "web-01", id(1, 8), 5), None);
    }

    #[test]
    fn a_line_seen_again_opens_no_second_entry() {
        let mut cache = ProcessCache::new(1 << 20, DAY_MS);
        open(&mut cache, "h", id(1, 1), "first");
        let bytes = cache.bytes();
        open(&mut cache, "h", id(1, 1), "again");
        assert_eq!((cache.len(), cache.bytes(), cache.evicted()), (1, bytes, 0));
        assert_eq!(
            command_line(&cache, "h", id(1, 1), 1).as_deref(),
            Some("again")
        );
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let mut cache = ProcessCache::new(2_000, DAY_MS);
        for serial in 0..1_000 {
            open(
                &mut cache,
                &format!("host-{}", serial % 7),
                id(1, serial),
                "a command line of some length",
            );
            assert!(cache.bytes() <= 2_000, "{} bytes", cache.bytes());
        }
        let held = cache.len();
        assert!((5..20).contains(&held), "{held}");
        assert_eq!(cache.evicted(), 1_000 - held as u64);
        for serial in 1_000 - held as u64..1_000 {
            assert!(
                command_line(&cache, &format!("host-{}", serial % 7), id(1, serial), 1).is_some()
            );
        }
        open(&mut cache, "h", id(1, 1), &"x".repeat(3_000));
        assert_eq!(
            cache.evicted(),
            1_001 - held as u64,
            "too large for all of it"
        );
        assert_eq!(cache.len(), held);
    }

    #[test]
    fn a_full_cache_stays_within_its_limit_with_texts_of_any_length() {
        let mut cache = ProcessCache::new(2_000, DAY_MS);
        for serial in 0..1_000 {
            open(&mut cache, "h", id(1, serial), "sleep 1");
            assert!(cache.bytes() <= 2_000, "{} bytes", cache.bytes());
        }
        for (serial, len) in (0..100).zip((0..).step_by(7)) {
            open(&mut cache, "h", id(2, serial), &"x".repeat(len % 300));
            assert!(cache.bytes() <= 2_000, "{} bytes", cache.bytes());
        }
        assert_eq!(
            command_line(&cache, "h", id(2, 99), 2).as_deref(),
            Some("x".repeat(99 * 7 % 300).as_str())
        );
    }

    #[test]
    fn age_is_event_time_of_the_own_host() {
        let mut cache = ProcessCache::new(1 << 20, 1_000);
        open(&mut cache, "good", id(10_000, 1), "x");
        open(&mut cache, "fast-clock", id(9_000_000, 1), "y");
        assert!(command_line(&cache, "good", id(10_000, 1), 11_000).is_some());
        assert!(command_line(&cache, "good", id(10_000, 1), 11_001).is_none());
        assert_eq!(cache.evicted(), 0);
        open(&mut cache, "good", id(11_001, 2), "z");
        assert_eq!((cache.len(), cache.evicted()), (2, 1));
    }

    #[test]
    fn memory_of_hosts_is_given_back() {
        let mut cache = ProcessCache::new(1 << 20, 10);
        for serial in 0..100 {
            open(
                &mut cache,
                "h",
                id(i64::try_from(serial).unwrap() * 100, serial),
                "x",
            );
        }
        assert_eq!((cache.len(), cache.evicted()), (1, 99));
        let mut one = ProcessCache::new(1 << 20, 10);
        open(&mut one, "h", id(0, 0), "x");
        assert_eq!(cache.bytes(), one.bytes());
    }

    #[test]
    fn a_lower_limit_holds_at_once() {
        let mut cache = ProcessCache::new(1 << 20, DAY_MS);
        for serial in 0..100 {
            open(&mut cache, "h", id(1_000, serial), "sleep 1");
        }
        let half = cache.bytes() / 2;
        cache.set_max_bytes(half);
        assert!(
            cache.bytes() <= half && cache.len() >= 40,
            "{} entries",
            cache.len()
        );
        assert_eq!(
            command_line(&cache, "h", id(1_000, 99), 1_000).as_deref(),
            Some("sleep 1")
        );
        assert_eq!(command_line(&cache, "h", id(1_000, 0), 1_000), None);
    }
}
