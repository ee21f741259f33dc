//! What a request through the front door shows.

use kube_core::DynamicObject;
use serde_json::Value;

/// Result of a request through the front door: the load balancer, the ingress controller or the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FrontDoor {
    /// No request was sent, because nothing is exposed.
    #[default]
    NotAsked,
    /// Nobody has given the front door an address yet; the text says what is missing.
    NoAddress(String),
    /// No answer of this engine arrived.
    Unreachable(String),
    /// An answer shows that the engine must not be reached in this way.
    Unsafe(String),
    /// The engine answered, and asked for credentials.
    Answers,
}

/// The gateway of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GatewayView {
    /// The spec names none.
    #[default]
    NotQueried,
    /// The cluster has no Gateway API, or the gateway does not exist; the text says which.
    Missing(String),
    /// It could not be read; the text says why. What exists is kept.
    Unread(String),
    /// It exists, with these addresses.
    Found(Vec<String>),
}

/// The addresses that a load balancer or an ingress controller has written into the status of a Service or an Ingress.
#[must_use]
pub fn addresses(object: &DynamicObject) -> Vec<String> {
    let points = object.data.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    let text = |point: &Value, field: &str| point.get(field)?.as_str().map(str::to_owned);
    let found = points.into_iter().flatten();
    found.filter_map(|point| text(point, "ip").or_else(|| text(point, "hostname"))).collect()
}

impl FrontDoor {
    /// What several requests have shown together. One answer that is not safe counts more than any other; then one that
    /// is missing.
    #[must_use]
    pub fn of_all(found: &[Self]) -> Self {
        let first = |is: fn(&Self) -> bool| found.iter().find(|one| is(one)).cloned();
        first(|one| matches!(one, Self::Unsafe(_)))
            .or_else(|| first(|one| !matches!(one, Self::Answers)))
            .or_else(|| found.first().cloned())
            .unwrap_or_default()
    }
}
