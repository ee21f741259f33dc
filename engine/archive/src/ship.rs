//! Stores pieces of a log. Nothing is queued: each step reads the log, so that a store that is away costs no memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine_core::archive::cipher::PayloadKey;
use engine_core::archive::key_table::KeyTable;
use engine_core::archive::name::Extent;
use engine_core::archive::piece::{Made, make};
use engine_log::{LogHandles, LogReader};

use crate::archive_error::ArchiveError;
use crate::forgotten::forgotten_rows;
use crate::metrics::ArchiveMetrics;
use crate::place::{PIECE_RAW_BYTES, Place};
use crate::repository::{Repository, random};
use crate::takeover::{Takeover, take_over};

/// Reads for one piece. Another one is needed if the segment is sealed during the read, which does not happen twice in
/// a row: a segment that was just begun is not full.
const READS_MAX: usize = 4;

/// The archive of one open log, with this process as its writer.
#[derive(Debug)]
pub struct Archive {
    pub(crate) repository: Repository,
    pub(crate) log: LogReader,
    pub(crate) handles: LogHandles,
    pub(crate) log_id: String,
    pub(crate) metrics: Arc<ArchiveMetrics>,
    pub(crate) takeover: Takeover,
    /// Last event up to which everything forgotten is removed.
    pub(crate) forgotten_seq: u64,
    /// The tables that this writer has stored since the last look at those of other writers, with their versions.
    pub(crate) own_tables: BTreeMap<String, Option<String>>,
    /// Pauses between choosing what to store and reading it.
    #[cfg(test)]
    pub(crate) pauses: Arc<crate::faults::Faults>,
}

impl Archive {
    /// Takes over the archive of an open log.
    ///
    /// # Errors
    /// The log is not open or does not verify, the archive has events that it lacks, or a store failed.
    pub async fn open(
        repository: &Repository,
        handles: &LogHandles,
        metrics: Arc<ArchiveMetrics>,
    ) -> Result<Archive, ArchiveError> {
        let context = &handles.context;
        let head = context.published.head().ok_or(ArchiveError::NotOpen)?;
        if context.published.fault().is_some() {
            return Err(ArchiveError::Corrupt);
        }
        let repository = repository.of_log(&head.log_id).ok_or(ArchiveError::NotOpen)?;
        let log = LogReader::new(Arc::clone(&context.storage), context.published.clone());
        let takeover = take_over(&repository, &log).await?;
        // What a writer before this one was writing when it was killed: nobody else writes now.
        for store in [&repository.pieces, &repository.keys] {
            store.remove_leftovers(Duration::ZERO).await;
        }
        metrics.stored("fence", 0);
        tracing::info!(
            archived = takeover.tail.seq,
            writer = takeover.epoch,
            left_pieces = takeover.left_pieces,
            "the archive is continued"
        );
        let mut archive = Archive {
            repository,
            log,
            handles: handles.clone(),
            log_id: head.log_id,
            metrics,
            takeover,
            forgotten_seq: 0,
            own_tables: BTreeMap::new(),
            #[cfg(test)]
            pauses: Arc::default(),
        };
        archive.forgotten_seq = archive.stored_forgotten_seq().await?;
        archive.forget_in_late_tables().await?;
        Ok(archive)
    }

    /// Last event that can be restored.
    #[must_use]
    pub fn archived_seq(&self) -> u64 {
        self.takeover.tail.seq.max(self.takeover.sealed.seq)
    }

    /// Stores one piece, if there is something to store. Returns whether there was.
    ///
    /// # Errors
    /// A store failed, or the log cannot be read.
    pub async fn ship_piece(&mut self) -> Result<bool, ArchiveError> {
        for _ in 0..READS_MAX {
            let Some((extent, after)) = self.next()? else { return Ok(false) };
            #[cfg(test)]
            self.pauses.before().await;
            let (log, log_id, epoch) = (self.log.clone(), self.log_id.clone(), self.takeover.epoch);
            let forgotten = self.forgotten_seq;
            let read = move || made(&log, (extent, after), (&log_id, epoch), forgotten);
            let made = tokio::task::spawn_blocking(read).await.map_err(|_| ArchiveError::Stopping)??;
            if let Some(made) = made {
                return self.store(extent, made).await.map(|()| true);
            }
        }
        Err(ArchiveError::Behind(self.archived_seq()))
    }

    async fn store(&mut self, extent: Extent, Made { name, bytes, keys }: Made) -> Result<(), ArchiveError> {
        let before = if extent == Extent::Segment { self.takeover.sealed } else { self.takeover.tail };
        if name.prev != before.last {
            return Err(ArchiveError::Broken(name.first_seq));
        }
        // The keys first: a piece without its keys is lost, keys without a piece open nothing.
        self.put_table(&name.keys(), &keys, true).await?;
        self.repository.pieces.create(&name.to_string(), &bytes).await?;
        self.metrics.stored("piece", bytes.len() as u64);
        let place = Place { seq: name.last_seq, last: name.last };
        match extent {
            Extent::Segment => self.takeover.sealed = place,
            Extent::Tail => self.takeover.tail = place,
        }
        Ok(())
    }

    /// Stores a table, and remembers which version of it is this writer's own.
    pub(crate) async fn put_table(
        &mut self,
        name: &str,
        table: &KeyTable,
        is_encrypted: bool,
    ) -> Result<(), ArchiveError> {
        let (bytes, version) = self.repository.put_table(name, table, is_encrypted).await?;
        self.metrics.stored("keys", bytes);
        self.own_tables.insert(name.to_owned(), version);
        Ok(())
    }

    /// What to store next: sealed segments first, because what follows them cannot be restored without them.
    fn next(&mut self) -> Result<Option<(Extent, u64)>, ArchiveError> {
        let published = &self.handles.context.published;
        if published.fault().is_some() {
            return Err(ArchiveError::Corrupt);
        }
        let (head, segments) = published.extent().ok_or(ArchiveError::NotOpen)?;
        let Takeover { sealed, tail, .. } = &mut self.takeover;
        let active = segments.last().map_or(1, |segment| segment.first_seq);
        if sealed.seq + 1 < active {
            return Ok(Some((Extent::Segment, sealed.seq)));
        }
        if tail.seq <= sealed.seq {
            *tail = *sealed;
        }
        Ok((tail.seq < head.seq).then_some((Extent::Tail, tail.seq)))
    }
}

/// Makes the piece that follows an event; `None` if its segment was sealed since it was chosen.
fn made(
    log: &LogReader,
    (extent, after): (Extent, u64),
    (log_id, epoch): (&str, u64),
    forgotten_through: u64,
) -> Result<Option<Made>, ArchiveError> {
    let Some(stored) = log.stored_lines_after(after, PIECE_RAW_BYTES)? else { return Ok(None) };
    if stored.sealed != (extent == Extent::Segment) {
        // It is chosen again, as a sealed one.
        return Ok(None);
    }
    let mut made = make(extent, log_id, epoch, &stored.lines, || PayloadKey(random()))?;
    // The files of the log may still have what the archive has forgotten already.
    let rows = forgotten_rows(log, &made.name, forgotten_through)?;
    made.keys.forget(&rows);
    Ok(Some(made))
}
