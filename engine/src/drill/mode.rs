//! The drill `mode`: everything that says the mode says the same, and it is in force.

use engine_core::mode::Mode;
use engine_core::wire::ModeReport;
use serde_json::json;
use tokio::time::sleep;

use super::attempt::{ACTOR, Attempt, LOOK};
use super::samples::Samples;
use super::verdict::Stop;

/// How often the reports are read until the mode does not change between them.
const TRIES: u32 = 20;
/// How long the mode is held if nobody ends it, seconds.
const HOLD_SECONDS: u64 = 30;

impl Attempt<'_> {
    /// Compares the reports of the mode, and holds another mode for a moment.
    pub(super) async fn mode_agrees(&mut self) -> Result<(), Stop> {
        let before = self.agree("as_found").await?;
        if let Some(why) = self.no_hold(&before).await? {
            self.checks.skip("held", why);
            return Ok(());
        }
        self.is_held = true;
        let hold =
            json!({"mode": Mode::WriteOnly, "reason": "a drill", "by": ACTOR, "ttl_seconds": HOLD_SECONDS});
        self.connection.administer("/mode/force", Some(&hold)).await?.ok("held")?;
        let held = self.agree("while_held").await?;
        let expected = before.mode.effective.intersect(Mode::WriteOnly);
        let is_held =
            held.mode.effective == expected && held.mode.direct.is_some_and(|hold| hold.by == ACTOR);
        self.checks.note(
            "held",
            is_held,
            format!("the mode is {}, expected was {expected}", held.mode.effective),
        );
        self.connection.administer("/mode/clear", None).await?.ok("hold_ended")?;
        self.is_held = false;
        let after = self.agree("after_the_hold").await?;
        let (now, then) = (after.mode.effective, before.mode.effective);
        self.checks.note("hold_ended", now == then, format!("the mode is {now}, before it was {then}"));
        Ok(())
    }

    /// Why the mode is not held.
    async fn no_hold(&self, found: &ModeReport) -> Result<Option<&'static str>, Stop> {
        let mode = &found.mode;
        Ok(if self.options.read_only {
            Some("--read-only")
        } else if !self.may_disturb().await? {
            Some("the engine was not started with --allow-drill-faults, and --disturb was not given")
        } else if mode.direct.is_some() {
            Some("a person holds the mode")
        } else if mode.guard.state != "base" {
            // The hold is ended by a request that ends a downgrade of the guard too.
            Some("the guard has turned reads off, or suspects a dependency")
        } else if !mode.effective.reads() {
            Some("the mode has no reads that a hold could turn off")
        } else {
            None
        })
    }

    /// Reads every report of the mode at a time when it does not change, and compares them.
    async fn agree(&mut self, when: &'static str) -> Result<ModeReport, Stop> {
        for _ in 0..TRIES {
            let before = self.mode().await?;
            let samples = self.samples().await?;
            let health = self.connection.admin("/health").await?.ok("health")?;
            let search = self.connection.get(&format!("/v1/search?limit=1&project={}", self.project)).await?;
            let ready = self.connection.admin("/readyz?for=reads").await?;
            let after = self.mode().await?;
            let state = |report: &ModeReport| (report.mode.effective, report.mode.guard.state.clone());
            if state(&before) != state(&after) {
                sleep(LOOK).await;
                continue;
            }
            let mode = &after.mode;
            let mut wrong = gauges(&samples, &after);
            if health.json["mode"]["effective"] != json!(mode.effective) {
                wrong.push("health");
            }
            let is_refused = search.code() == "READS_OFF" && search.json["used"] == false;
            if is_refused == mode.effective.reads() || !(is_refused || search.is_ok()) {
                wrong.push("search");
            }
            if !mode.effective.reads() && ready.is_ok() {
                wrong.push("readyz");
            }
            let detail = format!("the mode is {}; what says something else: {wrong:?}", mode.effective);
            self.checks.note(when, wrong.is_empty(), detail);
            return Ok(after);
        }
        Err(Stop::Failed(when, "the mode changes all the time".to_owned()))
    }
}

/// The gauges that do not say what the report says.
fn gauges(samples: &Samples, report: &ModeReport) -> Vec<&'static str> {
    let mode = &report.mode;
    let mut held = Vec::new();
    held.extend(mode.direct.is_some().then_some("engine"));
    held.extend(mode.declared.is_some().then_some("resource"));
    let expected = [
        ("memory_mode", "mode", vec![mode.effective.as_str()]),
        ("memory_mode_wanted", "mode", vec![mode.wanted.as_str()]),
        ("memory_guard_state", "state", vec![mode.guard.state.as_str()]),
        ("memory_mode_held", "source", held),
    ];
    let is_wrong =
        |(name, label, expected): &(&'static str, &str, Vec<&str>)| samples.set(name, label) != *expected;
    expected.iter().filter(|gauge| is_wrong(gauge)).map(|(name, ..)| *name).collect()
}
