//! Leader election, so that only one operator writes at a time.
//!
//! A Lease names the leader, but does not fence. The state therefore changes from `Leading` to `Uncertain` with the
//! first failed renewal, well before the Lease expires, and every write requires `Leading`.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::{sync::watch, task::JoinHandle};

use crate::{metrics::Metrics, options::Options};

/// Name of the Lease.
const LEASE_NAME: &str = "memory-operator";
/// Duration of the Lease without a renewal.
const LEASE_SECONDS: u64 = 15;
/// How long before its expiry the Lease is renewed.
const RENEW_BEFORE_END_SECONDS: u64 = 7;
/// Timeout of a call about the Lease. A renewal and its failure must fit in the remaining time.
const LEASE_CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a standby reads the holder of the Lease. A stopped leader is replaced within this time.
const HOLDER_POLL: Duration = Duration::from_secs(1);
/// Wait after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Whether this operator may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// Another operator leads, or none yet.
    Standby,
    /// This operator leads.
    Leading,
    /// This operator led, and does not know whether it still does.
    Uncertain,
    /// Another operator has taken over.
    Lost,
}

/// The task that holds the Lease.
pub(crate) struct Leader {
    state: watch::Receiver<Leadership>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Leader {
    /// Starts to request the Lease.
    ///
    /// # Errors
    /// No client can be created from the configuration.
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

    /// Whether this operator may write, with notifications of changes.
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

/// Why a term ended.
enum TermEnd {
    /// A stop was requested.
    Stopped,
    /// Something failed: the state of the Lease must be read again.
    Again,
    /// The Lease no longer has a holder.
    GivenBack,
    /// Another operator leads now.
    Lost,
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // If the sender is gone, nothing is left to do.
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

    /// Follows the Lease from one reading of its state until it changes hands, an error, or a stop.
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

    /// Returns when a standby finds that the Lease has no holder, or a former leader finds that it has another one. The
    /// manager sleeps until the expiry that it knows of, even if the holder has released the Lease long before.
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
