//! Validates `spec.exposure` and `spec.deploymentMode`.

use crds::{Anonymous, DeploymentMode, MemoryEngineSpec, NetworkPolicyMode, PUBLIC_HOSTS_MAX};
use engine_core::configuration;

use super::fault::Fault;

/// What the engine demands in production. It does not start otherwise.
fn check_production(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    let access = spec.access.clone().unwrap_or_default();
    let has_callers =
        !access.keys.is_empty() || !access.issuers.is_empty() || !access.certificates.is_empty();
    for (needed, is_there) in [
        ("spec.tls", spec.tls.is_some()),
        ("spec.access.keys, issuers or certificates", has_callers),
        ("spec.access.anonymous: Denied", access.anonymous != Some(Anonymous::Allowed)),
    ] {
        if !is_there {
            faults.push(Fault::Needs { field: "spec.deploymentMode: Production", needed });
        }
    }
}

pub(super) fn check_exposure(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) {
    if spec.deployment_mode == DeploymentMode::Production {
        check_production(spec, faults);
    }
    if spec.access.as_ref().is_some_and(|access| access.client_authority_secret_ref.is_some())
        && spec.tls.is_none()
    {
        faults.push(Fault::Needs { field: "spec.access.clientAuthoritySecretRef", needed: "spec.tls" });
    }
    let exposure = &spec.exposure;
    if !exposure.allow_from.is_empty() && exposure.network_policy == NetworkPolicyMode::Disabled {
        faults.push(Fault::Needs {
            field: "spec.exposure.allowFrom",
            needed: "spec.exposure.networkPolicy: Managed",
        });
    }
    let Some(public) = &exposure.public else { return };
    let ways = [public.load_balancer.is_some(), public.ingress.is_some(), public.gateway.is_some()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        faults.push(Fault::WaysIn);
    }
    let is_host =
        |host: &String| host.len() <= 253 && !host.contains(':') && configuration::Mcp::is_host(host);
    let are_hosts = (1..=PUBLIC_HOSTS_MAX as usize).contains(&public.hosts.len());
    if !are_hosts || !public.hosts.iter().all(is_host) {
        faults.push(Fault::PublicHosts);
    }
}
