//! Whatever a file holds, loading ends, quickly, and says where the fault is.
#![cfg(test)]
#![expect(
    clippy::format_push_string,
    reason = "a panic fails the test; speed does not matter"
)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sigma::harness::rules;
use sigma::yaml::FILE_BYTES_MAX;
use sigma::{Loaded, SourceFile, load};

const RULE: &str = "title: Netcat 'Ünïcödé'
id: 5f3c7f0e-3a55-4a8e-9a3b-1d4d6a0c1b7e
status: test
tags: [attack.t1059]
logsource:
    product: linux
    category: process_creation
detection:
    selection_a: &a
        Image|endswith:
            - '/nc'
            - \"/ncat\\t\"
        CommandLine|windash|contains|all: [' -l', ' -p -q -r']
    selection_b:
        - '|re|i': 'a{1,3}(b|c)+$'
        - keyword
        - pid: 0x17
    filter: *a
    condition: all of selection_* and not (filter or 1 of sel*_b)
falsepositives: >
    none
level: high
---
action: repeat
title: Other
";

const LINKED: &str = "title: Outer
id: outer
generate: true
correlation: {type: temporal_ordered, rules: [inner, one, inner], timespan: 1w, window: session}
---
title: Innér
name: inner
correlation:
    type: temporal
    rules: [one, id-2]
    timespan: 5m
    group-by: [user, host]
    aliases:
        user: {one: src_user, two: \"dst.user\"}
        host: {id-2: node}
    condition: one and (not id-2 or one)
    generate: true
---
title: Values
correlation:
    type: value_percentile
    rules: two
    timespan: 1M
    condition: {gte: 0x10, lt: 5.5e3, field: size, percentile: 99}
---
title: Filter
logsource: {product: linux}
filter: {rules: [one, inner, gone], s: &s {User: root}, t: [*s, word], condition: s or 1 of t*}
---
title: Any
logsource: {category: process_creation}
filter: {rules: any, s|t: {'f|re|i': a+}, condition: not s|t}
---
title: One
name: one
logsource: {product: linux, category: process_creation}
detection: {s: {a: b}, condition: s}
---
action: repeat
title: Two
name: two
id: id-2
";

fn source(text: &str) -> SourceFile {
    SourceFile {
        name: "rule.yml".into(),
        text: text.into(),
    }
}

fn load_text(text: &str) -> Loaded {
    load(&[source(text)])
}

/// Characters that mean something to YAML or Sigma, and some that do to UTF-8.
fn characters() -> impl Strategy<Value = String> {
    let marks = "\n\n  :-|*?&!'\"[]{}#%@,\\\t\r\0éa0x~><.()=🦀\u{feff}\u{85}\u{2028}";
    let marks: Vec<char> = marks.chars().collect();
    prop::collection::vec(prop::sample::select(marks), 0..60)
        .prop_map(|characters| characters.into_iter().collect())
}

/// Where to cut, how many characters to drop, what to put there.
type Edit = (prop::sample::Index, usize, String);

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, dropped, inserted) in edits {
        let at = at.index(text.len() + 1);
        let end = (at + dropped).min(text.len());
        text.splice(at..end, inserted.chars());
    }
    text.into_iter().collect()
}

proptest! {
    #[test]
    fn random_characters_never_panic(text in characters()) {
        rules(text.as_bytes());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        rules(&bytes);
    }

    #[test]
    fn edited_rules_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, characters()), 1..4),
        text in prop::sample::select(vec![RULE, LINKED])
    ) {
        rules(edited(text, &edits).as_bytes());
    }

    /// What stands before a document in its file does not change it.
    #[test]
    fn a_document_is_read_alone(before in characters()) {
        let good = RULE.split("---").next().unwrap_or_default();
        // Comments and directives alone would belong to the document below them.
        let text = format!("{before}\nx\n---\n{good}");
        let after = load_text(&text);
        prop_assert!(after.rules.iter().any(|rule| rule.attributes.title.starts_with("Netcat")), "{:?}", after.diagnostics);
    }
}

#[test]
fn the_rule_that_is_edited_is_sound() {
    let loaded = load_text(RULE);
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    // The repeat inherits the id; what is wrong with what it inherits is said once. Its condition asks the same twice.
    assert_eq!(
        errors,
        ["R014", "R044", "R103", "R102", "R012"],
        "{:#?}",
        loaded.diagnostics
    );
    assert_eq!(loaded.rules.len(), 1);
}

/// Each of these repeats to a large file; a quadratic step would take minutes.
#[test]
fn load_time_is_linear() {
    let snippets = [
        "- ",
        "[",
        "{a: ",
        "a: b\n",
        "&a ",
        "*a ",
        "? ",
        "---\n",
        "...\n",
        "\"",
        "'",
        "a: |\n x\n",
        "%",
        "#\n",
        "\t",
        "é",
        "- &a b\n- *a\n",
        "? a\n: b\n",
        "a b\n",
        "[a, ",
        "- é: x\n",
        "---\naction: repeat\n",
        "\r",
        "!!str ",
        ">\n",
    ];
    let rule = "title: T\nlogsource: {product: linux}\ndetection:\n";
    let mut texts: Vec<String> = snippets
        .iter()
        .map(|snippet| snippet.repeat(200_000 / snippet.len()))
        .collect();
    let lines = |line: &str| line.repeat(200_000 / line.len());
    texts.push(format!(
        "{rule}  s:\n    f|windash|contains|all:\n{}  condition: s\n",
        lines("    - ' -x /y'\n")
    ));
    texts.push(format!(
        "{rule}  s: {{a: b}}\n  condition: {}s\n",
        "s and ".repeat(10_000)
    ));
    texts.push(format!(
        "{rule}  s: {{a: b}}\n  condition: {}s\n",
        "not ".repeat(10_000)
    ));
    texts.push(format!(
        "{rule}  s: {{'f|re': '{}'}}\n  condition: s\n",
        r"\w".repeat(8_000)
    ));
    texts.extend(linked_texts());
    for text in texts {
        let start = Instant::now();
        load_text(&text);
        let head: String = text.chars().take(20).collect();
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{head:?} took {:?}",
            start.elapsed()
        );
    }
}

/// Many documents that refer to one another in every bad way.
fn linked_texts() -> Vec<String> {
    let correlation = |name: &str, lines: &str| {
        format!("---\ntitle: {name}\nname: {name}\ncorrelation: {{timespan: 1m, {lines}}}\n")
    };
    let rule =
        "title: T\nname: one\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n";
    let chain = |step: usize, count: usize| {
        let link = |at| {
            let read = (at + step) % count;
            correlation(
                &format!("c{at}"),
                &format!("type: temporal, rules: [c{read}]"),
            )
        };
        (0..count).map(link).collect::<String>()
    };
    let rules = (0..2_000).map(|at| format!("---\n{}", rule.replace("one", &format!("r{at}"))));
    let any = "---\ntitle: F\nlogsource: {product: linux}\nfilter: {rules: any, s: {a: b}, condition: not s}\n";
    let names: Vec<String> = (0..1_000).map(|at| format!("r{at}")).collect();
    let all = names.join(", ");
    // A hundred correlations of all rules with a condition over these names.
    let of_all = |condition: &str| {
        let lines = format!("type: temporal, rules: [{all}], condition: {condition}");
        let correlations = (0..100).map(|at| correlation(&format!("c{at}"), &lines));
        rules.clone().chain(correlations).collect()
    };
    vec![
        // A circle, and a chain whose first link is missing.
        chain(1, 20_000),
        chain(1, 20_000).replace("name: c0\n", "name: gone\n"),
        // Each asks for something that is not there.
        chain(1, 20_000).replace("rules: [c", "rules: [x"),
        // More filters on more rules than are let in.
        rules.clone().chain([any.repeat(5_000)]).collect(),
        of_all(&names.join(" and ")),
        of_all(&names.join(" or x-").replace(" r", " x-r")),
        correlation(
            "c",
            &format!("type: temporal, condition: {}x", "not ".repeat(10_000)),
        ),
        format!(
            "{rule}{}",
            correlation(
                "c",
                &format!("type: event_count, rules: one, group-by: [{all}]")
            )
        ),
    ]
}

#[test]
fn the_documents_that_are_edited_are_linked() {
    let loaded = load_text(LINKED);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(
        codes,
        ["R072", "R044", "R080", "R080", "R083", "R052", "R056"]
    );
    let counts = (
        loaded.rules.len(),
        loaded.correlations.len(),
        loaded.filters.len(),
    );
    assert_eq!(counts, (2, 3, 1), "{:#?}", loaded.diagnostics);
}

#[test]
fn filters_fill_rules_up_to_a_limit() {
    let filter = |at: usize| {
        let values: Vec<String> = (0..100).map(|value| format!("v{value}")).collect();
        let values = values.join(", ");
        format!(
            "---\ntitle: F{at}\nlogsource: {{product: linux}}\nfilter: {{rules: any, s: {{a: [{values}]}}, condition: not s}}\n"
        )
    };
    let rule = |at: usize| {
        format!(
            "---\ntitle: R{at}\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n"
        )
    };
    let small = "---\ntitle: small\nlogsource: {product: linux}\nfilter: {rules: any, s: {a: b}, condition: not s}\n";
    let text: String = (0..1_000).map(rule).chain((0..20).map(filter)).collect();
    let loaded = load_text(&format!("{text}{small}"));
    let refused: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|found| (found.code, found.rule.as_deref()))
        .collect();
    assert_eq!(refused.len(), 11);
    assert_eq!(refused[0], ("R002", Some("F9")));
    assert_eq!(
        loaded.filters.last().unwrap().attributes.title,
        "small",
        "it still fits"
    );
    assert!(loaded.rules.iter().all(|rule| rule.filters.len() == 10));
}

#[test]
fn aliases_do_not_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 8].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let loaded = load_text(&text);
    assert_eq!(loaded.diagnostics[0].code, "R002");
}

#[test]
fn a_file_beyond_the_limit_is_refused_by_name() {
    let loaded = load(&[source(&" ".repeat(FILE_BYTES_MAX + 1))]);
    assert_eq!(loaded.diagnostics[0].code, "R002");
    assert_eq!(&*loaded.diagnostics[0].place.file, "rule.yml");
}

/// The longest list of the public corpus has 4,432 values.
#[test]
fn long_lists_of_values_load() {
    let values = "      - 'a value'\n".repeat(100_000);
    let text = format!(
        "title: T\nlogsource: {{product: linux}}\ndetection:\n  s:\n    f|contains:\n{values}  condition: s\n"
    );
    assert_eq!(load_text(&text).rules.len(), 1);
}
