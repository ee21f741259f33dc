//! Questions with a known answer, made from memories.

/// Words of a question.
const WORDS_MAX: usize = 8;
/// Words below which a text is not distinctive enough.
const WORDS_MIN: usize = 3;
/// Longest part of a text that is looked at, bytes.
const LOOKED_AT_BYTES_MAX: usize = 4 << 10;
/// Longest word, characters. Longer ones are no words.
const WORD_CHARS_MAX: usize = 40;

/// The part of a text that is most likely to be found in no other one: its neighbouring words with the most letters.
/// `None` for a text with too few words.
#[must_use]
pub fn phrase(content: &str) -> Option<String> {
    let end = content.floor_char_boundary(LOOKED_AT_BYTES_MAX);
    let is_word = |word: &&str| !word.is_empty() && word.chars().count() <= WORD_CHARS_MAX;
    let words: Vec<&str> = content[..end].split(|one: char| !one.is_alphanumeric()).filter(is_word).collect();
    if words.len() < WORDS_MIN {
        return None;
    }
    let letters = |window: &[&str]| window.iter().map(|word| word.chars().count()).sum::<usize>();
    // The first of several: the same text gives the same question.
    let windows = words.windows(WORDS_MAX.min(words.len())).rev();
    windows.max_by_key(|window| letters(window)).map(|window| window.join(" "))
}

/// The event from which on a memory is looked for in step `step` of a walk through the events 1 to `head`. The walk
/// begins at random and visits all parts of the log evenly.
#[must_use]
pub fn place(random: u64, step: u64, head: u64) -> u64 {
    /// 2^64 divided by the golden ratio: multiples of it are spread evenly.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let position = random.wrapping_add(step.wrapping_mul(GOLDEN));
    let scaled = (u128::from(position) * u128::from(head.max(1))) >> 64;
    u64::try_from(scaled).unwrap_or_default() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_longest_neighbouring_words_are_the_question() {
        assert_eq!(phrase("one two").as_deref(), None);
        assert_eq!(phrase("The kettle, (blue)!").as_deref(), Some("The kettle blue"));
        let text = "a b c d e f g h extraordinary circumstances i j k l m n o p";
        let found = phrase(text).unwrap();
        assert!(found.contains("extraordinary circumstances"), "{found}");
        assert_eq!(found.split(' ').count(), WORDS_MAX);
        assert_eq!(phrase(&"ä".repeat(LOOKED_AT_BYTES_MAX)), None, "no words, and no cut within a character");
    }

    #[test]
    fn a_walk_visits_all_parts() {
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            let visited: BTreeSet<u64> = (0..20).map(|step| place(random, step, 10)).collect();
            assert_eq!(visited, (1..=10).collect(), "{random}");
        }
        assert_eq!(place(u64::MAX, 7, 0), 1, "an empty log");
    }
}
