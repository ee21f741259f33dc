//! Names that many memories share, as small numbers.

use engine_core::limits::ACTOR_DEFAULT;
use std::collections::HashMap;

/// Stands for no name.
pub(super) const NONE: u32 = u32::MAX;

/// Names and their numbers, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Box<str>, u32>,
}

impl Names {
    /// The number of a name, a new one if it is new.
    pub(super) fn add(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(NONE);
        self.numbers.insert(name.into(), number);
        number
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.numbers.iter().map(|(name, number)| (name.as_ref(), *number))
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }
}

/// Whether a name says who it was.
pub(super) fn is_somebodys(actor: &str) -> bool {
    actor != ACTOR_DEFAULT
}
