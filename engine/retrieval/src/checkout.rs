//! Checkout: a context for a prompt with the mandatory memories and the best matches, within a token budget.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use engine_core::retrieval::packing::{BudgetExceeded, Packed, Piece, pack};
use engine_core::retrieval::question::AnalysedQuery;
use engine_core::wire::{Answerability, CheckoutAnswer, CheckoutItem, RepeatedItem, Verdict};
use engine_core::words::terms::Terms;
use rusqlite::Connection;

use super::built_in::token_count;
use super::provider_results::ProviderResults;
use super::query::Ranked;
use super::search::Retrieval;
use super::stages::{Stage, StageTimes};
use engine_projection::{ContextMemory, Search, applied_seq, full_memories, shown_of_types};

/// Lowest answerability scores for the verdicts "likely" (most of the query is covered) and "possible" (some of it is).
const LIKELY: f64 = 0.75;
const POSSIBLE: f64 = 0.5;
/// A memory whose score is below this share of the best score is considered off-topic.
const WORTH_SHARE_MIN: f64 = 0.3;

/// Maximum number of entries in the list of repeated texts.
const REPEATED_MAX: usize = 100;

/// A validated checkout request.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The query. Its limit is the maximum number of optional memories in the context.
    pub search: Search,
    pub token_budget: u32,
    /// Types of memories that must be in the context.
    pub mandatory_types: Vec<String>,
    /// Ids of memories that must be in the context.
    pub mandatory_ids: Vec<String>,
}

/// A memory as rendered in the context.
struct Candidate {
    shown: ContextMemory,
    text: String,
    piece: Piece,
}

impl Candidate {
    fn new(shown: ContextMemory, worth: f64) -> Candidate {
        let text = render(&shown);
        let tokens = token_count(&text);
        let piece = Piece { seq: shown.seq, tokens, worth };
        Candidate { shown, text, piece }
    }

    fn item(&self) -> CheckoutItem {
        CheckoutItem {
            id: self.shown.id.clone(),
            citation: self.shown.citation.clone(),
            tokens: u32::try_from(self.piece.tokens).unwrap_or(u32::MAX),
            score: self.piece.worth,
        }
    }
}

/// Texts seen so far. Each is stored with the id of the first memory that has it: a mandatory memory, or the
/// best-ranked one.
#[derive(Debug, Default)]
struct Texts {
    met: HashMap<String, String>,
    repeated: Vec<RepeatedItem>,
    /// Memories that repeat the text of an earlier memory: sequence number, and the id of the earlier memory.
    same: Vec<(i64, String)>,
}

impl Texts {
    /// Returns whether the text is new, and records it as a repetition if it is not. Ignores surrounding white space.
    fn is_new(&mut self, shown: &ContextMemory) -> bool {
        let text = shown.content.trim();
        let Some(same_as) = self.met.get(text) else {
            self.met.insert(text.to_owned(), shown.id.clone());
            return true;
        };
        self.same.push((shown.seq, same_as.clone()));
        if self.repeated.len() < REPEATED_MAX {
            self.repeated.push(RepeatedItem {
                id: shown.id.clone(),
                citation: shown.citation.clone(),
                same_as: same_as.clone(),
            });
        }
        false
    }
}

/// Renders a memory as one line, or as several if its text has several. Rendering is deterministic, so equal contexts
/// have equal bytes.
fn render(shown: &ContextMemory) -> String {
    let ContextMemory { citation, title, content, occurred_at, .. } = shown;
    let day = occurred_at.get(..10).unwrap_or(occurred_at);
    let title = if title.is_empty() { String::new() } else { format!("{title}: ") };
    format!("[{citation}] {day} {title}{content}\n")
}

impl Retrieval {
    /// Returns the context; if the mandatory memories exceed the budget, the number of tokens that they need instead.
    /// Also returns the time until which the answer stays valid if nothing is written, in microseconds since 1970.
    ///
    /// # Errors
    /// If the projection cannot be read or is damaged.
    pub fn checkout(
        &self,
        connection: &Connection,
        checkout: &Checkout,
        asked: &ProviderResults,
    ) -> rusqlite::Result<(Result<CheckoutAnswer, BudgetExceeded>, i64)> {
        let times = asked.times();
        let answer = times.measure(Stage::Total, || self.checked_out(connection, checkout, asked, &times));
        times.count(&self.metrics.stages);
        answer
    }

    fn checked_out(
        &self,
        connection: &Connection,
        checkout: &Checkout,
        asked: &ProviderResults,
        times: &StageTimes,
    ) -> rusqlite::Result<(Result<CheckoutAnswer, BudgetExceeded>, i64)> {
        let moment = connection.unchecked_transaction()?;
        let bounds = checkout.search.moment.bounds(&moment)?;
        let Checkout { search, token_budget, mandatory_types, mandatory_ids } = checkout;
        let until = self.right_until(&moment, search)?;
        let (ranked, weights, degraded) = self.best(&moment, search, asked, times)?;
        self.count("checkout", &degraded);
        let mut texts = Texts::default();
        let all = shown_of_types(&moment, search, mandatory_types, mandatory_ids, bounds)?;
        let has_to: BTreeSet<i64> = all.iter().map(|shown| shown.seq).collect();
        let first = all.into_iter().filter(|shown| texts.is_new(shown));
        let mandatory: Vec<Candidate> = first.map(|shown| Candidate::new(shown, 0.0)).collect();
        let best = ranked.first().map_or(0.0, |ranked| ranked.score);
        let mut optional = Vec::new();
        for found in ranked.iter().filter(|found| !has_to.contains(&found.seq)) {
            if optional.len() == search.limit as usize {
                break;
            }
            let worth = if found.score >= best * WORTH_SHARE_MIN { found.score.max(0.0) } else { 0.0 };
            // A repeated text adds no information but would use budget that another memory could use.
            if let Some(shown) = full_memories(&moment, found.seq)?.filter(|shown| texts.is_new(shown)) {
                optional.push(Candidate::new(shown, worth));
            }
        }
        let pieces =
            |from: &[Candidate]| from.iter().map(|candidate| candidate.piece).collect::<Vec<Piece>>();
        let (first, rest) = match pack(&pieces(&mandatory), &pieces(&optional), *token_budget as usize) {
            Ok(packed) => packed,
            Err(too_much) => return Ok((Err(too_much), until)),
        };
        let items =
            |from: &[Candidate], places: &[usize]| places.iter().map(|place| from[*place].item()).collect();
        let relevant = rest.taken.iter().map(|place| &optional[*place]);
        let within: Vec<&Candidate> = mandatory.iter().chain(relevant).collect();
        let answerability = answerability(&search.words, &ranked, &within, &texts.same);
        let answer = CheckoutAnswer {
            context: context(&mandatory, &first, &optional, &rest),
            tokens: u32::try_from(first.tokens + rest.tokens).unwrap_or(u32::MAX),
            token_budget: *token_budget,
            mandatory: items(&mandatory, &first.taken),
            relevant: items(&optional, &rest.taken),
            elided: items(&optional, &rest.elided),
            repeated: texts.repeated,
            answerability,
            applied_seq: applied_seq(&moment)?.unsigned_abs(),
            weights,
            degraded,
        };
        Ok((Ok(answer), until))
    }
}

fn context(mandatory: &[Candidate], first: &Packed, optional: &[Candidate], rest: &Packed) -> String {
    let mut text = String::new();
    for candidate in first.taken.iter().map(|place| &mandatory[*place]) {
        let _infallible = write!(text, "{}", candidate.text);
    }
    for candidate in rest.taken.iter().map(|place| &optional[*place]) {
        let _infallible = write!(text, "{}", candidate.text);
    }
    text
}

/// How well the context covers the query: the mean of the best term coverage and the best late-interaction score of a
/// memory with its neighbours. For a memory without these scores it is the share of the query words in its text,
/// because a word that occurs is a perfect match.
fn answerability(
    query: &str,
    ranked: &[Ranked],
    within: &[&Candidate],
    same: &[(i64, String)],
) -> Answerability {
    let ids: BTreeSet<&str> = within.iter().map(|candidate| candidate.shown.id.as_str()).collect();
    // A memory whose text is in the context counts as included.
    let repeated = same.iter().filter(|(_, same_as)| ids.contains(same_as.as_str())).map(|(seq, _)| *seq);
    let seqs: BTreeSet<i64> = within.iter().map(|candidate| candidate.shown.seq).chain(repeated).collect();
    let is_compared = |ranked: &&Ranked| ranked.coverage > 0.0 || ranked.similarity > 0.0;
    let compared: Vec<&Ranked> =
        ranked.iter().filter(|ranked| seqs.contains(&ranked.seq)).filter(is_compared).collect();
    let known: BTreeSet<i64> = compared.iter().map(|ranked| ranked.seq).collect();
    let (terms, question) = (Terms::default(), AnalysedQuery::read(query));
    let kept = question.kept(&[]);
    let others = within.iter().filter(|candidate| !known.contains(&candidate.shown.seq));
    let share_in = |Candidate { shown, .. }: &Candidate| {
        terms.share(&format!("{}\n{}", shown.title, shown.content), &kept)
    };
    let share = others.map(|candidate| share_in(candidate)).fold(0.0, f64::max);
    let words = compared.iter().map(|ranked| ranked.coverage).fold(share, f64::max);
    let meaning = compared.iter().map(|ranked| ranked.similarity).fold(share, f64::max);
    let score = f64::midpoint(words, meaning);
    let verdict = match score {
        score if score >= LIKELY => Verdict::Likely,
        score if score >= POSSIBLE => Verdict::Possible,
        _ => Verdict::Unlikely,
    };
    Answerability { score, verdict }
}
