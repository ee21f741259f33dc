//! Reads memories and ends their validity.

use std::sync::Arc;

use engine_core::digest::is_id;
use engine_core::request;
use engine_core::row::microseconds;
use engine_core::wire::{ErrorCode, InvalidateMemory, MemoryView, Saved, Validity};
use jiff::Timestamp;

use super::handle::{Operations, SEQ_MAX, Written};
use super::idempotency::SentKey;
use crate::refusal::{Refusal, log_corrupt};
use crate::spans;
use engine_log::Receipt;
use engine_projection::{Found, LogState, Moment, Target, memory, target};
use tracing::Instrument;

impl Operations {
    /// Returns the moment that a read is about. If the log does not verify, only the events before the fault are
    /// visible.
    pub(crate) fn moment(&self, as_of: Option<Timestamp>, known: Option<LogState>) -> Moment {
        let readable = self.engine.published.readable_through();
        let known = match known {
            known if readable >= SEQ_MAX => known,
            Some(LogState::Through(seq)) => Some(LogState::Through(seq.min(readable))),
            _ => Some(LogState::Through(readable)),
        };
        Moment { now: Timestamp::now(), as_of, known }
    }

    /// Reads one memory as it is valid at a moment.
    ///
    /// # Errors
    /// No memory has this id, or the memory is not valid at that moment.
    pub(crate) async fn read(
        &self,
        id: String,
        moment: Moment,
        min_seq: Option<u64>,
    ) -> Result<Arc<MemoryView>, Refusal> {
        let permit = self.admit_read()?;
        let id = known_id(id)?;
        self.check_visible(&permit, &id, min_seq).await?;
        let of_now = moment.as_of.is_none() && moment.known.is_none();
        let is_durable = min_seq.is_none_or(|wanted| wanted <= self.engine.published.head_seq());
        if of_now
            && is_durable
            && let Some(view) = self.fresh(&id, moment.now)
        {
            self.engine.answers.count_fresh();
            return Ok(Arc::new(view));
        }
        self.wait_for(min_seq).await?;
        let altered = self.engine.projection.altered();
        if of_now && let Some(kept) = self.engine.answers.memory(&id, altered, moment.now) {
            let applied_seq = self.engine.projection.applied_seq();
            return Ok(Arc::new(MemoryView { applied_seq, ..(*kept).clone() }));
        }
        match self.query("get", Some(0), move |connection| memory(connection, &id, &moment)).await? {
            Found::Valid(view) => {
                let view = Arc::new(*view);
                if of_now {
                    self.engine.answers.keep_memory(altered, Arc::clone(&view));
                }
                Ok(view)
            }
            Found::Unknown if self.engine.published.readable_through() < SEQ_MAX => Err(log_corrupt()),
            Found::Unknown => Err(unknown()),
            Found::NotValid(Validity { from, until, .. }) => {
                let end = until.map(|until| format!(" until {until}")).unwrap_or_default();
                Err(Refusal::new(ErrorCode::EntryNotValid, format!("the memory is true from {from}{end}"))
                    .hint(format!("as_of={from} reads it as it was true then")))
            }
        }
    }

    /// Ends the validity of a memory.
    ///
    /// # Errors
    /// No memory has this id, the memory has ended already, or the requested end is not possible.
    pub(crate) async fn invalidate(
        &self,
        id: String,
        request: InvalidateMemory,
        key: Option<SentKey>,
    ) -> Result<Written<Saved>, Refusal> {
        self.end_validity(id, request, key).instrument(spans::of_invalidation()).await
    }

    async fn end_validity(
        &self,
        id: String,
        mut request: InvalidateMemory,
        key: Option<SentKey>,
    ) -> Result<Written<Saved>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let id = known_id(id)?;
        let mut ids = vec![id.clone()];
        ids.extend(request.superseded_by.clone());
        let visible = self.visible(&permit, ids, None).await?;
        if !visible.has(&id) {
            return Err(unknown());
        }
        let (wanted, successor) = (id.clone(), request.superseded_by.clone());
        let name = key.as_ref().map(|key| key.key.clone());
        let found = self.query("target", None, move |connection| {
            target(connection, &wanted, successor.as_deref(), name.as_deref())
        });
        let mut target = found.await?.ok_or_else(unknown)?;
        target.successor &= request.superseded_by.as_ref().is_none_or(|successor| visible.has(successor));
        if !target.repeated {
            check_end(&id, &request, &target, Timestamp::now())?;
        }
        let draft = request::invalidation(&id, target.project, request)?;
        let receipt = self.commit(vec![draft], key).await?;
        Ok(Written::new(&receipt, saved(&receipt)))
    }
}

/// The response to a write of one event about a memory.
pub(super) fn saved(receipt: &Receipt) -> Saved {
    Saved { id: receipt.id.clone(), seq: receipt.last_seq, hash: receipt.hash.to_string(), known_as: None }
}

/// The error that no memory has this id.
pub(super) fn unknown() -> Refusal {
    Refusal::new(ErrorCode::EntryNotFound, "no memory has this id").hint("ids come from saving and searching")
}

/// Checks the form of an id. An id with a wrong form gets the same error as an id that no memory has.
pub(super) fn known_id(id: String) -> Result<String, Refusal> {
    if is_id(&id) { Ok(id) } else { Err(unknown()) }
}

/// Checks whether a memory can be ended as requested. Two clients may pass this check at the same time; in that case
/// the earlier of the two ends counts.
fn check_end(id: &str, request: &InvalidateMemory, target: &Target, now: Timestamp) -> Result<(), Refusal> {
    let Validity { from, until: known, invalidated_by, .. } = &target.validity;
    let until = request.valid_until.unwrap_or(now);
    let refused = |message: String| Refusal::new(ErrorCode::InvalidArgument, message);
    match &request.superseded_by {
        Some(successor) if successor == id => {
            return Err(refused("superseded_by is the memory itself".into())
                .hint("save the replacing memory first, then pass its id in superseded_by"));
        }
        Some(_) if !target.successor => {
            return Err(refused("superseded_by names no memory".into())
                .hint("save the replacing memory first, then pass its id in superseded_by"));
        }
        _ => {}
    }
    if microseconds(until) < microseconds(*from) {
        return Err(refused(format!("valid_until is before valid_from, which is {from}"))
            .hint(format!("valid_until={from} means that it was never true")));
    }
    match known {
        Some(known) if microseconds(until) >= microseconds(*known) => {
            let by = invalidated_by.as_deref().unwrap_or_default();
            Err(Refusal::new(
                ErrorCode::AlreadyInvalidated,
                format!("event {by} ended it at {known} already"),
            )
            .hint("an end can be made earlier, never later: save what is true again as a new memory"))
        }
        _ => Ok(()),
    }
}
