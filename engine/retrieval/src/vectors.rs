//! Vectors of the memories of a project that the engine itself computes.

use std::collections::HashMap;

use engine_core::embedding::hashing;

use super::built_in::built_in;
use super::model::Model;
use super::rows::{QueryVector, Rows};

/// Number of memories at which token weights are computed for the first time. They are computed again each time the
/// number doubles, because rarity among a hundred memories differs from rarity among thousands. Only the number of
/// memories decides, never the time of a search, so the same memories always get the same vectors.
const REWEIGHT_MIN: usize = 64;

/// Vectors of a project, by memory number.
#[derive(Debug)]
pub(super) struct Vectors {
    model: Model,
    rows: Rows,
    weights: TokenWeights,
}

/// Document frequencies of tokens: the current counts, the frequencies in use, and those for the next recomputation.
#[derive(Debug, Default, Clone)]
struct TokenWeights {
    counted: HashMap<u32, u32>,
    memories: usize,
    /// The frequencies that the current vectors use, and the number of memories they were counted in.
    used: HashMap<u32, u32>,
    used_memories: usize,
    /// The frequencies for the next recomputation, and the number of memories they were counted in; `None` if none is
    /// due.
    next: Option<(HashMap<u32, u32>, usize)>,
}

impl TokenWeights {
    fn count(&mut self, tokens: &[u32]) {
        let mut distinct = tokens.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        self.memories += 1;
        for token in distinct {
            *self.counted.entry(token).or_default() += 1;
        }
        let times = self.memories / REWEIGHT_MIN;
        if self.memories.is_multiple_of(REWEIGHT_MIN) && times.is_power_of_two() {
            self.next = Some((self.counted.clone(), self.memories));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "memories are counted in millions")]
    fn weight(&self, token: u32) -> f32 {
        // Before the first computation of weights no token is known to be rare, so all tokens have the same weight.
        if self.used_memories == 0 {
            return 1.0;
        }
        let frequency = self.used.get(&token).copied().unwrap_or(0);
        ((self.used_memories as f32 + 1.0) / (frequency as f32 + 1.0)).ln().max(0.0)
    }
}

impl Vectors {
    pub(super) fn new(model: Model) -> Vectors {
        Vectors { model, rows: Rows::new(model.dimension()), weights: TokenWeights::default() }
    }

    pub(super) fn model(&self) -> Model {
        self.model
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Approximate memory used, bytes.
    pub(super) fn bytes(&self) -> usize {
        let next = self.weights.next.as_ref().map_or(0, |(counted, _)| counted.len());
        self.rows.bytes() + 24 * (self.weights.counted.len() + self.weights.used.len() + next)
    }

    /// Counts the tokens of the next memory, appends its vector, and returns the tokens.
    pub(super) fn push(&mut self, text: &str) -> Vec<u32> {
        let tokens = self.tokens(text);
        self.weights.count(&tokens);
        let vector = self.embed(text, &tokens);
        self.rows.put(&vector);
        tokens
    }

    /// Whether new token weights are due, so that the vectors should be recomputed.
    pub(super) fn is_outgrown(&self) -> bool {
        // A model in a directory uses the weights only for late interaction.
        self.compares_tokens() && self.weights.next.is_some()
    }

    /// Keeps the current weights until the number of memories doubles again.
    pub(super) fn keep_weights(&mut self) {
        self.weights.next = None;
    }

    /// Returns empty vectors with the weights that are due, or else with the current counts. The caller has to add
    /// every memory again, in order, with `put_again`.
    pub(super) fn reweighted(&self) -> Vectors {
        let TokenWeights { counted, memories, next, .. } = self.weights.clone();
        let (used, used_memories) = next.unwrap_or_else(|| (counted.clone(), memories));
        let weights = TokenWeights { used, used_memories, counted, memories, next: None };
        Vectors { weights, ..Vectors::new(self.model) }
    }

    /// Appends the vector of a memory whose tokens are already counted.
    pub(super) fn put_again(&mut self, text: &str) {
        let tokens = self.tokens(text);
        let vector = self.embed(text, &tokens);
        self.rows.put(&vector);
    }

    /// Appends the vectors of `other` that start at memory number `from`, and takes over the counts of `other`.
    pub(super) fn take_rest(&mut self, other: &Vectors, from: usize) {
        self.rows.take_rest(&other.rows, from);
        self.weights.counted.clone_from(&other.weights.counted);
        self.weights.memories = other.weights.memories;
        let used = self.weights.used_memories;
        self.weights.next = other.weights.next.clone().filter(|(_, memories)| *memories > used);
    }

    /// Clears the vector of a memory.
    pub(super) fn forget(&mut self, place: usize) {
        self.rows.clear(place);
    }

    /// The vector of a text, not normalised. For the built-in model it is the weighted sum of the token vectors.
    fn embed(&self, text: &str, tokens: &[u32]) -> Vec<f32> {
        match self.model {
            Model::Off => Vec::new(),
            Model::Hashing => hashing::embed(text),
            Model::Directory(model) => model.embed(text),
            Model::BuiltIn => {
                let mut sum = vec![0.0; self.model.dimension()];
                for token in tokens {
                    built_in().table.add(*token, self.weights.weight(*token), &mut sum);
                }
                sum
            }
        }
    }

    /// The vector of a query; `None` if it is zero.
    pub(super) fn ask(&self, text: &str) -> Option<QueryVector> {
        let mut vector = self.embed(text, &self.tokens(text));
        engine_core::embedding::normalise(&mut vector);
        QueryVector::new(vector)
    }

    /// Weight (IDF) of a token in the project.
    pub(super) fn weight(&self, token: u32) -> f32 {
        self.weights.weight(token)
    }

    /// Whether the model itself uses the built-in tokenizer.
    pub(super) fn has_tokens(&self) -> bool {
        self.model == Model::BuiltIn
    }

    /// Whether the model allows late interaction.
    pub(super) fn compares_tokens(&self) -> bool {
        matches!(self.model, Model::BuiltIn | Model::Directory(_))
    }

    /// Tokens of a text in the built-in vocabulary; none for a model without tokens.
    pub(super) fn tokens(&self, text: &str) -> Vec<u32> {
        match self.model {
            Model::BuiltIn | Model::Directory(_) => built_in().pieces.encode(text),
            Model::Off | Model::Hashing => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] = [
        "The kettle in the small kitchen is blue",
        "Deploys failed because the volume was full",
        "We boil water for tea every morning",
        "The dentist appointment is on Tuesday",
        "…",
    ];

    fn filled(model: Model) -> Vectors {
        let mut vectors = Vectors::new(model);
        for text in TEXTS {
            vectors.push(text);
        }
        vectors
    }

    fn nearest(vectors: &Vectors, text: &str) -> Vec<u32> {
        let asked = vectors.ask(text).unwrap();
        vectors.rows.nearest(&asked, 2, |_| true).into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn meaning_is_found_without_a_common_word() {
        let vectors = filled(Model::BuiltIn).reweighted();
        let mut vectors = vectors;
        TEXTS.iter().for_each(|text| vectors.put_again(text));
        assert_eq!(nearest(&vectors, "disk out of space during release")[0], 1);
        assert_eq!(nearest(&vectors, "hot beverages at breakfast")[0], 2);
        assert_eq!(nearest(&vectors, "doctor visit schedule")[0], 3);
    }

    #[test]
    fn the_scan_finds_what_comparing_one_by_one_finds() {
        for model in [Model::BuiltIn, Model::Hashing] {
            let mut vectors = Vectors::new(model);
            for n in 0..3_000 {
                vectors.push(&format!("note {n} about {} and {}", TEXTS[n % 4], n * 7919 % 1_000));
            }
            let asked = vectors.ask("about the kettle and note 17").unwrap();
            let mut all: Vec<(u32, f32)> =
                (0..3_000).map(|place| (place, vectors.rows.likeness(&asked, place))).collect();
            all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
            let best: std::collections::BTreeSet<u32> =
                all.iter().take(100).map(|(place, _)| *place).collect();
            let found = vectors.rows.nearest(&asked, 100, |_| true);
            let common = found.iter().filter(|(place, _)| best.contains(place)).count();
            assert!(common >= 97, "{common} of 100");
            assert!(
                vectors
                    .rows
                    .nearest(&asked, 10, |place| place % 2 == 1)
                    .iter()
                    .all(|(place, _)| place % 2 == 1)
            );
        }
    }

    #[test]
    fn the_only_memory_is_found_by_meaning() {
        let mut vectors = Vectors::new(Model::BuiltIn);
        vectors.push("pizza");
        assert_eq!(nearest(&vectors, "what does ana like to eat"), [0]);
    }

    #[test]
    fn weights_of_tokens_are_those_of_the_same_memories_whenever_they_are_made() {
        let texts: Vec<String> = (0..200).map(|n| format!("{} {}", TEXTS[n % 4], n * 7919 % 97)).collect();
        // `followed` is searched after each memory and recomputes its vectors whenever they are due; the other one is
        // built at once.
        let mut followed = Vectors::new(Model::BuiltIn);
        for (count, text) in texts.iter().enumerate() {
            followed.push(text);
            if followed.is_outgrown() {
                let mut anew = followed.reweighted();
                texts[..=count].iter().for_each(|text| anew.put_again(text));
                followed = anew;
            }
        }
        let mut at_once = Vectors::new(Model::BuiltIn);
        texts.iter().for_each(|text| drop(at_once.push(text)));
        let mut at_once = at_once.reweighted();
        texts.iter().for_each(|text| at_once.put_again(text));
        let cosines = |vectors: &Vectors| -> Vec<f32> {
            let asked = vectors.ask("the blue kettle in the morning").unwrap();
            (0..200).map(|place| vectors.rows.likeness(&asked, place)).collect()
        };
        assert_eq!(cosines(&followed), cosines(&at_once));
    }

    #[test]
    fn what_was_forgotten_is_near_nothing() {
        let mut vectors = filled(Model::Hashing);
        let asked = vectors.ask("the blue kettle").unwrap();
        assert_eq!(vectors.rows.nearest(&asked, 1, |_| true)[0].0, 0);
        vectors.forget(0);
        assert!(vectors.rows.nearest(&asked, 5, |_| true).iter().all(|(place, _)| *place != 0));
        assert_eq!(vectors.rows.likeness(&asked, 0), 0.0);
        assert!(vectors.ask("…").is_none());
    }

    #[test]
    fn tokens_are_weighed_anew_when_there_are_twice_as_many_memories() {
        let mut vectors = Vectors::new(Model::BuiltIn);
        for n in 0..REWEIGHT_MIN {
            assert!(!vectors.is_outgrown(), "{n}");
            vectors.push(TEXTS[n % 4]);
        }
        assert!(vectors.is_outgrown() && !vectors.reweighted().is_outgrown());
        assert!(!Vectors::new(Model::Hashing).is_outgrown());
    }
}
