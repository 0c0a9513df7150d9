//! The engine with correlations and without on the same lines in the same process, while the groups of a crowd live.

use crate::case::Loaded;
use crate::clock::timed;
use crate::crowd::{Crowd, corpus_hosts, lines, plans};
use crate::report::Report;

/// Groups that must live before the lines and behind them.
const GROUPS_MIN: u64 = 100_000;

/// Adds `correlations`: the time with them as a multiple of the time that the same rules take without.
pub(crate) fn measure(report: &mut Report, loaded: &Loaded, rounds: usize) {
    let plans = plans(loaded);
    let crowd = lines(&loaded.text);
    let (corpus, hosts) = (loaded.lines(), corpus_hosts());
    for round in 0..=rounds {
        let passes = plans.each_ref().map(|plan| {
            let mut crowd = Crowd::new(plan, &crowd);
            let before = crowd.groups();
            let (ns, seen) = timed(|| crowd.pass(&corpus, &hosts));
            (ns, seen, before.min(crowd.groups()))
        });
        let [(joined, seen, groups), (alone, _, none), (fewer, ..)] = passes;
        if round == 0 {
            report.expect("alerts of correlations", seen.fired, loaded.case.correlated);
            report.expect("groups without correlations", none, 0);
            report.expect("groups below 100,000", GROUPS_MIN.saturating_sub(groups), 0);
            report.add("live groups", "", groups as f64);
            report.add("correlated matches", "", seen.hits as f64);
            continue;
        }
        report.add("correlations", "times engine", joined / alone);
        report.add("with what feeds them", "times engine", joined / fewer);
        let per_match = (joined - alone) / seen.hits as f64;
        report.add("a correlated match", "ns", per_match);
    }
}
