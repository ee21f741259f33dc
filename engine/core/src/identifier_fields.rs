//! Fields of event payloads that are identifiers.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{
    ENTITY_ENDED, ENTITY_OBSERVED, ENTITY_PUT, GUARD_TRANSITION, ITEM_DELETED, ITEM_PUT, ITEM_REFRESHED,
    LOG_KEY_ROTATED, LOG_PSEUDONYMS_KEYED, LOG_RESTORED, LOG_ROLLBACK_ACCEPTED, MEMORY_FEEDBACK,
    MEMORY_FORGOTTEN, MEMORY_INVALIDATED, MEMORY_SAVED, OBSERVATION_ENDED, RELATION_ENDED, RELATION_PUT,
    RETENTION_APPLIED, RETRIEVAL_WEIGHTS_SET,
};
use crate::memory_tool;
use crate::policy::Form;

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
    (LOG_RESTORED, &[]),
    (GUARD_TRANSITION, &[]),
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

/// Identifiers in the payload of an event type; empty for event types that the engine does not define.
pub fn identifiers_of(kind: &str) -> &'static [&'static str] {
    IDENTIFIERS.iter().find(|(known, _)| *known == kind).map_or(&[], |(_, fields)| fields)
}

/// Name of the field that contains a path, if the event has one: the key of an item that stores a file.
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

/// Form of the keys of items in this namespace: a path for files of the memory tool, otherwise one text.
pub fn key_form(namespace: &[String]) -> Form {
    if namespace == [memory_tool::NAMESPACE] { Form::Path } else { Form::Whole }
}
