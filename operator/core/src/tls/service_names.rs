//! The names of an engine in its certificates.

use crate::names;

/// Names under which clients reach the engine: those of its Services, with the usual forms of the cluster's domain.
#[must_use]
pub fn service_names(name: &str, namespace: &str) -> Vec<String> {
    let headless = names::headless_service(name);
    let mut wanted = vec![name.to_owned(), format!("{name}.{namespace}")];
    for service in [name.to_owned(), headless.clone(), format!("*.{headless}")] {
        for domain in ["svc", "svc.cluster.local"] {
            wanted.push(format!("{service}.{namespace}.{domain}"));
        }
    }
    wanted.push("localhost".to_owned());
    wanted
}
