//! The operator stops, is killed, or runs with a second replica.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::cluster;
use e2e::deploy::{self, OPERATOR_NAMESPACE};
use e2e::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{LEADER_LIMIT, leader_other_than, leaders, metric, operator_pods};
use crate::audit;
use crate::world::{World, in_namespace, small};

const ENGINES: [&str; 3] = ["notes-a", "notes-b", "notes-c"];
/// The Lease lasts 15 seconds and may be renewed just before the kill; the standby polls it every second.
const TAKEOVER_AFTER_KILL: Duration = Duration::from_secs(17);
/// A leader that stops in order releases the Lease.
const TAKEOVER_AFTER_STOP: Duration = Duration::from_secs(3);
/// Tolerance for both times: they are measured through the API server, which the test polls ten times a second.
const SLACK: Duration = Duration::from_secs(1);

/// A new operator finds everything up to date and writes nothing: no child, no status, no event.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_operator_writes_nothing() {
    in_namespace("restart", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: no access to another cluster's audit log");
            return Ok(());
        }
        for name in ENGINES {
            world.apply(name, small()).await?;
        }
        for name in ENGINES {
            world.ready(name).await?;
        }
        tokio::time::sleep(Duration::from_secs(15)).await;
        let old = leaders(&world.cluster).await?.concat();
        let mark = audit::mark()?;
        pods(world).delete(&old, &DeleteParams::default()).await?;
        let new = leader_other_than(&world.cluster, &old).await?;
        // Two reconciles of each engine, so that the second one would reveal writes of the first.
        let looks = until("the new operator has reconciled every engine", LEADER_LIMIT, async || {
            let looks = metric(&world.cluster, &new, "memory_operator_reconcile_seconds_count").await;
            Ok(looks.filter(|looks| *looks >= 2.0 * ENGINES.len() as f64))
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let activity = audit::operator_activity(mark)?;
        println!(
            "operator restarted: reconciles {looks}  writes {}  lists {}  gets {}",
            activity.writes.len(),
            activity.lists.len(),
            activity.gets.len()
        );
        ensure!(activity.writes.is_empty(), "writes: {:#?}", activity.writes);
        ensure!(!activity.lists.is_empty(), "no list: the new operator's requests are not in this log");
        Ok(())
    })
    .await;
}

/// One of two operators leads. The other takes over within 17 seconds after a kill and within 3 after a stop. The two
/// never lead at the same time, and an engine edited afterwards converges.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_operators_leads_and_the_other_takes_over() {
    in_namespace("takeover", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: another cluster's processes cannot be killed from here");
            return Ok(());
        }
        world.engine("notes").await?;
        deploy::install_with(&world.cluster, &["replicas=2"]).await?;
        let taken_over = take_over_twice(world).await;
        deploy::install(&world.cluster).await?;
        taken_over
    })
    .await;
}

async fn take_over_twice(world: &World) -> Result<()> {
    let after_kill = killed(world).await?;
    edit_converges(world, 31).await?;
    let after_stop = stopped(world).await?;
    edit_converges(world, 32).await?;
    println!("takeover: {after_kill:.1?} after a kill, {after_stop:.1?} after a stop");
    ensure!(after_kill <= TAKEOVER_AFTER_KILL + SLACK, "{after_kill:?} after a kill");
    ensure!(after_stop <= TAKEOVER_AFTER_STOP + SLACK, "{after_stop:?} after a stop");
    Ok(())
}

/// Waits until two operators run and one leads; returns the name of the leader's pod.
async fn one_of_two(world: &World) -> Result<String> {
    until("two operators, of which one leads", LEADER_LIMIT, async || {
        let pods = operator_pods(&world.cluster).await?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        let leaders = leaders(&world.cluster).await?;
        ensure!(leaders.len() <= 1, "these lead: {leaders:?}");
        Ok((ready == 2 && pods.len() == 2 && leaders.len() == 1).then(|| leaders.concat()))
    })
    .await
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Kills the leader as a power failure would: it cannot shut down in order and does not come back. Returns the time
/// until the other operator leads.
async fn killed(world: &World) -> Result<Duration> {
    let leader = one_of_two(world).await?;
    let pods = pods(world);
    let pod = pods.get(&leader).await?;
    let mut pids = Vec::new();
    for pid in cluster::host_pids(&pod, Some("operator"))? {
        pids.push(Pid::from_raw(pid).context("a process id")?);
    }
    ensure!(!pids.is_empty(), "the leader has no process");
    // The processes are halted first. If they were killed at once, the leader would restart under the same name and
    // take its own Lease again. If its pod were deleted at once, the leader would receive a stop signal and release the
    // Lease.
    for pid in &pids {
        kill_process(*pid, Signal::STOP)?;
    }
    let started = Instant::now();
    let deleted = pods.delete(&leader, &DeleteParams::default().grace_period(0)).await;
    for pid in pids {
        let _ = kill_process(pid, Signal::KILL);
    }
    deleted?;
    taken_over(world, &leader, started).await
}

async fn stopped(world: &World) -> Result<Duration> {
    let leader = one_of_two(world).await?;
    let started = Instant::now();
    pods(world).delete(&leader, &DeleteParams::default()).await?;
    taken_over(world, &leader, started).await
}

/// Waits until a pod other than `old` leads; returns the time since `started`.
async fn taken_over(world: &World, old: &str, started: Instant) -> Result<Duration> {
    leader_other_than(&world.cluster, old).await?;
    let took = started.elapsed();
    let leaders = leaders(&world.cluster).await?;
    ensure!(leaders.len() == 1, "these lead: {leaders:?}");
    Ok(took)
}

async fn edit_converges(world: &World, drain_seconds: i64) -> Result<()> {
    let mut spec = small();
    spec["writer"]["drainSeconds"] = json!(drain_seconds);
    let applied: MemoryEngine = world.apply("notes", spec).await?;
    let engine = world.ready("notes").await?;
    ensure!(engine.metadata.generation == applied.metadata.generation, "the engine changed again");
    let pod = world.api::<Pod>().get("notes-0").await?;
    let grace = pod.spec.and_then(|spec| spec.termination_grace_period_seconds);
    ensure!(grace == Some(drain_seconds + 10), "the grace period is {grace:?}");
    Ok(())
}

fn pods(world: &World) -> Api<Pod> {
    Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE)
}
