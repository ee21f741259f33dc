//! Answers that were given before and are still right. A key says what was asked and of which state, so that nothing
//! has to be removed when something is written: what was kept of an older state is not asked for any more, and goes
//! when room is needed.

use std::sync::Arc;

use engine_core::wire::{CheckoutAnswer, MemoryView, SearchAnswer, SearchMode};
use jiff::Timestamp;
use moka::sync::Cache;

use crate::metrics::Metrics;

/// What an answer takes in memory beside its text, bytes.
const OVERHEAD_BYTES: usize = 512;

/// What was asked, and of which state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AnswerKey {
    /// All projects, when absent.
    pub(crate) project: Option<String>,
    pub(crate) mode: SearchMode,
    /// Version of the weights.
    pub(crate) weights: Arc<str>,
    /// The last event that changed what the answer depends on.
    pub(crate) applied_seq: u64,
    /// Everything else that was asked for, in one form.
    pub(crate) request: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Search(Arc<SearchAnswer>),
    Checkout(Arc<CheckoutAnswer>),
}

impl Answer {
    /// Whether nothing was found.
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
struct Kept {
    answer: Answer,
    /// The first moment at which something it depends on becomes or stops being true by itself, microseconds.
    until: i64,
}

/// What is kept of answers and of memories that were read.
#[derive(Debug)]
pub(crate) struct Answers {
    answers: Cache<AnswerKey, Kept>,
    /// By id, with the last event that changed any memory which was there.
    memories: Cache<(String, u64), Arc<MemoryView>>,
    metrics: Arc<Metrics>,
}

/// Where answers come from, as the metrics name it.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Hit,
    /// Kept that there is nothing.
    Negative,
    Miss,
    /// Not kept, but so new that it is still at hand.
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

impl Answers {
    /// Room for so many bytes, half of it for whole answers.
    pub(crate) fn new(bytes_max: u64, metrics: Arc<Metrics>) -> Answers {
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Answers {
            answers: Cache::builder()
                .max_capacity(bytes_max / 2)
                .weigher(move |key: &AnswerKey, kept: &Kept| size(key.request.len() + kept.answer.bytes()))
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

    /// The answer to the same question about the same state, while it is right.
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

    /// Keeps an answer that is right until then. One in which a lane took no part is not kept: it would hide that all
    /// is well again.
    pub(crate) fn keep(&self, key: AnswerKey, answer: Answer, until: i64) {
        let degraded = match &answer {
            Answer::Search(answer) => !answer.degraded.is_empty(),
            Answer::Checkout(answer) => !answer.degraded.is_empty(),
        };
        if !degraded {
            self.answers.insert(key, Kept { answer, until });
        }
    }

    /// A memory as it was read, while it is true and nothing that was there has changed.
    pub(crate) fn memory(&self, id: &str, altered: u64, now: Timestamp) -> Option<Arc<MemoryView>> {
        let found = self.memories.get(&(id.to_owned(), altered));
        let found = found.filter(|view| view.validity.until.is_none_or(|until| now < until));
        self.count("memory", if found.is_some() { Outcome::Hit } else { Outcome::Miss });
        found
    }

    /// A memory was read before the projection had it.
    pub(crate) fn count_fresh(&self) {
        self.count("memory", Outcome::Fresh);
    }

    /// Keeps a memory that is true now.
    pub(crate) fn keep_memory(&self, altered: u64, view: Arc<MemoryView>) {
        self.memories.insert((view.id.clone(), altered), view);
    }

    /// Drops everything: what is to be forgotten must not be in memory either.
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

    fn answers() -> Answers {
        Answers::new(1 << 20, Arc::new(Metrics::new("").unwrap()))
    }

    fn key(applied_seq: u64) -> AnswerKey {
        let project = Some("p".to_owned());
        AnswerKey { project, mode: SearchMode::Hybrid, weights: "w".into(), applied_seq, request: "r".into() }
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
