//! A mock API server behind a `kube` client, for tests. It stores objects like a real API server, as far as the
//! operator depends on it, and fails the requests that a test selects.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{Method, Request, Response, StatusCode, body::Bytes};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// The service to which the client sends its requests. The test responds through the handle.
pub(crate) type Service = tower_test::mock::Mock<Request<Body>, Answer>;
pub(crate) type Handle = tower_test::mock::Handle<Request<Body>, Answer>;
/// A response with a complete or a streamed body.
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// A client, and the handle that receives its requests.
pub(crate) fn client() -> (Client, Handle) {
    let (service, handle): (Service, Handle) = tower_test::mock::pair();
    (Client::new(service, "default"), handle)
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request does not reach the server.
    Unsent,
    /// The server carries out the request, but its response is lost.
    NoAnswer,
    /// The server answers neither this request nor any after it.
    Silent,
    /// The server refuses the request with this HTTP code and cause.
    Refused(u16, &'static str),
}

/// The objects by path, and a record of the requests.
#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    faults: Vec<(Method, String, Fault)>,
    requests: Vec<String>,
}

/// A handle of the mock server.
#[derive(Clone, Default)]
pub(crate) struct MockApi(Arc<Mutex<State>>);

impl MockApi {
    /// Starts a server. Returns a client of it, and the handle of the server, which runs while a client exists.
    pub(crate) fn start() -> (Client, Self) {
        let server = Self::default();
        (server.client(), server)
    }

    /// Another client of the same server.
    pub(crate) fn client(&self) -> Client {
        let (client, mut handle) = client();
        let answering = self.clone();
        tokio::spawn(async move {
            while let Some((request, reply)) = handle.next_request().await {
                match answering.answer(request).await {
                    Some(response) => reply.send_response(response),
                    None => reply.send_error("the connection was closed"),
                }
            }
        });
        client
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// Makes the next request with this method fail whose path ends with `path`.
    pub(crate) fn fail_next(&self, method: Method, path: &str, fault: Fault) {
        self.state().faults.push((method, path.to_owned(), fault));
    }

    /// Whether every requested fault has occurred.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().faults.is_empty()
    }

    /// The writes since the last call of this function: method and path of each.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.state().requests);
        requests.into_iter().filter(|request| !request.starts_with("GET ")).collect()
    }

    /// The requests since the last call of this function, or of [`MockApi::take_writes`]: method and path of each.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// Every object, without the fields that only contain the time of the write.
    pub(crate) fn objects(&self) -> BTreeMap<String, Value> {
        let mut objects = self.state().objects.clone();
        for object in objects.values_mut() {
            object["metadata"]["resourceVersion"] = Value::Null;
        }
        objects
    }

    /// The object whose path ends with `path`.
    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.state().objects.iter().find(|(at, _)| at.ends_with(path)).map(|(_, object)| object.clone())
    }

    /// Changes an object, as someone else would.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version.to_string();
        let (_, object) =
            state.objects.iter_mut().find(|(at, _)| at.ends_with(path)).expect("the object is there");
        change(object);
        object["metadata"]["resourceVersion"] = version.into();
    }

    /// Creates an object, as someone else would.
    pub(crate) fn make(&self, path: &str, object: &Value) {
        self.state().objects.insert(path.to_owned(), object.clone());
    }

    /// Removes an object, as someone else would.
    pub(crate) fn remove(&self, path: &str) {
        self.state().objects.retain(|at, _| !at.ends_with(path));
    }

    /// Records a request, and returns the fault that it has.
    fn due(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut state = self.state();
        state.requests.push(format!("{method} {path}"));
        let due = state.faults.iter().position(|(of, at, _)| of == method && path.ends_with(at));
        due.map(|index| state.faults.remove(index).2)
    }

    /// Handles one request. Returns the response, or `None` if a fault loses it.
    async fn answer(&self, request: Request<Body>) -> Option<Answer> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("the body of a request").to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let path = parts.uri.path().trim_end_matches("/status").to_owned();
        let fault = self.due(&parts.method, &path);
        if fault == Some(Fault::Silent) {
            return std::future::pending().await;
        }
        let mut state = self.state();
        match fault {
            Some(Fault::Unsent | Fault::Silent) => return None,
            Some(Fault::Refused(code, cause)) => return Some(refused(code, cause)),
            Some(Fault::NoAnswer) | None => {}
        }
        let answered = match parts.method {
            Method::GET => state.objects.get(&path).cloned().ok_or(404),
            Method::PATCH => state.patch(&path, body, How::of(&parts)),
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or("generated").to_owned();
                state.patch(&format!("{path}/{name}"), body, How::Create)
            }
            Method::DELETE => state.delete(&path, &body),
            _ => Err(405),
        };
        match (fault, answered) {
            (Some(_), _) => None,
            (None, Ok(object)) => Some(response(200, &object)),
            (None, Err(code)) => Some(refused(code, "")),
        }
    }
}

/// How a request writes an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Create,
    /// Server-side apply without force.
    Apply,
    /// Server-side apply with force.
    Force,
    /// A merge patch. Strategic merge patches are treated in the same way: the lists that the operator patches are
    /// replaced.
    Merge,
}

impl How {
    fn of(request: &hyper::http::request::Parts) -> Self {
        let kind =
            request.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.contains("apply-patch") {
            true if request.uri.query().is_some_and(|query| query.contains("force=true")) => Self::Force,
            true => Self::Apply,
            false => Self::Merge,
        }
    }
}

impl State {
    fn patch(&mut self, path: &str, mut patch: Value, how: How) -> Result<Value, u16> {
        let before = self.objects.get(path).cloned();
        match (how, before.is_some()) {
            (How::Merge, false) => return Err(404),
            (How::Create, true) => return Err(409),
            _ => {}
        }
        self.version += 1;
        let made = json!({"metadata": {"uid": format!("uid-{}", self.version), "generation": 1}});
        let mut after = before.clone().unwrap_or(made);
        for field in ["uid", "resourceVersion"] {
            let metadata = patch.get_mut("metadata").and_then(Value::as_object_mut);
            let expected = metadata.and_then(|metadata| metadata.remove(field)).unwrap_or_default();
            if !expected.is_null() && expected != after["metadata"][field] {
                return Err(409);
            }
        }
        if how == How::Apply && before.as_ref().is_some_and(|before| contradicts(before, &patch)) {
            return Err(409);
        }
        // Every entry of the operator's Secrets is its own: an apply removes those that it no longer has.
        let is_secret = matches!(how, How::Apply | How::Force) && path.contains("/secrets/");
        if let (true, Some(live), Some(wanted)) =
            (is_secret, after.get_mut("data").and_then(Value::as_object_mut), patch["data"].as_object())
        {
            live.retain(|key, _| wanted.contains_key(key));
        }
        merge(&mut after, &patch);
        if before.as_ref() != Some(&after) {
            after["metadata"]["resourceVersion"] = self.version.to_string().into();
            self.objects.insert(path.to_owned(), after.clone());
        }
        Ok(after)
    }

    fn delete(&mut self, path: &str, options: &Value) -> Result<Value, u16> {
        let object = self.objects.get(path).ok_or(404_u16)?;
        for field in ["uid", "resourceVersion"] {
            let expected = &options["preconditions"][field];
            if !expected.is_null() && *expected != object["metadata"][field] {
                return Err(409);
            }
        }
        self.objects.remove(path);
        Ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
    }
}

/// Whether `live` has a field of `patch` with another value. In an apply without force, this is a conflict: another
/// field manager owns the field.
fn contradicts(live: &Value, patch: &Value) -> bool {
    match (live, patch) {
        (Value::Object(live), Value::Object(patch)) => {
            patch.iter().any(|(key, value)| live.get(key).is_some_and(|live| contradicts(live, value)))
        }
        (live, patch) => !live.is_null() && live != patch,
    }
}

fn merge(live: &mut Value, patch: &Value) {
    match (live, patch) {
        (Value::Object(live), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    live.remove(key);
                } else {
                    merge(live.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (live, patch) => *live = patch.clone(),
    }
}

/// A response with this HTTP code and body.
pub(crate) fn response(code: u16, body: &Value) -> Answer {
    let body = Full::from(body.to_string()).map_err(|never| match never {}).boxed_unsync();
    let status = StatusCode::from_u16(code).expect("a code of HTTP");
    Response::builder().status(status).body(body).expect("an answer")
}

/// An error response of the API server with this HTTP code and cause.
pub(crate) fn refused(code: u16, cause: &str) -> Answer {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "Made up",
    };
    response(
        code,
        &json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": format!("made up: {code}"),
            "details": {"causes": [{"reason": cause, "message": "", "field": ""}]},
        }),
    )
}
