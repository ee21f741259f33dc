//! The node's kubelet stops and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::cluster;
use e2e::memories::Memories;
use k8s_openapi::api::core::v1::Pod;

use crate::world::in_namespace;

/// A restarted kubelet leaves the pod unchanged, writes continue meanwhile, and the engine is Ready afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_kubelet_leaves_the_engine_serving() {
    in_namespace("kubelet", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: another cluster's kubelet cannot be restarted from here");
            return Ok(());
        }
        world.engine("notes").await?;
        let before = world.pod_uid("notes").await?;
        let stop = Arc::new(AtomicBool::new(false));
        let saved = Arc::new(AtomicUsize::new(0));
        let writer = tokio::spawn(write(world.memories("notes"), stop.clone(), saved.clone()));
        let started = Instant::now();
        let restarted = cluster::restart_component("kubelet").await;
        let (took, meanwhile) = (started.elapsed(), saved.load(Ordering::Relaxed));
        restarted?;
        // A kubelet that mishandles existing pods does so in its first seconds.
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.ready("notes").await?;
        stop.store(true, Ordering::Relaxed);
        let pause = writer.await??;
        let pod = world.api::<Pod>().get("notes-0").await?;
        let restarts: i32 = pod
            .status
            .iter()
            .flat_map(|s| s.container_statuses.iter().flatten())
            .map(|c| c.restart_count)
            .sum();
        println!(
            "kubelet away {took:.1?}  memories meanwhile {meanwhile}  longest pause of writes {pause:.1?}  \
             restarts {restarts}"
        );
        ensure!(meanwhile > 0, "nothing was acknowledged while the kubelet was away");
        ensure!(pod.metadata.uid == before, "the pod was replaced");
        ensure!(restarts == 0, "the container restarted {restarts} times");
        ensure!(pause < Duration::from_secs(5), "no write was acknowledged for {pause:?}");
        Ok(())
    })
    .await;
}

/// Saves until `stop` is set; returns the longest time between two acknowledgements.
async fn write(memories: Memories, stop: Arc<AtomicBool>, saved: Arc<AtomicUsize>) -> Result<Duration> {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let number = saved.load(Ordering::Relaxed);
        let answer = memories.save(&format!("memory {number}"), Some(&format!("key-{number}"))).await;
        if answer.is_ok() {
            saved.fetch_add(1, Ordering::Relaxed);
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(longest.max(last.elapsed()))
}
