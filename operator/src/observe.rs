//! Step 1: everything a decision depends on, each thing read once.

use std::{collections::BTreeMap, sync::Arc};

use crds::MemoryEngine;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, api::DynamicObject};
use operator_core::{
    anchor::question::{CheckpointReport, question},
    names::{self, ChildKey, ChildKind},
    observed::{EngineReport, Observed, PodRefusal, StorageClassView},
    pod::PodView,
    status, storage,
};

use crate::{
    anchoring::Turn,
    cache::{api, api_resource, slim},
    context::{Context, identity},
    error::{Error, call},
    refusals::pod_refusal,
};

/// Looks at an engine and its surroundings.
///
/// # Errors
/// The API server could not be asked about an object that the caches do not have.
pub(crate) async fn observe(engine: Arc<MemoryEngine>, context: &Context) -> Result<Observed, Error> {
    let namespace = engine.metadata.namespace.clone().unwrap_or_default();
    let name = engine.metadata.name.clone().unwrap_or_default();
    let mut children = BTreeMap::new();
    for key in names::possible_children(&name) {
        if let Some(object) = child(context, &namespace, &key).await? {
            children.insert(key, object);
        }
    }
    let pod = context.cache.pod(&namespace, &names::writer_pod(&name)).map(|pod| PodView::of(&pod));
    let storage_class = storage_class(context, &engine, &children).await?;
    let report = report(context, pod.as_ref()).await;
    let mut observed = Observed {
        engine,
        children,
        pod,
        pod_refusal: PodRefusal::NotAsked,
        storage_class,
        report,
        checkpoints: CheckpointReport::NotAsked,
        told: false,
        now: jiff::Timestamp::now(),
    };
    observed.checkpoints = checkpoints(context, &observed).await;
    if status::is_pod_overdue(&observed) {
        observed.pod_refusal = pod_refusal(context, &observed).await;
    }
    Ok(observed)
}

/// Asks the engine what is to be asked, when it is this engine's turn.
async fn checkpoints(context: &Context, observed: &Observed) -> CheckpointReport {
    let engine = identity(observed.engine.as_ref());
    let Some(question) = question(observed) else {
        context.anchoring.forget(&engine);
        return CheckpointReport::NotAsked;
    };
    let ip = observed.pod.as_ref().and_then(|pod| pod.ip.as_deref()).unwrap_or_default();
    if question.records
        && let Turn::After { wait, first } = context.anchoring.turn(&engine, observed.now)
    {
        context.metrics.anchors_delayed.inc_by(u64::from(first));
        return CheckpointReport::PutOff(wait);
    }
    let sizes = match question.extends.as_slice() {
        [] => vec![None],
        sizes => sizes.iter().copied().map(Some).collect(),
    };
    let mut answers = Vec::new();
    for size in sizes {
        match context.engines.checkpoint(ip, size).await {
            Ok(answer) => answers.push((size, answer)),
            Err(error) => {
                context.metrics.report_failures.inc();
                tracing::warn!(engine, %error, ?size, "no checkpoint");
                return CheckpointReport::Unanswered(error.to_string());
            }
        }
    }
    CheckpointReport::Answered(answers)
}

/// The caches know only objects with our labels. Before anything is made, the API server is asked whether an object
/// of that name exists without them: it may be somebody else's, or ours with its labels taken off.
async fn child(
    context: &Context,
    namespace: &str,
    key: &ChildKey,
) -> Result<Option<Arc<DynamicObject>>, Error> {
    if let Some(object) = context.cache.child(namespace, key) {
        return Ok(Some(object));
    }
    let api = api(&context.client, &api_resource(key.kind), Some(namespace));
    let mut found = call(api.get_opt(&key.name))
        .await
        .map_err(|source| Error::Observe { what: key.to_string(), source })?;
    if let Some(object) = &mut found {
        slim(object);
    }
    Ok(found.map(Arc::new))
}

async fn storage_class(
    context: &Context,
    engine: &MemoryEngine,
    children: &BTreeMap<ChildKey, Arc<DynamicObject>>,
) -> Result<StorageClassView, Error> {
    let name = engine.metadata.name.as_deref().unwrap_or_default();
    let key = ChildKey { kind: ChildKind::PersistentVolumeClaim, name: names::claim(name) };
    let claim = children.get(&key);
    let wanted = &engine.spec.writer.storage;
    let class = match claim {
        Some(claim) if storage::needs_class(claim, &wanted.size) => storage::class_of(claim),
        _ => None,
    };
    // Without a class there is none to look at.
    let Some(class) = class.filter(|class| !class.is_empty()) else { return Ok(StorageClassView::NotAsked) };
    let api: Api<StorageClass> = Api::all(context.client.clone());
    let found = call(api.get_opt(class))
        .await
        .map_err(|source| Error::Observe { what: format!("StorageClass/{class}"), source })?;
    Ok(match found {
        None => StorageClassView::Missing(class.to_owned()),
        Some(found) => StorageClassView::Found {
            name: class.to_owned(),
            expandable: found.allow_volume_expansion.unwrap_or_default(),
        },
    })
}

async fn report(context: &Context, pod: Option<&PodView>) -> EngineReport {
    let Some(ip) = pod.filter(|pod| pod.running && !pod.deleting).and_then(|pod| pod.ip.as_deref()) else {
        return EngineReport::NotAsked;
    };
    match context.engines.report(ip).await {
        Ok(health) => EngineReport::Answered(Box::new(health)),
        Err(error) => {
            context.metrics.report_failures.inc();
            EngineReport::Unreachable(error.to_string())
        }
    }
}
