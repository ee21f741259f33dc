//! The checks, each with what is wrong and what to do.

use crds::DeploymentMode;

use crate::{
    conditions::{ConditionType, Reason, Truth, Verdict},
    tls::GIVEN_FAULTS,
    validate::Valid,
};

/// What must hold before clients outside of the cluster reach an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The spec says that this is no trial.
    Production,
    /// Callers need credentials.
    Access,
    /// Every Secret that the spec refers to can be used.
    Secrets,
    /// The ports serve a valid certificate.
    Tls,
    /// The engine runs with the configuration that was checked.
    Configuration,
    /// The log extends what was recorded about it.
    Integrity,
    /// Searches are answered.
    Projection,
}

/// A check that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// Whether it is the spec that fails the check.
    pub is_of_spec: bool,
    /// Whether the check is known to fail. Otherwise nothing is known yet, for example while the pod starts.
    pub is_violation: bool,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Check {
    /// All checks.
    pub const ALL: [Self; 7] = [
        Self::Production,
        Self::Access,
        Self::Secrets,
        Self::Tls,
        Self::Configuration,
        Self::Integrity,
        Self::Projection,
    ];

    /// Name of the check in a ticket.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Access => "access",
            Self::Secrets => "secrets",
            Self::Tls => "tls",
            Self::Configuration => "configuration",
            Self::Integrity => "integrity",
            Self::Projection => "projection",
        }
    }

    /// The reason of the condition `Exposed` while this check withholds the exposure.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Production => Reason::NotInProduction,
            Self::Access => Reason::AnonymousAccess,
            Self::Secrets => Reason::SecretsNotValid,
            Self::Tls => Reason::TlsNotReady,
            Self::Configuration => Reason::ConfigurationNotApplied,
            Self::Integrity => Reason::LogNotProven,
            Self::Projection => Reason::ProjectionNotServing,
        }
    }
}

/// The checks of the spec alone. An offline check of a manifest uses the same ones.
#[must_use]
pub fn spec_findings(valid: &Valid) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut violated = |check, text: &str| {
        findings.push(Finding { check, is_of_spec: true, is_violation: true, text: text.to_owned() });
    };
    if valid.deployment_mode != DeploymentMode::Production {
        violated(Check::Production, "spec.deploymentMode is Development: set it to Production");
    }
    if valid.is_anonymous_allowed() {
        let what = "requests without a key are served: declare spec.access.keys, and set spec.access.anonymous to Denied";
        violated(Check::Access, what);
    }
    if valid.tls.is_none() {
        violated(Check::Tls, "the ports are served without TLS: add spec.tls: {}");
    }
    findings
}

/// The conditions that are checked, each with whether False means a violation. An engine that starts has no projection,
/// which proves nothing against it.
const CONDITIONS: [(Check, ConditionType); 5] = [
    (Check::Secrets, ConditionType::SecretsValid),
    (Check::Tls, ConditionType::TLSReady),
    (Check::Configuration, ConditionType::ConfigurationApplied),
    (Check::Integrity, ConditionType::LogIntegrity),
    (Check::Projection, ConditionType::ProjectionReady),
];

/// Reasons of a false condition that prove nothing against an engine: it starts, or will have changed in a moment.
const NOT_KNOWN: [Reason; 6] = [
    Reason::PodStarting,
    Reason::EngineStarting,
    Reason::ConfigurationOutdated,
    Reason::CertificatePending,
    Reason::SecretsUnreadable,
    Reason::ProjectionRebuilding,
];

/// Reasons of a false condition that ask for an action, while everything is as safe as before.
const REMINDERS: [Reason; 3] = [Reason::SecretTooOld, Reason::SecretExpired, Reason::CertificateEndsSoon];

/// What is known beside the conditions, which keep their last verdict while an engine cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether the engine in this pod has reported, now or a moment ago.
    pub has_reported: bool,
    /// Whether the log has no events, so that nothing of it could have been changed.
    pub is_log_empty: bool,
    /// Whether a given certificate is served, whatever is wrong with its successor.
    pub is_given_served: bool,
    /// Whether the engine is public, and Secrets have just become unreadable. A read that is not answered proves
    /// nothing against an engine that has been proven.
    pub is_unread_for_a_moment: bool,
}

/// Every check that does not hold, those of the spec first.
pub fn checks<'a>(valid: &Valid, verdict: impl Fn(ConditionType) -> &'a Verdict, seen: Seen) -> Vec<Finding> {
    let mut findings = spec_findings(valid);
    let of_conditions = condition_findings(verdict, seen);
    let is_new = |one: &Finding| findings.iter().all(|finding| finding.check != one.check);
    let of_conditions: Vec<Finding> = of_conditions.into_iter().filter(is_new).collect();
    findings.extend(of_conditions);
    findings
}

/// The checks of the conditions.
pub fn condition_findings<'a>(verdict: impl Fn(ConditionType) -> &'a Verdict, seen: Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !seen.has_reported {
        let text = "the engine has not reported since its pod started".to_owned();
        findings.push(Finding { check: Check::Integrity, is_of_spec: false, is_violation: false, text });
    }
    for (check, kind) in CONDITIONS {
        let found = verdict(kind);
        let is_fine = found.truth == Truth::True
            || REMINDERS.contains(&found.reason)
            || (found.reason == Reason::NotYetAnchored && seen.is_log_empty)
            || (found.reason == Reason::SecretsUnreadable && seen.is_unread_for_a_moment)
            || (GIVEN_FAULTS.contains(&found.reason) && seen.is_given_served);
        if is_fine {
            continue;
        }
        let is_violation = found.truth == Truth::False && !NOT_KNOWN.contains(&found.reason);
        let (truth, reason) = (found.truth, found.reason.as_str());
        let text = format!("{} is {truth:?}, {reason}: {}", kind.as_str(), found.message);
        findings.push(Finding { check, is_of_spec: false, is_violation, text });
    }
    findings
}
