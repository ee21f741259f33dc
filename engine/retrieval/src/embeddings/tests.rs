use engine_projection::MemoryRow;

use super::external_model::TEXT_BYTES_MAX;
use super::room::has_room;
use super::*;
use engine_log::storage::Space;

fn row(title: &str, content: &str) -> MemoryRow {
    MemoryRow {
        seq: 1,
        known: 1,
        valid_from: 1,
        occurred: 1,
        actor: "ana".into(),
        kind: "note".into(),
        session: None,
        title: title.into(),
        tags: "[]".into(),
        content: content.into(),
    }
}

#[test]
fn no_more_is_sent_than_a_model_takes_and_characters_stay_whole() {
    assert_eq!(sent(&row("", "tea")), "tea");
    assert_eq!(sent(&row("Drinks", "tea")), "Drinks\ntea");
    let long = sent(&row("a", &"я".repeat(TEXT_BYTES_MAX)));
    assert!(long.len() <= TEXT_BYTES_MAX && long.len() >= TEXT_BYTES_MAX - 1, "{}", long.len());
}

#[test]
fn vectors_leave_the_log_its_space_and_a_large_volume_needs_no_twentieth() {
    const GIB: u64 = 1 << 30;
    let free = |available, capacity| has_room(Space { capacity, available });
    assert!(free(GIB / 20, GIB) && !free(GIB / 20 - 1, GIB));
    assert!(free(GIB, 1024 * GIB) && !free(GIB - 1, 1024 * GIB));
    assert!(free(0, 0), "the size is not known yet");
}
