//! The recorded questions that a canary is asked before it meets a caller, each about what was known at its moment.

use std::collections::VecDeque;

use engine_core::rollout::pairing::Taken;
use engine_core::rollout::questions::Asked;
use engine_core::wire::RehearsalReport;

/// How often a question is asked until its pair counts. A canary that is not ready for long is no reason to go on for
/// ever.
const ATTEMPTS_MAX: u32 = 3;

/// A question that waits, and how often it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    asked: Asked,
    attempts: u32,
}

/// The rehearsal of one canary.
#[derive(Debug, Default)]
pub(super) struct Rehearsal {
    /// Number of the trial.
    trial: u64,
    questions: u64,
    waiting: VecDeque<Waiting>,
    /// The one that is being asked.
    current: Option<Waiting>,
}

impl Rehearsal {
    /// Whether it is that of this trial.
    pub(super) fn is_of(&self, trial: u64) -> bool {
        self.trial == trial
    }

    /// Begins that of a trial.
    pub(super) fn begin(trial: u64, asked: Vec<Asked>) -> Rehearsal {
        let waiting: VecDeque<Waiting> =
            asked.into_iter().map(|asked| Waiting { asked, attempts: 0 }).collect();
        Rehearsal { trial, questions: waiting.len() as u64, waiting, current: None }
    }

    /// Whether something is left to ask.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next question.
    pub(super) fn first(&self) -> Option<&Asked> {
        self.waiting.front().map(|waiting| &waiting.asked)
    }

    /// Takes the next question, which is asked now.
    pub(super) fn take(&mut self) {
        self.current = self.waiting.pop_front();
    }

    /// Notes what became of the question that was asked. One that says nothing about the canary is asked again later.
    pub(super) fn settle(&mut self, taken: Option<Taken>) {
        let Some(mut current) = self.current.take() else { return };
        current.attempts += 1;
        let says_nothing = matches!(taken, Some(Taken::NotReady | Taken::TooClose | Taken::Incomparable));
        if says_nothing && current.attempts < ATTEMPTS_MAX {
            self.waiting.push_back(current);
        }
    }

    pub(super) fn report(&self) -> RehearsalReport {
        let left = self.waiting.len() + usize::from(self.current.is_some());
        RehearsalReport { questions: self.questions, asked: self.questions - left as u64 }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn next(rehearsal: &mut Rehearsal) -> Option<String> {
        let query = rehearsal.first()?.query.clone();
        rehearsal.take();
        Some(query)
    }

    fn rehearsal(queries: &[&str]) -> Rehearsal {
        let of = |query: &&str| Asked { query: (*query).to_owned(), at: Timestamp::UNIX_EPOCH };
        Rehearsal::begin(7, queries.iter().map(of).collect())
    }

    #[test]
    fn each_question_counts_once() {
        let mut rehearsal = rehearsal(&["a", "b"]);
        assert!(rehearsal.is_of(7) && !rehearsal.is_of(8));
        assert_eq!(rehearsal.report(), RehearsalReport { questions: 2, asked: 0 });
        assert_eq!(next(&mut rehearsal).as_deref(), Some("a"));
        rehearsal.settle(Some(Taken::Counted));
        assert_eq!(rehearsal.report(), RehearsalReport { questions: 2, asked: 1 });
        assert_eq!(next(&mut rehearsal).as_deref(), Some("b"));
        // This engine refused it: it says nothing about the canary, now and later.
        rehearsal.settle(None);
        assert_eq!((next(&mut rehearsal), rehearsal.is_waiting()), (None, false));
        assert_eq!(rehearsal.report(), RehearsalReport { questions: 2, asked: 2 });
    }

    #[test]
    fn a_question_that_says_nothing_is_asked_again_but_not_for_ever() {
        let mut rehearsal = rehearsal(&["a", "b"]);
        let mut asked = Vec::new();
        while let Some(query) = next(&mut rehearsal) {
            asked.push(query);
            rehearsal.settle(Some(Taken::NotReady));
        }
        assert_eq!(asked, ["a", "b", "a", "b", "a", "b"]);
        assert_eq!(rehearsal.report(), RehearsalReport { questions: 2, asked: 2 });
    }
}
