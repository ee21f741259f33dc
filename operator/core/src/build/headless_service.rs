use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::{
    owned,
    service::{IP_FAMILY_POLICY, port},
};
use crate::{
    names::{self, ADMIN_PORT, API_PORT},
    validate::Valid,
};

/// The Service that gives the writer's pod its own DNS name, whether the pod is ready or not: an engine that is not
/// ready still responds to queries about its state.
#[must_use]
pub fn headless_service(valid: &Valid) -> Service {
    Service {
        metadata: owned(valid, names::headless_service(&valid.name)),
        spec: Some(ServiceSpec {
            selector: Some(names::selector(&valid.name)),
            ports: Some(vec![port("http", API_PORT), port("admin", ADMIN_PORT)]),
            cluster_ip: Some("None".to_owned()),
            ip_family_policy: Some(IP_FAMILY_POLICY.to_owned()),
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
