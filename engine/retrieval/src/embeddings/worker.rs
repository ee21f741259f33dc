//! The background thread that embeds every memory and removes the vectors of forgotten memories. At start it checks all
//! memories once, and later only new memories. It skips a memory whose text already has a vector.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::error::EmbeddingError;
use super::external_model::{ActiveModel, EmbeddingDependencies, Embeddings, sent};
use super::room::has_room;
use super::store::{ModelRow, NewVector, TextDigest, VectorStore, digest, is_damage};
use crate::providers::{Batch, Client, Failure, Purpose, embed, wait_before};
use crate::token_count;
use engine_log::WriteState;
use engine_projection::{Unreadable, applied_seq, forgotten_after, memories_of_all_after, memory_count};

/// Number of memories that are read at a time.
const CHUNK_MEMORIES: usize = 512;
/// A batch that has reached this many tokens gets no more texts. Most servers accept this number in one request.
const REQUEST_TOKENS_MAX: usize = 32_768;
/// How long the thread waits for more memories. Memories arrive one by one; the wait lets several share a batch.
const GATHER: Duration = Duration::from_millis(50);
/// Length of the shortest prefix of a text that is tried when the model refuses longer prefixes, bytes.
const SHORTENED_BYTES_MIN: usize = 512;
/// A text that every working model accepts. It is sent to find out whether the model works at all.
const PROBE: &str = "memory";

/// A memory, and the part of its text that is sent to the model.
struct Text {
    memory: i64,
    project: String,
    text: String,
    digest: TextDigest,
}

/// Consecutive memories of the log.
struct Chunk {
    /// Path of the projection that the memories were read from.
    path: Option<String>,
    /// Last event that was checked.
    through: i64,
    texts: Vec<Text>,
    /// Whether there are more memories after this chunk.
    more: bool,
}

pub(super) struct EmbeddingWorker {
    embeddings: Arc<Embeddings>,
    client: Client,
    around: EmbeddingDependencies,
    stopped: watch::Receiver<bool>,
    /// Path of the projection that was checked last.
    path: Option<String>,
    /// Last event that was checked.
    through: i64,
    /// Last event for which removals of forgotten memories were applied.
    forgotten_through: i64,
    /// Count of memories, and the last event that is counted in it.
    total: u64,
    counted_through: i64,
    /// Number of consecutive failed rounds.
    failed: u32,
    opened: Option<(Arc<VectorStore>, ModelRow)>,
    /// Whether the file is damaged and has to be replaced.
    damaged: bool,
    /// Whether vectors were stored or removed since the last complete round.
    changed: bool,
}

impl EmbeddingWorker {
    pub(super) fn new(
        embeddings: Arc<Embeddings>,
        client: Client,
        around: EmbeddingDependencies,
        stopped: watch::Receiver<bool>,
    ) -> EmbeddingWorker {
        EmbeddingWorker {
            embeddings,
            client,
            around,
            stopped,
            path: None,
            through: 0,
            forgotten_through: 0,
            total: 0,
            counted_through: 0,
            failed: 0,
            opened: None,
            damaged: false,
            changed: true,
        }
    }

    /// Runs the thread, with its own runtime, until it is stopped.
    pub(super) fn run(mut self) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.work()),
            Err(fault) => tracing::error!(%fault, "cannot start the runtime of the embedding thread"),
        }
    }

    async fn work(&mut self) {
        let mut changes = self.around.projection.changes();
        let mut stopped = self.stopped.clone();
        while !*stopped.borrow() {
            changes.mark_unchanged();
            let wait = match self.round().await {
                Ok(()) => {
                    self.failed = 0;
                    self.embeddings.publish(|state| state.status.failure = None);
                    None
                }
                Err(trouble) => Some(self.wait_after(&trouble)),
            };
            let changed = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    // The sender exists as long as the projection, so this wait ends only on a change.
                    None => {
                        let _closed = changes.changed().await;
                        tokio::time::sleep(GATHER).await;
                    }
                }
            };
            tokio::select! {
                () = changed => {}
                _ = stopped.changed() => {}
            }
        }
    }

    fn wait_after(&mut self, trouble: &EmbeddingError) -> Duration {
        self.failed = self.failed.saturating_add(1);
        self.changed = true;
        let wait = match trouble {
            EmbeddingError::Model(failure) => failure.wait(),
            _ => None,
        };
        if let EmbeddingError::WriteState(fault) = trouble
            && is_damage(fault)
        {
            self.discard_store();
        }
        match trouble {
            EmbeddingError::Stopping | EmbeddingError::Projection(Unreadable::NotReady) => {}
            EmbeddingError::Model(_) if self.failed > 1 => {
                tracing::debug!(%trouble, "embedding failed again");
            }
            _ => tracing::warn!(%trouble, "embedding failed and is retried; new memories lack vectors"),
        }
        if !matches!(trouble, EmbeddingError::Stopping) {
            self.embeddings.publish(|state| state.status.failure = Some(trouble.to_string()));
        }
        // The delay that the service requested, plus jitter.
        wait.unwrap_or_default() + wait_before(if wait.is_some() { 1 } else { self.failed }, random())
    }

    fn discard_store(&mut self) {
        self.embeddings.publish(|state| {
            (state.store, state.answering, state.status.dimension) = (None, None, None);
        });
        (self.opened, self.path, self.damaged, self.changed) = (None, None, true, true);
    }

    /// Brings the vectors of all current memories up to date.
    async fn round(&mut self) -> Result<(), EmbeddingError> {
        let (store, model) = self.opened()?;
        loop {
            self.remove_forgotten(&store, &model)?;
            let Some(chunk) = self.next_chunk()? else { continue };
            self.fill(&store, &model, &chunk).await?;
            self.through = chunk.through;
            if !chunk.more {
                break;
            }
        }
        // Vectors are counted only after a change, because counting is too slow to do it for every event.
        if std::mem::take(&mut self.changed) { self.finish(&store, &model).await } else { Ok(()) }
    }

    /// Returns the store and the row of the configured model. Opening the store selects the model that searches use.
    fn opened(&mut self) -> Result<(Arc<VectorStore>, ModelRow), EmbeddingError> {
        if let Some(opened) = &self.opened {
            return Ok(opened.clone());
        }
        if self.damaged {
            VectorStore::discard(&self.around.directory)?;
            self.damaged = false;
        }
        let service = &self.embeddings.service;
        let (name, url) = (&service.service.model, service.service.url.to_string());
        let store = Arc::new(VectorStore::open(&self.around.directory)?);
        let model = store.model(name, service.dimension, &url)?;
        // An older model is used only if it was at the configured URL, because no data may be sent to any other URL.
        let answers = |row: &&ModelRow| row.complete && row.dimension > 0 && row.url == url;
        let models = store.models()?;
        let row = Some(&model).filter(answers).or(models.iter().find(answers));
        let answering = row.map(|row| answering(&store, row)).transpose()?;
        self.path = None;
        self.embeddings.publish(|state| {
            let previous = match &answering {
                Some(answering) if answering.model == model.id => None,
                Some(answering) => Some(answering.name.clone()),
                None => Some("built in".to_owned()),
            };
            state.status.previous = previous;
            state.status.dimension = known(model.dimension);
            (state.store, state.answering) = (Some(Arc::clone(&store)), answering);
            state.version += 1;
        });
        self.opened = Some((Arc::clone(&store), model.clone()));
        Ok((store, model))
    }

    /// Removes the vectors of memories forgotten since the last call, and returns these memories.
    fn remove_forgotten(
        &mut self,
        store: &VectorStore,
        model: &ModelRow,
    ) -> Result<Vec<i64>, EmbeddingError> {
        let after = self.forgotten_through;
        let (forgotten, applied) = self.read(|connection| {
            let mut forgotten = Vec::new();
            forgotten_after(connection, after, |memory| forgotten.push(memory))?;
            Ok((forgotten, applied_seq(connection)?))
        })?;
        let removed = store.remove(&forgotten)?;
        self.forgotten_through = applied;
        if removed > 0 {
            self.changed = true;
            self.total = self.total.saturating_sub(forgotten.len() as u64);
            self.report(store, model)?;
        }
        Ok(forgotten)
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, EmbeddingError> {
        Ok(self.around.projection.read_blocking(|connection| {
            let moment = connection.unchecked_transaction()?;
            read(&moment)
        })?)
    }

    /// The next memories to check. `None` if the projection was replaced; the check then starts again.
    fn next_chunk(&mut self) -> Result<Option<Chunk>, EmbeddingError> {
        let after = self.through;
        let (chunk, total) = self.read(|connection| {
            let mut texts = Vec::new();
            let more = memories_of_all_after(connection, after, CHUNK_MEMORIES, |project, row| {
                let text = sent(row);
                let digest = digest(&text);
                texts.push(Text { memory: row.seq, project: project.to_owned(), text, digest });
            })?;
            let last = texts.last().map_or(after, |text| text.memory);
            let through = if more { last } else { applied_seq(connection)?.max(after) };
            let path = connection.path().map(str::to_owned);
            let total = if path == self.path {
                None
            } else {
                Some((memory_count(connection)?, applied_seq(connection)?))
            };
            Ok((Chunk { path, through, texts, more }, total))
        })?;
        if let Some((total, applied)) = total {
            (self.path, self.total, self.counted_through) = (chunk.path, total, applied);
            (self.through, self.forgotten_through) = (0, 0);
            return Ok(None);
        }
        let uncounted = chunk.texts.iter().filter(|text| text.memory > self.counted_through);
        self.total += uncounted.count() as u64;
        self.counted_through = self.counted_through.max(chunk.through);
        Ok(Some(chunk))
    }

    /// Brings the file up to date with these memories: removes the vectors of memories that no longer exist, and embeds
    /// the memories that have no vector of their current text.
    async fn fill(
        &mut self,
        store: &VectorStore,
        model: &ModelRow,
        chunk: &Chunk,
    ) -> Result<(), EmbeddingError> {
        let after = self.through;
        let memories: Vec<i64> = chunk.texts.iter().map(|text| text.memory).collect();
        let kept = store.memories(after, chunk.through)?;
        let stale: Vec<i64> =
            kept.into_iter().filter(|memory| memories.binary_search(memory).is_err()).collect();
        let removed = store.remove(&stale)?;
        let held = store.held(model.id, after, chunk.through)?;
        let missing = chunk.texts.iter().filter(|text| held.get(&text.memory) != Some(&text.digest));
        let mut wanted: Vec<&Text> = Vec::new();
        let mut changed = removed > 0;
        for text in missing {
            changed = true;
            match store.same(model.id, &text.digest)? {
                Some(vector) => self.put(store, model, &[(text, vector)])?,
                None => wanted.push(text),
            }
        }
        self.changed |= changed;
        while !wanted.is_empty() {
            let later = wanted.split_off(self.fitting(&wanted));
            self.check_room()?;
            let vectors = self.vectors(&wanted).await?;
            let made: Vec<(&Text, Vec<f32>)> = wanted.into_iter().zip(vectors).collect();
            self.put(store, model, &made)?;
            // Memories that were forgotten in the meantime must not be sent.
            let forgotten = self.remove_forgotten(store, model)?;
            wanted = later;
            wanted.retain(|text| !forgotten.contains(&text.memory));
        }
        if changed { self.report(store, model) } else { Ok(()) }
    }

    /// Number of texts, from the first on, that fit into one batch.
    fn fitting(&self, texts: &[&Text]) -> usize {
        let mut tokens = 0;
        let fits = |text: &&&Text| {
            let before = tokens;
            tokens += token_count(&text.text);
            before < REQUEST_TOKENS_MAX
        };
        texts.iter().take(self.embeddings.service.batch).take_while(fits).count().max(1)
    }

    fn check_room(&self) -> Result<(), EmbeddingError> {
        if !has_room(self.around.published.space()) || self.around.published.store() != WriteState::Writable {
            Err(EmbeddingError::NoRoom)
        } else {
            Ok(())
        }
    }

    fn put(
        &self,
        store: &VectorStore,
        model: &ModelRow,
        made: &[(&Text, Vec<f32>)],
    ) -> Result<(), EmbeddingError> {
        let vectors: Vec<NewVector<'_>> = made
            .iter()
            .map(|(Text { memory, project, digest, .. }, vector)| NewVector {
                memory: *memory,
                project,
                digest: *digest,
                vector,
            })
            .collect();
        store.put(model.id, &vectors)?;
        // From the first vector on, the next request expects this dimension.
        if let Some(dimension) = vectors.iter().find_map(|new| known(new.vector.len())) {
            self.embeddings.publish(|state| {
                state.status.dimension.get_or_insert(dimension);
            });
        }
        Ok(())
    }

    /// Returns a vector for each text. The vector is empty for a text that the model refuses.
    async fn vectors(&mut self, texts: &[&Text]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let all: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
        match self.embed(&all).await {
            Err(EmbeddingError::Model(failure)) if failure.is_about_the_texts() => {}
            answer => return answer,
        }
        // If the model refuses the probe too, the texts are not the cause.
        self.embed(&[PROBE]).await?;
        let mut vectors = Vec::with_capacity(all.len());
        for text in all {
            vectors.push(self.shortened(text).await?);
        }
        Ok(vectors)
    }

    /// The vector of the text. The text is halved until the model accepts it. The vector is empty if the model refuses
    /// all prefixes down to `SHORTENED_BYTES_MIN`.
    async fn shortened(&mut self, text: &str) -> Result<Vec<f32>, EmbeddingError> {
        let mut length = text.len();
        loop {
            match self.embed(&[&text[..text.floor_char_boundary(length)]]).await {
                Ok(vectors) => return Ok(vectors.into_iter().next().unwrap_or_default()),
                Err(EmbeddingError::Model(failure)) if failure.is_about_the_texts() => {}
                Err(trouble) => return Err(trouble),
            }
            length /= 2;
            if length < SHORTENED_BYTES_MIN {
                return Ok(Vec::new());
            }
        }
    }

    /// Sends one embedding request. Waits for the rate limit; is cancelled when the engine stops.
    async fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let service = &self.embeddings.service;
        let stored = self.embeddings.stored_dimension();
        let batch = Batch { model: &service.service.model, dimensions: service.dimension, stored, texts };
        let client = &self.client;
        if self.failed > 0 {
            client.provider().count_retry();
        }
        let asking = async {
            loop {
                match embed(client, batch, Purpose::Background, service.service.timeout).await {
                    Err(Failure::Throttled(wait)) => tokio::time::sleep(wait).await,
                    answer => return answer.map_err(EmbeddingError::Model),
                }
            }
        };
        tokio::select! {
            answer = asking => answer,
            _ = self.stopped.wait_for(|stopped| *stopped) => Err(EmbeddingError::Stopping),
        }
    }

    /// Publishes the progress and the last stored vector.
    fn report(&mut self, store: &VectorStore, model: &ModelRow) -> Result<(), EmbeddingError> {
        let rows = store.models()?;
        let dimension = rows.iter().find(|row| row.id == model.id).and_then(|row| known(row.dimension));
        let (_, embedded) = store.extent(model.id)?;
        let answering = self.embeddings.state().answering.clone();
        let last = answering.as_ref().map(|answering| store.extent(answering.model)).transpose()?;
        self.total = self.total.max(embedded);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let metrics = &self.around.metrics;
        metrics.stored.set(gauge(embedded));
        metrics.missing.set(gauge(self.total - embedded));
        self.embeddings.publish(|state| {
            state.status.dimension = dimension;
            (state.status.embedded, state.status.total) = (embedded, self.total);
            if let (Some(answering), Some((last, _))) = (&mut state.answering, last) {
                answering.last = last;
            }
            state.version += 1;
        });
        Ok(())
    }

    /// Called when every memory has a vector of `model`. Switches searches to it and removes other models' vectors.
    async fn finish(&mut self, store: &VectorStore, model: &ModelRow) -> Result<(), EmbeddingError> {
        let (_, embedded) = store.extent(model.id)?;
        self.total = embedded;
        self.report(store, model)?;
        if embedded == 0 {
            return Ok(());
        }
        let answers = self.embeddings.state().answering.as_ref().is_some_and(|a| a.model == model.id);
        if !answers {
            store.complete(model.id)?;
            let rows = store.models()?;
            let Some(row) = rows.iter().find(|row| row.id == model.id && row.dimension > 0) else {
                return Ok(());
            };
            let answering = answering(store, row)?;
            tracing::info!(
                model = row.name,
                dimension = row.dimension,
                embedded,
                "all memories are embedded; searches use this model from now on"
            );
            self.embeddings.publish(|state| {
                (state.answering, state.status.previous) = (Some(answering), None);
                state.version += 1;
            });
        }
        while store.drop_others(model.id)? {
            tokio::task::yield_now().await;
            if *self.stopped.borrow() {
                return Err(EmbeddingError::Stopping);
            }
        }
        Ok(())
    }
}

/// A dimension; 0 means that there is no vector.
fn known(dimension: usize) -> Option<usize> {
    (dimension > 0).then_some(dimension)
}

fn answering(store: &VectorStore, row: &ModelRow) -> rusqlite::Result<ActiveModel> {
    let (last, _) = store.extent(row.id)?;
    Ok(ActiveModel {
        model: row.id,
        dimension: row.dimension,
        last,
        name: row.name.clone(),
        dimensions: row.dimensions,
    })
}

/// A random number for jitter; 0 (no jitter) if the operating system has no source of random numbers.
fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}
