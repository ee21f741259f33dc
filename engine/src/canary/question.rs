//! A question that both revisions are asked, and the newest distinct ones.

use std::collections::VecDeque;

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request};
use axum::middleware::Next;
use axum::response::Response;
use engine_core::digest::Hash;
use engine_core::rollout::pairing::Ended;
use tower::ServiceExt;

use crate::access::Session;

/// Distinct questions that are remembered for repetitions.
const REMEMBERED_MAX: usize = 256;

/// What answers a question in this process.
pub(crate) enum Here {
    /// The route of the client's request, with its caller.
    Route(Box<Parts>, Next),
    /// The routes of reads, as this caller.
    Routes(Router, Session),
}

/// Who asked a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedBy {
    /// A client, just now.
    Client,
    /// A client, before there was a canary.
    Rehearsal,
    /// The engine itself.
    Engine,
}

/// A question that both revisions are asked.
pub(crate) struct Question {
    /// Path and query, without `min_seq`.
    pub(crate) path: String,
    /// What makes it another question: who asks.
    pub(crate) caller: String,
    /// Headers with which the canary is asked.
    pub(crate) headers: HeaderMap,
    pub(crate) here: Here,
    /// How the canary's answer to the client ended, if it was bad.
    pub(crate) ended: Option<Ended>,
    pub(crate) by: AskedBy,
    /// Id of the memory that answers it.
    pub(crate) expected: Option<String>,
}

impl Question {
    /// What tells it apart from others.
    pub(super) fn hash(&self) -> u64 {
        let digest = Hash::of(format!("{}\n{}", self.caller, self.path).as_bytes());
        digest.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Asks in this process, without a cache.
    pub(super) async fn ask_here(&self, min_seq: u64) -> Option<Response> {
        let uri = with_min_seq(&self.path, min_seq).parse().ok()?;
        match &self.here {
            Here::Route(head, next) => {
                let mut head = (**head).clone();
                head.uri = uri;
                let session = head.extensions.get::<Session>().map(Session::compared)?;
                head.extensions.insert(session);
                Some(next.clone().run(Request::from_parts(head, Body::empty())).await)
            }
            Here::Routes(router, session) => {
                let mut request = Request::new(Body::empty());
                *request.uri_mut() = uri;
                request.extensions_mut().insert(session.compared());
                router.clone().oneshot(request).await.ok()
            }
        }
    }
}

/// The query of a request without `min_seq`, and its value; none if a name in it is encoded, so that it cannot be told.
pub(crate) fn without_min_seq(query: &str) -> Option<(String, u64)> {
    let mut kept = Vec::new();
    let mut min_seq = 0;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.contains(['%', '+']) {
            return None;
        }
        match name {
            "min_seq" => min_seq = value.parse().ok()?,
            _ => kept.push(pair),
        }
    }
    Some((kept.join("&"), min_seq))
}

/// The path and query with `min_seq`.
pub(crate) fn with_min_seq(path: &str, min_seq: u64) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}min_seq={min_seq}")
}

/// The newest distinct questions of clients: what was asked, and nothing of who asked it.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    paths: VecDeque<String>,
    next: usize,
}

impl Remembered {
    pub(super) fn add(&mut self, path: &str) {
        if self.paths.iter().any(|known| known == path) {
            return;
        }
        self.paths.push_back(path.to_owned());
        if self.paths.len() > REMEMBERED_MAX {
            self.paths.pop_front();
        }
    }

    /// One after the other, again and again.
    pub(super) fn next(&mut self) -> Option<String> {
        self.next = self.next.wrapping_add(1);
        let at = self.next.checked_rem(self.paths.len())?;
        self.paths.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_that_is_waited_for_is_replaced() {
        let of = |query: &str| without_min_seq(query);
        assert_eq!(of("q=a&min_seq=7&limit=1"), Some(("q=a&limit=1".to_owned(), 7)));
        assert_eq!(of(""), Some((String::new(), 0)));
        assert_eq!(of("min%5fseq=7"), None);
        assert_eq!(of("min_seq=x"), None);
        assert_eq!(with_min_seq("/v1/search?q=a", 3), "/v1/search?q=a&min_seq=3");
        assert_eq!(with_min_seq("/v1/search", 3), "/v1/search?min_seq=3");
    }

    #[test]
    fn distinct_questions_are_remembered_up_to_a_bound() {
        let mut remembered = Remembered::default();
        assert_eq!(remembered.next(), None);
        (0..REMEMBERED_MAX * 2).for_each(|number| remembered.add(&format!("{}", number % 300)));
        assert_eq!(remembered.paths.len(), REMEMBERED_MAX);
        let all: std::collections::BTreeSet<_> =
            (0..REMEMBERED_MAX).filter_map(|_| remembered.next()).collect();
        assert_eq!(all.len(), REMEMBERED_MAX);
    }
}
