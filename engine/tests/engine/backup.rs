//! Archives, backups and restores of the real binary, with a file store.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{Running, binary, eventually, verify};

/// Directories of one test: the volume, the archive, and the configuration.
struct Places {
    directory: tempfile::TempDir,
}

impl Places {
    fn new() -> Places {
        let places = Places { directory: tempfile::tempdir().unwrap() };
        let text = format!("backup: {{url: '{}', archiveIntervalSeconds: 1}}\n", places.url());
        fs::write(places.at("config.yaml"), text).unwrap();
        places
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.at("store").display())
    }

    /// An engine that archives.
    fn engine(&self, data: &str) -> Running {
        let config = self.at("config.yaml");
        let engine = Running::spawn_with(&self.at(data), &["--config".as_ref(), config.as_os_str()]);
        eventually("ready", || engine.admin("/readyz").status == 200);
        engine
    }

    /// Runs `backup` with these arguments; returns the exit code and what it prints.
    fn backup(&self, args: &[&str]) -> (Option<i32>, Value) {
        let mut command = binary();
        command.arg("backup").args(args);
        if !args.contains(&"--admin") {
            command.args(["--store", &self.url()]);
        }
        let output = command.output().unwrap();
        let said = serde_json::from_slice(&output.stdout);
        (output.status.code(), said.unwrap_or_else(|_| json!(String::from_utf8_lossy(&output.stderr))))
    }

    fn restore(&self, to: &str, more: &[&str]) -> (Option<i32>, Value) {
        let to = self.at(to).display().to_string();
        self.backup(&[&["restore", "--to", &to], more].concat())
    }

    /// All objects of the archive.
    fn objects(&self) -> Vec<PathBuf> {
        fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(&self.at("store"), &mut found);
        found.sort();
        found
    }
}

fn save(engine: &Running, texts: impl IntoIterator<Item = String>) {
    for text in texts {
        let answer = engine.save(&text);
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }
}

/// Contents of all memories in the log of an engine.
fn contents(engine: &Running) -> BTreeSet<String> {
    let events = engine.get("/v1/events?after=0&limit=1000").json();
    let events = events["events"].as_array().unwrap();
    events.iter().filter_map(|event| Some(event["payload"]["content"].as_str()?.to_owned())).collect()
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("planted text number {number} of the kettle")).collect()
}

/// Waits until everything is archived.
fn archived(engine: &Running) {
    let is_archived = || {
        let status = engine.admin("/backups").json();
        status["state"] == "archiving" && status["lag_events"] == 0 && status["archived_seq"] != 0
    };
    eventually("everything is archived", is_archived);
}

#[test]
fn a_destroyed_volume_is_restored_with_everything_that_was_acknowledged() {
    let places = Places::new();
    let engine = places.engine("data");
    save(&engine, texts(0..20));
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    save(&engine, texts(20..30));
    let admin = engine.admin.to_string();
    let (code, taken) = places.backup(&["create", "--admin", &admin]);
    assert_eq!((code, taken["size"].as_u64()), (Some(0), Some(30)), "{taken}");
    save(&engine, texts(30..40));
    archived(&engine);
    let head = engine.get("/v1/log/head").json();
    drop(engine);
    fs::remove_dir_all(places.at("data")).unwrap();

    let (code, restored) = places.restore("data", &["--reason", "the volume was lost"]);
    assert_eq!(code, Some(0), "{restored}");
    assert_eq!(
        (&restored["ok"], &restored["events"], &restored["damaged"]),
        (&json!(true), &json!(40), &json!([]))
    );
    assert_eq!(verify(&places.at("data")).0, Some(0));
    let again = places.engine("data");
    let found = contents(&again);
    assert_eq!(found, texts(0..40).into_iter().collect());
    let event = again.get("/v1/events?after=40&limit=1").json();
    assert_eq!(event["events"][0]["type"], "log.restored", "{event} {head}");
    // The restored engine continues the archive.
    save(&again, texts(40..41));
    archived(&again);
    let (_, list) = places.backup(&["list"]);
    assert_eq!(list[0]["events"], 42, "{list}");
    let (code, refused) = places.restore("data", &[]);
    assert_eq!(code, Some(2), "a directory with data is refused: {refused}");
}

#[test]
fn an_object_that_is_missing_or_changed_is_named_and_never_verifies() {
    let places = Places::new();
    let engine = places.engine("data");
    save(&engine, texts(0..4));
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    save(&engine, texts(4..6));
    let admin = engine.admin.to_string();
    let (code, taken) = places.backup(&["create", "--admin", &admin]);
    assert_eq!(code, Some(0), "{taken}");
    assert!(engine.terminate().success());
    let root = format!("6:{}", taken["root"].as_str().unwrap());
    let (code, verified) = places.backup(&["verify", "--at-least", &root]);
    assert_eq!(
        (code, &verified["events"], &verified["anchored"]),
        (Some(0), &json!(6), &json!(true)),
        "{verified}"
    );
    let of_the_backup = |path: &&PathBuf| {
        let path = path.display().to_string();
        ["/segments/", "/tails/", "/manifests/", "/keys/", "/volume/"]
            .iter()
            .any(|folder| path.contains(folder))
    };
    let name = taken["name"].as_str().unwrap();
    // Tails that a segment has replaced are no part of the backup, and not read.
    let manifest =
        fs::read_to_string(places.at("store").join(taken["log_id"].as_str().unwrap()).join(name)).unwrap();
    let objects = places.objects();
    let mut checked = 0;
    for object in objects.iter().filter(of_the_backup) {
        let file = object.file_name().unwrap().to_str().unwrap();
        let is_part = manifest.contains(file) || name.ends_with(file);
        if !is_part {
            continue;
        }
        let bytes = fs::read(object).unwrap();
        let mut changed = bytes.clone();
        let middle = changed.len() - 1 - changed.len() / 3;
        changed[middle] ^= 1;
        for damaged in [None, Some(changed)] {
            match &damaged {
                None => fs::remove_file(object).unwrap(),
                Some(changed) => fs::write(object, changed).unwrap(),
            }
            let (code, said) = places.backup(&["verify", "--backup", name]);
            assert!(matches!(code, Some(1 | 2)), "{object:?}: {said}");
            assert!(said.to_string().contains(file), "{object:?} is named: {said}");
            fs::write(object, &bytes).unwrap();
        }
        checked += 1;
    }
    assert!(
        checked >= 6,
        "manifest, two pieces, two tables, the keys of the volume: {checked} of {objects:?}"
    );
    assert_eq!(places.backup(&["verify", "--backup", name]).0, Some(0));
}

#[test]
fn a_check_of_a_backup_uses_an_engine_on_it_and_compares_the_projection() {
    let places = Places::new();
    let engine = places.engine("data");
    save(&engine, texts(0..5));
    let admin = engine.admin.to_string();
    let (code, taken) = places.backup(&["create", "--admin", &admin]);
    assert_eq!(code, Some(0), "{taken}");
    let scratch = places.at("scratch");
    fs::create_dir(&scratch).unwrap();
    let scratch_name = scratch.display().to_string();
    let check = |name: &str| places.backup(&["verify", "--scratch", &scratch_name, "--backup", name]);
    let name = taken["name"].as_str().unwrap();
    let before = places.objects();
    let (code, verified) = check(name);
    assert_eq!(code, Some(0), "{verified}");
    let all = json!({"saved": true, "found": true, "read": true, "timeline": true, "error": null});
    assert_eq!(verified["drill"], all, "{verified}");
    assert_eq!(verified["projection"]["matches"], true, "{verified}");
    let ms = |key: &str| verified[key].as_u64().unwrap_or_else(|| panic!("{key}: {verified}"));
    let sum: u64 = ["download_ms", "open_ms", "projection_ms", "drill_ms"].map(ms).iter().sum();
    assert_eq!((ms("rto_ms"), ms("backup_size")), (sum, 5));
    assert!(ms("rpo_seconds") < 600 && verified["last_event_at"].is_string(), "{verified}");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "the memories of the drill are gone");
    // What was forgotten after the backup is missing in it, and the backup is not broken.
    let answer =
        engine.post("/v1/forget", "", &json!({"project": "default", "reason": "asked for"}).to_string());
    assert_eq!(answer.json()["memories"], 5, "{answer:?}");
    archived(&engine);
    let (code, verified) = check(name);
    assert_eq!((code, &verified["projection"]["matches"]), (Some(0), &json!(null)), "{verified}");
    assert!(verified["events"].as_u64() > Some(5) && verified["damaged"] == json!([]), "{verified}");
    assert!(engine.terminate().success());
    let kept: Vec<PathBuf> = places.objects().into_iter().filter(|path| before.contains(path)).collect();
    assert_eq!(kept, before, "a check changes nothing in the archive");
}

#[test]
fn a_manifest_has_the_configuration_and_a_wrong_digest_does_not_verify() {
    let places = Places::new();
    let engine = places.engine("data");
    save(&engine, texts(0..3));
    let admin = engine.admin.to_string();
    let (_, taken) = places.backup(&["create", "--admin", &admin]);
    assert!(engine.terminate().success());
    let folder = places.at("store").join(taken["log_id"].as_str().unwrap());
    let text = fs::read_to_string(folder.join(taken["name"].as_str().unwrap())).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    let configuration = manifest["configuration"].as_str().unwrap();
    assert!(configuration.contains("backup.archiveIntervalSeconds = 1\n"), "{configuration}");
    assert!(manifest["projection_digest"]["digest"].is_string(), "{manifest}");
    // A projection that differs from what the log gives: the manifest of an engine whose projection was wrong.
    manifest["projection_digest"]["digest"] = json!("00".repeat(32));
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    let hash = engine_core::digest::Hash::of(&bytes);
    let name = format!("manifests/{:020}-{:010}-{hash}", 3, manifest["epoch"].as_u64().unwrap());
    fs::write(folder.join(&name), bytes).unwrap();
    let (code, verified) = places.backup(&["verify", "--backup", &name]);
    assert_eq!(code, Some(1), "{verified}");
    assert!(verified["error"].as_str().unwrap().contains("projection"), "{verified}");
    assert_eq!(verified["ok"], false, "{verified}");
}

#[test]
fn a_restore_ends_at_a_time() {
    let places = Places::new();
    let engine = places.engine("data");
    save(&engine, texts(0..3));
    let events = engine.get("/v1/events?after=0&limit=3").json();
    let third = events["events"][2]["time"].as_str().unwrap().to_owned();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    save(&engine, texts(3..6));
    archived(&engine);
    assert!(engine.terminate().success());
    let (code, restored) = places.restore("then", &["--until", &third]);
    assert_eq!((code, &restored["events"]), (Some(0), &json!(3)), "{restored}");
    assert_eq!(restored["last_event_at"].as_str(), Some(third.as_str()), "{restored}");
    let engine = places.engine("then");
    assert_eq!(contents(&engine), texts(0..3).into_iter().collect());
    assert!(engine.terminate().success());
    let (code, all) = places
        .restore("all", &["--log", restored["log_id"].as_str().unwrap(), "--until", "2100-01-01T00:00:00Z"]);
    assert_eq!((code, &all["damaged"]), (Some(0), &json!([])), "{all}");
    let (code, nothing) = places.restore("nothing", &["--until", "2000-01-01T00:00:00Z"]);
    assert_eq!(code, Some(1), "{nothing}");
    assert!(nothing["error"].as_str().unwrap().contains("2000-01-01"), "{nothing}");
    let (code, wrong) = places.restore("wrong", &["--until", "yesterday"]);
    assert_eq!(code, Some(2), "{wrong}");
}

/// Whether any file below the archive has one of these texts, with everything decrypted that can be: a restore writes
/// all of it.
fn is_anywhere(places: &Places, texts: &[String]) -> bool {
    let restored = places.at("scan");
    let (code, said) = places.restore("scan", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(verify(&restored).0, Some(0));
    let mut bytes: Vec<u8> = fs::read_dir(restored.join("log"))
        .unwrap()
        .flat_map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    fs::remove_dir_all(&restored).unwrap();
    bytes.extend(places.objects().iter().flat_map(|path| fs::read(path).unwrap()));
    let text = String::from_utf8_lossy(&bytes);
    texts.iter().any(|planted| text.contains(planted.as_str()))
}

#[test]
fn what_is_forgotten_cannot_be_read_from_the_archive_and_no_piece_changes() {
    let places = Places::new();
    let engine = places.engine("data");
    save(&engine, texts(0..50));
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    save(&engine, texts(50..60));
    archived(&engine);
    let planted = texts(0..60);
    assert!(is_anywhere(&places, &planted), "the check finds what is there");
    let is_piece = |path: &PathBuf| {
        path.components().any(|part| ["segments", "tails"].iter().any(|name| part.as_os_str() == *name))
    };
    let pieces = |places: &Places| -> Vec<(PathBuf, Vec<u8>)> {
        let pieces = places.objects().into_iter().filter(is_piece);
        pieces.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let before = pieces(&places);
    let body = json!({"project": "default", "reason": "asked for"}).to_string();
    let answer = engine.post("/v1/forget", "", &body);
    let report = answer.json();
    assert_eq!(report["memories"], 60, "{answer:?}");
    let of_backups = |place: &&Value| place["place"] == "backups";
    let place = report["places"].as_array().unwrap().iter().find(of_backups).unwrap().clone();
    assert_eq!(place["state"], "gone", "{report}");
    let after = pieces(&places);
    assert!(before.iter().all(|piece| after.contains(piece)), "pieces never change");
    archived(&engine);
    assert!(!is_anywhere(&places, &planted));
    // The event that says why payloads are missing must be restored with them.
    let (code, refused) = places.restore("earlier", &["--until", "30"]);
    assert_eq!(code, Some(2), "{refused}");
    assert!(refused.to_string().contains("forgotten"), "{refused}");
    assert!(!places.at("earlier").join("log").exists());
}

#[test]
fn an_older_copy_of_a_volume_stores_nothing() {
    let places = Places::new();
    let engine = places.engine("data");
    save(&engine, texts(0..3));
    archived(&engine);
    assert!(engine.terminate().success());
    let copied =
        std::process::Command::new("cp").arg("-a").args([places.at("data"), places.at("copy")]).status();
    assert!(copied.unwrap().success());
    let engine = places.engine("data");
    save(&engine, texts(3..6));
    archived(&engine);
    assert!(engine.terminate().success());
    let before = places.objects();
    let copy = places.engine("copy");
    eventually("the copy is recognised", || copy.admin("/backups").json()["state"] == "ahead");
    save(&copy, texts(100..101));
    assert_eq!(copy.admin_post("/backups", "").status, 503);
    assert!(copy.terminate().success());
    assert_eq!(places.objects(), before, "it has stored nothing, not even a fence");
    // A restore to an earlier event is a decision: the log says so, and its branch is archived.
    let (code, restored) = places.restore("restored", &["--until", "4", "--reason", "event 5 was a mistake"]);
    assert_eq!((code, &restored["events"]), (Some(0), &json!(4)), "{restored}");
    let engine = places.engine("restored");
    save(&engine, texts(200..201));
    archived(&engine);
    drop(engine);
    let (code, latest) = places.restore("latest", &[]);
    assert_eq!((code, &latest["events"]), (Some(0), &json!(6)), "{latest}");
    let engine = places.engine("latest");
    let expected = texts(0..4).into_iter().chain(texts(200..201)).collect();
    assert_eq!(contents(&engine), expected, "the new branch, and nothing of the old one");
}
