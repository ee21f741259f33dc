//! Compares this engine with the one that it follows, again and again. `engine_core::following::self_checks` counts.

use std::sync::Arc;
use std::time::Duration;

use engine_core::rollout::metric::Metric;
use engine_core::wire::CanaryReport;

use super::Following;
use crate::digests;
use crate::engine::Engine;

/// Time between two checks.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same until digests were compared once: a reader that has just started has none yet.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// Checks every ten seconds, until the process ends.
pub(crate) async fn check_itself(engine: Arc<Engine>, following: Arc<Following>) {
    loop {
        let theirs = following.writer().digests().await;
        // Its own come later: this engine is behind the other one.
        let ours = digests::recent(&engine).await;
        let is_begun = following.checks(|checks| {
            checks.count(following.is_broken(), &ours, theirs);
            checks.tally().of(Metric::Digest).pairs > 0
        });
        tokio::time::sleep(if is_begun { INTERVAL } else { FIRST_INTERVAL }).await;
    }
}

impl Following {
    /// What was found so far, as the report of a canary about itself. Its revision is not known here.
    pub(crate) fn own_report(&self) -> CanaryReport {
        self.checks(|checks| CanaryReport {
            tally: checks.tally().clone(),
            fault: checks.fault().map(str::to_owned),
            ..CanaryReport::default()
        })
    }
}
