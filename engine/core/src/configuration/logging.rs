//! `log`: what the engine writes about itself.

use super::key::Key;
use super::section::{section, words};

section! {
    /// What the engine writes about itself.
    "log" => Logging {
        /// least severe messages
        "level" level: LogLevel, or LogLevel::Info, since "0.1.0"
            => Key::words(LogLevel::WORDS).field("spec.logging.level");
    }
}

words! {
    /// Severity of messages.
    LogLevel {
        /// Somebody has to act.
        Error = "error",
        /// Somebody may have to act.
        Warn = "warn",
        /// What happened.
        Info = "info",
        /// What was decided on the way.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}
