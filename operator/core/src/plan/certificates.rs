//! Plans the changes of the Secrets with the certificates.

use engine_core::{digest::Hash, wire::PortCertificate};
use jiff::{SignedDuration, Timestamp};

use super::{Deliver, Issue, Plan, Step, draft::plan_removal_of};
use crate::{
    build::{owned, value},
    names::{self, ChildKey, ROTATE_AUTHORITY_ANNOTATION},
    observed::{EngineReport, Observed},
    ownership::is_ours,
    tls::{
        AUTHORITY_LIFETIMES, CERTIFICATE_SECONDS_MAX, Decision, GivenView, Issuance, TlsView, Wanted, decide,
        service_names,
    },
    validate::{Essentials, Valid},
};

/// Plans the changes. Returns whether the certificate that the spec wants exists, or is issued by this plan.
pub(super) fn plan_secrets(observed: &Observed, valid: &Valid, plan: &mut Plan) -> bool {
    let secrets = [names::authority_secret(&valid.name), names::certificate_secret(&valid.name)];
    let Some(tls) = &valid.tls else {
        let is_used = observed.writer().pod.as_ref().is_some_and(|pod| pod.has_tls);
        for key in secrets.into_iter().filter(|_| !is_used) {
            plan_removal_of(observed, key, plan);
        }
        return true;
    };
    let foreign =
        |key: &&ChildKey| observed.children.get(*key).is_some_and(|live| !is_ours(observed, key, live));
    let conflicts: Vec<ChildKey> = secrets.iter().filter(foreign).cloned().collect();
    if !conflicts.is_empty() {
        plan.conflicts.extend(conflicts);
        return false;
    }
    let Some(view) = &observed.tls else { return false };
    let lifetime = tls.certificate_lifetime_seconds.map_or(CERTIFICATE_SECONDS_MAX, i64::from);
    let lifetime = SignedDuration::from_secs(lifetime);
    let decision = decision(observed, view, &valid.name, &valid.namespace);
    let issues = decision.issue.iter().any(|(issuance, _)| *issuance == Issuance::Certificate);
    for (issuance, because) in decision.issue {
        let key = match issuance {
            Issuance::Certificate | Issuance::Authorities => names::certificate_secret(&valid.name),
            Issuance::Authority | Issuance::NewAuthority | Issuance::KeepTrusted | Issuance::Retire => {
                names::authority_secret(&valid.name)
            }
        };
        let lifetime = match issuance {
            Issuance::Authority | Issuance::NewAuthority => lifetime * AUTHORITY_LIFETIMES,
            _ => lifetime,
        };
        plan.steps.push(Step::Issue(Issue {
            issuance,
            object: value(&k8s_openapi::api::core::v1::Secret {
                metadata: owned(valid, key.name.clone()),
                ..Default::default()
            }),
            key,
            names: wanted_names(&valid.name, &valid.namespace, &valid.essentials),
            lifetime,
            because,
        }));
    }
    if !issues {
        plan.steps.extend(delivery(observed, view).map(Step::Deliver));
    }
    issues || view.certificate.present().is_some()
}

/// The change of the pod that makes its kubelet deliver the Secret. A pod that serves its content needs none, such as
/// one that was created after it.
fn delivery(observed: &Observed, view: &TlsView) -> Option<Deliver> {
    let found = view.certificate.present()?;
    let pod = observed.writer().pod.as_ref().filter(|pod| pod.has_tls && !pod.deleting)?;
    let bundle = found.bundle_sha256.to_string();
    let EngineReport::Answered(health) = &observed.writer().report else { return None };
    let ports = health.tls.as_ref()?;
    let (admin, api) = (ports.admin.as_ref()?, ports.api.as_ref());
    let given = observed.given.as_ref().and_then(GivenView::wanted);
    let is_served = admin.serial == found.certificate.serial
        && admin.authorities_sha256.as_deref() == Some(bundle.as_str())
        && given.is_none_or(|given| api.is_some_and(|api| api.serial == given.serial));
    let given = given.map(|given| format!(" {}", given.serial)).unwrap_or_default();
    let content = format!("{} {bundle}{given}", found.certificate.serial);
    let certificate = Hash::of(content.as_bytes()).to_string();
    let is_told = pod.certificate.as_ref() == Some(&certificate);
    (!is_served && !is_told).then(|| Deliver { pod: pod.name.clone(), certificate })
}

/// What the pod reports about its administration port.
fn served(observed: &Observed) -> Option<&PortCertificate> {
    match &observed.writer().report {
        EngineReport::Answered(health) => health.tls.as_ref()?.admin.as_ref(),
        EngineReport::Unreachable(_) | EngineReport::NotQueried => None,
    }
}

/// What has to be issued for an engine.
pub(crate) fn decision(observed: &Observed, view: &TlsView, name: &str, namespace: &str) -> Decision {
    let engine = &observed.engine;
    let essentials = Essentials::of(engine);
    let wanted = Wanted {
        names: wanted_names(name, namespace, &essentials),
        authority_not_before: rotate_before(engine, observed.now),
        jitter_per_mille: jitter(engine.metadata.uid.as_deref().unwrap_or_default()),
    };
    decide(view, served(observed), &wanted, observed.now)
}

/// The moment before which an authority is too old. What is not a time is ignored, and so is a time in the future:
/// every authority would be too old until then.
fn rotate_before(engine: &crds::MemoryEngine, now: Timestamp) -> Option<Timestamp> {
    let annotations = engine.metadata.annotations.as_ref()?;
    let moment: Timestamp = annotations.get(ROTATE_AUTHORITY_ANNOTATION)?.parse().ok()?;
    // Certificates have whole seconds. An authority that is issued in the second of the moment is new enough.
    Timestamp::from_second(moment.as_second()).ok().filter(|moment| *moment <= now)
}

/// Names under which clients reach the engine: those of its Services, and those outside of the cluster.
fn wanted_names(name: &str, namespace: &str, essentials: &Essentials) -> Vec<String> {
    let mut wanted = service_names(name, namespace, essentials);
    wanted.extend_from_slice(&essentials.public_hosts);
    wanted
}

/// A number from 0 to 1000 that depends on the engine alone.
fn jitter(uid: &str) -> u16 {
    u16::try_from(names::spread(uid) % 1001).unwrap_or_default()
}
