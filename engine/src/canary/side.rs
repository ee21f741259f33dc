//! What one revision did with a question, as its answer says.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use engine_core::rollout::pairing::{Answer, Ended};
use engine_core::wire::{ANSWERED_HEADER, ErrorCode, WAITED_HEADER};
use serde_json::Value;

use super::target::{Exchange, Unanswered};

/// Results that are compared.
const COMPARED: usize = 10;
/// First results among which a known item has to be.
const RECALLED: usize = 5;
/// Time beyond that of the answer itself that is attributed to the network. What takes longer is the canary's.
const NETWORK_MAX: Duration = Duration::from_millis(50);

/// What one revision did with a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Side {
    pub(super) ended: Ended,
    pub(super) status: Option<StatusCode>,
    /// Number of the last event that the answer reflects; none without an answer.
    pub(super) applied_seq: Option<u64>,
    /// Whether the projection did not reach the event that was asked for in time.
    pub(super) is_behind: bool,
    pub(super) degraded: bool,
    seconds: f64,
    /// The first results.
    pub(super) ids: Vec<String>,
}

impl Side {
    /// There is no answer.
    pub(super) fn without_answer(ended: Ended) -> Side {
        Side {
            ended,
            status: None,
            applied_seq: None,
            is_behind: false,
            degraded: false,
            seconds: 0.0,
            ids: Vec::new(),
        }
    }

    /// It was not asked.
    pub(super) fn not_asked() -> Side {
        Side { is_behind: true, ..Side::without_answer(Ended::Error) }
    }

    /// Reads an answer that took so long.
    pub(super) fn of_answer(status: StatusCode, body: &[u8], elapsed: Duration) -> Side {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let items = body["items"].as_array();
        let applied_seq = body["applied_seq"].as_u64().filter(|_| status.is_success());
        let ids = items.into_iter().flatten().take(COMPARED).filter_map(|item| item["id"].as_str());
        Side {
            // An answer that says nothing of its state is none of an engine.
            ended: if applied_seq.is_some() { Ended::Answered } else { ended_by(status) },
            status: Some(status),
            applied_seq,
            is_behind: body["error"]["code"] == ErrorCode::ProjectionBehind.as_str(),
            degraded: body["degraded"].as_array().is_some_and(|lanes| !lanes.is_empty()),
            seconds: elapsed.as_secs_f64(),
            ids: ids.map(str::to_owned).collect(),
        }
    }

    /// Reads what became of a question to a canary.
    pub(super) fn of_canary(asked: &Result<Exchange, Unanswered>) -> Side {
        match asked {
            Ok(Exchange { status, headers, body, elapsed }) => {
                Side::of_answer(*status, body, own_time(headers, *elapsed))
            }
            Err(Unanswered::Timeout) => Side::without_answer(Ended::Timeout),
            Err(Unanswered::Fault(_)) => Side::without_answer(Ended::Error),
        }
    }

    /// Whether it says nothing about the revision. A limit of requests is that of the configuration: an engine that
    /// asks for many clients has one address.
    fn is_left_out(&self) -> bool {
        self.is_behind || self.status == Some(StatusCode::TOO_MANY_REQUESTS)
    }

    /// How long the answer took, milliseconds; none without an answer.
    pub(super) fn milliseconds(&self) -> Option<f64> {
        (self.ended == Ended::Answered).then_some(self.seconds * 1_000.0)
    }

    /// The half of a pair. What has no answer counts as given at the event `otherwise`.
    pub(super) fn half(&self, otherwise: u64, expected: Option<&str>) -> Answer {
        let is_first = |id: &str| self.ids.iter().take(RECALLED).any(|found| found == id);
        Answer {
            // An answer at an event that nobody asked for is not comparable.
            applied_seq: if self.is_left_out() { u64::MAX } else { self.applied_seq.unwrap_or(otherwise) },
            ended: self.ended,
            degraded: self.degraded,
            seconds: self.seconds,
            // A comparison is never answered from a cache.
            cache_hit: None,
            recalled: expected.filter(|_| self.ended == Ended::Answered).map(is_first),
        }
    }

    /// How many of ten results both have; none if neither has results, or one has no answer. Shorter lists count in
    /// proportion.
    pub(super) fn overlap(&self, other: &Side) -> Option<u32> {
        let longest = self.ids.len().max(other.ids.len());
        let both_answered = [self, other].iter().all(|side| side.ended == Ended::Answered);
        if longest == 0 || !both_answered {
            return None;
        }
        let same = self.ids.iter().filter(|id| other.ids.contains(id)).count();
        u32::try_from(same * COMPARED / longest).ok()
    }
}

/// How a read with an answer of this status ended.
pub(crate) fn ended_by(status: StatusCode) -> Ended {
    match status {
        // It would not even try for this caller, whom this engine has recognised and answered.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ended::Fallback,
        _ => Ended::Error,
    }
}

/// How long the revision worked on an answer: without its wait for an event, which is that of replication, and without
/// the network, through which the answers of this engine do not go.
fn own_time(headers: &HeaderMap, elapsed: Duration) -> Duration {
    let microseconds = |name: &str| headers.get(name)?.to_str().ok()?.parse().ok();
    let waited = microseconds(WAITED_HEADER).map(Duration::from_micros).unwrap_or_default();
    let elapsed = elapsed.saturating_sub(waited);
    let answered = microseconds(ANSWERED_HEADER).map(Duration::from_micros);
    answered.filter(|answered| elapsed.saturating_sub(*answered) <= NETWORK_MAX).unwrap_or(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(ids: &[&str]) -> Side {
        let items: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id })).collect();
        let body = serde_json::json!({"items": items, "applied_seq": 7}).to_string();
        Side::of_answer(StatusCode::OK, body.as_bytes(), Duration::from_millis(3))
    }

    #[test]
    fn short_lists_overlap_in_proportion() {
        let of = |one: &[&str], other: &[&str]| answered(one).overlap(&answered(other));
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&["a"], &["a"]), Some(10));
        assert_eq!(of(&["a", "b"], &["b", "c"]), Some(5));
        assert_eq!(of(&["a"], &[]), Some(0), "a revision that finds nothing disagrees");
        assert_eq!(answered(&["a"]).overlap(&Side::without_answer(Ended::Error)), None);
    }

    #[test]
    fn what_is_no_answer_of_an_engine_is_an_error() {
        let of = |status, body: &str| Side::of_answer(status, body.as_bytes(), Duration::ZERO).ended;
        assert_eq!(of(StatusCode::OK, r#"{"applied_seq": 1}"#), Ended::Answered);
        assert_eq!(of(StatusCode::OK, "hello"), Ended::Error);
        assert_eq!(of(StatusCode::INTERNAL_SERVER_ERROR, r#"{"applied_seq": 1}"#), Ended::Error);
        assert_eq!(of(StatusCode::UNAUTHORIZED, ""), Ended::Fallback);
        let behind = Side::of_answer(
            StatusCode::SERVICE_UNAVAILABLE,
            br#"{"error": {"code": "PROJECTION_BEHIND"}}"#,
            Duration::ZERO,
        );
        assert_eq!(behind.half(7, None).applied_seq, u64::MAX, "not comparable");
        let limited = Side::of_answer(StatusCode::TOO_MANY_REQUESTS, b"", Duration::ZERO);
        assert_eq!(limited.half(7, None).applied_seq, u64::MAX, "a limit of requests says nothing");
    }

    #[test]
    fn the_network_is_not_the_revisions_fault() {
        let mut headers = HeaderMap::new();
        headers.insert(WAITED_HEADER, 1_000_000.into());
        headers.insert(ANSWERED_HEADER, 2_000.into());
        assert_eq!(own_time(&headers, Duration::from_millis(1_010)), Duration::from_millis(2));
        let long = own_time(&headers, Duration::from_millis(1_100));
        assert_eq!(long, Duration::from_millis(100), "but what the revision does not measure is");
        assert_eq!(own_time(&HeaderMap::new(), Duration::from_millis(5)), Duration::from_millis(5));
    }

    #[test]
    fn a_known_item_has_to_be_among_the_first_five() {
        let side = answered(&["a", "b", "c", "d", "e", "f"]);
        assert_eq!(side.half(1, Some("e")).recalled, Some(true));
        assert_eq!(side.half(1, Some("f")).recalled, Some(false));
        assert_eq!(side.half(1, None).recalled, None);
    }
}
