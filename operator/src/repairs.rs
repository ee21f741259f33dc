//! A bound on repairing the same object again and again. Restoring what was applied before is a repair; what the spec
//! wants anew is none, however often it is edited.
//!
//! Somebody who keeps changing what the operator keeps putting right (a mutating webhook, another controller) would
//! otherwise make both of them write as fast as the API server answers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use operator_core::names::ChildKey;

/// Repairs of one object in one window; a person with an editor stays far below.
pub(crate) const REPAIRS_MAX: u32 = 6;
/// Records of an anchor in one object in one window: the shortest interval makes sixty.
pub(crate) const RECORDS_MAX: u32 = 120;
/// Length of the window.
const WINDOW: Duration = Duration::from_secs(60);

/// Repairs by object, in the window that began with the first of them.
#[derive(Debug)]
pub(crate) struct Repairs {
    max: u32,
    windows: Mutex<HashMap<(String, ChildKey), (u32, Instant)>>,
}

impl Repairs {
    /// A bound for each object.
    pub(crate) fn at_most(max: u32) -> Self {
        Self { max, windows: Mutex::default() }
    }

    /// Whether one more repair of this object is within the bound; counts it if so.
    pub(crate) fn allow(&self, namespace: &str, key: &ChildKey, now: Instant) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|_, (_, began)| now.duration_since(*began) < WINDOW);
        let (count, _) = windows.entry((namespace.to_owned(), key.clone())).or_insert((0, now));
        *count += 1;
        *count <= self.max
    }
}

#[cfg(test)]
mod tests {
    use operator_core::names::ChildKind;

    use super::*;

    #[test]
    fn a_fight_is_bounded_and_forgotten() {
        let repairs = Repairs::at_most(REPAIRS_MAX);
        let key = |name: &str| ChildKey { kind: ChildKind::Service, name: name.into() };
        let start = Instant::now();
        let allowed = (0..100)
            .filter(|n| repairs.allow("team", &key("notes"), start + Duration::from_millis(*n)))
            .count();
        assert_eq!(allowed, REPAIRS_MAX as usize);
        assert!(repairs.allow("team", &key("other"), start), "another object has a bound of its own");
        assert!(repairs.allow("team", &key("notes"), start + WINDOW), "the window is over");
    }
}
