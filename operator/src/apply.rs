//! Step 4: carries out a plan, in its order. Decides nothing.

use std::{sync::Arc, time::Instant};

use engine_core::wire::{GivenAnchor, StorageReason};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
};
use operator_core::{
    applied::Applied,
    names::{ChildKey, FIELD_MANAGER},
    observed::{EngineReport, Observed},
    plan::{Done, Plan, Problem, Write},
};
use serde_json::json;

use crate::{
    cache::{api, api_resource, slim},
    context::{Context, identity},
    error::{CallError, Error, call},
};

/// Runs the writes until one does not work. Anchors go on all the same: what is recorded of the log waits for nothing.
/// The world comes back as the writes left it.
///
/// # Errors
/// Another operator may be leading, or the namespace is ending.
pub(crate) async fn apply(
    mut observed: Observed,
    plan: &Plan,
    context: &Context,
) -> Result<(Observed, Done), Error> {
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    let engine = identity(observed.engine.as_ref());
    let held = context.attempts.held(&engine, observed.engine.metadata.generation, Instant::now());
    let mut done = Done::default();
    for write in &plan.writes {
        let is_record = matches!(write, Write::Record { .. });
        if done.problem.is_some() && !is_record {
            continue;
        }
        if let Some((problem, _)) = held.as_ref().filter(|(problem, _)| problem.key() == write.key()) {
            done.problem.get_or_insert_with(|| problem.clone());
            continue;
        }
        if let Some(problem) = beyond_bound(write, &namespace, context) {
            done.problem.get_or_insert(problem);
            continue;
        }
        context.may_write()?;
        let api = api(&context.client, &api_resource(write.key().kind), Some(&namespace));
        match carry_out(&api, write).await {
            Ok(after) => {
                let kind = write.key().kind.kind();
                context.metrics.writes.with_label_values(&[kind, write.verb()]).inc();
                tracing::info!(%namespace, object = %write.key(), verb = write.verb(), because = because(write), "wrote");
                done.changed |= !is_record && is_changed(&observed, write.key(), after.as_deref());
                done.written.push(write.key().clone());
                take_over(&mut observed, context, &namespace, write, after);
            }
            Err(error) if error.namespace_is_ending() => return Err(Error::NamespaceEnding),
            Err(error) => {
                let problem = problem(write.key(), &error);
                done.problem.get_or_insert(problem);
            }
        }
    }
    if let Some(given) = &plan.tell {
        context.may_write()?;
        tell(&mut observed, given, context).await;
    }
    Ok((observed, done))
}

/// Whether a write made another object of what was there: applying what admission changes back leaves it as it was.
fn is_changed(observed: &Observed, key: &ChildKey, after: Option<&DynamicObject>) -> bool {
    let version = |object: &DynamicObject| object.metadata.resource_version.clone();
    observed.children.get(key).map(|before| version(before)) != after.map(version)
}

/// Tells the engine what its log must extend. Who does not answer is told again at the next look.
async fn tell(observed: &mut Observed, given: &GivenAnchor, context: &Context) {
    let ip = observed.pod.as_ref().and_then(|pod| pod.ip.clone()).unwrap_or_default();
    match context.engines.tell(&ip, given).await {
        Ok(integrity) => {
            observed.told = true;
            if let EngineReport::Answered(health) = &mut observed.report {
                let fault = integrity.fault.is_some();
                health.log.integrity = integrity;
                let writable = health.storage.reason == Some(StorageReason::LogCorrupt) && !fault;
                if writable {
                    (health.storage.writable, health.storage.reason) = (true, None);
                }
            }
        }
        Err(error) => {
            context.metrics.report_failures.inc();
            tracing::warn!(engine = identity(observed.engine.as_ref()), %error, "the engine was not told its anchor");
        }
    }
}

/// Somebody who changes an object back again and again is not raced.
fn beyond_bound(write: &Write, namespace: &str, context: &Context) -> Option<Problem> {
    let (bound, field) = match write {
        Write::Repair { because, .. } => (&context.repairs, because.as_str()),
        Write::Record { .. } => (&context.records, "the anchor"),
        Write::Create { .. } | Write::Release { .. } | Write::Update { .. } | Write::Delete { .. } => {
            return None;
        }
    };
    let key = write.key().clone();
    (!bound.allow(namespace, &key, Instant::now()))
        .then(|| Problem::Contested { key, field: field.to_owned() })
}

fn because(write: &Write) -> &str {
    match write {
        Write::Repair { because, .. } | Write::Update { because, .. } => because,
        Write::Release { .. } => "an owner that is none",
        Write::Create { .. } => "missing",
        Write::Record { .. } => "the anchor moves on",
        Write::Delete { .. } => "not wanted",
    }
}

fn take_over(
    observed: &mut Observed,
    context: &Context,
    namespace: &str,
    write: &Write,
    after: Option<Arc<DynamicObject>>,
) {
    let key = write.key();
    match after {
        Some(object) => {
            context.cache.remember(namespace, key, object.clone());
            if let Some(applied) = Applied::of(write, &object, jiff::Timestamp::now()) {
                context.attempts.wrote(namespace, key, applied.clone());
                observed.applied.insert(key.clone(), applied);
            }
            observed.children.insert(key.clone(), object);
        }
        None => {
            context.cache.forget(namespace, key);
            observed.children.remove(key);
        }
    }
}

async fn carry_out(api: &Api<DynamicObject>, write: &Write) -> Result<Option<Arc<DynamicObject>>, CallError> {
    let params = PatchParams::apply(FIELD_MANAGER);
    match write {
        Write::Create { key, object } => patch(api, key, &params, object).await.map(Some),
        Write::Update { key, object, .. }
        | Write::Repair { key, object, .. }
        | Write::Record { key, object } => patch(api, key, &params.force(), object).await.map(Some),
        Write::Release { key, uid, resource_version, owners } => {
            let exactly = json!({"metadata": {
                "uid": uid, "resourceVersion": resource_version, "ownerReferences": owners,
            }});
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let mut released = call(api.patch(&key.name, &params, &Patch::Merge(&exactly))).await?;
            slim(&mut released);
            Ok(Some(Arc::new(released)))
        }
        Write::Delete { key, uid, resource_version } => {
            let exactly =
                Preconditions { uid: Some(uid.clone()), resource_version: Some(resource_version.clone()) };
            let params = DeleteParams::background().preconditions(exactly);
            match call(api.delete(&key.name, &params)).await {
                // Gone already, or changed since it was seen: the next look decides again.
                Err(error) if error.api().is_some_and(|status| matches!(status.code, 404 | 409)) => Ok(None),
                answer => answer.map(|_| None),
            }
        }
    }
}

async fn patch(
    api: &Api<DynamicObject>,
    key: &ChildKey,
    params: &PatchParams,
    object: &serde_json::Value,
) -> Result<Arc<DynamicObject>, CallError> {
    let mut object = object.clone();
    let resource = api_resource(key.kind);
    object["apiVersion"] = resource.api_version.into();
    object["kind"] = resource.kind.into();
    let mut written = call(api.patch(&key.name, params, &Patch::Apply(&object))).await?;
    slim(&mut written);
    Ok(Arc::new(written))
}

/// What will be refused again however often it is tried, because the object itself is at fault or the operator's
/// rights are, is told apart from what may pass. A conflict passes: somebody made or changed the object in the
/// meantime, and the next look sees it.
fn problem(key: &ChildKey, error: &CallError) -> Problem {
    let key = key.clone();
    match error.api().filter(|status| matches!(status.code, 400 | 403 | 422)) {
        Some(status) => Problem::Refused { key, why: status.message.clone() },
        None => Problem::Failed { key, why: error.to_string() },
    }
}
