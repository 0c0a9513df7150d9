//! `action` documents: what they hand on to the rules behind them in the same file.
//!
//! SIGMA: `action` is gone from the 2.x text; people's own files still have it. A `global` document is merged into
//! later rules until a `reset`; `repeat` is merged over the rule before it. Correlations and filters inherit nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::Place;
use crate::codes::{ACTION, GLOBAL_CLASH, LIMIT};
use crate::context::{Context, string};
use crate::suggest::did_you_mean;
use crate::yaml::{Entry, Kind, Node};

/// What `action` documents may add to the documents of one file, each node counted as 64 bytes and its
/// text.
const MERGED_BYTES_MAX: usize = 16 << 20;

/// What earlier `action` documents and rules of the same file hand on.
#[derive(Default)]
pub(crate) struct Inherited {
    /// All global documents since the last reset.
    global: Option<Merged>,
    /// The rule before, as merged.
    previous: Option<Merged>,
    /// Whether the file has the word at all; most have not and need no copies.
    may_repeat: bool,
    bytes: usize,
}

/// A document, alone or with what it inherits.
#[derive(Clone)]
pub(crate) struct Merged {
    pub(crate) root: Node,
    /// See [`crate::Attributes::version`].
    pub(crate) version: String,
}

impl Merged {
    /// A document as it stands in its file.
    pub(crate) fn alone(root: Node, text: &str) -> Self {
        Self {
            root,
            version: version_of(&[text]),
        }
    }
}

impl Inherited {
    pub(crate) fn new(file_text: &str) -> Self {
        Self {
            may_repeat: file_text.contains("repeat"),
            ..Self::default()
        }
    }

    /// A rule with what it inherits; `None` if it is no rule or its `action` is wrong.
    pub(crate) fn rule(&mut self, own: Merged, context: &mut Context<'_>) -> Option<Merged> {
        let Some(action) = own.root.get("action").cloned() else {
            return self.with_global(own, context);
        };
        let place = own.root.place.clone();
        let own = without_action(own);
        match string(&action) {
            Some("global") => {
                self.global = Some(match self.global.take() {
                    Some(global) => self.merge(&global, &own, &place, context, None)?,
                    None => own,
                });
                None
            }
            Some("reset") => {
                self.global = None;
                let is_empty = own.root.as_mapping().is_none_or(<[Entry]>::is_empty);
                if is_empty {
                    None
                } else {
                    self.with_global(own, context)
                }
            }
            Some("repeat") => {
                let Some(previous) = self.previous.take() else {
                    context
                        .report(ACTION.at(&action.place, "there is no rule before it to repeat"));
                    return None;
                };
                let merged = self.merge(&previous, &own, &place, context, None)?;
                self.previous = Some(merged.clone());
                Some(merged)
            }
            _ => {
                report_unknown(&action, context);
                None
            }
        }
    }

    /// A correlation or filter, which inherits nothing and hands nothing on; it may end what was global.
    pub(crate) fn other(&mut self, own: Merged, context: &mut Context<'_>) -> Option<Merged> {
        let Some(action) = own.root.get("action").cloned() else {
            return Some(own);
        };
        match string(&action) {
            Some("reset") => {
                self.global = None;
                return Some(without_action(own));
            }
            Some(word @ ("global" | "repeat")) => {
                let message = format!("`action: {word}` is for rules, this is a {}", context.noun);
                let help = "remove it; correlations and filters are written out";
                context.report_with_help(ACTION.at(&action.place, message), help);
            }
            Some("correlation") if context.noun == "correlation" => {
                let message = "`action: correlation` was removed from Sigma";
                let help = "remove it; the attribute `correlation` is enough";
                context.report_with_help(ACTION.at(&action.place, message), help);
            }
            _ => report_unknown(&action, context),
        }
        None
    }

    fn with_global(&mut self, own: Merged, context: &mut Context<'_>) -> Option<Merged> {
        let merged = match self.global.take() {
            Some(global) => {
                let mut clashes = Vec::new();
                let merged =
                    self.merge(&own, &global, &own.root.place, context, Some(&mut clashes));
                self.global = Some(global);
                for (key, place) in clashes {
                    let message =
                        format!("`{key}` is set by the global document too, whose value is used");
                    context.report(GLOBAL_CLASH.at(&place, message));
                }
                merged?
            }
            None => own,
        };
        if self.may_repeat {
            self.previous = Some(merged.clone());
        }
        Some(merged)
    }

    /// `over` merged over `base`; the result stands at `place`.
    fn merge(
        &mut self,
        base: &Merged,
        over: &Merged,
        place: &Place,
        context: &mut Context<'_>,
        clashes: Option<&mut Vec<(Arc<str>, Place)>>,
    ) -> Option<Merged> {
        self.bytes = self
            .bytes
            .saturating_add(base.root.weight() + over.root.weight());
        if self.bytes > MERGED_BYTES_MAX {
            let message =
                format!("the actions of this file add more than {MERGED_BYTES_MAX} bytes");
            context.report(LIMIT.at(place, message));
            return None;
        }
        let mut root = merged(&base.root, &over.root, &mut clashes.into());
        root.place = place.clone();
        Some(Merged {
            root,
            version: version_of(&[&base.version, &over.version]),
        })
    }
}

fn report_unknown(action: &Node, context: &mut Context<'_>) {
    let word = string(action);
    let message = match word {
        Some(word) => format!("there is no action `{word}`"),
        None => format!("an action must be a string, this is {}", action.kind_name()),
    };
    let known = ["global", "reset", "repeat"];
    let help = word.and_then(|word| did_you_mean(word, known));
    let help = help.unwrap_or_else(|| format!("the actions are {}", known.join(", ")));
    context.report_with_help(ACTION.at(&action.place, message), help);
}

fn without_action(mut document: Merged) -> Merged {
    if let Kind::Mapping(entries) = &mut document.root.kind {
        entries.retain(|entry| &*entry.key != "action");
    }
    document
}

/// Where to note the keys that both sides set to different values.
struct Clashes<'a>(Option<&'a mut Vec<(Arc<str>, Place)>>);

impl<'a> From<Option<&'a mut Vec<(Arc<str>, Place)>>> for Clashes<'a> {
    fn from(list: Option<&'a mut Vec<(Arc<str>, Place)>>) -> Self {
        Self(list)
    }
}

/// Maps are merged key by key, anything else is replaced.
fn merged(base: &Node, over: &Node, clashes: &mut Clashes<'_>) -> Node {
    let (Kind::Mapping(base_entries), Kind::Mapping(over_entries)) = (&base.kind, &over.kind)
    else {
        return over.clone();
    };
    let over_by_key: HashMap<&str, &Entry> = over_entries
        .iter()
        .map(|entry| (&*entry.key, entry))
        .collect();
    let mut entries: Vec<Entry> = Vec::with_capacity(base_entries.len() + over_entries.len());
    for entry in base_entries {
        let Some(other) = over_by_key.get(&*entry.key) else {
            entries.push(entry.clone());
            continue;
        };
        let are_maps = entry.value.as_mapping().is_some() && other.value.as_mapping().is_some();
        if !are_maps
            && let Some(list) = &mut clashes.0
            && entry.value.to_json() != other.value.to_json()
        {
            list.push((Arc::clone(&entry.key), entry.place.clone()));
        }
        entries.push(Entry {
            value: merged(&entry.value, &other.value, clashes),
            ..(*other).clone()
        });
    }
    let base_keys: HashSet<&str> = base_entries.iter().map(|entry| &*entry.key).collect();
    entries.extend(
        over_entries
            .iter()
            .filter(|entry| !base_keys.contains(&*entry.key))
            .cloned(),
    );
    Node {
        kind: Kind::Mapping(entries),
        place: base.place.clone(),
    }
}

/// Hex of the first 16 bytes of the SHA-256 of the texts.
fn version_of(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
    }
    let digest = hash.finalize();
    let digits = digest
        .iter()
        .take(16)
        .flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
