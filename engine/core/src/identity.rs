//! Which texts are identifiers: in events, in requests and in answers. One list for each, so that a name is the same
//! name on every way in and out. What becomes of an identifier is
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

/// Identifiers in the payloads of the events that have a meaning, as [`Policy`](crate::policy::Policy) names fields:
/// `[]` is any item of a list, `<key>` any key of an object. Type, actor, project and session are identifiers in every
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

/// The row of a type of event; nothing for types that mean nothing to the engine.
pub fn identifiers_of(kind: &str) -> &'static [&'static str] {
    IDENTIFIERS.iter().find(|(known, _)| *known == kind).map_or(&[], |(_, fields)| fields)
}

/// The field of an event that is a path: the key of an item that is a file.
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

/// How the key of an item is read.
pub fn key_form(namespace: &[String]) -> Form {
    if namespace == [memory_tool::NAMESPACE] { Form::Path } else { Form::Whole }
}

/// What is called with each identifier.
pub type Visit<'a> = dyn FnMut(&mut String, Form) + 'a;

/// A request or an answer, by its identifiers.
pub trait Identified {
    /// Shows each of them, which may be changed.
    fn identifiers(&mut self, visit: &mut Visit<'_>);

    /// Shows each text that is content and is compared with what is stored, word by word: an observation is added
    /// once, and ended by what it says.
    fn compared(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

/// What the caller calls things, by the names they are stored under.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<String, String>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("names", &self.0.len()).finish_non_exhaustive()
    }
}

impl Told {
    /// Remembers one.
    pub fn add(&mut self, stored: String, told: String) {
        self.0.insert(stored, told);
    }

    /// Whether everything is stored as it was called.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the caller's names back into an answer.
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

    /// The same in a text for a person.
    pub fn back_in_text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (stored, told)| text.replace(stored.as_str(), told))
    }
}

/// It takes the key of the log's tokens to say under which names things are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey;

/// Turns every identifier of a request into the name it is stored under, and what is compared into what is stored.
/// What may not be stored stays as it is: the gate refuses it when it is written, and nothing is found under it.
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
        // One form of a text, as everything that is stored has.
        let normal = normal_form(name);
        match policy.judge_identifier(key, ("", form), &normal, now, &mut Counts::default()) {
            Ok(Some(stored)) => told.add(stored.clone(), std::mem::replace(name, stored)),
            Err(NotNamed::NoKey) => outcome = Err(NoKey),
            Ok(None) | Err(NotNamed::Blocked(_)) => {}
        }
    });
    // Asked again with the key, the texts have to be what they were.
    outcome?;
    request.compared(&mut |text| {
        if let Ok(Redacted { changed: Some(stored), .. }) = policy.judge_text("", text, now) {
            told.add(stored.clone(), std::mem::replace(text, stored));
        }
    });
    Ok(told)
}

/// What is refused for its characters must not lose them in a token.
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

/// Shows where an item is. What its key is depends on the namespace.
pub fn place_of_item(namespace: &mut [String], key: &mut String, visit: &mut Visit<'_>) {
    let form = key_form(namespace);
    segments(namespace, visit);
    visit(key, form);
}

#[cfg(test)]
mod tests;
