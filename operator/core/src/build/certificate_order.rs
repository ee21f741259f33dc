//! The order to cert-manager: a `Certificate`, which it fulfils with a Secret.

use serde_json::{Value, json};

use super::{owned, stamp, value};
use crate::{
    names,
    tls::{CERTIFICATE_SECONDS_MAX, service_names},
    validate::Valid,
};

/// The `Certificate` of an engine whose certificate cert-manager issues.
#[must_use]
pub fn certificate_order(valid: &Valid) -> Value {
    let tls = valid.tls.clone().unwrap_or_default();
    let cert_manager = tls.cert_manager.unwrap_or_default();
    let issuer = &cert_manager.issuer_ref;
    let seconds = tls.certificate_lifetime_seconds.map_or(CERTIFICATE_SECONDS_MAX, i64::from);
    let key = names::certificate_order(&valid.name);
    let mut dns_names = service_names(&valid.name, &valid.namespace, &valid.essentials);
    dns_names.extend(valid.essentials.public_hosts.clone());
    let mut order = json!({
        "metadata": value(&owned(valid, key.name.clone())),
        "spec": {
            "secretName": key.name,
            "dnsNames": dns_names,
            "usages": ["server auth", "digital signature"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "duration": format!("{}h0m0s", (seconds / 3600).max(1)),
            "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
        },
    });
    if let Some(seconds) = cert_manager.renew_before_seconds {
        // As cert-manager itself writes it, so that nothing looks changed.
        order["spec"]["renewBefore"] = written(seconds.into()).into();
    }
    stamp(&mut order);
    order
}

/// A duration, as Go prints it.
fn written(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes}m{seconds}s") } else { format!("{hours}h{minutes}m{seconds}s") }
}
