//! Warnings on the values of one line: wildcards and regular expressions where the other is meant, and values that
//! another one of the list covers.

use std::ops::Range;

use crate::codes::{
    COVERED_VALUE, ESCAPED_WILDCARD, GLOB_IN_REGEX, REGEX_IN_VALUE, STRAY_WILDCARD,
};
use crate::context::{Context, string};
use crate::modifier::Chain;
use crate::pattern::{Anchor, Glyph, glyphs};
use crate::yaml::{Kind, Node};
use crate::{Matcher, Part, Pattern};

/// Values of a list up to which each is compared with each.
const COMPARED_MAX: usize = 256;
/// Bytes that such a list may have together.
const COMPARED_BYTES_MAX: usize = 16 << 10;

/// Pieces that stand in regular expressions and in no plain value that anybody looks for.
const REGEX_WORDS: [&str; 14] = [
    r"\d+", r"\d{", r"\w+", r"\w{", r"\s+", r"\s{", r"\S+", "(?:", "(?i)", "[a-z", "[A-Z", "[0-9",
    "[^", ".+?",
];

/// Warns of the values of a line. `matchers` holds what each node became: several variants where a modifier makes them.
pub(crate) fn values(
    chain: &Chain,
    nodes: &[&Node],
    matchers: &[Vec<Matcher>],
    context: &mut Context<'_>,
) {
    for node in nodes {
        let Some(text) = string(node) else { continue };
        if chain.is_regex() {
            warn_of_glob(text, node, context);
        } else if let Some(anchor) = chain.plain_anchor() {
            warn_of_regex(text, node, context);
            warn_of_escaped_wildcard(text, node, context);
            if !chain.is_keyword {
                warn_of_stray_wildcard(text, anchor, node, context);
            }
        }
    }
    if !chain.all && !chain.is_regex() {
        warn_of_covered(nodes, matchers, context);
    }
}

/// `/tmp/*.sh` as a regular expression: letters and `*` alone, which repeats the letter before it.
fn warn_of_glob(text: &str, node: &Node, context: &mut Context<'_>) {
    let is_plain = |c: char| c.is_alphanumeric() || "/_-. *".contains(c);
    if !text.chars().all(is_plain) {
        return;
    }
    let mut before = None;
    for (at, c) in text.char_indices() {
        if c == '*' && before.is_some_and(|before| before != '.') {
            let repeated = before.unwrap_or_default();
            let message =
                format!("in a regular expression this `*` repeats the `{repeated}` before it");
            let help = "for any run of characters write `.*`, or use the wildcard without `re`";
            let place = context.inside(&node.place, text, at..at + 1);
            context.report_with_help(GLOB_IN_REGEX.at(&place, message), help);
            return;
        }
        before = Some(c);
    }
}

fn warn_of_regex(text: &str, node: &Node, context: &mut Context<'_>) {
    let words = REGEX_WORDS.into_iter();
    let words = words.filter_map(|word| Some((text.find(word)?, word)));
    let found = match words.min() {
        Some(found) => found,
        None if text.starts_with('^') && (text.ends_with('$') || text.contains(".*")) => (0, "^"),
        None if text.starts_with(".*") && text.len() > 2 => (0, ".*"),
        None => return,
    };
    let (at, word) = found;
    let message = format!("`{word}` stands for itself: this is no regular expression");
    let place = context.inside(&node.place, text, at..at + word.len());
    context.report(REGEX_IN_VALUE.at(&place, message));
}

/// `C:\*`: the backslash takes the wildcard's meaning.
fn warn_of_escaped_wildcard(text: &str, node: &Node, context: &mut Context<'_>) {
    let mut drive = text.chars();
    let is_drive = drive.next().is_some_and(|c| c.is_ascii_alphabetic())
        && drive.next() == Some(':')
        && drive.next() == Some('\\');
    let mut start = text.chars();
    let is_folder = start.next() == Some('\\') && start.next().is_some_and(char::is_alphanumeric);
    if !is_drive && !is_folder {
        return;
    }
    let Some(part) = escaped_wildcard(text) else {
        return;
    };
    let word = text.get(part.clone()).unwrap_or_default();
    let message = format!("`{word}` looks for that character, not for any run of characters");
    let place = context.inside(&node.place, text, part);
    let help = format!("write `\\{word}` for a backslash and a wildcard behind it");
    context.report_with_help(ESCAPED_WILDCARD.at(&place, message), help);
}

fn escaped_wildcard(text: &str) -> Option<Range<usize>> {
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if c == '\\'
            && let Some((_, next)) = rest.next_if(|(_, next)| matches!(next, '*' | '?' | '\\'))
            && next != '\\'
        {
            return Some(at..at + 2);
        }
    }
    None
}

/// A wildcard at the end that an anchor leaves open anyway, or that undoes the anchor.
fn warn_of_stray_wildcard(text: &str, anchor: Anchor, node: &Node, context: &mut Context<'_>) {
    let glyphs = glyphs(text);
    if anchor == Anchor::Whole || glyphs.iter().all(|glyph| *glyph == Glyph::Any) {
        return;
    }
    let ends = [
        (glyphs.first(), 0..1, anchor.is_open_before()),
        (
            glyphs.last(),
            text.len() - 1..text.len(),
            anchor.is_open_after(),
        ),
    ];
    let name = anchor.name();
    for (glyph, part, is_open) in ends {
        if glyph != Some(&Glyph::Any) {
            continue;
        }
        let (message, help) = if is_open {
            (
                format!("`{name}` lets anything stand here already"),
                "remove the `*`".to_owned(),
            )
        } else {
            (
                format!("this `*` undoes `{name}`"),
                "remove the `*`, or write `contains`".to_owned(),
            )
        };
        let place = context.inside(&node.place, text, part);
        context.report_with_help(STRAY_WILDCARD.at(&place, message), help);
        return;
    }
}

/// Values that another one of their list holds for too: of equal ones all but the first.
fn warn_of_covered(nodes: &[&Node], matchers: &[Vec<Matcher>], context: &mut Context<'_>) {
    let single = |at: usize| match &matchers[at][..] {
        [Matcher::Text(pattern)] => Some(Folded::of(pattern)),
        _ => None,
    };
    if nodes.len() > COMPARED_MAX
        || nodes.iter().map(|node| written(node).len()).sum::<usize>() > COMPARED_BYTES_MAX
    {
        return;
    }
    let patterns: Vec<Option<Folded>> = (0..nodes.len()).map(single).collect();
    for (at, pattern) in patterns.iter().enumerate() {
        let Some(pattern) = pattern else { continue };
        let mut others = patterns.iter().enumerate().filter_map(|(other, wider)| {
            let wider = wider.as_ref().filter(|_| other != at)?;
            // Of equal ones the first stays.
            let is_wider = wider.covers(pattern) && (other < at || !pattern.covers(wider));
            is_wider.then_some(other)
        });
        let Some(wider) = others.next() else { continue };
        let (own, other) = (written(nodes[at]), written(nodes[wider]));
        let line = nodes[wider].place.line;
        let message = if own == other {
            format!("`{own}` stands in line {line} already")
        } else if patterns[wider].as_ref() == Some(pattern) {
            format!(
                "`{own}` is the same as `{other}` in line {line}: letters of either case are alike"
            )
        } else {
            format!("whatever has `{own}` has `{other}` too, which stands in line {line}")
        };
        let help = if own.eq_ignore_ascii_case(other) && own != other {
            "remove one of them, or write `cased` behind the field"
        } else {
            COVERED_VALUE.cure
        };
        context.report_with_help(COVERED_VALUE.at(&nodes[at].place, message), help);
    }
}

fn written(node: &Node) -> &str {
    match &node.kind {
        Kind::String(text) => text,
        Kind::Number(number) => &number.written,
        Kind::Bool(true) => "true",
        Kind::Bool(false) => "false",
        _ => "",
    }
}

/// A pattern with the letters of ASCII folded, for comparing it with others.
#[derive(PartialEq)]
struct Folded(Pattern);

impl Folded {
    fn of(pattern: &Pattern) -> Self {
        let mut pattern = pattern.clone();
        for part in &mut pattern.parts {
            if let Part::Text(text) = part
                && !pattern.cased
            {
                *text = text.to_ascii_lowercase().into();
            }
        }
        Self(pattern)
    }

    /// Whether it certainly holds for all that the other holds for; both are of one line, and so cased alike.
    fn covers(&self, other: &Self) -> bool {
        let theirs = &other.0.parts;
        let mut texts = theirs.iter().filter_map(text_of);
        match &self.0.parts[..] {
            [Part::Any] => true,
            [Part::Any, Part::Text(text), Part::Any] => texts.any(|other| contains(other, text)),
            [Part::Text(text), Part::Any] => {
                let first = theirs.first().and_then(text_of);
                first.is_some_and(|first| first.starts_with(text))
            }
            [Part::Any, Part::Text(text)] => {
                let last = theirs.last().and_then(text_of);
                last.is_some_and(|last| last.ends_with(text))
            }
            parts => parts == theirs,
        }
    }
}

fn text_of(part: &Part) -> Option<&[u8]> {
    match part {
        Part::Text(text) => Some(text),
        Part::One | Part::Any => None,
    }
}

fn contains(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len()).any(|window| window == piece)
}
