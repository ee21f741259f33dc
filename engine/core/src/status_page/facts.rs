//! What the page shows.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::wire::{Health, MetricsReport, ModeReport};

/// Mean duration in each of the last time slices, seconds, oldest first; `None` for a slice in which nothing ended. By
/// operation or stage.
pub type Means = BTreeMap<String, Vec<Option<f64>>>;

/// What the page shows.
#[derive(Debug, Clone)]
pub struct StatusFacts {
    /// Answer of `GET /health`.
    pub health: Health,
    /// Answer of `GET /mode`.
    pub mode: ModeReport,
    /// Answer of `GET /metrics/json`.
    pub metrics: MetricsReport,
    /// How long operations took.
    pub operation_means: Means,
    /// How long stages of searches took.
    pub stage_means: Means,
    /// Now.
    pub now: Timestamp,
}
