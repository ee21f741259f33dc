//! The policy with its compiled detectors, and how it checks one text.

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use regex::bytes::Regex;

use super::descriptive_keys::descriptive_keys;
use super::detector::{Detector, Finds};
use super::detectors::Compiled;
use super::finding::{Blocked, Counts, Finding, ROUNDS_MAX, Redacted, UNSETTLED, merged, replaced};
use super::identifier::{Identifiers, masked, tokens};
use super::reading::Reading;
use super::settings::{Checked, PolicyFault, Settings};
use super::view::View;

/// A validated configuration with compiled patterns. Create it once, because compiling is slow.
pub struct Policy {
    pub(super) compiled: Compiled,
    pub(super) descriptive_keys: Regex,
    pub(super) exceptions: Vec<Checked>,
    pub(super) identifiers: Identifiers,
    detectors: Vec<&'static Detector>,
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
        Policy::compiled(settings, |chosen| Compiled::new(chosen.into_iter()))
    }

    /// Like [`Policy::new`], but compiles a detector when a text first triggers it.
    pub(super) fn compiled_when_needed(settings: &Settings) -> Result<Policy, Vec<PolicyFault>> {
        Policy::compiled(settings, |chosen| Compiled::when_needed(chosen.into_iter()))
    }

    fn compiled(
        settings: &Settings,
        compile: fn(Vec<&'static Detector>) -> Compiled,
    ) -> Result<Policy, Vec<PolicyFault>> {
        let (chosen, exceptions) = settings.check()?;
        Ok(Policy {
            detectors: chosen.clone(),
            compiled: compile(chosen),
            descriptive_keys: descriptive_keys(),
            exceptions,
            identifiers: settings.identifiers,
        })
    }

    /// The detectors whose matches it forbids.
    pub fn detectors(&self) -> &[&'static Detector] {
        &self.detectors
    }

    /// Number of texts that it lets through.
    pub fn exceptions(&self) -> usize {
        self.exceptions.len()
    }

    /// All matches in a text, in order and without overlaps. Overlapping matches are merged into one from their first
    /// to their last byte. A secret takes precedence over personal data; otherwise the merged match has the kind of the
    /// longest of them. Among equally long matches, the detector that comes first in the table decides.
    ///
    /// Exceptions that have expired at `now` do not apply.
    pub fn findings(&self, text: &str, now: Timestamp) -> Vec<Finding> {
        let mut found = Vec::new();
        self.run(text, |detector, range| {
            if !self.excepted(detector, &text[range.clone()], now) {
                found.push(Finding { detector: detector.name, finds: detector.finds, range });
            }
        });
        merged(found)
    }

    /// Matches in the rewritten form of `name` (see [`Reading`]), as ranges of `name`; not sorted. Empty if the
    /// rewritten form equals the name.
    pub(super) fn findings_as_read(&self, name: &str, now: Timestamp) -> Vec<Finding> {
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
    pub(super) fn run(&self, text: &str, mut visit: impl FnMut(&'static Detector, Range<usize>)) {
        let masked = masked(text);
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

    pub(super) fn descriptive_keys(&self) -> &Regex {
        &self.descriptive_keys
    }

    pub(super) fn excepted(&self, detector: &Detector, matched: &str, now: Timestamp) -> bool {
        self.exceptions.iter().any(|exception| exception.covers(detector.name, matched, now))
    }

    /// Checks one text. `field` is the field name that refusals and counts report.
    pub fn judge_text(&self, field: &str, text: &str, now: Timestamp) -> Result<Redacted<String>, Blocked> {
        self.judge_behind(field, "", text, now)
    }

    /// Checks a text together with words that describe it, such as the key of its field. The words are put before the
    /// text and are not part of the result.
    pub(super) fn judge_behind(
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

    /// Refuses a text that is a secret if these words precede it.
    pub(super) fn refuse_secret(
        &self,
        field: &str,
        words: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<(), Blocked> {
        let found = self.findings(&format!("{words}{text}"), now);
        let secret = found.iter().find(|it| it.finds == Finds::Secret && it.range.end > words.len());
        secret.map_or(Ok(()), |&Finding { detector, finds, .. }| {
            Err(Blocked { detector, field: field.to_owned(), finds })
        })
    }
}
