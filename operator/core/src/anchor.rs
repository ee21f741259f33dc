//! The anchor of the log: what is recorded of the log outside of its volume, what the engine is queried for, and what
//! follows from its answers.
//!
//! ```text
//! status.log ┐                         ┌▶ query (is an anchor due?) ─▶ engine ─▶ judge ─▶ record, verdict ─▶ status
//!            ├─▶ expected history ─────┤
//! claim      ┘                         └▶ records for claim, ConfigMap and engine ─▶ plan
//! ```
//!
//! The expected history is computed once per reconcile. The status is written first, because the API server guards it.
//! The other writes follow from the status, so that the next reconcile completes what an interruption after any write
//! left undone.

pub mod budget;
pub mod checkpoint_query;
pub mod expected;
pub mod judge;
pub mod record;
