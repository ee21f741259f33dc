//! Limits attempts with wrong keys, for each address and for each id of a key.
//!
//! Nobody can guess a key. The limit keeps a client with a wrong key from filling the log and taking processor time. A
//! right key is accepted also while the limit is reached: otherwise whoever knows the id of a key, or shares an address
//! with its owner, could lock the owner out.

use std::num::NonZeroU32;

use engine_projection::ClientAddress;

use super::limiter::Limiter;

/// The limits, filled at one rate.
#[derive(Debug)]
pub(super) struct Attempts {
    per_minute: u32,
    by_address: Limiter<ClientAddress>,
    by_id: Limiter<String>,
}

impl Attempts {
    pub(super) fn new(per_minute: u32) -> Attempts {
        let rate = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        Attempts { per_minute, by_address: Limiter::per_minute(rate), by_id: Limiter::per_minute(rate) }
    }

    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Counts an attempt with a wrong key.
    ///
    /// # Errors
    /// There were too many; the value is the number of seconds until the next one counts as a new attempt.
    pub(super) fn count(&self, address: Option<ClientAddress>, id: Option<&str>) -> Result<(), u32> {
        // An address that is refused counts for no key: it could name any number of them.
        address.map_or(Ok(()), |address| self.by_address.take(&address))?;
        id.map_or(Ok(()), |id| self.by_id.take(&id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_limited_by_address_and_by_id() {
        let attempts = Attempts::new(3);
        let address = |last| Some(ClientAddress::new([10, 0, 0, last].into()));
        assert!((0..3).all(|_| attempts.count(address(1), None).is_ok()));
        let wait = attempts.count(address(1), None).unwrap_err();
        assert!((1..=20).contains(&wait), "{wait}");
        assert!((2..5).all(|last| attempts.count(address(last), Some("abcdefgh")).is_ok()));
        assert!(attempts.count(address(9), Some("abcdefgh")).is_err(), "from many addresses");
        assert!(attempts.count(address(9), Some("hgfedcba")).is_ok());
    }
}
