//! The steps of an archive during which a process is killed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::dice::Dice;

/// What is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The engine archives what was written.
    Archiving,
    /// The engine takes a backup, and removes those that are not to stay.
    Backup,
    /// The engine forgets memories, and removes their keys from the archive.
    Forgetting,
    /// The engine seals a segment, and archives it.
    Rotation,
    /// A new engine takes over the archive.
    TakeOver,
    /// A command restores.
    Restore,
    /// A command removes backups.
    Prune,
}

impl Step {
    pub(super) const ALL: [Step; 7] = [
        Step::Archiving,
        Step::Backup,
        Step::Forgetting,
        Step::Rotation,
        Step::TakeOver,
        Step::Restore,
        Step::Prune,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Archiving => "archiving",
            Step::Backup => "backup",
            Step::Forgetting => "forgetting",
            Step::Rotation => "rotation",
            Step::TakeOver => "take-over",
            Step::Restore => "restore",
            Step::Prune => "prune",
        }
    }
}

/// How many calls each step takes, as far as that is known: what was counted in steps that were not interrupted.
#[derive(Debug)]
pub(super) struct Lengths([AtomicU64; Step::ALL.len()]);

/// Calls of a step before one was counted.
const FIRST_GUESS: u64 = 60;

impl Lengths {
    pub(super) fn new() -> Lengths {
        Lengths(std::array::from_fn(|_| AtomicU64::new(FIRST_GUESS)))
    }

    fn of(&self, step: Step) -> &AtomicU64 {
        &self.0[step as usize]
    }

    /// A random call of the step.
    pub(super) fn moment(&self, step: Step, dice: &mut Dice) -> u64 {
        1 + dice.below(self.of(step).load(Ordering::Relaxed))
    }

    /// A step was not interrupted within so many calls.
    pub(super) fn counted(&self, step: Step, calls: u64) {
        let length = self.of(step);
        // A moving average: steps of one kind differ.
        let mixed = (length.load(Ordering::Relaxed) * 3 + calls) / 4;
        length.store(mixed.max(1), Ordering::Relaxed);
    }

    /// A step was interrupted at its last calls that were thought of: it may be longer.
    pub(super) fn interrupted(&self, step: Step, call: u64) {
        let length = self.of(step);
        length.fetch_max(call + call / 4 + 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_follows_what_was_counted() {
        let lengths = Lengths::new();
        let mut dice = Dice::new(1);
        for _ in 0..40 {
            lengths.counted(Step::Backup, 1_000);
        }
        assert!((0..200).any(|_| lengths.moment(Step::Backup, &mut dice) > 800));
        lengths.interrupted(Step::Prune, 400);
        assert!((0..200).any(|_| lengths.moment(Step::Prune, &mut dice) > 400));
        assert!(lengths.moment(Step::Restore, &mut dice) <= FIRST_GUESS);
    }
}
