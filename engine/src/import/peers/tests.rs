//! Tests of finding files and reading databases of other products.

use std::fs;

use engine_core::peers::Step;
use rusqlite::Connection;

use super::files::{self, Kind};
use super::{Product, sqlite};

#[test]
fn a_history_is_read_page_by_page_whatever_its_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.db");
    let database = Connection::open(&path).unwrap();
    // The columns that mem0 had before it recorded actors.
    database
        .execute_batch(
            "CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT,
                                   created_at DATETIME, updated_at DATETIME, is_deleted INTEGER);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
             INSERT INTO history SELECT 'h' || i, 'm' || i, NULL, 'memory ' || i, 'ADD', '2025-01-01', NULL, 0 FROM n;
             INSERT INTO history VALUES ('x', 'm', NULL, x'ff', 'ADD', NULL, NULL, 0);",
        )
        .unwrap();
    let mut memories = sqlite::Memories::open(&path).unwrap();
    let mut found = Vec::new();
    while let Some((row, record)) = memories.next().unwrap() {
        found.push((row, record));
    }
    assert_eq!(found.len(), 1201);
    assert!(found.iter().zip(1..).all(|((row, _), number)| *row == number));
    assert!(
        matches!(&found[1199].1.steps[..], [Step::Memory { memory, .. }] if memory.content == "memory 1200")
    );
    assert_eq!(found[1200].1.refused.len(), 1, "bytes that are no text");
}

#[test]
fn a_database_of_something_else_is_refused_and_its_views_are_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.db");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch("CREATE VIEW history AS SELECT 'm' AS memory_id, 'x' AS new_memory, 'ADD' AS event")
        .unwrap();
    assert!(sqlite::Memories::open(&path).unwrap_err().to_string().contains("get_all()"));
    assert!(sqlite::Notes::open(&path).unwrap_err().to_string().contains("entity"));
}

#[test]
fn of_a_directory_only_what_the_product_writes_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir_all(at("notes/.obsidian")).unwrap();
    for name in
        ["a.md", "notes/b.MD", "notes/.obsidian/c.md", "d.txt", "memory.jsonl", "get_all.json", "config.json"]
    {
        fs::write(at(name), "x").unwrap();
    }
    std::os::unix::fs::symlink(directory.path(), at("circle")).unwrap();
    let names = |product| -> Vec<(String, Kind)> {
        let found = files::find(product, directory.path()).unwrap();
        found.sources.into_iter().map(|source| (source.name, source.kind)).collect()
    };
    assert_eq!(
        names(Product::BasicMemory),
        [("a.md".to_owned(), Kind::Text), ("notes/b.MD".to_owned(), Kind::Text)]
    );
    assert_eq!(
        names(Product::Mem0),
        [("get_all.json".to_owned(), Kind::Text), ("memory.jsonl".to_owned(), Kind::Lines)]
    );
}
