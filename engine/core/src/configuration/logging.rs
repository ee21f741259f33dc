//! `log`: what the engine logs.

use super::key::Key;
use super::section::{section, words};

section! {
    /// What the engine logs.
    "log" => Logging {
        /// minimum severity of messages
        "level" level: LogLevel, or LogLevel::Info, since "0.1.0"
            => Key::one_of(LogLevel::WORDS).field("spec.logging.level").live();
    }
}

words! {
    /// Severity of messages.
    LogLevel {
        /// Problems that need attention.
        Error = "error",
        /// Possible problems.
        Warn = "warn",
        /// Normal operation.
        Info = "info",
        /// Internal decisions, for debugging.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}
