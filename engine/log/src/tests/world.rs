//! The log of an engine on an in-memory disk, without threads. Calls run sequentially, so a run can be reproduced from
//! its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine_core::checkpoint::Checkpoint;
use engine_core::digest::Hash;
use engine_core::event::Draft;
use engine_core::fold::Request;
use engine_core::forgetting::{self, Target};
use engine_core::recovery::{Joined, join};
use serde_json::value::RawValue;

use crate::audit::{Task, audit};
use crate::clock::Clock;
use crate::commit::{AppliedKeys, Caller, Commit, CommitError, DurableGroup, Key, Receipt, WriterCommand};
use crate::context::LogContext;
use crate::handles::LogHandles;
use crate::keeper::Keeper;
use crate::metrics::LogMetrics;
use crate::reader::LogReader;
use crate::rotation::Rotation;
use crate::storage::faulty::{Dice, FaultyStorage};
use crate::writer::{Mode, Writer};
use crate::{keyring, local_checkpoint, segment};

/// A projection that has applied every event and has no idempotency keys. The writer recognises repeated requests only
/// with the keys in its own memory.
pub(super) struct NoKeys;

impl AppliedKeys for NoKeys {
    fn applied_seq(&self) -> u64 {
        0
    }

    fn find(&self, _key: &str) -> Option<(u64, Option<Request>)> {
        Some((u64::MAX, None))
    }
}

/// A property of the log as it was read back.
type Invariant = fn(&mut World, &Joined) -> bool;

/// A simulated process of the engine.
pub(super) struct Process {
    pub(super) writer: Writer,
    pub(super) keeper: Keeper,
    applied: Receiver<DurableGroup>,
    idle: Receiver<WriterCommand>,
}

/// A disk, the process that uses the disk, and the batches that were acknowledged to clients.
pub(super) struct World {
    pub(super) storage: FaultyStorage,
    pub(super) process: Option<Process>,
    sources: Clock,
    segment_bytes_max: u64,
    /// Number of events of every batch that was sent, by batch number.
    sent: BTreeMap<u64, usize>,
    acknowledged: BTreeMap<u64, Receipt>,
    /// Batches whose payload may be missing.
    pub(super) forgotten: BTreeSet<u64>,
    /// Batches whose erasure was acknowledged.
    promised: BTreeSet<u64>,
}

impl World {
    pub(super) fn new(seed: u64, segment_bytes_max: u64) -> World {
        World {
            storage: FaultyStorage::new(),
            process: None,
            sources: Clock::Seeded(Arc::new(Mutex::new(Dice(seed ^ 0x5eed)))),
            segment_bytes_max,
            sent: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            promised: BTreeSet::new(),
        }
    }

    /// Starts a process on the data directory.
    pub(super) fn start(&mut self) {
        let rotation = Rotation { segment_bytes_max: self.segment_bytes_max, ..Rotation::default() };
        let metrics = Arc::new(LogMetrics::new(&service::Registry::new(&[]).unwrap()).unwrap());
        let storage = Arc::new(self.storage.clone());
        let handles = LogHandles::new(LogContext::new(storage, metrics, self.sources.clone(), rotation));
        let (applying, applied) = mpsc::sync_channel(16);
        let (_, idle) = mpsc::sync_channel(1);
        let keeper = Keeper::new(handles.clone(), Some(Duration::from_secs(86_400))).checking_always();
        let mut writer =
            Writer::new(handles, Arc::new(NoKeys), applying, None).retrying_every(Duration::ZERO);
        writer.poll_storage();
        self.process = Some(Process { writer, keeper, applied, idle });
    }

    pub(super) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the process runs")
    }

    pub(super) fn handles(&mut self) -> LogHandles {
        self.process().writer.handles.clone()
    }

    /// Whether the log opens within 20 attempts.
    pub(super) fn opens(&mut self) -> bool {
        let process = self.process();
        for _ in 0..20 {
            process.writer.poll_storage();
            if matches!(process.writer.mode, Mode::Open | Mode::Corrupt) {
                break;
            }
        }
        process.writer.mode == Mode::Open
    }

    /// Sends batch number `n` once. `n` is also the idempotency key of the batch.
    pub(super) fn commit(&mut self, n: u64, events: usize, bytes: usize) -> Result<Receipt, CommitError> {
        let payload = format!("{{\"n\":{n},\"text\":\"{}\"}}", marker(n, bytes));
        let draft = Draft {
            kind: "t".into(),
            actor: "a".into(),
            project: "p".into(),
            session: None,
            causes: Vec::new(),
            payload: RawValue::from_string(payload).unwrap(),
        };
        self.sent.insert(n, events);
        let key = Some(Key { key: format!("key {n}"), request: n.to_string().into_bytes() });
        let (reply, mut answer) = Caller::channel();
        let order = WriterCommand::Commit(Commit { drafts: vec![draft; events], key, reply });
        self.serve(order);
        let receipt = answer.try_recv().expect("every request is answered")?;
        self.acknowledged.insert(n, receipt.clone());
        Ok(receipt)
    }

    pub(super) fn serve(&mut self, order: WriterCommand) {
        let process = self.process();
        process.writer.serve(order, &process.idle);
        while process.applied.try_recv().is_ok() {}
    }

    /// Sends batch number `n` repeatedly, like a client with an idempotency key, until it is acknowledged. Also returns
    /// the refusals of the earlier attempts.
    pub(super) fn commit_until_done(&mut self, n: u64, events: usize) -> (Receipt, Vec<CommitError>) {
        let mut refusals = Vec::new();
        for _ in 0..50 {
            self.process().writer.poll_storage();
            match self.commit(n, events, 10) {
                Ok(receipt) => return (receipt, refusals),
                Err(refusal) => refusals.push(refusal),
            }
        }
        panic!("it never heals: {refusals:?}");
    }

    /// Acknowledged batches of one event.
    pub(super) fn single_batches(&self) -> Vec<u64> {
        let single = |n: &&u64| self.sent.get(n) == Some(&1);
        self.acknowledged.keys().filter(single).copied().collect()
    }

    /// Requests the erasure of a one-event batch. Returns whether it was acknowledged.
    pub(super) fn forget(&mut self, n: u64) -> bool {
        let Some(receipt) = self.acknowledged.get(&n) else { return false };
        let target = Target { id: receipt.id.clone(), seq: receipt.last_seq };
        self.forgotten.insert(n);
        let drafts = forgetting::drafts(std::slice::from_ref(&target), "a test", "a");
        let promised = self.process().writer.begin_erasure(drafts, target.seq, None).is_ok();
        if promised {
            self.promised.insert(n);
        }
        promised
    }

    /// Repeats erasures that were never acknowledged. Returns a batch whose payload is still in a file once the keeper
    /// is idle. Erasures acknowledged before a crash are not repeated.
    pub(super) fn forgotten_and_found(&mut self) -> Option<u64> {
        for n in self.forgotten.difference(&self.promised.clone()).copied().collect::<Vec<_>>() {
            assert!(self.forget(n), "nothing is in the way");
        }
        while self.process().keeper.step() {}
        let found = |n: &u64| {
            let text = marker(*n, 0);
            let holds = |path: &String| {
                let bytes = self.storage.visible_bytes(path).unwrap_or_default();
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            };
            self.storage.paths().iter().any(holds)
        };
        self.forgotten.iter().copied().find(found)
    }

    /// Batch numbers in the log, once per event.
    pub(super) fn numbers(&mut self) -> Vec<u64> {
        self.events().into_iter().filter_map(|(.., n)| n).collect()
    }

    pub(super) fn hash_of(&mut self, seq: u64) -> Option<Hash> {
        let handles = self.handles();
        LogReader::new(Arc::clone(&handles.context.storage), handles.context.published).hash_of(seq).unwrap()
    }

    /// Stops the process cleanly.
    pub(super) fn stop(&mut self) {
        self.process().keeper.write_checkpoint();
        self.process = None;
    }

    pub(super) fn acknowledged(&self) -> Vec<(u64, Receipt)> {
        self.acknowledged.iter().map(|(n, receipt)| (*n, receipt.clone())).collect()
    }

    /// Checks all invariants of the reopened log. Returns the name of a broken one.
    pub(super) fn broken_invariant(&mut self) -> Option<String> {
        if let Some(fault) = self.handles().context.published.fault() {
            return Some(format!("no_false_verdict: {}", fault.message));
        }
        if !self.opens() {
            return Some("it_opens_again".into());
        }
        let joined = self.read_back();
        let checks: [(&str, Invariant); 6] = [
            ("the_chain_verifies", the_chain_verifies),
            ("the_tree_is_that_of_the_events", the_tree_is_that_of_the_events),
            ("no_acknowledged_event_is_lost", no_acknowledged_event_is_lost),
            ("no_batch_is_half_there", no_batch_is_half_there),
            ("the_checkpoint_is_not_ahead", the_checkpoint_is_not_ahead),
            ("a_failed_sync_is_never_repeated", a_failed_sync_is_never_repeated),
        ];
        let broken = checks.iter().find(|(_, holds)| !holds(self, &joined));
        broken.map(|(name, _)| format!("{name}: {:?}", joined.breaches.kept.first()))
    }

    fn read_back(&mut self) -> Joined {
        let segments = segment::list(&self.storage).unwrap().segments;
        let tasks: Vec<Task> = segments.iter().map(|segment| Task { segment: *segment, end: None }).collect();
        let surveys = audit(&self.storage, &tasks, &|_| {});
        join(
            segments
                .iter()
                .map(|segment| segment.first_seq)
                .zip(surveys.into_iter().map(Result::unwrap))
                .collect(),
        )
    }

    fn events(&mut self) -> Vec<(u64, Hash, Option<u64>)> {
        let handles = self.handles();
        let reader = LogReader::new(Arc::clone(&handles.context.storage), handles.context.published);
        let lines = reader.lines_after(0, usize::MAX, usize::MAX).unwrap();
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let event = engine_core::format::EventLine::decode(line).unwrap();
                let payload =
                    event.payload().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
                (event.envelope.seq, event.hash, payload.and_then(|payload| payload["n"].as_u64()))
            })
            .collect()
    }
}

/// A text that occurs only in batch number `n`.
pub(super) fn marker(n: u64, bytes: usize) -> String {
    format!("batch-{n:06}-{}", "x".repeat(bytes))
}

fn the_chain_verifies(_: &mut World, joined: &Joined) -> bool {
    joined.breaches.count == 0 && joined.torn_bytes == 0
}

fn the_tree_is_that_of_the_events(world: &mut World, joined: &Joined) -> bool {
    let (size, root) = world.handles().context.tree.head();
    joined.tree.as_ref().is_some_and(|tree| (tree.size(), tree.root()) == (size, root))
        && world.handles().context.tree.root_at(size).is_ok_and(|read| read == root)
}

fn no_acknowledged_event_is_lost(world: &mut World, _: &Joined) -> bool {
    let events: BTreeMap<u64, Hash> = world.events().into_iter().map(|(seq, hash, _)| (seq, hash)).collect();
    world.acknowledged.values().all(|receipt| events.get(&receipt.last_seq) == Some(&receipt.hash))
}

fn no_batch_is_half_there(world: &mut World, _: &Joined) -> bool {
    let mut found: BTreeMap<u64, usize> = BTreeMap::new();
    for n in world.events().into_iter().filter_map(|(.., n)| n) {
        *found.entry(n).or_default() += 1;
    }
    let whole = |(n, events): (&u64, &usize)| {
        let found = found.get(n).copied().unwrap_or(0);
        // After a crash a client may resend a batch that was durable but never acknowledged.
        found.is_multiple_of(*events)
            && (found > 0 || !world.acknowledged.contains_key(n) || world.forgotten.contains(n))
    };
    world.sent.iter().all(whole)
}

fn the_checkpoint_is_not_ahead(world: &mut World, joined: &Joined) -> bool {
    let ring = keyring::Keyring::load(&world.storage).unwrap();
    let claim: Option<Checkpoint> = local_checkpoint::read(&world.storage, ring.as_ref()).unwrap();
    let size = joined.head.map_or(0, |head| head.seq);
    claim.is_none_or(|claim| {
        claim.size <= size
            && world.handles().context.tree.root_at(claim.size).is_ok_and(|root| root == claim.root)
    })
}

fn a_failed_sync_is_never_repeated(world: &mut World, _: &Joined) -> bool {
    !world.storage.synced_after_a_failed_sync()
}
