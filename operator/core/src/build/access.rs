//! How the keys of clients and the token of the administration port reach the engine: one projected volume with a
//! directory for each client.

use crds::{AccessIssuer, KeyReference};
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, KeyToPath, ProjectedVolumeSource, SecretProjection, ServiceAccountTokenProjection,
    Volume, VolumeMount, VolumeProjection,
};

use engine_core::digest::Hash;

use crate::{
    secrets::{PREVIOUS, Purpose, Reference, entries},
    validate::Valid,
};

/// Name of the volume.
const VOLUME: &str = "access";
/// Where the pod mounts it.
const DIRECTORY: &str = "/etc/memory-engine/access";
/// Directories of the administrator's token and of that of readers in the volume. No client can have these names.
const ADMINISTRATOR: &str = "admin_token";
const READER: &str = "reader_token";
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

/// Directory of the authorities that sign certificates of clients, and of the files of an issuer. No client can have
/// these names.
const CLIENT_AUTHORITY: &str = "client_authority";
const ISSUER: &str = "issuer_";
/// Names of the files of an issuer.
const AUTHORITIES_FILE: &str = "ca.crt";
const KEYS_FILE: &str = "jwks.json";
/// Lifetime of the token that the engine presents to the API server, seconds. The kubelet replaces it before.
const TOKEN_SECONDS: i64 = 3_600;

/// Number of digits that tell issuers apart.
const ISSUER_DIGITS: usize = 16;

/// A file of an issuer. Its directory is named after everything that the files depend on: the configuration reaches a
/// pod before new files do, and must never name the files of another issuer meanwhile.
fn issuer_file(issuer: &AccessIssuer, file: &str) -> String {
    let AccessIssuer { issuer: url, ca_config_map_ref, keys_config_map_ref, service_account_token, .. } =
        issuer;
    let parts = format!("{url:?} {ca_config_map_ref:?} {keys_config_map_ref:?} {service_account_token}");
    format!("{ISSUER}{}/{file}", &Hash::of(parts.as_bytes()).to_string()[..ISSUER_DIGITS])
}

/// Path of the file with the keys of an issuer in the pod.
pub(super) fn issuer_keys_path(issuer: &AccessIssuer) -> String {
    format!("{DIRECTORY}/{}", issuer_file(issuer, KEYS_FILE))
}

/// Path of the file with the authorities for an issuer in the pod.
pub(super) fn issuer_authorities_path(issuer: &AccessIssuer) -> String {
    format!("{DIRECTORY}/{}", issuer_file(issuer, AUTHORITIES_FILE))
}

/// Path of the file with the token for an issuer in the pod.
pub(super) fn issuer_token_path(issuer: &AccessIssuer) -> String {
    format!("{DIRECTORY}/{}", issuer_file(issuer, TOKEN_FILE))
}

/// Path of the file with the authorities of clients in the pod.
pub(super) fn client_authority_path() -> String {
    format!("{DIRECTORY}/{CLIENT_AUTHORITY}/{AUTHORITIES_FILE}")
}

/// The files of an issuer. None is optional: the kubelet waits for a ConfigMap and names it in an event.
fn issuer_sources(issuer: &AccessIssuer) -> impl Iterator<Item = VolumeProjection> {
    let config_map = |reference: &KeyReference, file| VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: reference.name.clone(),
            items: Some(vec![KeyToPath {
                key: reference.key.clone(),
                path: issuer_file(issuer, file),
                mode: None,
            }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let keys = issuer.keys_config_map_ref.as_ref().map(|reference| config_map(reference, KEYS_FILE));
    let authorities =
        issuer.ca_config_map_ref.as_ref().map(|reference| config_map(reference, AUTHORITIES_FILE));
    let token = issuer.service_account_token.then(|| VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            // The audience of the API server.
            audience: None,
            expiration_seconds: Some(TOKEN_SECONDS),
            path: issuer_file(issuer, TOKEN_FILE),
        }),
        ..VolumeProjection::default()
    });
    keys.into_iter().chain(authorities).chain(token)
}

fn client_authority_source(reference: &KeyReference) -> VolumeProjection {
    VolumeProjection {
        secret: Some(SecretProjection {
            name: reference.name.clone(),
            items: Some(vec![KeyToPath {
                key: reference.key.clone(),
                path: format!("{CLIENT_AUTHORITY}/{AUTHORITIES_FILE}"),
                mode: None,
            }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    }
}

/// Path of the file with the administrator's token in the pod.
pub(super) fn admin_token_path() -> String {
    format!("{DIRECTORY}/{}", path_in_volume(ADMINISTRATOR, Purpose::Administrator))
}

/// Path of the file with the token of readers in the pod.
pub(super) fn reader_token_path() -> String {
    format!("{DIRECTORY}/{}", path_in_volume(READER, Purpose::Reader))
}

/// The volume with all keys; none if the spec names no key. Each entry is a source of its own, because only the
/// previous keys may be missing: for any other, the kubelet waits and names it in an event.
pub(super) fn volume(valid: &Valid) -> Option<Volume> {
    let access = valid.access.as_ref()?;
    let issuers = access.issuers.iter().flat_map(issuer_sources);
    let authority = access.client_authority_secret_ref.as_ref().map(client_authority_source);
    let all: Vec<_> = entries(access)
        .iter()
        .flat_map(|entry| sources(entry, valid.rotation.is_some()))
        .chain(issuers)
        .chain(authority)
        .collect();
    (!all.is_empty()).then(|| Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(MODE), sources: Some(all) }),
        ..Volume::default()
    })
}

/// The file of an entry; for the administrator's token that the operator makes also the one that a rotation replaces.
fn sources(entry: &Reference, is_rotated: bool) -> Vec<VolumeProjection> {
    let of_no_client = if entry.purpose == Purpose::Reader { READER } else { ADMINISTRATOR };
    let directory = entry.client.as_deref().unwrap_or(of_no_client);
    let is_previous = entry.purpose == Purpose::PreviousClient;
    let present = source(&entry.secret, &entry.key, path_in_volume(directory, entry.purpose), is_previous);
    // Of a token that the operator does not make, the entry beside it may be anything, and is not examined.
    let is_made = entry.purpose == Purpose::Administrator && is_rotated;
    let previous = is_made.then(|| {
        source(
            &entry.secret,
            &format!("{}{PREVIOUS}", entry.key),
            format!("{directory}/{PREVIOUS_FILE}"),
            true,
        )
    });
    std::iter::once(present).chain(previous).collect()
}

fn source(secret: &str, key: &str, path: String, is_optional: bool) -> VolumeProjection {
    VolumeProjection {
        secret: Some(SecretProjection {
            name: secret.to_owned(),
            items: Some(vec![KeyToPath { key: key.to_owned(), path, mode: None }]),
            optional: is_optional.then_some(true),
        }),
        ..VolumeProjection::default()
    }
}

/// Mounts the whole directory. A mount of a file alone would not follow a change of the Secret.
pub(super) fn mount(valid: &Valid) -> Option<VolumeMount> {
    volume(valid).map(|volume| VolumeMount {
        name: volume.name,
        mount_path: DIRECTORY.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    })
}
