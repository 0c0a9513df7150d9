//! `pythia new`: a rule and its fixture, made from a captured event.

mod sketch;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use console::moment;
use console::printing::{Output, escaped, escaped_json, out, out_json};
use detect::{Detector, Line, Plan, Source, view_name};
use event::{Origin, ProcessCache, Profile};
use serde_json::json;
use sigma::SourceFile;
use uuid::Uuid;

use crate::args::{Common, New};
use crate::input::{Lines, Next};
use crate::{Exit, Failure, config, scan};
use sketch::{Sketch, quoted};

/// Longest name of a file, without its ending, in characters.
const FILE_NAME_MAX: usize = 60;

pub(crate) fn run(common: &Common, new: &New) -> Result<Exit> {
    let config = config::load(common, Vec::new())?;
    let profile = Arc::new(scan::profile(&config));
    let (path, number) = position(&new.event);
    let (number, line) = line_of(&path, number, profile.limits.line_bytes)?;
    let usage = |what: String| Failure::Usage(format!("{}:{number}: {what}", path.display()));
    let sketch = Sketch::of(&line, &profile, new.logsource.as_deref()).map_err(usage)?;
    let line = std::str::from_utf8(&line).map_err(|error| usage(error.to_string()))?;
    let title = new.title.clone().unwrap_or_else(|| sketch.title.clone());
    if title.trim().is_empty() || escaped(&title) != title {
        let what = "--title: write some words on one line, without control characters";
        return Err(Failure::Usage(what.into()).into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let now = moment::rfc3339(i64::try_from(now)?).context("the clock is out of range")?;
    let id = Uuid::new_v4().to_string();
    let rule = Scaffold {
        title: &title,
        id: &id,
        date: now.split('T').next().unwrap_or(&now),
        event: &format!("{}:{number}", path.display()),
        sketch: &sketch,
    };
    let (rule, fixture) = (rule.rule(), rule.fixture(line));
    check(&rule, line, &profile)?;
    let name = file_name(&title);
    let rule_path = new.out.join(format!("{name}.yml"));
    let fixture_path = new.out.join(format!("{name}.test.yml"));
    write_both(&[(&rule_path, &rule), (&fixture_path, &fixture)])?;
    let (rule, fixture) = (rule_path.display(), fixture_path.display());
    if common.output() == Output::Table {
        let (rule, fixture) = (escaped(&rule.to_string()), escaped(&fixture.to_string()));
        out(&format!(
            "wrote {rule} and {fixture}\nnext: say what it means, add a near miss, and run `pythia test {rule}`\n"
        ))?;
    } else {
        let logsource = view_name(sketch.kind);
        let told = json!({
            "rule": rule.to_string(), "fixture": fixture.to_string(), "id": id, "title": title, "logsource": logsource,
        });
        out_json(&format!("{told}\n"))?;
    }
    Ok(Exit::Ok)
}

/// `FILE:LINE`, or a file alone; a file that is called like that is one.
pub(crate) fn position(text: &Path) -> (PathBuf, Option<u64>) {
    let split = || {
        let (file, line) = text.to_str()?.rsplit_once(':')?;
        let line = line.parse().ok().filter(|line| *line > 0)?;
        Some((PathBuf::from(file), Some(line)))
    };
    if text.exists() {
        return (text.to_owned(), None);
    }
    split().unwrap_or_else(|| (text.to_owned(), None))
}

/// The line of this number, from 1, and the number; without one the first that is not blank.
fn line_of(path: &Path, number: Option<u64>, limit: usize) -> Result<(u64, Vec<u8>)> {
    let at = || path.display().to_string();
    let mut lines = Lines::open(path, limit)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    let mut current = 0;
    loop {
        let (bytes, whole) = match lines.next().with_context(at)? {
            Next::Line(bytes) => (bytes, true),
            Next::Oversize(start, _) => (start, false),
            Next::Drained => continue,
            Next::End => break,
        };
        current += 1;
        let is_it = match number {
            Some(number) => number == current,
            None => !bytes.trim_ascii().is_empty(),
        };
        if is_it && !whole {
            let what = format!("{}:{current}: the line is longer than {limit} bytes", at());
            return Err(Failure::Usage(what).into());
        }
        if is_it {
            return Ok((current, bytes.trim_ascii().to_vec()));
        }
    }
    let lines = config::count(current, "line");
    Err(Failure::Usage(format!("{} has {lines}, and no such event", at())).into())
}

/// What the two files are made of.
struct Scaffold<'a> {
    title: &'a str,
    id: &'a str,
    date: &'a str,
    /// Where the event was captured.
    event: &'a str,
    sketch: &'a Sketch,
}

impl Scaffold<'_> {
    fn rule(&self) -> String {
        let Self {
            title,
            id,
            date,
            event,
            sketch,
        } = self;
        let (title, event) = (quoted(title), escaped(event));
        let (key, view) = match view_name(sketch.kind) {
            service @ ("auditd" | "laurel") => ("service", service),
            category => ("category", category),
        };
        let selection = sketch.selection();
        format!(
            "title: {title}
id: {id}
status: experimental
# What it means if this happens, and what to do about it.
description: {}
# references:
#     - https://attack.mitre.org/techniques/T1059/
# author: you
date: {date}
# tags:
#     - attack.execution
#     - attack.t1059
logsource:
    product: linux
    {key}: {view}
detection:
    selection:
{selection}    condition: selection
falsepositives:
    - Unknown
level: medium
",
            quoted(&format!("Made from the event at {event}."))
        )
    }

    fn fixture(&self, line: &str) -> String {
        let name = quoted(&format!("captured at {}", escaped(self.event)));
        // Whatever YAML or a terminal would stumble over stands in strings of JSON alone.
        let line = escaped_json(line);
        format!(
            "cases:
  - name: {name}
    event: |-
      {line}
    expect: alert
  # A near miss keeps the rule honest: what looks alike and is allowed. Capture one, or change this copy until the rule
  # must not match, and take the signs away.
  # - name: the same program, doing something else
  #   event: |-
  #     {line}
  #   expect: silent
"
        )
    }
}

/// That the rule loads without a remark, runs and matches its event: the promise of what is written.
fn check(rule: &str, line: &str, profile: &Arc<Profile>) -> Result<()> {
    let file = SourceFile {
        name: "the new rule".into(),
        text: rule.into(),
    };
    let loaded = sigma::load(&[file]);
    let compiled = Plan::compile(loaded.rules);
    let mut faults = loaded.diagnostics.iter().chain(&compiled.diagnostics);
    if let Some(fault) = faults.next() {
        anyhow::bail!("the rule made of this event is not good: {}", fault.message);
    }
    let mut detector = Detector::new(Arc::new(compiled.plan), Arc::clone(profile));
    let source = Source::File { file: "-", line: 1 };
    let line = Line {
        bytes: line.as_bytes(),
        origin: Origin::default(),
        source,
    };
    let mut cache = ProcessCache::new(1 << 20, 3_600_000);
    let found = detector.matching(&line, &mut cache);
    if !found.is_ok_and(|found| !found.is_empty()) {
        anyhow::bail!("the rule made of this event does not match it; write it by hand");
    }
    Ok(())
}

/// `Execution of perl!` becomes `execution_of_perl`.
fn file_name(title: &str) -> String {
    let lower = title.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let name: String = words.join("_").chars().take(FILE_NAME_MAX).collect();
    let name = name.trim_end_matches('_');
    if name.is_empty() {
        "rule".to_owned()
    } else {
        name.to_owned()
    }
}

/// Writes all of them, or none; a file that exists is not touched.
fn write_both(files: &[(&PathBuf, &String)]) -> Result<()> {
    let there: Vec<String> = files
        .iter()
        .filter(|(path, _)| path.exists())
        .map(|(path, _)| format!("{} exists; give another --title or --out", path.display()))
        .collect();
    if !there.is_empty() {
        return Err(Failure::Usage(there.join("\n")).into());
    }
    for (number, (path, text)) in files.iter().enumerate() {
        let write = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = fs::File::create_new(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        if let Err(error) = write() {
            for (written, _) in files.iter().take(number) {
                fs::remove_file(written).ok();
            }
            return Err(error).with_context(|| path.display().to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use event::ViewKind;

    use super::*;

    #[test]
    fn a_title_gives_a_file_name() {
        assert_eq!(
            file_name("Execution of `perl5.36`!"),
            "execution_of_perl5_36"
        );
        assert_eq!(file_name("Über ../../etc"), "über_etc");
        assert_eq!(file_name("..."), "rule");
        assert_eq!(file_name(&"x ".repeat(100)).len(), FILE_NAME_MAX - 1);
    }

    #[test]
    fn a_line_is_named_behind_its_file() {
        let at = |text: &str| position(Path::new(text));
        assert_eq!(at("no/such:12"), (PathBuf::from("no/such"), Some(12)));
        assert_eq!(at("no/such"), (PathBuf::from("no/such"), None));
        assert_eq!(at("no/such:0"), (PathBuf::from("no/such:0"), None));
        assert_eq!(at("-:3"), (PathBuf::from("-"), Some(3)));
    }

    /// Every recorded event that some view but that of single records sees.
    #[test]
    fn a_rule_made_of_a_recorded_event_is_good_and_matches_it() {
        let profile = Arc::new(Profile::laurel());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
        for name in [
            "container.jsonl.zst",
            "fleet.jsonl.zst",
            "configs/alt.jsonl.zst",
        ] {
            let bytes = fs::read(folder.join(name)).expect("a recording");
            let text = zstd::decode_all(&bytes[..]).expect("zstd");
            let text = String::from_utf8(text).expect("UTF-8");
            for (number, line) in text.lines().enumerate().step_by(7) {
                for asked in [None, Some("auditd"), Some("laurel")] {
                    let sketch = Sketch::of(line.as_bytes(), &profile, asked);
                    let sketch = sketch.unwrap_or_else(|e| panic!("{name}:{number}: {e}"));
                    *kinds.entry(view_name(sketch.kind)).or_default() += 1;
                    let scaffold = Scaffold {
                        title: &sketch.title,
                        id: "6f2e85c7-2e41-4a7e-bc3e-8260933c0754",
                        date: "2026-11-24",
                        event: name,
                        sketch: &sketch,
                    };
                    let rule = scaffold.rule();
                    check(&rule, line, &profile)
                        .unwrap_or_else(|e| panic!("{name}:{number}: {e}\n{line}\n{rule}"));
                    let fixture = SourceFile {
                        name: "x.test.yml".into(),
                        text: scaffold.fixture(line).into(),
                    };
                    let fixture = sigma::Fixture::read(&fixture);
                    assert!(fixture.diagnostics.is_empty(), "{:#?}", fixture.diagnostics);
                    let sigma::Events::Lines(lines) = &fixture.cases[0].events else {
                        panic!("lines")
                    };
                    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text);
                    assert_eq!(json(&lines.text).ok(), json(line).ok());
                }
            }
        }
        assert_eq!(kinds.len(), ViewKind::ALL.len(), "{kinds:?}");
    }
}
