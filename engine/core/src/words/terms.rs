//! Search terms of words.
//!
//! In a script with spaces between words, each word is one term: its stem. In other scripts a dictionary may split the
//! same letters differently in a memory and in a query. In these scripts a memory is indexed by every character, every
//! pair of adjacent characters, and every word of three or more characters. A query requires the pairs inside its
//! words. It therefore finds its words wherever the dictionary split the memory, and longer matches score higher.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::script::{Class, class_of, is_arabic};
use super::units::units;
use super::{Piece, dictionary_words, pieces};
use crate::embedding::hashing::fnv1a;

/// Arabic: the article, alone or together with the particles that are written in front of it.
const ARTICLES: [&str; 10] = ["وبال", "فبال", "وكال", "وال", "بال", "كال", "فال", "ولل", "لل", "ال"];
/// Arabic: the silent ending of nouns (ة), in its folded form.
const SILENT_END: char = 'ه';
/// Fewest letters of an Arabic word after its article is removed: most roots have three.
const ARABIC_LETTERS_MIN: usize = 3;

/// Hash of a term. Terms with the same hash count as one; with a million terms, two given terms collide with a
/// probability of one in four thousand million.
pub type Term = u32;

/// English stop words, one per line.
const STOP_WORDS: &str = include_str!("../retrieval/stopwords.txt");
static STOP: LazyLock<BTreeSet<&str>> = LazyLock::new(|| STOP_WORDS.lines().collect());

/// Korean particles; a particle is listed before the particles that are suffixes of it, so that the longest one is
/// found first.
const PARTICLES: &str = include_str!("particles.txt");
static PARTICLE: LazyLock<Vec<&str>> = LazyLock::new(|| PARTICLES.lines().collect());

/// Whether a word in normal form is a stop word.
pub fn is_stop_word(word: &str) -> bool {
    STOP.contains(word)
}

/// Hash of a term.
pub fn number(term: &str) -> Term {
    let hash = fnv1a(term.as_bytes());
    // Uses both halves of the hash.
    u32::try_from((hash ^ (hash >> 32)) & u64::from(u32::MAX)).expect("cut to 32 bits")
}

/// Computes the search terms of words.
pub struct Terms {
    english: Stemmer,
    russian: Stemmer,
    greek: Stemmer,
    arabic: Stemmer,
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terms")
    }
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            english: Stemmer::create(Algorithm::English),
            russian: Stemmer::create(Algorithm::Russian),
            greek: Stemmer::create(Algorithm::Greek),
            arabic: Stemmer::create(Algorithm::Arabic),
        }
    }
}

impl Terms {
    /// Calls `each` with every term of a text, in order, and with whether the term belongs to a content word.
    pub fn of_text(&self, text: &str, mut each: impl FnMut(&str, bool)) {
        pieces(text, |_, piece| match piece {
            Piece::Plain(word) => each(&self.stem(word), !is_stop_word(word)),
            Piece::Joined(run) => {
                let units = units(run);
                pairs(run, &units).for_each(|pair| each(pair, true));
                dictionary_words(run, |range| {
                    let word = &run[range];
                    if is_long(word) {
                        each(word, true);
                    }
                });
                units.windows(2).for_each(|unit| each(&run[unit[0]..unit[1]], true));
            }
            Piece::Hangul(word) => {
                let units = units(word);
                pairs(word, &units).for_each(|pair| each(pair, true));
                let stem = without_particle(word);
                if is_long(stem) {
                    each(stem, true);
                }
                units.windows(2).for_each(|unit| each(&word[unit[0]..unit[1]], true));
            }
        });
    }

    /// All terms of a text, separated by spaces, for the full-text index. The index splits at ASCII characters that are
    /// neither letters nor digits, which gives exactly these terms again.
    pub fn index_text(&self, text: &str) -> String {
        let mut index = String::with_capacity(text.len());
        self.of_text(text, |term, _| {
            if !index.is_empty() {
                index.push(' ');
            }
            index.push_str(term);
        });
        index
    }

    /// Calls `each` with the terms that every memory that contains `word` has. The word is in the form that
    /// [`super::words`] gives.
    pub fn required(&self, word: &str, mut each: impl FnMut(&str)) {
        let word = match kind(word) {
            Class::Joined => word,
            Class::Hangul => without_particle(word),
            _ => return each(&self.stem(word)),
        };
        match units(word).as_slice() {
            [_, _] => each(word),
            units => pairs(word, units).for_each(each),
        }
    }

    /// Same as [`Terms::required`], plus the term for the whole word, which a memory has only if the dictionary splits
    /// the memory at the same places as the query.
    pub fn of_word(&self, word: &str, mut each: impl FnMut(&str)) {
        self.required(word, &mut each);
        let whole = match kind(word) {
            Class::Joined => word,
            Class::Hangul => without_particle(word),
            _ => return,
        };
        if is_long(whole) {
            each(whole);
        }
    }

    /// Share of `words` that occur in a text, from 0 to 1; 0 if there are no words. The words are in the form that
    /// [`super::words`] gives.
    pub fn share(&self, text: &str, words: &[&str]) -> f64 {
        let mut has: BTreeSet<String> = BTreeSet::new();
        self.of_text(text, |term, _| {
            if !has.contains(term) {
                has.insert(term.to_owned());
            }
        });
        let occurs = |word: &&&str| {
            let mut all = true;
            self.required(word, |term| all &= has.contains(term));
            all
        };
        let found = words.iter().filter(occurs).count();
        #[expect(clippy::cast_precision_loss, reason = "words of one query")]
        let share = found as f64 / words.len().max(1) as f64;
        share
    }

    /// Byte offset of the first occurrence of a query word in a text. Stop words, and single characters of scripts
    /// without spaces, count only if the query has no other words.
    pub fn first_place(&self, text: &str, question: &str) -> Option<usize> {
        let mut asked = Vec::new();
        super::words(question, |word| asked.push(word.to_owned()));
        if asked.iter().any(|word| !is_stop_word(word)) {
            asked.retain(|word| !is_stop_word(word));
        }
        if asked.iter().any(|word| is_more_than_a_letter(word)) {
            asked.retain(|word| is_more_than_a_letter(word));
        }
        let mut wanted = BTreeSet::new();
        asked.iter().for_each(|word| self.required(word, |term| wanted.extend([term.to_owned()])));
        let (mut found, least) = (None, wanted.len());
        pieces(text, |start, piece| {
            if found.is_some() || least == 0 {
                return;
            }
            match piece {
                Piece::Plain(word) => found = wanted.contains(&*self.stem(word)).then_some(start),
                Piece::Joined(run) | Piece::Hangul(run) => {
                    let units = units(run);
                    let met = |from: usize, to: usize| wanted.contains(&run[from..to]);
                    let places = (0..units.len() - 1).map(|at| (units[at], &units[at + 1..]));
                    let mut places =
                        places.filter(|(from, ends)| ends.iter().take(2).any(|to| met(*from, *to)));
                    let at = places.next().map(|(from, _)| start + from);
                    found = at.map(|at| text.floor_char_boundary(at));
                }
            }
        });
        found
    }

    fn stem<'a>(&self, word: &'a str) -> std::borrow::Cow<'a, str> {
        let first = word.chars().next().unwrap_or_default();
        if is_arabic(first) {
            return self.arabic.stem(without_article(word));
        }
        let stemmer = match first {
            _ if word.is_ascii() => &self.english,
            '\u{400}'..='\u{52f}' => &self.russian,
            '\u{370}'..='\u{3ff}' => &self.greek,
            _ => return word.into(),
        };
        if word.len() > 2 { stemmer.stem(word) } else { word.into() }
    }
}

/// Whether a word in normal form belongs to a script in which words are indexed by their parts.
pub fn is_joined(word: &str) -> bool {
    matches!(kind(word), Class::Joined | Class::Hangul)
}

/// Class of a word, from its first character.
fn kind(word: &str) -> Class {
    word.chars().next().map_or(Class::Apart, class_of)
}

/// Whether a word counts in a query. In scripts without spaces, a single character does not, because it is usually a
/// particle.
fn is_more_than_a_letter(word: &str) -> bool {
    kind(word) == Class::Plain || units(word).len() > 2
}

/// Characters of a word, each with its marks.
pub fn characters(word: &str) -> impl Iterator<Item = &str> {
    let units = units(word);
    (1..units.len()).map(move |end| &word[units[end - 1]..units[end]])
}

fn pairs<'a>(word: &'a str, units: &[usize]) -> impl Iterator<Item = &'a str> {
    units.windows(3).map(|pair| &word[pair[0]..pair[2]])
}

/// Whether a word has more than two units.
fn is_long(word: &str) -> bool {
    units(word).len() > 3
}

/// Removes the particle from a Korean word. A particle of one syllable is removed only if at least two syllables
/// remain, because it may be part of the word.
fn without_particle(word: &str) -> &str {
    let rest = PARTICLE.iter().filter_map(|particle| {
        let rest = word.strip_suffix(particle)?;
        let least = if particle.chars().count() == 1 { 2 } else { 1 };
        (rest.chars().count() >= least).then_some(rest)
    });
    rest.min_by_key(|rest| rest.len()).unwrap_or(word)
}

/// Removes the article and the silent ending from an Arabic word. A word may seem to have two articles (الالماني): all
/// are removed, so that a word gives the same term with and without its article.
fn without_article(word: &str) -> &str {
    let is_enough = |rest: &&str| rest.chars().count() >= ARABIC_LETTERS_MIN;
    let strip = |word| ARTICLES.iter().find_map(|article| str::strip_prefix(word, article).filter(is_enough));
    let mut rest = word;
    while let Some(shorter) = strip(rest) {
        rest = shorter;
    }
    rest.strip_suffix(SILENT_END).filter(is_enough).unwrap_or(rest)
}
