//! Decides what may be written: a secret refuses the write, personal data is redacted before it is stored. One value,
//! [`Policy`], checks every text on every path into the log.
//!
//! Matched text never appears in a [`Blocked`], a [`Counts`] or the `Debug` output of any type here.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use regex::bytes::Regex;
use serde_json::value::RawValue;

use crate::event::Draft;
use crate::identity::{identifiers_of, is_path};

mod address;
mod assignment;
mod checks;
mod command;
mod connector;
mod detector;
mod encoded;
mod identifier;
mod pair;
mod payload;
mod personal;
mod phone;
mod reading;
mod scripts;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod value;
mod vendor;
mod view;

use detector::Compiled;
pub use detector::{Detector, Finds, Kind, detectors};
pub use identifier::{Form, Identifiers, NotNamed, PseudonymKey, has_token, tokens};
use reading::Reading;
pub use settings::{Exception, PolicyFault, Settings};
use view::View;

/// How often a text is checked again after a redaction. A placeholder is shorter than what it replaces, so a word that
/// describes a number can move close to the next number; usually two rounds are enough. A text that still changes is
/// refused, so that it is not stored half redacted.
const ROUNDS_MAX: usize = 16;
/// Detector name in the refusal of a text that still changes after [`ROUNDS_MAX`] rounds.
const UNSETTLED: &str = "unsettled";

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

/// Number of redactions by field and kind. Field names contain no list indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(String, Kind), u64>);

impl Counts {
    fn add(&mut self, field: &str, kind: Kind) {
        *self.0.entry((field.to_owned(), kind)).or_default() += 1;
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Counts) {
        for ((field, kind), count) in &other.0 {
            *self.0.entry((field.clone(), *kind)).or_default() += count;
        }
    }

    /// Field, kind and count, in this order.
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

/// A validated configuration with compiled patterns. Create it once, because compiling is slow.
pub struct Policy {
    compiled: Compiled,
    telling_keys: Regex,
    exceptions: Vec<settings::Checked>,
    identifiers: Identifiers,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("exceptions", &self.exceptions.len()).finish_non_exhaustive()
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::new(&Settings::default()).expect("the detectors of the program are tested")
    }
}

impl Policy {
    /// Validates the configuration; returns all of its faults.
    pub fn new(settings: &Settings) -> Result<Policy, Vec<PolicyFault>> {
        let (chosen, exceptions) = settings.check()?;
        Ok(Policy {
            compiled: Compiled::new(chosen.into_iter()),
            telling_keys: payload::telling_keys(),
            exceptions,
            identifiers: settings.identifiers,
        })
    }

    /// All matches in a text, in order and without overlaps. Overlapping matches are merged into one from their first
    /// to their last byte. A secret takes precedence over personal data; otherwise the merged match has the kind of the
    /// longest one, and among equally long ones that of the detector that comes first in the table.
    ///
    /// `now` is compared with the expiry of exceptions.
    pub fn findings(&self, text: &str, now: Timestamp) -> Vec<Finding> {
        let mut found = Vec::new();
        self.run(text, |detector, range| {
            if !self.excepted(detector, &text[range.clone()], now) {
                found.push(Finding { detector: detector.name, finds: detector.finds, range });
            }
        });
        merged(found)
    }

    /// Matches in the rewritten form of a name (see [`Reading`]), where it differs from the name; not sorted.
    fn findings_as_read(&self, name: &str, now: Timestamp) -> Vec<Finding> {
        let tokens: Vec<Range<usize>> = tokens(name).collect();
        let mut found = Vec::new();
        let Some(reading) = Reading::of(name, &tokens) else { return found };
        self.run(reading.text(), |detector, part| {
            let range = reading.source(&part);
            let matched = &name[range.clone()];
            if reading.counts(detector.finds, &part, matched) && !self.excepted(detector, matched, now) {
                found.push(Finding { detector: detector.name, finds: detector.finds, range });
            }
        });
        found
    }

    /// Calls `visit` for every match outside of pseudonym tokens, in the order of the table.
    fn run(&self, text: &str, mut visit: impl FnMut(&'static Detector, Range<usize>)) {
        let masked = identifier::masked(text);
        let view = View::new(masked.as_deref().unwrap_or(text));
        let named: Vec<Range<usize>> = if masked.is_some() { tokens(text).collect() } else { Vec::new() };
        self.compiled.run(view.bytes(), |(detector, part)| {
            let range = view.source(&part);
            let token = named.partition_point(|token| token.end < range.end);
            let in_token = named.get(token).is_some_and(|token| token.start <= range.start);
            if !in_token && !range.is_empty() {
                visit(detector, range);
            }
        });
    }

    fn telling_keys(&self) -> &Regex {
        &self.telling_keys
    }

    fn excepted(&self, detector: &Detector, matched: &str, now: Timestamp) -> bool {
        self.exceptions.iter().any(|exception| exception.covers(detector.name, matched, now))
    }

    /// Checks one text. `field` is the field name for refusals and counts.
    pub fn judge_text(&self, field: &str, text: &str, now: Timestamp) -> Result<Redacted<String>, Blocked> {
        self.judge_behind(field, "", text, now)
    }

    /// Checks a text together with preceding words that describe it and are not part of it.
    fn judge_behind(
        &self,
        field: &str,
        words: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<Redacted<String>, Blocked> {
        let mut counts = Counts::default();
        let mut whole: Option<String> = (!words.is_empty()).then(|| format!("{words}{text}"));
        let mut changed = false;
        for _ in 0..ROUNDS_MAX {
            let current = whole.as_deref().unwrap_or(text);
            let mut findings = self.findings(current, now);
            if let Some(secret) = findings
                .iter()
                .find(|finding| finding.finds == Finds::Secret && finding.range.end > words.len())
            {
                return Err(Blocked {
                    detector: secret.detector,
                    field: field.to_owned(),
                    finds: Finds::Secret,
                });
            }
            findings.retain(|finding| finding.range.end > words.len());
            if findings.is_empty() {
                let changed = changed.then(|| current[words.len()..].to_owned());
                return Ok(Redacted { changed, counts });
            }
            whole = Some(replaced(field, current, words.len(), &findings, &mut counts));
            changed = true;
        }
        Err(Blocked { detector: UNSETTLED, field: field.to_owned(), finds: Finds::Secret })
    }

    /// Refuses a text that is a secret when the words precede it.
    fn refuse_secret(&self, field: &str, words: &str, text: &str, now: Timestamp) -> Result<(), Blocked> {
        let found = self.findings(&format!("{words}{text}"), now);
        let secret = found.iter().find(|it| it.finds == Finds::Secret && it.range.end > words.len());
        secret.map_or(Ok(()), |&Finding { detector, finds, .. }| {
            Err(Blocked { detector, field: field.to_owned(), finds })
        })
    }

    /// Checks a JSON text: every string, every key of an object, and numbers under keys that describe them. The text
    /// must be in the strict form; what is not redacted stays byte for byte.
    ///
    /// A redacted key stays different from the other keys of its object.
    pub fn judge_json(&self, field: &str, json: &str, now: Timestamp) -> Result<Redacted<String>, Blocked> {
        let judged = payload::judge(self, field, json, &payload::Names::default(), now);
        judged.map_err(|fault| match fault {
            NotNamed::Blocked(blocked) => blocked,
            NotNamed::NoKey => unreachable!("without identifiers nothing takes a key"),
        })
    }

    /// Checks an event before it is written. The fields listed by [`identifiers_of`] and type, actor, project and
    /// session are checked by [`Policy::judge_identifier`]; the rest of the payload is redacted.
    pub fn judge_draft(
        &self,
        draft: Draft,
        key: Option<&PseudonymKey>,
        now: Timestamp,
    ) -> Result<(Draft, Counts), NotNamed> {
        let Draft { kind, actor, project, session, causes, payload } = draft;
        let mut counts = Counts::default();
        let mut named = |field: &str, name: String| {
            let stored = self.judge_identifier(key, (field, Form::Whole), &name, now, &mut counts)?;
            Ok::<String, NotNamed>(stored.unwrap_or(name))
        };
        let names = payload::Names { rows: identifiers_of(&kind), key, is_path: is_path(&kind, &payload) };
        let kind = named("type", kind)?;
        let project = named("project", project)?;
        let session = session.map(|session| named("session", session)).transpose()?;
        let actor = named("actor", actor)?;
        let judged = payload::judge(self, "", payload.get(), &names, now)?;
        counts.merge(&judged.counts);
        let payload = judged.changed.map_or(payload, |json| {
            RawValue::from_string(json).expect("only strings of valid JSON were replaced, by strings")
        });
        Ok((Draft { kind, actor, project, session, causes, payload }, counts))
    }
}

/// Sorts matches and merges overlapping ones.
fn merged(mut found: Vec<Finding>) -> Vec<Finding> {
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

/// Replaces matches by placeholders; the first `kept` bytes are not changed.
fn replaced(field: &str, text: &str, kept: usize, findings: &[Finding], counts: &mut Counts) -> String {
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
