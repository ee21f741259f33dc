//! The part of `TLSReady` about a certificate that the operator does not issue.

use crds::ApiCertificate;

use super::{facts::Facts, lookup::health, outcome::Outcome};
use crate::{
    conditions::{Reason, Truth, Verdict},
    observed::Observed,
    tls::{self, GivenFault, GivenSource, GivenView},
};

fn not_ready(reason: Reason, message: String) -> Option<Verdict> {
    Some(Verdict::new(Truth::False, reason, message))
}

/// What is found, if the spec wants a given certificate.
fn view<'a>(facts: &Facts<'a>) -> Option<(&'a GivenView, &'a GivenSource)> {
    Some((facts.observed.given.as_ref()?, facts.outcome.essentials().given_certificate.as_ref()?))
}

/// The verdict on a given certificate that is not used.
pub(super) fn faulty(facts: &Facts<'_>) -> Option<Verdict> {
    let (view, source) = view(facts)?;
    let meanwhile = match &view.delivered {
        Some(before) => format!("The certificate {} before it is served on", before.serial),
        None => "The pod is left as it is, and a new engine waits".to_owned(),
    };
    if view.lacks_cert_manager {
        let what = "spec.tls.certManager needs cert-manager, and this cluster has no Certificate of cert-manager.io: \
                    install it, or use spec.tls.secretRef";
        return not_ready(Reason::CertManagerMissing, format!("{what}. {meanwhile}"));
    }
    let fault = view.given.as_ref()?.as_ref().err()?;
    if matches!((fault, source), (GivenFault::Missing(_), GivenSource::CertManager)) {
        return None;
    }
    not_ready(fault.reason(), format!("the certificate of the memory API: {fault}. {meanwhile}"))
}

/// The verdict while cert-manager has not issued the certificate.
pub(super) fn pending(facts: &Facts<'_>) -> Option<Verdict> {
    let (view, _) = view(facts)?;
    view.given.as_ref()?.as_ref().err()?;
    let engine = super::lookup::name(facts.observed);
    not_ready(
        Reason::CertificatePending,
        format!("cert-manager has not issued the certificate yet: kubectl describe certificate {engine}-api"),
    )
}

/// The verdict on a given certificate that is served, and ends soon.
pub(super) fn ends_soon(facts: &Facts<'_>) -> Option<Verdict> {
    let (view, _) = view(facts)?;
    let served = view.wanted().filter(|wanted| tls::ends_soon(wanted, facts.observed.now))?;
    not_ready(
        Reason::CertificateEndsSoon,
        format!(
            "the certificate {} of the memory API is valid until {} only: renew it",
            served.serial, served.not_after
        ),
    )
}

/// Whether a change of the pod waits for a given certificate.
pub(super) fn hold_changes(facts: &Facts<'_>) -> bool {
    matches!(facts.outcome, Outcome::Applied { plan, .. } if plan.certificate_hold)
}

/// The given certificate in the status.
pub(super) fn api_certificate(observed: &Observed) -> Option<ApiCertificate> {
    let view = observed.given.as_ref()?;
    let wanted = view.wanted()?;
    let served = health(observed).and_then(|health| health.tls.as_ref()?.api.as_ref());
    Some(ApiCertificate {
        serial: wanted.serial.clone(),
        served_serial: served.map(|served| served.serial.clone()),
        not_after: wanted.not_after.to_string(),
    })
}
