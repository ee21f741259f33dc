//! Keys of the engine itself, at the admin port.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::Scope;

/// Body of `POST /tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Name of the caller: lower-case letters, digits and `-`.
    pub name: String,
    /// What the caller may do.
    pub scopes: Vec<Scope>,
    /// Exact names of projects, or only `*`.
    pub projects: Vec<String>,
    /// When the key expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Answer of `POST /tokens`: the only place where the key ever appears.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// The key.
    pub key: String,
    /// What is known about it from now on.
    #[serde(flatten)]
    pub token: TokenView,
}

/// Omits the key, because debug output ends up in logs.
impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Body of `POST /tokens/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// Name of the caller.
    pub name: String,
}

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// Files that the configuration names.
    Configuration,
    /// The engine made it and keeps its hash on the volume.
    Engine,
}

/// A key as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Name of the caller.
    pub name: String,
    /// The part of the key that identifies it; absent if the engine knows only the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it comes from.
    pub source: TokenSource,
    /// What the caller may do.
    pub scopes: Vec<Scope>,
    /// Where.
    pub projects: Vec<String>,
    /// When the engine made it; only for its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was last accepted, within a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

/// Answer of `GET /tokens` and of `POST /tokens/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Every key, by name.
    pub tokens: Vec<TokenView>,
}
