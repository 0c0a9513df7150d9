//! Files to rules: documents one by one, `action` documents, uniqueness, and the order of diagnostics.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::codes::{
    ACTION, DUPLICATE_ID, DUPLICATE_NAME, GLOBAL_CLASH, LIMIT, NOT_A_MAP, NOT_SUPPORTED, SAME_KEY,
};
use crate::context::{Context, Options, string};
use crate::document::{self, find};
use crate::suggest::did_you_mean;
use crate::yaml::{self, Document, Entry, Kind, Node};
use crate::{Diagnostic, Loaded, Place, Rule, SourceFile};

/// What `action` documents may add to the documents of one file, each node counted as 64 bytes and its
/// text.
const MERGED_BYTES_MAX: usize = 16 << 20;

/// Loads rules. Never fails as a whole: a broken document becomes diagnostics and stops no other. Every
/// `expand` placeholder is unresolved; see [`load_with`].
///
/// ```
/// let text = "
/// title: Netcat
/// logsource: {product: linux, category: process_creation}
/// detection:
///   selection: {Image|endswith: /nc}
///   condition: selektion
/// ";
/// let file = sigma::SourceFile { name: "nc.yml".into(), text: text.into() };
/// let loaded = sigma::load(&[file]);
/// assert!(loaded.rules.is_empty());
/// let diagnostic = &loaded.diagnostics[0];
/// assert_eq!((diagnostic.code, diagnostic.place.line), ("R052", 6));
/// assert_eq!(diagnostic.help.as_deref(), Some("did you mean `selection`?"));
/// ```
pub fn load(files: &[SourceFile]) -> Loaded {
    load_with(files, &Options::default())
}

/// Loads rules as [`load`] does, with options.
pub fn load_with(files: &[SourceFile], options: &Options) -> Loaded {
    let mut loader = Loader {
        options,
        loaded: Loaded::default(),
        ids: HashMap::new(),
        names: HashMap::new(),
        keys: HashMap::new(),
    };
    for file in files {
        loader.file(file);
    }
    let mut loaded = loader.loaded;
    loaded
        .diagnostics
        .sort_by(|left, right| left.place.cmp(&right.place).then(left.code.cmp(right.code)));
    // What a repeat inherits is read twice.
    loaded.diagnostics.dedup();
    loaded
}

struct Loader<'a> {
    options: &'a Options,
    loaded: Loaded,
    ids: HashMap<String, Place>,
    names: HashMap<String, Place>,
    /// What rules are known by in alerts.
    keys: HashMap<String, Place>,
}

/// What earlier `action` documents and rules of the same file hand on.
#[derive(Default)]
struct Inherited {
    /// All global documents since the last reset.
    global: Option<Merged>,
    /// The rule before, as merged.
    previous: Option<Merged>,
    /// Whether the file has the word at all; most have not and need no copies.
    may_repeat: bool,
    bytes: usize,
}

#[derive(Clone)]
struct Merged {
    root: Node,
    version: String,
}

impl Loader<'_> {
    fn file(&mut self, file: &SourceFile) {
        let mut inherited = Inherited {
            may_repeat: file.text.contains("repeat"),
            ..Inherited::default()
        };
        for document in yaml::read(file) {
            self.document(file, document, &mut inherited);
        }
    }

    fn document(&mut self, file: &SourceFile, document: Document, inherited: &mut Inherited) {
        let text = file.text.get(document.bytes.clone()).unwrap_or_default();
        let mut context = Context {
            file,
            options: self.options,
            reports: document.diagnostics.into(),
        };
        let mut label = if document.root.is_none() {
            label_in(text)
        } else {
            None
        };
        if let Some(root) = document.root {
            label = label_of(&root);
            let own = Merged {
                root,
                version: version_of(&[text]),
            };
            if let Some(rule) = self.rule(own, inherited, &mut context, &mut label) {
                self.loaded.rules.push(rule);
            }
        }
        let labelled = |mut diagnostic: Diagnostic| {
            diagnostic.rule.clone_from(&label);
            diagnostic
        };
        self.loaded
            .diagnostics
            .extend(context.reports.into_list().into_iter().map(labelled));
    }

    /// The rule of a document, if it is one and is sound.
    fn rule(
        &mut self,
        own: Merged,
        inherited: &mut Inherited,
        context: &mut Context<'_>,
        label: &mut Option<String>,
    ) -> Option<Rule> {
        let Some(entries) = own.root.as_mapping() else {
            let message = format!(
                "a document must be a map of attributes, this is {}",
                own.root.kind_name()
            );
            context.report(NOT_A_MAP.at(&own.root.place, message));
            return None;
        };
        if let Some(kind) = unsupported(entries) {
            document::check_version(entries, context);
            let message = format!("{kind}s are not supported yet");
            context.report(NOT_SUPPORTED.at(&own.root.place, message));
            return None;
        }
        let merged = inherited.apply(own, context)?;
        *label = label_of(&merged.root).or(label.take());
        let rule = document::rule(&merged.root, merged.version, context)?;
        self.check_unique(&merged.root, context);
        if context.has_errors() {
            return None;
        }
        self.warn_of_same_key(&rule, context);
        Some(rule)
    }

    /// Alerts of two rules with one key look like repetitions of each other.
    fn warn_of_same_key(&mut self, rule: &Rule, context: &mut Context<'_>) {
        if let Some(first) = self.keys.get(rule.attributes.key()) {
            let message = format!("another rule is known as `{}`", rule.attributes.key());
            let help = format!(
                "give each an `id`; the first is at {}:{}",
                first.file, first.line
            );
            context.report_with_help(SAME_KEY.at(&rule.attributes.place, message), help);
        } else {
            self.keys.insert(
                rule.attributes.key().to_owned(),
                rule.attributes.place.clone(),
            );
        }
    }

    /// SIGMA: ids and names are unique in the loaded set; the first document keeps them.
    fn check_unique(&mut self, root: &Node, context: &mut Context<'_>) {
        for (attribute, code, seen) in [
            ("id", DUPLICATE_ID, &mut self.ids),
            ("name", DUPLICATE_NAME, &mut self.names),
        ] {
            let Some((node, value)) = root
                .get(attribute)
                .and_then(|node| Some((node, string(node)?)))
            else {
                continue;
            };
            if let Some(first) = seen.get(value) {
                let message = format!("another document has the {attribute} `{value}`");
                let help = format!(
                    "the first is at {}:{}:{}",
                    first.file, first.line, first.column
                );
                context.report_with_help(code.at(&node.place, message), help);
            }
        }
        if context.has_errors() {
            return;
        }
        for (attribute, seen) in [("id", &mut self.ids), ("name", &mut self.names)] {
            if let Some((node, value)) = root
                .get(attribute)
                .and_then(|node| Some((node, string(node)?)))
            {
                seen.insert(value.to_owned(), node.place.clone());
            }
        }
    }
}

/// The kind of a document that is recognised but not evaluated.
fn unsupported(entries: &[Entry]) -> Option<&'static str> {
    if find(entries, "correlation").is_some() {
        return Some("correlation");
    }
    (find(entries, "filter").is_some() && find(entries, "detection").is_none()).then_some("filter")
}

impl Inherited {
    /// The document with what it inherits; `None` if it is no rule or its `action` is wrong.
    ///
    /// SIGMA: `action` is gone from the 2.x text. A `global` document is merged into later rules until a
    /// `reset`; `repeat` is merged over the rule before it.
    fn apply(&mut self, own: Merged, context: &mut Context<'_>) -> Option<Merged> {
        let Some(action) = own.root.get("action").cloned() else {
            return self.with_global(own, context);
        };
        let place = own.root.place.clone();
        let own = Merged {
            root: without_action(own.root),
            version: own.version,
        };
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
            other => {
                let message = match other {
                    Some(word) => format!("there is no action `{word}`"),
                    None => format!("an action must be a string, this is {}", action.kind_name()),
                };
                let known = ["global", "reset", "repeat"];
                let help = other.and_then(|word| did_you_mean(word, known));
                let help = help.unwrap_or_else(|| format!("the actions are {}", known.join(", ")));
                context.report_with_help(ACTION.at(&action.place, message), help);
                None
            }
        }
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

fn without_action(mut root: Node) -> Node {
    if let Kind::Mapping(entries) = &mut root.kind {
        entries.retain(|entry| &*entry.key != "action");
    }
    root
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

/// Id or title.
fn label_of(root: &Node) -> Option<String> {
    let attribute = |key| {
        root.get(key)
            .and_then(string)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    attribute("id").or_else(|| attribute("title"))
}

/// Id or title of a text that is not YAML.
fn label_in(text: &str) -> Option<String> {
    let attribute = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key))?.trim();
        let value = value.trim_matches(['"', '\'']);
        let is_word = !value.is_empty() && !value.contains(char::is_control);
        is_word.then(|| value.to_owned())
    };
    attribute("id:").or_else(|| attribute("title:"))
}
