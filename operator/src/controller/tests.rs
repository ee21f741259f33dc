//! Whole reconciles with an engine that fails or lies at one call, over real sockets. Nothing is written because of it
//! except the status, the status says what is wrong, and the engine recovers.

use std::time::{Duration, Instant};

use crds::{EngineMode, MemoryEngineStatus};
use engine_core::{
    mode::Mode,
    wire::{ArchiveHealth, ArchiveState, IntegrityFault, IntegrityFaultKind, Teller},
};
use operator_core::names::{ENGINE_CONTAINER, FORCE_MODE_ANNOTATION};
use serde_json::{Value, json};

use super::*;
use crate::{
    apply::tests::{context, engine},
    engine_client::EngineClient,
    fake_engine::{Call, FakeEngine, Fault, MARKER, checkpoint},
    mock_api::MockApi,
};

mod expected;
mod rollouts;

use expected::{Conditions, afterwards, cause, while_failing};

const RESOURCE: &str = "/apis/memoryengine.io/v1alpha1/namespaces/team/memoryengines/notes";
/// Longest reconcile with one call that fails: the timeout of a call, and time for a machine that is busy.
const RECONCILE_TIME_MAX: Duration = Duration::from_secs(6);
/// Reconciles in a row with a fault.
const TURNS: usize = 3;
/// Reconciles in which a new engine is anchored and has its mode: each record needs the status before it.
const SETTLE_TURNS_MAX: usize = 8;
/// Reconciles in which an engine that is well again must have recovered.
const RECOVERY_TURNS_MAX: usize = 4;

/// The faults that end at once. An engine that hangs or is slow is tested beside them, because each of its calls takes
/// the complete timeout.
const FAULTS: [Fault; 13] = [
    Fault::Refused,
    Fault::Reset,
    Fault::Half,
    Fault::Garbage,
    Fault::Noise,
    Fault::Shape,
    Fault::Empty,
    Fault::TooLarge,
    Fault::Status(401),
    Fault::Status(404),
    Fault::Status(409),
    Fault::Status(500),
    Fault::Status(503),
];

/// An operator, an API server and a running engine. `call` is needed in each reconcile until it succeeds.
struct World {
    context: Context,
    _leading: watch::Sender<Leadership>,
    server: MockApi,
    fake: FakeEngine,
    call: Call,
}

impl World {
    async fn new(call: Call) -> Self {
        let (client, server) = MockApi::start();
        let mut resource = json!(engine());
        resource["metadata"]["resourceVersion"] = json!("1");
        if call == Call::Backup {
            resource["spec"]["backup"] = json!({"destination": {"volume": {"claimName": "archive"}}});
        }
        server.make(RESOURCE, &resource);
        let fake = FakeEngine::start().await;
        fake.change(|health| {
            let archive = ArchiveHealth { state: ArchiveState::Archiving, ..ArchiveHealth::default() };
            health.archive = (call == Call::Backup).then_some(archive);
        });
        let (context, leading) = context(client.clone());
        let mut world = Self { context, _leading: leading, server, fake, call };
        world.reconcile().await;
        world.run(client);
        if call != Call::Checkpoint {
            world.settle().await;
        }
        match call {
            Call::Health | Call::Upkeep => {}
            // An engine with its mode, so that the checkpoint is the only other call.
            Call::Checkpoint => world.fake.change(|health| {
                let mode = health.mode.as_mut().expect("a mode");
                let told_by = Teller { uid: engine().metadata.uid.unwrap_or_default(), generation: 1 };
                (mode.wanted, mode.effective, mode.told_by) =
                    (Mode::ReadWrite, Mode::ReadWrite, Some(told_by));
            }),
            Call::Anchor => world.fake.change(|health| health.log.integrity.anchor = None),
            Call::Mode => {
                let mode = json!(EngineMode::WriteOnly);
                world.server.edit(RESOURCE, |resource| resource["spec"]["mode"] = mode);
            }
            Call::Backup => {
                let request = json!({"request": "job-1"});
                world.server.edit("configmaps/notes-backup", |map| map["data"] = request);
            }
            Call::Hold => {
                let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(10);
                let hold = json!({"mode": "WriteOnly", "reason": "a test", "by": "somebody", "until": until});
                let annotations = json!({FORCE_MODE_ANNOTATION: hold.to_string()});
                world.server.edit(RESOURCE, |resource| resource["metadata"]["annotations"] = annotations);
            }
        }
        world.server.take_writes();
        world.fake.take_requests();
        world
    }

    /// Starts the pod, as Kubernetes does, and a new operator, which reads every object again.
    fn run(&mut self, client: Client) {
        self.server.edit("statefulsets/notes", |set| {
            set["status"] = json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
                "currentRevision": "a", "updateRevision": "a"});
        });
        self.server.edit("persistentvolumeclaims/notes-data", |claim| {
            claim["spec"]["storageClassName"] = json!("standard");
            claim["status"] = json!({"phase": "Bound", "capacity": {"storage": "10Gi"}});
        });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "notes-0", "namespace": "team", "labels": {"controller-revision-hash": "a"}},
            "status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": ENGINE_CONTAINER, "ready": true, "state": {"running": {}}}]},
        });
        (self.context, self._leading) = context(client);
        self.context.engines = EngineClient::new(self.fake.port);
        self.context.cache.show_pod(serde_json::from_value(pod).expect("a pod"));
    }

    async fn reconcile(&self) -> MemoryEngineStatus {
        let stored = self.server.object(RESOURCE).expect("the resource exists");
        let engine: MemoryEngine = serde_json::from_value(stored).expect("a resource");
        let started = Instant::now();
        let result = reconcile(Arc::new(engine), &self.context).await.expect("the status is written");
        assert!(result.problem.is_none(), "{:?}", result.problem);
        assert!(started.elapsed() < RECONCILE_TIME_MAX, "{:?}", started.elapsed());
        self.status()
    }

    fn status(&self) -> MemoryEngineStatus {
        let stored = self.server.object(RESOURCE).expect("the resource exists");
        serde_json::from_value(stored["status"].clone()).expect("a status")
    }

    /// Reconciles until nothing is left to do.
    async fn settle(&self) {
        for _ in 0..SETTLE_TURNS_MAX {
            self.server.take_writes();
            let status = self.reconcile().await;
            let is_done = is(&status, &afterwards(Call::Health)) && self.server.take_writes().is_empty();
            self.fake.take_requests();
            if is_done {
                return;
            }
        }
        panic!("{:?}", self.status().conditions);
    }

    /// Reconciles several times with a fault. `says` are the conditions; the message of the first one contains `cause`.
    /// Returns the status.
    async fn suffer(&self, what: &str, fault: Fault, says: &Conditions, cause: &str) -> MemoryEngineStatus {
        let anchor = anchor_of(&self.status());
        for turn in 0..TURNS {
            // Again in each turn: a port that was closed for one call opens for the report.
            self.fake.fail(Some((self.call, fault))).await;
            let status = self.reconcile().await;
            assert!(is(&status, says), "{what}: {turn}: {:?}", status.conditions);
            let message = message(&status, says[0].0);
            assert!(message.contains(cause), "{what}: {message}");
            assert_eq!(anchor_of(&status), anchor, "{what}: the anchor is as before");
            check_text(&json!(status), what);
            let (writes, requests) = (self.server.take_writes(), self.fake.take_requests());
            let allowed =
                |write: &String| write == &format!("PATCH {RESOURCE}") || write.ends_with("/events");
            assert!(writes.iter().all(allowed), "{what}: {writes:?}");
            self.check_requests(what, fault, requests);
        }
        self.status()
    }

    /// Each call is made once in a reconcile, and the call that fails is made in each.
    fn check_requests(&self, what: &str, fault: Fault, mut requests: Vec<String>) {
        let is_refused = matches!(fault, Fault::Refused);
        if matches!(fault, Fault::Lie(_) | Fault::Conflict(_) | Fault::ContentType) {
            assert_eq!(requests.first().map(String::as_str), Some("GET /health"), "{what}");
            let count = requests.len();
            requests.sort();
            requests.dedup();
            assert_eq!(requests.len(), count, "{what}: {requests:?}");
            return;
        }
        let mut expected = vec![Call::Health.request()];
        if self.call != Call::Health {
            expected.push(self.call.request());
        }
        // A refused connection carries no request.
        expected.truncate(expected.len() - usize::from(is_refused));
        assert_eq!(requests, expected, "{what}");
    }

    /// Reconciles with the engine well again, until everything is as it should be.
    async fn recover(&self, what: &str) {
        self.fake.fail(None).await;
        let says = afterwards(self.call);
        for _ in 0..RECOVERY_TURNS_MAX {
            let status = self.reconcile().await;
            if is(&status, &says) && !message(&status, "LogIntegrity").contains("; the engine ") {
                return;
            }
        }
        panic!("{what}: {:?}", self.status().conditions);
    }
}

fn find<'a>(
    status: &'a MemoryEngineStatus,
    kind: &str,
) -> &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
    status.conditions.iter().find(|c| c.type_ == kind).expect("every condition is always there")
}

fn message<'a>(status: &'a MemoryEngineStatus, kind: &str) -> &'a str {
    &find(status, kind).message
}

fn is(status: &MemoryEngineStatus, says: &Conditions) -> bool {
    says.iter().all(|(kind, wanted)| {
        let found = find(status, kind);
        format!("{}/{}", found.status, found.reason) == *wanted
    })
}

fn anchor_of(status: &MemoryEngineStatus) -> Value {
    let log = json!(status.log);
    json!([
        log["origin"],
        log["size"],
        log["root"],
        log["key"],
        log["acceptedRollbacks"].as_array().map_or(0, Vec::len)
    ])
}

/// Every text of a status fits into the CRD and can be printed.
fn check_text(value: &Value, what: &str) {
    match value {
        Value::String(text) => {
            assert!(text.chars().count() <= 4096, "{what}: {text}");
            assert!(!text.chars().any(char::is_control), "{what}: {text:?}");
        }
        Value::Array(items) => items.iter().for_each(|item| check_text(item, what)),
        Value::Object(fields) => fields.values().for_each(|item| check_text(item, what)),
        _ => {}
    }
}

/// Every fault of one call, each followed by a recovery.
async fn every_fault(call: Call) {
    for fault in FAULTS.into_iter().chain([Fault::Redirect]) {
        let world = World::new(call).await;
        let what = format!("{call:?}: {fault:?}");
        let status = world.suffer(&what, fault, &while_failing(call), cause(call, fault)).await;
        assert!(!json!(status).to_string().contains(MARKER), "{what}");
        world.recover(&what).await;
    }
    let slow = [Fault::Hang, Fault::Drip].map(async |fault| {
        let world = World::new(call).await;
        let what = format!("{call:?}: {fault:?}");
        world.suffer(&what, fault, &while_failing(call), cause(call, fault)).await;
        world.recover(&what).await;
    });
    futures::future::join_all(slow).await;
    // What counts is the content: an answer that is right in everything else is taken.
    let world = World::new(call).await;
    world.fake.fail(Some((call, Fault::ContentType))).await;
    let status = world.reconcile().await;
    assert_eq!(find(&status, "Stalled").status, "False");
    world.recover("another content type").await;
}

#[tokio::test]
async fn an_engine_whose_report_fails_is_left_alone() {
    every_fault(Call::Health).await;
}

#[tokio::test]
async fn a_checkpoint_that_fails_moves_no_anchor() {
    every_fault(Call::Checkpoint).await;
}

#[tokio::test]
async fn an_anchor_that_an_engine_does_not_take_over_is_said() {
    every_fault(Call::Anchor).await;
}

#[tokio::test]
async fn a_mode_that_an_engine_does_not_take_over_is_said() {
    every_fault(Call::Mode).await;
}

#[tokio::test]
async fn a_hold_that_an_engine_does_not_take_over_is_said() {
    every_fault(Call::Hold).await;
}

#[tokio::test]
async fn a_backup_that_nobody_takes_is_asked_for_again() {
    every_fault(Call::Backup).await;
}

/// How an answer is changed.
type Change = fn(&mut Value);

/// A lie at one call, the conditions that it causes, and a part of the message of the first one.
type Lie = (&'static str, Call, Change, Conditions, &'static str);

const fn bad_log(reason: &'static str) -> Conditions {
    [("LogIntegrity", reason), ("Ready", reason)]
}

const UNREACHABLE: Conditions = [("Ready", "Unknown/EngineUnreachable"), ("LogIntegrity", "True/Anchored")];
const FINE: Conditions = [("Ready", "True/Serving"), ("LogIntegrity", "True/Anchored")];
const PENDING: Conditions = [("ReadsEnabled", "False/ModePending"), ("Ready", "False/ModePending")];

/// A long text with control characters.
fn long() -> Value {
    json!("\u{1b}[2J long\r\n".repeat(1000))
}

fn lies_of_reports() -> Vec<Lie> {
    let lie = |what, change: Change, says, contains| (what, Call::Health, change, says, contains);
    vec![
        lie("another log", |it| it["log"]["id"] = json!("log-2"), bad_log("False/ForeignLog"), "log-2"),
        lie("an older head", |it| it["log"]["seq"] = json!(3), bad_log("False/LogTruncated"), "has 3 events"),
        lie(
            "another history",
            |it| it["log"]["checkpoint"]["root"] = json!("ef".repeat(32)),
            bad_log("False/LogRewritten"),
            "did not sign",
        ),
        lie("an earlier start", |it| it["started_at"] = json!("2020-01-01T00:00:00Z"), FINE, ""),
        lie("told by another resource", |it| it["mode"]["told_by"]["uid"] = json!("another"), FINE, ""),
        lie("told by an older generation", |it| it["mode"]["told_by"]["generation"] = json!(0), FINE, ""),
        lie("the largest numbers", largest, FINE, ""),
        lie("a negative number", |it| it["log"]["seq"] = json!(-1), UNREACHABLE, "cannot be parsed"),
        lie("a number too large", |it| it["log"]["seq"] = json!(1e30), UNREACHABLE, "cannot be parsed"),
        lie("a long version", |it| it["version"] = long(), FINE, ""),
        lie("a long id", |it| it["log"]["id"] = long(), UNREACHABLE, "log.id"),
        lie("a long hash", |it| it["log"]["hash"] = long(), UNREACHABLE, "log.hash"),
        lie("a long key", |it| it["log"]["checkpoint"]["key"] = long(), UNREACHABLE, "checkpoint.key"),
        lie("a word that is long", |it| it["projection"]["state"] = long(), UNREACHABLE, "cannot be parsed"),
        lie("a long reason", long_reason, FINE, ""),
        lie("a long fault", long_fault, bad_log("False/LogCorrupt"), "Bring back a volume"),
    ]
}

fn largest(report: &mut Value) {
    let most = json!(u64::MAX);
    report["log"]["seq"] = most.clone();
    report["log"]["recovered_torn_bytes"] = most.clone();
    report["log"]["integrity"]["verified_through"] = most.clone();
    for field in ["applied_seq", "lag"] {
        report["projection"][field] = most.clone();
    }
    for field in ["capacity_bytes", "available_bytes"] {
        report["storage"][field] = most.clone();
    }
}

fn long_reason(report: &mut Value) {
    report["projection"]["rebuild"] = json!({"applied_seq": 1, "head_seq": 2, "reason": long()});
}

fn long_fault(report: &mut Value) {
    let message = "\u{1b}[2J long\r\n".repeat(1000);
    let (kind, seq) = (IntegrityFaultKind::Corrupt, 0);
    let fault = IntegrityFault { kind, message, seq, segment: None, line: None, byte: None };
    report["log"]["integrity"]["fault"] = json!(fault);
}

fn lies_of_answers() -> Vec<Lie> {
    let checkpoints =
        |what, change: Change, reason, contains| (what, Call::Checkpoint, change, bad_log(reason), contains);
    let anchors = |what, change: Change| {
        (what, Call::Anchor, change, while_failing(Call::Anchor), "its answer names another anchor")
    };
    let modes =
        |what, change: Change| (what, Call::Mode, change, PENDING, "has not taken over the mode write_only");
    let holds = |what, change: Change| (what, Call::Hold, change, PENDING, "has not taken over the mode");
    vec![
        checkpoints(
            "another log",
            |it| it["checkpoint"] = json!(checkpoint("log-2", 5)),
            "False/ForeignLog",
            "log-2",
        ),
        checkpoints(
            "another size",
            |it| it["checkpoint"]["size"] = json!(6),
            "False/CheckpointInvalid",
            "does not match",
        ),
        checkpoints(
            "another root",
            |it| it["checkpoint"]["root"] = json!("ef".repeat(32)),
            "False/CheckpointInvalid",
            "does not match",
        ),
        checkpoints(
            "no key",
            |it| it["checkpoint"]["key"] = json!("key"),
            "False/CheckpointInvalid",
            "cannot be read",
        ),
        checkpoints(
            "no note",
            |it| it["checkpoint"]["note"] = long(),
            "False/CheckpointInvalid",
            "is refused",
        ),
        anchors("no anchor", |it| it["anchor"] = json!(null)),
        anchors("an older anchor", |it| it["anchor"]["size"] = json!(4)),
        anchors("another root", |it| it["anchor"]["root"] = json!("ef".repeat(32))),
        anchors("another log", |it| it["anchor"]["origin"] = json!("memory-engine/log-2")),
        modes("the mode before", |it| it["wanted"] = json!("read_write")),
        modes("more than is wanted", |it| it["effective"] = json!("read_write")),
        modes("told by another resource", |it| it["told_by"]["uid"] = json!("another")),
        modes("told by nobody", |it| it["told_by"] = json!(null)),
        holds("no hold", |it| it["declared"] = json!(null)),
        holds("another hold", |it| it["declared"]["until"] = json!("2020-01-01T00:00:00Z")),
        holds("a long hold", |it| it["declared"]["reason"] = long()),
        holds("another mode", |it| it["wanted"] = json!("off")),
    ]
}

async fn check(lies: Vec<Lie>) {
    for (what, call, change, says, contains) in lies {
        let world = World::new(call).await;
        let status = world.suffer(what, Fault::Lie(change), &says, contains).await;
        let version = status.version.unwrap_or_default();
        assert!(version.chars().count() <= 64, "{what}: {version}");
        let rebuild = status.projection.and_then(|projection| projection.rebuild);
        assert!(rebuild.is_none_or(|rebuild| rebuild.reason.chars().count() <= 256), "{what}");
        world.recover(what).await;
    }
}

#[tokio::test]
async fn a_report_that_lies_ends_in_a_condition_and_changes_nothing() {
    check(lies_of_reports()).await;
}

#[tokio::test]
async fn an_answer_that_lies_ends_in_a_condition_and_changes_nothing() {
    check(lies_of_answers()).await;
}

/// An engine that finds a fault says so with status 409. The answer counts, and the log is verified before it counts as
/// right again.
#[tokio::test]
async fn an_anchor_that_the_engine_contradicts_is_an_alarm() {
    let world = World::new(Call::Anchor).await;
    let fault: Change = |it| it["fault"] = json!({"kind": "forked", "message": "another", "seq": 0});
    let says = bad_log("False/LogForked");
    world.suffer("a contradiction", Fault::Conflict(fault), &says, "another").await;
    world.recover("a contradiction").await;
}
