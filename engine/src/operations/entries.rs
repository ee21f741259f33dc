//! Reads many memories, a timeline, or the history of a memory, and records feedback.

use std::collections::BTreeSet;

use engine_core::access::Scope;
use engine_core::digest::Hash;
use engine_core::feedback;
use engine_core::limits::{ENTRIES_BYTES_MAX, ENTRIES_MAX, HISTORY_MAX};
use engine_core::request::Refused;
use engine_core::wire::{
    EntriesAnswer, ErrorCode, GetEntries, GiveFeedback, HistoryAnswer, HistoryEvent, KnownAt, Saved,
    TimelineAnswer,
};

use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use super::memories::{known_id, saved, unknown};
use crate::refusal::{Refusal, ended, log_corrupt};
use engine_projection::{Anchor, LogState, Timeline, citation, entries, history, project_of};
use service::in_span;

impl Operations {
    /// Reads memories by their ids.
    ///
    /// # Errors
    /// There are no ids or too many, or the memories exceed the size limit of a response.
    pub(crate) async fn entries(&self, request: GetEntries) -> Result<EntriesAnswer, Refusal> {
        let permit = self.admit_read()?;
        let GetEntries { ids, as_of, known_at, min_seq } = request;
        if !(1..=ENTRIES_MAX).contains(&ids.len()) {
            return Err(
                Refused::Count { field: "ids".into(), found: ids.len(), min: 1, max: ENTRIES_MAX }.into()
            );
        }
        let known = known_at.map(|known| match known {
            KnownAt::Seq(seq) => LogState::Through(seq),
            KnownAt::Time(time) => LogState::At(time),
        });
        let moment = self.moment(as_of, known);
        let visible = self.visible(&permit, ids.clone(), min_seq).await?;
        let wanted: Vec<String> = ids.iter().filter(|id| visible.has(id)).cloned().collect();
        let found =
            self.query("entries", min_seq, move |connection| entries(connection, &wanted, &moment)).await?;
        let mut answer = found.ok_or_else(|| {
            let message = format!("these memories have more than {ENTRIES_BYTES_MAX} bytes");
            Refusal::new(ErrorCode::PayloadTooLarge, message).hint("request fewer ids at once")
        })?;
        // In the order of the request, whether nobody has the id or the caller may not see it.
        let mut seen = BTreeSet::new();
        let is_missing = |id: &&String| !visible.has(id) || answer.missing.contains(id);
        answer.missing = ids.iter().filter(is_missing).filter(|id| seen.insert(*id)).cloned().collect();
        Ok(answer)
    }

    /// Returns the memories around an anchor in the log.
    ///
    /// # Errors
    /// No memory has the id that is given as the anchor.
    pub(crate) async fn timeline(
        &self,
        mut asked: Timeline,
        min_seq: Option<u64>,
    ) -> Result<TimelineAnswer, Refusal> {
        let permit = self.admit_read()?;
        let caller_names = self.stored(&permit, &mut asked).await?;
        if let Anchor::Id(id) = &asked.anchor {
            self.check_visible(&permit, id, min_seq).await?;
        }
        let found = self.query("timeline", min_seq, move |connection| asked.run(connection)).await?;
        found.map(|answer| caller_names.restore(answer)).ok_or_else(unknown)
    }

    /// Returns every event about a memory, even if the memory is forgotten.
    ///
    /// # Errors
    /// No event is about a memory with this id.
    pub(crate) async fn history(&self, id: String) -> Result<HistoryAnswer, Refusal> {
        let permit = self.admit_read()?;
        let id = known_id(id)?;
        let own = self.own_projects().await?;
        let asked = id.clone();
        let read = move |connection: &_| Ok((history(connection, &asked)?, project_of(connection, &asked)?));
        let (mut seqs, project) = self.query("history", None, read).await?;
        self.permit_log(Scope::Read)?;
        if let Some(own) = &own
            && !self.is_own_history(own, seqs.first().copied(), project).await?
        {
            self.record_hidden(&permit);
            return Err(unknown());
        }
        if seqs.is_empty() {
            return Err(unknown());
        }
        let more = seqs.len() > HISTORY_MAX;
        seqs.truncate(HISTORY_MAX);
        let log = self.engine.log.clone();
        let read = move || {
            seqs.into_iter().map(|seq| log.lines_after(seq - 1, 1, 0)).collect::<std::io::Result<Vec<_>>>()
        };
        let lines = tokio::task::spawn_blocking(in_span(read)).await.map_err(ended)??;
        let event = |line: &Vec<u8>| {
            let event = super::events::view(line.trim_ascii_end()).map_err(|_| log_corrupt())?;
            let hash = Hash::from_hex(event.hash.as_bytes()).unwrap_or(Hash::ZERO);
            Ok(HistoryEvent { citation: citation(event.seq, &hash.0), event })
        };
        let mut events: Vec<HistoryEvent> = lines.iter().map(event).collect::<Result<_, Refusal>>()?;
        // Events of the engine itself may name memories of other projects beside this one.
        events.retain(|event| own.as_ref().is_none_or(|own| own.contains(&event.event.project)));
        Ok(HistoryAnswer { id, events, more })
    }

    /// Whether a memory is of one of these projects. A forgotten memory has no row, but its first event has the project.
    /// The event is read in every case, so that the time tells nothing.
    async fn is_own_history(
        &self,
        own: &BTreeSet<String>,
        first: Option<u64>,
        project: Option<String>,
    ) -> Result<bool, Refusal> {
        let seq = first.unwrap_or(1);
        let event = self.events_between(seq, seq).await?.pop();
        let recorded = event.filter(|_| first.is_some()).map(|event| event.project);
        Ok(project.or(recorded).is_some_and(|project| own.contains(&project)))
    }

    /// Records how useful a memory was.
    ///
    /// # Errors
    /// No memory has this id.
    pub(crate) async fn feedback(
        &self,
        mut request: GiveFeedback,
        key: Option<SentKey>,
    ) -> Result<Written<Saved>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let id = known_id(request.id.clone())?;
        self.check_visible(&permit, &id, None).await?;
        let found = self.query("target", None, move |connection| project_of(connection, &id)).await?;
        let draft = feedback::check(found.ok_or_else(unknown)?, request)?;
        let receipt = self.commit(vec![draft], key).await?;
        Ok(Written::new(&receipt, saved(&receipt)))
    }
}
