//! `field|modifier|modifier`: the chain is checked as a whole, then each value is turned into matchers.

use std::ops::Range;
use std::sync::Arc;

use crate::codes::{
    CIDR, LIMIT, MODIFIER_CHAIN, MODIFIER_VALUE, NUMBER_AS_TEXT, NUMBER_RADIX, PLACEHOLDER, REGEX,
    REGEX_CONSTRUCT, UNKNOWN_MODIFIER, VALUE_SHAPE,
};
use crate::context::{Context, string};
use crate::pattern::{
    Anchor, EncodeError, Encoding, Glyph, anchored, dash_regex, dash_sites, encode, glyphs,
    literal, parts, with_dashes,
};
use crate::placeholder::{Expanded, expand};
use crate::suggest::did_you_mean;
use crate::yaml::{Kind, Node, Number, NumberForm};
use crate::{Comparison, Matcher, Place, Regex, TimePart};

/// Dash positions up to which `windash` lists its variants (`5^2`); beyond, they become one regular
/// expression.
const DASH_SITES_LISTED: usize = 2;
/// Dash positions up to which variants are listed for an encoding, which leaves no other way (`5^4`).
const DASH_SITES_MAX: usize = 4;

/// Longer regular expressions are refused: each class of Unicode takes kilobytes.
const REGEX_BYTES_MAX: usize = 16 << 10;

/// Each modifier with its other names.
const MODIFIERS: [(&str, Modifier); 34] = [
    ("contains", Modifier::Anchor(Anchor::Contains)),
    ("startswith", Modifier::Anchor(Anchor::StartsWith)),
    ("endswith", Modifier::Anchor(Anchor::EndsWith)),
    ("all", Modifier::All),
    ("exists", Modifier::Type(Type::Exists)),
    ("cased", Modifier::Cased),
    ("neq", Modifier::Neq),
    ("re", Modifier::Type(Type::Regex)),
    ("i", Modifier::Flag(Flag::IgnoreCase)),
    ("ignorecase", Modifier::Flag(Flag::IgnoreCase)),
    ("m", Modifier::Flag(Flag::MultiLine)),
    ("multiline", Modifier::Flag(Flag::MultiLine)),
    ("s", Modifier::Flag(Flag::DotAll)),
    ("dotall", Modifier::Flag(Flag::DotAll)),
    ("windash", Modifier::Windash),
    ("base64", Modifier::Encoding(Encoding::Base64)),
    ("base64offset", Modifier::Encoding(Encoding::Base64Offset)),
    ("utf16le", Modifier::Encoding(Encoding::Utf16Le)),
    ("wide", Modifier::Encoding(Encoding::Utf16Le)),
    ("utf16be", Modifier::Encoding(Encoding::Utf16Be)),
    ("utf16", Modifier::Encoding(Encoding::Utf16)),
    ("lt", Modifier::Type(Type::Compare(Comparison::Lt))),
    ("lte", Modifier::Type(Type::Compare(Comparison::Lte))),
    ("gt", Modifier::Type(Type::Compare(Comparison::Gt))),
    ("gte", Modifier::Type(Type::Compare(Comparison::Gte))),
    ("minute", Modifier::Type(Type::Time(TimePart::Minute))),
    ("hour", Modifier::Type(Type::Time(TimePart::Hour))),
    ("day", Modifier::Type(Type::Time(TimePart::Day))),
    ("week", Modifier::Type(Type::Time(TimePart::Week))),
    ("month", Modifier::Type(Type::Time(TimePart::Month))),
    ("year", Modifier::Type(Type::Time(TimePart::Year))),
    ("cidr", Modifier::Type(Type::Cidr)),
    ("expand", Modifier::Expand),
    ("fieldref", Modifier::Type(Type::FieldRef)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Modifier {
    Anchor(Anchor),
    All,
    Cased,
    Neq,
    Windash,
    Expand,
    Encoding(Encoding),
    Flag(Flag),
    Type(Type),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    IgnoreCase,
    MultiLine,
    DotAll,
}

/// What the values of an item are; a chain without a type modifier has plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Plain,
    Regex,
    Cidr,
    FieldRef,
    Exists,
    Compare(Comparison),
    Time(TimePart),
}

/// A checked chain of modifiers.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says that a modifier is given"
)]
pub(crate) struct Chain {
    /// No field name stands before the first `|`.
    pub(crate) is_keyword: bool,
    pub(crate) all: bool,
    pub(crate) neq: bool,
    pub(crate) expand: bool,
    kind: Type,
    anchor: Anchor,
    cased: bool,
    windash: bool,
    encodings: Vec<Encoding>,
    flags: Vec<Flag>,
}

impl Chain {
    /// The chain of an item without modifiers.
    pub(crate) fn plain(is_keyword: bool) -> Self {
        Self {
            is_keyword,
            all: false,
            neq: false,
            expand: false,
            kind: Type::Plain,
            anchor: Anchor::Whole,
            cased: false,
            windash: false,
            encodings: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// Reads what follows the field name in `key`. Reports all faults of the chain; `None` if it has any.
    pub(crate) fn read(key: &str, place: &Place, context: &mut Context<'_>) -> Option<Self> {
        let (field, modifiers) = key
            .split_once('|')
            .map_or((key, None), |(field, rest)| (field, Some(rest)));
        let mut links: Vec<Link<'_>> = Vec::new();
        let mut at = field.len() + 1;
        let mut sound = true;
        for name in modifiers
            .into_iter()
            .flat_map(|modifiers| modifiers.split('|'))
        {
            let part = at..at + name.len();
            at = part.end + 1;
            if let Some((_, modifier)) = MODIFIERS.iter().find(|(known, _)| *known == name) {
                links.push(Link {
                    name,
                    modifier: *modifier,
                    part,
                });
            } else {
                report_unknown(name, &context.inside(place, key, part), context);
                sound = false;
            }
        }
        let mut chain = Self::plain(field.is_empty());
        for at in 0..links.len() {
            if let Err(fault) = chain.add(&links, at) {
                let place = context.inside(place, key, links[at].part.clone());
                context.report(MODIFIER_CHAIN.at(&place, fault.message).or_help(fault.help));
                sound = false;
            }
        }
        sound.then_some(chain)
    }

    /// Adds one link after checking it against those before it.
    fn add(&mut self, links: &[Link<'_>], at: usize) -> Result<(), Fault> {
        let Link { name, modifier, .. } = &links[at];
        let before = &links[..at];
        let is_encoding = |modifier: Modifier| matches!(modifier, Modifier::Encoding(_));
        if !is_encoding(*modifier) && before.iter().any(|link| link.modifier == *modifier) {
            return Err(Fault::new(format!("`{name}` is given twice")).help("remove one of them"));
        }
        if self.kind == Type::Exists {
            return Err(Fault::new("`exists` stands alone").help("remove the other modifiers"));
        }
        match modifier {
            Modifier::All => self.all = true,
            Modifier::Neq => self.neq = true,
            Modifier::Type(kind) => self.set_type(name, *kind, before)?,
            Modifier::Flag(flag) => {
                if self.kind != Type::Regex {
                    return Err(Fault::new(format!("`{name}` comes after `re`"))
                        .help(format!("write `re|{name}`")));
                }
                self.flags.push(*flag);
            }
            Modifier::Anchor(anchor) => {
                self.demand(name, &[Type::Plain, Type::FieldRef])?;
                if self.is_keyword && *anchor != Anchor::Contains {
                    return Err(Fault::new(format!(
                        "`{name}` needs a field; keywords are searched inside of values"
                    ))
                    .help(format!("write a field before it, or remove `{name}`")));
                }
                if self.anchor != Anchor::Whole {
                    return Err(Fault::new(format!(
                        "`{name}` comes after another of contains, startswith, endswith"
                    ))
                    .help("keep one of them"));
                }
                self.anchor = *anchor;
            }
            Modifier::Cased => {
                self.demand(name, &[Type::Plain, Type::FieldRef])?;
                self.cased = true;
            }
            Modifier::Windash => {
                self.demand(name, &[Type::Plain])?;
                self.demand_no_encoding(name)?;
                self.windash = true;
            }
            Modifier::Expand => {
                self.demand(name, &[Type::Plain, Type::Regex])?;
                self.demand_no_encoding(name)?;
                self.expand = true;
            }
            Modifier::Encoding(encoding) => {
                self.demand(name, &[Type::Plain])?;
                if let Some(anchor) = before
                    .iter()
                    .find(|link| matches!(link.modifier, Modifier::Anchor(_)))
                {
                    let fault = Fault::new(format!("`{name}` comes after `{}`", anchor.name));
                    return Err(fault.help(format!("encode first: `{name}|{}`", anchor.name)));
                }
                self.encodings.push(*encoding);
            }
        }
        Ok(())
    }

    fn set_type(&mut self, name: &str, kind: Type, before: &[Link<'_>]) -> Result<(), Fault> {
        if self.kind != Type::Plain {
            return Err(Fault::new(format!(
                "`{name}` cannot follow another modifier that changes the kind of value"
            ))
            .help("keep one of them"));
        }
        let fits = |modifier: Modifier| match kind {
            Type::Regex | Type::Cidr | Type::Exists => false,
            Type::FieldRef => {
                matches!(
                    modifier,
                    Modifier::All | Modifier::Neq | Modifier::Cased | Modifier::Anchor(_)
                )
            }
            _ => matches!(modifier, Modifier::All | Modifier::Neq),
        };
        if let Some(other) = before.iter().find(|link| !fits(link.modifier)) {
            let fault = Fault::new(format!("`{name}` cannot follow `{}`", other.name));
            return Err(match kind {
                Type::Regex | Type::Cidr => fault.help(format!("`{name}` comes first")),
                Type::Exists => fault.help("`exists` stands alone"),
                _ => fault,
            });
        }
        if self.is_keyword && !matches!(kind, Type::Regex | Type::Cidr) {
            return Err(Fault::new(format!("`{name}` needs a field"))
                .help(format!("write a field before it: `FIELD|{name}`")));
        }
        self.kind = kind;
        Ok(())
    }

    fn demand(&self, name: &str, kinds: &[Type]) -> Result<(), Fault> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(Fault::new(format!(
            "`{name}` does not go with a modifier that changes the kind of value"
        ))
        .help(format!("remove `{name}`, or the other")))
    }

    fn demand_no_encoding(&self, name: &str) -> Result<(), Fault> {
        if self.encodings.is_empty() {
            return Ok(());
        }
        Err(Fault::new(format!("`{name}` comes after an encoding"))
            .help(format!("put `{name}` first")))
    }
}

struct Link<'a> {
    name: &'a str,
    modifier: Modifier,
    part: Range<usize>,
}

struct Fault {
    message: String,
    help: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

fn report_unknown(name: &str, place: &Place, context: &mut Context<'_>) {
    if name.is_empty() {
        context.report_with_help(
            UNKNOWN_MODIFIER.at(place, "a modifier is missing after `|`"),
            "remove the `|`",
        );
        return;
    }
    let help = match name {
        "not" => Some("negate in the condition, or write `neq`".to_owned()),
        _ => did_you_mean(
            name,
            MODIFIERS
                .iter()
                .map(|(known, _)| *known)
                .filter(|known| known.len() > 1),
        ),
    };
    let message = format!("there is no modifier `{name}`");
    context.report(UNKNOWN_MODIFIER.at(place, message).or_help(help));
}

impl Chain {
    /// The variants of one value: any of them meets it. Usually one, none only for an empty
    /// placeholder. Reports what is wrong; `None` if that is an error.
    pub(crate) fn lower(&self, node: &Node, context: &mut Context<'_>) -> Option<Vec<Matcher>> {
        if matches!(node.kind, Kind::Sequence(_) | Kind::Mapping(_)) {
            let message = format!(
                "{} stands where a single value is expected",
                node.kind_name()
            );
            context.report(VALUE_SHAPE.at(&node.place, message));
            return None;
        }
        warn_of_radix(node, context);
        match self.kind {
            Type::Plain => self.plain_value(node, context),
            Type::Regex => self.regex(node, context),
            Type::Cidr => cidr(node, context).map(|matcher| vec![matcher]),
            Type::FieldRef => self
                .field_reference(node, context)
                .map(|matcher| vec![matcher]),
            Type::Exists => match node.kind {
                Kind::Bool(wanted) => Some(vec![Matcher::Exists(wanted)]),
                _ => wrong_kind(node, "`exists` takes `true` or `false`", context),
            },
            Type::Compare(comparison) => match &node.kind {
                Kind::Number(number) => Some(vec![Matcher::Compare(
                    comparison,
                    Arc::clone(&number.canonical),
                )]),
                _ => wrong_kind(node, "numeric modifiers take unquoted numbers", context),
            },
            Type::Time(part) => match &node.kind {
                Kind::Number(number) if let Ok(value) = number.canonical.parse() => {
                    Some(vec![Matcher::Time(part, value)])
                }
                _ => wrong_kind(node, "parts of a date are whole numbers", context),
            },
        }
    }

    /// Whether the values are regular expressions as written.
    pub(crate) fn is_regex(&self) -> bool {
        self.kind == Type::Regex && !self.expand
    }

    /// The anchor of values that are text as written, with wildcards.
    pub(crate) fn plain_anchor(&self) -> Option<Anchor> {
        let is_plain = self.kind == Type::Plain && !self.expand && self.encodings.is_empty();
        is_plain.then_some(self.anchor)
    }

    fn has_text_modifier(&self) -> bool {
        self.anchor != Anchor::Whole || self.windash || self.expand || !self.encodings.is_empty()
    }

    /// The anchor with which text is looked for: keywords are substrings (policy M8).
    fn effective_anchor(&self) -> Anchor {
        if self.is_keyword {
            Anchor::Contains
        } else {
            self.anchor
        }
    }

    fn plain_value(&self, node: &Node, context: &mut Context<'_>) -> Option<Vec<Matcher>> {
        let by_text = self.is_keyword || self.has_text_modifier();
        let text = match &node.kind {
            Kind::String(text) => return self.text(text, node, context),
            Kind::Null if by_text => return wrong_kind(node, "text is needed here", context),
            Kind::Null => return Some(vec![Matcher::Null]),
            Kind::Bool(value) if !by_text => return Some(vec![Matcher::Bool(*value)]),
            Kind::Number(number) if !by_text && number.form != NumberForm::LeadingZeros => {
                // Policy M6: the canonical text, or the text as written.
                let mut matchers = vec![Matcher::Number(Arc::clone(&number.canonical))];
                let text = written(number);
                if text != number.canonical {
                    matchers.extend(self.variants(&literal(&text), node, context)?);
                }
                return Some(matchers);
            }
            Kind::Bool(value) => Arc::from(if *value { "true" } else { "false" }),
            Kind::Number(number) => written(number),
            Kind::Sequence(_) | Kind::Mapping(_) => return None,
        };
        if !self.encodings.is_empty() {
            return wrong_kind(node, "encodings take strings", context);
        }
        if self.has_text_modifier() && !self.is_keyword {
            let message = format!("a text modifier is applied to {}", node.kind_name());
            context.report_with_help(
                NUMBER_AS_TEXT.at(&node.place, message),
                format!("quote it: `'{text}'`"),
            );
        }
        Some(self.variants(&literal(&text), node, context)?.collect())
    }

    fn text(&self, text: &str, node: &Node, context: &mut Context<'_>) -> Option<Vec<Matcher>> {
        if !self.expand {
            return Some(self.variants(&glyphs(text), node, context)?.collect());
        }
        let mut matchers = Vec::new();
        for text in expanded(text, node, context, str::to_owned)? {
            matchers.extend(self.variants(&glyphs(&text), node, context)?);
        }
        Some(matchers)
    }

    /// `windash`, then the encodings, then the anchor.
    fn variants(
        &self,
        glyphs: &[Glyph],
        node: &Node,
        context: &mut Context<'_>,
    ) -> Option<impl Iterator<Item = Matcher>> {
        let anchor = self.effective_anchor();
        let sites = if self.windash {
            dash_sites(glyphs)
        } else {
            Vec::new()
        };
        if sites.len() > DASH_SITES_LISTED && self.encodings.is_empty() {
            let regex = Regex {
                source: dash_regex(glyphs, &sites, anchor).into(),
                ignore_case: !self.cased,
                multi_line: false,
                dot_all: true,
            };
            return Some(vec![Matcher::Regex(regex)].into_iter());
        }
        if sites.len() > DASH_SITES_MAX {
            let message =
                format!("`windash` with an encoding takes at most {DASH_SITES_MAX} dashes");
            context.report(LIMIT.at(&node.place, message));
            return None;
        }
        let mut variants: Vec<_> = with_dashes(glyphs, &sites)
            .iter()
            .map(|glyphs| parts(glyphs))
            .collect();
        for encoding in &self.encodings {
            let encoded: Result<Vec<_>, _> = variants
                .iter()
                .map(|parts| encode(parts, *encoding))
                .collect();
            match encoded {
                Ok(encoded) => variants = encoded.concat(),
                Err(EncodeError::Wildcard) => {
                    return wrong_value(node, "Base64 of a wildcard is not known", context);
                }
                Err(EncodeError::NotText) => {
                    return wrong_value(
                        node,
                        "UTF-16 cannot follow another encoding to UTF-16",
                        context,
                    );
                }
            }
        }
        let matchers = variants
            .into_iter()
            .map(|parts| Matcher::Text(anchored(parts, anchor, self.cased)));
        Some(matchers.collect::<Vec<_>>().into_iter())
    }

    fn regex(&self, node: &Node, context: &mut Context<'_>) -> Option<Vec<Matcher>> {
        let source = match &node.kind {
            Kind::String(text) => Arc::clone(text),
            Kind::Number(number) => written(number),
            Kind::Bool(value) => Arc::from(if *value { "true" } else { "false" }),
            _ => return wrong_kind(node, "`re` takes a regular expression", context),
        };
        if !self.expand {
            return Some(vec![self.checked_regex(&source, node, context)?]);
        }
        let sources = expanded(&source, node, context, regex_syntax::escape)?;
        sources
            .iter()
            .map(|source| self.checked_regex(source, node, context))
            .collect()
    }

    fn checked_regex(
        &self,
        source: &str,
        node: &Node,
        context: &mut Context<'_>,
    ) -> Option<Matcher> {
        if source.len() > REGEX_BYTES_MAX {
            let message = format!("the regular expression has more than {REGEX_BYTES_MAX} bytes");
            context.report(LIMIT.at(&node.place, message));
            return None;
        }
        let has = |flag| self.flags.contains(&flag);
        let regex = Regex {
            source: source.into(),
            ignore_case: has(Flag::IgnoreCase),
            multi_line: has(Flag::MultiLine),
            dot_all: has(Flag::DotAll),
        };
        let parsed = regex_syntax::ParserBuilder::new()
            .case_insensitive(regex.ignore_case)
            .multi_line(regex.multi_line)
            .dot_matches_new_line(regex.dot_all)
            .build()
            .parse(source);
        match parsed {
            Ok(_) => Some(Matcher::Regex(regex)),
            Err(error) => {
                report_regex(source, &error, node, context);
                None
            }
        }
    }

    fn field_reference(&self, node: &Node, context: &mut Context<'_>) -> Option<Matcher> {
        let Some(field) = node.as_str().filter(|field| !field.is_empty()) else {
            return wrong_kind(node, "`fieldref` takes the name of a field", context);
        };
        if glyphs(field)
            .iter()
            .any(|glyph| matches!(glyph, Glyph::One | Glyph::Any))
        {
            return wrong_value(
                node,
                "`fieldref` takes the name of a field, without wildcards",
                context,
            );
        }
        Some(Matcher::FieldRef {
            field: Arc::clone(field),
            prefix: self.anchor.is_open_after(),
            suffix: self.anchor.is_open_before(),
            cased: self.cased,
        })
    }
}

fn wrong_value<T>(node: &Node, message: &str, context: &mut Context<'_>) -> Option<T> {
    context.report(MODIFIER_VALUE.at(&node.place, message));
    None
}

fn wrong_kind<T>(node: &Node, message: &str, context: &mut Context<'_>) -> Option<T> {
    let mut diagnostic = MODIFIER_VALUE.at(&node.place, message);
    diagnostic.label = Some(format!("this is {}", node.kind_name()));
    context.report(diagnostic);
    None
}

/// The text of a number where it is compared as text: as written, hexadecimal as its value.
fn written(number: &Number) -> Arc<str> {
    Arc::clone(if number.form == NumberForm::Radix {
        &number.canonical
    } else {
        &number.written
    })
}

fn warn_of_radix(node: &Node, context: &mut Context<'_>) {
    if let Kind::Number(number) = &node.kind
        && number.form == NumberForm::Radix
    {
        let message = format!("`{}` is the number {}", number.written, number.canonical);
        context.report_with_help(
            NUMBER_RADIX.at(&node.place, message),
            format!("quote it to mean the text: `'{}'`", number.written),
        );
    }
}

fn expanded(
    text: &str,
    node: &Node,
    context: &mut Context<'_>,
    quote: fn(&str) -> String,
) -> Option<Vec<String>> {
    match expand(text, &context.options.placeholders, quote) {
        Expanded::Texts(texts) => Some(texts),
        Expanded::Unresolved(names) => {
            for name in names {
                let part = text
                    .find(&format!("%{name}%"))
                    .map(|at| at..at + name.len() + 2);
                let place = part.map_or_else(
                    || node.place.clone(),
                    |part| context.inside(&node.place, text, part),
                );
                context.report_with_help(
                    PLACEHOLDER.at(
                        &place,
                        format!("the placeholder `%{name}%` has no source of values"),
                    ),
                    "give it values in a file, `--placeholders FILE`",
                );
            }
            None
        }
        Expanded::TooMany(limit) => {
            context.report(LIMIT.at(
                &node.place,
                format!("the placeholders give more than {limit} values"),
            ));
            None
        }
    }
}

fn cidr(node: &Node, context: &mut Context<'_>) -> Option<Matcher> {
    let Some(text) = string(node) else {
        return wrong_kind(node, "`cidr` takes a network such as 10.0.0.0/8", context);
    };
    let Ok(network) = text.parse::<ipnet::IpNet>() else {
        let message = format!("`{text}` is not a network");
        let help = "write address/prefix, such as 10.0.0.0/8";
        context.report_with_help(CIDR.at(&node.place, message), help);
        return None;
    };
    if network.addr() != network.network() {
        let message = format!("`{text}` has bits set behind its prefix");
        context.report_with_help(
            CIDR.at(&node.place, message),
            format!("the network is `{}`", network.trunc()),
        );
        return None;
    }
    Some(Matcher::Cidr(network))
}

fn report_regex(source: &str, error: &regex_syntax::Error, node: &Node, context: &mut Context<'_>) {
    use regex_syntax::ast::ErrorKind;
    let whole = regex_syntax::ast::Span::splat(regex_syntax::ast::Position::new(0, 1, 1));
    let (message, span, construct) = match error {
        regex_syntax::Error::Parse(error) => {
            let rest = source.get(error.span().start.offset..).unwrap_or_default();
            let construct = match error.kind() {
                ErrorKind::UnsupportedLookAround => Some("look-around"),
                ErrorKind::UnsupportedBackreference => Some("a back-reference"),
                ErrorKind::FlagUnrecognized if rest.starts_with('>') => Some("an atomic group"),
                ErrorKind::FlagUnrecognized if rest.starts_with('(') => Some("a conditional"),
                ErrorKind::FlagUnrecognized if rest.starts_with('#') => Some("a comment"),
                ErrorKind::FlagUnrecognized if rest.starts_with(['&', '0', '1', 'P']) => {
                    Some("recursion")
                }
                _ => None,
            };
            (error.kind().to_string(), error.span(), construct)
        }
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span(), None),
        _ => (error.to_string(), &whole, None),
    };
    let place = context.inside(&node.place, source, span.start.offset..span.end.offset);
    match construct {
        Some(construct) => {
            let message = format!("{construct} is not part of the dialect of regular expressions");
            let help = "split it: match the rest here, and exclude with `not` in the condition";
            context.report_with_help(REGEX_CONSTRUCT.at(&place, message), help);
        }
        None => context.report(REGEX.at(&place, message)),
    }
}
