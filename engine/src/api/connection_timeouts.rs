//! Time limits of a connection. The head of a request has to arrive quickly; the idle time between two requests may be
//! long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Maximum time from an accepted connection, or from the first byte of a later request, to the end of the request's
/// head. A head is one packet or a few.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle time that is allowed in addition to the announced one, for a request that is already on its way.
const REST_GRACE: Duration = Duration::from_secs(1);

/// The phase that a connection is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The connection waits for the head of a request, until this time.
    Head(Instant),
    /// A request is being received or answered; other limits apply to it.
    Busy,
    /// All requests are answered; the next request may arrive until this time.
    Rest(Instant),
}

/// The time limits of one connection.
#[derive(Debug)]
pub(super) struct ConnectionTimeouts {
    phase: watch::Sender<Phase>,
    /// Time limit of a head.
    head: Duration,
    /// Time limit of the idle time, including the grace.
    rest: Duration,
}

impl ConnectionTimeouts {
    /// Starts the limits of an accepted connection; `rest` is the announced idle time.
    pub(super) fn new(rest: Duration) -> ConnectionTimeouts {
        ConnectionTimeouts::with(HEAD_TIMEOUT, rest + REST_GRACE)
    }

    fn with(head: Duration, rest: Duration) -> ConnectionTimeouts {
        ConnectionTimeouts { phase: watch::Sender::new(Phase::Head(Instant::now() + head)), head, rest }
    }

    /// Records that bytes arrived.
    pub(super) fn received(&self) {
        self.phase.send_if_modified(|phase| {
            let begins = matches!(phase, Phase::Rest(_));
            if begins {
                *phase = Phase::Head(Instant::now() + self.head);
            }
            begins
        });
    }

    /// Records that the client received bytes of a response: a client that reads slowly is not idle.
    pub(super) fn sent(&self) {
        self.phase.send_if_modified(|phase| {
            let rests = matches!(phase, Phase::Rest(_));
            if rests {
                *phase = Phase::Rest(Instant::now() + self.rest);
            }
            rests
        });
    }

    /// Records that the head of a request is complete.
    pub(super) fn asked(&self) {
        self.phase.send_replace(Phase::Busy);
    }

    /// Records that a response is complete.
    fn answered(&self) {
        self.phase.send_replace(Phase::Rest(Instant::now() + self.rest));
    }

    /// Returns when the connection has exceeded its time limit.
    pub(super) async fn over(&self) {
        let mut changes = self.phase.subscribe();
        loop {
            let phase = *changes.borrow_and_update();
            let changed = match phase {
                Phase::Busy => changes.changed().await,
                Phase::Head(until) | Phase::Rest(until) => tokio::select! {
                    // A change that arrives at the last moment counts as in time.
                    biased;
                    changed = changes.changed() => changed,
                    () = sleep_until(until) => return,
                },
            };
            // This cannot happen, because `self` owns the sender.
            if changed.is_err() {
                return;
            }
        }
    }
}

/// The body of a response. Dropping it means that the response is complete.
pub(super) struct Watched {
    body: Body,
    timeouts: Arc<ConnectionTimeouts>,
}

impl Watched {
    pub(super) fn new(body: Body, timeouts: Arc<ConnectionTimeouts>) -> Watched {
        Watched { body, timeouts }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.timeouts.answered();
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use engine_core::limits::KEEP_ALIVE_SECONDS_DEFAULT;

    use super::*;

    async fn is_over_after(timeouts: &ConnectionTimeouts, wait: Duration) -> bool {
        tokio::time::timeout(wait, timeouts.over()).await.is_ok()
    }

    #[tokio::test]
    async fn a_rest_is_longer_than_a_head() {
        let (head, rest) = (Duration::from_millis(300), Duration::from_millis(1500));
        let timeouts = ConnectionTimeouts::with(head, rest);
        assert!(is_over_after(&timeouts, head * 2).await, "nothing was ever sent");
        let timeouts = ConnectionTimeouts::with(head, rest);
        timeouts.received();
        timeouts.asked();
        assert!(!is_over_after(&timeouts, head * 3).await, "a request has limits of its own");
        timeouts.answered();
        assert!(!is_over_after(&timeouts, head * 3).await, "the announced idle time is granted");
        timeouts.received();
        timeouts.received();
        assert!(is_over_after(&timeouts, head * 2).await, "an incomplete head");
        timeouts.asked();
        timeouts.answered();
        tokio::time::sleep(rest / 2).await;
        timeouts.sent();
        assert!(!is_over_after(&timeouts, rest * 3 / 4).await, "it is still being read");
        assert!(is_over_after(&timeouts, rest * 2).await);
        let announced = Duration::from_secs(KEEP_ALIVE_SECONDS_DEFAULT);
        assert!(ConnectionTimeouts::new(announced).rest > announced, "closed later than announced");
    }
}
