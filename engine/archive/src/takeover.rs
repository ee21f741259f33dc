//! Where a writer continues an archive. It compares the archive with its own log, then puts a fence, so that what
//! writers before it still store does not count.

use engine_core::archive::name::{Extent, FenceName, PieceName, ShortHash};
use engine_core::archive::route::route;
use engine_core::digest::hex;
use engine_core::event::{LOG_RESTORED, LOG_ROLLBACK_ACCEPTED};
use engine_core::format::EventLine;
use engine_log::LogReader;

use crate::archive_error::ArchiveError;
use crate::place::{PIECE_RAW_BYTES, Place};
use crate::repository::{Names, Repository, random};
use crate::store::StoreError;

/// Attempts to take a number that no other writer has. More than one is needed only if two engines start at once.
const NUMBER_ATTEMPTS: usize = 5;

/// Where a writer continues.
#[derive(Debug, Clone)]
pub(crate) struct Takeover {
    pub(crate) epoch: u64,
    /// End of the chain of pieces of sealed segments.
    pub(crate) sealed: Place,
    /// End of what can be restored.
    pub(crate) tail: Place,
    /// Number of pieces that are not on the way.
    pub(crate) left_pieces: u64,
    /// Whether the archive has a backup of the branch of this log.
    pub(crate) has_backup: bool,
}

/// Takes over the archive of a log.
///
/// # Errors
/// The archive has events that the log does not have, or a store or the log cannot be read.
pub(crate) async fn take_over(repository: &Repository, log: &LogReader) -> Result<Takeover, ArchiveError> {
    let mut names = repository.names().await?;
    for _ in 0..NUMBER_ATTEMPTS {
        let common = blocking(log, &names, decide).await??;
        let epoch = names.next_epoch();
        let fence = FenceName { seq: common.seq, epoch, last: common.last };
        let is_mine = put_fence(repository, &fence).await?;
        names = repository.names().await?;
        // Of two writers that took the same number at once, one keeps it.
        let is_beaten = names.fences.iter().any(|other| other.epoch == epoch && *other > fence);
        if is_mine && !is_beaten {
            let (sealed, tail, left_pieces) = blocking(log, &names, places).await??;
            let has_backup = !names.backups().is_empty();
            return Ok(Takeover { epoch, sealed, tail, left_pieces, has_backup });
        }
    }
    Err(ArchiveError::Busy)
}

async fn blocking<T: Send + 'static>(
    log: &LogReader,
    names: &Names,
    work: fn(&LogReader, &Names) -> T,
) -> Result<T, ArchiveError> {
    let (log, names) = (log.clone(), names.clone());
    tokio::task::spawn_blocking(move || work(&log, &names)).await.map_err(|_| ArchiveError::Stopping)
}

/// Stores the fence. Returns whether it is this writer's own.
async fn put_fence(repository: &Repository, fence: &FenceName) -> Result<bool, ArchiveError> {
    // Random, so that the fence of another writer with the same name is told apart.
    let contents = format!("{}\n", hex(&random::<16>()));
    match repository.pieces.create(&fence.to_string(), contents.as_bytes()).await {
        Ok(_) => Ok(true),
        Err(StoreError::Different(_)) => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

/// The last place of the way through the archive that is in the log.
fn decide(log: &LogReader, names: &Names) -> Result<Place, ArchiveError> {
    let found = route(&names.piece_names(), &names.fences);
    let (common, count) = common(log, &found.pieces)?;
    let Some(next) = found.pieces.get(count) else { return Ok(common) };
    // The archive goes on where this log does not follow: the volume is an older copy, unless the log itself says that
    // it was put back on purpose.
    if was_put_back(log, common.seq, next.last_seq)? {
        return Ok(common);
    }
    Err(ArchiveError::Ahead { archived: found.size(), common: common.seq })
}

/// The end of the pieces of sealed segments, the end of all, and how many pieces are not on the way.
fn places(log: &LogReader, names: &Names) -> Result<(Place, Place, u64), ArchiveError> {
    let all = names.piece_names();
    let of_segments: Vec<PieceName> =
        all.iter().filter(|name| name.extent == Extent::Segment).cloned().collect();
    let (sealed, _) = common(log, &route(&of_segments, &names.fences).pieces)?;
    let found = route(&all, &names.fences);
    let (tail, _) = common(log, &found.pieces)?;
    let is_left = |name: &&PieceName| name.last_seq > tail.seq;
    Ok((sealed, tail, found.unused.iter().filter(is_left).count() as u64))
}

/// The end of the last of these consecutive pieces that is in the log, and how many pieces lead there.
fn common(log: &LogReader, pieces: &[PieceName]) -> Result<(Place, usize), ArchiveError> {
    // Lines are chained: if the log has the end of a piece, it has the ends of those before.
    let (mut low, mut high) = (0, pieces.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let piece = &pieces[middle];
        let hashes = log.hashes_at(piece.last_seq)?;
        match hashes.into_iter().any(|hash| ShortHash::from(hash) == piece.last) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    let last = low.checked_sub(1).map(|last| &pieces[last]);
    Ok((last.map_or(Place::START, |piece| Place { seq: piece.last_seq, last: piece.last }), low))
}

/// Whether the log has an event between these that records that it was put back to an earlier state.
fn was_put_back(log: &LogReader, after: u64, through: u64) -> Result<bool, ArchiveError> {
    let mut next = after;
    // One event more than the piece has: the event that records it may follow where the log was cut.
    while next <= through {
        let lines = log.lines_after(next, usize::MAX, PIECE_RAW_BYTES)?;
        if lines.is_empty() {
            return Ok(false);
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(event) = EventLine::decode(line) else { return Ok(false) };
            next = event.envelope.seq;
            if [LOG_RESTORED, LOG_ROLLBACK_ACCEPTED].contains(&event.envelope.kind.as_ref()) {
                return Ok(next <= through + 1);
            }
        }
    }
    Ok(false)
}
