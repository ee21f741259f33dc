//! Reads and copies certificates that the operator does not issue.

use std::sync::Arc;

use engine_core::{
    certificate::Certificate,
    certificate_fitness::{unfit, weak},
};
use kube::api::DynamicObject;
use operator_core::{
    observed::Observed,
    plan::{Copy, Write},
    tls::{GivenFault, check_given},
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use serde_json::{Map, Value};
use service::tls::{AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE, certificates, provider};

use super::material::{pem, roots, text};

/// Entries that are copied.
const ENTRIES: [&str; 3] = [CERTIFICATE_FILE, KEY_FILE, AUTHORITIES_FILE];
/// What an encrypted key contains, in both forms of PEM.
const ENCRYPTED: &str = "ENCRYPTED";

/// Judges a given certificate for the names of a server: what is wrong with it first counts.
///
/// # Errors
/// It must not be used.
pub(crate) fn judged(
    secret: &DynamicObject,
    servers: &[String],
    now: jiff::Timestamp,
) -> Result<Certificate, GivenFault> {
    let place = secret.metadata.name.clone().unwrap_or_default();
    let entry = |key: &'static str| {
        let found = text(secret, key).filter(|text| !text.trim().is_empty());
        found.ok_or_else(|| GivenFault::EntryMissing(place.clone(), key))
    };
    let (chain, key) = (entry(CERTIFICATE_FILE)?, entry(KEY_FILE)?);
    let authorities = text(secret, AUTHORITIES_FILE).filter(|text| !text.trim().is_empty());
    let chain = certificates(chain.as_bytes()).ok_or(GivenFault::NotPem(CERTIFICATE_FILE))?;
    let (first, rest) = chain.split_first().ok_or(GivenFault::NotPem(CERTIFICATE_FILE))?;
    if key.contains(ENCRYPTED) {
        return Err(GivenFault::EncryptedKey);
    }
    let certificate = Certificate::of_der(first)?;
    if let Some(unfit) = unfit(first)? {
        return Err(GivenFault::Unfit(unfit));
    }
    for intermediate in rest {
        if let Some(weak) = weak(intermediate)? {
            return Err(GivenFault::Unfit(weak));
        }
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| GivenFault::NotPem(KEY_FILE))?;
    CertifiedKey::from_der(chain.clone(), key, &provider()).map_err(|_| GivenFault::OtherKey)?;
    check_given(&certificate, servers, now)?;
    verified(first, rest, authorities.as_deref(), now)?;
    Ok(certificate)
}

/// Verifies the chain with the authorities, or without them with the last certificate of the chain. A certificate alone
/// and without authorities shows nothing that could be verified.
fn verified(
    first: &CertificateDer<'_>,
    rest: &[CertificateDer<'static>],
    authorities: Option<&str>,
    now: jiff::Timestamp,
) -> Result<(), GivenFault> {
    let chain = |fault: &dyn std::fmt::Display| GivenFault::Chain(fault.to_string());
    let roots = match (authorities, rest.last()) {
        (Some(text), _) => roots([text]).ok_or(GivenFault::NotPem(AUTHORITIES_FILE))?,
        (None, Some(last)) => {
            let mut roots = RootCertStore::empty();
            roots.add(last.clone()).map_err(|fault| chain(&fault))?;
            roots
        }
        (None, None) => return Ok(()),
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|fault| chain(&fault))?;
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    // The name was checked before, so that a fault of the chain is one of the chain.
    let name = names_of(first).ok_or(GivenFault::NotPem(CERTIFICATE_FILE))?;
    verifier.verify_server_cert(first, rest, &name, &[], now).map(drop).map_err(|fault| chain(&fault))
}

/// A name that the certificate has.
fn names_of(first: &CertificateDer<'_>) -> Option<ServerName<'static>> {
    let certificate = Certificate::of_der(first).ok()?;
    // A wildcard is no name of a server: one that it stands for is.
    let name = certificate.dns_names.first()?.replacen("*.", "a.", 1);
    ServerName::try_from(name).ok()
}

/// The certificate in the Secret that the pod mounts, and whether it is what was given.
pub(crate) fn delivered(
    copy: Option<&DynamicObject>,
    given: Option<&DynamicObject>,
) -> (Option<Certificate>, bool) {
    let chain = copy.and_then(|copy| certificates(text(copy, CERTIFICATE_FILE)?.as_bytes()));
    let certificate = chain.and_then(|chain| Certificate::of_der(chain.first()?).ok());
    let is_current = copy.is_some() && content(copy) == content(given);
    (certificate, is_current)
}

/// The authorities in a Secret, as PEM.
pub(crate) fn authorities(secret: &DynamicObject) -> String {
    text(secret, AUTHORITIES_FILE).map(|text| pem(&text)).unwrap_or_default()
}

fn content(secret: Option<&DynamicObject>) -> Map<String, Value> {
    let data = secret.and_then(|secret| secret.data.get("data")).and_then(Value::as_object);
    let entries = data.into_iter().flatten().filter(|(key, _)| ENTRIES.contains(&key.as_str()));
    entries.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The write of the copy. Neither the write nor its object is logged, because it contains a key.
pub(crate) fn copy_write(observed: &Observed, copy: &Copy) -> Write {
    let (key, mut object) = (copy.key.clone(), copy.object.clone());
    object["type"] = "kubernetes.io/tls".into();
    object["data"] = content(observed.children.get(&copy.from).map(AsRef::as_ref)).into();
    match observed.children.contains_key(&key) {
        true => Write::Update { key, object, because: "another certificate is given".to_owned() },
        false => Write::Create { key, object },
    }
}
