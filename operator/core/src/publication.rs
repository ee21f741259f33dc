//! Plans the exposure of an engine: the objects for clients outside of the cluster, and the label of its pod.

use serde_json::Value;

use crate::{
    anchor::expected::ExpectedHistory,
    build::{backend_tls_policy, http_route, stamp},
    children::CHILDREN,
    exposure::{Decision, GatewayView, Objects},
    names::{self, ChildKey, ChildKind},
    observed::Observed,
    plan::{Call, Done, Plan, Publish, Step, plan, plan_child, plan_pruning, plan_removal_of},
    pod::PodView,
    status::{self, Outcome},
    suspension::hold,
    ticket::{self, Wanted},
    validate::{Essentials, Valid},
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
        let closed = with_ticket(observed, &valid.essentials, &Wanted::Nothing, closed);
        return with_label(observed, false, closed);
    }
    let (decision, held) = status::exposure(observed, expected, valid, &closed).unzip();
    let is_published = decision.is_some_and(|decision| decision.is_published);
    let mut planned = match is_published {
        true => plan(observed, &Valid { is_published, ..valid.clone() }, expected),
        false => closed,
    };
    let (removals, others) = plan_objects(observed, valid, decision, &planned);
    planned.conflicts.extend(others.conflicts);
    planned.steps.splice(0..0, removals);
    planned.steps.extend(others.steps);
    let wanted = held.filter(|_| is_published).map_or(Wanted::Nothing, Wanted::Open);
    let planned = with_ticket(observed, &valid.essentials, &wanted, planned);
    with_label(observed, is_published, planned)
}

/// Ends the exposure of an engine whose spec is not valid or suspended, if something is known to be wrong. Otherwise
/// nothing about it changes, and its ticket is renewed.
pub fn plan_withdrawal(
    observed: &Observed,
    expected: &ExpectedHistory,
    outcome: &Outcome<'_>,
    planned: Plan,
) -> Plan {
    let essentials = outcome.essentials();
    if status::must_withdraw(observed, expected, outcome) {
        let planned = with_ticket(observed, essentials, &Wanted::Nothing, planned);
        return with_label(observed, false, planned);
    }
    with_ticket(observed, essentials, &Wanted::AsBefore, planned)
}

/// Adds the call that delivers the ticket or takes it back, if one is due: before the label is set, so that no request
/// arrives too early, and before everything else if it is taken back.
fn with_ticket(observed: &Observed, essentials: &Essentials, wanted: &Wanted, mut planned: Plan) -> Plan {
    let ticket = ticket::due(observed, essentials.ticket, wanted);
    let place = if ticket.as_ref().is_some_and(|ticket| ticket.is_open) { planned.steps.len() } else { 0 };
    planned.steps.splice(place..place, ticket.map(|ticket| Step::Call(Call::DeliverTicket(ticket))));
    planned
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
