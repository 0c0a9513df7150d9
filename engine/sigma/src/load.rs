//! Files to rules, correlations and filters: documents one by one, uniqueness, and the order of diagnostics. What
//! documents ask of each other is the matter of `link`.

use std::collections::HashMap;

use crate::action::{Inherited, Merged};
use crate::codes::{DUPLICATE_ID, DUPLICATE_NAME, NOT_A_MAP, SAME_KEY};
use crate::context::{Context, Options, string};
use crate::correlation::read as correlation;
use crate::document::{self, DocumentKind};
use crate::filter::read as filter;
use crate::link::{self, Body, Document, Linked};
use crate::references::Index;
use crate::yaml::{self, Node};
use crate::{Attributes, Diagnostic, Loaded, Place, SourceFile};

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
        documents: Vec::new(),
        index: Index::default(),
        places: HashMap::new(),
        keys: HashMap::new(),
    };
    for file in files {
        loader.file(file);
    }
    loader.finish()
}

struct Loader<'a> {
    options: &'a Options,
    loaded: Loaded,
    /// All documents of all files.
    documents: Vec<Document<'a>>,
    index: Index,
    /// Where ids and names stand, by attribute and value.
    places: HashMap<(&'static str, String), Place>,
    /// The first document of each key, filters apart: alerts are of rules and correlations, what is removed is told by
    /// filter.
    keys: HashMap<(bool, String), (&'static str, Place)>,
}

impl<'a> Loader<'a> {
    fn file(&mut self, file: &'a SourceFile) {
        let mut inherited = Inherited::new(&file.text);
        for document in yaml::read(file) {
            self.document(file, document, &mut inherited);
        }
    }

    fn document(
        &mut self,
        file: &'a SourceFile,
        document: yaml::Document,
        inherited: &mut Inherited,
    ) {
        let text = file.text.get(document.bytes.clone()).unwrap_or_default();
        let mut context = Context {
            file,
            noun: DocumentKind::Rule.noun(),
            options: self.options,
            reports: document.diagnostics.into(),
        };
        let at = self.documents.len();
        let (label, body) = if let Some(root) = document.root {
            let mut words = Words::of(&root);
            let own = Merged::alone(root, text);
            let body = self.read(own, inherited, &mut context, &mut words);
            self.note(at, &words, &context);
            (words.label(), body)
        } else {
            let words = Words::in_text(text);
            self.note(at, &words, &context);
            (words.label(), Body::None)
        };
        self.documents.push(Document {
            context,
            label,
            body,
        });
    }

    /// Makes a document known to those that refer to it.
    fn note(&mut self, at: usize, words: &Words, context: &Context<'_>) {
        if context.has_errors() {
            self.index
                .add_rejected(at, [words.id.as_deref(), words.name.as_deref()]);
        } else {
            self.index
                .add(at, words.id.as_deref(), words.name.as_deref());
        }
    }

    /// What a document is; `words` become those that it has with what it inherits.
    fn read(
        &mut self,
        own: Merged,
        inherited: &mut Inherited,
        context: &mut Context<'a>,
        words: &mut Words,
    ) -> Body {
        let Some(entries) = own.root.as_mapping() else {
            let message = format!(
                "a document must be a map of attributes, this is {}",
                own.root.kind_name()
            );
            context.report(NOT_A_MAP.at(&own.root.place, message));
            return Body::None;
        };
        let Some(kind) = document::kind(entries, context) else {
            return Body::None;
        };
        context.noun = kind.noun();
        let merged = match kind {
            DocumentKind::Rule => inherited.rule(own, context),
            DocumentKind::Correlation | DocumentKind::Filter => inherited.other(own, context),
        };
        let Some(Merged { root, version }) = merged else {
            // An `action` is known by no name.
            *words = Words {
                id: None,
                name: None,
                title: words.label(),
            };
            return Body::None;
        };
        words.inherit(&root);
        match kind {
            DocumentKind::Rule => {
                let read = document::rule(&root, version, context);
                self.check_unique(&root, context);
                let Some(read) = read.filter(|_| !context.has_errors()) else {
                    return Body::None;
                };
                self.warn_of_same_key(kind, &read.rule.attributes, context);
                self.loaded.rules.push(read.rule);
                Body::Rule(Linked {
                    at: self.loaded.rules.len() - 1,
                    generate: read.generate,
                    major: read.major,
                })
            }
            DocumentKind::Correlation => {
                let draft = correlation::read(&root, version, context);
                self.check_unique(&root, context);
                let attributes = draft.as_ref().and_then(|draft| draft.attributes.as_ref());
                if let Some(attributes) = attributes.filter(|_| !context.has_errors()) {
                    self.warn_of_same_key(kind, attributes, context);
                }
                draft.map_or(Body::None, |draft| Body::Correlation(Box::new(draft)))
            }
            DocumentKind::Filter => {
                let draft = filter::read(&root, version, context);
                self.check_unique(&root, context);
                let Some(draft) = draft.filter(|_| !context.has_errors()) else {
                    return Body::None;
                };
                self.warn_of_same_key(kind, &draft.attributes, context);
                Body::Filter(Box::new(draft))
            }
        }
    }

    /// Alerts of two documents with one key look like repetitions of each other.
    fn warn_of_same_key(
        &mut self,
        kind: DocumentKind,
        attributes: &Attributes,
        context: &mut Context<'_>,
    ) {
        let key = (kind == DocumentKind::Filter, attributes.key().to_owned());
        if let Some((noun, first)) = self.keys.get(&key) {
            let message = format!("a {noun} before it is known as `{}` too", key.1);
            let help = format!(
                "give each an `id`; the first is at {}:{}",
                first.file, first.line
            );
            context.report_with_help(SAME_KEY.at(&attributes.place, message), help);
        } else {
            self.keys
                .insert(key, (context.noun, attributes.place.clone()));
        }
    }

    /// SIGMA: ids and names are unique in the loaded set; the first document keeps them.
    fn check_unique(&mut self, root: &Node, context: &mut Context<'_>) {
        let given = [("id", DUPLICATE_ID), ("name", DUPLICATE_NAME)];
        let given = given.into_iter().filter_map(|(attribute, code)| {
            let node = root.get(attribute)?;
            Some((code, &node.place, (attribute, string(node)?.to_owned())))
        });
        let given: Vec<_> = given.collect();
        for (code, place, word) in &given {
            if let Some(first) = self.places.get(word) {
                let message = format!("another document has the {} `{}`", word.0, word.1);
                let help = format!(
                    "the first is at {}:{}:{}",
                    first.file, first.line, first.column
                );
                context.report_with_help(code.at(place, message), help);
            }
        }
        if !context.has_errors() {
            let noted = given
                .into_iter()
                .map(|(_, place, word)| (word, place.clone()));
            self.places.extend(noted);
        }
    }

    fn finish(mut self) -> Loaded {
        link::link(&mut self.documents, &mut self.index, &mut self.loaded);
        let mut loaded = self.loaded;
        for Document { context, label, .. } in self.documents {
            let labelled = |mut diagnostic: Diagnostic| {
                diagnostic.rule.clone_from(&label);
                diagnostic
            };
            let reports = context.reports.into_list();
            loaded.diagnostics.extend(reports.into_iter().map(labelled));
        }
        loaded
            .diagnostics
            .sort_by(|left, right| left.place.cmp(&right.place).then(left.code.cmp(right.code)));
        // What a repeat inherits is read twice.
        loaded.diagnostics.dedup();
        loaded
    }
}

/// What a document is known by.
#[derive(Default)]
struct Words {
    id: Option<String>,
    name: Option<String>,
    title: Option<String>,
}

impl Words {
    fn of(root: &Node) -> Self {
        let attribute = |key| {
            let text = root.get(key).and_then(string);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Self {
            id: attribute("id"),
            name: attribute("name"),
            title: attribute("title"),
        }
    }

    /// Of a text that is not YAML.
    fn in_text(text: &str) -> Self {
        let attribute = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key))?.trim();
            let value = value.trim_matches(['"', '\'']);
            let is_word = !value.is_empty() && !value.contains(char::is_control);
            is_word.then(|| value.to_owned())
        };
        Self {
            id: attribute("id:"),
            name: attribute("name:"),
            title: attribute("title:"),
        }
    }

    /// Id or title.
    fn label(&self) -> Option<String> {
        self.id.clone().or_else(|| self.title.clone())
    }

    /// The words of a document with what it inherits.
    fn inherit(&mut self, root: &Node) {
        let words = Self::of(root);
        if words.id.is_some() || words.title.is_some() {
            *self = words;
        } else {
            self.name = words.name;
        }
    }
}
