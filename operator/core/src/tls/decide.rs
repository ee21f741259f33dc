//! Decides what has to be issued.

use engine_core::{certificate::Certificate, wire::PortCertificate};
use jiff::{SignedDuration, Timestamp};

use super::view::{AuthorityView, CertificateView, Found, TlsView};
use super::{BACKDATED, RETIRE_AFTER};

/// What the spec and the resource want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// DNS names of the certificate.
    pub names: Vec<String>,
    /// An authority that was issued before this moment has to be replaced.
    pub authority_not_before: Option<Timestamp>,
    /// Share of the last third of a lifetime, from 0 to 1000, after which an engine renews: engines that were created
    /// together do not renew together.
    pub jitter_per_mille: u16,
}

/// One change of the Secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuance {
    /// An authority where there is none. What pods trust now stays trusted.
    Authority,
    /// A new authority; the one before is still trusted.
    NewAuthority,
    /// The authorities that pods trust now are kept, because somebody replaced the authority.
    KeepTrusted,
    /// A certificate by the authority that signs, with all trusted authorities.
    Certificate,
    /// All trusted authorities for the pods, with the certificate that there is.
    Authorities,
    /// The authorities that no longer sign are removed.
    Retire,
}

/// How far a rotation of the authority is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RotationPhase {
    /// Pods do not trust the new authority yet.
    Distribute,
    /// Pods do not serve a certificate of the new authority yet.
    Issue,
    /// The old authority is still trusted.
    Retire,
    /// There is one authority.
    #[default]
    Done,
}

/// What has to be issued, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The changes, in order.
    pub issue: Vec<(Issuance, &'static str)>,
    /// How far a rotation is, before these changes.
    pub phase: RotationPhase,
}

/// Decides what has to be issued. `served` is what the pod reports about its admin port.
#[must_use]
pub fn decide(view: &TlsView, served: Option<&PortCertificate>, wanted: &Wanted, now: Timestamp) -> Decision {
    if view.unread.is_some() {
        return Decision::default();
    }
    let authority = match &view.authority {
        Found::Missing => return first(view, "there is no authority", now),
        Found::Broken(_) => return first(view, "the authority cannot be used", now),
        Found::Present(authority) if authority.signing.not_after <= now => {
            return fresh("the authority has expired");
        }
        Found::Present(authority) => authority,
    };
    let Found::Present(found) = &view.certificate else {
        return only(Issuance::Certificate, "there is no certificate", RotationPhase::Done);
    };
    if found.certificate.not_after <= now {
        return only(Issuance::Certificate, "the certificate has expired", RotationPhase::Done);
    }
    if !found.is_of_signing {
        return distribute(authority, found, served);
    }
    let is_named = wanted.names.iter().all(|name| found.certificate.names(name));
    let phase = phase(authority, found, served);
    if !is_named {
        return only(Issuance::Certificate, "the certificate lacks a name", phase);
    }
    if is_due(&found.certificate, wanted.jitter_per_mille, now) {
        return only(Issuance::Certificate, "two thirds of its lifetime are over", phase);
    }
    if found.bundle_sha256 != authority.bundle_sha256 {
        return only(Issuance::Authorities, "the trusted authorities have changed", phase);
    }
    let issued = found.certificate.not_before + BACKDATED;
    match phase {
        RotationPhase::Retire if now.duration_since(issued) >= RETIRE_AFTER => Decision {
            issue: vec![
                (Issuance::Retire, "no pod needs the old authority"),
                (Issuance::Authorities, "the old authority is retired"),
            ],
            phase,
        },
        RotationPhase::Done if is_due(&authority.signing, wanted.jitter_per_mille, now) => {
            rotate("two thirds of the authority's lifetime are over")
        }
        RotationPhase::Done
            if wanted.authority_not_before.is_some_and(|moment| issued_at(authority) < moment) =>
        {
            rotate("the resource wants a new authority")
        }
        _ => Decision { issue: Vec::new(), phase },
    }
}

fn issued_at(authority: &AuthorityView) -> Timestamp {
    authority.signing.not_before + BACKDATED
}

/// There is no authority. Clients still trust what the pod serves, so that the next one is introduced like any other if
/// there is a certificate of the one before.
fn first(view: &TlsView, because: &'static str, now: Timestamp) -> Decision {
    let is_serving = view.certificate.present().is_some_and(|found| found.certificate.not_after > now);
    if is_serving { only(Issuance::Authority, because, RotationPhase::Distribute) } else { fresh(because) }
}

fn fresh(because: &'static str) -> Decision {
    let issue = vec![(Issuance::Authority, because), (Issuance::Certificate, because)];
    Decision { issue, phase: RotationPhase::Done }
}

fn only(issuance: Issuance, because: &'static str, phase: RotationPhase) -> Decision {
    Decision { issue: vec![(issuance, because)], phase }
}

fn rotate(because: &'static str) -> Decision {
    let issue = vec![(Issuance::NewAuthority, because), (Issuance::Authorities, because)];
    Decision { issue, phase: RotationPhase::Distribute }
}

/// The certificate is one of an authority that no longer signs. It is replaced when every pod trusts its successor.
fn distribute(
    authority: &AuthorityView,
    found: &CertificateView,
    served: Option<&PortCertificate>,
) -> Decision {
    let is_trusted = |hash| {
        let mut trusted = authority.retired.iter().chain([&authority.signing]);
        trusted.any(|one| one.sha256 == hash)
    };
    if !found.authorities.iter().all(|hash| is_trusted(*hash)) {
        let because = "the authority was replaced";
        let issue = vec![(Issuance::KeepTrusted, because), (Issuance::Authorities, because)];
        return Decision { issue, phase: RotationPhase::Distribute };
    }
    if found.bundle_sha256 != authority.bundle_sha256 {
        return only(
            Issuance::Authorities,
            "pods must trust the new authority first",
            RotationPhase::Distribute,
        );
    }
    if trusts(served, authority) {
        return only(Issuance::Certificate, "every pod trusts the new authority", RotationPhase::Issue);
    }
    Decision { issue: Vec::new(), phase: RotationPhase::Distribute }
}

fn phase(
    authority: &AuthorityView,
    found: &CertificateView,
    served: Option<&PortCertificate>,
) -> RotationPhase {
    let is_served = served.is_some_and(|served| served.serial == found.certificate.serial);
    match (authority.retired.is_empty(), is_served) {
        (true, _) => RotationPhase::Done,
        (false, false) => RotationPhase::Issue,
        (false, true) => RotationPhase::Retire,
    }
}

/// Whether the pod has the authorities in force, and has no fault with its files.
fn trusts(served: Option<&PortCertificate>, authority: &AuthorityView) -> bool {
    let bundle = authority.bundle_sha256.to_string();
    served
        .is_some_and(|served| served.fault.is_none() && served.authorities_sha256.as_deref() == Some(&bundle))
}

/// Whether two thirds of a lifetime are over, and a share of the rest up to half of it.
fn is_due(certificate: &Certificate, jitter_per_mille: u16, now: Timestamp) -> bool {
    let lifetime = certificate.not_after.duration_since(certificate.not_before).as_secs();
    let share = lifetime / 6 * i64::from(jitter_per_mille.min(1000)) / 1000;
    now.duration_since(certificate.not_before) >= SignedDuration::from_secs(lifetime / 3 * 2 + share)
}
