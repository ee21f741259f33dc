//! The last write of each object and the last problem of each engine, in memory. After a restart of the operator,
//! objects that admission changes are written once more, and refused writes are retried.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use operator_core::{
    applied::Applied,
    children::{CHILDREN, unwatched_keys},
    names::ChildKey,
    plan::Problem,
    retry::DeferredProblem,
};

/// The last writes by object, and the problem of each engine.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    applied: Mutex<HashMap<(String, ChildKey), Applied>>,
    held: Mutex<HashMap<String, DeferredProblem>>,
}

impl Attempts {
    /// Records a write.
    pub(crate) fn record_write(&self, namespace: &str, key: &ChildKey, applied: Applied) {
        let mut all = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((namespace.to_owned(), key.clone()), applied);
    }

    /// The last write of each object of an engine.
    pub(crate) fn written(&self, namespace: &str, engine: &str) -> BTreeMap<ChildKey, Applied> {
        let all = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |key: ChildKey| {
            let applied = all.get(&(namespace.to_owned(), key.clone()))?.clone();
            Some((key, applied))
        };
        written_keys(engine).filter_map(known).collect()
    }

    /// Stores `problem`: its object is not written again during `wait`, unless the generation of the spec changes.
    pub(crate) fn hold(
        &self,
        engine: &str,
        generation: Option<i64>,
        problem: Problem,
        wait: Duration,
        now: Instant,
    ) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(engine.to_owned(), DeferredProblem { generation, problem, until: now + wait });
    }

    /// The stored problem of an engine and the remaining wait; `None` if there is no problem, the wait has ended, or
    /// the spec has changed.
    pub(crate) fn held(
        &self,
        engine: &str,
        generation: Option<i64>,
        now: Instant,
    ) -> Option<(Problem, Duration)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get(engine)?;
        Some((held.problem.clone(), held.wait(generation, now)?))
    }

    /// Clears the problem of an engine.
    pub(crate) fn clear(&self, engine: &str) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }

    /// Forgets an engine that is gone.
    pub(crate) fn forget(&self, namespace: &str, engine: &str) {
        self.clear(&format!("{namespace}/{engine}"));
        let mut all = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        for key in written_keys(engine) {
            all.remove(&(namespace.to_owned(), key));
        }
    }
}

/// Every object of an engine whose writes are recorded.
fn written_keys(engine: &str) -> impl Iterator<Item = ChildKey> {
    CHILDREN.keys(engine).into_iter().chain(unwatched_keys(engine))
}

#[cfg(test)]
mod tests {
    use operator_core::names::ChildKind;

    use super::*;

    /// Objects that are not in the table of children are known too: their writes are compared like all others.
    #[test]
    fn writes_of_kinds_that_are_not_watched_are_recorded_and_forgotten() {
        let attempts = Attempts::default();
        let keys = unwatched_keys("notes");
        let applied = Applied {
            uid: "a".into(),
            intent: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            altered: vec![],
        };
        for key in &keys {
            attempts.record_write("team", key, applied.clone());
        }
        for kind in
            [ChildKind::Certificate, ChildKind::HttpRoute, ChildKind::BackendTlsPolicy, ChildKind::CronJob]
        {
            assert!(attempts.written("team", "notes").keys().any(|key| key.kind == kind), "{kind:?}");
        }
        attempts.forget("team", "notes");
        assert!(attempts.written("team", "notes").is_empty());
    }

    /// A refused object is not written before its wait ends, but it is written at once for a new spec.
    #[test]
    fn what_was_refused_waits_for_its_time_or_for_another_spec() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let key = ChildKey { kind: ChildKind::StatefulSet, name: "notes".into() };
        let problem = Problem::Refused { key, why: "a quota".into() };
        attempts.hold("team/notes", Some(1), problem.clone(), Duration::from_secs(8), start);
        let held = |generation, seconds| {
            attempts.held("team/notes", Some(generation), start + Duration::from_secs(seconds))
        };
        assert_eq!(held(1, 3), Some((problem, Duration::from_secs(5))));
        assert_eq!(held(1, 8), None);
        assert_eq!(held(2, 3), None);
        attempts.forget("team", "notes");
        assert_eq!(held(1, 3), None);
    }
}
