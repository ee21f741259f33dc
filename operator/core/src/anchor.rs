//! The anchor of the log: what is recorded about the log outside of its volume, what the engine is queried for, and
//! what follows from its responses.
//!
//! ```text
//! status.log ┐                         ┌▶ query (is an anchor due?) ─▶ engine ─▶ judge ─▶ record, verdict ─▶ status
//!            ├─▶ expected history ─────┤
//! claim      ┘                         └▶ records for claim, ConfigMap and engine ─▶ plan
//! ```
//!
//! The expected history is computed once per reconcile. A new record is first written to the status, because the
//! transition rules of the CRD protect it there. The other writes are derived from the status, so that after an
//! interruption the next reconcile makes those that are missing.

pub mod budget;
pub mod checkpoint_query;
pub mod expected;
pub mod judge;
pub mod record;
