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
        /// secret detectors that cause a write to be refused: [policy](policy.md)
        "block" block: Vec<String>, since "0.1.0"
            => Key::structured("[names of detectors](policy.md#secrets)").absent("all secrets")
                .field("spec.policy.block");
        /// personal data that is replaced with a placeholder
        "redact" redact: Vec<String>, since "0.1.0"
            => Key::structured("[kinds](policy.md#personal-data)").absent("all but `name`, `ip` and `url`")
                .field("spec.policy.redact");
        /// texts that are stored although a detector finds them
        "exceptions" exceptions: Vec<Exception>, since "0.1.0"
            => Key::structured("256, [each with](policy.md#exceptions) detector, reason and reviewer").absent("none")
                .field("spec.policy.exceptions");
        /// how personal data in [names](policy.md#names) is handled
        "identifiers" identifiers: Identifiers, or Identifiers::Pseudonymise, since "0.1.0"
            => Key::one_of(Identifiers::WORDS).field("spec.policy.identifiers");
    }
}

words! {
    /// How personal data in names is handled.
    Identifiers {
        /// Store a token.
        Pseudonymise = "Pseudonymise",
        /// Refuse the write.
        Refuse = "Refuse",
        /// Store the name unchanged.
        Keep = "Keep",
    }
}

/// A reviewed text that may be written although a detector finds it. Either `sha256` or `value` is set.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Name of the detector that finds it.
    pub detector: String,
    /// SHA-256 of the text, 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why the text may be written.
    pub reason: String,
    /// Who approved the exception.
    pub reviewer: String,
    /// When the exception expires, RFC 3339. The text is kept unchanged, so that the operator's rendered file does not
    /// change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Omits the text and its hash, because debug output ends up in logs.
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
    /// The policy's settings.
    ///
    /// # Errors
    /// The section cannot be read, for example because a time is not an RFC 3339 time.
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

/// Removes detectors that only a newer engine has, because this version cannot run them. An exception with an unknown
/// part is removed completely: dropping a part that narrows it would widen the exception.
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
    // An item that is not a string is reported as a fault by the settings.
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
