//! Volumes whose contents were changed. Each kind of change is reported as that kind, stops writes and nothing else,
//! and is resolved as soon as the right volume is back.

use anyhow::{Context as _, Result, ensure};
use crds::MemoryEngine;
use e2e::memories::memory;
use e2e::wait::{condition, until};
use engine_core::wire::EventPage;
use k8s_openapi::api::events::v1::Event;
use kube::api::DeleteParams;
use serde_json::json;

use super::surgery::{hold, operate, release};
use super::{alarmed, anchored, anchored_often, log_of, save};
use crate::world::{READY_LIMIT, SOON, World, in_namespace};

/// Prepares two engines: `notes`, and `fork`, whose log is a copy of an older state of `notes` with a different
/// continuation. The volume of `notes` holds copies that were made while no engine ran: `copies/older` with three
/// memories, `copies/right` with six, `copies/fork` with eight, `copies/foreign` with another log.
async fn prepared(world: &World) -> Result<Vec<String>> {
    for name in ["notes", "fork"] {
        world.apply(name, anchored_often()).await?;
    }
    for name in ["notes", "fork"] {
        world.ready(name).await?;
    }
    let mut saved = save(world, "notes", "before the copy", 3).await?;
    anchored(world, "notes").await?;
    for name in ["notes", "fork"] {
        hold(world, name).await?;
    }
    let copy = "cd /data/notes-data; mkdir -p copies/older copies/foreign; cp -a log keys copies/older; \
                cp -a ../fork-data/log ../fork-data/keys copies/foreign; \
                rm -rf ../fork-data/*; cp -a log keys ../fork-data/";
    operate(world, &["notes-data", "fork-data"], copy).await?;
    for name in ["notes", "fork"] {
        release(world, name).await?;
    }
    for name in ["notes", "fork"] {
        world.ready(name).await?;
    }
    saved.extend(save(world, "notes", "after the copy", 3).await?);
    save(world, "fork", "another history", 5).await?;
    anchored(world, "notes").await?;
    world.api::<MemoryEngine>().delete("fork", &DeleteParams::background()).await?;
    hold(world, "notes").await?;
    let copy = "cd /data/notes-data; mkdir -p copies/right copies/fork; cp -a log keys copies/right; \
                cp -a ../fork-data/log ../fork-data/keys copies/fork";
    operate(world, &["notes-data", "fork-data"], copy).await?;
    Ok(saved)
}

/// Replaces the log on the volume with `copy` and then runs the shell command `and_then` on it.
async fn put(world: &World, copy: &str, and_then: &str) -> Result<()> {
    let commands = format!("cd /data; rm -rf log keys; cp -a copies/{copy}/. .; {and_then}");
    operate(world, &["notes-data"], &commands).await?;
    release(world, "notes").await
}

/// Dropped tail, older copy, fork, rewrite, another engine's log: each is reported by its kind within 10 s after the
/// engine is back. The engine refuses writes and serves what verifies. With the right volume everything works again.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_not_what_it_was_is_told_apart() {
    in_namespace("tampered", async |world| {
        let saved = prepared(world).await?;
        let last_segment = "$(ls log/*.jsonl | tail -1)";
        // Cases that follow each other differ in their result, so that the report of one case cannot pass for the
        // report of the next.
        let cases = [
            ("older", String::new(), "LogTruncated"),
            ("foreign", String::new(), "ForeignLog"),
            ("right", format!("sed -i '$d' {last_segment}; rm -f log/checkpoint log/tree"), "LogTruncated"),
            ("fork", String::new(), "LogForked"),
            ("fork", "rm -rf keys log/checkpoint log/tree".to_owned(), "LogRewritten"),
        ];
        for (copy, and_then, reason) in cases {
            put(world, copy, &and_then).await?;
            alarmed(world, "notes", reason).await.with_context(|| format!("{copy}; {and_then}"))?;
            reads_only(world, (reason != "ForeignLog").then_some(&saved[0])).await.context(reason)?;
            hold(world, "notes").await?;
        }
        put(world, "right", "").await?;
        world.condition("notes", "LogIntegrity", "True", "Anchored").await?;
        world.ready("notes").await?;
        for id in &saved {
            world.memories("notes").read(id).await?;
        }
        world.memories("notes").save("all is well again", None).await?;
        Ok(())
    })
    .await;
}

/// Reads a memory that every copy contains, and checks that a write is refused for the right reason.
pub(super) async fn reads_only(world: &World, id: Option<&String>) -> Result<()> {
    let memories = world.memories("notes");
    if let Some(id) = id {
        until("events that verify are readable", READY_LIMIT, async || Ok(Some(memories.read(id).await?)))
            .await?;
    }
    let body = serde_json::to_vec(&memory("refused"))?;
    until("a write is refused by the engine itself", READY_LIMIT, async || {
        let answer = memories.send("POST", "/v1/memories", None, body.clone()).await?;
        let written = answer.status < 300;
        let refused = answer.status == 503 && answer.body.contains("LOG_CORRUPT");
        Ok((written || refused).then_some(refused))
    })
    .await
    .and_then(|refused| if refused { Ok(()) } else { Err(anyhow::anyhow!("the write was accepted")) })
}

fn accepting(size: u64, root: &str) -> serde_json::Value {
    let mut spec = anchored_often();
    spec["integrity"]["acceptRollback"] = json!({"size": size, "root": root, "reason": "the rest is lost"});
    spec
}

/// A user who continues with less data must accept this explicitly and name exactly what is left. The acceptance is
/// recorded everywhere and works once.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_accepted_by_naming_what_is_left() {
    in_namespace("accepted", async |world| {
        world.apply("notes", anchored_often()).await?;
        world.ready("notes").await?;
        let saved = save(world, "notes", "some of them are lost", 5).await?;
        let before = anchored(world, "notes").await?;
        drop_last(world).await?;
        alarmed(world, "notes", "LogTruncated").await?;
        let head = crate::storage::health(world, "notes").await?.log.checkpoint.context("a checkpoint")?;
        ensure!(i64::try_from(head.size)? < before.size.unwrap_or_default(), "{head:?}");

        world.apply("notes", accepting(head.size, &"0".repeat(64))).await?;
        world
            .until_engine("notes", "the wrong head is refused", SOON, |engine| {
                let said = condition(engine, "LogIntegrity").map(|c| c.message.as_str()).unwrap_or_default();
                said.contains("acceptRollback is refused") && said.contains(&head.root)
            })
            .await?;
        reads_only(world, Some(&saved[0])).await?;

        world.apply("notes", accepting(head.size, &head.root)).await?;
        world.condition("notes", "LogIntegrity", "True", "Anchored").await?;
        world.ready("notes").await?;
        world.memories("notes").save("and on it goes", None).await?;
        world.memories("notes").read(&saved[0]).await?;
        recorded(world, before.size).await?;

        // The acceptance that stays in the spec does not apply a second time.
        anchored(world, "notes").await?;
        drop_last_with(world, accepting(head.size, &head.root)).await?;
        alarmed(world, "notes", "LogTruncated").await.map(|_| ())
    })
    .await;
}

const DROP_LAST: &str = "cd /data; sed -i '$d' $(ls log/*.jsonl | tail -1); rm -f log/checkpoint log/tree";

async fn drop_last(world: &World) -> Result<()> {
    drop_last_with(world, anchored_often()).await
}

async fn drop_last_with(world: &World, spec: serde_json::Value) -> Result<()> {
    hold(world, "notes").await?;
    operate(world, &["notes-data"], DROP_LAST).await?;
    world.apply("notes", spec).await.map(|_| ())
}

/// Checks that the rollback is recorded in the status, in an event of the resource, and in the log itself.
async fn recorded(world: &World, given_up: Option<i64>) -> Result<()> {
    let engine = world.api::<MemoryEngine>().get("notes").await?;
    let log = log_of(&engine).context("a log")?;
    let [rollback] = log.accepted_rollbacks.as_slice() else { anyhow::bail!("{log:?}") };
    ensure!((rollback.number, Some(rollback.from_size)) == (1, given_up), "{rollback:?}");
    let events = world.api::<Event>().list(&Default::default()).await?;
    let reasons: Vec<_> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
    for reason in ["LogTruncated", "RollbackAccepted"] {
        ensure!(reasons.contains(&reason), "no event {reason}: {reasons:?}");
    }
    let page: EventPage = world.memories("notes").get("/v1/events?limit=100").await?;
    let marks: Vec<_> = page.events.iter().filter(|event| event.kind == "log.rollback_accepted").collect();
    ensure!(marks.len() == 1, "{} records in the log", marks.len());
    Ok(())
}
