//! Embeddings without a model server. [`table`] has one row per token of [`wordpiece`], [`hashing`] needs no table, and
//! [`quantised`] is the form in which vectors are stored and compared.

pub mod hashing;
pub mod quantised;
pub mod table;
pub mod wordpiece;

/// Maximum dimension of a vector. A sum of this many products of two bytes fits into an `i32`.
pub const DIMENSION_MAX: usize = 4_096;

/// Scales a vector to length 1. A zero vector stays as it is.
pub fn normalise(vector: &mut [f32]) {
    let length = length(vector);
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

/// Euclidean length.
pub fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}
