//! Whole reconciles of a rollout with an API server that fails at one write. The state is written before anything else,
//! and whatever fails, the next reconciles reach the same objects.

use hyper::Method;

use super::*;
use crate::mock_api::Fault as ApiFault;

const OLD: &str = "registry.example/engine:1";
const NEW: &str = "registry.example/engine:2";

/// An operator and an API server with an engine that introduces revisions step by step.
struct Rollout {
    server: MockApi,
}

impl Rollout {
    async fn settled() -> Self {
        let (_client, server) = MockApi::start();
        let mut resource = json!(engine());
        resource["metadata"]["resourceVersion"] = json!("1");
        resource["spec"]["image"] = json!(OLD);
        resource["spec"]["rollout"] = json!({"darkLaunchSeconds": 60});
        server.make(RESOURCE, &resource);
        let rollout = Self { server };
        for _ in 0..4 {
            rollout.reconcile().await;
        }
        assert_eq!(rollout.phase(), json!("Stable"));
        rollout.server.take_writes();
        rollout
    }

    /// A reconcile of a new operator, which has read every object again; returns whether it succeeded.
    async fn reconcile(&self) -> bool {
        let stored = self.server.object(RESOURCE).expect("the resource exists");
        let engine: MemoryEngine = serde_json::from_value(stored).expect("a resource");
        let (context, _leading) = context(self.server.client());
        let done = reconcile(Arc::new(engine), &context).await;
        done.is_ok_and(|done| done.problem.is_none())
    }

    fn ask_for(&self, image: &str) {
        self.server.edit(RESOURCE, |resource| {
            resource["spec"]["image"] = json!(image);
            resource["metadata"]["generation"] = json!(2);
        });
    }

    fn phase(&self) -> Value {
        self.server.object(RESOURCE).expect("the resource")["status"]["rollout"]["phase"].clone()
    }

    fn image(&self, set: &str) -> Option<Value> {
        let set = self.server.object(&format!("statefulsets/{set}"))?;
        Some(set["spec"]["template"]["spec"]["containers"][0]["image"].clone())
    }

    fn objects(&self) -> Vec<String> {
        self.server.objects().into_keys().filter(|path| !path.contains("/events")).collect()
    }
}

#[tokio::test]
async fn nothing_is_done_before_the_state_of_a_rollout_is_written() {
    for fault in [ApiFault::Unsent, ApiFault::Refused(409, ""), ApiFault::Refused(500, "")] {
        let rollout = Rollout::settled().await;
        rollout.ask_for(NEW);
        rollout.server.fail_next(Method::PATCH, "/memoryengines/notes", fault);
        rollout.reconcile().await;
        assert!(rollout.server.has_failed(), "{fault:?}");
        let writes = rollout.server.take_writes();
        assert!(!writes.iter().any(|write| write.contains("canary")), "{fault:?}: {writes:?}");
        assert_eq!((rollout.phase(), rollout.image("notes-canary")), (json!("Stable"), None), "{fault:?}");
        rollout.reconcile().await;
        assert_eq!(rollout.phase(), json!("DarkLaunch"), "{fault:?}");
        assert_eq!(rollout.image("notes-canary"), Some(json!(NEW)), "{fault:?}");
        assert_eq!(rollout.image("notes"), Some(json!(OLD)), "{fault:?}");
    }
}

/// Somebody has changed the resource since it was read: the decision is made again.
#[tokio::test]
async fn a_state_is_not_written_over_a_newer_version() {
    let rollout = Rollout::settled().await;
    rollout.ask_for(NEW);
    let stale: MemoryEngine =
        serde_json::from_value(rollout.server.object(RESOURCE).expect("the resource")).expect("a resource");
    rollout.ask_for(OLD);
    let (context, _leading) = context(rollout.server.client());
    reconcile(Arc::new(stale), &context).await.expect("no failure");
    assert_eq!((rollout.phase(), rollout.image("notes-canary")), (json!("Stable"), None));
}

#[tokio::test]
async fn whatever_write_of_a_rollout_fails_the_next_reconciles_reach_the_goal() {
    let good = Rollout::settled().await;
    good.ask_for(NEW);
    good.reconcile().await;
    let writes = good.server.take_writes();
    good.reconcile().await;
    let (expected, mut tried) = (good.objects(), 0);
    for write in writes.iter().filter(|write| !write.contains("/events")) {
        let (method, path) = write.split_once(' ').expect("a method and a path");
        for fault in [ApiFault::Unsent, ApiFault::NoAnswer, ApiFault::Refused(503, "")] {
            let rollout = Rollout::settled().await;
            rollout.ask_for(NEW);
            let method = method.parse::<Method>().expect("a method");
            rollout.server.fail_next(method, path, fault);
            rollout.reconcile().await;
            assert!(rollout.server.has_failed(), "{write} {fault:?}");
            for _ in 0..2 {
                rollout.reconcile().await;
            }
            assert_eq!(rollout.objects(), expected, "{write} {fault:?}");
            assert_eq!(rollout.phase(), json!("DarkLaunch"), "{write} {fault:?}");
            assert_eq!(rollout.image("notes"), Some(json!(OLD)), "{write} {fault:?}");
            tried += 1;
        }
    }
    assert!(tried >= 12, "only {tried} faults: {writes:?}");
}
