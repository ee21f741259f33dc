//! Quantised vectors, one for each memory of a project, and the exhaustive scan over them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;
use std::ops::Range;

use engine_core::embedding::length;
use engine_core::embedding::quantised::Quantised;
use multiversion::multiversion;

/// Vectors by memory number: signed bytes, and for each vector the scale that turns it into a unit vector.
#[derive(Debug, Default)]
pub(super) struct Rows {
    dimension: usize,
    cells: Vec<i8>,
    scales: Vec<f32>,
}

/// The vector of a query, unquantised and quantised.
#[derive(Debug, Clone)]
pub(super) struct QueryVector {
    exact: Vec<f32>,
    quantised: Quantised,
}

impl QueryVector {
    pub(super) fn new(exact: Vec<f32>) -> Option<QueryVector> {
        let quantised = Quantised::new(&exact);
        (quantised.scale > 0.0).then_some(QueryVector { exact, quantised })
    }

    /// Cosine similarity to an unquantised vector.
    pub(super) fn cosine(&self, vector: &[f32]) -> f32 {
        let product: f32 = self.exact.iter().zip(vector).map(|(a, b)| a * b).sum();
        let length = length(vector);
        if length > 0.0 { product / length } else { 0.0 }
    }
}

/// Computes integer dot products with all rows, vectorised if the processor supports it. The code uses plain loops
/// instead of iterator adapters: functions of the standard library are compiled for the baseline processor unless they
/// are inlined.
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
    // Independent sums, so that no addition has to wait for the result of the previous one.
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

/// Rows that one thread scans; more rows are split over threads. Beyond that, memory bandwidth limits the scan.
const ROWS_OF_A_THREAD: usize = 1 << 17;
/// Maximum number of threads for one search; the other processors serve other searches.
const THREADS_MAX: usize = 4;

/// Number of rows that are multiplied before the best are selected: they fit into the processor cache.
const SCAN_ROWS: usize = 1_024;

impl Rows {
    pub(super) fn new(dimension: usize) -> Rows {
        Rows { dimension, ..Rows::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.scales.len()
    }

    /// Memory used, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.cells.len() + 4 * self.scales.len()
    }

    /// Appends the vector of the next memory.
    pub(super) fn put(&mut self, vector: &[f32]) {
        let length = length(vector);
        let quantised = Quantised::new(vector);
        self.cells.extend(&quantised.cells);
        // The scale that turns the quantised vector into a unit vector.
        self.scales.push(if length > 0.0 { quantised.scale / length } else { 0.0 });
    }

    /// Extends the rows to `places`; new rows have no vector.
    pub(super) fn grow(&mut self, places: usize) {
        self.cells.resize(places * self.dimension, 0);
        self.scales.resize(places, 0.0);
    }

    /// Stores a vector in the existing row `place`; ignores a vector of another dimension.
    pub(super) fn place(&mut self, place: usize, cells: &[u8], scale: f32) {
        if cells.len() == self.dimension {
            let row = &mut self.cells[place * self.dimension..(place + 1) * self.dimension];
            row.iter_mut().zip(cells).for_each(|(cell, byte)| *cell = byte.cast_signed());
            self.scales[place] = scale;
        }
    }

    /// Clears the vector in row `place`.
    pub(super) fn clear(&mut self, place: usize) {
        if place < self.len() {
            self.cells[place * self.dimension..(place + 1) * self.dimension].fill(0);
            self.scales[place] = 0.0;
        }
    }

    /// Appends the rows of `other` that start at row `from`.
    pub(super) fn take_rest(&mut self, other: &Rows, from: usize) {
        self.cells.extend(&other.cells[from * self.dimension..]);
        self.scales.extend(&other.scales[from..]);
    }

    /// The `count` nearest memories among those that `admits` accepts, with their cosines, best first.
    pub(super) fn nearest(
        &self,
        asked: &QueryVector,
        count: usize,
        admits: impl Fn(u32) -> bool + Sync,
    ) -> Vec<(u32, f32)> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.len().div_ceil(ROWS_OF_A_THREAD).clamp(1, processors.min(THREADS_MAX));
        let rows = self.len().div_ceil(threads).next_multiple_of(SCAN_ROWS);
        let of_thread =
            |thread: usize| self.best_of(asked, count, thread * rows..(thread + 1) * rows, &admits);
        let mut places = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || of_thread(thread))).collect();
            let mut places = of_thread(0);
            for other in others {
                // A panic in one thread fails the whole search.
                places.extend(other.join().expect("a scan does not panic"));
            }
            places
        });
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.truncate(count);
        let mut found: Vec<(u32, f32)> =
            places.into_iter().map(|(_, place)| (place, self.likeness(asked, place))).collect();
        found.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        found
    }

    /// The best rows of a range, in no particular order.
    fn best_of(
        &self,
        asked: &QueryVector,
        count: usize,
        rows: Range<usize>,
        admits: impl Fn(u32) -> bool,
    ) -> Vec<(Ordered, u32)> {
        let mut best: BinaryHeap<Reverse<(Ordered, u32)>> = BinaryHeap::with_capacity(count + 1);
        let mut products = Vec::with_capacity(SCAN_ROWS);
        let (first, last) = (rows.start.min(self.len()), rows.end.min(self.len()));
        let cells = &self.cells[first * self.dimension..last * self.dimension];
        for (block, cells) in cells.chunks(SCAN_ROWS * self.dimension).enumerate() {
            products.clear();
            scan(&asked.quantised.cells, cells, &mut products);
            for (row, product) in products.iter().enumerate() {
                let place = first + block * SCAN_ROWS + row;
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "products of bytes: the rounding error is below that of the quantisation"
                )]
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
        best.into_iter().map(|Reverse(found)| found).collect()
    }

    /// Cosine similarity to a memory; the query is not quantised.
    pub(super) fn likeness(&self, asked: &QueryVector, place: u32) -> f32 {
        let place = place as usize;
        dot_exact(&asked.exact, self.row(place)) * self.scales[place]
    }

    fn row(&self, place: usize) -> &[i8] {
        &self.cells[place * self.dimension..(place + 1) * self.dimension]
    }

    /// Cosine similarity to the sum of the vectors of several memories, each with equal weight.
    pub(super) fn likeness_of_all(&self, asked: &QueryVector, places: &[u32]) -> f32 {
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

    /// Like [`Rows::likeness_of_all`], for a session: sums the vectors first, which is faster for many members.
    pub(super) fn likeness_of_session(&self, asked: &QueryVector, places: &[u32]) -> f32 {
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
}

/// Dot product of two rows.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn product(a: &[i8], b: &[i8]) -> f32 {
    let mut sum = 0;
    for (a, b) in a.iter().zip(b) {
        sum += i32::from(*a) * i32::from(*b);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "products of bytes: the rounding error is below that of the quantisation"
    )]
    let sum = sum as f32;
    sum
}

/// A score with a total order. A score is never NaN here.
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

    #[test]
    fn a_scan_that_is_shared_out_finds_the_same() {
        let mut rows = Rows::new(4);
        let count = 2 * ROWS_OF_A_THREAD + 700;
        for n in 0..u16::MAX {
            let n = f32::from(n);
            rows.put(&[(n * 0.37).sin(), (n * 0.73).cos(), (n * 1.31).sin(), (n * 0.11).cos()]);
        }
        let (cells, scales) = (rows.cells.clone(), rows.scales.clone());
        while rows.len() < count {
            rows.cells.extend(&cells);
            rows.scales.extend(&scales);
        }
        let asked = QueryVector::new(vec![0.4, -0.2, 0.7, 0.3]).unwrap();
        let admits = |place: u32| !place.is_multiple_of(3);
        let found = rows.nearest(&asked, 50, admits);
        let mut alone = rows.best_of(&asked, 50, 0..rows.len(), admits);
        alone.sort_unstable_by(|a, b| b.cmp(a));
        let scores = |places: &mut dyn Iterator<Item = u32>| {
            let mut scores: Vec<f32> = places.map(|place| rows.likeness(&asked, place)).collect();
            scores.sort_unstable_by(f32::total_cmp);
            scores
        };
        assert_eq!(found.len(), 50);
        let places = scores(&mut found.iter().map(|(place, _)| *place));
        assert_eq!(places, scores(&mut alone.iter().map(|(_, place)| *place)));
        assert!(
            found.iter().any(|(place, _)| *place as usize > ROWS_OF_A_THREAD),
            "both parts of the rows contribute"
        );
    }
}
