//! Public exposure on the cluster: nothing is reached from outside before it is proven, and a withdrawal is quick.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::steps::Steps;
use e2e::wait::until;
use e2e::{deploy, secure_demo, tools};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::tls::allow;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, small};

const HOST: &str = "memory.example.org";
/// How long a withdrawal may take, from the change to a Service without endpoints.
const WITHDRAWAL_LIMIT: Duration = Duration::from_secs(2);
/// A key of a client, as `memory-engine token create` makes them.
const KEY: &str = "agent-key";

/// An engine in production that is reached through a load balancer.
pub(crate) fn public() -> Value {
    let mut spec = small();
    spec["deploymentMode"] = json!("Production");
    spec["tls"] = json!({});
    spec["access"] = json!({
        "anonymous": "Denied",
        "keys": [{
            "name": "agent", "secretRef": {"name": KEY}, "scopes": ["Read", "Write"], "projects": ["notes"],
        }],
    });
    spec["exposure"] = json!({"public": {"hosts": [HOST], "loadBalancer": {"class": "example.org/test"}}});
    spec
}

/// The addresses of the pods behind the public Service.
async fn endpoints(world: &World) -> Result<usize> {
    let selected = ListParams::default().labels("kubernetes.io/service-name=notes-public");
    let slices = world.api::<EndpointSlice>().list(&selected).await?;
    Ok(slices.iter().map(|slice| slice.endpoints.len()).sum())
}

/// What the controller of a load balancer does: it writes an address into the status of the Service. This one leads
/// through the address of the Service in the cluster, so that requests take the way of every other client.
pub(crate) async fn balance(world: &World) -> Result<String> {
    let services = world.api::<Service>();
    let address = until("the public Service has an address in the cluster", SOON, async || {
        let found = services.get_opt("notes-public").await?;
        Ok(found.and_then(|service| service.spec?.cluster_ip))
    })
    .await?;
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
    services.patch_status("notes-public", &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(address)
}

/// One request through the load balancer; returns the status, or what curl says.
pub(crate) async fn ask(world: &World, address: &str, key: Option<&str>) -> Result<String> {
    let authorities = world.api::<ConfigMap>().get("notes-ca").await?.data.context("authorities")?;
    let authorities = authorities.get("ca.crt").context("authorities")?;
    let header = key.map(|key| format!("-H 'authorization: Bearer {key}'")).unwrap_or_default();
    let script = format!(
        "printf '%s' '{authorities}' > /tmp/ca.crt; curl -sS --max-time 5 --cacert /tmp/ca.crt {header} \
         --resolve {HOST}:443:{address} -o /dev/null -w '%{{http_code}}' 'https://{HOST}/v1/search?q=a&project=notes' 2>&1 || true"
    );
    world.shell("client", "shell", &script).await
}

pub(crate) async fn edit(world: &World, spec: Value) -> Result<()> {
    let patch = json!({"spec": spec});
    world.api::<MemoryEngine>().patch("notes", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// An engine is published when every check holds, a client with a key gets in and one without does not, and each broken
/// check withdraws it until it is mended.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_public_while_every_check_holds() {
    in_namespace("tls-public", async |world| {
        allow(world).await?;
        let key = make_key(world).await?;
        let mut closed = public();
        closed["deploymentMode"] = json!("Development");
        world.apply("notes", closed).await?;
        world.ready("notes").await?;
        world.condition("notes", "Exposed", "False", "NotInProduction").await?;
        ensure!(world.api::<Service>().get_opt("notes-public").await?.is_none(), "made before it is proven");

        world.apply("notes", public()).await?;
        world.shell_pod("client").await?;
        let address = balance(world).await?;
        world.condition("notes", "Exposed", "True", "Public").await?;
        ensure!(ask(world, &address, Some(&key)).await? == "200", "a client with a key");
        ensure!(ask(world, &address, None).await? == "401", "a client without a key");

        let started = Instant::now();
        edit(world, json!({"deploymentMode": "Development"})).await?;
        until("the Service has no endpoints", READY_LIMIT, async || {
            Ok((endpoints(world).await? == 0).then_some(()))
        })
        .await?;
        let withdrawn = started.elapsed();
        println!("withdrawn after {withdrawn:?}");
        ensure!(withdrawn <= WITHDRAWAL_LIMIT, "withdrawn after {withdrawn:?}");
        world.condition("notes", "Exposed", "False", "NotInProduction").await?;
        until("the Service is gone", SOON, async || {
            Ok(world.api::<Service>().get_opt("notes-public").await?.is_none().then_some(()))
        })
        .await?;

        let started = Instant::now();
        edit(world, json!({"deploymentMode": "Production"})).await?;
        let address = balance(world).await?;
        world.condition("notes", "Exposed", "True", "Public").await?;
        println!("public again after {:?}", started.elapsed());
        ensure!(ask(world, &address, Some(&key)).await? == "200", "a client with a key");
        Ok(())
    })
    .await;
}

/// The definitions of the Gateway API, standard channel.
async fn install_gateway_api(world: &World) -> Result<()> {
    let folder = tools::source_of("csi", "sigs.k8s.io/gateway-api").await?;
    for plural in ["gatewayclasses", "gateways", "httproutes", "backendtlspolicies"] {
        let file = folder.join(format!("config/crd/standard/gateway.networking.k8s.io_{plural}.yaml"));
        let file = file.display().to_string();
        deploy::kubectl(&world.cluster, &["apply", "--server-side", "-f", &file]).await?;
    }
    let established =
        ["wait", "--for=condition=Established", "--timeout=30s", "crd/httproutes.gateway.networking.k8s.io"];
    deploy::kubectl(&world.cluster, &established).await?;
    Ok(())
}

fn of_gateway_api(world: &World, kind: &str, plural: &str) -> kube::Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    kube::Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

/// A route and its policy are made for a gateway that exists, and go with the proof.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_gets_a_route_and_learns_how_to_verify_the_engine() {
    in_namespace("tls-gateway", async |world| {
        allow(world).await?;
        install_gateway_api(world).await?;
        make_key(world).await?;
        let mut spec = public();
        spec["exposure"] = json!({"public": {
            "hosts": [HOST], "gateway": {"parentRef": {"name": "shared", "sectionName": "https"}},
        }});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        let message = world.condition("notes", "Exposed", "False", "GatewayMissing").await?;
        ensure!(message.contains("shared does not exist"), "{message}");
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "shared"},
            "spec": {"gatewayClassName": "none", "listeners": [{
                "name": "https", "protocol": "HTTPS", "port": 443,
                "tls": {"certificateRefs": [{"name": "host"}]},
            }]},
        });
        let gateways = of_gateway_api(world, "Gateway", "gateways");
        gateways.patch("shared", &PatchParams::apply("platform"), &Patch::Apply(&gateway)).await?;
        world.condition("notes", "Exposed", "False", "AddressPending").await?;
        let route = of_gateway_api(world, "HTTPRoute", "httproutes").get("notes").await?.data;
        ensure!(route["spec"]["hostnames"] == json!([HOST]), "{route}");
        ensure!(route["spec"]["rules"][0]["backendRefs"][0]["name"] == "notes-public", "{route}");
        let policies = of_gateway_api(world, "BackendTLSPolicy", "backendtlspolicies");
        let policy = policies.get("notes").await?.data;
        let validation = &policy["spec"]["validation"];
        ensure!(validation["hostname"] == format!("notes.{}.svc", world.namespace), "{policy}");
        ensure!(validation["caCertificateRefs"][0]["name"] == "notes-ca", "{policy}");
        edit(world, json!({"deploymentMode": "Development"})).await?;
        until("route and policy are gone", SOON, async || {
            let route = of_gateway_api(world, "HTTPRoute", "httproutes").get_opt("notes").await?;
            Ok((route.is_none() && policies.get_opt("notes").await?.is_none()).then_some(()))
        })
        .await
    })
    .await;
}

pub(crate) async fn make_key(world: &World) -> Result<String> {
    let key = secure_demo::new_key()?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEY}, "stringData": {"token": key}});
    world.api::<Secret>().patch(KEY, &PatchParams::apply("platform"), &Patch::Apply(&secret)).await?;
    Ok(key)
}

/// The demo of an engine in production, with a real ingress controller and an agent that speaks MCP.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_served_through_an_ingress_controller() {
    in_namespace("tls-ingress", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: the ingress controller runs on the node of the local cluster");
            return Ok(());
        }
        let measured = secure_demo::show(&world.cluster, &world.namespace, &Steps::start()).await?;
        println!("{measured:?}");
        ensure!(measured.withdrawn <= WITHDRAWAL_LIMIT, "{measured:?}");
        ensure!(measured.requests > 20, "{measured:?}");
        Ok(())
    })
    .await;
}
