//! Tests the tree against the recursive definitions of RFC 6962, section 2.1.

use std::convert::Infallible;

use super::*;

/// Largest tree size of the exhaustive tests.
const SIZE_MAX: u64 = 300;

fn event(n: u64) -> Hash {
    Hash::of(&n.to_be_bytes())
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|n| leaf(&event(n))).collect()
}

fn naive_split(leaves: &[Hash]) -> (&[Hash], &[Hash]) {
    let mut k = 1;
    while k * 2 < leaves.len() {
        k *= 2;
    }
    leaves.split_at(k)
}

fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(b""),
        [only] => *only,
        _ => {
            let (left, right) = naive_split(leaves);
            node(&naive_root(left), &naive_root(right))
        }
    }
}

fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = naive_split(leaves);
    let (mut path, other) = match m < left.len() {
        true => (naive_path(m, left), right),
        false => (naive_path(m - left.len(), right), left),
    };
    path.push(naive_root(other));
    path
}

fn naive_subproof(m: usize, leaves: &[Hash], complete: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if complete { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = naive_split(leaves);
    let (mut proof, other) = match m <= left.len() {
        true => (naive_subproof(m, left, complete), right),
        false => (naive_subproof(m - left.len(), right, false), left),
    };
    proof.push(naive_root(other));
    proof
}

fn at(index: u64) -> usize {
    usize::try_from(index).expect("tests are small")
}

/// The stored hashes of a tree with `size` leaves, and the frontier at every size up to `size`.
fn grow(size: u64) -> (Vec<Hash>, Vec<Frontier>) {
    let (mut stored, mut frontiers) = (Vec::new(), vec![Frontier::empty()]);
    for leaf in leaves(size) {
        let mut next = frontiers.last().expect("it starts with one").clone();
        next.push(leaf, &mut stored);
        frontiers.push(next);
    }
    (stored, frontiers)
}

fn reader(stored: &[Hash]) -> impl FnMut(u64) -> Result<Hash, Infallible> + Copy {
    |position| Ok(stored[at(position)])
}

#[test]
fn roots_are_those_of_the_definition() {
    let leaves = leaves(SIZE_MAX);
    let (stored, frontiers) = grow(SIZE_MAX);
    assert_eq!(stored.len() as u64, stored_count(SIZE_MAX));
    for size in 0..=SIZE_MAX {
        let root = naive_root(&leaves[..at(size)]);
        assert_eq!(frontiers[at(size)].root(), root, "{size}");
        assert_eq!(frontiers[at(size)].size(), size);
        assert_eq!(root_at(size, reader(&stored)), Ok(root), "{size}");
        assert_eq!(Frontier::load(size, reader(&stored)).as_ref(), Ok(&frontiers[at(size)]), "{size}");
    }
}

#[test]
fn a_smaller_tree_is_the_beginning_of_a_larger_ones_file() {
    let (stored, _) = grow(SIZE_MAX);
    for size in 0..SIZE_MAX {
        assert_eq!(grow(size).0, stored[..at(stored_count(size))], "{size}");
    }
}

#[test]
fn positions_are_where_the_hashes_are() {
    let (leaves, (stored, _)) = (leaves(256), grow(256));
    for level in 0..=8_u32 {
        for index in 0..(256_u64 >> level) {
            let range = at(index << level)..at((index + 1) << level);
            assert_eq!(stored[at(position(level, index))], naive_root(&leaves[range]), "{level} {index}");
        }
    }
    assert_eq!(stored_count(i64::MAX.unsigned_abs()), u64::MAX - 1 - 63);
}

#[test]
fn inclusion_is_proved_as_defined_for_every_leaf_of_every_size() {
    let leaves = leaves(SIZE_MAX);
    let (stored, frontiers) = grow(SIZE_MAX);
    for size in 1..=SIZE_MAX {
        let root = frontiers[at(size)].root();
        for index in 0..size {
            let Ok(proof) = inclusion_proof(index, size, reader(&stored));
            let proof = proof.expect("the leaf is there");
            // The recursive definition is quadratic: every size is tested, but only some of the large ones.
            if size < 130 || index % 17 == 0 {
                assert_eq!(proof, naive_path(at(index), &leaves[..at(size)]), "{index} of {size}");
            }
            assert_eq!(verify_inclusion(&leaves[at(index)], index, size, &proof, &root), Ok(()));
        }
        assert_eq!(inclusion_proof(size, size, reader(&stored)), Ok(None));
    }
}

#[test]
fn consistency_is_proved_as_defined_between_every_two_sizes() {
    let leaves = leaves(SIZE_MAX);
    let (stored, frontiers) = grow(SIZE_MAX);
    for new in 0..=SIZE_MAX {
        for old in 0..=new {
            let Ok(proof) = consistency_proof(old, new, reader(&stored));
            let proof = proof.expect("the sizes are in order");
            if old > 0 && (new < 130 || old % 17 == 0) {
                assert_eq!(proof, naive_subproof(at(old), &leaves[..at(new)], true), "{old} to {new}");
            }
            let (old_root, new_root) = (frontiers[at(old)].root(), frontiers[at(new)].root());
            assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()), "{old} to {new}");
        }
        assert_eq!(consistency_proof(new + 1, new, reader(&stored)), Ok(None));
    }
}

/// Variants of a correct proof: one bit flipped in each hash, a hash removed, one added, two swapped.
fn mutations(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for i in 0..proof.len() {
        for (byte, bit) in [(0, 0), (13, 3), (31, 7)] {
            let mut flipped = proof.to_vec();
            flipped[i].0[byte] ^= 1 << bit;
            all.push(flipped);
        }
        all.push([&proof[..i], &proof[i + 1..]].concat());
        all.push([&proof[..=i], &proof[i..]].concat());
        if i > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(i - 1, i);
            all.push(swapped);
        }
    }
    all.push([proof, &[Hash::ZERO]].concat());
    all.push([&[Hash::ZERO], proof].concat());
    all
}

#[test]
fn no_changed_inclusion_proof_is_taken() {
    let leaves = leaves(40);
    let (stored, frontiers) = grow(40);
    for size in 1..=40 {
        let root = frontiers[at(size)].root();
        for index in 0..size {
            let Ok(Some(proof)) = inclusion_proof(index, size, reader(&stored)) else { panic!("a leaf") };
            let leaf = &leaves[at(index)];
            for changed in mutations(&proof) {
                assert!(verify_inclusion(leaf, index, size, &changed, &root).is_err(), "{index} of {size}");
            }
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(verify_inclusion(leaf, other, size, &proof, &root).is_err(), "{index} as {other}");
            }
            assert!(verify_inclusion(&Hash::ZERO, index, size, &proof, &root).is_err());
            assert!(verify_inclusion(leaf, index, size, &proof, &Hash::ZERO).is_err());
        }
    }
}

#[test]
fn no_changed_consistency_proof_is_taken() {
    let (stored, frontiers) = grow(40);
    for new in 0..=40 {
        for old in 0..=new {
            let Ok(Some(proof)) = consistency_proof(old, new, reader(&stored)) else { panic!("in order") };
            let (old_root, new_root) = (frontiers[at(old)].root(), frontiers[at(new)].root());
            for changed in mutations(&proof) {
                let verdict = verify_consistency(old, &old_root, new, &new_root, &changed);
                assert!(verdict.is_err(), "{old} to {new}: {changed:?}");
            }
            assert!(verify_consistency(old, &Hash::ZERO, new, &new_root, &proof).is_err());
            // Every tree extends the empty one, so a proof from size 0 shows nothing about the tree.
            assert!(old == 0 || verify_consistency(old, &old_root, new, &Hash::ZERO, &proof).is_err());
            if old < new {
                assert_eq!(
                    verify_consistency(new, &new_root, old, &old_root, &proof),
                    Err(ProofError::Sizes)
                );
            }
        }
    }
}

/// Computes a made-up hash from its position instead of reading a stored one, for trees that are too large to build.
fn made_up(position: u64) -> Result<Hash, Infallible> {
    Ok(event(position))
}

#[test]
fn proofs_of_a_hundred_million_events_are_below_a_kilobyte() {
    let size = 100_000_000;
    let Ok(root) = root_at(size, made_up);
    for index in [0, 1, 4_711, size / 2, 1 << 26, size - 2, size - 1] {
        let Ok(Some(proof)) = inclusion_proof(index, size, made_up) else { panic!("a leaf") };
        assert!(proof.len() * 32 <= 864, "{} hashes", proof.len());
    }
    // The made-up hash of a parent does not match those of its children, so only proofs that start from stored subtrees
    // can be verified.
    for old in [1_u64, 3, 4_711, 65_536, (1 << 26) - 1, 1 << 26, (1 << 26) + 1, 99_999_999, size] {
        let Ok(Some(proof)) = consistency_proof(old, size, made_up) else { panic!("in order") };
        assert!(proof.len() * 32 <= 1024, "{} hashes", proof.len());
    }
    let old = 1 << 26;
    let (Ok(Some(proof)), Ok(old_root)) = (consistency_proof(old, size, made_up), root_at(old, made_up))
    else {
        panic!("in order")
    };
    assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
}

#[test]
fn a_failing_read_fails_the_proof() {
    let failing = |position| if position == 3 { Err("read") } else { Ok(event(position)) };
    assert_eq!(inclusion_proof(0, 3, failing).map(|_| ()), Err("read"));
    assert_eq!(root_at(3, failing), Err("read"));
    assert_eq!(Frontier::load(3, failing).map(|_| ()), Err("read"));
}

#[test]
fn spans_join_to_the_tree_wherever_they_are_cut() {
    let leaves = leaves(64);
    let (_, frontiers) = grow(64);
    for first in 0..=64_u64 {
        for second in first..=64 {
            let mut tree = Frontier::empty();
            for (start, end) in [(0, first), (first, second), (second, 64)] {
                let mut span = Span::empty(start);
                leaves[at(start)..at(end)].iter().for_each(|leaf| span.push(*leaf));
                assert_eq!((span.start(), span.end()), (start, end));
                assert!(span.subtrees.len() <= 14, "a span is kept short");
                assert!(tree.append(&span));
                assert_eq!(tree, frontiers[at(end)]);
            }
            assert!(!tree.append(&Span::empty(first)) || first == 64, "a span fits in one place");
        }
    }
}

/// Leaves, roots and proofs of the reference implementation of Certificate Transparency.
#[test]
fn the_vectors_of_rfc_6962_implementations() {
    let data: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hash = |hex: &str| Hash::from_hex(hex.as_bytes()).expect("a hash");
    let leaves: Vec<Hash> = data.iter().map(|data| Hash::of(&[b"\x00", *data].concat())).collect();
    let (mut tree, mut stored) = (Frontier::empty(), Vec::new());
    assert_eq!(tree.root(), hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    for (leaf, root) in leaves.iter().zip(roots) {
        tree.push(*leaf, &mut stored);
        assert_eq!(tree.root(), hash(root));
    }
    let path_of_the_sixth = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    let expected = path_of_the_sixth.map(hash).to_vec();
    assert_eq!(inclusion_proof(5, 8, reader(&stored)), Ok(Some(expected)));
    let six_to_eight = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(consistency_proof(6, 8, reader(&stored)), Ok(Some(six_to_eight.map(hash).to_vec())));
}
