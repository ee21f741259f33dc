//! The file with the vectors of external models. Each vector costs a request to the provider. The file can be deleted
//! at any time; the vectors are then computed again. It contains no text: a digest identifies the text of each vector.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine_core::embedding::length;
use engine_core::embedding::quantised::Quantised;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

const FILE: &str = "vectors.sqlite";
/// Schema version. A file with another version is deleted.
const VERSION: i64 = 1;
/// Number of vectors of other models that are removed in one transaction.
const DROP_STEP: usize = 2_000;

const TABLES: &str = "
CREATE TABLE models (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, dimensions INTEGER NOT NULL, -- asked for; 0: none
    url TEXT NOT NULL, dimension INTEGER NOT NULL, -- unused: the stored vectors have it
    complete INTEGER NOT NULL,
    UNIQUE (name, dimensions)
) STRICT;
-- What a scan needs stands before the vector itself, so that reading it does not read that.
CREATE TABLE vectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT, model INTEGER NOT NULL, memory INTEGER NOT NULL, project TEXT NOT NULL,
    sha256 BLOB NOT NULL, scale REAL NOT NULL, cells BLOB NOT NULL, vector BLOB NOT NULL,
    UNIQUE (model, memory)
) STRICT;
CREATE INDEX vectors_by_project ON vectors (model, project, id);
CREATE INDEX vectors_by_text ON vectors (model, sha256);
";

/// SQL condition that makes SQLite use the index on model and memory, one model at a time.
const OF_ANY_MODEL: &str = "FROM vectors WHERE model IN (SELECT id FROM models) AND memory";

/// SQL expression for the dimension of the stored vectors of a row of `models`: that of the first memory that has one,
/// found by the index on model and memory. The vectors themselves have it, so that it cannot differ from them.
const DIMENSION: &str = "coalesce((SELECT length(vector) / 4 FROM vectors
    WHERE model = models.id AND length(vector) > 0 ORDER BY memory LIMIT 1), 0)";

/// SHA-256 of an embedded text.
pub(super) type TextDigest = [u8; 32];

/// SHA-256 of an embedded text.
pub fn digest(text: &str) -> TextDigest {
    Sha256::digest(text.as_bytes()).into()
}

/// A row of the table of models: a model that has made vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelRow {
    pub(super) id: i64,
    pub(super) name: String,
    /// Requested dimension, if any.
    pub(super) dimensions: Option<usize>,
    /// URL at which the model was used last.
    pub(super) url: String,
    /// Dimension of the model's stored vectors; 0 if there are none.
    pub(super) dimension: usize,
    /// Whether at some time all memories had a vector of this model.
    pub(super) complete: bool,
}

/// A vector to store. An empty vector records that the model makes no vector of the text.
#[derive(Debug)]
pub(super) struct NewVector<'a> {
    pub(super) memory: i64,
    pub(super) project: &'a str,
    pub(super) digest: TextDigest,
    pub(super) vector: &'a [f32],
}

/// A stored vector in its quantised form.
#[derive(Debug)]
pub struct Stored<'a> {
    /// Id of the row. Ids ascend in the order in which vectors were stored.
    pub id: i64,
    /// Sequence number of the memory.
    pub memory: i64,
    /// Digest of the embedded text.
    pub digest: TextDigest,
    /// Factor that turns `cells` into the unit vector.
    pub scale: f32,
    /// Signed bytes; empty if the text has no vector.
    pub cells: &'a [u8],
}

/// The file and its connections.
#[derive(Debug)]
pub struct VectorStore {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl VectorStore {
    /// Deletes the file.
    pub(super) fn discard(directory: &Path) -> Result<(), io::Error> {
        remove(&directory.join(FILE))
    }

    /// Opens the file; replaces a file that is damaged or has another version.
    pub(super) fn open(directory: &Path) -> rusqlite::Result<VectorStore> {
        let cannot = |fault: io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(fault));
        fs::create_dir_all(directory).map_err(cannot)?;
        let path = directory.join(FILE);
        let found = match begin(&path) {
            Err(fault) if !is_damage(&fault) => return Err(fault),
            found => found.ok().flatten(),
        };
        let writer = match found {
            Some(writer) => writer,
            None => {
                tracing::warn!("the vector file is damaged or of another version; vectors are recomputed");
                remove(&path).map_err(cannot)?;
                begin(&path)?.ok_or(rusqlite::Error::InvalidQuery)?
            }
        };
        Ok(VectorStore { path, writer: Mutex::new(writer), readers: Mutex::default() })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `read` on a separate connection, so that reads run in parallel with the writer.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| connect(&self.path), Ok)?;
        let answer = read(&connection)?;
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }

    /// The row of a model; it is created if it is missing.
    pub(super) fn model(
        &self,
        name: &str,
        dimensions: Option<usize>,
        url: &str,
    ) -> rusqlite::Result<ModelRow> {
        self.writer().execute(
            "INSERT INTO models (name, dimensions, url, dimension, complete) VALUES (?1, ?2, ?3, 0, 0)
             ON CONFLICT (name, dimensions) DO UPDATE SET url = excluded.url",
            (name, number(dimensions.unwrap_or(0)), url),
        )?;
        let found = self.models()?.into_iter().find(|row| row.name == name && row.dimensions == dimensions);
        found.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// All models, newest first.
    pub(super) fn models(&self) -> rusqlite::Result<Vec<ModelRow>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT id, name, dimensions, url, {DIMENSION}, complete FROM models ORDER BY id DESC"
            ))?;
            let rows = statement.query_map([], |row| {
                Ok(ModelRow {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    dimensions: Some(size(row.get(2)?)).filter(|dimensions| *dimensions > 0),
                    url: row.get(3)?,
                    dimension: size(row.get(4)?),
                    complete: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Records that every memory has a vector of this model.
    pub(super) fn complete(&self, model: i64) -> rusqlite::Result<()> {
        self.writer().execute("UPDATE models SET complete = 1 WHERE id = ?1", [model]).map(drop)
    }

    /// Text digests of the usable vectors of this model, for the memories with sequence numbers above `after` and up to
    /// `through`.
    pub(super) fn held(
        &self,
        model: i64,
        after: i64,
        through: i64,
    ) -> rusqlite::Result<BTreeMap<i64, TextDigest>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT memory, sha256 FROM vectors
                     WHERE model = ?1 AND memory > ?2 AND memory <= ?3 AND {}",
                usable()
            ))?;
            statement.query_map((model, after, through), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Id of the last vector of any model, and the number of vectors of this model.
    pub(super) fn extent(&self, model: i64) -> rusqlite::Result<(i64, u64)> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT (SELECT coalesce(max(id), 0) FROM vectors), count(*) FROM vectors WHERE model = ?1")?
                .query_row([model], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))
        })
    }

    /// A stored vector of the text with this digest.
    pub(super) fn same(&self, model: i64, digest: &TextDigest) -> rusqlite::Result<Option<Vec<f32>>> {
        self.read(|connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT vector FROM vectors WHERE model = ?1 AND sha256 = ?2 AND {} LIMIT 1",
                    usable()
                ))?
                .query_row((model, digest), |row| Ok(numbers(row.get_ref(0)?.as_blob()?)))
                .optional()
        })
    }

    /// Stores vectors atomically. They replace earlier vectors of the same memories.
    pub(super) fn put(&self, model: i64, vectors: &[NewVector<'_>]) -> rusqlite::Result<()> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        for NewVector { memory, project, digest, vector } in vectors {
            let quantised = Quantised::new(vector);
            let length = length(vector);
            let scale = if length > 0.0 { f64::from(quantised.scale / length) } else { 0.0 };
            let cells: Vec<u8> = quantised.cells.iter().map(|cell| cell.cast_unsigned()).collect();
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO vectors (model, memory, project, sha256, scale, cells, vector)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute((model, memory, project, digest, scale, cells, bytes))?;
        }
        transaction.commit()
    }

    /// Removes every vector of these memories, also from the write-ahead log, because a vector reveals much of its
    /// text.
    pub(super) fn remove(&self, memories: &[i64]) -> rusqlite::Result<usize> {
        if memories.is_empty() {
            return Ok(0);
        }
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        let mut removed = 0;
        for memory in memories {
            removed +=
                transaction.prepare_cached(&format!("DELETE {OF_ANY_MODEL} = ?1"))?.execute([memory])?;
        }
        transaction.commit()?;
        if removed > 0 {
            truncate(&writer)?;
        }
        Ok(removed)
    }

    /// The memories with sequence numbers above `after` and up to `through` that have a vector of any model.
    pub(super) fn memories(&self, after: i64, through: i64) -> rusqlite::Result<BTreeSet<i64>> {
        self.read(|connection| {
            let wanted = format!("SELECT memory {OF_ANY_MODEL} > ?1 AND memory <= ?2");
            let mut statement = connection.prepare_cached(&wanted)?;
            statement.query_map((after, through), |row| row.get(0))?.collect()
        })
    }

    /// Removes one batch of vectors of models other than `model`. Returns whether there are more.
    pub(super) fn drop_others(&self, model: i64) -> rusqlite::Result<bool> {
        let writer = self.writer();
        let removed = writer
            .prepare_cached(
                "DELETE FROM vectors WHERE id IN (SELECT id FROM vectors WHERE model IN
                 (SELECT id FROM models WHERE id <> ?1) LIMIT ?2)",
            )?
            .execute((model, number(DROP_STEP)))?;
        if removed < DROP_STEP {
            writer.execute("DELETE FROM models WHERE id <> ?1", [model])?;
            truncate(&writer)?;
        }
        Ok(removed == DROP_STEP)
    }

    /// Calls `each` with at most `limit` vectors of a project whose id is above `after`, ordered by id, until `each`
    /// returns false. Returns whether there may be more.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn load(
        &self,
        model: i64,
        project: &str,
        after: i64,
        limit: usize,
        mut each: impl FnMut(&Stored<'_>) -> bool,
    ) -> rusqlite::Result<bool> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, memory, sha256, scale, cells FROM vectors
                 WHERE model = ?1 AND project = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            )?;
            let mut rows = statement.query((model, project, after, number(limit)))?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                #[expect(clippy::cast_possible_truncation, reason = "it was a float of 32 bits")]
                let scale = row.get::<_, f64>(3)? as f32;
                let cells = row.get_ref(4)?.as_blob()?;
                let stored =
                    Stored { id: row.get(0)?, memory: row.get(1)?, digest: row.get(2)?, scale, cells };
                if !each(&stored) {
                    return Ok(false);
                }
                count += 1;
            }
            Ok(count == limit)
        })
    }

    /// The unquantised vectors of these memories.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn exact(&self, model: i64, memories: &[i64]) -> rusqlite::Result<HashMap<i64, Vec<f32>>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT vector FROM vectors WHERE model = ?1 AND memory = ?2")?;
            let mut found = HashMap::with_capacity(memories.len());
            for memory in memories {
                let vector = statement
                    .query_row((model, memory), |row| Ok(numbers(row.get_ref(0)?.as_blob()?)))
                    .optional()?;
                found.extend(vector.map(|vector| (*memory, vector)));
            }
            Ok(found)
        })
    }
}

/// SQL condition on vectors of the model `?1`: it leaves out those of another dimension than the first. A version that
/// did not check the dimension stored them; they are computed again.
fn usable() -> String {
    format!("length(vector) IN (0, 4 * (SELECT {DIMENSION} FROM models WHERE models.id = ?1))")
}

/// Whether the error means that the SQLite file is unusable.
pub(super) fn is_damage(fault: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(fault.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(name) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// Opens a connection and creates the tables; `None` for a file with another schema version.
fn begin(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let connection = connect(path)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (version, tables) {
        (VERSION, _) => {}
        (0, 0) => {
            connection.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?;
        }
        _ => return Ok(None),
    }
    Ok(Some(connection))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(16);
    // Vectors that are lost in a power failure are computed again.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 8388608;
         PRAGMA cache_size = -4096; PRAGMA busy_timeout = 2000;",
    )?;
    Ok(connection)
}

/// Removes deleted rows from the write-ahead log. If a reader prevents this, the next removal or closing the file does
/// it.
fn truncate(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn number(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests;
