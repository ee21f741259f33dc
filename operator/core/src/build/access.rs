//! How the keys of clients and the token of the administration port reach the engine: one projected volume with a
//! directory for each client.

use crds::Access;
use k8s_openapi::api::core::v1::{
    KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeMount, VolumeProjection,
};

use crate::secrets::{Purpose, Reference, entries};

/// Name of the volume.
const VOLUME: &str = "access";
/// Where the pod mounts it.
const DIRECTORY: &str = "/etc/memory-engine/access";
/// Directory of the administrator's token in the volume. No client can have this name.
const ADMINISTRATOR: &str = "admin_token";
/// Names of the files, whatever the entries of the Secrets are called.
const TOKEN_FILE: &str = "token";
const PREVIOUS_FILE: &str = "token.previous";
/// Only the engine's user and group read a key: the engine refuses a file that others can read.
const MODE: i32 = 0o440;

/// Path of the file of an entry, relative to the volume.
fn path_in_volume(client: &str, purpose: Purpose) -> String {
    let file = if purpose == Purpose::PreviousClient { PREVIOUS_FILE } else { TOKEN_FILE };
    format!("{client}/{file}")
}

/// Paths of the files with the keys of a client in the pod: the present one, and the one that a rotation replaces.
pub(super) fn key_paths(client: &str) -> Vec<String> {
    [Purpose::Client, Purpose::PreviousClient]
        .map(|purpose| format!("{DIRECTORY}/{}", path_in_volume(client, purpose)))
        .to_vec()
}

/// Path of the file with the administrator's token in the pod.
pub(super) fn admin_token_path() -> String {
    format!("{DIRECTORY}/{}", path_in_volume(ADMINISTRATOR, Purpose::Administrator))
}

/// The volume with all keys; none if the spec names no key. Each entry is a source of its own, because only the
/// previous keys may be missing: for any other, the kubelet waits and names it in an event.
pub(super) fn volume(access: &Access) -> Option<Volume> {
    let sources: Vec<_> = entries(access).iter().map(source).collect();
    (!sources.is_empty()).then(|| Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(MODE), sources: Some(sources) }),
        ..Volume::default()
    })
}

fn source(entry: &Reference) -> VolumeProjection {
    let path = path_in_volume(entry.client.as_deref().unwrap_or(ADMINISTRATOR), entry.purpose);
    VolumeProjection {
        secret: Some(SecretProjection {
            name: entry.secret.clone(),
            items: Some(vec![KeyToPath { key: entry.key.clone(), path, mode: None }]),
            optional: (entry.purpose == Purpose::PreviousClient).then_some(true),
        }),
        ..VolumeProjection::default()
    }
}

/// Mounts the whole directory. A mount of a file alone would not follow a change of the Secret.
pub(super) fn mount(access: &Access) -> Option<VolumeMount> {
    volume(access).map(|volume| VolumeMount {
        name: volume.name,
        mount_path: DIRECTORY.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    })
}
