//! Computes the score of each retrieval method (lane) for each candidate. Term counts of a memory are cached, because a
//! memory is a neighbour of several others.

use std::collections::HashMap;

use engine_core::retrieval::features::{Counted, LANES, min_max};

use super::catalog::Catalog;
use super::query::{Filters, Query};
use super::texts::Word;
use engine_projection::Bounds;

/// Maximum number of members of a session that its session score covers. A conversation has a few hundred turns; in a
/// longer session the first thousand memories show its subject.
const SESSION_MEMBERS_MAX: usize = 1_024;
/// Lanes that compare vectors, as indexes into [`LANES`].
const VECTOR_LANES: [usize; 6] = [1, 3, 5, 6, 7, 9];
/// Lanes that need the term counts of the query.
const COUNT_LANES: [usize; 6] = [0, 2, 4, 8, 10, 11];
/// The lane for late interaction with a memory, as an index into [`LANES`].
const MATCH: usize = 6;
/// The lane for late interaction with a memory and its neighbours, as an index into [`LANES`].
pub(super) const NEAR_MATCH: usize = 7;

/// Scores of each lane, by candidate.
pub(super) type Lanes = [Vec<f64>; LANES.len()];

/// Cached counts of the query terms in each memory.
#[derive(Debug, Default)]
struct Counts {
    /// For each memory number, the index in `counts` at which its counts begin.
    places: HashMap<u32, usize>,
    counts: Vec<f64>,
}

impl Counts {
    /// For each query term, the sum of its counts over the memories `of`.
    fn sum(&mut self, catalog: &Catalog, asked: &[u32], of: &[u32]) -> Vec<f64> {
        let length = asked.len();
        let mut sum = vec![0.0; length];
        for number in of {
            let from = *self.places.entry(*number).or_insert_with(|| {
                let from = self.counts.len();
                self.counts.resize(from + length, 0.0);
                catalog.texts.count(*number, asked, &mut self.counts[from..]);
                from
            });
            let counts = &self.counts[from..from + length];
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        sum
    }
}

/// Cached session scores: the lexical score and the vector score of each session.
#[derive(Debug, Default)]
struct Sessions {
    scores: HashMap<u32, (f64, f64)>,
}

impl Query<'_> {
    /// Computes the unscaled scores of each lane. Lanes without weight are skipped, except the lanes that a checkout
    /// needs.
    pub(super) fn lanes(&mut self, chosen: &[u32], filters: &Filters<'_>, counted: &Counted) -> Lanes {
        let is = |lane: usize| counted.lanes[lane];
        let words = filters.for_context || COUNT_LANES.iter().any(|lane| is(*lane));
        let mut lanes: Lanes = std::array::from_fn(|_| Vec::with_capacity(chosen.len()));
        let (mut counts, mut sessions) = (Counts::default(), Sessions::default());
        for number in chosen {
            let own = [*number];
            let near = self.window(*number, 1, &filters.bounds);
            let wide = self.window(*number, 2, &filters.bounds);
            let mut count = |of: &[u32], is: bool| match words && is {
                true => counts.sum(self.catalog, &self.words, of),
                false => Vec::new(),
            };
            let (own_counts, near_counts, wide_counts) =
                (count(&own, true), count(&near, true), count(&wide, is(4)));
            let (pairs, proximity) = if is(12) || is(13) { self.pairs(*number) } else { (0.0, 0.0) };
            let (session_lexical, session_static) = self.session(*number, &mut sessions, counted);
            let row = [
                self.by_words(&own_counts, &own),
                if is(1) { self.similarity(&own) } else { 0.0 },
                self.by_words(&near_counts, &near),
                if is(3) { self.similarity(&near) } else { 0.0 },
                self.by_words(&wide_counts, &wide),
                if is(5) { self.similarity(&wide) } else { 0.0 },
                if is(MATCH) { self.matching(&own) } else { 0.0 },
                if is(NEAR_MATCH) || filters.for_context { self.matching(&near) } else { 0.0 },
                session_lexical,
                session_static,
                self.asked.coverage(&own_counts),
                self.asked.coverage(&near_counts),
                pairs,
                proximity,
            ];
            lanes.iter_mut().zip(row).for_each(|(lane, score)| lane.push(score));
        }
        lanes
    }

    /// A memory and its neighbours in the session, as far as they were known at the requested time.
    fn window(&self, number: u32, reach: i64, bounds: &Bounds) -> Vec<u32> {
        let near = |distance: i64| match distance {
            0 => Some(number),
            _ => {
                self.catalog.neighbour(number, distance).filter(|near| self.catalog.was_known(*near, bounds))
            }
        };
        (-reach..=reach).filter_map(near).collect()
    }

    /// BM25 score of the memories `of`, treated as one text.
    fn by_words(&self, counts: &[f64], of: &[u32]) -> f64 {
        let words: f64 = of.iter().map(|number| f64::from(self.catalog.words[*number as usize])).sum();
        #[expect(clippy::cast_precision_loss, reason = "a handful of neighbours")]
        let mean = self.catalog.mean_words() * of.len() as f64;
        self.asked.score(counts, words, mean)
    }

    /// Cosine similarity between the query and the memories `of`, treated as one text.
    fn similarity(&self, of: &[u32]) -> f64 {
        let exact = match of {
            [number] => self.exact.get(number).copied(),
            _ => None,
        };
        let rounded = || self.vector.as_ref().map(|vector| self.rows.likeness_of_all(vector, of));
        exact.or_else(rounded).map_or(0.0, f64::from)
    }

    fn matching(&mut self, of: &[u32]) -> f64 {
        self.late.as_mut().map_or(0.0, |late| late.score(self.catalog, of))
    }

    /// Scales the scores of each lane to 0 to 1 over the candidates. Scores that are shares are in that range already.
    /// A memory without a session counts as a session of its own.
    pub(super) fn scale(&self, lanes: &mut Lanes, chosen: &[u32]) {
        const SESSIONS: [(usize, usize); 2] = [(8, 0), (9, 1)];
        lanes[..8].iter_mut().for_each(|lane| min_max(lane, |_| true));
        let inside = |at: usize| self.catalog.session_of(chosen[at]).is_some();
        for (session, own) in SESSIONS {
            min_max(&mut lanes[session], inside);
            for at in (0..chosen.len()).filter(|at| !inside(*at)) {
                lanes[session][at] = lanes[own][at];
            }
        }
        for lane in VECTOR_LANES {
            lanes[lane].iter_mut().for_each(|score| *score *= self.vector_weight);
        }
    }

    fn session(&self, number: u32, sessions: &mut Sessions, counted: &Counted) -> (f64, f64) {
        let Some(session) = self.catalog.session_of(number) else { return (0.0, 0.0) };
        *sessions.scores.entry(session).or_insert_with(|| {
            let members = self.catalog.members(session);
            let members = &members[..members.len().min(SESSION_MEMBERS_MAX)];
            let words: f64 = members.iter().map(|n| f64::from(self.catalog.words[*n as usize])).sum();
            let lexical = match counted.lanes[8] {
                true => {
                    let mut counts = vec![0.0; self.words.len()];
                    members.iter().for_each(|n| self.catalog.texts.count(*n, &self.words, &mut counts));
                    self.asked.score(&counts, words, self.catalog.mean_session_words())
                }
                false => 0.0,
            };
            let similarity = self
                .vector
                .as_ref()
                .filter(|_| counted.lanes[9])
                .map_or(0.0, |vector| f64::from(self.rows.likeness_of_session(vector, members)));
            (lexical, similarity)
        })
    }

    /// Scores how often adjacent words of the query are near each other in a memory. Returns the IDF-weighted share of
    /// the word pairs that are at most two words apart, and the same share weighted by inverse distance.
    fn pairs(&self, number: u32) -> (f64, f64) {
        let asked: Vec<Word> =
            self.catalog.texts.of(number).filter(|word| self.words.contains(&word.number)).collect();
        let places =
            |wanted: u32| asked.iter().filter(move |word| word.number == wanted).map(|word| word.place);
        let says = |wanted: u32| {
            let place = self.words.iter().position(|number| *number == wanted);
            place.map_or(0.0, |place| self.asked.terms()[place].1)
        };
        let (mut together, mut close, mut total) = (0.0, 0.0, 0.0);
        for pair in self.term_sequence.windows(2).filter(|pair| pair[0] != pair[1]) {
            let weight = says(pair[0]).min(says(pair[1]));
            total += weight;
            let gaps = places(pair[0]).flat_map(|a| places(pair[1]).map(move |b| a.abs_diff(b)));
            if let Some(gap) = gaps.min() {
                together += if gap <= 2 { weight } else { 0.0 };
                close += weight / f64::from(gap.max(1));
            }
        }
        if total > 0.0 { (together / total, close / total) } else { (0.0, 0.0) }
    }
}
