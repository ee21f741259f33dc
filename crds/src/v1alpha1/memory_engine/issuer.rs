//! Issuers of tokens, and clients that present a certificate.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access_scope::{ACCESS_PROJECTS_MAX, AccessScope};
use super::external_service::{KeyReference, URL};
use crate::patterns::DNS_LABEL;

/// Maximum number of issuers.
pub const ACCESS_ISSUERS_MAX: usize = 8;
/// Maximum number of clients with certificates.
pub const ACCESS_CERTIFICATES_MAX: usize = 64;
/// Maximum length of a text, characters.
const TEXT_LENGTH_MAX: u32 = 512;

/// An issuer of tokens (JWT), such as an OpenID provider or the cluster itself. A client sends its token as
/// `Authorization: Bearer TOKEN`. The engine fetches the keys of the issuer again and again, so that a new key needs no
/// restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessIssuer {
    /// URL of the issuer, `https://`. The claim `iss` of a token has to be exactly this text.
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX), regex(pattern = URL))]
    pub issuer: String,

    /// Audiences, 1 to 8. The claim `aud` of a token has to have one of them: tokens for other services are refused.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(min = 1, max = TEXT_LENGTH_MAX)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub audiences: Vec<String>,

    /// URL of the keys (JWK Set), `https://`. Defaults to the one that the issuer itself names at
    /// `/.well-known/openid-configuration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX), regex(pattern = URL))]
    pub jwks_url: Option<String>,

    /// ConfigMap in the namespace of the engine with the keys (JWK Set), instead of a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_config_map_ref: Option<KeyReference>,

    /// ConfigMap in the namespace of the engine with the authorities that vouch for the server of the keys, PEM.
    /// Defaults to the authorities of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<KeyReference>,

    /// Whether the engine presents the token of its service account to the server of the keys. Only for the API server
    /// of the cluster. Needs `jwksUrl`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service_account_token: bool,

    /// Accepted algorithms. Defaults to `["ES256", "RS256"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub algorithms: Vec<TokenAlgorithm>,

    /// Allowed difference of the clocks, seconds, 0 to 300. Defaults to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 300))]
    pub clock_skew_seconds: Option<i32>,

    /// Seconds after which a token is refused although it has not expired, 1 to 2,592,000. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub max_token_age_seconds: Option<i32>,

    /// Claim with the projects of the client: a text or a list of texts. A name that begins with `/` is a JSON Pointer.
    /// Defaults to `projects`. A token without a project may do nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX))]
    pub projects_claim: Option<String>,

    /// Projects of every client, at most 64, or `["*"]` for all, instead of a claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ACCESS_PROJECTS_MAX),
        inner(length(min = 1, max = 256)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub projects: Vec<String>,

    /// Claim with the scopes of the client: words with spaces between them, or a list. Defaults to `scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX))]
    pub scopes_claim: Option<String>,

    /// What stands before `read`, `write` and `admin` in that claim. Defaults to `memory:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_LENGTH_MAX))]
    pub scope_prefix: Option<String>,

    /// Scopes of every client, instead of a claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub scopes: Vec<AccessScope>,

    /// Claim with the name of the client, which is in the audit log. Defaults to `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX))]
    pub subject_claim: Option<String>,

    /// Claims that a token needs, at most 16, with their exact values. A name that begins with `/` is a JSON Pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::claims")]
    pub required_claims: BTreeMap<String, String>,
}

/// An algorithm of signatures with a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenAlgorithm {
    /// ECDSA on P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// RSA with PKCS #1 v1.5.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA-PSS.
    #[serde(rename = "PS256")]
    Ps256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A client that presents a certificate. A key or a token in the same request wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessCertificate {
    /// Name of the client, at most 63 lower-case letters, digits and '-'. It is in the audit log. No key has the same.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,

    /// A DNS name or a URI of the certificate (subject alternative name), exactly.
    #[schemars(length(min = 1, max = TEXT_LENGTH_MAX), regex(pattern = r"^[!-)+-~]+$"))]
    pub subject: String,

    /// What the client may do, at least one.
    #[schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub scopes: Vec<AccessScope>,

    /// Projects that the client may use, 1 to 64, or `["*"]` for all.
    #[schemars(
        length(min = 1, max = ACCESS_PROJECTS_MAX),
        inner(length(min = 1, max = 256)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub projects: Vec<String>,
}
