//! Whether a server may use a certificate, as far as the certificate says so itself. Nothing here verifies a signature.

use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::certificate::NotACertificate;

/// Fewest bits of an RSA key: fewer are not safe, and libraries refuse them.
const RSA_BITS_MIN: usize = 2048;
/// Elliptic curves that TLS 1.3 clients know, by their object identifiers: P-256, P-384 and P-521.
const CURVES: [&str; 3] = ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"];
/// Ed25519, whose keys have one size.
const ED25519: &str = "1.3.101.112";
/// Signatures over MD2, MD5 or SHA-1, by their object identifiers.
const WEAK_SIGNATURES: [&str; 6] = [
    "1.2.840.113549.1.1.2",
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10045.4.1",
    "1.2.840.10040.4.3",
    "1.3.14.3.2.29",
];

/// Why a server must not use a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The certificate is that of an authority.
    #[error("it is the certificate of an authority, not that of a server")]
    Authority,
    /// The key is too short, or of a kind that clients do not accept.
    #[error("its key is {0}: use RSA with 2048 bits or more, P-256, P-384, P-521 or Ed25519")]
    Key(String),
    /// The signature is over a broken hash.
    #[error("it is signed over MD5 or SHA-1, which is broken: have it issued with SHA-256")]
    Signature,
    /// The certificate is for other purposes.
    #[error("its usages do not include the authentication of a server (serverAuth, digitalSignature)")]
    Usage,
}

/// Why a server must not use a certificate in DER; none if nothing speaks against it.
///
/// # Errors
/// The bytes are not a certificate with valid extensions.
pub fn unfit(der: &[u8]) -> Result<Option<Unfit>, NotACertificate> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| NotACertificate)?;
    if parsed.is_ca() {
        return Ok(Some(Unfit::Authority));
    }
    if let Some(weak) = weak_of(&parsed) {
        return Ok(Some(weak));
    }
    let purposes = parsed.extended_key_usage().map_err(|_| NotACertificate)?;
    let usage = parsed.key_usage().map_err(|_| NotACertificate)?;
    let is_for_servers = purposes.is_none_or(|found| found.value.server_auth || found.value.any);
    let can_sign = usage.is_none_or(|found| found.value.digital_signature());
    Ok((!is_for_servers || !can_sign).then_some(Unfit::Usage))
}

/// What is weak about a certificate of a chain, that of an authority included.
///
/// # Errors
/// The bytes are not a certificate.
pub fn weak(der: &[u8]) -> Result<Option<Unfit>, NotACertificate> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| NotACertificate)?;
    Ok(weak_of(&parsed))
}

fn weak_of(parsed: &X509Certificate<'_>) -> Option<Unfit> {
    let signature = parsed.signature_algorithm.algorithm.to_id_string();
    if WEAK_SIGNATURES.contains(&signature.as_str()) {
        return Some(Unfit::Signature);
    }
    let key = parsed.public_key();
    let algorithm = key.algorithm.algorithm.to_id_string();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= RSA_BITS_MIN => None,
        Ok(PublicKey::RSA(rsa)) => Some(Unfit::Key(format!("RSA with {} bits", rsa.key_size()))),
        Ok(PublicKey::EC(_)) => {
            let curve: Option<Oid<'_>> =
                key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            let curve = curve.map(|curve| curve.to_id_string()).unwrap_or_default();
            let is_known = CURVES.contains(&curve.as_str());
            (!is_known).then(|| Unfit::Key(format!("on the elliptic curve {curve}")))
        }
        _ if algorithm == ED25519 => None,
        _ => Some(Unfit::Key(format!("of the kind {algorithm}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_not_judged() {
        for bytes in [b"".as_slice(), b"junk", &[0x30, 0x82, 0xff, 0xff]] {
            assert_eq!(unfit(bytes), Err(NotACertificate));
            assert_eq!(weak(bytes), Err(NotACertificate));
        }
    }
}
