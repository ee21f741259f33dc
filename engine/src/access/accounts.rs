//! What the requests of callers are counted against: the records of decisions, and the rates.

use std::num::NonZeroU32;
use std::sync::{PoisonError, RwLock};

use engine_core::configuration::Rate;

use super::limiter::Limiter;
use super::rates::Rates;
use super::records::{Outcome, Records};
use crate::metrics::Metrics;

/// Records and rates of one engine.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) records: Records,
    rates: RwLock<Rates>,
    /// Limits the lines about denials of one caller.
    denials: Limiter<String>,
}

/// Lines about denials of one caller per minute. A client that repeats what it may not do would fill the log, without
/// saying more.
const DENIALS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

impl Accounts {
    pub(super) fn new(metrics: &Metrics) -> Accounts {
        Accounts {
            records: Records::new(metrics.access.clone()),
            rates: RwLock::new(Rates::new(None)),
            denials: Limiter::per_minute(DENIALS_PER_MINUTE),
        }
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

    /// Records that something was denied to a caller: every time in the metric, and with a line while there are few.
    pub(super) fn denied(&self, account: &str, outcome: &Outcome<'_>) {
        match self.denials.take(&account.to_owned()) {
            Ok(()) => self.records.denied(outcome),
            Err(_) => self.records.count(outcome.reason),
        }
    }
}
