//! The scheduled rotation of the operator's token, with the real controllers of Jobs and Roles.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, SecretStatus};
use e2e::deploy::kubectl;
use e2e::guide_commands::{commands, run};
use e2e::secure_demo::new_key;
use e2e::wait::until;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::tls::allow;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, refusal, small};

const TOKEN: &str = "notes-admin-token";
const JOB: &str = "notes-rotate";
/// Longest rotation: it begins a minute after the token was made, a kubelet delivers a changed Secret within a minute
/// and a half, then the operator looks twice. The Job itself waits for five minutes.
const ROTATION_LIMIT: Duration = Duration::from_secs(330);

fn rotating(schedule: &str) -> Value {
    let mut spec = small();
    spec["tls"] = json!({});
    spec["secrets"] = json!({"rotation": {"schedule": schedule, "timeZone": "Europe/Berlin"}});
    spec
}

fn shown(engine: &MemoryEngine) -> Option<&SecretStatus> {
    engine.status.as_ref()?.secrets.iter().find(|one| one.reference == "spec.secrets.rotation")
}

async fn token(world: &World) -> Result<String> {
    let data = world.api::<Secret>().get(TOKEN).await?.data.unwrap_or_default();
    ensure!(!data.contains_key("token.previous"), "a rotation is not finished");
    Ok(String::from_utf8(data.get("token").context("a token")?.0.clone())?)
}

/// Whether the account of the Job may do this.
async fn may(world: &World, verb: &str, resource: &str, name: &str) -> Result<bool> {
    let (group, resource) = resource.split_once('/').unwrap_or(("", resource));
    let review: SubjectAccessReview = serde_json::from_value(json!({"metadata": {}, "spec": {
        "user": format!("system:serviceaccount:{}:{JOB}", world.namespace),
        "resourceAttributes": {
            "namespace": world.namespace, "verb": verb, "group": group, "resource": resource, "name": name,
        },
    }}))?;
    let reviews: kube::Api<SubjectAccessReview> = kube::Api::all(world.client.clone());
    let answer = reviews.create(&Default::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Creates a Job from the CronJob, waits until it has succeeded, and returns its termination message.
async fn rotate(world: &World, name: &str) -> Result<String> {
    let from = format!("--from=cronjob/{JOB}");
    kubectl(&world.cluster, &["-n", &world.namespace, "create", "job", name, &from]).await?;
    until("the Job has succeeded", ROTATION_LIMIT, async || {
        let status = world.api::<Job>().get(name).await?.status.unwrap_or_default();
        Ok((status.succeeded == Some(1)).then_some(()))
    })
    .await?;
    let selected = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let pods = world.api::<Pod>().list(&selected).await?.items;
    let status = pods.into_iter().find_map(|pod| pod.status?.container_statuses).context("a pod")?;
    let ended = status.into_iter().find_map(|one| one.state?.terminated).context("a container that ended")?;
    ended.message.context("a termination message")
}

/// A Job from the CronJob replaces the token without a restart and may do nothing else; without the field, nothing is
/// left.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_replaces_the_token_without_a_restart_and_goes_with_the_field() {
    in_namespace("tls-rotation", async |world| {
        allow(world).await?;
        world.apply("notes", rotating("0 3 1 1 *")).await?;
        world.ready("notes").await?;
        world.condition("notes", "SecretsValid", "True", "SecretsUsable").await?;
        let (old, pod) = (token(world).await?, world.pod_uid("notes").await?);
        ensure!(may(world, "patch", "configmaps", JOB).await?, "what the Job needs");
        for (verb, resource, name) in [
            ("get", "secrets", TOKEN),
            ("patch", "secrets", TOKEN),
            ("get", "configmaps", JOB),
            ("patch", "configmaps", "notes-config"),
            ("patch", "memoryengine.io/memoryengines", "notes"),
            ("patch", "batch/cronjobs", JOB),
        ] {
            ensure!(!may(world, verb, resource, name).await?, "the Job may {verb} {resource}/{name}");
        }
        let verdict: Value = serde_json::from_str(&rotate(world, "rotate-now").await?)?;
        println!("{verdict}");
        ensure!(verdict["verdict"] == "Done", "{verdict}");
        let new = token(world).await?;
        ensure!(new != old && world.pod_uid("notes").await? == pod, "another token, and the same pod");
        let engine = world.ready("notes").await?;
        let known = shown(&engine).context("the token in the status")?;
        ensure!(known.reason == "SecretsUsable" && known.next_rotation.is_some(), "{known:?}");
        let texts = serde_json::to_string(&engine)?
            + &kubectl(&world.cluster, &["-n", &world.namespace, "get", "events,cm", "-o", "json"]).await?
            + &kubectl(&world.cluster, &["-n", "memory-system", "logs", "deploy/memory-operator"]).await?;
        ensure!(!texts.contains(&old) && !texts.contains(&new), "a token is shown");

        world.apply("notes", rotating("30 4 * * 0")).await?;
        until("the CronJob follows", SOON, async || {
            let job = world.api::<CronJob>().get(JOB).await?;
            Ok(job.spec.is_some_and(|spec| spec.schedule == "30 4 * * 0").then_some(()))
        })
        .await?;
        world.apply("notes", small()).await?;
        until("nothing is left of the rotation", READY_LIMIT + SOON, async || {
            let left = [
                world.api::<CronJob>().get_opt(JOB).await?.is_some(),
                world.api::<RoleBinding>().get_opt(JOB).await?.is_some(),
                world.api::<Role>().get_opt(JOB).await?.is_some(),
                world.api::<ServiceAccount>().get_opt(JOB).await?.is_some(),
                world.api::<ConfigMap>().get_opt(JOB).await?.is_some(),
                world.api::<Secret>().get_opt(TOKEN).await?.is_some(),
            ];
            Ok((!left.contains(&true)).then_some(()))
        })
        .await?;
        world.ready("notes").await?;
        Ok(())
    })
    .await;
}

/// An entry of a Secret.
async fn entry(world: &World, name: &str, key: &str) -> Result<Vec<u8>> {
    let data = world.api::<Secret>().get(name).await?.data.unwrap_or_default();
    Ok(data.get(key).with_context(|| format!("{name} has no {key}"))?.0.clone())
}

/// The commands with which the guides rotate things do what the guides say.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_guides_rotate_what_they_say() {
    in_namespace("tls-guide", async |world| {
        allow(world).await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "agent-a-key"},
            "stringData": {"token": new_key()?},
        });
        let params = PatchParams::apply("platform");
        world.api::<Secret>().patch("agent-a-key", &params, &Patch::Apply(&secret)).await?;
        let mut spec = rotating("@yearly");
        spec["access"] = json!({"keys": [{
            "name": "agent-a", "secretRef": {"name": "agent-a-key"}, "scopes": ["Read"], "projects": ["p"],
        }]});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        let pod = world.pod_uid("notes").await?;

        let before = entry(world, "agent-a-key", "token").await?;
        run(&world.cluster, &world.namespace, &commands("docs/guide/secrets.md", "A rotation")?).await?;
        ensure!(entry(world, "agent-a-key", "token").await? != before, "the key of a client");
        ensure!(entry(world, "agent-a-key", "token.previous").await.is_err(), "the key before is removed");

        let before = token(world).await?;
        let said = commands("docs/guide/secrets.md", "The token of the administration port")?;
        let said = run(&world.cluster, &world.namespace, &said).await?;
        ensure!(said.contains("\"verdict\":\"Done\"") && token(world).await? != before, "{said}");

        let before = entry(world, "notes-authority", "ca.crt").await?;
        run(&world.cluster, &world.namespace, &commands("docs/guide/tls.md", "A new authority")?).await?;
        until("there is a new authority", READY_LIMIT, async || {
            Ok((entry(world, "notes-authority", "ca.crt").await? != before).then_some(()))
        })
        .await?;
        ensure!(world.pod_uid("notes").await? == pod, "nothing restarts");
        Ok(())
    })
    .await;
}

/// A schedule that Kubernetes would refuse is refused at once where the schema can, and otherwise named in the
/// condition; no CronJob is tried with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_kubernetes_would_refuse_reaches_no_cron_job() {
    in_namespace("tls-schedules", async |world| {
        allow(world).await?;
        for schedule in
            ["", "* * * *", "60 * * * *", "@every 1h", "TZ=UTC 0 0 * * *", "0 0 * * 7", "*/0 * * * *"]
        {
            let said = refusal(world.apply("notes", rotating(schedule)).await)?;
            ensure!(said.contains("schedule"), "{schedule:?}: {said}");
        }
        for zone in ["Local", "../etc/passwd", "Europe/Ber lin", "", "Europe/Berlin\n"] {
            let mut spec = rotating("@daily");
            spec["secrets"]["rotation"]["timeZone"] = json!(zone);
            let said = refusal(world.apply("notes", spec).await)?;
            ensure!(said.contains("timeZone"), "{zone:?}: {said}");
        }
        for (schedule, zone, word) in [
            ("5-1 * * * *", "Etc/UTC", "schedule"),
            ("0 0 31 2 *", "Etc/UTC", "schedule"),
            ("@daily", "Europe/Nowhere", "timeZone"),
        ] {
            let mut spec = rotating(schedule);
            spec["secrets"]["rotation"]["timeZone"] = json!(zone);
            let applied = world.apply("notes", spec).await?;
            let engine = world
                .until_engine("notes", "the condition names the schedule", READY_LIMIT, |engine| {
                    let status = engine.status.as_ref();
                    status.and_then(|status| status.observed_generation) == applied.metadata.generation
                })
                .await?;
            let stalled = e2e::wait::condition(&engine, "Stalled").context("a condition")?;
            ensure!(stalled.reason == "InvalidSpec" && stalled.message.contains(word), "{stalled:?}");
            ensure!(world.api::<CronJob>().get_opt(JOB).await?.is_none(), "{schedule} {zone}");
        }
        Ok(())
    })
    .await;
}
