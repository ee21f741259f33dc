//! Step 4: carries out the steps of a plan in order and reports the result of each step. All decisions are in
//! `operator-core`.

use std::{sync::Arc, time::Instant};

use engine_core::wire::{DeclareHold, GivenAnchor, ModeHealth, StartUpkeep, TakeBackup};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
};
use operator_core::{
    backup::acknowledge_backup,
    mode::acknowledge_mode,
    names::{
        CERTIFICATE_ANNOTATION, ChildKey, FIELD_MANAGER, PUBLIC_LABEL, PUBLIC_VALUE, authority_secret,
        certificate_secret,
    },
    observed::Observed,
    plan::{
        Call, Deliver, Done, Expectation, Failure, Issue, NamespaceEnding, Plan, Progress, Publish, Remember,
        Request, Rotate, Step, Ticket, Write, Written, acknowledge_anchor,
    },
    ticket::acknowledge_ticket,
    upkeep::acknowledge_upkeep,
};

use serde_json::json;

use crate::{
    backup_records,
    cache::{api, api_resource, slim},
    context::{Context, identity},
    engine_client::{ReportError, Target},
    error::{CallError, Error, call},
    hold::hold,
    rollout::deliver,
    rotation::rotate_write,
    secrets::remember_write,
    target::target,
    tls::{IssueError, copy_write, issued, material},
};

/// Carries out the steps that [`Progress`] allows. Returns `observed`, updated with the results of the writes, and the
/// result of the plan.
///
/// # Errors
/// Another operator may be leading, or the namespace is being deleted.
pub(crate) async fn apply(
    mut observed: Observed,
    plan: &Plan,
    context: &Context,
) -> Result<(Observed, Done), Error> {
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    let engine = identity(observed.engine.as_ref());
    let held = context.attempts.held(&engine, observed.engine.metadata.generation, Instant::now());
    let mut progress = Progress::new(held.map(|(problem, _)| problem));
    for step in &plan.steps {
        let allow = |bound, key: &ChildKey| context.bounds.allow(bound, &namespace, key, Instant::now());
        if !progress.should_carry_out(step, allow) {
            continue;
        }
        context.may_write()?;
        match step {
            Step::Write(write) => {
                let api = api(&context.client, &api_resource(write.key().kind), Some(&namespace));
                let answer = send(&api, write).await.map_err(|error| failure(&error));
                let written = progress.written(&mut observed, write, answer, jiff::Timestamp::now());
                let written = written.map_err(|NamespaceEnding| Error::NamespaceEnding)?;
                record_result(context, &namespace, write, written);
            }
            Step::Call(call) => carry_out(&mut observed, call, context).await,
            Step::Deliver(deliver) => tell_kubelet(deliver, &namespace, context).await,
            Step::Publish(publish) => set_label(&mut observed, publish, &namespace, context).await,
            Step::Remember(remember) => remember_ages(&observed, remember, &namespace, context).await,
            Step::Record(change) => backup_records::record(change, &namespace, context).await,
            Step::Hold(is_held) => hold(&observed, *is_held, context).await,
            Step::Issue(issue) => issue_certificate(&mut observed, &mut progress, issue, context).await?,
            Step::Rotate(rotate) => rotate_token(&mut observed, &mut progress, rotate, context).await?,
            Step::Copy(copy) => {
                let write = copy_write(&observed, copy);
                write_secret(&mut observed, &mut progress, &write, context).await?;
            }
        }
    }
    Ok((observed, progress.done()))
}

/// Changes the annotation that makes a kubelet deliver a changed Secret.
async fn tell_kubelet(deliver: &Deliver, namespace: &str, context: &Context) {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let patch = json!({"metadata": {"annotations": {CERTIFICATE_ANNOTATION: deliver.certificate}}});
    let patched = call(pods.patch(&deliver.pod, &PatchParams::default(), &Patch::Merge(&patch))).await;
    if let Err(error) = patched {
        tracing::warn!(%namespace, pod = deliver.pod, %error, "the kubelet delivers a certificate later");
    }
}

/// Sets or removes the label that the public Service selects.
async fn set_label(observed: &mut Observed, publish: &Publish, namespace: &str, context: &Context) {
    let Publish { pod, uid, is_public } = publish;
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let labels = json!({PUBLIC_LABEL: is_public.then_some(PUBLIC_VALUE)});
    // A pod of this name with another uid is refused with a conflict.
    let patch = json!({"metadata": {"uid": uid, "labels": labels}});
    match call(pods.patch(pod, &PatchParams::default(), &Patch::Merge(&patch))).await {
        Ok(_) => {
            if let Some(pod) = &mut observed.writer_mut().pod {
                pod.public = is_public.then(|| PUBLIC_VALUE.to_owned());
            }
            tracing::info!(%namespace, %pod, is_public, "changed whether clients outside of the cluster reach the pod");
        }
        Err(error) => {
            tracing::warn!(%namespace, %pod, is_public, %error, "the label of the pod could not be changed");
            observed.publish_refusal = Some(error.to_string());
        }
    }
}

/// Writes the Secret with the ages of values. Without it, the ages are not known, and everything else works.
async fn remember_ages(observed: &Observed, remember: &Remember, namespace: &str, context: &Context) {
    let Some(write) = remember_write(observed, remember) else { return };
    let key = write.key();
    let api = api(&context.client, &api_resource(key.kind), Some(namespace));
    match send(&api, &write).await {
        Ok(_) => context.metrics.writes.with_label_values(&[key.kind.kind(), write.verb()]).inc(),
        Err(error) => {
            tracing::warn!(%namespace, object = %key, %error, "the ages of Secrets are not remembered");
        }
    }
}

/// Issues a certificate or an authority, and writes its Secret.
///
/// # Errors
/// The namespace is being deleted.
async fn issue_certificate(
    observed: &mut Observed,
    progress: &mut Progress,
    issue: &Issue,
    context: &Context,
) -> Result<(), Error> {
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    let write = match certificate_write(observed, issue) {
        Ok(write) => write,
        Err(error) => {
            // The next reconcile plans it again.
            tracing::error!(%namespace, object = %issue.key, %error, because = issue.because, "nothing was issued");
            return Ok(());
        }
    };
    write_secret(observed, progress, &write, context).await?;
    tracing::info!(%namespace, object = %issue.key, issued = ?issue.issuance, because = issue.because, "issued");
    Ok(())
}

/// Makes or removes a token, and writes its Secret.
///
/// # Errors
/// The namespace is being deleted.
async fn rotate_token(
    observed: &mut Observed,
    progress: &mut Progress,
    rotate: &Rotate,
    context: &Context,
) -> Result<(), Error> {
    match rotate_write(observed, rotate, &context.admin_tokens) {
        Some(write) => write_secret(observed, progress, &write, context).await,
        None => {
            tracing::error!(object = %rotate.key, because = rotate.change.because(), "no token was made");
            Ok(())
        }
    }
}

/// Writes a Secret with a key. Its object is not logged.
///
/// # Errors
/// The namespace is being deleted.
async fn write_secret(
    observed: &mut Observed,
    progress: &mut Progress,
    write: &Write,
    context: &Context,
) -> Result<(), Error> {
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    let key = write.key();
    let api = api(&context.client, &api_resource(key.kind), Some(&namespace));
    let answer = send(&api, write).await.map_err(|error| failure(&error));
    let written = progress.written(observed, write, answer, jiff::Timestamp::now());
    if written.map_err(|NamespaceEnding| Error::NamespaceEnding)? != Written::Failed {
        context.metrics.writes.with_label_values(&[key.kind.kind(), write.verb()]).inc();
        tracing::info!(%namespace, object = %key, because = write.because(), "wrote");
    }
    Ok(())
}

/// The write of a Secret. Neither the write nor its object is logged or kept, because it contains a key.
fn certificate_write(observed: &Observed, issue: &Issue) -> Result<Write, IssueError> {
    let engine = &observed.engine.metadata;
    let (name, namespace) =
        (engine.name.clone().unwrap_or_default(), engine.namespace.clone().unwrap_or_default());
    let [authority, certificate] = [authority_secret(&name), certificate_secret(&name)]
        .map(|key| observed.children.get(&key).map(AsRef::as_ref));
    let now = jiff::Timestamp::now();
    let (material, _) = material(authority, certificate, (&name, &namespace), now);
    let (key, object) = (issue.key.clone(), issued(issue, &material, now)?);
    Ok(match observed.children.contains_key(&key) {
        true => Write::Update { key, object, because: issue.because.to_owned() },
        false => Write::Create { key, object },
    })
}

fn failure(error: &CallError) -> Failure {
    Failure { status: error.api().cloned().map(Box::new), text: error.to_string() }
}

async fn carry_out(observed: &mut Observed, call: &Call, context: &Context) {
    match call {
        Call::PushAnchor(given) => push_anchor(observed, given, context).await,
        Call::PushMode(wanted) => {
            let answer =
                called(observed, context, async |target| context.engines.push_mode(target, wanted).await)
                    .await;
            mode_answered(observed, answer, context);
        }
        Call::TakeBackup(wanted) => take_backup(observed, wanted, context).await,
        Call::Upkeep(start) => start_upkeep(observed, start, context).await,
        Call::DeliverTicket(ticket) => deliver_ticket(observed, ticket, context).await,
        Call::GrantCanary(grant) => deliver(observed, grant, context).await,
        Call::PushHold(hold) => {
            let declared = DeclareHold { hold: hold.clone() };
            let answer =
                called(observed, context, async |target| context.engines.push_hold(target, &declared).await)
                    .await;
            mode_answered(observed, answer, context);
        }
    }
}

/// Handles the engine's response to a mode. If it fails, the next reconcile plans the same call again.
fn mode_answered(observed: &mut Observed, answer: Result<ModeHealth, ReportError>, context: &Context) {
    match answer {
        Ok(mode) => acknowledge_mode(observed, mode),
        Err(error) => {
            context.metrics.report_failures.inc();
            tracing::warn!(engine = identity(observed.engine.as_ref()), %error, "the mode could not be sent to the engine");
            observed.mode_refusal = Some(error.to_string());
        }
    }
}

/// Asks the engine for a backup. It may take longer than this waits: the engine reports it, and asking again for the
/// same request takes no second one.
async fn take_backup(observed: &mut Observed, wanted: &TakeBackup, context: &Context) {
    let take = async |target: &Target| context.engines.take_backup(target, wanted).await;
    match called(observed, context, take).await {
        Ok(taken) => acknowledge_backup(observed, taken),
        // It is being taken: the report will say so.
        Err(ReportError::TimedOut) => {}
        Err(error) => {
            context.metrics.report_failures.inc();
            tracing::warn!(engine = identity(observed.engine.as_ref()), %error, "no backup was reported yet");
            if let Some(view) = &mut observed.backup {
                view.refusal = Some(error.to_string());
            }
        }
    }
}

/// Has the engine carry out upkeep. If it takes longer than this waits, the next reconcile asks again with the same
/// request.
async fn start_upkeep(observed: &mut Observed, start: &StartUpkeep, context: &Context) {
    let carry_out = async |target: &Target| context.engines.upkeep(target, start).await;
    let answer = called(observed, context, carry_out).await;
    let answer = answer.map_err(|error| {
        context.metrics.report_failures.inc();
        let engine = identity(observed.engine.as_ref());
        tracing::warn!(engine, task = ?start.task, %error, "upkeep was not reported");
        (start.task, error.to_string())
    });
    acknowledge_upkeep(observed, answer);
}

/// Delivers a ticket, or takes it back. If this fails, the next reconcile plans it again.
async fn deliver_ticket(observed: &mut Observed, ticket: &Ticket, context: &Context) {
    let delivery = ticket.with_lifetime(context.ticket_seconds);
    let deliver = async |target: &Target| context.engines.deliver_ticket(target, &delivery).await;
    match called(observed, context, deliver).await {
        Ok(held) => acknowledge_ticket(observed, held),
        Err(error) => {
            context.metrics.report_failures.inc();
            let engine = identity(observed.engine.as_ref());
            tracing::warn!(engine, is_open = ticket.is_open, %error, "the ticket did not reach the engine");
            observed.ticket_refusal = Some(error.to_string());
        }
    }
}

/// Calls the engine of the writer.
async fn called<T>(
    observed: &Observed,
    context: &Context,
    call: impl AsyncFnOnce(&Target) -> Result<T, ReportError>,
) -> Result<T, ReportError> {
    let engine = identity(observed.engine.as_ref());
    call(&target(context, &engine, observed.writer().pod.as_ref())?).await
}

/// Sends the engine the anchor that its log must extend. If this fails, the next reconcile plans the same call again.
async fn push_anchor(observed: &mut Observed, given: &GivenAnchor, context: &Context) {
    match called(observed, context, async |target| context.engines.push_anchor(target, given).await).await {
        Ok(found) => acknowledge_anchor(observed, given, found),
        Err(error) => {
            context.metrics.report_failures.inc();
            tracing::warn!(engine = identity(observed.engine.as_ref()), %error, "the anchor could not be pushed to the engine");
            observed.anchor_refusal = Some(error.to_string());
        }
    }
}

/// Counts and logs the result of a write, and updates the cache and the record of the last writes.
fn record_result(context: &Context, namespace: &str, write: &Write, written: Written) {
    let key = write.key();
    match written {
        Written::Left(object, applied) => {
            context.cache.remember(namespace, key, object);
            if let Some(applied) = applied {
                context.attempts.record_write(namespace, key, applied);
            }
        }
        Written::Gone => context.cache.forget(namespace, key),
        Written::Failed => return,
    }
    context.metrics.writes.with_label_values(&[key.kind.kind(), write.verb()]).inc();
    tracing::info!(%namespace, object = %key, verb = write.verb(), because = write.because(), "wrote");
}

/// Sends one write with its precondition; returns the object as it is afterwards.
async fn send(api: &Api<DynamicObject>, write: &Write) -> Result<Option<Arc<DynamicObject>>, CallError> {
    let (key, expectation) = (write.key(), write.expectation());
    let params = PatchParams::apply(FIELD_MANAGER);
    let params = if expectation == Expectation::Forced { params.force() } else { params };
    let mut written = match write.request() {
        Request::Apply(object) => {
            let mut object = object.clone();
            let resource = api_resource(key.kind);
            object["apiVersion"] = resource.api_version.into();
            object["kind"] = resource.kind.into();
            call(api.patch(&key.name, &params, &Patch::Apply(&object))).await?
        }
        Request::Merge(patch) => call(api.patch(&key.name, &params, &Patch::Merge(&patch))).await?,
        Request::Delete => {
            let params = DeleteParams::background().preconditions(preconditions(expectation));
            call(api.delete(&key.name, &params)).await?;
            return Ok(None);
        }
    };
    slim(&mut written);
    Ok(Some(Arc::new(written)))
}

fn preconditions(expectation: Expectation<'_>) -> Preconditions {
    match expectation {
        Expectation::Unchanged { uid, resource_version } => {
            Preconditions { uid: Some(uid.to_owned()), resource_version: Some(resource_version.to_owned()) }
        }
        Expectation::NotOwnedByOthers | Expectation::Forced => Preconditions::default(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
