//! What a new operator takes over from the status.

use std::sync::Arc;

use crds::{MemoryEngine, PublicExposure, PublicLoadBalancer};
use jiff::Timestamp;
use serde_json::json;

use engine_core::wire::{OnExpiry, Teller, TicketState};
use operator_core::{
    observed::EngineReport,
    plan::{Call, Done, Plan, Step, Ticket},
};

use super::*;
use crate::{
    apply::{
        apply,
        tests::{context, engine, engine_that_says, http, runs},
    },
    engine_client::EngineClient,
    mock_api::MockApi,
};

fn withdrawn(generation: i64) -> MemoryEngine {
    let mut engine = engine();
    engine.spec.exposure.public = Some(PublicExposure {
        hosts: vec!["memory.example.org".into()],
        load_balancer: Some(PublicLoadBalancer::default()),
        ..PublicExposure::default()
    });
    let condition = json!({
        "type": "Exposed", "status": "False", "reason": Reason::FrontDoorUnsafe.as_str(), "message": "answered 200",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation,
    });
    let conditions = vec![serde_json::from_value(condition).expect("a condition")];
    engine.status = Some(crds::MemoryEngineStatus { conditions, ..Default::default() });
    engine
}

/// A new operator knows from the status that the engine answered strangers, also while the API server is silent, and
/// only under the spec for which that was found.
#[tokio::test]
async fn another_operator_keeps_an_engine_withdrawn_that_answered_strangers() {
    for (generation, is_silent, is_held) in [(1, false, true), (1, true, true), (0, false, false)] {
        let (context, _leading) = context(MockApi::start().0);
        let engine = withdrawn(generation);
        let essentials = Essentials::of(&engine);
        let mut observed = Observed::only(Arc::new(engine), Timestamp::now());
        observe(&context, &mut observed, &essentials, is_silent).await;
        let is_unsafe = matches!(observed.front_door, FrontDoor::Unsafe(_));
        assert_eq!(is_unsafe, is_held, "{generation} {is_silent}: {:?}", observed.front_door);
    }
}

/// Whatever an engine answers to a ticket, nothing else fails because of it, the status can say why, and only an answer
/// in the right form counts.
#[tokio::test]
async fn a_ticket_that_does_not_reach_the_engine_is_said() {
    let (client, server) = MockApi::start();
    let (mut context, _leading) = context(client);
    let ticket = Ticket {
        challenge: "c1".into(),
        told_by: Teller { uid: "uid-of-notes".into(), generation: 1 },
        log_id: "log-1".into(),
        is_open: true,
        on_expiry: OnExpiry::Close,
        checks: vec!["access".into()],
    };
    let plan = Plan { steps: vec![Step::Call(Call::DeliverTicket(ticket))], ..Plan::default() };
    let held = json!({"challenge": "c2", "state": "open", "ttl_seconds": 120, "remaining_seconds": 120});
    let mut long = held.clone();
    long["challenge"] = json!("x".repeat(65));
    let checks = [
        ("the answer is lost", None, Some("no connection")),
        ("409", Some(http("409 Conflict", &json!({"error": {"message": "s3cret"}}))), Some("status 409")),
        ("404", Some(http("404 Not Found", &json!({}))), Some("status 404")),
        ("another form", Some(http("200 OK", &json!([]))), Some("cannot be parsed")),
        ("a long challenge", Some(http("200 OK", &long)), Some("ticket.challenge")),
        ("200", Some(http("200 OK", &held)), None),
    ];
    for (what, answer, cause) in checks {
        let (port, said) = engine_that_says(answer).await;
        context.engines = EngineClient::new(port);
        let mut observed = Observed::only(Arc::new(engine()), Timestamp::now());
        runs(&mut observed);
        let (observed, done) = apply(observed, &plan, &context).await.expect("the operator leads");
        assert_eq!(done, Done::default(), "{what}");
        let refusal = observed.ticket_refusal.clone();
        assert_eq!(refusal.is_some(), cause.is_some(), "{what}: {refusal:?}");
        let says = cause.is_none_or(|cause| refusal.as_ref().is_some_and(|text| text.contains(cause)));
        assert!(says && !refusal.unwrap_or_default().contains("s3cret"), "{what}");
        let EngineReport::Answered(health) = &observed.writer().report else { panic!("{what}: no report") };
        let is_open = health.ticket.as_ref().is_some_and(|ticket| ticket.state == TicketState::Open);
        assert_eq!(is_open, cause.is_none(), "{what}");
        assert!(said.await.expect("a request").starts_with("PUT /ticket "), "{what}");
    }
    assert_eq!(server.take_writes(), Vec::<String>::new());
}
