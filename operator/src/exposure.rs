//! Reads what the exposure of an engine depends on: the gateway and its route, and what a request through the front
//! door shows.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use operator_core::{
    children::CHILDREN,
    conditions::{ConditionType, Reason},
    exposure::{FrontDoor, GatewayView, addresses},
    names::{ChildKey, GATEWAY_GROUP, backend_tls_policy, http_route},
    observed::Observed,
    validate::Essentials,
};
use serde_json::Value;

use crate::{
    cache::{api, api_resource, slim},
    context::{Context, identity},
    error::{CallError, call},
    front_door::{Door, ask_all},
};

/// Most addresses of a front door that are asked. A load balancer has one for each address family, or a few names.
const ADDRESSES_MAX: usize = 4;
/// What is known about an answer that an operator before this one has seen.
const UNSAFE_BEFORE: &str = "an earlier request without credentials was answered";

/// Reads everything. Without a public exposure, now and before, nothing is read.
pub(crate) async fn observe(
    context: &Context,
    observed: &mut Observed,
    essentials: &Essentials,
    is_silent: bool,
) {
    if !is_public(observed, essentials) {
        return;
    }
    if is_silent {
        observed.front_door = held(context, observed).unwrap_or_default();
        return;
    }
    let has_api = read_route(context, observed).await;
    if let Some(parent) = &essentials.gateway {
        let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
        let namespace = parent.namespace.clone().unwrap_or(namespace);
        observed.gateway = match has_api {
            true => gateway(context, &namespace, &parent.name).await,
            false => GatewayView::Missing(
                "the cluster has no HTTPRoute and BackendTLSPolicy of gateway.networking.k8s.io/v1: install \
                 the Gateway API 1.4 or newer"
                    .to_owned(),
            ),
        };
    }
    observed.front_door = front_door(context, observed, essentials).await;
}

/// Whether the spec wants a public exposure, or objects of an earlier one may exist.
pub(crate) fn is_public(observed: &Observed, essentials: &Essentials) -> bool {
    if !essentials.public_hosts.is_empty() {
        return true;
    }
    let conditions = observed.engine.status.as_ref().map(|status| status.conditions.as_slice());
    let exposed = ConditionType::Exposed.as_str();
    let before = conditions.unwrap_or_default().iter().find(|condition| condition.type_ == exposed);
    before.is_some_and(|condition| condition.reason != Reason::NotPublic.as_str())
}

/// Reads the route and its policy. They are neither watched nor cached, because not every cluster has them. Returns
/// whether the cluster has their kinds.
async fn read_route(context: &Context, observed: &mut Observed) -> bool {
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    let name = observed.engine.metadata.name.clone().unwrap_or_default();
    let mut has_api = true;
    for key in [http_route(&name), backend_tls_policy(&name)] {
        let resource = api_resource(key.kind);
        match get(context, &resource, &namespace, &key.name).await {
            Ok(Some(object)) => {
                observed.children.insert(key, object.into());
            }
            Ok(None) => {}
            Err(Missing::Kind) => has_api = false,
            Err(Missing::Unread(error)) => unread(observed, key, &error),
        }
    }
    has_api
}

fn unread(observed: &mut Observed, key: ChildKey, error: &CallError) {
    tracing::warn!(object = %key, %error, "an object could not be read");
    observed.unread.insert(key, error.to_string());
}

/// Why an object is not known.
enum Missing {
    /// The cluster does not have its kind.
    Kind,
    Unread(CallError),
}

/// Reads an object; `None` if it does not exist.
async fn get(
    context: &Context,
    resource: &ApiResource,
    namespace: &str,
    name: &str,
) -> Result<Option<DynamicObject>, Missing> {
    match call(api(&context.client, resource, Some(namespace)).get(name)).await {
        Ok(mut object) => {
            slim(&mut object);
            Ok(Some(object))
        }
        // The API server names the object that is missing only if it knows the kind.
        Err(error) => match error.api().filter(|status| status.code == 404) {
            Some(status) if status.details.as_ref().is_some_and(|details| !details.name.is_empty()) => {
                Ok(None)
            }
            Some(_) => Err(Missing::Kind),
            None => Err(Missing::Unread(error)),
        },
    }
}

async fn gateway(context: &Context, namespace: &str, name: &str) -> GatewayView {
    let kind = GroupVersionKind::gvk(GATEWAY_GROUP, "v1", "Gateway");
    let resource = ApiResource::from_gvk_with_plural(&kind, "gateways");
    match get(context, &resource, namespace, name).await {
        Ok(Some(gateway)) => GatewayView::Found(gateway_addresses(&gateway)),
        Ok(None) => GatewayView::Missing(format!("the Gateway {namespace}/{name} does not exist")),
        Err(Missing::Kind) => GatewayView::Missing("the cluster has no Gateway API".to_owned()),
        Err(Missing::Unread(error)) => {
            tracing::warn!(namespace, name, %error, "a Gateway could not be read");
            GatewayView::Unread(format!("the Gateway {namespace}/{name} could not be read: {error}"))
        }
    }
}

fn gateway_addresses(gateway: &DynamicObject) -> Vec<String> {
    let found = gateway.data.pointer("/status/addresses").and_then(Value::as_array);
    let values = found.into_iter().flatten().filter_map(|address| address.get("value")?.as_str());
    values.map(str::to_owned).collect()
}

async fn front_door(context: &Context, observed: &Observed, essentials: &Essentials) -> FrontDoor {
    if let Some(held) = held(context, observed) {
        return held;
    }
    let is_public = observed.writer().pod.as_ref().is_some_and(|pod| pod.is_public() && pod.ready);
    if essentials.public_hosts.is_empty() || !is_public {
        return FrontDoor::NotAsked;
    }
    let (addresses, is_engine) = places(observed, essentials);
    if addresses.is_empty() {
        return FrontDoor::NoAddress(pending(essentials));
    }
    let authorities = authorities(observed, essentials).filter(|_| is_engine);
    let mut doors = Vec::new();
    for address in &addresses {
        doors.extend(essentials.public_hosts.iter().map(|host| Door { address, host, authorities }));
    }
    let found = ask_all(&doors).await;
    let engine = identity(observed.engine.as_ref());
    context.front_doors.keep(&engine, &found, observed.engine.metadata.generation, observed.now);
    found
}

/// An answer that was not safe and still counts. After a restart of the operator, the status has it.
fn held(context: &Context, observed: &Observed) -> Option<FrontDoor> {
    let engine = identity(observed.engine.as_ref());
    let generation = observed.engine.metadata.generation;
    let conditions = observed.engine.status.as_ref().map(|status| status.conditions.as_slice());
    let before = conditions.unwrap_or_default().iter().find(|one| {
        one.type_ == ConditionType::Exposed.as_str() && one.reason == Reason::FrontDoorUnsafe.as_str()
    });
    if before.is_some_and(|before| before.observed_generation == generation) {
        context.front_doors.take_over(&engine, UNSAFE_BEFORE, generation, observed.now);
    }
    context.front_doors.held(&engine, generation, observed.now)
}

/// The authorities of the certificate of the memory API.
fn authorities<'a>(observed: &'a Observed, essentials: &Essentials) -> Option<&'a str> {
    if essentials.given_certificate.is_some() {
        let given = observed.given.as_ref().map(|given| given.authorities.as_str());
        return given.filter(|authorities| !authorities.is_empty());
    }
    let certificate = observed.tls.as_ref().and_then(|view| view.certificate.present());
    certificate.map(|found| found.bundle.as_str())
}

/// The addresses of the front door, and whether the engine itself answers there.
fn places(observed: &Observed, essentials: &Essentials) -> (Vec<String>, bool) {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let found =
        |key: &ChildKey| observed.children.get(key).map(|object| addresses(object)).unwrap_or_default();
    let ingress = CHILDREN.ingress.key(name);
    let (mut found, is_engine) = match &observed.gateway {
        GatewayView::Found(addresses) if essentials.gateway.is_some() => (addresses.clone(), false),
        _ if essentials.gateway.is_some() => (Vec::new(), false),
        _ if observed.children.contains_key(&ingress) => (found(&ingress), false),
        _ => (found(&CHILDREN.public_service.key(name)), true),
    };
    found.truncate(ADDRESSES_MAX);
    (found, is_engine)
}

fn pending(essentials: &Essentials) -> String {
    let who = match essentials.gateway {
        Some(_) => "the Gateway has no address in its status yet: its controller writes it",
        None => {
            "the Ingress or the Service has no address in its status yet: the controller of its class writes it"
        }
    };
    who.to_owned()
}

#[cfg(test)]
mod tests;
