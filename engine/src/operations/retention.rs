//! Retention in two steps. A plan reports what would be removed and changes nothing. Its execution removes exactly what
//! the plan contains, or nothing.

use engine_core::access::Scope;
use engine_core::configuration::Retention;
use engine_core::event::Draft;
use engine_core::forgetting::Which;
use engine_core::limits::{
    ACTOR_DEFAULT, BATCH_EVENTS_MAX, FORGET_MEMORIES_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX,
    RETENTION_IDS_MAX, SPIKE_GUARD_MEMORIES,
};
use engine_core::request::{self, Refused};
use engine_core::retention::{self, Decision, Guard, RetentionPayload, plan_hash, spikes};
use engine_core::row::microseconds;
use engine_core::wire::{
    ApplyRetention, ApprovedPlan, ErrorCode, InvalidateMemory, PlanRetention, RecordedEvent, RetentionAction,
    RetentionApplied, RetentionPlan, RetentionRules, RetentionSummary, SUMMARY_SPIKES_MAX,
};
use jiff::Timestamp;

use super::audit::{Removed, audit};
use super::handle::{Operations, Written};
use super::idempotency::{SentKey, bind};
use crate::refusal::{Refusal, internal, unreadable_payload};
use engine_log::{Key, Receipt};
use engine_projection::{applied_seq, candidates, select};

/// A plan that was computed from the rules and the current state.
struct Planned {
    rules: RetentionRules,
    as_of: Timestamp,
    applied_seq: u64,
    decision: Decision,
    more: bool,
    /// Number of memories in all projects that have a rule.
    total: u64,
    hash: engine_core::digest::Hash,
    spikes: Vec<String>,
}

impl Planned {
    /// When the oldest and the newest of the memories were accepted.
    fn ends(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let times = || self.decision.removed.iter().map(|(candidate, _)| candidate.known);
        let time = |known: Option<i64>| known.and_then(|known| Timestamp::from_microsecond(known).ok());
        (time(times().min()), time(times().max()))
    }
}

impl Operations {
    /// Reports what the rules would remove; changes nothing.
    pub(crate) async fn plan_retention(&self, mut request: PlanRetention) -> Result<RetentionPlan, Refusal> {
        // The plan tells which memories there are.
        let permit = self.permit_engine(Scope::Admin)?;
        self.engine.modes.admit_read()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let PlanRetention { rules, as_of, offset, limit } = request;
        let limit = limit.unwrap_or(RETENTION_IDS_MAX);
        if limit > RETENTION_IDS_MAX {
            return Err(Refused::Range { field: "limit", min: 0, max: RETENTION_IDS_MAX }.into());
        }
        let planned = self.plan(rules, as_of.unwrap_or_else(Timestamp::now), None).await?;
        self.engine.metrics.retention.runs.with_label_values(&["planned"]).inc();
        let (oldest, newest) = planned.ends();
        let Planned { rules, as_of, applied_seq, decision, more, total: _, hash, spikes } = planned;
        let [skip, take] =
            [offset.unwrap_or(0), limit].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Ok(caller_names.restore(RetentionPlan {
            plan_hash: hash.to_string(),
            rules,
            as_of,
            applied_seq,
            memories: decision.removed.len() as u64,
            more,
            bytes: decision.bytes,
            by_rule: decision.counts,
            oldest,
            newest,
            ids: decision
                .removed
                .iter()
                .skip(skip)
                .take(take)
                .map(|(candidate, _)| candidate.id.clone())
                .collect(),
            by_project: decision.projects,
            spikes,
        }))
    }

    /// Makes a plan by the configured rules and summarises it; changes nothing.
    pub(crate) async fn summarise_retention(&self) -> Result<RetentionSummary, Refusal> {
        self.permit_engine(Scope::Admin)?;
        self.engine.modes.admit_read()?;
        let planned = self.plan(None, Timestamp::now(), None).await?;
        self.engine.metrics.retention.runs.with_label_values(&["planned"]).inc();
        let (oldest, newest) = planned.ends();
        let Planned { rules: _, as_of, applied_seq, decision, more, total, hash, mut spikes } = planned;
        spikes.truncate(SUMMARY_SPIKES_MAX);
        Ok(RetentionSummary {
            plan_hash: hash.to_string(),
            as_of,
            applied_seq,
            memories: decision.removed.len() as u64,
            total,
            more,
            bytes: decision.bytes,
            by_rule: decision.counts,
            oldest,
            newest,
            spikes,
        })
    }

    /// Carries out an approved plan of the configured rules. The same plan is carried out once.
    ///
    /// # Errors
    /// As [`apply_retention`](Self::apply_retention).
    pub(crate) async fn apply_approved(&self, approved: ApprovedPlan) -> Result<RetentionApplied, Refusal> {
        let ApprovedPlan { plan_hash, as_of, applied_seq, override_spike_guard, reason, by } = approved;
        let key = bind(format!("retention-{plan_hash}"), "upkeep", &plan_hash)?;
        let request = ApplyRetention {
            plan_hash,
            rules: None,
            as_of,
            applied_seq,
            override_spike_guard,
            reason: Some(reason),
            actor: Some(by),
        };
        self.apply_retention(request, Some(key)).await.map(|written| written.answer)
    }

    async fn plan(
        &self,
        rules: Option<RetentionRules>,
        as_of: Timestamp,
        through: Option<u64>,
    ) -> Result<Planned, Refusal> {
        let defaults = &self.engine.live().retention;
        let rules = retention::check(rules.unwrap_or_else(|| configured(defaults)))?;
        let now = Timestamp::now();
        if as_of > now {
            return Err(Refusal::new(
                ErrorCode::InvalidArgument,
                format!("as_of is in the future: it is now {now}"),
            )
            .hint("use the current time or an earlier one"));
        }
        // The time is rounded to microseconds, so that the reported moment is exactly the one that was used.
        let as_of = Timestamp::from_microsecond(microseconds(as_of)).map_err(|fault| internal(&fault))?;
        let asked = rules.clone();
        let found = self.query("retention", None, move |connection| {
            let applied = applied_seq(connection)?.unsigned_abs();
            let through = through.unwrap_or(applied);
            candidates(connection, &asked, as_of, through, FORGET_MEMORIES_MAX).map(|found| (found, through))
        });
        let (found, applied_seq) = found.await?;
        let total = found.states.iter().map(|state| state.total).sum();
        let decision = retention::decide(&rules, as_of, found.states);
        let guard = Guard { percent: defaults.spike_guard_percent(), memories: SPIKE_GUARD_MEMORIES };
        let hash = plan_hash(&rules, as_of, applied_seq, &decision);
        let spikes = spikes(guard, &decision);
        Ok(Planned { rules, as_of, applied_seq, decision, more: found.more, total, hash, spikes })
    }

    /// Carries out a plan if the rules still produce the same plan.
    ///
    /// # Errors
    /// The rules now produce another plan, or the plan removes so many memories that it needs `override_spike_guard`.
    pub(crate) async fn apply_retention(
        &self,
        request: ApplyRetention,
        key: Option<SentKey>,
    ) -> Result<Written<RetentionApplied>, Refusal> {
        let outcome = self.apply_plan(request, key).await;
        audit(("retention", &self.session.caller().name), &outcome, |answer| Removed {
            memories: answer.memories,
            seq: answer.audit.seq,
            complete: answer.complete,
        });
        outcome
    }

    async fn apply_plan(
        &self,
        mut request: ApplyRetention,
        key: Option<SentKey>,
    ) -> Result<Written<RetentionApplied>, Refusal> {
        let permit = self.permit_engine(Scope::Admin)?;
        self.engine.modes.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let (actor, reason) =
            (request.actor.clone().unwrap_or_else(|| ACTOR_DEFAULT.into()), request.reason.clone());
        request::text("actor", &actor, NAME_CHARS_MAX)?;
        reason.as_deref().map_or(Ok(()), |reason| request::text("reason", reason, REASON_CHARS_MAX))?;
        if let Some(receipt) = self.done_before(key.as_ref()).await? {
            return self.applied_before(&receipt).await;
        }
        let outcome = self.checked_plan(&request).await;
        if outcome.is_err() {
            self.engine.metrics.retention.runs.with_label_values(&["refused"]).inc();
        }
        let planned = outcome?;
        let payload = RetentionPayload {
            plan_hash: planned.hash,
            rules: planned.rules.clone(),
            as_of: planned.as_of,
            applied_seq: planned.applied_seq,
            memories: planned.decision.removed.len() as u64,
            bytes: planned.decision.bytes,
            by_rule: planned.decision.counts,
            by_project: planned
                .decision
                .projects
                .iter()
                .map(|plan| (plan.project.clone(), plan.memories))
                .collect(),
            spike_guard_overridden: request.override_spike_guard.filter(|_| !planned.spikes.is_empty()),
            spikes: planned.spikes.clone(),
            reason,
        };
        let audit = retention::draft(&payload, &actor);
        let why = format!("retention, plan {}", planned.hash);
        let (receipt, complete, places) = match planned.rules.action {
            _ if planned.decision.removed.is_empty() => {
                (self.commit(vec![audit], key).await?, true, Vec::new())
            }
            RetentionAction::Invalidate => {
                (self.end_all(&planned.decision, &why, &actor, audit, key).await?, true, Vec::new())
            }
            RetentionAction::Forget => {
                let ids =
                    planned.decision.removed.iter().map(|(candidate, _)| candidate.id.clone()).collect();
                let which = Which::Ids(ids);
                let selected = self.query("targets", None, move |connection| {
                    select(connection, &which, FORGET_MEMORIES_MAX)
                });
                let erasure = self.erase(&selected.await?, &why, &actor, vec![audit], key).await?;
                (erasure.receipt, erasure.complete, erasure.places)
            }
        };
        let metrics = &self.engine.metrics;
        metrics.retention.runs.with_label_values(&["applied"]).inc();
        metrics.retention.removed.inc_by(payload.memories);
        metrics.retention.last_applied.set(Timestamp::now().as_second());
        let audit = RecordedEvent { id: receipt.id.clone(), seq: receipt.last_seq };
        let RetentionPayload { plan_hash, memories, bytes, .. } = payload;
        let plan_hash = plan_hash.to_string();
        Ok(Written::new(&receipt, RetentionApplied { plan_hash, memories, bytes, audit, complete, places }))
    }

    /// Computes the plan again and checks that it equals the requested plan and may be carried out.
    async fn checked_plan(&self, request: &ApplyRetention) -> Result<Planned, Refusal> {
        let planned = self.plan(request.rules.clone(), request.as_of, Some(request.applied_seq)).await?;
        if planned.hash.to_string() != request.plan_hash {
            return Err(Refusal::new(ErrorCode::PlanChanged, "the rules now give another plan")
                .hint("memories were removed meanwhile, or rules, as_of or applied_seq differ: make a new plan and review it"));
        }
        let memories = planned.decision.removed.len() as u64;
        if !planned.spikes.is_empty() && request.override_spike_guard != Some(memories) {
            return Err(Refusal::new(ErrorCode::SpikeGuard, planned.spikes.join("; "))
                .hint(format!("if this is intended, send override_spike_guard: {memories}")));
        }
        Ok(planned)
    }

    /// Ends the validity of all memories in the plan, in batches. The last batch contains the audit event.
    async fn end_all(
        &self,
        decision: &Decision,
        why: &str,
        actor: &str,
        audit: Draft,
        key: Option<Key>,
    ) -> Result<Receipt, Refusal> {
        let mut drafts = Vec::new();
        for project in &decision.projects {
            drafts.reserve(usize::try_from(project.memories).unwrap_or_default());
        }
        for (candidate, _) in &decision.removed {
            let request = InvalidateMemory {
                valid_until: None,
                reason: Some(why.to_owned()),
                superseded_by: None,
                session: None,
                actor: Some(actor.to_owned()),
            };
            drafts.push(request::invalidation(
                &candidate.id,
                engine_core::event::LOG_PROJECT.into(),
                request,
            )?);
        }
        let mut rest = drafts.split_off(drafts.len() - drafts.len() % BATCH_EVENTS_MAX);
        let mut whole = drafts.into_iter().peekable();
        while whole.peek().is_some() {
            let batch = whole.by_ref().take(BATCH_EVENTS_MAX).collect();
            self.commit(batch, None).await?;
        }
        rest.push(audit);
        self.commit(rest, key).await
    }

    /// The response of an earlier run with the same key.
    async fn applied_before(&self, receipt: &Receipt) -> Result<Written<RetentionApplied>, Refusal> {
        let event = self.events_between(receipt.last_seq, receipt.last_seq).await?.pop();
        let event = event.ok_or_else(|| internal(&"the event of a retention run is missing"))?;
        let payload: RetentionPayload =
            serde_json::from_str(event.payload.get()).map_err(|fault| unreadable_payload(&fault))?;
        let RetentionPayload { plan_hash, memories, bytes, .. } = payload;
        let audit = RecordedEvent { id: event.id, seq: event.seq };
        let complete = !self.is_erasing(receipt)?;
        let answer = RetentionApplied {
            plan_hash: plan_hash.to_string(),
            memories,
            bytes,
            audit,
            complete,
            places: Vec::new(),
        };
        Ok(Written::new(receipt, answer))
    }
}

/// The default rules from the configuration.
fn configured(retention: &Retention) -> RetentionRules {
    RetentionRules {
        max_age_days: retention.max_age_days,
        max_entries_per_project: retention.max_entries_per_project,
        ..RetentionRules::default()
    }
}
