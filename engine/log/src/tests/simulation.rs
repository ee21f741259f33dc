//! Seeded simulations of a log: all operations, with failures and power cuts at any point.
//!
//! `SIM_SEED=n` replays one seed, `SIM_SEEDS=n` runs that many seeds per test.

use std::collections::BTreeSet;
use std::io;

use super::world::World;
use crate::commit::{Caller, WriterCommand};
use crate::storage::FailPoint;
use crate::storage::faulty::{Dice, Failure, Plan};

/// Seeds per test, of four tests.
const SEEDS: u64 = 500;

struct Story {
    world: World,
    dice: Dice,
    next: u64,
    points: BTreeSet<FailPoint>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut dice = Dice(seed);
        let world = World::new(seed, 1200 + dice.roll(3000));
        Story { world, dice, next: 0, points: BTreeSet::new() }
    }

    /// Runs the simulation. Returns the invariant that was broken, if any.
    fn live(&mut self) -> Option<String> {
        self.trouble();
        self.world.start();
        for chapter in 0..10 + self.dice.roll(14) {
            self.trouble();
            self.act();
            let broken = match (self.world.storage.is_dead(), self.dice.roll(8)) {
                (false, 1..) => None,
                (dead, _) => self.crash(dead),
            };
            if let Some(broken) = broken {
                return Some(format!("{broken} (chapter {chapter})"));
            }
        }
        self.end()
    }

    /// Possibly plans a failure.
    fn trouble(&mut self) {
        let dice = &mut self.dice;
        let failure = [Failure::Lost, Failure::Half, Failure::Kept][usize::try_from(dice.roll(3)).unwrap()];
        let nth = dice.roll(16);
        let point = FailPoint::ALL[usize::try_from(dice.roll(FailPoint::ALL.len() as u64)).unwrap()];
        let kind = if dice.half() { io::ErrorKind::Other } else { io::ErrorKind::StorageFull };
        match dice.roll(12) {
            0 | 1 => self.world.storage.plan(Plan::Cut { nth, failure }),
            2 | 3 => self.world.storage.plan(Plan::CutAt(point)),
            4 => self.world.storage.plan(Plan::FailAt(point)),
            5 => self.world.storage.plan(Plan::Fail { step: None, nth, failure, kind }),
            _ => {}
        }
    }

    fn act(&mut self) {
        self.world.process().writer.poll_storage();
        match self.dice.roll(14) {
            0..5 => self.commit(1, 20),
            5 => self.commit(2, 10),
            6 => self.commit(4, 30),
            7 => self.commit(1, 900),
            8 => self.ask(WriterCommand::Rotate),
            9 => self.ask(WriterCommand::RotateKey),
            10 | 11 => {
                for _ in 0..4 {
                    self.world.process().keeper.step();
                }
            }
            12 => self.world.process().keeper.write_checkpoint(),
            _ => self.forget(),
        }
    }

    fn commit(&mut self, events: usize, bytes: usize) {
        self.next += 1;
        // A refused commit is valid. `World` records the acknowledged batches.
        drop(self.world.commit(self.next, events, bytes));
    }

    fn ask<T>(&mut self, order: impl FnOnce(crate::Answer<T>) -> WriterCommand) {
        let (reply, _answer) = Caller::channel();
        self.world.serve(order(reply));
    }

    fn forget(&mut self) {
        let some = self.world.single_batches();
        if !some.is_empty() {
            let pick = usize::try_from(self.dice.roll(some.len() as u64)).unwrap();
            self.world.forget(some[pick]);
        }
    }

    /// Ends the process by kill, stop or power cut, and restarts it, possibly with another failure during the start.
    fn crash(&mut self, dead: bool) -> Option<String> {
        if !dead && self.dice.half() {
            self.world.stop();
        }
        self.world.process = None;
        for _ in 0..3 {
            self.points.extend(self.world.storage.points_reached());
            if self.world.storage.is_dead() || self.dice.half() {
                self.world.storage.power_cut(&mut self.dice);
            } else {
                self.world.storage.kill();
            }
            self.trouble();
            self.world.start();
            if !self.world.storage.is_dead() {
                break;
            }
        }
        if self.world.storage.is_dead() {
            self.world.process = None;
            self.world.storage.power_cut(&mut self.dice);
            self.world.start();
        }
        self.world.storage.behave();
        self.world.broken_invariant()
    }

    fn end(&mut self) -> Option<String> {
        self.world.storage.behave();
        if let Some(broken) = self.crash(false) {
            return Some(broken);
        }
        self.next += 1;
        self.world.commit_until_done(self.next, 1);
        while self.world.process().keeper.step() {}
        if let Some(n) = self.world.forgotten_and_found() {
            return Some(format!("what_was_forgotten_is_nowhere: batch {n}"));
        }
        self.points.extend(self.world.storage.points_reached());
        self.world.broken_invariant()
    }
}

fn seeds(test: u64) -> Vec<u64> {
    let given = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (given("SIM_SEED"), given("SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(SEEDS)).map(|seed| 4 * seed + test).collect(),
    }
}

fn check(test: u64) -> BTreeSet<FailPoint> {
    let mut points = BTreeSet::new();
    for seed in seeds(test) {
        let mut story = Story::new(seed);
        let broken = story.live();
        assert_eq!(broken, None, "SIM_SEED={seed}");
        points.extend(story.points);
    }
    points
}

#[test]
fn every_invariant_holds_through_every_life_one() {
    check(0);
}

#[test]
fn every_invariant_holds_through_every_life_two() {
    check(1);
}

#[test]
fn every_invariant_holds_through_every_life_three() {
    check(2);
}

#[test]
fn every_invariant_holds_through_every_life_four_and_every_fail_point_is_passed() {
    let points = check(3);
    let missed: Vec<_> = FailPoint::ALL.iter().filter(|point| !points.contains(point)).collect();
    assert!(missed.is_empty() || std::env::var("SIM_SEED").is_ok(), "never passed: {missed:?}");
}

/// Negative control: the simulation must detect acknowledgements before durability.
#[test]
fn a_writer_that_acknowledges_before_the_sync_is_caught() {
    let caught = (0..100)
        .filter(|seed| {
            let story = Story::new(*seed);
            story.world.storage.lie_about_syncs();
            let story = std::panic::AssertUnwindSafe(story);
            std::panic::catch_unwind(move || { story }.live()).map_or(true, |broken| broken.is_some())
        })
        .count();
    assert!(caught >= 95, "{caught} of 100");
}
