//! The projection in the status: how far it is behind the log, and whether searches work.

use std::sync::Arc;

use engine_core::wire::{Health, ProjectionState, RebuildHealth};
use jiff::{SignedDuration, Timestamp};
use operator_core::observed::{EngineReport, Observed};

use crate::world::{condition, health, settled, status_of};

fn reported(world: &mut Observed, change: impl FnOnce(&mut Health)) {
    let mut report = health(None);
    change(&mut report);
    world.writer_mut().report = EngineReport::Answered(Box::new(report));
}

fn rebuild(applied_seq: u64) -> RebuildHealth {
    RebuildHealth { applied_seq, head_seq: 42, reason: "rows do not match their digest".into() }
}

/// Stores the computed status in the world, as the next reconcile finds it.
fn keep(world: &mut Observed) {
    let status = status_of(world);
    Arc::make_mut(&mut world.engine).status = Some(status);
}

#[test]
fn a_projection_that_answers_is_ready_also_while_another_is_built() {
    let mut world = settled();
    assert_eq!(condition(&status_of(&world), "ProjectionReady"), "True/ProjectionServing");
    reported(&mut world, |health| health.projection.rebuild = Some(rebuild(7)));
    let status = status_of(&world);
    assert_eq!(condition(&status, "ProjectionReady"), "True/ProjectionRebuilding");
    assert_eq!(status.projection.expect("a projection").rebuild.expect("a rebuild").applied_seq, 7);
    for (state, expected) in [
        (ProjectionState::Rebuilding, "False/ProjectionRebuilding"),
        (ProjectionState::Failed, "False/ProjectionFailed"),
    ] {
        reported(&mut world, |health| health.projection.state = state);
        assert_eq!(condition(&status_of(&world), "ProjectionReady"), expected);
    }
}

#[test]
fn an_engine_that_cannot_be_asked_keeps_what_was_known() {
    let mut world = settled();
    keep(&mut world);
    world.writer_mut().report = EngineReport::Unreachable("refused".into());
    let status = status_of(&world);
    assert_eq!(condition(&status, "ProjectionReady"), "True/ProjectionServing");
    assert_eq!(status.projection, world.engine.status.as_ref().expect("a status").projection);
}

/// The status is not written more often than needed, because each update is a write to the API server.
#[test]
fn the_lag_is_refreshed_at_most_every_ten_seconds_and_never_without_need() {
    let mut world = settled();
    keep(&mut world);
    let stored = world.engine.status.clone().expect("a status").projection.expect("a projection");
    world.now += SignedDuration::from_mins(5);
    assert_eq!(status_of(&world).projection.expect("a projection"), stored, "nothing changed");
    reported(&mut world, |health| health.projection.checked_at = Some(Timestamp::UNIX_EPOCH));
    assert_eq!(status_of(&world).projection.expect("a projection"), stored, "no new finding");

    reported(&mut world, |health| health.projection.lag = 9);
    let moved = status_of(&world).projection.expect("a projection");
    assert_eq!(moved.lag, 9);
    keep(&mut world);
    reported(&mut world, |health| health.projection.lag = 3);
    world.now += SignedDuration::from_secs(9);
    assert_eq!(status_of(&world).projection.expect("a projection"), moved, "too soon");
    world.now += SignedDuration::from_secs(1);
    assert_eq!(status_of(&world).projection.expect("a projection").lag, 3);

    reported(&mut world, |health| health.projection.rebuild = Some(rebuild(1)));
    world.now += SignedDuration::from_secs(1);
    assert!(
        status_of(&world).projection.expect("a projection").rebuild.is_some(),
        "a rebuild is reported at once"
    );
}
