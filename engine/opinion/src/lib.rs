//! A second opinion on rules: what `sigma-rust`, another engine for Sigma, makes of a rule and an event, and which of its
//! known deviations explains a difference. Takes the text of a rule and events as JSON objects; decides nothing for us.
//!
//! Its faults stay here: it may panic, on loading and on matching, which is caught and told.
//!
//! ```
//! let text = "
//! title: A shell
//! logsource: {category: process_creation}
//! detection:
//!   selection: {User: null}
//!   condition: selection
//! ";
//! let file = sigma::SourceFile { name: "x.yml".into(), text: text.into() };
//! let ours = &sigma::load(&[file]).rules[0];
//! let theirs = opinion::Second::load(text).expect("it loads");
//! let event = serde_json::json!({"Image": "/bin/sh"});
//! assert_eq!(theirs.matches(&event), Ok(false));
//! assert_eq!(opinion::explaining(ours, text, &event)[0].id, "null-missing");
//! ```

#![warn(clippy::disallowed_methods)]

mod cell;
mod deviations;

use std::cell::Cell as Flag;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use serde_json::Value;
use sigma::Rule;

pub use cell::Cell;
pub use deviations::{Applies, DEVIATIONS, Deviation, Example, rule_text};

/// Its name and version, as we tell it.
pub const ENGINE: &str = "sigma-rust 0.7";

/// A rule as `sigma-rust` holds it.
#[derive(Debug)]
pub struct Second(sigma_rust::Rule);

impl Second {
    /// Loads the text of one document; an error says in its words why it cannot.
    pub fn load(text: &str) -> Result<Self, String> {
        match caught(|| sigma_rust::rule_from_yaml(text)) {
            Ok(Ok(rule)) => Ok(Self(rule)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panicked) => Err(panicked),
        }
    }

    /// Whether it matches an event, which is a JSON object; an error says how it panicked.
    pub fn matches(&self, event: &Value) -> Result<bool, String> {
        caught(|| {
            let event = sigma_rust::Event::try_from(event.clone());
            event.is_ok_and(|event| self.0.is_match(&event))
        })
    }
}

/// The known deviations, in the table's order, that may make `sigma-rust` judge this rule on this event otherwise; `text`
/// is the rule as written. Not minimal: each applies to the rule and the event, whether it tips the balance or not.
pub fn explaining(rule: &Rule, text: &str, event: &Value) -> Vec<&'static Deviation> {
    let cells = cell::cells(rule, text, event);
    let applies = |deviation: &&Deviation| match deviation.applies {
        Applies::Item(applies) => cells.iter().any(applies),
        Applies::Rule(applies) => applies(rule, text),
        Applies::Refusal(_) => false,
    };
    DEVIATIONS.iter().filter(applies).collect()
}

/// The known deviation behind an error of [`Second::load`] or [`Second::matches`].
pub fn refusing(error: &str) -> Option<&'static Deviation> {
    DEVIATIONS.iter().find(|deviation| match deviation.applies {
        Applies::Refusal(words) => words.iter().any(|words| error.contains(words)),
        Applies::Item(_) | Applies::Rule(_) => false,
    })
}

/// The document of a file in which this byte lies: from one line of `---` to the next.
pub fn document_at(text: &str, byte: u32) -> &str {
    let byte = byte as usize;
    let (mut from, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") {
            if at > byte {
                return text.get(from..at).unwrap_or_default();
            }
            from = at;
        }
        at += line.len();
    }
    text.get(from..).unwrap_or_default()
}

thread_local! {
    /// Whether a panic of this thread is caught below, and so not printed.
    static CAUGHT: Flag<bool> = const { Flag::new(false) };
}

/// What `work` gives, or how it panicked. Nothing is printed of it.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |told| {
            if !CAUGHT.get() {
                usual(told);
            }
        }));
    });
    CAUGHT.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(false);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        format!("it panics: {}", text.unwrap_or("without a word"))
    })
}

#[cfg(test)]
mod tests {
    use super::document_at;

    #[test]
    fn a_file_is_cut_at_its_document_markers() {
        let text = "a: 1\n---\nb: 2\n---\nc: 3\n";
        assert_eq!(document_at(text, 0), "a: 1\n");
        assert_eq!(document_at(text, 9), "---\nb: 2\n");
        assert_eq!(document_at(text, 20), "---\nc: 3\n");
        assert_eq!(document_at("---\na: 1\n", 4), "---\na: 1\n");
    }
}
