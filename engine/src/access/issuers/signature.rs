//! Verifies signatures with the library of cryptography that TLS uses.

use engine_core::configuration::SigningAlgorithm;
use engine_core::issuer::{Material, PublicKey, Token};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};

/// The key in the form that the library uses; none if it does not accept the key.
pub(super) fn verifying(key: &PublicKey) -> Option<DecodingKey> {
    let key = match key.material() {
        Material::Rsa { n, e } => DecodingKey::from_rsa_components(n, e),
        Material::Curve { x, y, .. } => DecodingKey::from_ec_components(x, y),
        Material::Ed25519 { x } => DecodingKey::from_ed_components(x),
    };
    key.ok()
}

/// Whether the signature of a token is that of the key. The caller has checked that the key is for the algorithm.
pub(super) fn is_signed(token: &Token<'_>, key: &DecodingKey) -> bool {
    let algorithm = match token.algorithm() {
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Es384 => Algorithm::ES384,
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Ps256 => Algorithm::PS256,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
    };
    let (message, signature) = token.signed();
    crypto::verify(signature, message, key, algorithm).unwrap_or(false)
}
