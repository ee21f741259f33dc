//! Logs written by the real, current Zaxy package are imported and compared event by event.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::import::{events, import};
use crate::process::Running;

/// Python with the package and the dependencies it needs for logs, installed by `make setup`.
fn python() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").expect("a home directory")).join(".cache");
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let python = cache.join("memoryengine/zaxy-venv/bin/python");
    assert!(python.exists(), "{python:?} is missing: `make setup` installs it");
    python
}

/// Returns the events that the package reads back from its own logs, by name of the log.
fn read_back(logs: &Path) -> Vec<(String, Vec<Value>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(logs).unwrap() {
        let path = entry.unwrap().path();
        if let Some(name) = path.file_name().unwrap().to_string_lossy().strip_suffix(".read.json") {
            found.push((name.to_owned(), serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

#[test]
fn what_the_real_package_wrote_is_all_there() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zaxy/make_logs.py");
    let made = Command::new(python()).arg(script).arg(logs.path()).arg("3000").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let engine = Running::start(data.path());
    let url = format!("http://{}", engine.api);
    let (code, report) =
        import(&["zaxy", "--from", logs.path().to_str().unwrap(), "--to", &url, "--project", "old"]);
    assert_eq!(code, 0, "{report:#}");
    let imported: Vec<Value> =
        events(&engine).into_iter().filter(|event| event["type"] != "memory.saved").collect();

    let mut compared = 0;
    for (name, theirs) in read_back(logs.path()) {
        // `switched` begins like `golden`, and an event common to both is imported only once, so events are found by
        // their hash.
        for their in &theirs {
            let ours: Vec<&Value> =
                imported.iter().filter(|event| event["payload"]["source"]["hash"] == their["hash"]).collect();
            let [ours] = ours.as_slice() else { panic!("{name}: {} times {their}", ours.len()) };
            assert_eq!(normal(&ours["payload"]["record"]), *their, "{name}");
            assert_eq!(ours["project"], "old");
            compared += 1;
        }
        let line_count =
            fs::read_to_string(logs.path().join(format!("{name}.jsonl"))).unwrap().lines().count();
        assert_eq!(theirs.len(), line_count, "{name}");
    }
    assert!(compared > 3000, "{compared}");
    assert_eq!(engine.total("q=turn&project=old&type=transcript.turn"), 3000);
    let (code, proof) = import(&["verify", "--to", &url]);
    assert_eq!((code, &proof["ok"]), (0, &json!(true)), "{proof:#}");
}

/// Converts a stored line to the form that the package's reader returns.
fn normal(record: &Value) -> Value {
    let v1 = record.get("integrity").is_some();
    let field = |v1_name: &str, legacy_name: &str| record[if v1 { v1_name } else { legacy_name }].clone();
    let mut payload = record["payload"].clone();
    let (mut seq, mut hash) = (record["seq"].clone(), record["hash"].clone());
    if v1 {
        payload.as_object_mut().unwrap().remove("__zaxy_security");
        hash = json!(record["integrity"]["hash"].as_str().unwrap().trim_start_matches("sha256:"));
        let id = record["id"].as_str().unwrap();
        let number = id.strip_prefix("evt_zaxy_").or_else(|| id.strip_prefix("evt-")).unwrap();
        seq = json!(number.split('_').next().unwrap().parse::<u64>().unwrap());
    }
    json!({
        "seq": seq, "timestamp": record["timestamp"], "type": record["type"], "actor": field("actorId", "actor"),
        "thread": field("threadId", "thread"), "payload": payload, "hash": hash,
    })
}
