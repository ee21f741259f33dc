//! Certificates from their issue to a handshake, through Secrets as the API server would return them.

use std::{path::Path, sync::Arc};

use engine_core::certificate::Certificate;
use http_body_util::Full;
use hyper::{Request, body::Bytes};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use operator_core::{
    plan::Issue,
    tls::{Found, Issuance, TlsView},
};
use serde_json::{Value, json};
use service::{
    secret_file::Exposed,
    tls::{Clients as Presented, ServerTls},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    clients::Clients,
    issue::issued,
    material::{Material, material},
};
use crate::connections::TlsClient;

const ENGINE: (&str, &str) = ("notes", "team-a");
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// The Secrets of an engine.
#[derive(Default)]
struct Secrets {
    authority: Option<DynamicObject>,
    certificate: Option<DynamicObject>,
}

impl Secrets {
    fn issued(steps: &[Issuance]) -> Secrets {
        let mut secrets = Secrets::default();
        steps.iter().for_each(|issuance| secrets.issue(*issuance));
        secrets
    }

    fn read(&self) -> (Material, TlsView) {
        material(self.authority.as_ref(), self.certificate.as_ref(), ENGINE, Timestamp::now())
    }

    fn issue(&mut self, issuance: Issuance) {
        let is_certificate = matches!(issuance, Issuance::Certificate | Issuance::Authorities);
        let issue = Issue {
            issuance,
            key: operator_core::names::certificate_secret(ENGINE.0),
            object: json!({"metadata": {"name": "x"}}),
            names: vec!["notes.team-a.svc".to_owned(), "*.notes-headless.team-a.svc".to_owned()],
            lifetime: LIFETIME,
            because: "a test",
        };
        let (material, _) = self.read();
        let mut object = issued(&issue, &material, Timestamp::now()).unwrap();
        object["apiVersion"] = "v1".into();
        object["kind"] = "Secret".into();
        let object = Some(serde_json::from_value(object).unwrap());
        if is_certificate { self.certificate = object } else { self.authority = object }
    }

    fn certificate(&self) -> Certificate {
        self.read().1.certificate.present().expect("a certificate").certificate.clone()
    }

    /// Writes the files of the pod.
    fn mount(&self, directory: &Path) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let data = self.certificate.as_ref().unwrap().data["data"].as_object().unwrap();
        for (name, text) in data {
            std::fs::write(directory.join(name), STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap();
        }
    }
}

/// A pod: its TLS, and the port that it serves.
async fn pod(directory: &Path) -> (Arc<ServerTls>, u16) {
    let tls = Arc::new(ServerTls::open(directory, Presented::Verified, Exposed::Reported).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = Arc::clone(&tls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut socket) = serving.accept(stream).await else { continue };
            let _read = socket.read(&mut [0; 1024]).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _written = socket.write_all(answer).await;
        }
    });
    (tls, port)
}

async fn is_answered(client: &TlsClient, port: u16) -> bool {
    let request = Request::get(format!("https://127.0.0.1:{port}/health")).body(Full::<Bytes>::default());
    client.request(request.unwrap()).await.is_ok()
}

fn client(clients: &Clients, secrets: &Secrets) -> Arc<TlsClient> {
    clients.of((ENGINE.1, ENGINE.0), &secrets.read().0, Timestamp::now()).expect("a client")
}

#[test]
fn what_is_issued_is_read_back() {
    let secrets = Secrets::issued(&[Issuance::Authority, Issuance::Certificate]);
    let (_, view) = secrets.read();
    let (authority, found) = (view.authority.present().unwrap(), view.certificate.present().unwrap());
    assert!(authority.signing.is_authority && authority.retired.is_empty());
    assert!(found.is_of_signing && !found.certificate.is_authority);
    assert_eq!(found.bundle_sha256, authority.bundle_sha256);
    assert!(found.certificate.names("notes.team-a.svc"), "{:?}", found.certificate);
    let left = found.certificate.not_after.duration_since(Timestamp::now());
    assert!(left <= LIFETIME && left > LIFETIME - SignedDuration::from_mins(1), "{left:?}");
    assert!(!format!("{view:?}").contains("PRIVATE"), "no key is shown");
    assert_eq!(secrets.certificate.as_ref().unwrap().data["type"], "kubernetes.io/tls");
}

/// In every step of a rotation, before and after the kubelet has delivered it, the operator reaches the pod.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_reaches_the_pod_through_a_whole_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let mut secrets = Secrets::issued(&[Issuance::Authority, Issuance::Certificate]);
    secrets.mount(directory.path());
    let (tls, port) = pod(directory.path()).await;
    let clients = Clients::default();
    let first = client(&clients, &secrets);
    assert!(is_answered(&first, port).await);
    let serial = secrets.certificate().serial;
    for step in [
        [Issuance::NewAuthority, Issuance::Authorities].as_slice(),
        &[Issuance::Certificate],
        &[Issuance::Retire, Issuance::Authorities],
    ] {
        for issuance in step {
            secrets.issue(*issuance);
            assert!(is_answered(&client(&clients, &secrets), port).await, "{issuance:?}, not delivered");
        }
        secrets.mount(directory.path());
        assert!(tls.reload().unwrap(), "{step:?} changes something");
        assert!(is_answered(&client(&clients, &secrets), port).await, "{step:?}, delivered");
    }
    assert_ne!(secrets.certificate().serial, serial);
    assert!(!is_answered(&first, port).await, "a client of the retired authority");
    let view = secrets.read().1;
    assert_eq!(view.certificate.present().unwrap().authorities.len(), 1, "one authority is left");
}

/// A new authority in place of one that is gone leaves the old one trusted.
#[test]
fn what_pods_trust_stays_trusted_without_the_authority() {
    let mut secrets = Secrets::issued(&[Issuance::Authority, Issuance::Certificate]);
    let before = secrets.read().1.authority.present().unwrap().signing.sha256;
    secrets.authority = None;
    secrets.issue(Issuance::Authority);
    let view = secrets.read().1;
    let authority = view.authority.present().unwrap();
    assert_ne!(authority.signing.sha256, before);
    assert_eq!(authority.retired.iter().map(|one| one.sha256).collect::<Vec<_>>(), [before]);
    assert!(!view.certificate.present().unwrap().is_of_signing);
}

#[test]
fn secrets_that_cannot_be_used_say_why_and_show_no_key() {
    let good = Secrets::issued(&[Issuance::Authority, Issuance::Certificate]);
    let other = Secrets::issued(&[Issuance::Authority, Issuance::Certificate]);
    let data = |secret: &Option<DynamicObject>, key: &str| secret.as_ref().unwrap().data["data"][key].clone();
    let (junk, empty) = (json!("anVuaw=="), json!(""));
    let certificate_cases = [
        ("tls.crt", junk.clone(), "has no certificate"),
        ("tls.crt", empty, "has no key tls.crt"),
        ("tls.crt", json!("%"), "has no key tls.crt"),
        ("tls.key", junk.clone(), "not a private key"),
        ("tls.key", data(&other.certificate, "tls.key"), "does not belong"),
        ("ca.crt", Value::Null, "has no key ca.crt"),
    ];
    let authority_cases = [
        ("ca.crt", data(&good.certificate, "tls.crt"), "does not belong"),
        ("ca.key", data(&other.authority, "ca.key"), "does not belong"),
        ("ca.key", junk, "not a private key"),
    ];
    for (key, value, part) in certificate_cases {
        let mut secrets =
            Secrets { authority: good.authority.clone(), certificate: good.certificate.clone() };
        secrets.certificate.as_mut().unwrap().data["data"][key] = value;
        let Found::Broken(fault) = secrets.read().1.certificate else { panic!("{key}: {part}") };
        assert!(fault.contains(part) && !fault.contains("PRIVATE"), "{fault}");
    }
    for (key, value, part) in authority_cases {
        let mut secrets =
            Secrets { authority: good.authority.clone(), certificate: good.certificate.clone() };
        secrets.authority.as_mut().unwrap().data["data"][key] = value;
        let Found::Broken(fault) = secrets.read().1.authority else { panic!("{key}: {part}") };
        assert!(fault.contains(part) && !fault.contains("PRIVATE"), "{fault}");
    }
    let mut leaf = Secrets { authority: good.authority.clone(), certificate: good.certificate.clone() };
    for (to, from) in [("ca.crt", "tls.crt"), ("ca.key", "tls.key")] {
        leaf.authority.as_mut().unwrap().data["data"][to] = data(&good.certificate, from);
    }
    let Found::Broken(fault) = leaf.read().1.authority else { panic!("a leaf is no authority") };
    assert!(fault.contains("not the certificate of an authority"), "{fault}");
}
