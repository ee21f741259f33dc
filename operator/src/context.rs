//! State shared by every reconcile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crds::MemoryEngine;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use operator_core::{
    names::{ADMIN_PORT, FIELD_MANAGER},
    settings::Settings,
};
use tokio::sync::watch;

use crate::{
    admin_tokens::AdminTokens, anchoring::Anchoring, attempts::Attempts, bounds::Bounds, cache::Cache,
    engine_client::EngineClient, error::Error, failures::Failures, front_door::FrontDoors,
    leader::Leadership, metrics::Metrics, options::Options, tls::Clients,
};

/// Clients, caches and settings.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) cache: Cache,
    pub(crate) engines: EngineClient,
    pub(crate) tls_clients: Clients,
    pub(crate) front_doors: FrontDoors,
    pub(crate) admin_tokens: AdminTokens,
    pub(crate) settings: Settings,
    /// Lifetime of the tickets of engines.
    pub(crate) ticket_seconds: u32,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) recorder: Recorder,
    pub(crate) bounds: Bounds,
    pub(crate) anchoring: Anchoring,
    pub(crate) attempts: Attempts,
    failures: Failures,
    written: Mutex<HashMap<String, Arc<MemoryEngine>>>,
    /// Each engine as it was reconciled last.
    last: Mutex<HashMap<String, Arc<MemoryEngine>>>,
    leadership: watch::Receiver<Leadership>,
}

impl Context {
    pub(crate) fn new(
        client: Client,
        cache: Cache,
        options: &Options,
        metrics: Arc<Metrics>,
        leadership: watch::Receiver<Leadership>,
    ) -> Self {
        let reporter =
            Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(options.pod_name.clone()) };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            engines: EngineClient::new(ADMIN_PORT),
            tls_clients: Clients::default(),
            front_doors: FrontDoors::default(),
            admin_tokens: AdminTokens::default(),
            settings: options.settings(),
            ticket_seconds: options.ticket_seconds,
            bounds: Bounds::default(),
            anchoring: Anchoring::new(options.anchor_writes_per_second, jiff::Timestamp::now()),
            attempts: Attempts::default(),
            failures: Failures::default(),
            written: Mutex::default(),
            last: Mutex::default(),
            client,
            cache,
            metrics,
            leadership,
        }
    }

    /// Checks that this operator leads. Call it before every write: Kubernetes does not reject writes of an operator
    /// that has lost its Lease.
    ///
    /// # Errors
    /// Another operator may be leading.
    pub(crate) fn may_write(&self) -> Result<(), Error> {
        if *self.leadership.borrow() == Leadership::Leading { Ok(()) } else { Err(Error::NotLeading) }
    }

    /// Stores the resource that the API server returned for a status write, until the watch returns it.
    pub(crate) fn engine_seen(&self, engine: MemoryEngine) {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(identity(&engine), Arc::new(engine));
    }

    /// Returns the newer of two copies of the resource: `watched`, or the result of the operator's last status write.
    pub(crate) fn newest(&self, watched: &MemoryEngine) -> Arc<MemoryEngine> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = identity(watched);
        match written.get(&engine) {
            Some(ours) if ours.metadata.uid == watched.metadata.uid && version(ours) > version(watched) => {
                ours.clone()
            }
            Some(_) => {
                written.remove(&engine);
                Arc::new(watched.clone())
            }
            None => Arc::new(watched.clone()),
        }
    }

    /// Keeps an engine as it is now, for its tombstone.
    pub(crate) fn keep_last(&self, engine: &Arc<MemoryEngine>) {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(identity(engine.as_ref()), Arc::clone(engine));
    }

    /// The engine as it was kept or written last.
    pub(crate) fn take_last(&self, engine: &str) -> Option<Arc<MemoryEngine>> {
        let kept = self.last.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(engine).cloned();
        kept.into_iter().chain(written).max_by_key(|engine| version(engine))
    }

    /// Counts one more failure of an engine and returns how long to wait.
    pub(crate) fn failed(&self, engine: &str) -> Duration {
        operator_core::backoff::after_failure(self.failures.add(engine), jitter())
    }

    /// Removes everything stored about an engine that no longer exists.
    pub(crate) fn forget(&self, engine: &str) {
        self.failures.clear(engine);
        self.anchoring.forget(engine);
        self.tls_clients.forget(engine);
        self.front_doors.forget(engine);
        self.admin_tokens.forget(engine);
        if let Some((namespace, name)) = engine.split_once('/') {
            self.attempts.forget(namespace, name);
        }
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }

    /// Resets the number of failures of an engine.
    pub(crate) fn succeeded(&self, engine: &str) {
        self.failures.clear(engine);
        self.attempts.clear(engine);
    }
}

/// Namespace and name in one string.
pub(crate) fn identity<K: kube::Resource>(engine: &K) -> String {
    let metadata = engine.meta();
    format!(
        "{}/{}",
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default()
    )
}

fn version(engine: &MemoryEngine) -> u64 {
    engine.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// A random number between 0 and 1.
pub(crate) fn jitter() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
