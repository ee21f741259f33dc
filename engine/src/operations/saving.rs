//! Saves memories and detects texts that are already saved.

use std::collections::HashMap;
use std::time::Duration;

use engine_core::event::Draft;
use engine_core::request;
use engine_core::wire::{ErrorCode, SameText, SaveMemories, SaveMemory, Saved, SavedMemories};
use serde::Deserialize;

use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use crate::policy_gate::AllowedEvents;
use crate::refusal::{Refusal, ended, internal, unreadable_payload};
use engine_log::{Key, Receipt};
use engine_projection::{DuplicateMemory, Text, earlier};
use tracing::Instrument;

/// How long a save waits for the lookup of known texts. A durable save must be acknowledged even if the projection is
/// slow.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// The payload of a memory's event; only its content is read.
#[derive(Deserialize)]
struct Content {
    content: String,
}

impl Operations {
    /// Saves one memory durably.
    ///
    /// # Errors
    /// The request is malformed, the policy blocks it, or the log does not accept it.
    pub(crate) async fn save(
        &self,
        mut request: SaveMemory,
        key: Option<SentKey>,
    ) -> Result<Written<Saved>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let mode = request.same_text.unwrap_or_else(|| self.engine.live().same_text);
        let draft = request::memory(request)?;
        let Written { mut answer, replayed, wrote } = self.save_drafts(vec![draft], vec![mode], key).await?;
        let answer = answer.pop().ok_or_else(|| internal(&"a saved memory has no answer"))?;
        Ok(Written { answer, replayed, wrote })
    }

    /// Saves memories durably: either all of them or none.
    ///
    /// # Errors
    /// One memory is malformed or blocked by the policy, or the log does not accept them.
    pub(crate) async fn save_all(
        &self,
        mut request: SaveMemories,
        key: Option<SentKey>,
    ) -> Result<Written<SavedMemories>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let default = self.engine.live().same_text;
        let mode = |memory: &SaveMemory| memory.same_text.unwrap_or(default);
        let modes = request.memories.iter().map(mode).collect();
        let drafts = request::memories(request)?;
        let Written { answer, replayed, wrote } = self.save_drafts(drafts, modes, key).await?;
        Ok(Written { answer: SavedMemories { items: answer }, replayed, wrote })
    }

    async fn save_drafts(
        &self,
        drafts: Vec<Draft>,
        modes: Vec<SameText>,
        key: Option<Key>,
    ) -> Result<Written<Vec<Saved>>, Refusal> {
        // The lookup compares the texts in the form in which they are written, with personal data removed.
        let passed = self.engine.apply_policy(drafts).await?;
        let texts = passed.drafts().iter().map(text).collect::<Result<Vec<_>, _>>()?;
        if !modes.contains(&SameText::SaveOnce) {
            return self.save_and_say(passed, texts, key).await;
        }
        let operations = self.clone();
        // This runs in a separate task: if the client disconnects, the lock must still be held until the events are
        // written.
        let saved = async move { operations.save_once(passed, texts, modes, key).await };
        tokio::spawn(saved.in_current_span()).await.map_err(ended)?
    }

    /// Writes all memories. The lookup of known texts runs at the same time.
    async fn save_and_say(
        &self,
        passed: AllowedEvents,
        texts: Vec<Text>,
        key: Option<Key>,
    ) -> Result<Written<Vec<Saved>>, Refusal> {
        let looked = tokio::time::timeout(LOOK_MAX, self.earlier(texts.clone(), None));
        let (receipt, looked) = tokio::join!(self.commit_passed(passed, key), looked);
        let receipt = receipt?;
        // The memories are saved, even if the lookup failed.
        let known = looked.ok().and_then(Result::ok).map_or_else(Vec::new, |(known, _)| known);
        let mut first: HashMap<&Text, String> = HashMap::new();
        let mut saved = self.saved(&receipt, texts.len()).await?;
        for (place, (saved, text)) in saved.iter_mut().zip(&texts).enumerate() {
            let known = known.get(place).and_then(Option::as_ref);
            let before = known.filter(|known| known.seq < receipt.first_seq).map(|known| known.id.clone());
            saved.known_as = before.or_else(|| first.get(text).cloned());
            first.entry(text).or_insert_with(|| saved.id.clone());
        }
        Ok(Written::new(&receipt, saved))
    }

    /// Writes only the memories whose text is not known. A lock covers the lookup and the write of a text.
    async fn save_once(
        &self,
        passed: AllowedEvents,
        texts: Vec<Text>,
        modes: Vec<SameText>,
        key: Option<Key>,
    ) -> Result<Written<Vec<Saved>>, Refusal> {
        let _turns = self.engine.write_locks.take(texts.iter().map(|text| ("text", text))).await;
        let name = key.as_ref().map(|key| key.key.clone());
        let (known, repeated) = self.earlier(texts.clone(), name).await?;
        let mut first: HashMap<&Text, usize> = HashMap::new();
        let keeps = |place: usize, first: &HashMap<&Text, usize>| {
            let is_known = known[place].is_some() || first.contains_key(&texts[place]);
            modes[place] == SameText::SaveAndReport || !is_known
        };
        let mut kept = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            kept.push(keeps(place, &first));
            first.entry(text).or_insert(place);
        }
        // A repeated idempotency key gets the earlier response. The log checks whether the request is the same.
        if repeated {
            let receipt = self.commit_passed(passed, key).await?;
            return self.saved_before(&receipt, &texts, &known).await;
        }
        let count = kept.iter().filter(|kept| **kept).count();
        let (mut written, receipt) = match count {
            0 => (Vec::new().into_iter(), None),
            _ => {
                let receipt = self.commit_passed(passed.keep(&kept), key).await?;
                (self.saved(&receipt, count).await?.into_iter(), Some(receipt))
            }
        };
        let mut answer: Vec<Saved> = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            let earlier = known[place].as_ref().map(known_saved);
            let within = first.get(text).filter(|at| **at < place).and_then(|at| answer.get(*at).cloned());
            let before = earlier.or(within);
            let known_as = before.as_ref().map(|saved| saved.id.clone());
            let own = if kept[place] { written.next() } else { before };
            let own = own.ok_or_else(|| internal(&"a saved memory has no answer"))?;
            answer.push(Saved { known_as, ..own });
        }
        Ok(match receipt {
            Some(receipt) => Written::new(&receipt, answer),
            None => Written { answer, replayed: false, wrote: false },
        })
    }

    /// The response of an earlier request with the same key: the events that it wrote, and for each text that it did
    /// not write, the memory that was known.
    async fn saved_before(
        &self,
        receipt: &Receipt,
        texts: &[Text],
        known: &[Option<DuplicateMemory>],
    ) -> Result<Written<Vec<Saved>>, Refusal> {
        let events = self.events_between(receipt.first_seq, receipt.last_seq).await?;
        let mut written: HashMap<String, Saved> = HashMap::new();
        if events.len() == texts.len() {
            let saved = self.saved(receipt, texts.len()).await?;
            return Ok(Written::new(receipt, saved));
        }
        for event in events {
            // A forgotten event has no content.
            if let Ok(Content { content }) = serde_json::from_str(event.payload.get()) {
                written.entry(content).or_insert(Saved {
                    id: event.id,
                    seq: event.seq,
                    hash: event.hash,
                    known_as: None,
                });
            }
        }
        let mut answer = Vec::with_capacity(texts.len());
        for (text, known) in texts.iter().zip(known) {
            let found = written.get(&text.content).cloned().or_else(|| known.as_ref().map(known_saved));
            answer.push(found.ok_or_else(gone)?);
        }
        Ok(Written::new(receipt, answer))
    }

    /// The response to a write of `count` memories.
    async fn saved(&self, receipt: &Receipt, count: usize) -> Result<Vec<Saved>, Refusal> {
        if count == 1 {
            return Ok(vec![super::memories::saved(receipt)]);
        }
        // The events are read from the log, so that a repeated request gets the same response.
        let events = self.events_between(receipt.first_seq, receipt.last_seq).await?;
        let item = |event: engine_core::wire::EventView| Saved {
            id: event.id,
            seq: event.seq,
            hash: event.hash,
            known_as: None,
        };
        Ok(events.into_iter().map(item).collect())
    }

    /// Looks up which of these texts are in durable memories, and whether an earlier request used `key`.
    async fn earlier(
        &self,
        texts: Vec<Text>,
        key: Option<String>,
    ) -> Result<(Vec<Option<DuplicateMemory>>, bool), Refusal> {
        let moment = self.moment(None, None);
        let read = move |connection: &_| earlier(connection, &texts, &moment, key.as_deref());
        self.query("known_texts", None, read).await
    }
}

fn text(draft: &Draft) -> Result<Text, Refusal> {
    let Content { content } =
        serde_json::from_str(draft.payload.get()).map_err(|fault| unreadable_payload(&fault))?;
    Ok(Text { project: draft.project.clone(), content })
}

/// The error that a memory named in the earlier response has ended or was forgotten since.
fn gone() -> Refusal {
    let message = "this request was done before, and a memory named in its answer is no longer valid";
    Refusal::new(ErrorCode::EntryNotValid, message).hint("send it again without the Idempotency-Key")
}

fn known_saved(earlier: &DuplicateMemory) -> Saved {
    let DuplicateMemory { seq, id, hash } = earlier.clone();
    Saved { known_as: Some(id.clone()), id, seq, hash: hash.to_string() }
}
