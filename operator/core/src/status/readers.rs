//! `ReadersReady`, and the part of the status about readers.

use crds::ReadersStatus;
use kube_core::DynamicObject;

use super::{facts::Facts, lookup::name};
use crate::{
    children::CHILDREN,
    conditions::{Reason, Truth, Verdict},
    names,
    observed::Observed,
    validate::Essentials,
};

/// The StatefulSet of the readers.
fn stateful_set(observed: &Observed) -> Option<&DynamicObject> {
    observed.children.get(&CHILDREN.readers.key(name(observed))).map(AsRef::as_ref)
}

/// A number in the status of the StatefulSet, if that status is about its present spec.
pub(super) fn count(set: &DynamicObject, field: &str) -> i32 {
    let status = &set.data["status"];
    let is_current = status["observedGeneration"].as_i64() == set.metadata.generation;
    let counted = status[field].as_i64().filter(|_| is_current).unwrap_or_default();
    i32::try_from(counted).unwrap_or_default()
}

/// The readers for the status; `None` if the spec wants none and there are none.
pub(super) fn readers_status(observed: &Observed, essentials: &Essentials) -> Option<ReadersStatus> {
    let set = stateful_set(observed);
    if essentials.readers == 0 && set.is_none() {
        return None;
    }
    let selector = names::reader_selector(name(observed));
    let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(ReadersStatus {
        replicas: set.map_or(0, |set| count(set, "replicas")),
        ready_replicas: set.map_or(0, |set| count(set, "readyReplicas")),
        selector: selector.join(","),
    })
}

pub(super) fn none(facts: &Facts<'_>) -> Option<Verdict> {
    let essentials = facts.outcome.essentials();
    let message = match (essentials.readers, essentials.hibernate) {
        (0, _) => "spec.readers.replicas is 0: the writer answers every read",
        (_, true) => "the engine hibernates, and its readers too",
        _ => return None,
    };
    Some(Verdict::new(Truth::True, Reason::NoReaders, message))
}

pub(super) fn reported(facts: &Facts<'_>) -> Option<Verdict> {
    let wanted = facts.outcome.essentials().readers;
    let set = stateful_set(facts.observed);
    let (ready, updated) =
        set.map_or((0, 0), |set| (count(set, "readyReplicas"), count(set, "updatedReplicas")));
    let verdict = |truth, reason, message: String| Some(Verdict::new(truth, reason, message));
    if ready == wanted && updated == wanted {
        return verdict(
            Truth::True,
            Reason::ReadersServing,
            format!("{ready} of {wanted} readers follow the log and answer"),
        );
    }
    let pods = names::readers(name(facts.observed));
    verdict(
        Truth::False,
        Reason::ReadersNotReady,
        format!(
            "{ready} of {wanted} readers answer, and {updated} are as the spec requires: see the pods of the StatefulSet \
             {pods}. The writer answers meanwhile"
        ),
    )
}
