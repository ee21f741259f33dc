//! Feedback on memories.

use crate::event::{Draft, FeedbackPayload, MEMORY_FEEDBACK};
use crate::limits::{ACTOR_DEFAULT, NAME_CHARS_MAX, NOTE_CHARS_MAX};
use crate::request::{Refused, name, named};
use crate::wire::GiveFeedback;

/// Validates feedback and returns its event. Does not check whether the memory exists. `project` is the memory's
/// project.
pub fn check(project: String, request: GiveFeedback) -> Result<Draft, Refused> {
    let GiveFeedback { id, useful, rating, query_id, note, session, actor } = request;
    let rating = match (useful, rating) {
        (Some(_), Some(_)) => return Err(Refused::Exclusive("useful", "rating")),
        (None, None) => return Err(Refused::Missing("useful or rating")),
        (Some(useful), None) => {
            if useful {
                1.0
            } else {
                -1.0
            }
        }
        (None, Some(rating)) => rating,
    };
    if !(-1.0..=1.0).contains(&rating) {
        return Err(Refused::Rating);
    }
    if let Some(query) = &query_id {
        name("query_id", query, NAME_CHARS_MAX)?;
    }
    if let Some(note) = &note {
        name("note", note, NOTE_CHARS_MAX)?;
    }
    #[expect(clippy::cast_possible_truncation, reason = "from -1000 to 1000")]
    let rating_milli = (rating * 1000.0).round() as i32;
    let payload = FeedbackPayload { target: id.clone(), rating_milli, query_id, note };
    Ok(Draft {
        kind: MEMORY_FEEDBACK.into(),
        actor: named("actor", actor, ACTOR_DEFAULT)?,
        project,
        session: session.map(|session| named("session", Some(session), "")).transpose()?,
        causes: vec![id],
        payload: serde_json::value::to_raw_value(&payload).expect("strings and a number are always JSON"),
    })
}
