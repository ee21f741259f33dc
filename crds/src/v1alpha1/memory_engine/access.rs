//! Who may use the memory API: keys of clients, and what each of them may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access_scope::{ACCESS_PROJECTS_MAX, AccessScope};
use super::external_service::KeyReference;
use super::issuer::{ACCESS_CERTIFICATES_MAX, ACCESS_ISSUERS_MAX, AccessCertificate, AccessIssuer};
use crate::{
    patterns::{DNS_LABEL, DNS_SUBDOMAIN, NAME_LENGTH_MAX, SECRET_KEY},
    rules::Rule,
};

/// Maximum number of keys of clients.
pub const ACCESS_KEYS_MAX: usize = 64;
/// Maximum length of an entry's name in a Secret, characters: the second entry has the suffix `.previous`.
const ENTRY_LENGTH_MAX: u32 = 244;

/// Who may use the memory API. A client sends its key as `Authorization: Bearer KEY`. All keys are in Secrets in the
/// namespace of the engine, which the pod mounts read-only: a changed key is in force within two minutes, without a
/// restart. Adding or removing a key, and every other change of this section, restarts the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// What a client without a key may do. Defaults to `Allowed` in development, and to `Denied` in production, where
    /// `Allowed` is not possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Anonymous>,

    /// Keys of clients, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ACCESS_KEYS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub keys: Vec<AccessKey>,

    /// Issuers of tokens, at most 8. Their tokens stand beside keys, or instead of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ACCESS_ISSUERS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["issuer"])
    )]
    pub issuers: Vec<AccessIssuer>,

    /// Clients that present a certificate, at most 64. Needs `clientAuthoritySecretRef` and `spec.tls`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ACCESS_CERTIFICATES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub certificates: Vec<AccessCertificate>,

    /// Secret with the authorities that sign the certificates of clients, PEM, for example the entry `ca.crt`. Defaults
    /// to none: no client presents a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_authority_secret_ref: Option<KeyReference>,

    /// The token that the administration port demands of every request but probes and scrapes: a key that
    /// `memory-engine token generate` has printed. The operator presents it too, and needs permission to read this
    /// Secret. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token_secret_ref: Option<KeyReference>,

    /// The token with which readers ask the writer for lines of its log: a key that `memory-engine token generate` has
    /// printed. It opens every memory and nothing else. Needed with `readers.replicas` unless everybody may read
    /// anyway (`anonymous`). Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_token_secret_ref: Option<KeyReference>,

    /// Requests of one key in one project. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<AccessRateLimit>,

    /// Days after which a key or the token should be replaced, 1 to 3,650: the condition `SecretsValid` then reports
    /// `SecretTooOld`. A key that is too old stays valid. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_age_days: Option<i32>,
}

/// What a client without a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Anonymous {
    /// Everything that a client may do.
    Allowed,
    /// Nothing.
    Denied,
}

/// A key of a client, and what the client may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// Name of the client, at most 63 lower-case letters, digits and '-'. It is in the audit log and in metrics.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,

    /// Secret with the key.
    pub secret_ref: AccessSecret,

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

    /// When the key expires, for example `2027-01-01T00:00:00Z`. Defaults to never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 40),
        regex(
            pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
        )
    )]
    pub expires: Option<String>,
}

/// A Secret in the namespace of the engine with the key of a client. A second entry with the suffix `.previous`, for
/// example `token.previous`, is a key too, so that both are valid during a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,

    /// Entry in the Secret: one line with a key that `memory-engine token generate` has printed, or `sha256:` and its
    /// hash.
    #[serde(default = "token")]
    #[schemars(length(min = 1, max = ENTRY_LENGTH_MAX), regex(pattern = SECRET_KEY))]
    pub key: String,
}

impl Default for AccessSecret {
    fn default() -> Self {
        Self { name: String::new(), key: token() }
    }
}

fn token() -> String {
    "token".to_owned()
}

/// Requests of one key in one project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRateLimit {
    /// Requests per second in the long run, 1 to 1,000,000. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: Option<i32>,

    /// Requests that are accepted at once after a pause, 1 to 1,000,000. Only with `requestsPerSecond`. Defaults to one
    /// second's worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,
}

const ACCESS: &str = "/properties/spec/properties/access";
const RATE_LIMIT: &str = "/properties/spec/properties/access/properties/rateLimit";
const KEY: &str = "/properties/spec/properties/access/properties/keys/items";

/// Relations of the section.
pub(super) const RULES: [Rule; 4] = [
    Rule {
        object: KEY,
        expression: "!('*' in self.projects) || size(self.projects) == 1",
        message: "projects: \"*\" stands alone: it is every project",
    },
    Rule {
        object: ACCESS,
        expression: "!has(self.keys) || self.keys.all(one, self.keys.exists_one(other, \
                     one.secretRef.name == other.secretRef.name && one.secretRef.key == other.secretRef.key))",
        message: "keys: every client needs a key of its own: name another Secret, or another entry of it",
    },
    Rule {
        object: ACCESS,
        expression: "!has(self.keys) || !has(self.adminTokenSecretRef) || \
                     self.keys.all(one, one.secretRef.name != self.adminTokenSecretRef.name || \
                     one.secretRef.key != self.adminTokenSecretRef.key)",
        message: "adminTokenSecretRef must not be the key of a client",
    },
    Rule {
        object: RATE_LIMIT,
        expression: "!has(self.burst) || has(self.requestsPerSecond)",
        message: "burst needs requestsPerSecond: it is the number of requests accepted at once on top of that rate",
    },
];
