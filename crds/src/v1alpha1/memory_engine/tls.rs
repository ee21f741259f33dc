//! Certificates of the engine's ports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS 1.3 on the memory API and on the administration port. The operator keeps an authority of its own for each engine
/// in the Secret `NAME-authority`, and issues and renews the certificate in the Secret `NAME-tls`. Clients verify the
/// engine with `ca.crt` of `NAME-tls`. The administration port serves only clients with a certificate of the authority.
/// The operator needs permission on Secrets in this namespace: see `TLSReady`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Lifetime of the certificate in seconds, 600 to 7,776,000 (90 days). It is renewed when two thirds are over. The
    /// authority lives ten times as long. Defaults to 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 7_776_000))]
    pub certificate_lifetime_seconds: Option<i32>,
}

/// The certificates of the engine's ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// Serial number of the certificate in the Secret, hexadecimal digits.
    #[schemars(length(max = 64))]
    pub serial: String,
    /// Serial number of the certificate that the running engine serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub served_serial: Option<String>,
    /// Last moment at which the certificate is valid, RFC 3339.
    #[schemars(length(max = 64))]
    pub not_after: String,
    /// Last moment at which the authority is valid, RFC 3339.
    #[schemars(length(max = 64))]
    pub authority_not_after: String,
    /// How far a rotation of the authority is.
    pub rotation: TlsRotation,
}

/// How far a rotation of the authority is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsRotation {
    /// The pods get the new authority in addition to the old one.
    Distribute,
    /// A certificate of the new authority is issued, and the pods begin to serve it.
    Issue,
    /// The old authority is trusted until connections from before have ended.
    Retire,
    /// There is one authority.
    Done,
}
