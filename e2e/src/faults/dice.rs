//! Reproducible randomness: one seed gives one campaign.

use std::time::Duration;

/// A stream of numbers determined by its seed (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Returns another stream, which depends only on the current state of this stream and on `name`.
    pub(super) fn fork(&self, name: u64) -> Dice {
        let mut dice = Dice(self.0 ^ name.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Dice(dice.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which must not be 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn micros_below(&mut self, bound: u64) -> Duration {
        Duration::from_micros(self.below(bound))
    }

    /// Picks `count` items, each at most once, in their original order.
    pub(super) fn sample<T>(&mut self, mut items: Vec<T>, count: usize) -> Vec<T> {
        while items.len() > count {
            let unlucky = self.below(items.len() as u64);
            items.remove(usize::try_from(unlucky).expect("below a usize"));
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream() {
        let throws = |seed| (0..8).map(|name| Dice::new(seed).fork(name).below(1000)).collect::<Vec<_>>();
        assert_eq!(throws(1), throws(1));
        assert_ne!(throws(1), throws(2));
    }

    #[test]
    fn a_sample_keeps_the_order() {
        let sample = Dice::new(7).sample((0..100).collect(), 10);
        assert_eq!(sample.len(), 10);
        assert!(sample.is_sorted());
        assert_eq!(Dice::new(7).sample(vec![1, 2], 10), [1, 2]);
    }
}
