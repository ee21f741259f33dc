//! Reads SQLite databases of other products in pages of rows. This code never writes to the databases.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context, bail};
use engine_core::limits::BODY_BYTES_MAX;
use engine_core::peers::basic_memory::{self, Link, Note};
use engine_core::peers::mem0::{self, Change};
use engine_core::peers::{Record, Refused};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value};

/// Number of rows of a page.
const PAGE_ROWS: usize = 500;
/// Maximum number of observations or relations of one note, and of fields of one memory, that are read.
const PARTS_MAX: usize = 10_000;
/// Largest text of one column, in bytes.
const TEXT_BYTES_MAX: usize = BODY_BYTES_MAX / 2;

/// Columns of a field of a memory in Chroma: its name, and one column for each type of value.
const FIELD: [&[&str]; 5] = [&["key"], &["string_value"], &["int_value"], &["float_value"], &["bool_value"]];

type Texts = Result<Vec<Option<String>>, Refused>;

/// A table of another product's database.
#[derive(Debug)]
struct Table {
    /// The selected columns; the row id is the first. A column that the database does not have is selected as NULL.
    columns: String,
    name: &'static str,
    count: usize,
}

impl Table {
    /// Finds a table; returns none if the database does not contain it. A view with this name is refused, because
    /// reading the view would run its query.
    fn find(
        connection: &Connection,
        name: &'static str,
        wanted: &[&[&str]],
    ) -> rusqlite::Result<Option<Table>> {
        let mut statement = connection.prepare(&format!("SELECT name FROM pragma_table_info('{name}')"))?;
        let there: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let is_table: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)",
            [name],
            |row| row.get(0),
        )?;
        if !is_table {
            return Ok(None);
        }
        let column = |names: &&[&str]| {
            let found = names.iter().find(|name| there.iter().any(|there| there == *name));
            found.map_or("NULL".to_owned(), |name| format!("\"{name}\""))
        };
        let columns: Vec<String> = wanted.iter().map(column).collect();
        Ok(Some(Table { columns: format!("rowid, {}", columns.join(", ")), name, count: wanted.len() }))
    }

    /// Returns the rows after this row id, ordered by id.
    fn page(&self, connection: &Connection, after: i64) -> rusqlite::Result<Vec<(i64, Texts)>> {
        let Table { columns, name, count } = self;
        let query =
            format!("SELECT {columns} FROM \"{name}\" WHERE rowid > ?1 ORDER BY rowid LIMIT {PAGE_ROWS}");
        let mut statement = connection.prepare_cached(&query)?;
        let rows = statement.query_map([after], |row| Ok((row.get(0)?, texts(row, *count)?)))?;
        rows.collect()
    }

    /// Returns the rows whose column `column` has the value `number`.
    fn of(&self, connection: &Connection, column: &str, number: i64) -> rusqlite::Result<Vec<Texts>> {
        let Table { columns, name, count } = self;
        let query = format!(
            "SELECT {columns} FROM \"{name}\" WHERE \"{column}\" = ?1 ORDER BY rowid LIMIT {PARTS_MAX}"
        );
        let mut statement = connection.prepare_cached(&query)?;
        let rows = statement.query_map([number], |row| texts(row, *count))?;
        rows.collect()
    }
}

fn texts(row: &Row<'_>, count: usize) -> rusqlite::Result<Texts> {
    let mut found = Vec::with_capacity(count);
    for column in 1..=count {
        found.push(match row.get_ref(column)? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(number.to_string()),
            ValueRef::Text(text) | ValueRef::Blob(text) if text.len() > TEXT_BYTES_MAX => {
                let max = format!("{TEXT_BYTES_MAX} bytes");
                return Ok(Err(Refused::TooLong { what: "a text of the row", max }));
            }
            ValueRef::Text(text) | ValueRef::Blob(text) => match std::str::from_utf8(text) {
                Ok(text) => Some(text.to_owned()),
                Err(_) => return Ok(Err(Refused::NotA("text in UTF-8"))),
            },
        });
    }
    Ok(Ok(found))
}

fn open(path: &Path) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = || format!("cannot open the database {path:?}: if it is in use, copy it with its -wal file");
    let connection = Connection::open_with_flags(path, flags).with_context(opened)?;
    // Another program wrote the schema, so it must not run functions.
    connection.pragma_update(None, "trusted_schema", false).with_context(opened)?;
    connection.pragma_update(None, "query_only", true).with_context(opened)?;
    Ok(connection)
}

/// Memories of mem0, from its history or from a Chroma database.
#[derive(Debug)]
pub(super) struct Memories {
    connection: Connection,
    table: Table,
    /// Table with the fields of memories in Chroma; absent if a history is read.
    fields: Option<Table>,
    after: i64,
    waiting: VecDeque<(i64, Texts)>,
}

impl Memories {
    pub(super) fn open(path: &Path) -> anyhow::Result<Memories> {
        let connection = open(path)?;
        let history: [&[&str]; 7] = [
            &["memory_id"],
            &["old_memory", "prev_value"],
            &["new_memory", "new_value"],
            &["event"],
            &["created_at", "timestamp"],
            &["updated_at"],
            &["actor_id", "user_id"],
        ];
        let (after, waiting) = (0, VecDeque::new());
        if let Some(table) = Table::find(&connection, "history", &history)? {
            return Ok(Memories { connection, table, fields: None, after, waiting });
        }
        let fields = Table::find(&connection, "embedding_metadata", &FIELD)?;
        let table = Table::find(&connection, "embeddings", &[&["id"], &["embedding_id"]])?;
        if let (Some(table), Some(fields)) = (table, fields) {
            return Ok(Memories { connection, table, fields: Some(fields), after, waiting });
        }
        bail!(
            "the database {path:?} is neither mem0's history nor a Chroma database; for other vector stores, export the \
             result of get_all() as JSON"
        )
    }

    /// Returns the next record and its row id.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(u64, Record)>> {
        if self.waiting.is_empty() {
            self.waiting = self.table.page(&self.connection, self.after)?.into();
        }
        let Some((row, texts)) = self.waiting.pop_front() else { return Ok(None) };
        self.after = row;
        let record = match (texts, &self.fields) {
            (Err(why), _) => Record::refused(why),
            (Ok(texts), None) => change(texts).unwrap_or_else(Record::refused),
            (Ok(texts), Some(fields)) => {
                let number = texts[0].as_deref().and_then(|id| id.parse().ok()).unwrap_or(row);
                let rows = fields.of(&self.connection, "id", number)?;
                embedded(texts[1].clone(), rows).unwrap_or_else(Record::refused)
            }
        };
        Ok(Some((row.unsigned_abs(), record)))
    }
}

fn change(texts: Vec<Option<String>>) -> Result<Record, Refused> {
    let mut texts = texts.into_iter();
    let mut next = || texts.next().flatten();
    mem0::change(&Change {
        memory_id: next(),
        old_memory: next(),
        new_memory: next(),
        event: next(),
        created_at: next(),
        updated_at: next(),
        actor_id: next(),
    })
}

fn embedded(id: Option<String>, rows: Vec<Texts>) -> Result<Record, Refused> {
    let mut object = Map::new();
    for row in rows {
        let row = row?;
        if let [Some(key), values @ ..] = &row[..]
            && let Some(value) = values.iter().flatten().next()
        {
            object.insert(key.clone(), Value::String(value.clone()));
        }
    }
    if let Some(id) = id {
        object.insert("id".to_owned(), Value::String(id));
    }
    mem0::memory(&object)
}

/// Notes from a database of basic-memory.
#[derive(Debug)]
pub(super) struct Notes {
    connection: Connection,
    notes: Table,
    contents: Option<Table>,
    observations: Option<Table>,
    relations: Option<Table>,
    projects: Option<Table>,
    after: i64,
    waiting: VecDeque<(i64, Texts)>,
}

impl Notes {
    pub(super) fn open(path: &Path) -> anyhow::Result<Notes> {
        let connection = open(path)?;
        let wanted: [&[&str]; 7] = [
            &["id"],
            &["file_path"],
            &["title"],
            &["permalink"],
            &["note_type", "entity_type"],
            &["created_at"],
            &["project_id"],
        ];
        let Some(notes) = Table::find(&connection, "entity", &wanted)? else {
            bail!("the database {path:?} is not basic-memory's: it has no table `entity`");
        };
        Ok(Notes {
            contents: Table::find(&connection, "note_content", &[&["markdown_content"]])?,
            observations: Table::find(
                &connection,
                "observation",
                &[&["category"], &["content"], &["context"]],
            )?,
            relations: Table::find(
                &connection,
                "relation",
                &[&["relation_type"], &["to_name"], &["context"]],
            )?,
            projects: Table::find(&connection, "project", &[&["name"]])?,
            connection,
            notes,
            after: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Returns the next note and its row id.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(u64, Result<Note, Refused>)>> {
        if self.waiting.is_empty() {
            self.waiting = self.notes.page(&self.connection, self.after)?.into();
        }
        let Some((row, texts)) = self.waiting.pop_front() else { return Ok(None) };
        self.after = row;
        let note = match texts {
            Ok(texts) => self.note(row, &texts)?,
            Err(why) => Err(why),
        };
        Ok(Some((row.unsigned_abs(), note)))
    }

    fn note(&self, row: i64, texts: &[Option<String>]) -> anyhow::Result<Result<Note, Refused>> {
        let [id, path, title, permalink, kind, created, project] = texts else {
            return Ok(Err(Refused::NotA("a note")));
        };
        let number = id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(row);
        let Some(path) = path else { return Ok(Err(Refused::Missing("file_path"))) };
        let path = self.path(path, project.as_deref())?;
        let rows = |table: &Option<Table>, column| match table {
            Some(table) => table.of(&self.connection, column, number),
            None => Ok(Vec::new()),
        };
        let content = match rows(&self.contents, "entity_id")?.into_iter().next() {
            Some(Ok(texts)) => texts.into_iter().next().flatten(),
            Some(Err(why)) => return Ok(Err(why)),
            None => None,
        };
        if let Some(content) = content.filter(|content| !content.trim().is_empty()) {
            return Ok(basic_memory::note(&path, content.as_bytes()));
        }
        let mut note = Note {
            title: title.clone().unwrap_or_else(|| path.clone()),
            permalink: permalink.clone(),
            kind: kind.clone().unwrap_or_else(|| "note".to_owned()),
            created: created.clone(),
            path,
            ..Note::default()
        };
        for row in rows(&self.observations, "entity_id")? {
            match row.as_deref() {
                Ok([category, Some(content), context]) => {
                    let category = category.as_ref().map(|it| format!("[{it}] ")).unwrap_or_default();
                    let context = context.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
                    note.observations.push(format!("{category}{content}{context}"));
                }
                Ok(_) => {}
                Err(why) => return Ok(Err(why.clone())),
            }
        }
        for row in rows(&self.relations, "from_id")? {
            match row.as_deref() {
                Ok([Some(kind), Some(target), context]) => {
                    let (kind, target, context) = (kind.clone(), target.clone(), context.clone());
                    note.relations.push(Link { target, kind, context });
                }
                Ok(_) => {}
                Err(why) => return Ok(Err(why.clone())),
            }
        }
        Ok(Ok(note))
    }

    /// Returns the path of a note, preceded by the name of its project if the database has several projects.
    fn path(&self, path: &str, project: Option<&str>) -> rusqlite::Result<String> {
        let (Some(projects), Some(Ok(id))) = (&self.projects, project.map(str::parse::<i64>)) else {
            return Ok(path.to_owned());
        };
        let several: bool =
            self.connection.query_row("SELECT count(*) > 1 FROM project", [], |row| row.get(0))?;
        let name = projects.of(&self.connection, "id", id)?.into_iter().next();
        let name = name.and_then(Result::ok).and_then(|texts| texts.into_iter().next().flatten());
        Ok(name.filter(|_| several).map_or_else(|| path.to_owned(), |name| format!("{name}/{path}")))
    }
}
