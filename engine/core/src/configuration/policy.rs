//! `policy`: what may be written.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::key::Key;
use super::reader::Reader;
use super::section::{section, words};
use crate::policy::{self, Finds, Kind, detectors};
use crate::wire::Unknown;

section! {
    /// What may be written.
    "policy" => Policy, prepare prepare, check check {
        /// secrets that refuse a write: [policy](policy.md)
        "block" block: Vec<String>, since "0.1.0"
            => Key::structured("[names of detectors](policy.md#secrets)").without("all secrets")
                .field("spec.policy.block");
        /// personal data that is replaced by a placeholder
        "redact" redact: Vec<String>, since "0.1.0"
            => Key::structured("[kinds](policy.md#personal-data)").without("all but `name`, `ip` and `url`")
                .field("spec.policy.redact");
        /// what is stored although a detector finds it
        "exceptions" exceptions: Vec<Exception>, since "0.1.0"
            => Key::structured("256, [each with](policy.md#exceptions) detector, reason and reviewer").without("none")
                .field("spec.policy.exceptions");
        /// what becomes of personal data in [names](policy.md#names)
        "identifiers" identifiers: Identifiers, or Identifiers::Pseudonymise, since "0.1.0"
            => Key::words(Identifiers::WORDS).field("spec.policy.identifiers");
    }
}

words! {
    /// What becomes of personal data in names.
    Identifiers {
        /// It is stored as a token.
        Pseudonymise = "Pseudonymise",
        /// It refuses the write.
        Refuse = "Refuse",
        /// It is stored as it is.
        Keep = "Keep",
    }
}

/// One text that was reviewed and may be written. It is named by `sha256` or by `value`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Name of the detector that finds it.
    pub detector: String,
    /// SHA-256 of the text that is found, 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it may be written.
    pub reason: String,
    /// Who decided it.
    pub reviewer: String,
    /// When the exception ends, RFC 3339; kept as it is written, so that what the operator renders does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Without the text and its hash: what is printed ends in logs.
impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exception")
            .field("detector", &self.detector)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Keys of an exception.
const EXCEPTION_KEYS: [&str; 6] = ["detector", "sha256", "value", "reason", "reviewer", "expires"];

impl Policy {
    /// The settings that the policy is made of.
    ///
    /// # Errors
    /// What cannot be read, such as a time that is not one.
    pub fn settings(&self) -> Result<policy::Settings, String> {
        let section = serde_json::to_value(self).map_err(|fault| fault.to_string())?;
        serde_json::from_value(section).map_err(|fault| format!("policy cannot be read: {fault}"))
    }
}

fn check(policy: &Policy, faults: &mut Vec<String>) {
    match policy.settings() {
        Ok(settings) => faults.extend(settings.faults().iter().map(|fault| format!("policy.{fault}"))),
        Err(fault) => faults.push(fault),
    }
}

/// Detectors that only a newer engine has cannot look, and are left out. An exception with an unknown part is left out
/// as a whole: a part that narrows it must not be dropped from it.
fn prepare(section: &mut Map<String, Value>, reader: &mut Reader) {
    if !reader.is_lenient() {
        return;
    }
    let secrets = |name: &str| detectors().any(|one| one.name == name && one.finds == Finds::Secret);
    let kinds = |name: &str| Kind::ALL.iter().any(|kind| kind.name() == name);
    keep_known(section, "block", secrets, reader);
    keep_known(section, "redact", kinds, reader);
    let Some(Value::Array(exceptions)) = section.get_mut("exceptions") else { return };
    let mut place = 0_usize;
    exceptions.retain(|exception| {
        let unknown = unknown_part(exception);
        if let Some((part, unknown)) = unknown {
            reader.report(format!("policy.exceptions[{place}].{part}"), unknown);
        }
        place += 1;
        unknown.is_none()
    });
}

fn keep_known(
    section: &mut Map<String, Value>,
    key: &str,
    is_known: impl Fn(&str) -> bool,
    reader: &mut Reader,
) {
    let Some(Value::Array(names)) = section.get_mut(key) else { return };
    let before = names.len();
    // What is not a string is a fault, of which the settings report.
    names.retain(|name| name.as_str().is_none_or(&is_known));
    if names.len() < before {
        reader.report(format!("policy.{key}"), Unknown::Value);
    }
}

/// The first part of an exception that this version does not know.
fn unknown_part(exception: &Value) -> Option<(&str, Unknown)> {
    let exception = exception.as_object()?;
    if let Some(key) = exception.keys().find(|key| !EXCEPTION_KEYS.contains(&key.as_str())) {
        return Some((key, Unknown::Key));
    }
    let detector = exception.get("detector")?.as_str()?;
    (!detectors().any(|one| one.name == detector)).then_some(("detector", Unknown::Value))
}
