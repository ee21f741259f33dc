//! Issues authorities and certificates. Every key is made here and goes nowhere but into its Secret.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use operator_core::{
    plan::Issue,
    tls::{BACKDATED, Issuance},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Map, Value};
use service::tls::{AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE};

use super::material::{
    AUTHORITY, AUTHORITY_KEY, AuthorityTexts, CertificateTexts, Material, RETIRED, RETIRED_KEY,
};

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// The library failed.
    #[error("the certificate could not be made: {0}")]
    Library(#[from] rcgen::Error),
    /// What it is derived from is missing. The next reconcile plans it again.
    #[error("the Secret that it is derived from has changed")]
    Changed,
}

/// A certificate with its key, PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Carries out an issuance: returns the Secret.
///
/// # Errors
/// The library fails, or the Secrets have changed since the plan was made.
pub(crate) fn issued(issue: &Issue, material: &Material, now: Timestamp) -> Result<Value, IssueError> {
    let mut object = issue.object.clone();
    let (kind, data) = match issue.issuance {
        Issuance::Certificate | Issuance::Authorities => {
            let texts = certificate(issue, material, now)?;
            let data = [
                (CERTIFICATE_FILE, texts.certificate),
                (KEY_FILE, texts.key),
                (AUTHORITIES_FILE, texts.authorities),
            ];
            ("kubernetes.io/tls", encoded(data))
        }
        Issuance::Authority | Issuance::NewAuthority | Issuance::KeepTrusted | Issuance::Retire => {
            let texts = authority(issue, material, now)?;
            let data = [(AUTHORITY, texts.certificate), (AUTHORITY_KEY, texts.key)];
            let retired = Some(texts.retired).filter(|retired| !retired.is_empty());
            let retired = retired.map(|retired| (RETIRED, retired));
            let retired_key = texts.retired_key.map(|key| (RETIRED_KEY, key));
            ("Opaque", encoded(data.into_iter().chain(retired).chain(retired_key)))
        }
    };
    object["type"] = kind.into();
    object["data"] = data;
    Ok(object)
}

fn encoded(data: impl IntoIterator<Item = (&'static str, String)>) -> Value {
    let data = data.into_iter().map(|(key, text)| (key.to_owned(), STANDARD.encode(text).into()));
    Value::Object(data.collect::<Map<_, _>>())
}

fn authority(issue: &Issue, material: &Material, now: Timestamp) -> Result<AuthorityTexts, IssueError> {
    let before = material.authority.as_ref();
    let new = || {
        let name = issue.names.first().map(String::as_str).unwrap_or_default();
        new_authority(name, (now, issue.lifetime))
    };
    let texts = |pair: Pair, retired: String, retired_key| AuthorityTexts {
        certificate: pair.certificate,
        key: pair.key,
        retired,
        retired_key,
    };
    Ok(match issue.issuance {
        Issuance::NewAuthority => {
            let before = before.ok_or(IssueError::Changed)?;
            texts(new()?, before.certificate.clone(), Some(before.key.clone()))
        }
        Issuance::KeepTrusted => {
            let trusted = material.certificate.as_ref().ok_or(IssueError::Changed)?.authorities.clone();
            AuthorityTexts {
                retired: trusted,
                retired_key: None,
                ..before.ok_or(IssueError::Changed)?.clone()
            }
        }
        Issuance::Retire => {
            let before = before.ok_or(IssueError::Changed)?.clone();
            AuthorityTexts { retired: String::new(), retired_key: None, ..before }
        }
        _ => {
            let trusted = material.certificate.as_ref().map(|texts| texts.authorities.clone());
            texts(new()?, trusted.unwrap_or_default(), None)
        }
    })
}

fn certificate(issue: &Issue, material: &Material, now: Timestamp) -> Result<CertificateTexts, IssueError> {
    let authority = material.authority.as_ref().ok_or(IssueError::Changed)?;
    let pair = match issue.issuance {
        Issuance::Authorities => {
            let CertificateTexts { certificate, key, .. } =
                material.certificate.clone().ok_or(IssueError::Changed)?;
            Pair { certificate, key }
        }
        _ => {
            let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            let signer = (authority.certificate.as_str(), authority.key.as_str());
            signed(&issue.names, &usages, signer, (now, issue.lifetime))?
        }
    };
    Ok(CertificateTexts { certificate: pair.certificate, key: pair.key, authorities: authority.bundle() })
}

/// Parameters that authorities and certificates share. The library's own validity is from 1975 to 4096.
fn params(name: &str, (now, lifetime): (Timestamp, SignedDuration)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = SystemTime::from(now - BACKDATED).into();
    params.not_after = SystemTime::from(now + lifetime).into();
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

fn new_authority(name: &str, validity: (Timestamp, SignedDuration)) -> Result<Pair, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = params(&format!("{name} authority"), validity);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem() })
}

/// A certificate for these names, signed by an authority.
pub(super) fn signed(
    names: &[String],
    usages: &[ExtendedKeyUsagePurpose],
    (authority, authority_key): (&str, &str),
    validity: (Timestamp, SignedDuration),
) -> Result<Pair, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = params(names.first().map(String::as_str).unwrap_or_default(), validity);
    let names = names.iter().map(|name| name.as_str().try_into().map(rcgen::SanType::DnsName));
    params.subject_alt_names = names.collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.to_vec();
    let issuer = Issuer::from_ca_cert_pem(authority, KeyPair::from_pem(authority_key)?)?;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem() })
}
