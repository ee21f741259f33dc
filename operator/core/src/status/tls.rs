//! `TLSReady`: whether the ports serve the certificate that they should.

use crds::{TlsRotation, TlsStatus};
use engine_core::wire::{PortCertificate, TlsHealth};

use super::{
    facts::Facts,
    given,
    lookup::{health, name},
    secrets::forbidden_message,
};
use crate::{
    conditions::{Reason, Truth, Verdict},
    names,
    observed::Observed,
    plan::certificates::decision,
    tls::{CertificateView, Found, GivenView, RotationPhase, TlsView},
};

/// How messages call the port of clients.
const API: &str = "the API";

fn not_ready(reason: Reason, message: impl Into<String>) -> Option<Verdict> {
    Some(Verdict::new(Truth::False, reason, message))
}

/// The verdict on an engine that wants no TLS.
pub(super) fn disabled(facts: &Facts<'_>) -> Option<Verdict> {
    if facts.outcome.essentials().tls {
        return None;
    }
    not_ready(Reason::TlsDisabled, "the ports are served without TLS; spec.tls: {} turns it on")
}

/// The verdict on Secrets that the operator cannot read.
pub(super) fn unread(facts: &Facts<'_>) -> Option<Verdict> {
    let of_given = || facts.observed.given.as_ref()?.unread.as_ref();
    let unread = facts.observed.tls.as_ref()?.unread.as_ref().or_else(of_given)?;
    if !unread.is_forbidden {
        return not_ready(
            Reason::SecretsUnreadable,
            format!(
                "the Secrets with the certificates could not be read: {}. The operator retries",
                unread.text
            ),
        );
    }
    not_ready(Reason::SecretsForbidden, forbidden_message(facts.observed, unread))
}

/// The verdict while there is no certificate.
pub(super) fn pending(facts: &Facts<'_>) -> Option<Verdict> {
    let why = match facts.observed.tls.as_ref().map(|view| &view.certificate) {
        Some(Found::Present(_)) => return None,
        Some(Found::Broken(fault)) => {
            format!("the certificate cannot be used: {fault}. The operator issues another one")
        }
        Some(Found::Missing) | None => "the certificate has not been issued yet".to_owned(),
    };
    not_ready(Reason::CertificatePending, why)
}

/// The verdict on ports that do not serve the certificate of the Secret.
pub(super) fn not_served(facts: &Facts<'_>) -> Option<Verdict> {
    let wanted = &certificate(facts.observed)?.certificate;
    let ports = facts.health()?.tls.clone().unwrap_or_default();
    let TlsHealth { api, admin } = &ports;
    for (port, served) in &[(API, api), ("the administration port", admin)] {
        let Some(PortCertificate { serial, fault, .. }) = served else {
            return not_ready(Reason::CertificateNotServed, format!("{port} is served without TLS"));
        };
        if let Some(fault) = fault {
            let what = format!("{port} still serves the certificate {serial}: {fault}");
            return not_ready(Reason::CertificateNotServed, what);
        }
        let given = facts.observed.given.as_ref().and_then(GivenView::wanted).filter(|_| *port == API);
        let wanted = given.unwrap_or(wanted);
        if *serial != wanted.serial {
            // The certificate before is valid for another third of its lifetime.
            let what = format!(
                "{port} serves the certificate {serial}; the pod gets the renewed one, {}, within two minutes",
                wanted.serial
            );
            return Some(Verdict::new(Truth::True, Reason::CertificateRenewing, what));
        }
    }
    None
}

/// The verdict on ports that serve the certificate of the Secret.
pub(super) fn served(facts: &Facts<'_>) -> Option<Verdict> {
    let serving = |what: String| Some(Verdict::new(Truth::True, Reason::CertificateServed, what));
    let Some(found) = certificate(facts.observed) else {
        return serving("the certificate is served".to_owned());
    };
    let rotation = match phase(facts.observed) {
        RotationPhase::Done => "",
        _ => ". A new authority is being introduced: see status.tls.rotation",
    };
    let not_after = found.certificate.not_after;
    serving(format!(
        "both ports serve the certificate {}, valid until {not_after}{rotation}",
        found.certificate.serial
    ))
}

fn certificate(observed: &Observed) -> Option<&CertificateView> {
    observed.tls.as_ref()?.certificate.present()
}

fn phase(observed: &Observed) -> RotationPhase {
    let namespace = observed.engine.metadata.namespace.as_deref().unwrap_or_default();
    let decided = |view: &TlsView| decision(observed, view, name(observed), namespace).phase;
    observed.tls.as_ref().map(decided).unwrap_or_default()
}

/// The certificates in the status. The last known ones stay while the Secrets cannot be read. They are also kept while
/// Secrets exist that the spec no longer wants, so that the operator deletes them.
pub(super) fn tls_status(observed: &Observed) -> Option<TlsStatus> {
    let before = observed.engine.status.as_ref().and_then(|status| status.tls.clone());
    let view = observed.tls.as_ref()?;
    if view.unread.is_some() {
        return before;
    }
    let secrets = [names::authority_secret(name(observed)), names::certificate_secret(name(observed))];
    if !secrets.iter().any(|key| observed.children.contains_key(key)) {
        return None;
    }
    let (Some(authority), Some(found)) = (view.authority.present(), view.certificate.present()) else {
        return before;
    };
    let served = health(observed).and_then(|health| health.tls.as_ref()?.admin.as_ref());
    Some(TlsStatus {
        serial: found.certificate.serial.clone(),
        served_serial: served.map(|served| served.serial.clone()),
        not_after: found.certificate.not_after.to_string(),
        authority_not_after: authority.signing.not_after.to_string(),
        api: given::api_certificate(observed),
        rotation: match phase(observed) {
            RotationPhase::Distribute => TlsRotation::Distribute,
            RotationPhase::Issue => TlsRotation::Issue,
            RotationPhase::Retire => TlsRotation::Retire,
            RotationPhase::Done => TlsRotation::Done,
        },
    })
}
