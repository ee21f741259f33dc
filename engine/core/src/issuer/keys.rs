//! The public keys of an issuer (JWK, RFC 7517), and which of them a token names.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Token, TokenFault};
use crate::configuration::SigningAlgorithm;
use crate::strict;

/// Maximum size of a set of keys, and of the description of an issuer, bytes. A key has half a kilobyte, or three with
/// its certificates.
pub const KEY_SET_BYTES_MAX: usize = 256 << 10;
/// Maximum number of keys of one issuer. Issuers have two to six.
pub const KEYS_MAX: usize = 64;
/// Sizes of RSA keys that are secure and that the library of cryptography verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Maximum length of an RSA exponent, bytes. It is nearly always 65,537; a long one makes verification slow.
const EXPONENT_BYTES_MAX: usize = 4;

/// A public key that verifies signatures. Numbers are in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kid: Option<String>,
    /// The only algorithm that the issuer uses the key with, if it says so.
    algorithm: Option<SigningAlgorithm>,
    material: Material,
}

/// The numbers of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// Modulus and exponent.
    Rsa {
        /// Modulus.
        n: String,
        /// Exponent.
        e: String,
    },
    /// A point on P-256 or P-384.
    Curve {
        /// The algorithm of the curve.
        algorithm: SigningAlgorithm,
        /// First coordinate.
        x: String,
        /// Second coordinate.
        y: String,
    },
    /// A key of Ed25519.
    Ed25519 {
        /// The key.
        x: String,
    },
}

/// What an issuer has published is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// Not JSON, ambiguous, or without a list of keys.
    #[error("it is not a set of keys (JWK Set)")]
    Form,
    /// Too many keys.
    #[error("it has more than {KEYS_MAX} keys")]
    Number,
    /// A description without a usable URL of keys.
    #[error("it is not the description of an issuer with jwks_uri")]
    Description,
    /// A description of another issuer.
    #[error("it describes another issuer")]
    OtherIssuer,
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    /// Number of keys that are not for signatures, too weak, or of an unknown kind.
    ignored: usize,
}

impl PublicKey {
    /// The numbers of the key.
    #[must_use]
    pub fn material(&self) -> &Material {
        &self.material
    }

    fn read(key: &Value) -> Option<PublicKey> {
        let text = |part: &str| key.get(part).and_then(Value::as_str);
        let is_for_signatures = match (key.get("use"), key.get("key_ops")) {
            (Some(usage), _) => usage == "sig",
            (None, Some(operations)) => operations.as_array()?.iter().any(|one| one == "verify"),
            (None, None) => true,
        };
        if !is_for_signatures {
            return None;
        }
        let algorithm = match key.get("alg") {
            None => None,
            // A key of an algorithm that is not supported is of no use.
            Some(word) => Some(serde_json::from_value(word.clone()).ok()?),
        };
        let number = |part: &str, bytes: usize| {
            let text = text(part)?;
            (URL_SAFE_NO_PAD.decode(text).ok()?.len() == bytes).then(|| text.to_owned())
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => rsa(text("n")?, text("e")?)?,
            ("EC", Some("P-256")) => Material::Curve {
                algorithm: SigningAlgorithm::Es256,
                x: number("x", 32)?,
                y: number("y", 32)?,
            },
            ("EC", Some("P-384")) => Material::Curve {
                algorithm: SigningAlgorithm::Es384,
                x: number("x", 48)?,
                y: number("y", 48)?,
            },
            ("OKP", Some("Ed25519")) => Material::Ed25519 { x: number("x", 32)? },
            _ => return None,
        };
        let key = PublicKey { kid: text("kid").map(str::to_owned), algorithm, material };
        algorithm.is_none_or(|algorithm| key.is_of_kind(algorithm)).then_some(key)
    }

    /// Whether keys of this kind verify signatures of the algorithm.
    fn is_of_kind(&self, wanted: SigningAlgorithm) -> bool {
        match (&self.material, wanted) {
            (Material::Rsa { .. }, SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256)
            | (Material::Ed25519 { .. }, SigningAlgorithm::EdDsa) => true,
            (Material::Curve { algorithm, .. }, wanted) => *algorithm == wanted,
            _ => false,
        }
    }

    fn fits(&self, wanted: SigningAlgorithm) -> bool {
        self.is_of_kind(wanted) && self.algorithm.is_none_or(|algorithm| algorithm == wanted)
    }
}

fn rsa(n: &str, e: &str) -> Option<Material> {
    let modulus = URL_SAFE_NO_PAD.decode(n).ok()?;
    let leading = modulus.iter().position(|byte| *byte != 0)?;
    let bits = (modulus.len() - leading) * 8 - modulus[leading].leading_zeros() as usize;
    let exponent = URL_SAFE_NO_PAD.decode(e).ok()?;
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    let is_small = exponent.len() <= EXPONENT_BYTES_MAX && exponent != [1];
    (RSA_BITS.contains(&bits) && is_odd && is_small)
        .then(|| Material::Rsa { n: n.to_owned(), e: e.to_owned() })
}

impl KeySet {
    /// Reads what an issuer has published. Keys that are not for signatures, too weak, or of an unknown kind are left
    /// out.
    ///
    /// # Errors
    /// It is no set of keys, or has too many.
    pub fn read(bytes: &[u8]) -> Result<KeySet, KeySetFault> {
        strict::check_sent(bytes).map_err(|_| KeySetFault::Form)?;
        let whole: Value = serde_json::from_slice(bytes).map_err(|_| KeySetFault::Form)?;
        let listed = whole.get("keys").and_then(Value::as_array).ok_or(KeySetFault::Form)?;
        if listed.len() > KEYS_MAX {
            return Err(KeySetFault::Number);
        }
        let keys: Vec<PublicKey> = listed.iter().filter_map(PublicKey::read).collect();
        Ok(KeySet { ignored: listed.len() - keys.len(), keys })
    }

    /// Number of keys that can be used, and of those that cannot.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.ignored)
    }

    /// Every key.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The place of the key that verifies a token. A token that names no key is verified only if there is one that
    /// fits: otherwise a token would make the engine try all of them.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, token: &Token<'_>) -> Result<usize, TokenFault> {
        let fits = |key: &PublicKey| {
            key.fits(token.algorithm()) && token.kid().is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let mut fitting = self.keys.iter().enumerate().filter(|(_, key)| fits(key));
        match (fitting.next(), fitting.next()) {
            (Some((place, _)), None) => Ok(place),
            _ => Err(TokenFault::Key),
        }
    }
}

/// The URL of the keys in the description of an issuer (OpenID Connect Discovery).
///
/// # Errors
/// It is no such description, or one of another issuer.
pub fn discovered_keys(bytes: &[u8], issuer: &str) -> Result<String, KeySetFault> {
    strict::check_sent(bytes).map_err(|_| KeySetFault::Description)?;
    let whole: Value = serde_json::from_slice(bytes).map_err(|_| KeySetFault::Description)?;
    let text = |part: &str| whole.get(part).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return Err(KeySetFault::OtherIssuer);
    }
    let keys = text("jwks_uri").ok_or(KeySetFault::Description)?;
    // An answer must not send the engine to a plain port of its own machine, unless the issuer is there too.
    let is_plain = |url: &str| url.starts_with("http://");
    if is_plain(keys) && !is_plain(issuer) {
        return Err(KeySetFault::Description);
    }
    Ok(keys.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa_key(bits: usize, exponent: &[u8]) -> Value {
        let mut modulus = vec![0xff; bits / 8];
        if !bits.is_multiple_of(8) {
            modulus.insert(0, (1 << (bits % 8)) - 1);
        }
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "RSA", "kid": "r", "n": number(&modulus), "e": number(exponent)})
    }

    fn curve_key(curve: &str, bytes: usize) -> Value {
        let number = URL_SAFE_NO_PAD.encode(vec![1; bytes]);
        json!({"kty": "EC", "kid": "c", "crv": curve, "x": number, "y": number})
    }

    fn usable(key: &Value) -> bool {
        let set = KeySet::read(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
        set.counts() == (1, 0)
    }

    fn with(mut key: Value, part: &str, value: Value) -> Value {
        key[part] = value;
        key
    }

    #[test]
    fn weak_foreign_and_other_keys_are_left_out() {
        let exponent: &[u8] = &[1, 0, 1];
        for (bits, is_usable) in
            [(1_024, false), (2_047, false), (2_048, true), (8_192, true), (8_200, false)]
        {
            assert_eq!(usable(&rsa_key(bits, exponent)), is_usable, "{bits}");
        }
        for exponent in [&[][..], &[1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert!(!usable(&rsa_key(2_048, exponent)), "{exponent:?}");
        }
        for (curve, bytes, is_usable) in [
            ("P-256", 32, true),
            ("P-384", 48, true),
            ("P-256", 31, false),
            ("P-256", 48, false),
            ("P-521", 66, false),
            ("secp256k1", 32, false),
        ] {
            assert_eq!(usable(&curve_key(curve, bytes)), is_usable, "{curve} {bytes}");
        }
        for (part, value, is_usable) in [
            ("use", json!("sig"), true),
            ("use", json!("enc"), false),
            ("use", json!(1), false),
            ("key_ops", json!(["verify"]), true),
            ("key_ops", json!(["encrypt"]), false),
            ("key_ops", json!("verify"), false),
            ("alg", json!("ES256"), true),
            ("alg", json!("ES384"), false),
            ("alg", json!("RS256"), false),
            ("alg", json!("HS256"), false),
            ("alg", json!("none"), false),
            ("kty", json!("oct"), false),
            ("x", json!("not base64url!"), false),
        ] {
            assert_eq!(
                usable(&with(curve_key("P-256", 32), part, value.clone())),
                is_usable,
                "{part} {value}"
            );
        }
        assert!(!usable(&json!({"kty": "oct", "k": "c2VjcmV0"})), "a shared secret");
    }

    #[test]
    fn a_set_of_keys_is_bounded_and_not_ambiguous() {
        let many = |count| json!({"keys": vec![curve_key("P-256", 32); count]}).to_string();
        assert_eq!(KeySet::read(many(64).as_bytes()).unwrap().counts(), (64, 0));
        assert_eq!(KeySet::read(many(65).as_bytes()), Err(KeySetFault::Number));
        for bad in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "<html>", "{\"keys\":[]} x"]
        {
            assert_eq!(KeySet::read(bad.as_bytes()), Err(KeySetFault::Form), "{bad}");
        }
        let issuer = "https://id.example.org";
        let described = |issuer: &str| json!({"issuer": issuer, "jwks_uri": "https://a/jwks"}).to_string();
        assert_eq!(discovered_keys(described(issuer).as_bytes(), issuer), Ok("https://a/jwks".to_owned()));
        for other in ["https://evil.example.org", "https://id.example.org/", ""] {
            let found = discovered_keys(described(other).as_bytes(), issuer);
            assert_eq!(found, Err(KeySetFault::OtherIssuer), "{other}");
        }
    }
}
