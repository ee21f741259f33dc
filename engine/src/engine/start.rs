//! Starts an engine: creates its parts and starts them in order.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use engine_core::wire::RestoredLog;
use engine_log::storage::Storage;
use engine_log::{
    AppliedKeys, Clock, Follower, Keeper, LogContext, LogDirectory, LogHandles, LogReader, OpenError, Writer,
    is_copy, list,
};
use engine_projection::{ProjectionShared, Projector, Setting, TraceFiles};
use engine_retrieval::embeddings::{self, EmbeddingDependencies, Embeddings};
use engine_retrieval::providers::{CallObserver, Reranker};
use engine_retrieval::{CatalogCache, DirectoryModel, Model, Retrieval};
use jiff::Timestamp;

use super::Engine;
use super::settings::{Settings, StartError};
use super::threads::{self, LogThread, Threads};
use crate::cache::AnswerCache;
use crate::canary::Canary;
use crate::config::Embedding;
use crate::digests::Digests;
use crate::following::{FollowSettings, Following, remove_what_was_left};
use crate::forget_listeners::Listeners;
use crate::memory_limit;
use crate::metrics::Metrics;
use crate::modes::Modes;
use crate::policy_gate::Gate;
use crate::pseudonyms::Pseudonyms;
use crate::question_record::QuestionRecord;
use crate::upkeep_runs::Runs;
use crate::write_locks::WriteLocks;

/// Default time between two full verifications of the projection and of the log.
const SCRUB_INTERVAL: Duration = Duration::from_secs(86_400);
/// Default memory budget of the catalogs, in eighths of the memory that the process may use. The rest is for the
/// program, the pages of the projection, and requests. Of 512 MiB, the catalogs get 320 MiB.
const CATALOGS_EIGHTHS: u64 = 5;
/// Memory budget of the response cache, bytes.
const ANSWERS_BYTES_MAX: u64 = 32 << 20;

impl Engine {
    /// Locks the data directory and starts the threads. The threads open the log and the projection.
    ///
    /// # Errors
    /// The directory is in use or cannot be read, a model cannot be used, or a thread cannot be started.
    pub(crate) fn start(data: &Path, metrics: Metrics, settings: Settings) -> Result<Engine, StartError> {
        let directory = LogDirectory::lock(data)?;
        prepare(data, &*directory.storage(), settings.follow.as_ref())?;
        let metrics = Arc::new(metrics);
        let context =
            LogContext::new(directory.storage(), Arc::clone(&metrics.log), Clock::System, settings.rotation);
        let log_handles = LogHandles::new(context);
        let projection = Arc::new(ProjectionShared::new());
        let modes = Arc::new(Modes::start(
            Arc::clone(&log_handles.context.storage),
            settings.guard.clone(),
            settings.initial_mode,
            metrics.mode.clone(),
        ));
        let observer = Arc::clone(&modes) as Arc<dyn CallObserver>;
        let following = following(&settings, &log_handles, &metrics, &modes)?;
        let search = Search::start(data, &log_handles, &projection, (&metrics, &observer), &settings)?;
        let failed = |source| OpenError::Directory { path: data.to_owned(), source };
        let (log, threads) =
            start_threads(data, &log_handles, &projection, &metrics, &settings).map_err(failed)?;
        let answers = Arc::new(AnswerCache::new(ANSWERS_BYTES_MAX, Arc::clone(&metrics)));
        let Search { catalogs, embeddings, reranker } = search;
        let questions = QuestionRecord::start(Arc::clone(&log_handles.context.storage), settings.questions);
        let forgotten = holders_of_copies(&answers, &catalogs, &log_handles);
        forgotten.add(questions.listener());
        Ok(Engine {
            forgotten,
            traces: TraceFiles::new(data),
            gate: Gate::new(settings.policy, Arc::clone(&metrics)),
            pseudonyms: Pseudonyms::start(
                Arc::clone(&log_handles.context.storage),
                log_handles.context.clock.clone(),
                following.is_none(),
            ),
            following,
            canary: Canary::new(metrics.rollout.clone()),
            questions,
            digests: Digests::default(),
            live: RwLock::new(settings.live),
            configuration: settings.configuration,
            certificates: settings.certificates,
            issuers: OnceLock::new(),
            public_gate: OnceLock::new(),
            archive: OnceLock::new(),
            restored: restored(data),
            stopping: AtomicBool::new(false),
            published: log_handles.context.published.clone(),
            projection,
            log,
            retrieval: Arc::new(Retrieval::new(Arc::clone(&catalogs), Arc::clone(&metrics.retrieval))),
            metrics,
            log_handles,
            answers,
            embeddings,
            reranker,
            catalogs,
            write_locks: WriteLocks::new(),
            upkeep: Runs::default(),
            modes,
            opened: OnceLock::new(),
            queued_bytes: AtomicU64::new(0),
            threads,
            started_at: Timestamp::now(),
            _directory: directory,
        })
    }
}

/// Checks what the data directory has, and throws away the copy of a standby that the log has left.
fn prepare(data: &Path, storage: &dyn Storage, follow: Option<&FollowSettings>) -> Result<(), StartError> {
    if follow.is_some_and(|follow| follow.archive.is_some()) {
        remove_what_was_left(data, storage)?;
    }
    check_role(storage, follow.is_some())
}

/// How this engine follows another one, if it does.
fn following(
    settings: &Settings,
    handles: &LogHandles,
    metrics: &Metrics,
    modes: &Modes,
) -> Result<Option<Arc<Following>>, StartError> {
    let Some(follow) = settings.follow.clone() else { return Ok(None) };
    modes.keep_to_itself();
    let metrics = (metrics.following.clone(), metrics.standby.clone());
    let following = Following::start(follow, Arc::clone(&handles.context.storage), metrics)?;
    Ok(Some(Arc::new(following)))
}

/// Refuses to follow with a log that was written here, and to write to a copy: each would make two histories of one
/// log.
fn check_role(storage: &dyn Storage, follows: bool) -> Result<(), StartError> {
    let (is_copy, has_log) = (is_copy(storage)?, !list(storage)?.segments.is_empty());
    match (follows, is_copy) {
        (false, true) => Err(StartError::IsCopy),
        (true, false) if has_log => Err(StartError::IsNoCopy),
        _ => Ok(()),
    }
}

/// From what the log was restored. A file that cannot be read says nothing, and keeps no engine from starting.
fn restored(data: &Path) -> Option<RestoredLog> {
    engine_archive::marker::read(data).unwrap_or_else(|fault| {
        tracing::warn!(%fault, "the file that says from what the log was restored cannot be read");
        None
    })
}

/// Starts the threads that own the log and the projection, and makes a reader of the log.
fn start_threads(
    data: &Path,
    handles: &LogHandles,
    projection: &Arc<ProjectionShared>,
    metrics: &Metrics,
    settings: &Settings,
) -> std::io::Result<(LogReader, Threads)> {
    let published = handles.context.published.clone();
    let log = LogReader::new(Arc::clone(&handles.context.storage), published.clone());
    let (applying, to_apply) = threads::applying();
    let keys = Arc::clone(projection) as Arc<dyn AppliedKeys>;
    let thread = match settings.follow {
        Some(_) => LogThread::Follower(Follower::new(handles.clone(), keys, applying)),
        None => {
            LogThread::Writer(Box::new(Writer::new(handles.clone(), keys, applying, settings.anchor.clone())))
        }
    };
    let keeper = Keeper::new(handles.clone(), settings.verify_interval);
    let projector = Projector::new(Setting {
        directory: engine_projection::directory(data),
        log: log.clone(),
        published,
        shared: Arc::clone(projection),
        metrics: Arc::clone(&metrics.projection),
        scrub_interval: settings.verify_interval.unwrap_or(SCRUB_INTERVAL),
    });
    Ok((log, Threads::start(thread, keeper, projector, to_apply)?))
}

/// What searches need in addition to the projection.
struct Search {
    catalogs: Arc<CatalogCache>,
    embeddings: Option<Arc<Embeddings>>,
    reranker: Option<Reranker>,
}

impl Search {
    fn start(
        data: &Path,
        handles: &LogHandles,
        projection: &Arc<ProjectionShared>,
        (metrics, observer): (&Metrics, &Arc<dyn CallObserver>),
        settings: &Settings,
    ) -> Result<Search, StartError> {
        let provider = &metrics.retrieval.provider;
        let reranker = settings.rerank.clone();
        let reranker = reranker
            .map(|service| Reranker::new(service, Arc::clone(provider), Arc::clone(observer)))
            .transpose()?;
        let surroundings = EmbeddingDependencies {
            directory: embeddings::directory(data),
            projection: Arc::clone(projection),
            published: handles.context.published.clone(),
            metrics: Arc::clone(provider),
            observer: Arc::clone(observer),
        };
        let (model, embeddings) = model(settings.embedding.clone(), surroundings)?;
        let budget = settings.search_bytes_max;
        let budget = budget.unwrap_or_else(|| memory_limit::allowance() / 8 * CATALOGS_EIGHTHS);
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        let catalogs = CatalogCache::start(model, embeddings.clone(), budget, (data, Arc::clone(projection)));
        let failed = |source| OpenError::Directory { path: data.to_owned(), source };
        Ok(Search { catalogs: catalogs.map_err(failed)?, embeddings, reranker })
    }
}

/// Returns the embedding model in the process, and the external embedding service if one is configured.
fn model(
    embedding: Embedding,
    surroundings: EmbeddingDependencies,
) -> Result<(Model, Option<Arc<Embeddings>>), StartError> {
    Ok(match embedding {
        Embedding::InProcess(model) => (model, None),
        Embedding::Directory(path) => {
            (Model::Directory(Box::leak(Box::new(DirectoryModel::read(&path)?))), None)
        }
        Embedding::Http(service) => (Model::BuiltIn, Some(Embeddings::start(service, surroundings)?)),
    })
}

/// Registers everything that keeps copies of memories in memory. When memories are forgotten, each listener drops all
/// its copies: forgetting is rare, and the next search rebuilds the copies.
fn holders_of_copies(
    answers: &Arc<AnswerCache>,
    catalogs: &Arc<CatalogCache>,
    handles: &LogHandles,
) -> Listeners {
    let listeners = Listeners::default();
    let (answers, catalogs) = (Arc::clone(answers), Arc::clone(catalogs));
    let tail = Arc::clone(&handles.context.tail);
    listeners.add(move |_| answers.clear());
    listeners.add(move |_| catalogs.clear());
    listeners.add(move |_| tail.clear());
    listeners
}
