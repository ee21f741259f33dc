//! When the pod of an engine that hibernates may stop: after clients outside of the cluster cannot reach it, its writes
//! have stopped, and an anchor covers its complete log. An engine that does not get there stops anyway after a while.

use crds::HibernationStatus;
use jiff::{SignedDuration, Timestamp};

use crate::{
    anchor::expected::in_status,
    children::CHILDREN,
    observed::{EngineReport, Observed},
    ownership::is_ours,
    validate::Essentials,
};

/// How long a pod is kept for its last anchor. An anchor takes a few seconds; an engine that does not answer, or whose
/// log does not match its anchor, never gets one.
pub const WAIT_MAX: SignedDuration = SignedDuration::from_secs(60);

/// How far a hibernation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// The spec wants no hibernation.
    Awake,
    /// The pod is kept until this has happened.
    Preparing(String),
    /// The StatefulSet has no replica.
    Stopped {
        /// What was not waited for.
        skipped: Option<String>,
    },
}

impl Sleep {
    /// Whether the StatefulSet has no replica.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }
}

/// Decides whether the pod may stop.
#[must_use]
pub fn decide(observed: &Observed, essentials: &Essentials) -> Sleep {
    if !essentials.hibernate {
        return Sleep::Awake;
    }
    let before = observed.engine.status.as_ref().and_then(|status| status.hibernation.as_ref());
    let skipped = before.and_then(|before| before.skipped.clone());
    // A pod that is already stopping has been judged.
    if skipped.is_some() || observed.writer().pod.as_ref().is_none_or(|pod| pod.deleting) {
        return Sleep::Stopped { skipped };
    }
    let missing = missing(observed, essentials);
    if missing.is_empty() {
        return Sleep::Stopped { skipped: None };
    }
    let missing = missing.join(" and ");
    let since = before.and_then(|before| before.since.parse::<Timestamp>().ok());
    match since.is_some_and(|since| observed.now.duration_since(since) >= WAIT_MAX) {
        false if is_stopped(observed) => Sleep::Stopped { skipped: None },
        true => Sleep::Stopped { skipped: Some(missing) },
        false => Sleep::Preparing(missing),
    }
}

/// Whether the StatefulSet has no replica.
#[must_use]
pub fn is_stopped(observed: &Observed) -> bool {
    let key = CHILDREN.stateful_set.key(observed.engine.metadata.name.as_deref().unwrap_or_default());
    let set = observed.children.get(&key).filter(|set| is_ours(observed, &key, set));
    set.is_some_and(|set| set.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64) == Some(0))
}

/// What has to happen before the pod stops.
fn missing(observed: &Observed, essentials: &Essentials) -> Vec<&'static str> {
    let pod = observed.writer().pod.as_ref();
    let mut missing = Vec::new();
    if pod.is_some_and(|pod| pod.public.is_some()) {
        missing.push("the end of its exposure");
    }
    let EngineReport::Answered(health) = &observed.writer().report else {
        missing.push("an answer of the engine");
        return missing;
    };
    // An engine that is too old for modes cannot be told to stop its writes.
    if health.mode.as_ref().is_some_and(|mode| mode.effective.writes() || mode.wanted != essentials.mode) {
        missing.push("the end of its writes");
    }
    let anchored = in_status(observed).map_or(0, |record| record.size);
    if observed.report_on_log().is_none() || health.log.seq > anchored {
        missing.push("the last anchor of its log");
    }
    missing
}

/// The part of the status about it.
#[must_use]
pub fn status(observed: &Observed, essentials: &Essentials) -> Option<HibernationStatus> {
    let before = observed.engine.status.as_ref().and_then(|status| status.hibernation.clone());
    let since = before.map(|before| before.since).unwrap_or_else(|| {
        Timestamp::from_second(observed.now.as_second()).unwrap_or(observed.now).to_string()
    });
    match decide(observed, essentials) {
        Sleep::Awake => None,
        Sleep::Preparing(_) => Some(HibernationStatus { since, skipped: None }),
        Sleep::Stopped { skipped } => Some(HibernationStatus { since, skipped }),
    }
}
