//! Merkle tree over the events of a log, as in RFC 6962 and RFC 9162.
//!
//! Leaf `seq - 1` stands for the event `seq`; its data are the 32 bytes of the event's hash. Hashes of the tree are
//! stored in the order in which they become final: a leaf, then every subtree that this leaf completes.
//! `golang.org/x/mod/sumdb/tlog` uses the same order. The file of a smaller tree is therefore a prefix of the file of a
//! larger one.
//!
//! Sizes and indexes are below 2^63.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::digest::Hash;

/// Root of the empty tree: SHA-256 of the empty string.
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Leaf hash of an event: SHA-256 of 0x00 and the event's hash.
pub fn leaf(event: &Hash) -> Hash {
    let mut data = [0_u8; 33];
    data[1..].copy_from_slice(&event.0);
    Hash(Sha256::digest(data).into())
}

/// Hash of an inner node: SHA-256 of 0x01 and the hashes of both children.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut data = [1_u8; 65];
    data[1..33].copy_from_slice(&left.0);
    data[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(data).into())
}

/// Number of stored hashes for a tree with this many leaves.
pub fn stored_count(size: u64) -> u64 {
    2 * size - u64::from(size.count_ones())
}

/// Position at which the root of a complete subtree is stored, counted in hashes: the `index`-th subtree of 2^`level`
/// leaves.
pub fn position(level: u32, index: u64) -> u64 {
    let last_leaf = ((index + 1) << level) - 1;
    stored_count(last_leaf) + u64::from(level)
}

/// The right edge of a tree: the hashes that are needed to append leaves and to compute the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees of the tree, largest first: one per bit set in `size`.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// A tree without leaves.
    pub fn empty() -> Frontier {
        Frontier { size: 0, peaks: Vec::new() }
    }

    /// Loads the right edge of a stored tree with `size` leaves. `read` returns the hash stored at a [`position`].
    ///
    /// # Errors
    ///
    /// The error of `read`.
    pub fn load<E>(size: u64, mut read: impl FnMut(u64) -> Result<Hash, E>) -> Result<Frontier, E> {
        let peaks = subtrees(0, size).map(|(level, index)| read(position(level, index)));
        Ok(Frontier { size, peaks: peaks.collect::<Result<_, E>>()? })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf hash made by [`leaf`]. Appends to `stored` the hashes that must be stored for this leaf, in order;
    /// the position of the first one is [`stored_count`] of the size before the call.
    pub fn push(&mut self, leaf: Hash, stored: &mut Vec<Hash>) {
        stored.push(leaf);
        let mut top = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("there is a peak for each bit set in the size");
            top = node(&left, &top);
            stored.push(top);
        }
        self.peaks.push(top);
        self.size += 1;
    }

    /// Appends the leaves of a span. Returns `false` and changes nothing if the span does not start where this tree
    /// ends.
    pub fn append(&mut self, span: &Span) -> bool {
        if span.start != self.size {
            return false;
        }
        for (level, root) in &span.subtrees {
            let mut top = *root;
            for _ in 0..(self.size >> level).trailing_ones() {
                let left = self.peaks.pop().expect("there is a peak for each bit set in the size");
                top = node(&left, &top);
            }
            self.peaks.push(top);
            self.size += 1 << level;
        }
        true
    }

    /// Root of the tree.
    pub fn root(&self) -> Hash {
        fold_right(&self.peaks)
    }
}

/// A run of consecutive leaves anywhere in a tree, stored as few hashes. Runs can be hashed in parallel and joined with
/// [`Frontier::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    start: u64,
    end: u64,
    /// Level and root of its complete subtrees, from left to right.
    subtrees: Vec<(u32, Hash)>,
}

impl Span {
    /// An empty run that starts at this leaf.
    pub fn empty(start: u64) -> Span {
        Span { start, end: start, subtrees: Vec::new() }
    }

    /// Index of the first leaf.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Index after the last leaf.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Adds a leaf hash made by [`leaf`].
    pub fn push(&mut self, leaf: Hash) {
        let (mut level, mut top) = (0, leaf);
        // The leaf completes one subtree per carried bit, as long as the run also contains the left half of the
        // subtree.
        while (self.end >> level) & 1 == 1
            && let Some((_, left)) = self.subtrees.pop_if(|(left_level, _)| *left_level == level)
        {
            top = node(&left, &top);
            level += 1;
        }
        self.subtrees.push((level, top));
        self.end += 1;
    }
}

/// Root of the tree of the first `size` leaves of a stored tree, which has at least `size` leaves. `read` returns the
/// hash stored at a [`position`].
///
/// # Errors
///
/// The error of `read`.
pub fn root_at<E>(size: u64, read: impl FnMut(u64) -> Result<Hash, E>) -> Result<Hash, E> {
    range_root(0, size, read)
}

/// Proof that the leaf `index` is in the tree of the first `size` leaves, as in RFC 9162, 2.1.3.1. None if that tree
/// does not contain the leaf. `read` returns the hash stored at a [`position`].
///
/// # Errors
///
/// The error of `read`.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut low, mut high, mut proof) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            proof.push(range_root(middle, high, &mut read)?);
            high = middle;
        } else {
            proof.push(range_root(low, middle, &mut read)?);
            low = middle;
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Proof that the tree of the first `old` leaves is a prefix of the tree of the first `new` leaves, as in RFC 9162,
/// 2.1.4.1. Empty for `old` 0, because the empty tree is a prefix of every tree. None if `old` is larger than `new`.
/// `read` returns the hash stored at a [`position`].
///
/// # Errors
///
/// The error of `read`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut read: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if old > new {
        return Ok(None);
    }
    let (mut low, mut high, mut proof) = (0, new, Vec::new());
    while old != 0 && old != high {
        let middle = low + split(high - low);
        if old <= middle {
            proof.push(range_root(middle, high, &mut read)?);
            high = middle;
        } else {
            proof.push(range_root(low, middle, &mut read)?);
            low = middle;
        }
    }
    if low != 0 {
        proof.push(range_root(low, high, &mut read)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Why a proof is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf is not in a tree of this size, or the old tree is larger than the new one.
    #[error("the leaf index or the old size is outside of the tree")]
    Sizes,
    /// The proof does not have the number of hashes that these sizes require.
    #[error("the proof does not have the length that these sizes require")]
    Length,
    /// The root computed from the proof is a different one.
    #[error("the proof gives a different root")]
    Root,
}

impl ProofError {
    /// Stable label for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            ProofError::Sizes => "sizes",
            ProofError::Length => "length",
            ProofError::Root => "root",
        }
    }
}

/// Verifies that a leaf hash made by [`leaf`] is the leaf `index`, counted from 0, of the tree with this size and root.
///
/// # Errors
///
/// Why the proof is not valid.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Sizes);
    }
    let (mut at, mut last, mut top) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            top = node(sibling, &top);
            climb_while_left(&mut at, &mut last);
        } else {
            top = node(&top, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    ended(last)?;
    same(&top, root)
}

/// Verifies that the tree with the old size and root is a prefix of the tree with the new size and root.
///
/// # Errors
///
/// Why the proof is not valid.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::Sizes);
    }
    if old_size == 0 || old_size == new_size {
        let expected = if old_size == 0 { &EMPTY_ROOT } else { new_root };
        return if proof.is_empty() { same(old_root, expected) } else { Err(ProofError::Length) };
    }
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    let whole = at.trailing_ones();
    (at, last) = (at >> whole, last >> whole);
    // An old tree that is a complete subtree of the new one is the starting point and is not repeated in the proof.
    let (start, proof) = match old_size.is_power_of_two() {
        true => (old_root, proof),
        false => proof.split_first().ok_or(ProofError::Length)?,
    };
    let (mut old_top, mut new_top) = (*start, *start);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            old_top = node(sibling, &old_top);
            new_top = node(sibling, &new_top);
            climb_while_left(&mut at, &mut last);
        } else {
            new_top = node(&new_top, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    ended(last)?;
    same(&old_top, old_root)?;
    same(&new_top, new_root)
}

/// Moves up the levels on which the node `at` is a left child: at the right edge such a node has no sibling there.
fn climb_while_left(at: &mut u64, last: &mut u64) {
    if *at != 0 {
        let levels = at.trailing_zeros();
        (*at, *last) = (*at >> levels, *last >> levels);
    }
}

fn ended(last: u64) -> Result<(), ProofError> {
    if last == 0 { Ok(()) } else { Err(ProofError::Length) }
}

fn same(found: &Hash, expected: &Hash) -> Result<(), ProofError> {
    if found == expected { Ok(()) } else { Err(ProofError::Root) }
}

/// Largest power of two below `count`, which is at least 2: the number of leaves in the left half of a tree with
/// `count` leaves.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// Level and index of the complete subtrees that cover the leaves from `low` to before `high`. `low` must be a place
/// where [`split`] divides the tree.
fn subtrees(mut low: u64, high: u64) -> impl Iterator<Item = (u32, u64)> {
    std::iter::from_fn(move || {
        let level = (high - low).checked_ilog2()?;
        let index = low >> level;
        low += 1 << level;
        Some((level, index))
    })
}

fn range_root<E>(low: u64, high: u64, mut read: impl FnMut(u64) -> Result<Hash, E>) -> Result<Hash, E> {
    let peaks = subtrees(low, high).map(|(level, index)| read(position(level, index)));
    Ok(fold_right(&peaks.collect::<Result<Vec<_>, E>>()?))
}

fn fold_right(peaks: &[Hash]) -> Hash {
    let Some((last, before)) = peaks.split_last() else { return EMPTY_ROOT };
    before.iter().rev().fold(*last, |right, left| node(left, &right))
}

#[cfg(test)]
mod tests;
