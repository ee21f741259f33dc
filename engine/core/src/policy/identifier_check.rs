//! How the policy checks an identifier.

use jiff::Timestamp;

use super::checker::Policy;
use super::detector::Finds;
use super::finding::{Blocked, Counts, Finding, ROUNDS_MAX, UNSETTLED, merged};
use super::identifier::{Form, IdentifierError, Identifiers, PseudonymKey};

impl Policy {
    /// Returns the stored form of the identifier `name`; `None` if the stored form equals the name. It depends on the
    /// name only, so that the same name is stored in the same form everywhere. Tokens that the name already contains
    /// are kept.
    ///
    /// `field` is the field name for refusals and counts.
    pub fn judge_identifier(
        &self,
        key: Option<&PseudonymKey>,
        (field, form): (&str, Form),
        name: &str,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<Option<String>, IdentifierError> {
        let mut changed: Option<String> = None;
        for _ in 0..ROUNDS_MAX {
            let current = changed.as_deref().unwrap_or(name);
            let mut found = self.found_in_name(form, current, now);
            let blocks = |finding: &&Finding| match finding.finds {
                Finds::Secret => true,
                Finds::Personal(_) => self.identifiers == Identifiers::Refuse,
            };
            if let Some(finding) = found.iter().find(blocks) {
                let Finding { detector, finds, .. } = *finding;
                return Err(Blocked { detector, field: field.to_owned(), finds }.into());
            }
            if self.identifiers == Identifiers::Keep {
                found.clear();
            }
            if found.is_empty() {
                return Ok(changed);
            }
            changed = Some(with_tokens(key.ok_or(IdentifierError::NoKey)?, field, current, &found, counts));
        }
        Err(Blocked { detector: UNSETTLED, field: field.to_owned(), finds: Finds::Secret }.into())
    }

    /// Finds personal data in a name, both as written and as people read it. A path is searched segment by segment.
    /// Other names with slashes are searched by segment and as one text, because detectors take a number after a slash
    /// as part of a URL.
    fn found_in_name(&self, form: Form, name: &str, now: Timestamp) -> Vec<Finding> {
        let both = |part: &str| {
            let mut found = self.findings(part, now);
            found.extend(self.findings_as_read(part, now));
            found
        };
        let mut found = if form == Form::Path { Vec::new() } else { both(name) };
        if form == Form::Path || name.contains('/') {
            let mut at = 0;
            for segment in name.split('/') {
                let moved = |finding: Finding| {
                    let range = finding.range.start + at..finding.range.end + at;
                    Finding { range, ..finding }
                };
                found.extend(both(segment).into_iter().map(moved));
                at += segment.len() + 1;
            }
        }
        merged(found)
    }
}

fn with_tokens(
    key: &PseudonymKey,
    field: &str,
    text: &str,
    found: &[Finding],
    counts: &mut Counts,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for finding in found {
        let Finds::Personal(kind) = finding.finds else { continue };
        out.push_str(&text[at..finding.range.start]);
        out.push_str(&key.token(kind, &text[finding.range.clone()]));
        at = finding.range.end;
        counts.add(field, kind);
    }
    out.push_str(&text[at..]);
    out
}
