//! An archive in a store that speaks the protocol of Azure Blob Storage.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::peers::tool;
use crate::process::{Running, binary, eventually};

const URL: &str = "az://memories/team-a";

/// A store that is running, with one empty container.
struct Azure {
    process: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Drop for Azure {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Azure {
    fn start() -> Azure {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/azure/store.mjs");
        let mut command = Command::new(tool("azure/node"));
        command.arg(script).arg(tool("azure/node_modules")).args([&port.to_string(), "memories"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).find(|line| line.starts_with('{'));
        let said: Value = serde_json::from_str(&said.expect("it does not start")).unwrap();
        let text = |field: &str| said[field].as_str().unwrap().to_owned();
        let azure = Azure { process, address: text("address"), directory: tempfile::tempdir().unwrap() };
        fs::create_dir(azure.at("credentials")).unwrap();
        for (file, value) in [("account_name", text("account")), ("access_key", text("key"))] {
            let path = azure.at("credentials").join(file);
            fs::write(&path, value).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let section = json!({"backup": {
            "url": URL, "endpoint": azure.address, "allowHttp": true, "archiveIntervalSeconds": 1,
            "credentialsDirectory": azure.at("credentials"),
        }});
        fs::write(azure.at("config.yaml"), section.to_string()).unwrap();
        azure
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn engine(&self, data: &str) -> Running {
        let config = self.at("config.yaml");
        let engine = Running::spawn_with(&self.at(data), &["--config".as_ref(), config.as_os_str()]);
        eventually("ready", || engine.admin("/readyz").status == 200);
        engine
    }

    fn backup(&self, args: &[&str]) -> Value {
        let mut command = binary();
        command.arg("backup").args(args).args(["--store", URL, "--endpoint", &self.address, "--allow-http"]);
        let output = command.arg("--credentials-directory").arg(self.at("credentials")).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn an_archive_in_azure_is_taken_verified_forgotten_pruned_and_restored() {
    let azure = Azure::start();
    let engine = azure.engine("data");
    let save = |text: String| assert!(matches!(engine.save(&text).status, 200 | 201));
    (0..20).for_each(|number| save(format!("the kettle number {number}")));
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    let first = engine.admin_post("/backups", "{}").json();
    assert_eq!(first["size"], 20, "{first}");
    let secret = engine.save("the teapot that nobody may remember").json();
    let body = json!({"ids": [secret["id"]], "reason": "asked for"}).to_string();
    let forgotten = engine.post("/v1/forget", "", &body).json();
    assert_eq!(forgotten["memories"], 1, "{forgotten}");
    let last = engine.admin_post("/backups", &json!({"keep": [first["name"]]}).to_string()).json();
    assert_eq!(last["pruned"]["skipped"], Value::Null, "{last}");
    let status = engine.admin("/backups").json();
    assert_eq!(
        (&status["state"], &status["conditional_put"]),
        (&json!("archiving"), &json!(true)),
        "{status}"
    );
    let head = engine.get("/v1/log/head").json();
    drop(engine);

    let scratch = azure.at("scratch").display().to_string();
    let verified = azure.backup(&["verify", "--scratch", &scratch]);
    assert_eq!((&verified["ok"], &verified["backup"]), (&json!(true), &last["name"]), "{verified}");
    let check = azure.backup(&["forget-check"]);
    assert_eq!((&check["forgotten"], &check["left"]), (&json!(1), &json!(0)), "{check}");
    let pruned = azure.backup(&["prune", "--keep-last", "1", "--keep-days", "0"]);
    // The archive itself may have taken its first one before that.
    assert!(pruned["backups"].as_array().unwrap().contains(&first["name"]), "{pruned}");
    let to = azure.at("restored").display().to_string();
    let restored = azure.backup(&["restore", "--to", &to]);
    assert!(restored["events"].as_u64() >= head["seq"].as_u64(), "{restored} {head}");
    let engine = azure.engine("restored");
    let found = engine.get("/v1/search?q=kettle&mode=lexical").json();
    assert_eq!(found["total"], 20, "{found}");
    let gone = engine.get("/v1/search?q=teapot&mode=lexical").json();
    assert_eq!(gone["total"], 0, "{gone}");
}
