//! Time and randomness, replaceable so that simulations are deterministic.

use jiff::Timestamp;

/// Source of the log's timestamps and random bytes.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The operating system.
    System,
    /// A seeded generator: the same sequence of calls returns the same values.
    #[cfg(test)]
    Seeded(std::sync::Arc<std::sync::Mutex<crate::storage::faulty::Dice>>),
}

impl Clock {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp::now(),
            #[cfg(test)]
            Clock::Seeded(dice) => {
                // The printed time always has the same length, so that the offsets of later bytes do not depend on its
                // digits.
                let ms = 1_800_000_000_000 + dice.lock().unwrap().roll(1_000_000) / 10 * 10 + 1;
                Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap()
            }
        }
    }

    /// New random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Clock::System => {
                getrandom::fill(&mut bytes)
                    .expect("getrandom(2) does not fail on a kernel that can run this binary");
            }
            #[cfg(test)]
            Clock::Seeded(dice) => {
                let mut dice = dice.lock().unwrap();
                bytes.fill_with(|| u8::try_from(dice.roll(256)).unwrap());
            }
        }
        bytes
    }
}
