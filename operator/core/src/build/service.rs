use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::owned;
use crate::{
    names::{self, API_PORT},
    validate::Valid,
};

/// The Service gets an IPv4 and an IPv6 address if the cluster has both: an engine listens on both address families.
pub(super) const IP_FAMILY_POLICY: &str = "PreferDualStack";

/// The Service that agents use. Labels and annotations from the spec never override the operator's own.
#[must_use]
pub fn service(valid: &Valid) -> Service {
    let mut metadata = owned(valid, valid.name.clone());
    let mut labels = valid.service.labels.clone();
    labels.extend(metadata.labels.take().unwrap_or_default());
    metadata.labels = Some(labels);
    metadata.annotations = (!valid.service.annotations.is_empty()).then(|| valid.service.annotations.clone());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            selector: Some(names::selector(&valid.name)),
            ports: Some(vec![port("http", API_PORT)]),
            type_: Some("ClusterIP".to_owned()),
            ip_family_policy: Some(IP_FAMILY_POLICY.to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// A port that targets the container port of the same name.
pub(super) fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
