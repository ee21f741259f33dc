//! What the sections of services outside of the engine have in common.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::{DNS_SUBDOMAIN, NAME_LENGTH_MAX, SECRET_KEY};

/// A URL of requests: a name or an address as its host, and only characters that a URL may have. A user name or a
/// password is not accepted, because a resource must not contain secrets.
pub(super) const URL: &str = r"^https?://([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?([/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?$";
/// The name of a model: no control characters.
pub(super) const MODEL: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";

/// A key of a Secret in the namespace of the engine. The pod mounts it as a file; the operator checks it where it has
/// permission to read it: see `SecretsValid`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyReference {
    /// Name of the Secret. The pod starts when the Secret exists and has the key.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,

    /// Key in the Secret, for example `api-key`. Its value is one line of visible ASCII.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = SECRET_KEY))]
    pub key: String,
}
