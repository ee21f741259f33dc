//! Every metric of the engine, defined here and nowhere else.

use super::{Label, MetricKind};
use crate::guard::{Automatic, Dependency, Reason};
use crate::rollout::metric::METRIC_WORDS;

/// Upper bounds of latency buckets, seconds: from a tenth of a millisecond (a cached read) to ten seconds, after which
/// clients give up.
const LATENCY_BUCKETS_S: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const CACHES: &[&str] = &["catalog", "checkout", "memory", "search"];
const CACHE_OUTCOMES: &[&str] = &["fresh", "hit", "loading", "miss", "negative", "too_large"];
const DEGRADED_OPERATION_NAMES: &[&str] = &["checkout", "items_search", "search"];
const GRAPH_KINDS: &[&str] = &["entity", "observations", "relation"];
const INVALIDATED_KINDS: &[&str] = &["entity", "memory", "observations", "relation"];
const PROVIDERS: &[&str] = &["embedding", "rerank"];
const PROVIDER_OUTCOMES: &[&str] = &[
    "breaker_open",
    "connection_refused",
    "connection_reset",
    "malformed",
    "ok",
    "rate_limited",
    "refused",
    "saturated",
    "server_error",
    "throttled",
    "timeout",
    "tls_failed",
    "too_large",
    "unreachable",
];
const QUERY_OPERATIONS: &[&str] = &[
    "checkout",
    "document",
    "entries",
    "get",
    "graph",
    "graph_batch",
    "graph_open",
    "graph_search",
    "graph_standing",
    "history",
    "item",
    "item_namespaces",
    "item_versions",
    "items_search",
    "items_standing",
    "items_timed",
    "known_texts",
    "memories_near",
    "memory_files",
    "neighbours",
    "rerank",
    "retention",
    "search",
    "target",
    "targets",
    "timeline",
    "weights",
];
const REBUILD_REASONS: &[&str] =
    &["asked", "damaged", "edited", "foreign", "forgotten", "index", "missing", "version"];
/// Fields of memories and items whose redactions are counted separately; every other field counts as `payload`.
pub const REDACTION_FIELDS: &[&str] = &["content", "title", "tags", "actor", "reason", "value", "payload"];
const RETENTION_OUTCOMES: &[&str] = &["applied", "planned", "refused"];
const SCRUB_OUTCOMES: &[&str] = &["sound", "wrong"];
const SPAN_OUTCOMES: &[&str] = &["export_failed", "exported", "queue_full"];
/// Stages of a search, in their order.
pub const STAGES: &[&str] = &["embed", "retrieve", "features", "rank", "fusion", "total"];
const STORAGE_STEPS: &[&str] =
    &["append", "checkpoint", "compress", "erase", "judge", "mark", "open", "rotate", "tree"];

const MODES: &[&str] = &["off", "write_only", "read_write", "read_only"];
const HOLD_SOURCES: &[&str] = &["engine", "resource"];
/// Decisions about requests: allowed, or why not.
pub const ACCESS_OUTCOMES: &[&str] = &[
    "allowed",
    "expired_key",
    "expired_token",
    "foreign_key",
    "issuer_without_keys",
    "malformed_token",
    "miscopied_key",
    "missing_scope",
    "no_credentials",
    "no_project",
    "not_every_project",
    "other_project",
    "project_not_named",
    "rate_limited",
    "token_algorithm",
    "token_audience",
    "token_claims",
    "token_header",
    "token_not_yet_valid",
    "token_signature",
    "token_too_old",
    "too_many_attempts",
    "unknown_certificate",
    "unknown_issuer",
    "unknown_key",
    "unknown_token_key",
];
pub const TICKET_OUTCOMES: &[&str] = &["accepted", "refused", "withdrawn"];
/// What can be wrong when a log is followed. `store` and `object` are of an archive: it does not answer, or an object
/// cannot be used. The last five break the chain.
pub const FOLLOWING_FAULT_WORDS: &[&str] = &[
    "cut",
    "object",
    "refused",
    "store",
    "unreachable",
    "unwritable",
    "damaged",
    "forked",
    "line",
    "other_log",
    "rolled_back",
];
/// How forwarded requests end.
pub const FORWARDED_OUTCOMES: &[&str] = &["answered", "refused", "unreachable"];
/// Which answer of a pair was bad.
pub const PAIR_OUTCOMES: &[&str] = &["canary_only", "stable_only", "both_or_none"];
/// Why a pair was not counted.
pub const EXCLUDED_REASONS: &[&str] = &["duplicate", "incomparable", "not_ready", "too_close"];
/// What answers a read while there is a canary: `fallback` is this engine after the canary has failed.
pub const ANSWERING: &[&str] = &["canary", "fallback", "stable"];
const ISSUER_OUTCOMES: &[&str] = &["failed", "received"];
const DRILL_FAULTS: &[&str] = &["authentication", "failure"];
const ACCESSES: &[&str] = &["read", "write"];
const PROBE_OUTCOMES: &[&str] = &["passed", "failed"];

/// Kinds of the objects of an archive.
pub const ARCHIVE_OBJECT_KINDS: &[&str] = &["fence", "keys", "manifest", "piece"];
/// Steps of the archive.
pub const ARCHIVE_STEPS: &[&str] = &["backup", "forget", "open", "ship"];

const COUNTER: MetricKind = MetricKind::Counter;
const GAUGE: MetricKind = MetricKind::Gauge;
const LATENCY: MetricKind = MetricKind::Histogram(LATENCY_BUCKETS_S);

crate::metric_table! {
    BUILD_INFO: "memory_build_info", GAUGE, Count, [Label::from("version", "version of the engine")],
        "1; the label is the version of the program.";
    CONFIGURATION_IN_FORCE: "memory_configuration_in_force", GAUGE, Flag, [],
        "1 while the complete content of the configuration file is in force, and without a file.";
    APPENDS: "memory_appends_total", COUNTER, Count, [],
        "Events appended to the log and synced.";
    APPEND_SECONDS: "memory_append_seconds", LATENCY, Seconds, [],
        "Time from queueing a write until it is acknowledged.";
    LOG_SYNC_SECONDS: "memory_log_sync_seconds", LATENCY, Seconds, [],
        "Duration of fdatasync for one group of events.";
    LOG_HEAD_SEQ: "memory_log_head_seq", GAUGE, Count, [],
        "Sequence number of the last durable event.";
    LOG_WRITABLE: "memory_log_writable", GAUGE, Flag, [],
        "1 while the log accepts events.";
    LOG_TORN_BYTES: "memory_log_torn_bytes", GAUGE, Bytes, [],
        "Bytes of incomplete writes that recovery set aside at the last start.";
    LOG_SEGMENTS: "memory_log_segments", GAUGE, Count, [],
        "Segment files of the log.";
    LOG_CHECKPOINT_SIZE: "memory_log_checkpoint_size", GAUGE, Count, [],
        "Events covered by the local checkpoint that the next start begins at.";
    LOG_VERIFIED_THROUGH: "memory_log_verified_through", GAUGE, Count, [],
        "Sequence number of the last event that this process has read back and verified.";
    LOG_INTEGRITY_FAULT: "memory_log_integrity_fault", GAUGE, Flag, [],
        "1 while the log fails verification; writes are refused meanwhile.";
    LOG_INTEGRITY_FAULTS: "memory_log_integrity_faults_total", COUNTER, Count, [],
        "Verification failures found in the log.";
    LOG_SEGMENTS_COMPRESSED: "memory_log_segments_compressed_total", COUNTER, Count, [],
        "Sealed segments compressed.";
    STORAGE_FAILURES: "memory_storage_failures_total", COUNTER, Count, [Label::of("step", STORAGE_STEPS)],
        "Storage operations that failed.";
    STORAGE_AVAILABLE: "memory_storage_available_bytes", GAUGE, Bytes, [],
        "Free space on the volume.";
    STORAGE_CAPACITY: "memory_storage_capacity_bytes", GAUGE, Bytes, [],
        "Size of the volume.";
    PROJECTION_LAG: "memory_projection_lag_events", GAUGE, Count, [],
        "Durable events that the projection has not applied yet.";
    PROJECTION_FAILURES: "memory_projection_failures_total", COUNTER, Count, [],
        "Transactions of the projection that failed.";
    PROJECTION_REBUILDS: "memory_projection_rebuilds_total", COUNTER, Count, [Label::of("reason", REBUILD_REASONS)],
        "Rebuilds of the projection that were started.";
    PROJECTION_REBUILD_LAG: "memory_projection_rebuild_lag_events", GAUGE, Count, [],
        "Events that the projection being built still lacks; 0 while none is being built.";
    PROJECTION_MISMATCHES: "memory_projection_mismatches_total", COUNTER, Count, [],
        "Projections found to hold rows that differ from the log.";
    PROJECTION_SCRUBS: "memory_projection_scrubs_total", COUNTER, Count, [Label::of("outcome", SCRUB_OUTCOMES)],
        "Complete checks of the projection.";
    QUERIES: "memory_queries_total", COUNTER, Count, [Label::of("operation", QUERY_OPERATIONS)],
        "Reads of the projection.";
    QUERY_SECONDS: "memory_query_seconds", LATENCY, Seconds, [Label::of("operation", QUERY_OPERATIONS)],
        "Duration of a read of the projection.";
    STAGE_SECONDS: "memory_stage_seconds", LATENCY, Seconds, [Label::of("stage", STAGES)],
        "Duration of a stage of a search or checkout that was not cached.";
    CONTEXT_FAILURES: "memory_context_failures_total", COUNTER, Count, [Label::from("code", "codes of errors in answers")],
        "Checkouts that were refused.";
    CACHE_REQUESTS: "memory_cache_requests_total", COUNTER, Count, [Label::of("cache", CACHES), Label::of("outcome", CACHE_OUTCOMES)],
        "Cache lookups.";
    DEGRADED_OPERATIONS: "memory_degraded_operations_total", COUNTER, Count, [Label::of("operation", DEGRADED_OPERATION_NAMES), Label::from("reason", "reasons of `degraded` in answers")],
        "Answers given without one of the engine's components.";
    PROVIDER_REQUESTS: "memory_provider_requests_total", COUNTER, Count, [Label::of("provider", PROVIDERS), Label::of("outcome", PROVIDER_OUTCOMES)],
        "Requests to embedding and rerank providers, including those refused before they were sent.";
    PROVIDER_RETRIES: "memory_provider_retries_total", COUNTER, Count, [Label::of("provider", PROVIDERS)],
        "Retries of failed requests to providers.";
    PROVIDER_TOKENS: "memory_provider_tokens_total", COUNTER, Count, [Label::of("provider", PROVIDERS)],
        "Tokens that providers processed, as they report them or else as the engine counts them.";
    PROVIDER_COST: "memory_provider_cost_total", MetricKind::FractionalCounter, Price, [Label::of("provider", PROVIDERS)],
        "Cost of these tokens.";
    PROVIDER_SECONDS: "memory_provider_seconds", LATENCY, Seconds, [Label::of("provider", PROVIDERS)],
        "Duration of a request to a provider until it was answered or given up.";
    PROVIDER_BREAKER_OPEN: "memory_provider_breaker_open", GAUGE, Flag, [Label::of("provider", PROVIDERS)],
        "1 while the circuit breaker of a provider is open.";
    EMBEDDINGS_STORED: "memory_embeddings_stored", GAUGE, Count, [],
        "Memories that have a vector from the configured provider.";
    EMBEDDINGS_MISSING: "memory_embeddings_missing", GAUGE, Count, [],
        "Memories that wait for a vector from the configured provider.";
    HTTP_REQUESTS: "memory_http_requests_total", COUNTER, Count, [Label::from("route", "route templates of the API"), Label::from("code", "HTTP status codes")],
        "HTTP requests answered.";
    ISSUER_REFRESHES: "memory_issuer_refreshes_total", COUNTER, Count,
        [Label::from("issuer", "an issuer of the configuration"), Label::of("outcome", ISSUER_OUTCOMES)],
        "Fetches of the keys of an issuer.";
    ISSUER_KEYS_AGE: "memory_issuer_keys_age_seconds", GAUGE, Seconds,
        [Label::from("issuer", "an issuer of the configuration")],
        "Time since the keys of an issuer were received; -1 if they never were.";
    ISSUER_KEYS: "memory_issuer_keys", GAUGE, Count, [Label::from("issuer", "an issuer of the configuration")],
        "Keys that verify the tokens of an issuer. Without a key its tokens are refused.";
    TICKETS: "memory_tickets_total", COUNTER, Count, [Label::of("outcome", TICKET_OUTCOMES)],
        "Tickets of the operator for the public port.";
    TICKET_OPEN: "memory_public_port_open", GAUGE, Flag, [],
        "1 while requests of the public port are answered.";
    TICKET_AGE: "memory_ticket_age_seconds", GAUGE, Seconds, [],
        "Time since the ticket that is held was delivered; -1 if none is held.";
    TICKET_REMAINING: "memory_ticket_remaining_seconds", GAUGE, Seconds, [],
        "Time until the ticket that is held ends; 0 if it has ended, -1 if none is held.";
    ACCESS_DECISIONS: "memory_access_decisions_total", COUNTER, Count, [Label::of("outcome", ACCESS_OUTCOMES)],
        "Decisions whether a request may do what it asks for.";
    GRAPH_UPSERTS: "memory_graph_upserts_total", COUNTER, Count, [Label::of("kind", GRAPH_KINDS)],
        "Events that added to the graph.";
    INVALIDATIONS: "memory_invalidations_total", COUNTER, Count, [Label::of("kind", INVALIDATED_KINDS)],
        "Events that ended the validity of something.";
    POLICY_BLOCKED: "memory_policy_blocked_total", COUNTER, Count, [Label::from("detector", "detectors of the policy")],
        "Writes refused because of a secret, or because of personal data in a name.";
    REDACTIONS: "memory_redactions_total", COUNTER, Count, [Label::of("field", REDACTION_FIELDS), Label::from("kind", "kinds of personal data")],
        "Values redacted before they were written.";
    PSEUDONYM_KEY_LOST: "memory_pseudonym_key_lost", GAUGE, Flag, [],
        "1 while the key of the pseudonyms in identifiers is missing.";
    FORGOTTEN: "memory_forgotten_total", COUNTER, Count, [],
        "Memories forgotten by request or by retention.";
    RETENTION_RUNS: "memory_retention_runs_total", COUNTER, Count, [Label::of("outcome", RETENTION_OUTCOMES)],
        "Retention plans made, applied and refused.";
    RETENTION_REMOVED: "memory_retention_removed_total", COUNTER, Count, [],
        "Memories removed by retention.";
    RETENTION_LAST_APPLIED: "memory_retention_last_applied_timestamp_seconds", GAUGE, UnixSeconds, [],
        "Time at which this process last applied a retention plan; 0 if it has not.";
    MODE: "memory_mode", GAUGE, Flag, [Label::of("mode", MODES)],
        "1 for the mode in effect, 0 for the others.";
    MODE_WANTED: "memory_mode_wanted", GAUGE, Flag, [Label::of("mode", MODES)],
        "1 for the mode that is wanted, 0 for the others.";
    MODE_HELD: "memory_mode_held", GAUGE, Flag, [Label::of("source", HOLD_SOURCES)],
        "1 while a person holds the mode, at the engine or in the resource.";
    DRILL_FAULT: "memory_drill_fault", GAUGE, Flag, [Label::of("kind", DRILL_FAULTS)],
        "1 while calls of the embedding service end in this way because of a drill.";
    MODE_CHANGES: "memory_mode_changes_total", COUNTER, Count, [Label::of("to", MODES)],
        "Changes of the mode in effect.";
    MODE_REFUSED: "memory_mode_refused_total", COUNTER, Count, [Label::of("access", ACCESSES)],
        "Requests refused because of the mode.";
    READ_DOWNGRADES: "memory_read_downgrades_total", COUNTER, Count, [Label::of("dependency", Dependency::WORDS), Label::of("reason", Reason::WORDS)],
        "Times that the guard turned reads off.";
    GUARD_STATE: "memory_guard_state", GAUGE, Flag, [Label::of("state", Automatic::WORDS)],
        "1 for the state of the guard, 0 for the others.";
    GUARD_CONSECUTIVE_FAILURES: "memory_guard_consecutive_failures", GAUGE, Count, [Label::of("dependency", Dependency::WORDS)],
        "Failures of a dependency since its last correct answer.";
    GUARD_PROBES: "memory_guard_probes_total", COUNTER, Count, [Label::of("outcome", PROBE_OUTCOMES)],
        "Probes of the guard.";
    GUARD_RECORDS_LOST: "memory_guard_records_lost_total", COUNTER, Count, [],
        "Changes of the mode that could not be recorded in the log.";
    ARCHIVED_SEQ: "memory_archive_seq", GAUGE, Count, [],
        "Number of the last event that is in the archive.";
    ARCHIVE_LAG_EVENTS: "memory_archive_lag_events", GAUGE, Count, [],
        "Durable events that are not in the archive yet.";
    ARCHIVE_LAG_SECONDS: "memory_archive_lag_seconds", GAUGE, Seconds, [],
        "Age of the state that a restore from the archive would give, 0 if everything is in it.";
    ARCHIVE_OBJECTS: "memory_archive_objects_total", COUNTER, Count, [Label::of("kind", ARCHIVE_OBJECT_KINDS)],
        "Objects stored in the archive.";
    ARCHIVE_BYTES: "memory_archive_bytes_total", COUNTER, Bytes, [Label::of("kind", ARCHIVE_OBJECT_KINDS)],
        "Bytes stored in the archive.";
    ARCHIVE_FAILURES: "memory_archive_failures_total", COUNTER, Count, [Label::of("step", ARCHIVE_STEPS)],
        "Steps of the archive that failed and are repeated.";
    ARCHIVE_FORGOTTEN_SEQ: "memory_archive_forgotten_seq", GAUGE, Count, [],
        "Number of the last event up to which everything that was forgotten is removed from the archive too.";
    FOLLOWING_CONNECTED: "memory_following_connected", GAUGE, Flag, [],
        "1 while the engine that is followed answers; 0 on an engine that follows none.";
    FOLLOWING_LAG_EVENTS: "memory_following_lag_events", GAUGE, Count, [],
        "Events of the log that is followed which reads do not see yet.";
    FOLLOWING_LAG_SECONDS: "memory_following_lag_seconds", GAUGE, Seconds, [],
        "Age of the state that reads of a following engine see; -1 before it has caught up once, and on an engine that follows none.";
    FOLLOWING_BROKEN: "memory_following_chain_broken", GAUGE, Flag, [],
        "1 if the log that is followed is not the one of the copy, or does not verify. Reads are refused.";
    FOLLOWING_LINES: "memory_following_lines_total", COUNTER, Count, [],
        "Lines of the log that is followed which were verified and appended to the copy.";
    FOLLOWING_FAULTS: "memory_following_faults_total", COUNTER, Count, [Label::of("fault", FOLLOWING_FAULT_WORDS)],
        "Answers of the engine that is followed which were not used, and what broke the chain.";
    FOLLOWING_FORWARDED: "memory_following_forwarded_total", COUNTER, Count, [Label::of("outcome", FORWARDED_OUTCOMES)],
        "Requests that were forwarded to the engine that is followed.";
    STANDBY_SEQ: "memory_standby_seq", GAUGE, Count, [],
        "Number of the last event that a standby has restored from the archive. Like all metrics of a standby, it is -1 on every other engine.";
    STANDBY_VERIFIED: "memory_standby_verified", GAUGE, Flag, [],
        "1 if a standby had the root of the writer at the last comparison and what it has read of the archive can be used; 0 if not, and before the first comparison.";
    STANDBY_VERIFIED_TIMESTAMP: "memory_standby_verified_timestamp_seconds", GAUGE, Seconds, [],
        "Time of the last comparison that found the log of the writer, seconds since 1970; 0 before it. While the writer does not answer, its age grows.";
    STANDBY_RPO: "memory_standby_rpo_seconds", GAUGE, Seconds, [],
        "Age of the oldest acknowledged event of the writer that is not restored yet, 0 if nothing is missing as far as is known; -1 before the writer was asked.";
    STANDBY_RTO: "memory_standby_rto_seconds", GAUGE, Seconds, [],
        "Time that the last rebuild from the archive took, from an empty copy to one that had caught up, rounded up; -1 before one has ended.";
    STANDBY_CATCH_UP: "memory_standby_catch_up_seconds", GAUGE, Seconds, [],
        "Time that the last catching up with the archive took, until reads saw everything, rounded up; -1 before one has ended.";
    ROLLOUT_PAIRS: "memory_rollout_pairs_total", COUNTER, Count,
        [Label::of("metric", METRIC_WORDS), Label::of("outcome", PAIR_OUTCOMES)],
        "Answers of a canary and of this engine to the same question, by which of the two were bad.";
    ROLLOUT_EXCLUDED: "memory_rollout_excluded_total", COUNTER, Count, [Label::of("reason", EXCLUDED_REASONS)],
        "Pairs of answers that were not counted.";
    ROLLOUT_READS: "memory_rollout_reads_total", COUNTER, Count, [Label::of("answered_by", ANSWERING)],
        "Reads that a canary could have answered, by what answered them.";
    ROLLOUT_WEIGHT: "memory_rollout_weight", GAUGE, Count, [],
        "Share of the sessions that a canary answers now, percent.";
    ROLLOUT_BREAKER: "memory_rollout_breaker_open", GAUGE, Flag, [],
        "1 while a canary answers nobody because it failed too often.";
    TRACE_SPANS: "memory_trace_spans_total", COUNTER, Count, [Label::of("outcome", SPAN_OUTCOMES)],
        "Recorded spans that were sent to the collector, or dropped.";
}

/// Metrics of the process, which the Prometheus library collects. Both programs have them.
pub mod process {
    use super::super::MetricKind::{Counter, Gauge};

    crate::metric_table! {
        CPU: "process_cpu_seconds_total", Counter, Seconds, [], "Total user and system CPU time spent in seconds.";
        OPEN_FILES: "process_open_fds", Gauge, Count, [], "Number of open file descriptors.";
        OPEN_FILES_MAX: "process_max_fds", Gauge, Count, [], "Maximum number of open file descriptors.";
        VIRTUAL_MEMORY: "process_virtual_memory_bytes", Gauge, Bytes, [], "Virtual memory size in bytes.";
        RESIDENT_MEMORY: "process_resident_memory_bytes", Gauge, Bytes, [], "Resident memory size in bytes.";
        START_TIME: "process_start_time_seconds", Gauge, UnixSeconds, [],
            "Start time of the process since unix epoch in seconds.";
        THREADS: "process_threads", Gauge, Count, [], "Number of OS threads in the process.";
    }
}

#[cfg(test)]
mod tests {
    use super::super::table_faults;
    use super::*;

    #[test]
    fn the_table_follows_the_conventions() {
        assert_eq!(table_faults(ALL, "memory_"), [] as [String; 0]);
        assert_eq!(table_faults(process::ALL, "process_"), [] as [String; 0]);
    }
}
