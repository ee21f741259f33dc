//! One vector for each memory of a project, in a row, and the search over all of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use engine_core::embedding::hashing;
use engine_core::embedding::length;
use engine_core::embedding::quantised::Quantised;
use multiversion::multiversion;

use super::model::Model;

/// Memories after which tokens are weighed anew: what is rare among a hundred is not what is rare among thousands.
const WEIGH_ANEW_FACTOR: usize = 2;
/// Same, for the first time.
const WEIGH_ANEW_MIN: usize = 64;

/// Vectors of a project, by the place of the memory.
#[derive(Debug)]
pub(super) struct Vectors {
    model: Model,
    dimension: usize,
    cells: Vec<i8>,
    scales: Vec<f32>,
    weights: TokenWeights,
}

/// In how many memories each token occurs, as of the last weighing.
#[derive(Debug, Default, Clone)]
struct TokenWeights {
    counted: HashMap<u32, u32>,
    memories: usize,
    /// What vectors were made with.
    used: HashMap<u32, u32>,
    used_memories: usize,
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
    }

    #[expect(clippy::cast_precision_loss, reason = "memories are counted in millions")]
    fn weight(&self, token: u32) -> f32 {
        let frequency = self.used.get(&token).copied().unwrap_or(0);
        ((self.used_memories as f32 + 1.0) / (frequency as f32 + 1.0)).ln().max(0.0)
    }
}

/// A vector as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct AskedVector {
    exact: Vec<f32>,
    quantised: Quantised,
}

impl AskedVector {
    pub(super) fn new(exact: Vec<f32>) -> Option<AskedVector> {
        let quantised = Quantised::new(&exact);
        (quantised.scale > 0.0).then_some(AskedVector { exact, quantised })
    }
}

/// Sum of products, four times as many at once where the processor can. Loops and not adapters: what the library's own
/// functions do is compiled for any processor, one number at a time, unless it happens to be inlined.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1", "aarch64+neon"))]
fn scan(asked: &[i8], cells: &[i8], products: &mut Vec<i32>) {
    for row in cells.chunks_exact(asked.len()) {
        let mut sum = 0;
        for (a, b) in asked.iter().zip(row) {
            sum += i32::from(*a) * i32::from(*b);
        }
        products.push(sum);
    }
}

#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1", "aarch64+neon"))]
fn dot_exact(asked: &[f32], row: &[i8]) -> f32 {
    // Several sums, so that one need not wait for the other.
    let mut sums = [0.0_f32; 8];
    let (asked_rows, rows) = (asked.chunks_exact(8), row.chunks_exact(8));
    let rest: f32 = asked_rows.remainder().iter().zip(rows.remainder()).map(|(a, b)| a * f32::from(*b)).sum();
    for (a, b) in asked_rows.zip(rows) {
        for lane in 0..8 {
            sums[lane] += a[lane] * f32::from(b[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Rows that are multiplied before the best are picked out of them: small enough for the processor's cache.
const SCAN_ROWS: usize = 1_024;

impl Vectors {
    pub(super) fn new(model: Model) -> Vectors {
        Vectors {
            model,
            dimension: model.dimension(),
            cells: Vec::new(),
            scales: Vec::new(),
            weights: TokenWeights::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.scales.len()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.cells.len() + 4 * self.scales.len() + 24 * self.weights.counted.len()
    }

    /// Counts a memory's tokens, gives it a vector and its tokens back.
    pub(super) fn push(&mut self, text: &str) -> Vec<u32> {
        let tokens = self.tokens(text);
        self.weights.count(&tokens);
        if self.weights.used_memories == 0 {
            self.weights.used = self.weights.counted.clone();
            self.weights.used_memories = self.weights.memories;
        }
        let vector = self.embed(text, &tokens);
        self.put(&vector);
        tokens
    }

    fn put(&mut self, vector: &[f32]) {
        let length = length(vector);
        let quantised = Quantised::new(vector);
        self.cells.extend(&quantised.cells);
        // The scale of the vector made 1 long.
        self.scales.push(if length > 0.0 { quantised.scale / length } else { 0.0 });
    }

    /// Whether so much has come that tokens should be weighed, and vectors made, anew.
    pub(super) fn is_outgrown(&self) -> bool {
        let TokenWeights { memories, used_memories, .. } = self.weights;
        self.model == Model::BuiltIn && memories >= (used_memories * WEIGH_ANEW_FACTOR).max(WEIGH_ANEW_MIN)
    }

    /// Begins anew with today's weights of tokens; every memory has to be put again, in order.
    pub(super) fn weighed_anew(&self) -> Vectors {
        let TokenWeights { counted, memories, .. } = self.weights.clone();
        let weights = TokenWeights { used: counted.clone(), used_memories: memories, counted, memories };
        Vectors { weights, ..Vectors::new(self.model) }
    }

    /// Gives a memory whose tokens were counted before a vector.
    pub(super) fn put_again(&mut self, text: &str) {
        let tokens = self.tokens(text);
        let vector = self.embed(text, &tokens);
        self.put(&vector);
    }

    /// Takes over what another has from this place on: its vectors, and what it has counted since.
    pub(super) fn take_rest(&mut self, other: &Vectors, from: usize) {
        self.cells.extend(&other.cells[from * self.dimension..]);
        self.scales.extend(&other.scales[from..]);
        self.weights.counted.clone_from(&other.weights.counted);
        self.weights.memories = other.weights.memories;
    }

    /// Takes a memory's vector away.
    pub(super) fn forget(&mut self, place: usize) {
        if place < self.len() {
            self.cells[place * self.dimension..(place + 1) * self.dimension].fill(0);
            self.scales[place] = 0.0;
        }
    }

    /// The sum of the tokens' weighted rows, not made 1 long.
    fn embed(&self, text: &str, tokens: &[u32]) -> Vec<f32> {
        match self.model {
            Model::Off => Vec::new(),
            Model::Hashing => hashing::embed(text),
            Model::BuiltIn => {
                let mut sum = vec![0.0; self.dimension];
                for token in tokens {
                    Model::built_in().table.add(*token, self.weights.weight(*token), &mut sum);
                }
                sum
            }
        }
    }

    /// The vector of what is asked for; none when nothing in it has a direction.
    pub(super) fn ask(&self, text: &str) -> Option<AskedVector> {
        let mut vector = self.embed(text, &self.tokens(text));
        engine_core::embedding::normalise(&mut vector);
        AskedVector::new(vector)
    }

    /// The memories most alike, best first, among those that are admitted.
    pub(super) fn nearest(
        &self,
        asked: &AskedVector,
        count: usize,
        mut admits: impl FnMut(u32) -> bool,
    ) -> Vec<(u32, f32)> {
        let mut best: BinaryHeap<Reverse<(Ordered, u32)>> = BinaryHeap::with_capacity(count + 1);
        let mut products = Vec::with_capacity(SCAN_ROWS);
        for (block, cells) in self.cells.chunks(SCAN_ROWS * self.dimension).enumerate() {
            products.clear();
            scan(&asked.quantised.cells, cells, &mut products);
            for (row, product) in products.iter().enumerate() {
                let place = block * SCAN_ROWS + row;
                #[expect(clippy::cast_precision_loss, reason = "256 products of bytes are far below 2^24")]
                let score = *product as f32 * self.scales[place];
                let floor =
                    best.peek().filter(|_| best.len() >= count).map_or(0.0, |Reverse((score, _))| score.0);
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                if score > floor && admits(place) {
                    best.push(Reverse((Ordered(score), place)));
                    if best.len() > count {
                        best.pop();
                    }
                }
            }
        }
        let mut found: Vec<(u32, f32)> =
            best.into_iter().map(|Reverse((_, place))| (place, self.likeness(asked, place))).collect();
        found.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        found
    }

    /// Cosine of the angle to a memory, with what was asked for unrounded.
    pub(super) fn likeness(&self, asked: &AskedVector, place: u32) -> f32 {
        let place = place as usize;
        dot_exact(&asked.exact, self.row(place)) * self.scales[place]
    }

    fn row(&self, place: usize) -> &[i8] {
        &self.cells[place * self.dimension..(place + 1) * self.dimension]
    }

    /// Cosine of the angle to several memories taken for one text, each as much as the others.
    pub(super) fn likeness_of_all(&self, asked: &AskedVector, places: &[u32]) -> f32 {
        let mut products = 0.0;
        let mut square = 0.0;
        for (n, place) in places.iter().enumerate() {
            products += self.likeness(asked, *place);
            let (row, scale) = (self.row(*place as usize), self.scales[*place as usize]);
            for other in &places[..n] {
                square +=
                    2.0 * product(row, self.row(*other as usize)) * scale * self.scales[*other as usize];
            }
            square += if scale > 0.0 { 1.0 } else { 0.0 };
        }
        if square > 0.0 { products / square.sqrt() } else { 0.0 }
    }

    /// The same for a whole session: the sum is made once.
    pub(super) fn likeness_of_session(&self, asked: &AskedVector, places: &[u32]) -> f32 {
        let mut sum = vec![0.0_f32; self.dimension];
        for place in places {
            let scale = self.scales[*place as usize];
            for (value, cell) in sum.iter_mut().zip(self.row(*place as usize)) {
                *value += scale * f32::from(*cell);
            }
        }
        let length = length(&sum);
        if length > 0.0 {
            sum.iter().zip(&asked.exact).map(|(a, b)| a * b).sum::<f32>() / length
        } else {
            0.0
        }
    }

    /// What a token says among the memories of the project.
    pub(super) fn weight(&self, token: u32) -> f32 {
        self.weights.weight(token)
    }

    /// Tokens of a text, where the model has tokens.
    pub(super) fn tokens(&self, text: &str) -> Vec<u32> {
        match self.model {
            Model::BuiltIn => Model::built_in().pieces.encode(text),
            Model::Off | Model::Hashing => Vec::new(),
        }
    }
}

/// Sum of products of two rows.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn product(a: &[i8], b: &[i8]) -> f32 {
    let mut sum = 0;
    for (a, b) in a.iter().zip(b) {
        sum += i32::from(*a) * i32::from(*b);
    }
    #[expect(clippy::cast_precision_loss, reason = "256 products of bytes are far below 2^24")]
    let sum = sum as f32;
    sum
}

/// A score that has an order: scores are never without value here.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
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
        vectors.nearest(&asked, 2, |_| true).into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn meaning_is_found_without_a_common_word() {
        let vectors = filled(Model::BuiltIn).weighed_anew();
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
                (0..3_000).map(|place| (place, vectors.likeness(&asked, place))).collect();
            all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
            let best: std::collections::BTreeSet<u32> =
                all.iter().take(100).map(|(place, _)| *place).collect();
            let found = vectors.nearest(&asked, 100, |_| true);
            let common = found.iter().filter(|(place, _)| best.contains(place)).count();
            assert!(common >= 97, "{common} of 100");
            assert!(
                vectors.nearest(&asked, 10, |place| place % 2 == 1).iter().all(|(place, _)| place % 2 == 1)
            );
        }
    }

    #[test]
    fn what_was_forgotten_is_near_nothing() {
        let mut vectors = filled(Model::Hashing);
        let asked = vectors.ask("the blue kettle").unwrap();
        assert_eq!(vectors.nearest(&asked, 1, |_| true)[0].0, 0);
        vectors.forget(0);
        assert!(vectors.nearest(&asked, 5, |_| true).iter().all(|(place, _)| *place != 0));
        assert_eq!(vectors.likeness(&asked, 0), 0.0);
        assert!(vectors.ask("…").is_none());
    }

    #[test]
    fn tokens_are_weighed_anew_when_there_are_twice_as_many_memories() {
        let mut vectors = Vectors::new(Model::BuiltIn);
        for n in 0..WEIGH_ANEW_MIN {
            assert!(!vectors.is_outgrown(), "{n}");
            vectors.push(TEXTS[n % 4]);
        }
        assert!(vectors.is_outgrown() && !vectors.weighed_anew().is_outgrown());
        assert!(!Vectors::new(Model::Hashing).is_outgrown());
    }
}
