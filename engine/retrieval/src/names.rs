//! Interned names: each distinct name gets a small number.

use engine_core::limits::ACTOR_DEFAULT;
use std::collections::HashMap;

/// The number that stands for no name.
pub(super) const NONE: u32 = u32::MAX;

/// Numbers by name, assigned in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Box<str>, u32>,
}

impl Names {
    /// Returns the number of a name. A new name gets the next free number.
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

/// Whether an actor name differs from the default name, and so identifies an actor.
pub(super) fn is_named_actor(actor: &str) -> bool {
    actor != ACTOR_DEFAULT
}
