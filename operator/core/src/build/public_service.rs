use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{owned, service::IP_FAMILY_POLICY};
use crate::{
    names::{self, API_PORT, PUBLIC_LABEL, PUBLIC_VALUE, TICKET_PORT_NAME},
    validate::Valid,
};

/// Port of the memory API for clients outside of the cluster.
const PUBLIC_PORT: u16 = 443;

/// The Service that clients outside of the cluster reach, directly or through a gateway. It selects a label that only
/// the operator sets: without the label it has no endpoints, whatever a load balancer or a gateway still knows.
#[must_use]
pub fn public_service(valid: &Valid) -> Service {
    let mut metadata = owned(valid, names::public_service(&valid.name));
    let mut selector = names::selector(&valid.name);
    selector.insert(PUBLIC_LABEL.to_owned(), PUBLIC_VALUE.to_owned());
    let public = valid.public.as_ref();
    let balancer = public.and_then(|public| public.load_balancer.as_ref());
    let ingress = public.and_then(|public| public.ingress.as_ref());
    let annotations =
        balancer.map(|one| &one.annotations).or(ingress.map(|one| &one.service_annotations)).cloned();
    metadata.annotations = annotations.filter(|annotations| !annotations.is_empty());
    let (number, name) = match balancer {
        Some(_) => (PUBLIC_PORT, "https"),
        None => (API_PORT, "https"),
    };
    // A pod from before the ticket does not have its port, and gets no requests.
    let target = valid.essentials.ticket.map_or("http", |_| TICKET_PORT_NAME);
    let ranges = balancer.map(|balancer| balancer.source_ranges.clone());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            selector: Some(selector),
            ports: Some(vec![ServicePort {
                name: Some(name.to_owned()),
                port: i32::from(number),
                target_port: Some(IntOrString::String(target.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            type_: Some(balancer.map_or("ClusterIP", |_| "LoadBalancer").to_owned()),
            load_balancer_class: balancer.and_then(|balancer| balancer.class.clone()),
            load_balancer_source_ranges: ranges.filter(|ranges| !ranges.is_empty()),
            ip_family_policy: Some(IP_FAMILY_POLICY.to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
