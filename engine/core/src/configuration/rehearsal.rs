//! `rehearsal`: the questions of clients that are kept, so that a new revision can be asked them again.

use super::key::Key;
use super::section::section;
use crate::rollout::questions::{AGE_S, Bounds, NUMBER};

section! {
    /// The questions of clients that are kept, so that a new revision can be asked them again.
    "rehearsal" => Rehearsal {
        /// whether distinct searches of clients are kept on the volume, with the policy applied:
        /// [rehearsals](rollouts.md#rehearsals). Without it they are removed
        "record" record: bool, or false, since "0.1.0" => Key::boolean().field_note("`rollout.rehearsal`");
        /// questions that are kept, the newest
        "questions" questions: u32, or 1_000, since "0.1.0"
            => Key::integer(NUMBER[0] as u64, NUMBER[1] as u64)
                .field("spec.rollout.rehearsal.questions");
        /// how long a question is kept after it was asked last
        "sinceSeconds" since_seconds: u32, or 2_592_000, since "0.1.0"
            => Key::integer(AGE_S[0] as u64, AGE_S[1] as u64)
                .field("spec.rollout.rehearsal.sinceSeconds");
    }
}

impl Rehearsal {
    /// How much is kept; `None` if nothing is.
    #[must_use]
    pub fn bounds(&self) -> Option<Bounds> {
        let questions = usize::try_from(self.questions()).unwrap_or(usize::MAX);
        self.record().then_some(Bounds { questions, age_s: self.since_seconds() })
    }
}
