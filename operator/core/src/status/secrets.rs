//! `SecretsValid`: whether every Secret that the spec refers to can be used.

use crds::{SecretStatus, TokenRotationPhase};

use super::{facts::Facts, lookup::name, outcome::Outcome};
use crate::{
    children::rotation_keys,
    conditions::{Reason, Truth, Verdict},
    names::admin_token_secret,
    observed::Observed,
    rotation::{self, Phase},
    secrets::{Finding, OWNED_TOKEN, age_days},
    tls::Unread,
    validate::Essentials,
};

/// The verdict on a spec that refers to no Secret.
pub(super) fn unused(facts: &Facts<'_>) -> Option<Verdict> {
    let is_unused = facts.observed.secrets.as_ref().is_none_or(|view| view.findings.is_empty());
    let verdict =
        || Verdict::new(Truth::True, Reason::NoSecretReferences, "the spec refers to no Secret with a key");
    is_unused.then(verdict)
}

/// The verdict on entries that cannot be used, or should be replaced. The reason is that of the first one that holds
/// changes back, or else of the first one.
pub(super) fn faulty(facts: &Facts<'_>) -> Option<Verdict> {
    let view = facts.observed.secrets.as_ref()?;
    let faults: Vec<_> = view.faults().collect();
    let worst = faults.iter().find(|(_, fault)| fault.holds_changes()).or(faults.first())?.1;
    let texts = faults.iter().map(|(finding, fault)| format!("spec.{}: {fault}", finding.reference.field));
    let held = match facts.outcome {
        Outcome::Applied { plan, .. } if plan.secrets_hold => {
            "Until then no change of the spec is rolled out, and a running engine goes on as it is. "
        }
        Outcome::Applied { .. } | Outcome::Invalid { .. } => "",
    };
    let message = format!("{held}{}", texts.collect::<Vec<_>>().join("; "));
    Some(Verdict::new(Truth::False, worst.reason(), message))
}

/// The verdict on Secrets that the operator cannot read: whether they can be used is not known, and nothing is held
/// back.
pub(super) fn unread(facts: &Facts<'_>) -> Option<Verdict> {
    let view = facts.observed.secrets.as_ref()?;
    let is_rotated = facts.outcome.essentials().rotation.is_some();
    let rotation = facts.observed.rotation.as_ref().filter(|_| is_rotated);
    let of_rotation = rotation.and_then(|rotation| rotation.unread.as_ref());
    let unread: Vec<_> = view.findings.iter().filter_map(Finding::unread).chain(of_rotation).collect();
    let first = unread.iter().find(|unread| unread.is_forbidden).or(unread.first())?;
    let (reason, message) = match first.is_forbidden {
        true => (Reason::SecretsForbidden, forbidden_message(facts.observed, first)),
        false => (
            Reason::SecretsUnreadable,
            format!("{} Secrets could not be read: {}. The operator retries", unread.len(), first.text),
        ),
    };
    Some(Verdict::new(Truth::Unknown, reason, message))
}

/// What to do so that the operator can read Secrets.
pub(super) fn forbidden_message(observed: &Observed, unread: &Unread) -> String {
    let namespace = observed.engine.metadata.namespace.as_deref().unwrap_or_default();
    format!(
        "the operator has no permission on Secrets, or on what belongs to them, in this namespace. Add the namespace {namespace} to secrets.namespaces of \
         the chart, or bind the ClusterRole memory-operator-secrets with a RoleBinding: {}",
        unread.text
    )
}

/// The verdict on Secrets that can all be used.
pub(super) fn usable(facts: &Facts<'_>) -> Option<Verdict> {
    let findings = facts.observed.secrets.as_ref().map(|view| view.findings.as_slice()).unwrap_or_default();
    let next = findings.iter().filter_map(|finding| finding.replace_before).min();
    let next = next.map(|moment| format!("; the next one has to be replaced before {moment}"));
    let message = format!("all {} references can be used{}", findings.len(), next.unwrap_or_default());
    Some(Verdict::new(Truth::True, Reason::SecretsUsable, message))
}

/// Whether a bad Secret keeps a change of the spec from being rolled out.
pub(super) fn hold_changes(facts: &Facts<'_>) -> bool {
    matches!(facts.outcome, Outcome::Applied { plan, .. } if plan.secrets_hold)
}

/// The references in the status. While a Secret cannot be read, its last known times stay.
pub(super) fn secret_statuses(observed: &Observed, essentials: &Essentials) -> Vec<SecretStatus> {
    let before = observed.engine.status.as_ref().map(|status| status.secrets.as_slice()).unwrap_or_default();
    let findings = observed.secrets.as_ref().map(|view| view.findings.as_slice()).unwrap_or_default();
    let shown = |finding: &Finding| {
        let field = format!("spec.{}", finding.reference.field);
        let last = before.iter().find(|last| last.reference == field);
        let reason = reason(finding).as_str();
        let since = last.filter(|last| last.reason == reason).map(|last| last.since.clone());
        let known = last.filter(|_| finding.unread().is_some());
        let first_seen = finding.first_seen.map(|seen| seen.to_string());
        let replace_before = finding.replace_before.map(|moment| moment.to_string());
        SecretStatus {
            reference: field,
            reason,
            since: since.unwrap_or_else(|| whole_seconds(observed)),
            first_seen: first_seen.or_else(|| known?.first_seen.clone()),
            age_days: finding.first_seen.map(|seen| age_days(seen, observed.now)).or_else(|| known?.age_days),
            replace_before: replace_before.or_else(|| known?.replace_before.clone()),
            next_rotation: next_rotation(observed, essentials).filter(|_| finding.reference.is_owned()),
            rotation: rotation_phase(observed).filter(|_| finding.reference.is_owned()),
        }
    };
    let owned = || left_of_rotation(observed, before);
    let has_owned = findings.iter().any(|finding| finding.reference.is_owned());
    findings.iter().map(shown).chain((!has_owned).then(owned).flatten()).collect()
}

/// When the operator's token is replaced next.
fn next_rotation(observed: &Observed, essentials: &Essentials) -> Option<String> {
    let schedule = essentials.rotation.as_ref()?.schedule.as_ref()?;
    schedule.next(observed.now).map(|moment| moment.to_string())
}

fn rotation_phase(observed: &Observed) -> Option<TokenRotationPhase> {
    Some(match rotation::phase(observed.rotation.as_ref()?) {
        Phase::Distribute => TokenRotationPhase::Distribute,
        Phase::Done => TokenRotationPhase::Done,
    })
}

/// The entry of the operator's token while there is none, and while objects of a rotation exist that the spec no longer
/// wants, so that the operator deletes them.
fn left_of_rotation(observed: &Observed, before: &[SecretStatus]) -> Option<SecretStatus> {
    let view = observed.rotation.as_ref()?;
    let engine = name(observed);
    let secret = admin_token_secret(engine);
    let mut keys = rotation_keys(engine).into_iter().chain([secret]);
    if view.unread.is_none() && !keys.any(|key| observed.children.contains_key(&key)) {
        return None;
    }
    let reference = format!("spec.{OWNED_TOKEN}");
    let last = before.iter().find(|last| last.reference == reference).cloned();
    Some(last.unwrap_or_else(|| SecretStatus {
        reference,
        reason: Reason::SecretMissing.as_str(),
        since: whole_seconds(observed),
        first_seen: None,
        age_days: None,
        replace_before: None,
        next_rotation: None,
        rotation: None,
    }))
}

fn reason(finding: &Finding) -> Reason {
    match (finding.fault(), finding.unread()) {
        (Some(fault), _) => fault.reason(),
        (None, Some(unread)) if unread.is_forbidden => Reason::SecretsForbidden,
        (None, Some(_)) => Reason::SecretsUnreadable,
        (None, None) => Reason::SecretsUsable,
    }
}

fn whole_seconds(observed: &Observed) -> String {
    let now = observed.now;
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
