//! Limits the request rate of each client address, if the configuration sets a rate. Each address has one token bucket.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine_core::configuration::Rate;
use engine_core::wire::ErrorCode;

use crate::access::Limiter;
use crate::refusal::Refusal;
use engine_projection::ClientAddress;

/// The token buckets of all addresses. All copies share them.
#[derive(Debug, Clone)]
pub(crate) struct Buckets(Arc<RwLock<Option<Bounded>>>);

/// A rate, with the buckets that are filled at it.
#[derive(Debug)]
struct Bounded {
    rate: Rate,
    buckets: Limiter<ClientAddress>,
}

impl Bounded {
    fn new(rate: Rate) -> Bounded {
        Bounded { rate, buckets: Limiter::per_second(rate) }
    }
}

impl Buckets {
    /// Without a rate there is no limit.
    pub(crate) fn new(rate: Option<Rate>) -> Buckets {
        Buckets(Arc::new(RwLock::new(rate.map(Bounded::new))))
    }

    /// Changes the rate. Every address begins with a full bucket, unless the rate is the same.
    pub(crate) fn set(&self, rate: Option<Rate>) {
        let mut bounded = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if bounded.as_ref().map(|bounded| bounded.rate) != rate {
            *bounded = rate.map(Bounded::new);
        }
    }

    /// Takes a token from the bucket of an address.
    ///
    /// # Errors
    /// The bucket is empty; the value is the number of seconds until the next token.
    fn take(&self, address: ClientAddress) -> Result<(), u32> {
        let bounded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        bounded.as_ref().map_or(Ok(()), |bounded| bounded.buckets.take(&address))
    }
}

/// Refuses requests above the rate with `RATE_LIMITED` and `Retry-After`.
pub(super) async fn bound(State(buckets): State<Buckets>, request: Request, next: Next) -> Response {
    let taken = ClientAddress::current().map_or(Ok(()), |address| buckets.take(address));
    let Err(seconds) = taken else { return next.run(request).await };
    let mut response = Refusal::new(
        ErrorCode::RateLimited,
        "more requests from one address than limits.requestsPerSecond allows",
    )
    .hint("nothing was done; repeat it after Retry-After seconds, and send many memories as one batch")
    .into_response();
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn each_address_has_a_bucket_of_its_own() {
        let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(3).unwrap() };
        let (buckets, free) = (Buckets::new(Some(rate)), Buckets::new(None));
        let (one, other) =
            (ClientAddress::new([10, 0, 0, 1].into()), ClientAddress::new([10, 0, 0, 2].into()));
        assert_eq!((0..4).map(|_| buckets.take(one)).collect::<Vec<_>>(), [Ok(()), Ok(()), Ok(()), Err(1)]);
        assert_eq!(buckets.take(other), Ok(()));
        assert!((0..1_000).all(|_| free.take(one).is_ok()));
        // The same rate leaves the buckets as they are; another one fills them.
        buckets.set(Some(rate));
        assert_eq!(buckets.take(one), Err(1));
        buckets.set(Some(Rate { burst: NonZeroU32::MIN, ..rate }));
        assert_eq!([buckets.take(one), buckets.take(one)], [Ok(()), Err(1)]);
        buckets.set(None);
        assert!((0..1_000).all(|_| buckets.take(one).is_ok()));
    }
}
