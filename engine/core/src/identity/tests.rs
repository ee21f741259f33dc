//! Checks that every event type has a row of identifiers, and that every text in its payload is listed either as an
//! identifier or as not an identifier.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::event::*;
use crate::event::{Draft, RESERVED};
use crate::identifier_fields::*;
use crate::memory_tool;
use crate::wire::{CreateEntities, PutItem, SearchItems};

static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);

fn key() -> PseudonymKey {
    PseudonymKey::new([1; PseudonymKey::BYTES])
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// For each event type, a payload with all fields, and the texts in it that are not identifiers.
fn payloads() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let at = "2026-01-01T00:00:00Z";
    let (hash, id) = ("0".repeat(64), "0".repeat(32));
    let counts = json!({"age": 0, "entries": 0, "both": 0});
    vec![
        (
            MEMORY_SAVED,
            json!({"content": "c", "title": "t", "type": "NAME", "tags": ["NAME"], "occurred_at": at, "valid_from": at,
                "source": {"uri": "NAME", "sha256": hash, "piece": 1, "pieces": 1}, "entities": ["NAME"]}),
            &["content", "title", "occurred_at", "valid_from", "source.sha256"],
        ),
        (
            MEMORY_INVALIDATED,
            json!({"target": id, "valid_until": at, "reason": "r", "superseded_by": id}),
            &["target", "valid_until", "reason", "superseded_by"],
        ),
        (MEMORY_FORGOTTEN, json!({"targets": [id], "seqs": [1], "reason": "r"}), &["targets[]", "reason"]),
        (
            MEMORY_FEEDBACK,
            json!({"target": id, "rating_milli": 1, "query_id": "NAME", "note": "n"}),
            &["target", "note"],
        ),
        (RETRIEVAL_WEIGHTS_SET, json!({"weights": {"lexical": 1.0}, "reason": "r"}), &["reason"]),
        (
            RETENTION_APPLIED,
            json!({"plan_hash": hash, "rules": {"projects": [{"project": "NAME"}], "action": "forget"}, "as_of": at,
                "applied_seq": 1, "memories": 1, "bytes": 1, "by_rule": counts, "by_project": {"NAME": 1},
                "spikes": ["s"], "reason": "r"}),
            &["plan_hash", "rules.action", "as_of", "spikes[]", "reason"],
        ),
        (LOG_KEY_ROTATED, json!({"old": "k", "new": "k"}), &["old", "new"]),
        (
            LOG_ROLLBACK_ACCEPTED,
            json!({"number": 1, "from_size": 1, "from_root": hash, "to_size": 1, "to_root": hash, "reason": "r"}),
            &["from_root", "to_root", "reason"],
        ),
        (LOG_PSEUDONYMS_KEYED, json!({"check": "0123"}), &["check"]),
        (LOG_RESTORED, json!({"size": 1, "manifest": "m", "reason": "r"}), &["manifest", "reason"]),
        (GUARD_TRANSITION, json!({"input": {"by": "b"}}), &["input.by"]),
        (
            ITEM_PUT,
            json!({"namespace": ["NAME"], "key": "NAME", "value": {"v": "v"}, "expires_at": at, "ttl_ms": 1, "index": ["v"]}),
            &["value.v", "expires_at", "index[]"],
        ),
        (ITEM_REFRESHED, json!({"version": 1, "expires_at": at}), &["expires_at"]),
        (ITEM_DELETED, json!({"namespace": ["NAME"], "key": "NAME"}), &[]),
        (ENTITY_PUT, json!({"name": "NAME", "type": "NAME", "valid_from": at}), &["valid_from"]),
        (
            ENTITY_OBSERVED,
            json!({"entity": "NAME", "observations": ["o"], "valid_from": at}),
            &["observations[]", "valid_from"],
        ),
        (ENTITY_ENDED, json!({"name": "NAME", "valid_until": at, "reason": "r"}), &["valid_until", "reason"]),
        (
            OBSERVATION_ENDED,
            json!({"entity": "NAME", "observations": ["o"], "valid_until": at, "reason": "r"}),
            &["observations[]", "valid_until", "reason"],
        ),
        (
            RELATION_PUT,
            json!({"from": "NAME", "to": "NAME", "type": "NAME", "valid_from": at}),
            &["valid_from"],
        ),
        (
            RELATION_ENDED,
            json!({"from": "NAME", "to": "NAME", "type": "NAME", "valid_until": at, "reason": "r"}),
            &["valid_until", "reason"],
        ),
    ]
}

/// Adds to `found` every text of a payload with the name of its field. Object keys are added only if they are
/// identifiers.
fn texts(value: &Value, field: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((field.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, &format!("{field}[]"), found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if field.is_empty() { "" } else { "." };
                if !name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
                {
                    found.push((format!("{field}{dot}<key>"), name.clone()));
                }
                texts(value, &format!("{field}{dot}{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_type_of_event_says_which_of_its_texts_are_names() {
    let rows: BTreeSet<&str> = IDENTIFIERS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(rows, RESERVED.iter().copied().collect(), "each type the engine writes has one row");
    assert_eq!(rows.len(), IDENTIFIERS.len(), "a type stands there twice");
    let known: BTreeSet<&str> = payloads().iter().map(|(kind, _, _)| *kind).collect();
    assert_eq!(rows, known, "a payload of each type is looked at");
    for (kind, payload, others) in payloads() {
        let mut found = Vec::new();
        texts(&payload, "", &mut found);
        let names: BTreeSet<&str> =
            found.iter().filter(|(_, text)| text == "NAME").map(|(field, _)| field.as_str()).collect();
        assert_eq!(names, identifiers_of(kind).iter().copied().collect(), "{kind}");
        for (field, _) in found.iter().filter(|(_, text)| text != "NAME") {
            assert!(others.contains(&field.as_str()), "{kind}: is {field} a name?");
        }
    }
}

fn written(kind: &str, payload: &Value, name: &str) -> Draft {
    let payload = payload.to_string().replace("NAME", name);
    let draft = Draft {
        kind: kind.into(),
        actor: name.into(),
        project: name.into(),
        session: Some(name.into()),
        causes: Vec::new(),
        payload: RawValue::from_string(payload).unwrap(),
    };
    POLICY.judge_draft(draft, Some(&key()), NOW).unwrap().0
}

#[test]
fn names_in_an_event_stay_two_and_are_nowhere_raw() {
    for (kind, payload, _) in payloads() {
        let [one, again, other] = ["+1 415 555 0132", "+1 415 555 0132", "+1 415 555 0133"]
            .map(|name| written(kind, &payload, name));
        assert_eq!(one.payload.get(), again.payload.get(), "{kind}");
        for judged in [&one, &other] {
            let whole =
                format!("{} {} {:?} {}", judged.actor, judged.project, judged.session, judged.payload);
            assert!(!whole.contains("415 555") && !whole.contains("[PHONE]"), "{kind}: {whole}");
        }
        if !identifiers_of(kind).is_empty() {
            assert_ne!(one.payload.get(), other.payload.get(), "{kind}");
        }
        assert_ne!((&one.project, &one.actor, &one.session), (&other.project, &other.actor, &other.session));
    }
}

#[test]
fn a_file_is_named_by_its_path_and_another_item_by_its_key() {
    let put = |namespace: &str| {
        let payload = json!({"namespace": [namespace], "key": "a/+1 415 555 0132/b", "value": 1});
        let judged = written(ITEM_PUT, &payload, "x");
        serde_json::from_str::<Value>(judged.payload.get()).unwrap()["key"].as_str().unwrap().to_owned()
    };
    for namespace in [memory_tool::NAMESPACE, "n"] {
        let key = put(namespace);
        assert!(key.starts_with("a/[PHONE:") && key.ends_with("]/b"), "{key}");
    }
}

fn put_item(namespace: &[&str], key: &str) -> PutItem {
    serde_json::from_value(
        json!({"namespace": namespace, "key": key, "value": 1, "project": "+1 415 555 0132"}),
    )
    .unwrap()
}

#[test]
fn a_request_is_named_as_its_event_is_and_told_back() {
    let mut request = put_item(&["users", "+1 415 555 0132"], "a@b.io");
    let caller_names = to_stored_names(&POLICY, Some(&key()), &mut request, NOW).unwrap();
    assert!(request.namespace[1].starts_with("[PHONE:") && request.key.starts_with("[EMAIL:"), "{request:?}");
    let write = crate::request::put_item(request.clone()).unwrap();
    let (judged, counts) = POLICY.judge_draft(write.draft.clone(), None, NOW).unwrap();
    assert_eq!(
        (judged.payload.get(), counts.total()),
        (write.draft.payload.get(), 0),
        "the gate has nothing to do"
    );
    let back = caller_names.restore(request);
    assert_eq!((back.namespace[1].as_str(), back.key.as_str()), ("+1 415 555 0132", "a@b.io"));
}

#[test]
fn what_breaks_a_rule_is_not_hidden_in_a_token() {
    let mut request = put_item(&["a@b.io"], "+1 415\n555 0132");
    assert!(
        to_stored_names(&POLICY, Some(&key()), &mut request, NOW).unwrap().0.len() == 1,
        "the project alone"
    );
    assert_eq!((request.namespace[0].as_str(), request.key.as_str()), ("a@b.io", "+1 415\n555 0132"));
    assert!(crate::request::put_item(request).is_err());
}

/// A name of the maximum length is still within the limit in its stored form, although that form is longer.
#[test]
fn a_long_name_fits_as_it_is_stored() {
    let name = format!("{} a@b.io", "x".repeat(249));
    let mut request: CreateEntities =
        serde_json::from_value(json!({"entities": [{"name": name, "entityType": "t"}]})).unwrap();
    assert!(!to_stored_names(&POLICY, Some(&key()), &mut request, NOW).unwrap().is_empty());
    assert!(request.entities[0].name.len() > 256);
    assert!(crate::request::created_entities(request).is_ok());
}

#[test]
fn nothing_is_stored_without_the_key() {
    let mut request: SearchItems =
        serde_json::from_value(json!({"namespace_prefix": ["+1 415 555 0132"]})).unwrap();
    assert_eq!(to_stored_names(&POLICY, None, &mut request, NOW), Err(PseudonymKeyMissing));
    let mut request: SearchItems = serde_json::from_value(json!({"namespace_prefix": ["ana"]})).unwrap();
    assert!(to_stored_names(&POLICY, None, &mut request, NOW).unwrap().is_empty());
}
