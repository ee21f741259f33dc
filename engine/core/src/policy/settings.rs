//! Configuration of the policy, and its validation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

use super::detector::{Detector, Finds, Kind};
use super::detectors::detectors;
use super::identifier::Identifiers;
use crate::digest::Hash;

/// Maximum number of exceptions: each one is compared with every match, and a longer list is not reviewed carefully.
const EXCEPTIONS_MAX: usize = 256;
/// Maximum length of a reason and of a reviewer's name, characters.
const REVIEW_CHARS_MAX: usize = 500;

/// Configuration of the policy. Defaults: all secrets are blocked; all personal data except names, IP addresses and
/// URLs is redacted; personal data in identifiers is pseudonymised; there are no exceptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Names of the detectors whose match refuses a write. Default: all detectors of secrets.
    pub block: Option<Vec<String>>,
    /// Names of the kinds of personal data to redact. Default: see [`Kind::by_default`].
    pub redact: Option<Vec<String>>,
    /// Texts that may be written although a detector matches them.
    pub exceptions: Vec<Exception>,
    /// How personal data in identifiers is handled.
    pub identifiers: Identifiers,
}

/// One reviewed text that may be written.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Name of the detector that matches it.
    pub detector: String,
    /// SHA-256 of the complete matched text: 64 lower-case hexadecimal digits.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The text itself, if it need not be kept from readers of the configuration.
    #[serde(default)]
    pub value: Option<String>,
    /// Why it may be written.
    pub reason: String,
    /// Name of the reviewer.
    pub reviewer: String,
    /// When the exception ends.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exception")
            .field("detector", &self.detector)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A fault of the configuration. Never contains the value of an exception.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyFault {
    /// An unknown name.
    #[error("{field} names {name:?}, which is not one of: {known}")]
    Unknown {
        /// Field with the fault.
        field: String,
        /// Value of the field.
        name: String,
        /// Allowed values.
        known: String,
    },
    /// A duplicate name.
    #[error("{field} names {name:?} twice")]
    Twice {
        /// Field with the fault.
        field: String,
        /// The name.
        name: String,
    },
    /// Too many exceptions.
    #[error("exceptions has {0} items, the limit is {EXCEPTIONS_MAX}")]
    Exceptions(usize),
    /// An exception without a text or hash to match.
    #[error(
        "exceptions[{0}] needs either sha256 (64 lower-case hexadecimal digits) or value, which must not be empty"
    )]
    Matched(usize),
    /// An exception without reason or reviewer.
    #[error("exceptions[{0}] needs a reason and a reviewer, each of at most {REVIEW_CHARS_MAX} characters")]
    Unreviewed(usize),
}

/// A validated exception. The text itself is not kept.
pub(super) struct Checked {
    detector: &'static str,
    matched: Hash,
    expires: Option<Timestamp>,
}

impl Checked {
    pub(super) fn covers(&self, detector: &str, matched: &str, now: Timestamp) -> bool {
        self.detector == detector
            && self.expires.is_none_or(|expires| now < expires)
            && self.matched == Hash::of(matched.as_bytes())
    }
}

impl Settings {
    /// All faults of the configuration. [`Policy::new`](super::Policy::new) reports the same faults, but also compiles
    /// the detectors' patterns, which takes a tenth of a second: too long for callers that only pass settings on.
    pub fn faults(&self) -> Vec<PolicyFault> {
        self.check().err().unwrap_or_default()
    }

    /// Validates the configuration. Returns the enabled detectors, in the order of the table, and the exceptions, or
    /// all faults.
    pub(super) fn check(&self) -> Result<(Vec<&'static Detector>, Vec<Checked>), Vec<PolicyFault>> {
        let Settings { block, redact, exceptions, identifiers: _ } = self;
        let secrets: Vec<String> = detectors()
            .filter(|detector| detector.finds == Finds::Secret)
            .map(|detector| detector.name.to_owned())
            .collect();
        let kinds: Vec<String> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let mut faults = Vec::new();
        let block = block.as_ref().map(|names| chosen("block", names, &secrets, &mut faults));
        let redact = redact.as_ref().map(|names| chosen("redact", names, &kinds, &mut faults));
        let runs = |detector: &&Detector| match detector.finds {
            Finds::Secret => block.as_ref().is_none_or(|names| names.contains(detector.name)),
            Finds::Personal(kind) => {
                redact.as_ref().map_or(kind.by_default(), |names| names.contains(&kind.name()))
            }
        };
        let running = detectors().filter(runs).collect();
        if exceptions.len() > EXCEPTIONS_MAX {
            faults.push(PolicyFault::Exceptions(exceptions.len()));
        }
        let known: BTreeMap<&str, &'static str> =
            detectors().map(|detector| (detector.name, detector.name)).collect();
        let exceptions = exceptions
            .iter()
            .enumerate()
            .filter_map(|(i, exception)| exception.check(i, &known, &mut faults))
            .collect();
        if faults.is_empty() { Ok((running, exceptions)) } else { Err(faults) }
    }
}

fn chosen(
    field: &str,
    names: &[String],
    known: &[String],
    faults: &mut Vec<PolicyFault>,
) -> BTreeSet<String> {
    let mut chosen = BTreeSet::new();
    for name in names {
        let field = field.to_owned();
        if !known.contains(name) {
            faults.push(PolicyFault::Unknown { field, name: name.clone(), known: known.join(", ") });
        } else if !chosen.insert(name.clone()) {
            faults.push(PolicyFault::Twice { field, name: name.clone() });
        }
    }
    chosen
}

impl Exception {
    fn check(
        &self,
        index: usize,
        known: &BTreeMap<&str, &'static str>,
        faults: &mut Vec<PolicyFault>,
    ) -> Option<Checked> {
        let Exception { detector, sha256, value, reason, reviewer, expires } = self;
        let before = faults.len();
        let name = known.get(detector.as_str()).copied();
        if name.is_none() {
            let known = known.keys().copied().collect::<Vec<_>>().join(", ");
            faults.push(PolicyFault::Unknown {
                field: format!("exceptions[{index}].detector"),
                name: detector.clone(),
                known,
            });
        }
        let matched = match (sha256, value) {
            (Some(hex), None) => Hash::from_hex(hex.as_bytes()),
            (None, Some(value)) if !value.is_empty() => Some(Hash::of(value.as_bytes())),
            _ => None,
        };
        if matched.is_none() {
            faults.push(PolicyFault::Matched(index));
        }
        let reviewed = |text: &str| !text.trim().is_empty() && text.chars().count() <= REVIEW_CHARS_MAX;
        if !reviewed(reason) || !reviewed(reviewer) {
            faults.push(PolicyFault::Unreviewed(index));
        }
        (faults.len() == before).then_some(())?;
        Some(Checked { detector: name?, matched: matched?, expires: *expires })
    }
}
