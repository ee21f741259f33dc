//! Finds the pieces that make a log. Names say where a piece begins and ends in the chain of hashes, so that a list of
//! names is enough.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::name::{FenceName, PieceName, ShortHash};

/// A place between two lines of a log: the number of the last event before it, and the hash of the last line before it.
type Place = (u64, ShortHash);

/// The way through an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The pieces, in the order of the log.
    pub pieces: Vec<PieceName>,
    /// The other pieces: smaller ones with the same events, and those of branches that the log has left.
    pub unused: Vec<PieceName>,
}

impl Route {
    /// Number of the last event.
    pub fn size(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.last_seq)
    }

    /// Hash of the last line.
    pub fn last(&self) -> ShortHash {
        self.pieces.last().map_or(ShortHash::ZERO, |piece| piece.last)
    }
}

/// What can be reached from a place.
#[derive(Clone, Copy)]
struct Best {
    /// The piece to take next.
    piece: usize,
    /// The last event that is reached with it.
    reaches: u64,
    /// The number of pieces.
    count: usize,
}

/// The way from the first event to the last. Pieces of a writer that another one has succeeded count only up to the
/// fence of its successor. Of what is left, the way that reaches furthest counts; then that of the newest writer, and
/// that with the fewest pieces.
pub fn route(names: &[PieceName], fences: &[FenceName]) -> Route {
    let is_left =
        |name: &PieceName| fences.iter().any(|fence| name.epoch < fence.epoch && name.last_seq > fence.seq);
    let mut order: Vec<usize> = (0..names.len()).filter(|number| !is_left(&names[*number])).collect();
    // From the end of the log to its beginning, so that what follows a piece is known before it.
    order.sort_by_key(|number| Reverse(names[*number].first_seq));
    let mut best: BTreeMap<Place, Best> = BTreeMap::new();
    for number in order {
        let name = &names[number];
        let after = best.get(&(name.last_seq, name.last));
        let reaches = after.map_or(name.last_seq, |after| after.reaches);
        let candidate = Best { piece: number, reaches, count: 1 + after.map_or(0, |after| after.count) };
        let key = |best: &Best| (best.reaches, names[best.piece].epoch, Reverse(best.count), best.piece);
        let place = (name.first_seq - 1, name.prev);
        if best.get(&place).is_none_or(|known| key(&candidate) > key(known)) {
            best.insert(place, candidate);
        }
    }
    let (mut taken, mut place) = (Vec::new(), (0, ShortHash::ZERO));
    while let Some(next) = best.get(&place) {
        let name = &names[next.piece];
        taken.push(next.piece);
        place = (name.last_seq, name.last);
    }
    let unused = (0..names.len()).filter(|number| !taken.contains(number));
    Route {
        unused: unused.map(|number| names[number].clone()).collect(),
        pieces: taken.into_iter().map(|number| names[number].clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::name::Extent;
    use super::*;
    use crate::digest::Hash;

    /// The hash of an event on a branch. Branches have the same events up to number 10.
    fn hash(seq: u64, branch: u64) -> ShortHash {
        match seq {
            0 => ShortHash::ZERO,
            1..=10 => Hash::of(format!("{seq}").as_bytes()).into(),
            _ => Hash::of(format!("{seq} {branch}").as_bytes()).into(),
        }
    }

    fn piece(extent: Extent, first: u64, last: u64, epoch: u64, branch: u64) -> PieceName {
        PieceName {
            extent,
            first_seq: first,
            last_seq: last,
            epoch,
            prev: hash(first - 1, branch),
            last: hash(last, branch),
            sha256: Hash::of(format!("{extent:?} {first} {last} {epoch} {branch}").as_bytes()),
        }
    }

    fn tail(first: u64, last: u64, epoch: u64, branch: u64) -> PieceName {
        piece(Extent::Tail, first, last, epoch, branch)
    }

    fn fence(seq: u64, epoch: u64) -> FenceName {
        FenceName { seq, epoch, last: hash(seq, epoch) }
    }

    #[test]
    fn the_way_that_reaches_furthest_is_taken() {
        let large = piece(Extent::Segment, 1, 5, 2, 0);
        let small = [tail(1, 2, 1, 0), tail(3, 5, 1, 0), tail(6, 8, 1, 0)];
        let names = [&small[..], std::slice::from_ref(&large)].concat();
        let found = route(&names, &[]);
        assert_eq!(found.pieces, [large, small[2].clone()]);
        assert_eq!(found.unused, small[..2]);
        assert_eq!((found.size(), found.last()), (8, hash(8, 0)));
        let without_last = piece(Extent::Segment, 1, 4, 2, 0);
        let names = [&small[..], std::slice::from_ref(&without_last)].concat();
        assert_eq!(route(&names, &[]).size(), 8, "a larger piece that leads nowhere is not taken");
        assert_eq!(route(&[], &[]), Route::default());
        assert_eq!(route(&[tail(2, 3, 1, 0)], &[]).size(), 0, "the beginning is missing");
    }

    #[test]
    fn a_successor_cuts_off_the_branch_of_the_writer_before() {
        let common = tail(1, 10, 1, 0);
        let old = [tail(11, 20, 1, 1), tail(21, 90, 1, 1)];
        let new = tail(11, 12, 2, 2);
        let names = [&old[..], &[common.clone(), new.clone()]].concat();
        assert_eq!(route(&names, &[]).size(), 90, "without a fence nobody knows");
        let found = route(&names, &[fence(10, 2)]);
        assert_eq!(found.pieces, [common.clone(), new]);
        assert_eq!(found.unused, old);
        let nothing_yet = [&old[..], std::slice::from_ref(&common)].concat();
        assert_eq!(route(&nothing_yet, &[fence(10, 2)]).size(), 10);
        assert_eq!(route(&nothing_yet, &[fence(90, 2)]).size(), 90, "what was taken over stays");
    }

    #[test]
    fn of_two_tails_that_begin_with_the_same_event_the_one_whose_chain_goes_on_is_taken() {
        let common = [tail(1, 10, 1, 0), tail(11, 11, 2, 2)];
        // Both begin at event 12. The first has another event 11 before it, and nothing leads to it.
        let (longer, shorter) = (tail(12, 90, 1, 1), tail(12, 13, 2, 2));
        for names in [[longer.clone(), shorter.clone()], [shorter.clone(), longer.clone()]] {
            let found = route(&[&common[..], &names].concat(), &[]);
            assert_eq!(found.pieces, [&common[..], std::slice::from_ref(&shorter)].concat());
            assert_eq!(found.unused, std::slice::from_ref(&longer));
        }
    }

    proptest! {
        /// Whatever pieces somebody cuts a log into, and whatever other branches there are: the way is one chain, and
        /// nothing that can be reached is left out.
        #[test]
        fn the_way_is_one_chain_and_complete(
            cuts in proptest::collection::vec((1..40_u64, 1..15_u64, 1..4_u64, 0..3_u64), 0..60),
            seq in 0..50_u64,
            epoch in 1..5_u64,
        ) {
            let names: Vec<PieceName> =
                cuts.into_iter().map(|(first, length, epoch, branch)| tail(first, first + length - 1, epoch, branch)).collect();
            let fences = [fence(seq, epoch)];
            let found = route(&names, &fences);
            let (mut size, mut last) = (0, ShortHash::ZERO);
            for piece in &found.pieces {
                prop_assert_eq!((piece.first_seq - 1, piece.prev), (size, last));
                prop_assert!(piece.epoch >= epoch || piece.last_seq <= seq);
                (size, last) = (piece.last_seq, piece.last);
            }
            // Every place that can be reached, found in another way.
            let mut reached = std::collections::BTreeSet::from([(0, ShortHash::ZERO)]);
            loop {
                let more: Vec<Place> = names.iter()
                    .filter(|name| name.epoch >= epoch || name.last_seq <= seq)
                    .filter(|name| reached.contains(&(name.first_seq - 1, name.prev)))
                    .map(|name| (name.last_seq, name.last))
                    .filter(|place| !reached.contains(place))
                    .collect();
                if more.is_empty() { break }
                reached.extend(more);
            }
            prop_assert_eq!(size, reached.iter().map(|(seq, _)| *seq).max().unwrap_or(0));
            prop_assert_eq!(found.pieces.len() + found.unused.len(), names.len());
        }
    }
}
