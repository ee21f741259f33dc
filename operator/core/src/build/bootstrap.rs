//! The container that restores a log before the engine starts for the first time.

use crds::FromBackup;
use k8s_openapi::api::core::v1::{Container, VolumeMount};

use engine_core::digest::Hash;

use super::store::StoreAccess;
use crate::{names::INIT_CONTAINER, validate::Valid};

/// Word in the names of volumes and directories of the archive.
const PART: &str = "bootstrap";
/// File in which Kubernetes expects the verdict.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Digits of the id of a restore.
const ID_DIGITS: usize = 16;

/// The archive as the container uses it.
pub(super) fn access(from: &FromBackup) -> StoreAccess<'_> {
    StoreAccess {
        part: PART,
        store: &from.source,
        encryption_key: from.key_encryption_key_secret_ref.as_ref(),
    }
}

/// The id of the restore: what is to be restored. The same request restores once, so that the manifest may stay as it
/// is, and a request that asks for something else never takes an older restore for its own.
fn id(from: &FromBackup) -> String {
    let FromBackup { source, log_id, backup, until, at_least, .. } = from;
    let parts = format!("{:?} {:?} {log_id:?} {backup:?} {until:?} {at_least:?}", source.url, source.volume);
    Hash::of(parts.as_bytes()).to_string()[..ID_DIGITS].to_owned()
}

fn args(from: &FromBackup) -> Vec<String> {
    let mut args = ["backup", "restore", "--to=/data"].map(str::to_owned).to_vec();
    args.extend(access(from).args());
    args.extend([format!("--once={}", id(from)), format!("--termination-log={TERMINATION_LOG}")]);
    args.extend(from.log_id.as_ref().map(|id| format!("--log={id}")));
    args.extend(from.backup.as_ref().map(|name| format!("--backup={name}")));
    let until = from.until.as_ref();
    let until = until.and_then(|until| until.seq.map(|seq| seq.to_string()).or_else(|| until.time.clone()));
    args.extend(until.map(|until| format!("--until={until}")));
    args.extend(from.at_least.as_ref().map(|least| format!("--at-least={}:{}", least.size, least.root)));
    args.extend(from.reason.as_ref().map(|reason| format!("--reason={reason}")));
    args
}

/// The container; `None` if nothing is restored. Image, restrictions and resources are those of the engine.
pub(super) fn container(valid: &Valid, engine: &Container, data: VolumeMount) -> Option<Container> {
    let from = valid.bootstrap.as_ref()?;
    Some(Container {
        name: INIT_CONTAINER.to_owned(),
        image: engine.image.clone(),
        image_pull_policy: engine.image_pull_policy.clone(),
        args: Some(args(from)),
        security_context: engine.security_context.clone(),
        resources: engine.resources.clone(),
        volume_mounts: Some([data].into_iter().chain(access(from).mounts()).collect()),
        ..Container::default()
    })
}
