//! All rules compiled into one immutable plan: each rule routed to the view of its log source, folded to what can
//! still be true there, and laid out in one section for each kind of views and record type.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use event::{Fields, RecordClass, Slot, ViewKind};
use sha2::{Digest as _, Sha256};
use sigma::{Correlation, Diagnostic, Place, Rule, SelectionIdx};
use std::collections::HashMap;

use crate::alert::RuleText;
use crate::correlate::{Correlations, Drafts, ReadRule, USELESS};
use crate::cost::Costs;
use crate::enrich::{RULE_BYTES_MAX, rule_text};
use crate::evaluate::{Scratch, evaluate};
use crate::expression::{Builder, Expression, Predicates, Tests, Unfed, condition};
use crate::lint::{self, first_place, names_of};
use crate::reference::Names;
use crate::route::{route, view_name};
use crate::section::{Folded, Section};
use crate::subject::Subject;
use crate::witness::{Literal, Shape, witness};

/// Number of a rule within its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIdx(pub u32);

/// A rule that loaded and does not run, and why.
#[derive(Clone, Debug)]
pub struct NotRunning {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Whether some view feeds its log source at all.
    pub routed: bool,
    /// Where the reason lies, as far as it has a place of its own; else the start of the rule.
    pub place: Place,
    /// The reason, for people.
    pub reason: String,
    /// What it would give on every event, if that is the reason.
    pub always: Option<bool>,
}

/// What compiling gives.
#[derive(Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// Loaded rules that are not in it.
    pub not_running: Vec<NotRunning>,
    /// Loaded correlations that are not in it, and why.
    pub correlations_not_running: Vec<(Correlation, String)>,
    /// Warnings on rules that are in it, and on those that are not for another reason than their log source.
    pub diagnostics: Vec<Diagnostic>,
}

/// Optimisations, each with a switch. They move speed, never results; tests run with each one off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, not states"
)]
pub struct Options {
    /// Fold `type` for the record types that have sections of their own.
    pub specialise: bool,
    /// Find candidates by witnesses; off: every rule is evaluated on every view of its kind.
    pub prefilter: bool,
    /// Exact values, prefixes and suffixes beside the automaton instead of in it.
    pub split: bool,
    /// Witnesses from regular expressions and inner wildcards.
    pub required_literals: bool,
    /// Keep what a predicate gave on this view.
    pub memo: bool,
    /// Keep what was found in values that may come again.
    pub value_cache: bool,
    /// Read lines of a known shape by comparing them with it.
    pub fast_path: bool,
}

impl Options {
    /// Everything on.
    pub const ALL: Self = Self {
        specialise: true,
        prefilter: true,
        split: true,
        required_literals: true,
        memo: true,
        value_cache: true,
        fast_path: true,
    };

    /// The name of each optimisation.
    pub const NAMES: [&str; 7] = [
        "specialise",
        "prefilter",
        "split",
        "required_literals",
        "memo",
        "value_cache",
        "fast_path",
    ];

    /// The same without the optimisation of this name; `None` if there is none.
    pub fn without(mut self, name: &str) -> Option<Self> {
        let switch = match name {
            "specialise" => &mut self.specialise,
            "prefilter" => &mut self.prefilter,
            "split" => &mut self.split,
            "required_literals" => &mut self.required_literals,
            "memo" => &mut self.memo,
            "value_cache" => &mut self.value_cache,
            "fast_path" => &mut self.fast_path,
            _ => return None,
        };
        *switch = false;
        Some(self)
    }

    /// Every set of options that a test should run: all on, each one off, all off.
    pub fn variants() -> [Self; 9] {
        let without = |options: Self, name| options.without(name).expect("it is of `NAMES`");
        let off = Self::NAMES.into_iter().fold(Self::ALL, without);
        let mut variants = [off; 9];
        variants[0] = Self::ALL;
        for (variant, name) in variants[1..].iter_mut().zip(Self::NAMES) {
            *variant = without(Self::ALL, name);
        }
        variants
    }
}

/// How a rule runs, for people who want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The views that feed it.
    pub view: ViewKind,
    /// The record types it can match; `Other` alone for views that are no records.
    pub classes: Vec<RecordClass>,
    /// Whether a literal tells where it can match; without one it is evaluated on every such view.
    pub witness: bool,
}

/// All running rules, compiled. Immutable and shared between threads.
#[derive(Debug)]
pub struct Plan {
    rules: Vec<Arc<Rule>>,
    facts: Vec<Facts>,
    names: Vec<Names>,
    texts: Vec<Arc<RuleText>>,
    sections: Vec<Section>,
    /// By kind and class: number of the section, if any rule can match there.
    index: [[Option<usize>; CLASSES.len()]; ViewKind::ALL.len()],
    tests: Tests,
    options: Options,
    fields: Arc<Fields>,
    hash: Arc<str>,
    correlations: Arc<Correlations>,
}

const CLASSES: [RecordClass; 4] = [
    RecordClass::Syscall,
    RecordClass::Execve,
    RecordClass::Path,
    RecordClass::Other,
];

/// A section while it is being filled.
#[derive(Debug, Default)]
struct Draft {
    rules: Vec<Folded>,
    predicates: Predicates,
}

impl Plan {
    /// Compiles rules. Never fails as a whole: what cannot run is listed.
    pub fn compile(rules: Vec<Rule>) -> Compiled {
        Self::compile_with(rules, Options::ALL)
    }

    /// [`Plan::compile`] with optimisations switched off, for tests and for hunting down a fault.
    pub fn compile_with(rules: Vec<Rule>, options: Options) -> Compiled {
        Self::compile_all(rules, Vec::new(), options)
    }

    /// [`Plan::compile_with`] with correlations, whose sources are places in `rules`, and which stand each behind those
    /// that it reads.
    pub fn compile_all(
        rules: Vec<Rule>,
        correlations: Vec<Correlation>,
        options: Options,
    ) -> Compiled {
        let drafts = Drafts::new(correlations);
        let count = rules.len();
        let asked = drafts.fields(count);
        let mut probe = Compiler::new(options);
        let mut running = Vec::new();
        let mut not_running = Vec::new();
        let mut diagnostics = Vec::new();
        for (place, rule) in rules.into_iter().enumerate() {
            let kind = match route(&rule.logsource) {
                Ok(kind) => kind,
                Err(reason) => {
                    diagnostics.extend(lint::log_source(&rule));
                    let place = rule.attributes.place.clone();
                    not_running.push(NotRunning {
                        rule: Arc::new(rule),
                        routed: false,
                        place,
                        reason,
                        always: None,
                    });
                    continue;
                }
            };
            let rule = Arc::new(rule);
            match probe.add(&rule, kind, &asked[place]) {
                Ok(warnings) => {
                    diagnostics.extend(warnings);
                    running.push((rule, kind, place));
                }
                Err(Refused {
                    place,
                    reason,
                    always,
                    unfed,
                }) => {
                    let mut why = lint::unfed(&rule, &unfed, kind, false);
                    why.extend(lint::misspelt(&rule, kind));
                    why.extend(lint::impossible(&rule, kind));
                    if why.is_empty() {
                        why.push(lint::idle(&rule, &place, &reason));
                    }
                    diagnostics.extend(why);
                    not_running.push(NotRunning {
                        rule,
                        routed: true,
                        place,
                        reason,
                        always,
                    });
                }
            }
        }
        let kinds: HashMap<usize, ViewKind> = running
            .iter()
            .map(|(_, kind, place)| (*place, *kind))
            .collect();
        diagnostics.extend(drafts.unfed(|place| kinds.get(&place).copied()));
        // What is told of a filter is told once, not of each rule that it reaches.
        let mut told = BTreeSet::new();
        diagnostics.retain(|one| told.insert((one.code, one.place.clone(), one.message.clone())));
        let mut runs = vec![false; count];
        for (_, _, place) in &running {
            runs[*place] = true;
        }
        let reasons = drafts.reasons(|place| runs[place]);
        let read = drafts.read(&reasons, count);
        let (running, useless): (Vec<_>, Vec<_>) = running
            .into_iter()
            .partition(|(rule, _, place)| rule.alerts || read[*place]);
        not_running.extend(useless.into_iter().map(|(rule, _, _)| NotRunning {
            place: rule.attributes.place.clone(),
            rule,
            routed: true,
            reason: USELESS.into(),
            always: None,
        }));
        // What a refused rule reads must not be extracted, nor its literals searched: once more without.
        let mut compiler = probe;
        if not_running.iter().any(|rule| rule.routed) {
            compiler = Compiler::new(options);
            for (rule, kind, place) in &running {
                // It was accepted before, and depends on nothing but the rule.
                compiler.add(rule, *kind, &asked[*place]).ok();
            }
        }
        let places = running.iter().map(|(_, _, place)| *place);
        let numbers: HashMap<usize, RuleIdx> = places.zip((0..).map(RuleIdx)).collect();
        let mut asked = asked;
        let read = running.iter().map(|(rule, _, place)| {
            ReadRule::new(&rule.attributes, std::mem::take(&mut asked[*place]))
        });
        let read = read.collect();
        let number = |place: usize| numbers.get(&place).copied();
        let version = |rule: RuleIdx| version_with_filters(&running[rule.0 as usize].0);
        let (correlations, idle) = drafts.link(reasons, number, version, read);
        let mut plan = compiler.finish();
        plan.hash = hash(&plan.rules, &correlations).into();
        plan.correlations = Arc::new(correlations);
        Compiled {
            plan,
            not_running,
            correlations_not_running: idle,
            diagnostics,
        }
    }

    /// The running rules; [`RuleIdx`] counts them.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// One of the running rules.
    pub fn rule(&self, rule: RuleIdx) -> &Rule {
        &self.rules[rule.0 as usize]
    }

    /// How a rule runs.
    pub fn facts(&self, rule: RuleIdx) -> &Facts {
        &self.facts[rule.0 as usize]
    }

    /// The fields that these rules read.
    pub fn fields(&self) -> Arc<Fields> {
        Arc::clone(&self.fields)
    }

    /// Hash of the ruleset, hex: the same for the same rules in any order of files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The same, shared with all alerts.
    pub(crate) fn shared_hash(&self) -> &Arc<str> {
        &self.hash
    }

    /// The same without correlations: rules that only feed them match in silence. To measure what correlations add.
    #[doc(hidden)]
    #[must_use]
    pub fn without_correlations(self) -> Self {
        Self {
            correlations: Arc::default(),
            ..self
        }
    }

    /// The correlations that run.
    pub fn correlations(&self) -> &Arc<Correlations> {
        &self.correlations
    }

    /// The optimisations it was compiled with.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Bytes held by the pre-filters' automata.
    pub fn automaton_bytes(&self) -> usize {
        self.sections
            .iter()
            .map(|section| section.prefilter.automaton_bytes())
            .sum()
    }

    /// Memory to match with; one per thread.
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch::new(&self.sections)
    }

    /// Counters for its rules; one per thread.
    pub(crate) fn costs(&self) -> Costs {
        Costs::new(self.rules.len())
    }

    /// Calls `found` once for every rule that matches the view; what that costs is noted in `costs`.
    pub(crate) fn matches(
        &self,
        subject: &Subject<'_>,
        scratch: &mut Scratch,
        costs: &mut Costs,
        found: impl FnMut(RuleIdx),
    ) {
        if let Some(index) = self.index[subject.kind as usize][subject.class as usize] {
            evaluate(
                &self.sections[index],
                index,
                subject,
                self.options,
                scratch,
                costs,
                found,
            );
        }
    }

    /// The sections that a rule is in.
    pub(crate) fn sections_of(
        &self,
        rule: RuleIdx,
    ) -> impl Iterator<Item = (RecordClass, &Section)> {
        let Facts { view, classes, .. } = self.facts(rule);
        classes.iter().filter_map(move |class| {
            let section = self.index[*view as usize][*class as usize]?;
            Some((*class, &self.sections[section]))
        })
    }

    /// The slots of a rule's fields.
    pub(crate) fn names(&self, rule: RuleIdx) -> &Names {
        &self.names[rule.0 as usize]
    }

    /// A rule's attributes, as alerts carry them.
    pub(crate) fn text(&self, rule: RuleIdx) -> &Arc<RuleText> {
        &self.texts[rule.0 as usize]
    }

    /// The compiled tests of all rules.
    pub(crate) fn tests(&self) -> &Tests {
        &self.tests
    }
}

/// A rule that cannot run.
struct Refused {
    place: Place,
    reason: String,
    always: Option<bool>,
    /// The fields that nothing feeds, if they are the reason.
    unfed: BTreeSet<Unfed>,
}

/// A plan in the making.
struct Compiler {
    options: Options,
    fields: Fields,
    tests: Tests,
    drafts: HashMap<(ViewKind, RecordClass), Draft>,
    rules: Vec<Arc<Rule>>,
    facts: Vec<Facts>,
    names: Vec<Names>,
    texts: Vec<Arc<RuleText>>,
    lone_types: LoneTypes,
}

/// The record types that alone can make a rule match, without any other member.
#[derive(Debug, Default)]
struct LoneTypes {
    types: BTreeSet<Box<[u8]>>,
    /// Some rule's types cannot be told.
    any: bool,
}

impl LoneTypes {
    /// Takes in the witness of a rule: if it asks for a value of another field, no type alone will do.
    fn note(&mut self, witness: Option<&[Literal]>, record_type: Option<Slot>) {
        let Some(witness) = witness else {
            self.any = true;
            return;
        };
        for literal in witness {
            if Some(literal.slot) == record_type {
                self.any |= literal.shape != Shape::Exact;
                self.types.insert(literal.text.clone());
            }
        }
    }
}

impl Compiler {
    fn new(options: Options) -> Self {
        Self {
            options,
            fields: Fields::default(),
            tests: Tests::default(),
            drafts: HashMap::new(),
            rules: Vec::new(),
            facts: Vec::new(),
            names: Vec::new(),
            texts: Vec::new(),
            lone_types: LoneTypes::default(),
        }
    }

    /// Adds a rule, or says why it cannot run.
    ///
    /// `correlated`: the fields that correlations ask its events for.
    fn add(
        &mut self,
        rule: &Arc<Rule>,
        kind: ViewKind,
        correlated: &[Arc<str>],
    ) -> Result<Vec<Diagnostic>, Refused> {
        let text = rule_text(&rule.attributes);
        // The names of `fields` stand in alerts too.
        let bytes = serde_json::to_string(&(&text, &rule.attributes.fields))
            .map_or(usize::MAX, |text| text.len());
        if bytes > RULE_BYTES_MAX {
            let reason = format!(
                "its describing attributes take {bytes} bytes of every alert, more than {RULE_BYTES_MAX}"
            );
            return Err(Refused {
                place: rule.attributes.place.clone(),
                reason,
                always: None,
                unfed: BTreeSet::new(),
            });
        }
        let mut names = Names::resolve(rule, kind, &mut self.fields);
        for field in correlated {
            names.want(field, kind, &mut self.fields);
        }
        let classes = if kind == ViewKind::Record {
            &CLASSES[..]
        } else {
            &[RecordClass::Other]
        };
        let mut unfed = BTreeSet::new();
        let mut conditions = Vec::new();
        for &class in classes {
            let draft = self.drafts.entry((kind, class)).or_default();
            let mut builder = Builder {
                kind,
                class,
                specialise: self.options.specialise,
                names: &names,
                predicates: &mut draft.predicates,
                tests: &mut self.tests,
                unfed: BTreeSet::new(),
            };
            let selections = builder.selections(rule).map_err(|regex| Refused {
                place: rule.attributes.place.clone(),
                reason: regex.0,
                always: None,
                unfed: BTreeSet::new(),
            })?;
            let filters = (0..).zip(&rule.filters).filter_map(|(number, filter)| {
                let filter = condition(&filter.condition, &selections);
                (filter != Expression::Constant(true)).then_some((number, filter))
            });
            let filters: Vec<(u32, Expression)> = filters.collect();
            conditions.push((
                class,
                condition(&rule.detection.condition, &selections),
                filters,
                selections,
            ));
            unfed.append(&mut builder.unfed);
        }
        for constant in [false, true] {
            if conditions
                .iter()
                .all(|(_, condition, ..)| *condition == Expression::Constant(constant))
            {
                let place = first_place(&unfed)
                    .unwrap_or(&rule.attributes.place)
                    .clone();
                return Err(Refused {
                    place,
                    reason: why_constant(constant, &unfed, kind),
                    always: Some(constant),
                    unfed,
                });
            }
        }
        let index = RuleIdx(u32::try_from(self.rules.len()).expect("fewer than 2^32 rules"));
        let mut facts = Facts {
            view: kind,
            classes: Vec::new(),
            witness: true,
        };
        let mut without_witness = Vec::new();
        let mut selection_has_witness = vec![true; rule.detection.selections.len()];
        for (class, condition, filters, selections) in conditions {
            if condition != Expression::Constant(false) {
                let draft = self.drafts.entry((kind, class)).or_default();
                let (predicates, required) =
                    (&draft.predicates.all, self.options.required_literals);
                let witness = witness(&condition, predicates, required);
                if witness.is_none() {
                    facts.witness = false;
                    without_witness.push(class);
                    for (has, selection) in selection_has_witness.iter_mut().zip(&selections) {
                        *has &= *selection == Expression::Constant(false)
                            || self::witness(selection, predicates, required).is_some();
                    }
                }
                facts.classes.push(class);
                self.fields.want_view(kind);
                if kind == ViewKind::Record {
                    let mut slots = BTreeSet::new();
                    condition.slots_into(&draft.predicates.all, &mut slots);
                    for (_, filter) in &filters {
                        filter.slots_into(&draft.predicates.all, &mut slots);
                    }
                    let correlated = correlated.iter();
                    slots.extend(correlated.filter_map(|field| names.named(field)));
                    slots.extend(
                        rule.attributes
                            .fields
                            .iter()
                            .filter_map(|field| names.named(field)),
                    );
                    self.fields.want_class(class, slots);
                    if class == RecordClass::Other {
                        self.lone_types
                            .note(witness.as_deref(), names.named("type"));
                    }
                }
                draft.rules.push(Folded {
                    rule: index,
                    condition,
                    filters,
                    witness,
                });
            }
        }
        self.rules.push(Arc::clone(rule));
        self.facts.push(facts);
        self.names.push(names);
        self.texts.push(Arc::new(text));
        let costly = (!without_witness.is_empty()).then(|| {
            let has_witness = |selection: SelectionIdx| selection_has_witness[selection.0 as usize];
            lint::no_witness(rule, kind, &without_witness, &has_witness)
        });
        let unfed = lint::unfed(rule, &unfed, kind, true).into_iter();
        let misspelt = lint::misspelt(rule, kind);
        let impossible = lint::impossible(rule, kind);
        let warnings = unfed.chain(misspelt).chain(impossible);
        Ok(warnings.chain(costly).collect())
    }

    fn finish(mut self) -> Plan {
        self.tests.finish(&self.rules);
        if !self.lone_types.any {
            self.fields.want_lone_types(&self.lone_types.types);
        }
        let mut index = [[None; CLASSES.len()]; ViewKind::ALL.len()];
        let mut sections = Vec::new();
        for kind in ViewKind::ALL {
            for class in CLASSES {
                let Some(draft) = self
                    .drafts
                    .remove(&(kind, class))
                    .filter(|draft| !draft.rules.is_empty())
                else {
                    continue;
                };
                let slots = self.fields.len(kind);
                let section = Section::new(draft.rules, draft.predicates, slots, self.options);
                index[kind as usize][class as usize] = Some(sections.len());
                sections.push(section);
            }
        }
        Plan {
            hash: "".into(),
            correlations: Arc::default(),
            rules: self.rules,
            facts: self.facts,
            names: self.names,
            texts: self.texts,
            sections,
            index,
            tests: self.tests,
            options: self.options,
            fields: Arc::new(self.fields),
        }
    }
}

fn why_constant(constant: bool, unfed: &BTreeSet<Unfed>, kind: ViewKind) -> String {
    let outcome = if constant {
        "match everything"
    } else {
        "never match"
    };
    match &names_of(unfed)[..] {
        [] if kind == ViewKind::Record && !constant => {
            "it would never match: no audit record has all the record types (`type`) that it demands, or what it \
             wants of SYSCALL's `a0` to `a3`, which are hex digits, is none"
                .into()
        }
        [] => format!("it would {outcome}, whatever the event"),
        fields => {
            let cure = lint::cure(unfed, kind).map_or_else(String::new, |cure| format!("; {cure}"));
            let (fields, view) = (fields.join(", "), view_name(kind));
            format!("it would {outcome}: nothing feeds {fields} in views of {view}{cure}")
        }
    }
}

/// What a rule is, with all that applies to it.
fn version_with_filters(rule: &Rule) -> String {
    let Rule {
        attributes,
        filters,
        ..
    } = rule;
    let filters = filters.iter().map(|filter| filter.version.as_str());
    let own = [attributes.key(), attributes.version.as_str()];
    own.into_iter().chain(filters).collect::<Vec<_>>().join(" ")
}

/// Length-delimited, so that no two rulesets share a text; sorted, so that order does not matter.
fn hash(rules: &[Arc<Rule>], correlations: &Correlations) -> String {
    let attributes = rules.iter().map(|rule| &rule.attributes);
    let attributes = attributes.chain(correlations.all().map(|one| &one.attributes));
    let mut lines: Vec<(&str, &str)> = attributes
        .map(|attributes| (attributes.key(), attributes.version.as_str()))
        .collect();
    let filters = rules.iter().flat_map(|rule| {
        let of = |filter: &sigma::AppliedFilter| (rule.attributes.key(), filter.version.clone());
        rule.filters.iter().map(of)
    });
    let filters: Vec<(&str, String)> = filters.collect();
    lines.extend(
        filters
            .iter()
            .map(|(key, version)| (*key, version.as_str())),
    );
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for (key, version) in lines {
        for text in [key, version] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
    }
    let mut hex = String::with_capacity(32);
    for byte in &hasher.finalize()[..16] {
        write!(hex, "{byte:02x}").expect("a string takes any text");
    }
    hex
}
