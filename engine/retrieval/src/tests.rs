//! Compares every feature of every memory of a small project with the reference in `scripts/retrieval/features.py`.

use std::collections::BTreeMap;

use engine_core::retrieval::features::NAMES;
use engine_core::retrieval::question::AnalysedQuery;
use engine_core::row::microseconds;
use engine_core::tags::Tags;
use engine_core::words::terms::is_stop_word;
use jiff::Timestamp;
use serde::Deserialize;

use super::catalog::Catalog;
use super::catalog_text::embedded;
use super::model::Model;
use super::query::{Filters, Found, Query};
use super::stages::StageTimes;
use engine_projection::{Bounds, MemoryRow};

const REFERENCE: &str = include_str!("../../core/tests/fixtures/retrieval/features.json");
/// Vectors are quantised to steps of 1/127 here but not in the reference; the lanes are then scaled to 0..1.
const TOLERANCE: f64 = 0.03;

#[derive(Deserialize)]
struct Reference {
    memories: Vec<Memory>,
    weights: BTreeMap<String, f64>,
    queries: Vec<ReferenceQuery>,
}

#[derive(Deserialize)]
struct Memory {
    text: String,
    actor: Option<String>,
    session: Option<String>,
    time: Option<String>,
}

#[derive(Deserialize)]
struct ReferenceQuery {
    query: String,
    features: BTreeMap<String, Vec<f64>>,
    scores: Vec<f64>,
}

fn row(seq: i64, memory: &Memory) -> MemoryRow {
    let occurred = memory
        .time
        .as_deref()
        .map_or(seq, |time| microseconds(format!("{time}Z").parse::<Timestamp>().unwrap()));
    MemoryRow {
        seq,
        known: seq,
        valid_from: seq.min(occurred),
        occurred,
        actor: memory.actor.clone().unwrap_or_else(|| "anonymous".into()),
        kind: "note".into(),
        session: memory.session.clone(),
        title: String::new(),
        tags: "[]".into(),
        content: memory.text.clone(),
    }
}

fn catalog(memories: &[Memory]) -> Catalog {
    let mut catalog = Catalog::new(Model::BuiltIn, false);
    let rows: Vec<MemoryRow> = (1..).zip(memories).map(|(seq, memory)| row(seq, memory)).collect();
    rows.iter().for_each(|row| catalog.push(row));
    // Token weights come from all memories, as in the reference.
    let mut vectors = catalog.vectors.reweighted();
    rows.iter().for_each(|row| vectors.put_again(&embedded(row)));
    let count = catalog.len();
    catalog.replace_vectors(vectors, count);
    catalog
}

#[test]
fn every_feature_is_that_of_the_reference() {
    let Reference { memories, weights, queries } = serde_json::from_str(REFERENCE).unwrap();
    let catalog = catalog(&memories);
    let bounds = Bounds { as_of: i64::MAX - 1, known_seq: i64::MAX, known_time: i64::MAX, is_now: true };
    let (mut compared, weights) = (0, NAMES.map(|name| weights.get(name).copied().unwrap_or_default()));
    for asked in &queries {
        let question = AnalysedQuery::read(&asked.query);
        // Stop words of memories are not stored, so a query of stop words alone is ranked by vectors only.
        if question.words.iter().all(|word| is_stop_word(word)) {
            continue;
        }
        let all = (1..=memories.len()).map(|seq| i64::try_from(seq).unwrap()).collect();
        let found = Found { lexical: all, ..Found::default() };
        let tags = Tags::default();
        let filters = Filters {
            kind: None,
            session: None,
            tags: &tags,
            below: None,
            among: None,
            bounds,
            for_context: false,
        };
        let rank = |weights| {
            Query::new(&catalog, &question, None, true).rank(
                &found,
                &filters,
                weights,
                &StageTimes::default(),
            )
        };
        for one in rank(&weights) {
            let place = usize::try_from(one.seq).unwrap() - 1;
            let total: f64 = weights.iter().map(|weight| weight.abs()).sum();
            assert!((one.score - asked.scores[place]).abs() < TOLERANCE * total, "{:?}", asked.query);
        }
        // Features without weight are not computed, so every feature gets a weight here.
        let ranked = rank(&[1.0; NAMES.len()]);
        assert_eq!(ranked.len(), memories.len());
        for one in ranked {
            let place = usize::try_from(one.seq).unwrap() - 1;
            for (name, values) in &asked.features {
                let Some(at) = NAMES.iter().position(|known| known == name) else { continue };
                let (found, expected) = (one.features[at], values[place]);
                assert!(
                    (found - expected).abs() < TOLERANCE,
                    "{name} of memory {place} for {:?}: {found}, not {expected}",
                    asked.query
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 400, "{compared}");
}
