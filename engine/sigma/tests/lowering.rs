//! What rules mean: each clause of the language, as the matchers and conditions it becomes.
#![cfg(test)]

use sigma::{
    Comparison, Condition, Detection, Field, Item, Level, Matcher, Options, Part, Placeholders,
    Quantifier, Rule, Search, SourceFile, Status, TimePart, load, load_with,
};

fn load_rules(text: &str) -> Vec<Rule> {
    let loaded = load(&[SourceFile {
        name: "rule.yml".into(),
        text: text.into(),
    }]);
    loaded.rules
}

/// The only rule of a text.
fn load_rule(text: &str) -> Rule {
    let mut rules = load_rules(text);
    assert_eq!(rules.len(), 1, "{text}");
    rules.remove(0)
}

fn detection(lines: &str) -> Detection {
    let lines = lines.replace('\n', "\n  ");
    load_rule(&format!(
        "title: T\nlogsource: {{product: linux}}\ndetection:\n  {lines}\n"
    ))
    .detection
}

/// The only item of a selection that is one line.
fn item(line: &str) -> Item {
    let detection = detection(&format!("s:\n  {line}\ncondition: s"));
    let Search::Map(mut items) = detection.selections.into_iter().next().unwrap().search else {
        panic!("not a map: {line}");
    };
    assert_eq!(items.len(), 1);
    items.remove(0)
}

/// Text in quotes, wildcards bare; `!` before what is cased.
fn show(matcher: &Matcher) -> String {
    let part = |part: &Part| match part {
        Part::Text(bytes) => format!("'{}'", bytes.escape_ascii()),
        Part::One => "?".to_owned(),
        Part::Any => "*".to_owned(),
    };
    match matcher {
        Matcher::Text(pattern) => {
            let cased = if pattern.cased { "!" } else { "" };
            let parts: String = pattern.parts.iter().map(part).collect();
            if parts.is_empty() {
                format!("{cased}''")
            } else {
                format!("{cased}{parts}")
            }
        }
        Matcher::Regex(regex) => {
            let flags = [
                (regex.ignore_case, 'i'),
                (regex.multi_line, 'm'),
                (regex.dot_all, 's'),
            ];
            let flags: String = flags
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, flag)| flag)
                .collect();
            format!("/{}/{flags}", regex.source)
        }
        Matcher::Cidr(network) => network.to_string(),
        Matcher::Null => "null".to_owned(),
        Matcher::Number(text) => text.to_string(),
        Matcher::Bool(value) => value.to_string(),
        Matcher::AnyOf(variants) => format!(
            "({})",
            variants.iter().map(show).collect::<Vec<_>>().join("|")
        ),
        other => format!("{other:?}"),
    }
}

/// An item's matchers, joined by what its quantifier says.
fn values(line: &str) -> String {
    let item = item(line);
    let joint = if item.quantifier == Quantifier::All {
        " and "
    } else {
        " or "
    };
    let matchers: Vec<String> = item.matchers.iter().map(show).collect();
    format!(
        "{}{}",
        if item.negated { "not " } else { "" },
        matchers.join(joint)
    )
}

fn show_condition(condition: &Condition, names: &[&str]) -> String {
    let join = |terms: &[Condition], joint: &str| {
        let terms: Vec<String> = terms
            .iter()
            .map(|term| show_condition(term, names))
            .collect();
        format!("({})", terms.join(joint))
    };
    match condition {
        Condition::Selection(idx) => names[idx.0 as usize].to_owned(),
        Condition::And(terms) => join(terms, " and "),
        Condition::Or(terms) => join(terms, " or "),
        Condition::Not(term) => format!("not {}", show_condition(term, names)),
    }
}

/// A condition over these selections, fully bracketed.
fn condition(names: &[&str], text: &str) -> String {
    let selections = format!("{}: {{a: b}}\n", names.join(": {a: b}\n"));
    show_condition(
        &detection(&format!("{selections}condition: {text}")).condition,
        names,
    )
}

#[test]
fn values_are_patterns_with_wildcards_and_escapes() {
    assert_eq!(values("f: abc"), "'abc'");
    assert_eq!(values(r"f: 'a*b?c'"), "'a'*'b'?'c'");
    assert_eq!(values(r"f: '\*\?\\'"), r"'*?\\'");
    assert_eq!(values("f: ''"), "''");
    assert_eq!(values("f: [a, b]"), "'a' or 'b'");
    assert_eq!(
        values("f: '%name%'"),
        "'%name%'",
        "a placeholder needs expand"
    );
    assert_eq!(values("f: ' x '"), "' x '", "white space counts");
}

#[test]
fn values_keep_the_type_that_yaml_gives_them() {
    assert_eq!(values("f:"), "null");
    assert_eq!(values("f: null"), "null");
    assert_eq!(
        values("f: [5, -7, 3.0, 1e3]"),
        "5 or -7 or 3 or '3.0' or 1000 or '1e3'",
        "a number is also its text as written"
    );
    assert_eq!(values("f: 18446744073709551615"), "18446744073709551615");
    assert_eq!(values("f: '5'"), "'5'");
    assert_eq!(
        values("f: 00000429"),
        "'00000429'",
        "leading zeros keep the text"
    );
    assert_eq!(values("f: 0x17"), "23");
    assert_eq!(values("f: [true, False]"), "true or false");
    assert_eq!(
        values("f: [yes, no, on, off, 2024-01-01, 12:30, .inf]")
            .matches('\'')
            .count(),
        14,
        "strings all"
    );
}

#[test]
fn the_name_of_a_field_is_what_stands_before_the_first_bar() {
    assert_eq!(item("f: a").field, Field::Named("f".into()));
    assert_eq!(
        item("Image|endswith: a").field,
        Field::Named("Image".into())
    );
    assert_eq!(
        item("SYSCALL.exe|contains|all: [a, b]").field,
        Field::Named("SYSCALL.exe".into())
    );
    assert_eq!(item("'|all': [a, b]").field, Field::Keywords);
}

#[test]
fn anchors_add_wildcards_and_leave_inner_ones_alive() {
    assert_eq!(values("f|contains: 'curl*sh'"), "*'curl'*'sh'*");
    assert_eq!(values("f|startswith: a"), "'a'*");
    assert_eq!(values("f|endswith: [a, b]"), "*'a' or *'b'");
    assert_eq!(values("f|contains: ''"), "*");
    assert_eq!(
        values(r"f|startswith: '\*'"),
        "'*'*",
        "an escaped wildcard beside an anchor"
    );
    assert_eq!(values("f|contains: 5"), "*'5'*");
    assert_eq!(values("f|contains: 1.50"), "*'1.50'*", "as it is written");
}

#[test]
fn the_order_of_free_modifiers_does_not_matter() {
    let expected = "!*'a'* and !*'b'*";
    assert_eq!(values("f|contains|all|cased: [a, b]"), expected);
    assert_eq!(values("f|all|cased|contains: [a, b]"), expected);
    assert_eq!(
        values("f|neq|contains: [a, b]"),
        "not *'a'* or *'b'*",
        "not any of the values"
    );
    assert_eq!(values("f|all|neq|contains: [a, b]"), "not *'a'* and *'b'*");
}

#[test]
fn regular_expressions_are_taken_as_they_are() {
    assert_eq!(values(r"f|re: '^a\*b$'"), r"/^a\*b$/");
    assert_eq!(values("f|re|i|m|s: [a, b]"), "/a/ims or /b/ims");
    assert_eq!(values("f|re|ignorecase|multiline|dotall: a"), "/a/ims");
    assert_eq!(values("f|re: 5"), "/5/");
    assert_eq!(values("f|re|neq: a"), "not /a/");
}

#[test]
fn windash_puts_any_dash_at_word_starts() {
    let variants = values("f|windash|contains: ' -x'");
    assert_eq!(variants.split(" or ").count(), 5);
    for dash in ["-", "/", r"\xe2\x80\x93", r"\xe2\x80\x94", r"\xe2\x80\x95"] {
        assert!(
            variants.contains(&format!("*' {dash}x'*")),
            "{variants} lacks {dash}"
        );
    }
    assert_eq!(values("f|windash: 'a-b'"), "'a-b'");
}

#[test]
fn under_all_each_value_is_met_by_any_of_its_variants() {
    let item = item("f|windash|contains|all: [' -x', y]");
    assert_eq!(item.quantifier, Quantifier::All);
    assert_eq!(item.matchers.len(), 2);
    let Matcher::AnyOf(variants) = &item.matchers[0] else {
        panic!("{item:?}")
    };
    assert_eq!(variants.len(), 5);
    assert_eq!(show(&item.matchers[1]), "*'y'*");
}

/// `5^3` patterns would be too many; the same language as one expression.
#[test]
fn windash_at_many_places_is_one_regular_expression() {
    let dash = r"[\-/\x{2013}\x{2014}\x{2015}]";
    let expected = format!(r"/\A{dash}a {dash}b\.x.*{dash}c/is");
    assert_eq!(values("f|windash|startswith: '-a -b.x*-c'"), expected);
    assert_eq!(
        values("f|windash|cased: '-a -b -c'"),
        format!(r"/\A{dash}a {dash}b {dash}c\z/s")
    );
}

#[test]
fn encodings_precede_the_anchor() {
    assert_eq!(values("f|base64: foo"), "'Zm9v'");
    assert_eq!(values("f|base64: fo"), "'Zm8='", "the padding is kept");
    assert_eq!(
        values("f|base64offset|contains: foo"),
        "*'Zm9v'* or *'Zvb'* or *'mb2'*"
    );
    assert_eq!(values("f|wide: ab"), r"'a\x00b\x00'");
    assert_eq!(values("f|utf16be: ab"), r"'\x00a\x00b'");
    assert_eq!(values("f|utf16: a"), r"'\xff\xfea\x00'");
    assert_eq!(values("f|utf16le|base64: ab"), "'YQBiAA=='");
    assert_eq!(
        values("f|base64|base64: foo"),
        "'Wm05dg=='",
        "encodings may repeat"
    );
    assert_eq!(
        values(r"f|base64: '\*'"),
        "'Kg=='",
        "an escaped wildcard is a character"
    );
}

#[test]
fn the_other_types_of_values() {
    assert_eq!(
        values("f|cidr: ['10.0.0.0/8', 'fe80::/10']"),
        "10.0.0.0/8 or fe80::/10"
    );
    assert_eq!(item("f|exists: true").matchers, [Matcher::Exists(true)]);
    assert_eq!(
        item("f|gte: 1.50").matchers,
        [Matcher::Compare(Comparison::Gte, "1.5".into())]
    );
    assert_eq!(
        item("f|lt: 007").matchers,
        [Matcher::Compare(Comparison::Lt, "7".into())]
    );
    assert_eq!(
        item("f|hour: [9, 10]").matchers,
        [
            Matcher::Time(TimePart::Hour, 9),
            Matcher::Time(TimePart::Hour, 10)
        ]
    );
    let reference = |prefix, suffix, cased| Matcher::FieldRef {
        field: "g.h".into(),
        prefix,
        suffix,
        cased,
    };
    assert_eq!(
        item("f|fieldref: g.h").matchers,
        [reference(false, false, false)]
    );
    assert_eq!(
        item("f|fieldref|startswith: g.h").matchers,
        [reference(true, false, false)]
    );
    assert_eq!(
        item("f|endswith|fieldref|cased: g.h").matchers,
        [reference(false, true, true)]
    );
    assert_eq!(
        item("f|fieldref|contains: g.h").matchers,
        [reference(true, true, false)]
    );
}

#[test]
fn placeholders_expand_to_their_values() {
    let rule = |line: &str, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let options = Options {
            placeholders: Placeholders::from([("x".to_owned(), values)]),
            ..Options::default()
        };
        let text = format!(
            "title: T\nlogsource: {{product: linux}}\ndetection:\n  s:\n    {line}\n  condition: s\n"
        );
        let mut loaded = load_with(
            &[SourceFile {
                name: "r".into(),
                text: text.into(),
            }],
            &options,
        );
        let Search::Map(mut items) = loaded.rules.remove(0).detection.selections.remove(0).search
        else {
            panic!()
        };
        items
            .remove(0)
            .matchers
            .iter()
            .map(show)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        rule("f|expand: 'a%x%'", &["1", "b*"]),
        "'a1' 'ab'*",
        "values may hold wildcards"
    );
    assert_eq!(
        rule("f|contains|expand|all: ['%x%', c]", &["a", "b"]),
        "(*'a'*|*'b'*) *'c'*"
    );
    assert_eq!(
        rule("f|re|expand: '^%x%$'", &["a.b"]),
        r"/^a\.b$/",
        "quoted"
    );
    assert_eq!(
        rule("f|expand: '%x%'", &[]),
        "()",
        "an empty table matches nothing"
    );
}

#[test]
fn selections_are_maps_lists_and_keywords() {
    let search = |lines: &str| {
        detection(&format!("s:{lines}\ncondition: s"))
            .selections
            .remove(0)
            .search
    };
    let fields = |search: &Search| match search {
        Search::Map(items) => items
            .iter()
            .map(|item| item.field.clone())
            .collect::<Vec<_>>(),
        Search::Any(_) => panic!("{search:?}"),
    };
    let named = |name: &str| Field::Named(name.into());
    assert_eq!(fields(&search(" {a: 1, b: 2}")), [named("a"), named("b")]);
    assert_eq!(fields(&search(" [x, y, 5]")), [Field::Keywords]);
    assert_eq!(fields(&search(" x")), [Field::Keywords]);
    let Search::Any(mixed) = search(" [{a: 1}, x, {b: 2, c: 3}, y]") else {
        panic!()
    };
    assert_eq!(
        mixed.iter().map(fields).collect::<Vec<_>>(),
        [
            vec![named("a")],
            vec![named("b"), named("c")],
            vec![Field::Keywords]
        ]
    );
}

#[test]
fn keywords_are_substrings() {
    let keywords = |lines: &str| {
        let search = detection(&format!("s:{lines}\ncondition: s"))
            .selections
            .remove(0)
            .search;
        let Search::Map(items) = search else { panic!() };
        let joint = if items[0].quantifier == Quantifier::All {
            " and "
        } else {
            " or "
        };
        items[0]
            .matchers
            .iter()
            .map(show)
            .collect::<Vec<_>>()
            .join(joint)
    };
    assert_eq!(
        keywords(" [abc, 'x*y', 5, true]"),
        "*'abc'* or *'x'*'y'* or *'5'* or *'true'*"
    );
    assert_eq!(keywords("\n  '|all': [a, b]"), "*'a'* and *'b'*");
    assert_eq!(keywords("\n  '|contains|all': [a, b]"), "*'a'* and *'b'*");
    assert_eq!(keywords("\n  '|re': ['a.b']"), "/a.b/");
}

#[test]
fn operators_bind_as_the_specification_says() {
    let names = ["a", "b", "c", "d"];
    assert_eq!(
        condition(&names, "a or b and not c"),
        "(a or (b and not c))"
    );
    assert_eq!(condition(&names, "(a or b) and c"), "((a or b) and c)");
    assert_eq!(
        condition(&names, "not a and b or c"),
        "((not a and b) or c)"
    );
    assert_eq!(condition(&names, "not (a or b)"), "not (a or b)");
    assert_eq!(condition(&names, "not not a"), "a");
    assert_eq!(
        condition(&names, "not 1 of them and a"),
        "(not (a or b or c or d) and a)"
    );
    assert_eq!(condition(&names, "not(a)and(b)"), "(not a and b)");
    assert_eq!(
        condition(&names, ">\n    a or\n    b"),
        "(a or b)",
        "line breaks are blanks"
    );
}

#[test]
fn selectors_are_spread_out() {
    let names = ["sel_a_1", "sel_b", "filter", "_helper"];
    assert_eq!(condition(&names, "1 of sel*"), "(sel_a_1 or sel_b)");
    assert_eq!(condition(&names, "any of sel_*"), "(sel_a_1 or sel_b)");
    assert_eq!(
        condition(&names, "all of them"),
        "(sel_a_1 and sel_b and filter)",
        "without _helper"
    );
    assert_eq!(condition(&names, "all of s*_*_*"), "sel_a_1");
    assert_eq!(condition(&names, "1 of _*"), "_helper");
    assert_eq!(
        condition(&names, "1 of filter and _helper"),
        "(filter and _helper)"
    );
}

#[test]
fn names_may_contain_operators_and_begin_with_digits() {
    let names = ["notepad_a", "order-b", "1st", "all", "of"];
    assert_eq!(
        condition(&names, "notepad_a and order-b or 1st"),
        "((notepad_a and order-b) or 1st)"
    );
    assert_eq!(condition(&names, "all and of"), "(all and of)");
}

#[test]
fn a_list_of_conditions_is_an_or() {
    assert_eq!(condition(&["a", "b"], "[a, not b]"), "(a or not b)");
}

#[test]
fn no_attribute_is_lost() {
    let rule = load_rule(
        "title: T
id: some-id
name: some_name
status: test
level: high
description: |
  two
  lines
author: A, B
license: MIT
date: 2024-01-02
modified: 2024-02-29
references: [r1]
reference: [r2]
tags: [attack.t1059.004]
fields: [f]
falsepositives: [fp]
scope: [server]
related: [{id: other, type: derived}]
logsource: {category: c, product: Linux, service: s, definition: d, extra: [1]}
detection: {s: {a: b}, condition: s}
custom_one: {a: [1, 0x10, 007, 'x\"y', null, true], b: 1.50}
simulation: 5
taxonomy: sigma
",
    );
    assert_eq!(rule.attributes.id.as_deref(), Some("some-id"));
    assert_eq!(rule.attributes.name.as_deref(), Some("some_name"));
    assert_eq!(
        (rule.attributes.status, rule.attributes.level),
        (Some(Status::Test), Some(Level::High))
    );
    assert_eq!(rule.attributes.description.as_deref(), Some("two\nlines\n"));
    assert_eq!(
        (
            rule.attributes.author.as_deref(),
            rule.attributes.license.as_deref()
        ),
        (Some("A, B"), Some("MIT"))
    );
    assert_eq!(
        (
            rule.attributes.date.as_deref(),
            rule.attributes.modified.as_deref()
        ),
        (Some("2024-01-02"), Some("2024-02-29"))
    );
    assert_eq!(rule.attributes.references, ["r1", "r2"]);
    assert_eq!(
        (rule.attributes.tags, rule.attributes.fields),
        (vec!["attack.t1059.004".to_owned()], vec!["f".to_owned()])
    );
    assert_eq!(
        (rule.attributes.falsepositives, rule.attributes.scope),
        (vec!["fp".to_owned()], vec!["server".to_owned()])
    );
    assert_eq!(
        (
            &*rule.attributes.related[0].id,
            &*rule.attributes.related[0].kind
        ),
        ("other", "derived")
    );
    let source = rule.logsource;
    assert_eq!(source.category.as_deref(), Some("c"));
    assert_eq!(source.product.as_deref(), Some("linux"), "in lower case");
    assert_eq!(
        (source.service.as_deref(), source.definition.as_deref()),
        (Some("s"), Some("d"))
    );
    assert_eq!(source.custom, [("extra".to_owned(), "[1]".to_owned())]);
    assert_eq!(
        rule.attributes.custom,
        [
            (
                "custom_one".to_owned(),
                r#"{"a":[1,16,"007","x\"y",null,true],"b":1.5}"#.to_owned()
            ),
            ("simulation".to_owned(), "5".to_owned()),
            ("taxonomy".to_owned(), "\"sigma\"".to_owned())
        ]
    );
}

#[test]
fn a_broken_document_stops_no_other() {
    let good = |title: &str| {
        format!(
            "title: {title}\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n"
        )
    };
    let text = format!(
        "{}---\ntitle: [\n---\n# nothing\n---\n{}...\n---\n- list\n---\n{}",
        good("one"),
        good("two"),
        good("three")
    );
    let files = [("a.yml", "\ttitle: {"), ("b.yml", &text)];
    let files = files.map(|(name, text)| SourceFile {
        name: name.into(),
        text: text.into(),
    });
    let loaded = load(&files);
    let titles: Vec<&str> = loaded
        .rules
        .iter()
        .map(|rule| &*rule.attributes.title)
        .collect();
    assert_eq!(titles, ["one", "two", "three"]);
    let places: Vec<(&str, u32)> = loaded
        .diagnostics
        .iter()
        .map(|diagnostic| (&*diagnostic.place.file, diagnostic.place.line))
        .collect();
    assert_eq!(places, [("a.yml", 1), ("b.yml", 5), ("b.yml", 14)]);
}

#[test]
fn the_version_of_a_rule_changes_with_its_text_alone() {
    let text = |value: &str| {
        format!(
            "title: T\nlogsource: {{product: linux}}\ndetection: {{s: {{a: {value}}}, condition: s}}\n"
        )
    };
    let alone = load_rule(&text("b")).attributes.version;
    assert_eq!(alone.len(), 32);
    assert_eq!(
        load_rules(&format!("{}---\n{}", text("b"), text("c")))[0]
            .attributes
            .version,
        alone
    );
    assert_ne!(load_rule(&text("c")).attributes.version, alone);
}

#[test]
fn global_documents_are_merged_into_later_rules_until_a_reset() {
    let rules = load_rules(
        "action: global
title: Shared
logsource: {product: linux}
detection: {s: {a: b}, condition: s}
---
logsource: {service: auditd}
---
logsource: {service: sshd}
level: low
---
action: reset
---
title: Own
logsource: {service: cron}
detection: {s: {a: b}, condition: s}
",
    );
    let shown: Vec<_> = rules
        .iter()
        .map(|rule| {
            (
                &*rule.attributes.title,
                rule.logsource.product.as_deref(),
                rule.logsource.service.as_deref(),
                rule.attributes.level,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("Shared", Some("linux"), Some("auditd"), None),
            ("Shared", Some("linux"), Some("sshd"), Some(Level::Low)),
            ("Own", None, Some("cron"), None),
        ]
    );
    assert_ne!(rules[0].attributes.version, rules[1].attributes.version);
}

#[test]
fn a_repeat_is_merged_over_the_rule_before_it() {
    let rules = load_rules(
        "title: One
logsource: {product: linux, service: auditd}
detection: {s: {a: b}, condition: s}
---
action: repeat
title: Two
logsource: {service: sshd}
---
action: repeat
title: Three
",
    );
    let shown: Vec<_> = rules
        .iter()
        .map(|rule| (&*rule.attributes.title, rule.logsource.service.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("One", Some("auditd")),
            ("Two", Some("sshd")),
            ("Three", Some("sshd"))
        ]
    );
    assert!(
        rules
            .iter()
            .all(|rule| rule.logsource.product.as_deref() == Some("linux"))
    );
}

#[test]
fn aliases_stand_for_what_they_name() {
    let detection = detection("s:\n  a: &list [x, y]\n  b|contains: *list\ncondition: s");
    let Search::Map(items) = &detection.selections[0].search else {
        panic!()
    };
    assert_eq!(
        items[1].matchers.iter().map(show).collect::<Vec<_>>(),
        ["*'x'*", "*'y'*"]
    );
}
