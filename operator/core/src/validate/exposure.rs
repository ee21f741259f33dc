//! Validates `spec.exposure` and `spec.deploymentMode`.

use std::net::IpAddr;

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
    if public.ticket.is_some() && spec.tls.is_none() {
        faults.push(Fault::Needs { field: "spec.exposure.public.ticket", needed: "spec.tls" });
    }
    let ways = [public.load_balancer.is_some(), public.ingress.is_some(), public.gateway.is_some()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        faults.push(Fault::WaysIn);
    }
    let is_host = |host: &String| host.len() <= 253 && !is_address(host) && configuration::Mcp::is_host(host);
    let are_hosts = (1..=PUBLIC_HOSTS_MAX as usize).contains(&public.hosts.len());
    if !are_hosts || !public.hosts.iter().all(is_host) {
        faults.push(Fault::PublicHosts);
    }
    let ranges = public.load_balancer.iter().flat_map(|balancer| &balancer.source_ranges).enumerate();
    let wrong = ranges.filter(|(_, range)| !is_range(range)).map(|(index, _)| Fault::SourceRange(index));
    faults.extend(wrong);
}

/// Whether a text is an IP address, or looks like one.
fn is_address(text: &str) -> bool {
    text.contains(':') || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether a text is a CIDR block, as Kubernetes reads it.
fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_number && (length == "0" || !length.starts_with('0'));
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => 128,
        Ok(IpAddr::V6(_)) | Err(_) => return false,
    };
    is_plain && length.parse::<u8>().is_ok_and(|length| length <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_block_of_addresses() {
        for range in ["0.0.0.0/0", "203.0.113.0/24", "10.1.2.3/32", "::/0", "fd00::/8", "2001:db8::1/128"] {
            assert!(is_range(range), "{range}");
        }
        for range in [
            "::/999",
            "::/129",
            "10.0.0.0/33",
            "10.0.0.0",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            ":::/8",
            "1::2::3/64",
            "010.0.0.0/8",
            "256.0.0.0/8",
            "::ffff:10.0.0.0/104",
            "fe80::1%eth0/64",
            "a/8",
            "/8",
            "10.0.0.0/8 ",
            "10.0.0.0/8/8",
        ] {
            assert!(!is_range(range), "{range}");
        }
        assert!(is_address("10.0.0.1") && is_address("::1") && !is_address("10.example.org"));
    }
}
