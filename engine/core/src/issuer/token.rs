//! The parts of a token, before anything of it is believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::TokenFault;
use crate::configuration::SigningAlgorithm;
use crate::strict;

/// Maximum length of a token, bytes. Those of real issuers have one to four kilobytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Maximum length of the name of a key, bytes.
const KID_BYTES_MAX: usize = 256;
/// Parts of a header that would let a token name the key that verifies it, or that mean another format.
const REFUSED: [&str; 10] = ["b64", "crit", "cty", "enc", "epk", "jku", "jwk", "x5c", "x5u", "zip"];
/// Types of tokens, in small letters: access tokens (RFC 9068), and the type that most issuers write.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A token that was taken apart. Nothing of it is verified.
#[derive(Clone)]
pub struct Token<'a> {
    algorithm: SigningAlgorithm,
    kid: Option<String>,
    claims: Value,
    message: &'a str,
    signature: &'a str,
}

/// Without the claims and the signature, because debug output ends up in logs.
impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl<'a> Token<'a> {
    /// Takes a token apart: three parts in base64url, of which the first two are JSON objects.
    ///
    /// # Errors
    /// It is no such token, is ambiguous, or its header has what is not supported.
    pub fn read(text: &'a str) -> Result<Token<'a>, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenFault::Malformed);
        };
        let header = object(header)?;
        let (algorithm, kid) = read_header(&header)?;
        let claims = Value::Object(object(claims)?);
        // An empty signature is what `none` has.
        if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(TokenFault::Malformed);
        }
        let message = &text[..text.len() - signature.len() - 1];
        Ok(Token { algorithm, kid, claims, message, signature })
    }

    /// The algorithm that the token names.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The name of the key that the token names.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The issuer that the token names.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &Value {
        &self.claims
    }

    /// What is signed, and the signature in base64url.
    #[must_use]
    pub fn signed(&self) -> (&'a [u8], &'a str) {
        (self.message.as_bytes(), self.signature)
    }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenFault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
    // Claims that occur twice are read differently by different parsers.
    strict::check_sent(&bytes).map_err(|_| TokenFault::Malformed)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(TokenFault::Malformed),
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(SigningAlgorithm, Option<String>), TokenFault> {
    if REFUSED.iter().any(|part| header.contains_key(*part)) {
        return Err(TokenFault::Header);
    }
    let is_type =
        |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind.to_ascii_lowercase().as_str()));
    if header.get("typ").is_some_and(|kind| !is_type(kind)) {
        return Err(TokenFault::Header);
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=KID_BYTES_MAX).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err(TokenFault::Header),
    };
    let algorithm = header.get("alg").cloned().unwrap_or_default();
    // Other algorithms have no value of this type, so that no configuration can name them.
    let algorithm = serde_json::from_value(algorithm).map_err(|_| TokenFault::Algorithm)?;
    Ok((algorithm, kid))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(header: &str, claims: &str, signature: &[u8]) -> String {
        [header.as_bytes(), claims.as_bytes(), signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn a_token_is_taken_apart_and_shows_no_secret() {
        let text = encoded(r#"{"alg":"ES256","kid":"k1","x5t":"a"}"#, r#"{"iss":"i","sub":"s"}"#, &[7; 64]);
        let token = Token::read(&text).unwrap();
        assert_eq!((token.algorithm(), token.kid()), (SigningAlgorithm::Es256, Some("k1")));
        assert_eq!(token.issuer(), Some("i"));
        let (message, signature) = token.signed();
        assert_eq!(format!("{}.{signature}", String::from_utf8_lossy(message)), text);
        assert_eq!(format!("{token:?}"), "Token { algorithm: Es256, .. }");
        assert!(Token::read(&format!("{text}{}", "A".repeat(TOKEN_BYTES_MAX))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", header in ".{0,40}", claims in ".{0,40}") {
            prop_assert!(Token::read(&text).is_err());
            prop_assert!(Token::read(&encoded(&header, &claims, b"s")).is_err());
        }

        #[test]
        fn no_header_chooses_another_algorithm_than_those_with_public_keys(word in "[A-Za-z0-9+-]{0,12}") {
            let header = serde_json::json!({"alg": word}).to_string();
            let read = Token::read(&encoded(&header, "{}", b"s")).map(|token| token.algorithm());
            prop_assert_eq!(read.is_ok(), SigningAlgorithm::WORDS.contains(&word.as_str()));
        }
    }
}
