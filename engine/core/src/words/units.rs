//! Units of a word: characters with the marks that belong to them.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Letters that belong to the same unit as the preceding letter: the vowel that Thai and Lao write as one letter with a
/// mark.
const BEHIND: [char; 2] = ['\u{e33}', '\u{eb3}'];

/// Marks after which the next letter is written below the previous one (Khmer, Myanmar).
const STACKS: [char; 2] = ['\u{17d2}', '\u{1039}'];

/// Byte offsets of the starts of a word's units, and of the end of the last unit. A unit is a character with its marks.
pub(super) fn units(word: &str) -> Vec<usize> {
    let mut starts = Vec::with_capacity(word.len() / 3 + 2);
    let mut before = '\0';
    for (at, character) in word.char_indices() {
        let is_mark = character.general_category_group() == GeneralCategoryGroup::Mark;
        if at == 0 || !(is_mark || BEHIND.contains(&character) || STACKS.contains(&before)) {
            starts.push(at);
        }
        before = character;
    }
    starts.push(word.len());
    starts
}
