//! Archives of real logs in a directory, with calls of the store that fail.

use std::path::Path;
use std::sync::Arc;

use engine_core::configuration::Backup;
use engine_core::event::LogRestored;
use engine_core::wire::BackupTaken;
use engine_log::Offline;
use jiff::Timestamp;
use service::Registry;
use service::secret_file::Exposed;

use crate::faults::Faults;
use crate::{
    Archive, ArchiveError, ArchiveMetrics, ArchiveSettings, EngineFacts, Progress, Repository, StoppedEngine,
    Wanted, open, restore,
};

mod away;
mod continued;
mod damage;
mod forgetting;
mod live_log;
mod locked;
mod prune;
mod requests;
mod writers;

struct Silent;

impl Progress for Silent {
    fn begins(&self, _: u64) {}
    fn advances(&self, _: u64) {}
}

fn repository(directory: &Path, faults: &Arc<Faults>) -> Repository {
    let url = Some(format!("file://{}", directory.display()));
    let section = Backup { url, ..Backup::default() };
    let opened = open(&ArchiveSettings { section, exposed: Exposed::Reported }).unwrap();
    let Repository { pieces, keys, wrapping } = opened;
    Repository::new(pieces.failing(Arc::clone(faults)), keys.failing(Arc::clone(faults)), wrapping)
}

/// Adds events to a log, each in a segment of its own.
fn write(log: &mut Offline, events: u64) {
    for number in 0..events {
        let event = LogRestored { size: number, archived: number, manifest: String::new(), reason: None };
        log.record_restored(&event).unwrap();
    }
}

fn metrics() -> Arc<ArchiveMetrics> {
    Arc::new(ArchiveMetrics::new(&Registry::new(&[]).unwrap()).unwrap())
}

fn stopped() -> Arc<dyn EngineFacts> {
    Arc::new(StoppedEngine("0.0.0"))
}

async fn backup(log: &Offline, repository: &Repository) -> Result<BackupTaken, ArchiveError> {
    let mut archive = Archive::open(repository, log.handles(), metrics()).await?;
    archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await
}

async fn restored(directory: &Path, repository: &Repository) -> u64 {
    let to = directory.join("restored");
    let wanted = Wanted::default();
    let events = restore(repository, &to, &wanted, false, &Silent).await.unwrap();
    std::fs::remove_dir_all(&to).unwrap();
    assert_eq!(events.damaged, []);
    events.events
}

#[tokio::test]
async fn a_writer_that_is_killed_at_any_call_loses_nothing_and_the_next_one_continues() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut log = Offline::open(&at("data")).unwrap();
    write(&mut log, 3);
    for call in 0.. {
        let (store, faults) = (at(&format!("store{call}")), Faults::killed(call));
        let killed = backup(&log, &repository(&store, &faults)).await;
        let healthy = repository(&store, &Arc::default());
        let taken = backup(&log, &healthy).await.unwrap();
        assert_eq!((taken.size, restored(directory.path(), &healthy).await), (3, 3), "call {call}");
        if killed.is_ok() {
            assert!(!faults.reached() && call > 10, "every call was tried: {call}");
            return;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_doubles_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut log = Offline::open(&at("data")).unwrap();
    write(&mut log, 2);
    for call in 0..64 {
        let (store, faults) = (at(&format!("store{call}")), Faults::lost(call));
        let taken = backup(&log, &repository(&store, &faults)).await.unwrap();
        let healthy = repository(&store, &Arc::default());
        assert_eq!(
            (taken.size, taken.pieces, restored(directory.path(), &healthy).await),
            (2, 2, 2),
            "{call}"
        );
        if !faults.reached() {
            assert!(call > 8, "every call was tried: {call}");
            return;
        }
    }
    panic!("a backup of two events has fewer calls");
}

#[tokio::test]
async fn of_two_writers_the_later_one_counts_and_unchanged_data_is_not_stored_again() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let mut log = Offline::open(&at("data")).unwrap();
    write(&mut log, 3);
    let metrics = metrics();
    let mut first = Archive::open(&store, log.handles(), Arc::clone(&metrics)).await.unwrap();
    let mut second = Archive::open(&store, log.handles(), metrics).await.unwrap();
    assert!(second.takeover.epoch > first.takeover.epoch);
    let taken = second.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    // The first one does not know that it has a successor. What it stores does not count.
    while first.ship_piece().await.unwrap() {}
    let refused = first.backup(&stopped(), Timestamp::UNIX_EPOCH).await;
    assert!(matches!(refused, Err(ArchiveError::Fenced(_))), "{refused:?}");
    let names = store.of_log(&taken.log_id).unwrap().names().await.unwrap();
    assert_eq!(names.backups().len(), 1, "{names:?}");
    assert_eq!(restored(directory.path(), &store).await, 3);
    let again = backup(&log, &store).await.unwrap();
    assert!(again.size == 3 && again.stored_bytes < 100_000, "{again:?}");
    write(&mut log, 1);
    assert_eq!(backup(&log, &store).await.unwrap().size, 4);
    assert_eq!(restored(directory.path(), &store).await, 4);
}
