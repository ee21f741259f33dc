//! Tickets for clients outside of the cluster: when they are delivered, renewed and taken back.

use std::collections::BTreeSet;

use crds::{ExposureTicket, OnViolation, PublicExposure, TicketFailMode, Tls};
use engine_core::wire::{OnExpiry, Teller, TicketHealth, TicketState};
use operator_core::{
    anchor::expected::expected_history,
    build::{network_policy, public_service, stateful_set},
    exposure::{Check, FrontDoor},
    names::PUBLIC_VALUE,
    observed::{EngineReport, Observed},
    plan::{Call, Plan, Step, Ticket},
    publication::plan_withdrawal,
    report,
    status::Outcome,
    validate::validate,
};
use serde_json::{Value, json};

use crate::exposure::{edit, exist, in_production, load_balancer, planned};
use crate::world::{condition, engine, essentials, settings, status_of, valid};

/// The ticket of an engine in this state, which was given by the resource of these tests.
fn held(state: TicketState, remaining: u64) -> TicketHealth {
    TicketHealth {
        challenge: "c1".into(),
        state,
        told_by: Some(Teller { uid: "uid-of-notes".into(), generation: 1 }),
        ttl_seconds: Some(300),
        remaining_seconds: Some(remaining),
        on_expiry: Some(OnExpiry::Close),
        checks: holding(),
    }
}

/// The checks that hold in these tests: there is no certificate.
fn holding() -> Vec<String> {
    ["production", "access", "secrets", "configuration", "projection"].map(str::to_owned).to_vec()
}

fn report(observed: &mut Observed, ticket: Option<TicketHealth>) {
    let EngineReport::Answered(health) = &mut observed.writer_mut().report else { panic!("a report") };
    health.ticket = ticket;
}

/// An engine that is exposed with a ticket. A check does not hold, which is only said.
fn exposed(fail_mode: TicketFailMode, ticket: Option<TicketHealth>) -> Observed {
    let public = PublicExposure {
        on_violation: OnViolation::Warn,
        ticket: Some(ExposureTicket { fail_mode }),
        ..load_balancer()
    };
    let mut observed = in_production(&public);
    exist(&mut observed, &public);
    label(&mut observed, Some(PUBLIC_VALUE));
    report(&mut observed, ticket);
    observed
}

fn label(observed: &mut Observed, value: Option<&str>) {
    observed.writer_mut().pod.as_mut().expect("a pod").public = value.map(str::to_owned);
}

/// The calls and changes of the label, in their order, and the only ticket.
fn steps(plan: &Plan) -> (Vec<&'static str>, Option<Ticket>) {
    let mut ticket = None;
    let order = plan.steps.iter().filter_map(|step| match step {
        Step::Call(Call::DeliverTicket(found)) => {
            assert!(ticket.replace(found.clone()).is_none(), "one ticket");
            Some(if found.is_open { "open" } else { "take back" })
        }
        Step::Publish(publish) => Some(if publish.is_public { "label" } else { "unlabel" }),
        _ => None,
    });
    (order.collect(), ticket)
}

#[test]
fn a_ticket_is_delivered_before_the_label_is_set() {
    let none = TicketHealth { told_by: None, ..held(TicketState::None, 0) };
    let mut observed = exposed(TicketFailMode::KeepLast, Some(none));
    label(&mut observed, None);
    let plan = planned(&observed);
    let (order, ticket) = steps(&plan);
    assert_eq!(order, ["open", "label"]);
    let expected = Ticket {
        challenge: "c1".into(),
        told_by: Teller { uid: "uid-of-notes".into(), generation: 1 },
        log_id: "log-1".into(),
        is_open: true,
        on_expiry: OnExpiry::KeepLast,
        checks: holding(),
    };
    assert_eq!(ticket.as_ref(), Some(&expected));
    let delivery = expected.with_lifetime(120);
    assert_eq!((delivery.ttl_seconds, delivery.is_open, delivery.challenge), (120, true, "c1".to_owned()));
}

/// Not again while it is new, and again long before it ends, and when it no longer says what it should.
#[test]
fn a_ticket_is_renewed_well_before_it_ends() {
    let due =
        |ticket: TicketHealth| steps(&planned(&exposed(TicketFailMode::Close, Some(ticket)))).0 == ["open"];
    use TicketState::{Expired, Kept, None, Open, Withdrawn};
    assert_eq!([300, 250, 201].map(|left| due(held(Open, left))), [false; 3]);
    assert_eq!([150, 100, 0].map(|left| due(held(Open, left))), [true; 3]);
    // Where between them differs from engine to engine.
    let first = |uid: &str| {
        let is_due = |left: &u64| {
            let mut observed = exposed(TicketFailMode::Close, Some(held(Open, *left)));
            edit(&mut observed, |engine| engine.metadata.uid = Some(uid.to_owned()));
            let told_by = Some(Teller { uid: uid.to_owned(), generation: 1 });
            report(&mut observed, Some(TicketHealth { told_by, ..held(Open, *left) }));
            steps(&planned(&observed)).0.contains(&"open")
        };
        (150..=200).rev().find(is_due).expect("before half of its life")
    };
    let moments: BTreeSet<u64> = ["a", "b", "c", "d", "e", "f"].map(first).into();
    assert!(moments.len() > 2, "{moments:?}");
    for state in [Expired, Kept, None, Withdrawn] {
        assert!(due(held(state, 0)), "{state:?}");
    }
    let teller = |uid: &str, generation| Some(Teller { uid: uid.into(), generation });
    for other in [
        TicketHealth { told_by: teller("uid-of-notes", 0), ..held(Open, 300) },
        TicketHealth { told_by: teller("another", 1), ..held(Open, 300) },
        TicketHealth { on_expiry: Some(OnExpiry::KeepLast), ..held(Open, 300) },
        TicketHealth { checks: vec![], ..held(Open, 300) },
        TicketHealth { ttl_seconds: Option::None, ..held(Open, 300) },
    ] {
        assert!(due(other.clone()), "{other:?}");
    }
}

/// The label goes first, because that takes effect for every client, and nothing comes before both.
#[test]
fn a_ticket_is_taken_back_when_a_check_fails_and_is_not_taken_back_twice() {
    use TicketState::{Expired, Kept, None, Open, Withdrawn};
    let withdrawn = |ticket: Option<TicketHealth>, change: &dyn Fn(&mut Observed)| {
        let mut observed = exposed(TicketFailMode::KeepLast, ticket);
        change(&mut observed);
        let plan = planned(&observed);
        let (order, ticket) = steps(&plan);
        assert!(order.len() <= plan.steps.len());
        let is_first = matches!(plan.steps.first(), Some(Step::Publish(publish)) if !publish.is_public);
        assert!(is_first, "{:?}", plan.steps);
        (order, ticket.is_some_and(|ticket| !ticket.is_open))
    };
    let development: &dyn Fn(&mut Observed) = &|observed| {
        edit(observed, |engine| engine.spec.deployment_mode = crds::DeploymentMode::Development);
    };
    let deleted: &dyn Fn(&mut Observed) = &|observed| {
        let now = observed.now;
        edit(observed, |engine| {
            use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
            engine.metadata.deletion_timestamp = Some(Time(now));
        });
    };
    let unwanted: &dyn Fn(&mut Observed) =
        &|observed| edit(observed, |engine| engine.spec.exposure.public = Option::None);
    for change in [development, deleted, unwanted] {
        for state in [Open, Kept] {
            assert_eq!(withdrawn(Some(held(state, 300)), change), (vec!["unlabel", "take back"], true));
        }
        for state in [None, Expired, Withdrawn] {
            assert_eq!(withdrawn(Some(held(state, 0)), change), (vec!["unlabel"], false));
        }
        assert_eq!(withdrawn(Option::None, change), (vec!["unlabel"], false), "an engine without the port");
    }
    // Without the section nothing of it is left, although the engine stays exposed.
    let mut observed = exposed(TicketFailMode::Close, Some(held(Open, 300)));
    edit(&mut observed, |engine| engine.spec.exposure.public.as_mut().expect("public").ticket = Option::None);
    assert_eq!(steps(&planned(&observed)).0, ["take back"]);
}

/// Somebody who makes a typing error, or suspends an engine, does not close its port five minutes later. What is known
/// to be wrong does.
#[test]
fn a_ticket_is_renewed_while_the_spec_is_invalid_or_suspended() {
    let kept = TicketHealth { checks: vec!["access".into()], ..held(TicketState::Open, 10) };
    let of_invalid = |observed: &Observed| {
        let essentials = essentials(observed);
        let outcome = Outcome::Invalid { faults: &[], essentials: &essentials };
        steps(&plan_withdrawal(observed, &expected_history(observed), &outcome, Plan::default()))
    };
    let mut observed = exposed(TicketFailMode::Close, Some(kept.clone()));
    let (order, ticket) = of_invalid(&observed);
    assert_eq!((order, ticket.map(|ticket| ticket.checks)), (vec!["open"], Some(kept.checks.clone())));
    report(&mut observed, Some(TicketHealth { remaining_seconds: Some(300), ..kept.clone() }));
    assert_eq!(of_invalid(&observed).0, Vec::<&str>::new(), "not due");
    report(&mut observed, Some(held(TicketState::Expired, 0)));
    assert_eq!(of_invalid(&observed).0, Vec::<&str>::new(), "nothing is opened");
    report(&mut observed, Some(kept.clone()));
    observed.front_door = FrontDoor::Unsafe("200".into());
    assert_eq!(of_invalid(&observed).0, ["unlabel", "take back"]);

    let mut suspended = exposed(TicketFailMode::Close, Some(kept));
    edit(&mut suspended, |engine| engine.spec.suspend = true);
    assert_eq!(steps(&planned(&suspended)).0, ["open"]);
    suspended.front_door = FrontDoor::Unsafe("200".into());
    assert_eq!(steps(&planned(&suspended)).0, ["unlabel", "take back"]);
}

#[test]
fn an_engine_without_a_ticket_is_not_exposed() {
    let shown = |ticket: Option<TicketHealth>, refusal: Option<&str>| {
        let mut observed = exposed(TicketFailMode::Close, ticket);
        observed.ticket_refusal = refusal.map(str::to_owned);
        let status = status_of(&observed);
        let message = status.conditions.iter().find(|one| one.type_ == "Exposed").expect("it is there");
        (condition(&status, "Exposed"), message.message.clone(), status.endpoints.and_then(|all| all.public))
    };
    use TicketState::{Expired, Kept, None, Open, Withdrawn};
    for state in [Open, Kept] {
        assert_eq!(shown(Some(held(state, 1)), Option::None).0, "True/PublicDespiteFindings");
    }
    for state in [None, Expired, Withdrawn] {
        let (found, message, endpoint) = shown(Some(held(state, 0)), Some("no answer within 3s"));
        assert_eq!((found.as_str(), endpoint), ("False/TicketNotDelivered", Option::None), "{state:?}");
        assert!(message.contains("no answer within 3s"), "{message}");
    }
    let (found, message, _) = shown(Option::None, Option::None);
    assert_eq!(found, "False/TicketNotDelivered");
    assert!(message.contains("older than the operator"), "{message}");
    let mut silent = exposed(TicketFailMode::Close, Some(held(Open, 300)));
    silent.writer_mut().report = EngineReport::Unreachable("no answer".into());
    assert_ne!(
        condition(&status_of(&silent), "Exposed"),
        "False/TicketNotDelivered",
        "its ticket is not known"
    );
}

/// What the engine says is bounded, and each check has a name of its own that the engine accepts.
#[test]
fn what_is_said_about_tickets_is_bounded() {
    let long = TicketHealth { challenge: "x".repeat(65), ..held(TicketState::Open, 1) };
    assert!(report::ticket(long).is_err());
    let many = TicketHealth { checks: vec!["\u{1b}".repeat(1_000); 100], ..held(TicketState::Open, 1) };
    let checked = report::ticket(many).expect("its texts are shortened");
    let is_plain = |check: &String| check.chars().count() <= 80 && !check.chars().any(char::is_control);
    assert!(checked.checks.len() <= 24 && checked.checks.iter().all(is_plain), "{checked:?}");
    let words: BTreeSet<&str> = Check::ALL.map(Check::word).into();
    assert_eq!(words.len(), Check::ALL.len());
    let is_word =
        |word: &&str| word.len() <= 32 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(words.iter().all(is_word) && words.len() <= engine_core::ticket::TICKET_CHECKS_MAX);
}

/// Clients from outside get the port of the ticket and no other, and without the section nothing changes.
#[test]
fn the_port_of_the_ticket_is_the_only_one_that_is_reached_from_outside() {
    let ports = |observed: &Observed| {
        let mut valid = valid(observed);
        valid.is_published = true;
        let policy = json!(network_policy(&valid));
        let outside = |rule: &&Value| {
            rule["from"].as_array().expect("peers").iter().any(|peer| peer["ipBlock"].is_object())
        };
        let rules = policy["spec"]["ingress"].as_array().expect("rules").clone();
        let open: Vec<Value> =
            rules.iter().filter(outside).map(|rule| rule["ports"][0]["port"].clone()).collect();
        let service = json!(public_service(&valid))["spec"]["ports"][0]["targetPort"].clone();
        let container = json!(stateful_set(&valid))["spec"]["template"]["spec"]["containers"][0].clone();
        let named = container["ports"].as_array().expect("ports").iter().any(|port| port["name"] == "public");
        (open, service, named, container["env"].to_string().contains("MEMORY_ENGINE_PUBLIC_LISTEN"))
    };
    let with = exposed(TicketFailMode::Close, None);
    assert_eq!(ports(&with), (vec![json!(8083)], json!("public"), true, true));
    assert_eq!(ports(&in_production(&load_balancer())), (vec![json!(8080)], json!("http"), false, false));
}

#[test]
fn a_ticket_needs_tls() {
    let mut engine = engine();
    let ticket = Some(ExposureTicket::default());
    engine.spec.exposure.public = Some(PublicExposure { ticket, ..load_balancer() });
    let faults = validate(&engine, &settings()).expect_err("it has no TLS");
    assert!(
        faults.iter().any(|fault| fault.to_string().contains("spec.exposure.public.ticket")),
        "{faults:?}"
    );
    engine.spec.tls = Some(Tls::default());
    validate(&engine, &settings()).expect("it has TLS");
}
