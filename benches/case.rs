//! One file of `benches/cases`: which lines, which rules, what must come out, how fast.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use detect::{Line, Source};
use event::{Origin, ProcessCache};
use serde::Deserialize;
use sigma::{Correlation, Rule, SourceFile};

/// Categories that a view feeds on Linux and that rules for other products have too.
const SHARED_CATEGORIES: [&str; 3] = ["process_creation", "file_event", "network_connection"];

/// Figures that a case may limit: a limit of another name would never be missed.
const LIMITED: [&str; 15] = [
    "decode",
    "engine",
    "growth",
    "speedup",
    "scan",
    "scan with its start",
    "bytes per rule",
    "allocations",
    "beyond the consumer",
    "two workers",
    "correlations",
    "bytes per group",
    "loading",
    "loading peak",
    "thousand fixtures",
];

/// What a case file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Lines, `.zst` or plain, relative to the repository; `$NAME/..` starts with that variable.
    corpus: String,
    /// Rule folders, written like the corpus.
    rules: Vec<String>,
    /// Only rules of the shared categories and of auditd, whatever their product, which is made Linux.
    #[serde(default)]
    pub(crate) any_product: bool,
    /// The case whose rules run beside these ones on the same lines, for the figure `growth`.
    pub(crate) base: Option<String>,
    /// Rules that must run.
    pub(crate) running: usize,
    /// Alerts that one pass must give.
    pub(crate) alerts: u64,
    /// Dead letters that one pass must give.
    #[serde(default)]
    pub(crate) dead_letters: u64,
    /// Alerts that its correlations must give where they are measured.
    #[serde(default)]
    pub(crate) correlated: u64,
    /// Limits by figure. Whole processes and two threads are measured only where they have one.
    pub(crate) limits: BTreeMap<String, Limit>,
}

/// How far a figure may go. Above `target` is said, above `fail` fails; where `fail` is below `target`
/// more is better and both are read the other way round.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// What is aimed at.
    pub(crate) target: f64,
    /// What must hold.
    pub(crate) fail: f64,
    /// A ratchet for what does not hold yet: the bench fails only above this value. Lower it with every
    /// gain, remove it when `fail` holds.
    pub(crate) known_above: Option<f64>,
}

/// A case with its lines and rules.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) case: Case,
    pub(crate) text: Vec<u8>,
    files: Vec<SourceFile>,
}

impl Case {
    /// Every case file, in order of their names.
    pub(crate) fn all() -> Vec<(String, Self)> {
        let read = |path: PathBuf| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let case = toml::from_str(&read_text(&path));
            let case: Self = case.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for limited in case.limits.keys() {
                let known = LIMITED.contains(&limited.as_str());
                assert!(known, "{}: no figure {limited}", path.display());
            }
            (name.into_owned(), case)
        };
        let files = sorted(&root().join("benches/cases")).into_iter();
        files.map(read).collect()
    }

    /// The case of this name.
    pub(crate) fn named(name: &str) -> Self {
        let mut all = Self::all();
        let at = all.iter().position(|(other, _)| other == name);
        all.swap_remove(at.unwrap_or_else(|| panic!("there is no case {name}")))
            .1
    }

    /// Lines and rules; what is missing if they are not there.
    pub(crate) fn load(self, name: &str) -> Result<Loaded, String> {
        let folders = self.rules.iter().map(|written| place(written));
        let folders: Option<Vec<PathBuf>> = folders.collect();
        let (Some(corpus), Some(folders)) = (place(&self.corpus), folders) else {
            let rules = self.rules.join(", ");
            return Err(format!("needs {} and {rules}", self.corpus));
        };
        let files = rule_files(folders);
        Ok(Loaded {
            name: name.to_owned(),
            text: read_corpus(&corpus),
            files,
            case: self,
        })
    }
}

impl Loaded {
    /// The rules of the case, loaded anew.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let mut rules = sigma::load(&self.files).rules;
        if self.case.any_product {
            rules.retain_mut(|rule| {
                let source = &mut rule.logsource;
                let category = source.category.as_deref().unwrap_or_default();
                let shared = SHARED_CATEGORIES.contains(&category);
                if shared {
                    source.product = Some("linux".into());
                }
                shared || source.service.as_deref() == Some("auditd")
            });
        }
        rules
    }

    /// The folders that hold them.
    pub(crate) fn rule_folders(&self) -> Vec<PathBuf> {
        let folders = self.case.rules.iter();
        folders.filter_map(|written| place(written)).collect()
    }

    /// The same with their correlations.
    pub(crate) fn correlated_rules(&self) -> (Vec<Rule>, Vec<Correlation>) {
        let loaded = sigma::load(&self.files);
        (loaded.rules, loaded.correlations)
    }

    /// The lines, without breaks; empty ones are none.
    pub(crate) fn lines(&self) -> Vec<&[u8]> {
        let lines = self.text.split(|byte| *byte == b'\n');
        lines.filter(|line| !line.is_empty()).collect()
    }

    /// The text of the file that holds a rule.
    pub(crate) fn text_of(&self, rule: &Rule) -> &str {
        let mut files = self.files.iter();
        let file = files.find(|file| file.name == rule.attributes.place.file);
        &file.expect("every rule came from a file").text
    }

    /// Writes the files of these rules to a new folder.
    pub(crate) fn write_rules(&self, rules: &[Arc<Rule>], folder: &Path) {
        fs::create_dir(folder).expect("there is room for a folder");
        let files: BTreeSet<&str> = rules.iter().map(|rule| self.text_of(rule)).collect();
        for (number, text) in files.into_iter().enumerate() {
            let path = folder.join(format!("{number}.yml"));
            fs::write(path, text).expect("there is room for a file");
        }
    }
}

/// All lines come from one host.
pub(crate) const ORIGIN: Origin<'_> = Origin {
    host: None,
    scope: Some(b"bench"),
};

/// A line as the engine takes it.
pub(crate) fn line_of(bytes: &[u8], number: u64) -> Line<'_> {
    Line {
        bytes,
        origin: ORIGIN,
        source: Source::File {
            file: "bench",
            line: number,
        },
    }
}

/// An empty process cache with the usual limits.
pub(crate) fn cache() -> ProcessCache {
    ProcessCache::new(256 << 20, 24 * 3600 * 1000)
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file; the bench ends with the reason where it cannot be read.
pub(crate) fn read_text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path that a case means, if it exists.
fn place(written: &str) -> Option<PathBuf> {
    let path = match written.strip_prefix('$') {
        Some(rest) => {
            let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
            Path::new(&std::env::var_os(name)?).join(below)
        }
        None => root().join(written),
    };
    path.exists().then_some(path)
}

fn rule_files(folders: Vec<PathBuf>) -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut open = folders;
    while let Some(path) = open.pop() {
        let name = path.to_string_lossy();
        if path.is_dir() {
            open.extend(sorted(&path));
        } else if name.ends_with(".yml") && !name.ends_with(".test.yml") {
            let text: Arc<str> = read_text(&path).into();
            let name: Arc<str> = name.into();
            files.push(SourceFile { name, text });
        }
    }
    files
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder entry").path())
        .collect();
    paths.sort();
    paths
}

fn read_corpus(path: &Path) -> Vec<u8> {
    let raw = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|e| e != "zst") {
        return raw;
    }
    let mut text = Vec::new();
    let mut decoder = zstd::stream::Decoder::new(raw.as_slice()).expect("a zstd frame");
    decoder.read_to_end(&mut text).expect("a whole zstd frame");
    text
}
