//! What follows from the findings.

use crds::OnViolation;

use super::{Finding, FrontDoor};

/// Whether the outside objects exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// They are created and kept as the spec says.
    Wanted,
    /// They are kept as the spec says if they exist, and not created. A load balancer would give back its address, so
    /// they are not deleted for something that passes.
    Kept,
    /// They are deleted.
    Removed,
}

/// What is done about the exposure of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the outside objects exist.
    pub objects: Objects,
    /// Whether the pod has the label that the public Service selects.
    pub is_published: bool,
}

/// Nothing is exposed.
const NOTHING: Decision = Decision { objects: Objects::Removed, is_published: false };

/// Decides. `was_exposed` says whether every check held before, under this spec or an earlier one.
#[must_use]
pub fn decide(
    on_violation: OnViolation,
    findings: &[Finding],
    front_door: &FrontDoor,
    was_exposed: bool,
) -> Decision {
    // What the spec itself lacks is never only said.
    if findings.iter().any(|finding| finding.is_violation && finding.is_of_spec) {
        return NOTHING;
    }
    if on_violation == OnViolation::Warn && was_exposed {
        return Decision { objects: Objects::Wanted, is_published: true };
    }
    if findings.iter().any(|finding| finding.is_violation) {
        return NOTHING;
    }
    match front_door {
        // Who reaches this engine through the front door needs no key, or reaches something else.
        FrontDoor::Unsafe(_) => Decision { objects: Objects::Kept, is_published: false },
        FrontDoor::NotAsked | FrontDoor::NoAddress(_) | FrontDoor::Unreachable(_) | FrontDoor::Answers => {
            let objects = if findings.is_empty() { Objects::Wanted } else { Objects::Kept };
            Decision { objects, is_published: findings.is_empty() }
        }
    }
}
