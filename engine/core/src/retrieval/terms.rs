//! Words of a text, cut and stemmed the way the full-text index does it, as numbers.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::embedding::hashing::fnv1a;

/// A stemmed word. Two words that share a number by chance are taken for one: with a million words, one pair in four thousand
/// millions.
pub type Term = u32;

/// English words that say nothing of what is looked for, one a line.
const STOP_WORDS: &str = include_str!("stopwords.txt");
static STOP: LazyLock<BTreeSet<&str>> = LazyLock::new(|| STOP_WORDS.lines().collect());

/// Whether a word in lower case says nothing of what is looked for.
pub fn is_stop_word(word: &str) -> bool {
    STOP.contains(word)
}

/// Stems words of English; words of other scripts stay as they are.
pub struct Stems {
    english: Stemmer,
}

impl std::fmt::Debug for Stems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stems")
    }
}

impl Default for Stems {
    fn default() -> Stems {
        Stems { english: Stemmer::create(Algorithm::English) }
    }
}

impl Stems {
    /// The number of a word in lower case.
    pub fn term(&self, word: &str) -> Term {
        let hash = match word.is_ascii() && word.len() > 2 {
            true => fnv1a(self.english.stem(word).as_bytes()),
            false => fnv1a(word.as_bytes()),
        };
        // Both halves take part.
        u32::try_from((hash ^ (hash >> 32)) & u64::from(u32::MAX)).expect("cut to 32 bits")
    }
}

/// Runs of letters and digits in lower case without accents, in order: what `unicode61 remove_diacritics 2` makes of a text.
pub fn words(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            each(word);
            word.clear();
        }
    };
    if text.is_ascii() {
        for byte in text.bytes() {
            match byte.is_ascii_alphanumeric() {
                true => word.push(char::from(byte.to_ascii_lowercase())),
                false => end(&mut word),
            }
        }
        return end(&mut word);
    }
    for character in text.nfd() {
        match character.general_category() {
            GeneralCategory::NonspacingMark => {}
            GeneralCategory::PrivateUse => word.push(character),
            _ => match character.general_category_group() {
                GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => {
                    word.extend(character.to_lowercase());
                }
                _ => end(&mut word),
            },
        }
    }
    end(&mut word);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        words(text, |word| found.push(word.to_owned()));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        check("The kettle's BLUE, node-7!", &["the", "kettle", "s", "blue", "node", "7"]);
        check("Ünïcode café 漢字 x", &["unicode", "cafe", "漢字", "x"]);
        check("", &[]);
        check(" … ", &[]);
    }

    #[test]
    fn one_stem_is_one_term() {
        let stems = Stems::default();
        for (a, b) in [("painting", "paintings"), ("running", "run"), ("adopted", "adopt")] {
            assert_eq!(stems.term(a), stems.term(b), "{a} {b}");
        }
        assert_ne!(stems.term("kettle"), stems.term("mountain"));
        assert_ne!(stems.term("is"), stems.term("i"), "short words stay");
    }

    #[test]
    fn stop_words_are_known() {
        assert!(is_stop_word("the") && is_stop_word("what") && !is_stop_word("kettle"));
        assert!(STOP.iter().all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase())));
    }
}
