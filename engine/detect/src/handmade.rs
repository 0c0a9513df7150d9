//! Rules and views made by hand, for tests of the matching core without YAML and without a decoder.
#![expect(clippy::unwrap_used, reason = "made for tests")]
#![cfg_attr(not(test), allow(dead_code, reason = "the tests are left out"))]

use event::{Fields, RecordClass, Slot, Span, Value, ValueKind, ViewKind};
use sigma::{
    Attributes, Condition, Detection, Field, Item, LogSource, Matcher, Part, Pattern, Place,
    Quantifier, Regex, Rule, Search, Selection, SelectionIdx,
};

use crate::subject::Source;

/// Bytes of a hand-made view.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Source for Buffer {
    fn bytes(&self, span: Span) -> &[u8] {
        if span == Span::NONE {
            &[]
        } else {
            &self.0[span.offset as usize..(span.offset + span.len) as usize]
        }
    }

    fn path(&self, _node: u32) -> Option<String> {
        None
    }

    fn arguments(&self, _node: u32) -> Vec<(u32, &[u8])> {
        Vec::new()
    }
}

/// A hand-made view: fields by name (`None`: keywords), so that it can be laid out for any plan.
#[derive(Clone, Debug)]
pub(crate) struct Handmade {
    pub(crate) kind: ViewKind,
    pub(crate) class: RecordClass,
    pub(crate) values: Vec<(Option<&'static str>, ValueKind, Vec<u8>, u32)>,
}

pub(crate) fn source(kind: ViewKind) -> LogSource {
    let linux = LogSource {
        product: Some("linux".into()),
        ..LogSource::default()
    };
    match kind {
        ViewKind::Record => LogSource {
            service: Some("auditd".into()),
            ..linux
        },
        ViewKind::Native => LogSource {
            service: Some("laurel".into()),
            ..linux
        },
        _ => LogSource {
            category: Some("process_creation".into()),
            ..linux
        },
    }
}

pub(crate) fn place() -> Place {
    Place {
        file: "rule.yml".into(),
        line: 1,
        column: 1,
        bytes: (0, 0),
    }
}

/// The attributes of the rule of this number.
pub(crate) fn attributes(number: usize) -> Attributes {
    Attributes {
        place: place(),
        version: String::new(),
        title: format!("rule {number}"),
        id: Some(number.to_string()),
        name: None,
        status: None,
        level: None,
        description: None,
        author: None,
        date: None,
        modified: None,
        related: Vec::new(),
        license: None,
        scope: Vec::new(),
        references: Vec::new(),
        tags: Vec::new(),
        fields: Vec::new(),
        falsepositives: Vec::new(),
        custom: Vec::new(),
    }
}

pub(crate) fn rule(
    kind: ViewKind,
    number: usize,
    selections: Vec<Search>,
    condition: Condition,
) -> Rule {
    let selections = selections
        .into_iter()
        .enumerate()
        .map(|(number, search)| Selection {
            name: format!("sel{number}").into(),
            place: place(),
            search,
        });
    Rule {
        attributes: attributes(number),
        logsource: source(kind),
        detection: Detection {
            selections: selections.collect(),
            condition,
        },
        filters: Vec::new(),
        alerts: true,
    }
}

pub(crate) fn item(field: &str, matchers: Vec<Matcher>) -> Item {
    Item {
        field: if field.is_empty() {
            Field::Keywords
        } else {
            Field::Named(field.into())
        },
        negated: false,
        quantifier: Quantifier::Any,
        matchers,
        place: place(),
        places: Vec::new(),
    }
}

pub(crate) fn only(kind: ViewKind, items: Vec<Item>) -> Rule {
    rule(
        kind,
        0,
        vec![Search::Map(items)],
        Condition::Selection(SelectionIdx(0)),
    )
}

/// `*` and `?` as in a rule, without escapes.
pub(crate) fn like(text: &str) -> Matcher {
    let mut parts: Vec<Part> = Vec::new();
    for piece in text
        .split_inclusive(['*', '?'])
        .flat_map(|piece| match piece.chars().last() {
            Some(last @ ('*' | '?')) => vec![
                piece.strip_suffix(last).unwrap(),
                if last == '*' { "*" } else { "?" },
            ],
            _ => vec![piece],
        })
    {
        match piece {
            "" => {}
            "*" => parts.push(Part::Any),
            "?" => parts.push(Part::One),
            text => parts.push(Part::Text(text.as_bytes().into())),
        }
    }
    Matcher::Text(Pattern {
        parts,
        cased: false,
    })
}

pub(crate) fn number(text: &str) -> Matcher {
    Matcher::Number(text.into())
}

pub(crate) fn re(source: &str) -> Matcher {
    Matcher::Regex(Regex {
        source: source.into(),
        ignore_case: false,
        multi_line: false,
        dot_all: false,
    })
}

pub(crate) fn lay_out(view: &Handmade, fields: &mut Fields) -> (Buffer, Vec<Value>) {
    let mut buffer = Buffer::default();
    let mut values = Vec::new();
    for (name, kind, text, element) in &view.values {
        let slot: Option<Slot> = match name {
            Some(name) => fields.want(view.kind, name),
            None => Some(fields.want_keywords(view.kind)),
        };
        let Some(slot) = slot else { continue };
        let none = matches!(kind, ValueKind::Null | ValueKind::Container);
        let offset = u32::try_from(buffer.0.len()).unwrap();
        let span = if none {
            Span::NONE
        } else {
            Span {
                offset,
                len: u32::try_from(text.len()).unwrap(),
            }
        };
        buffer.0.extend_from_slice(text);
        values.push(Value {
            slot,
            kind: *kind,
            span,
            element: *element,
            node: u32::MAX,
        });
    }
    (buffer, values)
}

pub(crate) fn process(values: &[(&'static str, ValueKind, &str)]) -> Handmade {
    let values = values
        .iter()
        .map(|(name, kind, text)| (Some(*name), *kind, text.as_bytes().to_vec(), 0));
    Handmade {
        kind: ViewKind::ProcessCreation,
        class: RecordClass::Other,
        values: values.collect(),
    }
}

pub(crate) fn native(values: &[(&'static str, ValueKind, &str, u32)]) -> Handmade {
    let values = values.iter().map(|(name, kind, text, element)| {
        (Some(*name), *kind, text.as_bytes().to_vec(), *element)
    });
    Handmade {
        kind: ViewKind::Native,
        class: RecordClass::Other,
        values: values.collect(),
    }
}
