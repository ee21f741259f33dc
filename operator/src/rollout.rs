//! What a rollout reads and writes: the reports of pods about the canary, the grants, and its state in the status.

use std::sync::Arc;

use crate::{
    context::{Context, identity},
    engine_client::ReportError,
    error::Error,
    read_child::children,
    target::target,
    write_status::apply_status,
};
use crds::{MemoryEngine, MemoryEngineStatus, RolloutStatus};
use engine_core::wire::CanaryReport;
use operator_core::{
    children::drill_keys,
    names,
    observed::Observed,
    pod::PodView,
    rollout::{PodGrant, Reporting, RolloutView, Turn, drill_end, drill_job, turn},
    validate::{Essentials, Valid},
};

/// Reads what the pods report about the canary. An engine without a rollout is not asked, unless it has just lost one.
pub(crate) async fn observe(
    context: &Context,
    observed: &mut Observed,
    essentials: &Essentials,
    silent: bool,
) {
    let had_rollout = observed.engine.status.as_ref().is_some_and(|status| status.rollout.is_some());
    if !essentials.rollout && !had_rollout {
        return;
    }
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    let name = observed.engine.metadata.name.clone().unwrap_or_default();
    let mut view = RolloutView::default();
    let readers = (0..essentials.readers).map(|number| format!("{}-{number}", names::readers(&name)));
    for pod in [format!("{name}-0")].into_iter().chain(readers) {
        view.serving.extend(reporting(context, observed, &pod).await);
    }
    // Jobs can be read only where the operator may use them. Of the objects of drills it watches only the account.
    let [account, ..] = drill_keys(&name);
    if essentials.drills || context.cache.child(&namespace, &account).is_some() {
        view.drills = context.cache.jobs(&namespace, &name).iter().filter_map(|pod| drill_end(pod)).collect();
        let run = drill_job(&observed.engine);
        view.unread = children(context, observed, drill_keys(&name).into_iter().chain(run), silent).await;
    }
    view.canary = reporting(context, observed, &format!("{}-0", names::canary(&name))).await;
    observed.rollout = Some(view);
}

/// A pod with its report; `None` if there is none that could answer.
async fn reporting(context: &Context, observed: &Observed, pod: &str) -> Option<Reporting> {
    let namespace = observed.engine.metadata.namespace.as_deref().unwrap_or_default();
    let pod = PodView::of(&*context.cache.pod(namespace, pod)?);
    if !pod.running || pod.deleting || pod.ip.is_none() {
        return None;
    }
    let engine = identity(observed.engine.as_ref());
    let report = match target(context, &engine, Some(&pod)) {
        Ok(target) => context.engines.canary(&target).await,
        Err(error) => Err(error),
    };
    let report = report.map(Box::new).map_err(|error| error.to_string());
    Some(Reporting { pod, report })
}

/// Takes the turn of a rollout: a weight that has to fall does so at once, and the state is written before anything
/// else is done. `None` if another version of the resource was written meanwhile: the next reconcile decides again.
///
/// # Errors
/// The API server did not accept the write, or another operator may be leading.
pub(crate) async fn take_turn(
    observed: &mut Observed,
    valid: Valid,
    context: &Context,
) -> Result<Option<Taken>, Error> {
    if observed.engine.metadata.deletion_timestamp.is_some() {
        return Ok(Some(Taken { valid, look: None }));
    }
    let Some(Turn { valid, revoked, is_changed, is_moving }) = turn(observed, &valid) else {
        if valid.rollout.is_none() {
            end_grants(observed, context).await;
        }
        return Ok(Some(Taken { valid, look: None }));
    };
    context.may_write()?;
    for grant in &revoked {
        deliver(observed, grant, context).await;
    }
    if is_changed && let Some(rolled) = &valid.rolled {
        let Some(written) = write_state(&observed.engine, &rolled.status, context).await? else {
            return Ok(None);
        };
        observed.engine = Arc::new(written);
    }
    let look = valid.rollout.as_ref().filter(|_| is_moving).map(|rollout| rollout.look_s.unsigned_abs());
    Ok(Some(Taken { valid, look: look.map(std::time::Duration::from_secs) }))
}

/// Ends what was granted, after the spec has lost its rollout.
async fn end_grants(observed: &Observed, context: &Context) {
    let serving = observed.rollout.iter().flat_map(|view| &view.serving);
    let granted = |one: &&Reporting| one.report.as_ref().is_ok_and(|report| report.revision.is_some());
    for one in serving.filter(granted) {
        deliver(observed, &PodGrant { pod: one.pod.name.clone(), grant: None }, context).await;
    }
}

/// What a turn leaves to do.
pub(crate) struct Taken {
    /// The spec, with what was decided about the workloads.
    pub(crate) valid: Valid,
    /// When to look again, while the rollout moves.
    pub(crate) look: Option<std::time::Duration>,
}

/// Writes the state under the version that was read. `None` if there is a newer version.
async fn write_state(
    engine: &MemoryEngine,
    rollout: &RolloutStatus,
    context: &Context,
) -> Result<Option<MemoryEngine>, Error> {
    let before = engine.status.clone().unwrap_or_default();
    let status = MemoryEngineStatus { rollout: Some(rollout.clone()), ..before };
    apply_status(engine, &status, engine.metadata.resource_version.as_deref(), context).await
}

/// Tells a pod about the canary. If this fails, its grant ends by itself.
pub(crate) async fn deliver(observed: &Observed, grant: &PodGrant, context: &Context) {
    let engine = identity(observed.engine.as_ref());
    let serving = observed.rollout.iter().flat_map(|view| &view.serving);
    let Some(reporting) = serving.into_iter().find(|one| one.pod.name == grant.pod) else { return };
    let answer: Result<CanaryReport, ReportError> = match target(context, &engine, Some(&reporting.pod)) {
        Ok(target) => context.engines.grant_canary(&target, grant.grant.as_ref()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = answer {
        context.metrics.report_failures.inc();
        tracing::warn!(engine, pod = grant.pod, %error, "the pod was not told about the canary");
    }
}
