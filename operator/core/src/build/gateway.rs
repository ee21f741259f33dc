//! The objects of the Gateway API. They are written as JSON: no crate that the operator uses has their types.

use serde_json::{Value, json};

use super::{owned, value};
use crate::{
    names::{self, API_PORT, GATEWAY_GROUP},
    validate::Valid,
};

/// The route of a gateway; `None` if the spec wants none.
#[must_use]
pub fn http_route(valid: &Valid) -> Option<Value> {
    let public = valid.public.as_ref()?;
    let parent = &public.gateway.as_ref()?.parent_ref;
    let namespace = parent.namespace.as_ref().unwrap_or(&valid.namespace);
    Some(json!({
        "metadata": value(&owned(valid, names::http_route(&valid.name).name)),
        "spec": {
            "parentRefs": [{
                "group": GATEWAY_GROUP,
                "kind": "Gateway",
                "name": parent.name,
                "namespace": namespace,
                "sectionName": parent.section_name,
            }],
            "hostnames": public.hosts,
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{
                    "group": "",
                    "kind": "Service",
                    "name": names::public_service(&valid.name),
                    "port": API_PORT,
                    "weight": 1,
                }],
            }],
        },
    }))
}

/// How the gateway verifies the engine: it would connect without TLS otherwise. `None` if the spec wants no gateway.
#[must_use]
pub fn backend_tls_policy(valid: &Valid) -> Option<Value> {
    valid.public.as_ref()?.gateway.as_ref()?;
    Some(json!({
        "metadata": value(&owned(valid, names::backend_tls_policy(&valid.name).name)),
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": names::public_service(&valid.name)}],
            "validation": {
                "caCertificateRefs": [{
                    "group": "",
                    "kind": "ConfigMap",
                    "name": names::authorities_config_map(&valid.name).name,
                }],
                "hostname": names::server_name(&valid.name, &valid.namespace),
            },
        },
    }))
}
