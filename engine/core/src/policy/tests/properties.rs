//! Properties that hold for every text.

use proptest::prelude::*;

use super::*;

/// Fragments that detectors react to, in any order and with anything between them.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "\\PC{0,12}",
        2 => "[0-9 ()+.x-]{1,20}",
        2 => "[A-Za-z0-9@._:/= -]{1,20}",
        1 => "[\u{200b}\u{ad}\u{a0}\u{2011}４１٤\\\\n\"']{1,6}",
        4 => proptest::sample::select(vec![
            "a@b.io", "4111 1111 1111 1111", "GB82WEST12345698765432", "219-09-9999", "+41 44 668 18 00", "phone: ", "call me at ", "5550132444",
            "12 Long Street, Springfield, IL 62704", "Apt. 12", "lives at ", "P.O. Box 12", "born on ", "3 May 1984", "my name is Ana", "10.0.0.1",
            "https://a:bcd1@e.org/", "wallet ", "zip: 12345", "[EMAIL]", "[PHONE]", "account number: 123456789", "\n", " and ", ", ", "corner of "]).prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_was_judged_is_clean(text in texts()) {
        for policy in [everything(), default()] {
            let Ok(judged) = policy.judge_text("content", &text, NOW) else { continue };
            match &judged.changed {
                None => prop_assert!(policy.findings(&text, NOW).is_empty() && judged.counts.total() == 0),
                Some(redacted) => {
                    prop_assert_eq!(policy.findings(redacted, NOW), vec![]);
                    prop_assert_eq!(policy.judge_text("content", redacted, NOW).unwrap().changed, None);
                    prop_assert!(judged.counts.total() > 0);
                }
            }
        }
    }

    #[test]
    fn finds_are_in_order_between_characters_and_apart(text in texts()) {
        let mut end = 0;
        for finding in everything().findings(&text, NOW) {
            prop_assert!(text.get(finding.range.clone()).is_some_and(|part| !part.is_empty()));
            prop_assert!(finding.range.start >= end);
            end = finding.range.end;
        }
    }

    #[test]
    fn json_is_judged_like_its_strings(texts in proptest::collection::vec(texts(), 0..4), key in texts()) {
        let policy = everything();
        let mut object = serde_json::Map::new();
        object.insert(key, serde_json::Value::from(texts));
        let json = serde_json::to_string(&object).unwrap();
        if let Ok(judged) = policy.judge_json("payload", &json, NOW) {
            let redacted = judged.changed.unwrap_or(json);
            prop_assert!(crate::strict::check(redacted.as_bytes()).is_ok());
            prop_assert_eq!(policy.judge_json("payload", &redacted, NOW).unwrap().changed, None);
        }
    }
}
