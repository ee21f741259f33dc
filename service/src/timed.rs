//! Durations, for Prometheus and for percentiles of the last minutes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine_core::metrics::Metric;
use prometheus::HistogramVec;

use super::history::{History, WINDOW};
use super::registry::{Family, MetricsError, Registry};

/// Maximum number of samples kept for each label value: enough that the 99th percentile is not a single sample, and 24
/// KiB of memory.
const SAMPLES_MAX: usize = 1_024;

/// Percentiles of the samples in the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentiles {
    /// Number of samples. There are at most 1,024: the newest.
    pub count: usize,
    /// The median.
    pub p50: Duration,
    /// 95th percentile.
    pub p95: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

/// The newest samples, and the means of the last time slices.
#[derive(Debug, Default)]
pub struct Window(Mutex<Samples>);

#[derive(Debug, Default)]
struct Samples {
    newest: VecDeque<(Instant, Duration)>,
    history: History,
}

impl Window {
    /// Adds a sample that ended at `now`.
    pub fn observe(&self, now: Instant, elapsed: Duration) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.newest.len() == SAMPLES_MAX {
            samples.newest.pop_front();
        }
        samples.newest.push_back((now, elapsed));
        samples.history.observe(now, elapsed);
    }

    /// The mean of each time slice of the last [`WINDOW`], oldest first; `None` for a slice without a sample.
    pub fn means(&self, now: Instant) -> Vec<Option<Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).history.means(now)
    }

    /// Percentiles of the samples of the last [`WINDOW`]; none without a sample.
    pub fn percentiles(&self, now: Instant) -> Option<Percentiles> {
        let mut recent: Vec<Duration> = {
            let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let is_recent = |(at, _): &&(Instant, Duration)| now.saturating_duration_since(*at) <= WINDOW;
            samples.newest.iter().filter(is_recent).map(|(_, elapsed)| *elapsed).collect()
        };
        recent.sort_unstable();
        // The smallest sample that at least this share of the samples does not exceed.
        let at =
            |percent: usize| recent.get((recent.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Percentiles { count: recent.len(), p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }
}

/// A histogram with one label, and a window for each value of the label.
#[derive(Debug)]
pub struct Timed {
    histograms: Family<HistogramVec>,
    windows: Mutex<BTreeMap<&'static str, Window>>,
}

impl Timed {
    /// Registers the histogram.
    ///
    /// # Errors
    /// Another metric has its name.
    pub fn new(registry: &Registry, metric: &'static Metric) -> Result<Timed, MetricsError> {
        Ok(Timed { histograms: registry.histograms(metric)?, windows: Mutex::default() })
    }

    /// Adds a duration that ends now.
    pub fn observe(&self, label: &'static str, elapsed: Duration) {
        self.histograms.with_label_values(&[label]).observe(elapsed.as_secs_f64());
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.entry(label).or_default().observe(Instant::now(), elapsed);
    }

    /// Measures until the result is dropped.
    pub fn start(&self, label: &'static str) -> Timer<'_> {
        Timer { timed: self, label, started: Instant::now() }
    }

    /// Percentiles of each label value that has samples in the window.
    pub fn percentiles(&self) -> Vec<(&'static str, Percentiles)> {
        let now = Instant::now();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.iter().filter_map(|(label, window)| Some((*label, window.percentiles(now)?))).collect()
    }

    /// The mean of each time slice of the last [`WINDOW`], oldest first, for each label value.
    pub fn means(&self) -> Vec<(&'static str, Vec<Option<Duration>>)> {
        let now = Instant::now();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.iter().map(|(label, window)| (*label, window.means(now))).collect()
    }
}

/// A measurement in progress.
#[derive(Debug)]
pub struct Timer<'a> {
    timed: &'a Timed,
    label: &'static str,
    started: Instant,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.timed.observe(self.label, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_newest_samples() {
        let window = Window::default();
        let start = Instant::now();
        assert_eq!(window.percentiles(start), None);
        for n in 1..=100 {
            window.observe(start, Duration::from_millis(n));
        }
        let millis = |percentiles: Option<Percentiles>| {
            percentiles.map(|p| (p.count, p.p50.as_millis(), p.p95.as_millis(), p.p99.as_millis()))
        };
        assert_eq!(millis(window.percentiles(start)), Some((100, 50, 95, 99)));
        let later = start + WINDOW + Duration::from_secs(1);
        assert_eq!(window.percentiles(later), None, "the samples are too old");
        window.observe(later, Duration::from_millis(7));
        assert_eq!(millis(window.percentiles(later)), Some((1, 7, 7, 7)));
        for _ in 0..2 * SAMPLES_MAX {
            window.observe(later, Duration::from_millis(1));
        }
        assert_eq!(millis(window.percentiles(later)), Some((SAMPLES_MAX, 1, 1, 1)));
    }
}
