//! Reads the lines of an archive that a copy of its log lacks, so that an engine can follow the archive alone. Nothing
//! is written to the store, not even a pin: whoever reads piece by piece can begin anywhere, so that an object that is
//! removed meanwhile only costs another list of the names. A pin that stays for as long as such a reader runs would
//! keep everybody from removing backups.

use engine_core::archive::continuation::{
    Continuation, CopyEnd, continuation, has_whole_batch, left_by, newest_writer, place_after,
};
use engine_core::archive::name::{FenceName, PieceName};
use engine_core::archive::route::{Route, route};
use engine_core::digest::Hash;
use engine_log::FollowingLines;
use futures::StreamExt;
use thiserror::Error;

use crate::place::PIECE_RAW_BYTES;
use crate::repository::{BadObject, Names, Repository};
use crate::staging::{Read, read};
use crate::store::StoreError;

/// Lists of names in one look. More than one is needed only if objects are removed meanwhile.
const LISTS_MAX: usize = 4;
/// Pieces that are read at the same time. One has up to 16 MiB of lines.
const READ_AHEAD: usize = 3;
/// Size of the lines in one answer, bytes, from which on no further piece is read. A batch is never divided, so that a
/// larger one makes a larger answer.
const LINES_BYTES: usize = PIECE_RAW_BYTES;

/// A reader of one archive that remembers what it has seen.
#[derive(Debug)]
pub struct ArchiveReader {
    repository: Repository,
    /// The names as they were listed at the end of the last look, if that has found something.
    listed: Option<Names>,
    /// The end of a copy, and the piece in which it was found to be the last that counts.
    at_end: Option<(CopyEnd, Hash)>,
}

/// What the archive has after the end of a copy.
#[derive(Debug)]
pub struct Continued {
    /// The lines, and the last event of the archive as `head_seq`. Empty if the copy lacks nothing. Unless there is
    /// nothing to read, that event was looked up after the keys of the lines were read: what forgot a payload of them
    /// is at that event or before it.
    pub lines: FollowingLines,
    /// The pieces that were read.
    pub pieces: Vec<PieceName>,
    /// The largest number of a writer. It has to be given at the next look.
    pub writer: u64,
}

/// Why there are no lines.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the archive cannot be read, which is not known to be damage: {0}")]
    Unread(BadObject),
    #[error("an object of the archive cannot be used: {0}")]
    Damaged(BadObject),
    #[error("the archive has no log{0}")]
    NoLog(String),
    #[error("the archive has {0} logs, and the engine that is followed has not said which is its own")]
    WhichLog(usize),
    #[error(
        "the archive ends at event {archived}, or has another event there, and this copy has event {own}: objects are gone"
    )]
    Short { archived: u64, own: u64 },
    #[error("another writer continued from event {0}, and this copy has later events")]
    Left(u64, FenceName),
}

/// Why a piece was not used.
struct Unusable {
    /// SHA-256 of the piece.
    piece: Hash,
    object: BadObject,
}

impl ArchiveReader {
    /// A reader that has seen nothing.
    #[must_use]
    pub fn new(repository: Repository) -> ArchiveReader {
        ArchiveReader { repository, listed: None, at_end: None }
    }

    /// The only log of the archive.
    ///
    /// # Errors
    /// There is none, or there are several, or the store failed.
    pub async fn only_log(&self) -> Result<String, ReadError> {
        let logs = self.repository.logs().await?;
        match logs.as_slice() {
            [log_id] => Ok(log_id.clone()),
            [] => Err(ReadError::NoLog(String::new())),
            logs => Err(ReadError::WhichLog(logs.len())),
        }
    }

    /// Reads what the archive of a log has after the end of a copy. `known` is the largest number of a writer at the
    /// look that found the place of that end; 0 for an empty copy.
    ///
    /// # Errors
    /// The store does not answer, an object cannot be used, or the way through the archive does not lead through the
    /// end of the copy.
    pub async fn lines_after(
        &mut self,
        log_id: &str,
        end: CopyEnd,
        known: u64,
    ) -> Result<Continued, ReadError> {
        let log = self.repository.of_log(log_id).ok_or_else(|| ReadError::NoLog(format!(" {log_id}")))?;
        let (mut unusable, mut lists): (Option<Unusable>, _) = (None, 0);
        loop {
            lists += 1;
            let names = match self.listed.take() {
                Some(names) => names,
                None => log.way_names().await?,
            };
            let way = route(&names.piece_names(), &names.fences);
            if way.pieces.is_empty() && end == CopyEnd::START {
                // Nothing was archived yet, or this is not the place.
                return Err(ReadError::NoLog(format!(" {log_id} with events")));
            }
            if let Some(Unusable { piece, object }) = unusable.take()
                && way.pieces.iter().any(|name| name.sha256 == piece)
            {
                return Err(ReadError::Damaged(object));
            }
            match self.look(&log, log_id, (&names, &way), end).await {
                Ok(Some((lines, pieces))) => {
                    let writer = newest_writer(&names.fences).max(known);
                    return self.answer(&log, log_id, (end, way.size()), lines, pieces, writer).await;
                }
                Ok(None) => return Err(misplaced(&names, &way, end, known)),
                Err(Unusable { object, .. }) if !object.is_damaged => return Err(ReadError::Unread(object)),
                Err(Unusable { object, .. }) if lists == LISTS_MAX => return Err(ReadError::Damaged(object)),
                Err(fault) => unusable = Some(fault),
            }
        }
    }

    /// Reads what follows in a list of names; `None` if the way does not lead through the end of the copy.
    async fn look(
        &mut self,
        log: &Repository,
        log_id: &str,
        (names, way): (&Names, &Route),
        end: CopyEnd,
    ) -> Result<Option<(Vec<u8>, Vec<PieceName>)>, Unusable> {
        let nothing = Ok(Some((Vec::new(), Vec::new())));
        let (is_next, pieces) = match continuation(way, end) {
            Continuation::Complete => return nothing,
            Continuation::Short => return Ok(None),
            Continuation::Pieces { is_next, pieces } => (is_next, pieces),
        };
        let last = way.pieces.last().map(|piece| piece.sha256);
        if self.at_end.is_some_and(|(known, piece)| known == end && Some(piece) == last) {
            return nothing;
        }
        tracing::debug!(
            after = end.seq,
            pieces = pieces.len(),
            listed = names.pieces.len(),
            "the archive goes on"
        );
        let found = read_after(log, log_id, &pieces, (is_next, end)).await?;
        if let (Some((lines, _)), Some(last)) = (&found, last)
            && lines.is_empty()
        {
            self.at_end = Some((end, last));
        }
        Ok(found)
    }

    async fn answer(
        &mut self,
        log: &Repository,
        log_id: &str,
        (end, size): (CopyEnd, u64),
        lines: Vec<u8>,
        pieces: Vec<PieceName>,
        writer: u64,
    ) -> Result<Continued, ReadError> {
        let mut head_seq = size.max(end.seq);
        if !lines.is_empty() {
            // Payloads may be missing that were forgotten after the names were listed. The event that says so was
            // archived before their keys were removed, so that it is in a list that is made now.
            let names = log.way_names().await?;
            head_seq = head_seq.max(route(&names.piece_names(), &names.fences).size());
            self.listed = Some(names);
        }
        let lines = FollowingLines { log_id: log_id.to_owned(), head_seq, has_line: true, lines };
        Ok(Continued { lines, pieces, writer })
    }
}

/// Why a copy has no place in the archive.
fn misplaced(names: &Names, way: &Route, end: CopyEnd, known: u64) -> ReadError {
    match left_by(&names.fences, end, known) {
        Some(fence) => ReadError::Left(fence.seq, fence.clone()),
        None => ReadError::Short { archived: way.size(), own: end.seq },
    }
}

/// Reads the lines after the end of a copy; `None` if its last line is not in these pieces. The lines are empty if they
/// have no complete batch.
async fn read_after(
    log: &Repository,
    log_id: &str,
    pieces: &[PieceName],
    (is_next, end): (bool, CopyEnd),
) -> Result<Option<(Vec<u8>, Vec<PieceName>)>, Unusable> {
    let one = async |name: &PieceName| {
        let unusable = |object| Unusable { piece: name.sha256, object };
        read(log, log_id, name).await.map_err(unusable)
    };
    let mut reading = futures::stream::iter(pieces).map(one).buffered(READ_AHEAD);
    let (mut lines, mut used, mut before) = (Vec::new(), Vec::new(), None);
    let mut is_placed = is_next;
    while let Some(next) = reading.next().await {
        let (next, name) = (next?, &pieces[used.len()]);
        let (prev, last) = next.ends();
        if before.is_some_and(|before| before != prev) {
            let why = "it does not follow the piece before it".to_owned();
            let object = BadObject { name: name.to_string(), why, is_damaged: true };
            return Err(Unusable { piece: name.sha256, object });
        }
        before = Some(last);
        lines = with_lines(next, name, lines).await?;
        used.push(name.clone());
        if !is_placed && let Some(place) = place_after(&lines, end) {
            lines.drain(..place);
            is_placed = true;
        }
        if !is_placed && used.len() == 2 {
            return Ok(None);
        }
        if is_placed && lines.len() >= LINES_BYTES && has_whole_batch(&lines) {
            return Ok(Some((lines, used)));
        }
    }
    if !has_whole_batch(&lines) {
        // The rest of a batch, or the header after a seal, is not archived yet.
        lines.clear();
    }
    Ok(is_placed.then_some((lines, used)))
}

/// Adds the lines of a piece to those before it. Decrypting them takes a while, which nobody else should wait for.
async fn with_lines(next: Read, name: &PieceName, mut lines: Vec<u8>) -> Result<Vec<u8>, Unusable> {
    let decrypt = move || next.restore(u64::MAX, &mut lines).map(|_| lines);
    let decrypted = tokio::task::spawn_blocking(decrypt).await.unwrap_or_else(|fault| {
        // The engine is stopping.
        Err(BadObject { name: name.to_string(), why: fault.to_string(), is_damaged: false })
    });
    decrypted.map_err(|object| Unusable { piece: name.sha256, object })
}
