//! Computes the status after the writes: the current state, the reason, and what a user can do about it.

mod access;
mod backup;
mod configuration;
mod evidence;
mod exposed;
mod facts;
mod given;
mod integrity;
mod lifecycle;
mod log_finding;
mod lookup;
mod outcome;
mod pod;
mod projection;
mod readers;
mod reads;
mod ready;
mod reconciling;
mod report;
mod rolled_out;
mod secrets;
mod stalled;
mod standby;
mod table;
mod tls;
mod upkeep;
mod upkeep_health;
mod volume;

use crds::{Endpoints, MemoryEngineStatus, Phase};

use crate::{
    anchor::expected::ExpectedHistory,
    conditions::{ConditionType, Reason, Truth, condition},
    exposure::{Check, Decision},
    hibernation,
    names::API_PORT,
    observed::Observed,
    plan::{Done, Plan},
    validate::Valid,
};
use evidence::Evidence;
use facts::Facts;
use integrity::{integrity, log_status};
pub use lookup::{HEAD_REFRESH_SECONDS, is_pod_overdue};
use lookup::{health, name};
pub use outcome::Outcome;
use projection::projection_status;
use volume::storage_status;

/// Computes the status. `observed` contains the children after the writes.
#[must_use]
pub fn status(observed: &Observed, expected: &ExpectedHistory, outcome: &Outcome<'_>) -> MemoryEngineStatus {
    let engine = &observed.engine;
    let before = engine.status.clone().unwrap_or_default();
    let generation = engine.metadata.generation.unwrap_or_default();
    let integrity = integrity(observed, outcome.essentials(), expected);
    let evidence = Evidence::of(observed, outcome);
    let mut facts = Facts { observed, outcome, evidence, integrity: &integrity, decided: Vec::new() };
    table::decide(&mut facts);
    let conditions = ConditionType::ALL
        .map(|kind| condition(kind, facts.verdict(kind), &before.conditions, generation, observed.now));
    let health = health(observed);
    let log = log_status(observed, &integrity);
    MemoryEngineStatus {
        observed_generation: Some(generation),
        phase: Some(phase(&facts)),
        version: health.map(|health| health.version.clone()).or(before.version),
        effective_mode: health
            .and_then(|health| health.mode.as_ref())
            .map(|mode| crate::mode_word::shown(mode.effective))
            .or(before.effective_mode),
        endpoints: Some(endpoints(&facts)),
        projection: projection_status(observed, log.as_ref()),
        log,
        storage: storage_status(observed).or(before.storage),
        readers: readers::readers_status(observed, outcome.essentials()),
        rollout: rolled_out::rollout_status(observed, outcome),
        tls: tls::tls_status(observed),
        secrets: secrets::secret_statuses(observed, outcome.essentials()),
        fence: lifecycle::fence_status(&facts),
        hibernation: hibernation::status(observed, outcome.essentials()),
        backup: backup::backup_status(observed, outcome.essentials()),
        restored: backup::restored_status(observed),
        retention: upkeep::retention_status(observed, outcome.essentials()),
        upkeep: upkeep::upkeep_statuses(observed, outcome.essentials()),
        deletion: lifecycle::deletion_status(observed, outcome),
        update: lifecycle::update_status(&facts),
        conditions: conditions.to_vec(),
    }
}

fn endpoints(facts: &Facts<'_>) -> Endpoints {
    let Facts { observed, outcome, .. } = facts;
    let essentials = outcome.essentials();
    let namespace = observed.engine.metadata.namespace.as_deref().unwrap_or_default();
    let scheme = if essentials.tls { "https" } else { "http" };
    let is_public = facts.is(ConditionType::Exposed, Truth::True);
    Endpoints {
        api: format!("{scheme}://{}.{namespace}.svc:{API_PORT}", name(observed)),
        public: essentials.public_hosts.first().filter(|_| is_public).map(|host| format!("https://{host}")),
    }
}

/// Whether the exposure must end although the spec is not valid.
#[must_use]
pub fn must_withdraw(observed: &Observed, expected: &ExpectedHistory, outcome: &Outcome<'_>) -> bool {
    let integrity = integrity(observed, outcome.essentials(), expected);
    let evidence = Evidence::of(observed, outcome);
    let mut facts = Facts { observed, outcome, evidence, integrity: &integrity, decided: Vec::new() };
    table::decide(&mut facts);
    exposed::must_withdraw(&facts)
}

/// What is done about the exposure to clients outside of the cluster, and the checks that hold, judged by the state
/// before the plan is carried out; `None` if the spec wants none.
#[must_use]
pub fn exposure(
    observed: &Observed,
    expected: &ExpectedHistory,
    valid: &Valid,
    plan: &Plan,
) -> Option<(Decision, Vec<Check>)> {
    let outcome = Outcome::Applied { valid, plan, done: &Done::default() };
    let integrity = integrity(observed, &valid.essentials, expected);
    let evidence = Evidence::of(observed, &outcome);
    let mut facts =
        Facts { observed, outcome: &outcome, evidence, integrity: &integrity, decided: Vec::new() };
    table::decide(&mut facts);
    Some((exposed::decision(&facts)?, exposed::held_checks(&facts, valid)))
}

/// Summarises the state in one word, derived from the three kstatus conditions.
fn phase(facts: &Facts<'_>) -> Phase {
    if facts.verdict(ConditionType::Ready).reason == Reason::Hibernated {
        return Phase::Hibernated;
    }
    let serving = facts.observed.writer().pod.as_ref().is_some_and(|pod| pod.ready);
    let truth = |kind| facts.verdict(kind).truth;
    let kstatus = [ConditionType::Ready, ConditionType::Stalled, ConditionType::Reconciling].map(truth);
    match kstatus {
        [Truth::True, _, Truth::True] => Phase::Updating,
        [Truth::True, ..] => Phase::Running,
        [_, Truth::True, _] if serving => Phase::Degraded,
        [_, Truth::True, _] => Phase::Failed,
        [_, _, Truth::True] if serving => Phase::Updating,
        _ if serving => Phase::Degraded,
        _ => Phase::Pending,
    }
}
