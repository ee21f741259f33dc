//! The volume: it grows under load, fills up and recovers, and obstacles are reported.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use crds::{MemoryEngine, Quantity};
use e2e::memories::{Answer, memory};
use e2e::wait::{condition, until};
use engine_core::wire::{EventPage, Health};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::world::{Kstatus, READY_LIMIT, SOON, World, in_namespace, kstatus, refusal};

/// Longest wait until a volume has grown, and until the writes after it succeed.
const GROWTH_LIMIT: Duration = Duration::from_secs(60);
/// A memory of this size fills a small volume with few requests.
const LARGE_BYTES: usize = 900 << 10;

fn sized(size: &str) -> Value {
    json!({"writer": {"storage": {"size": size}}})
}

fn in_class(class: &str, size: &str) -> Value {
    json!({"writer": {"storage": {"size": size, "className": class}}})
}

/// The engine's health report, which contains the size of its file system.
pub(crate) async fn health(world: &World, engine: &str) -> Result<Health> {
    let path = format!("/api/v1/namespaces/{}/pods/{engine}-0:8081/proxy/health", world.namespace);
    Ok(world.client.request(http::Request::get(path).body(Vec::new())?).await?)
}

fn capacity(engine: &MemoryEngine) -> Option<u128> {
    Quantity(engine.status.as_ref()?.storage.as_ref()?.capacity.clone()?).units().ok()
}

async fn until_capacity(world: &World, engine: &str, bytes: u128) -> Result<()> {
    let enough = |engine: &MemoryEngine| capacity(engine).is_some_and(|now| now >= bytes);
    world.until_engine(engine, "status.storage.capacity has grown", GROWTH_LIMIT, enough).await?;
    Ok(())
}

/// Clients do not notice that a volume grows: the pod stays the same, and no save is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_grows_while_memories_are_saved() {
    in_namespace("grows", async |world| {
        world.engine("notes").await?;
        let (pod, before) = (world.pod_uid("notes").await?, health(world, "notes").await?);
        let stop = AtomicBool::new(false);
        let saving = async {
            let mut saved = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let content = format!("saved while the volume grows {}", saved.len());
                saved.push(world.memories("notes").save(&content, None).await.context("a save was refused")?);
            }
            anyhow::Ok(saved)
        };
        let growing = async {
            let grown = grow_in_use(world, before.storage.capacity_bytes).await;
            stop.store(true, Ordering::Relaxed);
            grown
        };
        let (saved, grown) = tokio::join!(saving, growing);
        grown?;
        let saved = saved?;
        ensure!(world.pod_uid("notes").await? == pod, "the pod was replaced");
        ensure!(health(world, "notes").await?.started_at == before.started_at, "the process was restarted");
        // Growing takes a second or two. On a busy machine, one save can take almost a second.
        ensure!(saved.len() >= 3, "only {} memories were saved meanwhile", saved.len());
        ensure!(world.memories("notes").head().await?.seq >= saved.len() as u64, "the log is shorter");
        Ok(())
    })
    .await;
}

async fn grow_in_use(world: &World, before: u64) -> Result<()> {
    world.apply("notes", sized("128Mi")).await?;
    until_capacity(world, "notes", 128 << 20).await?;
    until("the file system has grown", GROWTH_LIMIT, async || {
        Ok((health(world, "notes").await?.storage.capacity_bytes > before * 3 / 2).then_some(()))
    })
    .await?;
    let engine = world.ready("notes").await?;
    let storage = condition(&engine, "StorageReady").context("a condition")?;
    ensure!((storage.status.as_str(), storage.reason.as_str()) == ("True", "VolumeReady"), "{storage:?}");
    Ok(())
}

/// An engine on a full volume refuses writes and nothing else, reports the full volume, and recovers automatically once
/// the volume is enlarged.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_reads_on_and_recovers_by_growing() {
    in_namespace("full", async |world| {
        world.engine("notes").await?;
        let pod = world.pod_uid("notes").await?;
        let mut saved = fill(world).await?;
        reads_work(world, &saved).await?;
        full_is_said(world).await?;

        world.apply("notes", sized("160Mi")).await?;
        let (id, content) = writes_resume(world).await?;
        saved.insert(id, content);
        world.ready("notes").await?;
        ensure!(world.pod_uid("notes").await? == pod, "the pod was replaced");
        reads_work(world, &saved).await?;
        log_is_whole(world, saved.len()).await
    })
    .await;
}

fn large(number: usize) -> String {
    let start = format!("filling{number} ");
    start.clone() + &"memories ".repeat((LARGE_BYTES - start.len()) / 9)
}

async fn try_save(world: &World, content: &str) -> Result<Answer> {
    let body = serde_json::to_vec(&memory(content))?;
    world.memories("notes").send("POST", "/v1/memories", None, body).await
}

fn id_of(answer: &Answer) -> Result<String> {
    Ok(answer.success::<engine_core::wire::Saved>()?.id)
}

/// Saves until the volume is full; returns the acknowledged memories by id. Each memory is read back before the next
/// one is saved: the log does not yet keep space free for events that the projection has still to apply.
async fn fill(world: &World) -> Result<BTreeMap<String, String>> {
    let mut saved = BTreeMap::new();
    for number in 0..128 {
        let content = large(number);
        let answer = try_save(world, &content).await?;
        if answer.status == 503 {
            ensure!(answer.body.contains("STORAGE_FULL"), "unexpected refusal: {}", answer.body);
            ensure!(number > 5, "full after {number} memories");
            return Ok(saved);
        }
        let id = id_of(&answer)?;
        until("the memory can be read", SOON, async || {
            let path = format!("/v1/memories/{id}");
            let read = world.memories("notes").send("GET", &path, None, Vec::new()).await?;
            Ok((read.status == 200).then_some(()))
        })
        .await?;
        saved.insert(id, content);
    }
    bail!("128 memories of 900 KiB fit on 64 MiB")
}

async fn reads_work(world: &World, saved: &BTreeMap<String, String>) -> Result<()> {
    let memories = world.memories("notes");
    for (id, content) in saved {
        ensure!(memories.read(id).await?.content == *content, "{id} differs from the saved memory");
    }
    let found = memories.search("filling3").await?;
    ensure!(found.items.len() == 1, "the search found {} memories", found.items.len());
    Ok(())
}

async fn full_is_said(world: &World) -> Result<()> {
    let message = world.condition("notes", "StorageReady", "False", "VolumeFull").await?;
    ensure!(message.contains("Raise spec.writer.storage.size"), "{message}");
    let message = world.condition("notes", "Stalled", "True", "VolumeFull").await?;
    ensure!(message.contains("Raise spec.writer.storage.size"), "{message}");
    let engine = world.api::<MemoryEngine>().get("notes").await?;
    ensure!(kstatus(&engine) == Kstatus::Failed, "{:?}", kstatus(&engine));
    let status = world.api::<Pod>().get("notes-0").await?.status.context("a status")?;
    let containers = status.container_statuses.unwrap_or_default();
    let ready = containers.iter().any(|container| container.name == "engine" && container.ready);
    ensure!(ready, "the pod accepts no more requests");
    Ok(())
}

/// Waits until a large memory fits. Once the operator has observed the larger size, kstatus must not report the engine
/// as failed.
async fn writes_resume(world: &World) -> Result<(String, String)> {
    let engines = world.api::<MemoryEngine>();
    let content = large(3000);
    let id = until("a large memory fits again", GROWTH_LIMIT, async || {
        let engine = engines.get("notes").await?;
        if kstatus(&engine) == Kstatus::Failed {
            return Ok(Some(Err(format!("{:?}", condition(&engine, "Stalled")))));
        }
        let answer = try_save(world, &content).await?;
        Ok((answer.status == 201).then(|| id_of(&answer)).transpose()?.map(Ok))
    })
    .await?;
    match id {
        Ok(id) => Ok((id, content)),
        Err(stalled) => bail!("reported as failed while it grows: {stalled}"),
    }
}

/// Every event can be read, in order up to the head, and every hash is correct.
async fn log_is_whole(world: &World, memories_min: usize) -> Result<()> {
    let memories = world.memories("notes");
    let head = memories.head().await?;
    ensure!(head.seq >= memories_min as u64, "{head:?} is shorter than {memories_min} memories");
    let (mut seq, mut hash) = (0, String::new());
    while seq < head.seq {
        let page: EventPage = memories.get(&format!("/v1/events?after={seq}&limit=100")).await?;
        ensure!(!page.events.is_empty(), "no event after {seq}, head {}", head.seq);
        for event in page.events {
            ensure!(event.seq == seq + 1, "event {} comes after {seq}", event.seq);
            (seq, hash) = (event.seq, event.hash);
        }
    }
    ensure!(hash == head.hash, "the last event is not the head");
    world.exec("notes-0", "engine", &["memory-engine", "verify", "--data", "/data"]).await?;
    Ok(())
}

fn classes(world: &World) -> Api<StorageClass> {
    Api::all(world.client.clone())
}

/// A class like the cluster's default, under another name.
async fn class_like_default(world: &World, name: &str, expandable: bool) -> Result<StorageClass> {
    let all = classes(world).list(&Default::default()).await?;
    let marked = "storageclass.kubernetes.io/is-default-class";
    let mut class = all
        .into_iter()
        .find(|class| class.annotations().get(marked).is_some_and(|value| value == "true"))
        .context("the cluster has a default StorageClass")?;
    class.metadata = kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() };
    class.allow_volume_expansion = Some(expandable);
    Ok(class)
}

async fn remove_class(world: &World, name: &str) -> Result<()> {
    match classes(world).delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => Ok(other.map(|_| ())?),
    }
}

/// A growth that cannot happen causes no harm, and both remedies that the message names work.
#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_cannot_grow_is_said_and_both_ways_out_work() {
    const CLASS: &str = "t-cannot-grow";
    in_namespace("cannot-grow", async |world| {
        remove_class(world, CLASS).await?;
        let class = class_like_default(world, CLASS, false).await?;
        classes(world).create(&Default::default(), &class).await?;
        world.apply("notes", in_class(CLASS, "64Mi")).await?;
        world.ready("notes").await?;
        let pod = world.pod_uid("notes").await?;
        growth_is_refused(world, CLASS).await?;

        // The first remedy: return to the old size. A size below the volume's size is still refused.
        let message = refusal(world.apply("notes", in_class(CLASS, "63Mi")).await)?;
        ensure!(message.contains("size cannot shrink"), "{message}");
        world.apply("notes", in_class(CLASS, "64Mi")).await?;
        world.ready("notes").await?;

        // The second remedy: permit expansion in the class.
        growth_is_refused(world, CLASS).await?;
        let allow = json!({"allowVolumeExpansion": true});
        classes(world).patch(CLASS, &PatchParams::default(), &Patch::Merge(&allow)).await?;
        until_capacity(world, "notes", 96 << 20).await?;
        world.ready("notes").await?;
        ensure!(world.pod_uid("notes").await? == pod, "the pod was replaced");
        remove_class(world, CLASS).await
    })
    .await;
}

async fn growth_is_refused(world: &World, class: &str) -> Result<()> {
    world.apply("notes", in_class(class, "96Mi")).await?;
    let message = world.condition("notes", "StorageReady", "False", "ExpansionUnsupported").await?;
    for part in [class, "allowVolumeExpansion: true", "spec.writer.storage.size back to 64Mi"] {
        ensure!(message.contains(part), "the message does not contain `{part}`: {message}");
    }
    world.condition("notes", "Stalled", "True", "ExpansionUnsupported").await?;
    let saved = world.memories("notes").save("the engine goes on serving", None).await?;
    world.memories("notes").read(&saved.id).await?;
    Ok(())
}

/// A missing class is reported; once it exists, the engine starts without further action.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_class_is_said_and_waited_for() {
    const CLASS: &str = "t-comes-later";
    in_namespace("class-missing", async |world| {
        remove_class(world, CLASS).await?;
        world.apply("notes", in_class(CLASS, "64Mi")).await?;
        let message = world.condition("notes", "Stalled", "True", "StorageClassMissing").await?;
        ensure!(message.contains(CLASS) && message.contains("Make it"), "{message}");
        world.condition("notes", "StorageReady", "False", "StorageClassMissing").await?;
        world.condition("notes", "Ready", "False", "StorageClassMissing").await?;

        let class = class_like_default(world, CLASS, true).await?;
        classes(world).create(&Default::default(), &class).await?;
        world.ready("notes").await?;
        world.memories("notes").save("the class is there", None).await?;
        remove_class(world, CLASS).await
    })
    .await;
}

/// A second pod that claims the volume waits until the writer is gone: two writers never share a log.
#[tokio::test(flavor = "multi_thread")]
async fn no_second_pod_gets_the_volume() {
    in_namespace("one-pod", async |world| {
        world.engine("notes").await?;
        world.memories("notes").save("written by the one writer", None).await?;
        let second = world.restricted_pod("second", json!(["sleep", "600"]), json!(["notes-data"]));
        let refused = until("the second pod is refused the volume", SOON, async || {
            let Some(pod) = world.api::<Pod>().get_opt("second").await? else { return Ok(None) };
            let text = serde_json::to_string(&pod.status)?;
            Ok(text.contains("ReadWriteOncePod access mode already in-use").then_some(()))
        });
        tokio::pin!(second, refused);
        tokio::select! {
            started = &mut second => { started?; bail!("two pods have the volume"); }
            refused = &mut refused => refused?,
        }
        world.memories("notes").save("still written by the one writer", None).await?;

        // Only the writer kept the second pod from the volume: once the writer is gone, the second pod runs.
        world.api::<MemoryEngine>().delete("notes", &DeleteParams::default()).await?;
        second.await.context("the volume of an engine that is gone")?;
        let segments = world.shell("second", "shell", "find /data -name '*.jsonl' | wc -l").await?;
        ensure!(segments.trim() != "0", "the log is not on the volume");
        Ok(())
    })
    .await;
}

/// The claim of a running engine is deleted. This is reported at once, the engine continues to serve, and an empty
/// volume never silently replaces the claim.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_deleted_in_use_is_said_and_never_replaced_by_an_empty_one() {
    in_namespace("claim-deleted", async |world| {
        world.engine("notes").await?;
        let saved = world.memories("notes").save("on a volume that somebody deletes", None).await?;
        let claims = world.api::<PersistentVolumeClaim>();
        claims.delete("notes-data", &DeleteParams::default()).await?;
        let message = world.condition("notes", "StorageReady", "False", "ClaimBeingDeleted").await?;
        ensure!(message.contains("Copy the memories now"), "{message}");
        world.condition("notes", "Stalled", "True", "ClaimBeingDeleted").await?;
        world.memories("notes").read(&saved.id).await?;
        let last = world.memories("notes").save("it serves on", None).await?;

        world
            .until_engine("notes", "the head is reported", SOON, |engine| {
                let log = engine.status.as_ref().and_then(|status| status.log.as_ref());
                log.is_some_and(|log| log.head_seq >= i64::try_from(last.seq).unwrap_or(i64::MAX))
            })
            .await?;
        world.api::<Pod>().delete("notes-0", &DeleteParams::default()).await?;
        let message = world.condition("notes", "StorageReady", "False", "VolumeLost").await?;
        ensure!(message.contains(&format!("{} events", last.seq)), "{message}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        ensure!(claims.get_opt("notes-data").await?.is_none(), "an empty claim replaced it");
        begin_again(world).await
    })
    .await;
}

/// Applies the remedy that the message of `VolumeLost` names.
async fn begin_again(world: &World) -> Result<()> {
    let engines = world.api::<MemoryEngine>();
    engines.delete("notes", &DeleteParams::default()).await?;
    until("the engine is gone", READY_LIMIT, async || {
        Ok(engines.get_opt("notes").await?.is_none().then_some(()))
    })
    .await?;
    world.engine("notes").await?;
    world.memories("notes").save("a new log", None).await?;
    Ok(())
}
