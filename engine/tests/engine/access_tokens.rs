//! Keys that the engine makes itself, and the token of the admin port.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::access::{Guarded, bearer, key};
use crate::process::{Answer, Client, JSON, Running, binary, eventually};

/// Runs `memory-engine token` at an engine. Returns whether it succeeded, and its output.
fn token(engine: &Running, arguments: &[&str]) -> (bool, Value, String) {
    let admin = engine.admin.to_string();
    let output = binary().arg("token").args(arguments).args(["--admin", &admin]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
}

fn status(engine: &Running, key: &str, path: &str) -> u16 {
    let header = format!("authorization: Bearer {key}\r\n");
    engine.connect().request("GET", path, &header, "").unwrap().status
}

/// Every file below a directory that has this text.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_key_of_the_engine_is_printed_once_and_kept_as_a_hash() {
    let guarded = Guarded::start("");
    let engine = &guarded.engine;
    let create = ["create", "agent-x", "--scope", "read", "--scope", "write", "--project", "notes"];
    let (ok, created, said) = token(engine, &create);
    assert!(ok, "{said}");
    let made = created["key"].as_str().unwrap().to_owned();
    assert_eq!(status(engine, &made, "/v1/log/head"), 200, "in force at once");
    assert_eq!(status(engine, &made, "/v1/search?project=other"), 403, "bound");
    let (ok, _, said) = token(engine, &create);
    assert!(!ok && said.contains("this name already"), "{said}");
    let (ok, _, said) = token(engine, &["create", "reader", "--scope", "read", "--every-project"]);
    assert!(!ok && said.contains("this name already"), "a name of the configuration: {said}");
    for bad in [
        &["create", "Agent", "--scope", "read", "--every-project"][..],
        &["create", "b", "--scope", "read", "--every-project", "--expires", "2020-01-01T00:00:00Z"],
        &["create", "b", "--scope", "read", "--project", "*", "--project", "x"],
    ] {
        assert!(!token(engine, bad).0, "{bad:?}");
    }
    let (_, listed, _) = token(engine, &["list"]);
    let tokens = listed["tokens"].as_array().unwrap();
    let own = tokens.iter().find(|token| token["name"] == "agent-x").unwrap();
    assert_eq!((&own["source"], &own["projects"]), (&json!("engine"), &json!(["notes"])));
    assert!(own["last_used"].is_string() && own["created"].is_string(), "{own}");
    assert!(tokens.iter().any(|token| token["name"] == "reader" && token["source"] == "configuration"));
    assert!(!listed.to_string().contains(&made), "no list has a key");
    let file = guarded.data.path().join("access/keys.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(files_with(guarded.data.path(), &made), [] as [String; 0], "the volume has only the hash");
    assert!(!engine.said().contains(&made), "no line of the log has it");
    let audited =
        engine.said().lines().filter(|line| line.contains("\"audit\"") && line.contains("/tokens")).count();
    assert!(audited >= 2, "{}", engine.said());
    assert!(engine.said().contains("\"action\":\"token create\",\"name\":\"agent-x\""), "{}", engine.said());
    let (ok, left, _) = token(engine, &["revoke", "agent-x"]);
    assert!(ok && !left.to_string().contains("agent-x"), "{left}");
    assert_eq!(status(engine, &made, "/v1/log/head"), 401, "refused at once");
    assert!(!token(engine, &["revoke", "agent-x"]).0 && !token(engine, &["revoke", "reader"]).0);
}

#[test]
fn keys_of_the_engine_outlive_a_restart_and_a_damaged_file_opens_nothing() {
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let engine = Running::spawn_with(data.path(), &["--set".as_ref(), "access.anonymous=false".as_ref()]);
        eventually("ready", || engine.admin("/readyz").status == 200);
        engine
    };
    let engine = start();
    let (_, created, _) = token(&engine, &["create", "a", "--scope", "read", "--every-project"]);
    let made = created["key"].as_str().unwrap().to_owned();
    engine.kill();
    let engine = start();
    assert_eq!(status(&engine, &made, "/v1/log/head"), 200);
    assert_eq!(engine.get("/v1/log/head").status, 401);
    engine.kill();
    let file = data.path().join("access/keys.json");
    let doctor = || binary().args(["doctor", "--data"]).arg(data.path()).output().unwrap();
    assert_eq!(doctor().status.code(), Some(0));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
    let found = doctor();
    assert_eq!(found.status.code(), Some(1), "others can read the hashes");
    assert!(String::from_utf8(found.stdout).unwrap().contains("keys.json"));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let engine = start();
    assert_eq!(status(&engine, &made, "/v1/log/head"), 401);
    let (ok, _, said) = token(&engine, &["create", "b", "--scope", "read", "--every-project"]);
    assert!(!ok && said.contains("STORAGE_FAILURE"), "a damaged file is not overwritten: {said}");
    assert_eq!(fs::read(&file).unwrap().len(), whole.len() / 2);
}

#[test]
fn the_admin_port_demands_its_token() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = files.path().join("token");
    fs::write(&file, format!("sha256:{}\n", key("admin").hash())).unwrap();
    let set = format!("access.adminTokenFile={}", file.display());
    let attempts = "access.failedAttemptsPerMinute=1000";
    let arguments = ["--set", &set, "--set", attempts].map(AsRef::as_ref);
    let engine = Running::spawn_with(data.path(), &arguments);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let ask = |headers: &str, path: &str| -> Answer {
        Client::connect(engine.admin).unwrap().request("GET", path, headers, "").unwrap()
    };
    for path in ["/livez", "/readyz", "/metrics", "/metrics/json"] {
        assert_eq!(ask("", path).status, 200, "{path}");
    }
    for path in ["/", "/health", "/mode", "/config/env", "/tokens", "/checkpoint", "/nothing"] {
        assert_eq!(ask("", path).status, 401, "{path}");
        assert_eq!(ask(&bearer("other"), path).status, 401, "{path}");
        assert_ne!(ask(&bearer("admin"), path).status, 401, "{path}");
    }
    let post = Client::connect(engine.admin).unwrap().request("POST", "/rotate", JSON, "").unwrap();
    assert_eq!(post.status, 401, "{post:?}");
    // The command takes the token from a file.
    let plain = files.path().join("plain");
    fs::write(&plain, key("admin").secret_text()).unwrap();
    assert!(!token(&engine, &["list"]).0);
    let (ok, _, said) = token(&engine, &["list", "--admin-token-file", plain.to_str().unwrap()]);
    assert!(ok, "{said}");
    // During a rotation there are two.
    let previous = files.path().join("token.previous");
    fs::write(&previous, key("admin").secret_text()).unwrap();
    fs::write(&file, key("next").secret_text()).unwrap();
    eventually("the new one is accepted", || ask(&bearer("next"), "/health").status == 200);
    assert_eq!(ask(&bearer("admin"), "/health").status, 200, "and so is the one before");
    assert_eq!(ask(&bearer("other"), "/health").status, 401);
    fs::remove_file(&previous).unwrap();
    eventually("the one before is refused", || ask(&bearer("admin"), "/health").status == 401);
    assert_eq!(ask(&bearer("next"), "/health").status, 200);
    fs::write(&previous, key("admin").secret_text()).unwrap();
    fs::remove_file(&file).unwrap();
    eventually("without the file nothing is accepted", || ask(&bearer("admin"), "/health").status != 200);
    assert_eq!(ask("", "/livez").status, 200);
}

#[test]
fn a_generated_key_and_its_hash_belong_together() {
    let output = binary().args(["token", "generate"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (made, hash) = text.trim_end().split_once('\n').unwrap();
    assert_eq!(engine_core::access::stored_hash(made), engine_core::access::stored_hash(hash));
    assert!(engine_core::access::ApiKey::parse(made).is_ok(), "{text}");
}
