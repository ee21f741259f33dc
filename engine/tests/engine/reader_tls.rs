//! A reader whose writer demands a certificate, a token and keys.

use std::ffi::OsStr;
use std::fs;

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use tempfile::TempDir;

use serde_json::json;

use crate::access::{Guarded, bearer, key, write_secret};
use crate::pki::{Authority, Leaf, SERVER, mount, params};
use crate::process::{Answer, Client, Running, eventually};
use crate::tls;

/// A writer with TLS on both ports, which demands tokens and keys, and what a reader needs to follow it.
pub(crate) struct Closed {
    pub(crate) writer: Running,
    authority: Authority,
    pub(crate) files: TempDir,
    _data: TempDir,
}

/// A certificate of the ports under the names by which tests reach them.
fn for_the_ports(authority: &Authority) -> Leaf {
    let mut server = params("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    server.subject_alt_names.push(SanType::DnsName(SERVER.try_into().unwrap()));
    authority.issue(&server)
}

impl Closed {
    pub(crate) fn start() -> Closed {
        let authority = Authority::new("first");
        let (files, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (directory, leaf) in [("writer", for_the_ports(&authority)), ("reader", authority.client())] {
            fs::create_dir(files.path().join(directory)).unwrap();
            mount(&files.path().join(directory), &leaf, Some(&authority.pem()));
        }
        let path = |name: &str| files.path().join(name).display().to_string();
        for name in ["admin", "reader", "agent"] {
            write_secret(&files.path().join(format!("{name}.token")), key(name).secret_text());
        }
        let scopes = "scopes: [read, write], projects: ['*']";
        let agent = path("agent.token");
        let keys = format!(
            "access:\n  anonymous: false\n  keys:\n  - {{name: agent, files: ['{agent}'], {scopes}}}\n"
        );
        fs::write(files.path().join("reader.yaml"), &keys).unwrap();
        let tokens = format!(
            "  adminTokenFile: {}\n  readerTokenFile: {}\n",
            path("admin.token"),
            path("reader.token")
        );
        fs::write(files.path().join("writer.yaml"), keys + &tokens).unwrap();
        let api = format!("tls.apiDirectory={}", path("writer"));
        let admin = format!("tls.adminDirectory={}", path("writer"));
        let config = path("writer.yaml");
        let arguments = ["--config", &config, "--set", &api, "--set", &admin].map(OsStr::new);
        let writer = Running::spawn_with(data.path(), &arguments);
        Closed { writer, authority, files, _data: data }
    }

    /// Status of the answer to a request to the admin port with the token of this name.
    pub(crate) fn asked(&self, path: &str, token: &str) -> u16 {
        let known = self.authority.client_config(Some(&self.authority.client()));
        let headers = bearer(token);
        tls::connect(self.writer.admin, &known).request("GET", path, &headers, "").unwrap().status
    }

    /// Starts a reader, with these arguments left out together with their values.
    fn reader(&self, left_out: &[&str]) -> (Running, TempDir) {
        let path = |name: &str| self.files.path().join(name).display().to_string();
        let at = |port: u16| format!("https://localhost:{port}");
        let arguments = [
            ("--config", path("reader.yaml")),
            ("--follow", at(self.writer.admin.port())),
            ("--forward", at(self.writer.api.port())),
            ("--follow-tls-directory", path("reader")),
            ("--follow-token-file", path("reader.token")),
        ];
        let kept = arguments.iter().filter(|(name, _)| !left_out.contains(name));
        let kept: Vec<&OsStr> =
            kept.flat_map(|(name, value)| [OsStr::new(name), OsStr::new(value)]).collect();
        let data = tempfile::tempdir().unwrap();
        (Running::spawn_with(data.path(), &kept), data)
    }
}

#[test]
fn the_token_of_a_reader_opens_the_lines_of_the_log_and_nothing_else() {
    let closed = Closed::start();
    eventually("the log is open", || closed.asked("/log/lines", "reader") == 200);
    let others = ["admin", "agent"].map(|token| closed.asked("/log/lines", token));
    assert_eq!(others, [401, 401], "who administers an engine need not read what is remembered");
    for path in ["/health", "/tokens", "/checkpoint", "/log/lines/", "/mode"] {
        assert_eq!(closed.asked(path, "reader"), 401, "{path}");
    }
    assert_eq!(closed.asked("/health", "admin"), 200);
}

/// The admin port has never shown what is remembered.
#[test]
fn an_engine_with_keys_gives_lines_only_to_a_token_that_was_made_for_that() {
    let guarded = Guarded::start("");
    let refused = guarded.engine.admin("/log/lines");
    assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"), "{refused:?}");
    assert_eq!(guarded.engine.admin("/health").status, 200);
}

#[test]
fn a_reader_follows_and_forwards_over_mutual_tls_with_the_keys_of_the_callers() {
    let closed = Closed::start();
    let (reader, _data) = closed.reader(&[]);
    eventually("ready", || reader.admin("/readyz").status == 200);
    let ask = |method: &str, path: &str, headers: &str, body: &str| -> Answer {
        Client::connect(reader.api).unwrap().request(method, path, headers, body).unwrap()
    };
    let body = r#"{"content":"The kettle is blue"}"#;
    assert_eq!(ask("POST", "/v1/memories", "", body).code(), "UNAUTHENTICATED");
    assert_eq!(ask("POST", "/v1/memories", &bearer("another"), body).code(), "UNAUTHENTICATED");
    let saved = ask("POST", "/v1/memories", &bearer("agent"), body);
    assert_eq!(saved.status, 201, "{saved:?}");
    let search = format!("/v1/search?q=kettle&min_seq={}", saved.json()["seq"]);
    assert_eq!(ask("GET", &search, &bearer("agent"), "").json()["total"], 1);
    assert_eq!(ask("GET", &search, "", "").code(), "UNAUTHENTICATED");
}

/// The authority of the writer is replaced while a reader runs: it follows and forwards without a restart.
#[test]
fn a_new_authority_of_the_writer_is_known_to_a_reader_that_runs() {
    let closed = Closed::start();
    let (reader, _data) = closed.reader(&[]);
    eventually("ready", || reader.admin("/readyz").status == 200);
    let second = Authority::new("second");
    let both = closed.authority.pem() + &second.pem();
    mount(&closed.files.path().join("reader"), &second.client(), Some(&both));
    mount(&closed.files.path().join("writer"), &for_the_ports(&second), Some(&both));
    eventually("the new certificate is served", || {
        let only_new = second.client_config(Some(&second.client()));
        tls::ask(closed.writer.admin, &only_new, "/livez").is_ok()
    });
    let body = r#"{"content":"The kettle is blue"}"#;
    let save =
        || Client::connect(reader.api).unwrap().request("POST", "/v1/memories", &bearer("agent"), body);
    eventually("a write is forwarded", || save().unwrap().status == 201);
    eventually("it is followed", || {
        let found =
            Client::connect(reader.api).unwrap().request("GET", "/v1/search?q=kettle", &bearer("agent"), "");
        found.unwrap().json()["total"] == 1
    });
}

#[test]
fn without_the_token_or_the_certificate_a_reader_gets_no_lines() {
    let closed = Closed::start();
    eventually("the log is open", || closed.asked("/log/lines", "reader") == 200);
    for left_out in ["--follow-token-file", "--follow-tls-directory"] {
        let (reader, _data) = closed.reader(&[left_out]);
        eventually("it was refused", || reader.health()["following"]["state"] == "unreachable");
        assert_eq!(reader.admin("/readyz").status, 503, "{left_out}");
        assert_eq!(reader.health()["log"]["id"], "", "{left_out}");
    }
}

/// A canary with TLS and keys is asked with the authority of the engine's own certificates, and with the token of
/// readers.
#[test]
fn a_canary_is_asked_over_tls() {
    let closed = Closed::start();
    let path = |name: &str| closed.files.path().join(name).display().to_string();
    let config = fs::read_to_string(path("writer.yaml")).unwrap();
    fs::write(path("canary.yaml"), config).unwrap();
    let data = tempfile::tempdir().unwrap();
    let at = |port: u16| format!("https://localhost:{port}");
    let arguments = [
        "--config",
        &path("canary.yaml"),
        "--set",
        &format!("tls.apiDirectory={}", path("writer")),
        "--follow",
        &at(closed.writer.admin.port()),
        "--follow-tls-directory",
        &path("reader"),
        "--follow-token-file",
        &path("reader.token"),
    ];
    let canary = Running::spawn_with(data.path(), &arguments.map(OsStr::new));
    let known = closed.authority.client_config(Some(&closed.authority.client()));
    let asked = |address, method: &str, path: &str, headers: &str, body: &str| {
        tls::connect(address, &known).request(method, path, headers, body).unwrap()
    };
    let (api, admin) = (closed.writer.api, closed.writer.admin);
    // A question counts once at each event, and the first one may fail on a busy machine.
    for place in ["stove", "shelf", "table", "floor", "bench"] {
        let body = format!(r#"{{"content":"The kettle on the {place} is blue"}}"#);
        assert_eq!(asked(api, "POST", "/v1/memories", &bearer("agent"), &body).status, 201);
    }
    let of = |api: &str| {
        json!({
            "revision": "two", "pod": "", "api": api, "readyz": format!("http://{}/readyz", canary.admin),
            "reads": "shadow", "weight": 0, "floor": false,
        })
    };
    let headers = format!("{}content-type: application/json\r\n", bearer("admin"));
    let put = |api: &str| asked(admin, "PUT", "/canary", &headers, &of(api).to_string());
    assert_eq!(put(&format!("http://{}", canary.api)).code(), "INVALID_ARGUMENT", "keys need TLS");
    assert_eq!(put(&at(canary.api.port())).status, 200);
    let mut report = serde_json::Value::Null;
    eventually("a pair was counted", || {
        report = asked(admin, "GET", "/canary", &bearer("admin"), "").json();
        report["tally"]["counts"]["knownItemMissed"]["pairs"].as_u64() >= Some(1)
    });
    // What it could not ask or was refused would be no known answer.
    let known = &report["tally"]["counts"]["knownItemMissed"];
    assert_eq!((&known["canaryOnly"], &known["stableOnly"]), (&json!(0), &json!(0)), "{report}");
}
