//! How many tokens a text is at most to those who charge for them or refuse more: what every budget is kept by.
//!
//! Nobody's tokenizer is here. Words of English letters are counted as WordPiece pieces of a smaller vocabulary,
//! digits by twos, marks one by one, every other character as what it costs alone in the dearest of three tokenizers
//! that are public (`costs.txt`, made by `scripts/tokens/costs.mjs`), and an eighth is added for those of others. The
//! three are `cl100k` and `o200k` of OpenAI and the one Anthropic has published, of an earlier Claude.
//! `engine/core/tests/fixtures/tokens.json` has what each makes of texts of many kinds: the count is never below. A
//! tokenizer that makes a token of each digit, as those of Llama 1 and 2 do, counts more of a text of digits. Nothing
//! is skipped, so that a text without blanks costs what its length is.

use std::sync::LazyLock;

use crate::embedding::wordpiece::WordPiece;

/// Costs of characters from U+0080 to U+FFFF: runs of one cost, a line each, with how many characters they are.
const COSTS: &str = include_str!("costs.txt");
static COST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let run = |line: &str| {
        let (count, cost) = line.split_once(' ').expect("two numbers in each line of costs.txt");
        let count = count.parse().expect("a count in each line of costs.txt");
        std::iter::repeat_n(cost.parse().expect("a cost in each line of costs.txt"), count)
    };
    COSTS.lines().flat_map(run).collect()
});

/// Pictures cost three tokens at most, other characters outside the first plane as many as they have bytes.
const PICTURES: std::ops::RangeInclusive<u32> = 0x1F000..=0x1FAFF;
const PICTURE: usize = 3;
const OTHER: usize = 4;
/// Digits of a token.
const DIGITS: usize = 2;
/// Marks that lines are drawn with: four of one in a row are a token at least.
const DRAWN: &[u8] = b"!#%*+-./:;<=>_~";
/// One more for so many tokens: tokenizers of others cut smaller.
const MARGIN: usize = 8;

/// The number of tokens of a text, never fewer than any of the three tokenizers counts. `pieces` is the built-in
/// vocabulary.
pub fn count(text: &str, pieces: &WordPiece) -> usize {
    let (mut tokens, mut rest) = (0, text);
    while let Some(first) = rest.chars().next() {
        let (length, cost) = next(rest, first, pieces);
        rest = &rest[length..];
        tokens += cost;
    }
    tokens + tokens.div_ceil(MARGIN)
}

/// Bytes and cost of what a text begins with.
fn next(text: &str, first: char, pieces: &WordPiece) -> (usize, usize) {
    let run = |is: fn(&u8) -> bool| text.bytes().take_while(is).count();
    match first {
        'a'..='z' | 'A'..='Z' => {
            let length = run(u8::is_ascii_alphabetic);
            (length, letters(&text[..length], pieces))
        }
        '0'..='9' => {
            let length = run(u8::is_ascii_digit);
            (length, length.div_ceil(DIGITS))
        }
        ' ' => blanks(text),
        '\u{80}'.. => (first.len_utf8(), alone(first)),
        _ => {
            let byte = text.as_bytes()[0];
            let length = text.bytes().take_while(|other| *other == byte).count();
            let in_one = match byte {
                // The last of several goes with what is behind them, and is a token of its own.
                b'\t' | b'\n' if length > 1 => return (length, 1 + length.div_ceil(4)),
                _ if DRAWN.contains(&byte) => 4,
                _ if byte.is_ascii_control() => 1,
                _ => 2,
            };
            (length, length.div_ceil(in_one))
        }
    }
}

/// A blank is part of the word or mark behind it; not of a digit, nor of most characters outside ASCII.
fn blanks(text: &str) -> (usize, usize) {
    let length = text.bytes().take_while(|byte| *byte == b' ').count();
    if length > 1 {
        return (length, 1 + length.div_ceil(16));
    }
    let joins = text[1..].chars().next().is_some_and(|next| match next.is_ascii() {
        true => next.is_ascii_alphabetic() || next.is_ascii_punctuation(),
        false => next.is_alphabetic() && alone(next) == 1,
    });
    (1, usize::from(!joins))
}

/// A character outside ASCII by itself.
fn alone(character: char) -> usize {
    let code = u32::from(character);
    match COST.get(code.saturating_sub(0x80) as usize) {
        Some(cost) => usize::from(*cost),
        None if PICTURES.contains(&code) => PICTURE,
        None => OTHER,
    }
}

/// A run of ASCII letters, cut where capitals begin.
fn letters(run: &str, pieces: &WordPiece) -> usize {
    let (mut tokens, mut rest) = (0, run);
    while !rest.is_empty() {
        let part = &rest[..part_length(rest.as_bytes())];
        rest = &rest[part.len()..];
        let known = pieces.count_in(&part.to_ascii_lowercase());
        let is_whole = part.len() == run.len();
        tokens += match part.bytes().all(|byte| byte.is_ascii_uppercase()) {
            // Vocabularies have fewer words in capitals.
            true if part.len() > 1 => (known + part.len() / 8).max(part.len().div_ceil(2)),
            // Nor have they many that follow another one without a blank.
            _ if !is_whole => known + part.len() / 5,
            _ => known,
        };
    }
    tokens
}

/// Capitals, but for the one that begins a word; or a word with the capital it begins with.
fn part_length(run: &[u8]) -> usize {
    let capitals = run.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let small = run[capitals..].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    match (capitals, small) {
        (0 | 1, small) => capitals + small,
        (capitals, 0) => capitals,
        (capitals, _) => capitals - 1,
    }
}

#[cfg(test)]
mod tests;
