//! What may be written: what the engine refuses, what it redacts, and what was looked at and let through.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be written into the engine. Whatever is left out is the engine's default: every secret refuses the write, all
/// personal data but names, IP addresses and pages is redacted, and nothing is excepted. A change restarts the engine
/// and holds for what is written from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Names of the detectors of secrets whose find refuses the whole write, for example `[aws-access-key-id, github-token]`.
    /// Left out, all of them. Detectors that are not in the list do not look, and an empty list lets every secret through.
    /// At most 64 names, each once; the operator refuses names that no detector has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub block: Option<Vec<String>>,

    /// Kinds of personal data that are replaced by a placeholder before they are stored, for example `[email, phone, name]`.
    /// Left out, all but `name`, `ip` and `url`. Kinds that are not in the list are stored as they are written, and an empty
    /// list redacts nothing. At most 32 kinds, each once; the operator refuses kinds that there are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub redact: Option<Vec<String>>,

    /// What is written although a detector finds it, because somebody looked at it. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub exceptions: Vec<PolicyException>,

    /// What becomes of personal data in names: namespaces and keys of items, entities, paths, sources, projects, sessions and
    /// actors. Left out, `Pseudonymise`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<Identifiers>,
}

/// What becomes of personal data in names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Identifiers {
    /// It is stored as a token such as `[PHONE:9eb6eab4cd06ffbd43ab]`, made with a key that lies on the engine's volume: the
    /// same name finds the same thing, and nobody can read from the token what it stands for.
    Pseudonymise,
    /// It refuses the write.
    Refuse,
    /// Names are stored as they are.
    Keep,
}

impl Identifiers {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Identifiers::Pseudonymise => "Pseudonymise",
            Identifiers::Refuse => "Refuse",
            Identifiers::Keep => "Keep",
        }
    }
}

/// One text that was looked at and may be written, found by one detector. It is named by `sha256` or by `value`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyException {
    /// Name of the detector that finds it, for example `email`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub detector: String,

    /// SHA-256 of the text that is found, from its first to its last character, 64 lower-case hexadecimal digits: what
    /// `printf %s TEXT | sha256sum` prints. Either this or `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,

    /// The text itself, 1 to 1,024 characters, for example `help@example.org`. Everybody who can read this resource reads it
    /// here, and so does whoever reads a backup of the cluster or the repository it is applied from: for anything but what
    /// is public anyway use `sha256`. The operator hands on its SHA-256 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub value: Option<String>,

    /// Why it may be written, 1 to 500 characters.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"\S"))]
    pub reason: String,

    /// Who said so, 1 to 500 characters.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"\S"))]
    pub reviewer: String,

    /// When the exception ends, for example `2027-01-01T00:00:00Z`. Left out, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 40),
        regex(
            pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
        )
    )]
    pub expires: Option<String>,
}

/// Without the text and its hash: what is printed ends in logs.
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

    /// An empty list and none are two things: the one lets everything through.
    #[test]
    fn an_empty_list_is_kept() {
        let policy: Policy = serde_json::from_str(r#"{"block": []}"#).unwrap();
        assert_eq!((policy.block.as_deref(), policy.redact.as_deref()), (Some(&[][..]), None));
        assert_eq!(serde_json::to_string(&policy).unwrap(), r#"{"block":[]}"#);
    }
}
