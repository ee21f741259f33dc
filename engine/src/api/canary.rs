//! Reads while there is a canary: some of them are answered by it, and both revisions are asked the same questions off
//! the path of clients. Handlers of the admin port for its grant.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use engine_core::access::CallerKind;
use engine_core::rollout::grant::is_chosen;
use engine_core::rollout::pairing::Ended;
use engine_core::rollout::query_pairs::encoded;
use engine_core::rollout::questions::{Asked, QUESTION_BYTES_MAX};
use engine_core::wire::{
    ANSWERED_HEADER, CANARY_ANSWERS, CANARY_COMPARES, CANARY_HEADER, CanaryGrant, CanaryReport,
    REVISION_HEADER, WAITED_HEADER,
};
use jiff::Timestamp;

use super::forward::{passed_on, remove_those_of_one_connection};
use super::heard;
use super::mode::read;
use super::public::PortGate;
use super::state::{Api, COMPARED};
use crate::access::Session;
use crate::canary::{
    AskedBy, Exchange, Here, Plan, Question, Unanswered, ended_by, with_min_seq, without_min_seq,
};
use crate::engine::Engine;
use crate::refusal::Refusal;

/// Largest answer of a canary that is passed on to a client, bytes: more than the largest search.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Header of the session of clients of the Model Context Protocol.
const MCP_SESSION: &str = "mcp-session-id";

/// Responds with what was granted and counted. An engine that follows another one and has no canary says what it has
/// found out about itself.
pub(super) async fn report(State(engine): State<Arc<Engine>>) -> Json<CanaryReport> {
    let report = engine.canary.report();
    let own =
        engine.following().filter(|_| report.revision.is_none()).map(|following| following.own_report());
    Json(own.unwrap_or(report))
}

/// Takes over a grant.
pub(super) async fn grant(
    State(engine): State<Arc<Engine>>,
    body: Body,
) -> Result<Json<CanaryReport>, Refusal> {
    let granted: CanaryGrant = read(body).await?;
    let trust = (engine.has_api_tls(), engine.certificate_directories().to_vec());
    Ok(Json(engine.canary.grant(granted, engine.published.head_seq(), trust)?))
}

/// Ends the grant.
pub(super) async fn end(State(engine): State<Arc<Engine>>) -> Json<CanaryReport> {
    engine.canary.end();
    engine.questions.forget_canary();
    Json(engine.canary.report())
}

/// Answers a request, and records the question if it was answered.
pub(super) async fn compare(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    heard::listen(&api, &mut request);
    let asked = api.engine.questions.is_on().then(|| recordable(&request)).flatten();
    let response = answer(&api, request, next).await;
    if let Some(asked) = asked.filter(|_| response.status() == StatusCode::OK) {
        api.engine.questions.offer(asked);
    }
    response
}

/// The question of a client that may be recorded, with this moment.
fn recordable(request: &Request) -> Option<Asked> {
    let at = Timestamp::now();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    // What another engine asks is no question of a client.
    let is_other = request.headers().contains_key(CANARY_HEADER);
    if request.method() != Method::GET || route != Some(COMPARED) || is_other {
        return None;
    }
    let sent = request.uri().query().filter(|query| query.len() <= QUESTION_BYTES_MAX)?;
    let (mut query, _) = without_min_seq(sent)?;
    // It is asked again for every project: a caller with one project means this one.
    let caller = request.extensions().get::<Session>()?.caller();
    let is_named = query.split('&').any(|pair| pair.starts_with("project="));
    if let Some(only) = caller.only_project().filter(|_| !is_named) {
        query = format!("{query}&project={}", encoded(only));
    }
    Some(Asked { query, at })
}

/// Answers a request here or by the canary, and offers it for comparison.
async fn answer(api: &Api, request: Request, next: Next) -> Response {
    let PortGate(gate) = request.extensions().get().cloned().unwrap_or_default();
    // A request of another engine's comparison goes no further, so that two engines cannot ask each other for ever. No
    // engine asks through the port for clients outside of the cluster.
    if let Some(mark) = request.headers().get(CANARY_HEADER).filter(|_| gate.is_none()) {
        return if mark == CANARY_COMPARES {
            compared(api, request, next).await
        } else {
            next.run(request).await
        };
    }
    let Some(asking) = Asking::of(api, &request) else { return next.run(request).await };
    let (head, body) = request.into_parts();
    let answered = match asking.is_chosen(&head) {
        true => asking.ask_canary(&head).await,
        false => Answered::NotAsked,
    };
    let here = Here::Route(Box::new(head.clone()), next.clone());
    if let Answered::ForClient(response) = answered {
        asking.offer(here, None);
        asking.note("canary");
        return response;
    }
    let response = next.run(Request::from_parts(head, body)).await;
    let ended = match answered {
        Answered::Badly(ended) => Some(ended),
        // Both refuse it in the same way: then it is the client's fault.
        Answered::Refused(status) if status != response.status() => Some(ended_by(status)),
        _ => None,
    };
    asking.note(if ended.is_some() { "fallback" } else { "stable" });
    if response.status() == StatusCode::OK || response.status().is_server_error() {
        asking.offer(here, ended);
    }
    response
}

/// Answers a question that another engine repeats to compare the answers: without a cache, and with its times.
async fn compared(api: &Api, mut request: Request, next: Next) -> Response {
    if let Some(session) = request.extensions().get::<Session>().map(Session::compared) {
        request.extensions_mut().insert(session);
    }
    let started = Instant::now();
    let query = request.uri().query().unwrap_or_default();
    if let Some((_, min_seq)) = without_min_seq(query).filter(|(_, min_seq)| *min_seq > 0) {
        // The handler waits for it too, and says what is wrong.
        let _in_time = api.engine.projection.wait_for(min_seq).await;
    }
    let waited = started.elapsed();
    let mut response = next.run(request).await;
    let answered = started.elapsed().saturating_sub(waited);
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    response.headers_mut().insert(WAITED_HEADER, microseconds(waited).into());
    response.headers_mut().insert(ANSWERED_HEADER, microseconds(answered).into());
    response
}

/// What the canary did with a client's question.
enum Answered {
    NotAsked,
    /// It has an answer.
    ForClient(Response),
    /// It refuses the question with this status.
    Refused(StatusCode),
    Badly(Ended),
}

/// A question of a client while there is a canary.
struct Asking<'a> {
    api: &'a Api,
    plan: Plan,
    /// Path and query, without `min_seq`.
    path: String,
    /// The event that the client has asked for.
    min_seq: u64,
    /// The account of the caller.
    caller: String,
    headers: HeaderMap,
}

impl Asking<'_> {
    /// None if the request is not to be compared: there is no canary, it is another request, or its caller cannot be
    /// recognised by the canary.
    fn of<'a>(api: &'a Api, request: &Request) -> Option<Asking<'a>> {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        if request.method() != Method::GET || route != Some(COMPARED) {
            return None;
        }
        let has_body = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
            .iter()
            .any(|name| request.headers().contains_key(name));
        let caller = request.extensions().get::<Session>()?.caller();
        // A certificate cannot be passed on, and keys that this engine has made are on its volume only.
        let can_be_passed =
            matches!(caller.kind, CallerKind::Anonymous | CallerKind::Key | CallerKind::Token);
        if has_body || !can_be_passed {
            return None;
        }
        // Reads that are off here are off for everybody.
        api.engine.modes.are_reads_on().then_some(())?;
        if let Some(following) = api.engine.following() {
            following.admit_read().ok()?;
        }
        let plan = api.engine.canary.plan()?;
        let (query, min_seq) = without_min_seq(request.uri().query().unwrap_or_default())?;
        let path = format!("{COMPARED}?{query}");
        Some(Asking {
            api,
            plan,
            path,
            min_seq,
            caller: caller.account(),
            headers: passed_on(request.headers()),
        })
    }

    /// Whether the canary answers the session of this request.
    fn is_chosen(&self, head: &Parts) -> bool {
        let sent = head.headers.get(MCP_SESSION).and_then(|value| value.to_str().ok());
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let session = sent.or_else(|| query.split('&').find_map(|pair| pair.strip_prefix("session=")));
        is_chosen(session.unwrap_or(&self.caller), self.plan.weight)
    }

    async fn ask_canary(&self, head: &Parts) -> Answered {
        // Clients read their own writes, also if another pod answers.
        let min_seq = self.min_seq.max(self.api.engine.published.head_seq());
        let mut headers = self.headers.clone();
        headers.insert(CANARY_HEADER, HeaderValue::from_static(CANARY_ANSWERS));
        debug_assert_eq!(head.method, Method::GET);
        match self.plan.target.ask(&with_min_seq(&self.path, min_seq), headers, ANSWER_BYTES_MAX).await {
            Ok(answer) if answer.status == StatusCode::OK => Answered::ForClient(self.response(answer)),
            // It has a limit of requests for this engine, which asks for all clients.
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => Answered::NotAsked,
            Ok(answer) if answer.status.is_client_error() && ended_by(answer.status) == Ended::Error => {
                Answered::Refused(answer.status)
            }
            Ok(answer) => Answered::Badly(ended_by(answer.status)),
            Err(Unanswered::Timeout) => Answered::Badly(Ended::Timeout),
            Err(Unanswered::Fault(fault)) => {
                tracing::debug!(fault, "a canary did not answer");
                Answered::Badly(Ended::Error)
            }
        }
    }

    /// The answer of the canary, for the client.
    fn response(&self, answer: Exchange) -> Response {
        let mut response = Response::new(Body::from(answer.body));
        *response.headers_mut() = answer.headers;
        remove_those_of_one_connection(response.headers_mut());
        if let Ok(revision) = HeaderValue::from_str(&self.plan.revision) {
            response.headers_mut().insert(REVISION_HEADER, revision);
        }
        response
    }

    fn note(&self, by: &'static str) {
        self.api.engine.canary.answered(&self.plan, by);
    }

    fn offer(&self, here: Here, ended: Option<Ended>) {
        self.api.engine.canary.offer(Question {
            path: self.path.clone(),
            caller: self.caller.clone(),
            headers: self.headers.clone(),
            here,
            ended,
            by: AskedBy::Client,
            expected: None,
        });
    }
}
