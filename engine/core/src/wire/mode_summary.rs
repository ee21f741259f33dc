//! The mode in a few lines, for people.

use std::fmt::Write;

use crate::guard::Dependency;
use crate::wire::{HoldView, ModeReport};

impl ModeReport {
    /// The mode, why it is what it is, since when and until when, and a line for each dependency.
    #[must_use]
    pub fn summary(&self) -> String {
        let mode = &self.mode;
        let mut lines = format!("mode:       {}, since {}\n", mode.effective, mode.since);
        let mut line = |name: &str, text: &str| {
            // Writing to a text does not fail.
            let _written = writeln!(lines, "{name:<11} {text}");
        };
        let wanted_by = match &mode.told_by {
            Some(teller) => format!("generation {} of the resource {}", teller.generation, teller.uid),
            None => "no resource".to_owned(),
        };
        line("wanted:", &format!("{}, by {wanted_by}", mode.wanted));
        if mode.unsaved {
            line(
                "file:",
                "the volume does not accept the mode, which a restart would lose; it is tried again",
            );
        }
        if mode.unreadable {
            line("file:", "mode/mode.json cannot be read, so that reads are off until a mode is set");
        }
        let until = mode.guard.until.map(|until| format!(", probes from {until}")).unwrap_or_default();
        let cause = mode.guard.cause.map(|cause| format!(", {cause}")).unwrap_or_default();
        line("guard:", &format!("{}{cause}, since {}{until}", mode.guard.state, mode.guard.since));
        for (place, hold) in [("engine", &mode.direct), ("resource", &mode.declared)] {
            if let Some(HoldView { mode, reason, by, until, .. }) = hold {
                line("hold:", &format!("at most {mode} until {until}, at the {place}, by {by}: {reason}"));
            }
        }
        for dependency in Dependency::ALL {
            let state = match self.consecutive_failures.get(&dependency) {
                None => "not called yet".to_owned(),
                Some(0) => "works".to_owned(),
                Some(failures) => format!("{failures} failures in a row"),
            };
            line(&format!("{}:", dependency.as_str()), &state);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::guard::{Cause, Fault, Outcome, Reason};
    use crate::mode::Mode;
    use crate::wire::{GuardHealth, ModeHealth};

    #[test]
    fn a_person_sees_the_mode_why_and_until_when() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let outcome = Some(Outcome::Failed(Fault::Timeout));
        let dependency = Dependency::Embedding;
        let cause = Cause { dependency, reason: Reason::ConsecutiveFailures, outcome };
        let hold = HoldView {
            mode: Mode::WriteOnly,
            reason: "reindexing".into(),
            by: "anna".into(),
            redacted: false,
            since: at(0),
            until: at(60),
        };
        let report = ModeReport {
            mode: ModeHealth {
                wanted: Mode::ReadWrite,
                told_by: None,
                effective: Mode::WriteOnly,
                since: at(0),
                unreadable: true,
                unsaved: false,
                guard: GuardHealth {
                    state: "forced".into(),
                    since: at(0),
                    until: Some(at(300)),
                    cause: Some(cause),
                },
                direct: Some(hold),
                declared: None,
            },
            consecutive_failures: BTreeMap::from([(Dependency::Projection, 0), (dependency, 3)]),
            transitions: Vec::new(),
        };
        let expected = "\
mode:       write_only, since 2027-01-15T08:00:00Z
wanted:     read_write, by no resource
file:       mode/mode.json cannot be read, so that reads are off until a mode is set
guard:      forced, embedding: consecutive_failures (timeout), since 2027-01-15T08:00:00Z, probes from \
2027-01-15T08:05:00Z
hold:       at most write_only until 2027-01-15T08:01:00Z, at the engine, by anna: reindexing
projection: works
embedding:  3 failures in a row
rerank:     not called yet
";
        assert_eq!(report.summary(), expected);
    }
}
