//! Embedding table with one vector per token. The embedding of a text is the mean of its tokens' rows, each weighted by
//! how much the token distinguishes the stored memories.

use thiserror::Error;

use super::{DIMENSION_MAX, normalise};

const MAGIC: &[u8; 8] = b"MEMTABLE";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
/// Maximum number of rows. With [`DIMENSION_MAX`] no size computation can overflow.
const ROWS_MAX: usize = 1 << 20;

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadTable {
    /// The file does not start with the magic bytes and the version.
    #[error("this is not an embedding table of version {VERSION}")]
    Form,
    /// The file is truncated, or has bytes after its end.
    #[error("the table has {found} bytes, its header says {expected}")]
    Length {
        /// Actual size, in bytes.
        found: usize,
        /// Size according to the header, in bytes.
        expected: usize,
    },
}

/// Rows of equal dimension, read from a file or from bytes embedded in the program.
#[derive(Debug, Clone)]
pub struct Table {
    rows: usize,
    dimension: usize,
    cells: Vec<i8>,
}

impl Table {
    /// Parses a table: a header of 32 bytes, then one signed byte per cell, row by row.
    pub fn read(bytes: &[u8]) -> Result<Table, BadTable> {
        let word =
            |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
        let size = |at: usize, max: usize| {
            word(at).and_then(|value| usize::try_from(value).ok()).filter(|value| (1..=max).contains(value))
        };
        let begins = bytes.starts_with(MAGIC) && word(8) == Some(VERSION);
        let sizes = size(12, ROWS_MAX).zip(size(16, DIMENSION_MAX));
        let (rows, dimension) = sizes.filter(|_| begins).ok_or(BadTable::Form)?;
        let expected = HEADER_BYTES + rows * dimension;
        if bytes.len() != expected {
            return Err(BadTable::Length { found: bytes.len(), expected });
        }
        // Each byte is a cell in two's complement.
        let cells = bytes[HEADER_BYTES..].iter().map(|byte| byte.cast_signed()).collect();
        Ok(Table { rows, dimension, cells })
    }

    /// Number of rows, one per token.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of cells in a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Adds a token's row, scaled by a weight, to `sum`. A token without a row adds nothing.
    pub fn add(&self, token: u32, weight: f32, sum: &mut [f32]) {
        for (value, cell) in sum.iter_mut().zip(self.row(token)) {
            *value += weight * f32::from(*cell);
        }
    }

    /// A token's row, or an empty slice if it has none.
    pub fn row(&self, token: u32) -> &[i8] {
        let start = (token as usize).saturating_mul(self.dimension);
        self.cells.get(start..start.saturating_add(self.dimension)).unwrap_or_default()
    }

    /// Embedding of a text with these tokens, scaled to length 1; all zeros if the weighted sum is zero. `weight`
    /// returns the weight of a token.
    pub fn embed(&self, tokens: &[u32], weight: impl Fn(u32) -> f32) -> Vec<f32> {
        let mut sum = vec![0.0; self.dimension];
        for token in tokens {
            self.add(*token, weight(*token), &mut sum);
        }
        normalise(&mut sum);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(rows: u32, dimension: u32, cells: &[i8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for word in [VERSION, rows, dimension, 1.0_f32.to_bits(), 0, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(cells.iter().map(|cell| cell.cast_unsigned()));
        bytes
    }

    #[test]
    fn a_text_is_the_weighted_mean_of_its_tokens() {
        let table = Table::read(&bytes(2, 2, &[3, 0, 0, -4])).unwrap();
        assert_eq!((table.rows(), table.dimension()), (2, 2));
        assert_eq!(table.embed(&[0, 1], |_| 1.0), [0.6, -0.8]);
        assert_eq!(table.embed(&[0, 1], |token| f32::from(u8::from(token == 1))), [0.0, -1.0]);
        assert_eq!(table.embed(&[], |_| 1.0), [0.0, 0.0]);
        assert_eq!(table.embed(&[7], |_| 1.0), [0.0, 0.0], "no such row");
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let whole = bytes(1, 4, &[1, 2, 3, 4]);
        assert!(Table::read(&whole).is_ok());
        assert_eq!(
            Table::read(&whole[..whole.len() - 1]).unwrap_err(),
            BadTable::Length { found: 35, expected: 36 }
        );
        assert_eq!(Table::read(&bytes(0, 4, &[])).unwrap_err(), BadTable::Form);
        assert_eq!(Table::read(&bytes(1, 5_000, &[])).unwrap_err(), BadTable::Form);
        for length in 0..HEADER_BYTES {
            assert_eq!(
                Table::read(&whole[..length.min(20)]).unwrap_err(),
                if length < 20 { BadTable::Form } else { BadTable::Length { found: 20, expected: 36 } }
            );
        }
    }
}
