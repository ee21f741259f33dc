//! Plans the exposure of an engine: the objects for clients outside of the cluster, and the label of its pod.

use serde_json::Value;

use crate::{
    anchor::expected::ExpectedHistory,
    build::{backend_tls_policy, http_route, stamp},
    children::CHILDREN,
    exposure::{Decision, GatewayView, Objects},
    names::{self, ChildKey, ChildKind},
    observed::Observed,
    plan::{Done, Plan, Publish, Step, plan, plan_child, plan_pruning, plan_removal_of},
    pod::PodView,
    status::{self, Outcome},
    suspension::hold,
    validate::Valid,
};

/// Plans the steps of a reconcile, with those of the exposure: a withdrawal comes before everything else, a publication
/// after everything else. Of an engine that is suspended, only a withdrawal is left.
#[must_use]
pub fn plan_all(observed: &Observed, expected: &ExpectedHistory, valid: &Valid) -> Plan {
    let planned = plan_wanted(observed, expected, valid);
    if !valid.essentials.suspend {
        return planned;
    }
    let held = hold(planned);
    let outcome = Outcome::Applied { valid, plan: &held, done: &Done::default() };
    plan_withdrawal(observed, expected, &outcome, held.clone())
}

/// Plans the steps for an engine that is not suspended.
fn plan_wanted(observed: &Observed, expected: &ExpectedHistory, valid: &Valid) -> Plan {
    let closed = plan(observed, valid, expected);
    if observed.engine.metadata.deletion_timestamp.is_some() {
        return with_label(observed, false, closed);
    }
    let decision = status::exposure(observed, expected, valid, &closed);
    let is_published = decision.is_some_and(|decision| decision.is_published);
    let mut planned = match is_published {
        true => plan(observed, &Valid { is_published, ..valid.clone() }, expected),
        false => closed,
    };
    let (removals, others) = plan_objects(observed, valid, decision, &planned);
    planned.conflicts.extend(others.conflicts);
    planned.steps.splice(0..0, removals);
    planned.steps.extend(others.steps);
    with_label(observed, is_published, planned)
}

/// Ends the exposure of an engine whose spec is not valid, if something is known to be wrong.
pub fn plan_withdrawal(
    observed: &Observed,
    expected: &ExpectedHistory,
    outcome: &Outcome<'_>,
    planned: Plan,
) -> Plan {
    match status::must_withdraw(observed, expected, outcome) {
        true => with_label(observed, false, planned),
        false => planned,
    }
}

/// Adds the step that changes the label of the pod, if it has to be changed.
fn with_label(observed: &Observed, is_public: bool, mut planned: Plan) -> Plan {
    let pod = observed.writer().pod.as_ref().filter(|pod| !pod.deleting);
    let has_label = |pod: &PodView| if is_public { pod.is_public() } else { pod.public.is_some() };
    let changed = pod.filter(|pod| has_label(pod) != is_public);
    let publish =
        changed.map(|pod| Step::Publish(Publish { pod: pod.name.clone(), uid: pod.uid.clone(), is_public }));
    let place = if is_public { planned.steps.len() } else { 0 };
    planned.steps.splice(place..place, publish);
    planned
}

/// The removals of objects, and the rest of what is planned for them.
fn plan_objects(
    observed: &Observed,
    valid: &Valid,
    decision: Option<Decision>,
    planned: &Plan,
) -> (Vec<Step>, Plan) {
    let objects = decision.map_or(Objects::Removed, |decision| decision.objects);
    let may_create = objects == Objects::Wanted && planned.conflicts.is_empty() && observed.unread.is_empty();
    let is_unread = matches!(observed.gateway, GatewayView::Unread(_));
    let (mut removals, mut others) = (Plan::default(), Plan::default());
    for (key, object) in wanted(observed, valid) {
        let exists = observed.children.contains_key(&key);
        let is_route = matches!(key.kind, ChildKind::HttpRoute | ChildKind::BackendTlsPolicy);
        match object.filter(|_| objects != Objects::Removed) {
            // What the gateway is like, is not known: the route stays.
            None if is_route && is_unread && objects != Objects::Removed => {}
            None => plan_removal_of(observed, key, &mut removals),
            Some(object) if exists || may_create => {
                if key.kind == ChildKind::Service {
                    plan_pruning(observed, &key, &object, &mut others);
                }
                plan_child(observed, &key, &object, &mut others);
            }
            Some(_) => {}
        }
    }
    (removals.steps, others)
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
