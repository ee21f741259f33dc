//! What a projection holds, as one number: the digest of a multiset of rows.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::digest::{Hash, hex};

/// Tables whose rows the digest covers. What else a projection has (indexes, the full-text index) follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Memories as they were saved.
    Memories,
    /// Ends of their validity.
    Invalidations,
    /// Requests that came with an idempotency key.
    Requests,
    /// What was set while an engine ran.
    Settings,
    /// Documents that memories are pieces of.
    Sources,
    /// What was said about the use of memories.
    Feedback,
    /// Events whose payloads were removed.
    Forgotten,
    /// Items, one row for each version.
    Items,
    /// More time for versions of items.
    Refreshes,
    /// Entities.
    Entities,
    /// What was observed of them.
    Observations,
    /// Relations between them.
    Relations,
    /// Ends of the validity of those three.
    GraphEnds,
    /// Entities that memories are about.
    Mentions,
}

impl Table {
    /// All of them.
    pub const ALL: &[Table] = &[
        Table::Memories,
        Table::Invalidations,
        Table::Requests,
        Table::Settings,
        Table::Sources,
        Table::Feedback,
        Table::Forgotten,
        Table::Items,
        Table::Refreshes,
        Table::Entities,
        Table::Observations,
        Table::Relations,
        Table::GraphEnds,
        Table::Mentions,
    ];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Memories => "memories",
            Table::Invalidations => "invalidations",
            Table::Requests => "requests",
            Table::Settings => "settings",
            Table::Sources => "sources",
            Table::Feedback => "feedback",
            Table::Forgotten => "forgotten",
            Table::Items => "items",
            Table::Refreshes => "refreshes",
            Table::Entities => "entities",
            Table::Observations => "observations",
            Table::Relations => "relations",
            Table::GraphEnds => "graph_ends",
            Table::Mentions => "mentions",
        }
    }
}

/// One value of a row, in the types the database has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number that no row of ours has; somebody else's row may.
    Real(f64),
    /// Text. Bytes, because somebody else's row may hold what is not UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

/// SHA-256 of a row: the name of its table and its values in the order of its columns, each with its type, those
/// of variable length with their length, so that no two different rows are the same bytes.
pub fn row_hash<'a>(table: Table, cells: impl IntoIterator<Item = Cell<'a>>) -> Hash {
    let mut sha = Sha256::new();
    let mut framed = |kind: u8, bytes: &[u8]| {
        sha.update([kind]);
        sha.update((bytes.len() as u64).to_le_bytes());
        sha.update(bytes);
    };
    framed(b'T', table.name().as_bytes());
    for cell in cells {
        match cell {
            Cell::Null => framed(b'n', &[]),
            Cell::Integer(value) => framed(b'i', &value.to_le_bytes()),
            Cell::Real(value) => framed(b'r', &value.to_le_bytes()),
            Cell::Text(text) => framed(b't', text),
            Cell::Blob(bytes) => framed(b'b', bytes),
        }
    }
    Hash(sha.finalize().into())
}

/// Sum of the hashes of all rows, modulo 2^256. The order in which rows come does not count, and a row can be taken
/// out again, so it is kept up to date at the price of one hash for each row that changes.
///
/// Two projections with the same digest hold the same rows; one whose digest is not the sum over its rows was
/// changed by something that was not the projector: a row edited, added or removed, by a bit or by hand. It proves
/// nothing against somebody who changes rows and digest together, or who may choose many rows and search for sets
/// with equal sums. Against those there is the log: building again gives the digest that is right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest(pub [u8; 32]);

impl ContentDigest {
    /// No rows.
    pub const EMPTY: ContentDigest = ContentDigest([0; 32]);

    /// A row was added.
    pub fn add(&mut self, row: Hash) {
        let mut carry = 0;
        for (sum, byte) in self.0.iter_mut().zip(row.0) {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            *sum = total.to_le_bytes()[0];
            carry = total >> 8;
        }
    }

    /// A row was removed.
    pub fn remove(&mut self, row: Hash) {
        // Adding the two's complement takes away.
        let mut negative = ContentDigest(row.0.map(|byte| !byte));
        let mut one = [0; 32];
        one[0] = 1;
        negative.add(Hash(one));
        self.add(Hash(negative.0));
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(rows: &[[u8; 32]]) -> ContentDigest {
        let mut digest = ContentDigest::EMPTY;
        rows.iter().for_each(|row| digest.add(Hash(*row)));
        digest
    }

    proptest! {
        #[test]
        fn order_does_not_count_and_every_row_does(rows in prop::collection::vec(any::<[u8; 32]>(), 1..20)) {
            let whole = sum(&rows);
            let mut backwards = rows.clone();
            backwards.reverse();
            prop_assert_eq!(sum(&backwards), whole);
            for (i, row) in rows.iter().enumerate() {
                let mut without = whole;
                without.remove(Hash(*row));
                let others: Vec<_> = rows[..i].iter().chain(&rows[i + 1..]).copied().collect();
                prop_assert_eq!(without, sum(&others));
                prop_assert!(*row == [0; 32] || without != whole);
            }
        }
    }

    #[test]
    fn a_row_twice_is_not_a_row_once_nor_none() {
        let row = row_hash(Table::Memories, [Cell::Integer(1)]);
        assert_ne!(sum(&[row.0, row.0]), sum(&[row.0]));
        assert_ne!(sum(&[row.0, row.0]), ContentDigest::EMPTY, "a sum, not an exclusive or");
    }

    #[test]
    fn different_rows_are_different_bytes() {
        let rows = [
            row_hash(Table::Memories, [Cell::Text(b"ab"), Cell::Text(b"c")]),
            row_hash(Table::Memories, [Cell::Text(b"a"), Cell::Text(b"bc")]),
            row_hash(Table::Memories, [Cell::Text(b"abc")]),
            row_hash(Table::Memories, [Cell::Blob(b"abc")]),
            row_hash(Table::Requests, [Cell::Text(b"abc")]),
            row_hash(Table::Memories, [Cell::Null]),
            row_hash(Table::Memories, [Cell::Text(b"")]),
            row_hash(Table::Memories, [Cell::Integer(0)]),
            row_hash(Table::Memories, [Cell::Real(0.0)]),
        ];
        for (i, row) in rows.iter().enumerate() {
            assert!(!rows[..i].contains(row), "row {i}");
        }
    }
}
