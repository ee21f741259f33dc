//! The scheduled rotation of the operator's token, with the real controllers of Jobs and Roles.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{MemoryEngine, SecretStatus};
use e2e::deploy::kubectl;
use e2e::guide_commands::run;
use e2e::rotations::{Rotated, rotations};
use e2e::secure_demo::new_key;
use e2e::wait::{condition, until};
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ListParams, Patch, PatchParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::tls::allow;
use crate::world::{READY_LIMIT, SOON, World, in_namespace, refusal, small};

const TOKEN: &str = "notes-admin-token";
const JOB: &str = "notes-rotate";
/// Longest rotation: it begins a minute after the token was made, a kubelet delivers a changed Secret within a minute
/// and a half, then the operator looks twice. The Job itself waits for five minutes.
const ROTATION_LIMIT: Duration = Duration::from_secs(330);
/// From a command to what it changes: the kubelet delivers within a minute and a half, then the operator looks.
const DELIVERY_LIMIT: Duration = Duration::from_secs(150);

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
async fn entry(world: &World, name: &str, key: &str) -> Result<String> {
    let data = world.api::<Secret>().get(name).await?.data.unwrap_or_default();
    let value = data.get(key).with_context(|| format!("{name} has no {key}"))?;
    Ok(String::from_utf8(value.0.clone())?)
}

/// Secrets and a ConfigMap under the names of the guides, and the spec that refers to them.
async fn everything_that_is_rotated(world: &World) -> Result<Value> {
    let params = PatchParams::apply("platform");
    let secret = async |name: &str, key: &str, value: &str| {
        let data = BTreeMap::from([(key, ByteString(value.as_bytes().to_vec()))]);
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
        world.api::<Secret>().patch(name, &params, &Patch::Apply(&secret)).await
    };
    secret("agent-a-key", "token", &new_key()?).await?;
    secret("memory-readers", "token", &new_key()?).await?;
    secret("models", "api-key", "the-key-before").await?;
    secret("memory-clients", "ca.crt", &authority("clients before")?).await?;
    let no_keys = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-keys"},
        "data": {"jwks.json": "{\"keys\": []}"},
    });
    world.api::<ConfigMap>().patch("cluster-keys", &params, &Patch::Apply(&no_keys)).await?;
    let mut spec = rotating("@yearly");
    spec["rerank"] = json!({
        "url": "https://models.example.org/v1/rerank", "model": "small",
        "keySecretRef": {"name": "models", "key": "api-key"},
    });
    spec["readers"] = json!({"replicas": 1});
    spec["access"] = json!({
        "readerTokenSecretRef": {"name": "memory-readers", "key": "token"},
        "keys": [{
            "name": "agent-a", "secretRef": {"name": "agent-a-key"}, "scopes": ["Read", "Write"], "projects": ["p"],
        }],
        "clientAuthoritySecretRef": {"name": "memory-clients", "key": "ca.crt"},
        "certificates": [{
            "name": "batch", "subject": "spiffe://example.org/batch", "scopes": ["Read"], "projects": ["p"],
        }],
        "issuers": [{
            "issuer": "https://kubernetes.default.svc.cluster.local", "audiences": ["memory-engine"],
            "keysConfigMapRef": {"name": "cluster-keys", "key": "jwks.json"},
            "scopes": ["Read"], "projects": ["p"],
        }],
    });
    Ok(spec)
}

/// The certificate of an authority.
fn authority(name: &str) -> Result<String> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(authority.self_signed(&KeyPair::generate()?)?.pem())
}

/// What the commands of a row replace.
async fn present(world: &World, what: Rotated) -> Result<String> {
    let engine = world.api::<MemoryEngine>().get("notes").await?;
    let access = condition(&engine, "AccessReady").map(|condition| condition.reason.clone());
    let status = engine.status.unwrap_or_default();
    Ok(match what {
        Rotated::ClientKey => entry(world, "agent-a-key", "token").await?,
        Rotated::IssuerKeys => access.context("AccessReady")?,
        Rotated::ClientAuthority => entry(world, "memory-clients", "ca.crt").await?,
        Rotated::AdminToken => entry(world, TOKEN, "token").await?,
        Rotated::ReaderToken => entry(world, "memory-readers", "token").await?,
        Rotated::ServiceKey => entry(world, "models", "api-key").await?,
        Rotated::Certificate => {
            status.tls.and_then(|tls| tls.served_serial).context("a certificate that is served")?
        }
        Rotated::Authority => entry(world, "notes-authority", "ca.crt").await?,
        Rotated::LogKey => status.log.and_then(|log| log.key).context("a key of the log")?,
    })
}

/// Saves a memory with the key of the client: the operator records the log, and its key, after the first event.
async fn save_one(world: &World) -> Result<()> {
    // What was written to a file first ends with a line break, which the engine ignores.
    let key = entry(world, "agent-a-key", "token").await?;
    let key = key.trim();
    let save = format!(
        "curl -sSk --max-time 5 -o /dev/null -w '%{{http_code}}' -H 'authorization: Bearer {key}' \
         -H 'content-type: application/json' -d '{{\"content\": \"the kettle is blue\"}}' \
         https://notes:8080/v1/memories 2>&1 || true"
    );
    // The engine accepts a key that was just replaced when the kubelet has delivered it.
    until("a memory is saved", DELIVERY_LIMIT, async || {
        let answer = world.shell("client", "shell", &save).await?;
        ensure!(answer == "201", "saving was answered with {answer}");
        Ok(Some(()))
    })
    .await
}

/// The commands of every row of the security model do what it says, and restart nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_security_model_rotate_what_they_say() {
    in_namespace("tls-guide", async |world| {
        allow(world).await?;
        world.apply("notes", everything_that_is_rotated(world).await?).await?;
        world.ready("notes").await?;
        world.condition("notes", "AccessReady", "False", "IssuerWithoutKeys").await?;
        world.condition("notes", "ReadersReady", "True", "ReadersServing").await?;
        let pod = world.pod_uid("notes").await?;
        world.shell_pod("client").await?;
        save_one(world).await?;
        until("the key of the log is in the status", READY_LIMIT, async || {
            Ok(present(world, Rotated::LogKey).await.ok())
        })
        .await?;
        let new_authority = authority("clients from now on")?;
        let files = [("new.crt", new_authority.as_str()), ("new-key", "the-key-from-now-on")];
        let mut rows = rotations()?;
        // The token has a test of its own, because its Job waits for the kubelet. The authority comes last: while it is
        // replaced, the commands in the pod can meet a certificate that their file does not name yet.
        rows.retain(|(what, _)| *what != Rotated::AdminToken);
        rows.sort_by_key(|(what, _)| *what == Rotated::Authority);
        for (what, section) in rows {
            let before = present(world, what).await?;
            let said = run(&world.cluster, &world.namespace, &section.commands()?, &files).await?;
            println!("{what:?}: {said}");
            if what == Rotated::LogKey {
                // The operator records the key with the next event.
                save_one(world).await?;
            }
            let now = until(&format!("{what:?} is replaced"), DELIVERY_LIMIT, async || {
                Ok(present(world, what).await.ok().filter(|now| *now != before))
            })
            .await?;
            let expected = match what {
                Rotated::IssuerKeys => Some("IssuersKnown"),
                Rotated::ClientAuthority => Some(new_authority.as_str()),
                Rotated::ServiceKey => Some("the-key-from-now-on"),
                Rotated::ClientKey
                | Rotated::AdminToken
                | Rotated::ReaderToken
                | Rotated::Certificate
                | Rotated::Authority
                | Rotated::LogKey => None,
            };
            ensure!(expected.is_none_or(|expected| now == expected), "{what:?} is now {now}");
        }
        let previous = entry(world, "agent-a-key", "token.previous").await;
        ensure!(previous.is_err(), "the key before is removed");
        world.condition("notes", "SecretsValid", "True", "SecretsUsable").await?;
        world.condition("notes", "LogIntegrity", "True", "Anchored").await?;
        ensure!(world.pod_uid("notes").await? == pod, "nothing restarts");
        readers_follow_again(world).await
    })
    .await;
}

/// A reader that runs knows the new token, the new certificates and the new authority: what is saved now is read from
/// it, and what it is given is saved.
async fn readers_follow_again(world: &World) -> Result<()> {
    let key = entry(world, "agent-a-key", "token").await?;
    let key = key.trim();
    until("a reader forwards and follows", 2 * DELIVERY_LIMIT, async || {
        let ask = |path: &str, body: &str| {
            let head = format!("curl -sSk --max-time 30 -H 'authorization: Bearer {key}' {body}");
            format!("{head} 'https://notes-readers:8080{path}' 2>&1 || true")
        };
        let body = r#"-H 'content-type: application/json' -d '{"content": "the teapot is green"}'"#;
        let saved = world.shell("client", "shell", &ask("/v1/memories", body)).await?;
        let saved: Value = serde_json::from_str(&saved).with_context(|| saved.clone())?;
        let path = format!("/v1/search?q=teapot&min_seq={}", saved["seq"].as_u64().context("no number")?);
        let found = world.shell("client", "shell", &ask(&path, "")).await?;
        ensure!(found.contains("the teapot is green"), "{found}");
        Ok(Some(()))
    })
    .await?;
    world.condition("notes", "ReadersReady", "True", "ReadersServing").await.map(|_| ())
}

/// The commands that replace the token of the administration port do, and restart nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_security_model_rotate_the_token() {
    in_namespace("tls-guide-token", async |world| {
        allow(world).await?;
        world.apply("notes", rotating("@yearly")).await?;
        world.ready("notes").await?;
        let pod = world.pod_uid("notes").await?;
        let before = token(world).await?;
        let rows = rotations()?;
        let (_, section) = rows.iter().find(|(what, _)| *what == Rotated::AdminToken).context("a row")?;
        let said = run(&world.cluster, &world.namespace, &section.commands()?, &[]).await?;
        ensure!(said.contains("\"verdict\":\"Done\"") && token(world).await? != before, "{said}");
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
            let stalled = condition(&engine, "Stalled").context("a condition")?;
            ensure!(stalled.reason == "InvalidSpec" && stalled.message.contains(word), "{stalled:?}");
            ensure!(world.api::<CronJob>().get_opt(JOB).await?.is_none(), "{schedule} {zone}");
        }
        Ok(())
    })
    .await;
}
