//! Identifiers: the same one is the same thing, two are two, and nobody can tell which they were.

use proptest::prelude::*;

use super::*;

fn key() -> PseudonymKey {
    PseudonymKey::new([7; PseudonymKey::BYTES])
}

#[track_caller]
fn stored_as(policy: &Policy, name: &str, form: Form) -> String {
    let judged = policy.judge_identifier(Some(&key()), ("name", form), name, NOW, &mut Counts::default());
    judged.unwrap().unwrap_or_else(|| name.to_owned())
}

#[track_caller]
fn stored(name: &str) -> String {
    stored_as(default(), name, Form::Whole)
}

/// The value is for ever: it stands in logs.
#[test]
fn a_token_is_a_keyed_hash_of_the_exact_bytes() {
    assert_eq!(stored("+1 415 555 0132"), "[PHONE:9eb6eab4cd06ffbd43ab]");
    let other = PseudonymKey::new([8; PseudonymKey::BYTES]);
    assert_ne!(other.token_of_phone("+1 415 555 0132"), key().token_of_phone("+1 415 555 0132"));
    assert_ne!(key().check(), other.check());
    assert_eq!(PseudonymKey::parse(&key().secret_text()), Some(key()));
    assert_eq!(PseudonymKey::parse("07"), None);
    assert!(!format!("{:?}", key()).contains("0707"), "{:?}", key());
}

impl PseudonymKey {
    fn token_of_phone(&self, text: &str) -> String {
        let policy = default();
        let judged =
            policy.judge_identifier(Some(self), ("", Form::Whole), text, NOW, &mut Counts::default());
        judged.unwrap().unwrap()
    }
}

#[test]
fn two_telephone_numbers_are_two_names_and_one_is_one() {
    let names = ["+1 415 555 0132", "+1 415 555 0133", "+14155550132", "ana@example.org", "ben@example.org"];
    let tokens: std::collections::BTreeSet<String> = names.iter().map(|name| stored(name)).collect();
    assert_eq!(tokens.len(), names.len());
    for name in names {
        assert_eq!(stored(name), stored(name));
        let about = stored(&format!("{name} (customer)"));
        assert!(about.starts_with(&stored(name)) && about.ends_with(" (customer)"), "{about}");
    }
    assert_eq!(stored("Ana"), "Ana");
}

#[test]
fn a_token_is_the_same_name_when_it_comes_again() {
    for name in ["+1 415 555 0132", "Ana, ana@example.org", "card 4111 1111 1111 1111 of +41446681800"] {
        let token = stored(name);
        assert_ne!(token, name);
        assert_eq!(stored(&token), token);
        // In a text it is nothing personal and no secret, whatever stands before it.
        for text in [format!("phone: {token}"), format!("key: {token}, password={token}")] {
            let judged = default().judge_text("content", &text, NOW);
            assert!(judged.is_ok_and(|judged| judged.changed.is_none()), "{text}");
        }
    }
}

#[test]
fn a_path_is_named_segment_by_segment() {
    let path = |path: &str| stored_as(default(), path, Form::Path);
    let directory = path("people/+1 415 555 0132");
    assert!(path("people/+1 415 555 0132/notes.md").starts_with(&format!("{directory}/")));
    assert_eq!(path("people/notes.md"), "people/notes.md");
    assert_eq!(directory, format!("people/{}", stored("+1 415 555 0132")));
}

#[test]
fn a_number_behind_a_slash_is_found_in_a_name() {
    let token = stored("+1 415 555 0132");
    for (name, expected) in [
        ("chats/+1 415 555 0132", format!("chats/{token}")),
        ("chats/+1 415 555 0132/ana@example.org", format!("chats/{token}/{}", stored("ana@example.org"))),
    ] {
        assert_eq!(stored(name), expected.as_str());
        assert_eq!(stored(&expected), expected.as_str());
    }
}

#[test]
fn a_secret_in_a_name_is_refused_and_never_a_token() {
    let secret = joined(&["gl", "pat-x7Kq2", "Zt9Lw4Rb8Nc1Vm5"]);
    for policy in [default(), &refusing(), &keeping()] {
        let judged =
            policy.judge_identifier(Some(&key()), ("key", Form::Whole), &secret, NOW, &mut Counts::default());
        let Err(NotNamed::Blocked(blocked)) = judged else { panic!("{judged:?}") };
        assert_eq!((blocked.detector, blocked.field.as_str()), ("gitlab-token", "key"));
    }
}

fn keeping() -> Policy {
    Policy::new(&Settings { identifiers: Identifiers::Keep, ..Settings::default() }).unwrap()
}

#[test]
fn names_are_kept_as_they_are_where_that_is_wanted() {
    assert_eq!(stored_as(&keeping(), "+1 415 555 0132", Form::Whole), "+1 415 555 0132");
    let (judged, _) =
        keeping().judge_draft(payloads::draft("+1 415 555 0132", "a@b.io", "{}"), None, NOW).unwrap();
    assert_eq!((judged.project.as_str(), judged.actor.as_str()), ("+1 415 555 0132", "a@b.io"));
}

#[test]
fn without_the_key_nothing_is_named_that_needs_it() {
    let none =
        |name: &str| default().judge_identifier(None, ("", Form::Whole), name, NOW, &mut Counts::default());
    assert_eq!(none("Ana"), Ok(None));
    assert_eq!(none("+1 415 555 0132"), Err(NotNamed::NoKey));
}

proptest! {
    /// Whatever a name holds: named twice it is the same, and nothing personal is left in it.
    #[test]
    fn a_stored_name_is_stored_as_itself(
        parts in prop::collection::vec(
            prop_oneof![
                "[a-z :/\\[\\]-]{0,12}",
                "\\+1 415 555 01[0-9]{2}",
                "[a-z]{1,6}@[a-z]{2,6}\\.org",
                "\\[PHONE:[0-9a-f]{20}\\]",
                Just("4111 1111 1111 1111".to_owned()),
            ],
            1..6,
        ),
    ) {
        let name = parts.concat();
        let judged = everything().judge_identifier(Some(&key()), ("", Form::Whole), &name, NOW, &mut Counts::default());
        if let Ok(judged) = judged {
            let once = judged.unwrap_or(name);
            let again = everything().judge_identifier(Some(&key()), ("", Form::Whole), &once, NOW, &mut Counts::default());
            prop_assert_eq!(again, Ok(None), "{}", once);
            prop_assert!(everything().findings(&once, NOW).is_empty());
        }
    }
}
