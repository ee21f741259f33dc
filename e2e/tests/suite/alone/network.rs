//! Network policies: what the resources declare, what the objects on the cluster mean to an independent evaluator, and
//! which packets arrive. All three have to agree on every pair.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::deploy::{self, OPERATOR_NAMESPACE};
use e2e::network_policy::{Enforcer, PodName, connect, evaluate};
use e2e::steps::Steps;
use e2e::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::operator_pods;
use crate::exposure;
use crate::tls::allow;
use crate::world::{READY_LIMIT, TOOLS_IMAGE, World, in_namespace, small};

/// The other namespace, with pods that the resources name or do not name.
const ELSEWHERE: &str = "t-tls-network-elsewhere";
const API: u16 = 8080;
const ADMIN: u16 = 8081;
/// Where the name servers of some distributions listen in their pods.
const DNS: u16 = 5353;
/// Port of the collector that one of the engines names.
const COLLECTOR: u16 = 4318;
/// A port that nobody names.
const OTHER: u16 = 9999;
const PORTS: [u16; 5] = [API, ADMIN, DNS, COLLECTOR, OTHER];
/// Time from the last change of a policy until the agent has loaded it.
const LOADED: Duration = Duration::from_secs(1);

/// A pod, and what is declared about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// An engine with the defaults.
    Closed,
    /// An engine that names the agent of the other namespace.
    Friendly,
    /// An engine that names a collector.
    Traced,
    /// An engine behind a load balancer, for the addresses of the stranger and the operator.
    Balanced,
    /// An engine without a policy.
    Unmanaged,
    /// A pod in the namespace of the engines.
    Neighbour,
    /// The pod of the other namespace that an engine names.
    Agent,
    /// Another pod there.
    Stranger,
    /// The operator.
    Operator,
    /// A pod beside the operator.
    Intruder,
    /// A pod of the other namespace that listens: a collector, a name server and something else.
    Sink,
}

use Role::{
    Agent, Balanced, Closed, Friendly, Intruder, Neighbour, Operator, Sink, Stranger, Traced, Unmanaged,
};

const ENGINES: [(Role, &str); 5] = [
    (Closed, "closed"),
    (Friendly, "friendly"),
    (Traced, "traced"),
    (Balanced, "notes"),
    (Unmanaged, "unmanaged"),
];

/// Whether the resources allow the connection. Written from what they declare, without a look at a policy.
fn is_declared(source: Role, target: Role, port: u16) -> bool {
    let may_leave = match source {
        Closed | Friendly | Balanced => false,
        Traced => [COLLECTOR, DNS].contains(&port),
        _ => true,
    };
    let is_beside = ENGINES.iter().any(|(role, _)| *role == source) || source == Neighbour;
    let may_enter = match (target, port) {
        (Closed | Friendly | Traced | Balanced, ADMIN) => source == Operator,
        (Closed | Friendly | Traced | Balanced, API) if is_beside => true,
        (Friendly, API) => source == Agent,
        // The operator asks the engine through the load balancer.
        (Balanced, API) => [Stranger, Operator].contains(&source),
        (Closed | Traced, _) => false,
        _ => true,
    };
    may_leave && may_enter
}

/// Every pair of pods with a listener: declared, evaluated and tried with packets.
#[tokio::test(flavor = "multi_thread")]
async fn every_pair_of_pods_is_open_or_closed_as_declared() {
    in_namespace("tls-network", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: network policies are enforced on the local cluster only");
            return Ok(());
        }
        deploy::apply(&world.cluster, &deploy::restricted_namespace(ELSEWHERE)).await?;
        let intruders: Api<Pod> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
        let _leftover = intruders.delete("intruder", &DeleteParams::default()).await;
        let result = check(world).await;
        intruders.delete("intruder", &DeleteParams::default()).await?;
        deploy::kubectl(&world.cluster, &["delete", "namespace", ELSEWHERE, "--wait=false"]).await?;
        result
    })
    .await;
}

async fn check(world: &World) -> Result<()> {
    let steps = Steps::start();
    let pods = start(world).await?;
    let all: Vec<Pod> = pods.iter().map(|(_, pod)| pod.clone()).collect();
    let evaluated = evaluate(&world.client, &all, &PORTS, &steps).await?;
    let targets = targets(&pods)?;

    // Without enforcement every listener answers, or the packets below would prove nothing.
    let addresses: Vec<(String, u16)> = targets.iter().map(|(_, address)| address.clone()).collect();
    let (_, neighbour) = pods.iter().find(|(role, _)| *role == Neighbour).context("the neighbour")?;
    let open = connect(neighbour, &addresses).await?;
    ensure!(open.len() == addresses.len(), "not all listeners answer: {open:?} of {addresses:?}");

    let enforcer = Enforcer::start(&world.cluster, &steps).await?;
    tokio::time::sleep(LOADED).await;
    let (mut pairs, mut shut, mut wrong) = (0, 0, Vec::new());
    for (source, pod) in &pods {
        let reached = connect(pod, &addresses).await?;
        for (target, address) in &targets {
            if target == source {
                continue;
            }
            let (_, other) = pods.iter().find(|(role, _)| role == target).context("a target")?;
            let declared = is_declared(*source, *target, address.1);
            let meant = evaluated.contains(&(name(pod), name(other), address.1));
            let real = reached.contains(address);
            (pairs, shut) = (pairs + 1, shut + usize::from(!declared));
            if [meant, real] != [declared; 2] {
                let port = address.1;
                wrong.push(format!(
                    "{source:?} → {target:?}:{port}: declared {declared}, evaluated {meant}, packets {real}"
                ));
            }
        }
    }
    println!("{pairs} pairs, {shut} of them closed, {} differ", wrong.len());
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(shut > pairs / 3, "too few closed pairs to prove anything: {shut} of {pairs}");
    // With the policies in force, the operator reaches every engine, and the engines are served.
    for (_, engine) in ENGINES {
        world.ready(engine).await?;
    }
    drop(enforcer);
    Ok(())
}

fn name(pod: &Pod) -> PodName {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

fn address(pod: &Pod) -> Result<String> {
    pod.status.as_ref().and_then(|status| status.pod_ip.clone()).context("an address")
}

/// The listeners of all pods.
fn targets(pods: &[(Role, Pod)]) -> Result<Vec<(Role, (String, u16))>> {
    let mut targets = Vec::new();
    for (role, pod) in pods {
        let ports: &[u16] = match role {
            Closed | Friendly | Traced | Balanced | Unmanaged => &[API, ADMIN],
            Sink => &[DNS, COLLECTOR, OTHER],
            _ => &[],
        };
        let address = address(pod)?;
        targets.extend(ports.iter().map(|port| (*role, (address.clone(), *port))));
    }
    Ok(targets)
}

/// Starts every pod.
async fn start(world: &World) -> Result<Vec<(Role, Pod)>> {
    let sleep = json!(["sleep", "600"]);
    let serve =
        format!("httpd -p {COLLECTOR} -h /etc; httpd -p {DNS} -h /etc; exec httpd -f -p {OTHER} -h /etc");
    let of = |namespace: &str| -> Api<Pod> { Api::namespaced(world.client.clone(), namespace) };
    let (here, elsewhere, beside) = (of(&world.namespace), of(ELSEWHERE), of(OPERATOR_NAMESPACE));
    make(&here, "neighbour", json!({}), &sleep).await?;
    make(&elsewhere, "agent", json!({"app": "agent"}), &sleep).await?;
    make(&elsewhere, "stranger", json!({"app": "stranger"}), &sleep).await?;
    make(&elsewhere, "sink", json!({}), &json!(["sh", "-c", serve])).await?;
    make(&beside, "intruder", json!({"app": "agent"}), &sleep).await?;
    let mut pods = Vec::new();
    for (role, api, name) in [
        (Neighbour, &here, "neighbour"),
        (Agent, &elsewhere, "agent"),
        (Stranger, &elsewhere, "stranger"),
        (Sink, &elsewhere, "sink"),
        (Intruder, &beside, "intruder"),
    ] {
        pods.push((role, running(api, name).await?));
    }
    pods.push((Operator, operator_pods(&world.cluster).await?.into_iter().next().context("an operator")?));
    // The rules of a Service keep the operator out too, unless its address is named.
    let outside = pods.iter().filter(|(role, _)| [Stranger, Operator].contains(role));
    let outside: Vec<String> =
        outside.map(|(_, pod)| Ok(format!("{}/32", address(pod)?))).collect::<Result<_>>()?;
    engines(world, &outside).await?;
    for (role, engine) in ENGINES {
        pods.push((role, here.get(&format!("{engine}-0")).await?));
    }
    Ok(pods)
}

async fn engines(world: &World, outside: &[String]) -> Result<()> {
    let with = |part: &str, more: Value| {
        let mut spec = small();
        spec[part] = more;
        spec
    };
    let peers = json!([{"namespace": ELSEWHERE, "podLabels": {"app": "agent"}}]);
    let endpoint = format!("http://collector.{ELSEWHERE}:{COLLECTOR}/v1/traces");
    let specs = BTreeMap::from([
        ("closed", small()),
        ("friendly", with("exposure", json!({"allowFrom": peers}))),
        ("traced", with("monitoring", json!({"tracing": {"endpoint": endpoint}}))),
        ("unmanaged", with("exposure", json!({"networkPolicy": "Disabled"}))),
    ]);
    for (name, spec) in specs {
        world.apply(name, spec).await?;
    }
    allow(world).await?;
    exposure::make_key(world).await?;
    let mut public = exposure::public();
    public["exposure"]["public"]["loadBalancer"]["sourceRanges"] = json!(outside);
    world.apply("notes", public).await?;
    exposure::balance(world).await?;
    world.condition("notes", "Exposed", "True", "Public").await?;
    for (_, engine) in ENGINES {
        world.ready(engine).await?;
    }
    Ok(())
}

/// Makes a pod of the tools image, under the restricted profile.
async fn make(pods: &Api<Pod>, name: &str, labels: Value, command: &Value) -> Result<()> {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "shell", "image": TOOLS_IMAGE, "imagePullPolicy": "IfNotPresent", "command": command,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }))?;
    pods.create(&Default::default(), &pod).await?;
    Ok(())
}

async fn running(pods: &Api<Pod>, name: &str) -> Result<Pod> {
    until("the pod runs and has an address", READY_LIMIT, async || {
        let pod = pods.get(name).await?;
        let status = pod.status.clone().unwrap_or_default();
        Ok((status.phase.as_deref() == Some("Running") && status.pod_ip.is_some()).then_some(pod))
    })
    .await
}
