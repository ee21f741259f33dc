//! A drill: an engine is started on a restored log, in this process and without network, and is used as a client would.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use engine_archive::Restored;
use engine_core::fold::PROJECTION_VERSION;
use engine_core::tags::Tags;
use engine_core::wire::{ErrorCode, ProjectionState, SaveMemory, Saved, SearchMode};
use engine_log::WriteState;
use engine_projection::{Anchor, Search, Timeline};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::access::Session;
use crate::engine::{Engine, Settings};
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::rebuild::{REBUILD_MAX, progress_bar};
use crate::refusal::Refusal;

/// The project of the drill.
const PROJECT: &str = "restore-drill";
const TEXT: &str = "A drill of a restore saves this sentence, then searches for it and reads it back.";
const WORDS: &str = "sentence of the drill";
/// Longest time until a projection applies the event that was saved. One that was just built from a million events
/// reads its files back first, for seconds.
const APPLIED_MAX: Duration = Duration::from_secs(60);
/// Results of the search. The restored log may have a project of this name too.
const RESULTS: u32 = 50;
/// Memories before the one that was saved in the timeline.
const BEFORE: u32 = 5;
/// Interval at which the progress is polled.
const LOOK: Duration = Duration::from_millis(10);

/// The projection that the restored log gives.
#[derive(Debug, Serialize)]
pub(crate) struct Projection {
    applied_seq: u64,
    /// Digest of its rows.
    digest: String,
    /// Digest of the projection of the engine when the backup was taken; absent if the backup has none, if it is of
    /// another version of the projection, or if more than the backup was restored.
    recorded_digest: Option<String>,
    /// Whether both are equal; absent if they were not compared.
    matches: Option<bool>,
    elapsed_ms: u64,
}

/// What of an engine's work could be done with the restored log.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Steps {
    saved: bool,
    found: bool,
    read: bool,
    timeline: bool,
    /// Why a step failed.
    error: Option<String>,
}

/// What the drill found.
#[derive(Debug, Serialize)]
pub(crate) struct Drilled {
    projection: Projection,
    drill: Steps,
    projection_ms: u64,
    drill_ms: u64,
    /// From the first request to the store to the last answer of the engine.
    rto_ms: u64,
    /// Age of the last event that was restored, seconds; absent if there is none.
    rpo_seconds: Option<u64>,
}

impl Drilled {
    /// Why the restored log does not do; `None` if it does.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.projection.matches == Some(false) {
            return Some("the projection of the restored log differs from that of the engine".to_owned());
        }
        let Steps { saved, found, read, timeline, error } = &self.drill;
        let steps = [("save", saved), ("search", found), ("read", read), ("timeline", timeline)];
        let failed: Vec<&str> = steps.iter().filter(|(_, done)| !**done).map(|(step, _)| *step).collect();
        if failed.is_empty() {
            return None;
        }
        let why = error.as_deref().unwrap_or("the answer does not have the memory that was saved");
        Some(format!("with the restored log these steps of a drill fail: {}: {why}", failed.join(", ")))
    }
}

/// Builds the projection of the restored log in `data`, and uses the engine. Blocks until that is done.
///
/// # Errors
/// No engine can be started there, or the projection cannot be built.
pub(crate) fn drill(
    runtime: &tokio::runtime::Runtime,
    data: &Path,
    restored: &Restored,
    now: Timestamp,
) -> anyhow::Result<Drilled> {
    let started = Instant::now();
    let metrics = Metrics::new("").context("cannot define the metrics")?;
    // The defaults have no archive, no ports and no services outside of the process.
    let engine = Arc::new(Engine::start(data, metrics, Settings::default())?);
    let built = wait(&engine, started).and_then(|()| projection(&engine, restored, started));
    let used = Instant::now();
    let outcome = built.and_then(|projection| Ok((projection, runtime.block_on(steps(&engine))?)));
    let drill_ms = milliseconds(used);
    engine.stop();
    let (projection, drill) = outcome?;
    let projection_ms = projection.elapsed_ms;
    let rto_ms = restored.download_ms + restored.open_ms + projection_ms + drill_ms;
    let age = restored.last_event_at.map(|last| now.duration_since(last).as_secs());
    let rpo_seconds = age.map(|age| u64::try_from(age).unwrap_or_default());
    Ok(Drilled { projection, drill, projection_ms, drill_ms, rto_ms, rpo_seconds })
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Waits until the projection has everything.
fn wait(engine: &Engine, started: Instant) -> anyhow::Result<()> {
    let bar = progress_bar();
    loop {
        if let WriteState::Corrupt(fault) = engine.published.store() {
            bail!("the log does not verify: {}", fault.message);
        }
        let state = engine.projection.state();
        let head = engine.published.head();
        if state == ProjectionState::Ready
            && head.as_ref().is_some_and(|head| engine.projection.applied_seq() >= head.seq)
        {
            bar.finish_and_clear();
            return Ok(());
        }
        if state == ProjectionState::Failed {
            bail!("the projection cannot be written");
        }
        if started.elapsed() > REBUILD_MAX {
            bail!("the projection was not built within {REBUILD_MAX:?}");
        }
        if let Some(build) = engine.projection.rebuild(engine.published.head_seq()) {
            bar.set_length(build.head_seq);
            bar.set_position(build.applied_seq);
        }
        std::thread::sleep(LOOK);
    }
}

fn projection(engine: &Engine, restored: &Restored, started: Instant) -> anyhow::Result<Projection> {
    let (applied_seq, digest) = engine.projection.digest().context("the projection cannot be read")?;
    let digest = digest.to_string();
    let recorded = restored.projection_digest;
    let is_comparable = restored.events == restored.backup_size && applied_seq == restored.events;
    let recorded = recorded.filter(|recorded| is_comparable && recorded.version == PROJECTION_VERSION);
    let recorded_digest = recorded.map(|recorded| recorded.digest.to_string());
    let matches = recorded_digest.as_ref().map(|recorded| *recorded == digest);
    Ok(Projection { applied_seq, digest, recorded_digest, matches, elapsed_ms: milliseconds(started) })
}

async fn steps(engine: &Arc<Engine>) -> anyhow::Result<Steps> {
    let mut steps = Steps::default();
    let done = take(engine, &Operations::new(Arc::clone(engine), Session::local()), &mut steps).await;
    steps.error = done.err().as_ref().map(found).transpose()?;
    Ok(steps)
}

/// What a refusal says about the restored log.
///
/// # Errors
/// Nothing: the engine cannot work here, for example because the volume is full.
fn found(refusal: &Refusal) -> anyhow::Result<String> {
    let message = refusal.message();
    if refusal.is_outage() && refusal.code() != ErrorCode::LogCorrupt {
        bail!("the drill could not be carried out: {message}");
    }
    Ok(message.to_owned())
}

/// Waits until reads see an event. A client does not wait as long, but the verdict is about the backup.
async fn applied(engine: &Engine, seq: u64) {
    let begun = Instant::now();
    // If the time is not enough, the reads say how far the projection is.
    while engine.projection.applied_seq() < seq && begun.elapsed() < APPLIED_MAX {
        tokio::time::sleep(LOOK).await;
    }
}

async fn take(engine: &Engine, operations: &Operations, steps: &mut Steps) -> Result<(), Refusal> {
    let memory = json!({"content": TEXT, "project": PROJECT, "actor": PROJECT});
    let memory: SaveMemory = serde_json::from_value(memory).expect("it has the form of a memory");
    let Saved { id, seq, .. } = operations.save(memory, None).await?.answer;
    steps.saved = true;
    applied(engine, seq).await;
    let project = || Some(PROJECT.to_owned());
    let search = Search {
        words: WORDS.to_owned(),
        project: project(),
        kind: None,
        session: None,
        tags: Tags::default(),
        mode: SearchMode::Hybrid,
        explain: false,
        moment: operations.moment(None, None),
        limit: RESULTS,
        offset: 0,
    };
    let found = operations.search(search, Some(seq)).await?;
    steps.found = found.items.iter().any(|item| item.id == id);
    let moment = operations.moment(None, None);
    let read = operations.read(id.clone(), moment, Some(seq)).await?;
    steps.read = read.content == TEXT;
    let asked = Timeline {
        anchor: Anchor::Id(id.clone()),
        before: BEFORE,
        after: 0,
        project: project(),
        session: None,
        tags: Tags::default(),
        moment: operations.moment(None, None),
    };
    let timeline = operations.timeline(asked, Some(seq)).await?;
    steps.timeline = timeline.items.iter().any(|item| item.id == id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use engine_log::CommitError;

    use super::*;

    #[test]
    fn a_drill_on_a_volume_that_fails_says_nothing_about_the_backup() {
        for fault in [CommitError::Full, CommitError::Failing, CommitError::Overloaded] {
            assert!(found(&Refusal::from(fault)).is_err(), "{fault}");
        }
        assert!(found(&Refusal::from(CommitError::Corrupt)).is_ok());
        assert_eq!(found(&Refusal::new(ErrorCode::NotFound, "no such memory")).unwrap(), "no such memory");
    }
}
