//! Keeps the best of many matches in bounded memory.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The best matches, and the number of all matches.
#[derive(Debug)]
pub struct Best {
    count: usize,
    total: u64,
    /// The kept matches. The worst match is at the top of the heap.
    kept: BinaryHeap<Reverse<Scored>>,
}

/// A match. Matches are ordered by score, then by age: the better match is greater, and of two matches with equal
/// scores the newer match is greater.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scored {
    score: f64,
    seq: i64,
}

impl Eq for Scored {}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Scored) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scored {
    fn cmp(&self, other: &Scored) -> Ordering {
        self.score.total_cmp(&other.score).then(self.seq.cmp(&other.seq))
    }
}

impl Best {
    /// Creates a collection that keeps at most `count` matches.
    pub fn of(count: usize) -> Best {
        Best { count, total: 0, kept: BinaryHeap::with_capacity(count + 1) }
    }

    /// Adds a match. If more than `count` matches are kept, drops the worst match.
    pub fn put(&mut self, seq: i64, score: f64) {
        self.total += 1;
        let scored = Scored { score, seq };
        if self.kept.len() < self.count {
            self.kept.push(Reverse(scored));
        } else if self.kept.peek().is_some_and(|Reverse(worst)| scored > *worst) {
            self.kept.pop();
            self.kept.push(Reverse(scored));
        }
    }

    /// Number of matches added, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The kept matches, best first.
    pub fn in_order(self) -> impl Iterator<Item = (i64, f64)> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(Scored { score, seq })| (seq, score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_all_are_counted() {
        let mut best = Best::of(3);
        for (seq, score) in [(1, 0.5), (2, 2.0), (3, 0.5), (4, 1.0), (5, 0.1)] {
            best.put(seq, score);
        }
        assert_eq!(best.total(), 5);
        assert_eq!(best.in_order().map(|(seq, _)| seq).collect::<Vec<_>>(), [2, 4, 3]);
        let mut none = Best::of(0);
        none.put(1, 1.0);
        assert_eq!((none.total(), none.in_order().count()), (1, 0));
    }
}
