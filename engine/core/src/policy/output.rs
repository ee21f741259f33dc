//! Removes secrets and personal data from texts that leave the program other than as answers with memories: log lines,
//! error messages, attributes of spans.
//!
//! The detectors are fixed: a configuration that lets somebody store a text does not allow it in a log.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::Timestamp;

use super::checker::Policy;
use super::detector::{Finds, Kind};
use super::finding::ROUNDS_MAX;
use super::settings::Settings;

/// What replaces a secret.
const SECRET: &str = "[SECRET]";
/// What replaces a text that still changes after [`ROUNDS_MAX`] rounds.
const WITHHELD: &str = "[WITHHELD]";

/// Made when the first text leaves the program. Addresses and URLs of machines stay: they are what a log is about.
static DETECTORS: LazyLock<Policy> = LazyLock::new(|| {
    let kinds = Kind::ALL.iter().filter(|kind| kind.by_default() || **kind == Kind::Name);
    let redact = Some(kinds.map(|kind| kind.name()).collect());
    Policy::compiled_when_needed(&Settings { redact, ..Settings::default() })
        .expect("every kind has a detector")
});

/// Replaces secrets and personal data in a text by the names of their kinds.
#[must_use]
pub fn scrubbed(text: &str) -> Cow<'_, str> {
    let mut current = Cow::Borrowed(text);
    for _ in 0..ROUNDS_MAX {
        // Exceptions, which depend on the time, are not configured here.
        let findings = DETECTORS.findings(&current, Timestamp::UNIX_EPOCH);
        if findings.is_empty() {
            return current;
        }
        let mut clean = String::with_capacity(current.len());
        let mut at = 0;
        for finding in findings {
            clean.push_str(&current[at..finding.range.start]);
            clean.push_str(match finding.finds {
                Finds::Secret => SECRET,
                Finds::Personal(kind) => kind.placeholder(),
            });
            at = finding.range.end;
        }
        clean.push_str(&current[at..]);
        current = Cow::Owned(clean);
    }
    Cow::Borrowed(WITHHELD)
}

/// Whether [`scrubbed`] would change nothing in a text.
#[must_use]
pub fn is_clean(text: &str) -> bool {
    DETECTORS.findings(text, Timestamp::UNIX_EPOCH).is_empty()
}
