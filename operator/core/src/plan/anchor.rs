//! Plans the writes of the record of the log to the claim and to the ConfigMap, so that a starting engine finds it, and
//! the push of the anchor to the running engine.

use engine_core::wire::{GivenAnchor, Health};
use kube_core::DynamicObject;
use serde_json::Value;

use super::{
    draft::{Plan, plan_child, plan_release},
    step::Write,
};
use crate::{
    anchor::{
        expected::{self, ExpectedHistory, in_status},
        record::{self, AnchorAnnotation, ClaimRecord},
    },
    applied_drift::{admission_strips, drift},
    build,
    children::CHILDREN,
    names::{ANCHOR_ANNOTATION, ANCHOR_FILE, ChildKey},
    observed::Observed,
    ownership::is_ours,
    storage,
    validate::Valid,
};

/// The record that the claim should have, as the text of its annotation. If the expected history is unknown or
/// contradictory, this is the text that the claim has already; `None` if it has none.
pub(super) fn wanted_note(observed: &Observed, expected: &ExpectedHistory) -> Option<String> {
    let claim = storage::claim_of(observed, observed.engine.metadata.name.as_deref().unwrap_or_default());
    match expected {
        ExpectedHistory::New => Some(AnchorAnnotation::New.text()),
        ExpectedHistory::Missing if observed.report_on_log().is_some_and(is_empty_log) => {
            Some(AnchorAnnotation::New.text())
        }
        ExpectedHistory::Extend { newest, .. } => {
            Some(AnchorAnnotation::Known(newest.as_ref().clone()).text())
        }
        ExpectedHistory::Missing | ExpectedHistory::Contradiction { .. } => {
            claim.and_then(record::note_text).map(str::to_owned)
        }
    }
}

/// Whether the engine reports that its log has no events.
fn is_empty_log(health: &Health) -> bool {
    health.log.seq == 0 && health.log.integrity.fault.is_none() && health.log.checkpoint.is_some()
}

/// Plans the write of the claim: a `Record` if only the anchor is outdated, otherwise the usual write for any other
/// difference.
pub(super) fn plan_claim(
    observed: &Observed,
    key: &ChildKey,
    object: impl Fn(Option<&str>) -> Value,
    expected: &ExpectedHistory,
    plan: &mut Plan,
) {
    let wanted = wanted_note(observed, expected);
    let live = observed.children.get(key);
    let before = live.and_then(|live| record::note_text(live));
    let moves_on = match (record::claim_record(live.map(AsRef::as_ref)), expected.newest()) {
        (ClaimRecord::New, Some(_)) => true,
        (ClaimRecord::Known(old), Some(newest)) => old.age() < newest.age() || old.key != newest.key,
        _ => false,
    };
    let neutral = object(before);
    if live.is_some_and(|live| {
        admission_strips(observed, key, live, ANCHOR_ANNOTATION) && is_right(observed, key, live, &neutral)
    }) {
        // An admission policy removes the record from the claim. The record is not written again; the status still has
        // it.
        return plan_child(observed, key, &neutral, plan);
    }
    let only_moves_on = live.is_some_and(|live| moves_on && is_right(observed, key, live, &neutral));
    record_or_repair(observed, key, object(wanted.as_deref()), only_moves_on, plan);
}

/// Plans the write of the anchor's ConfigMap. Its content is left unchanged while the right content is unknown.
pub(super) fn plan_config_map(
    observed: &Observed,
    valid: &Valid,
    expected: &ExpectedHistory,
    plan: &mut Plan,
) {
    let key = CHILDREN.anchor.key(&valid.name);
    let object = |text: &str| {
        let mut object = build::value(&build::anchor_config_map(valid, text));
        build::stamp(&mut object);
        object
    };
    let live = observed.children.get(&key);
    let before = live.and_then(|live| live.data.pointer(&format!("/data/{ANCHOR_FILE}"))?.as_str());
    let Some(given) = given(observed, expected) else {
        if let Some(before) = before {
            plan_child(observed, &key, &object(before), plan);
        }
        return;
    };
    let moves_on = before
        .and_then(|text| serde_json::from_str::<GivenAnchor>(text).ok())
        .is_some_and(|before| place(&before) < place(&given));
    let only_moves_on = match (live, before) {
        (Some(live), Some(before)) => moves_on && is_right(observed, &key, live, &object(before)),
        _ => false,
    };
    record_or_repair(observed, &key, object(&build::anchor_text(&given)), only_moves_on, plan);
}

/// The anchor for an engine that starts. A volume without a record counts as new if the engine reports that its log has
/// no events.
fn given(observed: &Observed, expected: &ExpectedHistory) -> Option<GivenAnchor> {
    match expected {
        ExpectedHistory::Missing if observed.report_on_log().is_some_and(is_empty_log) => {
            Some(GivenAnchor::New)
        }
        // The CRD's transition rules protect the record in the status, so this record is used.
        ExpectedHistory::Contradiction { status, .. } => Some(status.given()),
        _ => expected::given(expected),
    }
}

/// Key for comparing anchors: a later anchor has a larger key.
fn place(given: &GivenAnchor) -> (u64, u64, u64) {
    match given {
        GivenAnchor::Missing => (0, 0, 0),
        GivenAnchor::New => (1, 0, 0),
        GivenAnchor::Known { anchor, .. } => (2, anchor.rollbacks, anchor.size),
    }
}

fn is_right(observed: &Observed, key: &ChildKey, live: &DynamicObject, wanted: &Value) -> bool {
    is_ours(observed, key, live) && drift(observed, key, wanted, live).is_none()
}

fn record_or_repair(
    observed: &Observed,
    key: &ChildKey,
    object: Value,
    only_moves_on: bool,
    plan: &mut Plan,
) {
    let live = observed.children.get(key).filter(|live| live.metadata.deletion_timestamp.is_none());
    match live {
        Some(live) if only_moves_on => {
            plan_release(observed, key, live, plan);
            plan.write(Write::Record { key: key.clone(), object });
        }
        _ => plan_child(observed, key, &object, plan),
    }
}

/// The anchor to push to the running engine; `None` if no push is needed. A push is needed if the engine started before
/// the anchor was recorded, or if it reports a fault and the user has since accepted a rollback.
pub(super) fn push_anchor(observed: &Observed, expected: &ExpectedHistory) -> Option<GivenAnchor> {
    let health = observed.report_on_log()?;
    let (newest, integrity) = (expected.newest()?, &health.log.integrity);
    // The anchor is pushed only if the stored status contains it: the CRD's transition rules protect the status, not
    // the claim.
    in_status(observed).filter(|status| status.age() == newest.age())?;
    let known = integrity.anchor.as_ref();
    let given = newest.given();
    let known_rollbacks = known.map_or(0, |known| known.rollbacks);
    let push = match &integrity.fault {
        None => !record::holds(known, &given) && health.log.checkpoint.is_some(),
        Some(_) => newest.rollbacks() > known_rollbacks,
    };
    push.then_some(given)
}
