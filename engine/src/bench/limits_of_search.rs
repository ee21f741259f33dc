//! Measures the limits of a search without the engine: the full-text index alone, and a linear scan of vectors.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use multiversion::multiversion;
use rusqlite::{Connection, OpenFlags};

/// Dimension of a vector, as in the engine's own model.
const DIMENSION: usize = 256;
/// Number of best results that are kept, as many as in a response of the engine.
const BEST: usize = 20;

/// The full-text index of a data directory, read without the engine.
pub(super) struct FullText(Connection);

impl FullText {
    /// Opens the current database of the projection in this data directory.
    pub(super) fn open(data: &Path) -> anyhow::Result<FullText> {
        let files = std::fs::read_dir(engine_projection::directory(data))?;
        let names = files.filter_map(|entry| Some(entry.ok()?.path()));
        let path = names.filter(|path| path.extension().is_some_and(|kind| kind == "sqlite")).max();
        let path = path.context("no database of a projection")?;
        Ok(FullText(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?))
    }

    /// Finds the best rows that contain all of these words. Returns the duration.
    pub(super) fn all_of(&self, words: &str) -> anyhow::Result<Duration> {
        let query: Vec<String> = words.split(' ').map(|word| format!("\"{word}\"")).collect();
        let mut statement = self.0.prepare_cached(
            "SELECT rowid, bm25(memories_fts) FROM memories_fts WHERE memories_fts MATCH ?1 ORDER BY 2 LIMIT 20",
        )?;
        let before = Instant::now();
        let found = statement
            .query_map([query.join(" ")], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?)))?;
        black_box(found.collect::<rusqlite::Result<Vec<_>>>()?);
        Ok(before.elapsed())
    }
}

/// As many vectors as the log has memories, as floats and as bytes.
pub(super) struct Scans {
    exact: Vec<f32>,
    bytes: Vec<i8>,
}

#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1", "aarch64+neon"))]
fn product_of_floats(a: &[f32], b: &[f32]) -> f32 {
    // Several independent sums, so that no addition has to wait for the result of the previous one.
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1", "aarch64+neon"))]
fn product_of_bytes(a: &[i8], b: &[i8]) -> i32 {
    let mut sum = 0;
    for (a, b) in a.iter().zip(b) {
        sum += i32::from(*a) * i32::from(*b);
    }
    sum
}

impl Scans {
    /// Generates vectors from a fixed sequence. Their values do not affect the time.
    pub(super) fn new(count: usize) -> Scans {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let bytes: Vec<i8> = (0..count * DIMENSION)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 56) as u8 as i8
            })
            .collect();
        Scans { exact: bytes.iter().map(|value| f32::from(*value) / 127.0).collect(), bytes }
    }

    /// Compares the n-th vector with all vectors as floats and keeps the best. Returns the duration.
    pub(super) fn exact(&self, n: usize) -> Duration {
        let rows = self.exact.chunks_exact(DIMENSION);
        let asked = rows.clone().nth(n % rows.len().max(1)).unwrap_or_default();
        let before = Instant::now();
        // The bit patterns of non-negative floats have the same order as the floats.
        best(rows.map(|row| product_of_floats(asked, row).max(0.0).to_bits()));
        before.elapsed()
    }

    /// Like [`Scans::exact`], with vectors as bytes.
    pub(super) fn bytes(&self, n: usize) -> Duration {
        let rows = self.bytes.chunks_exact(DIMENSION);
        let asked = rows.clone().nth(n % rows.len().max(1)).unwrap_or_default();
        let before = Instant::now();
        best(rows.map(|row| product_of_bytes(asked, row).max(0).unsigned_abs()));
        before.elapsed()
    }
}

fn best(scores: impl Iterator<Item = u32>) {
    let mut best: BinaryHeap<Reverse<(u32, usize)>> = BinaryHeap::with_capacity(BEST + 1);
    for (place, score) in scores.enumerate() {
        if best.len() < BEST || best.peek().is_some_and(|Reverse((worst, _))| score > *worst) {
            best.push(Reverse((score, place)));
            if best.len() > BEST {
                best.pop();
            }
        }
    }
    black_box(best);
}
