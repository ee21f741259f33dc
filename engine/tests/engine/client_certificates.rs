//! Clients of the memory API that present a certificate.

use std::fs;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use serde_json::Value;

use crate::access::{bearer, key};
use crate::pki::{Authority, Leaf, mount, params};
use crate::process::{Answer, Running, binary, eventually};
use crate::tls::connect;

const SPIFFE: &str = "spiffe://example.org/batch";

fn of_client(name: &str) -> CertificateParams {
    params(name, ExtendedKeyUsagePurpose::ClientAuth)
}

/// The certificate of a client that has only a URI.
fn of_uri(authority: &Authority, uri: &str) -> Leaf {
    let mut params = of_client("ignored");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    authority.issue(&params)
}

#[test]
fn a_certificate_is_a_caller_and_a_key_wins() {
    let [data, files, directory] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    mount(directory.path(), &servers.server(), Some(&servers.pem()));
    let at = |name: &str| files.path().join(name).display().to_string();
    fs::write(at("clients.crt"), clients.pem()).unwrap();
    fs::write(at("reader"), key("reader").secret_text()).unwrap();
    let (path, reader) = (directory.path().display(), at("reader"));
    let config = format!(
        "tls: {{apiDirectory: {path}, clientAuthorityFile: {}}}\naccess:\n  anonymous: false\n  keys:\n  \
         - {{name: reader, files: [{reader}], scopes: [read], projects: [notes]}}\n  certificates:\n  \
         - {{name: agent, subject: agent.example.org, scopes: [read, write], projects: [alpha]}}\n  \
         - {{name: batch, subject: '{SPIFFE}', scopes: [read], projects: ['*']}}\n",
        at("clients.crt")
    );
    fs::write(at("config.yaml"), config).unwrap();
    let path = at("config.yaml");
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), path.as_ref()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let ask = |leaf: Option<&Leaf>, headers: &str, (method, path): (&str, &str), body: &str| -> Answer {
        // The client trusts the authority of the server, and presents what another one has signed.
        let client = servers.client_config(leaf);
        connect(engine.api, &client).request(method, path, headers, body).unwrap()
    };
    let (agent, stranger) =
        (clients.issue(&of_client("agent.example.org")), clients.issue(&of_client("other.example.org")));
    let (head, save) = (("GET", "/v1/log/head"), ("POST", "/v1/memories"));
    assert_eq!(ask(Some(&agent), "", save, r#"{"content": "x"}"#).status, 201);
    assert_eq!(ask(Some(&agent), "", save, r#"{"content": "x", "project": "beta"}"#).status, 403);
    assert_eq!(ask(Some(&of_uri(&clients, SPIFFE)), "", head, "").status, 200);
    assert_eq!(ask(Some(&of_uri(&clients, SPIFFE)), "", save, r#"{"content": "x"}"#).status, 403);
    for leaf in [Some(&stranger), Some(&of_uri(&clients, "spiffe://example.org/batch/b")), None] {
        assert_eq!(ask(leaf, "", head, "").status, 401);
    }
    // The certificate may write, the key may not.
    assert_eq!(ask(Some(&agent), &bearer("reader"), save, r#"{"content": "x"}"#).status, 403);
    assert_eq!(ask(Some(&agent), &bearer("nobody"), head, "").status, 401, "a wrong key is not forgiven");
    assert_eq!(ask(Some(&stranger), &bearer("reader"), head, "").status, 200);
    let foreign = Authority::new("others").issue(&of_client("agent.example.org"));
    let refused = connect(engine.api, &servers.client_config(Some(&foreign))).request("GET", head.1, "", "");
    assert!(refused.is_err(), "an authority that is not trusted: {refused:?}");
    // Another authority: the certificates of the one before are refused.
    fs::write(at("clients.crt"), Authority::new("next").pem()).unwrap();
    eventually("the changed authorities are in force", || {
        let client = servers.client_config(Some(&agent));
        connect(engine.api, &client).request("GET", head.1, "", "").is_err()
    });
    // Without any authority no certificate counts, also while the certificate of the port cannot be read again.
    fs::write(at("clients.crt"), clients.pem()).unwrap();
    let status = || {
        let client = servers.client_config(Some(&agent));
        connect(engine.api, &client).request("GET", head.1, "", "").map_or(0, |answer| answer.status)
    };
    eventually("the certificate is accepted again", || status() == 200);
    fs::write(directory.path().join("..data/tls.crt"), "no certificate").unwrap();
    fs::write(at("clients.crt"), "").unwrap();
    eventually("the certificate is a caller no more", || status() == 401);
    let said = engine.said();
    assert!(said.contains("\"caller\":\"agent\"") && said.contains("unknown_certificate"), "{said}");
}

#[test]
fn a_certificate_that_no_client_accepts_is_an_error_and_stops_production() {
    let [data, directory] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let authority = Authority::new("first");
    let mut expired = params(crate::pki::SERVER, ExtendedKeyUsagePurpose::ServerAuth);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 2);
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    mount(directory.path(), &authority.issue(&expired), Some(&authority.pem()));
    let set = |port: &str| format!("tls.{port}Directory={}", directory.path().display());
    let (api, admin) = (set("api"), set("admin"));
    let mut command = binary();
    let keys = r#"access.keys=[{"name":"a","files":["/nowhere"],"scopes":["read"],"projects":["*"]}]"#;
    let production = ["deployment.mode=production", "access.anonymous=false", keys, &api, &admin];
    let listen = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"];
    command.args(listen).arg(data.path()).args(production.iter().flat_map(|text| ["--set", text]));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("it has expired at 2020-01-02"), "{said}");
    // In development it is served, and said. The ports are not waited for: the line comes before them.
    let mut command = binary();
    command.args(listen).arg(data.path()).args(["--set", &api]).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let lines = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let before: Vec<Value> = lines.take_while(|line| line["message"] != "serving").collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let is_said = |line: &Value| line["level"] == "ERROR" && line["fault"].to_string().contains("expired");
    assert!(before.iter().any(is_said), "{before:?}");
}
