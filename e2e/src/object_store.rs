//! An S3-compatible object store on the local cluster: VersityGW, which honours conditional writes. It keeps objects as
//! plain files, so that a test can look at them, damage them and remove them behind the store's back.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::{Api, api::PostParams};
use tokio::process::Command;

use crate::cluster::{self, Cluster, Layout};
use crate::deploy::{apply, restricted_namespace};
use crate::lock::Lock;
use crate::steps::Steps;
use crate::wait::until;
use crate::{command, images, paths, tools};

mod files;
mod objects;

pub use files::StoredObject;
use objects::{NAME, access_secret, manifest};
pub use objects::{POD_LABEL, PORT};

/// Namespace of the store that tests share. Policies select it by its label `kubernetes.io/metadata.name`.
pub const NAMESPACE: &str = "object-store";
/// Longest start of the pod, with a new volume, beside other tests.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// Longest request. The store answers within milliseconds; a hang must still end.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for another process that deploys the store: the build of its program is part of that.
const DEPLOY_LIMIT: Duration = Duration::from_secs(1200);

/// A store that answers requests.
pub struct ObjectStore {
    cluster: Cluster,
    namespace: String,
    access_key: String,
    secret_key: String,
    ca_pem: String,
}

impl std::fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectStore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Builds the program and its image if they are not built yet, and loads the image if the local cluster is up.
///
/// # Errors
/// The program or the image does not build.
pub async fn prepare(steps: &Steps) -> Result<()> {
    tools::ensure_module("versitygw", steps).await?;
    images::ensure_object_store(&tools::program("versitygw")?, steps).await
}

impl ObjectStore {
    /// The store that tests share, in [`NAMESPACE`]. The first caller deploys it. A test that stops the store needs one
    /// of its own: [`ObjectStore::deployed_in`].
    ///
    /// # Errors
    /// The cluster is not the local one, or the store does not start.
    pub async fn deployed(cluster: &Cluster) -> Result<Self> {
        Self::deployed_in(cluster, NAMESPACE).await
    }

    /// The store of a namespace, which enforces the *restricted* Pod Security level. Credentials and certificate are
    /// made with the first deployment, at random.
    ///
    /// # Errors
    /// As [`ObjectStore::deployed`].
    pub async fn deployed_in(cluster: &Cluster, namespace: &str) -> Result<Self> {
        ensure!(cluster.is_local(), "the object store runs on the local cluster only");
        prepare(&Steps::start()).await?;
        // Two processes must not make two pairs of credentials.
        let lock = paths::state_dir().join("object-store.lock");
        let _lock = Lock::acquire(&lock, DEPLOY_LIMIT, "another deployment of the object store").await?;
        apply(cluster, &restricted_namespace(namespace)).await?;
        let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
        let secret = match secrets.get_opt(NAME).await? {
            Some(secret) => secret,
            None => secrets.create(&PostParams::default(), &access_secret(namespace)?).await?,
        };
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| {
            let value = data.get(key).with_context(|| format!("{key} is missing in the Secret"))?;
            anyhow::Ok(String::from_utf8(value.0.clone())?)
        };
        let store = Self {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            access_key: text("ROOT_ACCESS_KEY")?,
            secret_key: text("ROOT_SECRET_KEY")?,
            ca_pem: text("ca.crt")?,
        };
        store.start().await?;
        Ok(store)
    }

    /// The address under which pods reach the store. Buckets are named in the path.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}:{PORT}", self.host())
    }

    /// The authority of its certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Id of the access key.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret access key. Never print it.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// Options with which curl signs its requests, as the text of a file for `--config`. They have the secret.
    #[must_use]
    pub fn curl_options(&self) -> String {
        // curl of Debian 12 leaves out the header that the signature of S3 needs. TLS protects the payload.
        format!(
            "user = \"{}:{}\"\naws-sigv4 = \"aws:amz:us-east-1:s3\"\n\
             header = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"\n",
            self.access_key, self.secret_key
        )
    }

    /// Starts the store; returns when it answers requests.
    ///
    /// # Errors
    /// It does not answer in time.
    pub async fn start(&self) -> Result<()> {
        apply(&self.cluster, &manifest(&self.namespace, true)).await?;
        until("the object store answers", READY_LIMIT, async || {
            self.request("GET", "/health").await.map(|status| (status == 200).then_some(()))
        })
        .await
    }

    /// Stops the store; returns when its pod is gone. Connections are refused then. Objects stay.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(&self) -> Result<()> {
        apply(&self.cluster, &manifest(&self.namespace, false)).await?;
        until("the pod of the object store is gone", READY_LIMIT, async || {
            Ok(self.pods().get_opt(&self.pod_name()).await?.is_none().then_some(()))
        })
        .await
    }

    /// Makes an empty bucket and returns its name. A bucket of this name, of an earlier attempt, is removed.
    ///
    /// # Errors
    /// The store refuses the name, or does not run.
    pub async fn bucket(&self, name: &str) -> Result<String> {
        files::remove_bucket(&self.data().await?, name)?;
        let status = self.request("PUT", &format!("/{name}")).await?;
        ensure!(status == 200, "the store refuses the bucket {name}: status {status}");
        Ok(name.to_owned())
    }

    /// The objects of a bucket, by name. What a request that was not finished left behind is no object.
    ///
    /// # Errors
    /// There is no such bucket, or the store does not run.
    pub async fn objects(&self, bucket: &str) -> Result<Vec<StoredObject>> {
        files::objects(&self.data().await?, bucket)
    }

    /// Removes an object without the store's knowledge.
    ///
    /// # Errors
    /// There is no such object, or the store does not run.
    pub async fn remove(&self, bucket: &str, name: &str) -> Result<()> {
        files::remove(&self.data().await?, bucket, name)
    }

    /// Flips a bit of the byte in the middle of an object without the store's knowledge.
    ///
    /// # Errors
    /// There is no such object, it is empty, or the store does not run.
    pub async fn flip_byte(&self, bucket: &str, name: &str) -> Result<()> {
        files::flip_byte(&self.data().await?, bucket, name)
    }

    fn host(&self) -> String {
        format!("{NAME}.{}.svc", self.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client(), &self.namespace)
    }

    fn pod_name(&self) -> String {
        format!("{NAME}-0")
    }

    /// The folder of all buckets, as the store's process sees it. The node of the local cluster is this machine.
    async fn data(&self) -> Result<PathBuf> {
        let pod = self.pods().get(&self.pod_name()).await.context("the object store does not run")?;
        let pids = cluster::host_pids(&pod, Some(NAME))?;
        let pid = pids.first().context("the object store does not run")?;
        Ok(Path::new("/proc").join(pid.to_string()).join("root").join(objects::DATA.trim_start_matches('/')))
    }

    /// Sends a signed request from the node; returns the status of the answer.
    async fn request(&self, method: &str, path: &str) -> Result<u16> {
        let services: Api<Service> = Api::namespaced(self.cluster.client(), &self.namespace);
        let spec = services.get(NAME).await?.spec.unwrap_or_default();
        let address = spec.cluster_ip.context("the Service has no address")?;
        let files = tempfile::tempdir()?;
        let (authority, options) = (files.path().join("ca.crt"), files.path().join("options"));
        std::fs::write(&authority, &self.ca_pem)?;
        // In a file: arguments are visible to every process, and are part of error messages.
        std::fs::write(&options, self.curl_options())?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", Layout::from_env()?.network_namespace().display()));
        command.args(["curl", "--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null"]);
        command.args(["--write-out", "%{http_code}"]);
        command.arg("--config").arg(options).arg("--cacert").arg(authority);
        command.arg("--max-time").arg(REQUEST_LIMIT.as_secs().to_string());
        command.arg("--resolve").arg(format!("{}:{PORT}:{address}", self.host()));
        command.args(["--request", method]).arg(format!("{}{path}", self.endpoint())).stdin(Stdio::null());
        let printed = command::output(command, REQUEST_LIMIT * 2).await?;
        printed.trim().parse().with_context(|| format!("curl printed {printed:?}"))
    }
}
