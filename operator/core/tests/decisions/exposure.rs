//! Exposure in plans and in the status: what is created, when the pod gets its label, and which check is named.

use crds::{MemoryEngine, OnViolation, PublicExposure, PublicGateway, PublicIngress, PublicLoadBalancer};
use operator_core::{
    anchor::expected::expected_history,
    exposure::{FrontDoor, GatewayView},
    names::PUBLIC_VALUE,
    names::{ChildKey, ChildKind, backend_tls_policy, http_route},
    observed::Observed,
    plan::{Plan, Step, Write},
    publication::{plan_all, plan_withdrawal},
    status::Outcome,
};

use serde_json::json;

use crate::world::{carry_out, essentials, settled, valid};

/// A settled engine with this exposure, all of whose checks but those of the spec hold.
fn world(public: &PublicExposure) -> Observed {
    let mut observed = settled();
    edit(&mut observed, |engine| engine.spec.exposure.public = Some(public.clone()));
    observed
}

pub(crate) fn edit(observed: &mut Observed, change: impl Fn(&mut MemoryEngine)) {
    let mut engine = (*observed.engine).clone();
    change(&mut engine);
    observed.engine = engine.into();
}

pub(crate) fn planned(observed: &Observed) -> Plan {
    plan_all(observed, &expected_history(observed), &valid(observed))
}

pub(crate) fn load_balancer() -> PublicExposure {
    PublicExposure {
        hosts: vec!["memory.example.org".into()],
        load_balancer: Some(PublicLoadBalancer::default()),
        ..PublicExposure::default()
    }
}

/// The objects for clients outside of the cluster that a plan writes.
fn outside(plan: &Plan) -> Vec<(String, &'static str)> {
    let public = |write: &&Write| {
        matches!(write.key().kind, ChildKind::Ingress | ChildKind::HttpRoute | ChildKind::BackendTlsPolicy)
            || write.key().name.ends_with("-public")
    };
    plan.writes().filter(public).map(|write| (write.key().to_string(), write.verb())).collect()
}

fn publishes(plan: &Plan) -> Vec<bool> {
    let steps = plan.steps.iter().enumerate();
    let found = steps.filter_map(|(place, step)| match step {
        Step::Publish(publish) => {
            let first = !publish.is_public;
            assert_eq!(place == 0, first, "a withdrawal is the first step, a publication is not");
            Some(publish.is_public)
        }
        Step::Write(_)
        | Step::Call(_)
        | Step::Issue(_)
        | Step::Deliver(_)
        | Step::Copy(_)
        | Step::Rotate(_)
        | Step::Remember(_)
        | Step::Record(_)
        | Step::Hold(_) => None,
    });
    found.collect()
}

/// The objects of an exposure that exists: each one as its plan would have written it.
pub(crate) fn exist(observed: &mut Observed, public: &PublicExposure) {
    use operator_core::{build, children::CHILDREN};
    let valid = valid(observed);
    for (key, object) in CHILDREN.exposed(&valid) {
        if let Some(object) = object {
            let create = Write::Create { key, object };
            let plan = Plan { steps: vec![Step::Write(create)], ..Plan::default() };
            carry_out(observed, &plan, 1);
        }
    }
    if public.gateway.is_some() {
        for (key, object) in [
            (http_route("notes"), build::http_route(&valid)),
            (backend_tls_policy("notes"), build::backend_tls_policy(&valid)),
        ] {
            let create = Write::Create { key, object: object.expect("a gateway is wanted") };
            carry_out(observed, &Plan { steps: vec![Step::Write(create)], ..Plan::default() }, 1);
        }
    }
}

#[test]
fn an_engine_that_is_not_in_production_is_not_exposed() {
    let plan = planned(&world(&load_balancer()));
    assert_eq!((outside(&plan), publishes(&plan)), (vec![], vec![]));
}

/// Whatever existed is removed, and the pod loses its label before anything else is done.
#[test]
fn a_violation_withdraws_everything() {
    let ingress = PublicExposure {
        load_balancer: None,
        ingress: Some(PublicIngress { tls_secret_name: "host".into(), ..PublicIngress::default() }),
        ..load_balancer()
    };
    let gateway =
        PublicExposure { load_balancer: None, gateway: Some(PublicGateway::default()), ..load_balancer() };
    for (public, objects) in [(load_balancer(), 1), (ingress, 2), (gateway, 3)] {
        let mut observed = world(&public);
        observed.gateway = GatewayView::Found(vec![]);
        exist(&mut observed, &public);
        observed.front_door = FrontDoor::Answers;
        observed.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
        let plan = planned(&observed);
        assert_eq!(publishes(&plan), [false]);
        assert!(outside(&plan).iter().all(|(_, verb)| *verb == "delete"), "{plan:?}");
        assert_eq!(outside(&plan).len(), objects, "{plan:?}");
    }
}

/// With Warn, an exposure that was proven once stays.
#[test]
fn a_violation_is_only_said_if_the_spec_wants_that() {
    let public = PublicExposure { on_violation: OnViolation::Warn, ..load_balancer() };
    let mut observed = in_production(&public);
    assert_eq!(outside(&planned(&observed)), [], "a first exposure is always proven");
    exist(&mut observed, &public);
    observed.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
    assert_eq!((outside(&planned(&observed)), publishes(&planned(&observed))), (vec![], vec![]));
}

/// Server-side apply merges ports by their numbers, so that it keeps those of somebody else. They are found and
/// removed, and so are gateways in a route.
#[test]
fn a_port_and_a_gateway_of_somebody_else_are_removed() {
    let public = PublicExposure { on_violation: OnViolation::Warn, ..load_balancer() };
    let mut observed = in_production(&public);
    exist(&mut observed, &public);
    observed.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
    let service = ChildKey { kind: ChildKind::Service, name: "notes-public".into() };
    change(&mut observed, &service, |data| {
        data["spec"]["ports"][0]["nodePort"] = json!(30_443);
        let ports = data["spec"]["ports"].as_array_mut().expect("ports");
        ports.push(json!({"name": "admin", "port": 8081, "protocol": "TCP", "targetPort": "admin"}));
    });
    let plan = planned(&observed);
    assert_eq!(outside(&plan), [("Service/notes-public".to_owned(), "prune")]);
    carry_out(&mut observed, &plan, usize::MAX);
    let left = &observed.children[&service].data["spec"]["ports"];
    assert_eq!((left.as_array().map(Vec::len), &left[0]["nodePort"]), (Some(1), &json!(30_443)), "{left}");
    assert_eq!(outside(&planned(&observed)), []);

    let gateway = PublicExposure {
        load_balancer: None,
        gateway: Some(PublicGateway::default()),
        on_violation: OnViolation::Warn,
        ..load_balancer()
    };
    let mut observed = in_production(&gateway);
    observed.gateway = GatewayView::Found(vec![]);
    exist(&mut observed, &gateway);
    observed.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
    let plan = planned(&observed);
    carry_out(&mut observed, &plan, usize::MAX);
    assert_eq!(outside(&planned(&observed)), []);
    change(&mut observed, &http_route("notes"), |data| {
        let parents = data["spec"]["parentRefs"].as_array_mut().expect("parents");
        parents.push(json!({"name": "other", "namespace": "evil"}));
    });
    let plan = planned(&observed);
    assert_eq!(outside(&plan).len(), 1, "{plan:?}");
}

/// Changes an object, as somebody else would.
fn change(observed: &mut Observed, key: &ChildKey, change: impl FnOnce(&mut serde_json::Value)) {
    let mut object = observed.children[key].as_ref().clone();
    change(&mut object.data);
    observed.children.insert(key.clone(), object.into());
}

/// Somebody who labels the pod of an engine that is not exposed gains nothing.
#[test]
fn a_label_of_somebody_else_is_removed() {
    let mut observed = settled();
    observed.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
    assert_eq!(publishes(&planned(&observed)), [false]);
}

/// An engine whose spec has what production needs. It has no certificate yet, so that a check does not hold.
pub(crate) fn in_production(public: &PublicExposure) -> Observed {
    let mut observed = world(public);
    edit(&mut observed, |engine| {
        let key = json!({
            "name": "agent", "secretRef": {"name": "agent-key"}, "scopes": ["Read"], "projects": ["notes"],
        });
        engine.spec.deployment_mode = crds::DeploymentMode::Production;
        engine.spec.tls = Some(crds::Tls::default());
        engine.spec.access = serde_json::from_value(json!({"keys": [key]})).expect("a section");
    });
    observed
}

/// What a cluster says about everybody's address is in the NetworkPolicy only while the engine is exposed.
#[test]
fn the_network_policy_is_open_only_while_the_engine_is_exposed() {
    let mut valid = valid(&world(&load_balancer()));
    let blocks = |valid: &operator_core::validate::Valid| {
        let policy = operator_core::build::network_policy(valid);
        let ingress = policy.spec.and_then(|spec| spec.ingress).unwrap_or_default();
        ingress
            .iter()
            .flat_map(|rule| rule.from.iter().flatten())
            .filter(|peer| peer.ip_block.is_some())
            .count()
    };
    assert_eq!(blocks(&valid), 0);
    valid.is_published = true;
    assert_eq!(blocks(&valid), 2);
}

/// The spec of an exposed engine is no longer valid: what is known to be wrong still ends the exposure, and so does a
/// spec without hosts.
#[test]
fn an_invalid_spec_does_not_keep_an_exposure() {
    let withdrawn = |observed: &Observed| {
        let essentials = essentials(observed);
        let outcome = Outcome::Invalid { faults: &[], essentials: &essentials };
        let expected = expected_history(observed);
        publishes(&plan_withdrawal(observed, &expected, &outcome, Plan::default()))
    };
    let mut observed = in_production(&load_balancer());
    observed.writer_mut().pod.as_mut().expect("a pod").public = Some(PUBLIC_VALUE.to_owned());
    observed.front_door = FrontDoor::Unsafe("200".into());
    assert_eq!(withdrawn(&observed), [false]);
    observed.front_door = FrontDoor::Answers;
    edit(&mut observed, |engine| engine.spec.exposure.public = None);
    assert_eq!(withdrawn(&observed), [false], "no host is left");
}

/// An engine that is being deleted is withdrawn, whoever holds the deletion up.
#[test]
fn a_deleted_engine_is_withdrawn() {
    let mut observed = in_production(&load_balancer());
    let now = observed.now;
    edit(&mut observed, |engine| {
        engine.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    });
    observed.writer_mut().pod.as_mut().expect("a pod").public = Some("no".to_owned());
    assert_eq!(publishes(&plan_all(&observed, &expected_history(&observed), &valid_of_deleted())), [false]);
}

/// The engine is deleted, so that only its name counts.
fn valid_of_deleted() -> operator_core::validate::Valid {
    valid(&settled())
}
