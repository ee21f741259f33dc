//! Given certificates: each fault that one can have is found, and a good one is not.

use std::time::SystemTime;

use super::given::{delivered, judged};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine_core::certificate_fitness::Unfit;
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use operator_core::tls::GivenFault;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

fn engine() -> [String; 1] {
    ["notes.team-a.svc".to_owned()]
}

/// Certificates that no library of today issues: made once, with keys that were thrown away.
const RSA_1024: &str = include_str!("fixtures/rsa_1024.crt");
const RSA_2048: &str = include_str!("fixtures/rsa_2048.crt");
const P_224: &str = include_str!("fixtures/p_224.crt");
const SHA_1: &str = include_str!("fixtures/sha_1.crt");

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, -1, 89);
    params
}

/// Makes a certificate valid from one number of days from now to another.
fn valid(params: &mut CertificateParams, from: i64, to: i64) {
    let at = |days: i64| SystemTime::from(Timestamp::now() + SignedDuration::from_hours(24 * days));
    params.not_before = at(from).into();
    params.not_after = at(to).into();
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key of a server.
fn server(issuer: &Authority, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut params = params("notes", &["notes.team-a.svc"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

fn secret(certificate: &str, key: &str, authorities: &str) -> DynamicObject {
    let encode = |text: &str| STANDARD.encode(text);
    let data = json!({
        "tls.crt": encode(certificate), "tls.key": encode(key), "ca.crt": encode(authorities),
    });
    serde_json::from_value(json!({"metadata": {"name": "public"}, "data": data})).unwrap()
}

fn fault(certificate: &str, key: &str, authorities: &str) -> Option<GivenFault> {
    let fault = judged(&secret(certificate, key, authorities), &engine(), Timestamp::now()).err();
    assert!(fault.as_ref().is_none_or(|fault| !fault.to_string().contains("PRIVATE KEY")));
    fault
}

#[test]
fn a_good_certificate_is_good_with_and_without_its_authority() {
    let root = root("root");
    let (leaf, key) = server(&root, |_| {});
    assert_eq!(fault(&leaf, &key, &root.pem()), None);
    assert_eq!(fault(&leaf, &key, ""), None, "a public authority is not in the Secret");
    let middle =
        CertifiedIssuer::signed_by(authority("middle"), KeyPair::generate().unwrap(), &root).unwrap();
    let (below, key) = server(&middle, |params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("*.team-a.svc".try_into().unwrap())];
    });
    let chain = format!("{below}{}", middle.pem());
    assert_eq!(fault(&chain, &key, &root.pem()), None);
    assert_eq!(fault(&chain, &key, ""), None);
    let found = judged(&secret(&chain, &key, &root.pem()), &engine(), Timestamp::now()).unwrap();
    let (copied, is_current) =
        delivered(Some(&secret(&chain, &key, &root.pem())), Some(&secret(&chain, &key, &root.pem())));
    assert_eq!((copied, is_current), (Some(found), true));
    let other = secret(&leaf, &key, &root.pem());
    assert!(!delivered(Some(&other), Some(&secret(&chain, &key, &root.pem()))).1);
    assert_eq!(delivered(None, Some(&other)), (None, false));
}

#[test]
fn each_fault_is_found() {
    let root = root("root");
    let (leaf, key) = server(&root, |_| {});
    let ca = root.pem();
    let bad = |change: fn(&mut CertificateParams)| {
        let (leaf, key) = server(&root, change);
        fault(&leaf, &key, &ca).expect("a fault")
    };
    let missing = |certificate: &str, key: &str| fault(certificate, key, &ca);
    assert_eq!(missing("", &key), Some(GivenFault::EntryMissing("public".into(), "tls.crt")));
    assert_eq!(missing(&leaf, " "), Some(GivenFault::EntryMissing("public".into(), "tls.key")));
    assert_eq!(missing("junk", &key), Some(GivenFault::NotPem("tls.crt")));
    assert_eq!(missing(&leaf, "junk"), Some(GivenFault::NotPem("tls.key")));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(missing(&leaf, encrypted), Some(GivenFault::EncryptedKey));
    let old =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(missing(&leaf, old), Some(GivenFault::EncryptedKey));
    let other = KeyPair::generate().unwrap().serialize_pem();
    assert_eq!(missing(&leaf, &other), Some(GivenFault::OtherKey));
    assert_eq!(
        bad(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        GivenFault::Unfit(Unfit::Authority)
    );
    let client_only = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    assert_eq!(bad(client_only), GivenFault::Unfit(Unfit::Usage));
    let no_signature = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    };
    assert_eq!(bad(no_signature), GivenFault::Unfit(Unfit::Usage));
    assert!(matches!(bad(|params| valid(params, 1, 89)), GivenFault::NotYetValid(_)));
    assert!(matches!(bad(|params| valid(params, -3, -1)), GivenFault::Expired(_)));
    let named = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("memory.example.org".try_into().unwrap())];
    };
    assert_eq!(bad(named), GivenFault::Name("notes.team-a.svc".into()));
    assert!(matches!(fault(&leaf, &key, &self::root("other").pem()), Some(GivenFault::Chain(_))));
    let middle =
        CertifiedIssuer::signed_by(authority("middle"), KeyPair::generate().unwrap(), &root).unwrap();
    let (below, below_key) = server(&middle, |_| {});
    assert!(
        matches!(fault(&below, &below_key, &ca), Some(GivenFault::Chain(_))),
        "an intermediate one is missing"
    );
    assert_eq!(fault(&leaf, &key, "junk -----BEGIN"), Some(GivenFault::Chain(fault_of_no_roots())));
}

/// The text of the library for authorities without any certificate.
fn fault_of_no_roots() -> String {
    let builder = rustls::client::WebPkiServerVerifier::builder_with_provider(
        std::sync::Arc::new(rustls::RootCertStore::empty()),
        service::tls::provider(),
    );
    builder.build().unwrap_err().to_string()
}

/// Keys and signatures that clients refuse, or that can be broken.
#[test]
fn weak_keys_and_signatures_are_found() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert_eq!(fault(RSA_1024, &key, ""), Some(GivenFault::Unfit(Unfit::Key("RSA with 1024 bits".into()))));
    assert_eq!(fault(SHA_1, &key, ""), Some(GivenFault::Unfit(Unfit::Signature)));
    let Some(GivenFault::Unfit(Unfit::Key(text))) = fault(P_224, &key, "") else { panic!("P-224 is weak") };
    assert!(text.contains("1.3.132.0.33"), "{text}");
    assert_eq!(
        fault(RSA_2048, &key, ""),
        Some(GivenFault::OtherKey),
        "nothing is wrong with the certificate"
    );
    let root = root("root");
    let (leaf, key) = server(&root, |_| {});
    let chain = format!("{leaf}{SHA_1}");
    assert_eq!(fault(&chain, &key, &root.pem()), Some(GivenFault::Unfit(Unfit::Signature)), "in the chain");
}
