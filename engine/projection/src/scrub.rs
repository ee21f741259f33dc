//! Scrubs a projection while it serves: pages, rows against their digest, and the full-text index against the rows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine_core::content::ContentDigest;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::background_job::{Job, Stop};
use super::cause::Cause;
use super::row_digest::digest_of;
use super::schema::{WORDS, add_terms};
use super::store::read_applied;
use super::store_error::{StoreError, is_temporary};

/// Delay before the first scrub after a projection begins to serve, because the engine reads other data at that time.
const FIRST_AFTER: Duration = Duration::from_secs(2);
/// Delay before an unfinished scrub is restarted.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The full-text index is checked when no write has happened for this time, because the check takes the write lock.
const QUIET: Duration = Duration::from_secs(1);
/// SQLite steps between two checks of the stop flag, and the pause at each check. The pause limits the scrub's share of
/// processor and disk.
const STEPS: i32 = 50_000;
const REST: Duration = Duration::from_millis(1);

/// Result of a scrub.
#[derive(Debug)]
pub(super) enum Finding {
    /// The projection is as it was written.
    Sound(ContentDigest),
    /// The projection must not serve any longer.
    Wrong(Cause, String),
}

/// Result of a scrub, or an error when it was stopped or failed for a reason outside the projection.
pub(super) type ScrubOutcome = Result<Finding, StoreError>;

#[derive(Debug)]
enum RunningScrub {
    Rows(Job<ScrubOutcome>),
    /// Contains the digest of the rows.
    Words(Job<ScrubOutcome>, ContentDigest),
}

/// Schedules scrubs and runs one at a time.
#[derive(Debug)]
pub(super) struct Scrubber {
    interval: Duration,
    due: Instant,
    rows: Option<ContentDigest>,
    running: Option<RunningScrub>,
    /// Whether a scrub was asked for that has to begin after the running one.
    asked: bool,
    written_at: Instant,
}

impl Scrubber {
    pub(super) fn new(interval: Duration) -> Scrubber {
        let now = Instant::now();
        Scrubber {
            interval,
            due: now + FIRST_AFTER,
            rows: None,
            running: None,
            asked: false,
            written_at: now,
        }
    }

    /// Restarts the schedule for a new projection.
    pub(super) fn restart(&mut self) {
        *self = Scrubber::new(self.interval);
    }

    /// Schedules a scrub immediately after a suspicious observation.
    pub(super) fn hurry(&mut self) {
        self.due = Instant::now();
        self.rows = None;
    }

    /// Schedules a complete scrub that begins from now on. The result of a running one does not count.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Stops a check that holds the write lock, so that a pending write can proceed.
    pub(super) fn yield_write_lock(&mut self) {
        self.written_at = Instant::now();
        if let Some(RunningScrub::Words(job, _)) = &self.running {
            job.stop.set();
        }
    }

    /// Stops a running scrub and ends its snapshot, so that the write-ahead log can be emptied.
    pub(super) fn pause(&mut self) {
        if let Some(RunningScrub::Rows(job) | RunningScrub::Words(job, _)) = &self.running {
            job.stop.set();
        }
    }

    /// Starts a scrub if one is due. Returns the result of a finished scrub.
    pub(super) fn turn(&mut self, path: &Path) -> Option<Finding> {
        if self.running.is_none() {
            if std::mem::take(&mut self.asked) {
                self.hurry();
            }
            self.begin(path);
            return None;
        }
        let finished = match self.running.as_ref()? {
            RunningScrub::Rows(job) | RunningScrub::Words(job, _) => job.is_finished(),
        };
        if !finished {
            return None;
        }
        let found = match self.running.take()? {
            RunningScrub::Rows(job) => self.rows_ended(job.finish()?),
            RunningScrub::Words(job, rows) => self.words_ended(job.finish()?, rows),
        };
        found.filter(|found| !self.asked || matches!(found, Finding::Wrong(..)))
    }

    fn begin(&mut self, path: &Path) {
        let path = path.to_owned();
        let begun = match self.rows {
            Some(rows) if self.written_at.elapsed() >= QUIET => {
                Job::start("scrub", move |stop| judged(check_words(&path, stop, rows)))
                    .map(|job| RunningScrub::Words(job, rows))
            }
            None if Instant::now() >= self.due => {
                Job::start("scrub", move |stop| judged(check_rows(&path, stop))).map(RunningScrub::Rows)
            }
            _ => return,
        };
        match begun {
            Ok(running) => self.running = Some(running),
            Err(fault) => self.postpone(&fault.into()),
        }
    }

    fn rows_ended(&mut self, outcome: ScrubOutcome) -> Option<Finding> {
        match outcome {
            Ok(Finding::Sound(digest)) => self.rows = Some(digest),
            Ok(wrong) => return Some(wrong),
            Err(fault) => self.postpone(&fault),
        }
        None
    }

    fn words_ended(&mut self, outcome: ScrubOutcome, rows: ContentDigest) -> Option<Finding> {
        match outcome {
            Ok(finding) => {
                self.rows = None;
                self.due = Instant::now() + self.interval;
                return Some(finding);
            }
            // The check was stopped for a write. The rows do not have to be checked again; only the check of the index
            // is repeated.
            Err(_) => self.rows = Some(rows),
        }
        self.written_at = Instant::now();
        None
    }

    fn postpone(&mut self, fault: &StoreError) {
        tracing::warn!(%fault, "the projection could not be scrubbed now");
        self.due = Instant::now() + AGAIN_AFTER;
    }
}

/// Turns damage reported by SQLite into a finding instead of a failure.
fn judged(outcome: ScrubOutcome) -> ScrubOutcome {
    match outcome {
        Err(StoreError::Sqlite(fault)) if !is_temporary(&fault) => {
            Ok(Finding::Wrong(Cause::Damaged, fault.to_string()))
        }
        other => other,
    }
}

fn rest(stop: &Stop) -> impl FnMut() -> bool + Send + 'static {
    let stop = stop.clone();
    move || {
        std::thread::sleep(REST);
        stop.is_set()
    }
}

/// Checks pages, then rows. Every row is read once, in one snapshot of the database.
pub(super) fn check_rows(path: &Path, stop: &Stop) -> ScrubOutcome {
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.progress_handler(STEPS, Some(rest(stop)))?;
    let moment = connection.transaction()?;
    let pages: String = moment.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if pages != "ok" {
        return Ok(Finding::Wrong(Cause::Damaged, pages));
    }
    let (written, found) = (read_applied(&moment)?.digest, digest_of(&moment)?);
    if written != found {
        let why = format!("its rows have the digest {found}, but {written} was written");
        return Ok(Finding::Wrong(Cause::Edited, why));
    }
    for (rows, index) in [("memories", "memories_fts"), ("items_current", "items_fts")] {
        let count = format!("SELECT (SELECT count(*) FROM {rows}) - (SELECT count(*) FROM {index}_docsize)");
        let unindexed: i64 = moment.query_row(&count, [], |row| row.get(0))?;
        if unindexed != 0 {
            let why = format!("{unindexed} rows of {rows} are not in the full-text index");
            return Ok(Finding::Wrong(Cause::Index, why));
        }
    }
    Ok(Finding::Sound(found))
}

/// Compares the full-text index with the rows, word by word. SQLite offers this only under the write lock.
pub(super) fn check_words(path: &Path, stop: &Stop, rows: ContentDigest) -> ScrubOutcome {
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.progress_handler(STEPS, Some(rest(stop)))?;
    let transaction = connection.transaction()?;
    for index in WORDS {
        let check = format!("INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)");
        match transaction.execute(&check, []) {
            Ok(_) => {}
            Err(fault) if fault.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                let why = format!("the full-text index {index} does not match its rows");
                return Ok(Finding::Wrong(Cause::Index, why));
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(Finding::Sound(rows))
}

fn open(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    add_terms(&connection)?;
    connection.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 100; PRAGMA cache_size = -2048;",
    )?;
    Ok(connection)
}

/// Detects cheaply that the file was replaced or that another process wrote to it.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    inode: u64,
    len: u64,
    changes: i64,
    at: Instant,
}

/// Interval between checks, which cost a few system calls.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileCheck {
    Unchanged,
    /// Another process has changed rows.
    Changed,
    /// The file is missing, replaced or shorter than before.
    Gone(&'static str),
}

impl FileWatch {
    pub(super) fn new(path: &Path, changes: i64) -> std::io::Result<FileWatch> {
        let (inode, len) = identity(path)?;
        Ok(FileWatch { path: path.to_owned(), inode, len, changes, at: Instant::now() })
    }

    pub(super) fn is_due(&self) -> bool {
        self.at.elapsed() >= CHECK_INTERVAL
    }

    /// `changes` is the current value of [`super::store::ProjectionStore::foreign_changes`].
    pub(super) fn check(&mut self, changes: i64) -> FileCheck {
        self.at = Instant::now();
        let (inode, len) = match identity(&self.path) {
            Ok(found) => found,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
                return FileCheck::Gone("its file was removed");
            }
            // The file cannot be checked now, so no change is reported.
            Err(_) => return FileCheck::Unchanged,
        };
        if inode != self.inode {
            return FileCheck::Gone("its file was replaced");
        }
        // The database is never vacuumed, so it only grows.
        if len < self.len {
            return FileCheck::Gone("its file was cut");
        }
        self.len = len;
        match std::mem::replace(&mut self.changes, changes) == changes {
            true => FileCheck::Unchanged,
            false => FileCheck::Changed,
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.ino(), metadata.len()))
}
