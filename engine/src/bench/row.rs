//! A row of the table, and the samples that it is computed from.

use std::time::Duration;

use serde::Serialize;

/// Unit of times.
pub(super) const MICROSECONDS: &str = "µs";

/// Result of one measurement of a rate.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// Number of items per second.
    pub(super) rate: f64,
    /// Latency of each operation, sorted.
    pub(super) latencies: Vec<Duration>,
}

impl Sample {
    /// Creates a sample from the latencies of all operations. All operations together handled `things` items and took
    /// `elapsed`.
    pub(super) fn new(mut latencies: Vec<Duration>, things: u64, elapsed: Duration) -> Sample {
        latencies.sort_unstable();
        let done = latencies.len() as f64 * things as f64;
        Sample { rate: done / elapsed.as_secs_f64(), latencies }
    }

    /// The time that this share of the operations did not exceed, in microseconds; `None` without operations.
    pub(super) fn percentile_us(&self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        // The product is within the bounds of the list, because the share is at most 1.
        let index = (last as f64 * share).round() as usize;
        Some(self.latencies[index].as_secs_f64() * 1e6)
    }
}

/// Returns the sample with the median rate.
pub(super) fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let middle = samples.len() / 2;
    samples.into_iter().nth(middle).unwrap_or_default()
}

/// One figure and the limit that it is compared with.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// What was measured.
    pub(super) work: String,
    /// The figure.
    pub(super) value: f64,
    /// Unit of the figure.
    pub(super) unit: &'static str,
    /// Median time of one operation, microseconds.
    pub(super) p50_us: Option<f64>,
    /// 99th percentile of the time of one operation, microseconds.
    pub(super) p99_us: Option<f64>,
    /// The limit that the figure is compared with.
    pub(super) limit: Option<Limit>,
    /// The goal, as text.
    pub(super) goal: Option<String>,
    /// Whether this run met the goal; absent without a goal.
    pub(super) met: Option<bool>,
}

/// A limit of the machine, measured in the same run.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    /// What was measured.
    pub(super) name: &'static str,
    /// Value of the limit, in the unit of the row.
    pub(super) value: f64,
    /// The figure divided by the limit.
    pub(super) ratio: f64,
}

impl Row {
    /// Creates a row for a figure without latencies of single operations.
    pub(super) fn figure(work: impl Into<String>, value: f64, unit: &'static str) -> Row {
        let work = work.into();
        Row { work, value, unit, p50_us: None, p99_us: None, limit: None, goal: None, met: None }
    }

    /// Creates a row for a rate, with its percentiles.
    pub(super) fn rate(work: impl Into<String>, sample: &Sample, unit: &'static str) -> Row {
        let p50_us = sample.percentile_us(0.5);
        let p99_us = sample.percentile_us(0.99);
        Row { p50_us, p99_us, ..Row::figure(work, sample.rate, unit) }
    }

    /// Creates a row for the time, in microseconds, that this share of the operations did not exceed.
    pub(super) fn time(work: impl Into<String>, sample: &Sample, share: f64) -> Row {
        let value = sample.percentile_us(share).unwrap_or_default();
        let (p50_us, p99_us) = (sample.percentile_us(0.5), sample.percentile_us(0.99));
        Row { p50_us, p99_us, ..Row::figure(work, value, MICROSECONDS) }
    }

    /// Compares the figure with a limit.
    pub(super) fn beside(self, name: &'static str, value: f64) -> Row {
        let ratio = self.value / value;
        Row { limit: Some(Limit { name, value, ratio }), ..self }
    }

    /// Sets the goal: at least this share of the limit.
    pub(super) fn at_least_of_limit(self, share: f64) -> Row {
        let met = self.limit.as_ref().map(|limit| limit.ratio >= share);
        Row { goal: Some(format!("≥ {share} × the limit")), met, ..self }
    }

    /// Sets the goal: at most this multiple of the limit. It is used for times, because lower times are better.
    pub(super) fn at_most_of_limit(self, times: f64) -> Row {
        let met = self.limit.as_ref().map(|limit| limit.ratio <= times);
        Row { goal: Some(format!("≤ {times} × the limit")), met, ..self }
    }

    /// Sets the goal: at least this value.
    pub(super) fn at_least(self, least: f64) -> Row {
        let met = Some(self.value >= least);
        Row { goal: Some(format!("≥ {least} {}", self.unit)), met, ..self }
    }

    /// Sets the goal: at most this value.
    pub(super) fn at_most(self, most: f64) -> Row {
        let met = Some(self.value <= most);
        let goal = match self.unit {
            MICROSECONDS => format!("≤ {} ms", most / 1_000.0),
            unit => format!("≤ {most} {unit}"),
        };
        Row { goal: Some(goal), met, ..self }
    }
}
