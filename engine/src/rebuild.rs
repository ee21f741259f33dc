//! `memory-engine rebuild`: the projection built anew from the log, with the engine stopped.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use engine_core::wire::ProjectionState;
use serde::Serialize;

use crate::engine::Engine;
use crate::log::Store;
use crate::metrics::Metrics;
use crate::projection;

/// Far beyond the largest log of one volume: a bound, not a guess.
const REBUILD_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// What `rebuild` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Rebuilt {
    ok: bool,
    log_id: String,
    applied_seq: u64,
    elapsed_ms: u128,
}

/// Removes the projection and lets an engine without clients build it.
pub(crate) fn rebuild(data: &Path) -> anyhow::Result<Rebuilt> {
    let started = Instant::now();
    let metrics = Metrics::new("").context("cannot define the metrics")?;
    let engine = Engine::start_rebuilding(data, metrics)?;
    let outcome = wait(&engine, started);
    engine.stop();
    outcome?;
    let head = engine.published.head().context("the log did not open")?;
    let applied_seq = engine.projection.applied_seq();
    Ok(Rebuilt { ok: true, log_id: head.log_id, applied_seq, elapsed_ms: started.elapsed().as_millis() })
}

fn wait(engine: &Engine, started: Instant) -> anyhow::Result<()> {
    while engine.projection.state() != ProjectionState::Ready {
        if let Store::Corrupt(breach) = engine.published.store() {
            bail!("the log does not verify: {breach}");
        }
        if engine.projection.state() == ProjectionState::Failed {
            bail!("the projection in {:?} cannot be written", projection::directory(Path::new("DIR")));
        }
        if started.elapsed() > REBUILD_MAX {
            bail!("not done after {REBUILD_MAX:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
