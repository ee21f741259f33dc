//! What a container needs to use an archive: the section of the configuration or the arguments of a command, the files
//! of secrets, and the volume, if the archive is on one.

use crds::{BackupDestination, KeyReference};
use engine_core::configuration::Backup;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
    VolumeMount,
};

use crate::secrets::credential_entries;

/// Names of the files, whatever the entries are called.
const KEY_FILE: &str = "key";
const AUTHORITIES_FILE: &str = "ca.crt";
/// Only the engine's user and group read a secret: the engine refuses a file that others can read.
const SECRET_MODE: i32 = 0o440;
const CONFIG_MAP_MODE: i32 = 0o444;

/// An archive as a container uses it. `part` is a word in the names of its volumes and directories.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreAccess<'a> {
    pub(super) part: &'static str,
    pub(super) store: &'a BackupDestination,
    pub(super) encryption_key: Option<&'a KeyReference>,
}

fn directory(part: &str, what: &str) -> String {
    format!("/run/memory-engine/{part}-{what}")
}

/// Where the pod mounts a volume with an archive.
fn archive_directory(part: &str) -> String {
    format!("/var/lib/memory-engine/{part}")
}

/// Name of a volume with an archive.
pub(super) fn archive_volume(part: &str) -> String {
    format!("{part}-archive")
}

/// The section of the configuration for a store. Paths are those in the pod.
#[must_use]
pub(crate) fn store_section(part: &str, store: &BackupDestination, is_encrypted: bool) -> Backup {
    let BackupDestination {
        url,
        volume,
        keys_url,
        endpoint,
        region,
        path_style,
        credentials_secret_ref,
        ca_config_map_ref,
    } = store.clone();
    let is_plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    Backup {
        url: url.or_else(|| volume.map(|_| format!("file://{}", archive_directory(part)))),
        keys_url,
        endpoint,
        region,
        allow_http: is_plain.then_some(true),
        path_style,
        credentials_directory: credentials_secret_ref.map(|_| directory(part, "credentials")),
        ca_file: ca_config_map_ref.map(|_| format!("{}/{AUTHORITIES_FILE}", directory(part, "ca"))),
        key_encryption_key_file: is_encrypted.then(|| format!("{}/{KEY_FILE}", directory(part, "key"))),
        ..Backup::default()
    }
}

impl StoreAccess<'_> {
    pub(super) fn section(&self) -> Backup {
        store_section(self.part, self.store, self.encryption_key.is_some())
    }

    /// The arguments of `memory-engine backup` for this store.
    pub(super) fn args(&self) -> Vec<String> {
        let section = self.section();
        let values = [
            ("store", section.url.as_ref()),
            ("keys-store", section.keys_url.as_ref()),
            ("endpoint", section.endpoint.as_ref()),
            ("region", section.region.as_ref()),
            ("credentials-directory", section.credentials_directory.as_ref()),
            ("ca-file", section.ca_file.as_ref()),
            ("key-encryption-key-file", section.key_encryption_key_file.as_ref()),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?)));
        let switches = [
            ("allow-http", section.allow_http == Some(true)),
            ("virtual-hosts", section.path_style == Some(false)),
        ];
        let switches = switches.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| format!("--{name}"));
        values.chain(switches).collect()
    }

    /// Port of the store, if it is reached over the network.
    pub(super) fn port(&self) -> Option<u16> {
        self.store.url.as_ref()?;
        let address = self.store.endpoint.as_deref().and_then(engine_core::configuration::Address::of);
        Some(address.map_or(HTTPS_PORT, |address| address.port))
    }

    fn parts(&self) -> Vec<(Volume, VolumeMount)> {
        let (part, store) = (self.part, self.store);
        let credentials = store.credentials_secret_ref.as_ref().map(|secret| {
            let items = credential_entries(store).into_iter().map(|entry| item(entry, entry)).collect();
            mounted(part, "credentials", secret_volume(&secret.name, items))
        });
        let key = self
            .encryption_key
            .map(|key| mounted(part, "key", secret_volume(&key.name, vec![item(&key.key, KEY_FILE)])));
        let authorities = store.ca_config_map_ref.as_ref().map(|reference| {
            let config_map = ConfigMapVolumeSource {
                name: reference.name.clone(),
                items: Some(vec![item(&reference.key, AUTHORITIES_FILE)]),
                default_mode: Some(CONFIG_MAP_MODE),
                optional: None,
            };
            mounted(part, "ca", Volume { config_map: Some(config_map), ..Volume::default() })
        });
        let archive = store.volume.as_ref().map(|volume| {
            let claim =
                PersistentVolumeClaimVolumeSource { claim_name: volume.claim_name.clone(), read_only: None };
            let name = archive_volume(part);
            let mount = VolumeMount {
                name: name.clone(),
                mount_path: archive_directory(part),
                ..VolumeMount::default()
            };
            (Volume { name, persistent_volume_claim: Some(claim), ..Volume::default() }, mount)
        });
        credentials.into_iter().chain(key).chain(authorities).chain(archive).collect()
    }

    /// The volumes of the pod.
    pub(super) fn volumes(&self) -> Vec<Volume> {
        self.parts().into_iter().map(|(volume, _)| volume).collect()
    }

    /// The mounts of the container.
    pub(super) fn mounts(&self) -> Vec<VolumeMount> {
        self.parts().into_iter().map(|(_, mount)| mount).collect()
    }
}

/// Port of stores without an `endpoint`.
const HTTPS_PORT: u16 = 443;

fn item(key: &str, path: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None }
}

/// The Secret is not optional: the kubelet waits for it and names it in an event.
fn secret_volume(secret: &str, items: Vec<KeyToPath>) -> Volume {
    Volume {
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: Some(items),
            default_mode: Some(SECRET_MODE),
            optional: None,
        }),
        ..Volume::default()
    }
}

/// Mounts the whole directory. A mount of a file alone would not follow a change.
fn mounted(part: &str, what: &str, volume: Volume) -> (Volume, VolumeMount) {
    let name = format!("{part}-{what}");
    let mount = VolumeMount {
        name: name.clone(),
        mount_path: directory(part, what),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (Volume { name, ..volume }, mount)
}
