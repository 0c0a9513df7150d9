//! `%name%` in values with `expand`.

use crate::context::Placeholders;

/// What one value with placeholders may become.
const EXPANSIONS_MAX: usize = 10_000;
/// Longer runs between two `%` are not names.
const NAME_BYTES_MAX: usize = 128;

/// The texts of a value after `expand`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expanded {
    /// One text for each combination of values.
    Texts(Vec<String>),
    /// These names have no source, in order.
    Unresolved(Vec<String>),
    /// More texts than the limit.
    TooMany(usize),
}

#[derive(Debug, PartialEq, Eq)]
enum Segment<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Replaces each placeholder by each of its values, after `quote`.
pub(crate) fn expand(
    text: &str,
    placeholders: &Placeholders,
    quote: fn(&str) -> String,
) -> Expanded {
    let segments = segments(text);
    let is_unresolved = |segment: &Segment<'_>| match segment {
        Segment::Name(name) if !placeholders.contains_key(*name) => Some((*name).to_owned()),
        _ => None,
    };
    let mut unresolved: Vec<String> = segments.iter().filter_map(is_unresolved).collect();
    unresolved.dedup();
    if !unresolved.is_empty() {
        return Expanded::Unresolved(unresolved);
    }
    let mut texts = vec![String::new()];
    for segment in segments {
        match segment {
            Segment::Text(text) => texts.iter_mut().for_each(|so_far| so_far.push_str(text)),
            Segment::Name(name) => {
                let values: Vec<String> = placeholders
                    .get(name)
                    .into_iter()
                    .flatten()
                    .map(|value| quote(value))
                    .collect();
                if texts.len().saturating_mul(values.len()) > EXPANSIONS_MAX {
                    return Expanded::TooMany(EXPANSIONS_MAX);
                }
                let join = |so_far: &String| {
                    values
                        .iter()
                        .map(|value| format!("{so_far}{value}"))
                        .collect::<Vec<_>>()
                };
                texts = texts.iter().flat_map(join).collect();
            }
        }
    }
    Expanded::Texts(texts)
}

/// Policy M17: `\%` is an escaped percent sign if all other percent signs then pair into names; else its
/// backslash is a character of a path.
fn segments(text: &str) -> Vec<Segment<'_>> {
    with_escapes(text).unwrap_or_else(|| without_escapes(text))
}

fn with_escapes(text: &str) -> Option<Vec<Segment<'_>>> {
    let mut segments = Vec::new();
    let mut from = 0;
    let mut open = None;
    for (at, _) in text.match_indices('%') {
        let is_escaped = at > from && text.as_bytes()[at - 1] == b'\\';
        match open {
            None if is_escaped => {
                segments.push(Segment::Text(text.get(from..at - 1)?));
                from = at;
            }
            None => {
                segments.push(Segment::Text(text.get(from..at)?));
                open = Some(at + 1);
            }
            Some(start) => {
                segments.push(Segment::Name(
                    text.get(start..at).filter(|name| is_name(name))?,
                ));
                open = None;
                from = at + 1;
            }
        }
    }
    if open.is_some() {
        return None;
    }
    segments.push(Segment::Text(text.get(from..)?));
    Some(segments)
}

fn without_escapes(text: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let named = after.split_once('%').filter(|(name, _)| is_name(name));
        let (middle, after) = named.map_or((Segment::Text("%"), after), |(name, after)| {
            (Segment::Name(name), after)
        });
        segments.extend([Segment::Text(before), middle]);
        rest = after;
    }
    segments.push(Segment::Text(rest));
    segments
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::{Expanded, expand};
    use crate::context::Placeholders;

    fn check(text: &str, expected: &[&str]) {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let placeholders = Placeholders::from([
            ("user".to_owned(), values(&["ann", "bob"])),
            ("Servers".to_owned(), values(&["db1"])),
            ("none".to_owned(), values(&[])),
        ]);
        let expected = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(
            expand(text, &placeholders, str::to_owned),
            Expanded::Texts(expected),
            "{text}"
        );
    }

    #[test]
    fn placeholders_stand_anywhere_in_a_value() {
        check("%user%", &["ann", "bob"]);
        check(
            "/home/%user%/x@%Servers%",
            &["/home/ann/x@db1", "/home/bob/x@db1"],
        );
        check("100%", &["100%"]);
        check("50% of 100%", &["50% of 100%"]);
        check("%none%", &[]);
    }

    #[test]
    fn a_backslash_before_a_percent_sign_is_an_escape_only_if_the_others_pair() {
        check(r"\%plain%Servers%", &["%plaindb1"]);
        check(r"C:\Users\%user%", &[r"C:\Users\ann", r"C:\Users\bob"]);
        check(r"HK\%Servers%\%Servers%", &[r"HK\db1\db1"]);
    }

    #[test]
    fn every_name_without_a_source_is_told() {
        let unresolved = expand("%a%-%b%", &Placeholders::new(), str::to_owned);
        assert_eq!(
            unresolved,
            Expanded::Unresolved(vec!["a".to_owned(), "b".to_owned()])
        );
    }
}
