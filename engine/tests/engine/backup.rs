//! Archives, backups and restores of the real binary, with a file store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use engine_core::archive::cipher::WrappingKey;
use engine_core::archive::key_table::KeyTable;
use engine_core::archive::name::PieceName;
use engine_core::archive::piece::Piece;
use engine_core::digest::{Hash, hex};
use serde_json::{Value, json};

use crate::process::{Running, binary, eventually, verify};

/// Directories of one test: the volume, the archive, and the configuration.
pub(crate) struct Places {
    directory: tempfile::TempDir,
    has_key: bool,
}

/// The key-encryption key of the archives that have one.
const KEY: [u8; 32] = [0x5a; 32];

impl Places {
    pub(crate) fn new() -> Places {
        Places::of(false)
    }

    /// With a key-encryption key or without.
    pub(crate) fn of(has_key: bool) -> Places {
        let places = Places { directory: tempfile::tempdir().unwrap(), has_key };
        let mut text = format!("backup:\n  url: '{}'\n  archiveIntervalSeconds: 1\n", places.url());
        if has_key {
            let path = places.at("key");
            fs::write(&path, hex(&KEY)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            text += &format!("  keyEncryptionKeyFile: '{}'\n", path.display());
        }
        fs::write(places.at("config.yaml"), text).unwrap();
        places
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.at("store").display())
    }

    /// An engine that archives.
    pub(crate) fn engine(&self, data: &str) -> Running {
        let config = self.at("config.yaml");
        let engine = Running::spawn_with(&self.at(data), &["--config".as_ref(), config.as_os_str()]);
        eventually("ready", || engine.admin("/readyz").status == 200);
        engine
    }

    /// Runs `backup` with these arguments; returns the exit code and what it prints.
    pub(crate) fn backup(&self, args: &[&str]) -> (Option<i32>, Value) {
        let mut command = binary();
        command.arg("backup").args(args);
        if !args.contains(&"--admin") {
            command.args(["--store", &self.url()]);
            if self.has_key {
                command.arg("--key-encryption-key-file").arg(self.at("key"));
            }
        }
        let output = command.output().unwrap();
        let said = serde_json::from_slice(&output.stdout);
        (output.status.code(), said.unwrap_or_else(|_| json!(String::from_utf8_lossy(&output.stderr))))
    }

    pub(crate) fn restore(&self, to: &str, more: &[&str]) -> (Option<i32>, Value) {
        let to = self.at(to).display().to_string();
        self.backup(&[&["restore", "--to", &to], more].concat())
    }

    /// The manifest of a backup that was taken.
    fn manifest(&self, taken: &Value) -> Value {
        let folder = self.at("store").join(taken["log_id"].as_str().unwrap());
        let stored = fs::read(folder.join(taken["name"].as_str().unwrap())).unwrap();
        serde_json::from_slice(&zstd::decode_all(stored.as_slice()).unwrap()).unwrap()
    }

    /// All objects of the archive.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
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

pub(crate) fn save(engine: &Running, texts: impl IntoIterator<Item = String>) {
    for text in texts {
        let answer = engine.save(&text);
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }
}

/// Contents of all memories in the log of an engine.
pub(crate) fn contents(engine: &Running) -> BTreeSet<String> {
    let events = engine.get("/v1/events?after=0&limit=1000").json();
    let events = events["events"].as_array().unwrap();
    events.iter().filter_map(|event| Some(event["payload"]["content"].as_str()?.to_owned())).collect()
}

pub(crate) fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("planted text number {number} of the kettle")).collect()
}

/// Waits until everything is archived.
pub(crate) fn archived(engine: &Running) {
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
    let manifest = places.manifest(&taken).to_string();
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
            assert_eq!((code, &said["ok"]), (Some(1), &json!(false)), "{object:?}: {said}");
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
fn a_restore_that_cannot_begin_says_so_in_the_status_of_its_pod() {
    let places = Places::new();
    fs::create_dir_all(places.at("data/log")).unwrap();
    fs::write(places.at("data/restored.json"), "{").unwrap();
    let message = places.at("message");
    let file = message.display().to_string();
    let (code, said) = places.restore("data", &["--once", "request", "--termination-log", &file]);
    assert_eq!(code, Some(2), "{said}");
    let message: Value = serde_json::from_slice(&fs::read(&message).unwrap()).unwrap();
    assert!(message["error"].is_string() && message.get("ok").is_none(), "{message}");
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
    let mut manifest = places.manifest(&taken);
    let configuration = manifest["configuration"].as_str().unwrap();
    assert!(configuration.contains("backup.archiveIntervalSeconds = 1\n"), "{configuration}");
    assert!(manifest["projection_digest"]["digest"].is_string(), "{manifest}");
    // A projection that differs from what the log gives: the manifest of an engine whose projection was wrong.
    manifest["projection_digest"]["digest"] = json!("00".repeat(32));
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    let hash = Hash::of(&bytes);
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

/// Everything that can be read in the archive: the bytes of all objects, and the lines of all pieces, replaced or not,
/// with every payload of which there is a key.
fn readable(places: &Places) -> String {
    let key = places.has_key.then_some(WrappingKey(KEY));
    let mut found = Vec::new();
    for path in places.objects() {
        let bytes = fs::read(&path).unwrap();
        found.extend_from_slice(&bytes);
        let in_its_folder = path.iter().rev().take(2).collect::<Vec<_>>();
        let name = format!("{}/{}", in_its_folder[1].display(), in_its_folder[0].display());
        let Some(name) = PieceName::parse(&name) else { continue };
        let folder = path.parent().unwrap().parent().unwrap();
        let table = fs::read(folder.join(name.keys())).unwrap();
        let table = KeyTable::decode(&table, &name.sha256, key.as_ref()).unwrap();
        let log_id = folder.file_name().unwrap().to_str().unwrap();
        let piece = Piece::decode(&name, log_id, &bytes).unwrap();
        piece.restore(&table, u64::MAX, &mut found).unwrap();
    }
    String::from_utf8_lossy(&found).into_owned()
}

/// How many of these texts can be read in the archive, and how many a restore gives.
fn found(places: &Places, texts: &[String]) -> (usize, usize) {
    let restored = places.at("scan");
    let (code, said) = places.restore("scan", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(verify(&restored).0, Some(0));
    let segments = fs::read_dir(restored.join("log")).unwrap();
    let log: Vec<u8> = segments.flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    fs::remove_dir_all(&restored).unwrap();
    let (archive, log) = (readable(places), String::from_utf8_lossy(&log).into_owned());
    let count = |text: &str| texts.iter().filter(|planted| text.contains(planted.as_str())).count();
    (count(&archive), count(&log))
}

/// Names of the pieces, and their SHA-256.
fn pieces(places: &Places) -> BTreeMap<PathBuf, Hash> {
    let is_piece = |path: &PathBuf| {
        path.components().any(|part| ["segments", "tails"].iter().any(|name| part.as_os_str() == *name))
    };
    let pieces = places.objects().into_iter().filter(is_piece);
    pieces.map(|path| (path.clone(), Hash::of(&fs::read(path).unwrap()))).collect()
}

/// Saves texts, a hundred with each request.
fn save_many(engine: &Running, texts: &[String]) {
    for some in texts.chunks(100) {
        let memories: Vec<Value> = some.iter().map(|text| json!({"content": text})).collect();
        let answer = engine.post("/v1/memories/batch", "", &json!({"memories": memories}).to_string());
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }
}

fn what_is_forgotten_is_gone(has_key: bool) {
    let places = Places::of(has_key);
    let engine = places.engine("data");
    let planted = texts(0..1_000);
    // In pieces of tails that a segment replaces, in pieces of segments, and in tails of today.
    save_many(&engine, &planted[..400]);
    archived(&engine);
    save_many(&engine, &planted[400..900]);
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    save_many(&engine, &planted[900..]);
    archived(&engine);
    assert_eq!(found(&places, &planted), (1_000, 1_000), "the check finds what is there");
    let before = pieces(&places);
    let body = json!({"project": "default", "reason": "asked for"}).to_string();
    let answer = engine.post("/v1/forget", "", &body);
    let report = answer.json();
    assert_eq!(report["memories"], 1_000, "{answer:?}");
    let of_backups = |place: &&Value| place["place"] == "backups";
    let place = report["places"].as_array().unwrap().iter().find(of_backups).unwrap().clone();
    assert_eq!(place["state"], "gone", "{report}");
    archived(&engine);
    assert_eq!(found(&places, &planted), (0, 0));
    let (code, check) = places.backup(&["forget-check"]);
    assert_eq!((code, &check["forgotten"], &check["left"]), (Some(0), &json!(1_000), &json!(0)), "{check}");
    let after = pieces(&places);
    assert!(before.iter().all(|(path, hash)| after.get(path) == Some(hash)), "pieces never change");
    // The event that says why payloads are missing must be restored with them.
    let (code, refused) = places.restore("earlier", &["--until", "30"]);
    assert_eq!(code, Some(2), "{refused}");
    assert!(refused.to_string().contains("forgotten"), "{refused}");
    assert!(!places.at("earlier").join("log").exists());
}

#[test]
fn what_is_forgotten_cannot_be_read_from_the_archive_and_no_piece_changes() {
    what_is_forgotten_is_gone(false);
}

#[test]
fn what_is_forgotten_cannot_be_read_from_an_archive_with_a_key_encryption_key() {
    what_is_forgotten_is_gone(true);
}

#[test]
fn a_backup_removes_the_old_ones_and_keeps_those_that_are_named() {
    let places = Places::new();
    let text = fs::read_to_string(places.at("config.yaml")).unwrap();
    fs::write(places.at("config.yaml"), text + "  keepBackups: 1\n  keepDays: 0\n").unwrap();
    let engine = places.engine("data");
    save(&engine, texts(0..3));
    let take = |body: Value| {
        let answer = engine.admin_post("/backups", &body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let first = take(json!({"keep": []}));
    save(&engine, texts(3..6));
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    save(&engine, texts(6..7));
    let second = take(json!({"keep": [first["name"]]}));
    assert_eq!(second["pruned"]["kept"], 2, "{second}");
    let name = |taken: &Value| taken["name"].as_str().unwrap().to_owned();
    for taken in [&first, &second] {
        let (code, verified) = places.backup(&["verify", "--backup", &name(taken)]);
        assert_eq!(code, Some(0), "{verified}");
    }
    let third = take(json!({}));
    assert_eq!(third["pruned"], Value::Null, "the request does not say what stays: {third}");
    let third = take(json!({"keep": []}));
    assert_eq!(third["pruned"]["kept"], 1, "{third}");
    assert_eq!(third["pruned"]["backups"].as_array().map(Vec::len), Some(3), "{third}");
    let (code, gone) = places.backup(&["verify", "--backup", &name(&first)]);
    assert_eq!(code, Some(1), "{gone}");
    assert_eq!(places.backup(&["verify"]).0, Some(0));
    for wrong in [json!({"keep": ["latest"]}), json!({"kept": []}), json!({"keep": "x"})] {
        let answer = engine.admin_post("/backups", &wrong.to_string());
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
    assert!(engine.terminate().success());
    let (code, dry) = places.backup(&["prune", "--keep-last", "1", "--keep-days", "0", "--dry-run"]);
    assert_eq!((code, &dry["dry_run"], &dry["kept"]), (Some(0), &json!(true), &json!(1)), "{dry}");
    let (code, pruned) = places.backup(&["prune", "--keep-last", "1", "--keep-days", "0"]);
    assert_eq!((code, &pruned["ok"], &pruned["kept"]), (Some(0), &json!(true), &json!(1)), "{pruned}");
    assert_eq!(places.backup(&["verify"]).0, Some(0));
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
