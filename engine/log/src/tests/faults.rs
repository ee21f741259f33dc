//! Fails every changing call once: lost, half done, or done but reported as failed.

use std::io;

use engine_core::recovery::Verdict;

use super::world::World;
use crate::WriteState;
use crate::commit::{Caller, CommitError, Receipt, WriterCommand};
use crate::scrubs::Scrubbed;
use crate::storage::faulty::{Dice, Failure, Plan, Step};
use crate::writer::Mode;

const FAILURES: [Failure; 3] = [Failure::Lost, Failure::Half, Failure::Kept];
const SEGMENT: &str = "log/00000000000000000001.jsonl";

/// Runs a short workload that covers every operation.
fn live(world: &mut World) {
    for n in 0..3 {
        drop(world.commit(n, 1 + n as usize, 20));
    }
    order(world, WriterCommand::Rotate);
    drop(world.commit(3, 2, 600));
    world.process().keeper.step();
    world.process().keeper.step();
    order(world, WriterCommand::RotateKey);
    world.process().keeper.write_checkpoint();
    drop(world.commit(4, 1, 20));
    world.forget(0);
    drop(world.commit(5, 1, 20));
}

fn order<T>(world: &mut World, order: impl FnOnce(crate::Answer<T>) -> WriterCommand) {
    world.process().writer.poll_storage();
    let (reply, _answer) = Caller::channel();
    world.serve(order(reply));
}

fn calls_of_a_life() -> u64 {
    let mut world = World::new(7, 2000);
    world.start();
    live(&mut world);
    assert_eq!(world.broken_invariant(), None);
    world.storage.calls()
}

#[test]
fn a_call_that_fails_anywhere_costs_nothing_that_was_promised() {
    for nth in 0..calls_of_a_life() {
        for failure in FAILURES {
            for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
                let mut world = World::new(7, 2000);
                world.storage.plan(Plan::Fail { step: None, nth, failure, kind });
                world.start();
                live(&mut world);
                world.storage.behave();
                assert_eq!(world.broken_invariant(), None, "call {nth} {failure:?} {kind:?}");
                world.commit_until_done(9, 2);
                assert_eq!(world.broken_invariant(), None, "call {nth} {failure:?} {kind:?}, afterwards");
            }
        }
    }
}

#[test]
fn a_power_cut_anywhere_costs_nothing_that_was_promised() {
    for nth in 0..calls_of_a_life() {
        for failure in FAILURES {
            let mut world = World::new(7, 2000);
            world.storage.plan(Plan::Cut { nth, failure });
            world.start();
            live(&mut world);
            world.process = None;
            world.storage.power_cut(&mut Dice(nth));
            world.start();
            assert_eq!(world.broken_invariant(), None, "call {nth} {failure:?}");
            world.commit_until_done(9, 2);
            assert_eq!(world.broken_invariant(), None, "call {nth} {failure:?}, afterwards");
        }
    }
}

/// A client retries with the same idempotency key until the batch is acknowledged. No event is duplicated while the
/// process lives.
#[test]
fn no_failure_of_a_write_doubles_an_event() {
    for step in [Step::Open, Step::Write, Step::Sync, Step::Truncate] {
        for nth in 0..9 {
            for failure in FAILURES {
                let mut world = World::new(1, 1 << 20);
                let kind = io::ErrorKind::Other;
                world.storage.plan(Plan::Fail { step: Some(step), nth, failure, kind });
                world.start();
                for (n, events) in [(0, 1), (1, 3), (2, 1), (3, 2)] {
                    world.commit_until_done(n, events);
                }
                assert_eq!(world.numbers(), [0, 1, 1, 1, 2, 3, 3], "{step:?} {nth} {failure:?}");
            }
        }
    }
}

#[test]
fn the_answer_says_whether_space_or_the_volume_is_missing() {
    let refused = |kind| {
        let mut world = World::new(1, 1 << 20);
        world.start();
        let failure = Failure::Lost;
        world.storage.plan(Plan::Fail { step: Some(Step::Sync), nth: 0, failure, kind });
        world.commit(0, 1, 10).unwrap_err()
    };
    assert_eq!(refused(io::ErrorKind::Other), CommitError::Failing);
    assert_eq!(refused(io::ErrorKind::StorageFull), CommitError::Full);
    assert_eq!(refused(io::ErrorKind::QuotaExceeded), CommitError::Full);
}

#[test]
fn the_last_of_the_space_is_kept() {
    let mut world = World::new(1, 1 << 20);
    world.start();
    world.commit(0, 1, 10).unwrap();
    world.storage.set_available(1 << 20);
    assert_eq!(world.commit(1, 1, 10), Err(CommitError::Full));
    assert_eq!(world.handles().context.published.store(), WriteState::Full);
    world.storage.set_available(1 << 30);
    world.commit_until_done(1, 1);
    assert_eq!(world.numbers(), [0, 1]);
}

/// Another process truncates the log, which removes acknowledged events, while a failed volume is being reopened.
#[test]
fn a_log_that_lost_what_was_acknowledged_is_not_written_to() {
    let mut world = World::new(1, 1 << 20);
    world.start();
    world.commit(0, 1, 10).unwrap();
    let before = world.storage.durable_bytes(SEGMENT);
    world.commit(1, 1, 10).unwrap();
    let (failure, kind) = (Failure::Lost, io::ErrorKind::Other);
    world.storage.plan(Plan::Fail { step: Some(Step::Sync), nth: 0, failure, kind });
    assert_eq!(world.commit(2, 1, 10), Err(CommitError::Failing));
    world.storage.tamper(SEGMENT, before);
    world.process().writer.poll_storage();
    assert_eq!(world.commit(3, 1, 10), Err(CommitError::Corrupt));
    assert!(matches!(world.handles().context.published.store(), WriteState::Corrupt(_)));
    assert_eq!(world.process().writer.mode, Mode::Corrupt);
}

#[test]
fn a_key_is_kept_through_a_failure_and_a_conflict_is_one() {
    let mut world = World::new(1, 1 << 20);
    world.start();
    let first = world.commit(0, 2, 10).unwrap();
    let (failure, kind) = (Failure::Half, io::ErrorKind::Other);
    world.storage.plan(Plan::Fail { step: Some(Step::Write), nth: 0, failure, kind });
    world.commit_until_done(1, 1);
    let again = world.commit(0, 2, 10).unwrap();
    assert_eq!(again, Receipt { replayed: true, ..first });
    assert_eq!(world.numbers(), [0, 0, 1]);
}

/// A compressed segment returns the same lines as before compression, both from a given event number and from the
/// start.
#[test]
fn what_was_compressed_is_read_as_before() {
    let mut world = World::new(3, 3000);
    world.start();
    for n in 0..40 {
        world.commit(n, 1, 300).unwrap();
    }
    let before = world.numbers();
    while world.process().keeper.step() {}
    let compressed = world.storage.paths().iter().filter(|path| path.ends_with(".zst")).count();
    assert!(compressed > 3, "{:?}", world.storage.paths());
    assert_eq!(world.storage.paths().iter().filter(|path| path.ends_with(".jsonl")).count(), 1);
    assert_eq!(world.numbers(), before);
    for (n, receipt) in world.acknowledged() {
        assert_eq!(world.hash_of(receipt.last_seq), Some(receipt.hash), "{n}");
    }
    assert_eq!(world.handles().context.published.integrity().verified_through, 40);
    assert_eq!(world.broken_invariant(), None);
}

/// The process was killed after it wrote a seal and before it synced it. The next process reads a complete seal and
/// starts the next segment after it, so the seal must survive a power cut.
#[test]
fn a_seal_that_no_sync_covered_survives_the_power() {
    for seed in 0..40 {
        let mut world = World::new(seed, 1 << 20);
        world.start();
        world.commit(1, 1, 300).unwrap();
        let kind = io::ErrorKind::Other;
        world.storage.plan(Plan::Fail { step: Some(Step::Sync), nth: 0, failure: Failure::Lost, kind });
        let (reply, _answer) = Caller::channel();
        world.serve(WriterCommand::Rotate(reply));
        world.process = None;
        world.storage.kill();
        world.start();
        world.commit_until_done(2, 1);
        world.process = None;
        world.storage.power_cut(&mut Dice(seed));
        world.start();
        assert_eq!(world.broken_invariant(), None, "seed {seed}");
    }
}

/// Another process changes a log file while the engine runs: the next check detects it, and writes stop.
#[test]
fn a_file_that_is_touched_is_noticed_at_the_next_look() {
    type Touch = fn(&mut World, Vec<String>);
    let touches: [(&str, Touch); 5] = [
        ("a sealed segment is changed", |world, files| {
            let mut bytes = world.storage.visible_bytes(&files[0]).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            world.storage.tamper(&files[0], bytes);
        }),
        ("a sealed segment is removed", |world, files| world.storage.tamper_away(&files[1])),
        ("a sealed segment is another one", |world, files| {
            let other = world.storage.visible_bytes(&files[1]).unwrap();
            world.storage.tamper(&files[0], other);
        }),
        ("the last segment is shorter", |world, files| {
            let last = files.last().unwrap();
            let mut bytes = world.storage.visible_bytes(last).unwrap();
            bytes.truncate(bytes.len() - 100);
            world.storage.tamper(last, bytes);
        }),
        ("the last segment is removed", |world, files| world.storage.tamper_away(files.last().unwrap())),
    ];
    for (what, touch) in touches {
        for compressed in [false, true] {
            let mut world = World::new(5, 2000);
            world.start();
            for n in 0..30 {
                world.commit(n, 1, 300).unwrap();
            }
            world.process().keeper.step();
            while compressed && world.process().keeper.step() {}
            while world.handles().context.published.integrity().verified_at.is_none() {
                world.process().keeper.step();
            }
            assert_eq!(world.handles().context.published.fault(), None, "{what}");
            let mut files = world.storage.paths();
            files.retain(|path| path.contains(".jsonl"));
            touch(&mut world, files);
            for _ in 0..2 {
                world.process().keeper.step();
            }
            assert!(world.handles().context.published.fault().is_some(), "{what}, compressed {compressed}");
            assert_eq!(world.commit(99, 1, 10), Err(CommitError::Corrupt), "{what}");
        }
    }
}

/// A disk that returns other bytes than were written is not noticed by a look at the files; a scrub that is asked for
/// reads everything again.
#[test]
fn a_scrub_that_is_asked_for_reads_everything_again() {
    let mut world = World::new(5, 2000);
    world.start();
    for n in 0..30 {
        world.commit(n, 1, 300).unwrap();
    }
    let scrubs = world.handles().scrubs;
    let first = scrubs.ask();
    while world.process().keeper.step() {}
    assert_eq!(scrubs.ended(first), Some(Scrubbed::Sound(30)));
    let sealed = world.storage.paths().into_iter().find(|path| path.contains(".jsonl")).unwrap();
    let mut bytes = world.storage.visible_bytes(&sealed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.storage.rot(&sealed, bytes);
    for _ in 0..5 {
        world.process().keeper.step();
    }
    assert_eq!(world.handles().context.published.fault(), None, "the files look as before");
    let second = scrubs.ask();
    assert_eq!(scrubs.ended(second), None, "the first one does not count");
    while world.process().keeper.step() {}
    assert_eq!(scrubs.ended(second), Some(Scrubbed::Faulty));
    assert!(world.handles().context.published.fault().is_some());
}

/// Events before a breach remain readable.
#[test]
fn what_stands_before_a_breach_is_read() {
    let mut world = World::new(5, 1 << 20);
    world.start();
    for n in 0..5 {
        world.commit(n, 1, 30).unwrap();
    }
    world.stop();
    world.storage.tamper_away("log/checkpoint");
    let mut bytes = world.storage.visible_bytes(SEGMENT).unwrap();
    let at = bytes.windows(12).position(|window| window == b"batch-000003").unwrap();
    bytes[at] ^= 1;
    world.storage.tamper(SEGMENT, bytes);
    world.start();
    assert_eq!(world.numbers(), [0, 1, 2]);
    let fault = world.handles().context.published.fault().unwrap();
    assert_eq!((fault.seq, fault.line), (4, Some(5)));
    let scan = engine_core::recovery::scan(world.storage.durable_bytes(SEGMENT).as_slice(), |_| {}).unwrap();
    assert!(matches!(scan.verdict, Verdict::Corrupt(_)));
}
