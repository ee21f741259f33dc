//! What a drill found: checks, an outcome, and how both are shown.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What a check says of something that could not be looked at.
const SKIPPED: &str = "skipped: ";

/// One thing that was asserted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    name: &'static str,
    ok: bool,
    /// What was found. It has neither a text of a memory nor a secret.
    detail: String,
}

/// Everything that was asserted so far.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    /// Notes whether something holds.
    pub(super) fn note(&mut self, name: &'static str, ok: bool, detail: impl Into<String>) {
        self.0.push(Check { name, ok, detail: detail.into() });
    }

    /// Notes why something could not be looked at.
    pub(super) fn skip(&mut self, name: &'static str, why: impl AsRef<str>) {
        self.note(name, true, format!("{SKIPPED}{}", why.as_ref()));
    }

    /// Notes that the drill ends here.
    pub(super) fn stop(&mut self, stop: Stop) {
        match stop {
            Stop::Failed(name, detail) => self.note(name, false, detail),
            Stop::Skipped(name, why) => self.skip(name, why),
        }
    }
}

/// Why a drill ends before its last check.
#[derive(Debug)]
pub(super) enum Stop {
    /// What comes next depends on something that does not hold.
    Failed(&'static str, String),
    /// The engine has nothing to look at.
    Skipped(&'static str, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

/// What one drill found.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    drill: &'static str,
    outcome: Outcome,
    checks: Vec<Check>,
    elapsed_ms: u64,
}

impl Verdict {
    pub(super) fn new(drill: &'static str, Checks(checks): Checks, elapsed: Duration) -> Verdict {
        let is_skipped = |check: &Check| check.detail.starts_with(SKIPPED);
        let outcome = if checks.iter().any(|check| !check.ok) {
            Outcome::Failed
        } else if checks.iter().all(is_skipped) {
            // A drill that asserted nothing has not passed.
            Outcome::Skipped
        } else {
            Outcome::Passed
        };
        Verdict { drill, outcome, checks, elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }
}

/// The verdicts as a table for people.
pub(super) fn table(verdicts: &[Verdict]) -> String {
    let mut lines = String::new();
    for Verdict { drill, outcome, checks, elapsed_ms } in verdicts {
        lines += &format!("{drill:<22} {:<8} {elapsed_ms:>7} ms\n", outcome.as_str());
        for Check { name, ok, detail } in checks {
            let mark = if *ok { "ok" } else { "FAILED" };
            lines += &format!("  {mark:<7} {name:<24} {detail}\n");
        }
    }
    lines
}

/// The verdicts for the termination message of a pod, which is short: of each drill the checks that do not hold, or why
/// it was skipped.
pub(super) fn summary(verdicts: &[Verdict]) -> Value {
    let ok = !verdicts.iter().any(Verdict::is_failed);
    let drills: Map<String, Value> = verdicts
        .iter()
        .map(|verdict| {
            let mut shown = json!({"outcome": verdict.outcome, "elapsed_ms": verdict.elapsed_ms});
            let is_shown = |check: &&Check| !check.ok || verdict.outcome == Outcome::Skipped;
            let checks: Vec<&Check> = verdict.checks.iter().filter(is_shown).collect();
            if !checks.is_empty() {
                shown["checks"] = json!(checks);
            }
            (verdict.drill.to_owned(), shown)
        })
        .collect();
    json!({"ok": ok, "drills": drills})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(checks: Checks) -> Verdict {
        Verdict::new("mode", checks, Duration::from_millis(5))
    }

    #[test]
    fn one_check_that_does_not_hold_fails_a_drill_and_a_drill_without_a_check_has_not_passed() {
        assert_eq!(verdict(Checks::default()).outcome, Outcome::Skipped);
        let mut checks = Checks::default();
        checks.skip("policy", "no policy");
        assert_eq!(verdict(checks).outcome, Outcome::Skipped);
        let mut checks = Checks::default();
        checks.skip("policy", "no policy");
        checks.note("saved", true, "");
        assert_eq!(verdict(checks).outcome, Outcome::Passed);
        let mut checks = Checks::default();
        checks.note("saved", true, "");
        checks.stop(Stop::Failed("read", "404".to_owned()));
        assert_eq!(verdict(checks).outcome, Outcome::Failed);
    }

    #[test]
    fn the_summary_has_only_what_does_not_hold() {
        let mut checks = Checks::default();
        checks.note("saved", true, "");
        checks.note("read", false, "404");
        let found = summary(&[verdict(checks)]);
        assert_eq!(
            (&found["ok"], &found["drills"]["mode"]["checks"][0]["name"]),
            (&json!(false), &json!("read"))
        );
        assert_eq!(found["drills"]["mode"]["checks"].as_array().map(Vec::len), Some(1));
    }
}
