//! Whatever a file holds, loading ends, quickly, and says where the fault is.
#![cfg(test)]
#![expect(
    clippy::string_slice,
    clippy::format_push_string,
    reason = "a panic fails the test; speed does not matter"
)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sigma::yaml::{FILE_BYTES_MAX, Kind, Node, read};
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

fn source(text: &str) -> SourceFile {
    SourceFile {
        name: "rule.yml".into(),
        text: text.into(),
    }
}

fn load_text(text: &str) -> Loaded {
    load(&[source(text)])
}

/// Places lie in the text, on character borders, and on the line that their bytes are on.
fn check_places(text: &str, loaded: &Loaded) {
    for diagnostic in &loaded.diagnostics {
        let (from, to) = (
            diagnostic.place.bytes.0 as usize,
            diagnostic.place.bytes.1 as usize,
        );
        assert!(text.get(from..to).is_some(), "{diagnostic:?} in {text:?}");
        let before = text[..from].replace("\r\n", "\n").replace('\r', "\n");
        let line = before.matches('\n').count() + 1;
        assert_eq!(
            line, diagnostic.place.line as usize,
            "{diagnostic:?} in {text:?}"
        );
    }
}

/// Keys and plain numbers are found in the text where their places say.
fn check_nodes(text: &str, node: &Node) {
    let at = |bytes: (u32, u32)| &text[bytes.0 as usize..bytes.1 as usize];
    match &node.kind {
        Kind::Number(number) => assert!(
            at(node.place.bytes).ends_with(&*number.written),
            "{node:?} in {text:?}"
        ),
        Kind::Sequence(nodes) => nodes.iter().for_each(|node| check_nodes(text, node)),
        Kind::Mapping(entries) => {
            for entry in entries {
                check_nodes(text, &entry.value);
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::String(_) => {
            assert!(
                text.get(node.place.bytes.0 as usize..node.place.bytes.1 as usize)
                    .is_some()
            );
        }
    }
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

fn edited(edits: &[Edit]) -> String {
    let mut text: Vec<char> = RULE.chars().collect();
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
        check_places(&text, &load_text(&text));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        check_places(&text, &load_text(&text));
    }

    #[test]
    fn edited_rules_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, characters()), 1..4)
    ) {
        let text = edited(&edits);
        check_places(&text, &load_text(&text));
        for document in read(&source(&text)) {
            if let Some(root) = document.root {
                check_nodes(&text, &root);
            }
        }
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
    // The repeat inherits the id; what is wrong with what it inherits is said once.
    assert_eq!(
        errors,
        ["R014", "R044", "R012"],
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
