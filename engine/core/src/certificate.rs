//! What an X.509 certificate says: who it is for, how long it is valid, what its key may be used for. Nothing here
//! verifies a signature.

use std::net::IpAddr;

use jiff::Timestamp;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

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
    /// IP addresses of the subject.
    pub addresses: Vec<IpAddr>,
    /// Whether the certificate may sign other certificates.
    pub is_authority: bool,
    /// Kind and size of the key.
    pub key: KeyKind,
    /// SHA-256 of the public key with its algorithm.
    pub key_sha256: Hash,
    /// Whether it may identify a server. A certificate that names no usage may be used for everything.
    pub for_servers: bool,
    /// Whether it may identify a client.
    pub for_clients: bool,
    /// Whether its signature uses a hash function that can be forged: MD5 or SHA-1.
    pub is_weakly_signed: bool,
    /// Whether it names the key that signed it.
    pub names_issuer_key: bool,
}

/// Kind and size of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of this many bits.
    Rsa(usize),
    /// A key on an elliptic curve over a field of this many bits.
    EllipticCurve(usize),
    /// Ed25519.
    Ed25519,
    /// Any other kind.
    Other,
}

/// The bytes are not a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate")]
pub struct NotACertificate;

/// Smallest RSA modulus that is accepted, bits.
pub const RSA_BITS_MIN: usize = 2048;
/// Smallest elliptic curve that is accepted, bits.
pub const CURVE_BITS_MIN: usize = 256;

/// Signature algorithms with MD5 or SHA-1: RSA, DSA and ECDSA.
const WEAK_SIGNATURES: [&str; 5] = [
    "1.2.840.113549.1.1.2",
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10040.4.3",
    "1.2.840.10045.4.1",
];
/// Algorithm of an Ed25519 key.
const ED25519: &str = "1.3.101.112";

impl KeyKind {
    /// Whether the key is strong enough.
    #[must_use]
    pub fn is_strong(self) -> bool {
        match self {
            KeyKind::Rsa(bits) => bits >= RSA_BITS_MIN,
            KeyKind::EllipticCurve(bits) => bits >= CURVE_BITS_MIN,
            KeyKind::Ed25519 => true,
            KeyKind::Other => false,
        }
    }
}

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
        let usage = parsed.extended_key_usage().map_err(|_| NotACertificate)?.map(|found| found.value);
        let (dns_names, addresses) = subjects(&parsed)?;
        let key_usage = parsed.key_usage().map_err(|_| NotACertificate)?.map(|found| found.value);
        let names_issuer_key = parsed.extensions().iter().any(|extension| {
            matches!(extension.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(_))
        });
        Ok(Certificate {
            serial: hex(parsed.raw_serial()),
            sha256: Hash::of(der),
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            dns_names,
            addresses,
            is_authority: parsed.is_ca() && key_usage.is_none_or(|usage| usage.key_cert_sign()),
            key: key_kind(&parsed),
            key_sha256: Hash::of(parsed.public_key().raw),
            for_servers: usage.is_none_or(|usage| usage.any || usage.server_auth),
            for_clients: usage.is_none_or(|usage| usage.any || usage.client_auth),
            is_weakly_signed: WEAK_SIGNATURES
                .contains(&parsed.signature_algorithm.algorithm.to_id_string().as_str()),
            names_issuer_key,
        })
    }

    /// Whether the certificate is for this DNS name. A wildcard stands for exactly the first label.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.dns_names.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(domain) => {
                name.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == domain)
            }
            None => *pattern == name,
        })
    }
}

fn subjects(parsed: &X509Certificate<'_>) -> Result<(Vec<String>, Vec<IpAddr>), NotACertificate> {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let Some(found) = parsed.subject_alternative_name().map_err(|_| NotACertificate)? else {
        return Ok((names, addresses));
    };
    for name in &found.value.general_names {
        match name {
            GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    Ok((names, addresses))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn key_kind(parsed: &X509Certificate<'_>) -> KeyKind {
    if parsed.public_key().algorithm.algorithm.to_id_string() == ED25519 {
        return KeyKind::Ed25519;
    }
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => KeyKind::Rsa(key.key_size()),
        Ok(PublicKey::EC(point)) => KeyKind::EllipticCurve(point.key_size()),
        _ => KeyKind::Other,
    }
}

fn time(seconds: i64) -> Result<Timestamp, NotACertificate> {
    Timestamp::from_second(seconds).map_err(|_| NotACertificate)
}
