//! Bounds on repeated writes, and waits before an object is written again. The `operator` crate stores the counters;
//! the time is a parameter.

use std::time::{Duration, Instant};

use crate::plan::Problem;

/// A kind of write of one object whose number is bounded. If someone else (a mutating webhook, another controller)
/// keeps reverting an object, the operator must not compete: both would write as fast as the API server responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bound {
    /// Repairs. A write because of an edited spec is not a repair and is not counted.
    Repairs,
    /// Writes that record a newer anchor.
    Records,
}

/// Length of the window in which writes are counted.
const WINDOW: Duration = Duration::from_secs(60);

impl Bound {
    /// Maximum number of writes of one object in one window.
    #[must_use]
    pub fn max(self) -> u32 {
        match self {
            // A user who edits the object by hand stays far below this number.
            Self::Repairs => 6,
            // With the shortest interval of anchors, there are sixty writes.
            Self::Records => 120,
        }
    }
}

/// Counts the writes of one object within a window. The window begins with the first of these writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    began: Instant,
    count: u32,
}

impl Window {
    /// A window that begins now, with nothing counted.
    #[must_use]
    pub fn beginning(now: Instant) -> Self {
        Self { began: now, count: 0 }
    }

    /// Whether the window has ended.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= WINDOW
    }

    /// Counts one more write and returns whether it is within the bound.
    pub fn allow(&mut self, bound: Bound, now: Instant) -> bool {
        if self.is_over(now) {
            *self = Self::beginning(now);
        }
        self.count = self.count.saturating_add(1);
        self.count <= bound.max()
    }
}

/// A problem of an object that must not be written again before a certain time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredProblem {
    /// Generation of the spec whose plan had the problem.
    pub generation: Option<i64>,
    /// The problem.
    pub problem: Problem,
    /// When the object may be written again.
    pub until: Instant,
}

impl DeferredProblem {
    /// How long the object must still not be written; `None` if it may be written now. After a change of the spec, it
    /// may be written at once, because the change may be the correction.
    #[must_use]
    pub fn wait(&self, generation: Option<i64>, now: Instant) -> Option<Duration> {
        (self.generation == generation && now < self.until).then(|| self.until.duration_since(now))
    }
}

/// Whether an object with this problem is retried with growing waits. A contested object is instead retried in every
/// reconcile, within its bound.
#[must_use]
pub fn is_deferred(problem: &Problem) -> bool {
    match problem {
        Problem::Refused { .. } | Problem::Failed { .. } => true,
        Problem::Contested { .. } => false,
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "there is no other way to make an Instant; only differences count"
)]
mod tests {
    use super::*;
    use crate::names::{ChildKey, ChildKind};

    #[test]
    fn a_fight_is_bounded_and_forgotten() {
        let start = Instant::now();
        for bound in [Bound::Repairs, Bound::Records] {
            let mut window = Window::beginning(start);
            let allowed = (0..500).filter(|n| window.allow(bound, start + Duration::from_millis(*n))).count();
            assert_eq!(allowed, bound.max() as usize);
            assert!(!window.is_over(start + WINDOW - Duration::from_nanos(1)));
            assert!(!window.allow(bound, start + WINDOW - Duration::from_nanos(1)));
            assert!(window.allow(bound, start + WINDOW), "the window is over");
        }
    }

    /// A refused object is not written before its wait ends, but it is written at once for a new spec.
    #[test]
    fn what_was_refused_waits_for_its_time_or_for_another_spec() {
        let start = Instant::now();
        let key = ChildKey { kind: ChildKind::StatefulSet, name: "notes".into() };
        let problem = Problem::Refused { key: key.clone(), why: "a quota".into() };
        assert!(is_deferred(&problem));
        assert!(!is_deferred(&Problem::Contested { key, field: "spec".into() }));
        let held = DeferredProblem { generation: Some(1), problem, until: start + Duration::from_secs(8) };
        let wait = |generation, seconds| held.wait(Some(generation), start + Duration::from_secs(seconds));
        assert_eq!(wait(1, 3), Some(Duration::from_secs(5)));
        assert_eq!(wait(1, 8), None);
        assert_eq!(wait(2, 3), None);
        assert_eq!(held.wait(None, start), None);
    }
}
