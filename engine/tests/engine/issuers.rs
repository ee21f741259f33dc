//! Tokens of a certified OpenID provider, which runs beside the engine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::mcp::{self, meta};
use crate::peers::tool;
use crate::process::{Answer, Client, Running, eventually};

/// The audience of the engine of these tests: the URL of its endpoint, as clients of the protocol ask for it.
const AUDIENCE: &str = "https://memory.example.org/mcp";
const BOTH: &str = "memory:read memory:write";

/// A provider that is running. Each start has keys of its own.
struct Provider {
    process: Child,
    address: SocketAddr,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

/// An address of this machine that no other test uses: while the provider is away, nobody else must answer there.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.79.1:0").unwrap().local_addr().unwrap()
}

impl Provider {
    fn start(address: SocketAddr) -> Provider {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/issuer.mjs");
        let mut command = Command::new(tool("oidc/node"));
        command
            .arg(script)
            .arg(tool("oidc/node_modules"))
            .arg(address.ip().to_string())
            .arg(address.port().to_string());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("http://{address}"));
        Provider { process, address }
    }

    /// A token of a client for a resource.
    fn token(&self, client: &str, resource: &str, scope: &str) -> String {
        let escaped = |text: &str| text.replace(':', "%3A").replace('/', "%2F").replace(' ', "+");
        let body = format!(
            "grant_type=client_credentials&client_id={client}&client_secret={client}-secret-of-a-test\
             &resource={}&scope={}",
            escaped(resource),
            escaped(scope)
        );
        let headers = "content-type: application/x-www-form-urlencoded\r\n";
        let mut connection = Client::connect(self.address).unwrap();
        let answer = connection.request("POST", "/token", headers, &body).unwrap();
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("{answer:?}"))
    }
}

fn config(directory: &Path, issuer: SocketAddr) -> PathBuf {
    let path = directory.join("config.yaml");
    let issuers = format!("[{{issuer: 'http://{issuer}', audiences: ['{AUDIENCE}']}}]");
    // The tests ask until a key is accepted, which are many attempts.
    let access =
        format!("access:\n  anonymous: false\n  failedAttemptsPerMinute: 100000\n  issuers: {issuers}\n");
    fs::write(&path, access).unwrap();
    path
}

fn ask(engine: &Running, token: &str, (method, path): (&str, &str), body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let header = format!("authorization: Bearer {token}\r\n");
    engine.connect().request(method, path, &header, &body).unwrap()
}

fn call(engine: &Running, token: &str, name: &str, arguments: &Value) -> Answer {
    let params = json!({ "name": name, "arguments": arguments, "_meta": meta(mcp::NEWEST) });
    let headers = format!("{}authorization: Bearer {token}\r\n", mcp::modern("tools/call", Some(name)));
    mcp::post(engine, &headers, &mcp::request("tools/call", &params))
}

fn head(engine: &Running, token: &str) -> u16 {
    ask(engine, token, ("GET", "/v1/log/head"), &Value::Null).status
}

/// The token, as if another key had signed it: the engine looks for that key at the issuer.
fn of_another_key(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"ES256","kid":"nobody"}"#);
    format!("{header}{}", &token[token.find('.').unwrap()..])
}

fn checked_rest(engine: &Running, [alpha, beta, reader, none]: [&str; 4]) {
    let save = ("POST", "/v1/memories");
    let kettle = json!({"content": "the kettle is blue"});
    assert_eq!(ask(engine, alpha, save, &kettle).status, 201, "in its only project");
    let found = |token: &str| {
        let answer = ask(engine, token, ("GET", "/v1/search?q=kettle&mode=lexical"), &Value::Null);
        answer.json()["total"].as_u64().unwrap_or_else(|| panic!("{answer:?}"))
    };
    eventually("what was saved is found", || found(alpha) == 1);
    assert_eq!([found(beta), found(reader)], [0, 1]);
    let elsewhere = json!({"content": "x", "project": "beta"});
    let denied = ask(engine, alpha, save, &elsewhere);
    assert_eq!((denied.status, denied.code().as_str()), (403, "PROJECT_FORBIDDEN"), "{denied:?}");
    let denied = ask(engine, reader, save, &kettle);
    assert_eq!((denied.status, denied.code().as_str()), (403, "INSUFFICIENT_SCOPE"), "{denied:?}");
    assert!(denied.has_header("error=\"insufficient_scope\""), "{denied:?}");
    assert!(denied.has_header("scope=\"memory:write\""), "{denied:?}");
    for (request, body) in [(save, kettle), (("GET", "/v1/log/head"), Value::Null)] {
        let denied = ask(engine, none, request, &body);
        assert_eq!((denied.status, denied.code().as_str()), (403, "PROJECT_FORBIDDEN"), "{denied:?}");
    }
}

fn checked_mcp(engine: &Running, alpha: &str, reader: &str) {
    let saved = call(engine, alpha, "memory_save", &json!({"content": "the teapot is red"}));
    assert_eq!((saved.status, &saved.json()["result"]["isError"]), (200, &json!(false)), "{saved:?}");
    let found = call(engine, reader, "memory_search", &json!({"query": "teapot"}));
    assert!(found.status == 200 && found.body.contains("the teapot is red"), "{found:?}");
    let denied = call(engine, reader, "memory_save", &json!({"content": "x"}));
    assert!(denied.status == 403 && denied.has_header("scope=\"memory:write\""), "{denied:?}");
}

#[test]
fn tokens_of_a_provider_are_callers_over_every_protocol() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let provider = Provider::start(free_address());
    let config = config(files.path(), provider.address);
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let [alpha, beta, none] = ["alpha", "beta", "none"].map(|client| provider.token(client, AUDIENCE, BOTH));
    let reader = provider.token("alpha", AUDIENCE, "memory:read");
    checked_rest(&engine, [&alpha, &beta, &reader, &none]);
    checked_mcp(&engine, &alpha, &reader);
    // A token for another resource, a damaged one, and none.
    let elsewhere = provider.token("alpha", "https://other.example.org/", BOTH);
    let damaged = format!("{}A{}", &alpha[..alpha.len() - 10], &alpha[alpha.len() - 9..]);
    for token in [&elsewhere, &damaged, &"eyJhbGciOiJub25lIn0.e30.".to_owned()] {
        let answer = ask(&engine, token, ("GET", "/v1/log/head"), &Value::Null);
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED"), "{answer:?}");
        assert!(answer.has_header("error=\"invalid_token\"") && !answer.body.contains(token.as_str()));
    }
    let metadata = engine.get("/.well-known/oauth-protected-resource/mcp").json();
    assert_eq!(metadata["authorization_servers"], json!([format!("http://{}", provider.address)]));
    assert_eq!(metadata["scopes_supported"], json!(["memory:read", "memory:write", "memory:admin"]));
    let said = engine.said();
    let caller = format!("\"caller\":\"http://{}#alpha\"", provider.address);
    assert!(said.contains(&caller) && said.contains("token_audience"), "{said}");
    assert!(
        !said.contains(&alpha) && !said.contains(alpha.rsplit('.').next().unwrap()),
        "no token in the log"
    );
}

#[test]
fn a_key_that_the_issuer_replaces_is_refused_and_an_issuer_that_is_away_is_reported() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = free_address();
    let config = config(files.path(), address);
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("the issuer is missed", || {
        let health = engine.health();
        let issuer = &health["issuers"][0];
        issuer["keys"] == 0
            && issuer["fault"] == "the connection failed"
            && health["reasons"].as_array().is_some_and(|all| all.contains(&json!("issuer_unavailable")))
    });
    eventually("it is said", || engine.said().contains("the keys of an issuer cannot be fetched"));
    let provider = Provider::start(address);
    let by_old = provider.token("alpha", AUDIENCE, BOTH);
    eventually("the issuer is found", || head(&engine, &by_old) == 200);
    assert!(engine.health()["issuers"][0]["fault"].is_null(), "{}", engine.health());
    drop(provider);
    assert_eq!(head(&engine, &by_old), 200, "known keys are used while the issuer is away");
    let unknown = of_another_key(&by_old);
    eventually("it is reported with the keys that are left", || {
        assert_eq!(head(&engine, &unknown), 401, "a token with an unknown key");
        let issuer = engine.health()["issuers"][0].clone();
        issuer["fault"] == "the connection failed" && issuer["keys"] != 0 && issuer["received_at"].is_string()
    });
    assert_eq!(head(&engine, &by_old), 200, "known keys are still used");
    let provider = Provider::start(address);
    let by_new = provider.token("alpha", AUDIENCE, BOTH);
    eventually("the new key is accepted", || head(&engine, &by_new) == 200);
    assert_eq!(head(&engine, &by_old), 401, "the replaced key is refused");
    let metrics = engine.admin("/metrics").body;
    for sample in ["memory_issuer_refreshes_total{", "memory_issuer_keys_age_seconds{", "memory_issuer_keys{"]
    {
        let of_issuer = |line: &&str| line.starts_with(sample) && line.contains(&format!("http://{address}"));
        assert!(metrics.lines().any(|line| of_issuer(&line)), "{sample}{metrics}");
    }
}
