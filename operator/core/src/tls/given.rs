//! Certificates of the memory API that the operator does not issue: those of a Secret that somebody fills, or of
//! cert-manager. The operator copies a good one into a Secret of its own, which the pod mounts: a bad one is never
//! delivered, and the one before is served on.

use engine_core::{
    certificate::{Certificate, NotACertificate},
    certificate_fitness::Unfit,
};
use jiff::{SignedDuration, Timestamp};

use super::view::Unread;
use crate::{conditions::Reason, names};

/// How long before its end a certificate is said to end soon, at most. One that lives shorter than six times as long is
/// said to in the last sixth of its lifetime; cert-manager renews in the last third.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Where a given certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenSource {
    /// A Secret in the namespace of the engine with `tls.crt`, `tls.key` and `ca.crt`.
    Secret(String),
    /// The Secret that cert-manager fills.
    CertManager,
}

impl GivenSource {
    /// Name of the Secret.
    #[must_use]
    pub fn secret(&self, engine: &str) -> String {
        match self {
            Self::Secret(name) => name.clone(),
            Self::CertManager => names::certificate_order(engine).name,
        }
    }
}

/// What was found about a given certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenView {
    /// Why a Secret could not be read.
    pub unread: Option<Unread>,
    /// Whether the cluster has no cert-manager, and it is wanted.
    pub lacks_cert_manager: bool,
    /// The given certificate; why it is not used, if it is not. `None` if it was not read.
    pub given: Option<Result<Certificate, GivenFault>>,
    /// The certificate in the Secret that the pod mounts.
    pub delivered: Option<Certificate>,
    /// Whether that Secret has exactly what was given.
    pub is_current: bool,
    /// The authorities that clients verify it with, as PEM; empty if neither Secret has any.
    pub authorities: String,
}

impl GivenView {
    /// The certificate that the API should serve: the given one, or while it is bad, the one that the pod has.
    #[must_use]
    pub fn wanted(&self) -> Option<&Certificate> {
        self.given.as_ref().and_then(|given| given.as_ref().ok()).or(self.delivered.as_ref())
    }
}

/// What can be wrong with a given certificate.
pub(crate) const GIVEN_FAULTS: &[Reason] = &[
    Reason::CertificateMissing,
    Reason::CertificateNotPem,
    Reason::CertificateKeyEncrypted,
    Reason::CertificateKeyMismatch,
    Reason::CertificateIsAuthority,
    Reason::CertificateWeak,
    Reason::CertificateUsageWrong,
    Reason::CertificateNotYetValid,
    Reason::CertificateExpired,
    Reason::CertificateNameMissing,
    Reason::CertificateChainInvalid,
    Reason::CertManagerMissing,
];

/// Why a given certificate is not used. No text contains a part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenFault {
    /// There is no such Secret.
    #[error("there is no Secret {0:?} in this namespace")]
    Missing(String),
    /// The Secret lacks an entry.
    #[error("the Secret {0:?} has no key {1}")]
    EntryMissing(String, &'static str),
    /// An entry is not PEM.
    #[error("{0} is not in PEM, or has something else in it")]
    NotPem(&'static str),
    /// The key is encrypted.
    #[error("tls.key is encrypted: an engine has no password for it. Store it without one")]
    EncryptedKey,
    /// The key belongs to another certificate.
    #[error("tls.key does not belong to the first certificate of tls.crt")]
    OtherKey,
    /// A server must not use it.
    #[error("{0}")]
    Unfit(Unfit),
    /// It is not valid yet.
    #[error("it is valid from {0} on")]
    NotYetValid(Timestamp),
    /// It has ended.
    #[error("it was valid until {0}")]
    Expired(Timestamp),
    /// It has not the name of the Service.
    #[error("it does not name {0}, under which clients reach the engine")]
    Name(String),
    /// Its chain does not verify.
    #[error(
        "its chain does not verify: {0}. tls.crt needs the certificate, then every intermediate one; ca.crt the authority"
    )]
    Chain(String),
}

impl From<NotACertificate> for GivenFault {
    fn from(_: NotACertificate) -> Self {
        Self::NotPem("tls.crt")
    }
}

impl GivenFault {
    /// The reason in the condition.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing(_) | Self::EntryMissing(..) => Reason::CertificateMissing,
            Self::NotPem(_) => Reason::CertificateNotPem,
            Self::EncryptedKey => Reason::CertificateKeyEncrypted,
            Self::OtherKey => Reason::CertificateKeyMismatch,
            Self::Unfit(Unfit::Authority) => Reason::CertificateIsAuthority,
            Self::Unfit(Unfit::Key(_) | Unfit::Signature) => Reason::CertificateWeak,
            Self::Unfit(Unfit::Usage) => Reason::CertificateUsageWrong,
            Self::NotYetValid(_) => Reason::CertificateNotYetValid,
            Self::Expired(_) => Reason::CertificateExpired,
            Self::Name(_) => Reason::CertificateNameMissing,
            Self::Chain(_) => Reason::CertificateChainInvalid,
        }
    }
}

/// What the certificate itself shows: its time, and its names.
///
/// # Errors
/// It is not valid now, or lacks one of the names of the server.
pub fn check_given(certificate: &Certificate, servers: &[String], now: Timestamp) -> Result<(), GivenFault> {
    if now < certificate.not_before {
        return Err(GivenFault::NotYetValid(certificate.not_before));
    }
    if certificate.not_after <= now {
        return Err(GivenFault::Expired(certificate.not_after));
    }
    let is_named = |server: &&String| certificate.dns_names.iter().any(|name| matches(name, server));
    let missing = servers.iter().find(|server| !is_named(server));
    missing.map_or(Ok(()), |server| Err(GivenFault::Name(server.clone())))
}

/// Whether a name of a certificate is this one. A wildcard stands for one label.
#[must_use]
pub fn matches(name: &str, server: &str) -> bool {
    let rest = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_ascii_lowercase());
    match name.strip_prefix("*.") {
        Some(domain) => rest(server).is_some_and(|rest| rest == domain.to_ascii_lowercase()),
        None => name.eq_ignore_ascii_case(server),
    }
}

/// Whether a certificate ends soon.
#[must_use]
pub fn ends_soon(certificate: &Certificate, now: Timestamp) -> bool {
    let lifetime = certificate.not_after.duration_since(certificate.not_before);
    certificate.not_after.duration_since(now) < (lifetime / 6).min(ENDS_SOON)
}

#[cfg(test)]
mod tests {
    use engine_core::digest::Hash;

    use super::*;

    fn certificate(names: &[&str]) -> Certificate {
        Certificate {
            serial: "aa".into(),
            sha256: Hash::of(b"a"),
            not_before: Timestamp::from_second(0).unwrap(),
            not_after: Timestamp::from_second(86_400 * 90).unwrap(),
            uris: Vec::new(),
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            is_authority: false,
            key_sha256: Hash::of(b"k"),
        }
    }

    #[test]
    fn a_certificate_is_for_a_name_and_a_time() {
        let at = |day: i64| Timestamp::from_second(86_400 * day).unwrap();
        let name = "notes.team.svc";
        let server = &[name.to_owned()];
        for (names, is_good) in [
            (vec![name], true),
            (vec!["other", "NOTES.team.svc"], true),
            (vec!["*.team.svc"], true),
            (vec!["*.svc"], false),
            (vec!["notes.team"], false),
            (vec!["memory.example.org"], false),
            (vec![], false),
        ] {
            assert_eq!(check_given(&certificate(&names), server, at(1)).is_ok(), is_good, "{names:?}");
        }
        let both = [name.to_owned(), "memory.example.org".to_owned()];
        let lacking = GivenFault::Name("memory.example.org".into());
        assert_eq!(check_given(&certificate(&[name]), &both, at(1)), Err(lacking), "a public host");
        assert_eq!(check_given(&certificate(&[name, "*.example.org"]), &both, at(1)), Ok(()));
        let good = certificate(&[name]);
        assert_eq!(check_given(&good, server, at(-1)), Err(GivenFault::NotYetValid(at(0))));
        assert_eq!(check_given(&good, server, at(90)), Err(GivenFault::Expired(at(90))));
        assert!(!ends_soon(&good, at(75)) && ends_soon(&good, at(77)));
        let short = Certificate { not_after: at(6), ..good };
        assert!(!ends_soon(&short, at(4)) && ends_soon(&short, at(5) + SignedDuration::from_secs(1)));
    }
}
