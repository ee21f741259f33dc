//! Ranks full-text matches by their texts when no catalog is available. The statistics of the full-text index are not
//! used, because they cover all projects: a write to one project must not change the order of results in another
//! project.

use engine_core::retrieval::bm25::{QueryTerms, idf};
use engine_core::words::terms::{Term, Terms, number};
use engine_core::words::words;

use super::top_matches::Best;

/// Limits on the number of scored texts and on their total bytes. Matches beyond these limits are not scored and keep
/// their order.
const TEXTS_MAX: usize = 16_384;
const TEXTS_BYTES_MAX: usize = 16 << 20;

/// Matches with the texts scored so far.
pub(super) struct Texts {
    cutter: Terms,
    asked: Vec<String>,
    terms: Vec<Term>,
    texts: Vec<(i64, Vec<f64>, f64)>,
    /// Matches that were not scored.
    others: Vec<i64>,
    bytes: usize,
}

impl Texts {
    /// Starts the scoring for the query `asked`.
    pub(super) fn new(asked: &str) -> Texts {
        let (cutter, mut all) = (Terms::default(), Vec::new());
        words(asked, |word| cutter.of_word(word, |term| all.push(term.to_owned())));
        let mut terms: Vec<Term> = all.iter().map(|term| number(term)).collect();
        terms.sort_unstable();
        terms.dedup();
        Texts { cutter, asked: all, terms, texts: Vec::new(), others: Vec::new(), bytes: 0 }
    }

    /// The terms of the query.
    pub(super) fn asked(&self) -> &[String] {
        &self.asked
    }

    /// Whether the next match must be scored with [`Texts::add`]. Otherwise pass the match to [`Texts::pass`].
    pub(super) fn has_room(&self) -> bool {
        self.texts.len() < TEXTS_MAX && self.bytes < TEXTS_BYTES_MAX
    }

    pub(super) fn pass(&mut self, seq: i64) {
        self.others.push(seq);
    }

    /// Adds the text of match `seq`. The text consists of `parts`, each with the weight of its words.
    pub(super) fn add(&mut self, seq: i64, parts: &[(&str, f64)]) {
        let (mut counts, mut length) = (vec![0.0; self.terms.len()], 0.0);
        for (text, weight) in parts {
            self.bytes += text.len();
            self.cutter.of_text(text, |term, _| {
                length += 1.0;
                if let Ok(place) = self.terms.binary_search(&number(term)) {
                    counts[place] += weight;
                }
            });
        }
        self.texts.push((seq, counts, length));
    }

    /// Ranks all matches by BM25 into `best`, for a project with `of` texts. Matches that were not scored come last.
    pub(super) fn ranked(&self, of: u64, best: &mut Best) {
        let frequency = |place: usize| self.texts.iter().filter(|(_, counts, _)| counts[place] > 0.0).count();
        let says: Vec<f64> = (0..self.terms.len()).map(|place| idf(of, frequency(place) as u64)).collect();
        let place_of = |term| self.terms.binary_search(&term).map_or(0.0, |place| says[place]);
        let asked = QueryTerms::new(self.terms.iter().copied(), place_of);
        #[expect(clippy::cast_precision_loss, reason = "some thousand texts")]
        let count = self.texts.len().max(1) as f64;
        let mean = self.texts.iter().map(|(.., length)| length).sum::<f64>() / count;
        for (seq, counts, length) in &self.texts {
            best.put(*seq, asked.score(counts, *length, mean));
        }
        self.others.iter().for_each(|seq| best.put(*seq, 0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_and_titles_come_first_and_what_was_not_looked_at_last() {
        let mut texts = Texts::new("blue Kettles");
        texts.add(1, &[("", 4.0), ("the kettle is blue", 1.0)]);
        texts.add(2, &[("Blue kettle", 4.0), ("a long text about something else altogether", 1.0)]);
        texts.add(3, &[("", 4.0), ("a red kettle", 1.0)]);
        assert!(texts.has_room());
        texts.pass(4);
        let mut best = Best::of(9);
        texts.ranked(100, &mut best);
        assert_eq!(best.total(), 4);
        assert_eq!(best.in_order().map(|(seq, _)| seq).collect::<Vec<_>>(), [2, 1, 3, 4]);
    }
}
