//! Lists which strings in events, requests and responses are identifiers, so that an identifier is treated the same on
//! every way in and out. How an identifier is treated is decided by
//! [`Policy::judge_identifier`](crate::policy::Policy::judge_identifier).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{
    ENTITY_ENDED, ENTITY_OBSERVED, ENTITY_PUT, ITEM_DELETED, ITEM_PUT, ITEM_REFRESHED, LOG_KEY_ROTATED,
    LOG_PSEUDONYMS_KEYED, LOG_ROLLBACK_ACCEPTED, MEMORY_FEEDBACK, MEMORY_FORGOTTEN, MEMORY_INVALIDATED,
    MEMORY_SAVED, OBSERVATION_ENDED, RELATION_ENDED, RELATION_PUT, RETENTION_APPLIED, RETRIEVAL_WEIGHTS_SET,
};
use crate::memory_tool;
use crate::policy::{Counts, Form, NotNamed, Policy, PseudonymKey, Redacted};
use crate::words::normal_form;

mod answers;
mod requests;

/// Identifiers in the payloads of the engine's own event types, as [`Policy`](crate::policy::Policy) names fields: `[]`
/// is any item of a list, `<key>` any key of an object. Type, actor, project and session are identifiers in every
/// event.
pub const IDENTIFIERS: &[(&str, &[&str])] = &[
    (MEMORY_SAVED, &["type", "tags[]", "entities[]", "source.uri"]),
    (MEMORY_INVALIDATED, &[]),
    (MEMORY_FORGOTTEN, &[]),
    (MEMORY_FEEDBACK, &["query_id"]),
    (RETRIEVAL_WEIGHTS_SET, &[]),
    (RETENTION_APPLIED, &["rules.projects[].project", "by_project.<key>"]),
    (LOG_KEY_ROTATED, &[]),
    (LOG_ROLLBACK_ACCEPTED, &[]),
    (LOG_PSEUDONYMS_KEYED, &[]),
    (ITEM_PUT, &["namespace[]", "key"]),
    (ITEM_DELETED, &["namespace[]", "key"]),
    (ITEM_REFRESHED, &[]),
    (ENTITY_PUT, &["name", "type"]),
    (ENTITY_OBSERVED, &["entity"]),
    (ENTITY_ENDED, &["name"]),
    (OBSERVATION_ENDED, &["entity"]),
    (RELATION_PUT, &["from", "to", "type"]),
    (RELATION_ENDED, &["from", "to", "type"]),
];

/// Identifiers in the payload of an event type; empty for types without a meaning to the engine.
pub fn identifiers_of(kind: &str) -> &'static [&'static str] {
    IDENTIFIERS.iter().find(|(known, _)| *known == kind).map_or(&[], |(_, fields)| fields)
}

/// The field of an event that is a path: the key of an item that stores a file.
pub fn is_path(kind: &str, payload: &RawValue) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Place {
        namespace: Vec<String>,
    }
    if !matches!(kind, ITEM_PUT | ITEM_DELETED) {
        return None;
    }
    let place: Place = serde_json::from_str(payload.get()).ok()?;
    (key_form(&place.namespace) == Form::Path).then_some("key")
}

/// How the key of an item in this namespace is interpreted.
pub fn key_form(namespace: &[String]) -> Form {
    if namespace == [memory_tool::NAMESPACE] { Form::Path } else { Form::Whole }
}

/// Callback for each identifier.
pub type Visit<'a> = dyn FnMut(&mut String, Form) + 'a;

/// A request or a response with identifiers.
pub trait Identified {
    /// Calls `visit` with each identifier, which may be modified.
    fn identifiers(&mut self, visit: &mut Visit<'_>);

    /// Calls `visit` with each content text that is compared verbatim with stored text. Observations are such texts:
    /// they are added once, and ended by their text.
    fn compared(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

/// Maps stored names to the names that the caller used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<String, String>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("names", &self.0.len()).finish_non_exhaustive()
    }
}

impl Told {
    /// Records one name.
    pub fn add(&mut self, stored: String, told: String) {
        self.0.insert(stored, told);
    }

    /// Whether every name is stored as the caller wrote it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Restores the caller's names in a response.
    pub fn back<T: Identified>(&self, mut answer: T) -> T {
        if !self.is_empty() {
            let put = |name: &mut String| {
                if let Some(told) = self.0.get(name.as_str()) {
                    name.clone_from(told);
                }
            };
            answer.identifiers(&mut |name, _| put(name));
            answer.compared(&mut |text| put(text));
        }
        answer
    }

    /// Restores the caller's names in text output.
    pub fn back_in_text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (stored, told)| text.replace(stored.as_str(), told))
    }
}

/// The key of the log's pseudonyms is needed to compute stored names, and is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey;

/// Replaces every identifier of a request with its stored name, and every compared text with its stored form. An
/// identifier that must not be stored stays unchanged: a write of it is refused later, and a lookup finds nothing.
pub fn stored(
    policy: &Policy,
    key: Option<&PseudonymKey>,
    request: &mut impl Identified,
    now: Timestamp,
) -> Result<Told, NoKey> {
    let (mut told, mut outcome) = (Told::default(), Ok(()));
    request.identifiers(&mut |name, form| {
        if breaks_a_rule(name, form) {
            return;
        }
        // Uses the normal form, as everything stored does.
        let normal = normal_form(name);
        match policy.judge_identifier(key, ("", form), &normal, now, &mut Counts::default()) {
            Ok(Some(stored)) => told.add(stored.clone(), std::mem::replace(name, stored)),
            Err(NotNamed::NoKey) => outcome = Err(NoKey),
            Ok(None) | Err(NotNamed::Blocked(_)) => {}
        }
    });
    // Returns before the texts change, because the caller retries the same request with the key.
    outcome?;
    request.compared(&mut |text| {
        if let Ok(Redacted { changed: Some(stored), .. }) = policy.judge_text("", text, now) {
            told.add(stored.clone(), std::mem::replace(text, stored));
        }
    });
    Ok(told)
}

/// A name with refused characters must not lose them in a token, so that it is still refused.
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

/// Visits the namespace and key of an item. The form of the key depends on the namespace.
pub fn place_of_item(namespace: &mut [String], key: &mut String, visit: &mut Visit<'_>) {
    let form = key_form(namespace);
    segments(namespace, visit);
    visit(key, form);
}

#[cfg(test)]
mod tests;
