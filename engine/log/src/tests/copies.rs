//! A copy of a log that is made while its disk fails: whatever fails and whenever the power is cut, it goes on to be
//! the same lines.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use engine_core::digest::Hash;

use super::world::{NoKeys, World, marker};
use crate::clock::Clock;
use crate::commit::{Caller, DurableGroup, FollowError, Received, WriterCommand};
use crate::context::LogContext;
use crate::follower::Follower;
use crate::handles::LogHandles;
use crate::keeper::Keeper;
use crate::metrics::LogMetrics;
use crate::reader::LogReader;
use crate::rotation::Rotation;
use crate::segment;
use crate::storage::Storage;
use crate::storage::faulty::{Dice, Failure, FaultyStorage, Plan};

/// Size of the answers: small, so that groups and segments are divided.
const ANSWER_BYTES: usize = 700;
/// How the call with this number fails. Each kind of call is made often enough to fail in every way.
fn failure_of(nth: u64) -> Failure {
    match nth % 3 {
        0 => Failure::Lost,
        1 => Failure::Half,
        _ => Failure::Kept,
    }
}

/// A process that continues a copy.
struct Copying {
    handles: LogHandles,
    follower: Follower,
    keeper: Keeper,
    applied: Receiver<DurableGroup>,
}

impl Copying {
    fn start(storage: &FaultyStorage) -> Copying {
        let metrics = Arc::new(LogMetrics::new(&service::Registry::new(&[]).unwrap()).unwrap());
        let storage = Arc::new(storage.clone());
        let handles = LogHandles::new(LogContext::new(storage, metrics, Clock::System, Rotation::default()));
        let (applying, applied) = mpsc::sync_channel(64);
        let keeper = Keeper::new(handles.clone(), Some(Duration::from_secs(86_400))).checking_always();
        let follower =
            Follower::new(handles.clone(), Arc::new(NoKeys), applying).retrying_every(Duration::ZERO);
        Copying { handles, follower, keeper, applied }
    }

    /// Asks once. Returns whether something was appended.
    fn ask(&mut self, log: &LogReader) -> Result<bool, FollowError> {
        self.follower.poll_storage();
        let end = self.handles.context.published.head().map_or((0, Hash::ZERO), |head| (head.seq, head.line));
        let found = log.lines_following(end.0, end.1, ANSWER_BYTES).unwrap().expect("the log is open");
        let (reply, mut answer) = Caller::channel();
        let received = Received {
            log_id: found.log_id,
            head_seq: found.head_seq,
            has_end: found.has_line,
            lines: found.lines,
            reply,
        };
        self.follower.serve(WriterCommand::Follow(received));
        while self.applied.try_recv().is_ok() {}
        self.keeper.step();
        answer.try_recv().expect("every answer is used").map(|followed| followed.lines > 0)
    }

    /// Asks until the copy has everything. A fault of the volume is retried.
    fn catch_up(&mut self, log: &LogReader) -> Result<(), FollowError> {
        for _ in 0..200 {
            match self.ask(log) {
                Ok(false) => return Ok(()),
                Ok(true) | Err(FollowError::Unwritable(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        panic!("it never catches up");
    }
}

/// A log with batches, sealed and compressed segments, and two forgotten batches.
fn world() -> World {
    let mut world = World::new(11, 2500);
    world.start();
    for n in 0..14 {
        drop(world.commit(n, 1 + n as usize % 3, 40 * n as usize));
        if n % 6 == 3 {
            while world.process().keeper.step() {}
        }
    }
    world
}

fn reader(world: &mut World) -> LogReader {
    let context = world.handles().context;
    LogReader::new(context.storage, context.published)
}

/// All lines of a log, decompressed.
fn lines(storage: &FaultyStorage) -> Vec<u8> {
    let mut lines = Vec::new();
    for segment in segment::list(storage).unwrap().segments {
        let mut contents = crate::contents::whole(storage as &dyn Storage, segment, None).unwrap();
        io::Read::read_to_end(&mut contents, &mut lines).unwrap();
    }
    lines
}

/// Follows the log while batches are forgotten, with a plan of failures. Returns the number of changing calls.
fn follow(plan: Option<Plan>, what: &str) -> u64 {
    let mut world = world();
    let log = reader(&mut world);
    let disk = FaultyStorage::new();
    if let Some(plan) = plan {
        disk.plan(plan);
    }
    let mut copying = Copying::start(&disk);
    for _ in 0..4 {
        let _with_faults = copying.ask(&log);
    }
    // One of a segment that the copy has, and the newest one, which is not sealed yet.
    assert!(world.forget(0) && world.forget(12));
    while world.process().keeper.step() {}
    for _ in 0..40 {
        let _with_faults = copying.ask(&log);
    }
    copying.keeper.write_checkpoint();
    let calls = disk.calls();
    if disk.is_dead() {
        drop(copying);
        disk.power_cut(&mut Dice(calls));
        copying = Copying::start(&disk);
    }
    disk.behave();
    copying.catch_up(&log).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    drop(world.commit(20, 2, 20));
    world.process().writer.rotate();
    copying.catch_up(&log).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    while copying.keeper.step() {}
    while world.process().keeper.step() {}
    assert_eq!(copying.handles.context.published.fault(), None, "{what}");
    assert!(lines(&disk) == lines(&world.storage), "{what}: the same lines");
    assert_eq!(copying.handles.context.tree.head(), world.handles().context.tree.head(), "{what}");
    for path in disk.paths() {
        for n in [0, 12] {
            let text = marker(n, 0);
            let bytes = disk.visible_bytes(&path).unwrap_or_default();
            let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!is_there, "{what}: {path} has what was forgotten");
        }
    }
    calls
}

#[test]
fn a_copy_is_the_same_lines_and_forgets_what_the_log_forgets() {
    assert!(follow(None, "without a fault") > 20);
}

#[test]
fn a_call_that_fails_anywhere_costs_a_copy_only_time() {
    for nth in 0..follow(None, "count") {
        let failure = failure_of(nth);
        let kind = if nth % 2 == 0 { io::ErrorKind::Other } else { io::ErrorKind::StorageFull };
        let plan = Plan::Fail { step: None, nth, failure, kind };
        follow(Some(plan), &format!("call {nth} {failure:?}"));
    }
}

#[test]
fn a_power_cut_anywhere_costs_a_copy_only_time() {
    for nth in 0..follow(None, "count") {
        let failure = failure_of(nth);
        follow(Some(Plan::Cut { nth, failure }), &format!("call {nth} {failure:?}"));
    }
}

#[test]
fn a_writer_does_not_open_a_copy() {
    let mut world = world();
    let log = reader(&mut world);
    let disk = FaultyStorage::new();
    Copying::start(&disk).catch_up(&log).unwrap();
    let before = lines(&disk);
    world.process = None;
    world.storage = disk.clone();
    world.start();
    assert!(!world.opens(), "it would write a header of its own");
    assert!(lines(&disk) == before);
}
