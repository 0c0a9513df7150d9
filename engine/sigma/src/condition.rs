//! The `condition`: words and brackets to a [`Condition`] whose selectors are spread out. The same grammar, without
//! selectors, joins the rules of a correlation.
//!
//! SIGMA: from weakest to strongest: `or`, `and`, `not`, `x of`, brackets.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::codes::{
    CONDITION_AGGREGATION, CONDITION_CASE, CONDITION_COUNT, CONDITION_SYNTAX, Code, EMPTY_SELECTOR,
    LIMIT, UNKNOWN_SELECTION,
};
use crate::context::Context;
use crate::references::Reference;
use crate::suggest::did_you_mean;
use crate::{Condition, Place, SelectionIdx};

/// Brackets and negations may lie this deep.
const DEPTH_MAX: usize = 64;
/// Longer conditions are refused.
const BYTES_MAX: usize = 64 << 10;
/// Terms after selectors are spread out.
const TERMS_MAX: usize = 100_000;

/// Reads a condition over the selections of a rule. Every fault is reported; `None` where there is one.
pub(crate) fn parse(
    text: &str,
    place: &Place,
    names: &Names<'_>,
    context: &mut Context<'_>,
) -> Option<Condition> {
    let tokens = tokens(text, is_word);
    parse_tokens(text, tokens, place, (names, Over::Selections), context)
}

/// Reads a condition over rules, with each name that it uses at its first place; they are what the
/// [`SelectionIdx`]s count. Every fault is reported; `None` where there is one.
pub(crate) fn parse_rules(
    text: &str,
    place: &Place,
    context: &mut Context<'_>,
) -> Option<(Condition, Vec<Reference>)> {
    let tokens = tokens(text, is_rule_word);
    let mut known = HashSet::new();
    let words = tokens
        .iter()
        .filter(|(token, _)| *token == Token::Word)
        .filter_map(|(_, part)| Some((text.get(part.clone())?, part.clone())))
        .filter(|(word, _)| !is_reserved(&word.to_ascii_lowercase()) && known.insert(*word));
    let (words, parts): (Vec<&str>, Vec<Range<usize>>) = words.unzip();
    let names = Names::new(words.clone());
    let condition = parse_tokens(text, tokens, place, (&names, Over::Rules), context)?;
    let places = context.inside_all(place, text, parts);
    let reference = |(word, place): (&str, Place)| Reference {
        name: word.into(),
        place,
    };
    let references = words.into_iter().zip(places).map(reference);
    Some((condition, references.collect()))
}

fn parse_tokens(
    text: &str,
    tokens: Vec<(Token, Range<usize>)>,
    place: &Place,
    (names, over): (&Names<'_>, Over),
    context: &mut Context<'_>,
) -> Option<Condition> {
    if text.len() > BYTES_MAX {
        context.report(LIMIT.at(
            place,
            format!("the condition has more than {BYTES_MAX} bytes"),
        ));
        return None;
    }
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        names,
        over,
        terms: 0,
        unknown: Vec::new(),
    };
    let parsed = parser.parse();
    let (condition, fault) = match parsed {
        Ok(condition) => (Some(condition), None),
        Err(fault) => (None, Some(fault)),
    };
    let faults: Vec<Fault> = parser.unknown.into_iter().chain(fault).collect();
    let is_sound = faults.is_empty();
    for fault in faults {
        let diagnostic = fault
            .code
            .at(&context.inside(place, text, fault.part), fault.message);
        context.report(diagnostic.or_help(fault.help));
    }
    condition.filter(|_| is_sound)
}

/// The selections of a rule, in order and by name.
pub(crate) struct Names<'a> {
    list: Vec<&'a str>,
    index: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(list: Vec<&'a str>) -> Self {
        let index = list
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, at))
            .collect();
        Self { list, index }
    }
}

struct Fault {
    code: &'static Code,
    part: Range<usize>,
    message: String,
    help: Option<String>,
}

impl Fault {
    fn new(code: &'static Code, part: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            part,
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

type Result<T> = std::result::Result<T, Fault>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Pipe,
    Word,
    Other,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '*')
}

/// Ids and names of rules may hold anything; those with blanks or brackets cannot stand in a condition.
fn is_rule_word(c: char) -> bool {
    !matches!(c, '(' | ')' | '|')
}

/// The words of the grammar but those of selectors, which no condition over rules has.
fn is_reserved(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "of")
}

fn tokens(text: &str, is_word: fn(char) -> bool) -> Vec<(Token, Range<usize>)> {
    let mut tokens: Vec<(Token, Range<usize>)> = Vec::new();
    for (at, c) in text.char_indices() {
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '|' => Token::Pipe,
            c if is_word(c) => Token::Word,
            _ => Token::Other,
        };
        let end = at + c.len_utf8();
        match tokens.last_mut() {
            Some((Token::Word, range)) if token == Token::Word && range.end == at => {
                range.end = end;
            }
            _ => tokens.push((token, at..end)),
        }
    }
    tokens
}

/// What a condition is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Selections,
    Rules,
}

impl Over {
    fn noun(self) -> &'static str {
        match self {
            Self::Selections => "selection",
            Self::Rules => "rule",
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    names: &'a Names<'a>,
    over: Over,
    terms: usize,
    /// Names that stand for nothing.
    unknown: Vec<Fault>,
}

impl<'a> Parser<'a> {
    fn parse(&mut self) -> Result<Condition> {
        let condition = self.or(0)?;
        let Some((token, part)) = self.tokens.get(self.at).cloned() else {
            return Ok(condition);
        };
        match token {
            Token::Close => Err(
                Fault::new(&CONDITION_SYNTAX, part, "this bracket closes nothing")
                    .help("remove it, or open one before it"),
            ),
            _ => Err(self.not_an_operator(part)),
        }
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        match self.tokens.get(at) {
            Some((Token::Word, part)) => self.text.get(part.clone()),
            _ => None,
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.word(self.at) == Some(word);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Condition> {
        let mut terms = vec![self.and(depth)?];
        while self.take("or") {
            terms.push(self.and(depth)?);
        }
        Ok(joined(terms, Condition::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Condition> {
        let mut terms = vec![self.not(depth)?];
        while self.take("and") {
            terms.push(self.not(depth)?);
        }
        Ok(joined(terms, Condition::And))
    }

    fn not(&mut self, depth: usize) -> Result<Condition> {
        let mut negated = false;
        while self.take("not") {
            negated = !negated;
        }
        let term = self.term(depth)?;
        Ok(if negated {
            Condition::Not(Box::new(term))
        } else {
            term
        })
    }

    fn term(&mut self, depth: usize) -> Result<Condition> {
        let Some((token, part)) = self.tokens.get(self.at).cloned() else {
            let end = self.text.len();
            return Err(Fault::new(
                &CONDITION_SYNTAX,
                end..end,
                format!(
                    "the condition ends where a {} is expected",
                    self.over.noun()
                ),
            ));
        };
        match token {
            Token::Open => self.bracket(part, depth),
            Token::Close => Err(Fault::new(
                &CONDITION_SYNTAX,
                part,
                format!("a {} is missing before this bracket", self.over.noun()),
            )),
            Token::Pipe => Err(self.pipe(part)),
            Token::Other => Err(self.unexpected_character(part)),
            Token::Word if self.word(self.at + 1) == Some("of") => match self.over {
                Over::Selections => self.selector(part),
                Over::Rules => Err(self.no_selector(part)),
            },
            Token::Word if self.word(self.at + 1) == Some("OF") => Err(self.upper_case_of()),
            Token::Word => self.selection(part),
        }
    }

    fn bracket(&mut self, part: Range<usize>, depth: usize) -> Result<Condition> {
        if depth == DEPTH_MAX {
            return Err(Fault::new(
                &LIMIT,
                part,
                format!("brackets lie more than {DEPTH_MAX} deep"),
            ));
        }
        self.at += 1;
        let inner = self.or(depth + 1)?;
        match self.tokens.get(self.at).cloned() {
            Some((Token::Close, _)) => {
                self.at += 1;
                Ok(inner)
            }
            Some((_, other)) => Err(self.not_an_operator(other)),
            None => Err(
                Fault::new(&CONDITION_SYNTAX, part, "this bracket is never closed")
                    .help("close it, or remove it"),
            ),
        }
    }

    fn selection(&mut self, part: Range<usize>) -> Result<Condition> {
        let word = self.text.get(part.clone()).unwrap_or_default();
        if let Some(at) = self.names.index.get(word).copied() {
            self.at += 1;
            return self.spread(&[at], part, Condition::Or);
        }
        if matches!(word, "and" | "or" | "of") {
            return Err(Fault::new(
                &CONDITION_SYNTAX,
                part,
                format!("a {} is missing before `{word}`", self.over.noun()),
            ));
        }
        if let Some(fault) = wrong_case(word, &part) {
            return Err(fault);
        }
        if word == "them" || word.contains('*') {
            let fault = Fault::new(
                &CONDITION_SYNTAX,
                part,
                format!("`{word}` stands without `1 of` or `all of`"),
            );
            return Err(fault.help(format!("write `1 of {word}` or `all of {word}`")));
        }
        let mut fault = Fault::new(
            &UNKNOWN_SELECTION,
            part,
            format!("there is no selection `{word}`"),
        );
        fault.help = did_you_mean(word, self.names.list.iter().copied())
            .or_else(|| self.all_names(self.over.noun()));
        self.at += 1;
        Ok(self.unknown(fault))
    }

    /// Notes a name that stands for nothing, and goes on as if it stood for something: the next one may be wrong too.
    fn unknown(&mut self, fault: Fault) -> Condition {
        self.unknown.push(fault);
        Condition::Selection(SelectionIdx(0))
    }

    /// All that could have been named, if they are few.
    fn all_names(&self, noun: &str) -> Option<String> {
        let names = self.names.list.join("`, `");
        let is_short = !names.is_empty() && names.len() < 200;
        is_short.then(|| format!("the {noun}s are `{names}`"))
    }

    fn upper_case_of(&self) -> Fault {
        let part = self.tokens[self.at + 1].1.clone();
        let fault = Fault::new(&CONDITION_CASE, part, "`OF` is not an operator");
        fault.help("write `of` in lower case")
    }

    /// `1 of x*`, `any of them`, `all of x*`; stands at the count.
    fn selector(&mut self, part: Range<usize>) -> Result<Condition> {
        let count = self.text.get(part.clone()).unwrap_or_default();
        let join: fn(Vec<Condition>) -> Condition = match count {
            "1" | "any" => Condition::Or,
            "all" => Condition::And,
            _ => return Err(wrong_count(count, part)),
        };
        let of = self.tokens[self.at + 1].1.clone();
        let Some((Token::Word, target)) = self.tokens.get(self.at + 2).cloned() else {
            let fault = Fault::new(
                &CONDITION_SYNTAX,
                of,
                format!("`{count} of` needs a pattern or `them`"),
            );
            return Err(fault.help(format!("such as `{count} of selection_*`")));
        };
        let pattern = self.text.get(target.clone()).unwrap_or_default();
        let chosen: Vec<usize> = (0..self.names.list.len())
            .filter(|at| is_chosen(pattern, self.names.list[*at]))
            .collect();
        if chosen.is_empty() {
            let mut fault = Fault::new(
                &EMPTY_SELECTOR,
                target,
                format!("no selection matches `{pattern}`"),
            );
            fault.help = did_you_mean(pattern, self.names.list.iter().copied())
                .or_else(|| self.all_names("selection"));
            self.at += 3;
            return Ok(self.unknown(fault));
        }
        self.at += 3;
        self.spread(&chosen, part.start..target.end, join)
    }

    fn spread(
        &mut self,
        chosen: &[usize],
        part: Range<usize>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Condition> {
        self.terms += chosen.len();
        if self.terms > TERMS_MAX {
            return Err(Fault::new(
                &LIMIT,
                part,
                format!("the condition has more than {TERMS_MAX} terms"),
            ));
        }
        let term =
            |at: &usize| Condition::Selection(SelectionIdx(u32::try_from(*at).unwrap_or(u32::MAX)));
        Ok(joined(chosen.iter().map(term).collect(), join))
    }

    /// Something stands where only an operator, a closing bracket or the end can.
    fn not_an_operator(&self, part: Range<usize>) -> Fault {
        let word = self.text.get(part.clone()).unwrap_or_default();
        if word == "|" {
            return self.pipe(part);
        }
        if let Some(fault) = wrong_case(word, &part) {
            return fault;
        }
        match word.chars().next() {
            Some('(') => Fault::new(
                &CONDITION_SYNTAX,
                part,
                "an operator is missing before this bracket",
            ),
            Some(c) if is_word(c) || self.over == Over::Rules => {
                let fault = Fault::new(
                    &CONDITION_SYNTAX,
                    part,
                    format!("an operator is missing before `{word}`"),
                );
                fault.help(format!("join {}s with `and` or `or`", self.over.noun()))
            }
            _ => self.unexpected_character(part),
        }
    }

    fn unexpected_character(&self, part: Range<usize>) -> Fault {
        let character = self.text.get(part.clone()).unwrap_or_default();
        let fault = Fault::new(
            &CONDITION_SYNTAX,
            part,
            format!("`{character}` cannot stand in a condition"),
        );
        fault.help("names of selections consist of letters, digits, `_` and `-`")
    }

    fn no_selector(&self, part: Range<usize>) -> Fault {
        let count = self.text.get(part.clone()).unwrap_or_default();
        let fault = Fault::new(
            &CONDITION_SYNTAX,
            part,
            format!("`{count} of` cannot stand in the condition of a correlation"),
        );
        fault.help("name the rules, joined with `and`, `or` and `not`")
    }

    fn pipe(&self, part: Range<usize>) -> Fault {
        if self.over == Over::Rules {
            return Fault::new(
                &CONDITION_SYNTAX,
                part,
                "`|` cannot stand in the condition of a correlation",
            );
        }
        let part = part.start..self.text.trim_end().len();
        let fault = Fault::new(
            &CONDITION_AGGREGATION,
            part,
            "aggregations were removed from conditions",
        );
        fault.help("write a correlation that reads this rule, such as one of `type: event_count`")
    }
}

fn wrong_case(word: &str, part: &Range<usize>) -> Option<Fault> {
    let lower = word.to_ascii_lowercase();
    if lower == word
        || !matches!(
            lower.as_str(),
            "and" | "or" | "not" | "of" | "all" | "any" | "them"
        )
    {
        return None;
    }
    let fault = Fault::new(
        &CONDITION_CASE,
        part.clone(),
        format!("`{word}` is not an operator"),
    );
    Some(fault.help(format!("write `{lower}` in lower case")))
}

fn wrong_count(count: &str, part: Range<usize>) -> Fault {
    if let Some(fault) = wrong_case(count, &part) {
        return fault;
    }
    let fault = Fault::new(
        &CONDITION_COUNT,
        part,
        format!("`{count} of` does not exist in Sigma"),
    );
    fault.help("write `1 of`, `any of` or `all of`")
}

/// One term stands for itself; nested joins of the same kind are kept as they are written.
fn joined(mut terms: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        Some(last) => {
            terms.push(last);
            join(terms)
        }
        None => join(terms),
    }
}

/// SIGMA: names with a leading `_` are left out unless the pattern has one too.
fn is_chosen(pattern: &str, name: &str) -> bool {
    if name.starts_with('_') && !pattern.starts_with('_') {
        return false;
    }
    pattern == "them" || matches_stars(pattern, name)
}

/// Whether `pattern`, in which `*` is any run of characters, is all of `name`.
fn matches_stars(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    // The leftmost place is always right for the pieces in between.
    for piece in pieces {
        let Some((_, after)) = rest
            .split_once(piece)
            .filter(|_| !piece.is_empty())
            .or(piece.is_empty().then_some(("", rest)))
        else {
            return false;
        };
        rest = after;
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{is_chosen, matches_stars};

    #[test]
    fn stars_stand_anywhere() {
        let cases = [
            ("sel*_*", "sel_a_b", true),
            ("sel*_*", "selection", false),
            ("*_linux", "sel_linux", true),
            ("a*a", "a", false),
            ("a*b*c", "aXbYc", true),
            ("a**c", "abc", true),
            ("selection", "selection", true),
            ("selection", "selection_1", false),
            ("*", "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches_stars(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn underscored_names_are_chosen_only_by_underscored_patterns() {
        assert!(!is_chosen("them", "_helper"));
        assert!(!is_chosen("*", "_helper"));
        assert!(is_chosen("_help*", "_helper"));
        assert!(is_chosen("them", "selection"));
    }
}
