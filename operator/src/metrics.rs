//! The operator's own metrics, all defined here, in a registry of its own.

use std::sync::OnceLock;

use crds::Phase;
use operator_core::conditions::Reason;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector, process_collector::ProcessCollector,
};

/// Every metric.
pub(crate) struct Metrics {
    registry: Registry,
    /// Reconciles by how they ended.
    pub(crate) reconciles: IntCounterVec,
    /// How long they took.
    pub(crate) reconcile_seconds: Histogram,
    /// Writes of children, by kind and verb.
    pub(crate) writes: IntCounterVec,
    /// Writes of statuses.
    pub(crate) status_writes: IntCounter,
    /// Watches that broke off, by kind.
    pub(crate) watch_failures: IntCounterVec,
    /// Engines that did not answer.
    pub(crate) report_failures: IntCounter,
    /// Anchors recorded.
    pub(crate) anchors: IntCounter,
    /// Anchorings that the budget put off.
    pub(crate) anchors_delayed: IntCounter,
    /// From the moment an anchoring is due to the moment it is recorded.
    pub(crate) anchor_delay_seconds: Histogram,
    /// 1 while this operator leads.
    pub(crate) leading: IntGauge,
    anchors_waiting: IntGauge,
    engines: IntGaugeVec,
    log_integrity: IntGaugeVec,
    counted: OnceLock<CountedSource>,
    waiting: OnceLock<WaitingSource>,
}

/// One engine, as the gauges count it; `None` for what it has not yet.
pub(crate) struct Counted {
    pub(crate) phase: Option<Phase>,
    pub(crate) log_integrity: Option<Reason>,
}

/// Says what is counted of every engine there is now.
type CountedSource = Box<dyn Fn() -> Vec<Counted> + Send + Sync>;
/// Says how many engines wait for their anchor.
type WaitingSource = Box<dyn Fn() -> usize + Send + Sync>;

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    Histogram::with_opts(options).expect("the name is a metric name, and the buckets grow")
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), labels).expect("the names are metric and label names")
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is a metric name")
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let counter =
            |name: &str, help: &str| IntCounter::new(name, help).expect("the name is a metric name");
        let counters = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("the names are metric and label names")
        };
        let metrics = Self {
            reconciles: counters("memory_operator_reconciles_total", "Reconciles by outcome.", &["outcome"]),
            reconcile_seconds: histogram(
                "memory_operator_reconcile_seconds",
                "Duration of reconciles.",
                prometheus::DEFAULT_BUCKETS,
            ),
            writes: counters("memory_operator_writes_total", "Writes of children.", &["kind", "verb"]),
            status_writes: counter("memory_operator_status_writes_total", "Writes of MemoryEngine statuses."),
            watch_failures: counters(
                "memory_operator_watch_failures_total",
                "Watches that broke off.",
                &["kind"],
            ),
            report_failures: counter("memory_operator_report_failures_total", "Engines that did not answer."),
            anchors: counter("memory_operator_anchors_total", "Anchors of logs recorded."),
            anchors_delayed: counter(
                "memory_operator_anchor_delayed_total",
                "Anchorings that the budget of writes put off.",
            ),
            anchor_delay_seconds: histogram(
                "memory_operator_anchor_delay_seconds",
                "From an anchoring being due to its being recorded.",
                &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0],
            ),
            anchors_waiting: gauge(
                "memory_operator_anchors_waiting",
                "Engines whose anchoring is due and not done.",
            ),
            leading: gauge("memory_operator_leading", "1 while this operator leads."),
            engines: gauges("memory_operator_engines", "Engines by phase.", &["phase"]),
            log_integrity: gauges(
                "memory_operator_log_integrity",
                "Engines by the reason of their condition LogIntegrity.",
                &["reason"],
            ),
            counted: OnceLock::new(),
            waiting: OnceLock::new(),
            registry,
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let all: [Box<dyn Collector>; 14] = [
            Box::new(self.reconciles.clone()),
            Box::new(self.reconcile_seconds.clone()),
            Box::new(self.writes.clone()),
            Box::new(self.status_writes.clone()),
            Box::new(self.watch_failures.clone()),
            Box::new(self.report_failures.clone()),
            Box::new(self.anchors.clone()),
            Box::new(self.anchors_delayed.clone()),
            Box::new(self.anchor_delay_seconds.clone()),
            Box::new(self.anchors_waiting.clone()),
            Box::new(self.log_integrity.clone()),
            Box::new(self.leading.clone()),
            Box::new(self.engines.clone()),
            Box::new(ProcessCollector::for_self()),
        ];
        for collector in all {
            self.registry.register(collector).expect("every metric has a name of its own");
        }
    }

    /// Where the gauges of engines look, each time they are scraped.
    pub(crate) fn count_engines(&self, source: CountedSource) {
        // There is one controller in the life of a process.
        let _ = self.counted.set(source);
    }

    /// Where the gauge of waiting engines looks.
    pub(crate) fn count_waiting(&self, source: WaitingSource) {
        let _ = self.waiting.set(source);
    }

    /// The exposition text, with the gauges computed now.
    pub(crate) fn text(&self) -> String {
        self.engines.reset();
        self.log_integrity.reset();
        for engine in self.counted.get().map(|source| source()).unwrap_or_default() {
            let phase = engine.phase.map_or_else(|| "None".to_owned(), |phase| format!("{phase:?}"));
            self.engines.with_label_values(&[&phase]).inc();
            let reason = engine.log_integrity.map_or_else(|| "None".to_owned(), Reason::as_str);
            self.log_integrity.with_label_values(&[&reason]).inc();
        }
        let waiting = self.waiting.get().map(|source| source()).unwrap_or_default();
        self.anchors_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}
