//! Step 2: reads everything that the decisions of a reconcile depend on. Each object is read once.

use std::sync::Arc;

use crds::{MemoryEngine, Quantity};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use operator_core::{
    anchor::{
        checkpoint_query::checkpoint_query,
        expected::{ExpectedHistory, expected_history},
    },
    backup,
    children::CHILDREN,
    names::{
        self, ChildKey, ChildKind, api_certificate_secret, authority_secret, certificate_order,
        certificate_secret,
    },
    observed::{CheckpointReport, EngineReport, Instance, Observed, StorageClassView},
    pod::PodView,
    role::Role,
    status, storage,
    tls::{GivenFault, GivenSource, GivenView, TlsView, Unread},
    validate::Essentials,
};

use crate::{
    anchoring::AnchorSlot,
    backups,
    context::{Context, identity},
    engine_client::ReportError,
    error::{CallError, call},
    exposure,
    read_child::child,
    refusals::pod_refusal,
    rollout, rotation,
    secrets::referenced,
    standby,
    target::target,
    tls::{authorities, delivered, judged, material},
    upkeep,
};

/// Reads the children, pods and reports of an engine. If a read fails, the error is stored for the status, and the log
/// is verified nevertheless. Also returns the history that the log must extend, which determines the query to the
/// engine.
pub(crate) async fn observe(
    engine: Arc<MemoryEngine>,
    essentials: &Essentials,
    context: &Context,
) -> (Observed, ExpectedHistory) {
    let namespace = engine.metadata.namespace.clone().unwrap_or_default();
    let name = engine.metadata.name.clone().unwrap_or_default();
    let mut observed = Observed::only(engine, jiff::Timestamp::now());
    observed.applied = context.attempts.written(&namespace, &name);
    let mut silent = false;
    for key in CHILDREN.keys(&name) {
        if !may_exist(&observed, &key, essentials) && context.cache.child(&namespace, &key).is_none() {
            continue;
        }
        match child(context, &namespace, &key, silent).await {
            Ok(Some(object)) => {
                observed.children.insert(key, object);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%namespace, object = %key, %error, "an object could not be read");
                // If the API server does not respond to one read, the others are not tried: each would wait for the
                // timeout.
                silent |= matches!(error, CallError::TimedOut(_));
                observed.unread.insert(key, error.to_string());
            }
        }
    }
    observed.tls = secrets(context, &mut observed, essentials.tls, &mut silent).await;
    observed.given = given(context, &mut observed, essentials, &mut silent).await;
    observed.secrets = referenced(context, &mut observed, essentials, &mut silent).await;
    rotation::observe(context, &mut observed, essentials, silent).await;
    backups::observe(context, &mut observed, essentials, silent).await;
    upkeep::observe(context, &mut observed, essentials, silent).await;
    standby::observe(context, &mut observed, essentials).await;
    observed.storage_class = storage_class(context, &observed, &essentials.size).await;
    for role in Role::ALL {
        let pod = context.cache.pod(&namespace, &role.pod(&name)).map(|pod| PodView::of(&pod));
        let report = report(context, &identity(observed.engine.as_ref()), pod.as_ref()).await;
        observed.instances.insert(role, Instance { pod, report, ..Instance::default() });
    }
    rollout::observe(context, &mut observed, essentials, silent).await;
    rotation::note_acceptance(context, &mut observed);
    backup::keep_relevant(&mut observed, essentials);
    exposure::observe(context, &mut observed, essentials, silent).await;
    observed.now = jiff::Timestamp::now();
    let expected = expected_history(&observed);
    observed.checkpoints = checkpoints(context, &observed, essentials, &expected).await;
    if !silent && status::is_pod_overdue(&observed) {
        observed.writer_mut().pod_refusal = pod_refusal(context, &observed).await;
    }
    (observed, expected)
}

/// Queries the engine for the checkpoints that a decision needs. If the query would cause a new anchor, the engine must
/// first get a slot from the budget of anchors.
async fn checkpoints(
    context: &Context,
    observed: &Observed,
    essentials: &Essentials,
    expected: &ExpectedHistory,
) -> CheckpointReport {
    let engine = identity(observed.engine.as_ref());
    let Some(query) = checkpoint_query(observed, essentials, expected) else {
        context.anchoring.forget(&engine);
        return CheckpointReport::NotQueried;
    };
    let target = target(context, &engine, observed.writer().pod.as_ref());
    if query.records
        && let AnchorSlot::After { wait, first } = context.anchoring.request_slot(&engine, observed.now)
    {
        context.metrics.anchors_delayed.inc_by(u64::from(first));
        return CheckpointReport::Delayed(wait);
    }
    let sizes = match query.extends.as_slice() {
        [] => vec![None],
        sizes => sizes.iter().copied().map(Some).collect(),
    };
    let mut answers = Vec::new();
    for size in sizes {
        let answer = match &target {
            Ok(target) => context.engines.checkpoint(target, size).await,
            Err(_) => Err(ReportError::NoCertificate),
        };
        match answer {
            Ok(answer) => answers.push((size, answer)),
            Err(error) => {
                context.metrics.report_failures.inc();
                tracing::warn!(engine, %error, ?size, "no checkpoint");
                return CheckpointReport::NoAnswer(error.to_string());
            }
        }
    }
    CheckpointReport::Answered(answers)
}

/// Whether a child may exist that the cache does not have. Most engines have no TLS, no exposure and no readers, and
/// need no request for their objects.
fn may_exist(observed: &Observed, key: &ChildKey, essentials: &Essentials) -> bool {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let [authorities, public_service, ingress] =
        [&CHILDREN.authorities, &CHILDREN.public_service, &CHILDREN.ingress].map(|child| child.key(name));
    let readers = [&CHILDREN.readers_service, &CHILDREN.readers_policy, &CHILDREN.readers];
    let canary =
        [&CHILDREN.canary_service, &CHILDREN.canary_policy, &CHILDREN.canary_config, &CHILDREN.canary];
    let standby = [&CHILDREN.standby_policy, &CHILDREN.standby];
    let readers_config = CHILDREN.readers_config.key(name);
    match key {
        key if readers.iter().any(|child| *key == child.key(name)) => essentials.readers > 0,
        key if standby.iter().any(|child| *key == child.key(name)) => {
            essentials.backup.as_ref().is_some_and(|backup| backup.standby.is_some())
        }
        key if *key == readers_config => essentials.readers > 0 && essentials.rollout,
        key if canary.iter().any(|child| *key == child.key(name)) => essentials.rollout,
        key if *key == authorities => essentials.tls,
        key if [public_service, ingress].contains(key) => exposure::is_public(observed, essentials),
        _ => true,
    }
}

async fn storage_class(context: &Context, observed: &Observed, wanted: &Quantity) -> StorageClassView {
    let claim = storage::claim_of(observed, observed.engine.metadata.name.as_deref().unwrap_or_default());
    let class = match claim {
        Some(claim) if storage::needs_class(claim, wanted) => storage::class_of(claim),
        _ => None,
    };
    let Some(class) = class else { return StorageClassView::NotQueried };
    if class.is_empty() {
        // Someone created the claim for an existing volume without a class. There is no class to read, and the volume
        // cannot be expanded.
        return StorageClassView::Found { name: String::new(), expandable: false };
    }
    let api: Api<StorageClass> = Api::all(context.client.clone());
    match call(api.get_opt(class)).await {
        Ok(None) => StorageClassView::Missing(class.to_owned()),
        Ok(Some(found)) => StorageClassView::Found {
            name: class.to_owned(),
            expandable: found.allow_volume_expansion.unwrap_or_default(),
        },
        Err(error) => {
            tracing::warn!(class, %error, "the StorageClass could not be read");
            StorageClassView::Unread(error.to_string())
        }
    }
}

/// Reads the Secrets of the certificates. They are read in each reconcile, and neither watched nor cached: the operator
/// has no permission to list Secrets. Returns `None` if the engine has no certificates and wants none.
async fn secrets(
    context: &Context,
    observed: &mut Observed,
    wanted: bool,
    silent: &mut bool,
) -> Option<TlsView> {
    let engine = Arc::clone(&observed.engine);
    if !wanted && engine.status.as_ref().is_none_or(|status| status.tls.is_none()) {
        return None;
    }
    let namespace = engine.metadata.namespace.clone().unwrap_or_default();
    let name = engine.metadata.name.clone().unwrap_or_default();
    let keys = [authority_secret(&name), certificate_secret(&name)];
    for key in keys.clone() {
        match child(context, &namespace, &key, *silent).await {
            Ok(Some(object)) => {
                observed.children.insert(key, object);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%namespace, object = %key, %error, "a Secret could not be read");
                *silent |= matches!(error, CallError::TimedOut(_));
                let is_forbidden = error.api().is_some_and(|status| status.code == 403);
                let unread = Some(Unread { is_forbidden, text: error.to_string() });
                return Some(TlsView { unread, ..TlsView::default() });
            }
        }
    }
    let [authority, certificate] = keys.map(|key| observed.children.get(&key).map(AsRef::as_ref));
    let (material, view) = material(authority, certificate, (&name, &namespace), observed.now);
    // Keeps the client for the calls of this reconcile.
    let _kept = context.tls_clients.of((&namespace, &name), &material, observed.now);
    Some(view)
}

/// Reads the certificate that the operator does not issue, and the copy that the pod mounts. Returns `None` if the spec
/// wants none, and there was none before.
async fn given(
    context: &Context,
    observed: &mut Observed,
    essentials: &Essentials,
    silent: &mut bool,
) -> Option<GivenView> {
    let engine = Arc::clone(&observed.engine);
    let before = engine.status.as_ref().and_then(|status| status.tls.as_ref()?.api.as_ref());
    let source = essentials.given_certificate.as_ref();
    if source.is_none() && before.is_none() {
        return None;
    }
    let namespace = engine.metadata.namespace.clone().unwrap_or_default();
    let name = engine.metadata.name.clone().unwrap_or_default();
    let copy = api_certificate_secret(&name);
    let given = source.map(|source| names::secret(&source.secret(&name)));
    let order = (source == Some(&GivenSource::CertManager)).then(|| certificate_order(&name));
    let mut view = GivenView::default();
    for key in [Some(copy.clone()), given.clone(), order].into_iter().flatten() {
        match child(context, &namespace, &key, *silent).await {
            Ok(Some(object)) => drop(observed.children.insert(key, object)),
            Ok(None) => {}
            Err(error) => {
                let code = error.api().map(|status| status.code);
                // The API server knows no such kind.
                if key.kind == ChildKind::Certificate && code == Some(404) {
                    view.lacks_cert_manager = true;
                    continue;
                }
                tracing::warn!(%namespace, object = %key, %error, "a given certificate could not be read");
                *silent |= matches!(error, CallError::TimedOut(_));
                view.unread = Some(Unread { is_forbidden: code == Some(403), text: error.to_string() });
                return Some(view);
            }
        }
    }
    let of = |key: &ChildKey| observed.children.get(key).map(AsRef::as_ref);
    let found = given.as_ref().and_then(of);
    let servers: Vec<String> =
        [names::server_name(&name, &namespace)].into_iter().chain(essentials.direct_hosts.clone()).collect();
    (view.delivered, view.is_current) = delivered(of(&copy), found);
    view.authorities = of(&copy).or(found).map(authorities).unwrap_or_default();
    view.given = given.map(|key| match found {
        None => Err(GivenFault::Missing(key.name)),
        Some(found) => judged(found, &servers, observed.now),
    });
    Some(view)
}

async fn report(context: &Context, engine: &str, pod: Option<&PodView>) -> EngineReport {
    if pod.is_none_or(|pod| !pod.running || pod.deleting || pod.ip.is_none()) {
        return EngineReport::NotQueried;
    }
    let answer = match target(context, engine, pod) {
        Ok(target) => context.engines.report(&target).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(health) => EngineReport::Answered(Box::new(health)),
        Err(error) => {
            context.metrics.report_failures.inc();
            EngineReport::Unreachable(error.to_string())
        }
    }
}
