//! Cost of an idle operator.

use std::time::Duration;

use anyhow::ensure;
use futures::future::try_join_all;
use serde_json::json;

use super::{leaders, metric};
use crate::audit;
use crate::world::in_namespace;

const ENGINES: usize = 20;
/// Time from the readiness of the last engine until its start has completely finished.
const SETTLE: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(60);

/// Twenty unchanged engines cause no load on the API server: the operator reconciles each periodically, but queries
/// only the engines. The Lease is renewed.
#[tokio::test(flavor = "multi_thread")]
async fn unchanged_engines_cost_the_api_server_nothing() {
    in_namespace("steady", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: no access to another cluster's audit log");
            return Ok(());
        }
        let spec =
            json!({"writer": {"storage": {"size": "64Mi"}, "resources": {"requests": {"cpu": "10m"}}}});
        let names: Vec<String> = (0..ENGINES).map(|number| format!("notes-{number}")).collect();
        try_join_all(names.iter().map(|name| world.apply(name, spec.clone()))).await?;
        try_join_all(names.iter().map(|name| world.ready(name))).await?;
        // One memory in each engine, because an empty log has no anchor.
        let memories: Vec<_> = names.iter().map(|name| world.memories(name)).collect();
        try_join_all(memories.iter().map(|memories| memories.save("anchored once", None))).await?;
        tokio::time::sleep(SETTLE).await;

        let leader = leaders(&world.cluster).await?.concat();
        let looked = || metric(&world.cluster, &leader, "memory_operator_reconcile_seconds_count");
        let before = looked().await.unwrap_or_default();
        let mark = audit::mark()?;
        tokio::time::sleep(WINDOW).await;
        let activity = audit::operator_activity(mark)?;
        let reconciles = looked().await.unwrap_or_default() - before;
        println!(
            "{ENGINES} engines, {WINDOW:?}: reconciles {reconciles}  writes {}  lists {}  gets {}  lease {}",
            activity.writes.len(),
            activity.lists.len(),
            activity.gets.len(),
            activity.lease
        );
        ensure!(activity.writes.is_empty(), "writes: {:#?}", activity.writes);
        ensure!(activity.lists.is_empty(), "lists: {:#?}", activity.lists);
        ensure!(activity.gets.is_empty(), "gets: {:#?}", activity.gets);
        // Without these two checks, an empty result would prove nothing.
        ensure!(
            activity.lease > 0,
            "the Lease was not renewed: does the audit log contain the operator's requests?"
        );
        ensure!(reconciles >= 40.0, "only {reconciles} reconciles");
        Ok(())
    })
    .await;
}
