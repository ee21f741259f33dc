//! The names of an engine in its certificates.

use crate::{names, validate::Essentials};

/// Names under which clients reach the engine: those of its Services, with the usual forms of the cluster's domain. An
/// engine without readers or a canary has no Service for them, and keeps the certificate that it had before.
#[must_use]
pub fn service_names(name: &str, namespace: &str, essentials: &Essentials) -> Vec<String> {
    let headless = names::headless_service(name);
    let mut wanted = vec![name.to_owned(), format!("{name}.{namespace}")];
    let services = [name.to_owned(), headless.clone(), format!("*.{headless}")];
    let readers = (essentials.readers > 0).then(|| names::readers(name));
    let canary = essentials.rollout.then(|| names::canary(name));
    for service in services.into_iter().chain(readers).chain(canary) {
        for domain in ["svc", "svc.cluster.local"] {
            wanted.push(format!("{service}.{namespace}.{domain}"));
        }
    }
    wanted.push("localhost".to_owned());
    wanted
}
