//! What the operator reports about the Secrets that a spec refers to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Secret that the spec refers to. It never contains a value, its length or its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// The field that refers to it, for example `spec.access.keys[agent-a].secretRef`.
    #[schemars(length(max = 256))]
    pub reference: String,
    /// `SecretsUsable`, or what is wrong: a reason of the condition `SecretsValid`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// When the operator found this first, RFC 3339.
    #[schemars(length(max = 64))]
    pub since: String,
    /// When the operator saw the present value first, RFC 3339. Absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub first_seen: Option<String>,
    /// Whole days since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub age_days: Option<i64>,
    /// When the value has to be replaced, at the latest, RFC 3339: its expiry, or the end of `spec.access.maxAgeDays`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub replace_before: Option<String>,
}
