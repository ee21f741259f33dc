//! Upkeep by schedule, with the real controllers of Jobs and Roles: a new segment, a scrub, and retention.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, RetentionStatus, UpkeepRun, UpkeepTask};
use e2e::deploy::kubectl;
use e2e::wait::until;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::tls::allow;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

/// Longest run of a Job: it begins within half a minute, and an engine with few memories needs seconds.
const JOB_LIMIT: Duration = Duration::from_secs(180);

fn scheduled() -> Value {
    let mut spec = small();
    spec["rotation"] = json!({"schedule": "@yearly"});
    spec["integrity"] = json!({"scrub": {"schedule": "0 0 1 1 *", "timeZone": "Europe/Berlin"}});
    spec
}

/// Creates a Job from a CronJob, waits until its pod has ended, and returns the termination message.
async fn run(world: &World, cron_job: &str, name: &str) -> Result<Value> {
    let from = format!("--from=cronjob/{cron_job}");
    kubectl(&world.cluster, &["-n", &world.namespace, "create", "job", name, &from]).await?;
    until("the Job has ended", JOB_LIMIT, async || {
        let status = world.api::<Job>().get(name).await?.status.unwrap_or_default();
        Ok((status.succeeded == Some(1) || status.failed.unwrap_or_default() > 0).then_some(()))
    })
    .await?;
    let selected = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let pods = world.api::<Pod>().list(&selected).await?.items;
    let mut states = pods
        .into_iter()
        .filter_map(|pod| pod.status?.container_statuses)
        .flatten()
        .filter_map(|one| one.state);
    let ended = states.find_map(|state| state.terminated).context("a container that ended")?;
    Ok(serde_json::from_str(&ended.message.context("a termination message")?)?)
}

fn last_run(engine: &MemoryEngine, task: UpkeepTask) -> Option<UpkeepRun> {
    engine.status.as_ref()?.upkeep.iter().find(|one| one.task == task)?.last_run.clone()
}

async fn retention(world: &World) -> Result<RetentionStatus> {
    let status = world.api::<MemoryEngine>().get("notes").await?.status;
    status.and_then(|status| status.retention).context("status.retention")
}

/// Jobs have the log rotated and verified, the status says so, and without the fields nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_have_a_log_rotated_and_verified() {
    in_namespace("tls-upkeep", async |world| {
        allow(world).await?;
        world.apply("notes", scheduled()).await?;
        world.ready("notes").await?;
        for number in 0..10 {
            world.memories("notes").save(&format!("memory number {number}"), None).await?;
        }
        let head = world.memories("notes").head().await?.seq;
        let rotated = run(world, "notes-rotate-log", "rotate-now").await?;
        println!("{rotated}");
        let expected = format!("segment 2 begins with event {}", head + 1);
        ensure!(rotated["verdict"] == "Done" && rotated["result"] == expected, "{rotated}");
        let scrubbed = run(world, "notes-scrub", "scrub-now").await?;
        println!("{scrubbed}");
        let result = scrubbed["result"].as_str().unwrap_or_default();
        ensure!(scrubbed["verdict"] == "Done" && result.starts_with("verified "), "{scrubbed}");
        let engine = world.ready("notes").await?;
        for (task, verdict) in [(UpkeepTask::RotateLog, &rotated), (UpkeepTask::Scrub, &scrubbed)] {
            let run = last_run(&engine, task).context("a run in the status")?;
            ensure!(run.succeeded && verdict["result"] == run.result.as_str(), "{run:?}");
            ensure!(verdict["request"] == run.request.as_str(), "{run:?}");
        }
        world.apply("notes", small()).await?;
        until("nothing is left of the schedules", READY_LIMIT + SOON, async || {
            let mut left = Vec::new();
            for name in ["notes-rotate-log", "notes-scrub"] {
                left.push(world.api::<CronJob>().get_opt(name).await?.is_some());
                left.push(world.api::<ConfigMap>().get_opt(name).await?.is_some());
            }
            Ok((!left.contains(&true)).then_some(()))
        })
        .await?;
        Ok(())
    })
    .await;
}

/// A plan is made by a Job, waits for the approval of its hash, removes exactly what it says, once, and is an event of
/// the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_retention_plan_is_made_approved_and_carried_out() {
    in_namespace("tls-retention", async |world| {
        allow(world).await?;
        let mut spec = small();
        spec["retention"] = json!({"maxEntriesPerProject": 9, "schedule": "@yearly"});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        for number in 0..10 {
            world.memories("notes").save(&format!("memory number {number}"), None).await?;
        }
        world.condition("notes", "LogIntegrity", "True", "Anchored").await?;
        let verdict = run(world, "notes-retention", "plan-now").await?;
        println!("{verdict}");
        ensure!(verdict["verdict"] == "Done", "{verdict}");
        let message = world.condition("notes", "RetentionHealthy", "False", "PlanAwaitsApproval").await?;
        let plan = retention(world).await?.plan.context("a plan")?;
        ensure!(plan.entries == 1 && plan.total == 10 && plan.counts.entries == 1, "{plan:?}");
        ensure!(message.contains(&plan.hash), "{message}");

        let annotate = async |value: &str| {
            let annotation = format!("memoryengine.io/approve-retention={value}");
            let command =
                ["-n", &world.namespace, "annotate", "memoryengine", "notes", "--overwrite", &annotation];
            kubectl(&world.cluster, &command).await
        };
        annotate(&"0".repeat(64)).await?;
        until("the other hash is refused", SOON, async || {
            let holds = retention(world).await?.holds;
            Ok(holds.iter().any(|hold| hold.contains("another plan or none")).then_some(()))
        })
        .await?;
        annotate(&json!({"hash": plan.hash, "by": "ann", "reason": "reviewed"}).to_string()).await?;
        let message = world.condition("notes", "RetentionHealthy", "True", "RetentionApplied").await?;
        println!("{message}");
        let applied = retention(world).await?.applied.context("what was applied")?;
        ensure!(applied.hash == plan.hash && applied.entries == 1, "{applied:?}");
        ensure!(applied.because == "approved by ann: reviewed", "{applied:?}");
        ensure!(world.memories("notes").head().await?.seq >= u64::try_from(applied.event_seq)?, "the event");
        Ok(())
    })
    .await;
}
