//! What an engine lets its clients do: read, write, both or neither.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A mode. The numbers are those of the metric `memory_mode_number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Neither reads nor writes.
    Off = 0,
    /// Writes are accepted, reads are refused.
    WriteOnly = 1,
    /// Both.
    ReadWrite = 2,
    /// Reads are answered, writes are refused.
    ReadOnly = 3,
}

impl Mode {
    /// Every mode, by number.
    pub const ALL: [Mode; 4] = [Mode::Off, Mode::WriteOnly, Mode::ReadWrite, Mode::ReadOnly];

    /// The mode that allows exactly this.
    #[must_use]
    pub const fn of(reads: bool, writes: bool) -> Mode {
        match (reads, writes) {
            (false, false) => Mode::Off,
            (false, true) => Mode::WriteOnly,
            (true, true) => Mode::ReadWrite,
            (true, false) => Mode::ReadOnly,
        }
    }

    /// Whether memories can be read.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, Mode::ReadWrite | Mode::ReadOnly)
    }

    /// Whether memories can be written.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Mode::ReadWrite | Mode::WriteOnly)
    }

    /// The mode that allows what both modes allow. It never allows more than either of them.
    #[must_use]
    pub const fn intersect(self, other: Mode) -> Mode {
        Mode::of(self.reads() && other.reads(), self.writes() && other.writes())
    }

    /// The word for it, as in answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::WriteOnly => "write_only",
            Mode::ReadWrite => "read_write",
            Mode::ReadOnly => "read_only",
        }
    }

    /// The number of the mode.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intersection_allows_what_both_allow() {
        for one in Mode::ALL {
            for other in Mode::ALL {
                let both = one.intersect(other);
                assert_eq!(both.reads(), one.reads() && other.reads(), "{one} {other}");
                assert_eq!(both.writes(), one.writes() && other.writes(), "{one} {other}");
                assert_eq!(both, other.intersect(one));
            }
            assert_eq!(one.intersect(Mode::ReadWrite), one);
            assert_eq!(Mode::of(one.reads(), one.writes()), one);
            assert_eq!(Mode::ALL[usize::from(one.number())], one);
        }
    }
}
