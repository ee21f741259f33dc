//! `memory-engine rebuild`: rebuilds the projection from the log while the engine is stopped.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use engine_core::wire::ProjectionState;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::engine::{Engine, Settings};
use crate::metrics::Metrics;
use engine_log::WriteState;

/// Timeout of a rebuild. It is far longer than the largest log of one volume needs.
pub(crate) const REBUILD_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// Interval at which the progress is polled.
const LOOK: Duration = Duration::from_millis(20);

/// The report that `rebuild` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    ok: bool,
    log_id: String,
    applied_seq: u64,
    /// Digest of all rows of the new projection.
    digest: String,
    /// Digest of the replaced projection at the same event; absent if no earlier projection could be read.
    replaced_digest: Option<String>,
    /// Whether the replaced projection had other rows than the new one, which means that it was wrong.
    replaced_was_wrong: bool,
    elapsed_ms: u128,
}

/// Starts an engine without clients. It builds a new projection beside the current one.
///
/// # Errors
/// The data directory is in use, the log does not verify, or the projection cannot be written.
pub(crate) fn rebuild(data: &Path) -> anyhow::Result<Report> {
    let started = Instant::now();
    let metrics = Metrics::new("").context("cannot define the metrics")?;
    let engine = Engine::start(data, metrics, Settings::default())?;
    engine.projection.request_rebuild();
    let outcome = wait(&engine, data, started);
    engine.stop();
    let rebuilt = outcome?;
    let head = engine.published.head().context("the log did not open")?;
    Ok(Report {
        ok: true,
        log_id: head.log_id,
        applied_seq: rebuilt.applied_seq,
        digest: rebuilt.digest.to_string(),
        replaced_digest: rebuilt.replaced.map(|digest| digest.to_string()),
        replaced_was_wrong: rebuilt.differs,
        elapsed_ms: started.elapsed().as_millis(),
    })
}

fn wait(engine: &Engine, data: &Path, started: Instant) -> anyhow::Result<engine_projection::Rebuilt> {
    let bar = progress_bar();
    loop {
        if let Some(rebuilt) = engine.projection.rebuilt() {
            bar.finish_and_clear();
            return Ok(rebuilt);
        }
        if let WriteState::Corrupt(fault) = engine.published.store() {
            bail!("the log does not verify: {}", fault.message);
        }
        if engine.projection.state() == ProjectionState::Failed {
            bail!("the projection in {:?} cannot be written", engine_projection::directory(data));
        }
        if started.elapsed() > REBUILD_MAX {
            bail!("the rebuild did not finish within {REBUILD_MAX:?}");
        }
        if let Some(rebuild) = engine.projection.rebuild(engine.published.head_seq()) {
            bar.set_length(rebuild.head_seq);
            bar.set_position(rebuild.applied_seq);
        }
        std::thread::sleep(LOOK);
    }
}

/// A progress bar, which is drawn on standard error and only if that is a terminal.
pub(crate) fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} events, {per_sec}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
