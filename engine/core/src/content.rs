//! Digest of a projection's content: a hash of the multiset of its rows, independent of their order.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::digest::{Hash, hex};

/// Tables whose rows the digest covers. All other data of a projection (indexes, the full-text index) is derived from
/// these tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Memories, as saved.
    Memories,
    /// Ends of validity of memories.
    Invalidations,
    /// Requests sent with an idempotency key.
    Requests,
    /// Settings changed at runtime.
    Settings,
    /// Documents that memories are pieces of.
    Sources,
    /// Feedback on memories.
    Feedback,
    /// Events whose payloads were removed.
    Forgotten,
    /// Items, one row for each version.
    Items,
    /// Extensions of the expiry of item versions.
    Refreshes,
    /// Entities of the graph.
    Entities,
    /// Observations about entities.
    Observations,
    /// Relations between entities.
    Relations,
    /// Ends of validity of entities, observations and relations.
    GraphEnds,
    /// Entities that memories mention.
    Mentions,
}

impl Table {
    /// All tables.
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

    /// Name of the table in the database.
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

/// One value of a row, by its type in the database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number. The engine writes none; a foreign row may contain one.
    Real(f64),
    /// Text. Stored as bytes, because a foreign row may contain invalid UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

/// SHA-256 of a row. Covers the name of the table, and the values in column order with their types; values of variable
/// length include their length. Two different rows are therefore never encoded as the same bytes.
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

/// Sum of the hashes of all rows, modulo 2^256. It does not depend on the order of rows, and rows can be removed again,
/// so keeping it up to date costs one hash for each changed row.
///
/// Two projections with the same digest contain the same rows. If the digest is not the sum over the rows, something
/// other than the projector changed the projection: a row was edited, added or removed, by a bit flip or by hand. The
/// digest is no protection against an attacker who changes rows and digest together, or who can choose many rows and
/// search for sets with equal sums. Only a projection rebuilt from the log has a digest that such an attacker cannot
/// have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest(pub [u8; 32]);

impl ContentDigest {
    /// The digest of no rows.
    pub const EMPTY: ContentDigest = ContentDigest([0; 32]);

    /// Adds a row.
    pub fn add(&mut self, row: Hash) {
        let mut carry = 0;
        for (sum, byte) in self.0.iter_mut().zip(row.0) {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            *sum = total.to_le_bytes()[0];
            carry = total >> 8;
        }
    }

    /// Removes a row.
    pub fn remove(&mut self, row: Hash) {
        // Adding the two's complement subtracts.
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
