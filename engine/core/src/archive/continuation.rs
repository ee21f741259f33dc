//! Where a copy of a log continues in an archive. Names say where pieces begin and end in the chain of hashes, so that
//! in most cases a list of names is enough.

use super::name::{FenceName, PieceName};
use super::route::Route;
use crate::digest::Hash;
use crate::format::{EventLine, Header};

/// The end of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyEnd {
    /// Number of its last event; 0 if it has none.
    pub seq: u64,
    /// Hash of its last line, which is that event or the header after it; [`Hash::ZERO`] if the copy is empty.
    pub line: Hash,
}

impl CopyEnd {
    /// The end of an empty copy.
    pub const START: CopyEnd = CopyEnd { seq: 0, line: Hash::ZERO };
}

/// What an archive has for a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// Nothing that the copy lacks.
    Complete,
    /// These pieces, one after the other.
    Pieces {
        /// Whether the first of them begins right after the end of the copy. Otherwise the end is in one of the first
        /// two, or the archive has another line in its place.
        is_next: bool,
        /// Their names.
        pieces: Vec<PieceName>,
    },
    /// The way through the archive ends before the copy does.
    Short,
}

/// Finds what follows the end of a copy on the way through an archive.
pub fn continuation(way: &Route, end: CopyEnd) -> Continuation {
    if way.size() < end.seq || way.pieces.is_empty() && end.line != Hash::ZERO {
        return Continuation::Short;
    }
    let pieces = &way.pieces;
    let after = pieces.partition_point(|piece| piece.first_seq <= end.seq);
    let is_next = |piece: &PieceName| piece.first_seq == end.seq + 1 && piece.prev == end.line.into();
    if pieces.get(after).is_some_and(is_next) {
        return Continuation::Pieces { is_next: true, pieces: pieces[after..].to_vec() };
    }
    let ends_there = |piece: &PieceName| piece.last_seq == end.seq && piece.last == end.line.into();
    let is_empty = pieces.is_empty();
    if after == pieces.len() && (is_empty || pieces.last().is_some_and(ends_there)) {
        return Continuation::Complete;
    }
    Continuation::Pieces { is_next: false, pieces: pieces[after.saturating_sub(1)..].to_vec() }
}

/// The fence of a writer that took over from an event before the end of a copy: what the copy has after that event is
/// of a branch that the log has left. `known` is the largest number of a writer whose fence was there when the copy was
/// continued; that fence and those before it left nothing of the copy behind.
pub fn left_by(fences: &[FenceName], end: CopyEnd, known: u64) -> Option<&FenceName> {
    fences.iter().filter(|fence| fence.epoch > known && fence.seq < end.seq).max_by_key(|fence| fence.epoch)
}

/// The largest number of a writer in a list of fences.
pub fn newest_writer(fences: &[FenceName]) -> u64 {
    fences.iter().map(|fence| fence.epoch).max().unwrap_or_default()
}

/// Where the lines begin that follow the end of a copy; `None` if its last line is not among these lines.
pub fn place_after(lines: &[u8], end: CopyEnd) -> Option<usize> {
    let mut place = 0;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        place += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let hash = match EventLine::decode(line) {
            Ok(event) => Some(event.hash),
            Err(_) => Header::decode(line).ok().map(|(_, hash)| hash),
        };
        if hash == Some(end.line) {
            return Some(place);
        }
    }
    None
}

/// Whether an event among these lines ends its batch. Without one nothing of them can be appended to a copy.
pub fn has_whole_batch(lines: &[u8]) -> bool {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let ends_batch = |line| EventLine::decode(line).is_ok_and(|event| event.envelope.ends_batch());
    lines.rsplit(|byte| *byte == b'\n').any(ends_batch)
}

#[cfg(test)]
mod tests {
    use super::super::name::Extent;
    use super::super::route::route;
    use super::*;

    fn hash(text: &str) -> Hash {
        Hash::of(text.as_bytes())
    }

    fn piece(extent: Extent, first_seq: u64, last_seq: u64, prev: Hash, last: Hash) -> PieceName {
        let sha256 = hash(&format!("{extent:?} {first_seq} {last_seq}"));
        PieceName { extent, first_seq, last_seq, epoch: 1, prev: prev.into(), last: last.into(), sha256 }
    }

    fn way(pieces: &[PieceName]) -> Route {
        route(pieces, &[])
    }

    fn end(seq: u64, line: &str) -> CopyEnd {
        CopyEnd { seq, line: hash(line) }
    }

    #[test]
    fn what_follows_a_copy_is_found_by_names() {
        let tails = [
            piece(Extent::Tail, 1, 5, Hash::ZERO, hash("5")),
            piece(Extent::Tail, 6, 9, hash("5"), hash("9")),
        ];
        let found = |end| continuation(&way(&tails), end);
        let next = |from: usize| Continuation::Pieces { is_next: true, pieces: tails[from..].to_vec() };
        assert_eq!(found(CopyEnd::START), next(0));
        assert_eq!(found(end(5, "5")), next(1));
        assert_eq!(found(end(9, "9")), Continuation::Complete);
        assert_eq!(found(end(10, "10")), Continuation::Short);
        let within = Continuation::Pieces { is_next: false, pieces: tails.to_vec() };
        assert_eq!(found(end(3, "3")), within, "the end is inside of a piece");
        assert_eq!(found(end(5, "another 5")), within, "only the lines say that the copy has another event");
        let last = Continuation::Pieces { is_next: false, pieces: tails[1..].to_vec() };
        assert_eq!(found(end(9, "another 9")), last);
        assert_eq!(continuation(&way(&[]), CopyEnd::START), Continuation::Complete);
        assert_eq!(continuation(&way(&[]), end(0, "header")), Continuation::Short);
        let header = Continuation::Pieces { is_next: false, pieces: tails.to_vec() };
        assert_eq!(found(end(0, "header")), header);
    }

    #[test]
    fn a_larger_piece_takes_the_place_of_tails_below_the_end_of_a_copy() {
        let sealed = piece(Extent::Segment, 1, 9, Hash::ZERO, hash("seal"));
        let next = piece(Extent::Tail, 10, 12, hash("seal"), hash("12"));
        let alone = way(std::slice::from_ref(&sealed));
        let both = way(&[sealed.clone(), next.clone()]);
        let within = |pieces: &[&PieceName]| Continuation::Pieces {
            is_next: false,
            pieces: pieces.iter().copied().cloned().collect(),
        };
        assert_eq!(continuation(&alone, end(5, "5")), within(&[&sealed]));
        assert_eq!(
            continuation(&alone, end(9, "9")),
            within(&[&sealed]),
            "the seal may be missing in the copy"
        );
        assert_eq!(continuation(&both, end(9, "9")), within(&[&sealed, &next]), "the seal comes first");
        assert_eq!(continuation(&both, end(9, "header")), within(&[&sealed, &next]));
        assert_eq!(continuation(&both, end(12, "12")), Continuation::Complete);
    }

    #[test]
    fn only_a_fence_that_was_not_there_before_leaves_something_of_a_copy_behind() {
        let fence = |seq, epoch| FenceName { seq, epoch, last: hash("fence").into() };
        let fences = [fence(0, 1), fence(40, 2), fence(45, 3)];
        let left = |seq, known| left_by(&fences, end(seq, "x"), known).map(|fence| fence.epoch);
        assert_eq!(left(50, 1), Some(3));
        assert_eq!(left(50, 2), Some(3));
        assert_eq!(left(42, 1), Some(2));
        assert_eq!((left(40, 1), left(50, 3), left(42, 2)), (None, None, None));
        assert_eq!((newest_writer(&fences), newest_writer(&[])), (3, 0));
    }
}
