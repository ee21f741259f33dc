//! The caches, fed by a mock API server: a list, then events, errors and another list.

use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Response,
    body::{Bytes, Frame},
};
use serde_json::{Value, json};

use super::*;
use crate::mock_api::{self, Handle};

/// The sender of a watch's events.
type Events = UnboundedSender<Result<Frame<Bytes>, std::io::Error>>;

/// The Services to list, and how many list requests fail first.
#[derive(Default)]
struct Lists {
    services: Vec<Value>,
    failures: u32,
    served: u32,
}

/// The mock server, its cache, and the engines that the cache reports.
struct World {
    cache: Cache,
    lists: Arc<Mutex<Lists>>,
    watches: UnboundedReceiver<Events>,
    touched: UnboundedReceiver<Touched>,
    metrics: Arc<Metrics>,
}

fn service(version: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "notes", "namespace": "team", "uid": "uid", "resourceVersion": version.to_string(),
            "labels": {ENGINE_LABEL: "notes"}, "managedFields": [{"manager": "somebody"}]},
    })
}

fn written(version: u32) -> Arc<DynamicObject> {
    Arc::new(serde_json::from_value(service(version)).expect("a Service"))
}

fn key() -> ChildKey {
    ChildKey { kind: ChildKind::Service, name: "notes".into() }
}

/// Responds to lists and watches until the test ends. Kinds other than Services have no objects and no events.
async fn serve(mut handle: Handle, lists: Arc<Mutex<Lists>>, watches: UnboundedSender<Events>) {
    let mut silent = Vec::new();
    while let Some((request, reply)) = handle.next_request().await {
        let query = request.uri().query().unwrap_or_default();
        assert!(query.contains("labelSelector=app.kubernetes.io%2Fmanaged-by%3Dmemory-operator"), "{query}");
        let is_service = request.uri().path().ends_with("/services");
        if query.contains("watch=true") {
            let (events, stream) = mpsc::unbounded();
            reply.send_response(Response::new(StreamBody::new(stream).boxed_unsync()));
            if is_service {
                let _ = watches.unbounded_send(events);
            } else {
                silent.push(events);
            }
            continue;
        }
        let mut lists = lists.lock().expect("no test panics while it holds the lock");
        if is_service && lists.failures > 0 {
            lists.failures -= 1;
            reply.send_response(mock_api::refused(500, ""));
            continue;
        }
        lists.served += u32::from(is_service);
        let items = if is_service { lists.services.clone() } else { Vec::new() };
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "10"}, "items": items});
        reply.send_response(mock_api::response(200, &list));
    }
}

impl World {
    /// A filled cache. The list of Services succeeds after `failures` failures and contains `services`.
    async fn filled(services: Vec<Value>, failures: u32) -> Self {
        let lists = Arc::new(Mutex::new(Lists { services, failures, served: 0 }));
        let (client, handle) = mock_api::client();
        let (events, watches) = mpsc::unbounded();
        tokio::spawn(serve(handle, lists.clone(), events));
        let metrics = Arc::new(Metrics::new());
        let (cache, mut stream) = Cache::start(&client, None, &metrics);
        let (sender, touched) = mpsc::unbounded();
        tokio::spawn(async move {
            while let Some(engine) = stream.next().await {
                let _ = sender.unbounded_send(engine);
            }
        });
        cache.filled().await.expect("every kind is listed");
        Self { cache, lists, watches, touched, metrics }
    }

    async fn watch(&mut self) -> Events {
        self.watches.next().await.expect("the server runs")
    }

    /// Waits until the cache reports that children of the engine changed.
    async fn is_touched(&mut self) {
        let touched = tokio::time::timeout(Duration::from_secs(60), self.touched.next()).await;
        assert_eq!(touched.expect("a change is reported"), Some(("team".to_owned(), "notes".to_owned())));
    }

    /// The resourceVersion of the Service in the cache.
    fn version(&self) -> Option<u64> {
        self.cache.child("team", &key()).map(|object| version(&object))
    }

    fn failures(&self) -> u64 {
        self.metrics.watch_failures.with_label_values(&["Service"]).get()
    }
}

fn send(events: &Events, kind: &str, object: &Value) {
    let line = format!("{}\n", json!({"type": kind, "object": object}));
    events.unbounded_send(Ok(Frame::data(line.into()))).expect("there is a watch");
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_and_what_happens_after_it_is_known() {
    let mut world = World::filled(vec![service(5)], 0).await;
    world.is_touched().await;
    assert_eq!(world.version(), Some(5));
    let object = world.cache.child("team", &key()).expect("it is listed");
    assert_eq!(object.metadata.managed_fields, None, "managed fields are removed");
    assert_eq!(world.cache.child("people", &key()), None);

    let events = world.watch().await;
    send(&events, "MODIFIED", &service(11));
    world.is_touched().await;
    assert_eq!(world.version(), Some(11));
    send(&events, "DELETED", &service(12));
    world.is_touched().await;
    assert_eq!(world.version(), None);
}

/// A write is visible at once, until the watch returns the same or a newer version.
#[tokio::test(start_paused = true)]
async fn an_own_write_counts_until_the_watch_has_caught_up() {
    let mut world = World::filled(vec![service(5)], 0).await;
    world.is_touched().await;
    let events = world.watch().await;
    world.cache.remember("team", &key(), written(13));
    assert_eq!(world.version(), Some(13));
    send(&events, "MODIFIED", &service(12));
    world.is_touched().await;
    assert_eq!(world.version(), Some(13), "the event is older than the write");
    send(&events, "MODIFIED", &service(13));
    world.is_touched().await;
    assert_eq!(world.version(), Some(13));
    send(&events, "MODIFIED", &service(14));
    world.is_touched().await;
    assert_eq!(world.version(), Some(14));
    // The response to a write arrives after the event of a later change.
    world.cache.remember("team", &key(), written(13));
    assert_eq!(world.version(), Some(14));
}

#[tokio::test(start_paused = true)]
async fn an_own_write_that_the_watch_never_shows_is_believed_for_a_while() {
    let mut world = World::filled(vec![], 0).await;
    let _events = world.watch().await;
    world.cache.remember("team", &key(), written(13));
    tokio::time::advance(OWN_WRITE_SECONDS_MAX).await;
    assert_eq!(world.version(), Some(13));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(world.version(), None, "it was deleted before the watch returned it");
}

#[tokio::test(start_paused = true)]
async fn after_an_own_deletion_the_watch_alone_counts() {
    let mut world = World::filled(vec![service(5)], 0).await;
    world.is_touched().await;
    world.cache.remember("team", &key(), written(13));
    world.cache.forget("team", &key());
    assert_eq!(world.version(), Some(5));
    let events = world.watch().await;
    send(&events, "DELETED", &service(14));
    world.is_touched().await;
    assert_eq!(world.version(), None);
}

/// The server no longer has the events since the cache's last version. The cache lists everything again and removes
/// objects that were deleted in the meantime.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_old_begins_with_a_list() {
    let mut world = World::filled(vec![service(5)], 0).await;
    world.is_touched().await;
    let events = world.watch().await;
    world.lists.lock().expect("a lock").services = vec![];
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old resource version"});
    send(&events, "ERROR", &gone);
    let events = world.watch().await;
    assert_eq!((world.version(), world.failures()), (None, 1));
    assert_eq!(world.lists.lock().expect("a lock").served, 2);
    send(&events, "ADDED", &service(15));
    world.is_touched().await;
    assert_eq!(world.version(), Some(15));
}

/// When a connection breaks, the watch continues from its last version without listing again.
#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_off_goes_on() {
    let mut world = World::filled(vec![service(5)], 0).await;
    world.is_touched().await;
    let events = world.watch().await;
    let broken = std::io::Error::other("the connection was reset");
    events.unbounded_send(Err(broken)).expect("there is a watch");
    drop(events);
    let events = world.watch().await;
    assert_eq!((world.version(), world.failures()), (Some(5), 1), "the known state stays");
    assert_eq!(world.lists.lock().expect("a lock").served, 1);
    send(&events, "MODIFIED", &service(16));
    world.is_touched().await;
    assert_eq!(world.version(), Some(16));
}

/// Until every kind was listed once, no object is reported as missing.
#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_tried_again_before_anything_is_decided() {
    let mut world = World::filled(vec![service(5)], 3).await;
    world.is_touched().await;
    assert_eq!((world.version(), world.failures()), (Some(5), 3));
    // If the list never succeeds, waiting for the cache returns an error instead of an empty cache.
    let (client, handle) = mock_api::client();
    tokio::spawn(async move {
        let mut handle = handle;
        while let Some((_, reply)) = handle.next_request().await {
            reply.send_error("no connection");
        }
    });
    let (cache, stream) = Cache::start(&client, None, &Arc::new(Metrics::new()));
    let pump = tokio::spawn(stream.for_each(|_| std::future::ready(())));
    assert!(cache.filled().await.is_err());
    pump.abort();
}
