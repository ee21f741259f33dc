//! `Exposed`: whether clients outside of the cluster can reach the engine, and which check withholds it.

use crds::{OnViolation, PublicExposure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    facts::Facts,
    lookup::{age, name},
    outcome::Outcome,
};
use crate::{
    children::CHILDREN,
    conditions::{ConditionType, Reason, Truth, Verdict},
    exposure::{
        Check, Decision, Finding, FrontDoor, GatewayView, Objects, Seen, checks, condition_findings, decide,
    },
    names,
    observed::Observed,
    ownership::is_ours,
    validate::Valid,
};

/// How long an engine that is exposed may not answer, or its Secrets may not be readable, before it is withdrawn.
const SILENCE_SECONDS_MAX: i64 = 30;

fn withheld(reason: Reason, message: impl Into<String>) -> Option<Verdict> {
    Some(Verdict::new(Truth::False, reason, message))
}

/// The valid spec and its public exposure.
fn wanted<'a>(facts: &Facts<'a>) -> Option<(&'a Valid, &'a PublicExposure)> {
    match facts.outcome {
        Outcome::Invalid { .. } => None,
        Outcome::Applied { valid, .. } => Some((valid, valid.public.as_ref()?)),
    }
}

/// Every check that does not hold now.
fn findings(facts: &Facts<'_>, valid: &Valid) -> Vec<Finding> {
    checks(valid, |kind| facts.verdict(kind), seen(facts))
}

/// Every check that holds now.
pub(super) fn held_checks(facts: &Facts<'_>, valid: &Valid) -> Vec<Check> {
    let findings = findings(facts, valid);
    let holds = |check: &Check| findings.iter().all(|finding| finding.check != *check);
    Check::ALL.into_iter().filter(holds).collect()
}

/// What is known beside the conditions.
fn seen(facts: &Facts<'_>) -> Seen {
    let health = facts.health();
    let delivered = facts.observed.given.as_ref().and_then(|given| given.delivered.as_ref());
    Seen {
        has_reported: health.is_some() || is_silent_for_a_moment(facts),
        is_log_empty: health.is_some_and(|health| health.log.seq == 0),
        is_unread_for_a_moment: is_unread_for_a_moment(facts),
        is_given_served: delivered.is_some_and(|delivered| delivered.not_after > facts.observed.now),
    }
}

/// Whether an engine that is exposed has just not answered. One report that is late must not cut off its clients.
fn is_silent_for_a_moment(facts: &Facts<'_>) -> bool {
    let is_public = facts.current_pod().is_some_and(|pod| pod.is_public() && pod.ready && !pod.deleting);
    let since = facts.before(ConditionType::Ready);
    let unreachable = since.filter(|ready| ready.reason == Reason::EngineUnreachable.as_str());
    is_public && unreachable.is_none_or(|ready| age(facts.observed, ready) < SILENCE_SECONDS_MAX)
}

/// Whether Secrets of an engine that is exposed have just become unreadable, for example because the API server does
/// not answer.
fn is_unread_for_a_moment(facts: &Facts<'_>) -> bool {
    let is_public = facts.current_pod().is_some_and(|pod| pod.is_public() && pod.ready && !pod.deleting);
    let unread = [ConditionType::SecretsValid, ConditionType::TLSReady].map(|kind| facts.before(kind));
    let mut unread = unread.into_iter().flatten();
    let is_long = |one: &Condition| {
        one.reason == Reason::SecretsUnreadable.as_str() && age(facts.observed, one) >= SILENCE_SECONDS_MAX
    };
    is_public && !unread.any(is_long)
}

/// Whether the exposure of an engine whose spec is not valid must end: what the spec wants is not known, but something
/// is known to be wrong, or no host is left.
pub(super) fn must_withdraw(facts: &Facts<'_>) -> bool {
    let findings = condition_findings(|kind| facts.verdict(kind), seen(facts));
    facts.outcome.essentials().public_hosts.is_empty()
        || matches!(facts.observed.front_door, FrontDoor::Unsafe(_))
        || findings.iter().any(|finding| finding.is_violation)
}

/// What is done about the exposure; `None` if the spec wants none or is not valid.
pub(super) fn decision(facts: &Facts<'_>) -> Option<Decision> {
    let (valid, public) = wanted(facts)?;
    if valid.essentials.hibernate {
        // Its load balancer would give back its address.
        return Some(Decision { objects: Objects::Kept, is_published: false });
    }
    Some(decide(
        public.on_violation,
        &findings(facts, valid),
        &facts.observed.front_door,
        was_exposed(facts, valid),
    ))
}

/// Whether every check held before. Only then was the Service created.
fn was_exposed(facts: &Facts<'_>, valid: &Valid) -> bool {
    let key = CHILDREN.public_service.key(&valid.name);
    facts.observed.children.get(&key).is_some_and(|live| is_ours(facts.observed, &key, live))
}

/// Whether an object of an exposure exists, or may exist.
fn is_left(observed: &Observed, name: &str) -> bool {
    let keys = [
        CHILDREN.public_service.key(name),
        CHILDREN.ingress.key(name),
        names::http_route(name),
        names::backend_tls_policy(name),
    ];
    keys.iter().any(|key| {
        let live = observed.children.get(key);
        live.is_some_and(|live| is_ours(observed, key, live)) || observed.unread.contains_key(key)
    })
}

/// The verdict on a spec that is not valid: nothing is changed.
pub(super) fn undecided(facts: &Facts<'_>) -> Option<Verdict> {
    matches!(facts.outcome, Outcome::Invalid { .. }).then(|| {
        Verdict::new(
            Truth::Unknown,
            Reason::InvalidSpec,
            "the spec is not valid, and nothing about the exposure is changed",
        )
    })
}

/// The verdict on an engine that is not to be reached from outside.
pub(super) fn not_wanted(facts: &Facts<'_>) -> Option<Verdict> {
    if wanted(facts).is_some() {
        return None;
    }
    if is_left(facts.observed, name(facts.observed)) {
        return withheld(Reason::ExposureEnding, "the objects of the exposure are being removed");
    }
    withheld(
        Reason::NotPublic,
        "spec.exposure.public is not set: only clients in the cluster reach the engine",
    )
}

/// The verdict while a check does not hold. Its reason is that of the first one.
pub(super) fn not_proven(facts: &Facts<'_>) -> Option<Verdict> {
    let (valid, public) = wanted(facts)?;
    let findings = findings(facts, valid);
    let first = findings.first()?;
    let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    let mut texts = texts.join("; ");
    if let Some(refusal) = &facts.observed.publish_refusal {
        texts = format!("{texts}. The label of the pod could not be removed: {refusal}");
    }
    if let Some(refusal) = &facts.observed.ticket_refusal {
        texts = format!("{texts}. The ticket of the engine could not be taken back: {refusal}");
    }
    if findings.iter().any(|finding| finding.is_of_spec) {
        return withheld(first.check.reason(), format!("not exposed: {texts}"));
    }
    if public.on_violation == OnViolation::Warn && was_exposed(facts, valid) {
        let message = format!("clients outside of the cluster reach the engine although {texts}");
        return Some(Verdict::new(Truth::True, Reason::PublicDespiteFindings, message));
    }
    withheld(first.check.reason(), format!("not exposed: {texts}"))
}

/// The verdict on a gateway that is missing.
pub(super) fn without_gateway(facts: &Facts<'_>) -> Option<Verdict> {
    wanted(facts)?;
    match &facts.observed.gateway {
        GatewayView::Missing(why) | GatewayView::Unread(why) => withheld(Reason::GatewayMissing, why),
        GatewayView::NotQueried | GatewayView::Found(_) => None,
    }
}

/// The verdict on an engine that answers nobody outside of the cluster, because it holds no ticket.
pub(super) fn without_ticket(facts: &Facts<'_>) -> Option<Verdict> {
    let (valid, _) = wanted(facts)?;
    valid.essentials.ticket?;
    // An engine that has just not answered keeps its ticket, and one that is withdrawn has none on purpose.
    let health = facts.health().filter(|_| decision(facts).is_some_and(|decision| decision.is_published))?;
    let Some(ticket) = &health.ticket else {
        let message = "the engine has no port for clients with a ticket: its pod was not replaced yet, or its image is \
                       older than the operator";
        return withheld(Reason::TicketNotDelivered, message);
    };
    if ticket.state.is_open() {
        return None;
    }
    let why = facts.observed.ticket_refusal.as_deref().unwrap_or("it was not sent yet");
    let message = format!("clients may reach the engine, but it holds no ticket and refuses them: {why}");
    withheld(Reason::TicketNotDelivered, message)
}

/// What to add to the message about an engine that is reached while its ticket cannot be renewed.
fn not_renewed(facts: &Facts<'_>) -> String {
    let refusal = facts.observed.ticket_refusal.as_deref();
    refusal.map(|why| format!(", but its ticket could not be renewed: {why}")).unwrap_or_default()
}

/// The verdict on what a request through the front door has shown.
pub(super) fn front_door(facts: &Facts<'_>) -> Option<Verdict> {
    let (valid, public) = wanted(facts)?;
    let hosts = public.hosts.join(", ");
    if let Some(refusal) = &facts.observed.publish_refusal {
        let message = format!("every check holds, but the label of the pod could not be changed: {refusal}");
        return withheld(Reason::AddressPending, message);
    }
    let is_only_said = public.on_violation == OnViolation::Warn && was_exposed(facts, valid);
    match &facts.observed.front_door {
        FrontDoor::NotAsked => {
            withheld(Reason::AddressPending, "the objects for the exposure are being created")
        }
        FrontDoor::NoAddress(what) => withheld(Reason::AddressPending, what),
        FrontDoor::Unreachable(why) => withheld(
            Reason::FrontDoorUnreachable,
            format!("every check holds, but a request through the front door was not answered: {why}"),
        ),
        FrontDoor::Unsafe(why) if is_only_said => {
            let message = format!("a request through the front door was answered wrongly: {why}");
            Some(Verdict::new(Truth::True, Reason::PublicDespiteFindings, message))
        }
        FrontDoor::Unsafe(why) => withheld(
            Reason::FrontDoorUnsafe,
            format!("withdrawn, because a request through the front door was answered wrongly: {why}"),
        ),
        FrontDoor::Answers => {
            let message = format!("clients reach the engine as {hosts}{}", not_renewed(facts));
            Some(Verdict::new(Truth::True, Reason::Public, message))
        }
    }
}
