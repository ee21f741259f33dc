//! Splits texts into words, in the same way for the full-text index, ranking, snippets and entity names.
//!
//! A word is a run of letters and digits in one normal form. Dictionaries split scripts without spaces between words,
//! and Korean, whose particles are attached to words. Search terms do not depend on where a dictionary splits: see
//! [`terms`].

mod fold;
mod script;
pub mod terms;
mod units;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};
use units::units;

pub use fold::{make_normal, normal_form};
use script::{Class, class_of, is_word_part};

/// Largest number of characters that a dictionary segments at once. Limits memory for text without punctuation.
const SEGMENT_CHARS_MAX: usize = 4_096;

static DICTIONARIES: LazyLock<WordSegmenterBorrowed<'static>> =
    LazyLock::new(|| WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()));

/// A part of a text, in normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    /// A word of a script with spaces between words.
    Plain(&'a str),
    /// Several words of a script without spaces between words, not yet split.
    Joined(&'a str),
    /// A Korean word in Hangul with its particles.
    Hangul(&'a str),
}

/// Calls `each` with the words of a text, in normal form and in order.
pub fn words(text: &str, mut each: impl FnMut(&str)) {
    pieces(text, |_, piece| match piece {
        Piece::Plain(word) | Piece::Hangul(word) => each(word),
        Piece::Joined(run) => dictionary_words(run, |range| each(&run[range])),
    });
}

/// Same as [`words`], but splits text in scripts without spaces into single characters, each with its marks, so that
/// the result does not depend on the surrounding text.
pub fn apart(text: &str, mut each: impl FnMut(&str)) {
    pieces(text, |_, piece| match piece {
        Piece::Plain(word) => each(word),
        Piece::Joined(run) | Piece::Hangul(run) => {
            units(run).windows(2).for_each(|unit| each(&run[unit[0]..unit[1]]));
        }
    });
}

/// Calls `each` with the parts of a text and their byte offsets. If a run of word characters had to be normalised, each
/// of its parts has the offset at which the run starts.
fn pieces(text: &str, mut each: impl FnMut(usize, Piece<'_>)) {
    if text.is_ascii() {
        return ascii_words(text, 0, &mut each);
    }
    let (mut begun, mut before) = (None, '\0');
    let mut folded = String::new();
    for (at, character) in text.char_indices() {
        if is_word_part(character, before) {
            begun.get_or_insert(at);
        } else if let Some(start) = begun.take() {
            run(&text[start..at], start, &mut folded, &mut each);
        }
        before = character;
    }
    if let Some(start) = begun {
        run(&text[start..], start, &mut folded, &mut each);
    }
}

/// Same as [`pieces`], for ASCII text.
fn ascii_words(text: &str, offset: usize, each: &mut impl FnMut(usize, Piece<'_>)) {
    let mut word = String::new();
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() {
            if word.is_empty() {
                start = at;
            }
            word.push(char::from(byte.to_ascii_lowercase()));
        } else if !word.is_empty() {
            each(offset + start, Piece::Plain(&word));
            word.clear();
        }
    }
    if !word.is_empty() {
        each(offset + start, Piece::Plain(&word));
    }
}

/// Normalises a run of word characters and splits it where the script class changes.
fn run(raw: &str, offset: usize, folded: &mut String, each: &mut impl FnMut(usize, Piece<'_>)) {
    if raw.is_ascii() {
        return ascii_words(raw, offset, each);
    }
    let composed = fold::composed(raw);
    // If the run had to be normalised, every part gets the offset of the run's start.
    let place = |at: usize| if matches!(composed, Cow::Borrowed(_)) { offset + at } else { offset };
    let mut open: Option<(Class, usize)> = None;
    let mut end = |open: &mut Option<(Class, usize)>, at: usize| {
        let Some((class, start)) = open.take() else { return };
        folded.clear();
        fold::fold(&composed[start..at], class, folded);
        // After marks are removed, adjacent letters may compose, so the text is composed again.
        make_normal(folded);
        if folded.is_empty() {
            return;
        }
        let piece = match class {
            Class::Joined => Piece::Joined(folded),
            Class::Hangul => Piece::Hangul(folded),
            _ => Piece::Plain(folded),
        };
        each(place(start), piece);
    };
    for (at, character) in composed.char_indices() {
        match class_of(character) {
            Class::Follows => {}
            Class::Apart => end(&mut open, at),
            class => {
                if open.is_some_and(|(before, _)| before != class) {
                    end(&mut open, at);
                }
                open.get_or_insert((class, at));
            }
        }
    }
    end(&mut open, composed.len());
}

/// Words of a run of one script, in order, as the dictionary segments it.
fn dictionary_words(run: &str, mut each: impl FnMut(Range<usize>)) {
    let units = units(run);
    let mut rest = 0;
    while rest < run.len() {
        let chunk = &run[rest..];
        let at_most = chunk.char_indices().nth(SEGMENT_CHARS_MAX).map_or(chunk.len(), |(at, _)| at);
        let within = units.partition_point(|unit| *unit <= rest + at_most);
        // If the first letter alone has more marks than fit into the limit, it is taken whole.
        let length = units[..within].last().map_or(0, |unit| unit - rest);
        let length =
            if length == 0 { units.get(within).map_or(chunk.len(), |unit| unit - rest) } else { length };
        let mut start = 0;
        for end in DICTIONARIES.segment_str(&chunk[..length]).skip(1) {
            // Never splits between a letter and its marks, even where the dictionary would.
            if end == length || units.binary_search(&(rest + end)).is_ok() {
                each(rest + start..rest + end);
                start = end;
            }
        }
        rest += length;
    }
}

#[cfg(test)]
mod tests;
