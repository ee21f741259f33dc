//! Consecutive failures of each engine.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Counters, cleared by a success and when the engine is gone.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts one more failure; returns the number of consecutive failures.
    pub(crate) fn add(&self, engine: &str) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(engine.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Clears the failures of an engine.
    pub(crate) fn clear(&self, engine: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }
}
