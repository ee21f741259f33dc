//! The configuration from file, environment and flags: the commands, and what a running engine takes from a changed
//! file.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use engine_core::digest::Hash;
use serde_json::{Value, json};

use crate::process::{Running, binary, eventually};

/// The binary without variables of the machine that could set keys.
fn command(arguments: &[&str]) -> Command {
    let mut command = binary();
    command.env_clear().args(arguments);
    command
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_names_every_fault_at_once_and_ends_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    fs::write(&path, "limits: {burst: 5}\nlog: {level: loud}\nmore: 1\n").unwrap();
    let file = path.to_str().unwrap();
    let checked = command(&["config", "check", file, "--set", "rerank.top=1"])
        .env("MEMORY_ENGINE_SHUTDOWN_DRAIN_SECONDS", "0")
        .env("MEMORY_ENGINE_LIMITS_BURTS", "1")
        .env("MEMORY_ENGINE_ENGINE_NAME", "a")
        .env("MEMORY_ENGINE_ENGINE_NAME_FILE", "/b")
        .env("MEMORY_ENGINE_SAVING_SAME_TEXT_FILE", "/no/such/file")
        .output()
        .unwrap();
    // Both variables of the name are set, so the file of one of them is not read.
    let (code, _, stderr) = texts(&checked);
    assert_eq!(code, Some(2), "{stderr}");
    for fault in [
        "unknown key \"more\"",
        "log.level must be error",
        "limits.burst needs limits.requestsPerSecond",
        "rerank.top must be an integer from 2 to 200 (flag)",
        "shutdown.drainSeconds must be an integer from 1 to 300 (environment MEMORY_ENGINE_SHUTDOWN_DRAIN_SECONDS)",
        "the variable MEMORY_ENGINE_LIMITS_BURTS sets no key",
        "MEMORY_ENGINE_ENGINE_NAME and MEMORY_ENGINE_ENGINE_NAME_FILE are both set",
        "saving.sameText cannot be read from \"/no/such/file\"",
    ] {
        assert!(stderr.contains(fault), "{fault}: {stderr}");
    }
    fs::write(&path, "limits: {requestsPerSecond: 5}\n").unwrap();
    let (code, stdout, stderr) =
        texts(&command(&["config", "check", file]).env("RAG_TOP_K", "7").output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(0), "the configuration is valid\n"), "{stderr}");
    assert!(stderr.contains("RAG_TOP_K is an old name of retrieval.searchLimit"), "{stderr}");
    let missing = command(&["config", "check", "/no/such/file"]).output().unwrap();
    let (code, _, stderr) = texts(&missing);
    assert_eq!(code, Some(2));
    assert_eq!(stderr.matches("No such file or directory").count(), 1, "the cause is said once: {stderr}");
}

#[test]
fn a_flag_with_a_mistake_is_reported_without_its_value() {
    for (flag, says) in [
        ("limits.bust=hidden", "known are limits.requestsPerSecond"),
        ("rerank.apiKey=hidden", "there is no key \"rerank.apiKey\""),
        ("hidden-9", "--set needs KEY=VALUE"),
        ("hidden-9=", "there is no key"),
        ("limits.burst=hidden", "limits.burst must be an integer from 1 to 1000000 (flag)"),
    ] {
        let (code, stdout, stderr) =
            texts(&command(&["config", "check", "--set", flag, "--set", "x=1"]).output().unwrap());
        assert_eq!(code, Some(2), "{flag}: {stdout}");
        assert!(stderr.contains(says) && !stderr.contains("hidden"), "{flag}: {stderr}");
        assert!(stderr.contains("there is no key \"x\""), "every fault is named: {stderr}");
    }
}

#[test]
fn show_names_origins_and_masks_secrets_and_explain_describes_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let (config, name) = (directory.path().join("config.yaml"), directory.path().join("name"));
    let text = "log: {level: warn}\nlimits: {requestsPerSecond: 5}\n\
        rerank: {url: 'https://models.example/?key=hidden', model: m, apiKeyFile: /run/key}\n\
        policy: {exceptions: [{detector: email, value: hidden@example.org, reason: r, reviewer: w}]}\n";
    fs::write(&config, text).unwrap();
    fs::write(&name, "notes\n").unwrap();
    let shown = command(&["config", "show", "--json", "--set", "limits.burst=9"])
        .env("MEMORY_ENGINE_CONFIG", &config)
        .env("MEMORY_ENGINE_LOG_LEVEL", "debug")
        .env("MEMORY_ENGINE_ENGINE_NAME_FILE", &name)
        .output()
        .unwrap();
    let (code, stdout, stderr) = texts(&shown);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stdout.contains("hidden") && stdout.contains("/run/key"), "{stdout}");
    let values: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    let of = |key: &str| {
        let one = values.iter().find(|one| one["key"] == key).unwrap();
        (one["value"].clone(), one["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("log.level"), (json!("debug"), "environment MEMORY_ENGINE_LOG_LEVEL".into()));
    assert_eq!(of("engine.name"), (json!("notes"), "environment MEMORY_ENGINE_ENGINE_NAME_FILE".into()));
    assert_eq!(of("limits.burst"), (json!(9), "flag".into()));
    assert_eq!(of("limits.requestsPerSecond"), (json!(5), "file".into()));
    assert_eq!(of("shutdown.drainSeconds"), (json!(20), "default".into()));
    let (code, stdout, _) = texts(&command(&["config", "explain", "limits.burst"]).output().unwrap());
    assert!(code == Some(0) && stdout.contains("bounds: 1–1,000,000"), "{stdout}");
    let (code, _, stderr) = texts(&command(&["config", "explain", "limits.bust"]).output().unwrap());
    assert!(code == Some(2) && stderr.contains("known are limits.requestsPerSecond"), "{stderr}");
}

fn configuration(engine: &Running) -> Value {
    engine.health()["configuration"].clone()
}

fn hash(path: &Path) -> String {
    Hash::of(&fs::read(path).unwrap()).to_string()
}

/// Replaces a file as an editor or the kubelet does: another file takes its name.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

#[test]
fn a_changed_file_is_applied_as_far_as_it_can_be_and_a_bad_one_is_reported() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("config.yaml");
    fs::write(&path, "log: {level: info}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), path.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let first = hash(&path);
    assert_eq!(configuration(&engine), json!({"sha256": first, "file": "in_force"}));
    assert!(!engine.said().contains("answered"), "nothing is logged at the level debug");

    replace(
        &path,
        "log: {level: debug}\nlimits: {requestsPerSecond: 1, burst: 2}\nsaving: {sameText: SaveOnce}\n",
    );
    eventually("in force", || configuration(&engine)["sha256"] == hash(&path).as_str());
    assert_eq!(configuration(&engine)["file"], "in_force");
    let codes: Vec<u16> = (0..4).map(|_| engine.get("/v1/log/head").status).collect();
    assert_eq!((codes[0], codes[3]), (200, 429), "{codes:?}");
    assert!(engine.said().contains("answered"), "requests are logged at the level debug");
    let in_force = hash(&path);

    replace(&path, "log: {level: loud}\nshutdown: {drainSeconds: 5}\n");
    eventually("reported", || configuration(&engine)["file"] == "invalid");
    assert_eq!(configuration(&engine)["sha256"], in_force.as_str());
    let health = engine.health();
    assert_eq!(
        (&health["status"], &health["reasons"]),
        (&json!("degraded"), &json!(["configuration_invalid"]))
    );
    assert!(engine.said().contains("log.level must be error"), "{}", engine.said());
    assert!(engine.admin("/metrics").body.contains("memory_configuration_in_force{engine=\"\"} 0"));
    fs::remove_file(&path).unwrap();
    eventually("reported", || configuration(&engine)["file"] == "unreadable");

    replace(&path, "shutdown: {drainSeconds: 5}\n");
    eventually("reported", || configuration(&engine)["file"] == "restart_required");
    let expected = json!({
        "sha256": in_force, "file": "restart_required", "restart_required": ["shutdown.drainSeconds"],
    });
    assert_eq!(configuration(&engine), expected);
    assert_eq!(engine.health()["status"], "ok", "it serves as configured before");
    // The keys that need no restart are in force already: there is no limit any more.
    assert!((0..5).all(|_| engine.get("/v1/log/head").status == 200));
    replace(&path, "log: {level: info}\n");
    eventually("in force", || configuration(&engine) == json!({"sha256": first, "file": "in_force"}));
}

#[test]
fn the_number_of_results_has_a_default_that_an_old_variable_sets_too() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::spawn_with(data.path(), &["--set".as_ref(), "retrieval.searchLimit=2".as_ref()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    assert_eq!(configuration(&engine), json!({"file": "none"}));
    for number in 0..4 {
        assert_eq!(engine.save(&format!("the kettle {number} is blue")).status, 201);
    }
    let found = |query: &str| engine.get(query).json()["items"].as_array().unwrap().len();
    assert_eq!((found("/v1/search?q=kettle"), found("/v1/search?q=kettle&limit=3")), (2, 3));
}

#[test]
fn what_is_no_regular_file_neither_blocks_the_engine_nor_stops_later_changes() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("config.yaml");
    fs::write(&path, "log: {level: info}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), path.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let large = "#".repeat((1 << 20) + 1);
    let pipe = data.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_bits_truncate(0o600),
        0,
    )
    .unwrap();
    let directory = data.path().join("directory");
    fs::create_dir(&directory).unwrap();
    for (put, says) in [
        (&(|| fs::rename(&pipe, &path).unwrap()) as &dyn Fn(), "it is a pipe, a socket or a device"),
        (&|| replace(&path, &large), "it has more than 1048576 bytes"),
        (
            &|| {
                fs::remove_file(&path).unwrap();
                fs::rename(&directory, &path).unwrap();
            },
            "it is a directory, not a regular file",
        ),
    ] {
        put();
        eventually(says, || engine.said().contains(says));
        eventually("reported", || configuration(&engine)["file"] == "unreadable");
    }
    fs::remove_dir(&path).unwrap();
    replace(&path, "log: {level: debug}\n");
    eventually("in force", || configuration(&engine) == json!({"sha256": hash(&path), "file": "in_force"}));
    let (code, _, stderr) = texts(&command(&["config", "check", "/dev/zero"]).output().unwrap());
    assert!(code == Some(2) && stderr.contains("it is a pipe, a socket or a device"), "{stderr}");
}
