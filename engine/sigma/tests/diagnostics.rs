//! What authors are told: one rule text for each code, with the whole message under expectation.
#![cfg(test)]
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#![expect(
    clippy::string_slice,
    clippy::format_push_string,
    reason = "a panic fails the test; speed does not matter"
)]

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use sigma::{CODES, Diagnostic, Severity, SourceFile, load};

fn load_text(text: &str) -> (usize, Vec<Diagnostic>) {
    let loaded = load(&[SourceFile {
        name: "rule.yml".into(),
        text: text.into(),
    }]);
    let documents = loaded.rules.len() + loaded.correlations.len() + loaded.filters.len();
    (documents, loaded.diagnostics)
}

/// A diagnostic in lines, with the source under its carets.
fn show(text: &str, diagnostic: &Diagnostic) -> String {
    let place = &diagnostic.place;
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let source = &text[place.bytes.0 as usize..place.bytes.1 as usize];
    let source = source.lines().next().unwrap_or_default();
    let mut lines = format!(
        "{}:{}: {severity} {} [{}] `{source}`\n  {}\n",
        place.line,
        place.column,
        diagnostic.code,
        diagnostic.rule.as_deref().unwrap_or("-"),
        diagnostic.message
    );
    for (word, text) in [("label", &diagnostic.label), ("help", &diagnostic.help)] {
        if let Some(text) = text {
            lines += &format!("  {word}: {text}\n");
        }
    }
    lines
}

fn check(text: &str, expected: &Expect) {
    let (documents, diagnostics) = load_text(text);
    for diagnostic in &diagnostics {
        assert!(diagnostic.help.is_some(), "no cure: {diagnostic:?}");
    }
    let mut shown: String = diagnostics
        .iter()
        .map(|diagnostic| show(text, diagnostic))
        .collect();
    shown += &format!("{documents} loaded\n");
    expected.assert_eq(&shown);
}

/// A rule whose `detection` is given.
fn rule(detection: &str) -> String {
    format!("title: T\nlogsource: {{product: linux}}\ndetection:\n{detection}")
}

/// A rule with these lines in its only selection.
fn items(lines: &str) -> String {
    rule(&format!(
        "  s:\n    {}\n  condition: s\n",
        lines.replace('\n', "\n    ")
    ))
}

/// A sound rule with more attributes.
fn attributes(lines: &str) -> String {
    format!("{lines}\n{}", items("a: b"))
}

/// A correlation with these lines, and the rules `one` and `two` behind it.
fn correlation(lines: &str) -> String {
    let lines = lines.replace('\n', "\n  ");
    let (one, two) = (attributes("name: one"), attributes("name: two"));
    format!("title: C\ncorrelation:\n  {lines}\n---\n{one}---\n{two}")
}

/// A sound correlation but for these lines.
fn counting(lines: &str) -> String {
    correlation(&format!("type: event_count\nrules: one\n{lines}"))
}

/// A filter with these lines, and the rules `one` and `two` behind it.
fn filter(lines: &str) -> String {
    let lines = lines.replace('\n', "\n  ");
    let (one, two) = (attributes("name: one"), attributes("name: two"));
    format!("title: F\nlogsource: {{product: linux}}\nfilter:\n  {lines}\n---\n{one}---\n{two}")
}

#[test]
fn yaml_that_does_not_parse_is_told_at_its_line() {
    check(
        "title: [a\nid: x\n",
        &expect![[r#"
            2:3: error R001 [x] ``
              not YAML: illegal placement of ':' indicator
              help: indent with blanks and not with tabs, close quotes and brackets, and quote a value that holds `: ` or begins with one of `@ % & * ! [ {`
            0 loaded
        "#]],
    );
    check(
        "title: a\n\tid: x\n",
        &expect![[r#"
            1:8: error R001 [a] ``
              not YAML: while scanning a plain scalar, found a tab
              help: indent with blanks and not with tabs, close quotes and brackets, and quote a value that holds `: ` or begins with one of `@ % & * ! [ {`
            0 loaded
        "#]],
    );
    check(
        "title: a\0b\n",
        &expect![[r#"
            1:9: error R001 [-] ``
              a NUL character, which YAML does not allow
              help: remove it
            0 loaded
        "#]],
    );
}

#[test]
fn limits_are_told() {
    check(
        &format!("a: {}{}", "[".repeat(65), "]".repeat(65)),
        &expect![[r#"
            1:67: error R002 [-] `[`
              lists and maps lie more than 64 deep
              help: split what is too long into several
            0 loaded
        "#]],
    );
    check(
        &rule(&format!(
            "  s: {{a: b}}\n  condition: {}s{}\n",
            "(".repeat(65),
            ")".repeat(65)
        )),
        &expect![[r#"
            5:78: error R002 [T] `(`
              brackets lie more than 64 deep
              help: split what is too long into several
            0 loaded
        "#]],
    );
    check(
        &items(&format!("f|windash|base64: '{}'", "-a ".repeat(5))),
        &expect![[r#"
            5:23: error R002 [T] `'-a -a -a -a -a '`
              `windash` with an encoding takes at most 4 dashes
              help: split what is too long into several
            0 loaded
        "#]],
    );
}

#[test]
fn a_key_twice_is_an_error_wherever_it_stands() {
    check(
        "title: T\nid: a\nid: b\n",
        &expect![[r#"
            1:1: error R010 [a] `title: T`
              the rule has no `logsource`
              help: add a line such as `logsource: {product: linux, category: process_creation}`
            1:1: error R010 [a] `title: T`
              the rule has no `detection`
              help: add a line such as `detection: {selection: {Image|endswith: /nc}, condition: selection}`
            3:1: error R003 [a] `id`
              the key `id` stands here a second time
              help: the first is in line 2; join the two or rename one
            0 loaded
        "#]],
    );
    check(
        &items("a: b\na: c"),
        &expect![[r#"
        6:5: error R003 [T] `a`
          the key `a` stands here a second time
          help: the first is in line 5; join the two or rename one
        0 loaded
    "#]],
    );
}

#[test]
fn tags_outside_the_core_schema_are_refused() {
    check(
        "title: !!int T\n",
        &expect![[r#"
            1:1: error R010 [T] `title: !!int T`
              the rule has no `logsource`
              help: add a line such as `logsource: {product: linux, category: process_creation}`
            1:1: error R010 [T] `title: !!int T`
              the rule has no `detection`
              help: add a line such as `detection: {selection: {Image|endswith: /nc}, condition: selection}`
            1:8: error R004 [T] `!!int T`
              the tag `!!int` does not fit this value
              help: remove the tag, or quote the value
            0 loaded
        "#]],
    );
    check(
        "title: !python/object x\n",
        &expect![[r#"
            1:1: error R010 [x] `title: !python/object x`
              the rule has no `logsource`
              help: add a line such as `logsource: {product: linux, category: process_creation}`
            1:1: error R010 [x] `title: !python/object x`
              the rule has no `detection`
              help: add a line such as `detection: {selection: {Image|endswith: /nc}, condition: selection}`
            1:8: error R004 [x] `!python/object x`
              the tag `!python/object` is not of YAML's core schema
              help: remove the tag, or quote the value
            0 loaded
        "#]],
    );
}

#[test]
fn merge_keys_are_refused() {
    check(
        "a: &x {b: c}\nd: {<<: *x}\n",
        &expect![[r#"
            1:1: error R010 [-] `a: &x {b: c}`
              the rule has no `title`
              help: add a line such as `title: Netcat listens`
            1:1: error R010 [-] `a: &x {b: c}`
              the rule has no `logsource`
              help: add a line such as `logsource: {product: linux, category: process_creation}`
            1:1: error R010 [-] `a: &x {b: c}`
              the rule has no `detection`
              help: add a line such as `detection: {selection: {Image|endswith: /nc}, condition: selection}`
            2:5: error R001 [-] `<<`
              merge keys are not part of YAML 1.2
              help: write the merged lines out; aliases of whole values do work
            0 loaded
        "#]],
    );
}

#[test]
fn more_faults_than_a_person_reads_are_counted() {
    let lines: String = (0..103).map(|_| "a: b\n").collect();
    let (_, diagnostics) = load_text(&lines);
    let count = |code| {
        diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.code == code)
            .count()
    };
    assert_eq!(count("R003"), 100);
    let note = diagnostics
        .iter()
        .find(|diagnostic| diagnostic.code == "R006");
    assert_eq!(
        note.map(|note| &*note.message),
        Some("the document has 2 more faults, which are not listed")
    );
}

#[test]
fn a_document_that_is_no_map_is_told() {
    check(
        "- a\n- b\n",
        &expect![[r#"
            1:1: error R005 [-] `- a`
              a document must be a map of attributes, this is a list
              help: begin the document with `title:`; several documents of a file are separated by `---`
            0 loaded
        "#]],
    );
}

#[test]
fn what_a_rule_must_have_is_demanded() {
    check(
        "id: x\n",
        &expect![[r#"
            1:1: error R010 [x] `id: x`
              the rule has no `title`
              help: add a line such as `title: Netcat listens`
            1:1: error R010 [x] `id: x`
              the rule has no `logsource`
              help: add a line such as `logsource: {product: linux, category: process_creation}`
            1:1: error R010 [x] `id: x`
              the rule has no `detection`
              help: add a line such as `detection: {selection: {Image|endswith: /nc}, condition: selection}`
            0 loaded
        "#]],
    );
    check(
        "title: T\nlogsource: {product: linux}\ndetections:\n  s: {a: b}\n",
        &expect![[r#"
            1:1: error R010 [T] `title: T`
              the rule has no `detection`
              help: is `detections` meant to be it?
            3:1: warning R013 [T] `detections`
              `detections` is taken for an attribute of your own
              help: did you mean `detection`?
            0 loaded
        "#]],
    );
}

#[test]
fn types_that_a_rule_cannot_do_without_are_demanded() {
    check(
        "title: [a]\nname: 5\nlogsource: {product: linux}\ndetection: text\n",
        &expect![[r#"
            1:1: error R011 [-] `title`
              the title must be a non-empty string, this is a list
              help: give the attribute a value of the kind that is asked for
            2:7: error R011 [-] `5`
              the name must be a non-empty string, this is a number
              help: other documents refer to the rule by it; quote it or remove it
            4:12: error R011 [-] `text`
              `detection` must be a map, this is a string
              help: give the attribute a value of the kind that is asked for
            0 loaded
        "#]],
    );
}

#[test]
fn bad_metadata_is_a_warning() {
    check(
        &attributes(
            "level: severe\nstatus: [a]\ndate: 2024-02-30\nauthor: [a, b]\nreferences: text\ntags: [attack.T1059, foo.bar, 5]\nrelated: [{id: x, type: same}, y]\ndescription: 5\nscope: [{}]",
        ),
        &expect![[r#"
            1:8: warning R012 [T] `severe`
              `level` must be one of informational, low, medium, high or critical
              help: mend it or remove it; the rule is loaded without it
            2:9: warning R012 [T] `[a]`
              `status` must be one of stable, test, experimental, deprecated or unsupported
              label: this is a list
              help: mend it or remove it; the rule is loaded without it
            3:7: warning R012 [T] `2024-02-30`
              `date` must be a date YYYY-MM-DD
              help: mend it or remove it; the rule is loaded without it
            4:9: warning R012 [T] `[a, b]`
              `author` must be a string
              label: this is a list
              help: mend it or remove it; the rule is loaded without it
            5:13: warning R012 [T] `text`
              `references` must be a list of strings
              help: mend it or remove it; the rule is loaded without it
            6:8: warning R012 [T] `attack.T1059`
              the tag `attack.T1059` is not `namespace.value` in lower case
              help: write a namespace, a dot and a word, such as `attack.t1059`
            6:22: warning R012 [T] `foo.bar`
              Sigma has no tag namespace `foo`
              help: the namespaces are attack, car, cve, d3fend, detection, stp, tlp
            7:25: warning R012 [T] `same`
              `related` must be of a type among derived, obsolete, merged, renamed, similar
              help: mend it or remove it; the rule is loaded without it
            7:32: warning R012 [T] `y`
              `related` must be a list of maps with `id` and `type`
              help: mend it or remove it; the rule is loaded without it
            8:14: warning R012 [T] `5`
              `description` must be a string
              label: this is a number
              help: mend it or remove it; the rule is loaded without it
            9:9: warning R012 [T] `{}`
              `scope` must be a list of strings
              label: this is a map
              help: mend it or remove it; the rule is loaded without it
            1 loaded
        "#]],
    );
}

#[test]
fn near_misses_of_attributes_are_told() {
    check(
        &attributes("falsepositive: [x]\nrealted: []\nowner: me"),
        &expect![[r#"
            1:1: warning R013 [T] `falsepositive`
              `falsepositive` is taken for an attribute of your own
              help: did you mean `falsepositives`?
            2:1: warning R013 [T] `realted`
              `realted` is taken for an attribute of your own
              help: did you mean `related`?
            1 loaded
        "#]],
    );
}

#[test]
fn ids_and_names_are_unique() {
    check(
        &format!("{0}---\n{0}", attributes("id: one\nname: two")),
        &expect![[r#"
            10:5: error R014 [one] `one`
              another document has the id `one`
              help: the first is at rule.yml:1:5
            11:7: error R015 [one] `two`
              another document has the name `two`
              help: the first is at rule.yml:2:7
            1 loaded
        "#]],
    );
}

#[test]
fn rules_that_alerts_cannot_tell_apart_are_told() {
    check(
        &format!("{0}---\n{0}", items("a: b")),
        &expect![[r#"
            8:1: warning R024 [T] `title: T`
              a rule before it is known as `T` too
              help: give each an `id`; the first is at rule.yml:1
            2 loaded
        "#]],
    );
}

#[test]
fn a_correlation_and_a_rule_that_alerts_cannot_tell_apart_are_told() {
    check(
        &counting("timespan: 5m\ncondition: {gte: 1}").replace("title: C", "title: one"),
        &expect![[r#"
            8:1: warning R024 [T] `name: one`
              a correlation before it is known as `one` too
              help: give each an `id`; the first is at rule.yml:1
            3 loaded
        "#]],
    );
    check(
        &filter("rules: any\ns: {a: b}\ncondition: not s").replace("title: F", "title: one"),
        &expect![[r#"
            3 loaded
        "#]],
    );
}

#[test]
fn generate_is_true_or_false() {
    check(
        &attributes("generate: 'yes'"),
        &expect![[r#"
            1:11: error R011 [T] `'yes'`
              `generate` must be true or false, this is a string
              help: write `true` or `false` without quotes
            0 loaded
        "#]],
    );
}

#[test]
fn actions_are_known_words() {
    check(
        "action: repaet\n---\naction: repeat\ntitle: T\n---\naction: 5\n",
        &expect![[r#"
            1:9: error R017 [-] `repaet`
              there is no action `repaet`
              help: did you mean `repeat`?
            3:9: error R017 [T] `repeat`
              there is no rule before it to repeat
              help: put the rule that is repeated before it in the same file, or write this rule out
            6:9: error R017 [-] `5`
              an action must be a string, this is a number
              help: the actions are global, reset, repeat
            0 loaded
        "#]],
    );
}

#[test]
fn a_clash_with_a_global_document_is_told() {
    check(
        &format!(
            "action: global\nlevel: low\n---\n{}",
            attributes("level: high")
        ),
        &expect![[r#"
            4:1: warning R018 [T] `level`
              `level` is set by the global document too, whose value is used
              help: remove the line here, or from the global document
            1 loaded
        "#]],
    );
}

#[test]
fn versions_of_sigma_to_come_are_refused() {
    check(
        &attributes("sigma-version: 3.0.1"),
        &expect![[r#"
            1:16: error R019 [T] `3.0.1`
              version `3.0.1` of Sigma is not implemented
              help: write it for version 2, the newest that is implemented
            0 loaded
        "#]],
    );
    check(
        &attributes("sigma-version: newest"),
        &expect![[r#"
            1:16: error R019 [T] `newest`
              version `newest` of Sigma is not implemented
              help: write it for version 2, the newest that is implemented
            0 loaded
        "#]],
    );
}

#[test]
fn other_taxonomies_are_refused() {
    check(
        &attributes("taxonomy: ecs"),
        &expect![[r#"
        1:11: error R020 [T] `ecs`
          the taxonomy `ecs` is not mapped
          help: only `sigma` is known; translate the field names
        0 loaded
    "#]],
    );
}

#[test]
fn a_log_source_is_a_map() {
    check(
        "title: T\nlogsource: linux\ndetection: {s: {a: b}, condition: s}\n",
        &expect![[r#"
            2:1: error R021 [T] `logsource`
              the log source must be a map, this is a string
              help: name at least one of `category`, `product`, `service`
            0 loaded
        "#]],
    );
    check(
        "title: T\nlogsource: {product: 5}\ndetection: {s: {a: b}, condition: s}\n",
        &expect![[r#"
            2:22: error R021 [T] `5`
              `product` must be a non-empty string, this is a number
              help: name a log source, such as `{product: linux, category: process_creation}`
            0 loaded
        "#]],
    );
    check(
        "title: T\nlogsource: {}\ndetection: {s: {a: b}, condition: s}\n",
        &expect![[r#"
            2:1: error R021 [T] `logsource`
              the log source is empty
              help: name at least one of `category`, `product`, `service`
            0 loaded
        "#]],
    );
}

#[test]
fn log_sources_are_lower_case() {
    check(
        "title: T\nlogsource: {product: Linux, category: process creation, servce: x}\ndetection: {s: {a: b}, condition: s}\n",
        &expect![[r#"
            2:22: warning R022 [T] `Linux`
              `Linux` is not spelt as log sources are
              help: write `linux`
            2:39: warning R022 [T] `process creation`
              `process creation` is not spelt as log sources are
              help: write `process_creation`
            2:57: warning R013 [T] `servce`
              the log source has a custom key `servce`
              help: did you mean `service`?
            1 loaded
        "#]],
    );
}

#[test]
fn dates_have_hyphens() {
    check(
        &attributes("date: 2024/02/29"),
        &expect![[r#"
        1:7: warning R023 [T] `2024/02/29`
          `date` is written with slashes
          help: write 2024-02-29
        1 loaded
    "#]],
    );
}

#[test]
fn a_detection_has_selections() {
    check(
        &rule("  condition: s\n"),
        &expect![[r#"
            3:1: error R030 [T] `detection`
              the detection has no search identifier beside the condition
              help: add a selection, such as `selection: {Image|endswith: /nc}`
            0 loaded
        "#]],
    );
}

#[test]
fn a_selection_holds_something() {
    check(
        &rule("  s: {}\n  t: []\n  u:\n  v: [{}]\n  condition: s or t or u or v\n"),
        &expect![[r#"
            4:6: error R031 [T] `{}`
              `s` holds nothing to look for
              help: add what is to be looked for, or remove the line
            5:3: error R031 [T] `t`
              `t` holds nothing to look for
              help: add what is to be looked for, or remove the line
            6:3: error R031 [T] `u`
              `u` holds nothing to look for
              help: add what is to be looked for, or remove the line
            7:7: error R031 [T] `{}`
              `v` holds nothing to look for
              help: add what is to be looked for, or remove the line
            0 loaded
        "#]],
    );
}

#[test]
fn a_list_of_values_holds_something() {
    check(
        &items("a: []"),
        &expect![[r#"
            5:5: error R032 [T] `a`
              `a` has an empty list of values
              help: add a value, or remove the line; `field: null` asks for a missing field, `field: ''` for an empty one
            0 loaded
        "#]],
    );
}

#[test]
fn values_are_single() {
    check(
        &items("a: [b, [c]]\nd: {e: f}"),
        &expect![[r#"
            5:12: error R033 [T] `[c]`
              a list stands where a single value is expected
              help: write one value, or a flat list of values
            6:8: error R033 [T] `{e: f}`
              a map stands where a single value is expected
              help: write one value, or a flat list of values
            0 loaded
        "#]],
    );
    check(
        &rule("  s: [[a]]\n  condition: s\n"),
        &expect![[r#"
            4:7: error R033 [T] `[a]`
              a list stands inside of a list of alternatives
              help: write one value, or a flat list of values
            0 loaded
        "#]],
    );
}

#[test]
fn unknown_modifiers_are_told() {
    check(
        &items("a|contians: b\nc|: d\ne|contains|not: f\ng|Contains: h"),
        &expect![[r#"
            5:7: error R034 [T] `contians`
              there is no modifier `contians`
              help: did you mean `contains`?
            6:7: error R034 [T] ``
              a modifier is missing after `|`
              help: remove the `|`
            7:16: error R034 [T] `not`
              there is no modifier `not`
              help: negate in the condition, or write `neq`
            8:7: error R034 [T] `Contains`
              there is no modifier `Contains`
              help: did you mean `contains`?
            0 loaded
        "#]],
    );
}

#[test]
fn modifiers_go_together() {
    check(
        &items(
            "a|contains|contains: b\na|startswith|endswith: b\na|contains|re: b\na|i: b\na|re|contains: b\na|contains|base64offset: b\na|exists|all: true\na|all|exists: true\na|re|fieldref: b\na|cidr|cased: 10.0.0.0/8\na|base64|windash: b\na|lt|gt: 5\n'|exists': true\n'|startswith': x",
        ),
        &expect![[r#"
            5:16: error R035 [T] `contains`
              `contains` is given twice
              help: remove one of them
            6:18: error R035 [T] `endswith`
              `endswith` comes after another of contains, startswith, endswith
              help: keep one of them
            7:16: error R035 [T] `re`
              `re` cannot follow `contains`
              help: `re` comes first
            8:7: error R035 [T] `i`
              `i` comes after `re`
              help: write `re|i`
            9:10: error R035 [T] `contains`
              `contains` does not go with a modifier that changes the kind of value
              help: remove `contains`, or the other
            10:16: error R035 [T] `base64offset`
              `base64offset` comes after `contains`
              help: encode first: `base64offset|contains`
            11:14: error R035 [T] `all`
              `exists` stands alone
              help: remove the other modifiers
            12:11: error R035 [T] `exists`
              `exists` cannot follow `all`
              help: `exists` stands alone
            13:10: error R035 [T] `fieldref`
              `fieldref` cannot follow another modifier that changes the kind of value
              help: keep one of them
            14:12: error R035 [T] `cased`
              `cased` does not go with a modifier that changes the kind of value
              help: remove `cased`, or the other
            15:14: error R035 [T] `windash`
              `windash` comes after an encoding
              help: put `windash` first
            16:10: error R035 [T] `gt`
              `gt` cannot follow another modifier that changes the kind of value
              help: keep one of them
            17:7: error R035 [T] `exists`
              `exists` needs a field
              help: write a field before it: `FIELD|exists`
            18:7: error R035 [T] `startswith`
              `startswith` needs a field; keywords are searched inside of values
              help: write a field before it, or remove `startswith`
            0 loaded
        "#]],
    );
}

#[test]
fn values_fit_their_modifiers() {
    check(
        &items(
            "a|contains:\na|exists: yes\na|lt: text\na|gte:\na|lte: true\na|hour: 1.5\na|cidr: 5\na|re:\na|fieldref: a*\na|fieldref: 5\na|base64: a*b\na|base64: 5\na|utf16|utf16: a",
        ),
        &expect![[r#"
            5:15: error R036 [T] ``
              text is needed here
              label: this is null
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            6:15: error R036 [T] `yes`
              `exists` takes `true` or `false`
              label: this is a string
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            7:11: error R036 [T] `text`
              numeric modifiers take unquoted numbers
              label: this is a string
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            8:10: error R036 [T] ``
              numeric modifiers take unquoted numbers
              label: this is null
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            9:12: error R036 [T] `true`
              numeric modifiers take unquoted numbers
              label: this is a boolean
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            10:13: error R036 [T] `1.5`
              parts of a date are whole numbers
              label: this is a number
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            11:13: error R036 [T] `5`
              `cidr` takes a network such as 10.0.0.0/8
              label: this is a number
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            12:9: error R036 [T] ``
              `re` takes a regular expression
              label: this is null
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            13:17: error R036 [T] `a*`
              `fieldref` takes the name of a field, without wildcards
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            14:5: error R003 [T] `a|fieldref`
              the key `a|fieldref` stands here a second time
              help: the first is in line 13; join the two or rename one
            15:15: error R036 [T] `a*b`
              Base64 of a wildcard is not known
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            16:5: error R003 [T] `a|base64`
              the key `a|base64` stands here a second time
              help: the first is in line 15; join the two or rename one
            17:20: error R036 [T] `a`
              UTF-16 cannot follow another encoding to UTF-16
              help: `lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field
            0 loaded
        "#]],
    );
}

#[test]
fn regular_expressions_parse() {
    check(
        &items("a|re: 'x(y'\nb|re: 'a{9999999999}'"),
        &expect![[r#"
            5:13: error R037 [T] `(`
              unclosed group
              help: mend the expression; a literal `( ) [ { + ? * . |` is written with a backslash before it
            6:14: error R037 [T] `9999999999`
              decimal literal invalid
              help: mend the expression; a literal `( ) [ { + ? * . |` is written with a backslash before it
            0 loaded
        "#]],
    );
}

#[test]
fn constructs_outside_the_dialect_are_named() {
    check(
        &items("a|re: 'x(?!y)'\nb|re: '(a)\\1'\nc|re: '(?>a)b'"),
        &expect![[r#"
            5:13: error R038 [T] `(?!`
              look-around is not part of the dialect of regular expressions
              help: split it: match the rest here, and exclude with `not` in the condition
            6:15: error R038 [T] `\1`
              a back-reference is not part of the dialect of regular expressions
              help: split it: match the rest here, and exclude with `not` in the condition
            7:14: error R038 [T] `>`
              an atomic group is not part of the dialect of regular expressions
              help: split it: match the rest here, and exclude with `not` in the condition
            0 loaded
        "#]],
    );
}

#[test]
fn networks_are_in_cidr_notation() {
    check(
        &items("a|cidr: 10.0.0.0/33\nb|cidr: 10.0.0.1/8\nc|cidr: 10.0.0.0\nd|cidr: 'fe80::1/10'"),
        &expect![[r#"
            5:13: error R039 [T] `10.0.0.0/33`
              `10.0.0.0/33` is not a network
              help: write address/prefix, such as 10.0.0.0/8
            6:13: error R039 [T] `10.0.0.1/8`
              `10.0.0.1/8` has bits set behind its prefix
              help: the network is `10.0.0.0/8`
            7:13: error R039 [T] `10.0.0.0`
              `10.0.0.0` is not a network
              help: write address/prefix, such as 10.0.0.0/8
            8:13: error R039 [T] `'fe80::1/10'`
              `fe80::1/10` has bits set behind its prefix
              help: the network is `fe80::/10`
            0 loaded
        "#]],
    );
}

#[test]
fn placeholders_without_a_source_are_named() {
    check(
        &items("a|expand: 'x%Servers%y%Admins%'"),
        &expect![[r#"
        5:17: error R040 [T] `%Servers%`
          the placeholder `%Servers%` has no source of values
          help: give it values in a file, `--placeholders FILE`
        5:27: error R040 [T] `%Admins%`
          the placeholder `%Admins%` has no source of values
          help: give it values in a file, `--placeholders FILE`
        0 loaded
    "#]],
    );
}

#[test]
fn null_in_a_list_is_told() {
    check(
        &items("a: [b, null]"),
        &expect![[r#"
            5:12: warning R041 [T] `null`
              `null` stands among other values
              help: put it into a selection of its own
            1 loaded
        "#]],
    );
}

#[test]
fn all_with_one_value_is_told() {
    check(
        &items("a|contains|all: b\nc|contains|all: [d]"),
        &expect![[r#"
            5:16: warning R042 [T] `all`
              `all` has only one value to demand
              help: remove `all`, or add values
            6:16: warning R042 [T] `all`
              `all` has only one value to demand
              help: remove `all`, or add values
            1 loaded
        "#]],
    );
}

#[test]
fn numbers_as_text_are_told() {
    check(
        &items("a|contains: 5\nb|endswith: true"),
        &expect![[r#"
        5:17: warning R043 [T] `5`
          a text modifier is applied to a number
          help: quote it: `'5'`
        6:17: warning R043 [T] `true`
          a text modifier is applied to a boolean
          help: quote it: `'true'`
        1 loaded
    "#]],
    );
}

#[test]
fn hexadecimal_numbers_are_told() {
    check(
        &items("a: 0x17\nb: 0o17"),
        &expect![[r#"
        5:8: warning R044 [T] `0x17`
          `0x17` is the number 23
          help: quote it to mean the text: `'0x17'`
        6:8: warning R044 [T] `0o17`
          `0o17` is the number 15
          help: quote it to mean the text: `'0o17'`
        1 loaded
    "#]],
    );
}

#[test]
fn a_timeframe_is_told() {
    check(
        &rule("  s: {a: b}\n  timeframe: 5m\n  condition: s\n"),
        &expect![[r#"
            5:3: warning R045 [T] `timeframe`
              `timeframe` has no effect and is not a search identifier
              help: remove it, or write a correlation with a `timespan`
            1 loaded
        "#]],
    );
}

#[test]
fn array_syntax_is_told() {
    check(
        &items("a[any].b: c\nd[0]: e\nf[x]: g"),
        &expect![[r#"
        5:5: warning R046 [T] `a[any].b`
          `a[any].b` is taken as the literal name of a field
          help: array matching begins with Sigma 3; a path crosses arrays without brackets
        6:5: warning R046 [T] `d[0]`
          `d[0]` is taken as the literal name of a field
          help: array matching begins with Sigma 3; a path crosses arrays without brackets
        1 loaded
    "#]],
    );
}

#[test]
fn a_condition_is_demanded() {
    check(
        &rule("  s: {a: b}\n"),
        &expect![[r#"
            3:1: error R050 [T] `detection`
              the detection has no `condition`
              help: add a condition, such as `condition: selection`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition:\n"),
        &expect![[r#"
            5:12: error R050 [T] ``
              the condition is empty
              help: add a condition, such as `condition: selection`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: ' '\n"),
        &expect![[r#"
            5:14: error R050 [T] `' '`
              the condition is empty
              help: add a condition, such as `condition: selection`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: []\n"),
        &expect![[r#"
            5:3: error R050 [T] `condition`
              the list of conditions is empty
              help: add a condition, such as `condition: selection`
            0 loaded
        "#]],
    );
}

#[test]
fn conditions_parse() {
    check(
        &rule("  s: {a: b}\n  condition: s and\n"),
        &expect![[r#"
            5:19: error R051 [T] ``
              the condition ends where a selection is expected
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s s\n"),
        &expect![[r#"
        5:16: error R051 [T] `s`
          an operator is missing before `s`
          help: join selections with `and` or `or`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: (s\n"),
        &expect![[r#"
            5:14: error R051 [T] `(`
              this bracket is never closed
              help: close it, or remove it
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s)\n"),
        &expect![[r#"
            5:15: error R051 [T] `)`
              this bracket closes nothing
              help: remove it, or open one before it
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: and s\n"),
        &expect![[r#"
            5:14: error R051 [T] `and`
              a selection is missing before `and`
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: not\n"),
        &expect![[r#"
            5:17: error R051 [T] ``
              the condition ends where a selection is expected
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s or or s\n"),
        &expect![[r#"
            5:19: error R051 [T] `or`
              a selection is missing before `or`
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: ()\n"),
        &expect![[r#"
            5:15: error R051 [T] `)`
              a selection is missing before this bracket
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s not s\n"),
        &expect![[r#"
        5:16: error R051 [T] `not`
          an operator is missing before `not`
          help: join selections with `and` or `or`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s & s\n"),
        &expect![[r#"
        5:16: error R051 [T] `&`
          `&` cannot stand in a condition
          help: names of selections consist of letters, digits, `_` and `-`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: 1 of\n"),
        &expect![[r#"
        5:16: error R051 [T] `of`
          `1 of` needs a pattern or `them`
          help: such as `1 of selection_*`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: them\n"),
        &expect![[r#"
        5:14: error R051 [T] `them`
          `them` stands without `1 of` or `all of`
          help: write `1 of them` or `all of them`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s*\n"),
        &expect![[r#"
        5:14: error R051 [T] `s*`
          `s*` stands without `1 of` or `all of`
          help: write `1 of s*` or `all of s*`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: {a: b}\n"),
        &expect![[r#"
            5:14: error R051 [T] `{a: b}`
              a condition must be a string, this is a map
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s and (s or)\n"),
        &expect![[r#"
            5:25: error R051 [T] `)`
              a selection is missing before this bracket
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            0 loaded
        "#]],
    );
}

#[test]
fn unknown_selections_are_told() {
    check(
        &rule("  selection: {a: b}\n  condition: selecton and x\n"),
        &expect![[r#"
            5:14: error R052 [T] `selecton`
              there is no selection `selecton`
              help: did you mean `selection`?
            5:27: error R052 [T] `x`
              there is no selection `x`
              help: the selections are `selection`
            0 loaded
        "#]],
    );
}

#[test]
fn selectors_match_something() {
    check(
        &rule("  selection: {a: b}\n  _x: {a: b}\n  condition: 1 of filter_* or _x\n"),
        &expect![[r#"
            6:19: error R053 [T] `filter_*`
              no selection matches `filter_*`
              help: the selections are `selection`, `_x`
            0 loaded
        "#]],
    );
    check(
        &rule("  _x: {a: b}\n  condition: all of them\n"),
        &expect![[r#"
            5:21: error R053 [T] `them`
              no selection matches `them`
              help: the selections are `_x`
            0 loaded
        "#]],
    );
}

#[test]
fn operators_are_lower_case() {
    check(
        &rule("  s: {a: b}\n  t: {a: b}\n  condition: s AND t\n"),
        &expect![[r#"
            6:16: error R054 [T] `AND`
              `AND` is not an operator
              help: write `and` in lower case
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: NOT s\n"),
        &expect![[r#"
        5:14: error R054 [T] `NOT`
          `NOT` is not an operator
          help: write `not` in lower case
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: ALL of them\n"),
        &expect![[r#"
            5:14: error R054 [T] `ALL`
              `ALL` is not an operator
              help: write `all` in lower case
            0 loaded
        "#]],
    );
}

#[test]
fn only_one_and_all_are_counts() {
    check(
        &rule("  s: {a: b}\n  condition: 2 of them\n"),
        &expect![[r#"
        5:14: error R055 [T] `2`
          `2 of` does not exist in Sigma
          help: write `1 of`, `any of` or `all of`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: 1 OF them\n"),
        &expect![[r#"
            5:16: error R054 [T] `OF`
              `OF` is not an operator
              help: write `of` in lower case
            0 loaded
        "#]],
    );
}

#[test]
fn aggregations_are_refused_with_a_hint() {
    check(
        &rule("  s: {a: b}\n  condition: s | count() by x > 5\n"),
        &expect![[r#"
            5:16: error R056 [T] `| count() by x > 5`
              aggregations were removed from conditions
              help: write a correlation that reads this rule, such as one of `type: event_count`
            0 loaded
        "#]],
    );
}

#[test]
fn selections_that_are_never_looked_at_are_told() {
    check(
        &rule("  s: {a: b}\n  t: {a: b}\n  _u: {a: b}\n  condition: s\n"),
        &expect![[r#"
            5:3: warning R057 [T] `t`
              the condition never looks at `t`
              help: name it in the condition, remove it, or begin its name with `_` to keep it aside
            1 loaded
        "#]],
    );
}

#[test]
fn a_document_is_one_thing() {
    check(
        "title: M\ncorrelation: {}\ndetection: {}\n",
        &expect![[r#"
            3:1: error R025 [M] `detection`
              a document has either a `correlation` or a `detection`, not both
              help: write two documents, with a line `---` between them
            0 loaded
        "#]],
    );
    check(
        "title: M\nfilter: {}\ndetection: {s: {a: b}, condition: s}\nlogsource: {product: linux}\n",
        &expect![[r#"
            3:1: error R025 [M] `detection`
              a document has either a `filter` or a `detection`, not both
              help: write two documents, with a line `---` between them
            0 loaded
        "#]],
    );
}

#[test]
fn a_correlation_has_what_it_needs() {
    check(
        "correlation: {}\n",
        &expect![[r#"
            1:1: error R010 [-] `correlation`
              the correlation has no `type`
              help: add a line such as `type: event_count`
            1:1: error R010 [-] `correlation`
              the correlation has no `rules`
              help: add a line such as `rules: [name of a rule]`
            1:1: error R010 [-] `correlation`
              the correlation has no `timespan`
              help: add a line such as `timespan: 5m`
            1:1: error R010 [-] `correlation: {}`
              the correlation has no `title`
              help: add a line such as `title: Netcat listens`
            0 loaded
        "#]],
    );
    check(
        "title: C\ncorrelation: text\n",
        &expect![[r#"
            2:14: error R011 [C] `text`
              `correlation` must be a map, this is a string
              help: give the attribute a value of the kind that is asked for
            0 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\nrule: [one, two]\ntimespan: 5m"),
        &expect![[r#"
            2:1: error R010 [C] `correlation`
              the correlation has no `rules`
              help: is `rule` meant to be it?
            4:3: warning R061 [C] `rule`
              `rule` is not known in a correlation
              help: did you mean `rules`?
            2 loaded
        "#]],
    );
}

#[test]
fn parts_of_a_correlation_have_their_shapes() {
    check(
        &correlation("type: event_count\nrules: []\ntimespan: 5m\ncondition: {gte: 1}"),
        &expect![[r#"
            4:10: error R011 [C] `[]`
              `rules` is an empty list
              help: name at least one rule by its id or name
            2 loaded
        "#]],
    );
    check(
        &correlation(
            "type: event_count\nrules: [one, 5, '']\ntimespan: 5m\ngroup-by: [[x], '', y, y]\ncondition: {gte: 1}\ngenerate: yes",
        ),
        &expect![[r#"
            4:16: error R011 [C] `5`
              `rules` must name rules by id or name, this is a number
              help: give the attribute a value of the kind that is asked for
            4:19: error R011 [C] `''`
              `rules` must name rules by id or name, this is an empty string
              help: give the attribute a value of the kind that is asked for
            6:14: error R011 [C] `[x]`
              `group-by` must name fields, this is a list
              help: give the attribute a value of the kind that is asked for
            6:19: error R011 [C] `''`
              `group-by` must name fields, this is an empty string
              help: give the attribute a value of the kind that is asked for
            6:26: warning R028 [C] `y`
              `y` stands a second time in `group-by`
              help: remove the line
            8:13: error R011 [C] `yes`
              `generate` must be true or false, this is a string
              help: write `true` or `false` without quotes
            2 loaded
        "#]],
    );
    check(
        &correlation(
            "type: event_count\nrules: {one: two}\ntimespan: 5m\ngroup-by: []\naliases: [x]\ncondition: {gte: 1}",
        ),
        &expect![[r#"
            4:10: error R011 [C] `{one: two}`
              `rules` must name rules by id or name, this is a map
              help: give the attribute a value of the kind that is asked for
            6:13: error R011 [C] `[]`
              `group-by` is an empty list
              help: remove it, or name the fields
            7:12: error R011 [C] `[x]`
              `aliases` must be a map, this is a list
              help: write `aliases: {alias: {name of a rule: its field}}`
            2 loaded
        "#]],
    );
    check(
        &correlation(
            "type: event_count\nrules: one\ntimespan: 5m\ngroup-by: [x, y]\naliases: {x: one, y: {one: [z]}}\ncondition: {gte: 1}",
        ),
        &expect![[r#"
            7:16: error R011 [C] `one`
              an alias must be a map, this is a string
              help: write `aliases: {alias: {name of a rule: its field}}`
            7:30: error R011 [C] `[z]`
              an alias must name a field, this is a list
              help: write `aliases: {alias: {name of a rule: its field}}`
            2 loaded
        "#]],
    );
    check(
        &format!(
            "generate: 1\n{}",
            counting("timespan: 5m\ncondition: {gte: 1}\ngenerate: true")
        ),
        &expect![[r#"
            1:1: warning R028 [C] `generate`
              `generate` stands in `correlation` too, whose value is used
              help: remove the line
            1:11: error R011 [C] `1`
              `generate` must be true or false, this is a number
              help: write `true` or `false` without quotes
            2 loaded
        "#]],
    );
}

#[test]
fn types_of_correlations_are_known() {
    check(
        &correlation("type: event_cuont\nrules: one\ntimespan: 5m\ncondition: {gte: 1}"),
        &expect![[r#"
            3:9: error R060 [C] `event_cuont`
              there is no type `event_cuont` of correlations
              help: did you mean `event_count`?
            2 loaded
        "#]],
    );
    check(
        &correlation("type: near\nrules: one\ntimespan: 5m"),
        &expect![[r#"
            3:9: error R060 [C] `near`
              there is no type `near` of correlations
              help: the types are event_count, value_count, value_sum, value_avg, value_percentile, value_median, temporal, temporal_ordered, temporal_extended, temporal_ordered_extended
            2 loaded
        "#]],
    );
    check(
        &correlation("type: 5\nrules: one\ntimespan: 5m"),
        &expect![[r#"
            3:9: error R060 [C] `5`
              the type of a correlation must be a string, this is a number
              help: the types are event_count, value_count, value_sum, value_avg, value_percentile, value_median, temporal, temporal_ordered, temporal_extended, temporal_ordered_extended
            2 loaded
        "#]],
    );
}

#[test]
fn unknown_lines_of_a_correlation_are_told() {
    check(
        &counting(
            "timeframe: 5m\ngroup_by: x\nordered: true\nfield: y\ntimespan: 5m\ncondition: {gte: 1}",
        ),
        &expect![[r#"
            5:3: warning R061 [C] `timeframe`
              `timeframe` is not known in a correlation
              help: did you mean `timespan`?
            6:3: warning R061 [C] `group_by`
              `group_by` is not known in a correlation
              help: did you mean `group-by`?
            7:3: warning R061 [C] `ordered`
              `ordered` is not known in a correlation
              help: it has no effect; remove it
            8:3: warning R061 [C] `field`
              `field` is not known in a correlation
              help: it belongs into `condition`
            3 loaded
        "#]],
    );
}

#[test]
fn a_timespan_has_a_number_and_a_unit() {
    check(
        &counting("timespan: 300\ncondition: {gte: 1}"),
        &expect![[r#"
            5:13: error R062 [C] `300`
              the timespan `300` has no unit
              help: write `300s` if these are seconds
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: 5 minutes\ncondition: {gte: 1}"),
        &expect![[r#"
            5:13: error R062 [C] `5 minutes`
              `5 minutes` is not a timespan
              help: write a whole number and one of s, m, h, d, w, M, y, such as `5m`
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: 0s\ncondition: {gte: 1}"),
        &expect![[r#"
            5:13: error R062 [C] `0s`
              a timespan must be longer than nothing
              help: write a whole number and one of s, m, h, d, w, M, y, such as `5m`
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: 101y\ncondition: {gte: 1}"),
        &expect![[r#"
            5:13: error R062 [C] `101y`
              the timespan `101y` is longer than 100 years
              help: write a whole number and one of s, m, h, d, w, M, y, such as `5m`
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: [5m]\ncondition: {gte: 1}"),
        &expect![[r#"
            5:13: error R062 [C] `[5m]`
              a timespan must be a string, this is a list
              help: write a whole number and one of s, m, h, d, w, M, y, such as `5m`
            2 loaded
        "#]],
    );
}

#[test]
fn what_a_correlation_reads_is_there() {
    check(
        &correlation("type: temporal\nrules: [one, tow, else]\ntimespan: 5m"),
        &expect![[r#"
            4:16: error R063 [C] `tow`
              there is no rule or correlation `tow`
              help: did you mean `two`?
            4:21: error R063 [C] `else`
              there is no rule or correlation `else`
              help: name a loaded rule or correlation by its `id` or `name`
            2 loaded
        "#]],
    );
    check(
        &format!(
            "{}---\n{}",
            correlation("type: temporal\nrules: [one, F]\ntimespan: 5m"),
            "title: F\nname: F\nlogsource: {product: linux}\nfilter: {rules: any, s: {a: b}, condition: not s}\n"
        ),
        &expect![[r#"
            4:16: error R063 [C] `F`
              `F` is a filter, which cannot be correlated
              help: name a loaded rule or correlation by its `id` or `name`
            3 loaded
        "#]],
    );
}

#[test]
fn what_depends_on_a_rejected_document_is_rejected_and_says_why() {
    check(
        "title: outer\ncorrelation: {type: temporal, rules: [inner, one], timespan: 5m}\n---\ntitle: inner\nname: inner\ncorrelation: {type: temporal, rules: [bad, broken], timespan: 5m}\n---\ntitle: bad\nname: bad\nlogsource: {product: linux}\ndetection: {s: {a|contians: b}, condition: s}\n---\ntitle: one\nname: one\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n---\ntitle: broken\nname: broken\nlogsource: [\n",
        &expect![[r#"
            2:39: error R026 [outer] `inner`
              `inner` is not loaded, so neither is this
              help: mend its error R026 at rule.yml:6:39 first
            6:39: error R026 [inner] `bad`
              `bad` is not loaded, so neither is this
              help: mend its error R034 at rule.yml:11:19 first
            6:44: error R026 [inner] `broken`
              `broken` is not loaded, so neither is this
              help: mend its error R001 at rule.yml:20:13 first
            11:19: error R034 [bad] `contians`
              there is no modifier `contians`
              help: did you mean `contains`?
            20:13: error R001 [broken] ``
              not YAML: while parsing a node, did not find expected node content
              help: indent with blanks and not with tabs, close quotes and brackets, and quote a value that holds `: ` or begins with one of `@ % & * ! [ {`
            1 loaded
        "#]],
    );
}

#[test]
fn correlations_do_not_read_themselves() {
    check(
        "title: c\nname: c\ncorrelation: {type: temporal, rules: [c], timespan: 5m}\n",
        &expect![[r#"
            3:39: error R064 [c] `c`
              `c` is this correlation itself
              help: take it out of `rules`
            0 loaded
        "#]],
    );
    check(
        "title: c\nname: c\ncorrelation: {type: temporal, rules: [c], timespan: 5x}\n",
        &expect![[r#"
            3:39: error R064 [c] `c`
              `c` is this correlation itself
              help: take it out of `rules`
            3:53: error R062 [c] `5x`
              `5x` is not a timespan
              help: write a whole number and one of s, m, h, d, w, M, y, such as `5m`
            0 loaded
        "#]],
    );
    check(
        "title: a\nname: a\ncorrelation: {type: temporal, rules: b, timespan: 5m}\n---\ntitle: b\nname: b\ncorrelation: {type: temporal, rules: [c], timespan: 5m}\n---\ntitle: c\nname: c\ncorrelation: {type: temporal, condition: a, timespan: 5m}\n---\ntitle: d\ncorrelation: {type: temporal, rules: [a, b], timespan: 5m}\n",
        &expect![[r#"
            3:38: error R064 [a] `b`
              through `b` the correlation reads itself
              help: 3 correlations read each other in a circle; take one of the references out
            7:39: error R064 [b] `c`
              through `c` the correlation reads itself
              help: 3 correlations read each other in a circle; take one of the references out
            11:42: error R064 [c] `a`
              through `a` the correlation reads itself
              help: 3 correlations read each other in a circle; take one of the references out
            14:39: error R026 [d] `a`
              `a` is not loaded, so neither is this
              help: mend its error R064 at rule.yml:3:38 first
            14:42: error R026 [d] `b`
              `b` is not loaded, so neither is this
              help: mend its error R064 at rule.yml:7:39 first
            0 loaded
        "#]],
    );
}

#[test]
fn a_rule_that_is_listed_twice_counts_once() {
    check(
        &correlation("type: temporal\nrules: [one, two, one]\ntimespan: 5m"),
        &expect![[r#"
            4:21: warning R065 [C] `one`
              `one` is listed a second time
              help: it counts once; as `one` it stands at 4:11
            3 loaded
        "#]],
    );
    check(
        &correlation("type: temporal_ordered\nrules: [one, two, one]\ntimespan: 5m"),
        &expect![[r#"
            3 loaded
        "#]],
    );
}

#[test]
fn aliases_are_of_listed_rules_and_used() {
    check(
        &counting(
            "timespan: 5m\ngroup-by: user\naliases:\n  user: {one: x, onne: y, two: z}\n  usr: {one: z}\ncondition: {gte: 1}",
        ),
        &expect![[r#"
            8:20: error R066 [C] `onne`
              the correlation does not list `onne`
              help: did you mean `one`?
            8:29: error R066 [C] `two`
              the correlation does not list `two`
              help: an alias names rules of `rules`
            9:5: warning R067 [C] `usr`
              `group-by` does not use the alias `usr`
              help: did you mean `user`?
            2 loaded
        "#]],
    );
    check(
        &correlation("type: event_count\nrules: [one]\ntimespan: 5m\ngroup-by: [user]\naliases: {user: {one: x, id-1: y}}\ncondition: {gte: 1}").replace("name: one", "name: one\nid: id-1"),
        &expect![[r#"
            7:28: error R066 [C] `id-1`
              `id-1` has this alias twice
              help: the first is at 7:20
            2 loaded
        "#]],
    );
    check(
        &correlation(
            "type: value_count\nrules: one\ntimespan: 5m\ngroup-by: user\naliases: {user: {one: x}}\ncondition: {gte: 1, field: user}",
        ),
        &expect![[r#"
            8:30: warning R028 [C] `user`
              `user` is taken as a field of the events, not as the alias
              help: aliases stand in `group-by` only; name a field that all rules have
            3 loaded
        "#]],
    );
}

#[test]
fn bounds_are_operators_with_numbers() {
    check(
        &counting("timespan: 5m"),
        &expect![[r#"
            2:1: error R010 [C] `correlation`
              the correlation has no `condition`
              help: add a line such as `condition: {gte: 10}`
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: {}"),
        &expect![[r#"
        6:3: error R068 [C] `condition`
          the condition has no operator
          help: add one of gt, gte, lt, lte, eq, neq, such as `gte: 10`
        2 loaded
    "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: [5]"),
        &expect![[r#"
        6:14: error R068 [C] `[5]`
          the condition of a correlation must be a map or a string, this is a list
          help: write an operator with a number, such as `gte: 10`
        2 loaded
    "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: {gtee: 1, at_least: 5}"),
        &expect![[r#"
            6:15: error R068 [C] `gtee`
              there is no operator `gtee`
              help: did you mean `gte`?
            6:24: error R068 [C] `at_least`
              there is no operator `at_least`
              help: the operators are gt, gte, lt, lte, eq, neq
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: {gte: '10', lt: ten, eq: null}"),
        &expect![[r#"
            6:20: error R068 [C] `'10'`
              `gte` needs a number, this is a string
              help: remove the quotes
            6:30: error R068 [C] `ten`
              `lt` needs a number, this is a string
              help: write an operator and a number, such as `gte: 10`
            6:39: error R068 [C] `null`
              `eq` needs a number, this is null
              help: write an operator and a number, such as `gte: 10`
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: {gte: 0x10}"),
        &expect![[r#"
            6:20: warning R044 [C] `0x10`
              `0x10` is the number 16
              help: write `16` if it is meant
            3 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\nrules: one\ntimespan: 5m\ncondition: ''"),
        &expect![[r#"
            6:14: error R068 [C] `''`
              the condition is empty
              help: write an operator and a number, such as `gte: 10`
            2 loaded
        "#]],
    );
}

#[test]
fn bounds_that_exclude_each_other_are_told() {
    check(
        &counting("timespan: 5m\ncondition: {gt: 5, lte: 5}"),
        &expect![[r#"
            6:3: warning R073 [C] `condition`
              no number meets these bounds
              help: raise the upper bound or lower the other
            3 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: {gte: 5, lt: 3}"),
        &expect![[r#"
            6:3: warning R073 [C] `condition`
              no number meets these bounds
              help: raise the upper bound or lower the other
            3 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: {gte: 5, lte: 5, neq: 4}"),
        &expect![[r#"
            3 loaded
        "#]],
    );
}

#[test]
fn correlations_of_values_name_their_field() {
    check(
        &correlation("type: value_count\nrules: one\ntimespan: 5m\ncondition: {gte: 1}"),
        &expect![[r#"
            6:3: error R069 [C] `condition`
              the condition does not say which `field` the values are of
              help: add a line `field: name of the field`
            2 loaded
        "#]],
    );
    check(
        &correlation(
            "type: value_sum\nrules: one\ntimespan: 5m\ncondition: {gte: 1, field: [a, b]}",
        ),
        &expect![[r#"
            6:30: error R069 [C] `[a, b]`
              only `value_count` takes several fields
              help: name one, or count combinations with `type: value_count`
            2 loaded
        "#]],
    );
    check(
        &correlation(
            "type: value_percentile\nrules: one\ntimespan: 5m\ncondition: {gte: 1, field: a, percentile: 101}",
        ),
        &expect![[r#"
            6:45: error R068 [C] `101`
              a percentile must be a whole number from 0 to 100
              help: write a number such as `percentile: 95`
            2 loaded
        "#]],
    );
    check(
        &correlation(
            "type: value_median\nrules: one\ntimespan: 5m\ncondition: {gte: 1, field: 5, percentile: 50}",
        ),
        &expect![[r#"
            6:30: error R011 [C] `5`
              `field` must name fields, this is a number
              help: give the attribute a value of the kind that is asked for
            6:33: warning R028 [C] `percentile`
              `percentile` has no effect in this type of correlation
              help: remove the line
            2 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\ncondition: {gte: 1, field: a, percentile: 1.5}"),
        &expect![[r#"
            6:23: warning R028 [C] `field`
              `field` has no effect in this type of correlation
              help: remove the line
            6:33: warning R028 [C] `percentile`
              `percentile` has no effect in this type of correlation
              help: remove the line
            6:45: error R068 [C] `1.5`
              a percentile must be a whole number from 0 to 100
              help: write a number such as `percentile: 95`
            2 loaded
        "#]],
    );
}

#[test]
fn conditions_over_rules_need_a_temporal_type() {
    check(
        &counting("timespan: 5m\ncondition: one and not two"),
        &expect![[r#"
            6:14: error R070 [C] `one and not two`
              a condition over rules needs a temporal type
              help: write `type: temporal`, or an operator with a number, such as `gte: 10`
            2 loaded
        "#]],
    );
}

#[test]
fn conditions_over_rules_are_spelt_as_those_over_selections() {
    check(
        &correlation("type: temporal\ntimespan: 5m\ncondition: one and (two"),
        &expect![[r#"
            5:22: error R051 [C] `(`
              this bracket is never closed
              help: close it, or remove it
            2 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\ntimespan: 5m\ncondition: one AND two"),
        &expect![[r#"
            5:18: error R054 [C] `AND`
              `AND` is not an operator
              help: write `and` in lower case
            2 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\ntimespan: 5m\ncondition: one two"),
        &expect![[r#"
            5:18: error R051 [C] `two`
              an operator is missing before `two`
              help: join rules with `and` or `or`
            2 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\ntimespan: 5m\ncondition: 1 of o*"),
        &expect![[r#"
            5:14: error R051 [C] `1`
              `1 of` cannot stand in the condition of a correlation
              help: name the rules, joined with `and`, `or` and `not`
            2 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\ntimespan: 5m\ncondition: one | count() > 5"),
        &expect![[r#"
            5:18: error R051 [C] `|`
              `|` cannot stand in the condition of a correlation
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            2 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\ntimespan: 5m\ncondition: one or"),
        &expect![[r#"
            5:20: error R051 [C] ``
              the condition ends where a rule is expected
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            2 loaded
        "#]],
    );
}

#[test]
fn a_condition_names_the_listed_rules_and_no_other() {
    check(
        &correlation("type: temporal\nrules: [one, two]\ntimespan: 5m\ncondition: one and not tow"),
        &expect![[r#"
            4:16: error R071 [C] `two`
              the condition does not name `two`
              help: use it in the condition, or take it out of `rules`
            6:26: error R071 [C] `tow`
              `rules` does not list `tow`
              help: did you mean `two`?
            2 loaded
        "#]],
    );
    check(
        &correlation("type: temporal\ntimespan: 5m\ncondition: one and not tow"),
        &expect![[r#"
            5:26: error R063 [C] `tow`
              there is no rule or correlation `tow`
              help: did you mean `two`?
            2 loaded
        "#]],
    );
}

#[test]
fn windows_of_other_engines_are_not_evaluated() {
    check(
        &counting("timespan: 5m\nwindow: session\ngap: 1m\ncondition: {gte: 1}"),
        &expect![[r#"
            6:3: warning R072 [C] `window`
              `window: session` is not evaluated
              help: remove the line: windows slide; as it stands, the correlation is listed as not running
            7:3: warning R072 [C] `gap`
              `gap: 1m` is not evaluated
              help: remove the line: windows slide; as it stands, the correlation is listed as not running
            3 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\nwindow: sliding\ncondition: {gte: 1}"),
        &expect![[r#"
            3 loaded
        "#]],
    );
    check(
        &counting("timespan: 5m\nwindow: tumbling\ncondition: {gte: 1}"),
        &expect![[r#"
            6:3: warning R072 [C] `window`
              `window: tumbling` is not evaluated
              help: remove the line: windows slide; as it stands, the correlation is listed as not running
            3 loaded
        "#]],
    );
}

#[test]
fn lines_without_effect_are_told() {
    check(
        &format!(
            "logsource: {{product: linux}}\ngenerate: true\n{}",
            counting("timespan: 5m\ncondition: {gte: 1}\ngenerate: false")
        ),
        &expect![[r#"
            1:1: warning R028 [C] `logsource`
              a correlation has no log source
              help: remove it; the rules that are correlated have theirs
            2:1: warning R028 [C] `generate`
              `generate` stands in `correlation` too, whose value is used
              help: remove the line
            3 loaded
        "#]],
    );
}

#[test]
fn documents_of_one_set_are_of_one_version() {
    check(
        &format!(
            "sigma-version: 1\n{}",
            counting("timespan: 5m\ncondition: {gte: 1}")
        ),
        &expect![[r#"
            5:10: warning R027 [C] `one`
              `one` is written for Sigma 2, this for Sigma 1
              help: give both the same `sigma-version`
            3 loaded
        "#]],
    );
    check(
        &format!(
            "sigma-version: 1\n{}",
            filter("rules: any\ns: {a: b}\ncondition: not s")
        ),
        &expect![[r#"
            5:3: warning R027 [F] `rules`
              `one` is written for Sigma 2, this for Sigma 1
              help: give both the same `sigma-version`
            3 loaded
        "#]],
    );
}

#[test]
fn actions_do_not_go_with_correlations_and_filters() {
    check(
        "action: global\ntitle: C\ncorrelation: {}\n---\naction: repeat\ntitle: F\nfilter: {}\n---\naction: correlation\ntitle: C\ncorrelation: {}\n---\naction: reset\ntitle: C\ncorrelation: {}\n",
        &expect![[r#"
            1:9: error R017 [C] `global`
              `action: global` is for rules, this is a correlation
              help: remove it; correlations and filters are written out
            5:9: error R017 [F] `repeat`
              `action: repeat` is for rules, this is a filter
              help: remove it; correlations and filters are written out
            9:9: error R017 [C] `correlation`
              `action: correlation` was removed from Sigma
              help: remove it; the attribute `correlation` is enough
            15:1: error R010 [C] `correlation`
              the correlation has no `type`
              help: add a line such as `type: event_count`
            15:1: error R010 [C] `correlation`
              the correlation has no `rules`
              help: add a line such as `rules: [name of a rule]`
            15:1: error R010 [C] `correlation`
              the correlation has no `timespan`
              help: add a line such as `timespan: 5m`
            0 loaded
        "#]],
    );
}

#[test]
fn a_filter_has_what_it_needs() {
    check(
        "filter: {}\n",
        &expect![[r#"
            1:1: error R010 [-] `filter`
              the filter has no `rules`
              help: add a line such as `rules: [name of a rule]`
            1:1: error R030 [-] `filter`
              the filter has no search identifier beside the condition
              help: add a selection, such as `selection: {Image|endswith: /nc}`
            1:1: error R010 [-] `filter: {}`
              the filter has no `title`
              help: add a line such as `title: Netcat listens`
            1:1: error R010 [-] `filter: {}`
              the filter has no `logsource`
              help: add a line such as `logsource: {product: linux, category: process_creation}`
            0 loaded
        "#]],
    );
    check(
        "title: F\nlogsource: {product: linux}\nfilter:\n",
        &expect![[r#"
            3:7: error R011 [F] ``
              `filter` must be a map, this is null
              help: give the attribute a value of the kind that is asked for
            0 loaded
        "#]],
    );
    check(
        &filter("rule: any\ns: {a: b}\ncondition: not s"),
        &expect![[r#"
            3:1: error R010 [F] `filter`
              the filter has no `rules`
              help: is `rule` meant to be it?
            4:3: warning R057 [F] `rule`
              the condition never looks at `rule`
              help: name it in the condition, remove it, or begin its name with `_` to keep it aside
            2 loaded
        "#]],
    );
    check(
        &filter("rules: any\ncondition: not s"),
        &expect![[r#"
            3:1: error R030 [F] `filter`
              the filter has no search identifier beside the condition
              help: add a selection, such as `selection: {Image|endswith: /nc}`
            2 loaded
        "#]],
    );
    check(
        &filter("rules: any\ns: {a: b}"),
        &expect![[r#"
            3:1: error R050 [F] `filter`
              the filter has no `condition`
              help: add a condition, such as `condition: selection`
            2 loaded
        "#]],
    );
    check(
        &filter("rules: any\ns: {a: b}\ncondition: [not s]"),
        &expect![[r#"
            6:14: error R051 [F] `[not s]`
              a condition must be a string, this is a list
              help: combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`
            2 loaded
        "#]],
    );
    check(
        &filter("rules: []\ns: {a: b}\ncondition: not s"),
        &expect![[r#"
            4:10: error R011 [F] `[]`
              `rules` is an empty list
              help: name at least one rule by its id or name
            2 loaded
        "#]],
    );
    check(
        &filter("rules: {a: b}\ns: {a: b}\ncondition: not s"),
        &expect![[r#"
            4:10: error R011 [F] `{a: b}`
              `rules` must be `any` or a list of ids and names, this is a map
              help: give the attribute a value of the kind that is asked for
            2 loaded
        "#]],
    );
    check(
        &filter("rules: [5]\ns: {a: b}\ncondition: not s"),
        &expect![[r#"
            4:11: error R011 [F] `5`
              `rules` must name rules by id or name, this is a number
              help: give the attribute a value of the kind that is asked for
            2 loaded
        "#]],
    );
}

#[test]
fn rules_that_a_filter_does_not_find_are_told() {
    check(
        &format!(
            "{}---\ntitle: C\nname: C\ncorrelation: {{type: temporal, rules: two, timespan: 5m}}\n---\ntitle: bad\nname: bad\n---\ntitle: G\nname: G\nlogsource: {{product: linux}}\nfilter: {{rules: any, s: {{a: b}}, condition: not s}}\n",
            filter("rules: [one, tow, any, C, bad, G]\ns: {a: b}\ncondition: not s")
        ),
        &expect![[r#"
            4:16: warning R080 [F] `tow`
              there is no rule `tow`
              help: did you mean `two`?
            4:21: warning R080 [F] `any`
              no rule is called `any`
              help: write `rules: any` for all rules of the log source
            4:26: warning R080 [F] `C`
              `C` is a correlation, which no filter reaches
              help: name the rules that it reads
            4:29: warning R080 [F] `bad`
              `bad` is not loaded
              help: mend its error R010 at rule.yml:28:1 first
            4:34: warning R080 [F] `G`
              `G` is a filter
              help: name a loaded rule by its `id` or `name`
            28:1: error R010 [bad] `title: bad`
              the rule has no `logsource`
              help: add a line such as `logsource: {product: linux, category: process_creation}`
            28:1: error R010 [bad] `title: bad`
              the rule has no `detection`
              help: add a line such as `detection: {selection: {Image|endswith: /nc}, condition: selection}`
            5 loaded
        "#]],
    );
}

#[test]
fn a_filter_does_not_reach_rules_of_other_log_sources() {
    check(
        &filter("rules: [one, two]\ns: {a: b}\ncondition: not s").replacen(
            "linux",
            "linux, service: sshd",
            1,
        ),
        &expect![[r#"
            4:3: warning R082 [F] `rules`
              the filter reaches no rule
              help: mend `rules` or the log source: it applies to rules that the one names and that have the other
            4:11: warning R081 [F] `one`
              `one` is a rule for another log source
              help: the rule has `product: linux`; let the filter have no more
            4:16: warning R081 [F] `two`
              `two` is a rule for another log source
              help: the rule has `product: linux`; let the filter have no more
            3 loaded
        "#]],
    );
}

#[test]
fn a_filter_that_reaches_no_rule_is_told() {
    check(
        &filter("rules: any\ns: {a: b}\ncondition: not s").replacen("linux", "windows", 1),
        &expect![[r#"
            4:3: warning R082 [F] `rules`
              the filter reaches no rule
              help: mend `rules` or the log source: it applies to rules that the one names and that have the other
            3 loaded
        "#]],
    );
}

#[test]
fn a_filter_without_not_is_told() {
    check(
        &filter("rules: any\ns: {a: b}\ncondition: s"),
        &expect![[r#"
            6:14: warning R083 [F] `s`
              the filter keeps only what its condition selects, and removes all else
              help: to remove what `s` selects, write `not s`
            3 loaded
        "#]],
    );
    check(
        &filter("rules: any\ns: {a: b}\nt: {a: c}\ncondition: 1 of them"),
        &expect![[r#"
            7:14: warning R083 [F] `1 of them`
              the filter keeps only what its condition selects, and removes all else
              help: to remove what it selects, write `not` before it
            3 loaded
        "#]],
    );
    check(
        &filter("rules: any\ns: {a|neq: b}\ncondition: s"),
        &expect![[r#"
            3 loaded
        "#]],
    );
}

#[test]
fn a_filter_sees_its_own_selections_alone() {
    check(
        &filter("rules: any\nt: {a: b}\ncondition: not s"),
        &expect![[r#"
            6:18: error R052 [F] `s`
              there is no selection `s`
              help: the selections are `t`
            2 loaded
        "#]],
    );
}

/// The texts of this file and its neighbours, read as text: each code must stand in one of the expectations.
#[test]
fn every_code_is_shown_here() {
    let texts = [
        include_str!("diagnostics.rs"),
        include_str!("fixtures.rs"),
        include_str!("lints.rs"),
    ];
    let words = texts.iter().flat_map(|text| text.split([' ', '\n', '"']));
    let shown: BTreeSet<&str> = words.filter(|word| word.starts_with(['R', 'T'])).collect();
    let missing: Vec<_> = CODES
        .iter()
        .filter(|code| !shown.contains(code.code))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn codes_are_unique_and_ascend() {
    let codes: Vec<&str> = CODES.iter().map(|code| code.code).collect();
    assert!(codes.is_sorted_by(|left, right| left < right), "{codes:?}");
    let names: BTreeSet<&str> = CODES.iter().map(|code| code.name).collect();
    assert_eq!(names.len(), CODES.len());
}
