//! Certificates of the engine's ports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    patterns::{DNS_SUBDOMAIN, NAME_LENGTH_MAX},
    rules::Rule,
};

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

    /// A Secret of type `kubernetes.io/tls` in this namespace with the certificate of the memory API: `tls.crt`,
    /// `tls.key`, and `ca.crt` with the authority that clients trust. The operator checks it, and serves on the one
    /// before while it is bad: see `TLSReady`. The administration port keeps a certificate of the operator. Defaults to
    /// none: the operator issues both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<TlsSecret>,

    /// Lets cert-manager issue the certificate of the memory API, instead of `secretRef`. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_manager: Option<CertManager>,
}

/// A Secret with a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
}

/// A certificate that cert-manager issues. The operator applies a `Certificate` named `NAME-api`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertManager {
    /// Who issues the certificate.
    pub issuer_ref: IssuerRef,

    /// Seconds before its end at which cert-manager renews the certificate, 300 to 7,776,000, less than
    /// `certificateLifetimeSeconds`. Defaults to a third of the lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 7_776_000))]
    pub renew_before_seconds: Option<i32>,
}

/// An issuer of cert-manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerRef {
    /// Name of the issuer.
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
    /// Kind of the issuer.
    #[serde(default = "issuer")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// API group of the issuer.
    #[serde(default = "cert_manager")]
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = DNS_SUBDOMAIN))]
    pub group: String,
}

fn issuer() -> String {
    "Issuer".to_owned()
}

fn cert_manager() -> String {
    "cert-manager.io".to_owned()
}

/// Relations of the section.
pub(super) const RULES: [Rule; 2] = [
    Rule {
        object: "/properties/spec/properties/tls",
        expression: "!has(self.certManager) || !has(self.certManager.renewBeforeSeconds) || \
                     self.certManager.renewBeforeSeconds < \
                     (has(self.certificateLifetimeSeconds) ? self.certificateLifetimeSeconds : 7776000)",
        message: "certManager.renewBeforeSeconds must be less than certificateLifetimeSeconds, 7776000 if left out",
    },
    Rule {
        object: "/properties/spec/properties/tls",
        expression: "!has(self.secretRef) || !has(self.certManager)",
        message: "secretRef and certManager exclude each other: cert-manager writes a Secret of its own",
    },
];

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
    /// The given certificate of the memory API. Absent if the operator issues it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiCertificate>,
}

/// The given certificate of the memory API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiCertificate {
    /// Serial number of the certificate that the pod gets, hexadecimal digits.
    #[schemars(length(max = 64))]
    pub serial: String,
    /// Serial number of the certificate that the running engine serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub served_serial: Option<String>,
    /// Last moment at which the certificate is valid, RFC 3339.
    #[schemars(length(max = 64))]
    pub not_after: String,
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
