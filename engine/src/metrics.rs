//! The metrics registry of one engine, and the metrics that do not belong to one of its libraries.

use std::sync::Arc;

use engine_archive::ArchiveMetrics;
use engine_core::event::{
    ENTITY_ENDED, ENTITY_OBSERVED, ENTITY_PUT, MEMORY_INVALIDATED, OBSERVATION_ENDED, RELATION_ENDED,
    RELATION_PUT,
};
use engine_core::guard::{Automatic, Guard, Now, Record};
use engine_core::metrics::table;
use engine_core::mode::Mode;
use engine_core::rollout::metric::METRIC_WORDS;
use engine_core::wire::DrillFaultKind;
use engine_log::LogMetrics;
use engine_projection::ProjectionMetrics;
use engine_retrieval::RetrievalMetrics;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use service::{Family, MetricsError, Registry, Sample, Timed, Window};

use crate::traces::TraceMetrics;

/// All metrics of one engine, grouped by component.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) log: Arc<LogMetrics>,
    pub(crate) archive: Arc<ArchiveMetrics>,
    pub(crate) projection: Arc<ProjectionMetrics>,
    pub(crate) retrieval: Arc<RetrievalMetrics>,
    pub(crate) health: HealthMetrics,
    pub(crate) policy: PolicyMetrics,
    pub(crate) retention: RetentionMetrics,
    pub(crate) mode: ModeMetrics,
    pub(crate) append_seconds: Histogram,
    /// The newest durations of appends, for percentiles.
    pub(crate) append_window: Window,
    pub(crate) queries: Family<IntCounterVec>,
    pub(crate) query_seconds: Timed,
    pub(crate) cache: Family<IntCounterVec>,
    pub(crate) http_requests: Family<IntCounterVec>,
    pub(crate) access: Family<IntCounterVec>,
    pub(crate) issuer_refreshes: Family<IntCounterVec>,
    pub(crate) issuer_keys_age: Family<IntGaugeVec>,
    pub(crate) issuer_keys: Family<IntGaugeVec>,
    pub(crate) ticket: TicketMetrics,
    pub(crate) following: FollowingMetrics,
    pub(crate) standby: StandbyMetrics,
    pub(crate) rollout: RolloutMetrics,
    pub(crate) forgotten: IntCounter,
    pub(crate) graph_upserts: Family<IntCounterVec>,
    pub(crate) invalidations: Family<IntCounterVec>,
    pub(crate) context_failures: Family<IntCounterVec>,
    pub(crate) traces: TraceMetrics,
}

impl Metrics {
    /// Registers all metrics. `engine` becomes a label of every sample.
    ///
    /// # Errors
    /// Two metrics have the same name.
    pub(crate) fn new(engine: &str) -> Result<Metrics, MetricsError> {
        let registry = Registry::new(&[("engine", engine)])?;
        let retrieval = Arc::new(RetrievalMetrics::new(&registry)?);
        registry.gauges(table::BUILD_INFO)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics {
            log: Arc::new(LogMetrics::new(&registry)?),
            archive: Arc::new(ArchiveMetrics::new(&registry)?),
            projection: Arc::new(ProjectionMetrics::new(&registry)?),
            cache: retrieval.cache.clone(),
            retrieval,
            health: HealthMetrics::new(&registry)?,
            policy: PolicyMetrics::new(&registry)?,
            retention: RetentionMetrics::new(&registry)?,
            mode: ModeMetrics::new(&registry)?,
            append_seconds: registry.histogram(table::APPEND_SECONDS)?,
            append_window: Window::default(),
            queries: registry.counters(table::QUERIES)?,
            query_seconds: Timed::new(&registry, table::QUERY_SECONDS)?,
            http_requests: registry.counters(table::HTTP_REQUESTS)?,
            access: registry.counters(table::ACCESS_DECISIONS)?,
            issuer_refreshes: registry.counters(table::ISSUER_REFRESHES)?,
            issuer_keys_age: registry.gauges(table::ISSUER_KEYS_AGE)?,
            issuer_keys: registry.gauges(table::ISSUER_KEYS)?,
            ticket: TicketMetrics::new(&registry)?,
            following: FollowingMetrics::new(&registry)?,
            standby: StandbyMetrics::new(&registry)?,
            rollout: RolloutMetrics::new(&registry)?,
            forgotten: registry.counter(table::FORGOTTEN)?,
            graph_upserts: registry.counters(table::GRAPH_UPSERTS)?,
            invalidations: registry.counters(table::INVALIDATIONS)?,
            context_failures: registry.counters(table::CONTEXT_FAILURES)?,
            traces: TraceMetrics::new(&registry)?,
            registry,
        })
    }

    /// Counts events that were written.
    pub(crate) fn count_events(&self, events: &[CountedEvent]) {
        for event in events {
            match event {
                CountedEvent::Upsert(kind) => self.graph_upserts.with_label_values(&[kind]).inc(),
                CountedEvent::Invalidation(kind) => self.invalidations.with_label_values(&[kind]).inc(),
            }
        }
    }

    /// The samples of the counters and gauges with this name.
    pub(crate) fn samples(&self, name: &str) -> Vec<Sample> {
        self.registry.samples(name)
    }

    /// Returns all samples, in the text format that Prometheus scrapes.
    ///
    /// # Errors
    /// A metric cannot be written.
    pub(crate) fn encode(&self) -> Result<String, MetricsError> {
        self.registry.encode()
    }
}

/// Comparing a canary with this engine.
#[derive(Debug, Clone)]
pub(crate) struct RolloutMetrics {
    pub(crate) pairs: Family<IntCounterVec>,
    pub(crate) excluded: Family<IntCounterVec>,
    pub(crate) reads: Family<IntCounterVec>,
    pub(crate) weight: IntGauge,
    pub(crate) breaker_open: IntGauge,
}

impl RolloutMetrics {
    fn new(registry: &Registry) -> Result<RolloutMetrics, MetricsError> {
        let metrics = RolloutMetrics {
            pairs: registry.counters(table::ROLLOUT_PAIRS)?,
            excluded: registry.counters(table::ROLLOUT_EXCLUDED)?,
            reads: registry.counters(table::ROLLOUT_READS)?,
            weight: registry.gauge(table::ROLLOUT_WEIGHT)?,
            breaker_open: registry.gauge(table::ROLLOUT_BREAKER)?,
        };
        // A rate needs the first value of each.
        for metric in METRIC_WORDS {
            for outcome in table::PAIR_OUTCOMES {
                metrics.pairs.with_label_values(&[metric, outcome]).inc_by(0);
            }
        }
        for reason in table::EXCLUDED_REASONS {
            metrics.excluded.with_label_values(&[reason]).inc_by(0);
        }
        for by in table::ANSWERING {
            metrics.reads.with_label_values(&[by]).inc_by(0);
        }
        Ok(metrics)
    }
}

/// Following another engine.
#[derive(Debug, Clone)]
pub(crate) struct FollowingMetrics {
    pub(crate) connected: IntGauge,
    pub(crate) lag_events: IntGauge,
    pub(crate) lag_seconds: IntGauge,
    pub(crate) broken: IntGauge,
    pub(crate) lines: IntCounter,
    pub(crate) faults: Family<IntCounterVec>,
    pub(crate) forwarded: Family<IntCounterVec>,
}

impl FollowingMetrics {
    fn new(registry: &Registry) -> Result<FollowingMetrics, MetricsError> {
        let metrics = FollowingMetrics {
            connected: registry.gauge(table::FOLLOWING_CONNECTED)?,
            lag_events: registry.gauge(table::FOLLOWING_LAG_EVENTS)?,
            lag_seconds: registry.gauge(table::FOLLOWING_LAG_SECONDS)?,
            broken: registry.gauge(table::FOLLOWING_BROKEN)?,
            lines: registry.counter(table::FOLLOWING_LINES)?,
            faults: registry.counters(table::FOLLOWING_FAULTS)?,
            forwarded: registry.counters(table::FOLLOWING_FORWARDED)?,
        };
        // A rate needs the first value of each.
        for fault in table::FOLLOWING_FAULT_WORDS {
            metrics.faults.with_label_values(&[fault]).inc_by(0);
        }
        for outcome in table::FORWARDED_OUTCOMES {
            metrics.forwarded.with_label_values(&[outcome]).inc_by(0);
        }
        metrics.lag_seconds.set(-1);
        Ok(metrics)
    }
}

/// A standby.
#[derive(Debug, Clone)]
pub(crate) struct StandbyMetrics {
    pub(crate) seq: IntGauge,
    pub(crate) verified: IntGauge,
    pub(crate) verified_timestamp: IntGauge,
    pub(crate) rpo: IntGauge,
    pub(crate) rto: IntGauge,
    pub(crate) catch_up: IntGauge,
}

impl StandbyMetrics {
    fn new(registry: &Registry) -> Result<StandbyMetrics, MetricsError> {
        let metrics = StandbyMetrics {
            seq: registry.gauge(table::STANDBY_SEQ)?,
            verified: registry.gauge(table::STANDBY_VERIFIED)?,
            verified_timestamp: registry.gauge(table::STANDBY_VERIFIED_TIMESTAMP)?,
            rpo: registry.gauge(table::STANDBY_RPO)?,
            rto: registry.gauge(table::STANDBY_RTO)?,
            catch_up: registry.gauge(table::STANDBY_CATCH_UP)?,
        };
        for unknown in [
            &metrics.seq,
            &metrics.verified,
            &metrics.verified_timestamp,
            &metrics.rpo,
            &metrics.rto,
            &metrics.catch_up,
        ] {
            unknown.set(-1);
        }
        Ok(metrics)
    }
}

/// The ticket of the public port.
#[derive(Debug, Clone)]
pub(crate) struct TicketMetrics {
    pub(crate) tickets: Family<IntCounterVec>,
    pub(crate) open: IntGauge,
    pub(crate) age: IntGauge,
    pub(crate) remaining: IntGauge,
}

impl TicketMetrics {
    fn new(registry: &Registry) -> Result<TicketMetrics, MetricsError> {
        let metrics = TicketMetrics {
            tickets: registry.counters(table::TICKETS)?,
            open: registry.gauge(table::TICKET_OPEN)?,
            age: registry.gauge(table::TICKET_AGE)?,
            remaining: registry.gauge(table::TICKET_REMAINING)?,
        };
        // A rate needs the first value of each.
        for outcome in table::TICKET_OUTCOMES {
            metrics.tickets.with_label_values(&[outcome]).inc_by(0);
        }
        metrics.age.set(-1);
        metrics.remaining.set(-1);
        Ok(metrics)
    }
}

/// An event that adds to the graph or ends something, with the label under which it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CountedEvent {
    Upsert(&'static str),
    Invalidation(&'static str),
}

impl CountedEvent {
    /// The event of this kind, if it is counted.
    pub(crate) fn of(kind: &str) -> Option<CountedEvent> {
        Some(match kind {
            ENTITY_PUT => CountedEvent::Upsert("entity"),
            ENTITY_OBSERVED => CountedEvent::Upsert("observations"),
            RELATION_PUT => CountedEvent::Upsert("relation"),
            ENTITY_ENDED => CountedEvent::Invalidation("entity"),
            OBSERVATION_ENDED => CountedEvent::Invalidation("observations"),
            RELATION_ENDED => CountedEvent::Invalidation("relation"),
            MEMORY_INVALIDATED => CountedEvent::Invalidation("memory"),
            _ => return None,
        })
    }
}

/// Gauges with values from the health report, which are set at each scrape.
#[derive(Debug)]
pub(crate) struct HealthMetrics {
    pub(crate) configuration_in_force: IntGauge,
    pub(crate) log_head_seq: IntGauge,
    pub(crate) log_writable: IntGauge,
    pub(crate) torn_bytes: IntGauge,
    pub(crate) segments: IntGauge,
    pub(crate) verified_through: IntGauge,
    pub(crate) integrity_fault: IntGauge,
    pub(crate) projection_lag: IntGauge,
    pub(crate) projection_rebuild_lag: IntGauge,
    pub(crate) storage_available: IntGauge,
    pub(crate) storage_capacity: IntGauge,
}

impl HealthMetrics {
    fn new(registry: &Registry) -> Result<HealthMetrics, MetricsError> {
        Ok(HealthMetrics {
            configuration_in_force: registry.gauge(table::CONFIGURATION_IN_FORCE)?,
            log_head_seq: registry.gauge(table::LOG_HEAD_SEQ)?,
            log_writable: registry.gauge(table::LOG_WRITABLE)?,
            torn_bytes: registry.gauge(table::LOG_TORN_BYTES)?,
            segments: registry.gauge(table::LOG_SEGMENTS)?,
            verified_through: registry.gauge(table::LOG_VERIFIED_THROUGH)?,
            integrity_fault: registry.gauge(table::LOG_INTEGRITY_FAULT)?,
            projection_lag: registry.gauge(table::PROJECTION_LAG)?,
            projection_rebuild_lag: registry.gauge(table::PROJECTION_REBUILD_LAG)?,
            storage_available: registry.gauge(table::STORAGE_AVAILABLE)?,
            storage_capacity: registry.gauge(table::STORAGE_CAPACITY)?,
        })
    }
}

/// Counters of what the policy blocks and redacts.
#[derive(Debug)]
pub(crate) struct PolicyMetrics {
    pub(crate) blocked: Family<IntCounterVec>,
    pub(crate) redactions: Family<IntCounterVec>,
    pub(crate) pseudonym_key_lost: IntGauge,
}

impl PolicyMetrics {
    fn new(registry: &Registry) -> Result<PolicyMetrics, MetricsError> {
        Ok(PolicyMetrics {
            blocked: registry.counters(table::POLICY_BLOCKED)?,
            redactions: registry.counters(table::REDACTIONS)?,
            pseudonym_key_lost: registry.gauge(table::PSEUDONYM_KEY_LOST)?,
        })
    }
}

/// Counters of what retention plans do.
#[derive(Debug)]
pub(crate) struct RetentionMetrics {
    pub(crate) runs: Family<IntCounterVec>,
    pub(crate) removed: IntCounter,
    pub(crate) last_applied: IntGauge,
}

impl RetentionMetrics {
    fn new(registry: &Registry) -> Result<RetentionMetrics, MetricsError> {
        Ok(RetentionMetrics {
            runs: registry.counters(table::RETENTION_RUNS)?,
            removed: registry.counter(table::RETENTION_REMOVED)?,
            last_applied: registry.gauge(table::RETENTION_LAST_APPLIED)?,
        })
    }
}

/// The mode and the guard.
#[derive(Debug, Clone)]
pub(crate) struct ModeMetrics {
    mode: Family<IntGaugeVec>,
    wanted: Family<IntGaugeVec>,
    state: Family<IntGaugeVec>,
    held: Family<IntGaugeVec>,
    drill_fault: Family<IntGaugeVec>,
    failures: Family<IntGaugeVec>,
    changes: Family<IntCounterVec>,
    downgrades: Family<IntCounterVec>,
    pub(crate) probes: Family<IntCounterVec>,
    pub(crate) refused: Family<IntCounterVec>,
    pub(crate) records_lost: IntCounter,
}

impl ModeMetrics {
    fn new(registry: &Registry) -> Result<ModeMetrics, MetricsError> {
        let metrics = ModeMetrics {
            mode: registry.gauges(table::MODE)?,
            wanted: registry.gauges(table::MODE_WANTED)?,
            state: registry.gauges(table::GUARD_STATE)?,
            held: registry.gauges(table::MODE_HELD)?,
            drill_fault: registry.gauges(table::DRILL_FAULT)?,
            failures: registry.gauges(table::GUARD_CONSECUTIVE_FAILURES)?,
            changes: registry.counters(table::MODE_CHANGES)?,
            downgrades: registry.counters(table::READ_DOWNGRADES)?,
            probes: registry.counters(table::GUARD_PROBES)?,
            refused: registry.counters(table::MODE_REFUSED)?,
            records_lost: registry.counter(table::GUARD_RECORDS_LOST)?,
        };
        // What has not happened yet is shown as 0, so that its first time is seen as an increase.
        for outcome in ["passed", "failed"] {
            metrics.probes.with_label_values(&[outcome]);
        }
        for access in ["read", "write"] {
            metrics.refused.with_label_values(&[access]);
        }
        for mode in Mode::ALL {
            metrics.changes.with_label_values(&[mode.as_str()]);
        }
        Ok(metrics)
    }

    /// Sets the gauge of the fault that a drill has injected.
    pub(crate) fn set_drill_fault(&self, fault: Option<DrillFaultKind>) {
        for kind in DrillFaultKind::ALL {
            self.drill_fault.with_label_values(&[kind.as_str()]).set(i64::from(fault == Some(kind)));
        }
    }

    /// Sets the gauges to a state.
    pub(crate) fn set(&self, guard: &Guard, now: Now) {
        let effective = guard.effective(now.ms);
        for mode in Mode::ALL {
            self.mode.with_label_values(&[mode.as_str()]).set(i64::from(mode == effective));
            self.wanted.with_label_values(&[mode.as_str()]).set(i64::from(mode == guard.wanted));
        }
        for state in Automatic::WORDS {
            self.state.with_label_values(&[state]).set(i64::from(*state == guard.automatic.name()));
        }
        for (source, hold) in [("engine", &guard.direct), ("resource", &guard.declared)] {
            let held = hold.as_ref().is_some_and(|hold| hold.until_ms > now.ms);
            self.held.with_label_values(&[source]).set(i64::from(held));
        }
        for (dependency, recent) in &guard.recent {
            let failures = self.failures.with_label_values(&[dependency.as_str()]);
            failures.set(recent.consecutive_failures.into());
        }
    }

    /// Counts a transition.
    pub(crate) fn count(&self, record: &Record) {
        if record.mode.from != record.mode.to {
            self.changes.with_label_values(&[record.mode.to.as_str()]).inc();
        }
        if let (Some(cause), "forced", "base" | "suspected") =
            (record.cause, record.state.to.as_str(), record.state.from.as_str())
        {
            self.downgrades.with_label_values(&[cause.dependency.as_str(), cause.reason.as_str()]).inc();
        }
    }
}
