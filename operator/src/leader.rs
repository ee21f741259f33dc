//! Leader election, so that only one operator writes at a time.
//!
//! A Lease names the leader, but Kubernetes does not reject the writes of a former leader. Therefore the state changes
//! from `Leading` to `Uncertain` at the first failed renewal, well before the Lease expires, and the operator writes
//! only in the state `Leading`.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::{sync::watch, task::JoinHandle};

use crate::{metrics::Metrics, options::Options};

/// Name of the Lease.
const LEASE_NAME: &str = "memory-operator";
/// How long the Lease is valid after a renewal.
const LEASE_SECONDS: u64 = 15;
/// The leader renews the Lease this long before it expires.
const RENEW_BEFORE_END_SECONDS: u64 = 7;
/// Timeout of a request for the Lease. A renewal that times out, and its retry, must fit in the time before the Lease
/// expires.
const LEASE_CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a standby reads the holder of the Lease. When a leader stops and releases the Lease, it is replaced within
/// this time.
const HOLDER_POLL: Duration = Duration::from_secs(1);
/// Wait before a retry after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Whether this operator may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// Another operator leads, or no operator leads yet.
    Standby,
    /// This operator leads.
    Leading,
    /// This operator led, and does not know whether it still leads.
    Uncertain,
    /// Another operator has taken over.
    Lost,
}

/// The background task that requests and renews the Lease.
pub(crate) struct Leader {
    state: watch::Receiver<Leadership>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Leader {
    /// Starts the task that requests the Lease.
    ///
    /// # Errors
    /// No client can be created from `config`.
    pub(crate) fn start(
        config: &kube::Config,
        options: &Options,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let mut config = config.clone();
        config.connect_timeout = Some(LEASE_CALL_TIMEOUT);
        config.read_timeout = Some(LEASE_CALL_TIMEOUT);
        config.reset_reader_on_write = true;
        let candidate = Candidate {
            client: Client::try_from(config)?,
            namespace: options.pod_namespace.clone(),
            identity: options.pod_name.clone(),
            metrics,
        };
        let (sender, state) = watch::channel(Leadership::Standby);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(candidate.run(sender, stopped));
        Ok(Self { state, stop, task })
    }

    /// A receiver for the current state. It is notified of each change.
    pub(crate) fn state(&self) -> watch::Receiver<Leadership> {
        self.state.clone()
    }

    /// Releases the Lease, so that the next operator does not have to wait for its expiry.
    pub(crate) async fn stop(self, timeout: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(timeout, self.task).await.is_err() {
            tracing::warn!("the Lease could not be given back in time; it expires automatically");
        }
    }
}

struct Candidate {
    client: Client,
    namespace: String,
    identity: String,
    metrics: Arc<Metrics>,
}

/// Why `Candidate::term` returned.
enum TermEnd {
    /// A stop was requested.
    Stopped,
    /// A request failed: the state of the Lease must be read again.
    Again,
    /// The holder has released the Lease.
    GivenBack,
    /// Another operator leads now.
    Lost,
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender was dropped, which is also a stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Candidate {
    async fn run(self, state: watch::Sender<Leadership>, mut stop: watch::Receiver<bool>) {
        loop {
            let end = match self.manager().await {
                Ok(manager) => self.term(&manager, &state, &mut stop).await,
                Err(error) => {
                    tracing::warn!(%error, "the Lease cannot be read");
                    TermEnd::Again
                }
            };
            match end {
                TermEnd::Stopped => return,
                TermEnd::Lost => {
                    self.enter(&state, Leadership::Lost);
                    return;
                }
                TermEnd::GivenBack => {}
                TermEnd::Again => {
                    tokio::select! {
                        () = stopped(&mut stop) => return,
                        () = tokio::time::sleep(RETRY) => {}
                    }
                }
            }
        }
    }

    async fn manager(&self) -> kube_lease_manager::Result<LeaseManager> {
        LeaseManagerBuilder::new(self.client.clone(), LEASE_NAME)
            .with_namespace(&self.namespace)
            .with_identity(&self.identity)
            .with_duration(LEASE_SECONDS)
            .with_grace(RENEW_BEFORE_END_SECONDS)
            .build()
            .await
    }

    fn enter(&self, state: &watch::Sender<Leadership>, next: Leadership) {
        self.metrics.leading.set(i64::from(next == Leadership::Leading));
        state.send_replace(next);
    }

    /// Reads the Lease, then acquires and renews it until the holder changes, a request fails, or a stop is requested.
    async fn term(
        &self,
        manager: &LeaseManager,
        state: &watch::Sender<Leadership>,
        stop: &mut watch::Receiver<bool>,
    ) -> TermEnd {
        loop {
            let (led_before, leads) =
                (*state.borrow() != Leadership::Standby, *state.borrow() == Leadership::Leading);
            let changed = tokio::select! {
                changed = manager.changed() => changed,
                end = self.handed_over(led_before), if !leads => return end,
                () = stopped(stop) => {
                    self.release(manager, state).await;
                    return TermEnd::Stopped;
                }
            };
            match changed {
                Ok(true) => self.enter(state, Leadership::Leading),
                Ok(false) if led_before => return TermEnd::Lost,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "the Lease could not be renewed: nothing is written until it is");
                    if led_before {
                        self.enter(state, Leadership::Uncertain);
                    }
                    return TermEnd::Again;
                }
            }
        }
    }

    async fn release(&self, manager: &LeaseManager, state: &watch::Sender<Leadership>) {
        let led = *state.borrow() == Leadership::Leading;
        self.enter(state, Leadership::Standby);
        if led && let Err(error) = manager.release().await {
            tracing::warn!(%error, "the Lease was not given back; it expires automatically");
        }
    }

    /// Polls the Lease. Returns `GivenBack` when a standby finds that the Lease has no holder, and `Lost` when a former
    /// leader finds that another operator holds it. Polling is needed because `LeaseManager` sleeps until the expiry
    /// that it has read, even if the holder releases the Lease earlier.
    async fn handed_over(&self, led_before: bool) -> TermEnd {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        loop {
            tokio::time::sleep(HOLDER_POLL).await;
            let Ok(lease) = api.get(LEASE_NAME).await else { continue };
            let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
            match holder {
                None if !led_before => return TermEnd::GivenBack,
                Some(holder) if led_before && holder != self.identity => return TermEnd::Lost,
                None | Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
