//! Secrets that the operator makes for an engine, and what it reports about those that a spec refers to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::Rule;

/// A cron expression with five fields, as Kubernetes reads it. Ranges that end before they begin are refused by the
/// operator.
pub(super) const SCHEDULE: &str = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|(\*|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]?)?(,(\*|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]?)?)* (\*|(1?[0-9]|2[0-3])(-(1?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?(,(\*|(1?[0-9]|2[0-3])(-(1?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?)* (\*|([1-9]|[12][0-9]|3[01])(-([1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?(,(\*|([1-9]|[12][0-9]|3[01])(-([1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?)* (\*|([1-9]|1[0-2])(-([1-9]|1[0-2]))?)(/[1-9][0-9]?)?(,(\*|([1-9]|1[0-2])(-([1-9]|1[0-2]))?)(/[1-9][0-9]?)?)* (\*|[0-6](-[0-6])?)(/[1-9][0-9]?)?(,(\*|[0-6](-[0-6])?)(/[1-9][0-9]?)?)*)$";
/// A name in the time zone database.
pub(super) const TIME_ZONE: &str = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$";

/// Secrets that the operator makes for the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Secrets {
    /// A token of the administration port that the operator makes, keeps in the Secret `NAME-admin-token`, and replaces
    /// on a schedule, without a restart. Instead of `access.adminTokenSecretRef`. The operator needs permission on
    /// Secrets in this namespace. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<TokenRotation>,
}

/// When the operator replaces the token of the administration port: a CronJob `NAME-rotate` asks for it.
/// `kubectl create job --from=cronjob/NAME-rotate` asks for it at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRotation {
    /// When, as a cron expression with the fields minute, hour, day of the month, month and day of the week, for
    /// example `0 3 1 * *`, or `@monthly`. Numbers only; Sunday is 0.
    #[schemars(length(min = 1, max = 128), regex(pattern = SCHEDULE))]
    pub schedule: String,

    /// Time zone of the schedule, for example `Europe/Berlin`. Defaults to `Etc/UTC`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: String,

    /// Whether the schedule is suspended. The token stays in force, and a Job that somebody creates replaces it.
    #[serde(default)]
    pub suspend: bool,
}

pub(super) fn utc() -> String {
    "Etc/UTC".to_owned()
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenRotationPhase {
    /// The new token is being delivered. The Secret has both, and the operator presents both.
    Distribute,
    /// The engine has accepted the new token, and the old one is gone.
    #[default]
    Done,
}

/// Relations of the section.
pub(super) const RULES: [Rule; 2] = [
    Rule {
        object: "/properties/spec",
        expression: "!has(self.secrets) || !has(self.secrets.rotation) || !has(self.access) || \
                     !has(self.access.adminTokenSecretRef)",
        message: "secrets.rotation and access.adminTokenSecretRef exclude each other: the operator replaces only a token that it \
                  has made",
    },
    Rule {
        object: "/properties/spec/properties/secrets/properties/rotation",
        expression: "self.timeZone != 'Local'",
        message: "timeZone: Local depends on the machine: write a name such as Etc/UTC or Europe/Berlin",
    },
];

/// A Secret that the spec refers to. It never contains a value, its length or its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// The field that refers to it, for example `spec.access.keys[agent-a].secretRef`.
    #[schemars(length(max = 256))]
    pub reference: String,
    /// `SecretsUsable`, or what is wrong: a reason of the condition `SecretsValid`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// When the operator found this first, RFC 3339.
    #[schemars(length(max = 64))]
    pub since: String,
    /// When the operator saw the present value first, RFC 3339. Absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub first_seen: Option<String>,
    /// Whole days since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub age_days: Option<i64>,
    /// When the value has to be replaced, at the latest, RFC 3339: its expiry, or the end of `spec.access.maxAgeDays`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub replace_before: Option<String>,
    /// When the operator replaces the value next, RFC 3339. Only for the token that it makes; absent while the schedule
    /// is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next_rotation: Option<String>,
    /// How far the last rotation is. Only for the token that the operator makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<TokenRotationPhase>,
}
