//! Names, labels and annotations of the operator's objects, and their kinds.

use std::collections::BTreeMap;

use engine_core::digest::Hash;

/// Field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "memory-operator";
/// Label with the name of the engine that an object belongs to. Every watch of children selects objects with this
/// label.
pub const ENGINE_LABEL: &str = "memoryengine.io/engine";
/// Label with the name of the program that manages an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Label selector for the objects that the operator manages.
pub const WATCH_SELECTOR: &str = "app.kubernetes.io/managed-by=memory-operator,memoryengine.io/engine";
/// Annotation of the pod template with the hash of the configuration. When the hash changes, Kubernetes replaces the
/// pod.
pub const CONFIG_HASH_ANNOTATION: &str = "memoryengine.io/config-hash";
/// Annotation with the hash of everything that is applied to an object. The claim does not have it, because the claim
/// outlives its engine.
pub const APPLIED_HASH_ANNOTATION: &str = "memoryengine.io/applied-hash";

/// Annotation of a MemoryEngine with a hold of its mode, in JSON.
pub const FORCE_MODE_ANNOTATION: &str = "memoryengine.io/force-mode";
/// Annotation of a MemoryEngine: the hash of an update of its pod that may be applied.
pub const APPROVE_UPDATE_ANNOTATION: &str = "memoryengine.io/approve-update";
/// Annotation of a MemoryEngine: the hash of a retention plan that may be carried out.
pub const APPROVE_RETENTION_ANNOTATION: &str = "memoryengine.io/approve-retention";
/// Annotation of a MemoryEngine: why it is about to be deleted. Its tombstone says so.
pub const DELETION_REASON_ANNOTATION: &str = "memoryengine.io/deletion-reason";
/// Annotation of the StatefulSet: the pod template as the operator applied it, and from which spec.
pub const RENDERED_ANNOTATION: &str = "memoryengine.io/rendered";
/// Annotation of a MemoryEngine: what somebody wants of a rollout.
pub const ROLLOUT_ANNOTATION: &str = "memoryengine.io/rollout";
/// Annotation of a StatefulSet: the revision that it runs, in JSON, and those that it may be changed to.
pub const REVISION_ANNOTATION: &str = "memoryengine.io/revision";
/// Annotation of a MemoryEngine: a time, RFC 3339. An authority that is older is replaced.
pub const ROTATE_AUTHORITY_ANNOTATION: &str = "memoryengine.io/rotate-authority";
/// Annotation of a pod: which certificate it should have. A change of it makes the kubelet deliver the files of the
/// Secret at once, instead of within a minute and a half.
pub const CERTIFICATE_ANNOTATION: &str = "memoryengine.io/certificate";
/// Annotation of the Secret with the operator's token: when the token was made, RFC 3339.
pub const ISSUED_AT_ANNOTATION: &str = "memoryengine.io/issued-at";
/// Annotation of that Secret: the request for which the token was made.
pub const ROTATION_ANNOTATION: &str = "memoryengine.io/rotation-request";
/// Label of scheduled Jobs and their pods, with a word for what they do.
pub const JOB_LABEL: &str = "memoryengine.io/job";
/// Label of a pod that clients outside of the cluster may reach. Only the public Service selects it.
pub const PUBLIC_LABEL: &str = "memoryengine.io/public";
/// Value of that label.
pub const PUBLIC_VALUE: &str = "true";
/// Annotation of the claim: the record of the log on its volume, in JSON.
pub const ANCHOR_ANNOTATION: &str = "memoryengine.io/anchor";
/// Key in the anchor's ConfigMap, and name of the file that the engine reads at its start.
pub const ANCHOR_FILE: &str = "anchor.json";

/// Name of the engine's container in its pod. The pod may have other containers.
pub const ENGINE_CONTAINER: &str = "engine";

/// Finalizer of a MemoryEngine whose spec asks for a last backup before it is deleted.
pub const FINALIZER: &str = "memoryengine.io/final-backup";
/// Name of the container that restores a log before the first start.
pub const INIT_CONTAINER: &str = "restore";
/// Value of the label of Jobs that verify backups, and of their pods.
pub const VERIFY_JOB: &str = "verify";
/// Value of that label for drills of a canary, and the name of their container.
pub const DRILL_JOB: &str = "drill";
/// Digits of the hash of a backup in the name of the Job that verifies it before a deletion.
const BACKUP_DIGITS: usize = 6;

/// Port of the memory API.
pub const API_PORT: u16 = 8080;
/// Port of probes, metrics and the engine's report.
pub const ADMIN_PORT: u16 = 8081;

/// Port of the probes of an engine with TLS.
pub const PROBE_PORT: u16 = 8082;
/// Name of that port in the pod. A pod that has it serves its administration port with TLS.
pub const PROBE_PORT_NAME: &str = "probes";

/// Port of the memory API for clients outside of the cluster, of an engine that needs a ticket for them.
pub const TICKET_PORT: u16 = 8083;
/// Name of that port in the pod.
pub const TICKET_PORT_NAME: &str = "public";

/// API group of gateways and their routes.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// The kinds of the operator's objects. [`crate::children`] lists the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// The claim of the log's volume.
    PersistentVolumeClaim,
    /// The ServiceAccount of the pod, without a token.
    ServiceAccount,
    /// The ConfigMaps of the engine's configuration and of the anchor.
    ConfigMap,
    /// The Service of the API, and the headless Service of the pod.
    Service,
    /// The NetworkPolicy that restricts which clients can reach the pod.
    NetworkPolicy,
    /// The PodDisruptionBudget, which allows a drain to evict the pod.
    PodDisruptionBudget,
    /// The StatefulSet of the writer.
    StatefulSet,
    /// The way in through an ingress controller.
    Ingress,
    /// The order of a certificate from cert-manager. It is neither watched nor cached.
    Certificate,
    /// The Secrets of the certificates and of ages. They are neither watched nor cached.
    Secret,
    /// The way in through a gateway. Not every cluster has this kind, so it is neither watched nor cached.
    HttpRoute,
    /// How that gateway verifies the engine. Neither watched nor cached.
    BackendTlsPolicy,
    /// What a scheduled Job may do. The operator may read and write it only where it may use Secrets, so it is neither
    /// watched nor cached.
    Role,
    /// Who has such a role. Neither watched nor cached.
    RoleBinding,
    /// A scheduled Job. Neither watched nor cached.
    CronJob,
    /// The verification of the last backup before a deletion. Neither watched nor cached.
    Job,
}

impl ChildKind {
    /// API group, version, kind and plural.
    #[must_use]
    pub fn resource(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::PersistentVolumeClaim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::Certificate => ("cert-manager.io", "v1", "Certificate", "certificates"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::HttpRoute => (GATEWAY_GROUP, "v1", "HTTPRoute", "httproutes"),
            Self::BackendTlsPolicy => (GATEWAY_GROUP, "v1", "BackendTLSPolicy", "backendtlspolicies"),
            Self::Role => ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
            Self::RoleBinding => ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
            Self::CronJob => ("batch", "v1", "CronJob", "cronjobs"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
        }
    }

    /// Name of the kind in Kubernetes.
    #[must_use]
    pub fn kind(self) -> &'static str {
        self.resource().2
    }
}

/// One child by kind and name, in the namespace of the engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey {
    /// Kind of the child.
    pub kind: ChildKind,
    /// Name of the child.
    pub name: String,
}

impl std::fmt::Display for ChildKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.kind(), self.name)
    }
}

/// Value of the label with the name of an application, for the pods of Jobs. It is not that of the engine: no Service,
/// NetworkPolicy and monitor of the engine may select these pods.
pub const JOB_NAME: &str = "memory-engine-job";

/// Name of the claim.
#[must_use]
pub fn claim(engine: &str) -> String {
    format!("{engine}-data")
}

/// Name of the ConfigMap.
#[must_use]
pub fn config_map(engine: &str) -> String {
    format!("{engine}-config")
}

/// Name of the ConfigMap with the history that the log must extend.
#[must_use]
pub fn anchor_config_map(engine: &str) -> String {
    format!("{engine}-anchor")
}

/// The ConfigMap that says what is left of an engine that was deleted.
#[must_use]
pub fn tombstone(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::ConfigMap, name: format!("{engine}-tombstone") }
}

/// Name of the Service that gives the pod its own DNS name.
#[must_use]
pub fn headless_service(engine: &str) -> String {
    format!("{engine}-headless")
}

/// Name of the Service that clients outside of the cluster reach.
#[must_use]
pub fn public_service(engine: &str) -> String {
    format!("{engine}-public")
}

/// The ConfigMap with the certificates of the authorities that clients verify the engine with.
#[must_use]
pub fn authorities_config_map(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::ConfigMap, name: format!("{engine}-ca") }
}

/// The route of a gateway.
#[must_use]
pub fn http_route(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::HttpRoute, name: engine.to_owned() }
}

/// How the gateway of that route verifies the engine.
#[must_use]
pub fn backend_tls_policy(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::BackendTlsPolicy, name: engine.to_owned() }
}

/// The Secret of the engine's authority, which no pod mounts.
#[must_use]
pub fn authority_secret(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::Secret, name: format!("{engine}-authority") }
}

/// The Secret of the certificate, which the pod mounts.
#[must_use]
pub fn certificate_secret(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::Secret, name: format!("{engine}-tls") }
}

/// A Secret of this name.
#[must_use]
pub fn secret(name: &str) -> ChildKey {
    ChildKey { kind: ChildKind::Secret, name: name.to_owned() }
}

/// The Secret with the copy of a given certificate, which the pod mounts.
#[must_use]
pub fn api_certificate_secret(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::Secret, name: format!("{engine}-api-tls") }
}

/// The `Certificate` of cert-manager, and the Secret that it fills.
#[must_use]
pub fn certificate_order(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::Certificate, name: format!("{engine}-api") }
}

/// The Secret with the ages of values of other Secrets, which no pod mounts.
#[must_use]
pub fn ages_secret(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::Secret, name: format!("{engine}-secret-ages") }
}

/// The Secret with the token that the operator makes for the administration port.
#[must_use]
pub fn admin_token_secret(engine: &str) -> ChildKey {
    secret(&format!("{engine}-admin-token"))
}

/// Name of the objects of a scheduled rotation.
#[must_use]
pub fn rotation(engine: &str) -> String {
    format!("{engine}-rotate")
}

/// The ConfigMap in which a Job asks for a rotation.
#[must_use]
pub fn rotation_request(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::ConfigMap, name: rotation(engine) }
}

/// Name of the objects of a Job that asks for a backup.
#[must_use]
pub fn backup(engine: &str) -> String {
    format!("{engine}-backup")
}

/// The ConfigMap in which a Job asks for a backup.
#[must_use]
pub fn backup_request(engine: &str) -> ChildKey {
    ChildKey { kind: ChildKind::ConfigMap, name: backup(engine) }
}

/// Name of the objects of a Job that verifies a backup.
#[must_use]
pub fn verification(engine: &str) -> String {
    format!("{engine}-verify")
}

/// The Job that verifies a last backup before a deletion. Each backup has a Job of its own: if the log has grown, a
/// verdict about the backup before says nothing.
#[must_use]
pub fn final_verification(engine: &str, backup: &str) -> ChildKey {
    let hash = Hash::of(backup.as_bytes()).to_string();
    ChildKey { kind: ChildKind::Job, name: format!("{engine}-final-{}", &hash[..BACKUP_DIGITS]) }
}

/// Name of the objects of drills of a canary.
#[must_use]
pub fn drill(engine: &str) -> String {
    format!("{engine}-drill")
}

/// The Job of the drills before a step of a rollout.
#[must_use]
pub fn drill_run(engine: &str, id: &str) -> ChildKey {
    ChildKey { kind: ChildKind::Job, name: format!("{engine}-drill-{id}") }
}

/// Labels of the pods of drills of one engine, by which the canary knows them.
#[must_use]
pub fn drill_selector(engine: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), JOB_NAME.to_owned()),
        (ENGINE_LABEL.to_owned(), engine.to_owned()),
        (JOB_LABEL.to_owned(), DRILL_JOB.to_owned()),
    ])
}

/// Name of the objects of a task that is done on a schedule.
#[must_use]
pub fn upkeep(engine: &str, word: &str) -> String {
    format!("{engine}-{word}")
}

/// The ConfigMap in which a Job asks for such a task.
#[must_use]
pub fn upkeep_request(engine: &str, word: &str) -> ChildKey {
    ChildKey { kind: ChildKind::ConfigMap, name: upkeep(engine, word) }
}

/// A number that depends on a uid alone, for times that must not be the same for every engine.
#[must_use]
pub fn spread(uid: &str) -> u64 {
    let bytes = Hash::of(uid.as_bytes()).0;
    u16::from_be_bytes([bytes[0], bytes[1]]).into()
}

/// Name of an engine under which the operator verifies its certificate.
#[must_use]
pub fn server_name(engine: &str, namespace: &str) -> String {
    format!("{engine}.{namespace}.svc")
}

/// Labels that select the pods of one engine. They never change: a StatefulSet's selector is immutable.
#[must_use]
pub fn selector(engine: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "memory-engine".to_owned()),
        ("app.kubernetes.io/instance".to_owned(), engine.to_owned()),
        (ENGINE_LABEL.to_owned(), engine.to_owned()),
    ])
}

/// Name of the objects of the readers.
#[must_use]
pub fn readers(engine: &str) -> String {
    format!("{engine}-readers")
}

/// Labels that select the readers of one engine. The Services of the writer do not select them.
#[must_use]
pub fn reader_selector(engine: &str) -> BTreeMap<String, String> {
    let mut labels = selector(engine);
    labels.insert("app.kubernetes.io/name".to_owned(), "memory-reader".to_owned());
    labels
}

/// Name of the objects of the standby.
#[must_use]
pub fn standby(engine: &str) -> String {
    format!("{engine}-standby")
}

/// Name of the pod of the standby.
#[must_use]
pub fn standby_pod(engine: &str) -> String {
    format!("{}-0", standby(engine))
}

/// Labels that select the standby of one engine. No Service selects it.
#[must_use]
pub fn standby_selector(engine: &str) -> BTreeMap<String, String> {
    let mut labels = selector(engine);
    labels.insert("app.kubernetes.io/name".to_owned(), "memory-standby".to_owned());
    labels
}

/// Name of the objects of the canary.
#[must_use]
pub fn canary(engine: &str) -> String {
    format!("{engine}-canary")
}

/// Labels that select the canary of one engine. No Service for clients selects it.
#[must_use]
pub fn canary_selector(engine: &str) -> BTreeMap<String, String> {
    let mut labels = selector(engine);
    labels.insert("app.kubernetes.io/name".to_owned(), "memory-canary".to_owned());
    labels
}

/// Labels of every object of one engine.
#[must_use]
pub fn labels(engine: &str) -> BTreeMap<String, String> {
    let mut labels = selector(engine);
    labels.insert(MANAGED_BY_LABEL.to_owned(), FIELD_MANAGER.to_owned());
    labels
}
