//! The configuration file: whether the documentation of its keys is complete, and what an engine does with keys that it
//! does not know.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use engine_core::configuration::table;
use serde_json::json;

use crate::process::{Running, binary, eventually};

const BEGIN: &str = "<!-- keys: written by `make generate` from engine/core/src/configuration -->\n";
const END: &str = "<!-- end of keys -->\n";

#[test]
fn the_committed_table_of_keys_is_that_of_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the mark before the table");
    let (_, tail) = rest.split_once(END).expect("the mark behind the table");
    let wanted = format!("{head}{BEGIN}\n{}\n{END}{tail}", table());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == wanted, "{} is stale: run `make generate`", path.display());
}

/// Parts of a configuration that no version knows.
const NEWER: &str = "engine: {namespace: team, name: notes}\n\
    saving: {sameText: SaveOnce, sameMeaning: secret}\n\
    federation: {endpoint: secret}\n";

/// Only an operator passes an anchor. An operator may be newer than the engine, because the engine's image is pinned.
#[test]
fn an_operators_file_may_have_what_an_engine_does_not_know_and_a_persons_may_not() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    fs::write(&config, NEWER).unwrap();
    let refused = binary()
        .args([OsStr::new("serve"), OsStr::new("--data"), data.path().as_os_str()])
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{text}");
    for fault in ["the file has an unknown key \"federation\"", "saving has an unknown key \"sameMeaning\""] {
        assert!(text.contains(fault), "{text}");
    }

    let anchor = data.path().join("anchor.json");
    fs::write(&anchor, json!({"state": "new"}).to_string()).unwrap();
    // With this mode, readiness waits for the projection, in which texts are looked up.
    let mode = ["--mode".as_ref(), "read-write".as_ref()];
    let anchor = ["--anchor".as_ref(), anchor.as_os_str()];
    let arguments = [["--config".as_ref(), config.as_os_str()], anchor, mode].concat();
    let engine = Running::spawn_with(data.path(), &arguments);
    eventually("ready", || engine.admin("/readyz").status == 200);
    assert_eq!(engine.save("The kettle is blue").status, 201);
    // Known keys of the same section are applied.
    assert_eq!(engine.save("The kettle is blue").status, 200);
    let health = engine.health();
    let expected = json!([
        {"key": "federation", "unknown": "section"},
        {"key": "saving.sameMeaning", "unknown": "key"},
    ]);
    assert_eq!(health["not_applied"], expected, "{health}");
    let log = engine.said();
    assert!(log.contains("saving.sameMeaning") && log.contains("federation"), "{log}");
    assert!(!log.contains("secret") && !health.to_string().contains("secret"), "{log}");
    drop(engine);

    // Nothing is reported for a file whose keys are all known.
    fs::write(&config, "saving: {sameText: SaveOnce}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &arguments);
    eventually("ready", || engine.admin("/readyz").status == 200);
    assert!(engine.health().get("not_applied").is_none());
}
