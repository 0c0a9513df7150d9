//! The body of the fuzz target `rules` and of the property tests of loading: takes any bytes whatever and panics where a
//! promise is broken.

use crate::yaml::{self, Kind, Node};
use crate::{Condition, CorrelationCondition, Loaded, Seen, SourceFile, SourceTarget, load};

/// Loads the bytes as a rule file, of which what is no UTF-8 is replaced. Places lie in the text, references lead
/// somewhere, nodes are where they say, and loading once more gives the same.
pub fn rules(bytes: &[u8]) -> Loaded {
    let text = String::from_utf8_lossy(bytes);
    let file = SourceFile {
        name: "rule.yml".into(),
        text: text.clone().into(),
    };
    let loaded = load(std::slice::from_ref(&file));
    check_places(&text, &loaded);
    check_links(&loaded);
    for document in yaml::read(&file) {
        if let Some(root) = document.root {
            check_nodes(&text, &root);
        }
    }
    let again = load(&[file]);
    assert_eq!(format!("{loaded:?}"), format!("{again:?}"), "{text:?}");
    loaded
}

/// The text of a place, which lies in it on character borders.
#[track_caller]
fn at(text: &str, bytes: (u32, u32)) -> &str {
    let found = text.get(bytes.0 as usize..bytes.1 as usize);
    found.unwrap_or_else(|| unreachable!("{bytes:?} in {text:?}"))
}

/// Places lie in the text, on character borders, and on the line that their bytes are on.
fn check_places(text: &str, loaded: &Loaded) {
    for diagnostic in &loaded.diagnostics {
        at(text, diagnostic.place.bytes);
        let before = at(text, (0, diagnostic.place.bytes.0));
        let before = before.replace("\r\n", "\n").replace('\r', "\n");
        let line = before.matches('\n').count() + 1;
        assert_eq!(
            line, diagnostic.place.line as usize,
            "{diagnostic:?} in {text:?}"
        );
    }
}

/// Whatever refers to something finds it, and correlations read only those before them.
fn check_links(loaded: &Loaded) {
    for (at, correlation) in loaded.correlations.iter().enumerate() {
        assert!(!correlation.sources.is_empty() && correlation.timespan_ms > 0);
        for source in &correlation.sources {
            assert_eq!(source.group_by.len(), correlation.group_by.len());
            match source.target {
                SourceTarget::Rule(rule) => assert!(rule < loaded.rules.len()),
                SourceTarget::Correlation(read) => assert!(read < at),
            }
        }
        if let CorrelationCondition::Seen(seen) = &correlation.condition {
            check_seen(seen, correlation.sources.len());
        }
    }
    for rule in &loaded.rules {
        let conditions = rule.filters.iter().map(|filter| &filter.condition);
        for condition in conditions.chain([&rule.detection.condition]) {
            check_condition(condition, rule.detection.selections.len());
        }
    }
}

fn check_seen(seen: &Seen, sources: usize) {
    match seen {
        Seen::Source(at) => assert!(*at < sources),
        Seen::And(terms) | Seen::Or(terms) => {
            assert!(!terms.is_empty());
            for term in terms {
                check_seen(term, sources);
            }
        }
        Seen::Not(term) => check_seen(term, sources),
    }
}

fn check_condition(condition: &Condition, selections: usize) {
    match condition {
        Condition::Selection(idx) => assert!((idx.0 as usize) < selections),
        Condition::And(terms) | Condition::Or(terms) => {
            assert!(!terms.is_empty());
            for term in terms {
                check_condition(term, selections);
            }
        }
        Condition::Not(term) => check_condition(term, selections),
    }
}

/// Keys and plain numbers are found in the text where their places say.
fn check_nodes(text: &str, node: &Node) {
    match &node.kind {
        Kind::Number(number) => assert!(
            at(text, node.place.bytes).ends_with(&*number.written),
            "{node:?} in {text:?}"
        ),
        Kind::Sequence(nodes) => nodes.iter().for_each(|node| check_nodes(text, node)),
        Kind::Mapping(entries) => {
            for entry in entries {
                check_nodes(text, &entry.value);
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::String(_) => {
            at(text, node.place.bytes);
        }
    }
}
