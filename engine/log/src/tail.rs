//! In-memory cache of the newest events, for readers that need events before the projection has applied them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum bytes of cached events. For older events, readers wait for the projection.
const BYTES_MAX: usize = 1 << 20;

/// Durable groups without gaps, newest last.
#[derive(Debug, Default)]
pub struct Tail(Mutex<VecDeque<Group>>);

#[derive(Debug)]
struct Group {
    first_seq: u64,
    last_seq: u64,
    lines: Arc<[u8]>,
}

impl Tail {
    /// Adds a group. Drops groups that the projection has applied or that exceed the limit.
    pub(super) fn push(&self, first_seq: u64, last_seq: u64, lines: &[u8], applied_seq: u64) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while groups.front().is_some_and(|group| group.last_seq <= applied_seq) {
            groups.pop_front();
        }
        if lines.len() > BYTES_MAX {
            return groups.clear();
        }
        groups.push_back(Group { first_seq, last_seq, lines: lines.into() });
        let mut bytes: usize = groups.iter().map(|group| group.lines.len()).sum();
        while bytes > BYTES_MAX
            && let Some(gone) = groups.pop_front()
        {
            bytes -= gone.lines.len();
        }
    }

    /// The complete lines of the events after number `after` up to number `through`. The result may contain more events
    /// before and after this range. `None` if an event of the range is missing.
    pub fn between(&self, after: u64, through: u64) -> Option<Vec<Arc<[u8]>>> {
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = groups.iter().filter(|group| group.last_seq > after && group.first_seq <= through);
        let (mut next, mut found) = (after + 1, Vec::new());
        for group in wanted {
            if group.first_seq > next {
                return None;
            }
            next = group.last_seq + 1;
            found.push(Arc::clone(&group.lines));
        }
        (next > through).then_some(found)
    }

    /// Drops all lines, because erased payloads must not stay in memory.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(tail: &Tail, after: u64, through: u64) -> Option<Vec<u8>> {
        tail.between(after, through).map(|groups| groups.iter().flat_map(|group| group.to_vec()).collect())
    }

    #[test]
    fn events_are_there_without_a_gap_or_not_at_all() {
        let tail = Tail::default();
        tail.push(3, 4, b"c d ", 0);
        tail.push(5, 5, b"e ", 0);
        tail.push(6, 8, b"f g h ", 0);
        assert_eq!(between(&tail, 4, 8).unwrap(), b"e f g h ");
        assert_eq!(between(&tail, 4, 5).unwrap(), b"e ");
        assert_eq!(between(&tail, 8, 8).unwrap(), b"");
        assert_eq!((between(&tail, 1, 8), between(&tail, 7, 9)), (None, None));
        tail.push(9, 9, b"i ", 5);
        assert_eq!((between(&tail, 4, 9), between(&tail, 5, 9).unwrap()), (None, b"f g h i ".to_vec()));
        tail.clear();
        assert_eq!(between(&tail, 8, 9), None);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let tail = Tail::default();
        let large = vec![b'x'; BYTES_MAX / 2];
        (1..=9).for_each(|seq| tail.push(seq, seq, &large, 0));
        assert_eq!((between(&tail, 6, 9), between(&tail, 7, 9).unwrap().len()), (None, BYTES_MAX));
        tail.push(10, 10, &vec![b'x'; BYTES_MAX + 1], 0);
        assert_eq!(between(&tail, 9, 10), None);
        // A group before the gap must not be returned as contiguous.
        tail.push(11, 11, b"k ", 0);
        assert_eq!((between(&tail, 8, 11), between(&tail, 10, 11).unwrap()), (None, b"k ".to_vec()));
    }
}
