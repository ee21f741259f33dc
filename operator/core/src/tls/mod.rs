//! The certificates of an engine: what was found, what has to be issued, and how far a rotation is.
//!
//! The operator keeps one authority for each engine in a Secret that no pod mounts, and one certificate for both ports
//! in a Secret that the pod mounts. A new authority does not replace the old one at once: first every pod has to trust
//! both, then the certificate is issued again, and at last the old authority is removed.

mod decide;
mod given;
mod service_names;
#[cfg(test)]
mod tests;
mod view;

pub use decide::{Decision, Issuance, RotationPhase, Wanted, decide};
pub(crate) use given::GIVEN_FAULTS;
pub use given::{GivenFault, GivenSource, GivenView, check_given, ends_soon, matches};
pub use service_names::service_names;
pub use view::{AuthorityView, CertificateView, Found, TlsView, Unread};

use jiff::SignedDuration;

/// How long before its issue a certificate is valid, for clocks that are behind.
pub const BACKDATED: SignedDuration = SignedDuration::from_mins(5);
/// Longest lifetime of a certificate.
pub const CERTIFICATE_SECONDS_MAX: i64 = 90 * 86_400;
/// Shortest lifetime of a certificate: a kubelet may take a minute and a half to deliver its successor.
pub const CERTIFICATE_SECONDS_MIN: i64 = 600;
/// Lifetime of an authority, in lifetimes of a certificate.
pub const AUTHORITY_LIFETIMES: i32 = 10;
/// How long an authority that no longer signs is trusted after the last pod serves a certificate of the new one.
/// Connections that were accepted before end within a minute.
pub const RETIRE_AFTER: SignedDuration = SignedDuration::from_secs(90);
