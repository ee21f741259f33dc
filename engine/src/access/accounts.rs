//! What the requests of callers are counted against: the records of decisions, and the rates.

use std::sync::{PoisonError, RwLock};

use engine_core::configuration::Rate;

use super::rates::Rates;
use super::records::Records;
use crate::metrics::Metrics;

/// Records and rates of one engine.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) records: Records,
    rates: RwLock<Rates>,
}

impl Accounts {
    pub(super) fn new(metrics: &Metrics) -> Accounts {
        Accounts { records: Records::new(metrics.access.clone()), rates: RwLock::new(Rates::new(None)) }
    }

    /// Changes the rate. Every bucket is full then, unless the rate is the same.
    pub(super) fn set_rate(&self, rate: Option<Rate>) {
        let mut rates = self.rates.write().unwrap_or_else(PoisonError::into_inner);
        if rates.rate() != rate {
            *rates = Rates::new(rate);
        }
    }

    /// Counts a request of a caller in a project.
    ///
    /// # Errors
    /// The caller sends more requests than it may; the value is the number of seconds until the next.
    pub(super) fn take(&self, caller: &str, project: &str) -> Result<(), u32> {
        self.rates.read().unwrap_or_else(PoisonError::into_inner).take(caller, project)
    }
}
