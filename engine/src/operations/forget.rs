//! Forgets memories, and reports on every place where their content may have been stored.

use std::sync::Arc;
use std::time::Duration;

use engine_core::event::Draft;
use engine_core::forgetting::{self, Forget, Target, Traces, Which};
use engine_core::limits::{BATCH_EVENTS_MAX, FORGET_MEMORIES_MAX};
use engine_core::wire::{
    ErrorCode, ForgetAnswer, ForgetMemories, Place, PlaceReport, PlaceState, RecordedEvent,
};

use super::audit::{Removed, audit};
use super::forget_places::{ErasureFacts, report};
use super::gate::Visible;
use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use super::memories::unknown;
use crate::refusal::{Refusal, ended};
use engine_log::{AppliedKeys, ErasedFiles, Key, Receipt, TraceSearchResult, is_marked, search_log};
use engine_projection::{Selected, count_same_text, rows_left, select};
use service::in_span;

/// How long the response waits for files to be rewritten. It is shorter than the timeout of a request. The rewrite
/// continues in the background.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How long the response waits for the archive. A store that is away must not hold up the answer.
const ARCHIVE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How many bytes of files are searched for traces after an erasure; this takes some seconds. The report states if
/// there were more bytes.
const SEARCH_BYTES_MAX: u64 = 256 << 20;
/// Maximum number of ids in the response.
const IDS_RETURNED_MAX: usize = 1000;

/// Result of an erasure: the receipt, and what may still be left in each place.
#[derive(Debug)]
pub(super) struct Erasure {
    pub(super) receipt: Receipt,
    /// Whether every place is cleared or cannot be reached by the engine.
    pub(super) complete: bool,
    pub(super) places: Vec<PlaceReport>,
}

impl Operations {
    /// Forgets memories permanently, with their invalidations and feedback.
    ///
    /// # Errors
    /// An id belongs to no memory, or the request matches too many memories or events.
    pub(crate) async fn forget(
        &self,
        request: ForgetMemories,
        key: Option<SentKey>,
    ) -> Result<Written<ForgetAnswer>, Refusal> {
        let outcome = self.forget_selected(request, key).await;
        let is_dry = outcome.as_ref().is_ok_and(|written| written.answer.dry_run);
        if !is_dry {
            audit(("forget", &self.session.caller().name), &outcome, |answer| Removed {
                memories: answer.memories,
                seq: answer.recorded.last().map_or(0, |event| event.seq),
                complete: answer.complete,
            });
        }
        outcome
    }

    async fn forget_selected(
        &self,
        mut request: ForgetMemories,
        key: Option<SentKey>,
    ) -> Result<Written<ForgetAnswer>, Refusal> {
        // A dry run tells what is there and changes nothing: it is a read.
        let permit = if request.dry_run { self.admit_read()? } else { self.admit_write()? };
        // A request that says nothing about what to forget must not become one for a whole project.
        forgetting::check(request.clone())?;
        // Before the request is copied, because both forms of it are matched.
        self.fill_projects(&mut request);
        let as_sent = forgetting::check(request.clone())?.which;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let Forget { which, reason, actor, dry_run } = forgetting::check(request)?;
        // The target may have been stored before a policy replaced its name with a token, so both forms of the name are
        // matched.
        let which = if which == as_sent { which } else { Which::Either(Box::new(which), Box::new(as_sent)) };
        let visible = match &which {
            Which::Ids(ids) => self.visible(&permit, ids.clone(), None).await?,
            _ => Visible::All,
        };
        if let Some(receipt) = self.done_before(key.as_ref()).await? {
            let selected = Selected::default();
            let erasure = self.places(receipt, &selected).await?;
            let receipt = erasure.receipt.clone();
            return Ok(Written::new(&receipt, self.answer(&selected, Some(erasure)).await?));
        }
        let asked = if let Which::Ids(ids) = &which { ids.clone() } else { Vec::new() };
        let found =
            self.query("targets", None, move |connection| select(connection, &which, FORGET_MEMORIES_MAX));
        let mut selected = found.await?;
        if self.is_bound() && !asked.is_empty() {
            // The same list, in the same order, whether nobody has an id or the caller may not see it.
            selected.unknown = asked.into_iter().filter(|id| !visible.has(id)).collect();
        }
        if let Some(id) = selected.unknown.first() {
            let count = selected.unknown.len();
            return Err(unknown().hint(format!(
                "{count} of the ids belong to no memory, the first is {id}; nothing was forgotten"
            )));
        }
        if selected.memories.len() > FORGET_MEMORIES_MAX {
            let message = format!("the request matches more than {FORGET_MEMORIES_MAX} memories");
            return Err(Refusal::new(ErrorCode::InvalidArgument, message)
                .hint("forget one session or one source at a time"));
        }
        if dry_run || selected.memories.is_empty() {
            let answer = self.answer(&selected, None).await?;
            return Ok(Written {
                answer: ForgetAnswer { dry_run, complete: !dry_run, ..answer },
                replayed: true,
                wrote: true,
            });
        }
        let erasure = self.erase(&selected, &reason, &actor, Vec::new(), key).await?;
        let receipt = erasure.receipt.clone();
        Ok(Written::new(&receipt, self.answer(&selected, Some(erasure)).await?))
    }

    /// The receipt of an earlier request with this key; `None` if there was none.
    pub(super) async fn done_before(&self, key: Option<&Key>) -> Result<Option<Receipt>, Refusal> {
        let Some(key) = key else { return Ok(None) };
        let (projection, name) = (Arc::clone(&self.engine.projection), key.key.clone());
        let found = tokio::task::spawn_blocking(in_span(move || AppliedKeys::find(&*projection, &name)));
        let known = found.await.map_err(ended)?.and_then(|(_, known)| known);
        Ok(known.filter(|known| known.is_for(&key.request)).map(|known| Receipt::of(&known, true)))
    }

    /// Writes one batch: the events that record what is forgotten, then the events `also`. Then waits until the content
    /// is erased from the places where it is stored.
    pub(super) async fn erase(
        &self,
        selected: &Selected,
        reason: &str,
        actor: &str,
        also: Vec<Draft>,
        key: Option<Key>,
    ) -> Result<Erasure, Refusal> {
        let targets: Vec<Target> = selected.memories.iter().chain(&selected.dependents).cloned().collect();
        let through = targets.iter().map(|target| target.seq).max().unwrap_or_default();
        let mut drafts = forgetting::drafts(&targets, reason, actor);
        drafts.extend(also);
        if drafts.len() > BATCH_EVENTS_MAX {
            let message =
                format!("{} events would be forgotten, more than one batch can contain", targets.len());
            return Err(Refusal::new(ErrorCode::InvalidArgument, message)
                .hint("forget one session or one source at a time"));
        }
        let receipt = self.engine.erase(drafts, through, key).await?;
        self.places(receipt, selected).await
    }

    /// Waits, for a limited time, until the erasure is finished in every place, and checks each place.
    async fn places(&self, receipt: Receipt, selected: &Selected) -> Result<Erasure, Refusal> {
        let engine = &self.engine;
        let waiting = engine
            .log_handles
            .erasures
            .outcome(receipt.first_seq, if receipt.replayed { Duration::ZERO } else { WAIT_MAX });
        let (files, is_erased) =
            tokio::join!(waiting, engine.projection.wait_until_erased(receipt.last_seq, WAIT_MAX));
        let marked = self.is_erasing(&receipt)?;
        let ids: Vec<String> = selected.memories.iter().map(|target| target.id.clone()).collect();
        let caches = engine.forgotten.notify(&ids);
        engine.metrics.forgotten.inc_by(ids.len() as u64);
        let mut places = self.check_places(selected, files.as_deref(), !marked, is_erased).await?;
        places.push(report(
            Place::Caches,
            PlaceState::Gone,
            caches as u64,
            "every cache was notified and dropped its copies",
        ));
        places.push(self.archive_place(&receipt).await);
        let complete =
            places.iter().all(|place| matches!(place.state, PlaceState::Gone | PlaceState::OutOfReach));
        Ok(Erasure { receipt, complete, places })
    }

    /// Waits until the archive has no keys of what was forgotten.
    async fn archive_place(&self, receipt: &Receipt) -> PlaceReport {
        let Some(archive) = self.engine.archive() else {
            return report(
                Place::Backups,
                PlaceState::OutOfReach,
                0,
                "this engine has no archive: if copies of its volume are made, apply the newer memory.forgotten events \
                 after restoring one",
            );
        };
        let patience = if receipt.replayed { Duration::ZERO } else { ARCHIVE_WAIT_MAX };
        let is_gone = archive.wait_until_forgotten(receipt.last_seq, patience).await;
        let (state, check) = if !is_gone {
            (PlaceState::Pending, "the keys of these payloads are being removed from the archive")
        } else if archive.status(receipt.last_seq).keys_versioned == Some(true) {
            let check = "the keys of these payloads are removed from the tables of the archive, but the store keeps older \
                         versions of the tables: until it removes these, the payloads can be read with one of them";
            (PlaceState::OutOfReach, check)
        } else {
            let check = "the keys of these payloads are removed from the archive, so that no piece of it can be read there; \
                         copies that somebody else makes of the tables of keys are out of reach";
            (PlaceState::Gone, check)
        };
        report(Place::Backups, state, 0, check)
    }

    /// Whether files are still being rewritten for this erasure.
    pub(super) fn is_erasing(&self, receipt: &Receipt) -> Result<bool, Refusal> {
        Ok(is_marked(&*self.engine.log_handles.context.storage, receipt.first_seq)?)
    }

    /// Checks every place where content of the memories could remain.
    async fn check_places(
        &self,
        selected: &Selected,
        files: Option<&ErasedFiles>,
        taken_out: bool,
        is_erased: bool,
    ) -> Result<Vec<PlaceReport>, Refusal> {
        let targets: Vec<Target> = selected.memories.iter().chain(&selected.dependents).cloned().collect();
        let left = self.query("targets", Some(0), move |connection| rows_left(connection, &targets)).await?;
        // Texts that are found elsewhere would tell a caller what others have saved.
        let is_searched = !self.is_bound();
        let texts = selected.texts.iter().map(String::as_str).filter(|_| is_searched);
        let (log, database) = self.trace(Traces::of(texts)).await?;
        let others = match log.found + database.found {
            0 => 0,
            _ => {
                let texts = selected.texts.clone();
                // This query scans every row. If it takes too long, the traces that were found are reported without an
                // explanation.
                let asked =
                    self.query("targets", Some(0), move |connection| count_same_text(connection, &texts));
                asked.await.unwrap_or_default()
            }
        };
        Ok(ErasureFacts { files, rows_left: left, log, database, others, taken_out, is_erased, is_searched }
            .places(selected))
    }

    /// Searches the files for the beginnings of the forgotten texts.
    async fn trace(&self, traces: Traces) -> Result<(TraceSearchResult, TraceSearchResult), Refusal> {
        let engine = Arc::clone(&self.engine);
        let search = move || {
            if traces.is_empty() {
                return Ok((TraceSearchResult::default(), TraceSearchResult::default()));
            }
            let log = search_log(&*engine.log_handles.context.storage, &traces, SEARCH_BYTES_MAX)?;
            Ok::<_, std::io::Error>((log, engine.traces.search(&traces, SEARCH_BYTES_MAX)?))
        };
        Ok(tokio::task::spawn_blocking(in_span(search)).await.map_err(ended)??)
    }

    async fn answer(&self, selected: &Selected, erasure: Option<Erasure>) -> Result<ForgetAnswer, Refusal> {
        let recorded = match &erasure {
            Some(erasure) => self.recorded(&erasure.receipt).await?,
            None => Vec::new(),
        };
        let (complete, places) =
            erasure.map_or((false, Vec::new()), |erasure| (erasure.complete, erasure.places));
        Ok(ForgetAnswer {
            dry_run: false,
            memories: selected.memories.len() as u64,
            about: selected.dependents.len() as u64,
            bytes: selected.bytes,
            ids: selected.memories.iter().take(IDS_RETURNED_MAX).map(|target| target.id.clone()).collect(),
            recorded,
            complete,
            places,
        })
    }

    /// Reads the events of a batch from the log.
    pub(super) async fn recorded(&self, receipt: &Receipt) -> Result<Vec<RecordedEvent>, Refusal> {
        let events = self.events_between(receipt.first_seq, receipt.last_seq).await?;
        Ok(events.into_iter().map(|event| RecordedEvent { id: event.id, seq: event.seq }).collect())
    }
}
