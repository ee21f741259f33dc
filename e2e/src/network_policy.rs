//! Network policies on the local cluster, in two independent ways: [`Enforcer`] really keeps packets back, and
//! [`evaluate`] asks the evaluator of another project what the objects on the cluster mean. They share no code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::cluster::{Cluster, Layout};
use crate::steps::Steps;
use crate::wait::until;
use crate::{command, tools};

/// Where the enforcer says that its first table is loaded: a port of the node's loopback.
const HEALTH: &str = "127.0.0.1:8105";
/// Its table of nftables.
const TABLE: [&str; 3] = ["table", "inet", "netpol"];
const LIMIT: Duration = Duration::from_secs(60);

/// A running agent that keeps back the packets that no policy allows. They are answered with an error, so that a
/// client need not wait. It ends, and everything is open again, when it is dropped.
#[derive(Debug)]
pub struct Enforcer {
    _agent: Child,
    layout: Layout,
}

impl Enforcer {
    /// Builds the agent if it is not built yet, and starts it.
    ///
    /// # Errors
    /// The cluster is not the local one, or the agent does not start.
    pub async fn start(cluster: &Cluster, steps: &Steps) -> Result<Self> {
        ensure!(cluster.is_local(), "network policies are enforced on the local cluster only");
        tools::ensure_module("netpol", steps).await?;
        let layout = Layout::from_env()?;
        let log = File::create(layout.component_log("netpol"))?;
        let mut agent = Command::new("nsenter");
        agent.arg(format!("--net={}", layout.network_namespace().display())).arg(tools::program("netpol")?);
        agent.arg(format!("--kubeconfig={}", layout.at("config/admin.kubeconfig").display()));
        agent.args([&format!("--listen={HEALTH}"), "--deny=reject", "--node-egress"]);
        agent.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let agent = agent.spawn().context("the agent cannot be started")?;
        let enforcer = Self { _agent: agent, layout };
        let network = format!("--net={}", enforcer.layout.network_namespace().display());
        let health = format!("http://{HEALTH}/");
        until("the agent has loaded its table", LIMIT, async || {
            let asked = ["curl", "--silent", "--fail", "--max-time", "2", &health];
            let asked = [&[network.as_str()], asked.as_slice()].concat();
            command::run("nsenter", &asked, LIMIT).await.map(Some)
        })
        .await?;
        Ok(enforcer)
    }
}

impl Drop for Enforcer {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("nsenter");
        command.arg(format!("--net={}", self.layout.network_namespace().display()));
        // There is nobody to tell; the next run replaces the table.
        let _removed = command.args(["nft", "delete"]).args(TABLE).stderr(Stdio::null()).status();
    }
}

/// A pod by namespace and name.
pub type PodName = (String, String);

/// Who may connect to whom on one port, TCP.
pub type Connections = BTreeSet<(PodName, PodName, u16)>;

/// Asks cyclonus which of the pods may connect to which, by the policies that are on the cluster.
///
/// # Errors
/// The cluster cannot be read, or the answer of the evaluator has another form.
pub async fn evaluate(client: &Client, pods: &[Pod], ports: &[u16], steps: &Steps) -> Result<Connections> {
    tools::ensure_module("cyclonus", steps).await?;
    let files = tempfile::tempdir()?;
    let folder = files.path().join("policies");
    std::fs::create_dir(&folder)?;
    let policies: Api<NetworkPolicy> = Api::all(client.clone());
    for policy in policies.list(&ListParams::default()).await? {
        let file =
            folder.join(format!("{}.{}.yaml", policy.namespace().unwrap_or_default(), policy.name_any()));
        let mut policy = serde_json::to_value(policy)?;
        policy["apiVersion"] = json!("networking.k8s.io/v1");
        policy["kind"] = json!("NetworkPolicy");
        std::fs::write(file, policy.to_string())?;
    }
    let model = files.path().join("model.json");
    std::fs::write(&model, model_of(client, pods, ports).await?.to_string())?;
    let program = tools::program("cyclonus")?.display().to_string();
    let (folder, model) = (folder.display().to_string(), model.display().to_string());
    let arguments = ["analyze", "--mode", "probe", "--policy-path", &folder, "--probe-path", &model];
    parse(&command::run(&program, &arguments, LIMIT).await?, ports)
}

async fn model_of(client: &Client, pods: &[Pod], ports: &[u16]) -> Result<Value> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespaces: BTreeMap<String, Value> = namespaces
        .list(&ListParams::default())
        .await?
        .into_iter()
        .map(|namespace| (namespace.name_any(), json!(namespace.labels())))
        .collect();
    let containers: Vec<Value> = ports
        .iter()
        .map(|port| json!({"Name": format!("p{port}"), "Port": port, "Protocol": "TCP"}))
        .collect();
    let described = pods.iter().map(|pod| {
        let address =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("an address")?;
        Ok(json!({
            "Namespace": pod.namespace(), "Name": pod.name_any(), "Labels": pod.labels(), "IP": address,
            "Containers": containers,
        }))
    });
    let described: Vec<Value> = described.collect::<Result<_>>()?;
    let probes: Vec<Value> = ports.iter().map(|port| json!({"Protocol": "TCP", "Port": port})).collect();
    Ok(json!({"Resources": {"Namespaces": namespaces, "Pods": described}, "Probes": probes}))
}

/// Reads the tables that the evaluator prints, one for each port: a row for each source, a column for each target.
fn parse(printed: &str, ports: &[u16]) -> Result<Connections> {
    // It ends with a table that is empty.
    let tables = printed.split("Combined:\n").skip(1).filter(|table| table.contains('/'));
    let tables: Vec<&str> = tables.collect();
    ensure!(tables.len() == ports.len(), "{} tables for {} ports: {printed}", tables.len(), ports.len());
    let mut allowed = Connections::new();
    for (table, port) in tables.into_iter().zip(ports) {
        let rows =
            table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| !line.is_empty());
        let mut rows = rows.filter(|line| line.starts_with('|')).map(cells);
        let targets: Vec<String> = rows.next().context("a header")?.into_iter().skip(1).collect();
        for row in rows {
            let (source, verdicts) = row.split_first().context("a source")?;
            for (target, verdict) in targets.iter().zip(verdicts) {
                match verdict.as_str() {
                    "." => drop(allowed.insert((pod_name(source)?, pod_name(target)?, *port))),
                    "X" => {}
                    other => bail!("a verdict of {other:?}: {printed}"),
                }
            }
        }
    }
    Ok(allowed)
}

/// The header is printed in capitals, names of Kubernetes have none.
fn cells(line: &str) -> Vec<String> {
    let cells = line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
    cells.map(|cell| if cell == "X" { cell } else { cell.to_lowercase() }).collect()
}

fn pod_name(cell: &str) -> Result<PodName> {
    let (namespace, name) = cell.split_once('/').with_context(|| format!("{cell:?} is no pod"))?;
    Ok((namespace.to_owned(), name.to_owned()))
}

/// Tries to connect from the network of a pod, with real packets: to each of the addresses, all at once. Returns those
/// that accepted.
///
/// # Errors
/// The pod does not run on this machine.
pub async fn connect(pod: &Pod, addresses: &[(String, u16)]) -> Result<BTreeSet<(String, u16)>> {
    let pid = *crate::cluster::host_pids(pod, None)?.first().context("the pod has no process")?;
    // A packet that is lost without an answer must not count as refused at once, and not block the others.
    const TRY: &str = r#"for a in "$@"; do (timeout 3 bash -c "</dev/tcp/${a%:*}/${a##*:}" 2>/dev/null && echo "$a") & done; wait"#;
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).args(["bash", "-c", TRY, "connect"]);
    command.args(addresses.iter().map(|(address, port)| format!("{address}:{port}")));
    let printed = command::output(command, LIMIT).await?;
    let accepted = printed.lines().map(|line| {
        let (address, port) = line.split_once(':').context("an address")?;
        Ok((address.to_owned(), port.parse()?))
    });
    accepted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_evaluator_are_read() {
        let printed = "Ingress:\n| - | A/X |\n\nCombined:\n+-----+-----+-----+\n|  -  | A/X | B/Y |\n+-----+-----+-----+\n\
                       | a/x | .   | X   |\n| b/y | X   | .   |\n+-----+-----+-----+\n\n\n\
                       Combined:\n+--+\n|  |\n+--+\n\n";
        let name = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let (x, y) = (name("a", "x"), name("b", "y"));
        let found = parse(printed, &[80]).unwrap();
        assert_eq!(found, Connections::from([(x.clone(), x, 80), (y.clone(), y, 80)]));
        assert!(parse(printed, &[80, 81]).is_err(), "a table is missing");
        assert!(parse(&printed.replace(" . ", " ? "), &[80]).is_err(), "an unknown verdict");
    }
}
