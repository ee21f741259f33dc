//! Every kind of step with every kind of failure, against a mock API server and a fake engine.

use crds::{LogLevel, LogStatus, MemoryEngine, MemoryEngineSpec, MemoryEngineStatus, NetworkPolicyMode};
use engine_core::wire::{GivenAnchor, Health, IntegrityHealth};
use hyper::Method;
use kube::Client;
use operator_core::{
    names::ChildKind,
    observed::EngineReport,
    plan::{Problem, plan},
    pod::PodView,
    validate::{Essentials, validate},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

use super::*;
use crate::{
    cache::Cache,
    engine_client::EngineClient,
    leader::Leadership,
    metrics::Metrics,
    mock_api::{Fault, MockApi},
    observe::observe,
    options::Options,
};

pub(crate) fn engine() -> MemoryEngine {
    let mut engine = MemoryEngine::new("notes", MemoryEngineSpec::default());
    engine.metadata.namespace = Some("team".into());
    engine.metadata.uid = Some("uid-of-notes".into());
    engine.metadata.generation = Some(1);
    engine
}

/// The context of a leading operator just after its start.
pub(crate) fn context(client: Client) -> (Context, watch::Sender<Leadership>) {
    let options = Options {
        command: None,
        watch_namespace: String::new(),
        engine_image: Some("registry.example/engine:1".into()),
        image: Some("registry.example/operator:1".into()),
        listen: ([127, 0, 0, 1], 0).into(),
        ticket_seconds: 120,
        anchor_writes_per_second: 20,
        log: "info".into(),
        pod_name: "operator-0".into(),
        pod_namespace: "memory-system".into(),
    };
    let metrics = Arc::new(Metrics::new());
    let (leading, leadership) = watch::channel(Leadership::Leading);
    let (cache, _) = Cache::start(&client, None, &metrics);
    (Context::new(client, cache, &options, metrics, leadership), leading)
}

/// One reconcile up to its writes. `change` modifies what was observed, for example the pods, before the plan is made.
async fn reconcile(
    context: &Context,
    engine: &MemoryEngine,
    change: impl FnOnce(&mut Observed),
) -> (Plan, Result<(Observed, Done), Error>) {
    let essentials = Essentials::of(engine);
    let (mut observed, expected) = observe(Arc::new(engine.clone()), &essentials, context).await;
    change(&mut observed);
    let valid = validate(&observed.engine, &context.settings).expect("a valid spec");
    let plan = plan(&observed, &valid, &expected);
    let applied = apply(observed, &plan, context).await;
    (plan, applied)
}

fn said(plan: &Plan) -> Vec<String> {
    plan.writes().map(|write| format!("{} {}", write.verb(), write.key())).collect()
}

/// An API server that stores every child of the engine as the spec requires, and a client of this server.
async fn settled() -> (Client, MockApi) {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client.clone());
    let (_, applied) = reconcile(&context, &engine(), |_| {}).await;
    assert_eq!(applied.expect("it is written").1.problem, None);
    let (plan, _) = reconcile(&context, &engine(), |_| {}).await;
    assert_eq!(plan.steps, [], "planning again gives an empty plan");
    server.take_writes();
    (client, server)
}

/// A test case for one kind of write: the write, the method and path of its request, and the change to the mock API
/// server or to the engine that makes it necessary.
struct Need {
    write: &'static str,
    method: Method,
    path: &'static str,
    make: fn(&MockApi, &mut MemoryEngine),
}

fn needs() -> [Need; 6] {
    let need = |write, method, path, make| Need { write, method, path, make };
    [
        need("create Service/notes", Method::PATCH, "services/notes", |server, _| {
            server.remove("services/notes");
        }),
        need("update ConfigMap/notes-config", Method::PATCH, "configmaps/notes-config", |_, engine| {
            engine.spec.logging.level = LogLevel::Debug;
        }),
        need("repair Service/notes", Method::PATCH, "services/notes", |server, _| {
            server.edit("services/notes", |service| service["spec"]["type"] = json!("NodePort"));
        }),
        need(
            "record PersistentVolumeClaim/notes-data",
            Method::PATCH,
            "persistentvolumeclaims/notes-data",
            |_, engine| engine.status = Some(anchored()),
        ),
        need("release Service/notes", Method::PATCH, "services/notes", |server, _| {
            server.edit("services/notes", |service| {
                let owners = service["metadata"]["ownerReferences"].as_array_mut().expect("owners");
                owners.push(json!({"apiVersion": crds::API_VERSION, "kind": "MemoryEngine", "name": "notes",
                    "uid": "dead"}));
            });
        }),
        need("delete NetworkPolicy/notes", Method::DELETE, "networkpolicies/notes", |_, engine| {
            engine.spec.exposure.network_policy = NetworkPolicyMode::Disabled;
        }),
    ]
}

/// A status with an anchor that is not yet recorded on the claim.
fn anchored() -> MemoryEngineStatus {
    let log = LogStatus {
        log_id: "log-1".into(),
        head_seq: 5,
        origin: Some("memory-engine/log-1".into()),
        size: Some(5),
        root: Some("ab".repeat(32)),
        key: Some("memory-engine/log-1+00000000+AAAA".into()),
        anchored_at: Some("2026-01-02T03:04:05Z".into()),
        ..LogStatus::default()
    };
    MemoryEngineStatus { log: Some(log), ..MemoryEngineStatus::default() }
}

/// The expected result of the reconcile in which a write fails.
enum Expected {
    Failed,
    Refused,
    /// The deletion failed because the object is already gone: this is no problem.
    NoProblem,
}

fn expected(write: &str, fault: Fault) -> Expected {
    match fault {
        Fault::Refused(404, _) if write.starts_with("delete") => Expected::NoProblem,
        Fault::Refused(400 | 403 | 422, _) => Expected::Refused,
        Fault::Unsent | Fault::NoAnswer | Fault::Silent | Fault::Refused(..) => Expected::Failed,
    }
}

const FAULTS: [Fault; 7] = [
    Fault::Unsent,
    Fault::NoAnswer,
    Fault::Refused(409, ""),
    Fault::Refused(500, ""),
    Fault::Refused(403, ""),
    Fault::Refused(422, ""),
    Fault::Refused(404, ""),
];

/// For every kind of write and failure: the result is as expected, and planning again reaches the goal with no more
/// writes than needed.
#[tokio::test]
async fn whatever_happens_to_a_write_planning_again_reaches_the_goal() {
    for need in needs() {
        let goal = goal(&need, None).await;
        for fault in FAULTS {
            assert_eq!(self::goal(&need, Some(fault)).await, goal, "{}: {fault:?}", need.write);
        }
    }
}

/// The stored objects when the plan is empty, that is when nothing is left to write.
async fn goal(need: &Need, fault: Option<Fault>) -> Value {
    let (client, server) = settled().await;
    let (context, _leading) = context(client);
    let mut engine = engine();
    (need.make)(&server, &mut engine);
    if let Some(fault) = fault {
        server.fail_next(need.method.clone(), need.path, fault);
    }
    let request = |writes: &[String]| writes.iter().filter(|write| write.ends_with(need.path)).count();

    let (plan, applied) = reconcile(&context, &engine, |_| {}).await;
    let what = format!("{}: {fault:?}: {:?}", need.write, said(&plan));
    assert!(said(&plan).iter().any(|write| write == need.write), "{what}");
    assert!(server.has_failed(), "{what}");
    let (observed, done) = applied.expect("the operator leads");
    let written = done.written.iter().any(|key| need.write.ends_with(&key.to_string()));
    match (fault.map(|fault| expected(need.write, fault)), &done.problem) {
        (None | Some(Expected::NoProblem), None) => assert!(written, "{what}"),
        (Some(Expected::Failed), Some(Problem::Failed { key, .. }))
        | (Some(Expected::Refused), Some(Problem::Refused { key, .. })) => {
            assert!(need.write.ends_with(&key.to_string()) && !written, "{what}");
        }
        (_, problem) => panic!("{what}: {problem:?}"),
    }
    drop(observed);
    assert_eq!(request(&server.take_writes()), 1, "{what}: one attempt in each reconcile");

    let (plan, applied) = reconcile(&context, &engine, |_| {}).await;
    assert_eq!(applied.expect("the operator leads").1.problem, None, "{what}");
    let again = said(&plan).iter().any(|write| write == need.write);
    // If only the response was lost, the write took effect: the operator reads the object and does not repeat the
    // write.
    let taken = matches!(fault, None | Some(Fault::NoAnswer));
    let seen = need.method != Method::DELETE || fault.is_none();
    assert!(again != taken || !seen, "{what}: then {:?}", said(&plan));
    let (plan, _) = reconcile(&context, &engine, |_| {}).await;
    assert_eq!(plan.steps, [], "{what}");
    json!(server.objects())
}

/// Someone else writes between the operator's observation and its write: the operator does not overwrite what they
/// created or changed.
#[tokio::test]
async fn what_changed_since_it_was_seen_is_left_alone() {
    let foreign = json!({"metadata": {"name": "notes", "namespace": "team", "uid": "theirs", "resourceVersion": "1"},
        "spec": {"type": "ExternalName"}});
    let (client, server) = settled().await;
    let (context, _leading) = context(client);
    server.remove("services/notes");
    let path = "/api/v1/namespaces/team/services/notes";
    let (plan, applied) = reconcile(&context, &engine(), |_| server.make(path, &foreign)).await;
    assert_eq!(said(&plan), ["create Service/notes"]);
    assert!(matches!(applied.expect("the operator leads").1.problem, Some(Problem::Failed { .. })));
    assert_eq!(server.object(path), Some(foreign));
    let (plan, _) = reconcile(&context, &engine(), |_| {}).await;
    assert_eq!((plan.steps.len(), plan.conflicts.len()), (0, 1), "the next reconcile detects the owner");

    for need in needs().into_iter().skip(4) {
        let (client, server) = settled().await;
        let (context, _leading) = self::context(client);
        let mut engine = engine();
        (need.make)(&server, &mut engine);
        let change = |_: &mut Observed| {
            server.edit(need.path, |object| object["metadata"]["labels"]["by"] = json!("somebody"));
        };
        let (plan, applied) = reconcile(&context, &engine, change).await;
        assert_eq!(said(&plan), [need.write]);
        assert!(applied.is_ok());
        let object = server.object(need.path).expect("it is still there");
        assert_eq!(object["metadata"]["labels"]["by"], "somebody", "{}", need.write);
        let (plan, _) = reconcile(&context, &engine, |_| {}).await;
        assert_eq!(said(&plan), [need.write], "decided again");
        assert_eq!(reconcile(&context, &engine, |_| {}).await.0.steps, []);
    }
}

/// A namespace that is being deleted accepts no new objects. The operator reports no problem of the engine and skips
/// the rest of the plan.
#[tokio::test]
async fn the_end_of_the_namespace_ends_the_reconcile() {
    let (client, server) = MockApi::start();
    let (context, _leading) = context(client);
    server.fail_next(Method::PATCH, "configmaps/notes-config", Fault::Refused(403, "NamespaceTerminating"));
    let (plan, applied) = reconcile(&context, &engine(), |_| {}).await;
    assert!(matches!(applied, Err(Error::NamespaceEnding)));
    assert_eq!(server.take_writes().len(), 4, "of {}", plan.steps.len());
}

/// An operator that may have lost its Lease writes nothing more, even in the middle of a plan.
#[tokio::test]
async fn without_the_lease_nothing_is_written() {
    let (client, server) = MockApi::start();
    let (context, leading) = context(client);
    for state in [Leadership::Standby, Leadership::Uncertain, Leadership::Lost] {
        leading.send_replace(state);
        let (_, applied) = reconcile(&context, &engine(), |_| {}).await;
        assert!(matches!(applied, Err(Error::NotLeading)), "{state:?}");
        assert_eq!(server.take_writes(), [""; 0], "{state:?}");
    }
}

/// After a problem, the later steps are skipped, except for records of the log. An object whose wait has not ended is
/// not written.
#[tokio::test]
async fn an_object_that_is_held_is_not_sent() {
    let (client, server) = settled().await;
    let (context, _leading) = context(client);
    let mut engine = engine();
    engine.spec.logging.level = LogLevel::Debug;
    engine.status = Some(anchored());
    let key = ChildKey { kind: ChildKind::ConfigMap, name: "notes-config".into() };
    let problem = Problem::Refused { key, why: "a quota".into() };
    let wait = std::time::Duration::from_secs(60);
    context.attempts.hold("team/notes", Some(1), problem.clone(), wait, Instant::now());
    let (_, applied) = reconcile(&context, &engine, |_| {}).await;
    assert_eq!(applied.expect("the operator leads").1.problem, Some(problem));
    let writes = server.take_writes();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert!(writes[0].ends_with("notes-data") && writes[1].ends_with("notes-anchor"), "{writes:?}");
}

/// Someone reverts every repair: the operator stops repairing when it reaches the bound.
#[tokio::test]
async fn repairs_are_bounded() {
    let (client, server) = settled().await;
    let (context, _leading) = context(client);
    let mut problems = Vec::new();
    for _ in 0..8 {
        server.edit("services/notes", |service| service["spec"]["type"] = json!("NodePort"));
        // Without the result of its own write, the operator reads the object from the server each time.
        let key = ChildKey { kind: ChildKind::Service, name: "notes".into() };
        context.cache.forget("team", &key);
        let (_, applied) = reconcile(&context, &engine(), |_| {}).await;
        problems.push(applied.expect("the operator leads").1.problem);
    }
    assert_eq!(server.take_writes().len(), 6);
    assert_eq!(problems[..6], [const { None }; 6]);
    assert!(matches!(problems[7], Some(Problem::Contested { .. })), "{problems:?}");
}

/// A fake engine that responds to one request with `answer` and closes the connection. Returns its port.
pub(crate) async fn engine_that_says(answer: Option<String>) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.expect("a request");
        if let Some(answer) = answer {
            stream.write_all(answer.as_bytes()).await.expect("the answer is read");
        }
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (port, task)
}

pub(crate) fn http(code: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {code}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Sets the engine to running, without an anchor and without a fault.
pub(crate) fn runs(observed: &mut Observed) {
    let pod = PodView {
        name: "notes-0".into(),
        ip: Some("127.0.0.1".into()),
        ready: true,
        running: true,
        ..PodView::default()
    };
    observed.writer_mut().pod = Some(pod);
    observed.writer_mut().report = EngineReport::Answered(Box::new(report()));
}

fn report() -> Health {
    let checkpoint = json!({"origin": "memory-engine/log-1", "size": 5, "root": "ab".repeat(32),
        "key": "memory-engine/log-1+00000000+AAAA", "note": ""});
    let report = json!({
        "version": "1", "status": "ok", "started_at": "2026-01-02T03:04:05Z",
        "log": {"id": "log-1", "seq": 5, "hash": "cd".repeat(32), "recovered_torn_bytes": 0,
            "checkpoint": checkpoint, "integrity": IntegrityHealth::default()},
        "projection": {"applied_seq": 5, "lag": 0, "state": "ready"},
        "storage": {"capacity_bytes": 1, "available_bytes": 1, "writable": true},
    });
    serde_json::from_value(report).expect("a report")
}

/// Pushing the anchor: a failure is no problem of the plan, and the push is planned again. If the push succeeds, the
/// status is based on what the engine found, good or bad.
#[tokio::test]
async fn an_anchor_is_pushed_until_the_engine_acknowledges_it() {
    let (client, server) = settled().await;
    let (mut context, _leading) = context(client);
    let mut engine = engine();
    engine.status = Some(anchored());
    // Writes the claim and the ConfigMap first, so that the push is the only step left.
    let (_, applied) = reconcile(&context, &engine, |_| {}).await;
    assert_eq!(applied.expect("the operator leads").1.problem, None);
    server.take_writes();

    let mut healthy = json!(IntegrityHealth::default());
    healthy["anchor"] = json!({"origin": "memory-engine/log-1", "size": 5, "root": "ab".repeat(32)});
    let mut another = healthy.clone();
    another["anchor"]["origin"] = json!("memory-engine/log-2");
    let mut faulty = healthy.clone();
    faulty["fault"] = json!({"kind": "truncated", "message": "shorter", "seq": 0});
    let checks = [
        ("the answer is lost", None, false),
        ("500", Some(http("500 Internal Server Error", &json!({}))), false),
        ("403", Some(http("403 Forbidden", &json!({}))), false),
        ("404", Some(http("404 Not Found", &json!({}))), false),
        ("another form", Some(http("200 OK", &json!([]))), false),
        ("no anchor", Some(http("200 OK", &json!(IntegrityHealth::default()))), false),
        ("another anchor", Some(http("200 OK", &another)), false),
        ("409", Some(http("409 Conflict", &faulty)), true),
        ("200", Some(http("200 OK", &healthy)), true),
    ];
    let mut pushed = 0;
    for (what, answer, acknowledged) in checks {
        let (port, said) = engine_that_says(answer).await;
        context.engines = EngineClient::new(port);
        let (plan, applied) = reconcile(&context, &engine, runs).await;
        assert!(matches!(plan.pushed_anchor(), Some(GivenAnchor::Known { .. })), "{what}");
        assert_eq!(plan.steps.len(), 1, "{what}");
        let (observed, done) = applied.expect("the operator leads");
        assert_eq!((done, observed.anchor_acknowledged), (Done::default(), acknowledged), "{what}");
        let EngineReport::Answered(health) = &observed.writer().report else {
            panic!("{what}: the report is gone")
        };
        assert_eq!(health.log.integrity.fault.is_some(), what == "409", "{what}");
        assert!(said.await.expect("a request").starts_with("POST /anchor "), "{what}");
        pushed += 1;
    }
    // Nothing listens at this address: the call fails before it reaches an engine.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    context.engines = EngineClient::new(listener.local_addr().expect("an address").port());
    drop(listener);
    let (_, applied) = reconcile(&context, &engine, runs).await;
    assert!(!applied.expect("the operator leads").0.anchor_acknowledged);
    assert_eq!(context.metrics.report_failures.get(), 6);
    assert_eq!((pushed, server.take_writes()), (9, vec![]), "nothing is written because of it");
}
