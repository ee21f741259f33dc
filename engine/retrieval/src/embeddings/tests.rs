use engine_projection::MemoryRow;

use super::external_model::TEXT_BYTES_MAX;
use super::*;

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
