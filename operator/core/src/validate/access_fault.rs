//! What can be wrong with `spec.access`.

use crds::{ACCESS_CERTIFICATES_MAX, ACCESS_ISSUERS_MAX, ACCESS_KEYS_MAX, ACCESS_PROJECTS_MAX};
use engine_core::event::LOG_PROJECT;
use engine_core::request::Refused;

/// What can be wrong with `spec.access`. No fault contains a value of a Secret: none is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessFault {
    /// There are too many keys.
    #[error("keys has {0} items: leave at most {ACCESS_KEYS_MAX}")]
    Keys(usize),
    /// The name of the key with this index is not valid.
    #[error(
        "keys[{0}].name: write at most 63 lower-case letters, digits and '-', with a letter or a digit at both ends"
    )]
    Name(usize),
    /// Two keys have the same name.
    #[error("keys: the name {0:?} is given twice: choose another name for one of the clients")]
    SameName(String),
    /// Two references name the same entry of a Secret.
    #[error(
        "{1} and {0} are the same entry of a Secret: every client needs a key of its own, and so does the administrator"
    )]
    SameEntry(String, String),
    /// The reference is not valid.
    #[error("{0} must have the name of a Secret and one of its keys")]
    Reference(String),
    /// The key allows nothing.
    #[error("keys[{0}].scopes: write at least one of Read, Write and Admin, each once")]
    Scopes(usize),
    /// The list of projects is empty or too long.
    #[error("keys[{0}].projects: write 1 to {ACCESS_PROJECTS_MAX} projects, each once, or [\"*\"] for all")]
    Projects(usize),
    /// `*` does not stand alone.
    #[error("keys[{0}].projects: \"*\" stands alone: it is every project")]
    EveryProject(usize),
    /// A key is bound to the project of the engine's own events.
    #[error("keys[{0}].projects: {LOG_PROJECT:?} has events that concern every project: leave it out")]
    LogProject(usize),
    /// The engine would refuse the name of a project.
    #[error("{0}: write another name")]
    Project(Refused),
    /// The expiry is not a time.
    #[error("keys[{0}].expires is not an RFC 3339 time: write it like 2027-01-01T00:00:00Z")]
    Expires(usize),
    /// There are too many issuers.
    #[error("issuers has {0} items: leave at most {ACCESS_ISSUERS_MAX}")]
    Issuers(usize),
    /// Two issuers are the same.
    #[error("issuers: {0:?} is given twice: leave one of them")]
    SameIssuer(String),
    /// A reference of the issuer with this index is not valid.
    #[error("issuers[{0}].{1} must have the name of a ConfigMap and one of its keys")]
    ConfigMap(usize, &'static str),
    /// A part of the issuer with this index is not valid.
    #[error("issuers[{0}].{1} {2}")]
    Issuer(usize, &'static str, String),
    /// There are too many clients with certificates.
    #[error("certificates has {0} items: leave at most {ACCESS_CERTIFICATES_MAX}")]
    Certificates(usize),
    /// Nobody says which authorities sign the certificates of clients.
    #[error("certificates needs clientAuthoritySecretRef: add the authority that signs the certificates")]
    NoAuthority,
    /// Two clients have the same subject.
    #[error("certificates: the subject {0:?} is given twice: choose another one for one of the clients")]
    SameSubject(String),
    /// A part of the client with this index is not valid.
    #[error("certificates[{0}].{1} {2}")]
    Certificate(usize, &'static str, String),
    /// Readers have no token, and not everybody may read.
    #[error(
        "readerTokenSecretRef is missing: readers ask the writer for every memory, and not everybody may read. Name a \
         Secret with a key that `memory-engine token generate` has printed"
    )]
    NoReaderToken,
    /// The burst has no rate.
    #[error("rateLimit.burst has no effect without rateLimit.requestsPerSecond: add it, or remove the burst")]
    Burst,
    /// A number is out of range.
    #[error("{0} must be a number from 1 to {1}")]
    Number(&'static str, i32),
}
