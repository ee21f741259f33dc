//! Searches of requests that are something else: contexts for prompts, and calls of tools. This engine answers them,
//! and the same search is a question for both revisions, and for the record of questions.

use std::sync::Arc;

use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use engine_core::access::CallerKind;
use engine_core::rollout::query_pairs::write;
use engine_core::rollout::questions::{Asked, QUESTION_BYTES_MAX};
use engine_core::wire::CANARY_HEADER;
use jiff::Timestamp;

use super::forward::passed_on;
use super::own_reads;
use super::state::{Api, COMPARED};
use crate::access::{AccessControl, Listener, Session};
use crate::canary::{AskedBy, Here, Question};
use crate::engine::Engine;

/// Routes whose requests may search.
const HEARD: [&str; 3] = ["/mcp", "/mcp/", "/v1/checkout"];

/// One such request.
#[derive(Debug)]
struct Heard {
    engine: Arc<Engine>,
    control: Arc<AccessControl>,
    session: Session,
    /// Headers with which the canary is asked.
    headers: HeaderMap,
}

/// Listens to a request that may search, while somebody wants to know.
pub(super) fn listen(api: &Api, request: &mut Request) {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let is_wanted = api.engine.questions.is_on() || api.engine.canary.plan().is_some();
    if !is_wanted
        || route.is_none_or(|route| !HEARD.contains(&route))
        || request.headers().contains_key(CANARY_HEADER)
    {
        return;
    }
    let Some(session) = request.extensions().get::<Session>().cloned() else { return };
    let mut headers = passed_on(&HeaderMap::new());
    if let Some(key) = request.headers().get(header::AUTHORIZATION) {
        headers.insert(header::AUTHORIZATION, key.clone());
    }
    let (engine, control) = (Arc::clone(&api.engine), Arc::clone(&api.control));
    let heard = Heard { engine, control, session: session.clone(), headers };
    request.extensions_mut().insert(session.heard_by(Arc::new(heard)));
}

impl Listener for Heard {
    fn searched(&self, parameters: &[(String, String)]) {
        let query = write(parameters);
        if query.len() > QUESTION_BYTES_MAX {
            return;
        }
        self.record(parameters, &query);
        self.offer(&query);
    }
}

impl Heard {
    fn record(&self, parameters: &[(String, String)], query: &str) {
        let is_named = parameters.iter().any(|(name, _)| name == "project");
        let only = self.session.caller().only_project().filter(|_| !is_named);
        let only = only.map(|project| format!("&{}", write(&[("project".to_owned(), project.to_owned())])));
        let query = format!("{query}{}", only.unwrap_or_default());
        self.engine.questions.offer(Asked { query, at: Timestamp::now() });
    }

    fn offer(&self, query: &str) {
        let caller = self.session.caller();
        // A certificate cannot be passed on, and keys that this engine has made are on its volume only.
        let can_be_passed =
            matches!(caller.kind, CallerKind::Anonymous | CallerKind::Key | CallerKind::Token);
        if !can_be_passed || self.engine.canary.plan().is_none() {
            return;
        }
        let routes = own_reads(Arc::clone(&self.engine), Arc::clone(&self.control));
        self.engine.canary.offer(Question {
            path: format!("{COMPARED}?{query}"),
            caller: caller.account(),
            headers: self.headers.clone(),
            here: Here::Routes(routes, self.session.repeated()),
            ended: None,
            by: AskedBy::Client,
            expected: None,
        });
    }
}
