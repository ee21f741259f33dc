//! Ranking features of a memory for a query, by name. scripts/retrieval/README.md defines each of them.

use super::question::AnalysedQuery;
use super::text_style::TextStyle;

/// Retrieval methods (lanes). Each lane scores every memory independently of the other lanes.
pub const LANES: [&str; 14] = [
    "lexical",
    "static",
    "near_lexical",
    "near_static",
    "wide_lexical",
    "wide_static",
    "match",
    "near_match",
    "session_lexical",
    "session_static",
    "coverage",
    "near_coverage",
    "pairs",
    "proximity",
];
/// Lanes for which the scores of neighbouring memories are features too, as indexes into [`LANES`].
pub const AROUND_LANES: [usize; 3] = [0, 1, 6];
/// Number of neighbours before and after a memory whose scores are features of the memory.
pub const AROUND: usize = 3;

/// Names of all features, in the order that [`features`] returns them.
pub const NAMES: [&str; 54] = [
    "lexical",
    "static",
    "near_lexical",
    "near_static",
    "wide_lexical",
    "wide_static",
    "match",
    "near_match",
    "session_lexical",
    "session_static",
    "coverage",
    "near_coverage",
    "pairs",
    "proximity",
    "exact",
    "graph",
    "actor_named",
    "actor_other",
    "statement",
    "long",
    "capitals",
    "exclaims",
    "quote",
    "time_word",
    "when_time_word",
    "many_number",
    "where_capitals",
    "what_capitals",
    "date",
    "question",
    "lexical-3",
    "lexical-2",
    "lexical-1",
    "lexical+1",
    "lexical+2",
    "lexical+3",
    "lexical_asked",
    "actor_lexical",
    "static-3",
    "static-2",
    "static-1",
    "static+1",
    "static+2",
    "static+3",
    "static_asked",
    "actor_static",
    "match-3",
    "match-2",
    "match-1",
    "match+1",
    "match+2",
    "match+3",
    "match_asked",
    "actor_match",
];

/// Lexical lanes, as indexes into [`LANES`]; the others compare vectors.
const WORD_LANES: [usize; 8] = [0, 2, 4, 8, 10, 11, 12, 13];
/// Lanes that compare token by token, as indexes into [`LANES`].
const TOKEN_LANES: [usize; 2] = [6, 7];
/// Number of features between the lanes and the neighbour features.
const SINGLE: usize = 16;
/// Index of the first of these features. The first two of them also select candidates.
const EXACT: usize = LANES.len();
const GRAPH: usize = LANES.len() + 1;

/// What must be computed for a given set of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Whether a feature that is derived from the lane has a weight.
    pub lanes: [bool; LANES.len()],
    /// Whether candidates are selected by their words.
    pub by_words: bool,
    /// Whether candidates are selected by their vectors.
    pub by_direction: bool,
    /// Whether candidates are selected because the query is their id, title or citation.
    pub exact: bool,
    /// Whether candidates are selected because of the entities they are about.
    pub graph: bool,
}

impl Counted {
    /// Whether tokens are compared one by one.
    pub fn compares_tokens(&self) -> bool {
        TOKEN_LANES.iter().any(|lane| self.lanes[*lane])
    }

    /// What must be computed for these weights, which are in the order of [`NAMES`]. If only one kind of lane (lexical
    /// or vector) has weights, only that kind selects candidates.
    pub fn by(weights: &[f64; NAMES.len()]) -> Counted {
        let mut lanes: [bool; LANES.len()] = std::array::from_fn(|lane| weights[lane] != 0.0);
        let around = 2 * AROUND + 2;
        for (place, lane) in AROUND_LANES.into_iter().enumerate() {
            let from = LANES.len() + SINGLE + place * around;
            lanes[lane] |= weights[from..from + around].iter().any(|weight| *weight != 0.0);
        }
        // The lanes for sessions, 8 and 9, also need lanes 0 and 1, because a memory without a session counts as its
        // own session.
        lanes[0] |= lanes[8];
        lanes[1] |= lanes[9];
        let any =
            |words: bool| (0..LANES.len()).any(|lane| lanes[lane] && WORD_LANES.contains(&lane) == words);
        let (words, direction) = (any(true), any(false));
        Counted {
            lanes,
            by_words: words || !direction,
            by_direction: direction || !words,
            exact: weights[EXACT] != 0.0,
            graph: weights[GRAPH] != 0.0,
        }
    }
}

/// Number of words from which the length feature is at its maximum.
const LONG_WORDS: f64 = 25.0;

/// Inputs for the features of one memory and one query.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Scores of the lanes, scaled to 0 to 1 over the candidates.
    pub lanes: [f64; LANES.len()],
    /// Whether the query equals the memory's id, title or citation.
    pub exact: bool,
    /// Proximity to the entities that the query names: 1 for a memory about a named entity, 0 for a memory without a
    /// connection to one.
    pub graph: f64,
    /// Whether the memory is a turn of a conversation: it has a session and an actor.
    pub turn: bool,
    /// Style of the memory.
    pub voice: TextStyle,
    /// Number of words.
    pub words: u32,
    /// Whether the query names the memory's actor; absent if the query names nobody or the memory has no actor.
    pub actor: Option<bool>,
    /// How well the memory's time fits the dates in the query.
    pub date: f64,
    /// For each of [`AROUND_LANES`], the scores of the memories 3, 2 and 1 places before and 1, 2 and 3 places after.
    pub around: [[f64; 2 * AROUND]; AROUND_LANES.len()],
    /// For each of [`AROUND_LANES`], the score of the previous memory if that memory is a question.
    pub asked: [f64; AROUND_LANES.len()],
}

fn number(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}

/// All features of a memory for a query. Conversation features are 0 for a memory that is not a turn.
pub fn features(question: &AnalysedQuery, evidence: &Evidence) -> [f64; NAMES.len()] {
    let Evidence { lanes, voice, .. } = evidence;
    let turn = number(evidence.turn);
    let named = number(evidence.actor == Some(true));
    let capitals = turn * f64::from(voice.capitals) / 3.0;
    let time_word = turn * number(voice.time_word);
    let mut all = [0.0; NAMES.len()];
    let (lane_features, rest) = all.split_at_mut(LANES.len());
    lane_features.copy_from_slice(lanes);
    let single = [
        number(evidence.exact),
        evidence.graph,
        named,
        number(evidence.actor == Some(false)),
        turn * number(!voice.question),
        turn * (f64::from(evidence.words) / LONG_WORDS).min(1.0),
        capitals,
        turn * f64::from(voice.exclaims) / 3.0,
        turn * number(voice.quote),
        time_word,
        number(question.when) * time_word,
        number(question.many) * turn * number(voice.number),
        number(question.place) * capitals,
        number(question.what) * capitals,
        evidence.date,
        turn * number(voice.question),
    ];
    let (single_features, mut rest) = rest.split_at_mut(single.len());
    single_features.copy_from_slice(&single);
    for (place, lane) in AROUND_LANES.into_iter().enumerate() {
        let (around, more) = rest.split_at_mut(2 * AROUND);
        around.copy_from_slice(&evidence.around[place]);
        more[0] = evidence.asked[place];
        more[1] = named * lanes[lane];
        rest = &mut more[2..];
    }
    all
}

/// Scales the chosen scores to 0 to 1: the lowest to 0, the highest to 1, and all to 0.5 if they are equal. `chosen`
/// returns whether the score at an index is chosen. Scores that are not chosen become 0.
pub fn min_max(scores: &mut [f64], chosen: impl Fn(usize) -> bool) {
    /// Scores whose highest and lowest values differ by less than this count as equal.
    const FLAT: f64 = 1e-9;
    let all = || scores.iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, score)| *score);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    for (at, score) in scores.iter_mut().enumerate() {
        *score = match chosen(at) {
            false => 0.0,
            true if high - low < FLAT => 0.5,
            true => (*score - low) / (high - low),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_counts_when_anything_it_gives_does() {
        let of = |names: &[&str]| Counted::by(&NAMES.map(|name| f64::from(u8::from(names.contains(&name)))));
        for (at, name) in NAMES.into_iter().enumerate().skip(LANES.len() + SINGLE) {
            let base = name.trim_start_matches("actor_").trim_end_matches("_asked");
            let base = base.trim_end_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
            let lane = LANES.iter().position(|lane| *lane == base).unwrap();
            let counted: Vec<usize> = (0..LANES.len()).filter(|at| of(&[name]).lanes[*at]).collect();
            assert_eq!(counted, [lane], "{at} {name}");
        }
        let kinds = |names: &[&str]| (of(names).by_words, of(names).by_direction);
        assert_eq!(kinds(&["pairs"]), (true, false));
        assert_eq!(kinds(&["static"]), (false, true));
        assert_eq!(kinds(&["static_asked", "session_lexical"]), (true, true));
        assert_eq!(kinds(&["date"]), (true, true));
    }

    #[test]
    fn every_feature_stands_at_its_name() {
        let at = |name: &str| NAMES.iter().position(|known| *known == name).unwrap();
        let mut lanes = [0.0; LANES.len()];
        (0..).zip(&mut lanes).for_each(|(n, lane)| *lane = f64::from(n) / 100.0);
        let evidence = Evidence {
            lanes,
            exact: true,
            graph: 0.25,
            turn: true,
            voice: TextStyle {
                question: false,
                time_word: true,
                number: true,
                quote: true,
                capitals: 3,
                exclaims: 3,
            },
            words: 5,
            actor: Some(true),
            date: 1.5,
            around: [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.7; 6], [0.8; 6]],
            asked: [0.91, 0.92, 0.93],
        };
        let found = features(&AnalysedQuery::read("When and how many"), &evidence);
        for (n, lane) in LANES.into_iter().enumerate() {
            assert_eq!(found[at(lane)], lanes[n], "{lane}");
        }
        for (name, value) in [
            ("exact", 1.0),
            ("graph", 0.25),
            ("actor_named", 1.0),
            ("actor_other", 0.0),
            ("statement", 1.0),
            ("question", 0.0),
            ("long", 0.2),
            ("capitals", 1.0),
            ("when_time_word", 1.0),
            ("many_number", 1.0),
            ("where_capitals", 0.0),
            ("date", 1.5),
            ("lexical-3", 0.1),
            ("lexical+3", 0.6),
            ("static-1", 0.7),
            ("match+1", 0.8),
            ("lexical_asked", 0.91),
            ("match_asked", 0.93),
            ("actor_match", lanes[6]),
        ] {
            assert!((found[at(name)] - value).abs() < 1e-12, "{name}");
        }
    }

    #[test]
    fn notes_have_no_features_of_conversations() {
        let voice = TextStyle {
            question: true,
            time_word: true,
            number: true,
            quote: true,
            capitals: 3,
            exclaims: 3,
        };
        let evidence = Evidence { voice, words: 100, ..Evidence::default() };
        assert_eq!(features(&AnalysedQuery::read("When and how many"), &evidence), [0.0; NAMES.len()]);
    }

    #[test]
    fn scores_come_between_0_and_1() {
        let mut scores = [3.0, 1.0, 99.0, 2.0];
        min_max(&mut scores, |at| at != 2);
        assert_eq!(scores, [1.0, 0.0, 0.0, 0.5]);
        let mut flat = [2.0; 3];
        min_max(&mut flat, |_| true);
        assert_eq!(flat, [0.5; 3]);
        min_max(&mut [], |_| true);
    }
}
