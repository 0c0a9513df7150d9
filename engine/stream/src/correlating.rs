//! The correlations of one partition. A host's lines lie all in one partition, so groups by host are whole here; after
//! an assignment the state is what the lines before, read again, make of it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use detect::{Alert, CorrelationLimits, Correlator, Detector, Fired, Plan};

use crate::telemetry::Telemetry;

/// What correlations wait for and remember.
#[derive(Clone, Copy, Debug)]
pub struct CorrelationOptions {
    /// How much later than others an event may come and still count, in milliseconds of event time.
    pub lateness_ms: i64,
    /// What bounds the state of each partition.
    pub limits: CorrelationLimits,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Correlating {
    correlator: Correlator,
    lateness_ms: i64,
    newest_ms: i64,
    /// Now; an event dated later does not make the others late.
    now_ms: i64,
    fired: Vec<Fired>,
}

impl Correlating {
    pub(crate) fn new(plan: &Plan, options: CorrelationOptions) -> Self {
        Self {
            correlator: Correlator::new(Arc::clone(plan.correlations()), options.limits),
            lateness_ms: options.lateness_ms,
            newest_ms: i64::MIN,
            now_ms: now_ms(),
            fired: Vec::new(),
        }
    }

    /// A batch begins; it may be evaluated by another plan than the one before. What is the same in both goes on.
    pub(crate) fn begin(&mut self, plan: &Plan) {
        self.now_ms = now_ms();
        self.correlator.renew(plan.correlations());
    }

    /// After the detector has evaluated an event: appends the alerts of correlations that came to hold.
    pub(crate) fn event(&mut self, detector: &Detector, alerts: &mut Vec<Alert>) {
        let plan = detector.plan();
        if plan.correlations().is_empty() {
            return;
        }
        let Some(time_ms) = detector.time_ms() else {
            return;
        };
        self.correlator.observe(detector.hits());
        self.newest_ms = self.newest_ms.max(time_ms.min(self.now_ms));
        let watermark_ms = self.newest_ms.saturating_sub(self.lateness_ms);
        self.correlator.advance(watermark_ms, &mut self.fired);
        let fired = self.fired.drain(..);
        alerts.extend(fired.map(|fired| plan.correlation_alert(&fired)));
    }

    /// A batch is through.
    pub(crate) fn end(&mut self, plan: &Plan, telemetry: &Telemetry) {
        if plan.correlations().is_empty() {
            return;
        }
        let counts = self.correlator.take_counts();
        telemetry.correlations(plan, &counts, self.correlator.take_forced());
    }

    /// Forgets what was counted: the lines were counted when they were first read.
    pub(crate) fn end_warmup(&mut self) {
        self.correlator.take_counts();
        self.correlator.take_forced();
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
