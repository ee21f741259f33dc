//! The checks behind the probes: each has a name and says what is wrong.

use engine_core::wire::ProjectionState;
use engine_log::WriteState;

use super::Engine;

/// A check with its name in the answers of the probes.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// What is wrong, as a text that contains no data.
    pub(crate) fault: fn(&Engine) -> Option<&'static str>,
}

/// The mode is not known. The engine is ready all the same, because it accepts writes.
const MODE_UNREADABLE: &str = "mode_unreadable: mode/mode.json cannot be read, and no mode was set since";

const SHUTDOWN: Check = Check { name: "shutdown", fault: shutdown };

/// Holds on an engine that follows none.
const FOLLOWING: Check = Check { name: "following", fault: following };

/// What has to hold for requests to be served. An engine on a full volume is ready, because it still serves reads.
///
/// A projection that is still being built some time after the log was opened no longer keeps writes away: they are
/// acknowledged, and reads are refused until it is ready.
///
/// An engine that was told to stop still serves for a while. It is not ready all the same, so that no new requests are
/// sent to it.
pub(crate) const READINESS: &[Check] = &[
    SHUTDOWN,
    Check { name: "log", fault: log },
    Check { name: "projection", fault: projection_in_time },
    FOLLOWING,
];

/// What has to hold for memories to be read.
pub(crate) const READS: &[Check] = &[
    SHUTDOWN,
    Check { name: "log", fault: log },
    Check { name: "projection", fault: projection },
    Check { name: "mode", fault: mode_reads },
    FOLLOWING,
];

/// What has to hold for events to be acknowledged.
pub(crate) const WRITES: &[Check] = &[
    SHUTDOWN,
    Check { name: "log", fault: log },
    Check { name: "storage", fault: storage },
    Check { name: "mode", fault: mode_writes },
];

/// What has to hold for the process to be of use; otherwise only a restart helps.
pub(crate) const LIVENESS: &[Check] = &[
    Check { name: "threads", fault: threads },
    Check { name: "catalogs", fault: catalogs },
    Check { name: "embeddings", fault: embeddings },
];

fn shutdown(engine: &Engine) -> Option<&'static str> {
    engine.is_stopping().then_some("the engine was told to stop")
}

fn following(engine: &Engine) -> Option<&'static str> {
    let following = engine.following()?;
    // What is forgotten stays in a copy that cannot be written, and nothing new gets into it.
    if matches!(engine.published.store(), WriteState::Full | WriteState::Failing) {
        return Some("the copy cannot be continued: the volume of this engine is full or fails");
    }
    following.unready(engine.projection.applied_seq())
}

fn log(engine: &Engine) -> Option<&'static str> {
    if engine.published.head().is_some() {
        return None;
    }
    Some(match engine.published.store() {
        WriteState::Corrupt(_) => "the log does not verify, and no event can be read",
        WriteState::Failing | WriteState::Full => "the log cannot be opened: the volume fails or is full",
        WriteState::Opening | WriteState::Writable => "the log is being opened",
    })
}

fn projection_in_time(engine: &Engine) -> Option<&'static str> {
    if engine.is_ready_without_reads() { None } else { projection(engine) }
}

fn mode_reads(engine: &Engine) -> Option<&'static str> {
    if engine.modes.effective().reads() {
        return None;
    }
    Some(if engine.modes.is_unreadable() { MODE_UNREADABLE } else { "the mode does not allow reads" })
}

fn mode_writes(engine: &Engine) -> Option<&'static str> {
    (!engine.modes.effective().writes()).then_some("the mode does not allow writes")
}

fn storage(engine: &Engine) -> Option<&'static str> {
    match engine.published.store() {
        WriteState::Writable => None,
        WriteState::Opening => Some("the log is being opened"),
        WriteState::Full => Some("the volume is full"),
        WriteState::Failing => Some("the volume fails"),
        WriteState::Corrupt(_) => Some("the log does not verify"),
    }
}

fn projection(engine: &Engine) -> Option<&'static str> {
    match engine.projection.state() {
        ProjectionState::Ready => None,
        ProjectionState::Rebuilding => Some("the projection is being rebuilt"),
        ProjectionState::Failed => Some("the projection cannot be opened or built"),
    }
}

fn threads(engine: &Engine) -> Option<&'static str> {
    (!engine.threads.are_alive()).then_some("a thread of the log or of the projection has ended")
}

fn catalogs(engine: &Engine) -> Option<&'static str> {
    (!engine.catalogs.is_alive()).then_some("the thread that builds catalogs has ended")
}

fn embeddings(engine: &Engine) -> Option<&'static str> {
    let has_ended = engine.embeddings.as_ref().is_some_and(|embeddings| !embeddings.is_alive());
    has_ended.then_some("the thread that embeds memories has ended")
}

/// The result of some checks: whether all hold, and one line for each, as the components of Kubernetes answer.
pub(crate) fn report(engine: &Engine, name: &str, checks: &[Check]) -> (bool, String) {
    let (mut all_hold, mut lines) = (true, String::new());
    for check in checks {
        match (check.fault)(engine) {
            None => lines += &format!("[+]{} ok\n", check.name),
            Some(fault) => {
                all_hold = false;
                lines += &format!("[-]{} failed: {fault}\n", check.name);
            }
        }
    }
    // Whoever looks for the reason why reads are off asks without `for=reads` first.
    if all_hold && engine.modes.is_unreadable() {
        lines += &format!("[i]mode {MODE_UNREADABLE}\n");
    }
    lines += &format!("{name} check {}\n", if all_hold { "passed" } else { "failed" });
    (all_hold, lines)
}
