//! Time and randomness, so that a simulation can have its own.

use jiff::Timestamp;

/// Where the log's clock and random bytes come from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The kernel.
    System,
    /// A seed: the same calls answer the same.
    #[cfg(test)]
    Seeded(std::sync::Arc<std::sync::Mutex<crate::storage::faulty::Dice>>),
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp::now(),
            #[cfg(test)]
            Clock::Seeded(dice) => {
                // One length, whatever the digits: the places of later bytes do not depend on them.
                let ms = 1_800_000_000_000 + dice.lock().unwrap().roll(1_000_000) / 10 * 10 + 1;
                Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap()
            }
        }
    }

    /// Fresh random bytes.
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
