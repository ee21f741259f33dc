//! The ticket on the cluster: without an operator, an engine refuses clients from outside or goes on, as its spec says.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::deploy::{OPERATOR_NAMESPACE, kubectl};
use e2e::wait::until;
use serde_json::json;

use super::LEADER_LIMIT;
use crate::exposure::{ask, balance, edit, make_key, public};
use crate::tls::allow;
use crate::world::{READY_LIMIT, World, in_namespace};

/// Lifetime of tickets in this test, the shortest that an operator accepts.
const LIFETIME: Duration = Duration::from_secs(30);
/// What a request through the load balancer and the poll of the test may add.
const SLACK: Duration = Duration::from_secs(10);
/// From an edit to the ticket that follows it: one reconcile and one call.
const DELIVERY: Duration = Duration::from_secs(15);

async fn operator(world: &World, arguments: &[&str]) -> Result<()> {
    kubectl(&world.cluster, &[&["-n", OPERATOR_NAMESPACE], arguments].concat()).await?;
    Ok(())
}

/// Sets the lifetime of tickets, or the default with `-`.
async fn set_lifetime(world: &World, value: &str) -> Result<()> {
    let variable = format!("MEMORY_OPERATOR_TICKET_SECONDS{value}");
    operator(world, &["set", "env", "deployment/memory-operator", &variable]).await?;
    let limit = format!("--timeout={}s", LEADER_LIMIT.as_secs());
    operator(world, &["rollout", "status", "deployment/memory-operator", &limit]).await
}

/// Stops the operator, as a partition of the network would, or starts it.
async fn scale(world: &World, replicas: u8) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    operator(world, &["scale", "deployment/memory-operator", &replicas]).await?;
    until("the operator is as it should be", LEADER_LIMIT, async || {
        let running = super::operator_pods(&world.cluster).await?.len();
        Ok((format!("--replicas={running}") == replicas).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_an_operator_refuses_clients_or_goes_on_as_its_spec_says() {
    in_namespace("tls-ticket", async |world| {
        set_lifetime(world, &format!("={}", LIFETIME.as_secs())).await?;
        let shown = close_and_keep(world).await;
        // Whatever has failed, other tests need the operator as it was.
        scale(world, 1).await?;
        set_lifetime(world, "-").await?;
        shown
    })
    .await;
}

async fn close_and_keep(world: &World) -> Result<()> {
    allow(world).await?;
    let key = make_key(world).await?;
    let mut spec = public();
    spec["exposure"]["public"]["ticket"] = json!({"failMode": "Close"});
    world.apply("notes", spec).await?;
    world.shell_pod("client").await?;
    let address = balance(world).await?;
    world.condition("notes", "Exposed", "True", "Public").await?;
    ensure!(ask(world, &address, Some(&key)).await? == "200", "a client with a key");
    let asked = Instant::now();
    while asked.elapsed() < LIFETIME + SLACK {
        ensure!(ask(world, &address, Some(&key)).await? == "200", "the ticket was not renewed");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    scale(world, 0).await?;
    let stopped = Instant::now();
    until("the engine refuses clients from outside", LIFETIME + SLACK, async || {
        Ok((ask(world, &address, Some(&key)).await? == "503").then_some(()))
    })
    .await?;
    println!("closed {:?} after the operator had stopped", stopped.elapsed());
    let inside =
        "curl -sSk --max-time 5 -o /dev/null -w '%{http_code}' https://notes:8080/v1/log/head 2>&1 || true";
    ensure!(world.shell("client", "shell", inside).await? == "401", "clients in the cluster are answered");
    scale(world, 1).await?;
    until("a new operator opens it again", LEADER_LIMIT + READY_LIMIT, async || {
        Ok((ask(world, &address, Some(&key)).await? == "200").then_some(()))
    })
    .await?;

    edit(world, json!({"exposure": {"public": {"ticket": {"failMode": "KeepLast"}}}})).await?;
    tokio::time::sleep(DELIVERY).await;
    scale(world, 0).await?;
    tokio::time::sleep(LIFETIME + SLACK).await;
    ensure!(ask(world, &address, Some(&key)).await? == "200", "the last ticket is kept");
    scale(world, 1).await?;
    edit(world, json!({"deploymentMode": "Development"})).await?;
    world.condition("notes", "Exposed", "False", "NotInProduction").await?;
    let answer = ask(world, &address, Some(&key)).await?;
    ensure!(answer != "200", "withdrawn: {answer}");
    Ok(())
}
