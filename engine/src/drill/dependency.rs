//! The drills `auth-failure` and `consecutive-failures`: the embedding service seems to fail, the guard turns reads
//! off, probes, and turns them on again. The engine makes its own calls fail: nothing reaches the service.

use engine_core::mode::Mode;
use engine_core::wire::{DRILL_FAULT_SECONDS_MAX, DrillFaultKind, InjectFault, ModelRole, ModelsHealth};
use serde_json::json;
use tokio::time::sleep;

use super::attempt::{Attempt, LOOK};
use super::verdict::Stop;

const DEPENDENCY: (&str, &str) = ("dependency", "embedding");
const DOWNGRADES: &str = "memory_read_downgrades_total";
const PROBES: &str = "memory_guard_probes_total";
const GAUGE: &str = "memory_drill_fault";

/// Why the guard turns reads off, as it says so.
fn reason(kind: DrillFaultKind) -> &'static str {
    match kind {
        DrillFaultKind::Authentication => "authentication_failed",
        DrillFaultKind::Failure => "consecutive_failures",
    }
}

impl Attempt<'_> {
    /// Makes the embedding service seem to fail, until reads are off; then waits until they are on again.
    pub(super) async fn dependency_fails(&mut self, kind: DrillFaultKind) -> Result<(), Stop> {
        self.can_fail().await?;
        self.needs_writes().await?;
        self.needs("reads", Mode::reads).await?;
        self.embedded().await?;
        let before = self.samples().await?;
        self.inject(kind).await?;
        self.reads_go_off(kind).await?;
        // What clients write is not lost meanwhile.
        self.save(&format!("Saved by a drill while reads are off, {}.", self.word), "A drill").await?;
        self.checks.note("writes_go_on", true, "a memory was saved while reads were off");
        self.end_fault().await?;
        self.reads_come_back().await?;
        let after = self.samples().await?;
        let increase = |name: &str, labels: &[(&str, &str)]| {
            after.sum(name, labels).unwrap_or_default() - before.sum(name, labels).unwrap_or_default()
        };
        let downgrades = increase(DOWNGRADES, &[DEPENDENCY, ("reason", reason(kind))]);
        self.checks.note("counted", downgrades >= 1.0, format!("{downgrades} downgrades with this reason"));
        let probes = increase(PROBES, &[("outcome", "passed")]);
        self.checks.note("probed", probes >= 1.0, format!("{probes} probes passed"));
        let ended = after.set(GAUGE, "kind").is_empty();
        self.checks.note("fault_ended", ended, "the gauge of the fault says that it has ended");
        Ok(())
    }

    /// Goes on if a fault can be injected.
    async fn can_fail(&self) -> Result<(), Stop> {
        if self.options.read_only {
            return Err(Stop::Skipped("fault", "--read-only".to_owned()));
        }
        let health = self.connection.admin("/health").await?.ok("health")?;
        if health.json["drill_faults"]["allowed"] != true {
            let why = "the engine was not started with --allow-drill-faults";
            return Err(Stop::Skipped("fault", why.to_owned()));
        }
        let models = self.connection.admin("/health/models").await?.ok("models")?;
        let models: ModelsHealth =
            serde_json::from_value(models.json).map_err(|fault| Stop::Failed("models", fault.to_string()))?;
        match models.models.iter().any(|model| model.role == ModelRole::Embedding) {
            true => Ok(()),
            false => {
                Err(Stop::Skipped("fault", "the engine has no embedding service that could fail".to_owned()))
            }
        }
    }

    /// Saves a memory and waits until the service has made a vector: before the first one, no search asks the service.
    async fn embedded(&mut self) -> Result<(), Stop> {
        self.save(&format!("A memory of a drill about a dependency, {}.", self.word), "A drill").await?;
        loop {
            let status = self.connection.admin("/embedding").await?.ok("embedded")?;
            if status.json["embedded"].as_u64() > Some(0) && status.json["failure"].is_null() {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    async fn inject(&mut self, kind: DrillFaultKind) -> Result<(), Stop> {
        self.is_faulty = true;
        let fault = json!(InjectFault { kind, seconds: DRILL_FAULT_SECONDS_MAX });
        self.connection.administer("/drill/fault", Some(&fault)).await?.ok("fault")?;
        let health = self.connection.admin("/health").await?.ok("health")?;
        let samples = self.samples().await?;
        let is_shown = health.json["drill_faults"]["fault"]["kind"] == kind.as_str()
            && samples.set(GAUGE, "kind") == [kind.as_str()];
        self.checks.note("fault_is_shown", is_shown, format!("{}, in health and in {GAUGE}", kind.as_str()));
        Ok(())
    }

    /// Searches until reads are refused.
    async fn reads_go_off(&mut self, kind: DrillFaultKind) -> Result<(), Stop> {
        let mut answered = 0_u32;
        let refused = loop {
            let answer = self.search_anew(answered).await?;
            if answer.code() == "READS_OFF" {
                break answer.json;
            }
            if !self.is_fault_active().await? {
                return Err(Stop::Failed(
                    "reads_off",
                    format!("{answered} searches failed, and reads stayed on"),
                ));
            }
            answered += 1;
            sleep(LOOK).await;
        };
        let expected = format!("{}_{}", DEPENDENCY.1, reason(kind));
        let is_told = refused["used"] == false && refused["reason"] == expected.as_str();
        let found = refused["reason"].as_str().unwrap_or_default();
        self.checks.note("reads_off", is_told, format!("after {answered} searches, because of {found}"));
        let effective = self.mode().await?.mode.effective;
        self.checks.note(
            "downgraded",
            !effective.reads() && effective.writes(),
            format!("the mode is {effective}"),
        );
        Ok(())
    }

    async fn is_fault_active(&self) -> Result<bool, Stop> {
        let health = self.connection.admin("/health").await?.ok("health")?;
        Ok(!health.json["drill_faults"]["fault"].is_null())
    }

    /// Searches with words that no cached answer has.
    async fn search_anew(&self, number: u32) -> Result<super::connection::Answer, Stop> {
        let path = format!("/v1/search?project={}&q={}+attempt{number}", self.project, self.word);
        self.connection.get(&path).await
    }

    /// Waits until a search is answered with the service.
    async fn reads_come_back(&mut self) -> Result<(), Stop> {
        let mut number = 1_000;
        loop {
            let answer = self.search_anew(number).await?;
            let is_whole = answer.is_ok() && answer.json["degraded"].as_array().is_none_or(Vec::is_empty);
            if is_whole {
                break;
            }
            number += 1;
            sleep(LOOK * 4).await;
        }
        let mode = self.mode().await?.mode;
        let is_back = mode.effective.reads() && mode.guard.state == "base";
        let detail = format!("the mode is {}, and a search is answered with the service", mode.effective);
        self.checks.note("reads_on", is_back, detail);
        let found = self
            .connection
            .get(&format!("/v1/search?project={}&limit=50", self.project))
            .await?
            .ok("found")?;
        let found = found.json["items"].as_array().map_or(0, Vec::len);
        let expected = self.saved.len();
        self.checks.note("found", found == expected, format!("{found} of {expected} memories"));
        Ok(())
    }
}
