//! Removals beside restores and backups, paused and killed at every call of the store.

use std::pin::pin;
use std::sync::Arc;

use engine_core::archive::name::ManifestName;
use engine_core::forgetting::Target;
use jiff::Timestamp;
use object_store::memory::InMemory;

use super::live_log::LiveLog;
use super::{Silent, metrics, stopped};
use crate::faults::Faults;
use engine_core::wire::Pruned;

use crate::prune::PruneError;
use crate::retention::{Retention, prune};
use crate::store::Store;
use crate::{Archive, Repository, Restored, Until, Wanted, restore};

/// Archives that are made, each with its own history.
const SEEDS: u64 = 100;
/// Archives for the tests that try pairs of steps, or restore several times for each step.
const FEW_SEEDS: u64 = 12;
/// Steps of a history.
const STEPS: u64 = 14;

/// A small generator, so that each seed always gives the same history.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A log and its archive.
pub(super) struct Archived {
    objects: Arc<InMemory>,
    pub(super) log: LiveLog,
    pub(super) log_id: String,
    directory: tempfile::TempDir,
    dice: Dice,
}

fn repository(objects: InMemory) -> Repository {
    let store = Store::new(Arc::new(objects), "");
    Repository::new(store.clone(), store, None)
}

pub(super) fn failing(repository: &Repository, faults: &Arc<Faults>) -> Repository {
    let Repository { pieces, keys, wrapping } = repository.clone();
    Repository::new(pieces.failing(Arc::clone(faults)), keys.failing(Arc::clone(faults)), wrapping)
}

impl Archived {
    /// Saves, forgets, seals segments, takes backups, and goes back to earlier events.
    pub(super) async fn with_seed(seed: u64) -> Archived {
        let directory = tempfile::tempdir().unwrap();
        let objects = Arc::new(InMemory::new());
        let store = Store::new(Arc::clone(&objects) as Arc<dyn object_store::ObjectStore>, "");
        let store = Repository::new(store.clone(), store, None);
        let mut dice = Dice(seed + 1);
        let mut log = LiveLog::open(&directory.path().join("data"));
        let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
        let mut saved: Vec<Target> = vec![log.save("the first").await];
        for step in 0..STEPS {
            match dice.roll(10) {
                0..4 => saved.push(log.save(&format!("text {step}")).await),
                4 => log.rotate().await,
                5 | 6 => while archive.ship_piece().await.unwrap() {},
                7 => drop(archive.backup(&stopped(), Timestamp::now()).await.unwrap()),
                8 if !saved.is_empty() => {
                    let place = usize::try_from(dice.roll(saved.len() as u64)).unwrap();
                    log.forget(&[saved.swap_remove(place)]).await;
                }
                _ => {
                    // The log goes back to an earlier event, unless it would lack an event that says what is forgotten.
                    archive.backup(&stopped(), Timestamp::now()).await.unwrap();
                    let until = 1 + dice.roll(log.head());
                    let to = directory.path().join(format!("data{step}"));
                    let wanted = Wanted { until: Some(Until::Event(until)), ..Wanted::default() };
                    if restore(&store, &to, &wanted, true, &Silent).await.is_ok() {
                        log = LiveLog::open(&to);
                        saved.retain(|target| target.seq <= until);
                        archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
                    }
                }
            }
        }
        archive.backup(&stopped(), Timestamp::now()).await.unwrap();
        log.save("after the backup").await;
        while archive.ship_piece().await.unwrap() {}
        let log_id = archive.log_id.clone();
        Archived { objects, log, log_id, directory, dice }
    }

    /// A copy of the archive.
    pub(super) fn copy(&self) -> Repository {
        repository(self.objects.fork())
    }

    pub(super) async fn prune(&self, repository: &Repository) -> Result<Pruned, PruneError> {
        let retention = Retention { keep_last: 1, keep_days: 0 };
        prune(repository, &self.log_id, (retention, &[]), Timestamp::now(), false).await
    }

    pub(super) async fn restore(&self, repository: &Repository, backup: Option<&str>) -> Restored {
        let to = self.directory.path().join("to");
        let backup = backup.map(str::to_owned);
        let wanted = Wanted { exactly: backup.is_some(), backup, ..Wanted::default() };
        let restored = restore(repository, &to, &wanted, false, &Silent).await;
        let restored = restored.unwrap_or_else(|fault| panic!("{fault}"));
        std::fs::remove_dir_all(&to).unwrap();
        assert_eq!(restored.damaged, []);
        restored
    }
}

/// Runs `first` up to the call at which it pauses, then `meanwhile`, then the rest of `first`.
pub(super) async fn around<T>(
    first: impl Future<Output = T>,
    faults: &Faults,
    meanwhile: impl Future<Output = ()>,
) -> T {
    let mut first = pin!(first);
    tokio::select! {
        done = &mut first => return done,
        () = faults.wait() => {}
    }
    meanwhile.await;
    faults.resume();
    first.await
}

#[tokio::test]
async fn a_removal_at_every_step_of_a_restore_removes_nothing_that_it_reads() {
    let (mut removed, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let archived = Archived::with_seed(seed).await;
        let head = archived.log.head();
        let mut call = 0;
        loop {
            let (store, faults) = (archived.copy(), Faults::paused(call));
            let reading = failing(&store, &faults);
            let meanwhile = async {
                match archived.prune(&store).await {
                    Ok(pruned) => removed += pruned.pieces,
                    Err(PruneError::Pinned(_)) => refused += 1,
                    Err(fault) => panic!("{fault}"),
                }
            };
            let restored = around(archived.restore(&reading, None), &faults, meanwhile).await;
            assert_eq!(restored.events, head, "seed {seed}, call {call}");
            if !faults.reached() {
                assert!(call > 5, "a restore has more calls");
                break;
            }
            call += 1;
        }
    }
    assert!(removed > 100 && refused > 1_000, "both happen: {removed} removed, {refused} refused");
}

#[tokio::test]
async fn a_restore_and_a_backup_at_every_step_of_a_removal_lack_nothing() {
    for seed in 0..FEW_SEEDS {
        let mut archived = Archived::with_seed(seed).await;
        let head = archived.log.head();
        for call in 0.. {
            let (store, pausing) = (archived.copy(), Faults::paused(call));
            let other = Faults::paused(i64::try_from(archived.dice.roll(20)).unwrap());
            let (removing, acting) = (failing(&store, &pausing), failing(&store, &other));
            // The removal pauses; the other begins and pauses; the removal ends; the other goes on.
            let removal = archived.prune(&removing);
            let is_restore = call % 2 == 0;
            let name = if is_restore {
                let acts = archived.restore(&acting, None);
                assert_eq!(interleaved(removal, &pausing, acts, &other).await.events, head, "{seed} {call}");
                None
            } else {
                let acts = async {
                    let mut archive = Archive::open(&acting, &archived.log.handles, metrics()).await.unwrap();
                    archive.backup(&stopped(), Timestamp::now()).await.unwrap()
                };
                Some(interleaved(removal, &pausing, acts, &other).await.name)
            };
            let restored = archived.restore(&store, name.as_deref()).await;
            assert_eq!(restored.events, head, "seed {seed}, call {call}");
            if !pausing.reached() {
                assert!(call > 5, "a removal has more calls: {call}");
                break;
            }
        }
    }
}

/// Begins both, ends the first, then the second.
async fn interleaved<T>(
    first: impl Future<Output = Result<Pruned, PruneError>>,
    first_faults: &Faults,
    second: impl Future<Output = T>,
    second_faults: &Faults,
) -> T {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let mut first_is_done = false;
    tokio::select! {
        _ = &mut first => first_is_done = true,
        () = first_faults.wait() => {}
    }
    let done = tokio::select! {
        done = &mut second => Some(done),
        () = second_faults.wait() => None,
    };
    first_faults.resume();
    if !first_is_done {
        match first.await {
            Ok(_) | Err(PruneError::Pinned(_)) => {}
            Err(fault) => panic!("{fault}"),
        }
    }
    second_faults.resume();
    match done {
        Some(done) => done,
        None => second.await,
    }
}

#[tokio::test]
async fn a_removal_that_is_killed_at_any_call_leaves_an_archive_that_restores() {
    let mut removed = 0;
    for seed in 0..FEW_SEEDS {
        let archived = Archived::with_seed(seed).await;
        let head = archived.log.head();
        for call in 0.. {
            let (store, faults) = (archived.copy(), Faults::killed(call));
            let killed = archived.prune(&failing(&store, &faults)).await;
            assert_eq!(archived.restore(&store, None).await.events, head, "seed {seed}, call {call}");
            let completed = archived.prune(&store).await.unwrap();
            removed += completed.pieces;
            let restored = archived.restore(&store, None).await;
            assert_eq!(restored.events, head, "seed {seed}, call {call}");
            assert_eq!(archived.restore(&store, Some(&restored.backup)).await.damaged, []);
            let retention = Retention { keep_last: 1, keep_days: 0 };
            let rest =
                prune(&store, &archived.log_id, (retention, &[]), Timestamp::now(), true).await.unwrap();
            assert_eq!((rest.pieces, rest.backups.len(), rest.kept), (0, 0, 1), "seed {seed}, call {call}");
            if killed.is_ok() {
                assert!(call > 5, "every call was tried: {call}");
                break;
            }
        }
    }
    assert!(removed > 100, "{removed}");
}

#[tokio::test]
async fn a_backup_that_is_kept_by_name_stays_and_nothing_is_removed_while_somebody_reads() {
    let archived = Archived::with_seed(3).await;
    let store = archived.copy();
    let mut archive = Archive::open(&store, &archived.log.handles, metrics()).await.unwrap();
    let first = archive.backup(&stopped(), Timestamp::now()).await.unwrap();
    archived.log.save("one more").await;
    let second = archive.backup(&stopped(), Timestamp::now()).await.unwrap();
    let retention = Retention { keep_last: 1, keep_days: 0 };
    let keep = [ManifestName::parse(&first.name).unwrap()];
    let pruned = prune(&store, &archived.log_id, (retention, &keep), Timestamp::now(), false).await.unwrap();
    assert_eq!(pruned.kept, 2, "{pruned:?}");
    for name in [&first.name, &second.name] {
        archived.restore(&store, Some(name)).await;
    }
    let unknown = [ManifestName { size: 1, ..keep[0].clone() }];
    let refused = prune(&store, &archived.log_id, (retention, &unknown), Timestamp::now(), false).await;
    assert!(matches!(refused, Err(PruneError::NoBackup(_))), "{refused:?}");
    let pin = crate::pin::Pin::put(&store.of_log(&archived.log_id).unwrap(), Timestamp::now()).await;
    let pruned = archived.prune(&store).await;
    assert!(matches!(pruned, Err(PruneError::Pinned(_))), "{pruned:?}");
    pin.remove().await;
    assert_eq!(archived.prune(&store).await.unwrap().backups, [first.name]);
}

/// A successor archives larger pieces, and a removal removes the smaller ones, while a writer that does not know of it
/// takes a backup that needs them.
#[tokio::test]
async fn a_backup_of_a_writer_with_a_successor_names_nothing_that_is_removed() {
    let mut removed = 0;
    for call in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let store = repository(InMemory::new());
        let log = LiveLog::open(&directory.path().join("data"));
        log.save("the first").await;
        let faults = Faults::paused(call);
        let pausing = failing(&store, &faults);
        let mut old = Archive::open(&store, &log.handles, metrics()).await.unwrap();
        old.backup(&stopped(), Timestamp::now()).await.unwrap();
        old.repository = pausing.of_log(&old.log_id).unwrap();
        let log_id = old.log_id.clone();
        let facts = stopped();
        let meanwhile = async {
            log.rotate().await;
            log.save("the second").await;
            let mut new = Archive::open(&store, &log.handles, metrics()).await.unwrap();
            new.backup(&stopped(), Timestamp::now()).await.unwrap();
            let retention = Retention { keep_last: 1, keep_days: 0 };
            let pruned = prune(&store, &log_id, (retention, &[]), Timestamp::now(), false).await.unwrap();
            removed += pruned.pieces;
        };
        // It fails, or was taken before anything was removed.
        let _either = around(old.backup(&facts, Timestamp::now()), &faults, meanwhile).await;
        let part = store.of_log(&log_id).unwrap();
        let names = part.all_names().await.unwrap();
        let there = names.piece_names();
        for manifest in &names.manifests {
            let manifest = part.manifest(&log_id, &manifest.name).await.unwrap();
            let pieces = manifest.piece_names().unwrap();
            assert!(pieces.iter().all(|piece| there.contains(piece)), "call {call}: {manifest:?}");
        }
        if !faults.reached() {
            assert!(call > 5, "a backup has more calls: {call}");
            break;
        }
    }
    assert!(removed > 5, "{removed}");
}
