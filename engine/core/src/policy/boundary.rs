//! Boundaries of words around a match.

use std::ops::Range;

/// Whether a byte is part of a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte before the range `part`.
pub(super) fn before(text: &[u8], part: &Range<usize>) -> Option<u8> {
    part.start.checked_sub(1).map(|at| text[at])
}

/// The byte after the range `part`.
pub(super) fn behind(text: &[u8], part: &Range<usize>) -> Option<u8> {
    text.get(part.end).copied()
}

/// Whether the range `part` is not inside a longer word.
pub(super) fn stands_alone(text: &[u8], part: &Range<usize>) -> bool {
    !before(text, part).is_some_and(is_word) && !behind(text, part).is_some_and(is_word)
}

/// Accepts every match that is not inside a longer word.
pub(super) fn alone(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    stands_alone(text, &found).then_some(found)
}
