//! The drill `write-path`: what is acknowledged is in the log, and what the policy forbids is nowhere.

use engine_core::wire::{PolicyReport, Saved};
use engine_log::Clock;
use serde_json::json;

use super::attempt::Attempt;
use super::planted::{Planted, personal, secret};
use super::verdict::Stop;

/// Number of memories without anything that the policy finds.
const PLAIN: usize = 3;

impl Attempt<'_> {
    /// Saves memories, also with planted personal data and a secret, and looks for them everywhere.
    pub(super) async fn write_path(&mut self) -> Result<(), Stop> {
        self.needs_writes().await?;
        let policy = self.policy().await?;
        let random = Clock::System.bytes();
        for number in 1..=PLAIN {
            let content = format!("Memory {number} of a drill with the word {}.", self.word);
            self.save(&content, "A drill").await?;
        }
        let planted = personal(random, policy.as_ref().map_or(&[], |policy| &policy.redact));
        let sentences: Vec<&str> = planted.iter().map(|planted| planted.sentence.as_str()).collect();
        let content = format!("Planted by a drill with the word {}. {}", self.word, sentences.join(" "));
        let carrier = self.save(&content, "A drill with personal data").await?;
        self.checks.note("saved", true, format!("{} memories", self.saved.len()));
        self.in_log().await?;
        match policy {
            None => self.checks.skip("redacted", "no policy"),
            Some(policy) => {
                self.secret_refused(random, &policy).await?;
                if planted.is_empty() {
                    self.checks.skip("redacted", "no policy for email, credit-card and phone");
                } else {
                    self.redacted(&carrier, &planted).await?;
                }
            }
        }
        Ok(())
    }

    /// The policy of the engine; none if it forbids nothing.
    async fn policy(&mut self) -> Result<Option<PolicyReport>, Stop> {
        let answer = self.connection.admin("/policy").await?.ok("policy")?;
        let policy: PolicyReport =
            serde_json::from_value(answer.json).map_err(|fault| Stop::Failed("policy", fault.to_string()))?;
        let (block, redact) = (policy.block.len(), policy.redact.len());
        if block + redact > 0 {
            self.checks.note(
                "policy",
                true,
                format!("{block} detectors of secrets, {redact} kinds of personal data"),
            );
            return Ok(Some(policy));
        }
        if self.options.expect_policy {
            return Err(Stop::Failed(
                "policy",
                "the engine has none, and --expect-policy was given".to_owned(),
            ));
        }
        self.checks.skip("policy", "no policy");
        Ok(None)
    }

    /// Every event that was acknowledged is in the log, under its number and with its hash.
    async fn in_log(&mut self) -> Result<(), Stop> {
        let last = self.last_seq();
        let has = |answer: &super::connection::Answer| answer.json["seq"].as_u64() >= Some(last);
        let head = self.read_until("/v1/log/head", has).await?.ok("in_log_head")?;
        let seq = head.json["seq"].as_u64().unwrap_or_default();
        self.checks.note("in_log_head", seq >= last, format!("the head is {seq}, acknowledged was {last}"));
        if self.needs("reads", engine_core::mode::Mode::reads).await.is_err() {
            self.checks.skip("in_log", "reads are off");
            return Ok(());
        }
        let mut wrong = Vec::new();
        for saved in self.saved.clone() {
            let event = self.event(saved.seq).await?;
            if event["seq"] != saved.seq || event["hash"] != saved.hash.as_str() {
                wrong.push(saved.seq);
            }
        }
        let found =
            format!("{} of {} events differ from what was acknowledged", wrong.len(), self.saved.len());
        self.checks.note("in_log", wrong.is_empty(), found);
        Ok(())
    }

    /// A secret is refused, and nothing of it is found.
    async fn secret_refused(&mut self, random: [u8; 16], policy: &PolicyReport) -> Result<(), Stop> {
        let planted = match secret(random, &policy.block) {
            Ok(planted) => planted,
            Err(stop) => {
                self.checks.stop(stop);
                return Ok(());
            }
        };
        let content = format!("Planted by a drill with the word {}. {}", self.word, planted.sentence);
        let answer = self.send(&content, "A drill with a secret").await?;
        let is_refused = answer.code() == "POLICY_BLOCKED" && !answer.text.contains(&planted.text);
        let detail = format!("{}: answered {}", planted.detector, answer.outcome());
        self.checks.note("secret_refused", is_refused, detail);
        Ok(())
    }

    /// Personal data is replaced wherever the memory is shown.
    async fn redacted(&mut self, carrier: &Saved, planted: &[Planted]) -> Result<(), Stop> {
        if self.needs("reads", engine_core::mode::Mode::reads).await.is_err() {
            self.checks.skip("redacted", "reads are off");
            return Ok(());
        }
        let Saved { id, seq, .. } = carrier;
        let (project, word) = (&self.project, &self.word);
        let memory =
            self.connection.get(&format!("/v1/memories/{id}?min_seq={seq}")).await?.ok("redacted")?;
        let is_replaced = planted.iter().all(|planted| memory.text.contains(planted.placeholder));
        let search = format!("/v1/search?project={project}&q={word}&limit=50&min_seq={seq}");
        let timeline = format!("/v1/timeline?anchor={seq}&project={project}&min_seq={seq}");
        let context = json!({
            "query": format!("planted by a drill {word}"), "project": project, "mandatory_ids": [id], "min_seq": seq,
        });
        let shown = [
            ("get", memory),
            ("search", self.connection.get(&search).await?.ok("redacted")?),
            ("timeline", self.connection.get(&timeline).await?.ok("redacted")?),
            ("history", self.connection.get(&format!("/v1/memories/{id}/history")).await?.ok("redacted")?),
            ("context", self.connection.ask("/v1/checkout", &context).await?.ok("redacted")?),
        ];
        // An answer that does not show the memory at all would say nothing.
        let named = |place: &str, text: &str| place == "context" || text.contains(id.as_str());
        let unseen: Vec<_> = shown
            .iter()
            .filter(|(place, answer)| !named(place, &answer.text))
            .map(|(place, _)| *place)
            .collect();
        self.checks.note("planted_is_shown", unseen.is_empty(), format!("not shown in: {unseen:?}"));
        for planted in planted {
            let places = shown.iter().filter(|(_, answer)| answer.text.contains(&planted.text));
            let places: Vec<_> = places.map(|(place, _)| *place).collect();
            let ok = places.is_empty() && is_replaced;
            self.checks.note("redacted", ok, format!("{}: as it was planted in: {places:?}", planted.kind));
        }
        Ok(())
    }
}
