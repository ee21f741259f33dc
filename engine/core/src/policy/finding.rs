//! What the policy finds in a text, and what follows from it.
//!
//! Matched text never appears in a [`Blocked`] or a [`Counts`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::detector::{Finds, Kind};

/// Maximum number of times that a text is checked again after a redaction. A placeholder is shorter than what it
/// replaces, so a word that describes a number can move close to the next number; usually two rounds are enough. A text
/// that still changes is refused, so that it is not stored half redacted.
pub(super) const ROUNDS_MAX: usize = 16;

/// Detector name in the refusal of a text that still changes after [`ROUNDS_MAX`] rounds.
pub(super) const UNSETTLED: &str = "unsettled";

/// A match in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the detector.
    pub detector: &'static str,
    /// Consequence of the match.
    pub finds: Finds,
    /// Range in the text, bytes. Both ends are on character boundaries.
    pub range: Range<usize>,
}

/// Why a write is refused. Contains what was found and where, never the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Name of the detector.
    pub detector: &'static str,
    /// Name of the field, such as `content`, `tags[2]` or `payload.config.env`.
    pub field: String,
    /// Consequence of the match.
    pub finds: Finds,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocked { detector, field, finds } = self;
        match finds {
            Finds::Secret => write!(
                f,
                "{field} holds a secret ({detector}): remove it and keep it in a secret store; \
                 if it is not a secret, add it to the policy's exceptions"
            ),
            Finds::Personal(_) => write!(
                f,
                "{field} holds personal data ({detector}) and is an identifier, which cannot be redacted: use another name, \
                 or set policy.identifiers to Pseudonymise"
            ),
        }
    }
}

impl std::error::Error for Blocked {}

/// Number of redactions by field and kind. The field names contain no list indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(String, Kind), u64>);

impl Counts {
    pub(super) fn add(&mut self, field: &str, kind: Kind) {
        *self.0.entry((field.to_owned(), kind)).or_default() += 1;
    }

    /// Adds the counts in `other` to these.
    pub fn merge(&mut self, other: &Counts) {
        for ((field, kind), count) in &other.0 {
            *self.0.entry((field.clone(), *kind)).or_default() += count;
        }
    }

    /// All counts, each as field, kind and number.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Kind, u64)> {
        self.0.iter().map(|((field, kind), count)| (field.as_str(), *kind, *count))
    }

    /// Total of all counts.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// A text that may be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted<T> {
    /// The redacted text; `None` if the original may be written byte for byte.
    pub changed: Option<T>,
    /// What was redacted.
    pub counts: Counts,
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redacted")
            .field("changed", &self.changed.is_some())
            .field("counts", &self.counts)
            .finish()
    }
}

/// Sorts matches and merges overlapping ones.
pub(super) fn merged(mut found: Vec<Finding>) -> Vec<Finding> {
    // The sort is stable: matches that start at the same byte keep the order of the table.
    found.sort_by_key(|finding| finding.range.start);
    let mut merged: Vec<Finding> = Vec::with_capacity(found.len());
    let mut longest = 0;
    for finding in found {
        let len = finding.range.len();
        match merged.last_mut() {
            Some(last) if finding.range.start < last.range.end => {
                let secret = |finds: Finds| finds == Finds::Secret;
                let stronger = secret(finding.finds) && !secret(last.finds);
                if stronger || (len > longest && secret(finding.finds) == secret(last.finds)) {
                    (last.detector, last.finds) = (finding.detector, finding.finds);
                    longest = len;
                }
                last.range.end = last.range.end.max(finding.range.end);
            }
            _ => {
                longest = len;
                merged.push(finding);
            }
        }
    }
    merged
}

/// Replaces matches in a text by placeholders. The first `kept` bytes are not changed.
pub(super) fn replaced(
    field: &str,
    text: &str,
    kept: usize,
    findings: &[Finding],
    counts: &mut Counts,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for finding in findings {
        let Finds::Personal(kind) = finding.finds else { continue };
        out.push_str(&text[at..finding.range.start.max(kept)]);
        out.push_str(kind.placeholder());
        at = finding.range.end;
        counts.add(field, kind);
    }
    out.push_str(&text[at..]);
    out
}
