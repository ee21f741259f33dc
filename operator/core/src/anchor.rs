//! Whether the log is what it was: what was recorded of it outside of its volume, what the engine is asked, and what
//! follows from its answers.
//!
//! ```text
//! status.log ┐                         ┌▶ question (is an anchoring due?) ──▶ engine ──▶ judge ─▶ record, verdict ─▶ status
//!            ├─▶ expected history ─────┤
//! claim      ┘                         └▶ what claim, ConfigMap and engine have to be given ─▶ plan
//! ```
//!
//! The expected history is computed once per reconcile. The status is written first, because the API server guards it;
//! the rest follows from what it says, so that the next reconcile completes what a stop after any one write left
//! undone.

pub mod budget;
pub mod expected;
pub mod judge;
pub mod question;
pub mod record;
