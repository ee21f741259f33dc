//! Limits the requests of one key in one project, if the configuration sets a rate.

use engine_core::configuration::Rate;

use super::limiter::Limiter;

/// The buckets of all keys and projects.
#[derive(Debug)]
pub(super) struct Rates {
    rate: Option<Rate>,
    limiter: Option<Limiter<(String, String)>>,
}

impl Rates {
    pub(super) fn new(rate: Option<Rate>) -> Rates {
        Rates { rate, limiter: rate.map(Limiter::per_second) }
    }

    pub(super) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Takes a token. `project` is empty for a request that is about none.
    ///
    /// # Errors
    /// The bucket is empty; the value is the number of seconds until the next token.
    pub(super) fn take(&self, caller: &str, project: &str) -> Result<(), u32> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.take(&(caller.to_owned(), project.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn each_key_has_a_bucket_in_each_project() {
        let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(2).unwrap() };
        let rates = Rates::new(Some(rate));
        assert_eq!([(); 3].map(|()| rates.take("a", "notes")), [Ok(()), Ok(()), Err(1)]);
        assert_eq!([rates.take("a", "other"), rates.take("b", "notes")], [Ok(()), Ok(())]);
        assert!((0..1_000).all(|_| Rates::new(None).take("a", "notes").is_ok()));
    }
}
