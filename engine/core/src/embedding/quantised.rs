//! Unit vectors as signed bytes: a quarter of the memory, and four times as many comparisons per second.

/// Largest absolute value of a cell. 127 and not 128, so that positive and negative cells have the same range.
const STEP_MAX: f32 = 127.0;

/// A vector whose values are multiples of `scale`, which is derived from the largest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// Values, as multiples of `scale`.
    pub cells: Vec<i8>,
    /// Difference between two adjacent cell values.
    pub scale: f32,
}

impl Quantised {
    /// Rounds each value to the nearest step. Zeros stay zeros; NaN and infinite values become zero.
    pub fn new(vector: &[f32]) -> Quantised {
        let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
        let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(finite(*value).abs()));
        let scale = largest / STEP_MAX;
        let step = |value: &f32| if scale > 0.0 { (finite(*value) / scale).round() } else { 0.0 };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded and at most 127 by the choice of the scale"
        )]
        let cells = vector.iter().map(|value| step(value) as i8).collect();
        Quantised { cells, scale }
    }
}

/// Dot product of two vectors of cells.
#[inline]
pub fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn products_are_near_those_of_the_vectors(
            a in prop::collection::vec(-1.0_f32..1.0, 64),
            b in prop::collection::vec(-1.0_f32..1.0, 64),
        ) {
            let exact: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            let (qa, qb) = (Quantised::new(&a), Quantised::new(&b));
            #[expect(clippy::cast_precision_loss, reason = "64 products of bytes are far below 2^24")]
            let near = dot(&qa.cells, &qb.cells) as f32 * qa.scale * qb.scale;
            prop_assert!((exact - near).abs() < 64.0 * 2.0 / 127.0 * 0.5);
        }
    }

    #[test]
    fn nothing_and_no_number_are_zero() {
        assert_eq!(Quantised::new(&[0.0; 3]), Quantised { cells: vec![0; 3], scale: 0.0 });
        assert_eq!(Quantised::new(&[f32::NAN, 1.0, -1.0]).cells, [0, 127, -127]);
        assert_eq!(Quantised::new(&[f32::INFINITY, 0.5]).cells, [0, 127]);
    }
}
