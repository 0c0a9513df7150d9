//! Bodies of the fuzz targets `rules` and `plan`: each takes any bytes whatever and panics where a promise is broken.

use std::sync::Arc;

use event::{Origin, ProcessCache, Profile};
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::agreement::{self, KINDS, lines};
use crate::{Detector, Line, Options, Plan, Reference, Source};

/// One line in so many of those that the fuzz target `line` starts from, to try rules on.
const EVERY: usize = 8;

/// The bytes as a rule file: what loads compiles, and judges some lines as the reference does.
pub fn rules(bytes: &[u8]) {
    let loaded = sigma::harness::rules(bytes);
    let profile = Arc::new(Profile::laurel());
    // Rules of one key would not be told apart below.
    let rules = loaded.rules.into_iter().take(1).map(|mut rule| {
        rule.alerts = true;
        rule
    });
    let rules: Vec<_> = rules.collect();
    let compiled = Plan::compile_all(rules.clone(), loaded.correlations, Options::ALL);
    let Some(rule) = compiled.plan.rules().first() else {
        return;
    };
    let key = rule.attributes.key().to_owned();
    let mut reference = Reference::new(rules, Arc::clone(&profile));
    let mut detector = Detector::new(Arc::new(compiled.plan), profile);
    let mut caches = [(); 2].map(|()| ProcessCache::new(1 << 20, 3_600_000));
    for text in event::harness::lines().into_iter().step_by(EVERY) {
        let line = Line {
            bytes: text.as_bytes(),
            origin: Origin::default(),
            source: Source::File { file: "-", line: 1 },
        };
        let found = detector.matching(&line, &mut caches[0]);
        let found = found.map(|rules| !rules.is_empty());
        let meant = reference.run(&line, &mut caches[1]);
        let meant = meant.map(|keys| keys.contains(&key.as_str()));
        assert_eq!(found, meant, "{text}");
    }
}

/// Most views or lines of one input of [`plan`]: to compile its rules is most of the work.
const VIEWS_MAX: usize = 8;

/// The bytes as seeds of the generators of the property tests, eight for each: one for the texts of the case, one for its
/// rules, one for each view or line, so that what changes one leaves the others. The plan finds what the reference finds,
/// whatever is switched on or off.
pub fn plan(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let (kind, fields) = KINDS[usize::from(*choice) % KINDS.len()];
    let mut seeds = bytes.chunks(8);
    let mut seed = || seeds.next().unwrap_or_default();
    let pool = chosen(agreement::pool(), seed());
    let rules = chosen(agreement::rules(kind, fields, &pool), seed());
    let seeds = seeds.take(VIEWS_MAX);
    if *choice >= 192 {
        let made = seeds.map(|seed| chosen(lines::line(&pool), seed));
        lines::agree(&rules, &made.collect::<Vec<_>>());
    } else {
        let made = seeds.map(|seed| chosen(agreement::view(kind, fields, &pool), seed));
        agreement::agree(&rules, &made.collect::<Vec<_>>());
    }
}

/// What a generator makes of a seed, of which the first 32 bytes count.
fn chosen<T>(generator: impl Strategy<Value = T>, seed: &[u8]) -> T
where
    T: std::fmt::Debug,
{
    let mut full = [0; 32];
    for (full, seed) in full.iter_mut().zip(seed) {
        *full = *seed;
    }
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &full);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let tree = generator.new_tree(&mut runner);
    tree.expect("nothing is filtered").current()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    /// Files below a folder of the repository whose name ends so.
    #[expect(clippy::disallowed_methods, reason = "what is tried lies in files")]
    fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder of the repository");
        let paths = entries.map(|entry| entry.expect("an entry of it").path());
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() {
                files.extend(self::files(&path, end));
            } else if path.to_string_lossy().ends_with(end) {
                files.push(path);
            }
        }
        files.sort();
        files
    }

    /// Its name and its body.
    type Target = (&'static str, fn(&[u8]));

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// Inputs that once broke a promise, and one of each target that never did.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is tried lies in files")]
    fn what_fuzzing_found_stays_mended() {
        let targets: [Target; 3] = [
            ("rules", super::rules),
            ("line", event::harness::line),
            ("plan", super::plan),
        ];
        for (target, body) in targets {
            let inputs = files(&repository().join("fuzz/regressions").join(target), "");
            assert!(!inputs.is_empty(), "{target}");
            for input in inputs {
                body(&fs::read(&input).expect("an input"));
            }
        }
    }

    /// The rules of the repository.
    #[expect(clippy::disallowed_methods, reason = "what is tried lies in files")]
    fn pack() -> Vec<Vec<u8>> {
        let mut paths = files(&repository().join("rules"), ".yml");
        paths.retain(|path| !path.to_string_lossy().ends_with(".test.yml"));
        let rules = paths.iter().map(|path| fs::read(path).expect("a rule"));
        rules.collect()
    }

    /// What means something to YAML or Sigma.
    const TOKENS: [&[u8]; 20] = [
        b"|",
        b"'",
        b"\"",
        b"*",
        b"\\",
        b":",
        b"- ",
        b"\n",
        b" ",
        b"{",
        b"]",
        b"|re",
        b"|all",
        b"|neq",
        b"|cased",
        b"not ",
        b"null",
        b"0x1",
        b"\xff",
        b"\xc3\xa9",
    ];

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: ProptestConfig::default().cases.max(256),
            failure_persistence: None,
            rng_seed: prop::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_bytes_make_a_plan_that_is_the_reference(bytes in prop::collection::vec(any::<u8>(), 0..81)) {
            super::plan(&bytes);
        }

        #[test]
        fn edited_rules_judge_lines_as_the_reference_does(
            rule in prop::sample::select(pack()),
            edits in prop::collection::vec(
                (any::<prop::sample::Index>(), 0..4_usize, prop::sample::select(&TOKENS[..])),
                0..4,
            ),
        ) {
            let mut text = rule;
            for (at, dropped, put) in edits {
                let from = at.index(text.len() + 1);
                let to = (from + dropped).min(text.len());
                text.splice(from..to, put.iter().copied());
            }
            super::rules(&text);
        }
    }
}
