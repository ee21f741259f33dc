//! The operator's decisions. Every function is pure: it takes what was observed and returns what to do as a value.
//!
//! ```text
//! spec ──validate──▶ Valid ─┐
//! Observed ─────────────────┼─plan──▶ Plan (ordered steps) ──(the operator carries out each step)──▶ Done ──▶ status
//! ExpectedHistory ──────────┘
//! ```
//!
//! This crate has no clock, random source, network, files or tokio. Times and random numbers are arguments; the
//! `operator` crate does the input and output.
//!
//! Modules:
//! * `validate` checks a spec, `settings` has the operator's own options, `role` and `names` name pods and objects;
//! * `observed` and `pod` hold what one reconcile observed, `report` checks what engines answer, `applied` holds what
//!   the operator last wrote;
//! * `anchor` verifies the log against its record outside of the volume;
//! * `children` lists the objects of an engine, `build` builds them, `ownership` and `drift` compare them with
//!   live objects;
//! * `storage` decides about the volume, `tls` about certificates, `secrets` about the Secrets that a spec refers to,
//!   `backup` about backups and their verifications, `rotation` about the token that the operator makes, `schedule`
//!   reads the schedules of Jobs, `punctuality` finds runs that were missed, `upkeep` decides about work on a schedule,
//!   such as retention, `plan` about all steps, and `retry`, `backoff` about repetitions and intervals;
//! * `suspension`, `hibernation`, `fence`, `deletion` and `update` decide what is held back, and when a pod stops or is
//!   changed; `tombstone` is what is left of an engine;
//! * `rollout` judges a new revision by pairs of answers and decides about its steps; `job_pod` reads how the pods of
//!   Jobs ended;
//! * `status` and `conditions` compute the status, `refusal` explains refusals, `notices` derives events, `metrics`
//!   lists metrics.

pub mod anchor;
pub mod applied;
pub mod applied_drift;
pub mod backoff;
pub mod backup;
pub mod build;
pub mod children;
pub mod conditions;
pub mod deletion;
pub mod drift;
pub mod exposure;
pub mod fence;
pub mod hibernation;
mod job_pod;
pub mod manifest;
pub mod metrics;
pub mod mode;
pub mod mode_word;
pub mod names;
pub mod notices;
pub mod observed;
pub mod ownership;
pub mod plan;
pub mod pod;
pub mod publication;
pub mod punctuality;
pub mod refusal;
pub mod report;
pub mod retry;
pub mod role;
pub mod rollout;
pub mod rotation;
pub mod schedule;
pub mod secrets;
pub mod settings;
pub mod status;
pub mod storage;
mod suspension;
pub mod ticket;
pub mod tls;
pub mod tombstone;
pub mod update;
pub mod upkeep;
pub mod validate;
