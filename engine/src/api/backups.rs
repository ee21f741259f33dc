//! Handlers of the admin port: the archive and its backups.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use engine_archive::{ArchiveHandle, ArchiveStatus};
use engine_core::archive::name::ManifestName;
use engine_core::wire::{BackupTaken, ErrorCode, TakeBackup};

use super::mode::read_or_default;
use crate::engine::Engine;
use crate::refusal::Refusal;

/// Names in one request. A caller keeps the last backup that was verified, and perhaps some others.
const KEEP_MAX: usize = 64;

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
    let archive = archive(&engine)?;
    let taken = archive.backup(wanted.request, wanted.keep.map(kept).transpose()?).await;
    taken.map(Json).map_err(|fault| {
        Refusal::new(ErrorCode::StorageFailure, format!("the backup was not taken: {fault}"))
            .hint("GET /backups shows the state of the archive; try again")
    })
}

/// The backups that a request wants to keep.
fn kept(keep: Vec<String>) -> Result<Vec<ManifestName>, Refusal> {
    if keep.len() > KEEP_MAX {
        return Err(refused(format!("keep has more than {KEEP_MAX} names")));
    }
    let parsed = |name: String| {
        ManifestName::parse(&name).ok_or_else(|| refused("keep has a text that is no name of a backup"))
    };
    keep.into_iter().map(parsed).collect()
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ErrorCode::InvalidArgument, message).hint("`memory-engine backup list` shows the names")
}

fn archive(engine: &Engine) -> Result<&ArchiveHandle, Refusal> {
    engine.archive().ok_or_else(|| {
        Refusal::new(ErrorCode::InvalidArgument, "this engine has no archive")
            .hint("set backup.url in the configuration")
    })
}
