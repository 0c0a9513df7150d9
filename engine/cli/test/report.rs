//! What `pythia test` says: for people, as JSON, as `JUnit`.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use console::diagnostics::{Shower, to_json};
use console::github::Texts;
use console::printing::{Output, Paint, err, escaped, out, out_json};
use serde_json::{Value, json};
use sigma::{Expect, Severity};

use super::{NearView, Outcome, Report, second};
use crate::args::{Common, Test};
use crate::config::count;
use crate::explained;

impl Report {
    /// Prints it, and writes the file that was asked for.
    pub(super) fn show(&self, common: &Common, test: &Test) -> Result<()> {
        if let Some(path) = &test.junit {
            let xml = self.junit(test.require_fixtures);
            fs::write(path, xml).with_context(|| path.display().to_string())?;
        }
        let table = || self.text(common, test.require_fixtures, Paint::stdout());
        match common.output() {
            Output::Table if common.is_github() => {
                let read = out(&self.annotations())?;
                if !common.quiet {
                    let paint = Paint::stderr();
                    err(&self.summary(common.verbose, test.require_fixtures, paint));
                }
                read
            }
            Output::Table => out(&table())?,
            Output::Json => {
                let document = serde_json::to_string_pretty(&self.json())?;
                out_json(&format!("{document}\n"))?
            }
            Output::Jsonl => {
                let cases = self
                    .results
                    .iter()
                    .map(|result| format!("{}\n", case(result)));
                let read = out_json(&cases.collect::<String>())?;
                let paint = Paint::stderr();
                if !common.quiet && read {
                    err(&self.mistakes(paint));
                    err(&self.summary(common.verbose, test.require_fixtures, paint));
                }
                read
            }
        };
        Ok(())
    }

    fn text(&self, common: &Common, require: bool, paint: Paint) -> String {
        let mut text = self.mistakes(paint);
        for result in &self.results {
            match &result.wrong {
                Some(_) => text += &failure(result, paint),
                None if common.verbose => {
                    let ok = paint.state("ok");
                    text += &format!("{ok}   {}\n", title(result));
                }
                None => {}
            }
        }
        text += &self.notes(paint);
        if !common.quiet {
            text += &self.summary(common.verbose, require, paint);
        }
        text
    }

    /// Mistakes and failing cases as annotations of GitHub Actions.
    fn annotations(&self) -> String {
        let texts = Texts::new(&self.files);
        let mistakes = self.diagnostics.iter().map(|one| texts.annotation(one));
        let failures = self.results.iter().filter_map(|result| {
            let wrong = result.wrong.as_ref()?;
            let name = format!("case: {}", result.case.name);
            Some(texts.error(&result.case.place, &name, &wrong.message))
        });
        mistakes.chain(failures).collect()
    }

    /// Where the second opinion is another one; what is true of a rule whatever the case once for each rule.
    fn notes(&self, paint: Paint) -> String {
        let mut text = String::new();
        let (mut rules, mut deviations) = (BTreeSet::new(), BTreeSet::new());
        for result in &self.results {
            for said in &result.second {
                if said.is_of_rule() && !rules.insert((&result.rule_file, said.title())) {
                    continue;
                }
                let Some(note) = said.note(&mut deviations) else {
                    continue;
                };
                text += &format!("{} {}\n", paint.state("note"), paint.bold(&title(result)));
                text += &format!("     rule: {}\n", escaped(said.title()));
                text += &indented(&note);
            }
        }
        text
    }

    fn mistakes(&self, paint: Paint) -> String {
        let shower = Shower::new(&self.files, paint);
        let shown = self.diagnostics.iter().map(|d| shower.text(d) + "\n");
        shown.collect()
    }

    fn summary(&self, verbose: bool, require: bool, paint: Paint) -> String {
        let (cases, failed) = (self.results.len(), self.failed());
        let mut text = String::new();
        let without = &self.without_fixture;
        if !without.is_empty() {
            let rules: usize = without.values().sum();
            text += &format!("{} without a fixture", count(rules, "rule"));
            if verbose || require {
                text += ":\n";
                for file in without.keys() {
                    text += &format!("  {}\n", escaped(file));
                }
            } else {
                text += "; -v lists them\n";
            }
        }
        let mut said = self.results.iter().flat_map(|result| &result.second);
        if let Some(first) = said.next() {
            text += &second::summary(std::iter::once(first).chain(said));
        }
        let state = if self.is_good(require) { "ok" } else { "fail" };
        let errors = match self.errors() {
            0 => String::new(),
            errors => format!(", {} in rules and fixtures", count(errors, "error")),
        };
        let seconds = self.elapsed.as_secs_f64();
        text + &format!(
            "{}: {}: {} passed, {failed} failed{errors} in {seconds:.2} s\n",
            paint.state(state),
            count(cases, "case"),
            cases - failed,
        )
    }

    fn json(&self) -> Value {
        let without = self.without_fixture.keys();
        json!({
            "totals": {
                "cases": self.results.len(),
                "passed": self.results.len() - self.failed(),
                "failed": self.failed(),
                "errors": self.errors(),
                "rules_without_fixture": self.without_fixture.values().sum::<usize>(),
            },
            "cases": self.results.iter().map(case).collect::<Vec<_>>(),
            "without_fixture": without.collect::<Vec<_>>(),
            "diagnostics": self.diagnostics.iter().map(to_json).collect::<Vec<_>>(),
        })
    }

    /// A suite for each rule file, in the form that build servers read.
    fn junit(&self, require: bool) -> String {
        let mut suites = String::new();
        for results in self.results.chunk_by(|a, b| a.rule_file == b.rule_file) {
            let failed = results.iter().filter(|result| result.wrong.is_some());
            let mut cases = String::new();
            for result in results {
                cases += &junit_case(result);
            }
            suites += &suite(
                &results[0].rule_file,
                (results.len(), failed.count(), 0),
                &cases,
            );
        }
        let errors = self.diagnostics.iter();
        for diagnostic in errors.filter(|d| d.severity == Severity::Error) {
            let place = &diagnostic.place;
            let message = xml(&format!("{}: {}", diagnostic.code, diagnostic.message));
            let name = format!("{}:{}", place.line, place.column);
            let case = format!(
                "    <testcase classname=\"{}\" name=\"{name}\"><error message=\"{message}\"/></testcase>\n",
                xml(&place.file)
            );
            suites += &suite(&place.file, (1, 0, 1), &case);
        }
        let without = self.without_fixture.keys();
        for file in without.filter(|_| require) {
            let name = xml(file);
            let case = format!(
                "    <testcase classname=\"{name}\" name=\"fixture\"><failure message=\"there is no fixture\"/></testcase>\n"
            );
            suites += &suite(file, (1, 1, 0), &case);
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pythia test\" time=\"{:.3}\">\n{suites}</testsuites>\n",
            self.elapsed.as_secs_f64()
        )
    }
}

/// A suite of so many tests, failures and errors.
fn suite(name: &str, (tests, failures, errors): (usize, usize, usize), cases: &str) -> String {
    let name = xml(name);
    format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n{cases}  </testsuite>\n"
    )
}

fn junit_case(result: &Outcome) -> String {
    let place = &result.case.place;
    let class = result.title.as_deref().unwrap_or(&result.rule_file);
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\"",
        xml(class),
        xml(&result.case.name),
        xml(&place.file),
        place.line
    );
    let mut inside = String::new();
    if let Some(wrong) = &result.wrong {
        let message = xml(&wrong.message);
        let text = xml_lines(&failure(result, Paint::none()));
        inside += &format!("<failure message=\"{message}\">{text}</failure>");
    }
    let notes = result.second.iter().filter_map(|said| {
        let note = said.note(&mut BTreeSet::new())?;
        Some(format!("{}: {note}", escaped(said.title())))
    });
    let notes: String = notes.collect();
    if !notes.is_empty() {
        inside += &format!("<system-out>{}</system-out>", xml_lines(&notes));
    }
    if inside.is_empty() {
        return format!("{head}/>\n");
    }
    format!("{head}>{inside}</testcase>\n")
}

/// The text of others within XML, for elements and for attributes in double quotes.
fn xml(text: &str) -> String {
    xml_lines(&escaped(text))
}

/// The same for lines in which the text of others has been escaped. What XML cannot hold is gone with that.
fn xml_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// Lines below a case.
fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("     {line}\n"));
    lines.collect()
}

/// File and name of a case.
fn title(result: &Outcome) -> String {
    let place = &result.case.place;
    let (file, name) = (escaped(&place.file), escaped(&result.case.name));
    format!("{file}:{}: {name}", place.line)
}

/// A case that does not hold, in full.
fn failure(result: &Outcome, paint: Paint) -> String {
    let Some(wrong) = &result.wrong else {
        return String::new();
    };
    let mut text = format!("{} {}\n", paint.state("fail"), paint.bold(&title(result)));
    if let Some(rule) = &result.title {
        text += &format!("     rule: {}\n", escaped(rule));
    }
    text += &format!("     {}\n", escaped(&wrong.message));
    for (number, near) in wrong.views.iter().enumerate() {
        text += &format!("     {}\n", near_title(result, near, number == 0));
        text += &explained::selections(&near.view, "       ", paint);
    }
    if wrong.left_out > 0 {
        text += &format!("     and {} more\n", count(wrong.left_out, "view"));
    }
    text + "\n"
}

fn near_title(result: &Outcome, near: &NearView, first: bool) -> String {
    let name = explained::name(&near.view);
    let rule = match &result.title {
        Some(_) => String::new(),
        None => format!(", {}", escaped(&near.title)),
    };
    let line = near.line;
    let word = match (near.view.holds, first) {
        (true, _) => "matches",
        (false, true) => "nearest",
        (false, false) => "next",
    };
    format!("{word}: {name} of line {line}{rule}")
}

fn case(result: &Outcome) -> Value {
    let place = &result.case.place;
    let wrong = result.wrong.as_ref();
    let views = wrong.map(|wrong| {
        let views = wrong.views.iter().map(|near| {
            let mut view = explained::json(&near.view);
            view["event_line"] = near.line.into();
            view["rule"] = near.title.clone().into();
            view
        });
        views.collect::<Vec<_>>()
    });
    json!({
        "name": &*result.case.name,
        "file": &*place.file,
        "line": place.line,
        "column": place.column,
        "rule_file": result.rule_file,
        "rule": result.title,
        "expect": match result.case.expect {
            Expect::Alert(_) => "alert",
            Expect::Silent => "silent",
        },
        "state": if wrong.is_some() { "failed" } else { "passed" },
        "message": wrong.map(|wrong| &wrong.message),
        "views": views,
        "views_left_out": wrong.map(|wrong| wrong.left_out),
        "second_opinion": result.second.iter().map(second::Said::json).collect::<Vec<_>>(),
    })
}
