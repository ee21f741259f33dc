//! Step 4: carries out a plan, in its order. Decides nothing.

use std::sync::Arc;

use engine_core::wire::{GivenAnchor, StorageReason};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
};
use operator_core::{
    names::{ChildKey, FIELD_MANAGER},
    observed::{EngineReport, Observed},
    plan::{Plan, Write},
};

use crate::{
    cache::{api, api_resource, slim},
    context::{Context, identity},
    error::{CallError, Error, call},
};

/// What carrying out came to: the children as they are now, and the first refusal.
pub(crate) struct Applied {
    /// The world after the writes.
    pub(crate) observed: Observed,
    /// What the API server refused for good, and why.
    pub(crate) refused: Option<(ChildKey, String)>,
}

/// Runs the writes until one is refused.
///
/// # Errors
/// A write failed in a way that may pass, or another operator may be leading.
pub(crate) async fn apply(mut observed: Observed, plan: &Plan, context: &Context) -> Result<Applied, Error> {
    let namespace = observed.engine.metadata.namespace.clone().unwrap_or_default();
    for write in &plan.writes {
        context.may_write()?;
        within_bound(write, &namespace, context)?;
        let api = api(&context.client, &api_resource(write.key().kind), Some(&namespace));
        match carry_out(&api, write).await {
            Ok(after) => {
                let kind = write.key().kind.kind();
                context.metrics.writes.with_label_values(&[kind, write.verb()]).inc();
                tracing::info!(%namespace, object = %write.key(), verb = write.verb(), because = because(write), "wrote");
                take_over(&mut observed, context, &namespace, write.key(), after);
            }
            Err(error) if error.namespace_is_ending() => return Err(Error::NamespaceEnding),
            Err(error) => match refusal(&error) {
                Some(why) => return Ok(Applied { observed, refused: Some((write.key().clone(), why)) }),
                None => return Err(Error::Apply { what: write.key().to_string(), source: error }),
            },
        }
    }
    if let Some(given) = &plan.tell {
        context.may_write()?;
        tell(&mut observed, given, context).await;
    }
    Ok(Applied { observed, refused: None })
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

fn within_bound(write: &Write, namespace: &str, context: &Context) -> Result<(), Error> {
    match write {
        Write::Repair { key, because, .. }
            if !context.repairs.allow(namespace, key, std::time::Instant::now()) =>
        {
            Err(Error::Contested { key: key.to_string(), field: because.clone() })
        }
        Write::Record { key, .. } if !context.records.allow(namespace, key, std::time::Instant::now()) => {
            Err(Error::Contested { key: key.to_string(), field: "the anchor".to_owned() })
        }
        Write::Repair { .. } | Write::Record { .. } | Write::Create { .. } | Write::Delete { .. } => Ok(()),
    }
}

fn because(write: &Write) -> &str {
    match write {
        Write::Repair { because, .. } => because,
        Write::Create { .. } => "missing",
        Write::Record { .. } => "the anchor moves on",
        Write::Delete { .. } => "not wanted",
    }
}

fn take_over(
    observed: &mut Observed,
    context: &Context,
    namespace: &str,
    key: &ChildKey,
    after: Option<Arc<DynamicObject>>,
) {
    match after {
        Some(object) => {
            context.cache.remember(namespace, key, object.clone());
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
        Write::Repair { key, object, .. } | Write::Record { key, object } => {
            patch(api, key, &params.force(), object).await.map(Some)
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

/// What will be refused again however often it is tried: the object itself is at fault, or the operator's rights.
/// A conflict is not: somebody made the object in the meantime, and the next look sees it.
fn refusal(error: &CallError) -> Option<String> {
    let status = error.api()?;
    matches!(status.code, 400 | 403 | 422).then(|| status.message.clone())
}
