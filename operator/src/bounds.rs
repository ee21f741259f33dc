//! Counts the bounded writes of each object; [`operator_core::retry`] defines the bounds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use operator_core::{
    names::ChildKey,
    retry::{Bound, Window},
};

/// Windows by bound, namespace and object.
#[derive(Debug, Default)]
pub(crate) struct Bounds(Mutex<HashMap<(Bound, String, ChildKey), Window>>);

impl Bounds {
    /// Counts one more write of this object and returns whether it is within the bound.
    pub(crate) fn allow(&self, bound: Bound, namespace: &str, key: &ChildKey, now: Instant) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|_, window| !window.is_over(now));
        let place = (bound, namespace.to_owned(), key.clone());
        windows.entry(place).or_insert_with(|| Window::beginning(now)).allow(bound, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use operator_core::names::ChildKind;

    use super::*;

    #[test]
    fn each_object_has_bounds_of_its_own() {
        let bounds = Bounds::default();
        let key = |name: &str| ChildKey { kind: ChildKind::Service, name: name.into() };
        let start = Instant::now();
        let allowed = (0..100)
            .filter(|n| {
                bounds.allow(Bound::Repairs, "team", &key("notes"), start + Duration::from_millis(*n))
            })
            .count();
        assert_eq!(allowed, Bound::Repairs.max() as usize);
        assert!(bounds.allow(Bound::Repairs, "team", &key("other"), start), "another object");
        assert!(bounds.allow(Bound::Repairs, "people", &key("notes"), start), "another namespace");
        assert!(bounds.allow(Bound::Records, "team", &key("notes"), start), "another bound");
        let later = start + Duration::from_secs(60);
        assert!(bounds.allow(Bound::Repairs, "team", &key("notes"), later), "the window is over");
    }
}
