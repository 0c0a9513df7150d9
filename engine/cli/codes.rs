//! The page on diagnostics, by code: what `pythia check --explain` prints.

use anyhow::Result;
use console::printing::out;
use sigma::Code;

use crate::{Exit, Failure};

const PAGE: &str = include_str!("../../docs/diagnostics.md");

/// Prints the section of a code, which may be named by its number or by its word.
pub(crate) fn explain(word: &str) -> Result<Exit> {
    let is_asked =
        |code: &&Code| code.code.eq_ignore_ascii_case(word) || code.name.eq_ignore_ascii_case(word);
    let Some(code) = all().find(is_asked) else {
        let nearest = nearest(word);
        let message = format!(
            "there is no diagnostic {word:?}; the nearest is {} {}",
            nearest.code, nearest.name
        );
        return Err(Failure::Usage(message).into());
    };
    out(section(code))?;
    Ok(Exit::Ok)
}

fn all() -> impl Iterator<Item = &'static Code> {
    sigma::CODES.iter().chain(detect::CODES)
}

/// What stands below the heading of a code, with it.
fn section(code: &Code) -> &'static str {
    let heading = format!("### {} {}\n", code.code, code.name);
    let from = PAGE.find(&heading).expect("the page has every code");
    let section = PAGE.get(from..).unwrap_or_default();
    let to = section.find("\n\n#").map_or(section.len(), |end| end + 1);
    section.get(..to).unwrap_or_default()
}

/// A code that looks like the word; else the one with the nearest number, of the same letter where there is one.
fn nearest(word: &str) -> &'static Code {
    let suggested = sigma::did_you_mean(word, all().map(|code| code.name));
    let suggested =
        suggested.and_then(|name| all().find(|code| name.contains(&format!("`{}`", code.name))));
    if let Some(code) = suggested {
        return code;
    }
    let key = |word: &str| {
        let letter = word.chars().next().unwrap_or('R').to_ascii_uppercase();
        let digits: String = word.chars().filter(char::is_ascii_digit).take(6).collect();
        (letter, digits.parse::<u32>().unwrap_or_default())
    };
    let (letter, number) = key(word);
    let distance = |code: &&Code| {
        let (other, at) = key(code.code);
        (other != letter, at.abs_diff(number))
    };
    all().min_by_key(distance).expect("there are codes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_section_and_every_section_its_code() {
        let mut headings: Vec<String> = all()
            .map(|code| format!("{} {}", code.code, code.name))
            .collect();
        headings.sort();
        let found = PAGE.lines().filter_map(|line| line.strip_prefix("### "));
        let mut found: Vec<&str> = found.collect();
        found.sort_unstable();
        assert_eq!(found, headings);
        for code in all() {
            let section = section(code);
            let severity = format!("\n\n{:?}. ", code.severity);
            assert!(section.contains(&severity), "{section}");
            assert_eq!(
                section.matches("\n#").count(),
                section.matches("\n# bad\n").count() * 2,
                "{section}"
            );
        }
    }

    #[test]
    fn a_word_that_is_none_is_answered_with_the_nearest() {
        assert_eq!(nearest("R999").code, "R109");
        assert_eq!(nearest("r016").code, "R015");
        assert_eq!(nearest("metadta").code, "R012");
        assert_eq!(nearest("T9").code, "T007");
        assert_eq!(nearest("").code, "R001");
    }
}
