//! What an X.509 certificate says about itself: who it is for, and how long it is valid. Nothing here verifies a
//! signature: that is the task of the TLS library.

use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::digest::{Hash, hex};

/// A certificate, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Serial number, lower-case hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment at which it is valid.
    pub not_before: Timestamp,
    /// Last moment at which it is valid.
    pub not_after: Timestamp,
    /// DNS names of the subject, in lower case.
    pub dns_names: Vec<String>,
    /// URIs of the subject, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// Whether the certificate may sign other certificates.
    pub is_authority: bool,
    /// SHA-256 of the public key with its algorithm.
    pub key_sha256: Hash,
}

/// The bytes are not a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate")]
pub struct NotACertificate;

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// The bytes are not exactly one certificate with valid extensions.
    pub fn of_der(der: &[u8]) -> Result<Certificate, NotACertificate> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| NotACertificate)?;
        if !rest.is_empty() {
            return Err(NotACertificate);
        }
        let usage = parsed.key_usage().map_err(|_| NotACertificate)?.map(|found| found.value);
        let names = parsed.subject_alternative_name().map_err(|_| NotACertificate)?;
        let names = names.iter().flat_map(|found| &found.value.general_names);
        let uris = names.clone().filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        let dns_names = names.clone().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        Ok(Certificate {
            serial: hex(parsed.raw_serial()),
            sha256: Hash::of(der),
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            dns_names: dns_names.collect(),
            uris: uris.collect(),
            is_authority: parsed.is_ca() && usage.is_none_or(|usage| usage.key_cert_sign()),
            key_sha256: Hash::of(parsed.public_key().raw),
        })
    }

    /// Whether the certificate names exactly this DNS name, which may be a wildcard.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.dns_names.iter().any(|one| one.eq_ignore_ascii_case(name))
    }
}

fn time(seconds: i64) -> Result<Timestamp, NotACertificate> {
    Timestamp::from_second(seconds).map_err(|_| NotACertificate)
}
