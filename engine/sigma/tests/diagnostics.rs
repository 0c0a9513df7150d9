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
    (loaded.rules.len(), loaded.diagnostics)
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
    let (rules, diagnostics) = load_text(text);
    let mut shown: String = diagnostics
        .iter()
        .map(|diagnostic| show(text, diagnostic))
        .collect();
    shown += &format!("{rules} loaded\n");
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

#[test]
fn yaml_that_does_not_parse_is_told_at_its_line() {
    check(
        "title: [a\nid: x\n",
        &expect![[r#"
        2:3: error R001 [x] ``
          not YAML: illegal placement of ':' indicator
        0 loaded
    "#]],
    );
    check(
        "title: a\n\tid: x\n",
        &expect![[r#"
        1:8: error R001 [a] ``
          not YAML: while scanning a plain scalar, found a tab
        0 loaded
    "#]],
    );
    check(
        "title: a\0b\n",
        &expect![[r#"
            1:9: error R001 [-] ``
              a NUL character, which YAML does not allow
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
            0 loaded
        "#]],
    );
    check(
        &items(&format!("f|windash|base64: '{}'", "-a ".repeat(5))),
        &expect![[r#"
            5:23: error R002 [T] `'-a -a -a -a -a '`
              `windash` with an encoding takes at most 4 dashes
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
        1:1: error R010 [a] `title: T`
          the rule has no `detection`
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
            1:1: error R010 [T] `title: !!int T`
              the rule has no `detection`
            1:8: error R004 [T] `!!int T`
              the tag `!!int` does not fit this value
            0 loaded
        "#]],
    );
    check(
        "title: !python/object x\n",
        &expect![[r#"
            1:1: error R010 [x] `title: !python/object x`
              the rule has no `logsource`
            1:1: error R010 [x] `title: !python/object x`
              the rule has no `detection`
            1:8: error R004 [x] `!python/object x`
              the tag `!python/object` is not of YAML's core schema
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
            1:1: error R010 [-] `a: &x {b: c}`
              the rule has no `logsource`
            1:1: error R010 [-] `a: &x {b: c}`
              the rule has no `detection`
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
        1:1: error R010 [x] `id: x`
          the rule has no `logsource`
        1:1: error R010 [x] `id: x`
          the rule has no `detection`
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
            2:7: error R011 [-] `5`
              the name must be a non-empty string, this is a number
              help: other documents refer to the rule by it; quote it or remove it
            4:12: error R011 [-] `text`
              `detection` must be a map, this is a string
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
              label: this is a string
              help: the rule is loaded without it
            2:9: warning R012 [T] `[a]`
              `status` must be one of stable, test, experimental, deprecated or unsupported
              label: this is a list
              help: the rule is loaded without it
            3:7: warning R012 [T] `2024-02-30`
              `date` must be a date YYYY-MM-DD
              label: this is a string
              help: the rule is loaded without it
            4:9: warning R012 [T] `[a, b]`
              `author` must be a string
              label: this is a list
              help: the rule is loaded without it
            5:13: warning R012 [T] `text`
              `references` must be a list of strings
              label: this is a string
              help: the rule is loaded without it
            6:8: warning R012 [T] `attack.T1059`
              the tag `attack.T1059` is not `namespace.value` in lower case
            6:22: warning R012 [T] `foo.bar`
              Sigma has no tag namespace `foo`
            7:25: warning R012 [T] `same`
              `related` must be of a type among derived, obsolete, merged, renamed, similar
              label: this is a string
              help: the rule is loaded without it
            7:32: warning R012 [T] `y`
              `related` must be a list of maps with `id` and `type`
              label: this is a string
              help: the rule is loaded without it
            8:14: warning R012 [T] `5`
              `description` must be a string
              label: this is a number
              help: the rule is loaded without it
            9:9: warning R012 [T] `{}`
              `scope` must be a list of strings
              label: this is a map
              help: the rule is loaded without it
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
          another rule is known as `T`
          help: give each an `id`; the first is at rule.yml:1
        2 loaded
    "#]],
    );
}

#[test]
fn other_kinds_of_documents_do_not_vanish() {
    check(
        "title: C\nid: c\ncorrelation: {type: event_count}\n---\ntitle: F\nlogsource: {product: linux}\nfilter: {rules: any}\n",
        &expect![[r#"
            1:1: error R016 [c] `title: C`
              correlations are not supported yet
            5:1: error R016 [F] `title: F`
              filters are not supported yet
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
          help: versions up to 2 are
        0 loaded
    "#]],
    );
    check(
        &attributes("sigma-version: newest"),
        &expect![[r#"
        1:16: error R019 [T] `newest`
          version `newest` of Sigma is not implemented
          help: versions up to 2 are
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
            5:3: error R031 [T] `t`
              `t` holds nothing to look for
            6:3: error R031 [T] `u`
              `u` holds nothing to look for
            7:7: error R031 [T] `{}`
              `v` holds nothing to look for
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
            6:8: error R033 [T] `{e: f}`
              a map stands where a single value is expected
            0 loaded
        "#]],
    );
    check(
        &rule("  s: [[a]]\n  condition: s\n"),
        &expect![[r#"
            4:7: error R033 [T] `[a]`
              a list stands inside of a list of alternatives
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
            6:18: error R035 [T] `endswith`
              `endswith` comes after another of contains, startswith, endswith
            7:16: error R035 [T] `re`
              `re` cannot follow `contains`
              help: `re` comes first
            8:7: error R035 [T] `i`
              `i` comes after `re`
            9:10: error R035 [T] `contains`
              `contains` does not go with a modifier that changes the kind of value
            10:16: error R035 [T] `base64offset`
              `base64offset` comes after `contains`
              help: encode first: `base64offset|contains`
            11:14: error R035 [T] `all`
              `exists` stands alone
            12:11: error R035 [T] `exists`
              `exists` cannot follow `all`
              help: `exists` stands alone
            13:10: error R035 [T] `fieldref`
              `fieldref` cannot follow another modifier that changes the kind of value
            14:12: error R035 [T] `cased`
              `cased` does not go with a modifier that changes the kind of value
            15:14: error R035 [T] `windash`
              `windash` comes after an encoding
              help: put `windash` first
            16:10: error R035 [T] `gt`
              `gt` cannot follow another modifier that changes the kind of value
            17:7: error R035 [T] `exists`
              `exists` needs a field
            18:7: error R035 [T] `startswith`
              `startswith` needs a field; keywords are searched inside of values
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
            6:15: error R036 [T] `yes`
              `exists` takes `true` or `false`
              label: this is a string
            7:11: error R036 [T] `text`
              numeric modifiers take unquoted numbers
              label: this is a string
            8:10: error R036 [T] ``
              numeric modifiers take unquoted numbers
              label: this is null
            9:12: error R036 [T] `true`
              numeric modifiers take unquoted numbers
              label: this is a boolean
            10:13: error R036 [T] `1.5`
              parts of a date are whole numbers
              label: this is a number
            11:13: error R036 [T] `5`
              `cidr` takes a network such as 10.0.0.0/8
              label: this is a number
            12:9: error R036 [T] ``
              `re` takes a regular expression
              label: this is null
            13:17: error R036 [T] `a*`
              `fieldref` takes the name of a field, without wildcards
            14:5: error R003 [T] `a|fieldref`
              the key `a|fieldref` stands here a second time
              help: the first is in line 13; join the two or rename one
            15:15: error R036 [T] `a*b`
              Base64 of a wildcard is not known
            16:5: error R003 [T] `a|base64`
              the key `a|base64` stands here a second time
              help: the first is in line 15; join the two or rename one
            17:20: error R036 [T] `a`
              UTF-16 cannot follow another encoding to UTF-16
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
        6:14: error R037 [T] `9999999999`
          decimal literal invalid
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
          help: give it values in the configuration, or name an asset label of the inventory
        5:27: error R040 [T] `%Admins%`
          the placeholder `%Admins%` has no source of values
          help: give it values in the configuration, or name an asset label of the inventory
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
            5:5: warning R042 [T] `a|contains|all`
              `all` has only one value to demand
              help: remove `all`, or add values
            6:5: warning R042 [T] `c|contains|all`
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
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition:\n"),
        &expect![[r#"
        5:12: error R050 [T] ``
          the condition is empty
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: ' '\n"),
        &expect![[r#"
        5:14: error R050 [T] `' '`
          the condition is empty
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: []\n"),
        &expect![[r#"
        5:3: error R050 [T] `condition`
          the list of conditions is empty
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
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s)\n"),
        &expect![[r#"
        5:15: error R051 [T] `)`
          this bracket closes nothing
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: and s\n"),
        &expect![[r#"
        5:14: error R051 [T] `and`
          a selection is missing before `and`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: not\n"),
        &expect![[r#"
        5:17: error R051 [T] ``
          the condition ends where a selection is expected
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s or or s\n"),
        &expect![[r#"
        5:19: error R051 [T] `or`
          a selection is missing before `or`
        0 loaded
    "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: ()\n"),
        &expect![[r#"
        5:15: error R051 [T] `)`
          a selection is missing before this bracket
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
            0 loaded
        "#]],
    );
    check(
        &rule("  s: {a: b}\n  condition: s and (s or)\n"),
        &expect![[r#"
            5:25: error R051 [T] `)`
              a selection is missing before this bracket
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
              help: write a correlation instead
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
            1 loaded
        "#]],
    );
}

/// The texts of this file, read as text: each code must stand in one of the expectations.
#[test]
fn every_code_is_shown_here() {
    let shown: BTreeSet<&str> = include_str!("diagnostics.rs")
        .split([' ', '\n', '"'])
        .filter(|word| word.starts_with('R'))
        .collect();
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
