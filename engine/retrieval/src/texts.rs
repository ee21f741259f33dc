//! The words of all memories of a project, in packed form: most words take two bytes.

use std::collections::HashMap;

use engine_core::words::terms::Term;

/// Number of the empty word, which replaces forgotten words.
const NO_WORD: u32 = 0;
/// Number of a word that no memory has.
const UNKNOWN: u32 = u32::MAX;
/// Layout of the first unit of a word: the low bits of the word's number, a flag for a second unit with the high bits,
/// and the number of skipped (not stored) words before it. If that number has its largest value, the next unit adds to
/// it.
const NUMBER_BITS: u32 = 12;
const HAS_MORE: u16 = 1 << NUMBER_BITS;
const SKIPPED_SHIFT: u32 = NUMBER_BITS + 1;
const SKIPPED_MAX: u16 = u16::MAX >> SKIPPED_SHIFT;

/// Each memory is a sequence of units, one for most words. A unit contains the number of the word in the vocabulary of
/// the project, and the distance from the previous word. Frequent words usually occur early and get small numbers.
#[derive(Debug)]
pub(super) struct Texts {
    vocabulary: HashMap<Term, u32>,
    /// Document frequency of each word, by number.
    frequencies: Vec<u32>,
    units: Vec<u16>,
    /// Index in `units` at which each memory begins, and the end of the last memory.
    starts: Vec<usize>,
}

/// A word occurrence in a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) number: u32,
    /// Position in the memory, from 1, stop words included.
    pub(super) place: u32,
}

impl Default for Texts {
    fn default() -> Texts {
        // The frequency of the empty word.
        Texts { vocabulary: HashMap::new(), frequencies: vec![0], units: Vec::new(), starts: vec![0] }
    }
}

impl Texts {
    /// Approximate memory used, bytes.
    pub(super) fn bytes(&self) -> usize {
        2 * self.units.len() + 8 * self.starts.len() + 14 * self.vocabulary.len() + 4 * self.frequencies.len()
    }

    /// Appends the next memory: its words in order, each with its position.
    pub(super) fn push(&mut self, words: &[(Term, u32)]) {
        let mut distinct = Vec::with_capacity(words.len());
        let mut before = 0;
        for (term, place) in words {
            let next = u32::try_from(self.frequencies.len()).unwrap_or(UNKNOWN);
            let number = *self.vocabulary.entry(*term).or_insert(next);
            if number == next {
                self.frequencies.push(0);
            }
            distinct.push(number);
            let skipped = place.saturating_sub(before + 1);
            before += 1 + self.put(number, skipped);
        }
        distinct.sort_unstable();
        distinct.dedup();
        distinct.into_iter().for_each(|number| self.frequencies[number as usize] += 1);
        self.starts.push(self.units.len());
    }

    /// Appends a word. Returns the number of skipped words that was stored; two units limit this number.
    fn put(&mut self, number: u32, skipped: u32) -> u32 {
        let low = |number: u32| u16::try_from(number & u32::from(u16::MAX)).unwrap_or(u16::MAX);
        let more = number >> NUMBER_BITS;
        let first = u16::try_from(skipped).unwrap_or(SKIPPED_MAX).min(SKIPPED_MAX);
        let has_more = if more > 0 { HAS_MORE } else { 0 };
        self.units.push(low(number) & (HAS_MORE - 1) | has_more | first << SKIPPED_SHIFT);
        if more > 0 {
            self.units.push(low(more));
        }
        if first < SKIPPED_MAX {
            return skipped;
        }
        let rest = u16::try_from(skipped - u32::from(first)).unwrap_or(u16::MAX);
        self.units.push(rest);
        u32::from(first) + u32::from(rest)
    }

    fn units_of(&self, memory: u32) -> &[u16] {
        let at = memory as usize;
        &self.units[self.starts[at]..self.starts[at + 1]]
    }

    /// The words of a memory in text order.
    pub(super) fn of(&self, memory: u32) -> impl Iterator<Item = Word> {
        let mut rest = self.units_of(memory);
        let mut place = 0;
        std::iter::from_fn(move || {
            let (number, skipped) = take(&mut rest)?;
            place += 1 + skipped;
            Some(Word { number, place })
        })
    }

    /// The number of a word. For a word that no memory has, a number that never occurs.
    pub(super) fn number(&self, term: Term) -> u32 {
        self.vocabulary.get(&term).copied().unwrap_or(UNKNOWN)
    }

    /// Document frequency of a word.
    pub(super) fn frequency(&self, term: Term) -> u64 {
        let number = self.vocabulary.get(&term).copied().unwrap_or(NO_WORD);
        self.frequencies[number as usize].into()
    }

    /// Adds the number of occurrences of each word of `asked` in a memory to `counts`.
    pub(super) fn count(&self, memory: u32, asked: &[u32], counts: &mut [f64]) {
        let mut rest = self.units_of(memory);
        while let Some((number, _)) = take(&mut rest) {
            if let Some(place) = asked.iter().position(|asked| *asked == number) {
                counts[place] += 1.0;
            }
        }
    }

    /// Removes the words of a memory.
    pub(super) fn forget(&mut self, memory: u32) {
        let mut gone: Vec<u32> = self.of(memory).map(|word| word.number).collect();
        gone.sort_unstable();
        gone.dedup();
        for number in gone {
            let frequency = &mut self.frequencies[number as usize];
            *frequency = frequency.saturating_sub(1);
        }
        let at = memory as usize;
        self.units[self.starts[at]..self.starts[at + 1]].fill(0);
    }
}

/// Decodes the next word: its number, and the number of skipped words before it.
#[inline]
fn take(rest: &mut &[u16]) -> Option<(u32, u32)> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    let mut number = u32::from(first & (HAS_MORE - 1));
    if first & HAS_MORE != 0 {
        let (more, others) = rest.split_first()?;
        *rest = others;
        number |= u32::from(*more) << NUMBER_BITS;
    }
    let mut skipped = u32::from(first >> SKIPPED_SHIFT);
    if skipped == u32::from(SKIPPED_MAX) {
        let (more, others) = rest.split_first()?;
        *rest = others;
        skipped += u32::from(*more);
    }
    Some((number, skipped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &Texts, memory: u32) -> Vec<(u32, u32)> {
        texts.of(memory).map(|word| (word.number, word.place)).collect()
    }

    #[test]
    fn words_come_back_where_they_stood() {
        let mut texts = Texts::default();
        texts.push(&[(70, 1), (80, 2), (70, 5), (90, 60_000), (70, 60_008)]);
        texts.push(&[]);
        texts.push(&[(80, 9)]);
        assert_eq!(words(&texts, 0), [(1, 1), (2, 2), (1, 5), (3, 60_000), (1, 60_008)]);
        assert_eq!((words(&texts, 1), words(&texts, 2)), (vec![], vec![(2, 9)]));
        assert_eq!([70, 80, 90, 100].map(|term| texts.frequency(term)), [1, 2, 1, 0]);
        let mut counts = [0.0; 3];
        texts.count(0, &[80, 70, 100].map(|term| texts.number(term)), &mut counts);
        assert_eq!(counts, [1.0, 3.0, 0.0]);
    }

    #[test]
    fn large_vocabularies_come_back_too() {
        let mut texts = Texts::default();
        let all: Vec<(Term, u32)> = (0..300_000).map(|n| (n * 3, n + 1)).collect();
        all.chunks(1_000).for_each(|chunk| texts.push(chunk));
        let last = texts.of(299).last().unwrap();
        assert_eq!((last.number, last.place), (300_000, 300_000));
        assert!(texts.units.len() < 2 * 300_000 + 2 * 300);
    }

    #[test]
    fn what_is_forgotten_has_no_words() {
        let mut texts = Texts::default();
        texts.push(&[(70, 1), (80, 2)]);
        texts.push(&[(70, 1)]);
        texts.forget(0);
        assert!(texts.of(0).all(|word| word.number == NO_WORD));
        assert_eq!((texts.frequency(70), texts.frequency(80)), (1, 0));
        let mut counts = [0.0];
        texts.count(0, &[texts.number(70)], &mut counts);
        assert_eq!(counts, [0.0]);
    }
}
