//! Removes the rows of erased payloads from the projection.

use engine_core::content::{ContentDigest, Table};
use engine_core::digest::{Hash, Salt};
use rusqlite::{Transaction, named_params};

use super::items;
use super::row_digest::hash_of;
use super::schema;
use super::values::IDS;

/// Tables in which each row belongs to exactly one event and no other row depends on it.
const SINGLE: [Table; 6] = [
    Table::Refreshes,
    Table::Entities,
    Table::Observations,
    Table::Relations,
    Table::GraphEnds,
    Table::Mentions,
];

/// Maximum number of memories whose words are removed from the pages of the full-text index one by one, which takes a
/// fraction of a second. If more memories are forgotten at once, a new projection without these memories is built while
/// this projection serves. Merging the index is not enough: FTS5 keeps some of the words that it has marked as deleted.
const AT_ONCE_MAX: i64 = 32;

/// Removes all rows of the events with the ids `ids`. The remaining rows are the rows that a log without the payloads
/// of these events produces. SQLite overwrites deleted cells and pages (`secure_delete`). The write-ahead log contains
/// the payloads until the projector's next step empties it. If many memories are forgotten, the full-text index
/// contains their words until a new index replaces it.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    digest: &mut ContentDigest,
    ids: &[String],
) -> rusqlite::Result<()> {
    let ids = serde_json::to_string(ids).expect("a list of strings is always JSON");
    let named = format!("id IN {IDS}");
    // Delete the ends of memories first, because they are found through the rows of their memories. An end whose memory
    // does not exist has no row.
    let memories = format!("(SELECT seq FROM memories WHERE {named})");
    let about = format!("id IN {IDS} OR memory IN {memories}");
    remove_from_digest(transaction, digest, Table::Invalidations, &about, &ids)?;
    transaction.execute(&format!("DELETE FROM invalidations WHERE {about}"), named_params! {":ids": ids})?;
    remove_from_digest(transaction, digest, Table::Feedback, &about, &ids)?;
    transaction.execute(&format!("DELETE FROM feedback WHERE {about}"), named_params! {":ids": ids})?;
    let pieces = format!("seq IN {memories}");
    remove_from_digest(transaction, digest, Table::Sources, &pieces, &ids)?;
    transaction.execute(&format!("DELETE FROM sources WHERE {pieces}"), named_params! {":ids": ids})?;

    remove_from_digest(transaction, digest, Table::Memories, &named, &ids)?;
    let count = format!("SELECT count(*) FROM memories WHERE {named}");
    let count: i64 = transaction.query_row(&count, named_params! {":ids": ids}, |row| row.get(0))?;
    if count > AT_ONCE_MAX {
        schema::set_secure_index_deletes(transaction, false)?;
    }
    // FTS5 has to be given the words that it removes.
    let words = format!(
        "INSERT INTO memories_fts (memories_fts, rowid, title, content, tags)
         SELECT 'delete', seq, terms(title), terms(content), terms(tags) FROM memories WHERE {named}"
    );
    transaction.execute(&words, named_params! {":ids": ids})?;
    let texts = format!("DELETE FROM memory_texts WHERE seq IN {memories}");
    transaction.execute(&texts, named_params! {":ids": ids})?;
    transaction.execute(&format!("DELETE FROM memories WHERE {named}"), named_params! {":ids": ids})?;

    remove_from_digest(transaction, digest, Table::Settings, &named, &ids)?;
    transaction.execute(&format!("DELETE FROM settings WHERE {named}"), named_params! {":ids": ids})?;
    let words = items::unindex(transaction, &ids)?;
    delete(transaction, digest, Table::Items, &named, &ids)?;
    items::reindex(transaction, &words)?;
    for table in SINGLE {
        delete(transaction, digest, table, &named, &ids)?;
    }

    // The idempotency key remains in use. Without its salt, no later request can be matched to the stored request.
    for hash in hashes(transaction, Table::Requests, &named, &ids)? {
        digest.remove(hash);
    }
    let unsalt = format!("UPDATE requests SET salt = :salt WHERE {named}");
    transaction.execute(&unsalt, named_params! {":ids": ids, ":salt": Salt::FORGOTTEN.0})?;
    for hash in hashes(transaction, Table::Requests, &named, &ids)? {
        digest.add(hash);
    }
    Ok(())
}

fn delete(
    transaction: &Transaction<'_>,
    digest: &mut ContentDigest,
    table: Table,
    which: &str,
    ids: &str,
) -> rusqlite::Result<()> {
    remove_from_digest(transaction, digest, table, which, ids)?;
    let delete = format!("DELETE FROM {} WHERE {which}", table.name());
    transaction.execute(&delete, named_params! {":ids": ids}).map(drop)
}

fn remove_from_digest(
    transaction: &Transaction<'_>,
    digest: &mut ContentDigest,
    table: Table,
    which: &str,
    ids: &str,
) -> rusqlite::Result<()> {
    for hash in hashes(transaction, table, which, ids)? {
        digest.remove(hash);
    }
    Ok(())
}

fn hashes(
    transaction: &Transaction<'_>,
    table: Table,
    which: &str,
    ids: &str,
) -> rusqlite::Result<Vec<Hash>> {
    let mut statement = transaction.prepare(&format!("SELECT * FROM {} WHERE {which}", table.name()))?;
    let columns = statement.column_count();
    statement.query_map(named_params! {":ids": ids}, |row| hash_of(table, row, columns))?.collect()
}
