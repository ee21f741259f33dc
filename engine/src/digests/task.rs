//! Notes digests while somebody wants them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::fold::PROJECTION_VERSION;
use engine_core::wire::{RecentDigest, RecentDigests};
use service::in_span;

use crate::engine::Engine;

/// Shortest time between two of them. Reading one reads one row.
const SPACING: Duration = Duration::from_millis(20);

/// Notes the digest of the present event; nothing if the projection cannot be read now.
async fn note(engine: &Arc<Engine>) {
    let reading = Arc::clone(engine);
    let read = move || reading.projection.digest();
    if let Ok(Ok((seq, digest))) = tokio::task::spawn_blocking(in_span(read)).await {
        engine.digests.add(RecentDigest { seq, digest: digest.to_string() });
    }
}

/// The newest digests. From now on they are noted for a minute.
pub(crate) async fn recent(engine: &Arc<Engine>) -> RecentDigests {
    engine.digests.noted(|noted| noted.wanted = Some(Instant::now()));
    note(engine).await;
    RecentDigests {
        projection_version: PROJECTION_VERSION,
        altered_seq: engine.projection.altered(),
        is_guarded: engine.modes.is_guarded(),
        digests: engine.digests.noted(|noted| noted.recent.iter().cloned().collect()),
    }
}

/// Notes digests while somebody wants them, until the process ends.
pub(crate) async fn note_all(engine: Arc<Engine>) {
    let mut changes = engine.projection.changes();
    // The sender lives as long as the engine.
    while changes.changed().await.is_ok() {
        if engine.digests.is_wanted() {
            note(&engine).await;
        }
        tokio::time::sleep(SPACING).await;
    }
}
