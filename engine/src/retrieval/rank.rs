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
use super::rows::{AskedVector, Rows};
use crate::embeddings::{AskedOutside, VectorStore};
use crate::projection::Bounds;

/// Memories each lane puts forward.
pub(super) const LANE_TOP: usize = 250;
/// Of vectors that were made outside, how many more are compared unrounded: what rounding has put behind comes forward.
const UNROUNDED_FACTOR: usize = 2;
/// Members of a session that are looked at when the whole of it is scored. A conversation has some hundred turns; of one
/// without end its first thousand say what it is about.
const SESSION_MEMBERS_MAX: usize = 1_024;
/// Lanes of meaning, as places in [`LANES`].
const MEANING: [usize; 6] = [1, 3, 5, 6, 7, 9];
/// What they count at least.
const TRUST_MIN: f64 = 0.5;
/// The token of words that are in no other, in the built-in table.
const UNKNOWN_TOKEN: u32 = 100;
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
    /// What the reranker said of it, and what that changed of the score.
    pub(super) reranked: Option<(f64, f64)>,
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
    /// What lanes of meaning count beside those of words, 0.5 to 1.
    trust: f64,
    /// What the vector is compared with.
    rows: &'a Rows,
    /// Where these are kept unrounded, and by which model.
    kept_by: Option<(i64, &'a VectorStore)>,
    /// Cosines that were computed of those, by number.
    exact: HashMap<u32, f32>,
    late: Late<'a>,
}

impl<'a> Query<'a> {
    /// `outside` is the vector that an outside model made of the question, and where those of memories are kept. Where there are
    /// too few of them the built-in ones are compared.
    pub(super) fn new(
        catalog: &'a Catalog,
        question: &'a Question,
        outside: Option<(&AskedOutside, &'a VectorStore)>,
    ) -> Query<'a> {
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
        let late = Late::new(catalog, &text);
        let rows = outside.and_then(|(asked, store)| {
            let rows = catalog.outside.as_ref()?.rows(asked.model)?;
            let mut vector = asked.vector.clone();
            engine_core::embedding::normalise(&mut vector);
            Some((AskedVector::new(vector), rows, Some((asked.model, store))))
        });
        let (vector, rows, kept_by) =
            rows.unwrap_or_else(|| (catalog.vectors.ask(&text), catalog.vectors.rows(), None));
        let exact = HashMap::new();
        let trust = if kept_by.is_some() { 1.0 } else { trust(catalog, &kept) };
        Query { catalog, question, named, kept, stems, asked, vector, trust, rows, kept_by, exact, late }
    }

    /// Whether vectors of the outside model are compared.
    pub(super) fn is_outside(&self) -> bool {
        self.kept_by.is_some()
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
    fn candidates(&mut self, found: &Found, narrow: &Narrow<'_>, counted: &Counted) -> Vec<u32> {
        // What nothing is called narrows to nothing.
        let kind = narrow.kind.map(|kind| self.catalog.kind_number(kind).unwrap_or(NONE));
        let session = narrow.session.map(|session| self.catalog.session_number(session).unwrap_or(NONE));
        let admits = |number: u32| self.admits(number, narrow, kind, session);
        let seqs = found.lexical.iter().chain(&found.exact).chain(found.graph.keys());
        let mut chosen: Vec<u32> =
            seqs.filter_map(|seq| self.catalog.number(*seq)).filter(|n| admits(*n)).collect();
        let (nearest, exact) = if counted.by_direction { self.nearest(admits) } else { Default::default() };
        chosen.extend(nearest);
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
        self.exact = exact;
        chosen
    }

    /// The memories most alike, and the cosines that were computed of unrounded vectors.
    fn nearest(&self, admits: impl FnMut(u32) -> bool) -> (Vec<u32>, HashMap<u32, f32>) {
        let Some(vector) = &self.vector else { return Default::default() };
        let numbers = |found: Vec<(u32, f32)>| found.into_iter().map(|(number, _)| number).collect();
        let Some((model, store)) = self.kept_by else {
            return (numbers(self.rows.nearest(vector, LANE_TOP, admits)), HashMap::new());
        };
        let mut found = self.rows.nearest(vector, LANE_TOP * UNROUNDED_FACTOR, admits);
        let seqs: Vec<i64> = found.iter().map(|(number, _)| self.catalog.seq(*number)).collect();
        // Of a file that cannot be read the rounded ones are as good as it gets.
        let unrounded = store.exact(model, &seqs).unwrap_or_default();
        let mut exact = HashMap::with_capacity(found.len());
        for ((number, score), seq) in found.iter_mut().zip(seqs) {
            if let Some(unrounded) = unrounded.get(&seq).filter(|unrounded| !unrounded.is_empty()) {
                *score = vector.cosine(unrounded);
                exact.insert(*number, *score);
            }
        }
        found.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        found.truncate(LANE_TOP);
        (numbers(found), exact)
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
                    reranked: None,
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
            let lexical = |counts: &[f64], of: &[u32]| {
                let words: f64 = of.iter().map(|n| f64::from(self.catalog.words[*n as usize])).sum();
                self.asked.score(counts, words, mean * of.len() as f64)
            };
            let alike = |lane: usize, of: &[u32]| {
                let exact = self.exact.get(number).filter(|_| of.len() == 1).copied();
                let rounded = || self.vector.as_ref().map(|vector| self.rows.likeness_of_all(vector, of));
                if is(lane) { exact.or_else(rounded).map_or(0.0, f64::from) } else { 0.0 }
            };
            let (pairs, proximity) = if is(12) || is(13) { self.pairs(*number) } else { (0.0, 0.0) };
            let (session_lexical, session_static) = self.session(*number, &mut sessions, counted);
            let wide_lexical = if is(4) { lexical(&self.counts(&wide), &wide) } else { 0.0 };
            let row = [
                lexical(&counts, &[*number]),
                alike(1, &[*number]),
                lexical(&near_counts, &near),
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
        for lane in MEANING {
            lanes[lane].iter_mut().for_each(|score| *score *= self.trust);
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
            let alike = self
                .vector
                .as_ref()
                .filter(|_| counted.lanes[9])
                .map_or(0.0, |vector| f64::from(self.rows.likeness_of_session(vector, members)));
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
        // When a note was written says nothing of what it is about.
        if self.question.dates.is_empty() || self.catalog.session_of(number).is_none() {
            return 0.0;
        }
        let occurred = Timestamp::from_microsecond(self.catalog.occurred[number as usize]);
        occurred.map_or(0.0, |time| self.question.dates.fit(time.to_zoned(TimeZone::UTC).date()))
    }
}

/// How far meaning can be trusted: the share of the words that the table knows whole, and a half at least. A query in another
/// language, or of identifiers, leans on its words.
fn trust(catalog: &Catalog, kept: &[&str]) -> f64 {
    let whole =
        |word: &&&str| matches!(catalog.vectors.tokens(word).as_slice(), [token] if *token != UNKNOWN_TOKEN);
    if kept.is_empty() || !catalog.vectors.has_tokens() {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "words of one query")]
    let share = kept.iter().filter(whole).count() as f64 / kept.len() as f64;
    share.max(TRUST_MIN)
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
