//! The controller: decides when to reconcile an engine, and runs the five steps of a reconcile.

use std::{sync::Arc, time::Duration};

use crds::MemoryEngine;
use futures::StreamExt;
use kube::{
    Api, Client,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::ObjectRef,
        watcher,
    },
};
use operator_core::{
    anchor::expected::{ExpectedHistory, expected_history},
    conditions::{ConditionType, Reason},
    observed::Observed,
    plan::{Problem, plan_mode},
    publication::{plan_all, plan_withdrawal},
    retry::is_deferred,
    status,
    validate::{self, Essentials},
};
use service::{REQUEST_SPAN, RequestIds};
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use crate::{
    apply::apply,
    cache::{Cache, Touched},
    context::{Context, identity, jitter},
    error::Error,
    hold::release,
    leader::Leadership,
    metrics::{Counted, Metrics},
    observe::observe,
    options::Options,
    rollout::{Taken, take_turn},
    tombstone::bury,
    write_status::{merge_status, write_status},
};

/// Maximum number of concurrent reconciles. Each engine has at most one; slow engines delay others only if this many
/// are slow.
const CONCURRENCY: u16 = 32;
/// Several changes of one engine within this time cause only one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Maximum number of queued engines whose children changed. When the queue is full, the watches are not polled.
const TOUCHED_MAX: usize = 1024;

/// Time until an engine is looked at again whose resource has just changed.
const STALE_LOOK: Duration = Duration::from_millis(200);
/// Time between two looks at an engine that takes a backup, or has to be answered about upkeep.
const BACKUP_LOOK: Duration = Duration::from_secs(2);

/// An engine as the watch returns it. If one resource cannot be parsed, the watch still returns the others.
type Guarded = DeserializeGuard<MemoryEngine>;

/// Runs until the watches end.
///
/// # Errors
/// The caches could not be filled, or the controller ended.
pub(crate) async fn run(
    client: Client,
    options: &Options,
    metrics: Arc<Metrics>,
    leadership: watch::Receiver<Leadership>,
) -> anyhow::Result<()> {
    let (cache, mut touched) = Cache::start(&client, options.namespace(), &metrics);
    let (sender, mut receiver) = mpsc::channel::<Touched>(TOUCHED_MAX);
    let pump = tokio::spawn(async move {
        while let Some(engine) = touched.next().await {
            if sender.send(engine).await.is_err() {
                return;
            }
        }
    });
    let filled = drain_until(&mut receiver, cache.filled());
    filled.await?;
    let engines: Api<Guarded> = match options.namespace() {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let context = Arc::new(Context::new(client, cache, options, metrics, leadership));
    let changed = futures::stream::poll_fn(move |poll| receiver.poll_recv(poll))
        .map(|(namespace, name)| ObjectRef::<Guarded>::new(&name).within(&namespace));
    let controller = Controller::new(engines, watcher::Config::default());
    let store = controller.store();
    context
        .metrics
        .count_engines(Box::new(move || store.state().iter().map(|engine| counted(engine)).collect()));
    let waiting = context.clone();
    context.metrics.count_waiting(Box::new(move || waiting.anchoring.waiting()));
    controller
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_on(changed)
        .run(reconcile_with_ids, on_error, context.clone())
        .for_each(|result| {
            if let Err(kube::runtime::controller::Error::ObjectNotFound(gone)) = result {
                let context = Arc::clone(&context);
                let namespace = gone.namespace.clone().unwrap_or_default();
                // Other engines do not wait for it.
                tokio::spawn(async move { bury(&context, &namespace, &gone.name).await });
            }
            std::future::ready(())
        })
        .await;
    pump.abort();
    anyhow::bail!("the watches ended")
}

/// The values that the gauges use for one engine.
fn counted(engine: &Guarded) -> Counted {
    let status = engine.0.as_ref().ok().and_then(|engine| engine.status.as_ref());
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let integrity = conditions.iter().find(|c| c.type_ == ConditionType::LogIntegrity.as_str());
    Counted {
        phase: status.and_then(|status| status.phase),
        log_integrity: integrity.and_then(|condition| Reason::named(&condition.reason)),
        mode: status.and_then(|status| status.effective_mode),
        engine: engine.0.as_ref().map_or_else(|_| Default::default(), named),
        backups: (
            moment(status.and_then(|status| status.backup.as_ref()?.last_taken.as_ref())),
            moment(status.and_then(|status| status.backup.as_ref()?.last_verified.as_ref())),
        ),
        rollout: status.and_then(|status| status.rollout.clone()),
        conditions: conditions
            .iter()
            .filter_map(|condition| {
                let kind = ConditionType::ALL.into_iter().find(|kind| kind.as_str() == condition.type_)?;
                Some((kind, condition.status.clone()))
            })
            .collect(),
    }
}

fn named(engine: &MemoryEngine) -> (String, String) {
    let metadata = &engine.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn moment(backup: Option<&crds::LastBackup>) -> Option<jiff::Timestamp> {
    backup?.at.parse().ok()
}

/// Discards the changes that the watches report until `done` completes, that is while the caches fill. Every engine is
/// reconciled afterwards anyway.
async fn drain_until<T>(receiver: &mut mpsc::Receiver<Touched>, done: impl Future<Output = T>) -> T {
    tokio::pin!(done);
    loop {
        tokio::select! {
            result = &mut done => return result,
            _ = receiver.recv() => {}
        }
    }
}

/// Runs one reconcile in a span with ids of its own. The lines that it logs have these ids, and so have the lines that
/// the engine logs for its requests.
async fn reconcile_with_ids(engine: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let span = tracing::error_span!(target: REQUEST_SPAN, "reconcile");
    RequestIds::made().attach_to(&span);
    reconcile_and_log(engine, context).instrument(span).await
}

/// Counts, times and logs one reconcile.
async fn reconcile_and_log(engine: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let started = std::time::Instant::now();
    let result = match &engine.0 {
        Ok(engine) => reconcile(context.newest(engine), &context).await,
        Err(invalid) => unreadable(invalid, &context).await,
    };
    let problem = |result: &ReconcileResult| result.problem.as_ref().map_or("ok", Problem::label);
    let outcome = result.as_ref().map_or_else(Error::label, problem);
    context.metrics.reconciles.with_label_values(&[outcome]).inc();
    context.metrics.reconcile_seconds.observe(started.elapsed().as_secs_f64());
    match result {
        // Deleting the namespace also deletes the engine, and the watch will report this.
        Err(Error::NamespaceEnding) => {
            if let Ok(engine) = &engine.0 {
                release(&engine.metadata, &context).await;
            }
            Ok(Action::await_change())
        }
        Err(error) => {
            tracing::warn!(engine = identity(engine.as_ref()), %error, "reconcile failed");
            Err(error)
        }
        Ok(ReconcileResult { action, problem }) => {
            if problem.is_none() {
                context.succeeded(&identity(engine.as_ref()));
            }
            Ok(action)
        }
    }
}

/// Result of a reconcile: when to reconcile again, and the problem, if any. The status already reports the problem.
struct ReconcileResult {
    action: Action,
    problem: Option<Problem>,
}

/// Runs the five steps. The status is written even if a write fails. The next reconcile takes place early enough for
/// the next anchor.
async fn reconcile(engine: Arc<MemoryEngine>, context: &Context) -> Result<ReconcileResult, Error> {
    context.keep_last(&engine);
    let checked = validate::validate(&engine, &context.settings);
    let essentials = Essentials::of(&engine);
    let (mut observed, expected) = Box::pin(observe(engine, &essentials, context)).await;
    let valid = match checked {
        Ok(valid) => valid,
        Err(faults) => {
            // The mode is set also with an invalid spec, and an exposure ends; nothing else is written.
            let outcome = status::Outcome::Invalid { faults: &faults, essentials: &essentials };
            let plan = plan_mode(&observed, &essentials);
            let plan = plan_withdrawal(&observed, &expected, &outcome, plan);
            let (observed, _) = apply(observed, &plan, context).await?;
            let wait = report(&observed, &expected, &outcome, context).await?;
            return Ok(ReconcileResult { action: Action::requeue(wait), problem: None });
        }
    };
    let Some(Taken { valid, look }) = Box::pin(take_turn(&mut observed, valid, context)).await? else {
        return Ok(ReconcileResult { action: Action::requeue(STALE_LOOK), problem: None });
    };
    let plan = plan_all(&observed, &expected, &valid);
    let (observed, done) = apply(observed, &plan, context).await?;
    let retry = retry(&observed, done.problem.as_ref(), context);
    let outcome = status::Outcome::Applied { valid: &valid, plan: &plan, done: &done };
    let usual = report(&observed, &expected, &outcome, context).await?;
    let usual = look.map_or(usual, |look| look.min(usual));
    let wait = retry.map_or(usual, |retry| retry.min(usual));
    Ok(ReconcileResult { action: Action::requeue(wait), problem: done.problem })
}

/// When to retry after a problem; the wait grows with each failure. `None` if there is no problem that needs a wait.
fn retry(observed: &Observed, problem: Option<&Problem>, context: &Context) -> Option<Duration> {
    let problem = problem.filter(|problem| is_deferred(problem))?;
    let (engine, now) = (identity(observed.engine.as_ref()), std::time::Instant::now());
    let generation = observed.engine.metadata.generation;
    if let Some((_, wait)) = context.attempts.held(&engine, generation, now) {
        return Some(wait);
    }
    let wait = context.failed(&engine);
    tracing::warn!(%engine, %problem, retry_in_ms = wait.as_millis(), "not everything was written");
    context.attempts.hold(&engine, generation, problem.clone(), wait, now);
    Some(wait)
}

/// Writes the status; returns when to reconcile again.
async fn report(
    observed: &Observed,
    expected: &ExpectedHistory,
    outcome: &status::Outcome<'_>,
    context: &Context,
) -> Result<Duration, Error> {
    let status = status::status(observed, expected, outcome);
    write_status(&observed.engine, &status, context).await?;
    let usual = operator_core::backoff::next_reconcile(&status, jitter());
    let for_the_anchor =
        operator_core::anchor::checkpoint_query::next_anchor_reconcile(observed, outcome.essentials());
    let wait = for_the_anchor.map_or(usual, |wait| wait.min(usual));
    let essentials = outcome.essentials();
    let is_unfinished = operator_core::deletion::is_leaving(&observed.engine)
        || operator_core::backup::is_unfinished(observed, essentials)
        || operator_core::upkeep::is_unfinished(observed, essentials);
    match is_unfinished {
        true => Ok(wait.min(operator_core::backoff::spread(BACKUP_LOOK, jitter()))),
        false => Ok(wait),
    }
}

/// Handles a stored resource that does not match the schema of this operator's CRD: writes this to the status, and
/// waits for the next change of the resource.
async fn unreadable(
    invalid: &kube::core::error_boundary::InvalidObject,
    context: &Context,
) -> Result<ReconcileResult, Error> {
    release(&invalid.metadata, context).await;
    let mut engine = MemoryEngine::new("", crds::MemoryEngineSpec::default());
    engine.metadata = invalid.metadata.clone();
    let fault = [validate::Fault::Unreadable(invalid.error.clone())];
    let observed = Observed::only(Arc::new(engine), jiff::Timestamp::now());
    let expected = expected_history(&observed);
    let essentials = Essentials::of(&observed.engine);
    let outcome = status::Outcome::Invalid { faults: &fault, essentials: &essentials };
    let status = status::status(&observed, &expected, &outcome);
    merge_status(&observed.engine, &status, context).await?;
    Ok(ReconcileResult { action: Action::await_change(), problem: None })
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller requires")]
fn on_error(engine: Arc<Guarded>, _: &Error, context: Arc<Context>) -> Action {
    // The error was logged with the ids of the reconcile.
    Action::requeue(context.failed(&identity(engine.as_ref())))
}

#[cfg(test)]
mod tests;
