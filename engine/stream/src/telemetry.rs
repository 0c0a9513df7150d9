//! All that the service can say: every metric and every log event, in one place.
//!
//! Metrics are named `pythia_<noun>_<unit>[_total]`. Labels are bounded: reasons and limits are closed
//! sets, rules and partitions those that this process has had.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use detect::CorrelationCounts;
use detect::{Plan, view_name};
use event::ViewKind;
use prometheus::{
    CounterVec, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use rdkafka::Statistics;
use rdkafka::error::KafkaError;

use crate::batch::Batch;
use crate::ledger::{Counts, Outcome};
use crate::rule_costs::RuleCosts;
use crate::ruleset::{Change, Idle, Reload, Ruleset};
use crate::sink::Refusal;

/// A service that has not polled for so long is not healthy.
const POLL_WITHIN: Duration = Duration::from_mins(1);

/// The same complaint is logged once in this time; metrics count every one.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Kinds of complaints remembered at most.
const COMPLAINTS: usize = 100;

/// Metrics and state of one service.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    started: Instant,
    /// Milliseconds from `started` to the last poll.
    polled_ms: AtomicU64,
    joined: AtomicBool,
    failed: AtomicBool,
    newest_event_ms: AtomicI64,
    /// Complaints that were logged lately, and how often each was withheld since.
    complaints: Mutex<BTreeMap<String, (Instant, u64)>>,

    lines: IntCounter,
    bytes: IntCounter,
    evaluated: IntCounter,
    dead_letters: IntCounterVec,
    matches: IntCounterVec,
    rule_costs: RuleCosts,
    suppressed: IntCounterVec,
    correlated: IntCounterVec,
    correlations_forced: IntCounter,
    pub(crate) alerts: IntCounter,
    pub(crate) delivery_errors: IntCounter,
    batch_seconds: Histogram,
    pub(crate) commit_seconds: Histogram,
    decode: IntCounterVec,
    limits: IntCounterVec,
    views: IntCounterVec,
    pub(crate) cache_evicted: IntCounter,
    pub(crate) warmup_lines: IntCounter,
    ruleset: GaugeVec,
    ruleset_loaded: Gauge,
    reloads: IntCounterVec,
    last_reload_successful: IntGauge,
    rules: IntGaugeVec,

    lag: IntGaugeVec,
    lag_seconds: Gauge,
    pub(crate) assigned: IntGauge,
    pub(crate) rebalances: IntCounter,
    pub(crate) lost: IntCounterVec,
    pub(crate) redelivered: IntCounter,
    pub(crate) commit_errors: IntCounter,
    poll_errors: IntCounterVec,
    client_errors: IntCounterVec,
    pub(crate) in_flight_bytes: IntGauge,
    pub(crate) queue_bytes: IntGauge,
    pub(crate) paused: IntGauge,
}

impl Telemetry {
    /// Fresh metrics, all registered.
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let buckets = vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
        let batch = HistogramOpts::new("pythia_batch_seconds", "Time to evaluate a batch of lines")
            .buckets(buckets);
        let batch_seconds = Histogram::with_opts(batch).expect("a valid metric");
        register(r, &batch_seconds);
        let commit = HistogramOpts::new(
            "pythia_kafka_commit_seconds",
            "Time until the broker knows the offsets, at revocations and at the end",
        )
        .buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0]);
        let commit_seconds = Histogram::with_opts(commit).expect("a valid metric");
        register(r, &commit_seconds);
        Self {
            started: Instant::now(),
            polled_ms: AtomicU64::new(0),
            joined: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            newest_event_ms: AtomicI64::new(0),
            complaints: Mutex::new(BTreeMap::new()),
            lines: counter(r, "pythia_lines_total", "Lines taken from Kafka"),
            bytes: counter(r, "pythia_bytes_total", "Bytes of these lines"),
            evaluated: counter(
                r,
                "pythia_events_total",
                "Lines that were events and were evaluated",
            ),
            dead_letters: counters(
                r,
                "pythia_dlq_total",
                "Lines sent to the dead-letter topic",
                &["reason"],
            ),
            matches: counters(
                r,
                "pythia_matches_total",
                "Events that a rule matched",
                &["rule"],
            ),
            rule_costs: RuleCosts::new(r),
            suppressed: counters(
                r,
                "pythia_suppressed_total",
                "Views that a rule would have matched but for a filter",
                &["rule", "filter"],
            ),
            correlated: counters(
                r,
                "pythia_correlation_total",
                "What came of matches in correlations: taken, late (after `correlation.lateness`), without_group, \
                 group_evicted and event_evicted (limits), fired",
                &["correlation", "outcome"],
            ),
            correlations_forced: counter(
                r,
                "pythia_correlation_forced_total",
                "Times that correlations were decided early because too many matches waited",
            ),
            alerts: counter(r, "pythia_alerts_total", "Alerts handed to the producer"),
            delivery_errors: counter(
                r,
                "pythia_kafka_produce_errors_total",
                "Records that were not delivered",
            ),
            batch_seconds,
            commit_seconds,
            decode: counters(r, "pythia_decode_total", "What decoding met", &["what"]),
            limits: counters(
                r,
                "pythia_limits_total",
                "Limits that were reached",
                &["limit"],
            ),
            views: counters(
                r,
                "pythia_views_total",
                "Views evaluated; a view that stays at zero has no audit rule that feeds it",
                &["view"],
            ),
            cache_evicted: counter(
                r,
                "pythia_process_cache_evicted_total",
                "Processes forgotten for lack of room",
            ),
            warmup_lines: counter(
                r,
                "pythia_warmup_lines_total",
                "Lines read again to fill the process cache",
            ),
            ruleset: gauges(r, "pythia_ruleset_info", "The ruleset in use", &["hash"]),
            ruleset_loaded: float_gauge(
                r,
                "pythia_ruleset_loaded_timestamp_seconds",
                "When the ruleset in use was loaded, in seconds since 1970",
            ),
            reloads: counters(
                r,
                "pythia_ruleset_reloads_total",
                "Times that rules were loaded anew: ok, unchanged (the same rules), failed (those in use stay)",
                &["result"],
            ),
            last_reload_successful: gauge(
                r,
                "pythia_ruleset_last_reload_successful",
                "0 while the rules on disk cannot be loaded and older ones stay in use",
            ),
            rules: int_gauges(
                r,
                "pythia_rules",
                "Rules: running, not_running (loaded, but cannot run), failed (did not load)",
                &["state"],
            ),
            lag: int_gauges(
                r,
                "pythia_kafka_lag",
                "Records not yet committed",
                &["topic", "partition"],
            ),
            lag_seconds: float_gauge(
                r,
                "pythia_kafka_lag_seconds",
                "Age of the newest event evaluated",
            ),
            assigned: gauge(
                r,
                "pythia_kafka_assigned_partitions",
                "Partitions of this instance",
            ),
            rebalances: counter(
                r,
                "pythia_kafka_rebalances_total",
                "Assignments and revocations",
            ),
            lost: counters(
                r,
                "pythia_kafka_records_lost_total",
                "Records deleted before they were read",
                &["topic", "partition"],
            ),
            redelivered: counter(
                r,
                "pythia_kafka_redelivered_total",
                "Records seen twice in one assignment",
            ),
            commit_errors: counter(r, "pythia_kafka_commit_errors_total", "Commits that failed"),
            poll_errors: counters(
                r,
                "pythia_kafka_poll_errors_total",
                "Errors while polling",
                &["kind"],
            ),
            client_errors: counters(
                r,
                "pythia_kafka_client_errors_total",
                "Errors of the Kafka clients",
                &["client"],
            ),
            queue_bytes: gauge(
                r,
                "pythia_kafka_queue_bytes",
                "Bytes of alerts and dead letters not yet delivered",
            ),
            in_flight_bytes: gauge(
                r,
                "pythia_kafka_in_flight_bytes",
                "Bytes of lines not yet delivered",
            ),
            paused: gauge(
                r,
                "pythia_kafka_paused",
                "1 while partitions are paused for back-pressure",
            ),
            registry,
        }
    }

    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        let newest = self.newest_event_ms.load(Ordering::Relaxed);
        if newest > 0 {
            self.lag_seconds.set(seconds(now_ms() - newest));
        }
        self.rule_costs.tell();
        let mut text = Vec::new();
        // Encoding writes to memory and every metric is well formed.
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("metrics encode");
        String::from_utf8(text).expect("metrics are text")
    }

    /// Events evaluated so far.
    pub fn evaluated(&self) -> u64 {
        self.evaluated.get()
    }

    /// Whether the threads are alive: the reason if not.
    pub fn health(&self) -> Result<(), &'static str> {
        if self.failed.load(Ordering::Relaxed) {
            return Err("the service has failed");
        }
        let since = self.started.elapsed().saturating_sub(Duration::from_millis(
            self.polled_ms.load(Ordering::Relaxed),
        ));
        if since > POLL_WITHIN {
            Err("the consumer has not polled for a minute")
        } else {
            Ok(())
        }
    }

    /// Whether lines are taken: the reason if not.
    pub fn ready(&self) -> Result<(), &'static str> {
        self.health()?;
        if self.joined.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err("not yet in the consumer group")
        }
    }

    pub(crate) fn polled(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.polled_ms.store(elapsed, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// The first ruleset.
    pub(crate) fn ruleset(&self, ruleset: &Ruleset, idle: Idle) {
        for outcome in Reload::ALL {
            self.reloads.with_label_values(&[outcome.code()]).inc_by(0);
        }
        self.last_reload_successful.set(1);
        self.rules(ruleset, idle);
        tracing::info!(
            event = "ruleset",
            hash = ruleset.hash(),
            rules = ruleset.plan().rules().len(),
            not_running = idle.not_running,
            failed = idle.failed,
        );
    }

    pub(crate) fn reloaded(&self, ruleset: &Ruleset, idle: Idle, change: Change) {
        self.count_reload(Reload::Ok);
        self.rules(ruleset, idle);
        self.rule_costs.keep(ruleset.plan());
        tracing::info!(
            event = "ruleset",
            hash = ruleset.hash(),
            rules = ruleset.plan().rules().len(),
            not_running = idle.not_running,
            failed = idle.failed,
            added = change.added,
            removed = change.removed,
            changed = change.changed,
        );
    }

    pub(crate) fn reload_changed_nothing(&self, ruleset: &Ruleset, idle: Idle) {
        self.count_reload(Reload::Unchanged);
        self.rules(ruleset, idle);
        tracing::info!(
            event = "ruleset_unchanged",
            hash = ruleset.hash(),
            not_running = idle.not_running,
            failed = idle.failed,
        );
    }

    /// `None`: for the same reason as before.
    pub(crate) fn reload_failed(&self, in_use: &Ruleset, reason: Option<&str>) {
        self.count_reload(Reload::Failed);
        if let Some(reason) = reason {
            tracing::error!(
                event = "reload_failed",
                in_use = in_use.hash(),
                "the rules in use stay: {reason}"
            );
        }
    }

    fn count_reload(&self, outcome: Reload) {
        self.reloads.with_label_values(&[outcome.code()]).inc();
        let successful = outcome != Reload::Failed;
        self.last_reload_successful.set(i64::from(successful));
    }

    fn rules(&self, ruleset: &Ruleset, idle: Idle) {
        self.ruleset.reset();
        self.ruleset.with_label_values(&[ruleset.hash()]).set(1.0);
        let loaded = seconds(ruleset.loaded().as_millisecond());
        self.ruleset_loaded.set(loaded);
        for (state, rules) in [
            ("running", ruleset.plan().rules().len()),
            ("not_running", idle.not_running),
            ("failed", idle.failed),
        ] {
            self.rules.with_label_values(&[state]).set(count(rules));
        }
    }

    /// The first batch of a partition since it is ours, or since its ruleset is another: from these lines
    /// on, which of them were evaluated under which ruleset.
    pub(crate) fn evaluated_under(batch: &Batch, ruleset: &str) {
        tracing::info!(
            event = "evaluated_under",
            topic = &*batch.topic,
            partition = batch.partition.partition,
            from_offset = batch.begin(),
            ruleset,
        );
    }

    pub(crate) fn dead_letter(&self, refusal: Refusal) {
        self.dead_letters.with_label_values(&[refusal.code()]).inc();
    }

    pub(crate) fn batch(&self, batch: &Batch, outcome: &Outcome, took: Duration) {
        self.lines.inc_by(batch.records.len() as u64);
        self.bytes.inc_by(batch.bytes() as u64);
        self.evaluated.inc_by(outcome.evaluated);
        self.batch_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn correlations(&self, plan: &Plan, counts: &[CorrelationCounts], forced: u64) {
        self.correlations_forced.inc_by(forced);
        for (correlation, counts) in plan.correlations().all().zip(counts) {
            let key = correlation.attributes.key();
            for (outcome, number) in [
                ("taken", counts.taken),
                ("late", counts.late_dropped),
                ("without_group", counts.without_group),
                ("group_evicted", counts.groups_evicted),
                ("event_evicted", counts.events_evicted),
                ("fired", counts.fired),
            ] {
                if number > 0 {
                    self.correlated
                        .with_label_values(&[key, outcome])
                        .inc_by(number);
                }
            }
        }
    }

    pub(crate) fn counts(&self, plan: &Plan, counts: &detect::Counts) {
        for (rule, filter, views) in &counts.suppressed {
            let rule = plan.rule(*rule);
            let filter = &rule.filters[*filter as usize].key;
            let labels = [rule.attributes.key(), filter];
            self.suppressed.with_label_values(&labels).inc_by(*views);
        }
        if let Some(newest) = counts.newest_ms {
            self.newest_event_ms.fetch_max(newest, Ordering::Relaxed);
        }
        for cost in counts.rules.iter().filter(|cost| cost.matches > 0) {
            self.matches
                .with_label_values(&[plan.rule(cost.rule).attributes.key()])
                .inc_by(cost.matches);
        }
        self.rule_costs.add(plan, &counts.rules, &counts.shared);
        for (kind, views) in ViewKind::ALL.into_iter().zip(counts.views) {
            self.views
                .with_label_values(&[view_name(kind)])
                .inc_by(views);
        }
        let dropped: u64 = counts
            .alerts_dropped
            .iter()
            .map(|(_, dropped)| dropped)
            .sum();
        let decode = &counts.decode;
        for (limit, hits) in [
            ("alerts_per_event", dropped),
            ("records_or_arguments", decode.limit_reached),
        ] {
            if hits > 0 {
                self.limits.with_label_values(&[limit]).inc_by(hits);
            }
        }
        let met = [
            ("fallback", decode.fallback),
            ("duplicate_keys", decode.duplicate_keys),
            ("no_host", decode.no_host),
            ("unknown_syscall", decode.unknown_syscall),
            ("hex_unrepaired", decode.hex_unrepaired),
            ("user_without_number", decode.user_without_number),
            ("parent_missing", decode.parent_missing),
        ];
        for (what, times) in met {
            if times > 0 {
                self.decode.with_label_values(&[what]).inc_by(times);
            }
        }
    }

    /// Partitions came: with how many lines of warm-up each is not known yet.
    pub(crate) fn assigned(&self, topic: &str, partition: i32, start: i64, warm_from: Option<i64>) {
        self.joined();
        tracing::info!(event = "assigned", topic, partition, start, warm_from);
    }

    /// The records that a warm-up may read are used up before the partition's start.
    pub(crate) fn warmup_cut(&self, topic: &str, partition: i32, unread: i64, correlated: bool) {
        self.limits.with_label_values(&["warmup_bytes"]).inc();
        if correlated {
            tracing::warn!(
                event = "warmup_cut",
                topic,
                partition,
                unread,
                "windows of correlations may be incomplete: raise process_cache.warmup_bytes"
            );
        } else {
            tracing::debug!(event = "warmup_cut", topic, partition, unread);
        }
    }

    /// The group has given its answer, be it no partition at all.
    pub(crate) fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// Called when the group should have answered.
    pub(crate) fn warn_unless_joined(&self) {
        if !self.joined.load(Ordering::Relaxed) {
            tracing::warn!(
                event = "not_in_group",
                "the group gives no answer: are the brokers reachable, do they know kafka.group_protocol?"
            );
        }
    }

    pub(crate) fn revoked(&self, topic: &str, partition: i32, drained: bool) {
        self.lag
            .remove_label_values(&[topic, &partition.to_string()])
            .ok();
        tracing::info!(event = "revoked", topic, partition, drained);
    }

    pub(crate) fn lost(&self, topic: &str, partition: i32, records: i64) {
        self.lost
            .with_label_values(&[topic, &partition.to_string()])
            .inc_by(u64::try_from(records).unwrap_or(0));
        tracing::error!(
            event = "records_lost",
            topic,
            partition,
            records,
            "records were deleted before they were read"
        );
    }

    pub(crate) fn beyond_end(&self, topic: &str, partition: i32, committed: i64, end: i64) {
        self.poll_errors
            .with_label_values(&["CommittedBeyondEnd"])
            .inc();
        tracing::error!(
            event = "committed_beyond_end",
            topic,
            partition,
            committed,
            end,
            "the topic is not the one that was read before; it is read from its beginning"
        );
    }

    pub(crate) fn lag(&self, topic: &str, partition: i32, records: i64) {
        self.lag
            .with_label_values(&[topic, &partition.to_string()])
            .set(records);
    }

    /// An alert or a dead letter was too large for its topic and was cut.
    pub(crate) fn cut(&self, topic: &str) {
        self.limits.with_label_values(&["message_bytes"]).inc();
        tracing::debug!(event = "cut", topic);
    }

    pub(crate) fn undelivered(&self, topic: &str, error: &KafkaError) {
        self.delivery_errors.inc();
        tracing::error!(event = "undelivered", topic, %error, "a record cannot be delivered; its lines will be read again");
    }

    /// Whether a repeated complaint is due again, and how often it was withheld since: brokers that are
    /// away make the clients complain dozens of times a second.
    fn due(&self, complaint: String) -> Option<u64> {
        let mut complaints = self
            .complaints
            .lock()
            .expect("nothing panics while it is held");
        if complaints.len() > COMPLAINTS {
            complaints.clear();
        }
        match complaints.get_mut(&complaint) {
            Some((last, withheld)) if last.elapsed() < COMPLAIN_EVERY => {
                *withheld += 1;
                None
            }
            Some((last, withheld)) => {
                *last = Instant::now();
                Some(std::mem::take(withheld))
            }
            None => {
                complaints.insert(complaint, (Instant::now(), 0));
                Some(0)
            }
        }
    }

    pub(crate) fn poll_error(&self, error: &KafkaError) {
        let kind = error
            .rdkafka_error_code()
            .map_or_else(|| "other".to_owned(), |code| format!("{code:?}"));
        self.poll_errors.with_label_values(&[&kind]).inc();
        if let Some(withheld) = self.due(format!("poll {kind}")) {
            tracing::warn!(event = "poll_error", %error, withheld);
        }
    }

    pub(crate) fn client_error(&self, client: &str, error: &KafkaError, reason: &str) {
        self.client_errors.with_label_values(&[client]).inc();
        let kind = error.rdkafka_error_code();
        if let Some(withheld) = self.due(format!("{client} {kind:?}")) {
            tracing::warn!(event = "client_error", client, reason, withheld);
        }
    }

    pub(crate) fn commit_error(&self, error: &KafkaError) {
        self.commit_errors.inc();
        tracing::warn!(event = "commit_error", %error);
    }

    /// The last word on a partition. At a clean stop `read = evaluated + dead_lettered + dropped`.
    pub(crate) fn summary(topic: &str, partition: i32, counts: &Counts, lost: i64) {
        tracing::info!(
            event = "partition_summary",
            topic,
            partition,
            read = counts.read,
            evaluated = counts.evaluated,
            dead_lettered = counts.dead_lettered,
            dropped = counts.dropped,
            unfinished = counts.unfinished,
            redelivered = counts.redelivered,
            lost,
        );
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

/// Ends of the partitions as the consumer's statistics know them: topic, partition, last stable offset.
pub(crate) fn ends(statistics: &Statistics) -> Vec<(&str, i32, i64)> {
    let topics = statistics.topics.iter();
    let mut ends: Vec<(&str, i32, i64)> = topics
        .flat_map(|(name, topic)| {
            topic
                .partitions
                .values()
                .map(|p| (name.as_str(), p.partition, p.ls_offset))
        })
        .filter(|(_, partition, end)| *partition >= 0 && *end >= 0)
        .collect();
    ends.sort_unstable();
    ends
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of years are far below 2^52"
)]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn register(registry: &Registry, metric: &(impl prometheus::core::Collector + Clone + 'static)) {
    registry
        .register(Box::new(metric.clone()))
        .expect("each metric has a name of its own");
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let metric = IntCounter::new(name, help).expect("a valid metric");
    register(registry, &metric);
    metric
}

pub(crate) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntCounterVec {
    let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid metric");
    register(registry, &metric);
    metric
}

pub(crate) fn float_counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> CounterVec {
    let metric = CounterVec::new(Opts::new(name, help), labels).expect("a valid metric");
    register(registry, &metric);
    metric
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let metric = IntGauge::new(name, help).expect("a valid metric");
    register(registry, &metric);
    metric
}

fn float_gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    let metric = Gauge::new(name, help).expect("a valid metric");
    register(registry, &metric);
    metric
}

pub(crate) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    let metric = GaugeVec::new(Opts::new(name, help), labels).expect("a valid metric");
    register(registry, &metric);
    metric
}

fn int_gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid metric");
    register(registry, &metric);
    metric
}
