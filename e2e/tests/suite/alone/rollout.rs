//! A rollout whose operator is killed in every step.

use anyhow::{Result, ensure};
use crds::RolloutPhase;
use e2e::deploy::OPERATOR_NAMESPACE;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use super::{leader_other_than, leaders, operator_pods};
use crate::rollouts::{STEP_LIMIT, nothing_is_left_of_the_canary, phase, prepared, stepwise, with_clients};
use crate::world::{World, in_namespace};

/// Ends the operator without a farewell. Its Lease has to expire before another one leads.
async fn kill_the_operator(world: &World) -> Result<()> {
    let old = leaders(&world.cluster).await?.concat();
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
    for pod in operator_pods(&world.cluster).await? {
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete(&pod.metadata.name.unwrap_or_default(), &at_once).await?;
    }
    leader_other_than(&world.cluster, &old).await.map(drop)
}

/// The next one goes on where the status says that the rollout is. What was granted to the canary ends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_outlives_its_operator_in_every_step() {
    in_namespace("rollout-operator", async |world| {
        let mut spec = stepwise(&["Error", "Timeout", "Fallback", "Digest", "Chain", "Readiness"]);
        prepared(world, spec.clone()).await?;
        let (wrote, read) = with_clients(world, async |world| {
            spec["embedding"] = json!({"provider": "builtin"});
            world.apply("notes", spec).await?;
            for step in [
                RolloutPhase::DarkLaunch,
                RolloutPhase::Shadow,
                RolloutPhase::Canary,
                RolloutPhase::Promoting,
                RolloutPhase::Soaking,
            ] {
                let before = phase(world, step, STEP_LIMIT).await?;
                kill_the_operator(world).await?;
                println!("killed in {step:?}: {}", before.message);
            }
            phase(world, RolloutPhase::Stable, STEP_LIMIT).await.map(drop)
        })
        .await?;
        ensure!(read.answered() > 0 && wrote.acknowledged() > 0, "no client was there");
        world.ready("notes").await?;
        world.condition("notes", "RolledOut", "True", "RevisionServing").await?;
        nothing_is_left_of_the_canary(world).await
    })
    .await;
}
