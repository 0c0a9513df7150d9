//! The plan against the reference evaluator, on generated rules and views and on seeds of trouble: whatever is
//! switched on or off, both find the same rules. Views are made by hand; [`lines`] goes through the decoder. The fuzz
//! target `plan` shares the generators.
#![expect(clippy::unwrap_used, reason = "made for tests")]
#![cfg_attr(
    not(test),
    allow(dead_code, unused_imports, reason = "the tests are left out")
)]

pub(crate) mod lines;

use event::{Fields, RecordClass, ValueKind, ViewKind};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use sigma::{
    Comparison, Condition, Field, Item, Matcher, Part, Pattern, Quantifier, Regex, Rule, Search,
    SelectionIdx, TimePart,
};

use crate::evaluate::Scratch;
use crate::explain::explained_view;
use crate::handmade::{
    Handmade, item, lay_out, like, native, number, only, place, process, re, rule,
};
use crate::plan::{Compiled, Options, Plan, RuleIdx};
use crate::reference::{Names, Slow, Walk};
use crate::route::route;
use crate::subject::Subject;

/// Log sources and the fields that generated rules and views use.
pub(crate) const KINDS: [(ViewKind, &[&str]); 3] = [
    (
        ViewKind::ProcessCreation,
        &["Image", "CommandLine", "User", "NoSuchField"],
    ),
    (ViewKind::Record, &["type", "a0", "a1", "name", "key"]),
    (
        ViewKind::Native,
        &[
            "PATH.name",
            "PATH.nametype",
            "EXECVE.ARGV",
            "SYSCALL.exe",
            "SYSCALL.pid",
            "PATH",
        ],
    ),
];

/// Runs a view through a plan.
fn planned(plan: &Plan, scratch: &mut Scratch, view: &Handmade) -> Vec<RuleIdx> {
    let mut fields = (*plan.fields()).clone();
    let (buffer, values) = lay_out(view, &mut fields);
    let subject = Subject {
        kind: view.kind,
        class: view.class,
        values: &values,
        node: 0,
        source: &buffer,
    };
    let mut costs = plan.costs();
    let mut found = Vec::new();
    plan.matches(&subject, scratch, &mut costs, |rule| found.push(rule));
    found.sort_unstable();
    found
}

/// Runs a view through a rule by the reference evaluator, whether the rule is in a plan or not.
fn meant(rule: &Rule, fields: &Fields, view: &Handmade) -> bool {
    if route(&rule.logsource) != Ok(view.kind) {
        return false;
    }
    let mut fields = fields.clone();
    let names = Names::resolve(rule, view.kind, &mut fields);
    let (buffer, values) = lay_out(view, &mut fields);
    let subject = Subject {
        kind: view.kind,
        class: view.class,
        values: &values,
        node: 0,
        source: &buffer,
    };
    let judge = Slow::new(rule);
    let walk = Walk {
        rule,
        names: &names,
        subject,
        judge: &judge,
    };
    let matches = walk.matches();
    let explained = explained_view(&walk);
    assert_eq!(explained.holds, matches, "explanation");
    assert_eq!(explained.distance == 0, matches, "distance");
    matches
}

/// One rule and one view under every set of options, and by the reference.
#[track_caller]
fn check(rule: &Rule, view: &Handmade, expected: bool) {
    for options in Options::variants() {
        let Compiled {
            plan, not_running, ..
        } = Plan::compile_with(vec![rule.clone()], options);
        assert_eq!(meant(rule, &plan.fields(), view), expected, "reference");
        let mut scratch = plan.scratch();
        for _ in 0..2 {
            let found = !planned(&plan, &mut scratch, view).is_empty();
            assert_eq!(found, expected, "{options:?} {not_running:?}");
        }
    }
}

use ValueKind::{Bool, Container, Null, Number, Text};

#[test]
fn arrays_match_by_any_element_and_all_may_span_elements() {
    let view = process(&[
        ("CommandLine", Text, "one"),
        ("CommandLine", Text, "two"),
        ("Image", Container, ""),
    ]);
    let any = |text| {
        only(
            ViewKind::ProcessCreation,
            vec![item("CommandLine", vec![like(text)])],
        )
    };
    check(&any("two"), &view, true);
    check(&any("three"), &view, false);
    let mut all = item("CommandLine", vec![like("one"), like("two")]);
    all.quantifier = Quantifier::All;
    check(&only(ViewKind::ProcessCreation, vec![all]), &view, true);
    // M4: negation means that no element matches.
    let mut neq = item("CommandLine", vec![like("two")]);
    neq.negated = true;
    check(&only(ViewKind::ProcessCreation, vec![neq]), &view, false);
    // An empty array has no element, but is present.
    check(
        &only(
            ViewKind::ProcessCreation,
            vec![item("Image", vec![Matcher::Null])],
        ),
        &view,
        false,
    );
    check(
        &only(
            ViewKind::ProcessCreation,
            vec![item("Image", vec![Matcher::Exists(true)])],
        ),
        &view,
        true,
    );
    check(
        &only(
            ViewKind::ProcessCreation,
            vec![item("Image", vec![like("*")])],
        ),
        &view,
        false,
    );
}

#[test]
fn missing_null_and_empty_are_three_things() {
    let missing = process(&[]);
    let null = process(&[("User", Null, "")]);
    let empty = process(&[("User", Text, "")]);
    let user = |matcher: Matcher, negated| {
        let mut item = item("User", vec![matcher]);
        item.negated = negated;
        only(ViewKind::ProcessCreation, vec![item])
    };
    // (matcher, on missing, on null, on empty); policy M1 to M3.
    for (matcher, expected) in [
        (Matcher::Null, [true, true, false]),
        (Matcher::Exists(true), [false, true, true]),
        (Matcher::Exists(false), [true, false, false]),
        (like(""), [false, false, true]),
        (like("*"), [false, false, true]),
        (like("root"), [false, false, false]),
    ] {
        for (view, expected) in [&missing, &null, &empty].into_iter().zip(expected) {
            check(&user(matcher.clone(), false), view, expected);
            check(&user(matcher.clone(), true), view, !expected);
        }
    }
    let not = rule(
        ViewKind::ProcessCreation,
        0,
        vec![Search::Map(vec![item("User", vec![like("root")])])],
        Condition::Not(Box::new(Condition::Selection(SelectionIdx(0)))),
    );
    check(&not, &missing, true);
}

#[test]
fn neq_of_a_list_is_not_any_of_them() {
    let mut neq = item("User", vec![like("root"), like("bin")]);
    neq.negated = true;
    let rule = only(ViewKind::ProcessCreation, vec![neq]);
    check(&rule, &process(&[("User", Text, "root")]), false);
    check(&rule, &process(&[("User", Text, "bin")]), false);
    check(&rule, &process(&[("User", Text, "www")]), true);
}

#[test]
fn numbers_and_booleans_compare_by_text() {
    let user =
        |matcher: Matcher| only(ViewKind::ProcessCreation, vec![item("User", vec![matcher])]);
    for (matcher, kind, text, expected) in [
        (number("4625"), Number, "4625", true),
        (number("4625"), Text, "4625", true),
        (number("4625"), Text, "04625", false),
        (number("3"), Number, "3.0", true),
        (number("1000"), Number, "1e3", true),
        (like("1000"), Number, "1e3", true),
        (like("1e3"), Number, "1e3", true),
        (like("4625"), Number, "4625", true),
        (
            number("18446744073709551615"),
            Number,
            "18446744073709551616",
            false,
        ),
        (like("*6*"), Number, "4625", true),
        (re("^46"), Number, "4625", true),
        (Matcher::Bool(true), Bool, "true", true),
        (Matcher::Bool(true), Text, "TRUE", true),
        (Matcher::Bool(true), Number, "1", false),
        (Matcher::Bool(true), Text, "yes", false),
        (Matcher::Bool(false), Number, "0", false),
        (
            Matcher::Compare(Comparison::Gt, "9".into()),
            Text,
            "10",
            true,
        ),
        (
            Matcher::Compare(Comparison::Lte, "9.5".into()),
            Number,
            "9.50",
            true,
        ),
        (
            Matcher::Compare(Comparison::Lt, "9".into()),
            Text,
            "eight",
            false,
        ),
        (
            Matcher::Time(TimePart::Hour, 8),
            Text,
            "2026-11-24T08:40:59Z",
            true,
        ),
        (
            Matcher::Cidr("10.0.0.0/8".parse().unwrap()),
            Text,
            "10.1.2.3",
            true,
        ),
        (
            Matcher::Cidr("10.0.0.0/8".parse().unwrap()),
            Text,
            "::ffff:10.0.0.1",
            false,
        ),
        (
            Matcher::Cidr("2001:db8::/32".parse().unwrap()),
            Text,
            "2001:DB8::1",
            true,
        ),
        (
            Matcher::Cidr("10.0.0.0/8".parse().unwrap()),
            Text,
            "10.1.2.3.4",
            false,
        ),
    ] {
        check(
            &user(matcher.clone()),
            &process(&[("User", kind, text)]),
            expected,
        );
    }
}

#[test]
fn wildcards_cross_newlines_count_code_points_and_find_later_places() {
    let line = |matcher: Matcher| {
        only(
            ViewKind::ProcessCreation,
            vec![item("CommandLine", vec![matcher])],
        )
    };
    for (pattern, text, expected) in [
        ("a*c", "a\nb\nc", true),
        ("a?c", "a\nc", true),
        ("a?c", "aéc", true),
        ("a?c", "ac", false),
        ("*ab?", "abab1", true),
        ("*ab?", "ab1ab", false),
        ("curl*sh", "CURL x | sh", true),
        ("*a*b*c*", "xxaybzc", true),
        ("*a*b*c*", "xxcybza", false),
        ("??", "é", false),
    ] {
        check(
            &line(like(pattern)),
            &process(&[("CommandLine", Text, text)]),
            expected,
        );
    }
}

#[test]
fn letters_compare_by_unicode_simple_folding_in_any_script() {
    let line = |matcher: Matcher| {
        only(
            ViewKind::ProcessCreation,
            vec![item("CommandLine", vec![matcher])],
        )
    };
    for (pattern, text, expected) in [
        ("*task*", "ta\u{17f}\u{212a}", true),
        ("*ta\u{17f}\u{212a}*", "TASK", true),
        ("ÄÖ*", "äöü", true),
        ("*ΣΑΣ", "σας", true),
        ("*ß*", "SS", false),
        ("*İ*", "i", false),
    ] {
        check(
            &line(like(pattern)),
            &process(&[("CommandLine", Text, text)]),
            expected,
        );
    }
    let Matcher::Text(mut pattern) = like("*Task*") else {
        unreachable!("a pattern")
    };
    pattern.cased = true;
    check(
        &line(Matcher::Text(pattern.clone())),
        &process(&[("CommandLine", Text, "a Task")]),
        true,
    );
    check(
        &line(Matcher::Text(pattern)),
        &process(&[("CommandLine", Text, "a task")]),
        false,
    );
}

#[test]
fn bytes_that_are_no_utf8_are_not_found_within_a_code_point() {
    // "€" is e2 82 ac.
    let stray = Matcher::Text(Pattern {
        parts: vec![Part::Any, Part::Text(b"\xe2\x82"[..].into()), Part::Any],
        cased: false,
    });
    let line = |matcher| {
        only(
            ViewKind::ProcessCreation,
            vec![item("CommandLine", vec![matcher])],
        )
    };
    let reference = Matcher::FieldRef {
        field: "Image".into(),
        prefix: true,
        suffix: true,
        cased: false,
    };
    for (text, expected) in [(&b"\xe2\x82\xac"[..], false), (b"a\xe2\x82.", true)] {
        let mut view = process(&[]);
        view.values = vec![
            (Some("CommandLine"), Text, text.to_vec(), 0),
            (Some("Image"), Text, b"\xe2\x82".to_vec(), 0),
        ];
        check(&line(stray.clone()), &view, expected);
        check(&line(reference.clone()), &view, expected);
        check(&line(like("?")), &view, !expected);
    }
}

#[test]
fn keywords_are_looked_for_anywhere_in_every_value() {
    let mut view = process(&[]);
    view.values = vec![
        (None, Text, b"/usr/bin/Tail -f".to_vec(), 0),
        (None, Number, b"4711".to_vec(), 0),
        (None, Null, Vec::new(), 0),
    ];
    let keyword = |matchers: Vec<Matcher>, quantifier| {
        let mut item = item("", matchers);
        item.quantifier = quantifier;
        only(ViewKind::ProcessCreation, vec![item])
    };
    check(&keyword(vec![like("tail")], Quantifier::Any), &view, true);
    check(&keyword(vec![like("bin*-F")], Quantifier::Any), &view, true);
    check(&keyword(vec![number("71")], Quantifier::Any), &view, true);
    check(&keyword(vec![like("head")], Quantifier::Any), &view, false);
    // Parts of a keyless `all` may hit different values.
    check(
        &keyword(vec![like("tail"), like("47")], Quantifier::All),
        &view,
        true,
    );
    check(
        &keyword(vec![like("tail"), like("48")], Quantifier::All),
        &view,
        false,
    );
}

#[test]
fn fields_compare_with_fields() {
    let line = |prefix, suffix, cased| {
        let matcher = Matcher::FieldRef {
            field: "Image".into(),
            prefix,
            suffix,
            cased,
        };
        only(
            ViewKind::ProcessCreation,
            vec![item("CommandLine", vec![matcher])],
        )
    };
    let view = process(&[
        ("CommandLine", Text, "/bin/SH -c"),
        ("Image", Text, "/bin/sh"),
        ("Image", Text, "dash"),
    ]);
    check(&line(true, false, false), &view, true);
    check(&line(true, false, true), &view, false);
    check(&line(false, false, false), &view, false);
    check(
        &line(true, true, false),
        &process(&[("CommandLine", Text, "x 12 y"), ("Image", Number, "12")]),
        true,
    );
    check(
        &line(false, false, false),
        &process(&[("CommandLine", Text, "3"), ("Image", Number, "3.0")]),
        true,
    );
    check(
        &line(true, true, false),
        &process(&[("CommandLine", Text, "x")]),
        false,
    );
    check(
        &line(true, true, false),
        &process(&[("CommandLine", Text, "x"), ("Image", Null, "")]),
        false,
    );
}

#[test]
fn items_of_one_map_below_one_array_hold_on_the_same_element() {
    let map = |items| only(ViewKind::Native, items);
    let created_tmp = map(vec![
        item("PATH.nametype", vec![like("CREATE")]),
        item("PATH.name", vec![like("/tmp/*")]),
    ]);
    let apart = native(&[
        ("PATH.nametype", Text, "PARENT", 1),
        ("PATH.name", Text, "/tmp/", 1),
        ("PATH.nametype", Text, "CREATE", 2),
        ("PATH.name", Text, "/etc/x", 2),
    ]);
    let together = native(&[
        ("PATH.nametype", Text, "PARENT", 1),
        ("PATH.name", Text, "/etc/", 1),
        ("PATH.nametype", Text, "CREATE", 2),
        ("PATH.name", Text, "/tmp/x", 2),
    ]);
    check(&created_tmp, &apart, false);
    check(&created_tmp, &together, true);
    // Different selections are independent.
    let selections = vec![
        Search::Map(vec![item("PATH.nametype", vec![like("CREATE")])]),
        Search::Map(vec![item("PATH.name", vec![like("/tmp/*")])]),
    ];
    let both = Condition::And(vec![
        Condition::Selection(SelectionIdx(0)),
        Condition::Selection(SelectionIdx(1)),
    ]);
    check(&rule(ViewKind::Native, 0, selections, both), &apart, true);
    // `neq` and `null` look at the same element.
    let mut not_tmp = item("PATH.name", vec![like("/tmp/*")]);
    not_tmp.negated = true;
    let created_elsewhere = map(vec![
        item("PATH.nametype", vec![like("CREATE")]),
        not_tmp.clone(),
    ]);
    check(&created_elsewhere, &apart, true);
    check(&created_elsewhere, &together, false);
    let nameless = map(vec![
        item("PATH.nametype", vec![like("CREATE")]),
        item("PATH.name", vec![Matcher::Null]),
    ]);
    let one_nameless = native(&[
        ("PATH.nametype", Text, "CREATE", 1),
        ("PATH.nametype", Text, "PARENT", 2),
        ("PATH.name", Text, "/tmp/", 2),
    ]);
    check(&nameless, &one_nameless, true);
    check(&nameless, &together, false);
    // Only the array itself knows an element that has none of the fields.
    let lone = map(vec![item("PATH.name", vec![Matcher::Null])]);
    let with_elements = native(&[
        ("PATH", Container, "", 1),
        ("PATH", Container, "", 2),
        ("PATH.name", Text, "/tmp/", 2),
    ]);
    check(&lone, &with_elements, true);
    check(
        &lone,
        &native(&[("PATH", Container, "", 1), ("PATH.name", Text, "/tmp/", 1)]),
        false,
    );
    // An absent array acts like a missing field.
    check(&lone, &native(&[]), true);
    check(&map(vec![not_tmp]), &native(&[]), true);
    check(&created_tmp, &native(&[]), false);
}

#[test]
fn record_types_are_decided_before_any_event() {
    let record = |class, kind: &'static str, a0: &str| Handmade {
        kind: ViewKind::Record,
        class,
        values: vec![
            (Some("type"), Text, kind.as_bytes().to_vec(), 0),
            (Some("a0"), Text, a0.as_bytes().to_vec(), 0),
        ],
    };
    let typed = |types: Vec<Matcher>| {
        only(
            ViewKind::Record,
            vec![item("type", types), item("a0", vec![like("*tail")])],
        )
    };
    check(
        &typed(vec![like("execve")]),
        &record(RecordClass::Execve, "EXECVE", "/bin/tail"),
        true,
    );
    check(
        &typed(vec![like("execve")]),
        &record(RecordClass::Syscall, "SYSCALL", "/bin/tail"),
        false,
    );
    check(
        &typed(vec![like("USER_*")]),
        &record(RecordClass::Other, "USER_CMD", "tail"),
        true,
    );
    check(
        &typed(vec![like("PATH"), like("TTY")]),
        &record(RecordClass::Other, "TTY", "tail"),
        true,
    );
    // SYSCALL's arguments are hex digits: nothing else is looked for there.
    let argument = |text: &str| only(ViewKind::Record, vec![item("a0", vec![like(text)])]);
    let classes = |rule: Rule| {
        Plan::compile(vec![rule])
            .plan
            .facts(RuleIdx(0))
            .classes
            .clone()
    };
    assert!(classes(argument("*ab*")).contains(&RecordClass::Syscall));
    assert!(classes(argument("*A?c*")).contains(&RecordClass::Syscall));
    for text in ["*tail", "0x26", "tail", "fg*"] {
        assert!(
            !classes(argument(text)).contains(&RecordClass::Syscall),
            "{text}"
        );
    }
    let both = only(
        ViewKind::Record,
        vec![
            item("type", vec![like("PATH")]),
            item("type", vec![like("EXECVE")]),
        ],
    );
    let compiled = Plan::compile(vec![both]);
    assert!(compiled.plan.rules().is_empty());
    assert!(compiled.not_running[0].routed && compiled.not_running[0].reason.contains("`type`"));
}

#[test]
fn a_rule_that_reads_what_nothing_feeds_is_listed_or_warned_of() {
    let fed = item("Image", vec![like("*/sh")]);
    let unfed = item("NoSuchField", vec![like("x")]);
    let never = Plan::compile(vec![only(
        ViewKind::ProcessCreation,
        vec![fed.clone(), unfed.clone()],
    )]);
    assert!(never.plan.rules().is_empty());
    assert_eq!(
        never.not_running[0].reason,
        "it would never match: nothing feeds `NoSuchField` in views of process_creation"
    );
    let partly = rule(
        ViewKind::ProcessCreation,
        0,
        vec![Search::Any(vec![
            Search::Map(vec![fed]),
            Search::Map(vec![unfed.clone()]),
        ])],
        Condition::Selection(SelectionIdx(0)),
    );
    let partly = Plan::compile(vec![partly]);
    assert_eq!(
        (partly.plan.rules().len(), partly.diagnostics.len()),
        (1, 1)
    );
    assert!(partly.diagnostics[0].message.contains("`NoSuchField`"));
    let always = rule(
        ViewKind::ProcessCreation,
        0,
        vec![Search::Map(vec![unfed])],
        Condition::Not(Box::new(Condition::Selection(SelectionIdx(0)))),
    );
    let always = Plan::compile(vec![always]);
    assert_eq!(
        always.not_running[0].reason,
        "it would match everything: nothing feeds `NoSuchField` in views of process_creation"
    );
}

#[test]
fn a_regular_expression_that_grows_too_large_is_refused() {
    let large = only(
        ViewKind::ProcessCreation,
        vec![item("CommandLine", vec![re(r"\w{500}")])],
    );
    let compiled = Plan::compile(vec![
        large,
        only(
            ViewKind::ProcessCreation,
            vec![item("Image", vec![like("x")])],
        ),
    ]);
    assert_eq!(compiled.plan.rules().len(), 1);
    assert!(compiled.not_running[0].routed);
    assert!(
        compiled.not_running[0].reason.contains("`\\w{500}`"),
        "{}",
        compiled.not_running[0].reason
    );
}

#[test]
fn the_ruleset_hash_depends_on_rules_alone() {
    let rules = || {
        (0..3).map(|number| {
            rule(
                ViewKind::Native,
                number,
                vec![Search::Map(vec![item("SYSCALL.exe", vec![like("x")])])],
                Condition::Selection(SelectionIdx(0)),
            )
        })
    };
    let hash = |rules: Vec<Rule>| Plan::compile(rules).plan.hash().to_owned();
    assert_eq!(hash(rules().collect()), hash(rules().rev().collect()));
    assert_ne!(hash(rules().collect()), hash(rules().skip(1).collect()));
}

/// Pieces that make trouble: case beyond ASCII, wildcard characters, control characters, no UTF-8.
const PIECES: [&[u8]; 20] = [
    b"a",
    b"ab",
    b"b",
    b"k",
    b"s",
    "ß".as_bytes(),
    "é".as_bytes(),
    "σ".as_bytes(),
    b"*",
    b"?",
    b"\\",
    b" ",
    b"1",
    b"-",
    b"/",
    b"\n",
    b"\xff",
    b"\xe2\x82",
    "€".as_bytes(),
    b"/bin/",
];

/// Other spellings of pieces.
const VARIANTS: [(&[u8], &[u8]); 10] = [
    (b"a", b"A"),
    (b"ab", b"aB"),
    (b"b", b"B"),
    (b"k", b"K"),
    (b"k", "\u{212a}".as_bytes()),
    (b"s", "ſ".as_bytes()),
    ("é".as_bytes(), "É".as_bytes()),
    ("σ".as_bytes(), "ς".as_bytes()),
    ("σ".as_bytes(), "Σ".as_bytes()),
    (b"/bin/", b"/Bin/"),
];

/// Texts that look like something else.
const KNOWN: [&[u8]; 11] = [
    b"1",
    b"3.0",
    b"3",
    b"1e3",
    b"-0",
    b"true",
    b"FALSE",
    b"10.0.0.1",
    b"2026-11-24T08:40:59Z",
    b"SYSCALL",
    b"abab1",
];

/// The texts of one case, in pieces: values are made of them, and patterns, so that these often meet.
pub(crate) type Pool = Vec<Vec<&'static [u8]>>;

pub(crate) fn pool() -> impl Strategy<Value = Pool> {
    prop::collection::vec(
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..6),
        3,
    )
}

/// A piece in one of its spellings.
fn spelt(piece: &'static [u8], variant: usize) -> &'static [u8] {
    let mut spellings: Vec<&[u8]> = vec![piece, piece];
    spellings.extend(
        VARIANTS
            .iter()
            .filter(|(plain, _)| *plain == piece)
            .map(|(_, other)| other),
    );
    spellings[variant % spellings.len()]
}

fn text(pool: &Pool) -> impl Strategy<Value = Vec<u8>> + use<> {
    let pooled =
        (prop::sample::select(pool.clone()), any::<[u8; 6]>()).prop_map(|(pieces, variants)| {
            let spellings = pieces
                .iter()
                .zip(variants)
                .map(|(piece, variant)| spelt(piece, variant.into()));
            spellings.collect::<Vec<_>>().concat()
        });
    prop_oneof![6 => pooled, 1 => prop::sample::select(&KNOWN[..]).prop_map(<[u8]>::to_vec)]
}

fn pattern(pool: &Pool) -> impl Strategy<Value = Pattern> + use<> {
    let pieces = (
        prop::sample::select(pool.clone()),
        any::<[(u8, u8); 6]>(),
        0..4_usize,
        0..4_usize,
    );
    (pieces, prop::bool::weighted(0.15)).prop_map(|((pieces, choices, from, to), cased)| {
        let mut parts = Vec::new();
        let behind = pieces.len().saturating_sub(to);
        for (at, (piece, (choice, variant))) in pieces.iter().zip(choices).enumerate() {
            match choice % 16 {
                _ if at < from || at >= behind => parts.push(Part::Any),
                0 => parts.push(Part::One),
                1 => parts.push(Part::Any),
                _ => match parts.last_mut() {
                    Some(Part::Text(text)) => {
                        *text = [&**text, spelt(piece, variant.into())].concat().into();
                    }
                    _ => parts.push(Part::Text(spelt(piece, variant.into()).into())),
                },
            }
        }
        parts.dedup_by(|a, b| *a == Part::Any && *b == Part::Any);
        Pattern { parts, cased }
    })
}

fn matcher(fields: &'static [&'static str], pool: &Pool) -> impl Strategy<Value = Matcher> + use<> {
    let regex = prop::sample::select(
        &[
            "a",
            "ab+",
            "(?i)k.s",
            r"^\s*/",
            "b(é|1)",
            r"\d$",
            "(aB|ba|s*)",
            r"(?-u:\xff)",
            "É",
            "[kK\u{212a}]s",
            "",
            "(?i)/BIN/",
            "ab.*/bin|(?i:kS)+",
        ][..],
    );
    let simple = prop_oneof![
        12 => pattern(pool).prop_map(Matcher::Text),
        2 => (regex, any::<[bool; 3]>()).prop_map(|(source, [ignore_case, multi_line, dot_all])| {
            Matcher::Regex(Regex { source: source.into(), ignore_case, multi_line, dot_all })
        }),
        1 => Just(Matcher::Cidr("10.0.0.0/8".parse().unwrap())),
        1 => Just(Matcher::Null),
        1 => prop::sample::select(&["1", "3", "1000", "0"][..]).prop_map(number),
        1 => any::<bool>().prop_map(Matcher::Bool),
        1 => any::<bool>().prop_map(Matcher::Exists),
        1 => Just(Matcher::Compare(Comparison::Gte, "3".into())),
        1 => (prop::sample::select(fields), any::<[bool; 3]>()).prop_map(|(field, [prefix, suffix, cased])| {
            Matcher::FieldRef { field: field.into(), prefix, suffix, cased }
        }),
        1 => Just(Matcher::Time(TimePart::Month, 11)),
    ];
    let simple = simple.boxed();
    prop_oneof![
        12 => simple.clone(),
        1 => prop::collection::vec(simple, 0..3).prop_map(Matcher::AnyOf),
    ]
}

fn items(fields: &'static [&'static str], pool: &Pool) -> impl Strategy<Value = Item> + use<> {
    let field = prop_oneof![
        8 => prop::sample::select(fields).prop_map(|name| Field::Named(name.into())),
        1 => Just(Field::Keywords),
    ];
    let matchers = prop::collection::vec(matcher(fields, pool), 1..4);
    (field, prop::bool::weighted(0.15), any::<bool>(), matchers).prop_map(
        |(field, negated, all, matchers)| Item {
            field,
            negated,
            quantifier: if all {
                Quantifier::All
            } else {
                Quantifier::Any
            },
            matchers,
            place: place(),
            places: Vec::new(),
        },
    )
}

fn condition(selections: u32) -> impl Strategy<Value = Condition> {
    let leaf = (0..selections).prop_map(|index| Condition::Selection(SelectionIdx(index)));
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::And),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::Or),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

pub(crate) fn rules(
    kind: ViewKind,
    fields: &'static [&'static str],
    pool: &Pool,
) -> impl Strategy<Value = Vec<Rule>> + use<> {
    let map = prop::collection::vec(items(fields, pool), 1..4)
        .prop_map(Search::Map)
        .boxed();
    let search =
        prop_oneof![3 => map.clone(), 1 => prop::collection::vec(map, 1..3).prop_map(Search::Any)];
    let one = (prop::collection::vec(search, 2), condition(2));
    prop::collection::vec(one, 1..5).prop_map(move |rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(number, (selections, condition))| rule(kind, number, selections, condition))
            .collect()
    })
}

pub(crate) fn view(
    kind: ViewKind,
    fields: &'static [&'static str],
    pool: &Pool,
) -> impl Strategy<Value = Handmade> + use<> {
    let field = prop_oneof![6 => prop::sample::select(fields).prop_map(Some), 1 => Just(None)];
    let kinds = prop_oneof![8 => Just(Text), 1 => Just(Null), 1 => Just(Container)];
    let numbers = prop::sample::select(
        &[
            (Number, "1"),
            (Number, "3.0"),
            (Number, "1e3"),
            (Number, "-0"),
            (Bool, "true"),
            (Bool, "false"),
        ][..],
    );
    let content = prop_oneof![
        4 => (kinds, text(pool)),
        1 => numbers.prop_map(|(kind, text)| (kind, text.as_bytes().to_vec())),
    ];
    let classes = [
        (RecordClass::Syscall, "SYSCALL"),
        (RecordClass::Execve, "EXECVE"),
        (RecordClass::Path, "PATH"),
        (RecordClass::Other, "abab1"),
    ];
    (
        prop::collection::vec((field, content, 0..3_u32), 0..10),
        prop::sample::select(classes.to_vec()),
    )
        .prop_map(move |(values, (class, name))| {
            let mut values: Vec<_> = values
                .into_iter()
                .map(|(field, (kind, text), element)| (field, kind, text, element))
                .collect();
            if kind == ViewKind::Record {
                // What the decoder gives as SYSCALL's arguments is hex digits.
                let is_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
                values.retain(|value| match value.0 {
                    Some("type") => false,
                    Some("a0" | "a1") => class != RecordClass::Syscall || is_hex(&value.2),
                    _ => true,
                });
                values.push((Some("type"), Text, name.as_bytes().to_vec(), 0));
            }
            for value in &mut values {
                // Values below one member lie all in elements of it, or all outside of any.
                let in_array = value.0.is_some_and(|name| name.starts_with("PATH."));
                match (kind, value.0) {
                    (ViewKind::Native, Some("PATH")) => {}
                    (ViewKind::Native, _) if in_array => value.3 = value.3.max(1),
                    _ => value.3 = 0,
                }
            }
            Handmade {
                kind,
                class: if kind == ViewKind::Record {
                    class
                } else {
                    RecordClass::Other
                },
                values,
            }
        })
}

/// Views that each generated ruleset is compared on: to compile it is most of the work.
const VIEWS: usize = 8;

/// Rules and [`VIEWS`] views of one kind.
fn rules_and_views() -> impl Strategy<Value = (Vec<Rule>, Vec<Handmade>)> {
    (prop::sample::select(&KINDS[..]), pool()).prop_flat_map(|((kind, fields), pool)| {
        let views = prop::collection::vec(view(kind, fields, &pool), VIEWS);
        (rules(kind, fields, &pool), views)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        // 10,000 pairs of a ruleset and a view; `PROPTEST_CASES` may ask for more.
        cases: ProptestConfig::default().cases.max(1250),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The plan finds exactly the rules that the reference evaluator finds, with every optimisation on and off. Hence no
    /// pre-filter drops a match.
    #[test]
    fn prefilter_never_drops_a_match((rules, views) in rules_and_views()) {
        agree(&rules, &views);
    }
}

/// What the plan finds in these views, with every optimisation on and off, is what the reference finds.
pub(crate) fn agree(rules: &[Rule], views: &[Handmade]) {
    let meant = |rule: &Rule| -> Vec<bool> {
        let views = views.iter();
        views
            .map(|view| meant(rule, &Fields::default(), view))
            .collect()
    };
    let expected: Vec<Vec<bool>> = rules.iter().map(meant).collect();
    let expected = |rule: &Rule| {
        let key = rule.attributes.key();
        let at = rules.iter().position(|other| other.attributes.key() == key);
        &expected[at.expect("it is one of them")]
    };
    for options in Options::variants() {
        let Compiled {
            plan, not_running, ..
        } = Plan::compile_with(rules.to_vec(), options);
        // What one view leaves behind must not touch the next; the second time values are known.
        let mut scratch = plan.scratch();
        for (at, view) in views.iter().enumerate().chain(views.iter().enumerate()) {
            let found = planned(&plan, &mut scratch, view);
            for (number, rule) in (0..).map(RuleIdx).zip(plan.rules()) {
                let found = found.contains(&number);
                let expected = expected(rule)[at];
                assert_eq!(found, expected, "{options:?} {view:?} {:?}", rule.detection);
            }
        }
        for stopped in not_running {
            let constant = stopped.reason.contains("match everything");
            let expected = expected(&stopped.rule);
            assert!(
                expected.iter().all(|holds| *holds == constant),
                "{}",
                stopped.reason
            );
        }
    }
}

/// The generator is worth its time: a good part of what it makes matches.
#[test]
fn generated_rules_match_often_enough() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut all, mut found) = (0, 0);
    for _ in 0..200 {
        let (rules, views) = rules_and_views().new_tree(&mut runner).unwrap().current();
        let plan = Plan::compile(rules).plan;
        let mut scratch = plan.scratch();
        all += plan.rules().len() * VIEWS;
        for view in &views {
            found += planned(&plan, &mut scratch, view).len();
        }
    }
    assert!(found * 5 > all && found * 5 < all * 4, "{found} of {all}");
}
