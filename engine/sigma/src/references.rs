//! References between documents: lists of ids and names, and what they name in the loaded set.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Place;
use crate::codes::{LIMIT, WRONG_TYPE};
use crate::context::{Context, string};
use crate::suggest::did_you_mean;
use crate::yaml::{Entry, Kind, Node};

/// Entries of one list.
pub(crate) const REFERENCES_MAX: usize = 1_000;
/// References for which a name alike is searched; each costs a look at all names.
const SUGGESTIONS_MAX: usize = 50;

/// An id or a name, and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) name: Arc<str>,
    pub(crate) place: Place,
}

/// One reference or a list of them; not empty. All faults are reported; `None` if there is one.
pub(crate) fn read(entry: &Entry, context: &mut Context<'_>) -> Option<Vec<Reference>> {
    let single = [&entry.value];
    let nodes: Vec<&Node> = match &entry.value.kind {
        Kind::Sequence(nodes) => nodes.iter().collect(),
        _ => single.to_vec(),
    };
    if nodes.is_empty() {
        let message = format!("`{}` is an empty list", entry.key);
        context.report_with_help(
            WRONG_TYPE.at(&entry.value.place, message),
            "name at least one rule by its id or name",
        );
        return None;
    }
    if nodes.len() > REFERENCES_MAX {
        let message = format!("`{}` has more than {REFERENCES_MAX} entries", entry.key);
        context.report(LIMIT.at(&entry.place, message));
        return None;
    }
    // Every entry is read, so that all faults are told.
    let references: Vec<Option<Reference>> = nodes
        .into_iter()
        .map(|node| reference(&entry.key, node, context))
        .collect();
    references.into_iter().collect()
}

fn reference(attribute: &str, node: &Node, context: &mut Context<'_>) -> Option<Reference> {
    if let Some(name) = node.as_str().filter(|name| !name.trim().is_empty()) {
        return Some(Reference {
            name: Arc::clone(name),
            place: node.place.clone(),
        });
    }
    let kind = match string(node) {
        Some(_) => "an empty string",
        None => node.kind_name(),
    };
    let message = format!("`{attribute}` must name rules by id or name, this is {kind}");
    context.report(WRONG_TYPE.at(&node.place, message));
    None
}

/// Which document has an id or a name, documents counted over all files.
#[derive(Default)]
pub(crate) struct Index {
    ids: HashMap<String, usize>,
    names: HashMap<String, usize>,
    /// Ids and names of documents with errors.
    rejected: HashMap<String, usize>,
    suggestions: usize,
}

/// What a reference names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A sound document.
    Document(usize),
    /// One with errors.
    Rejected(usize),
    /// Nothing.
    Unknown,
}

impl Index {
    /// Which document has this id.
    pub(crate) fn id(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// Which document has this name.
    pub(crate) fn name(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Notes a sound document. The first keeps its id and its name.
    pub(crate) fn add(&mut self, document: usize, id: Option<&str>, name: Option<&str>) {
        for (word, seen) in [(id, &mut self.ids), (name, &mut self.names)] {
            if let Some(word) = word {
                seen.entry(word.to_owned()).or_insert(document);
            }
        }
    }

    /// Notes a document with errors.
    pub(crate) fn add_rejected(&mut self, document: usize, words: [Option<&str>; 2]) {
        for word in words.into_iter().flatten() {
            self.rejected.entry(word.to_owned()).or_insert(document);
        }
    }

    /// What a reference names; ids go before names.
    pub(crate) fn find(&self, word: &str) -> Named {
        let sound = self.id(word).or_else(|| self.name(word));
        match (sound, self.rejected.get(word)) {
            (Some(document), _) => Named::Document(document),
            (None, Some(document)) => Named::Rejected(*document),
            (None, None) => Named::Unknown,
        }
    }

    /// "Did you mean" for a reference that names nothing; the first ones have it.
    pub(crate) fn suggest(&mut self, word: &str) -> Option<String> {
        if self.suggestions == SUGGESTIONS_MAX {
            return None;
        }
        self.suggestions += 1;
        // Of names alike the same is told in every run.
        let mut known: Vec<&str> = [&self.names, &self.ids, &self.rejected]
            .into_iter()
            .flat_map(HashMap::keys)
            .map(String::as_str)
            .collect();
        known.sort_unstable();
        did_you_mean(word, known)
    }
}
