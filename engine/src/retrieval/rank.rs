//! Ranks the memories of one project beside a query.

use std::collections::{BTreeMap, HashMap};

use engine_core::limits::ACTOR_DEFAULT;
use engine_core::retrieval::bm25::{Asked, idf};
use engine_core::retrieval::features::{
    self, AROUND, AROUND_LANES, Counted, Evidence, LANES, NAMES, min_max,
};
use engine_core::retrieval::question::Question;
use engine_core::retrieval::terms::Term;
use engine_core::retrieval::weights::score;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::catalog::Catalog;
use super::late::Late;
use super::names::NONE;
use super::vectors::AskedVector;
use crate::projection::Bounds;

/// Memories each lane puts forward.
pub(super) const LANE_TOP: usize = 250;
/// Members of a session that are looked at when the whole of it is scored. A conversation has some hundred turns; of one
/// without end its first thousand say what it is about.
const SESSION_MEMBERS_MAX: usize = 1_024;
/// The lane of best likenesses in a memory and its neighbours.
const NEAR_MATCH: usize = 7;
/// Matches that the full-text index may have to walk: words that more memories have put nobody forward, they only score.
const POSTINGS_MAX: u64 = 50_000;

/// A memory and its score.
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    pub(super) seq: i64,
    pub(super) score: f64,
    pub(super) features: [f64; NAMES.len()],
    /// Share of what the query asks for that occurs in it and its neighbours, 0 to 1.
    pub(super) coverage: f64,
    /// Best likenesses of the query's tokens in it and its neighbours, on average, 0 to 1.
    pub(super) alike: f64,
}

/// What narrows a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow<'a> {
    pub(super) kind: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) bounds: Bounds,
    /// Whether a context is chosen from what is found, which asks how alike each is.
    pub(super) for_context: bool,
}

/// What other lanes have found, by sequence number.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lexical: Vec<i64>,
    pub(super) exact: Vec<i64>,
    pub(super) graph: BTreeMap<i64, f64>,
}

/// A query as the memories of one project understand it.
pub(super) struct Query<'a> {
    catalog: &'a Catalog,
    question: &'a Question,
    /// Whether it names the actor of this number.
    named: Vec<bool>,
    kept: Vec<&'a str>,
    /// Terms in the order of the query, each as often as it is there.
    stems: Vec<Term>,
    asked: Asked,
    vector: Option<AskedVector>,
    late: Late<'a>,
}

impl<'a> Query<'a> {
    pub(super) fn new(catalog: &'a Catalog, question: &'a Question) -> Query<'a> {
        let actors = catalog.actor_words();
        let named: Vec<bool> =
            actors.iter().map(|(words, is_capitalised)| question.names(words, *is_capitalised)).collect();
        let spoken: Vec<String> = actors
            .iter()
            .zip(&named)
            .filter(|(_, named)| **named)
            .flat_map(|((words, _), _)| words.clone())
            .collect();
        let kept = question.kept(&spoken);
        let stems: Vec<Term> = kept.iter().map(|word| catalog.stems().term(word)).collect();
        let count = catalog.len() as u64;
        let asked = Asked::new(stems.iter().copied(), |term| idf(count, catalog.frequency(term)));
        let text = kept.join(" ");
        let vector = catalog.vectors.ask(&text);
        let late = Late::new(catalog, &text);
        Query { catalog, question, named, kept, stems, asked, vector, late }
    }

    /// Words that put memories forward: all that say something, the rarest first, as far as the index can walk them.
    pub(super) fn telling_words(&self) -> Vec<&'a str> {
        let frequency = |word: &&str| self.catalog.frequency(self.catalog.stems().term(word));
        let mut words: Vec<(u64, &str)> = self.kept.iter().map(|word| (frequency(word), *word)).collect();
        words.sort_unstable();
        words.dedup();
        let mut walked = 0;
        let fits = |(frequency, _): &(u64, &str)| {
            walked += frequency;
            walked <= POSTINGS_MAX
        };
        let telling: Vec<&str> = words.iter().copied().take_while(fits).map(|(_, word)| word).collect();
        // One word is always asked for; the time of a read is bounded anyway.
        if telling.is_empty() { words.first().map(|(_, word)| *word).into_iter().collect() } else { telling }
    }

    fn admits(&self, number: u32, narrow: &Narrow<'_>, kind: Option<u32>, session: Option<u32>) -> bool {
        self.catalog.is_true(number, &narrow.bounds)
            && kind.is_none_or(|kind| self.catalog.is_of_kind(number, kind))
            && session.is_none_or(|session| self.catalog.session_of(number) == Some(session))
    }

    /// The numbers of all memories that are worth a look, in order.
    fn candidates(&self, found: &Found, narrow: &Narrow<'_>, counted: &Counted) -> Vec<u32> {
        // What nothing is called narrows to nothing.
        let kind = narrow.kind.map(|kind| self.catalog.kind_number(kind).unwrap_or(NONE));
        let session = narrow.session.map(|session| self.catalog.session_number(session).unwrap_or(NONE));
        let admits = |number: u32| self.admits(number, narrow, kind, session);
        let seqs = found.lexical.iter().chain(&found.exact).chain(found.graph.keys());
        let mut chosen: Vec<u32> =
            seqs.filter_map(|seq| self.catalog.number(*seq)).filter(|n| admits(*n)).collect();
        if let Some(vector) = self.vector.as_ref().filter(|_| counted.by_direction) {
            chosen.extend(self.catalog.vectors.nearest(vector, LANE_TOP, admits).into_iter().map(|(n, _)| n));
        }
        let distances = (1..=AROUND as i64).flat_map(|distance| [-distance, distance]);
        let around: Vec<u32> = chosen
            .iter()
            .flat_map(|number| {
                distances.clone().filter_map(|distance| self.catalog.neighbour(*number, distance))
            })
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        let mut around = around;
        around.sort_unstable();
        around.dedup();
        around.retain(|number| chosen.binary_search(number).is_err() && admits(*number));
        chosen.extend(around);
        chosen.sort_unstable();
        chosen
    }

    /// Every candidate with its score, best first.
    pub(super) fn rank(
        &mut self,
        found: &Found,
        narrow: &Narrow<'_>,
        weights: &[f64; NAMES.len()],
    ) -> Vec<Ranked> {
        let counted = Counted::by(weights);
        let chosen = self.candidates(found, narrow, &counted);
        let mut lanes = self.lanes(&chosen, narrow, &counted);
        let [.., coverage, _, _] = &lanes;
        let (coverage, alike) = (coverage.clone(), lanes[NEAR_MATCH].clone());
        self.scale(&mut lanes, &chosen);
        let mut ranked: Vec<Ranked> = chosen
            .iter()
            .enumerate()
            .map(|(at, number)| {
                let evidence = self.evidence(&chosen, &lanes, at, *number, found);
                let features = features::features(self.question, &evidence);
                Ranked {
                    seq: self.catalog.seq(*number),
                    score: score(&features, weights),
                    features,
                    coverage: coverage[at],
                    alike: alike[at],
                }
            })
            .collect();
        // Of equals the newer one.
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.seq.cmp(&a.seq)));
        ranked
    }

    /// A memory near in the session, if it was known at the moment asked about.
    fn near(&self, number: u32, distance: i64, bounds: &Bounds) -> Option<u32> {
        self.catalog.neighbour(number, distance).filter(|near| self.catalog.was_known(*near, bounds))
    }

    /// The scores of each lane as they are. Those that count for nothing are not looked at, but for what a context is
    /// chosen by.
    fn lanes(&mut self, chosen: &[u32], narrow: &Narrow<'_>, counted: &Counted) -> [Vec<f64>; LANES.len()] {
        let is = |lane: usize| counted.lanes[lane];
        let bounds = &narrow.bounds;
        let mut lanes: [Vec<f64>; LANES.len()] = std::array::from_fn(|_| Vec::with_capacity(chosen.len()));
        let mean = self.catalog.mean_words();
        let mut sessions = Sessions::default();
        for number in chosen {
            let window = |reach: i64| -> Vec<u32> {
                (-reach..=reach)
                    .filter_map(|distance| match distance {
                        0 => Some(*number),
                        _ => self.near(*number, distance, bounds),
                    })
                    .collect()
            };
            let (near, wide) = (window(1), window(2));
            let counts = self.counts(&[*number]);
            let near_counts = self.counts(&near);
            let lexical = |counts: &[f64], of: &[u32], texts: f64| {
                let words: f64 = of.iter().map(|n| f64::from(self.catalog.words[*n as usize])).sum();
                self.asked.score(counts, words, mean * texts)
            };
            let alike = |lane: usize, of: &[u32]| {
                self.vector
                    .as_ref()
                    .filter(|_| is(lane))
                    .map_or(0.0, |vector| f64::from(self.catalog.vectors.likeness_of_all(vector, of)))
            };
            let (pairs, proximity) = if is(12) || is(13) { self.pairs(*number) } else { (0.0, 0.0) };
            let (session_lexical, session_static) = self.session(*number, &mut sessions, counted);
            let wide_lexical = if is(4) { lexical(&self.counts(&wide), &wide, 5.0) } else { 0.0 };
            let row = [
                lexical(&counts, &[*number], 1.0),
                alike(1, &[*number]),
                lexical(&near_counts, &near, 3.0),
                alike(3, &near),
                wide_lexical,
                alike(5, &wide),
                if is(6) { self.late.score(self.catalog, &[*number]) } else { 0.0 },
                if is(NEAR_MATCH) || narrow.for_context { self.late.score(self.catalog, &near) } else { 0.0 },
                session_lexical,
                session_static,
                self.asked.coverage(&counts),
                self.asked.coverage(&near_counts),
                pairs,
                proximity,
            ];
            lanes.iter_mut().zip(row).for_each(|(lane, score)| lane.push(score));
        }
        lanes
    }

    /// Brings lanes between 0 and 1 among the candidates. Shares are there already. A memory without a session is a session of
    /// its own.
    fn scale(&self, lanes: &mut [Vec<f64>; LANES.len()], chosen: &[u32]) {
        const SESSIONS: [(usize, usize); 2] = [(8, 0), (9, 1)];
        lanes[..8].iter_mut().for_each(|lane| min_max(lane, |_| true));
        let inside = |at: usize| self.catalog.session_of(chosen[at]).is_some();
        for (session, own) in SESSIONS {
            min_max(&mut lanes[session], inside);
            for at in (0..chosen.len()).filter(|at| !inside(*at)) {
                lanes[session][at] = lanes[own][at];
            }
        }
    }

    fn counts(&self, of: &[u32]) -> Vec<f64> {
        let mut counts = vec![0.0; self.asked.terms().len()];
        of.iter().for_each(|number| self.asked.count(self.catalog.terms_of(*number), &mut counts));
        counts
    }

    fn session(&self, number: u32, sessions: &mut Sessions, counted: &Counted) -> (f64, f64) {
        let Some(session) = self.catalog.session_of(number) else { return (0.0, 0.0) };
        *sessions.scores.entry(session).or_insert_with(|| {
            let members = self.catalog.members(session);
            let members = &members[..members.len().min(SESSION_MEMBERS_MAX)];
            let words: f64 = members.iter().map(|n| f64::from(self.catalog.words[*n as usize])).sum();
            let lexical = match counted.lanes[8] {
                true => self.asked.score(&self.counts(members), words, self.catalog.mean_session_words()),
                false => 0.0,
            };
            let alike =
                self.vector.as_ref().filter(|_| counted.lanes[9]).map_or(0.0, |vector| {
                    f64::from(self.catalog.vectors.likeness_of_session(vector, members))
                });
            (lexical, alike)
        })
    }

    /// Shares of neighbouring words of the query that stand together in a memory, at most two apart, and by how close.
    fn pairs(&self, number: u32) -> (f64, f64) {
        let (terms, positions) = (self.catalog.terms_of(number), self.catalog.positions_of(number));
        let places = |wanted: Term| {
            terms
                .iter()
                .zip(positions)
                .filter(move |(term, _)| **term == wanted)
                .map(|(_, place)| i32::from(*place))
        };
        let says = |term: Term| {
            self.asked.terms().iter().find(|(asked, _)| *asked == term).map_or(0.0, |(_, idf)| *idf)
        };
        let (mut together, mut close, mut total) = (0.0, 0.0, 0.0);
        for pair in self.stems.windows(2).filter(|pair| pair[0] != pair[1]) {
            let weight = says(pair[0]).min(says(pair[1]));
            total += weight;
            let gaps = places(pair[0]).flat_map(|a| places(pair[1]).map(move |b| (a - b).abs()));
            if let Some(gap) = gaps.min() {
                together += if gap <= 2 { weight } else { 0.0 };
                close += weight / f64::from(gap.max(1));
            }
        }
        if total > 0.0 { (together / total, close / total) } else { (0.0, 0.0) }
    }

    fn evidence(
        &self,
        chosen: &[u32],
        lanes: &[Vec<f64>; LANES.len()],
        at: usize,
        number: u32,
        found: &Found,
    ) -> Evidence {
        let catalog = self.catalog;
        let seq = catalog.seq(number);
        let actor = catalog.actor[number as usize];
        let somebody = self.named.iter().any(|named| *named);
        let mut evidence = Evidence {
            lanes: std::array::from_fn(|lane| lanes[lane][at]),
            exact: found.exact.contains(&seq),
            graph: found.graph.get(&seq).copied().unwrap_or(0.0),
            turn: catalog.session_of(number).is_some() && catalog.is_somebody(actor),
            voice: catalog.voices[number as usize],
            words: catalog.words[number as usize],
            actor: (somebody && catalog.is_somebody(actor)).then(|| self.named[actor as usize]),
            date: self.date(number),
            ..Evidence::default()
        };
        let place_of = |near: u32| chosen.binary_search(&near).ok();
        for (slot, distance) in (-3..=3_i64).filter(|distance| *distance != 0).enumerate() {
            let Some(near) = catalog.neighbour(number, distance) else { continue };
            let Some(place) = place_of(near) else { continue };
            for (around, lane) in AROUND_LANES.into_iter().enumerate() {
                evidence.around[around][slot] = lanes[lane][place];
                if distance == -1 && catalog.is_question(near) {
                    evidence.asked[around] = lanes[lane][place];
                }
            }
        }
        evidence
    }

    fn date(&self, number: u32) -> f64 {
        if self.question.dates.is_empty() {
            return 0.0;
        }
        let occurred = Timestamp::from_microsecond(self.catalog.occurred[number as usize]);
        occurred.map_or(0.0, |time| self.question.dates.fit(time.to_zoned(TimeZone::UTC).date()))
    }
}

/// Scores of the sessions that were met.
#[derive(Debug, Default)]
struct Sessions {
    scores: HashMap<u32, (f64, f64)>,
}

/// Whether a name says who it was.
pub(super) fn is_somebodys(actor: &str) -> bool {
    actor != ACTOR_DEFAULT
}
