//! Jobs that run on a schedule. One place has what all of them share: restrictions, deadlines and a bounded history.
//! A caller says what runs, when, and what it may do.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{
            CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec, PodFailurePolicy,
            PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
        },
        core::v1::{
            Capabilities, ConfigMap, Container, EnvVar, EnvVarSource, LocalObjectReference,
            ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
            SeccompProfile, SecurityContext, ServiceAccount, Volume, VolumeMount,
        },
        rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use serde_json::Value;

use super::{api_token, owned, stamp, value};
use crate::{
    names::{self, ChildKey, ChildKind, JOB_LABEL},
    validate::Valid,
};

/// Group of roles.
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
/// ID of the user and of the group in both images.
const IMAGE_UID: i64 = 65532;
/// How late a run may begin, for example because the controller of Jobs was down. Kubernetes needs at least 10 seconds;
/// a run that is later than this is not made up for, because the next one is not far.
const STARTING_DEADLINE_SECONDS: i64 = 600;
/// How often a pod that failed is started again.
const BACKOFF_LIMIT: i32 = 2;
/// Time between the signal to stop and the end of a pod that has nothing to finish: its end must not come much later
/// than its deadline.
pub(super) const GRACE_SECONDS: i64 = 5;
/// Exit code of a run that has found something out, and not what was hoped for.
const VERDICT_EXIT_CODE: i32 = 1;
/// Jobs that are kept for their verdicts.
const SUCCESSFUL_JOBS_KEPT: i32 = 1;
const FAILED_JOBS_KEPT: i32 = 3;
/// How long a finished Job is kept, at most. Jobs that somebody created by hand are not counted by the history.
const KEPT_SECONDS: i32 = 7 * 86_400;
/// Engines with the same schedule begin within this many seconds after it, not all in the same one.
const SPREAD_SECONDS: u64 = 30;

/// What a scheduled Job runs, when, and what it may do.
#[derive(Clone, Debug)]
pub struct ScheduledJob<'a> {
    /// Name of the CronJob, of its ServiceAccount, and of its role.
    pub name: String,
    /// A word for what it does: the name of its container, and the value of a label.
    pub task: &'static str,
    /// When it runs.
    pub schedule: &'a str,
    /// Time zone of the schedule.
    pub time_zone: &'a str,
    /// Whether it runs only when somebody creates a Job from it.
    pub is_suspended: bool,
    /// Image of the container.
    pub image: &'a str,
    /// Arguments of the container.
    pub args: Vec<String>,
    /// Seconds after which a run is ended.
    pub deadline_seconds: i64,
    /// Time between the signal to stop and the end of a pod, seconds.
    pub grace_seconds: i64,
    /// Memory of the container.
    pub memory: &'static str,
    /// CPU of the container, at most.
    pub cpu: &'static str,
    /// Volumes of the pod.
    pub volumes: Vec<Volume>,
    /// Mounts of the container.
    pub mounts: Vec<VolumeMount>,
    /// What it may do in the namespace of the engine. Without rules the pods get no token.
    pub rules: Vec<PolicyRule>,
}

impl<'a> ScheduledJob<'a> {
    /// A Job that asks the operator for something in the ConfigMap `name`, and waits for `wait_seconds` at most. Its
    /// account may patch this ConfigMap: a patch that changes nothing also returns the object, so that one verb on one
    /// object is enough to ask and to wait.
    pub(super) fn asking(
        task: &'static str,
        name: String,
        image: &'a str,
        (schedule, time_zone): (&'a str, &'a str),
        (wait_seconds, deadline_seconds): (i64, i64),
    ) -> Self {
        Self {
            task,
            schedule,
            time_zone,
            is_suspended: false,
            image,
            args: vec![
                "ask".to_owned(),
                format!("--request={name}"),
                format!("--wait-seconds={wait_seconds}"),
            ],
            deadline_seconds,
            grace_seconds: GRACE_SECONDS,
            memory: "64Mi",
            cpu: "200m",
            volumes: Vec::new(),
            mounts: Vec::new(),
            rules: vec![PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec!["configmaps".to_owned()]),
                resource_names: Some(vec![name.clone()]),
                verbs: vec!["patch".to_owned()],
                non_resource_urls: None,
            }],
            name,
        }
    }

    /// The objects of a Job that asks, in the order of the writes: the ConfigMap first.
    pub(super) fn asking_objects(&self, valid: &Valid, request: &ConfigMap) -> Vec<(ChildKey, Value)> {
        let objects = [
            (ChildKind::ConfigMap, value(request)),
            (ChildKind::ServiceAccount, value(&self.service_account(valid))),
            (ChildKind::Role, value(&self.role(valid))),
            (ChildKind::RoleBinding, value(&self.role_binding(valid))),
            (ChildKind::CronJob, value(&self.cron_job(valid))),
        ];
        objects.map(|(kind, object)| self.stamped(kind, object)).into()
    }

    /// An object of this Job, under its name.
    pub(super) fn stamped(&self, kind: ChildKind, mut object: Value) -> (ChildKey, Value) {
        stamp(&mut object);
        (ChildKey { kind, name: self.name.clone() }, object)
    }

    /// The ServiceAccount of the pods. A pod mounts the token as a volume of its own.
    #[must_use]
    pub fn service_account(&self, valid: &Valid) -> ServiceAccount {
        ServiceAccount {
            metadata: owned(valid, self.name.clone()),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }
    }

    /// What the pods may do.
    #[must_use]
    pub fn role(&self, valid: &Valid) -> Role {
        Role { metadata: owned(valid, self.name.clone()), rules: Some(self.rules.clone()) }
    }

    /// Gives the role to the ServiceAccount, and to nobody else.
    #[must_use]
    pub fn role_binding(&self, valid: &Valid) -> RoleBinding {
        RoleBinding {
            metadata: owned(valid, self.name.clone()),
            role_ref: RoleRef {
                api_group: RBAC_GROUP.to_owned(),
                kind: "Role".to_owned(),
                name: self.name.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: self.name.clone(),
                namespace: Some(valid.namespace.clone()),
                api_group: None,
            }]),
        }
    }

    /// The CronJob.
    #[must_use]
    pub fn cron_job(&self, valid: &Valid) -> CronJob {
        CronJob {
            metadata: owned(valid, self.name.clone()),
            spec: Some(CronJobSpec {
                schedule: self.schedule.to_owned(),
                time_zone: Some(self.time_zone.to_owned()),
                suspend: Some(self.is_suspended),
                concurrency_policy: Some("Forbid".to_owned()),
                starting_deadline_seconds: Some(STARTING_DEADLINE_SECONDS),
                successful_jobs_history_limit: Some(SUCCESSFUL_JOBS_KEPT),
                failed_jobs_history_limit: Some(FAILED_JOBS_KEPT),
                job_template: JobTemplateSpec {
                    metadata: Some(ObjectMeta { labels: Some(self.labels(valid)), ..ObjectMeta::default() }),
                    spec: Some(self.job(valid, Some(spread_seconds(&valid.uid)))),
                },
            }),
            status: None,
        }
    }

    /// One run, outside of the schedule.
    #[must_use]
    pub fn once(&self, valid: &Valid, name: String) -> Job {
        let metadata = ObjectMeta { labels: Some(self.labels(valid)), ..owned(valid, name) };
        Job { metadata, spec: Some(self.job(valid, None)), status: None }
    }

    /// The labels of Jobs and pods. With them the operator sees how a pod ended.
    fn labels(&self, valid: &Valid) -> BTreeMap<String, String> {
        let mut labels = names::labels(&valid.name);
        labels.extend([
            ("app.kubernetes.io/name".to_owned(), names::JOB_NAME.to_owned()),
            (JOB_LABEL.to_owned(), self.task.to_owned()),
        ]);
        labels
    }

    fn job(&self, valid: &Valid, delay_seconds: Option<u64>) -> JobSpec {
        JobSpec {
            active_deadline_seconds: Some(self.deadline_seconds),
            backoff_limit: Some(BACKOFF_LIMIT),
            pod_failure_policy: Some(self.failure_policy()),
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(self.labels(valid)), ..ObjectMeta::default() }),
                spec: Some(self.pod(valid, delay_seconds)),
            },
            ..JobSpec::default()
        }
    }

    /// A verdict is not asked for again: only a pod that could not give one is started again.
    fn failure_policy(&self) -> PodFailurePolicy {
        PodFailurePolicy {
            rules: vec![PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(self.task.to_owned()),
                    operator: "In".to_owned(),
                    values: vec![VERDICT_EXIT_CODE],
                }),
                on_pod_conditions: None,
            }],
        }
    }

    fn pod(&self, valid: &Valid, delay_seconds: Option<u64>) -> PodSpec {
        let secrets = valid.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
        let secrets: Vec<_> = secrets.collect();
        let volumes: Vec<_> =
            self.token().map(|(volume, _)| volume).into_iter().chain(self.volumes.clone()).collect();
        PodSpec {
            restart_policy: Some("Never".to_owned()),
            termination_grace_period_seconds: Some(self.grace_seconds),
            service_account_name: Some(self.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(IMAGE_UID),
                run_as_group: Some(IMAGE_UID),
                fs_group: (!self.volumes.is_empty()).then_some(IMAGE_UID),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![self.container(valid, delay_seconds)],
            volumes: (!volumes.is_empty()).then_some(volumes),
            ..PodSpec::default()
        }
    }

    /// The token, for pods that may do something in the cluster.
    fn token(&self) -> Option<(Volume, VolumeMount)> {
        (!self.rules.is_empty()).then(|| (api_token::volume(), api_token::mount()))
    }

    fn container(&self, valid: &Valid, delay_seconds: Option<u64>) -> Container {
        let amounts = |cpu: &str| {
            let pairs = [("cpu", cpu), ("memory", self.memory)];
            Some(pairs.map(|(key, amount)| (key.to_owned(), Quantity(amount.to_owned()))).into())
        };
        let mounts: Vec<_> =
            self.token().map(|(_, mount)| mount).into_iter().chain(self.mounts.clone()).collect();
        let delay = delay_seconds.map(|seconds| format!("--delay-seconds={seconds}"));
        Container {
            name: self.task.to_owned(),
            image: Some(self.image.to_owned()),
            image_pull_policy: value(&valid.image_pull_policy).as_str().map(str::to_owned),
            args: Some(self.args.iter().cloned().chain(delay).collect()),
            env: Some(vec![
                of_pod("POD_NAMESPACE", "metadata.namespace"),
                of_pod("JOB_UID", "metadata.labels['batch.kubernetes.io/controller-uid']"),
            ]),
            resources: Some(ResourceRequirements {
                requests: amounts("10m"),
                limits: amounts(self.cpu),
                claims: None,
            }),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                run_as_non_root: Some(true),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                ..SecurityContext::default()
            }),
            volume_mounts: (!mounts.is_empty()).then_some(mounts),
            ..Container::default()
        }
    }
}

/// A variable with a field of the pod.
fn of_pod(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// Seconds by which a run of an engine is delayed. They depend on the engine alone.
fn spread_seconds(uid: &str) -> u64 {
    names::spread(uid) % (SPREAD_SECONDS + 1)
}
