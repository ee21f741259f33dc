//! How a plan is carried out: which steps are skipped, and what follows from each answer. The operator sends the
//! requests; everything that is decided meanwhile is decided here.

use std::sync::Arc;

use engine_core::wire::{IntegrityHealth, StorageReason};
use jiff::Timestamp;
use kube_core::{DynamicObject, Status};

use super::{Done, Problem, Step, Write};
use crate::{
    applied::Applied,
    names::ChildKey,
    observed::{EngineReport, Observed},
    retry::Bound,
};

/// A call to the API server that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The API server's answer; `None` when there was none: the write may or may not have taken effect.
    pub status: Option<Box<Status>>,
    /// How the failure showed, for people.
    pub text: String,
}

impl Failure {
    /// Whether the write was refused because the namespace is being deleted.
    #[must_use]
    pub fn namespace_is_ending(&self) -> bool {
        let details = self.status.as_ref().and_then(|status| status.details.as_ref());
        details.is_some_and(|details| details.causes.iter().any(|one| one.reason == "NamespaceTerminating"))
    }

    /// Whether the object is gone, or not in the state that the write expected.
    #[must_use]
    pub fn is_gone_or_changed(&self) -> bool {
        matches!(self.code(), Some(404 | 409))
    }

    fn code(&self) -> Option<u16> {
        self.status.as_ref().map(|status| status.code)
    }

    /// The problem that it makes. What will be refused again however often it is tried, because the object itself is at
    /// fault or the operator's rights are, is told apart from what may pass. A conflict passes: somebody made or
    /// changed the object in the meantime, and the next reconcile sees it.
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

/// The namespace is being deleted: nothing new is taken in it, and everything in it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceEnding;

/// What the API server answered to a write: the object as it is now, or `None` when it was deleted.
pub type Answer = Result<Option<Arc<DynamicObject>>, Failure>;

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// The object is now like this; with what is kept of the write to compare with.
    Left(Arc<DynamicObject>, Option<Applied>),
    /// The object is gone, or another one than was to be deleted: only the watch knows which.
    Gone,
    /// The API server did not take it.
    Failed,
}

/// A plan that is being carried out.
#[derive(Clone, Debug)]
pub struct Progress {
    /// An earlier problem whose object is left alone for now.
    held: Option<Problem>,
    /// What has come of it so far.
    done: Done,
}

impl Progress {
    /// Begins. `held` is the problem of an earlier reconcile whose time is not up.
    #[must_use]
    pub fn new(held: Option<Problem>) -> Self {
        Self { held, done: Done::default() }
    }

    /// Whether a step is to be carried out now. After the first problem only records and calls are. `allow` counts one
    /// more write of an object and says whether it is within the bound.
    pub fn attempts(&mut self, step: &Step, allow: impl FnOnce(Bound, &ChildKey) -> bool) -> bool {
        if self.done.problem.is_some() && !step.goes_on_after_a_problem() {
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

    /// Takes note of what the API server answered to a write, and brings the observed children up to date.
    ///
    /// # Errors
    /// The namespace is being deleted: the rest of the plan is pointless.
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
            // The next reconcile decides again.
            Err(failure) if matches!(write, Write::Delete { .. }) && failure.is_gone_or_changed() => None,
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

    /// What came of the plan.
    #[must_use]
    pub fn done(self) -> Done {
        self.done
    }
}

/// Whether a write made another object of what was there: applying what admission changes back leaves it as it was.
fn is_changed(observed: &Observed, key: &ChildKey, after: Option<&DynamicObject>) -> bool {
    let version = |object: &DynamicObject| object.metadata.resource_version.clone();
    observed.children.get(key).map(|before| version(before)) != after.map(version)
}

/// The engine has compared its log with the anchor that was pushed: what it found replaces the integrity in its report,
/// so that the status of this reconcile is based on it. An engine that refused to write only because of the fault that
/// is gone now can write again.
pub fn acknowledge_anchor(observed: &mut Observed, found: IntegrityHealth) {
    observed.anchor_acknowledged = true;
    if let EngineReport::Answered(health) = &mut observed.writer_mut().report {
        let fault = found.fault.is_some();
        health.log.integrity = found;
        if health.storage.reason == Some(StorageReason::LogCorrupt) && !fault {
            (health.storage.writable, health.storage.reason) = (true, None);
        }
    }
}
