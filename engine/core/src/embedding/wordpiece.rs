//! WordPiece tokenizer, compatible with BERT's uncased models: normalises text, splits it into words and punctuation,
//! and splits each word into the longest pieces of the vocabulary.

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Longest word, in characters. A longer word is one unknown token, as in BERT.
const WORD_CHARS_MAX: usize = 100;
/// Token for words that the vocabulary cannot spell.
const UNKNOWN: &str = "[UNK]";
/// Prefix of pieces that continue a word.
const CONTINUES: &str = "##";
/// Marks a node at which no token ends.
const NO_TOKEN: u32 = u32::MAX;

/// Code point ranges of Han characters. Han text has no spaces, so each character is a word.
const HAN: [(u32, u32); 8] = [
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
];

/// Why a vocabulary cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadVocabulary {
    /// The vocabulary has no `[UNK]`, the token for words that it cannot spell.
    #[error("the vocabulary has no [UNK]")]
    NoUnknown,
    /// The vocabulary lists a token twice, so the token would have two numbers.
    #[error("the vocabulary has a token twice")]
    Twice,
}

/// A vocabulary, ready for tokenizing.
#[derive(Debug)]
pub struct WordPiece {
    starts: Trie,
    continuations: Trie,
    unknown: u32,
}

impl WordPiece {
    /// Reads a vocabulary: one token per line, numbered by line from 0.
    pub fn read(vocabulary: &str) -> Result<WordPiece, BadVocabulary> {
        let (mut starts, mut continuations, mut unknown) = (Vec::new(), Vec::new(), None);
        for (number, token) in (0..).zip(vocabulary.lines()) {
            if token == UNKNOWN {
                unknown = Some(number);
            }
            match token.strip_prefix(CONTINUES) {
                Some(piece) if !piece.is_empty() => continuations.push((piece.as_bytes(), number)),
                _ => starts.push((token.as_bytes(), number)),
            }
        }
        Ok(WordPiece {
            starts: Trie::new(starts)?,
            continuations: Trie::new(continuations)?,
            unknown: unknown.ok_or(BadVocabulary::NoUnknown)?,
        })
    }

    /// Token numbers of a text, in order.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
        if text.is_ascii() {
            ascii_words(text, |word| self.word(word, &mut tokens));
        } else {
            words(text, |word| self.word(word, &mut tokens));
        }
        tokens
    }

    /// Number of pieces in a word, whatever its length. A character that no piece covers counts as one piece.
    pub fn count_in(&self, word: &str) -> usize {
        let (mut rest, mut trie, mut count) = (word, &self.starts, 0);
        while let Some(first) = rest.chars().next() {
            let length = trie.longest(rest.as_bytes()).map_or(first.len_utf8(), |(length, _)| length);
            // The vocabulary is UTF-8 text, so every piece ends at a character boundary.
            rest = rest.get(length..).unwrap_or_default();
            trie = &self.continuations;
            count += 1;
        }
        count
    }

    fn word(&self, word: &str, tokens: &mut Vec<u32>) {
        let before = tokens.len();
        let mut rest = word.as_bytes();
        // Counts characters only if the word has more bytes than the limit: it cannot have more characters than bytes.
        let mut known = word.len() <= WORD_CHARS_MAX || word.chars().count() <= WORD_CHARS_MAX;
        let mut trie = &self.starts;
        while known && !rest.is_empty() {
            match trie.longest(rest) {
                Some((length, token)) => {
                    tokens.push(token);
                    rest = &rest[length..];
                    trie = &self.continuations;
                }
                None => known = false,
            }
        }
        if !known {
            tokens.truncate(before);
            tokens.push(self.unknown);
        }
    }
}

/// Same as [`words`], for ASCII text.
fn ascii_words(text: &str, mut each: impl FnMut(&str)) {
    let lower: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n' | b'\r'))
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    let lower = String::from_utf8(lower).expect("ASCII is valid UTF-8");
    let mut start = 0;
    for (at, byte) in lower.bytes().enumerate() {
        let mark = byte.is_ascii_punctuation();
        if mark || byte.is_ascii_whitespace() {
            if start < at {
                each(&lower[start..at]);
            }
            if mark {
                each(&lower[at..=at]);
            }
            start = at + 1;
        }
    }
    if start < lower.len() {
        each(&lower[start..]);
    }
}

/// Calls `each` with every word and punctuation mark of a text, in lower case, without accents and control characters.
fn words(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            each(word);
            word.clear();
        }
    };
    for character in spaced(text).nfd().filter(|c| c.general_category() != GeneralCategory::NonspacingMark) {
        for lower in character.to_lowercase() {
            if lower.is_whitespace() {
                end(&mut word);
            } else if is_mark(lower) {
                end(&mut word);
                word.push(lower);
                end(&mut word);
            } else {
                word.push(lower);
            }
        }
    }
    end(&mut word);
}

/// Replaces white space with spaces, sets spaces around Han characters, and drops control and replacement characters.
fn spaced(text: &str) -> impl Iterator<Item = char> {
    let han = |c: char| HAN.iter().any(|(low, high)| (*low..=*high).contains(&u32::from(c)));
    text.chars().flat_map(move |character| {
        let other = character.general_category_group() == GeneralCategoryGroup::Other;
        let blank = matches!(character, '\t' | '\n' | '\r') || (character.is_whitespace() && !other);
        let kept: [Option<char>; 3] = match character {
            _ if blank => [Some(' '), None, None],
            _ if other || character == '\u{fffd}' => [None; 3],
            _ if han(character) => [Some(' '), Some(character), Some(' ')],
            _ => [Some(character), None, None],
        };
        kept.into_iter().flatten()
    })
}

fn is_mark(character: char) -> bool {
    character.is_ascii_punctuation()
        || character.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// Byte trie of tokens, for longest-prefix lookups.
#[derive(Debug)]
struct Trie {
    nodes: Vec<Node>,
    /// The byte that leads to the node with the same index.
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// Number of the token that ends here, or `NO_TOKEN`.
    token: u32,
    first_child: u32,
    children: u32,
}

impl Trie {
    fn new(mut tokens: Vec<(&[u8], u32)>) -> Result<Trie, BadVocabulary> {
        tokens.sort_unstable();
        if tokens.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(BadVocabulary::Twice);
        }
        let mut trie =
            Trie { nodes: vec![Node { token: NO_TOKEN, first_child: 0, children: 0 }], bytes: vec![0] };
        // Builds the trie breadth first, so that the children of a node are adjacent and sorted by byte.
        let mut waiting = std::collections::VecDeque::from([(0, tokens.as_slice(), 0)]);
        while let Some((node, mut tokens, depth)) = waiting.pop_front() {
            if let Some(((token, number), rest)) = tokens.split_first()
                && token.len() == depth
            {
                trie.nodes[node].token = *number;
                tokens = rest;
            }
            trie.nodes[node].first_child = trie.next_number();
            for group in tokens.chunk_by(|a, b| a.0[depth] == b.0[depth]) {
                waiting.push_back((trie.nodes.len(), group, depth + 1));
                trie.nodes.push(Node { token: NO_TOKEN, first_child: 0, children: 0 });
                trie.bytes.push(group[0].0[depth]);
            }
            trie.nodes[node].children = trie.next_number() - trie.nodes[node].first_child;
        }
        Ok(trie)
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("a vocabulary has fewer bytes than that")
    }

    /// Length in bytes and number of the longest token that is a prefix of `text`.
    fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        let (mut node, mut found) = (self.nodes[0], None);
        for (place, byte) in text.iter().enumerate() {
            let (first, count) = (node.first_child as usize, node.children as usize);
            let Ok(child) = self.bytes[first..first + count].binary_search(byte) else { break };
            node = self.nodes[first + child];
            if node.token != NO_TOKEN {
                found = Some((place + 1, node.token));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &str = "[PAD]\n[UNK]\nun\n##aff\n##able\n##a\nwant\n,\n漢\nete\n##s\n!";

    fn check(text: &str, expected: &[u32]) {
        assert_eq!(WordPiece::read(VOCABULARY).unwrap().encode(text), expected, "{text:?}");
    }

    #[test]
    fn the_longest_piece_is_taken_first() {
        check("unaffable", &[2, 3, 4]);
        check("unaffa", &[2, 3, 5]);
        check("unaffx want", &[1, 6]);
        check("", &[]);
    }

    #[test]
    fn marks_accents_and_case_are_as_in_bert() {
        check("UN,want!", &[2, 7, 6, 11]);
        check("Été\u{301}s\u{200b}", &[9, 10]);
        check("un\u{7}aff", &[2, 3]);
        check("漢漢", &[8, 8]);
        check("un\u{2014}want", &[2, 1, 6]);
        check("un\u{a0}want\u{fffd}", &[2, 6]);
    }

    #[test]
    fn a_word_that_is_too_long_is_unknown() {
        check(&format!("{}un", "un".repeat(0)), &[2]);
        let long = format!("un{}", "a".repeat(WORD_CHARS_MAX));
        check(&long, &[1]);
        let longest = format!("un{}", "a".repeat(WORD_CHARS_MAX - 2));
        assert_eq!(WordPiece::read(VOCABULARY).unwrap().encode(&longest).len(), 1 + WORD_CHARS_MAX - 2);
    }

    #[test]
    fn a_vocabulary_that_cannot_be_used_is_refused() {
        assert_eq!(WordPiece::read("a\nb").unwrap_err(), BadVocabulary::NoUnknown);
        assert_eq!(WordPiece::read("[UNK]\na\na").unwrap_err(), BadVocabulary::Twice);
    }

    #[test]
    fn text_of_ascii_is_cut_like_any_other() {
        let pieces = |cut: fn(&str, &mut Vec<String>), text: &str| {
            let mut found = Vec::new();
            cut(text, &mut found);
            found
        };
        for text in ["Hello, World!", " a\tb\u{b}c\u{0}d ", "x=y;[z]", "", "...", "UPPER lower\n9"] {
            let quick = pieces(|text, found| ascii_words(text, |word| found.push(word.into())), text);
            let thorough = pieces(|text, found| words(text, |word| found.push(word.into())), text);
            assert_eq!(quick, thorough, "{text:?}");
        }
    }
}
