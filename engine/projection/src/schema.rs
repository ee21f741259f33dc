//! Tables, indexes and connection settings.

use std::path::Path;

use engine_core::words::terms::Terms;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, MAIN_DB};

/// Tables. Their columns are those of `engine_core::row`.
const TABLES: &str = "
CREATE TABLE applied (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL, log_id TEXT NOT NULL, seq INTEGER NOT NULL, hash BLOB,
    digest BLOB NOT NULL, -- of all rows of the tables below
    known INTEGER NOT NULL -- the latest time of an event, microseconds
) STRICT;
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash BLOB NOT NULL,
    project TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, tags TEXT NOT NULL,
    actor TEXT NOT NULL, session TEXT, occurred_at TEXT NOT NULL, created_at TEXT NOT NULL,
    valid_from INTEGER NOT NULL, known INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;
-- A truncated digest of project and content, by which identical earlier texts are found. It is derived from the rows,
-- so it is not part of the digest of the rows.
CREATE TABLE memory_texts (seq INTEGER PRIMARY KEY, digest INTEGER NOT NULL) STRICT;
CREATE TABLE invalidations (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, memory INTEGER NOT NULL,
    until INTEGER NOT NULL, known INTEGER NOT NULL, reason TEXT, superseded_by TEXT
) STRICT;
CREATE TABLE requests (
    key TEXT PRIMARY KEY, request_sha256 BLOB NOT NULL, salt BLOB NOT NULL,
    id TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE settings (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL) STRICT;
CREATE TABLE sources (
    seq INTEGER PRIMARY KEY, project TEXT NOT NULL, uri TEXT NOT NULL, sha256 TEXT NOT NULL,
    piece INTEGER NOT NULL, pieces INTEGER NOT NULL
) STRICT;
CREATE TABLE feedback (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, memory INTEGER NOT NULL,
    rating INTEGER NOT NULL, known INTEGER NOT NULL, query_id TEXT
) STRICT;
CREATE TABLE forgotten (
    target TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, event INTEGER, known INTEGER NOT NULL,
    PRIMARY KEY (target, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE items (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, hash BLOB NOT NULL,
    project TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL,
    actor TEXT NOT NULL, session TEXT, known INTEGER NOT NULL, expires INTEGER, ttl INTEGER,
    value TEXT, words TEXT,
    UNIQUE (project, namespace, key, seq)
) STRICT;
CREATE TABLE refreshes (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, item INTEGER NOT NULL, expires INTEGER NOT NULL, known INTEGER NOT NULL
) STRICT;
CREATE TABLE entities (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL,
    kind TEXT NOT NULL, valid_from INTEGER NOT NULL, known INTEGER NOT NULL
) STRICT;
CREATE TABLE observations (
    seq INTEGER NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, project TEXT NOT NULL, entity TEXT NOT NULL,
    content TEXT NOT NULL, valid_from INTEGER NOT NULL, known INTEGER NOT NULL, PRIMARY KEY (seq, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE relations (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, project TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL,
    kind TEXT NOT NULL, valid_from INTEGER NOT NULL, known INTEGER NOT NULL
) STRICT;
CREATE TABLE graph_ends (
    seq INTEGER NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, project TEXT NOT NULL, what TEXT NOT NULL,
    subject TEXT NOT NULL, object TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT,
    until INTEGER NOT NULL, known INTEGER NOT NULL, PRIMARY KEY (seq, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE mentions (
    memory INTEGER NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL,
    folded TEXT NOT NULL, known INTEGER NOT NULL, PRIMARY KEY (memory, place)
) STRICT, WITHOUT ROWID;
-- The latest version of each item that has words. Earlier versions are not searchable.
CREATE VIEW items_current AS SELECT seq, words FROM items i WHERE words IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM items l WHERE l.project = i.project AND l.namespace = i.namespace AND l.key = i.key AND l.seq > i.seq
);
-- The engine tokenizes texts with `terms`; FTS5 only splits at the blanks between terms. The views return the same
-- terms, so that FTS5 can compare the index with the rows.
CREATE VIEW items_terms AS SELECT seq, terms(words) AS words FROM items_current;
CREATE VIEW memories_terms AS SELECT
    seq, terms(title) AS title, terms(content) AS content, terms(tags) AS tags FROM memories;
CREATE VIRTUAL TABLE items_fts USING fts5 (
    words, content = 'items_terms', content_rowid = 'seq', tokenize = 'ascii'
);
CREATE VIRTUAL TABLE memories_fts USING fts5 (
    title, content, tags, content = 'memories_terms', content_rowid = 'seq', tokenize = 'ascii'
);
";

/// Indexes used only by reads. They are created after a load, because building an index then takes a single sort.
const INDEXES: &str = "
CREATE INDEX memories_by_project ON memories (project, seq);
-- Memories that became valid after they were saved: the few that a read at the current time has to check
-- individually.
CREATE INDEX memories_late ON memories (valid_from) WHERE valid_from > known;
CREATE INDEX memory_texts_by_digest ON memory_texts (digest, seq);
CREATE INDEX settings_by_name ON settings (name, seq);
CREATE INDEX forgotten_by_event ON forgotten (seq);
CREATE INDEX invalidations_by_memory ON invalidations (memory, until);
CREATE INDEX memories_by_age ON memories (known);
CREATE INDEX memories_by_session ON memories (session, seq) WHERE session IS NOT NULL;
CREATE INDEX sources_by_uri ON sources (project, uri);
CREATE INDEX feedback_by_memory ON feedback (memory);
CREATE INDEX items_by_project ON items (project, seq);
CREATE INDEX refreshes_by_item ON refreshes (item, seq);
CREATE INDEX entities_by_name ON entities (project, name);
CREATE INDEX entities_by_words ON entities (folded, project);
CREATE INDEX observations_by_entity ON observations (project, entity);
CREATE INDEX relations_by_source ON relations (project, source, target, kind);
CREATE INDEX relations_by_target ON relations (project, target, source);
CREATE INDEX graph_ends_by_subject ON graph_ends (project, what, subject, object);
CREATE INDEX mentions_by_words ON mentions (folded, project, memory);
";

pub(super) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)
}

pub(super) fn create_indexes(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(INDEXES)
}

/// Whether exactly the tables and indexes of this version exist. Any other table, index or trigger is rejected: a
/// trigger, for example, could change rows unnoticed. Reads the schema only.
pub(super) fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    let model = Connection::open_in_memory()?;
    create_tables(&model)?;
    create_indexes(&model)?;
    Ok(objects(connection)? == objects(&model)?)
}

fn objects(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement =
        connection.prepare("SELECT type || ' ' || name, sql FROM sqlite_schema ORDER BY 1")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Registers the SQL function `terms`, which returns the terms of a text, separated by blanks. The full-text indexes
/// contain these terms.
pub(super) fn add_terms(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let terms = Terms::default();
    connection.create_scalar_function("terms", 1, flags, move |context| {
        let text =
            context.get_raw(0).as_str_or_null().map_err(|fault| Error::UserFunctionError(fault.into()))?;
        Ok(text.map(|text| terms.index_text(text)))
    })
}

/// Opens a writing connection that allows concurrent reads.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_writable(path)?;
    add_terms(&connection)?;
    connection.set_prepared_statement_cache_capacity(32);
    // `synchronous = NORMAL`: a power cut may lose the last transactions, whose events are still in the log. Temporary
    // tables are in memory, because a container with a read-only root has no /tmp. The lock timeout is short, because
    // events that are not applied now are read from the log later. Deleted data is always overwritten. Otherwise a
    // freed page that is reused could still contain old words after its new contents.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 8388608; PRAGMA cache_size = -8192;
         PRAGMA busy_timeout = 20; PRAGMA secure_delete = ON;",
    )?;
    Ok(connection)
}

/// Opens a connection that can write. If the file is temporarily not writable, SQLite opens it read-only, and every
/// later write on that connection fails, although a new connection could succeed. A read-only connection is therefore
/// an error.
fn open_writable(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    if connection.is_readonly(MAIN_DB)? {
        let cannot_open = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        let why = "the file could be opened for reading only".to_owned();
        return Err(Error::SqliteFailure(cannot_open, Some(why)));
    }
    Ok(connection)
}

/// Opens the only connection to a database that is being built. The connection uses no journal and no syncs, because
/// the file is not published yet and is discarded if the build fails.
pub(super) fn connect_for_loading(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_writable(path)?;
    add_terms(&connection)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -32768;
         PRAGMA secure_delete = ON;",
    )?;
    Ok(connection)
}

/// Sets how the words of forgotten memories are removed from the full-text index. With `at_once`, they are removed
/// immediately, which costs about ten milliseconds per memory. Otherwise they are only marked as deleted and remain in
/// the index until a new index is built. This setting is stored in the index, which records that a rebuild is pending.
pub(super) fn set_secure_index_deletes(connection: &Connection, at_once: bool) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO memories_fts (memories_fts, rank) VALUES ('secure-delete', ?1)")?
        .execute([at_once])
        .map(|_| ())
}

/// Whether words of forgotten memories are still in the full-text index.
pub(super) fn has_words_of_forgotten(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT NOT coalesce((SELECT v FROM memories_fts_config WHERE k = 'secure-delete'), 0)",
        [],
        |row| row.get(0),
    )
}

/// Bytes of words that are buffered in memory before they are written as one sorted run: during a load, and for usual
/// writes. Larger runs need less merging.
const LOADING_WORDS_BYTES: u32 = 16 << 20;
const USUAL_WORDS_BYTES: u32 = 1 << 20;

/// The full-text indexes.
pub(super) const WORDS: [&str; 2] = ["memories_fts", "items_fts"];

/// Prepares the full-text indexes for a load if `loading` is true, otherwise for small writes.
pub(super) fn set_loading(connection: &Connection, loading: bool) -> rusqlite::Result<()> {
    let (words, automerge) = if loading { (LOADING_WORDS_BYTES, 0) } else { (USUAL_WORDS_BYTES, 4) };
    for index in WORDS {
        let mut set = connection.prepare(&format!("INSERT INTO {index} ({index}, rank) VALUES (?1, ?2)"))?;
        set.execute(("hashsize", words))?;
        set.execute(("automerge", automerge))?;
        // Words of items are removed from the pages of the index immediately, because there are few items. For memories
        // this would make every write too slow.
        if index != "memories_fts" {
            set.execute(("secure-delete", 1))?;
        }
    }
    Ok(())
}
