//! Certificates of the memory API that the operator does not issue: what is mounted, copied, held back and said.

use crds::{CertManager, IssuerRef, Tls, TlsSecret};
use engine_core::{
    certificate::Certificate, certificate_fitness::Unfit, digest::Hash, wire::PortCertificate,
};
use jiff::SignedDuration;
use operator_core::{
    build::{engine_config, stateful_set},
    names::ChildKind,
    observed::{EngineReport, Observed},
    plan::Step,
    tls::{GivenFault, GivenView, Unread},
    validate::validate,
};
use serde_json::{Value, json};

use crate::tls::{issued, wanting};
use crate::world::{condition, planned, settings, settled, status_of, valid, writes};

fn by_secret() -> Tls {
    Tls { secret_ref: Some(TlsSecret { name: "public".into() }), ..Tls::default() }
}

fn by_cert_manager() -> Tls {
    let issuer_ref =
        IssuerRef { name: "ca".into(), kind: "ClusterIssuer".into(), group: "cert-manager.io".into() };
    Tls { cert_manager: Some(CertManager { issuer_ref, renew_before_seconds: None }), ..Tls::default() }
}

fn certificate(world: &Observed, serial: &str) -> Certificate {
    Certificate {
        serial: serial.into(),
        sha256: Hash::of(serial.as_bytes()),
        not_before: world.now - SignedDuration::from_hours(24),
        not_after: world.now + SignedDuration::from_hours(24 * 89),
        uris: Vec::new(),
        dns_names: vec!["notes.team.svc".into()],
        is_authority: false,
        key_sha256: Hash::of(serial.as_bytes()),
    }
}

/// A settled engine whose spec now wants a given certificate, about which this was found.
fn world(tls: Tls, view: GivenView) -> Observed {
    let mut world = wanting(issued(&settled()));
    let mut engine = (*world.engine).clone();
    engine.spec.tls = Some(tls);
    world.engine = engine.into();
    world.given = Some(view);
    world
}

fn kinds(world: &Observed) -> Vec<ChildKind> {
    writes(&planned(world)).iter().map(|write| write.key().kind).collect()
}

fn copies(world: &Observed) -> Vec<(String, String)> {
    let steps = planned(world).steps.into_iter();
    let copies = steps.filter_map(|step| if let Step::Copy(copy) = step { Some(copy) } else { None });
    copies.map(|copy| (copy.from.name, copy.key.name)).collect()
}

/// Two directories: the administration port keeps the certificate of the operator, so that nothing which others issue
/// is accepted there.
#[test]
fn the_api_has_a_directory_of_its_own() {
    let good = |world: &Observed| Ok(certificate(world, "cc"));
    let world = world(by_secret(), GivenView { given: Some(good(&settled())), ..GivenView::default() });
    let valid = valid(&world);
    let config: Value = serde_yaml::from_str(&engine_config(&valid)).unwrap();
    let directories = json!({
        "apiDirectory": "/etc/memory-engine/api-tls", "adminDirectory": "/etc/memory-engine/tls",
    });
    assert_eq!(config["tls"], directories);
    let pod = json!(stateful_set(&valid))["spec"]["template"]["spec"].clone();
    let volume = |name: &str, secret: &str| json!({"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}});
    let volumes = pod["volumes"].as_array().unwrap();
    assert!(
        volumes.contains(&volume("tls", "notes-tls"))
            && volumes.contains(&volume("api-tls", "notes-api-tls"))
    );
    assert!(!pod.to_string().contains("public"), "the pod mounts the copy, which is never bad");
    assert_eq!(copies(&world), [("public".to_owned(), "notes-api-tls".to_owned())]);
    assert!(kinds(&world).contains(&ChildKind::StatefulSet));
}

fn faults(world: &Observed) -> Vec<(GivenFault, &'static str)> {
    vec![
        (GivenFault::Missing("public".into()), "CertificateMissing"),
        (GivenFault::EntryMissing("public".into(), "tls.key"), "CertificateMissing"),
        (GivenFault::NotPem("tls.crt"), "CertificateNotPem"),
        (GivenFault::EncryptedKey, "CertificateKeyEncrypted"),
        (GivenFault::OtherKey, "CertificateKeyMismatch"),
        (GivenFault::Unfit(Unfit::Authority), "CertificateIsAuthority"),
        (GivenFault::Unfit(Unfit::Key("RSA with 1024 bits".into())), "CertificateWeak"),
        (GivenFault::Unfit(Unfit::Signature), "CertificateWeak"),
        (GivenFault::Unfit(Unfit::Usage), "CertificateUsageWrong"),
        (GivenFault::NotYetValid(world.now), "CertificateNotYetValid"),
        (GivenFault::Expired(world.now), "CertificateExpired"),
        (GivenFault::Name("notes.team.svc".into()), "CertificateNameMissing"),
        (GivenFault::Chain("UnknownIssuer".into()), "CertificateChainInvalid"),
    ]
}

/// Nothing bad is delivered: an engine that has a certificate serves it on, and one that has none waits.
#[test]
fn each_fault_of_a_given_certificate_has_its_reason_and_is_not_delivered() {
    for (fault, reason) in faults(&settled()) {
        let bad =
            |delivered| GivenView { given: Some(Err(fault.clone())), delivered, ..GivenView::default() };
        let waiting = world(by_secret(), bad(None));
        assert_eq!(copies(&waiting), []);
        assert!(!kinds(&waiting).contains(&ChildKind::StatefulSet), "{fault}");
        let status = status_of(&waiting);
        assert_eq!(condition(&status, "TLSReady"), format!("False/{reason}"));
        assert_eq!(condition(&status, "Stalled"), format!("True/{reason}"));
        let served = world(by_secret(), bad(Some(certificate(&settled(), "cc"))));
        assert_eq!(copies(&served), []);
        assert!(kinds(&served).contains(&ChildKind::StatefulSet), "other changes are rolled out");
        let status = status_of(&served);
        assert_eq!(condition(&status, "TLSReady"), format!("False/{reason}"));
        assert_eq!(condition(&status, "Stalled"), "False/NoObstacle");
        let message = &status.conditions.iter().find(|one| one.type_ == "TLSReady").unwrap().message;
        assert!(message.contains("cc before it is served on"), "{message}");
    }
}

/// The port of clients is compared with the given certificate, and the administration port with that of the operator.
#[test]
fn each_port_is_compared_with_its_certificate() {
    let base = settled();
    let given = certificate(&base, "cc");
    let view = GivenView {
        given: Some(Ok(given.clone())),
        delivered: Some(given),
        is_current: true,
        ..GivenView::default()
    };
    let mut world = world(by_secret(), view);
    let plan = planned(&world);
    crate::world::carry_out(&mut world, &plan, usize::MAX);
    let set = operator_core::children::CHILDREN.stateful_set.key("notes");
    let status = base.children[&set].data["status"].clone();
    crate::world::edit(&mut world, ChildKind::StatefulSet, "notes", "/status", status);
    world.writer_mut().pod.as_mut().unwrap().has_tls = true;
    let mounted = operator_core::names::certificate_secret("notes");
    let object = serde_json::from_value(
        json!({"metadata": {"name": "notes-tls", "labels": operator_core::names::labels("notes")}}),
    )
    .unwrap();
    world.children.insert(mounted, std::sync::Arc::new(object));
    let bundle = issued(&base).authority.present().unwrap().bundle_sha256.to_string();
    let port = |serial: &str| PortCertificate {
        serial: serial.into(),
        sha256: "aa".repeat(32),
        not_after: base.now + SignedDuration::from_hours(24),
        authorities_sha256: Some(bundle.clone()),
        fault: None,
    };
    for (api, admin, expected, delivers) in [
        ("cc", "bb", "True/CertificateServed", false),
        ("dd", "bb", "True/CertificateRenewing", true),
        ("bb", "bb", "True/CertificateRenewing", true),
        ("cc", "aa", "True/CertificateRenewing", true),
    ] {
        let EngineReport::Answered(health) = &mut world.writer_mut().report else { panic!("a report") };
        health.tls = Some(engine_core::wire::TlsHealth { api: Some(port(api)), admin: Some(port(admin)) });
        let status = status_of(&world);
        assert_eq!(condition(&status, "TLSReady"), expected, "{api} {admin}");
        let told = planned(&world).steps.iter().any(|step| matches!(step, Step::Deliver(_)));
        assert_eq!(told, delivers, "{api} {admin}");
        let shown = status.tls.unwrap().api.unwrap();
        assert_eq!((shown.serial.as_str(), shown.served_serial.as_deref()), ("cc", Some(api)));
    }
    let EngineReport::Answered(health) = &mut world.writer_mut().report else { panic!("a report") };
    health.tls = Some(engine_core::wire::TlsHealth { api: Some(port("cc")), admin: Some(port("bb")) });
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let (not_before, not_after) = (base.now - days(89), base.now + days(1));
    let ending = Certificate { not_before, not_after, ..certificate(&base, "cc") };
    world.given.as_mut().unwrap().given = Some(Ok(ending));
    assert_eq!(condition(&status_of(&world), "TLSReady"), "False/CertificateEndsSoon");
}

/// The operator orders a certificate where there is cert-manager, and says so where there is none.
#[test]
fn a_certificate_is_ordered_from_cert_manager() {
    let missing = || Some(Err(GivenFault::Missing("notes-api".into())));
    let waiting = world(by_cert_manager(), GivenView { given: missing(), ..GivenView::default() });
    let all = writes(&planned(&waiting));
    let order = all.iter().find(|write| write.key().kind == ChildKind::Certificate).expect("an order");
    let operator_core::plan::Write::Create { object, .. } = order else { panic!("{order:?}") };
    assert_eq!(object["spec"]["secretName"], "notes-api");
    assert_eq!(
        object["spec"]["issuerRef"],
        json!({"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"})
    );
    assert!(object["spec"]["dnsNames"].as_array().unwrap().contains(&json!("notes.team.svc")));
    assert_eq!(condition(&status_of(&waiting), "TLSReady"), "False/CertificatePending");
    let absent = GivenView { given: missing(), lacks_cert_manager: true, ..GivenView::default() };
    let absent = world(by_cert_manager(), absent);
    assert!(!kinds(&absent).contains(&ChildKind::Certificate));
    assert_eq!(condition(&status_of(&absent), "TLSReady"), "False/CertManagerMissing");
    assert_eq!(condition(&status_of(&absent), "Stalled"), "True/CertManagerMissing");
    let given = Some(Ok(certificate(&settled(), "cc")));
    let issued = world(by_cert_manager(), GivenView { given, ..GivenView::default() });
    assert_eq!(copies(&issued), [("notes-api".to_owned(), "notes-api-tls".to_owned())]);
}

#[test]
fn a_given_certificate_that_cannot_be_read_is_said() {
    let unread = Some(Unread { is_forbidden: true, text: "secrets is forbidden".into() });
    let world = world(by_secret(), GivenView { unread, ..GivenView::default() });
    assert!(!kinds(&world).contains(&ChildKind::StatefulSet));
    assert_eq!(condition(&status_of(&world), "TLSReady"), "False/SecretsForbidden");
    let mut both = (*world.engine).clone();
    both.spec.tls = Some(Tls { cert_manager: by_cert_manager().cert_manager, ..by_secret() });
    let faults = validate(&both, &settings()).unwrap_err();
    assert!(faults.iter().any(|fault| fault.to_string().contains("exclude each other")), "{faults:?}");
}

/// cert-manager overwrites the Secret that a `Certificate` names: none is ordered over a Secret that is not its own.
#[test]
fn nothing_is_ordered_over_a_secret_of_somebody_else() {
    let secret = |annotations: Value| -> std::sync::Arc<kube_core::DynamicObject> {
        let object = json!({"metadata": {"name": "notes-api", "annotations": annotations}});
        std::sync::Arc::new(serde_json::from_value(object).expect("a Secret"))
    };
    let key = operator_core::names::secret("notes-api");
    let missing =
        || GivenView { given: Some(Err(GivenFault::Missing("notes-api".into()))), ..GivenView::default() };
    for (annotations, is_ordered) in [
        (json!({}), false),
        (json!({"cert-manager.io/certificate-name": "other"}), false),
        (json!({"cert-manager.io/certificate-name": "notes-api"}), true),
    ] {
        let mut world = world(by_cert_manager(), missing());
        world.children.insert(key.clone(), secret(annotations.clone()));
        assert_eq!(kinds(&world).contains(&ChildKind::Certificate), is_ordered, "{annotations}");
        assert_eq!(planned(&world).conflicts.contains(&key), !is_ordered, "{annotations}");
        let said = condition(&status_of(&world), "Stalled");
        assert_eq!(said == "True/NameConflict", !is_ordered, "{annotations}: {said}");
        // A certificate that was ordered before stays ordered.
        let order: kube_core::DynamicObject =
            serde_json::from_value(json!({"metadata": {"name": "notes-api"}})).expect("an order");
        world.children.insert(operator_core::names::certificate_order("notes"), order.into());
        assert!(!planned(&world).conflicts.contains(&key), "{annotations}");
    }
}

/// An order says when to renew only if the spec does, and as cert-manager writes it.
#[test]
fn an_order_says_when_to_renew() {
    let renewal = |seconds: Option<i32>| {
        let mut tls = by_cert_manager();
        tls.certificate_lifetime_seconds = Some(7200);
        tls.cert_manager.as_mut().expect("cert-manager").renew_before_seconds = seconds;
        let world = world(tls, GivenView::default());
        operator_core::build::certificate_order(&valid(&world))["spec"]["renewBefore"].clone()
    };
    assert_eq!(renewal(None), Value::Null);
    assert_eq!(renewal(Some(3570)), json!("59m30s"));
    assert_eq!(renewal(Some(3600)), json!("1h0m0s"));
}
