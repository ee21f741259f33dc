//! Import of other products' stores: each record is imported once and checked by the policy, and the report lists what
//! was kept, changed and refused.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::import::{events, import};
use crate::process::{Running, segment};

/// A key in the vendor's format; the policy refuses it.
const SECRET: &str = concat!("AK", "IA", "Q3EGR7WLPX5TZB2M");

fn into(product: &str, from: &Path, data: &Path, more: &[&str]) -> (i32, Value) {
    let (from, data) = (from.to_str().unwrap(), data.to_str().unwrap());
    import(&[&[product, "--from", from, "--data", data], more].concat())
}

/// Whether the log does not contain this text.
fn is_absent(data: &Path, words: &str) -> bool {
    !String::from_utf8_lossy(&fs::read(segment(data)).unwrap()).contains(words)
}

fn reasons(report: &Value) -> Vec<(u64, String)> {
    let refused = report["files"][0]["refused"].as_array().unwrap().iter();
    refused.map(|it| (it["record"].as_u64().unwrap(), it["reason"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_graph_of_server_memory_is_imported_once() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = store.path().join("memory.jsonl");
    let mut lines = [
        json!({"type": "entity", "name": "Ann", "entityType": "person", "observations": ["likes tea", format!("her token is {SECRET}"), "mail ann.smith@example.org"]}).to_string(),
        "{\"type\":\"entity\",".to_owned(),
        json!({"type": "entity", "name": "Bob", "entityType": "", "observations": []}).to_string(),
        json!({"type": "relation", "from": "Ann", "to": "Bob", "relationType": "knows"}).to_string(),
        json!({"type": "entity", "name": "x".repeat(257), "entityType": "t", "observations": ["y"]}).to_string(),
    ];
    fs::write(&file, lines.join("\n")).unwrap();

    let (code, dry) = into("server-memory", &file, data.path(), &["--dry-run"]);
    assert_eq!(
        (code, &dry["totals"]["imported"], &dry["totals"]["refused"]),
        (1, &json!(0), &json!(2)),
        "{dry:#}"
    );
    assert!(!data.path().join("log").exists(), "a dry run writes nothing");

    let (code, report) = into("server-memory", &file, data.path(), &[]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(
        reasons(&report),
        [(1, "POLICY_BLOCKED".to_owned()), (2, "not_strict".to_owned()), (5, "too_long".to_owned())]
    );
    let figures = &report["files"][0];
    assert_eq!(figures["imported"], json!({"entities": 2, "observations": 2, "relations": 1}), "{report:#}");
    assert_eq!((&figures["redacted"], &figures["changed"]), (&json!(1), &json!({"type": 1})), "{report:#}");
    assert!(!report.to_string().contains(SECRET) && !report.to_string().contains("ann.smith"));
    assert!(is_absent(data.path(), SECRET) && is_absent(data.path(), "ann.smith@example.org"));

    let (code, again) = into("server-memory", &file, data.path(), &[]);
    assert_eq!(
        (code, &again["totals"]["imported"], &again["totals"]["already_there"]),
        (1, &json!(0), &json!(5))
    );
    assert_eq!(again["target"], report["target"], "the second run wrote nothing");

    // The product rewrites an entity's line when something is added to it.
    lines[0] = json!({"type": "entity", "name": "Ann", "entityType": "person", "observations": ["likes tea", "likes cake"]}).to_string();
    fs::write(&file, format!("{}\n{}\n", lines[0], lines[3])).unwrap();
    let (code, grown) = into("server-memory", store.path(), data.path(), &[]);
    assert_eq!((code, &grown["files"][0]["imported"]), (0, &json!({"observations": 1})), "{grown:#}");

    let engine = Running::start(data.path());
    let graph = engine.get("/v1/graph").json();
    assert_eq!(graph["entities"][0]["name"], "Ann");
    let observations = graph["entities"][0]["observations"].as_array().unwrap();
    assert_eq!(
        (observations.len(), &observations[0], &observations[2]),
        (3, &json!("likes tea"), &json!("likes cake"))
    );
    assert_eq!(graph["entities"][1]["entityType"], "entity");
    assert_eq!(graph["relations"], json!([{"from": "Ann", "to": "Bob", "relationType": "knows"}]));
    assert!(events(&engine).iter().all(|event| event["actor"] == "server-memory"));
}

#[test]
fn what_the_tool_read_graph_answers_is_imported_too() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = store.path().join("graph.json");
    let graph = json!({"entities": [{"name": "Ann", "entityType": "person", "observations": ["likes tea"]}],
                       "relations": [{"from": "Ann", "to": "Tea", "relationType": "likes"}]});
    for text in [graph.to_string(), serde_json::to_string_pretty(&graph).unwrap()] {
        fs::write(&file, text).unwrap();
        let (code, report) = into("server-memory", &file, data.path(), &[]);
        assert_eq!((code, &report["totals"]["records"]), (0, &json!(2)), "{report:#}");
    }
}

/// The schema of mem0's own history, version 2.
const HISTORY: &str =
    "CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT,
    created_at DATETIME, updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT);";

#[test]
fn memories_of_mem0_are_imported_with_their_history() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Connection::open(store.path().join("history.db")).unwrap();
    database.execute_batch(HISTORY).unwrap();
    let (march, april, may) =
        ("2025-03-01T10:00:00-08:00", "2025-04-01T10:00:00-08:00", "2025-05-01T10:00:00-08:00");
    let rows = [
        ("1", None, Some("Lives in Rome"), "ADD", march, None),
        ("1", Some("Lives in Rome"), Some("Lives in Oslo"), "UPDATE", march, Some(april)),
        ("2", None, Some("Likes tea"), "ADD", march, None),
        ("2", Some("Likes tea"), None, "DELETE", march, Some(may)),
        ("3", None, Some(SECRET), "ADD", march, None),
        ("4", Some("never seen"), None, "DELETE", march, Some(may)),
    ];
    for (number, (id, old, new, event, created, updated)) in rows.into_iter().enumerate() {
        let row = rusqlite::params![number.to_string(), id, old, new, event, created, updated];
        database
            .execute("INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, NULL, NULL)", row)
            .unwrap();
    }
    let export = json!({"results": [
        {"id": "1", "memory": "Lives in Oslo", "hash": "x", "metadata": {"category": "home", "source": "chat"}, "created_at": march,
         "updated_at": april, "user_id": "ann"},
        {"id": "5", "memory": "Has a dog", "created_at": may, "user_id": "ann", "run_id": "r1"},
        {"memory": "no id"}]});
    fs::write(store.path().join("get_all.json"), export.to_string()).unwrap();

    let (code, report) = into("mem0", store.path(), data.path(), &["--project", "ann"]);
    assert_eq!(code, 1, "{report:#}");
    // The files are in the order of their names, so the record of a memory in the export comes before its history.
    let [all, history] = [&report["files"][0], &report["files"][1]];
    assert_eq!(
        (&all["imported"], &all["left_out"]),
        (&json!({"memories": 2}), &json!({"source": 1})),
        "{report:#}"
    );
    assert_eq!(
        (&history["imported"], &history["already_there"]),
        (&json!({"memories": 2, "ends": 2}), &json!({"memories": 1})),
        "{report:#}"
    );
    assert_eq!(history["refused"][0]["reason"], "POLICY_BLOCKED");
    assert_eq!(history["refused"][1]["reason"], "unknown_memory");
    assert!(is_absent(data.path(), SECRET));
    let (_, again) = into("mem0", store.path(), data.path(), &["--project", "ann"]);
    assert_eq!((&again["totals"]["imported"], &again["target"]), (&json!(0), &report["target"]), "{again:#}");

    let engine = Running::start(data.path());
    let found = |query: &str| engine.total(&format!("project=ann&{query}"));
    assert_eq!((found("q=Oslo"), found("q=Rome"), found("q=tea"), found("q=dog")), (1, 0, 0, 1));
    assert_eq!(found("q=Rome&as_of=2025-03-15T00:00:00Z"), 1, "valid at that time");
    assert_eq!(found("q=tea&as_of=2025-04-15T00:00:00Z"), 1);
    assert_eq!(found("q=dog&session=r1"), 1);
}

#[test]
fn notes_of_basic_memory_are_imported_from_files_and_from_its_database() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let notes = store.path().join("notes");
    fs::create_dir_all(notes.join("drinks")).unwrap();
    let coffee = "---\ntitle: Coffee\ntype: guide\npermalink: drinks/coffee\ntags: [brewing]\n---\n\n# Coffee\n\n- [method] Pour over #clarity\n- relates_to [[drinks/tea]]\n";
    fs::write(notes.join("drinks/coffee.md"), coffee).unwrap();
    fs::write(
        notes.join("tea.md"),
        "\u{feff}---\r\ntitle: Tea\r\npermalink: drinks/tea\r\n---\r\nGreen tea steeps for two minutes.\r\n",
    )
    .unwrap();
    fs::write(notes.join("secret.md"), format!("the token is {SECRET}")).unwrap();
    fs::write(notes.join("latin.md"), b"caf\xe9").unwrap();
    fs::write(notes.join("photo.png"), b"x").unwrap();

    let (code, report) = into("basic-memory", &notes, data.path(), &[]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(
        (
            &report["totals"]["files"],
            &report["totals"]["refused"],
            report["skipped"].as_array().unwrap().len()
        ),
        (&json!(4), &json!(2), 1),
        "{report:#}"
    );
    let (_, again) = into("basic-memory", &notes, data.path(), &[]);
    assert_eq!((&again["totals"]["imported"], &again["target"]), (&json!(0), &report["target"]), "{again:#}");
    // The same notes, stored in the database.
    let path = store.path().join("memory.db");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE project (id INTEGER PRIMARY KEY, name TEXT, path TEXT);
             INSERT INTO project VALUES (1, 'main', '/notes');
             CREATE TABLE entity (id INTEGER PRIMARY KEY, title TEXT, note_type TEXT, permalink TEXT, file_path TEXT,
                                  project_id INTEGER, created_at DATETIME);
             CREATE TABLE observation (id INTEGER PRIMARY KEY, entity_id INTEGER, category TEXT, content TEXT, context TEXT);
             CREATE TABLE relation (id INTEGER PRIMARY KEY, from_id INTEGER, to_id INTEGER, to_name TEXT, relation_type TEXT,
                                    context TEXT);
             INSERT INTO entity VALUES (7, 'Coffee', 'guide', 'drinks/coffee', 'drinks/coffee.md', 1, '2025-01-02 03:04:05.000'),
                                       (8, 'Tea', 'note', 'drinks/tea', 'tea.md', 1, NULL);
             INSERT INTO observation VALUES (1, 7, 'method', 'Pour over #clarity', NULL), (2, 7, 'taste', 'Bright', 'cold');
             INSERT INTO relation VALUES (1, 7, 8, 'drinks/tea', 'relates_to', NULL);",
        )
        .unwrap();
    let (code, rows) = into("basic-memory", &path, data.path(), &[]);
    assert_eq!((code, &rows["files"][0]["imported"]), (0, &json!({"observations": 1})), "{rows:#}");

    let engine = Running::start(data.path());
    assert_eq!((engine.total("q=steeps"), engine.total("q=token")), (1, 0));
    let graph = engine.get("/v1/graph").json();
    let coffee = graph["entities"].as_array().unwrap().iter().find(|it| it["name"] == "Coffee").unwrap();
    assert_eq!(
        (&coffee["entityType"], &coffee["observations"]),
        (&json!("guide"), &json!(["[method] Pour over #clarity", "[taste] Bright (cold)"]))
    );
    assert_eq!(graph["relations"], json!([{"from": "Coffee", "to": "Tea", "relationType": "relates_to"}]));
}

#[test]
fn what_is_no_store_of_the_product_is_said_and_nothing_is_written() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(into("mem0", store.path(), data.path(), &[]).0, 2, "nothing is there");
    let database = store.path().join("x.db");
    Connection::open(&database).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert_eq!(into("mem0", &database, data.path(), &[]).0, 2);
    let (code, report) = into("server-memory", &database, data.path(), &[]);
    assert_eq!((code, reasons(&report)), (1, vec![(1, "wrong_kind".to_owned())]));
    let json = store.path().join("x.json");
    fs::write(&json, "{\"a\": 1}").unwrap();
    assert_eq!(reasons(&into("mem0", &json, data.path(), &[]).1), [(1, "wrong_kind".to_owned())]);
    let engine = Running::start(data.path());
    assert_eq!(events(&engine).len(), 0);
}
