//! Computes the changes to the projection that follow from an event. The changes depend on the events only, not on a
//! clock or any other input, so that everyone who folds the same log gets the same projection.

use crate::digest::Salt;
use crate::event::{
    FeedbackPayload, ForgottenPayload, Idempotency, InvalidationPayload, LOG_PSEUDONYMS_KEYED,
    MEMORY_FEEDBACK, MEMORY_FORGOTTEN, MEMORY_INVALIDATED, MEMORY_SAVED, MemoryPayload,
    RETRIEVAL_WEIGHTS_SET,
};
use crate::format::EventLine;
pub use crate::records::{Feedback, Forgotten, Invalidation, Memory, Request, Setting};
use crate::row::Row;
pub use crate::unexpected_payload::UnexpectedPayload;
use crate::unexpected_payload::shaped;
use crate::words::{make_normal, normal_form};
use crate::{graph, item};

/// Version of [`fold`] and of the tables it feeds. A projection built by another version is rebuilt from the log.
pub const PROJECTION_VERSION: u32 = 5;

/// One change to the projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds a memory.
    PutMemory(Box<Memory>),
    /// Ends the validity of a memory.
    PutInvalidation(Box<Invalidation>),
    /// Adds a rating of a memory.
    PutFeedback(Feedback),
    /// Records that an event was forgotten.
    PutForgotten(Forgotten),
    /// Records that a request with an idempotency key was carried out.
    PutRequest(Request),
    /// Changes a setting.
    PutSetting(Setting),
    /// Adds a row as it is: for an item or for the graph.
    PutRow(Row),
    /// Removes everything that was derived from the payloads of these events, given by id. Their rows are deleted; of a
    /// request only the idempotency key is kept. The result equals the projection of a log in which these payloads were
    /// already missing.
    Forget(Vec<String>),
}

/// The changes that follow from one event, in order.
pub fn fold(line: &EventLine<'_>) -> Result<Vec<Change>, UnexpectedPayload> {
    let mut changes = Vec::new();
    // An event whose payload was forgotten gives no rows of its own.
    if let Some(payload) = line.payload() {
        match &*line.envelope.kind {
            MEMORY_SAVED => {
                let memory = memory(line, payload)?;
                let mentions = graph::mentions(line, &memory.payload.entities);
                changes.push(Change::PutMemory(Box::new(memory)));
                changes.extend(mentions.into_iter().map(Change::PutRow));
            }
            MEMORY_INVALIDATED => {
                changes.push(Change::PutInvalidation(Box::new(invalidation(line, payload)?)));
            }
            MEMORY_FORGOTTEN => {
                let forgotten: ForgottenPayload = shaped(line, payload, MEMORY_FORGOTTEN)?;
                changes.push(Change::Forget(forgotten.targets.clone()));
                changes.extend(each_forgotten(line, forgotten).map(Change::PutForgotten));
            }
            RETRIEVAL_WEIGHTS_SET => changes.push(set(line, RETRIEVAL_WEIGHTS_SET, payload)),
            LOG_PSEUDONYMS_KEYED => changes.push(set(line, LOG_PSEUDONYMS_KEYED, payload)),
            MEMORY_FEEDBACK => changes.push(Change::PutFeedback(feedback(line, payload)?)),
            _ => {
                changes.extend(item::row(line, payload)?.map(Change::PutRow));
                changes.extend(graph::rows(line, payload)?.into_iter().map(Change::PutRow));
            }
        }
    }
    if let Some(idempotency) = &line.envelope.idempotency {
        changes.push(Change::PutRequest(request(line, idempotency)));
    }
    Ok(changes)
}

fn set(line: &EventLine<'_>, name: &'static str, payload: &str) -> Change {
    let (seq, id, value) = (line.envelope.seq, line.envelope.id.to_string(), payload.to_owned());
    Change::PutSetting(Setting { seq, id, name, value })
}

fn memory(line: &EventLine<'_>, payload: &str) -> Result<Memory, UnexpectedPayload> {
    let envelope = &line.envelope;
    let mut payload: MemoryPayload = shaped(line, payload, MEMORY_SAVED)?;
    payload.tags.iter_mut().chain([&mut payload.kind]).for_each(make_normal);
    let occurred_at = payload.occurred_at.unwrap_or(envelope.time);
    Ok(Memory {
        seq: envelope.seq,
        id: envelope.id.to_string(),
        hash: line.hash,
        project: normal_form(&envelope.project).into_owned(),
        actor: normal_form(&envelope.actor).into_owned(),
        session: envelope.session.as_deref().map(|session| normal_form(session).into_owned()),
        created_at: envelope.time,
        occurred_at,
        // A memory about a future event is valid as soon as it is saved, so that it is found before the event happens.
        valid_from: payload.valid_from.unwrap_or(occurred_at.min(envelope.time)),
        payload,
    })
}

fn invalidation(line: &EventLine<'_>, payload: &str) -> Result<Invalidation, UnexpectedPayload> {
    let envelope = &line.envelope;
    let payload: InvalidationPayload = shaped(line, payload, MEMORY_INVALIDATED)?;
    Ok(Invalidation {
        seq: envelope.seq,
        id: envelope.id.to_string(),
        created_at: envelope.time,
        target: payload.target,
        valid_until: payload.valid_until.unwrap_or(envelope.time),
        reason: payload.reason,
        superseded_by: payload.superseded_by,
    })
}

fn feedback(line: &EventLine<'_>, payload: &str) -> Result<Feedback, UnexpectedPayload> {
    let envelope = &line.envelope;
    let payload: FeedbackPayload = shaped(line, payload, MEMORY_FEEDBACK)?;
    Ok(Feedback {
        seq: envelope.seq,
        id: envelope.id.to_string(),
        created_at: envelope.time,
        target: payload.target,
        rating_milli: payload.rating_milli,
        query_id: payload.query_id,
    })
}

fn each_forgotten(line: &EventLine<'_>, payload: ForgottenPayload) -> impl Iterator<Item = Forgotten> {
    let (seq, id, created_at) = (line.envelope.seq, line.envelope.id.to_string(), line.envelope.time);
    let seqs = payload.seqs.into_iter().map(Some).chain(std::iter::repeat(None));
    payload.targets.into_iter().zip(seqs).map(move |(target, target_seq)| Forgotten {
        target,
        target_seq,
        seq,
        id: id.clone(),
        created_at,
    })
}

fn request(line: &EventLine<'_>, idempotency: &Idempotency) -> Request {
    Request {
        idempotency: idempotency.clone(),
        // If the salt was forgotten, the key stays used, but no later request can be recognised as a repetition.
        salt: line.salt().unwrap_or(Salt::FORGOTTEN),
        id: line.envelope.id.to_string(),
        first_seq: line.envelope.batch_first_seq(),
        last_seq: line.envelope.seq,
        hash: line.hash,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::value::RawValue;

    use super::*;
    use crate::digest::Hash;
    use crate::event::Draft;
    use crate::format::{Header, Unsealed};
    use crate::recovery::Link;

    /// Encodes one event, decodes it, and returns the result of folding it.
    fn check(
        kind: &str,
        payload: &str,
        batch: [u32; 2],
        keyed: bool,
    ) -> Result<Vec<Change>, UnexpectedPayload> {
        let draft = Draft {
            kind: kind.into(),
            actor: "a".into(),
            project: "p".into(),
            session: None,
            causes: Vec::new(),
            payload: RawValue::from_string(payload.into()).unwrap(),
        };
        let salt = Salt([1; 16]);
        let idempotency = keyed.then(|| Idempotency::new("key".into(), salt, b"request"));
        let time = Timestamp::from_second(7).unwrap();
        let unsealed = Unsealed { draft: &draft, id: "id".into(), time, salt, batch, idempotency };
        let header = Header { prev_seq: 9, ..Header::first("log".into(), time) };
        let mut line = Vec::new();
        unsealed.seal_after(&Link::after_header(&header, Hash::ZERO), 9, &mut line);
        fold(&EventLine::decode(line.strip_suffix(b"\n").unwrap()).unwrap())
    }

    #[test]
    fn a_saved_memory_can_be_read() {
        let changes = check(MEMORY_SAVED, r#"{"content":"c","type":"note"}"#, [1, 1], false).unwrap();
        let [Change::PutMemory(memory)] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((memory.seq, memory.payload.content.as_str()), (10, "c"));
        assert_eq!(memory.occurred_at, memory.created_at, "unless it says otherwise");
        let dated = r#"{"content":"c","type":"note","occurred_at":"2026-01-01T00:00:00Z"}"#;
        let changes = check(MEMORY_SAVED, dated, [1, 1], false).unwrap();
        let [Change::PutMemory(memory)] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(memory.occurred_at.to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn a_memory_is_true_from_the_earliest_moment_it_tells_of() {
        let from = |times: &str| {
            let payload = format!(r#"{{"content":"c","type":"note"{times}}}"#);
            let changes = check(MEMORY_SAVED, &payload, [1, 1], false).unwrap();
            let [Change::PutMemory(memory)] = changes.as_slice() else { panic!("{changes:?}") };
            memory.valid_from.to_string()
        };
        assert_eq!(from(""), "1970-01-01T00:00:07Z");
        assert_eq!(from(r#","occurred_at":"1969-01-01T00:00:00Z""#), "1969-01-01T00:00:00Z");
        assert_eq!(from(r#","occurred_at":"2026-01-01T00:00:00Z""#), "1970-01-01T00:00:07Z");
        let said = r#","occurred_at":"1969-01-01T00:00:00Z","valid_from":"2026-01-01T00:00:00Z""#;
        assert_eq!(from(said), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn an_invalidation_ends_now_unless_it_says_otherwise() {
        let until = |payload: &str| {
            let changes = check(MEMORY_INVALIDATED, payload, [1, 1], false).unwrap();
            let [Change::PutInvalidation(end)] = changes.as_slice() else { panic!("{changes:?}") };
            (end.target.clone(), end.valid_until.to_string())
        };
        assert_eq!(until(r#"{"target":"x"}"#), ("x".into(), "1970-01-01T00:00:07Z".into()));
        let said = r#"{"target":"x","valid_until":"1969-01-01T00:00:00Z","reason":"r"}"#;
        assert_eq!(until(said).1, "1969-01-01T00:00:00Z");
        assert!(check(MEMORY_INVALIDATED, "{}", [1, 1], false).is_err());
    }

    #[test]
    fn what_is_forgotten_is_known_by_its_ids() {
        let changes =
            check(MEMORY_FORGOTTEN, r#"{"targets":["x","y"],"seqs":[3],"reason":"r"}"#, [1, 1], false)
                .unwrap();
        let [Change::Forget(ids), Change::PutForgotten(x), Change::PutForgotten(y)] = changes.as_slice()
        else {
            panic!("{changes:?}")
        };
        assert_eq!((ids.len(), x.target_seq, y.target_seq, x.seq), (2, Some(3), None, 10));
    }

    #[test]
    fn feedback_is_kept_without_its_words() {
        let said = r#"{"target":"x","rating_milli":-500,"query_id":"q","note":"n"}"#;
        let changes = check(MEMORY_FEEDBACK, said, [1, 1], false).unwrap();
        let [Change::PutFeedback(feedback)] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((feedback.target.as_str(), feedback.rating_milli), ("x", -500));
    }

    #[test]
    fn a_key_stands_for_its_whole_batch() {
        let changes = check("other", "{}", [3, 3], true).unwrap();
        let [Change::PutRequest(request)] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((request.first_seq, request.last_seq), (8, 10));
        assert!(request.is_for(b"request") && !request.is_for(b"another"));
    }

    #[test]
    fn other_events_change_nothing_and_a_foreign_payload_is_named() {
        assert_eq!(check("other", r#"{"content":"c","type":"note"}"#, [1, 1], false), Ok(Vec::new()));
        assert_eq!(
            check(MEMORY_SAVED, r#"{"content":1}"#, [1, 1], false),
            Err(UnexpectedPayload { seq: 10, kind: MEMORY_SAVED })
        );
    }
}
