//! Classifies characters for splitting text into words.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// How words are separated in a character's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Not part of any word.
    Apart,
    /// Part of the preceding character: a mark or an invisible character.
    Follows,
    /// A digit, or a letter of a script with spaces between words.
    Plain,
    /// A letter of a script without spaces between words.
    Joined,
    /// Hangul: words are separated by spaces, but have particles attached.
    Hangul,
}

/// Separates words, unlike other invisible characters.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Joins letters in Indic scripts; in Arabic script it separates a word from its suffix.
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';

/// Scripts without spaces between words: Thai, Lao, Myanmar, Khmer, related scripts of the region, Javanese and
/// Balinese.
const SOUTHEAST: [(u32, u32); 11] = [
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x1950, 0x19FF),
    (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F),
    (0xA980, 0xA9FF),
    (0xAA60, 0xAADF),
    (0x11700, 0x1174F),
    (0x11F00, 0x11F5F),
    (0x11150, 0x1117F),
];
/// Kana, Bopomofo, Yi and ideographs, including Tangut, Khitan and Nushu.
const EAST: [(u32, u32); 14] = [
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x3038, 0x30FF),
    (0x3105, 0x312F),
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0xA4CF),
    (0xF900, 0xFAFF),
    (0x16FE0, 0x18D8F),
    (0x1AFF0, 0x1B2FF),
    (0x20000, 0x3FFFF),
];
const HANGUL: [(u32, u32); 4] = [(0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)];
/// Marks that count as letters: vowel signs of Indic and derived scripts, and of Thaana.
const VOWEL_SIGNS: [(u32, u32); 5] =
    [(0x0780, 0x07BF), (0x0900, 0x109F), (0x1700, 0x1CFF), (0xA800, 0xABFF), (0x11000, 0x11FFF)];
const ARABIC: [(u32, u32); 4] = [(0x0600, 0x06FF), (0x0750, 0x077F), (0x0870, 0x08FF), (0xFB50, 0xFEFC)];

fn is_in(ranges: &[(u32, u32)], character: char) -> bool {
    let code = u32::from(character);
    ranges.iter().any(|(low, high)| (*low..=*high).contains(&code))
}

/// Whether a mark counts as a letter.
pub(super) fn is_vowel_sign(mark: char) -> bool {
    is_in(&VOWEL_SIGNS, mark)
}

pub(super) fn is_arabic(character: char) -> bool {
    is_in(&ARABIC, character)
}

pub(super) fn is_southeast(character: char) -> bool {
    is_in(&SOUTHEAST, character)
}

/// Whether a character of the raw text can be part of a word if it follows the character `before`.
pub(super) fn is_word_part(character: char, before: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    match character {
        ZERO_WIDTH_NON_JOINER => !is_arabic(before),
        // Signs that stand for letters or digits, such as № and ㎏.
        '\u{2100}'..='\u{214f}' | '\u{2460}'..='\u{24ff}' | '\u{3200}'..='\u{33ff}' => true,
        _ => class_of(character) != Class::Apart,
    }
}

/// The class of a character.
pub(super) fn class_of(character: char) -> Class {
    if character.is_ascii() {
        return if character.is_ascii_alphanumeric() { Class::Plain } else { Class::Apart };
    }
    match character.general_category() {
        GeneralCategory::PrivateUse | GeneralCategory::DecimalNumber => Class::Plain,
        GeneralCategory::Format if character != ZERO_WIDTH_SPACE => Class::Follows,
        category => match character.general_category_group() {
            GeneralCategoryGroup::Mark => Class::Follows,
            GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => of_script(character),
            _ if category == GeneralCategory::Unassigned && is_in(&EAST, character) => Class::Joined,
            _ => Class::Apart,
        },
    }
}

fn of_script(character: char) -> Class {
    if is_in(&HANGUL, character) {
        Class::Hangul
    } else if is_in(&EAST, character) || is_southeast(character) {
        Class::Joined
    } else {
        Class::Plain
    }
}
