//! Normal form of words and names, so that equivalent spellings compare equal.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::script::{Class, is_vowel_sign};

/// Form in which names are compared: composed characters (NFC), so that names that look the same are equal. Nothing
/// else changes.
pub fn normal_form(name: &str) -> Cow<'_, str> {
    match is_nfc_quick(name.chars()) {
        IsNormalized::Yes => Cow::Borrowed(name),
        _ => Cow::Owned(name.nfc().collect()),
    }
}

/// Converts a name to [`normal_form`].
pub fn make_normal(name: &mut String) {
    if let Cow::Owned(normal) = normal_form(name) {
        *name = normal;
    }
}

/// The digit zero of each script; the digits one to nine have the code points after it.
const ZEROS: [char; 24] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{1090}',
    '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1b50}',
];
/// Thai and Lao: a mark and a vowel that form one letter, and the letter as dictionaries spell it.
const AM: [(char, char, char); 2] = [('\u{e4d}', '\u{e32}', '\u{e33}'), ('\u{ecd}', '\u{eb2}', '\u{eb3}')];
/// Ranges of tone marks, which may be typed between the mark and the vowel of [`AM`].
const TONES: [(char, char); 2] = [('\u{e48}', '\u{e4b}'), ('\u{ec8}', '\u{ecb}')];
/// The dot below Devanagari letters, which is often omitted.
const NUKTA: char = '\u{93c}';

/// NFKC form of a text; borrowed if the text is already in this form.
pub(super) fn composed(run: &str) -> Cow<'_, str> {
    let is_apart = |text: &str| AM.iter().any(|(mark, ..)| text.contains(*mark));
    if is_nfkc_quick(run.chars()) == IsNormalized::Yes && !is_apart(run) {
        return Cow::Borrowed(run);
    }
    let normal: String = run.nfkc().collect();
    let normal = match is_apart(&normal) {
        true => with_am(&normal),
        false => normal,
    };
    if normal == run { Cow::Borrowed(run) } else { Cow::Owned(normal) }
}

/// Replaces a mark and a vowel that form one letter with that letter, after the tone mark.
fn with_am(text: &str) -> String {
    let mut characters = Vec::with_capacity(text.len() / 3);
    for character in text.chars() {
        let whole = AM.iter().find(|(_, vowel, _)| *vowel == character);
        let is_tone = |c: char| TONES.iter().any(|(low, high)| (*low..=*high).contains(&c));
        if let Some((mark, _, letter)) = whole {
            let tones = characters.iter().rev().take_while(|c| is_tone(**c)).count();
            let place = characters.len() - tones;
            if place > 0 && characters[place - 1] == *mark {
                characters.remove(place - 1);
                characters.push(*letter);
                continue;
            }
        }
        characters.push(character);
    }
    characters.into_iter().collect()
}

/// Appends to `folded` a part of a composed run, in the form in which words are compared: lower case, no accents except
/// where an accented letter is a letter of its own, ASCII digits.
pub(super) fn fold(part: &str, class: Class, folded: &mut String) {
    // A vowel sign counts only after a letter of a script with vowel signs.
    let mut bears_vowels = false;
    for character in part.chars() {
        if character.is_ascii() {
            folded.push(character.to_ascii_lowercase());
            bears_vowels = false;
        } else if character.general_category_group() == GeneralCategoryGroup::Mark {
            if bears_vowels && is_vowel_sign(character) && character != NUKTA {
                folded.push(character);
            }
        } else if class != Class::Plain || keeps_its_marks(character) {
            letter(character, folded);
            bears_vowels = is_vowel_sign(character) || (bears_vowels && is_joiner(character));
        } else {
            std::iter::once(character).nfd().for_each(|part| letter(part, folded));
            bears_vowels = is_vowel_sign(character) || (bears_vowels && is_joiner(character));
        }
    }
}

/// Whether the marks of this Cyrillic letter are kept, because the letter with a mark is a letter of its own.
fn keeps_its_marks(character: char) -> bool {
    matches!(character, '\u{400}'..='\u{52f}') && !matches!(character, 'Ё' | 'ё' | 'Ѐ' | 'ѐ' | 'Ѝ' | 'ѝ')
}

fn is_joiner(character: char) -> bool {
    character.general_category() == GeneralCategory::Format
}

fn letter(character: char, folded: &mut String) {
    match character.general_category_group() {
        GeneralCategoryGroup::Mark if !is_vowel_sign(character) || character == NUKTA => return,
        // A joiner is dropped; the word continues.
        GeneralCategoryGroup::Other if character.general_category() == GeneralCategory::Format => return,
        _ => {}
    }
    if character.general_category() == GeneralCategory::DecimalNumber
        && let Some(zero) = ZEROS.iter().find(|zero| (**zero..='\u{10ffff}').take(10).any(|c| c == character))
    {
        let digit = u32::from(character) - u32::from(*zero);
        folded.extend(char::from_digit(digit, 10));
        return;
    }
    for lower in character.to_lowercase() {
        match lower {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ς' => folded.push('σ'),
            'ı' => folded.push('i'),
            'đ' => folded.push('d'),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            // Arabic: letter variants that are typed for one another, and the elongation stroke.
            'ٱ' => folded.push('ا'),
            'ى' | 'ی' => folded.push('ي'),
            'ک' => folded.push('ك'),
            'ة' => folded.push('ه'),
            'ـ' => {}
            // Dropped: the dot that remains when the Turkish capital İ is converted to lower case.
            '\u{307}' => {}
            lower => folded.push(lower),
        }
    }
}
