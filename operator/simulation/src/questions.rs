//! What both revisions do with the questions of clients.

use operator_core::rollout::{Answer, Ended, Pair};

use crate::dice::Dice;

/// The harm that a revision does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// None.
    Clean,
    /// 5 points more errors.
    Errors,
    /// Half as slow again.
    Latency,
    /// 5 points less from the cache.
    CacheHits,
    /// 5 points fewer known answers.
    Recall,
    /// A projection with another digest.
    Digest,
}

impl Effect {
    /// All that are harm.
    pub const HARMS: [Self; 5] = [Self::Errors, Self::Latency, Self::CacheHits, Self::Recall, Self::Digest];

    /// The effect in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Clean => "no harm",
            Self::Errors => "+5 points errors",
            Self::Latency => "latency × 1.5",
            Self::CacheHits => "-5 points hit rate",
            Self::Recall => "-5 points recall",
            Self::Digest => "another digest",
        }
    }
}

/// The size of the effects on single reads.
const HARM: f64 = 0.05;
const SLOWER: f64 = 1.5;
/// Median of the time of an answer, seconds.
const MEDIAN_S: f64 = 0.02;
/// Share of the questions whose answer is known.
const KNOWN: f64 = 0.5;

/// How often single reads go wrong by chance, in each revision by itself.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// Share of reads that end with an error.
    pub errors: f64,
    /// Share of reads in which the caches of the two differ, on each side.
    pub cache: f64,
    /// Share of known answers that only one of the two misses, on each side.
    pub recall: f64,
}

/// A stream of questions. The load moves slowly and is the same for both revisions.
#[derive(Clone, Debug)]
pub struct Questions {
    dice: Dice,
    noise: Noise,
    load: f64,
    query: u64,
}

impl Questions {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64, noise: Noise) -> Self {
        Self { dice: Dice::new(seed), noise, load: 0.0, query: 0 }
    }

    /// Asks the next question.
    pub fn ask(&mut self, effect: Effect, seq: u64, at_ms: i64) -> Pair {
        // Autocorrelated, with a deviation of 0.3: a busy minute is followed by another one.
        self.load = 0.98 * self.load + 0.3 * (1.0 - 0.98_f64.powi(2)).sqrt() * self.dice.bell();
        self.query += 1;
        let question = self.load + 0.5 * self.dice.bell();
        let stable = self.answer(Effect::Clean, seq, question);
        let canary = self.answer(effect, seq, question);
        let is_known = self.dice.chance(KNOWN);
        let [canary, stable] = [canary, stable]
            .map(|answer| Answer { recalled: answer.recalled.filter(|_| is_known), ..answer });
        Pair { query: self.query, at_ms, live: true, canary, stable, overlap: Some(10) }
    }

    fn answer(&mut self, effect: Effect, seq: u64, question: f64) -> Answer {
        let more = |of: Effect| if of == effect { HARM } else { 0.0 };
        let is_error = self.dice.chance(self.noise.errors + more(Effect::Errors));
        let slower = if effect == Effect::Latency { SLOWER } else { 1.0 };
        Answer {
            applied_seq: seq,
            ended: if is_error { Ended::Error } else { Ended::Answered },
            degraded: false,
            seconds: MEDIAN_S * slower * (question + 0.3 * self.dice.bell()).exp(),
            cache_hit: Some(!self.dice.chance(self.noise.cache + more(Effect::CacheHits))),
            recalled: Some(!self.dice.chance(self.noise.recall + more(Effect::Recall))),
        }
    }
}
