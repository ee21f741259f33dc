//! The modes in the words of the resource and in those of the engine.

use crds::EngineMode;
use engine_core::mode::Mode;

/// The mode in the words of the engine.
#[must_use]
pub fn wanted(mode: EngineMode) -> Mode {
    match mode {
        EngineMode::ReadWrite => Mode::ReadWrite,
        EngineMode::WriteOnly => Mode::WriteOnly,
        EngineMode::ReadOnly => Mode::ReadOnly,
        EngineMode::Off => Mode::Off,
    }
}

/// The mode in the words of the resource.
#[must_use]
pub fn shown(mode: Mode) -> EngineMode {
    match mode {
        Mode::ReadWrite => EngineMode::ReadWrite,
        Mode::WriteOnly => EngineMode::WriteOnly,
        Mode::ReadOnly => EngineMode::ReadOnly,
        Mode::Off => EngineMode::Off,
    }
}
