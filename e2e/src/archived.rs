//! Engines with an archive on the object store of the local cluster: what a platform team makes for them, and the Jobs
//! that take and verify backups.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{BackupPhase, MemoryBackup};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::deploy::{OPERATOR_NAMESPACE, apply, kubectl};
use crate::object_store::ObjectStore;
use crate::wait::until;

/// Longest run of a Job: the spread of its begin, the image, and the work.
const JOB_LIMIT: Duration = Duration::from_secs(180);
/// Time until the operator has written what a Job has found.
const RECORD_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a key-encryption key.
const KEY_BYTES: usize = 32;
/// Names of the objects that an engine refers to.
const CREDENTIALS: &str = "objects";
const AUTHORITY: &str = "objects-ca";
const ENCRYPTION: &str = "encryption";
const ENCRYPTION_ENTRY: &str = "key";

/// A bucket, and the key with which what is in it is encrypted. It outlives every namespace.
pub struct ArchiveStore {
    /// The object store.
    pub objects: ObjectStore,
    /// Name of the bucket.
    pub bucket: String,
    encryption_key: String,
}

impl ArchiveStore {
    /// A new, empty bucket of the shared store.
    ///
    /// # Errors
    /// The store cannot be deployed.
    pub async fn made(cluster: &Cluster, bucket: &str) -> Result<Self> {
        Self::of(ObjectStore::deployed(cluster).await?, bucket).await
    }

    /// A new, empty bucket of this store.
    ///
    /// # Errors
    /// The bucket cannot be made.
    pub async fn of(objects: ObjectStore, bucket: &str) -> Result<Self> {
        let bucket = objects.bucket(bucket).await?;
        let mut bytes = [0; KEY_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let encryption_key = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { objects, bucket, encryption_key })
    }

    /// Gives a namespace what engines in it need: the permission of the operator, credentials, the authority of the
    /// store, and the key.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn give(&self, cluster: &Cluster, namespace: &str) -> Result<()> {
        let secret = |name: &str, data: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "stringData": data,
                "metadata": {"name": name, "namespace": namespace},
            })
        };
        let credentials = json!({
            "access_key_id": self.objects.access_key(), "secret_access_key": self.objects.secret_key(),
        });
        let objects = [
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "memory-operator-secrets", "namespace": namespace},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                    "name": "memory-operator-secrets",
                },
                "subjects": [{
                    "kind": "ServiceAccount", "name": "memory-operator", "namespace": OPERATOR_NAMESPACE,
                }],
            }),
            secret(CREDENTIALS, credentials),
            secret(ENCRYPTION, json!({ENCRYPTION_ENTRY: self.encryption_key})),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": AUTHORITY, "namespace": namespace},
                "data": {"ca.crt": self.objects.ca_pem()},
            }),
        ];
        for object in objects {
            apply(cluster, &object.to_string()).await?;
        }
        Ok(())
    }

    /// The store, as a spec names it.
    #[must_use]
    pub fn destination(&self) -> Value {
        json!({
            "url": format!("s3://{}/memories", self.bucket),
            "endpoint": self.objects.endpoint(),
            "credentialsSecretRef": {"name": CREDENTIALS},
            "caConfigMapRef": {"name": AUTHORITY, "key": "ca.crt"},
        })
    }

    /// `spec.backup` of an engine that is archived here.
    #[must_use]
    pub fn backup(&self, interval_seconds: u32) -> Value {
        json!({
            "destination": self.destination(), "keyEncryptionKeySecretRef": encryption_key(),
            "archiveIntervalSeconds": interval_seconds,
        })
    }

    /// `spec.bootstrap` of an engine that begins with what is here. `record` is what is known about it elsewhere.
    #[must_use]
    pub fn bootstrap(&self, record: Option<&MemoryBackup>, reason: &str) -> Value {
        let least = record.map(|record| json!({"size": record.spec.size, "root": record.spec.root}));
        let mut from = json!({
            "source": self.destination(), "keyEncryptionKeySecretRef": encryption_key(), "reason": reason,
        });
        if let Some(least) = least {
            from["atLeast"] = least;
        }
        json!({"fromBackup": from})
    }
}

fn encryption_key() -> Value {
    json!({"name": ENCRYPTION, "key": ENCRYPTION_ENTRY})
}

/// Without the key: failures of tests are printed.
impl std::fmt::Debug for ArchiveStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveStore").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// The Jobs of an engine's backups.
pub struct Jobs<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Client of its API server.
    pub client: Client,
    /// Namespace of the engine.
    pub namespace: &'a str,
}

impl std::fmt::Debug for Jobs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Jobs<'_> {
    /// The API of a kind in the namespace.
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Creates a Job from a CronJob as a person does, waits until it has ended, and returns its verdict.
    ///
    /// # Errors
    /// It does not end, or has no verdict.
    pub async fn run(&self, cron_job: &str, name: &str) -> Result<Value> {
        let from = format!("--from=cronjob/{cron_job}");
        kubectl(self.cluster, &["-n", self.namespace, "create", "job", name, &from]).await?;
        until(&format!("the Job {name} has ended"), JOB_LIMIT, async || {
            let status = self.api::<Job>().get(name).await?.status.unwrap_or_default();
            let has_ended = status
                .conditions
                .unwrap_or_default()
                .iter()
                .any(|one| ["Complete", "Failed"].contains(&one.type_.as_str()) && one.status == "True");
            Ok(has_ended.then_some(()))
        })
        .await?;
        let selected = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
        let pods = self.api::<Pod>().list(&selected).await?.items;
        let statuses = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
        let messages: Vec<_> = statuses.filter_map(|status| status.state?.terminated?.message).collect();
        let message = messages.last().context("a termination message")?;
        serde_json::from_str(message).with_context(|| message.clone())
    }

    /// The record of a backup once it has this phase.
    ///
    /// # Errors
    /// It does not get it.
    pub async fn record(&self, name: &str, phase: BackupPhase) -> Result<MemoryBackup> {
        until(&format!("{name} is {phase:?}"), RECORD_LIMIT, async || {
            let record = self.api::<MemoryBackup>().get(name).await?;
            let is_so = record.status.as_ref().and_then(|status| status.phase) == Some(phase);
            Ok(is_so.then_some(record))
        })
        .await
    }

    /// Takes a backup of an engine; returns its record.
    ///
    /// # Errors
    /// It is not taken, or not recorded.
    pub async fn take(&self, engine: &str, job: &str) -> Result<MemoryBackup> {
        let verdict = self.run(&format!("{engine}-backup"), job).await?;
        ensure!(verdict["verdict"] == "Done", "{verdict}");
        let name = verdict["result"].as_str().context("the name of a record")?.to_owned();
        self.record(&name, BackupPhase::Taken).await
    }

    /// Verifies the newest backup of an engine; returns its record and the verdict.
    ///
    /// # Errors
    /// It does not verify.
    pub async fn verify(&self, engine: &str, job: &str, name: &str) -> Result<(MemoryBackup, Value)> {
        let verdict = self.run(&format!("{engine}-verify"), job).await?;
        ensure!(verdict["ok"] == true, "{verdict}");
        Ok((self.record(name, BackupPhase::Verified).await?, verdict))
    }
}
