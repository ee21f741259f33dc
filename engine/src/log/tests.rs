//! The writer on a disk that fails: each step once, failed and lost as well as failed but kept.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine_core::digest::hex;
use engine_core::event::Draft;
use engine_core::fold::Request;
use engine_core::recovery::{Verdict, scan};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{AppliedKeys, Commit, CommitError, Key, Published, Receipt, Store, Writer};
use crate::metrics::Metrics;
use crate::storage::{Space, Storage};

/// Steps that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Reopen,
    Append,
    Sync,
    Truncate,
}

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nothing of it happened.
    Lost,
    /// Half of it happened.
    Half,
    /// All of it happened, the caller does not know.
    Kept,
}

#[derive(Debug, Default)]
struct Disk {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// The n-th next call of a step fails so.
    plan: VecDeque<(Step, usize, Failure, io::ErrorKind)>,
    set_aside: usize,
    sync_after_failure: bool,
    failed_sync: bool,
    available: u64,
}

#[derive(Debug, Clone)]
struct FaultyStorage(Arc<Mutex<Disk>>);

impl FaultyStorage {
    fn new() -> FaultyStorage {
        FaultyStorage(Arc::new(Mutex::new(Disk { available: 1 << 30, ..Disk::default() })))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    fn fail(&self, step: Step, nth: usize, failure: Failure, kind: io::ErrorKind) {
        self.disk().plan.push_back((step, nth, failure, kind));
    }

    fn step(&self, step: Step, act: impl Fn(&mut Disk, Failure)) -> io::Result<()> {
        let mut disk = self.disk();
        let planned = disk.plan.iter_mut().find(|(planned, ..)| *planned == step);
        if let Some((_, nth, failure, kind)) = planned {
            let (failure, kind) = (*failure, *kind);
            if *nth == 0 {
                disk.plan.retain(|(planned, ..)| *planned != step);
                act(&mut disk, failure);
                disk.failed_sync |= step == Step::Sync;
                return Err(kind.into());
            }
            *nth -= 1;
        }
        act(&mut disk, Failure::Kept);
        Ok(())
    }
}

impl Storage for FaultyStorage {
    fn reopen(&mut self) -> io::Result<()> {
        self.step(Step::Reopen, |disk, _| disk.failed_sync = false)
    }

    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.step(Step::Append, |disk, failure| {
            assert_eq!(disk.visible.len(), offset, "only ever at the end");
            let written = match failure {
                Failure::Lost => 0,
                Failure::Half => bytes.len() / 2,
                Failure::Kept => bytes.len(),
            };
            disk.visible.extend_from_slice(&bytes[..written]);
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.step(Step::Sync, |disk, failure| {
            disk.sync_after_failure |= disk.failed_sync;
            match failure {
                Failure::Kept => disk.durable = disk.visible.clone(),
                // The kernel forgets the pages: what was written is gone, or half of it.
                Failure::Lost => disk.visible = disk.durable.clone(),
                Failure::Half => {
                    let kept =
                        usize::midpoint(disk.durable.len(), disk.visible.len()).min(disk.visible.len());
                    disk.visible.truncate(kept);
                    disk.durable = disk.visible.clone();
                }
            }
        })
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.step(Step::Truncate, |disk, failure| {
            if failure == Failure::Kept {
                disk.visible.resize(len, 0);
            }
        })
    }

    fn reader(&self) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(Cursor::new(self.disk().visible.clone())))
    }

    fn set_aside(&mut self, _from: u64) -> io::Result<()> {
        self.disk().set_aside += 1;
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { capacity: 1 << 30, available: self.disk().available })
    }
}

/// A projection that has applied everything and seen no key: what is replayed comes from the writer's own memory.
struct NoKeys;

impl AppliedKeys for NoKeys {
    fn applied_seq(&self) -> u64 {
        0
    }

    fn find(&self, _key: &str) -> Option<(u64, Option<Request>)> {
        Some((u64::MAX, None))
    }
}

struct Harness {
    storage: FaultyStorage,
    published: Published,
    queue: Option<SyncSender<Commit>>,
    threads: Vec<JoinHandle<()>>,
}

impl Harness {
    fn start(storage: &FaultyStorage) -> Harness {
        let published = Published::new();
        let (queue, queued) = mpsc::sync_channel(16);
        let (applying, to_apply) = mpsc::sync_channel::<super::Applying>(16);
        let metrics = Arc::new(Metrics::new("test").unwrap());
        let writer = Writer::new(storage.clone(), published.clone(), Box::new(NoKeys), applying, metrics)
            .retrying_every(Duration::from_millis(2));
        let threads = vec![
            thread::spawn(move || writer.run(&queued)),
            thread::spawn(move || to_apply.into_iter().for_each(super::Applying::acknowledge)),
        ];
        Harness { storage: storage.clone(), published, queue: Some(queue), threads }
    }

    fn commit(&self, n: usize, events: usize) -> Result<Receipt, CommitError> {
        let draft = Draft {
            kind: "t".into(),
            actor: "a".into(),
            project: "p".into(),
            session: None,
            causes: Vec::new(),
            payload: RawValue::from_string(format!("{{\"n\":{n}}}")).unwrap(),
        };
        let key = Some(Key { key: format!("key {n}"), request: n.to_string().into_bytes() });
        let (reply, answer) = oneshot::channel();
        self.queue.as_ref().unwrap().send(Commit { drafts: vec![draft; events], key, reply }).unwrap();
        let receipt = answer.blocking_recv().expect("every request is answered")?;
        // The one promise: an answer means that a power cut now would not matter.
        let durable = self.storage.disk().durable.clone();
        let hash = hex(&receipt.hash.0);
        assert!(durable.windows(64).any(|window| window == hash.as_bytes()), "acknowledged and not durable");
        Ok(receipt)
    }

    /// As a client with a key does it: repeats until it has an answer. How often it was refused, and how.
    fn commit_until_done(&self, n: usize, events: usize) -> (Receipt, Vec<CommitError>) {
        let mut refusals = Vec::new();
        let started = Instant::now();
        loop {
            match self.commit(n, events) {
                Ok(receipt) => return (receipt, refusals),
                Err(refusal) => refusals.push(refusal),
            }
            assert!(started.elapsed() < Duration::from_secs(10), "it never heals: {refusals:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn stop(mut self) -> Vec<u64> {
        self.queue = None;
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        let disk = self.storage.disk();
        assert!(!disk.sync_after_failure, "a failed sync was repeated");
        assert_eq!(disk.visible, disk.durable);
        let mut numbers = Vec::new();
        let found = scan(disk.durable.as_slice(), |found| {
            let payload: serde_json::Value = serde_json::from_str(found.event.payload().unwrap()).unwrap();
            numbers.push(payload["n"].as_u64().unwrap());
        });
        assert_eq!(found.unwrap().verdict, Verdict::Clean);
        numbers
    }
}

fn check(plan: &[(Step, usize, Failure, io::ErrorKind)]) -> Vec<CommitError> {
    let storage = FaultyStorage::new();
    for (step, nth, failure, kind) in plan {
        storage.fail(*step, *nth, *failure, *kind);
    }
    let harness = Harness::start(&storage);
    let mut refusals = Vec::new();
    for (n, events) in [(0, 1), (1, 3), (2, 1), (3, 2)] {
        refusals.extend(harness.commit_until_done(n, events).1);
    }
    assert_eq!(harness.stop(), [0, 1, 1, 1, 2, 3, 3], "{plan:?}");
    refusals
}

#[test]
fn no_failure_of_any_step_loses_or_doubles_an_acknowledged_event() {
    assert_eq!(check(&[]), []);
    for step in [Step::Reopen, Step::Append, Step::Sync] {
        for nth in 0..7 {
            for failure in [Failure::Lost, Failure::Half, Failure::Kept] {
                for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
                    check(&[(step, nth, failure, kind)]);
                    check(&[
                        (step, nth, failure, kind),
                        (Step::Truncate, 0, Failure::Lost, kind),
                        (Step::Reopen, 1, Failure::Lost, kind),
                    ]);
                }
            }
        }
    }
}

#[test]
fn the_answer_says_whether_space_or_the_volume_is_missing() {
    let sync = |kind| check(&[(Step::Sync, 2, Failure::Lost, kind)])[0];
    assert_eq!(sync(io::ErrorKind::Other), CommitError::Failing);
    assert_eq!(sync(io::ErrorKind::StorageFull), CommitError::Full);
    assert_eq!(sync(io::ErrorKind::QuotaExceeded), CommitError::Full);
}

#[test]
fn the_last_of_the_space_is_kept() {
    let storage = FaultyStorage::new();
    let harness = Harness::start(&storage);
    harness.commit(0, 1).unwrap();
    storage.disk().available = 1 << 20;
    assert_eq!(harness.commit(1, 1), Err(CommitError::Full));
    assert_eq!(harness.published.store(), Store::Full);
    storage.disk().available = 1 << 30;
    harness.commit_until_done(1, 1);
    assert_eq!(harness.stop(), [0, 1]);
}

/// Somebody cuts acknowledged events off while a failed volume is being opened again.
#[test]
fn a_log_that_lost_what_was_acknowledged_is_not_written_to() {
    let storage = FaultyStorage::new();
    let harness = Harness::start(&storage);
    harness.commit(0, 1).unwrap();
    let before = storage.disk().durable.clone();
    harness.commit(1, 1).unwrap();
    storage.fail(Step::Sync, 0, Failure::Lost, io::ErrorKind::Other);
    storage.fail(Step::Reopen, 0, Failure::Lost, io::ErrorKind::Other);
    assert_eq!(harness.commit(2, 1), Err(CommitError::Failing));
    {
        let mut disk = storage.disk();
        disk.visible = before.clone();
        disk.durable = before;
    }
    let started = Instant::now();
    while harness.commit(3, 1) != Err(CommitError::Corrupt) {
        assert!(started.elapsed() < Duration::from_secs(10), "it went on writing");
    }
    assert!(matches!(harness.published.store(), Store::Corrupt(_)));
}

#[test]
fn a_key_is_kept_through_a_failure_and_a_conflict_is_one() {
    let storage = FaultyStorage::new();
    let harness = Harness::start(&storage);
    let first = harness.commit(0, 2).unwrap();
    storage.fail(Step::Append, 0, Failure::Half, io::ErrorKind::Other);
    harness.commit_until_done(1, 1);
    let again = harness.commit(0, 2).unwrap();
    assert_eq!(again, Receipt { replayed: true, ..first });
    assert_eq!(harness.stop(), [0, 0, 1]);
}
