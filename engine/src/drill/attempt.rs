//! One attempt of a drill: what it has found, and what it has to undo.

use std::time::Duration;

use engine_core::mode::Mode;
use engine_core::wire::{ModeReport, Saved};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::connection::{Answer, Connection};
use super::samples::Samples;
use super::verdict::{Checks, Stop};

/// Actor of everything that a drill writes, and the person of its holds.
pub(super) const ACTOR: &str = "memory-engine-drill";
/// Longest time in which everything is undone. A pod has 30 s before it is killed.
const UNDO_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks at something that is expected soon.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// Longest time until an engine shows what was acknowledged; a reader has it from its writer.
pub(super) const SHOWN_MAX: Duration = Duration::from_secs(10);

/// What a drill may do.
#[derive(Debug)]
pub(super) struct Options {
    /// Part of the name of the project.
    pub(super) run: String,
    /// Whether a person or a Job has chosen it, so that an earlier run may have had the same.
    pub(super) is_named: bool,
    /// Whether nothing may be written.
    pub(super) read_only: bool,
    /// Whether clients of the engine may be disturbed for seconds.
    pub(super) disturb: bool,
    /// Whether an engine without a policy fails.
    pub(super) expect_policy: bool,
}

/// A drill that is carried out.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) connection: &'a Connection,
    pub(super) options: &'a Options,
    /// The project of everything that it saves.
    pub(super) project: String,
    /// A word that no other memory has.
    pub(super) word: String,
    pub(super) checks: Checks,
    pub(super) saved: Vec<Saved>,
    /// Whether something may have been saved.
    has_saved: bool,
    /// Whether the mode may be held.
    pub(super) is_held: bool,
    /// Whether a fault may be injected.
    pub(super) is_faulty: bool,
    /// Where something was found when it was looked for last, after it had been forgotten.
    left: Vec<&'static str>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(connection: &'a Connection, options: &'a Options) -> Attempt<'a> {
        // Letters alone, so that every way of splitting words keeps it whole.
        let letters = options.run.bytes().map(|byte| char::from(b'a' + byte % 26));
        Attempt {
            connection,
            options,
            project: format!("drill-{}", options.run),
            word: "drill".chars().chain(letters).collect(),
            checks: Checks::default(),
            saved: Vec::new(),
            has_saved: false,
            is_held: false,
            is_faulty: false,
            left: Vec::new(),
        }
    }

    /// The mode of the engine.
    pub(super) async fn mode(&self) -> Result<ModeReport, Stop> {
        let answer = self.connection.admin("/mode").await?.ok("mode")?;
        serde_json::from_value(answer.json).map_err(|fault| Stop::Failed("mode", fault.to_string()))
    }

    /// Goes on if the mode allows something. What the resource or a person does not want is skipped; what the guard has
    /// turned off fails.
    pub(super) async fn needs(&self, what: &str, allows: fn(Mode) -> bool) -> Result<(), Stop> {
        let mode = self.mode().await?.mode;
        if allows(mode.effective) {
            return Ok(());
        }
        let holds = [&mode.direct, &mode.declared].into_iter().flatten();
        let is_wanted = allows(mode.wanted) && holds.into_iter().all(|hold| allows(hold.mode));
        let why = format!("{what} are off: the mode is {}", mode.effective);
        match mode.guard.cause.filter(|_| is_wanted) {
            Some(cause) => Err(Stop::Failed("mode", format!("{why}, because of the guard: {cause}"))),
            None => Err(Stop::Skipped("mode", why)),
        }
    }

    /// Whether clients of the engine may be disturbed: it was started for that, or a person says so.
    pub(super) async fn may_disturb(&self) -> Result<bool, Stop> {
        let health = self.connection.admin("/health").await?.ok("health")?;
        Ok(self.options.disturb || health.json["drill_faults"]["allowed"] == true)
    }

    /// Goes on if writing is allowed. Forgets what an earlier run with the same id has left, because it was killed.
    pub(super) async fn needs_writes(&mut self) -> Result<(), Stop> {
        if self.options.read_only {
            return Err(Stop::Skipped("writes", "--read-only".to_owned()));
        }
        self.needs("writes", Mode::writes).await?;
        if self.options.is_named { self.forget().await.map(drop) } else { Ok(()) }
    }

    /// All metrics.
    pub(super) async fn samples(&self) -> Result<Samples, Stop> {
        let answer = self.connection.admin("/metrics").await?.ok("metrics")?;
        Samples::parse(&answer.text).map_err(|fault| Stop::Failed("metrics", fault))
    }

    /// Sends a memory with this content, which may be refused.
    pub(super) async fn send(&mut self, content: &str, title: &str) -> Result<Answer, Stop> {
        self.has_saved = true;
        let body = json!({
            "content": content, "title": title, "project": self.project, "actor": ACTOR, "session": self.project,
            "tags": ["drill"], "entities": [self.word], "same_text": "say",
        });
        self.connection.write("/v1/memories", &body).await
    }

    /// Saves a memory.
    pub(super) async fn save(&mut self, content: &str, title: &str) -> Result<Saved, Stop> {
        let answer = self.send(content, title).await?.ok("saved")?;
        let saved: Saved =
            serde_json::from_value(answer.json).map_err(|fault| Stop::Failed("saved", fault.to_string()))?;
        self.saved.push(saved.clone());
        Ok(saved)
    }

    /// The number of the last event that was saved.
    pub(super) fn last_seq(&self) -> u64 {
        self.saved.last().map_or(0, |saved| saved.seq)
    }

    /// Reads until the answer is wanted, or for [`SHOWN_MAX`]. Returns the last answer.
    pub(super) async fn read_until(
        &self,
        path: &str,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Stop> {
        let end = Instant::now() + SHOWN_MAX;
        loop {
            let answer = self.connection.get(path).await?;
            if is_wanted(&answer) || Instant::now() >= end {
                return Ok(answer);
            }
            sleep(LOOK).await;
        }
    }

    /// The event with this number, as the log has it.
    pub(super) async fn event(&self, seq: u64) -> Result<Value, Stop> {
        let path = format!("/v1/events?after={}&limit=1", seq.saturating_sub(1));
        let mut page = self.connection.get(&path).await?.ok("event")?;
        Ok(page.json["events"][0].take())
    }

    /// Undoes everything. It is called however the drill ended.
    pub(super) async fn undo(&mut self) {
        let done = tokio::time::timeout(UNDO_MAX, self.undo_all()).await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(stop)) => self.checks.stop(stop),
            Err(_) => {
                let why = format!("not done within {UNDO_MAX:?}; something is left in: {:?}", self.left);
                self.checks.note("undone", false, why);
            }
        }
    }

    async fn undo_all(&mut self) -> Result<(), Stop> {
        self.connection.settle().await;
        if self.is_faulty {
            self.end_fault().await?;
        }
        if self.is_held {
            self.connection.administer("/mode/clear", None).await?.ok("hold_ended")?;
            self.is_held = false;
        }
        if self.has_saved {
            let forgotten = self.forget().await?;
            self.checks.note("nothing_is_left", true, format!("{forgotten} memories were forgotten"));
            self.has_saved = false;
        }
        Ok(())
    }

    /// Ends the fault that this drill has injected.
    pub(super) async fn end_fault(&mut self) -> Result<(), Stop> {
        self.connection.administer("/drill/fault/end", None).await?.ok("fault_ended")?;
        self.is_faulty = false;
        Ok(())
    }

    /// Forgets the project, until nothing of it is found. Returns the number of memories.
    async fn forget(&mut self) -> Result<u64, Stop> {
        let request = json!({"project": self.project, "reason": "the end of a drill", "actor": ACTOR});
        let mut forgotten = 0;
        loop {
            let answer = self.connection.write("/v1/forget", &request).await?;
            // A volume that is full or a writer that restarts may still carry it out.
            if answer.status != 503 {
                let answer = answer.ok("nothing_is_left")?;
                self.left = self.left().await?;
                forgotten += answer.json["memories"].as_u64().unwrap_or_default();
                if self.left.is_empty() && answer.json["complete"] == true {
                    return Ok(forgotten);
                }
            }
            sleep(LOOK).await;
        }
    }

    /// Where something of the project is still found. While reads are off, only the report of the forgetting says so.
    async fn left(&self) -> Result<Vec<&'static str>, Stop> {
        let project = &self.project;
        let ids: Vec<&str> = self.saved.iter().map(|saved| saved.id.as_str()).collect();
        let anchor = self.last_seq();
        let mut asked = vec![
            ("search", self.connection.get(&format!("/v1/search?project={project}&limit=1")).await?, "items"),
            (
                "words",
                self.connection.get(&format!("/v1/search?mode=lexical&q={}", self.word)).await?,
                "items",
            ),
            (
                "timeline",
                self.connection.get(&format!("/v1/timeline?anchor={anchor}&project={project}")).await?,
                "items",
            ),
            ("graph", self.connection.get(&format!("/v1/graph?project={project}")).await?, "entities"),
            (
                "graph_memories",
                self.connection.get(&format!("/v1/graph/memories?project={project}&q={}", self.word)).await?,
                "memories",
            ),
        ];
        if !ids.is_empty() {
            let entries = self.connection.ask("/v1/memories/entries", &json!({"ids": ids})).await?;
            asked.push(("entries", entries, "entries"));
        }
        let is_left = |(place, answer, list): (&'static str, Answer, &str)| match answer.json[list].as_array()
        {
            Some(items) => (!items.is_empty()).then_some(place),
            None => (answer.code() != "READS_OFF").then_some(place),
        };
        let mut left: Vec<_> = asked.into_iter().filter_map(is_left).collect();
        left.extend(self.is_in_log().await?.then_some("log"));
        Ok(left)
    }

    /// Whether the log still has the text of a memory. A reader removes it from its rows first.
    async fn is_in_log(&self) -> Result<bool, Stop> {
        let Some(first) = self.saved.first() else { return Ok(false) };
        let path = format!("/v1/events?project={}&after={}&limit=100", self.project, first.seq - 1);
        let page = self.connection.get(&path).await?;
        let events = page.json["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        // While reads are off, only the report of the forgetting says so.
        Ok(page.code() != "READS_OFF"
            && (!page.is_ok() || events.iter().any(|event| !event["payload"].is_null())))
    }
}
