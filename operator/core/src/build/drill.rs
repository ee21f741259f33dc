//! The objects of drills of a canary: a Job before each step of a rollout, and a template for people who ask for one.

use crds::Policy;
use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};
use serde_json::Value;

use super::{ScheduledJob, stateful_set::certificate_volume, value};
use crate::{
    names::{self, ADMIN_PORT, API_PORT, ChildKey, ChildKind, DRILL_JOB},
    validate::{Valid, ValidDrills},
};

/// Longest time of one drill, seconds.
const DRILL_SECONDS: i64 = 60;
/// Seconds after which Kubernetes ends the Job: six drills, what each of them undoes, and the image that is pulled.
const DEADLINE_SECONDS: i64 = 900;
/// Time between the signal to stop and the end of the pod. A drill forgets what it has saved within 20 s.
const GRACE_SECONDS: i64 = 30;
/// A schedule for a CronJob that is suspended, because it needs one.
const NEVER: &str = "0 0 1 1 *";
/// Where the pod mounts the certificate of the engine and the keys.
const TLS_PATH: &str = "/run/memory-engine/drill-tls";
const KEY_PATH: &str = "/run/memory-engine/drill-key";
const ADMIN_PATH: &str = "/run/memory-engine/drill-admin";
/// Name of the files with a key.
const FILE: &str = "token";
/// Only the user and group of the image read a key: a drill refuses a file that others can read.
const MODE: i32 = 0o440;
/// What the project of the drills before a step ends with, and that of the drills that people ask for. Two at a time
/// must not forget what the other one has saved.
const OF_THE_OPERATOR: &str = "rollout";
const OF_PEOPLE: &str = "request";
/// File in which Kubernetes expects the verdict.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The objects that stay, in the order of the writes.
pub(crate) fn drills(valid: &Valid) -> Vec<(ChildKey, Value)> {
    let Some(job) = drilling(valid, OF_PEOPLE) else { return Vec::new() };
    vec![
        job.stamped(ChildKind::ServiceAccount, value(&job.service_account(valid))),
        job.stamped(ChildKind::CronJob, value(&job.cron_job(valid))),
    ]
}

/// The Job with this name; `None` if the spec wants no drills.
pub(crate) fn drill_run(valid: &Valid, name: String) -> Option<Value> {
    Some(value(&drilling(valid, OF_THE_OPERATOR)?.once(valid, name)))
}

/// Drills of the canary by the stable revision, which is trusted to judge.
fn drilling<'a>(valid: &'a Valid, run: &str) -> Option<ScheduledJob<'a>> {
    let drills = valid.rollout.as_ref()?.drills.as_ref()?;
    let secrets = secrets(valid, drills);
    let (volumes, mounts) = secrets.iter().map(|one| (one.volume.clone(), one.mount())).unzip();
    Some(ScheduledJob {
        name: names::drill(&valid.name),
        task: DRILL_JOB,
        schedule: NEVER,
        time_zone: "Etc/UTC",
        is_suspended: true,
        image: &valid.image,
        args: args(valid, run, &secrets),
        deadline_seconds: DEADLINE_SECONDS,
        grace_seconds: GRACE_SECONDS,
        memory: "128Mi",
        cpu: "500m",
        volumes,
        mounts,
        rules: Vec::new(),
    })
}

fn args(valid: &Valid, run: &str, secrets: &[Mounted]) -> Vec<String> {
    let scheme = if valid.tls.is_some() { "https" } else { "http" };
    let host = format!("{}.{}.svc", names::canary(&valid.name), valid.namespace);
    let mut args = vec![
        "drill".to_owned(),
        "all".to_owned(),
        "--json".to_owned(),
        format!("--api={scheme}://{host}:{API_PORT}"),
        format!("--admin={host}:{ADMIN_PORT}"),
        format!("--run={run}"),
        format!("--timeout={DRILL_SECONDS}"),
        format!("--termination-log={TERMINATION_LOG}"),
    ];
    args.extend(secrets.iter().map(Mounted::argument));
    let runs = valid.rolled.as_ref().and_then(|rolled| rolled.canary.as_ref()).map(|running| &running.runs);
    let policy = runs.map_or(valid.policy.as_ref(), |runs| runs.policy.as_ref());
    args.extend(is_policy_expected(policy).then(|| "--expect-policy".to_owned()));
    // Readers verify the writer with the operator's authority, so that none of them can send a write to an engine with
    // another certificate.
    args.extend(valid.essentials.given_certificate.is_some().then(|| "--read-only".to_owned()));
    args
}

/// Whether the policy forbids anything. Without a section it does.
fn is_policy_expected(policy: Option<&Policy>) -> bool {
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
    policy.is_none_or(|policy| !is_empty(&policy.block) || !is_empty(&policy.redact))
}

/// A Secret in the pod, with the argument that names it.
struct Mounted {
    volume: Volume,
    path: &'static str,
    argument: &'static str,
    file: Option<&'static str>,
}

impl Mounted {
    fn of_key(name: &str, (secret, key): (&str, &str), path: &'static str, argument: &'static str) -> Self {
        let source = SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: Some(vec![KeyToPath { key: key.to_owned(), path: FILE.to_owned(), mode: None }]),
            default_mode: Some(MODE),
            optional: None,
        };
        let volume = Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() };
        Self { volume, path, argument, file: Some(FILE) }
    }

    fn argument(&self) -> String {
        let file = self.file.map(|file| format!("/{file}")).unwrap_or_default();
        format!("{}={}{file}", self.argument, self.path)
    }

    fn mount(&self) -> VolumeMount {
        VolumeMount {
            name: self.volume.name.clone(),
            mount_path: self.path.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }
    }
}

/// What the ports of the canary demand: the certificate of the engine, the token of the administration port, and the
/// key of a client.
fn secrets(valid: &Valid, drills: &ValidDrills) -> Vec<Mounted> {
    let certificate = valid.tls.as_ref().map(|_| Mounted {
        volume: certificate_volume("tls", names::certificate_secret(&valid.name).name),
        path: TLS_PATH,
        argument: "--tls-directory",
        file: None,
    });
    let token = valid.access.as_ref().and_then(|access| access.admin_token_secret_ref.as_ref());
    let token = token
        .map(|token| Mounted::of_key("admin", (&token.name, &token.key), ADMIN_PATH, "--admin-token-file"));
    let key = drills
        .key
        .as_ref()
        .map(|key| Mounted::of_key("key", (&key.name, &key.key), KEY_PATH, "--token-file"));
    certificate.into_iter().chain(token).chain(key).collect()
}
