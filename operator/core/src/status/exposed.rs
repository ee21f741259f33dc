//! `Exposed`: whether clients outside of the cluster can reach the engine, and which check withholds it.

use crds::{OnViolation, PublicExposure};

use super::{facts::Facts, outcome::Outcome};
use crate::{
    children::CHILDREN,
    conditions::{Reason, Truth, Verdict},
    exposure::{Decision, Finding, FrontDoor, GatewayView, checks, decide},
    validate::Valid,
};

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
    checks(valid, |kind| facts.verdict(kind))
}

/// What is done about the exposure; `None` if the spec wants none or is not valid.
pub(super) fn decision(facts: &Facts<'_>) -> Option<Decision> {
    let (valid, public) = wanted(facts)?;
    Some(decide(
        public.on_violation,
        &findings(facts, valid),
        &facts.observed.front_door,
        was_exposed(facts, valid),
    ))
}

/// Whether every check held before. Only then was the Service created.
fn was_exposed(facts: &Facts<'_>, valid: &Valid) -> bool {
    facts.observed.children.contains_key(&CHILDREN.public_service.key(&valid.name))
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
    let texts = texts.join("; ");
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
        GatewayView::Missing(why) => withheld(Reason::GatewayMissing, why),
        GatewayView::NotQueried | GatewayView::Found(_) => None,
    }
}

/// The verdict on what a request through the front door has shown.
pub(super) fn front_door(facts: &Facts<'_>) -> Option<Verdict> {
    let (_, public) = wanted(facts)?;
    let hosts = public.hosts.join(", ");
    match &facts.observed.front_door {
        FrontDoor::NotAsked => {
            withheld(Reason::AddressPending, "the objects for the exposure are being created")
        }
        FrontDoor::NoAddress(what) => withheld(Reason::AddressPending, what),
        FrontDoor::Unreachable(why) => withheld(
            Reason::FrontDoorUnreachable,
            format!("every check holds, but a request through the front door was not answered: {why}"),
        ),
        FrontDoor::Unsafe(why) => withheld(
            Reason::FrontDoorUnsafe,
            format!("withdrawn, because a request through the front door was answered wrongly: {why}"),
        ),
        FrontDoor::Answers => {
            Some(Verdict::new(Truth::True, Reason::Public, format!("clients reach the engine as {hosts}")))
        }
    }
}
