//! Listeners that drop their in-memory copies when memories are forgotten.

use std::fmt;
use std::sync::{Mutex, PoisonError};

type Listener = Box<dyn Fn(&[String]) + Send + Sync>;

/// The registered listeners, such as caches.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl Listeners {
    /// Registers a listener. It is called with the ids of forgotten memories, after their rows are deleted and before
    /// the request is answered. The listener must drop its copies before it returns.
    pub(crate) fn add(&self, listener: impl Fn(&[String]) + Send + Sync + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// Calls every listener. Returns the number of listeners.
    pub(crate) fn notify(&self, ids: &[String]) -> usize {
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().for_each(|listener| listener(ids));
        listeners.len()
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn everybody_is_told_what_is_forgotten() {
        let (told, listeners) = (Arc::new(Mutex::new(Vec::new())), Listeners::default());
        for _ in 0..2 {
            let told = Arc::clone(&told);
            listeners.add(move |ids| told.lock().unwrap().extend_from_slice(ids));
        }
        assert_eq!(listeners.notify(&["x".into()]), 2);
        assert_eq!(*told.lock().unwrap(), ["x", "x"]);
    }
}
