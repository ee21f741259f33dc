//! Lists which strings in events, requests and responses are identifiers, so that an identifier is treated the same in
//! all of them. The treatment of an identifier is decided by
//! [`Policy::judge_identifier`](crate::policy::Policy::judge_identifier).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::identifier_fields::key_form;
use crate::policy::{Counts, Form, IdentifierError, Policy, PseudonymKey, Redacted};
use crate::words::normal_form;

mod answers;
mod projects;
mod requests;

/// Callback for each identifier.
pub type Visit<'a> = dyn FnMut(&mut String, Form) + 'a;

/// A request or a response with identifiers.
pub trait HasIdentifiers {
    /// Calls `visit` with each identifier, which may be modified.
    fn identifiers(&mut self, visit: &mut Visit<'_>);

    /// Calls `visit` with each content text that is compared verbatim with stored text. Observations are such texts: a
    /// request that ends an observation names it by its text.
    fn compared(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

/// A request that names projects, or could.
pub trait NamesProjects {
    /// Calls `visit` with the project of each part of the request. Where the request names ids instead, or is about the
    /// whole engine, there is nothing to visit.
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>));
}

/// Maps stored names to the names that the caller used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CallerNames(BTreeMap<String, String>);

impl std::fmt::Debug for CallerNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallerNames").field("names", &self.0.len()).finish_non_exhaustive()
    }
}

impl CallerNames {
    /// Records that the caller wrote `used` for the name `stored`.
    pub fn add(&mut self, stored: String, used: String) {
        self.0.insert(stored, used);
    }

    /// Whether there is nothing to restore, because every name is stored as the caller wrote it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Restores the caller's names in a response.
    pub fn restore<T: HasIdentifiers>(&self, mut answer: T) -> T {
        if !self.is_empty() {
            let put = |name: &mut String| {
                if let Some(used) = self.0.get(name.as_str()) {
                    name.clone_from(used);
                }
            };
            answer.identifiers(&mut |name, _| put(name));
            answer.compared(&mut |text| put(text));
        }
        answer
    }

    /// Restores the caller's names in text output.
    pub fn restore_in_text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (stored, used)| text.replace(stored.as_str(), used))
    }
}

/// A stored name contains a pseudonym token, which needs the log's pseudonym key, and the key is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PseudonymKeyMissing;

/// Replaces every identifier of a request with its stored name, and every compared text with its stored form. An
/// identifier that must not be stored stays unchanged: a write with this identifier is refused later, and a lookup
/// finds nothing.
pub fn to_stored_names(
    policy: &Policy,
    key: Option<&PseudonymKey>,
    request: &mut impl HasIdentifiers,
    now: Timestamp,
) -> Result<CallerNames, PseudonymKeyMissing> {
    let (mut caller_names, mut outcome) = (CallerNames::default(), Ok(()));
    request.identifiers(&mut |name, form| {
        if breaks_a_rule(name, form) {
            return;
        }
        // Judges the normal form, in which names are stored.
        let normal = normal_form(name);
        match policy.judge_identifier(key, ("", form), &normal, now, &mut Counts::default()) {
            Ok(Some(stored)) => caller_names.add(stored.clone(), std::mem::replace(name, stored)),
            Err(IdentifierError::NoKey) => outcome = Err(PseudonymKeyMissing),
            Ok(None) | Err(IdentifierError::Blocked(_)) => {}
        }
    });
    // If the key is missing, returns before the texts are changed, because the caller retries the same request with the
    // key.
    outcome?;
    request.compared(&mut |text| {
        if let Ok(Redacted { changed: Some(stored), .. }) = policy.judge_text("", text, now) {
            caller_names.add(stored.clone(), std::mem::replace(text, stored));
        }
    });
    Ok(caller_names)
}

/// Whether a name contains characters that are refused. A token would hide them, and the name would be accepted.
fn breaks_a_rule(name: &str, form: Form) -> bool {
    name.chars().any(char::is_control) || (form == Form::Segment && name.contains('.'))
}

fn whole(name: &mut String, visit: &mut Visit<'_>) {
    visit(name, Form::Whole);
}

fn each<'a>(names: impl IntoIterator<Item = &'a mut String>, visit: &mut Visit<'_>) {
    names.into_iter().for_each(|name| visit(name, Form::Whole));
}

fn segments(names: &mut [String], visit: &mut Visit<'_>) {
    names.iter_mut().for_each(|name| visit(name, Form::Segment));
}

/// Calls `visit` with each segment of an item's namespace and with its key. The form of the key depends on the
/// namespace.
pub fn place_of_item(namespace: &mut [String], key: &mut String, visit: &mut Visit<'_>) {
    let form = key_form(namespace);
    segments(namespace, visit);
    visit(key, form);
}

#[cfg(test)]
mod tests;
