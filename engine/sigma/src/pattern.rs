//! Text values: Sigma's escapes and wildcards, `windash`, the encodings, and the anchors that turn them
//! into a [`Pattern`].

use std::sync::Arc;

use crate::{Part, Pattern};

/// One character of a value after its escapes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyph {
    Literal(char),
    One,
    Any,
}

/// `contains`, `startswith`, `endswith` or none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Whole,
    Contains,
    StartsWith,
    EndsWith,
}

impl Anchor {
    pub(crate) fn is_open_before(self) -> bool {
        matches!(self, Self::Contains | Self::EndsWith)
    }

    /// The modifier; empty without one.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::EndsWith => "endswith",
        }
    }

    pub(crate) fn is_open_after(self) -> bool {
        matches!(self, Self::Contains | Self::StartsWith)
    }
}

/// SIGMA: escapes are read from left to right. A backslash before `*`, `?` or another backslash makes that
/// literal; before anything else, and at the end, it stands for itself.
pub(crate) fn glyphs(text: &str) -> Vec<Glyph> {
    let mut glyphs = Vec::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        glyphs.push(match c {
            '*' => Glyph::Any,
            '?' => Glyph::One,
            '\\' => Glyph::Literal(
                rest.next_if(|next| matches!(next, '*' | '?' | '\\'))
                    .unwrap_or('\\'),
            ),
            c => Glyph::Literal(c),
        });
    }
    glyphs
}

/// Text without wildcards.
pub(crate) fn literal(text: &str) -> Vec<Glyph> {
    text.chars().map(Glyph::Literal).collect()
}

/// Glyphs as parts, literal runs joined.
pub(crate) fn parts(glyphs: &[Glyph]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut run = String::new();
    for glyph in glyphs {
        let part = match glyph {
            Glyph::Literal(c) => {
                run.push(*c);
                continue;
            }
            Glyph::One => Part::One,
            Glyph::Any => Part::Any,
        };
        flush(&mut run, &mut parts);
        push(part, &mut parts);
    }
    flush(&mut run, &mut parts);
    parts
}

fn flush(run: &mut String, parts: &mut Vec<Part>) {
    if !run.is_empty() {
        parts.push(Part::Text(Arc::from(run.as_bytes())));
        run.clear();
    }
}

/// Keeps the promise of [`Pattern`] that no two `*` stand side by side.
fn push(part: Part, parts: &mut Vec<Part>) {
    if part != Part::Any || parts.last() != Some(&Part::Any) {
        parts.push(part);
    }
}

/// The pattern of `parts` with the anchor written into it.
pub(crate) fn anchored(parts: Vec<Part>, anchor: Anchor, cased: bool) -> Pattern {
    let mut all = Vec::with_capacity(parts.len() + 2);
    if anchor.is_open_before() {
        all.push(Part::Any);
    }
    for part in parts {
        push(part, &mut all);
    }
    if anchor.is_open_after() {
        push(Part::Any, &mut all);
    }
    Pattern { parts: all, cased }
}

/// The characters that `windash` treats alike: hyphen, slash, en dash, em dash, horizontal bar.
pub(crate) const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Where `windash` puts any dash: at a dash without a word character before it and with one after it
/// (policy M19).
pub(crate) fn dash_sites(glyphs: &[Glyph]) -> Vec<usize> {
    let is_word = |glyph: Option<&Glyph>| matches!(glyph, Some(Glyph::Literal(c)) if c.is_alphanumeric() || *c == '_');
    let is_dash = |glyph: &Glyph| matches!(glyph, Glyph::Literal(c) if DASHES.contains(c));
    let before = |at: usize| at.checked_sub(1).and_then(|at| glyphs.get(at));
    let is_site =
        |at: usize| is_dash(&glyphs[at]) && !is_word(before(at)) && is_word(glyphs.get(at + 1));
    (0..glyphs.len()).filter(|at| is_site(*at)).collect()
}

/// Every combination of dashes at the sites: `5^sites` variants, in the order of [`DASHES`] after the
/// value as written. The caller bounds the number of sites.
pub(crate) fn with_dashes(glyphs: &[Glyph], sites: &[usize]) -> Vec<Vec<Glyph>> {
    let mut variants = vec![glyphs.to_vec()];
    for site in sites {
        let others = DASHES
            .map(Glyph::Literal)
            .into_iter()
            .filter(|dash| *dash != glyphs[*site]);
        let mut more = Vec::new();
        for dash in others {
            more.extend(variants.iter().cloned().map(|mut variant| {
                variant[*site] = dash;
                variant
            }));
        }
        variants.extend(more);
    }
    variants
}

/// The source of a regular expression that equals the anchored glyphs with any dash at each site; for
/// `s`, and `i` unless cased. Serves values with so many sites that their variants would explode.
pub(crate) fn dash_regex(glyphs: &[Glyph], sites: &[usize], anchor: Anchor) -> String {
    let mut source = String::new();
    if !anchor.is_open_before() {
        source.push_str(r"\A");
    }
    for (at, glyph) in glyphs.iter().enumerate() {
        match glyph {
            _ if sites.contains(&at) => source.push_str(r"[\-/\x{2013}\x{2014}\x{2015}]"),
            Glyph::Literal(c) => regex_syntax::escape_into(c.encode_utf8(&mut [0; 4]), &mut source),
            Glyph::One => source.push('.'),
            Glyph::Any => source.push_str(".*"),
        }
    }
    if !anchor.is_open_after() {
        source.push_str(r"\z");
    }
    source
}

/// How bytes are written before they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf16Le,
    Utf16Be,
    /// Byte order mark FF FE, then little endian.
    Utf16,
    Base64,
    Base64Offset,
}

/// Why a value cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncodeError {
    /// Base64 of an unknown text is unknown.
    Wildcard,
    /// UTF-16 of what is no longer text.
    NotText,
}

/// All variants of `parts` in this encoding: three for `base64offset`, else one.
pub(crate) fn encode(parts: &[Part], encoding: Encoding) -> Result<Vec<Vec<Part>>, EncodeError> {
    let encoded = match encoding {
        Encoding::Base64 => vec![text(base64(whole(parts)?))],
        Encoding::Base64Offset => base64_offsets(whole(parts)?)
            .into_iter()
            .map(text)
            .collect(),
        Encoding::Utf16Le => vec![utf16(parts, u16::to_le_bytes)?],
        Encoding::Utf16Be => vec![utf16(parts, u16::to_be_bytes)?],
        Encoding::Utf16 => {
            let mut marked = utf16(parts, u16::to_le_bytes)?;
            match marked.first_mut() {
                Some(Part::Text(bytes)) => *bytes = [&[0xff, 0xfe], &**bytes].concat().into(),
                _ => marked.insert(0, Part::Text([0xff, 0xfe].as_slice().into())),
            }
            vec![marked]
        }
    };
    Ok(encoded)
}

fn text(text: String) -> Vec<Part> {
    if text.is_empty() {
        Vec::new()
    } else {
        vec![Part::Text(Arc::from(text.into_bytes()))]
    }
}

fn whole(parts: &[Part]) -> Result<&[u8], EncodeError> {
    match parts {
        [] => Ok(&[]),
        [Part::Text(bytes)] => Ok(bytes),
        _ => Err(EncodeError::Wildcard),
    }
}

fn utf16(parts: &[Part], unit: fn(u16) -> [u8; 2]) -> Result<Vec<Part>, EncodeError> {
    let encode = |part: &Part| match part {
        Part::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| EncodeError::NotText)?;
            Ok(Part::Text(text.encode_utf16().flat_map(unit).collect()))
        }
        wildcard => Ok(wildcard.clone()),
    };
    parts.iter().map(encode).collect()
}

/// SIGMA: appendix modifiers, `base64offset`. The value may start at any of three bit positions within
/// the Base64 of a longer text; characters that also depend on the neighbours are cut off.
fn base64_offsets(bytes: &[u8]) -> [String; 3] {
    [(0, 0), (1, 2), (2, 3)].map(|(lead, first)| {
        let shifted = [&[0; 2][..lead], bytes].concat();
        let last = [0, 3, 2][shifted.len() % 3];
        let encoded = base64(&shifted);
        encoded
            .get(first..encoded.len().saturating_sub(last))
            .unwrap_or_default()
            .to_owned()
    })
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = (group >> (18 - 6 * at)) & 0x3f;
            text.push(if at <= chunk.len() {
                char::from(ALPHABET[digit as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        Anchor, Encoding, Glyph, anchored, base64, base64_offsets, dash_sites, encode, glyphs,
        parts, with_dashes,
    };
    use crate::Part;

    /// A pattern in a notation of its own: literal text in quotes, wildcards bare.
    fn show(parts: &[Part]) -> String {
        let show = |part: &Part| match part {
            Part::Text(bytes) => format!("'{}'", String::from_utf8_lossy(bytes)),
            Part::One => "?".to_owned(),
            Part::Any => "*".to_owned(),
        };
        parts.iter().map(show).collect()
    }

    #[test]
    fn escapes_are_read_as_the_specification_says() {
        let cases = [
            (r"C:\Windows", r"'C:\Windows'"),
            (r"\*", "'*'"),
            (r"\?", "'?'"),
            (r"\\", r"'\'"),
            (r"\\*", r"'\'*"),
            (r"\\\*", r"'\*'"),
            (r"\\\", r"'\\'"),
            (r"\\\\", r"'\\'"),
            (r"foo\", r"'foo\'"),
            (r"\\\\srv", r"'\\srv'"),
            ("a**b?", "'a'*'b'?"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(show(&parts(&glyphs(text))), expected, "{text}");
        }
    }

    #[test]
    fn anchors_add_their_wildcards_once() {
        let contains =
            |text: &str| show(&anchored(parts(&glyphs(text)), Anchor::Contains, false).parts);
        assert_eq!(contains("curl*sh"), "*'curl'*'sh'*");
        assert_eq!(contains("*x*"), "*'x'*");
        assert_eq!(contains(""), "*");
        assert_eq!(
            show(&anchored(parts(&glyphs(r"\*")), Anchor::StartsWith, false).parts),
            "'*'*"
        );
    }

    #[test]
    fn windash_sites_are_dashes_at_word_starts() {
        assert_eq!(dash_sites(&glyphs(" -f")), [1]);
        assert_eq!(
            dash_sites(&glyphs("-a-b")),
            [0],
            "the second stands after a word character"
        );
        assert_eq!(dash_sites(&glyphs("/x \u{2013}y")), [0, 3]);
        assert_eq!(
            dash_sites(&glyphs("a - b")),
            [],
            "no word character after it"
        );
        assert_eq!(dash_sites(&glyphs("--x")), [1]);
    }

    #[test]
    fn windash_positions_are_independent() {
        let value = glyphs("-a -b");
        let variants = with_dashes(&value, &dash_sites(&value));
        assert_eq!(variants.len(), 25);
        assert_eq!(variants[0], value);
        let mixed = glyphs("/a \u{2015}b");
        assert!(variants.contains(&mixed));
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, expected) in vectors {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn base64_offsets_are_found_wherever_the_value_lies() {
        for value in ["/bin/bash", "foo", "ab", "xyzzy"] {
            let variants = base64_offsets(value.as_bytes());
            for lead in 0..9 {
                for trail in 0..4 {
                    let text = format!("{}{value}{}", "#".repeat(lead), "~".repeat(trail));
                    let encoded = base64(text.as_bytes());
                    assert!(encoded.contains(&variants[lead % 3]), "{text}");
                }
            }
        }
    }

    #[test]
    fn utf16_comes_in_three_byte_orders_and_leaves_wildcards_alone() {
        let value = parts(&[Glyph::Literal('é'), Glyph::Any, Glyph::Literal('b')]);
        let bytes = |encoding| encode(&value, encoding).unwrap().remove(0);
        let text = |bytes: &[u8]| Part::Text(bytes.into());
        assert_eq!(
            bytes(Encoding::Utf16Le),
            [text(&[0xe9, 0]), Part::Any, text(&[b'b', 0])]
        );
        assert_eq!(
            bytes(Encoding::Utf16Be),
            [text(&[0, 0xe9]), Part::Any, text(&[0, b'b'])]
        );
        assert_eq!(bytes(Encoding::Utf16)[0], text(&[0xff, 0xfe, 0xe9, 0]));
        assert!(encode(&value, Encoding::Base64).is_err());
    }
}
