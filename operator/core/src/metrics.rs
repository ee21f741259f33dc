//! The definitions of all metrics of the operator.

use engine_core::metrics::{Label, MetricKind};

const CHILD_KINDS: &str = "kinds of the objects that the operator manages";
/// Upper bounds of the histogram buckets for the duration of a reconcile, in seconds: the defaults of Prometheus.
const RECONCILE_BUCKETS_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of the histogram buckets for the delay of an anchor, in seconds. In a long queue, an anchor waits up to
/// ten minutes.
const ANCHOR_DELAY_BUCKETS_S: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
const OUTCOMES: &[&str] =
    &["apply", "contested", "namespace_ending", "not_leading", "ok", "refused", "status"];
const VERBS: &[&str] = &["create", "delete", "prune", "record", "release", "repair", "update"];

const COUNTER: MetricKind = MetricKind::Counter;
const GAUGE: MetricKind = MetricKind::Gauge;

const NAMESPACE: Label = Label::from("namespace", "namespaces of engines");
const ROLLED: Label = Label::from("engine", "engines with `spec.rollout`");
const GATE: Label = Label::from("gate", "gates in force");

engine_core::metric_table! {
    RECONCILES: "memory_operator_reconciles_total", COUNTER, Count, [Label::of("outcome", OUTCOMES)],
        "Reconciles, by outcome.";
    RECONCILE_SECONDS: "memory_operator_reconcile_seconds", MetricKind::Histogram(RECONCILE_BUCKETS_S), Seconds, [],
        "Duration of a reconcile.";
    WRITES: "memory_operator_writes_total", COUNTER, Count,
        [Label::from("kind", CHILD_KINDS), Label::of("verb", VERBS)],
        "Writes of managed objects that the API server accepted.";
    STATUS_WRITES: "memory_operator_status_writes_total", COUNTER, Count, [],
        "Writes of MemoryEngine statuses.";
    WATCH_FAILURES: "memory_operator_watch_failures_total", COUNTER, Count, [Label::from("kind", CHILD_KINDS)],
        "Watches that failed and were started again.";
    REPORT_FAILURES: "memory_operator_report_failures_total", COUNTER, Count, [],
        "Requests to engines that were not answered.";
    ANCHORS: "memory_operator_anchors_total", COUNTER, Count, [],
        "Anchors of logs that were recorded.";
    ANCHORS_DELAYED: "memory_operator_anchor_delayed_total", COUNTER, Count, [],
        "Anchors that were delayed by the budget of writes.";
    ANCHOR_DELAY_SECONDS: "memory_operator_anchor_delay_seconds", MetricKind::Histogram(ANCHOR_DELAY_BUCKETS_S),
        Seconds, [],
        "Time from an anchor being due until it is recorded.";
    ANCHORS_WAITING: "memory_operator_anchors_waiting", GAUGE, Count, [],
        "Engines whose anchor is due and not recorded.";
    LEADING: "memory_operator_leading", GAUGE, Flag, [],
        "1 while this operator is the leader.";
    ENGINES: "memory_operator_engines", GAUGE, Count, [Label::from("phase", "phases of the status, or None")],
        "Engines, by phase.";
    LOG_INTEGRITY: "memory_operator_log_integrity", GAUGE, Count,
        [Label::from("reason", "reasons of the condition LogIntegrity, or None")],
        "Engines, by the reason of their condition LogIntegrity.";
    MODES: "memory_operator_modes", GAUGE, Count, [Label::from("mode", "modes of the status, or None")],
        "Engines, by the mode in effect.";
    CONDITIONS: "memory_operator_conditions", GAUGE, Count,
        [Label::from("type", "types of conditions"), Label::of("status", &["True", "False", "Unknown"])],
        "Engines, by type and status of a condition.";
    BACKUP_TAKEN: "memory_operator_backup_taken_timestamp_seconds", GAUGE, Seconds,
        [Label::from("namespace", "namespaces of engines"), Label::from("engine", "engines with `spec.backup`")],
        "When the newest backup was taken, in seconds since 1970.";
    BACKUP_VERIFIED: "memory_operator_backup_verified_timestamp_seconds", GAUGE, Seconds,
        [Label::from("namespace", "namespaces of engines"), Label::from("engine", "engines with `spec.backup`")],
        "When the newest verified backup was verified, in seconds since 1970.";
    ROLLOUT_PHASE: "memory_operator_rollout_phase", GAUGE, Flag,
        [NAMESPACE, ROLLED, Label::from("phase", "phases of `status.rollout`")],
        "1 for the phase that a rollout is in.";
    ROLLOUT_WEIGHT: "memory_operator_rollout_weight_percent", GAUGE, Count, [NAMESPACE, ROLLED],
        "Share of the sessions that the canary may answer, percent.";
    ROLLOUT_GATE: "memory_operator_rollout_gate", GAUGE, Flag,
        [NAMESPACE, ROLLED, GATE, Label::from("verdict", "verdicts of `status.rollout.gates`")],
        "1 for what each gate says of the revision that is judged.";
    ROLLOUT_PAIRS: "memory_operator_rollout_pairs", GAUGE, Count,
        [NAMESPACE, ROLLED, GATE, Label::of("bad", &["any", "canary_only", "stable_only"])],
        "Pairs since the revision is judged: all of them, and those in which only one side was bad.";
}
