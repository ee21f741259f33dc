//! Measures the limits of the machine without the engine: the disk, SHA-256 and SQLite.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::row::Sample;
use super::text::Texts;

/// Size of a record that is written to measure the disk limit, bytes. It is the size of a small event.
const RECORD_BYTES: usize = 320;
/// Sizes of the inputs that one round hashes to measure the SHA-256 limit, bytes.
pub(super) const SMALL: &[usize] = &[300];
/// Sizes of the inputs that are hashed for one event with a text of that size, bytes: its envelope, its salt and
/// payload, its leaf, and a node of the tree.
pub(super) const EVENT: &[usize] = &[340, 360, 33, 65];
/// Number of rows of one transaction.
const ROWS: u64 = 4_096;

/// Appends groups of records and calls `fdatasync` after each group. The rate is records per second.
pub(super) fn group_commit(directory: &Path, group: usize, duration: Duration) -> std::io::Result<Sample> {
    let path = directory.join("limit.log");
    let file = File::create(&path)?;
    let bytes = vec![b'x'; RECORD_BYTES * group];
    let (mut latencies, mut offset, started) = (Vec::new(), 0, Instant::now());
    while started.elapsed() < duration {
        let before = Instant::now();
        file.write_all_at(&bytes, offset)?;
        file.sync_data()?;
        latencies.push(before.elapsed());
        offset += bytes.len() as u64;
    }
    let elapsed = started.elapsed();
    std::fs::remove_file(&path)?;
    Ok(Sample::new(latencies, group as u64, elapsed))
}

/// Hashes inputs of these lengths repeatedly with SHA-256 on one core. Returns rounds per second; one round hashes all
/// inputs once.
pub(super) fn sha256(lengths: &[usize], duration: Duration) -> f64 {
    let text = [7_u8; 512];
    let (mut done, started) = (0_u64, Instant::now());
    while started.elapsed() < duration {
        for _ in 0..1_000 {
            for length in lengths {
                black_box(Sha256::digest(black_box(&text[..*length])));
            }
        }
        done += 1_000;
    }
    done as f64 / started.elapsed().as_secs_f64()
}

/// Inserts rows with a full-text index in large transactions. Returns rows per second.
pub(super) fn sqlite(directory: &Path, duration: Duration) -> anyhow::Result<f64> {
    let path = directory.join("limit.sqlite");
    let mut connection = Connection::open(&path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192;
         CREATE TABLE memories (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash BLOB NOT NULL,
            project TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, tags TEXT NOT NULL, actor TEXT NOT NULL,
            session TEXT, occurred_at TEXT NOT NULL, created_at TEXT NOT NULL, content TEXT NOT NULL) STRICT;
         CREATE VIRTUAL TABLE memories_fts USING fts5 (title, content, tags, content = 'memories',
            content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2');",
    )?;
    let (mut texts, mut rows, mut spent) = (Texts::new(3), 0, Duration::ZERO);
    while spent < duration {
        let contents: Vec<String> = (0..ROWS).map(|_| texts.content()).collect();
        let before = Instant::now();
        insert(&mut connection, rows, &contents)?;
        spent += before.elapsed();
        rows += ROWS;
    }
    Ok(rows as f64 / spent.as_secs_f64())
}

fn insert(connection: &mut Connection, after: u64, contents: &[String]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut row = transaction.prepare_cached(
            "INSERT INTO memories VALUES (?1,?2,?3,'bench','note','','[]','anonymous',NULL,?4,?4,?5)",
        )?;
        let mut words = transaction.prepare_cached(
            "INSERT INTO memories_fts (rowid, title, content, tags) VALUES (?1, '', ?2, '[]')",
        )?;
        for (seq, content) in (after + 1..).zip(contents) {
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            row.execute(params![
                seq,
                format!("{seq:032x}"),
                [7_u8; 32],
                "2026-01-01T00:00:00.000000Z",
                content
            ])?;
            words.execute(params![seq, content])?;
        }
    }
    transaction.commit()
}
