//! Jobs that hang, and an operator that is killed while one waits for it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::archived::{ArchiveStore, Jobs};
use e2e::cluster;
use e2e::deploy::OPERATOR_NAMESPACE;
use e2e::wait::until;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{LEADER_LIMIT, leaders, operator_pods};
use crate::world::{READY_LIMIT, World, in_namespace, small};

/// Deadline of the Job that hangs, seconds.
const DEADLINE_SECONDS: u64 = 20;
/// Time from its deadline to its end.
const END_LIMIT: Duration = Duration::from_secs(30);

fn jobs(world: &World) -> Jobs<'_> {
    Jobs { cluster: &world.cluster, client: world.client.clone(), namespace: &world.namespace }
}

async fn prepare(world: &World, bucket: &str) -> Result<()> {
    let store = ArchiveStore::made(&world.cluster, bucket).await?;
    store.give(&world.cluster, &world.namespace).await?;
    let mut spec = small();
    spec["backup"] = store.backup(1);
    world.apply("notes", spec).await?;
    world.ready("notes").await?;
    world.memories("notes").save("something to back up", None).await?;
    Ok(())
}

/// A Job from the CronJob that verifies, with a short deadline.
async fn with_deadline(world: &World, name: &str) -> Result<Job> {
    let cron_job = world.api::<CronJob>().get("notes-verify").await?;
    let mut spec = cron_job.spec.context("a spec")?.job_template.spec.context("a template")?;
    spec.active_deadline_seconds = Some(DEADLINE_SECONDS.cast_signed());
    let job: Job = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
    Ok(world.api::<Job>().create(&PostParams::default(), &job).await?)
}

/// A Job whose process is stopped ends soon after its deadline, and the next one runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_hangs_ends_and_the_next_one_runs() {
    in_namespace("tls-jobs-hang", async |world| {
        prepare(world, "jobs-hang").await?;
        let taken = jobs(world).take("notes", "backup-1").await?;
        let started = Instant::now();
        with_deadline(world, "hangs").await?;
        let selected = ListParams::default().labels("batch.kubernetes.io/job-name=hangs");
        let pids = until("its process runs", READY_LIMIT, async || {
            let pod = world.api::<Pod>().list(&selected).await?.items.into_iter().next();
            let pids = pod.and_then(|pod| cluster::host_pids(&pod, Some("verify")).ok());
            Ok(pids.filter(|pids| !pids.is_empty()))
        })
        .await?;
        for pid in pids {
            kill_process(Pid::from_raw(pid).context("a process")?, Signal::STOP)?;
        }
        let limit = Duration::from_secs(DEADLINE_SECONDS) + END_LIMIT;
        until("the Job has failed", limit, async || {
            let status = world.api::<Job>().get("hangs").await?.status.unwrap_or_default();
            let mut conditions = status.conditions.unwrap_or_default().into_iter();
            Ok(conditions.find(|one| one.type_ == "Failed" && one.status == "True").map(|_| ()))
        })
        .await?;
        println!("it ended {:?} after it was created", started.elapsed());
        let name = taken.metadata.name.context("a name")?;
        jobs(world).verify("notes", "verify-next", &name).await?;
        Ok(())
    })
    .await;
}

/// The operator is killed after a Job has asked. The next one finds the request in the ConfigMap, and one backup is
/// taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_outlives_the_operator_that_was_asked() {
    in_namespace("tls-jobs-operator", async |world| {
        prepare(world, "jobs-operator").await?;
        let jobs = jobs(world);
        let killing = async {
            until("the Job has asked", READY_LIMIT, async || {
                let map = world.api::<ConfigMap>().get("notes-backup").await?.data.unwrap_or_default();
                Ok(map.contains_key("request").then_some(()))
            })
            .await?;
            let pods: Api<Pod> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
            for pod in operator_pods(&world.cluster).await? {
                let at_once = DeleteParams::default().grace_period(0);
                pods.delete(&pod.metadata.name.unwrap_or_default(), &at_once).await?;
            }
            anyhow::Ok(())
        };
        let (verdict, killed) = tokio::join!(jobs.run("notes-backup", "backup-1"), killing);
        killed?;
        let verdict = verdict?;
        ensure!(verdict["verdict"] == "Done", "{verdict}");
        until("an operator leads", LEADER_LIMIT, async || {
            Ok((!leaders(&world.cluster).await?.is_empty()).then_some(()))
        })
        .await
    })
    .await;
}
