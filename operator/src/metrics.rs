//! The operator's metrics, registered from the table in `operator-core`.

use std::sync::OnceLock;

use crds::{EngineMode, Phase, RolloutStatus};
use jiff::Timestamp;
use operator_core::{
    conditions::{ConditionType, Reason},
    metrics as table,
};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use service::{Family, MetricsError, Registry};

/// All metrics of the operator; [`table`] describes each one.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) reconciles: Family<IntCounterVec>,
    pub(crate) reconcile_seconds: Histogram,
    pub(crate) writes: Family<IntCounterVec>,
    pub(crate) status_writes: IntCounter,
    pub(crate) watch_failures: Family<IntCounterVec>,
    pub(crate) report_failures: IntCounter,
    pub(crate) anchors: IntCounter,
    pub(crate) anchors_delayed: IntCounter,
    pub(crate) anchor_delay_seconds: Histogram,
    pub(crate) leading: IntGauge,
    anchors_waiting: IntGauge,
    engines: Family<IntGaugeVec>,
    log_integrity: Family<IntGaugeVec>,
    modes: Family<IntGaugeVec>,
    conditions: Family<IntGaugeVec>,
    backup_taken: Family<IntGaugeVec>,
    backup_verified: Family<IntGaugeVec>,
    rollout_phase: Family<IntGaugeVec>,
    rollout_weight: Family<IntGaugeVec>,
    rollout_gate: Family<IntGaugeVec>,
    rollout_pairs: Family<IntGaugeVec>,
    counted: OnceLock<CountedSource>,
    waiting: OnceLock<WaitingSource>,
}

/// The values of one engine that the gauges show; `None` for values that the engine does not have yet.
pub(crate) struct Counted {
    pub(crate) phase: Option<Phase>,
    pub(crate) log_integrity: Option<Reason>,
    pub(crate) mode: Option<EngineMode>,
    /// Namespace and name.
    pub(crate) engine: (String, String),
    /// When the newest backup was taken, and when the newest verified one was verified.
    pub(crate) backups: (Option<Timestamp>, Option<Timestamp>),
    /// How far a rollout is.
    pub(crate) rollout: Option<RolloutStatus>,
    /// Type and status of each condition.
    pub(crate) conditions: Vec<(ConditionType, String)>,
}

/// Returns the values of every existing engine.
type CountedSource = Box<dyn Fn() -> Vec<Counted> + Send + Sync>;
/// Returns the number of engines whose anchor is due and not yet recorded.
type WaitingSource = Box<dyn Fn() -> usize + Send + Sync>;

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new(&[]).expect("no label is given that could be invalid");
        Self::registered(registry).expect("a test registers all of them: each has a name of its own")
    }

    fn registered(registry: Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            reconciles: registry.counters(table::RECONCILES)?,
            reconcile_seconds: registry.histogram(table::RECONCILE_SECONDS)?,
            writes: registry.counters(table::WRITES)?,
            status_writes: registry.counter(table::STATUS_WRITES)?,
            watch_failures: registry.counters(table::WATCH_FAILURES)?,
            report_failures: registry.counter(table::REPORT_FAILURES)?,
            anchors: registry.counter(table::ANCHORS)?,
            anchors_delayed: registry.counter(table::ANCHORS_DELAYED)?,
            anchor_delay_seconds: registry.histogram(table::ANCHOR_DELAY_SECONDS)?,
            anchors_waiting: registry.gauge(table::ANCHORS_WAITING)?,
            leading: registry.gauge(table::LEADING)?,
            engines: registry.gauges(table::ENGINES)?,
            log_integrity: registry.gauges(table::LOG_INTEGRITY)?,
            modes: registry.gauges(table::MODES)?,
            conditions: registry.gauges(table::CONDITIONS)?,
            backup_taken: registry.gauges(table::BACKUP_TAKEN)?,
            backup_verified: registry.gauges(table::BACKUP_VERIFIED)?,
            rollout_phase: registry.gauges(table::ROLLOUT_PHASE)?,
            rollout_weight: registry.gauges(table::ROLLOUT_WEIGHT)?,
            rollout_gate: registry.gauges(table::ROLLOUT_GATE)?,
            rollout_pairs: registry.gauges(table::ROLLOUT_PAIRS)?,
            counted: OnceLock::new(),
            waiting: OnceLock::new(),
            registry,
        })
    }

    /// Sets the source of the engine gauges, which is read at each scrape.
    pub(crate) fn count_engines(&self, source: CountedSource) {
        // `set` fails only if a source is already set, and a process has only one controller.
        let _ = self.counted.set(source);
    }

    /// Sets the source of the gauge of waiting engines.
    pub(crate) fn count_waiting(&self, source: WaitingSource) {
        let _ = self.waiting.set(source);
    }

    /// All metrics in the text exposition format, with the current values of the gauges.
    pub(crate) fn text(&self) -> String {
        for gauge in [
            &self.engines,
            &self.log_integrity,
            &self.modes,
            &self.conditions,
            &self.backup_taken,
            &self.backup_verified,
            &self.rollout_phase,
            &self.rollout_weight,
            &self.rollout_gate,
            &self.rollout_pairs,
        ] {
            gauge.reset();
        }
        for engine in self.counted.get().map(|source| source()).unwrap_or_default() {
            let phase = engine.phase.map_or_else(|| "None".to_owned(), |phase| format!("{phase:?}"));
            self.engines.with_label_values(&[&phase]).inc();
            let reason = engine.log_integrity.map_or_else(|| "None".to_owned(), Reason::as_str);
            self.log_integrity.with_label_values(&[&reason]).inc();
            let mode = engine.mode.map_or_else(|| "None".to_owned(), |mode| format!("{mode:?}"));
            self.modes.with_label_values(&[&mode]).inc();
            let (namespace, name) = &engine.engine;
            let (taken, verified) = engine.backups;
            for (gauge, moment) in [(&self.backup_taken, taken), (&self.backup_verified, verified)] {
                if let Some(moment) = moment {
                    gauge.with_label_values(&[namespace, name]).set(moment.as_second());
                }
            }
            if let Some(rollout) = &engine.rollout {
                self.show_rollout((namespace, name), rollout);
            }
            for (kind, status) in &engine.conditions {
                self.conditions.with_label_values(&[kind.as_str(), status]).inc();
            }
        }
        let waiting = self.waiting.get().map(|source| source()).unwrap_or_default();
        self.anchors_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.registry.encode().unwrap_or_default()
    }

    fn show_rollout(&self, (namespace, name): (&str, &str), rollout: &RolloutStatus) {
        self.rollout_phase.with_label_values(&[namespace, name, &format!("{:?}", rollout.phase)]).set(1);
        self.rollout_weight.with_label_values(&[namespace, name]).set(rollout.weight.into());
        for gate in &rollout.gates {
            let named = format!("{:?}", gate.gate);
            self.rollout_gate.with_label_values(&[namespace, name, &named, &gate.verdict]).set(1);
            let pairs =
                [("any", gate.pairs), ("canary_only", gate.canary_only), ("stable_only", gate.stable_only)];
            for (bad, number) in pairs {
                self.rollout_pairs.with_label_values(&[namespace, name, &named, bad]).set(number);
            }
        }
    }
}
