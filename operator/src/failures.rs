//! Consecutive failures of each engine.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The number of failures in a row by engine. A success resets it, and it is removed with the engine.
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

    /// Resets the number of failures of an engine.
    pub(crate) fn clear(&self, engine: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }
}
