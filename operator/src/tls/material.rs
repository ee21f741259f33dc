//! The content of the Secrets.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine_core::{certificate::Certificate, digest::Hash};
use kube::api::DynamicObject;
use operator_core::{
    names::server_name,
    tls::{AuthorityView, CertificateView, Found, TlsView},
};
use rcgen::KeyPair;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use service::tls::{AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE, certificates, provider};

/// Keys of the Secret with the authority.
pub(super) const AUTHORITY: &str = "ca.crt";
pub(super) const AUTHORITY_KEY: &str = "ca.key";
pub(super) const RETIRED: &str = "retired.crt";
pub(super) const RETIRED_KEY: &str = "retired.key";
/// Characters in a line of PEM.
const PEM_LINE: usize = 64;

/// The texts of the Secrets, PEM. It has no `Debug`: it contains keys.
#[derive(Default)]
pub(crate) struct Material {
    pub(super) authority: Option<AuthorityTexts>,
    pub(super) certificate: Option<CertificateTexts>,
}

#[derive(Clone)]
pub(super) struct AuthorityTexts {
    pub(super) certificate: String,
    pub(super) key: String,
    /// Authorities that are still trusted.
    pub(super) retired: String,
    /// Key of the first of them, while pods may not trust its successor.
    pub(super) retired_key: Option<String>,
}

#[derive(Clone)]
pub(super) struct CertificateTexts {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) authorities: String,
}

impl AuthorityTexts {
    /// All trusted authorities.
    pub(super) fn bundle(&self) -> String {
        format!("{}{}", self.certificate, self.retired)
    }
}

/// Reads the Secrets and describes what they contain. Whatever is wrong with them is part of the description.
pub(crate) fn material(
    authority: Option<&DynamicObject>,
    certificate: Option<&DynamicObject>,
    (name, namespace): (&str, &str),
    now: jiff::Timestamp,
) -> (Material, TlsView) {
    let authority_texts = authority.map(authority_texts);
    let certificate_texts = certificate.map(certificate_texts);
    let signing = authority_texts.as_ref().and_then(|texts| texts.as_ref().ok());
    let view = TlsView {
        unread: None,
        authority: found(authority_texts.as_ref(), authority_view),
        certificate: found(certificate_texts.as_ref(), |texts| {
            certificate_view(texts, signing, &server_name(name, namespace), now)
        }),
    };
    let usable = Material {
        authority: authority_texts.and_then(Result::ok).filter(|_| view.authority.present().is_some()),
        certificate: certificate_texts.and_then(Result::ok).filter(|_| view.certificate.present().is_some()),
    };
    (usable, view)
}

fn found<T, V>(texts: Option<&Result<T, String>>, view: impl FnOnce(&T) -> Result<V, String>) -> Found<V> {
    match texts {
        None => Found::Missing,
        Some(Err(fault)) => Found::Broken(fault.clone()),
        Some(Ok(texts)) => view(texts).map_or_else(Found::Broken, Found::Present),
    }
}

pub(super) fn text(secret: &DynamicObject, key: &str) -> Option<String> {
    let encoded = secret.data.pointer("/data")?.get(key)?.as_str()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

fn required(secret: &DynamicObject, key: &str) -> Result<String, String> {
    text(secret, key).filter(|text| !text.trim().is_empty()).ok_or_else(|| format!("it has no key {key}"))
}

fn authority_texts(secret: &DynamicObject) -> Result<AuthorityTexts, String> {
    Ok(AuthorityTexts {
        certificate: required(secret, AUTHORITY)?,
        key: required(secret, AUTHORITY_KEY)?,
        retired: text(secret, RETIRED).unwrap_or_default(),
        retired_key: text(secret, RETIRED_KEY),
    })
}

fn certificate_texts(secret: &DynamicObject) -> Result<CertificateTexts, String> {
    Ok(CertificateTexts {
        certificate: required(secret, CERTIFICATE_FILE)?,
        key: required(secret, KEY_FILE)?,
        authorities: required(secret, AUTHORITIES_FILE)?,
    })
}

fn parsed(pem: &str, name: &str) -> Result<Vec<Certificate>, String> {
    let chain = certificates(pem.as_bytes()).ok_or_else(|| format!("{name} is not PEM"))?;
    chain.iter().map(|der| Certificate::of_der(der).map_err(|fault| format!("{name} is {fault}"))).collect()
}

fn first(pem: &str, key: &str, name: &str) -> Result<Certificate, String> {
    let certificate =
        parsed(pem, name)?.into_iter().next().ok_or_else(|| format!("{name} has no certificate"))?;
    let pair = KeyPair::from_pem(key).map_err(|_| format!("the key of {name} is not a private key"))?;
    let public = rcgen::PublicKeyData::subject_public_key_info(&pair);
    if Hash::of(&public) == certificate.key_sha256 {
        Ok(certificate)
    } else {
        Err(format!("the key does not belong to {name}"))
    }
}

fn authority_view(texts: &AuthorityTexts) -> Result<AuthorityView, String> {
    let signing = first(&texts.certificate, &texts.key, AUTHORITY)?;
    if !signing.is_authority {
        return Err(format!("{AUTHORITY} is not the certificate of an authority"));
    }
    Ok(AuthorityView {
        signing,
        retired: parsed(&texts.retired, RETIRED)?,
        bundle_sha256: Hash::of(texts.bundle().as_bytes()),
    })
}

fn certificate_view(
    texts: &CertificateTexts,
    signing: Option<&AuthorityTexts>,
    name: &str,
    now: jiff::Timestamp,
) -> Result<CertificateView, String> {
    let certificate = first(&texts.certificate, &texts.key, CERTIFICATE_FILE)?;
    let authorities = parsed(&texts.authorities, AUTHORITIES_FILE)?;
    Ok(CertificateView {
        certificate,
        is_of_signing: signing
            .is_some_and(|signing| is_signed(&texts.certificate, &signing.certificate, name, now)),
        bundle: pem(&texts.authorities),
        bundle_sha256: Hash::of(texts.authorities.as_bytes()),
        authorities: authorities.iter().map(|authority| authority.sha256).collect(),
    })
}

/// The certificates in a text, and nothing else that somebody may have put there: they are shown to everybody.
pub(super) fn pem(text: &str) -> String {
    let certificates = certificates(text.as_bytes()).unwrap_or_default();
    let mut shown = String::new();
    for certificate in certificates {
        shown.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(PEM_LINE) {
            shown.extend(line.iter().copied().map(char::from));
            shown.push('\n');
        }
        shown.push_str("-----END CERTIFICATE-----\n");
    }
    shown
}

/// Whether one of these authorities vouches for a certificate under this name.
fn is_signed(certificate: &str, authorities: &str, name: &str, now: jiff::Timestamp) -> bool {
    let (Some(chain), Some(roots)) = (certificates(certificate.as_bytes()), roots([authorities])) else {
        return false;
    };
    let (Some((first, rest)), Ok(name)) = (chain.split_first(), ServerName::try_from(name)) else {
        return false;
    };
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()
    else {
        return false;
    };
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_server_cert(first, rest, &name, &[], now).is_ok()
}

/// The authorities of these texts.
pub(crate) fn roots<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for text in texts {
        for authority in CertificateDer::pem_slice_iter(text.as_bytes()) {
            roots.add(authority.ok()?).ok()?;
        }
    }
    Some(roots)
}
