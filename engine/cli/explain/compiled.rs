//! A rule as compiled, for people and for programs: its selections with all modifiers applied, its condition with all
//! selectors spread out, its filters, its fields and where they come from, and what the plan looks for to find it.

use std::collections::BTreeSet;

use console::printing::{Paint, escaped, shortened, table};
use detect::{Plan, RuleIdx, Sought, SoughtLiteral, Store, described, view_name};
use event::{KnownField, RecordClass, ViewKind, known_fields};
use serde_json::{Value, json};
use sigma::{
    Condition, Field, Item, Matcher, Place, Quantifier, Rule, Search, Selection, SourceFile,
};

use crate::config::count;

/// Longest value shown, in characters.
const VALUE: usize = 200;
/// Most values of an item, and most literals, that are shown; `-v` shows all.
const SHOWN_MAX: usize = 10;

/// The files that rules stand in: a field is shown as its author wrote it.
pub(super) struct Source<'a>(pub(super) &'a [SourceFile]);

impl Source<'_> {
    /// `Image|endswith`, as it stands in the file; for keywords nothing.
    fn written(&self, item: &Item) -> Option<String> {
        let Field::Named(name) = &item.field else {
            return None;
        };
        let Place { file, bytes, .. } = &item.place;
        let file = self.0.iter().find(|known| known.name == *file);
        let text = file.and_then(|file| file.text.get(bytes.0 as usize..bytes.1 as usize));
        let key = text.map(|text| text.trim_matches(['\'', '"']));
        let key = key.filter(|key| key.starts_with(&**name));
        Some(key.unwrap_or(name).to_owned())
    }

    pub(super) fn text(
        &self,
        rule: &Rule,
        plan: Option<(&Plan, RuleIdx)>,
        verbose: bool,
        paint: Paint,
    ) -> String {
        let shown_max = if verbose { usize::MAX } else { SHOWN_MAX };
        let mut text = String::new();
        if let Some((plan, index)) = plan {
            let facts = plan.facts(index);
            text += &format!("  runs on {}\n", view_name(facts.view));
            if !rule.alerts {
                text += "  alerts through correlations alone\n";
            }
        }
        let names = Names(&rule.detection.selections);
        let condition = names.condition(&rule.detection.condition, true);
        text += &format!("\n  {}: {}\n", paint.bold("condition"), escaped(&condition));
        for filter in &rule.filters {
            let condition = names.condition(&filter.condition, true);
            let (key, condition) = (escaped(&filter.key), escaped(&condition));
            text += &format!("  and filter {key}: {condition}\n");
        }
        for selection in &rule.detection.selections {
            let (name, line) = (escaped(&selection.name), selection.place.line);
            text += &format!("\n  {} (line {line})\n", paint.bold(&name));
            text += &self.search(&selection.search, "    ", shown_max);
        }
        let case = case_of(rule);
        text += &format!("\n  {}: {case}\n", paint.bold("case"));
        if let Some((plan, index)) = plan {
            let view = view_name(plan.facts(index).view);
            text += &fields_text(rule, plan.facts(index).view, paint);
            text += &sought_text(&plan.sought(index), view, shown_max, paint);
        }
        text
    }

    fn search(&self, search: &Search, indent: &str, shown_max: usize) -> String {
        match search {
            Search::Map(items) => {
                let items = items.iter().map(|item| self.item(item, indent, shown_max));
                items.collect()
            }
            Search::Any(searches) => {
                let mut text = format!("{indent}any of {}\n", count(searches.len(), "map"));
                for search in searches {
                    let inner = self.search(search, "", shown_max);
                    for (number, line) in inner.lines().enumerate() {
                        let mark = if number == 0 { "-" } else { " " };
                        text += &format!("{indent}  {mark} {line}\n");
                    }
                }
                text
            }
        }
    }

    /// One line, and one for each value where there are several.
    fn item(&self, item: &Item, indent: &str, shown_max: usize) -> String {
        let key = self.written(item).unwrap_or_else(|| "any text".into());
        let key = escaped(&key);
        let not = if item.negated { "not " } else { "" };
        let shown = |matcher: &Matcher| shortened(&escaped(&described(matcher)), VALUE);
        if let [matcher] = &item.matchers[..]
            && !matches!(matcher, Matcher::AnyOf(_))
        {
            return format!("{indent}{key}: {not}{}\n", shown(matcher));
        }
        let word = match item.quantifier {
            Quantifier::Any => "any",
            Quantifier::All => "all",
        };
        let mut text = format!("{indent}{key}: {not}{word} of {}\n", item.matchers.len());
        for matcher in item.matchers.iter().take(shown_max) {
            match matcher {
                Matcher::AnyOf(variants) => {
                    text += &format!("{indent}  any of {}\n", variants.len());
                    for variant in variants.iter().take(shown_max) {
                        text += &format!("{indent}    {}\n", shown(variant));
                    }
                    text += &more(variants.len(), shown_max, &format!("{indent}    "));
                }
                matcher => text += &format!("{indent}  {}\n", shown(matcher)),
            }
        }
        text + &more(item.matchers.len(), shown_max, &format!("{indent}  "))
    }

    pub(super) fn json(&self, rule: &Rule, plan: Option<(&Plan, RuleIdx)>) -> Value {
        let names = Names(&rule.detection.selections);
        let selections = rule.detection.selections.iter().map(|selection| {
            json!({
                "name": &*selection.name, "line": selection.place.line,
                "search": self.search_json(&selection.search),
            })
        });
        let mut entry = json!({
            "condition": names.json(&rule.detection.condition),
            "filters": Self::filters(rule),
            "selections": selections.collect::<Vec<_>>(),
        });
        if let Some((plan, index)) = plan {
            let facts = plan.facts(index);
            let fields = fields_of(rule).into_iter();
            let fields = fields.map(|name| field_json(facts.view, name));
            let sought = plan.sought(index);
            let plan = json!({
                "view": view_name(facts.view),
                "alerts": rule.alerts,
                "witness": facts.witness,
                "fields": fields.collect::<Vec<_>>(),
                "found": sought.iter().map(sought_json).collect::<Vec<_>>(),
            });
            super::merge(&mut entry, plan);
        }
        entry
    }

    /// Those that apply to a rule.
    pub(super) fn filters(rule: &Rule) -> Vec<Value> {
        let names = Names(&rule.detection.selections);
        let filters = rule.filters.iter().map(
            |filter| json!({ "filter": &*filter.key, "condition": names.json(&filter.condition) }),
        );
        filters.collect()
    }

    fn search_json(&self, search: &Search) -> Value {
        match search {
            Search::Map(items) => {
                let items = items.iter().map(|item| self.item_json(item));
                json!({ "all": items.collect::<Vec<_>>() })
            }
            Search::Any(searches) => {
                let searches = searches.iter().map(|search| self.search_json(search));
                json!({ "any": searches.collect::<Vec<_>>() })
            }
        }
    }

    fn item_json(&self, item: &Item) -> Value {
        let matcher = |matcher: &Matcher| match matcher {
            Matcher::AnyOf(variants) => json!({
                "matcher": null,
                "variants": variants.iter().map(described).collect::<Vec<_>>(),
            }),
            matcher => json!({ "matcher": described(matcher), "variants": [] }),
        };
        json!({
            "field": match &item.field {
                Field::Named(name) => Some(&**name),
                Field::Keywords => None,
            },
            "written": self.written(item),
            "line": item.place.line,
            "negated": item.negated,
            "all": item.quantifier == Quantifier::All,
            "matchers": item.matchers.iter().map(matcher).collect::<Vec<_>>(),
        })
    }
}

fn indented(text: &str, indent: &str) -> String {
    let lines = text.lines();
    lines.fold(String::new(), |text, line| text + indent + line + "\n")
}

/// How many are not shown.
fn more(len: usize, shown_max: usize, indent: &str) -> String {
    match len.saturating_sub(shown_max) {
        0 => String::new(),
        more => format!("{indent}and {more} more\n"),
    }
}

/// Names in a condition.
struct Names<'a>(&'a [Selection]);

impl Names<'_> {
    fn of(&self, condition: &Condition) -> Option<&str> {
        match condition {
            Condition::Selection(index) => Some(&self.0[index.0 as usize].name),
            _ => None,
        }
    }

    /// As Sigma writes it; within another condition with brackets where they are needed.
    fn condition(&self, condition: &Condition, outer: bool) -> String {
        let join = |parts: &[Condition], word: &str| {
            let parts = parts.iter().map(|part| self.condition(part, false));
            let joined = parts.collect::<Vec<_>>().join(word);
            if outer { joined } else { format!("({joined})") }
        };
        match condition {
            Condition::Selection(_) => self.of(condition).unwrap_or_default().to_owned(),
            Condition::And(parts) => join(parts, " and "),
            Condition::Or(parts) => join(parts, " or "),
            Condition::Not(part) => format!("not {}", self.condition(part, false)),
        }
    }

    fn json(&self, condition: &Condition) -> Value {
        let all = |parts: &[Condition]| -> Vec<Value> {
            parts.iter().map(|part| self.json(part)).collect()
        };
        match condition {
            Condition::Selection(_) => json!({ "selection": self.of(condition) }),
            Condition::And(parts) => json!({ "and": all(parts) }),
            Condition::Or(parts) => json!({ "or": all(parts) }),
            Condition::Not(part) => json!({ "not": self.json(part) }),
        }
    }
}

/// What of the rule depends on the case of letters.
fn case_of(rule: &Rule) -> String {
    let mut kinds = (false, false, false);
    let mut note = |matcher: &Matcher| match matcher {
        Matcher::Text(pattern) if pattern.cased => kinds.0 = true,
        Matcher::Regex(regex) if !regex.ignore_case => kinds.1 = true,
        Matcher::Regex(_) => kinds.2 = true,
        _ => {}
    };
    for item in items_of(rule) {
        for matcher in &item.matchers {
            match matcher {
                Matcher::AnyOf(variants) => variants.iter().for_each(&mut note),
                matcher => note(matcher),
            }
        }
    }
    let mut text = "letters match in either case".to_owned();
    let exact = [
        (kinds.0, "`cased` texts"),
        (kinds.1, "regular expressions without `i`"),
    ];
    let exact: Vec<&str> = exact
        .iter()
        .filter(|kind| kind.0)
        .map(|kind| kind.1)
        .collect();
    if !exact.is_empty() {
        text += &format!(", but as written in {}", exact.join(" and "));
    }
    text
}

fn items_of(rule: &Rule) -> Vec<&Item> {
    fn items(search: &Search) -> Vec<&Item> {
        match search {
            Search::Map(items) => items.iter().collect(),
            Search::Any(searches) => searches.iter().flat_map(items).collect(),
        }
    }
    let selections = rule.detection.selections.iter();
    selections
        .flat_map(|selection| items(&selection.search))
        .collect()
}

/// The fields that the rule's selections read, in the order of their names.
fn fields_of(rule: &Rule) -> BTreeSet<&str> {
    let mut fields = BTreeSet::new();
    for item in items_of(rule) {
        if let Field::Named(name) = &item.field {
            fields.insert(&**name);
        }
        for matcher in &item.matchers {
            if let Matcher::FieldRef { field, .. } = matcher {
                fields.insert(field);
            }
        }
    }
    fields
}

/// Where a field comes from and what is known of it.
fn origin(view: ViewKind, name: &str) -> Option<(String, &'static str)> {
    let known = known_fields(view).into_iter();
    let known: Vec<KnownField> = known.filter(|field| field.name == name).collect();
    if known.is_empty() {
        let any_member = matches!(view, ViewKind::Record | ViewKind::Native);
        return any_member.then(|| (format!("{name} of the line, if it has one"), ""));
    }
    let note = known.iter().find(|field| !field.note.is_empty());
    let mut sources: Vec<&str> = known.iter().map(|field| &*field.source).collect();
    sources.dedup();
    Some((sources.join(", "), note.map_or("", |field| field.note)))
}

fn fields_text(rule: &Rule, view: ViewKind, paint: Paint) -> String {
    let row = |name: &str| {
        let (from, note) = origin(view, name).unwrap_or_default();
        let from = if from.is_empty() {
            "nothing feeds it: always missing".into()
        } else {
            from
        };
        vec![name.to_owned(), from, note.to_owned()]
    };
    let rows: Vec<Vec<String>> = fields_of(rule).into_iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = indented(&table(&["field", "from", "note"], &rows), "    ");
    format!("\n  {}\n{table}", paint.bold("fields"))
}

fn field_json(view: ViewKind, name: &str) -> Value {
    let origin = origin(view, name);
    json!({
        "field": name,
        "fed": origin.is_some(),
        "from": origin.as_ref().map(|(from, _)| from),
        "note": origin.map(|(_, note)| note),
    })
}

/// The record type as audit names it; `None` where there is none, or many.
fn record_name(class: RecordClass) -> &'static str {
    match class {
        RecordClass::Syscall => "SYSCALL",
        RecordClass::Execve => "EXECVE",
        RecordClass::Path => "PATH",
        RecordClass::Other => "other",
    }
}

fn store_name(store: Store) -> &'static str {
    match store {
        Store::Hash => "hash of values",
        Store::Prefixes => "prefixes by two bytes",
        Store::Suffixes => "suffixes by two bytes",
        Store::Automaton => "automaton of the field",
    }
}

fn sought_text(sought: &[Sought], view: &str, shown_max: usize, paint: Paint) -> String {
    let mut text = format!("\n  {}\n", paint.bold("how it is found"));
    for Sought {
        views,
        literals,
        tests,
        ..
    } in sought
    {
        let asked = [
            (tests.others, "comparison"),
            (tests.wildcards, "wildcard pattern"),
            (tests.regexes, "regular expression"),
        ];
        let asked: Vec<String> = asked
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| count(*number, what))
            .collect();
        let asked = if asked.is_empty() {
            "nothing more".to_owned()
        } else {
            asked.join(", ")
        };
        text += &format!("    in views of {view}, {views}:\n");
        let Some(literals) = literals else {
            text += &format!(
                "      every one is verified: no literal must stand in it; asks {asked}\n"
            );
            continue;
        };
        let which = match literals.len() {
            1 => "this literal".to_owned(),
            len => format!("one of these {len} literals"),
        };
        text += &format!("      those with {which} are verified; asks {asked}\n");
        let row = |literal: &SoughtLiteral| {
            let field = literal.field.as_deref().unwrap_or("any text");
            let what = shortened(&format!("{} '{}'", literal.operator, literal.text), VALUE);
            let store = literal.store.map_or("", store_name);
            vec![field.to_owned(), what, store.to_owned()]
        };
        let rows: Vec<Vec<String>> = literals.iter().take(shown_max).map(row).collect();
        let table = table(&["field", "literal", "found in"], &rows);
        text += &indented(&table, "        ");
        text += &more(literals.len(), shown_max, "        ");
    }
    text
}

fn sought_json(sought: &Sought) -> Value {
    let literal = |literal: &SoughtLiteral| {
        json!({
            "field": literal.field.as_deref(), "operator": literal.operator, "text": literal.text,
            "store": literal.store.map(|store| match store {
                Store::Hash => "hash",
                Store::Prefixes => "prefixes",
                Store::Suffixes => "suffixes",
                Store::Automaton => "automaton",
            }),
        })
    };
    let literals = sought.literals.as_ref();
    json!({
        "record": record_name(sought.class),
        "views": sought.views,
        "cost": if literals.is_some() { "literal" } else { "every_view" },
        "literals": literals.map(|all| all.iter().map(literal).collect::<Vec<_>>()),
        "tests": {
            "others": sought.tests.others, "wildcards": sought.tests.wildcards, "regexes": sought.tests.regexes,
        },
    })
}
