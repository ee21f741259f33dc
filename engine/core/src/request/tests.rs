use super::*;
use crate::wire::patterns::{ID_PATTERN, LINE_PATTERN, NAME_PATTERN, SEGMENT_PATTERN};

fn save(body: &str) -> Result<Draft, Refused> {
    parse(body.as_bytes()).and_then(memory)
}

fn append(body: &str) -> Result<Vec<Draft>, Refused> {
    parse(body.as_bytes()).and_then(events)
}

fn check<T: std::fmt::Debug>(outcome: Result<T, Refused>, part: &str) {
    let said = outcome.expect_err(part).to_string();
    assert!(said.contains(part), "{said:?} does not contain {part:?}");
}

#[test]
fn a_memory_needs_nothing_but_content() {
    let draft = save(r#"{"content":"x"}"#).unwrap();
    assert_eq!(
        (draft.project.as_str(), draft.actor.as_str(), draft.kind.as_str()),
        ("default", "anonymous", MEMORY_SAVED)
    );
    assert_eq!(draft.payload.get(), r#"{"content":"x","type":"note"}"#);
}

#[test]
fn every_limit_of_a_memory_is_the_last_accepted_value() {
    let text = |field: &str, n: usize| format!(r#"{{"content":"x","{field}":"{}"}}"#, "é".repeat(n));
    for (field, limit) in [
        ("title", TITLE_CHARS_MAX),
        ("project", NAME_CHARS_MAX),
        ("type", NAME_CHARS_MAX),
        ("actor", NAME_CHARS_MAX),
        ("session", NAME_CHARS_MAX),
    ] {
        assert!(save(&text(field, limit)).is_ok(), "{field}");
        check(save(&text(field, limit + 1)), &format!("{field} has {} characters", limit + 1));
    }
    let content = |n: usize| format!(r#"{{"content":"{}"}}"#, "x".repeat(n));
    assert!(save(&content(CONTENT_BYTES_MAX)).is_ok());
    check(save(&content(CONTENT_BYTES_MAX + 1)), "content has 1048577 bytes");
    let tags = |n: usize, len: usize| {
        let tags = vec![format!("\"{}\"", "t".repeat(len)); n].join(",");
        format!(r#"{{"content":"x","tags":[{tags}]}}"#)
    };
    assert!(save(&tags(TAGS_MAX, TAG_CHARS_MAX)).is_ok());
    check(save(&tags(TAGS_MAX + 1, 1)), "tags has 33 items");
    check(save(&tags(1, TAG_CHARS_MAX + 1)), "tags[0] has 65 characters");
}

#[test]
fn what_is_not_understood_is_refused() {
    check(save(r#"{"content":"x","colour":"red"}"#), "unknown field `colour`");
    check(save(r#"{"content":"x","content":"y"}"#), "twice");
    check(save(r#"{"content":" \n"}"#), "content must not be empty");
    check(save(r#"{"title":"x"}"#), "missing field `content`");
    check(save(r#"{"content":"x","project":" "}"#), "project must not be empty");
    check(save(r#"{"content":"x","project":"a\u0000b"}"#), "control characters");
    check(save(r#"{"content":"x","occurred_at":"yesterday"}"#), "not valid");
    check(save(r#"["content"]"#), "the body must be a JSON object");
}

#[test]
fn an_invalidation_is_checked() {
    let id = "0123456789abcdef0123456789abcdef";
    let end = |body: &str| parse(body.as_bytes()).and_then(|request| invalidation(id, "p".into(), request));
    let draft = end("{}").unwrap();
    assert_eq!((draft.kind.as_str(), draft.causes.as_slice()), (MEMORY_INVALIDATED, [id.into()].as_slice()));
    assert_eq!(draft.payload.get(), format!(r#"{{"target":"{id}"}}"#));
    assert_eq!(end(&format!(r#"{{"superseded_by":"{id}"}}"#)).unwrap().causes.len(), 2);
    assert!(end(&format!(r#"{{"reason":"{}"}}"#, "é".repeat(REASON_CHARS_MAX))).is_ok());
    let long = format!(r#"{{"reason":"{}"}}"#, "é".repeat(REASON_CHARS_MAX + 1));
    check(end(&long), "reason has 1001 characters");
    check(end(r#"{"superseded_by":"x"}"#), "superseded_by must be the id");
    check(end(r#"{"valid_until":"tomorrow"}"#), "not valid");
    check(end(r#"{"until":"2026-01-01T00:00:00Z"}"#), "unknown field");
    check(moment("as_of", "2026-01-01"), "as_of must be a time");
    assert!(moment("as_of", "2026-01-01T00:00:00+01:00").is_ok());
}

#[test]
fn events_are_checked_one_by_one() {
    let event = |rest: &str| format!(r#"{{"events":[{{"type":"a","payload":{{}}}},{{{rest}}}]}}"#);
    assert_eq!(
        append(&event(r#""type":"b","payload":{"x":1.50}"#)).unwrap()[1].payload.get(),
        r#"{"x":1.50}"#
    );
    check(append(r#"{"events":[]}"#), "allowed are 1 to 1000");
    check(append(&event(r#""type":"","payload":{}"#)), "events[1].type must not be empty");
    check(append(r#"{"events":[["a",null,null,null,[],{}]]}"#), "a JSON object");
    check(append(&event(r#""type":"b","payload":[]"#)), "events[1].payload must be a JSON object");
    for reserved in RESERVED {
        let own = format!(r#""type":"{reserved}","payload":{{}}"#);
        check(append(&event(&own)), "written by the engine itself");
    }
    check(append(&event(r#""type":"b","payload":{},"causes":["x"]"#)), "causes[0] must be the id");
    check(append(&event(r#""type":"b","payload":{"a":1,"a":2}"#)), "twice");
    let many = vec![r#"{"type":"a","payload":{}}"#; BATCH_EVENTS_MAX + 1].join(",");
    check(append(&format!(r#"{{"events":[{many}]}}"#)), "1001 items");
}

/// The log's reader splits at line feeds, so a payload must not contain one.
#[test]
fn a_payload_stays_on_one_line() {
    let body = "{\"events\":[{\"type\":\"a\",\"payload\":{\n\"text\":\r\n \"a\\nb\"}}]}";
    let payload = append(body).unwrap()[0].payload.get().to_owned();
    assert_eq!(payload, "{ \"text\":   \"a\\nb\"}");
}

#[test]
fn a_key_is_short_and_printable() {
    assert_eq!(idempotency_key(b"a key~1"), Ok("a key~1".to_owned()));
    for bad in [b"".as_slice(), b"a\tb", "é".as_bytes(), &[b'x'; IDEMPOTENCY_KEY_CHARS_MAX + 1]] {
        assert_eq!(idempotency_key(bad), Err(Refused::IdempotencyKey));
    }
}

#[test]
fn a_number_is_digits_within_bounds() {
    assert_eq!(number("limit", "1000", 1, 1000), Ok(1000));
    for bad in ["", "0", "1001", "-1", "+1", "1.0", "1e2", " 1", "99999999999999999999999"] {
        assert_eq!(
            number("limit", bad, 1, 1000),
            Err(Refused::Range { field: "limit", min: 1, max: 1000 }),
            "{bad:?}"
        );
    }
}

/// Removes `^` and `$`, which the generator does not support. It always matches the whole pattern.
fn unanchored(pattern: &'static str) -> &'static str {
    pattern.strip_prefix('^').and_then(|pattern| pattern.strip_suffix('$')).unwrap()
}

proptest::proptest! {
    /// Names that match the pattern in the API description are also accepted by the validation.
    #[test]
    fn what_fits_a_published_pattern_is_accepted(
        named in unanchored(NAME_PATTERN),
        title in unanchored(LINE_PATTERN),
        id in unanchored(ID_PATTERN),
        segment in unanchored(SEGMENT_PATTERN),
        content in r"(.|\n)*\S(.|\n)*",
    ) {
        let is_accepted = |outcome| matches!(outcome, Ok(()) | Err(Refused::TooLong { .. }));
        let request = SaveMemory { content, ..serde_json::from_str(r#"{"content":"x"}"#).unwrap() };
        proptest::prop_assert!(is_accepted(filter("type", &named)), "{:?}", named);
        proptest::prop_assert!(is_accepted(line("title", &title, TITLE_CHARS_MAX)), "{:?}", title);
        proptest::prop_assert!(is_id(&id), "{:?}", id);
        let place = item_place(None, vec![segment.clone()], "k".into()).map(drop);
        proptest::prop_assert!(segment == "*" || is_accepted(place), "{:?}", segment);
        proptest::prop_assert!(memory(request).is_ok());
    }
}
