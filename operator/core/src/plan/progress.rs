//! The decisions while a plan is carried out: which steps are skipped, and what follows from each response. The
//! `operator` crate only sends the requests.

use std::sync::Arc;

use engine_core::wire::{GivenAnchor, IntegrityHealth, StorageReason};
use jiff::Timestamp;
use kube_core::{DynamicObject, Status};

use super::{Done, Problem, Step, Write};
use crate::{
    anchor::record,
    applied::Applied,
    names::ChildKey,
    observed::{EngineReport, Observed},
    retry::Bound,
};

/// A call to the API server that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The status in the API server's response; `None` if there was no response. Then the write may or may not have
    /// taken effect.
    pub status: Option<Box<Status>>,
    /// Description of the failure for users.
    pub text: String,
}

impl Failure {
    /// Whether the write was refused because the namespace is being deleted.
    #[must_use]
    pub fn namespace_is_ending(&self) -> bool {
        let details = self.status.as_ref().and_then(|status| status.details.as_ref());
        details.is_some_and(|details| details.causes.iter().any(|one| one.reason == "NamespaceTerminating"))
    }

    /// Whether the object is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.code() == Some(404)
    }

    fn code(&self) -> Option<u16> {
        self.status.as_ref().map(|status| status.code)
    }

    /// Classifies this failure of a write of `key`. A failure is permanent if retrying cannot help, because the object
    /// itself or the operator's rights are at fault. A conflict is temporary: someone created or changed the object in
    /// the meantime, and the next reconcile observes it.
    #[must_use]
    pub fn problem(self, key: &ChildKey) -> Problem {
        let key = key.clone();
        match self.status {
            Some(status) if matches!(status.code, 400 | 403 | 422) => {
                Problem::Refused { key, why: status.message.clone() }
            }
            _ => Problem::Failed { key, why: self.text },
        }
    }
}

/// The namespace is being deleted: it accepts no new objects, and everything in it will be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceEnding;

/// The API server's response to a write: the object after the write, or `None` if it was deleted.
pub type Answer = Result<Option<Arc<DynamicObject>>, Failure>;

/// Result of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// The object after the write, with the record of the write for later comparisons.
    Left(Arc<DynamicObject>, Option<Applied>),
    /// The object to delete is gone, or another object has its name. The state is unknown until the watch reports it.
    Gone,
    /// The API server did not accept the write.
    Failed,
}

/// A plan that is being carried out.
#[derive(Clone, Debug)]
pub struct Progress {
    /// A problem of an earlier reconcile whose object must not be written yet.
    held: Option<Problem>,
    /// The result so far.
    done: Done,
}

impl Progress {
    /// Starts a plan. `held` is the problem of an earlier reconcile whose wait has not ended.
    #[must_use]
    pub fn new(held: Option<Problem>) -> Self {
        Self { held, done: Done::default() }
    }

    /// Whether to carry out a step now. After the first problem, only records and calls are carried out. `allow` counts
    /// one more write of an object and returns whether it is within the bound.
    pub fn should_carry_out(&mut self, step: &Step, allow: impl FnOnce(Bound, &ChildKey) -> bool) -> bool {
        if self.done.problem.is_some() && !step.runs_after_failure() {
            return false;
        }
        let Some(write) = step.write() else { return true };
        let key = write.key();
        if let Some(held) = self.held.as_ref().filter(|held| held.key() == key) {
            self.done.problem.get_or_insert_with(|| held.clone());
            return false;
        }
        if let Some((bound, field)) = write.bound()
            && !allow(bound, key)
        {
            let contested = || Problem::Contested { key: key.clone(), field: field.to_owned() };
            self.done.problem.get_or_insert_with(contested);
            return false;
        }
        true
    }

    /// Handles the API server's response to a write, and updates the observed children.
    ///
    /// # Errors
    /// The namespace is being deleted: the rest of the plan would fail too.
    pub fn written(
        &mut self,
        observed: &mut Observed,
        write: &Write,
        answer: Answer,
        now: Timestamp,
    ) -> Result<Written, NamespaceEnding> {
        let key = write.key();
        let after = match answer {
            Ok(after) => after,
            // Somebody else was faster. An object that was only changed is still there: it is tried again, because
            // nobody watches objects of every kind.
            Err(failure) if matches!(write, Write::Delete { .. }) && failure.is_gone() => None,
            Err(failure) if failure.namespace_is_ending() => return Err(NamespaceEnding),
            Err(failure) => {
                self.done.problem.get_or_insert(failure.problem(key));
                return Ok(Written::Failed);
            }
        };
        let is_record = matches!(write, Write::Record { .. });
        self.done.changed |= !is_record && is_changed(observed, key, after.as_deref());
        self.done.written.push(key.clone());
        let Some(object) = after else {
            observed.children.remove(key);
            return Ok(Written::Gone);
        };
        let applied = Applied::of(write, &object, now);
        if let Some(applied) = &applied {
            observed.applied.insert(key.clone(), applied.clone());
        }
        observed.children.insert(key.clone(), object.clone());
        Ok(Written::Left(object, applied))
    }

    /// The result of the plan.
    #[must_use]
    pub fn done(self) -> Done {
        self.done
    }
}

/// Whether a write changed the object. If admission reverts what is applied, the object stays unchanged.
fn is_changed(observed: &Observed, key: &ChildKey, after: Option<&DynamicObject>) -> bool {
    let version = |object: &DynamicObject| object.metadata.resource_version.clone();
    observed.children.get(key).map(|before| version(before)) != after.map(version)
}

/// Handles the engine's response to a pushed anchor. If the engine has compared its log with the anchor, `found`
/// replaces the integrity in the engine's report, so that the status of this reconcile is based on it. If the engine
/// refused writes only because of a fault that no longer exists, it now accepts writes again. A response without a
/// fault that does not name the anchor clears nothing: it may come from another engine.
pub fn acknowledge_anchor(observed: &mut Observed, given: &GivenAnchor, found: IntegrityHealth) {
    if found.fault.is_none() && !record::holds(found.anchor.as_ref(), given) {
        observed.anchor_refusal = Some("its answer names another anchor".to_owned());
        return;
    }
    observed.anchor_acknowledged = true;
    if let EngineReport::Answered(health) = &mut observed.writer_mut().report {
        let fault = found.fault.is_some();
        health.log.integrity = found;
        if health.storage.reason == Some(StorageReason::LogCorrupt) && !fault {
            (health.storage.writable, health.storage.reason) = (true, None);
        }
    }
}
