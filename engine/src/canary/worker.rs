//! Asks both revisions the same questions, off the path of clients, and looks whether the canary is ready.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use engine_core::rollout::known_item::{phrase, place};
use engine_core::rollout::pairing::{Ended, Pair, Taken};
use engine_core::rollout::query_pairs::encoded;
use engine_core::wire::{CANARY_COMPARES, CANARY_HEADER, CanaryRehearsal};
use engine_projection::{KnownItem, known_item};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::question::{AskedBy, Here, Question, Remembered, with_min_seq};
use super::rehearsal::Rehearsal;
use super::side::Side;
use super::target::ANSWER_TIMEOUT;
use super::{Canary, Compared, Plan};
use crate::access::{AccessControl, Session};
use crate::engine::Engine;

/// How long a question of a client is waited for while there is no canary.
const IDLE: Duration = Duration::from_secs(1);
/// Time between two looks at the readiness.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Largest answer that is compared, bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How often a side is asked again because the other one was ahead.
const ROUNDS_MAX: usize = 3;
/// Each of so many pairs is a control too: whether this engine gives the same answer twice.
const CONTROL_EVERY: u64 = 10;
/// Looks for a memory to ask for, in one go.
const LOOKS_MAX: usize = 8;

/// How this engine asks questions of its own.
pub(crate) struct OwnReads {
    /// The routes of reads, without recognising a caller.
    pub(crate) routes: Router,
    pub(crate) control: Arc<AccessControl>,
}

/// Looks each second whether the canary is ready, until the process ends.
pub(crate) async fn watch_readiness(engine: Arc<Engine>) {
    let canary = &engine.canary;
    loop {
        if let Some((number, target)) = canary.watched() {
            let (is_ready, fault) = target.is_ready().await;
            canary.set_readiness(number, is_ready, fault);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Compares answers until the process ends.
pub(crate) async fn compare_all(engine: Arc<Engine>, own: OwnReads) {
    let Some(mut queue) = engine.canary.queue() else { return };
    let random = u64::from_le_bytes(engine.log_handles.context.clock.bytes());
    let (remembered, rehearsal) = (Remembered::default(), Rehearsal::default());
    let mut worker =
        Worker { engine, own, remembered, rehearsal, was_client: false, random, step: 0, pairs: 0 };
    loop {
        let spacing = worker.engine.canary.plan().map_or(IDLE, |plan| plan.spacing);
        let Some(offered) = offered(&mut queue, spacing).await else { return };
        let Some(plan) = worker.engine.canary.plan() else { continue };
        let question = match offered {
            // At one event of the log a question counts once. Clients that repeat it leave time for others, and so do
            // those that ask all the time.
            Some(question) if !worker.has_counted(&plan, &question) && !worker.is_for_rehearsal(&plan) => {
                Some(question)
            }
            _ => worker.own_question(&plan).await,
        };
        if let Some(question) = question {
            let began = Instant::now();
            worker.was_client = question.by == AskedBy::Client;
            let taken = worker.compare(&plan, &question).await;
            if question.by == AskedBy::Rehearsal {
                worker.rehearsal.settle(taken);
                worker.canary().rehearsed(&plan, worker.rehearsal.report());
            }
            tokio::time::sleep(plan.spacing.saturating_sub(began.elapsed())).await;
        }
    }
}

/// The next question of a client; an inner none if there was none for a while. None if the process ends.
async fn offered(queue: &mut mpsc::Receiver<Question>, at_most: Duration) -> Option<Option<Question>> {
    match tokio::time::timeout(at_most, queue.recv()).await {
        Ok(Some(question)) => Some(Some(question)),
        Ok(None) => None,
        Err(_) => Some(None),
    }
}

struct Worker {
    engine: Arc<Engine>,
    own: OwnReads,
    remembered: Remembered,
    rehearsal: Rehearsal,
    /// Whether the last question was one that a client has just asked.
    was_client: bool,
    /// Where the walk through the memories begins, and its next step.
    random: u64,
    step: u64,
    /// Pairs so far, for the controls.
    pairs: u64,
}

impl Worker {
    fn canary(&self) -> &Canary {
        &self.engine.canary
    }

    /// Whether asking this question is of no use, because a pair of it cannot count any more. While the breaker is
    /// open it is asked all the same: good pairs close the breaker.
    fn has_counted(&self, plan: &Plan, question: &Question) -> bool {
        let seq = self.engine.projection.applied_seq();
        !plan.is_open && question.ended.is_none() && self.canary().is_known(plan, seq, question.hash())
    }

    /// Asks both and counts the pair. None if it says nothing about the canary.
    async fn compare(&mut self, plan: &Plan, question: &Question) -> Option<Taken> {
        let at_ms = Timestamp::now().as_millisecond();
        if question.by == AskedBy::Client {
            self.remembered.add(&question.path);
        }
        let (stable, canary) = if plan.is_ready {
            self.both(plan, question).await
        } else {
            // It is left out, whatever it would have been.
            (Side::without_answer(Ended::Error), Side::not_asked())
        };
        // A question that this engine refuses says nothing about the canary.
        if stable.status.is_some_and(|status| status.is_client_error()) {
            return None;
        }
        let seq = self.engine.projection.applied_seq();
        let otherwise = stable.applied_seq.or(canary.applied_seq).unwrap_or(seq);
        let pair = Pair {
            query: question.hash(),
            at_ms,
            live: question.by != AskedBy::Engine,
            canary: canary.half(otherwise, question.expected.as_deref()),
            stable: stable.half(otherwise, question.expected.as_deref()),
            overlap: stable.overlap(&canary),
        };
        let is_answer = question.ended.is_some();
        self.canary().take(plan, &Compared { pair, stable: &stable, canary: &canary, is_answer })
    }

    /// What both do with a question. Each is asked twice and the second answer counts, so that a cold cache of one of
    /// them is not taken for slowness.
    async fn both(&mut self, plan: &Plan, question: &Question) -> (Side, Side) {
        let vectors = self.vectors();
        let first = self.stable(question, 0).await;
        let asked = first.applied_seq.unwrap_or(0);
        let mut canary = match question.ended {
            Some(ended) => Side::without_answer(ended),
            None => ask_canary(plan, question, asked).await,
        };
        let mut stable = self.stable(question, 0).await;
        if self.vectors() == vectors {
            self.control(plan, &first, &stable);
        }
        if canary.ended == Ended::Answered {
            canary = ask_canary(plan, question, stable.applied_seq.unwrap_or(asked)).await;
        }
        for _ in 0..ROUNDS_MAX {
            match (stable.applied_seq, canary.applied_seq) {
                (Some(here), Some(there)) if there > here => stable = self.stable(question, there).await,
                (Some(here), Some(there)) if there < here => {
                    canary = ask_canary(plan, question, here).await;
                }
                _ => break,
            }
        }
        (stable, canary)
    }

    /// Notes now and then how much two answers of this engine at the same event have in common.
    fn control(&mut self, plan: &Plan, first: &Side, second: &Side) {
        self.pairs += 1;
        let is_same_event = first.applied_seq.is_some() && first.applied_seq == second.applied_seq;
        // Without one of its models this engine gives another answer, which the gate Degraded counts.
        let is_degraded = first.degraded || second.degraded;
        if is_same_event
            && !is_degraded
            && self.pairs.is_multiple_of(CONTROL_EVERY)
            && let Some(overlap) = first.overlap(second)
        {
            self.canary().with(plan, |trial| trial.pairing.control(overlap));
        }
    }

    /// What answers depend on besides events: vectors of an external model come after their memories.
    fn vectors(&self) -> Option<u64> {
        self.engine.embeddings.as_ref().map(|model| model.version())
    }

    /// What this engine does with a question, within the time that the canary has.
    async fn stable(&self, question: &Question, min_seq: u64) -> Side {
        let waited = self.engine.projection.wait_for(min_seq).await;
        let started = Instant::now();
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, question.ask_here(min_seq)).await;
        let elapsed = started.elapsed();
        match asked {
            Ok(Some(response)) if waited.is_ok() => {
                let status = response.status();
                let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                Side::of_answer(status, &body, elapsed)
            }
            Err(_) => Side::without_answer(Ended::Timeout),
            _ => Side::without_answer(Ended::Error),
        }
    }

    /// A question that no client asks now: one that was asked before, or for a memory that both should find.
    async fn own_question(&mut self, plan: &Plan) -> Option<Question> {
        let headers = match self.own.control.own_headers() {
            Ok(headers) => headers,
            Err(fault) => {
                self.canary().with(plan, |trial| trial.probes_fault = Some(fault));
                return None;
            }
        };
        self.canary().with(plan, |trial| trial.probes_fault = None);
        if let Some(asked) = self.rehearsed(plan, &headers) {
            return Some(asked);
        }
        let seq = self.engine.projection.applied_seq();
        if self.pairs.is_multiple_of(2)
            && let Some(path) = self.remembered.next()
        {
            let question = self.own((path, None), &headers, AskedBy::Engine);
            if !self.has_counted(plan, &question) {
                return Some(question);
            }
        }
        for _ in 0..LOOKS_MAX {
            let KnownItem { id, project, content } = self.next_memory(seq).await?;
            let Some(words) = phrase(&content) else { continue };
            let (words, project) = (encoded(&words), encoded(&project));
            // External models are asked too: a revision may have another one.
            let path = format!("/v1/search?q={words}&project={project}");
            let question = self.own((path, Some(id)), &headers, AskedBy::Engine);
            if !self.has_counted(plan, &question) {
                return Some(question);
            }
        }
        None
    }

    /// Whether it is the turn of a recorded question, although clients ask.
    fn is_for_rehearsal(&self, plan: &Plan) -> bool {
        let is_begun = self.rehearsal.is_of(plan.number);
        let is_asked = plan.rehearsal.is_some() && plan.is_ready;
        self.was_client && is_asked && (!is_begun || self.rehearsal.is_waiting())
    }

    /// The next recorded question, if there is a rehearsal.
    fn rehearsed(&mut self, plan: &Plan, headers: &HeaderMap) -> Option<Question> {
        let CanaryRehearsal { since_seconds, questions } = plan.rehearsal.filter(|_| plan.is_ready)?;
        if !self.rehearsal.is_of(plan.number) {
            let canary = format!("{} {}", plan.revision, plan.pod);
            let at_most = usize::try_from(questions).unwrap_or(usize::MAX);
            let asked = self.engine.questions.rehearsal(&canary, (since_seconds, at_most));
            self.rehearsal = Rehearsal::begin(plan.number, asked);
            self.canary().rehearsed(plan, self.rehearsal.report());
        }
        let path = format!("/v1/search?{}", self.rehearsal.first()?.at_its_moment());
        let question = self.own((path, None), headers, AskedBy::Rehearsal);
        // It waits for the next event if it may have counted at this one.
        if self.has_counted(plan, &question) {
            return None;
        }
        self.rehearsal.take();
        Some(question)
    }

    fn own(&self, (path, expected): (String, Option<String>), headers: &HeaderMap, by: AskedBy) -> Question {
        Question {
            path,
            caller: String::new(),
            headers: headers.clone(),
            here: Here::Routes(self.own.routes.clone(), Session::local()),
            ended: None,
            by,
            expected,
        }
    }

    /// The next memory of the walk.
    async fn next_memory(&mut self, head: u64) -> Option<KnownItem> {
        let from = place(self.random, self.step, head);
        self.step = self.step.wrapping_add(1);
        let read = move |connection: &_| known_item(connection, from);
        self.engine.projection.read(0, read).await.ok().flatten()
    }
}

async fn ask_canary(plan: &Plan, question: &Question, min_seq: u64) -> Side {
    let path = with_min_seq(&question.path, min_seq);
    let headers = compared(question.headers.clone());
    Side::of_canary(&plan.target.ask(&path, headers, ANSWER_BYTES_MAX).await)
}

/// Headers of a request that repeats a question.
fn compared(mut headers: HeaderMap) -> HeaderMap {
    headers.insert(CANARY_HEADER, HeaderValue::from_static(CANARY_COMPARES));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers
}
