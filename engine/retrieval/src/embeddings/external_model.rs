//! The external embedding model, as searches and the health report use it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use engine_log::Published;
use engine_projection::{MemoryRow, ProjectionShared};
use serde::Serialize;
use tokio::sync::watch;

use super::store::VectorStore;
use crate::metrics::ProviderMetrics;
use crate::providers::{
    Batch, CallObserver, Client, EmbeddingService, Failure, PROBE_TEXT, Provider, Purpose, embed,
};

/// Maximum number of bytes of a text that are sent: models accept a few thousand tokens, and in the worst case each
/// byte is a token.
pub(super) const TEXT_BYTES_MAX: usize = 16 << 10;

/// Directory of the vector file in a data directory.
pub fn directory(data: &Path) -> PathBuf {
    data.join("vectors")
}

/// The text of a memory that is sent to the model.
pub fn sent(row: &MemoryRow) -> String {
    let MemoryRow { title, content, .. } = row;
    let mut text = if title.is_empty() { content.clone() } else { format!("{title}\n{content}") };
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

/// The vector of a query, and the id of the model that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalQueryVector {
    /// Id of the model in the vector file.
    pub model: i64,
    pub vector: Vec<f32>,
}

/// The model whose vectors searches use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveModel {
    /// Id of the model in the vector file.
    pub model: i64,
    pub dimension: usize,
    /// Id of the last stored vector.
    pub last: i64,
    pub(super) name: String,
    pub(super) dimensions: Option<usize>,
}

/// Progress of the embedding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EmbeddingStatus {
    /// Name of the configured model.
    pub model: String,
    /// Dimension of the model's vectors; absent until the first vector exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
    /// Number of memories that have a vector of this model.
    pub embedded: u64,
    /// Number of all memories.
    pub total: u64,
    /// The model that searches use until this one is ready: an earlier external model, or the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Why the embedding of memories is stopped at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// State that the background thread publishes.
#[derive(Debug, Default)]
pub(super) struct ModelState {
    pub(super) store: Option<Arc<VectorStore>>,
    pub(super) answering: Option<ActiveModel>,
    pub(super) status: EmbeddingStatus,
    /// Incremented on each change that may change the answer to a query.
    pub(super) version: u64,
}

/// The external model, as the rest of the engine uses it.
#[derive(Debug)]
pub struct Embeddings {
    pub(super) service: EmbeddingService,
    pub(super) client: Client,
    pub(super) state: RwLock<ModelState>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the background thread needs to run.
#[derive(Debug)]
pub struct EmbeddingDependencies {
    /// Directory of the vector file.
    pub directory: PathBuf,
    pub projection: Arc<ProjectionShared>,
    pub published: Published,
    pub metrics: Arc<ProviderMetrics>,
    /// Who is told how requests end.
    pub observer: Arc<dyn CallObserver>,
}

impl Embeddings {
    /// The service.
    pub fn provider(&self) -> &Provider {
        self.client.provider()
    }

    /// Stops the background thread and cancels a request in flight.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the embedding thread panicked");
        }
    }

    /// Whether the background thread is running.
    pub fn is_alive(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub(super) fn state(&self) -> std::sync::RwLockReadGuard<'_, ModelState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, change: impl FnOnce(&mut ModelState)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn status(&self) -> EmbeddingStatus {
        self.state().status.clone()
    }

    /// Dimension of the stored vectors of the configured model; `None` if there are none.
    pub(super) fn stored_dimension(&self) -> Option<usize> {
        self.state().status.dimension
    }

    /// A number that changes whenever the same query could have another answer.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// The external model whose vectors searches use, and its store; `None` while searches use the built-in model.
    pub fn answering(&self) -> Option<(ActiveModel, Arc<VectorStore>)> {
        let state = self.state();
        state.answering.clone().zip(state.store.clone())
    }

    /// Sends a request with a fixed text to the configured service, whether or not searches use it yet, to find out
    /// whether it answers within the `budget`.
    ///
    /// # Errors
    /// If the request fails, or the vector has another dimension than the stored ones.
    pub async fn probe(&self, budget: Duration) -> Result<(), Failure> {
        let EmbeddingService { service, dimension, .. } = &self.service;
        let stored = self.stored_dimension();
        let batch = Batch { model: &service.model, dimensions: *dimension, stored, texts: &[PROBE_TEXT] };
        embed(&self.client, batch, Purpose::Interactive, budget).await.map(drop)
    }

    /// The vector of a query, made by the external model whose vectors searches use; `None` if searches use no external
    /// model.
    ///
    /// # Errors
    /// If the request fails, or the vector has another dimension than the stored ones.
    pub async fn ask(&self, text: &str) -> Result<Option<ExternalQueryVector>, Failure> {
        let Some(ActiveModel { model, dimension, name, dimensions, .. }) = self.state().answering.clone()
        else {
            return Ok(None);
        };
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let batch = Batch { model: &name, dimensions, stored: Some(dimension), texts: &[text] };
        let vectors = embed(&self.client, batch, Purpose::Interactive, self.service.query_timeout).await?;
        Ok(vectors.into_iter().next().map(|vector| ExternalQueryVector { model, vector }))
    }
}
