//! Many worlds: false rollbacks, missed harm, broken rules.

use operator_core::rollout::judge_all;
use rollout_simulation::{Campaign, Effect, Plan, campaign, peeked};

/// Clean worlds of each of the five tests of them; together 10,000.
const CLEAN: u64 = 2_000;
/// False rollbacks that are permitted in each: 12 of 2,000 are 60 of 10,000.
const CLEAN_FAILED_MAX: u64 = 12;
/// Worlds of each harm, and how many of them may be missed.
const HARMFUL: u64 = 1_000;
const MISSED_MAX: u64 = 4;

const TROUBLED: Plan = Plan { effect: Effect::Clean, has_trouble: true, has_edits: false };

/// How many times as many seeds are run.
fn times() -> u64 {
    std::env::var("CAMPAIGN").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

#[track_caller]
fn assert_unbroken(done: &Campaign) {
    assert!(done.broken.is_empty(), "{} broken, first {:?}", done.broken.len(), done.broken.first());
}

#[track_caller]
fn check_clean(part: u64) {
    let seeds = CLEAN * times();
    let done = campaign(part * seeds..(part + 1) * seeds, Plan { has_edits: true, ..TROUBLED }, judge_all);
    assert_unbroken(&done);
    assert_eq!(done.worlds, seeds);
    assert!(done.failed <= CLEAN_FAILED_MAX * times(), "{} of {seeds} clean revisions failed", done.failed);
}

#[test]
fn clean_revisions_are_rarely_rolled_back_1_of_5() {
    check_clean(0);
}

#[test]
fn clean_revisions_are_rarely_rolled_back_2_of_5() {
    check_clean(1);
}

#[test]
fn clean_revisions_are_rarely_rolled_back_3_of_5() {
    check_clean(2);
}

#[test]
fn clean_revisions_are_rarely_rolled_back_4_of_5() {
    check_clean(3);
}

#[test]
fn clean_revisions_are_rarely_rolled_back_5_of_5() {
    check_clean(4);
}

#[track_caller]
fn check_harm(effect: Effect) {
    let seeds = HARMFUL * times();
    let done = campaign(0..seeds, Plan { effect, ..TROUBLED }, judge_all);
    assert_unbroken(&done);
    assert!(done.promoted <= MISSED_MAX * times(), "{effect:?}: {} of {seeds} missed", done.promoted);
    assert_eq!(done.failed + done.promoted, seeds, "each world ends with the one or the other");
}

#[test]
fn more_errors_are_found() {
    check_harm(Effect::Errors);
}

#[test]
fn slower_answers_are_found() {
    check_harm(Effect::Latency);
}

#[test]
fn fewer_cache_hits_are_found() {
    check_harm(Effect::CacheHits);
}

#[test]
fn worse_recall_is_found() {
    check_harm(Effect::Recall);
}

#[test]
fn another_digest_is_found() {
    check_harm(Effect::Digest);
}

/// What goes wrong costs time, and nothing else.
#[test]
fn clean_revisions_become_stable_in_spite_of_all_trouble() {
    let done = campaign(50_000..50_300, TROUBLED, judge_all);
    assert_unbroken(&done);
    assert_eq!((done.failed, done.promoted), (0, 300));
}

/// The check of clean worlds notices a rule that is broken.
#[test]
fn a_gate_that_peeks_is_noticed() {
    let done = campaign(0..200, TROUBLED, peeked);
    assert_unbroken(&done);
    assert!(done.failed > CLEAN_FAILED_MAX, "only {} of 200 clean revisions failed", done.failed);
}
