//! What may be written: what the engine refuses, what it redacts, and the reviewed exceptions.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be written into the engine. By default every secret causes the write to be refused, all personal data
/// except names, IP addresses and URLs is redacted, and there are no exceptions. A change restarts the engine and
/// applies to later writes only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Names of the secret detectors that cause a write to be refused, for example `[aws-access-key-id, github-token]`.
    /// Defaults to all of them. Detectors that are not listed are disabled; an empty list allows every secret. At most
    /// 64 unique names; the operator refuses unknown names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub block: Option<Vec<String>>,

    /// Kinds of personal data to replace with a placeholder before they are stored, for example `[email, phone, name]`.
    /// Defaults to all kinds except `name`, `ip` and `url`. Kinds that are not listed are stored unchanged; an empty
    /// list redacts nothing. At most 32 unique kinds; the operator refuses unknown kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub redact: Option<Vec<String>>,

    /// Reviewed texts that may be written although a detector finds them. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub exceptions: Vec<PolicyException>,

    /// How personal data in identifiers is handled: namespaces and keys of items, entities, paths, sources, projects,
    /// sessions and actors. Defaults to `Pseudonymise`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<Identifiers>,
}

/// How personal data in identifiers is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Identifiers {
    /// Store a token such as `[PHONE:9eb6eab4cd06ffbd43ab]`, computed with a key on the engine's volume. The same
    /// identifier always gives the same token, and the token does not reveal the identifier.
    Pseudonymise,
    /// Refuse the write.
    Refuse,
    /// Store the identifier unchanged.
    Keep,
}

impl Identifiers {
    /// Spelling in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Identifiers::Pseudonymise => "Pseudonymise",
            Identifiers::Refuse => "Refuse",
            Identifiers::Keep => "Keep",
        }
    }
}

/// A reviewed text that may be written although a detector finds it. Set either `sha256` or `value`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyException {
    /// Name of the detector that finds it, for example `email`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub detector: String,

    /// SHA-256 of the exact text that the detector finds, 64 lower-case hexadecimal digits: the output of `printf %s
    /// TEXT | sha256sum`. Set either this or `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,

    /// The exact text, 1 to 1,024 characters, for example `help@example.org`. It is readable in this resource, in
    /// backups of the cluster and in the repository that it is applied from: use `sha256` for anything that is not
    /// public. The operator passes only its SHA-256 to the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub value: Option<String>,

    /// Why the text may be written, 1 to 500 characters.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"\S"))]
    pub reason: String,

    /// Who approved the exception, 1 to 500 characters.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"\S"))]
    pub reviewer: String,

    /// When the exception expires, for example `2027-01-01T00:00:00Z`. Defaults to never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 40),
        regex(
            pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
        )
    )]
    pub expires: Option<String>,
}

/// Omits the text and its hash, because debug output ends up in logs.
impl fmt::Debug for PolicyException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyException")
            .field("detector", &self.detector)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_exception_lets_through_is_not_printed() {
        let exception = PolicyException {
            detector: "email".into(),
            sha256: Some("5e".repeat(32)),
            value: Some("help@example.org".into()),
            reason: "public".into(),
            reviewer: "platform".into(),
            expires: None,
        };
        let printed = format!("{:?}", Policy { exceptions: vec![exception], ..Policy::default() });
        assert!(printed.contains("email"), "{printed}");
        assert!(!printed.contains("help@") && !printed.contains("5e5e"), "{printed}");
    }

    /// An empty list differs from an absent one: it allows everything.
    #[test]
    fn an_empty_list_is_kept() {
        let policy: Policy = serde_json::from_str(r#"{"block": []}"#).unwrap();
        assert_eq!((policy.block.as_deref(), policy.redact.as_deref()), (Some(&[][..]), None));
        assert_eq!(serde_json::to_string(&policy).unwrap(), r#"{"block":[]}"#);
    }
}
