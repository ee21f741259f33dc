//! The names of an engine in its certificates.

use crate::names;

/// Names under which clients reach the engine: those of its Services, with the usual forms of the cluster's domain. An
/// engine without readers has no Service for them, and keeps the certificate that it had before there were readers.
#[must_use]
pub fn service_names(name: &str, namespace: &str, has_readers: bool) -> Vec<String> {
    let headless = names::headless_service(name);
    let mut wanted = vec![name.to_owned(), format!("{name}.{namespace}")];
    let services = [name.to_owned(), headless.clone(), format!("*.{headless}")];
    for service in services.into_iter().chain(has_readers.then(|| names::readers(name))) {
        for domain in ["svc", "svc.cluster.local"] {
            wanted.push(format!("{service}.{namespace}.{domain}"));
        }
    }
    wanted.push("localhost".to_owned());
    wanted
}
