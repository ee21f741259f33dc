//! Plans the exposure of an engine: the objects for clients outside of the cluster, and the label of its pod.

use serde_json::Value;

use crate::{
    anchor::expected::ExpectedHistory,
    build::{backend_tls_policy, http_route, stamp},
    children::CHILDREN,
    exposure::{Decision, GatewayView, Objects},
    names::{self, ChildKey},
    observed::Observed,
    plan::{Plan, Publish, Step, plan_child, plan_removal_of},
    status,
    validate::Valid,
};

/// Adds the steps to the plan: a withdrawal comes before everything else, a publication after everything else.
pub fn plan_exposure(observed: &Observed, expected: &ExpectedHistory, valid: &Valid, plan: &mut Plan) {
    if observed.engine.metadata.deletion_timestamp.is_some() {
        return;
    }
    let decision = status::exposure(observed, expected, valid, plan);
    let is_published = decision.is_some_and(|decision| decision.is_published);
    let pod = observed.writer().pod.as_ref().filter(|pod| !pod.deleting && pod.is_public != is_published);
    let publish = pod.map(|pod| Step::Publish(Publish { pod: pod.name.clone(), is_public: is_published }));
    if let (Some(withdrawal), false) = (&publish, is_published) {
        plan.steps.insert(0, withdrawal.clone());
    }
    plan_objects(observed, valid, decision, plan);
    if is_published {
        plan.steps.extend(publish);
    }
}

fn plan_objects(observed: &Observed, valid: &Valid, decision: Option<Decision>, plan: &mut Plan) {
    let objects = decision.map_or(Objects::Removed, |decision| decision.objects);
    let may_create = objects == Objects::Wanted && plan.conflicts.is_empty() && observed.unread.is_empty();
    for (key, object) in wanted(observed, valid) {
        let exists = observed.children.contains_key(&key);
        match object.filter(|_| objects != Objects::Removed) {
            None => plan_removal_of(observed, key, plan),
            Some(object) if exists || may_create => plan_child(observed, &key, &object, plan),
            Some(_) => {}
        }
    }
}

/// Every object of an exposure, with its content if the spec wants it.
fn wanted(observed: &Observed, valid: &Valid) -> Vec<(ChildKey, Option<Value>)> {
    let mut wanted = CHILDREN.exposed(valid);
    // Without the API or the gateway, a route cannot be created or leads nowhere.
    let has_gateway = matches!(observed.gateway, GatewayView::Found(_));
    for (key, object) in [
        (names::backend_tls_policy(&valid.name), backend_tls_policy(valid)),
        (names::http_route(&valid.name), http_route(valid)),
    ] {
        let mut object = object.filter(|_| has_gateway);
        object.iter_mut().for_each(stamp);
        wanted.push((key, object));
    }
    wanted
}
