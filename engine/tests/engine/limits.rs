//! docs/guide/limits.md matches the source, and the page about the memory tool matches the behaviour of the engine.

use std::collections::BTreeMap;

use serde_json::json;

use crate::process::Running;

const PAGE: &str = include_str!("../../../docs/guide/limits.md");
const LIMITS: &str = include_str!("../../core/src/limits.rs");
/// Source files with the constants of the first table.
const SERVER: [&str; 10] = [
    include_str!("../../src/api/connection_timeouts.rs"),
    include_str!("../../src/api/admission.rs"),
    include_str!("../../src/api/body.rs"),
    include_str!("../../src/api/body_budget.rs"),
    include_str!("../../src/api/mod.rs"),
    include_str!("../../src/api/server.rs"),
    include_str!("../../src/api/stream.rs"),
    include_str!("../../projection/src/read_scheduling.rs"),
    include_str!("../../src/engine/mod.rs"),
    include_str!("../../src/engine/threads.rs"),
];
const READS: [&str; 2] =
    [include_str!("../../projection/src/readers.rs"), include_str!("../../projection/src/shared.rs")];

/// Returns the constants of a source file and their values, in the notation of the page.
fn constants(source: &str, known: &mut BTreeMap<String, u64>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in source.lines() {
        let Some((_, constant)) = line.split_once("const ") else { continue };
        let Some((name, value)) =
            constant.split_once(": ").and_then(|(name, rest)| Some((name, rest.split_once(" = ")?.1)))
        else {
            continue;
        };
        let value = value.trim_end_matches(';');
        if let Some(text) = value.strip_prefix('"') {
            found.insert(name.to_owned(), format!("`{}`", text.trim_end_matches('"')));
        } else if let Some(number) = number(value, known) {
            known.insert(name.to_owned(), number);
            found.insert(name.to_owned(), grouped(number));
        }
    }
    found
}

/// Returns the value of an expression, in the notation of the limits.
fn number(text: &str, known: &BTreeMap<String, u64>) -> Option<u64> {
    let text = text.trim().trim_start_matches("Duration::from_secs");
    let is_closed = |part: &str| part.matches('(').count() == part.matches(')').count();
    for (operator, apply) in [
        (" << ", (|a, b| a << b) as fn(u64, u64) -> u64),
        (" + ", |a, b| a + b),
        (" * ", |a, b| a * b),
        (" / ", |a, b| a / b),
    ] {
        for (at, _) in text.match_indices(operator) {
            let (left, right) = (&text[..at], &text[at + operator.len()..]);
            if is_closed(left) && is_closed(right) {
                return Some(apply(number(left, known)?, number(right, known)?));
            }
        }
    }
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    inner.map_or_else(
        || text.replace('_', "").parse().ok().or_else(|| known.get(text).copied()),
        |inner| number(inner, known),
    )
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the names and values in the tables of a page.
fn rows(page: &str) -> BTreeMap<String, String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            (cells[0].trim_end_matches('`').to_owned(), cells[1].to_owned())
        })
        .collect()
}

/// Returns the differences between a page and the source.
fn faults(page: &str) -> Vec<String> {
    let (mut known, mut server) = (BTreeMap::new(), BTreeMap::new());
    let limits = constants(LIMITS, &mut known);
    for source in SERVER.into_iter().chain(READS) {
        server.extend(constants(source, &mut known));
    }
    let told = rows(page);
    let missing =
        limits.keys().filter(|name| !told.contains_key(*name)).map(|name| format!("{name} is missing"));
    let wrong = told.iter().filter_map(|(name, value)| {
        let actual = limits.get(name).or_else(|| server.get(name));
        (actual != Some(value)).then(|| format!("{name}: the page says {value}, the source {actual:?}"))
    });
    missing.chain(wrong).collect()
}

#[test]
fn every_limit_is_on_the_page_with_its_value() {
    assert!(rows(PAGE).len() > 90, "{}", rows(PAGE).len());
    assert_eq!(faults(PAGE), Vec::<String>::new());
    for (right, wrong) in [
        ("| `TITLE_CHARS_MAX` | 120 ", "| `TITLE_CHARS_MAX` | 121 "),
        ("| `HEAD_TIMEOUT` | 10 ", "| `HEAD_TIMEOUT` | 30 "),
        ("| `TAGS_MAX` |", "| TAGS_MAX |"),
        ("| `LEAVING_MAX` |", "| `LEAVING_LIMIT` |"),
    ] {
        assert!(PAGE.contains(right), "{right}");
        assert_eq!(faults(&PAGE.replace(right, wrong)).len(), 1, "{wrong} goes unnoticed");
    }
}

#[test]
fn a_file_has_a_mebibyte_of_text() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let create = |name: &str, text: &str| {
        let path = format!("/memories/{name}");
        engine.post(
            "/v1/adapters/anthropic-memory",
            "",
            &json!({"command": "create", "path": path, "file_text": text}).to_string(),
        )
    };
    // A JSON escape counts as the character that it stands for.
    for (name, text) in [
        ("plain", "a".repeat(1 << 20)),
        ("lines", "abc\n".repeat(1 << 18)),
        ("marks", "\"\\".repeat(1 << 19)),
    ] {
        let created = create(name, &text);
        assert_eq!((created.status, &created.json()["is_error"]), (200, &json!(false)), "{name}");
    }
    let refused = create("larger", &"a".repeat((1 << 20) + 1));
    // The engine tells the model to write less.
    assert_eq!((refused.status, &refused.json()["is_error"]), (200, &json!(true)));
    assert!(refused.body.contains("1048577"), "{refused:?}");
}
