//! Rules loaded anew while `pythia run` runs: when their files change, and on SIGHUP.
//!
//! Files are looked at every so often, not watched through the kernel: its notifications do not come from
//! other hosts of a network file system, do not follow a link that is swapped (a Kubernetes `ConfigMap`'s
//! `..data`), and can be lost. A look at 3,000 files takes some 20 ms.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{self, UnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Result;
use sigma::Severity;
use stream::{Rulesets, Stop};

use crate::rules::{self, Loading, Rules};

/// Files that have changed are loaded when they have been the same for so long.
const SETTLE: Duration = Duration::from_secs(1);

/// Files that are never at rest are a fault after so many looks, [`SETTLE`] apart.
const UNSETTLED_LOOKS: u32 = 60;

/// Rules that do not run any more or never did are logged by name, at most so many of each kind.
const LISTED: usize = 20;

/// What the file system tells of rule files: the same as long as nobody writes, replaces, adds or removes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    files: Vec<(PathBuf, Option<Stamp>)>,
    missing: Vec<String>,
}

/// Of the file that a path leads to. The time of change is there for tools that keep the time of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// Looks at these files and folders, without reading a file.
pub(crate) fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let (files, missing) = rules::find(paths);
    let stamp = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    };
    let stamped = files.into_iter().map(|path| {
        let stamp = stamp(&path);
        (path, stamp)
    });
    Fingerprint {
        files: stamped.collect(),
        missing,
    }
}

/// The files and folders that rules are made of: what changes there changes them.
pub(crate) fn watched(paths: &[PathBuf], loading: &Loading) -> Vec<PathBuf> {
    paths.iter().chain(&loading.placeholders).cloned().collect()
}

/// Keeps the service's ruleset what its files are, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Watcher {
    paths: Vec<PathBuf>,
    loading: Loading,
    rulesets: Arc<Rulesets>,
    stop: Stop,
    /// What lay there when the rules in use were loaded; `None`: what lies there could not be loaded.
    loaded: Option<Fingerprint>,
    /// What lay there at the last look.
    seen: Option<Fingerprint>,
    /// Looks in a row that found the files changed since the one before.
    unsettled: u32,
}

/// What a look at the files has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing to do.
    Rest,
    /// They are changing: to be looked at again soon.
    Unsettled,
    /// They were loaded, or it was tried.
    Done,
}

impl Watcher {
    /// For rules of these paths that have been loaded; the fingerprint was taken before that.
    pub(crate) fn new(
        paths: Vec<PathBuf>,
        loading: Loading,
        loaded: Fingerprint,
        rulesets: Arc<Rulesets>,
        stop: Stop,
    ) -> Self {
        Self {
            paths,
            loading,
            rulesets,
            stop,
            loaded: Some(loaded),
            seen: None,
            unsettled: 0,
        }
    }

    /// Looks every `interval` (zero: never by itself) and whenever something comes from `hang_ups`.
    pub(crate) fn start(mut self, interval: Duration, hang_ups: Receiver<()>) -> Result<()> {
        let interval = if interval.is_zero() {
            Duration::MAX
        } else {
            interval
        };
        let watch = move || {
            let mut pause = interval;
            let mut asked = false;
            loop {
                match hang_ups.recv_timeout(pause) {
                    Ok(()) => asked = true,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if self.stop.is_set() {
                    return;
                }
                match self.look(asked) {
                    Look::Unsettled => pause = interval.min(SETTLE),
                    Look::Rest | Look::Done => (pause, asked) = (interval, false),
                }
            }
        };
        std::thread::Builder::new()
            .name("pythia-reload".into())
            .spawn(watch)?;
        Ok(())
    }

    /// Loads the rules if their files have changed and are at rest, or if that is asked for.
    fn look(&mut self, asked: bool) -> Look {
        let loading = self.loading.clone();
        self.look_with(asked, |paths| load(paths, &loading))
    }

    fn look_with(
        &mut self,
        asked: bool,
        load: impl FnOnce(&[PathBuf]) -> Result<Rules, String>,
    ) -> Look {
        let watched = watched(&self.paths, &self.loading);
        let now = fingerprint(&watched);
        let at_rest = self.seen.as_ref() == Some(&now);
        self.seen = Some(now.clone());
        if !asked && self.loaded.as_ref() == Some(&now) {
            self.unsettled = 0;
            return Look::Rest;
        }
        if !asked && !at_rest {
            return self.unsettled();
        }
        let loaded = load(&self.paths);
        // What was read while files moved may be half of the old and half of the new.
        let after = fingerprint(&watched);
        if after != now {
            self.seen = Some(after);
            return self.unsettled();
        }
        self.unsettled = 0;
        self.loaded = loaded.is_ok().then_some(now);
        if !self.stop.is_set() {
            self.apply(loaded);
        }
        Look::Done
    }

    fn unsettled(&mut self) -> Look {
        self.unsettled += 1;
        if self.unsettled.is_multiple_of(UNSETTLED_LOOKS) {
            self.rulesets
                .keep("the rule files keep changing; replace them at once, as by swapping a link");
        }
        Look::Unsettled
    }

    fn apply(&self, loaded: Result<Rules, String>) {
        match loaded {
            Ok(rules) => {
                log_idle(&rules);
                let idle = rules.idle();
                self.rulesets.replace(Arc::new(rules.compiled.plan), idle);
            }
            Err(reason) => self.rulesets.keep(&reason),
        }
    }
}

/// Loads and compiles; the reason and the cure where there is nothing to take the place of rules that run.
fn load(paths: &[PathBuf], loading: &Loading) -> Result<Rules, String> {
    guarded(|| {
        let rules = rules::load(paths, loading, rules::By::Service)?;
        rules.demand_some()?;
        Ok(rules)
    })
}

/// A rule that meets a bug of the compiler must not end a service that runs.
fn guarded(load: impl FnOnce() -> Result<Rules> + UnwindSafe) -> Result<Rules, String> {
    match panic::catch_unwind(load) {
        Ok(rules) => rules.map_err(|error| {
            let reason = format!("{error:#}").replace('\n', "; ");
            format!("{reason}; mend that: it is tried again at each look and on SIGHUP")
        }),
        Err(_) => Err(
            "a bug of pythia: loading has panicked, the message stands above; undo the last change of the rules"
                .to_owned(),
        ),
    }
}

/// Rules that do not run, with place and reason; `pythia check` shows all there is to say of them.
pub(crate) fn log_idle(rules: &Rules) {
    let errors = rules.diagnostics.iter();
    let errors = errors.filter(|diagnostic| diagnostic.severity == Severity::Error);
    for error in errors.take(LISTED) {
        tracing::error!(
            event = "rule_failed",
            file = &*error.place.file,
            line = error.place.line,
            column = error.place.column,
            code = error.code,
            help = error.help,
            "{}",
            error.message
        );
    }
    let not_running = rules.compiled.not_running.iter();
    // Those for other platforms are only counted.
    for rule in not_running.filter(|rule| rule.routed).take(LISTED) {
        tracing::warn!(
            event = "rule_not_running",
            file = &*rule.place.file,
            line = rule.place.line,
            column = rule.place.column,
            "{}",
            rule.reason
        );
    }
    let correlations = rules.compiled.correlations_not_running.iter();
    for (correlation, reason) in correlations.take(LISTED) {
        let place = &correlation.attributes.place;
        tracing::warn!(
            event = "correlation_not_running",
            title = correlation.attributes.title,
            file = &*place.file,
            line = place.line,
            column = place.column,
            "{reason}"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::time::SystemTime;

    use detect::Plan;
    use stream::Telemetry;

    use super::*;
    use detect::Options;

    const PLAIN: Loading = Loading {
        options: Options::ALL,
        placeholders: None,
    };

    /// A folder of rules and its watcher. Looks come from the test, not from a clock.
    struct Watched {
        folder: tempfile::TempDir,
        watcher: Watcher,
        telemetry: Arc<Telemetry>,
    }

    /// A rule that looks for this word.
    fn rule(word: &str) -> String {
        format!(
            "title: {word}\nid: {word}\nlevel: low\nlogsource: {{product: linux, category: process_creation}}\n\
             detection: {{s: {{CommandLine|contains: {word}}}, condition: s}}\n"
        )
    }

    impl Watched {
        /// `fill` makes the first rules below the folder; gives the path to watch.
        fn new(fill: impl FnOnce(&Path) -> PathBuf) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let paths = vec![fill(folder.path())];
            let loaded = fingerprint(&paths);
            let rules = load(&paths, &PLAIN).expect("there are rules at first");
            let telemetry = Arc::new(Telemetry::new());
            let plan = Arc::new(rules.compiled.plan);
            let rulesets = Rulesets::new(plan, stream::Idle::default(), Arc::clone(&telemetry));
            let watcher = Watcher::new(paths, PLAIN, loaded, Arc::new(rulesets), Stop::new());
            Self {
                folder,
                watcher,
                telemetry,
            }
        }

        /// One file with one rule.
        fn one_file() -> Self {
            Self::new(|folder| {
                write(folder, "a.yml", &rule("first"));
                folder.to_owned()
            })
        }

        fn write(&self, name: &str, text: &str) {
            write(self.folder.path(), name, text);
        }

        /// Looks until there is nothing more to do; what each look led to.
        fn looks(&mut self) -> Vec<Look> {
            let mut looks = Vec::new();
            while looks.last() != Some(&Look::Rest) {
                assert!(looks.len() < 5, "{looks:?}");
                looks.push(self.watcher.look(false));
            }
            looks
        }

        /// Titles of the rules in use.
        fn titles(&self) -> Vec<String> {
            let ruleset = self.watcher.rulesets.current();
            let plan: &Plan = ruleset.plan();
            plan.rules()
                .iter()
                .map(|rule| rule.attributes.title.clone())
                .collect()
        }

        /// Reloads so far: ok, unchanged, failed.
        fn reloads(&self) -> [u32; 3] {
            let text = self.telemetry.render();
            ["ok", "unchanged", "failed"].map(|result| {
                let series = format!("pythia_ruleset_reloads_total{{result=\"{result}\"}} ");
                let value = text.lines().find_map(|line| line.strip_prefix(&series));
                value.expect("it is there").parse().expect("a number")
            })
        }
    }

    fn write(folder: &Path, name: &str, text: &str) {
        fs::write(folder.join(name), text).expect("the folder takes a file");
    }

    #[test]
    fn files_that_nobody_touches_are_not_loaded_again() {
        let mut rules = Watched::one_file();
        assert_eq!(rules.looks(), [Look::Rest]);
        assert_eq!(rules.reloads(), [0, 0, 0]);
    }

    #[test]
    fn a_rewritten_file_is_loaded_once_it_rests() {
        let mut rules = Watched::one_file();
        rules.write("a.yml", &rule("second"));
        assert_eq!(rules.looks(), [Look::Unsettled, Look::Done, Look::Rest]);
        assert_eq!(rules.titles(), ["second"]);
        rules.write("b.yml", &rule("third"));
        rules.looks();
        assert_eq!(rules.titles(), ["second", "third"]);
        fs::remove_file(rules.folder.path().join("a.yml")).expect("it lies there");
        rules.looks();
        assert_eq!(rules.titles(), ["third"]);
        assert_eq!(rules.reloads(), [3, 0, 0]);
    }

    #[test]
    fn a_half_written_file_waits() {
        let mut rules = Watched::one_file();
        let text = rule("second");
        for part in [30, 60, 90] {
            let half = text.get(..part).expect("it is longer");
            rules.write("a.yml", half);
            assert_eq!(rules.watcher.look(false), Look::Unsettled);
        }
        rules.write("a.yml", &text);
        assert_eq!(rules.looks(), [Look::Unsettled, Look::Done, Look::Rest]);
        assert_eq!(rules.titles(), ["second"]);
        assert_eq!(rules.reloads(), [1, 0, 0], "no half was loaded");
    }

    #[test]
    fn an_atomic_rename_is_seen_though_size_and_time_of_writing_stay() {
        let mut rules = Watched::one_file();
        let target = rules.folder.path().join("a.yml");
        let written = fs::metadata(&target).and_then(|m| m.modified());
        rules.write(".a.yml.new", &rule("other"));
        let new = rules.folder.path().join(".a.yml.new");
        let file = fs::File::options().write(true).open(&new).expect("a file");
        let times = fs::FileTimes::new().set_modified(written.expect("a time"));
        file.set_times(times).expect("the file takes a time");
        assert_eq!(rules.looks(), [Look::Rest], "hidden files are no rules");
        fs::rename(new, target).expect("renamed");
        rules.looks();
        assert_eq!(rules.titles(), ["other"]);
    }

    #[test]
    fn a_text_of_the_same_size_and_time_written_in_place_is_seen() {
        let mut rules = Watched::one_file();
        let path = rules.folder.path().join("a.yml");
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let date_back = || {
            let file = fs::File::options().write(true).open(&path).expect("a file");
            let times = fs::FileTimes::new().set_modified(old);
            file.set_times(times).expect("the file takes a time");
        };
        date_back();
        rules.looks();
        fs::write(&path, rule("other")).expect("the file takes a text");
        date_back();
        rules.looks();
        assert_eq!(rules.titles(), ["other"]);
    }

    /// As the kubelet does it: every file is a link into `..data`, which is a link that is renamed.
    #[test]
    fn the_swapped_link_of_a_config_map_is_seen() {
        let volume = |folder: &Path, version: &str, words: &[&str]| {
            let below = folder.join(version);
            fs::create_dir(&below).expect("a folder");
            for word in words {
                write(&below, &format!("{word}.yml"), &rule(word));
            }
            symlink(version, folder.join("..data_tmp")).expect("a link");
            fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
        };
        let link = |folder: &Path, word: &str| {
            let name = format!("{word}.yml");
            symlink(Path::new("..data").join(&name), folder.join(name)).expect("a link");
        };
        let mut rules = Watched::new(|folder| {
            volume(folder, "..2026_11_24", &["one", "two"]);
            link(folder, "one");
            link(folder, "two");
            folder.to_owned()
        });
        assert_eq!(rules.titles(), ["one", "two"]);
        let folder = rules.folder.path().to_owned();
        volume(&folder, "..2026_11_25", &["one", "three"]);
        link(&folder, "three");
        fs::remove_file(folder.join("two.yml")).expect("it lies there");
        fs::remove_dir_all(folder.join("..2026_11_24")).expect("it lies there");
        assert_eq!(rules.looks(), [Look::Unsettled, Look::Done, Look::Rest]);
        assert_eq!(rules.titles(), ["one", "three"]);
    }

    #[test]
    fn a_folder_behind_a_swapped_link_is_seen() {
        let version = |folder: &Path, word: &str| {
            fs::create_dir(folder.join(word)).expect("a folder");
            write(&folder.join(word), "a.yml", &rule(word));
            symlink(word, folder.join("new")).expect("a link");
            fs::rename(folder.join("new"), folder.join("current")).expect("renamed");
        };
        let mut rules = Watched::new(|folder| {
            version(folder, "first");
            folder.join("current")
        });
        version(rules.folder.path(), "other");
        rules.looks();
        assert_eq!(rules.titles(), ["other"]);
    }

    #[test]
    fn rules_stay_while_their_folder_is_gone_and_come_back_with_it() {
        let mut rules = Watched::new(|folder| {
            fs::create_dir(folder.join("rules")).expect("a folder");
            write(folder, "rules/a.yml", &rule("first"));
            folder.join("rules")
        });
        let (there, away) = (
            rules.folder.path().join("rules"),
            rules.folder.path().join("away"),
        );
        fs::rename(&there, &away).expect("renamed");
        let looks = [(); 3].map(|()| rules.watcher.look(false));
        assert_eq!(
            looks,
            [Look::Unsettled, Look::Done, Look::Done],
            "it is tried again and again"
        );
        assert_eq!(rules.titles(), ["first"]);
        assert_eq!(rules.reloads(), [0, 0, 2]);
        write(&away, "b.yml", &rule("second"));
        fs::rename(&away, &there).expect("renamed");
        rules.looks();
        assert_eq!(rules.titles(), ["first", "second"]);
        assert_eq!(rules.reloads(), [1, 0, 2]);
    }

    #[test]
    fn a_folder_without_rules_or_with_broken_ones_alone_takes_no_ones_place() {
        let mut rules = Watched::one_file();
        let path = rules.folder.path().join("a.yml");
        fs::remove_file(&path).expect("it lies there");
        rules.watcher.look(false);
        rules.watcher.look(false);
        assert_eq!(rules.reloads(), [0, 0, 1], "no file at all");
        rules.write("a.yml", "title: [");
        rules.watcher.look(false);
        rules.watcher.look(false);
        assert_eq!(rules.reloads(), [0, 0, 2], "no rule that loads");
        rules.write("a.yml", &rule("first").replace("CommandLine", "Nothing"));
        rules.watcher.look(false);
        rules.watcher.look(false);
        assert_eq!(rules.reloads(), [0, 0, 3], "no rule that can match");
        assert_eq!(rules.titles(), ["first"]);
        rules.write("a.yml", &rule("first"));
        rules.looks();
        assert_eq!(rules.reloads(), [0, 1, 3], "as before");
    }

    #[test]
    fn a_broken_rule_stops_no_other() {
        let mut rules = Watched::one_file();
        rules.write("b.yml", "title: Broken\nlogsource: [");
        rules.write("c.yml", &rule("third"));
        rules.looks();
        assert_eq!(rules.titles(), ["first", "third"]);
        let text = rules.telemetry.render();
        assert!(
            text.contains("pythia_rules{state=\"failed\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("pythia_rules{state=\"running\"} 2\n"),
            "{text}"
        );
    }

    #[test]
    fn who_asks_is_answered_at_once_though_nothing_has_changed() {
        let mut rules = Watched::one_file();
        assert_eq!(rules.watcher.look(true), Look::Done);
        assert_eq!(rules.reloads(), [0, 1, 0]);
        rules.write("a.yml", &rule("second"));
        assert_eq!(rules.watcher.look(true), Look::Done);
        assert_eq!(rules.titles(), ["second"]);
        assert_eq!(rules.looks(), [Look::Rest]);
    }

    #[test]
    fn what_is_read_while_files_move_is_read_again() {
        let mut rules = Watched::one_file();
        let path = rules.folder.path().join("b.yml");
        rules.write("a.yml", &rule("second"));
        assert_eq!(rules.watcher.look(false), Look::Unsettled);
        for asked in [false, true] {
            let moving = |paths: &[PathBuf]| {
                let loaded = load(paths, &PLAIN);
                let text = format!("{}# {asked}\n", rule("third"));
                fs::write(&path, text).expect("the folder takes a file");
                loaded
            };
            let look = rules.watcher.look_with(asked, moving);
            assert_eq!(look, Look::Unsettled, "asked: {asked}");
            assert_eq!(rules.titles(), ["first"]);
            assert_eq!(rules.reloads(), [0, 0, 0]);
        }
        assert_eq!(rules.looks(), [Look::Done, Look::Rest]);
        assert_eq!(rules.titles(), ["second", "third"]);
    }

    #[test]
    fn a_failed_reload_says_why_and_what_helps() {
        let loaded = load(&["/no/such/folder".into()], &PLAIN);
        let reason = loaded.err().expect("it is not there");
        for part in ["/no/such/folder: No such file", "; mend that"] {
            assert!(reason.contains(part), "{reason}");
        }
        assert!(!reason.contains('\n'), "one line in the log: {reason}");
    }

    #[test]
    fn a_panic_while_loading_is_a_failed_reload() {
        let mut rules = Watched::one_file();
        let panics = |_: &[PathBuf]| guarded(|| panic!("a bug"));
        assert_eq!(rules.watcher.look_with(true, panics), Look::Done);
        assert_eq!(rules.reloads(), [0, 0, 1]);
        assert_eq!(rules.titles(), ["first"]);
    }

    #[test]
    fn a_service_that_is_to_end_takes_no_new_rules() {
        let mut rules = Watched::one_file();
        rules.write("a.yml", &rule("second"));
        rules.watcher.stop.set();
        rules.watcher.look(true);
        assert_eq!(rules.titles(), ["first"]);
    }

    #[test]
    fn files_that_never_rest_are_told() {
        let mut rules = Watched::one_file();
        for n in 0..UNSETTLED_LOOKS {
            assert_eq!(rules.reloads(), [0, 0, 0]);
            let longer = "x".repeat(n as usize + 6);
            rules.write("a.yml", &rule(&longer));
            assert_eq!(rules.watcher.look(false), Look::Unsettled);
        }
        assert_eq!(rules.reloads(), [0, 0, 1]);
        assert_eq!(rules.titles(), ["first"]);
    }

    #[test]
    fn a_file_that_becomes_readable_is_looked_at_again() {
        let rules = Watched::one_file();
        let paths = &rules.watcher.paths;
        let before = fingerprint(paths);
        let readable = fs::Permissions::from_mode(0o640);
        let path = rules.folder.path().join("a.yml");
        fs::set_permissions(path, readable).expect("it is ours");
        assert_ne!(fingerprint(paths), before);
    }
}
