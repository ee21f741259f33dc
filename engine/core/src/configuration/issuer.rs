//! `access.issuers`: issuers of tokens, and what the holder of a token may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::access_key::AccessKey;
use super::section::words;
use super::service::Address;
use crate::access::Scope;

/// Maximum number of issuers. The keys of each are fetched again and again.
pub const ISSUERS_MAX: usize = 8;
/// Maximum number of audiences of one issuer.
pub const ISSUER_AUDIENCES_MAX: usize = 8;
/// Maximum number of claims that have to have a value.
pub const ISSUER_CLAIMS_MAX: usize = 16;
/// Maximum length of a URL, a name or a value, in characters.
pub const ISSUER_TEXT_CHARS_MAX: usize = 512;
/// Maximum difference of clocks that can be allowed, seconds. Clocks of servers differ by less.
pub const CLOCK_SKEW_SECONDS_MAX: u32 = 300;
/// Maximum of the maximum age of a token, seconds: 30 days.
pub const TOKEN_AGE_SECONDS_MAX: u32 = 2_592_000;
const CLOCK_SKEW_SECONDS_DEFAULT: u32 = 60;
const PROJECTS_CLAIM_DEFAULT: &str = "projects";
const SCOPES_CLAIM_DEFAULT: &str = "scope";
const SCOPE_PREFIX_DEFAULT: &str = "memory:";
const SUBJECT_CLAIM_DEFAULT: &str = "sub";

words! {
    /// An algorithm of signatures. There are only those with a public key: with a shared secret, whoever can verify a
    /// token can make one.
    #[derive(Default, PartialOrd, Ord)]
    SigningAlgorithm {
        /// ECDSA on P-256 with SHA-256.
        #[default]
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384",
        /// RSA, PKCS #1 v1.5, with SHA-256.
        Rs256 = "RS256",
        /// RSA-PSS with SHA-256.
        Ps256 = "PS256",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

/// An issuer whose tokens callers present, and what the claims of its tokens mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AccessIssuer {
    /// URL of the issuer. The claim `iss` has to be this text.
    pub issuer: String,
    /// Audiences. A token needs one of them.
    pub audiences: Vec<String>,
    /// URL of the keys; found by discovery if neither this nor `jwksFile` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// File with the keys, instead of a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// File with the authorities that vouch for the server of the keys, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// File with a token that the server of the keys demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<String>,
    /// Accepted algorithms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Vec<SigningAlgorithm>>,
    /// Allowed difference between the clocks of the issuer and the engine, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<u32>,
    /// Maximum time since a token was issued, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_token_age_seconds: Option<u32>,
    /// Claim with the projects of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects_claim: Option<String>,
    /// Projects of every caller, instead of a claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<String>,
    /// Claim with the scopes of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes_claim: Option<String>,
    /// What stands before the name of a scope in the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_prefix: Option<String>,
    /// Scopes of every caller, instead of a claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// Claim with the name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_claim: Option<String>,
    /// Claims that have to have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required_claims: BTreeMap<String, String>,
}

/// Parts of an issuer in the configuration.
pub(super) const ISSUER_PARTS: [&str; 16] = [
    "issuer",
    "audiences",
    "jwksUrl",
    "jwksFile",
    "caFile",
    "bearerTokenFile",
    "algorithms",
    "clockSkewSeconds",
    "maxTokenAgeSeconds",
    "projectsClaim",
    "projects",
    "scopesClaim",
    "scopePrefix",
    "scopes",
    "subjectClaim",
    "requiredClaims",
];

impl AccessIssuer {
    /// Algorithms that are accepted.
    #[must_use]
    pub fn algorithms(&self) -> &[SigningAlgorithm] {
        self.algorithms.as_deref().unwrap_or(&[SigningAlgorithm::Es256, SigningAlgorithm::Rs256])
    }

    /// Allowed difference of clocks, seconds.
    #[must_use]
    pub fn clock_skew_seconds(&self) -> u32 {
        self.clock_skew_seconds.unwrap_or(CLOCK_SKEW_SECONDS_DEFAULT)
    }

    /// Claim with the projects.
    #[must_use]
    pub fn projects_claim(&self) -> &str {
        self.projects_claim.as_deref().unwrap_or(PROJECTS_CLAIM_DEFAULT)
    }

    /// Claim with the scopes.
    #[must_use]
    pub fn scopes_claim(&self) -> &str {
        self.scopes_claim.as_deref().unwrap_or(SCOPES_CLAIM_DEFAULT)
    }

    /// Prefix of scopes in the claim.
    #[must_use]
    pub fn scope_prefix(&self) -> &str {
        self.scope_prefix.as_deref().unwrap_or(SCOPE_PREFIX_DEFAULT)
    }

    /// Claim with the name of the caller.
    #[must_use]
    pub fn subject_claim(&self) -> &str {
        self.subject_claim.as_deref().unwrap_or(SUBJECT_CLAIM_DEFAULT)
    }

    /// URL of the description of the issuer.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'))
    }

    /// What is wrong with it: a part of it, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut fault = |is_wrong: bool, part, text: &str| {
            if is_wrong {
                faults.push((part, text.to_owned()));
            }
        };
        fault(!is_issuer(&self.issuer), "issuer", ISSUER_FAULT);
        let is_text = |text: &String| (1..=ISSUER_TEXT_CHARS_MAX).contains(&text.chars().count());
        let audiences = &self.audiences;
        fault(
            !(1..=ISSUER_AUDIENCES_MAX).contains(&audiences.len()) || !audiences.iter().all(is_text),
            "audiences",
            "must be 1 to 8 texts: without an audience, tokens for other services would be accepted",
        );
        fault(self.jwks_url.as_ref().is_some_and(|url| !is_url(url)), "jwksUrl", URL_FAULT);
        let has_file = self.jwks_file.is_some();
        fault(has_file && self.jwks_url.is_some(), "jwksFile", "stands instead of jwksUrl");
        fault(has_file && self.ca_file.is_some(), "caFile", "has no use with jwksFile");
        fault(has_file && self.bearer_token_file.is_some(), "bearerTokenFile", "has no use with jwksFile");
        // Discovery names the URL of the keys: the token would be sent wherever an answer says.
        let is_sent = self.bearer_token_file.is_some() && !has_file;
        let url = self.jwks_url.as_deref().unwrap_or_default();
        fault(is_sent && !url.starts_with("https://"), "bearerTokenFile", "needs a jwksUrl with https://");
        let files = [
            ("jwksFile", &self.jwks_file),
            ("caFile", &self.ca_file),
            ("bearerTokenFile", &self.bearer_token_file),
        ];
        for (part, file) in files {
            fault(file.as_deref() == Some(""), part, "must be the path of a file");
        }
        fault(
            self.algorithms.as_ref().is_some_and(Vec::is_empty),
            "algorithms",
            "must be at least one of ES256, ES384, RS256, PS256 and EdDSA",
        );
        fault(
            self.clock_skew_seconds() > CLOCK_SKEW_SECONDS_MAX,
            "clockSkewSeconds",
            "must be an integer from 0 to 300",
        );
        fault(
            self.max_token_age_seconds.is_some_and(|age| !(1..=TOKEN_AGE_SECONDS_MAX).contains(&age)),
            "maxTokenAgeSeconds",
            "must be an integer from 1 to 2592000",
        );
        self.claim_faults(&mut fault);
        faults
    }

    fn claim_faults(&self, fault: &mut impl FnMut(bool, &'static str, &str)) {
        let is_text = |text: &String| (1..=ISSUER_TEXT_CHARS_MAX).contains(&text.chars().count());
        let is_wrong = |claim: &Option<String>| claim.as_ref().is_some_and(|claim| !is_text(claim));
        let claims = [
            ("projectsClaim", &self.projects_claim),
            ("scopesClaim", &self.scopes_claim),
            ("subjectClaim", &self.subject_claim),
        ];
        for (part, claim) in claims {
            fault(is_wrong(claim), part, "must be the name of a claim, or a JSON Pointer");
        }
        let has_projects = !self.projects.is_empty();
        fault(has_projects && self.projects_claim.is_some(), "projects", "stands instead of projectsClaim");
        if let Some(text) = AccessKey::projects_fault(&self.projects).filter(|_| has_projects) {
            fault(true, "projects", &text);
        }
        fault(
            !self.scopes.is_empty() && (self.scopes_claim.is_some() || self.scope_prefix.is_some()),
            "scopes",
            "stands instead of scopesClaim and scopePrefix",
        );
        let prefix = self.scope_prefix().chars();
        fault(
            prefix.clone().count() > ISSUER_TEXT_CHARS_MAX || prefix.clone().any(char::is_whitespace),
            "scopePrefix",
            "must be at most 512 characters without spaces",
        );
        let required = &self.required_claims;
        fault(
            required.len() > ISSUER_CLAIMS_MAX
                || required.iter().any(|(claim, value)| !is_text(claim) || !is_text(value)),
            "requiredClaims",
            "must be at most 16 claims with their values",
        );
    }
}

const ISSUER_FAULT: &str =
    "must be a URL without user, query and fragment: https://, or http:// on this machine";
const URL_FAULT: &str = "must be a URL without user and fragment: https://, or http:// on this machine";

/// Whether keys may be fetched from a URL. Without encryption, anybody on the way could replace them.
fn is_url(url: &str) -> bool {
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let address = Address::of(url).filter(|_| is_plain && url.len() <= ISSUER_TEXT_CHARS_MAX);
    address.is_some_and(|address| address.is_encrypted || address.is_this_machine())
}

fn is_issuer(url: &str) -> bool {
    is_url(url) && !url.contains('?')
}
