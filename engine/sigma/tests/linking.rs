//! What documents are to each other: correlations with what they read, filters in the rules that they reach.
#![cfg(test)]

use sigma::{
    Bound, Condition, Correlation, CorrelationCondition, CorrelationKind, Level, Loaded, Rule,
    Seen, Severity, SourceFile, SourceTarget, load,
};

/// One file for each text.
fn load_files(texts: &[&str]) -> Loaded {
    let files: Vec<SourceFile> = texts
        .iter()
        .zip('a'..)
        .map(|(text, name)| SourceFile {
            name: format!("{name}.yml").into(),
            text: (*text).into(),
        })
        .collect();
    load(&files)
}

/// What loads without a word.
fn load_sound(texts: &[&str]) -> Loaded {
    let loaded = load_files(texts);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    loaded
}

fn rule(attributes: &str) -> String {
    format!(
        "title: T\n{attributes}\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n---\n"
    )
}

/// The rules `one`, `two` and `three`.
fn rules() -> String {
    ["one", "two", "three"]
        .map(|name| rule(&format!("name: {name}")))
        .concat()
}

/// A correlation of the rules `one`, `two` and `three` with these lines.
fn correlation(lines: &str) -> Correlation {
    let lines = lines.replace('\n', "\n  ");
    let text = format!("title: C\ncorrelation:\n  {lines}\n");
    let mut loaded = load_sound(&[&text, &rules()]);
    assert_eq!(loaded.correlations.len(), 1, "{lines}");
    loaded.correlations.remove(0)
}

fn titles(loaded: &Loaded) -> Vec<&str> {
    let correlations = loaded.correlations.iter();
    correlations
        .map(|correlation| &*correlation.attributes.title)
        .collect()
}

fn targets(correlation: &Correlation) -> Vec<SourceTarget> {
    let sources = correlation.sources.iter();
    sources.map(|source| source.target).collect()
}

#[test]
fn rules_are_named_by_id_or_name_in_any_file_before_or_behind() {
    let before = "title: C\ncorrelation: {type: temporal, rules: [by-id, by-name, other-id], timespan: 1m}\n";
    let one = rule("id: other-id\nname: by-name-too");
    let two = format!("{}{}", rule("name: by-name"), rule("id: by-id\nname: x"));
    let loaded = load_sound(&[before, &one, &two]);
    let expected = [2, 1, 0].map(SourceTarget::Rule);
    assert_eq!(targets(&loaded.correlations[0]), expected);
    let loaded = load_sound(&[&two, &one, before]);
    let expected = [1, 0, 2].map(SourceTarget::Rule);
    assert_eq!(targets(&loaded.correlations[0]), expected);
    let names = loaded.correlations[0].sources.iter();
    let names: Vec<&str> = names.map(|source| &*source.name).collect();
    assert_eq!(names, ["by-id", "by-name", "other-id"], "as written");
}

#[test]
fn an_id_goes_before_a_name_that_is_spelt_alike() {
    let text = "title: C\ncorrelation: {type: temporal, rules: x, timespan: 1m}\n---\n";
    let loaded = load_sound(&[text, &rule("id: z\nname: x"), &rule("id: x\nname: y")]);
    assert_eq!(targets(&loaded.correlations[0]), [SourceTarget::Rule(1)]);
}

#[test]
fn correlations_stand_behind_those_that_they_read() {
    let correlation = |title: &str, rules: &str| {
        format!(
            "title: {title}\nname: {title}\ncorrelation: {{type: temporal, rules: [{rules}], timespan: 1m}}\n---\n"
        )
    };
    let first = [
        correlation("outer", "middle, inner, one"),
        correlation("alone", "two"),
    ]
    .concat();
    let second = [
        correlation("middle", "inner, two"),
        correlation("inner", "one"),
    ]
    .concat();
    let loaded = load_sound(&[&first, &second, &rules()]);
    assert_eq!(titles(&loaded), ["alone", "inner", "middle", "outer"]);
    let (rule, correlation) = (SourceTarget::Rule, SourceTarget::Correlation);
    assert_eq!(
        targets(&loaded.correlations[3]),
        [correlation(2), correlation(1), rule(0)]
    );
    assert_eq!(targets(&loaded.correlations[2]), [correlation(1), rule(1)]);
}

#[test]
fn only_the_outermost_correlation_alerts_but_what_says_that_it_does() {
    let text = "title: outer
correlation: {type: temporal, rules: [inner, loud-inner], timespan: 1m}
---
title: inner
name: inner
correlation: {type: temporal, rules: [silent, loud], timespan: 1m}
---
title: loud-inner
name: loud-inner
correlation: {type: temporal, rules: [silent], timespan: 1m, generate: true}
---
";
    let rules = [
        rule("name: silent"),
        rule("name: loud\ngenerate: true"),
        rule("name: alone"),
        rule("name: no-matter\ngenerate: false"),
    ]
    .concat();
    let loaded = load_sound(&[text, &rules]);
    let rules: Vec<bool> = loaded.rules.iter().map(|rule| rule.alerts).collect();
    assert_eq!(rules, [false, true, true, true]);
    let correlations = loaded.correlations.iter();
    let correlations: Vec<(&str, bool)> = correlations
        .map(|correlation| (&*correlation.attributes.title, correlation.alerts))
        .collect();
    assert_eq!(
        correlations,
        [("inner", false), ("loud-inner", true), ("outer", true)]
    );
    let outside = "generate: true\ntitle: C\nname: c\ncorrelation: {type: temporal, rules: one, timespan: 1m}\n---\ntitle: D\ncorrelation: {type: temporal, rules: c, timespan: 1m}\n---\n";
    let loaded = load_sound(&[outside, &self::rules()]);
    assert!(
        loaded
            .correlations
            .iter()
            .all(|correlation| correlation.alerts)
    );
}

#[test]
fn a_correlation_that_is_rejected_silences_what_a_sound_one_would() {
    let alerts = |text: &str| {
        let loaded = load_files(&[text, &rules(), &rule("name: loud\ngenerate: true")]);
        assert!(!loaded.diagnostics.is_empty());
        let rules = loaded.rules.iter().map(|rule| rule.alerts);
        let correlations = loaded.correlations.iter().map(|one| one.alerts);
        rules.chain(correlations).collect::<Vec<_>>()
    };
    let unknown =
        "title: C\ncorrelation: {type: temporal, rules: [one, loud, nothing], timespan: 1m}\n---\n";
    assert_eq!(alerts(unknown), [false, true, true, true]);
    let no_timespan = "title: C\ncorrelation: {type: temporal, rules: [two]}\n---\n";
    assert_eq!(alerts(no_timespan), [true, false, true, true]);
    let circle =
        "title: C\nname: c\ncorrelation: {type: temporal, rules: [c, three], timespan: 1m}\n---\n";
    assert_eq!(alerts(circle), [true, true, false, true]);
    // An inner one that is sound.
    let outer = "title: C\nname: c\ncorrelation: {type: temporal, rules: [one, two], timespan: 1m}\n---\n\
                 title: D\ncorrelation: {type: temporal, rules: [c, nothing], timespan: 1m}\n---\n";
    assert_eq!(alerts(outer), [false, false, true, true, false]);
}

#[test]
fn every_type_has_its_names() {
    use CorrelationKind::{
        EventCount, Temporal, TemporalOrdered, ValueAvg, ValueCount, ValuePercentile, ValueSum,
    };
    let cases = [
        ("event_count", "", EventCount),
        ("value_count", ", field: x", ValueCount(vec!["x".into()])),
        (
            "value_count",
            ", field: [x, y.z]",
            ValueCount(vec!["x".into(), "y.z".into()]),
        ),
        ("value_sum", ", field: x", ValueSum("x".into())),
        ("value_avg", ", field: [x]", ValueAvg("x".into())),
        (
            "value_percentile",
            ", field: x",
            ValuePercentile("x".into(), 50),
        ),
        (
            "value_percentile",
            ", field: x, percentile: 95",
            ValuePercentile("x".into(), 95),
        ),
        (
            "value_median",
            ", field: x",
            ValuePercentile("x".into(), 50),
        ),
        ("temporal", "", Temporal),
        ("temporal_ordered", "", TemporalOrdered),
        ("temporal_extended", "", Temporal),
        ("temporal_ordered_extended", "", TemporalOrdered),
    ];
    for (name, more, kind) in cases {
        let lines = format!("type: {name}\nrules: one\ntimespan: 1m\ncondition: {{gte: 1{more}}}");
        assert_eq!(correlation(&lines).kind, kind, "{lines}");
    }
}

#[test]
fn a_condition_is_one_bound_or_several() {
    let bounds = |condition: &str| {
        let lines = format!("type: event_count\nrules: one\ntimespan: 1m\ncondition: {condition}");
        let CorrelationCondition::Bounds(bounds) = correlation(&lines).condition else {
            panic!("{condition}");
        };
        let show = |Bound { operator, number }: &Bound| format!("{operator:?} {number}");
        bounds.iter().map(show).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(bounds("{gte: 10}"), "Gte 10");
    assert_eq!(bounds("{gt: 2, lte: 5.50}"), "Gt 2, Lte 5.5");
    assert_eq!(
        bounds("{eq: -1, neq: 1e3, lt: 007}"),
        "Eq -1, Neq 1000, Lt 7"
    );
    let lines = "type: temporal\nrules: [one, two]\ntimespan: 1m\ncondition: {gte: 1}";
    let condition = correlation(lines).condition;
    assert!(matches!(condition, CorrelationCondition::Bounds(_)));
}

/// A boolean condition over the sources' names, fully bracketed.
fn show(seen: &Seen, correlation: &Correlation) -> String {
    let join = |terms: &[Seen], joint: &str| {
        let terms: Vec<String> = terms.iter().map(|term| show(term, correlation)).collect();
        format!("({})", terms.join(joint))
    };
    match seen {
        Seen::Source(at) => correlation.sources[*at].name.as_ref().to_owned(),
        Seen::And(terms) => join(terms, " and "),
        Seen::Or(terms) => join(terms, " or "),
        Seen::Not(term) => format!("not {}", show(term, correlation)),
    }
}

fn seen(lines: &str) -> String {
    let correlation = correlation(&format!("timespan: 1m\n{lines}"));
    let CorrelationCondition::Seen(seen) = &correlation.condition else {
        panic!("{lines}");
    };
    show(seen, &correlation)
}

#[test]
fn temporal_correlations_may_say_which_rules_are_seen() {
    assert_eq!(seen("type: temporal\nrules: [one, two]"), "(one and two)");
    assert_eq!(seen("type: temporal_ordered\nrules: one"), "one");
    let condition =
        "type: temporal\nrules: [three, two, one]\ncondition: two and (one or not three)";
    assert_eq!(seen(condition), "(two and (one or not three))");
    let no_rules = "type: temporal\ncondition: one or two and not not one";
    assert_eq!(seen(no_rules), "(one or (two and one))");
    let sources = correlation("timespan: 1m\ntype: temporal\ncondition: two or one or two").sources;
    let names: Vec<&str> = sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["two", "one"]);
}

#[test]
fn a_condition_may_name_a_rule_by_id_that_is_listed_by_name() {
    let text = "title: C
correlation: {type: temporal, rules: [one, 5f3c-2], timespan: 1m, condition: 5f3c-1 and not with.dots}
---
";
    let rules = [
        rule("name: one\nid: 5f3c-1"),
        rule("name: with.dots\nid: 5f3c-2"),
    ]
    .concat();
    let loaded = load_sound(&[text, &rules]);
    let correlation = &loaded.correlations[0];
    let CorrelationCondition::Seen(seen) = &correlation.condition else {
        panic!();
    };
    assert_eq!(show(seen, correlation), "(one and not 5f3c-2)");
}

#[test]
fn a_sequence_may_ask_for_a_rule_twice() {
    let lines = "type: temporal_ordered\nrules: [one, two, one]\ntimespan: 1m";
    let expected = [0, 1, 0].map(SourceTarget::Rule);
    assert_eq!(targets(&correlation(lines)), expected);
}

#[test]
fn groups_are_of_fields_or_of_aliases_for_them() {
    let group_by = |lines: &str| {
        let lines = format!(
            "type: event_count\nrules: [one, two]\ntimespan: 1m\ncondition: {{gte: 1}}\n{lines}"
        );
        let correlation = correlation(&lines);
        let sources = correlation.sources.iter();
        let sources: Vec<String> = sources.map(|source| source.group_by.join(" ")).collect();
        (correlation.group_by.join(" "), sources)
    };
    let of = |group: &str, one: &str, two: &str| {
        (group.to_owned(), vec![one.to_owned(), two.to_owned()])
    };
    assert_eq!(group_by(""), of("", "", ""));
    assert_eq!(group_by("group-by: host"), of("host", "host", "host"));
    assert_eq!(
        group_by("group-by: [host, user]\naliases:\n  user: {one: src_user, two: dst.user}"),
        of("host user", "host src_user", "host dst.user")
    );
    assert_eq!(
        group_by("group-by: [user]\naliases: {user: {two: uid}}"),
        of("user", "user", "uid"),
        "where there is no alias the name is a field"
    );
}

#[test]
fn an_alias_may_name_a_rule_by_id_that_is_listed_by_name() {
    let text = "title: C
correlation:
  type: temporal
  rules: [one, inner]
  timespan: 1m
  group-by: user
  aliases: {user: {id-1: uid, id-2: auid}}
---
title: inner
name: inner
id: id-2
correlation: {type: temporal, rules: one, timespan: 1m}
---
";
    let loaded = load_sound(&[text, &rule("name: one\nid: id-1")]);
    let sources = loaded.correlations[1].sources.iter();
    let fields: Vec<&str> = sources.map(|source| &*source.group_by[0]).collect();
    assert_eq!(fields, ["uid", "auid"]);
}

#[test]
fn a_correlation_for_another_engine_says_why_it_does_not_run() {
    let lines = "type: event_count\nrules: one\ntimespan: 1m\ncondition: {gte: 1}";
    assert_eq!(
        correlation(&format!("{lines}\nwindow: sliding")).not_running,
        None
    );
    let text = format!(
        "title: C\ncorrelation:\n  {}\n  window: tumbling\n---\n",
        lines.replace('\n', "\n  ")
    );
    let loaded = load_files(&[&text, &rules()]);
    let reason = loaded.correlations[0].not_running.as_deref();
    assert_eq!(reason, Some("`window: tumbling` is not evaluated"));
}

#[test]
fn no_attribute_of_a_correlation_is_lost() {
    let text = "title: Brute force
id: c-1
name: brute
level: high
status: test
tags: [attack.t1110]
fields: [user]
falsepositives: [forgetful people]
team: blue
correlation: {type: event_count, rules: one, timespan: 2h, condition: {gte: 5}}
---
";
    let loaded = load_sound(&[text, &rules()]);
    let correlation = &loaded.correlations[0];
    let attributes = &correlation.attributes;
    assert_eq!(attributes.key(), "c-1");
    assert_eq!(attributes.name.as_deref(), Some("brute"));
    assert_eq!(attributes.level, Some(Level::High));
    assert_eq!(attributes.tags, ["attack.t1110"]);
    assert_eq!(attributes.fields, ["user"]);
    assert_eq!(attributes.falsepositives, ["forgetful people"]);
    assert_eq!(
        attributes.custom,
        [("team".to_owned(), "\"blue\"".to_owned())]
    );
    assert_eq!(attributes.version.len(), 32);
    assert_eq!(correlation.timespan_ms, 7_200_000);
}

#[test]
fn correlations_and_filters_inherit_nothing_and_end_nothing() {
    let text = "action: global
title: Shared
level: low
logsource: {product: linux}
---
name: one
detection: {s: {a: b}, condition: s}
---
title: C
correlation: {type: temporal, rules: [one, two], timespan: 1m}
---
title: F
logsource: {category: process_creation}
filter: {rules: any, s: {a: b}, condition: not s}
---
action: repeat
name: two
---
action: reset
title: D
correlation: {type: temporal, rules: two, timespan: 1m}
---
title: Own
logsource: {category: process_creation}
detection: {s: {a: b}, condition: s}
";
    let loaded = load_sound(&[text]);
    assert_eq!(titles(&loaded), ["C", "D"]);
    let levels = loaded.correlations.iter();
    let mut levels = levels.map(|correlation| correlation.attributes.level);
    assert!(levels.all(|level| level.is_none()));
    let rules = loaded.rules.iter();
    let rules: Vec<_> = rules
        .map(|rule| (&*rule.attributes.title, rule.attributes.level))
        .collect();
    let shared = ("Shared", Some(Level::Low));
    assert_eq!(rules, [shared, shared, ("Own", None)]);
    assert_eq!(loaded.filters[0].reached, ["Own".into()]);
}

fn filter(title: &str, logsource: &str, lines: &str) -> String {
    format!("title: {title}\nlogsource: {{{logsource}}}\nfilter: {{{lines}}}\n---\n")
}

/// The conditions of a rule's filters over the names of its selections.
fn applied(rule: &Rule) -> Vec<String> {
    fn show(condition: &Condition, rule: &Rule) -> String {
        let join = |terms: &[Condition], joint: &str| {
            let terms: Vec<String> = terms.iter().map(|term| show(term, rule)).collect();
            format!("({})", terms.join(joint))
        };
        match condition {
            Condition::Selection(idx) => rule.detection.selections[idx.0 as usize]
                .name
                .as_ref()
                .to_owned(),
            Condition::And(terms) => join(terms, " and "),
            Condition::Or(terms) => join(terms, " or "),
            Condition::Not(term) => format!("not {}", show(term, rule)),
        }
    }
    let filters = rule.filters.iter();
    filters
        .map(|filter| show(&filter.condition, rule))
        .collect()
}

#[test]
fn a_filter_stands_beside_the_condition_under_names_of_its_own() {
    let text = "title: T
name: one
logsource: {product: linux}
detection: {s: {a: b}, t: {c: d}, condition: [s and t, not s and not t]}
---
";
    let alone = load_sound(&[text]).rules.remove(0);
    let first = filter(
        "F",
        "product: linux",
        "rules: one, s: {u: x}, t: {u: y}, condition: not 1 of them",
    );
    let second = filter(
        "G",
        "product: linux",
        "rules: [one], s: {v: x}, _t: {v: y}, condition: not s and not _t",
    );
    let loaded = load_sound(&[&first, text, &second]);
    let rule = &loaded.rules[0];
    assert_eq!(rule.detection.condition, alone.detection.condition);
    let names = rule.detection.selections.iter();
    let names: Vec<&str> = names.map(|selection| &*selection.name).collect();
    assert_eq!(names, ["s", "t", "F: s", "F: t", "G: s", "G: _t"]);
    assert_eq!(
        applied(rule),
        ["not (F: s or F: t)", "(not G: s and not G: _t)"]
    );
    let keys = rule.filters.iter();
    let keys: Vec<(&str, usize)> = keys
        .map(|filter| (&*filter.key, filter.version.len()))
        .collect();
    assert_eq!(keys, [("F", 32), ("G", 32)]);
    let reached: Vec<_> = loaded
        .filters
        .iter()
        .map(|filter| &filter.reached)
        .collect();
    assert_eq!(reached, [&["one".into()], &["one".into()]]);
}

#[test]
fn a_filter_reaches_rules_that_have_all_of_its_log_source() {
    let rule = |name: &str, logsource: &str| {
        format!(
            "title: {name}\nlogsource: {{{logsource}}}\ndetection: {{s: {{a: b}}, condition: s}}\n---\n"
        )
    };
    let rules = [
        rule("all", "category: c, product: p, service: s"),
        rule("category", "category: c"),
        rule("product", "product: p"),
        rule("both", "category: c, product: P"),
        rule("other", "category: d, product: p"),
        rule("none", "definition: see below"),
    ]
    .concat();
    let reached = |logsource: &str| {
        let text = filter("F", logsource, "rules: any, s: {a: b}, condition: not s");
        let loaded = load_files(&[&text, &rules]);
        let is_error = |severity| severity == Severity::Error;
        assert!(
            !loaded
                .diagnostics
                .iter()
                .any(|found| is_error(found.severity))
        );
        loaded.filters[0].reached.join(" ")
    };
    assert_eq!(reached("category: c"), "all category both");
    assert_eq!(reached("product: p"), "all product both other");
    assert_eq!(reached("category: c, product: p"), "all both");
    assert_eq!(reached("category: c, service: s"), "all");
    assert_eq!(reached("service: t"), "");
    assert_eq!(
        reached("definition: all"),
        "all category product both other none"
    );
}

#[test]
fn a_filter_reaches_of_the_rules_that_it_names_those_of_its_log_source() {
    let rules = [
        rule("name: one\nid: id-1"),
        rule("name: two"),
        rule("name: far").replace("linux", "windows"),
        rule("name: three"),
    ]
    .concat();
    let text = filter(
        "F",
        "product: linux",
        "rules: [two, far, id-1, nothing, one], s: {a: b}, condition: not s",
    );
    let loaded = load_files(&[&text, &rules]);
    assert_eq!(loaded.filters[0].reached.join(" "), "id-1 two");
    let filters: Vec<usize> = loaded.rules.iter().map(|rule| rule.filters.len()).collect();
    assert_eq!(filters, [1, 1, 0, 0]);
    let severities = loaded.diagnostics.iter();
    let mut severities = severities.map(|found| found.severity);
    assert!(severities.all(|severity| severity == Severity::Warning));
}

#[test]
fn filters_that_are_idle_or_broken_stop_nothing() {
    let idle = filter(
        "F",
        "product: linux",
        "rules: nothing, s: {a: b}, condition: not s",
    );
    let broken = filter(
        "G",
        "product: linux",
        "rules: one, s: {a: b}, condition: not t",
    );
    let loaded = load_files(&[&idle, &broken, &rules()]);
    assert_eq!(loaded.rules.len(), 3);
    assert!(loaded.rules.iter().all(|rule| rule.filters.is_empty()));
    assert_eq!(loaded.filters.len(), 1);
    assert!(loaded.filters[0].reached.is_empty());
}

#[test]
fn ids_and_names_are_unique_over_all_kinds_of_documents() {
    let text = "title: C
name: one
correlation: {type: temporal, rules: two, timespan: 1m}
---
title: F
name: two
logsource: {product: linux}
filter: {rules: any, s: {a: b}, condition: not s}
---
";
    let loaded = load_files(&[&rules(), text]);
    let codes: Vec<&str> = loaded.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, ["R015", "R015"]);
    assert!(loaded.correlations.is_empty() && loaded.filters.is_empty());
}
