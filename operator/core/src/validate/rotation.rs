//! Validates `spec.secrets.rotation`.

use crds::{Access, KeyReference, MemoryEngineSpec, TokenRotation};

use super::fault::Fault;
use crate::{
    names,
    rotation::TOKEN_ENTRY,
    schedule::{Schedule, ScheduleFault},
    settings::Settings,
};

/// A rotation with a valid schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidRotation {
    /// The schedule, as Kubernetes reads it.
    pub schedule: String,
    /// Its time zone.
    pub time_zone: String,
    /// Whether it is suspended.
    pub suspend: bool,
    /// The image of the Job: that of the operator.
    pub image: String,
}

/// When the token that the operator makes is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationTimes {
    /// The schedule; `None` while it is suspended, or if it is not valid.
    pub schedule: Option<Schedule>,
}

fn wanted(spec: &MemoryEngineSpec) -> Option<&TokenRotation> {
    spec.secrets.as_ref()?.rotation.as_ref()
}

pub(super) fn check_rotation(
    name: &str,
    spec: &MemoryEngineSpec,
    settings: &Settings,
    faults: &mut Vec<Fault>,
) -> Option<ValidRotation> {
    let rotation = wanted(spec)?;
    let before = faults.len();
    if spec.access.as_ref().is_some_and(|access| access.admin_token_secret_ref.is_some()) {
        faults.push(Fault::TwoTokens);
    }
    match Schedule::parse(&rotation.schedule, &rotation.time_zone) {
        Ok(_) => {}
        Err(ScheduleFault::TimeZone) => {
            faults.push(Fault::Schedule("spec.secrets.rotation.timeZone", ScheduleFault::TimeZone));
        }
        Err(fault) => faults.push(Fault::Schedule("spec.secrets.rotation.schedule", fault)),
    }
    // A client must not have the Secret of the administrator as its key.
    let own = names::admin_token_secret(name).name;
    let keys = spec.access.iter().flat_map(|access| &access.keys);
    if keys.map(|key| &key.secret_ref.name).any(|secret| *secret == own) {
        faults.push(Fault::TokenOfOperator(own));
    }
    let image = settings.operator_image.clone();
    if image.is_none() {
        faults.push(Fault::NoOperatorImage("spec.secrets.rotation"));
    }
    (faults.len() == before).then_some(())?;
    let TokenRotation { schedule, time_zone, suspend } = rotation.clone();
    Some(ValidRotation { schedule, time_zone, suspend, image: image? })
}

/// Who may use the engine, with the token that the operator makes in its place.
pub(super) fn access(name: &str, spec: &MemoryEngineSpec) -> Option<Access> {
    if wanted(spec).is_none() {
        return spec.access.clone();
    }
    let token = KeyReference { name: names::admin_token_secret(name).name, key: TOKEN_ENTRY.to_owned() };
    Some(Access { admin_token_secret_ref: Some(token), ..spec.access.clone().unwrap_or_default() })
}

/// When the token is replaced, also if another part of the spec is not valid.
pub(super) fn schedule(spec: &MemoryEngineSpec) -> Option<RotationTimes> {
    let rotation = wanted(spec)?;
    let schedule = Schedule::parse(&rotation.schedule, &rotation.time_zone).ok();
    Some(RotationTimes { schedule: schedule.filter(|_| !rotation.suspend) })
}
