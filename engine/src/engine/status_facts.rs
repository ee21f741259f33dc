//! What the status page shows.

use std::time::{Duration, Instant};

use engine_core::status_page::{Means, StatusFacts};
use jiff::Timestamp;

use super::Engine;

impl Engine {
    /// What the status page shows now.
    pub(crate) fn status_facts(&self) -> StatusFacts {
        let metrics = &self.metrics;
        let append = ("append", metrics.append_window.means(Instant::now()));
        StatusFacts {
            health: self.health(),
            mode: self.modes.report(),
            metrics: self.metrics_report(),
            operation_means: means(metrics.query_seconds.means().into_iter().chain([append])),
            stage_means: means(metrics.retrieval.stages.means().into_iter()),
            now: Timestamp::now(),
        }
    }
}

fn means(found: impl Iterator<Item = (&'static str, Vec<Option<Duration>>)>) -> Means {
    let seconds =
        |means: Vec<Option<Duration>>| means.iter().map(|mean| mean.map(|mean| mean.as_secs_f64())).collect();
    found.map(|(label, means)| (label.to_owned(), seconds(means))).collect()
}
