//! The candidates that are found through indexes equal the candidates that the rules select from a plain list.

use engine_core::event::{FeedbackPayload, MEMORY_FEEDBACK, MEMORY_INVALIDATED, MEMORY_SAVED};
use engine_core::retention::decide;
use engine_core::wire::{ProjectRules, RetentionAction, RetentionRules};
use proptest::prelude::*;
use serde_json::json;

use super::{Lines, Place, id, second};
use crate::candidates;

const DAY: i64 = 86_400;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Generates memories with days and projects, some of them ended, and applies the rules to a plain list of them.
    #[test]
    fn what_the_indexes_give_is_what_a_list_says(
        all in prop::collection::vec((0..3_u8, 0..30_i64, any::<bool>()), 1..30),
        days in prop::option::of(1..20_u32),
        entries in prop::option::of(1..6_u64),
        own in prop::option::of(prop::option::of(1..6_u64)),
        ends in any::<bool>(),
        through in 1..30_u64,
        as_of in 25..40_i64,
    ) {
        let mut lines = Lines::new();
        for (project, day, _) in &all {
            let payload = json!({"content": "word", "type": "note"});
            lines.push_of(&project.to_string(), MEMORY_SAVED, day * DAY, &payload);
        }
        let saved = lines.all.len() as u64;
        for (seq, _) in (1..).zip(&all).filter(|(_, (.., ended))| *ended) {
            lines.push(MEMORY_INVALIDATED, 0, &json!({"target": id(seq)}), None);
        }
        let through = through.min(saved);
        let place = Place::new();
        place.load(&lines, &[7]);
        let projects = own.iter().map(|own| ProjectRules { project: "1".into(), max_age_days: None, max_entries: *own });
        let action = if ends { RetentionAction::Invalidate } else { RetentionAction::Forget };
        let rules = RetentionRules {
            max_age_days: days, max_entries_per_project: entries, projects: projects.collect(), action,
        };
        let as_of = second(as_of * DAY);
        // Ends that are recorded after the requested position are ignored.
        let found = candidates(&place.connection(), &rules, as_of, through, 1000).unwrap();
        prop_assert!(!found.more);
        let decision = decide(&rules, as_of, found.states);
        let gone: Vec<u64> = decision.removed.iter().map(|(candidate, _)| candidate.seq).collect();
        let goes = |seq: &u64| {
            let (project, day, _) = all[usize::try_from(*seq).unwrap() - 1];
            let (days, entries) = if project == 1 && own.is_some() { (None, own.flatten()) } else { (days, entries) };
            let newer = (seq + 1..=through).filter(|other| all[usize::try_from(*other).unwrap() - 1].0 == project).count();
            let age = as_of.duration_since(second(day * DAY)).as_secs();
            days.is_some_and(|days| age > i64::from(days) * DAY) || entries.is_some_and(|entries| newer as u64 >= entries)
        };
        prop_assert_eq!(gone, (1..=through).filter(goes).collect::<Vec<_>>());
        // At the head of the log, all ends are known and exclude their memories.
        let whole = candidates(&place.connection(), &rules, as_of, lines.all.len() as u64, 1000).unwrap();
        let ended = |seq: u64| all[usize::try_from(seq).unwrap() - 1].2;
        let standing = decide(&rules, as_of, whole.states).removed.iter().all(|(candidate, _)| !ends || !ended(candidate.seq));
        prop_assert!(standing);
        if !decision.removed.is_empty() {
            let cut = candidates(&place.connection(), &rules, as_of, through, decision.removed.len() - 1).unwrap();
            prop_assert!(cut.more);
        }
    }
}

/// In a projection with rows in every table, the digest matches the rows, and no rows of forgotten memories remain.
#[test]
fn feedback_and_sources_go_with_their_memory() {
    let mut lines = Lines::new();
    let source = json!({"uri": "a.md", "sha256": "0".repeat(64), "piece": 1, "pieces": 1});
    lines.push(MEMORY_SAVED, 1, &json!({"content": "word", "type": "note", "source": source}), None);
    let feedback = FeedbackPayload { target: id(1), rating_milli: 500, query_id: None, note: None };
    lines.push(MEMORY_FEEDBACK, 2, &serde_json::to_value(feedback).unwrap(), None);
    lines.push(
        engine_core::event::MEMORY_FORGOTTEN,
        3,
        &json!({"targets": [id(1), id(2)], "seqs": [1, 2], "reason": "r"}),
        None,
    );
    let place = Place::new();
    let digest = place.load(&lines, &[1]);
    assert_eq!(crate::row_digest::digest_of(&place.connection()).unwrap(), digest);
    let rows = |table: &str| -> i64 {
        place.connection().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(["memories", "sources", "feedback", "forgotten"].map(rows), [0, 0, 0, 2]);
}
