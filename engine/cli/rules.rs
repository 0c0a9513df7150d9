//! Rule files from disk or from the program itself, loaded and compiled.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use console::diagnostics::Shower;
use console::printing::{Paint, err};
use detect::{Compiled, Options, Plan};
use sigma::yaml::FILE_BYTES_MAX;
use sigma::{Correlation, Diagnostic, Filter, Place, Severity, SourceFile, SourceTarget};
use stream::Idle;

use crate::Failure;
use crate::args::Common;
use crate::config::count;

/// The starter rules: name and text.
const STARTER: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/starter_rules.rs"));

/// Rules as they were read, and what became of them.
pub(crate) struct Rules {
    pub(crate) files: Vec<SourceFile>,
    /// Documents that loaded.
    pub(crate) loaded: usize,
    pub(crate) compiled: Compiled,
    pub(crate) filters: Vec<Filter>,
    /// Of loading and of compiling, sorted by place.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Rules {
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }

    /// Documents that failed to load, however many mistakes each has.
    fn failed(&self) -> usize {
        let errors = self.diagnostics.iter();
        let errors = errors.filter(|diagnostic| diagnostic.severity == Severity::Error);
        let documents: BTreeSet<_> = errors.map(|d| (&d.place.file, &d.rule)).collect();
        documents.len()
    }

    /// What was read and does not run.
    pub(crate) fn idle(&self) -> Idle {
        Idle {
            not_running: self.compiled.not_running.len()
                + self.compiled.correlations_not_running.len(),
            failed: self.failed(),
        }
    }

    /// An error if there is nothing to run.
    pub(crate) fn demand_some(&self) -> Result<()> {
        if !self.compiled.plan.rules().is_empty() {
            return Ok(());
        }
        let why = if self.count(Severity::Error) > 0 {
            "every rule has errors"
        } else {
            "no rule found that can run"
        };
        Err(Failure::Usage(format!("nothing to run: {why}; see `pythia check`")).into())
    }
}

/// What loading takes beside the files.
#[derive(Clone, Debug)]
pub(crate) struct Loading {
    /// The engine's optimisations.
    pub(crate) options: Options,
    /// The file that gives values to placeholders; read each time.
    pub(crate) placeholders: Option<PathBuf>,
}

impl Loading {
    /// An error has all mistakes of the file.
    fn sigma(&self) -> Result<sigma::Options> {
        let Some(path) = &self.placeholders else {
            return Ok(sigma::Options::default());
        };
        let name = path.display();
        let wrong = |what: String| Failure::Usage(what);
        let file = match read_one(path).map_err(|error| wrong(format!("{name}: {error}")))? {
            Ok(file) => file,
            Err(not_utf8) => return Err(wrong(format!("{name}: {}", not_utf8.1.message)).into()),
        };
        let placeholders = sigma::read_placeholders(&file).map_err(|mistakes| {
            let line = |one: &Diagnostic| {
                let Place { line, column, .. } = one.place;
                let help = one.help.as_deref().unwrap_or_default();
                format!("{name}:{line}:{column}: {}; {help}", one.message)
            };
            wrong(mistakes.iter().map(line).collect::<Vec<_>>().join("\n"))
        })?;
        Ok(sigma::Options {
            placeholders,
            ..sigma::Options::default()
        })
    }
}

/// Who evaluates the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// One process that sees all events.
    Scan,
    /// One of several that each see the events of some hosts.
    Service,
}

/// Correlations whose events may lie in several partitions do not run: no instance sees all of a group.
fn refuse_spread(correlations: &mut [Correlation]) {
    let mut by_host: Vec<bool> = Vec::new();
    for correlation in correlations {
        let is_host = |at: usize| {
            correlation.sources.iter().all(|source| {
                let reads_by_host = match source.target {
                    SourceTarget::Rule(_) => true,
                    SourceTarget::Correlation(inner) => by_host[inner],
                };
                reads_by_host && &*source.group_by[at] == "host"
            })
        };
        let whole = (0..correlation.group_by.len()).any(is_host);
        if !whole && correlation.not_running.is_none() {
            let reason = "`pythia run` evaluates only what is grouped by `host`: the events of one host come to one \
                          instance, those of other groups to several; add `host` to `group-by`, or evaluate it with \
                          `pythia scan`";
            correlation.not_running = Some(reason.into());
        }
        by_host.push(whole);
    }
}

/// Loads these files and folders, or the starter rules if there are none.
pub(crate) fn load(paths: &[PathBuf], loading: &Loading, by: By) -> Result<Rules> {
    if paths.is_empty() {
        return compile(starter(), Vec::new(), loading, by);
    }
    let (files, unreadable) = read(paths)?;
    compile(files, unreadable, loading, by)
}

/// The same as a scan reads them, but that no path means no rule.
pub(crate) fn load_only(paths: &[PathBuf], loading: &Loading) -> Result<Rules> {
    load_only_by(paths, loading, By::Scan)
}

/// The same for another who evaluates them.
pub(crate) fn load_only_by(paths: &[PathBuf], loading: &Loading, by: By) -> Result<Rules> {
    let (files, unreadable) = read(paths)?;
    compile(files, unreadable, loading, by)
}

fn compile(
    mut files: Vec<SourceFile>,
    unreadable: Vec<NotUtf8>,
    loading: &Loading,
    by: By,
) -> Result<Rules> {
    let mut loaded = sigma::load_with(&files, &loading.sigma()?);
    if by == By::Service {
        refuse_spread(&mut loaded.correlations);
    }
    let (not_utf8, faults): (Vec<_>, Vec<_>) = unreadable.into_iter().unzip();
    files.extend(not_utf8);
    let documents = loaded.rules.len() + loaded.correlations.len() + loaded.filters.len();
    let compiled = Plan::compile_all(loaded.rules, loaded.correlations, loading.options);
    let mut diagnostics = loaded.diagnostics;
    diagnostics.extend(compiled.diagnostics.iter().cloned());
    diagnostics.extend(faults);
    diagnostics.sort_by(|a, b| (&a.place, a.code).cmp(&(&b.place, b.code)));
    Ok(Rules {
        files,
        loaded: documents,
        compiled,
        filters: loaded.filters,
        diagnostics,
    })
}

/// The same for a command that runs rules: says in short what is wrong with them, on stderr.
pub(crate) fn load_to_run(common: &Common, paths: &[PathBuf], by: By) -> Result<Rules> {
    let rules = load(paths, &common.loading(), by)?;
    let errors = rules.count(Severity::Error);
    if errors > 0 && !common.quiet {
        let shower = Shower::new(&rules.files, Paint::stderr());
        let shown = if common.verbose { usize::MAX } else { 5 };
        for diagnostic in rules
            .diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .take(shown)
        {
            err(&shower.text(diagnostic));
        }
        err(&format!(
            "{} in rules; `pythia check` shows all\n",
            count(errors, "error")
        ));
    }
    rules.demand_some()?;
    Ok(rules)
}

fn starter() -> Vec<SourceFile> {
    let file = |(name, text): &(&str, &str)| SourceFile {
        name: (*name).into(),
        text: (*text).into(),
    };
    STARTER.iter().map(file).collect()
}

/// One file, as [`load`] reads rules; what is wrong with it where it is not UTF-8. An error if it cannot be read at all.
pub(crate) fn read_one(path: &Path) -> std::io::Result<Result<SourceFile, Box<NotUtf8>>> {
    let bytes = read_within(path, FILE_BYTES_MAX)?;
    let name: Arc<str> = path.to_string_lossy().into();
    let file = |text: &str| SourceFile {
        name: Arc::clone(&name),
        text: text.into(),
    };
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(file(text)),
        // Cut within a letter: `sigma` says that the file is too long.
        Err(_) if bytes.len() > FILE_BYTES_MAX => Ok(file(&String::from_utf8_lossy(&bytes))),
        Err(error) => {
            let file = file(&String::from_utf8_lossy(&bytes));
            let fault = not_utf8_at(&file, error.valid_up_to());
            Err(Box::new((file, fault)))
        }
    })
}

/// A file that is shown but not loaded, and why.
pub(crate) type NotUtf8 = (SourceFile, Diagnostic);

/// Texts of rules; and apart, with what is wrong, those that are not UTF-8: guessed letters would be another rule.
fn read(paths: &[PathBuf]) -> Result<(Vec<SourceFile>, Vec<NotUtf8>)> {
    let (found, mut missing) = find(paths);
    let mut files = Vec::new();
    let mut not_utf8 = Vec::new();
    for path in found {
        let is_named = paths.contains(&path);
        // What lies in a folder may be a link to nothing, or a pipe that nobody writes to.
        let readable = if is_named || path.is_file() {
            read_one(&path)
        } else {
            Err(fs::metadata(&path).map_or_else(|error| error, |_| ErrorKind::InvalidInput.into()))
        };
        match readable {
            Ok(Ok(file)) => files.push(file),
            Ok(Err(fault)) => not_utf8.push(*fault),
            Err(error) if is_named => missing.push(format!("{}: {error}", path.display())),
            Err(error) => not_utf8.push(unreadable(&path, &error)),
        }
    }
    if !missing.is_empty() {
        return Err(Failure::Usage(format!("rules cannot be read\n{}", missing.join("\n"))).into());
    }
    Ok((files, not_utf8))
}

/// The rule files that these paths name, and what cannot be listed.
pub(crate) fn find(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<String>) {
    find_with(paths, |path| !is_fixture(path))
}

/// The same for fixtures.
pub(crate) fn find_fixtures(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<String>) {
    find_with(paths, is_fixture)
}

/// Whether a file is called as fixtures are: `x.test.yml`.
pub(crate) fn is_fixture(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem.to_string_lossy().ends_with(".test"))
}

fn find_with(paths: &[PathBuf], is_wanted: impl Fn(&Path) -> bool) -> (Vec<PathBuf>, Vec<String>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for path in paths {
        if let Err(error) = collect(path, &is_wanted, &mut found) {
            missing.push(format!("{}: {error}", path.display()));
        }
    }
    // Paths may overlap.
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    (found, missing)
}

/// A file's bytes, of a longer one so many and one more: what is named may be an endless device.
fn read_within(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The fault of a file of a folder that cannot be read; the others are.
fn unreadable(path: &Path, error: &std::io::Error) -> NotUtf8 {
    let name: Arc<str> = path.to_string_lossy().into();
    let why = match error.kind() {
        ErrorKind::InvalidInput => "it is no file".to_owned(),
        _ => error.to_string(),
    };
    let place = Place {
        file: Arc::clone(&name),
        line: 1,
        column: 1,
        bytes: (0, 0),
    };
    let fault = Diagnostic {
        code: "R001",
        severity: Severity::Error,
        place,
        message: format!("the file cannot be read: {why}"),
        label: None,
        help: Some("mend or remove it; the other files are loaded".to_owned()),
        rule: None,
    };
    let text = "".into();
    (SourceFile { name, text }, fault)
}

/// The fault of a file whose text is good up to this byte.
fn not_utf8_at(file: &SourceFile, at: usize) -> Diagnostic {
    let good = file.text.get(..at).unwrap_or_default();
    let line = good.rsplit('\n').next().unwrap_or_default();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Diagnostic {
        code: "R001",
        severity: Severity::Error,
        place: Place {
            file: Arc::clone(&file.name),
            line: number(good.matches('\n').count() + 1),
            column: number(line.chars().count() + 1),
            bytes: (
                number(at),
                number(at + char::REPLACEMENT_CHARACTER.len_utf8()),
            ),
        },
        message: "the file is not UTF-8".to_owned(),
        label: None,
        help: Some("save it as UTF-8".to_owned()),
        rule: None,
    }
}

/// A named file whatever it is called; below a folder every `.yml` and `.yaml` that is wanted.
fn collect(
    path: &Path,
    is_wanted: &impl Fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    if !path.is_dir() {
        fs::metadata(path)?;
        found.push(path.to_owned());
        return Ok(());
    }
    let mut open = vec![path.to_owned()];
    // Links may lead in circles.
    let mut seen = BTreeSet::new();
    let mut below = Vec::new();
    while let Some(folder) = open.pop() {
        if !seen.insert(folder.canonicalize()?) {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            // A Kubernetes ConfigMap holds each file again below a hidden folder.
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "yml" || extension == "yaml")
                && is_wanted(&path)
            {
                below.push(path);
            }
        }
    }
    below.sort();
    found.extend(below);
    Ok(())
}
