//! What makes a well-formed rule mean something else than was thought: for each warning what it is given for, and what
//! looks like it and is sound.
#![cfg(test)]

use sigma::{SourceFile, load};

/// The codes, with the places, that a rule of this detection is told.
fn codes(detection: &str) -> Vec<String> {
    let text = format!("title: T\nlogsource: {{product: linux}}\ndetection:\n{detection}");
    let file = SourceFile {
        name: "rule.yml".into(),
        text: text.into(),
    };
    let loaded = load(&[file]);
    assert_eq!(
        loaded.rules.len(),
        1,
        "{detection}: {:#?}",
        loaded.diagnostics
    );
    let told = loaded.diagnostics.iter();
    told.map(|told| {
        format!(
            "{} {}:{}",
            told.code,
            told.place.line - 3,
            told.place.column
        )
    })
    .collect()
}

/// What a rule with these selections and this condition is told.
fn condition(selections: &[&str], condition: &str) -> Vec<String> {
    let values = (0..).zip(selections);
    let lines = values.map(|(value, name)| format!("  {name}: {{f: v{value}}}\n"));
    let lines = lines.collect::<Vec<_>>().concat();
    codes(&format!("{lines}  condition: {condition}\n"))
}

/// What these lines of a selection are told.
fn items(lines: &[&str]) -> Vec<String> {
    let lines = lines.join("\n    ");
    codes(&format!("  s:\n    {lines}\n  condition: s\n"))
}

const NOTHING: [&str; 0] = [];

#[test]
fn selections_that_cannot_turn_the_condition_are_told() {
    assert_eq!(condition(&["a", "b"], "a or a and b"), ["R101 2:3"]);
    assert_eq!(condition(&["a", "b"], "[a, a and b]"), ["R101 2:3"]);
    assert_eq!(
        condition(&["sel_a", "sel_b"], "1 of sel_* or all of sel_*"),
        NOTHING
    );
    assert_eq!(
        condition(
            &["a", "b", "c"],
            "(a and b) or (a and not b) or (c and not c)"
        ),
        ["R101 2:3", "R101 3:3"]
    );
    assert_eq!(condition(&["a", "b"], "a and b"), NOTHING);
    assert_eq!(
        condition(&["a", "b"], "a and b or not a and not b"),
        NOTHING
    );
    // Too many to try.
    let many: Vec<String> = (0..13).map(|n| format!("s{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(condition(&many, "1 of s* or s0"), NOTHING);
}

#[test]
fn conditions_that_always_or_never_hold_are_told() {
    assert_eq!(condition(&["a"], "a and not a"), ["R102 2:14"]);
    assert_eq!(condition(&["a"], "a or not a"), ["R102 2:14"]);
    assert_eq!(
        condition(&["sel_a", "sel_b"], "all of sel_* and not 1 of sel_*"),
        ["R102 3:14"]
    );
    assert_eq!(condition(&["a", "b"], "a and not b"), NOTHING);
}

#[test]
fn a_selection_that_only_a_pattern_names_is_used() {
    assert_eq!(condition(&["sel_a", "sel_b"], "1 of sel*"), NOTHING);
    assert_eq!(condition(&["sel_a", "other"], "1 of sel*"), ["R057 2:3"]);
    assert_eq!(condition(&["sel_a", "_kept"], "1 of sel*"), NOTHING);
}

#[test]
fn filters_without_not_are_told() {
    assert_eq!(
        condition(&["a", "filter_b"], "a and filter_b"),
        ["R100 2:3"]
    );
    assert_eq!(condition(&["a", "filter_b"], "a and not filter_b"), NOTHING);
    assert_eq!(
        condition(&["a", "filter_b"], "not (a or 1 of filter_*)"),
        NOTHING
    );
    // Once with and once without is no slip.
    assert_eq!(
        condition(
            &["a", "b", "filter_c"],
            "a and not filter_c or b and filter_c"
        ),
        NOTHING
    );
    assert_eq!(condition(&["a", "unfiltered"], "a and unfiltered"), NOTHING);
}

#[test]
fn selections_that_ask_the_same_are_told() {
    let same = "  a: {f: x, g: [y, z]}\n  b: {f: x, g: [y, z]}\n  condition: a or b\n";
    assert_eq!(codes(same), ["R103 2:3"]);
    let other = "  a: {f: x, g: [y, z]}\n  b: {f: x, g|cased: [y, z]}\n  condition: a or b\n";
    assert_eq!(codes(other), NOTHING);
    let aside = "  a: {f: x}\n  _b: {f: x}\n  condition: a\n";
    assert_eq!(codes(aside), NOTHING);
}

#[test]
fn missing_and_present_at_once_is_told() {
    assert_eq!(items(&["f: null", "f|contains: x"]), ["R104 2:5"]);
    assert_eq!(items(&["f|exists: false", "f: x"]), ["R104 2:5"]);
    assert_eq!(items(&["f: null", "g: x"]), NOTHING);
    assert_eq!(items(&["f|exists: true", "f: x"]), NOTHING);
    assert_eq!(items(&["f: null", "f|neq: x"]), NOTHING);
    assert_eq!(items(&["f: null", "f|contains|neq: x"]), NOTHING);
}

#[test]
fn values_that_another_covers_are_told() {
    assert_eq!(items(&["f|contains: [foo, xfoox]"]), ["R105 2:23"]);
    assert_eq!(items(&["f: ['*foo*', foo]"]), ["R105 2:18"]);
    assert_eq!(items(&["f|endswith: [/sh, /bin/sh, /bash]"]), ["R105 2:23"]);
    assert_eq!(items(&["f|startswith: [/tmp/x, /tmp/]"]), ["R105 2:20"]);
    assert_eq!(items(&["f: [a, A]"]), ["R105 2:12"]);
    assert_eq!(items(&["f: [a, a]"]), ["R105 2:12"]);
    assert_eq!(codes("  k: [foo, food]\n  condition: k\n"), ["R105 1:12"]);
    assert_eq!(items(&["f|cased: [a, A]"]), NOTHING);
    assert_eq!(items(&["f: [foo, food, 'f?o']"]), NOTHING);
    assert_eq!(items(&["f|contains|all: [foo, food]"]), NOTHING);
    assert_eq!(items(&["f|re: [foo, food]"]), NOTHING);
    assert_eq!(items(&["f|base64offset|contains: [foo, food]"]), NOTHING);
}

#[test]
fn wildcards_in_regular_expressions_are_told() {
    assert_eq!(items(&["f|re: /tmp/*.sh"]), ["R106 2:16"]);
    assert_eq!(items(&["f|re: 'curl *sh'"]), ["R106 2:17"]);
    assert_eq!(items(&["f|re: /tmp/.*sh"]), NOTHING);
    assert_eq!(items(&["f|re: 'a\\s*b'"]), NOTHING);
    assert_eq!(items(&["f|re: '^/tmp/*$'"]), NOTHING);
    assert_eq!(items(&["f|re: '[ab]*c'"]), NOTHING);
}

#[test]
fn regular_expressions_in_plain_values_are_told() {
    assert_eq!(items(&[r"f|contains: 'port \d+'"]), ["R107 2:23"]);
    assert_eq!(items(&["f: '^/bin/.*'"]), ["R107 2:9"]);
    assert_eq!(items(&["f: '^/bin/sh$'"]), ["R107 2:9"]);
    assert_eq!(items(&["f|contains: '.*evil'"]), ["R107 2:18"]);
    assert_eq!(items(&["f|contains: '(?:a|b)'"]), ["R107 2:18"]);
    assert_eq!(items(&["f: '127.*'"]), NOTHING);
    assert_eq!(items(&[r"f: 'C:\data\*x'"]), ["R109 2:16"]);
    assert_eq!(
        items(&["f|contains: ['$(', 'ADMIN$', '^H', ' | sh', '[0]', '{0}{1}']"]),
        NOTHING
    );
    assert_eq!(items(&[r"f|re: 'port \d+'"]), NOTHING);
}

#[test]
fn wildcards_that_say_nothing_or_undo_the_modifier_are_told() {
    assert_eq!(items(&["f|contains: '*x*'"]), ["R108 2:18"]);
    assert_eq!(items(&["f|startswith: '/tmp/*'"]), ["R108 2:25"]);
    assert_eq!(items(&["f|startswith: '*/tmp'"]), ["R108 2:20"]);
    assert_eq!(items(&["f|endswith: '.sh*'"]), ["R108 2:21"]);
    assert_eq!(items(&["f|contains: 'a*b'"]), NOTHING);
    assert_eq!(items(&[r"f|contains: '\*x\*'"]), NOTHING);
    assert_eq!(items(&["f: '*x*'"]), NOTHING);
    assert_eq!(items(&["f|contains: '*'"]), NOTHING);
    assert_eq!(codes("  k: ['*foo*']\n  condition: k\n"), NOTHING);
}

#[test]
fn wildcards_behind_a_folder_of_windows_are_told() {
    assert_eq!(items(&[r"f: 'C:\Users\*'"]), ["R109 2:17"]);
    assert_eq!(items(&[r"f|contains: '\Temp\*\run'"]), ["R109 2:23"]);
    assert_eq!(items(&[r"f: 'C:\Users\\*'"]), NOTHING);
    assert_eq!(items(&[r"f|contains: '\* \* \* \*'"]), NOTHING);
    assert_eq!(items(&[r"f|contains: 'find / -name \*.pem'"]), NOTHING);
}
