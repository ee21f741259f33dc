//! Whole reconciles against the mock of the API server and a fake engine.

use std::sync::Arc;

use crds::{Integrity, MemoryEngine, Retention, Rotation, Scrub, UpkeepStatus, UpkeepTask};
use hyper::Method;
use operator_core::{
    names::{APPROVE_RETENTION_ANNOTATION, ENGINE_CONTAINER},
    plan::plan,
    status::{Outcome, status},
    validate::validate,
};
use serde_json::json;

use super::*;
use crate::{
    apply::{
        apply,
        tests::{context, engine},
    },
    engine_client::EngineClient,
    fake_engine::{Call, FakeEngine, Fault, MARKER},
    mock_api::{Fault as ApiFault, MockApi},
    observe::observe as observe_all,
};

/// Reconciles in which a new engine is anchored: each record needs the status before it.
const SETTLE_TURNS: usize = 6;
/// The version of the pod's template.
const REVISION: &str = "notes-1";

fn scheduled() -> MemoryEngine {
    let mut engine = engine();
    let schedule = || "0 3 * * *".to_owned();
    engine.spec.rotation = Rotation { schedule: Some(schedule()), ..Rotation::default() };
    let scrub = Scrub { schedule: schedule(), ..Scrub::default() };
    engine.spec.integrity = Integrity { scrub: Some(scrub), ..Integrity::default() };
    engine.spec.retention =
        Some(Retention { max_age_days: Some(365), schedule: Some(schedule()), ..Retention::default() });
    engine
}

struct World {
    server: MockApi,
    fake: FakeEngine,
    engine: MemoryEngine,
}

impl World {
    /// An engine with every schedule that runs and is anchored.
    async fn settled() -> Self {
        let (_, server) = MockApi::start();
        let mut world = Self { server, fake: FakeEngine::start().await, engine: scheduled() };
        for _ in 0..SETTLE_TURNS {
            world.reconcile().await;
        }
        // As the controller of StatefulSets would, which does not run here.
        world.server.edit("statefulsets/notes", |set| {
            let seen = set["metadata"]["generation"].clone();
            set["status"] = json!({"observedGeneration": seen, "updateRevision": REVISION});
        });
        world.reconcile().await;
        world.fake.take_requests();
        world
    }

    /// One reconcile of an operator that has just started, and reads every object again.
    async fn reconcile(&mut self) {
        let (mut context, _leading) = context(self.server.client());
        context.engines = EngineClient::new(self.fake.port);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "notes-0", "namespace": "team",
                "labels": {"controller-revision-hash": REVISION}},
            "status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": ENGINE_CONTAINER, "ready": true, "state": {"running": {}}}]},
        });
        context.cache.show_pod(serde_json::from_value(pod).expect("a pod"));
        let essentials = Essentials::of(&self.engine);
        let (observed, expected) = observe_all(Arc::new(self.engine.clone()), &essentials, &context).await;
        let valid = validate(&self.engine, &context.settings).expect("a valid spec");
        let plan = plan(&observed, &valid, &expected);
        let (observed, done) = apply(observed, &plan, &context).await.expect("the operator leads");
        let outcome = Outcome::Applied { valid: &valid, plan: &plan, done: &done };
        self.engine.status = Some(status(&observed, &expected, &outcome));
    }

    fn ask(&self, word: &str, id: &str) {
        let path = format!("configmaps/notes-{word}");
        self.server.edit(&path, |object| object["data"]["request"] = json!(id));
    }

    /// The answer in a ConfigMap: the request, the result, and the request that failed.
    fn answer(&self, word: &str) -> [Option<String>; 3] {
        let object = self.server.object(&format!("configmaps/notes-{word}")).expect("a ConfigMap");
        ["done", "result", "failed"].map(|key| object["data"][key].as_str().map(str::to_owned))
    }

    fn shown(&self, task: UpkeepTask) -> UpkeepStatus {
        let status = self.engine.status.as_ref().expect("a status");
        status.upkeep.iter().find(|one| one.task == task).expect("a task").clone()
    }

    fn calls(&self) -> usize {
        self.fake.take_requests().iter().filter(|request| *request == "POST /upkeep").count()
    }

    fn condition(&self) -> (String, String) {
        let status = self.engine.status.as_ref().expect("a status");
        let found = status.conditions.iter().find(|one| one.type_ == "RetentionHealthy").expect("one");
        (format!("{}/{}", found.status, found.reason), found.message.clone())
    }

    fn approve(&mut self, hash: &str) {
        let annotations = [(APPROVE_RETENTION_ANNOTATION.to_owned(), hash.to_owned())];
        self.engine.metadata.annotations = Some(annotations.into());
    }
}

/// Each task is carried out once for a request and answered, by whichever operator leads, and the Job may do nothing
/// but ask.
#[tokio::test]
async fn a_request_is_carried_out_once_and_answered() {
    let mut world = World::settled().await;
    for (word, task, result) in [
        ("rotate-log", UpkeepTask::RotateLog, "segment 2 begins with event 6"),
        ("scrub", UpkeepTask::Scrub, "verified 5 events, and the projection of 5"),
    ] {
        let job = world.server.object(&format!("cronjobs/notes-{word}")).expect("a CronJob");
        assert_eq!(job["spec"]["schedule"], "0 3 * * *");
        let role = world.server.object(&format!("roles/notes-{word}")).expect("a Role");
        let rule = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"],
            "resourceNames": [format!("notes-{word}")]}]);
        assert_eq!(role["rules"], rule);
        assert!(world.shown(task).next_run.is_some() && world.shown(task).last_run.is_none());

        world.ask(word, "job-1");
        world.reconcile().await;
        let run = world.shown(task).last_run.expect("a run");
        assert_eq!((run.request.as_str(), run.succeeded, run.result.as_str()), ("job-1", true, result));
        assert_eq!(world.answer(word)[0], None, "the status comes first");
        world.reconcile().await;
        assert_eq!(world.answer(word), [Some("job-1".to_owned()), Some(result.to_owned()), None]);
        world.reconcile().await;
        assert_eq!(world.calls(), 1, "one request, one run");
    }
}

/// Whatever the engine answers, nothing is said to be done that is not, no foreign text is shown, and the request is
/// carried out when the engine is well again.
#[tokio::test]
async fn a_call_that_fails_is_made_again() {
    let mut world = World::settled().await;
    let faults = [
        Fault::Refused,
        Fault::Reset,
        Fault::Hang,
        Fault::Half,
        Fault::Garbage,
        Fault::Noise,
        Fault::Shape,
        Fault::Empty,
        Fault::TooLarge,
        Fault::Redirect,
        Fault::Status(401),
        Fault::Status(404),
        Fault::Status(503),
        Fault::Lie(|run| run["request"] = json!("job-0")),
        Fault::Lie(|run| run["task"] = json!("plan_retention")),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let id = format!("job-{}", number + 1);
        // A run of a moment ago is not followed at once by another one.
        world.engine.status.as_mut().expect("a status").upkeep.iter_mut().for_each(|one| {
            if let Some(run) = &mut one.last_run {
                run.finished_at = "2026-01-01T00:00:00Z".to_owned();
            }
        });
        world.ask("scrub", &id);
        for _ in 0..2 {
            world.fake.fail(Some((Call::Upkeep, fault))).await;
            world.reconcile().await;
            let shown = world.shown(UpkeepTask::Scrub);
            assert!(shown.last_run.is_none_or(|run| run.request != id), "{fault:?}");
            assert!(
                shown.problem.expect("a problem").starts_with("the engine has not answered: "),
                "{fault:?}"
            );
            assert_ne!(world.answer("scrub")[0].as_ref(), Some(&id), "{fault:?}");
            let text = json!(world.engine.status).to_string();
            assert!(!text.contains(MARKER) && !text.contains('\u{1b}'), "{fault:?}: {text}");
        }
        world.fake.fail(None).await;
        world.reconcile().await;
        world.reconcile().await;
        assert_eq!(world.answer("scrub")[0].as_ref(), Some(&id), "{fault:?}");
        assert_eq!(world.shown(UpkeepTask::Scrub).problem, None, "{fault:?}");
    }
}

/// A run that has failed is answered too, and the Job learns that it has.
#[tokio::test]
async fn a_run_that_failed_is_answered_as_failed() {
    let mut world = World::settled().await;
    world.ask("scrub", "job-1");
    let failed = Fault::Lie(|run| {
        run["state"] = json!("failed");
        run["result"] = json!(null);
        run["error"] = json!("the log does not verify: \u{1b}[31m event 3");
    });
    world.fake.fail(Some((Call::Upkeep, failed))).await;
    world.reconcile().await;
    world.fake.fail(None).await;
    world.reconcile().await;
    let [done, result, failed] = world.answer("scrub");
    assert_eq!((done.as_deref(), failed.as_deref()), (Some("job-1"), Some("job-1")));
    assert_eq!(result.as_deref(), Some("the log does not verify:  [31m event 3"));
    assert!(!world.shown(UpkeepTask::Scrub).last_run.expect("a run").succeeded);
}

/// Whatever the API server answers, the request is answered in the end, and carried out once.
#[tokio::test]
async fn an_answer_that_is_not_written_is_written_again() {
    for fault in [
        ApiFault::Unsent,
        ApiFault::NoAnswer,
        ApiFault::Refused(403, ""),
        ApiFault::Refused(409, ""),
        ApiFault::Refused(500, ""),
    ] {
        let mut world = World::settled().await;
        world.ask("scrub", "job-1");
        world.reconcile().await;
        world.server.fail_next(Method::PATCH, "configmaps/notes-scrub", fault);
        world.reconcile().await;
        assert!(world.server.has_failed(), "{fault:?}");
        world.reconcile().await;
        assert_eq!(world.answer("scrub")[0].as_deref(), Some("job-1"), "{fault:?}");
        assert_eq!(world.calls(), 1, "{fault:?}");
    }
    for code in [403, 500] {
        let mut world = World::settled().await;
        world.ask("scrub", "job-1");
        world.server.fail_next(Method::GET, "configmaps/notes-scrub", ApiFault::Refused(code, ""));
        world.server.take_writes();
        world.reconcile().await;
        assert_eq!((world.calls(), world.server.take_writes()), (0, Vec::new()), "{code}");
        let reason = if code == 403 { "Unknown/SecretsForbidden" } else { "Unknown/UpkeepUnreadable" };
        assert_eq!(world.condition().0, reason);
        assert!(world.shown(UpkeepTask::Scrub).problem.expect("a problem").contains("could not be read"));
    }
}

/// A plan is made, waits for the approval of exactly its hash, is carried out once, and is on record.
#[tokio::test]
async fn a_plan_waits_for_its_approval_and_is_carried_out_once() {
    let mut world = World::settled().await;
    assert_eq!(world.condition().0, "Unknown/NoPlan");
    world.ask("retention", "job-1");
    world.reconcile().await;
    world.reconcile().await;
    let hash = "ab".repeat(32);
    let [done, result, _] = world.answer("retention");
    assert_eq!(done.as_deref(), Some("job-1"));
    assert_eq!(result, Some(format!("plan {hash} removes 3 of 100 memories")));
    let (condition, message) = world.condition();
    assert_eq!(condition, "False/PlanAwaitsApproval");
    assert!(message.contains(&format!("{APPROVE_RETENTION_ANNOTATION}={hash}")), "{message}");
    assert_eq!(world.calls(), 1);

    world.approve(&"cd".repeat(32));
    world.reconcile().await;
    assert_eq!((world.condition().0.as_str(), world.calls()), ("False/PlanAwaitsApproval", 0));
    assert!(world.condition().1.contains("which is another plan or none"));

    world.approve(&format!(r#"{{"hash": "{hash}", "by": "ann", "reason": "the law"}}"#));
    for fault in [Fault::Reset, Fault::Status(503), Fault::Shape] {
        world.fake.fail(Some((Call::Upkeep, fault))).await;
        world.reconcile().await;
        assert_eq!(world.condition().0, "False/ApplyFailed", "{fault:?}");
        assert!(
            world
                .engine
                .status
                .as_ref()
                .expect("a status")
                .retention
                .as_ref()
                .expect("one")
                .applied
                .is_none()
        );
    }
    world.fake.fail(None).await;
    world.calls();
    world.reconcile().await;
    let (condition, message) = world.condition();
    assert_eq!(condition, "True/RetentionApplied", "{message}");
    let shown = world.engine.status.as_ref().expect("a status").retention.clone().expect("retention");
    let applied = shown.applied.expect("a plan that was carried out");
    assert_eq!((applied.hash, applied.entries, applied.event_seq), (hash, 3, 6));
    assert_eq!((applied.because.as_str(), shown.holds), ("approved by ann: the law", Vec::new()));
    world.reconcile().await;
    assert_eq!((world.calls(), world.condition().0.as_str()), (1, "True/RetentionApplied"), "once");
}

/// A plan that the engine no longer makes is not carried out, and is not asked for again.
#[tokio::test]
async fn a_stale_plan_is_refused_and_said() {
    let mut world = World::settled().await;
    world.ask("retention", "job-1");
    world.reconcile().await;
    world.fake.change_plan(|plan| plan.plan_hash = "cd".repeat(32));
    world.approve(&"ab".repeat(32));
    world.reconcile().await;
    assert_eq!(world.condition().0, "False/PlanStale");
    world.calls();
    world.reconcile().await;
    assert_eq!((world.condition().0.as_str(), world.calls()), ("False/PlanStale", 0));
    world.engine.status.as_mut().expect("a status").upkeep.clear();
    world.ask("retention", "job-2");
    world.reconcile().await;
    assert_eq!(world.condition().0, "False/PlanAwaitsApproval", "the new plan needs an approval of its own");
}

/// Without the fields, everything goes, and an engine without schedules costs no request.
#[tokio::test]
async fn nothing_is_left_when_the_fields_are_removed() {
    let mut world = World::settled().await;
    world.engine = MemoryEngine { status: world.engine.status, ..engine() };
    for _ in 0..3 {
        world.reconcile().await;
    }
    let objects = world.server.objects();
    let is_left =
        |path: &&String| SCHEDULED.iter().any(|row| path.ends_with(&format!("/notes-{}", row.word)));
    let left: Vec<_> = objects.keys().filter(is_left).collect();
    assert!(left.is_empty(), "{left:?}");
    let status = world.engine.status.clone().expect("a status");
    assert!(status.upkeep.is_empty() && status.retention.is_none());
    world.server.take_requests();
    world.reconcile().await;
    let requests = world.server.take_requests();
    assert!(requests.iter().all(|request| !request.contains("cronjobs")), "{requests:?}");
}
