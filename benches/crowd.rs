//! Correlations with many live groups: logins on so many hosts that each group is one of a crowd, and the corpus on some
//! of those hosts while all of them are remembered.

use std::sync::Arc;

use detect::{CorrelationLimits, Correlations, Correlator, Detector, Options, Plan};
use event::{ProcessCache, Profile};

use crate::case::{Loaded, cache, line_of};

/// Hosts of the crowd. Each lets somebody in and refuses somebody: four groups by the starter rules.
const HOSTS: u64 = 25_000;

/// Hosts of the crowd that the corpus is spread over, and lines in a row that one of them gets.
const CORPUS_HOSTS: u64 = 100;
const LINES_IN_A_ROW: usize = 500;

/// How long before the corpus the crowd logs in, in milliseconds: all of it, within every timespan.
const BEFORE_MS: i64 = 60_000;

/// How much later than others an event may come, as `pythia run` has it.
const LATENESS_MS: i64 = 30_000;

/// The rules of a case with its correlations; the same rules without; and without what only feeds correlations.
pub(crate) fn plans(loaded: &Loaded) -> [Arc<Plan>; 3] {
    let (rules, correlations) = loaded.correlated_rules();
    let compile = |correlations| Plan::compile_all(rules.clone(), correlations, Options::ALL).plan;
    [
        Arc::new(compile(correlations.clone())),
        Arc::new(compile(correlations).without_correlations()),
        Arc::new(compile(Vec::new())),
    ]
}

/// A detector and a correlator that have seen the crowd.
pub(crate) struct Crowd {
    detector: Detector,
    cache: ProcessCache,
    correlator: Correlator,
    newest_ms: i64,
}

impl Crowd {
    pub(crate) fn new(plan: &Arc<Plan>, lines: &[String]) -> Self {
        let correlations: Arc<Correlations> = Arc::clone(plan.correlations());
        let mut crowd = Self {
            detector: Detector::new(Arc::clone(plan), Arc::new(Profile::laurel())),
            cache: cache(),
            correlator: Correlator::new(correlations, CorrelationLimits::USUAL),
            newest_ms: 0,
        };
        let mut seen = Seen::default();
        for line in lines {
            crowd.see(line.as_bytes(), 0, None, &mut seen);
        }
        // The corpus begins when all of this is decided.
        let decided = crowd.newest_ms + LATENESS_MS;
        crowd.correlator.advance(decided, &mut Vec::new());
        crowd
    }

    /// Live groups of all correlations.
    pub(crate) fn groups(&self) -> u64 {
        self.correlator.groups().map(|groups| groups as u64).sum()
    }

    /// One pass over the lines of the corpus, as the service makes it.
    pub(crate) fn pass(&mut self, lines: &[&[u8]], hosts: &[String]) -> Seen {
        let mut seen = Seen::default();
        for ((at, line), number) in lines.iter().enumerate().zip(1..) {
            let host = &hosts[at / LINES_IN_A_ROW % hosts.len()];
            self.see(line, number, Some(host), &mut seen);
        }
        seen
    }

    fn see(&mut self, bytes: &[u8], number: u64, host: Option<&str>, seen: &mut Seen) {
        let mut line = line_of(bytes, number);
        line.origin.host = host.map(str::as_bytes);
        let mut alerts = Vec::new();
        if self
            .detector
            .run(&line, &mut self.cache, &mut alerts)
            .is_err()
        {
            return;
        }
        seen.hits += self.detector.hits().len() as u64;
        self.correlator.observe(self.detector.hits());
        self.newest_ms = self
            .newest_ms
            .max(self.detector.time_ms().unwrap_or_default());
        let mut fired = Vec::new();
        let watermark_ms = self.newest_ms - LATENESS_MS;
        self.correlator.advance(watermark_ms, &mut fired);
        let plan = self.detector.plan();
        alerts.extend(fired.iter().map(|fired| plan.correlation_alert(fired)));
        seen.fired += fired.len() as u64;
    }
}

/// What a pass saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Matches of rules that correlations read.
    pub(crate) hits: u64,
    /// Alerts of correlations.
    pub(crate) fired: u64,
}

/// The names of the hosts that the corpus is spread over.
pub(crate) fn corpus_hosts() -> Vec<String> {
    (0..CORPUS_HOSTS).map(host).collect()
}

/// The logins of the crowd, which end before the first event of the corpus.
pub(crate) fn lines(corpus: &[u8]) -> Vec<String> {
    let start_ms = first_time_ms(corpus) - BEFORE_MS;
    let login = |number: u64| {
        let ms = start_ms + i64::try_from(number * 20_000 / HOSTS).unwrap_or_default();
        let id = format!("{}.{:03}:{number}", ms / 1000, ms % 1000);
        let node = host(number);
        let account = number % 50;
        let msg = |op: &str, res: &str| {
            format!(
                r#""msg":{{"op":"{op}","acct":"user{account}","exe":"/usr/sbin/sshd","hostname":"192.0.2.{account}","addr":"192.0.2.{account}","terminal":"ssh","res":"{res}"}},"PID":{{"START_TIME":"{}.514"}},"UID":"root""#,
                ms / 1000,
            )
        };
        let opened = msg("PAM:session_open", "success");
        let refused = msg("PAM:authentication", "failed");
        [
            format!(
                r#"{{"ID":"{id}1","NODE":"{node}","USER_START":{{"pid":900,"uid":0,"auid":{auid},"ses":1,{opened},"AUID":"user{account}"}}}}"#,
                auid = 1000 + account,
            ),
            format!(
                r#"{{"ID":"{id}2","NODE":"{node}","USER_AUTH":{{"pid":901,"uid":0,"auid":4294967295,"ses":4294967295,{refused},"AUID":"unset"}}}}"#
            ),
        ]
    };
    (0..HOSTS).flat_map(login).collect()
}

fn host(number: u64) -> String {
    format!("crowd-{number:05}.corp.example")
}

/// Of the first line that is an event.
fn first_time_ms(corpus: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(corpus);
    let id = text
        .split_once(r#""ID":""#)
        .and_then(|(_, rest)| rest.split_once('.'));
    let seconds = id.and_then(|(seconds, _)| seconds.parse::<i64>().ok());
    seconds.expect("the corpus has an event with an id") * 1000
}
