//! The operator's own metrics, all defined here, in a registry of its own.

use std::sync::OnceLock;

use crds::Phase;
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
    /// 1 while this operator leads.
    pub(crate) leading: IntGauge,
    engines: IntGaugeVec,
    phases: OnceLock<PhaseSource>,
}

/// Says the phase of every engine there is now; `None` for one that has none yet.
type PhaseSource = Box<dyn Fn() -> Vec<Option<Phase>> + Send + Sync>;

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
            reconcile_seconds: Histogram::with_opts(HistogramOpts::new(
                "memory_operator_reconcile_seconds",
                "Duration of reconciles.",
            ))
            .expect("the name is a metric name"),
            writes: counters("memory_operator_writes_total", "Writes of children.", &["kind", "verb"]),
            status_writes: counter("memory_operator_status_writes_total", "Writes of MemoryEngine statuses."),
            watch_failures: counters(
                "memory_operator_watch_failures_total",
                "Watches that broke off.",
                &["kind"],
            ),
            report_failures: counter("memory_operator_report_failures_total", "Engines that did not answer."),
            leading: IntGauge::new("memory_operator_leading", "1 while this operator leads.")
                .expect("the name is a metric name"),
            engines: IntGaugeVec::new(Opts::new("memory_operator_engines", "Engines by phase."), &["phase"])
                .expect("the names are metric and label names"),
            phases: OnceLock::new(),
            registry,
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let all: [Box<dyn Collector>; 9] = [
            Box::new(self.reconciles.clone()),
            Box::new(self.reconcile_seconds.clone()),
            Box::new(self.writes.clone()),
            Box::new(self.status_writes.clone()),
            Box::new(self.watch_failures.clone()),
            Box::new(self.report_failures.clone()),
            Box::new(self.leading.clone()),
            Box::new(self.engines.clone()),
            Box::new(ProcessCollector::for_self()),
        ];
        for collector in all {
            self.registry.register(collector).expect("every metric has a name of its own");
        }
    }

    /// Where the gauge of engines looks, each time it is scraped.
    pub(crate) fn count_engines(&self, source: PhaseSource) {
        // There is one controller in the life of a process.
        let _ = self.phases.set(source);
    }

    /// The exposition text, with the gauges computed now.
    pub(crate) fn text(&self) -> String {
        self.engines.reset();
        for phase in self.phases.get().map(|source| source()).unwrap_or_default() {
            let phase = phase.map_or_else(|| "None".to_owned(), |phase| format!("{phase:?}"));
            self.engines.with_label_values(&[&phase]).inc();
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}
