use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};

use super::owned;
use crate::{
    names::{self, API_PORT},
    validate::Valid,
};

/// The way in through an ingress controller; `None` if the spec wants none.
#[must_use]
pub fn ingress(valid: &Valid) -> Option<Ingress> {
    let public = valid.public.as_ref()?;
    let wanted = public.ingress.as_ref()?;
    let mut metadata = owned(valid, valid.name.clone());
    metadata.annotations = (!wanted.annotations.is_empty()).then(|| wanted.annotations.clone());
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: names::public_service(&valid.name),
            port: Some(ServiceBackendPort { number: Some(i32::from(API_PORT)), name: None }),
        }),
        resource: None,
    };
    let path = HTTPIngressPath { path: Some("/".to_owned()), path_type: "Prefix".to_owned(), backend };
    let rule = |host: &String| IngressRule {
        host: Some(host.clone()),
        http: Some(HTTPIngressRuleValue { paths: vec![path.clone()] }),
    };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: wanted.class_name.clone(),
            rules: Some(public.hosts.iter().map(rule).collect()),
            tls: Some(vec![IngressTLS {
                hosts: Some(public.hosts.clone()),
                secret_name: Some(wanted.tls_secret_name.clone()),
            }]),
            default_backend: None,
        }),
        status: None,
    })
}
