//! What the operator decides. Every function here is pure: what was seen goes in, what to do comes out as a value.
//!
//! ```text
//! spec ──validate──▶ Valid ─┐
//! Observed ─────────────────┼─plan──▶ Plan (steps, in order) ──(carried out by the operator, step by step)──▶ Done ──▶ status
//! ExpectedHistory ──────────┘
//! ```
//!
//! Absent on purpose: a clock, a random source, the network, files, tokio. They are arguments or somebody else's.

pub mod anchor;
pub mod applied;
pub mod backoff;
pub mod build;
pub mod children;
pub mod conditions;
pub mod drift;
pub mod metrics;
pub mod names;
pub mod notices;
pub mod observed;
pub mod ownership;
pub mod plan;
pub mod pod;
pub mod refusal;
pub mod retry;
pub mod role;
pub mod settings;
pub mod status;
pub mod storage;
pub mod validate;
