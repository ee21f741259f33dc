//! Where the log is archived, when backups are taken and verified, and from which backup an engine begins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::external_service::KeyReference;
use super::secrets::{SCHEDULE, TIME_ZONE, utc};
use super::upkeep::ScheduleInForce;
use crate::patterns::{DNS_SUBDOMAIN, NAME_LENGTH_MAX};
use crate::rules::Rule;

/// Address of a store: a bucket with or without a prefix.
const STORE_URL: &str = r"^(s3|gs|az)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]*)?$";
/// Address of the service of a store, for Azure with the account if the host does not have it.
const ENDPOINT: &str = r"^https?://[A-Za-z0-9.:\[\]-]+(/[a-z0-9]{3,24})?$";
/// Maximum length of an address, characters.
const URL_LENGTH_MAX: u32 = 512;
/// A hash: 64 lower-case hexadecimal digits.
const HASH: &str = "^[0-9a-f]{64}$";
/// Name of a backup.
const BACKUP_NAME: &str = "^manifests/[0-9]{20}-[0-9]{10}-[0-9a-f]{64}$";
/// Id of a log.
const LOG_ID: &str = "^[A-Za-z0-9-]+$";

/// A continuous archive of the log outside of its volume, and backups that are verified by restoring them. The operator
/// needs permission on Secrets and Jobs in this namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Where the archive is.
    pub destination: BackupDestination,

    /// Secret with the key to which the keys of the memories in the archive are encrypted: 32 bytes, in hexadecimal or
    /// base64. Without this key nobody can restore: keep a copy of it elsewhere. Defaults to none: who can read the
    /// archive can read the memories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_encryption_key_secret_ref: Option<KeyReference>,

    /// Seconds between two steps of the archive, 1 to 3,600. What is lost with the volume is at most this old. Defaults
    /// to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub archive_interval_seconds: Option<i32>,

    /// When a backup is taken, as a cron expression with the fields minute, hour, day of the month, month and day of
    /// the week, for example `15 2 * * *`, or `@daily`. Numbers only; Sunday is 0.
    #[serde(default = "daily")]
    #[schemars(length(min = 1, max = 128), regex(pattern = SCHEDULE))]
    pub schedule: String,

    /// Time zone of both schedules, for example `Europe/Berlin`. Defaults to `Etc/UTC`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: String,

    /// Whether both schedules are suspended. The archive goes on, and a Job that somebody creates runs.
    #[serde(default)]
    pub suspend: bool,

    /// When the newest backup is verified.
    #[serde(default)]
    pub verify: BackupVerification,

    /// A pod that restores the archive all the time, and compares what it has with the engine every 10 seconds. `{}`
    /// is enough. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<BackupStandby>,
}

/// A pod that restores the archive all the time: `NAME-standby-0`. It has the resources and the scheduling of the
/// writer, and a disk of the size and class of the writer's volume, which ends with the pod. No client is sent to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStandby {
    /// Seconds after which a comparison no longer counts, 60 to 86,400: then `StandbyVerified` is `Unknown`. Defaults
    /// to 600.
    #[serde(default = "standby_max_age_seconds")]
    #[schemars(range(min = 60, max = 86_400))]
    pub max_age_seconds: i32,
}

impl Default for BackupStandby {
    fn default() -> Self {
        Self { max_age_seconds: standby_max_age_seconds() }
    }
}

fn standby_max_age_seconds() -> i32 {
    600
}

/// When the newest backup is verified: a Job restores it into an empty volume, builds the projection, and compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupVerification {
    /// When, as a cron expression.
    #[serde(default = "daily_later")]
    #[schemars(length(min = 1, max = 128), regex(pattern = SCHEDULE))]
    pub schedule: String,

    /// Hours after which a verdict no longer counts, 1 to 8,760: then `BackupHealthy` is `Unknown`. Defaults to 72.
    #[serde(default = "max_age_hours")]
    #[schemars(range(min = 1, max = 8760))]
    pub max_age_hours: i32,
}

impl Default for BackupVerification {
    fn default() -> Self {
        Self { schedule: daily_later(), max_age_hours: max_age_hours() }
    }
}

fn daily() -> String {
    "0 2 * * *".to_owned()
}

fn daily_later() -> String {
    "0 4 * * *".to_owned()
}

fn max_age_hours() -> i32 {
    72
}

/// A store: a bucket, or a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupDestination {
    /// Address of a bucket: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` (Google) or `az://CONTAINER/PREFIX` (Azure).
    /// Several engines may use one bucket: each log has a folder of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = URL_LENGTH_MAX), regex(pattern = STORE_URL))]
    pub url: Option<String>,

    /// A volume instead of a bucket. It should not share its disk with the volume of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<BackupVolume>,

    /// Address of a bucket for the keys of the memories, if they are kept elsewhere. This bucket must have neither
    /// versions nor locks, so that what was forgotten is gone. Defaults to `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = URL_LENGTH_MAX), regex(pattern = STORE_URL))]
    pub keys_url: Option<String>,

    /// Address of the service of the buckets, for example `https://objects.example.org:9000`. With `http://` the keys
    /// of the memories are sent unencrypted unless there is a `keyEncryptionKeySecretRef`. Defaults to that of the
    /// provider: AWS, Google or Azure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = URL_LENGTH_MAX), regex(pattern = ENDPOINT))]
    pub endpoint: Option<String>,

    /// Region of the buckets. Defaults to `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: Option<String>,

    /// Whether the name of a bucket is in the path of requests, and not in the name of the host. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,

    /// Secret with the entries `access_key_id` and `secret_access_key`; for `gs://` with `service_account.json`, for
    /// `az://` with `account_name` and `access_key`. Defaults to what the platform gives the pod, such as a web
    /// identity; `az://` needs the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<BackupCredentials>,

    /// ConfigMap in the namespace of the engine with the authorities of the certificate of `endpoint`, PEM. Defaults to
    /// the authorities of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<KeyReference>,
}

/// A volume for an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupVolume {
    /// Name of a PersistentVolumeClaim in the namespace of the engine. Nobody but you creates or deletes it. The pods
    /// of the engine and of verifications mount it.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub claim_name: String,
}

/// A Secret with the credentials of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupCredentials {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
}

/// From what a new engine begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrap {
    /// A backup that is restored before the first start. The archive and the volume of its engine stay as they are.
    pub from_backup: FromBackup,
}

/// What is restored. With a volume that already has a log, nothing is restored: if that log was restored for this same
/// request the engine starts with it, otherwise it does not start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FromBackup {
    /// Where the archive is.
    pub source: BackupDestination,

    /// Secret with the key to which the keys of the memories in the archive are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_encryption_key_secret_ref: Option<KeyReference>,

    /// Id of the log. Needed only if the archive has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = LOG_ID))]
    pub log_id: Option<String>,

    /// Name of the backup: `spec.backup` of a MemoryBackup. Defaults to the newest one, with everything that was
    /// archived after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = BACKUP_NAME))]
    pub backup: Option<String>,

    /// Where the restored log ends. Defaults to everything that was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<RestoreUntil>,

    /// What the log must at least have, from outside of the archive: `spec.size` and `spec.root` of a MemoryBackup, an
    /// anchor, or a tombstone. An archive that was shortened or exchanged is then refused. Without it the condition
    /// `Restored` says that nothing vouches for what was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<RestoreAtLeast>,

    /// Why, for the record in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reason: Option<String>,
}

/// Where a restored log ends: at an event or at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreUntil {
    /// Number of the last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub seq: Option<i64>,

    /// A time, RFC 3339, for example `2026-01-31T12:00:00Z`. The last event is the last one that was recorded at or
    /// before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub time: Option<String>,
}

/// A tree of which the root is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreAtLeast {
    /// Number of events.
    #[schemars(range(min = 1))]
    pub size: i64,

    /// Root of the tree over them, 64 lower-case hexadecimal digits.
    #[schemars(length(min = 64, max = 64), regex(pattern = HASH))]
    pub root: String,
}

/// Backups of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// The newest backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_taken: Option<LastBackup>,

    /// The newest backup that a restore has verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified: Option<LastBackup>,

    /// The schedule of backups, and since when it is in force. Absent while it is suspended or the engine hibernates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleInForce>,

    /// When a backup is taken next, RFC 3339. Absent while the schedules are suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next_backup: Option<String>,

    /// When a backup is verified next, RFC 3339. Absent while the schedules are suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next_verification: Option<String>,

    /// What the standby has found. Absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<StandbyStatus>,
}

/// What a standby has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandbyStatus {
    /// Which archive it restores: a hash of the destination and of the name of the key-encryption key.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub archive: String,

    /// When it had the root of the engine last, RFC 3339. It is written anew when a quarter of `maxAgeSeconds` has
    /// passed; the metrics of the pod have the exact time. Absent before the first comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub verified_at: Option<String>,

    /// Number of events that it had when that was written.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub size: i64,

    /// How long its last rebuild took, from an empty disk until it answered reads, milliseconds: the recovery time.
    /// Absent before one has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub rebuild_millis: Option<i64>,

    /// Number of events of that rebuild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub rebuild_size: Option<i64>,
}

/// A backup, as the status of its engine shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastBackup {
    /// Name of the MemoryBackup.
    #[schemars(length(max = NAME_LENGTH_MAX))]
    pub name: String,

    /// When it was taken, or verified, RFC 3339.
    #[schemars(length(max = 64))]
    pub at: String,

    /// Number of events.
    #[schemars(range(min = 0))]
    pub size: i64,
}

/// From what the log was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoredStatus {
    /// Name of the backup in the archive.
    #[schemars(length(max = 128))]
    pub backup: String,

    /// Number of events that were restored.
    #[schemars(range(min = 0))]
    pub size: i64,

    /// Root of the tree over them, 64 lower-case hexadecimal digits.
    #[schemars(length(max = 64))]
    pub root: String,

    /// Whether the root was compared with `spec.bootstrap.fromBackup.atLeast`.
    pub anchored: bool,

    /// Number of objects of the archive that could not be used.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub damaged: i64,

    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub at: Option<String>,
}

/// Relations of the sections.
pub(super) const RULES: [Rule; 9] = [
    Rule {
        object: "",
        expression: "(!has(self.spec.backup) || !has(self.spec.backup.destination.volume) || \
                     self.spec.backup.destination.volume.claimName != self.metadata.name + '-data') && \
                     (!has(self.spec.bootstrap) || !has(self.spec.bootstrap.fromBackup.source.volume) || \
                     self.spec.bootstrap.fromBackup.source.volume.claimName != self.metadata.name + '-data')",
        message: "the volume of an archive must not be that of the engine: name another claim",
    },
    Rule {
        object: "/properties/spec/properties/bootstrap/properties/fromBackup/properties/until",
        expression: "has(self.seq) != has(self.time)",
        message: "until: write exactly one of seq and time",
    },
    Rule {
        object: DESTINATION,
        expression: "has(self.url) != has(self.volume)",
        message: "destination: write exactly one of url and volume",
    },
    Rule {
        object: SOURCE,
        expression: "has(self.url) != has(self.volume)",
        message: "source: write exactly one of url and volume",
    },
    Rule {
        object: DESTINATION,
        expression: ONLY_OF_BUCKETS,
        message: "destination: with a volume, keysUrl, endpoint, region, pathStyle, credentialsSecretRef and \
                  caConfigMapRef have no effect: remove them",
    },
    Rule {
        object: SOURCE,
        expression: ONLY_OF_BUCKETS,
        message: "source: with a volume, keysUrl, endpoint, region, pathStyle, credentialsSecretRef and caConfigMapRef \
                  have no effect: remove them",
    },
    Rule {
        object: "/properties/spec/properties/backup",
        expression: "self.timeZone != 'Local'",
        message: "timeZone: Local depends on the machine: write a name such as Etc/UTC or Europe/Berlin",
    },
    Rule {
        object: "/properties/spec",
        expression: "!has(self.bootstrap) || (has(oldSelf.bootstrap) && self.bootstrap == oldSelf.bootstrap)",
        message: "bootstrap is what a new engine begins from: it cannot be added or changed later. Make another engine",
    },
    Rule {
        object: "/properties/spec/properties/bootstrap/properties/fromBackup",
        expression: "!has(self.until) || !has(self.until.seq) || !has(self.atLeast) || \
                     self.atLeast.size <= self.until.seq",
        message: "until.seq is before atLeast.size: a log that ends there cannot have what atLeast asks for",
    },
];

const DESTINATION: &str = "/properties/spec/properties/backup/properties/destination";
const SOURCE: &str = "/properties/spec/properties/bootstrap/properties/fromBackup/properties/source";
const ONLY_OF_BUCKETS: &str = "!has(self.volume) || (!has(self.keysUrl) && !has(self.endpoint) && \
                               !has(self.region) && !has(self.pathStyle) && !has(self.credentialsSecretRef) && \
                               !has(self.caConfigMapRef))";
