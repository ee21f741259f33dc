use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::owned;
use crate::{
    names::{self, API_PORT},
    validate::Valid,
};

/// The address agents use.
#[must_use]
pub fn service(valid: &Valid) -> Service {
    Service {
        metadata: owned(valid, valid.name.clone()),
        spec: Some(ServiceSpec {
            selector: Some(names::selector(&valid.name)),
            ports: Some(vec![port("http", API_PORT)]),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// A port that goes to the container port of the same name.
pub(super) fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
