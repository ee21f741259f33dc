//! Handlers of the admin port: the archive and its backups.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use engine_archive::{ArchiveHandle, ArchiveStatus};
use engine_core::wire::{BackupTaken, ErrorCode, TakeBackup};

use super::mode::read_or_default;
use crate::engine::Engine;
use crate::refusal::Refusal;

/// Responds with the state of the archive.
pub(super) async fn status(State(engine): State<Arc<Engine>>) -> Result<Json<ArchiveStatus>, Refusal> {
    Ok(Json(archive(&engine)?.status(engine.published.head_seq())))
}

/// Takes a backup. If the archive is far behind, that takes longer than a request may; it goes on, and the next request
/// is fast.
pub(super) async fn create(
    State(engine): State<Arc<Engine>>,
    body: Body,
) -> Result<Json<BackupTaken>, Refusal> {
    let wanted: TakeBackup = read_or_default(body).await?;
    if !wanted.is_valid() {
        return Err(Refusal::new(ErrorCode::InvalidArgument, "the id of the request is not valid")
            .hint("1 to 64 letters, digits and hyphens"));
    }
    let taken = archive(&engine)?.backup(wanted.request).await;
    taken.map(Json).map_err(|fault| {
        Refusal::new(ErrorCode::StorageFailure, format!("the backup was not taken: {fault}"))
            .hint("GET /backups shows the state of the archive; try again")
    })
}

fn archive(engine: &Engine) -> Result<&ArchiveHandle, Refusal> {
    engine.archive().ok_or_else(|| {
        Refusal::new(ErrorCode::InvalidArgument, "this engine has no archive")
            .hint("set backup.url in the configuration")
    })
}
