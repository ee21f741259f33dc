//! One operator writes at a time.
//!
//! The Lease says who leads, it does not fence. So the state here turns from `Leading` to `Uncertain` with the first
//! renewal that fails, well before the Lease runs out, and every write asks for `Leading` first.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::{sync::watch, task::JoinHandle};

use crate::{metrics::Metrics, options::Options};

/// Name of the Lease.
const LEASE_NAME: &str = "memory-operator";
/// How long a Lease holds without being renewed.
const LEASE_SECONDS: u64 = 15;
/// How long before its end it is renewed.
const RENEW_BEFORE_END_SECONDS: u64 = 7;
/// Longest wait for an answer about the Lease: renewing and failing must fit in what is left of it.
const LEASE_CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// How often the holder of the Lease is read while this operator does not lead: a stopped leader is replaced in this
/// time.
const HOLDER_POLL: Duration = Duration::from_secs(1);
/// Wait after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Whether this operator may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// Another one leads, or none yet.
    Standby,
    /// This one leads.
    Leading,
    /// This one led, and does not know whether it still does.
    Uncertain,
    /// Another one has taken over.
    Lost,
}

/// The task that holds the Lease.
pub(crate) struct Leader {
    state: watch::Receiver<Leadership>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Leader {
    /// Starts asking for the Lease.
    ///
    /// # Errors
    /// The configuration makes no client.
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

    /// Tells whether this operator may write, now and whenever that changes.
    pub(crate) fn state(&self) -> watch::Receiver<Leadership> {
        self.state.clone()
    }

    /// Gives the Lease back, so that the next operator does not have to wait for its end.
    pub(crate) async fn stop(self, timeout: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(timeout, self.task).await.is_err() {
            tracing::warn!("the Lease could not be given back in time; it runs out by itself");
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
    /// Asked to stop.
    Stopped,
    /// Something failed: the Lease's state has to be read anew.
    Again,
    /// The Lease has no holder any more.
    GivenBack,
    /// Another operator leads now.
    Lost,
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone has nobody left to work for.
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

    /// From one reading of the Lease's state to the next: until it changes hands, an error, or a stop.
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
            tracing::warn!(%error, "the Lease was not given back; it runs out by itself");
        }
    }

    /// Returns once a standby finds that the Lease has no holder, or a former leader that it has another one. The
    /// manager sleeps until the end of the Lease it knows of, also when its holder has given it back long before.
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
