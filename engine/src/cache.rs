//! Cache of responses. A key contains the request and the state of the log that the response is computed from, so a
//! write does not have to invalidate anything: entries of an older state are not looked up again, and are evicted when
//! space is needed.

use std::sync::Arc;

use engine_core::wire::{CheckoutAnswer, MemoryView, SearchAnswer, SearchMode};
use jiff::Timestamp;
use moka::sync::Cache;

use crate::metrics::Metrics;

/// Memory that a cached response takes in addition to its text, bytes.
const OVERHEAD_BYTES: usize = 512;

/// The request, and the state of the log that the response is computed from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AnswerKey {
    /// The project; absent for all projects.
    pub(crate) project: Option<String>,
    pub(crate) mode: SearchMode,
    /// Version of the ranking weights.
    pub(crate) weights: Arc<str>,
    /// Sequence number of the last event that changed anything the response depends on.
    pub(crate) applied_seq: u64,
    /// The session; absent for all sessions.
    pub(crate) session: Option<String>,
    /// Everything else in the request, in one canonical form.
    pub(crate) request: String,
}

/// A cached response.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Search(Arc<SearchAnswer>),
    Checkout(Arc<CheckoutAnswer>),
}

impl Answer {
    /// Whether the response contains no results.
    fn is_negative(&self) -> bool {
        match self {
            Answer::Search(answer) => answer.items.is_empty(),
            Answer::Checkout(answer) => answer.mandatory.is_empty() && answer.relevant.is_empty(),
        }
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES
            + match self {
                Answer::Search(answer) => {
                    answer.items.iter().map(|hit| OVERHEAD_BYTES + hit.snippet.len() + hit.title.len()).sum()
                }
                Answer::Checkout(answer) => {
                    let items = answer.mandatory.len() + answer.relevant.len() + answer.elided.len();
                    answer.context.len() + OVERHEAD_BYTES * items
                }
            }
    }
}

#[derive(Debug, Clone)]
struct CachedAnswer {
    answer: Answer,
    /// Expiry, in microseconds since the epoch: the first moment at which a memory that the response depends on becomes
    /// valid or stops being valid.
    until: i64,
}

/// The cache of responses and of memories that were read.
#[derive(Debug)]
pub(crate) struct AnswerCache {
    answers: Cache<AnswerKey, CachedAnswer>,
    /// Keyed by id and by the sequence number of the last event that changed an existing memory.
    memories: Cache<(String, u64), Arc<MemoryView>>,
    metrics: Arc<Metrics>,
}

/// Outcome of a cache lookup, as the metrics count it.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Hit,
    /// A hit whose response is empty.
    Negative,
    Miss,
    /// The memory was not cached, but is so new that it was read from the tail of the log.
    Fresh,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Negative => "negative",
            Outcome::Miss => "miss",
            Outcome::Fresh => "fresh",
        }
    }
}

impl AnswerCache {
    /// Creates a cache with a budget in bytes: half for responses, half for memories.
    pub(crate) fn new(bytes_max: u64, metrics: Arc<Metrics>) -> AnswerCache {
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        AnswerCache {
            answers: Cache::builder()
                .max_capacity(bytes_max / 2)
                .weigher(move |key: &AnswerKey, kept: &CachedAnswer| {
                    size(key.request.len() + kept.answer.bytes())
                })
                .build(),
            memories: Cache::builder()
                .max_capacity(bytes_max / 2)
                .weigher(move |_, view: &Arc<MemoryView>| size(OVERHEAD_BYTES + view.content.len()))
                .build(),
            metrics,
        }
    }

    fn count(&self, cache: &str, outcome: Outcome) {
        self.metrics.cache.with_label_values(&[cache, outcome.label()]).inc();
    }

    /// Looks up the response for the same request and state, unless it has expired. `now` is in microseconds.
    pub(crate) fn find(&self, cache: &str, key: &AnswerKey, now: i64) -> Option<Answer> {
        let found = self.answers.get(key).filter(|kept| now < kept.until).map(|kept| kept.answer);
        let outcome = match &found {
            None => Outcome::Miss,
            Some(answer) if answer.is_negative() => Outcome::Negative,
            Some(_) => Outcome::Hit,
        };
        self.count(cache, outcome);
        found
    }

    /// Removes the cached responses to requests of a session, and returns their number.
    pub(crate) fn invalidate_session(&self, session: &str) -> u64 {
        let of_session = |key: &AnswerKey| key.session.as_deref() == Some(session);
        let keys: Vec<_> = self.answers.iter().map(|(key, _)| key).filter(|key| of_session(key)).collect();
        keys.iter().for_each(|key| self.answers.invalidate(&**key));
        keys.len() as u64
    }

    /// Caches a response until it expires. A degraded response is not cached: it would be returned even after the
    /// missing lane works again.
    pub(crate) fn keep(&self, key: AnswerKey, answer: Answer, until: i64) {
        let degraded = match &answer {
            Answer::Search(answer) => !answer.degraded.is_empty(),
            Answer::Checkout(answer) => !answer.degraded.is_empty(),
        };
        if !degraded {
            self.answers.insert(key, CachedAnswer { answer, until });
        }
    }

    /// Looks up a memory. Returns none if it has ended, or if an existing memory was changed after event `altered`.
    pub(crate) fn memory(&self, id: &str, altered: u64, now: Timestamp) -> Option<Arc<MemoryView>> {
        let found = self.memories.get(&(id.to_owned(), altered));
        let found = found.filter(|view| view.validity.until.is_none_or(|until| now < until));
        self.count("memory", if found.is_some() { Outcome::Hit } else { Outcome::Miss });
        found
    }

    /// Counts a read of a memory that the projection did not contain yet.
    pub(crate) fn count_fresh(&self) {
        self.count("memory", Outcome::Fresh);
    }

    /// Caches a memory that is valid now.
    pub(crate) fn keep_memory(&self, altered: u64, view: Arc<MemoryView>) {
        self.memories.insert((view.id.clone(), altered), view);
    }

    /// Drops everything, because a forgotten memory must not stay in the cache either.
    pub(crate) fn clear(&self) {
        self.answers.invalidate_all();
        self.memories.invalidate_all();
        self.answers.run_pending_tasks();
        self.memories.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> AnswerCache {
        AnswerCache::new(1 << 20, Arc::new(Metrics::new("").unwrap()))
    }

    fn key(applied_seq: u64) -> AnswerKey {
        let project = Some("p".to_owned());
        let (session, request) = (None, "r".into());
        AnswerKey { project, mode: SearchMode::Hybrid, weights: "w".into(), applied_seq, session, request }
    }

    fn answer(degraded: bool) -> Answer {
        let lane = engine_core::wire::Degraded { lane: "vector".into(), reason: "loading".into() };
        Answer::Search(Arc::new(SearchAnswer {
            items: Vec::new(),
            total: 0,
            total_is_bound: false,
            applied_seq: 1,
            mode: SearchMode::Hybrid,
            weights: "w".into(),
            degraded: if degraded { vec![lane] } else { Vec::new() },
        }))
    }

    #[test]
    fn an_answer_is_kept_for_its_state_and_its_time() {
        let answers = answers();
        answers.keep(key(1), answer(false), 100);
        assert!(answers.find("search", &key(1), 99).is_some());
        assert!(answers.find("search", &key(1), 100).is_none(), "something became true");
        assert!(answers.find("search", &key(2), 99).is_none(), "something was written");
        let other = AnswerKey { weights: "other".into(), ..key(1) };
        assert!(answers.find("search", &other, 99).is_none());
        answers.clear();
        assert!(answers.find("search", &key(1), 99).is_none());
        let counted = |outcome| answers.metrics.cache.with_label_values(&["search", outcome]).get();
        assert_eq!((counted("negative"), counted("miss"), counted("hit")), (1, 4, 0));
    }

    #[test]
    fn what_was_degraded_is_not_kept() {
        let answers = answers();
        answers.keep(key(1), answer(true), 100);
        assert!(answers.find("search", &key(1), 0).is_none());
    }
}
