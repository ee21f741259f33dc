//! Live copies of the operator's objects, kept up to date by watches with a label selector.
//!
//! Guarantees: a read never queries the API server, and a write of this process is visible at once, even before the
//! watch returns it. Assumption: resource versions of one kind are increasing numbers. API servers guarantee this since
//! Kubernetes 1.35, and etcd has always worked this way.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crds::MemoryBackup;
use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use operator_core::{
    children::CHILDREN,
    names::{ChildKey, ChildKind, ENGINE_LABEL, JOB_LABEL, WATCH_SELECTOR},
};
use tokio::time::Instant;

use crate::metrics::Metrics;

/// How long the result of a write is used while the watch has not returned it.
const OWN_WRITE_SECONDS_MAX: Duration = Duration::from_secs(30);
/// Timeout for listing all objects for the first time.
const FILL_TIMEOUT: Duration = Duration::from_secs(60);

/// The caches of all kinds.
pub(crate) struct Cache {
    children: BTreeMap<ChildKind, Store<DynamicObject>>,
    pods: Store<DynamicObject>,
    backups: Store<DynamicObject>,
    written: Mutex<HashMap<(String, ChildKey), Written>>,
}

/// An object as our last write left it, and the time of the write.
type Written = (Arc<DynamicObject>, Instant);

/// An engine whose children changed: namespace and name.
pub(crate) type Touched = (String, String);

/// The API client for one kind, in one namespace or in all namespaces.
pub(crate) fn api(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// The kind as the `kube` client describes it.
pub(crate) fn api_resource(kind: ChildKind) -> ApiResource {
    let (group, version, kind, plural) = kind.resource();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

impl Cache {
    /// Starts the watches. The returned stream must be polled: polling fills the caches, and the stream yields each
    /// engine whose children changed.
    pub(crate) fn start(
        client: &Client,
        namespace: Option<&str>,
        metrics: &Arc<Metrics>,
    ) -> (Self, impl Stream<Item = Touched> + Send + 'static) {
        let mut streams = Vec::new();
        let mut watch = |resource: ApiResource| {
            let writer = reflector::store::Writer::new(resource.clone());
            let store = writer.as_reader();
            streams.push(
                touched(api(client, &resource, namespace), writer, resource.kind, metrics.clone()).boxed(),
            );
            store
        };
        let children = CHILDREN.kinds().into_iter().map(|kind| (kind, watch(api_resource(kind)))).collect();
        let pods = watch(ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods"));
        let backups = watch(ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(crds::GROUP, crds::VERSION, "MemoryBackup"),
            "memorybackups",
        ));
        (Self { children, pods, backups, written: Mutex::default() }, stream::select_all(streams))
    }

    /// Waits until every cache has been filled once. Before that, an object that is missing in the cache may still
    /// exist.
    ///
    /// # Errors
    /// The caches were not filled within the timeout, or a watch has ended.
    pub(crate) async fn filled(&self) -> anyhow::Result<()> {
        let all = self.children.values().chain([&self.pods, &self.backups]).map(Store::wait_until_ready);
        tokio::time::timeout(FILL_TIMEOUT, futures::future::try_join_all(all)).await.map_err(|_| {
            anyhow::anyhow!("the API server did not list its objects within {FILL_TIMEOUT:?}")
        })??;
        Ok(())
    }

    /// The newest known state of a child; `None` if the cache does not contain it.
    pub(crate) fn child(&self, namespace: &str, key: &ChildKey) -> Option<Arc<DynamicObject>> {
        let reference = ObjectRef::new_with(&key.name, api_resource(key.kind)).within(namespace);
        let watched = self.children.get(&key.kind).and_then(|store| store.get(&reference));
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (namespace.to_owned(), key.clone());
        let Some((ours, since)) = written.get(&place) else { return watched };
        let confirmed = watched.as_ref().is_some_and(|watched| version(watched) >= version(ours));
        if confirmed || since.elapsed() > OWN_WRITE_SECONDS_MAX {
            written.remove(&place);
            return watched;
        }
        Some(ours.clone())
    }

    /// The pod of this name.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        self.pods.find(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace) && pod.metadata.name.as_deref() == Some(name)
        })
    }

    /// The pods of the Jobs of an engine.
    pub(crate) fn jobs(&self, namespace: &str, engine: &str) -> Vec<Arc<DynamicObject>> {
        let is_job = |pod: &DynamicObject| {
            pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(JOB_LABEL))
        };
        let pods = self.pods.state().into_iter().filter(|pod| is_job(pod));
        pods.filter(|pod| is_of(pod, namespace, engine)).collect()
    }

    /// The records of the backups of an engine. A record that cannot be read is left out.
    pub(crate) fn backups(&self, namespace: &str, engine: &str) -> Vec<MemoryBackup> {
        let records = self.backups.state().into_iter().filter(|record| is_of(record, namespace, engine));
        let read = |record: Arc<DynamicObject>| {
            let value = serde_json::to_value(record.as_ref()).ok()?;
            let read = serde_json::from_value::<MemoryBackup>(value);
            read.inspect_err(
                |error| tracing::warn!(%namespace, %error, "the record of a backup cannot be read"),
            )
            .ok()
        };
        records.filter_map(read).filter(|record| record.spec.engine == engine).collect()
    }

    /// Replaces the cache of pods by one that contains only this pod.
    #[cfg(test)]
    pub(crate) fn show_pod(&mut self, pod: DynamicObject) {
        let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods");
        let mut writer = reflector::store::Writer::new(kind);
        self.pods = writer.as_reader();
        for event in [watcher::Event::Init, watcher::Event::InitApply(pod), watcher::Event::InitDone] {
            writer.apply_watcher_event(&event);
        }
    }

    /// Replaces the cache of records by one that contains only these.
    #[cfg(test)]
    pub(crate) fn show_backups(&mut self, records: impl IntoIterator<Item = DynamicObject>) {
        let kind = GroupVersionKind::gvk(crds::GROUP, crds::VERSION, "MemoryBackup");
        let mut writer =
            reflector::store::Writer::new(ApiResource::from_gvk_with_plural(&kind, "memorybackups"));
        self.backups = writer.as_reader();
        writer.apply_watcher_event(&watcher::Event::Init);
        for record in records {
            writer.apply_watcher_event(&watcher::Event::InitApply(record));
        }
        writer.apply_watcher_event(&watcher::Event::InitDone);
    }

    /// Stores the object that the API server returned for a write.
    pub(crate) fn remember(&self, namespace: &str, key: &ChildKey, object: Arc<DynamicObject>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert((namespace.to_owned(), key.clone()), (object, Instant::now()));
    }

    /// Removes the stored result of a write after a deletion: from now on, only the watch provides the child.
    pub(crate) fn forget(&self, namespace: &str, key: &ChildKey) {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(namespace.to_owned(), key.clone()));
    }
}

fn version(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn touched(
    api: Api<DynamicObject>,
    writer: reflector::store::Writer<DynamicObject>,
    kind: String,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = Touched> + Send + 'static {
    watcher(api, watcher::Config::default().labels(WATCH_SELECTOR))
        .default_backoff()
        .modify(slim)
        .reflect(writer)
        .touched_objects()
        .filter_map(move |event| {
            let touched = match event {
                Ok(object) => engine_of(&object),
                Err(error) => {
                    metrics.watch_failures.with_label_values(&[&kind]).inc();
                    tracing::warn!(%kind, %error, "a watch was interrupted; it restarts automatically");
                    None
                }
            };
            std::future::ready(touched)
        })
}

fn is_of(object: &DynamicObject, namespace: &str, engine: &str) -> bool {
    let label = object.metadata.labels.as_ref().and_then(|labels| labels.get(ENGINE_LABEL));
    object.metadata.namespace.as_deref() == Some(namespace) && label.is_some_and(|label| label == engine)
}

fn engine_of(object: &DynamicObject) -> Option<Touched> {
    let engine = object.metadata.labels.as_ref()?.get(ENGINE_LABEL)?;
    Some((object.metadata.namespace.clone()?, engine.clone()))
}

/// Removes `managedFields`: no decision needs them, and they are most of an object's size.
pub(crate) fn slim(object: &mut DynamicObject) {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

#[cfg(test)]
mod tests;
