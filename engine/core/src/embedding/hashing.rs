//! Embeddings without a model: words and character trigrams, hashed to dimensions. Texts with similar spelling get
//! similar vectors; meaning is not captured.

use super::normalise;

/// Number of dimensions of a vector.
pub const DIMENSION: usize = 256;
/// Length of the n-grams into which words are split, in characters.
const PIECE_CHARS: usize = 3;
/// Weight of an n-gram; the weight of a complete word is 1.
const PIECE_WEIGHT: f32 = 0.5;

/// The vector of a text, normalised to length 1; all zeros for a text without letters and digits.
pub fn embed(text: &str) -> Vec<f32> {
    let mut sum = vec![0.0; DIMENSION];
    let lower = text.to_lowercase();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        add(&mut sum, word, 1.0);
        let bounded: Vec<char> = format!("<{word}>").chars().collect();
        let mut piece = String::new();
        for window in bounded.windows(PIECE_CHARS) {
            piece.clear();
            piece.extend(window);
            add(&mut sum, &piece, PIECE_WEIGHT);
        }
    }
    normalise(&mut sum);
    sum
}

fn add(sum: &mut [f32], feature: &str, weight: f32) {
    let hash = fnv1a(feature.as_bytes());
    let place = usize::try_from(hash % DIMENSION as u64).expect("smaller than the dimension");
    // The sign comes from another bit of the hash, so that features hashed to the same dimension cancel as often as
    // they add up.
    sum[place] += if hash >> 63 == 0 { weight } else { -weight };
}

/// FNV-1a, 64 bits. Stable across machines and versions, unlike the standard library's hashes.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(a: &str, b: &str) -> f32 {
        embed(a).iter().zip(embed(b)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn alike_spelling_is_near() {
        assert!((likeness("The kettle", "the KETTLE!") - 1.0).abs() < 1e-6);
        assert!(likeness("kettles", "kettle") > 0.4);
        assert!(likeness("kettle", "mountain").abs() < 0.3);
        assert_eq!(embed("…!").iter().sum::<f32>(), 0.0);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
