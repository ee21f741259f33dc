//! Starting the thread that computes vectors.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use engine_core::guard::Dependency;
use tokio::sync::watch;

use super::external_model::{EmbeddingDependencies, EmbeddingStatus, Embeddings, ModelState};
use super::worker::EmbeddingWorker;
use crate::providers::{Client, ClientError, EmbeddingService, Provider};

impl Embeddings {
    /// Validates the configuration and starts the thread. Sends no request.
    ///
    /// # Errors
    /// If the key or the CA certificates cannot be read, TLS cannot be set up, or the thread cannot be started.
    pub fn start(
        service: EmbeddingService,
        around: EmbeddingDependencies,
    ) -> Result<Arc<Embeddings>, ClientError> {
        let metrics = Arc::clone(&around.metrics);
        let provider = Provider::new(
            Dependency::Embedding,
            service.service.clone(),
            true,
            metrics,
            Arc::clone(&around.observer),
        )?;
        let status = EmbeddingStatus { model: service.service.model.clone(), ..EmbeddingStatus::default() };
        let (stop, stopped) = watch::channel(false);
        let embeddings = Arc::new(Embeddings {
            service,
            client: Client::new(Arc::clone(&provider))?,
            state: RwLock::new(ModelState { status, ..ModelState::default() }),
            stop,
            thread: Mutex::default(),
        });
        let filler = EmbeddingWorker::new(Arc::clone(&embeddings), Client::new(provider)?, around, stopped);
        let thread = thread::Builder::new().name("embeddings".into()).spawn(move || filler.run());
        *embeddings.thread.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(thread.map_err(ClientError::Thread)?);
        Ok(embeddings)
    }
}
