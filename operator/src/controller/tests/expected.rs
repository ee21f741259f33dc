//! What the status says while a call fails, and afterwards.

use crate::fake_engine::{Call, Fault};

/// What the message of the condition says about a fault.
pub(super) fn cause(call: Call, fault: Fault) -> &'static str {
    match fault {
        // An engine that contradicts an anchor answers with this status: the body counts.
        Fault::Status(409) if call == Call::Anchor => "cannot be parsed",
        Fault::Refused | Fault::Reset | Fault::Garbage => "no connection",
        // A backup may take longer than a call: the report will say that it was taken.
        Fault::Hang | Fault::Drip if call == Call::Backup => "no backup was verified yet",
        Fault::Hang | Fault::Drip => "no answer within 1.5s",
        Fault::Half | Fault::TooLarge => "was cut off or is larger than 65536 bytes",
        Fault::Noise | Fault::Shape | Fault::Empty => "cannot be parsed",
        Fault::Status(401) => "has status 401",
        Fault::Status(404) => "has status 404",
        Fault::Status(409) => "has status 409",
        Fault::Status(500) => "has status 500",
        Fault::Status(_) => "has status 503",
        Fault::Redirect => "has status 307",
        Fault::ContentType | Fault::Lie(_) | Fault::Conflict(_) => "",
    }
}

/// The conditions while a call fails, and those afterwards: type and `Status/Reason`. The message of the first one
/// names the cause.
pub(super) type Conditions = [(&'static str, &'static str); 2];

pub(super) fn while_failing(call: Call) -> Conditions {
    match call {
        Call::Health => [("Ready", "Unknown/EngineUnreachable"), ("LogIntegrity", "True/Anchored")],
        Call::Checkpoint => [("LogIntegrity", "Unknown/NotYetAnchored"), ("Ready", "True/Serving")],
        Call::Anchor => [("LogIntegrity", "True/Anchored"), ("Ready", "True/Serving")],
        // No schedule: nothing is asked for.
        Call::Upkeep => [("LogIntegrity", "True/Anchored"), ("Ready", "True/Serving")],
        Call::Mode | Call::Hold => [("ReadsEnabled", "False/ModePending"), ("Ready", "False/ModePending")],
        Call::Backup => [("BackupHealthy", "Unknown/BackupNotVerified"), ("Ready", "True/Serving")],
    }
}

pub(super) fn afterwards(call: Call) -> Conditions {
    match call {
        Call::Health | Call::Checkpoint | Call::Anchor | Call::Upkeep => {
            [("LogIntegrity", "True/Anchored"), ("Ready", "True/Serving")]
        }
        Call::Mode => [("ReadsEnabled", "False/ModeWithoutReads"), ("Ready", "True/Serving")],
        Call::Hold => [("ReadsEnabled", "False/ForcedByHold"), ("Ready", "False/ForcedByHold")],
        Call::Backup => [("BackupHealthy", "Unknown/BackupNotVerified"), ("Ready", "True/Serving")],
    }
}
