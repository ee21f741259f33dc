//! Vectors of texts without a model server: [`table`] has a row for each token of [`wordpiece`], [`hashing`] needs no
//! table at all, [`quantised`] is the form in which vectors are kept and compared.

pub mod hashing;
pub mod quantised;
pub mod table;
pub mod wordpiece;

/// Numbers in a vector, at most: the sum of so many products of bytes fits.
pub const DIMENSION_MAX: usize = 4_096;

/// Divides by the length, unless there is none: nothing points nowhere.
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
