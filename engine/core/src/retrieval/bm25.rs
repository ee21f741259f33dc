//! Okapi BM25 scores of any unit of text: a memory, a memory with its neighbours, or a session. The full-text index
//! uses the same formula but can only score single memories, so neighbourhoods and sessions are scored here.

use crate::words::terms::Term;

/// Term frequency saturation; the value that FTS5 uses.
const K1: f64 = 1.2;
/// Length normalisation; the value that FTS5 uses.
const B: f64 = 0.75;

/// IDF of a word that nearly every memory contains: almost 0, but more than the IDF of a word that no memory contains.
const IDF_MIN: f64 = 1e-6;

/// Inverse document frequency, as in FTS5: `ln((n - df + 0.5) / (df + 0.5))`, never negative, and 0 for a word that no
/// memory contains. `count` is the number of memories (n), `frequency` the number of memories that contain the word
/// (df).
pub fn idf(count: u64, frequency: u64) -> f64 {
    if frequency == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "memories are counted in millions")]
    let (count, frequency) = (count as f64, frequency.min(count) as f64);
    ((count - frequency + 0.5) / (frequency + 0.5)).ln().max(IDF_MIN)
}

/// Terms of a query with their IDF.
#[derive(Debug, Clone, Default)]
pub struct QueryTerms {
    terms: Vec<(Term, f64)>,
}

impl QueryTerms {
    /// The distinct `terms`, in the order of their first occurrence, with the IDF that `idf` returns.
    pub fn new(terms: impl IntoIterator<Item = Term>, idf: impl Fn(Term) -> f64) -> QueryTerms {
        let mut asked: Vec<(Term, f64)> = Vec::new();
        for term in terms {
            if asked.iter().all(|(known, _)| *known != term) {
                asked.push((term, idf(term)));
            }
        }
        QueryTerms { terms: asked }
    }

    /// Terms with their IDF.
    pub fn terms(&self) -> &[(Term, f64)] {
        &self.terms
    }

    /// BM25 score of a text. `counts` is how often each term of the query occurs in it, `words` its number of words,
    /// and `mean` the average number of words of the texts.
    pub fn score(&self, counts: &[f64], words: f64, mean: f64) -> f64 {
        let length = 1.0 - B + B * if mean > 0.0 { words / mean } else { 1.0 };
        let term = |((_, idf), count): (&(Term, f64), &f64)| idf * count * (K1 + 1.0) / (count + K1 * length);
        self.terms.iter().zip(counts).map(term).sum()
    }

    /// Share of the query's terms that occur, weighted by IDF: 0 to 1.
    pub fn coverage(&self, counts: &[f64]) -> f64 {
        let all: f64 = self.terms.iter().map(|(_, idf)| idf).sum();
        let there: f64 =
            self.terms.iter().zip(counts).filter(|(_, count)| **count > 0.0).map(|((_, idf), _)| idf).sum();
        if all > 0.0 { there / all } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_and_short_texts_count_more() {
        let asked = QueryTerms::new([1, 2, 1], |term| idf(100, if term == 1 { 1 } else { 50 }));
        assert_eq!(asked.terms().len(), 2);
        let score = |counts: [f64; 2], words| asked.score(&counts, words, 10.0);
        assert!(score([1.0, 0.0], 10.0) > score([0.0, 1.0], 10.0));
        assert!(score([1.0, 0.0], 5.0) > score([1.0, 0.0], 50.0));
        assert!(score([2.0, 0.0], 10.0) < 2.0 * score([1.0, 0.0], 10.0));
        assert_eq!(score([0.0, 0.0], 10.0), 0.0);
        assert!(asked.coverage(&[1.0, 0.0]) > 0.8 && asked.coverage(&[1.0, 1.0]) == 1.0);
    }

    #[test]
    fn a_word_in_every_memory_still_counts_for_something() {
        assert!(idf(10, 10) > 0.0 && idf(10, 11) == idf(10, 10) && idf(10, 1) > idf(10, 2));
        assert_eq!(idf(10, 0), 0.0, "a word that no memory has");
    }
}
