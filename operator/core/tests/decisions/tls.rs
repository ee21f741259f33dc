//! What TLS means for objects, plans and answers.

use crds::Tls;
use engine_core::{
    certificate::Certificate,
    digest::Hash,
    wire::{PortCertificate, TlsHealth},
};
use jiff::SignedDuration;
use operator_core::{
    build::stateful_set,
    names::{CERTIFICATE_ANNOTATION, ChildKind, ROTATE_AUTHORITY_ANNOTATION},
    observed::{EngineReport, Observed},
    plan::Step,
    report,
    tls::{AuthorityView, BACKDATED, CertificateView, Found, Issuance, TlsView, Unread},
};
use serde_json::json;

use crate::world::{condition, engine, health, observed, planned, settled, status_of, valid, writes};

/// A settled engine whose spec now wants TLS, with these Secrets.
pub(crate) fn wanting(view: TlsView) -> Observed {
    let mut world = settled();
    let mut engine = (*world.engine).clone();
    engine.spec.tls = Some(Tls::default());
    world.engine = engine.into();
    world.tls = Some(view);
    world
}

/// Secrets that were issued an hour ago, and need nothing.
pub(crate) fn issued(world: &Observed) -> TlsView {
    let hour = SignedDuration::from_hours(1);
    let names = ["notes", "notes.team", "localhost"].map(str::to_owned).into_iter();
    let services = ["notes", "notes-headless", "*.notes-headless"].into_iter();
    let names =
        names.chain(services.flat_map(|service| {
            ["svc", "svc.cluster.local"].map(|domain| format!("{service}.team.{domain}"))
        }));
    let certificate = |serial: &str, is_authority| Certificate {
        serial: serial.to_owned(),
        sha256: Hash::of(serial.as_bytes()),
        not_before: world.now - hour - BACKDATED,
        not_after: world.now + hour * 1000,
        uris: Vec::new(),
        dns_names: names.clone().collect(),
        is_authority,
        key_sha256: Hash::of(serial.as_bytes()),
    };
    let signing = certificate("aa", true);
    let bundle_sha256 = Hash::of(b"bundle");
    TlsView {
        unread: None,
        certificate: Found::Present(CertificateView {
            bundle: String::new(),
            certificate: certificate("bb", false),
            is_of_signing: true,
            bundle_sha256,
            authorities: vec![signing.sha256],
        }),
        authority: Found::Present(AuthorityView { signing, retired: Vec::new(), bundle_sha256 }),
    }
}

fn issuances(world: &Observed) -> Vec<Issuance> {
    let steps = planned(world).steps.into_iter();
    steps.filter_map(|step| if let Step::Issue(issue) = step { Some(issue.issuance) } else { None }).collect()
}

#[test]
fn a_pod_with_tls_mounts_the_directory_and_is_probed_without_tls() {
    let mut wanting = engine();
    wanting.spec.tls = Some(Tls::default());
    let pod = json!(stateful_set(&valid(&observed(wanting))))["spec"]["template"]["spec"].clone();
    let text = pod.to_string();
    assert!(!text.contains("subPath"), "a file that is mounted by subPath never changes");
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "tls").expect("a volume");
    assert_eq!(volume["secret"], json!({"secretName": "notes-tls", "defaultMode": 0o440}));
    let container = &pod["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "probes");
    }
    assert!(!text.contains("notes-authority"), "no pod mounts the authority");
    let plain = json!(stateful_set(&valid(&observed(engine())))).to_string();
    assert!(!plain.contains("probes") && !plain.contains("notes-tls"), "without TLS nothing changes");
}

/// A pod whose volume names a missing Secret does not start, so that the pod before has to stay.
#[test]
fn without_a_certificate_the_pod_is_left_as_it_is() {
    let forbidden = Unread { is_forbidden: true, text: "secrets is forbidden".to_owned() };
    let world = wanting(TlsView { unread: Some(forbidden), ..TlsView::default() });
    let kinds: Vec<_> = writes(&planned(&world)).iter().map(|write| write.key().kind).collect();
    assert!(!kinds.contains(&ChildKind::StatefulSet) && !kinds.contains(&ChildKind::ConfigMap), "{kinds:?}");
    let status = status_of(&world);
    assert_eq!(condition(&status, "TLSReady"), "False/SecretsForbidden");
    assert_eq!(condition(&status, "Stalled"), "True/SecretsForbidden");
    let world = wanting(TlsView::default());
    assert_eq!(issuances(&world), [Issuance::Authority, Issuance::Certificate]);
    let kinds: Vec<_> = writes(&planned(&world)).iter().map(|write| write.key().kind).collect();
    assert!(kinds.contains(&ChildKind::StatefulSet), "{kinds:?}");
}

/// Only a moment that has come asks for a new authority: one in the future would ask for one after another.
#[test]
fn a_new_authority_is_asked_for_by_a_moment_that_has_come() {
    let base = settled();
    let minutes = SignedDuration::from_mins;
    for (moment, wanted) in [
        (base.now - minutes(1), true),
        (base.now - minutes(61), false),
        (base.now + minutes(1), false),
        (base.now + minutes(600_000), false),
    ] {
        let mut world = wanting(issued(&base));
        let mut engine = (*world.engine).clone();
        let annotation = (ROTATE_AUTHORITY_ANNOTATION.to_owned(), moment.to_string());
        engine.metadata.annotations = Some([annotation].into());
        world.engine = engine.into();
        assert_eq!(issuances(&world).contains(&Issuance::NewAuthority), wanted, "{moment}");
    }
}

/// The annotation is changed once for each certificate, and not at a pod that serves it.
#[test]
fn the_kubelet_is_told_once_of_a_certificate() {
    let mut world = wanting(issued(&settled()));
    let delivered = |world: &Observed| {
        let mut steps = planned(world).steps.into_iter();
        steps.find_map(|step| if let Step::Deliver(deliver) = step { Some(deliver) } else { None })
    };
    let port = |serial: &str| PortCertificate {
        serial: serial.to_owned(),
        sha256: "cc".to_owned(),
        not_after: world.now,
        authorities_sha256: Some(Hash::of(b"bundle").to_string()),
        fault: None,
    };
    let [old, new] = ["dd", "bb"].map(|serial| {
        let tls = TlsHealth { api: Some(port(serial)), admin: Some(port(serial)) };
        EngineReport::Answered(Box::new(engine_core::wire::Health { tls: Some(tls), ..health(None) }))
    });
    world.writer_mut().report = old;
    world.writer_mut().pod.as_mut().unwrap().has_tls = true;
    let deliver = delivered(&world).expect("the pod serves the certificate before");
    assert!(CERTIFICATE_ANNOTATION.starts_with("memoryengine.io/") && deliver.certificate.len() == 64);
    world.writer_mut().pod.as_mut().unwrap().certificate = Some(deliver.certificate);
    assert_eq!(delivered(&world), None, "it was told");
    world.writer_mut().pod.as_mut().unwrap().certificate = None;
    world.writer_mut().report = new;
    assert_eq!(delivered(&world), None, "it is served");
}

/// A longer serial number than the CRD allows would make the API server refuse the complete status.
#[test]
fn an_answer_with_an_impossible_certificate_is_not_used() {
    let port = |serial: &str, fault: &str| PortCertificate {
        serial: serial.to_owned(),
        sha256: "cc".to_owned(),
        not_after: "2026-01-01T00:00:00Z".parse().unwrap(),
        authorities_sha256: None,
        fault: Some(fault.to_owned()),
    };
    let of = |port| {
        let tls = Some(TlsHealth { api: None, admin: Some(port) });
        report::health(engine_core::wire::Health { tls, ..health(None) })
    };
    assert!(of(port(&"a".repeat(65), "")).is_err() && of(port("a\u{1b}", "")).is_err());
    let shown = of(port("aa", &"\u{1b}[2J".repeat(5000))).unwrap().tls.unwrap().admin.unwrap().fault.unwrap();
    assert!(shown.chars().count() <= 1024 && !shown.contains('\u{1b}'), "{shown}");
}
