//! Validates the policy with the engine's own code.

use crds::Policy;
use engine_core::policy::{Exception, Settings};
use jiff::Timestamp;

use super::fault::Fault;

pub(super) fn check_policy(policy: &Policy, faults: &mut Vec<Fault>) {
    let Policy { block, redact, exceptions, identifiers: _ } = policy;
    let settings = Settings {
        block: block.clone(),
        redact: redact.clone(),
        exceptions: exceptions.iter().map(as_the_engine_reads_it).collect(),
        ..Settings::default()
    };
    faults.extend(settings.faults().into_iter().map(Fault::Policy));
    let is_time = |expires: &String| expires.parse::<Timestamp>().is_ok();
    let late = exceptions.iter().enumerate();
    let late = late.filter(|(_, exception)| !exception.expires.as_ref().is_none_or(is_time));
    faults.extend(late.map(|(index, _)| Fault::Expires(index)));
}

/// Converts an exception to the engine's type for the engine's check. The expiry is left out: it is checked separately.
fn as_the_engine_reads_it(exception: &crds::PolicyException) -> Exception {
    let crds::PolicyException { detector, sha256, value, reason, reviewer, expires: _ } = exception.clone();
    Exception { detector, sha256, value, reason, reviewer, expires: None }
}
