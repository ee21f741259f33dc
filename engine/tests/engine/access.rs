//! Access control: who is recognised, with what, and what is told about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine_core::access::{ApiKey, KEY_RANDOM_BYTES, OPERATIONS, Scope, table};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::mcp::{self, meta};
use crate::modes::example;
use crate::pki::{Authority, mount};
use crate::process::{Answer, Client, Running, binary, eventually};
use crate::tls;

/// Scopes and projects of the callers of the tests.
const CALLERS: [(&str, &str, &str); 8] = [
    ("root", "[read, write, admin]", "['*']"),
    ("reader", "[read]", "[notes]"),
    ("writer", "[write]", "[notes]"),
    ("agent-a", "[read, write, admin]", "[alpha]"),
    ("agent-b", "[read, write, admin]", "[beta]"),
    ("both", "[read, write]", "[alpha, beta]"),
    ("every-reader", "[read]", "['*']"),
    ("every-writer", "[write]", "['*']"),
];

/// An engine that serves only callers with keys.
pub(crate) struct Guarded {
    pub(crate) engine: Running,
    pub(crate) data: TempDir,
    files: TempDir,
}

/// A key of its own for each name.
pub(crate) fn key(name: &str) -> ApiKey {
    let mut bytes = [0; KEY_RANDOM_BYTES];
    bytes.iter_mut().zip(name.bytes().cycle()).for_each(|(byte, letter)| *byte = letter);
    ApiKey::of_random(&bytes)
}

/// Writes a file that only its owner reads.
pub(crate) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The header with the key of a caller.
pub(crate) fn bearer(name: &str) -> String {
    format!("authorization: Bearer {}\r\n", key(name).secret_text())
}

impl Guarded {
    pub(crate) fn start(more: &str) -> Guarded {
        let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let guarded = Guarded::config(files.path(), more);
        let engine = Running::spawn_with(data.path(), &["--config".as_ref(), guarded.as_os_str()]);
        eventually("ready", || engine.admin("/readyz").status == 200);
        Guarded { engine, data, files }
    }

    /// Writes the files of all callers, and a configuration that names them.
    fn config(files: &Path, more: &str) -> PathBuf {
        let mut text = format!("{more}access:\n  anonymous: false\n  keys:\n");
        for (name, scopes, projects) in CALLERS {
            let file = files.join(name);
            write_secret(&file, key(name).secret_text());
            let files = format!("['{0}', '{0}.previous']", file.display());
            text +=
                &format!("  - {{name: {name}, files: {files}, scopes: {scopes}, projects: {projects}}}\n");
        }
        let path = files.join("config.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Sends a request as a caller.
    pub(crate) fn ask(&self, name: &str, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.engine.connect().request(method, path, &bearer(name), &body).unwrap()
    }

    pub(crate) fn get(&self, name: &str, path: &str) -> Answer {
        self.ask(name, "GET", path, &Value::Null)
    }

    pub(crate) fn post(&self, name: &str, path: &str, body: &Value) -> Answer {
        self.ask(name, "POST", path, body)
    }

    /// Calls a tool as a caller.
    pub(crate) fn call(&self, name: &str, tool: &str, arguments: &Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": meta(mcp::NEWEST) });
        let headers = format!("{}{}", mcp::modern("tools/call", Some(tool)), bearer(name));
        mcp::post(&self.engine, &headers, &mcp::request("tools/call", &params))
    }

    /// The lines of the log about access.
    pub(crate) fn records(&self) -> Vec<Value> {
        let lines = self.engine.said();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "access").collect()
    }
}

#[test]
fn a_key_is_let_in_and_nothing_else_is() {
    let guarded = Guarded::start("");
    let engine = &guarded.engine;
    assert_eq!(guarded.get("reader", "/v1/log/head").status, 200);
    let with = |header: &str| engine.connect().request("GET", "/v1/log/head", header, "").unwrap();
    let right = key("reader").secret_text().to_owned();
    let wrong = |text: &str| format!("authorization: Bearer {text}\r\n");
    for header in [
        String::new(),
        bearer("nobody"),
        wrong(&right[..70]),
        wrong("eyJhbGciOiJub25lIn0.e30."),
        wrong(&format!("sha256:{}", key("reader").hash())),
        format!("authorization: Basic {right}\r\n"),
        format!("authorization: {right}\r\n"),
        format!("{}{}", bearer("reader"), bearer("reader")),
        format!("x-api-key: {right}\r\n"),
    ] {
        let answer = with(&header);
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED"), "{answer:?}");
        assert!(answer.has_header("www-authenticate: bearer realm=\"memory-engine\""), "{answer:?}");
        assert!(!answer.body.contains(&right), "{answer:?}");
    }
    assert_eq!(with(&format!("authorization: bearer   {right}\r\n")).status, 200, "the scheme has no case");
    assert!(with(&wrong(&right[..70])).body.contains("checksum"), "a wrong copy is told from a wrong key");
    // What is not routed tells nothing either, and what is open tells only how to authorise.
    assert_eq!(engine.get("/v1/nothing").status, 401);
    assert_eq!(engine.get("/v1/openapi.json").status, 401);
    assert_eq!(engine.get("/.well-known/oauth-protected-resource").status, 200);
    assert!(!engine.said().contains(&right), "no key in the log");
}

/// Proxies end a request that is answered before its body is sent, and clients of HTTP/2 report an error then.
#[test]
fn a_caller_who_is_not_recognised_is_answered_after_the_body() {
    let guarded = Guarded::start("");
    let mut client = guarded.engine.connect();
    client.raw(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n").unwrap();
    assert!(!client.is_answered_within(Duration::from_millis(300)), "answered before the body");
    client.raw(b"{}").unwrap();
    assert_eq!(client.answer().unwrap().status, 401);
    assert_eq!(client.request("GET", "/v1/log/head", "", "").unwrap().status, 401, "the connection lives on");
    let answer = client.request("POST", "/v1/memories", "", &"x".repeat(1 << 20));
    assert!(answer.is_err() || answer.unwrap().status == 401, "a large body is not read");
}

#[test]
fn without_access_control_everything_is_as_before() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    assert_eq!(engine.save("x").status, 201);
    let answer = engine.connect().request("GET", "/v1/log/head", &bearer("nobody"), "").unwrap();
    assert_eq!(answer.status, 401, "a wrong key is never taken for none: {answer:?}");
    let of_a_proxy = "authorization: Basic dXNlcjpwYXNz\r\n";
    assert_eq!(engine.connect().request("GET", "/v1/log/head", of_a_proxy, "").unwrap().status, 200);
    assert!(!engine.said().contains("\"caller\":\"anonymous\""), "nothing to record");
}

#[test]
fn files_are_followed_while_the_engine_runs() {
    let guarded = Guarded::start("");
    let status = |name: &str| guarded.get(name, "/v1/log/head").status;
    assert_eq!([status("reader"), status("new")], [200, 401]);
    // A rotation: the new key beside the old one, then without it.
    fs::write(guarded.file("reader.previous"), format!("sha256:{}\n", key("reader").hash())).unwrap();
    write_secret(&guarded.file("reader"), key("new").secret_text());
    let started = Instant::now();
    eventually("the new key is accepted", || status("new") == 200);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(status("reader"), 200, "the previous key is accepted");
    fs::remove_file(guarded.file("reader.previous")).unwrap();
    eventually("the previous key is refused", || status("reader") == 401);
    fs::remove_file(guarded.file("reader")).unwrap();
    eventually("a key that was taken away is refused", || status("new") == 401);
    eventually("the fault is logged", || guarded.engine.said().contains("cannot be read from"));
    // The configuration: a key less, and another caller.
    let config = fs::read_to_string(guarded.file("config.yaml")).unwrap();
    let without = config.lines().filter(|line| !line.contains("name: both,")).collect::<Vec<_>>().join("\n");
    assert_eq!(status("both"), 200);
    fs::write(guarded.file("config.yaml"), without).unwrap();
    eventually("a key that the configuration drops is refused", || status("both") == 401);
    assert_eq!(guarded.engine.health()["configuration"]["file"], "in_force");
}

#[test]
fn an_expired_key_is_refused_like_an_unknown_one() {
    let guarded = Guarded::start("");
    let path = guarded.file("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    assert_eq!(guarded.get("reader", "/v1/log/head").status, 200);
    let expired = config.replace("{name: reader,", "{name: reader, expires: '2020-01-01T00:00:00Z',");
    fs::write(&path, expired).unwrap();
    eventually("it is refused", || guarded.get("reader", "/v1/log/head").status == 401);
    let (expired, unknown) = (guarded.get("reader", "/v1/log/head"), guarded.get("nobody", "/v1/log/head"));
    assert_eq!(expired.body, unknown.body);
    let is_recorded = |reason: &str| guarded.records().iter().any(|line| line["reason"] == reason);
    eventually("both are recorded", || is_recorded("expired_key") && is_recorded("unknown_key"));
}

/// Every route of the document with keys that have all scopes but one.
#[test]
fn every_route_needs_the_scope_of_the_table() {
    let guarded = Guarded::start("");
    let document = guarded.get("root", "/v1/openapi.json").json();
    let saved = guarded.post("root", "/v1/memories", &json!({"content": "x"})).json();
    let id = saved["id"].as_str().unwrap();
    let mut refused = 0;
    for row in OPERATIONS {
        for (method, path) in row.routes {
            let operation = &document["paths"][path][method.to_lowercase()];
            let scopes = row.scope.map(|scope| vec![scope.word()]).unwrap_or_default();
            assert_eq!(operation["security"][0]["key"], json!(scopes), "{path}");
            let (method, target, headers, body) = example(path, method, operation, id);
            // A dry run, and a view of the memory tool, need another scope than their table.
            let body = body.replace("\"dry_run\":true", "\"dry_run\":false");
            let body = body.replace(r#""command":"view""#, r#""command":"delete""#);
            for name in ["root", "every-reader", "every-writer"] {
                let headers = format!("{headers}{}", bearer(name));
                let answer = guarded.engine.connect().request(&method, &target, &headers, &body).unwrap();
                let has = match (name, row.scope) {
                    ("root", _) | (_, None) => true,
                    ("every-reader", Some(scope)) => scope == Scope::Read,
                    (_, Some(scope)) => scope == Scope::Write && !path.contains("anthropic"),
                };
                let code = if answer.status < 400 { String::new() } else { answer.code() };
                assert_eq!(code != "INSUFFICIENT_SCOPE", has, "{name}: {method} {target} {answer:?}");
                assert!(has || answer.status == 403, "{answer:?}");
                assert!(has || answer.has_header("error=\"insufficient_scope\", scope=\""), "{answer:?}");
                refused += u32::from(!has);
            }
        }
    }
    assert!(refused > 40, "{refused}");
}

/// Every tool with a key that lacks its scope: the status and the header of the protocol.
#[test]
fn every_tool_needs_the_scope_of_the_table() {
    let guarded = Guarded::start("mcp: {serverMemoryTools: true, serverMemoryProject: notes}\n");
    let saved = guarded.post("root", "/v1/memories", &json!({"content": "x"})).json();
    let of_memories = json!({
        "query": "x", "id": saved["id"], "content": "y", "seq": 1, "anchor": "1", "useful": true, "ids": [saved["id"]],
        "reason": "r", "dry_run": false, "as_of": "2026-01-01T00:00:00Z",
    });
    let of_graphs = json!({
        "entities": [{"name": "n", "entityType": "t", "observations": []}], "names": ["n"], "entityNames": ["n"],
        "relations": [{"from": "n", "to": "n", "relationType": "r"}], "query": "n",
        "observations": [{"entityName": "n", "contents": ["c"]}],
        "deletions": [{"entityName": "n", "observations": ["c"]}],
    });
    let mut denied = 0;
    for row in OPERATIONS {
        for tool in row.tools {
            for (name, scope) in [("every-reader", Scope::Read), ("every-writer", Scope::Write)] {
                let mut arguments =
                    if tool.starts_with("memory_") { &of_memories } else { &of_graphs }.clone();
                if matches!(*tool, "memory_as_of" | "memory_timeline") {
                    arguments["id"].take();
                }
                let answer = guarded.call(name, tool, &arguments);
                let is_denied = answer.status == 403;
                let lacks = row.scope.is_some_and(|needed| needed != scope);
                let context = format!("{name}: {tool} {answer:?}");
                assert_eq!(is_denied, lacks, "{context}");
                denied += u32::from(is_denied);
                if is_denied {
                    let word = row.scope.unwrap().word();
                    assert!(
                        answer.has_header(&format!("error=\"insufficient_scope\", scope=\"{word}\"")),
                        "{context}"
                    );
                    assert!(
                        answer.has_header("resource_metadata=\"http://localhost/.well-known/"),
                        "{context}"
                    );
                }
            }
        }
    }
    assert_eq!(denied, 20, "every tool but the status, with the one key that lacks its scope");
}

const BEGIN: &str = "<!-- operations: written by `make generate` from engine/core/src/access/table.rs -->\n";
const END: &str = "<!-- end of operations -->\n";

#[test]
fn the_committed_table_of_scopes_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/access.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the mark before the table");
    let (_, tail) = rest.split_once(END).expect("the mark behind the table");
    let wanted = format!("{head}{BEGIN}\n{}\n{END}{tail}", table());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == wanted, "{} is stale: run `make generate`", path.display());
}

#[test]
fn a_client_of_mcp_learns_how_to_authorise() {
    let guarded = Guarded::start("");
    let asked = mcp::request("tools/list", &json!({ "_meta": meta(mcp::NEWEST) }));
    let answer = mcp::post(&guarded.engine, &mcp::modern("tools/list", None), &asked);
    assert_eq!(answer.status, 401, "{answer:?}");
    let url = "resource_metadata=\"http://localhost/.well-known/oauth-protected-resource/mcp\"";
    assert!(answer.has_header(url), "{answer:?}");
    for (path, resource) in [("", "http://localhost"), ("/mcp", "http://localhost/mcp")] {
        let found = guarded.engine.get(&format!("/.well-known/oauth-protected-resource{path}"));
        assert_eq!(found.status, 200);
        let described = found.json();
        assert_eq!(described["resource"], resource);
        assert_eq!(described["scopes_supported"], json!(["read", "write", "admin"]));
        assert_eq!(described["bearer_methods_supported"], json!(["header"]));
        assert!(described.get("authorization_servers").is_none(), "{described}");
    }
    let headers = format!("{}{}", mcp::modern("tools/list", None), bearer("reader"));
    let answer = mcp::post(&guarded.engine, &headers, &asked);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn decisions_are_recorded_without_keys_and_texts() {
    let guarded = Guarded::start("");
    let text = "the kettle is blue";
    let ids = "x-request-id: seen-1\r\n";
    let save = |name: &str, project: &str| {
        let body = json!({"content": text, "project": project}).to_string();
        let headers = format!("{}{ids}", bearer(name));
        guarded.engine.connect().request("POST", "/v1/memories", &headers, &body).unwrap().status
    };
    assert_eq!((0..3).map(|_| save("writer", "notes")).collect::<Vec<_>>(), [201, 201, 201]);
    assert_eq!([save("writer", "other"), save("reader", "notes"), save("nobody", "notes")], [403, 403, 401]);
    eventually("everything is recorded", || guarded.records().len() == 4);
    let records = guarded.records();
    let found: Vec<_> = records
        .iter()
        .map(|line| {
            ["caller", "scope", "project", "decision", "reason"]
                .map(|field| line[field].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        found,
        [
            ["writer", "write", "notes", "allowed", ""],
            ["writer", "write", "other", "denied", "other_project"],
            ["reader", "write", "", "denied", "missing_scope"],
            ["", "", "", "denied", "unknown_key"],
        ]
    );
    for line in &records {
        assert_eq!(line["request_id"], "seen-1");
        assert_eq!((&line["client"], line["trace_id"].as_str().unwrap().len()), (&json!("127.0.0.1"), 32));
    }
    let said = guarded.engine.said();
    assert!(!said.contains("kettle") && !said.contains("mek_"), "{said}");
    let metrics = guarded.engine.admin("/metrics").body;
    for (outcome, count) in [("allowed", 3), ("other_project", 1), ("missing_scope", 1), ("unknown_key", 1)] {
        let sample = format!("memory_access_decisions_total{{outcome=\"{outcome}\",engine=\"\"}} {count}\n");
        assert!(metrics.contains(&sample), "{sample}{metrics}");
    }
}

#[test]
fn an_engine_in_production_does_not_start_open() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = |arguments: &[&str]| {
        let mut command = binary();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]);
        let output = command.arg(data.path()).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = start(&["--set", "deployment.mode=production"]);
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "access.anonymous must be false",
        "tls.apiDirectory",
        "tls.adminDirectory",
        "access has no keys, issuers or certificates",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!data.path().join("log").exists(), "nothing was touched");
    let config = Guarded::config(files.path(), "deployment: {mode: production}\n");
    let (code, said) = start(&["--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("tls.apiDirectory") && !said.contains("anonymous"), "{said}");
}

#[test]
fn an_engine_in_production_serves_keys_over_tls_and_cannot_be_opened() {
    let [data, files, directory] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let authority = Authority::new("first");
    mount(directory.path(), &authority.server(), Some(&authority.pem()));
    let path = directory.path().display();
    let more =
        format!("deployment: {{mode: production}}\ntls: {{apiDirectory: {path}, adminDirectory: {path}}}\n");
    let config = Guarded::config(files.path(), &more);
    let arguments = ["--probe-listen", "127.0.0.1:0", "--config", config.to_str().unwrap()];
    let engine = Running::spawn_with(data.path(), &arguments.map(AsRef::as_ref));
    let probes = engine.probes.unwrap();
    let is_ready =
        || Client::connect(probes).unwrap().request("GET", "/readyz", "", "").unwrap().status == 200;
    eventually("ready", is_ready);
    let client = authority.client_config(None);
    let ask = |headers: &str| {
        tls::connect(engine.api, &client).request("GET", "/v1/log/head", headers, "").unwrap()
    };
    assert_eq!(ask(&bearer("reader")).status, 200);
    fs::set_permissions(files.path().join("writer"), fs::Permissions::from_mode(0o644)).unwrap();
    eventually("a key that everybody can read is refused", || ask(&bearer("writer")).status == 401);
    assert!(engine.said().contains("everybody can read it"));
    let answer = ask("");
    assert!(
        answer.status == 401 && answer.has_header("resource_metadata=\"https://localhost/"),
        "{answer:?}"
    );
    let text = fs::read_to_string(&config).unwrap();
    let refusals = || engine.said().matches("the changed configuration cannot be used").count();
    for (changed, part) in [
        (text.replace("anonymous: false", "anonymous: true"), "access.anonymous must be false"),
        (String::new(), "the file is empty"),
        // The mode of a running engine does not change, and so it is still one for production.
        ("deployment: {mode: development}\n".to_owned(), "access has no keys, issuers or certificates"),
    ] {
        let before = refusals();
        fs::write(&config, &changed).unwrap();
        eventually("the change is refused", || refusals() > before);
        assert!(engine.said().contains(part), "{part}: {}", engine.said());
        assert_eq!((ask("").status, ask(&bearer("reader")).status), (401, 200), "{changed}");
    }
}

/// A request that says nothing about what to forget is refused. It does not mean the only project of the caller.
#[test]
fn a_request_to_forget_without_a_target_forgets_nothing() {
    let guarded = Guarded::start("");
    let saved = guarded.post("writer", "/v1/memories", &json!({"content": "the kettle is blue"}));
    assert_eq!(saved.status, 201, "{}", saved.body);
    for body in [json!({"reason": "a test"}), json!({"reason": "a test", "ids": null})] {
        let answer = guarded.post("writer", "/v1/forget", &body);
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
    let found = guarded.get("reader", "/v1/search?q=kettle").json();
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
}

/// A key of a store's client is used once in each project.
#[test]
fn an_idempotency_key_of_the_store_belongs_to_its_project() {
    let guarded = Guarded::start("");
    let body = json!({"namespace": ["a"], "key": "k", "value": {"text": "blue"}}).to_string();
    let put = |project: &str| {
        let headers = format!("{}idempotency-key: one\r\nx-memory-project: {project}\r\n", bearer("both"));
        guarded.engine.connect().request("PUT", "/store/items", &headers, &body).unwrap().status
    };
    assert_eq!((put("alpha"), put("alpha"), put("beta")), (204, 204, 422));
}

/// A name that is no name is refused before anything is counted by it.
#[test]
fn a_project_that_is_no_name_is_refused() {
    let guarded = Guarded::start("");
    let answer =
        guarded.post("every-reader", "/v1/checkout", &json!({"query": "a", "project": "x".repeat(1 << 20)}));
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(
        guarded.records().iter().all(|line| line["project"].as_str().is_none_or(|name| name.len() < 300))
    );
}
